//! Our client, and servers that speak HTTP/2 or do not.

use super::{ON, of_server};
use crate::{
    harness::{Linked, Subject, definition, json, within},
    ws::{
        peers::{Port, accept, client, next_text, server},
        tls::Authority,
    },
};
use async_tungstenite::tokio::accept_async;
use bytes::Bytes;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

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
    let refused = within(subject.handle.start()).await.unwrap_err();
    assert!(refused.contains("does not seem to speak HTTP/2"), "{refused}");
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

/// A TLS server of others that speaks both versions.
fn acceptor(authority: &Authority) -> tokio_rustls::TlsAcceptor {
    authority.issue("own", "localhost");
    let chain = vec![CertificateDer::from_pem_file(authority.path("own.crt")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(authority.path("own.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config).into()
}

#[tokio::test]
async fn a_tls_server_whose_http2_takes_no_websockets_is_spoken_to_by_http1() {
    let authority = Authority::new();
    let (acceptor, ca) = (acceptor(&authority), authority.path("ca.crt"));
    for alpn in ["", r#", "alpn": ["h2"]"#, r#", "alpn": ["h2", "http/1.1"]"#] {
        let port = Port::reserve();
        let (listener, address) = (port.listen(), port.address());
        let tls = format!(r#""tls": {{"cafile": "{ca}", "domain": "localhost"{alpn}}}"#);
        let config = format!(r#"{{"url": "wss://{address}", "http2": true, {tls}}}"#);
        let mut definition = definition("ws_client", &config, r#""json""#, "");
        definition.reconnect = Some(json(r#"{"retry": {"interval_ms": 1}}"#));
        let mut subject = Subject::new(&definition, Linked::Fully).unwrap();
        let serve = async {
            let tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let mut connection = h2::server::handshake(tls).await.unwrap();
            assert!(connection.accept().await.is_none(), "it knows without asking");
            let tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            assert_ne!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            accept_async(tls).await.unwrap()
        };
        let (started, mut ws) = within(async { tokio::join!(subject.handle.start(), serve) }).await;
        started.unwrap();
        subject.open();
        subject.give("7").await;
        assert_eq!(next_text(&mut ws).await, "7");
        // The next one is not asked again, unless it fails.
        drop(ws);
        for again in [false, true] {
            let tls = within(acceptor.accept(within(listener.accept()).await.unwrap().0)).await.unwrap();
            let is_http2 = tls.get_ref().1.alpn_protocol() == Some(&b"h2"[..]);
            assert_eq!(is_http2, again);
        }
    }
}

/// The next request of our client to `listener`, and the connection that it came by.
async fn asked(
    listener: &TcpListener,
) -> (h2::server::Connection<TcpStream, Bytes>, h2::server::SendResponse<Bytes>) {
    let tcp = listener.accept().await.unwrap().0;
    let mut builder = h2::server::Builder::new();
    let mut connection = builder.enable_connect_protocol().handshake(tcp).await.unwrap();
    let (_, respond) = connection.accept().await.unwrap().unwrap();
    (connection, respond)
}

#[tokio::test]
async fn what_a_server_says_in_place_of_an_answer_is_told() {
    let port = &Port::reserve();
    let listener = port.listen();
    let start = |limit: u32| async move {
        let subject = client(port, &format!(r#"{KNOWN}, "open_handshake_timeout": {limit}"#), ONCE);
        within(subject.handle.start()).await.unwrap_err()
    };
    let reset = async {
        let (mut connection, mut respond) = asked(&listener).await;
        respond.send_reset(h2::Reason::REFUSED_STREAM);
        while connection.accept().await.is_some() {}
    };
    let (refused, ()) = tokio::join!(start(60_000), reset);
    assert!(refused.contains("the stream was reset: refused stream"), "{refused}");
    let goodbye = async {
        let (mut connection, _respond) = asked(&listener).await;
        connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
        while connection.accept().await.is_some() {}
    };
    let (refused, ()) = tokio::join!(start(60_000), goodbye);
    assert!(refused.contains("the HTTP/2 connection ended: "), "{refused}");
    // A refusal counts, even if not all of it comes in time.
    let half = async {
        let (mut connection, mut respond) = asked(&listener).await;
        let response = http::Response::builder().status(429).header("retry-after", "1").body(()).unwrap();
        let mut send = respond.send_response(response, false).unwrap();
        send.send_data(Bytes::from_static(b"later, pl"), false).unwrap();
        while connection.accept().await.is_some() {}
    };
    let (refused, ()) = tokio::join!(start(2_000), half);
    assert!(refused.contains("answered 429") && refused.contains("later, pl"), "{refused}");
}

#[tokio::test]
async fn a_server_that_sends_frames_which_carry_nothing_is_left() {
    let port = Port::reserve();
    let listener = port.listen();
    let subject = client(&port, KNOWN, ONCE);
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x08\0\0\0\x01";
    let flood = async {
        let mut tcp = listener.accept().await.unwrap().0;
        tcp.write_all(settings).await.unwrap();
        while tcp.write_all(&PING.repeat(100)).await.is_ok() {}
    };
    let (started, ()) = within(async { tokio::join!(subject.handle.start(), flood) }).await;
    let refused = started.unwrap_err();
    assert!(refused.contains("frames that carry nothing"), "{refused}");
    // Headers without end are worth no more.
    let subject = client(&port, KNOWN, ONCE);
    let endless = async {
        let mut tcp = listener.accept().await.unwrap().0;
        tcp.write_all(settings).await.unwrap();
        let field = [&[0, 1, b'x', 0x7f, 0x81, 0x05][..], &[b'v'; 768]].concat();
        let _gone_or_not = tcp.write_all(b"\0\0\x01\x01\0\0\0\0\x01\x88").await;
        let more = [&[0, 3, 6, 9, 0, 0, 0, 0, 1][..], &field].concat();
        while tcp.write_all(&more).await.is_ok() {}
    };
    let (started, ()) = within(async { tokio::join!(subject.handle.start(), endless) }).await;
    assert!(started.is_err());
}

const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

/// A server that takes nothing any more, and from which everything still comes.
#[tokio::test]
async fn a_connection_over_which_nothing_leaves_is_not_kept() {
    let port = Port::reserve();
    let listener = port.listen();
    let mut subject = client(&port, r#", "http2": "prior_knowledge", "write_timeout": 100"#, ONCE);
    let serve = async {
        let mut tcp = listener.accept().await.unwrap().0;
        // Settings: WebSockets are taken, a stream may be sent much; so may the connection.
        let settings = b"\0\0\x0c\x04\0\0\0\0\0\0\x08\0\0\0\x01\0\x04\x7f\xff\xff\xff";
        let window = b"\0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0";
        // `:status` 200 is number 8 of those that everybody knows.
        let granted = b"\0\0\x01\x01\x04\0\0\0\x01\x88";
        tcp.write_all(&[&settings[..], window].concat()).await.unwrap();
        let mut come = Vec::new();
        // Preface, settings, their acknowledgement: the rest is the request.
        while !come.windows(4).any(|bytes| bytes == [1, 4, 0, 0]) {
            tcp.read_buf(&mut come).await.unwrap();
        }
        tcp.write_all(granted).await.unwrap();
        tcp
    };
    let (started, mut tcp) = within(async { tokio::join!(subject.handle.start(), serve) }).await;
    started.unwrap();
    subject.open();
    let into = subject.way_in();
    let event = subject.event("x".repeat(100_000).into());
    let fill = tokio::spawn(async move {
        loop {
            into.deliver(0, event.clone().into()).await;
            tokio::task::yield_now().await;
        }
    });
    within(async {
        while tcp.write_all(&PING).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    fill.abort();
}
