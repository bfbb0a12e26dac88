//! Browsers are known again by a cookie.

use super::control::member;
use super::peers::{Port, head, of_server, server_definition, upgrade};
use super::tls::Authority;
use crate::harness::{Linked, Seen, Subject, definition, json, within};
use std::{fs, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tremor_codec::testing::Log;
use tremor_value::Value;

/// Number of the input port for all.
const BROADCAST: usize = 1;
/// And of that for commands.
const CONTROL: usize = 2;

async fn server(more: &str) -> (Subject, Port) {
    let port = Port::reserve();
    (Subject::started(&server_definition(&port, more)).await, port)
}

/// Opens a connection with `more` header lines; what `Set-Cookie` says.
async fn open(port: &Port, more: &str) -> (TcpStream, Option<String>) {
    let mut tcp = port.tcp().await;
    tcp.write_all(upgrade("here", more).as_bytes()).await.unwrap();
    let answer = head(&mut tcp).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let set = answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).map(str::to_owned);
    (tcp, set)
}

fn id(set: &str) -> String {
    set.split_once('=').unwrap().1.split(';').next().unwrap().to_owned()
}

fn with(id: &str) -> String {
    format!("Cookie: a=b; wsid={id}\r\n")
}

#[tokio::test]
async fn a_browser_is_known_again_and_metadata_tell_who_it_is() {
    let (mut subject, port) = server(r#", "cookie": {}"#).await;
    let (_first, set) = open(&port, "").await;
    let set = set.unwrap();
    let own = id(&set);
    assert_eq!(set, format!("wsid={own}; Max-Age=86400; Path=/; HttpOnly; SameSite=Lax"));
    assert_eq!(own.len(), 24);
    let (mut again, set) = open(&port, &with(&own)).await;
    assert_eq!(set, None);
    again.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'1']).await.unwrap();
    let shown = of_server(&subject.next_event().await);
    for key in ["cookie", "identity"] {
        assert_eq!(shown.get(key).and_then(Value::as_str), Some(&*own), "{key}");
    }
    // An id that was never given to anybody is not taken over.
    let (_other, set) = open(&port, &with("AAAAAAAAAAAAAAAAAAAAAAAA")).await;
    assert_ne!(id(&set.unwrap()), "AAAAAAAAAAAAAAAAAAAAAAAA");
}

