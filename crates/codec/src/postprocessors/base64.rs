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
    build: |_| Ok(make_postprocessor(|| Base64 { text: String::new() })),
};

struct Base64 {
    /// Kept for its memory.
    text: String,
}

impl Postprocessor for Base64 {
    fn process(&mut self, _ingest_ns: u64, chunk: &[u8], out: &mut Chunks) -> Result<(), ProcessError> {
        self.text.clear();
        STANDARD.encode_string(chunk, &mut self.text);
        out.push(self.text.as_bytes());
        Ok(())
    }
}
