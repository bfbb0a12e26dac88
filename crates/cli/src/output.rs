//! Writing to the standard streams: quiet when the reader has gone away, coloured only where that is wanted
//! (`spec/cli.md` 1.3).

use std::io::{self, ErrorKind, IsTerminal, Write};

/// What the user asked for by `RUST_LOG_STYLE`; everything else that is printed is [`ColorChoice::Auto`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorChoice {
    /// Colour on a terminal, unless `NO_COLOR` or `TERM=dumb` speak against it.
    Auto,
    /// Colour, whatever the stream is.
    Always,
    /// No colour.
    Never,
}

/// `true` if escape sequences may be written to standard output.
#[must_use]
pub fn stdout_has_color() -> bool {
    wants_color(ColorChoice::Auto, io::stdout().is_terminal(), &|name| std::env::var_os(name))
}

/// `true` if escape sequences may be written to standard error.
#[must_use]
pub fn stderr_has_color(choice: ColorChoice) -> bool {
    wants_color(choice, io::stderr().is_terminal(), &|name| std::env::var_os(name))
}

fn wants_color(
    choice: ColorChoice,
    terminal: bool,
    env: &dyn Fn(&str) -> Option<std::ffi::OsString>,
) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let no_color = env("NO_COLOR").is_some_and(|value| !value.is_empty());
            let dumb = env("TERM").is_some_and(|value| value == "dumb");
            terminal && !no_color && !dumb
        }
    }
}

/// Writes all of `bytes` to standard output. A closed pipe counts as success.
///
/// # Errors
/// Any other failure of the stream, a full disk for instance.
pub fn stdout(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes `line` and a newline to standard error. There is nowhere to report a failure to, so it is dropped.
pub fn stderr_line(line: &str) {
    let _closed = writeln!(io::stderr().lock(), "{line}");
}

/// Writes `text`, which ends its lines itself, to standard error. A failure is dropped as by [`stderr_line`].
pub fn stderr(text: &str) {
    let _closed = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes `error: <message>` to standard error.
pub fn error(message: &str) {
    stderr_line(&format!("error: {message}"));
}

/// Writes `warning: <message>` to standard error.
pub fn warning(message: &str) {
    stderr_line(&format!("warning: {message}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    }

    #[test]
    fn colour_needs_a_terminal_and_no_objection() {
        assert!(wants_color(ColorChoice::Auto, true, &env(&[("TERM", "xterm")])));
        assert!(!wants_color(ColorChoice::Auto, false, &env(&[("TERM", "xterm")])));
        assert!(!wants_color(ColorChoice::Auto, true, &env(&[("TERM", "dumb")])));
        assert!(!wants_color(ColorChoice::Auto, true, &env(&[("NO_COLOR", "1")])));
        assert!(wants_color(ColorChoice::Auto, true, &env(&[("NO_COLOR", "")])));
        assert!(wants_color(ColorChoice::Always, false, &env(&[("NO_COLOR", "1")])));
        assert!(!wants_color(ColorChoice::Never, true, &env(&[])));
    }
}
