//! Each refusal of the table (`spec/websocket.md` 3.1), over HTTP/2.

use super::peer::Peer;
use crate::ws::peers::server;
use http::{Method, Request};

const VERSION: (&str, &str) = ("sec-websocket-version", "13");

#[tokio::test]
async fn each_row_has_its_answer() {
    let more = r#", "http2": true, "allowed_origins": ["https://*.plant.example"], "allow_null_origin": false,
        "routes": [{"when": [{"path": "/", "protocol": "p"}, {"path": "/open"}], "exit": "out"}]"#;
    let (_subject, port) = server(more).await;
    let mut peer = Peer::connect(&port).await;
    let (long, wide, many) = (format!("/{}", "a".repeat(9000)), "a".repeat(17_000), vec![("x", "y"); 101]);
    let also = |field| vec![VERSION, field];
    let mut wrong = vec![
        (4, peer.request(&long, &[VERSION]), 414, ""),
        (5, peer.request("/", &also(("x", &wide))), 431, ""),
        (5, peer.request("/", &many), 431, ""),
        (9, peer.request("/", &also(("content-length", "1"))), 400, ""),
        (10, peer.request("/", &also(("host", "elsewhere"))), 400, ""),
        (11, peer.request("/a/%2e%2E/b", &[VERSION]), 400, ""),
        (11, peer.request("/a%2", &[VERSION]), 400, ""),
        (13, peer.request("/", &[]), 400, ""),
        (13, peer.request("/", &[("sec-websocket-version", "8")]), 400, "13"),
        (15, peer.request("/", &also(("origin", "https://plant.example"))), 403, ""),
        (15, peer.request("/", &also(("origin", "null"))), 403, ""),
        (16, peer.request("/", &also(("sec-websocket-protocol", "p, p"))), 400, ""),
        (16, peer.request("/", &also(("sec-websocket-extensions", "="))), 400, ""),
        (17, peer.request("/nowhere", &[VERSION]), 404, ""),
        (17, peer.request("/", &also(("sec-websocket-protocol", "q"))), 400, ""),
    ];
    let mut other = peer.request("/open", &[VERSION]);
    other.extensions_mut().insert(h2::ext::Protocol::from_static("connect-udp"));
    wrong.push((7, other, 501, ""));
    for (row, request, status, version) in wrong {
        let answer = peer.answer(request, false).await;
        assert_eq!(answer.status, status, "row {row}: {answer:?}");
        assert_eq!(answer.header("sec-websocket-version").unwrap_or_default(), version, "row {row}");
        let length = answer.header("content-length").unwrap();
        assert_eq!(length, answer.body.len().to_string(), "row {row}");
        assert!(answer.header("connection").is_none() && !answer.body.is_empty(), "row {row}: {answer:?}");
    }
    let ended = peer.request("/open", &[VERSION]);
    assert_eq!(peer.answer(ended, true).await.status, 400);
    for (path, fields) in [
        ("/", also(("sec-websocket-protocol", "q, p"))),
        ("/open", vec![VERSION]),
        ("/open", also(("origin", "https://a.plant.example"))),
    ] {
        let request = peer.request(path, &fields);
        assert_eq!(peer.answer(request, false).await.status, 200, "{path} {fields:?}");
    }
}

#[tokio::test]
async fn hosts_of_others_are_refused() {
    let (_subject, port) = server(r#", "http2": true, "allowed_hosts": ["here"]"#).await;
    let mut peer = Peer::over(port.tcp().await, "elsewhere").await;
    assert_eq!(peer.ask("/").await.status, 421);
    let mut peer = Peer::over(port.tcp().await, "here").await;
    assert_eq!(peer.ask("/").await.status, 200);
}

#[tokio::test]
async fn pages_are_shown_and_other_requests_are_told_what_is_spoken() {
    let (_subject, port) = server(r#", "http2": true, "health": "/healthz", "enable_webstatus": true"#).await;
    let mut peer = Peer::connect(&port).await;
    let request = |method: Method, path: &str| {
        Request::builder().method(method).uri(format!("http://here{path}")).body(()).unwrap()
    };
    let answer = peer.answer(request(Method::GET, "/healthz"), true).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "serving\n"));
    let answer = peer.answer(request(Method::HEAD, "/healthz"), true).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    let answer = peer.answer(request(Method::GET, "/"), true).await;
    assert!(answer.status == 200 && answer.body.contains("<h1>WebSocket</h1>"), "{answer:?}");
    let answer = peer.answer(request(Method::POST, "/"), true).await;
    assert_eq!((answer.status, answer.header("allow").as_deref()), (405, Some("CONNECT")));
}

#[tokio::test]
async fn a_server_that_is_full_is_well() {
    let more = r#", "http2": true, "health": "/healthz", "max_connections": 1"#;
    let (_subject, port) = server(more).await;
    let mut peer = Peer::connect(&port).await;
    let _open = peer.open("/").await;
    assert_eq!(peer.ask("/").await.status, 503);
    let health = Request::builder().uri("http://here/healthz").body(()).unwrap();
    assert_eq!(peer.answer(health, true).await.status, 200);
}

#[tokio::test]
async fn guards_are_asked_and_cookies_are_given() {
    let more = r#", "http2": true, "cookie": {}, "guards": {"tokens": {"type": "bearer", "options":
        {"tokens": {"secret-token": {"identity": "ann"}}}}},
        "routes": [{"guarded": {"tokens": []}, "exit": "out"}]"#;
    let (_subject, port) = server(more).await;
    let mut peer = Peer::connect(&port).await;
    let answer = peer.ask("/").await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
    let request = peer.request("/", &[VERSION, ("authorization", "Bearer secret-token")]);
    let answer = peer.answer(request, false).await;
    assert!(answer.status == 200 && answer.header("set-cookie").unwrap().starts_with("wsid="), "{answer:?}");
}
