//! The language as its users meet it: sources in, values and reports out.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that can not go on fails"
)]

mod deploy;
mod documents;
mod errors;
mod expressions;
mod extractors;
mod in_place;
mod limits;
mod metadata;
mod modules;
mod operators;
mod property;
mod scripts;

use std::sync::Arc;
use tremor_diagnostic::{RenderOptions, render};
use tremor_lang::{
    Compiled, Compiler, Context, Embedded, Failure, FunctionError, Functions, Host, Native, Outcome, Script,
};
use tremor_value::{Bytes, Meta, Payload, Value, json::Parser};

struct TestHost;

impl Host for TestHost {
    fn now_ns(&self) -> u64 {
        42
    }
    fn hostname(&self) -> &str {
        "host"
    }
    fn instance(&self) -> &str {
        "test"
    }
}

fn functions() -> Functions {
    Functions::new([
        Native::pure("array", "len", 1, |_, args| {
            let items = args[0].as_array().ok_or(FunctionError::BadType)?;
            Ok(Value::from(u64::try_from(items.len()).unwrap()))
        }),
        Native::pure("array", "push", 2, |_, args| {
            let items = args[0].as_array().ok_or(FunctionError::BadType)?;
            Ok(items.iter().chain([args[1]]).cloned().collect())
        })
        .updates(|_, items, others| match items {
            Value::Array(items) => {
                Arc::make_mut(items).push(others[0].clone());
                Ok(())
            }
            _ => Err(FunctionError::BadType),
        }),
        Native::pure("test", "fail", 1, |_, _| Err(FunctionError::failed("no luck"))),
        Native::contextual("test", "now", 0, |context, _| {
            Ok(Value::from(context.host.map_or(0, Host::now_ns)))
        }),
        Native::contextual("test", "ingest_ns", 0, |context, _| Ok(Value::from(context.ingest_ns))),
        Native::pure("test", "slow", 1, |_, args| Ok(args[0].clone())).warns("slow"),
    ])
}

fn library() -> Embedded {
    Embedded::new("lib").with("array.tremor", "intrinsic fn len(input) as array::len;").with(
        "num.tremor",
        "const FIVE = 5; const REC = {\"a\": [1, 2]}; fn twice(x) with x * 2 end; fn quad(x) with twice(x) * 2 end;",
    )
}

fn compiler_with(library: Embedded) -> Compiler {
    Compiler::new(Arc::new(library), Arc::new(functions()))
}

fn compiler() -> Compiler {
    compiler_with(library())
}

fn compile(source: &str) -> Result<Compiled<Script>, Failure> {
    compiler().compile_script("test.tremor", source)
}

#[track_caller]
fn json(text: &str) -> Value {
    Value::from_json_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Runs a script on one event after the other, with one state; gives what the last one led to.
#[track_caller]
fn run_all(source: &str, events: &[&str]) -> String {
    run_compiled(&compile(source).unwrap_or_else(|failure| panic!("{source}\n{failure}")), events)
}

#[track_caller]
fn run_compiled(script: &Compiled<Script>, events: &[&str]) -> String {
    run_bounded(script, events, 32 * 1024 * 1024)
}

/// As [`run_compiled`], with a bound on the values that one event may copy.
#[track_caller]
fn run_bounded(script: &Compiled<Script>, events: &[&str], values: usize) -> String {
    let (mut state, mut last) = (Value::Null, String::new());
    let (mut unbuilt_state, mut unbuilt_last) = (Value::Null, String::new());
    for event in events {
        last = run_once(script, Payload::from(json(event)), &mut state, values);
        unbuilt_last = run_once(script, unbuilt(event), &mut unbuilt_state, values);
    }
    assert_eq!(last, unbuilt_last, "an event that is not built gives something else");
    last
}

fn run_once(script: &Compiled<Script>, mut event: Payload, state: &mut Value, values: usize) -> String {
    let mut meta = Meta::record();
    let context = Context::new(7, None, Some(&TestHost)).with_values(values);
    match script.program.run(&mut event, &mut meta, state, &Value::Null, &context) {
        Ok(Outcome::Emit { port, value }) => show(&value, port.as_deref()),
        Ok(Outcome::EmitEvent { port }) => show(event.value(), port.as_deref()),
        Ok(Outcome::Drop) => "drop".to_owned(),
        Err(error) => {
            let diagnostic = error.to_diagnostic(&script.sources);
            let marked = diagnostic.inner.map(|span| script.sources.text(span)).unwrap_or_default();
            format!("{} at {marked}", diagnostic.code.id)
        }
    }
}

/// The payload of a JSON text that is not built yet.
#[track_caller]
fn unbuilt(text: &str) -> Payload {
    let text = Bytes::copy_from_slice(text.as_bytes());
    Parser::new().document(text.clone()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn show(value: &Value, port: Option<&str>) -> String {
    match port {
        None | Some("out") => value.to_string(),
        Some(port) => format!("{value} on {port}"),
    }
}

#[track_caller]
fn run(source: &str, event: &str) -> String {
    run_all(source, &[event])
}

/// Each line: source `|>` event `|>` expected outcome; blank lines and lines that start with `//` are skipped.
#[track_caller]
fn table(lines: &str) {
    let mut wrong = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
        let parts: Vec<&str> = line.split("|>").map(str::trim).collect();
        let [source, event, expected] = parts.as_slice() else { panic!("bad line: {line}") };
        let found = match compile(source) {
            Ok(_) => run(source, event),
            Err(failure) => format!("does not compile:\n{failure}"),
        };
        if found != *expected {
            wrong.push(format!("{source}  on  {event}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Code and marked text of everything that is wrong with a script.
#[track_caller]
fn complaints(source: &str) -> Vec<String> {
    match compile(source) {
        Ok(_) => Vec::new(),
        Err(failure) => reports(&failure),
    }
}

fn reports(failure: &Failure) -> Vec<String> {
    let errors = failure.diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
    errors
        .map(|diagnostic| {
            let marked = diagnostic.inner.map(|span| failure.sources.text(span)).unwrap_or_default();
            format!("{} at {marked}", diagnostic.code.id)
        })
        .collect()
}

/// The warnings of a script: code and marked text.
#[track_caller]
fn warnings(source: &str) -> Vec<String> {
    let script = compile(source).unwrap_or_else(|failure| panic!("{source}\n{failure}"));
    let show = |diagnostic: &tremor_diagnostic::Diagnostic| {
        let marked = diagnostic.inner.map(|span| script.sources.text(span)).unwrap_or_default();
        format!("{} at {marked}", diagnostic.code.id)
    };
    script.warnings.iter().map(show).collect()
}

/// The report of a script's run-time error, as users see it.
#[track_caller]
fn report(source: &str, event: &str) -> String {
    let script = compile(source).unwrap_or_else(|failure| panic!("{source}\n{failure}"));
    let (mut event, mut meta, mut state) = (Payload::from(json(event)), Meta::record(), Value::Null);
    let context = Context::new(0, None, Some(&TestHost));
    let error = script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context).unwrap_err();
    render(&error.to_diagnostic(&script.sources), &script.sources, RenderOptions::default())
}
