//! What the stages in front of a codec hand on.

use std::{fmt::Display, sync::Arc};

use bytes::Bytes;

use crate::ProcessError;

/// Log target of the engine.
const TARGET: &str = "tremor_runtime";

/// Pieces that a stage gives before those behind it have their turn.
pub(crate) const MOST_PIECES: usize = 4096;

/// Chunks on their way from preprocessor to preprocessor, in order, each with its ingest time.
///
/// Between the chunks there may be faults: errors that cost one chunk and leave the others alone. They are
/// handed through all later stages and reported in their place.
#[derive(Debug)]
pub struct Pieces {
    items: Vec<Piece>,
    /// How many of them there may be before it counts as full.
    most: usize,
    /// What a stage has not processed of its chunk.
    left: Option<Bytes>,
    ingest_ns: u64,
    /// `<flow>::<connector>`.
    owner: Option<Arc<str>>,
}

#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Result<Bytes, Box<ProcessError>>,
    pub(crate) ingest_ns: u64,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { items: Vec::new(), most: MOST_PIECES, left: None, ingest_ns: 0, owner: None }
    }
}

impl Piece {
    /// Bytes of its chunk.
    pub(crate) fn len(&self) -> usize {
        self.bytes.as_ref().map_or(0, Bytes::len)
    }
}

impl Pieces {
    /// An empty list, for the stream of a connector.
    pub(crate) fn owned_by(owner: Option<Arc<str>>) -> Self {
        Self { owner, ..Self::default() }
    }

    /// An empty list that is full with so many pieces.
    pub(crate) fn of_at_most(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// `true` if whoever makes many pieces of one chunk should stop and [`Pieces::leave`] the rest of the chunk: a chunk
    /// of nothing but separators would otherwise take many times its size at once.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.items.len() >= self.most
    }

    /// The stage is given `rest` before anything else, once there is room again.
    pub fn leave(&mut self, rest: Bytes) {
        self.left = Some(rest);
    }

    /// What the stage left of its chunk.
    pub(crate) fn take_left(&mut self) -> Option<Bytes> {
        self.left.take()
    }

    /// Logs that data was lost without an error, with the name of the connector.
    pub fn warn(&self, what: impl Display) {
        tracing::warn!(target: TARGET, "{}{what}", self.prefix());
    }

    /// The same for what a peer can cause often.
    pub fn debug(&self, what: impl Display) {
        tracing::debug!(target: TARGET, "{}{what}", self.prefix());
    }

    fn prefix(&self) -> String {
        self.owner.as_ref().map(|owner| format!("[Source::{owner}] ")).unwrap_or_default()
    }

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

    /// Exchanges the pieces for those in `other`, which is empty: its memory is used on.
    pub(crate) fn move_to(&mut self, other: &mut Vec<Piece>) {
        std::mem::swap(&mut self.items, other);
    }

    /// Takes all pieces out; keeps the memory.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Piece> {
        self.items.drain(..)
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.left = None;
    }

    /// Gives memory back that an unusually large input needed.
    pub(crate) fn trim(&mut self, keep: usize) {
        self.items.shrink_to(keep);
    }
}
