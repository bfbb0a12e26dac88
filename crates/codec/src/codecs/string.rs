//! UTF-8 text (`spec/codecs.md` A.5).

use bytes::Bytes;
use tremor_value::{Content, MetaRef, Value};

use crate::{Case, Codec, CodecError, Decoded, Decoding, Example, Sample, Spec, make_codec};

pub(super) const SPEC: Spec<dyn Codec> = Spec {
    name: "string",
    aliases: &[],
    summary: "One chunk is one UTF-8 string, unchanged. Other values than strings are encoded as JSON.",
    fields: &[],
    examples: &[
        Example {
            config: "",
            case: Case::Both { bytes: b"hello\r\n", value: Sample::Json(r#""hello\r\n""#) },
        },
        Example { config: "", case: Case::Both { bytes: b"", value: Sample::Json(r#""""#) } },
        Example {
            config: "",
            case: Case::Encode { value: Sample::Json(r#"{"a": 1.0}"#), bytes: br#"{"a":1.0}"# },
        },
    ],
    build: |_| Ok(make_codec(|| Utf8)),
};

struct Utf8;

impl Codec for Utf8 {
    fn decode(&mut self, chunk: Bytes, _decoding: &mut Decoding) -> Result<Decoded, CodecError> {
        match simdutf8::compat::from_utf8(&chunk) {
            Ok(text) => Ok(Decoded::Value(Value::from(text).into())),
            Err(error) => Err(CodecError::NotUtf8 { offset: error.valid_up_to() }),
        }
    }

    fn encode(
        &mut self,
        content: Content<'_>,
        _meta: MetaRef<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        match content.as_value().and_then(Value::as_str) {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => content.write_json(out),
        }
        Ok(())
    }

    fn passes(&self, content: Content<'_>) -> bool {
        content.as_value().is_none()
    }

    fn is_stateless(&self) -> bool {
        true
    }
}
