//! Where results go.

use crate::{CliError, args::RunOptions, output as streams};
use std::{
    fs::File,
    io::{self, ErrorKind, Write},
};
use tremor_codec::{Chunks, Definition, Encoder, Registry};
use tremor_event::Event;
use tremor_value::Value;

/// Encoded results are handed to the system when there are this many bytes of them.
const FULL_BYTES: usize = 64 * 1024;

/// Where results go.
pub(super) struct Output {
    to: Box<dyn Write>,
    encoder: Encoder,
    chunks: Chunks,
    echo: Option<Echo>,
    closed: bool,
}

/// What `--interactive` shows.
struct Echo {
    ingress: String,
    egress: String,
    pretty: bool,
}

impl Output {
    /// Opens what `options` name.
    pub(super) fn open(options: &RunOptions) -> Result<Self, CliError> {
        let to: Box<dyn Write> = match options.outfile.to_str() {
            Some("-") => Box::new(io::stdout().lock()),
            _ => Box::new(File::create(&options.outfile).map_err(|error| {
                CliError::new(format!("cannot write {}: {error}", options.outfile.display()))
            })?),
        };
        let definition = Definition {
            postprocessors: vec![options.postprocessor.as_str().into()],
            ..Definition::of_codec(options.encoder.as_str())
        };
        let coding = Registry::standard().resolver(&definition);
        let encoder = coding.map_err(|error| CliError::new(error.to_string()))?.encoder();
        let echo = options.interactive.then(|| Echo {
            ingress: format!(
                "ingress> [codec: {}], [preprocessor: {}]",
                options.decoder, options.preprocessor
            ),
            egress: format!(
                "egress> [codec: {}], [postprocessor: {}]",
                options.encoder, options.postprocessor
            ),
            pretty: options.pretty,
        });
        Ok(Self { to, encoder, chunks: Chunks::default(), echo, closed: false })
    }

    /// Shows an event that came in, if that is wanted.
    pub(super) fn show_input(&mut self, event: &Event) {
        if let Some(echo) = &self.echo {
            streams::stderr_line(&echo.ingress);
            let line = shown(event.payload.value(), echo.pretty);
            self.closed |= write_quietly(&mut self.to, line.as_bytes()).unwrap_or(true);
        }
    }

    /// Takes a result for any port but `err`.
    pub(super) fn value(&mut self, value: &Value, meta: &Value, ingest_ns: u64) -> Result<(), CliError> {
        if let Some(echo) = &self.echo {
            streams::stderr_line(&echo.egress);
            let line = shown(value, echo.pretty);
            self.chunks.push(line.as_bytes());
        }
        let encoded = self.encoder.encode(value, ingest_ns, meta, &mut self.chunks);
        encoded.map_err(|error| CliError::new(error.to_string()))?;
        if self.chunks.as_bytes().len() >= FULL_BYTES { self.flush() } else { Ok(()) }
    }

    /// Takes a result for port `err`: one line of JSON, whatever the encoder is.
    pub(super) fn error(&mut self, value: &Value) {
        self.chunks.push(format!("{value}\n").as_bytes());
    }

    /// Hands everything to the system.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        let written = write_quietly(&mut self.to, self.chunks.as_bytes());
        self.chunks.clear();
        self.closed |= written.map_err(|error| CliError::new(format!("cannot write: {error}")))?;
        Ok(())
    }

    /// The same, with what the postprocessor still holds.
    pub(super) fn finish(mut self) -> Result<(), CliError> {
        self.encoder.finish(&mut self.chunks).map_err(|error| CliError::new(error.to_string()))?;
        self.flush()
    }

    /// Nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

/// Writes and flushes; `true` if the reader has gone away.
fn write_quietly(to: &mut dyn Write, bytes: &[u8]) -> io::Result<bool> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(true),
        written => written.map(|()| false),
    }
}

fn shown(value: &Value, pretty: bool) -> String {
    let compact = value.to_string();
    if !pretty {
        return compact + "\n";
    }
    let parsed: Option<serde_json::Value> = serde_json::from_str(&compact).ok();
    let pretty = parsed.and_then(|parsed| serde_json::to_string_pretty(&parsed).ok());
    pretty.unwrap_or(compact) + "\n"
}
