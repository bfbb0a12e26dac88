//! Messages that say which schema they have.

use super::*;
use crate::ws::peers::head;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

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
    for is_binary in [true, false, true] {
        send(&mut ws, if is_binary { binary(br#"{"b": 1}"#) } else { text(r#"{"b": 1}"#) }).await;
        let event = subject.next_event().await;
        let binary = is_binary.then(|| Value::from(true));
        assert_eq!(event.meta.get("binary"), binary.as_ref());
        assert_eq!(of_server(&event).get("binary"), binary.as_ref());
        assert_eq!(of_server(&event).get("schema"), Some(&Value::from(2)));
    }
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
async fn tags_and_parameters_of_paths_say_it_before_queries_do() {
    let registry = Registry::start().await;
    for (id, key) in [(1, "a"), (2, "b"), (3, "c")] {
        registry.add(id, key, "JSON", &format!(r#"{{"required": ["{key}"]}}"#));
    }
    let directions = r#""in": {"model": "json", "catalog": "reg", "id_from": "metadata"}"#;
    let more = with(&registry, CONFLUENT, directions)
        + r#", "routes": [{"when": [{"path": "/by/{schema}"}], "exit": "out"}]"#;
    let (mut subject, port) = server(&more).await;
    let mut ws = port.client_at("/by/2?schema=1").await;
    send(&mut ws, text(r#"{"b": 1}"#)).await;
    let event = subject.next_event().await;
    let conn = of_server(&event).get("conn").unwrap().clone();
    assert_eq!(of_server(&event).get("schema"), Some(&Value::from(2)));
    for (schema, mood, key, other) in [("3", 1, "c", "b"), ("2", 2, "b", "c"), ("2", 3, "b", "c")] {
        let command =
            format!(r#"{{"kind": "tag", "conn": {conn}, "tags": {{"schema": {schema}, "mood": {mood}}}}}"#);
        subject.give_to(2, json(&command)).await;
        send(&mut ws, text(format!(r#"{{"{key}": 1}}"#))).await;
        let event = subject.next_event().await;
        let tags = of_server(&event).get("tags").unwrap().clone();
        assert_eq!(
            (tags.get("mood"), of_server(&event).get("schema")),
            (Some(&Value::from(mood)), Some(&json(schema)))
        );
        send(&mut ws, text(format!(r#"{{"{other}": 1}}"#))).await;
        next_error(&mut subject).await;
    }
}

#[tokio::test]
async fn ids_that_a_subject_has_had_are_good_for_it() {
    let registry = Registry::start().await;
    registry.add(1, "r", "AVRO", RECORD);
    let directions =
        r#""in": {"model": "avro", "view": "json", "catalog": "reg", "subject": "r", "id_from": "prefix"}"#;
    let kind = format!(r#"{CONFLUENT}, "max_age": 1"#);
    let (mut subject, port) = server(&with(&registry, &kind, directions)).await;
    let mut ws = port.client().await;
    for id in [2, 3] {
        registry.add(id.into(), "r", "AVRO", RECORD);
        within(async {
            loop {
                send(&mut ws, binary(&[0, 0, 0, 0, 1, 2])).await;
                subject.next_event().await;
                send(&mut ws, binary(&[0, 0, 0, 0, id, 2])).await;
                match subject.next().await {
                    Seen::Event("out", _) => return,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        })
        .await;
    }
    for id in [1, 2, 3] {
        send(&mut ws, binary(&[0, 0, 0, 0, id, 2])).await;
        assert_eq!(of_server(&subject.next_event().await).get("schema"), Some(&Value::from(u64::from(id))));
    }
    // What a number means never changes.
    let asked = registry.asked().into_iter().filter(|target| target == "/schemas/ids/1").count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn what_is_broken_behind_a_message_that_waits_is_told_behind_it() {
    // An opcode that there is not.
    let (registry, mut subject, mut tcp) = waiting(b"\x83\x80\0\0\0\0").await;
    assert!(subject.is_silent());
    registry.hold(false);
    assert_eq!(subject.next_value().await, r#"{"n":1}"#);
    let mut said = Vec::new();
    within(tcp.read_to_end(&mut said)).await.unwrap();
    assert!(said.starts_with(&[0x88]) && said.get(2..4) == Some(&[3, 0xea]), "{said:?}");
}

/// Number of the input port for commands.
const CONTROL: usize = 2;

/// A connection of which a message waits for its schema, and these bytes behind it.
async fn waiting(behind: &[u8]) -> (Registry, Subject, TcpStream) {
    let registry = Registry::start().await;
    registry.add(258, "r", "AVRO", RECORD);
    let directions = r#""in": {"model": "avro", "view": "json", "catalog": "reg", "id_from": "prefix"}"#;
    let (subject, port) = server(&with(&registry, CONFLUENT, directions)).await;
    registry.hold(true);
    let mut tcp = port.tcp().await;
    tcp.write_all(upgrade(&port.address(), "").as_bytes()).await.unwrap();
    head(&mut tcp).await;
    let message = b"\x82\x86\0\0\0\0\0\0\0\x01\x02\x02";
    tcp.write_all(&[message, behind].concat()).await.unwrap();
    within(async {
        while registry.asked().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    (registry, subject, tcp)
}

#[tokio::test]
async fn a_message_that_waits_when_its_connection_is_closed_is_handed_on_and_nobody_is_held_up() {
    let (registry, mut subject, mut tcp) = waiting(b"").await;
    subject.give_to(CONTROL, json(r#"{"kind": "close", "where": {"path": "/"}, "code": 4000}"#)).await;
    let mut close = [0; 4];
    within(tcp.read_exact(&mut close)).await.unwrap();
    assert_eq!(close, [0x88, 2, 0x0f, 0xa0]);
    tcp.write_all(b"\x88\x82\0\0\0\0\x0f\xa0").await.unwrap();
    assert!(subject.is_silent());
    registry.hold(false);
    assert_eq!(subject.next_value().await, r#"{"n":1}"#);
    within(tcp.read_to_end(&mut Vec::new())).await.unwrap();
}

/// Its metadata change while it waits.
#[tokio::test]
async fn a_message_that_is_told_to_have_another_schema_while_it_waits_gets_that() {
    let registry = Registry::start().await;
    registry.add(1, "a", "JSON", "true");
    registry.add(2, "b", "JSON", r#"{"type": "object"}"#);
    let directions = r#""in": {"model": "json", "catalog": "reg", "id_from": "metadata"}"#;
    let (mut subject, port) = server(&with(&registry, CONFLUENT, directions)).await;
    let mut ws = port.client_at("/?schema=1").await;
    registry.hold(true);
    send(&mut ws, text("1")).await;
    within(async {
        while registry.asked().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let tag = r#"{"kind": "tag", "where": {"path": "/"}, "tags": {"schema": 2}}"#;
    subject.give_to(CONTROL, json(tag)).await;
    registry.hold(false);
    next_error(&mut subject).await;
    send(&mut ws, text(r#"{"b": 1}"#)).await;
    assert_eq!(subject.next_value().await, r#"{"b":1}"#);
}

#[tokio::test]
async fn metadata_that_say_nothing_leave_it_to_the_configuration() {
    let registry = Registry::start().await;
    registry.add(1, "a", "JSON", r#"{"required": ["a"]}"#);
    registry.add(2, "b", "JSON", r#"{"required": ["b"]}"#);
    let directions = r#""in": {"model": "json", "catalog": "reg", "subject": "a", "id_from": "metadata"}"#;
    let (mut subject, port) = server(&with(&registry, CONFLUENT, directions)).await;
    let mut open = Vec::new();
    for (path, key, other) in [("/", "a", "b"), ("/?schema=2", "b", "a"), ("/?schema=x", "", "a")] {
        let mut ws = port.client_at(path).await;
        send(&mut ws, text(format!(r#"{{"{other}": 1}}"#))).await;
        next_error(&mut subject).await;
        if !key.is_empty() {
            send(&mut ws, text(format!(r#"{{"{key}": 1}}"#))).await;
            subject.next_event().await;
        }
        open.push(ws);
    }
}
