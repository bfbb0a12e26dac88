//! Messages from the peer.

use super::{
    Deflate, Direction, MAX_WINDOW_BITS, TAIL,
    history::History,
    spare::{give_inflating, take_inflating},
};
use crate::error::ProtocolError;
use zlib_rs::{Inflate, InflateFlush, Status};

/// Bytes that are inflated at once.
const CHUNK_BYTES: usize = 8192;

/// A block without bytes, which is not the last one, if it begins with a byte.
const EMPTY_BLOCK: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// Inflates the messages of one connection, each in pieces that may be cut anywhere.
#[derive(Debug)]
pub(crate) struct Inflater {
    direction: Direction,
    history: History,
    /// Made for the first message, and whenever it was given back: behind every message if those stand for themselves, or
    /// share a window that is smaller than that of the library.
    state: Option<Box<State>>,
    /// Where the deflate stream is.
    position: Position,
    /// It was stopped while there was more to come out.
    holds_more: bool,
}

/// Where a deflate stream is, as far as that is known outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Between messages, or in a message of which nothing has come yet.
    BetweenMessages,
    /// Somewhere in a message.
    InMessage,
    /// In a message, right behind a block that says that it is the last. Whatever follows begins a new stream, but the
    /// window that messages share goes on.
    BehindFinalBlock,
}

pub(super) struct State {
    inflate: Inflate,
    chunk: [u8; CHUNK_BYTES],
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn new() -> Box<Self> {
        // A window that is larger than agreed does no harm inside of a message, and this library has no smaller ones.
        Box::new(Self { inflate: Inflate::new(false, MAX_WINDOW_BITS), chunk: [0; CHUNK_BYTES] })
    }

    /// Begins a new stream in the window `history`.
    fn restart(&mut self, history: &mut History) -> Result<(), ProtocolError> {
        self.inflate.reset(false);
        match history.bytes() {
            [] => Ok(()),
            window => self.inflate.set_dictionary(window).map(drop).map_err(|_| ProtocolError::InflateFailed),
        }
    }
}

impl Inflater {
    /// For a fresh connection.
    pub(crate) fn new(deflate: &Deflate) -> Self {
        let direction = deflate.theirs;
        let history = History::new(direction.window_bytes());
        Self { direction, history, state: None, position: Position::BetweenMessages, holds_more: false }
    }

    /// Takes the next bytes of a message and gives `sink` what they inflate to, at most 8 KiB at a time and in all not
    /// much more than `budget`, which becomes less by that. Gives how much of `input` was taken: what is left, and what
    /// [is held](Self::holds_more), is for another call.
    ///
    /// # Errors
    /// [`ProtocolError::InflateFailed`] for bytes that are no deflate stream, and whatever `sink` gives.
    pub(crate) fn push(
        &mut self,
        input: &[u8],
        budget: &mut usize,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<usize, ProtocolError> {
        let mut taken = 0;
        while (taken < input.len() || self.holds_more) && *budget > 0 {
            let rest = input.get(taken..).unwrap_or_default();
            taken += self.step(rest, InflateFlush::NoFlush, budget, sink)?;
        }
        Ok(taken)
    }

    /// Whether bytes that were taken inflate to more than was given so far.
    pub(crate) fn holds_more(&self) -> bool {
        self.holds_more
    }

    /// The message is complete; the rest goes to `sink`.
    ///
    /// # Errors
    /// As for [`push`](Self::push); [`ProtocolError::InflateFailed`] also if the stream stops inside of a block.
    pub(crate) fn finish(
        &mut self,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        // Nothing was begun that the tail could end.
        if self.position == Position::InMessage {
            // Asked to stop at the end of a block, the library leaves what is behind the tail alone, if that is one.
            let [first, second, third, fourth] = TAIL;
            let input = [first, second, third, fourth, 0];
            // Not much comes of so few bytes, and it counts only if the tail ends a block: what is behind it was never sent.
            let (mut unlimited, mut end) = (usize::MAX, Vec::new());
            let mut keep = |inflated: &[u8]| {
                end.extend_from_slice(inflated);
                Ok(())
            };
            let read = self.step(&input, InflateFlush::Block, &mut unlimited, &mut keep)?;
            if read != TAIL.len() || self.position != Position::InMessage {
                return Err(ProtocolError::InflateFailed);
            }
            // A block with codes can end inside of the last byte. The bits behind it, all of them set, would stand in front
            // of the next message, but only in a state that is kept: here they would make the header of this empty block
            // one of a last block, or of none.
            let read = self.step(&EMPTY_BLOCK, InflateFlush::NoFlush, &mut unlimited, &mut keep)?;
            if read != EMPTY_BLOCK.len() || self.position != Position::InMessage {
                return Err(ProtocolError::InflateFailed);
            }
            if !end.is_empty() {
                sink(&end)?;
            }
        }
        // The library has but one size of window: only what is begun anew with every message keeps to a smaller one.
        if !self.direction.takeover || self.direction.window_bits < MAX_WINDOW_BITS {
            self.state.take().into_iter().for_each(give_inflating);
        } else if let Some(state) = &mut self.state
            && self.position == Position::BehindFinalBlock
        {
            state.restart(&mut self.history)?;
        }
        self.position = Position::BetweenMessages;
        Ok(())
    }

    /// Gives back all but the window, unless a message is under way.
    pub(crate) fn idle(&mut self) {
        if self.position == Position::BetweenMessages {
            self.state.take().into_iter().for_each(give_inflating);
        }
    }

    /// Inflates as much of `input` as `budget` allows and as goes without beginning a new stream; gives how much that was.
    fn step(
        &mut self,
        input: &[u8],
        flush: InflateFlush,
        budget: &mut usize,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<usize, ProtocolError> {
        let is_new = self.state.is_none();
        let state = self.state.get_or_insert_with(take_inflating);
        if is_new || self.position == Position::BehindFinalBlock {
            state.restart(&mut self.history)?;
        }
        self.position = Position::InMessage;
        self.holds_more = false;
        let mut taken = 0;
        loop {
            let State { inflate, chunk } = &mut **state;
            let before = (inflate.total_in(), inflate.total_out());
            let rest = input.get(taken..).unwrap_or_default();
            let status = inflate.decompress(rest, chunk, flush);
            let count = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
            taken += count(inflate.total_in(), before.0);
            // What came out in front of an error may be the worse mistake, however the input was cut.
            let inflated = chunk.get(..count(inflate.total_out(), before.1)).unwrap_or_default();
            if !inflated.is_empty() {
                sink(inflated)?;
                self.history.push(inflated);
            }
            *budget = budget.saturating_sub(inflated.len());
            match status.map_err(|_| ProtocolError::InflateFailed)? {
                Status::StreamEnd => {
                    self.position = Position::BehindFinalBlock;
                    return Ok(taken);
                }
                // With room to spare, all is out that could be.
                Status::Ok | Status::BufError => {
                    if inflated.len() < CHUNK_BYTES {
                        return if taken == input.len() || flush == InflateFlush::Block {
                            Ok(taken)
                        } else {
                            Err(ProtocolError::InflateFailed)
                        };
                    }
                    if *budget == 0 {
                        self.holds_more = true;
                        return Ok(taken);
                    }
                }
            }
        }
    }
}
