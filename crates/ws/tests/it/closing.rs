//! Who closes with what, who waits for whom, and what is reported.

use crate::wire::{KEY, Setup, close, frame};
use std::time::Duration;
use tremor_ws::{
    CloseFrame, CloseTimeouts, Closing, EncodeError, Encoder, End, EndedBy, Next, Options, Outcome,
    ProtocolError, Role, is_wire_code, truncate_reason,
};

const TIMEOUTS: CloseTimeouts = CloseTimeouts {
    handshake: Some(Duration::from_millis(700)),
    server_drop: Some(Duration::from_millis(300)),
};

fn closing(role: Role, options: Options) -> Closing {
    Closing::new(role, &options, TIMEOUTS)
}

fn said(code: impl Into<Option<u16>>, reason: &str) -> Option<CloseFrame> {
    Some(CloseFrame { code: code.into(), reason: reason.to_owned() })
}

fn outcome(code: u16, reason: &str, clean: bool, by: EndedBy) -> Outcome {
    Outcome { code, reason: reason.to_owned(), clean, by }
}

#[test]
fn codes_and_reasons_that_pass() {
    let setup = Setup::new(Role::Server);
    assert_eq!(setup.every_way(&frame(0x88, Some(KEY), b"")), (vec![close(None, "")], None));
    for code in
        [1000u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
    {
        let bare = frame(0x88, Some(KEY), &code.to_be_bytes());
        assert_eq!(setup.every_way(&bare), (vec![close(code, "")], None));
        let reason = "d\u{ed}a".repeat(30);
        let full = frame(0x88, Some(KEY), &[&code.to_be_bytes()[..], reason.as_bytes(), b"123"].concat());
        assert_eq!(setup.every_way(&full), (vec![close(code, &(reason + "123"))], None));
    }
}

#[test]
fn codes_never_sent() {
    let mut encoder = Encoder::new(Role::Server, Options::default());
    let mut out = Vec::new();
    let never = (0..1000).chain([1004, 1005, 1006]).chain(1015..3000).chain(5000..=u16::MAX);
    for code in never {
        assert!(!is_wire_code(code));
        let refused = encoder.close(Some(code), "", &mut out);
        assert_eq!(refused, Err(EncodeError::CloseCodeNotSendable { code }));
    }
    assert!(out.is_empty());
}

#[test]
fn reasons_are_cut_on_a_character_border() {
    assert_eq!(truncate_reason(&"x".repeat(123)).len(), 123);
    assert_eq!(truncate_reason(&"x".repeat(124)).len(), 123);
    let long = "x".repeat(122) + "\u{ed}";
    assert_eq!(truncate_reason(&long).len(), 122);
    let mut out = Vec::new();
    Encoder::new(Role::Server, Options::default()).close(Some(4001), &long, &mut out).unwrap();
    assert_eq!(out, frame(0x88, None, &[&4001u16.to_be_bytes()[..], &[b'x'; 122]].concat()));
}

#[test]
fn a_received_close_is_answered_once() {
    let echo = Options { echo_close_codereason: true, ..Options::default() };
    for (options, reply) in [(Options::default(), said(1000, "")), (echo, said(4001, "bye"))] {
        let mut server = closing(Role::Server, options);
        let answer = server.received(Some(4001), "bye");
        assert_eq!((answer.send, answer.next), (reply.clone(), Next::Drop), "the server ends TCP first");
        assert!(!server.is_open());
        assert_eq!(server.start(1001, "late"), None);
        assert_eq!(server.ended(End::Local), outcome(4001, "bye", true, EndedBy::Peer));

        let mut client = closing(Role::Client, options);
        let answer = client.received(Some(4001), "bye");
        assert_eq!((answer.send, answer.next), (reply, Next::AwaitDrop(TIMEOUTS.server_drop)));
        assert_eq!(client.ended(End::Peer), outcome(4001, "bye", true, EndedBy::Peer));
    }
    let mut server = closing(Role::Server, echo);
    assert_eq!(server.received(None, "").send, said(None, ""));
    assert_eq!(server.ended(End::Local), outcome(1005, "", true, EndedBy::Peer));
}

#[test]
fn our_close_waits_for_the_peers() {
    for (role, next) in [(Role::Server, Next::Drop), (Role::Client, Next::AwaitDrop(TIMEOUTS.server_drop))] {
        let mut ours = closing(role, Options::default());
        let answer = ours.start(1001, "idle").unwrap();
        assert_eq!((answer.send, answer.next), (said(1001, "idle"), Next::AwaitClose(TIMEOUTS.handshake)));
        assert!(!ours.is_open());
        assert_eq!(ours.start(1001, "again"), None);
        let answer = ours.received(Some(1000), "fine");
        assert_eq!((answer.send, answer.next), (None, next), "a Close is not answered twice");
        assert_eq!(ours.ended(End::Peer), outcome(1001, "idle", true, EndedBy::Local));
    }
    let long = "x".repeat(200);
    let answer = closing(Role::Server, Options::default()).start(4000, &long).unwrap();
    assert_eq!(answer.send, said(4000, &long[..123]));
}

#[test]
fn ends_without_an_answer() {
    for (end, by) in
        [(End::Peer, EndedBy::Peer), (End::Timeout, EndedBy::Timeout), (End::Local, EndedBy::Local)]
    {
        let open = closing(Role::Client, Options::default());
        assert_eq!(open.ended(end), outcome(1006, "", false, by));
        let mut asked = closing(Role::Client, Options::default());
        asked.start(1000, "").unwrap();
        assert_eq!(asked.ended(end), outcome(1006, "", false, by));
    }
}

#[test]
fn a_broken_rule_fails_the_connection() {
    let error = ProtocolError::FrameTooLarge { announced: 9, max: 8 };
    for (role, next) in [(Role::Server, Next::Drop), (Role::Client, Next::AwaitDrop(TIMEOUTS.server_drop))] {
        let mut ours = closing(role, Options::default());
        let answer = ours.failed(&error);
        assert_eq!((answer.send, answer.next), (said(1009, &error.to_string()), next));
        assert_eq!(ours.ended(End::Local), outcome(1009, &error.to_string(), false, EndedBy::Error));

        let silent = Options { fail_by_drop: true, ..Options::default() };
        let answer = closing(role, silent).failed(&error);
        assert_eq!((answer.send, answer.next), (None, Next::Drop));

        let mut asked = closing(role, Options::default());
        asked.start(1000, "").unwrap();
        let answer = asked.failed(&ProtocolError::Unmasked);
        assert_eq!((answer.send, answer.next), (None, next), "only one Close is sent");
        let outcome = asked.ended(End::Peer);
        assert_eq!((outcome.code, outcome.clean, outcome.by), (1002, false, EndedBy::Error));
    }
    assert_eq!(EndedBy::Error.as_str(), "error");
}
