//! Connectors that lose their connection, or never get one, while their flow goes on.

use crate::{
    live::{Folder, Port},
    tree::wait_until,
};
use std::{
    io::{Read, Write},
    net::TcpStream,
};

#[test]
fn events_that_wait_for_a_peer_in_vain_fail_with_its_address_and_the_cause() {
    let port = Port::reserve();
    let url = port.address();
    let flow = |source: &str, sink: &str| {
        format!(
            "define flow main\nflow\n  use tremor::pipelines;\n  define connector giver from {source} end;\n  \
             define connector taker from {sink} end;\n  create connector giver;\n  create connector taker;\n  \
             create pipeline pass from pipelines::passthrough;\n  connect /connector/giver to /pipeline/pass;\n  \
             connect /pipeline/pass to /connector/taker;\nend;\ndeploy flow main;\n"
        )
    };
    let peer = flow(
        &format!("ws_server with codec = \"json\", config = {{\"url\": \"{url}\"}}"),
        "stdio with codec = \"json\", postprocessors = [\"separate\"]",
    );
    let ours = flow(
        "file with codec = \"json\", preprocessors = [\"separate\"], config = {\"path\": \"in.json\", \"mode\": \"read\"}",
        &format!(
            "ws_client with codec = \"json\", config = {{\"url\": \"ws://{url}\"}}, \
             reconnect = {{\"retry\": {{\"interval_ms\": 1, \"max_retries\": 1}}}}"
        ),
    );
    // Far more than can be under way to a peer whose output nobody reads.
    let lines = format!("\"{}\"\n", "x".repeat(1000)).repeat(30_000);
    let folder = Folder::new(&[("peer.troy", &peer), ("ours.troy", &ours), ("in.json", &lines)]);
    let listening = folder.serve(&["-n", "peer.troy"]);
    listening.wait_for("[Flow::main] Started");
    let server = folder.serve(&["--api-host", "127.0.0.1:0", "ours.troy"]);
    server.wait_for("[Flow::main] Started");
    // Nobody reads what the peer writes, so it stops reading, and events wait here.
    let mut written = None;
    wait_until("nothing more is written", || {
        let (_, mut taker) = server.get("/v1/flows/main/connectors/taker");
        let waits = taker["events"]["waiting"].as_u64().is_some_and(|waiting| waiting > 0);
        let before = written.replace(taker["events"]["written"].take());
        waits && before == written
    });
    drop(listening);
    server.wait_for("goes on without it");
    wait_until("the flow has failed", || server.get("/v1/flows").1[0]["status"] == "failed");
    server.signal("TERM");
    let ran = server.end().expect(0).says(&[&format!("[Connector::main::taker] Connection to {url} lost: ")]);
    let of = |part: &str| ran.err.lines().filter(|line| line.contains(part)).collect::<Vec<_>>();
    let cause = format!(": cannot connect to {url}: ");
    let given_up =
        of("ERROR tremor_runtime] [Connector::main::taker] main::taker Connection failed after 1 try: ");
    let is_told = |line: &&str| line.contains(&cause) && line.contains("; the flow goes on without it: ");
    assert!(given_up.len() == 1 && given_up.iter().all(is_told), "{}", ran.err);
    let failed = of("[Sink::main::taker] ");
    let is_told = |line: &&str| line.contains(" failed: no socket") && line.contains(&cause);
    assert!(!failed.is_empty() && failed.iter().all(is_told), "{}", ran.err);
}

#[test]
fn a_server_in_front_of_a_client_that_is_given_up_is_not_well() {
    let (front, back) = (Port::reserve(), Port::reserve());
    let (front, back) = (front.address(), back.address());
    let peer = format!(
        "define flow main\nflow\n  use tremor::{{connectors, pipelines}};\n  \
         define connector taker from ws_server with codec = \"json\", config = {{\"url\": \"{back}\"}} end;\n  \
         create connector taker;\n  create connector console from connectors::console;\n  \
         create pipeline pass from pipelines::passthrough;\n  connect /connector/taker to /pipeline/pass;\n  \
         connect /pipeline/pass to /connector/console;\nend;\ndeploy flow main;\n"
    );
    let ours = format!(
        "define flow main\nflow\n  use tremor::pipelines;\n  \
         define connector front from ws_server with codec = \"json\", config = {{\"url\": \"{front}\", \"health\": \"/up\"}} end;\n  \
         define connector back from ws_client with codec = \"json\", config = {{\"url\": \"ws://{back}\"}}, \
         reconnect = {{\"retry\": {{\"interval_ms\": 1, \"max_retries\": 1}}}} end;\n  \
         create connector front;\n  create connector back;\n  create pipeline pass from pipelines::passthrough;\n  \
         connect /connector/front to /pipeline/pass;\n  connect /pipeline/pass to /connector/back;\nend;\n\
         deploy flow main;\n"
    );
    let folder = Folder::new(&[("peer.troy", &peer), ("ours.troy", &ours)]);
    let listening = folder.serve(&["-n", "peer.troy"]);
    listening.wait_for("[Flow::main] Started");
    let server = folder.serve(&["--api-host", "127.0.0.1:0", "ours.troy"]);
    server.wait_for("[Flow::main] Started");
    assert_eq!(get(&front, "/up"), "200");
    drop(listening);
    wait_until("the one in front says so", || get(&front, "/up") == "503");
    wait_until("the API says so", || server.get("/v1/status").0 == 503);
    server.signal("TERM");
    server.end().expect(0);
}

/// The status with which `address` answers a request.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn a_log_whose_folder_is_gone_fails_for_good_and_the_flow_shows_it() {
    let flow = r#"
define flow main
flow
  use tremor::pipelines;
  define connector tick from metronome with config = {"interval": 1000000} end;
  define connector log from wal with config = {"path": "log", "chunk_size": 4096, "max_chunks": 4} end;
  define connector kept from file
  with
    codec = "json", postprocessors = ["separate"], config = {"path": "out", "mode": "write"}
  end;
  create connector tick;
  create connector log;
  create connector kept;
  create pipeline to_log from pipelines::passthrough;
  create pipeline from_log from pipelines::passthrough;
  connect /connector/tick to /pipeline/to_log;
  connect /pipeline/to_log to /connector/log;
  connect /connector/log to /pipeline/from_log;
  connect /pipeline/from_log to /connector/kept;
end;
deploy flow main;
"#;
    let folder = Folder::new(&[("a.troy", flow)]);
    std::fs::create_dir(folder.path("log")).unwrap();
    let server = folder.serve(&["--api-host", "127.0.0.1:0", "a.troy"]);
    wait_until("something is in the file", || {
        std::fs::metadata(folder.path("out")).is_ok_and(|file| file.len() > 0)
    });
    // As good as removing it, and at once.
    std::fs::rename(folder.path("log"), folder.path("gone")).unwrap();
    wait_until("the flow has failed", || server.get("/v1/flows").1[0]["status"] == "failed");
    server.signal("TERM");
    let ran = server.end().expect(0);
    let told = ran.err.lines().find(|line| line.contains("ERROR tremor_runtime] [Connector::main::log] "));
    let told = told.unwrap_or_else(|| panic!("{}", ran.err));
    for part in [" main::log Connection failed after 1 try: ", "`log/", "; the flow goes on without it"] {
        assert!(told.contains(part), "{told}");
    }
    ran.says(&["[Connector::main::log] Connection lost: "]);
}
