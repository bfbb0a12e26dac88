//! Benchmarks: the sequence of integration tests, with its differences.

use crate::tree::Tree;

const SUITE: &str = r#"{"kind": "Bench", "includes": "*"}"#;

/// A suite of benchmarks, each with what it runs.
fn suite(benchmarks: &[(&str, &str)]) -> Tree {
    let tree = Tree::new(&[("meta.yaml", SUITE)]);
    for (name, script) in benchmarks {
        tree.write(&format!("{name}/config.troy"), script);
        tree.write(&format!("{name}/tags.yaml"), "[]");
    }
    tree
}

#[test]
fn what_a_benchmark_prints_is_shown_line_by_line() {
    let tree = suite(&[("slow", "sleep 2; echo one; echo; echo ' two'; echo three >&2")]);
    tree.write("slow/before.yaml", "[{cmd: touch, args: [before]}]");
    tree.write("slow/after.yaml", "{dir: ., cmd: touch, args: [after]}");
    tree.run(&["-t", "1", "bench", "."])
        .expect(0)
        .shows(&[
            "Framework: Finding benchmark test scenarios\n  Benchmark: Running slow\n    Tags:  slow\n",
            "       | one\n       | \n       |  two\n    Elapsed: ",
            "  Benchmark Stats: Pass 1 Fail 0 Skip 0  Asserts 0",
            "All Benchmark Stats: Pass 1 Fail 0 Skip 0  Asserts 0",
        ])
        .hides(&["three", "Integration"]);
    for file in ["slow/before", "slow/after", "slow/fg.out.log", "slow/fg.err.log"] {
        assert!(tree.path(file).exists(), "{file}");
    }
}

#[test]
fn a_benchmark_fails_by_its_status_or_its_asserts() {
    let tree = suite(&[("asserts", "echo one"), ("good", "echo two"), ("status", "echo why >&2; exit 3")]);
    tree.write(
        "asserts/assert.yaml",
        "status: 0\nname: checked\nasserts: [{source: stdout, contains: [one, none]}]",
    );
    let failed = ["asserts", "status"].map(|name| tree.path(name).display().to_string()).join(", ");
    tree.run(&["bench", ".", "-o", "report.json"])
        .expect(1)
        .shows(&[
            "       | one\n       (+) Assert 0: Status checked",
            "(-) Assert 2: File `stdout` contains `none`",
            "       | two\n",
            "    ERROR: \n           why\n",
            "  Benchmark Stats: Pass 1 Fail 2 Skip 0  Asserts 0",
        ])
        .says(&["error: 2 out of 3 tests failed.", &format!("Failed tests: {failed}")]);
    let report = tree.report();
    let of = |name: &str| {
        let reports = report["reports"]["bench"].as_array().unwrap();
        let elements = reports.iter().map(|report| &report["elements"]);
        elements.filter(|elements| !elements[name].is_null()).count()
    };
    assert_eq!((of("integration"), of("bench")), (1, 2));
    assert_eq!(report["stats"]["bench"]["fail"], 2);
    assert_eq!(report["stats"]["integration"]["pass"], 0);
    assert_eq!(report["reports"]["integration"], serde_json::Value::Null);
}

#[test]
fn tags_choose_benchmarks_and_what_has_none_is_no_benchmark() {
    let tree = suite(&[("one", "echo one"), ("two", "echo two")]);
    tree.write("none/config.troy", "echo none");
    tree.run(&["bench", "."]).expect(0).shows(&["Pass 2 Fail 0 Skip 0"]).hides(&["none"]);
    tree.run(&["bench", ".", "-i", "one"]).expect(0).shows(&[
        "Running one",
        "Skipping two",
        "Skipping none",
        "Pass 1 Fail 0 Skip 2",
    ]);
    tree.run(&["integration", "."]).expect(0).hides(&["one", "two"]);
    tree.run(&["all", "."]).expect(0).shows(&["Running one", "Running two"]);
}

#[test]
fn a_folder_can_be_run_alone() {
    let tree = Tree::new(&[("one/config.troy", "echo one")]);
    tree.run(&["bench", "one"]).expect(1).says(&["not a benchmark: it has no `tags.yaml`"]);
    tree.write("one/tags.yaml", "[slow]");
    tree.run(&["bench", "one"]).expect(0).shows(&["  Benchmark: Running one", "       | one\n"]);
    tree.run(&["bench", "one", "-e", "slow"]).expect(1).says(&["is excluded from running"]);
    tree.run(&["bench", "."]).expect(1).says(&["does not contain a runnable test"]);
    let named = tree.run(&["bench", "one/config.troy"]).expect(1);
    let told = "error: `one/config.troy` is a file; name the folder that it is in: `one`\n";
    assert_eq!((named.out.as_str(), named.err.as_str()), ("", told));
}
