//! WebSockets as streams of HTTP/2 connections (`spec/websocket.md` 18.3): our server and a client that nobody here wrote.

mod alive;
mod client;
mod hostile;
mod peer;
mod rows;

use super::control::{self, member};
use super::peers::{
    PATIENT, close_code, echo, mixed_sizes_come_back, of_server, round_trip, server, text, upgrade,
};
use crate::harness::{Seen, Subject, within};
use peer::{Peer, next_close};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tremor_event::Event;

/// A server that speaks HTTP/2, too.
const ON: &str = r#", "http2": true"#;

#[tokio::test]
async fn both_versions_are_spoken_on_one_port() {
    let (subject, port) = server(&format!("{ON}{PATIENT}")).await;
    echo(subject, |_| {});
    let mut peer = Peer::connect(&port).await;
    let (mut one, mut two) = (peer.open("/one").await, peer.open("/two").await);
    let mut old = port.client().await;
    for number in 0..20 {
        round_trip(&mut one, number).await;
        round_trip(&mut two, number + 100).await;
        round_trip(&mut old, number + 200).await;
    }
    mixed_sizes_come_back(two).await;
    round_trip(&mut one, 7).await;
}

#[tokio::test]
async fn without_the_option_there_is_no_http2() {
    let (_subject, port) = server("").await;
    let answer = port.ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
}

#[tokio::test]
async fn a_preface_may_come_in_pieces_and_what_only_begins_like_one_is_answered() {
    let (subject, port) = server(ON).await;
    echo(subject, |_| {});
    let answer = port.ask("PRI * HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    let mut tcp = port.tcp().await;
    tcp.set_nodelay(true).unwrap();
    for byte in upgrade("here", "").bytes() {
        tcp.write_all(&[byte]).await.unwrap();
    }
    assert_eq!(within(tcp.read_u8()).await.unwrap(), b'H');
    let mut tcp = port.tcp().await;
    tcp.set_nodelay(true).unwrap();
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
        tcp.write_all(&[*byte]).await.unwrap();
    }
    let mut settings = [0; 4];
    within(tcp.read_exact(&mut settings)).await.unwrap();
    assert_eq!(settings[3], 4, "a frame of settings");
}

#[tokio::test]
async fn the_metadata_tell_of_the_request() {
    let more = r#", "http2": true, "subprotocols": ["p"], "compression": {"deflate": {}}, "expose_headers": ["x-one", "cookie"]"#;
    let (mut subject, port) = server(more).await;
    let mut peer = Peer::connect(&port).await;
    let fields = [
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "q, p"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("origin", "https://somewhere.example"),
        ("x-one", "1"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ];
    let (response, mut ws) = peer.open_with("/a/b?c=d", &fields).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["sec-websocket-protocol"], "p");
    assert!(
        response.headers()["sec-websocket-extensions"].to_str().unwrap().starts_with("permessage-deflate")
    );
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    within(ws.send(text(7))).await.unwrap();
    let event = subject.next_event().await;
    let shown = of_server(&event);
    let told = |name: &str| shown.get(name).unwrap().to_string();
    assert_eq!(told("path"), r#""/a/b""#);
    assert_eq!(told("query"), r#"{"c":"d"}"#);
    assert_eq!(told("protocol"), r#""p""#);
    assert_eq!(told("authority"), format!("\"{}\"", port.address()));
    assert_eq!(told("scheme"), r#""http""#);
    assert_eq!(told("origin"), r#""https://somewhere.example""#);
    assert_eq!(told("headers"), r#"{"x-one":"1","cookie":"a=1; b=2"}"#);
    assert_eq!(told("tls"), "false");
    assert_eq!(event.origin.unwrap().host, "127.0.0.1");
}

#[tokio::test]
async fn each_stream_is_a_connection_in_every_count() {
    let (subject, port) = server(r#", "http2": true, "max_connections": 2"#).await;
    echo(subject, |_| {});
    let (mut peer, mut other) = (Peer::connect(&port).await, Peer::connect(&port).await);
    let mut first = peer.open("/").await;
    let second = other.open("/").await;
    let refused = peer.ask("/").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5".to_owned())));
    let answer = port.ask(&upgrade("here", "")).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    round_trip(&mut first, 1).await;
    drop(second);
    within(async { while peer.ask("/").await.status != 200 {} }).await;
    round_trip(&mut first, 2).await;

    let (subject, port) = server(r#", "http2": true, "max_connections_per_ip": 1"#).await;
    echo(subject, |_| {});
    let mut peer = Peer::connect(&port).await;
    let _first = peer.open("/").await;
    assert_eq!(peer.ask("/").await.status, 503);
}

#[tokio::test]
async fn the_first_stream_is_the_connection_that_the_rate_has_let_in() {
    let (_subject, port) = server(r#", "http2": true, "accept_rate": 1"#).await;
    let mut peer = Peer::connect(&port).await;
    let _first = peer.open("/").await;
    // However slow this is, of so many some are too many.
    let mut asked = 0;
    while peer.ask("/").await.status != 503 {
        asked += 1;
        assert!(asked < 1000);
    }
}

#[tokio::test]
async fn an_end_is_an_end_on_both_sides() {
    let (mut subject, port) = control::server(ON).await;
    let mut peer = Peer::connect(&port).await;
    // With a goodbye.
    let mut ws = peer.open("/").await;
    told(&mut subject, "opened").await;
    within(ws.close(None)).await.unwrap();
    assert_eq!(next_close(&mut ws).await, None);
    assert_eq!(closed(&mut subject).await, (1005, true));
    // Without one, by END_STREAM.
    let (send, receive) = peer.open_raw("/").await;
    told(&mut subject, "opened").await;
    let mut send = send;
    send.send_data(bytes::Bytes::new(), true).unwrap();
    assert_eq!(closed(&mut subject).await, (1006, false));
    drop(receive);
    // By RST_STREAM.
    let (mut send, _receive) = peer.open_raw("/").await;
    told(&mut subject, "opened").await;
    send.send_reset(h2::Reason::CANCEL);
    assert_eq!(closed(&mut subject).await, (1006, false));
    // The connection goes on.
    let _ws = peer.open("/").await;
}

/// What is told next. An end without a goodbye is an error, too.
async fn told(subject: &mut Subject, kind: &str) -> Event {
    loop {
        match subject.next().await {
            Seen::Event("control", told) => {
                assert_eq!(member(&told, "kind").to_string(), format!("\"{kind}\""));
                return told;
            }
            Seen::Event("err", _) => {}
            other => panic!("nothing told but {other:?}"),
        }
    }
}

/// Code and cleanness of the next end.
async fn closed(subject: &mut Subject) -> (u64, bool) {
    let told = told(subject, "closed").await;
    (member(&told, "code").as_u64().unwrap(), member(&told, "clean").as_bool().unwrap())
}

#[tokio::test]
async fn a_drain_says_goaway_and_lets_streams_end() {
    let (subject, port) = server(ON).await;
    let mut peer = Peer::connect(&port).await;
    let mut ws = peer.open("/").await;
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    let stopping = tokio::spawn(async move { within(subject.handle.stop()).await });
    assert_eq!(close_code(&mut ws).await, 1001);
    within(stopping).await.unwrap();
    peer.ended().await.unwrap();
}
