//! Our client, and servers that speak HTTP/2 or do not.

use super::{ON, of_server};
use crate::{
    harness::{Linked, Subject, definition, within},
    ws::{
        peers::{Port, accept, client, next_text, server},
        tls::Authority,
    },
};
use tokio::io::AsyncReadExt;

/// A client that tries once.
const ONCE: &str = r#"{"retry": {"interval_ms": 1, "max_retries": 0}}"#;
const KNOWN: &str = r#", "http2": "prior_knowledge", "compression": {"deflate": {}}"#;

/// Only a request by HTTP/1.1 has a key. Headers have to be exposed.
fn is_http2(event: &tremor_event::Event) -> bool {
    of_server(event).get("headers").unwrap().get("sec-websocket-key").is_none()
}

#[tokio::test]
async fn our_client_and_our_server_speak_it_without_tls() {
    let (mut at_server, port) =
        server(r#", "http2": true, "compression": {"deflate": {}}, "expose_headers": "all""#).await;
    let mut at_client = client(&port, KNOWN, ONCE);
    within(at_client.handle.start()).await.unwrap();
    at_client.open();
    for number in 0..10 {
        at_client.give(&format!("{{\"a\":{number}}}")).await;
        let event = at_server.next_event().await;
        assert_eq!(event.payload.value().to_string(), format!("{{\"a\":{number}}}"));
        let shown = of_server(&event);
        assert!(shown.get("extensions").unwrap().to_string().contains("permessage-deflate"));
        assert!(is_http2(&event));
        at_server.way_in().deliver(0, event.into()).await;
        assert_eq!(at_client.next_value().await, format!("{{\"a\":{number}}}"));
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_its_words() {
    let more = r#", "http2": true, "routes": [{"when": [{"path": "/a"}], "exit": "out"}]"#;
    let (_subject, port) = server(more).await;
    let subject = client(&port, KNOWN, ONCE);
    let refused = within(subject.handle.start());
    let refused = refused.await.unwrap_err();
    assert!(refused.contains("answered 404") && refused.contains("there is nothing here"), "{refused}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_it_is_told_of() {
    let (_subject, port) = server("").await;
    let subject = client(&port, KNOWN, ONCE);
    let refused = within(subject.handle.start());
    assert!(refused.await.is_err());
}

/// A server and a client, both with TLS.
async fn with_tls(authority: &Authority, of_server: &str, of_client: &str) -> (Subject, Subject) {
    let (port, identity) = (Port::reserve(), authority.issue("own", "localhost"));
    let config = format!(
        r#"{{"url": "wss://{}", "tls": {{{identity}}}, "expose_headers": "all"{of_server}}}"#,
        port.address()
    );
    let at_server = Subject::started(&definition("ws_server", &config, r#""json""#, "")).await;
    let (ca, number) = (authority.path("ca.crt"), port.number);
    let config = format!(
        r#"{{"url": "wss://127.0.0.1:{number}", "tls": {{"cafile": "{ca}", "domain": "localhost"}}{of_client}}}"#
    );
    let client = Subject::new(&definition("ws_client", &config, r#""json""#, ""), Linked::Fully).unwrap();
    within(client.handle.start()).await.unwrap();
    client.open();
    (at_server, client)
}

#[tokio::test]
async fn with_tls_both_sides_agree_on_what_both_speak() {
    let authority = Authority::new();
    for (of_server, of_client, both) in
        [(ON, ON, true), (ON, "", false), ("", ON, false), (ON, r#", "http2": "prior_knowledge""#, true)]
    {
        let (mut at_server, mut at_client) = with_tls(&authority, of_server, of_client).await;
        at_client.give("7").await;
        let event = at_server.next_event().await;
        assert_eq!(is_http2(&event), both, "{of_server} {of_client}");
        at_server.way_in().deliver(0, event.into()).await;
        assert_eq!(at_client.next_value().await, "7", "{of_server} {of_client}");
    }
}

#[tokio::test]
async fn without_tls_it_is_not_offered() {
    let port = Port::reserve();
    let config = format!(r#"{{"url": "ws://{}", "http2": true}}"#, port.address());
    let refused = Subject::new(&definition("ws_client", &config, r#""json""#, ""), Linked::Fully);
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("config.http2") && refused.contains("prior_knowledge"), "{refused}");
    // And what is off is not spoken.
    let listener = port.listen();
    let mut subject = client(&port, r#", "http2": false"#, ONCE);
    let (started, mut ws) = tokio::join!(within(subject.handle.start()), accept(&listener));
    started.unwrap();
    subject.open();
    subject.give("7").await;
    assert_eq!(next_text(&mut ws).await, "7");
}

#[tokio::test]
async fn a_server_of_http2_may_take_no_websockets() {
    let port = Port::reserve();
    let listener = port.listen();
    let subject = client(&port, KNOWN, ONCE);
    tokio::spawn(async move {
        let mut connection = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        while connection.accept().await.is_some() {}
    });
    let refused = within(subject.handle.start()).await.unwrap_err();
    assert!(refused.contains("takes no WebSockets over HTTP/2"), "{refused}");
}

#[tokio::test]
async fn the_first_bytes_of_prior_knowledge_are_the_preface() {
    let port = Port::reserve();
    let listener = port.listen();
    let subject = client(&port, KNOWN, ONCE);
    let starting = tokio::spawn(async move {
        let _started_or_not = subject.handle.start().await;
    });
    let mut tcp = within(listener.accept()).await.unwrap().0;
    let mut begin = [0; 24];
    within(tcp.read_exact(&mut begin)).await.unwrap();
    assert_eq!(&begin, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    starting.abort();
}
