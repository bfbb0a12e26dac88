//! Clients whose routes have schemas of their own.

use super::*;
use crate::harness::definition;
use tokio::net::TcpListener;

/// Accepts a WebSocket; the path that was asked for, too.
pub(super) async fn accept_at(listener: &TcpListener) -> (super::super::peers::Ws, String) {
    let tcp = within(listener.accept()).await.unwrap().0;
    let mut head = [0; 200];
    let length = within(tcp.peek(&mut head)).await.unwrap();
    let path = String::from_utf8_lossy(&head[..length]).split(' ').nth(1).unwrap().to_owned();
    (within(async_tungstenite::tokio::accept_async(tcp)).await.unwrap(), path)
}

fn route(path: &str, schema: &str) -> String {
    format!(r#"{{"when": [{{"path": "{path}"}}], "exit": "out", "options": {{"schema": {{{schema}}}}}}}"#)
}

const CATALOG: &str = r#""catalogs": {"here": {"type": "inline", "subjects":
    {"usual": {"schema": {"required": ["u"]}}, "of-x": {"schema": {"required": ["x"]}}, "of-y": {"schema": {"required": ["y"]}}, "feed-value": {"schema": {"required": ["f"]}}}}}"#;

fn both(reference: &str) -> String {
    let direction = format!(r#"{{"model": "json", "catalog": "here", {reference}}}"#);
    format!(r#""in": {direction}, "out": {direction}"#)
}

#[tokio::test]
async fn a_route_has_its_own_schema_and_otherwise_that_of_the_connector() {
    for (path, key, other) in [("/by/x", "x", "u"), ("/feed", "f", "u"), ("/else", "u", "x")] {
        let port = Port::reserve();
        let listener = port.listen();
        let config = format!(
            r#"{{"url": "ws://{}{path}", "schema": {{{CATALOG}, {}}}, "exit": "out", "routes": [{}, {}]}}"#,
            port.address(),
            both(r#""subject": "usual""#),
            route("/by/{which}", &both(r#""subject": "of-{which}""#)),
            route("/feed", &both(r#""strategy": "topic""#))
        );
        let mut subject =
            Subject::new(&definition("ws_client", &config, r#""json""#, ""), Linked::Fully).unwrap();
        let (started, (mut ws, _)) = tokio::join!(within(subject.handle.start()), accept_at(&listener));
        started.unwrap();
        subject.open();
        subject.give(&format!(r#"{{"{other}": 1}}"#)).await;
        subject.give(&format!(r#"{{"{key}": 2}}"#)).await;
        assert_eq!(next_text(&mut ws).await, format!(r#"{{"{key}":2}}"#), "{path}");
        assert_eq!(subject.handle.taken().failed, 1, "{path}");
        send(&mut ws, text(format!(r#"{{"{other}": 3}}"#))).await;
        next_error(&mut subject).await;
        send(&mut ws, text(format!(r#"{{"{key}": 4}}"#))).await;
        assert_eq!(subject.next_value().await, format!(r#"{{"{key}":4}}"#));
    }
}

#[tokio::test]
async fn events_that_open_a_connection_have_the_schema_of_its_route() {
    let port = Port::reserve();
    let listener = port.listen();
    let registry = Registry::start().await;
    registry.add(1, "of-x", "JSON", r#"{"required": ["x"]}"#);
    registry.add(2, "of-y", "JSON", r#"{"required": ["y"]}"#);
    // What is not at hand is fetched when the event is there.
    let far = format!(r#""catalogs": {{"here": {{{CONFLUENT}, "url": "{}"}}}}"#, registry.url);
    for (catalog, which, other) in
        [(CATALOG, "x", "y"), (CATALOG, "y", "x"), (&far, "x", "y"), (&far, "y", "x")]
    {
        let config = format!(
            r#"{{"options": {{"defaults": {{"authority": "{}"}}}}, "schema": {{{catalog}}}, "exit": "out", "routes": [{}]}}"#,
            port.address(),
            route("/by/{which}", &both(r#""subject": "of-{which}""#))
        );
        let mut subject =
            Subject::new(&definition("ws_client", &config, r#""json""#, ""), Linked::Fully).unwrap();
        within(subject.handle.start()).await.unwrap();
        subject.open();
        within(subject.front.ready()).await;
        let event = |key: &str| Event {
            id: tremor_event::EventId::new(7, 0, 1, 1),
            payload: json(&format!(r#"{{"{key}": 1}}"#)).into(),
            meta: json(&format!(r#"{{"ws_client": {{"open": {{"path": "/by/{which}"}}}}}}"#)).into(),
            ingest_ns: 1,
            origin: None,
            is_batch: false,
            receipt: None,
        };
        subject.deliver(0, event(other)).await;
        subject.deliver(0, event(which)).await;
        let (mut ws, path) = accept_at(&listener).await;
        assert_eq!(path, format!("/by/{which}"));
        assert_eq!(next_text(&mut ws).await, format!(r#"{{"{which}":1}}"#));
        assert_eq!(subject.handle.taken().failed, 1);
        send(&mut ws, text(format!(r#"{{"{other}": 3}}"#))).await;
        next_error(&mut subject).await;
    }
}

#[tokio::test]
async fn options_of_routes_are_read_strictly() {
    let port = Port::reserve();
    for (options, path, words) in [
        (r#"{"compression": true}"#, "routes[0].options.compression", "is of all connections"),
        (r#"{"compresion": true}"#, "routes[0].options.compresion", "unknown key"),
        (r#"{"schema": {"in": {"model": "xml"}}}"#, "routes[0].options.schema.in.model", "avro"),
        (r#"{"schema": {"inn": {}}}"#, "routes[0].options.schema.inn", "`in`"),
        (
            r#"{"schema": {"in": {"model": "json", "catalog": "here", "subject": "of-{who}"}}}"#,
            "routes[0].options.schema.in.subject",
            "`{who}`",
        ),
        (
            r#"{"schema": {"in": {"model": "json", "catalog": "here", "subject": "no"}}}"#,
            "routes[0].options.schema.in.subject",
            "no subject `no`",
        ),
    ] {
        let more =
            format!(r#", "schema": {{{CATALOG}}}, "routes": [{{"exit": "out", "options": {options}}}]"#);
        let error = refused(&client_definition(&port, &more, "null"));
        assert!(error.contains(&format!("config.{path}")) && error.contains(words), "{options}: {error}");
    }
}

#[tokio::test]
async fn what_all_routes_inherit_is_read_for_each_of_them() {
    let schema = |reference: &str| format!(r#""schema": {{{CATALOG}, {}}}"#, both(reference));
    let anywhere = r#""options": {"defaults": {"authority": "127.0.0.1:1"}}"#;
    let routes = r#""routes": [{"when": [{"path": "/by/{which}"}], "exit": "out"}]"#;
    let refused = |members: &[&str]| {
        refused(&definition("ws_client", &format!("{{{}}}", members.join(",")), r#""json""#, ""))
    };
    let by_path = schema(r#""subject": "of-{which}""#);
    let good = format!("{{{}}}", [anywhere, routes, &by_path].join(","));
    Subject::new(&definition("ws_client", &good, r#""json""#, ""), Linked::Fully).unwrap();
    // Others than those of the route have no such parameter.
    assert!(refused(&[anywhere, routes, &by_path, r#""exit": "out""#]).contains("config.schema.in.subject"));
    // Where events name paths, there is no path that would give all of them a subject.
    let topic = schema(r#""strategy": "topic""#);
    let url = r#""url": "ws://127.0.0.1:1/feed""#;
    Subject::new(&definition("ws_client", &format!("{{{url}, {topic}}}"), r#""json""#, ""), Linked::Fully)
        .unwrap();
    for members in [&[anywhere, &topic][..], &[url, r#""per_origin": true"#, &topic]] {
        assert!(refused(members).contains("config.schema.in.strategy"), "{members:?}");
    }
}

#[tokio::test]
async fn a_client_connects_when_its_schema_is_there() {
    let registry = Registry::start().await;
    registry.add(1, "a", "JSON", READING);
    registry.down(true);
    let port = Port::reserve();
    let listener = port.listen();
    let more = with(
        &registry,
        &format!(r#"{CONFLUENT}, "lazy": true"#),
        r#""in": {"model": "json", "catalog": "reg", "subject": "a"}"#,
    );
    let definition =
        client_definition(&port, &more, r#"{"retry": {"interval_ms": 50, "max_retries": 1000}}"#);
    let mut subject = Subject::new(&definition, Linked::Fully).unwrap();
    let came = async {
        let is_asked = async {
            while registry.asked().len() < 2 {
                tokio::task::yield_now().await;
            }
        };
        within(is_asked).await;
        registry.down(false);
        accept_at(&listener).await.0
    };
    let (started, mut ws) = tokio::join!(within(subject.handle.start()), came);
    started.unwrap();
    subject.open();
    send(&mut ws, text("{}")).await;
    next_error(&mut subject).await;
}

#[tokio::test]
async fn what_events_say_in_vain_changes_no_schema() {
    let port = Port::reserve();
    let listener = port.listen();
    let config = format!(
        r#"{{"options": {{"defaults": {{"authority": "{}"}}}}, "schema": {{{CATALOG}}}, "routes": [{}]}}"#,
        port.address(),
        route("/by/{which}", &both(r#""subject": "of-{which}""#))
    );
    let definition = Definition {
        reconnect: Some(json(r#"{"retry": {"interval_ms": 1}}"#)),
        ..definition("ws_client", &config, r#""json""#, "")
    };
    let subject = Subject::started(&definition).await;
    within(subject.front.ready()).await;
    let event = |which: &str| Event {
        id: tremor_event::EventId::new(7, 0, 1, 1),
        payload: json(&format!(r#"{{"{which}": 1}}"#)).into(),
        meta: json(&format!(r#"{{"ws_client": {{"open": {{"path": "/by/{which}"}}}}}}"#)).into(),
        ingest_ns: 1,
        origin: None,
        is_batch: false,
        receipt: None,
    };
    subject.deliver(0, event("x")).await;
    let (mut ws, _) = accept_at(&listener).await;
    assert_eq!(next_text(&mut ws).await, r#"{"x":1}"#);
    drop(ws);
    // While the same is opened again an event wants something else, and comes too late for that.
    let tcp = within(listener.accept()).await.unwrap().0;
    subject.deliver(0, event("y")).await;
    let mut ws = within(async_tungstenite::tokio::accept_async(tcp)).await.unwrap();
    assert_eq!(next_text(&mut ws).await, r#"{"y":1}"#);
    subject.deliver(0, Event { meta: json("{}").into(), ..event("x") }).await;
    assert_eq!(next_text(&mut ws).await, r#"{"x":1}"#);
}
