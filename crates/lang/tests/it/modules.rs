//! Finding, binding and compiling modules.

use super::{compiler_with, library, reports, run};
use std::{fs, sync::Arc};
use tremor_lang::{Compiler, Directories, Embedded, Functions, Layered, SourceLoader};

#[track_caller]
fn complaints(library: Embedded, source: &str) -> Vec<String> {
    match compiler_with(library).compile_script("test.tremor", source) {
        Ok(_) => Vec::new(),
        Err(failure) => reports(&failure),
    }
}

#[test]
fn modules_bind_their_last_segment_or_an_alias() {
    assert_eq!(run("use num; num::FIVE", "0"), "5");
    assert_eq!(run("use num as five; five::FIVE", "0"), "5");
    let nested = || {
        Embedded::new("lib")
            .with("a/b.tremor", "const B = 1;")
            .with("a/e/g.tremor", "const G = 2;")
            .with("a.tremor", "use a::b; use a::e::g as gee; const A = 0;")
    };
    let ok: [&str; 0] = [];
    assert_eq!(complaints(nested(), "use a::{b, e::{g as h}}; b::B + h::G"), ok);
    assert_eq!(complaints(nested(), "use a; a::b::B + a::gee::G + a::A"), ok);
    assert_eq!(complaints(nested(), "use a; a::e::g::G"), ["E-C3 at a::e::g::G"]);
    assert_eq!(complaints(nested(), "use a::b; a::b::B"), ["E-C3 at a::b::B"]);
}

#[test]
fn a_module_that_is_not_there_lists_where_it_was_looked_for() {
    let failure = compiler_with(library()).compile_script("test.tremor", "use std::nope;\n1").unwrap_err();
    let message = &failure.diagnostics[0].message;
    assert_eq!(
        message,
        "Module `std::nope` not found or not readable error in module path: \n                         - lib"
    );
    assert_eq!(reports(&failure), ["E-M1 at std::nope"]);
    assert_eq!(complaints(library(), "use {a, b}; 1").len(), 1, "braces need a path before them");
    assert_eq!(complaints(library(), "use x::{y, z}; y::f(1) + z::C"), ["E-M1 at y", "E-M1 at z"]);
}

#[test]
fn a_mistyped_module_is_recognised() {
    let library = || {
        Embedded::new("lib")
            .with("std/string.tremor", "const SIZE = 1;")
            .with("std/a/b.tremor", "const B = 1;")
    };
    let hint = |source: &str| {
        let failure = compiler_with(library()).compile_script("t", source).unwrap_err();
        failure.diagnostics[0].hint.clone().unwrap_or_default()
    };
    assert_eq!(hint("use std::sting; 1"), "Did you mean `std::string`?");
    assert_eq!(hint("use sdt; 1"), "Did you mean `std`?");
    assert_eq!(hint("use std::string; string::SIEZ"), "Did you mean `string::SIZE`?");
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("parts")).unwrap();
    fs::write(directory.path().join("parts/clocks.troy"), "const C = 1;").unwrap();
    let loader = Directories::from_path_list(&directory.path().display().to_string());
    let compiler = Compiler::new(Arc::new(loader), Arc::new(Functions::default()));
    let failure = compiler.compile_script("t", "use parts::clock; 1").unwrap_err();
    assert_eq!(failure.diagnostics[0].hint.as_deref(), Some("Did you mean `parts::clocks`?"));
}

#[test]
fn cycles_are_reported_at_the_use_that_closes_them() {
    let cycle =
        Embedded::new("lib").with("a.tremor", "use b; const A = 1;").with("b.tremor", "use a; const B = 1;");
    assert_eq!(complaints(cycle, "use a; a::A"), ["E-M2 at use a"]);
    let own = Embedded::new("lib").with("a.tremor", "use a; const A = 1;");
    assert_eq!(complaints(own, "use a; a::A"), ["E-M2 at use a"]);
    let through_script = Embedded::new("lib").with("a.tremor", "use a;\n1");
    assert_eq!(complaints(through_script, "use a;\n1"), ["E-M2 at use a"]);
}

#[test]
fn troy_is_an_older_name_of_tremor() {
    let library = Embedded::new("lib").with("tremor/x.tremor", "const X = 1;");
    assert_eq!(complaints(library, "use troy::x; x::X"), [""; 0]);
    let library =
        Embedded::new("lib").with("tremor/x.tremor", "const X = 1;").with("troy/x.tremor", "const Y = 1;");
    assert_eq!(complaints(library, "use troy::x; x::Y"), [""; 0]);
}

#[test]
fn mistakes_in_modules_are_reported_there_and_once() {
    let library =
        Embedded::new("lib").with("a.tremor", "const A = 1 / 0; fn f(x) with nope(x) end; const C = \"x");
    let failure =
        compiler_with(library).compile_script("t.tremor", "use a; a::A + a::f(1) + a::D").unwrap_err();
    for diagnostic in &failure.diagnostics {
        let file = diagnostic.inner.and_then(|span| failure.sources.get(span.file)).unwrap();
        assert_eq!(file.name, "lib/a.tremor");
    }
    assert!(!failure.diagnostics.is_empty());
}

#[test]
fn scopes_do_not_see_what_encloses_them() {
    // A function sees what stands above it, not the locals of the script.
    assert_eq!(run("let y = 1; fn f(x) with x + y end; f(event)", "1"), "E-P0 at y");
    assert_eq!(super::complaints("fn f(x) with g(x) end; fn g(x) with x end; 1"), ["E-C2 at g(x)"]);
}

#[test]
fn directories_are_searched_in_order_and_the_embedded_copy_last() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(one.path().join("m.troy"), "const M = 1;").unwrap();
    fs::write(two.path().join("m.tremor"), "const M = 2;").unwrap();
    fs::write(two.path().join("n.tremor"), "const N = 2;").unwrap();
    fs::write(one.path().join("n.tremor"), "const N = 1;").unwrap();
    let list = format!(" {} :{}//:/does/not/exist:", one.path().display(), two.path().display());
    let directories = Directories::from_path_list(&list);
    assert_eq!(directories.places(), 2);
    let embedded =
        Embedded::new("embedded").with("m.tremor", "const M = 3;").with("e.tremor", "const E = 3;");
    let loader = Layered::new(vec![Arc::new(directories), Arc::new(embedded)]);
    let compiler = Compiler::new(Arc::new(loader), Arc::new(Functions::default()));
    let script = compiler.compile_script("t", "use m; use n; use e; [m::M, n::N, e::E]").unwrap();
    let mut event = tremor_value::Payload::default();
    let (mut meta, mut state, null) =
        (tremor_value::Meta::record(), tremor_value::Value::Null, tremor_value::Value::Null);
    let context = tremor_lang::Context::new(0, None, None);
    let outcome = script.program.run(&mut event, &mut meta, &mut state, &null, &context).unwrap();
    let tremor_lang::Outcome::Emit { value, .. } = outcome else { panic!("no value") };
    assert_eq!(value.to_string(), "[2,1,3]");
}

#[test]
fn a_module_that_is_not_utf8_says_so() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("m.tremor"), [0xff, 0xfe]).unwrap();
    let loader = Directories::from_path_list(&dir.path().display().to_string());
    let compiler = Compiler::new(Arc::new(loader), Arc::new(Functions::default()));
    let failure = compiler.compile_script("t", "use m; 1").unwrap_err();
    assert!(failure.diagnostics[0].message.contains("not UTF-8"), "{failure}");
}
