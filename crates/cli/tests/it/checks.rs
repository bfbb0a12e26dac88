//! `tremor check`: finds everything, touches nothing.

use crate::live::{EXIT, Folder, TICK};
use std::net::TcpListener;

fn silent(folder: &Folder, files: &[&str]) {
    let ran = folder.run(&[&["check"], files].concat()).expect(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""), "{files:?}");
}

#[test]
fn good_files_of_every_kind_give_no_word() {
    let folder = Folder::new(&[
        ("a.troy", TICK),
        ("b.troy", EXIT),
        ("s.tremor", "let x = event;\nx + 1"),
        ("m.tremor", "### Doc\nuse std::string;\nconst A = string::len(\"abc\");\nfn f(x) with x + A end;"),
        ("q.trickle", "select event from in into out;"),
    ]);
    // Two files with the same flow may be checked together: they need not run together.
    silent(&folder, &["a.troy", "b.troy", "s.tremor", "m.tremor", "q.trickle"]);
}

#[test]
fn nothing_is_opened_and_nothing_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = taken.local_addr().unwrap();
    let flow = TICK
        .replace("from stdio with", "from file with config = {\"path\": \"kept\", \"mode\": \"truncate\"},")
        .replace(
            "from metronome with config = {\"interval\": 1000000}",
            &format!("from ws_server with codec = \"json\", config = {{\"url\": \"{url}\"}}"),
        );
    let fresh = flow.replace("\"kept\"", "\"fresh\"");
    let folder = Folder::new(&[("a.troy", &flow), ("b.troy", &fresh), ("kept", "as it was")]);
    silent(&folder, &["a.troy", "b.troy"]);
    assert_eq!(folder.read("kept"), "as it was");
    assert_eq!(folder.names(), ["a.troy", "b.troy", "kept"]);
}

#[test]
fn every_problem_of_every_file_is_shown_and_nothing_else() {
    let two = TICK.replace("\"json\"", "\"jsn\"").replace("\"interval\"", "\"intervl\"");
    let folder = Folder::new(&[
        ("two.troy", &two),
        ("bad.tremor", "const A = nope::f(1);"),
        ("bad.trickle", "select event from nope into out;"),
        ("ends.tremor", "let x = 1;\nlet y ="),
        ("x.txt", ""),
        ("good.troy", TICK),
    ]);
    let files = ["two.troy", "bad.tremor", "bad.trickle", "ends.tremor", "x.txt", "gone.troy", "good.troy"];
    let ran = folder.run(&[&["check"], &files[..]].concat()).expect(1);
    assert_eq!(ran.out, "");
    let ran = ran.says(&[
        "Error in two.troy:5:",
        "Error in two.troy:6:",
        "Error in bad.tremor:1:",
        "Error in bad.trickle:1:",
        // No place in the file is to blame, but the file has to be named.
        "Error: ends.tremor: ",
        "error: x.txt: only",
        "error: Error processing file gone.troy: ",
    ]);
    assert_eq!(ran.err.matches("Error in ").count(), 4, "{}", ran.err);
    assert_eq!(ran.err.matches("error: ").count(), 2, "{}", ran.err);
    assert!(!ran.err.contains("good.troy"), "{}", ran.err);
}

#[test]
fn flows_that_nobody_deploys_are_checked_too() {
    let undeployed = TICK.replace("deploy flow main;", "").replace("\"json\"", "\"jsn\"");
    let folder = Folder::new(&[("a.troy", &undeployed)]);
    folder.run(&["check", "a.troy"]).expect(1).says(&["Error in a.troy:6:", "Did you mean `json`?"]);
    // One made from it twice is reported once, and one with a required argument depends on that.
    let twice = TICK.replace("\"json\"", "\"jsn\"") + "deploy flow again from main;\n";
    folder.write("a.troy", &twice);
    let ran = folder.run(&["check", "a.troy"]).expect(1);
    assert_eq!(ran.err.matches("Error in ").count(), 1, "{}", ran.err);
    let open = undeployed
        .replace("define flow main\n", "define flow main\nargs codec\n")
        .replace("from stdio with codec = \"jsn\"", "from stdio args codec with codec = args.codec")
        .replace("create connector console;", "create connector console with codec = args.codec end;");
    folder.write("a.troy", &open);
    silent(&folder, &["a.troy"]);
}

