//! Compression of messages, `permessage-deflate`. Source: RFC 7692, `spec/websocket.md` 10.
//!
//! [`DeflateOptions`] say what is wanted; what comes of an opening handshake is a [`Deflate`], and a
//! [`Decoder`](crate::Decoder) and an [`Encoder`](crate::Encoder) that are given one of those compress. Both sides make
//! their state with the first compressed message, and both can give most of it back between messages
//! ([`Encoder::idle`](crate::Encoder::idle)): what is left then is the window, which the state is made anew from. Where
//! messages stand for themselves they do so behind every one.

mod compress;
mod history;
mod inflate;
mod negotiation;
mod spare;

pub(crate) use compress::Compressor;
pub(crate) use inflate::Inflater;
pub use negotiation::{DeflateError, DeflateOptions};

/// What a flush of a deflate stream ends with; it is not sent. Source: RFC 7692, section 7.2.1.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The largest window, in bits, which is also what holds where nothing else was agreed.
const MAX_WINDOW_BITS: u8 = 15;

/// The smallest window that a deflate library can be told to keep to when it compresses.
const MIN_WINDOW_BITS: u8 = 9;

/// What both ends of a connection have agreed on, and how we compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    /// How we compress.
    pub(crate) ours: Direction,
    /// How the peer compresses.
    pub(crate) theirs: Direction,
    pub(crate) level: u8,
    pub(crate) memory_level: u8,
    pub(crate) min_bytes: usize,
    pub(crate) max_inflated_bytes: usize,
}

/// What was agreed for the messages of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction {
    /// Size of the window in bits, 8 to 15.
    pub(crate) window_bits: u8,
    /// The window is kept from message to message.
    pub(crate) takeover: bool,
}

impl Direction {
    /// Bytes of earlier messages that a message may refer to.
    fn window_bytes(self) -> usize {
        if self.takeover { 1 << self.window_bits.min(MAX_WINDOW_BITS) } else { 0 }
    }
}

impl Deflate {
    /// What compressed messages of ours depend on besides their content, if that is the same for all connections with
    /// the same options: the bits of our window. `None` where a message depends on those before it.
    pub fn shared_window_bits(&self) -> Option<u8> {
        (!self.ours.takeover).then_some(self.ours.window_bits)
    }
}
