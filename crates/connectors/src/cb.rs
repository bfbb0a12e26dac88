//! `cb`: shows what becomes of events, for tests of delivery and of circuit breakers (`spec/connectors.md` 3.17).

mod ledger;
mod sink;
mod source;

use async_trait::async_trait;
use ledger::Ledger;
use sink::Commanded;
use source::{Replay, Watch, count};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;
use tremor_connector::config::{ConfigError, Reader};
use tremor_connector::{
    Built, CodecUse, ConnectError, Connected, Connector, Environment, ExitSwitch, Field, Sink, SinkUse,
    Source, Spec,
};
use tremor_event::OriginUri;
use tremor_value::Bytes;

/// The kind.
pub(crate) const SPEC: Spec = Spec {
    name: "cb",
    summary: "Replays files and says what was acknowledged and what failed; as a sink it acknowledges, fails, closes and \
              opens as its events tell it.",
    fields: &[
        Field {
            name: "paths",
            kind: "array of strings",
            default: "[]",
            text: "The files to replay, a stream each; one line after the other, in turns. The source half needs one at \
                   least.",
        },
        Field {
            name: "timeout",
            kind: "integer",
            default: "10000000000",
            text: "Nanoseconds in which nothing is sent or heard after which the source half gives up waiting for what is \
                   missing, also while a closed sink holds it up.",
        },
        Field {
            name: "expect_batched",
            kind: "bool",
            default: "false",
            text: "Is content with news of the last line of each stream: events of one batch are told at once.",
        },
    ],
    below: &[],
    needs_config: false,
    codec: CodecUse::Default("json"),
    is_source: true,
    sink: SinkUse::Queued,
    inputs: &["in"],
    input_aliases: &[],
    is_debug: true,
    build,
};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

fn build(mut config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    let paths: Vec<PathBuf> = config.or("paths", Vec::new())?;
    let timeout = config.duration_ns("timeout")?.unwrap_or(DEFAULT_TIMEOUT);
    let expect_batched = config.or("expect_batched", false)?;
    config.finish()?;
    Ok(Built::new(Cb {
        paths,
        timeout,
        expect_batched,
        origin: Arc::new(OriginUri::new("tremor-cb", &*environment.hostname)),
        alias: environment.alias.clone(),
        switch: environment.exit.clone(),
        is_read: false,
        lives: watch::Sender::new(()),
    }))
}

struct Cb {
    paths: Vec<PathBuf>,
    timeout: Duration,
    expect_batched: bool,
    origin: Arc<OriginUri>,
    alias: String,
    switch: ExitSwitch,
    /// Something reads what the source half gives.
    is_read: bool,
    /// Closed when the connector ends: nothing is waited for any more then.
    lives: watch::Sender<()>,
}

#[async_trait]
impl Connector for Cb {
    fn linked(&mut self, is_read: bool, _is_fed: bool) {
        self.is_read = is_read;
    }

    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let (source, ledger) = match self.is_read {
            true => self.open_source().await.map(|(source, ledger)| (Some(source), Some(ledger)))?,
            false => (None, None),
        };
        let sink: Sink = Sink::Events(Box::new(Commanded::new(ledger, self.alias.clone())));
        Ok(Connected::Halves { source: source.map(|source| (source, self.origin.clone())), sink: Some(sink) })
    }
}

impl Cb {
    async fn open_source(&self) -> Result<(Box<dyn Source>, Arc<Ledger>), ConnectError> {
        if self.paths.is_empty() {
            return Err(ConnectError::Failed("`paths` config missing".to_owned()));
        }
        let mut files = Vec::with_capacity(self.paths.len());
        for path in &self.paths {
            let data = read(path).await.map_err(|error| {
                ConnectError::Failed(format!("Failed to open file `{}`: {error}", path.display()))
            })?;
            files.push(data);
        }
        let ledger = Arc::new(Ledger::new(self.expect_batched, count(&files)));
        let watch = Watch {
            ledger: ledger.clone(),
            timeout: self.timeout,
            switch: self.switch.clone(),
            alias: self.alias.clone(),
            lives: self.lives.subscribe(),
        };
        Ok((Box::new(Replay::new(files, watch)), ledger))
    }
}

/// All of a regular file: others may never end, and whoever waits for them may never end either.
async fn read(path: &Path) -> std::io::Result<Bytes> {
    drop(crate::bench::data::regular(path)?);
    tokio::fs::read(path).await.map(Bytes::from)
}
