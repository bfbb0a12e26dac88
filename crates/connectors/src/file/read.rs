//! The source half of `file`.

use super::memory::Memory;
use crate::pieces::pieces;
use async_trait::async_trait;
use liblzma::{read::XzDecoder, stream};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    thread,
};
use tokio::sync::{mpsc, oneshot};
use tremor_connector::{Intake, OnDrain, Pulled, Source, SourceError};
use tremor_value::{Bytes, Value};

/// What is read at once, in bytes, if `chunk_size` divides it: several chunks.
const BLOCK_BYTES: usize = 256 * 1024;
/// The same for pipes and devices, which rarely have more at a time.
const SPECIAL_BLOCK_BYTES: usize = 64 * 1024;
/// Memory that is set aside for a block before anything has been read.
const MAX_RESERVED_BYTES: usize = 1024 * 1024;
/// Memory that the head of an `.xz` file may ask for; `xz -9` needs 65 MiB.
const MAX_XZ_BYTES: u64 = 512 * 1024 * 1024;

/// A file that a thread reads one block ahead.
///
/// A thread of its own rather than one of the runtime's pool: those hold up the end of the process until
/// they return, and a read from a pipe may never do. Ends when this is dropped and its read returns.
pub(super) struct Blocks {
    /// Ends with an empty block or an error; without either the thread has ended too early.
    blocks: mpsc::Receiver<io::Result<Bytes>>,
    /// Reading it comes to an end by itself.
    is_regular: bool,
}

/// Opens the file and begins to read. A pipe counts as opened before it has a writer.
pub(super) async fn open(path: PathBuf, chunk_bytes: usize) -> io::Result<Blocks> {
    let (opened, hears) = oneshot::channel();
    let (sender, blocks) = mpsc::channel(1);
    thread::Builder::new().name("tremor-file".to_owned()).spawn(move || match Found::at(&path) {
        Ok(found) => {
            if opened.send(Ok(found.is_regular())).is_ok() {
                let end = read(&path, found, chunk_bytes, &sender).map(|()| Bytes::new());
                let _nobody_reads = sender.blocking_send(end);
            }
        }
        Err(error) => {
            let _nobody_waits = opened.send(Err(error));
        }
    })?;
    let is_regular = hears.await.map_err(|_| io::Error::other("the thread that reads it has ended"))??;
    Ok(Blocks { blocks, is_regular })
}

/// What lies at a path.
enum Found {
    Regular(File),
    /// A terminal or the like: gives data when it has some.
    Device(File),
    /// Not opened yet, since that waits for a writer.
    Pipe,
}

impl Found {
    fn at(path: &Path) -> io::Result<Self> {
        let kind = fs::metadata(path)?.file_type();
        if kind.is_dir() {
            return Err(rustix::io::Errno::ISDIR.into());
        }
        if kind.is_fifo() {
            return Ok(Self::Pipe);
        }
        let file = File::open(path)?;
        Ok(if kind.is_file() { Self::Regular(file) } else { Self::Device(file) })
    }

    fn is_regular(&self) -> bool {
        matches!(self, Self::Regular(_))
    }
}

fn read(
    path: &Path,
    found: Found,
    chunk_bytes: usize,
    blocks: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    match found {
        Found::Regular(file) => read_whole_blocks(&mut unpacked(path, file)?, chunk_bytes, blocks),
        Found::Device(file) => read_what_is_there(&mut unpacked(path, file)?, blocks),
        Found::Pipe => read_what_is_there(&mut unpacked(path, File::open(path)?)?, blocks),
    }
}

/// Decompresses what the name says is compressed. Several compressed streams in a row are read as one.
pub(crate) fn unpacked(path: &Path, file: File) -> io::Result<Box<dyn Read>> {
    Ok(match path.extension().and_then(OsStr::to_str) {
        Some("xz") => {
            let decoder = stream::Stream::new_stream_decoder(MAX_XZ_BYTES, stream::CONCATENATED)?;
            Box::new(Packed { format: "xz", decoder: XzDecoder::new_stream(file, decoder) })
        }
        Some("gz") => Box::new(Packed { format: "gzip", decoder: flate2::read::MultiGzDecoder::new(file) }),
        Some("zst") => Box::new(Packed { format: "zstd", decoder: zstd::stream::read::Decoder::new(file)? }),
        _ => Box::new(file),
    })
}

/// Says of errors that come from what is in the file, and not from the system, in which format it should be.
struct Packed<R> {
    format: &'static str,
    decoder: R,
}

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(into).map_err(|error| {
            if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted {
                return error;
            }
            let format = self.format;
            let what = match error.kind() {
                io::ErrorKind::UnexpectedEof => format!("it is no complete {format} file: {error}"),
                _ => format!("it cannot be read as {format}: {error}"),
            };
            io::Error::new(error.kind(), what)
        })
    }
}

/// Reads blocks of as many whole chunks as fit, so that only the last chunk of the file may be short.
fn read_whole_blocks(
    input: &mut dyn Read,
    chunk_bytes: usize,
    blocks: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let block_bytes = chunk_bytes * (BLOCK_BYTES / chunk_bytes).max(1);
    let memory = Memory::default();
    loop {
        let mut block = memory.take(block_bytes.min(MAX_RESERVED_BYTES));
        let read = (&mut *input).take(block_bytes as u64).read_to_end(&mut block);
        // What was read before an error is good.
        let is_last = block.len() < block_bytes;
        let is_wanted = block.is_empty() || blocks.blocking_send(Ok(memory.lend(block))).is_ok();
        read?;
        if is_last || !is_wanted {
            return Ok(());
        }
    }
}

/// Reads as much as there is at a time.
fn read_what_is_there(input: &mut dyn Read, blocks: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let mut buffer = vec![0; SPECIAL_BLOCK_BYTES];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                let block = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                if blocks.blocking_send(Ok(block)).is_err() {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(super) struct FileSource {
    blocks: Blocks,
    chunk_bytes: usize,
    meta: Value,
    path: String,
}

impl FileSource {
    /// `meta` is the metadata of every event.
    pub(super) fn new(blocks: Blocks, chunk_bytes: usize, meta: Value, path: &Path) -> Self {
        Self { blocks, chunk_bytes, meta, path: path.display().to_string() }
    }
}

#[async_trait]
impl Source for FileSource {
    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        let received = self.blocks.blocks.recv().await;
        match received.unwrap_or_else(|| Err(io::Error::other("the thread that reads it has ended"))) {
            Ok(end) if end.is_empty() => Ok(Pulled::Finished),
            Ok(block) => {
                for chunk in pieces(block, self.chunk_bytes) {
                    intake.bytes(chunk, Some(self.meta.clone()));
                }
                Ok(Pulled::More)
            }
            Err(error) => {
                // Not a lost connection: reading again from the start would give every event twice.
                let path = &self.path;
                Err(SourceError::Broken(format!(
                    "Reading file `{path}` failed, the rest of it is lost: {error}"
                )))
            }
        }
    }

    fn on_drain(&self) -> OnDrain {
        // Nobody knows when the writer of a pipe will be done.
        if self.blocks.is_regular { OnDrain::ReadToEnd } else { OnDrain::Stop }
    }
}
