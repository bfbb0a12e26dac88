//! What the events of a client tell of its handshake (`spec/websocket.md` 15).

use super::{
    client_opening::{start, welcome},
    peers::{Port, client, server},
    tls::{files, secure_server},
};
use crate::harness::{Linked, Subject, definition, environment, json, within};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::{
    io::AsyncWriteExt,
    sync::{
        Semaphore,
        mpsc::{UnboundedSender, unbounded_channel},
    },
};
use tremor_connector::{Dials, DrainBoard, Handed, Instance, OpenRoute, Route};
use tremor_event::{Breaker, EventBatch, Signal};
use tremor_value::Value;

const ONCE: &str = r#""none""#;

/// What a client with `more` in its configuration tells of a connection, if the server answers with these header lines.
async fn told(path: &str, more: &str, answer: &str) -> (Value, Port) {
    let port = Port::reserve();
    let listener = port.listen();
    let config = format!(r#"{{"url": "ws://{}{path}"{more}}}"#, port.address());
    let mut subject =
        Subject::new(&definition("ws_client", &config, r#""json""#, ""), Linked::Fully).unwrap();
    let started = start(&subject);
    let (mut tcp, _) = welcome(&listener, answer).await;
    within(started).await.unwrap().unwrap();
    subject.open();
    tcp.write_all(b"\x81\x011").await.unwrap();
    (subject.next_event().await.meta.get("ws_client").unwrap().clone(), port)
}

fn member(told: &Value, name: &str) -> Value {
    told.get(name).cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_connection_tells_what_was_asked_for_and_answered() {
    let more = r#", "query": {"since": [1, 2]}, "origin": "https://page.example",
        "auth": {"query": {"name": "access token", "value": "s3cret"}}"#;
    let answer = "Server: other/1\r\nX-Node: a\r\nX-Node: b\r\nSet-Cookie: sid=1\r\nX-Auth-Token: s3cret\r\n";
    let (told, port) = told("/feed/%C3%A9?all", more, answer).await;
    assert_eq!(member(&told, "path"), "/feed/%C3%A9".into());
    let query = r#"{"access token":"***","all":"","since":["1","2"]}"#;
    assert_eq!(member(&told, "query"), json(query));
    assert_eq!(member(&told, "authority"), port.address().into());
    assert_eq!((member(&told, "scheme"), member(&told, "tls")), ("http".into(), false.into()));
    assert_eq!(member(&told, "origin"), "https://page.example".into());
    assert_eq!(member(&told, "headers"), json(r#"{"server":"other/1","x-node":["a","b"]}"#));
    assert!(!told.to_string().contains("s3cret"), "{told}");
}

#[tokio::test]
async fn what_there_is_not_is_not_told() {
    let (told, _) = told("", "", "").await;
    let mut names: Vec<_> = told.as_record().unwrap().iter().map(|(name, _)| name.to_string()).collect();
    names.sort_unstable();
    let connection = ["authority", "conn", "path", "peer", "scheme", "tls"];
    let message = ["compressed", "frames", "seq", "size"];
    let mut expected = [&connection[..], &message].concat();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(member(&told, "path"), "/".into());
}

#[tokio::test]
async fn headers_of_the_answer_are_told_as_wished() {
    for (expose, expected) in [
        (r#""none""#, "null"),
        (r#"["X-B"]"#, r#"{"x-b":"2"}"#),
        (r#""all""#, r#"{"set-cookie":"sid=1","x-b":"2"}"#),
    ] {
        let more = format!(r#", "expose_headers": {expose}, "headers": {{"Host": "Feed.Example"}}"#);
        let (told, _) = told("/", &more, "Set-Cookie: sid=1\r\nX-B: 2\r\n").await;
        let mut headers = member(&told, "headers");
        // Those of the handshake itself.
        if let Some(headers) = headers.as_record_mut() {
            for own in ["upgrade", "connection", "sec-websocket-accept"] {
                assert_eq!(headers.remove(own).is_some(), expose == r#""all""#, "{own}");
            }
        }
        assert_eq!(headers, json(expected), "{expose}");
        assert_eq!(member(&told, "authority"), "feed.example".into());
    }
}

#[tokio::test]
async fn a_certificate_is_told_of_if_it_was_verified() {
    let files = files();
    let (mut gate, port) = secure_server(&files).await;
    for (tls, is_told) in [
        (format!(r#"{{"cafile": "{}", "domain": "localhost"}}"#, files.cert.display()), true),
        (r#"{"insecure": true}"#.to_owned(), false),
    ] {
        let config = format!(r#"{{"url": "wss://{}/", "tls": {tls}}}"#, port.address());
        let mut feed = Subject::started(&definition("ws_client", &config, r#""json""#, "")).await;
        feed.give("1").await;
        let event = gate.next_event().await;
        gate.deliver(0, event).await;
        let told = feed.next_event().await.meta.get("ws_client").unwrap().clone();
        assert_eq!(member(&told, "scheme"), "https".into());
        let certificate = told.get("tls_peer");
        assert_eq!(certificate.is_some(), is_told, "{tls}");
        if let Some(certificate) = certificate {
            assert_eq!(member(certificate, "sans"), json(r#"["DNS:localhost"]"#));
            assert_eq!(certificate.get("fingerprint").unwrap().as_str().unwrap().len(), 64);
        }
        within(feed.handle.stop()).await;
    }
}

#[tokio::test]
async fn both_sides_tell_the_same_of_one_connection() {
    let (mut gate, port) = server(r#", "subprotocols": ["v1"], "compression": {"deflate": {}}"#).await;
    let more = r#", "subprotocols": ["v0", "v1"], "compression": {"deflate": {}}, "query": {"q": "x y"}"#;
    let mut feed = client(&port, more, ONCE);
    within(feed.handle.start()).await.unwrap();
    feed.open();
    feed.give("1").await;
    let event = gate.next_event().await;
    let inside = super::peers::of_server(&event);
    gate.deliver(0, event).await;
    let outside = feed.next_event().await.meta.get("ws_client").unwrap().clone();
    for name in
        ["path", "query", "authority", "scheme", "protocol", "extensions", "seq", "size", "compressed"]
    {
        assert_eq!(outside.get(name), inside.get(name), "{name}");
        assert!(outside.get(name).is_some(), "{name}");
    }
}

/// Takes a batch when it may, and tells of it then.
#[derive(Clone)]
struct Slow {
    asked: UnboundedSender<()>,
    may: Arc<Semaphore>,
    took: UnboundedSender<Value>,
}

impl OpenRoute for Slow {
    fn open(&self) -> Box<dyn Route> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Route for Slow {
    fn send(&mut self, batch: EventBatch) -> Handed<'_> {
        self.asked.send(()).unwrap();
        Handed::later(async move {
            self.may.acquire().await.unwrap().forget();
            for event in &batch.events {
                // The test may have seen enough.
                self.took.send(event.payload.value().clone()).ok();
            }
        })
    }

    async fn signal(&mut self, _: Signal) {}
}

/// Whoever takes messages slowly is told of the end behind them, and of the next connection behind that.
#[tokio::test]
async fn an_end_overtakes_nothing_that_came_before_it() {
    const BEHIND: u64 = 1_000_001;
    let port = Port::reserve();
    let listener = port.listen();
    let mut wanted = super::peers::client_definition(&port, "", r#"{"retry": {"interval_ms": 1}}"#);
    wanted.codec = Some("json".into());
    let (registry, codecs) = (tremor_connectors::registry(false), tremor_codec::Registry::standard());
    let (board, environment) = (Arc::new(DrainBoard::default()), environment(Dials::default()).0);
    let mut instance = Instance::create(&wanted, &environment, &registry, &codecs, &board).unwrap();
    let (asked, mut is_asked) = unbounded_channel();
    let (took, mut taken) = unbounded_channel();
    let slow = Slow { asked, may: Arc::new(Semaphore::new(0)), took };
    instance.link_output("out", Arc::new(slow.clone()));
    instance.link_output("control", Arc::new(Slow { may: Arc::new(Semaphore::new(9)), ..slow.clone() }));
    let gate = instance.source().unwrap().1;
    gate.add(BEHIND);
    let client = instance.spawn();
    let started = tokio::spawn({
        let client = client.clone();
        async move { client.start().await }
    });
    let (mut tcp, _) = welcome(&listener, "").await;
    within(started).await.unwrap().unwrap();
    within(tcp.write_all(b"\x81\x011\x81\x012\x88\x02\x03\xe8")).await.unwrap();
    drop(tcp);
    gate.open(BEHIND);
    let mut kinds = Vec::new();
    let shown =
        |value: Value| value.get("kind").and_then(Value::as_str).map_or(value.to_string(), str::to_owned);
    // `opened`, and the messages, which wait.
    for _ in 0..2 {
        within(is_asked.recv()).await.unwrap();
    }
    kinds.push(shown(within(taken.recv()).await.unwrap()));
    assert!(taken.try_recv().is_err() && is_asked.try_recv().is_err(), "the end waits behind them");
    slow.may.add_permits(9);
    let _again = welcome(&listener, "").await;
    while kinds.len() < 5 {
        kinds.push(shown(within(taken.recv()).await.unwrap()));
    }
    assert_eq!(kinds, ["opened", "1", "2", "closed", "opened"]);
    within(client.stop()).await;
}
