//! `file`: reads or writes one file (`spec/connectors.md` 3.11).

mod memory;
pub(crate) mod read;
mod write;

use async_trait::async_trait;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tremor_connector::config::{ConfigError, Reader};
use tremor_connector::{
    Built, CodecUse, ConnectError, Connected, Connector, Environment, Field, Sink, SinkUse, Spec,
};
use tremor_event::OriginUri;
use tremor_value::{Record, Value};

/// The kind.
pub(crate) const SPEC: Spec = Spec {
    name: "file",
    summary: "Reads a file from its start to its end, or writes one.",
    fields: &[
        Field {
            name: "path",
            kind: "string",
            default: "",
            text: "The file; relative to the working directory of the process. When it is read, a name that \
                   ends in `.xz`, `.gz` or `.zst` is decompressed.",
        },
        Field {
            name: "mode",
            kind: "string",
            default: "",
            text: "`read`; or `write` (also `truncate`: creates or empties it), `append` (creates it or goes on \
                   behind its end), `overwrite` (creates it or writes over its beginning).",
        },
        Field { name: "chunk_size", kind: "integer", default: "8192", text: "Bytes per read." },
    ],
    below: &[],
    needs_config: true,
    codec: CodecUse::Required,
    is_source: true,
    sink: SinkUse::Queued,
    inputs: &["in"],
    input_aliases: &[],
    is_debug: false,
    build,
};

const DEFAULT_CHUNK_BYTES: usize = 8192;
const MAX_CHUNK_BYTES: usize = 1 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Read,
    Write(write::Start),
}

const MODES: &[(&str, Mode)] = &[
    ("read", Mode::Read),
    ("write", Mode::Write(write::Start::Empty)),
    ("truncate", Mode::Write(write::Start::Empty)),
    ("append", Mode::Write(write::Start::End)),
    ("overwrite", Mode::Write(write::Start::Beginning)),
];

fn build(mut config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    let path: PathBuf = config.required("path")?;
    let mode = config.required_word("mode", MODES)?;
    let chunk_bytes = config.or_in("chunk_size", DEFAULT_CHUNK_BYTES, 1..=MAX_CHUNK_BYTES)?;
    config.finish()?;
    let shown = path.to_string_lossy();
    let segments = shown.split('/').filter(|segment| !segment.is_empty());
    let origin = OriginUri {
        path: segments.map(str::to_owned).collect(),
        ..OriginUri::new("tremor-file", &*environment.hostname)
    };
    let file = File { path, mode, chunk_bytes, origin: Arc::new(origin), was_opened: false };
    let is_source = mode == Mode::Read;
    Ok(Built { is_source, is_sink: !is_source, ..Built::new(file) })
}

struct File {
    path: PathBuf,
    mode: Mode,
    chunk_bytes: usize,
    origin: Arc<OriginUri>,
    /// An earlier attempt succeeded, so what is in the file may be ours.
    was_opened: bool,
}

#[async_trait]
impl Connector for File {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let connected = match self.mode {
            Mode::Read => self.open_source().await,
            Mode::Write(start) => {
                let start = if self.was_opened { write::Start::End } else { start };
                let sink = write::open(self.path.clone(), start).await;
                sink.map(|sink| Connected::Halves { source: None, sink: Some(Sink::Bytes(Box::new(sink))) })
            }
        };
        self.was_opened |= connected.is_ok();
        connected.map_err(|cause| ConnectError::Failed(self.describe(&cause)))
    }
}

impl File {
    async fn open_source(&self) -> io::Result<Connected> {
        let shown = self.path.to_string_lossy().into_owned();
        let about = Record::from_iter([("path", shown)]);
        let meta = Value::from(Record::from_iter([("file", Value::from(about))]));
        let blocks = read::open(self.path.clone(), self.chunk_bytes).await?;
        let source = read::FileSource::new(blocks, self.chunk_bytes, meta, &self.path);
        Ok(Connected::Halves { source: Some((Box::new(source), self.origin.clone())), sink: None })
    }

    /// The cause of a failed attempt in full.
    fn describe(&self, cause: &io::Error) -> String {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let hint = match parent {
            Some(parent) if cause.kind() == io::ErrorKind::NotFound && is_missing(parent) => {
                format!("; the directory `{}` does not exist", parent.display())
            }
            _ => String::new(),
        };
        format!("Failed to open file `{}`: {cause}{hint}", self.path.display())
    }
}

fn is_missing(directory: &Path) -> bool {
    matches!(directory.try_exists(), Ok(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tremor_codec::Chunks;

    /// A lost connection must not cost what was written before.
    #[tokio::test]
    async fn opening_again_goes_on_behind_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        for (_, mode) in MODES.iter().skip(1) {
            let path = folder.path().join("out");
            fs::write(&path, "old").unwrap();
            let mut file = File {
                path: path.clone(),
                mode: *mode,
                chunk_bytes: 1,
                origin: Arc::default(),
                was_opened: false,
            };
            for text in ["new1", "new2"] {
                let connected = file.connect().await.unwrap();
                let Connected::Halves { sink: Some(Sink::Bytes(mut sink)), .. } = connected else {
                    panic!("a file that is written has a sink");
                };
                let mut chunks = Chunks::new();
                chunks.push(text.as_bytes());
                sink.write(0, &mut chunks).await.unwrap();
                sink.flush().await.unwrap();
            }
            let content = fs::read_to_string(&path).unwrap();
            assert!(content.ends_with("new1new2"), "{mode:?}: {content}");
        }
    }
}
