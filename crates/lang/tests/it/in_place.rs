//! Assignments that change what stands at their place: they do what copying, changing and assigning does.

use super::{TestHost, compile, json};
use proptest::prelude::*;
use tremor_lang::{Context, Outcome};
use tremor_value::{Meta, Payload, Value};

/// What the changed value is called and where it is kept.
const PLACES: &[&str] = &[
    "state",
    "state.a",
    "state[event.key]",
    "x",
    "x.a",
    "event",
    "event.a",
    "$m",
    "$m.a",
    "event.a[event.key]",
];

/// Records and others that stand at the place.
const VALUES: &[&str] = &[
    r#"{"a":{"a":1,"b":{"c":{}}},"b":2,"c":"text"}"#,
    r#"{"a":{"a":{"a":[1],"b":"s"},"b":{}},"b":{"a":{"x":1}},"key":"a"}"#,
    r#"{"a":[1,[2],{"a":1}],"c":{"a":{}},"d":{"a":{"b":{"c":1}}}}"#,
    r#"{"a":"some text that is too long to stand in its value","b":[]}"#,
    r#"{"a":{"a":[[1]],"b":"t","c":7}}"#,
    "{}",
    "[1,[2]]",
    "\"text\"",
    "7",
    "null",
];

/// All that a run may change, and the code of its error.
type Trace = (String, [String; 3]);

/// Runs a script twice on the same metadata and state.
fn trace(source: &str, value: &str) -> Trace {
    let script = compile(source).unwrap_or_else(|failure| panic!("{source}\n{failure}"));
    let (mut meta, mut state) = (Meta::from(json(&format!("{{\"m\":{value}}}"))), json(value));
    let mut ends = String::new();
    let mut event = json(value);
    if let Some(record) = event.as_record_mut() {
        record.insert("key", "a");
    }
    let mut event = Payload::from(event);
    for _ in 0..2 {
        let context = Context::new(7, None, Some(&TestHost));
        match script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context) {
            Ok(Outcome::Emit { value, .. }) => ends.push_str(&value.to_string()),
            Ok(_) => ends.push_str(&event.value().to_string()),
            Err(error) => {
                ends.push_str(error.to_diagnostic(&script.sources).code.id);
                ends.push_str(&error.message());
            }
        }
    }
    (ends, [event.value().to_string(), meta.to_string(), state.to_string()])
}

/// Runs `let place = change` in place, also with somebody else who holds the value, and the same by way of a copy.
/// `THIS` stands for the place within the change.
#[track_caller]
fn compare(place: &str, change: &str, value: &str) -> bool {
    let local = if place.starts_with('x') { "let x = event;" } else { "" };
    let of = |subject: &str| change.replacen("THIS", subject, 1).replace("THIS", place);
    let there = format!("{local} let {place} = {}; [{place}, event, $]", of(place));
    let shared =
        format!("{local} let kept = {place}; let {place} = {}; [{place}, event, $, kept]", of(place));
    let copied = format!("{local} let old = {place}; let {place} = {}; [{place}, event, $]", of("old"));
    let both = format!("{local} let old = {place}; let {place} = {}; [{place}, event, $, old]", of("old"));
    let wanted = |subject: &str| format!("{local} let old = {place}; let {place} = {}", of(subject));
    let found = trace(&there, value);
    assert_eq!(found, trace(&copied, value), "{there}\non {value}");
    assert_eq!(trace(&shared, value), trace(&both, value), "{shared}\non {value}");
    assert_eq!(trace(&wanted(place), value), trace(&wanted("old"), value), "{}\non {value}", wanted(place));
    !found.0.starts_with("E-")
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "d", "#{event.key}", "key"])
}

fn operand() -> impl Strategy<Value = String> {
    let texts = [
        "1",
        "\"t\"",
        "[1]",
        "{}",
        "{\"a\": {\"b\": 1}}",
        "{\"b\": {\"a\": [2]}, \"d\": {}}",
        "THIS",
        "THIS.a",
        "event.a",
        "state.b",
        "$m",
        "[THIS]",
        "{\"a\": THIS}",
    ];
    prop::sample::select(texts.map(str::to_owned).to_vec())
}

fn operation() -> impl Strategy<Value = String> {
    prop_oneof![
        (key(), operand()).prop_map(|(k, v)| format!("insert \"{k}\" => {v}")),
        (key(), operand()).prop_map(|(k, v)| format!("update \"{k}\" => {v}")),
        (key(), operand()).prop_map(|(k, v)| format!("upsert \"{k}\" => {v}")),
        key().prop_map(|k| format!("erase \"{k}\"")),
        (key(), key()).prop_map(|(a, b)| format!("copy \"{a}\" => \"{b}\"")),
        (key(), key()).prop_map(|(a, b)| format!("move \"{a}\" => \"{b}\"")),
        (key(), operand()).prop_map(|(k, v)| format!("merge \"{k}\" => {v}")),
        operand().prop_map(|v| format!("merge => {v}")),
        (key(), operand()).prop_map(|(k, v)| format!("default \"{k}\" => {v}")),
        operand().prop_map(|v| format!("default => {v}")),
    ]
}

