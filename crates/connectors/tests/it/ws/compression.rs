//! Compression, agreed on with peers written by hand around `tremor-ws`.

use super::{
    client_opening::start,
    control::{self, member},
    peers::{Port, client, echo, head, of_server, server, upgrade},
};
use crate::harness::{Seen, Subject, json, within};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tremor_codec::testing::Log;
use tremor_event::Event;
use tremor_ws::{
    Decoder, Deflate, DeflateOptions, Encoder, Extension, Incoming, Limits, Options, Role, accept_key,
};

const ALL: &str = r#", "options": {"compression": {"deflate": {}}}"#;
const NAME: &str = "permessage-deflate";

/// The other end of a connection, behind the handshake.
struct Peer {
    tcp: TcpStream,
    encoder: Encoder,
    decoder: Decoder,
    input: BytesMut,
    incoming: Vec<Incoming>,
    /// First bytes of the frames that came.
    raw: Vec<u8>,
}

impl Peer {
    fn new(tcp: TcpStream, role: Role, deflate: Option<&Deflate>) -> Self {
        let mut encoder = Encoder::new(role, Options::default());
        let mut decoder = Decoder::new(role, Limits::default(), Options::default());
        if let Some(deflate) = deflate {
            (encoder, decoder) = (encoder.deflate(deflate), decoder.deflate(deflate));
        }
        Self { tcp, encoder, decoder, input: BytesMut::new(), incoming: Vec::new(), raw: Vec::new() }
    }

    /// A client of a server under test that offers `options`; also gives what was agreed to, as it was written.
    async fn client(port: &Port, options: Option<DeflateOptions>) -> (Self, Option<String>) {
        Self::client_at("/", port, options).await
    }

    async fn client_at(target: &str, port: &Port, options: Option<DeflateOptions>) -> (Self, Option<String>) {
        let mut tcp = port.tcp().await;
        let offer = options.map(|options| format!("Sec-WebSocket-Extensions: {}\r\n", options.offer()));
        let request = upgrade("here", &offer.unwrap_or_default());
        let request = request.replacen("GET / ", &format!("GET {target} "), 1);
        tcp.write_all(request.as_bytes()).await.unwrap();
        let answer = head(&mut tcp).await;
        let written = answer.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
        let deflate = options.and_then(|options| {
            options.agree(&written.map(extension).into_iter().collect::<Vec<_>>()).unwrap()
        });
        (Self::new(tcp, Role::Client, deflate.as_ref()), written.map(str::to_owned))
    }

    async fn send(&mut self, text: &str) {
        let mut out = Vec::new();
        self.encoder.text(text, &mut out).unwrap();
        self.tcp.write_all(&out).await.unwrap();
    }

    async fn next(&mut self) -> Incoming {
        while self.incoming.is_empty() {
            assert!(within(self.tcp.read_buf(&mut self.input)).await.unwrap() > 0, "the connection ended");
            self.raw.extend_from_slice(&self.input);
            self.decoder.decode(&mut self.input, &mut self.incoming).unwrap();
        }
        self.incoming.remove(0)
    }

    async fn next_text(&mut self) -> String {
        match self.next().await {
            Incoming::Message { payload, binary: false, .. } => String::from_utf8(payload.to_vec()).unwrap(),
            other => panic!("no text but {other:?}"),
        }
    }

    async fn close_code(&mut self) -> Option<u16> {
        match self.next().await {
            Incoming::Close { code, .. } => code,
            other => panic!("no Close but {other:?}"),
        }
    }
}

fn extension(text: &str) -> Extension {
    let mut parts = text.split("; ");
    let name = parts.next().unwrap().to_owned();
    let params = parts.map(|part| match part.split_once('=') {
        None => (part.to_owned(), None),
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
    });
    Extension { name, params: params.collect() }
}

