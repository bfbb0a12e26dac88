//! Offers of extensions, and answers to them.

use crate::{Accept, Deflate, DeflateOptions, Extension, HandshakeOptions, Request, ServerHandshake, accept};
use bytes::BytesMut;
use std::sync::Arc;

const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";

/// Takes `value` for that of a `Sec-WebSocket-Extensions` header: it is read as by somebody who goes through it letter by
/// letter, what was read is written in such a way that it is read again, and a server that wants to compress takes the first
/// offer that it can, keeps to it, and both sides make the same of the answer.
///
/// # Panics
/// If not.
pub fn extensions_agree(value: &[u8]) {
    let request = request_with(value);
    if !value.iter().any(|byte| matches!(byte, b'\r' | b'\n')) && value.len() < 10_000 {
        assert_eq!(request.as_ref().map(|request| request.extensions.clone()), listed(value));
    }
    let Some(request) = request else { return };
    let written: Vec<String> = request.extensions.iter().map(ToString::to_string).collect();
    assert_eq!(read(written.join(", ").as_bytes()), request.extensions);
    for small in [false, true] {
        let wants = DeflateOptions {
            request_max_window_bits: if small { 9 } else { 15 },
            max_window_bits: if small { 10 } else { 15 },
            ..DeflateOptions::default()
        };
        let taken = request
            .extensions
            .iter()
            .find(|offer| is_understood(offer) && bits(offer, SERVER_BITS) != Some(8));
        let answer = wants.answer(&request.extensions);
        assert_eq!(answer.is_some(), taken.is_some(), "{:?}", request.extensions);
        let (Some((answer, server)), Some(offer)) = (answer, taken) else { continue };
        keeps_to(&answer, offer, &wants);
        let agreed = Accept { extensions: std::slice::from_ref(&answer), ..Accept::default() };
        assert!(accept(&request, &agreed).is_ok(), "{answer}");
        assert_eq!(read(answer.to_string().as_bytes()).as_slice(), std::slice::from_ref(&answer));
        understand_each_other(&answer, &server);
    }
}

/// Whether `offer` is one that a server of this extension knows how to answer.
fn is_understood(offer: &Extension) -> bool {
    let is_new = |at: usize, name: &str| offer.params.iter().take(at).all(|(other, _)| other != name);
    let is_size = |text: &str| ["8", "9", "10", "11", "12", "13", "14", "15"].contains(&text);
    let is_known = |name: &str, value: Option<&str>| match name {
        "server_no_context_takeover" | "client_no_context_takeover" => value.is_none(),
        SERVER_BITS => value.is_some_and(is_size),
        CLIENT_BITS => value.is_none_or(is_size),
        _ => false,
    };
    offer.name == "permessage-deflate"
        && offer
            .params
            .iter()
            .enumerate()
            .all(|(at, (name, value))| is_new(at, name) && is_known(name, value.as_deref()))
}

fn has(extension: &Extension, name: &str) -> bool {
    extension.params.iter().any(|(found, _)| found == name)
}

fn bits(extension: &Extension, name: &str) -> Option<u8> {
    extension.params.iter().find(|(found, _)| found == name)?.1.as_deref()?.parse().ok()
}

/// The answer gives what was asked for, and takes no more than was offered (RFC 7692, 7.1).
fn keeps_to(answer: &Extension, offer: &Extension, wants: &DeflateOptions) {
    assert!(is_understood(answer), "{answer}");
    let fresh = "server_no_context_takeover";
    assert!(has(answer, fresh) || !has(offer, fresh), "{answer} for {offer}");
    let ours = bits(answer, SERVER_BITS).unwrap_or(15);
    assert!(
        (9..=wants.max_window_bits).contains(&ours) && ours <= bits(offer, SERVER_BITS).unwrap_or(15),
        "{answer}"
    );
    assert!(has(answer, SERVER_BITS) || !has(offer, SERVER_BITS), "{answer} for {offer}");
    if has(answer, CLIENT_BITS) {
        let theirs = bits(answer, CLIENT_BITS);
        let most = bits(offer, CLIENT_BITS).unwrap_or(15).min(wants.request_max_window_bits);
        assert!(has(offer, CLIENT_BITS) && theirs == Some(most), "{answer} for {offer}");
    } else {
        assert!(!has(offer, CLIENT_BITS) || wants.request_max_window_bits == 15, "{answer} for {offer}");
    }
}

