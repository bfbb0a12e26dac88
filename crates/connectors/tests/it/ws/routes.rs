//! Routes: where events leave, what their connections may, what is told of them.

use super::peers::{Port, head, of_server, server_definition, upgrade};
use crate::harness::{Linked, Seen, Subject, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tremor_event::{Event, EventBatch};

/// A server with `more` members of its configuration, whose exits lead somewhere.
async fn server(exits: &'static [&'static str], more: &str) -> (Subject, Port) {
    let port = Port::reserve();
    let subject = Subject::started_with(&server_definition(&port, more), Linked::With(exits)).await;
    (subject, port)
}

/// A connection that asked for `target` with `more` header lines.
async fn open(port: &Port, target: &str, more: &str) -> TcpStream {
    let mut tcp = port.tcp().await;
    let request = upgrade("gate.example:7001", more).replacen("GET /", &format!("GET {target}"), 1);
    tcp.write_all(request.as_bytes()).await.unwrap();
    let answer = head(&mut tcp).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{target}: {answer}");
    tcp
}

/// Sends `text` as one message.
async fn send(tcp: &mut TcpStream, text: &str) {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    tcp.write_all(&frame).await.unwrap();
}

/// The next event, and the port by which it came.
async fn next(subject: &mut Subject) -> (&'static str, Event) {
    match subject.next().await {
        Seen::Event(port, event) => (port, event),
        other @ Seen::Drained(_) => panic!("no event but {other:?}"),
    }
}

/// The metadata of the connection, without what differs from one to the next.
fn shown(event: &Event) -> String {
    let mut shown = event.meta.base().get("ws_server").unwrap().clone();
    let record = shown.as_record_mut().unwrap();
    for key in ["conn", "peer", "tls"] {
        assert!(record.remove(key).is_some(), "{key}");
    }
    shown.to_string()
}

const TABLE: &str = r#", "routes": [
    {"when": [{"path": "/orders/{site}", "protocol": "v2"}], "exit": "orders"},
    {"when": [{"path": "/orders/*"}, {"authority": "other.example"}], "exit": "Watch"},
    {"when": [{"headers": {"x-kind": "small"}}], "exit": "Watch", "options": {"max_message_size": 3}}],
    "exit": "out""#;

#[tokio::test]
async fn events_leave_by_the_exit_of_their_route() {
    let (mut subject, port) = server(&["orders", "Watch"], TABLE).await;
    // One that goes without a goodbye would be told of.
    let mut open_ones = Vec::new();
    for (target, more, exit, metadata) in [
        (
            "/orders/n%C3%ADm?a=1&b=x+y&a=2",
            "Sec-WebSocket-Protocol: v1, v2\r\nX-One: 1\r\nx-one: 2\r\nOrigin: https://here\r\n",
            "orders",
            r#"{"path":"/orders/n%C3%ADm","authority":"gate.example:7001","scheme":"http","query":{"a":["1","2"],"b":"x y"},"params":{"site":"ním"},"origin":"https://here","headers":{"x-one":["1","2"]},"protocol":"v2","route":{"index":0,"exit":"orders"}}"#,
        ),
        (
            "/orders/x",
            "Sec-WebSocket-Protocol: v1\r\n",
            "Watch",
            r#"{"path":"/orders/x","authority":"gate.example:7001","scheme":"http","route":{"index":1,"exit":"Watch"}}"#,
        ),
        (
            "/",
            "X-Kind: small\r\n",
            "Watch",
            r#"{"path":"/","authority":"gate.example:7001","scheme":"http","headers":{"x-kind":"small"},"route":{"index":2,"exit":"Watch"}}"#,
        ),
        (
            "/",
            "",
            "out",
            r#"{"path":"/","authority":"gate.example:7001","scheme":"http","route":{"exit":"out"}}"#,
        ),
    ] {
        let mut tcp = open(&port, target, more).await;
        send(&mut tcp, "7").await;
        let (port, event) = next(&mut subject).await;
        assert_eq!((port, shown(&event).as_str()), (exit, metadata), "{target}");
        open_ones.push(tcp);
    }
}