#[test]
fn a_name_that_is_deployed_twice_and_a_certificate_that_is_not_there_are_found() {
    let tls = TICK.replace(
        "from metronome with config = {\"interval\": 1000000}",
        "from ws_server with codec = \"json\", config = {\"url\": \"127.0.0.1:0\", \"tls\": {\"cert\": \"no.pem\", \"key\": \"no.key\"}}",
    );
    let folder = Folder::new(&[("a.troy", &tls), ("b.troy", &format!("{TICK}deploy flow main;\n"))]);
    folder.run(&["check", "a.troy"]).expect(1).says(&["Error in a.troy:5:", "config.tls.cert", "`no.pem`"]);
    folder.run(&["check", "b.troy"]).expect(1).says(&["Error in b.troy:14:13 ", "already deployed"]);
}

#[test]
fn a_check_looks_for_nothing_that_only_a_run_can_need() {
    let client = TICK.replace(
        "from metronome with config = {\"interval\": 1000000}",
        "from ws_client with codec = \"json\", config = {\"url\": \"ws://localhost\", \"auth\": {\"bearer\": {\"file\": \"a.token\"}}}",
    );
    let folder = Folder::new(&[("a.troy", &client)]);
    silent(&folder, &["a.troy"]);
    folder.write("a.troy", &client.replace("localhost", "localhost/%zz"));
    folder.run(&["check", "a.troy"]).expect(1).says(&["config.url: "]);
}

#[test]
fn warnings_do_not_fail() {
    let folder = Folder::new(&[("old.tremor", "match event of\n  default => 1\nend")]);
    let ran = folder.run(&["check", "old.tremor"]).expect(0);
    ran.says(&["Warning(general) in old.tremor:2:3 "]);
}

#[test]
fn what_is_linked_to_nothing_is_warned_about() {
    let flow = TICK
        .replace(
            "  create connector console;",
            "  define pipeline two into out, err, more, unused pipeline\n    select event from in into out;\n    \
             select event from in into more;\n    select event from in into err;\n  end;\n  \
             create connector console;\n  create connector spare from console;\n  create pipeline two;\n  \
             create pipeline idle from two;\n  create pipeline dry from two;",
        )
        .replace("  connect /connector/tick", "  connect /connector/tick to /pipeline/two;\n  \
                  connect /pipeline/dry to /connector/console;\n  connect /connector/tick");
    let folder = Folder::new(&[("a.troy", &flow), ("b.troy", &flow.replace("deploy flow main;", ""))]);
    for file in ["a.troy", "b.troy"] {
        let ran = folder.run(&["check", file]).expect(0).says(&[
            &format!("Warning(behaviour) in {file}:"),
            "Connector `spare` is linked to nothing",
            "Port `out` of pipeline `two` leads nowhere",
            "NOTE: Link it with `connect /pipeline/two/more to /connector/...`",
            "Pipeline `idle` is linked to nothing",
            "Nothing is connected to pipeline `dry`",
            "Port `more` of pipeline `dry` leads nowhere",
        ]);
        assert_eq!(ran.err.matches("Warning").count(), 6, "{}", ran.err);
    }
}

