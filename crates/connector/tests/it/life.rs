//! Start, pause, drain, stop, and what an internal error costs.

use crate::fake::{Ends, Seen, Step, Subject, refused, within};
use futures_util::FutureExt;
use std::{future::pending, time::Duration};
use tokio::time::{sleep, timeout};
use tremor_connector::State;

const NONE: &str = r#""none""#;
const FOR_EVER: &str = r#"{"retry": {"interval_ms": 500}}"#;

/// Tells the panics of tests apart from those of the test.
pub(crate) fn quiet() {
    std::panic::set_hook(Box::new(|_| {}));
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_back_what_a_pending_pull_gives() {
    let ends = Ends::new();
    let mut subject = Subject::halves(NONE, ends.always());
    within(subject.handle.start()).await.unwrap();
    ends.steps.send(Step::Give(1)).unwrap();
    assert_eq!(subject.next().await, Seen::Event("out", "1".to_owned()));
    subject.handle.pause();
    subject.reaches(State::Paused).await;
    ends.steps.send(Step::Give(2)).unwrap();
    sleep(Duration::from_secs(10)).await;
    assert!(subject.seen.try_recv().is_err());
    subject.handle.resume();
    assert_eq!(subject.next().await, Seen::Event("out", "2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_a_pending_pull_gave_arrives_before_the_mark_of_a_drain() {
    let ends = Ends::new();
    let mut subject = Subject::halves(NONE, ends.always());
    within(subject.handle.start()).await.unwrap();
    ends.steps.send(Step::Give(1)).unwrap();
    assert_eq!(subject.next().await, Seen::Event("out", "1".to_owned()));
    subject.handle.pause();
    subject.reaches(State::Paused).await;
    ends.steps.send(Step::Give(2)).unwrap();
    sleep(Duration::from_secs(1)).await;
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    assert_eq!(subject.next().await, Seen::Event("out", "2".to_owned()));
    assert_eq!(subject.next().await, Seen::Drained("err"));
    assert_eq!(subject.next().await, Seen::Drained("out"));
    assert_eq!(subject.handle.status().state, State::Drained);
}

#[tokio::test(start_paused = true)]
async fn what_is_being_read_when_the_drain_begins_is_read_to_its_end() {
    let ends = Ends::new();
    let mut subject = Subject::halves(NONE, ends.reading_on());
    within(subject.handle.start()).await.unwrap();
    ends.steps.send(Step::Give(1)).unwrap();
    assert_eq!(subject.next().await, Seen::Event("out", "1".to_owned()));
    subject.front_is_done().await;
    assert!(timeout(Duration::from_secs(60), subject.handle.drain()).await.is_err());
    ends.steps.send(Step::Give(2)).unwrap();
    assert_eq!(subject.next().await, Seen::Event("out", "2".to_owned()));
    ends.steps.send(Step::Finish).unwrap();
    within(subject.handle.drain()).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_held_back_when_the_drain_begins_is_not_read() {
    let ends = Ends::new();
    let mut subject = Subject::halves(NONE, ends.reading_on());
    within(subject.handle.start()).await.unwrap();
    subject.handle.pause();
    subject.reaches(State::Paused).await;
    for number in 1..10 {
        ends.steps.send(Step::Give(number)).unwrap();
    }
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    let mut seen = Vec::new();
    while let Ok(event) = subject.seen.try_recv() {
        seen.push(event);
    }
    // The pull that was pending when the pause came gives what it has.
    assert!(seen.len() <= 3, "{seen:?}");
    assert!(!seen.contains(&Seen::Event("out", "2".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_finished_source_is_drained_and_its_sink_goes_on() {
    let mut ends = Ends::new();
    let mut subject = Subject::halves(NONE, ends.always());
    within(subject.handle.start()).await.unwrap();
    ends.steps.send(Step::Finish).unwrap();
    assert_eq!(subject.next().await, Seen::Drained("err"));
    assert_eq!(subject.next().await, Seen::Drained("out"));
    subject.give(5..6).await;
    assert_eq!(within(ends.noted.recv()).await, Some(5));
    assert_eq!(subject.handle.status().state, State::Running);
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    assert!(subject.seen.try_recv().is_err(), "marks go out once");
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_those_in_front() {
    let ends = Ends::new();
    let subject = Subject::halves(NONE, ends.always());
    within(subject.handle.start()).await.unwrap();
    let mut draining = Box::pin(subject.handle.drain());
    assert!(timeout(Duration::from_secs(60), draining.as_mut()).await.is_err());
    subject.front_is_done().await;
    within(draining).await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_under_way_holds_up_neither_drain_nor_stop() {
    let subject = Subject::halves(NONE, Box::new(|_| Box::pin(pending())));
    let mut starting = Box::pin(subject.handle.start());
    assert!(starting.as_mut().now_or_never().is_none());
    subject.reaches(State::Running).await;
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    within(subject.handle.stop()).await;
    assert!(within(starting).await.is_err());
    assert_eq!(subject.handle.status().state, State::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_failed_connector_drains_and_stops() {
    let mut subject = Subject::halves(NONE, Box::new(|_| Box::pin(async { refused() })));
    within(subject.handle.start()).await.unwrap_err();
    subject.give(1..3).await;
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    assert_eq!(subject.next().await, Seen::Drained("err"));
    within(subject.handle.stop()).await;
    assert_eq!(subject.handle.taken().failed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_leads_nowhere_is_not_read_and_drains_at_once() {
    let ends = Ends::new();
    let subject = Subject::new("halves", NONE, ends.always(), false);
    within(subject.handle.start()).await.unwrap();
    ends.steps.send(Step::Panic).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(subject.handle.status().state, State::Running);
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_while_disconnected_fails_what_waits_and_releases_who_sends() {
    let subject = Subject::single(FOR_EVER, Box::new(|_| Box::pin(async { refused() })));
    let handle = subject.handle.clone();
    tokio::spawn(async move { handle.start().await });
    subject.reaches(State::Running).await;
    let into = subject.into.clone();
    let giving = tokio::spawn(async move {
        let events = (0..5000).map(crate::fake::event).collect();
        into.deliver(0, tremor_event::EventBatch { events, bytes: 1 }).await;
        into.signal(tremor_event::Signal::Drain { source: crate::fake::BEFORE }).await;
    });
    within(async {
        while subject.handle.taken().waiting < 5000 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert!(!giving.is_finished(), "1024 events fit, the others wait");
    sleep(Duration::from_secs(3)).await;
    within(subject.handle.drain()).await;
    within(giving).await.unwrap();
    let taken = subject.handle.taken();
    assert_eq!((taken.received, taken.failed, taken.waiting), (5000, 5000, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_to_a_stopped_connector_does_not_wait() {
    for subject in [
        Subject::halves(NONE, Ends::new().always()),
        Subject::single(FOR_EVER, Box::new(|_| Box::pin(async { refused() }))),
    ] {
        within(subject.handle.stop()).await;
        within(subject.give(0..5000)).await;
        within(subject.front_is_done()).await;
        let taken = subject.handle.taken();
        assert_eq!((taken.received, taken.failed), (5000, 5000));
        assert!(within(subject.handle.start()).await.is_err());
        within(subject.handle.drain()).await;
        within(subject.handle.stop()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_dropped_while_sending_leaves_the_count_right() {
    let subject = Subject::single(FOR_EVER, Box::new(|_| Box::pin(pending())));
    assert!(timeout(Duration::from_secs(1), subject.give(0..1500)).await.is_err());
    let taken = subject.handle.taken();
    assert_eq!((taken.received, taken.waiting, taken.failed), (1500, 1024, 476));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_source_is_the_end_of_this_connector_alone() {
    quiet();
    let ends = Ends::new();
    let mut subject = Subject::halves(FOR_EVER, ends.always());
    within(subject.handle.start()).await.unwrap();
    ends.steps.send(Step::Panic).unwrap();
    subject.reaches(State::Failed).await;
    assert_eq!(subject.before.now(), None);
    let failure = subject.handle.status().failure.unwrap();
    assert!(failure.contains("internal error") && failure.contains(subject.handle.alias()), "{failure}");
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    assert_eq!(subject.next().await, Seen::Drained("err"));
    within(subject.handle.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_sink_keeps_nobody_waiting() {
    quiet();
    let mut ends = Ends::new();
    let subject = Subject::halves(FOR_EVER, ends.always());
    within(subject.handle.start()).await.unwrap();
    subject.give(11..16).await;
    subject.give(0..5).await;
    subject.front_is_done().await;
    subject.reaches(State::Failed).await;
    within(subject.handle.drain()).await;
    within(subject.handle.stop()).await;
    assert_eq!((ends.noted.recv().await, ends.noted.recv().await), (Some(11), Some(12)));
    let taken = subject.handle.taken();
    assert_eq!((taken.written, taken.waiting), (2, 0));
    assert_eq!(taken.failed, taken.received - 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_connecting_is_a_failed_attempt() {
    quiet();
    let ends = Ends::new();
    let connected = ends.connected();
    let subject = Subject::halves(
        FOR_EVER,
        Box::new(move |attempt| {
            let connected = connected();
            Box::pin(async move {
                assert!(attempt > 1, "the test says so");
                Ok(connected)
            })
        }),
    );
    within(subject.handle.start()).await.unwrap();
}
