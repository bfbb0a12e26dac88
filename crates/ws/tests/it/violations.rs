//! Every rule of the frame table, broken.

use crate::wire::{KEY, Setup, frame, message, peer_key, text};
use tremor_ws::{Accepted, CloseCode, ErrorKind, Limits, Options, ProtocolError, Role};

/// A good message, then `bad`: the message arrives, the error has the code.
fn fails(setup: &Setup, bad: &[u8], code: CloseCode) -> ProtocolError {
    let good = frame(0x81, peer_key(setup.role), b"good");
    let (events, error) = setup.every_way(&[good, bad.to_vec()].concat());
    assert_eq!(events, [text("good")], "{bad:x?}");
    let error = error.unwrap_or_else(|| panic!("{bad:x?} was taken"));
    assert_eq!(error.close_code(), code, "{error}");
    error
}

#[test]
fn reserved_opcodes_and_bits() {
    for role in [Role::Client, Role::Server] {
        let setup = Setup::new(role);
        for opcode in (3..=7).chain(11..=15) {
            let error = fails(&setup, &frame(0x80 | opcode, peer_key(role), b""), CloseCode::Protocol);
            assert_eq!(error, ProtocolError::ReservedOpcode { opcode });
        }
        for opcode in [0x0, 0x1, 0x2, 0x8, 0x9, 0xa] {
            for bits in 1..=7 {
                let first = 0x80 | bits << 4 | opcode;
                let error = fails(&setup, &frame(first, peer_key(role), b"x"), CloseCode::Protocol);
                assert_eq!(error, ProtocolError::ReservedBits { bits });
                assert_eq!(error.kind(), ErrorKind::Protocol);
            }
        }
    }
}

#[test]
fn masks_on_the_wrong_side() {
    let unmasked = fails(&Setup::new(Role::Server), &frame(0x82, None, b"x"), CloseCode::Protocol);
    assert_eq!(unmasked, ProtocolError::Unmasked);
    let masked = fails(&Setup::new(Role::Client), &frame(0x82, Some(KEY), b"x"), CloseCode::Protocol);
    assert_eq!(masked, ProtocolError::Masked);
}

#[test]
fn lengths_in_a_longer_form_than_needed() {
    let setup = Setup::new(Role::Client);
    for len in [0u16, 1, 125] {
        let wire = [&[0x82, 126][..], &len.to_be_bytes()].concat();
        let error = fails(&setup, &wire, CloseCode::Protocol);
        assert_eq!(error, ProtocolError::LengthNotMinimal { len: len.into() });
    }
    for len in [0u64, 125, 126, 65535] {
        let wire = [&[0x82, 127][..], &len.to_be_bytes()].concat();
        assert_eq!(fails(&setup, &wire, CloseCode::Protocol), ProtocolError::LengthNotMinimal { len });
    }
    for len in [1u64 << 63, u64::MAX] {
        let wire = [&[0x82, 127][..], &len.to_be_bytes()].concat();
        assert_eq!(fails(&setup, &wire, CloseCode::Protocol), ProtocolError::LengthTopBit);
    }
}

#[test]
fn control_frames_too_long_or_fragmented() {
    let setup = Setup::new(Role::Server);
    for opcode in [0x8, 0x9, 0xa] {
        let long = fails(&setup, &frame(0x80 | opcode, Some(KEY), &[0; 126]), CloseCode::Protocol);
        assert_eq!(long, ProtocolError::ControlTooLong);
        let cut = fails(&setup, &frame(opcode, Some(KEY), b""), CloseCode::Protocol);
        assert_eq!(cut, ProtocolError::ControlFragmented);
    }
    let (_, error) = setup.whole(&[0x89, 0xff]);
    assert_eq!(error, Some(ProtocolError::ControlTooLong), "two bytes are enough to know");
}

#[test]
fn continuations_out_of_place() {
    let setup = Setup::new(Role::Server);
    for first in [0x00, 0x80] {
        let error = fails(&setup, &frame(first, Some(KEY), b"x"), CloseCode::Protocol);
        assert_eq!(error, ProtocolError::NothingToContinue);
    }
    for first in [0x01, 0x02, 0x81, 0x82] {
        let wire = [frame(0x01, Some(KEY), b"begun"), frame(first, Some(KEY), b"x")].concat();
        assert_eq!(fails(&setup, &wire, CloseCode::Protocol), ProtocolError::MessageUnfinished);
    }
    let finished = [frame(0x01, Some(KEY), b"a"), frame(0x80, Some(KEY), b"b"), frame(0x80, Some(KEY), b"c")];
    let (events, error) = setup.every_way(&finished.concat());
    assert_eq!((events, error), (vec![message(b"ab", false, 2)], Some(ProtocolError::NothingToContinue)));
}

#[test]
fn types_not_accepted() {
    for (accept, first, binary) in [(Accepted::Text, 0x02, true), (Accepted::Binary, 0x01, false)] {
        let setup = Setup { options: Options { accept, ..Options::default() }, ..Setup::new(Role::Server) };
        let (events, error) = setup.every_way(&frame(first, Some(KEY), b"x"));
        assert_eq!((events, error), (vec![], Some(ProtocolError::TypeNotAccepted { binary })));
        assert_eq!(error.unwrap().close_code(), CloseCode::Unsupported);
    }
}

