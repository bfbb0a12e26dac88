//! What events ask of connections: whom they are for, and what else is to be done.

use super::control::{conn, member, server};
use super::peers::{Port, Ws, accept, client_definition, close_code, next_text, of_server, text};
use crate::harness::{Linked, Seen, Subject, json, within};
use async_tungstenite::tungstenite::{Message, protocol::CloseFrame};
use futures_util::StreamExt;
use std::sync::{Arc, Mutex};
use tremor_codec::testing::Log;
use tremor_event::{Event, Listener, Outcome, Receipt, Settlement};
use tremor_value::{Record, Value};

const IN: usize = 0;
const BROADCAST: usize = 1;
const CONTROL: usize = 2;

/// What became of events.
#[derive(Default)]
struct Ledger(Mutex<Vec<Outcome>>);

impl Listener for Ledger {
    fn settled(&self, settlement: Settlement<'_>) {
        self.0.lock().unwrap().push(settlement.outcome);
    }

    fn hears_each_event(&self) -> bool {
        true
    }
}

/// A server, its clients with their ids, and what each of them has sent.
pub(super) struct Hall {
    pub(super) subject: Subject,
    port: Port,
    pub(super) clients: Vec<(u64, Ws)>,
    sent: Vec<Event>,
    ledger: Arc<Ledger>,
}

impl Hall {
    pub(super) async fn new(more: &str, paths: &[&str]) -> Self {
        let (mut subject, port) = server(more).await;
        let (mut clients, mut sent) = (Vec::new(), Vec::new());
        for path in paths {
            let mut ws = port.client_at(path).await;
            let opened = subject.next_told().await;
            ws.send(text(1)).await.unwrap();
            sent.push(subject.next_event().await);
            clients.push((conn(&opened), ws));
        }
        Self { subject, port, clients, sent, ledger: Arc::default() }
    }

    /// Gives an event that came from client `from` with what it has to say to the connector, and a receipt.
    async fn give(&self, port: usize, from: usize, payload: Value, instructions: &str) {
        let meta = Record::from_iter([("ws_server", json(instructions))]).into();
        let receipt = Some(Receipt::to(self.ledger.clone()));
        let event = Event { payload: payload.into(), meta, receipt, ..self.sent[from].clone() };
        within(self.subject.deliver(port, event)).await;
    }

    async fn command(&self, command: &str) {
        self.give(CONTROL, 0, json(command), "{}").await;
    }

    fn conn(&self, client: usize) -> u64 {
        self.clients[client].0
    }

