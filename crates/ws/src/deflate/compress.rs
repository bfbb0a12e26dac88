//! Messages to the peer.

use super::{Deflate, Direction, TAIL, history::History, spare::Kind};
use crate::error::EncodeError;
use zlib_rs::{Deflate as Stream, DeflateFlush};

/// Room for compressed bytes that is kept from message to message.
const KEPT_BYTES: usize = 4096;
/// Room that is made at once.
const STEP_BYTES: usize = 64 * 1024;
/// Room beyond the length of a message that a short one needs at most: headers of blocks, and the flush.
const OVERHEAD_BYTES: usize = 64;

/// Compresses the messages of one connection.
pub(crate) struct Compressor {
    direction: Direction,
    kind: Kind,
    min_bytes: usize,
    history: History,
    /// Made for the first message, and whenever it was given back: behind every message if those stand for themselves.
    stream: Option<Box<Stream>>,
    /// The library failed: nobody knows what the peer's window should be.
    is_broken: bool,
    out: Vec<u8>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { direction, kind, min_bytes, .. } = self;
        f.debug_struct("Compressor")
            .field("direction", direction)
            .field("kind", kind)
            .field("min_bytes", min_bytes)
            .finish_non_exhaustive()
    }
}

impl Compressor {
    /// For a fresh connection.
    pub(crate) fn new(deflate: &Deflate) -> Self {
        let Deflate { ours: direction, level, memory_level, min_bytes, .. } = *deflate;
        let history = History::new(direction.window_bytes());
        Self {
            direction,
            kind: Kind::new(direction, level, memory_level),
            min_bytes,
            history,
            stream: None,
            is_broken: false,
            out: Vec::new(),
        }
    }

    /// Whether a message of that length is to be compressed.
    pub(crate) fn wants(&self, len: usize) -> bool {
        len >= self.min_bytes && !self.is_broken
    }

    /// What `payload` is sent as.
    ///
    /// # Errors
    /// [`EncodeError::Deflate`] if the library fails; from then on no message is [wanted](Self::wants).
    pub(crate) fn compress(&mut self, payload: &[u8]) -> Result<&[u8], EncodeError> {
        self.out.clear();
        if payload.is_empty() {
            self.out.push(0);
            return Ok(&self.out);
        }
        if self.run(payload).is_none() {
            self.is_broken = true;
            return Err(EncodeError::Deflate);
        }
        self.history.push(payload);
        if !self.direction.takeover {
            self.give_back();
        }
        Ok(&self.out)
    }

    /// Gives back room that a large message took.
    pub(crate) fn rest(&mut self) {
        if self.out.capacity() > KEPT_BYTES {
            self.out = Vec::new();
        }
    }

    /// Gives back all but the window.
    pub(crate) fn idle(&mut self) {
        self.give_back();
        self.out = Vec::new();
    }

    fn give_back(&mut self) {
        if let Some(stream) = self.stream.take().filter(|_| !self.is_broken) {
            self.kind.give(stream);
        }
    }

    /// Compresses `payload` into `out`; `None` if the library fails.
    fn run(&mut self, payload: &[u8]) -> Option<()> {
        self.make_ready()?;
        let (stream, out) = (self.stream.as_mut()?, &mut self.out);
        let mut rest = payload;
        loop {
            let start = out.len();
            out.resize(start + (rest.len() + rest.len() / 8 + OVERHEAD_BYTES).min(STEP_BYTES), 0);
            let room = out.get_mut(start..)?;
            let (len, before) = (room.len(), (stream.total_in(), stream.total_out()));
            stream.compress(rest, room, DeflateFlush::SyncFlush).ok()?;
            let wrote = usize::try_from(stream.total_out() - before.1).ok()?;
            rest = rest.get(usize::try_from(stream.total_in() - before.0).ok()?..)?;
            out.truncate(start + wrote);
            if wrote < len {
                break;
            }
        }
        let is_complete = rest.is_empty() && out.ends_with(&TAIL);
        out.truncate(out.len().saturating_sub(TAIL.len()));
        is_complete.then_some(())
    }

    /// Makes the stream ready for a message.
    fn make_ready(&mut self) -> Option<()> {
        if self.stream.is_some() {
            return Some(());
        }
        let mut stream = self.kind.take();
        let window = self.history.bytes();
        if !window.is_empty() {
            stream.set_dictionary(window).ok()?;
        }
        self.stream = Some(stream);
        Some(())
    }
}
