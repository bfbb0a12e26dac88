//! Events that are not built: scripts do with them what they do with trees.

use super::{compile, json, property::statement, unbuilt};
use proptest::prelude::*;
use tremor_lang::{Compiled, Context, Outcome, Script};
use tremor_value::{Meta, Payload, Value};

/// What a run shows: its end with the payload that goes on, and all else that it may change.
type Trace = (String, Value, Value, Value);

fn trace(script: &Compiled<Script>, mut event: Payload) -> Trace {
    let (mut meta, mut state) = (Meta::record(), json(r#"{"s": [1]}"#));
    let context = Context::new(7, None, Some(&super::TestHost));
    let end = match script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context) {
        // What a script emits takes the place of the event, whichever way it does.
        Ok(Outcome::Emit { port, value }) => {
            event = value.into();
            format!("emitted on {port:?}")
        }
        Ok(Outcome::EmitEvent { port }) => format!("emitted on {port:?}"),
        Ok(Outcome::Drop) => "dropped".to_owned(),
        Err(error) => error.report(&script.sources),
    };
    let mut text = Vec::new();
    event.write_json(&mut text);
    assert_eq!(String::from_utf8(text).unwrap(), event.value().to_string());
    (end, event.into_value(), meta.into_value(), state)
}

#[track_caller]
fn compare(source: &str, events: &[&str]) {
    let script = compile(source).unwrap_or_else(|failure| panic!("{source}\n{failure}"));
    compare_compiled(&script, source, events);
}

#[track_caller]
fn compare_compiled(script: &Compiled<Script>, source: &str, events: &[&str]) {
    for event in events {
        let (tree, document) = (trace(script, Payload::from(json(event))), trace(script, unbuilt(event)));
        assert_eq!(tree, document, "{source}\non {event}");
    }
}

/// Records and others, with all that can stand in a document.
const EVENTS: &[&str] = &[
    r#"{"a":{"b":[1,2],"c":{"d":"text that is longer than a few bytes"}},"k":"a","n":7,"t":"x","z":null}"#,
    "{ \"a\" : { \"b\" : 1 , \"b\" : { \"c\" : [ ] } } , \"n\":1.50, \"a b\":\"\\u00e9\\n\", \"k\":\"n\" }",
    r#"{"a":1,"b":2,"a":{"b":3}}"#,
    r#"{"\u0061":{"\u0062":[1,2],"q\"":{"\u0062":1},"b":{"c":{"d":1,"d":"\u00e9"}}},"\n":3,"k":"q\"","\u006b":"\n","q\"":{"x":1}}"#,
    r#"{"a":null,"big":18446744073709551615,"small":-9223372036854775808,"f":1e5,"t":""}"#,
    "{}",
    r#"[{"a":1},{"b":2}]"#,
    "\"text\"",
    "7",
    "null",
];

/// Expressions that read an event in all ways there are.
const READS: &[&str] = &[
    "event",
    "event.a",
    "event.a.b",
    "event.a.c.d",
    "event.a.b[1]",
    "event.a.b[0:1]",
    "event[event.k]",
    "event.a[\"b\"]",
    "event.nope",
    "event.n.nope",
    "event.a.nope",
    "event[0]",
    "event[1].b",
    "event[2]",
    "event[0][0]",
    "event[1].b[0]",
    "event.a[0]",
    "event.a.b[9]",
    "event.a[\"q\\\"\"].b",
    "event[\"q\\\"\"].x",
    "present event[1].b",
    "absent event[7]",
    "event.big + 0",
    "event.f",
    "present event",
    "present event.a.b",
    "present event.a.b[1]",
    "present event.z",
    "absent event.n.x",
    "absent event.nope",
    "present event[event.k].x",
    "\"#{event}\"",
    "\"#{event.a} and #{event.t}\"",
    "[event, event]",
    "{\"e\": event.a, \"a\": event}",
    "patch event of insert \"new\" => event.n; default => {\"a\": {\"x\": 1}}; erase \"t\" end",
    "patch event.a of upsert \"b\" => event end",
    "merge event of {\"a\": {\"b\": 5}} end",
    "merge event of event.a end",
    "merge event of event.n end",
    "patch event of insert \"a\" => 1 end",
    "patch event of update \"k\" => event.n; upsert \"t\" => event.a; upsert \"new\" => event end",
    "patch event of move \"a\" => \"moved\"; copy \"k\" => \"copied\"; move \"nope\" => \"n2\" end",
    "patch event of copy \"k\" => \"n\" end",
    "patch event of merge \"a\" => {\"x\": 1}; merge => {\"a\": {\"y\": 2}, \"k\": {}} end",
    "patch event of merge \"n\" => {\"x\": 1} end",
    "patch event of default \"k\" => event.nope; default \"q\" => event.nope end",
    "patch event of erase \"a\"; default => {\"a\": 1, \"n\": 2, \"z\": {}} end",
    "emit patch event of insert \"new\" => 1 end => \"p#{event.k}\"",
    "emit merge event of {\"new\": 1} end",
    "let event = patch event of insert \"new\" => 1 end",
    "let x = let event = merge event of {\"new\": 1} end; [x, event]",
    "merge (merge event of {} end) of event end",
    "event == event",
    "event == {}",
    "match event of case {} => 1 case 7 => 2 case \"text\" => 3 case _ => 4 end",
    "match event of case x = %{ present a, absent q } => x case x = _ => [x] end",
    "match event of case x = %{ a ~= %{ present b }, n >= 1 } => x case %{ n == 1.5 } => 1 case _ => 0 end",
    "match event of case %{ present a } when event.k == \"a\" => event.n case %[] => \"list\" case _ => 0 end",
    "match event of case %{ absent a } => 1 case %{ t < 5 } => 2 case _ => 3 end",
    "match event.k of case \"a\" => 1 case \"b\" => 2 case \"c\" => 3 case \"d\" => 4 case \"e\" => 5 case \"f\" => 6 \
     case \"g\" => 7 case \"n\" when event.n > 1 => 8 case \"n\" => 9 case _ => event.k end",
    "match event of case \"text\" => 1 case \"b\" => 2 case \"c\" => 3 case \"d\" => 4 case \"e\" => 5 case \"f\" => 6 \
     case \"g\" => 7 case 7 => 8 case _ => 9 end",
    "for event of case (k, v) => {\"#{k}\": v} into {} end",
    "for event.a of case (k, v) when event.n > 1 => [k, v, event.t] end",
    "core::array::len(event.a.b)",
    "core::array::len(event)",
];

const WRITES: &[&str] = &[
    "",
    "let event.a = 1;",
    "let event.a.b = event.k;",
    "let event.a.b.c.d = event;",
    "let event.new = event.a;",
    "let event.new.x.y = 1;",
    "let event[event.k] = \"z\";",
    "let event[event.k].x = 1;",
    "let event.n = event.n + 1;",
    "let event = event.a;",
    "let event = patch event of upsert \"new\" => event.k; merge => {\"a\": {\"b\": 1}} end; let event.a.q = 1;",
    "let x = event; let event.a = x;",
    "let $m = event; let $a.b = event.a; let state.e = event;",
    "let event[0] = 1;",
    "match event.k of case \"a\" => let event.a.b = 2; let $m = 1 case _ => let event.z = 3 end;",
    "for event.a of case (k, v) => let event.seen = v end;",
    "let event.a.b = 1; let event.k = \"k\"; let event.a.c = null; let event.a.b = event.a.b + 1; let event.a.x = 0.5;",
    "let event.m = match event.k of case \"a\" => event.n case x = \"n\" => [x] case _ => event end;",
    "let event.a.m = match event.k of case \"a\" => event case \"n\" => let $m = 1; event.a case _ => drop end;",
    "let event[0] = match event.n of case 7 => 1 case x = _ => emit x => \"p\" end;",
    "let event.m.x = match event.n of case 7 when event.a.b => 1 case _ => event.nope end;",
    "let event = match event.k of case \"a\" => event.a case _ => event end;",
    "let m = match event.k of case \"a\" => event case _ => event.n end; let m.x = 1; let event.m = m;",
];

#[test]
fn reads_and_writes_do_what_they_do_with_trees() {
    for write in WRITES {
        for read in READS {
            compare(&format!("{write} {read}"), EVENTS);
        }
    }
}

#[test]
fn so_many_reads_that_the_event_is_built_meanwhile() {
    let reads = "event.a.c.d + event.t + ".repeat(40) + "event.k";
    compare(&reads, &EVENTS[..1]);
    let reads = "let event.n = event.n + 1; let event.a.b = event.a.c;".repeat(40) + "[event, event.a.b]";
    compare(&reads, &EVENTS[..1]);
    let loops = "let event.n = 0; for event.list of case (i, v) => let event.n = event.n + v end; event";
    compare(loops, &[&format!("{{\"list\":[{}]}}", ["1"; 300].join(","))]);
}

#[test]
fn reading_builds_nothing_that_was_not_asked_for() {
    for source in [
        "event",
        "event.a.c.d",
        "event.a.b[1]",
        "present event.a.b[7]",
        "present event.a.b and absent event.q",
        "\"#{event.k} #{event}\"",
        "match event of case %{ absent a } => 1 case %{ a ~= %{ present b }, n == 7 } => event.n case _ => 2 end",
        "let event.n = 1; let event.a.b = event.t; event",
        "match event.k of case \"a\" => emit => \"x\" case _ => drop end",
        "core::array::len(event.a.b)",
        "patch event of insert \"new\" => 1; default => {\"a\": {\"x\": 1}} end",
        "let event = merge event of {\"a\": {\"x\": 1}} end; event",
        "emit patch event of erase \"a\" end => \"x\"",
    ] {
        let script = compile(source).unwrap();
        let mut event = unbuilt(EVENTS[0]);
        let context = Context::new(0, None, None);
        script
            .program
            .run(&mut event, &mut Meta::record(), &mut Value::Null, &Value::Null, &context)
            .unwrap();
        assert!(!event.is_built(), "{source}");
    }
}

/// The scripts that the parser is tested with.
#[test]
fn scripts_of_the_parser_cases() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lang/ok");
    let mut compared = 0;
    for case in std::fs::read_dir(root).unwrap() {
        for file in std::fs::read_dir(case.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "tremor") {
                let source = std::fs::read_to_string(file).unwrap();
                // Some are about what this version has not.
                if let Ok(script) = compile(&source) {
                    compare_compiled(&script, &source, EVENTS);
                    compared += 1;
                }
            }
        }
    }
    assert!(compared >= 7, "{compared}");
}

