//! Base64 to bytes (`spec/codecs.md` C.3).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use crate::{Case, Example, Pieces, Preprocessor, ProcessError, Spec, make_preprocessor};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) const SPEC: Spec<dyn Preprocessor> = Spec {
    name: "base64",
    aliases: &[],
    summary: "Decodes base64 of the standard alphabet, with or without padding.",
    fields: &[],
    examples: &[Example {
        config: "",
        case: Case::Process { input: &[b"aGk=", b"aGk", b"AP8="], output: &[b"hi", b"hi", b"\x00\xff"] },
    }],
    build: |_| Ok(make_preprocessor(|| Base64)),
};

struct Base64;

impl Preprocessor for Base64 {
    fn process(&mut self, chunk: Bytes, out: &mut Pieces) -> Result<(), ProcessError> {
        match ENGINE.decode(&chunk) {
            Ok(bytes) => out.push(bytes.into()),
            Err(error) => return Err(ProcessError::Base64 { problem: error.to_string() }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;

    #[test]
    fn refuses_everything_else() {
        let make = testing::preprocessor("base64", "");
        for wrong in ["a GVs", "aGk=\n", "a", "aGk_", "=", "aGk==", "aG=k", "é"] {
            let results = testing::results_of(&make, &[wrong.as_bytes()]);
            let [Err(message)] = results.as_slice() else { panic!("{wrong}: {results:?}") };
            assert!(message.starts_with("invalid base64: "), "{message}");
        }
        testing::hostile_stream(make);
    }
}
