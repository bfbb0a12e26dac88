//! What becomes of events when a client gives up its server, for now or for good.

use super::{
    client_opening::{answer, start, welcome},
    peers::{Port, client, client_definition, next_text},
};
use crate::harness::{Clock, Linked, Subject, within};
use futures_util::FutureExt;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tremor_codec::testing::Log;
use tremor_connector::State;
use tremor_value::Value;

const SOON: &str = r#"{"retry": {"interval_ms": 1, "growth_rate": 1, "randomized": false}}"#;
const ONCE: &str = r#""none""#;
const LAST: &str = r#"{"retry": {"interval_ms": 1, "max_retries": 1}}"#;

async fn has_failed(subject: &Subject) {
    let mut status = subject.handle.watch();
    within(status.wait_for(|status| status.state == State::Failed)).await.unwrap();
}

/// Nothing comes through any more, and nobody is kept waiting: no time passes.
async fn fails_all(subject: &mut Subject, _: &Clock) {
    assert!(subject.front.is_cut_off() && subject.front.now().is_none());
    let failed = subject.handle.taken().failed;
    within(subject.give("1")).await;
    assert_eq!(subject.handle.taken().failed, failed + 1);
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
}

#[tokio::test]
async fn a_client_that_is_refused_later_takes_nothing_any_more() {
    let port = Port::reserve();
    let listener = port.listen();
    let mut subject = client(&port, r#", "give_up_on": [401]"#, SOON);
    subject.open();
    let started = start(&subject);
    let first = welcome(&listener, "").await;
    within(started).await.unwrap().unwrap();
    assert!(!subject.front.is_cut_off() && subject.front.now().is_some());
    drop(first);
    answer(&listener, "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n").await;
    has_failed(&subject).await;
    fails_all(&mut subject, &Clock::stop()).await;
}

/// A client whose server does not read has given it up. More waits than its queue has room for.
struct Stalled {
    subject: Subject,
    listener: TcpListener,
    _server: TcpStream,
    gives: JoinHandle<()>,
}

const EVENTS: u64 = 5;

impl Stalled {
    /// With two places in its queue.
    async fn with(policy: &str, reconnect: &str, clock: &Clock) -> Self {
        let queue = format!(r#"{{"messages": 2, "bytes": 100000000, "policy": "{policy}"}}"#);
        Self::with_queue(&queue, EVENTS, reconnect, clock).await
    }

    async fn with_queue(queue: &str, events: u64, reconnect: &str, clock: &Clock) -> Self {
        let port = Port::reserve();
        let listener = port.listen();
        let queue = format!(r#", "send_queue": {queue}"#);
        let mut subject = Subject::new(&client_definition(&port, &queue, reconnect), Linked::Fully).unwrap();
        subject.open();
        let started = start(&subject);
        let (server, _) = welcome(&listener, "").await;
        within(started).await.unwrap().unwrap();
        let large = subject.event(Value::from("x".repeat(16 << 20)));
        let into = subject.way_in();
        within(into.deliver(0, large.into())).await;
        let events: Vec<_> = (0..events).map(|number| subject.event(Value::from(number))).collect();
        let gives = tokio::spawn(async move {
            for event in events {
                into.deliver(0, event.into()).await;
            }
        });
        within(async {
            while subject.handle.taken().failed == 0 {
                clock.advance(100).await;
            }
        })
        .await;
        assert!(!gives.is_finished());
        Self { subject, listener, _server: server, gives }
    }
}

#[tokio::test]
async fn what_waits_for_a_server_that_is_given_up_is_told_and_counted() {
    let clock = Clock::stop();
    let (log, _listening) = Log::listen();
    let stalled = Stalled::with("block", SOON, &clock).await;
    let taken = stalled.subject.handle.taken();
    assert_eq!((taken.failed, taken.discarded), (1, 1));
    assert!(log.text().contains("1 event failed: slow consumer: connection "), "{}", log.text());
}

#[tokio::test]
async fn what_waits_fails_when_a_server_that_did_not_read_is_gone_for_good() {
    let clock = Clock::stop();
    for (policy, reconnect) in [("block", ONCE), ("close", ONCE), ("block", LAST)] {
        let (log, _listening) = Log::listen();
        let Stalled { mut subject, listener, _server, gives } =
            Stalled::with(policy, reconnect, &clock).await;
        drop(listener);
        within(async {
            while subject.handle.status().state != State::Failed {
                // The time for the goodbye, and until the next attempt.
                clock.advance(100).await;
            }
        })
        .await;
        within(gives).await.unwrap();
        let taken = subject.handle.taken();
        assert_eq!((taken.failed, taken.waiting), (1 + EVENTS, 0), "{policy}");
        assert!(log.text().contains("no socket, and there will be none: "), "{}", log.text());
        fails_all(&mut subject, &clock).await;
    }
}

#[tokio::test]
async fn a_drain_does_not_wait_for_the_successor_of_a_server_that_did_not_read() {
    let clock = Clock::stop();
    for policy in ["block", "close"] {
        let Stalled { subject, listener: _listener, _server, gives } =
            Stalled::with(policy, SOON, &clock).await;
        let handle = subject.handle.clone();
        let drains = tokio::spawn(async move { handle.drain().await });
        // No longer than its goodbye takes.
        for _ in 0..11 {
            clock.advance(100).await;
        }
        within(gives).await.unwrap();
        subject.front_is_done().await;
        within(drains).await.unwrap();
        assert_eq!(subject.handle.taken().waiting, 0, "{policy}");
    }
}

#[tokio::test]
async fn what_comes_while_a_server_that_does_not_read_is_told_so_goes_to_the_next() {
    let clock = Clock::stop();
    // What is more than the queue has room for waits in front of it; `close` would end the next connection for that, too.
    for (policy, count) in [("block", 30), ("close", 9)] {
        let queue = format!(r#"{{"messages": 9, "policy": "{policy}"}}"#);
        let Stalled { subject, listener, _server, gives } =
            Stalled::with_queue(&queue, count, SOON, &clock).await;
        // The sources in front are told to stop right away; what comes all the same fills the queue and waits.
        assert!(subject.front.now().is_none(), "{policy}");
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert!(!gives.is_finished(), "{policy}");
        // The time for the goodbye, and the next attempt.
        let mut next = loop {
            clock.advance(100).await;
            if let Some(accepted) = listener.accept().now_or_never() {
                break within(async_tungstenite::tokio::accept_async(accepted.unwrap().0)).await.unwrap();
            }
        };
        for number in 0..count {
            assert_eq!(next_text(&mut next).await, number.to_string(), "{policy}");
        }
        within(gives).await.unwrap();
        assert_eq!(subject.handle.taken().failed, 1, "only what was sent to the slow one");
    }
}
