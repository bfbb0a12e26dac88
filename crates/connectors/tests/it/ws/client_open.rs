//! Events that say how to open a connection, and say it wrongly (`spec/websocket.md` 8).

use super::{
    client_opening::{line, welcome},
    client_ways::{next_frame, saying},
    peers::{Port, client},
};
use crate::harness::{Linked, Subject, definition, json, within};
use tokio::net::TcpListener;
use tremor_connector::State;
use tremor_event::EventBatch;

const ONCE: &str = r#""none""#;
const SOON: &str = r#"{"retry": {"interval_ms": 1}}"#;

/// What no connection can be opened with.
const BAD: [&str; 15] = [
    "1",
    r#""/x""#,
    r#"{"foo": 1}"#,
    r#"{"path": "nope"}"#,
    r#"{"path": 5}"#,
    r#"{"path": "/a\r\nX: y"}"#,
    r#"{"protocol": "a b"}"#,
    r#"{"protocol": ["a", "a"]}"#,
    r#"{"protocol": 1}"#,
    r#"{"scheme": "ftp"}"#,
    r#"{"authority": "a b"}"#,
    r#"{"authority": "127.0.0.1:0"}"#,
    r#"{"headers": {"Upgrade": "x"}}"#,
    r#"{"headers": {"X-A": "b\r\nc: d"}}"#,
    r#"{"headers": {"Authorization": "x"}}"#,
];

