//! A `ws_client` with a connection for each origin of events, behind a `ws_server`: a proxy.

mod unopened;

use super::{
    client_opening::{line, welcome_on},
    peers::{
        Port, Ws, accept, client_definition, close_code, head, next_text, server_definition, text, upgrade,
    },
};
use crate::harness::{Clock, environment, json, within};
use async_trait::async_trait;
use async_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use futures_util::{FutureExt, StreamExt};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::Instant,
};
use tremor_connector::{
    Definition, DefinitionError, Deliver, Dials, DrainBoard, Environment, Handed, Handle, Instance,
    OpenRoute, Route,
};
use tremor_event::{EventBatch, Signal};
use tremor_value::{Record, Value};

/// `ws_server` and `ws_client`, each with what the other one gives.
pub(super) struct Proxy {
    pub(super) front: Handle,
    pub(super) back: Handle,
    /// What they tell, `front` or `back` with each; a member `meta` is added.
    told: UnboundedReceiver<(&'static str, Value)>,
    port: Port,
}

/// Leads into another connector.
struct Way {
    into: Arc<dyn Deliver>,
    port: usize,
    /// What a pipeline in between puts under `$ws_client.open`.
    open: Value,
}

impl OpenRoute for Way {
    fn open(&self) -> Box<dyn Route> {
        Box::new(Self { into: self.into.clone(), port: self.port, open: self.open.clone() })
    }
}

#[async_trait]
impl Route for Way {
    fn send(&mut self, mut batch: EventBatch) -> Handed<'_> {
        if !self.open.is_null() {
            for event in &mut batch.events {
                let mut meta = event.meta.base().clone();
                let open = Record::from_iter([("open", self.open.clone())]);
                meta.as_record_mut().unwrap().insert("ws_client", open);
                event.meta = meta.into();
            }
        }
        self.into.deliver(self.port, batch)
    }

    async fn signal(&mut self, signal: Signal) {
        self.into.signal(signal).await;
    }
}

/// Shows what is told; what opens a connection goes on, if `open_at_once`.
struct Teller {
    name: &'static str,
    told: UnboundedSender<(&'static str, Value)>,
    open_at_once: Option<Arc<dyn Deliver>>,
}

impl OpenRoute for Teller {
    fn open(&self) -> Box<dyn Route> {
        let Self { name, told, open_at_once } = self;
        Box::new(Self { name, told: told.clone(), open_at_once: open_at_once.clone() })
    }
}

#[async_trait]
impl Route for Teller {
    fn send(&mut self, mut batch: EventBatch) -> Handed<'_> {
        for event in &batch.events {
            // The test may have seen enough.
            let mut told = event.payload.value().clone();
            crate::documented::assert_told(&told);
            told.as_record_mut().unwrap().insert("meta", event.meta.base().clone());
            self.told.send((self.name, told)).ok();
        }
        let Some(up) = &self.open_at_once else { return Handed::done() };
        batch.events.retain(|event| event.payload.value().get("kind") == Some(&Value::from("opened")));
        up.deliver(1, batch)
    }

    async fn signal(&mut self, _: Signal) {}
}

fn made(
    definition: &Definition,
    environment: &Environment,
    registry: &tremor_connector::Registry,
) -> Result<Instance, DefinitionError> {
    let codecs = tremor_codec::Registry::standard();
    Instance::create(definition, environment, registry, &codecs, &Arc::new(DrainBoard::default()))
}

fn named(alias: &str) -> Environment {
    Environment { alias: format!("flow::{alias}"), ..environment(Dials::default()).0 }
}

impl Proxy {
    pub(super) async fn started(server: &Port, more: &str) -> Self {
        Self::with(server, more, "", false).await
    }

    /// `of_back` and `of_front` are more of their configurations.
    async fn with(server: &Port, of_back: &str, of_front: &str, open_at_once: bool) -> Self {
        Self::saying(server, of_back, of_front, open_at_once, &Value::Null).await
    }