/// A place in the event; several of them lie within others.
fn place() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "event.a",
        "event.a.b",
        "event.a.c",
        "event.a.b.c",
        "event.k",
        "event.n",
        "event.t",
        "event.new",
        "event.new.x",
        "event[event.k]",
        "event[\"a b\"]",
    ])
}

/// A value to be written, mostly taken from elsewhere.
fn value() -> impl Strategy<Value = String> {
    let fixed =
        ["1", "\"text\"", "null", "{}", "[]", "{\"b\": {\"c\": [1]}}", "x", "y", "event", "$m", "state.s"];
    prop_oneof![prop::sample::select(fixed.to_vec()).prop_map(str::to_owned), place().prop_map(str::to_owned)]
}

fn member() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "k", "n", "t", "new", "z", "a b", "#{event.k}"])
}

/// What a patch does to the event or a part of it.
fn operation() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => member().prop_map(|key| format!("erase \"{key}\"")),
        2 => (member(), member()).prop_map(|(from, to)| format!("erase \"{to}\"; move \"{from}\" => \"{to}\"")),
        1 => (member(), member()).prop_map(|(from, to)| format!("copy \"{from}\" => \"{to}\"")),
        2 => (member(), value()).prop_map(|(key, value)| format!("upsert \"{key}\" => {value}")),
        1 => (member(), value()).prop_map(|(key, value)| format!("merge \"{key}\" => {value}")),
        1 => value().prop_map(|value| format!("merge => {value}")),
        1 => (member(), value()).prop_map(|(key, value)| format!("default \"{key}\" => {value}")),
        1 => value().prop_map(|value| format!("default => {value}")),
    ]
}

