//! The API over loopback, with a runtime that exists only here.

use super::{super::model::*, *};
use async_trait::async_trait;
use std::{collections::BTreeMap, net::SocketAddr, sync::Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
};

struct Fake(Mutex<Vec<Flow>>);

impl Fake {
    fn connector(status: Status) -> Connector {
        let end = PipelinePort { alias: "clean".into(), port: "in".into() };
        let pipelines = BTreeMap::from([("out".to_owned(), vec![end])]);
        let events = Events { out: 6, err: 1, received: 9, written: 2, failed: 2, dropped: 4, waiting: 1 };
        Connector { alias: "in".into(), status, connectivity: Connectivity::Connected, pipelines, events }
    }
}

fn changed(from: Status, to: Status) -> Result<Status, PatchError> {
    match (from, to) {
        (a, b) if a == b => Ok(b),
        (Status::Running, Status::Paused) | (Status::Paused, Status::Running) => Ok(to),
        _ => Err(PatchError::Forbidden { from }),
    }
}

#[async_trait]
impl ApiState for Fake {
    async fn flows(&self) -> Vec<Flow> {
        self.0.lock().unwrap().clone()
    }
    async fn flow(&self, alias: &str) -> Option<Flow> {
        self.0.lock().unwrap().iter().find(|flow| flow.alias == alias).cloned()
    }
    async fn connectors(&self, flow: &str) -> Option<Vec<Connector>> {
        self.flow(flow).await.map(|flow| vec![Self::connector(flow.status)])
    }
    async fn set_flow_status(&self, flow: &str, status: Status) -> Result<Flow, PatchError> {
        if flow == "broken" {
            return Err(PatchError::Internal("secret cause".into()));
        }
        let mut flows = self.0.lock().unwrap();
        let flow = flows.iter_mut().find(|candidate| candidate.alias == flow).ok_or(PatchError::NotFound)?;
        flow.status = changed(flow.status, status)?;
        Ok(flow.clone())
    }
    async fn set_connector_status(
        &self,
        flow: &str,
        name: &str,
        to: Status,
    ) -> Result<Connector, PatchError> {
        let flow = self.flow(flow).await.filter(|_| name == "in").ok_or(PatchError::NotFound)?;
        changed(flow.status, to).map(Self::connector)
    }
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

async fn start(flows: &[(&str, Status)]) -> Server {
    let flows = flows
        .iter()
        .map(|(alias, status)| Flow {
            alias: (*alias).into(),
            status: *status,
            connectors: vec!["in".into()],
        })
        .collect();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(listener, Arc::new(Fake(Mutex::new(flows))), async {
        let _sender_gone = stopped.await;
    }));
    Server { address, stop, task }
}

/// Sends raw bytes and gives back status, content type and body.
async fn raw(server: &Server, request: &str) -> (u16, Option<String>, String) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).map(str::to_owned);
    (code, kind, body.to_owned())
}

async fn ask(server: &Server, line: &str, accept: &str, body: &str) -> (u16, Option<String>, String) {
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: {accept}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    raw(server, &request).await
}