#[test]
fn sizes_are_decided_by_the_header() {
    let limits = Limits { max_frame_bytes: 100, max_message_bytes: 250, max_fragments: 4 };
    let setup = Setup { limits, ..Setup::new(Role::Client) };
    let hundred = [b'x'; 100];

    // The announced payload never comes: the header alone is refused.
    let error = fails(&setup, &[0x82, 101], CloseCode::Size);
    assert_eq!(error, ProtocolError::FrameTooLarge { announced: 101, max: 100 });
    assert_eq!(error.kind(), ErrorKind::Size);
    let huge = [&[0x82, 127][..], &(u64::MAX >> 1).to_be_bytes()].concat();
    let error = fails(&setup, &huge, CloseCode::Size);
    assert_eq!(error, ProtocolError::FrameTooLarge { announced: u64::MAX >> 1, max: 100 });

    let two = [frame(0x02, None, &hundred), frame(0x00, None, &hundred)].concat();
    let fits = [two.clone(), frame(0x80, None, &hundred[..50])].concat();
    let (events, error) = setup.every_way(&fits);
    assert_eq!((events.len(), error), (1, None));
    let crosses = [two, vec![0x80, 51]].concat();
    let error = fails(&setup, &crosses, CloseCode::Size);
    assert_eq!(error, ProtocolError::MessageTooLarge { size: 251, max: 250 });

    let many = [frame(0x02, None, b""), frame(0x00, None, b""), frame(0x00, None, b"")].concat();
    let fits = [many.clone(), frame(0x80, None, b"")].concat();
    assert_eq!(setup.every_way(&fits), (vec![message(b"", true, 4)], None));
    let four = [many, frame(0x00, None, b"")].concat();
    let only_ended = [four.clone(), frame(0x80, None, b"")].concat();
    assert_eq!(setup.every_way(&only_ended), (vec![message(b"", true, 5)], None));
    for fifth in [frame(0x00, None, b""), frame(0x80, None, b"x")] {
        let error = fails(&setup, &[four.clone(), fifth].concat(), CloseCode::Policy);
        assert_eq!(error, ProtocolError::TooManyFragments { max: 4 });
    }
}

#[test]
fn zero_limits_mean_none() {
    let limits = Limits { max_frame_bytes: 0, max_message_bytes: 0, max_fragments: 0 };
    let setup = Setup { limits, ..Setup::new(Role::Client) };
    let big = vec![7; 70_000_000];
    assert!(setup.whole(&frame(0x82, None, &big)) == (vec![message(&big, true, 1)], None));
    let announced = [&[0x82, 127][..], &(u64::MAX >> 1).to_be_bytes(), b"few"].concat();
    assert_eq!(setup.every_way(&announced), (vec![], None));
    let many: Vec<u8> = (0..70_000).flat_map(|number| [if number == 0 { 0x02 } else { 0x00 }, 0]).collect();
    let (events, error) = setup.whole(&[many, vec![0x80, 0]].concat());
    assert_eq!((events, error), (vec![message(b"", true, 70_001)], None));
}

#[test]
fn text_that_is_not_utf8() {
    let setup = Setup::new(Role::Server);
    let bad: [&[u8]; 9] = [
        b"\x80",
        b"\xc0\xaf",
        b"ok \xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xff",
        b"cut short \xe2\x82",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64",
    ];
    for payload in bad {
        let error = fails(&setup, &frame(0x81, Some(KEY), payload), CloseCode::Invalid);
        assert_eq!(error.kind(), ErrorKind::Utf8);
        for at in 0..=payload.len() {
            let (head, tail) = payload.split_at(at);
            let wire = [frame(0x01, Some(KEY), head), frame(0x80, Some(KEY), tail)].concat();
            assert_eq!(fails(&setup, &wire, CloseCode::Invalid), ProtocolError::TextNotUtf8);
        }
        assert_eq!(setup.every_way(&frame(0x82, Some(KEY), payload)).1, None, "binary may hold anything");
    }
}

#[test]
fn bad_text_is_refused_inside_an_unfinished_frame() {
    let setup = Setup::new(Role::Server);
    let text = b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80 and much more that never comes";
    let wire = frame(0x81, Some(KEY), text);
    // Header (6 bytes), five good bytes, then 0xf4 can still become something, 0x90 behind it cannot.
    let until = |len: usize| setup.feed(wire[..len].chunks(1)).1;
    assert_eq!(until(6 + 6), None);
    assert_eq!(until(6 + 7), Some(ProtocolError::TextNotUtf8));
    assert_eq!(setup.whole(&wire[..6 + 7]).1, Some(ProtocolError::TextNotUtf8));
}

#[test]
fn a_close_that_breaks_the_rules() {
    let setup = Setup::new(Role::Server);
    let body = |code: u16, reason: &[u8]| frame(0x88, Some(KEY), &[&code.to_be_bytes()[..], reason].concat());
    let error = fails(&setup, &frame(0x88, Some(KEY), b"\x03"), CloseCode::Protocol);
    assert_eq!(error, ProtocolError::CloseBodyTooShort);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        let error = fails(&setup, &body(code, b"why"), CloseCode::Protocol);
        assert_eq!(error, ProtocolError::CloseCodeInvalid { code });
    }
    let error = fails(&setup, &body(1000, b"\xce\xba\xff"), CloseCode::Invalid);
    assert_eq!(error, ProtocolError::CloseReasonNotUtf8);
    let error = fails(&setup, &body(1000, &[b'x'; 124]), CloseCode::Protocol);
    assert_eq!(error, ProtocolError::ControlTooLong);
}
