//! What messages are like.

mod hostile;
mod of_client;
mod per_origin;
mod registry;

use super::peers::{
    Port, accept, client_definition, close_code, next_text, of_server, round_trip, server, server_definition,
    text, upgrade,
};
use crate::harness::{Linked, Seen, Subject, environment, json, within};
use async_tungstenite::tungstenite::Message;
use futures_util::StreamExt;
use registry::Registry;
use std::time::Duration;
use tremor_connector::{Definition, Dials, Instance};
use tremor_event::Event;
use tremor_value::Value;

const READING: &str = r#"{"type": "object", "required": ["celsius"], "properties": {"celsius": {"type": "number", "maximum": 80}}}"#;
const ANYTHING: &str = r#"{"required": ["newer"]}"#;
const RECORD: &str = r#"{"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]}"#;

/// `schema` with a catalog at hand, and `directions`.
fn inline(directions: &str) -> String {
    let subjects = format!(r#"{{"reading": {{"schema": {READING}, "version": 2}}}}"#);
    format!(
        r#", "schema": {{"catalogs": {{"here": {{"type": "inline", "subjects": {subjects}}}}}, {directions}}}"#
    )
}

/// `schema` with the registry as catalog `reg`.
fn with(registry: &Registry, kind: &str, directions: &str) -> String {
    let url = &registry.url;
    format!(r#", "schema": {{"catalogs": {{"reg": {{"url": "{url}", {kind}}}}}, {directions}}}"#)
}

const CONFLUENT: &str = r#""type": "schema-registry""#;
const APICURIO: &str = r#""type": "apicurio-registry", "group_id": "plant""#;

/// The next event, which has to come on `err`.
async fn next_error(subject: &mut Subject) -> Event {
    match subject.next().await {
        Seen::Event("err", event) => event,
        other => panic!("not an event on `err`: {other:?}"),
    }
}

async fn send(ws: &mut super::peers::Ws, message: impl Into<Message>) {
    within(ws.send(message.into())).await.unwrap();
}

fn binary(bytes: &[u8]) -> Message {
    Message::binary(bytes.to_vec())
}

/// What a definition is refused for.
fn refused(definition: &Definition) -> String {
    match Instance::create(
        definition,
        &environment(Dials::default()).0,
        &tremor_connectors::registry(true),
        &tremor_codec::Registry::standard(),
        &std::sync::Arc::default(),
    ) {
        Ok(_) => panic!("it is not refused"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn messages_that_are_not_as_they_should_be_leave_by_err_and_the_connection_stays() {
    let more = inline(r#""in": {"model": "json", "catalog": "here", "subject": "reading"}"#);
    let (mut subject, port) = server(&more).await;
    let mut ws = port.client().await;
    send(&mut ws, text(r#"{"celsius": 20}"#)).await;
    assert_eq!(subject.next_value().await, r#"{"celsius":20}"#);
    send(&mut ws, text(r#"{"celsius": 99}"#)).await;
    let event = next_error(&mut subject).await;
    let record = event.payload.value();
    let errors = record.get("contract").unwrap().get("candidates").unwrap().as_array().unwrap()[0]
        .get("errors")
        .unwrap();
    let error = &errors.as_array().unwrap()[0];
    assert_eq!(error.get("pointer"), Some(&Value::from("/celsius")));
    assert_eq!(error.get("rule"), Some(&Value::from("maximum")));
    assert_eq!(record.get("contract").unwrap().get("schema"), Some(&Value::from("reading/latest")));
    assert_eq!(record.get("contract").unwrap().get("direction"), Some(&Value::from("in")));
    assert_eq!(record.get("event"), Some(&json(r#"{"celsius": 99}"#)));
    assert_eq!(record.get("source"), Some(&Value::from("flow::subject")));
    assert!(record.get("error").unwrap().as_str().unwrap().contains("`/celsius`"), "{record}");
    assert_eq!(of_server(&event).get("conn"), event.meta.get("ws_server").unwrap().get("conn"));
    send(&mut ws, text("no JSON")).await;
    assert_eq!(next_error(&mut subject).await.payload.value().get("event"), Some(&Value::from("no JSON")));
    send(&mut ws, text(r#"{"celsius": 21}"#)).await;
    assert_eq!(subject.next_value().await, r#"{"celsius":21}"#);
}

#[tokio::test]
async fn what_is_wrong_is_dropped_or_ends_the_connection_if_that_is_said() {
    let read = |more: &str| {
        inline(&format!(r#""in": {{"model": "json", "catalog": "here", "subject": "reading"{more}}}"#))
    };
    let (mut subject, port) = server(&read(r#", "on_invalid": "drop""#)).await;
    let mut ws = port.client().await;
    send(&mut ws, text("{}")).await;
    send(&mut ws, text(r#"{"celsius": 1}"#)).await;
    assert_eq!(subject.next_value().await, r#"{"celsius":1}"#);
    for (more, code) in [("", 1007), (r#", "close_code": 4000"#, 4000)] {
        let (mut subject, port) = server(&read(&format!(r#", "on_invalid": "close"{more}"#))).await;
        let mut ws = port.client().await;
        send(&mut ws, text(r#"{"celsius": 1}"#)).await;
        send(&mut ws, text("{}")).await;
        send(&mut ws, text(r#"{"celsius": 2}"#)).await;
        assert_eq!(close_code(&mut ws).await, code);
        assert_eq!(subject.next_value().await, r#"{"celsius":1}"#);
        let told = next_error(&mut subject).await;
        let closed = told.payload.value().get("closed").unwrap();
        assert_eq!(closed.get("code"), Some(&Value::from(u64::from(code))), "{closed}");
    }
}

#[tokio::test]
async fn what_is_sent_is_looked_at() {
    let write = |more: &str| {
        inline(&format!(
            r#""out": {{"model": "json", "catalog": "here", "subject": "reading", "version": 2{more}}}"#
        ))
    };
    for (more, written, failed) in
        [("", 1, 1), (r#", "on_invalid": "drop""#, 2, 0), (r#", "on_invalid": "pass""#, 2, 0)]
    {
        let (mut subject, port) = server(&write(more)).await;
        let mut ws = port.client().await;
        send(&mut ws, text("1")).await;
        let event = subject.next_event().await;
        for value in [r#"{"hot": true}"#, r#"{"celsius": 7}"#] {
            subject.deliver(0, Event { payload: json(value).into(), ..event.clone() }).await;
        }
        if more.contains("pass") {
            assert_eq!(next_text(&mut ws).await, r#"{"hot":true}"#);
        }
        assert_eq!(next_text(&mut ws).await, r#"{"celsius":7}"#);
        subject.written(written).await;
        assert_eq!(subject.handle.taken().failed, failed, "{more}");
    }
}

#[tokio::test]
async fn broadcasts_are_looked_at_for_each_route() {
    let subjects = r#"{"a": {"schema": {"required": ["a"]}}, "b": {"schema": {"required": ["b"]}}}"#;
    let route = |name: &str| {
        format!(
            r#"{{"when": [{{"path": "/{name}"}}], "exit": "out", "options":
                {{"schema": {{"out": {{"model": "json", "catalog": "here", "subject": "{name}"}}}}}}}}"#
        )
    };
    let more = format!(
        r#", "schema": {{"catalogs": {{"here": {{"type": "inline", "subjects": {subjects}}}}}}}, "exit": "out", "routes": [{}, {}]"#,
        route("a"),
        route("b")
    );
    let (mut subject, port) = server(&more).await;
    let (mut a, mut b, mut plain) =
        (port.client_at("/a").await, port.client_at("/b").await, port.client_at("/c").await);
    for ws in [&mut a, &mut b, &mut plain] {
        send(ws, text("0")).await;
        subject.next_event().await;
    }
    for value in [r#"{"a": 1}"#, r#"{"b": 2}"#, r#"{"a": 3, "b": 3}"#] {
        subject.give_to(1, json(value)).await;
    }
    for (ws, expected) in [
        (&mut a, &[r#"{"a":1}"#, r#"{"a":3,"b":3}"#][..]),
        (&mut b, &[r#"{"b":2}"#, r#"{"a":3,"b":3}"#]),
        (&mut plain, &[r#"{"a":1}"#, r#"{"b":2}"#, r#"{"a":3,"b":3}"#]),
    ] {
        for expected in expected {
            assert_eq!(next_text(ws).await, *expected);
        }
    }
}

#[tokio::test]
async fn simple_models_need_no_catalog() {
    for (model, good, bad) in [
        (r#""int32", "range": "[0,10)""#, "9", "10"),
        (r#""int64""#, "5000000000", "0.5"),
        (r#""float", "range": "(,1]""#, "1", "1.5"),
        (r#""double""#, "1.5", "true"),
        (r#""boolean""#, "true", "1"),
        (r#""string", "minLength": 2, "maxLength": 3, "pattern": "^[0-9]""#, "12", "1234"),
        (r#""string", "encoding": "utf_8""#, "1", ""),
    ] {
        let more = format!(r#", "schema": {{"in": {{"model": {model}}}}}"#);
        let (mut subject, port) = server(&more).await;
        let mut ws = port.client().await;
        if !bad.is_empty() {
            send(&mut ws, text(bad)).await;
            next_error(&mut subject).await;
        }
        send(&mut ws, text(good)).await;
        subject.next_event().await;
    }
}

#[tokio::test]
async fn both_flavours_of_registry_are_spoken_to() {
    for kind in [CONFLUENT, APICURIO] {
        let registry = Registry::start().await;
        let references = [("more.json", "more", 1)];
        registry.add_with(7, "a/b", "JSON", r#"{"allOf": [{"$ref": "more.json"}]}"#, &references);
        registry.add(8, "more", "JSON", r#"{"required": ["x"]}"#);
        for reference in [r#""id": 7"#, r#""subject": "a/b""#, r#""subject": "a/b", "version": 1"#] {
            let kind = format!(r#"{kind}, "credentials": {{"headers": {{"authorization": "Bearer abc"}}}}"#);
            let directions = format!(r#""in": {{"model": "json", "catalog": "reg", {reference}}}"#);
            let (mut subject, port) = server(&with(&registry, &kind, &directions)).await;
            let mut ws = port.client().await;
            send(&mut ws, text("{}")).await;
            let event = next_error(&mut subject).await;
            let contract = event.payload.value().get("contract").unwrap().clone();
            assert_eq!(contract.get("schema"), Some(&Value::from(7)), "{contract}");
            send(&mut ws, text(r#"{"x": 1}"#)).await;
            subject.next_event().await;
        }
        assert!(registry.credentials().iter().all(|credentials| credentials == "bearer abc"));
        assert!(registry.asked().iter().any(|target| target.contains("a%2Fb")), "{:?}", registry.asked());
    }
}

#[tokio::test]
async fn contexts_and_content_ids() {
    let registry = Registry::start().await;
    registry.add(7, ":.plant:a", "JSON", "true");
    let directions = r#""in": {"model": "json", "catalog": "reg", "subject": "a"}"#;
    let kind = format!(r#"{CONFLUENT}, "context": "plant""#);
    let (_server, _port) = server(&with(&registry, &kind, directions)).await;
    assert_eq!(registry.asked(), ["/subjects/%3A.plant%3Aa/versions/latest"]);
    let registry = Registry::start().await;
    registry.add(7, "a", "JSON", "false");
    let kind = format!(r#"{APICURIO}, "use_id": "contentId""#);
    let (mut subject, port) = server(&with(&registry, &kind, directions)).await;
    let mut ws = port.client().await;
    send(&mut ws, text("1")).await;
    let event = next_error(&mut subject).await;
    assert_eq!(event.payload.value().get("contract").unwrap().get("schema"), Some(&Value::from(1007)));
}

#[tokio::test]
async fn avro_in_front_of_a_flow_that_speaks_json() {
    let registry = Registry::start().await;
    registry.add(258, "r", "AVRO", RECORD);
    let directions = r#""in": {"model": "avro", "view": "json", "catalog": "reg", "id_from": "prefix"},
                        "out": {"model": "avro", "view": "json", "catalog": "reg", "subject": "r", "id_from": "prefix"}"#;
    for (kind, prefix) in [
        (CONFLUENT, &[0, 0, 0, 1, 2][..]),
        (APICURIO, &[0, 0, 0, 0, 0, 0, 0, 1, 2]),
        (r#""type": "apicurio-registry", "group_id": "plant", "id_encoding": "legacy""#, &[0, 0, 0, 1, 2]),
    ] {
        let (mut subject, port) = server(&with(&registry, kind, directions)).await;
        let mut ws = port.client().await;
        // Further messages wait with the first one, in order, and control frames behind them.
        for n in [2, 4, 6] {
            send(&mut ws, binary(&[prefix, &[n]].concat())).await;
        }
        for n in 1..=3 {
            let event = subject.next_event().await;
            assert_eq!(event.payload.value(), &json(&format!(r#"{{"n": {n}}}"#)));
            assert_eq!(of_server(&event).get("schema"), Some(&Value::from(258)));
            subject.deliver(0, event).await;
            let Message::Binary(answer) = within(ws.next()).await.unwrap().unwrap() else { panic!("text") };
            assert_eq!(answer, [prefix, &[n * 2]].concat());
        }
        for bad in [&[][..], &[1, 0, 0, 1, 2, 2], &[0, 0], &[prefix, &[2, 2]].concat(), prefix] {
            send(&mut ws, binary(bad)).await;
            next_error(&mut subject).await;
        }
        // An id that nobody knows.
        let mut unknown = prefix.to_vec();
        *unknown.last_mut().unwrap() = 99;
        send(&mut ws, binary(&[unknown.as_slice(), &[2]].concat())).await;
        let event = next_error(&mut subject).await;
        assert!(
            event.payload.value().to_string().contains(r#""rule":"schema""#),
            "{}",
            event.payload.value()
        );
        send(&mut ws, binary(&[prefix, &[2]].concat())).await;
        subject.next_event().await;
    }
}

#[tokio::test]
async fn ids_of_a_prefix_are_those_of_the_subject_if_there_is_one() {
    let registry = Registry::start().await;
    registry.add(1, "r", "AVRO", RECORD);
    registry.add(2, "other", "AVRO", RECORD);
    let directions =
        r#""in": {"model": "avro", "view": "json", "catalog": "reg", "subject": "r", "id_from": "prefix"}"#;
    let (mut subject, port) = server(&with(&registry, CONFLUENT, directions)).await;
    let mut ws = port.client().await;
    send(&mut ws, binary(&[0, 0, 0, 0, 2, 2])).await;
    assert!(next_error(&mut subject).await.payload.value().to_string().contains(r#""rule":"id""#));
    send(&mut ws, binary(&[0, 0, 0, 0, 1, 2])).await;
    subject.next_event().await;
}

#[tokio::test]
async fn protobuf_with_its_path_in_front() {
    let registry = Registry::start().await;
    let file = r#"syntax = "proto3"; message A { message B { int32 n = 1; } }"#;
    registry.add(3, "p", "PROTOBUF", file);
    let directions = r#""in": {"model": "protobuf", "record": "A.B", "view": "json", "catalog": "reg", "subject": "p", "id_from": "prefix"},
                        "out": {"model": "protobuf", "record": "A.B", "view": "json", "catalog": "reg", "subject": "p"}"#;
    let (mut subject, port) = server(&with(&registry, CONFLUENT, directions)).await;
    let mut ws = port.client().await;
    send(&mut ws, binary(&[0, 0, 0, 0, 3, 4, 0, 0, 8, 5])).await;
    let event = subject.next_event().await;
    assert_eq!(event.payload.value(), &json(r#"{"n": 5}"#));
    subject.deliver(0, event).await;
    assert_eq!(within(ws.next()).await.unwrap().unwrap(), binary(&[8, 5]));
}

#[tokio::test]
async fn metadata_name_schemas() {
    let registry = Registry::start().await;
    registry.add(1, "a", "JSON", r#"{"required": ["a"]}"#);
    registry.add(2, "b", "JSON", r#"{"required": ["b"]}"#);
    let directions = r#""in": {"model": "json", "catalog": "reg", "id_from": "metadata"},
                        "out": {"model": "json", "catalog": "reg", "id_from": "metadata"}"#;
    let (mut subject, port) = server(&with(&registry, CONFLUENT, directions)).await;
    let mut ws = port.client_at("/?schema=2").await;
    send(&mut ws, text(r#"{"a": 1}"#)).await;
    next_error(&mut subject).await;
    send(&mut ws, text(r#"{"b": 1}"#)).await;
    let event = subject.next_event().await;
    assert_eq!(of_server(&event).get("schema"), Some(&Value::from(2)));
    // The answer has the schema of the question, unless it says another, which nobody has asked for before.
    subject.deliver(0, event.clone()).await;
    assert_eq!(next_text(&mut ws).await, r#"{"b":1}"#);
    let mut other = event.clone();
    let mut of_server = of_server(&event);
    of_server.as_record_mut().unwrap().insert("schema", 1);
    other.meta = Value::from(tremor_value::Record::from_iter([("ws_server", of_server)])).into();
    subject.deliver(0, other.clone()).await;
    assert_eq!(subject.handle.taken().failed, 1);
    other.payload = json(r#"{"a": 1}"#).into();
    subject.deliver(0, other).await;
    assert_eq!(next_text(&mut ws).await, r#"{"a":1}"#);
    // Without any there is no schema to go by.
    let mut ws = port.client_at("/").await;
    send(&mut ws, text(r#"{"b": 1}"#)).await;
    next_error(&mut subject).await;
}

#[tokio::test]
async fn subjects_are_named_by_paths() {
    let registry = Registry::start().await;
    registry.add(1, "order-north/1", "JSON", r#"{"required": ["a"]}"#);
    registry.add(2, "orders.site-value", "JSON", r#"{"required": ["b"]}"#);
    let route = |path: &str, reference: &str| {
        format!(
            r#"{{"when": [{{"path": "{path}"}}], "exit": "out", "options":
                {{"schema": {{"in": {{"model": "json", "catalog": "reg", {reference}}}}}}}}}"#
        )
    };
    let routes = [
        route("/by/{site}", r#""subject": "order-{site}""#),
        route("/orders/{site}", r#""strategy": "topic""#),
    ];
    let more =
        with(&registry, CONFLUENT, r#""in": null"#) + &format!(r#", "routes": [{}]"#, routes.join(","));
    let (mut subject, port) = server(&more).await;
    assert_eq!(
        registry.asked(),
        ["/subjects/orders.site-value/versions/latest"],
        "what is fixed is fetched at once"
    );
    let mut ws = port.client_at("/by/north%2F1").await;
    send(&mut ws, text(r#"{"b": 1}"#)).await;
    next_error(&mut subject).await;
    let mut ws = port.client_at("/orders/west").await;
    send(&mut ws, text(r#"{"b": 1}"#)).await;
    subject.next_event().await;
    // A subject that is not there is a path that is not there; it is asked for once.
    for _ in 0..3 {
        let request = upgrade("here", "").replacen("GET /", "GET /by/..%2F..%2Fnowhere", 1);
        assert!(port.ask(&request).await.starts_with("HTTP/1.1 404 "));
    }
    let asked = registry.asked().into_iter().filter(|target| target.contains("nowhere")).count();
    assert_eq!(asked, 1);
    registry.down(true);
    let request = upgrade("here", "").replacen("GET /", "GET /by/elsewhere", 1);
    let answer = port.ask(&request).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After"), "{answer}");
}

#[tokio::test]
async fn newer_schemas_are_fetched_and_outages_stop_nothing() {
    let registry = Registry::start().await;
    registry.add(1, "a", "JSON", READING);
    let directions = r#""in": {"model": "json", "catalog": "reg", "subject": "a"}"#;
    let kind = format!(r#"{CONFLUENT}, "max_age": 1"#);
    let (mut subject, port) = server(&with(&registry, &kind, directions)).await;
    let mut ws = port.client().await;
    // The registry is away, answers slowly and with nonsense: what is known goes on.
    registry.down(true);
    registry.slow(Duration::from_millis(50));
    let is_asked = |count: usize| registry.asked().len() >= count;
    while !is_asked(2) {
        send(&mut ws, text(r#"{"celsius": 1}"#)).await;
        subject.next_event().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    registry.down(false);
    registry.nonsense(r##"{"schema": "{\"$ref\": \"#\"}", "schemaType": "JSON", "id": 9}"##);
    while !is_asked(3) {
        send(&mut ws, text(r#"{"celsius": 1}"#)).await;
        subject.next_event().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    registry.sense();
    registry.add(2, "a", "JSON", ANYTHING);
    // At some time the newer one is in force, without a message being held up for it.
    let error = within(async {
        loop {
            send(&mut ws, text(r#"{"celsius": 1}"#)).await;
            match subject.next().await {
                Seen::Event("err", event) => return event,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await;
    assert_eq!(error.payload.value().get("contract").unwrap().get("schema"), Some(&Value::from(2)));
}

#[tokio::test]
async fn a_registry_that_is_away_stops_the_start_unless_it_may() {
    let registry = Registry::start().await;
    registry.down(true);
    let directions = r#""in": {"model": "json", "catalog": "reg", "subject": "a"}"#;
    let port = Port::reserve();
    let definition = server_definition(&port, &with(&registry, CONFLUENT, directions));
    let subject = Subject::new(&definition, Linked::Fully).unwrap();
    let failed = within(subject.handle.start()).await.unwrap_err().to_string();
    assert!(failed.contains("version `latest` of `a` cannot be had") && failed.contains("500"), "{failed}");
    drop(subject);
    let kind = format!(r#"{CONFLUENT}, "lazy": true"#);
    let (mut subject, port) = server(&with(&registry, &kind, directions)).await;
    assert!(port.ask(&upgrade("here", "")).await.starts_with("HTTP/1.1 503 "));
    registry.add(1, "a", "JSON", READING);
    registry.down(false);
    let mut ws = within(async {
        loop {
            let uri = format!("ws://{}/", port.address());
            if let Ok((ws, _)) = async_tungstenite::tokio::client_async(uri, port.tcp().await).await {
                return ws;
            }
        }
    })
    .await;
    within(ws.send(text(r#"{"celsius": 1}"#))).await.unwrap();
    subject.next_event().await;
}

#[tokio::test]
async fn a_client_has_schemas_in_both_directions() {
    let registry = Registry::start().await;
    registry.add(5, "r", "AVRO", RECORD);
    let port = Port::reserve();
    let listener = port.listen();
    let directions = r#""in": {"model": "avro", "view": "json", "catalog": "reg", "subject": "r"},
                        "out": {"model": "avro", "view": "json", "catalog": "reg", "id": 5, "id_from": "prefix"}"#;
    let definition = client_definition(&port, &with(&registry, CONFLUENT, directions), "null");
    let mut subject = Subject::new(&definition, Linked::Fully).unwrap();
    let (started, mut ws) = tokio::join!(within(subject.handle.start()), accept(&listener));
    started.unwrap();
    subject.open();
    subject.give(r#"{"n": 4}"#).await;
    assert_eq!(within(ws.next()).await.unwrap().unwrap(), binary(&[0, 0, 0, 0, 5, 8]));
    subject.give(r#"{"n": "4"}"#).await;
    subject.give(r#"{"n": 5}"#).await;
    assert_eq!(within(ws.next()).await.unwrap().unwrap(), binary(&[0, 0, 0, 0, 5, 10]));
    assert_eq!(subject.handle.taken().failed, 1);
    within(ws.send(binary(&[6]))).await.unwrap();
    assert_eq!(subject.next_value().await, r#"{"n":3}"#);
    within(ws.send(binary(&[]))).await.unwrap();
    next_error(&mut subject).await;
}

#[tokio::test]
async fn files_are_catalogs_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.avsc");
    std::fs::write(&path, RECORD).unwrap();
    let more = format!(
        r#", "schema": {{"catalogs": {{"files": {{"type": "filesystem", "subjects": {{"r": {{"path": "{}"}}}}}}}},
            "in": {{"model": "avro", "view": "json", "catalog": "files", "subject": "r"}}}}"#,
        path.display()
    );
    let (mut subject, port) = server(&more).await;
    let mut ws = port.client().await;
    send(&mut ws, binary(&[2])).await;
    assert_eq!(subject.next_value().await, r#"{"n":1}"#);
    assert!(refused(&server_definition(&port, &more.replace("r.avsc", "x.avsc"))).contains("x.avsc"));
}

#[tokio::test]
async fn violations_are_measured() {
    let port = Port::reserve();
    let both = r#"{"model": "json", "catalog": "here", "subject": "reading"}"#;
    let definition = Definition {
        metrics_interval_s: Some(json("3600")),
        ..server_definition(&port, &inline(&format!(r#""in": {both}, "out": {both}"#)))
    };
    let mut subject = Subject::started(&definition).await;
    let mut ws = port.client().await;
    for value in ["1", "2", r#"{"celsius": 1}"#] {
        send(
            &mut ws,
            text(if value == "1" {
                "{}"
            } else if value == "2" {
                "["
            } else {
                value
            }),
        )
        .await;
    }
    next_error(&mut subject).await;
    next_error(&mut subject).await;
    let event = subject.next_event().await;
    subject.deliver(0, Event { payload: json("{}").into(), ..event }).await;
    let seen = super::metrics::stopped(subject).await;
    super::metrics::expect(
        &seen,
        &[
            ("ws.errors out|-|in|contract", "2"),
            ("ws.errors out|-|out|contract", "1"),
            ("ws.errors -|-|in|codec", "0"),
        ],
    );
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_where_they_stand() {
    let port = Port::reserve();
    let reg = r#"{"type": "schema-registry", "url": "http://127.0.0.1:1"}"#;
    let catalogs = format!(
        r#""catalogs": {{"here": {{"type": "inline", "subjects": {{"a": {{"schema": "true"}}, "bad": {{"schema": {{"type": 1}}}}}}}}, "reg": {reg}}}"#
    );
    for (schema, path, words) in [
        (r#""in": {}"#, "schema.in.model", "json"),
        (r#""in": {"model": "xml"}"#, "schema.in.model", "avro"),
        (r#""in": {"model": "json"}"#, "schema.in.catalog", "catalogs"),
        (r#""in": {"model": "json", "catalog": "no", "subject": "a"}"#, "schema.in.catalog", "`here`, `reg`"),
        (r#""in": {"model": "json", "catalog": "here"}"#, "schema.in.subject", "schema"),
        (
            r#""in": {"model": "json", "catalog": "here", "subject": "b"}"#,
            "schema.in.subject",
            "no subject `b`",
        ),
        (
            r#""in": {"model": "json", "catalog": "here", "subject": "bad"}"#,
            "schema.in.subject",
            "JSON schema",
        ),
        (
            r#""in": {"model": "json", "catalog": "here", "subject": "a", "version": 3}"#,
            "schema.in.subject",
            "version `3`",
        ),
        (r#""in": {"model": "json", "catalog": "here", "subject": "a-{x}"}"#, "schema.in.subject", "`{x}`"),
        (r#""in": {"model": "json", "catalog": "here", "subject": "a-{"}"#, "schema.in.subject", "`{`"),
        (r#""in": {"model": "json", "catalog": "here", "strategy": "topic"}"#, "schema.in.strategy", "route"),
        (r#""in": {"model": "json", "catalog": "here", "id": 1}"#, "schema.in.id", "no ids"),
        (
            r#""in": {"model": "json", "catalog": "here", "subject": "a", "id_from": "prefix"}"#,
            "schema.in.id_from",
            "no ids",
        ),
        (
            r#""in": {"model": "json", "catalog": "reg", "id": 1, "subject": "a"}"#,
            "schema.in.subject",
            "`id`",
        ),
        (
            r#""in": {"model": "json", "catalog": "reg", "id": 1, "version": 1}"#,
            "schema.in.version",
            "`subject`",
        ),
        (
            r#""out": {"model": "json", "catalog": "reg", "id_from": "prefix"}"#,
            "schema.out.subject",
            "schema",
        ),
        (
            r#""in": {"model": "json", "catalog": "here", "subject": "a", "view": "json"}"#,
            "schema.in.view",
            "",
        ),
        (
            r#""in": {"model": "json", "catalog": "here", "subject": "a", "close_code": 4000}"#,
            "schema.in.close_code",
            "`close`",
        ),
        (
            r#""in": {"model": "boolean", "on_invalid": "close", "close_code": 1005}"#,
            "schema.in.close_code",
            "1005",
        ),
        (r#""in": {"model": "boolean", "on_invalid": "fail"}"#, "schema.in.on_invalid", "`drop`"),
        (r#""out": {"model": "boolean", "on_invalid": "err"}"#, "schema.out.on_invalid", "`pass`"),
        (r#""out": {"model": "boolean", "close_code": 4000}"#, "schema.out.close_code", ""),
        (r#""in": {"model": "boolean", "range": "[0,1]"}"#, "schema.in.range", ""),
        (r#""in": {"model": "int32", "range": "0..1"}"#, "schema.in.range", "interval"),
        (
            r#""in": {"model": "string", "minLength": 3, "maxLength": 2}"#,
            "schema.in.minLength",
            "`maxLength`",
        ),
        (r#""in": {"model": "string", "pattern": "("}"#, "schema.in.pattern", ""),
        (r#""inn": {}"#, "schema.inn", "`in`"),
    ] {
        let more = format!(r#", "schema": {{{catalogs}, {schema}}}"#);
        for definition in [server_definition(&port, &more), client_definition(&port, &more, "null")] {
            let is_route = definition.kind == "ws_client" && schema.contains("topic");
            if is_route {
                continue;
            }
            let error = refused(&definition);
            assert!(error.contains(&format!("config.{path}")) && error.contains(words), "{schema}: {error}");
        }
    }
    for (catalog, path, words) in [
        (r#"{}"#, "type", "inline"),
        (r#"{"type": "inline"}"#, "subjects", ""),
        (r#"{"type": "inline", "subjects": {"a": {}}}"#, "subjects.a.schema", "schema"),
        (r#"{"type": "inline", "subjects": {"a": {"schema": 1}}}"#, "subjects.a.schema", ""),
        (r#"{"type": "inline", "subjects": {"a": {"schema": "true", "path": "x"}}}"#, "subjects.a.path", ""),
        (r#"{"type": "inline", "url": "http://x"}"#, "subjects", ""),
        (r#"{"type": "filesystem", "subjects": {"a": {"path": ""}}}"#, "subjects.a.path", ""),
        (r#"{"type": "schema-registry"}"#, "url", ""),
        (r#"{"type": "schema-registry", "url": "ftp://x"}"#, "url", ""),
        (r#"{"type": "schema-registry", "url": "http://x?y"}"#, "url", "`?`"),
        (r#"{"type": "schema-registry", "url": "http://a:b@x"}"#, "url", "password"),
        (r#"{"type": "schema-registry", "url": "http://127.0.0.1", "tls": true}"#, "tls", "https"),
        (r#"{"type": "schema-registry", "url": "http://127.0.0.1", "max_age": 0}"#, "max_age", ""),
        (r#"{"type": "schema-registry", "url": "http://127.0.0.1", "group_id": "x"}"#, "group_id", ""),
        (r#"{"type": "apicurio-registry", "url": "http://127.0.0.1", "context": "x"}"#, "context", ""),
        (r#"{"type": "apicurio-registry", "url": "http://127.0.0.1", "use_id": "x"}"#, "use_id", "globalId"),
        (
            r#"{"type": "apicurio-registry", "url": "http://127.0.0.1", "id_encoding": "x"}"#,
            "id_encoding",
            "legacy",
        ),
        (
            r#"{"type": "schema-registry", "url": "http://127.0.0.1", "credentials": {"headers": {"authorization": "a\nb"}}}"#,
            "credentials.headers.authorization",
            "",
        ),
        (
            r#"{"type": "schema-registry", "url": "http://127.0.0.1", "credentials": {"token": "secret"}}"#,
            "credentials.token",
            "",
        ),
    ] {
        let more = format!(r#", "schema": {{"catalogs": {{"c": {catalog}}}}}"#);
        let error = refused(&server_definition(&port, &more));
        assert!(
            error.contains(&format!("config.schema.catalogs.c.{path}")) && error.contains(words),
            "{catalog}: {error}"
        );
        assert!(!error.contains("secret"), "{error}");
    }
    let (subject, port) = server(r#", "schema": {"in": {"model": "double"}}"#).await;
    super::peers::echo(subject, |_| {});
    round_trip(&mut port.client().await, 1).await;
}
