//! The library as scripts see it: every module compiles, every native function is bound, every example holds.
#![expect(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod language;
mod mutations;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tremor_lang::{Compiler, Context, Directories, Functions, Host, Origin, Outcome};
use tremor_stdlib::EmbeddedLibrary;
use tremor_value::{Meta, Payload, Value};

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

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lib").canonicalize().unwrap()
}

/// All files of the library with the path of their module.
fn modules() -> Vec<(String, String)> {
    let mut modules = Vec::new();
    let mut waiting = vec![library()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let name = path.strip_prefix(library()).unwrap().with_extension("");
            let module: Vec<_> = name.iter().map(|segment| segment.to_str().unwrap()).collect();
            let quoted: Vec<_> = module.iter().map(|segment| format!("`{segment}`")).collect();
            modules.push((quoted.join("::"), fs::read_to_string(&path).unwrap()));
        }
    }
    modules.sort();
    modules
}

fn embedded() -> Compiler {
    Compiler::new(Arc::new(EmbeddedLibrary), Arc::new(tremor_stdlib::functions()))
}

#[track_caller]
fn eval(source: &str, event: &Value) -> Result<Value, String> {
    let script = embedded().compile_script("example", source).map_err(|failure| failure.to_string())?;
    let (mut event, mut meta, mut state) = (Payload::from(event.clone()), Meta::record(), Value::Null);
    let path = ["a".to_owned(), "b".to_owned()];
    let origin = Origin { scheme: "udp", host: "10.0.0.7", port: Some(4711), path: &path };
    let context = Context::new(1_000_000_007, Some(origin), Some(&TestHost));
    match script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context) {
        Ok(Outcome::Emit { value, .. }) => Ok(value),
        Ok(_) => Err("no value".to_owned()),
        Err(error) => Err(error.message()),
    }
}

#[test]
fn every_module_compiles_from_disk_and_from_the_binary() {
    let disk = Directories::from_path_list(&library().display().to_string());
    let disk = Compiler::new(Arc::new(disk), Arc::new(tremor_stdlib::functions()));
    for (module, _) in modules() {
        for compiler in [&disk, &embedded()] {
            let compiled = compiler.compile_script("t", &format!("use {module}; 1"));
            let compiled = compiled.unwrap_or_else(|failure| panic!("{module}\n{failure}"));
            assert_eq!(compiled.warnings, [], "{module}");
        }
    }
}

#[test]
fn examples_in_the_library_hold() {
    let mut examples = 0;
    for (module, text) in modules() {
        for line in text.lines() {
            let Some(example) = line.trim_start().strip_prefix("## > ") else { continue };
            examples += 1;
            let found = eval(&format!("use {module}; {example}"), &Value::Null);
            assert_eq!(found.as_ref().map(Value::to_string), Ok("true".to_owned()), "{module}: {example}");
        }
    }
    assert!(examples > 90, "{examples}");
}

#[test]
fn every_native_function_is_bound_and_nothing_else_is() {
    let functions: Functions = tremor_stdlib::functions();
    let native: BTreeSet<String> = functions
        .modules()
        .flat_map(|module| functions.names(module).map(move |name| format!("{module}::{name}")))
        .collect();
    let bound: BTreeSet<String> = modules()
        .iter()
        .flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| {
            Some(line.strip_prefix("intrinsic fn ")?.split(" as ").nth(1)?.trim_matches(';').to_owned())
        })
        .collect();
    assert_eq!(native, bound);
}

#[test]
fn natives_answer_every_type_and_number_of_arguments() {
    let values = [
        "null",
        "true",
        "1",
        "-1",
        "18446744073709551615",
        "1.5",
        "\"\"",
        "\"żó\"",
        "\"{}\"",
        "<<1, 255>>",
        "[]",
        "[1, \"a\", null]",
        "[[1, 2]]",
        "{}",
        "{\"a\": 1}",
    ];
    let functions = tremor_stdlib::functions();
    for module in functions.modules() {
        for name in functions.names(module) {
            let call = |args: &[&str]| {
                let source = format!("core::{module}::{name}({})", args.join(", "));
                let _ = eval(&source, &Value::Null);
            };
            call(&[]);
            values.iter().for_each(|a| call(&[a]));
            if functions.get(module, name).unwrap().arity.accepts(2) {
                values.iter().for_each(|a| values.iter().for_each(|b| call(&[a, b])));
            }
            if functions.get(module, name).unwrap().arity.accepts(3) {
                values.iter().for_each(|a| values.iter().for_each(|b| call(&[a, b, "1"])));
                values.iter().for_each(|a| call(&[a, "[\"a\", 0]", "null"]));
            }
        }
    }
}

