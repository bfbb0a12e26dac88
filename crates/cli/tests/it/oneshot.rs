//! `tremor run` of scripts and queries.

use crate::live::{Folder, Live};
use std::{
    io::{Read, Write},
    process::Stdio,
    thread,
};

const SCRIPT: &str = r#"match event.do of
  case "drop" => drop
  case "err" => emit {"why": event.why} => "err"
  case "err event" => emit => "err"
  case "fail" => event.nope
  case "double" => event.value * 2
  case "count" => let state = (match state of case null => 1 case _ => state + 1 end); state
  case _ => event
end
"#;

#[test]
fn each_way_out_of_a_script() {
    let folder = Folder::new(&[("x.tremor", SCRIPT)]);
    let input = r#"{"do": "drop"}
{"do": "err", "why": "x"}
{"do": "double", "value": 21}
{"do": "count"}
{"do": "fail"}
{"do": "err event"}
{"do": "count"}
{"do": "last", "line": "has no end"}"#;
    let ran = folder.feed(&["run", "x.tremor"], input).expect(0);
    assert_eq!(ran.out, "{\"why\":\"x\"}\n42\n1\n2\n{\"do\":\"last\",\"line\":\"has no end\"}\n");
    let ran = ran.says(&[
        "Error in x.tremor:5:24 \n    5 |   case \"fail\" => event.nope\n",
        "^^^^ Trying to access a non existing event key `nope`\n",
        "{\"do\":\"err event\"}\n",
    ]);
    assert!(!ran.err.contains("error:"), "{}", ran.err);
}

