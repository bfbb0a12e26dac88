//! Requests for WebSockets by HTTP/2.

use crate::{HandshakeOptions, Head, Http2Start, Request, ServerHandshake};
use bytes::BytesMut;
use std::sync::Arc;

/// Lines are method, `:protocol`, `:scheme`, `:authority` and `:path` of a request by HTTP/2 (where the letter is `-`, it is
/// not there), the others are fields: what is accepted is a request for a WebSocket, and asks for the same as by HTTP/1.1.
///
/// # Panics
/// If not.
pub fn connect_agrees(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let mut next = || lines.next().filter(|line| *line != "-");
    let (method, protocol, scheme, authority, path) = (next(), next(), next(), next(), next());
    let start = Http2Start {
        method: method.unwrap_or("CONNECT"),
        protocol,
        scheme,
        authority,
        path,
        is_complete: data.len() % 8 == 7,
    };
    let fields: Vec<_> = lines.map(|line| line.split_once(':').unwrap_or((line, ""))).collect();
    let options = HandshakeOptions {
        max_target_bytes: 200,
        max_header_bytes: 1000,
        max_headers: 16,
        ..HandshakeOptions::default()
    };
    let bytes = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    let head = match Head::from_http2(&start, bytes, &options) {
        Ok(head) => head,
        Err(reject) => return assert!((400..=599).contains(&reject.status), "{}", reject.status),
    };
    let request = match head.upgrade(&options) {
        Ok(request) => request,
        Err(reject) => return assert!((400..=599).contains(&reject.status), "{}", reject.status),
    };
    assert!(start.method == "CONNECT" && !start.is_complete);
    assert!(start.protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")));
    assert!(request.path.starts_with('/') && request.key.is_empty());
    let others = |name: &str| fields.iter().any(|(own, _)| *own == name);
    assert!(!["connection", "upgrade", "transfer-encoding", "keep-alive"].into_iter().any(others));
    let said_host = fields.iter().find(|(name, _)| *name == "host").map(|(_, value)| *value);
    let Some(host) = authority.or(said_host) else { panic!("nobody knows what host is meant") };
    let same = over_http1(&request, host.trim(), &fields, path.unwrap_or_default());
    assert_eq!(
        (&same.path, &same.query, &same.authority, &same.origin, &same.protocols, &same.extensions),
        (
            &request.path,
            &request.query,
            &request.authority,
            &request.origin,
            &request.protocols,
            &request.extensions
        )
    );
    for (name, value) in &fields {
        let values: Vec<_> = request.headers.all(name).collect();
        let value = value.trim_matches([' ', '\t']);
        let is_there = |own: &&[u8]| *own == value.as_bytes() || *name == "cookie";
        assert!(
            values.iter().any(is_there) || *name == "host" || value.is_empty(),
            "`{name}` is lost: {values:?}"
        );
    }
}

/// The same by HTTP/1.1.
fn over_http1(request: &Request, host: &str, fields: &[(&str, &str)], path: &str) -> Request {
    let own = ["host", "sec-websocket-key", "sec-websocket-version", "connection", "upgrade"];
    let fields = fields.iter().filter(|(name, _)| !own.contains(name));
    let fields: String = fields.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let written = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{fields}\r\n"
    );
    let mut handshake = ServerHandshake::new(Arc::new(HandshakeOptions::default()));
    match handshake.advance(&mut BytesMut::from(written.as_bytes())) {
        Ok(Some(same)) => same,
        other => panic!("{request:?} by HTTP/1.1: {other:?}\n{written}"),
    }
}
