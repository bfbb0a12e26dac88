//! What lives by the clock: pings, time limits, rates, caps, heartbeats.

use super::{
    client_opening::start,
    peers::{
        Port, accept, client, echo, head, next_text, round_trip, server, server_definition, text, upgrade,
    },
};
use crate::harness::{Linked, Seen, Subject, within};
use async_tungstenite::tungstenite::Message;
use futures_util::StreamExt;
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tremor_value::Value;

/// A connection that answers nothing by itself.
pub(super) async fn bare(port: &Port) -> TcpStream {
    bare_at("/", port).await
}

/// The same with another path.
pub(super) async fn bare_at(path: &str, port: &Port) -> TcpStream {
    let mut tcp = port.tcp().await;
    let request = upgrade("here", "").replacen("GET /", &format!("GET {path}"), 1);
    tcp.write_all(request.as_bytes()).await.unwrap();
    assert!(head(&mut tcp).await.starts_with("HTTP/1.1 101 "));
    tcp
}

/// The next frame from a server: its first byte and its payload, which is short. `None` at the end of the connection.
pub(super) async fn frame(tcp: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 2];
    within(tcp.read_exact(&mut header)).await.ok()?;
    let mut payload = vec![0; header[1].into()];
    within(tcp.read_exact(&mut payload)).await.ok()?;
    Some((header[0], payload))
}

/// A frame as clients send it, masked with zeros.
pub(super) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | len, 0, 0, 0, 0], payload].concat()
}

/// One text of two digits or more for each number.
fn texts(numbers: std::ops::Range<u32>) -> Vec<u8> {
    numbers.flat_map(|number| masked(0x81, number.to_string().as_bytes())).collect()
}

/// What port `control` says of the end of a connection.
async fn closed(subject: &mut Subject) -> Value {
    loop {
        if let Seen::Event("control", told) = subject.next().await
            && told.payload.value().get("kind").and_then(Value::as_str) == Some("closed")
        {
            return told.payload.value().clone();
        }
    }
}

fn shows(record: &Value, expected: &[(&str, &str)]) {
    for (name, expected) in expected {
        assert_eq!(record.get(name).unwrap().to_string(), *expected, "{name} of {record}");
    }
}

