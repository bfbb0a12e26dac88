use super::*;
use crate::ws::{guards::closing_at, options::Wire, pace::PaceOptions};
use tremor_value::Record;
use tremor_ws::{DeflateOptions, KeepaliveOptions, Limits};

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_millis().try_into().unwrap()
}

fn protocol(role: Role, options: Options) -> WebSocket<()> {
    let wire = Wire { options, ..Wire::default() };
    WebSocket::new(role, &wire, Metadata::new("ws_server", Record::default()), ())
}

fn framed(protocol: &mut WebSocket<()>) -> Vec<u8> {
    let mut out = Vec::new();
    protocol.write(b"text", false, &mut out).unwrap();
    out
}

#[test]
fn what_is_taken_back_ends_a_connection_at_once() {
    let doubt = Revocation::doubt;
    let revoke = Revocation::revoke;
    for (before, after, is_over) in [
        (None, None, false),
        (Some(doubt as fn(&Revocation)), None, true),
        (Some(revoke as fn(&Revocation)), None, true),
        (None, Some(doubt as fn(&Revocation)), false),
        (None, Some(revoke as fn(&Revocation)), true),
    ] {
        let revocation = Arc::<Revocation>::default();
        let mut server = protocol(Role::Server, Options::default()).unless(Some(revocation.clone()));
        assert!(server.keeps_time());
        before.into_iter().for_each(|before| before(&revocation));
        assert!(server.interceptor().is_none());
        after.into_iter().for_each(|after| after(&revocation));
        let now = Instant::now();
        assert_eq!(server.deadline().is_some_and(|deadline| deadline < now), is_over);
        assert_eq!(server.is_over(), is_over);
        let mut message = BytesMut::from(&b"\x81\x81\0\0\0\x001"[..]);
        server.read(&mut message, &mut Intake::default(), &mut Vec::new()).unwrap();
        assert_eq!(server.messages, u64::from(!is_over), "what is read in the same turn is said too late");
        if is_over {
            let (mut intake, mut out) = (Intake::default(), Vec::new());
            let ending = server.on_time(now, &mut intake, &mut out);
            assert_eq!(ending, Some(Ending::Said { code: 1008, reason: "logged out".into() }));
            assert!(server.end(ending.unwrap(), &mut out));
            assert_eq!(server.deadline(), None, "once is enough");
        }
    }
}

#[test]
fn a_session_that_has_ended_says_nothing_more() {
    for (ending, taken) in [
        (Ending::Said { code: 1008, reason: "logged out".into() }, 0),
        (Ending::Said { code: 4000, reason: "".into() }, 1),
        (Ending::GoingAway, 1),
    ] {
        let mut server = protocol(Role::Server, Options::default());
        server.end(ending, &mut Vec::new());
        let mut input = BytesMut::from(&b"\x81\x81\0\0\0\x001\x88\x80\0\0\0\0"[..]);
        let flow = server.read(&mut input, &mut Intake::default(), &mut Vec::new()).unwrap();
        assert_eq!((server.messages, flow), (taken, Flow::Closed { we_drop: true }));
    }
}

#[test]
fn a_session_that_ends_behind_a_goodbye_says_nothing_more_either() {
    let server = || protocol(Role::Server, Options::default());
    let revocation = Arc::<Revocation>::default();
    revocation.revoke();
    let until = |end_ms| server().until(&PaceOptions::default(), Some(closing_at(end_ms)));
    let revoked = server().unless(Some(revocation));
    for (mut server, taken) in [(revoked, 0), (until(now_ms() - 1), 0), (until(now_ms() + 3_600_000), 1)] {
        server.end(Ending::Said { code: 4000, reason: "".into() }, &mut Vec::new());
        let mut input = BytesMut::from(&b"\x81\x81\0\0\0\x001"[..]);
        server.read(&mut input, &mut Intake::default(), &mut Vec::new()).unwrap();
        assert_eq!(server.messages, taken);
    }
}

/// It tells of one end only, and goes on with that of the session.
#[test]
fn behind_the_end_of_its_time_a_connection_waits_for_that_of_its_session() {
    let lifetime = Some(Duration::from_millis(1));
    let keepalive = KeepaliveOptions { lifetime, ping_interval: lifetime, ..KeepaliveOptions::default() };
    let pace = PaceOptions { keepalive, ..PaceOptions::default() };
    let wire = Wire { pace, ..Wire::default() };
    let server = WebSocket::new(Role::Server, &wire, Metadata::new("ws_server", Record::default()), ());
    let mut server = server.until(&pace, Some(closing_at(now_ms() + 100)));
    let (start, mut out) = (Instant::now(), Vec::new());
    let mut on_time = |after| {
        let ending = server.on_time(start + Duration::from_millis(after), &mut Intake::default(), &mut out);
        let rests = |at: Option<Instant>| at.is_some_and(|at| at > start + Duration::from_millis(10));
        (ending, rests(server.over_at()) && rests(server.deadline()))
    };
    assert!(matches!(on_time(20), (Some(Ending::Said { code: 1001, .. }), true)));
    assert_eq!(on_time(40), (None, true));
    assert!(out.is_empty(), "and pings no more");
}

#[test]
fn every_ping_is_answered_and_none_behind_a_goodbye() {
    let mut server = protocol(Role::Server, Options::default());
    let mut client = Encoder::new(Role::Client, Options::default());
    let mut input = Vec::new();
    for payload in [&b"one"[..], b"two"] {
        client.ping(payload, &mut input).unwrap();
    }
    let (mut intake, mut reply) = (Intake::default(), Vec::new());
    server.read(&mut BytesMut::from(&input[..]), &mut intake, &mut reply).unwrap();
    assert_eq!(reply, b"\x8a\x03one\x8a\x03two");
    server.end(Ending::GoingAway, &mut Vec::new());
    reply.clear();
    server.read(&mut BytesMut::from(&input[..]), &mut intake, &mut reply).unwrap();
    assert_eq!(reply, b"");
}

