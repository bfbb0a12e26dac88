//! What comes from outside, as lines of the log and errors show it.

use std::fmt::{self, Display, Write};

/// Characters of a value that are shown.
const OF_VALUES: usize = 60;
/// Characters of a sentence that are shown: it may quote several values.
const OF_SENTENCES: usize = 1000;

/// Something from outside, in one line of bounded length, without what would steer a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Shown<T> {
    what: T,
    most: usize,
}

/// A name or a value that somebody else has written, to be quoted: 60 characters of it.
pub fn shown<T: Display>(what: T) -> Shown<T> {
    Shown { what, most: OF_VALUES }
}

/// A sentence that may quote what somebody else has written: 1000 characters of it.
pub fn sentence<T: Display>(what: T) -> Shown<T> {
    Shown { what, most: OF_SENTENCES }
}

/// Whether a character begins a new line, or steers what shows it.
#[must_use]
pub fn is_steering(c: char) -> bool {
    // Separators of lines and paragraphs, and what turns the direction of letters around.
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl<T: Display> Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bounded = Bounded { f, left: self.most, failed: Ok(()) };
        // What stops it is that there is enough, or `failed`.
        let is_whole = write!(bounded, "{}", self.what).is_ok();
        bounded.failed?;
        if is_whole { Ok(()) } else { f.write_char('…') }
    }
}

/// Takes so many characters and no more, and leaves out those that steer.
struct Bounded<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    left: usize,
    failed: fmt::Result,
}

impl Write for Bounded<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars().filter(|c| !is_steering(*c)) {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.failed = self.f.write_char(c);
            self.failed?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[test]
    fn what_is_shown_is_one_line_of_bounded_length() {
        assert_eq!(shown("plain").to_string(), "plain");
        assert_eq!(shown("a\r\n\u{1b}[31m\u{85}b\u{2028}\u{202e}c\0").to_string(), "a[31mbc");
        assert_eq!(shown("é".repeat(60)).to_string(), "é".repeat(60));
        assert_eq!(shown("é".repeat(61)).to_string(), format!("{}…", "é".repeat(60)));
        assert_eq!(shown(format!("{}\n", "x".repeat(60))).to_string(), "x".repeat(60));
        assert_eq!(sentence("y".repeat(1001)).to_string(), format!("{}…", "y".repeat(1000)));
    }

    #[test]
    fn values_are_shown_as_json() {
        let list = Value::from_json_str(&format!("[{}1]", "1,".repeat(100_000))).unwrap();
        assert_eq!(shown(&list).to_string(), format!("[{}1…", "1,".repeat(29)));
        assert_eq!(shown(Value::from("a\nb")).to_string(), r#""a\nb""#);
    }
}
