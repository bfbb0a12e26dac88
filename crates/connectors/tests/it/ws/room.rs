//! Who comes when there is no room, and who looks after a server then (`spec/websocket.md` 3.1, row 1, and 18.1).

use super::{
    control::{self, member},
    metrics::{expect, measured, stopped},
    peers::{Port, head, of_server, server, server_definition, upgrade},
    tls::files,
};
use crate::harness::{Linked, Subject, definition, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What is answered to `request` before the connection ends, however it ends.
async fn answer(port: &Port, request: &str) -> String {
    let mut tcp = port.tcp().await;
    let mut answer = Vec::new();
    let _sent_or_cut = tcp.write_all(request.as_bytes()).await;
    let _read_or_cut = within(tcp.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: here\r\n{more}\r\n")
}

/// A connection that is open.
async fn open(port: &Port, more: &str) -> TcpStream {
    let mut tcp = port.tcp().await;
    tcp.write_all(upgrade("here", more).as_bytes()).await.unwrap();
    assert!(head(&mut tcp).await.starts_with("HTTP/1.1 101 "));
    tcp
}

#[tokio::test]
async fn a_server_that_is_only_full_is_well() {
    for (reject, refused) in [("answer", "HTTP/1.1 503 "), ("drop", "")] {
        for full in [
            r#""max_connections": 1"#,
            r#""max_connections_per_ip": 1"#,
            r#""max_connections_per_ip": 1, "trusted_proxies": ["127.0.0.1"]"#,
        ] {
            let more = format!(r#", "health": "/up", "reject": "{reject}", {full}"#);
            let (_subject, port) = server(&more).await;
            let by = "X-Forwarded-For: 1.2.3.4\r\n";
            let _first = open(&port, by).await;
            let refusal = answer(&port, &upgrade("here", by)).await;
            assert_eq!(refusal.is_empty(), refused.is_empty(), "{more}: {refusal}");
            assert!(refusal.starts_with(refused), "{more}: {refusal}");
            let health = answer(&port, &get("/up", by)).await;
            assert!(health.starts_with("HTTP/1.1 200 ") && health.ends_with("serving\n"), "{more}: {health}");
            // That alone.
            for request in [get("/", by), get("/up/", by), upgrade("here", by).replace("GET /", "GET /up")] {
                let refusal = answer(&port, &request).await;
                assert_eq!(refusal.is_empty(), refused.is_empty(), "{more}: {request}{refusal}");
                assert!(refusal.starts_with(refused), "{more}: {request}{refusal}");
            }
        }
        let more = format!(r#", "health": "/up", "reject": "{reject}", "accept_rate": 1"#);
        let (_subject, port) = server(&more).await;
        // However slow this is, of so many some are too many.
        for _ in 0..30 {
            let health = answer(&port, &get("/up", "")).await;
            assert!(health.starts_with("HTTP/1.1 200 "), "{more}: {health}");
        }
    }
}

/// One that asks for nothing has no more time than others, and no more than so many may do so.
#[tokio::test]
async fn who_asks_for_nothing_is_turned_away_in_time() {
    let full = r#", "health": "/up", "max_connections": 1, "max_pending_handshakes": 1"#;
    let (_subject, port) = server(&format!(r#"{full}, "open_handshake_timeout": 50"#)).await;
    let _first = open(&port, "").await;
    assert!(answer(&port, "").await.starts_with("HTTP/1.1 503 "));
    assert!(answer(&port, "GET /up HTT").await.starts_with("HTTP/1.1 503 "));
    let (_subject, port) = server(&format!(r#"{full}, "open_handshake_timeout": 0"#)).await;
    let _first = open(&port, "").await;
    let _silent = port.tcp().await;
    within(async { while !answer(&port, &get("/up", "")).await.starts_with("HTTP/1.1 503 ") {} }).await;
}

#[tokio::test]
async fn one_that_drains_is_not_well_though_it_drops_others() {
    let (subject, port) = server(r#", "health": "/up", "reject": "drop""#).await;
    subject.front_is_done().await;
    let draining = tokio::spawn({
        let handle = subject.handle.clone();
        async move { handle.drain().await }
    });
    // It may take a moment until everybody knows.
    within(async { while answer(&port, &get("/up", "")).await.starts_with("HTTP/1.1 200 ") {} }).await;
    within(draining).await.unwrap();
    let health = answer(&port, &get("/up", "")).await;
    assert!(health.starts_with("HTTP/1.1 503 ") && health.contains("\r\nRetry-After: "), "{health}");
    let head = answer(&port, &get("/up", "").replace("GET", "HEAD")).await;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(answer(&port, &upgrade("here", "")).await, "");
    within(subject.handle.stop()).await;
}

#[tokio::test]
async fn one_that_is_cut_off_is_told_of_and_counted() {
    let port = Port::reserve();
    let definition = server_definition(&port, r#", "max_connections": 1, "reject": "drop""#);
    let mut subject = Subject::started_with(&measured(definition), Linked::WithControl).await;
    let _first = open(&port, "").await;
    assert_eq!(member(&subject.next_told().await, "kind"), "opened".into());
    for _ in 0..2 {
        assert_eq!(answer(&port, &upgrade("here", "")).await, "");
        let event = subject.next_told().await;
        let members = ["kind", "status", "reason"].map(|name| member(&event, name));
        assert_eq!(members, ["rejected".into(), 0.into(), "unavailable".into()]);
        assert_eq!(of_server(&event).get("tls"), Some(&false.into()));
    }
    expect(&stopped(subject).await, &[("ws.handshake.rejected -|-|in|0|unavailable", "2")]);
}

/// A TLS handshake is what there is no room for.
#[tokio::test]
async fn so_is_one_whose_handshake_with_tls_finds_no_room() {
    let (port, files) = (Port::reserve(), files());
    let config = format!(
        r#"{{"url": "wss://{}", "max_pending_handshakes": 1,
            "tls": {{"cert": "{}", "key": "{}"}}}}"#,
        port.address(),
        files.cert.display(),
        files.key.display()
    );
    let definition = measured(definition("ws_server", &config, r#""json""#, ""));
    let mut subject = Subject::started_with(&definition, Linked::WithControl).await;
    let (mut one, mut other) = (port.tcp().await, port.tcp().await);
    let (mut first, mut second) = ([0; 1], [0; 1]);
    // Neither says anything.
    let read = within(async {
        tokio::select! {
            read = one.read(&mut first) => read,
            read = other.read(&mut second) => read,
        }
    });
    assert_eq!(read.await.unwrap(), 0);
    let event = subject.next_told().await;
    let members = ["kind", "status", "reason"].map(|name| member(&event, name));
    assert_eq!(members, ["rejected".into(), 0.into(), "unavailable".into()]);
    assert_eq!(of_server(&event).get("tls"), Some(&true.into()));
    expect(&stopped(subject).await, &[("ws.handshake.rejected -|-|in|0|unavailable", "1")]);
}

/// Who asks for nothing is not told of: browsers connect in advance.
#[tokio::test]
async fn so_is_one_that_goes_in_the_middle_of_its_request() {
    for more in ["", r#", "http2": true"#, r#", "health": "/up""#] {
        let server = watched(&format!(r#"{more}, "open_handshake_timeout": 50"#)).await;
        assert_eq!(answer(&server.port, "").await, "", "{more}");
        drop(server.port.tcp().await);
        let mut tcp = server.port.tcp().await;
        tcp.write_all(b"PRO").await.unwrap();
        drop(tcp);
        server.expect_unanswered("gone").await;
    }
}

/// The same where there is no room: it hears so, and nobody hears of it.
#[tokio::test]
async fn so_is_one_that_does_so_where_there_is_no_room() {
    for (reject, heard) in [("answer", "HTTP/1.1 503 "), ("drop", "")] {
        let full = r#", "health": "/up", "max_connections": 1, "open_handshake_timeout": 50"#;
        let mut server = watched(&format!(r#"{full}, "reject": "{reject}""#)).await;
        let _first = open(&server.port, "").await;
        assert_eq!(member(&server.subject.next_told().await, "kind"), "opened".into());
        let answer = answer(&server.port, "").await;
        assert!(answer.starts_with(heard) && answer.is_empty() == heard.is_empty(), "{answer}");
        drop(server.port.tcp().await);
        let mut tcp = server.port.tcp().await;
        tcp.write_all(b"GET").await.unwrap();
        drop(tcp);
        server.expect_unanswered("gone").await;
    }
}

/// A server that is measured, with port `control`.
struct Watched {
    subject: Subject,
    port: Port,
}

async fn watched(more: &str) -> Watched {
    let port = Port::reserve();
    let definition = measured(server_definition(&port, more));
    Watched { subject: Subject::started_with(&definition, Linked::WithControl).await, port }
}

impl Watched {
    /// One handshake has ended without an answer, for that reason.
    async fn expect_unanswered(mut self, reason: &str) {
        let event = self.subject.next_told().await;
        let members = ["kind", "status", "reason"].map(|name| member(&event, name));
        assert_eq!(members, ["rejected".into(), 0.into(), reason.into()]);
        let of_request = of_server(&event);
        assert_eq!(of_request.get("tls"), Some(&false.into()));
        assert_eq!(of_request.get("peer").and_then(|peer| peer.get("host")), Some(&"127.0.0.1".into()));
        let counted = format!("ws.handshake.rejected -|-|in|0|{reason}");
        expect(&stopped(self.subject).await, &[(&counted, "1")]);
    }
}

/// Not even what it asks for can be looked at.
#[tokio::test]
async fn one_for_whose_handshake_there_is_no_room_is_cut_off_where_that_is_wanted() {
    let (_subject, port) = server(
        r#", "health": "/up", "reject": "drop", "max_pending_handshakes": 1, "open_handshake_timeout": 0"#,
    )
    .await;
    let _silent = port.tcp().await;
    within(async { while !answer(&port, &get("/up", "")).await.is_empty() {} }).await;
    assert_eq!(answer(&port, &upgrade("here", "")).await, "");
}

/// The memory of a flood is bounded, and its size is known all the same.
#[tokio::test]
async fn of_a_flood_that_the_flow_does_not_take_the_number_is_told() {
    const REQUESTS: u64 = 300;
    let (mut subject, port) = control::server("").await;
    subject.shut();
    for _ in 0..REQUESTS {
        assert!(answer(&port, &get("/", "")).await.starts_with("HTTP/1.1 426 "));
    }
    subject.open();
    let (mut told, mut left_out) = (0, 0);
    while told + left_out < REQUESTS {
        let event = subject.next_told().await;
        assert_eq!(member(&event, "kind"), "rejected".into());
        told += 1;
        left_out += member(&event, "left_out").as_u64().unwrap_or_default();
    }
    assert_eq!(told + left_out, REQUESTS);
    assert!(subject.is_silent());
}
