//! What a peer may not have read of what it was sent.

use super::Pump;
use crate::duplex::Stream;
use tokio::time::Instant;

/// What is known of that where a connection is ended without the peer's goodbye.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Bytes that the peer's system had not taken.
    bytes: usize,
    /// Messages that it was sent lately.
    messages: u64,
}

impl Pump {
    /// Bytes that were given to the peer, or are about to, and that it is not known to have taken.
    pub(in crate::connection) fn untaken(&self, stream: &dyn Stream) -> Option<usize> {
        stream.untaken().map(|bytes| bytes + self.framed.len().saturating_sub(self.framed.written()))
    }

    /// Looks at how much was sent. To be called every second while anything is.
    pub(in crate::connection) fn note_sent(&mut self) {
        self.rare.lately.look(self.sent.0, Instant::now());
    }

    /// Our goodbye was sent behind all of that.
    pub(in crate::connection) fn note_goodbye(&mut self) {
        self.rare.lately.say_goodbye(self.sent.0, Instant::now());
    }

    /// The connection is ended without the peer's goodbye: whoever has not said that may not have read what is in front of
    /// ours.
    pub(in crate::connection) fn note_unread(&mut self, stream: &dyn Stream) {
        let has_messages = self.sent.0 > 0 || self.settled < self.ends.len();
        let bytes = if has_messages { self.untaken(stream).unwrap_or_default() } else { 0 };
        let messages = self.rare.lately.count(self.sent.0, Instant::now());
        self.rare.unread = Unread { bytes, messages };
    }

    /// What to say of that.
    pub(in crate::connection) fn unread(&self) -> Option<String> {
        let Unread { bytes, messages } = self.rare.unread;
        let last = match messages {
            0 => String::new(),
            1 => "the last message".to_owned(),
            messages => format!("the last {messages} messages"),
        };
        match (bytes, messages) {
            (0, 0) => None,
            (0, _) => Some(format!(
                "was ended before its peer had answered the Close: {last} that it was sent may not have been read"
            )),
            (_, 0) => Some(format!(
                "was ended before its peer had taken the last {bytes} bytes of what it was sent: they may be lost"
            )),
            _ => Some(format!(
                "was ended before its peer had taken the last {bytes} bytes of what it was sent: they may be lost, \
                 and {last} may not have been read"
            )),
        }
    }
}
