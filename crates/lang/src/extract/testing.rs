//! What the tests of all kinds use.

use super::{Extractor, Kind};
use crate::function::Context;
use proptest::prelude::*;
use std::sync::Arc;

/// The extractor of a body that is not refused.
pub(super) fn compile(kind: &Kind, body: &str) -> Arc<dyn Extractor> {
    (kind.compile)(body).unwrap_or_else(|reason| panic!("{}|{body}|: {reason}", kind.name))
}

/// The result as JSON, or `no match`. The test has to say the same.
pub(super) fn result(kind: &Kind, body: &str, text: &str) -> String {
    let extractor = compile(kind, body);
    let result = extractor.extract(text, &Context::new(0, None, None)).unwrap();
    assert_eq!(extractor.test(text).unwrap(), result.is_some(), "{}|{body}| on {text:?}", kind.name);
    result.map_or_else(|| "no match".to_owned(), |value| value.to_string())
}

/// Why a body is refused.
pub(super) fn refused(kind: &Kind, body: &str) -> String {
    match (kind.compile)(body) {
        Ok(extractor) => panic!("{}|{body}| compiles to {extractor:?}", kind.name),
        Err(reason) => reason,
    }
}

/// Test and extraction agree, if the body is not refused.
pub(super) fn check(kind: &Kind, body: &str, text: &str) {
    if (kind.compile)(body).is_ok() {
        result(kind, body, text);
    }
}

/// Bodies that look like those of some kind, with mistakes.
pub(super) fn hostile_body() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(
            [
                "%{key}",
                "%{val}",
                "%{",
                "}",
                "%",
                "\\",
                "\\n",
                "\\\\",
                "%{a}",
                "%{a:int}",
                "%{+a}",
                "%{?a}",
                "%{&a}",
                "%{_}",
                "%{_(",
                ")}",
                "(",
                ")",
                "[",
                "]",
                "*",
                "+",
                "?",
                "(?<a>",
                "(?:",
                "%{WORD:w}",
                "%{INT}",
                "{3}",
                "{2,1}",
                "(?>",
                "(?<!",
                "(?=",
                "\\1",
                "\\g<0>",
                "\\k<a>",
                "|",
                "%Y",
                "%m",
                "%d",
                "%H:%M:%S",
                "%z",
                "%+",
                "%s",
                "%:",
                "%.3f",
                "10.0.0.0/8",
                "/",
                ",",
                ".",
                "10",
                "256",
                "é",
                "::",
            ]
            .to_vec()
        )
        .prop_map(str::to_owned),
        ".{0,3}",
        "[ -~]{0,3}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Texts that come near to what some kind matches.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,30}",
        "[ -~]{0,30}",
        "[ab:= &;|1.-]{0,30}",
        "[0-9:/. T+-]{0,30}",
        "20[0-9]{2}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9]:[0-5][0-9](Z|[+-][01][0-9]:?[0-5]0)?",
        "[0-9]{1,3}(\\.[0-9]{1,3}){0,4}(/[0-9]{1,3})?",
        "[0-9a-f:]{0,12}(/[0-9]{1,3})?",
        "[a-z]{0,3}(,[a-z\\\\]{0,2}=[a-z\\\\]{0,2}){0,2} ([a-z]{0,2}=(-?[0-9]{1,3}(\\.[0-9])?i?|t|true|\"[a-z\\\\\"]{0,3}\"),?){0,3}( [0-9]{1,3})?",
    ]
}
