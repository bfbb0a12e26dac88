//! Integration tests: the sequence of one test, and everything that can go wrong in it.

use crate::{
    live::Port,
    tree::{Tree, end_by, is_running, ran, wait_until},
};
use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Stdio,
    time::{Duration, Instant},
};

const PASS: &str = "status: 0\nname: fine\nasserts: []\n";

/// One test folder, named `one`.
fn folder(files: &[(&str, &str)]) -> Tree {
    let tree = Tree::new(&[]);
    for (path, content) in files {
        tree.write(&format!("one/{path}"), content);
    }
    tree
}

fn run(tree: &Tree, code: i32) -> crate::tree::Ran {
    tree.run(&["integration", "one"]).expect(code)
}

#[test]
fn the_process_under_test_gets_what_is_promised() {
    let tree = folder(&[
        ("b.troy", "echo second; cat > stdin.copy; pwd; echo $RUST_LOG $TREMOR_PATH"),
        ("a.TROY", "echo \"$@\"; echo $EXTRA-$NUMBER-$EMPTY-; printf '\\377\\000' >&2"),
        ("stdin", "some input\n"),
        ("env.yaml", "EXTRA: a b\nNUMBER: 007\nEMPTY:\nTREMOR_PATH: nope\n"),
    ]);
    run(&tree, 0);
    let dir = tree.path("one").display().to_string();
    let expected = format!("{dir}/a.TROY {dir}/b.troy\na b-007--\nsecond\n{dir}\ninfo {dir}/lib:{dir}/lib\n");
    assert_eq!(tree.read("one/fg.out.log"), expected);
    assert_eq!(std::fs::read(tree.path("one/fg.err.log")).unwrap(), b"\xff\0");
    assert_eq!(tree.read("one/stdin.copy"), "some input\n");

    tree.write("one/env.yaml", "RUST_LOG: debug");
    ran(tree.command(&["integration", "one"]).env("RUST_LOG", "warn").env("TREMOR_PATH", "/x:/y")).expect(0);
    assert!(tree.read("one/fg.out.log").ends_with(&format!("debug /x:/y:{dir}/lib:{dir}/lib\n")));
}

#[test]
fn stdin_is_closed_and_need_not_be_read() {
    let tree = folder(&[("a.troy", "cat; echo end")]);
    run(&tree, 0);
    assert_eq!(tree.read("one/fg.out.log"), "end\n");
    tree.write("one/stdin", &"x\n".repeat(500_000));
    tree.write("one/a.troy", "echo unread");
    run(&tree, 0);
}

#[test]
fn asserts_look_at_files_and_streams() {
    let tree = folder(&[
        ("a.troy", "echo '{\"id\":7}'; echo oops >&2; printf 'one\\ntwo\\n' > out.log; exit 3"),
        ("expected", "one\nthree\n"),
        ("same", "one\ntwo\n"),
        (
            "assert.yaml",
            "status: 3\nname: |\n  all of it\nasserts:\n  - source: STDOUT\n    contains:\n      - |\n        {\"id\":7}\n  \
             - source: stderr\n    doesnt_contain: [oops, panicked]\n  - source: out.log\n    equals_file: expected\n  \
             - source: out.log\n    equals_file: same\n    contains: ['two ']\n  - source: missing.log\n    contains: [x]\n  \
             - source: out.log\n    equals_file_binary: expected\n",
        ),
    ]);
    run(&tree, 1).shows(&[
        "(+) Assert 0: Status all of it\n",
        "(+) Assert 1: File `STDOUT` contains `{\"id\":7}`",
        "(-) Assert 2: File `stderr` does not contain `oops`",
        "(+) Assert 3: File `stderr` does not contain `panicked`",
        "(-) Assert 4: File `out.log` equals `expected`",
        "\x1b[31m-three\x1b[0m",
        "\x1b[32m+two\x1b[0m",
        "(+) Assert 5: File `out.log` contains `two`",
        "(+) Assert 6: File `out.log` equals `same`",
        "(-) Assert 7: File `missing.log` contains `x`",
        "   Stats: Pass 5 Fail 3 Skip 1  Asserts 8 \n",
        "Total Stats: Pass 0 Fail 1 Skip 0  Asserts 8",
    ]);
}

#[test]
fn after_runs_before_the_asserts_and_even_without_a_before() {
    let tree = folder(&[
        ("a.troy", "exit 0"),
        ("env.yaml", "WHO: me"),
        (
            "after.yaml",
            "- dir: .\n  cmd: sh\n  args: [-c, 'echo $WHO $PWD > fetched; echo $OWN >> fetched; exit 9']\n  env: {OWN: 5}\n",
        ),
        ("assert.yaml", "{status: 0, name: n, asserts: [{source: fetched, contains: [me, 5]}]}"),
    ]);
    run(&tree, 0);
    assert_eq!(tree.read("one/fetched"), format!("me {}\n5\n", tree.path("one").display()));

    tree.write("one/before.yaml", "[{cmd: no-such-program}]");
    std::fs::remove_file(tree.path("one/fetched")).unwrap();
    run(&tree, 1).shows(&["(-) Unable to find suitable `no-such-program` binary on path"]);
    assert!(tree.path("one/fetched").exists(), "after.yaml ran");
}

