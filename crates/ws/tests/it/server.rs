//! The opening handshake as a server sees it: each row of `spec/websocket.md` 3.1 from 3 to 16.

use bytes::BytesMut;
use std::sync::Arc;
use tremor_ws::{
    Accept, AcceptError, Authority, Extension, ExtraHeaders, Forwarded, HandshakeOptions, OriginRules,
    Reject, RejectOptions, Request, ServerHandshake, accept,
};

const GOOD: [&str; 6] = [
    "GET /ticks?a=1 HTTP/1.1",
    "Host: gate.example:7001",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==",
];

/// The good request with the line that begins with `name` replaced by `lines`, or with `lines` added.
fn request(name: &str, lines: &[&str]) -> String {
    let mut all: Vec<&str> = Vec::new();
    let mut replaced = false;
    for line in GOOD {
        if !name.is_empty() && line.starts_with(name) {
            all.extend(lines);
            replaced = true;
        } else {
            all.push(line);
        }
    }
    if !replaced {
        all.extend(lines);
    }
    all.join("\r\n") + "\r\n\r\n"
}

fn run(text: impl AsRef<[u8]>, options: &HandshakeOptions) -> Result<Option<Request>, Reject> {
    let text = text.as_ref();
    let options = Arc::new(options.clone());
    let whole = ServerHandshake::new(Arc::clone(&options)).advance(&mut BytesMut::from(text));
    let mut handshake = ServerHandshake::new(options);
    let mut input = BytesMut::new();
    let mut result = Ok(None);
    for byte in text {
        input.extend_from_slice(&[*byte]);
        result = handshake.advance(&mut input);
        if !matches!(result, Ok(None)) {
            break;
        }
    }
    assert_eq!(result, whole, "byte by byte gives something else");
    whole
}

fn good(text: impl AsRef<[u8]>) -> Request {
    run(text, &HandshakeOptions::default()).unwrap().expect("the request is complete")
}

fn refused(text: impl AsRef<[u8]>) -> Reject {
    run(text, &HandshakeOptions::default()).unwrap_err()
}

fn statuses(status: u16, label: &str, cases: &[String]) {
    for case in cases {
        let reject = refused(case);
        assert_eq!((reject.status, reject.label), (status, label), "{case:?}");
    }
}

#[test]
fn a_good_request_is_understood() {
    let lines = [
        "origin: https://plant.example",
        "Sec-WebSocket-Protocol: orders.v2, orders.v1",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-other",
        "sec-websocket-protocol: Orders.v1",
        "X-Latin: d\u{ed}a",
    ];
    let got = good(request("", &lines));
    assert_eq!((got.path.as_str(), got.query.as_deref()), ("/ticks", Some("a=1")));
    assert_eq!((got.authority.host(), got.authority.port()), ("gate.example", Some(7001)));
    assert_eq!(got.origin.as_deref(), Some("https://plant.example"));
    assert_eq!(got.protocols, ["orders.v2", "orders.v1", "Orders.v1"]);
    assert_eq!(got.extensions[0].params, [("client_max_window_bits".to_owned(), None)]);
    assert_eq!(got.extensions[1].name, "x-other");
    assert_eq!((got.key.as_str(), got.version), ("AAECAwQFBgcICQoLDA0ODw==", 13));
    assert_eq!(got.headers.len(), 10);
    assert_eq!(got.headers.get("x-latin"), Some("d\u{ed}a".as_bytes()));
}

#[test]
fn header_names_and_tokens_have_no_case_and_lists_may_be_split() {
    let text = "GET / HTTP/1.1\r\nHOST:gate.example\r\nuPGRADE: foo\r\nUpgrade: ,WebSocket\r\nCONNECTION: keep-alive\r\n\
                connection:\t UPGRADE \r\nSEC-WEBSOCKET-VERSION:13\r\nsec-websocket-key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n";
    assert_eq!(good(text).path, "/");
}

#[test]
fn bytes_behind_the_request_stay() {
    let mut handshake = ServerHandshake::new(Arc::default());
    let mut input = BytesMut::from((request("", &[]) + "\u{1}frame bytes").as_bytes());
    assert!(handshake.advance(&mut input).unwrap().is_some());
    assert_eq!(&input[..], b"\x01frame bytes");
}

