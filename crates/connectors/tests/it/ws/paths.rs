//! Errors name the whole path of what is wrong: wherever something stands, be it in `options`, in a route or deeper.

use super::tls::files;
use crate::harness::{environment, json};
use tremor_connector::{Dials, Spec, config::Reader};
use tremor_value::Value;

/// Configurations of a server that have every record and list there is; `CERT` and `KEY` are files.
const SERVER: &[&str] = &[
    r#"{"endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 1, "version": 4, "backlog": 5, "shared": true, "user_timeout": 10,
        "tls": {"cert": "CERT", "key": "KEY"}}}"#,
    r#"{"endpoint": {"type": "tcp", "portrange": [1, 2]}}"#,
    r#"{"endpoint": {"type": "unix", "path": "/x", "backlog": 5, "mode": "0600"}}"#,
    r#"{"listen": ["127.0.0.1:1", {"type": "tcp", "port": 2, "tls": {"cert": "CERT", "key": "KEY"}}]}"#,
    r#"{"url": "wss://127.0.0.1:1", "tls": {"certs": [{"names": ["a.example"], "cert": "CERT", "key": "KEY"}], "client_ca": ["CERT"],
        "mutual": "requested", "sni": ["a.example"], "strict_sni": true, "min_version": "1.2", "max_version": "1.3", "alpn": ["http/1.1"],
        "reload": "control"}}"#,
    r#"{"url": "127.0.0.1:1", "socket_options": {"TCP_NODELAY": true}, "no_match": {"status": 410, "body": "x"},
        "allowed_hosts": ["a.example"], "allowed_origins": ["https://a.example"], "allow_null_origin": true, "trusted_proxies": ["10.0.0.0/8"],
        "allow_from": ["10.0.0.0/8"], "deny_from": ["10.1.0.0/16"], "expose_headers": ["x-a"], "response_headers": {"X-A": ["b"]},
        "cookie": {"name": "sid", "length": 24, "max_age": 60, "secure": false, "http_strict": true, "same_site": "Lax", "path": "/",
            "domain": "a.example", "bind_identity": false, "store": {"type": "file", "filename": "x", "purge_on_startup": true}},
        "authorize": {"port": "door", "timeout": 500},
        "routes": [{"exit": "other", "when": [{"protocol": "p", "scheme": "http", "authority": "a.example", "path": "/{x}", "query": {"a": "b"},
            "headers": {"x-a": "b"}}], "conceal": false, "options": {"max_message_size": 5000000}}]}"#,
    r#"{"url": "127.0.0.1:1", "credentials": {"headers": {"authorization": "Bearer {credentials}"}, "query": {"t": "{credentials}"},
            "cookies": {"c": "{credentials}"}, "protocols": "bearer.{credentials}"},
        "trusted_proxies": ["10.0.0.0/8"], "on_expiry": "close", "expiry_close": {"code": 4000, "reason": "x"}, "renew": {"message": "auth.token"},
        "guards": {
            "j": {"type": "jwt", "credentials": {"headers": {"x-t": "{credentials}"}}, "options": {"issuer": "https://a.example", "audience": ["a"],
                "keys": "KEYS", "roles": "scope", "identity": "sub", "attributes": {"a": "b"}, "algorithms": ["HS256"], "leeway": 1,
                "challenge": 5, "require_exp": true, "max_token_size": 5000, "refresh": 60, "realm": "x"}},
            "b": {"type": "basic", "credentials": {"headers": {"authorization": "Basic {username}:{password}"}},
                "options": {"users": {"ann": {"password": "x", "roles": ["r"]}}, "realm": "x"}},
            "k": {"type": "bearer", "options": {"tokens": {"a-secret": {"identity": "ann", "roles": ["r"]}}, "realm": "x"}},
            "i": {"type": "identity", "options": {"header": "x-user", "roles_header": "x-roles"}},
            "f": {"type": "flow", "options": {"port": "ask", "timeout": 500}}
        },
        "routes": [{"exit": "other", "guarded": {"j": ["r"], "f": []}}, {"exit": "other", "when": [{"path": "/b"}], "guarded": {"b": ["r"], "k": [], "i": []}}]}"#,
];