fn summoned(port: &Port, more: &str, reconnect: &str) -> Subject {
    let config = format!(
        r#"{{"defaults": {{"authority": "{}"}}, "auth": {{"bearer": {{"token": "t"}}}}{more}}}"#,
        port.address()
    );
    let mut definition = definition("ws_client", &config, r#""json""#, "");
    definition.reconnect = Some(json(reconnect));
    Subject::new(&definition, Linked::Fully).unwrap()
}

/// Nobody has tried to connect.
async fn nobody_came(listener: &TcpListener) {
    let looked = tokio::time::timeout(std::time::Duration::ZERO, listener.accept()).await;
    assert!(looked.is_err(), "a connection was tried");
}

#[tokio::test]
async fn an_event_that_says_nonsense_fails_alone_and_the_next_one_opens_the_connection() {
    for reconnect in [ONCE, SOON] {
        let port = Port::reserve();
        let listener = port.listen();
        let subject = summoned(&port, "", reconnect);
        within(subject.handle.start()).await.unwrap();
        subject.open();
        let mut count = 0;
        for bad in BAD {
            subject.deliver(0, saying(100, bad)).await;
            count += 1;
            assert_eq!(subject.handle.taken().failed, count, "{bad}");
        }
        nobody_came(&listener).await;
        assert_eq!(subject.handle.status().state, State::Running);
        // Whoever is in front may send on.
        within(subject.front.ready()).await;
        let batch = EventBatch {
            events: vec![
                saying(7, r#"{"path": "nope"}"#),
                saying(8, r#"{"path": "/good"}"#),
                saying(9, "{}"),
            ],
            bytes: 3,
        };
        subject.way_in().deliver(0, batch).await;
        let (mut tcp, request) = welcome(&listener, "").await;
        assert!(request.starts_with("GET /good "), "{request}");
        assert_eq!((next_frame(&mut tcp).await, next_frame(&mut tcp).await), (b"8".to_vec(), b"9".to_vec()));
        subject.until_failed(count + 1).await;
        // The same on a connection that is open already: what is good has no effect there.
        subject.deliver(0, saying(1, BAD[3])).await;
        subject.deliver(0, saying(2, r#"{"path": "/other"}"#)).await;
        assert_eq!(next_frame(&mut tcp).await, b"2");
        subject.until_failed(count + 2).await;
        // Nor does a bad one lead a lost connection elsewhere.
        drop(tcp);
        subject.deliver(0, saying(1, BAD[3])).await;
        let (_tcp, request) = welcome(&listener, "").await;
        assert!(request.starts_with("GET /good "), "{request}");
        subject.until_failed(count + 3).await;
    }
}

#[tokio::test]
async fn an_event_that_says_nothing_fails_where_something_has_to_be_said() {
    let port = Port::reserve();
    let listener = port.listen();
    let chosen = "Sec-WebSocket-Protocol: v1\r\n";
    for (more, bad, good, chosen) in [
        (
            r#", "routes": [{"when": [{"path": "/a"}], "exit": "out"}]"#,
            r#"{"path": "/b"}"#,
            r#"{"path": "/a"}"#,
            "",
        ),
        (
            r#", "require_websocket_subprotocol": true"#,
            r#"{"path": "/a"}"#,
            r#"{"path": "/a", "protocol": "v1"}"#,
            chosen,
        ),
    ] {
        let mut subject = summoned(&port, more, ONCE);
        within(subject.handle.start()).await.unwrap();
        subject.open();
        subject.give("1").await;
        subject.deliver(0, saying(2, bad)).await;
        subject.until_failed(2).await;
        nobody_came(&listener).await;
        subject.deliver(0, saying(3, good)).await;
        subject.give("4").await;
        let (mut tcp, request) = welcome(&listener, chosen).await;
        assert!(request.starts_with("GET /a "), "{request}");
        assert_eq!((next_frame(&mut tcp).await, next_frame(&mut tcp).await), (b"3".to_vec(), b"4".to_vec()));
        subject.until_failed(2).await;
    }
}

#[tokio::test]
async fn an_origin_is_given_another_chance() {
    let port = Port::reserve();
    let listener = port.listen();
    let more = r#", "per_origin": true, "auth": {"bearer": {"token": "t"}}"#;
    let subject = client(&port, more, "null");
    within(subject.handle.start()).await.unwrap();
    subject.open();
    for (count, bad) in (1..).zip(BAD) {
        subject.deliver(0, saying(100, bad)).await;
        assert_eq!(subject.handle.taken().failed, count, "{bad}");
    }
    nobody_came(&listener).await;
    subject.deliver(0, saying(1, r#"{"path": "/good"}"#)).await;
    let (mut tcp, request) = welcome(&listener, "").await;
    assert!(request.starts_with("GET /good "), "{request}");
    assert_eq!(line(&request, "authorization"), Some("Bearer t"));
    assert_eq!(next_frame(&mut tcp).await, b"1");
    subject.until_failed(15).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_for_the_policy_and_no_event_is_forgotten() {
    let (port, none) = (Port::reserve(), Port::reserve());
    let gone = format!(r#"{{"authority": "{}"}}"#, none.address());
    // Nobody tries again: the connector has failed, and so have all events.
    let subject = summoned(&port, "", ONCE);
    within(subject.handle.start()).await.unwrap();
    subject.deliver(0, saying(1, &gone)).await;
    subject.until_failed(1).await;
    assert_eq!(subject.handle.status().state, State::Failed);
    subject.deliver(0, saying(2, "{}")).await;
    subject.until_failed(2).await;
    // Somebody does, until another event says where to.
    let listener = port.listen();
    let subject = summoned(&port, "", SOON);
    within(subject.handle.start()).await.unwrap();
    subject.deliver(0, saying(1, &gone)).await;
    within(async {
        while subject.front.now().is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    subject.deliver(0, saying(2, r#"{"path": "nope"}"#)).await;
    subject.until_failed(1).await;
    subject.deliver(0, saying(3, r#"{"path": "/here"}"#)).await;
    let (mut tcp, request) = welcome(&listener, "").await;
    assert!(request.starts_with("GET /here "), "{request}");
    assert_eq!((next_frame(&mut tcp).await, next_frame(&mut tcp).await), (b"1".to_vec(), b"3".to_vec()));
    // What waits when it ends has failed.
    let subject = summoned(&port, "", SOON);
    within(subject.handle.start()).await.unwrap();
    subject.deliver(0, saying(1, &gone)).await;
    within(subject.handle.stop()).await;
    subject.until_failed(1).await;
}

#[tokio::test]
async fn beside_a_url_it_has_no_effect() {
    let port = Port::reserve();
    let listener = port.listen();
    let subject = client(&port, "", ONCE);
    let started = super::client_opening::start(&subject);
    let (mut tcp, request) = welcome(&listener, "").await;
    within(started).await.unwrap().unwrap();
    assert!(request.starts_with("GET / "), "{request}");
    for open in [r#"{"path": "/x"}"#, r#"{"path": "nope"}"#] {
        subject.deliver(0, saying(1, open)).await;
        assert_eq!(next_frame(&mut tcp).await, b"1");
    }
    subject.until_failed(0).await;
}
