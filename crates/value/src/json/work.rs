//! Hostile documents cost no more per byte than others, however long they are.
//!
//! What is counted is blocks that are looked at, which is where all scanning of strings, keys, numbers and nested values
//! happens, and keys that are compared with others. What is not counted is bounded per byte or per key: white space is walked
//! over byte by byte, once per pass; a key is compared with the hashes of at most [`MAX_COMPARED`](super::skim) others, or sorted
//! with those of its record. The memory that is taken is counted by the allocator of these tests.

use std::cell::Cell;

use super::{MAX_DEPTH, Parser, skim};
use crate::Bytes;

thread_local! {
    static LOOKS: Cell<usize> = const { Cell::new(0) };
}

/// One more block was looked at, or one more key compared.
pub(crate) fn count() {
    LOOKS.set(LOOKS.get() + 1);
}

/// What something takes.
#[derive(Debug)]
struct Cost {
    looks: usize,
    allocations: usize,
    /// Most bytes that were taken at one moment.
    peak: usize,
}

fn cost(run: impl FnOnce()) -> Cost {
    LOOKS.set(0);
    let memory = allocation_counter::measure(run);
    let number = |count: u64| usize::try_from(count).unwrap();
    Cost { looks: LOOKS.get(), allocations: number(memory.count_total), peak: number(memory.bytes_max) }
}

/// What is done with a document costs four times as much for four times the text: looks, allocations and memory. And it
/// never takes more than `most` bytes of memory for a byte of text.
#[track_caller]
pub(crate) fn grows_with_the_text(
    name: &str,
    most: usize,
    make: impl Fn(usize) -> String,
    run: impl Fn(&mut Parser, Bytes),
) {
    let measure = |size| {
        let document = Bytes::from(make(size));
        let len = document.len();
        let mut parser = Parser::new();
        let cost = cost(|| run(&mut parser, document.clone()));
        assert!(cost.peak <= most * len, "{name}: {cost:?} for {len} bytes");
        // Lists grow by doubling, which is more than it should be by up to that.
        (cost, len as f64)
    };
    let ((small, small_len), (large, large_len)) = (measure(5_000), measure(20_000));
    let times = large_len / small_len;
    for (before, after, spare) in [
        (small.looks, large.looks, 1.1),
        (small.allocations, large.allocations, 1.1),
        (small.peak, large.peak, 2.2),
    ] {
        let limit = (before as f64).mul_add(times, 64.0) * spare;
        assert!(
            (after as f64) <= limit,
            "{name}: {small:?} for {small_len} bytes, {large:?} for {large_len}"
        );
    }
}

