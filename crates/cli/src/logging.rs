//! Logging (`spec/cli.md` 7). Without a configuration file, lines go to standard error in the form
//! `[<UTC time, seconds> <LEVEL> <target>] <message>`.

mod appender;
mod config;
mod configured;
mod pattern;

use crate::{
    CliError,
    output::{self, ColorChoice},
};
use std::{fmt, io, path::Path};
use time::OffsetDateTime;
use tracing::{Event, Level, Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter,
    field::Visit,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};
use tremor_value::is_steering;

/// What peers do wrong in HTTP/2 is told by those who speak it, and peers may do it often.
const DEFAULT_FILTER: &str = "warn,h2=error";

/// Starts logging: by `config`, a logger configuration file, or to standard error, filtered by `RUST_LOG`.
///
/// # Errors
/// If the file cannot be loaded.
pub fn init(config: Option<&Path>) -> Result<(), CliError> {
    let choice = match std::env::var("RUST_LOG_STYLE").as_deref() {
        Ok("always") => ColorChoice::Always,
        Ok("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    };
    if let Some(file) = config {
        return configured::init(file, choice);
    }
    let format = LineFormat { color: output::stderr_has_color(choice) };
    let layer = tracing_subscriber::fmt::layer()
        .event_format(format)
        .log_internal_errors(false)
        .with_writer(io::stderr);
    // A second call in one process keeps the first logger.
    let _already_set = tracing_subscriber::registry().with(filter()).with(layer).try_init();
    Ok(())
}

fn filter() -> EnvFilter {
    let text = std::env::var("RUST_LOG").unwrap_or_default();
    if text.trim().is_empty() {
        return EnvFilter::new(DEFAULT_FILTER);
    }
    EnvFilter::builder().parse(&text).unwrap_or_else(|error| {
        output::warning(&format!("RUST_LOG=`{text}` is ignored: {error}"));
        EnvFilter::new(DEFAULT_FILTER)
    })
}

struct LineFormat {
    color: bool,
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (now, meta) = (Utc(OffsetDateTime::now_utc()), event.metadata());
        let (on, off) = if self.color { (color_of(*meta.level()), "\x1b[0m") } else { ("", "") };
        let text = fields.into_text();
        writeln!(writer, "[{now} {on}{:<5}{off} {}] {text}", meta.level().as_str(), meta.target())
    }
}

fn color_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[36m",
    }
}

/// The message of an event, and its other fields as ` name=value` in the order they were written.
#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Fields {
    /// Message and fields as one text.
    fn into_text(mut self) -> String {
        self.message.push_str(&self.rest);
        visible(self.message)
    }

    fn push(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _infallible = if field.name() == "message" {
            fmt::write(&mut self.message, value)
        } else {
            fmt::write(&mut self.rest, format_args!(" {}={value}", field.name()))
        };
    }
}

/// Text from outside may be part of a message: a record is one line, whatever that is, and what would steer a terminal is
/// made visible.
fn visible(text: String) -> String {
    let steers = |c: char| is_steering(c) && c != '\t';
    if !text.contains(steers) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.push(field, format_args!("{value}"));
    }
}

/// A moment as `2026-03-09T07:05:01Z`.
struct Utc(OffsetDateTime);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (t, month) = (self.0, u8::from(self.0.month()));
        write!(f, "{:04}-{month:02}-{:02}T", t.year(), t.day())?;
        write!(f, "{:02}:{:02}:{:02}Z", t.hour(), t.minute(), t.second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };
    use tracing_subscriber::fmt::MakeWriter;
    use tremor_codec::testing::listen;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Sink {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn logged(color: bool, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let layer =
            tracing_subscriber::fmt::layer().event_format(LineFormat { color }).with_writer(sink.clone());
        let listening = listen(tracing_subscriber::registry().with(layer));
        log();
        drop(listening);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_has_time_level_target_and_message() {
        let line = logged(false, || {
            tracing::warn!(target: "tremor_runtime", tries = 3, cause = "refused", "[Flow::main] Gave up");
        });
        let (time, rest) = line.split_at(21);
        assert!(time.starts_with("[20") && time.ends_with('Z'), "{time}");
        assert_eq!(rest, " WARN  tremor_runtime] [Flow::main] Gave up tries=3 cause=refused\n");
    }

    #[test]
    fn a_record_is_one_line_and_does_not_steer_the_terminal() {
        let line = logged(false, || tracing::warn!(target: "tremor", peer = "\x1b[2J\r", "a\nb\tc\u{2028}"));
        assert!(line.ends_with("] a\\nb\tc\\u{2028} peer=\\u{1b}[2J\\r\n"), "{line:?}");
    }

    #[test]
    fn colour_marks_the_level_only() {
        let line = logged(true, || tracing::error!(target: "tremor", "no"));
        assert!(line.ends_with(" \x1b[31mERROR\x1b[0m tremor] no\n"), "{line:?}");
    }

    #[test]
    fn times_are_utc_to_the_second() {
        let at = OffsetDateTime::from_unix_timestamp(951_782_399).unwrap();
        assert_eq!(Utc(at).to_string(), "2000-02-28T23:59:59Z");
        assert_eq!(Utc(OffsetDateTime::UNIX_EPOCH).to_string(), "1970-01-01T00:00:00Z");
    }
}
