//! Deep and hostile texts: fast answers, no overflow, also on a test's small stack and without optimisation.

use crate::source::Kind;
use std::time::{Duration, Instant};
use tremor_diagnostic::codes;

/// Nothing here takes a second on an idle machine; an answer that takes exponential time never comes.
const LIMIT: Duration = Duration::from_secs(150);

/// `open`, repeated, then `inside`, then `close` as often.
fn nested(open: &str, inside: &str, close: &str, depth: usize) -> String {
    format!("{}{inside}{}", open.repeat(depth), close.repeat(depth))
}

fn forms() -> Vec<(&'static str, &'static str)> {
    vec![
        ("(", ")"),
        ("[", "]"),
        ("[1, ", ", 2]"),
        ("{\"a\": ", "}"),
        ("f(", ")"),
        ("m::f(1, ", ")"),
        ("event[", "]"),
        ("event[", ":2]"),
        ("\"#{", "}\""),
        ("\"\"\"\n#{", "}\"\"\""),
        ("(match event of case 1 => ", " case _ => 2 end)"),
        ("(for event of case (k, v) => ", " end)"),
        ("patch event of insert \"a\" => ", " end"),
        ("patch ", " of erase \"a\" end"),
        ("merge ", " of event end"),
        ("merge event of ", " end"),
        ("<< 1, ", " >>"),
        ("<< (", ") >>"),
        ("(present (", ").a)"),
        ("1 + (", ")"),
        ("(-(", "))"),
    ]
}

#[test]
fn two_hundred_levels_parse_quickly() {
    for (open, close) in forms() {
        // Some forms open two levels at once.
        let depth =
            if open.matches(['(', '[', '{', '<']).count() > 1 || open.starts_with("(m") { 120 } else { 200 };
        let text = nested(open, "1", close, depth);
        let start = Instant::now();
        assert_eq!(Kind::Script.diagnostics(&text), vec![], "{open}");
        assert_eq!(Kind::Script.round_trip(&text), Ok(()), "{open}");
        assert!(start.elapsed() < LIMIT, "{open}: {:?}", start.elapsed());
    }
}

#[test]
fn a_few_levels_need_no_large_stack() {
    for depth in 1..=16 {
        for (open, close) in forms() {
            let text = nested(open, "1", close, depth);
            assert_eq!(Kind::Script.diagnostics(&text), vec![], "{text}");
        }
    }
}

#[test]
fn two_hundred_levels_with_a_mistake_are_reported_quickly() {
    for (open, close) in forms() {
        for inside in ["1 2", "*", "end"] {
            let depth = if open.starts_with('(') { 100 } else { 120 };
            let start = Instant::now();
            assert!(
                !Kind::Script.diagnostics(&nested(open, inside, close, depth)).is_empty(),
                "{open}{inside}"
            );
            assert!(!Kind::Script.diagnostics(&nested(open, inside, "", depth)).is_empty(), "{open}{inside}");
            assert!(start.elapsed() < LIMIT, "{open}: {:?}", start.elapsed());
        }
    }
}

#[test]
fn statements_and_definitions_nest_deeply() {
    let matches = nested("match event of case 1 => ", "drop", " case _ => 2 end", 200);
    assert_eq!(Kind::Script.round_trip(&matches), Ok(()));
    assert_eq!(Kind::Script.diagnostics(&matches), vec![]);
    let loops = nested("for event of case (a, b) => let a = 1; ", "drop", " end", 200);
    assert_eq!(Kind::Script.diagnostics(&loops), vec![]);
    let pipelines = nested("define pipeline p pipeline ", "create stream s", " end", 200);
    assert_eq!(Kind::Query.diagnostics(&pipelines), vec![]);
    assert_eq!(Kind::Query.round_trip(&pipelines), Ok(()));
    let patterns = nested("%{a ~= ", "%{}", "}", 200);
    let text = format!("match event of case {patterns} => 1 case _ => 2 end");
    assert_eq!(Kind::Script.diagnostics(&text), vec![]);
    assert_eq!(Kind::Script.round_trip(&text), Ok(()));
    let uses = nested("a::{", "b", "}", 200);
    assert_eq!(Kind::Script.diagnostics(&format!("use {uses}; 1")), vec![]);
    let groups = nested("set(", "1", ")", 200);
    assert_eq!(Kind::Query.diagnostics(&format!("select 1 from a group by {groups} into b")), vec![]);
}

#[test]
fn mistakes_in_nested_definitions_are_found_quickly() {
    let start = Instant::now();
    let pipelines = nested("define pipeline p pipeline ", "create strem s", " end", 200);
    assert_eq!(Kind::Query.diagnostics(&pipelines).len(), 1);
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
}

#[test]
fn too_deep_is_a_report() {
    let forms = forms().into_iter().chain([
        ("-", ""),
        ("!", ""),
        ("not ", ""),
        ("let a = ", ""),
        ("1 + ", ""),
        ("event.a and ", ""),
        ("match event of case a = ", ""),
        ("match event of case 1 => ", ""),
        ("use a::{", ""),
        ("<< ", ""),
        ("fn f(a) with ", ""),
    ]);
    for (open, close) in forms {
        let text = nested(open, "1", close, 20_000);
        let start = Instant::now();
        let diagnostics = Kind::Script.diagnostics(&text);
        assert_eq!(diagnostics.len(), 1, "{open}");
        assert_eq!(diagnostics[0].code, codes::TOO_DEEP, "{open}");
        assert!(start.elapsed() < LIMIT, "{open}: {:?}", start.elapsed());
    }
    let text = format!("match event of case {} 1 => 2 end", "a = ".repeat(20_000));
    assert_eq!(Kind::Script.diagnostics(&text)[0].code, codes::TOO_DEEP);
}

#[test]
fn long_chains_of_operators_parse() {
    for operator in [" + ", " and ", " / ", " == ", " >> "] {
        let text = vec!["event.a"; 900].join(operator);
        assert_eq!(Kind::Script.diagnostics(&text), vec![], "{operator}");
        assert_eq!(Kind::Script.round_trip(&text), Ok(()), "{operator}");
    }
    let separate = vec!["event.a + 1"; 5_000].join(";\n");
    assert_eq!(Kind::Script.diagnostics(&separate), vec![]);
}

#[test]
fn odd_bytes_do_no_harm() {
    let pieces = [
        "\"",
        "\"\"\"",
        "\n",
        "#{",
        "}",
        "{",
        "|",
        "`",
        "\\",
        "\\u12",
        "#",
        "##",
        "###",
        "#!",
        "#!config ",
        "end",
        ";",
        "0x",
        "1.",
        "1e5",
        "é",
        "\u{feff}",
        "\u{2028}",
        "%{",
        "match",
        "of",
        "case",
        "=>",
        "define",
        "flow",
        "script",
        "pipeline",
        "with",
        "deploy",
        "select",
        "from",
        "into",
        "in",
        "fn f() ",
        ":",
        ":::",
        "<<",
        ">>",
        "a",
        "(",
        ")",
    ];
    // Deterministic, but without pattern: a small linear congruential generator.
    let mut state = 12_345_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 40).unwrap()
    };
    for round in 0..3_000 {
        let length = 1 + next() % 14;
        let glue = if round % 2 == 0 { "" } else { " " };
        let text = (0..length).map(|_| pieces[next() % pieces.len()]).collect::<Vec<_>>().join(glue);
        for kind in [Kind::Script, Kind::Module, Kind::Query, Kind::Deployment] {
            kind.diagnostics(&text);
            assert_eq!(kind.round_trip(&text), Ok(()), "{text}");
        }
    }
}
