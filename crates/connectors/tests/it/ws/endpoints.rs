//! Where servers listen.

use super::peers::{Port, Ws, next_text, of_server, round_trip, text, upgrade};
use crate::harness::{Linked, Subject, definition, json, within};
use async_tungstenite::tokio::client_async;
use std::{os::unix::fs::PermissionsExt, path::Path};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixStream},
};
use tremor_connector::Definition;
use tremor_value::Value;

fn listening(config: &str) -> Definition {
    definition("ws_server", config, r#""json""#, "")
}

/// Two servers cannot have it, so this is how a test gets one: reserved, as a string in a configuration has it.
fn free_port() -> Port {
    Port::reserve()
}

fn socket(dir: &TempDir) -> String {
    dir.path().join("s").to_str().unwrap().to_owned()
}

async fn by_unix(path: &str) -> Ws<UnixStream> {
    let stream = within(UnixStream::connect(path)).await.unwrap();
    within(client_async("ws://localhost/", stream)).await.unwrap().0
}

#[tokio::test]
async fn a_unix_socket_serves_and_tells_who_came() {
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let config = format!(
        r#"{{"endpoint": {{"type": "unix", "path": "{path}", "mode": "0600"}}, "max_connections_per_ip": 1,
        "allow_from": "192.0.2.1"}}"#
    );
    let mut subject = Subject::started(&listening(&config)).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (mut ws, mut other) = (by_unix(&path).await, by_unix(&path).await);
    ws.send(text(1)).await.unwrap();
    let event = subject.next_event().await;
    let peer = of_server(&event).get("peer").unwrap().clone();
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&path).unwrap());
    assert_eq!(peer.get("uid").and_then(Value::as_u64), Some(own.into()));
    assert_eq!(peer.get("pid").and_then(Value::as_u64), Some(std::process::id().into()));
    assert!(peer.get("gid").and_then(Value::as_u64).is_some() && peer.get("unix").unwrap().is_null());
    assert!(peer.get("host").is_none());
    assert_eq!(event.origin.as_ref().unwrap().path, [format!("unix:{path}")]);
    other.send(text(2)).await.unwrap();
    let of_other = subject.next_event().await;
    subject.deliver(0, event).await;
    subject.deliver(0, of_other).await;
    assert_eq!((next_text(&mut ws).await, next_text(&mut other).await), ("1".into(), "2".into()));
    within(subject.handle.stop()).await;
    assert!(!Path::new(&path).exists());
}

#[tokio::test]
async fn a_socket_that_is_in_use_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    let _live = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let config = format!(r#"{{"endpoint": {{"type": "unix", "path": "{path}"}}}}"#);
    let subject = Subject::new(&listening(&config), Linked::Fully).unwrap();
    let failure = within(subject.handle.start()).await.unwrap_err();
    assert!(failure.contains("somebody else listens there"), "{failure}");
    assert!(Path::new(&path).exists());
}

#[tokio::test]
async fn one_server_listens_in_several_places() {
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    let (one, two) = (free_port(), free_port());
    let config = format!(
        r#"{{"listen": ["{}", {{"type": "tcp", "port": {}, "interface": "127.0.0.1"}}, {{"type": "unix", "path": "{path}"}}]}}"#,
        one.address(),
        two.number
    );
    let subject = Subject::started(&listening(&config)).await;
    super::peers::echo(subject, |_| {});
    round_trip(&mut one.client().await, 1).await;
    round_trip(&mut two.client().await, 2).await;
    let mut ws = by_unix(&path).await;
    ws.send(text(3)).await.unwrap();
    assert_eq!(next_text(&mut ws).await, "3");
}

#[tokio::test]
async fn the_first_free_port_of_a_range_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = format!(
        r#"{{"endpoint": {{"type": "tcp", "interface": "127.0.0.1", "portrange": [{port}, {port}]}}}}"#
    );
    let subject = Subject::new(&listening(&config), Linked::Fully).unwrap();
    let failure = within(subject.handle.start()).await.unwrap_err();
    assert!(failure.contains(&format!("127.0.0.1:{port}: address already in use")), "{failure}");
}

#[tokio::test]
async fn origins_name_the_port_that_was_given() {
    let port = free_port();
    let config = format!(
        r#"{{"endpoint": {{"type": "tcp", "interface": "localhost", "portrange": [{0}, {0}], "user_timeout": 5000,
            "backlog": 5, "shared": false, "version": 4}}}}"#,
        port.number
    );
    let mut subject = Subject::started(&listening(&config)).await;
    let mut ws = port.client().await;
    ws.send(text(1)).await.unwrap();
    assert_eq!(subject.next_event().await.origin.unwrap().path, [port.number.to_string()]);
}

