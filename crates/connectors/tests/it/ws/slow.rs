//! Peers that are given up since they do not read what they are sent.

use super::{client_opening::start, ends::with_queue, peers::accept};
use crate::harness::{Clock, within};
use std::time::Duration;
use tokio::{task::yield_now, time::Instant};
use tremor_value::Value;

#[tokio::test]
async fn the_goodbye_to_a_server_that_is_given_up_late_in_a_drain_has_no_time_of_its_own() {
    let clock = Clock::stop();
    let (mut subject, _port, listener) = with_queue(r#"{"messages": 1, "block_timeout": 2900}"#);
    let started = start(&subject);
    let _slow = accept(&listener).await;
    within(started).await.unwrap().unwrap();
    let (large, behind) = (subject.event(Value::from("x".repeat(16 << 20))), subject.event(Value::from(1)));
    let into = subject.way_in();
    within(into.deliver(0, large.into())).await;
    let _gives = tokio::spawn(async move { into.deliver(0, behind.into()).await });
    within(async {
        while subject.handle.taken().received < 2 {
            yield_now().await;
        }
    })
    .await;
    subject.front_is_done().await;
    let (handle, latest) = (subject.handle.clone(), Instant::now() + Duration::from_secs(3));
    let let_go = tokio::spawn(async move { handle.let_go(latest).await });
    yield_now().await;
    clock.advance(2_899).await;
    assert!(subject.front.now().is_some());
    clock.advance(2).await;
    within(async {
        while subject.front.now().is_some() {
            yield_now().await;
        }
    })
    .await;
    assert_eq!(subject.handle.taken().failed, 0, "half of it is written, and the goodbye comes behind that");
    clock.advance(100).await;
    yield_now().await;
    clock.advance(501).await;
    within(let_go).await.unwrap();
    assert_eq!(subject.handle.taken().failed, 1);
}
