//! Bytes on their way into a byte stream.

use crate::outbox::Messages;
use std::io::IoSlice;

/// Payloads and shared frames from that size on are written from where they are.
pub(super) const LOOSE_BYTES: usize = 32 * 1024;

/// Framed bytes, and between them large payloads of messages, which are not copied.
///
/// Places are counted in bytes of the stream, from the first byte in here on.
#[derive(Default)]
pub(super) struct Framed {
    bytes: Vec<u8>,
    /// In order.
    loose: Vec<Loose>,
    loose_bytes: usize,
    /// How much of all is written.
    written: usize,
}

/// A payload, or a whole frame, that belongs in front of `bytes[before..]`.
#[derive(Clone, Copy)]
struct Loose {
    before: usize,
    /// Number of the message.
    message: usize,
    len: usize,
    /// It is the frame of this kind that is shared with other connections, not the payload alone.
    frame: Option<u8>,
}

impl Framed {
    /// How long all is.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + self.loose_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// Where framed bytes are appended.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Appends the payload of a message, `len` bytes, without its bytes.
    pub(super) fn push_loose(&mut self, message: usize, len: usize) {
        self.push(message, len, None);
    }

    /// Appends the frame of a message, `len` bytes, that it shares with other connections of this kind; without its bytes.
    pub(super) fn push_loose_frame(&mut self, (message, kind): (usize, u8), len: usize) {
        self.push(message, len, Some(kind));
    }

    fn push(&mut self, message: usize, len: usize, frame: Option<u8>) {
        self.loose.push(Loose { before: self.bytes.len(), message, len, frame });
        self.loose_bytes += len;
    }

    /// What is to be written next: framed bytes and the payload behind them, either of which may be empty.
    pub(super) fn next<'a>(&'a self, messages: &'a Messages) -> [IoSlice<'a>; 2] {
        let mut passed = 0;
        for loose in &self.loose {
            let start = passed + loose.before;
            if self.written < start + loose.len {
                let framed =
                    self.bytes.get(self.written.saturating_sub(passed).min(loose.before)..loose.before);
                let payload = messages.iter().nth(loose.message).and_then(|message| match loose.frame {
                    Some(kind) => message.shared().and_then(|shared| shared.framed(kind)),
                    None => Some(message.payload),
                });
                let rest = payload.and_then(|payload| payload.get(self.written.saturating_sub(start)..));
                return [framed, rest].map(|slice| IoSlice::new(slice.unwrap_or_default()));
            }
            passed += loose.len;
        }
        let framed = self.bytes.get(self.written - passed..);
        [framed, None].map(|slice| IoSlice::new(slice.unwrap_or_default()))
    }

    /// So many more bytes are written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
    }

    /// Drops what comes behind the first `len` bytes, which end a message.
    pub(super) fn truncate(&mut self, len: usize) {
        while let Some(last) = self.loose.last().filter(|_| self.len() > len) {
            let (before, start) = (last.before, self.loose_bytes - last.len + last.before);
            if start + last.len <= len {
                break;
            }
            self.loose_bytes -= last.len;
            self.bytes.truncate(before);
            self.loose.pop();
        }
        self.bytes.truncate(len.saturating_sub(self.loose_bytes));
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.loose.clear();
        (self.loose_bytes, self.written) = (0, 0);
    }

    /// Gives memory back beyond `keep_bytes` if it is empty.
    pub(super) fn trim(&mut self, keep_bytes: usize) {
        if self.is_empty() && (self.bytes.capacity() > keep_bytes || self.loose.capacity() > 0) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Payloads of messages, and whether each is loose; every message has a head, `number` times `h`.
    const LAYOUT: [(usize, bool); 6] =
        [(5, false), (40, true), (30, true), (0, false), (7, false), (20, true)];

    fn messages() -> Messages {
        let payloads = LAYOUT.map(|(len, _)| vec![b'p'; len]);
        Messages::of(payloads.iter().map(Vec::as_slice))
    }

    /// All of it, where each message ends, and the bytes that have to come out.
    fn framed() -> (Framed, Vec<usize>, Vec<u8>) {
        let (mut framed, mut ends, mut expected) = (Framed::default(), Vec::new(), Vec::new());
        for (number, (len, is_loose)) in LAYOUT.into_iter().enumerate() {
            framed.bytes().extend(vec![b'h'; number]);
            if is_loose {
                framed.push_loose(number, len);
            } else {
                framed.bytes().extend(vec![b'p'; len]);
            }
            expected.extend(vec![b'h'; number]);
            expected.extend(vec![b'p'; len]);
            ends.push(framed.len());
            assert_eq!(framed.len(), expected.len());
        }
        (framed, ends, expected)
    }

    fn write(framed: &mut Framed, messages: &Messages, step: usize, until: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while framed.written() < until {
            let all = framed.next(messages).map(|slice| slice.to_vec()).concat();
            let count = step.min(all.len()).min(until - framed.written());
            assert!(count > 0, "there is always a next byte");
            out.extend_from_slice(&all[..count]);
            framed.advance(count);
        }
        out
    }

    #[test]
    fn what_comes_out_does_not_depend_on_how_much_is_written_at_once() {
        for step in 1..120 {
            let (mut framed, _, expected) = framed();
            let len = framed.len();
            assert_eq!(write(&mut framed, &messages(), step, len), expected, "{step}");
            assert!(framed.next(&messages()).iter().all(|slice| slice.is_empty()));
            framed.clear();
            assert!(framed.is_empty() && framed.written() == 0);
        }
    }

    #[test]
    fn it_can_be_cut_behind_any_message_that_is_not_written() {
        let (_, ends, expected) = framed();
        for (number, end) in ends.into_iter().enumerate() {
            for written in 0..=end {
                let (mut framed, ..) = framed();
                let mut out = write(&mut framed, &messages(), 9, written);
                framed.truncate(end);
                framed.bytes().extend_from_slice(b"bye");
                let len = framed.len();
                out.extend(write(&mut framed, &messages(), 9, len));
                assert_eq!(out, [&expected[..end], b"bye"].concat(), "message {number}, {written} written");
            }
        }
    }
}
