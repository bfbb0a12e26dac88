//! `replay`: messages that are kept for clients that come back.

mod acknowledgements;
mod addressed;
mod ends;

use super::{
    control::member,
    peers::{Port, Ws, next_text, of_server, server_definition, text, upgrade},
};
use crate::harness::{Linked, Seen, Subject, json, within};
use async_tungstenite::tungstenite::Message;
use futures_util::StreamExt;
use std::sync::{Arc, Mutex};
use tremor_event::{Event, EventId, Listener, Outcome, Receipt, Settlement};
use tremor_value::{Record, Value};

const BROADCAST: usize = 1;
const PORTS: Linked = Linked::With(&["staff", "other", "control"]);

/// Three who are known by the tokens `a`, `b` and `c`, on a route of which `replay` is kept.
fn guarded(replay: &str) -> String {
    format!(
        r#", "guards": {{"who": {{"type": "bearer", "credentials": {{"query": {{"token": "{{credentials}}"}}}},
            "options": {{"tokens": {{"a": {{"identity": "ada"}}, "b": {{"identity": "bob"}}, "c": {{"identity": "eve"}}}}}}}}}},
            "routes": [{{"exit": "staff", "guarded": {{"who": []}}, "when": {{"path": "/staff"}}, "options": {{"replay": {replay}}}}},
                       {{"exit": "other", "when": {{"path": "/plain"}}}},
                       {{"exit": "other", "options": {{"replay": {replay}}}}}]"#
    )
}

async fn server(more: &str) -> (Subject, Port) {
    let port = Port::reserve();
    let subject = Subject::started_with(&server_definition(&port, more), PORTS).await;
    (subject, port)
}

/// What a client is told when it comes.
struct Greeting {
    after: u64,
    last: u64,
    gap: Option<(u64, u64)>,
    unknown: Option<u64>,
}

async fn come(port: &Port, target: &str) -> (Ws, Greeting) {
    let mut ws = port.client_at(target).await;
    let told = json(&next_text(&mut ws).await);
    let told = told.get("replay").unwrap().clone();
    let id = |value: Option<&Value>| value.and_then(Value::as_u64);
    let gap = told.get("gap").map(|gap| (id(gap.get("from")).unwrap(), id(gap.get("to")).unwrap()));
    let (after, last) = (id(told.get("after")).unwrap(), id(told.get("last")).unwrap());
    (ws, Greeting { after, last, gap, unknown: id(told.get("unknown")) })
}

/// The next message, with its id.
async fn next(ws: &mut Ws) -> (u64, String) {
    let message = next_text(ws).await;
    let (id, message) = message.split_once('\n').unwrap();
    (id.parse().unwrap(), message.to_owned())
}

async fn expect(ws: &mut Ws, messages: &[&str]) -> u64 {
    let mut last = 0;
    for message in messages {
        let (id, found) = next(ws).await;
        assert_eq!(found, *message);
        assert!(id > last, "{id} behind {last}");
        last = id;
    }
    last
}

/// The next event that is none of `control`.
async fn event(subject: &mut Subject) -> Event {
    loop {
        if let Seen::Event("staff" | "other", event) = subject.next().await {
            return event;
        }
    }
}

/// The next event on `control` that tells of this.
async fn told(subject: &mut Subject, kind: &str) -> Event {
    loop {
        match subject.next().await {
            Seen::Event("control", event) if member(&event, "kind") == kind.into() => return event,
            _ => {}
        }
    }
}

/// An answer to `event`.
fn answer(event: &Event, payload: impl Into<Value>) -> Event {
    Event { payload: payload.into().into(), ..event.clone() }
}

/// The same with other metadata, and as if it came from elsewhere.
fn for_those(event: &Event, instructions: &str, payload: impl Into<Value>) -> Event {
    let meta = Record::from_iter([("ws_server", json(instructions))]).into();
    Event { meta, id: EventId::new(77, 0, 0, 0), ..answer(event, payload) }
}

/// What becomes of an event.
#[derive(Default)]
struct Ledger(Mutex<Option<Outcome>>);

impl Listener for Ledger {
    fn settled(&self, settlement: Settlement<'_>) {
        *self.0.lock().unwrap() = Some(settlement.outcome);
    }

    fn hears_each_event(&self) -> bool {
        true
    }
}

