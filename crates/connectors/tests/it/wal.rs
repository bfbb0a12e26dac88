mod proofs;

use crate::harness::{Linked, Subject, definition, json, within};
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tremor_connector::Definition;
use tremor_event::{Event, EventId, Listener, Outcome, Receipt, Settlement};
use tremor_value::Value;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn wal_with(path: &Path, more: &str) -> Definition {
    let path = path.to_str().unwrap();
    definition("wal", &format!(r#"{{"path": {path:?}, {more}}}"#), "", "")
}

fn wal(path: &Path) -> Definition {
    wal_with(path, r#""chunk_size": 100000, "max_chunks": 10"#)
}

/// The names of the files with entries.
fn segments(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".wal")).collect();
    names.sort();
    names
}

/// Hears what became of one event.
#[derive(Default)]
struct Heard(Mutex<Vec<Outcome>>);

impl Listener for Heard {
    fn settled(&self, settlement: Settlement<'_>) {
        self.0.lock().unwrap().push(settlement.outcome);
    }
}

impl Heard {
    fn told(&self) -> Option<Outcome> {
        self.0.lock().unwrap().first().copied()
    }

    async fn wait(&self) -> Outcome {
        within(async {
            loop {
                match self.told() {
                    Some(outcome) => return outcome,
                    None => tokio::task::yield_now().await,
                }
            }
        })
        .await
    }
}

/// Hands the log an event for which somebody waits.
async fn give(subject: &Subject, value: Value) -> Arc<Heard> {
    let heard = Arc::new(Heard::default());
    let event = Event {
        id: EventId::new(77, 1, 2, 3),
        payload: value.into(),
        meta: json(r#"{"kept": true}"#).into(),
        ingest_ns: 42,
        origin: None,
        is_batch: true,
        receipt: Some(Receipt::to(heard.clone())),
    };
    subject.deliver(0, event).await;
    heard
}

async fn stored(subject: &Subject, value: Value) {
    let told = give(subject, value).await.wait().await;
    assert!(matches!(told, Outcome::Delivered { took_ns: 1.. }), "{told:?}");
}

fn delivered(event: Event) {
    event.settle(Outcome::Delivered { took_ns: 1 });
}

async fn stop(subject: &Subject) {
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    within(subject.handle.stop()).await;
}

#[tokio::test]
async fn what_is_stored_comes_back_as_it_was() {
    let folder = folder();
    let mut subject = Subject::started(&wal(folder.path())).await;
    let odd = Value::from(vec![
        Value::from(tremor_value::Bytes::from_static(&[0, 255])),
        f64::INFINITY.into(),
        (-0.0).into(),
        u64::MAX.into(),
    ]);
    for (index, value) in [odd.clone(), json(r#"{"a": {"b": [1]}}"#)].into_iter().enumerate() {
        stored(&subject, value.clone()).await;
        let event = subject.next_event().await;
        assert_eq!(event.payload.value(), &value);
        assert_eq!(
            (event.meta.value(), event.ingest_ns, event.is_batch),
            (&json(r#"{"kept": true}"#), 42, true)
        );
        assert_eq!((event.id.stream, event.id.pull), (0, index as u64), "the pull is the index of the entry");
        let origin = event.origin.clone().unwrap().to_string();
        assert_eq!(origin, format!("tremor-wal://localhost{}", folder.path().display()));
        assert!(event.id.tracked().any(|tracked| tracked.source == 77), "{}", event.id);
        delivered(event);
    }
    stop(&subject).await;
}

#[tokio::test]
async fn what_was_not_confirmed_comes_again_after_a_restart() {
    let folder = folder();
    let mut subject = Subject::started(&wal(folder.path())).await;
    let mut events = Vec::new();
    for number in 0_u64..5 {
        stored(&subject, number.into()).await;
        events.push(subject.next_event().await);
    }
    // 2 and 4 never hear anything; 3 does, behind a gap.
    for index in [3, 1, 0] {
        delivered(events.remove(index));
    }
    stop(&subject).await;
    drop(subject);

    let mut subject = Subject::started(&wal(folder.path())).await;
    for number in [2_u64, 4] {
        let event = subject.next_event().await;
        assert_eq!((event.payload.value().as_u64(), event.id.pull), (Some(number), number));
        let own = event.id.source;
        assert!(
            event.id.tracked().all(|tracked| tracked.source == own),
            "ids of another process: {}",
            event.id
        );
        event.settle(Outcome::Discarded);
    }
    stop(&subject).await;
    drop(subject);

    let mut subject = Subject::started(&wal(folder.path())).await;
    stored(&subject, 5_u64.into()).await;
    assert_eq!(subject.next_value().await, "5", "a dropped event is confirmed as well");
}

#[tokio::test]
async fn a_failed_entry_comes_again_with_everything_behind_it_in_order() {
    let folder = folder();
    let mut subject = Subject::started(&wal(folder.path())).await;
    for number in 0_u64..4 {
        stored(&subject, number.into()).await;
    }
    let mut events = Vec::new();
    for _ in 0..4 {
        events.push(subject.next_event().await);
    }
    delivered(events.remove(3));
    events.remove(1).settle(Outcome::Failed);
    delivered(events.remove(0));
    // Lost somewhere: counts as failed. It was on its way at the failure above, so it comes again because of that.
    drop(events);
    for number in [1, 2, 3] {
        let event = subject.next_event().await;
        assert_eq!(event.id.pull, number);
        delivered(event);
    }
    stored(&subject, 4_u64.into()).await;
    assert_eq!(subject.next_event().await.id.pull, 4);
}

#[tokio::test]
async fn a_full_log_fails_events_until_there_is_room() {
    let folder = folder();
    let definition = wal_with(folder.path(), r#""chunk_size": 4096, "max_chunks": 2, "sync_interval_ms": 1"#);
    let mut subject = Subject::started(&definition).await;
    let large = Value::from("x".repeat(2_500));
    stored(&subject, large.clone()).await;
    stored(&subject, large.clone()).await;
    assert_eq!(give(&subject, large.clone()).await.wait().await, Outcome::Failed);
    assert_eq!(subject.handle.taken().failed, 1);
    assert_eq!(segments(folder.path()).len(), 2);
    let (first, second) = (subject.next_event().await, subject.next_event().await);
    delivered(second);
    stored(&subject, large.clone()).await;
    assert_eq!(give(&subject, large.clone()).await.wait().await, Outcome::Failed, "the first file is in use");
    delivered(first);
    delivered(subject.next_event().await);
    for number in 3..50 {
        stored(&subject, large.clone()).await;
        let event = subject.next_event().await;
        assert_eq!(event.id.pull, number);
        delivered(event);
    }
    stop(&subject).await;
    let left = segments(folder.path());
    assert_eq!(left, ["00000000000000000049.wal"], "what is confirmed completely is gone");
    let too_large = Value::from("x".repeat(9_000));
    let subject = Subject::started(&definition).await;
    assert_eq!(give(&subject, too_large).await.wait().await, Outcome::Failed);
}

#[tokio::test]
async fn every_way_to_sync_stores_and_replays() {
    for sync in ["always", "interval", "never"] {
        let folder = folder();
        let more =
            format!(r#""chunk_size": 5000, "max_chunks": 100, "sync": "{sync}", "sync_interval_ms": 5"#);
        let definition = wal_with(folder.path(), &more);
        let mut subject = Subject::started(&definition).await;
        for number in 0_u64..300 {
            give(&subject, number.into()).await;
        }
        let mut unanswered = Vec::new();
        for number in 0_u64..300 {
            let event = subject.next_event().await;
            assert_eq!(event.payload.value().as_u64(), Some(number), "{sync}");
            if number < 200 {
                delivered(event);
            } else {
                unanswered.push(event);
            }
        }
        stop(&subject).await;
        drop((subject, unanswered));
        let mut subject = Subject::started(&definition).await;
        for number in 200_u64..300 {
            let event = subject.next_event().await;
            assert_eq!(event.id.pull, number, "{sync}");
            delivered(event);
        }
    }
}

#[tokio::test]
async fn nobody_else_may_use_the_same_directory() {
    let folder = folder();
    let first = Subject::started(&wal(folder.path())).await;
    let second = Subject::new(&wal(folder.path()), Linked::Fully).unwrap();
    let error = within(second.handle.start()).await.unwrap_err();
    assert!(error.contains("in use by another process or another connector"), "{error}");
    within(second.handle.stop()).await;
    within(first.handle.stop()).await;
    drop(first);
    let third = Subject::started(&wal(folder.path())).await;
    within(third.handle.stop()).await;
}

#[tokio::test]
async fn what_cannot_be_opened_says_which_file_and_why() {
    let folder = folder();
    let missing = folder.path().join("missing");
    let file = folder.path().join("00000000000000000000.wal");
    fs::write(&file, "not a log, but long enough to be one").unwrap();
    for (path, cause) in [
        (
            &*missing,
            format!("the directory `{0}` does not exist; create it: mkdir -p {0}", missing.display()),
        ),
        (&*file, format!("`{}` is not a directory", file.display())),
        (folder.path(), format!("`{}` cannot be used: it is not a segment of a log", file.display())),
    ] {
        let subject = Subject::new(&wal(path), Linked::Fully).unwrap();
        let error = within(subject.handle.start()).await.unwrap_err();
        assert!(error.contains(&cause), "{error}");
        within(subject.handle.stop()).await;
    }
}

#[tokio::test]
async fn a_torn_end_is_cut_and_the_rest_comes() {
    let folder = folder();
    let subject = Subject::started(&wal(folder.path())).await;
    for number in 0_u64..3 {
        stored(&subject, number.into()).await;
    }
    within(subject.handle.stop()).await;
    drop(subject);
    let file = folder.path().join(&segments(folder.path())[0]);
    let content = fs::read(&file).unwrap();
    // The first half of a fourth entry.
    fs::write(&file, [&content[..], &content[28..60]].concat()).unwrap();
    let mut subject = Subject::started(&wal(folder.path())).await;
    stored(&subject, 7_u64.into()).await;
    for value in ["0", "1", "2", "7"] {
        let event = subject.next_event().await;
        assert_eq!(event.payload.value().to_string(), value);
        delivered(event);
    }
}

#[tokio::test]
async fn it_stores_when_nobody_reads() {
    let folder = folder();
    let subject = Subject::new(&wal(folder.path()), Linked::InputOnly).unwrap();
    within(subject.handle.start()).await.unwrap();
    stored(&subject, 1_u64.into()).await;
    stop(&subject).await;
    drop(subject);
    let mut subject = Subject::started(&wal(folder.path())).await;
    assert_eq!(subject.next_value().await, "1");
}

#[test]
fn its_configuration_is_strict() {
    for (config, complaint) in [
        (r#"{"chunk_size": 4096, "max_chunks": 1}"#, "config.path: missing"),
        (r#"{"path": "a", "max_chunks": 1}"#, "config.chunk_size: missing"),
        (r#"{"path": "a", "chunk_size": 4096}"#, "config.max_chunks: missing"),
        (r#"{"path": "a", "chunk_size": 4095, "max_chunks": 1}"#, "config.chunk_size"),
        (r#"{"path": "a", "chunk_size": 9223372036854775807, "max_chunks": 3}"#, "config.max_chunks"),
        (r#"{"path": "a", "chunk_size": 4096, "max_chunks": 1, "sync": "alway"}"#, "did you mean `always`?"),
        (r#"{"path": "a", "chunk_size": 4096, "max_chunks": 1, "sync_interval_ms": 0}"#, "between 1 and"),
        (r#"{"path": "a", "chunk_size": 4096, "max_chunks": 1, "size": 0}"#, "config.size: unknown key"),
    ] {
        let refused = Subject::new(&definition("wal", config, "", ""), Linked::Fully).err().unwrap();
        assert!(refused.message.contains(complaint), "{config}: {refused}");
    }
    let coded = definition("wal", r#"{"path": "a", "chunk_size": 4096, "max_chunks": 1}"#, r#""json""#, "");
    assert!(Subject::new(&coded, Linked::Fully).is_err(), "it takes no codec");
    let config = r#"{"path": "a", "chunk_size": 4096, "max_chunks": 1}"#;
    let cut = definition("wal", config, "", r#"["separate"]"#);
    let refused = Subject::new(&cut, Linked::Fully).err().unwrap();
    assert!(refused.message.contains("can't be configured with preprocessors"), "{refused}");
}
