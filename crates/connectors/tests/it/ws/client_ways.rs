//! Ways to a server: proxies, endpoints, and what events say of it.

use super::{
    client_opening::{line, start, welcome, welcome_on},
    peers::{Port, client, head},
};
use crate::harness::{Linked, Subject, definition, json, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixListener},
};
use tremor_event::{Event, EventId};

const ONCE: &str = r#""none""#;
const SOON: &str = r#"{"retry": {"interval_ms": 1, "growth_rate": 1, "randomized": false}}"#;

fn of_config(config: &str, linked: Linked) -> Subject {
    let mut definition = definition("ws_client", config, r#""json""#, "");
    definition.reconnect = Some(json(SOON));
    Subject::new(&definition, linked).unwrap()
}

/// An event with the number `number` that says `open` of the connection it is for.
pub(super) fn saying(number: u64, open: &str) -> Event {
    Event {
        id: EventId::new(7, 0, number, number),
        payload: tremor_value::Value::from(number).into(),
        meta: json(&format!(r#"{{"ws_client": {{"open": {open}}}}}"#)).into(),
        ingest_ns: 1,
        origin: None,
        is_batch: false,
        receipt: None,
    }
}

/// The payload of the next frame, which is short and masked.
pub(super) async fn next_frame(tcp: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 6];
    within(tcp.read_exact(&mut head)).await.unwrap();
    let mut payload = vec![0; usize::from(head[1] & 0x7f)];
    within(tcp.read_exact(&mut payload)).await.unwrap();
    payload.iter().zip(head[2..].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

#[tokio::test]
async fn a_tunnel_is_asked_for_with_name_and_password() {
    let (proxy, port) = (Port::reserve(), Port::reserve());
    let (through, listener) = (proxy.listen(), port.listen());
    let more = format!(r#", "proxy": "http://me:pw@{}""#, proxy.address());
    let mut subject = client(&port, &more, ONCE);
    let started = start(&subject);
    let mut inner = within(through.accept()).await.unwrap().0;
    let asked = head(&mut inner).await;
    assert!(asked.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", port.address())), "{asked}");
    assert_eq!(line(&asked, "proxy-authorization"), Some("Basic bWU6cHc="));
    let mut outer = port.tcp().await;
    inner.write_all(b"HTTP/1.1 200 Here\r\n\r\n").await.unwrap();
    tokio::spawn(async move { copy_bidirectional(&mut inner, &mut outer).await });
    let (mut tcp, request) = welcome(&listener, "").await;
    assert_eq!(
        (line(&request, "host"), line(&request, "proxy-authorization")),
        (Some(port.address().as_str()), None)
    );
    within(started).await.unwrap().unwrap();
    subject.open();
    tcp.write_all(b"\x81\x011").await.unwrap();
    let event = subject.next_event().await;
    let peer = event.meta.get("ws_client").unwrap().get("peer").unwrap().clone();
    assert_eq!(peer.get("port").unwrap().as_u64(), Some(port.number.into()), "the server, and not the proxy");
}

#[tokio::test]
async fn a_proxy_that_refuses_and_says_no_more_is_understood() {
    let (proxy, port) = (Port::reserve(), Port::reserve());
    let through = proxy.listen();
    let more = format!(
        r#", "proxy": "http://{}", "endpoint": {{"type": "tcp", "host": "127.0.0.1", "port": {}, "timeout": 4}}"#,
        proxy.address(),
        port.number
    );
    let subject = client(&port, &more, ONCE);
    let started = start(&subject);
    let mut inner = within(through.accept()).await.unwrap().0;
    head(&mut inner).await;
    inner.write_all(b"HTTP/1.1 407 Who\r\nContent-Length: 100\r\n\r\nme").await.unwrap();
    let failure = within(started).await.unwrap().unwrap_err();
    assert!(failure.contains("wants other credentials: it answered 407: me"), "{failure}");
}

#[tokio::test]
async fn a_proxy_that_gives_no_tunnel_is_named() {
    for (scheme, said, expected) in [
        (
            "http",
            &b"HTTP/1.1 407 Who\r\nContent-Length: 2\r\n\r\nme"[..],
            "wants other credentials: it answered 407: me",
        ),
        ("http", b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "it answered 502"),
        ("http", b"HTTP/1.1 200 OK\r\n\r\nmore", "more than it was asked"),
        ("http", b"SSH\r\n\r\n", "not valid HTTP"),
        ("http", b"", "ended before"),
        ("socks5h", b"\x05\xff", "wants to know who we are"),
        ("socks5", b"\x05\x00\x05\x02\x00\x01", "rules do not allow"),
    ] {
        let (proxy, port) = (Port::reserve(), Port::reserve());
        let through = proxy.listen();
        let more = format!(r#", "proxy": "{scheme}://{}""#, proxy.address());
        let subject = client(&port, &more, ONCE);
        let started = start(&subject);
        let mut inner = within(through.accept()).await.unwrap().0;
        inner.write_all(said).await.unwrap();
        inner.shutdown().await.unwrap();
        let failure = within(started).await.unwrap().unwrap_err();
        let named =
            format!("cannot connect to {} through the proxy {scheme}://{}", port.address(), proxy.address());
        assert!(failure.contains(&named) && failure.contains(expected), "{failure}");
    }
}

#[tokio::test]
async fn a_silent_proxy_is_left_in_time_and_some_servers_are_reached_without_it() {
    let (proxy, port) = (Port::reserve(), Port::reserve());
    let _silent = proxy.listen();
    let listener = port.listen();
    let endpoint =
        format!(r#"{{"type": "tcp", "host": "127.0.0.1", "port": {}, "timeout": 1}}"#, port.number);
    let more = format!(r#", "proxy": "http://{}", "endpoint": {endpoint}"#, proxy.address());
    let failure = within(client(&port, &more, ONCE).handle.start()).await.unwrap_err();
    assert!(failure.contains("no tunnel within 1s"), "{failure}");
    let more =
        format!(r#", "proxy": "http://{}", "no_proxy": ["10.0.0.0/8", "127.0.0.0/8"]"#, proxy.address());
    let subject = client(&port, &more, ONCE);
    let started = start(&subject);
    let _tcp = welcome(&listener, "").await;
    within(started).await.unwrap().unwrap();
}

#[tokio::test]
async fn socks_leads_to_names_that_we_do_not_know() {
    let proxy = Port::reserve();
    let through = proxy.listen();
    let config =
        format!(r#"{{"url": "ws://feed.invalid:7000/x", "proxy": "socks5h://{}"}}"#, proxy.address());
    let subject = of_config(&config, Linked::Fully);
    let started = start(&subject);
    let mut tcp = within(through.accept()).await.unwrap().0;
    let mut greeting = [0; 3];
    within(tcp.read_exact(&mut greeting)).await.unwrap();
    tcp.write_all(b"\x05\x00").await.unwrap();
    let mut asked = [0; 4 + 1 + 12 + 2];
    within(tcp.read_exact(&mut asked)).await.unwrap();
    assert_eq!(&asked, b"\x05\x01\x00\x03\x0cfeed.invalid\x1b\x58");
    tcp.write_all(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x1b\x58").await.unwrap();
    let request = welcome_on(&mut tcp, "").await;
    assert_eq!(line(&request, "host"), Some("feed.invalid:7000"));
    within(started).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_endpoint_leads_elsewhere_and_the_url_says_what_is_asked_for() {
    let port = Port::reserve();
    let listener = port.listen();
    let endpoint =
        format!(r#"{{"type": "tcp", "host": "127.0.0.1", "port": {}, "version": 4}}"#, port.number);
    for (url, host, path) in
        [(r#""url": "ws://feed.invalid/x", "#, "feed.invalid".to_owned(), "/x"), ("", port.address(), "/")]
    {
        let subject = of_config(&format!(r#"{{{url}"endpoint": {endpoint}}}"#), Linked::Fully);
        let started = start(&subject);
        let (_tcp, request) = welcome(&listener, "").await;
        assert_eq!(line(&request, "host"), Some(host.as_str()));
        assert!(request.starts_with(&format!("GET {path} ")), "{request}");
        within(started).await.unwrap().unwrap();
    }
    let config = format!(r#"{{"url": "ws://feed.invalid/x", "endpoint": {endpoint}}}"#);
    let mut refused = definition("ws_client", &config, r#""json""#, "");
    refused.reconnect = Some(json(ONCE));
    let subject = Subject::new(&refused, Linked::Fully).unwrap();
    let started = start(&subject);
    let mut tcp = within(listener.accept()).await.unwrap().0;
    head(&mut tcp).await;
    tcp.write_all(b"HTTP/1.1 418 No\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let failure = within(started).await.unwrap().unwrap_err();
    assert!(failure.contains(&format!("cannot connect to {}", port.address())), "{failure}");
    let config = r#"{"endpoint": {"type": "tcp", "host": "127.0.0.1", "port": 9, "version": 6}}"#;
    let mut definition = definition("ws_client", config, r#""json""#, "");
    definition.reconnect = Some(json(ONCE));
    let failure = within(Subject::new(&definition, Linked::Fully).unwrap().handle.start()).await.unwrap_err();
    assert!(failure.contains("IP version 6"), "{failure}");
}

#[tokio::test]
async fn a_unix_socket_is_an_endpoint() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("feed.sock");
    let config = format!(r#"{{"endpoint": {{"type": "unix", "path": "{}"}}}}"#, path.display());
    let mut definition = definition("ws_client", &config, r#""json""#, "");
    definition.reconnect = Some(json(ONCE));
    let failure = within(Subject::new(&definition, Linked::Fully).unwrap().handle.start()).await.unwrap_err();
    assert!(failure.contains(&format!("unix:{}", path.display())), "{failure}");
    let listener = UnixListener::bind(&path).unwrap();
    let mut subject = of_config(&config, Linked::Fully);
    let started = start(&subject);
    let mut stream = within(listener.accept()).await.unwrap().0;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(within(stream.read_u8()).await.unwrap());
    }
    let request = String::from_utf8(request).unwrap();
    assert_eq!(line(&request, "host"), Some("localhost"));
    let key = line(&request, "sec-websocket-key").unwrap();
    let answer = format!(
        "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n\x01",
        tremor_ws::accept_key(key)
    );
    stream.write_all(answer.replace('\x01', "").as_bytes()).await.unwrap();
    stream.write_all(b"\x81\x011").await.unwrap();
    within(started).await.unwrap().unwrap();
    subject.open();
    let event = subject.next_event().await;
    let peer = event.meta.get("ws_client").unwrap().get("peer").unwrap().clone();
    assert_eq!(peer.get("unix").unwrap().as_str(), path.to_str());
    assert!(peer.get("uid").unwrap().as_u64().is_some() && peer.get("port").is_none(), "{peer:?}");
}

/// Where nobody listens, an attempt goes on in the background: this waits for the next connection.
async fn open_way(listener: &TcpListener) -> (TcpStream, String) {
    welcome(listener, "").await
}

#[tokio::test]
async fn the_first_event_opens_the_connection_and_waits_for_it() {
    let (one, other) = (Port::reserve(), Port::reserve());
    let (first, second) = (one.listen(), other.listen());
    let config = format!(
        r#"{{"options": {{"defaults": {{"authority": "{}", "path": "/d", "protocol": "v1"}}}},
            "auth": {{"bearer": {{"token": "t"}}}},
            "routes": [{{"when": [{{"path": "/a/{{id}}"}}], "exit": "a"}}, {{"when": [{{"protocol": "v2"}}], "exit": "b"}}],
            "exit": "rest"}}"#,
        one.address()
    );
    let mut subject = of_config(&config, Linked::With(&["a", "b", "rest"]));
    within(subject.handle.start()).await.unwrap();
    subject.open();
    assert!(!subject.handle.status().connected, "nothing is opened before an event comes");
    // Whoever is in front may send.
    within(subject.front.ready()).await;
    subject.deliver(0, saying(1, r#"{"path": "/a/1"}"#)).await;
    subject.deliver(0, saying(2, r#"{"path": "/later"}"#)).await;
    let (mut tcp, request) = open_way(&first).await;
    assert!(request.starts_with("GET /a/1 "), "{request}");
    assert_eq!(
        (line(&request, "authorization"), line(&request, "sec-websocket-protocol")),
        (Some("Bearer t"), Some("v1"))
    );
    assert_eq!((next_frame(&mut tcp).await, next_frame(&mut tcp).await), (b"1".to_vec(), b"2".to_vec()));
    tcp.write_all(b"\x81\x019").await.unwrap();
    let crate::harness::Seen::Event("a", event) = subject.next().await else { panic!("another port") };
    let route = event.meta.get("ws_client").unwrap().get("route").unwrap().clone();
    assert_eq!(route.get("index").unwrap().as_u64(), Some(0));
    let params = event.meta.get("ws_client").unwrap().get("params").unwrap().clone();
    assert_eq!(params, json(r#"{"id": "1"}"#));
    // Lost, it is opened again as before; to another server, by an event that comes first, without our token.
    drop(tcp);
    let (tcp, request) = open_way(&first).await;
    assert!(request.starts_with("GET /a/1 "), "{request}");
    drop(tcp);
    // Or it would come again, where others are waited for.
    within(subject.handle.stop()).await;

    within(subject.handle.stop()).await;
    let mut subject = of_config(&config, Linked::With(&["a", "b", "rest"]));
    within(subject.handle.start()).await.unwrap();
    subject.open();
    let elsewhere = format!(r#"{{"authority": "{}", "protocol": "v2", "scheme": "ws"}}"#, other.address());
    subject.deliver(0, saying(3, &elsewhere)).await;
    let (mut tcp, request) = open_way(&second).await;
    assert!(request.starts_with("GET /d ") && line(&request, "authorization").is_none(), "{request}");
    assert_eq!(next_frame(&mut tcp).await, b"3");
    tcp.write_all(b"\x81\x019").await.unwrap();
    let crate::harness::Seen::Event("b", _) = subject.next().await else { panic!("another port") };

    within(subject.handle.stop()).await;
    let mut subject = of_config(&config, Linked::With(&["a", "b", "rest"]));
    within(subject.handle.start()).await.unwrap();
    subject.open();
    subject.give("4").await;
    let (mut tcp, request) = open_way(&first).await;
    assert!(request.starts_with("GET /d "), "{request}");
    assert_eq!(next_frame(&mut tcp).await, b"4");
    tcp.write_all(b"\x81\x019").await.unwrap();
    let crate::harness::Seen::Event("rest", _) = subject.next().await else { panic!("another port") };
}
