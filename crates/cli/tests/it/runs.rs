//! Which tests a run finds, what it counts, and what it reports.

use crate::tree::{Tree, ran};
use std::{
    path::Path,
    process::{Command, Stdio},
};

const SUITE: &str = r#"{ "kind": "Integration", "includes": "*", "about": 1 }"#;
const PASS: &str = "status: 0\nname: fine\nasserts: []\n";

/// A suite with one folder per name; a folder fails if its name begins with `bad`.
fn suite(folders: &[(&str, &str)]) -> Tree {
    let tree = Tree::new(&[("meta.yaml", SUITE)]);
    for (name, tags) in folders {
        let status = if name.contains("bad") { 3 } else { 0 };
        tree.write(&format!("{name}/config.troy"), &format!("exit {status}\n"));
        tree.write(&format!("{name}/tags.yaml"), tags);
        tree.write(&format!("{name}/assert.yaml"), PASS);
    }
    tree
}

#[test]
fn a_run_with_a_failure_names_it() {
    let tree = suite(&[("good", "[a]"), ("bad", "[]"), ("also-good", "[]")]);
    let bad = tree.path("bad");
    tree.run(&["integration", "."])
        .expect(1)
        .shows(&[
            "Framework: Finding integration test scenarios",
            "  Integration: Running good",
            "    Tags:  a good",
            "(+) Assert 0: Status fine",
            "(-) Assert 0: Status fine",
            "expected status 0, got 3",
            "   Stats: Pass 1 Fail 0 Skip 0  Asserts 1 \n",
            "  Integration Stats: Pass 2 Fail 1 Skip 0  Asserts 3 \n",
            "All Integration Stats: Pass 2 Fail 1 Skip 0  Asserts 3 \n",
            "Total Stats: Pass 2 Fail 1 Skip 0  Asserts 3 \n",
            "Total Elapsed: ",
        ])
        .hides(&["\x1b[", "All Command"])
        .says(&["error: 1 out of 3 tests failed.\n", &format!("Failed tests: {}\n", bad.display())]);
}

#[test]
fn tags_select_tests() {
    let tree = suite(&[("one", "[x, slow]"), ("two", "[y]"), ("bad", "[slow]")]);
    tree.run(&["integration", ".", "-e", "slow"]).expect(0).shows(&[
        "Skipping one",
        "Running two",
        "Skipping bad",
        "Total Stats: Pass 1 Fail 0 Skip 2  Asserts 1",
    ]);
    tree.run(&["integration", ".", "-i", "x", "-e", "slow"])
        .expect(0)
        .shows(&["Running one", "Skipping two"]);
    // The name of a folder is a tag, too.
    tree.run(&["integration", ".", "-e", "bad"]).expect(0).shows(&[
        "Running one",
        "Running two",
        "Skipping bad",
    ]);
    tree.run(&["integration", ".", "-i", "none"]).expect(0).shows(&["Total Stats: Pass 0 Fail 0 Skip 3"]);
    // Tags of the base belong to every test.
    tree.write("tags.yaml", "- base\n");
    tree.run(&["integration", ".", "-i", "base", "-e", "bad"]).expect(1).shows(&["Tags:  base slow bad"]);
}

