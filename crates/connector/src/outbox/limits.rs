//! How much may wait for one connection, and what happens beyond.

use std::time::Duration;

/// How much waits for one connection at most, and what happens beyond (`spec/websocket.md` 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendQueue {
    /// Messages.
    pub messages: usize,
    /// Bytes of payload; one larger message passes alone.
    pub bytes: usize,
    /// What happens while it is full.
    pub when_full: WhenFull,
}

/// What happens while a [`SendQueue`] is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Whoever sends waits for room, however long that takes.
    Wait,
    /// Whoever sends waits for so long; then the peer counts as too slow and its connection is closed.
    WaitAtMost(Duration),
    /// The connection is closed at once.
    Close,
    /// What comes is dropped.
    DropNewest,
    /// What has waited longest is dropped.
    DropOldest,
    /// What waits under the same key is dropped; without that, what has waited longest.
    Conflate,
}

impl WhenFull {
    /// Whether messages are dropped that wait already: they were encoded, so the encoder must not build on them.
    #[must_use]
    pub fn drops_waiting(self) -> bool {
        matches!(self, Self::DropOldest | Self::Conflate)
    }
}

impl Default for SendQueue {
    fn default() -> Self {
        Self { messages: 1024, bytes: 1024 * 1024, when_full: WhenFull::Wait }
    }
}

/// What is shorter is copied, however little may wait.
const LEAST_SHARED_BYTES: usize = 1024 * 1024;

impl SendQueue {
    /// From that size on, a message that is the payload of its event, byte by byte, shares its memory. Such a message fills the
    /// queue, so there is one of them: a payload may be a part of what is many times as long, and keeps all of that.
    #[inline]
    pub(super) fn shared_bytes(&self) -> usize {
        self.bytes.max(LEAST_SHARED_BYTES)
    }

    /// Whether `messages` with `bytes` are more than four fifths of what there is room for.
    pub(super) fn is_pressed_by(&self, messages: usize, bytes: usize) -> bool {
        let is_beyond = |held: usize, most: usize| held.saturating_mul(5) > most.saturating_mul(4);
        is_beyond(messages, self.messages) || is_beyond(bytes, self.bytes)
    }

    /// Whether they are half of that at most: the pressure is over.
    pub(super) fn is_relieved_at(&self, messages: usize, bytes: usize) -> bool {
        messages <= self.messages / 2 && bytes <= self.bytes / 2
    }
}