fn pass(parser: &mut Parser, document: Bytes) {
    let mut out = Vec::new();
    parser.document(document).unwrap().write_json(&mut out);
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

/// Arrays and records that nobody looks into take no more memory than their text, which may have to be written anew,
/// whatever their keys are like.
#[test]
fn what_is_passed_on_takes_the_memory_of_its_text() {
    // Once for what comes in, if it is changed there, and twice for what goes out, as that grows.
    for key in [r#""a""#, r#""\u0061""#, r#""\n""#, r#""b":0,"b""#, r#""\u0062":0,"b":{"b":1,"b":2},"b""#] {
        for item in ["1", "[]", "{}", r#"{"a":1}"#, r#""""#, "1.50", " 1"] {
            let make = |size: usize| format!("{{{key}:[{}]}}", list((0..size).map(|_| item.into())));
            grows_with_the_text(&format!("{key} {item}"), 3, make, pass);
        }
        // Most of what is nested is repeated at every level.
        grows_with_the_text(
            "nested",
            12,
            |size| {
                let inner = format!("{}1{}", format!("{{{key}:").repeat(200), "}".repeat(200));
                format!("[{}]", list((0..size / 400).map(|_| inner.clone())))
            },
            pass,
        );
    }
}

#[test]
fn members_with_hard_keys_are_not_quadratic() {
    let members = |size: usize, more: &str| {
        format!("{{{}{more}}}", list((0..size).map(|number| format!(r#""k{number}":0"#))))
    };
    grows_with_the_text("plain", 8, |size| members(size, ""), pass);
    grows_with_the_text("one twice", 12, |size| members(size, r#","k1":1"#), pass);
    grows_with_the_text("one odd", 8, |size| members(size, r#","\u0061":1"#), pass);
    grows_with_the_text(
        "all twice",
        12,
        |size| {
            format!(
                "[{0},{{\"a\":{0},\"a\":{0}}}]",
                members(size / 4, members(size / 4, "").replace(['{', '}'], ",").trim_end_matches(','))
            )
        },
        pass,
    );
    grows_with_the_text(
        "one key",
        12,
        |size| format!("{{{}}}", list((0..size).map(|_| r#""a":0"#.into()))),
        pass,
    );
    grows_with_the_text(
        "odd and twice",
        12,
        |size| {
            format!("{{{}}}", list((0..size).map(|number| format!(r#""\u006b{}":0"#, number % (size / 2)))))
        },
        pass,
    );
    grows_with_the_text(
        "many nested",
        12,
        |size| {
            format!(
                "[{}]",
                list((0..size / 10).map(|_| r#"{"a":1,"b":{"c":0,"c":[]},"a":{"b":1,"b":2}}"#.into()))
            )
        },
        pass,
    );
    // Each level is a piece that is put in another place, with all that is in it.
    grows_with_the_text(
        "twice at every level",
        12,
        |size| {
            let inner = format!(r#"[{}]"#, list((0..size).map(|_| "1".into())));
            let depth = MAX_DEPTH - 1;
            format!("{}{inner}{}", r#"{"a":0,"b":1,"a":"#.repeat(depth), "}".repeat(depth))
        },
        pass,
    );
    grows_with_the_text(
        "long keys",
        12,
        |size| {
            format!(
                "{{{}}}",
                list((0..40).map(|number| format!(r#""{}{}":0"#, "k".repeat(size), number % 20)))
            )
        },
        pass,
    );
}

#[test]
fn members_are_ordered_without_a_tree() {
    let sorted = |parser: &mut Parser, document: Bytes| {
        let mut out = Vec::new();
        parser.document(document).unwrap().write_sorted_json(&mut out);
    };
    grows_with_the_text(
        "in order",
        5,
        |size| format!(r#"{{"a":[{}]}}"#, list((0..size).map(|_| "1".into()))),
        sorted,
    );
    grows_with_the_text(
        "at every level",
        5,
        |size| {
            let inner = format!("[{}]", list((0..size).map(|_| "1".into())));
            format!("{}{inner}{}", r#"{"b":0,"a":"#.repeat(MAX_DEPTH - 1), "}".repeat(MAX_DEPTH - 1))
        },
        sorted,
    );
}

#[test]
fn an_item_that_is_read_takes_its_own_memory() {
    let read = |parser: &mut Parser, document: Bytes| {
        let payload = parser.document(document).unwrap();
        assert_eq!(payload.get_path([crate::Step::Item(1)]).as_deref(), Some(&crate::Value::from(1_i64)));
    };
    grows_with_the_text("an item", 1, |size| format!("[{}]", list((0..size).map(|_| "1".into()))), read);
}

#[test]
fn trees_of_many_members_are_not_quadratic() {
    let build = |parser: &mut Parser, document: Bytes| assert!(parser.parse(&document).is_ok());
    let make = |size: usize, more: &str| {
        format!("{{{}{more}}}", list((0..size).map(|number| format!(r#""{number}":0"#))))
    };
    grows_with_the_text("members", 60, |size| make(size, ""), build);
    grows_with_the_text("members, one twice", 60, |size| make(size, r#","1":1"#), build);
    grows_with_the_text(
        "one member",
        60,
        |size| format!("{{{}}}", list((0..size).map(|_| r#""a":0"#.into()))),
        build,
    );
    let read = |parser: &mut Parser, document: Bytes| {
        let payload = parser.document(document).unwrap();
        for number in 0..1_000 {
            assert!(payload.contains_path([&*number.to_string()]));
        }
    };
    grows_with_the_text("members that are read", 60, |size| make(size, ""), read);
}

/// What is most of a tree is not copied when it is complete.
#[test]
fn a_long_list_is_there_once() {
    let items = 3 << 19;
    let document = Bytes::from(format!("[{}0]", "1,".repeat(items - 1)));
    let mut parser = Parser::new();
    let cost = cost(|| assert!(parser.parse(&document).is_ok()));
    // The list has doubled once too often, and was there twice at that moment.
    let most = size_of::<crate::Value>() * (3 << 20) + 64 * 1024;
    assert!(cost.peak <= most, "{cost:?} {most}");
}
