//! What a stream has in common with a connection of HTTP/1.1: pings, proxies that are believed, a flow that decides.

use super::super::{
    control::member,
    doorman,
    peers::{of_server, round_trip, server, text},
};
use super::{ON, echo, peer::Peer};
use crate::harness::{Seen, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// The payload of the next ping. `None` at the end of the stream.
async fn ping(stream: &mut DuplexStream) -> Option<Vec<u8>> {
    let mut frame = [0; 14];
    within(stream.read_exact(&mut frame)).await.ok()?;
    assert_eq!(frame[..2], [0x89, 12]);
    Some(frame[2..].to_vec())
}

#[tokio::test]
async fn who_answers_pings_stays_and_one_that_does_not_is_dropped_alone() {
    let more = r#", "http2": true, "auto_ping_interval": 20, "auto_ping_timeout": 3000"#;
    let (subject, port) = server(more).await;
    echo(subject, |_| {});
    let mut peer = Peer::connect(&port).await;
    let (mut silent, mut good) = (peer.open_bytes("/").await, peer.open("/").await);
    for _ in 0..5 {
        let payload = ping(&mut silent).await.unwrap();
        let pong = [&[0x8a, 0x80 | 12, 0, 0, 0, 0], &payload[..]].concat();
        silent.write_all(&pong).await.unwrap();
    }
    ping(&mut silent).await.unwrap();
    let stays = async {
        for number in 0.. {
            round_trip(&mut good, number).await;
        }
    };
    tokio::select! {
        end = ping(&mut silent) => assert_eq!(end, None, "one ping at a time, then the end"),
        () = stays => {}
    }
    let mut good = peer.open("/").await;
    round_trip(&mut good, 7).await;
}

#[tokio::test]
async fn the_client_behind_a_trusted_proxy_is_the_peer() {
    let forwarded = [
        ("sec-websocket-version", "13"),
        ("x-forwarded-for", "9.9.9.9, 1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "edge"),
    ];
    for (more, host, authority, scheme) in [
        ("", "127.0.0.1", None, "http"),
        (r#", "trusted_proxies": ["10.0.0.0/8"]"#, "127.0.0.1", None, "http"),
        (r#", "trusted_proxies": ["127.0.0.1"]"#, "1.2.3.4", Some("edge"), "https"),
        (r#", "trusted_proxies": ["127.0.0.1", "1.2.3.0/24"]"#, "9.9.9.9", Some("edge"), "https"),
    ] {
        let (mut subject, port) = server(&format!(r#", "http2": true{more}"#)).await;
        let mut peer = Peer::connect(&port).await;
        let (_, mut ws) = peer.open_with("/", &forwarded).await;
        within(ws.send(text(7))).await.unwrap();
        let event = subject.next_event().await;
        let shown = of_server(&event);
        let told = |name: &str| shown.get(name).unwrap().as_str().unwrap().to_owned();
        assert_eq!(shown.get("peer").unwrap().get("host").unwrap().as_str(), Some(host), "{more}");
        assert_eq!(told("authority"), authority.map_or_else(|| port.address(), str::to_owned), "{more}");
        assert_eq!(told("scheme"), scheme, "{more}");
        assert_eq!(event.origin.unwrap().host, host, "{more}");
    }
}

/// A proxy has one connection for many clients.
#[tokio::test]
async fn streams_of_one_proxy_count_for_their_clients() {
    let more = r#", "http2": true, "trusted_proxies": ["127.0.0.1"], "max_connections_per_ip": 1"#;
    let (_subject, port) = server(more).await;
    let mut proxy = Peer::connect(&port).await;
    let mut open = Vec::new();
    for (client, expected) in [("1.1.1.1", 200), ("2.2.2.2", 200), ("1.1.1.1", 503), ("3.3.3.3", 200)] {
        let fields = [("sec-websocket-version", "13"), ("x-forwarded-for", client)];
        let (response, send) = proxy.send(proxy.request("/", &fields), false).await.unwrap();
        assert_eq!(response.status(), expected, "{client}");
        open.push((response, send));
    }
    let fields =
        [("sec-websocket-version", "13"), ("x-forwarded-for", "4.4.4.4"), ("forwarded", "for=5.5.5.5")];
    assert_eq!(proxy.answer(proxy.request("/", &fields), false).await.status, 400, "they contradict");
}

#[tokio::test]
async fn the_flow_decides_who_is_let_in() {
    let (mut subject, port) = doorman::server_with(r#", "timeout": 60000"#, ON).await;
    let mut peer = Peer::connect(&port).await;
    for (answer, status) in [
        (r#", "accept": true, "identity": "ann", "headers": {"X-Two": "2"}"#, 200),
        (r#", "accept": false, "status": 402, "body": "no""#, 402),
    ] {
        let request = peer.request("/in", &[("sec-websocket-version", "13"), ("x-who", "ann")]);
        let decide = async {
            let asked = loop {
                if let Seen::Event("door", event) = subject.next().await {
                    break event;
                }
            };
            assert_eq!(member(&asked, "method").as_str(), Some("CONNECT"));
            assert_eq!(member(&asked, "path").as_str(), Some("/in"));
            assert_eq!(member(&asked, "authority").as_str(), Some(&*port.address()));
            assert_eq!(member(&asked, "headers").to_string(), r#"{"x-who":"ann"}"#);
            doorman::say(&mut subject, &asked, answer).await;
        };
        let (answered, ()) = tokio::join!(peer.answer(request, false), decide);
        assert_eq!(answered.status, status);
        match status {
            200 => assert_eq!(answered.header("x-two").as_deref(), Some("2")),
            _ => assert_eq!(answered.body, "no\n"),
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_while_the_flow_thinks_is_told_of() {
    let (mut subject, port) = doorman::server_with(r#", "timeout": 60000"#, ON).await;
    let peer = Peer::connect(&port).await;
    let request = peer.request("/in", &[("sec-websocket-version", "13")]);
    let mut ready = within(peer.send.clone().ready()).await.unwrap();
    let (_response, mut send) = ready.send_request(request, false).unwrap();
    assert!(matches!(subject.next().await, Seen::Event("door", _)));
    send.send_reset(h2::Reason::CANCEL);
    let told = subject.next_told().await;
    let members = ["kind", "status", "reason"].map(|name| member(&told, name));
    assert_eq!(members, ["rejected".into(), 0.into(), "gone".into()]);
}
