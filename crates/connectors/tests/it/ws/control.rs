//! Port `control`: what is told of connections.

use super::peers::{Port, Ws, close_code, head, of_server, server_definition, text, upgrade};
use crate::harness::{Linked, Seen, Subject, json, within};
use async_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};
use tremor_event::Event;
use tremor_value::Value;

/// A server whose port `control` leads somewhere.
pub(super) async fn server(more: &str) -> (Subject, Port) {
    let port = Port::reserve();
    let subject = Subject::started_with(&server_definition(&port, more), Linked::WithControl).await;
    (subject, port)
}

pub(super) fn member(event: &Event, name: &str) -> Value {
    event.payload.value().get(name).cloned().unwrap_or_default()
}

/// The connection that an event on `control` is about.
pub(super) fn conn(told: &Event) -> u64 {
    member(told, "conn").as_u64().unwrap()
}

#[tokio::test]
async fn a_drain_that_has_no_time_for_peers_cuts_them_off_at_once() {
    let (mut subject, port) = server(r#", "drain_timeout": 0"#).await;
    let mut tcp = port.tcp().await;
    tcp.write_all(upgrade("here", "").as_bytes()).await.unwrap();
    head(&mut tcp).await;
    subject.next_told().await;
    tokio::time::pause();
    let begun = Instant::now();
    within(subject.handle.let_go(begun + Duration::from_secs(60))).await;
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    assert_eq!(member(&subject.next_told().await, "clean"), false.into());
    let mut said = Vec::new();
    let _ended_or_reset = within(tcp.read_to_end(&mut said)).await;
    assert!(said.is_empty() || said == [0x88, 2, 0x03, 0xe9], "{said:?}");
}

#[tokio::test]
async fn a_connection_is_told_of_when_it_opens_and_when_it_has_closed() {
    let (mut subject, port) = server("").await;
    let mut ws = port.client().await;
    let opened = subject.next_told().await;
    let conn = of_server(&opened).get("conn").unwrap().clone();
    assert_eq!(opened.payload.value().to_string(), format!(r#"{{"kind":"opened","conn":{conn}}}"#));
    ws.send(text(12_345)).await.unwrap();
    let message = subject.next_event().await;
    assert_eq!(opened.meta, *message.meta.base(), "it has the metadata of its connection");
    assert!(opened.id != message.id && opened.id.stream == message.id.stream);

    let frame = CloseFrame { code: CloseCode::Library(4002), reason: "enough".into() };
    ws.send(Message::Close(Some(frame))).await.unwrap();
    assert_eq!(close_code(&mut ws).await, 1000, "which is the answer");
    drop(ws);
    let closed = subject.next_told().await;
    for (name, expected) in [
        ("kind", r#""closed""#),
        ("conn", &conn.to_string()),
        ("code", "4002"),
        ("reason", r#""enough""#),
        ("clean", "true"),
        ("by", r#""peer""#),
        ("in", r#"{"messages":1,"bytes":5}"#),
        ("out", r#"{"messages":0,"bytes":0}"#),
    ] {
        assert_eq!(member(&closed, name).to_string(), expected, "{name}");
    }
    assert!(member(&closed, "duration_ns").as_u64().is_some_and(|duration| duration > 0));
    assert_eq!(closed.meta, *message.meta.base());
}

#[tokio::test]
async fn an_end_that_was_not_clean_is_told_on_both_ports() {
    let (mut subject, port) = server("").await;
    let ws = port.client().await;
    subject.next_told().await;
    drop(ws);
    let closed = subject.next_told().await;
    assert_eq!((member(&closed, "code"), member(&closed, "clean")), (1006.into(), false.into()));
    let Seen::Event("err", failed) = subject.next().await else { panic!("nothing on `err`") };
    assert_eq!(member(&failed, "closed"), *closed.payload.value());
}

#[tokio::test]
async fn a_refused_handshake_is_told_of_with_status_and_reason() {
    let (mut subject, port) = server("").await;
    let answer = port.ask("GET /a/../b HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    let rejected = subject.next_told().await;
    assert_eq!((member(&rejected, "kind"), member(&rejected, "status")), ("rejected".into(), 426.into()));
    assert!(member(&rejected, "reason").as_str().is_some_and(|reason| !reason.is_empty()));
    let of_request = of_server(&rejected);
    assert_eq!(of_request.get("peer").and_then(|peer| peer.get("host")), Some(&"127.0.0.1".into()));
    assert_eq!(of_request.get("conn"), None, "there was no connection");
    // Others are not concerned.
    let _ws = port.client().await;
    assert_eq!(member(&subject.next_told().await, "kind"), json(r#""opened""#));
}

#[tokio::test]
async fn a_refused_handshake_is_told_of_with_what_was_read_of_it() {
    let guard = r#", "guards": {"g": {"type": "bearer", "options": {"tokens": {"good": {}}}}},
        "credentials": {"query": {"t": "{credentials}"}, "headers": {"x-key": "{credentials}"}},
        "routes": [{"when": [{"path": "/a"}], "guarded": {"g": []}, "exit": "out"},
            {"when": [{"path": "/site/{name}"}], "exit": "out"}]"#;
    let (mut subject, port) = server(guard).await;
    let many = format!("/a?{}", "p=1&".repeat(129));
    for (request, status, expected) in [
        // No WebSocket is asked for.
        (
            "GET /x%20y?a=1&t=hidden&a=2 HTTP/1.1\r\nHost: here\r\nUser-Agent: me\r\nX-Key: hidden\r\n\r\n"
                .to_owned(),
            426,
            r#"{"path": "/x%20y", "query": {"a": ["1", "2"], "t": "***"}, "headers": {"user-agent": "me"}}"#,
        ),
        (
            "GET http://here/z?q=1 HTTP/1.1\r\nHost: here\r\n\r\n".to_owned(),
            426,
            r#"{"path": "/z", "query": {"q": "1"}}"#,
        ),
        // It is, and the origin is of another kind.
        (
            upgrade("here", "Origin: https://there.example\r\nCookie: c=hidden\r\n")
                .replace("GET / ", "GET /b "),
            404,
            r#"{"path": "/b", "origin": "https://there.example"}"#,
        ),
        (
            upgrade("here", "X-A: 1\r\n").replace("GET / ", "GET /a?t=hidden&u=1 "),
            401,
            r#"{"path": "/a", "query": {"t": "***", "u": "1"}, "headers": {"x-a": "1"}}"#,
        ),
        // The version is not spoken here.
        (upgrade("here", "").replace(": 13", ": 14").replace("GET / ", "GET /a "), 426, r#"{"path": "/a"}"#),
        // Whose metadata would be large.
        (upgrade("here", "").replace("GET / ", &format!("GET {many} ")), 414, r#"{"path": "/a"}"#),
        // A parameter is no text.
        (upgrade("here", "").replace("GET / ", "GET /site/%ff "), 400, r#"{"path": "/site/%ff"}"#),
        (upgrade("here", "").replace("GET / ", "GET /site/%0d%0a "), 400, r#"{"path": "/site/%0d%0a"}"#),
        // Nothing could be read.
        ("GET / HTTP/1.1\r\nHost here\r\n\r\n".to_owned(), 400, "{}"),
    ] {
        let answer = port.ask(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        let rejected = subject.next_told().await;
        assert_eq!(member(&rejected, "status"), status.into());
        let mut told = of_server(&rejected);
        let record = told.as_record_mut().unwrap();
        assert!(record.remove("peer").is_some() && record.remove("tls").is_some());
        assert_eq!(told, json(expected), "{request}");
    }
}

#[tokio::test]
async fn nothing_is_told_before_those_behind_are_ready_and_nothing_comes_in_front_of_it() {
    let port = Port::reserve();
    let mut subject = Subject::new(&server_definition(&port, ""), Linked::WithControl).unwrap();
    within(subject.handle.start()).await.unwrap();
    let mut ws = port.client().await;
    ws.send(text(1)).await.unwrap();
    let answer = port.ask("GET / HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(subject.is_silent());
    subject.open();
    let (mut told, mut kinds) = (Vec::new(), Vec::new());
    while told.len() < 3 {
        match subject.next().await {
            Seen::Event("control", event) => {
                kinds.push(member(&event, "kind").to_string());
                told.push(event.id.stream);
            }
            Seen::Event(_, event) => {
                assert!(told.contains(&event.id.stream), "nothing comes in front of it");
                told.push(event.id.stream);
            }
            other => panic!("{other:?}"),
        }
    }
    kinds.sort();
    assert_eq!(kinds, [r#""opened""#, r#""rejected""#]);
}

/// Lets the clients of `conns` go while those behind are not ready, and waits until nothing is left of the connections.
async fn end_unheard(subject: &mut Subject, clients: Vec<Ws>, conns: &[u64]) {
    subject.shut();
    for mut client in clients {
        // What it does not read has the system end the connection with a reset.
        client.send(text(1)).await.unwrap();
        drop(client);
    }
    for conn in conns {
        // Commands fail once there is no such connection; nobody reads, so it is found broken by what is written.
        let tag = format!(r#"{{"kind": "tag", "conn": {conn}, "tags": {{}}}}"#);
        let before = subject.handle.taken().failed;
        within(async {
            while subject.handle.taken().failed == before {
                subject.give_to(1, json("7")).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
                subject.give_to(2, json(&tag)).await;
            }
        })
        .await;
    }
}

/// Ends wait for a moment at which those who read `control` are ready, and nothing else is kept meanwhile.
#[tokio::test]
async fn ends_are_told_of_when_those_behind_are_ready_to_hear_it() {
    let (mut subject, port) = server(r#", "max_connections": 2"#).await;
    let clients = vec![port.client().await, port.client().await];
    let conns = [conn(&subject.next_told().await), conn(&subject.next_told().await)];
    end_unheard(&mut subject, clients, &conns).await;
    // Both places are free again before anybody has heard of it.
    let mut others = Vec::new();
    within(async {
        while others.len() < 2 {
            let mut tcp = port.tcp().await;
            tcp.write_all(upgrade("here", "").as_bytes()).await.unwrap();
            if head(&mut tcp).await.starts_with("HTTP/1.1 101 ") {
                others.push(tcp);
            }
        }
    })
    .await;
    assert!(subject.is_silent());
    subject.open();
    let (mut closed, mut opened) = (Vec::new(), 0);
    while closed.len() < 2 || opened < 2 {
        match subject.next().await {
            Seen::Event("control", told) if member(&told, "kind") == "closed".into() => {
                assert_eq!(of_server(&told).get("conn"), Some(&member(&told, "conn")));
                assert_eq!(member(&told, "code"), 1006.into());
                closed.push(conn(&told));
            }
            Seen::Event("control", told) if member(&told, "kind") == "opened".into() => opened += 1,
            // No room for it.
            Seen::Event("control", told) => assert_eq!(member(&told, "kind"), "rejected".into()),
            Seen::Event("err", _) => {}
            other => panic!("{other:?}"),
        }
    }
    closed.sort_unstable();
    assert_eq!(closed, conns);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_those_who_are_never_ready() {
    let (mut subject, port) = server("").await;
    let client = port.client().await;
    let conn = conn(&subject.next_told().await);
    end_unheard(&mut subject, vec![client], &[conn]).await;
    assert!(subject.is_silent());
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    let closed = subject.next_told().await;
    assert_eq!((member(&closed, "kind"), member(&closed, "code")), ("closed".into(), 1006.into()));
}