/// Whether an event was taken care of.
async fn is_acknowledged(subject: &Subject, port: usize, event: Event) -> bool {
    let ledger = Arc::<Ledger>::default();
    let receipt = Some(Receipt::to(ledger.clone()));
    subject.deliver(port, Event { receipt, ..event }).await;
    let settled = async {
        loop {
            if let Some(outcome) = *ledger.0.lock().unwrap() {
                return matches!(outcome, Outcome::Delivered { .. });
            }
            tokio::task::yield_now().await;
        }
    };
    within(settled).await
}

#[tokio::test]
async fn a_client_that_comes_back_has_missed_nothing() {
    let (mut subject, port) = server(r#", "replay": true"#).await;
    let (mut ws, greeting) = come(&port, "/").await;
    assert_eq!(greeting.after, greeting.last);
    subject.give_to(BROADCAST, 1.into()).await;
    subject.give_to(BROADCAST, 2.into()).await;
    let id = expect(&mut ws, &["1", "2"]).await;
    assert_eq!(id, greeting.last + 2);
    // It is killed without a word.
    drop(ws);
    told(&mut subject, "closed").await;
    subject.give_to(BROADCAST, 3.into()).await;
    let (mut ws, greeting) = come(&port, &format!("/?last_received={id}")).await;
    assert_eq!((greeting.after, greeting.last, greeting.gap), (id, id + 1, None));
    subject.give_to(BROADCAST, 4.into()).await;
    let id = expect(&mut ws, &["3", "4"]).await;
    // Who says nothing gets what is new, and who asks from the beginning gets all.
    let (mut fresh, greeting) = come(&port, "/").await;
    assert_eq!(greeting.after, id);
    let (mut all, _) = come(&port, "/?last_received=0").await;
    subject.give_to(BROADCAST, json(r#"{"a": "5"}"#)).await;
    expect(&mut fresh, &[r#"{"a":"5"}"#]).await;
    expect(&mut all, &["1", "2", "3", "4", r#"{"a":"5"}"#]).await;
    expect(&mut ws, &[r#"{"a":"5"}"#]).await;
}

#[tokio::test]
async fn what_is_gone_is_told_to_the_client_and_to_the_flow() {
    let (mut subject, port) = server(r#", "replay": {"messages": 2}"#).await;
    let (ws, Greeting { last, .. }) = come(&port, "/").await;
    drop(ws);
    told(&mut subject, "closed").await;
    for number in 1..=5 {
        subject.give_to(BROADCAST, number.into()).await;
    }
    let (mut ws, greeting) = come(&port, &format!("/?last_received={last}")).await;
    assert_eq!((greeting.after, greeting.gap), (last + 3, Some((last + 1, last + 3))));
    expect(&mut ws, &["4", "5"]).await;
    let gap = told(&mut subject, "gap").await;
    for (name, expected) in [("last_received", last), ("from", last + 1), ("to", last + 3)] {
        assert_eq!(member(&gap, name), expected.into(), "{name}");
    }
    assert_eq!(of_server(&gap).get("conn"), Some(&member(&gap, "conn")));
}

#[tokio::test]
async fn nonsense_in_the_place_of_an_id_does_no_harm() {
    let (mut subject, port) = server(r#", "replay": {"messages": 3}"#).await;
    for number in 1..=4 {
        subject.give_to(BROADCAST, number.into()).await;
    }
    let too_large = "18446744073709551616";
    for nonsense in ["-1", "x", "1.5", "1&last_received=2", "%00", "0x10", "", "&a=b", too_large] {
        let request = format!("GET /?last_received={nonsense} HTTP/1.1\r\n");
        let request = upgrade("here", "").replacen("GET / HTTP/1.1\r\n", &request, 1);
        let answer = port.ask(&request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{nonsense}: {answer}");
        assert_eq!(answer.contains("no id is greater than"), nonsense == too_large, "{answer}");
        let rejected = told(&mut subject, "rejected").await;
        assert_eq!(member(&rejected, "reason"), "last_received".into());
    }
    for future in [9_007_199_254_740_991, u64::MAX] {
        let (mut ws, greeting) = come(&port, &format!("/?last_received={future}")).await;
        assert_eq!(greeting.unknown, Some(future));
        expect(&mut ws, &["2", "3", "4"]).await;
        assert_eq!(member(&told(&mut subject, "gap").await, "unknown"), true.into());
    }
    // Of a program that ran before.
    let (mut ws, greeting) = come(&port, "/?last_received=17").await;
    assert_eq!(greeting.gap, Some((18, greeting.after)));
    expect(&mut ws, &["2", "3", "4"]).await;
    let request = upgrade("here", "").replacen("GET / ", "GET /?last_received ", 1);
    assert!(port.ask(&request).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn an_id_stands_in_front_of_binary_messages_as_eight_bytes() {
    let (mut subject, port) = server(r#", "replay": true, "frame_type": "binary""#).await;
    let (mut ws, start) = come(&port, "/").await;
    subject.give_to(BROADCAST, 7.into()).await;
    let (mut again, _) = come(&port, "/?last_received=0").await;
    for ws in [&mut ws, &mut again] {
        let Message::Binary(message) = within(ws.next()).await.unwrap().unwrap() else { panic!("no bytes") };
        assert_eq!(*message, [&(start.last + 1).to_be_bytes()[..], b"7"].concat());
    }
}

#[tokio::test]
async fn what_is_kept_takes_no_room_of_what_comes() {
    let queue = r#", "replay": {"messages": 500}, "send_queue": {"policy": "close", "messages": 10}"#;
    let (mut subject, port) = server(queue).await;
    for number in 0..500 {
        subject.give_to(BROADCAST, number.into()).await;
    }
    let (mut ws, _) = come(&port, "/?last_received=0").await;
    for number in 500..505 {
        subject.give_to(BROADCAST, number.into()).await;
    }
    let all: Vec<String> = (0..505).map(|number| number.to_string()).collect();
    expect(&mut ws, &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_client_that_is_killed_again_and_again_gets_everything_once() {
    let (subject, port) = server(r#", "replay": {"messages": 100000}, "send_queue": {"messages": 8}"#).await;
    let into = subject.way_in();
    let (mut ws, start) = come(&port, "/").await;
    let sending = tokio::spawn(async move {
        for number in 0..3000_u64 {
            let event = Event {
                id: EventId::new(77, 0, number, number),
                payload: Value::from(number).into(),
                meta: Value::record().into(),
                ingest_ns: 42,
                origin: None,
                is_batch: false,
                receipt: None,
            };
            into.deliver(BROADCAST, event.into()).await;
        }
    });
    let (mut last, mut expected) = (start.last, 0);
    while expected < 3000 {
        let (id, message) = next(&mut ws).await;
        assert_eq!((id, message), (last + 1, expected.to_string()));
        (last, expected) = (id, expected + 1);
        if expected % 100 == 0 {
            // Both at once, or the old one first.
            if expected % 200 == 0 {
                drop(ws);
                ws = come(&port, &format!("/?last_received={last}")).await.0;
            } else {
                ws = come(&port, &format!("/?last_received={last}")).await.0;
            }
        }
    }
    within(sending).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_had_together_is_refused() {
    let port = Port::reserve();
    let schema = r#""schema": {"out": {"model": "int32"}}"#;
    for (more, told) in [
        (r#", "replay": 7"#, "config.replay: expected record or bool but got integer 7"),
        (r#", "replay": {"message": 7}"#, "config.replay.message"),
        (r#", "replay": {"messages": 0}"#, "config.replay.messages: must be between 1 and 1000000"),
        (
            r#", "replay": {"bytes": 0}"#,
            "config.replay.bytes: has to be 1 at least, or nothing could be kept",
        ),
        (r#", "replay": {"age": "1s"}"#, "config.replay.age"),
        (
            r#", "replay": true, "send_queue": {"policy": "drop_oldest"}"#,
            "config.replay: is there to lose nothing",
        ),
        (
            r#", "routes": [{"exit": "a", "options": {"replay": {}, "send_queue": {"policy": "conflate"}}}]"#,
            "config.routes[0].options.replay: is there to lose nothing",
        ),
        (
            &format!(r#", "replay": true, {schema}"#),
            "config.replay: cannot be had together with `schema.out`",
        ),
    ] {
        let error = Subject::new(&server_definition(&port, more), PORTS).err().unwrap().to_string();
        assert!(error.contains(told), "{more}: {error}");
    }
    let fine = r#", "replay": {"messages": 5, "bytes": 10, "age": 60000}, "routes": [{"exit": "a", "options": {"replay": false,
        "send_queue": {"policy": "drop_oldest"}}}, {"exit": "b", "options": {"replay": {"age": 0}}}]"#;
    assert!(Subject::new(&server_definition(&port, fine), PORTS).is_ok());
}
