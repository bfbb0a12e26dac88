//! What the stages in front of a codec hand on.

use bytes::Bytes;

use crate::ProcessError;

/// Chunks on their way from preprocessor to preprocessor, in order, each with its ingest time.
///
/// Between the chunks there may be faults: errors that cost one chunk and leave the others alone. They are
/// handed through all later stages and reported in their place.
#[derive(Debug, Default)]
pub struct Pieces {
    items: Vec<Piece>,
    ingest_ns: u64,
}

#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Result<Bytes, Box<ProcessError>>,
    pub(crate) ingest_ns: u64,
}

impl Pieces {
    /// Adds a chunk, with the present ingest time.
    pub fn push(&mut self, chunk: Bytes) {
        self.items.push(Piece { bytes: Ok(chunk), ingest_ns: self.ingest_ns });
    }

    /// Adds a fault in the place of a chunk; the chunks before and behind it stay good.
    pub fn fault(&mut self, error: ProcessError) {
        self.items.push(Piece { bytes: Err(Box::new(error)), ingest_ns: self.ingest_ns });
    }

    /// Time at which the bytes came in, in nanoseconds since 1970: that of the chunk being processed.
    #[must_use]
    pub fn ingest_ns(&self) -> u64 {
        self.ingest_ns
    }

    /// Changes the ingest time of the chunks that are pushed from here on, until the next input.
    pub fn set_ingest_ns(&mut self, ingest_ns: u64) {
        self.ingest_ns = ingest_ns;
    }

    /// Takes all pieces out; keeps the memory.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Piece> {
        self.items.drain(..)
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
    }

    /// Gives memory back that an unusually large input needed.
    pub(crate) fn trim(&mut self, keep: usize) {
        self.items.shrink_to(keep);
    }
}