#[tokio::test]
async fn a_server_agrees_to_what_its_configuration_says() {
    let cases = [
        ("", "permessage-deflate", None),
        (r#", "compression": {}"#, "permessage-deflate", None),
        (r#", "compression": {"deflate": {}}"#, "other, permessage-deflate", Some("")),
        (ALL, "permessage-deflate; server_max_window_bits=\"12\"", Some("; server_max_window_bits=12")),
        (ALL, "permessage-deflate; server_max_window_bits=8", None),
        (ALL, "permessage-deflate; server_max_window_bits=012", None),
        (
            ALL,
            "permessage-deflate; x, permessage-deflate; server_no_context_takeover",
            Some("; server_no_context_takeover"),
        ),
        (
            r#", "compression": {"deflate": {"request_no_context_takeover": true, "request_max_window_bits": 10,
                "no_context_takeover": true, "max_window_bits": 11, "memory_level": 1, "level": 9}}"#,
            "permessage-deflate; client_max_window_bits",
            Some(
                "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; client_max_window_bits=10",
            ),
        ),
        (
            r#", "compression": {"deflate": {"request_max_window_bits": 0, "max_window_bits": 0}}"#,
            NAME,
            Some(""),
        ),
    ];
    for (more, offer, agreed) in cases {
        let (_subject, port) = server(more).await;
        let mut tcp = port.tcp().await;
        let offer = format!("Sec-WebSocket-Extensions: {offer}\r\n");
        tcp.write_all(upgrade("here", &offer).as_bytes()).await.unwrap();
        let answer = head(&mut tcp).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let written = answer.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
        assert_eq!(
            written.map(str::to_owned),
            agreed.map(|params| format!("{NAME}{params}")),
            "{more} {offer}"
        );
    }
}