    /// Each event of a client says `open`.
    async fn saying(server: &Port, of_back: &str, of_front: &str, open_at_once: bool, open: &Value) -> Self {
        let port = Port::reserve();
        let registry = tremor_connectors::registry(false);
        let environment = named("front");
        let mut definition =
            Definition { codec: Some("binary".into()), ..server_definition(&port, of_front) };
        let mut front = made(&definition, &environment, &registry).unwrap();
        definition = client_definition(server, &format!(r#", "per_origin": true{of_back}"#), "null");
        definition.codec = Some("binary".into());
        let mut back =
            made(&definition, &Environment { alias: "flow::back".into(), ..environment }, &registry).unwrap();
        let (up, down) = (back.link_input().unwrap(), front.link_input().unwrap());
        front.link_output("out", Arc::new(Way { into: up.clone(), port: 0, open: open.clone() }));
        back.link_output("out", Arc::new(Way { into: down, port: 0, open: Value::Null }));
        for (source, sink) in [(&front, &back), (&back, &front)] {
            sink.sink().unwrap().add_upstream(source.source().unwrap().1);
        }
        let (tell, told) = unbounded_channel();
        for (name, instance) in [("front", &mut front), ("back", &mut back)] {
            let open_at_once = (name == "front" && open_at_once).then(|| up.clone());
            let teller = Teller { name, told: tell.clone(), open_at_once };
            instance.link_output("control", Arc::new(teller));
        }
        let (front, back) = (front.spawn(), back.spawn());
        within(back.start()).await.unwrap();
        within(front.start()).await.unwrap();
        Self { front, back, told, port }
    }

    /// What `of` tells next of this kind.
    pub(super) async fn told(&mut self, of: &str, kind: &str) -> Value {
        loop {
            let (name, told) = within(self.told.recv()).await.unwrap();
            if name == of && told.get("kind") == Some(&Value::from(kind)) {
                return told;
            }
        }
    }
}

/// A new client with its connection to the server.
pub(super) async fn pair(proxy: &Proxy, listener: &TcpListener) -> (Ws, Ws) {
    let mut client = proxy.port.client().await;
    within(client.send(text("first"))).await.unwrap();
    let mut server = accept(listener).await;
    assert_eq!(next_text(&mut server).await, "first");
    (client, server)
}

fn close(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason: reason.into() }))
}

