use std::time::Duration;

use tremor_value::{Record, Value};

use super::{Backoff, Decision, MAX_WAIT, Policy, Retry};

fn record<const N: usize>(members: [(&str, Value); N]) -> Value {
    members.into_iter().collect::<Record>().into()
}

fn retry(members: Value) -> Result<Policy, String> {
    Policy::from_value(Some(&record([("retry", members)]))).map_err(|error| error.to_string())
}

fn plain(interval_ms: u64, growth_rate: f64, max_retries: Option<u64>) -> Policy {
    Policy::Retry(Retry { interval_ms, growth_rate, max_retries, randomized: false })
}

fn random(interval_ms: u64, growth_rate: f64) -> Policy {
    Policy::Retry(Retry { interval_ms, growth_rate, max_retries: None, randomized: true })
}

/// The wait in milliseconds; panics on giving up.
fn ms(decision: Decision) -> u128 {
    match decision {
        Decision::Retry(wait) => wait.as_millis(),
        Decision::GiveUp { attempts } => panic!("gave up after {attempts}"),
    }
}

fn never() -> f64 {
    panic!("drew a number although nothing is random")
}

const SHORT: Duration = Duration::from_millis(9_999);
const LONG: Duration = Duration::from_millis(10_000);

#[test]
fn forms_of_no_policy() {
    assert_eq!(Policy::from_value(None), Ok(Policy::None));
    for value in [Value::Null, "none".into(), record([("none", Value::Null)])] {
        assert_eq!(Policy::from_value(Some(&value)), Ok(Policy::None), "{value:?}");
    }
}

#[test]
fn retry_has_defaults() {
    let policy = retry(record([("interval_ms", 200_i64.into())]));
    assert_eq!(policy, Ok(random(200, 1.5)));
    let full = record([
        ("interval_ms", 500_i64.into()),
        ("growth_rate", 2_i64.into()),
        ("max_retries", 3_i64.into()),
        ("randomized", false.into()),
    ]);
    assert_eq!(retry(full), Ok(plain(500, 2.0, Some(3))));
}

#[test]
fn mistakes_are_named() {
    let interval = ("interval_ms", Value::from(1_i64));
    let whole = |value: Value| Policy::from_value(Some(&value)).map_err(|error| error.to_string());
    let cases = [
        (whole("always".into()), "reconnect: expected \"none\" or a record {\"retry\""),
        (whole(record([("retri", Value::record())])), "reconnect.retri: unknown key; did you mean `retry`?"),
        (whole(Value::record()), "reconnect: names no policy"),
        (whole(record([("none", 1_i64.into())])), "reconnect: `none` takes no settings"),
        (whole(record([("none", Value::Null), ("retry", Value::record())])), "reconnect: `none` and `retry`"),
        (whole(record([("retry", 1_i64.into())])), "reconnect.retry: expected record but got integer"),
        (retry(Value::record()), "reconnect.retry.interval_ms: missing (milliseconds, an integer)"),
        (
            retry(record([("interval_ms", (-1_i64).into())])),
            "reconnect.retry.interval_ms: expected integer of 0 or more",
        ),
        (
            retry(record([interval.clone(), ("max_retry", 1_i64.into())])),
            "reconnect.retry.max_retry: unknown key; did you mean `max_retries`?",
        ),
        (
            retry(record([interval.clone(), ("growth_rate", 0_i64.into())])),
            "reconnect.retry.growth_rate: must be above 0",
        ),
        (
            retry(record([interval.clone(), ("growth_rate", f64::NAN.into())])),
            "reconnect.retry.growth_rate: expected number",
        ),
        (
            retry(record([interval, ("randomized", "yes".into())])),
            "reconnect.retry.randomized: expected bool but got string \"yes\"",
        ),
    ];
    for (result, start) in cases {
        let text = result.unwrap_err();
        assert!(text.starts_with(start), "{text}\n  should start with\n{start}");
    }
}