#[test]
fn codecs_processors_and_files_are_chosen_by_options() {
    let folder = Folder::new(&[("x.tremor", "event"), ("in.txt", "b\na\n")]);
    let args = ["run", "-d", "string", "-e", "json", "-i", "in.txt", "-o", "out.txt", "x.tremor"];
    let ran = folder.run(&args).expect(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    assert_eq!(folder.read("out.txt"), "\"b\"\n\"a\"\n");
    let args =
        ["run", "-e", "string", "-d", "string", "--preprocessor", "lines", "--postprocessor", "base64"];
    let ran = folder.feed(&[&args[..], &["x.tremor"]].concat(), "hi\n").expect(0);
    assert_eq!(ran.out, "aGk=");
    let ran = folder.feed(&["run", "-p", "x", "x.tremor"], "1\n").expect(0).says(&["`--port` has no effect"]);
    assert_eq!(ran.out, "1\n");
}

#[test]
fn what_is_unknown_or_unreadable_harms_no_file() {
    let folder =
        Folder::new(&[("x.tremor", "event"), ("in", "1\n"), ("keep", "me"), ("bad.tremor", "let = 1")]);
    for (args, words) in [
        (&["-d", "jsn", "x.tremor"][..], "error: Codec \"jsn\" not found. Did you mean `json`?"),
        (&["-e", "jsn", "x.tremor"], "error: Codec \"jsn\" not found. Did you mean `json`?"),
        (&["--preprocessor", "seperate", "x.tremor"], "error: seperate Preprocessor not found."),
        (&["--postprocessor", "seperate", "x.tremor"], "error: seperate Postprocessor not found."),
        (&["-i", "gone", "x.tremor"], "error: Failed to open the input file `gone`: "),
        (&["-i", "keep", "x.tremor"], "error: The output file `keep` is the input file"),
        (&["gone.tremor"], "error: Error processing file gone.tremor: "),
        (&["bad.tremor"], "Error in bad.tremor:1:"),
        (&["in"], "error: Error: Unable to execute source: in"),
        (&["x.json"], "error: Error: Unable to execute source: x.json"),
        (&["x.tar"], "error: Error: Unable to execute source: x.tar"),
    ] {
        let ran = folder.run(&[&["run", "-o", "keep"], args].concat()).expect(1).says(&[words]);
        assert_eq!(ran.out, "");
        assert_eq!(folder.read("keep"), "me", "{args:?}");
    }
    folder.run(&["run", "-i", "in", "-o", "no/such/file", "x.tremor"]).expect(1).says(&["no/such/file"]);
}

#[test]
fn lines_may_be_long() {
    let folder = Folder::new(&[("x.tremor", "event")]);
    let line = format!("\"{}\"\n", "x".repeat(300_000));
    assert!(folder.feed(&["run", "x.tremor"], &line).expect(0).out == line);
    for preprocessor in ["remove-empty", "base64", "lines"] {
        folder
            .feed(&["run", "--preprocessor", preprocessor, "x.tremor"], "MTE=")
            .expect(i32::from(preprocessor != "base64"));
    }
}

#[test]
fn a_decode_error_ends_the_run_behind_what_came_before() {
    let folder = Folder::new(&[("x.tremor", "event")]);
    let ran = folder.feed(&["run", "x.tremor"], "1\n2\n{oops\n3\n").expect(1);
    assert_eq!(ran.out, "1\n2\n");
    ran.says(&["error: Failed to decode the input behind event 2: "]);
}

#[test]
fn queries_give_every_port() {
    let query = "create stream odd;\nselect event from in where event > 2 into out;\nselect {\"small\": event} from in where event <= 2 into err;\nselect event * 10 from in where event == 5 into odd;\nselect event from odd into out;\n";
    let folder = Folder::new(&[("q.trickle", query), ("bad.trickle", "select event from nope into out;")]);
    let ran = folder.feed(&["run", "-e", "string", "q.trickle"], "").expect(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    let ran = folder.feed(&["run", "q.trickle"], "1\n5\n3").expect(0);
    assert_eq!(ran.out, "{\"small\":1}\n5\n50\n3\n");
    folder.run(&["run", "bad.trickle"]).expect(1).says(&["Error in bad.trickle:1:", "nope"]);
    // An error of a select has nowhere to go but out.
    let ran = folder.feed(&["run", "q.trickle"], "5\n\"x\"\n7\n").expect(1);
    assert_eq!(ran.out, "5\n50\n");
    ran.says(&["Error in q.trickle:", "error: Error processing event: "]);
}

#[test]
fn script_errors_in_a_query_cost_their_event_only() {
    let query = "define script s\nscript\n  event.a\nend;\ncreate script s;\nselect event from in into s;\nselect event from s into out;\n";
    let folder = Folder::new(&[("q.trickle", query)]);
    let ran = folder.feed(&["run", "q.trickle"], "{\"a\":1}\n{}\n{\"a\":3}\n").expect(0);
    assert_eq!(ran.out, "1\n3\n");
    let ran = ran.says(&["Error in q.trickle:3:9 \n", "Trying to access a non existing event key `a`"]);
    assert_eq!(ran.err.matches("Error").count(), 1, "{}", ran.err);
    // With somebody on the port, that is where they go.
    folder.write("q.trickle", &format!("{query}select event from s/err into err;\n"));
    let ran = folder.feed(&["run", "q.trickle"], "{}").expect(0);
    assert!(ran.out.contains("non existing event key") && ran.out.contains("\"event\":{}"), "{}", ran.out);
    assert_eq!(ran.err, "");
}

#[test]
fn interactive_shows_both_sides_in_turn() {
    let folder = Folder::new(&[("x.tremor", "event.a")]);
    let args = ["run", "--interactive", "--pretty", "-o", "out", "x.tremor"];
    let ran = folder.feed(&args, "{\"a\":{\"b\":[1,2]}}\n{\"a\":2}\n").expect(0);
    let first = "{\n  \"a\": {\n    \"b\": [\n      1,\n      2\n    ]\n  }\n}\n{\n  \"b\": [\n    1,\n    2\n  ]\n}\n";
    assert_eq!(ran.out, format!("{first}{{\n  \"a\": 2\n}}\n2\n"));
    let (ingress, egress) = (
        "ingress> [codec: json], [preprocessor: separate]",
        "egress> [codec: json], [postprocessor: separate]",
    );
    assert_eq!(ran.err.lines().collect::<Vec<_>>(), [ingress, egress, ingress, egress]);
    assert_eq!(folder.read("out"), "{\"b\":[1,2]}\n2\n");
}

#[test]
fn results_leave_at_once_when_no_more_input_waits() {
    let folder = Folder::new(&[("x.tremor", "event + 1")]);
    let mut run = Live::start(folder.command(&["run", "x.tremor"]).stdin(Stdio::piped()));
    for number in 0..3 {
        run.stdin.as_mut().unwrap().write_all(format!("{number}\n").as_bytes()).unwrap();
        assert_eq!(run.line(), format!("{}\n", number + 1));
    }
    run.stdin = None;
    run.end().expect(0);
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let folder = Folder::new(&[("x.tremor", "event")]);
    let mut run = Live::start(folder.command(&["run", "x.tremor"]).stdin(Stdio::piped()));
    let mut stdin = run.stdin.take().unwrap();
    // Ends when nobody reads any more.
    let feeder = thread::spawn(move || while stdin.write_all(b"1234567\n").is_ok() {});
    assert_eq!(run.line(), "1234567\n");
    run.stdout = None;
    let ran = run.end().expect(0);
    assert_eq!(ran.err, "");
    feeder.join().unwrap();
}

#[test]
fn a_long_input_does_not_pile_up() {
    let folder = Folder::new(&[("x.tremor", "event")]);
    let mut run = Live::start(folder.command(&["run", "x.tremor"]).stdin(Stdio::piped()));
    let line = format!("{{\"text\":\"{}\"}}\n", "x".repeat(1000));
    let mut stdin = run.stdin.take().unwrap();
    let mut stdout = run.stdout.take().unwrap();
    let process = run.id();
    let megabytes = |count: usize| line.repeat(count * 1_000_000 / line.len());
    let (few, many) = (megabytes(2), megabytes(24));
    let expected = few.len() + many.len();
    let reader = thread::spawn(move || {
        let mut seen = vec![0; few.len()];
        stdout.read_exact(&mut seen).unwrap();
        assert!(seen == few.as_bytes());
        let before = peak_kb(process);
        let mut seen = vec![0; many.len()];
        stdout.read_exact(&mut seen).unwrap();
        assert!(seen == many.as_bytes());
        (before, peak_kb(process))
    });
    for _ in 0..expected / line.len() {
        stdin.write_all(line.as_bytes()).unwrap();
    }
    let (before, after) = reader.join().unwrap();
    assert!(after < before + 8_000, "{before} kB grew to {after} kB");
    drop(stdin);
    run.end().expect(0);
}

/// The most memory that a process had so far.
pub(crate) fn peak_kb(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
