//! Bytes to base64 (`spec/codecs.md` D.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Case, Chunks, Example, Postprocessor, ProcessError, Spec, make_postprocessor};

pub(super) const SPEC: Spec<dyn Postprocessor> = Spec {
    name: "base64",
    aliases: &[],
    summary: "Encodes every chunk as base64 of the standard alphabet, with padding and without line breaks.",
    fields: &[],
    examples: &[Example {
        config: "",
        case: Case::Process { input: &[b"hi", b"", b"\x00\xff"], output: &[b"aGk=", b"", b"AP8="] },
    }],
    build: |_| Ok(make_postprocessor(|| Base64)),
};

struct Base64;

impl Postprocessor for Base64 {
    fn process(&mut self, _ingest_ns: u64, chunk: &[u8], out: &mut Chunks) -> Result<(), ProcessError> {
        let buffer = out.buffer_mut();
        let start = buffer.len();
        buffer.resize(start + base64::encoded_len(chunk.len(), true).unwrap_or_default(), 0);
        if let Some(room) = buffer.get_mut(start..) {
            // The room is exactly as long as the text, so this cannot fail.
            let written = STANDARD.encode_slice(chunk, room).unwrap_or_default();
            buffer.truncate(start + written);
        }
        out.end_chunk();
        Ok(())
    }

    fn is_stateless(&self) -> bool {
        true
    }
}
