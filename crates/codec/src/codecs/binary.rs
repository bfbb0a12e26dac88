//! Raw bytes (`spec/codecs.md` A.6).

use bytes::Bytes;
use tremor_value::{Content, MetaRef, Value};

use crate::{Case, Codec, CodecError, Decoded, Decoding, Example, Sample, Spec, make_codec};

/// Shorter chunks are copied: a value that is kept should not keep a whole read buffer with it.
const SHARE_FROM_BYTES: usize = 4096;

pub(super) const SPEC: Spec<dyn Codec> = Spec {
    name: "binary",
    aliases: &["bytes"],
    summary: "One chunk is one bytes value. Strings and bytes are encoded as they are, other values as JSON.",
    fields: &[],
    examples: &[
        Example { config: "", case: Case::Both { bytes: b"\x00\xff", value: Sample::Bytes(b"\x00\xff") } },
        Example { config: "", case: Case::Encode { value: Sample::Json(r#""text""#), bytes: b"text" } },
        Example { config: "", case: Case::Encode { value: Sample::Json("[1, 2]"), bytes: b"[1,2]" } },
    ],
    build: |_| Ok(make_codec(|| Binary)),
};

struct Binary;

impl Codec for Binary {
    fn decode(&mut self, chunk: Bytes, _decoding: &mut Decoding) -> Result<Decoded, CodecError> {
        let bytes = if chunk.len() < SHARE_FROM_BYTES { Bytes::copy_from_slice(&chunk) } else { chunk };
        Ok(Decoded::Value(Value::from(bytes).into()))
    }

    fn encode(
        &mut self,
        content: Content<'_>,
        _meta: MetaRef<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        match content.as_value().and_then(Value::as_text_bytes) {
            Some(bytes) => out.extend_from_slice(bytes),
            None => content.write_json(out),
        }
        Ok(())
    }

    fn passes(&self, _content: Content<'_>) -> bool {
        true
    }

    fn is_stateless(&self) -> bool {
        true
    }
}
