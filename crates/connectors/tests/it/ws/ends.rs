//! What is told of the ends of connections, by events and in the log, and what comes behind them.

use super::{
    client_opening::start,
    control::member,
    peers::{
        Port, accept, client, client_definition, close_code, head, next_text, of_server, server, text,
        upgrade,
    },
    tls::{files, secure_server},
    warnings::Told,
};
use crate::harness::{Clock, Linked, Seen, Subject, definition, within};
use async_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use futures_util::FutureExt;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
    sync::oneshot,
    time::Instant,
};
use tremor_value::Value;

/// The record `closed` of the next event, which has to come on `err`.
async fn closed(subject: &mut Subject) -> Value {
    match subject.next().await {
        Seen::Event("err", event) => event.payload.value().get("closed").cloned().unwrap(),
        other => panic!("not an end that was not clean: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_tls_ends_a_connection_with_1015() {
    let files = files();
    let (mut subject, port) = secure_server(&files).await;
    let way = Port::reserve();
    let listener = way.listen();
    let (cut, cutting) = oneshot::channel::<()>();
    let relay = tokio::spawn(async move {
        let mut outer = within(listener.accept()).await.unwrap().0;
        let mut inner = port.tcp().await;
        tokio::select! {
            _ended = copy_bidirectional(&mut outer, &mut inner) => panic!("too early"),
            _now = cutting => {}
        }
        inner.write_all(b"\x17\x03\x03\x00\x20 nobody has encrypted this with it").await.unwrap();
        // The sockets outlive what is told of the end.
        (outer, inner)
    });
    let config = format!(
        r#"{{"url": "wss://{}", "tls": {{"cafile": "{}", "domain": "localhost"}}}}"#,
        way.address(),
        files.cert.display()
    );
    let mut client = Subject::started(&definition("ws_client", &config, r#""json""#, "")).await;
    client.give("1").await;
    assert_eq!(subject.next_value().await, "1");
    cut.send(()).unwrap();
    let _sockets = within(relay).await.unwrap();
    let closed = closed(&mut subject).await;
    let shown = ["code", "clean", "by"].map(|name| closed.get(name).unwrap().to_string());
    assert_eq!(shown, ["1015", "false", r#""error""#], "{closed}");
}

#[tokio::test]
async fn the_log_tells_of_an_end_by_the_number_that_the_flow_knows() {
    let told = Told::default();
    let _listening = tracing::subscriber::set_default(told.clone());
    let (mut subject, port) = server("").await;
    // The numbers of other connections are others.
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(port.client().await);
    }
    let mut ws = port.client().await;
    ws.send(text(1)).await.unwrap();
    let conn = of_server(&subject.next_event().await).get("conn").unwrap().clone();
    drop(ws);
    let line = format!("connection {conn} with 127.0.0.1:");
    within(async {
        while !told.text().contains(&line) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(told.text().matches(" ended: ").count(), 1, "{}", told.text());
}

#[tokio::test]
async fn a_server_without_room_is_given_more_time_each_time() {
    let port = Port::reserve();
    let listener = port.listen();
    let grows = r#"{"retry": {"interval_ms": 20, "growth_rate": 25, "randomized": false}}"#;
    let subject = client(&port, r#", "stable_after": 0"#, grows);
    subject.open();
    let started = start(&subject);
    let mut ended = None;
    for code in [1012, 1013] {
        let mut ws = accept(&listener).await;
        ended = Some(Instant::now());
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        ws.send(Message::Close(Some(frame))).await.unwrap();
        assert_eq!(close_code(&mut ws).await, 1000);
    }
    let _third = accept(&listener).await;
    assert!(ended.unwrap().elapsed() >= Duration::from_millis(500), "20 ms, then 25 times that");
    within(started).await.unwrap().unwrap();
}

/// Drains `subject` as a flow does that has much time; gives what ends when all of its peers are gone.
async fn drain(subject: &Subject) -> tokio::task::JoinHandle<()> {
    subject.front_is_done().await;
    let handle = subject.handle.clone();
    within(handle.drain()).await;
    let latest = Instant::now() + Duration::from_secs(60);
    tokio::spawn(async move { handle.let_go(latest).await })
}

async fn opened(port: &Port) -> TcpStream {
    let mut tcp = port.tcp().await;
    tcp.write_all(upgrade("here", "").as_bytes()).await.unwrap();
    assert!(head(&mut tcp).await.starts_with("HTTP/1.1 101 "));
    tcp
}

/// Peers have no time of their own for their part of the end.
const HURRY: &str = r#", "drain_timeout": 50, "close_handshake_timeout": 0"#;

#[tokio::test]
async fn a_drain_waits_no_longer_for_peers_than_it_may() {
    let clock = Clock::stop();
    let (mut subject, port) = super::control::server(HURRY).await;
    let mut tcp = opened(&port).await;
    let drain = drain(&subject).await;
    // It never answers the goodbye.
    let mut said = [0; 4];
    within(tcp.read_exact(&mut said)).await.unwrap();
    assert_eq!(said, [0x88, 2, 0x03, 0xe9]);
    clock.advance(49).await;
    assert!(!drain.is_finished());
    clock.advance(2).await;
    assert_eq!(within(tcp.read(&mut said)).await.unwrap(), 0);
    within(drain).await.unwrap();
    loop {
        match subject.next().await {
            Seen::Event("control", told) if member(&told, "kind") == "closed".into() => {
                assert_eq!((member(&told, "code"), member(&told, "clean")), (1001.into(), false.into()));
                break;
            }
            Seen::Event("control", _) | Seen::Drained(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_peer_that_reads_nothing_either() {
    let clock = Clock::stop();
    let (mut subject, port) = server(HURRY).await;
    let mut tcp = opened(&port).await;
    tcp.write_all(b"\x81\x81\0\0\0\x001").await.unwrap();
    let asks = subject.next_event().await;
    // More than the system takes of it.
    let filler = Value::from("x".repeat(32 << 20));
    subject.deliver(0, tremor_event::Event { payload: filler.into(), ..asks }).await;
    subject.front_is_done().await;
    let handle = subject.handle.clone();
    let latest = Instant::now() + Duration::from_secs(60);
    let drain = tokio::spawn(async move { handle.let_go(latest).await });
    tokio::task::yield_now().await;
    clock.advance(51).await;
    let closed = closed(&mut subject).await;
    assert_eq!(closed.get("clean").unwrap().to_string(), "false", "{closed}");
    within(drain).await.unwrap();
    drop(tcp);
}

/// A client of which `messages` of its queue may wait, otherwise as it is by default, and its server.
async fn short_queue(messages: usize) -> (Subject, Port, tokio::net::TcpListener) {
    let port = Port::reserve();
    let listener = port.listen();
    let soon = r#"{"retry": {"interval_ms": 1, "growth_rate": 1, "randomized": false}}"#;
    let queue = format!(r#", "send_queue": {{"messages": {messages}}}"#);
    let subject = Subject::new(&client_definition(&port, &queue, soon), Linked::Fully).unwrap();
    subject.open();
    (subject, port, listener)
}

#[tokio::test]
async fn a_server_that_does_not_read_is_given_up_after_five_seconds() {
    let clock = Clock::stop();
    let (mut subject, _port, listener) = short_queue(2).await;
    let started = start(&subject);
    let _slow = accept(&listener).await;
    within(started).await.unwrap().unwrap();
    let event = subject.event(Value::from("x".repeat(1 << 20)));
    let (into, handle) = (subject.way_in(), subject.handle.clone());
    let gives = tokio::spawn(async move {
        while handle.taken().failed == 0 {
            into.deliver(0, event.clone().into()).await;
        }
    });
    let (mut last, mut since) = (0, Instant::now());
    while subject.handle.taken().failed == 0 {
        let received = subject.handle.taken().received;
        if received != last {
            (last, since) = (received, Instant::now());
        }
        clock.advance(100).await;
    }
    let waited = since.elapsed();
    assert!(waited >= Duration::from_millis(4900) && waited < Duration::from_millis(5500), "{waited:?}");
    within(gives).await.unwrap();
    // The time for the goodbye.
    clock.advance(1001).await;
    let closed = closed(&mut subject).await;
    assert_eq!(closed.get("code").unwrap().to_string(), "1008", "{closed}");
}

#[tokio::test]
async fn while_there_is_no_server_nobody_reads_too_slowly() {
    let (mut subject, port, listener) = short_queue(2).await;
    let started = start(&subject);
    let first = accept(&listener).await;
    within(started).await.unwrap().unwrap();
    drop((first, listener));
    let mut status = subject.handle.watch();
    within(status.wait_for(|status| !status.connected)).await.unwrap();
    let clock = Clock::stop();
    let events: Vec<_> = (1..5).map(|number| subject.event(Value::from(number))).collect();
    let into = subject.way_in();
    let gives = tokio::spawn(async move {
        for event in events {
            into.deliver(0, event.into()).await;
        }
    });
    for _ in 0..300 {
        clock.advance(100).await;
    }
    assert!(!gives.is_finished() && subject.handle.taken().failed == 0);
    let listener = port.listen();
    let tcp = loop {
        // The next attempt.
        clock.advance(10).await;
        if let Some(accepted) = listener.accept().now_or_never() {
            break accepted.unwrap().0;
        }
    };
    let mut second = within(async_tungstenite::tokio::accept_async(tcp)).await.unwrap();
    for number in 1..5 {
        assert_eq!(next_text(&mut second).await, number.to_string());
    }
    within(gives).await.unwrap();
}