    /// What became of the events, once that is known of all of them.
    async fn outcomes(&self, events: usize) -> String {
        within(async {
            while self.ledger.0.lock().unwrap().len() < events {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let outcomes = std::mem::take(&mut *self.ledger.0.lock().unwrap());
        let letters = outcomes.iter().map(|outcome| match outcome {
            Outcome::Delivered { .. } => 'd',
            Outcome::Failed => 'f',
            _ => '?',
        });
        letters.collect()
    }

    /// What each client is sent before the end that `Hall::give`s everybody.
    pub(super) async fn heard(&mut self) -> Vec<Vec<String>> {
        self.give(BROADCAST, 0, "end".into(), "{}").await;
        assert_eq!(self.outcomes(1).await, "d");
        let mut heard = Vec::new();
        for (_, ws) in &mut self.clients {
            let mut texts = Vec::new();
            loop {
                match next_text(ws).await {
                    end if end == r#""end""# => break,
                    text => texts.push(text),
                }
            }
            heard.push(texts);
        }
        heard
    }
}

#[tokio::test]
async fn events_go_to_whom_they_are_for_and_to_each_once() {
    let mut hall = Hall::new("", &["/a", "/b", "/b"]).await;
    let (first, second, third) = (hall.conn(0), hall.conn(1), hall.conn(2));
    let gone = 999_999;
    for (port, instructions, expected, outcome) in [
        (BROADCAST, "{}".to_owned(), [1, 1, 1], "d"),
        (BROADCAST, r#"{"except": "self"}"#.to_owned(), [0, 1, 1], "d"),
        (BROADCAST, format!(r#"{{"except": [{second}, "self"]}}"#), [0, 0, 1], "d"),
        (BROADCAST, format!(r#"{{"except": {gone}}}"#), [1, 1, 1], "d"),
        (BROADCAST, r#"{"where": {"path": "/b"}}"#.to_owned(), [0, 1, 1], "d"),
        (BROADCAST, format!(r#"{{"where": {{"path": "/b"}}, "except": {third}}}"#), [0, 1, 0], "d"),
        (BROADCAST, r#"{"where": {"path": "/c"}}"#.to_owned(), [0, 0, 0], "d"),
        (BROADCAST, format!(r#"{{"to": {second}}}"#), [0, 1, 0], "d"),
        (BROADCAST, r#"{"where": {"user": 1}}"#.to_owned(), [0, 0, 0], "f"),
        (IN, "{}".to_owned(), [1, 0, 0], "d"),
        (IN, r#"{"except": "self"}"#.to_owned(), [0, 0, 0], "f"),
        (IN, format!(r#"{{"to": [{first}, {third}, {first}, {gone}]}}"#), [1, 0, 1], "d"),
        (IN, format!(r#"{{"to": [{first}, {third}], "except": "self"}}"#), [0, 0, 1], "d"),
        (IN, format!(r#"{{"to": [{first}, {third}], "where": {{"path": "/a"}}}}"#), [1, 0, 0], "d"),
        (IN, format!(r#"{{"to": {gone}}}"#), [0, 0, 0], "f"),
        (IN, r#"{"where": {"path": "/b"}}"#.to_owned(), [0, 1, 1], "d"),
        (IN, r#"{"where": {"path": "/c"}}"#.to_owned(), [0, 0, 0], "f"),
        (IN, format!(r#"{{"conn": {gone}, "except": 7}}"#), [1, 0, 0], "d"),
    ] {
        hall.give(port, 0, 7.into(), &instructions).await;
        assert_eq!(hall.outcomes(1).await, outcome, "{port}: {instructions}");
        let heard = hall.heard().await.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(heard, expected, "{port}: {instructions}");
    }
    let taken = hall.subject.handle.taken();
    assert_eq!(
        (taken.waiting, taken.dropped, taken.received),
        (0, 0, taken.written + taken.failed),
        "{taken:?}"
    );
}

#[tokio::test]
async fn a_broadcast_that_nobody_is_there_for_is_handled_and_one_that_cannot_be_encoded_is_not() {
    let mut hall = Hall::new("", &["/"]).await;
    let (_, mut ws) = hall.clients.pop().unwrap();
    ws.close(None).await.unwrap();
    close_code(&mut ws).await;
    drop(ws);
    hall.subject.next_told().await;
    hall.give(BROADCAST, 0, 1.into(), "{}").await;
    assert_eq!(hall.outcomes(1).await, "d");
    hall.give(IN, 0, 1.into(), "{}").await;
    assert_eq!(hall.outcomes(1).await, "f");
}

#[tokio::test]
async fn batches_for_everybody_keep_their_order_whatever_their_metadata() {
    let mut hall = Hall::new("", &["/", "/", "/"]).await;
    let into = hall.subject.way_in();
    let events = (0..300_u64).map(|number| {
        let except = hall.conn(2);
        let meta =
            if number % 7 == 0 { format!(r#"{{"ws_server": {{"except": {except}}}}}"#) } else { "{}".into() };
        let meta = if number % 2 == 0 { json(&meta).into() } else { hall.sent[1].meta.clone() };
        Event { payload: Value::from(number).into(), meta, ..hall.sent[0].clone() }
    });
    let events = events.collect();
    within(into.deliver(BROADCAST, tremor_event::EventBatch { events, bytes: 0 })).await;
    let all: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    let most: Vec<String> =
        (0..300).filter(|number| number % 14 != 0).map(|number| number.to_string()).collect();
    assert_eq!(hall.heard().await, [all.clone(), all, most]);
}

#[tokio::test]
async fn an_event_closes_its_connection_behind_its_payload() {
    let mut hall = Hall::new("", &["/", "/"]).await;
    hall.give(IN, 0, 1.into(), r#"{"close": {"code": 4001, "reason": "bye"}}"#).await;
    hall.give(IN, 0, 2.into(), "{}").await;
    let outcomes = hall.outcomes(2).await;
    assert!(["df", "fd"].contains(&outcomes.as_str()), "nothing goes out behind it: {outcomes}");
    let (conn, mut ws) = hall.clients.remove(0);
    assert_eq!(next_text(&mut ws).await, "1");
    let Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) = within(ws.next()).await else {
        panic!("no close");
    };
    assert_eq!((u16::from(code), reason.as_str()), (4001, "bye"));
    assert!(within(ws.next()).await.is_none());
    let closed = hall.subject.next_told().await;
    let told = ["kind", "conn", "code", "reason", "clean", "by"].map(|name| member(&closed, name));
    assert_eq!(told, ["closed".into(), conn.into(), 4001.into(), "bye".into(), true.into(), "local".into()]);

    // Null is no payload here.
    hall.give(IN, 1, Value::Null, r#"{"close": {"code": 3000}}"#).await;
    assert_eq!(hall.outcomes(1).await, "d");
    let (_, mut ws) = hall.clients.remove(0);
    let Some(Ok(Message::Close(Some(frame)))) = within(ws.next()).await else { panic!("no close") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (3000, ""));
}

#[tokio::test]
async fn codes_that_may_not_be_sent_and_other_nonsense_fail_and_do_nothing_else() {
    let mut hall = Hall::new("", &["/"]).await;
    for instructions in [
        r#"{"close": {"code": 1005}}"#,
        r#"{"close": "now"}"#,
        r#"{"ping": 1}"#,
        r#"{"compress": 1}"#,
        r#"{"except": "others"}"#,
        r#"{"to": "1"}"#,
        r#"{"to": [1, {"conn": 1}]}"#,
        r#"{"binary": "yes"}"#,
        r#"{"where": 1}"#,
        r#"{"wher": {"path": "/nobody"}}"#,
        r#"{"conn": "x"}"#,
        r#"{"close": {"code": 4000, "reson": "x"}}"#,
    ] {
        hall.give(IN, 0, 7.into(), instructions).await;
        assert_eq!(hall.outcomes(1).await, "f", "{instructions}");
    }
    for command in [
        "7",
        "{}",
        r#"{"kind": "clsoe", "conn": 1}"#,
        r#"{"kind": "close"}"#,
        r#"{"kind": "close", "conn": 999999}"#,
        r#"{"kind": "close", "conn": [{"id": 1}]}"#,
        r#"{"kind": "close", "where": {"user": 1}}"#,
        r#"{"kind": "close", "where": {}, "conn": 1}"#,
        r#"{"kind": "close", "where": {}, "code": 1006}"#,
        r#"{"kind": "ping", "where": {}, "data": 7}"#,
        r#"{"kind": "tag", "where": {}}"#,
        // There is no TLS here.
        r#"{"kind": "reload_tls"}"#,
        r#"{"kind": "tag", "where": {}, "tags": []}"#,
        r#"{"kind": "close", "where": {}, "cod": 4000}"#,
        r#"{"kind": "ping", "where": {}, "dat": "x"}"#,
        r#"{"kind": "tag", "where": {}, "tags": {}, "tag": {}}"#,
        r#"{"kind": "drain", "spread": 5}"#,
        r#"{"kind": "reload_tls", "file": "x"}"#,
    ] {
        hall.command(command).await;
        assert_eq!(hall.outcomes(1).await, "f", "{command}");
    }
    assert_eq!(hall.heard().await, [Vec::<String>::new()], "the connection goes on");
}

#[tokio::test]
async fn what_is_wrong_with_an_event_for_everybody_is_told_once() {
    let mut hall = Hall::new("", &["/a", "/b", "/c"]).await;
    let (log, listening) = Log::listen();
    hall.give(BROADCAST, 0, 7.into(), r#"{"binary": "yes"}"#).await;
    assert_eq!(hall.outcomes(1).await, "f");
    drop(listening);
    let told = "1 event failed: `$ws_server.binary` has to be a bool but is string";
    assert_eq!(log.text().matches(told).count(), 1, "{}", log.text());
    hall.give(BROADCAST, 0, 8.into(), r#"{"binary": null}"#).await;
    assert_eq!(hall.outcomes(1).await, "d");
    assert_eq!(hall.heard().await, [["8"], ["8"], ["8"]]);
}

#[tokio::test]
async fn a_command_that_a_setting_is_for_says_which() {
    let hall = Hall::new("", &["/a"]).await;
    for (command, expected) in [
        (
            r#"{"kind": "forget_cookie", "cookie": "x"}"#,
            "the command `forget_cookie` needs `cookie` in the configuration",
        ),
        (
            r#"{"kind": "authorize", "conn": 1, "accept": true}"#,
            "the command `authorize` needs `authorize`, or a guard of type `flow`, in the configuration",
        ),
        (r#"{"kind": "reload_tls"}"#, "there is no `tls` to read again"),
    ] {
        let (log, listening) = Log::listen();
        hall.command(command).await;
        assert_eq!(hall.outcomes(1).await, "f", "{command}");
        drop(listening);
        assert!(log.text().contains(expected), "{}", log.text());
    }
}

/// A command may be made of what was told on that port, and metadata are those of a message that came.
#[tokio::test]
async fn what_came_from_the_connector_may_stay_where_it_is() {
    let (mut hall, port) = (Hall::new("", &["/a", "/b"]).await, BROADCAST);
    let of_message = of_server(&hall.sent[0]).to_string();
    let with = |more: &str| format!("{}, {more}}}", of_message.strip_suffix('}').unwrap());
    hall.give(port, 0, 7.into(), &with(r#""except": "self""#)).await;
    hall.give(IN, 0, 8.into(), &with(r#""mine": 7"#)).await;
    assert_eq!(hall.outcomes(2).await, "dd");
    assert_eq!(hall.heard().await, [["8"], ["7"]]);
    let pressure =
        format!(r#"{{"kind": "close", "conn": {}, "messages": 5, "bytes": 7, "code": 4000}}"#, hall.conn(1));
    hall.command(&pressure).await;
    assert_eq!(hall.outcomes(1).await, "d");
    assert_eq!(close_code(&mut hall.clients[1].1).await, 4000);
}

#[tokio::test]
async fn commands_close_those_that_are_meant() {
    let mut hall = Hall::new("", &["/a", "/b", "/b"]).await;
    hall.command(r#"{"kind": "close", "where": {"path": "/b"}, "code": 4003, "reason": "room is closed"}"#)
        .await;
    hall.command(r#"{"kind": "close", "where": {"path": "/nobody"}, "code": 4003}"#).await;
    assert_eq!(hall.outcomes(2).await, "dd");
    for (_, mut ws) in hall.clients.drain(1..) {
        assert_eq!(close_code(&mut ws).await, 4003);
    }
    assert_eq!(hall.heard().await, [Vec::<String>::new()]);
    let first = hall.conn(0);
    hall.command(&format!(r#"{{"kind": "close", "conn": [{first}, 999999]}}"#)).await;
    assert_eq!(hall.outcomes(1).await, "d");
    assert_eq!(close_code(&mut hall.clients[0].1).await, 1000);
}

#[tokio::test]
async fn a_pong_is_told_of_if_the_flow_has_asked_for_it() {
    let mut hall = Hall::new("", &["/"]).await;
    let conn = hall.conn(0);
    hall.give(IN, 0, 5.into(), r#"{"ping": "are you there"}"#).await;
    hall.command(&format!(r#"{{"kind": "ping", "conn": {conn}, "data": "and now"}}"#)).await;
    hall.give(IN, 0, Value::Null, r#"{"ping": true}"#).await;
    let ws = &mut hall.clients[0].1;
    // Not asked for.
    ws.send(Message::Pong(b"unasked".to_vec().into())).await.unwrap();
    let mut said = Vec::new();
    while said.len() < 4 {
        match within(ws.next()).await.unwrap().unwrap() {
            Message::Ping(payload) => said.push(String::from_utf8(payload.to_vec()).unwrap()),
            Message::Text(text) => said.push(text.to_string()),
            other => panic!("{other:?}"),
        }
    }
    // Which sends the pong that waits: the last one stands for all.
    ws.send(text(6)).await.unwrap();
    assert_eq!(said, ["5", "are you there", "and now", ""], "in the order in which they were asked for");
    assert_eq!(hall.outcomes(3).await, "ddd");
    let (mut data, mut messages) = (Vec::new(), 0);
    while data.len() < 3 || messages < 1 {
        match hall.subject.next().await {
            Seen::Event("control", pong) => {
                assert_eq!((member(&pong, "kind"), member(&pong, "conn")), ("pong".into(), conn.into()));
                data.push(member(&pong, "data").to_string());
            }
            Seen::Event("out", _) => messages += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(data, [r#""are you there""#, r#""and now""#, r#""""#]);
    assert!(hall.subject.is_silent());
    hall.command(&format!(r#"{{"kind": "close", "conn": {conn}}}"#)).await;
    assert_eq!(hall.outcomes(1).await, "d");
    assert_eq!(close_code(&mut hall.clients[0].1).await, 1000);
    let out = hall.subject.next_told().await.payload.value().get("out").unwrap().clone();
    assert_eq!(out, json(r#"{"messages": 1, "bytes": 1}"#), "pings are no messages");
}

#[tokio::test]
async fn tags_stay_with_their_connection_and_can_be_asked_for() {
    let mut hall = Hall::new("", &["/", "/"]).await;
    let (first, second) = (hall.conn(0), hall.conn(1));
    hall.command(&format!(r#"{{"kind": "tag", "conn": {first}, "tags": {{"room": "red", "level": 1}}}}"#))
        .await;
    hall.command(&format!(
        r#"{{"kind": "tag", "conn": [{first}, {second}], "tags": {{"level": null, "mood": "ok"}}}}"#
    ))
    .await;
    assert_eq!(hall.outcomes(2).await, "dd");
    let before = hall.sent[0].meta.clone();
    for (client, tags) in [r#"{"room":"red","mood":"ok"}"#, r#"{"mood":"ok"}"#].into_iter().enumerate() {
        for message in [text(2), Message::binary("3".as_bytes().to_vec())] {
            let binary = message.is_binary();
            hall.clients[client].1.send(message).await.unwrap();
            let event = hall.subject.next_event().await;
            let of_connection = event.meta.get("ws_server").unwrap();
            assert_eq!(of_connection.get("tags").unwrap().to_string(), tags);
            assert_eq!(of_connection.get("binary").is_some(), binary);
            assert_eq!(of_connection.get("path"), before.get("ws_server").unwrap().get("path"));
        }
    }
    hall.give(BROADCAST, 0, 1.into(), r#"{"where": {"tags": {"room": "red"}}}"#).await;
    hall.give(BROADCAST, 0, 2.into(), r#"{"where": {"tags": {"mood": ["bad", "ok"]}}}"#).await;
    assert_eq!(hall.outcomes(2).await, "dd");
    assert_eq!(hall.heard().await, [vec!["1", "2"], vec!["2"]]);
    // What comes back with the metadata of its connection finds it, tags or not.
    hall.clients[0].1.send(text(4)).await.unwrap();
    let event = hall.subject.next_event().await;
    hall.subject.deliver(IN, event).await;
    assert_eq!(next_text(&mut hall.clients[0].1).await, "4");
}

#[tokio::test]
async fn a_drain_by_command_lets_all_go_and_turns_new_ones_away() {
    let mut hall = Hall::new(r#", "drain_spread": 50"#, &["/", "/", "/"]).await;
    hall.command(r#"{"kind": "drain"}"#).await;
    hall.command(r#"{"kind": "drain"}"#).await;
    assert_eq!(hall.outcomes(2).await, "dd");
    for (_, ws) in &mut hall.clients {
        assert_eq!(close_code(ws).await, 1001);
    }
    let answer = hall.port.ask(&super::peers::upgrade("here", "")).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let mut kinds = Vec::new();
    while kinds.len() < 4 {
        if let Seen::Event("control", event) = hall.subject.next().await {
            kinds.push(member(&event, "kind").to_string());
        }
    }
    kinds.sort();
    assert_eq!(kinds, [r#""closed""#, r#""closed""#, r#""closed""#, r#""rejected""#]);
}

#[tokio::test]
async fn a_flow_that_drains_lets_its_peers_go_and_tells_of_it() {
    let mut hall = Hall::new("", &["/", "/"]).await;
    hall.subject.front_is_done().await;
    let handle = hall.subject.handle.clone();
    within(handle.drain()).await;
    let latest = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let drain = tokio::spawn(async move { handle.let_go(latest).await });
    for (_, ws) in &mut hall.clients {
        assert_eq!(close_code(ws).await, 1001);
    }
    let answer = hall.port.ask(&super::peers::upgrade("here", "")).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    hall.clients.clear();
    within(drain).await.unwrap();
    let (mut closed, mut marks, mut unclean) = (0, 0, 0);
    while let Some(seen) = hall.subject.poll() {
        match seen {
            Seen::Event("control", event) if member(&event, "kind") == "rejected".into() => {}
            Seen::Event("control", event) => {
                assert_eq!((member(&event, "kind"), member(&event, "code")), ("closed".into(), 1001.into()));
                closed += 1;
                unclean += usize::from(member(&event, "clean") == false.into());
            }
            // Clients that have answered, but nobody knows of that.
            Seen::Event("err", event) if !member(&event, "closed").is_null() => unclean -= 1,
            Seen::Drained(_) => marks += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((closed, marks, unclean), (2, 3, 0));
    within(hall.subject.handle.stop()).await;
}

/// Gives numbered events of 64 KiB to client 0, which does not read, until so many were left out; gives how many those were.
pub(super) async fn flood(
    hall: &Hall,
    port: usize,
    instructions: impl Fn(u64) -> String,
    left_out: u64,
) -> u64 {
    let filler = "x".repeat(64 * 1024);
    let mut next = 0;
    let lost = || {
        let taken = hall.subject.handle.taken();
        taken.dropped + taken.failed
    };
    while lost() < left_out {
        hall.give(port, 0, format!("{next} {filler}").into(), &instructions(next)).await;
        next += 1;
        // The connection's task has its turn.
        tokio::task::yield_now().await;
    }
    next
}

/// The numbers of the messages that client 0 is sent, up to the one that is none, which comes when all are written.
async fn numbers(hall: &mut Hall) -> Vec<u64> {
    let (handle, into, from) = (hall.subject.handle.clone(), hall.subject.way_in(), hall.sent[0].clone());
    let end = async {
        while handle.taken().waiting > 0 {
            tokio::task::yield_now().await;
        }
        let event = Event { payload: Value::from("end").into(), meta: Value::record().into(), ..from };
        into.deliver(IN, event.into()).await;
    };
    let ws = &mut hall.clients[0].1;
    let read = async {
        let mut numbers = Vec::new();
        loop {
            let text = next_text(ws).await;
            match text.trim_matches('"').split_once(' ') {
                Some((number, _)) => numbers.push(number.parse().unwrap()),
                None => return numbers,
            }
        }
    };
    within(async { tokio::join!(read, end) }).await.0
}

#[tokio::test]
async fn a_full_queue_leaves_out_what_its_policy_says_and_tells_who_waits_for_it() {
    for (policy, port) in [
        ("drop_newest", IN),
        ("drop_oldest", IN),
        ("conflate", IN),
        ("drop_oldest", BROADCAST),
        ("conflate", BROADCAST),
    ] {
        let queue = format!(r#", "send_queue": {{"policy": "{policy}", "messages": 8, "bytes": 16777216}}"#);
        let mut hall = Hall::new(&queue, &["/"]).await;
        let count = flood(&hall, port, |number| format!(r#"{{"key": "{}"}}"#, number % 3), 20).await;
        let numbers = numbers(&mut hall).await;
        assert!(numbers.is_sorted_by(|one, other| one < other), "{policy}: {numbers:?}");
        let taken = hall.subject.handle.taken();
        assert_eq!(numbers.len() as u64 + taken.dropped, count, "{policy}");
        assert!(taken.dropped >= 20 && taken.failed == 0, "{policy}: {taken:?}");
        match policy {
            "drop_newest" => assert!(!numbers.contains(&(count - 1)), "{numbers:?}"),
            _ => assert!(numbers.ends_with(&[count - 3, count - 2, count - 1]), "{policy}: {numbers:?}"),
        }
        let outcomes = hall.outcomes(usize::try_from(count).unwrap()).await;
        let failed = outcomes.matches('f').count() as u64;
        assert_eq!(failed, if port == BROADCAST { 0 } else { taken.dropped }, "{policy}");
    }
}

#[tokio::test]
async fn pressure_is_told_of_once_while_it_lasts() {
    let queue = r#", "send_queue": {"messages": 10, "bytes": 16777216, "policy": "drop_newest"}"#;
    let mut hall = Hall::new(queue, &["/"]).await;
    for _ in 0..2 {
        let dropped = hall.subject.handle.taken().dropped + 5;
        flood(&hall, IN, |_| "{}".to_owned(), dropped).await;
        let pressure = hall.subject.next_told().await;
        let told = ["kind", "conn"].map(|name| member(&pressure, name));
        assert_eq!(told, ["pressure".into(), hall.conn(0).into()]);
        assert!(member(&pressure, "messages").as_u64().is_some_and(|messages| messages > 8));
        let mut dropped = dropped;
        within(async {
            loop {
                while !hall.subject.is_silent() {}
                let written = hall.subject.handle.taken().written;
                dropped += 5;
                flood(&hall, IN, |_| "{}".to_owned(), dropped).await;
                // As long as the system takes some, it may have been over and have begun again.
                if hall.subject.is_silent() && hall.subject.handle.taken().written == written {
                    break;
                }
            }
        })
        .await;
        numbers(&mut hall).await;
    }
}

#[tokio::test]
async fn what_finds_no_room_may_end_its_connection_all_the_same_and_pings_are_told_to_have_none() {
    let queue = r#", "send_queue": {"messages": 8, "bytes": 16777216, "policy": "drop_newest"}"#;
    let mut hall = Hall::new(queue, &["/"]).await;
    let count = flood(&hall, IN, |_| "{}".to_owned(), 5).await;
    hall.outcomes(5).await;
    let settled = hall.ledger.0.lock().unwrap().len();
    hall.command(r#"{"kind": "ping", "where": {}}"#).await;
    assert!(hall.ledger.0.lock().unwrap()[settled..].contains(&Outcome::Failed), "there is no room for it");
    hall.give(IN, 0, 1.into(), r#"{"close": {"code": 4005}}"#).await;
    let ws = &mut hall.clients[0].1;
    assert_eq!(close_code(ws).await, 4005, "behind {count} messages and more");
}

#[tokio::test]
async fn commands_of_a_client_need_not_name_its_only_connection() {
    let port = Port::reserve();
    let listener = port.listen();
    let mut subject = Subject::new(&client_definition(&port, "", r#""none""#), Linked::Fully).unwrap();
    let start = subject.handle.clone();
    let started = tokio::spawn(async move { start.start().await });
    let mut ws = accept(&listener).await;
    within(started).await.unwrap().unwrap();
    for (command, failed) in [
        (r#"{"kind": "drain"}"#, 1),
        (r#"{"kind": "close", "conn": "1"}"#, 2),
        (r#"{"kind": "close", "code": 4006}"#, 2),
    ] {
        subject.give_to(1, json(command)).await;
        assert_eq!(subject.handle.taken().failed, failed, "{command}");
    }
    assert_eq!(close_code(&mut ws).await, 4006);
}
