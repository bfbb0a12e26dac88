//! The streams that a process was started with: this test program starts itself as that process.

use crate::harness::{Seen, Subject, definition, json};
use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    mem,
    process::{Child, ChildStdin, Command, Stdio, exit},
};
use tokio::sync::mpsc::unbounded_channel;

/// Set in the process that the tests start.
const MARK: &str = "TREMOR_TEST_STDIO_CHILD";
/// Exit code of that process when its connector asked for the end.
const ASKED_TO_END: i32 = 77;

/// The process: sends every line back, those that begin with `!` to standard error.
#[tokio::test]
async fn child() {
    if env::var_os(MARK).is_none() {
        return;
    }
    let mut definition = definition("stdio", "", r#""string""#, r#"["separate"]"#);
    definition.postprocessors = Some(json(r#"["separate"]"#));
    let mut subject = Subject::started(&definition).await;
    let mut exits = mem::replace(&mut subject.exits, unbounded_channel().1);
    tokio::spawn(async move {
        if exits.recv().await.is_some() {
            exit(ASKED_TO_END);
        }
    });
    loop {
        let seen = subject.next().await;
        let Seen::Event("out", event) = seen else { break };
        let is_complaint = event.payload.value().as_str().is_some_and(|line| line.starts_with('!'));
        subject.give_to(is_complaint.into(), event.payload.into_value()).await;
    }
    subject.front_is_done().await;
    subject.handle.drain().await;
    subject.handle.stop().await;
    exit(0);
}

fn start() -> (Child, ChildStdin) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "stdio::child", "--nocapture"])
        .env(MARK, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = child.stdin.take().unwrap();
    (child, input)
}

#[test]
fn lines_pass_through_the_streams_of_a_process() {
    let (child, mut input) = start();
    let many: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    // Written from a thread: the process writes while it reads.
    let writing = std::thread::spawn(move || {
        input.write_all(many.as_bytes()).unwrap();
        input.write_all(b"!complaint\nno newline").unwrap();
        many
    });
    let ended = child.wait_with_output().unwrap();
    let expected = writing.join().unwrap() + "no newline\n";
    let output = String::from_utf8(ended.stdout).unwrap();
    // In front of it stands what the test program says when it starts.
    assert!(output.ends_with(&expected), "{} bytes came out", output.len());
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "!complaint\n");
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn a_reader_that_goes_away_ends_the_process_quietly() {
    let (mut child, mut input) = start();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    input.write_all(b"seen\n").unwrap();
    let mut line = String::new();
    while !line.ends_with("seen\n") {
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "{line}");
    }
    drop(output);
    // Until the process notices, and then until it has ended.
    while input.write_all(b"unseen\n").is_ok() {}
    let mut complaints = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
    assert_eq!(complaints, "");
    assert_eq!(child.wait().unwrap().code(), Some(ASKED_TO_END));
}
