//! Frames made ahead, and frames counted. Source of the shapes: RFC 6455, section 5.2.

use crate::error::{Error, Result};

/// Length of every message.
pub(super) const PAYLOAD_BYTES: usize = 100;
/// Header of an answer of that length: flags and opcode, length.
pub(super) const HEADER_BYTES: usize = 2;
/// A frame of a client has four bytes of mask between header and payload.
const FRAME_BYTES: usize = HEADER_BYTES + 4 + PAYLOAD_BYTES;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const MASKED: u8 = 0x80;

/// The text of message `number`: compact JSON of [`PAYLOAD_BYTES`] bytes for numbers below 10 000.
pub(super) fn payload(number: u64) -> Vec<u8> {
    let text = format!(
        "{{\"id\":{},\"name\":\"sensor {number:04}\",\"value\":{}.5,\"tags\":[\"a\",\"b\"],\"ok\":true,\"note\":\"",
        1_000_000 + number,
        10 + number % 90,
    );
    let filling = PAYLOAD_BYTES.saturating_sub(text.len() + 2);
    format!("{text}{}\"}}", "x".repeat(filling)).into_bytes()
}

/// Masked frames in a circle, and how much of them is to be sent.
pub(super) struct Ring {
    /// The frames of one round, twice, so that every piece of up to one round is one slice.
    bytes: Vec<u8>,
    /// Where the next byte to send is, within the first round.
    at: usize,
    owed: usize,
}

impl Ring {
    /// As many different frames as can be in flight.
    pub(super) fn new(in_flight: u64) -> Self {
        Self::beginning_with(0, in_flight)
    }

    /// The same, beginning with another message than the first one.
    pub(super) fn beginning_with(first: u64, in_flight: u64) -> Self {
        let mut bytes = Vec::new();
        for number in first..first + in_flight {
            bytes.extend_from_slice(&frame(number));
        }
        bytes.extend_from_within(..);
        Self { bytes, at: 0, owed: 0 }
    }

    /// So many more frames are to be sent. The sum may not pass the number of frames in the circle.
    pub(super) fn owe(&mut self, frames: u64) {
        self.owed += usize::try_from(frames).unwrap_or(usize::MAX / FRAME_BYTES) * FRAME_BYTES;
    }

    /// Whether anything is to be sent.
    pub(super) fn owing(&self) -> bool {
        self.owed > 0
    }

    /// What is to be sent.
    pub(super) fn owed(&self) -> &[u8] {
        self.bytes.get(self.at..self.at + self.owed).unwrap_or_default()
    }

    /// The first `bytes` of [`Self::owed`] have been sent.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_sub(bytes);
        self.at = (self.at + bytes) % (self.bytes.len() / 2);
    }
}

/// A whole masked text frame.
pub(super) fn frame(number: u64) -> Vec<u8> {
    let key = (0x9e37_79b9_u32 ^ u32::try_from(number).unwrap_or_default()).to_be_bytes();
    let payload = payload(number);
    let length = u8::try_from(payload.len()).unwrap_or_default();
    let mut frame = vec![FIN | TEXT, MASKED | length];
    frame.extend_from_slice(&key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Counts the answers in a stream that may be cut anywhere.
#[derive(Default)]
pub(super) struct Counter {
    first: Option<u8>,
    payload_left: usize,
    /// Whether the frame under way is an answer.
    answer: bool,
}

impl Counter {
    /// Returns how many answers `bytes` completes. Pings and pongs are passed over, unanswered.
    ///
    /// # Errors
    /// Anything that is not a whole message of [`PAYLOAD_BYTES`] bytes in one frame.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<u64> {
        let mut answers = 0;
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let taken = self.payload_left.min(bytes.len());
                self.payload_left -= taken;
                bytes = bytes.get(taken..).unwrap_or_default();
                answers += u64::from(self.answer && self.payload_left == 0);
            } else if let Some((byte, rest)) = bytes.split_first() {
                bytes = rest;
                match self.first.take() {
                    None => self.first = Some(*byte),
                    Some(first) => self.begin(first, *byte)?,
                }
            }
        }
        Ok(answers)
    }

    fn begin(&mut self, first: u8, second: u8) -> Result<()> {
        let (opcode, length) = (first & 0xf, usize::from(second));
        self.payload_left = length;
        self.answer = opcode < CLOSE;
        let whole = first & FIN != 0 && first & RESERVED == 0;
        let control = opcode > CLOSE && length < 126;
        if whole && (control || ((opcode == TEXT || opcode == BINARY) && length == PAYLOAD_BYTES)) {
            Ok(())
        } else {
            Err(Error::Answer(format!("a frame that begins with the bytes {first:#04x} {second:#04x}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(number: u64) -> Vec<u8> {
        let mut bytes = vec![FIN | BINARY, 100];
        bytes.extend_from_slice(&payload(number));
        bytes
    }

    #[test]
    fn payloads_are_json_of_one_length() {
        for number in [0, 9, 63, 9_999] {
            let payload = payload(number);
            assert_eq!(payload.len(), PAYLOAD_BYTES);
            let value: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(value["id"], 1_000_000 + number);
            assert_eq!(value.to_string().len(), PAYLOAD_BYTES);
        }
    }

    #[test]
    fn answers_are_counted_however_the_stream_is_cut() {
        let mut stream = answer(1);
        stream.extend_from_slice(&[FIN | 0x9, 2, 0, 0]); // a ping
        stream.extend_from_slice(&[FIN | 0xa, 0]); // an empty pong
        stream.extend_from_slice(&answer(2));
        for cut in 0..=stream.len() {
            let (head, tail) = stream.split_at(cut);
            let mut counter = Counter::default();
            assert_eq!(counter.feed(head).unwrap() + counter.feed(tail).unwrap(), 2, "cut at {cut}");
        }
        let mut counter = Counter::default();
        assert_eq!(stream.chunks(1).map(|byte| counter.feed(byte).unwrap()).sum::<u64>(), 2);
    }

    #[test]
    fn other_frames_are_refused() {
        for header in [
            [TEXT, 100],
            [FIN | TEXT, 99],
            [FIN | TEXT, MASKED | 100],
            [FIN | CLOSE, 2],
            [0xc1, 100],
            [FIN, 100],
        ] {
            assert!(Counter::default().feed(&header).is_err(), "{header:?}");
        }
    }

    #[test]
    fn the_ring_goes_round() {
        let mut ring = Ring::new(3);
        let frames: Vec<u8> = (0..3).flat_map(frame).collect();
        ring.owe(2);
        ring.wrote(2 * FRAME_BYTES - 5);
        assert_eq!(ring.owed(), &frames[2 * FRAME_BYTES - 5..2 * FRAME_BYTES]);
        ring.owe(2);
        let expected = [&frames[2 * FRAME_BYTES - 5..], &frames[..FRAME_BYTES]].concat();
        assert_eq!(ring.owed(), expected);
        ring.wrote(expected.len());
        assert!(!ring.owing());
        ring.owe(3);
        assert_eq!(ring.owed().len(), frames.len());
    }
}