fn change() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::collection::vec(operation(), 1..6)
            .prop_map(|operations| format!("patch THIS of {} end", operations.join("; "))),
        1 => operand().prop_map(|right| format!("merge THIS of {right} end")),
        2 => prop::collection::vec(operand(), 1..3)
            .prop_map(|pieces| format!("THIS + {}", pieces.join(" + "))),
        1 => operand().prop_map(|item| format!("core::array::push(THIS, {item})")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changing_in_place_is_copying_changing_and_assigning(
        change in change(),
        place in prop::sample::select(PLACES.to_vec()),
        value in prop::sample::select(VALUES.to_vec()),
    ) {
        compare(place, &change, value);
    }
}

#[test]
fn changes_fail_and_succeed_as_they_do_on_a_copy() {
    let changes = [
        ("patch THIS of insert \"new\" => 1; insert \"new\" => 2 end", false),
        ("patch THIS of erase \"a\"; insert \"a\" => THIS.b end", true),
        ("patch THIS of erase \"a\"; update \"a\" => 1 end", false),
        ("patch THIS of move \"a\" => \"q\"; insert \"a\" => 1; copy \"q\" => \"r\" end", true),
        ("patch THIS of move \"a\" => \"q\"; copy \"b\" => \"q\" end", false),
        ("patch THIS of upsert \"q\" => {}; merge \"q\" => {\"z\": 1} end", true),
        ("patch THIS of upsert \"q\" => 1; merge \"q\" => {\"z\": 1} end", false),
        ("patch THIS of merge => {\"q\": {}}; merge \"q\" => {\"z\": THIS.a} end", true),
        ("patch THIS of merge \"q\" => 1; default \"q\" => THIS.nope; default \"r\" => 1 end", true),
        ("patch THIS of upsert \"q\" => 1; default \"r\" => THIS.nope end", false),
        (
            "patch THIS of default => {\"a\": {\"x\": {\"y\": 1}}, \"q\": {\"r\": 1}}; merge \"q\" => {} end",
            true,
        ),
        ("patch THIS of erase \"b\"; default => 7 end", false),
        ("merge THIS of THIS.a end", true),
        ("merge THIS of 7 end", false),
        ("THIS + {\"q\": THIS} + THIS", true),
        ("THIS + {\"q\": 1} + [1]", false),
        ("core::array::push(THIS, 1)", false),
    ];
    for place in PLACES.iter().filter(|place| !place.contains(".a")) {
        for (change, succeeds) in changes {
            let value = r#"{"a":{"x":{},"a":1},"b":2}"#;
            // `state[event.key]` is the nested one.
            let value = if place.contains('[') { &format!("{{\"a\":{value}}}") } else { value };
            assert_eq!(compare(place, change, value), succeeds, "{place} {change}");
        }
    }
    assert!(compare("state", "core::array::push(THIS, THIS)", "[1]"));
    assert!(compare("x", "THIS + THIS + [1]", "[1]"));
    assert!(compare("state.a", "THIS + \"#{THIS}\"", r#"{"a":"t"}"#));
}

/// Runs `script` on many events; gives the state.
fn state_after(script: &str, events: u32, values: usize) -> Value {
    let script = compile(script).unwrap();
    let (mut meta, mut state) = (Meta::record(), json(r#"{"t":{},"l":[],"s":""}"#));
    for n in 0..events {
        let mut event = Payload::from(json(&format!("{{\"n\":\"k{n}\",\"v\":{{\"a\":1}}}}")));
        let context = Context::new(0, None, None).with_values(values);
        script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context).unwrap();
    }
    state
}

/// The bound on copied values is far below the size of what is changed.
#[test]
fn a_change_costs_what_it_changes() {
    for change in [
        "let state = patch state of upsert \"#{event.n}\" => event.v end",
        "let state.t = patch state.t of insert \"#{event.n}\" => event.v; default => {\"x\": event.v} end",
        "let state = patch state of merge \"t\" => {\"#{event.n}\": event.v} end",
        "let state = patch state of default => {\"t\": {\"#{event.n}\": event.v}} end",
        "let state = merge state of {\"t\": {\"#{event.n}\": event.v}} end",
        "let state = state + {\"#{event.n}\": event.v}",
        "let state.l = state.l + [event.v]",
        "let state.l = core::array::push(state.l, event.v)",
        "let state.s = state.s + event.n",
    ] {
        state_after(&format!("{change}; 1"), 500, 100);
    }
    assert_eq!(
        state_after("let state.s = state.s + event.n; 1", 3, 9).get("s"),
        Some(&Value::from("k0k1k2"))
    );
}

#[test]
fn a_failed_change_leaves_no_trace() {
    let script =
        compile("let state = patch state of upsert \"a\" => 2; erase \"b\"; insert \"c\" => 3 end; 1")
            .unwrap();
    let (mut meta, mut state) = (Meta::record(), json(r#"{"a":1,"b":{"x":1},"c":0}"#));
    let (mut event, context) = (Payload::default(), Context::new(0, None, None));
    assert!(script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context).is_err());
    assert_eq!(state.to_string(), r#"{"a":1,"b":{"x":1},"c":0}"#);
}
