//! The opening handshake as a client sees it.

use bytes::BytesMut;
use std::sync::Arc;
use tremor_ws::{
    Accept, ClientError, ClientHandshake, ClientRequest, Extension, ExtraHeaders, HeaderError, RequestError,
    Response, ServerHandshake, accept,
};

const NONCE: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn plain() -> ClientRequest {
    ClientRequest {
        host: "feed.example:7000".to_owned(),
        target: "/ticks?a=1".to_owned(),
        ..Default::default()
    }
}

fn offering(protocols: &[&str], extensions: &[&str]) -> ClientRequest {
    let extension = |name: &&str| Extension { name: (*name).to_owned(), params: Vec::new() };
    ClientRequest {
        protocols: protocols.iter().map(|&name| name.to_owned()).collect(),
        extensions: extensions.iter().map(extension).collect(),
        ..plain()
    }
}

fn headers(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The right answer with the line that begins with `name` replaced by `lines`, or with `lines` added.
fn answer(name: &str, lines: &[&str]) -> String {
    let right = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: WebSocket",
        "Connection: keep-alive, UPGRADE",
        "Sec-WebSocket-Accept: Bz3qJYTGdOe8gUSpLosEdiLKDrk=",
    ];
    let kept = right.iter().filter(|line| name.is_empty() || !line.starts_with(name)).copied();
    if name == "HTTP" {
        return lines.iter().copied().chain(kept).collect::<Vec<_>>().join("\r\n") + "\r\n\r\n";
    }
    kept.chain(lines.iter().copied()).collect::<Vec<_>>().join("\r\n") + "\r\n\r\n"
}

/// Feeds an answer whole and byte by byte; the connection then ends.
fn run(request: &ClientRequest, text: impl AsRef<[u8]>) -> Result<Response, ClientError> {
    let text = text.as_ref();
    let feed = |size: usize| {
        let mut handshake = ClientHandshake::with_nonce(request.clone(), NONCE).unwrap();
        let mut input = BytesMut::new();
        for piece in text.chunks(size) {
            input.extend_from_slice(piece);
            if let Some(response) = handshake.advance(&mut input)? {
                return Ok(response);
            }
        }
        Err(handshake.cut_short(&input))
    };
    let whole = feed(text.len().max(1));
    assert_eq!(feed(1), whole, "byte by byte gives something else");
    whole
}