#[test]
fn exits_are_ports_and_those_that_lead_nowhere_are_warned_about() {
    let flow = TICK.replace(
        "  create connector tick;",
        "  define connector gate from ws_server with\n    codec = \"json\",\n    config = {\n      \"url\": \"127.0.0.1:0\",\n      \
         \"routes\": [{\"exit\": \"orders\"},\n        {\"exit\": \"metrics\"}, {\"exit\": \"metrics\"}]}\n  end;\n  \
         create connector gate;\n  create connector tick;",
    );
    let linked = |port: &str| {
        let link = format!("  connect /connector/gate{port} to /pipeline/pass;\n  connect /connector/tick");
        flow.replacen("  connect /connector/tick", &link, 1)
    };
    let folder = Folder::new(&[
        ("a.troy", &linked("/orders")),
        ("b.troy", &linked("/order")),
        ("c.troy", &linked("")),
        ("d.troy", &linked("/orders").replacen("\"metrics\"", "\"Metrics\"", 1)),
    ]);
    let ran = folder.run(&["check", "a.troy"]).expect(0).says(&[
        "Warning(behaviour) in a.troy:",
        "Exit `metrics` of connector `gate` leads nowhere: its events are lost",
        "NOTE: Link it with `connect /connector/gate/metrics to /pipeline/...`",
    ]);
    assert_eq!(ran.err.matches("Warning").count(), 1, "{}", ran.err);
    let ports = "its output ports are `out`, `err`, `control`, `orders`, `metrics`; did you mean `orders`?";
    folder.run(&["check", "b.troy"]).expect(1).says(&["Invalid port 'order'", ports]);
    folder.run(&["check", "c.troy"]).expect(0).says(&[
        "Nothing leaves connector `gate` by port `out`: its routes lead elsewhere",
        "Exit `orders` of connector `gate` leads nowhere",
    ]);
    let case = "config.routes[2].exit: differs from `Metrics` in case only, which is the same port";
    folder.run(&["check", "d.troy"]).expect(1).says(&[case]);
}

