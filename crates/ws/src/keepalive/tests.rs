//! Lives of connections in virtual time.

use super::*;

const MS: Duration = Duration::from_millis(1);

const fn ms(ms: u64) -> Option<Duration> {
    Some(Duration::from_millis(ms))
}

/// What happens to a connection, at a time in milliseconds since it opened.
#[derive(Clone, Copy, Debug)]
enum Happens {
    /// A whole message came.
    Message,
    /// A message has begun, or goes on.
    Part,
    /// Nothing but control frames.
    Control,
    /// The pong to the last ping, and nothing else.
    Pong,
    /// A pong to something else.
    OtherPong,
    Wrote,
    Stops,
    GoesOn,
}

/// When pings go out, and what ends the connection when, if anything does until `until`.
fn live(
    options: KeepaliveOptions,
    spreads: (u32, u32),
    happens: &[(u64, Happens)],
    until: u64,
) -> (Vec<u64>, Option<(u64, Due)>) {
    let start = Instant::now();
    let mut keepalive = Keepalive::new(options, start, spreads);
    let at = |ms: u64| start + Duration::from_millis(ms);
    let (mut pings, mut last) = (Vec::new(), Vec::new());
    for now in 0..=until {
        for (_, what) in happens.iter().filter(|(when, _)| *when == now) {
            match what {
                Happens::Message => {
                    keepalive.heard(Heard { has_message: true, is_mid_message: false }, at(now));
                }
                Happens::Part => keepalive.heard(Heard { has_message: false, is_mid_message: true }, at(now)),
                Happens::Control => keepalive.heard(Heard::default(), at(now)),
                Happens::Pong => {
                    keepalive.heard(Heard::default(), at(now));
                    keepalive.pong(&last, at(now));
                }
                Happens::OtherPong => {
                    keepalive.heard(Heard::default(), at(now));
                    keepalive.pong(b"never asked", at(now));
                }
                Happens::Wrote => keepalive.wrote(at(now)),
                Happens::Stops => keepalive.reading(false, at(now)),
                Happens::GoesOn => keepalive.reading(true, at(now)),
            }
        }
        let is_due = keepalive.deadline().is_some_and(|deadline| deadline <= at(now));
        match keepalive.due(at(now), || [7; 8]) {
            None => assert!(!is_due, "a deadline that is for nothing at {now}"),
            Some(due) => {
                assert!(is_due, "no deadline for {due:?} at {now}");
                match due {
                    Due::Ping(payload) => {
                        last = payload;
                        pings.push(now);
                        assert_eq!(keepalive.due(at(now), || [7; 8]), None);
                    }
                    end => return (pings, Some((now, end))),
                }
            }
        }
    }
    (pings, None)
}

const PINGS: KeepaliveOptions = KeepaliveOptions {
    ping_interval: ms(100),
    ping_timeout: ms(30),
    ping_bytes: 12,
    any_traffic_answers: false,
    idle: None,
    lifetime: None,
    message: None,
};

#[test]
fn pings_and_their_answers() {
    use Happens::*;
    let any = KeepaliveOptions { any_traffic_answers: true, ..PINGS };
    let no_timeout = KeepaliveOptions { ping_timeout: None, ..PINGS };
    let slow = KeepaliveOptions { ping_timeout: ms(500), ..PINGS };
    let no_pong = |at| Some((at, Due::NoPong(30 * MS)));
    for (what, options, happens, until, pings, end) in [
        ("no answer", PINGS, &[][..], 300, &[100][..], no_pong(130)),
        ("answered", PINGS, &[(110, Pong), (205, Pong)], 300, &[100, 200, 300], None),
        ("answered in the last moment", PINGS, &[(130, Pong)], 200, &[100, 200], None),
        ("another pong", PINGS, &[(110, OtherPong)], 300, &[100], no_pong(130)),
        ("data is no pong", PINGS, &[(110, Message), (120, Part)], 300, &[100], no_pong(130)),
        ("any traffic", any, &[(110, Control)], 300, &[100, 200], no_pong(230)),
        ("any traffic, a part of a message", any, &[(129, Part)], 229, &[100, 200], None),
        ("traffic before a ping", any, &[(90, Message)], 300, &[100], no_pong(130)),
        ("only one is open", no_timeout, &[(450, Pong)], 460, &[100, 450], None),
        ("without timeout", no_timeout, &[], 1000, &[100], None),
        ("slow answers", slow, &[(350, Pong), (360, Pong)], 460, &[100, 350, 450], None),
        ("not read for a while", PINGS, &[(110, Stops), (500, GoesOn)], 600, &[100], no_pong(520)),
        ("not read when it is sent", PINGS, &[(50, Stops), (150, GoesOn)], 600, &[100], no_pong(180)),
        ("stopped twice", PINGS, &[(101, Stops), (102, Stops), (200, GoesOn)], 600, &[100], no_pong(229)),
        ("goes on though it never stopped", PINGS, &[(101, GoesOn)], 600, &[100], no_pong(130)),
        ("not read any more", PINGS, &[(100, Stops)], 9999, &[100], None),
    ] {
        let seen = live(options, (u32::MAX, 0), happens, until);
        assert_eq!(seen, (pings.to_vec(), end), "{what}");
    }
}

