use crate::harness::{Linked, Subject, definition, json};
use tremor_connector::SinkTotals;

const METRIC: &str = r#"{"measurement":"own","tags":{"a":"b"},"fields":{"value":1},"timestamp":7}"#;

#[tokio::test]
async fn what_is_published_reaches_who_subscribed_and_nothing_else_is_published() {
    let mut subject = Subject::started(&definition("metrics", "", "", "")).await;
    subject.give(r#"{"measurement": "own", "tags": {}, "fields": {}}"#).await;
    subject.give(METRIC).await;
    let event = subject.next_event().await;
    assert_eq!(event.payload.value().to_string(), METRIC);
    assert_eq!(event.meta, json("{}"));
    subject.written(1).await;
    let SinkTotals { received, failed, .. } = subject.handle.taken();
    assert_eq!((received, failed), (2, 1), "what is no measurement fails");
    subject.handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_connector_tells_what_passes_it() {
    let mut measured = definition("metrics", "", "", "");
    measured.metrics_interval_s = Some(json("5"));
    let mut subject = Subject::started_with(&measured, Linked::Fully).await;
    subject.give(METRIC).await;
    let start = tokio::time::Instant::now();
    let mut seen = Vec::new();
    // What it gives is counted, too, so it goes on for ever: once in five seconds.
    while start.elapsed().as_secs() < 12 {
        let event = subject.next_event().await;
        let value = event.payload.value();
        if value.to_string() == METRIC {
            continue;
        }
        let of = |part: &str, key: &str| value.get(part).unwrap().get(key).unwrap().clone();
        assert_eq!(value.get("measurement").unwrap().as_str(), Some("connector_events"));
        assert_eq!(
            (of("tags", "flow").to_string(), of("tags", "connector").to_string()),
            ("\"flow\"".into(), "\"flow::subject\"".into())
        );
        let port = of("tags", "port");
        if port.as_str() == Some("in") {
            seen.push((start.elapsed().as_secs(), of("fields", "count").as_u64().unwrap()));
        }
        assert_eq!(
            event.origin.as_ref().map(|origin| origin.to_string()).as_deref(),
            Some("tremor-metrics://here")
        );
    }
    assert_eq!(seen.first(), Some(&(0, 1)));
    assert!(seen.iter().all(|(_, count)| *count == 1) && (2..=4).contains(&seen.len()), "{seen:?}");
    subject.handle.stop().await;
}
