//! Answers find their connections.

use super::peers::{
    Port, Ws, close_code, echo, head, next_text, of_server, round_trip, server, text, upgrade,
};
use crate::harness::{Seen, Subject, json, within};
use futures_util::{StreamExt, future::join_all};
use tokio::io::AsyncWriteExt;
use tremor_event::Event;
use tremor_value::{Meta, Record, Value};

fn without_metadata(event: &mut Event) {
    event.meta = Meta::record();
}

fn of_ws_server(instructions: impl Into<Value>) -> Value {
    Record::from_iter([("ws_server", instructions.into())]).into()
}

#[tokio::test]
async fn answers_of_many_clients_do_not_mix_even_without_metadata() {
    for strip in [false, true] {
        let (subject, port) = server("").await;
        echo(subject, move |event| {
            if strip {
                without_metadata(event);
            }
        });
        let clients = (0..16).map(|client| {
            let port = &port;
            async move {
                let mut ws = port.client().await;
                for message in 0..50 {
                    ws.send(text(client * 1000 + message)).await.unwrap();
                }
                for message in 0..50 {
                    assert_eq!(next_text(&mut ws).await, (client * 1000 + message).to_string());
                }
            }
        });
        join_all(clients).await;
    }
}

/// A server with two clients, and the event that each has sent.
async fn two() -> (Subject, [Ws; 2], [Event; 2], Port) {
    let (mut subject, port) = server("").await;
    let (mut one, mut two) = (port.client().await, port.client().await);
    one.send(text(1)).await.unwrap();
    let of_one = subject.next_event().await;
    two.send(text(2)).await.unwrap();
    let of_two = subject.next_event().await;
    (subject, [one, two], [of_one, of_two], port)
}

async fn deliver(subject: &Subject, from: &Event, payload: u64, meta: Value) {
    subject
        .deliver(0, Event { payload: Value::from(payload).into(), meta: meta.into(), ..from.clone() })
        .await;
}

#[tokio::test]
async fn metadata_goes_before_the_origin() {
    let (subject, [mut one, mut two], [of_one, of_two], _port) = two().await;
    let peer = Record::from_iter([("peer", of_server(&of_two).get("peer").unwrap().clone())]);
    deliver(&subject, &of_one, 10, of_ws_server(peer)).await;
    assert_eq!(next_text(&mut two).await, "10");
    let conn = of_server(&of_two).get("conn").unwrap().clone();
    deliver(&subject, &of_one, 11, of_ws_server(Record::from_iter([("conn", conn.clone())]))).await;
    assert_eq!(next_text(&mut two).await, "11");
    let both: Value = vec![conn.clone(), of_server(&of_one).get("conn").unwrap().clone(), conn].into();
    deliver(&subject, &of_one, 12, of_ws_server(Record::from_iter([("to", both)]))).await;
    assert_eq!((next_text(&mut one).await, next_text(&mut two).await), ("12".into(), "12".into()));
    deliver(&subject, &of_one, 13, Value::record()).await;
    deliver(&subject, &of_two, 13, Value::record()).await;
    assert_eq!((next_text(&mut one).await, next_text(&mut two).await), ("13".into(), "13".into()));
    let mut merged = of_one.clone();
    merged.id.track(&of_two.id);
    deliver(&subject, &merged, 14, Value::record()).await;
    assert_eq!((next_text(&mut one).await, next_text(&mut two).await), ("14".into(), "14".into()));
}

