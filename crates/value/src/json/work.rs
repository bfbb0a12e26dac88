//! Hostile documents cost no more per byte than others, however long they are.
//!
//! What is counted is blocks that are looked at, which is where all scanning of strings, keys, numbers and nested values
//! happens. What is not counted is bounded per byte or per key: white space is walked over byte by byte, once per pass;
//! a key is compared with the hashes of at most [`MAX_COMPARED`](super::skim) others, or sorted with those of its record.

use std::cell::Cell;

use super::{MAX_DEPTH, Parser, skim};
use crate::Bytes;

thread_local! {
    static LOOKS: Cell<usize> = const { Cell::new(0) };
}

/// One more block was looked at.
pub(super) fn count() {
    LOOKS.set(LOOKS.get() + 1);
}

/// Blocks that are looked at when `document` is checked, written, searched and built.
fn looks(document: &str) -> usize {
    LOOKS.set(0);
    let mut parser = Parser::new();
    let payload = parser.document(Bytes::copy_from_slice(document.as_bytes()));
    if let Ok(payload) = payload {
        let mut out = Vec::new();
        payload.write_json(&mut out);
        assert!(!payload.contains_path(["none", "deep"]));
        assert!(payload.get_path(["a", "none"]).is_none());
    }
    let _judged = parser.parse(document.as_bytes());
    LOOKS.get()
}

/// What `make` makes of a size costs at most eight blocks per byte, and twice the size at most twice as much.
#[track_caller]
fn is_linear(name: &str, make: impl Fn(usize) -> String) {
    let mut before = None;
    for size in [2_000, 4_000, 8_000, 16_000] {
        let document = make(size);
        let looks = looks(&document);
        assert!(looks <= 8 * document.len(), "{name}: {looks} blocks for {} bytes", document.len());
        let per_byte = looks as f64 / document.len() as f64;
        if let Some(before) = before.replace(per_byte) {
            assert!(per_byte <= before * 1.1, "{name}: {per_byte} blocks per byte after {before}");
        }
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

#[test]
fn strings_and_numbers_cost_what_their_bytes_cost() {
    is_linear("plain", |size| format!(r#"{{"a":"{}"}}"#, "x".repeat(size)));
    for escape in [r"\n", r"\u001F", r"\ud83d\ude00", r"\\", "é\\/"] {
        is_linear(escape, |size| format!(r#"{{"a":"{}"}}"#, escape.repeat(size)));
        is_linear("in keys", |size| format!(r#"{{"{}":1}}"#, escape.repeat(size)));
        is_linear("without an end", |size| format!(r#"{{"a":"{}"#, escape.repeat(size)));
    }
    is_linear("digits", |size| format!("[{}.0]", "1".repeat(size.min(300))) + &" ".repeat(size));
    is_linear("many digits", |size| format!("[0.{}]", "1".repeat(size)));
    is_linear("many numbers", |size| format!("[{}]", list((0..size).map(|number| format!("{number}.50e1")))));
    is_linear("white space", |size| format!("{{ \"a\" :{}1 }}", " \n".repeat(size)));
}

#[test]
fn keys_cost_what_their_bytes_cost() {
    is_linear("one long key", |size| format!(r#"{{"{}":1}}"#, "k".repeat(size)));
    is_linear("long keys that differ at the end", |size| {
        let key = "k".repeat(size);
        format!("{{{}}}", list((0..70).map(|number| format!(r#""{key}{number}":{number}"#))))
    });
    is_linear("many members", |size| {
        format!("{{{}}}", list((0..size).map(|number| format!(r#""{number}":0"#))))
    });
    is_linear("a key twice", |size| {
        format!(r#"{{{},"0":1}}"#, list((0..size).map(|number| format!(r#""{number}":0"#))))
    });
    is_linear("one key", |size| format!("{{{}}}", list((0..size).map(|_| r#""a":0"#.into()))));
    // Keys whose hashes have one bit in the mark of what was seen.
    let bit = |key: &str| skim::key(format!("{key}\"").as_bytes(), 0).unwrap().1 >> 58;
    let alike: Vec<String> =
        (0..100_000).map(|number| format!("{number:05}")).filter(|key| bit(key) == 7).take(66).collect();
    for count in [32, 33, 64, 65] {
        let record = format!("{{{}}}", list(alike.iter().take(count).map(|key| format!(r#""{key}":0"#))));
        is_linear("hashes that are alike", |size| {
            format!("[{}]", list((0..size / 20).map(|_| record.clone())))
        });
    }
}

#[test]
fn nesting_costs_what_its_bytes_cost() {
    is_linear("deep records of many keys", |size| {
        let keys = list((0..size / 500).map(|number| format!(r#""k{number}":1"#)));
        format!("{}1{}", format!(r#"{{{keys},"a":"#).repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH))
    });
    is_linear("keys behind what is deep", |size| {
        let keys = list((0..size / 500).map(|number| format!(r#""k{number}":1"#)));
        format!("{}1{}", r#"{"a":"#.repeat(MAX_DEPTH), format!(",{keys}}}").repeat(MAX_DEPTH))
    });
    is_linear("many that are empty", |size| {
        format!(r#"{{"a":[{}]}}"#, list((0..size).map(|_| "[{}]".into())))
    });
    is_linear("too deep", |size| "[".repeat(size));
    is_linear("brackets in strings", |size| format!(r#"{{"a":["{}",1],"b":2}}"#, "[{\\\"".repeat(size)));
}
