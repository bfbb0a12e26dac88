//! What the options of Crossbar do (`spec/websocket.md` 19), seen from the other side of the wire, wherever they stand.

use super::{
    client_opening::{start, welcome},
    peers::{Port, client, echo, head, server, upgrade},
};
use crate::harness::{Clock, Seen, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// `option` as Crossbar has it, and beside all others.
fn in_both_places(option: &str) -> [String; 2] {
    if option.is_empty() {
        return [String::new(), String::new()];
    }
    [format!(r#", "options": {{{option}}}"#), format!(", {option}")]
}

/// A raw connection to an echo that has this option.
async fn opened(more: &str, path: &str) -> (TcpStream, String) {
    opened_with(more, path, "").await
}

/// The same with further lines in the request.
async fn opened_with(more: &str, path: &str, lines: &str) -> (TcpStream, String) {
    let (subject, port) = server(more).await;
    echo(subject, |_| {});
    let mut tcp = port.tcp().await;
    let request = upgrade("here", lines).replacen("GET /", &format!("GET {path}"), 1);
    tcp.write_all(request.as_bytes()).await.unwrap();
    let answer = head(&mut tcp).await;
    (tcp, answer)
}

/// Sends `frames` and gives what comes back until the server ends the connection, or until there are `enough` bytes.
async fn answered(more: &str, frames: &[u8], enough: usize) -> Vec<u8> {
    let (mut tcp, _) = opened(more, "/").await;
    tcp.write_all(frames).await.unwrap();
    read(&mut tcp, enough).await
}

async fn read(tcp: &mut TcpStream, enough: usize) -> Vec<u8> {
    let mut seen = vec![0; enough];
    let mut len = 0;
    while len < enough {
        match within(tcp.read(&mut seen[len..])).await {
            Ok(0) | Err(_) => break,
            Ok(more) => len += more,
        }
    }
    seen.truncate(len);
    seen
}

/// A frame with the key zero, which changes nothing.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | len, 0, 0, 0, 0][..], payload].concat()
}

/// Everything.
const ALL: usize = 1000;

#[tokio::test]
async fn a_server_does_what_its_options_say() {
    let one = || masked(0x81, b"1");
    let long = || masked(0x81, br#""0123456789""#);
    let fragments = || [masked(0x01, b"1"), masked(0, b"2"), masked(0x80, b"")].concat();
    let goodbye = || masked(0x88, b"\x0f\xa1bye");
    let (protocol_error, no_text) = (&b"\x88\x02\x03\xea"[..], &b"\x88\x02\x03\xef"[..]);
    for (option, frames, expected) in [
        ("", one(), &b"\x81\x011"[..]),
        // Without a mask.
        ("", b"\x81\x011".to_vec(), protocol_error),
        (r#""require_masked_client_frames": false"#, b"\x81\x011".to_vec(), b"\x81\x011"),
        // What is no UTF-8 is no JSON either, so the connection just goes on.
        ("", masked(0x81, b"\xff"), no_text),
        (r#""validate_utf8": false"#, [masked(0x81, b"\xff"), one()].concat(), b"\x81\x011"),
        (r#""fail_by_drop": true"#, b"\x81\x011".to_vec(), b""),
        ("", goodbye(), b"\x88\x02\x03\xe8"),
        (r#""echo_close_codereason": true"#, goodbye(), b"\x88\x05\x0f\xa1bye"),
        (r#""auto_fragment_size": 5"#, long(), b"\x01\x05\"0123\0\x0545678\x80\x029\""),
        (r#""max_frame_size": 10"#, long(), b"\x88\x02\x03\xf1"),
        (r#""max_frame_size": 12"#, long(), b"\x81\x0c\"0123456789\""),
        (r#""max_message_size": 1"#, fragments(), b"\x88\x02\x03\xf1"),
        (r#""max_message_size": 2"#, fragments(), b"\x81\x0212"),
        (r#""max_fragments": 1"#, fragments(), b"\x88\x02\x03\xf0"),
        (r#""max_fragments": 2"#, fragments(), b"\x81\x0212"),
        (r#""accept": "binary""#, one(), b"\x88\x02\x03\xeb"),
    ] {
        for more in in_both_places(option) {
            // Of a Close all that counts here is its code.
            let is_close = expected.first() == Some(&0x88) && expected.len() == 4;
            let mut seen = answered(&more, &frames, if is_close { 4 } else { expected.len() }).await;
            if is_close && seen.len() == 4 {
                seen[1] = 2;
            }
            assert_eq!(seen, expected, "{more}");
        }
    }
    assert_eq!(
        answered(r#", "fail_by_drop": true"#, b"\x81\x011", ALL).await,
        b"",
        "not a byte before the end"
    );
}

#[tokio::test]
async fn masks_of_a_server_are_for_those_who_ask_for_the_impossible() {
    for more in in_both_places(r#""mask_server_frames": true"#) {
        let seen = answered(&more, &masked(0x81, b"7"), 7).await;
        assert_eq!((seen[..2].to_vec(), seen[6] ^ seen[2]), (b"\x81\x81".to_vec(), b'7'), "{more}");
    }
    // The bit is set, and the payload is raw.
    for more in in_both_places(r#""mask_server_frames": true, "apply_mask": false"#) {
        let seen = answered(&more, &masked(0x81, b"7"), 7).await;
        assert_eq!((seen[..2].to_vec(), seen[6]), (b"\x81\x81".to_vec(), b'7'), "{more}");
    }
}

#[tokio::test]
async fn versions_of_the_protocol_are_those_that_are_enabled() {
    let eight = |more: &str| upgrade("here", more).replace("Version: 13", "Version: 8");
    let thirteen = || upgrade("here", "");
    let origin = r#""allowed_origins": ["https://a.example"]"#;
    let draft = format!(r#""enable_hybi10": true, {origin}"#);
    let required = format!(r#"{draft}, "require_origin": true"#);
    for (option, request, expected) in [
        ("", thirteen(), "HTTP/1.1 101 "),
        ("", eight(""), "HTTP/1.1 426 "),
        (r#""enable_hybi10": true"#, thirteen(), "HTTP/1.1 101 "),
        (r#""enable_hybi10": true"#, eight(""), "HTTP/1.1 101 "),
        // There the header of the origin has another name.
        (draft.as_str(), eight("Sec-WebSocket-Origin: https://a.example\r\n"), "HTTP/1.1 101 "),
        (draft.as_str(), eight("Sec-WebSocket-Origin: https://b.example\r\n"), "HTTP/1.1 403 "),
        // Whoever sends both, or the usual one, is no better than the worse of them.
        (draft.as_str(), eight("Origin: https://a.example\r\n"), "HTTP/1.1 101 "),
        (draft.as_str(), eight("Origin: https://b.example\r\n"), "HTTP/1.1 403 "),
        (
            draft.as_str(),
            eight("Sec-WebSocket-Origin: https://a.example\r\nOrigin: https://b.example\r\n"),
            "HTTP/1.1 403 ",
        ),
        (
            draft.as_str(),
            eight("Sec-WebSocket-Origin: https://b.example\r\nOrigin: https://a.example\r\n"),
            "HTTP/1.1 403 ",
        ),
        (required.as_str(), eight("Origin: https://a.example\r\n"), "HTTP/1.1 101 "),
        (required.as_str(), eight("Sec-WebSocket-Origin: https://a.example\r\n"), "HTTP/1.1 101 "),
        (required.as_str(), eight(""), "HTTP/1.1 403 "),
        (r#""enable_hybi10": true, "enable_rfc6455": false"#, eight(""), "HTTP/1.1 101 "),
        (r#""enable_hybi10": true, "enable_rfc6455": false"#, thirteen(), "HTTP/1.1 426 "),
    ] {
        for more in in_both_places(option) {
            let (subject, port) = server(&more).await;
            echo(subject, |_| {});
            let mut tcp = port.tcp().await;
            tcp.write_all(request.as_bytes()).await.unwrap();
            let answer = head(&mut tcp).await;
            assert!(answer.starts_with(expected), "{more}: {answer}");
            let versions = answer.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Version: "));
            if expected.contains("426") {
                let spoken = if more.contains("6455") { "8" } else { "13" };
                assert_eq!(versions, Some(spoken), "{more}: {answer}");
            }
            if expected.contains("101") {
                tcp.write_all(&masked(0x81, b"1")).await.unwrap();
                assert_eq!(read(&mut tcp, 3).await, b"\x81\x011", "{more}");
            }
        }
    }
}

#[tokio::test]
async fn requests_may_be_so_long_and_come_from_so_far() {
    for (option, path, headers, expected) in [
        (r#""max_target_size": 6"#, "/12345", "", "101"),
        (r#""max_target_size": 6"#, "/123456", "", "414"),
        (r#""max_header_size": 200"#, "/", &format!("X: {}\r\n", "1".repeat(200)), "431"),
        (r#""max_headers": 5"#, "/", "X: 1\r\n", "431"),
        (r#""max_headers": 5"#, "/", "", "101"),
        (r#""require_origin": true"#, "/", "", "403"),
        (r#""external_port": 80"#, "/", "", "101"),
        (r#""external_port": 81"#, "/", "", "421"),
    ] {
        for more in in_both_places(option) {
            let (_tcp, answer) = opened_with(&more, path, headers).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{more} {path}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_close_that_is_not_answered_is_waited_for_no_longer_than_it_may_take() {
    for more in in_both_places(r#""close_handshake_timeout": 1"#) {
        let (subject, port) = server(&more).await;
        let mut tcp = port.tcp().await;
        tcp.write_all(upgrade("here", "").as_bytes()).await.unwrap();
        head(&mut tcp).await;
        let handle = subject.handle.clone();
        let stopped = tokio::spawn(async move { within(handle.stop()).await });
        // We leave the Close unanswered, and the connection ends all the same.
        assert_eq!(read(&mut tcp, ALL).await[..2], *b"\x88\x02", "{more}");
        stopped.await.unwrap();
    }
}

/// What a client with this option sends when it is given `1`, and whether it takes `reply` for a message.
async fn of_client(more: &str, reply: &[u8]) -> (Vec<u8>, Option<String>) {
    let port = Port::reserve();
    let listener = port.listen();
    let mut subject = client(&port, more, r#""none""#);
    let started = start(&subject);
    let (mut tcp, _) = welcome(&listener, "").await;
    within(started).await.unwrap().unwrap();
    subject.open();
    subject.give("1").await;
    let len = if more.contains(r#""mask_client_frames": false"#) { 3 } else { 7 };
    let sent = read(&mut tcp, len).await;
    tcp.write_all(reply).await.unwrap();
    let taken = match subject.next().await {
        Seen::Event("out", event) => Some(event.payload.value().to_string()),
        _ => None,
    };
    (sent, taken)
}

#[tokio::test]
async fn a_client_does_what_its_options_say() {
    let (plain, with_mask) = (b"\x81\x012".to_vec(), masked(0x81, b"2"));
    for (option, reply, takes) in [
        ("", &plain, true),
        ("", &with_mask, false),
        (r#""accept_masked_server_frames": true"#, &with_mask, true),
        (r#""mask_client_frames": false"#, &plain, true),
        (r#""apply_mask": false"#, &plain, true),
    ] {
        for more in in_both_places(option) {
            let (sent, taken) = of_client(&more, reply).await;
            assert_eq!(taken.as_deref(), takes.then_some("2"), "{more}");
            match option {
                r#""mask_client_frames": false"# => assert_eq!(sent, b"\x81\x011", "{more}"),
                r#""apply_mask": false"# => {
                    assert_eq!((sent[..2].to_vec(), sent[6]), (b"\x81\x81".to_vec(), b'1'), "{more}");
                    assert_ne!(sent[2..6], [0; 4], "{more}");
                }
                _ => assert_eq!(
                    (sent[..2].to_vec(), sent[6] ^ sent[2]),
                    (b"\x81\x81".to_vec(), b'1'),
                    "{more}"
                ),
            }
        }
    }
}

/// The set that `spec/websocket.md` 19 gives for production: as it is written there, and at work.
#[tokio::test]
async fn the_conservative_set_works() {
    let set = r#", "options": {"max_frame_size": 1048576, "max_message_size": 1048576, "auto_fragment_size": 65536,
        "fail_by_drop": true, "open_handshake_timeout": 2500, "close_handshake_timeout": 1000,
        "auto_ping_interval": 10000, "auto_ping_timeout": 5000,
        "compression": {"deflate": {"request_max_window_bits": 11, "max_window_bits": 11, "memory_level": 4}}}"#;
    let (subject, port) = server(set).await;
    echo(subject, |_| {});
    let mut feed = client(&port, set, r#""none""#);
    within(feed.handle.start()).await.unwrap();
    feed.open();
    let text = format!("\"{}\"", "0123456789abcdef".repeat(20_000));
    feed.give(&text).await;
    let event = feed.next_event().await;
    assert!(event.payload.value().to_string() == text);
    let told = event.meta.get("ws_client").unwrap();
    let extensions = told.get("extensions").unwrap().to_string();
    assert!(extensions.contains("server_max_window_bits=11"), "{extensions}");
    assert!(extensions.contains("client_max_window_bits=11"), "{extensions}");
    // Frames of that size leave no room for more.
    let mut tcp = port.tcp().await;
    tcp.write_all(upgrade("here", "").as_bytes()).await.unwrap();
    head(&mut tcp).await;
    tcp.write_all(b"\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0").await.unwrap();
    assert_eq!(read(&mut tcp, ALL).await, b"", "it is dropped without a Close");
}

#[tokio::test]
async fn a_client_leaves_the_end_of_tcp_to_the_server_for_as_long_as_it_is_told() {
    let clock = Clock::stop();
    for (more, ms) in [("", 1000), (r#", "server_connection_drop_timeout": 300"#, 300)] {
        let port = Port::reserve();
        let listener = port.listen();
        let subject = client(&port, more, r#""none""#);
        let started = start(&subject);
        let (mut tcp, _) = welcome(&listener, "").await;
        within(started).await.unwrap().unwrap();
        subject.open();
        tcp.write_all(b"\x88\x02\x03\xe8").await.unwrap();
        assert_eq!(read(&mut tcp, 8).await[..2], [0x88, 0x82]);
        clock.advance(ms - 1).await;
        tokio::task::yield_now().await;
        assert!(tcp.try_read(&mut [0]).is_err(), "{ms}: it has not ended yet");
        clock.advance(2).await;
        assert_eq!(within(tcp.read(&mut [0])).await.unwrap(), 0, "{ms}");
    }
}
