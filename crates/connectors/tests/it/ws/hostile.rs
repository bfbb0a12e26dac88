//! What a server makes of those who try to get around its rules.

use super::guards::{metadata, server as guarded_server};
use super::peers::{Port, head, server_definition, upgrade};
use crate::harness::{Linked, Subject};
use tokio::io::AsyncWriteExt;

/// A guard `name` that takes the token `token` where `place` says.
fn tokens(name: &str, token: &str, place: &str) -> String {
    format!(
        r#""{name}": {{"type": "bearer", "options": {{"tokens": {{"{token}": {{"identity": "{name}"}}}}}}, "credentials": {place}}}"#
    )
}

async fn server(more: &str) -> (Subject, Port) {
    let port = Port::reserve();
    let subject = Subject::started_with(&server_definition(&port, more), Linked::With(&["open"])).await;
    (subject, port)
}

/// The status of an answer.
fn code(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test]
async fn a_token_in_a_subprotocol_is_never_taken_for_one_whichever_guard_it_is_for() {
    let guards = format!(
        "{}, {}",
        tokens("one", "a.a", r#"{"protocols": "bearer.{credentials}"}"#),
        tokens("two", "b.b", r#"{"protocols": "jwt.{credentials}"}"#)
    );
    let more = r#", "subprotocols": ["chat", "jwt.b.b"]"#;
    let (mut subject, port) = guarded_server(&guards, r#"{"two": []}"#, more).await;
    let mut tcp = port.tcp().await;
    let offers = "Sec-WebSocket-Protocol: jwt.b.b, chat\r\n";
    tcp.write_all(upgrade("here", offers).as_bytes()).await.unwrap();
    let answer = head(&mut tcp).await;
    assert!(answer.contains("Sec-WebSocket-Protocol: chat\r\n") && !answer.contains("b.b"), "{answer}");
    let shown = metadata(&mut subject, &mut tcp).await.1.to_string();
    assert!(shown.contains("chat") && !shown.contains("b.b"), "{shown}");
}

#[tokio::test]
async fn a_concealed_route_is_not_told_of_by_other_answers() {
    let more = format!(
        r#", "guards": {{{}}}, "enable_webstatus": true,
        "routes": [{{"when": [{{"path": "/secret", "protocol": "p"}}], "guarded": {{"one": []}}, "conceal": true, "exit": "open"}}]"#,
        tokens("one", "a", r#"{"headers": {"x-key": "{credentials}"}}"#)
    );
    let (_subject, port) = server(&more).await;
    for path in ["/secret", "/nothing"] {
        let upgrade = upgrade("here", "").replacen("GET /", &format!("GET {path}"), 1);
        assert_eq!(code(&port.ask(&upgrade).await), "404", "{path}");
        let page = format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n");
        assert_eq!(code(&port.ask(&page).await), "426", "{path}");
    }
    let good =
        upgrade("here", "X-Key: a\r\nSec-WebSocket-Protocol: p\r\n").replacen("GET /", "GET /secret", 1);
    let mut tcp = port.tcp().await;
    tcp.write_all(good.as_bytes()).await.unwrap();
    assert_eq!(code(&head(&mut tcp).await), "101");
}

#[tokio::test]
async fn another_way_to_write_a_path_or_a_host_is_no_way_around_a_guard() {
    let more = format!(
        r#", "guards": {{{}}}, "exit": "open", "guard_fallthrough": false, "routes": [
        {{"when": [{{"path": "/día"}}, {{"path": "/a%2Fb"}}, {{"authority": "adm.example"}}, {{"authority": "[::1]"}}],
          "guarded": {{"one": []}}, "exit": "open"}}]"#,
        tokens("one", "a", r#"{"headers": {"x-key": "{credentials}"}}"#)
    );
    let (_subject, port) = server(&more).await;
    let ask = async |target: &str, host: &str| {
        let mut tcp = port.tcp().await;
        let request = upgrade(host, "").replacen("GET /", &format!("GET {target}"), 1);
        tcp.write_all(request.as_bytes()).await.unwrap();
        code(&head(&mut tcp).await).to_owned()
    };
    for target in ["/d%C3%ADa", "/d%c3%ada", "/%64%c3%aDa", "/a%2Fb", "/a%2fb", "http://here/%61%2Fb"] {
        assert_eq!(ask(target, "here").await, "401", "{target}");
    }
    for host in ["ADM.example", "adm.example.", "adm.example.:80", "%61dm.example", "[::1]", "[0::0001]:7"] {
        assert_eq!(ask("/", host).await, "401", "{host}");
    }
    assert_eq!(ask("/a/b", "here").await, "101");
}

#[tokio::test]
async fn health_is_told_to_those_who_know_only_the_address() {
    let (_subject, port) = server(r#", "health": "/up", "public_url": "wss://edge.example""#).await;
    for host in ["10.0.0.1:8080", "edge.example"] {
        let answer = port.ask(&format!("GET /up HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(code(&answer), "200", "{host}");
    }
    assert_eq!(code(&port.ask(&upgrade("10.0.0.1:8080", "")).await), "421");
}

#[tokio::test]
async fn a_query_does_not_take_many_times_its_memory() {
    let (_subject, port) = server("").await;
    let request = upgrade("here", "").replacen("GET /", &format!("GET /?{}", "a&".repeat(1000)), 1);
    assert_eq!(code(&port.ask(&request).await), "414");
}
