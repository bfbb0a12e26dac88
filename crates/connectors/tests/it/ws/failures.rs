//! What goes wrong counts by its kind, and the log tells of it as loudly as it matters.

use super::{
    client_opening::{answer, start},
    metrics::{expect, measured, stopped},
    pace::{bare, frame, masked},
    peers::{Port, accept, client_definition, close_code, head, server, server_definition, text, upgrade},
    tls::{Authority, files},
};
use crate::harness::{Clock, Linked, Seen, Subject, definition, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::Level;
use tremor_codec::testing::Log;

#[tokio::test]
async fn what_breaks_the_rules_counts_by_what_it_breaks() {
    for (kind, bytes, code) in [
        ("protocol", masked(0x83, b""), 1002_u16),
        ("utf8", masked(0x81, b"\xff"), 1007),
        ("size", masked(0x81, b"123456"), 1009),
        // A block of a kind that there is not.
        ("deflate", masked(0xc1, b"\xff"), 1007),
    ] {
        let port = Port::reserve();
        let config = r#", "compression": {"deflate": {}}, "max_message_size": 5"#;
        let subject = Subject::started(&measured(server_definition(&port, config))).await;
        let mut peer = port.tcp().await;
        let deflating = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        peer.write_all(upgrade("here", deflating).as_bytes()).await.unwrap();
        assert!(head(&mut peer).await.contains("permessage-deflate"));
        peer.write_all(&bytes).await.unwrap();
        let (first, said) = frame(&mut peer).await.unwrap();
        assert_eq!((first, &said[..2]), (0x88, &code.to_be_bytes()[..]), "{kind}");
        let seen = stopped(subject).await;
        expect(&seen, &[(&format!("ws.errors out|-|in|{kind}"), "1")]);
        assert_eq!(seen.keys().filter(|name| name.starts_with("ws.errors")).count(), 1, "{seen:#?}");
    }
}

#[tokio::test]
async fn pings_without_an_answer_count() {
    let clock = Clock::stop();
    let port = Port::reserve();
    let config = r#", "auto_ping_interval": 1000, "auto_ping_timeout": 500"#;
    let subject = Subject::started(&measured(server_definition(&port, config))).await;
    let mut peer = bare(&port).await;
    clock.advance(1001).await;
    assert_eq!(frame(&mut peer).await.unwrap().0, 0x89);
    clock.advance(501).await;
    assert_eq!(frame(&mut peer).await, None);
    let seen = stopped(subject).await;
    expect(
        &seen,
        &[("ws.ping.timeouts out|-|out", "1"), ("ws.connections.closed out|-|in|1006|timeout", "1")],
    );
}

#[tokio::test]
async fn attempts_to_connect_again_that_fail_count_apart() {
    let port = Port::reserve();
    let listener = port.listen();
    let soon = r#"{"retry": {"interval_ms": 1, "randomized": false}}"#;
    let mut subject = Subject::new(&measured(client_definition(&port, "", soon)), Linked::Fully).unwrap();
    subject.open();
    let started = start(&subject);
    drop(accept(&listener).await);
    within(started).await.unwrap().unwrap();
    for _ in 0..2 {
        answer(&listener, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").await;
    }
    let mut again = accept(&listener).await;
    within(again.send(text(1))).await.unwrap();
    while !matches!(subject.next().await, Seen::Event("out", _)) {}
    let seen = stopped(subject).await;
    expect(&seen, &[("ws.reconnects -|-|out|failed", "2"), ("ws.reconnects -|-|out|ok", "1")]);
}

#[tokio::test]
async fn messages_that_newer_ones_replace_count() {
    let port = Port::reserve();
    let queue = r#", "send_queue": {"messages": 2, "bytes": 16777216, "policy": "conflate", "key": "key"}"#;
    let mut subject = Subject::started(&measured(server_definition(&port, queue))).await;
    let mut peer = port.client().await;
    within(peer.send(text(1))).await.unwrap();
    let mut event = subject.next_event().await;
    event.payload = tremor_value::Value::from("x".repeat(1 << 20)).into();
    // More than the system takes of it: the peer reads nothing.
    for _ in 0..40 {
        subject.deliver(0, event.clone()).await;
    }
    let [_, _, conflated] = subject.handle.taken().left_out;
    assert!(conflated > 0);
    let seen = stopped(subject).await;
    expect(&seen, &[("ws.queue.dropped out|-|out|conflate", &conflated.to_string())]);
}

#[tokio::test]
async fn tls_that_does_not_come_counts_on_either_side() {
    let files = files();
    let port = Port::reserve();
    let pair = format!(r#"{{"cert": "{}", "key": "{}"}}"#, files.cert.display(), files.key.display());
    let impatient = r#""open_handshake_timeout": 100"#;
    let config = format!(r#"{{"url": "wss://{}", "tls": {pair}, {impatient}}}"#, port.address());
    let server = Subject::started(&measured(definition("ws_server", &config, r#""json""#, ""))).await;
    assert_eq!(within(port.tcp().await.read(&mut [0])).await.unwrap(), 0);
    expect(&stopped(server).await, &[("ws.tls.failed -|-|in|timeout", "1")]);

    let silent = Port::reserve();
    let _listener = silent.listen();
    let config = format!(r#"{{"url": "wss://{}", {impatient}}}"#, silent.address());
    let definition = measured(definition("ws_client", &config, r#""json""#, ""));
    let client = Subject::new(&definition, Linked::Fully).unwrap();
    within(client.handle.start()).await.unwrap_err();
    expect(&stopped(client).await, &[("ws.tls.failed -|-|out|timeout", "1")]);
}

#[tokio::test]
async fn peers_that_do_not_prove_who_they_are_count_apart_from_what_else_tls_fails_by() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (own, other) = (authority.issue("own", "localhost"), stranger.issue("other", "a.example"));
    let (trusted, known) = (authority.path("ca.crt"), r#""domain": "localhost""#);
    for (of_client, reason, is_counted_by_client) in [
        (known.to_owned(), "certificate", false),
        (format!("{known}, {other}"), "certificate", false),
        // The certificate of the server is what is wrong: that it hears by an alert.
        (r#""domain": "a.example""#.to_owned(), "handshake", true),
    ] {
        let port = Port::reserve();
        let config =
            format!(r#"{{"url": "wss://{}", "tls": {{{own}, "client_ca": "{trusted}"}}}}"#, port.address());
        let server = Subject::started(&measured(definition("ws_server", &config, r#""json""#, ""))).await;
        let config = format!(
            r#"{{"url": "wss://{}", "tls": {{"cafile": "{trusted}", {of_client}}}}}"#,
            port.address()
        );
        let definition = measured(definition("ws_client", &config, r#""json""#, ""));
        let client = Subject::new(&definition, Linked::Fully).unwrap();
        within(client.handle.start()).await.unwrap_err();
        let seen = stopped(client).await.remove("ws.tls.failed -|-|out|certificate");
        assert_eq!(seen.is_some(), is_counted_by_client, "{of_client}");
        expect(&stopped(server).await, &[(&format!("ws.tls.failed -|-|in|{reason}"), "1")]);
    }
}

#[tokio::test]
async fn the_log_is_as_loud_as_what_it_tells_matters() {
    let (told, _listening) = Log::listen();
    let (_subject, port) = server(r#", "validate_utf8": false"#).await;
    assert!(port.ask("GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.starts_with("HTTP/1.1 426 "));
    let mut ws = port.client().await;
    within(ws.close(None)).await.unwrap();
    assert_eq!(close_code(&mut ws).await, 1000);
    within(async {
        while told.levels(" ended: ").is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for (part, level) in [
        ("`validate_utf8` is false", Level::WARN),
        ("a handshake failed", Level::INFO),
        (" ended: ", Level::DEBUG),
    ] {
        assert_eq!(told.levels(part), [level], "{part} in {}", told.text());
    }
}
