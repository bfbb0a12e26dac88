//! Where results go.

use super::{events::Input, shown::Look};
use crate::{CliError, args::RunOptions, output as streams};
use std::{
    fs::File,
    io::{self, ErrorKind, Write},
};
use tremor_codec::{Chunks, Encoder};
use tremor_event::Event;
use tremor_value::{Content, MetaRef, Value};

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
    look: Look,
}

impl Output {
    /// Opens what `options` name; a file is emptied, but never the one that `input` reads.
    pub(super) fn open(options: &RunOptions, encoder: Encoder, input: &Input) -> Result<Self, CliError> {
        let to: Box<dyn Write> = if options.outfile.as_os_str() == "-" {
            Box::new(io::stdout().lock())
        } else {
            let shown = options.outfile.display();
            if input.is_file(&options.outfile) {
                let problem =
                    format!("The output file `{shown}` is the input file; it would be emptied unread");
                return Err(CliError::new(problem));
            }
            let created = File::create(&options.outfile);
            Box::new(created.map_err(|error| {
                CliError::new(format!("Failed to create the output file `{shown}`: {error}"))
            })?)
        };
        let RunOptions { decoder, preprocessor, encoder: codec, postprocessor, .. } = options;
        let echo = options.interactive.then(|| Echo {
            ingress: format!("ingress> [codec: {decoder}], [preprocessor: {preprocessor}]"),
            egress: format!("egress> [codec: {codec}], [postprocessor: {postprocessor}]"),
            look: Look { pretty: options.pretty, color: streams::stdout_has_color() },
        });
        Ok(Self { to, encoder, chunks: Chunks::default(), echo, closed: false })
    }

    /// Shows an event that came in, if that is wanted.
    pub(super) fn show_input(&mut self, event: &Event) -> Result<(), CliError> {
        match &self.echo {
            Some(echo) => show(&echo.ingress, event.payload.value(), echo.look),
            None => Ok(()),
        }
    }

    /// Takes a result for any port but `err`.
    pub(super) fn value<'a>(
        &mut self,
        content: impl Into<Content<'a>>,
        meta: impl Into<MetaRef<'a>>,
        ingest_ns: u64,
    ) -> Result<(), CliError> {
        let content = content.into();
        if let Some(echo) = &self.echo {
            show(&echo.egress, content.value(), echo.look)?;
        }
        let encoded = self.encoder.encode(content, ingest_ns, meta.into(), &mut self.chunks);
        encoded.map_err(|error| CliError::new(error.to_string()))?;
        // What is shown and what is written have to appear in turn.
        let is_due = self.echo.is_some() || self.chunks.as_bytes().len() >= FULL_BYTES;
        if is_due { self.flush() } else { Ok(()) }
    }

    /// Takes a result for port `err`: one line of JSON, whatever the encoder is.
    pub(super) fn error(&mut self, value: &Value) {
        self.chunks.push(format!("{value}\n").as_bytes());
    }

    /// Hands everything to the system.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        let written = write_quietly(&mut self.to, self.chunks.as_bytes());
        self.chunks.clear();
        self.closed |=
            written.map_err(|error| CliError::new(format!("Failed to write the output: {error}")))?;
        Ok(())
    }

    /// The same, with what the postprocessor still holds.
    pub(super) fn finish(mut self) -> Result<(), CliError> {
        let finished = self.encoder.finish(&mut self.chunks);
        self.flush()?;
        finished.map_err(|error| CliError::new(error.to_string()))
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

/// Writes a banner to standard error and a value to standard output.
fn show(banner: &str, value: &Value, look: Look) -> Result<(), CliError> {
    streams::stderr_line(banner);
    let line = look.dress(&value.to_string()) + "\n";
    streams::stdout(line.as_bytes()).map_err(|error| CliError::new(format!("Failed to write: {error}")))
}
