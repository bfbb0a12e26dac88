//! Small programs put together at random: each one gets an answer.

use super::{compile, functions};
use proptest::prelude::*;
use tremor_lang::Context;
use tremor_value::{Meta, Payload, Value};

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("event".to_owned()),
        Just("event.a".to_owned()),
        Just("state".to_owned()),
        Just("$".to_owned()),
        Just("x".to_owned()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("1.5".to_owned()),
        Just("18446744073709551615".to_owned()),
        Just("-9223372036854775808".to_owned()),
        Just("\"a\"".to_owned()),
        Just("\"#{event}\"".to_owned()),
        Just("<<event:4, 1:12/little>>".to_owned()),
        (0_u64..4).prop_map(|n| n.to_string()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let op = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "!=", "<", ">=", "and", "or", "xor", "^", "&", "<<", ">>", ">>>",
        ]);
        prop_oneof![
            (inner.clone(), op, inner.clone()).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            inner.clone().prop_map(|e| format!("(- {e})")),
            inner.clone().prop_map(|e| format!("(not {e})")),
            inner.clone().prop_map(|e| format!("[{e}, {e}]")),
            inner.clone().prop_map(|e| format!("{{\"a\": {e}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[0:{b}]")),
            inner.clone().prop_map(|e| format!("(present ({e}).a)")),
            inner.clone().prop_map(|e| format!("core::array::len({e})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(t, p, a)| format!(
                "(match {t} of case {p} => {a} case v = %{{present a}} when v == x => v case v = %[1] => v case v = %{{ c = t ~= re|(?<c>.)| }} => v case ~ glob|t?xt| => 1 case v = %[~ json||, ~ re|x|] => v case w = _ => [w] end)"
            )),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(t, a, i)| format!("(for {t} of case (k, v) when k != 1 => {a} into {i} end)")),
            (inner.clone(), inner.clone())
                .prop_map(|(t, a)| format!("(patch {t} of upsert \"b\" => {a}; default => {a}; move \"a\" => \"c\" end)")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("(merge {a} of {b} end)")),
        ]
    })
}

pub(super) fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        expression(),
        expression().prop_map(|e| format!("let x = {e}")),
        expression().prop_map(|e| format!("let event.a.b = {e}")),
        expression().prop_map(|e| format!("let $m = {e}")),
        expression().prop_map(|e| format!("let state = [{e}]")),
        expression().prop_map(|e| format!("emit {e} => \"p#{{event}}\"")),
        expression().prop_map(|e| format!(
            "match {e} of case v = 1 => let x = v; drop case v = _ => let event = v end"
        )),
        expression().prop_map(|e| format!("for {e} of case (k, v) => let x = k; let event = v end")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn programs_answer(statements in prop::collection::vec(statement(), 1..5), event in 0_usize..4) {
        let events = ["{\"a\":{\"b\":[1,2]}}", "[1,2,3]", "\"text\"", "7"];
        let source = format!("fn f(x) with x end; {}", statements.join("; "));
        if let Ok(script) = compile(&source) {
            let mut state = Value::Null;
            for _ in 0..3 {
                let mut event = Payload::from(super::json(events[event]));
                let mut meta = Meta::record();
                let context = Context::new(0, None, Some(&super::TestHost));
                let result = script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context);
                if let Err(error) = result {
                    let report = error.report(&script.sources);
                    prop_assert!(report.starts_with("Error: "));
                }
            }
        }
    }

    #[test]
    fn any_text_gets_an_answer(text in "[a-z0-9 ;=+{}()\\[\\]\"#%:.|~_-]{0,60}") {
        let compiler = super::compiler_with(super::library());
        let _ = compiler.compile_script("t", &text);
        let _ = compiler.compile_query("t", &text);
        let _ = compiler.compile_deployment("t", &text);
        let _ = functions();
    }
}

/// The sources that the parser is tested with, good and bad ones, compiled as what they are.
#[test]
fn the_cases_of_the_parser_get_an_answer() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lang");
    let mut compiled = 0;
    for kind in ["ok", "err", "warn"] {
        for case in std::fs::read_dir(root.join(kind)).unwrap() {
            for file in std::fs::read_dir(case.unwrap().path()).unwrap() {
                let file = file.unwrap().path();
                let compiler = super::compiler_with(super::library());
                let Ok(text) = std::fs::read_to_string(&file) else { continue };
                let failure = match file.extension().and_then(|extension| extension.to_str()) {
                    Some("tremor") => compiler.compile_script("t", &text).err(),
                    Some("trickle") => compiler.compile_query("t", &text).err(),
                    Some("troy") => compiler.compile_deployment("t", &text).err(),
                    _ => continue,
                };
                compiled += 1;
                // Every report can be shown, and nothing fails without one.
                assert!(
                    failure.is_none_or(|failure| failure.to_string().contains("Error")),
                    "{}",
                    file.display()
                );
            }
        }
    }
    assert!(compiled > 50, "{compiled}");
}
