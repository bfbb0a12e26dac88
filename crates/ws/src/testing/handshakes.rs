//! Opening handshakes, both sides.

use super::heads::Careless;
use crate::{
    Accept, ClientError, ClientHandshake, ClientRequest, Extension, HandshakeOptions, Refusal, Reject,
    RejectOptions, Request, Response, ServerHandshake, accept,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use std::sync::Arc;

/// The accept value for a key of zeros.
pub(super) const ACCEPT: &[u8] = b"ICX+Yqv66kxgM0FcWaLWlFLwTAI=";

/// Takes `data` for what a client sends first: it is answered the same in pieces of any size, a refusal is an answer that
/// another parser reads, and a request that was accepted is one for that parser too, with one `Host`, one key and no body,
/// and says the same to whoever reads it carelessly. What any client may send is accepted.
///
/// # Panics
/// If not.
pub fn request_agrees(data: &[u8]) {
    let options = Arc::new(HandshakeOptions {
        max_target_bytes: 200,
        max_header_bytes: 1000,
        max_headers: 16,
        ..HandshakeOptions::default()
    });
    let read = |step: usize| {
        let mut handshake = ServerHandshake::new(Arc::clone(&options));
        match in_pieces(data, step, |input| handshake.advance(input)) {
            (Some(read), rest) => (read.map(Some), rest),
            (None, _) => (Ok(None), Vec::new()),
        }
    };
    let whole = read(data.len().max(1));
    for step in [1, 2 + data.len() % 63] {
        assert_eq!(read(step), whole, "in pieces of {step} bytes something else comes out");
    }
    let is_good = is_what_anybody_sends(data);
    match whole {
        (Ok(None), _) => {
            assert!(!data.windows(4).any(|bytes| bytes == b"\r\n\r\n"), "a request that has ended");
        }
        (Ok(Some(request)), rest) => {
            let (head, _) = data.split_at(data.len() - rest.len());
            assert!(data.ends_with(&rest), "what is behind the request has changed");
            is_request(head);
            has_one_reading(&request, data, &rest);
            is_answered(&request);
            return;
        }
        (Err(reject), _) => is_refusal(&reject),
    }
    assert!(!is_good, "a good request is not accepted");
}

/// Hands `advance` the data in pieces of this size, until it has read something or fails; gives that, and what is behind
/// it. `None`: there is too little of it, and nothing was read.
fn in_pieces<T, E>(
    data: &[u8],
    step: usize,
    mut advance: impl FnMut(&mut BytesMut) -> Result<Option<T>, E>,
) -> (Option<Result<T, E>>, Vec<u8>) {
    let mut input = BytesMut::new();
    let mut pieces = data.chunks(step);
    while let Some(piece) = pieces.next() {
        input.extend_from_slice(piece);
        match advance(&mut input) {
            Ok(None) => {}
            Ok(Some(read)) => {
                input.extend_from_slice(&pieces.collect::<Vec<_>>().concat());
                return (Some(Ok(read)), input.to_vec());
            }
            Err(error) => return (Some(Err(error)), Vec::new()),
        }
    }
    (None, input.to_vec())
}

/// Whether `data` is, without any doubt, a request for a WebSocket that is within all limits.
fn is_what_anybody_sends(data: &[u8]) -> bool {
    let Some(read) = Careless::read(data) else { return false };
    let is_plain = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_alphanumeric);
    let [b"GET", [b'/', path @ ..], b"HTTP/1.1"] = read.words[..] else { return false };
    let good_fields = read.fields.iter().all(|(name, value)| match name.to_ascii_lowercase().as_slice() {
        b"host" => is_plain(value),
        b"upgrade" => value.eq_ignore_ascii_case(b"websocket"),
        b"connection" => value.eq_ignore_ascii_case(b"upgrade"),
        b"sec-websocket-version" => *value == b"13",
        b"sec-websocket-key" => value.strip_suffix(b"==").is_some_and(|key| key.len() == 22 && is_plain(key)),
        name => name.strip_prefix(b"x-").is_some_and(is_plain) && value.iter().all(u8::is_ascii_graphic),
    });
    let once = ["host", "upgrade", "connection", "sec-websocket-version", "sec-websocket-key"];
    let is_small = path.len() < 100 && data.len() - read.rest.len() < 1000 && read.fields.len() <= 16;
    let is_complete = once.iter().all(|name| read.all(name).len() == 1);
    is_small && is_complete && good_fields && (path.is_empty() || is_plain(path)) && read.is_neat(data)
}