#[tokio::test]
async fn who_answers_pings_stays_and_who_does_not_is_dropped() {
    let pinging = |timeout: u32| {
        format!(
            r#", "auto_ping_interval": 20, "auto_ping_timeout": {timeout}, "auto_ping_size": 30,
            "auto_ping_restart_on_any_traffic": false"#
        )
    };
    let (_patient, port) = server(&pinging(60_000)).await;
    let mut peer = bare(&port).await;
    let mut pings: Vec<Vec<u8>> = Vec::new();
    for number in 1..=5_u8 {
        let (first, payload) = frame(&mut peer).await.unwrap();
        assert_eq!(
            (first, payload.len(), payload[11]),
            (0x89, 30, number),
            "a ping, and no other before its answer"
        );
        assert!(pings.iter().all(|before| before[..8] != payload[..8]), "each has random bytes of its own");
        peer.write_all(&masked(0x8a, &payload)).await.unwrap();
        pings.push(payload);
    }
    let port = Port::reserve();
    let definition = server_definition(&port, &pinging(400));
    let mut subject = Subject::started_with(&definition, Linked::WithControl).await;
    // Before there was a ping.
    let since = Instant::now();
    let mut peer = bare(&port).await;
    frame(&mut peer).await.unwrap();
    // A slow machine may do this too late.
    let _late = peer.write_all(&masked(0x8a, b"another pong")).await;
    let _late = peer.write_all(&masked(0x81, b"1")).await;
    assert_eq!(frame(&mut peer).await, None, "dropped without a word");
    assert!(since.elapsed() >= Duration::from_millis(400));
    let told = closed(&mut subject).await;
    shows(&told, &[("code", "1006"), ("by", r#""timeout""#), ("clean", "false"), ("reason", r#""""#)]);
}

#[tokio::test]
async fn a_pong_that_nobody_reads_is_not_missed() {
    let more =
        r#", "auto_ping_interval": 20, "auto_ping_timeout": 300, "auto_ping_restart_on_any_traffic": false"#;
    let ((paused, port), (_subject, others)) = (server(more).await, server(more).await);
    let mut peer = bare(&port).await;
    paused.handle.pause();
    let (_, ping) = frame(&mut peer).await.unwrap();
    // The first ones may come before the pause is obeyed; of this one the answer is not read.
    peer.write_all(&masked(0x8a, &ping)).await.unwrap();
    for _ in 0..2 {
        // Elsewhere its time would be over.
        let mut silent = bare(&others).await;
        while frame(&mut silent).await.is_some() {}
    }
    paused.handle.resume();
    let (first, next) = frame(&mut peer).await.unwrap();
    assert!(first == 0x89 && next != ping);
}

#[tokio::test]
async fn any_traffic_is_as_good_as_a_pong() {
    let (subject, port) = server(r#", "auto_ping_interval": 20, "auto_ping_timeout": 60000"#).await;
    echo(subject, |_| {});
    let mut peer = bare(&port).await;
    for number in 1..=5_u8 {
        let (first, payload) = frame(&mut peer).await.unwrap();
        assert_eq!((first, payload[11]), (0x89, number));
        peer.write_all(&masked(0x8a, b"")).await.unwrap();
    }
}

/// Nothing has to be sent on a connection whose pings are answered.
#[tokio::test]
async fn a_client_pings_its_server_and_connects_anew_when_that_is_silent() {
    let port = Port::reserve();
    let listener = port.listen();
    let more = r#", "auto_ping_interval": 20, "auto_ping_timeout": 3000, "max_lifetime": 0"#;
    let subject = client(&port, more, r#"{"retry": {"interval_ms": 1, "randomized": false}}"#);
    let starting = start(&subject);
    let mut ws = accept(&listener).await;
    within(starting).await.unwrap().unwrap();
    subject.open();
    for _ in 0..3 {
        let Message::Ping(payload) = within(ws.next()).await.unwrap().unwrap() else { panic!("no ping") };
        assert_eq!(payload.len(), 12);
    }
    // Whoever does not read does not answer.
    let _another = accept(&listener).await;
}

#[tokio::test]
async fn silence_age_and_slow_messages_end_a_connection_with_a_reason() {
    for (more, begun, code, reason) in [
        (r#", "idle_timeout": 100"#, &b""[..], 1001, "idle"),
        (r#", "options": {"max_lifetime": 100}"#, b"", 1001, "the connection has had its time"),
        (r#", "message_timeout": 100"#, b"\x01\x81\0\0\0\0[", 1008, "a message takes too long"),
        (r#", "message_timeout": 100"#, b"\x81\x85\0\0\0\0[", 1008, "a message takes too long"),
        (r#", "message_timeout": 100"#, b"\x81\x85\0\0\0", 1008, "a message takes too long"),
        (r#", "message_timeout": 100"#, b"\x81", 1008, "a message takes too long"),
    ] {
        let port = Port::reserve();
        let mut subject = Subject::started_with(&server_definition(&port, more), Linked::WithControl).await;
        let mut peer = bare(&port).await;
        peer.write_all(begun).await.unwrap();
        let (first, payload) = frame(&mut peer).await.unwrap();
        assert_eq!((first, &payload[2..]), (0x88, reason.as_bytes()), "{more}");
        assert_eq!(u16::from_be_bytes([payload[0], payload[1]]), code);
        let answers = begun.is_empty();
        if answers {
            // What was sent before the peer has heard of that is as good as ever.
            peer.write_all(&[texts(1..2), masked(0x88, &payload[..2])].concat()).await.unwrap();
            let taken = loop {
                if let Seen::Event("out", event) = subject.next().await {
                    break event;
                }
            };
            assert_eq!(taken.payload.value().to_string(), "1", "{more}");
        } else {
            drop(peer);
        }
        let told = closed(&mut subject).await;
        let (code, reason) = (code.to_string(), format!("{reason:?}"));
        shows(
            &told,
            &[("code", &code), ("reason", &reason), ("clean", &answers.to_string()), ("by", r#""local""#)],
        );
    }
}

/// What moves data is not idle, in whichever direction that is.
#[tokio::test]
async fn a_connection_that_is_sent_something_is_not_idle() {
    let (mut subject, port) = server(r#", "idle_timeout": 3000"#).await;
    let mut busy = port.client().await;
    busy.send(text(1)).await.unwrap();
    let event = subject.next_event().await;
    let sending = async {
        loop {
            subject.deliver(0, event.clone()).await;
            next_text(&mut busy).await;
            tokio::task::yield_now().await;
        }
    };
    // Long enough for others, one after the other.
    let quiet = async {
        for _ in 0..2 {
            assert_eq!(frame(&mut bare(&port).await).await.unwrap().0, 0x88);
        }
    };
    tokio::select! {
        () = quiet => {}
        () = sending => {}
    }
    subject.deliver(0, event).await;
    next_text(&mut busy).await;
}

#[tokio::test]
async fn a_flood_of_pings_is_closed_and_others_lose_nothing() {
    for (more, flood) in [("", 101), (r#", "max_control_rate": 10"#, 11)] {
        let (subject, port) = server(more).await;
        echo(subject, |_| {});
        let mut good = port.client().await;
        let mut bad = bare(&port).await;
        round_trip(&mut good, 1).await;
        bad.write_all(&masked(0x89, b"!").repeat(flood)).await.unwrap();
        loop {
            let (first, payload) = frame(&mut bad).await.unwrap();
            if first == 0x88 {
                assert_eq!(&payload[..2], 1008_u16.to_be_bytes());
                break;
            }
        }
        round_trip(&mut good, 2).await;
        // As many as may come.
        let mut fine = bare(&port).await;
        fine.write_all(&masked(0x89, b"!").repeat(flood - 1)).await.unwrap();
        fine.write_all(&masked(0x81, b"7")).await.unwrap();
        while let Some((first, payload)) = frame(&mut fine).await {
            if first == 0x81 {
                assert_eq!(payload, b"7");
                break;
            }
            assert_eq!(first, 0x8a, "{more}");
        }
    }
    let (subject, port) = server(r#", "max_control_rate": 0"#).await;
    echo(subject, |_| {});
    let mut any = bare(&port).await;
    any.write_all(&masked(0x8a, b"").repeat(1000)).await.unwrap();
    any.write_all(&masked(0x81, b"7")).await.unwrap();
    assert_eq!(frame(&mut any).await, Some((0x81, b"7".to_vec())));
}

#[tokio::test]
async fn what_comes_too_fast_comes_later() {
    for (more, least) in [
        (r#", "message_rate": 100"#, Duration::from_millis(450)),
        // Each is 6 + 2 bytes and more.
        (r#", "byte_rate": 800, "on_rate": "pause""#, Duration::from_millis(450)),
    ] {
        let (mut subject, port) = server(more).await;
        let mut peer = bare(&port).await;
        let since = Instant::now();
        peer.write_all(&texts(10..160)).await.unwrap();
        for number in 10..160 {
            assert_eq!(subject.next_value().await, number.to_string());
        }
        assert!(since.elapsed() >= least, "{more}: {:?}", since.elapsed());
    }
}

#[tokio::test]
async fn what_comes_too_fast_is_the_end_where_that_is_wanted() {
    for more in [r#", "message_rate": 20, "on_rate": "close""#, r#", "byte_rate": 180, "on_rate": "close""#] {
        let (mut subject, port) = server(more).await;
        let mut slow = port.client().await;
        let mut fast = bare(&port).await;
        fast.write_all(&texts(10..52)).await.unwrap();
        assert_eq!(frame(&mut fast).await.unwrap().1[..2], 1008_u16.to_be_bytes());
        slow.send(text(99)).await.unwrap();
        loop {
            match subject.next().await {
                Seen::Event("out", event) if event.payload.value().as_u64() == Some(99) => break,
                Seen::Event(..) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A client that has said something, behind which nobody has read for a while.
async fn held_up(subject: &mut Subject, port: &Port) -> TcpStream {
    let mut peer = bare(port).await;
    peer.write_all(&texts(10..11)).await.unwrap();
    assert_eq!(subject.next_value().await, "10");
    subject.shut();
    // There is one thread: behind this the connection has seen that.
    tokio::task::yield_now().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(2500)).await;
    tokio::time::resume();
    peer
}

/// The connection was held up, not its peer.
#[tokio::test]
async fn what_piled_up_while_nobody_read_has_not_come_too_fast() {
    let (mut subject, port) = server(r#", "message_rate": 20, "on_rate": "close""#).await;
    let mut peer = held_up(&mut subject, &port).await;
    peer.write_all(&texts(11..61)).await.unwrap();
    subject.open();
    for number in 11..61 {
        assert_eq!(subject.next_value().await, number.to_string());
    }
    peer.write_all(&texts(10..99)).await.unwrap();
    assert_eq!(frame(&mut peer).await.unwrap().1[..2], 1008_u16.to_be_bytes(), "that is too fast");
}

/// Neither for connections that have other times to look at, nor for those that have none.
#[tokio::test]
async fn pings_that_piled_up_while_nobody_read_have_not_come_too_fast() {
    for more in ["", r#", "idle_timeout": 600000"#] {
        let (mut subject, port) = server(&format!(r#", "max_control_rate": 20{more}"#)).await;
        let mut peer = held_up(&mut subject, &port).await;
        let ping = masked(0x89, b"!");
        peer.write_all(&[ping.repeat(70), texts(11..12)].concat()).await.unwrap();
        subject.open();
        assert_eq!(subject.next_value().await, "11", "{more}");
        peer.write_all(&texts(12..13)).await.unwrap();
        assert_eq!(subject.next_value().await, "12", "it goes on{more}");
        peer.write_all(&ping.repeat(99)).await.unwrap();
        loop {
            match frame(&mut peer).await.unwrap() {
                (0x88, payload) => {
                    break assert_eq!(payload[..2], 1008_u16.to_be_bytes(), "that is too fast");
                }
                (first, _) => assert_eq!(first, 0x8a, "{more}"),
            }
        }
    }
}

async fn status(port: &Port, more: &str) -> String {
    let mut tcp = port.tcp().await;
    tcp.write_all(upgrade("here", more).as_bytes()).await.unwrap();
    head(&mut tcp).await.chars().skip(9).take(3).collect()
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_another_one_its_own() {
    let (subject, port) = server(r#", "max_connections_per_ip": 2"#).await;
    echo(subject, |_| {});
    let (first, mut second) = (port.client().await, port.client().await);
    let answer = port.ask(&upgrade("here", "")).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: "), "{answer}");
    drop(first);
    within(async { while status(&port, "").await != "101" {} }).await;
    round_trip(&mut second, 1).await;
}

#[tokio::test]
async fn behind_a_proxy_clients_are_counted_and_not_the_proxy() {
    let (_subject, port) =
        server(r#", "max_connections_per_ip": 1, "trusted_proxies": ["127.0.0.0/8"]"#).await;
    let mut open = Vec::new();
    for (client, expected) in [
        ("10.0.0.1", "101"),
        ("10.0.0.2", "101"),
        ("10.0.0.1", "503"),
        ("2001:db8::1", "101"),
        ("2001:db8::2", "503"),
        ("2001:db8:0:1::2", "101"),
    ] {
        let mut tcp = port.tcp().await;
        let header = format!("X-Forwarded-For: {client}\r\n");
        tcp.write_all(upgrade("here", &header).as_bytes()).await.unwrap();
        let answer = head(&mut tcp).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{client}: {answer}");
        open.push(tcp);
    }
}

#[tokio::test]
async fn more_connections_than_may_come_in_a_second_are_told_to_come_back() {
    let (subject, port) = server(r#", "accept_rate": 3"#).await;
    echo(subject, |_| {});
    let mut good = port.client().await;
    // However slow this is, of so many some are too many.
    let mut seen = Vec::new();
    while !seen.contains(&"503".to_owned()) {
        seen.push(status(&port, "").await);
        assert!(seen.len() < 1000);
    }
    assert!(seen.starts_with(&["101".to_owned(), "101".to_owned()]), "{seen:?}");
    round_trip(&mut good, 1).await;
    within(async { while status(&port, "").await != "101" {} }).await;
}

#[tokio::test]
async fn who_is_too_many_is_dropped_where_that_is_wanted() {
    let (subject, port) = server(r#", "max_connections_per_ip": 1, "reject": "drop""#).await;
    echo(subject, |_| {});
    let mut good = port.client().await;
    let mut dropped = port.tcp().await;
    let mut nothing = Vec::new();
    let _reset_or_not = within(dropped.read_to_end(&mut nothing)).await;
    assert_eq!(nothing, b"");
    round_trip(&mut good, 1).await;
}

#[tokio::test]
async fn heartbeats_are_sent_and_their_replies_are_nobodys_events() {
    let port = Port::reserve();
    let listener = port.listen();
    let more = r#", "heartbeat": {"interval": 20, "message": {"op": "ping"}, "reply_contains": "pong", "timeout": 3000}"#;
    let mut subject = client(&port, more, r#"{"retry": {"interval_ms": 1, "randomized": false}}"#);
    let starting = start(&subject);
    let mut ws = accept(&listener).await;
    within(starting).await.unwrap().unwrap();
    subject.open();
    for number in 0..3 {
        assert_eq!(next_text(&mut ws).await, r#"{"op":"ping"}"#);
        ws.send(text(r#"{"op": "pong"}"#)).await.unwrap();
        ws.send(text(number)).await.unwrap();
        assert_eq!(subject.next_value().await, number.to_string());
    }
    // Without replies the connection is given up and made again.
    let mut again = accept(&listener).await;
    assert_eq!(next_text(&mut again).await, r#"{"op":"ping"}"#);
}
