//! The opening handshake of a client, answer by answer.

use super::peers::{Port, client, client_definition, head};
use crate::harness::{Linked, Subject, definition, within};
use base64::Engine;
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tremor_connector::State;

const SOON: &str = r#"{"retry": {"interval_ms": 1, "growth_rate": 1, "randomized": false}}"#;
const ONCE: &str = r#""none""#;

/// Takes a request and answers it; gives its head.
pub(super) async fn answer(listener: &TcpListener, answer: &str) -> String {
    let mut tcp = within(listener.accept()).await.unwrap().0;
    let request = head(&mut tcp).await;
    tcp.write_all(answer.as_bytes()).await.unwrap();
    tcp.shutdown().await.unwrap();
    request
}

/// Takes a request as it should be taken, with `more` header lines.
pub(super) async fn welcome(listener: &TcpListener, more: &str) -> (TcpStream, String) {
    let mut tcp = within(listener.accept()).await.unwrap().0;
    let request = welcome_on(&mut tcp, more).await;
    (tcp, request)
}

/// The same on a connection that is there already.
pub(super) async fn welcome_on(tcp: &mut TcpStream, more: &str) -> String {
    let request = head(tcp).await;
    let key = line(&request, "sec-websocket-key").unwrap();
    let answer = format!(
        "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n{more}\r\n",
        tremor_ws::accept_key(key)
    );
    tcp.write_all(answer.as_bytes()).await.unwrap();
    request
}

/// The value of a header.
pub(super) fn line<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let lines = request.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn target(request: &str) -> &str {
    request.split(' ').nth(1).unwrap()
}

