//! Reports as users see them.

use super::{compile, report};

#[test]
fn a_missing_key_shows_its_line_and_the_nearest_key() {
    assert_eq!(
        report("let a = 1;\nlet b = event.snek;\nb", r#"{"snake": 1}"#),
        "Error: \n    2 | let b = event.snek;\n      |               ^^^^ Trying to access a non existing event key `snek`\n      |                    NOTE: Did you mean `snake`?\n"
    );
}

#[test]
fn assigning_the_metadata_shows_the_lines_around() {
    let text = report("let a = 1;\nlet $ = {};\na", "1");
    assert!(text.contains("    1 | let a = 1;\n    2 | let $ = {};\n      |     ^^^^^^ You are trying to assign to a value that isn't valid"), "{text}");
    assert!(text.contains("    3 | a"), "{text}");
}

#[test]
fn an_unknown_function_names_the_nearest_one() {
    let failure = compile("use array;\narray::lem([])").unwrap_err();
    let text = failure.to_string();
    assert!(text.starts_with("Error in test.tremor:2:1 \n"), "{text}");
    assert!(text.contains("Call to undefined function array::lem"), "{text}");
    assert!(text.contains("Did you mean `array::len`?"), "{text}");
}

#[test]
fn functions_name_their_registry_module() {
    assert!(report("core::array::len(event)", "1").contains("Bad type passed to function array::len/1"));
    let text = report("core::array::len(event, 1)", "1");
    assert!(
        text.contains("Bad arity for function array::len/1..=1 but was called with 2 arguments"),
        "{text}"
    );
    let text = report("core::test::fail(event)", "1");
    assert!(text.contains("Runtime error in function test::fail/1: no luck"), "{text}");
}

#[test]
fn an_unknown_local_may_be_a_misspelt_word() {
    assert!(report("evnt", "1").contains("Did you mean `event`?"));
    assert!(report("nil", "1").contains("Did you mean `null`?"));
}

#[test]
fn a_module_that_is_not_bound_names_the_use_that_is_missing() {
    let library = super::Embedded::new("lib").with("std/array.tremor", "const N = 1; fn len(a) with 1 end;");
    let compiler = super::compiler_with(library);
    for source in ["array::len([])", "array::N", "fn f(x) with array::len(x) end; 1"] {
        let text = compiler.compile_script("t", source).unwrap_err().to_string();
        assert!(text.contains("NOTE: `use std::array;` is missing"), "{text}");
    }
    let text = compiler.compile_script("t", "nope::len([])").unwrap_err().to_string();
    assert!(text.contains("There is no module `nope` here"), "{text}");
}

#[test]
fn an_unknown_local_may_be_a_misspelt_local() {
    for (source, near) in [
        ("let total = event; totl", "total"),
        ("fn f(value) with valu end; f(event)", "value"),
        ("fn f(value) with match value of case number = _ => numbr case _ => 1 end end; f(event)", "number"),
        ("let abc = {}; let abd.x = 1", "abc"),
        ("const LIMIT = 1; match event of case 1 => LIMITS case _ => 2 end", "LIMIT"),
        ("match event of case number = _ when numbr > 0 => 2 end", "number"),
        ("for [event] of case (index, value) => indx end", "index"),
        ("argz.limit", "args"),
        ("let b = totl; let total = event; b", ""),
        ("match event of case 2 => let total = 1 case _ => 1 end; total", ""),
    ] {
        let text = report(source, "1");
        assert!(text.contains("Trying to access a non existing local key"), "{source}\n{text}");
        match near {
            "" => assert!(!text.contains("NOTE"), "{source}\n{text}"),
            near => assert!(text.contains(&format!("NOTE: Did you mean `{near}`?\n")), "{source}\n{text}"),
        }
    }
}

#[test]
fn an_unknown_local_of_a_query_or_a_constant_names_the_nearest_word() {
    let query = |source: &str| super::compiler().compile_query("q", source).unwrap_err().to_string();
    for source in ["select evnt.a from in into out", "select event from in where evnt.a > 1 into out"] {
        assert!(query(source).contains("NOTE: Did you mean `event`?"), "{source}");
    }
    let text = compile("const SIZE = 1; const TWICE = SIZ * 2; 1").unwrap_err().to_string();
    assert!(text.contains("This has to be constant") && text.contains("Did you mean `SIZE`?"), "{text}");
}

#[test]
fn what_is_not_constant_is_shown_where_it_stands() {
    let source = "const LIMITS = {\n  \"low\": [1, 2],\n  \"high\": {\n    \"on\": True\n  }\n};\n1";
    let text = compile(source).unwrap_err().to_string();
    assert!(text.contains(":4:11"), "{text}");
    assert!(text.contains("    |           ^^^^ This has to be constant"), "{text}");
    assert!(text.contains("NOTE: Did you mean `true`?"), "{text}");
}

#[test]
fn the_search_for_near_locals_is_bounded() {
    let unknown = "totl; ".repeat(63);
    let hinted = |source: String| report(&source, "1").contains("NOTE: Did you mean `total`?");
    assert!(hinted(format!("let total = 1; {unknown} totl")));
    assert!(!hinted(format!("let total = 1; totl; {unknown} totl")), "a text that no hand wrote");
}
