use crate::harness::{Linked, Subject, definition, json, within};
use tremor_event::{Event, EventId};

fn echo() -> tremor_connector::Definition {
    definition("echo", "", "", "")
}

#[tokio::test]
async fn everything_comes_back_but_the_id() {
    let mut subject = Subject::started(&echo()).await;
    subject.give(r#"{"a": [1]}"#).await;
    let event = subject.next_event().await;
    assert_eq!(event.payload.value(), &json(r#"{"a": [1]}"#));
    assert_eq!(event.meta, json(r#"{"kept": true}"#));
    assert_eq!(event.ingest_ns, 42);
    assert_eq!(event.origin.unwrap().to_string(), "tremor-echo://here");
    assert_eq!((event.id.stream, event.id.event), (0, 0));
    assert!(event.id.tracked().any(|tracked| tracked.source == 1_000_002), "{}", event.id);
    within(subject.handle.stop()).await;
}

#[tokio::test]
async fn the_elements_of_a_batch_become_events() {
    let mut subject = Subject::started(&echo()).await;
    let batch = r#"[{"data": {"value": 1, "meta": {"a": 1}}}, {"data": {"value": 2, "meta": {"a": 2}}}]"#;
    let event = Event {
        id: EventId::new(7, 0, 0, 0),
        payload: json(batch).into(),
        meta: json("{}").into(),
        ingest_ns: 1,
        origin: None,
        is_batch: true,
        receipt: None,
    };
    subject.deliver(0, event).await;
    for number in 1..=2 {
        let event = subject.next_event().await;
        assert_eq!(event.payload.value().as_i64(), Some(number));
        assert_eq!(event.meta, json(&format!(r#"{{"a": {number}}}"#)));
        assert!(!event.is_batch);
    }
}

#[tokio::test]
async fn a_drain_empties_the_full_queue_first() {
    const EVENTS: u64 = 1_000;
    let mut subject = Subject::new(&echo(), Linked::Fully).unwrap();
    within(subject.handle.start()).await.unwrap();
    // Nobody reads yet, so the queues fill up and this task waits.
    let way_in = subject.way_in();
    let giving = tokio::spawn(async move {
        for number in 0..EVENTS {
            let event = Event {
                id: EventId::new(7, 0, number, number),
                payload: tremor_value::Value::from(number).into(),
                meta: json("{}").into(),
                ingest_ns: 1,
                origin: None,
                is_batch: false,
                receipt: None,
            };
            way_in.deliver(0, event.into()).await;
        }
    });
    within(async {
        while subject.handle.taken().written < 128 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(subject.is_silent() && !giving.is_finished());
    let handle = subject.handle.clone();
    let draining = tokio::spawn(async move { handle.drain().await });
    within(giving).await.unwrap();
    subject.front_is_done().await;
    for number in 0..EVENTS {
        assert_eq!(subject.next_value().await, number.to_string());
    }
    subject.expect_done().await;
    within(draining).await.unwrap();
}

#[tokio::test]
async fn it_swallows_when_nobody_reads() {
    let mut subject = Subject::new(&echo(), Linked::InputOnly).unwrap();
    within(subject.handle.start()).await.unwrap();
    for _ in 0..1_000 {
        within(subject.give("1")).await;
    }
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    assert_eq!(subject.handle.taken().written, 1_000);
}

#[tokio::test]
async fn it_takes_no_settings() {
    assert!(Subject::new(&definition("echo", r#"{"a": 1}"#, "", ""), Linked::Fully).is_err());
    assert!(Subject::new(&definition("echo", "{}", "", ""), Linked::Fully).is_ok());
}