pub(super) fn start(subject: &Subject) -> JoinHandle<Result<(), String>> {
    let handle = subject.handle.clone();
    tokio::spawn(async move { handle.start().await })
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 307 There\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

#[tokio::test]
async fn redirects_are_followed_and_credentials_stay_where_they_belong() {
    let (home, away) = (Port::reserve(), Port::reserve());
    let (here, there) = (home.listen(), away.listen());
    let more = r#", "max_redirects": 3, "query": {"a b": ["1", 2]}, "origin": "https://page.example",
        "headers": {"X-Api-Key": "k", "User-Agent": "me"}, "auth": {"bearer": {"token": "t0ken"}}"#;
    let subject = client(&home, more, ONCE);
    let started = start(&subject);
    let first = answer(&here, &redirect("next?b#top")).await;
    assert_eq!(target(&first), "/?a+b=1&a+b=2");
    assert_eq!(line(&first, "authorization"), Some("Bearer t0ken"));
    let second = answer(&here, &redirect(&format!("http://{}/far", away.address()))).await;
    assert_eq!(target(&second), "/next?b");
    assert_eq!(line(&second, "authorization"), Some("Bearer t0ken"));
    let third = answer(&there, &redirect(&format!("ws://{}/back", home.address()))).await;
    assert_eq!((target(&third), line(&third, "host")), ("/far", Some(away.address().as_str())));
    assert_eq!((line(&third, "authorization"), line(&third, "x-api-key")), (None, None));
    assert_eq!(line(&third, "user-agent"), Some("me"));
    assert_eq!(line(&third, "origin"), Some("https://page.example"));
    let (_tcp, last) = welcome(&here, "").await;
    assert_eq!((target(&last), line(&last, "authorization")), ("/back", Some("Bearer t0ken")));
    within(started).await.unwrap().unwrap();
}

#[tokio::test]
async fn answers_that_end_an_attempt_say_why() {
    for (more, given, expected) in [
        ("", redirect("/x"), &["307", "`max_redirects` is 0"][..]),
        (r#", "max_redirects": 2"#, redirect("ftp://x/"), &["redirects (307)", "no address of a WebSocket"]),
        (r#", "max_redirects": 2"#, redirect(""), &["without saying where"]),
        (
            "",
            "HTTP/1.1 418 No\r\nContent-Length: 300\r\n\r\na\u{202e}b\x1b[31m".to_owned() + &"c".repeat(300),
            &["418", "a b [31mccc"],
        ),
        ("", "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n".to_owned(), &["401"]),
        ("", "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n".to_owned(), &["Connection header"]),
    ] {
        let port = Port::reserve();
        let listener = port.listen();
        let subject = client(&port, more, ONCE);
        let started = start(&subject);
        answer(&listener, &given).await;
        let failure = within(started).await.unwrap().unwrap_err();
        let named = [port.address()];
        for part in expected.iter().copied().chain(named.iter().map(String::as_str)) {
            assert!(failure.contains(part), "{given}: {failure}");
        }
        assert!(failure.len() < 500 && !failure.contains('\u{1b}'), "{failure}");
    }
}

#[tokio::test]
async fn each_kind_of_redirect_is_followed_by_a_handshake_like_the_first() {
    for status in [301, 302, 303, 307, 308] {
        let port = Port::reserve();
        let listener = port.listen();
        let subject = client(&port, r#", "max_redirects": 1"#, ONCE);
        let started = start(&subject);
        answer(&listener, &redirect("/next").replacen("307", &status.to_string(), 1)).await;
        let (_tcp, request) = welcome(&listener, "").await;
        assert!(request.starts_with("GET /next HTTP/1.1\r\n"), "{status}: {request}");
        assert_eq!(line(&request, "upgrade"), Some("websocket"), "{status}");
        within(started).await.unwrap().unwrap();
    }
    for status in [300, 304, 305] {
        let port = Port::reserve();
        let listener = port.listen();
        let subject = client(&port, r#", "max_redirects": 1"#, ONCE);
        let started = start(&subject);
        answer(&listener, &redirect("/next").replacen("307", &status.to_string(), 1)).await;
        let failure = within(started).await.unwrap().unwrap_err();
        assert!(failure.contains(&status.to_string()), "{failure}");
    }
}

#[tokio::test]
async fn redirects_without_end_are_left() {
    let port = Port::reserve();
    let listener = port.listen();
    let subject = client(&port, r#", "max_redirects": 2"#, ONCE);
    let started = start(&subject);
    for _ in 0..3 {
        answer(&listener, &redirect("/again")).await;
    }
    let failure = within(started).await.unwrap().unwrap_err();
    assert!(failure.contains("`max_redirects` is 2"), "{failure}");
}

#[tokio::test]
async fn name_and_password_that_were_held_back_are_said_once() {
    let port = Port::reserve();
    let listener = port.listen();
    let more = r#", "auth": {"basic": {"username": "me", "password": "pw", "on_challenge": true}}"#;
    let asks = "HTTP/1.1 401 Who\r\nWWW-Authenticate: Bearer, Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
    let subject = client(&port, more, ONCE);
    let started = start(&subject);
    let first = answer(&listener, asks).await;
    assert_eq!(line(&first, "authorization"), None);
    let second = answer(&listener, asks).await;
    let expected = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("me:pw"));
    assert_eq!(line(&second, "authorization"), Some(expected.as_str()));
    let failure = within(started).await.unwrap().unwrap_err();
    assert!(failure.contains("401") && !failure.contains("pw"), "{failure}");

    // Who wants something else, and who is not the one they are for, are not told; nor asked again.
    let other = asks.replace(", Basic realm=\"x\"", "");
    let subject = client(&port, more, ONCE);
    let started = start(&subject);
    assert_eq!(line(&answer(&listener, &other).await, "authorization"), None);
    assert!(within(started).await.unwrap().unwrap_err().contains("401"));
    let away = Port::reserve();
    let there = away.listen();
    let subject = client(&port, &format!(r#"{more}, "max_redirects": 1"#), ONCE);
    let started = start(&subject);
    answer(&listener, &redirect(&format!("http://{}/", away.address()))).await;
    assert_eq!(line(&answer(&there, asks).await, "authorization"), None);
    assert!(within(started).await.unwrap().unwrap_err().contains("401"));
}

#[tokio::test]
async fn credentials_go_where_they_are_wanted() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "from-file\n").unwrap();
    let of_file = format!(r#", "auth": {{"bearer": {{"file": "{}"}}}}"#, file.display());
    // Whoever runs the tests, by whatever command, there is such a variable.
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let (variable, value) = std::env::vars().find(|(name, value)| is_plain(name) && is_plain(value)).unwrap();
    let of_variable = format!(
        r#", "auth": {{"header": {{"name": "X-Key", "value": {{"env": {}}}}}}}"#,
        tremor_value::Value::from(variable.as_str())
    );
    for (more, header, expected, path) in [
        (of_file.as_str(), "authorization", "Bearer from-file", "/"),
        (of_variable.as_str(), "x-key", value.as_str(), "/"),
        (
            r#", "auth": {"query": {"name": "t", "value": "a&b"}}, "query": {"u": true}"#,
            "upgrade",
            "websocket",
            "/?u=true&t=a%26b",
        ),
        (
            r#", "subprotocols": ["v1"], "auth": {"protocol": {"prefix": "bearer.", "token": "hunter2"}}"#,
            "sec-websocket-protocol",
            "v1, bearer.aHVudGVyMg",
            "/",
        ),
        (
            r#", "auth": {"protocol": {"prefix": "", "token": "a.b-c.d_"}}"#,
            "sec-websocket-protocol",
            "a.b-c.d_",
            "/",
        ),
    ] {
        let port = Port::reserve();
        let listener = port.listen();
        let subject = client(&port, more, ONCE);
        let started = start(&subject);
        let (_tcp, request) = welcome(&listener, "").await;
        assert_eq!((line(&request, header), target(&request)), (Some(expected), path), "{more}");
        within(started).await.unwrap().unwrap();
    }
    let port = Port::reserve();
    let listener = port.listen();
    let config = format!(r#"{{"url": "ws://me:p%3aw@{}/"}}"#, port.address());
    let subject = Subject::new(&definition("ws_client", &config, r#""json""#, ""), Linked::Fully).unwrap();
    let started = start(&subject);
    let (_tcp, request) = welcome(&listener, "").await;
    assert_eq!(line(&request, "authorization"), Some("Basic bWU6cDp3"));
    within(started).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_token_file_is_read_for_each_attempt_and_a_credential_is_no_subprotocol() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("token");
    let port = Port::reserve();
    let listener = port.listen();
    let more = format!(r#", "auth": {{"bearer": {{"file": "{}"}}}}"#, file.display());
    let failure = within(client(&port, &more, ONCE).handle.start()).await.unwrap_err();
    assert!(failure.contains("auth.bearer.file"), "{failure}");
    std::fs::write(&file, "one").unwrap();
    let subject = client(&port, &more, SOON);
    let started = start(&subject);
    let no = "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(line(&answer(&listener, no).await, "authorization"), Some("Bearer one"));
    std::fs::write(&file, "two").unwrap();
    while line(&answer(&listener, no).await, "authorization") != Some("Bearer two") {}
    drop(welcome(&listener, "").await);
    within(started).await.unwrap().unwrap();

    let port = Port::reserve();
    let listener = port.listen();
    let more = r#", "auth": {"protocol": {"prefix": "b.", "token": "a.b.c"}}"#;
    let subject = client(&port, more, ONCE);
    let started = start(&subject);
    let _tcp = welcome(&listener, "Sec-WebSocket-Protocol: b.a.b.c\r\n").await;
    let failure = within(started).await.unwrap().unwrap_err();
    assert!(
        failure.contains("credentials among the subprotocols") && !failure.contains("a.b.c"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_status_may_be_the_end() {
    let port = Port::reserve();
    let listener = port.listen();
    let subject = client(&port, r#", "give_up_on": [403, 410]"#, SOON);
    let started = start(&subject);
    answer(&listener, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n").await;
    answer(&listener, "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n").await;
    let failure = within(started).await.unwrap().unwrap_err();
    assert!(failure.contains("for good") && failure.contains("410"), "{failure}");
    assert_eq!(subject.handle.status().state, State::Failed);
}

#[tokio::test]
async fn a_refusal_counts_even_if_its_body_never_comes() {
    let port = Port::reserve();
    let listener = port.listen();
    let subject = client(&port, r#", "give_up_on": [403], "open_handshake_timeout": 3000"#, SOON);
    let started = start(&subject);
    let mut tcp = within(listener.accept()).await.unwrap().0;
    head(&mut tcp).await;
    tcp.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\nnot you").await.unwrap();
    let failure = within(started).await.unwrap().unwrap_err();
    assert!(
        failure.contains("for good") && failure.contains("answered 403 and opens no WebSocket: not you"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_server_that_asks_for_patience_gets_it_up_to_a_limit() {
    let later = |status: &str, seconds: &str| {
        format!("HTTP/1.1 {status} Later\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n")
    };
    let port = Port::reserve();
    let listener = port.listen();
    let subject = client(&port, "", SOON);
    let started = start(&subject);
    // Before it was asked for patience.
    let since = Instant::now();
    answer(&listener, &later("503", "1")).await;
    answer(&listener, &later("429", "Sun, 06 Nov 1994 08:49:37 GMT")).await;
    assert!(since.elapsed() >= Duration::from_secs(1), "it came too early: {:?}", since.elapsed());
    // That was long ago, and others do not ask.
    answer(&listener, &later("500", "3600")).await;
    let _tcp = welcome(&listener, "").await;
    within(started).await.unwrap().unwrap();

    let port = Port::reserve();
    let listener = port.listen();
    let subject = client(&port, r#", "max_retry_after": 100"#, SOON);
    let since = Instant::now();
    let started = start(&subject);
    for seconds in ["3600", "18446744073709551615", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        answer(&listener, &later("503", seconds)).await;
    }
    let _tcp = welcome(&listener, "").await;
    assert!(since.elapsed() >= Duration::from_millis(300), "a date counts, too: {:?}", since.elapsed());
    within(started).await.unwrap().unwrap();
}

/// Starts a client whose messages are looked at, and which expects a reply.
async fn greeted(more: &str, reply: &[u8]) -> (Result<(), String>, Subject, TcpStream, Vec<u8>) {
    let port = Port::reserve();
    let listener = port.listen();
    let more = format!(r#", "apply_mask": false{more}"#);
    let subject = client(&port, &more, ONCE);
    let started = start(&subject);
    let (mut tcp, _) = welcome(&listener, "").await;
    let mut said = vec![0; 2 * 6 + 5 + 2];
    within(tcp.read_exact(&mut said)).await.unwrap();
    tcp.write_all(reply).await.unwrap();
    let result = within(started).await.unwrap();
    (result, subject, tcp, said)
}

#[tokio::test]
async fn opening_messages_are_sent_and_the_reply_is_waited_for() {
    let more = r#", "open_message": ["hello", {"binary": "AAE="}], "expect": {"ok": true}"#;
    let reply = b"\x81\x011\x89\x00\x81\x0b{\"ok\": true\x81\x0b{\"ok\":true}\x81\x012";
    // One that is no JSON comes in between, and a ping.
    let (result, mut subject, mut tcp, said) = greeted(more, reply).await;
    result.unwrap();
    assert_eq!(
        (&said[..1], &said[6..11], &said[11..12], &said[17..]),
        (&b"\x81"[..], &b"hello"[..], &b"\x82"[..], &b"\0\x01"[..])
    );
    subject.open();
    assert_eq!(subject.next_value().await, "1");
    let crate::harness::Seen::Event("err", _) = subject.next().await else { panic!("what is no JSON") };
    assert_eq!(subject.next_value().await, r#"{"ok":true}"#);
    assert_eq!(subject.next_value().await, "2");
    let mut pong = [0; 6];
    within(tcp.read_exact(&mut pong)).await.unwrap();
    assert_eq!(pong[..2], *b"\x8a\x80");
    for (reply, more, expected) in [
        (&b"\x88\x05\x0f\xa1bye"[..], "", "(4001, bye)"),
        (b"\x81\x05never", r#", "expect_timeout": 100"#, "not come within 100 ms"),
        (b"\x83\x00", "", ""),
    ] {
        let more = format!(
            r#", "open_message": ["hello", {{"binary": "AAE="}}], "expect": {{"contains": "yes"}}{more}"#
        );
        let failure = greeted(&more, reply).await.0.unwrap_err();
        assert!(failure.contains(expected), "{failure}");
    }
}

#[tokio::test]
async fn a_reply_that_is_expected_is_not_looked_for_without_end() {
    let port = Port::reserve();
    let listener = port.listen();
    let subject = client(&port, r#", "expect": {"contains": "yes"}, "expect_timeout": 0"#, ONCE);
    let started = start(&subject);
    let (mut tcp, _) = welcome(&listener, "").await;
    tokio::spawn(async move {
        // The client may have gone by then.
        while tcp.write_all(b"\x81\x7e\x10\0").await.is_ok() && tcp.write_all(&[b'n'; 4096]).await.is_ok() {}
    });
    let failure = within(started).await.unwrap().unwrap_err();
    assert!(failure.contains("not in the first MiB"), "{failure}");
}

#[test]
fn what_contradicts_itself_is_refused_with_the_key() {
    let port = Port::reserve();
    for (more, expected) in [
        (r#", "auth": {}"#, "auth"),
        (r#", "auth": {"basic": {"username": "a:b", "password": "c"}}"#, "auth.basic.username"),
        (
            r#", "auth": {"basic": {"username": "a", "password": "c"}, "query": {"name": "x", "value": "y"}}"#,
            "auth.query",
        ),
        (r#", "auth": {"query": {"name": "", "value": "secret"}}"#, "auth.query.name"),
        (r#", "auth": {"query": {"value": "secret"}}"#, "auth.query.name"),
        (r#", "auth": {"bearer": {"token": "two words"}}"#, "auth.bearer.token"),
        (r#", "auth": {"bearer": {"token": {"env": "NO_SUCH_VARIABLE_HERE"}}}"#, "NO_SUCH_VARIABLE_HERE"),
        (r#", "auth": {"bearer": {"token": "a", "file": "b"}}"#, "auth.bearer.file"),
        (r#", "auth": {"header": {"name": "Upgrade", "value": "x"}}"#, "auth.header.name"),
        (
            r#", "auth": {"bearer": {"token": "a"}}, "headers": {"authorization": "b"}"#,
            "headers.authorization",
        ),
        (r#", "max_redirects": 101"#, "max_redirects"),
        (r#", "give_up_on": [101]"#, "give_up_on"),
        (r#", "open_message": {"binary": "%"}"#, "open_message.binary"),
        (r#", "open_message": {"text": "a"}"#, "open_message"),
        (r#", "expect": {}"#, "expect"),
        (r#", "expect_timeout": 5"#, "expect_timeout"),
        (r#", "query": {"a": {}}"#, "query.a"),
        (r#", "no_proxy": ["a"]"#, "no_proxy"),
        (r#", "proxy": "ftp://me:secret@a""#, "proxy"),
        (r#", "proxy": "http://a", "send_proxy_protocol": "v1""#, "send_proxy_protocol"),
        (r#", "proxy": {"url": "http://a", "tls": true}"#, "proxy.tls"),
        (r#", "endpoint": {"type": "tor", "host": "a"}"#, "endpoint.type"),
        (r#", "endpoint": {"type": "tcp", "host": "a"}"#, "endpoint.port"),
        (r#", "endpoint": {"type": "tcp", "host": "a", "port": 1, "version": 5}"#, "endpoint.version"),
        (r#", "endpoint": {"type": "tcp", "host": "a", "port": 1, "timeout": 601}"#, "endpoint.timeout"),
        (
            r#", "endpoint": {"type": "tcp", "host": "a", "port": 1, "tls": true}, "tls": true"#,
            "endpoint.tls",
        ),
        (r#", "endpoint": {"type": "unix", "path": "/a", "port": 1}"#, "endpoint.port"),
        (r#", "endpoint": {"type": "unix", "path": "/a"}, "proxy": "http://a""#, "proxy"),
        (r#", "subprotocols": ["a"], "defaults": {"protocol": "b"}"#, "subprotocols"),
        (r#", "options": {"defaults": {"authority": "a b"}}"#, "options.defaults.authority"),
        (r#", "options": {"defaults": {"path": "a"}}"#, "options.defaults.path"),
        (r#", "routes": [{"when": [{"path": "/no"}], "exit": "a"}]"#, "routes"),
        (r#", "routes": [{"exit": "control"}]"#, "routes[0].exit"),
        (r#", "subprotocols": ["a b"]"#, "config.subprotocols"),
        (r#", "origin": "a\nb""#, "config.origin"),
        (r#", "send_queue": {"policy": "conflate", "key": ""}"#, "config.send_queue.key"),
        (r#", "frame_type": "txt""#, "config.frame_type"),
        (r#", "routes": [{"exit": "a", "guarded": {}}]"#, "guarded"),
    ] {
        let error = Subject::new(&client_definition(&port, more, ONCE), Linked::Fully).err().unwrap();
        let shown = format!("{} {:?}", error.message, error.hint);
        assert!(shown.contains(expected) && !shown.contains("secret"), "{more}: {shown}");
    }
}
