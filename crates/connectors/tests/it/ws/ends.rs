//! What is told of the ends of connections, by events and in the log, and what comes behind them.

use super::{
    client_opening::{start, welcome},
    control::member,
    peers::{
        Port, Ws, accept, client, client_definition, close_code, head, next_text, of_server, server, text,
        upgrade,
    },
    tls::{files, secure_server},
};
use crate::harness::{Clock, Linked, Seen, Subject, definition, json, within};
use async_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use futures_util::{FutureExt, future::select_all};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
    sync::oneshot,
    time::Instant,
};
use tremor_codec::testing::Log;
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
    let (told, _listening) = Log::listen();
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
    upgraded(port.tcp().await).await
}

/// That, behind a handshake.
async fn upgraded(mut tcp: TcpStream) -> TcpStream {
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
                let closed = closed(&mut subject).await;
                assert_eq!(closed, *told.payload.value());
                break;
            }
            Seen::Event("control", _) | Seen::Drained(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn goodbyes_of_a_drain_come_one_after_the_other_where_they_are_spread() {
    let clock = Clock::stop();
    let (mut subject, port) = super::control::server(r#", "drain_spread": 1000"#).await;
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(opened(&port).await);
    }
    subject.give_to(2, json(r#"{"kind": "drain"}"#)).await;
    while !peers.is_empty() {
        let heard = select_all(peers.iter().map(|tcp| async { tcp.peek(&mut [0]).await }.boxed()));
        let (_, first, _) = within(heard).await;
        let mut next = peers.remove(first);
        let mut said = [0; 4];
        within(next.read_exact(&mut said)).await.unwrap();
        assert_eq!(said, [0x88, 2, 0x03, 0xe9]);
        clock.advance(249).await;
        for tcp in &peers {
            assert!(tcp.try_read(&mut said).is_err(), "it is too early");
        }
        clock.advance(2).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_ending_already_keeps_its_time_when_the_flow_drains() {
    let clock = Clock::stop();
    let (mut subject, port) = super::control::server(r#", "close_handshake_timeout": 300"#).await;
    let mut tcp = opened(&port).await;
    subject.next_told().await;
    subject.give_to(2, json(r#"{"kind": "close", "where": {}, "code": 4000}"#)).await;
    let mut said = [0; 4];
    within(tcp.read_exact(&mut said)).await.unwrap();
    assert_eq!(said, [0x88, 2, 0x0f, 0xa0]);
    clock.advance(100).await;
    let drain = drain(&subject).await;
    clock.advance(199).await;
    tokio::task::yield_now().await;
    assert!(!drain.is_finished());
    clock.advance(2).await;
    assert_eq!(within(tcp.read(&mut said)).await.unwrap(), 0);
    within(drain).await.unwrap();
    for _ in 0..3 {
        assert!(matches!(subject.next().await, Seen::Drained(_)));
    }
    assert_eq!(member(&subject.next_told().await, "code"), 4000.into());
    assert_eq!(closed(&mut subject).await.get("code").unwrap().to_string(), "4000");
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

/// A queue that is full soon, otherwise as it is by default.
const SHORT: &str = r#"{"messages": 2}"#;

/// A client with this queue, which connects again at once, and its server.
pub(super) fn with_queue(queue: &str) -> (Subject, Port, tokio::net::TcpListener) {
    let port = Port::reserve();
    let listener = port.listen();
    let soon = r#"{"retry": {"interval_ms": 1, "growth_rate": 1, "randomized": false}}"#;
    let subject = client(&port, &format!(r#", "send_queue": {queue}"#), soon);
    subject.open();
    (subject, port, listener)
}

#[tokio::test]
async fn a_server_that_does_not_read_is_given_up_after_five_seconds() {
    let (told, _listening) = Log::listen();
    let clock = Clock::stop();
    let (mut subject, _port, listener) = with_queue(SHORT);
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
    // What is half written fails behind the goodbye, which has a second.
    assert!(waited >= Duration::from_millis(4900) && waited < Duration::from_millis(6700), "{waited:?}");
    drop(gives);
    clock.advance(1001).await;
    let closed = closed(&mut subject).await;
    assert_eq!(closed.get("code").unwrap().to_string(), "1008", "{closed}");
    // What was not written to its end, too.
    within(async {
        while told_as_failed(&told) < subject.handle.taken().failed {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let line = format!("slow consumer: connection {} with 127.0.0.1:", closed.get("conn").unwrap());
    assert!(told.text().contains(&line), "{}", told.text());
    assert!(!told.text().contains("no socket"), "{}", told.text());
}

/// Events that lines of the log say have failed.
fn told_as_failed(told: &Log) -> u64 {
    let text = told.text();
    let counts = text.lines().filter_map(|line| {
        let (_, of_sink) = line.split_once("[Sink::")?.1.split_once("] ")?;
        let (count, rest) = of_sink.split_once(" event")?;
        rest.trim_start_matches('s').starts_with(" failed: ").then(|| count.parse::<u64>().unwrap())
    });
    counts.sum()
}

/// A client in whose queue there is room for 100 MB and in which most of 4 messages of 8 MiB each wait, and its server, which
/// has read nothing.
async fn loaded_client() -> (Subject, Port, Ws) {
    let port = Port::reserve();
    let listener = port.listen();
    let mut subject = client(&port, r#", "send_queue": {"bytes": 100000000}"#, r#""none""#);
    subject.open();
    let started = start(&subject);
    let slow = accept(&listener).await;
    within(started).await.unwrap().unwrap();
    for _ in 0..4 {
        subject.give_to(0, "x".repeat(8 << 20).into()).await;
    }
    (subject, port, slow)
}

#[tokio::test]
async fn a_server_that_does_not_read_is_cut_off_at_the_end_of_a_drain_and_told() {
    let (told, _listening) = Log::listen();
    let (subject, port, _slow) = loaded_client().await;
    let clock = Clock::stop();
    subject.front_is_done().await;
    let (one, other) = (subject.handle.clone(), subject.handle.clone());
    let latest = Instant::now() + Duration::from_secs(3);
    let drain = tokio::spawn(async move { one.drain().await });
    let let_go = tokio::spawn(async move { other.let_go(latest).await });
    tokio::task::yield_now().await;
    clock.advance(2_499).await;
    tokio::task::yield_now().await;
    clock.advance(499).await;
    assert!(!let_go.is_finished());
    clock.advance(3).await;
    within(drain).await.unwrap();
    within(let_go).await.unwrap();
    let taken = subject.handle.taken();
    assert!(taken.failed > 0 && taken.failed + taken.written == 4, "{taken:?}");
    assert_eq!(told_as_failed(&told), taken.failed, "{}", told.text());
    let line = format!(
        "the drain cut off 1 connection whose peers do not read fast enough: {0} message{1} of {2} bytes in all were not sent, \
         or not to the end, and what was sent last may not have been read: connection ",
        taken.failed,
        if taken.failed == 1 { "" } else { "s" },
        taken.failed * ((8 << 20) + 2)
    );
    assert!(told.text().contains(&line), "{line}: {}", told.text());
    assert!(told.text().contains(&format!(" with {}", port.address())), "{}", told.text());
}

#[tokio::test]
async fn a_server_that_reads_to_the_end_of_a_drain_is_not_cut_off() {
    let (told, _listening) = Log::listen();
    let (subject, _port, mut slow) = loaded_client().await;
    let clock = Clock::stop();
    subject.front_is_done().await;
    let handle = subject.handle.clone();
    let latest = Instant::now() + Duration::from_secs(3);
    let let_go = tokio::spawn(async move { handle.let_go(latest).await });
    tokio::task::yield_now().await;
    let before = subject.handle.taken().written;
    clock.advance(2_600).await;
    tokio::task::yield_now().await;
    next_text(&mut slow).await;
    subject.written(before + 1).await;
    clock.advance(500).await;
    within(let_go).await.unwrap();
    for _ in 0..3 {
        next_text(&mut slow).await;
    }
    subject.written(4).await;
    assert!(!told.text().contains("cut off"), "{}", told.text());
}

/// A client that reads nothing, and its number.
async fn slow_client(subject: &mut Subject, port: &Port) -> (TcpStream, Value) {
    let tcp = upgraded(port.slow_tcp().await).await;
    (tcp, member(&subject.next_told().await, "conn"))
}

#[tokio::test]
async fn lines_of_the_log_say_whose_messages_are_lost() {
    const BROADCAST: usize = 1;
    let filler = || Value::from("x".repeat(16 << 20));
    for (queue, expected) in [
        (
            r#"{"messages": 1, "policy": "drop_newest"}"#,
            &["1 message dropped: the queue of CONN is full"][..],
        ),
        (
            r#"{"messages": 1, "policy": "close"}"#,
            &[
                "1 event failed: slow consumer: CONN does not read what it is sent",
                "1 message for everybody was not sent: slow consumer: CONN does not read what it is sent",
            ],
        ),
        (
            r#"{"messages": 9, "bytes": 100000000}"#,
            &["1 event failed: CONN has ended", "1 message for everybody was not sent: CONN has ended"],
        ),
    ] {
        let (told, _listening) = Log::listen();
        let (mut subject, port) = super::control::server(&format!(r#", "send_queue": {queue}"#)).await;
        let (tcp, conn) = slow_client(&mut subject, &port).await;
        let address = tcp.local_addr().unwrap();
        subject.give_to(BROADCAST, filler()).await;
        let mut event = subject.event(filler());
        event.meta = json(&format!(r#"{{"ws_server": {{"conn": {conn}}}}}"#)).into();
        subject.deliver(0, event).await;
        drop(tcp);
        for line in expected {
            let line = line.replace("CONN", &format!("connection {conn} with {address}"));
            within(async {
                while !told.text().contains(&line) {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    }
}

/// The log has ten lines a second of messages that a queue drops, and tells soon how many there were besides.
#[tokio::test]
async fn dropped_messages_that_the_log_leaves_out_are_counted_there() {
    const BROADCAST: usize = 1;
    let (told, _listening) = Log::listen();
    let queue = r#", "send_queue": {"messages": 1, "policy": "drop_newest"}"#;
    let (mut subject, port) = super::control::server(queue).await;
    let _slow = slow_client(&mut subject, &port).await;
    let lines = || told.text().matches(" 1 message dropped: the queue of connection ").count() as u64;
    let left_out = || {
        let text = told.text();
        let counts = text.lines().filter_map(|line| line.strip_suffix(" more messages dropped like that"));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    subject.give_to(BROADCAST, Value::from("x".repeat(16 << 20))).await;
    within(async {
        while lines() == 0 {
            subject.give_to(BROADCAST, Value::from(1)).await;
        }
    })
    .await;
    let clock = Clock::stop();
    for number in 0..30 {
        subject.give_to(BROADCAST, Value::from(number)).await;
    }
    let [dropped, ..] = subject.handle.taken().left_out;
    assert!(dropped > 30 && lines() < 21, "{dropped}: {}", told.text());
    within(async {
        while lines() + left_out() < dropped {
            clock.advance(10).await;
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(lines() + left_out(), dropped, "{}", told.text());
}

#[tokio::test]
async fn while_there_is_no_server_nobody_reads_too_slowly() {
    let (mut subject, port, listener) = with_queue(SHORT);
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

/// What is told next on this port, behind whatever else.
async fn told_on(port: &str, subject: &mut Subject) -> Value {
    loop {
        match subject.next().await {
            Seen::Event(of, event) if of == port => return event.payload.value().clone(),
            _ => {}
        }
    }
}

/// A client with one connection, and what it is connected with.
async fn lone_client(more: &str) -> (Subject, TcpStream) {
    let port = Port::reserve();
    let listener = port.listen();
    let subject = Subject::new(&client_definition(&port, more, r#""none""#), Linked::WithControl).unwrap();
    subject.open();
    let started = start(&subject);
    let (server, _) = welcome(&listener, "").await;
    within(started).await.unwrap().unwrap();
    (subject, server)
}

/// A drain of that, up to the goodbye that the server is told.
async fn part(subject: &Subject, server: &mut TcpStream) -> tokio::task::JoinHandle<()> {
    within(drain(subject).await).await.unwrap();
    let handle = subject.handle.clone();
    let latest = Instant::now() + Duration::from_secs(4);
    let parts = tokio::spawn(async move { handle.part(latest).await });
    let mut going = [0; 8];
    within(server.read_exact(&mut going)).await.unwrap();
    let [0x88, 0x82, key @ .., first, second] = going else { panic!("no goodbye: {going:x?}") };
    assert_eq!([first ^ key[0], second ^ key[1]], 1000_u16.to_be_bytes());
    parts
}

#[tokio::test]
async fn the_end_of_the_one_connection_of_a_client_is_told_at_the_end_of_a_drain() {
    let (log, _listening) = Log::listen();
    let (mut subject, mut server) = lone_client("").await;
    let parts = part(&subject, &mut server).await;
    server.write_all(b"\x88\x02\x03\xe8").await.unwrap();
    drop(server);
    within(parts).await.unwrap();
    assert_eq!(told_on("control", &mut subject).await.get("kind"), Some(&"opened".into()));
    let closed = told_on("control", &mut subject).await;
    for (name, expected) in [("kind", "closed".into()), ("clean", true.into()), ("by", "local".into())] {
        assert_eq!(closed.get(name), Some(&expected), "{closed}");
    }
    within(subject.handle.stop()).await;
    assert!(!log.text().contains("Connection to"), "{}", log.text());
}

#[tokio::test]
async fn that_a_server_says_no_goodbye_to_a_client_that_ends_is_told_as_an_error() {
    let never = r#", "close_handshake_timeout": 600000"#;
    let (mut subject, mut server) = lone_client(never).await;
    let clock = Clock::stop();
    let parts = part(&subject, &mut server).await;
    clock.advance(3990).await;
    assert!(!parts.is_finished());
    clock.advance(11).await;
    within(parts).await.unwrap();
    let closed = told_on("err", &mut subject).await.get("closed").cloned().unwrap();
    assert_eq!(closed.get("clean"), Some(&false.into()), "{closed}");
    within(subject.handle.stop()).await;
}

#[tokio::test]
async fn nobody_waits_for_a_client_that_has_no_connection() {
    let (subject, server) = lone_client("").await;
    let mut status = subject.handle.watch();
    drop(server);
    within(status.wait_for(|status| !status.connected)).await.unwrap();
    let _clock = Clock::stop();
    within(drain(&subject).await).await.unwrap();
    // No time passes.
    within(subject.handle.part(Instant::now() + Duration::from_secs(60))).await;
}

#[tokio::test]
async fn the_words_of_a_server_that_closes_are_in_the_log() {
    for (goodbye, expected) in [
        (&b"\x88\x0d\x03\xf0bad\n\"token\""[..], r#"closed the connection with 1008 "bad\n\"token\"""#),
        (&b"\x88\x02\x03\xe9"[..], "closed the connection with 1001"),
        (&b"\x88\x00"[..], "closed the connection"),
    ] {
        let (log, _listening) = Log::listen();
        let (subject, mut server) = lone_client("").await;
        let mut status = subject.handle.watch();
        server.write_all(goodbye).await.unwrap();
        let mut answer = Vec::new();
        let _ended = within(server.shutdown()).await;
        let _read = within(server.read_to_end(&mut answer)).await;
        within(status.wait_for(|status| !status.connected)).await.unwrap();
        let found = log.text().lines().any(|line| {
            line.contains(" ended: the peer ") && {
                let told = line.split_once("; ").map_or(line, |(told, _)| told);
                told.ends_with(expected)
            }
        });
        assert!(found, "{expected}: {}", log.text());
    }
}