async fn json(server: &Server, line: &str, body: &str) -> (u16, serde_json::Value) {
    let (code, kind, text) = ask(server, line, "*/*", body).await;
    assert_eq!(kind.as_deref(), Some("application/json"), "{line}: {text}");
    (code, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn version_and_status() {
    let server = start(&[("a", Status::Running), ("b", Status::Paused), ("c", Status::Running)]).await;
    let (code, body) = json(&server, "GET /v1/version", "").await;
    assert_eq!(code, 200);
    assert_eq!(
        body,
        serde_json::json!({"version": env!("CARGO_PKG_VERSION"), "debug": cfg!(debug_assertions)})
    );
    let (code, body) = json(&server, "GET /v1/status?verbose=1", "").await;
    let expected =
        serde_json::json!({"all_running": false, "num_flows": 3, "flows": {"running": 2, "paused": 1}});
    assert_eq!((code, body), (200, expected));

    let server = start(&[("a", Status::Failed)]).await;
    assert_eq!(json(&server, "GET /v1/status", "").await.0, 503);
    let server = start(&[]).await;
    let (code, body) = json(&server, "GET /v1/status", "").await;
    assert_eq!((code, body), (200, serde_json::json!({"all_running": true, "num_flows": 0, "flows": {}})));
}

#[tokio::test]
async fn flows_and_connectors_are_shown() {
    let server = start(&[("main", Status::Running)]).await;
    let flow = serde_json::json!({"alias": "main", "status": "running", "connectors": ["in"]});
    assert_eq!(json(&server, "GET /v1/flows", "").await, (200, serde_json::json!([flow.clone()])));
    assert_eq!(json(&server, "GET /v1/flows/m%61in", "").await, (200, flow));
    let connector = serde_json::json!({"alias": "in", "status": "running", "connectivity": "connected",
        "pipelines": {"out": [{"alias": "clean", "port": "in"}]},
        "events": {"out": 6, "err": 1, "received": 9, "written": 2, "failed": 2, "dropped": 4, "waiting": 1}});
    let all = json(&server, "GET /v1/flows/main/connectors", "").await;
    assert_eq!(all, (200, serde_json::json!([connector.clone()])));
    assert_eq!(json(&server, "GET /v1/flows/main/connectors/in", "").await, (200, connector));
}

#[tokio::test]
async fn states_are_changed() {
    let server = start(&[("main", Status::Running), ("bad", Status::Failed)]).await;
    for (status, code) in
        [("paused", 200), ("paused", 200), ("running", 200), ("stopped", 400), ("sleepy", 400)]
    {
        let body = format!("{{\"status\":\"{status}\"}}");
        let (got, answer) = json(&server, "PATCH /v1/flows/main", &body).await;
        assert_eq!(got, code, "{answer}");
        if code == 200 {
            assert_eq!(answer["status"], status);
        }
    }
    let (code, body) = json(&server, "PATCH /v1/flows/bad", r#"{"status":"running"}"#).await;
    let text = "Cannot patch status of flow bad from failed to running";
    assert_eq!((code, body), (400, serde_json::json!({"code": 400, "error": text})));
    let (code, body) = json(&server, "PATCH /v1/flows/bad/connectors/in", r#"{"status":"paused"}"#).await;
    let text = "Cannot patch status of connector in in flow bad from failed to paused";
    assert_eq!((code, body["error"].as_str()), (400, Some(text)));
    let (code, body) = json(&server, "PATCH /v1/flows/main/connectors/in", r#"{"status":"paused"}"#).await;
    assert_eq!((code, body["status"].as_str()), (200, Some("paused")));
    for bad in ["", "{", "[]", "{}", r#"{"status":"paused","x":1}"#] {
        assert_eq!(json(&server, "PATCH /v1/flows/main", bad).await.0, 400, "{bad}");
    }
    let (code, body) = json(&server, "PATCH /v1/flows/broken", r#"{"status":"paused"}"#).await;
    assert_eq!((code, body["error"].as_str()), (500, Some("Internal server error")));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = start(&[("main", Status::Running)]).await;
    let body = json(&server, "GET /v1/flows/nope", "").await;
    assert_eq!(body, (404, serde_json::json!({"code": 404, "error": "Flow nope not found"})));
    assert_eq!(json(&server, "GET /v1/flows/nope/connectors", "").await.0, 404);
    let paused = r#"{"status":"paused"}"#;
    for line in ["GET /v1/flows/main/connectors/no", "PATCH /v1/flows/main/connectors/no"] {
        let (code, body) = json(&server, line, paused).await;
        assert_eq!((code, body["error"].as_str()), (404, Some("Connector no not found in Flow main")));
    }
    let (_, body) = json(&server, "PATCH /v1/flows/no/connectors/no", paused).await;
    assert_eq!(body["error"], "Flow no not found");
    for (line, code) in [
        ("GET /", 404),
        ("GET /version", 404),
        ("GET /v1", 404),
        ("GET /v1/flows/", 404),
        ("GET /v1/version/", 404),
        ("GET /v1/%ff", 404),
        ("POST /v1/version", 405),
        ("PATCH /v1/flows", 405),
        ("DELETE /v1/flows/main", 405),
        ("PUT /v1/flows/main/connectors/in", 405),
    ] {
        let (got, kind, body) = ask(&server, line, "*/*", "").await;
        // `/v1/flows/` names the flow with the empty name, which gets the answer of a flow that is not there.
        if line == "GET /v1/flows/" {
            assert_eq!(got, 404);
            continue;
        }
        assert_eq!((got, kind, body.as_str()), (code, None, ""), "{line}");
    }
}

#[tokio::test]
async fn yaml_on_request() {
    let server = start(&[("main", Status::Running)]).await;
    let (code, kind, body) = ask(&server, "GET /v1/flows/main", "application/yaml", "").await;
    assert_eq!((code, kind.as_deref()), (200, Some("application/yaml")));
    assert!(body.contains("alias: main") && body.contains("status: running"), "{body}");
    let (code, kind, body) = ask(&server, "GET /v1/flows/no", "application/yaml", "").await;
    assert_eq!((code, kind.as_deref()), (404, Some("application/yaml")));
    assert!(body.contains("code: 404"), "{body}");
    let (code, kind, _) = ask(&server, "GET /v1/version", "application/vnd.troy", "").await;
    assert_eq!((code, kind.as_deref()), (500, Some("application/json")));
}

#[tokio::test]
async fn a_bad_client_harms_only_itself() {
    let server = start(&[("main", Status::Running)]).await;
    // A half-sent request stays open while others are served.
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"GET /v1/ver").await.unwrap();
    assert_eq!(raw(&server, "\x16\x03\x01\x02\r\n\r\n").await.0, 400);
    let long = format!(
        "PATCH /v1/flows/main HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        1 << 20
    );
    assert_eq!(raw(&server, &long).await.0, 413);
    let head = format!("GET /v1/version HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    assert_eq!(raw(&server, &head).await.0, 431);
    assert_eq!(json(&server, "GET /v1/version", "").await.0, 200);

    // The stop ends the open connection, too.
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    let mut rest = Vec::new();
    let _reset_or_end = half.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn connections_that_ask_for_nothing_give_way() {
    // Until then none of them ends by itself.
    timeout(HEADER_TIME, connect_and_ask_nothing()).await.expect("they keep others from being answered");
}

async fn connect_and_ask_nothing() {
    let server = start(&[("main", Status::Running)]).await;
    let mut kept = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /v1/version HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut answer = [0; 15];
    let mut silent = Vec::new();
    for number in 0..200 {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        // Some say half of what they want, and some of what they send.
        let begun =
            ["", "GET /v1/ver", "PATCH /v1/flows/main HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"];
        tcp.write_all(begun[number % begun.len()].as_bytes()).await.unwrap();
        silent.push(tcp);
        if number % 50 == 0 {
            kept.write_all(request.as_bytes()).await.unwrap();
            kept.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, *b"HTTP/1.1 200 OK", "who asks stays");
            while kept.read_u8().await.unwrap() != b'}' {}
        }
    }
    assert_eq!(json(&server, "GET /v1/version", "").await.0, 200);
    let mut rest = Vec::new();
    let _reset_or_end = silent[0].read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
}