#[tokio::test]
async fn a_connection_that_has_gone_falls_through_to_the_origin_but_to_does_not() {
    let (subject, [mut one, _two], [of_one, _], _port) = two().await;
    let gone = json(r#"{"conn": 999999, "peer": {"host": "192.0.2.1", "port": 1}}"#);
    deliver(&subject, &of_one, 1, of_ws_server(gone)).await;
    assert_eq!(next_text(&mut one).await, "1");
    deliver(&subject, &of_one, 2, of_ws_server(json(r#"{"to": 999999}"#))).await;
    assert_eq!(subject.handle.taken().failed, 1);
    let from_elsewhere = Event { id: tremor_event::EventId::new(4711, 0, 0, 0), ..of_one.clone() };
    deliver(&subject, &from_elsewhere, 3, Value::record()).await;
    assert_eq!(subject.handle.taken().failed, 2);
    deliver(&subject, &of_one, 4, Value::record()).await;
    assert_eq!(next_text(&mut one).await, "4");
}

/// A late answer is not for whoever has the address now.
#[tokio::test]
async fn what_names_a_connection_that_has_gone_does_not_go_by_its_peer() {
    let (subject, [mut one, mut two], [of_one, of_two], _port) = two().await;
    let mut meta = Record::from_iter([("peer", of_server(&of_two).get("peer").unwrap().clone())]);
    meta.insert("conn", 999_999_u64);
    let from_elsewhere = Event { id: tremor_event::EventId::new(4711, 0, 0, 0), ..of_one.clone() };
    deliver(&subject, &from_elsewhere, 1, of_ws_server(meta.clone())).await;
    assert_eq!(subject.handle.taken().failed, 1);
    // Where it came from is another way.
    deliver(&subject, &of_one, 2, of_ws_server(meta.clone())).await;
    assert_eq!(next_text(&mut one).await, "2");
    meta.insert("conn", Value::Null);
    deliver(&subject, &from_elsewhere, 3, of_ws_server(meta)).await;
    assert_eq!(next_text(&mut two).await, "3");
}

#[tokio::test]
async fn the_frame_type_follows_metadata_and_text_has_to_be_utf8() {
    let port = Port::reserve();
    let mut definition = super::peers::server_definition(&port, "");
    definition.codec = Some("binary".into());
    let subject = Subject::started(&definition).await;
    echo(subject, |event| {
        if event.payload.value().as_text_bytes().is_some_and(|bytes| bytes.starts_with(b"text")) {
            event.meta = Meta::record();
        }
    });
    let mut ws = port.client().await;
    for bytes in [&b"plain"[..], b"text", b"\xff\xfe"] {
        ws.send(async_tungstenite::tungstenite::Message::binary(bytes.to_vec())).await.unwrap();
        let answer = within(ws.next()).await.unwrap().unwrap();
        assert_eq!(answer.is_text(), bytes == b"text");
        assert_eq!(answer.into_data(), bytes);
    }
    // Not UTF-8, to be sent as text: this one fails, the connection goes on.
    ws.send(async_tungstenite::tungstenite::Message::binary(b"text\xff".to_vec())).await.unwrap();
    round_trip(&mut ws, "text").await;
}

#[tokio::test]
async fn messages_without_metadata_go_out_as_the_connector_says() {
    let words = [&b"word"[..], b"", b"\xff\xfe"];
    for (frame_type, is_text) in [
        ("text", [Some(true), Some(true), None]),
        ("binary", [Some(false); 3]),
        ("auto", [Some(true), Some(true), Some(false)]),
    ] {
        let port = Port::reserve();
        let more = format!(r#", "options": {{"frame_type": "{frame_type}"}}"#);
        let mut definition = super::peers::server_definition(&port, &more);
        definition.codec = Some("binary".into());
        let mut subject = Subject::started(&definition).await;
        let (mut one, mut two) = (port.client().await, port.client().await);
        one.send(async_tungstenite::tungstenite::Message::text("hello")).await.unwrap();
        let event = subject.next_event().await;
        // To everybody, encoded once; and as an answer.
        for broadcast in [1, 0] {
            for (word, is_text) in words.into_iter().zip(is_text) {
                let payload = Value::from(bytes::Bytes::from(word)).into();
                let event = Event { payload, meta: Meta::record(), ..event.clone() };
                subject.deliver(broadcast, event).await;
                let Some(is_text) = is_text else { continue };
                for ws in [&mut one, &mut two].into_iter().take(1 + broadcast) {
                    let got = within(ws.next()).await.unwrap().unwrap();
                    assert_eq!((got.is_text(), &got.into_data()[..]), (is_text, word), "{frame_type}");
                }
            }
        }
        let said = json(r#"{"binary": true, "ws_server": {"binary": false}}"#);
        let event = Event { payload: Value::from("said").into(), meta: said.into(), ..event };
        subject.deliver(0, event).await;
        assert!(within(one.next()).await.unwrap().unwrap().is_text(), "metadata go before");
    }
}

/// Events to `of` until its connection is given up.
async fn flood(subject: &Subject, of: &Event) {
    let filler = "x".repeat(64 * 1024);
    let into = subject.way_in();
    within(async {
        while subject.handle.taken().failed == 0 {
            let event =
                Event { payload: Value::from(filler.as_str()).into(), meta: Meta::record(), ..of.clone() };
            into.deliver(0, event.into()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_closed_and_others_are_served() {
    for queue in [
        r#""send_queue": {"block_timeout": 100}"#,
        r#""send_queue": {"policy": "close", "messages": 64}"#,
        r#""send_queue": {"block_timeout": 0},
            "routes": [{"exit": "out", "options": {"send_queue": {"policy": "close", "messages": 64}}}]"#,
    ] {
        let (mut subject, port) = server(&format!(", {queue}")).await;
        let (mut slow, mut good) = (port.client().await, port.client().await);
        slow.send(text(1)).await.unwrap();
        let of_slow = subject.next_event().await;
        flood(&subject, &of_slow).await;
        let slow_closed = tokio::spawn(async move { close_code(&mut slow).await });
        echo(subject, |_| {});
        round_trip(&mut good, 2).await;
        // It reads again in time to see why.
        assert_eq!(within(slow_closed).await.unwrap(), 1008, "{queue}");
        round_trip(&mut good, 3).await;
    }
}

/// What it goes on sending must neither keep its connection open nor be taken.
#[tokio::test]
async fn a_peer_that_sends_all_the_time_and_reads_nothing_is_closed_too() {
    let (mut subject, port) = server(r#", "send_queue": {"block_timeout": 100}"#).await;
    let into = subject.way_in();
    let closed = tokio::spawn(async move {
        while let Some(seen) = subject.take().await {
            match seen {
                Seen::Event("out", event) => into.deliver(0, event.into()).await,
                Seen::Event("err", told) => return (told, subject),
                _ => {}
            }
        }
        panic!("the connector ended");
    });
    let mut peer = port.tcp().await;
    peer.write_all(upgrade(&port.address(), "").as_bytes()).await.unwrap();
    head(&mut peer).await;
    // A JSON string in a frame of 20 000 bytes, masked with zeros.
    let message = [&[0x81, 0xfe, 0x4e, 0x20, 0, 0, 0, 0][..], b"\"", &[b'7'; 19_998], b"\""].concat();
    within(async { while peer.write_all(&message).await.is_ok() {} }).await;
    let (told, subject) = within(closed).await.unwrap();
    let closed = told.payload.value().get("closed").unwrap();
    assert_eq!(closed.get("code").and_then(Value::as_u64), Some(1008), "{closed:?}");
    assert_eq!(closed.get("reason").and_then(Value::as_str), Some("slow consumer"));
    let taken = within(async {
        loop {
            match subject.handle.taken() {
                taken if taken.waiting == 0 => return taken,
                _ => tokio::task::yield_now().await,
            }
        }
    });
    let taken = taken.await;
    let read = closed.get("in").and_then(|of_peer| of_peer.get("messages")).and_then(Value::as_u64);
    assert_eq!((Some(taken.received), taken.received), (read, taken.written + taken.failed));
}

#[tokio::test]
async fn bad_json_is_one_event_on_err_and_the_connection_goes_on() {
    let (mut subject, port) = server("").await;
    let mut ws = port.client().await;
    for message in ["1", "{", "2"] {
        ws.send(text(message)).await.unwrap();
    }
    assert_eq!(subject.next_value().await, "1");
    let mut values = Vec::new();
    for _ in 0..2 {
        match subject.next().await {
            Seen::Event(port, event) => values.push((port, event)),
            other => panic!("{other:?}"),
        }
    }
    values.sort_by_key(|(port, _)| *port);
    let [("err", error), ("out", event)] = values.as_slice() else { panic!("{values:?}") };
    assert_eq!(event.payload.value().as_u64(), Some(2));
    let record = error.payload.value();
    assert_eq!(record.get("source").and_then(Value::as_str), Some("flow::subject"));
    assert!(record.get("error").is_some() && error.meta.get("error").is_some());
}
