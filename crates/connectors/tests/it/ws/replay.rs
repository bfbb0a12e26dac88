//! `replay`: messages that are kept for clients that come back.

use super::{
    control::member,
    peers::{Port, Ws, close_code, head, next_text, of_server, server_definition, text, upgrade},
    warnings::Told,
};
use crate::harness::{Linked, Seen, Subject, json, within};
use async_tungstenite::tungstenite::Message;
use futures_util::StreamExt;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt;
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
    for nonsense in ["-1", "x", "1.5", "1&last_received=2", "%00", "0x10", "", "&a=b"] {
        let request = format!("GET /?last_received={nonsense} HTTP/1.1\r\n");
        let request = upgrade("here", "").replacen("GET / HTTP/1.1\r\n", &request, 1);
        let answer = port.ask(&request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{nonsense}: {answer}");
        let rejected = told(&mut subject, "rejected").await;
        assert_eq!(member(&rejected, "reason"), "last_received".into());
    }
    for future in ["9007199254740991", "18446744073709551615", "99999999999999999999999999999999"] {
        let (mut ws, greeting) = come(&port, &format!("/?last_received={future}")).await;
        assert_eq!(greeting.unknown, Some(future.parse().unwrap_or(u64::MAX)));
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
async fn what_is_for_one_identity_is_kept_for_it_and_for_nobody_else() {
    let (mut subject, port) = server(&guarded("true")).await;
    let (mut ada, _) = come(&port, "/staff?token=a").await;
    let (mut bob, start) = come(&port, "/staff?token=b").await;
    ada.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    drop(ada);
    told(&mut subject, "closed").await;
    // The answer finds nobody, but she may come back.
    assert!(is_acknowledged(&subject, 0, answer(&asked, "answer")).await);
    let to_ada = |payload| for_those(&asked, r#"{"where": {"identity": "ada"}}"#, payload);
    assert!(is_acknowledged(&subject, 0, to_ada("mail")).await);
    assert!(is_acknowledged(&subject, BROADCAST, to_ada("more")).await);
    subject.give_to(BROADCAST, "all".into()).await;
    let all = expect(&mut bob, &[r#""all""#]).await;
    assert_eq!(all, start.last + 4, "ids are of the route");
    drop(bob);
    told(&mut subject, "closed").await;
    let since = format!("last_received={}", start.last);
    let (mut bob, _) = come(&port, &format!("/staff?token=b&{since}")).await;
    expect(&mut bob, &[r#""all""#]).await;
    let (mut eve, _) = come(&port, &format!("/staff?token=c&{since}")).await;
    expect(&mut eve, &[r#""all""#]).await;
    let (mut ada, _) = come(&port, &format!("/staff?token=a&{since}")).await;
    expect(&mut ada, &[r#""answer""#, r#""mail""#, r#""more""#, r#""all""#]).await;
    // Nobody else was sent more than that.
    subject.give_to(BROADCAST, "end".into()).await;
    for ws in [&mut bob, &mut eve, &mut ada] {
        expect(ws, &[r#""end""#]).await;
    }
    // Nobody was ever like that.
    let nobody = for_those(&asked, r#"{"where": {"identity": "zoe"}}"#, "lost");
    assert!(!is_acknowledged(&subject, 0, nobody).await);
    let nowhere = for_those(&asked, r#"{"to": 999999}"#, "lost");
    assert!(!is_acknowledged(&subject, 0, nowhere).await);
}

#[tokio::test]
async fn who_acknowledges_goes_on_behind_that_without_saying_where() {
    let (mut subject, port) = server(&guarded("true")).await;
    let (mut ada, _) = come(&port, "/staff?token=a").await;
    let (_bob, _) = come(&port, "/staff?token=b").await;
    ada.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    for payload in ["one", "two", "three"] {
        subject.deliver(0, answer(&asked, payload)).await;
    }
    let third = expect(&mut ada, &[r#""one""#, r#""two""#, r#""three""#]).await;
    for ack in [
        format!(r#"{{"ack": {}}}"#, third - 1),
        format!(r#"{{"ack":{}}}"#, u64::MAX),
        r#"{"ack":0}"#.to_owned(),
        format!(r#"{{"ack":{}}}"#, third - 2),
    ] {
        ada.send(text(ack)).await.unwrap();
    }
    for _ in 0..5000 {
        ada.send(text(format!(r#"{{"ack":{}}}"#, third - 1))).await.unwrap();
    }
    // The flow sees nothing of it, and what only looks like that it does see.
    for like_one in
        [r#"{"ack":"x"}"#, r#"{"ack":-1}"#, r#"{"ack":1.5}"#, r#"{"ack":null}"#, r#"{"ack":1,"a":2}"#]
    {
        ada.send(text(like_one)).await.unwrap();
        assert_eq!(event(&mut subject).await.payload.value().to_string(), like_one);
    }
    ada.send(text(r#"{"ack":1e99}"#)).await.unwrap();
    assert_eq!(event(&mut subject).await.payload.value().get("ack"), Some(&Value::from(1e99)));
    drop(ada);
    told(&mut subject, "closed").await;
    let (mut ada, greeting) = come(&port, "/staff?token=a").await;
    assert_eq!((greeting.after, greeting.gap), (third - 1, None));
    expect(&mut ada, &[r#""three""#]).await;
    let (_ws, greeting) = come(&port, "/staff?token=b").await;
    assert_eq!(greeting.after, greeting.last, "that was somebody else");
    // What was acknowledged is not there any more, and what was not is.
    let (mut again, _) = come(&port, "/staff?token=a&last_received=0").await;
    expect(&mut again, &[r#""three""#]).await;
}

#[tokio::test]
async fn an_acknowledgement_makes_room_of_what_was_sent_by_identity() {
    let (mut subject, port) = server(&guarded(r#"{"messages": 4}"#)).await;
    let (mut ada, _) = come(&port, "/staff?token=a").await;
    let (bob, start) = come(&port, "/staff?token=b").await;
    ada.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    let to = |name: &str, number: u64| {
        for_those(&asked, &format!(r#"{{"where": {{"identity": "{name}"}}}}"#), number)
    };
    let numbers = ["1", "2", "3", "4"];
    for number in 1..=4 {
        subject.deliver(0, to("ada", number)).await;
    }
    let last = expect(&mut ada, &numbers).await;
    ada.send(text(format!(r#"{{"ack":{last}}}"#))).await.unwrap();
    ada.send(text(2)).await.unwrap();
    event(&mut subject).await;
    drop(bob);
    told(&mut subject, "closed").await;
    for number in 1..=4 {
        subject.deliver(0, to("bob", number)).await;
    }
    let (mut bob, greeting) = come(&port, &format!("/staff?token=b&last_received={}", start.last)).await;
    assert_eq!(greeting.gap, None);
    expect(&mut bob, &numbers).await;
}

#[tokio::test]
async fn what_is_for_one_that_has_gone_is_not_for_one_in_its_place_that_is_excepted() {
    let (mut subject, port) = server(&guarded("true")).await;
    let (mut ada, start) = come(&port, "/staff?token=a").await;
    ada.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    drop(ada);
    told(&mut subject, "closed").await;
    let (mut again, _) = come(&port, &format!("/staff?token=a&last_received={}", start.last)).await;
    again.send(text(2)).await.unwrap();
    let new = event(&mut subject).await;
    let conn = |event: &Event| of_server(event).get("conn").unwrap().clone();
    let (old, new) = (conn(&asked), conn(&new));
    let to_old = |more: &str, payload: u64| for_those(&asked, &format!(r#"{{"to": {old}{more}}}"#), payload);
    subject.deliver(0, to_old(&format!(r#", "except": {new}"#), 3)).await;
    subject.deliver(0, to_old("", 4)).await;
    expect(&mut again, &["4"]).await;
}

#[tokio::test]
async fn a_replay_that_a_drain_cuts_off_is_told_in_the_log() {
    let (log, _listening) = Told::listen();
    let hurry = r#", "replay": {"bytes": 100000000}, "drain_timeout": 50"#;
    let (mut subject, port) = server(hurry).await;
    for _ in 0..4 {
        subject.give_to(BROADCAST, "x".repeat(8 << 20).into()).await;
    }
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = within(socket.connect(port.address().parse().unwrap())).await.unwrap();
    let request = upgrade("here", "").replace("GET / ", "GET /?last_received=0 ");
    slow.write_all(request.as_bytes()).await.unwrap();
    head(&mut slow).await;
    let opened = told(&mut subject, "opened").await;
    let conn = opened.payload.value().get("conn").unwrap();
    subject.front_is_done().await;
    within(subject.handle.let_go(tokio::time::Instant::now() + std::time::Duration::from_secs(60))).await;
    let log = log.text();
    let line = log.lines().find(|line| line.contains("the drain cut off 1 connection")).expect(&log);
    let messages = line.split(": ").nth(1).unwrap().split(' ').next().unwrap();
    assert!((1..=4).contains(&messages.parse::<u64>().unwrap()), "{line}");
    let who = format!("connection {conn} with {}", slow.local_addr().unwrap());
    assert!(line.ends_with(&who), "{line}");
}

#[tokio::test]
async fn what_is_kept_for_those_who_are_away_is_told_when_it_is_lost() {
    let (log, _listening) = Told::listen();
    let (mut subject, port) = server(&guarded("true")).await;
    let (mut ada, _) = come(&port, "/staff?token=a").await;
    ada.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    subject.deliver(0, answer(&asked, "had")).await;
    next(&mut ada).await;
    drop(ada);
    told(&mut subject, "closed").await;
    let (mut still_there, _) = come(&port, "/staff?token=b").await;
    for number in 0..5 {
        assert!(is_acknowledged(&subject, 0, answer(&asked, number)).await);
    }
    subject.give_to(BROADCAST, "all".into()).await;
    expect(&mut still_there, &[r#""all""#]).await;
    within(subject.handle.stop()).await;
    let log = log.text();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(" kept for ")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("] 6 messages that were kept for 1 client of route "), "{log}");
    assert!(lines[0].ends_with("who is away, went with the connector"), "{log}");
}

#[tokio::test]
async fn a_browser_is_known_by_its_cookie() {
    let (mut subject, port) = server(r#", "cookie": {}, "replay": {}"#).await;
    let connect = async |more: String| {
        use async_tungstenite::tungstenite::client::IntoClientRequest;
        let mut request = format!("ws://{}/?{more}", port.address()).into_client_request().unwrap();
        if let Some(id) = more.strip_prefix("id=") {
            request.headers_mut().insert("cookie", format!("wsid={id}").parse().unwrap());
        }
        let tcp = port.tcp().await;
        let (mut ws, answer) = within(async_tungstenite::tokio::client_async(request, tcp)).await.unwrap();
        let set = answer.headers().get("set-cookie").map(|set| set.to_str().unwrap().to_owned());
        next_text(&mut ws).await;
        (ws, set)
    };
    let (mut ws, set) = connect(String::new()).await;
    let id = set.unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
    ws.send(text(1)).await.unwrap();
    let asked = subject_event(&mut subject).await;
    subject.deliver(0, answer(&asked, "one")).await;
    let one = expect(&mut ws, &[r#""one""#]).await;
    ws.send(text(format!(r#"{{"ack":{one}}}"#))).await.unwrap();
    ws.send(text(2)).await.unwrap();
    subject_event(&mut subject).await;
    drop(ws);
    told(&mut subject, "closed").await;
    assert!(is_acknowledged(&subject, 0, answer(&asked, "two")).await);
    let (mut other, _) = connect(String::new()).await;
    let (mut ws, set) = connect(format!("id={id}")).await;
    assert_eq!(set, None);
    expect(&mut ws, &[r#""two""#]).await;
    subject.give_to(BROADCAST, 3.into()).await;
    expect(&mut other, &["3"]).await;
}

async fn subject_event(subject: &mut Subject) -> Event {
    loop {
        if let Seen::Event("out", event) = subject.next().await {
            return event;
        }
    }
}

#[tokio::test]
async fn who_comes_back_is_sent_the_answers_to_what_it_asked_before() {
    let (mut subject, port) = server(&guarded("true")).await;
    let (mut window, _) = come(&port, "/staff?token=a").await;
    let (mut ada, start) = come(&port, "/staff?token=a").await;
    ada.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    // It comes back before anybody has noticed that the old connection is dead.
    let (mut back, _) = come(&port, &format!("/staff?token=a&last_received={}", start.last)).await;
    subject.deliver(0, answer(&asked, "early")).await;
    assert_eq!(next(&mut ada).await.1, r#""early""#);
    drop(ada);
    told(&mut subject, "closed").await;
    expect(&mut back, &[r#""early""#]).await;
    // And this one finds it by itself.
    assert!(is_acknowledged(&subject, 0, answer(&asked, "late")).await);
    expect(&mut back, &[r#""late""#]).await;
    subject.give_to(BROADCAST, "end".into()).await;
    expect(&mut window, &[r#""end""#]).await;
}

#[tokio::test]
async fn routes_are_kept_apart_and_others_know_nothing_of_it() {
    let (mut subject, port) = server(&guarded("true")).await;
    let (mut staff, of_staff) = come(&port, "/staff?token=a").await;
    let (mut open, of_open) = come(&port, "/?last_received=0").await;
    let mut plain = port.client_at("/plain?last_received=-1").await;
    told(&mut subject, "opened").await;
    told(&mut subject, "opened").await;
    told(&mut subject, "opened").await;
    subject.give_to(BROADCAST, "all".into()).await;
    assert_eq!(next(&mut staff).await, (of_staff.last + 1, r#""all""#.to_owned()));
    assert_eq!(next(&mut open).await, (of_open.last + 1, r#""all""#.to_owned()));
    assert_eq!(next_text(&mut plain).await, r#""all""#);
    // An acknowledgement there is a message like any other.
    plain.send(text(r#"{"ack":1}"#)).await.unwrap();
    assert_eq!(event(&mut subject).await.payload.value().to_string(), r#"{"ack":1}"#);
    open.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    subject.deliver(BROADCAST, for_those(&asked, r#"{"where": {"route": 0}}"#, "staff")).await;
    subject.deliver(BROADCAST, for_those(&asked, r#"{"where": {"path": "/"}}"#, "open")).await;
    assert_eq!(next(&mut staff).await, (of_staff.last + 2, r#""staff""#.to_owned()));
    assert_eq!(next(&mut open).await, (of_open.last + 2, r#""open""#.to_owned()));
    // To whom nobody knows, what was for it alone is not sent again, though it has an id.
    subject.deliver(0, answer(&asked, "own")).await;
    assert_eq!(next(&mut open).await, (of_open.last + 3, r#""own""#.to_owned()));
    let (mut again, _) = come(&port, &format!("/?last_received={}", of_open.last)).await;
    subject.give_to(BROADCAST, "end".into()).await;
    expect(&mut again, &[r#""all""#, r#""open""#, r#""end""#]).await;
    // Who left itself out is not sent it when it comes back.
    let (mut staff, _) = {
        staff.send(text(1)).await.unwrap();
        let own = event(&mut subject).await;
        let except =
            Event { meta: json(r#"{"ws_server": {"except": "self"}}"#).into(), ..answer(&own, "others") };
        subject.deliver(BROADCAST, except).await;
        subject.give_to(BROADCAST, "more".into()).await;
        drop(staff);
        told(&mut subject, "closed").await;
        come(&port, &format!("/staff?token=a&last_received={}", of_staff.last + 2)).await
    };
    expect(&mut staff, &[r#""end""#, r#""more""#]).await;
}

#[tokio::test]
async fn answers_to_others_push_nothing_out_and_are_missed_by_nobody() {
    let (mut subject, port) = server(&guarded(r#"{"messages": 4}"#)).await;
    let (ada, start) = come(&port, "/staff?token=a").await;
    for number in 1..=3 {
        subject.give_to(BROADCAST, number.into()).await;
    }
    drop(ada);
    told(&mut subject, "closed").await;
    let (mut bob, _) = come(&port, "/staff?token=b").await;
    bob.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    for number in 0..20 {
        subject.deliver(0, answer(&asked, number)).await;
        subject.deliver(BROADCAST, for_those(&asked, r#"{"where": {"identity": "eve"}}"#, "mail")).await;
    }
    let target = |token| format!("/staff?token={token}&last_received={}", start.last);
    let (mut ada, greeting) = come(&port, &target("a")).await;
    assert_eq!((greeting.after, greeting.gap), (start.last, None));
    expect(&mut ada, &["1", "2", "3"]).await;
    // Those who have missed something are told.
    let (mut again, greeting) = come(&port, &target("b")).await;
    assert!(greeting.gap.is_some_and(|(from, _)| from == start.last + 1));
    expect(&mut again, &["1", "2", "3", "18", "19"]).await;
    let (mut eve, greeting) = come(&port, &target("c")).await;
    assert!(greeting.gap.is_some());
    expect(&mut eve, &["1", "2", "3", r#""mail""#, r#""mail""#]).await;
}

#[tokio::test]
async fn what_was_for_somebody_nobody_knows_is_not_kept() {
    let (mut subject, port) = server(r#", "replay": {"messages": 2}"#).await;
    let (mut ws, start) = come(&port, "/").await;
    subject.give_to(BROADCAST, 1.into()).await;
    subject.give_to(BROADCAST, 2.into()).await;
    ws.send(text(1)).await.unwrap();
    let asked = subject_event(&mut subject).await;
    for _ in 0..10 {
        subject.deliver(0, answer(&asked, "own")).await;
    }
    let (mut again, greeting) = come(&port, &format!("/?last_received={}", start.last)).await;
    assert_eq!((greeting.gap, greeting.last), (None, start.last + 12));
    subject.give_to(BROADCAST, "end".into()).await;
    expect(&mut again, &["1", "2", r#""end""#]).await;
}

#[tokio::test]
async fn a_route_keeps_nothing_that_none_of_its_connections_can_be_meant_by() {
    let routes = r#", "replay": {"messages": 3}, "subprotocols": ["v1"], "routes": [
        {"exit": "staff", "when": [{"path": "/a"}, {"path": "/rooms/{room}"}]},
        {"exit": "other", "when": {"path": "/b"}},
        {"exit": "other"}]"#;
    let (mut subject, port) = server(routes).await;
    let (mut a, _) = come(&port, "/a").await;
    a.send(text(1)).await.unwrap();
    let asked = event(&mut subject).await;
    let targets = ["/a", "/b", "/x"];
    let mut before = Vec::new();
    for target in targets {
        before.push(come(&port, target).await.1.last);
    }
    subject.give_to(BROADCAST, "all".into()).await;
    for wanted in [
        r#"{"path": "/a"}"#,
        r#"{"path": ["/a", "/rooms/7"]}"#,
        r#"{"params": {"room": "7"}}"#,
        r#"{"path": "/a", "protocol": null}"#,
        r#"{"route": 0}"#,
    ] {
        subject.deliver(BROADCAST, for_those(&asked, &format!(r#"{{"where": {wanted}}}"#), "some")).await;
    }
    // Nowhere: nobody speaks that, and nobody is known.
    for wanted in [r#"{"protocol": "v2"}"#, r#"{"identity": "ada"}"#, r#"{"path": 7}"#] {
        subject.deliver(BROADCAST, for_those(&asked, &format!(r#"{{"where": {wanted}}}"#), "none")).await;
    }
    for ((target, before), sent) in targets.into_iter().zip(before).zip([6, 1, 1]) {
        let (mut ws, greeting) = come(&port, &format!("{target}?last_received={before}")).await;
        assert_eq!(greeting.last, before + sent, "{target}");
        assert_eq!(greeting.gap.is_some(), target == "/a", "{target}");
        if target != "/a" {
            expect(&mut ws, &[r#""all""#]).await;
        }
    }
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
async fn a_server_that_begins_anew_says_so() {
    let port = Port::reserve();
    let definition = server_definition(&port, r#", "replay": true"#);
    let mut subject = Subject::started_with(&definition, PORTS).await;
    let (mut ws, _) = come(&port, "/").await;
    subject.give_to(BROADCAST, 1.into()).await;
    let last = expect(&mut ws, &["1"]).await;
    subject.give_to(2, json(r#"{"kind": "drain"}"#)).await;
    assert_eq!(close_code(&mut ws).await, 1001);
    drop(ws);
    within(subject.handle.stop()).await;
    drop(subject);
    let mut subject = Subject::started_with(&definition, PORTS).await;
    let (mut ws, greeting) = come(&port, &format!("/?last_received={last}")).await;
    assert_eq!(greeting.gap, Some((last + 1, greeting.after)));
    subject.give_to(BROADCAST, 2.into()).await;
    assert!(expect(&mut ws, &["2"]).await > last);
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
