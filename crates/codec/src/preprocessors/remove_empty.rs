//! No empty chunks (`spec/codecs.md` C.2).

use bytes::Bytes;

use crate::{Case, Example, Pieces, Preprocessor, ProcessError, Spec, make_preprocessor};

pub(super) const SPEC: Spec<dyn Preprocessor> = Spec {
    name: "remove-empty",
    aliases: &[],
    summary: "Drops chunks of length zero, passes all others.",
    fields: &[],
    examples: &[Example {
        config: "",
        case: Case::Process { input: &[b"one", b"", b" ", b""], output: &[b"one", b" "] },
    }],
    build: |_| Ok(make_preprocessor(|| RemoveEmpty)),
};

struct RemoveEmpty;

impl Preprocessor for RemoveEmpty {
    fn process(&mut self, chunk: Bytes, out: &mut Pieces) -> Result<(), ProcessError> {
        if !chunk.is_empty() {
            out.push(chunk);
        }
        Ok(())
    }
}
