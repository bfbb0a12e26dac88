//! `tremor server run` from start to end, with real flows.

use crate::{
    live::{EXIT, Folder, Live, TICK},
    oneshot::peak_kb,
    tree::wait_until,
};
use serde_json::json;
use std::{fs::File, net::TcpListener, process::Command};

const BROKEN: &str = "define flow main\nflow\n  create connector x from nowhere;\nend;\ndeploy flow main;\n";
const SHUT_DOWN: &str = "We are SHUTTING DOWN due to errors during initialization!\n";

#[test]
fn a_server_says_what_it_is_and_writes_events_only() {
    let folder = Folder::new(&[("tick.troy", TICK)]);
    let mut server = folder.serve(&["-n", "-p", "here.pid", "tick.troy"]);
    for number in 0..3 {
        let event: serde_json::Value = serde_json::from_str(&server.line()).unwrap();
        assert_eq!(event["id"], number);
    }
    assert_eq!(folder.read("here.pid"), format!("{}\n", server.id()));
    server.signal("TERM");
    let ran = server.end().expect(0);
    assert!(ran.out.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{}", ran.out);
    let version = format!("tremor version: {}", env!("CARGO_PKG_VERSION"));
    assert!(ran.err.starts_with(&version), "{}", ran.err);
    let ran = ran.says(&[
        "\ntremor instance: tremor\n",
        "\nallocator: mimalloc\n",
        "Received SIGNAL: SIGTERM",
        "[Flow::main] Drained",
        "Tremor stopped.",
    ]);
    assert!(!ran.err.contains("Listening at"), "{}", ran.err);
    assert!(folder.path("here.pid").exists(), "the pid file stays");
}

#[test]
fn signals_have_their_effects() {
    let folder = Folder::new(&[("tick.troy", TICK)]);
    for (signal, drains) in [("INT", true), ("TERM", true), ("QUIT", false)] {
        let mut server = folder.serve(&["-n", "tick.troy"]);
        server.line();
        server.signal(signal);
        let ran = server.end().expect(0).says(&[&format!("Received SIGNAL: SIG{signal}"), "Tremor stopped."]);
        assert_eq!(ran.err.contains("[Flow::main] Draining"), drains, "{}", ran.err);
    }
    let mut server = folder.serve(&["-n", "tick.troy"]);
    server.line();
    server.signal("HUP");
    let ran = server.end();
    assert_eq!((ran.code, ran.signal), (None, Some(1)), "{}", ran.err);
}

#[test]
fn a_signal_ends_the_loading_of_a_file_that_never_ends() {
    let folder = Folder::new(&[]);
    let pipe = folder.path("endless.troy");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let server = folder.serve(&["-n", "endless.troy"]);
    // Until it is read.
    let _endless = File::options().write(true).open(&pipe).unwrap();
    server.signal("TERM");
    server.end().expect(0).says(&["Received SIGNAL: SIGTERM", "Tremor stopped."]);
}

#[test]
fn a_signal_lets_a_replay_tell_what_it_heard() {
    let flow = r#"
define flow main
flow
  use tremor::pipelines;
  define connector replay from cb with config = {"paths": ["in.json"]} end;
  define connector answer from cb;
  create connector replay;
  create connector answer;
  create pipeline pass from pipelines::passthrough;
  connect /connector/replay to /pipeline/pass;
  connect /pipeline/pass to /connector/answer;
end;
deploy flow main;
"#;
    let lines = r#"{"cb": "close"}
{"cb": "ack"}
"#;
    let folder = Folder::new(&[("cb.troy", flow), ("in.json", &(lines.to_owned() + &"1\n".repeat(1000)))]);
    let server = folder.serve(&["-n", "--debug-connectors", "cb.troy"]);
    server.wait_for("[Flow::main] Started");
    server.signal("TERM");
    let ran = server.end().expect(0);
    assert_eq!(ran.err.matches("Expected CB events up to id {").count(), 1, "{}", ran.err);
    ran.says(&["Got acks: {", "Got fails: {}", "Lines not sent: {0: "]);
}

#[test]
fn a_forceful_signal_cuts_a_drain_short() {
    let folder = Folder::new(&[("tick.troy", TICK)]);
    // Nobody reads, so that soon nothing can be written and the drain takes its whole time.
    let server = folder.serve(&["-n", "tick.troy"]);
    server.wait_for("[Flow::main] Started");
    wait_for_full_pipe(&server);
    server.signal("TERM");
    server.wait_for("[Flow::main] Draining");
    server.signal("TERM");
    server.wait_for("SIGQUIT would skip the draining");
    server.signal("QUIT");
    server.wait_for("[Connector::main::console] Stopping");
    let ran = server.end().expect(0).says(&["Received SIGNAL: SIGQUIT"]);
    assert!(!ran.err.contains("drained within") && !ran.err.contains("Drained"), "{}", ran.err);
}

/// Waits until the process sleeps in a write to its standard output.
fn wait_for_full_pipe(server: &Live) {
    let tasks = format!("/proc/{}/task", server.id());
    wait_until("a write is stuck", || {
        let tasks = std::fs::read_dir(&tasks).unwrap();
        tasks.flatten().any(|task| {
            let place = std::fs::read_to_string(task.path().join("wchan")).unwrap_or_default();
            place.contains("pipe_write") || place.contains("pipe_wait")
        })
    });
}

#[test]
fn standard_input_neither_ends_nor_holds_the_server() {
    let echo = TICK
        .replace("  create connector tick;\n", "")
        .replace("/connector/tick", "/connector/console")
        .replace("codec = \"json\",", "codec = \"json\", preprocessors = [\"separate\"],");
    let folder = Folder::new(&[("echo.troy", &echo)]);
    let mut server = folder.serve(&["-n", "echo.troy"]);
    std::io::Write::write_all(server.stdin.as_mut().unwrap(), b"{\"a\":1}\n").unwrap();
    assert_eq!(server.line(), "{\"a\":1}\n");
    // Standard input is still open, and a read of it is under way.
    server.signal("TERM");
    wait_for_end(&mut server);
    server.end().expect(0);

    let mut server = folder.serve(&["-n", "echo.troy"]);
    std::io::Write::write_all(server.stdin.as_mut().unwrap(), b"{\"b\":1}").unwrap();
    server.stdin = None;
    assert_eq!(server.line(), "{\"b\":1}\n");
    assert!(server.is_running());
    server.signal("TERM");
    server.end().expect(0);
}

fn wait_for_end(server: &mut Live) {
    wait_until("the server has ended", || !server.is_running());
}

#[test]
fn a_reader_that_goes_away_ends_the_server_quietly() {
    let folder = Folder::new(&[("tick.troy", TICK)]);
    let mut command = folder.command(&["server", "run", "-n", "tick.troy"]);
    let mut server = Live::start(&mut command);
    server.line();
    server.stdout = None;
    let ran = server.end().expect(0);
    for word in ["panicked", "ERROR", "rror:", "roken pipe"] {
        assert!(!ran.err.contains(word), "{}", ran.err);
    }
    let why = "[Sink::main::console] whoever read standard output has gone away, so the process ends";
    let told: Vec<_> = ran.err.lines().filter(|line| line.contains(why)).collect();
    assert!(matches!(told[..], [line] if line.contains(" WARN ")), "{}", ran.err);
}

/// Each of them is an error of several hundred bytes.
#[test]
fn a_file_of_empty_lines_takes_little_memory() {
    const LINES: usize = 256 * 1024;
    let flow = r#"
define flow main
flow
  use tremor::{pipelines, connectors};
  define connector lines from file
  with
    codec = "json",
    preprocessors = ["separate"],
    config = {"path": "in", "mode": "read"}
  end;
  define connector told from file
  with
    codec = "json",
    postprocessors = ["separate"],
    config = {"path": "out", "mode": "truncate"}
  end;
  create connector lines;
  create connector told;
  create pipeline pass from pipelines::passthrough;
  connect /connector/lines to /pipeline/pass;
  connect /connector/lines/err to /pipeline/pass;
  connect /pipeline/pass to /connector/told;
end;
deploy flow main;
"#;
    let folder = Folder::new(&[("lines.troy", flow), ("in", &("\n".repeat(LINES) + "\"the end\"\n"))]);
    let server = folder.serve(&["-n", "lines.troy"]);
    wait_until("all has come out", || {
        folder.names().contains(&"out".to_owned()) && folder.read("out").ends_with("\"the end\"\n")
    });
    let peak = peak_kb(server.id());
    assert_eq!(folder.read("out").matches("the document is empty").count(), LINES);
    // All of the errors at once would be more than that alone.
    assert!(peak < 100_000, "{peak} kB");
    server.signal("TERM");
    server.end().expect(0);
}

#[test]
fn exit_events_choose_the_status() {
    let folder = Folder::new(&[("exit.troy", EXIT)]);
    for (event, code) in
        [(r#"{"exit": 0}"#, 0), (r#"{"exit": 7}"#, 7), (r#"{"exit": 255, "graceful": false}"#, 255), ("1", 0)]
    {
        folder.write("in.json", event);
        folder.run(&["server", "run", "-n", "exit.troy"]).expect(code).says(&["Tremor stopped."]);
        // The same with a flow that is run on its own.
        let ran = folder.run(&["run", "exit.troy"]).expect(code);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""), "{event}");
    }
}

#[test]
fn artefacts_are_looked_at_before_anything_is_loaded() {
    let folder = Folder::new(&[("broken.troy", BROKEN), ("x.txt", ""), ("x", ""), ("x.tar", "")]);
    for (file, words) in
        [("x.txt", "`.txt`"), ("x", "<NONE>"), ("x.tar", "archive"), ("gone.TROY", "`.TROY`")]
    {
        let ran = folder.run(&["server", "run", "-n", "broken.troy", file]).expect(1);
        let ran = ran.says(&[&format!("Error: The file `{file}`"), words, ".troy", SHUT_DOWN]);
        assert!(!ran.err.contains("nowhere"), "{}", ran.err);
    }
}

#[test]
fn every_bad_file_is_named_and_nothing_is_started() {
    let output =
        TICK.replace("from stdio with", "from file with config = {\"path\": \"made\", \"mode\": \"write\"},");
    let folder = Folder::new(&[("good.troy", &output), ("a.troy", BROKEN), ("b.troy", "deploy flow;")]);
    let ran = folder.run(&["server", "run", "-n", "good.troy", "a.troy", "gone.troy", "b.troy"]).expect(1);
    let ran = ran.says(&[
        "Error in a.troy:3:",
        "Error in b.troy:1:",
        "Error: An error occurred while loading the file `a.troy`: failed to load troy file: a.troy\n",
        "Error: An error occurred while loading the file `gone.troy`: ",
        "Error: An error occurred while loading the file `b.troy`: ",
    ]);
    assert!(ran.err.ends_with(SHUT_DOWN), "{}", ran.err);
    assert_eq!(folder.names(), ["a.troy", "b.troy", "good.troy"]);
}

#[test]
fn a_refused_flow_is_shown_once_and_summed_up_once() {
    let folder = Folder::new(&[("bad.troy", &TICK.replace("from metronome", "from metronom"))]);
    let ran = folder.run(&["server", "run", "-n", "bad.troy"]).expect(1).says(&[
        "Error in bad.troy:5:",
        "`metronome`?",
        "`bad.troy`: Error deploying Flow main: Unknown connector type metronom\n",
    ]);
    assert_eq!(ran.err.matches("`metronome`?").count(), 1, "{}", ran.err);
    folder.write("bad.troy", &TICK.replace("from metronome", "from websocket_server"));
    folder.run(&["server", "run", "-n", "bad.troy"]).expect(1).says(&[
        "NOTE: Known types: `",
        "`ws_server`",
        "`bad.troy`: Error deploying Flow main: Unknown connector type websocket_server\n",
    ]);
}

#[test]
fn a_name_is_deployed_once() {
    let folder = Folder::new(&[("a.troy", TICK), ("b.troy", TICK)]);
    let words = "Flow with id \"main\" is already deployed.";
    folder.run(&["server", "run", "-n", "a.troy", "b.troy"]).expect(1).says(&[
        "Error in b.troy:13:13 ",
        &format!("Error: An error occurred while loading the file `b.troy`: {words}\n"),
    ]);
    folder.write("twice.troy", &format!("{TICK}deploy flow main;\n"));
    folder.run(&["server", "run", "-n", "twice.troy"]).expect(1).says(&["Error in twice.troy:14:13 ", words]);
}

#[test]
fn files_without_flows_and_no_files_at_all_are_fine_and_that_nothing_runs_is_told() {
    let folder = Folder::new(&[("none.troy", "define flow main\nflow\n  use std::string;\nend;\n")]);
    let nothing = "Nothing runs: no flow is deployed";
    for (files, told) in [
        (&["-a", "127.0.0.1:0"][..], format!("{nothing}\n")),
        (&["-a", "127.0.0.1:0", "none.troy"], format!("{nothing}; `main` is defined and never deployed\n")),
    ] {
        let server = folder.serve(files);
        let nothing = json!({"all_running": true, "num_flows": 0, "flows": {}});
        assert_eq!(server.get("/v1/status"), (200, nothing));
        server.signal("INT");
        server.end().expect(0).says(&[&told]);
    }
}

#[test]
fn a_failed_start_goes_to_the_log_too() {
    let folder = Folder::new(&[
        ("bad.troy", BROKEN),
        (
            "logger.yaml",
            "appenders:\n  file: {kind: file, path: x.log, encoder: {pattern: '{l} {t} {m}{n}'}}\nroot: {level: error, appenders: [file]}\n",
        ),
    ]);
    let ran = folder.run(&["-l", "logger.yaml", "server", "run", "-n", "bad.troy"]).expect(1);
    let line = "Error: An error occurred while loading the file `bad.troy`";
    let ran = ran.says(&[line, SHUT_DOWN]);
    assert_eq!(ran.err.matches(line).count(), 1, "{}", ran.err);
    let log = folder.read("x.log");
    assert!(log.contains(&format!("ERROR tremor {line}")), "{log}");
    assert!(log.contains(&format!("ERROR tremor {SHUT_DOWN}")), "{log}");
    // Without a configuration the log is standard error, which has the line already.
    let ran = folder.run(&["server", "run", "-n", "bad.troy"]).expect(1);
    assert_eq!(ran.err.matches(line).count(), 1, "{}", ran.err);
}

#[test]
fn the_pid_file_has_to_be_writable() {
    let folder = Folder::new(&[("tick.troy", TICK)]);
    let ran = folder.run(&["server", "run", "-n", "-p", "no/such/folder.pid", "tick.troy"]).expect(1);
    let ran = ran.says(&["Error: Failed to write the pid file `no/such/folder.pid`: ", SHUT_DOWN]);
    assert_eq!(ran.out, "");
}

#[test]
fn an_api_that_cannot_listen_ends_the_server() {
    let folder = Folder::new(&[("tick.troy", TICK)]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = folder.run(&["server", "run", "-a", &address, "tick.troy"]).expect(1);
    ran.says(&[&format!("error: API Error: cannot listen on {address}: "), "--api-host"]);
}

#[test]
fn the_only_flow_that_fails_ends_the_server_unless_it_is_kept() {
    let folder =
        Folder::new(&[("exit.troy", EXIT), ("tick.troy", &TICK.replace("flow main;", "flow t from main;"))]);
    let words = "in.json";
    for args in [&["server", "run", "-n", "exit.troy"][..], &["run", "exit.troy"]] {
        let ran = folder.run(args).expect(1);
        ran.says(&["error: the only flow `main` failed to start: ", words]);
    }
    let keep: &[&str] = &["-a", "127.0.0.1:0", "--keep-running", "exit.troy"];
    let others: &[&str] = &["-a", "127.0.0.1:0", "exit.troy", "tick.troy"];
    for (args, running) in [(keep, 0), (others, 1)] {
        let mut server = folder.serve(args);
        server.wait_for("[Flow::main] Failed");
        let (status, body) = server.get("/v1/status");
        assert_eq!((status, &body["all_running"], &body["flows"]["failed"]), (503, &json!(false), &json!(1)));
        assert_eq!(body["num_flows"], 1 + running);
        let (status, body) = server.ask("PATCH", "/v1/flows/main", r#"{"status":"paused"}"#);
        assert_eq!(status, 400, "{body}");
        assert!(server.is_running());
        server.signal("TERM");
        server.end().expect(0);
    }
}

#[test]
fn the_api_shows_and_changes_a_real_flow() {
    let folder = Folder::new(&[("tick.troy", TICK)]);
    let mut server = folder.serve(&["-a", "127.0.0.1:0", "tick.troy"]);
    server.line();
    let (status, version) = server.get("/v1/version");
    assert_eq!((status, &version["version"]), (200, &json!(env!("CARGO_PKG_VERSION"))));
    server.wait_for("[Flow::main] Started");
    let running = json!({"all_running": true, "num_flows": 1, "flows": {"running": 1}});
    assert_eq!(server.get("/v1/status"), (200, running.clone()));
    let (_, flows) = server.get("/v1/flows");
    assert_eq!((&flows[0]["alias"], &flows[0]["status"]), (&json!("main"), &json!("running")));
    let (_, tick) = server.get("/v1/flows/main/connectors/tick");
    let links = json!({"out": [{"alias": "pass", "port": "in"}]});
    assert_eq!((&tick["pipelines"], &tick["connectivity"]), (&links, &json!("connected")));
    assert_eq!(server.get("/v1/flows/main/connectors").1.as_array().unwrap().len(), 2);

    let paused = server.ask("PATCH", "/v1/flows/main", r#"{"status":"paused"}"#);
    assert_eq!((paused.0, &paused.1["status"]), (200, &json!("paused")));
    let status = json!({"all_running": false, "num_flows": 1, "flows": {"paused": 1}});
    assert_eq!(server.get("/v1/status"), (200, status));
    assert_eq!(server.ask("PATCH", "/v1/flows/main", r#"{"status":"paused"}"#).0, 200);
    assert_eq!(server.ask("PATCH", "/v1/flows/main", r#"{"status":"stopped"}"#).0, 400);
    let running_flow = server.ask("PATCH", "/v1/flows/main", r#"{"status":"running"}"#);
    assert_eq!((running_flow.0, &running_flow.1["status"]), (200, &json!("running")));
    assert_eq!(server.get("/v1/status"), (200, running));

    let path = "/v1/flows/main/connectors/tick";
    for state in ["paused", "running"] {
        let changed = server.ask("PATCH", path, &format!(r#"{{"status":"{state}"}}"#));
        assert_eq!((changed.0, &changed.1["status"]), (200, &json!(state)));
    }
    server.line();
    assert_eq!(server.get("/v1/flows/nope").1, json!({"code": 404, "error": "Flow nope not found"}));
    assert_eq!(server.get("/v1/flows/main/connectors/nope").0, 404);
    server.signal("TERM");
    server.end().expect(0);
}

#[test]
fn the_recursion_limit_can_be_set() {
    let count = EXIT.replace(
        "create pipeline pass from pipelines::passthrough;",
        "define pipeline pass\npipeline\n  define script count\n  script\n    fn down(n) of case (0) => {\"exit\": 9} case _ => recur(n - 1) end;\n    down(event)\n  end;\n  create script count;\n  select event from in into count;\n  select event from count into out;\n  select {\"exit\": 3} from count/err into out;\nend;\ncreate pipeline pass;",
    );
    let folder = Folder::new(&[("count.troy", &count), ("in.json", "2000")]);
    folder.run(&["server", "run", "-n", "count.troy"]).expect(3);
    folder.run(&["server", "run", "-n", "-r", "3000", "count.troy"]).expect(9);
}
