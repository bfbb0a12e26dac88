//! Whatever stands in a source or an event: an answer, never a crash.

use super::{Embedded, compile, compiler_with, complaints, run, run_all};

#[test]
fn deep_nesting_is_refused_or_runs() {
    for depth in [10, 100, 200, 255, 1_000, 100_000] {
        for (open, inner, close) in [
            ("(", "event", ")"),
            ("[", "1", "]"),
            ("{\"a\": ", "1", "}"),
            ("not (", "true", ")"),
            ("event[", "0", "]"),
            ("match event of case _ => ", "1", " end"),
            ("let a = ", "1", ""),
            ("- ", "1", ""),
            ("(match event of case x = _ => ", "x", " end)"),
            ("for event of case (i, e) => ", "1", " end"),
        ] {
            let source = open.repeat(depth) + inner + &close.repeat(depth);
            if compile(&source).is_ok() {
                run(&source, "0");
            }
        }
    }
}

#[test]
fn long_chains_need_no_stack() {
    let source = format!("event{}", " + 1".repeat(900));
    assert_eq!(run(&source, "1"), "901");
    let source = format!("true{}", " and event".repeat(900));
    assert_eq!(run(&source, "true"), "true");
    // The parser has a limit of its own.
    let source = format!("event{}", " + 1".repeat(100_000));
    assert!(complaints(&source).iter().all(|complaint| complaint.starts_with("E-L16")));
}

#[test]
fn functions_that_call_functions_are_bounded() {
    let mut source = "fn f0(x) with x + 1 end;".to_owned();
    for n in 1..600 {
        source.push_str(&format!("fn f{n}(x) with [f{}(x + 1)] end;", n - 1));
    }
    source.push_str("f599(event)");
    let found = complaints(&source);
    assert!(found.iter().all(|complaint| complaint.starts_with("E-L16")), "{found:?}");
    assert!(!found.is_empty());
}

#[test]
fn work_that_doubles_with_each_function_ends() {
    let mut source = "fn f0(x) with x end;".to_owned();
    for n in 1..64 {
        let inner = n - 1;
        source.push_str(&format!("fn f{n}(x) with [f{inner}(x), f{inner}(x)] == 1 end;"));
    }
    // Folding gives up; what runs per event has a budget of its own, so it is not run here.
    assert!(compile(&format!("{source} f63(1)")).is_ok());
}

#[test]
fn a_state_can_not_be_wrapped_without_end() {
    let script = compile("let state = [state]; 1").unwrap();
    let mut state = super::Value::Null;
    let mut refused = false;
    for _ in 0..5_000 {
        let (mut event, mut meta, null) =
            (super::Payload::default(), super::Value::record(), super::Value::Null);
        let context = super::Context::new(0, None, None);
        refused |= script.program.run(&mut event, &mut meta, &mut state, &null, &context).is_err();
    }
    assert!(refused);
    assert!(!state.is_nested_deeper_than(2_000));
    state.release();
    assert_eq!(run_all("let state = {\"s\": state}; 1", &["1"; 10]), "1");
}

#[test]
fn modules_may_use_modules_only_so_deep() {
    let mut library = Embedded::new("lib").with("m0.tremor", "const M = 0;");
    for n in 1..100 {
        library = library.with(format!("m{n}.tremor"), format!("use m{}; const M = {n};", n - 1));
    }
    let failure = compiler_with(library).compile_script("t", "use m99; m99::M").unwrap_err();
    assert!(super::reports(&failure).iter().any(|report| report.starts_with("E-L16")));
}
