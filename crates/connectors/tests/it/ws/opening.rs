//! The opening handshake at a real socket: who gets which answer (`spec/websocket.md` 3.1).

use super::peers::{Port, head, of_server, server, server_definition, upgrade};
use crate::harness::{Clock, Linked, Subject, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A good request with the line that begins with `start` replaced.
fn with(start: &str, line: &str) -> String {
    let request = upgrade("here", "");
    let old = request.split_inclusive("\r\n").find(|line| line.starts_with(start)).unwrap();
    let line = if line.is_empty() { String::new() } else { format!("{line}\r\n") };
    request.replacen(old, &line, 1)
}

/// Every row that needs no other state, with its answer.
#[tokio::test]
async fn each_row_has_its_answer() {
    let more = r#", "allowed_hosts": ["here"], "allowed_origins": ["https://*.plant.example"], "allow_null_origin": false,
        "routes": [{"when": [{"path": "/", "protocol": "p"}, {"path": "/open"}], "exit": "out"}]"#;
    let (_subject, port) = server(more).await;
    let get = |target: &str| with("GET", &format!("GET {target} HTTP/1.1"));
    let also = |line: &str| upgrade("here", &format!("{line}\r\n"));
    for (row, request, status, line) in [
        (3, with("Host", "Host : here"), 400, ""),
        (3, with("Host", "Host: here\r\n folded"), 400, ""),
        (4, get(&format!("/{}", "a".repeat(9000))), 414, ""),
        (5, also(&format!("X: {}", "a".repeat(17_000))), 431, ""),
        (5, also(&vec!["X: y"; 101].join("\r\n")), 431, ""),
        (6, with("GET", "GET / HTTP/1.0"), 505, ""),
        (7, with("Upgrade", ""), 426, "Sec-WebSocket-Version: 13"),
        (7, with("Upgrade", "Upgrade: h2c"), 426, "Upgrade: websocket"),
        (8, with("GET", "POST / HTTP/1.1"), 405, "Allow: GET"),
        (9, also("Content-Length: 1"), 400, ""),
        (9, also("Transfer-Encoding: chunked"), 400, ""),
        (10, with("Host", ""), 400, ""),
        (10, with("Host", "Host: elsewhere"), 421, ""),
        (11, get("/a#b"), 400, ""),
        (11, get("/a/%2e%2E/b"), 400, ""),
        (11, get("http://elsewhere/"), 400, ""),
        (12, with("Connection", "Connection: keep-alive"), 400, ""),
        (13, with("Sec-WebSocket-Version", ""), 400, ""),
        (13, with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), 426, "Sec-WebSocket-Version: 13"),
        (14, with("Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAA"), 400, ""),
        (15, also("Origin: https://plant.example"), 403, ""),
        (15, also("Origin: null"), 403, ""),
        (16, also("Sec-WebSocket-Protocol: p, p"), 400, ""),
        (16, also("Sec-WebSocket-Extensions: ="), 400, ""),
        (17, get("/nowhere"), 404, ""),
        (17, also("Sec-WebSocket-Protocol: q"), 400, "a subprotocol is needed: p"),
        (17, upgrade("here", ""), 400, "a subprotocol is needed: p"),
    ] {
        let answer = port.ask(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "row {row}: {answer}");
        assert!(answer.contains(line), "row {row}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "row {row}: {answer}");
    }
    for request in [
        also("Sec-WebSocket-Protocol: q, p"),
        get("/open"),
        also("Sec-WebSocket-Protocol: p\r\nOrigin: https://a.plant.example"),
        get("http://here/open"),
    ] {
        let mut tcp = port.tcp().await;
        tcp.write_all(request.as_bytes()).await.unwrap();
        let answer = head(&mut tcp).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{request}\n{answer}");
    }
}

#[tokio::test]
async fn one_that_finds_no_room_is_cut_off_where_that_is_wanted() {
    let (_subject, port) = server(r#", "max_connections": 1, "reject": "drop""#).await;
    let _first = port.client().await;
    let mut second = port.tcp().await;
    assert_eq!(within(second.read(&mut [0; 1])).await.unwrap(), 0);
}

#[tokio::test]
async fn addresses_that_may_not_connect_hear_nothing() {
    for (more, lets) in [
        (r#", "allow_from": ["127.0.0.0/8"]"#, true),
        (r#", "allow_from": "10.0.0.0/8""#, false),
        (r#", "deny_from": ["127.0.0.1"]"#, false),
        (r#", "allow_from": ["127.0.0.0/8"], "deny_from": ["127.0.0.1"]"#, false),
        (r#", "deny_from": ["::1", "10.0.0.0/8"]"#, true),
    ] {
        let (_subject, port) = server(more).await;
        let mut tcp = port.tcp().await;
        let mut answer = Vec::new();
        // It may be reset while we write.
        let _sent_or_cut = tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
        let _read_or_cut = within(tcp.read_to_end(&mut answer)).await;
        assert_eq!(!answer.is_empty(), lets, "{more}");
    }
}

/// More than a socket holds, so that whoever does not read it resets the connection.
const MUCH: usize = 8 << 20;

#[tokio::test]
async fn a_refusal_can_be_read_by_one_who_is_still_sending() {
    let (_subject, port) = server(r#", "routes": [{"when": [{"path": "/a"}], "exit": "out"}]"#).await;
    let (mut reading, mut writing) = port.tcp().await.into_split();
    writing.write_all(upgrade("here", "").as_bytes()).await.unwrap();
    within(writing.write_all(&vec![b'x'; MUCH])).await.unwrap();
    let mut answer = String::new();
    within(reading.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.ends_with("\n"), "{answer}");
}

#[tokio::test]
async fn who_is_refused_has_a_second_to_go_and_no_more() {
    let clock = Clock::stop();
    let (_subject, port) = server(r#", "routes": [{"when": [{"path": "/a"}], "exit": "out"}]"#).await;
    let mut tcp = port.tcp().await;
    tcp.write_all(upgrade("here", "").as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(tcp.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    clock.advance(999).await;
    within(tcp.write_all(&vec![b'x'; MUCH])).await.unwrap();
    clock.advance(2).await;
    // Nobody takes it any more.
    within(async { while tcp.write_all(b"x").await.is_ok() {} }).await;
}

/// Who the client is decides a proxy only if it is trusted.
#[tokio::test]
async fn the_client_behind_a_trusted_proxy_is_the_peer() {
    let lines = "X-Forwarded-For: 9.9.9.9, 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: edge\r\n";
    for (more, host, authority, scheme) in [
        ("", "127.0.0.1", "here", "http"),
        (r#", "trusted_proxies": ["10.0.0.0/8"]"#, "127.0.0.1", "here", "http"),
        (r#", "trusted_proxies": ["127.0.0.1"]"#, "1.2.3.4", "edge", "https"),
        (r#", "trusted_proxies": ["127.0.0.1", "1.2.3.0/24"]"#, "9.9.9.9", "edge", "https"),
        (r#", "trust_xff": 2"#, "9.9.9.9", "edge", "https"),
    ] {
        let (mut subject, port) = server(more).await;
        let mut tcp = port.tcp().await;
        tcp.write_all(upgrade("here", lines).as_bytes()).await.unwrap();
        head(&mut tcp).await;
        tcp.write_all(b"\x81\x81\0\0\0\x007").await.unwrap();
        let event = subject.next_event().await;
        let shown = of_server(&event);
        let text = |name: &str| shown.get(name).unwrap().to_string();
        assert_eq!(
            shown.get("peer").unwrap().get("host").unwrap().to_string(),
            format!("\"{host}\""),
            "{more}"
        );
        assert_eq!(text("authority"), format!("\"{authority}\""), "{more}");
        assert_eq!(text("scheme"), format!("\"{scheme}\""), "{more}");
        // What was sent is there as it is.
        assert_eq!(shown.get("headers").unwrap().get("x-forwarded-host").unwrap().to_string(), "\"edge\"");
        assert_eq!(event.origin.unwrap().host, host);
    }
}

/// A proxy that does not say the port of the client has one of its own, which is none of the client's.
#[tokio::test]
async fn host_and_port_of_a_peer_are_of_the_same_side() {
    for (line, expected) in [
        ("X-Forwarded-For: 1.2.3.4", r#"{"host":"1.2.3.4"}"#),
        ("X-Forwarded-For: 1.2.3.4:567", r#"{"host":"1.2.3.4","port":567}"#),
        ("Forwarded: for=\"[2001:db8::1]:567\"", r#"{"host":"2001:db8::1","port":567}"#),
        ("Forwarded: for=\"[2001:db8::1]\"", r#"{"host":"2001:db8::1"}"#),
    ] {
        let (mut subject, port) = server(r#", "trusted_proxies": "127.0.0.1""#).await;
        let mut tcp = port.tcp().await;
        tcp.write_all(upgrade("here", &format!("{line}\r\n")).as_bytes()).await.unwrap();
        head(&mut tcp).await;
        tcp.write_all(b"\x81\x81\0\0\0\x007").await.unwrap();
        let event = subject.next_event().await;
        let peer = of_server(&event).get("peer").unwrap().clone();
        assert_eq!(peer, crate::harness::json(expected), "{line}");
        let said = peer.get("port").and_then(tremor_value::Value::as_u64);
        assert_eq!(event.origin.as_ref().unwrap().port.map(u64::from), said, "{line}");
        subject.deliver(0, event).await;
        let mut answer = [0; 3];
        within(tcp.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"\x81\x017", "{line}");
    }
}

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x17\x01\x02\x03\x04\x05\x06\x07\x08\0\x07\0\x08\x02\0\x04edge\x01\0\x01x";

/// Whether `bytes` and a good request behind them are granted; if so, metadata of the connection.
async fn behind(more: &str, bytes: &[u8]) -> Option<tremor_value::Value> {
    let (mut subject, port) = server(more).await;
    let mut tcp = port.tcp().await;
    // What is refused may be cut off while we write.
    let sent = tcp.write_all(&[bytes, upgrade("here", "").as_bytes(), b"\x81\x81\0\0\0\x007"].concat()).await;
    let mut first = [0; 12];
    let read = within(tcp.read_exact(&mut first)).await;
    if sent.is_err() || read.is_err() {
        return None;
    }
    assert_eq!(&first, b"HTTP/1.1 101");
    Some(of_server(&subject.next_event().await))
}

#[tokio::test]
async fn a_header_of_the_proxy_protocol_names_the_client() {
    for (more, bytes, expected) in [
        (r#""any""#, &b"PROXY TCP4 1.2.3.4 5.6.7.8 7 8\r\n"[..], Some(("1.2.3.4", "null"))),
        (r#""v1""#, b"PROXY UNKNOWN\r\n", Some(("127.0.0.1", "null"))),
        (r#""v2""#, V2, Some(("1.2.3.4", r#"{"alpn":"x","authority":"edge"}"#))),
        (r#""any""#, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", Some(("127.0.0.1", "null"))),
        (r#""v2""#, b"PROXY UNKNOWN\r\n", None),
        (r#""v1""#, V2, None),
        (r#""any""#, b"", None),
        (r#""any""#, b"PROXY TCP4 1.2.3.4\r\n", None),
        (r#""off""#, b"", Some(("127.0.0.1", "null"))),
        (
            r#""any", "proxy_protocol_from": "127.0.0.0/8""#,
            V2,
            Some(("1.2.3.4", r#"{"alpn":"x","authority":"edge"}"#)),
        ),
        (r#""any", "proxy_protocol_from": ["10.0.0.0/8"]"#, V2, None),
        (r#""any", "deny_from": ["1.2.3.4"]"#, V2, None),
        (r#""any", "deny_from": ["127.0.0.1"]"#, V2, Some(("1.2.3.4", r#"{"alpn":"x","authority":"edge"}"#))),
    ] {
        let shown = behind(&format!(r#", "proxy_protocol": {more}"#), bytes).await;
        let got = shown.map(|shown| {
            let host =
                shown.get("peer").and_then(|peer| peer.get("host")).unwrap().as_str().unwrap().to_owned();
            (host, shown.get("proxy").cloned().unwrap_or_default().to_string())
        });
        assert_eq!(
            got.as_ref().map(|(host, proxy)| (host.as_str(), proxy.as_str())),
            expected,
            "{more} {bytes:?}"
        );
    }
}

#[tokio::test]
async fn what_a_proxy_says_besides_is_in_the_metadata() {
    let field = |kind: u8, value: &[u8]| {
        let len = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[kind], &len[..], value].concat()
    };
    let tls = |client: u8, verified: u32, inner: &[Vec<u8>]| {
        field(0x20, &[&[client], &verified.to_be_bytes()[..], &inner.concat()].concat())
    };
    let said = [field(0x21, b"TLSv1.3"), field(0x23, b"AES128"), field(0x22, b"alice")];
    for (fields, expected) in [
        (vec![field(0x05, b"\xff\x00")], r#"{"unique_id": "ff00"}"#),
        (vec![field(0x05, b"id-7")], r#"{"unique_id": "id-7"}"#),
        (vec![field(0x30, b"blue"), field(0x01, b"h2")], r#"{"alpn": "h2", "namespace": "blue"}"#),
        (
            // By TLS, with a certificate that fits.
            vec![tls(0b111, 0, &said)],
            r#"{"tls": {"verified": true, "version": "TLSv1.3", "cipher": "AES128", "common_name": "alice"}}"#,
        ),
        (vec![tls(0b111, 1, &said[..1])], r#"{"tls": {"verified": false, "version": "TLSv1.3"}}"#),
        (vec![tls(0b001, 0, &[])], r#"{"tls": {"verified": false}}"#),
        // What is unknown is passed over.
        (vec![field(0xe0, b"own"), field(0x02, b"edge")], r#"{"authority": "edge"}"#),
    ] {
        let fields = fields.concat();
        let len = u16::try_from(12 + fields.len()).unwrap().to_be_bytes();
        // The addresses are the same, and so is what is in front of the length.
        let header = [&V2[..14], &len, &V2[16..28], &fields].concat();
        let shown = behind(r#", "proxy_protocol": "v2""#, &header).await.unwrap();
        assert_eq!(shown.get("proxy"), Some(&crate::harness::json(expected)), "{expected}");
    }
}

#[tokio::test]
async fn a_header_of_the_proxy_protocol_that_does_not_come_is_waited_for_no_longer_than_a_request() {
    let (_subject, port) = server(r#", "proxy_protocol": "any", "open_handshake_timeout": 100"#).await;
    let mut tcp = port.tcp().await;
    tcp.write_all(b"PROXY TCP4").await.unwrap();
    assert_eq!(within(tcp.read(&mut [0; 1])).await.unwrap(), 0, "not a word");
}

#[tokio::test]
async fn a_client_can_send_a_header_of_the_proxy_protocol() {
    for version in ["v1", "v2"] {
        let more = format!(r#", "proxy_protocol": "{version}", "proxy_protocol_from": ["127.0.0.1"]"#);
        let (mut subject, port) = server(&more).await;
        let more = format!(r#", "send_proxy_protocol": "{version}""#);
        let mut client = super::peers::client(&port, &more, "\"none\"");
        within(client.handle.start()).await.unwrap();
        client.open();
        client.give("7").await;
        let shown = of_server(&subject.next_event().await);
        assert_eq!(shown.get("peer").unwrap().get("host").unwrap().as_str(), Some("127.0.0.1"));
    }
}

#[tokio::test]
async fn a_public_address_says_host_port_and_scheme() {
    let more = r#", "public_url": "wss://edge.example/ws", "same_origin": true"#;
    let (_subject, port) = server(more).await;
    for (host, origin, status) in [
        ("edge.example", "https://edge.example", 101),
        ("edge.example:443", "https://edge.example", 101),
        ("edge.example:8443", "https://edge.example:8443", 421),
        ("other.example", "https://edge.example", 421),
        ("edge.example", "http://edge.example", 403),
    ] {
        let mut tcp = port.tcp().await;
        tcp.write_all(upgrade(host, &format!("Origin: {origin}\r\n")).as_bytes()).await.unwrap();
        let answer = head(&mut tcp).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host} {origin}: {answer}");
    }
}

#[tokio::test]
async fn pages_are_shown_where_they_are_wanted() {
    let more = r#", "health": "/healthz", "enable_webstatus": true,
        "routes": [{"when": [{"path": "/orders/*", "protocol": "p"}], "exit": "out"}]"#;
    let (_subject, port) = server(more).await;
    let ask = async |line: &str| port.ask(&format!("{line} HTTP/1.1\r\nHost: here\r\n\r\n")).await;
    for (line, status, ends) in [
        ("GET /healthz", 200, "\r\n\r\nserving\n"),
        ("GET /healthz?x", 200, "\r\n\r\nserving\n"),
        ("HEAD /healthz", 200, "Content-Length: 8\r\nConnection: close\r\n\r\n"),
        ("POST /healthz", 426, "\n"),
        ("GET /healthz/", 426, "\n"),
        ("GET /orders/x", 200, "</html>\n"),
        ("HEAD /orders/x", 200, "\r\n\r\n"),
        ("GET /elsewhere", 426, "\n"),
    ] {
        let answer = ask(line).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with(ends),
            "{line}: {answer}"
        );
        assert!(!answer.contains("tremor"), "{answer}");
    }
    let (_subject, port) = server(r#", "show_server_version": true, "enable_webstatus": true"#).await;
    let answer = port.ask("GET / HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert!(answer.contains("Content-Type: text/html") && answer.contains("<p>tremor/"), "{answer}");
    let (_subject, port) = server("").await;
    assert!(port.ask("GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.starts_with("HTTP/1.1 426 "));
}

/// While a flow drains its address still answers, with a word to come back later.
#[tokio::test]
async fn who_comes_while_the_flow_drains_is_told_so() {
    let (subject, port) = server(r#", "health": "/healthz""#).await;
    let health = "GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n";
    assert!(port.ask(health).await.starts_with("HTTP/1.1 200 "));
    subject.front_is_done().await;
    let draining = tokio::spawn({
        let handle = subject.handle.clone();
        async move { handle.drain().await }
    });
    for request in [health, &upgrade("here", "")] {
        within(async {
            // It may take a moment until everybody knows.
            while !port.ask(request).await.starts_with("HTTP/1.1 503 ") {}
        })
        .await;
    }
    within(draining).await.unwrap();
    let answer = port.ask(health).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
    within(subject.handle.stop()).await;
    within(async { while tokio::net::TcpStream::connect(port.address()).await.is_ok() {} }).await;
}

/// What will never read again does not serve.
#[tokio::test]
async fn a_server_behind_which_a_sink_has_failed_is_not_well() {
    let (subject, port) = server(r#", "health": "/healthz""#).await;
    let health = "GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n";
    subject.shut();
    assert!(port.ask(health).await.starts_with("HTTP/1.1 200 "), "it may come back");
    subject.lose();
    let answer = port.ask(health).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\nfailed\n"), "{answer}");
}

#[tokio::test]
async fn proxies_that_contradict_themselves_are_refused() {
    let (_subject, port) = server(r#", "trusted_proxies": ["127.0.0.1"]"#).await;
    let x = "X-Forwarded-For: 10.0.0.9\r\n";
    let answer = port.ask(&upgrade("here", &format!("{x}Forwarded: for=1.2.3.4\r\n"))).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("`Forwarded`") && answer.contains("`X-Forwarded`"), "{answer}");
    let mut tcp = port.tcp().await;
    tcp.write_all(upgrade("here", &format!("{x}Forwarded: for=10.0.0.9\r\n")).as_bytes()).await.unwrap();
    assert!(head(&mut tcp).await.starts_with("HTTP/1.1 101 "));
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_refused() {
    let port = Port::reserve();
    for (more, expected) in [
        (r#", "trusted_proxies": ["127.0.0.1"], "trust_xff": 1"#, "config.trust_xff: is another way"),
        (r#", "trusted_proxies": ["localhost"]"#, "config.trusted_proxies[0]: `localhost` is no address"),
        (r#", "allow_from": ["10.0.0.1/8"]"#, "config.allow_from[0]: `10.0.0.1/8` is an address within"),
        (r#", "allow_from": []"#, "config.allow_from: an empty list"),
        (r#", "public_url": "ws://a:1", "external_port": 2"#, "config.external_port: is 2, but"),
        (r#", "public_url": "ftp://a""#, "config.public_url: "),
        (r#", "public_url": "ws://me:secret@a""#, "config.public_url: name and password"),
        (r#", "allowed_origins": ["https://a", "b"]"#, "config.allowed_origins[1]: `b` has no scheme"),
        (r#", "expose_headers": "some""#, "config.expose_headers: expected `all`, `none`, or a list"),
        (r#", "health": "healthz""#, "config.health: is a path"),
        (r#", "proxy_protocol_from": ["::1"]"#, "config.proxy_protocol_from: has no effect"),
        (r#", "proxy_protocol": "v3""#, "config.proxy_protocol: expected one of `off`, `v1`"),
        (r#", "reject": "no""#, "config.reject: expected one of `answer`, `drop`"),
    ] {
        let refused =
            Subject::new(&server_definition(&port, more), Linked::Fully).err().map(|error| error.message);
        let refused = refused.unwrap_or_else(|| panic!("not refused: {more}"));
        assert!(
            refused.contains(expected) && !refused.contains("secret"),
            "{refused}\ninstead of\n{expected}"
        );
    }
}