#[tokio::test]
async fn a_proxy_on_this_machine_is_believed_where_any_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    let config = format!(
        r#"{{"endpoint": {{"type": "unix", "path": "{path}"}}, "trusted_proxies": ["192.0.2.1"], "max_connections_per_ip": 1}}"#
    );
    let mut subject = Subject::started(&listening(&config)).await;
    let mut peers = Vec::new();
    for (client, status) in [("203.0.113.7", "101"), ("203.0.113.7", "503"), ("203.0.113.8", "101")] {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let header = format!("X-Forwarded-For: {client}\r\n");
        stream.write_all(upgrade("here", &header).as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        within(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(std::str::from_utf8(&answer).unwrap(), format!("HTTP/1.1 {status}"), "{client}");
        peers.push(stream);
    }
    peers[0].write_all(&[0x81, 0x81, 0, 0, 0, 0, b'1']).await.unwrap();
    let peer = of_server(&subject.next_event().await).get("peer").unwrap().clone();
    assert_eq!(peer, json(r#"{"host": "203.0.113.7"}"#));
}

/// Each of these configurations is refused, with these words.
fn expect_refused(cases: &[(&str, &str)]) {
    for (config, expected) in cases {
        let refused = match Subject::new(&listening(config), Linked::Fully) {
            Ok(_) => panic!("taken: {config}"),
            Err(error) => error.to_string(),
        };
        assert!(refused.contains(expected), "{config}: {refused}");
    }
}

#[test]
fn lists_of_places_that_cannot_be_are_refused_with_their_place() {
    expect_refused(&[
        (
            r#"{"url": "127.0.0.1:1", "endpoint": {"type": "tcp", "port": 1}}"#,
            "config.endpoint: is another way to say `url`",
        ),
        (
            r#"{"endpoint": {"type": "tcp", "port": 1}, "listen": []}"#,
            "config.listen: is another way to say `endpoint`",
        ),
        (r#"{"listen": []}"#, "config.listen: an empty list"),
        (r#"{"listen": [7]}"#, "config.listen[0]: expected a string or a record"),
        (r#"{"listen": ["127.0.0.1:1", {"type": "tcp", "port": 1, "prot": 2}]}"#, "config.listen[1].prot: "),
        (r#"{"listen": ["a:b@127.0.0.1:1"]}"#, "config.listen[0]: name and password"),
        (r#"{"listen": ["wss://127.0.0.1:1"]}"#, "config.tls: missing"),
    ]);
}

#[test]
fn endpoints_that_cannot_be_are_refused_with_their_place() {
    expect_refused(&[
        (r#"{"endpoint": {"port": 1}}"#, "config.endpoint.type: missing"),
        (r#"{"endpoint": {"type": "onion", "port": 1}}"#, "config.endpoint.type: is a matter of Tor"),
        (r#"{"endpoint": {"type": "tcp"}}"#, "config.endpoint.port: missing"),
        (r#"{"endpoint": {"type": "tcp", "port": 65536}}"#, "config.endpoint.port: "),
        (
            r#"{"endpoint": {"type": "tcp", "port": 1, "portrange": [1, 2]}}"#,
            "config.endpoint.portrange: is another way",
        ),
        (r#"{"endpoint": {"type": "tcp", "portrange": [2, 1]}}"#, "config.endpoint.portrange: is the first"),
        (r#"{"endpoint": {"type": "tcp", "portrange": [0, 1]}}"#, "config.endpoint.portrange: is the first"),
        (r#"{"endpoint": {"type": "tcp", "port": 1, "version": 5}}"#, "config.endpoint.version: is 4 or 6"),
        (
            r#"{"endpoint": {"type": "tcp", "port": 1, "interface": "::1"}}"#,
            "config.endpoint.interface: `::1` is of the other version",
        ),
        (
            r#"{"endpoint": {"type": "tcp", "port": 1, "interface": "a:1"}}"#,
            "config.endpoint.interface: is no address of this machine: write one, such as `127.0.0.1`",
        ),
        (
            r#"{"endpoint": {"type": "tcp", "port": 1, "backlog": 0}}"#,
            "config.endpoint.backlog: must be between",
        ),
        (
            r#"{"endpoint": {"type": "tcp", "port": 1, "tls": {"cert": "/none"}}}"#,
            "config.endpoint.tls.key: missing",
        ),
    ]);
}

#[test]
fn unix_sockets_that_cannot_be_are_refused_with_their_place() {
    let long = "x".repeat(200);
    expect_refused(&[
        (r#"{"endpoint": {"type": "unix"}}"#, "config.endpoint.path: missing"),
        (r#"{"endpoint": {"type": "unix", "path": ""}}"#, "config.endpoint.path: expected path"),
        (
            &format!(r#"{{"endpoint": {{"type": "unix", "path": "/{long}"}}}}"#),
            "config.endpoint.path: cannot be",
        ),
        (
            r#"{"endpoint": {"type": "unix", "path": "/x", "mode": "888"}}"#,
            "config.endpoint.mode: `888` are no permissions",
        ),
        (
            r#"{"endpoint": {"type": "unix", "path": "/x", "mode": "07777"}}"#,
            "config.endpoint.mode: `07777` are no",
        ),
        (
            r#"{"endpoint": {"type": "unix", "path": "x", "abstract": true, "mode": "660"}}"#,
            "config.endpoint.mode: has no meaning",
        ),
        (r#"{"endpoint": {"type": "unix", "path": "x", "port": 1}}"#, "config.endpoint.port: "),
    ]);
}