#[test]
fn death_by_signal_is_a_failure() {
    let tree = folder(&[("a.troy", "kill -KILL $$"), ("assert.yaml", PASS)]);
    run(&tree, 1).shows(&["ended by signal 9"]);
}

#[test]
fn bad_files_fail_their_test_and_the_run_goes_on() {
    let bad: &[(&str, &str, &str)] = &[
        ("assert.yaml", "status: 0\nname: x\n", "asserts"),
        ("assert.yaml", "{status: 0, name: x, asserts: [{source: stdout, equals_file: gone}]}", "`gone`"),
        ("assert.yaml", "[", "assert.yaml"),
        ("before.yaml", "cmd: x\n", "before.yaml"),
        ("before.yaml", "[{cmd: echo, dir: nowhere}]", "nowhere"),
        ("before.yaml", "[{cmd: echo, await: {port-open: [70000]}}]", "70000 is not a port"),
        ("before.yaml", "[{cmd: echo, await: {http-ok: ['ftp://x']}}]", "`ftp://x`"),
        ("after.yaml", "[{cmd: echo}]", "after.yaml"),
        ("after.yaml", "[{cmd: no-such-program, dir: ., args: []}]", "no-such-program"),
        ("env.yaml", "[1]", "env.yaml"),
    ];
    let tree = Tree::new(&[("meta.yaml", r#"{"kind": "Integration", "includes": "*"}"#)]);
    for (number, (file, content, _)) in bad.iter().enumerate() {
        let dir = format!("bad-{number}");
        tree.write(&format!("{dir}/a.troy"), "");
        tree.write(&format!("{dir}/tags.yaml"), "[]");
        tree.write(&format!("{dir}/{file}"), content);
    }
    tree.write("good/a.troy", "");
    tree.write("good/tags.yaml", "[]");
    let messages: Vec<&str> = bad.iter().map(|(_, _, message)| *message).collect();
    let total = format!("Total Stats: Pass 1 Fail {} ", bad.len());
    tree.run(&["integration", "."]).expect(1).shows(&messages).shows(&["Running good", &total]);
}

#[test]
fn before_awaits_its_conditions() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let tree = folder(&[("a.troy", "cat late; echo $TWO"), ("peer/keep", "")]);
    let before = format!(
        "- cmd: sh\n  dir: ./peer\n  args: [-c, 'echo started in $PWD with $WHO; echo late > ../late; exit 3']\n  env: {{WHO: 12}}\n  \
         await:\n    port-open: [{port}, \"no number\"]\n    file-exists: [../late]\n    status: [3]\n    \
         wait-for-ms: [30]\n    unknown-condition: {{x: 1}}\n  max-await-secs: 150\n  min-await-secs: 0\n\
         - {{cmd: sh, args: [-c, 'echo second >&2'], await: {{status: [0]}}}}\n"
    );
    tree.write("one/before.yaml", &before);
    run(&tree, 0).says(&["Before process sh -c", "terminated with exit code 3"]);
    assert_eq!(tree.read("one/fg.out.log"), "late\n\n");
    assert_eq!(
        tree.read("one/before.out.0.log"),
        format!("started in {} with 12\n", tree.path("one/peer").display())
    );
    assert_eq!(tree.read("one/before.err.1.log"), "second\n");
}

#[test]
fn conditions_that_do_not_hold_fail_the_test() {
    let reserved = Port::reserve();
    let address = reserved.address();
    let (_, port) = address.rsplit_once(':').unwrap();
    let tree = folder(&[("a.troy", "touch ran")]);
    for (conditions, message) in [
        (
            format!("await: {{port-open: [{port}]}}, max-await-secs: 1"),
            format!("port-open: {port}) and timed out after 1s"),
        ),
        ("await: {file-exists: [never]}".to_owned(), "did not fulfil conditions".to_owned()),
        ("await: {wait-for-ms: [100]}".to_owned(), "timed out after 0s".to_owned()),
        (
            "await: {status: [4]}, max-await-secs: 150".to_owned(),
            "ended with status 0, which is not awaited".to_owned(),
        ),
    ] {
        tree.write("one/before.yaml", &format!("[{{cmd: 'true', {conditions}}}]"));
        run(&tree, 1).shows(&[&message]);
        assert!(!tree.path("one/ran").exists(), "the process under test is not started");
    }
    tree.write("one/before.yaml", "[{cmd: sleep, args: [60], await: {status: [0]}, max-await-secs: 1}]");
    let began = Instant::now();
    run(&tree, 1).shows(&["status: still running"]);
    assert!(began.elapsed() < Duration::from_secs(50));
}

#[test]
fn an_entry_without_conditions_has_a_moment_to_end() {
    let tree = folder(&[
        ("a.troy", "cat input"),
        ("before.yaml", "[{cmd: sh, args: [-c, 'sleep 0.1; echo there > input']}]"),
    ]);
    // A machine that is busy may need longer than that moment, but not always.
    let mut tries = 0;
    while !tree.run(&["integration", "one"]).out.contains("there") {
        tries += 1;
        assert!(tries < 50, "it is not waited for");
        std::fs::remove_file(tree.path("one/input")).ok();
    }
}

#[test]
fn http_ok_waits_for_a_success() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/health?x=1", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in ["503 Busy", "204 Fine"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let read = stream.read(&mut head).unwrap();
            asked.push(String::from_utf8_lossy(&head[..read]).into_owned());
            write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
        asked
    });
    let tree = folder(&[("a.troy", "")]);
    tree.write(
        "one/before.yaml",
        &format!("[{{cmd: 'true', await: {{http-ok: ['{url}']}}, max-await-secs: 150}}]"),
    );
    run(&tree, 0);
    let asked = server.join().unwrap();
    assert!(asked.iter().all(|head| head.starts_with("GET /health?x=1 HTTP/1.1\r\n")), "{asked:?}");
}

