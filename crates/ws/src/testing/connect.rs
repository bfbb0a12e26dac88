//! Requests for WebSockets by HTTP/2, and answers to them.

use super::handshakes::ACCEPT;
use crate::{
    Accept, ClientConnect, ClientError, ClientHandshake, ClientRequest, Extension, HandshakeOptions, Head,
    Http2Start, Request, Response, ServerHandshake, accept_http2,
};
use bytes::BytesMut;
use std::sync::Arc;

/// Lines are method, `:protocol`, `:scheme`, `:authority` and `:path` of a request by HTTP/2 (where the letter is `-`, it is
/// not there), the others are fields: what is accepted is a request for a WebSocket, asks for the same as by HTTP/1.1, and is
/// answered so that our client understands it.
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
    is_answered(&request);
}

/// Whoever has sent these offers understands what is agreed to.
fn is_answered(request: &Request) {
    let extensions: Vec<_> = request.extensions.iter().filter(|one| one.name == DEFLATE).take(1).collect();
    let extensions: Vec<_> =
        extensions.iter().map(|one| Extension { name: one.name.clone(), params: Vec::new() }).collect();
    let protocol = request.protocols.last().map(String::as_str);
    let agreed = Accept { protocol, extensions: &extensions, ..Accept::default() };
    let fields = match accept_http2(request, &agreed) {
        Ok(fields) => fields,
        Err(error) => panic!("a request cannot be answered: {error}"),
    };
    let client = client(request.protocols.clone());
    let bytes = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    match client.answered(200, bytes, b"") {
        Ok(response) => {
            assert_eq!((response.protocol.as_deref(), &response.extensions), (protocol, &extensions));
        }
        Err(error) => panic!("an answer of ours is not understood: {error}"),
    }
}

const DEFLATE: &str = "permessage-deflate";

fn asked(protocols: Vec<String>) -> ClientRequest {
    ClientRequest {
        host: "a".to_owned(),
        target: "/".to_owned(),
        protocols,
        extensions: vec![Extension { name: DEFLATE.to_owned(), params: Vec::new() }],
        ..ClientRequest::default()
    }
}

fn client(protocols: Vec<String>) -> ClientConnect {
    let Ok(client) = ClientConnect::new(asked(protocols)) else { panic!("a plain request fails") };
    client
}

/// The first line is the status of an answer by HTTP/2, further ones are its fields, and what is behind an empty one is its
/// body: what is agreed to are offers of ours, and it is the same as by HTTP/1.1; all else is refused in words.
///
/// # Panics
/// If not.
pub fn connect_answer_agrees(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.split('\n');
    let status = lines.next().and_then(|line| line.parse().ok());
    let Some(status) = status.filter(|status| (100..=599).contains(status)) else { return };
    let fields: Vec<_> = lines.map(|line| line.split_once(':').unwrap_or((line, ""))).collect();
    let offers = vec!["one".to_owned(), "two".to_owned()];
    let bytes = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    match client(offers.clone()).answered(status, bytes, body.as_bytes()) {
        Ok(response) => {
            assert_eq!(status, 200);
            assert!(response.protocol.iter().all(|name| offers.contains(name)));
            assert!(response.extensions.iter().all(|one| one.name == DEFLATE));
            if let Some(same) = answer_over_http1(&fields, offers) {
                assert_eq!(
                    (&same.protocol, &same.extensions),
                    (&response.protocol, &response.extensions),
                    "by HTTP/1.1"
                );
            }
        }
        Err(error) => {
            let words = error.to_string();
            assert!(!words.is_empty() && !words.contains(char::is_control), "{words:?}");
            let ClientError::Status(refusal) = error else { return assert_eq!(status, 200, "{words}") };
            assert!(refusal.status == status && status != 200, "{status} is told as {}", refusal.status);
            assert!(refusal.body.len() <= 256);
            assert!(refusal.headers.iter().count() == fields.len(), "others see other headers");
        }
    }
}

/// The same by HTTP/1.1, if that can be written.
fn answer_over_http1(fields: &[(&str, &str)], offers: Vec<String>) -> Option<Response> {
    let is_plain = |(name, value): &(&str, &str)| {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        !name.is_empty() && name.bytes().all(is_name) && !value.contains(char::is_control)
    };
    if fields.len() > 16 || !fields.iter().all(is_plain) {
        return None;
    }
    let own = ["upgrade", "connection", "sec-websocket-accept"];
    let fields = fields.iter().filter(|(name, _)| !own.contains(name));
    let fields: String = fields.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let accept = String::from_utf8_lossy(ACCEPT);
    let written = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{fields}\r\n"
    );
    let Ok(mut handshake) = ClientHandshake::with_nonce(asked(offers), [0; 16]) else {
        panic!("a plain request fails")
    };
    match handshake.advance(&mut BytesMut::from(written.as_bytes())) {
        Ok(Some(same)) => Some(same),
        other => panic!("by HTTP/1.1: {other:?}\n{written}"),
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