/// The same of a client.
const CLIENT: &[&str] = &[
    r#"{"url": "ws://a.example", "endpoint": {"type": "tcp", "host": "b.example", "port": 1, "version": 4, "timeout": 5}}"#,
    r#"{"url": "ws://a.example", "endpoint": {"type": "unix", "path": "/x", "timeout": 5}}"#,
    r#"{"url": "wss://a.example", "proxy": {"url": "https://b.example", "tls": {"cafile": "CERT"}}, "no_proxy": ["c.example"],
        "tls": {"cafile": "CERT", "domain": "a.example", "cert": "CERT", "key": "KEY"}, "auth": {"basic": {"username": "a", "password": "b", "on_challenge": true}},
        "query": {"a": ["b"]}, "headers": {"X-A": ["b"]}, "give_up_on": [403], "open_message": ["x", {"binary": "AQI="}], "expose_headers": ["x-a"], "socket_options": {"TCP_NODELAY": true}}"#,
    r#"{"url": "wss://a.example", "auth": {"bearer": {"token": "t"}}}"#,
    r#"{"url": "wss://a.example", "compression": {"deflate": {}, "required": true}}"#,
    r#"{"url": "wss://a.example", "auth": {"header": {"name": "X-Key", "value": "t"}}}"#,
    r#"{"url": "wss://a.example", "auth": {"query": {"name": "t", "value": "t"}}}"#,
    r#"{"url": "wss://a.example", "subprotocols": ["a"], "auth": {"protocol": {"prefix": "bearer.", "token": "t"}}}"#,
    r#"{"defaults": {"protocol": "p", "scheme": "ws", "authority": "a.example", "path": "/x"},
        "routes": [{"exit": "other", "when": [{"protocol": "p", "scheme": "ws", "authority": "a.example", "path": "/{x}", "query": {"a": "b"}}]}]}"#,
];

/// Settings that may stand in `config`, in `options`, and some of them in the `options` of a route of a server, too.
const BOTH: &str = r#""max_frame_size": 1000000, "max_message_size": 1000000, "max_fragments": 5, "validate_utf8": true, "apply_mask": true,
    "fail_by_drop": false, "echo_close_codereason": false, "auto_fragment_size": 5000, "accept": "text", "write_timeout": 5000,
    "close_handshake_timeout": 5000, "auto_ping_interval": 5000, "auto_ping_timeout": 5000, "auto_ping_size": 20,
    "auto_ping_restart_on_any_traffic": true, "idle_timeout": 60000, "max_lifetime": 60000, "message_rate": 5, "byte_rate": 5, "on_rate": "pause",
    "compression": {"deflate": {"request_no_context_takeover": true, "request_max_window_bits": 15, "no_context_takeover": true,
        "max_window_bits": 15, "memory_level": 8, "level": 6, "min_size": 10, "max_inflated_size": 1000000}},
    "subprotocols": ["a"], "send_queue": {"messages": 5, "bytes": 5000, "policy": "block", "block_timeout": 500}"#;

/// The settings of schemas; `id` as registries have it.
const SCHEMA: &str = r#"{
    "catalogs": {"here": {"type": "inline", "subjects": {"a": {"schema": "true", "version": "1"}}},
        "files": {"type": "filesystem", "subjects": {"a": {"path": "PLAIN"}}},
        "reg": {"type": "schema-registry", "url": "https://a.example", "max_age": 5000, "context": "c", "tls": {"cafile": "CERT"},
            "credentials": {"headers": {"authorization": "Bearer x"}}}},
    "in": {"model": "json", "catalog": "here", "subject": "a", "version": "1", "on_invalid": "close", "close_code": 4000},
    "out": {"model": "string", "minLength": 1, "maxLength": 5, "pattern": "a", "on_invalid": "fail"}}"#;

/// Where any names may stand.
const OPEN: &[&str] = &[
    "guards",
    "guarded",
    "headers",
    "response_headers",
    "query",
    "cookies",
    "users",
    "tokens",
    "attributes",
    "catalogs",
    "subjects",
];

/// A value inside a configuration, and where it is.
#[derive(Clone)]
enum Step {
    Member(String),
    Item(usize),
}

fn written(path: &[Step]) -> String {
    path.iter()
        .fold("config".to_owned(), |written, step| match step {
            Step::Member(name)
                if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) =>
            {
                format!("{written}.{name}")
            }
            Step::Member(name) => format!("{written}.`{name}`"),
            Step::Item(number) => format!("{written}[{number}]"),
        })
        // Tokens are shown to nobody.
        .replace(".tokens.a-secret", ".tokens[0]")
}

/// All paths in `value`.
fn paths(value: &Value, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    if !path.is_empty() {
        found.push(path.clone());
    }
    let members = value.as_record().into_iter().flat_map(|record| record.iter());
    let members = members.map(|(name, value)| (Step::Member(name.to_string()), value));
    let items = value.as_array().into_iter().flatten().enumerate().map(|(at, value)| (Step::Item(at), value));
    for (step, value) in members.chain(items) {
        path.push(step);
        paths(value, path, found);
        path.pop();
    }
}

