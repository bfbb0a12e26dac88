//! What is accepted and hardly meant is told when a server is made.

use super::{
    peers::{Port, client_definition, server_definition},
    tls::files,
};
use crate::harness::{Linked, Subject, definition};
use tracing::Level;
use tremor_codec::testing::Log;
use tremor_connector::Definition;

/// What is told of a server with `more` members in its configuration.
fn told(more: &str) -> String {
    told_of(&server_definition(&Port::reserve(), more))
}

fn told_of(definition: &Definition) -> String {
    let (told, _listening) = Log::listen();
    Subject::new(definition, Linked::Fully).map(drop).unwrap();
    let levels = told.levels("");
    assert!(levels.iter().all(|level| *level == Level::WARN), "{levels:?}: {}", told.text());
    told.text()
}

const BEARER: &str = r#"{"type": "bearer", "options": {"tokens": {"x": {"identity": "y"}}}}"#;
const ANY_PAGE: &str = "so without `allowed_origins` any page can open a connection";
const ALL: &str = r#"{"exit": "a"}"#;
const ONE: &str = r#"{"exit": "b", "when": {"path": "/b"}}"#;

/// A guard that goes by tokens, with `more` options.
fn jwt(more: &str) -> String {
    let keys = super::guards::jwk("k");
    format!(r#", "guards": {{"g": {{"type": "jwt", "options": {{"keys": [{keys}]{more}}}}}}}"#)
}

#[tokio::test]
async fn what_is_meant_is_not_warned_of() {
    for more in [
        jwt(r#", "leeway": 3600"#),
        jwt(r#", "leeway": 1, "challenge": 0"#),
        format!(r#"{}, "on_expiry": "notify""#, jwt(r#", "challenge": 0"#)),
    ] {
        let told = told(&more);
        assert!(!told.contains("leeway") && !told.contains("challenge"), "{more}: {told}");
    }
}

#[tokio::test]
async fn what_is_warned_of_is_told_once_though_mistakes_are_searched_for() {
    let (told, _listening) = Log::listen();
    let wrong = server_definition(&Port::reserve(), r#", "routes": [], "surplus": 1"#);
    let made = Subject::new(&wrong, Linked::Fully).map(drop);
    assert!(made.is_err());
    assert_eq!(told.text().matches("`routes` is an empty list").count(), 1, "{}", told.text());
}

/// Of each of these members one line tells this.
fn expect_told(cases: &[(String, &str)]) {
    for (more, expected) in cases {
        let told = told(more);
        assert_eq!(told.matches(expected).count(), 1, "{more}\n{told}");
    }
}

#[tokio::test]
async fn routes_that_have_no_effect_are_told() {
    expect_told(&[
        (
            format!(r#", "routes": [{ALL}, {ONE}]"#),
            "`routes[0]` takes all who come: the routes behind it are",
        ),
        (format!(r#", "routes": [{ONE}, {ALL}], "exit": "c""#), "`routes[1]` takes all who come: `exit` is"),
        (
            format!(r#", "routes": [{ONE}], "no_match": {{"body": "x"}}, "error_bodies": false"#),
            "`no_match.body` has no effect",
        ),
        (r#", "routes": []"#.into(), "`routes` is an empty list"),
        (
            format!(r#", "routes": [{ONE}, {ONE}]"#),
            "`routes[1]` is never reached: `routes[0]` takes all that it would take",
        ),
        (
            r#", "routes": [{"exit": "a", "when": {"path": "/*"}}, {"exit": "b", "when": {"path": "/b"}}]"#
                .into(),
            "`routes[0]` takes all who come: the routes behind it are",
        ),
        (
            r#", "routes": [{"exit": "a", "when": {"path": "/a/*"}}, {"exit": "b", "when": {"path": "/b"}},
                {"exit": "c", "when": {"path": "/a/{x}", "protocol": "v1"}}]"#
                .into(),
            "`routes[2]` is never reached: `routes[0]` takes",
        ),
        (
            format!(
                r#", "guards": {{"g": {BEARER}}}, "guard_fallthrough": false,
                    "routes": [{{"exit": "a", "when": {{"path": "/b"}}, "guarded": {{"g": []}}}}, {ONE}]"#
            ),
            "`routes[1]` is never reached: `routes[0]` takes",
        ),
    ]);
}

#[tokio::test]
async fn limits_that_have_no_effect_are_told() {
    expect_told(&[
        (
            r#", "max_connections": 4, "max_connections_per_ip": 5"#.into(),
            "`max_connections_per_ip` has no effect: `max_connections` is less, 4",
        ),
        (
            r#", "max_large_messages_size": 50, "max_message_size": 30, "routes": [{"exit": "a", "options": {"max_message_size": 60}}]"#
                .into(),
            "`max_large_messages_size` is 50: it has no room for a message that is as long as `max_message_size` allows, 60",
        ),
        (
            r#", "max_message_size": 100, "compression": {"deflate": {"max_inflated_size": 200}}"#.into(),
            "`max_inflated_size` has no effect: `max_message_size` is less, 100",
        ),
        (
            r#", "max_message_size": 10, "max_frame_size": 20"#.into(),
            "`max_frame_size` is 20, but no frame has more than a message may have: `max_message_size` is 10",
        ),
        (
            r#", "routes": [{"exit": "a", "options": {"max_message_size": 10, "max_frame_size": 20}}]"#
                .into(),
            "] config.routes[0].options: `max_frame_size` is 20, but",
        ),
    ]);
}

#[tokio::test]
async fn times_that_cannot_be_meant_are_told() {
    expect_told(&[
        (r#", "idle_timeout": 99"#.into(), "`idle_timeout` is 99 ms, which is very short"),
        (r#", "options": {"write_timeout": 1}"#.into(), "`write_timeout` is 1 ms, which is very short"),
        (
            r#", "drain_timeout": 5001"#.into(),
            "`drain_timeout` is 5001 ms, but a flow that drains has 5000 ms",
        ),
        (
            r#", "drain_spread": 60000"#.into(),
            "`drain_spread` is 60000 ms, but a flow that drains has 5000 ms",
        ),
    ]);
}

const BCRYPT: &str = "$2b$04$nBqnqi9B1rnzVQDq0sPiqOfLPI5O7b8pllF7SjTobczlea57L.9va";
const ARGON2ID: &str =
    "$argon2id$v=19$m=64,t=1,p=1$5k39r820GtZb2nGw0XzwaA$a8vTJ5Lun1jBQis0ODgnJqirxXNc3aYo1Kci4OIccJM";

#[tokio::test]
async fn guards_that_cannot_be_meant_are_told() {
    expect_told(&[
        (r#", "guards": {"g": {"type": "cookie"}}, "cookie": {"bind_identity": true}"#.into(), ANY_PAGE),
        (
            format!(
                r#", "guards": {{"g": {BEARER}}}, "credentials": {{"cookies": {{"sid": "{{credentials}}"}}}}, "routes": [{{"exit": "a", "guarded": {{"g": []}}}}]"#
            ),
            ANY_PAGE,
        ),
        (r#", "routes": [{"exit": "a", "guarded": {}}]"#.into(), "config.routes[0].guarded: names no guard"),
        (
            r#", "guards": {"g": {"type": "basic", "options": {"users": {"a": {"password": ""}}}}}"#.into(),
            "config.guards.g.options.users.a.password: is empty, so whoever",
        ),
        (
            format!(
                r#", "guards": {{"g": {{"type": "basic", "options": {{"users": {{"a": {{"hash": "{BCRYPT}"}}, "b": {{"hash": "{ARGON2ID}"}}}}}}}}}}"#
            ),
            "config.guards.g.options: hashes of users take different times",
        ),
        (jwt(r#", "leeway": 3601"#), "config.guards.g.options.leeway: is 3601 s, and tokens"),
        (jwt("").replace(r#""kid":"k""#, r#""kid":"""#), "config.guards.g.options.keys[0].kid: is empty"),
        (r#", "guards": {}"#.into(), "`guards` has none in it, so nobody is asked who they are"),
        (
            r#", "authorize": {"port": "a", "timeout": 90000}"#.into(),
            "config.authorize.timeout: is 90000 ms, but a handshake as a whole has 5000 ms",
        ),
        (
            r#", "open_handshake_timeout": 700, "routes": [{"exit": "b", "guarded": {"g": []}}],
                "guards": {"g": {"type": "flow", "options": {"port": "a", "timeout": 701}}}"#
                .into(),
            "config.guards.g.options.timeout: is 701 ms, but a handshake as a whole has 700 ms",
        ),
    ]);
}

#[tokio::test]
async fn certificates_that_browsers_add_are_told_where_any_page_may_connect() {
    let files = files();
    let (cert, key) = (files.cert.display(), files.key.display());
    let pair = format!(r#""cert": "{cert}", "key": "{key}""#);
    let asking = format!(r#", "tls": {{{pair}, "client_ca": "{cert}"}}"#);
    let one = r#", "allowed_origins": ["https://a.example"], "allow_null_origin": false"#;
    assert_eq!(told(&format!(r#", "tls": {{{pair}}}"#)), "");
    assert_eq!(told(&format!("{asking}{one}")), "");
    let said = format!(r#"{asking}, "allowed_origins": ["*"]"#);
    expect_told(&[
        (asking, ANY_PAGE),
        (said, "so with `allowed_origins` of `*` any page can open a connection"),
    ]);
}

#[tokio::test]
async fn what_else_has_no_effect_is_told() {
    expect_told(&[
        (r#", "subprotocol_preference": "server""#.into(), "no effect without `subprotocols`"),
        (r#", "auto_ping_size": 20"#.into(), "`auto_ping_size` has no effect without `auto_ping_interval`"),
        (
            r#", "auto_ping_restart_on_any_traffic": false"#.into(),
            "`auto_ping_restart_on_any_traffic` has no effect without",
        ),
        (r#", "cookie": {"same_site": "None"}"#.into(), "the cookie is `Secure`, so browsers drop it"),
        (r#", "cookie": {"secure": true}"#.into(), "the cookie is `Secure`, so browsers drop it"),
        (r#", "mask_server_frames": true"#.into(), "`mask_server_frames` is true, which breaks"),
        (r#", "validate_utf8": false"#.into(), "`validate_utf8` is false, which breaks"),
        (
            r#", "require_masked_client_frames": false"#.into(),
            "`require_masked_client_frames` is false, which breaks",
        ),
        (
            r#", "compression": {"deflate": {"request_max_window_bits": 8}}"#.into(),
            "`request_max_window_bits` is 8",
        ),
        (r#", "trust_xff": 1000"#.into(), "`trust_xff` is 1000: with fewer proxies than that in front"),
        (
            r#", "public_url": "http://h/path""#.into(),
            "the path of `public_url` is ignored: it is `h` that requests are compared with",
        ),
        (
            r#", "allowed_origins": []"#.into(),
            "`allowed_origins` is an empty list: no page can connect, but those whose `Origin` is `null`",
        ),
    ]);
}

#[tokio::test]
async fn what_has_an_effect_is_not() {
    for more in &[
        format!(r#", "routes": [{ONE}, {ALL}]"#),
        r#", "routes": [{"exit": "a", "when": {"path": "/b", "protocol": "v1"}},
            {"exit": "b", "when": {"path": "/b", "headers": {"x-a": "1"}}},
            {"exit": "c", "when": {"path": "/b", "query": {"k": "1"}}}, {"exit": "d", "when": {"path": "/b"}},
            {"exit": "e", "when": {"path": "/c/{x}"}}, {"exit": "f", "when": {"path": "/c/*"}}]"#
            .into(),
        format!(
            r#", "guards": {{"g": {BEARER}}}, "routes": [{{"exit": "a", "when": {{"path": "/b"}}, "guarded": {{"g": []}}}}, {ONE}]"#
        ),
        r#", "trust_xff": 2, "public_url": "http://h/""#.into(),
        format!(r#", "routes": [{ONE}], "no_match": {{"body": "x"}}"#),
        r#", "subprotocols": ["a"], "subprotocol_preference": "server""#.into(),
        r#", "auto_ping_interval": 10000, "auto_ping_size": 20"#.into(),
        r#", "cookie": {"same_site": "None"}, "public_url": "wss://a.example""#.into(),
        r#", "cookie": {}"#.into(),
        r#", "idle_timeout": 100"#.into(),
        format!(
            r#", "guards": {{"g": {BEARER}}}, "credentials": {{"cookies": {{"sid": "{{credentials}}"}}}}, "routes": [{{"exit": "a", "guarded": {{"g": []}}}}], "allowed_origins": ["https://a.example"], "allow_null_origin": false"#
        ),
        r#", "compression": {"deflate": {"request_max_window_bits": 9}}"#.into(),
        r#", "max_message_size": 20, "max_frame_size": 20"#.into(),
        r#", "max_message_size": 0, "max_frame_size": 20"#.into(),
        r#", "max_message_size": 10, "max_frame_size": 0"#.into(),
        r#", "max_message_size": 10"#.into(),
        r#", "max_message_size": 200, "compression": {"deflate": {"max_inflated_size": 200}}"#.into(),
        r#", "allowed_origins": [], "same_origin": true, "allow_null_origin": false"#.into(),
        r#", "authorize": {"port": "a", "timeout": 5000}"#.into(),
        r#", "authorize": {"port": "a", "timeout": 90000}, "open_handshake_timeout": 0"#.into(),
        r#", "drain_timeout": 5000, "drain_spread": 5000"#.into(),
        r#", "auto_ping_interval": 1000, "auto_ping_timeout": 0"#.into(),
    ] {
        assert_eq!(told(more), "", "{more}");
    }
}

#[tokio::test]
async fn what_an_address_leaves_out_is_told() {
    for (kind, config, expected) in [
        ("ws_server", r#"{"url": "127.0.0.1:7001"}"#, ""),
        ("ws_server", r#"{"url": "ws://127.0.0.1"}"#, ""),
        ("ws_server", r#"{"url": "foo"}"#, "config.url: says no port, so it is 80"),
        (
            "ws_server",
            r#"{"url": ":7001"}"#,
            "config.url: names no host, so only this machine can connect; write `0.0.0.0:7001`",
        ),
        ("ws_server", r#"{"listen": ["127.0.0.1:0", "foo"]}"#, "config.listen[1]: says no port, so it is 80"),
        ("ws_client", r#"{"url": "h/x"}"#, "config.url: says no scheme and no port, so it is `ws://h:80/x`"),
        ("ws_client", r#"{"url": "h:80"}"#, ""),
        (
            "ws_client",
            r#"{"url": "ws://h", "accept_masked_server_frames": true}"#,
            "`accept_masked_server_frames` is true, which breaks",
        ),
        (
            "ws_client",
            r#"{"url": "ws://"}"#,
            "`url` names no host, so it is `localhost`: write `ws://localhost:80/`",
        ),
        ("ws_client", r#"{"url": "wss:///x"}"#, "write `wss://localhost:443/x`"),
        ("ws_client", r#"{"url": "ws://:81"}"#, "write `ws://localhost:81/`"),
        (
            "ws_client",
            r#"{"url": "/run/x"}"#,
            r#"(or, for a unix socket, `"endpoint": {"type": "unix", "path": "/run/x"}`)"#,
        ),
        ("ws_client", r#"{"url": "ws:///x", "endpoint": {"type": "unix", "path": "/run/x"}}"#, ""),
        ("ws_client", r#"{"url": "ws://h/a b"}"#, "config.url: has a space in it, which is sent as `%20`"),
        ("ws_client", r#"{"url": " ws://h/a%20b "}"#, ""),
        ("ws_server", r#"{"url": "ws://127.0.0.1:7001/"}"#, ""),
        (
            "ws_server",
            r#"{"url": "ws://127.0.0.1:7001/a?b"}"#,
            "the path of `ws://127.0.0.1:7001/a?b` is ignored: every path is accepted",
        ),
        (
            "ws_server",
            r#"{"url": "ws://127.0.0.1:7001/a", "routes": [{"exit": "o", "when": {"path": "/b"}}]}"#,
            "the path of `ws://127.0.0.1:7001/a` is ignored: `routes` say which paths are accepted",
        ),
        (
            "ws_server",
            r#"{"url": "127.0.0.1:7001", "routes": [{"exit": "o", "when": [{"path": "/b"}, {"path": "/a/:8/:room_1?x"}]}]}"#,
            "config.routes[0].when[1].path: `:room_1` stands for itself; a segment that may be anything is written `{room_1}`",
        ),
        (
            "ws_server",
            r#"{"url": "127.0.0.1:7001", "routes": [{"exit": "o", "when": {"path": "/{a}/b:c/:/:8080/:b-c?/:d"}}]}"#,
            "",
        ),
        (
            "ws_client",
            r#"{"url": "ws://h", "per_origin": true, "routes": [{"exit": "o", "when": {"path": "/:room"}}]}"#,
            "config.routes[0].when.path: `:room` stands for itself",
        ),
        (
            "ws_server",
            r#"{"listen": ["127.0.0.1:0", "ws://127.0.0.1:0/a"]}"#,
            "the path of `ws://127.0.0.1:0/a` is ignored: every path is accepted",
        ),
        ("ws_client", r#"{"url": "ws://h", "tls": true}"#, "`tls` is on, so `ws://h` is spoken to with TLS"),
        ("ws_client", r#"{"url": "wss://h", "tls": true}"#, ""),
        ("ws_client", r#"{"url": "ws://h", "tls": false}"#, ""),
        ("ws_client", r#"{"url": "ws://me:pw@h"}"#, "credentials are sent without TLS"),
        (
            "ws_client",
            r#"{"url": "ws://h", "auth": {"bearer": {"token": "t"}}}"#,
            "credentials are sent without TLS",
        ),
        ("ws_client", r#"{"url": "wss://h", "auth": {"bearer": {"token": "t"}}}"#, ""),
        ("ws_client", r#"{"url": "ws://localhost", "auth": {"bearer": {"token": "t"}}}"#, ""),
        ("ws_client", r#"{"url": "ws://127.0.0.1", "auth": {"bearer": {"token": "t"}}}"#, ""),
        ("ws_client", r#"{"url": "ws://[::1]", "auth": {"bearer": {"token": "t"}}}"#, ""),
        (
            "ws_client",
            r#"{"url": "ws://h", "defaults": {"path": "/a b"}}"#,
            "config.defaults.path: has a space in it, which is sent as `%20`",
        ),
        ("ws_client", r#"{"url": "ws://h", "routes": []}"#, "`routes` is an empty list"),
    ] {
        let told = told_of(&definition(kind, config, r#""json""#, ""));
        assert_eq!(told.lines().count(), usize::from(!expected.is_empty()), "{config}: {told}");
        assert!(told.contains(expected), "{config}: {told}");
    }
}

/// By definition such a configuration is ignored, not refused.
#[tokio::test]
async fn a_catalog_is_used_if_a_route_uses_it() {
    let told = told(
        r#", "schema": {"catalogs": {"c": {"type": "inline", "subjects": {"s": {"schema": {}}}}}},
        "routes": [{"exit": "a", "options": {"schema": {"out": {"model": "json", "catalog": "c", "subject": "s"}}}}]"#,
    );
    assert!(!told.contains("catalog"), "{told}");
}

#[tokio::test]
async fn roles_that_nobody_has_are_told() {
    let guard = |kind: &str, options: &str| format!(r#"{{"type": "{kind}", "options": {options}}}"#);
    let users = r#"{"users": {"a": {"password": "b", "roles": ["read", "writes"]}, "c": {"password": "d", "roles": "all"}}}"#;
    let tokens = r#"{"tokens": {"t": {"identity": "a", "roles": ["read"]}}}"#;
    let nobody = "`routes[0].guarded` lets nobody in: nobody whom the guard `g` knows has";
    for (guard, roles, expected) in [
        (guard("basic", users), "[]", None),
        (guard("basic", users), r#"["read", "writes"]"#, None),
        (guard("basic", users), r#""all""#, None),
        (guard("basic", users), r#"["read", "write"]"#, Some(" the role `write`; did you mean `writes`?\n")),
        (guard("basic", users), r#"["read", "all"]"#, Some(" all of these roles\n")),
        (guard("bearer", tokens), r#"["admin"]"#, Some(" the role `admin`\n")),
        (guard("identity", r#"{"header": "X-User"}"#), r#"["admin"]"#, Some(" the role `admin`\n")),
        (guard("identity", r#"{"header": "X-User", "roles_header": "X-Roles"}"#), r#"["admin"]"#, None),
    ] {
        let told = told(&format!(
            r#", "trusted_proxies": "::1", "guards": {{"g": {guard}}},
            "routes": [{{"exit": "a", "guarded": {{"g": {roles}}}}}]"#
        ));
        let expected = expected.map(|expected| format!("{nobody}{expected}"));
        assert_eq!(told.contains(nobody), expected.is_some(), "{guard} {roles}: {told}");
        assert!(expected.is_none_or(|expected| told.contains(&expected)), "{guard} {roles}: {told}");
    }
}

#[tokio::test]
async fn what_is_said_to_a_codec_that_listens_to_nothing_is_told() {
    for (codec, expected) in [
        (r#"{"name": "string", "config": {"x": 1}}"#, "codec.config: has no effect: `string` takes none"),
        (r#"{"name": "string", "config": {}}"#, ""),
        (r#"{"name": "json", "config": {"mode": "sorted"}}"#, ""),
    ] {
        let told = told_of(&definition("ws_server", r#"{"url": "127.0.0.1:1"}"#, codec, ""));
        assert_eq!(told.lines().count(), usize::from(!expected.is_empty()), "{codec}: {told}");
        assert!(told.contains(expected), "{codec}: {told}");
    }
}

#[tokio::test]
async fn a_reply_that_is_described_by_nearly_the_right_word_is_told() {
    for (expect, is_told) in [
        (r#"{"contians": "welcome"}"#, true),
        (r#"{"Contains": "welcome"}"#, true),
        (r#"{"contain": "welcome", "id": 1}"#, true),
        (r#"{"contains": "welcome"}"#, false),
        (r#"{"contain": 1}"#, false),
        (r#"{"content": "welcome"}"#, false),
        (r#"{"message": {"contain": "welcome"}}"#, false),
    ] {
        let told = told_of(&client_definition(&Port::reserve(), &format!(r#", "expect": {expect}"#), "null"));
        assert_eq!(told.contains("did you mean `contains`"), is_told, "{expect}: {told}");
        assert_eq!(told.lines().count(), usize::from(is_told), "{expect}: {told}");
    }
}

#[tokio::test]
async fn schemas_that_say_nothing_and_registries_that_anybody_can_speak_for_are_told() {
    const NOTHING: &str = "`schema` has neither `in` nor `out`";
    const OPEN: &str = "schemas of catalog `reg` come without TLS";
    const SECRET: &str = "and read the credentials";
    const UNUSED: &str = "no message is compared with what is in the catalog `reg`";
    let reg = |url: &str, more: &str| {
        format!(r#"{{"catalogs": {{"reg": {{"type": "schema-registry", "url": "{url}"{more}}}}}}}"#)
    };
    let credentials = r#", "credentials": {"headers": {"authorization": "Bearer x"}}"#;
    for (schema, expected) in [
        ("{}".to_owned(), &[NOTHING][..]),
        (r#"{"in": {"model": "boolean"}}"#.to_owned(), &[]),
        (r#"{"out": {"model": "boolean"}}"#.to_owned(), &[]),
        (reg("http://a.example", ""), &[OPEN, UNUSED]),
        (reg("http://a.example", credentials), &[OPEN, SECRET, UNUSED]),
        (reg("https://a.example", credentials), &[UNUSED]),
        (
            reg("https://a.example", "")
                .replace("}}}", r#"}}, "in": {"model": "json", "catalog": "reg", "id": 1}}"#),
            &[],
        ),
        // Whoever could be in between there is here already.
        (reg("http://127.0.0.1:1", credentials), &[UNUSED]),
        (reg("http://localhost:1", ""), &[UNUSED]),
    ] {
        let all = format!(r#", "schema": {schema}"#);
        let there = format!(r#", "options": {{"schema": {schema}}}"#);
        let of_route = format!(r#", "routes": [{{"exit": "b", "options": {{"schema": {schema}}}}}]"#);
        for more in [all, there, of_route] {
            let port = Port::reserve();
            for definition in [server_definition(&port, &more), client_definition(&port, &more, "null")] {
                let told = told_of(&definition);
                for words in [NOTHING, OPEN, SECRET, UNUSED] {
                    let times = usize::from(expected.contains(&words));
                    assert_eq!(told.matches(words).count(), times, "{} {more}\n{told}", definition.kind);
                }
                assert_eq!(
                    told.lines().count(),
                    expected.iter().filter(|words| **words != SECRET).count(),
                    "{} {more}\n{told}",
                    definition.kind
                );
            }
        }
    }
}
