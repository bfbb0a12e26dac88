//! Messages that keep the rules, in both directions.

use crate::wire::{KEY, Setup, close, frame, hex, message, peer_key, text};
use bytes::BytesMut;
use tremor_ws::{Accepted, Decoder, EncodeError, Encoder, Incoming, Limits, Options, Role};

const SIZES: [usize; 9] = [0, 1, 125, 126, 127, 128, 65535, 65536, 1 << 20];

fn letters(len: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(len).collect()
}

#[test]
fn vectors_of_the_spec() {
    let client = Setup::new(Role::Client);
    let server = Setup::new(Role::Server);
    assert_eq!(client.every_way(&hex("8104666c6f77")), (vec![text("flow")], None));
    assert_eq!(server.every_way(&hex("818401020304676e6c73")), (vec![text("flow")], None));
    let expiry = hex("880f03f0746f6b656e2065787069726564");
    assert_eq!(client.every_way(&expiry), (vec![close(1008, "token expired")], None));

    let mut encoder = Encoder::new(Role::Server, Options::default());
    let mut out = Vec::new();
    encoder.message(b"flow", false, &mut out).unwrap();
    encoder.close(Some(1008), "token expired", &mut out).unwrap();
    assert_eq!(out, [hex("8104666c6f77"), expiry].concat());
}

#[test]
fn every_size_both_types_both_directions() {
    for role in [Role::Client, Role::Server] {
        let setup = Setup::new(role);
        for size in SIZES {
            let payload = letters(size);
            for binary in [false, true] {
                let wire = frame(if binary { 0x82 } else { 0x81 }, peer_key(role), &payload);
                let (events, error) = setup.every_way(&wire);
                assert_eq!(error, None);
                assert!(events == [message(&payload, binary, 1)], "{role:?}, {size} bytes, binary {binary}");
            }
        }
    }
}

#[test]
fn the_encoder_writes_what_a_hand_would() {
    let mut server = Encoder::new(Role::Server, Options::default());
    for size in SIZES {
        let payload = letters(size);
        let mut out = b"before".to_vec();
        server.message(&payload, true, &mut out).unwrap();
        server.message(&payload, false, &mut out).unwrap();
        let expected =
            [b"before".to_vec(), frame(0x82, None, &payload), frame(0x81, None, &payload)].concat();
        assert!(out == expected, "{size} bytes");
    }
}

#[test]
fn the_client_masks_every_frame_with_its_own_key() {
    let mut client = Encoder::new(Role::Client, Options { auto_fragment_size: 10, ..Options::default() });
    let mut out = Vec::new();
    client.message(&letters(30), true, &mut out).unwrap();
    let keys: Vec<&[u8]> = out.chunks(16).map(|frame| &frame[2..6]).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys[0] != keys[1] && keys[1] != keys[2], "keys repeat: {keys:x?}");
    let (events, error) = Setup::new(Role::Server).whole(&out);
    assert_eq!((events, error), (vec![message(&letters(30), true, 3)], None));
}

#[test]
fn one_read_gives_many_messages_that_share_its_memory() {
    let mut input = BytesMut::new();
    for number in 0..1000 {
        input.extend_from_slice(&frame(0x81, Some(KEY), number.to_string().as_bytes()));
    }
    let memory = input.as_ptr_range();
    let mut decoder = Decoder::new(Role::Server, Limits::default(), Options::default());
    let mut events = Vec::new();
    decoder.decode(&mut input, &mut events).unwrap();
    assert_eq!(events.len(), 1000);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(*event, text(&number.to_string()));
        let Incoming::Message { payload, .. } = event else { panic!("not a message") };
        assert!(memory.contains(&payload.as_ptr()), "message {number} was copied");
    }
}

#[test]
fn control_frames_between_fragments_are_handled_at_once() {
    let setup = Setup::new(Role::Server);
    let wire = [
        frame(0x01, Some(KEY), b"one "),
        frame(0x89, Some(KEY), b"are you there"),
        frame(0x00, Some([0; 4]), b""),
        frame(0x8a, Some(KEY), b""),
        frame(0x80, Some(KEY), b"two"),
        frame(0x89, Some(KEY), &letters(125)),
    ]
    .concat();
    let expected = vec![
        Incoming::Ping(b"are you there".as_slice().into()),
        Incoming::Pong(bytes::Bytes::new()),
        message(b"one two", false, 3),
        Incoming::Ping(letters(125).into()),
    ];
    assert_eq!(setup.every_way(&wire), (expected, None));
}

