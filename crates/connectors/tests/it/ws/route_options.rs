//! What a route says of its connections holds for them alone.

use super::{
    pace::{bare_at, frame, masked},
    peers::{Port, server_definition, upgrade},
};
use crate::harness::{Clock, Linked, Subject};
use tokio::io::AsyncWriteExt;

/// A server whose route `/a` has these options, beside `/b`, which has none.
async fn server(options: &str) -> (Subject, Port) {
    let port = Port::reserve();
    let routes = format!(
        r#", "routes": [{{"when": [{{"path": "/a"}}], "exit": "left", "options": {{{options}}}}},
            {{"when": [{{"path": "/b"}}], "exit": "right"}}]"#
    );
    let linked = Linked::With(&["left", "right"]);
    (Subject::started_with(&server_definition(&port, &routes), linked).await, port)
}

#[tokio::test]
async fn one_route_pings_hurries_and_slows_and_another_does_not() {
    let clock = Clock::stop();
    let texts = masked(0x81, b"1").repeat(3);
    for (options, said, first, code) in [
        (r#""auto_ping_interval": 1000"#, &b""[..], 0x89, None),
        (r#""idle_timeout": 1000"#, b"", 0x88, Some(1001_u16)),
        (r#""max_lifetime": 1000"#, b"", 0x88, Some(1001)),
        (r#""message_timeout": 1000"#, b"\x01\x81\0\0\0\0[", 0x88, Some(1008)),
        (r#""message_rate": 1, "on_rate": "close""#, &texts, 0x88, Some(1008)),
        (r#""byte_rate": 10, "on_rate": "close""#, &texts, 0x88, Some(1008)),
    ] {
        let (_subject, port) = server(options).await;
        let (mut own, mut other) = (bare_at("/a", &port).await, bare_at("/b", &port).await);
        let (ping, pong) = (masked(0x89, b"!"), Some((0x8a, b"!".to_vec())));
        for peer in [&mut own, &mut other] {
            peer.write_all(&[said, &ping].concat()).await.unwrap();
        }
        assert_eq!(frame(&mut other).await, pong, "{options}");
        let mut seen = frame(&mut own).await;
        if seen == pong {
            // A lifetime is a tenth more or less.
            clock.advance(1101).await;
            seen = frame(&mut own).await;
        }
        let (begins, payload) = seen.unwrap();
        assert_eq!(begins, first, "{options}");
        if let Some(code) = code {
            assert_eq!(payload[..2], code.to_be_bytes(), "{options}");
        }
        other.write_all(&ping).await.unwrap();
        assert_eq!(frame(&mut other).await, pong, "{options}");
    }
}

#[tokio::test]
async fn each_route_speaks_its_own_subprotocols() {
    let (_subject, port) = server(r#""subprotocols": ["v2", "v1"]"#).await;
    for (path, offers, chosen) in
        [("/a", "v1, v2", Some("v1")), ("/a", "v0, v2", Some("v2")), ("/a", "v0", None), ("/b", "v1", None)]
    {
        let offers = format!("Sec-WebSocket-Protocol: {offers}\r\n");
        let request = upgrade("here", &offers).replacen("GET /", &format!("GET {path}"), 1);
        let answer = port.ask_head(&request).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let line = answer.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
        assert_eq!(line, chosen, "{path} {offers}");
    }
}