/// A careless reader finds the same request, field by field, and the same end of it.
fn has_one_reading(request: &Request, data: &[u8], rest: &[u8]) {
    // One empty line in front of a request is ignored (RFC 9112, section 2.2).
    let lines = data.strip_prefix(b"\r\n").unwrap_or(data);
    let Some(read) = Careless::read(lines) else { panic!("others see no request") };
    assert_eq!(read.rest, rest, "others see another end of the request");
    let fields: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_bytes(), value)).collect();
    assert_eq!(read.fields, fields, "others see other headers");
    let [b"GET", target, b"HTTP/1.1"] = read.words[..] else { panic!("others see {:?}", read.words) };
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let asked = format!("{}{query}", request.path);
    if target.starts_with(b"/") {
        assert_eq!(target, asked.as_bytes(), "others see another target");
    } else {
        // A whole URL may go without a path.
        let end = if target.ends_with(asked.as_bytes()) { asked.as_str() } else { query.as_str() };
        let front = target
            .strip_suffix(end.as_bytes())
            .map(|front| String::from_utf8_lossy(front).to_ascii_lowercase());
        let Some((scheme, authority)) = front.as_deref().and_then(|front| front.split_once("://")) else {
            panic!("others see another target: {target:?}")
        };
        assert!(
            ["ws", "wss", "http", "https"].contains(&scheme) && !authority.contains(['/', '?', '#', '@'])
        );
    }
    let [host] = read.all("host")[..] else { panic!("others see another number of hosts") };
    // Without escapes, and but for a port and the root, there is one way to write a name.
    let name = String::from_utf8_lossy(host).to_ascii_lowercase();
    let name = name.split_once(':').map_or(name.as_str(), |(name, _)| name);
    if !name.starts_with('[') && !name.contains('%') {
        assert_eq!(name.strip_suffix('.').unwrap_or(name), request.authority.host());
    }
    assert_eq!(read.all("origin").first().copied(), request.origin.as_deref().map(str::as_bytes));
    assert_eq!(read.all("sec-websocket-key"), [request.key.as_bytes()]);
    let asked = |token: &str, name: &str| read.has_token(name, token);
    assert!(asked("websocket", "upgrade") && asked("upgrade", "connection"));
    assert!(request.protocols.iter().all(|name| asked(name, "sec-websocket-protocol")));
}

/// What was taken for a request is one.
fn is_request(head: &[u8]) {
    let mut slots = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut slots);
    assert!(matches!(parsed.parse(head), Ok(httparse::Status::Complete(len)) if len == head.len()));
    assert_eq!((parsed.method, parsed.version), (Some("GET"), Some(1)));
    let count = |name: &str| parsed.headers.iter().filter(|one| one.name.eq_ignore_ascii_case(name)).count();
    assert_eq!((count("host"), count("sec-websocket-key"), count("sec-websocket-version")), (1, 1, 1));
    assert_eq!(count("transfer-encoding"), 0);
    let has_body =
        |one: &httparse::Header<'_>| one.name.eq_ignore_ascii_case("content-length") && one.value != b"0";
    assert!(!parsed.headers.iter().any(has_body), "a body was announced");
    assert!(!head.contains(&0) && !head.windows(3).any(|bytes| matches!(bytes, [b'\n', b' ' | b'\t', _])));
    let bare = head.iter().zip(head.iter().skip(1)).any(|pair| (*pair.0 == b'\r') != (*pair.1 == b'\n'));
    assert!(!bare, "a line ends with half of a line end");
}

/// The answer to an accepted request is what a client that sent it waits for.
fn is_answered(request: &Request) {
    assert!(request.path.starts_with('/') && !request.path.split('/').any(|segment| segment == ".."));
    let answer = match accept(request, &Accept::default()) {
        Ok(answer) => answer,
        Err(error) => panic!("a request cannot be answered: {error}"),
    };
    // The last digit of a key may say more than 16 bytes: nobody who writes one writes such.
    let Ok(nonce) = STANDARD.decode(&request.key) else { return };
    let Ok(nonce) = <[u8; 16]>::try_from(nonce) else { panic!("a key is not 16 bytes: {}", request.key) };
    let asked = ClientRequest { host: "a".to_owned(), target: "/".to_owned(), ..ClientRequest::default() };
    let Ok(mut client) = ClientHandshake::with_nonce(asked, nonce) else { panic!("a plain request fails") };
    let mut input = BytesMut::from(&answer[..]);
    assert!(matches!(client.advance(&mut input), Ok(Some(_))) && input.is_empty());
}

fn is_refusal(reject: &Reject) {
    assert!((400..=599).contains(&reject.status), "{}", reject.status);
    let bytes = reject.to_bytes(&RejectOptions::default());
    let mut slots = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut slots);
    let Ok(httparse::Status::Complete(head)) = parsed.parse(&bytes) else {
        panic!("not an answer: {bytes:?}")
    };
    assert_eq!(parsed.code, Some(reject.status));
    let value = |name: &str| parsed.headers.iter().find(|one| one.name == name).map(|one| one.value);
    assert!(parsed.headers.iter().any(|one| one.name == "Connection" && one.value == b"close"));
    let len = value("Content-Length").and_then(|len| std::str::from_utf8(len).ok()?.parse().ok());
    let body = bytes.len() - head;
    assert!(len == Some(body) || body == 0, "{len:?} bytes announced, {body} sent");
}

