//! The language over the real library, one line per case: script `|>` event `|>` outcome.
//!
//! The outcome is the value that leaves by any port, `drop`, or `error` with a part of the report. `\N` in a script is
//! a line break; blank lines and lines that start with `//` mean nothing.

#![expect(clippy::panic, reason = "a test that can not go on fails")]

use super::{TestHost, embedded};
use tremor_lang::{Context, Outcome};
use tremor_value::{Meta, Payload, Value};

#[test]
fn statements() {
    table(include_str!("language/statements.txt"));
}

#[test]
fn expressions() {
    table(include_str!("language/expressions.txt"));
}

#[test]
fn lexical() {
    table(include_str!("language/lexical.txt"));
}

enum Found {
    Value(Value),
    Drop,
    Error(String),
}

fn run(source: &str, event: &str) -> Found {
    let script = match embedded().compile_script("case", source) {
        Ok(script) => script,
        Err(failure) => return Found::Error(failure.to_string()),
    };
    let event = Value::from_json_str(event).unwrap_or_else(|error| panic!("{event}: {error}"));
    let (mut event, mut meta, mut state) = (Payload::from(event), Meta::record(), Value::Null);
    let context = Context::new(1, None, Some(&TestHost));
    match script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context) {
        Ok(Outcome::Emit { value, .. }) => Found::Value(value),
        Ok(Outcome::EmitEvent { .. }) => Found::Value(event.into_value()),
        Ok(Outcome::Drop) => Found::Drop,
        Err(error) => Found::Error(error.report(&script.sources)),
    }
}

/// Bytes and what JSON cannot show become what they are written as.
fn written(value: &Value) -> Value {
    Value::from_json_str(&value.to_string()).unwrap()
}

fn table(lines: &str) {
    let mut wrong = Vec::new();
    for line in lines.lines().filter(|line| !line.is_empty() && !line.starts_with("//")) {
        let [source, event, expected] = *line.split(" |> ").collect::<Vec<_>>() else {
            panic!("bad line: {line}");
        };
        let found = run(&source.replace("\\N", "\n"), event);
        let fits = match (&found, expected.strip_prefix("error")) {
            (Found::Error(report), Some(part)) => report.contains(part.trim()),
            (Found::Value(value), None) if expected != "drop" => {
                Value::from_json_str(expected).is_ok_and(|expected| written(value) == expected)
            }
            (Found::Drop, None) => expected == "drop",
            _ => false,
        };
        if !fits {
            let found = match found {
                Found::Value(value) => value.to_string(),
                Found::Drop => "drop".to_owned(),
                Found::Error(report) => report,
            };
            wrong.push(format!("{line}\n    found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
