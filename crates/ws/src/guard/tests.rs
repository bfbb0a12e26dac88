//! Tests of guards as a whole; tokens of RFCs and of another implementation are in files beside.

mod answers;
mod keys;
mod logins;
mod tokens;

use super::*;
use crate::handshake::{HandshakeOptions, Headers, ServerHandshake};
use bytes::BytesMut;

/// What a member of a test file holds.
fn member<'j>(json: &'j Json, name: &str) -> &'j Json {
    json.as_object().and_then(|members| members.get(name)).unwrap_or_else(|| panic!("no `{name}`"))
}

fn text<'j>(json: &'j Json, name: &str) -> &'j str {
    member(json, name).as_str().unwrap_or_else(|| panic!("`{name}` is no text"))
}

/// The headers of a request with these lines.
pub(super) fn headers(lines: &str) -> Headers {
    let mut input = BytesMut::from(
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n{lines}\r\n"
        )
        .as_bytes(),
    );
    let mut handshake = ServerHandshake::new(HandshakeOptions::default().into());
    handshake.advance(&mut input).unwrap().expect("the request is complete").headers
}

/// A guard of that kind, with credentials in the usual place.
fn guard(name: &str, kind: Kind) -> Guard {
    let wanted = if matches!(kind, Kind::Basic(_)) { Wanted::Login } else { Wanted::Token };
    Guard { name: name.into(), realm: name.to_owned(), places: Places::authorization(wanted), kind }
}

/// What a guard thinks of a request with these header lines; slow comparisons are made.
fn verdict(guard: &Guard, lines: &str, keys: Option<&KeySet>) -> Verdict {
    let headers = headers(lines);
    let carrier = Carrier { headers: &headers, query: None, protocols: &[] };
    let presented = Presented { carrier, certificate: None, from_trusted_proxy: false, bound: &[] };
    match guard.authenticate(&presented, keys, 1_700_000_001_000) {
        Step::Done(verdict) | Step::NeedsKeys { otherwise: verdict } => verdict,
        Step::Compare(comparison) => Verdict::of_login(comparison.run()),
    }
}