/// A statement that writes to the event, keeps a part of it under another name, or writes to that. Most of them fail on some
/// events: what was done before stays, and is compared.
fn write() -> impl Strategy<Value = String> {
    let whole = || prop_oneof![2 => Just("event"), 1 => place(), 1 => Just("x"), 1 => Just("$m")];
    let kept = || prop::sample::select(vec!["x", "y", "$m", "state.s", "x.b", "$m.b"]);
    let patched = prop::collection::vec(operation(), 1..4);
    prop_oneof![
        3 => (place(), value()).prop_map(|(place, value)| format!("let {place} = {value}")),
        3 => (whole(), patched)
            .prop_map(|(place, ops)| format!("let {place} = patch {place} of {} end", ops.join("; "))),
        1 => (whole(), value()).prop_map(|(place, value)| format!("let {place} = merge {place} of {value} end")),
        1 => (place(), value()).prop_map(|(place, value)| format!("let {place} = {place} + {value}")),
        3 => (kept(), value()).prop_map(|(name, value)| format!("let {name} = {value}")),
        1 => (place(), place())
            .prop_map(|(target, place)| format!("for {target} of case (k, v) => let {place} = v end")),
        1 => (place(), value())
            .prop_map(|(place, value)| format!("match event of case %{{ present a }} => let {place} = {value} case _ => 1 end")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_programs(statements in prop::collection::vec(statement(), 1..5), event in 0..EVENTS.len()) {
        // What is constant in them and wrong is found when they are compiled.
        let source = statements.join("; ");
        if let Ok(script) = compile(&source) {
            compare_compiled(&script, &source, &EVENTS[event..=event]);
        }
    }

    #[test]
    fn random_writes(writes in prop::collection::vec(write(), 1..10), event in 0..EVENTS.len()) {
        let start = "let x = event; let y = 1; let $m = {}";
        compare(&format!("{start}; {}; [x, y, event]", writes.join("; ")), &EVENTS[event..=event]);
    }
}
