//! Nothing at all (`spec/codecs.md` A.7).

use bytes::Bytes;
use tremor_value::{Content, MetaRef, Payload, Value};

use crate::{Case, Codec, CodecError, Decoded, Decoding, Example, Sample, Spec, make_codec};

pub(super) const SPEC: Spec<dyn Codec> = Spec {
    name: "null",
    aliases: &[],
    summary: "Every chunk is the value null, whatever its bytes; every value is encoded as an empty chunk.",
    fields: &[],
    examples: &[
        Example { config: "", case: Case::Decode { bytes: b"anything", value: Sample::Json("null") } },
        Example { config: "", case: Case::Encode { value: Sample::Json(r#"{"a": 1}"#), bytes: b"" } },
    ],
    build: |_| Ok(make_codec(|| Null)),
};

struct Null;

impl Codec for Null {
    fn decode(&mut self, _chunk: Bytes, _decoding: &mut Decoding) -> Result<Decoded, CodecError> {
        Ok(Decoded::Value(Payload::from(Value::Null)))
    }

    fn encode(
        &mut self,
        _content: Content<'_>,
        _meta: MetaRef<'_>,
        _out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        Ok(())
    }

    fn is_stateless(&self) -> bool {
        true
    }
}