/// Code and reason of the Close that comes next.
pub(super) async fn goodbye(ws: &mut Ws) -> (u16, String) {
    loop {
        match within(ws.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
            Some(Ok(Message::Close(None))) => return (1005, String::new()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return (1006, String::new()),
        }
    }
}

#[tokio::test]
async fn each_client_has_a_connection_of_its_own_and_gets_its_own_answers() {
    let server = Port::reserve();
    let listener = server.listen();
    let proxy = Proxy::started(&server, "").await;
    let mut pairs = Vec::new();
    for _ in 0..5 {
        pairs.push(pair(&proxy, &listener).await);
    }
    for (number, (client, server)) in pairs.iter_mut().enumerate() {
        let question = format!("question {number}");
        within(client.send(text(&question))).await.unwrap();
        assert_eq!(next_text(server).await, question);
        let bytes = Message::binary(vec![0xff, u8::try_from(number).unwrap()]);
        within(client.send(bytes.clone())).await.unwrap();
        assert_eq!(within(server.next()).await.unwrap().unwrap(), bytes, "frames keep their type");
    }
    for (number, (_, server)) in pairs.iter_mut().enumerate().rev() {
        let bytes = Message::binary(vec![0xfe, u8::try_from(number).unwrap()]);
        within(server.send(bytes)).await.unwrap();
        within(server.send(text(format!("answer {number}")))).await.unwrap();
    }
    for (number, (client, _)) in pairs.iter_mut().enumerate() {
        let bytes = Message::binary(vec![0xfe, u8::try_from(number).unwrap()]);
        assert_eq!(within(client.next()).await.unwrap().unwrap(), bytes);
        assert_eq!(next_text(client).await, format!("answer {number}"));
    }
}

#[tokio::test]
async fn goodbyes_are_passed_on_both_ways() {
    let server = Port::reserve();
    let listener = server.listen();
    let mut proxy = Proxy::started(&server, "").await;
    for (code, reason) in [(1000, ""), (1001, "moving"), (1008, "who are you"), (4001, "bye \u{20ac}")] {
        let (mut client, mut upstream) = pair(&proxy, &listener).await;
        within(upstream.send(text("last"))).await.unwrap();
        within(upstream.send(close(code, reason))).await.unwrap();
        let ended = tokio::spawn(async move { while let Some(Ok(_)) = upstream.next().await {} });
        assert_eq!(next_text(&mut client).await, "last", "in front of the goodbye");
        assert_eq!(goodbye(&mut client).await, (code, reason.to_owned()));
        within(ended).await.unwrap();
        drop(client);
        let told = proxy.told("front", "closed").await;
        assert_eq!(
            (told.get("code"), told.get("by")),
            (Some(&u64::from(code).into()), Some(&"local".into()))
        );
        let (mut client, mut upstream) = pair(&proxy, &listener).await;
        within(client.send(text("last"))).await.unwrap();
        within(client.send(close(code, reason))).await.unwrap();
        // Our answer.
        goodbye(&mut client).await;
        drop(client);
        assert_eq!(next_text(&mut upstream).await, "last", "in front of the goodbye");
        assert_eq!(goodbye(&mut upstream).await, (code, reason.to_owned()));
        // Its answer lets the connection end.
        drop(upstream);
        let told = proxy.told("back", "closed").await;
        assert_eq!(told.get("code"), Some(&u64::from(code).into()), "{told}");
    }
}

/// Nobody who has said goodbye is waited for: their sockets may take their time to go.
#[tokio::test]
async fn a_goodbye_is_passed_on_before_the_socket_is_gone() {
    let server = Port::reserve();
    let listener = server.listen();
    let never = r#", "close_handshake_timeout": 600000"#;
    let of_back = r#", "close_handshake_timeout": 600000, "server_connection_drop_timeout": 600000"#;
    let mut proxy = Proxy::with(&server, of_back, never, false).await;
    let mut client = plain_client(&proxy).await;
    let mut upstream = accept(&listener).await;
    assert_eq!(next_text(&mut upstream).await, "first");
    within(client.write_all(b"\x88\x82\0\0\0\0\x0f\xa1")).await.unwrap();
    assert_eq!(goodbye(&mut upstream).await, (4001, String::new()));
    assert_eq!(proxy.told("front", "closed").await.get("code"), Some(&4001_u64.into()));
    drop((client, upstream));
    assert_eq!(proxy.told("back", "closed").await.get("code"), Some(&4001_u64.into()));

    let (mut client, mut upstream) = pair(&proxy, &listener).await;
    within(upstream.send(close(4002, "so"))).await.unwrap();
    assert_eq!(goodbye(&mut client).await, (4002, "so".to_owned()));
    assert_eq!(proxy.told("back", "closed").await.get("code"), Some(&4002_u64.into()));
    drop(upstream);
}

#[tokio::test]
async fn who_is_gone_without_a_word_is_told_of_in_other_words() {
    let server = Port::reserve();
    let listener = server.listen();
    let proxy = Proxy::started(&server, "").await;
    let client = plain_client(&proxy).await;
    drop(accept(&listener).await);
    assert_eq!(rest(client).await, BAD_GATEWAY);
    let (client, mut upstream) = pair(&proxy, &listener).await;
    drop(client);
    assert_eq!(goodbye(&mut upstream).await, (1001, String::new()));
    let (mut client, mut upstream) = pair(&proxy, &listener).await;
    within(upstream.send(Message::Close(None))).await.unwrap();
    assert_eq!(close_code(&mut client).await, 1000, "a goodbye without a code is a usual one");
}

#[tokio::test]
async fn connections_are_bounded_and_free_again_when_they_have_ended() {
    let server = Port::reserve();
    let listener = server.listen();
    let mut proxy = Proxy::started(&server, r#", "max_connections": 2"#).await;
    let first = pair(&proxy, &listener).await;
    let _second = pair(&proxy, &listener).await;
    let mut third = proxy.port.client().await;
    within(third.send(text("too many"))).await.unwrap();
    assert_eq!(goodbye(&mut third).await, (1013, "try again later".to_owned()));
    drop(first);
    proxy.told("back", "closed").await;
    pair(&proxy, &listener).await;
}

#[tokio::test]
async fn what_comes_while_the_connection_is_opened_waits_in_order_and_within_bounds() {
    let server = Port::reserve();
    let listener = server.listen();
    let proxy = Proxy::started(&server, r#", "send_queue": {"messages": 4}"#).await;
    let mut client = proxy.port.client().await;
    let mut tcp = within(async {
        for number in 0..100 {
            client.send(text(number)).await.unwrap();
        }
        listener.accept().await.unwrap().0
    })
    .await;
    // Four wait; the fifth waits in front of the connector, and its connection is not read.
    within(async {
        while proxy.back.taken().received < 5 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Another one is not in its way, but has to wait for its turn to shake hands.
    let mut other = proxy.port.client().await;
    within(other.send(text("other"))).await.unwrap();
    within(other.send(close(1000, "done"))).await.unwrap();
    welcome_on(&mut tcp, "").await;
    let mut upstream = raw(tcp).await;
    for number in 0..100 {
        assert_eq!(next_text(&mut upstream).await, number.to_string());
    }
    // It went before it had a connection: what it said is said all the same.
    let mut of_other = accept(&listener).await;
    assert_eq!(next_text(&mut of_other).await, "other");
    assert_eq!(goodbye(&mut of_other).await, (1000, "done".to_owned()));
}

/// A client of which every byte is seen: some libraries do not know 1014.
pub(super) async fn plain_client(proxy: &Proxy) -> TcpStream {
    let mut tcp = proxy.port.tcp().await;
    within(tcp.write_all(upgrade(&proxy.port.address(), "").as_bytes())).await.unwrap();
    head(&mut tcp).await;
    within(tcp.write_all(b"\x81\x85\0\0\0\0first")).await.unwrap();
    tcp
}

/// What it gets, up to the end.
async fn rest(mut tcp: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    within(tcp.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

/// 1014, bad gateway.
pub(super) const BAD_GATEWAY: &[u8] = b"\x88\x0d\x03\xf6bad gateway";

/// A server whose handshake is over.
async fn raw(tcp: TcpStream) -> Ws {
    use async_tungstenite::{WebSocketStream, tokio::TokioAdapter, tungstenite::protocol::Role};
    WebSocketStream::from_raw_socket(TokioAdapter::new(tcp), Role::Server, None).await
}

#[tokio::test]
async fn a_client_that_says_nothing_has_a_connection_where_its_opening_is_passed_on() {
    let server = Port::reserve();
    let listener = server.listen();
    let proxy = Proxy::with(&server, "", "", true).await;
    let mut client = proxy.port.client().await;
    let mut upstream = accept(&listener).await;
    within(upstream.send(text("welcome"))).await.unwrap();
    assert_eq!(next_text(&mut client).await, "welcome");
    within(client.send(text("thanks"))).await.unwrap();
    assert_eq!(next_text(&mut upstream).await, "thanks", "over the same connection");
}

/// An event of a stream that is no connection.
fn event_of(stream: u64, meta: Value) -> tremor_event::Event {
    tremor_event::Event {
        id: tremor_event::EventId::new(1_000_003, stream, 0, 0),
        payload: json("1").into(),
        meta: meta.into(),
        ingest_ns: 42,
        origin: None,
        is_batch: false,
        receipt: None,
    }
}

#[tokio::test]
async fn the_first_event_says_how_its_connection_is_opened() {
    let server = Port::reserve();
    let listener = server.listen();
    let registry = tremor_connectors::registry(false);
    let more = r#", "per_origin": true, "headers": {"X-From": "config", "X-Also": "1"}"#;
    let definition = client_definition(&server, more, "null");
    let mut back = made(&definition, &named("back"), &registry).unwrap();
    let up = back.link_input().unwrap();
    let back = back.spawn();
    within(back.start()).await.unwrap();
    let open = r#"{"path": "/a?b=1", "protocol": "v2", "headers": {"x-from": "event"}}"#;
    let meta = json(&format!(r#"{{"ws_client": {{"open": {open}}}}}"#));
    for (stream, meta) in
        [(7, meta), (8, json(r#"{"ws_client": {"open": {"headers": {"a": "b\r\nc: d"}}}}"#))]
    {
        up.deliver(0, event_of(stream, meta).into()).await;
    }
    let mut tcp = within(listener.accept()).await.unwrap().0;
    let request = head(&mut tcp).await;
    assert!(request.starts_with("GET /a?b=1 HTTP/1.1\r\n"), "{request}");
    assert_eq!(line(&request, "sec-websocket-protocol"), Some("v2"));
    assert_eq!((line(&request, "x-from"), line(&request, "x-also")), (Some("event"), Some("1")));
    within(async {
        while back.taken().failed < 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[test]
fn what_says_nothing_with_it_or_without_it_is_refused() {
    let port = Port::reserve();
    for (more, reconnect, told) in [
        (r#", "max_connections": 1"#, "null", "max_connections"),
        (r#", "per_origin": true, "stable_after": 1"#, "null", "stable_after"),
        (r#", "per_origin": true, "give_up_on": 401"#, "null", "give_up_on"),
        (r#", "per_origin": 1"#, "null", "per_origin"),
        (r#", "per_origin": true"#, r#"{"retry": {"interval_ms": 1}}"#, "reconnect"),
    ] {
        let definition = client_definition(&port, more, reconnect);
        let refused = made(&definition, &named("back"), &tremor_connectors::registry(false)).err();
        let refused = refused.map(|error| error.message).unwrap_or_default();
        assert!(refused.contains(told) && refused.contains("flow::back"), "{more}: {refused}");
    }
}

/// One after the other shakes hands with a server (RFC 6455, section 4.1), in the order in which they came: all of them
/// together take much longer than one may.
#[tokio::test]
async fn a_hundred_that_wait_behind_others_that_succeed_are_not_late() {
    let server = Port::reserve();
    let listener = server.listen();
    let limits = format!(
        r#", "open_handshake_timeout": 1000, "endpoint": {{"type": "tcp", "host": "127.0.0.1", "port": {}, "timeout": 1}}"#,
        server.number
    );
    let mut proxy = Proxy::started(&server, &limits).await;
    // From here on: the first of them waits for its answer while the others come.
    let clock = Clock::stop();
    let (count, each_ms) = (100, 100);
    let mut clients = Vec::new();
    for number in 0..count {
        clients.push(plain_client(&proxy).await);
        comes_to(&proxy, number + 1).await;
    }
    let begun = Instant::now();
    let mut upstreams = Vec::new();
    for number in 1..=count {
        let (mut tcp, _) = within(listener.accept()).await.unwrap();
        assert!(listener.accept().now_or_never().is_none(), "none comes before the one in front is answered");
        clock.advance(each_ms).await;
        welcome_on(&mut tcp, "").await;
        let mut upstream = raw(tcp).await;
        assert_eq!(next_text(&mut upstream).await, "first");
        assert_eq!(begun.elapsed(), Duration::from_millis(each_ms * number), "nobody waits longer than that");
        upstreams.push(upstream);
    }
    // In order: the last client is the partner of the last one that was opened.
    within(upstreams.last_mut().unwrap().send(text("the last"))).await.unwrap();
    let mut last = [0; 10];
    within(clients.last_mut().unwrap().read_exact(&mut last)).await.unwrap();
    assert_eq!(&last, b"\x81\x08the last");
    // Where nobody succeeds, most do not get their turn in time.
    let mut late = Vec::new();
    for number in 1..=8 {
        late.push(plain_client(&proxy).await);
        comes_to(&proxy, count + number).await;
    }
    for _ in 0..30 {
        clock.advance(100).await;
    }
    let mut reasons = Vec::new();
    for _ in &late {
        let told = proxy.told("back", "rejected").await;
        reasons.push(told.get("reason").unwrap().to_string());
    }
    let of_those_who_waited = "no connection within 2000 ms, with the wait for its turn";
    assert!(reasons.iter().any(|reason| reason.contains(of_those_who_waited)), "{reasons:?}");
    tokio::time::resume();
    for client in late {
        assert_eq!(rest(client).await, BAD_GATEWAY);
    }
}

/// So many events have come to the half behind.
async fn comes_to(proxy: &Proxy, count: u64) {
    within(async {
        while proxy.back.taken().received < count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