/// Routes decide where events leave; answers find their connection all the same.
#[tokio::test]
async fn answers_to_events_of_any_exit_find_their_connection() {
    let (mut subject, port) = server(&["orders", "Watch"], TABLE).await;
    let mut orders = open(&port, "/orders/x", "Sec-WebSocket-Protocol: v2\r\n").await;
    let mut rest = open(&port, "/", "").await;
    for tcp in [&mut orders, &mut rest] {
        send(tcp, "7").await;
        let (_, event) = next(&mut subject).await;
        subject.way_in().deliver(0, EventBatch::from(event)).await;
        let mut echoed = [0; 3];
        within(tcp.read_exact(&mut echoed)).await.unwrap();
        assert_eq!(&echoed, b"\x81\x017");
    }
}

#[tokio::test]
async fn a_route_has_limits_of_its_own() {
    let (mut subject, port) = server(&["orders", "Watch"], TABLE).await;
    let mut small = open(&port, "/", "X-Kind: small\r\n").await;
    let mut large = open(&port, "/", "").await;
    send(&mut small, "1234").await;
    let mut close = [0; 4];
    within(small.read_exact(&mut close)).await.unwrap();
    assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1009));
    send(&mut large, "1234").await;
    loop {
        // The other one has ended badly, which is told too.
        if let ("out", event) = next(&mut subject).await {
            assert_eq!(event.payload.value().to_string(), "1234");
            return;
        }
    }
}

#[tokio::test]
async fn requests_that_no_route_takes_are_refused() {
    let table = r#", "routes": [{"when": [{"path": "/a", "protocol": "v2"}], "exit": "a"}]"#;
    let (_subject, port) = server(&["a"], table).await;
    let ask = async |target: &str| {
        let request = upgrade("h", "Sec-WebSocket-Protocol: v1\r\n");
        port.ask(&request.replacen("GET /", &format!("GET {target}"), 1)).await
    };
    let answer = ask("/b").await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && !answer.contains("/b"), "{answer}");
    let answer = ask("/a").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with(": v2\n"), "{answer}");

    let more = format!("{table}, \"no_match\": {{\"status\": 403, \"body\": \"not here\"}}");
    let (_subject, port) = server(&["a"], &more).await;
    let answer = port.ask(&upgrade("h", "")).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.ends_with("\r\n\r\nnot here\n"), "{answer}");
}

#[tokio::test]
async fn headers_with_secrets_are_not_told_unless_they_are_asked_for() {
    let lines = "Authorization: Bearer x\r\nCookie: sid=1\r\nX-Api-Key: k\r\nX-Trace: t\r\n";
    for (more, expected) in [
        ("", r#"{"x-trace":"t"}"#),
        (r#", "expose_headers": ["X-Trace", "Cookie"]"#, r#"{"cookie":"sid=1","x-trace":"t"}"#),
        (r#", "expose_headers": "none""#, "null"),
    ] {
        let (mut subject, port) = server(&[], more).await;
        let mut tcp = open(&port, "/", lines).await;
        send(&mut tcp, "7").await;
        let headers = of_server(&next(&mut subject).await.1).get("headers").cloned().unwrap_or_default();
        assert_eq!(headers.to_string(), expected, "{more}");
    }
    let (mut subject, port) = server(&[], r#", "expose_headers": "all""#).await;
    let mut tcp = open(&port, "/", lines).await;
    send(&mut tcp, "7").await;
    let headers = of_server(&next(&mut subject).await.1).get("headers").cloned().unwrap();
    for name in ["host", "authorization", "cookie", "sec-websocket-version"] {
        assert!(headers.get(name).is_some(), "{name}: {headers}");
    }
}
