use super::super::{Accept, ClientRequest, ExtraHeaders, RejectOptions, Request, accept_http2};
use super::*;
use crate::forwarded::Forwarded;
use crate::origin::{OriginPattern, OriginRules};

const START: Http2Start<'_> = Http2Start {
    method: "CONNECT",
    protocol: Some("websocket"),
    scheme: Some("https"),
    authority: Some("here"),
    path: Some("/chat?a=b"),
    is_complete: false,
};

fn ask(
    start: &Http2Start<'_>,
    fields: &[(&str, &str)],
    options: &HandshakeOptions,
) -> Result<Request, Reject> {
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    Head::from_http2(start, fields, options)?.upgrade_behind(options, &Forwarded::default())
}

fn options() -> HandshakeOptions {
    let allowed = OriginPattern::parse("https://here").unwrap();
    let origins = OriginRules { allowed: Some(vec![allowed]), ..OriginRules::default() };
    let allowed_hosts = vec![super::super::Authority::parse("here").unwrap()];
    HandshakeOptions { secure: true, origins, allowed_hosts, ..HandshakeOptions::default() }
}

#[test]
fn a_connect_becomes_the_request_that_an_upgrade_is() {
    let fields = [
        ("cookie", "a=1"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "p, q"),
        ("cookie", "b=2; c=3"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("origin", "https://here"),
        ("te", "trailers"),
    ];
    let request = ask(&START, &fields, &options()).unwrap();
    assert_eq!((request.path.as_str(), request.query.as_deref()), ("/chat", Some("a=b")));
    assert_eq!((request.authority.host(), request.key.as_str(), request.version), ("here", "", 13));
    assert_eq!(request.protocols, ["p", "q"]);
    assert_eq!(request.headers.get("host"), Some(&b"here"[..]));
    assert_eq!(request.headers.all("cookie").collect::<Vec<_>>(), [&b"a=1; b=2; c=3"[..]]);
    // A header of HTTP/1.1 that says the same.
    let host = [("host", "HERE"), ("sec-websocket-version", "13")];
    assert_eq!(ask(&START, &host, &options()).unwrap().headers.all("host").count(), 1);
    assert!(ask(&Http2Start { authority: None, ..START }, &host, &options()).is_ok());
}

#[test]
fn each_row_has_its_answer() {
    let long = "a".repeat(9000);
    let many = vec![("x", "y"); 101];
    let wide = "a".repeat(17_000);
    let path = |path| Http2Start { path: Some(path), ..START };
    let version = ("sec-websocket-version", "13");
    let also = |field| vec![version, field];
    let long_path = format!("/{long}");
    for (row, start, fields, status) in [
        (3, Http2Start { method: "GE T", ..START }, vec![version], 400),
        (3, Http2Start { scheme: Some("ftp"), ..START }, vec![version], 400),
        (3, path("/a b"), vec![version], 400),
        (3, path("/d\u{ed}a"), vec![version], 400),
        (3, START, also(("Upper", "x")), 400),
        (3, START, also(("", "x")), 400),
        (3, START, also(("x", "a\r\nb: c")), 400),
        (3, START, also(("connection", "upgrade")), 400),
        (3, START, also(("upgrade", "websocket")), 400),
        (3, START, also(("transfer-encoding", "chunked")), 400),
        (3, START, also(("keep-alive", "1")), 400),
        (3, START, also(("proxy-connection", "close")), 400),
        (3, START, also(("te", "gzip")), 400),
        (4, path(&long_path), vec![version], 414),
        (5, START, also(("x", &wide)), 431),
        (5, START, many, 431),
        (7, Http2Start { method: "GET", protocol: None, ..START }, vec![version], 405),
        (7, Http2Start { protocol: None, ..START }, vec![version], 501),
        (7, Http2Start { protocol: Some("connect-udp"), ..START }, vec![version], 501),
        (8, Http2Start { method: "POST", protocol: None, ..START }, vec![version], 405),
        (9, START, also(("content-length", "1")), 400),
        (9, Http2Start { is_complete: true, ..START }, vec![version], 400),
        (10, Http2Start { authority: None, ..START }, vec![version], 400),
        (10, Http2Start { authority: Some("me@here"), ..START }, vec![version], 400),
        (10, Http2Start { authority: Some("elsewhere"), ..START }, vec![version], 421),
        (10, START, also(("host", "elsewhere")), 400),
        (10, START, vec![version, ("host", "here"), ("host", "here")], 400),
        (11, path("*"), vec![version], 400),
        (11, path("https://here/"), vec![version], 400),
        (11, path("/a#b"), vec![version], 400),
        (11, path("/%2"), vec![version], 400),
        (11, path("/a/%2e%2E/b"), vec![version], 400),
        (13, START, vec![], 400),
        (13, START, vec![version, version], 400),
        (13, START, vec![("sec-websocket-version", "8")], 400),
        (15, START, also(("origin", "https://elsewhere")), 403),
        (15, START, vec![version, ("origin", "https://here"), ("origin", "https://here")], 400),
        (16, START, also(("sec-websocket-protocol", "p, p")), 400),
        (16, START, also(("sec-websocket-extensions", "=")), 400),
    ] {
        let reject = ask(&start, &fields, &options()).expect_err(&format!("row {row}: {start:?} {fields:?}"));
        assert_eq!(reject.status, status, "row {row}: {start:?} {fields:?}: {reject:?}");
    }
}

#[test]
fn answers_have_nothing_that_belongs_to_one_connection() {
    let reject = Reject::upgrade_required("no_upgrade", "no", "13").with_header("X-One", "1");
    let answer = reject.answer(&RejectOptions::default());
    let names: Vec<&str> = answer.http2_fields().map(|(name, _)| name).collect();
    assert_eq!(names, ["Sec-WebSocket-Version", "X-One", "Content-Type", "Content-Length"]);
    assert_eq!(answer.body, "no\n");
    let fields = [("sec-websocket-version", "13"), ("sec-websocket-protocol", "p")];
    let request = ask(&START, &fields, &options()).unwrap();
    let more = [("Keep-Alive", "x"), ("X-Two", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let more = ExtraHeaders::for_response(more.to_vec()).unwrap();
    let accept =
        Accept { protocol: Some("p"), cookie: Some("c=1"), headers: Some(&more), ..Accept::default() };
    let fields = accept_http2(&request, &accept).unwrap();
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(fields, ["Sec-WebSocket-Protocol: p", "Set-Cookie: c=1", "X-Two: 2"]);
    assert!(accept_http2(&request, &Accept { protocol: Some("q"), ..Accept::default() }).is_err());
}

#[test]
fn credentials_come_without_a_body() {
    let options = HandshakeOptions::default();
    for (is_complete, length, lets) in
        [(true, None, true), (false, None, false), (false, Some("0"), true), (true, Some("5"), false)]
    {
        let start = Http2Start { method: "POST", protocol: None, is_complete, ..START };
        let media_type = ("content-type", &b"application/x-challenge-response"[..]);
        let fields = [Some(media_type), length.map(|length| ("content-length", length.as_bytes()))];
        let head = Head::from_http2(&start, fields.into_iter().flatten(), &options).unwrap();
        assert!(head.brings_credentials());
        assert_eq!(head.renewal(&options, &Forwarded::default()).is_ok(), lets, "{is_complete} {length:?}");
    }
}

#[test]
fn a_client_asks_and_takes_only_what_it_asked_for() {
    let more = [("Host", "there"), ("Keep-Alive", "x"), ("X-One", "1")];
    let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let request = ClientRequest {
        host: "here".to_owned(),
        target: "/a?b".to_owned(),
        headers: ExtraHeaders::for_request(more.to_vec()).unwrap(),
        protocols: vec!["p".to_owned()],
        require_protocol: true,
        ..ClientRequest::default()
    };
    let connect = ClientConnect::new(request).unwrap();
    assert_eq!((connect.authority.as_str(), connect.path.as_str()), ("there", "/a?b"));
    let fields: Vec<String> = connect.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(fields, ["sec-websocket-version: 13", "Sec-WebSocket-Protocol: p", "X-One: 1"]);
    let answered = |status, fields: &[(&'static str, &'static str)]| {
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        connect.answered(status, fields, b"no").map_err(|error| error.to_string())
    };
    assert_eq!(answered(200, &[("sec-websocket-protocol", "p")]).unwrap().protocol.as_deref(), Some("p"));
    let protocol = "the server chose a subprotocol that was not offered";
    assert_eq!(answered(200, &[("sec-websocket-protocol", "q")]).unwrap_err(), protocol);
    assert_eq!(answered(200, &[]).unwrap_err(), "the server chose none of the subprotocols offered");
    let extension = [("sec-websocket-protocol", "p"), ("sec-websocket-extensions", "x")];
    assert_eq!(answered(200, &extension).unwrap_err(), "the server chose an extension that was not offered");
    assert_eq!(answered(403, &[]).unwrap_err(), "the server answered 403 and opens no WebSocket: no");
}
