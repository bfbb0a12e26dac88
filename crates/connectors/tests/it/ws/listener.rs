//! Peers that misbehave harm nobody but themselves.

use super::peers::{Port, echo, head, round_trip, server, upgrade};
use crate::harness::within;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What the peer says until the connection ends, without caring how.
async fn rest(tcp: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _reset_or_not = within(tcp.read_to_end(&mut rest)).await;
    rest
}

async fn stalled(port: &Port, begun: &[u8]) -> TcpStream {
    let mut tcp = port.tcp().await;
    tcp.write_all(begun).await.unwrap();
    tcp
}

#[tokio::test]
async fn bad_handshakes_are_answered_and_others_go_on() {
    let (subject, port) = server("").await;
    echo(subject, |_| {});
    let mut good = port.client().await;
    round_trip(&mut good, 1).await;

    let mut tls_hello = stalled(&port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    round_trip(&mut good, 2).await;
    let answer = port.ask("GET / HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(answer.contains("Sec-WebSocket-Version: 13\r\n"), "{answer}");
    let answer = port.ask("what is this\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    drop(stalled(&port, b"GET / HT").await);
    drop(stalled(&port, b"").await);
    round_trip(&mut good, 3).await;
    tls_hello.shutdown().await.unwrap();
    rest(&mut tls_hello).await;
    round_trip(&mut port.client().await, 4).await;
}

#[tokio::test]
async fn two_hundred_stalled_handshakes_hold_up_nobody() {
    let (subject, port) = server("").await;
    echo(subject, |_| {});
    let mut stalled_ones = Vec::new();
    for number in 0..200 {
        let begun: &[u8] = if number % 2 == 0 { b"GET / HTTP/1.1\r\nHost: h" } else { b"" };
        stalled_ones.push(stalled(&port, begun).await);
    }
    round_trip(&mut port.client().await, 1).await;
}

#[tokio::test]
async fn a_stalled_handshake_is_cut_when_its_time_is_over() {
    let (_subject, port) = server(r#", "open_handshake_timeout": 100"#).await;
    let mut silent = stalled(&port, b"").await;
    let mut begun = stalled(&port, b"GET / HTTP/1.1\r\n").await;
    assert_eq!(rest(&mut silent).await, b"");
    assert!(rest(&mut begun).await.starts_with(b"HTTP/1.1 408 "));
}

#[tokio::test]
async fn one_connection_more_than_allowed_is_told_to_come_back() {
    let (subject, port) = server(r#", "max_connections": 2"#).await;
    echo(subject, |_| {});
    let (mut first, mut second) = (port.client().await, port.client().await);
    let answer = port.ask(&upgrade("here", "")).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: "), "{answer}");
    round_trip(&mut first, 1).await;
    round_trip(&mut second, 2).await;
    first.close(None).await.unwrap();
    drop(first);
    // The place is free once the server has noticed.
    within(async {
        loop {
            let mut tcp = port.tcp().await;
            tcp.write_all(upgrade("here", "").as_bytes()).await.unwrap();
            if head(&mut tcp).await.starts_with("HTTP/1.1 101 ") {
                return;
            }
        }
    })
    .await;
    round_trip(&mut second, 3).await;
}

#[tokio::test]
async fn one_handshake_more_than_allowed_is_told_to_come_back() {
    let (subject, port) = server(r#", "max_pending_handshakes": 2"#).await;
    echo(subject, |_| {});
    let mut good = port.client().await;
    let pending = [stalled(&port, b"GET /").await, stalled(&port, b"GET /").await];
    let answer = port.ask("").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    round_trip(&mut good, 1).await;
    drop(pending);
}

#[tokio::test]
async fn frames_right_behind_the_request_are_not_lost() {
    let (subject, port) = server("").await;
    echo(subject, |_| {});
    let mut tcp = port.tcp().await;
    let mut bytes = upgrade("here", "").into_bytes();
    bytes.extend_from_slice(b"\x81\x81\0\0\0\x007");
    tcp.write_all(&bytes).await.unwrap();
    assert!(head(&mut tcp).await.starts_with("HTTP/1.1 101 "));
    let mut echoed = [0; 3];
    within(tcp.read_exact(&mut echoed)).await.unwrap();
    assert_eq!(&echoed, b"\x81\x017");
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_loses_its_connection_alone() {
    let (subject, port) = server("").await;
    echo(subject, |_| {});
    let mut good = port.client().await;
    let mut bad = port.tcp().await;
    bad.write_all(upgrade("here", "").as_bytes()).await.unwrap();
    head(&mut bad).await;
    bad.write_all(b"\x81\x011").await.unwrap();
    assert!(rest(&mut bad).await.starts_with(b"\x88"), "a Close");
    round_trip(&mut good, 1).await;
}

/// Neither open connections nor begun handshakes hold up the end.
#[tokio::test]
async fn a_drain_and_a_stop_with_everything_under_way() {
    let (subject, port) = server("").await;
    let mut good = port.client().await;
    let mut begun = stalled(&port, b"GET / HTTP/1.1\r\n").await;
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    let stopping = tokio::spawn({
        let handle = subject.handle.clone();
        async move { handle.stop().await }
    });
    assert_eq!(super::peers::close_code(&mut good).await, 1001);
    within(stopping).await.unwrap();
    assert_eq!(rest(&mut begun).await, b"");
}