#[test]
fn empty_frames_and_messages_are_legal() {
    let setup = Setup::new(Role::Client);
    let wire = [
        frame(0x81, None, b""),
        frame(0x82, None, b""),
        frame(0x01, None, b""),
        frame(0x00, None, b""),
        frame(0x80, None, b""),
        frame(0x02, None, b""),
        frame(0x80, None, b"end"),
    ]
    .concat();
    let expected = vec![text(""), message(b"", true, 1), message(b"", false, 3), message(b"end", true, 2)];
    assert_eq!(setup.every_way(&wire), (expected, None));
}

#[test]
fn text_may_be_cut_inside_a_character() {
    let setup = Setup::new(Role::Server);
    let whole = "a\u{e9}\u{20ac}\u{1f600}z";
    for at in 0..=whole.len() {
        let (head, tail) = whole.as_bytes().split_at(at);
        let wire = [frame(0x01, Some(KEY), head), frame(0x80, Some(KEY), tail)].concat();
        assert_eq!(setup.every_way(&wire), (vec![message(whole.as_bytes(), false, 2)], None));
    }
}

#[test]
fn long_messages_are_split_and_joined() {
    for (size, limit, frames) in [(0, 4, 1), (4, 4, 1), (5, 4, 2), (8, 4, 2), (9, 4, 3), (200_000, 65_536, 4)]
    {
        let options = Options { auto_fragment_size: limit, ..Options::default() };
        let payload = letters(size);
        for (role, peer) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
            let mut out = Vec::new();
            Encoder::new(role, options).message(&payload, false, &mut out).unwrap();
            let (events, error) = Setup::new(peer).whole(&out);
            assert_eq!(error, None);
            assert!(events == [message(&payload, false, frames)], "{size} bytes in frames of {limit}");
        }
    }
    let mut out = Vec::new();
    let options = Options { auto_fragment_size: 3, ..Options::default() };
    Encoder::new(Role::Server, options).text("abcdefg", &mut out).unwrap();
    assert_eq!(out, hex("0103616263000364656680 0167".replace(' ', "").as_str()));
}

#[test]
fn what_cannot_be_sent_is_refused_and_nothing_is_written() {
    let mut encoder = Encoder::new(Role::Client, Options::default());
    let mut out = b"x".to_vec();
    assert_eq!(encoder.message(b"a\xff", false, &mut out), Err(EncodeError::NotUtf8));
    assert_eq!(encoder.ping(&[0; 126], &mut out), Err(EncodeError::ControlTooLong { len: 126 }));
    assert_eq!(encoder.pong(&[0; 126], &mut out), Err(EncodeError::ControlTooLong { len: 126 }));
    assert_eq!(encoder.close(None, "why", &mut out), Err(EncodeError::ReasonWithoutCode));
    assert_eq!(out, b"x");
    assert!(!encoder.is_closed());
    encoder.message(b"a\xff", true, &mut out).unwrap();
    encoder.close(None, "", &mut out).unwrap();
    let len = out.len();
    assert_eq!(encoder.text("late", &mut out), Err(EncodeError::Closed));
    assert_eq!(encoder.ping(b"", &mut out), Err(EncodeError::Closed));
    assert_eq!(encoder.close(Some(1000), "", &mut out), Err(EncodeError::Closed));
    assert_eq!(out.len(), len);
}