#[test]
fn silence_age_and_messages_without_end() {
    use Happens::*;
    let off = KeepaliveOptions { ping_interval: None, ..PINGS };
    let idle = KeepaliveOptions { idle: ms(100), ..off };
    let message = KeepaliveOptions { message: ms(100), ..off };
    let lifetime = KeepaliveOptions { lifetime: ms(1000), ..off };
    let (is_idle, too_long) = (|at| Some((at, Due::Idle(100 * MS))), |at| Some((at, Due::Message(100 * MS))));
    for (what, options, happens, end) in [
        ("nothing is limited", off, &[(1, Part)][..], None),
        ("silence", idle, &[], is_idle(100)),
        ("a message", idle, &[(50, Message)], is_idle(150)),
        ("a part of one", idle, &[(50, Part)], is_idle(150)),
        ("what we send", idle, &[(60, Wrote)], is_idle(160)),
        ("pings are no data", idle, &[(60, Control)], is_idle(100)),
        ("not read", idle, &[(60, Stops), (560, GoesOn)], is_idle(600)),
        ("a message that ends", message, &[(1, Part), (90, Part), (100, Message)], None),
        ("and one that does not", message, &[(1, Part), (90, Part), (100, Part)], too_long(101)),
        ("each has its time", message, &[(1, Part), (90, Message), (91, Part)], too_long(191)),
        ("nobody reads it", message, &[(1, Part), (51, Stops), (500, GoesOn)], too_long(550)),
        ("age", lifetime, &[(1, Message), (1, Stops)], Some((900, Due::Lifetime))),
    ] {
        assert_eq!(live(options, (0, 0), happens, 2000), (vec![], end), "{what}");
    }
}

#[test]
fn connections_of_one_moment_are_not_busy_in_one_moment() {
    let first_ping = |spread| live(KeepaliveOptions { ping_timeout: None, ..PINGS }, (spread, 0), &[], 200).0;
    assert_eq!([0, u32::MAX / 2, u32::MAX].map(first_ping), [[1], [50], [100]]);
    let lifetime = KeepaliveOptions { ping_interval: None, lifetime: ms(1000), ..PINGS };
    let age = |spread| live(lifetime, (0, spread), &[], 2000).1.map(|(at, _)| at);
    assert_eq!([0, u32::MAX / 2, u32::MAX].map(age), [900, 1000, 1100].map(Some));
}

#[test]
fn a_ping_is_random_bytes_its_number_and_zeros() {
    for (wanted, bytes) in [(0, 12), (12, 12), (13, 13), (125, 125), (4000, 125)] {
        let now = Instant::now();
        let mut keepalive = Keepalive::new(KeepaliveOptions { ping_bytes: wanted, ..PINGS }, now, (0, 0));
        for number in 1..=2_u8 {
            let now = now + u32::from(number) * 200 * MS;
            let Some(Due::Ping(payload)) = keepalive.due(now, || *b"random!!") else { panic!("no ping") };
            let expected = [&b"random!!\0\0\0"[..], &[number]].concat();
            assert_eq!((payload.len(), &payload[..12]), (bytes, expected.as_slice()));
            assert!(payload[12..].iter().all(|byte| *byte == 0));
            keepalive.pong(&payload, now + 20 * MS);
            assert_eq!(keepalive.take_round_trip(), Some(20 * MS));
        }
    }
}

#[test]
fn only_a_pong_tells_how_long_a_round_trip_takes() {
    let start = Instant::now();
    let options = KeepaliveOptions { any_traffic_answers: true, ..PINGS };
    let mut keepalive = Keepalive::new(options, start, (u32::MAX, 0));
    let ping = |keepalive: &mut Keepalive, at| match keepalive.due(start + at * MS, || [7; 8]) {
        Some(Due::Ping(payload)) => payload,
        other => panic!("no ping at {at}: {other:?}"),
    };
    let first = ping(&mut keepalive, 100);
    keepalive.heard(Heard { has_message: true, is_mid_message: false }, start + 101 * MS);
    assert_eq!(keepalive.take_round_trip(), None, "a message that was under way anyway");
    keepalive.heard(Heard::default(), start + 125 * MS);
    keepalive.pong(&first, start + 125 * MS);
    assert_eq!(keepalive.take_round_trip(), Some(25 * MS));
    keepalive.pong(&first, start + 126 * MS);
    assert_eq!(keepalive.take_round_trip(), None, "twice the same pong");
    let second = ping(&mut keepalive, 200);
    keepalive.heard(Heard::default(), start + 201 * MS);
    let third = ping(&mut keepalive, 300);
    keepalive.pong(&first, start + 305 * MS);
    assert_eq!(keepalive.take_round_trip(), None, "the one of long ago");
    keepalive.pong(&second, start + 310 * MS);
    assert_eq!((keepalive.take_round_trip(), keepalive.deadline()), (Some(110 * MS), Some(start + 330 * MS)));
    keepalive.pong(&third, start + 312 * MS);
    assert_eq!(keepalive.take_round_trip(), Some(12 * MS));
    // Pongs that come late are still known, and stand for the pings in front of theirs.
    let passed: Vec<_> = (4..15)
        .map(|number| {
            let payload = ping(&mut keepalive, 100 * number);
            keepalive.heard(Heard::default(), start + (100 * number + 1) * MS);
            payload
        })
        .collect();
    for (number, expected) in [(2, None), (3, Some(710 * MS)), (3, None), (5, Some(510 * MS)), (4, None)] {
        keepalive.pong(&passed[number], start + 1410 * MS);
        assert_eq!(keepalive.take_round_trip(), expected, "ping {number}");
    }
}
