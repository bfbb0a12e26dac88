//! Runs of a `bench` connector: whether their exit code and log say what the report is worth.

use crate::{
    live::Folder,
    tree::{Ran, ran},
};
use std::fs::File;

/// Lines of `in.json` go around; `MORE` are further members of the configuration.
const BENCH: &str = r#"
define flow main
flow
  use tremor::pipelines;
  define connector bench from bench with config = {"path": "in.json", "iters": 2 MORE} end;
  create connector bench;
  create pipeline pass from pipelines::passthrough;
  connect /connector/bench to /pipeline/pass;
  connect /pipeline/pass to /connector/bench;
end;
deploy flow main;
"#;

const RUN: &[&str] = &["server", "run", "-n", "--debug-connectors", "bench.troy"];

fn measured(lines: &str, more: &str) -> Ran {
    Folder::new(&[("bench.troy", &BENCH.replace("MORE", more)), ("in.json", lines)]).run(RUN)
}

#[test]
fn lines_that_nobody_can_decode_are_counted_on_the_log() {
    let ran = measured("1\n{\n2\n", "").expect(0);
    assert!(ran.out.contains("Total count    =            4]"), "{}", ran.out);
    ran.says(&["WARN", "[Sink::main::bench] what it replayed could not all be decoded: 2 errors"]);
    let ran = measured("1\n2\n", "").expect(0);
    assert!(!ran.err.contains("decoded") && !ran.err.contains("measured"), "{}", ran.err);
}

#[test]
fn a_run_that_measured_nothing_says_so_and_fails() {
    let nothing = "[Sink::main::bench] not a single event was measured";
    measured("\n\n\n", "").expect(1).says(&["ERROR", nothing]);
    measured("{\n", "").expect(1).says(&[nothing, "could not all be decoded: 2 errors"]);
    measured("1\n", r#", "warmup_secs": 3600"#)
        .expect(1)
        .says(&[&format!("{nothing}: the run was over before its `warmup_secs` were")]);
}

#[test]
fn a_report_that_cannot_be_printed_is_a_failure() {
    let folder = Folder::new(&[("bench.troy", &BENCH.replace("MORE", "")), ("in.json", "1\n")]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    ran(folder.command(RUN).stdout(full)).expect(1).says(&["cannot print its report"]);
}
