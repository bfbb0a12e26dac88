//! `wal`: a log between a fast or unreliable part and the next (`spec/connectors.md` 3.20).
//!
//! The sink half appends events to files in a directory; the source half gives them in order until they are
//! confirmed. From the bottom up: `files` is what is asked of the system, `format` and `entry` say how things lie in
//! files, `opening` finds out
//! what is there, `log` writes, `position` keeps what is confirmed, `segments`, `confirmed` and `turn` only count, `shared` holds what both halves
//! have to know, and `worker` is the thread that writes.

mod confirmed;
mod entry;
mod files;
mod format;
mod log;
mod opening;
mod position;
mod segments;
mod shared;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod turn;
mod worker;

use async_trait::async_trait;
use files::{Files, Folder};
use log::{Durability, Log};
use segments::Limits;
use sink::WalSink;
use source::WalSource;
use std::{num::NonZeroU64, path::PathBuf, sync::Arc, time::Duration};
use tremor_connector::config::{ConfigError, Reader};
use tremor_connector::{
    Built, CodecUse, ConnectError, Connected, Connector, Environment, Field, Sink, SinkUse, Spec,
};
use tremor_event::OriginUri;
use worker::Worker;

/// The kind.
pub(crate) const SPEC: Spec = Spec {
    name: "wal",
    summary: "Keeps events in files until what stands behind it has confirmed them.",
    fields: &[
        Field {
            name: "path",
            kind: "string",
            default: "",
            text: "An existing directory, used by this connector alone.",
        },
        Field {
            name: "chunk_size",
            kind: "integer",
            default: "",
            text: "Bytes of one file, 4096 at least. An entry that is larger gets a file of its own, which counts as several.",
        },
        Field {
            name: "max_chunks",
            kind: "integer",
            default: "",
            text: "Number of files. When they are full, events fail until some are confirmed completely.",
        },
        Field {
            name: "sync",
            kind: "string",
            default: "always",
            text: "When an event counts as stored, and so is acknowledged to its origin. `always`: when it survives \
                   a loss of power; many events share one sync. `interval`: when it survives the end of the process; \
                   files are synced every `sync_interval_ms`. `never`: the same, and the system decides when it \
                   writes.",
        },
        Field {
            name: "sync_interval_ms",
            kind: "integer",
            default: "100",
            text: "Milliseconds after which files are synced (with `interval`) and confirmations are kept.",
        },
    ],
    below: &[],
    needs_config: true,
    codec: CodecUse::Structured,
    is_source: true,
    sink: SinkUse::Queued,
    inputs: &["in"],
    input_aliases: &[],
    is_debug: false,
    build,
};

const SYNCS: &[(&str, Durability)] =
    &[("always", Durability::Always), ("interval", Durability::Interval), ("never", Durability::Never)];
const DEFAULT_INTERVAL_MS: u64 = 100;
const LONGEST_INTERVAL_MS: u64 = 3_600_000;
const LEAST_CHUNK_SIZE: u64 = 4096;
/// So that no sum of sizes can overflow.
const MAX_BYTES: u64 = 1 << 62;

fn build(mut config: Reader<'_>, _environment: &Environment) -> Result<Built, ConfigError> {
    let path: PathBuf = config.required("path")?;
    let chunk_size: NonZeroU64 = config.required("chunk_size")?;
    let max_chunks: NonZeroU64 = config.required("max_chunks")?;
    let durability = config.word("sync", SYNCS)?.unwrap_or(Durability::Always);
    let interval_ms = config.or_in("sync_interval_ms", DEFAULT_INTERVAL_MS, 1..=LONGEST_INTERVAL_MS)?;
    let too_small = (chunk_size.get() < LEAST_CHUNK_SIZE).then(|| {
        let problem = format!("at least {LEAST_CHUNK_SIZE} bytes: every file costs a sync of its own");
        config.invalid("chunk_size", problem)
    });
    let too_large =
        chunk_size.checked_mul(max_chunks).is_none_or(|bytes| bytes.get() > MAX_BYTES).then(|| {
            config.conflict("max_chunks", format!("with this chunk_size it is more than {MAX_BYTES} bytes"))
        });
    config.finish()?;
    // All keys first: what is told of them one by one is told together.
    if let Some(error) = too_small.or(too_large) {
        return Err(error);
    }
    let shown = path.to_string_lossy();
    let segments = shown.split('/').filter(|segment| !segment.is_empty());
    let origin = OriginUri {
        path: segments.map(str::to_owned).collect(),
        ..OriginUri::new("tremor-wal", "localhost")
    };
    Ok(Built::new(Wal {
        path,
        limits: Limits { chunk_size: chunk_size.get(), max_chunks: max_chunks.get() },
        durability,
        interval: Duration::from_millis(interval_ms),
        origin: Arc::new(origin),
        folder: None,
        worker: None,
        born: None,
    }))
}

struct Wal {
    path: PathBuf,
    limits: Limits,
    durability: Durability,
    interval: Duration,
    origin: Arc<OriginUri>,
    /// The directory, from the first attempt that succeeded until the end.
    folder: Option<Arc<Folder>>,
    /// The log that was opened last.
    worker: Option<Arc<Worker>>,
    /// The first entry that this process wrote.
    born: Option<u64>,
}

impl Wal {
    async fn open(&mut self) -> Result<Arc<Worker>, String> {
        if let Some(old) = self.worker.take() {
            old.stop().await;
        }
        let (folder, path) = (self.folder.clone(), self.path.clone());
        let (limits, durability, interval) = (self.limits, self.durability, self.interval);
        let opening = tokio::task::spawn_blocking(move || {
            let folder = folder.map_or_else(|| Folder::open(&path).map(Arc::new), Ok)?;
            let files: Arc<dyn Files> = folder.clone();
            let opened = Log::open(files, durability, limits)?;
            let worker = Worker::start(opened, durability, interval);
            Ok::<_, String>((
                folder,
                Arc::new(worker.map_err(|error| format!("a thread for the log: {error}"))?),
            ))
        });
        let opened = opening.await.map_err(|error| format!("opening the log broke off: {error}"))?;
        let (folder, worker) = opened?;
        self.folder = Some(folder);
        self.worker = Some(worker.clone());
        Ok(worker)
    }
}

#[async_trait]
impl Connector for Wal {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let worker = self.open().await.map_err(ConnectError::Failed)?;
        let born = *self.born.get_or_insert_with(|| worker.shared.next());
        let Some(folder) = self.folder.clone() else {
            return Err(ConnectError::Failed("the directory is not open".to_owned()));
        };
        let source = WalSource::new(worker.clone(), folder, born);
        let sink = WalSink::new(worker, self.path.display().to_string());
        Ok(Connected::Halves {
            source: Some((Box::new(source), self.origin.clone())),
            sink: Some(Sink::Events(Box::new(sink))),
        })
    }
}
