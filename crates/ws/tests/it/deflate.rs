//! Compressed messages, made by this crate and by another library.

use crate::wire::{KEY, Setup, frame, hex, message, text};
use bytes::BytesMut;
use miniz_oxide::{deflate::compress_to_vec, inflate::decompress_to_vec};
use proptest::prelude::*;
use tremor_ws::{
    CloseCode, Decoder, Deflate, DeflateOptions, Encoder, ErrorKind, Incoming, Limits, Options,
    ProtocolError, Role,
};

/// What client and server come to if both want the same.
fn agreed(options: DeflateOptions) -> (Deflate, Deflate) {
    let (answer, at_server) = options.answer(&[options.offer()]).unwrap();
    let at_client = options.agree(&[answer]).unwrap().unwrap();
    (at_client, at_server)
}

fn fresh() -> DeflateOptions {
    DeflateOptions {
        no_context_takeover: true,
        request_no_context_takeover: true,
        ..DeflateOptions::default()
    }
}

/// What came compressed.
fn packed(mut message: Incoming) -> Incoming {
    if let Incoming::Message { compressed, .. } = &mut message {
        *compressed = true;
    }
    message
}

fn packed_text(payload: &str) -> Incoming {
    packed(text(payload))
}

/// A client that has agreed on compression.
fn client(options: DeflateOptions) -> Setup {
    Setup { deflate: Some(agreed(options).0), ..Setup::new(Role::Client) }
}

/// One unmasked frame with RSV1.
fn compressed(payload: &[u8]) -> Vec<u8> {
    frame(0xc1, None, payload)
}

/// The payloads of frames that a server sent, each of one message.
fn payloads(mut wire: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let [_, short, rest @ ..] = wire {
        let (len, rest) = match *short {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => panic!("no message of a test is that long"),
            short => (usize::from(short), rest),
        };
        found.push(&rest[..len]);
        wire = &rest[len..];
    }
    found
}

