use crate::harness::{Linked, Seen, Subject, definition, json, within};
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;
use tremor_connector::{Definition, ExitRequest, Readiness};
use tremor_event::{Event, EventId, Listener, Outcome, Receipt, Settlement};
use tremor_value::Value;

/// The process is to end in good order.
const GRACEFUL: ExitRequest = ExitRequest { graceful: true, code: 0 };
const ACK: Outcome = Outcome::Delivered { took_ns: 1 };

fn replay(paths: &[&Path], more: &str) -> Definition {
    let paths: Vec<_> = paths.iter().map(|path| format!("{:?}", path.display().to_string())).collect();
    definition("cb", &format!(r#"{{"paths": [{}]{more}}}"#, paths.join(", ")), "", "")
}

#[tokio::test]
async fn lines_of_the_files_come_in_turns_and_are_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let [long, empty, short] = ["long", "empty", "short"].map(|name| folder.path().join(name));
    fs::write(&long, "1\n3\n4\n").unwrap();
    fs::write(&empty, "").unwrap();
    fs::write(&short, "2").unwrap();
    let mut subject = Subject::started(&replay(&[&long, &empty, &short], "")).await;
    let mut events = Vec::new();
    for expected in [("1", 0, 0), ("2", 2, 1), ("3", 0, 2), ("4", 0, 3)] {
        let event = subject.next_event().await;
        let value = event.payload.value().to_string();
        assert_eq!((value.as_str(), event.id.stream, event.id.pull), expected);
        assert_eq!(event.origin.as_ref().unwrap().to_string(), "tremor-cb://here");
        events.push(event);
    }
    subject.expect_done().await;
    let last = events.pop().unwrap();
    for (number, event) in events.into_iter().enumerate() {
        event.settle(if number == 1 { Outcome::Failed } else { ACK });
    }
    assert!(subject.exits.try_recv().is_err());
    last.settle(ACK);
    assert_eq!(within(subject.exits.recv()).await, Some(GRACEFUL));
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_when_nothing_was_heard_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    fs::write(&path, "1\n{\n3\n").unwrap();
    let mut subject = Subject::started(&replay(&[&path], r#", "timeout": 2000000000"#)).await;
    let one = subject.next_event().await;
    let Seen::Event("err", two) = subject.next().await else { panic!("not an error") };
    let three = subject.next_event().await;
    tokio::time::sleep(Duration::from_millis(1_900)).await;
    one.settle(ACK);
    let heard = Instant::now();
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    // Whoever drops an event, or keeps the answer to itself, is no news.
    two.settle(Outcome::Discarded);
    three.settle(Outcome::Withheld);
    assert_eq!(subject.exits.recv().await, Some(GRACEFUL));
    assert_eq!(heard.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_has_stopped_waits_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    fs::write(&path, "1\n").unwrap();
    let mut subject = Subject::started(&replay(&[&path], "")).await;
    let event = subject.next_event().await;
    subject.handle.stop().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    event.settle(ACK);
    assert!(subject.exits.try_recv().is_err());
}

#[tokio::test]
async fn the_source_needs_files_and_the_sink_does_not() {
    let none = definition("cb", "", "", "");
    let subject = Subject::new(&none, Linked::Fully).unwrap();
    let failed = within(subject.handle.start()).await.unwrap_err();
    assert!(failed.ends_with("`paths` config missing"), "{failed}");
    let subject = Subject::new(&replay(&[Path::new("/nowhere/in")], ""), Linked::Fully).unwrap();
    let failed = within(subject.handle.start()).await.unwrap_err();
    assert!(failed.contains("Failed to open file `/nowhere/in`: "), "{failed}");
    let subject = Subject::new(&none, Linked::InputOnly).unwrap();
    within(subject.handle.start()).await.unwrap();
}

#[derive(Default)]
struct Heard(Mutex<Vec<Outcome>>);

impl Listener for Heard {
    fn settled(&self, settlement: Settlement<'_>) {
        self.0.lock().unwrap().push(settlement.outcome);
    }
}

/// What becomes of one event, and whether the source in front may go on then.
async fn told(subject: &Subject, payload: &str, meta: &str, is_batch: bool) -> (Outcome, bool) {
    let heard = Arc::new(Heard::default());
    let event = Event {
        id: EventId::new(7, 0, 0, 0),
        payload: json(payload).into(),
        meta: json(meta).into(),
        ingest_ns: 0,
        origin: None,
        is_batch,
        receipt: Some(Receipt::to(heard.clone())),
    };
    subject.deliver(0, event).await;
    let outcome = within(async {
        loop {
            if let Some(outcome) = heard.0.lock().unwrap().pop() {
                return outcome;
            }
            tokio::task::yield_now().await;
        }
    });
    (outcome.await, subject.front.now() == Some(Readiness::Ready))
}

#[tokio::test]
async fn the_sink_does_as_it_is_told() {
    let subject = Subject::new(&definition("cb", "", "", ""), Linked::InputOnly).unwrap();
    within(subject.handle.start()).await.unwrap();
    let acked = Outcome::Delivered { took_ns: 0 };
    let element = |value: &str| format!(r#"{{"data": {{"value": {value}, "meta": {{}}}}}}"#);
    let batch = [element("1"), element(r#"{"cb": "fail"}"#), element(r#"{"cb": "ack"}"#)].join(", ");
    for (payload, meta, is_batch, expected) in [
        ("{}", "{}", false, (Outcome::Withheld, true)),
        (r#"{"cb": "ack"}"#, "{}", false, (acked, true)),
        (r#"{"cb": "ack"}"#, r#"{"cb": "fail"}"#, false, (Outcome::Failed, true)),
        ("[]", r#"{"cb": ["close", "ack"]}"#, false, (acked, false)),
        ("{}", "{}", false, (Outcome::Withheld, false)),
        (r#"{"cb": ["trigger", "restore"]}"#, "{}", false, (Outcome::Withheld, false)),
        (r#"{"cb": ["restore", "fail"]}"#, "{}", false, (Outcome::Failed, true)),
        (&format!("[{batch}]"), "{}", true, (Outcome::Failed, true)),
    ] {
        assert_eq!(told(&subject, payload, meta, is_batch).await, expected, "{payload} {meta}");
    }
    let without_receipt = Value::from_json_str(r#"{"cb": "ack"}"#).unwrap();
    let mut subject = subject;
    subject.give_to(0, without_receipt).await;
    subject.written(6).await;
    let taken = subject.handle.taken();
    assert_eq!((taken.failed, taken.waiting), (5, 0), "one alone, one by its metadata, three in a batch");
}