#[test]
fn what_is_hardly_meant_is_named() {
    let hazards = |policy| match policy {
        Policy::Retry(retry) => retry.hazards().collect::<Vec<_>>().join("\n"),
        Policy::None => String::new(),
    };
    assert_eq!(hazards(plain(1, 1.0, Some(1))), "");
    let all = hazards(plain(0, 0.9, Some(0)));
    for (line, key) in all.lines().zip(["interval_ms", "growth_rate", "max_retries"]) {
        assert!(line.starts_with(&format!("`reconnect.retry.{key}` is ")), "{line}");
    }
    assert_eq!(all.lines().count(), 3);
}

#[test]
fn waits_grow_by_the_factor() {
    let mut backoff = Backoff::new(plain(200, 2.0, None));
    let waits: Vec<_> = (0..4).map(|_| ms(backoff.next(&mut never))).collect();
    assert_eq!(waits, [200, 400, 800, 1600]);
    assert_eq!(backoff.failures(), 4);
    backoff.connected();
    assert_eq!(ms(backoff.next(&mut never)), 200);
}

#[test]
fn fractions_are_cut() {
    let mut backoff = Backoff::new(plain(30, 1.5, None));
    let waits: Vec<_> = (0..5).map(|_| ms(backoff.next(&mut never))).collect();
    assert_eq!(waits, [30, 45, 67, 100, 150]);
}

#[test]
fn three_retries_are_three_attempts() {
    for mut backoff in
        [Backoff::new(plain(500, 2.0, Some(3))), Backoff::websocket_client(plain(500, 2.0, Some(3)), LONG)]
    {
        // Attempts at 0, 0.5 and 1.5 s.
        assert_eq!(ms(backoff.next(&mut never)), 500);
        assert_eq!(ms(backoff.next(&mut never)), 1000);
        assert_eq!(backoff.next(&mut never), Decision::GiveUp { attempts: 3 });
    }
    for max in [0, 1] {
        let mut backoff = Backoff::new(plain(500, 2.0, Some(max)));
        assert_eq!(backoff.next(&mut never), Decision::GiveUp { attempts: 1 });
    }
}

#[test]
fn a_lost_connection_counts_from_zero() {
    let mut backoff = Backoff::new(plain(500, 2.0, Some(2)));
    assert_eq!(ms(backoff.next(&mut never)), 500);
    backoff.connected();
    assert_eq!(ms(backoff.first_wait(SHORT, &mut never)), 500);
    assert_eq!(ms(backoff.next(&mut never)), 1000);
    assert_eq!(backoff.next(&mut never), Decision::GiveUp { attempts: 2 });
}

#[test]
fn without_a_policy_only_a_lost_connection_is_tried_again() {
    let mut backoff = Backoff::new(Policy::None);
    assert_eq!(backoff.next(&mut never), Decision::GiveUp { attempts: 1 });
    let mut backoff = Backoff::websocket_client(Policy::None, LONG);
    backoff.connected();
    assert_eq!(ms(backoff.first_wait(LONG, &mut never)), 1000);
    assert_eq!(backoff.next(&mut never), Decision::GiveUp { attempts: 1 });
}

#[test]
fn random_waits_lie_between_the_last_and_its_multiple() {
    let mut backoff = Backoff::new(random(100, 2.0));
    let mut high = || 1.0;
    assert_eq!(ms(backoff.next(&mut high)), 100, "the first wait is not drawn");
    assert_eq!(ms(backoff.next(&mut || 0.0)), 200);
    assert_eq!(ms(backoff.next(&mut || 0.5)), 200, "the drawn value is the base of the next step");
    assert_eq!(ms(backoff.next(&mut high)), 300);

    let mut shrinking = Backoff::new(random(100, 0.5));
    shrinking.next(&mut || 0.0);
    assert_eq!(ms(shrinking.next(&mut || 0.999_999)), 50);
    assert_eq!(ms(shrinking.next(&mut || 0.0)), 50);
}

#[test]
fn a_broken_random_source_does_no_harm() {
    for value in [f64::NAN, f64::INFINITY, -1.0, 2.0] {
        let mut backoff = Backoff::websocket_client(random(100, 2.0), LONG);
        assert!((50..=150).contains(&ms(backoff.next(&mut || value))), "{value}");
        assert!((50..=300).contains(&ms(backoff.next(&mut || value))), "{value}");
    }
}

