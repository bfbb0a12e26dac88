//! `stdio`: standard input, output and error (`spec/connectors.md` 3.12).

mod input;
mod streams;
#[cfg(test)]
mod tests;

use crate::{
    output::{Output, WriterThread},
    pieces::pieces,
};
use async_trait::async_trait;
use input::{Input, Subscription};
use std::{io, sync::Arc};
use tremor_codec::Chunks;
use tremor_connector::config::{ConfigError, Reader};
use tremor_connector::{
    Built, ByteSink, CodecUse, ConnectError, Connected, Connector, Environment, ExitRequest, ExitSwitch,
    Intake, Pulled, Sink, SinkError, SinkUse, Source, SourceError, Spec,
};
use tremor_event::OriginUri;

/// The kind.
pub(crate) const SPEC: Spec = Spec {
    name: "stdio",
    summary: "Reads standard input; writes standard output and standard error. When whoever reads standard output goes away, \
              the process ends, as after `SIGTERM`.",
    fields: &[],
    below: &[],
    needs_config: false,
    codec: CodecUse::Required,
    is_source: true,
    sink: SinkUse::Queued,
    inputs: &["in", "stderr"],
    input_aliases: &[("stdout", "in")],
    is_debug: false,
    build,
};

/// Number of the input port `stderr`.
const ERROR_PORT: usize = 1;

/// Longest piece of input that becomes one chunk.
const MAX_CHUNK_BYTES: usize = 8192;

fn build(config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    config.finish()?;
    let origin = Arc::new(OriginUri::new("tremor-stdin", &*environment.hostname));
    Ok(Built::new(Stdio {
        hub: streams::of_process,
        origin,
        exit: environment.exit.clone(),
        alias: environment.alias.clone(),
    }))
}

/// Three streams that any number of connectors share.
pub(crate) struct Hub {
    input: Arc<Input>,
    output: WriterThread,
    error: WriterThread,
}

/// Writes what a connector has to say itself to standard output, behind what was written before. It is with the
/// system when this returns.
pub(crate) async fn say(text: &str) -> io::Result<()> {
    tell(&streams::of_process()?.output, text).await
}

/// The same on standard error.
pub(crate) async fn complain(text: &str) -> io::Result<()> {
    tell(&streams::of_process()?.error, text).await
}

async fn tell(stream: &WriterThread, text: &str) -> io::Result<()> {
    let mut output = Output::new(stream.clone());
    output.write(text.as_bytes()).await?;
    output.flush().await
}

struct Stdio {
    hub: fn() -> io::Result<&'static Hub>,
    origin: Arc<OriginUri>,
    exit: ExitSwitch,
    /// `<flow>::<connector>`.
    alias: String,
}

#[async_trait]
impl Connector for Stdio {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let hub =
            (self.hub)().map_err(|error| ConnectError::Failed(format!("no standard streams: {error}")))?;
        let source = Console { input: hub.input.clone(), subscription: None };
        let sink = Screen {
            output: Output::new(hub.output.clone()),
            error: Output::new(hub.error.clone()),
            exit: self.exit.clone(),
            alias: self.alias.clone(),
            is_gone: false,
        };
        Ok(Connected::Halves {
            source: Some((Box::new(source), self.origin.clone())),
            sink: Some(Sink::Bytes(Box::new(sink))),
        })
    }
}

/// Gives what comes in on standard input.
struct Console {
    input: Arc<Input>,
    /// `None` before the first pull: what comes in until then is for others, or waits.
    subscription: Option<Subscription>,
}

#[async_trait]
impl Source for Console {
    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        let subscription = match &mut self.subscription {
            Some(subscription) => subscription,
            none => none.insert(self.input.subscribe().map_err(broken)?),
        };
        let Some(block) = subscription.recv().await else { return Ok(Pulled::Finished) };
        for chunk in pieces(block.map_err(broken)?, MAX_CHUNK_BYTES) {
            intake.bytes(chunk, None);
        }
        Ok(Pulled::More)
    }
}

fn broken(error: impl std::fmt::Display) -> SourceError {
    SourceError::Broken(format!("Reading standard input failed: {error}"))
}

/// Writes standard output and standard error.
struct Screen {
    output: Output,
    error: Output,
    exit: ExitSwitch,
    /// `<flow>::<connector>`.
    alias: String,
    /// Whoever read standard output has gone away.
    is_gone: bool,
}

#[async_trait]
impl ByteSink for Screen {
    async fn write(&mut self, port: usize, chunks: &mut Chunks) -> Result<(), SinkError> {
        if port == ERROR_PORT {
            return self.error.take(chunks).await.map_err(failed);
        }
        let written = self.output.take(chunks).await;
        written.map_err(|error| self.output_failed(error))
    }

    async fn flush(&mut self) -> Result<(), SinkError> {
        let flushed = self.output.flush().await;
        let error_flushed = self.error.flush().await.map_err(failed);
        flushed.map_err(|error| self.output_failed(error)).and(error_flushed)
    }
}

impl Screen {
    /// A reader that goes away, as `head` does, ends the process with no more than a line (`spec/cli.md` 1.3).
    fn output_failed(&mut self, error: io::Error) -> SinkError {
        let failed = failed(error);
        if matches!(failed, SinkError::Gone(_)) && !std::mem::replace(&mut self.is_gone, true) {
            tracing::warn!(
                target: "tremor_runtime",
                "[Sink::{}] whoever read standard output has gone away, so the process ends", self.alias
            );
            self.exit.request(ExitRequest { graceful: true, code: 0 });
        }
        failed
    }
}

fn failed(error: io::Error) -> SinkError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => SinkError::Gone("whoever read it has gone away".into()),
        _ => SinkError::Lost(format!("writing failed: {error}")),
    }
}
