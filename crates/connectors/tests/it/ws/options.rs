//! Settings: what they do, and that each one is documented.

use super::peers::{Port, client_definition, head, server, server_definition, upgrade};
use crate::harness::{Linked, Subject, definition, environment, json};
use std::collections::BTreeSet;
use tokio::io::AsyncWriteExt;
use tremor_connector::{
    CodecUse, Definition, Dials, Instance,
    config::{Problem, Reader},
};

/// The head of the answer to a good request with `more` header lines.
async fn answer(port: &Port, host: &str, more: &str) -> String {
    let mut tcp = port.tcp().await;
    tcp.write_all(upgrade(host, more).as_bytes()).await.unwrap();
    head(&mut tcp).await
}

#[tokio::test]
async fn subprotocols_are_agreed_on() {
    let offer = "Sec-WebSocket-Protocol: a, b\r\n";
    for (more, chosen) in [
        ("", None),
        (r#", "subprotocols": ["b", "a"]"#, Some("a")),
        (r#", "subprotocols": ["b", "a"], "subprotocol_preference": "server""#, Some("b")),
        (r#", "subprotocols": "c""#, None),
    ] {
        let (_subject, port) = server(more).await;
        let answer = answer(&port, "here", offer).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let line = answer.lines().find(|line| line.starts_with("Sec-WebSocket-Protocol: "));
        assert_eq!(line.map(str::to_owned), chosen.map(|name| format!("Sec-WebSocket-Protocol: {name}")));
    }
}

#[tokio::test]
async fn a_required_subprotocol_is_named_in_the_refusal() {
    let more = r#", "options": {"subprotocols": ["v1", "v2"], "require_websocket_subprotocol": true}"#;
    let (_subject, port) = server(more).await;
    let refused = port.ask(&upgrade("here", "Sec-WebSocket-Protocol: v3\r\n")).await;
    assert!(refused.starts_with("HTTP/1.1 400 ") && refused.contains("v1, v2"), "{refused}");
    assert!(answer(&port, "here", "Sec-WebSocket-Protocol: v2\r\n").await.starts_with("HTTP/1.1 101 "));
}

#[tokio::test]
async fn answers_carry_the_headers_that_are_configured() {
    let more = r#", "response_headers": {"X-One": "1", "X-Two": ["2", "3"]}, "show_server_version": true"#;
    let (_subject, port) = server(more).await;
    let granted = answer(&port, "here", "").await;
    for line in ["X-One: 1", "X-Two: 2", "X-Two: 3", "Server: tremor/"] {
        assert!(granted.contains(line), "{granted}");
    }
    assert!(port.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.contains("Server: tremor/"));
}

#[tokio::test]
async fn one_name_of_the_server_goes_out() {
    let own = r#", "response_headers": {"server": "mine"}"#;
    for (more, refused_has_it) in
        [(own.to_owned(), false), (format!(r#"{own}, "show_server_version": true"#), true)]
    {
        let (_subject, port) = server(&more).await;
        let granted = answer(&port, "here", "").await.to_lowercase();
        assert_eq!(
            (granted.matches("server:").count(), granted.contains("server: mine")),
            (1, true),
            "{granted}"
        );
        let refused = port.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.to_lowercase();
        assert_eq!(refused.contains("server: mine"), refused_has_it, "{refused}");
        assert!(!refused.contains("tremor/"), "{refused}");
    }
}

#[tokio::test]
async fn bodies_of_refusals_can_be_switched_off() {
    let (_subject, port) = server(r#", "error_bodies": false"#).await;
    let refused = port.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(refused.contains("Content-Length: 0\r\n") && refused.ends_with("\r\n\r\n"), "{refused}");
    assert!(!refused.contains("Server:"), "{refused}");
}

#[tokio::test]
async fn only_allowed_hosts_are_served() {
    let (_subject, port) = server(r#", "allowed_hosts": ["edge.example", "other.example:99"]"#).await;
    assert!(answer(&port, "EDGE.example:1234", "").await.starts_with("HTTP/1.1 101 "));
    assert!(answer(&port, "other.example:99", "").await.starts_with("HTTP/1.1 101 "));
    for host in ["other.example", "here"] {
        assert!(answer(&port, host, "").await.starts_with("HTTP/1.1 421 "), "{host}");
    }
}

#[tokio::test]
async fn climbing_paths_and_origins_that_are_none_are_refused() {
    let (_subject, port) = server("").await;
    for (path, origin, status) in [
        ("/a/../b", "http://here", "400"),
        ("/a/%2E%2e", "http://here", "400"),
        ("/a..b/./...", "http://here", "101"),
        ("/", "not an origin", "403"),
        ("/", "http://", "403"),
        ("/", "http://here/path", "403"),
        ("/", "null", "101"),
        ("/", "file://", "101"),
        ("/", "https://here:8443", "101"),
    ] {
        let request = upgrade("here", &format!("Origin: {origin}\r\n"));
        let mut tcp = port.tcp().await;
        tcp.write_all(request.replacen("GET /", &format!("GET {path}"), 1).as_bytes()).await.unwrap();
        let answer = head(&mut tcp).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {origin}: {answer}");
    }
}

/// A server, or a client, with `more` members of its configuration.
fn of_server(more: &str) -> Definition {
    server_definition(&Port::reserve(), more)
}

fn of_client(more: &str) -> Definition {
    client_definition(&Port::reserve(), more, "\"none\"")
}

/// Each of these configurations is refused, with these words.
fn expect_refused(cases: &[(Definition, &str)]) {
    for (definition, expected) in cases {
        let refused = Subject::new(definition, Linked::Fully).err().map(|error| error.message);
        let refused = refused.unwrap_or_else(|| panic!("not refused: {expected}"));
        assert!(refused.contains(expected), "{refused}\ninstead of\n{expected}");
    }
}

#[tokio::test]
async fn queues_that_cannot_be_are_refused_with_their_place() {
    expect_refused(&[
        (
            of_server(r#", "send_queue": {"policy": "drop"}"#),
            "config.send_queue.policy: expected one of `block`, `drop_newest`, `drop_oldest`, `close`, `conflate`",
        ),
        (
            of_server(r#", "send_queue": {"policy": "close", "block_timeout": 1}"#),
            "config.send_queue.block_timeout: belongs to",
        ),
        (
            of_server(
                r#", "routes": [{"exit": "a", "options": {"send_queue": {"policy": "close", "block_timeout": 1}}}]"#,
            ),
            "config.routes[0].options.send_queue.block_timeout: belongs to",
        ),
        (
            of_server(
                r#", "send_queue": {"policy": "conflate"},
                "routes": [{"exit": "a", "options": {"send_queue": {"key": "b"}}}]"#,
            ),
            "config.routes[0].options.send_queue: goes by the key `b` and another one by `key`",
        ),
        (
            of_server(
                r#", "send_queue": {"policy": "drop_newest"}, "routes": [{"exit": "a", "options": {"send_queue": {"key": "b"}}}]"#,
            ),
            "config.routes[0].options.send_queue.key: belongs to",
        ),
        (
            of_server(r#", "send_queue": {"messages": 0}"#),
            "config.send_queue.messages: must be 1 or more, but is 0",
        ),
        (
            of_server(r#", "send_queue": {"message": 1}"#),
            "config.send_queue.message: unknown key; did you mean `messages`?",
        ),
        (
            of_client(r#", "send_queue": {"policy": "drop_newest", "key": "name"}"#),
            "config.send_queue.key: belongs to the policy `conflate`",
        ),
    ]);
}

#[tokio::test]
async fn cookies_that_cannot_be_are_refused_with_their_place() {
    expect_refused(&[
        (of_server(r#", "cookie": {"name": "Wsid"}"#), "config.cookie.name: is at least"),
        (of_server(r#", "cookie": {"length": 5}"#), "config.cookie.length: must be between 6 and 64"),
        (of_server(r#", "cookie": {"max_age": 0}"#), "config.cookie.max_age: must be between 1 and"),
        (
            of_server(r#", "cookie": {"same_site": "None", "secure": false}"#),
            "config.cookie.same_site: `None` demands",
        ),
        (of_server(r#", "cookie": {"same_site": "lax"}"#), "config.cookie.same_site: expected one of"),
        (of_server(r#", "cookie": {"path": "a"}"#), "config.cookie.path: begins with"),
        (of_server(r#", "cookie": {"domain": "a; b"}"#), "config.cookie.domain: cannot stand"),
        (of_server(r#", "cookie": {"stroe": 1}"#), "config.cookie.stroe: "),
        (
            of_server(r#", "cookie": {"store": {"type": "database"}}"#),
            "config.cookie.store.type: expected one of",
        ),
        (of_server(r#", "cookie": {"store": {"type": "file"}}"#), "config.cookie.store.filename: missing"),
        (
            of_server(r#", "cookie": {"store": {"filename": "x"}}"#),
            "config.cookie.store.filename: belongs to",
        ),
    ]);
}

#[tokio::test]
async fn paces_that_cannot_be_are_refused_with_their_place() {
    expect_refused(&[
        (of_server(r#", "auto_ping_size": 11"#), "config.auto_ping_size: must be between 12 and 125"),
        (
            of_server(r#", "options": {"auto_ping_size": 126}"#),
            "config.options.auto_ping_size: must be between",
        ),
        (of_server(r#", "on_rate": "wait""#), "config.on_rate: expected one of `pause`, `close`"),
        (
            of_server(r#", "send_queue": {"messages": -1}"#),
            "config.send_queue.messages: must be 1 or more, but is -1",
        ),
        (of_server(r#", "message_rate": -1"#), "config.message_rate: expected integer of 0 or more"),
        (of_server(r#", "heartbeat": {}"#), "config.heartbeat: is a setting of `ws_client`"),
        (
            of_client(r#", "max_connections_per_ip": 1"#),
            "config.max_connections_per_ip: is a setting of `ws_server`",
        ),
        (of_client(r#", "heartbeat": {"interval": 1}"#), "config.heartbeat.message: missing"),
        (
            of_client(r#", "heartbeat": {"interval": 0, "message": "x"}"#),
            "config.heartbeat.interval: expected",
        ),
        (
            of_client(r#", "heartbeat": {"interval": 1, "message": 1}"#),
            "config.heartbeat.message: expected string, record or list",
        ),
        (
            of_client(r#", "heartbeat": {"interval": 1, "message": "x", "timeout": 1}"#),
            "config.heartbeat.timeout: needs `reply_contains`",
        ),
        (
            of_client(r#", "heartbeat": {"interval": 1, "message": "x", "reply_contains": ""}"#),
            "config.heartbeat.reply_contains: is empty",
        ),
    ]);
}

#[tokio::test]
async fn tls_and_compression_that_cannot_be_are_refused_with_their_place() {
    expect_refused(&[
        (of_server(r#", "tls": {"cert": "a"}"#), "config.tls.key: missing"),
        (of_server(r#", "compression": true"#), "config.compression: expected record"),
        (of_server(r#", "compression": {"gzip": {}}"#), "config.compression.gzip: unknown key"),
        (
            of_client(r#", "options": {"compression": {"deflate": {"window_bits": 9}}}"#),
            "config.options.compression.deflate.window_bits: unknown key",
        ),
        (
            of_server(r#", "compression": {"deflate": {"max_window_bits": 7}}"#),
            "config.compression.deflate.max_window_bits: is not 8 to 15",
        ),
        (
            of_server(r#", "compression": {"deflate": {"request_max_window_bits": 16}}"#),
            "config.compression.deflate.request_max_window_bits: must be between 0 and 15",
        ),
        (
            of_client(r#", "compression": {"deflate": {"memory_level": 0}}"#),
            "config.compression.deflate.memory_level: must be between 1 and 9",
        ),
        (
            of_client(r#", "compression": {"deflate": {"level": 10}}"#),
            "config.compression.deflate.level: must be between 0 and 9, but is 10",
        ),
        (
            of_client(r#", "compression": {"deflate": {"level": -1}}"#),
            "config.compression.deflate.level: must be between 0 and 9, but is -1",
        ),
        (
            of_client(r#", "compression": {"deflate": {"level": 300}}"#),
            "config.compression.deflate.level: must be between 0 and 9, but is 300",
        ),
        (
            of_client(r#", "compression": {"required": true}"#),
            "config.compression.required: needs `deflate` beside it",
        ),
        (
            of_client(r#", "options": {"compression": {"deflate": {}, "required": 1}}"#),
            "config.options.compression.required: expected bool",
        ),
        (
            of_server(r#", "compression": {"deflate": {}, "required": true}"#),
            "config.compression.required: is for `ws_client`",
        ),
    ]);
}

#[tokio::test]
async fn settings_that_stand_twice_are_refused_with_their_place() {
    expect_refused(&[
        (
            of_server(r#", "max_frame_size": 1, "options": {"max_frame_size": 1}"#),
            "config.options.max_frame_size: stands in `config` too",
        ),
        (
            of_server(r#", "accept": "text", "options": {"accept": "text"}"#),
            "config.options.accept: stands in `config` too",
        ),
        (
            of_server(r#", "no_delay": true, "options": {"tcp_nodelay": false}"#),
            "config.tcp_nodelay: contradicts",
        ),
    ]);
}

#[tokio::test]
async fn handshakes_that_cannot_be_are_refused_with_their_place() {
    expect_refused(&[
        (of_server(r#", "allowed_hosts": ["a b"]"#), "config.allowed_hosts[0]: `a b` is no `host`"),
        (of_server(r#", "allowed_hosts": []"#), "config.allowed_hosts: an empty list"),
        (
            of_server(r#", "allowed_hosts": ["*.plant.example"]"#),
            "config.allowed_hosts[0]: hosts are named one by one",
        ),
        (of_server(r#", "external_port": 0"#), "config.external_port: expected integer above 0"),
        (of_server(r#", "max_target_size": 0"#), "config.max_target_size: must be between 1 and"),
        (of_server(r#", "max_header_size": 1"#), "config.max_header_size: must be between 128 and"),
        (of_server(r#", "max_headers": 0"#), "config.max_headers: must be between 5 and"),
        (of_server(r#", "subprotocols": ["a", "b c"]"#), "config.subprotocols[1]: `b c` is no subprotocol"),
        (of_server(r#", "subprotocols": ["a", "a"]"#), "config.subprotocols[1]: `a` is there twice"),
        (
            of_server(r#", "expose_headers": ["X A"]"#),
            "config.expose_headers[0]: `X A` is no name of a header",
        ),
        (
            of_server(r#", "routes": [{"exit": "a", "when": {"headers": {"X A": "*"}}}]"#),
            "config.routes[0].when.headers: `X A` is no name of a header",
        ),
        (
            of_server(r#", "routes": [{"exit": "a", "when": {"path": "/a/../b"}}]"#),
            "config.routes[0].when.path: no request has a segment `..`",
        ),
        (
            of_client(r#", "require_websocket_subprotocol": true"#),
            "config.require_websocket_subprotocol: needs",
        ),
        (of_client(r#", "origin": "x""#), "config.origin: is no origin"),
        (of_client(r#", "origin": "https://h/x""#), "config.origin: is no origin"),
        (
            of_client(r#", "headers": {"Origin": "https://a"}, "origin": "https://b""#),
            "config.headers: header `Origin` can be given only once",
        ),
        (
            of_client(r#", "endpoint": {"type": "tcp", "host": "h", "port": 0}"#),
            "config.endpoint.port: expected integer above 0",
        ),
        (of_server(r#", "enable_rfc6455": false"#), "config.enable_rfc6455: "),
        (
            of_server(r#", "require_websocket_subprotocol": true"#),
            "config.require_websocket_subprotocol: needs",
        ),
        (of_server(r#", "response_headers": {"Upgrade": "x"}"#), "config.response_headers.Upgrade: header"),
        (
            of_server(r#", "response_headers": {"Server": ["a", "b"]}"#),
            "config.response_headers.Server: header `Server` can be given only once",
        ),
        (of_server(r#", "response_headers": {"X": 1}"#), "config.response_headers.X: expected string"),
        (of_client(r#", "headers": {"Upgrade": "x"}"#), "config.headers.Upgrade: header"),
    ]);
}

/// They would be ignored, and a user would believe that they protect something.
#[tokio::test]
async fn name_and_password_in_the_url_of_a_server_are_refused_and_not_shown() {
    let definition = definition("ws_server", r#"{"url": "ws://me:secret@localhost:1/"}"#, r#""json""#, "");
    let refused = Subject::new(&definition, Linked::Fully).err().unwrap().message;
    assert!(refused.contains("config.url: name and password"), "{refused}");
    assert!(!refused.contains("secret"), "{refused}");
}

#[tokio::test]
async fn the_interval_of_metrics_is_a_number_of_seconds() {
    let mut definition = server_definition(&Port::reserve(), "");
    for wrong in ["0", "-1", "1.5", "\"1\""] {
        definition.metrics_interval_s = Some(json(wrong));
        let refused = Subject::new(&definition, Linked::Fully).err().unwrap().message;
        assert!(refused.contains("metrics_interval_s: this has to be an integer above 0"), "{refused}");
    }
}

/// A kind documents exactly the keys that it reads.
#[test]
fn every_setting_of_every_kind_is_documented() {
    let (environment, _exits) = environment(Dials::default());
    for spec in tremor_connectors::ALL {
        let enough = match spec.name {
            "ws_server" | "ws_client" => r#""url": "ws://localhost:1""#,
            "file" => r#""path": "/nowhere", "mode": "read""#,
            "bench" => r#""path": "/nowhere""#,
            "wal" => r#""path": "/nowhere", "chunk_size": 4096, "max_chunks": 2"#,
            "metronome" => r#""interval": 1"#,
            _ => "",
        };
        let comma = if enough.is_empty() { "" } else { ", " };
        let config = json(&format!(r#"{{{enough}{comma}"no such key": 1}}"#));
        let refused = (spec.build)(Reader::new(&config, "config").unwrap(), &environment);
        let error = refused.err().unwrap_or_else(|| panic!("{} takes any key", spec.name));
        let Problem::UnknownKey { known, .. } = error.problem else { panic!("{}: {error}", spec.name) };
        let read: BTreeSet<_> = known.iter().map(|key| key.as_str()).collect();
        let documented: BTreeSet<_> = spec.fields.iter().map(|field| field.name).collect();
        assert_eq!(read, documented, "{}", spec.name);
        for field in spec.fields {
            assert!(!field.text.is_empty() && !field.kind.is_empty(), "{}.{}", spec.name, field.name);
        }
    }
}

/// An empty configuration is told everything that it lacks, at once and with its place.
#[tokio::test]
async fn every_required_setting_of_every_kind_is_asked_for_at_once() {
    let (environment, _exits) = environment(Dials::default());
    let registry = tremor_connectors::registry(true);
    for spec in tremor_connectors::ALL {
        let definition = Definition {
            kind: spec.name.to_owned(),
            config: Some(json("{}")),
            codec: (spec.codec != CodecUse::Structured).then(|| json(r#""json""#)),
            ..Definition::default()
        };
        let made = Instance::checked(
            &definition,
            &environment,
            &registry,
            &tremor_codec::Registry::standard(),
            &std::sync::Arc::default(),
        );
        let told: Vec<_> = made.map(|_| ()).err().unwrap_or_default();
        let required = spec.fields.iter().filter(|field| field.default.is_empty());
        let expected: Vec<_> = required.map(|field| format!("config.{}: missing (", field.name)).collect();
        assert_eq!(told.len(), expected.len(), "{}: {told:?}", spec.name);
        for (error, expected) in told.iter().zip(&expected) {
            assert!(error.message.contains(expected), "{}: {error}", spec.name);
            assert_eq!(error.path.len(), 2, "{}: {error}", spec.name);
            assert!(error.hint.is_some(), "{}: {error}", spec.name);
        }
    }
}

/// Times that no clock reaches are no time limits.
#[tokio::test]
async fn huge_times_are_as_good_as_none() {
    let huge = [
        "open_handshake_timeout",
        "close_handshake_timeout",
        "write_timeout",
        "auto_ping_interval",
        "auto_ping_timeout",
        "idle_timeout",
        "max_lifetime",
        "message_timeout",
        "message_rate",
        "byte_rate",
    ]
    .map(|key| format!(r#", "{key}": {}"#, u64::MAX))
    .concat();
    let queue = format!(r#", "send_queue": {{"block_timeout": {}}}"#, u64::MAX);
    let (subject, port) = server(&(huge.clone() + &queue)).await;
    super::peers::echo(subject, |_| {});
    let drop = format!(r#", "server_connection_drop_timeout": {}, "stable_after": {}"#, u64::MAX, u64::MAX);
    let reconnect = format!(r#"{{"retry": {{"interval_ms": {}}}}}"#, u64::MAX);
    let mut client = super::peers::client(&port, &(huge + &drop), &reconnect);
    crate::harness::within(client.handle.start()).await.unwrap();
    client.open();
    client.give("1").await;
    assert_eq!(client.next_value().await, "1");
}
