//! From bytes to events, one block at a time.

use crate::{CliError, args::RunOptions};
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};
use tremor_codec::{DecodeError, DecodedEvent, Decoder};
use tremor_event::{Event, EventId};
use tremor_value::{Bytes, Meta};

/// Bytes that one read may give.
const BLOCK_BYTES: usize = 64 * 1024;

/// What the program reads.
pub(super) struct Input {
    from: Box<dyn Read>,
    decoder: Decoder,
    block: Vec<u8>,
    ended: bool,
    filled: bool,
    next_event: u64,
    /// Device and number of the file that is read.
    file: Option<(u64, u64)>,
}

/// What one read gave.
pub(super) struct Block {
    pub(super) events: Vec<Event>,
    /// Something behind the events that could not be decoded.
    pub(super) error: Option<String>,
}

impl Input {
    /// Opens what `options` name.
    pub(super) fn open(options: &RunOptions, decoder: Decoder) -> Result<Self, CliError> {
        let mut file = None;
        let from: Box<dyn Read> = if options.infile.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            let shown = options.infile.display();
            let opened = File::open(&options.infile).map_err(|error| {
                CliError::new(format!("Failed to open the input file `{shown}`: {error}"))
            })?;
            file = opened.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
            Box::new(opened)
        };
        let block = vec![0; BLOCK_BYTES];
        Ok(Self { from, decoder, block, ended: false, filled: false, next_event: 0, file })
    }

    /// `true` if the file at `path` is what is read.
    pub(super) fn is_file(&self, path: &Path) -> bool {
        let there = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
        there.is_some_and(|metadata| self.file == Some((metadata.dev(), metadata.ino())))
    }

    /// The events of the next block; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Block>, CliError> {
        if self.ended {
            return Ok(None);
        }
        let read = loop {
            match self.from.read(&mut self.block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    break read
                        .map_err(|error| CliError::new(format!("Failed to read the input: {error}")))?;
                }
            }
        };
        self.filled = read == self.block.len();
        let now_ns = now_ns();
        let mut block = Block { events: Vec::new(), error: None };
        let next_event = &mut self.next_event;
        let mut take = |decoded: Result<DecodedEvent, DecodeError>| match decoded {
            // What stands behind a mistake is not processed.
            _ if block.error.is_some() => {}
            Ok(decoded) => {
                block.events.push(event(decoded, *next_event));
                *next_event += 1;
            }
            Err(error) => {
                let place = match *next_event {
                    0 => "at its start".to_owned(),
                    events => format!("behind event {events}"),
                };
                block.error = Some(format!("Failed to decode the input {place}: {error}"));
            }
        };
        match self.block.get(..read).filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => self.decoder.decode(Bytes::copy_from_slice(bytes), now_ns, &mut take),
            None => {
                self.ended = true;
                self.decoder.finish(now_ns, &mut take);
            }
        }
        Ok(Some(block))
    }

    /// `true` if the last block was full, so that the next one is likely to be there.
    pub(super) fn has_more(&self) -> bool {
        self.filled
    }
}

fn event(decoded: DecodedEvent, number: u64) -> Event {
    let DecodedEvent { payload, ingest_ns, meta } = decoded;
    Event {
        id: EventId::new(0, 0, number, number),
        payload,
        meta: meta.map_or_else(Meta::record, Meta::from),
        ingest_ns,
        origin: None,
        is_batch: false,
        receipt: None,
    }
}

fn now_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
