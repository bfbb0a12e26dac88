//! JSON documents (`spec/codecs.md` A.2).

use bytes::Bytes;
use tremor_value::{Content, MetaRef, json};

use crate::{
    Case, Codec, CodecError, Decoded, Decoding, Example, Field, FieldType, Sample, Spec, make_codec,
};

pub(super) const SPEC: Spec<dyn Codec> = Spec {
    name: "json",
    aliases: &["json-sorted"],
    summary: "One chunk is one JSON document. `json-sorted` is `json` with `mode` `sorted`.",
    fields: &[Field {
        name: "mode",
        kind: FieldType::String,
        default: Some(r#""unsorted""#),
        text: "Order of keys when encoding: `unsorted` keeps the record's own order, `sorted` orders keys by their bytes.",
    }],
    examples: &[
        Example {
            config: "",
            case: Case::Both {
                bytes: br#"{"b":1,"a":[true,null,1.0]}"#,
                value: Sample::Json(r#"{"b":1,"a":[true,null,1.0]}"#),
            },
        },
        Example {
            config: r#"{"mode": "sorted"}"#,
            case: Case::Encode {
                value: Sample::Json(r#"{"b":{"d":1,"c":2},"a":0}"#),
                bytes: br#"{"a":0,"b":{"c":2,"d":1}}"#,
            },
        },
        Example { config: "", case: Case::Encode { value: Sample::Bytes(b"hey"), bytes: br#""aGV5""# } },
    ],
    build: |given| {
        let default = if given.name == "json-sorted" { "sorted" } else { "unsorted" };
        let is_sorted = match given.config.string("mode").unwrap_or(default) {
            "unsorted" => false,
            "sorted" => true,
            mode => {
                return Err(format!(
                    "Unknown json codec mode: {mode}, can only be one of `sorted` or `unsorted`"
                ));
            }
        };
        Ok(make_codec(move || Json { parser: None, is_sorted }))
    },
};

struct Json {
    /// Made for the first document, and given back when nothing comes: who only writes has none, nor has who waits.
    parser: Option<Box<json::Parser>>,
    is_sorted: bool,
}

impl Codec for Json {
    fn decode(&mut self, chunk: Bytes, _decoding: &mut Decoding) -> Result<Decoded, CodecError> {
        Ok(Decoded::Value(self.parser.get_or_insert_default().document(chunk)?))
    }

    fn encode(
        &mut self,
        content: Content<'_>,
        _meta: MetaRef<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        match self.is_sorted {
            false => content.write_json(out),
            true => content.write_sorted_json(out),
        }
        Ok(())
    }

    fn passes(&self, content: Content<'_>) -> bool {
        !self.is_sorted && content.as_value().is_none()
    }

    fn rest(&mut self) {
        self.parser = None;
    }

    fn is_stateless(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every connection has two of them, and most wait.
    #[test]
    fn one_that_waits_is_two_words() {
        assert!(size_of::<Json>() <= 2 * size_of::<usize>());
        let mut json = Json { parser: Some(Box::default()), is_sorted: false };
        json.rest();
        assert!(json.parser.is_none());
    }
}