#[test]
fn failures_have_the_texts_that_programs_know() {
    let event = Value::Null;
    for (source, text) in [
        (
            "array::zip([1], [])",
            "Runtime error in function array::zip/2: Zipping two arrays requires them to have the same length, but the first array provided has 1 elements while the second one has 0 elements",
        ),
        (
            "array::unzip([1])",
            "Runtime error in function array::unzip/1: Only arrays that consist of tuples (arrays of two elements) can be unzipped but this array contained: Static(U64(1))",
        ),
        ("array::len(1)", "Bad type passed to function array::len/1"),
        ("array::len([1], [2])", "Bad arity for function array::len/1..=1 but was called with 2 arguments"),
        ("base64::decode(\"A\")", "Invalid input length: 1"),
        ("base64::decode(\"A!\")", "Invalid symbol 33, offset 1."),
        ("binary::from_bytes([256])", "array contains non bytes"),
        ("float::parse(\"\")", "cannot parse float from empty string"),
        ("float::is_nan({})", "Expected type i128, got `object`"),
        ("integer::parse(\"9223372036854775808\")", "number too large to fit in target type"),
        ("json::decode(\"[1\")", "Runtime error in function json::decode/1: SIMD JSON error: "),
        ("path::try_default(1, [], 2)", "Expected record or array or literal `null` as first argument"),
        ("record::from_array([[1, 2]])", "The first element of the tuple needs to be a string: []"),
        (
            "string::format(\"{\")",
            "Runtime error in function string::format/1: the format specifier at 0 is invalid.",
        ),
        ("string::format(\"a{}\")", "The placeholder at 1 can not be filled"),
        ("string::format(\"\", 1)", "too many parameters passed."),
        ("string::format(1)", "expected 1st parameter to format"),
        ("url::decode(\"%ff\")", "Could not urldecode value: %ff"),
    ] {
        let found = eval(&format!("use std; std::{source}"), &event).unwrap_err();
        assert!(found.contains(text), "{source}: {found}");
    }
}

#[test]
fn the_context_reaches_the_functions() {
    let record = r#"{"scheme":"udp","host":"10.0.0.7","port":4711,"path":["a","b"]}"#;
    for (source, expected) in [
        ("origin::as_uri_string()", "\"udp://10.0.0.7:4711/a/b\""),
        ("origin::as_uri_record()", record),
        ("system::ingest_ns()", "1000000007"),
        ("system::nanotime()", "42"),
        ("system::hostname()", "\"host\""),
        ("system::instance()", "\"test\""),
    ] {
        let found = eval(&format!("use tremor::{{origin, system}}; {source}"), &Value::Null).unwrap();
        assert_eq!(found.to_string(), expected, "{source}");
    }
}

#[test]
fn flows_find_what_the_library_defines() {
    let source = r#"
        define flow f flow
          use tremor::{connectors, pipelines};
          use troy::connectors as old;
          use integration;
          use bench;
          create connector console from connectors::console;
          create connector x from connectors::`exit`;
          create connector o from old::console;
          create connector w from integration::write_file;
          create connector b from bench::bench;
          create pipeline p from pipelines::passthrough;
          create pipeline e from integration::out_or_exit with delay = 5 end;
          connect /connector/console to /pipeline/p;
          connect /pipeline/e/`exit` to /connector/x;
        end;
        deploy flow f;
    "#;
    let deployment = embedded().compile_deployment("t", source).unwrap_or_else(|failure| panic!("{failure}"));
    let [flow] = deployment.program.flows.as_slice() else { panic!("one flow") };
    assert_eq!(flow.connectors.len(), 5);
    assert_eq!(flow.pipelines.len(), 2);
}
