//! A key that is known, but not where it stands, and what is said of a mistake deep in a configuration.

use crate::harness::{definition, environment};
use tremor_connector::{DefinitionError, Dials, Instance, Keys};

/// What is wrong with a configuration.
fn mistakes(kind: &str, config: &str) -> Vec<DefinitionError> {
    let (environment, _exits) = environment(Dials::default());
    let registry = tremor_connectors::registry(true);
    let codecs = tremor_codec::Registry::standard();
    let definition = definition(kind, config, r#""json""#, "");
    let made = Instance::checked(&definition, &environment, &registry, &codecs, &std::sync::Arc::default());
    made.map(|_| ()).err().unwrap_or_default()
}

/// The only mistake with what is said about it.
fn only(kind: &str, config: &str) -> (String, String) {
    let mut told = mistakes(kind, config);
    assert_eq!(told.len(), 1, "{config}: {told:#?}");
    let DefinitionError { message, hint, .. } = told.remove(0);
    let message = message.split_once("definition: ").unwrap().1.to_owned();
    (message, hint.unwrap_or_default())
}

fn server(more: &str) -> (String, String) {
    only("ws_server", &format!(r#"{{"url": "127.0.0.1:1", {more}}}"#))
}

fn client(more: &str) -> (String, String) {
    only("ws_client", &format!(r#"{{"url": "ws://127.0.0.1:1", {more}}}"#))
}

/// A configuration that lacks nothing for the record at `place`, and has a key `zzz` there that nobody knows.
fn with_unknown(place: &str) -> String {
    let catalogs = r#""catalogs": {"c": {"type": "inline", "subjects": {"s": {"schema": {}}}}}"#;
    let direction = r#"{"model": "json", "catalog": "c", "subject": "s", "zzz": 1}"#;
    match place {
        "auth" => r#""auth": {"bearer": {"token": "a"}, "zzz": 1}"#.into(),
        "auth.basic" => r#""auth": {"basic": {"username": "a", "password": "b", "zzz": 1}}"#.into(),
        "auth.bearer" => r#""auth": {"bearer": {"token": "a", "zzz": 1}}"#.into(),
        "compression.deflate" => r#""compression": {"deflate": {"zzz": 1}}"#.into(),
        "cookie.store" => r#""cookie": {"store": {"type": "file", "filename": "x", "zzz": 1}}"#.into(),
        "guards.NAME" => {
            r#""guards": {"g": {"type": "bearer", "options": {"tokens": {"a": {"identity": "b"}}}, "zzz": 1}}"#.into()
        }
        "heartbeat" => r#""heartbeat": {"interval": 1000, "message": "x", "zzz": 1}"#.into(),
        "routes[]" => r#""routes": [{"exit": "a", "zzz": 1}]"#.into(),
        "routes[].options" => r#""routes": [{"exit": "a", "options": {"zzz": 1}}]"#.into(),
        "routes[].when" => r#""routes": [{"exit": "a", "when": {"zzz": 1}}]"#.into(),
        "schema.in" => format!(r#""schema": {{{catalogs}, "in": {direction}}}"#),
        "schema.out" => format!(r#""schema": {{{catalogs}, "out": {direction}}}"#),
        "schema.catalogs.NAME" => {
            let url = r#""url": "http://127.0.0.1:1""#;
            format!(r#""schema": {{"catalogs": {{"c": {{"type": "apicurio-registry", {url}, "zzz": 1}}}}}}"#)
        }
        simple => format!(r#""{simple}": {{"zzz": 1}}"#),
    }
}

#[tokio::test]
async fn every_place_that_is_told_of_knows_those_keys() {
    for (kind, url) in [("ws_server", "127.0.0.1:1"), ("ws_client", "ws://127.0.0.1:1")] {
        let registry = tremor_connectors::registry(true);
        for below in registry.get(kind).unwrap().below {
            let names = match below.keys {
                Keys::Named(names) | Keys::Own(names) => names.to_vec(),
                Keys::Described(fields) => fields.iter().map(|field| field.name).collect(),
                // The guide's test goes through these.
                Keys::OfTypes(_) => continue,
            };
            let config = format!(r#"{{"url": "{url}", {}}}"#, with_unknown(below.place));
            let told = mistakes(kind, &config);
            let unknown = told.iter().find(|error| error.message.ends_with("zzz: unknown key"));
            let known = unknown.and_then(|error| error.hint.as_ref());
            let known = known.unwrap_or_else(|| panic!("{kind} {}: {told:#?}", below.place));
            for name in &names {
                assert!(known.contains(&format!("`{name}`")), "{kind} {}: {name}", below.place);
            }
            if matches!(below.keys, Keys::Own(_) | Keys::Described(_)) {
                assert_eq!(known.split(", ").count(), names.len(), "{kind} {}: {known}", below.place);
            }
        }
    }
}

#[tokio::test]
async fn a_key_in_a_wrong_place_is_told_where_it_stands() {
    for (more, expected) in [
        (
            r#""max_inflated_size": 1"#,
            "config.max_inflated_size: stands in `compression.deflate`; or did you mean `max_frame_size`?",
        ),
        (
            r#""options": {"max_inflated_size": 1}"#,
            "config.options.max_inflated_size: stands in `compression.deflate`; or did you mean `max_frame_size`?",
        ),
        (r#""deflate": {}"#, "config.deflate: stands in `compression`"),
        (
            r#""routes": [{"exit": "a", "headers": {"a": "b"}}]"#,
            "config.routes[0].headers: stands in `routes[].when`",
        ),
        (r#""policy": "close""#, "config.policy: stands in `send_queue`"),
        (r#""bind_identity": true"#, "config.bind_identity: stands in `cookie`"),
        (r#""strict_sni": true"#, "config.strict_sni: stands in `tls`"),
        (r#""audience": "x""#, "config.audience: stands in `guards.NAME.options`"),
        (r#""gives_identity": false"#, "config.gives_identity: stands in `guards.NAME`"),
        (r#""on_invalid": "err""#, "config.on_invalid: stands in `schema.in`, or in `schema.out`"),
        (r#""close_code": 4000"#, "config.close_code: stands in `schema.in`"),
        (
            r#""routes": [{"exit": "a", "message_rate": 5}]"#,
            "config.routes[0].message_rate: stands in `routes[].options`",
        ),
        (r#""routes": [{"exit": "a", "path": "/x"}]"#, "config.routes[0].path: stands in `routes[].when`"),
        (
            r#""routes": [{"exit": "a", "send_queue": {"policy": "close"}}]"#,
            "config.routes[0].send_queue: stands in `routes[].options`",
        ),
        (
            r#""routes": [{"exit": "a", "options": {"age": 5}}]"#,
            "config.routes[0].options.age: stands in `replay`",
        ),
        (
            r#""guards": {"g": {"type": "bearer", "options": {"tokens": {"a": {"identity": "b"}}, "gives_identity": false}}}"#,
            "config.guards.g.options.gives_identity: stands in `guards.NAME`",
        ),
        (
            r#""guards": {"g": {"type": "bearer", "options": {"tokens": {"a": {"identity": "b"}}, "credentials": {}}}}"#,
            "config.guards.g.options.credentials: stands in `guards.NAME`",
        ),
        (
            r#""guards": {"g": {"type": "bearer", "options": {"tokens": {"a": {"identity": "b"}}}, "audience": "x"}}"#,
            "config.guards.g.audience: unknown key",
        ),
        (
            r#""guards": {"g": {"type": "jwt", "options": {"keys": "https://127.0.0.1:1/"}, "audience": "x"}}"#,
            "config.guards.g.audience: stands in `options` of the guard",
        ),
        (
            r#""compression": {"max_connections": 1}"#,
            "config.compression.max_connections: stands in `config`",
        ),
    ] {
        let told = mistakes("ws_server", &format!(r#"{{"url": "127.0.0.1:1", {more}}}"#));
        let first = told.first().map(|error| error.message.split_once("definition: ").unwrap().1);
        assert_eq!(first, Some(expected), "{more}: {told:#?}");
    }
    assert_eq!(client(r#""reply_contains": "x""#).0, "config.reply_contains: stands in `heartbeat`");
    assert_eq!(
        client(r#""max_redircts": 1"#).0,
        "config.max_redircts: unknown key; did you mean `max_redirects`?"
    );
    assert_eq!(server(r#""frobnicate": 1"#).0, "config.frobnicate: unknown key");
}

#[tokio::test]
async fn what_is_said_of_a_mistake_is_about_the_nearest_key_of_which_something_is_said() {
    let jwt = |more: &str| {
        format!(
            r#""guards": {{"g": {{"type": "jwt", "options": {{"keys": "https://127.0.0.1:1/", {more}}}}}}}"#
        )
    };
    for (more, begins) in [
        (jwt(r#""leeway": "30s""#), "`leeway` (integer (s)): "),
        (
            r#""routes": [{"exit": "a", "options": {"message_rate": "x"}}]"#.into(),
            "`message_rate` (integer): ",
        ),
        (
            r#""guards": {"g": {"type": "basic", "options": {"users": {"ann": {"password": 5}}}}}"#.into(),
            "`users` (",
        ),
        (r#""routes": [{"exit": "a", "when": {"scheme": 5}}]"#.into(), "`scheme` (pattern): `https` "),
        (r#""routes": [{"exit": 5}]"#.into(), "`routes` (list of records): Of each: `exit`"),
        (r#""compression": {"deflate": {"level": "x"}}"#.into(), "`compression` (record): In `deflate`: "),
    ] {
        let (message, hint) = server(&more);
        assert!(hint.starts_with(begins), "{message}: {hint}");
    }
    let (_, hint) = server(r#""routes": [{"exit": "a", "when": 5}]"#);
    assert!(hint.contains("`when` (conditions of which one suffices: "), "{hint}");
    let (_, hint) = server(r#""routes": {"exit": 5}"#);
    assert!(hint.starts_with("`routes` (list of records): Tried in order; "), "{hint}");
    assert!(hint.ends_with("lists of strings one string."), "of the key itself all is said: {hint}");
}
