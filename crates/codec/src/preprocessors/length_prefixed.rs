//! Frames with a binary length in front (`spec/codecs.md` C.6).

use bytes::{Buf, Bytes, BytesMut};

use super::{shrink, take_all};
use crate::config::frame_len;
use crate::{Case, Example, Field, FieldType, Pieces, Preprocessor, ProcessError, Spec, make_preprocessor};

const HEADER_BYTES: usize = 8;

pub(super) const SPEC: Spec<dyn Preprocessor> = Spec {
    name: "length-prefixed",
    aliases: &["length-prefix"],
    summary: "Cuts a stream into frames of a big-endian 64-bit length and that many bytes.",
    fields: &[Field {
        name: "max_length",
        kind: FieldType::Unsigned,
        default: Some("67108864"),
        text: "Longest frame in bytes, without its header; 0: no limit.",
    }],
    examples: &[Example {
        config: "",
        case: Case::Process {
            input: &[b"\0\0\0\0\0\0\0\x02h", b"i\0\0\0\0\0\0\0\0\0\0"],
            output: &[b"hi", b""],
        },
    }],
    build: |given| {
        let max = given.config.limit("max_length").unwrap_or(64 * 1024 * 1024);
        Ok(make_preprocessor(move || LengthPrefixed { max, pending: BytesMut::new() }))
    },
};

struct LengthPrefixed {
    max: usize,
    /// The beginning of a frame with its header. Grows with what arrives, not with what is announced.
    pending: BytesMut,
}

impl LengthPrefixed {
    /// Cuts frames off the front of `bytes` while they are complete and find room.
    fn cut(&self, bytes: &mut Bytes, out: &mut Pieces) -> Result<(), ProcessError> {
        while !out.is_full()
            && let Some(len) = self.frame(bytes)?
        {
            bytes.advance(HEADER_BYTES);
            out.push(bytes.split_to(len));
        }
        Ok(())
    }

    /// Length of the frame in front, if it is complete.
    fn frame(&self, bytes: &[u8]) -> Result<Option<usize>, ProcessError> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let len = frame_len(u64::from_be_bytes(*header), self.max)?;
        Ok((rest.len() >= len).then_some(len))
    }

    /// Completes the frame that earlier chunks began, with as few bytes of `chunk` as it needs.
    fn complete(&mut self, chunk: &mut Bytes, out: &mut Pieces) -> Result<(), ProcessError> {
        let header_rest = HEADER_BYTES.saturating_sub(self.pending.len()).min(chunk.len());
        self.pending.extend_from_slice(&chunk.split_to(header_rest));
        let Some((header, begun)) = self.pending.split_first_chunk::<HEADER_BYTES>() else { return Ok(()) };
        let len = frame_len(u64::from_be_bytes(*header), self.max)?;
        let missing = len - begun.len().min(len);
        let is_complete = missing <= chunk.len();
        self.pending.extend_from_slice(&chunk.split_to(missing.min(chunk.len())));
        if is_complete {
            let mut frame = take_all(&mut self.pending);
            frame.advance(HEADER_BYTES);
            out.push(frame);
        }
        Ok(())
    }

    fn process_all(&mut self, mut chunk: Bytes, out: &mut Pieces) -> Result<(), ProcessError> {
        if !self.pending.is_empty() {
            self.complete(&mut chunk, out)?;
        }
        self.cut(&mut chunk, out)?;
        if out.is_full() {
            out.leave(chunk);
        } else {
            self.pending.extend_from_slice(&chunk);
        }
        Ok(())
    }
}

impl Preprocessor for LengthPrefixed {
    fn process(&mut self, chunk: Bytes, out: &mut Pieces) -> Result<(), ProcessError> {
        if let Err(error) = self.process_all(chunk, out) {
            // Where the next frame begins is unknown; the frames before are good.
            self.pending = BytesMut::new();
            out.fault(error);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Pieces) -> Result<(), ProcessError> {
        if !self.pending.is_empty() {
            let held = self.pending.len();
            out.warn(format_args!(
                "dropped an unfinished frame at the end of a stream: {held} bytes of it had come"
            ));
            self.pending = BytesMut::new();
        }
        Ok(())
    }

    fn rest(&mut self) {
        shrink(&mut self.pending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn make(config: &str) -> impl Fn() -> Box<dyn Preprocessor> {
        testing::preprocessor("length-prefixed", config)
    }

    #[test]
    fn conforms() {
        let wire = b"\0\0\0\0\0\0\0\x02hi\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01!\0\0\0\0\0\0\0\0";
        testing::framing(make(""), wire, &[b"hi", b"", b"!", b""]);
        testing::framing(make(r#"{"max_length": 2}"#), wire, &[b"hi", b"", b"!", b""]);
        testing::hostile_stream(make(""));
        testing::hostile_stream(make(r#"{"max_length": 0}"#));
    }

    #[test]
    fn refuses_what_is_too_long_and_keeps_the_frames_before() {
        let wire = b"\0\0\0\0\0\0\0\x02hi\0\0\0\0\0\0\0\x03hey";
        let refused = Err("the length prefix announces 3 bytes, more than the allowed 2".to_owned());
        let results = testing::results_of(&make(r#"{"max_length": 2}"#), &[wire]);
        assert_eq!(results, [Ok(b"hi".to_vec()), refused]);
        for header in [[0xff; 8], 0x0400_0001_u64.to_be_bytes()] {
            let results = testing::results_of(&make(""), &[&header, b"abc"]);
            assert!(matches!(results.as_slice(), [Err(_)]), "{results:?}");
        }
    }

    #[test]
    fn no_memory_is_reserved_for_announced_bytes() {
        let mut stage = LengthPrefixed { max: usize::MAX, pending: BytesMut::new() };
        let header = Bytes::copy_from_slice(&(1_u64 << 60).to_be_bytes());
        stage.process(header, &mut Pieces::default()).unwrap();
        assert!(stage.pending.capacity() < 1024);
    }

    #[test]
    fn no_memory_of_a_long_frame_is_kept_behind_it() {
        let mut stage = LengthPrefixed { max: 1 << 20, pending: BytesMut::new() };
        let mut out = Pieces::default();
        let mut give = |stage: &mut LengthPrefixed, bytes: Vec<u8>| {
            stage.process(bytes.into(), &mut out).unwrap();
            stage.pending.capacity()
        };
        let frame = [&(1_u64 << 19).to_be_bytes()[..], &vec![b'x'; (1 << 19) - 1]].concat();
        assert!(give(&mut stage, frame.clone()) >= 1 << 19);
        let room = give(&mut stage, b"x\0".to_vec());
        assert!(room < 1024, "behind a long frame: {room}");
        give(&mut stage, frame[1..].to_vec());
        stage.pending.reserve(4 << 20);
        stage.rest();
        assert_eq!(stage.pending.len(), frame.len(), "what is held is not lost");
        assert!(stage.pending.capacity() <= 2 * frame.len(), "while the stream is idle");
        give(&mut stage, b"x".to_vec());
        assert_eq!(give(&mut stage, vec![0xff; 8]), 0, "behind one that was too long");
    }
}
