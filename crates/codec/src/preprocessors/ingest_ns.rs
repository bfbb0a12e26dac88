//! The ingest time in front of every chunk (`spec/codecs.md` C.5).

use bytes::Bytes;

use crate::{Case, Example, Pieces, Preprocessor, ProcessError, Spec, make_preprocessor};

pub(super) const SPEC: Spec<dyn Preprocessor> = Spec {
    name: "ingest-ns",
    aliases: &["ingest-ts", "attach-ingress-ts"],
    summary: "Takes the first 8 bytes of a chunk, a big-endian integer, as its ingest time in nanoseconds.",
    fields: &[],
    examples: &[Example {
        config: "",
        case: Case::Process {
            input: &[b"\0\0\0\0\0\0\0\x2ahello", b"\0\0\0\0\0\0\0\0"],
            output: &[b"hello", b""],
        },
    }],
    build: |_| Ok(make_preprocessor(|| IngestNs)),
};

struct IngestNs;

impl Preprocessor for IngestNs {
    fn process(&mut self, chunk: Bytes, out: &mut Pieces) -> Result<(), ProcessError> {
        let (time, _) = chunk.split_first_chunk::<8>().ok_or(ProcessError::NoIngestTime)?;
        out.set_ingest_ns(u64::from_be_bytes(*time));
        out.push(chunk.slice(time.len()..));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;

    #[test]
    fn refuses_short_chunks() {
        let make = testing::preprocessor("ingest-ns", "");
        let refused = vec![Err("Extract Ingest Ts Preprocessor: < 8 byte".to_owned())];
        assert_eq!(testing::results_of(&make, &[b"1234567"]), refused);
        assert_eq!(testing::results_of(&make, &[b""]), refused);
        testing::hostile_stream(make);
    }
}
