//! A separator behind every chunk (`spec/codecs.md` D.1).

use crate::{Case, Chunks, Example, Field, FieldType, Postprocessor, ProcessError, Spec, make_postprocessor};

pub(super) const SPEC: Spec<dyn Postprocessor> = Spec {
    name: "separate",
    aliases: &["lines", "join"],
    summary: "Appends a byte to every chunk, by default a line feed.",
    fields: &[
        Field {
            name: "separator",
            kind: FieldType::String,
            default: Some(r#""\n""#),
            text: "Exactly one byte.",
        },
        Field {
            name: "buffered",
            kind: FieldType::Bool,
            default: Some("true"),
            text: "Without effect; accepted so that the preprocessor's config can be used here.",
        },
    ],
    examples: &[
        Example { config: "", case: Case::Process { input: &[b"one", b""], output: &[b"one\n", b"\n"] } },
        Example {
            config: r#"{"separator": "|"}"#,
            case: Case::Process { input: &[b"one"], output: &[b"one|"] },
        },
    ],
    build: |given| {
        let separator = given.config.separator()?;
        Ok(make_postprocessor(move || Separate { separator: [separator] }))
    },
};

struct Separate {
    separator: [u8; 1],
}

impl Postprocessor for Separate {
    fn process(&mut self, _ingest_ns: u64, chunk: &[u8], out: &mut Chunks) -> Result<(), ProcessError> {
        out.buffer_mut().extend_from_slice(chunk);
        out.push(&self.separator);
        Ok(())
    }

    fn suffix(&self) -> Option<&[u8]> {
        Some(&self.separator)
    }

    fn is_stateless(&self) -> bool {
        true
    }
}