#[test]
fn connections_share_frames_that_are_the_same_for_all_and_none_behind_a_goodbye() {
    let plain = || protocol(Role::Server, Options::default());
    let (mut one, mut other) = (plain(), plain());
    framed(&mut other);
    assert!(one.shares_frames() == Some(0) && framed(&mut one) == framed(&mut other));
    one.end(Ending::GoingAway, &mut Vec::new());
    assert!(one.shares_frames().is_none() && one.write(b"text", false, &mut Vec::new()).is_err());

    let masks = Options { mask_server_frames: true, ..Options::default() };
    let (mut one, mut other) = (protocol(Role::Server, masks), protocol(Role::Server, masks));
    assert!(one.shares_frames().is_none() && framed(&mut one) != framed(&mut other));
    assert!(protocol(Role::Client, Options::default()).shares_frames().is_none());
}

#[test]
fn connections_that_compress_share_frames_if_their_messages_stand_for_themselves() {
    let compressing = |role, no_context_takeover, max_window_bits| {
        let options = DeflateOptions { no_context_takeover, max_window_bits, ..Default::default() };
        let (_, deflate) = options.answer(&[DeflateOptions::default().offer()]).unwrap();
        protocol(role, Options::default()).deflate(Some(&deflate))
    };
    assert_eq!(compressing(Role::Server, false, 15).shares_frames(), None);
    assert_eq!(compressing(Role::Client, true, 15).shares_frames(), None);
    let (mut one, mut other) = (compressing(Role::Server, true, 15), compressing(Role::Server, true, 15));
    framed(&mut other);
    assert!(one.shares_frames() == Some(15) && framed(&mut one) == framed(&mut other));
    assert_eq!(compressing(Role::Server, true, 9).shares_frames(), Some(9));
}

#[test]
fn a_read_that_inflates_to_very_much_is_taken_in_parts() {
    let options = DeflateOptions::default();
    let (answer, at_server) = options.answer(&[options.offer()]).unwrap();
    let at_client = options.agree(&[answer]).unwrap().unwrap();
    let limits = Limits { max_message_bytes: 0, max_frame_bytes: 0, ..Limits::default() };
    let wire = Wire { limits, ..Wire::default() };
    let new = |wire| WebSocket::new(Role::Server, wire, Metadata::new("ws_server", Record::default()), ());
    let mut server = new(&wire).deflate(Some(&at_server));
    let mut client = Encoder::new(Role::Client, Options::default()).deflate(&at_client);
    let mut out = Vec::new();
    for _ in 0..40 {
        client.message(&[b'x'; 1 << 20], true, &mut out).unwrap();
    }
    assert!(out.len() < 1 << 16, "{} bytes", out.len());
    let (mut input, mut reads) = (BytesMut::from(&out[..]), 0);
    loop {
        let mut intake = Intake::default();
        let flow = server.read(&mut input, &mut intake, &mut Vec::new()).unwrap();
        reads += 1;
        if flow == Flow::Open {
            break;
        }
        assert_eq!(flow, Flow::More);
    }
    assert!(server.messages == 40 && input.is_empty() && reads >= 39, "40 MiB in {reads} reads");
}

#[test]
fn a_read_of_very_many_messages_is_taken_in_parts() {
    let mut server = protocol(Role::Server, Options::default());
    let (mut input, mut reads) = (BytesMut::from(&b"\x81\x81\0\0\0\x001".repeat(9362)[..]), 1);
    while server.read(&mut input, &mut Intake::default(), &mut Vec::new()).unwrap() == Flow::More {
        assert_eq!(server.messages, 114 * reads);
        reads += 1;
    }
    assert!(server.messages == 9362 && input.is_empty() && reads == 83, "{reads} reads");
}

#[test]
fn a_plain_message_goes_past_the_window() {
    let (_, deflate) = DeflateOptions::default().answer(&[DeflateOptions::default().offer()]).unwrap();
    let mut server = protocol(Role::Server, Options::default()).deflate(Some(&deflate));
    let mut out = Vec::new();
    assert!(server.write_plain(b"text", false, &mut out).unwrap(), "only a head was written");
    out.extend_from_slice(b"text");
    server.write(b"text", false, &mut out).unwrap();
    server.idle();
    server.rest();
    server.write(b"text", false, &mut out).unwrap();
    assert_eq!((out.get(..6), out.get(6)), (Some(&b"\x81\x04text"[..]), Some(&0xc1)));
    let client = Decoder::new(Role::Client, Limits::default(), Options::default());
    let mut events = Vec::new();
    let (answer, _) = DeflateOptions::default().answer(&[DeflateOptions::default().offer()]).unwrap();
    let agreed = DeflateOptions::default().agree(&[answer]).unwrap().unwrap();
    client.deflate(&agreed).decode(&mut BytesMut::from(&out[..]), &mut events).unwrap();
    let text = |compressed| Incoming::Message {
        payload: (&b"text"[..]).into(),
        binary: false,
        frames: 1,
        compressed,
    };
    assert_eq!(events, [text(false), text(true), text(true)]);
}

/// Every connection has one: what few need is boxed. The allocator has rooms of 512 and of 640 bytes.
#[test]
fn a_protocol_is_small() {
    // What a server counts of a connection are four words.
    let size = size_of::<WebSocket<[usize; 4]>>();
    assert!(size <= 512, "{size}");
}