#[tokio::test]
async fn messages_are_compressed_both_ways_and_metadata_tells_what_was_agreed() {
    let (mut subject, port) = server(ALL).await;
    let (mut peer, _) = Peer::client(&port, Some(DeflateOptions::default())).await;
    let long = format!("[{}]", vec!["\"again\""; 200].join(","));
    for _ in 0..2 {
        peer.send(&long).await;
        let event = subject.next_event().await;
        let extensions = of_server(&event).get("extensions").unwrap().to_string();
        assert_eq!(extensions, r#"["permessage-deflate"]"#);
        subject.deliver(0, event).await;
        peer.raw.clear();
        assert_eq!(peer.next_text().await, long);
        assert_eq!(peer.raw[0], 0xc1);
        assert!(peer.raw.len() < 60, "{} bytes", peer.raw.len());
    }
    // Whoever asks for nothing gets nothing.
    let (mut plain, agreed) = Peer::client(&port, None).await;
    plain.send(&long).await;
    let event = subject.next_event().await;
    assert_eq!((agreed, of_server(&event).get("extensions")), (None, None));
}

#[tokio::test]
async fn short_messages_are_sent_plain_where_that_is_asked_for() {
    let (subject, port) = server(r#", "compression": {"deflate": {"min_size": 10}}"#).await;
    echo(subject, |_| {});
    let (mut peer, _) = Peer::client(&port, Some(DeflateOptions::default())).await;
    for (message, first) in [("\"7 bytes\"", 0x81), ("\"10 bytes\"", 0xc1)] {
        peer.raw.clear();
        peer.send(message).await;
        assert_eq!((peer.next_text().await.as_str(), peer.raw[0]), (message, first));
    }
}

#[tokio::test]
async fn an_event_can_be_sent_plain_and_the_next_one_is_compressed_as_ever() {
    let (subject, port) = server(ALL).await;
    echo(subject, |event| {
        let is_plain = event.payload.value().to_string() == "\"secret\"";
        let meta = event.meta.value_mut().as_record_mut().unwrap();
        let of_kind = meta.get_mut("ws_server").unwrap().as_record_mut().unwrap();
        of_kind.insert("compress", !is_plain);
    });
    let (mut peer, _) = Peer::client(&port, Some(DeflateOptions::default())).await;
    for (message, first) in [("\"one\"", 0xc1), ("\"secret\"", 0x81), ("\"one\"", 0xc1)] {
        peer.raw.clear();
        peer.send(message).await;
        assert_eq!((peer.next_text().await.as_str(), peer.raw[0]), (message, first));
    }
}

#[tokio::test]
async fn what_was_sent_plain_is_sent_plain_again() {
    let (mut subject, port) = server(&format!(r#"{ALL}, "replay": true"#)).await;
    for (payload, compress) in [("secret", false), ("other", true)] {
        let meta = json(&format!(r#"{{"ws_server": {{"compress": {compress}}}}}"#));
        let event = Event { meta: meta.into(), ..subject.event(payload.into()) };
        subject.deliver(1, event).await;
    }
    let options = Some(DeflateOptions::default());
    let (mut peer, _) = Peer::client_at("/?last_received=0", &port, options).await;
    peer.next_text().await;
    for (message, compressed) in [("\"secret\"", false), ("\"other\"", true)] {
        let Incoming::Message { payload, compressed: found, .. } = peer.next().await else {
            panic!("no message")
        };
        assert!(payload.ends_with(message.as_bytes()), "{}", payload.escape_ascii());
        assert_eq!(found, compressed, "{message}");
    }
}

#[tokio::test]
async fn bombs_and_what_does_not_inflate_end_the_connection() {
    let limits = r#", "max_message_size": 5000, "compression": {"deflate": {"max_inflated_size": 1000}}"#;
    let only_message = r#", "max_message_size": 1000, "compression": {"deflate": {}}"#;
    for more in [limits, only_message] {
        let (subject, port) = server(more).await;
        echo(subject, |_| {});
        for (len, code) in [(998, None), (999, Some(1009))] {
            let (mut peer, _) = Peer::client(&port, Some(DeflateOptions::default())).await;
            let text = format!("\"{}\"", "x".repeat(len));
            peer.send(&text).await;
            match code {
                None => assert_eq!(peer.next_text().await, text),
                code => assert_eq!(peer.close_code().await, code),
            }
        }
        let (mut peer, _) = Peer::client(&port, Some(DeflateOptions::default())).await;
        // A text message with RSV1 whose one byte is no deflate data, masked with zeros.
        peer.tcp.write_all(b"\xc1\x81\0\0\0\0\x07").await.unwrap();
        assert_eq!(peer.close_code().await, Some(1007));
    }
}

#[tokio::test]
async fn connections_with_equal_and_with_other_parameters_get_what_they_can_read() {
    let (mut subject, port) = server(ALL).await;
    let fresh = DeflateOptions { request_no_context_takeover: true, ..DeflateOptions::default() };
    let small = DeflateOptions { request_max_window_bits: 9, ..fresh };
    let mut peers = Vec::new();
    for options in [None, Some(DeflateOptions::default()), Some(fresh), Some(fresh), Some(small), None] {
        let (mut peer, _) = Peer::client(&port, options).await;
        peer.send("0").await;
        let event = subject.next_event().await;
        let conn = of_server(&event).get("conn").unwrap().clone();
        peers.push((peer, conn, event));
    }
    let to: Vec<String> = peers.iter().map(|(_, conn, _)| conn.to_string()).collect();
    for number in 0..3 {
        let text = format!("\"{number} {}\"", "abcdefghij".repeat(5000));
        let mut event = peers[0].2.clone();
        event.payload = json(&text).into();
        event.meta = json(&format!(r#"{{"ws_server": {{"to": [{}]}}}}"#, to.join(","))).into();
        subject.deliver(0, event).await;
        for (peer, ..) in &mut peers {
            assert!(peer.next_text().await == text);
        }
    }
}

/// Answers the request of a client under test with `extensions`.
async fn answered(tcp: &mut TcpStream, extensions: &str) -> String {
    let request = head(tcp).await;
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{extensions}\r\n",
        accept_key(key)
    );
    tcp.write_all(answer.as_bytes()).await.unwrap();
    request
}

#[tokio::test]
async fn a_client_offers_compression_and_uses_what_was_agreed() {
    let port = Port::reserve();
    let listener = port.listen();
    let more =
        r#", "compression": {"deflate": {"max_window_bits": 10, "request_no_context_takeover": true}}"#;
    let mut subject = client(&port, more, r#"{"retry": {"interval_ms": 10}}"#);
    start(&subject);
    subject.open();
    let offer = "permessage-deflate; server_no_context_takeover; client_max_window_bits=10";
    // What was not offered cannot be agreed on; the client tries again.
    for bad in [
        "permessage-deflate; client_max_window_bits=11",
        "permessage-deflate; x",
        "permessage-deflate, permessage-deflate",
    ] {
        let mut tcp = within(listener.accept()).await.unwrap().0;
        let request = answered(&mut tcp, &format!("Sec-WebSocket-Extensions: {bad}\r\n")).await;
        assert!(request.contains(&format!("Sec-WebSocket-Extensions: {offer}\r\n")), "{request}");
        assert_eq!(within(tcp.read(&mut [0; 10])).await.unwrap_or(0), 0, "{bad}");
    }
    let mut tcp = within(listener.accept()).await.unwrap().0;
    let (answer, deflate) = DeflateOptions::default().answer(&[extension(offer)]).unwrap();
    answered(&mut tcp, &format!("Sec-WebSocket-Extensions: {answer}\r\n")).await;
    let mut peer = Peer::new(tcp, Role::Server, Some(&deflate));
    for _ in 0..2 {
        peer.send("[1,2,3]").await;
        let Seen::Event("out", event) = subject.next().await else { panic!("no event") };
        let extensions = event.meta.get("ws_client").unwrap().get("extensions").unwrap().to_string();
        assert_eq!(extensions, r#"["permessage-deflate; server_no_context_takeover"]"#);
        subject.deliver(0, event).await;
        peer.raw.clear();
        assert_eq!(peer.next_text().await, "[1,2,3]");
        assert_eq!(peer.raw[0], 0xc1);
    }
}

const REQUIRED: &str = r#""compression": {"required": true, "deflate": {}}"#;
const LEFT: &str = "the server does not agree to compress messages, which `compression.required` asks for";

#[tokio::test]
async fn a_client_leaves_servers_without_the_compression_that_it_requires() {
    let port = Port::reserve();
    let listener = port.listen();
    let (told, _listening) = Log::listen();
    let mut subject = client(&port, &format!(", {REQUIRED}"), r#"{"retry": {"interval_ms": 10}}"#);
    start(&subject);
    subject.open();
    // One that answers the goodbye, and one that only waits.
    for answers in [true, false] {
        let mut tcp = within(listener.accept()).await.unwrap().0;
        answered(&mut tcp, "").await;
        let mut peer = Peer::new(tcp, Role::Server, None);
        let Incoming::Close { code, reason } = peer.next().await else { panic!("no Close") };
        assert_eq!((code, reason.as_str()), (Some(1010), NAME));
        if answers {
            let mut out = Vec::new();
            peer.encoder.close(Some(1000), "", &mut out).unwrap();
            peer.tcp.write_all(&out).await.unwrap();
            peer.tcp.shutdown().await.unwrap();
        }
        assert_eq!(within(peer.tcp.read_buf(&mut peer.input)).await.unwrap(), 0, "{answers}");
    }
    let mut tcp = within(listener.accept()).await.unwrap().0;
    let (answer, deflate) = DeflateOptions::default().answer(&[DeflateOptions::default().offer()]).unwrap();
    answered(&mut tcp, &format!("Sec-WebSocket-Extensions: {answer}\r\n")).await;
    let mut peer = Peer::new(tcp, Role::Server, Some(&deflate));
    peer.send("[1]").await;
    assert_eq!(subject.next_value().await, "[1]");
    assert_eq!(told.text().matches(LEFT).count(), 2, "{}", told.text());
    // Where nothing is required, a server without it is as good.
    let not_required = r#", "compression": {"required": false, "deflate": {}}"#;
    let (_server, port) = server("").await;
    within(client(&port, not_required, "\"none\"").handle.start()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_fails_by_drop_leaves_them_without_a_word() {
    let port = Port::reserve();
    let listener = port.listen();
    let subject = client(&port, &format!(r#", "fail_by_drop": true, {REQUIRED}"#), "\"none\"");
    let started = start(&subject);
    let mut tcp = within(listener.accept()).await.unwrap().0;
    answered(&mut tcp, "").await;
    assert_eq!(within(tcp.read(&mut [0; 10])).await.unwrap(), 0);
    let failure = within(started).await.unwrap().unwrap_err();
    assert!(failure.contains(LEFT) && failure.contains(&port.address()), "{failure}");
}

#[tokio::test]
async fn by_http2_servers_without_compression_are_left_too() {
    let (mut at_server, port) = control::server(r#", "http2": true"#).await;
    let subject = client(&port, &format!(r#", "http2": "prior_knowledge", {REQUIRED}"#), "\"none\"");
    let failure = within(subject.handle.start()).await.unwrap_err();
    assert!(failure.contains(LEFT), "{failure}");
    assert_eq!(member(&at_server.next_told().await, "kind").to_string(), r#""opened""#);
    let closed = at_server.next_told().await;
    let shown = ["kind", "code", "reason", "clean", "by"].map(|name| member(&closed, name).to_string());
    assert_eq!(shown, [r#""closed""#, "1010", r#""permessage-deflate""#, "true", r#""peer""#]);
}

#[tokio::test]
async fn a_server_and_a_client_of_ours_understand_each_other() {
    let (server, port) = server(ALL).await;
    echo(server, |_| {});
    let more =
        r#", "compression": {"deflate": {"no_context_takeover": true, "level": 1, "max_window_bits": 9}}"#;
    let mut client: Subject = client(&port, more, "\"none\"");
    within(client.handle.start()).await.unwrap();
    client.open();
    for number in 0..20 {
        let text = format!("\"{number} {}\"", "repeat ".repeat(number * 100));
        client.give(&text).await;
        assert!(client.next_value().await == text);
    }
}

#[tokio::test]
async fn a_message_says_whether_it_came_compressed_and_how_long_it_is_unpacked() {
    let (mut subject, port) = server(ALL).await;
    let mut peer =
        Peer::client(&port, Some(DeflateOptions { min_bytes: 100, ..DeflateOptions::default() })).await.0;
    let long = format!("\"{}\"", "again ".repeat(500));
    for (text, compressed) in [("1", false), (long.as_str(), true), ("2", false)] {
        peer.send(text).await;
        let of_message = of_server(&subject.next_event().await);
        assert_eq!(of_message.get("compressed"), Some(&compressed.into()), "{text}");
        assert_eq!(of_message.get("size"), Some(&(text.len() as u64).into()));
        assert_eq!(of_message.get("frames"), Some(&1_u64.into()));
    }
}

/// Bytes of the frame with which a server that compresses so sends a text of words.
async fn compressed_size(settings: &str) -> usize {
    let (mut subject, port) = server(&format!(r#", "compression": {{"deflate": {{{settings}}}}}"#)).await;
    let (mut peer, _) = Peer::client(&port, Some(DeflateOptions::default())).await;
    peer.send("1").await;
    let asked = subject.next_event().await;
    let words = ["sensor", "valve", "pump", "pressure", "level", "alarm", "site"];
    let text: Vec<_> = (0..4000_usize).map(|at| words[at * at / 3 % words.len()]).collect();
    let payload = tremor_value::Value::from(text.join(" ")).into();
    subject.deliver(0, Event { payload, ..asked }).await;
    peer.next_text().await;
    peer.raw.len()
}

#[tokio::test]
async fn effort_and_memory_show_in_what_is_sent() {
    let usual = compressed_size("").await;
    assert_eq!(compressed_size(r#""level": 6, "memory_level": 8"#).await, usual);
    let (stored, quick, best) = (
        compressed_size(r#""level": 0"#).await,
        compressed_size(r#""level": 1"#).await,
        compressed_size(r#""level": 9"#).await,
    );
    assert!(stored > quick && quick > usual && usual >= best, "{stored} {quick} {usual} {best}");
    let poor = compressed_size(r#""memory_level": 1"#).await;
    assert!(poor > usual, "{poor} {usual}");
}
