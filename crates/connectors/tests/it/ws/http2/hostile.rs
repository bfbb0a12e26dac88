//! Peers that want to do harm, frame by frame.

use super::{ON, peer::Peer};
use crate::{
    harness::within,
    ws::peers::{Port, echo, round_trip, server},
};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const INITIAL_WINDOW_SIZE: u8 = 4;
const REFUSED_STREAM: u8 = 7;
const CANCEL: u8 = 8;
const ENHANCE_YOUR_CALM: u8 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request for a WebSocket.
fn request(stream: u32) -> Vec<u8> {
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "here"),
        (":path", "/"),
        ("sec-websocket-version", "13"),
    ];
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// A connection that has just begun.
async fn begun(port: &Port) -> TcpStream {
    let mut tcp = port.tcp().await;
    let begin = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat();
    tcp.write_all(&begin).await.unwrap();
    tcp
}

/// Reads up to the first frame of that kind; its stream and payload.
async fn next(tcp: &mut TcpStream, kind: u8) -> (u32, Vec<u8>) {
    loop {
        let mut head = [0; 9];
        within(tcp.read_exact(&mut head)).await.unwrap();
        let [high, middle, low, own, _, stream @ ..] = head;
        let mut payload = vec![0; usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)];
        within(tcp.read_exact(&mut payload)).await.unwrap();
        if own == kind {
            return (u32::from_be_bytes(stream), payload);
        }
    }
}

/// Sends a flood and expects to be sent away, while others are served.
async fn is_sent_away(flood: Vec<u8>) {
    let (subject, port) = server(ON).await;
    echo(subject, |_| {});
    let mut good = Peer::connect(&port).await;
    let mut ws = good.open("/").await;
    let (mut reading, mut writing) = {
        let mut tcp = begun(&port).await;
        let settings = next(&mut tcp, SETTINGS).await;
        assert_eq!(settings.0, 0);
        tcp.into_split()
    };
    let sending = tokio::spawn(async move {
        // The server stops reading at some point, and goes.
        let _all_or_not = writing.write_all(&flood).await;
        writing
    });
    let mut answer = Vec::new();
    let _ended_or_reset = within(reading.read_to_end(&mut answer)).await;
    let mut rest = &answer[..];
    let mut reason = None;
    while let Some((head, behind)) = rest.split_first_chunk::<9>() {
        let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let Some((payload, behind)) = behind.split_at_checked(len) else { break };
        if head[3] == GOAWAY {
            reason = Some(payload[7]);
        }
        rest = behind;
    }
    assert_eq!(reason, Some(ENHANCE_YOUR_CALM));
    drop(within(sending).await);
    round_trip(&mut ws, 1).await;
}

#[tokio::test]
async fn floods_of_frames_that_carry_nothing_are_cut_off() {
    is_sent_away(frame(PING, 0, 0, &[7; 8]).repeat(2000)).await;
    is_sent_away(frame(SETTINGS, 0, 0, &[]).repeat(2000)).await;
}

#[tokio::test]
async fn streams_that_are_opened_and_given_up_at_once_are_cut_off() {
    let pair = |number: u32| {
        let stream = number * 2 + 1;
        [request(stream), frame(RESET, 0, stream, &[0, 0, 0, 8])].concat()
    };
    is_sent_away((0..1000).flat_map(pair).collect()).await;
}

#[tokio::test]
async fn a_head_in_endless_pieces_is_cut_off() {
    let start = frame(HEADERS, 0, 1, &[0x82]);
    let more = frame(CONTINUATION, 0, 1, &[0, 1, b'x', 1, b'y']).repeat(1000);
    is_sent_away([start, more].concat()).await;
}

#[tokio::test]
async fn one_stream_more_than_there_may_be_is_refused() {
    let (_subject, port) = server(ON).await;
    let mut tcp = begun(&port).await;
    let requests: Vec<u8> = (0..101).flat_map(|number| request(number * 2 + 1)).collect();
    tcp.write_all(&requests).await.unwrap();
    let (stream, payload) = next(&mut tcp, RESET).await;
    assert_eq!((stream, payload[3]), (201, REFUSED_STREAM));
}