fn refusal(text: impl AsRef<[u8]>) -> tremor_ws::Refusal {
    match run(&plain(), text) {
        Err(ClientError::Status(refusal)) => *refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_request_is_written() {
    let request = ClientRequest {
        headers: ExtraHeaders::for_request(headers(&[("X-One", "1"), ("X-One", "2"), ("host", "other")]))
            .unwrap(),
        origin: Some("https://plant.example".to_owned()),
        ..offering(&["a.v2", "a.v1"], &["x", "y"])
    };
    let handshake = ClientHandshake::with_nonce(request, NONCE).unwrap();
    let expected = "GET /ticks?a=1 HTTP/1.1\r\nHost: other\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Version: 13\r\nOrigin: https://plant.example\r\n\
        Sec-WebSocket-Protocol: a.v2, a.v1\r\nSec-WebSocket-Extensions: x, y\r\nX-One: 1\r\nX-One: 2\r\n\r\n";
    assert_eq!(std::str::from_utf8(handshake.request()).unwrap(), expected);
}

#[test]
fn every_request_has_its_own_key() {
    let first = ClientHandshake::new(plain()).unwrap();
    let second = ClientHandshake::new(plain()).unwrap();
    assert_ne!(first.request(), second.request());
}

#[test]
fn our_server_and_our_client_agree() {
    let mut client = ClientHandshake::new(offering(&["a", "b"], &[])).unwrap();
    let mut input = BytesMut::from(client.request());
    let request = ServerHandshake::new(Arc::default()).advance(&mut input).unwrap().unwrap();
    assert_eq!(request.protocols, ["a", "b"]);
    let mut bytes = accept(&request, &Accept { protocol: Some("b"), ..Accept::default() }).unwrap();
    bytes.extend_from_slice(b"\x81\x02hi");
    let mut input = BytesMut::from(&bytes[..]);
    let response = client.advance(&mut input).unwrap().unwrap();
    assert_eq!(response.protocol.as_deref(), Some("b"));
    assert_eq!(&input[..], b"\x81\x02hi", "frames behind the answer stay");
}

#[test]
fn requests_that_cannot_be_written() {
    let refused = |request: ClientRequest| ClientHandshake::new(request).unwrap_err();
    for target in ["", "ticks", "/a b", "/a#b", "/a\r\nX: y", "/d\u{ed}a", "/a%2"] {
        let target = target.to_owned();
        assert_eq!(
            refused(ClientRequest { target: target.clone(), ..plain() }),
            RequestError::Target { target }
        );
    }
    for host in ["", "a b", "a\r\nX: y", "http://a"] {
        let host = host.to_owned();
        assert_eq!(refused(ClientRequest { host: host.clone(), ..plain() }), RequestError::Host { host });
    }
    for protocols in [&["a b"][..], &[""], &["a", "a"]] {
        assert!(matches!(refused(offering(protocols, &[])), RequestError::Protocol { .. }));
    }
    assert!(matches!(refused(offering(&[], &["a b"])), RequestError::Extension { .. }));
    assert_eq!(refused(ClientRequest { origin: Some("a\r\nb".to_owned()), ..plain() }), RequestError::Origin);
    let both = ClientRequest {
        origin: Some("http://a".to_owned()),
        headers: ExtraHeaders::for_request(headers(&[("origin", "http://b")])).unwrap(),
        ..plain()
    };
    assert!(matches!(refused(both), RequestError::Header(HeaderError::Repeated { .. })));
}

#[test]
fn the_right_answer_is_taken() {
    let response = run(&plain(), answer("", &["X-One: 1"])).unwrap();
    assert_eq!((response.protocol, response.extensions.len()), (None, 0));
    assert_eq!(response.headers.get("x-one"), Some(&b"1"[..]));
    let response = run(&offering(&["a", "b"], &[]), answer("", &["Sec-WebSocket-Protocol: b"])).unwrap();
    assert_eq!(response.protocol.as_deref(), Some("b"));
    let response = run(&offering(&[], &["x"]), answer("", &["Sec-WebSocket-Extensions: x; y=1"])).unwrap();
    assert_eq!(response.extensions[0].to_string(), "x; y=1");
    let interim = format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n{}",
        answer("", &[])
    );
    assert!(run(&plain(), interim).is_ok());
}

#[test]
fn wrong_answers_are_refused() {
    use ClientError::{Accept, Connection, Extension, Incomplete, Malformed, Protocol, TooLarge, Upgrade};
    let long = format!("X: {}", "x".repeat(16384));
    let cases: &[(&str, &[&str], ClientError)] = &[
        ("Upgrade", &[], Upgrade),
        ("Upgrade", &["Upgrade: h2c"], Upgrade),
        ("Upgrade", &["Upgrade: websocket, h2c"], Upgrade),
        ("Connection", &[], Connection),
        ("Connection", &["Connection: close"], Connection),
        ("Sec-WebSocket-Accept", &[], Accept),
        ("Sec-WebSocket-Accept", &["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="], Accept),
        ("Sec-WebSocket-Accept", &["Sec-WebSocket-Accept: bz3qJYTGdOe8gUSpLosEdiLKDrk="], Accept),
        ("", &["Sec-WebSocket-Accept: Bz3qJYTGdOe8gUSpLosEdiLKDrk="], Accept),
        ("", &["Sec-WebSocket-Protocol: c"], Protocol),
        ("", &["Sec-WebSocket-Protocol: A"], Protocol),
        ("", &["Sec-WebSocket-Protocol: a, b"], Protocol),
        ("", &["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"], Protocol),
        ("", &["Sec-WebSocket-Extensions: permessage-deflate"], Extension),
        ("", &["Sec-WebSocket-Extensions: x, y"], Extension),
        ("", &["Sec-WebSocket-Extensions: x;"], Extension),
        ("HTTP", &["HTTP/1.0 101 Switching Protocols"], Malformed),
        ("HTTP", &["HTTP/2 101"], Malformed),
        ("HTTP", &["SSH-2.0-OpenSSH_9.6"], Malformed),
        ("", &["Folded: a\r\n b"], Malformed),
        ("", &["A\0: b"], Malformed),
        ("", &[&long], TooLarge),
        ("", &["A: b"; 98], TooLarge),
    ];
    let request = offering(&["a", "b"], &["x"]);
    for (name, lines, error) in cases {
        assert_eq!(run(&request, answer(name, lines)), Err(error.clone()), "{lines:?}");
    }
    let picky = ClientRequest { require_protocol: true, ..request };
    assert_eq!(run(&picky, answer("", &[])), Err(ClientError::ProtocolMissing));
    assert_eq!(run(&plain(), ""), Err(Incomplete));
    assert_eq!(run(&plain(), "HTTP/1.1 101 Switching"), Err(Incomplete));
    assert_eq!(run(&plain(), "HTTP/1.1 100 Continue\r\n\r\n".repeat(20)), Err(Malformed));
    let behind = |count| run(&plain(), "HTTP/1.1 100 Continue\r\n\r\n".repeat(count) + &answer("", &[]));
    assert!(behind(8).is_ok());
    assert_eq!(behind(9), Err(Malformed), "as many as may come, and one more");
    assert_eq!(run(&plain(), "x".repeat(5000)), Err(Malformed));
}

#[test]
fn refusals_tell_status_body_and_delay() {
    let text = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\nRetry-After: 12\r\n\r\nbusy\nmore";
    let busy = refusal(text);
    assert_eq!((busy.status, &busy.body[..], busy.retry_after), (503, &b"busy\n"[..], Some(12)));
    let error = run(&plain(), text).unwrap_err();
    assert_eq!(error.to_string(), "the server answered 503 and opens no WebSocket: busy");

    let moved = refusal("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((moved.status, moved.headers.get("location")), (302, Some(&b"/b"[..])));
    let basic = refusal("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\nno\x1bway");
    assert_eq!((basic.status, &basic.body[..], basic.retry_after), (401, &b"no\x1bway"[..], None));
    assert!(basic.headers.get("www-authenticate").is_some());
    assert!(basic.to_string().ends_with("no way"), "{basic}");

    for value in ["soon", "-1", "", "1.5", "Fri, 31 Dec 1999 23:59:59 GMT", "99999999999999999999999"] {
        let text = format!("HTTP/1.1 429 Too Many Requests\r\nRetry-After: {value}\r\n\r\n");
        assert_eq!(refusal(text).retry_after, None, "{value}");
    }
    assert_eq!(refusal("HTTP/1.1 204 No Content\r\n\r\nx").body, b"");
    assert_eq!(refusal("HTTP/1.0 400 Bad Request\r\n\r\n").status, 400);
}

#[test]
fn bodies_are_cut_to_256_bytes() {
    let long = "x".repeat(50_000);
    for head in ["Content-Length: 50000", "X: without length"] {
        let got = refusal(format!("HTTP/1.1 404 Not Found\r\n{head}\r\n\r\n{long}"));
        assert_eq!(got.body, long.as_bytes()[..256]);
    }
    let short = refusal("HTTP/1.1 404 Not Found\r\nContent-Length: 50000\r\n\r\nthat was all");
    assert_eq!(short.body, b"that was all");
}

#[test]
fn chunked_bodies_are_joined() {
    let head = "HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refusal(format!("{head}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")).body, b"abcde");
    assert_eq!(refusal(format!("{head}5\r\nab")).body, b"ab");
    assert_eq!(refusal(format!("{head}zz\r\nab")).body, b"");
    assert_eq!(refusal(format!("{head}1\r\na\r\n").repeat(1) + &"1\r\na\r\n".repeat(600)).body, [b'a'; 256]);
    assert_eq!(refusal(format!("{head}ffffffffffffffff\r\n{}", "y".repeat(9000))).body, [b'y'; 256]);
}
