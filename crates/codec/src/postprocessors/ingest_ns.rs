//! The ingest time in front of every chunk (`spec/codecs.md` D.8).

use crate::{Case, Chunks, Example, Postprocessor, ProcessError, Spec, make_postprocessor};

pub(super) const SPEC: Spec<dyn Postprocessor> = Spec {
    name: "ingest-ns",
    aliases: &["ingest-ts", "attach-ingress-ts"],
    summary: "Puts the event's ingest time in front of every chunk, as a big-endian 64-bit integer.",
    fields: &[],
    examples: &[Example {
        config: "",
        case: Case::Process { input: &[b"hi"], output: &[b"\0\0\0\0\0\0\0\x2ahi"] },
    }],
    build: |_| Ok(make_postprocessor(|| IngestNs)),
};

struct IngestNs;

impl Postprocessor for IngestNs {
    fn process(&mut self, ingest_ns: u64, chunk: &[u8], out: &mut Chunks) -> Result<(), ProcessError> {
        out.buffer_mut().extend_from_slice(&ingest_ns.to_be_bytes());
        out.push(chunk);
        Ok(())
    }

    fn is_stateless(&self) -> bool {
        true
    }
}
