use crate::harness::{Linked, Subject, definition, json};
use std::time::Duration;
use tokio::time::{Instant, advance};
use tremor_value::Value;

const SECOND: &str = r#"{"interval": 1000000000}"#;

async fn next_id(subject: &mut Subject) -> i64 {
    let event = subject.next_event().await;
    let value = event.payload.value();
    assert_eq!(value.get("connector"), Some(&Value::from("metronome")));
    let id = value.get("id").and_then(Value::as_i64).unwrap();
    assert_eq!(event.id.pull, id.cast_unsigned(), "the pull has the same number");
    id
}

#[tokio::test(start_paused = true)]
async fn the_first_event_comes_one_interval_after_connecting() {
    let mut subject = Subject::started(&definition("metronome", SECOND, "", "")).await;
    let start = Instant::now();
    let event = subject.next_event().await;
    assert_eq!(start.elapsed().as_millis(), 1_000);
    assert_eq!(event.origin.unwrap().to_string(), "tremor-metronome://here/1000000000");
    assert_eq!(event.meta, json("{}"));
    let ingest_ns = event.payload.value().get("ingest_ns").and_then(Value::as_u64).unwrap();
    assert!(ingest_ns > 0 && ingest_ns <= event.ingest_ns, "the time when the waiting began");
    assert_eq!(next_id(&mut subject).await, 1);
    assert_eq!(start.elapsed().as_millis(), 2_000);
    subject.handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn missed_deadlines_come_at_once_and_shift_nothing() {
    let mut subject = Subject::new(&definition("metronome", SECOND, "", ""), Linked::Fully).unwrap();
    subject.handle.start().await.unwrap();
    let start = Instant::now();
    advance(Duration::from_millis(3_500)).await;
    subject.open();
    for id in 0..3 {
        assert_eq!(next_id(&mut subject).await, id);
    }
    assert!(start.elapsed() < Duration::from_millis(3_600));
    assert_eq!(next_id(&mut subject).await, 3);
    assert_eq!(start.elapsed().as_millis(), 4_000);
    subject.handle.drain().await;
    subject.expect_done().await;
}

#[tokio::test]
async fn impossible_intervals_are_refused() {
    for (config, complaint) in [
        (r#"{"interval": 0}"#, "config.interval: expected integer above 0"),
        (r#"{"interval": -1}"#, "config.interval: expected integer"),
        (r#"{"interval": "1s"}"#, "config.interval: expected integer"),
        ("{}", "config.interval: missing"),
        ("", "Missing Configuration"),
        (r#"{"interval": 1, "offset": 1}"#, "config.offset: unknown key"),
    ] {
        let refused = Subject::new(&definition("metronome", config, "", ""), Linked::Fully).err().unwrap();
        assert!(refused.message.contains(complaint), "{config}: {refused}");
    }
}