#[tokio::test]
async fn the_cookie_is_as_it_was_configured() {
    for (cookie, expected) in [
        (
            r#"{"name": "c_1", "length": 6, "max_age": 60, "secure": true, "http_strict": false, "same_site": "Strict",
                "path": "/a", "domain": "plant.example"}"#,
            "c_1=; Max-Age=60; Domain=plant.example; Path=/a; SameSite=Strict; Secure",
        ),
        (r#"{"same_site": "None"}"#, "wsid=; Max-Age=86400; Path=/; HttpOnly; SameSite=None; Secure"),
    ] {
        let (_subject, port) = server(&format!(r#", "cookie": {cookie}"#)).await;
        let (_tcp, set) = open(&port, "").await;
        let set = set.unwrap();
        assert_eq!(set.replacen(&id(&set), "", 1), expected);
    }
}

#[tokio::test]
async fn a_cookie_that_is_set_over_tls_is_secure_unless_it_is_said_otherwise() {
    let authority = Authority::new();
    let own = authority.issue("own", "localhost");
    for (cookie, expected) in [("{}", true), (r#"{"secure": true}"#, true), (r#"{"secure": false}"#, false)] {
        let (encrypted, plain) = (Port::reserve(), Port::reserve());
        let (wss, ws) = (encrypted.address(), plain.address());
        let config =
            format!(r#"{{"listen": ["wss://{wss}", "ws://{ws}"], "tls": {{{own}}}, "cookie": {cookie}}}"#);
        let _subject = Subject::started(&definition("ws_server", &config, r#""json""#, "")).await;
        let mut tls = authority.tls_to(&encrypted).await;
        tls.write_all(upgrade("here", "").as_bytes()).await.unwrap();
        let answer = head(&mut tls).await;
        let set = answer.lines().find(|line| line.starts_with("Set-Cookie: wsid=")).unwrap();
        assert_eq!(set.ends_with("; Secure"), expected, "{cookie}: {set}");
        let (_tcp, set) = open(&plain, "").await;
        assert_eq!(set.unwrap().ends_with("; Secure"), cookie.contains("true"), "{cookie}");
    }
}

#[tokio::test]
async fn an_id_expires_here_and_not_only_in_the_browser() {
    let (_subject, port) = server(r#", "cookie": {"max_age": 1}"#).await;
    let own = id(&open(&port, "").await.1.unwrap());
    let is_new = async {
        while open(&port, &with(&own)).await.1.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(is_new).await;
}

#[tokio::test]
async fn a_cookie_that_is_forgotten_closes_its_connections_and_is_known_no_more() {
    let port = Port::reserve();
    let definition = server_definition(&port, r#", "cookie": {}"#);
    let mut subject = Subject::started_with(&definition, Linked::WithControl).await;
    let (mut first, set) = open(&port, "").await;
    let own = id(&set.unwrap());
    let (mut second, _) = open(&port, &with(&own)).await;
    let (mut other, _) = open(&port, "").await;
    for _ in 0..3 {
        subject.next_told().await;
    }
    let forget = |id: &str| json(&format!(r#"{{"kind": "forget_cookie", "cookie": "{id}"}}"#));
    subject.give_to(CONTROL, forget("nobody")).await;
    subject.give_to(CONTROL, json(r#"{"kind": "forget_cookie"}"#)).await;
    assert_eq!(subject.handle.taken().failed, 2);
    subject.give_to(CONTROL, forget(&own)).await;
    assert_eq!(subject.handle.taken().failed, 2);
    for tcp in [&mut first, &mut second] {
        let mut close = [0; 4];
        within(tcp.read_exact(&mut close)).await.unwrap();
        assert_eq!(close[0], 0x88);
        assert_eq!(u16::from_be_bytes([close[2], close[3]]), 1008);
    }
    assert!(open(&port, &with(&own)).await.1.is_some());
    other.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.unwrap();
    assert_eq!(within(other.read_u8()).await.unwrap(), 0x8a, "it is still open");
}

/// The flow has closed the connection before, which the client has not answered.
#[tokio::test]
async fn who_is_logged_out_behind_another_close_is_heard_no_more() {
    let port = Port::reserve();
    let definition = server_definition(&port, r#", "cookie": {}"#);
    let mut subject = Subject::started_with(&definition, Linked::WithControl).await;
    let (mut tcp, set) = open(&port, "").await;
    let own = id(&set.unwrap());
    let conn = member(&subject.next_told().await, "conn");
    let close = format!(r#"{{"kind": "close", "conn": {conn}, "code": 4000}}"#);
    subject.give_to(CONTROL, json(&close)).await;
    let mut close = [0; 4];
    within(tcp.read_exact(&mut close)).await.unwrap();
    assert_eq!(close, [0x88, 2, 0x0f, 0xa0]);
    tcp.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'1']).await.unwrap();
    assert_eq!(subject.next_value().await, "1");
    subject.give_to(CONTROL, json(&format!(r#"{{"kind": "forget_cookie", "cookie": "{own}"}}"#))).await;
    tcp.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'2', 0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa0]).await.unwrap();
    let closed = subject.next_told().await;
    for (name, expected) in [("kind", r#""closed""#), ("code", "4000"), ("clean", "true")] {
        assert_eq!(member(&closed, name).to_string(), expected, "{name}");
    }
    assert!(subject.is_silent(), "what it said behind the logout reaches nobody");
}

#[tokio::test]
async fn who_is_logged_out_is_heard_no_more_though_it_reads_nothing() {
    let port = Port::reserve();
    let more = r#", "cookie": {}, "close_handshake_timeout": 100, "send_queue": {"bytes": 33554432}"#;
    let definition = server_definition(&port, more);
    let mut subject = Subject::started_with(&definition, Linked::WithControl).await;
    let mut tcp = port.slow_tcp().await;
    tcp.write_all(upgrade("here", "").as_bytes()).await.unwrap();
    let answer = head(&mut tcp).await;
    let own = id(answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).unwrap());
    subject.next_told().await;
    subject.give_to(BROADCAST, "x".repeat(16 << 20).into()).await;
    subject.give_to(CONTROL, json(&format!(r#"{{"kind": "forget_cookie", "cookie": "{own}"}}"#))).await;
    tcp.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'1']).await.unwrap();
    let closed = subject.next_told().await;
    for (name, expected) in [("kind", r#""closed""#), ("code", "1008"), ("reason", r#""logged out""#)] {
        assert_eq!(member(&closed, name).to_string(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_bound_cookie_stands_for_whom_a_guard_has_let_in() {
    let guards = r#", "guards": {"staff": {"type": "bearer", "options": {"tokens": {
        "of-ann": {"identity": "ann", "roles": ["read"]}, "of-ben": {"identity": "ben"}}}}},
        "routes": [{"exit": "out", "guarded": {"staff": []}, "when": [{"path": "/"}]}, {"exit": "open", "when": [{"path": "/open"}]}]"#;
    let token = |who: &str| format!("Authorization: Bearer of-{who}\r\n");
    let refused = async |port: &Port, more: &str| {
        let answer = port.ask(&upgrade("here", more)).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    };
    let (_subject, port) = server(&format!(r#"{guards}, "cookie": {{}}"#)).await;
    let own = id(&open(&port, &token("ann")).await.1.unwrap());
    refused(&port, &with(&own)).await;

    let port = Port::reserve();
    let definition = server_definition(&port, &format!(r#"{guards}, "cookie": {{"bind_identity": true}}"#));
    let mut subject = Subject::started_with(&definition, Linked::With(&["open"])).await;
    let mut tcp = port.tcp().await;
    let stranger = upgrade("here", "").replacen("GET /", "GET /open", 1);
    tcp.write_all(stranger.as_bytes()).await.unwrap();
    let answer = head(&mut tcp).await;
    let unbound = id(answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).unwrap());
    refused(&port, &with(&unbound)).await;

    let (_ann, set) = open(&port, &token("ann")).await;
    let own = id(&set.unwrap());
    let (mut again, set) = open(&port, &with(&own)).await;
    assert_eq!(set, None);
    again.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'1']).await.unwrap();
    let shown = of_server(&subject.next_event().await);
    assert_eq!(shown.get("identity").and_then(Value::as_str), Some("ann"));
    assert_eq!(shown.get("roles"), Some(&json(r#"["read"]"#)));
    // Credentials that are no good are not made good by a cookie, and those of somebody else get one of their own.
    refused(&port, &(with(&own) + "Authorization: Bearer wrong\r\n")).await;
    assert!(open(&port, &(with(&own) + &token("ben"))).await.1.is_some());
    subject.give_to(CONTROL, json(&format!(r#"{{"kind": "forget_cookie", "cookie": "{own}"}}"#))).await;
    refused(&port, &with(&own)).await;
}

#[tokio::test]
async fn an_id_that_stood_for_nobody_never_stands_for_who_brings_it() {
    let guards = r#", "guards": {"staff": {"type": "bearer", "options": {"tokens": {"of-ann": {"identity": "ann"}}}}},
        "routes": [{"exit": "out", "guarded": {"staff": []}, "when": [{"path": "/"}]}, {"exit": "open", "when": [{"path": "/open"}]}],
        "cookie": {"bind_identity": true}"#;
    let (_subject, port) = server(guards).await;
    // Somebody gets an id for nobody, and plants it in the browser of ann.
    let mut tcp = port.tcp().await;
    tcp.write_all(upgrade("here", "").replacen("GET /", "GET /open", 1).as_bytes()).await.unwrap();
    let answer = head(&mut tcp).await;
    let planted = id(answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).unwrap());
    let (_ann, set) = open(&port, &(with(&planted) + "Authorization: Bearer of-ann\r\n")).await;
    let fresh = id(&set.expect("who is somebody now gets a new id"));
    assert_ne!(fresh, planted);
    let answer = port.ask(&upgrade("here", &with(&planted))).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let (_again, set) = open(&port, &with(&fresh)).await;
    assert_eq!(set, None, "and keeps it");
}

#[tokio::test]
async fn connections_that_only_a_cookie_knows_are_counted_by_it() {
    let (_subject, port) = server(r#", "max_connections_per_identity": 2, "cookie": {}"#).await;
    let (first, set) = open(&port, "").await;
    let own = with(&id(&set.unwrap()));
    let _second = open(&port, &own).await;
    let answer = port.ask(&upgrade("here", &own)).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    open(&port, "").await;
    drop(first);
    within(async {
        loop {
            let mut tcp = port.tcp().await;
            tcp.write_all(upgrade("here", &own).as_bytes()).await.unwrap();
            if head(&mut tcp).await.starts_with("HTTP/1.1 101 ") {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_handshake_does_not_outlive_its_cookie() {
    let port = Port::reserve();
    let more = r#", "cookie": {}, "authorize": {"port": "door", "timeout": 60000}"#;
    let definition = server_definition(&port, more);
    let mut subject = Subject::started_with(&definition, Linked::With(&["door"])).await;
    let mut own = String::new();
    for brings in [false, true] {
        let mut tcp = port.tcp().await;
        let more = if brings { with(&own) } else { String::new() };
        tcp.write_all(upgrade("here", &more).as_bytes()).await.unwrap();
        // Ends of connections without a goodbye come, too.
        let asked = loop {
            if let Seen::Event("door", asked) = subject.next().await {
                break asked;
            }
        };
        let shown = of_server(&asked);
        let conn = shown.get("conn").unwrap().to_string();
        let cookie = shown.get("cookie").and_then(Value::as_str).unwrap().to_owned();
        assert!(!brings || cookie == own);
        own.clone_from(&cookie);
        if brings {
            let forget = json(&format!(r#"{{"kind": "forget_cookie", "cookie": "{cookie}"}}"#));
            subject.give_to(CONTROL, forget).await;
        }
        let accept = json(&format!(r#"{{"kind": "authorize", "conn": {conn}, "accept": true}}"#));
        subject.give_to(CONTROL, accept).await;
        let answer = head(&mut tcp).await;
        let expected = if brings { "HTTP/1.1 503 " } else { "HTTP/1.1 101 " };
        assert!(answer.starts_with(expected), "{answer}");
    }
}

#[tokio::test]
async fn a_file_knows_them_after_a_restart_and_stays_short() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cookies");
    let more = |purge: bool| {
        let path = path.display();
        format!(
            r#", "cookie": {{"store": {{"type": "file", "filename": "{path}", "purge_on_startup": {purge}}}}}"#
        )
    };
    let (subject, port) = server(&more(false)).await;
    let own = id(&open(&port, "").await.1.unwrap());
    for _ in 0..100 {
        open(&port, &with(&own)).await;
    }
    let lines = fs::read_to_string(&path).unwrap().lines().count();
    assert!((1..=20).contains(&lines), "{lines} lines");
    let busy = Subject::new(&server_definition(&Port::reserve(), &more(false)), Linked::Fully).unwrap();
    let failure = within(busy.handle.start()).await.unwrap_err();
    assert!(failure.contains("somebody else uses it"), "{failure}");
    within(subject.handle.stop()).await;
    drop((subject, busy));
    for (purge, is_known) in [(false, true), (true, false), (false, false)] {
        let (subject, port) = server(&more(purge)).await;
        assert_eq!(open(&port, &with(&own)).await.1.is_none(), is_known, "{purge}");
        within(subject.handle.stop()).await;
    }
}

#[tokio::test]
async fn a_line_that_is_torn_is_told_of_by_the_connector_that_has_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cookies");
    fs::write(&path, "{\"id\":\"ab").unwrap();
    let (told, _listening) = Log::listen();
    let more = format!(r#", "cookie": {{"store": {{"type": "file", "filename": "{}"}}}}"#, path.display());
    let (_subject, _port) = server(&more).await;
    let told = told.text();
    let line = told.lines().find(|line| line.contains("cannot be understood"));
    assert!(line.is_some_and(|line| line.starts_with("WARN tremor_runtime: [Connector::")), "{told}");
}

#[tokio::test]
async fn a_bound_cookie_stands_for_nobody_once_it_has_expired() {
    let guards = r#", "guards": {"staff": {"type": "bearer", "options": {"tokens": {"of-ann": {"identity": "ann"}}}}},
        "routes": [{"exit": "out", "guarded": {"staff": []}}], "cookie": {"bind_identity": true, "max_age": 1}"#;
    let (_subject, port) = server(guards).await;
    let token = "Authorization: Bearer of-ann\r\n";
    let (_first, set) = open(&port, token).await;
    let own = with(&id(&set.unwrap()));
    within(async {
        while !port.ask_head(&upgrade("here", &own)).await.starts_with("HTTP/1.1 401 ") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(open(&port, &(own + token)).await.1.is_some(), "who brings more gets a new one");
}
