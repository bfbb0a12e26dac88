//! The cases of `tests/lang`: found by walking, expectations rewritten when `UPDATE_EXPECT=1` is set.

use crate::source::{Kind, report_as};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lang")
}

fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    found.sort();
    found
}

/// The source of a case and the text of its expectation, if the suite has one.
struct Case {
    name: String,
    kind: Kind,
    file: String,
    text: String,
    expectation: Option<PathBuf>,
}

fn case(name: String, path: &Path, expectation: Option<&str>) -> Result<Case, String> {
    let mut source = None;
    for (file, path) in entries(path) {
        match Kind::of_file(&file) {
            Some(kind) if source.is_none() => source = Some((kind, file, path)),
            Some(_) => return Err(format!("{name}: more than one source")),
            None if Some(file.as_str()) == expectation => {}
            None => return Err(format!("{name}: a file that means nothing here: {file}")),
        }
    }
    let (kind, file, source) = source.ok_or_else(|| format!("{name}: no source"))?;
    let text = fs::read_to_string(source).map_err(|error| format!("{name}: {error}"))?;
    Ok(Case { name, kind, file, text, expectation: expectation.map(|file| path.join(file)) })
}

/// Runs `check` on all cases of a suite; it gives the rendered diagnostics or says what is wrong.
fn suite(suite: &str, expectation: Option<&str>, check: impl Fn(&Case) -> Result<String, String>) {
    let mut problems = Vec::new();
    let cases = entries(&root().join(suite));
    assert!(!cases.is_empty());
    for (name, path) in cases {
        let result = case(format!("{suite}/{name}"), &path, expectation).and_then(|case| {
            let actual = check(&case)?;
            case.kind.round_trip(&case.text).map_err(|problem| format!("{}: {problem}", case.name))?;
            case.expectation.as_ref().map_or(Ok(()), |path| compare(&case.name, path, &actual))
        });
        problems.extend(result.err());
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

fn compare(name: &str, path: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        return fs::write(path, actual).map_err(|error| format!("{name}: {error}"));
    }
    let expected =
        fs::read_to_string(path).map_err(|error| format!("{name}: {}: {error}", path.display()))?;
    if expected == actual {
        return Ok(());
    }
    Err(format!("{name}: expected\n{expected}\nbut got\n{actual}\n(UPDATE_EXPECT=1 rewrites it)"))
}

#[test]
fn ok() {
    suite("ok", None, |case| {
        let diagnostics = case.kind.diagnostics(&case.text);
        let report = report_as(&case.file, &case.text, &diagnostics);
        if diagnostics.is_empty() { Ok(report) } else { Err(format!("{}:\n{report}", case.name)) }
    });
}

#[test]
fn err() {
    suite("err", Some("error.txt"), |case| {
        let diagnostics = case.kind.diagnostics(&case.text);
        let report = report_as(&case.file, &case.text, &diagnostics);
        let has_error = diagnostics.iter().any(|diagnostic| diagnostic.is_error());
        if has_error { Ok(report) } else { Err(format!("{}: no error\n{report}", case.name)) }
    });
}

#[test]
fn warn() {
    suite("warn", Some("warning.txt"), |case| {
        let diagnostics = case.kind.diagnostics(&case.text);
        let report = report_as(&case.file, &case.text, &diagnostics);
        let has_error = diagnostics.iter().any(|diagnostic| diagnostic.is_error());
        if diagnostics.is_empty() || has_error {
            return Err(format!("{}: warnings only, please\n{report}", case.name));
        }
        Ok(report)
    });
}

#[test]
fn suites_are_known() {
    for (name, _) in entries(&root()) {
        assert!(
            ["ok", "err", "warn", "runtime_err"].contains(&name.as_str()),
            "unknown suite tests/lang/{name}"
        );
    }
}

/// Every lexical and syntactic condition has a case that shows it.
#[test]
fn every_code_of_the_parser_has_a_case() {
    let mut seen = std::collections::BTreeSet::new();
    for (suite, expectation) in [("err", "error.txt"), ("warn", "warning.txt")] {
        for (name, path) in entries(&root().join(suite)) {
            let case = case(name, &path, Some(expectation)).unwrap();
            seen.extend(case.kind.diagnostics(&case.text).iter().map(|diagnostic| diagnostic.code.id));
        }
    }
    let is_ours = |id: &str| id.starts_with("E-L") || id.starts_with("E-S") || ["E-D5", "W-1"].contains(&id);
    // Deep texts are made by the tests in `limits`.
    let elsewhere = ["E-L16"];
    for code in tremor_diagnostic::codes::ALL.iter().filter(|code| is_ours(code.id)) {
        assert!(
            seen.contains(code.id) || elsewhere.contains(&code.id),
            "no case gives {code}: {}",
            code.summary
        );
    }
}

/// Cutting a text anywhere gives a report or a tree, never anything worse.
#[test]
fn cut_short_anywhere() {
    for suite in ["ok", "err", "warn"] {
        for (name, path) in entries(&root().join(suite)) {
            let expectation = match suite {
                "err" => Some("error.txt"),
                "warn" => Some("warning.txt"),
                _ => None,
            };
            let case = case(name, &path, expectation).unwrap();
            // Every cut of a short text, about thirty of a long one.
            let step = case.text.len() / 30 + 1;
            for cut in (0..case.text.len()).step_by(step).filter(|cut| case.text.is_char_boundary(*cut)) {
                case.kind.diagnostics(&case.text[..cut]);
                case.kind.diagnostics(&case.text[cut..]);
                let after = (cut + 1..=case.text.len()).find(|at| case.text.is_char_boundary(*at)).unwrap();
                let without_one = format!("{}{}", &case.text[..cut], &case.text[after..]);
                case.kind.diagnostics(&without_one);
                assert_eq!(case.kind.round_trip(&without_one), Ok(()), "{without_one}");
            }
        }
    }
}