#[test]
fn what_is_left_of_before_is_killed_with_its_children() {
    let tree = folder(&[
        ("a.troy", "exit 0"),
        (
            "before.yaml",
            "- cmd: sh\n  args: [-c, 'trap \"\" TERM; sleep 90 & echo $! > child.pid; echo $$ > me.pid; touch up; wait']\n  \
             await: {file-exists: [up]}\n  max-await-secs: 150\n",
        ),
    ]);
    run(&tree, 0);
    for pid in ["one/me.pid", "one/child.pid"] {
        assert!(!is_running(&tree.path(pid)), "{pid}");
    }
}

#[test]
fn a_child_that_keeps_the_output_open_does_not_hold_up_the_run() {
    let tree = folder(&[("a.troy", "sleep 90 & echo $! > child.pid; exit 0"), ("assert.yaml", PASS)]);
    let began = Instant::now();
    run(&tree, 0);
    assert!(began.elapsed() < Duration::from_secs(80));
    assert!(!is_running(&tree.path("one/child.pid")));
}

#[test]
fn a_timeout_kills_runs_after_and_goes_on() {
    let tree = Tree::new(&[
        ("meta.yaml", r#"{"kind": "Integration", "includes": "*"}"#),
        ("a/x.troy", "echo $$ > me.pid; sleep 90"),
        ("a/tags.yaml", "[]"),
        ("a/after.yaml", "{cmd: touch, args: [cleaned], dir: .}"),
        ("b/x.troy", ""),
        ("b/tags.yaml", "[]"),
    ]);
    let a = tree.path("a").display().to_string();
    tree.run(&["-t", "5", "integration", "."])
        .expect(1)
        .shows(&[&format!("(-) Timeout running test {a}"), "Running b", "Total Stats: Pass 1 Fail 1"])
        .says(&[&a]);
    assert!(tree.path("a/cleaned").exists());
    assert!(!is_running(&tree.path("a/me.pid")));
}

#[test]
fn a_signal_to_the_runner_cleans_up_first() {
    for (name, number) in [("TERM", 15), ("INT", 2), ("QUIT", 3)] {
        let tree = folder(&[
            ("a.troy", "echo $$ > me.pid; touch up; sleep 90"),
            (
                "before.yaml",
                "[{cmd: sh, args: [-c, 'echo $$ > ../before.pid; exec sleep 90'], await: {file-exists: [../before.pid]}, max-await-secs: 150}]",
            ),
            ("after.yaml", "{cmd: touch, args: [cleaned], dir: .}"),
        ]);
        let runner = tree.command(&["integration", "one"]).stderr(Stdio::piped()).spawn().unwrap();
        tree.wait_for("one/up");
        let ran = end_by(name, runner);
        assert_eq!(ran.signal, Some(number), "{}", ran.err);
        assert!(tree.path("one/cleaned").exists(), "after.yaml ran");
        wait_until("the processes are gone", || {
            !is_running(&tree.path("one/me.pid")) && !is_running(&tree.path("before.pid"))
        });
    }
}

#[test]
fn tabs_and_trailing_commas_are_accepted() {
    let tree = folder(&[
        ("a.troy", "echo 5"),
        (
            "assert.yaml",
            "{\n\t\"status\": 0,\n\t\"name\": \"json\",\n\t\"asserts\": [\n\t\t{\"source\": \"stdout\",\t\"contains\": [5,]},\n\t],\n}\n",
        ),
        ("before.yaml", "[\n\t{\"cmd\": \"true\", \"args\": [\n\t\t\"x\", 1, true,\n\t],},\n]\n"),
    ]);
    run(&tree, 0).shows(&["Pass 2 Fail 0"]);
}
