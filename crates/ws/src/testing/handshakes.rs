//! Opening handshakes, both sides.

use crate::{
    Accept, ClientError, ClientHandshake, ClientRequest, Extension, HandshakeOptions, Reject, RejectOptions,
    Request, Response, ServerHandshake, accept,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use std::sync::Arc;

/// Takes `data` for what a client sends first: it is answered the same in pieces of any size, a refusal is an answer that
/// another parser reads and in which nothing of the request stands, and a request that was accepted is one for that parser
/// too, with one `Host`, one key and no body.
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
        let mut input = BytesMut::new();
        let mut pieces = data.chunks(step);
        while let Some(piece) = pieces.next() {
            input.extend_from_slice(piece);
            match handshake.advance(&mut input) {
                Ok(None) => {}
                Ok(request) => {
                    input.extend_from_slice(&pieces.collect::<Vec<_>>().concat());
                    return (Ok(request), input.to_vec());
                }
                Err(reject) => return (Err(reject), Vec::new()),
            }
        }
        (Ok(None), Vec::new())
    };
    let whole = read(data.len().max(1));
    for step in [1, 2, 7, 64] {
        assert_eq!(read(step), whole, "in pieces of {step} bytes something else comes out");
    }
    match whole {
        (Ok(None), _) => {}
        (Ok(Some(request)), rest) => {
            let (head, _) = data.split_at(data.len() - rest.len());
            is_request(head);
            is_answered(&request);
        }
        (Err(reject), _) => is_refusal(&reject),
    }
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
        let mut input = BytesMut::new();
        let mut pieces = data.chunks(step);
        while let Some(piece) = pieces.next() {
            input.extend_from_slice(piece);
            match handshake.advance(&mut input) {
                Ok(None) => {}
                Ok(Some(response)) => {
                    input.extend_from_slice(&pieces.collect::<Vec<_>>().concat());
                    return (Ok(response), input.to_vec());
                }
                Err(error) => return (Err(error), Vec::new()),
            }
        }
        (Err(handshake.cut_short(&input)), Vec::new())
    };
    let whole = read(data.len().max(1));
    for step in [1, 2, 7, 64] {
        assert!(read(step) == whole, "in pieces of {step} bytes something else comes out");
    }
    match &whole.0 {
        Ok(response) => {
            assert!(response.protocol.iter().all(|name| asked.protocols.contains(name)));
            assert!(response.extensions.iter().all(|one| one.name == "permessage-deflate"));
            assert_eq!(
                response.headers.get("sec-websocket-accept"),
                Some(&b"ICX+Yqv66kxgM0FcWaLWlFLwTAI="[..])
            );
        }
        Err(error) => {
            let words = error.to_string();
            assert!(!words.is_empty() && !words.contains(char::is_control), "{words:?}");
        }
    }
}