#[test]
fn a_flow_that_is_never_asked_lets_nobody_in_and_is_told_so() {
    let flow = |config: &str| {
        let gate = format!(
            "  define connector gate from ws_server with\n    codec = \"json\",\n    config = {{\"url\": \"127.0.0.1:0\", {config}}}\n  \
             end;\n  create connector gate;\n  create connector tick;"
        );
        let linked = "  connect /connector/gate to /pipeline/pass;\n  connect /connector/tick";
        let flow = TICK.replace("  create connector tick;", &gate);
        flow.replacen("  connect /connector/tick", linked, 1)
    };
    let guard = r#""guards": {"gate": {"type": "flow", "options": {"port": "door", "timeout": 2000}}},
        "routes": [{"guarded": {"gate": []}, "exit": "out"}]"#;
    let folder = Folder::new(&[
        ("all.troy", &flow(r#""authorize": {"port": "door"}"#)),
        ("guard.troy", &flow(guard)),
        ("both.troy", &flow(&format!(r#"{guard}, "authorize": {{"port": "door"}}"#))),
    ]);
    let exit = "Exit `door` of connector `gate` leads nowhere: the flow is never asked, so nobody";
    let all = format!("{exit} is ever let in (each is answered 503 after 1000 ms)");
    let one = format!("{exit} ever passes the guard `gate` (each is answered 503 after 2000 ms)");
    for (file, told) in [("all.troy", &all), ("guard.troy", &one), ("both.troy", &all)] {
        let ran = folder.run(&["check", file]).expect(0).says(&[told]);
        assert_eq!(ran.err.matches("Warning").count(), 1, "{}", ran.err);
    }
}

#[test]
fn a_source_without_a_sink_is_never_read_and_loses_nothing() {
    let flow = TICK
        .replace(
            "  create connector tick;",
            "  define pipeline two into out, more pipeline\n    select event from in into out;\n    \
             select event from in into more;\n  end;\n  create connector tick;\n  create connector tock from tick;\n  \
             create pipeline first from two;\n  create pipeline last from two;",
        )
        .replace(
            "  connect /connector/tick",
            "  connect /connector/tock to /pipeline/first;\n  connect /pipeline/first/more to /pipeline/last;\n  \
             connect /connector/tick",
        );
    let folder = Folder::new(&[("a.troy", &flow)]);
    let ran = folder.run(&["check", "a.troy"]).expect(0).says(&[
        "Warning(behaviour) in a.troy:12:20 ",
        "No sink stands behind connector `tock`, so it is never read\n",
        "NOTE: Link one with `connect /pipeline/first to /connector/...`",
    ]);
    assert_eq!(ran.err.matches("Warning").count(), 1, "{}", ran.err);
    // What fails is not what it gives.
    folder.write("b.troy", &flow.replace("connect /connector/tock to", "connect /connector/tock/err to"));
    folder.run(&["check", "b.troy"]).expect(0).says(&[
        "Only port `err` of connector `tock` is linked, so it is never read\n",
        "NOTE: Link what it gives with `connect /connector/tock to /pipeline/...`",
    ]);
    // One of its ports leads to a sink: now it is read, and what the other ones send is lost.
    let flow = flow.replace("deploy", "# deploy").replace(
        "  connect /connector/tick",
        "  connect /pipeline/last to /connector/console;\n  connect /connector/tick",
    );
    folder.write("a.troy", &flow);
    let ran = folder.run(&["check", "a.troy"]).expect(0).says(&[
        "Port `out` of pipeline `first` leads nowhere: its events are lost\n",
        "Port `more` of pipeline `last` leads nowhere: its events are lost\n",
    ]);
    assert_eq!(ran.err.matches("Warning").count(), 2, "{}", ran.err);
}

#[test]
fn a_name_that_is_taken_is_told_by_what_and_since_where() {
    let query = "define script s script event end;\ncreate script b from s;\ncreate stream b;\n\
                 create script in from s;\nselect event from in into b;\nselect event from b into out;\n";
    let flow = "define flow main\nflow\n  define pipeline p\n  from in, side\n  into out\n  pipeline\n    \
                define script s script event end;\n    create script side from s;\n    create script out from s;\n    \
                select event from in into out;\n  end;\n  define pipeline q\n  pipeline\n    \
                define script s script event end;\n    create script err from s;\n    select event from in into out;\n  \
                end;\n  create pipeline p;\n  create pipeline q;\nend;\ndeploy flow main;\n";
    let folder = Folder::new(&[("q.trickle", query), ("a.troy", flow)]);
    folder.run(&["check", "q.trickle"]).expect(1).says(&[
        "Error in q.trickle:3:1 ",
        "There is already a script `b`, created at 2:15\n",
        "Error in q.trickle:4:1 ",
        "There is already an input port `in`\n",
    ]);
    folder.run(&["check", "a.troy"]).expect(1).says(&[
        "Error in a.troy:8:5 ",
        "There is already an input port `side`, declared at 4:12\n",
        "There is already an output port `out`, declared at 5:8\n",
        "There is already an output port `err`, as in every pipeline without `into`\n",
    ]);
}

#[test]
fn the_summary_of_a_bad_operator_says_what_is_wrong_with_it() {
    let flow = TICK.replace(
        "  create pipeline pass from pipelines::passthrough;",
        "  define pipeline pass pipeline\n    define operator o from qos::backpressure with timeout = TIMEOUT, steps = STEPS end;\n    \
         create operator o;\n    select event from in into o;\n    select event from o into out;\n  end;\n  create pipeline pass;",
    );
    for (timeout, steps, told) in [
        (
            "-1",
            "[1]",
            "`timeout`: expected a time in nanoseconds, an integer of 0 or more, but got integer -1",
        ),
        ("1", "[100, 50]", "`steps`: element 2 cannot be integer 50: steps ascend, so above 100 is needed"),
        (
            "1",
            "[\"a; b. c\"]",
            "`steps`: element 1 cannot be string \"a; b. c\": an integer above 0 is needed",
        ),
    ] {
        let folder = Folder::new(&[("a.troy", &flow.replace("TIMEOUT", timeout).replace("STEPS", steps))]);
        let ran = folder.run(&["server", "run", "-n", "a.troy"]).expect(1);
        ran.says(&[&format!("a.troy`: Error deploying Flow main: {told}"), "Error in a.troy:"]);
    }
}

#[test]
fn kinds_that_a_server_knows_only_when_asked_are_pointed_out() {
    let flow = TICK.replace(
        "from metronome with config = {\"interval\": 1000000}",
        "from cb with config = {\"paths\": [\"in\"]}",
    );
    let flow = flow.replace("deploy flow main;", "deploy flow main;\ndeploy flow again from main;");
    let undeployed = flow.replace("deploy flow", "# deploy flow");
    let folder = Folder::new(&[("a.troy", &flow), ("b.troy", &undeployed), ("in", "1\n")]);
    for file in ["a.troy", "b.troy"] {
        let ran = folder.run(&["check", file]).expect(0).says(&[
            &format!("Warning(behaviour) in {file}:5:"),
            "NOTE: It is made for tests: `--debug-connectors` makes it known",
        ]);
        assert_eq!(ran.err.matches("Warning").count(), 1, "{}", ran.err);
    }
}

#[test]
fn a_loop_of_pipelines_is_told_once_and_where() {
    let folder = Folder::new(&[(
        "a.troy",
        "define flow main\nflow\n  define pipeline p pipeline select event from in into out; end;\n  \
         create pipeline a from p;\n  create pipeline b from p;\n  connect /pipeline/a to /pipeline/b;\n  \
         connect /pipeline/b to /pipeline/a;\nend;\ndeploy flow main;\n",
    )]);
    let ran = folder.run(&["check", "a.troy"]).expect(1).says(&["Error in a.troy:7:3 ", "in a loop"]);
    assert_eq!(ran.err.matches("Error in").count(), 1, "{}", ran.err);
}

#[test]
fn all_independent_mistakes_are_told_in_one_run_each_at_its_place() {
    let flow = r#"define flow main
flow
  use tremor::pipelines;
  define connector s from ws_server
  with
    codec = 42,
    preprocessors = ["lines", "seperate", {"nam": "x"}],
    postprocessors = "lines",
    reconnect = {"retry": {"interval": 500}},
    config = {"url": 42, "no_dealy": true, "tls": true, "backlog": "x"}
  end;
  define connector e from ws_client with codec = "json" end;
  define connector c from stdio with codec = "json" end;
  create connector s;
  create connector e;
  create connector c;
  create pipeline p from pipelines::passthrough;
  create pipeline q from pipelines::passthrough;
  connect /connector/s to /pipeline/p;
  connect /pipeline/p to /connector/c/foo;
  connect /connector/c/bar to /pipeline/q;
  connect /pipeline/q to /connector/e;
end;
deploy flow main;
"#;
    let folder = Folder::new(&[("a.troy", flow)]);
    let ran = folder.run(&["check", "a.troy"]).expect(1).says(&[
        "`ws_client` needs `config = {\"url\": ...}`",
        "expected a list such as [\"lines\"]",
        "did you mean `name`?",
        "config.tls: expected record but got bool",
    ]);
    let places: Vec<&str> =
        ran.err.lines().filter_map(|line| line.strip_prefix("Error in a.troy:")).collect();
    let expected = [
        "6:13 ", "7:31 ", "7:43 ", "8:22 ", "9:28 ", "10:15 ", "10:26 ", "10:44 ", "10:57 ", "12:27 ",
        "20:39 ", "21:24 ",
    ];
    assert_eq!(places, expected, "{}", ran.err);
}

#[test]
fn mistakes_beside_secret_names_are_shown_there_and_the_names_are_not() {
    let flow = r#"define flow main
flow
  use tremor::pipelines;
  define connector door from ws_server
  with
    codec = "json",
    config = {
      "url": "127.0.0.1:0",
      "guards": {"machines": {"type": "apikey", "options": {"tokens": {
        "key-of-none": null, # "roles": [
        "key-of-press-7": "press-7",
        "key-of-press-8": {"identity": "press-8", "roles": ["a"]},
        "key-of-press-9": {"roles": 5}, "key-of-press-10": {"identity": 7}
      }}}},
      "routes": [
        {"when": [{"path": "/a"}], "guarded": {"machines": []}, "exit": "out"},
        {"when": [{"path": "/b"}], "exit": "out"}
      ]
    }
  end;
  create connector door;
  create pipeline p from pipelines::passthrough;
  connect /connector/door to /pipeline/p;
  connect /pipeline/p to /connector/door;
end;
deploy flow main;
"#;
    let folder = Folder::new(&[("a.troy", flow)]);
    let ran = folder.run(&["check", "a.troy"]).expect(1).says(&[
        "config.guards.machines.options.tokens[1]: expected record",
        "config.guards.machines.options.tokens[3].roles: expected",
        "config.guards.machines.options.tokens[4].identity: expected",
    ]);
    let places: Vec<&str> =
        ran.err.lines().filter_map(|line| line.strip_prefix("Error in a.troy:")).collect();
    assert_eq!(places, ["11:9 ", "13:28 ", "13:61 "], "{}", ran.err);
    assert!(!ran.err.contains("key-of") && !ran.err.contains("\"press-7"), "{}", ran.err);
}
