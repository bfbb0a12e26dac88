use crate::harness::{Linked, Seen, Subject, definition, json, within};
use std::{fs, path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::time::Instant;
use tremor_connector::{Definition, ExitRequest};

/// The process is to end at once.
const FORCEFUL: ExitRequest = ExitRequest { graceful: false, code: 0 };
/// The same, with nothing to show for it.
const FRUITLESS: ExitRequest = ExitRequest { graceful: false, code: 1 };

struct Data {
    folder: TempDir,
}

impl Data {
    fn of(content: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("data"), content).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A bench that replays it; `more` are further members of the configuration.
    fn bench(&self, codec: &str, more: &str) -> Definition {
        let config = format!(r#"{{"path": "{}"{more}}}"#, self.path().display());
        definition("bench", &config, codec, "")
    }
}

#[tokio::test]
async fn lines_come_in_a_circle_and_the_source_is_done_after_its_passes() {
    let data = Data::of("1\n2\r\n[3]");
    let mut subject = Subject::started(&data.bench("", r#", "iters": 2"#)).await;
    for (number, expected) in ["1", "2", "[3]", "1", "2", "[3]"].into_iter().enumerate() {
        let event = subject.next_event().await;
        assert_eq!(event.payload.value().to_string(), expected);
        assert_eq!((event.id.stream, event.id.event), (0, number as u64));
        assert_eq!(event.meta, json("{}"));
        let origin = event.origin.unwrap().to_string();
        assert_eq!(origin, format!("tremor-blaster://here{}", data.path().display()));
        assert!(event.receipt.is_none());
    }
    subject.expect_done().await;
    assert!(subject.exits.try_recv().is_err(), "what is not linked as a sink does not end the process");
}

#[tokio::test]
async fn chunks_go_through_preprocessors_and_bad_ones_leave_by_err() {
    let data = Data::of("abcabd");
    let bench = data.bench(r#""string""#, r#", "iters": 1, "chunk_size": 4"#);
    let mut subject =
        Subject::started(&Definition { preprocessors: Some(json(r#"["separate"]"#)), ..bench }).await;
    assert_eq!(subject.next_value().await, r#""abcabd""#);
    subject.expect_done().await;

    let mut subject = Subject::started(&Data::of("1\n{\n").bench("", r#", "iters": 1"#)).await;
    assert_eq!(subject.next_value().await, "1");
    assert!(matches!(subject.next().await, Seen::Event("err", _)));
    subject.expect_done().await;
}

#[tokio::test]
async fn base64_is_decoded() {
    let mut subject =
        Subject::started(&Data::of("MQ==\nMg\n").bench("", r#", "iters": 1, "base64": true"#)).await;
    assert_eq!(subject.next_value().await, "1");
    assert_eq!(subject.next_value().await, "2");
}

#[tokio::test(start_paused = true)]
async fn an_interval_is_waited_before_each_event_and_time_ends_the_run() {
    let more = r#", "interval": 400000000, "stop_after_secs": 1, "warmup_secs": 1"#;
    let mut subject = Subject::started(&Data::of("1\n2\n").bench("", more)).await;
    let start = Instant::now();
    for (number, expected) in ["1", "2", "1", "2"].into_iter().enumerate() {
        assert_eq!(subject.next_value().await, expected);
        assert_eq!(start.elapsed(), Duration::from_millis(400) * (u32::try_from(number).unwrap() + 1));
    }
    subject.expect_done().await;
}

#[tokio::test]
async fn transactional_events_carry_receipts() {
    let more = r#", "iters": 1, "is_transactional": true"#;
    let mut subject = Subject::started(&Data::of("1").bench("", more)).await;
    assert!(subject.next_event().await.receipt.is_some());
}

#[tokio::test]
async fn the_sink_ends_the_process_when_all_passes_have_arrived() {
    let data = Data::of("1\n2\n");
    let mut subject = Subject::new(&data.bench("", r#", "iters": 2"#), Linked::InputOnly).unwrap();
    subject.handle.start().await.unwrap();
    for _ in 0..3 {
        subject.give(r#"{"some": "event"}"#).await;
    }
    subject.written(3).await;
    assert!(subject.exits.try_recv().is_err());
    subject.give("null").await;
    assert_eq!(within(subject.exits.recv()).await, Some(FORCEFUL));
    subject.give("null").await;
    subject.written(5).await;
    assert!(subject.exits.try_recv().is_err(), "once");
}

#[tokio::test(start_paused = true)]
async fn the_sink_ends_the_process_when_the_time_is_over_even_if_nothing_arrives() {
    let data = Data::of("1");
    let mut subject = Subject::new(&data.bench("", r#", "stop_after_secs": 3"#), Linked::InputOnly).unwrap();
    subject.handle.start().await.unwrap();
    let start = Instant::now();
    assert_eq!(subject.exits.recv().await, Some(FRUITLESS));
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}

#[tokio::test]
async fn the_sink_ends_the_process_when_everything_has_arrived_that_ever_will() {
    let data = Data::of("1\n2\n");
    let mut subject = Subject::new(&data.bench("", r#", "iters": 2"#), Linked::InputOnly).unwrap();
    subject.handle.start().await.unwrap();
    subject.give("1").await;
    subject.front_is_done().await;
    assert_eq!(within(subject.exits.recv()).await, Some(FORCEFUL));
}

#[tokio::test]
async fn a_run_that_measured_nothing_has_failed() {
    let data = Data::of("1\n2\n");
    for more in [r#", "iters": 2"#, r#", "iters": 1, "warmup_secs": 3600"#] {
        let mut subject = Subject::new(&data.bench("", more), Linked::InputOnly).unwrap();
        subject.handle.start().await.unwrap();
        if more.contains("warmup") {
            subject.give("1").await;
        }
        subject.front_is_done().await;
        assert_eq!(within(subject.exits.recv()).await, Some(FRUITLESS), "{more}");
    }
}

#[tokio::test]
async fn impossible_configurations_are_refused() {
    let data = Data::of("1");
    let empty = Data::of("");
    let missing = definition("bench", r#"{"path": "/nowhere/data"}"#, "", "");
    for (definition, complaint) in [
        (empty.bench("", ""), "cannot be used: it is empty"),
        (missing, "config.path: the data file `/nowhere/data` cannot be used: No such file"),
        (definition("bench", r#"{"path": "/dev/null"}"#, "", ""), "it is not a regular file"),
        (data.bench("", r#", "base64": true"#), "line 1 is not base64"),
        (data.bench("", r#", "iters": 0"#), "config.iters"),
        (data.bench("", r#", "chunk_size": 0"#), "config.chunk_size"),
        (data.bench("", r#", "significant_figures": 6"#), "must be between 0 and 5, but is 6"),
        (data.bench("", r#", "significant_figures": -1"#), "must be between 0 and 5, but is -1"),
        (data.bench("", r#", "iter": 1"#), "config.iter: unknown key"),
        (data.bench(r#""jsn""#, ""), "codec"),
        (definition("bench", "", "", ""), "Missing Configuration"),
    ] {
        let refused = Subject::new(&definition, Linked::Fully).err().unwrap();
        assert!(refused.message.contains(complaint), "{refused}");
    }
}