#[test]
fn the_sample_of_the_spec_inflates() {
    let wire = hex("c109aa564a54b232ac0500c105aa86500000");
    let (events, error) = client(DeflateOptions::default()).every_way(&wire);
    assert_eq!((events, error), (vec![packed_text(r#"{"a":1}"#); 2], None));
    // Without takeover the second message refers to nothing.
    let (events, error) = client(fresh()).every_way(&wire);
    assert_eq!((events, error), (vec![packed_text(r#"{"a":1}"#)], Some(ProtocolError::InflateFailed)));
}

#[test]
fn samples_of_the_rfc_inflate() {
    // RFC 7692, section 7.2.3: one frame, two, a window that is shared, no compression, a final block, two blocks.
    let whole = compressed(&hex("f248cdc9c90700"));
    let fragments = [frame(0x41, None, &hex("f248cd")), frame(0x80, None, &hex("c9c90700"))].concat();
    let shared = compressed(&hex("f200110000"));
    let stored = compressed(&hex("000500faff48656c6c6f00"));
    let last = compressed(&hex("f348cdc9c9070000"));
    let two = compressed(&hex("f248050000 00ffffcac9c90700".replace(' ', "").as_str()));
    let wire =
        [&whole, &shared, &fragments, &shared, &stored, &shared, &last, &shared, &two].map(|w| w.as_slice());
    let (events, error) = client(DeflateOptions::default()).every_way(&wire.concat());
    let mut expected = vec![packed_text("Hello"); 9];
    expected[2] = packed(message(b"Hello", false, 2));
    assert_eq!((events, error), (expected, None));
}

#[test]
fn a_message_may_end_with_a_final_block_and_the_window_goes_on() {
    let first = compress_to_vec(b"one message, and its end", 6);
    let second = compress_to_vec(b"another one", 6);
    // `Hello` in a final block, then the same by reference to it, in blocks of one message and in the next.
    let wire = [
        compressed(&first),
        compressed(&[&second[..], b"\0"].concat()),
        compressed(&[&first[..], &second[..], b"\0"].concat()),
        compressed(&hex("f348cdc9c90700f200110000")),
        compressed(&hex("f200110000")),
    ];
    let (events, error) = client(DeflateOptions::default()).every_way(&wire.concat());
    let expected = [
        "one message, and its end",
        "another one",
        "one message, and its endanother one",
        "HelloHello",
        "Hello",
    ];
    assert_eq!((events, error), (expected.map(packed_text).to_vec(), None));
}

#[test]
fn a_message_refers_to_the_window_that_was_agreed_whether_the_state_was_kept_or_not() {
    // 600 bytes that do not repeat, and a message that refers to the first 3 of the last 600, or of the last 512, of them.
    let bytes: Vec<u8> = (0..600u16).map(|number| (number * 7 % 251) as u8 ^ (number / 251) as u8).collect();
    let first = frame(0xc2, None, &[&[0, 0x58, 0x02, 0xa7, 0xfd][..], &bytes, &[0]].concat());
    for (distance, bits, refused) in [(600, 15, false), (512, 9, false), (600, 9, true), (601, 15, true)] {
        let wire = [&first[..], &frame(0xc2, None, &reference(distance))].concat();
        let options = DeflateOptions { request_max_window_bits: bits, ..DeflateOptions::default() };
        for idles in [false, true] {
            let limits = Limits::default();
            let mut decoder =
                Decoder::new(Role::Client, limits, Options::default()).deflate(&agreed(options).0);
            let (mut input, mut events, mut error) = (BytesMut::new(), Vec::new(), None);
            for byte in &wire {
                input.extend_from_slice(&[*byte]);
                error = error.or(decoder.decode(&mut input, &mut events).err());
                if idles {
                    decoder.idle();
                }
            }
            let expected = refused.then_some(ProtocolError::InflateFailed);
            assert_eq!(error, expected, "{distance} bytes back in a window of {bits} bits");
            let found = events.iter().map(|event| match event {
                Incoming::Message { payload, .. } => &payload[..],
                other => panic!("{other:?}"),
            });
            let copied =
                bytes.len().checked_sub(distance.into()).map(|at| &bytes[at..at + 3]).unwrap_or_default();
            let expected: &[&[u8]] = if refused { &[&bytes] } else { &[&bytes, copied] };
            assert_eq!(found.collect::<Vec<_>>(), expected);
        }
    }
}

/// A message that is the 3 bytes so far back, 513 to 768 or 385 to 512.
fn reference(distance: u16) -> Vec<u8> {
    let (code, base, extra) = if distance > 512 { (18, 513, 8) } else { (17, 385, 7) };
    let mut bits = vec![false, true, false];
    let mut code_of = |value: u16, len: u16| bits.extend((0..len).rev().map(|bit| value >> bit & 1 == 1));
    // In the fixed code: a length of 3, and the distance.
    code_of(1, 7);
    code_of(code, 5);
    bits.extend((0..extra).map(|bit| (distance - base) >> bit & 1 == 1));
    // The end of the block, and an empty block that begins.
    bits.extend([false; 10]);
    bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
}

#[test]
fn an_empty_message_is_one_byte_or_none() {
    let hello = compressed(&hex("f248cdc9c90700"));
    let wire = [&hello[..], &compressed(b"\0"), &compressed(b""), &compressed(&hex("f200110000"))].concat();
    let (events, error) = client(DeflateOptions::default()).every_way(&wire);
    assert_eq!((events, error), (["Hello", "", "", "Hello"].map(packed_text).to_vec(), None));

    for options in [DeflateOptions::default(), fresh()] {
        let mut encoder = Encoder::new(Role::Server, Options::default()).deflate(&agreed(options).1);
        let mut out = Vec::new();
        for _ in 0..2 {
            encoder.message(b"", false, &mut out).unwrap();
        }
        assert_eq!(out, b"\xc1\x01\0\xc1\x01\0");
    }
}

#[test]
fn plain_messages_may_come_between_and_do_not_touch_the_window() {
    let hello = hex("f248cdc9c90700");
    let wire = [compressed(&hello), frame(0x81, None, b"other"), compressed(&hex("f200110000"))].concat();
    let (events, error) = client(DeflateOptions::default()).every_way(&wire);
    let expected = vec![packed_text("Hello"), text("other"), packed_text("Hello")];
    assert_eq!((events, error), (expected, None));

    let options = DeflateOptions { min_bytes: 10, ..DeflateOptions::default() };
    let mut encoder = Encoder::new(Role::Server, Options::default()).deflate(&agreed(options).1);
    let mut out = Vec::new();
    encoder.message(b"nine byte", true, &mut out).unwrap();
    encoder.message(b"ten bytes!", true, &mut out).unwrap();
    encoder.plain_message(b"ten bytes, but plain", true, &mut out).unwrap();
    let head_only = encoder.plain_message_head(&[b'x'; 200], true, &mut Vec::new()).unwrap();
    let whole = encoder.message_head(&[b'x'; 200], true, &mut Vec::new()).unwrap();
    assert_eq!((out[0], out[11], head_only, whole), (0x82, 0xc2, true, false));
    assert_eq!(client(options).every_way(&out).0.len(), 3);
}

#[test]
fn the_bit_is_refused_where_nobody_asked_for_it_and_where_it_cannot_be() {
    let agreed = client(DeflateOptions::default());
    let start = frame(0x01, None, b"x");
    let cases = [
        (Setup::new(Role::Client), compressed(b"\0"), 0b100),
        (client(DeflateOptions::default()), frame(0xd1, None, b"\0"), 0b101),
        (client(DeflateOptions::default()), frame(0xa1, None, b"\0"), 0b010),
        (client(DeflateOptions::default()), frame(0xc9, None, b""), 0b100),
        (client(DeflateOptions::default()), frame(0xc8, None, b""), 0b100),
        (agreed, [start, frame(0xc0, None, b"\0")].concat(), 0b100),
    ];
    for (setup, wire, bits) in cases {
        assert_eq!(setup.every_way(&wire), (vec![], Some(ProtocolError::ReservedBits { bits })));
    }
}

#[test]
fn a_message_that_ends_inside_of_a_byte_is_refused() {
    // The tail that is not sent is `a` sixteen times, and an end of the block that leaves 7 bits to 1 of its last byte.
    let cases = [
        "04c0018e24410cc3b0b7524ef5ecfdff0307",
        "04c0018e244910c3b0b7528eac9ebdff3fe000",
        "04c0418e24491204b1b752d43cb27af6fff705",
        "04c0418e24499204c1b7128b9a4756cffeffbc00",
        "04c0419224499224c1b722b1a87964f5ecffaf0b",
        "04c0d19224499224c96f456251f3c8ead9fbffc703",
        "04e0d19224499224cb7e2b128b9a4756cf9efbff6f1700",
    ];
    for options in [DeflateOptions::default(), fresh()] {
        for case in cases {
            // What would come next is in order by itself.
            let wire = [compressed(&hex(case)), compressed(&hex("f248cdc9c90700"))].concat();
            let expected = (Vec::new(), Some(ProtocolError::InflateFailed));
            assert_eq!(client(options).every_way(&wire), expected, "{case}");
        }
    }
}

#[test]
fn what_is_no_deflate_stream_is_refused() {
    let cases = [
        "07",                     // a kind of block that there is not
        "000500faf048",           // a stored block whose length does not agree with itself
        "f248cdc9c9",             // stops inside of a block
        "f2",                     // stops in a code
        "000500faff4865",         // stops inside of a stored block
        "0000",                   // stops in the length of a stored block
        "f248cdc9c907000000ffff", // has the tail that is not sent
        "f200110000",             // refers to what never was
    ];
    for options in [DeflateOptions::default(), fresh()] {
        for case in cases {
            let (events, error) = client(options).every_way(&frame(0xc2, None, &hex(case)));
            let error = error.unwrap_or_else(|| panic!("{case} gave {events:?}"));
            assert_eq!(error, ProtocolError::InflateFailed, "{case}");
            assert_eq!((error.close_code(), error.kind()), (CloseCode::Invalid, ErrorKind::Deflate));
            assert_eq!(error.kind().as_str(), "deflate");
        }
    }
}

#[test]
fn text_is_checked_as_it_inflates() {
    // The first frame of a message that does not end inflates to a character that cannot be.
    for bad in [&b"day \xff"[..], b"\xc3d", b"\xed\xa0\x80"] {
        let mut payload = vec![0, bad.len() as u8, 0, !bad.len() as u8, 0xff];
        payload.extend(bad);
        let (events, error) = client(DeflateOptions::default()).every_way(&frame(0x41, None, &payload));
        assert_eq!((events, error), (vec![], Some(ProtocolError::TextNotUtf8)));
        let binary = client(DeflateOptions::default()).every_way(&frame(0x42, None, &payload));
        assert_eq!(binary, (vec![], None));
    }
    // Cut inside of a character: by frames that is fine, by the end of the message it is not.
    let cut = hex("00010 0feffc3".replace(' ', "").as_str());
    let rest = hex("000100feffad00");
    let whole = [frame(0x41, None, &cut), frame(0x80, None, &rest)].concat();
    let (events, error) = client(DeflateOptions::default()).every_way(&whole);
    assert_eq!((events, error), (vec![packed(message("í".as_bytes(), false, 2))], None));
    let (events, error) =
        client(DeflateOptions::default()).every_way(&compressed(&[&cut[..], b"\0"].concat()));
    assert_eq!((events, error), (vec![], Some(ProtocolError::TextNotUtf8)));
}

#[test]
fn what_a_message_inflates_to_is_limited() {
    let bomb = |len: usize| [&compress_to_vec(&vec![b'x'; len], 9)[..], b"\0"].concat();
    let limits = Limits { max_message_bytes: 100_000, ..Limits::default() };
    let options = DeflateOptions::default();
    let setup = Setup { limits, ..client(options) };
    assert_eq!(setup.every_way(&compressed(&bomb(100_000))).0.len(), 1);
    let (events, error) = setup.every_way(&compressed(&bomb(100_001)));
    assert_eq!((events, error), (vec![], Some(ProtocolError::InflatedTooLarge { max: 100_000 })));
    assert_eq!(error.unwrap().close_code(), CloseCode::Size);
    assert_eq!(error.unwrap().kind(), ErrorKind::Size);

    let lower = client(DeflateOptions { max_inflated_bytes: 10, ..options });
    assert_eq!(lower.every_way(&compressed(&bomb(10))).0.len(), 1);
    let error = lower.every_way(&compressed(&bomb(11))).1;
    assert_eq!(error, Some(ProtocolError::InflatedTooLarge { max: 10 }));
    // Plain messages are not inflated.
    assert_eq!(lower.every_way(&frame(0x81, None, &[b'x'; 11])).1, None);
    let zero = Limits { max_message_bytes: 0, ..limits };
    let none = Setup { limits: zero, ..client(options) };
    assert_eq!(none.whole(&compressed(&bomb(1_000_000))).0.len(), 1);
}

#[test]
fn a_call_inflates_only_so_much_whatever_it_is_given() {
    const MIB: usize = 1 << 20;
    let packed = |byte: u8, len: usize| [&compress_to_vec(&vec![byte; len], 9)[..], b"\0"].concat();
    let small: Vec<u8> = (0..60).flat_map(|byte| frame(0xc2, Some(KEY), &packed(byte, MIB))).collect();
    let half = packed(b'h', 5 * MIB);
    let (first, second) = half.split_at(half.len() / 2);
    let cut = [frame(0x42, Some(KEY), first), frame(0x80, Some(KEY), second)].concat();
    let wire = [
        &small[..],
        &frame(0x82, Some(KEY), b"plain")[..],
        &frame(0xc2, Some(KEY), &packed(b'b', 20 * MIB))[..],
        &cut[..],
        &frame(0x89, Some(KEY), b"ping")[..],
    ]
    .concat();
    assert!(wire.len() < 100_000);
    let deflate = agreed(fresh()).1;
    let limits = Limits { max_message_bytes: 0, max_frame_bytes: 0, ..Limits::default() };
    for step in [wire.len(), 1000, 7] {
        let mut decoder = Decoder::new(Role::Server, limits, Options::default()).deflate(&deflate);
        let (mut input, mut all, mut calls) = (BytesMut::new(), Vec::new(), 0);
        for piece in wire.chunks(step) {
            input.extend_from_slice(piece);
            let mut had = usize::MAX;
            while had > input.len() || decoder.has_more() {
                (had, calls) = (input.len(), calls + 1);
                let mut events = Vec::new();
                decoder.decode_some(&mut input, &mut events, usize::MAX).unwrap();
                let lens = events.iter().map(|event| match event {
                    Incoming::Message { payload, .. } => payload.len(),
                    _ => 0,
                });
                // What one call has begun the next one may end.
                let (most, sum) = (lens.clone().max().unwrap_or_default(), lens.sum::<usize>());
                assert!(sum <= most + 2 * MIB, "{sum} bytes at once");
                all.extend(events);
            }
        }
        assert!(input.is_empty() && calls >= 85, "{calls} calls for 85 MiB");
        let mut lens = Vec::new();
        for event in &all {
            match event {
                Incoming::Message { payload, .. } if payload.len() > 5 => {
                    assert!(payload.iter().all(|byte| *byte == payload[0]));
                    lens.push(payload.len());
                }
                Incoming::Message { payload, .. } => assert_eq!(payload.as_ref(), b"plain"),
                other => assert_eq!(*other, Incoming::Ping((&b"ping"[..]).into())),
            }
        }
        assert_eq!((lens, all.len()), ([vec![MIB; 60], vec![20 * MIB, 5 * MIB]].concat(), 64));
    }
}

/// Messages that have something in common with each other.
fn messages() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
    let words = prop::sample::select(vec!["tremor ", "event ", "{\"a\":1}", "día", "0123456789", "\n"]);
    let text = prop::collection::vec(words, 0..120).prop_map(|words| words.concat().into_bytes());
    let noise = prop::collection::vec(any::<u8>(), 0..2000);
    let long = (any::<u8>(), 0usize..60_000).prop_map(|(byte, len)| vec![byte; len]);
    let one = prop_oneof![
        6 => text.prop_map(|text| (text, false)),
        2 => noise.prop_map(|noise| (noise, true)),
        1 => long.prop_map(|long| (long, true)),
    ];
    prop::collection::vec(one, 1..12)
}

fn options() -> impl Strategy<Value = DeflateOptions> {
    (any::<[bool; 2]>(), 9u8..=15, 9u8..=15, 1u8..=9, 0u8..=9, 0usize..80).prop_map(
        |([ours, theirs], own_bits, their_bits, memory_level, level, min_bytes)| DeflateOptions {
            request_no_context_takeover: theirs,
            request_max_window_bits: their_bits,
            no_context_takeover: ours,
            max_window_bits: own_bits,
            memory_level,
            level,
            min_bytes,
            max_inflated_bytes: 0,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_compressed_arrives(
        messages in messages(),
        options in options(),
        step in 1usize..5000,
        auto_fragment_size in prop::sample::select(vec![0usize, 1, 7, 100, 4096]),
        idles in any::<u16>(),
        client_sends in any::<bool>(),
    ) {
        let (at_client, at_server) = agreed(options);
        let (role, peer, ours, theirs) = if client_sends {
            (Role::Client, Role::Server, at_client, at_server)
        } else {
            (Role::Server, Role::Client, at_server, at_client)
        };
        let mut encoder = Encoder::new(role, Options { auto_fragment_size, ..Options::default() }).deflate(&ours);
        let limits = Limits { max_fragments: 0, ..Limits::default() };
        let mut decoder = Decoder::new(peer, limits, Options::default()).deflate(&theirs);
        let mut input = BytesMut::new();
        for (number, (payload, binary)) in messages.iter().enumerate() {
            let mut out = Vec::new();
            encoder.message(payload, *binary, &mut out).unwrap();
            prop_assert_eq!(out[0] & 0x40 != 0, payload.len() >= options.min_bytes);
            let mut events = Vec::new();
            for piece in out.chunks(step) {
                input.extend_from_slice(piece);
                decoder.decode(&mut input, &mut events).unwrap();
                if idles >> number & 1 == 1 {
                    decoder.idle();
                }
            }
            encoder.rest();
            if idles >> number & 2 == 2 {
                encoder.idle();
            }
            let [Incoming::Message { payload: got, binary: got_binary, compressed, .. }] = &events[..] else {
                return Err(TestCaseError::fail(format!("{} events", events.len())));
            };
            prop_assert!(got == payload && got_binary == binary);
            prop_assert_eq!(*compressed, payload.len() >= options.min_bytes);
        }
    }

    #[test]
    fn another_library_reads_what_is_compressed(messages in messages(), options in options()) {
        let mut encoder = Encoder::new(Role::Server, Options::default()).deflate(&agreed(options).1);
        let takeover = !options.no_context_takeover && !options.request_no_context_takeover;
        let (mut stream, mut plain) = (Vec::new(), Vec::new());
        for (payload, binary) in messages.iter().filter(|(payload, _)| payload.len() >= options.min_bytes) {
            let mut wire = Vec::new();
            encoder.message(payload, *binary, &mut wire).unwrap();
            if wire.len() > 60_000 {
                // Longer than the reader of frames in here takes.
                return Ok(());
            }
            if !takeover {
                stream.clear();
                plain.clear();
            }
            stream.extend_from_slice(payloads(&wire)[0]);
            stream.extend_from_slice(&[0, 0, 0xff, 0xff]);
            plain.extend_from_slice(payload);
            let ended = [&stream[..], &[1, 0, 0, 0xff, 0xff]].concat();
            let read = decompress_to_vec(&ended).ok();
            prop_assert!(read.as_ref() == Some(&plain));
        }
    }

    #[test]
    fn what_another_library_compresses_arrives(messages in messages(), level in 0u8..=10, cut in 1usize..2000) {
        let mut wire = Vec::new();
        for (payload, binary) in &messages {
            let all = compress_to_vec(payload, level);
            let count = all.chunks(cut).count();
            for (number, part) in all.chunks(cut).enumerate() {
                let kind = match number { 0 if *binary => 0x42, 0 => 0x41, _ => 0 };
                wire.extend(frame(if number + 1 == count { 0x80 } else { 0 } | kind, Some(KEY), part));
            }
        }
        for options in [DeflateOptions::default(), fresh()] {
            let setup = Setup { deflate: Some(agreed(options).1), ..Setup::new(Role::Server) };
            let (events, error) = setup.whole(&wire);
            prop_assert_eq!(error, None);
            let got: Vec<(Vec<u8>, bool)> = events.into_iter().map(|event| match event {
                Incoming::Message { payload, binary, .. } => (payload.to_vec(), binary),
                other => panic!("{other:?}"),
            }).collect();
            prop_assert!(got == messages);
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..6),
        options in options(),
    ) {
        let wire: Vec<u8> = payloads.iter().flat_map(|payload| compressed(payload)).collect();
        let limits = Limits { max_message_bytes: 5000, ..Limits::default() };
        let (events, _) = Setup { limits, ..client(options) }.every_way(&wire);
        for event in events {
            if let Incoming::Message { payload, .. } = event {
                prop_assert!(payload.len() <= 5000);
            }
        }
    }
}
