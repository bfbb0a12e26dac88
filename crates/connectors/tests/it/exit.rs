use crate::harness::{Linked, Subject, definition, within};
use std::time::Duration;
use tokio::time::Instant;
use tremor_connector::ExitRequest;

async fn request_for(config: &str, event: &str) -> ExitRequest {
    let mut subject = Subject::started(&definition("exit", config, "", "")).await;
    subject.give(event).await;
    within(subject.exits.recv()).await.unwrap()
}

#[tokio::test]
async fn the_event_wins_over_the_configuration() {
    let graceful = ExitRequest { graceful: true, code: 0 };
    let forceful = ExitRequest { graceful: false, code: 0 };
    assert_eq!(request_for("", "null").await, graceful);
    assert_eq!(request_for("", r#""any value""#).await, graceful);
    assert_eq!(request_for(r#"{"graceful": false}"#, "{}").await, forceful);
    assert_eq!(request_for(r#"{"graceful": false}"#, r#"{"graceful": true}"#).await, graceful);
    assert_eq!(request_for("", r#"{"graceful": false}"#).await, forceful);
    assert_eq!(request_for("", r#"{"exit": 255, "more": 1}"#).await, ExitRequest { code: 255, ..graceful });
}

#[tokio::test]
async fn what_makes_no_sense_in_the_event_counts_as_absent() {
    let forceful = ExitRequest { graceful: false, code: 0 };
    let event = r#"{"exit": 256, "graceful": "yes", "delay": -1}"#;
    assert_eq!(request_for(r#"{"graceful": false}"#, event).await, forceful);
    assert_eq!(request_for("", r#"{"exit": -1, "graceful": false}"#).await, forceful);
}

#[tokio::test(start_paused = true)]
async fn it_waits_outside_of_the_sink() {
    let config = r#"{"delay": 60000000000}"#;
    let mut subject = Subject::started(&definition("exit", config, "", "")).await;
    let start = Instant::now();
    subject.give(r#"{"delay": 2000000000}"#).await;
    subject.front_is_done().await;
    subject.handle.drain().await;
    assert!(start.elapsed() < Duration::from_secs(1), "the drain does not wait for the delay");
    subject.exits.recv().await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 2_000);
}

#[tokio::test]
async fn only_the_first_event_counts() {
    let mut subject = Subject::started(&definition("exit", "", "", "")).await;
    subject.give(r#"{"exit": 1}"#).await;
    subject.give(r#"{"exit": 2}"#).await;
    subject.written(2).await;
    assert_eq!(subject.exits.try_recv().unwrap().code, 1);
    assert!(subject.exits.try_recv().is_err());
}

#[tokio::test]
async fn its_configuration_is_strict() {
    for config in [r#"{"delay": -1}"#, r#"{"graceful": 1}"#, r#"{"exit": 1}"#] {
        assert!(Subject::new(&definition("exit", config, "", ""), Linked::Fully).is_err(), "{config}");
    }
    let codec = Subject::new(&definition("exit", "", r#""json""#, ""), Linked::Fully).err().unwrap();
    assert!(codec.message.contains("is a structured connector and can't be configured with a codec"));
}
