//! `base64` and `json`: texts that hold something else (`spec/language-script.md` 9.4).

use super::{Example, Kind, Matcher};
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use std::sync::Arc;
use tremor_value::{Value, json::Parser};

pub(super) const BASE64: Kind = Kind {
    name: "base64",
    body: "empty; ignored",
    summary: "Matches base64 of the standard alphabet, with or without padding. The result is the decoded text; bytes that are not \
              UTF-8 have none, so where it is asked for they do not match.",
    examples: &[
        Example { body: "", text: "aGk=", result: Some(r#""hi""#) },
        Example { body: "", text: "aGk", result: Some(r#""hi""#) },
        Example { body: "", text: "a?b", result: None },
    ],
    contextual: false,
    compile: |_| Ok(Arc::new(Base64)),
};

pub(super) const JSON: Kind = Kind {
    name: "json",
    body: "empty; ignored",
    summary: "Matches a text that is one JSON value, with white space around it or without. The result is the value. \
              Arrays and records may be nested 512 deep; integers of more \
              than 64 bits and numbers that no float holds do not match.",
    examples: &[
        Example { body: "", text: r#"{"a": [1, 2.0]}"#, result: Some(r#"{"a":[1,2.0]}"#) },
        Example { body: "", text: "{]", result: None },
    ],
    contextual: false,
    compile: |_| Ok(Arc::new(Json)),
};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Debug)]
struct Base64;

impl Matcher for Base64 {
    fn test(&self, text: &str) -> bool {
        ENGINE.decode(text).is_ok()
    }

    fn extract(&self, text: &str, _: u64) -> Option<Value> {
        let bytes = ENGINE.decode(text).ok()?;
        String::from_utf8(bytes).ok().map(Value::from)
    }
}

#[derive(Debug)]
struct Json;

impl Matcher for Json {
    fn test(&self, text: &str) -> bool {
        Parser::new().accepts(text.as_bytes())
    }

    fn extract(&self, text: &str, _: u64) -> Option<Value> {
        Parser::new().parse(text.as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_that_are_no_text_match_and_have_no_result() {
        assert!(Base64.test("/w=="));
        assert_eq!(Base64.extract("/w==", 0), None);
        assert!(!Base64.test("aGk=="));
        assert!(Base64.test(""));
    }

    #[test]
    fn one_json_value_and_nothing_else() {
        let deep = "[".repeat(100_000);
        for (text, expected) in [
            (" 1 ", true),
            ("1 2", false),
            ("", false),
            ("1e999", false),
            ("[1]x", false),
            (deep.as_str(), false),
        ] {
            assert_eq!(Json.test(text), expected);
            assert_eq!(Json.extract(text, 0).is_some(), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn json_is_tested_as_it_is_parsed(text in "[\\[\\]{}\",:0-9.eE+a\\\\u -]{0,12}") {
            prop_assert_eq!(Json.test(&text), Json.extract(&text, 0).is_some());
        }
    }
}