/// What is at `path`.
fn at<'v>(value: &'v mut Value, path: &[Step]) -> &'v mut Value {
    path.iter().fold(value, |value, step| match step {
        Step::Member(name) => value.as_record_mut().unwrap().get_or_insert_null(name.as_str()),
        Step::Item(number) => value.as_array_mut().unwrap().get_mut(*number).unwrap(),
    })
}

fn refusal(spec: &Spec, config: &Value) -> Option<String> {
    let (environment, _exits) = environment(Dials::default());
    (spec.build)(Reader::new(config, "config").unwrap(), &environment).err().map(|error| error.to_string())
}

/// Spoils everything in `config`, one thing at a time; gives what was not told of as it should be.
fn spoil(spec: &Spec, config: &str, wrong: &mut Vec<String>) -> usize {
    let config = json(config);
    if let Some(told) = refusal(spec, &config) {
        wrong.push(format!("{}: not accepted: {told}\n{config}", spec.name));
    }
    let mut all = Vec::new();
    paths(&config, &mut Vec::new(), &mut all);
    // Of what a schema is written like, it is said where it is used what is wrong with it.
    let is_schema = |path: &&Vec<Step>| {
        matches!(path.last(), Some(Step::Member(name)) if name == "schema")
            && written(path).contains("subjects")
    };
    for path in all.iter().filter(|path| !is_schema(path)) {
        // No setting is like that, wherever it is.
        let mut spoilt = config.clone();
        *at(&mut spoilt, path) = json("[[[]]]");
        let expected = written(path);
        expect(spec, &spoilt, &expected, wrong);
        // A name that nobody knows.
        let mut spoilt = config.clone();
        let Some(record) = at(&mut spoilt, path).as_record_mut() else { continue };
        let is_open = matches!(path.last(), Some(Step::Member(name)) if OPEN.contains(&name.as_str()));
        if !is_open {
            record.insert("zzz", 1);
            expect(spec, &spoilt, &format!("{expected}.zzz"), wrong);
        }
    }
    all.len()
}

fn expect(spec: &Spec, spoilt: &Value, path: &str, wrong: &mut Vec<String>) {
    let told = refusal(spec, spoilt).unwrap_or_else(|| "nothing".to_owned());
    let is_there = told.strip_prefix(path).is_some_and(|rest| rest.starts_with([':', '[']));
    if !is_there {
        wrong.push(format!("{}: not at {path}: {told}", spec.name));
    }
}

#[test]
fn whatever_is_wrong_is_named_with_its_whole_path() {
    let files = files();
    let folder = tempfile::tempdir().unwrap();
    let (plain, keys) = (folder.path().join("plain.json"), folder.path().join("keys.json"));
    std::fs::write(&plain, "true").unwrap();
    std::fs::write(
        &keys,
        r#"{"keys": [{"kty": "oct", "kid": "a", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}"#,
    )
    .unwrap();
    let fill = |config: &str| {
        let places =
            [("\"CERT\"", &files.cert), ("\"KEY\"", &files.key), ("\"PLAIN\"", &plain), ("\"KEYS\"", &keys)];
        places.into_iter().fold(config.to_owned(), |config, (name, path)| {
            config.replace(name, &Value::from(path.to_str().unwrap()).to_string())
        })
    };
    let kinds = ["ws_server", "ws_client"]
        .map(|kind| tremor_connectors::ALL.iter().find(|spec| spec.name == kind).unwrap());
    let [server, client] = kinds;
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (spec, configs) in [(server, SERVER), (client, CLIENT)] {
        for config in configs {
            count += spoil(spec, &fill(config), &mut wrong);
        }
        for more in [BOTH.to_owned(), format!(r#""schema": {SCHEMA}"#)] {
            count += spoil(spec, &fill(&format!(r#"{{"url": "ws://127.0.0.1:1", {more}}}"#)), &mut wrong);
            count += spoil(
                spec,
                &fill(&format!(r#"{{"url": "ws://127.0.0.1:1", "options": {{{more}}}}}"#)),
                &mut wrong,
            );
        }
    }
    let of_route = |options: &str| {
        fill(&format!(
            r#"{{"url": "ws://127.0.0.1:1", "routes": [{{"exit": "first"}}, {{"exit": "other", "when": [{{"path": "/b"}}], "options": {{{options}}}}}]}}"#
        ))
    };
    count += spoil(server, &of_route(BOTH), &mut wrong);
    for spec in kinds {
        count += spoil(spec, &of_route(&format!(r#""schema": {SCHEMA}"#)), &mut wrong);
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
