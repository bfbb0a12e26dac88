//! Registries that are not what they should be.

use super::super::tls::{Authority, files};
use super::*;

const OF_A: &str = r#""in": {"model": "json", "catalog": "reg", "subject": "a"}"#;

/// Why a server does not start.
async fn failure(more: &str) -> String {
    let port = Port::reserve();
    let subject = Subject::new(&server_definition(&port, more), Linked::Fully).unwrap();
    within(subject.handle.start()).await.unwrap_err()
}

#[tokio::test]
async fn a_registry_has_to_be_who_it_says() {
    let files = files();
    let registry = Registry::secure(&files).await;
    registry.add(1, "a", "JSON", READING);
    let trusting = |ca: &str, credentials: &str| {
        format!(
            r#"{CONFLUENT}, "tls": {{"cafile": "{ca}"}}, "credentials": {{"headers": {{"authorization": "{credentials}"}}}}"#
        )
    };
    let ca = files.cert.display().to_string();
    let (mut subject, port) = server(&with(&registry, &trusting(&ca, "Basic eA=="), OF_A)).await;
    assert_eq!(registry.credentials(), ["basic ea=="]);
    let mut ws = port.client().await;
    send(&mut ws, text("{}")).await;
    next_error(&mut subject).await;
    // Others are not told the credentials.
    let other = Authority::new();
    for kind in [
        trusting(&other.path("ca.crt"), "Basic secret"),
        format!(r#"{CONFLUENT}, "credentials": {{"headers": {{"authorization": "Basic secret"}}}}"#),
    ] {
        let failed = failure(&with(&registry, &kind, OF_A)).await;
        assert!(
            failed.contains("version `latest` of `a` cannot be had") && failed.contains("https://localhost:"),
            "{failed}"
        );
        assert!(!failed.contains("secret"), "{failed}");
    }
    assert_eq!(registry.credentials().len(), 1);
}

#[tokio::test]
async fn answers_that_are_none_are_named_and_end_no_later_than_they_may() {
    let answer = |status: &str, head: &str, body: &str| format!("HTTP/1.1 {status}\r\n{head}\r\n{body}");
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = answer("200 OK", &format!("Content-Length: {}\r\n", deep.len()), &deep);
    let registry = Registry::start().await;
    let elsewhere = Registry::start().await;
    elsewhere.add(1, "a", "JSON", "true");
    let redirect =
        answer("302 Found", &format!("Location: {}/subjects/a/versions/latest\r\n", elsewhere.url), "");
    for (raw, is_endless, words) in [
        (
            answer("200 OK", "Content-Type: text/html\r\nContent-Length: 13\r\n", "<html></html>"),
            false,
            "the answer is",
        ),
        (answer("200 OK", "Content-Length: 2\r\n", "{}"), false, "`schema`"),
        (answer("200 OK", "Content-Length: 2\r\n", "[]"), false, "`schema`"),
        (answer("200 OK", "Content-Length: 13\r\n", r#"{"schema": 1}"#), false, "`schema`"),
        (answer("200 OK", "Content-Length: 100\r\n", "{"), false, "ends early"),
        (answer("200 OK", "Content-Length: 99999999999\r\n", "x"), false, "more than"),
        (answer("200 OK", "", "x"), true, "more than"),
        (answer("200 OK", "Transfer-Encoding: chunked\r\n", "zz\r\n"), false, "ends early"),
        (answer("200 OK", "X: ", "x"), true, "http://"),
        (answer("204 No Content", "", ""), false, "answers 204"),
        (answer("401 No", "Content-Length: 0\r\n", ""), false, "answers 401"),
        (answer("404 No", "Content-Length: 0\r\n", ""), false, "is not there"),
        (answer("429 Later", "Content-Length: 0\r\n", ""), false, "answers 429"),
        (redirect, false, "answers 302"),
        (nested, false, "the answer is"),
        ("SSH-2.0\r\n".to_owned(), false, "http://"),
        (" ".to_owned(), false, "http://"),
    ] {
        registry.raw(raw.as_bytes(), is_endless);
        let failed = failure(&with(&registry, CONFLUENT, OF_A)).await;
        assert!(
            failed.contains(words) && failed.contains("`a` cannot be had"),
            "{}: {failed}",
            &raw[..raw.len().min(60)]
        );
        assert!(failed.len() < 500, "{} bytes of words", failed.len());
    }
    assert!(elsewhere.asked().is_empty(), "redirections are not followed");
}

#[tokio::test]
async fn references_may_go_round_in_circles_and_not_on_without_end() {
    for kind in [CONFLUENT, APICURIO] {
        // a refers to b and c, both to d, and that to a.
        let registry = Registry::start().await;
        let schema = |names: &[&str]| {
            let parts: Vec<_> = names
                .iter()
                .map(|name| format!(r#"{{"properties": {{"{name}": {{"$ref": "{name}.json"}}}}}}"#))
                .collect();
            format!(
                r#"{{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "allOf": [{}]}}"#,
                parts.join(",")
            )
        };
        registry.add_with(1, "a", "JSON", &schema(&["b", "c"]), &[("b.json", "b", 1), ("c.json", "c", 1)]);
        registry.add_with(2, "b", "JSON", &schema(&["d"]), &[("d.json", "d", 1)]);
        registry.add_with(3, "c", "JSON", &schema(&["d"]), &[("d.json", "d", 1)]);
        registry.add_with(4, "d", "JSON", &schema(&["a"]), &[("a.json", "a", 1)]);
        let (mut subject, port) = server(&with(&registry, kind, OF_A)).await;
        let mut ws = port.client().await;
        send(&mut ws, text(r#"{"b": {"d": {"a": {"c": {"d": 1}}}}}"#)).await;
        let event = next_error(&mut subject).await;
        assert!(
            event.payload.value().to_string().contains(r#""pointer":"/b/d/a/c/d""#),
            "{}",
            event.payload.value()
        );
        send(&mut ws, text(r#"{"b": {"d": {"a": {"c": {"d": {}}}}}}"#)).await;
        subject.next_event().await;
        // One that looks at the same for ever.
        let registry = Registry::start().await;
        registry.add_with(1, "a", "JSON", r#"{"$ref": "b.json"}"#, &[("b.json", "b", 1)]);
        registry.add_with(2, "b", "JSON", r#"{"$ref": "a.json"}"#, &[("a.json", "a", 1)]);
        let failed = failure(&with(&registry, kind, OF_A)).await;
        assert!(failed.contains("itself"), "{failed}");
        // One more after the other.
        let registry = Registry::start().await;
        let name = |number: u64| if number == 0 { "a".to_owned() } else { format!("n{number}") };
        for number in 0..80 {
            let next = name(number + 1);
            registry.add_with(number + 1, &name(number), "JSON", "true", &[(&next, &next, 1)]);
        }
        let failed = failure(&with(&registry, kind, OF_A)).await;
        assert!(failed.contains("more than 64 schemas"), "{failed}");
        // What is referred to is too long together.
        let registry = Registry::start().await;
        let long = format!(r#"{{"title": "{}"}}"#, "x".repeat(600_000));
        registry.add_with(1, "a", "JSON", "true", &[("b", "b", 1), ("c", "c", 1)]);
        registry.add(2, "b", "JSON", &long);
        registry.add(3, "c", "JSON", &long);
        let failed = failure(&with(&registry, kind, OF_A)).await;
        assert!(failed.contains("longer than 1048576 bytes with what it refers to"), "{failed}");
    }
}

#[tokio::test]
async fn a_schema_of_another_language_is_no_schema() {
    let registry = Registry::start().await;
    registry.add(1, "a", "AVRO", RECORD);
    for kind in [CONFLUENT, APICURIO] {
        let failed = failure(&with(&registry, kind, OF_A)).await;
        assert!(failed.contains("written in AVRO, not JSON"), "{failed}");
    }
}

#[tokio::test]
async fn ids_that_do_not_fit_their_width_are_not_sent() {
    let registry = Registry::start().await;
    registry.add(1 << 32, "a", "JSON", "true");
    let directions = r#""out": {"model": "json", "catalog": "reg", "subject": "a", "id_from": "prefix"}"#;
    let legacy = format!(r#"{APICURIO}, "id_encoding": "legacy""#);
    for (kind, fits) in [(APICURIO, true), (&legacy, false)] {
        let (mut subject, port) = server(&with(&registry, kind, directions)).await;
        let mut ws = port.client().await;
        send(&mut ws, text("7")).await;
        let event = subject.next_event().await;
        subject.deliver(0, event.clone()).await;
        if fits {
            assert_eq!(within(ws.next()).await.unwrap().unwrap(), binary(&[0, 0, 0, 0, 1, 0, 0, 0, 0, b'7']));
        } else {
            assert_eq!(subject.handle.taken().failed, 1);
        }
    }
}

#[tokio::test]
async fn a_message_whose_prefix_has_another_width_is_told() {
    let registry = Registry::start().await;
    registry.add(1, "a", "AVRO", RECORD);
    let directions =
        r#""in": {"model": "avro", "view": "json", "catalog": "reg", "subject": "a", "id_from": "prefix"}"#;
    for (kind, wrong, right) in [
        (APICURIO, &[0, 0, 0, 0, 1, 2][..], &[0, 0, 0, 0, 0, 0, 0, 0, 1, 2][..]),
        (CONFLUENT, &[0, 0, 0, 0, 0, 0, 0, 0, 1, 2], &[0, 0, 0, 0, 1, 2]),
    ] {
        let (mut subject, port) = server(&with(&registry, kind, directions)).await;
        let mut ws = port.client().await;
        send(&mut ws, binary(wrong)).await;
        assert!(next_error(&mut subject).await.payload.value().to_string().contains(r#""rule":"id""#));
        send(&mut ws, binary(right)).await;
        assert_eq!(subject.next_value().await, r#"{"n":1}"#);
    }
}

#[tokio::test]
async fn files_are_read_as_far_as_schemas_go() {
    let folder = tempfile::tempdir().unwrap();
    let port = Port::reserve();
    let long = folder.path().join("long.json");
    std::fs::write(&long, " ".repeat((1 << 20) + 1)).unwrap();
    for (path, words) in [
        ("/dev/zero", "no file"),
        (long.to_str().unwrap(), "longer than"),
        (folder.path().to_str().unwrap(), "is a directory"),
    ] {
        let more = format!(
            r#", "schema": {{"catalogs": {{"f": {{"type": "filesystem", "subjects": {{"r": {{"path": "{path}"}}}}}}}}}}"#
        );
        let error = refused(&server_definition(&port, &more));
        assert!(
            error.contains("config.schema.catalogs.f.subjects.r.path") && error.contains(words),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_never_answers_is_not_waited_for() {
    let registry = Registry::start().await;
    registry.hold(true);
    let began = tokio::time::Instant::now();
    let failed = failure(&with(&registry, CONFLUENT, OF_A)).await;
    assert!(failed.contains("did not answer in time"), "{failed}");
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn answers_that_each_take_their_time_are_not_waited_for_without_end() {
    let registry = Registry::start().await;
    let name = |number: u64| if number == 0 { "a".to_owned() } else { format!("n{number}") };
    for number in 0..60 {
        let next = name(number + 1);
        registry.add_with(number + 1, &name(number), "JSON", "true", &[(&next, &next, 1)]);
    }
    registry.slow(Duration::from_secs(3));
    let began = tokio::time::Instant::now();
    let failed = failure(&with(&registry, CONFLUENT, OF_A)).await;
    assert!(failed.contains("took more than 20 seconds"), "{failed}");
    assert_eq!(began.elapsed().as_secs(), 20);
}
