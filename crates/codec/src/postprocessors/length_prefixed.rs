//! A binary length in front of every chunk (`spec/codecs.md` D.5).

use crate::{Case, Chunks, Example, Postprocessor, ProcessError, Spec, make_postprocessor};

pub(super) const SPEC: Spec<dyn Postprocessor> = Spec {
    name: "length-prefixed",
    aliases: &["length-prefix"],
    summary: "Puts the length of every chunk in front of it, as a big-endian 64-bit integer.",
    fields: &[],
    examples: &[Example {
        config: "",
        case: Case::Process { input: &[b"hi", b""], output: &[b"\0\0\0\0\0\0\0\x02hi", b"\0\0\0\0\0\0\0\0"] },
    }],
    build: |_| Ok(make_postprocessor(|| LengthPrefixed)),
};

struct LengthPrefixed;

impl Postprocessor for LengthPrefixed {
    fn process(&mut self, _ingest_ns: u64, chunk: &[u8], out: &mut Chunks) -> Result<(), ProcessError> {
        // `usize` has at most 64 bits.
        out.buffer_mut().extend_from_slice(&(chunk.len() as u64).to_be_bytes());
        out.push(chunk);
        Ok(())
    }

    fn is_stateless(&self) -> bool {
        true
    }
}