#[test]
fn masking_options() {
    let lenient = Options { require_masked_client_frames: false, ..Options::default() };
    let server = Setup { options: lenient, ..Setup::new(Role::Server) };
    let both = [frame(0x81, None, b"bare"), frame(0x81, Some(KEY), b"masked")].concat();
    assert_eq!(server.every_way(&both), (vec![text("bare"), text("masked")], None));

    let lenient = Options { accept_masked_server_frames: true, ..Options::default() };
    let client = Setup { options: lenient, ..Setup::new(Role::Client) };
    assert_eq!(client.every_way(&both), (vec![text("bare"), text("masked")], None));

    let mut out = Vec::new();
    let bare = Options { mask_client_frames: false, ..Options::default() };
    Encoder::new(Role::Client, bare).text("flow", &mut out).unwrap();
    assert_eq!(out, hex("8104666c6f77"));

    out.clear();
    let masked =
        Options { mask_server_frames: true, accept_masked_server_frames: true, ..Options::default() };
    Encoder::new(Role::Server, masked).text("flow", &mut out).unwrap();
    assert_eq!(out[1], 0x84);
    let client = Setup { options: masked, ..Setup::new(Role::Client) };
    assert_eq!(client.every_way(&out), (vec![text("flow")], None));

    out.clear();
    let raw = Options { apply_mask: false, ..Options::default() };
    Encoder::new(Role::Client, raw).text("flow", &mut out).unwrap();
    assert_eq!((out[1], &out[6..]), (0x84, &b"flow"[..]));
    let server = Setup { options: raw, ..Setup::new(Role::Server) };
    assert_eq!(server.every_way(&out), (vec![text("flow")], None));
}

#[test]
fn text_can_go_unchecked() {
    let options = Options { validate_utf8: false, ..Options::default() };
    let mut out = Vec::new();
    Encoder::new(Role::Client, options).message(b"\xff\xfe", false, &mut out).unwrap();
    let setup = Setup { options, ..Setup::new(Role::Server) };
    assert_eq!(setup.every_way(&out), (vec![message(b"\xff\xfe", false, 1)], None));
}

#[test]
fn accepted_types_pass() {
    let wire = |first| frame(first, Some(KEY), b"x");
    for (accept, first) in [(Accepted::Text, 0x81), (Accepted::Binary, 0x82)] {
        let options = Options { accept, ..Options::default() };
        let setup = Setup { options, ..Setup::new(Role::Server) };
        assert_eq!(setup.every_way(&wire(first)), (vec![message(b"x", first == 0x82, 1)], None));
    }
}

#[test]
fn nothing_is_read_after_a_close() {
    let setup = Setup::new(Role::Server);
    let wire = [
        frame(0x81, Some(KEY), b"last"),
        frame(0x88, Some(KEY), b""),
        frame(0x81, Some(KEY), b"late"),
        vec![0xff; 400],
    ]
    .concat();
    assert_eq!(setup.every_way(&wire), (vec![text("last"), close(None, "")], None));

    let mut decoder = Decoder::new(Role::Server, Limits::default(), Options::default());
    let mut input = BytesMut::from(&frame(0x01, Some(KEY), b"begun")[..]);
    decoder.decode(&mut input, &mut Vec::new()).unwrap();
    assert!(decoder.is_mid_message(&input) && !decoder.is_done());
    input.extend_from_slice(&frame(0x88, Some(KEY), b""));
    decoder.decode(&mut input, &mut Vec::new()).unwrap();
    assert!(!decoder.is_mid_message(&input) && decoder.is_done());
}

/// The time of a message begins with the first byte of its header, however little of that is there.
#[test]
fn a_message_has_begun_with_the_first_byte_of_its_header() {
    for (begun, is_mid_message) in [
        (&b""[..], false),
        (b"\x81", true),
        (b"\x82\xfe\0", true),
        (b"\x81\x85\x01\x02\x03", true),
        (b"\x81\x85\x01\x02\x03\x04", true),
        (b"\x89", false),
        (b"\x89\x85\x01\x02\x03\x04", false),
    ] {
        let mut decoder = Decoder::new(Role::Server, Limits::default(), Options::default());
        let mut input = BytesMut::from(&frame(0x81, Some(KEY), b"whole")[..]);
        input.extend_from_slice(begun);
        decoder.decode(&mut input, &mut Vec::new()).unwrap();
        assert_eq!(decoder.is_mid_message(&input), is_mid_message, "{begun:02x?}");
    }
    // What is whole and was only not taken yet keeps nobody waiting.
    let mut decoder = Decoder::new(Role::Server, Limits::default(), Options::default());
    let mut input = BytesMut::from(&frame(0x81, Some(KEY), b"whole").repeat(2)[..]);
    decoder.decode_some(&mut input, &mut Vec::new(), 1).unwrap();
    assert!(!input.is_empty() && !decoder.is_mid_message(&input));
}