#[test]
fn waits_are_capped_and_never_overflow() {
    let mut backoff = Backoff::new(plain(100, f64::MAX, None));
    assert_eq!(ms(backoff.next(&mut never)), 100);
    assert_eq!(ms(backoff.next(&mut never)), MAX_WAIT.as_millis());
    assert_eq!(ms(backoff.next(&mut never)), MAX_WAIT.as_millis());

    let mut huge = Backoff::websocket_client(random(u64::MAX, f64::MAX), LONG);
    for _ in 0..100 {
        assert!(ms(huge.next(&mut || 1.0)) > 0);
    }
}

#[test]
fn no_wait_is_so_short_that_attempts_become_a_storm() {
    for (interval_ms, growth_rate, expected) in [
        (40, 0.5, [40, 20, 10, 10, 10]),
        (400, 0.01, [400, 10, 10, 10, 10]),
        (0, 1.5, [10; 5]),
        (1, 1.5, [10; 5]),
        (4, 2.0, [10, 10, 16, 32, 64]),
    ] {
        let mut backoff = Backoff::new(plain(interval_ms, growth_rate, None));
        let waits: Vec<_> = (0..5).map(|_| ms(backoff.next(&mut never))).collect();
        assert_eq!(waits, expected, "{interval_ms} {growth_rate}");
        let mut spread = Backoff::websocket_client(random(interval_ms, growth_rate), LONG);
        for _ in 0..5 {
            assert!(ms(spread.next(&mut || 0.0)) >= 10, "{interval_ms} {growth_rate}");
        }
        assert!(ms(spread.first_wait(LONG, &mut || 0.0)) >= 10);
    }
}

#[test]
fn a_long_interval_is_kept_and_does_not_grow() {
    let mut backoff = Backoff::new(plain(600_000, 2.0, None));
    assert_eq!(ms(backoff.next(&mut never)), 600_000);
    assert_eq!(ms(backoff.next(&mut never)), 600_000);
}

#[test]
fn websocket_clients_spread_their_first_wait() {
    for (drawn, wait) in [(0.0, 250), (0.5, 500), (1.0, 750)] {
        let mut backoff = Backoff::websocket_client(random(500, 1.5), LONG);
        assert_eq!(ms(backoff.next(&mut || drawn)), wait);
        backoff.connected();
        assert_eq!(ms(backoff.first_wait(LONG, &mut || drawn)), wait);
    }
}

#[test]
fn only_a_stable_websocket_connection_puts_the_wait_back() {
    let mut backoff = Backoff::websocket_client(plain(100, 2.0, Some(2)), LONG);
    assert_eq!(ms(backoff.next(&mut never)), 100);
    backoff.connected();
    assert_eq!(ms(backoff.first_wait(SHORT, &mut never)), 200);
    backoff.connected();
    assert_eq!(ms(backoff.first_wait(SHORT, &mut never)), 400);
    backoff.connected();
    assert_eq!(ms(backoff.first_wait(LONG, &mut never)), 100);
    // The count of failures begins anew with every connection all the same.
    assert_eq!(ms(backoff.next(&mut never)), 200);
    assert_eq!(backoff.next(&mut never), Decision::GiveUp { attempts: 2 });
}

#[test]
fn waits_for_a_peer_without_room_grow_however_long_it_had_some() {
    let mut backoff = Backoff::websocket_client(plain(100, 2.0, None), Duration::ZERO);
    for expected in [100, 200, 400] {
        assert_eq!(ms(backoff.next_wait(&mut never)), expected);
        backoff.connected();
    }
    assert_eq!(ms(backoff.first_wait(SHORT, &mut never)), 100);
}

#[test]
fn a_peer_may_ask_for_patience_within_bounds() {
    let wait = Decision::Retry(Duration::from_secs(2));
    assert_eq!(wait.at_least(Duration::from_secs(1)), wait);
    assert_eq!(wait.at_least(Duration::from_secs(9)), Decision::Retry(Duration::from_secs(9)));
    assert_eq!(wait.at_least(Duration::MAX), Decision::Retry(Duration::MAX));
    let give_up = Decision::GiveUp { attempts: 1 };
    assert_eq!(give_up.at_least(Duration::from_secs(1)), give_up);
}