/// A client that has made the most modest offer makes of the answer what the server does, unless it has to keep to a window
/// that is too small for it.
fn understand_each_other(answer: &Extension, server: &Deflate) {
    let wants = DeflateOptions { max_window_bits: 15, ..DeflateOptions::default() };
    match wants.agree(std::slice::from_ref(answer)) {
        Ok(Some(client)) => {
            assert_eq!((client.ours, client.theirs), (server.theirs, server.ours), "{answer}");
        }
        other => assert!(bits(answer, CLIENT_BITS) == Some(8), "{answer}: {other:?}"),
    }
}

fn read(value: &[u8]) -> Vec<Extension> {
    request_with(value).map(|request| request.extensions).unwrap_or_default()
}

/// A good request with this header, if it is one.
fn request_with(value: &[u8]) -> Option<Request> {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: ";
    let mut input = BytesMut::from(&[head, value, b"\r\n\r\n"].concat()[..]);
    ServerHandshake::new(Arc::new(HandshakeOptions::default())).advance(&mut input).ok()?
}

/// The extensions of a list, read letter by letter as RFC 6455, 9.1, writes them down; `None` if it is no such list.
fn listed(value: &[u8]) -> Option<Vec<Extension>> {
    let (mut letters, mut found) = (Letters(value), Vec::new());
    loop {
        letters.skip_spaces();
        if letters.0.is_empty() {
            return Some(found).filter(|found| !found.is_empty());
        }
        if letters.takes(b',') {
            continue;
        }
        found.push(letters.extension()?);
        if !letters.0.is_empty() && !letters.takes(b',') {
            return None;
        }
    }
}

/// What has not been read.
struct Letters<'a>(&'a [u8]);

impl Letters<'_> {
    /// One extension and the spaces behind it.
    fn extension(&mut self) -> Option<Extension> {
        let (name, mut params) = (self.token()?, Vec::new());
        loop {
            self.skip_spaces();
            if !self.takes(b';') {
                return Some(Extension { name, params });
            }
            self.skip_spaces();
            let name = self.token()?;
            self.skip_spaces();
            let value = if self.takes(b'=') {
                self.skip_spaces();
                Some(if self.takes(b'"') { self.quoted()? } else { self.token()? })
            } else {
                None
            };
            params.push((name, value));
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn takes(&mut self, letter: u8) -> bool {
        let is_next = self.0.first() == Some(&letter);
        if is_next {
            self.next();
        }
        is_next
    }

    fn skip_spaces(&mut self) {
        while self.takes(b' ') || self.takes(b'\t') {}
    }

    fn token(&mut self) -> Option<String> {
        let mut token = String::new();
        while let Some(letter) = self.0.first().filter(|letter| is_of_token(**letter)) {
            token.push(char::from(*letter));
            self.next();
        }
        Some(token).filter(|token| !token.is_empty())
    }

    /// The rest of a quoted string, in which nothing may stand that could not stand without quotes.
    fn quoted(&mut self) -> Option<String> {
        let mut content = String::new();
        loop {
            let letter = match self.next()? {
                b'"' => return Some(content).filter(|content| !content.is_empty()),
                b'\\' => self.next()?,
                letter => letter,
            };
            content.push(char::from(Some(letter).filter(|letter| is_of_token(*letter))?));
        }
    }
}

fn is_of_token(letter: u8) -> bool {
    letter.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&letter)
}