#[test]
fn globs_and_folders_without_tags() {
    let tree = suite(&[("a", "[]"), ("a/deep", "[]"), ("ws-one", "[]"), ("sub/ws-two", "[]")]);
    tree.write("untagged/config.troy", "exit 9");
    tree.run(&["integration", "."])
        .expect(0)
        .shows(&["Running a\n", "Running ws-one"])
        .hides(&["deep", "two", "untagged"]);
    tree.write("meta.yaml", "kind: Integration\nincludes: \"WS-*\"\n");
    tree.run(&["integration", "."])
        .expect(0)
        .shows(&["Running ws-one", "Running ws-two"])
        .hides(&["Running a"]);
    tree.write("meta.yaml", r#"{"kind": "Integration", "includes": "sub/*"}"#);
    tree.run(&["all", "."]).expect(0).shows(&["Running ws-two", "Pass 1"]).hides(&["ws-one"]);
    // A suite of another kind is not run, and nothing is no failure.
    tree.run(&["command", "."]).expect(0).shows(&["Total Elapsed"]).hides(&["Running", "Stats"]);
}

#[test]
fn suites_are_found_at_any_depth_and_a_bad_one_fails() {
    let tree = suite(&[("sub/x", "[]")]);
    tree.write("sub/meta.yaml", SUITE);
    tree.write("other/meta.yaml", r#"{"kind": "Integration"}"#);
    let meta = tree.path("other/meta.yaml");
    let meta = meta.to_str().unwrap();
    tree.run(&["all", "."])
        .expect(1)
        .shows(&["Running x", meta, "Total Stats: Pass 1 Fail 1"])
        .says(&["1 out of 2", meta]);
}

#[test]
fn the_kind_all_adds_a_tag() {
    let tree = suite(&[("one", "[all]"), ("two", "[]")]);
    tree.write("a/meta.yaml", r#"{"kind": "All", "includes": ""}"#);
    tree.write("b/meta.yaml", SUITE);
    tree.write("b/x/tags.yaml", "[all]");
    tree.write("b/x/config.troy", "");
    tree.write("b/y/tags.yaml", "[]");
    // The suite at the base comes first in the order of paths only if its file does; `b` comes after `a`.
    tree.run(&["all", "."]).expect(0).shows(&["Running x", "Skipping y"]);
}

#[test]
fn other_kinds_are_named_and_not_run() {
    let tree = suite(&[("one", "[]")]);
    tree.write("u/meta.yaml", r#"{"kind": "Unit", "includes": "*"}"#);
    tree.run(&["all", "."])
        .expect(0)
        .shows(&["All Unit Stats: Pass 0 Fail 0 Skip 1", "Pass 1"])
        .says(&["warning: Unit suites are not run"]);
    tree.run(&["unit", "."]).expect(1).says(&["error: ", "tests are not run by this version"]);
}

#[test]
fn single_folders() {
    let tree =
        Tree::new(&[("one/config.troy", "echo hello"), ("none/readme", ""), ("one/sub/x.troy", "exit 1")]);
    let one = tree.path("one");
    for path in ["one", "./one", "one/../one", one.to_str().unwrap()] {
        tree.run(&["integration", path]).expect(0).shows(&[
            "Running one",
            "Tags:  one",
            "hello",
            "Total Stats: Pass 1 Fail 0",
        ]);
    }
    ran(tree.command(&["integration", "."]).current_dir(&one)).expect(0).shows(&["Running one"]);
    tree.write("one/tags.yaml", "[t]");
    tree.run(&["integration", "one", "-e", "t"])
        .expect(1)
        .says(&["error: Specified test folder is excluded from running."]);
    tree.run(&["integration", "none"])
        .expect(1)
        .says(&["error: Specified folder does not contain a runnable test"]);
    tree.run(&["integration", "nowhere"]).expect(1).says(&["error: Failed to canonicalize path"]);
    tree.run(&["all", "one"])
        .expect(0)
        .says(&["No tests run: Don't know how to run test of kind All"])
        .hides(&["Elapsed"]);
    tree.write("one/config.troy", "echo to-stderr >&2; exit 4");
    tree.run(&["integration", "one"]).expect(1).shows(&["ERROR: ", "to-stderr"]);
}

#[test]
fn the_report_has_it_all() {
    let tree = suite(&[("good", "[]"), ("bad", "[]")]);
    tree.write("good/config.troy", "printf 'out \\377\\n'; echo err >&2");
    tree.write("good/before.yaml", "[{cmd: echo, args: [from, before]}]");
    tree.write("good/after.yaml", "{dir: ., cmd: echo, args: [from, after]}");
    tree.write(
        "good/assert.yaml",
        "status: 0\nname: nice\nasserts: [{source: stdout, contains: [out]}, {source: x}]",
    );
    tree.write("second/meta.yaml", SUITE);
    tree.write("second/more/config.troy", "");
    tree.write("second/more/tags.yaml", "[]");
    tree.run(&["all", ".", "-o", "report.json", "-e", "slow"]).expect(1);
    let report = tree.report();
    assert_eq!(report["metadata"]["name"], "tremor-cli");
    assert_eq!(report["metadata"]["allocator"], "mimalloc");
    assert_eq!(
        (&report["includes"], &report["excludes"]),
        (&serde_json::json!([]), &serde_json::json!(["slow"]))
    );
    let reports = report["reports"]["integration"].as_array().unwrap();
    assert_eq!(reports.len(), 3, "both suites are there");
    let good = reports
        .iter()
        .map(|report| &report["elements"]["integration"])
        .find(|run| run["name"] == "nice")
        .unwrap();
    assert_eq!(good["elements"][0]["description"], "Process expected to exit with status code 0");
    assert_eq!(good["elements"][0]["keyword"], "Predicate");
    assert_eq!(good["elements"][0]["result"], serde_json::json!({"status": "Passed", "duration": 0}));
    assert_eq!(good["elements"][0]["info"], "0");
    assert_eq!(good["elements"][1]["result"]["status"], "Passed");
    assert_eq!(good["evidence"]["test: stdout"], "out \u{fffd}\n");
    assert_eq!(good["evidence"]["test: stderr"], "err\n");
    assert_eq!(good["evidence"]["before 0: stdout"], "from before\n");
    assert_eq!(good["evidence"]["after 0: stdout"], "from after\n");
    let stats = serde_json::json!({"pass": 2, "fail": 0, "skip": 1, "assert": 2, "failed_test_names": []});
    assert_eq!(good["stats"], stats);
    assert!(good["duration"].as_u64().unwrap() > 0);
    assert!(reports.iter().any(|report| report["elements"]["bench"]["stats"]["pass"] == 1));
    assert_eq!(report["stats"]["all"]["fail"], 1);
    assert_eq!(report["stats"]["integration"]["failed_test_names"][0], tree.path("bad").to_str().unwrap());
    for kind in ["bench", "command", "unit"] {
        assert_eq!(report["stats"][kind]["pass"], 0);
    }
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let tree = suite(&[("good", "[]")]);
    tree.run(&["all", ".", "-o", "no/such/report.json"])
        .expect(1)
        .says(&["error: Cannot write the report to no/such/report.json"]);
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let tree = suite(&[("a", "[]"), ("b", "[]")]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let run = ran(tree.command(&["all", "."]).stdout(writer));
    assert_eq!(run.err, "");
    assert!(!Path::new(&tree.path("b/fg.out.log")).exists(), "no further test is begun");
}

#[test]
fn the_program_under_test_has_to_exist() {
    let tree = suite(&[("a", "[]")]);
    let mut command: Command = tree.command(&["all", "."]);
    ran(command.env("TREMOR_BIN", "/no/such/tremor"))
        .expect(1)
        .says(&["error: TREMOR_BIN names `/no/such/tremor`"]);
}

#[test]
fn a_logger_file_decides_what_is_logged_and_where() {
    let tree = suite(&[("one", "{no: list}")]);
    tree.write(
        "logger.yaml",
        "appenders:
  err: {kind: console, target: stderr, encoder: {pattern: 'to err: {l} {m}{n}'}}
  file: {kind: file, path: logs/x.log, encoder: {pattern: '{t} {m}{n}'}}
root: {level: error, appenders: [err]}
loggers:
  tremor: {level: warn, appenders: [file, err], additive: false}
",
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_tremor"));
    command.args(["-l", "logger.yaml"]).args(tree.command(&["all", "."]).get_args());
    command
        .stdout(Stdio::piped())
        .current_dir(tree.path("."))
        .env("TREMOR_BIN", "../stand-in")
        .env("RUST_LOG", "off");
    ran(&mut command).expect(0).says(&["to err: WARN Invalid "]);
    let log = tree.read("logs/x.log");
    assert!(log.starts_with("tremor Invalid ") && log.contains("tags.yaml"), "{log}");
    // Without the file, the same warning has its fixed form.
    let plain = tree.run(&["all", "."]).expect(0);
    assert!(plain.err.contains(" WARN  tremor] Invalid "), "{}", plain.err);
}
