//! What a source that listens hears of events that end in sinks with a queue.

use crate::{
    fake::{definition, within},
    flow::{Flow, Half, Handing, Pipeline, Plan, act, filter, number, takes_all},
    life::quiet,
    picky::REFUSED,
};
use async_trait::async_trait;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::sleep,
};
use tremor_codec::Chunks;
use tremor_connector::{At, ByteSink, Definition, EventSink, Intake, Made, Pulled, Sink, SinkError, State};
use tremor_event::{Outcome, settle_all};
use tremor_value::{Bytes, Record, Value};

fn fails_every_third() -> Half {
    let mut taken = 0;
    act(move |_| {
        taken += 1;
        if taken % 3 == 0 { Err(SinkError::Failed("the third".to_owned())) } else { Ok(()) }
    })
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_numbered_pulls_is_told_in_one_call() {
    let flow = Flow::to([takes_all()]).await;
    flow.pull(|intake| {
        for pull in [3, 4, 5, 9] {
            intake.value(Made { pull: Some(pull), ..Value::from(pull).into() }, None);
        }
    });
    let told = flow.ledger.heard(4).await;
    assert_eq!(told, ["0:3 delivered", "0:4 delivered", "0:5 delivered", "0:9 delivered"]);
    assert_eq!(*flow.ledger.calls.lock().unwrap(), [2], "one call with two ranges");
    assert!(flow.ledger.slowest_ns() > 0);
}

#[tokio::test(start_paused = true)]
async fn all_events_of_one_pull_are_told_together() {
    let flow = Flow::to([fails_every_third()]).await;
    flow.pull(|intake| (0..2).for_each(|number| intake.value(Value::from(number), None)));
    flow.pull(|intake| (0..2).for_each(|number| intake.value(Value::from(number), None)));
    flow.give([7]);
    assert_eq!(flow.ledger.heard(3).await, ["0:0 delivered", "0:1 failed", "0:2 delivered"]);
}

#[tokio::test(start_paused = true)]
async fn one_of_two_sinks_that_fails_is_enough() {
    let flow = Flow::to([takes_all(), fails_every_third()]).await;
    flow.give(0..4);
    let told = flow.ledger.heard(4).await;
    assert_eq!(told, ["0:0 delivered", "0:1 delivered", "0:2 failed", "0:3 delivered"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_on_every_way_is_discarded() {
    let odd = Pipeline::new(|batch| filter(batch, |number| number % 2 == 1));
    let flow = Flow::planned(Plan { pipeline: odd, ..Plan::default() }, [takes_all(), takes_all()]).await;
    flow.give(0..3);
    assert_eq!(flow.ledger.heard(3).await, ["0:0 discarded", "0:1 delivered", "0:2 discarded"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_sink_fails_its_event_and_those_behind_it() {
    quiet();
    let flow = Flow::to([act(|event| {
        assert_ne!(number(&event), 2, "the test says so");
        Ok(())
    })])
    .await;
    flow.pull(|intake| {
        (0..4).for_each(|pull| intake.value(Made { pull: Some(pull), ..Value::from(pull).into() }, None));
    });
    let told = flow.ledger.heard(4).await;
    assert_eq!(told, ["0:0 delivered", "0:1 delivered", "0:2 failed", "0:3 failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_fails_the_rest_of_the_batch() {
    let flow = Flow::to([act(|event| match number(&event) {
        1 => Err(SinkError::Lost("the test says so".to_owned())),
        _ => Ok(()),
    })])
    .await;
    flow.pull(|intake| {
        (0..3).for_each(|pull| intake.value(Made { pull: Some(pull), ..Value::from(pull).into() }, None));
    });
    assert_eq!(flow.ledger.heard(3).await, ["0:0 delivered", "0:1 failed", "0:2 failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_flow_whose_source_does_not_listen_has_no_receipts() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let sink = act(move |event| {
        noted.lock().unwrap().push(event.receipt.is_some());
        Ok(())
    });
    let flow = Flow::planned(Plan { listens: false, ..Plan::default() }, [sink, settling().0]).await;
    flow.give(0..3);
    flow.drain().await;
    assert_eq!(*seen.lock().unwrap(), [false; 3]);
    assert!(flow.ledger.now().is_empty());
}

// Sinks of bytes.

/// Notes what it is given; every flush waits for a permit of the test.
struct Written {
    lines: Arc<Mutex<Vec<String>>>,
    flushes: Arc<Semaphore>,
    /// What the writes and flushes fail with.
    fails: fn(&str) -> Option<SinkError>,
}

#[async_trait]
impl ByteSink for Written {
    async fn write(&mut self, _port: usize, chunks: &mut Chunks) -> Result<(), SinkError> {
        for chunk in chunks.iter() {
            self.lines.lock().unwrap().push(String::from_utf8(chunk.to_vec()).unwrap());
        }
        let last = self.lines.lock().unwrap().last().cloned().unwrap_or_default();
        (self.fails)(&last).map_or(Ok(()), Err)
    }

    async fn flush(&mut self) -> Result<(), SinkError> {
        self.flushes.acquire().await.unwrap().forget();
        Ok(())
    }
}

fn bytes(flushes: &Arc<Semaphore>, fails: fn(&str) -> Option<SinkError>) -> Half {
    let sink = Written { lines: Arc::default(), flushes: flushes.clone(), fails };
    Sink::Bytes(Box::new(sink)).into()
}

#[tokio::test(start_paused = true)]
async fn bytes_are_delivered_when_they_are_flushed() {
    let flushes = Arc::new(Semaphore::new(0));
    let flow = Flow::to([bytes(&flushes, |_| None)]).await;
    flow.give(0..3);
    while flow.sinks[0].taken().received < 1 {
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_secs(1)).await;
    assert!(flow.ledger.now().is_empty(), "written is not flushed");
    flushes.add_permits(3);
    assert_eq!(flow.ledger.heard(3).await, ["0:0 delivered", "0:1 delivered", "0:2 delivered"]);
}

#[tokio::test(start_paused = true)]
async fn bytes_are_flushed_now_and_then_while_more_is_waiting() {
    let flushes = Arc::new(Semaphore::new(1));
    let flow = Flow::to([bytes(&flushes, |_| None)]).await;
    for first in (0..100).map(|pull| pull * 100) {
        flow.pull(move |intake| {
            (first..first + 100)
                .for_each(|pull| intake.value(Made { pull: Some(pull), ..Value::from(1_u64).into() }, None));
        });
    }
    sleep(Duration::from_secs(1)).await;
    let told = flow.ledger.now().len();
    assert!(told > 0 && told < 1200, "one flush tells of {told}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_encoded_or_written_fails_alone() {
    let flushes = Arc::new(Semaphore::new(1000));
    let fails = |last: &str| (last == "2").then(|| SinkError::Failed("2".to_owned()));
    let flow = Flow::to([bytes(&flushes, fails)]).await;
    for number in [1, REFUSED, 2, 3] {
        flow.give([number]);
        let pulls = flow.ledger.now().len() + 1;
        flow.ledger.heard(pulls).await;
    }
    assert_eq!(flow.ledger.now(), ["0:0 delivered", "0:1 failed", "0:2 failed", "0:3 delivered"]);
    let taken = flow.sinks[0].taken();
    assert_eq!((taken.written, taken.failed), (2, 2), "receipts and counters agree");
}

#[tokio::test(start_paused = true)]
async fn a_batch_event_fails_if_one_of_its_elements_does() {
    let member = |number: u64| -> Value {
        let data: Record = [("value", Value::from(number)), ("meta", Value::record())].into_iter().collect();
        Record::from_iter([("data", Value::from(data))]).into()
    };
    let flow = Flow::to([bytes(&Arc::new(Semaphore::new(1000)), |_| None)]).await;
    for numbers in [vec![1, 2], vec![1, REFUSED, 2], vec![]] {
        let list: Vec<Value> = numbers.into_iter().map(member).collect();
        flow.pull(move |intake| intake.value(Made { is_batch: true, ..Value::from(list).into() }, None));
    }
    assert_eq!(flow.ledger.heard(3).await, ["0:0 delivered", "0:1 failed", "0:2 delivered"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_writes_what_is_queued_or_tells_that_it_failed() {
    let flushes = Arc::new(Semaphore::new(0));
    let flow = Flow::to([bytes(&flushes, |_| None)]).await;
    flow.give(0..100);
    while flow.sinks[0].taken().received < 1 {
        tokio::task::yield_now().await;
    }
    flushes.add_permits(1000);
    flow.stop().await;
    let told = flow.ledger.now();
    assert!(told.iter().all(|line| line.ends_with(" delivered") || line.ends_with(" failed")), "{told:?}");
    let delivered = told.iter().filter(|line| line.ends_with("delivered")).count();
    assert_eq!(delivered as u64, flow.sinks[0].taken().written);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_ended_fails_what_comes() {
    let flow = Flow::to([takes_all()]).await;
    flow.give([0]);
    flow.ledger.heard(1).await;
    within(flow.sinks[0].stop()).await;
    flow.give([1]);
    assert_eq!(flow.ledger.heard(2).await, ["0:0 delivered", "0:1 failed"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_an_answer_does_not_wait_for_the_end_of_a_flood() {
    let (handing, mut ends) = settling();
    let flow = Flow::to([handing]).await;
    for _ in 0..100 {
        flow.pull(|intake| (0..100).for_each(|number| intake.value(Value::from(number), None)));
    }
    let mut flushed = 0;
    while flushed < 10_000 {
        let count = within(ends.flushes.recv()).await.unwrap();
        assert!(count < 1200, "{count}");
        flushed += count;
    }
}

// Sinks that settle for themselves.

pub(crate) struct Ends {
    pub(crate) events: mpsc::UnboundedReceiver<tremor_event::Event>,
    control: mpsc::UnboundedReceiver<tremor_connector::SinkControl>,
    flushes: mpsc::UnboundedReceiver<usize>,
}

pub(crate) fn settling() -> (Half, Ends) {
    let (events, taken) = mpsc::unbounded_channel();
    let (control, controls) = mpsc::unbounded_channel();
    let (flushes, flushed) = mpsc::unbounded_channel();
    let handing = Handing { events, control, flushes, unflushed: 0 };
    (Sink::Events(Box::new(handing)).into(), Ends { events: taken, control: controls, flushes: flushed })
}

#[tokio::test(start_paused = true)]
async fn a_sink_may_settle_later_and_in_any_order() {
    let (handing, mut ends) = settling();
    let flow = Flow::to([handing]).await;
    flow.give(0..5);
    let mut events = Vec::new();
    for _ in 0..5 {
        events.push(within(ends.events.recv()).await.unwrap());
    }
    assert!(within(ends.flushes.recv()).await.is_some());
    assert!(flow.ledger.now().is_empty());
    let took = Outcome::Delivered { took_ns: 1 };
    let mut receipts: Vec<_> = events.into_iter().filter_map(|event| event.receipt).collect();
    drop(receipts.remove(4));
    assert_eq!(flow.ledger.now(), ["0:4 failed"], "one that is forgotten");
    receipts.remove(2).settle(Outcome::Withheld);
    settle_all(receipts.into_iter().rev(), took);
    let told = flow.ledger.now();
    assert_eq!(told, ["0:0 delivered", "0:1 delivered", "0:2 withheld", "0:3 delivered", "0:4 failed"]);
}

/// Collects events and writes them when it is flushed, with a permit of the test: all but every third one.
struct Collecting {
    held: Vec<tremor_event::Event>,
    flushes: Arc<Semaphore>,
}

#[async_trait]
impl EventSink for Collecting {
    fn settles(&self) -> bool {
        true
    }

    async fn event(&mut self, event: tremor_event::Event) -> Result<(), SinkError> {
        match number(&event) {
            100 => Err(SinkError::Failed("a hundred is refused at once".to_owned())),
            200 => Err(SinkError::Lost("two hundred breaks it".to_owned())),
            _ => {
                self.held.push(event);
                Ok(())
            }
        }
    }

    async fn flush(&mut self) -> Result<(), SinkError> {
        self.flushes.acquire().await.unwrap().forget();
        let held = std::mem::take(&mut self.held).into_iter();
        let (lost, written): (Vec<_>, Vec<_>) = held.partition(|event| number(event).is_multiple_of(3));
        settle_all(written.into_iter().filter_map(|event| event.receipt), Outcome::Delivered { took_ns: 1 });
        if lost.is_empty() { Ok(()) } else { Err(SinkError::Failed("every third is lost".to_owned())) }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_sink_settles_when_it_is_flushed_is_counted_then() {
    quiet();
    for listens in [true, false] {
        let flushes = Arc::new(Semaphore::new(0));
        let sink: Half =
            Sink::Events(Box::new(Collecting { held: Vec::new(), flushes: flushes.clone() })).into();
        let flow = Flow::planned(Plan { listens, ..Plan::default() }, [sink]).await;
        let taken = || {
            let taken = flow.sinks[0].taken();
            (taken.received, taken.written, taken.failed, taken.waiting)
        };
        flow.pull(|intake| {
            (1..=5).chain([100]).for_each(|pull| {
                intake.value(Made { pull: Some(pull), ..Value::from(pull).into() }, None);
            });
        });
        sleep(Duration::from_secs(1)).await;
        assert_eq!(taken(), (6, 0, 1, 5), "it has taken them, that is all");
        flushes.add_permits(1);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(taken(), (6, 4, 2, 0));
        let told: Vec<_> = (1..=5)
            .chain([100])
            .map(|pull| format!("0:{pull} {}", if [3, 100].contains(&pull) { "failed" } else { "delivered" }))
            .collect();
        assert_eq!(flow.ledger.now(), if listens { told } else { Vec::new() }, "receipts and counters agree");
        // What it holds when its connection breaks ends with it, as does what comes behind that.
        flow.pull(|intake| {
            [7, 200, 8].into_iter().for_each(|number| intake.value(Value::from(number), None));
        });
        sleep(Duration::from_secs(1)).await;
        assert_eq!(taken(), (9, 4, 5, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_may_close_and_open_itself() {
    let (handing, mut ends) = settling();
    let flow = Flow::to([handing, takes_all()]).await;
    let control = within(ends.control.recv()).await.unwrap();
    assert!(control.encoder().is_none());
    control.close();
    // The pull that is pending is not taken back, so what it gives shows when the sources go on.
    flow.give([0, 1]);
    sleep(Duration::from_secs(10)).await;
    assert!(ends.events.try_recv().is_err());
    control.open();
    assert!(within(ends.events.recv()).await.is_some());
    assert!(within(ends.events.recv()).await.is_some());
}

// Sources.

pub(crate) fn of_bytes() -> Definition {
    let preprocessors = Value::from_json_str(r#"["separate"]"#).unwrap();
    Definition { preprocessors: Some(preprocessors), ..definition("bytes", r#""none""#) }
}

fn chunk(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decoded_carries_a_receipt_too() {
    let nonsense = |intake: &mut Intake| intake.bytes(chunk("nonsense\n1\n"), None);
    let plan = Plan { source: of_bytes(), port: "err", ..Plan::default() };
    let flow = Flow::planned(plan, [act(|_| Err(SinkError::Failed("told".to_owned())))]).await;
    flow.pull(nonsense);
    assert_eq!(flow.ledger.heard(1).await, ["0:0 failed"]);

    let flow = Flow::planned(Plan { source: of_bytes(), ..Plan::default() }, [takes_all()]).await;
    flow.pull(|intake| intake.bytes(chunk("nonsense\n"), None));
    flow.pull(nonsense);
    let told = flow.ledger.heard(2).await;
    assert_eq!(told, ["0:0 discarded", "0:1 delivered"], "nothing is linked to err");
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_gives_no_event_is_discarded() {
    let flow = Flow::planned(Plan { source: of_bytes(), ..Plan::default() }, [takes_all()]).await;
    flow.pull(|intake| intake.bytes(chunk("12"), None));
    assert_eq!(flow.ledger.heard(1).await, ["0:0 discarded"]);
    flow.pull(|intake| intake.bytes(chunk("3\n4"), None));
    assert_eq!(flow.ledger.heard(2).await, ["0:0 discarded", "0:1 delivered"]);
    flow.fill(|_| Pulled::Finished);
    assert_eq!(flow.ledger.heard(3).await[2], "0:2 delivered", "what the end gives is a pull");
}

#[tokio::test(start_paused = true)]
async fn streams_do_not_share_state_and_end_one_by_one() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let sink = act(move |event| {
        noted.lock().unwrap().push((event.id.stream, event.id.event, event.id.pull, number(&event)));
        Ok(())
    });
    let flow = Flow::planned(Plan { source: of_bytes(), ..Plan::default() }, [sink]).await;
    let at = |stream, pull| At { stream: Some(stream), pull: Some(pull) };
    flow.pull(move |intake| {
        intake.bytes_at(at(5, 0), chunk("1"), None);
        intake.bytes_at(at(6, 0), chunk("2"), None);
        intake.bytes_at(at(5, 1), chunk("3\n"), None);
        intake.bytes_at(at(6, 1), chunk("4\n5\n6"), None);
        intake.end_of(at(6, 2));
        intake.bytes_at(at(0, 7), chunk("8"), None);
    });
    flow.fill(move |intake| {
        intake.bytes_at(at(5, 2), chunk("7"), None);
        Pulled::Finished
    });
    flow.drain().await;
    let expected = [(5, 0, 1, 13), (6, 0, 1, 24), (6, 1, 1, 5), (6, 2, 2, 6), (5, 1, 2, 7), (0, 0, 7, 8)];
    let mut seen = seen.lock().unwrap().clone();
    seen[4..].sort_by_key(|(stream, ..)| std::cmp::Reverse(*stream));
    assert_eq!(seen, expected);
    let told = flow.ledger.now();
    let expected = [
        "0:7 discarded",
        "5:0 discarded",
        "5:1 delivered",
        "5:2 discarded",
        "6:0 discarded",
        "6:1 delivered",
        "6:2 delivered",
    ];
    assert_eq!(told, expected, "nobody pulled what the end gave");
}

#[tokio::test(start_paused = true)]
async fn events_on_the_way_while_a_flow_drains_are_told() {
    let flow = Flow::to([takes_all(), fails_every_third()]).await;
    flow.give(0..50);
    flow.ledger.heard(1).await;
    flow.drain().await;
    assert_eq!(flow.source.status().state, State::Drained);
    let told = flow.ledger.now();
    assert_eq!(told.len() as u64, flow.source.given().0, "all that was given is settled: {told:?}");
    assert!(told.iter().all(|line| line.split(' ').count() == 2), "once: {told:?}");
}
