//! Command suites.

use crate::tree::{Tree, ran};

const META: &str = r#"{ "kind": "Command", "includes": "unused" }"#;

fn suite(command_yml: &str) -> Tree {
    Tree::new(&[("meta.yaml", META), ("cases/command.yml", command_yml)])
}

const CASES: &str = "
name: ignored
tags: [ignored]
suites:
  - name: |
      help output
    tags: [help]
    cases:
      - name: asks for help
        command: tremor run \"two words\" 'a $HOME' # and a comment
        env: { RUST_LOG: warn }
        tags: [fast]
        status: 0
        expects:
          - source: stdout
            contains: ['Usage: stand-in run two words a $HOME']
            doesnt_contain: [comment]
          - source: stderr
            contains: [level=warn]
          - source: stdout
      - name: fails
        command: sh -c 'echo out; exit 7'
        tags: [slow]
        status: 0
        expects: [{source: stdout, contains: [nothing]}]
";

#[test]
fn cases_are_run_and_counted_by_assert() {
    let tree = suite(CASES);
    let log = tree.path("cases/fg.1.out.log");
    tree.run(&["command", ".", "-o", "report.json"])
        .expect(1)
        .shows(&[
            "Command Suite: : help output",
            "Command Test: asks for help",
            "    Tags:  cases help fast",
            "(+) Assert 0: Status asks for help",
            "(+) Assert 1: File `stdout` contains `Usage: stand-in run two words a $HOME`",
            "Test Stats: Pass 4 Fail 0 Skip 1  Asserts 4",
            "(-) Assert 0: Status fails",
            "(-) Assert 1: File `stdout` contains `nothing`",
            "All Command Stats: Pass 4 Fail 2 Skip 1  Asserts 6",
        ])
        .says(&["error: 2 out of 7 tests failed.", &format!("Failed tests: fails, {}", log.display())]);
    assert_eq!(tree.read("cases/fg.1.out.log"), "out\n");
    let report = tree.report();
    let run = &report["reports"]["command"][0]["elements"]["asks for help"];
    assert_eq!(run["evidence"], serde_json::Value::Null);
    assert_eq!(run["stats"]["assert"], 4);
    assert_eq!(report["stats"]["command"]["fail"], 2);
}

#[test]
fn cases_are_filtered_by_tags_of_every_level() {
    let tree = suite(CASES);
    tree.run(&["command", ".", "-e", "slow"]).expect(0).hides(&["fails"]).shows(&["Pass 4 Fail 0 Skip 1"]);
    tree.run(&["-v", "command", ".", "-e", "slow"]).expect(0).shows(&["Command Test ( Skipping ): fails"]);
    for tag in ["cases", "help", "fast"] {
        tree.run(&["command", ".", "-i", tag, "-e", "slow"]).shows(&["asks for help"]);
    }
    tree.run(&["command", ".", "-i", "none"]).expect(0).hides(&["Command Suite", "Stats"]);
}

#[test]
fn what_cannot_be_run_fails_its_case() {
    let tree = suite(
        "suites: [{name: s, cases: [
  {name: quotes, command: \"echo 'open\", status: 0, expects: []},
  {name: empty, command: '# nothing', status: 0, expects: []},
  {name: program, command: no-such-program, status: 0, expects: []},
  {name: target, command: 'true', status: 0, expects: [{source: stdout, equals_file: gone}]},
  {name: signal, command: \"sh -c 'kill -9 $$'\", status: 9, expects: []},
  {name: closed, command: cat, status: 0, expects: []},
]}]",
    );
    tree.run(&["command", "."])
        .expect(1)
        .shows(&[
            "Cannot split the command",
            "empty command",
            "`no-such-program` binary",
            "`gone`",
            "ended by signal 9",
        ])
        .says(&["5 out of 6 tests failed", "Failed tests: quotes, empty, program, target, signal"]);
}

#[test]
fn before_and_after_are_around_the_file() {
    let tree = suite(
        "suites: [{name: s, cases: [{name: c, command: cat made, status: 0, expects: [{source: stdout, contains: [yes]}]}]}]",
    );
    tree.write(
        "cases/before.yaml",
        "[{cmd: sh, args: [-c, 'echo yes > made; echo \"[$RUST_LOG]\"'], await: {status: [0]}}]",
    );
    tree.write("cases/after.yaml", "{cmd: rm, args: [made], dir: .}");
    tree.run(&["command", "."]).expect(0);
    assert!(!tree.path("cases/made").exists());
    assert_eq!(tree.read("cases/before.out.0.log"), "[]\n", "no additions");
    tree.write("cases/before.yaml", "[{cmd: sh, args: [-c, 'exit 1'], await: {status: [0]}}]");
    tree.write("cases/after.yaml", "{cmd: touch, args: [cleaned], dir: .}");
    tree.run(&["command", "."]).expect(1).says(&["command.yml"]).shows(&["ended with status 1"]);
    assert!(tree.path("cases/cleaned").exists());
}

#[test]
fn the_number_of_a_case_goes_on_over_files_and_a_bad_file_is_one_failure() {
    let one = "suites: [{name: s, cases: [{name: c, command: echo hi, status: 0, expects: []}]}]";
    let tree = suite(one);
    tree.write("a/command.yml", one);
    tree.write("b/command.yml", "suites: 5");
    tree.write("d/command.yaml", "not looked at");
    let bad = tree.path("b/command.yml");
    let bad = bad.to_str().unwrap();
    tree.run(&["command", "."]).expect(1).shows(&[bad, "Total Stats: Pass 2 Fail 1"]).says(&[bad]);
    assert!(tree.path("a/fg.0.out.log").exists() && tree.path("cases/fg.1.out.log").exists());
}

#[test]
fn a_folder_without_meta_works_and_so_does_the_program_itself() {
    let tree = Tree::new(&[(
        "command.yml",
        "suites: [{name: s, cases: [{name: c, command: tremor --version, status: 0, expects: [{source: stdout, contains: [tremor]}]}]}]",
    )]);
    // Without TREMOR_BIN, `tremor` is the running program.
    ran(tree.command(&["command", "."]).env_remove("TREMOR_BIN")).expect(0).shows(&["Pass 2 Fail 0"]);
}
