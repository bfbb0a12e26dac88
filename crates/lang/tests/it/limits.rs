//! Whatever stands in a source or an event: an answer, never a crash.

use super::{Embedded, compile, compiler_with, complaints, run, run_all};

#[test]
fn deep_nesting_is_refused_or_runs() {
    for depth in [10, 200, 255, 1_000, 20_000] {
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
    let script = compile("let a = []; let state = [state]; 1").unwrap();
    let mut state = super::Value::Null;
    let mut refused = false;
    for _ in 0..5_000 {
        let (mut event, mut meta, null) =
            (super::Payload::default(), super::Meta::record(), super::Value::Null);
        let context = super::Context::new(0, None, None);
        refused |= script.program.run(&mut event, &mut meta, &mut state, &null, &context).is_err();
    }
    assert!(refused);
    assert!(!state.is_nested_deeper_than(2_000));
    state.release();
    assert_eq!(run_all("let state = {\"s\": state}; 1", &["1"; 10]), "1");
}

#[test]
fn texts_and_arrays_stop_growing() {
    for (start, end) in [("\"12345678\"", "E-O2 at s + s"), ("[1]", "E-O2 at s + s")] {
        let list = format!("[{}]", ["1"; 27].join(","));
        assert_eq!(
            run(&format!("let s = {start}; for event of case (i, e) => let s = s + s; 1 end; 1"), &list),
            end
        );
    }
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

/// Bodies that need much of the interpreter's stack per call; `CALL` is the call of the next function.
const BODIES: &[&str] = &[
    "CALL",
    "[CALL]",
    "match CALL of case v = %(_, ...) => v case v = _ => v end",
    "for [1] of case (k, v) => CALL end",
    "patch {} of insert \"a\" => CALL end",
    "merge {} of {\"a\": [CALL]} end",
    "let y = match 1 of case 1 => let z = CALL; z case _ => 2 end; y",
    "(match CALL of case v = _ when [v] == [CALL] => v case w = _ => (for [w] of case (k, v) => v end) end)",
    "\"#{CALL}\" + \"x\"",
    "-(core::array::len([CALL]))",
    "([0, 1])[0 * core::array::len([CALL]):1]",
    "<<1, (core::array::len([CALL])):8>>",
];

/// Functions of which each calls the one above it, and the number of the last one.
fn chain(body: &str, functions: usize) -> (String, usize) {
    let mut source = "fn f0(x) with x end;".to_owned();
    for n in 1..functions {
        let body = body.replace("CALL", &format!("f{}(x)", n - 1));
        source.push_str(&format!("fn f{n}(x) with let u = x; {body} end;"));
    }
    (source, functions - 1)
}

/// The longest chain that is accepted, to a few functions.
fn longest_chain(body: &str) -> (String, usize) {
    let (mut good, mut bad) = (2, 400);
    while bad - good > 3 {
        let middle = (good + bad) / 2;
        let (functions, last) = chain(body, middle);
        if compile(&format!("{functions} f{last}(event)")).is_ok() { good = middle } else { bad = middle }
    }
    chain(body, good)
}

#[test]
fn the_deepest_calls_that_are_accepted_fit_the_stack() {
    for body in BODIES {
        let (functions, last) = longest_chain(body);
        assert!(last > 15, "{body}: {last}");
        if body.matches("CALL").count() > 1 {
            continue;
        }
        run(&format!("{functions} f{last}(event)"), "1");
        // The same while it is compiled, below as much nesting as the parser takes.
        for nesting in [0, 200, 240] {
            for function in [last, last.saturating_sub(nesting / 4)] {
                let (open, close) = ("[".repeat(nesting), "]".repeat(nesting));
                let _ = compile(&format!("{functions} {open}f{function}(1){close}"));
            }
        }
    }
}

#[test]
fn the_limit_of_recur_can_be_set() {
    let down = |rounds: u32| {
        format!("fn f(n) of case (0) => \"done\" case _ => recur(n - 1) end; f(event * {rounds})")
    };
    for (limit, recurs) in [(1, 0), (3, 2), (5_000, 4_999)] {
        let compiler = super::compiler().with_recursion_limit(limit.try_into().unwrap());
        for (rounds, fits) in [(recurs, true), (recurs + 1, false)] {
            let script = compiler.compile_script("t", &down(rounds)).unwrap();
            assert_eq!(super::run_compiled(&script, &["1"]) == "\"done\"", fits, "{limit} {rounds}");
        }
    }
    assert_eq!(run(&down(1023), "1"), "\"done\"");
    assert_eq!(run(&down(1024), "1"), "E-R9 at f(event * 1024)");
}

/// Scripts that double a value with every item of the event.
const DOUBLING: &[&str] = &[
    "let x = [x, x]; x",
    "let x = {\"a\": x, \"b\": x}; x",
    "let x.a = x; let x.b = x; x",
    "let x = [x, x]; \"#{x}\"",
    "let x = [x, x]; x == [x, 1]",
    "let x = [x] + [x]; x",
    "let x = {\"a\": x} + {\"b\": x}; x",
    "let x = [x + [1], x + [1]]; x",
    "let x = [same(x) + [1], same(x) + [1]]; x",
    "let x = [same([x, x])]; x",
    "let x = [x[0:2], x[0:2]]; x",
    "let x = patch {\"a\": x} of copy \"a\" => \"b\" end; x",
    "let x = patch patch {\"a\": x} of copy \"a\" => \"b\" end of insert \"c\" => x end; x",
    "let x = merge {\"a\": x} of {\"b\": x} end; x",
    "let x = match [x, x] of case y = %(_, _) => [y, y] case _ => 1 end; x",
    "let x = [(for [1] of case (k, v) => v into x end), (for [1] of case (k, v) => v into x end)]; x",
    "let x = [core::test::slow(x), core::test::slow(x)]; x",
    "let x = \"#{x}#{x}\"; x",
    "let x = [match x of case [[0]] => x case _ => x end, x]; x",
];

#[test]
fn a_value_that_doubles_ends_in_an_error_soon() {
    // A small bound, so that the test is quick.
    let bounded =
        |source: &str, events: &[&str]| super::run_bounded(&compile(source).unwrap(), events, 200_000);
    let list = format!("[{}]", ["1"; 100].join(","));
    for body in DOUBLING {
        let source = format!(
            "fn same(a) with a end; let x = {start}; for event of case (i, e) => {body} end; x",
            start = if body.contains("x.a") || body.contains("{\"a\": x} +") { "{}" } else { "[0,0]" }
        );
        let found = bounded(&source, &[&list]);
        assert!(found.starts_with("E-R9 at ") || found.starts_with("E-O2 at "), "{body}: {found:.80}");
    }
    // The same from one event to the next.
    let found = bounded("let state = [state, state]; \"x\"", &["1"; 100]);
    assert_eq!(found, "E-R9 at [state, state]");
    // And while it is compiled.
    let source: String = (1..100).map(|n| format!("const C{n} = [C{0}, C{0}];", n - 1)).collect();
    assert_eq!(complaints(&format!("const C0 = [0]; {source} 1")).len(), 1);
}

#[test]
fn only_what_is_copied_counts() {
    let bounded = |source: &str| {
        let list = format!("[{}]", ["\"k1\""; 2_000].join(","));
        super::run_bounded(&compile(source).unwrap(), &[&list], 5_000)
    };
    // Nothing else holds the text, so it grows where it stands.
    assert_eq!(bounded("let s = \"\"; for event of case (i, k) => let s = s + k end; 1"), "1");
    assert_eq!(bounded("let s = \"\"; for event of case (i, k) => let s = s + k; null end; 1"), "1");
    // Here two hold it, and each round copies it.
    let kept = "let s = \"\"; for event of case (i, k) => let t = s; let s = s + \"0123456789abcdef\" end; 1";
    assert_eq!(bounded(kept), "E-R9 at s + \"0123456789abcdef\"");
    let kept = "let s = []; for event of case (i, k) => let t = s; let s = s + [i] end; 1";
    assert_eq!(bounded(kept), "E-R9 at s + [i]");
    assert_eq!(bounded("let s = []; for event of case (i, k) => let s = s + [i] end; 1"), "1");
}

#[test]
fn a_loop_whose_value_nobody_uses_collects_nothing() {
    let bounded = |source: &str| {
        let list = format!("[{}]", ["1"; 100].join(","));
        super::run_bounded(&compile(source).unwrap(), &[&list], 2_000)
    };
    let body = "let x = event; for event of case (i, e) => x end";
    assert_eq!(bounded(&format!("{body}; 1")), "1");
    assert_eq!(bounded(body), "E-R9 at x");
    // What an arm gives may still be wrong, or end the loop.
    assert_eq!(bounded("for event of case (i, e) => e into {} end; 1"), "E-T3 at e");
    let counted = "let n = 0; for event of case (i, e) => let n = n + 1; i < 4 into true use and end; n";
    assert_eq!(bounded(counted), "5");
}

#[test]
fn the_limit_is_named() {
    let script = compile("let x = [event]; [x, x, x]").unwrap();
    let (mut event, mut meta) = (super::Payload::from(super::json("[1, 2]")), super::Meta::record());
    let context = super::Context::new(0, None, None).with_values(9);
    let (mut state, null) = (super::Value::Null, super::Value::Null);
    let error = script.program.run(&mut event, &mut meta, &mut state, &null, &context).unwrap_err();
    assert!(error.message().contains("more than 9 values"), "{}", error.message());
}

#[test]
fn values_that_do_not_double_may_be_large() {
    let list = format!("[{}]", ["{\"a\": [1, 2, 3]}"; 20_000].join(","));
    assert_eq!(run("let x = [event, event, event]; core::array::len(x[0] + x[1])", &list), "40000");
    let list = format!("[{}]", ["1"; 500].join(","));
    assert_eq!(
        run(
            "let x = []; for event of case (i, e) => let x = x + [{\"e\": e}]; 1 end; core::array::len(x)",
            &list
        ),
        "500"
    );
}
