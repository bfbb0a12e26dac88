//! Settings that make no sense.

use super::*;

/// Catalogs for those who only have to name one.
const CATALOGS: &str = r#""catalogs": {
    "here": {"type": "inline", "subjects": {"a": {"schema": "true"}, "bad": {"schema": {"type": 1}}}},
    "reg": {"type": "schema-registry", "url": "http://127.0.0.1:1"}}"#;

/// A server and a client with `more` members of their configurations.
fn both(more: &str) -> [Definition; 2] {
    let port = Port::reserve();
    [server_definition(&port, more), client_definition(&port, more, "null")]
}

/// With each of these members `schema` is refused at this place, with these words; clients have no routes.
fn expect_refused(cases: &[(&str, &str, &str)]) {
    for (schema, path, words) in cases {
        for definition in both(&format!(r#", "schema": {{{CATALOGS}, {schema}}}"#)) {
            if definition.kind == "ws_client" && schema.contains("topic") {
                continue;
            }
            let error = refused(&definition);
            assert!(error.contains(&format!("config.{path}")) && error.contains(words), "{schema}: {error}");
        }
    }
}

#[tokio::test]
async fn schemas_that_cannot_be_found_are_refused_where_they_are_named() {
    expect_refused(&[
        (r#""in": {}"#, "schema.in.model", "json"),
        (r#""in": {"model": "xml"}"#, "schema.in.model", "avro"),
        (r#""in": {"model": "json"}"#, "schema.in.catalog", "catalogs"),
        (r#""in": {"model": "json", "catalog": "no", "subject": "a"}"#, "schema.in.catalog", "`here`, `reg`"),
        (r#""in": {"model": "json", "catalog": "here"}"#, "schema.in.subject", "schema"),
        (
            r#""in": {"model": "json", "catalog": "here", "subject": "b"}"#,
            "schema.in.subject",
            "no subject `b`; there are `a`, `bad`",
        ),
        (
            r#""in": {"model": "json", "catalog": "here", "subject": "bda"}"#,
            "schema.in.subject",
            "no subject `bda`; did you mean `bad`?",
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
    ]);
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_where_they_stand() {
    expect_refused(&[
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
    ]);
}

#[tokio::test]
async fn subjects_that_routes_cannot_give_are_refused_where_they_stand() {
    for (when, reference, key, words) in [
        (r#"[{"path": "/a"}, {"path": "/b"}]"#, r#""strategy": "topic""#, "strategy", "several"),
        (r#"[{"path": "/a/*"}]"#, r#""strategy": "topic""#, "strategy", "is many"),
        (r#"[{"path": "/"}]"#, r#""strategy": "topic""#, "strategy", "no subject"),
        (r#"[{"path": "/{x}"}, {"path": "/b"}]"#, r#""subject": "{x}""#, "subject", "`{x}`"),
    ] {
        let schema = format!(r#"{{"in": {{"model": "json", "catalog": "reg", {reference}}}}}"#);
        let route = format!(r#"{{"when": {when}, "exit": "out", "options": {{"schema": {schema}}}}}"#);
        for definition in both(&format!(r#", "schema": {{{CATALOGS}}}, "routes": [{route}]"#)) {
            let error = refused(&definition);
            assert!(
                error.contains(&format!("config.routes[0].options.schema.in.{key}")) && error.contains(words),
                "{when}: {error}"
            );
        }
    }
}

#[tokio::test]
async fn catalogs_that_cannot_be_are_refused_where_they_stand() {
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
        let error = refused(&server_definition(&Port::reserve(), &more));
        assert!(
            error.contains(&format!("config.schema.catalogs.c.{path}")) && error.contains(words),
            "{catalog}: {error}"
        );
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_simple_model_needs_no_catalog() {
    let (subject, port) = server(r#", "schema": {"in": {"model": "double"}}"#).await;
    crate::ws::peers::echo(subject, |_| {});
    round_trip(&mut port.client().await, 1).await;
}