#[test]
fn one_empty_line_in_front_of_the_request_is_skipped() {
    let whole = "\r\n".to_owned() + &request("", &[]);
    for cut in 0..whole.len() {
        let (first, rest) = whole.as_bytes().split_at(cut);
        let mut handshake = ServerHandshake::new(Arc::default());
        let mut input = BytesMut::from(first);
        assert_eq!(handshake.advance(&mut input), Ok(None), "{cut}");
        assert_eq!(handshake.has_begun(), cut > 2);
        input.extend_from_slice(rest);
        assert!(handshake.advance(&mut input).unwrap().is_some(), "{cut}");
        assert!(input.is_empty());
    }
}

#[test]
fn an_unfinished_request_waits() {
    let whole = request("", &[]);
    for end in 0..whole.len() {
        let mut handshake = ServerHandshake::new(Arc::default());
        let mut input = BytesMut::from(&whole.as_bytes()[..end]);
        assert_eq!(handshake.advance(&mut input), Ok(None));
        assert_eq!(handshake.has_begun(), end > 0);
        assert_eq!(input.len(), end, "the bytes stay");
    }
}

#[test]
fn row_3_malformed_requests() {
    let mut cases = vec![
        "\r\n\r\nGET / HTTP/1.1\r\n".to_owned(),
        "\rGET / HTTP/1.1\r\n".to_owned(),
        "\nGET / HTTP/1.1\r\n".to_owned(),
        "GET / HTTP/1.1\n".to_owned(),
        "GET / HTTP/1.1\rX".to_owned(),
        "GET  / HTTP/1.1\r\n".to_owned(),
        " GET / HTTP/1.1\r\n".to_owned(),
        "GET / HTTP/1.1 \r\n\r\n".to_owned(),
        "GET /a b HTTP/1.1\r\n".to_owned(),
        "GET /d\u{ed}a HTTP/1.1\r\n".to_owned(),
        "GET /\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "G@T / HTTP/1.1\r\n".to_owned(),
        "GET / HTTQ/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/\r\n\r\n".to_owned(),
        "GET / HTTP/x.y\r\n\r\n".to_owned(),
        "GET / HTTP/1.1111111111111111\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}".to_owned(),
        "A".repeat(33),
    ];
    for line in [
        "Folded: a\r\n b",
        "Folded: a\r\n\tb",
        "Space : a",
        "No colon",
        ": nameless",
        "A\0: b",
        "B: a\0b",
        "C: \u{7f}",
    ] {
        cases.push(request("", &[line]));
    }
    for line in ["A: b\nC: d", "A: b\rC: d"] {
        cases.push(request("", &[line]));
    }
    statuses(400, "malformed", &cases);
    // What can never become a request is refused without waiting for its end.
    statuses(400, "malformed", &["\u{16}".to_owned(), "GET / HTTP/1.1\r\nA: b\r\n ".to_owned()]);
}

#[test]
fn row_4_target_size() {
    let target = |len: usize| request("GET", &[&format!("GET /{} HTTP/1.1", "a".repeat(len - 1))]);
    assert_eq!(good(target(8192)).path.len(), 8192);
    statuses(414, "target_too_long", &[target(8193), format!("GET /{}", "a".repeat(8192))]);
}

#[test]
fn row_5_header_size_and_number() {
    let base = request("", &[]).len() - GOOD[0].len() - 2;
    let filled = |bytes: usize| request("", &[&format!("X: {}", "x".repeat(bytes - base - 5))]);
    assert!(good(filled(16384)).headers.len() == 6);
    statuses(431, "headers_too_large", &[filled(16385), request("", &[&"x".repeat(20_000)])]);
    assert_eq!(good(request("", &["A: b"; 95])).headers.len(), 100);
    statuses(431, "too_many_headers", &[request("", &["A: b"; 96])]);
    let small = HandshakeOptions {
        max_header_bytes: 300,
        max_headers: 7,
        max_target_bytes: 20,
        ..Default::default()
    };
    assert!(run(request("", &["A: b"; 2]), &small).unwrap().is_some());
    assert_eq!(run(request("", &["A: b"; 3]), &small).unwrap_err().status, 431);
}

