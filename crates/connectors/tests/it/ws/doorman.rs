//! The flow decides who is let in.

use super::control::member;
use super::peers::{Port, head, of_server, server_definition, upgrade};
use crate::harness::{Clock, Linked, Seen, Subject, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tremor_event::Event;

/// Where input port `control` is.
const CONTROL: usize = 2;

async fn server(more: &str) -> (Subject, Port) {
    server_with(more, "").await
}

/// The same with `also` outside of `authorize`.
pub(super) async fn server_with(more: &str, also: &str) -> (Subject, Port) {
    let port = Port::reserve();
    let config =
        format!(r#", "authorize": {{"port": "door"{more}}}, "response_headers": {{"X-One": "1"}}{also}"#);
    let linked = Linked::With(&["door", "control"]);
    (Subject::started_with(&server_definition(&port, &config), linked).await, port)
}

/// A request, and what the flow is asked about it.
async fn ask(subject: &mut Subject, port: &Port) -> (TcpStream, Event) {
    let mut tcp = port.tcp().await;
    let request = upgrade("gate.example", "X-Who: ann\r\n").replacen("GET /", "GET /in?a=1", 1);
    tcp.write_all(request.as_bytes()).await.unwrap();
    loop {
        if let Seen::Event("door", event) = subject.next().await {
            return (tcp, event);
        }
    }
}

/// Gives a command `authorize` with `more` members for the handshake that `asked` is about.
pub(super) async fn say(subject: &mut Subject, asked: &Event, more: &str) {
    let conn = member(asked, "conn");
    subject.give_to(CONTROL, json(&format!(r#"{{"kind": "authorize", "conn": {conn}{more}}}"#))).await;
}

#[tokio::test]
async fn the_flow_lets_in_and_says_who_it_is() {
    let (mut subject, port) = server(r#", "timeout": 60000"#).await;
    let (mut tcp, asked) = ask(&mut subject, &port).await;
    for (name, expected) in [
        ("kind", r#""authorize""#),
        ("guard", r#""""#),
        ("method", r#""GET""#),
        ("path", r#""/in""#),
        ("query", r#"{"a":"1"}"#),
        ("authority", r#""gate.example""#),
        ("headers", r#"{"x-who":"ann"}"#),
    ] {
        assert_eq!(member(&asked, name).to_string(), expected, "{name}");
    }
    assert_eq!(of_server(&asked).get("conn"), Some(&member(&asked, "conn")));
    // What is no answer changes nothing.
    for wrong in [
        "",
        r#", "accept": 1"#,
        r#", "accept": true, "identity": 7"#,
        r#", "accept": true, "roles": "a""#,
        r#", "accept": true, "attributes": []"#,
        r#", "accept": true, "headers": {"Upgrade": "x"}"#,
        r#", "accept": true, "headers": {"X-A": "a\r\nb: c"}"#,
        r#", "accept": false, "status": 200"#,
        r#", "accept": false, "body": 1"#,
    ] {
        say(&mut subject, &asked, wrong).await;
    }
    subject.give_to(CONTROL, json(r#"{"kind": "authorize", "conn": 1, "accept": true}"#)).await;
    let yes = r#", "accept": true, "identity": "ann", "roles": ["a"], "attributes": {"site": 1}, "headers": {"X-Two": ["2", "3"]}"#;
    say(&mut subject, &asked, yes).await;
    let answer = head(&mut tcp).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.contains("X-One: 1\r\nX-Two: 2\r\nX-Two: 3\r\n"), "{answer}");
    tcp.write_all(b"\x81\x81\0\0\0\x007").await.unwrap();
    let event = loop {
        if let Seen::Event("out", event) = subject.next().await {
            break event;
        }
    };
    let shown = of_server(&event);
    for (name, expected) in [("identity", r#""ann""#), ("roles", r#"["a"]"#), ("attributes", r#"{"site":1}"#)]
    {
        assert_eq!(shown.get(name).unwrap().to_string(), expected, "{name}");
    }
    assert_eq!(shown.get("conn"), Some(&member(&asked, "conn")));
    // Nobody waits for a second one.
    say(&mut subject, &asked, yes).await;
}

#[tokio::test]
async fn the_flow_refuses_or_does_not_answer() {
    let (mut subject, port) = server(r#", "timeout": 60000"#).await;
    for (answer, status, more) in [
        (r#", "accept": false"#, "403 ", ""),
        (
            r#", "accept": false, "status": 451, "body": "no", "headers": {"X-Why": "law"}"#,
            "451 ",
            "X-Why: law\r\n",
        ),
    ] {
        let (mut tcp, asked) = ask(&mut subject, &port).await;
        say(&mut subject, &asked, answer).await;
        let answer = head(&mut tcp).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(more), "{answer}");
        let told = subject.next_told().await;
        assert_eq!(
            (member(&told, "kind"), member(&told, "reason")),
            ("rejected".into(), "not_authorized".into())
        );
    }
    let (mut subject, port) = server(r#", "timeout": 1"#).await;
    let (mut tcp, _asked) = ask(&mut subject, &port).await;
    let answer = head(&mut tcp).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: "), "{answer}");
    assert_eq!(member(&subject.next_told().await, "reason"), "authorize_timeout".into());
}

#[tokio::test]
async fn an_identity_that_the_flow_names_has_so_many_connections() {
    let (mut subject, port) =
        server(r#", "timeout": 60000}, "max_connections_per_identity": 1, "send_queue": {"messages": 1024"#)
            .await;
    let mut open = Vec::new();
    for status in ["101", "429"] {
        let (mut tcp, asked) = ask(&mut subject, &port).await;
        say(&mut subject, &asked, r#", "accept": true, "identity": "ann""#).await;
        let answer = head(&mut tcp).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        open.push(tcp);
    }
}

#[tokio::test]
async fn mistakes_are_found_when_a_flow_is_loaded() {
    for (written, place, problem) in [
        ("{}", "config.authorize.port", "missing"),
        (r#"{"port": "control"}"#, "config.authorize.port", "its own use"),
        (r#"{"port": "out"}"#, "config.authorize.port", "another name"),
        (r#"{"port": "Staff"}"#, "config.authorize.port", "another name"),
        (r#"{"port": "a b"}"#, "config.authorize.port", "no name of a port"),
        (r#"{"port": "door", "timeout": 0}"#, "config.authorize.timeout", "between 1 and"),
        (r#"{"port": "door", "limit": 0}"#, "config.authorize.limit", "unknown"),
    ] {
        let more = format!(r#", "routes": [{{"exit": "staff"}}], "authorize": {written}"#);
        let error = match Subject::new(&server_definition(&Port::reserve(), &more), Linked::Fully) {
            Ok(_) => panic!("{written} is taken"),
            Err(error) => format!("{error:?} {error}"),
        };
        assert!(error.contains(&format!("{place}: ")) && error.contains(problem), "{written}\n{error}");
    }
}

#[tokio::test]
async fn what_the_flow_says_of_its_words_is_said_once() {
    let (mut subject, port) =
        server(r#", "timeout": 60000}, "show_server_version": true, "send_queue": {"messages": 1024"#).await;
    let (mut tcp, asked) = ask(&mut subject, &port).await;
    let no = r#", "accept": false, "body": "{}", "headers": {"content-type": "application/json", "Server": "gate"}"#;
    say(&mut subject, &asked, no).await;
    let answer = head(&mut tcp).await.to_ascii_lowercase();
    for (line, name) in
        [("\r\ncontent-type: application/json\r\n", "content-type:"), ("\r\nserver: gate\r\n", "server:")]
    {
        assert!(answer.contains(line) && answer.matches(name).count() == 1, "{answer}");
    }
}

#[tokio::test]
async fn who_is_refused_leaves_no_cookie_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cookies");
    let cookie = format!(r#""cookie": {{"store": {{"type": "file", "filename": "{}"}}}}"#, path.display());
    let more = format!(r#", "timeout": 60000}}, {cookie}, "send_queue": {{"messages": 1024"#);
    let (mut subject, port) = server(&more).await;
    let mut shown = Vec::new();
    for (accept, status) in [(false, "403"), (true, "101")] {
        let (mut tcp, asked) = ask(&mut subject, &port).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "", "nothing is noted before the flow has said");
        say(&mut subject, &asked, &format!(r#", "accept": {accept}"#)).await;
        let answer = head(&mut tcp).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(answer.contains("Set-Cookie: "), accept, "{answer}");
        shown.push(member(&asked, "cookie"));
    }
    let lines = std::fs::read_to_string(&path).unwrap();
    assert!(lines.lines().count() == 1 && lines.contains(shown[1].as_str().unwrap()), "{lines}");
}

#[tokio::test]
async fn a_handshake_that_waits_for_the_flow_when_that_drains_is_told_so() {
    let (mut subject, port) = server(r#", "timeout": 60000"#).await;
    let (mut tcp, _asked) = ask(&mut subject, &port).await;
    subject.front_is_done().await;
    let drained = tokio::spawn({
        let handle = subject.handle.clone();
        async move { handle.drain().await }
    });
    let answer = head(&mut tcp).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
    drop(tcp);
    crate::harness::within(drained).await.unwrap();
}

#[tokio::test]
async fn a_cookie_that_is_forgotten_while_the_flow_thinks_opens_nothing() {
    let (mut subject, port) =
        server(r#", "timeout": 60000}, "cookie": {}, "send_queue": {"messages": 1024"#).await;
    let (mut tcp, asked) = ask(&mut subject, &port).await;
    say(&mut subject, &asked, r#", "accept": true"#).await;
    head(&mut tcp).await;
    let id = member(&asked, "cookie");
    let id = id.as_str().unwrap();
    let mut again = port.tcp().await;
    again.write_all(upgrade("here", &format!("Cookie: wsid={id}\r\n")).as_bytes()).await.unwrap();
    let asked = loop {
        if let Seen::Event("door", event) = subject.next().await {
            break event;
        }
    };
    assert_eq!(member(&asked, "cookie").as_str(), Some(id));
    subject.give_to(CONTROL, json(&format!(r#"{{"kind": "forget_cookie", "cookie": "{id}"}}"#))).await;
    say(&mut subject, &asked, r#", "accept": true"#).await;
    let answer = head(&mut again).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
}

/// Nobody holds a place by asking and going away.
#[tokio::test]
async fn one_who_goes_away_while_the_flow_thinks_makes_room_and_is_told_of() {
    let _stands_still = Clock::stop();
    let also = r#", "max_connections": 1, "open_handshake_timeout": 0"#;
    let (mut subject, port) = server_with(r#", "timeout": 600000"#, also).await;
    for resets in [false, true] {
        let (tcp, asked) = ask(&mut subject, &port).await;
        if resets {
            tcp.set_zero_linger().unwrap();
        }
        drop(tcp);
        let told = subject.next_told().await;
        let members = ["kind", "status", "reason"].map(|name| member(&told, name));
        assert_eq!(members, ["rejected".into(), 0.into(), "gone".into()]);
        assert_eq!(of_server(&told).get("path"), Some(&"/in".into()));
        // The answer comes too late.
        let failed = subject.handle.taken().failed;
        say(&mut subject, &asked, r#", "accept": true"#).await;
        subject.until_failed(failed + 1).await;
    }
    let (mut tcp, asked) = ask(&mut subject, &port).await;
    say(&mut subject, &asked, r#", "accept": true"#).await;
    let answer = head(&mut tcp).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
}

#[tokio::test]
async fn what_comes_while_the_flow_thinks_is_for_the_connection() {
    const MESSAGES: usize = 10_000;
    let (mut subject, port) = server(r#", "timeout": 60000"#).await;
    let (mut tcp, asked) = ask(&mut subject, &port).await;
    let (first, rest) = (b"\x81\x81\0\0\0\x007", b"\x81\x81\0\0\0\x007".repeat(MESSAGES - 1));
    tcp.write_all(first).await.unwrap();
    tcp.write_all(&rest).await.unwrap();
    say(&mut subject, &asked, r#", "accept": true"#).await;
    let answer = head(&mut tcp).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    for number in 1..=MESSAGES as u64 {
        let event = loop {
            if let Seen::Event("out", event) = subject.next().await {
                break event;
            }
        };
        assert_eq!(of_server(&event).get("seq"), Some(&number.into()));
    }
}
