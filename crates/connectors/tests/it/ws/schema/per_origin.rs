//! Clients with a connection for each origin, whose messages are like their way.

use super::{of_client::accept_at, *};
use crate::ws::metrics::{expect, stopped};
use futures_util::FutureExt;
use tremor_event::EventId;

/// Routes `/by/{which}` with the subjects `of-x` and `of-y`; those of other paths are like `usual`.
fn config(registry: &Registry, reg: &str) -> String {
    let both = |subject: &str| {
        let direction = format!(r#"{{"model": "json", "catalog": "reg", "subject": "{subject}"}}"#);
        format!(r#""in": {direction}, "out": {direction}"#)
    };
    let route = format!(
        r#"{{"when": [{{"path": "/by/{{which}}"}}], "exit": "out", "options": {{"schema": {{{}}}}}}}"#,
        both("of-{which}")
    );
    let more = with(registry, reg, &both("usual"));
    format!(r#"{more}, "per_origin": true, "exit": "out", "routes": [{route}]"#)
}

async fn registry() -> Registry {
    let registry = Registry::start().await;
    for (id, subject, key) in [(1, "usual", "u"), (2, "of-x", "x"), (3, "of-y", "y")] {
        registry.add(id, subject, "JSON", &format!(r#"{{"required": ["{key}"]}}"#));
    }
    registry
}

/// An event of origin `stream` that opens its connection with that path, if there is none yet.
fn event(stream: u64, path: Option<&str>, value: &str) -> Event {
    let meta = path.map(|path| format!(r#"{{"ws_client": {{"open": {{"path": "{path}"}}}}}}"#));
    Event {
        id: EventId::new(1_000_003, stream, 0, 0),
        payload: json(value).into(),
        meta: json(meta.as_deref().unwrap_or("{}")).into(),
        ingest_ns: 42,
        origin: None,
        is_batch: false,
        receipt: None,
    }
}

#[tokio::test]
async fn each_connection_has_the_schema_of_its_way() {
    let registry = registry().await;
    let port = Port::reserve();
    let listener = port.listen();
    let definition = Definition {
        metrics_interval_s: Some(json("3600")),
        ..client_definition(&port, &config(&registry, CONFLUENT), "null")
    };
    let mut subject = Subject::started(&definition).await;
    assert_eq!(registry.asked(), ["/subjects/usual/versions/latest"], "what is fixed is fetched at once");
    let mut open = Vec::new();
    for (stream, path, key, other) in
        [(0, Some("/by/x"), "x", "y"), (1, Some("/by/y"), "y", "x"), (2, None, "u", "x")]
    {
        // The first one opens the connection, even if it is not sent.
        for (path, key) in [(path, other), (None, key), (None, other)] {
            subject.deliver(0, event(stream, path, &format!(r#"{{"{key}": 1}}"#))).await;
        }
        let (mut ws, asked) = accept_at(&listener).await;
        assert_eq!(asked, path.unwrap_or("/"));
        assert_eq!(next_text(&mut ws).await, format!(r#"{{"{key}":1}}"#));
        subject.until_failed(3 * stream + 2).await;
        send(&mut ws, text(format!(r#"{{"{other}": 2}}"#))).await;
        next_error(&mut subject).await;
        send(&mut ws, text(format!(r#"{{"{key}": 3}}"#))).await;
        assert_eq!(subject.next_value().await, format!(r#"{{"{key}":3}}"#));
        // Now that the connection is there it is counted what it was not sent.
        subject.deliver(0, event(stream, None, &format!(r#"{{"{other}": 4}}"#))).await;
        subject.until_failed(3 * stream + 3).await;
        open.push(ws);
    }
    let seen = stopped(subject).await;
    expect(&seen, &[("ws.errors out|-|in|contract", "3"), ("ws.errors out|-|out|contract", "3")]);
}

#[tokio::test]
async fn a_schema_that_is_not_there_fails_one_origin_and_no_other() {
    let registry = registry().await;
    let port = Port::reserve();
    let listener = port.listen();
    let definition = client_definition(&port, &config(&registry, CONFLUENT), "null");
    let subject = Subject::started(&definition).await;
    subject.deliver(0, event(7, Some("/by/nobody"), r#"{"x": 1}"#)).await;
    subject.until_failed(1).await;
    subject.deliver(0, event(8, Some("/by/x"), r#"{"x": 1}"#)).await;
    let (mut ws, _) = accept_at(&listener).await;
    assert_eq!(next_text(&mut ws).await, r#"{"x":1}"#);
    // An outage is no obstacle where schemas are known.
    registry.down(true);
    subject.deliver(0, event(9, Some("/by/x"), r#"{"x": 2}"#)).await;
    let (mut ws, _) = accept_at(&listener).await;
    assert_eq!(next_text(&mut ws).await, r#"{"x":2}"#);
    subject.deliver(0, event(10, Some("/by/y"), r#"{"y": 2}"#)).await;
    subject.until_failed(2).await;
}

#[tokio::test]
async fn a_drain_waits_for_a_connection_that_is_being_opened_and_checks_what_waits_for_it() {
    let registry = registry().await;
    let port = Port::reserve();
    let listener = port.listen();
    let definition = client_definition(&port, &config(&registry, CONFLUENT), "null");
    let subject = Subject::started(&definition).await;
    subject.deliver(0, event(7, Some("/by/x"), r#"{"x": 1}"#)).await;
    // The server takes its time to answer, and meanwhile the flow ends.
    let tcp = within(listener.accept()).await.unwrap().0;
    for value in [r#"{"y": 2}"#, r#"{"x": 3}"#] {
        subject.deliver(0, event(7, None, value)).await;
    }
    let drained = tokio::spawn(async move {
        tokio::join!(subject.handle.drain(), subject.front_is_done());
        subject
    });
    let mut ws = within(async_tungstenite::tokio::accept_async(tcp)).await.unwrap();
    for value in [r#"{"x":1}"#, r#"{"x":3}"#] {
        assert_eq!(next_text(&mut ws).await, value);
    }
    let taken = within(drained).await.unwrap().handle.taken();
    assert_eq!((taken.written, taken.failed), (2, 1));
}

#[tokio::test]
async fn a_drain_does_not_hang_where_a_schema_is_still_fetched() {
    let registry = registry().await;
    let port = Port::reserve();
    let definition = client_definition(&port, &config(&registry, CONFLUENT), "null");
    let subject = Subject::started(&definition).await;
    let asked = registry.asked().len();
    registry.hold(true);
    let into = subject.way_in();
    let delivered = tokio::spawn(async move {
        into.deliver(0, event(7, Some("/by/x"), r#"{"x": 1}"#).into()).await;
        into.signal(tremor_event::Signal::Drain { source: crate::harness::BEFORE }).await;
    });
    within(async {
        while registry.asked().len() == asked {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut draining = Box::pin(subject.handle.drain());
    assert!((&mut draining).now_or_never().is_none());
    registry.hold(false);
    within(draining).await;
    within(delivered).await.unwrap();
    // New connections are not opened any more.
    assert_eq!(subject.handle.taken().failed, 1);
}

#[tokio::test]
async fn an_outage_at_the_start_is_none_for_those_who_come_later_if_it_may_be() {
    let registry = registry().await;
    registry.down(true);
    let port = Port::reserve();
    let listener = port.listen();
    let definition = |kind: &str| client_definition(&port, &config(&registry, kind), "null");
    let strict = Subject::new(&definition(CONFLUENT), Linked::Fully).unwrap();
    let failed = within(strict.handle.start()).await.unwrap_err().to_string();
    assert!(failed.contains("version `latest` of `usual` cannot be had"), "{failed}");
    let subject = Subject::started(&definition(&format!(r#"{CONFLUENT}, "lazy": true"#))).await;
    subject.deliver(0, event(7, None, r#"{"u": 1}"#)).await;
    subject.until_failed(1).await;
    registry.down(false);
    // What could not be had is asked for again a moment later.
    let mut stream = 8;
    let mut ws = loop {
        subject.deliver(0, event(stream, None, r#"{"u": 2}"#)).await;
        stream += 1;
        let accepted = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        if let Ok(Ok((tcp, _))) = accepted {
            break within(async_tungstenite::tokio::accept_async(tcp)).await.unwrap();
        }
        assert!(stream < 1000, "it is not fetched again");
    };
    assert_eq!(next_text(&mut ws).await, r#"{"u":2}"#);
}

#[tokio::test]
async fn events_name_schemas_that_nobody_has_asked_for() {
    let registry = registry().await;
    let port = Port::reserve();
    let listener = port.listen();
    let directions = r#""out": {"model": "json", "catalog": "reg", "id_from": "metadata"}"#;
    let more = with(&registry, CONFLUENT, directions) + r#", "per_origin": true"#;
    let subject = Subject::started(&client_definition(&port, &more, "null")).await;
    for (stream, value) in [(7, r#"{"x": 1}"#), (7, r#"{"y": 2}"#)] {
        let meta = json(r#"{"ws_client": {"schema": 3}}"#).into();
        subject.deliver(0, Event { meta, ..event(stream, None, value) }).await;
    }
    let (mut ws, _) = accept_at(&listener).await;
    assert_eq!(next_text(&mut ws).await, r#"{"y":2}"#);
    assert_eq!(registry.asked(), ["/schemas/ids/3"]);
    subject.until_failed(1).await;
}
