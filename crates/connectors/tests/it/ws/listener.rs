//! Peers that misbehave harm nobody but themselves.

use super::peers::{PATIENT, Port, echo, head, mixed_sizes_come_back, round_trip, server, text, upgrade};
use crate::harness::{Clock, Seen, json, within};
use async_tungstenite::tungstenite::Message;
use futures_util::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tremor_codec::testing::Log;

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
    let (_subject, port) = server(r#", "open_handshake_timeout": 1000"#).await;
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
    let answer = String::from_utf8(rest(&mut begun).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
}

/// Who was in the middle of a handshake may take its time to read why that comes to nothing: the flow hears of it before it ends.
#[tokio::test]
async fn a_handshake_that_a_drain_refuses_is_told_in_time() {
    let (log, _listening) = Log::listen();
    let _clock = Clock::stop();
    let (mut subject, port) = super::control::server("").await;
    let mut begun = stalled(&port, b"GET / HTTP/1.1\r\n").await;
    // It is known to be begun when those who come later have been seen.
    drop(port.client().await);
    for _opened_and_closed in 0..2 {
        subject.next_told().await;
    }
    subject.front_is_done().await;
    // No time passes: the peer is there all the while.
    within(subject.handle.drain()).await;
    let told = loop {
        if let Seen::Event("control", event) = subject.next().await {
            break event.payload.value().clone();
        }
    };
    assert_eq!(told, json(r#"{"kind":"rejected","status":503,"reason":"unavailable"}"#));
    assert!(log.text().contains("a handshake failed: 127.0.0.1:"), "{}", log.text());
    assert!(head(&mut begun).await.starts_with("HTTP/1.1 503 "));
    within(subject.handle.stop()).await;
}

/// Those who have not asked for anything yet are told when they do, as long as the flow is there.
#[tokio::test]
async fn who_asks_late_while_the_flow_drains_is_told_so() {
    let (subject, port) = server("").await;
    let mut silent = stalled(&port, b"").await;
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    silent.write_all(upgrade("here", "").as_bytes()).await.unwrap();
    let answer = String::from_utf8(rest(&mut silent).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
    within(subject.handle.stop()).await;
}

/// A connection that has sent `begun` behind its handshake.
async fn mid_message(port: &Port, begun: &[u8]) -> TcpStream {
    let mut tcp = port.tcp().await;
    tcp.write_all(upgrade("h", "").as_bytes()).await.unwrap();
    assert!(head(&mut tcp).await.starts_with("HTTP/1.1 101"));
    tcp.write_all(begun).await.unwrap();
    tcp
}

#[tokio::test]
async fn messages_that_never_end_hold_up_nobody() {
    let (subject, port) = server("").await;
    echo(subject, |_| {});
    let mut unfinished = Vec::new();
    for number in 0..50 {
        // The first byte of a header, a header without its payload, a fragment that is not the last.
        let begun: &[u8] = match number % 3 {
            0 => b"\x81",
            1 => b"\x81\xfe\xff\xff\0\0\0\0[1",
            _ => b"\x01\x82\0\0\0\0[1",
        };
        unfinished.push(mid_message(&port, begun).await);
    }
    let mut good = port.client().await;
    for number in 0..10 {
        for slow in &mut unfinished {
            // Whether it is a mistake by now is not what this is about.
            let _open_or_not = slow.write_all(b"1").await;
        }
        round_trip(&mut good, number).await;
    }
}

#[tokio::test]
async fn messages_of_all_sizes_come_back_whole_and_in_order() {
    for more in ["", r#", "auto_fragment_size": 50000"#] {
        let (subject, port) = server(&format!("{PATIENT}{more}")).await;
        echo(subject, |_| {});
        mixed_sizes_come_back(port.client().await).await;
    }
}

#[tokio::test]
async fn a_large_message_passes_where_it_may_is_refused_where_it_may_not_and_harms_nobody() {
    // More than a frame may have by default.
    const BYTES: usize = 24 << 20;
    let most =
        format!(r#", "max_message_size": {BYTES}, "max_frame_size": {BYTES}, "auto_fragment_size": 1048576"#);
    for (more, passes) in [("", false), (most.as_str(), true)] {
        let (subject, port) = server(more).await;
        echo(subject, |_| {});
        let (large, mut good) = (port.client().await, port.client().await);
        let message = format!("\"{}\"", "x".repeat(BYTES - 2));
        let (mut sending, mut receiving) = large.split();
        let send = async {
            // Who is refused sees the connection end in the middle.
            let _sent_or_not = sending.send(text(&message)).await;
        };
        let receive = async {
            match receiving.next().await {
                Some(Ok(Message::Close(frame))) => Err(frame.map(|frame| u16::from(frame.code))),
                Some(Ok(answer)) => Ok(answer.len()),
                Some(Err(_)) | None => Ok(0),
            }
        };
        let others = async {
            for number in 0..20 {
                round_trip(&mut good, number).await;
            }
        };
        let ((), answer, ()) = within(async { tokio::join!(send, receive, others) }).await;
        match answer {
            // A peer that is busy sending may see the end and not what came before it.
            Ok(length) => assert_eq!(length, if passes { BYTES } else { 0 }),
            Err(code) => assert_eq!((code, passes), (Some(1009), false)),
        }
        round_trip(&mut good, 21).await;
    }
}

/// The log has ten lines of a flood of refused handshakes, and tells in the end how many there were besides.
#[tokio::test]
async fn refused_handshakes_that_the_log_leaves_out_are_counted_there() {
    let (log, _listening) = Log::listen();
    let clock = Clock::stop();
    let (_subject, port) = server(r#", "routes": [{"when": {"path": "/a"}, "exit": "a"}]"#).await;
    let request = upgrade("here", "").replacen("GET /", "GET /nope?token=secret", 1);
    let flood = async |count: usize| {
        for _ in 0..count {
            let answer = port.ask(&request).await;
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        }
    };
    let lines = || log.text().matches(": /nope: answered 404 (no_route): there is nothing here").count();
    let left_out = || {
        let text = log.text();
        let count = |line: &str| {
            let (before, _) = line.split_once(" more ")?;
            before.rsplit(' ').next()?.parse::<usize>().ok()
        };
        text.lines().filter_map(count).sum::<usize>()
    };
    let are_told = async |count: usize| {
        while lines() + left_out() < count {
            clock.advance(10).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(lines() + left_out(), count, "{}", log.text());
    };
    flood(40).await;
    within(are_told(40)).await;
    assert!(lines() <= 20 && log.text().contains(" more handshakes failed"), "{}", log.text());
    clock.advance(1000).await;
    flood(11).await;
    within(are_told(51)).await;
    assert!(!log.text().contains("secret"));
}
