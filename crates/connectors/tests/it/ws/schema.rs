//! What messages are like.

mod catalogs;
mod hostile;
mod ids;
mod of_client;
mod per_origin;
mod registry;
mod settings;

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
async fn the_end_counts_messages_as_they_came_whatever_became_of_them() {
    let avro = format!(
        r#", "schema": {{"catalogs": {{"here": {{"type": "inline", "subjects": {{"r": {{"schema": {RECORD}}}}}}}}},
            "in": {{"model": "avro", "view": "json", "catalog": "here", "subject": "r"}}}}"#
    );
    let reading = |on_invalid: &str| {
        inline(&format!(
            r#""in": {{"model": "json", "catalog": "here", "subject": "reading", "on_invalid": "{on_invalid}"}}"#
        ))
    };
    for (more, messages) in [
        (avro, [binary(b"\x02"), binary(b"\x54")]),
        (reading("err"), [text(r#"{"celsius": 1}"#), text("{}")]),
        (reading("drop"), [text(r#"{"celsius": 1}"#), text("{}")]),
        (reading("close"), [text(r#"{"celsius": 1}"#), text("{}")]),
    ] {
        let (mut subject, port) = server(&more).await;
        let mut ws = port.client().await;
        let bytes: usize = messages.iter().map(Message::len).sum();
        for message in messages {
            send(&mut ws, message).await;
        }
        subject.next_event().await;
        drop(ws);
        let closed = loop {
            match subject.next().await {
                Seen::Event("err", event) => {
                    if let Some(closed) = event.payload.value().get("closed") {
                        break closed.clone();
                    }
                }
                Seen::Event(..) => {}
                other @ Seen::Drained(_) => panic!("{other:?}"),
            }
        };
        let came = json(&format!(r#"{{"messages": 2, "bytes": {bytes}}}"#));
        assert_eq!(closed.get("in"), Some(&came), "{more}");
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
async fn a_client_has_schemas_in_both_directions() {
    let registry = Registry::start().await;
    registry.add(5, "r", "AVRO", RECORD);
    let port = Port::reserve();
    let listener = port.listen();
    let directions = r#""in": {"model": "avro", "view": "json", "catalog": "reg", "subject": "r"},
                        "out": {"model": "avro", "view": "json", "catalog": "reg", "id": 5, "id_from": "prefix"}"#;
    let definition = Definition {
        metrics_interval_s: Some(json("3600")),
        ..client_definition(&port, &with(&registry, CONFLUENT, directions), "null")
    };
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
    let seen = super::metrics::stopped(subject).await;
    super::metrics::expect(
        &seen,
        &[("ws.errors out|-|in|contract", "1"), ("ws.errors out|-|out|contract", "1")],
    );
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
    let expected = [("ws.errors out|-|in|contract", "2"), ("ws.errors out|-|out|contract", "1")];
    super::metrics::expect(&seen, &expected);
    assert!(!seen.keys().any(|name| name.ends_with("|codec")), "{seen:#?}");
}