#[tokio::test]
async fn what_begins_and_does_not_go_on_is_closed_in_time() {
    let (_subject, port) = server(r#", "http2": true, "open_handshake_timeout": 1000"#).await;
    let mut tcp = port.tcp().await;
    tcp.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let mut answer = Vec::new();
    within(tcp.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    // One that asks for nothing.
    let mut tcp = begun(&port).await;
    assert_eq!(next(&mut tcp, GOAWAY).await.1[7], 0);
    within(tcp.read_to_end(&mut answer)).await.unwrap();
}

/// A peer may say that nothing must be sent to it.
#[tokio::test]
async fn a_window_that_never_opens_is_waited_for_as_long_as_a_write_may_take() {
    let (subject, port) = server(r#", "http2": true, "write_timeout": 100"#).await;
    echo(subject, |_| {});
    let mut tcp = begun(&port).await;
    let no_window = frame(SETTINGS, 0, 0, &[0, INITIAL_WINDOW_SIZE, 0, 0, 0, 0]);
    tcp.write_all(&[no_window, request(1)].concat()).await.unwrap();
    assert_eq!(next(&mut tcp, HEADERS).await.0, 1);
    let message = frame(DATA, 0, 1, b"\x81\x81\0\0\0\x007");
    tcp.write_all(&message).await.unwrap();
    let (stream, payload) = next(&mut tcp, RESET).await;
    assert_eq!((stream, payload[3]), (1, CANCEL));
    // The connection goes on.
    tcp.write_all(&request(3)).await.unwrap();
    assert_eq!(next(&mut tcp, HEADERS).await.0, 3);
}

/// Frames of one byte are slow but no crime.
#[tokio::test]
async fn messages_may_come_byte_by_byte() {
    let (mut subject, port) = server(ON).await;
    let mut tcp = begun(&port).await;
    tcp.write_all(&request(1)).await.unwrap();
    let text = format!("\"{}\"", "x".repeat(5000));
    let len = u16::try_from(text.len()).unwrap().to_be_bytes();
    let message = [&[0x81, 0xfe], &len[..], &[0; 4], text.as_bytes()].concat();
    let frames: Vec<u8> = message.iter().flat_map(|byte| frame(DATA, 0, 1, &[*byte])).collect();
    tcp.write_all(&frames).await.unwrap();
    assert_eq!(subject.next_value().await, text);
}

#[tokio::test]
async fn a_stream_is_given_up_wherever_it_is() {
    let (subject, port) = server(ON).await;
    echo(subject, |_| {});
    let mut tcp = begun(&port).await;
    let reset = |stream| frame(RESET, 0, stream, &[0, 0, 0, CANCEL]);
    // Before it is looked at, in the middle of a message, and once more when it is gone.
    let half = frame(DATA, 0, 3, b"\x81\x81\0\0");
    tcp.write_all(&[request(1), reset(1), request(3), half, reset(3), reset(3)].concat()).await.unwrap();
    // Behind a goodbye of the peer its streams go on.
    let goodbye = frame(GOAWAY, 0, 0, &[0; 8]);
    tcp.write_all(&[request(5), goodbye].concat()).await.unwrap();
    while next(&mut tcp, HEADERS).await.0 != 5 {}
    tcp.write_all(&frame(DATA, 0, 5, b"\x81\x81\0\0\0\x007")).await.unwrap();
    assert_eq!(next(&mut tcp, DATA).await, (5, b"\x81\x017".to_vec()));
}

/// One that does not read what it is sent holds up neither the others of its connection nor the server.
#[tokio::test]
async fn a_stream_that_is_not_read_stands_alone() {
    let (subject, port) = server(ON).await;
    echo(subject, |_| {});
    let mut peer = Peer::connect(&port).await;
    let (mut send, _unread) = peer.open_raw("/stalled").await;
    let message = [&b"\x82\xfe\x0f\xff\0\0\0\0\""[..], &[b'x'; 4093], b"\""].concat();
    let message = Bytes::from(message);
    let stalled = tokio::spawn(async move {
        let mut sent = 0_usize;
        loop {
            send.reserve_capacity(message.len());
            while send.capacity() < message.len() {
                let more = std::future::poll_fn(|cx| send.poll_capacity(cx));
                // Without end when nothing is taken any more, which the test does not wait for.
                if !matches!(more.await, Some(Ok(_))) {
                    return sent;
                }
            }
            send.send_data(message.clone(), false).unwrap();
            sent += message.len();
        }
    });
    let mut ws = peer.open("/").await;
    for number in 0..200 {
        round_trip(&mut ws, number).await;
    }
    stalled.abort();
}