/// Takes `data` for what a server answers: it is understood the same in pieces of any size, and agreed to only if it
/// belongs to our request, offers of ours are all that it agrees to, and so on.
///
/// # Panics
/// If not.
pub fn answer_agrees(data: &[u8]) {
    let asked = ClientRequest {
        host: "a".to_owned(),
        target: "/".to_owned(),
        protocols: vec!["one".to_owned(), "two".to_owned()],
        extensions: vec![Extension { name: "permessage-deflate".to_owned(), params: Vec::new() }],
        ..ClientRequest::default()
    };
    let read = |step: usize| -> (Result<Response, ClientError>, Vec<u8>) {
        let Ok(mut handshake) = ClientHandshake::with_nonce(asked.clone(), [0; 16]) else {
            panic!("a plain request fails")
        };
        match in_pieces(data, step, |input| handshake.advance(input)) {
            (Some(read), rest) => (read, rest),
            (None, rest) => (Err(handshake.cut_short(&rest)), Vec::new()),
        }
    };
    let whole = read(data.len().max(1));
    for step in [1, 2 + data.len() % 63] {
        assert!(read(step) == whole, "in pieces of {step} bytes something else comes out");
    }
    match &whole.0 {
        Ok(response) => {
            assert!(response.protocol.iter().all(|name| asked.protocols.contains(name)));
            assert!(response.extensions.iter().all(|one| one.name == "permessage-deflate"));
            is_agreement(response, data, &whole.1);
            return;
        }
        Err(error) => {
            let words = error.to_string();
            assert!(!words.is_empty() && !words.contains(char::is_control), "{words:?}");
            if let ClientError::Status(refusal) = error {
                is_what_was_refused(refusal, data);
            }
        }
    }
    let good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    let good = [good.as_bytes(), ACCEPT, b"\r\n\r\n"].concat();
    assert!(!data.starts_with(&good), "a good answer is not understood");
}

/// The answer in `data` behind those that say nothing yet, as a careless reader finds it, and its status.
fn last_answer(data: &[u8]) -> (u16, Careless<'_>) {
    let mut rest = data;
    loop {
        let Some(read) = Careless::read(rest) else { panic!("others see no answer") };
        let [version, status, ..] = read.words[..] else { panic!("others see {:?}", read.words) };
        let Some(status) = std::str::from_utf8(status).ok().and_then(|status| status.parse().ok()) else {
            panic!("others see a status of {status:?}")
        };
        assert!(version == b"HTTP/1.1" || version == b"HTTP/1.0");
        if !(100..=199).contains(&status) || status == 101 {
            return (status, read);
        }
        rest = read.rest;
    }
}

/// A careless reader finds the same agreement, and the same end of it.
fn is_agreement(response: &Response, data: &[u8], rest: &[u8]) {
    let (status, read) = last_answer(data);
    assert_eq!((status, read.words.first()), (101, Some(&&b"HTTP/1.1"[..])));
    assert_eq!(read.rest, rest, "others see another end of the answer");
    let fields: Vec<_> = response.headers.iter().map(|(name, value)| (name.as_bytes(), value)).collect();
    assert_eq!(read.fields, fields, "others see other headers");
    assert_eq!(read.all("sec-websocket-accept"), [ACCEPT]);
    assert!(read.all("upgrade").len() == 1 && read.has_token("upgrade", "websocket"));
    assert!(read.has_token("connection", "upgrade"));
    let protocols: Vec<_> = response.protocol.iter().map(String::as_bytes).collect();
    assert_eq!(read.all("sec-websocket-protocol"), protocols);
    let has_extensions = !read.all("sec-websocket-extensions").is_empty();
    assert_eq!(has_extensions, !response.extensions.is_empty());
}

/// What is told of a refusal is what a careless reader finds there.
fn is_what_was_refused(refusal: &Refusal, data: &[u8]) {
    let (status, read) = last_answer(data);
    assert!(refusal.status == status && status != 101, "{status} is told as {}", refusal.status);
    let fields: Vec<_> = refusal.headers.iter().map(|(name, value)| (name.as_bytes(), value)).collect();
    assert_eq!(read.fields, fields, "others see other headers");
    assert!(refusal.body.len() <= 256);
    if matches!(status, 204 | 304) {
        assert!(refusal.body.is_empty());
    } else if read.has_token("transfer-encoding", "chunked") {
        // What is left out between chunks are their sizes.
        let mut rest = read.rest.iter();
        assert!(refusal.body.iter().all(|byte| rest.any(|other| other == byte)));
    } else {
        let digits = |len: &&&[u8]| len.iter().all(u8::is_ascii_digit);
        let announced =
            read.all("content-length").first().filter(digits).map(|len| String::from_utf8_lossy(len));
        let announced: Option<usize> = announced.and_then(|len| len.parse().ok());
        let len = announced.unwrap_or(256).min(256).min(read.rest.len());
        assert_eq!(read.rest.get(..len), Some(&refusal.body[..]));
    }
}
