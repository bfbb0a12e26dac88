//! From bytes to events, one block at a time.

use crate::{CliError, args::RunOptions};
use std::{
    fs::File,
    io::{self, Read},
    time::{SystemTime, UNIX_EPOCH},
};
use tremor_codec::{DecodedEvent, Decoder, Definition, Registry};
use tremor_event::{Event, EventId};
use tremor_value::{Bytes, Value};

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
}

impl Input {
    /// Opens what `options` name.
    pub(super) fn open(options: &RunOptions) -> Result<Self, CliError> {
        let from: Box<dyn Read> = match options.infile.to_str() {
            Some("-") => Box::new(io::stdin().lock()),
            _ => Box::new(File::open(&options.infile).map_err(|error| {
                CliError::new(format!("cannot open {}: {error}", options.infile.display()))
            })?),
        };
        let definition = Definition {
            preprocessors: vec![options.preprocessor.as_str().into()],
            ..Definition::of_codec(options.decoder.as_str())
        };
        let coding = Registry::standard().resolver(&definition);
        let decoder = coding.map_err(|error| CliError::new(error.to_string()))?.decoder();
        Ok(Self { from, decoder, block: vec![0; BLOCK_BYTES], ended: false, filled: false, next_event: 0 })
    }

    /// The events of the next block; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Event>>, CliError> {
        if self.ended {
            return Ok(None);
        }
        let read = loop {
            match self.from.read(&mut self.block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| CliError::new(format!("cannot read: {error}")))?,
            }
        };
        self.filled = read == self.block.len();
        let now_ns = now_ns();
        let mut events = Vec::new();
        let mut failed = None;
        let next_event = &mut self.next_event;
        let mut take = |decoded: Result<DecodedEvent, tremor_codec::DecodeError>| match decoded {
            Ok(decoded) => {
                if failed.is_none() {
                    events.push(event(decoded, *next_event));
                    *next_event += 1;
                }
            }
            Err(error) => failed = failed.take().or(Some(error.to_string())),
        };
        match self.block.get(..read).filter(|block| !block.is_empty()) {
            Some(block) => self.decoder.decode(Bytes::copy_from_slice(block), now_ns, &mut take),
            None => {
                self.ended = true;
                self.decoder.finish(now_ns, &mut take);
            }
        }
        match failed {
            Some(error) => Err(CliError::new(error)),
            None => Ok(Some(events)),
        }
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
        meta: meta.map_or_else(Value::record, Value::from),
        ingest_ns,
        origin: None,
        is_batch: false,
        transactional: false,
    }
}

fn now_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