#[test]
fn row_6_http_version() {
    let cases = ["1.0", "0.9", "1.2", "2.0", "2", "3", "01.1"];
    let cases: Vec<String> = cases.iter().map(|v| request("GET", &[&format!("GET / HTTP/{v}")])).collect();
    statuses(505, "http_version", &cases);
    statuses(505, "http_version", &["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()]);
}

#[test]
fn row_7_no_upgrade() {
    let reject = refused(request("Upgrade", &[]));
    assert_eq!((reject.status, reject.label), (426, "no_upgrade"));
    let text = String::from_utf8(reject.to_bytes(&RejectOptions::default())).unwrap();
    assert!(text.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{text}");
    for line in ["Upgrade: websocket\r\n", "Connection: Upgrade\r\n", "Sec-WebSocket-Version: 13\r\n"] {
        assert!(text.contains(line), "{line} is missing in {text}");
    }
    statuses(426, "no_upgrade", &[request("Upgrade", &["Upgrade: h2c, web socket"])]);
    // The row stands before the method.
    statuses(426, "no_upgrade", &["POST / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()]);
}

#[test]
fn row_8_method() {
    let reject = refused(request("GET", &["POST / HTTP/1.1"]));
    assert_eq!((reject.status, reject.label), (405, "method"));
    assert!(reject.headers.contains(&("Allow".into(), "GET".to_owned())));
    let cases = ["HEAD", "get", "CONNECT", "OPTIONS"]
        .map(|method| request("GET", &[&format!("{method} / HTTP/1.1")]));
    statuses(405, "method", &cases);
    let head = refused(request("GET", &["HEAD / HTTP/1.1"])).to_bytes(&RejectOptions::default());
    assert!(head.ends_with(b"\r\n\r\n"), "an answer to HEAD has no body");
}

#[test]
fn row_9_body() {
    let cases = ["Content-Length: 1", "Content-Length: 0, 0", "Content-Length: x", "Content-Length:"];
    let mut cases: Vec<String> = cases.iter().map(|line| request("", &[line])).collect();
    cases.push(request("", &["Transfer-Encoding: chunked"]));
    cases.push(request("", &["Content-Length: 0", "Transfer-Encoding: identity"]));
    statuses(400, "body", &cases);
    good(request("", &["Content-Length: 0"]));
}

#[test]
fn row_10_host() {
    let cases = ["Host:", "Host: a b", "Host: a:b", "Host: a/b", "Host: u@a", "Host: a:65536", "Host: [::1"];
    let mut cases: Vec<String> = cases.iter().map(|line| request("Host", &[line])).collect();
    cases.push(request("Host", &[]));
    cases.push(request("Host", &["Host: a", "Host: a"]));
    statuses(400, "host", &cases);

    let ours = |hosts: &[&str], external_port, secure| HandshakeOptions {
        allowed_hosts: hosts.iter().map(|host| Authority::parse(host).unwrap()).collect(),
        external_port,
        secure,
        ..Default::default()
    };
    let status = |options: HandshakeOptions, host: &str| {
        run(request("Host", &[&format!("Host: {host}")]), &options)
            .map_or_else(|reject| reject.status, |_| 101)
    };
    assert_eq!(status(ours(&["gate.example"], None, false), "GATE.example:99"), 101);
    assert_eq!(status(ours(&["a", "gate.example:80"], None, false), "gate.example"), 101);
    assert_eq!(status(ours(&["gate.example:80"], None, true), "gate.example"), 421);
    assert_eq!(status(ours(&["gate.example:443"], None, true), "gate.example"), 101);
    assert_eq!(status(ours(&["gate.example"], None, false), "other.example"), 421);
    assert_eq!(status(ours(&[], Some(7001), false), "gate.example:7001"), 101);
    assert_eq!(status(ours(&[], Some(7001), false), "gate.example"), 421);
    assert_eq!(status(ours(&[], Some(443), true), "gate.example"), 101);
}

#[test]
fn row_11_target() {
    let target = |target: &str| request("GET", &[&format!("GET {target} HTTP/1.1")]);
    let cases = [
        "*",
        "gate.example:7001",
        "/a#b",
        "/a%",
        "/a%2",
        "/a%zz",
        "ticks",
        "ftp://gate.example:7001/",
        "://gate.example:7001/",
        "http://other.example:7001/",
        "http://gate.example/",
        "http://u@gate.example:7001/",
        "http:///a",
        "?a",
    ];
    statuses(400, "target", &cases.map(target));
    statuses(400, "path", &["/..", "/a/../b", "/a/%2E%2e?x"].map(target));
    for (sent, path, query) in [
        ("/", "/", None),
        ("//a/./b..", "//a/./b..", None),
        ("/a?b=/../c", "/a", Some("b=/../c")),
        ("/a%2Fb%20?c=%7b&?", "/a%2Fb%20", Some("c=%7b&?")),
        ("/?", "/", Some("")),
        ("http://GATE.example:7001", "/", None),
        ("ws://gate.example:7001?x", "/", Some("x")),
        ("HTTPS://gate.example:7001/a?b", "/a", Some("b")),
        ("/to?http://x", "/to", Some("http://x")),
    ] {
        let got = good(target(sent));
        assert_eq!((got.path.as_str(), got.query.as_deref()), (path, query), "{sent}");
        assert_eq!(got.authority.port(), Some(7001));
    }
    let text =
        request("Host", &["Host: gate.example"]).replace("GET /ticks", "GET ws://gate.example:80/ticks");
    assert_eq!(good(text).authority.port(), Some(80), "the target's authority replaces Host");
}

/// What a proxy that is believed says stands for what the request says itself.
#[test]
fn behind_a_proxy_host_and_scheme_are_what_the_client_asked_for() {
    let head = |lines: &[&str]| {
        let mut input = BytesMut::from(request("", lines).as_bytes());
        ServerHandshake::new(Arc::default()).advance_head(&mut input).unwrap().unwrap()
    };
    let forwarded =
        Forwarded { client: None, secure: Some(true), host: Some(Authority::parse("edge.example").unwrap()) };
    let options = HandshakeOptions {
        allowed_hosts: vec![Authority::parse("edge.example").unwrap()],
        external_port: Some(443),
        origins: OriginRules { same_origin: true, ..OriginRules::default() },
        ..HandshakeOptions::default()
    };
    let got = head(&["Origin: https://edge.example"]).upgrade_behind(&options, &forwarded).unwrap();
    assert_eq!((got.authority.host(), got.secure), ("edge.example", true));
    let refused =
        |lines: &[&str], forwarded| head(lines).upgrade_behind(&options, &forwarded).unwrap_err().status;
    assert_eq!(refused(&["Origin: https://gate.example:7001"], forwarded.clone()), 403);
    assert_eq!(refused(&[], Forwarded { secure: None, ..forwarded.clone() }), 421);
    assert_eq!(refused(&[], Forwarded { host: None, ..forwarded }), 421);
}

#[test]
fn row_12_connection() {
    let cases =
        [request("Connection", &[]), request("Connection", &["Connection: keep-alive, up grade, upgraded"])];
    statuses(400, "connection", &cases);
    good(request("Connection", &["Connection: keep-alive, uPGRADE"]));
}

#[test]
fn row_13_version() {
    let lines = |lines: &[&str]| request("Sec-WebSocket-Version", lines);
    let header = "Sec-WebSocket-Version: ";
    let bad = ["", "abc", "13, 8", "+13", "1 3"].map(|value| lines(&[&format!("{header}{value}")]));
    statuses(400, "version", &bad);
    statuses(400, "version", &[lines(&[]), lines(&["Sec-WebSocket-Version: 13"; 2])]);
    let other =
        ["8", "12", "14", "013", "99999999999999999999"].map(|value| lines(&[&format!("{header}{value}")]));
    statuses(426, "version", &other);
    assert!(refused(&other[0]).headers.contains(&("Sec-WebSocket-Version".into(), "13".to_owned())));

    let hybi = HandshakeOptions { enable_hybi10: true, ..Default::default() };
    let text = lines(&["Sec-WebSocket-Version: 8", "Sec-WebSocket-Origin: http://a", "Origin: http://b"]);
    let got = run(text, &hybi).unwrap().unwrap();
    assert_eq!((got.version, got.origin.as_deref()), (8, Some("http://a")));
    assert!(run(request("", &[]), &hybi).is_ok());
    let reject = run(&other[1], &hybi).unwrap_err();
    assert!(reject.headers.contains(&("Sec-WebSocket-Version".into(), "13, 8".to_owned())));
    let old = HandshakeOptions { enable_rfc6455: false, ..hybi };
    assert_eq!(run(request("", &[]), &old).unwrap_err().status, 426);
}

#[test]
fn row_14_key() {
    let values = [
        "",
        "AAECAwQFBgcICQoLDA0ODw=",
        "AAECAwQFBgcICQoLDA0ODw",
        "AAECAwQFBgcICQoLDA0O",
        "AAECAwQFBgcICQoLDA0ODxA=",
        "AAECAwQFBgcICQoLDA0OD==",
        "AAECAwQFBgcICQoLDA0ODwA==",
        "AAECAwQFBgcICQoLDA0O-_==",
        "AAECAwQFBgcICQoLDA0OD===",
        "AAECAwQF BgcICQoLDA0OD==",
    ];
    let mut cases: Vec<String> = values
        .iter()
        .map(|value| request("Sec-WebSocket-Key", &[&format!("Sec-WebSocket-Key: {value}")]))
        .collect();
    cases.push(request("Sec-WebSocket-Key", &[]));
    cases.push(request("Sec-WebSocket-Key", &[GOOD[5], GOOD[5]]));
    statuses(400, "key", &cases);
}

#[test]
fn rows_15_and_16_origin_protocols_extensions() {
    statuses(400, "origin", &[request("", &["Origin: http://a", "Origin: http://a"])]);
    statuses(403, "origin", &[request("", &["Origin: http://d\u{ed}a"])]);
    let cases =
        ["a, b, a", "a b", "", ","].map(|value| request("", &[&format!("Sec-WebSocket-Protocol: {value}")]));
    statuses(400, "protocol", &cases);
    statuses(400, "protocol", &[request("", &["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: a"])]);
    let cases = ["a; =", "a b", "", "a; b=\"c"]
        .map(|value| request("", &[&format!("Sec-WebSocket-Extensions: {value}")]));
    statuses(400, "extensions", &cases);
}

/// Of a request with which everything from some row on is wrong, that row is what is told.
#[test]
fn the_first_row_that_fails_is_the_one_that_is_answered() {
    let options = HandshakeOptions {
        origins: OriginRules { allow_null: false, ..OriginRules::default() },
        ..HandshakeOptions::default()
    };
    let good = ["GET", "/", "X: y", "Host: h", "Connection: upgrade", "Sec-WebSocket-Version: 13"];
    let key = "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==";
    let rows = [
        (6, "HTTP/1.1", "HTTP/1.0", "http_version"),
        (7, "Upgrade: websocket", "X: y", "no_upgrade"),
        (8, good[0], "POST", "method"),
        (9, good[2], "Content-Length: 1", "body"),
        (10, good[3], "X: y", "host"),
        (11, good[1], "/..", "path"),
        (12, good[4], "X: y", "connection"),
        (13, good[5], "X: y", "version"),
        (14, key, "X: y", "key"),
        (15, "X: y", "Origin: null", "origin"),
        (16, "X: y", "Sec-WebSocket-Protocol: a, a", "protocol"),
    ];
    for (first, _, _, label) in rows {
        let of_row = |row: usize| {
            let (_, good, bad, _) = rows[row - 6];
            if row >= first { bad } else { good }
        };
        let lines: Vec<&str> = [7, 9, 10, 12, 13, 14, 15, 16].into_iter().map(of_row).collect();
        let text = format!("{} {} {}\r\n{}\r\n\r\n", of_row(8), of_row(11), of_row(6), lines.join("\r\n"));
        assert_eq!(run(&text, &options).unwrap_err().label, label, "row {first}: {text}");
    }
}

#[test]
fn every_refusal_has_the_same_frame_and_no_request_data() {
    let rejects = [
        refused(request("GET", &["GET /secret%zz HTTP/1.1"])),
        Reject::unavailable(7),
        Reject::timeout(),
        Reject::new(499, "custom", "two\r\nlines")
            .with_header("X-A", "b\r\nEvil: c")
            .with_header("Bad Name", "x"),
    ];
    for reject in rejects {
        let text = String::from_utf8(reject.to_bytes(&RejectOptions::default())).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {} ", reject.status)), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        assert!(
            head.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n")
                && head.ends_with("\r\nConnection: close")
        );
        assert!(body.ends_with('\n') && body.lines().count() == 1 && body.len() > 5, "{body:?}");
        for leak in ["secret", "Evil", "Bad Name", "Server:"] {
            assert!(!text.contains(leak), "{text}");
        }

        let quiet = RejectOptions { error_bodies: false, server: Some("tremor".to_owned()) };
        let text = String::from_utf8(reject.to_bytes(&quiet)).unwrap();
        assert!(text.contains("\r\nContent-Length: 0\r\n") && text.contains("\r\nServer: tremor\r\n"));
        assert!(text.ends_with("\r\n\r\n"));
    }
    let text = String::from_utf8(Reject::unavailable(7).to_bytes(&RejectOptions::default())).unwrap();
    assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n"), "{text}");
    assert_eq!(Reject::timeout().status, 408);
}

#[test]
fn the_101() {
    let offers = ["Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Extensions: x; y=1"];
    let request = good(request("", &offers));
    let plain = accept(&request, &Accept::default()).unwrap();
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: Bz3qJYTGdOe8gUSpLosEdiLKDrk=\r\n\r\n";
    assert_eq!(String::from_utf8(plain).unwrap(), expected);

    let headers = ExtraHeaders::for_response(vec![("X-One".to_owned(), "1".to_owned())]).unwrap();
    let agreed = [Extension { name: "x".to_owned(), params: vec![("z".to_owned(), Some("2".to_owned()))] }];
    let full =
        Accept { protocol: Some("b"), extensions: &agreed, cookie: Some("a=b"), headers: Some(&headers) };
    let text = String::from_utf8(accept(&request, &full).unwrap()).unwrap();
    let more = "Sec-WebSocket-Protocol: b\r\nSec-WebSocket-Extensions: x; z=2\r\nSet-Cookie: a=b\r\nX-One: 1\r\n\r\n";
    assert!(text.ends_with(more), "{text}");

    let wrong = Accept { protocol: Some("B"), ..Accept::default() };
    assert_eq!(accept(&request, &wrong), Err(AcceptError::ProtocolNotOffered { name: "B".to_owned() }));
    let other = [Extension { name: "w".to_owned(), params: vec![] }];
    let wrong = Accept { extensions: &other, ..Accept::default() };
    assert_eq!(accept(&request, &wrong), Err(AcceptError::ExtensionNotOffered { name: "w".to_owned() }));
}

#[test]
fn a_query_is_bounded_by_its_parameters_too() {
    let with = |query: String| request("GET", &[&format!("GET /?{query} HTTP/1.1")]);
    assert_eq!(good(with("&".repeat(1000) + &"a&".repeat(128))).path, "/");
    let reject = refused(with("a&".repeat(129)));
    assert_eq!((reject.status, reject.label), (414, "query"));
}

#[test]
fn thousands_of_offers_do_not_take_long() {
    let offers: Vec<String> = (0..3000).map(|number: u32| format!("{number:x}")).collect();
    let line = format!("Sec-WebSocket-Protocol: {}", offers.join(","));
    assert_eq!(good(request("", &[&line])).protocols, offers);
    assert_eq!(refused(request("", &[&format!("{line},0")])).status, 400);
}

#[test]
fn a_page_is_asked_for_by_its_path_whatever_the_host() {
    let asks = |target: &str, host: &str, path: &str| {
        let text = format!("GET {target} HTTP/1.1\r\n{host}\r\n");
        let options = HandshakeOptions {
            allowed_hosts: vec![Authority::parse("gate.example").unwrap()],
            ..HandshakeOptions::default()
        };
        let head = ServerHandshake::new(Arc::new(options)).advance_head(&mut BytesMut::from(&*text));
        head.unwrap().unwrap().asks_for(path)
    };
    assert!(asks("/up", "Host: 10.0.0.1:80\r\n", "/up") && asks("/up?x", "Host: a\r\n", "/up"));
    assert!(!asks("/up/", "Host: a\r\n", "/up") && !asks("/u", "Host: a\r\n", "/up"));
    assert!(!asks("/up", "", "/up") && !asks("/up", "Host: a\r\nHost: a\r\n", "/up"));
}

#[test]
fn only_a_post_of_its_type_brings_credentials() {
    let brings = |method: &str, lines: &str| {
        let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let head = ServerHandshake::new(Arc::default()).advance_head(&mut BytesMut::from(&*text));
        head.unwrap().unwrap().brings_credentials()
    };
    let kind = "Content-Type: application/X-challenge-response; a=b\r\n";
    assert!(brings("POST", kind));
    assert!(!brings("GET", kind) && !brings("PUT", kind) && !brings("POST", "Content-Type: text/plain\r\n"));
    assert!(!brings("POST", &format!("{kind}{kind}")) && !brings("POST", ""));
    assert!(!brings("POST", &format!("{kind}Upgrade: websocket\r\n")));
}

#[test]
fn the_head_can_be_had_before_the_upgrade_is_checked() {
    let mut handshake = ServerHandshake::new(Arc::default());
    let mut input = BytesMut::from("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = handshake.advance_head(&mut input).unwrap().unwrap();
    assert!(!head.wants_websocket());
    assert_eq!((head.method.as_str(), head.target.as_str()), ("GET", "/healthz"));
    assert_eq!(head.upgrade(&HandshakeOptions::default()).unwrap_err().status, 426);
}
