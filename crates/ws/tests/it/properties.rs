//! Properties that hold for any bytes.

use crate::wire::{Setup, frame};
use bytes::BytesMut;
use proptest::prelude::*;
use std::sync::Arc;
use tremor_ws::{
    ClientHandshake, ClientRequest, Encoder, HandshakeOptions, Incoming, Limits, Options, Role,
    ServerHandshake,
};

#[derive(Debug, Clone)]
enum Sent {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn sent() -> impl Strategy<Value = Sent> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    prop_oneof![
        ".{0,60}".prop_map(Sent::Text),
        bytes(400).prop_map(Sent::Binary),
        bytes(126).prop_map(Sent::Ping),
        bytes(126).prop_map(Sent::Pong),
    ]
}

/// Bytes that look like frames often enough to get deep into the decoder.
fn frame_like() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x00u8, 0x01, 0x02, 0x80, 0x81, 0x82, 0x89, 0x8a]),
        1 => Just(0x88u8),
        1 => any::<u8>()
    ];
    let payload =
        prop_oneof![prop::collection::vec(any::<u8>(), 0..140), "\\PC{0,40}".prop_map(String::into_bytes),];
    let one = (first, any::<[u8; 4]>(), payload)
        .prop_map(|(first, key, payload)| frame(first, Some(key), &payload));
    prop::collection::vec(one, 0..12).prop_map(|frames| frames.concat())
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_arrives(
        all in prop::collection::vec(sent(), 0..20),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        auto_fragment_size in 0usize..50,
        client_sends in any::<bool>(),
    ) {
        let (role, peer) = if client_sends { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
        let mut encoder = Encoder::new(role, Options { auto_fragment_size, ..Options::default() });
        let mut out = Vec::new();
        let mut expected = Vec::new();
        for one in all {
            match one {
                Sent::Text(text) => {
                    encoder.message(text.as_bytes(), false, &mut out).unwrap();
                    expected.push((text.into_bytes(), "text"));
                }
                Sent::Binary(bytes) => {
                    encoder.message(&bytes, true, &mut out).unwrap();
                    expected.push((bytes, "binary"));
                }
                Sent::Ping(bytes) => {
                    encoder.ping(&bytes, &mut out).unwrap();
                    expected.push((bytes, "ping"));
                }
                Sent::Pong(bytes) => {
                    encoder.pong(&bytes, &mut out).unwrap();
                    expected.push((bytes, "pong"));
                }
            }
        }
        let (events, error) = Setup::new(peer).feed(pieces(&out, &cuts));
        prop_assert_eq!(error, None);
        let arrived: Vec<(Vec<u8>, &str)> = events.into_iter().map(|event| match event {
            Incoming::Message { payload, binary: true, .. } => (payload.to_vec(), "binary"),
            Incoming::Message { payload, binary: false, .. } => (payload.to_vec(), "text"),
            Incoming::Ping(bytes) => (bytes.to_vec(), "ping"),
            Incoming::Pong(bytes) => (bytes.to_vec(), "pong"),
            Incoming::Close { .. } => (Vec::new(), "close"),
        }).collect();
        prop_assert_eq!(arrived, expected);
    }

    #[test]
    fn cuts_change_nothing(
        bytes in prop_oneof![frame_like(), prop::collection::vec(any::<u8>(), 0..300)],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        is_client in any::<bool>(),
    ) {
        let limits = Limits { max_frame_bytes: 130, max_message_bytes: 300, max_fragments: 5 };
        let options = Options {
            require_masked_client_frames: false,
            accept_masked_server_frames: true,
            ..Options::default()
        };
        let role = if is_client { Role::Client } else { Role::Server };
        let setup = Setup { role, limits, options, deflate: None };
        let whole = setup.whole(&bytes);
        prop_assert_eq!(&setup.feed(pieces(&bytes, &cuts)), &whole);
        prop_assert_eq!(&setup.feed(bytes.chunks(1)), &whole);
        for event in whole.0 {
            if let Incoming::Message { payload, binary, frames, .. } = event {
                prop_assert!(payload.len() <= 300 && (1..=5).contains(&frames));
                prop_assert!(binary || std::str::from_utf8(&payload).is_ok());
            }
        }
    }

    #[test]
    fn any_request_is_answered_the_same_however_it_is_cut(
        lines in prop::collection::vec("(GET /[a-z%?#]{0,9} HTTP/1.1|Host: [a-z:0-9]{0,5}|Upgrade: websocket|Connection: upgrade|Sec-WebSocket-(Version: 13|Key: AAECAwQFBgcICQoLDA0ODw==|Protocol: [a-c, ]{0,5}|Extensions: [a-c,;=\" ]{0,8})|\\PC{0,20}|[\\x00-\\x20a:]{0,6})", 0..9),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let text = lines.join("\r\n") + "\r\n\r\nrest";
        let run = |pieces: Vec<&[u8]>| {
            let mut handshake = ServerHandshake::new(Arc::new(HandshakeOptions::default()));
            let mut input = BytesMut::new();
            let mut result = Ok(None);
            let mut pieces = pieces.into_iter();
            while let (Ok(None), Some(piece)) = (&result, pieces.next()) {
                input.extend_from_slice(piece);
                result = handshake.advance(&mut input);
            }
            input.extend_from_slice(&pieces.collect::<Vec<_>>().concat());
            (result.clone(), result.is_ok().then(|| input.to_vec()))
        };
        let whole = run(vec![text.as_bytes()]);
        prop_assert_eq!(&run(pieces(text.as_bytes(), &cuts)), &whole);
        prop_assert_eq!(&run(text.as_bytes().chunks(1).collect()), &whole);
    }

    #[test]
    fn any_answer_is_survived(
        head in "(HTTP/1.1 [0-9]{3}( \\PC{0,5})?\r\n)?((Content-Length|Transfer-Encoding|Retry-After|Upgrade|X): (chunked|[0-9]{1,20}|\\PC{0,9})\r\n){0,4}(\r\n)?",
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..400), "([0-9a-f]{1,17}\r\n[a-z]{0,9}(\r\n)?){0,40}".prop_map(String::into_bytes)],
    ) {
        let bytes = [head.as_bytes(), &body].concat();
        let request = ClientRequest { host: "a".to_owned(), target: "/".to_owned(), ..ClientRequest::default() };
        let run = |size: usize| {
            let mut handshake = ClientHandshake::with_nonce(request.clone(), [0; 16]).unwrap();
            let mut input = BytesMut::new();
            for piece in bytes.chunks(size) {
                input.extend_from_slice(piece);
                match handshake.advance(&mut input) {
                    Ok(None) => {}
                    other => return other.map(|_| ()).unwrap_err(),
                }
            }
            handshake.cut_short(&input)
        };
        prop_assert_eq!(run(1), run(bytes.len().max(1)));
    }
}
