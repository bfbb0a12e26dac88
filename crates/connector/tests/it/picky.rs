//! A codec of numbers that refuses some.

use bytes::Bytes;
use tremor_codec::{Codec, CodecError, Decoded, Decoding, Spec, make_codec};
use tremor_value::{Content, MetaRef, Value};

/// What it refuses to encode.
pub(crate) const REFUSED: u64 = 13;

/// The codec.
pub(crate) const SPEC: Spec<dyn Codec> = Spec {
    name: "picky",
    aliases: &[],
    summary: "",
    fields: &[],
    examples: &[],
    build: |_| Ok(make_codec(|| Picky)),
};

struct Picky;

impl Codec for Picky {
    fn decode(&mut self, chunk: Bytes, _decoding: &mut Decoding) -> Result<Decoded, CodecError> {
        let number = std::str::from_utf8(&chunk).ok().and_then(|text| text.parse::<u64>().ok());
        match number {
            Some(number) => Ok(Decoded::Value(Value::from(number).into())),
            None if chunk.is_empty() => Ok(Decoded::Nothing),
            None => Err(CodecError::NotUtf8 { offset: 0 }),
        }
    }

    fn encode(
        &mut self,
        content: Content<'_>,
        _meta: MetaRef<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let number = content.value().as_u64().unwrap();
        if number == REFUSED {
            return Err(CodecError::NotUtf8 { offset: 0 });
        }
        out.extend_from_slice(number.to_string().as_bytes());
        Ok(())
    }
}
