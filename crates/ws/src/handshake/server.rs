//! The server's side.

use super::accept_key;
use super::authority::Authority;
use super::headers::{Extension, ExtraHeaders, Headers, write_header};
use super::http2::{Form, is_for_http2};
use super::reject::Reject;
use super::request::{Head, Request};
use super::scan::{FirstLine, HeadEnd, HeadLimits, Scanner};
use crate::origin::OriginRules;
use bytes::{Buf, Bytes, BytesMut};
use std::sync::Arc;

/// What a listener demands of requests. Source: `spec/websocket.md` 3.1 and 19.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeOptions {
    /// `max_target_size`: bytes of the request target. Default 8 KiB.
    pub max_target_bytes: usize,
    /// `max_header_size`: bytes of all header lines. Default 16 KiB.
    pub max_header_bytes: usize,
    /// Header lines. Default 100.
    pub max_headers: usize,
    /// Hosts we answer for; empty for all. An entry without a port admits every port.
    pub allowed_hosts: Vec<Authority>,
    /// The port that clients see, if `Host` has to name it.
    pub external_port: Option<u16>,
    /// Whether clients reach us over TLS, as far as no proxy says otherwise; decides the default port.
    pub secure: bool,
    /// Which pages may open connections.
    pub origins: OriginRules,
    /// Version 13. Default true. With neither version enabled every request is refused; a configuration that asks
    /// for that is a mistake to report before.
    pub enable_rfc6455: bool,
    /// Version 8, a draft that differs only in its number and in the name of the origin header. Default false.
    pub enable_hybi10: bool,
}

impl Default for HandshakeOptions {
    fn default() -> Self {
        Self {
            max_target_bytes: 8 << 10,
            max_header_bytes: 16 << 10,
            max_headers: 100,
            allowed_hosts: Vec::new(),
            external_port: None,
            secure: false,
            origins: OriginRules::default(),
            enable_rfc6455: true,
            enable_hybi10: false,
        }
    }
}

impl HandshakeOptions {
    /// The versions spoken, as `Sec-WebSocket-Version` lists them.
    pub(super) fn versions(&self) -> &'static str {
        match (self.enable_rfc6455, self.enable_hybi10) {
            (_, false) => "13",
            (true, true) => "13, 8",
            (false, true) => "8",
        }
    }
}

/// Reads the request of one connection from bytes that may be cut anywhere.
///
/// The caller keeps the time; on its deadline it sends [`Reject::timeout`] if
/// [`has_begun`](Self::has_begun), and nothing otherwise.
#[derive(Debug)]
pub struct ServerHandshake {
    options: Arc<HandshakeOptions>,
    scanner: Scanner,
    /// An empty line in front of the request was skipped, or there was none (RFC 9112 2.2).
    has_skipped: bool,
}

impl ServerHandshake {
    /// For a fresh connection.
    pub fn new(options: Arc<HandshakeOptions>) -> Self {
        Self { options, scanner: Scanner::default(), has_skipped: false }
    }

    /// Whether at least one byte of a request came.
    pub fn has_begun(&self) -> bool {
        self.scanner.has_begun()
    }

    /// Looks at what `input` holds; `None` until the request is complete.
    ///
    /// Until then `input` keeps its bytes, but for an empty line in front of the request, and only grows. A complete request is taken out of it; what is behind
    /// stays and belongs to the [`Decoder`](crate::Decoder).
    ///
    /// # Errors
    /// The answer for the first row of `spec/websocket.md` 3.1 (3 to 16) that fails; write it and close.
    pub fn advance(&mut self, input: &mut BytesMut) -> Result<Option<Request>, Reject> {
        match self.advance_head(input)? {
            Some(head) => head.upgrade(&self.options).map(Some),
            None => Ok(None),
        }
    }

    /// The first half of [`advance`](Self::advance), rows 3 to 6, for listeners that serve other requests too.
    ///
    /// # Errors
    /// As for [`advance`](Self::advance).
    pub fn advance_head(&mut self, input: &mut BytesMut) -> Result<Option<Head>, Reject> {
        let HandshakeOptions { max_target_bytes, max_header_bytes, max_headers, .. } = *self.options;
        let first_line = FirstLine::Request { max_target_bytes };
        let limits = HeadLimits { first_line, max_header_bytes, max_headers };
        if !self.has_skipped && !self.scanner.has_begun() {
            match &**input {
                b"" | b"\r" => return Ok(None),
                [b'\r', b'\n', ..] => input.advance(2),
                _ => {}
            }
            self.has_skipped = true;
        }
        let Some(end) = self.scanner.scan(input, &limits)? else { return Ok(None) };
        self.scanner = Scanner::default();
        parse_head(input.split_to(end.head).freeze(), end).map(Some)
    }
}

fn parse_head(raw: Bytes, end: HeadEnd) -> Result<Head, Reject> {
    let malformed = || Reject::bad_request("malformed", "the request is not valid HTTP");
    let line =
        raw.get(..end.first_line).and_then(|line| std::str::from_utf8(line).ok()).ok_or_else(malformed)?;
    let mut words = line.trim_end_matches("\r\n").split(' ').map(str::to_owned);
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed());
    };
    let digits = version.strip_prefix("HTTP/").ok_or_else(malformed)?;
    let known_form = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    if digits.is_empty() || !digits.bytes().all(known_form) {
        return Err(malformed());
    }
    let mut slots = vec![httparse::EMPTY_HEADER; end.headers];
    let lines = raw.get(end.first_line..).unwrap_or_default();
    let headers = match httparse::parse_headers(lines, &mut slots) {
        Ok(httparse::Status::Complete((_, parsed))) => Headers::new(raw.clone(), parsed),
        Ok(httparse::Status::Partial) | Err(_) => return Err(malformed()),
    };
    if digits != "1.1" {
        return Err(Reject::new(505, "http_version", "HTTP/1.1 is needed"));
    }
    Ok(Head { method, target, headers, form: Form::Upgrade })
}

/// What a server agrees to in its 101.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accept<'a> {
    /// The subprotocol chosen among those offered.
    pub protocol: Option<&'a str>,
    /// Extensions agreed among those offered.
    pub extensions: &'a [Extension],
    /// Value of `Set-Cookie`, which has no line ends in it.
    pub cookie: Option<&'a str>,
    /// Configured headers.
    pub headers: Option<&'a ExtraHeaders>,
}

/// Why a 101 cannot be written: it would answer to what was not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The subprotocol was not offered.
    #[error("subprotocol `{name}` was not offered")]
    ProtocolNotOffered {
        /// Its name.
        name: String,
    },
    /// The extension was not offered, or cannot be written.
    #[error("extension `{name}` was not offered or is not well formed")]
    ExtensionNotOffered {
        /// Its name.
        name: String,
    },
}

/// Writes the 101 for `request`. Source: `spec/websocket.md` 3.2.
///
/// # Errors
/// When it agrees to something that the client did not offer.
pub fn accept(request: &Request, accept: &Accept<'_>) -> Result<Vec<u8>, AcceptError> {
    let mut out =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".to_vec();
    write_header("Sec-WebSocket-Accept", &accept_key(&request.key), &mut out);
    for (name, value) in agreed(request, accept)? {
        write_header(&name, &value, &mut out);
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

/// The header fields of the 200 for `request`, in whatever case: what [`accept`] writes, but for what HTTP/2 does without.
///
/// # Errors
/// As for [`accept`].
pub fn accept_http2(request: &Request, accept: &Accept<'_>) -> Result<Vec<(String, String)>, AcceptError> {
    let mut fields = agreed(request, accept)?;
    fields.retain(|(name, _)| is_for_http2(name));
    Ok(fields)
}

/// The header fields that say what was agreed on.
fn agreed(request: &Request, accept: &Accept<'_>) -> Result<Vec<(String, String)>, AcceptError> {
    let mut fields = Vec::new();
    let mut add = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
    if let Some(name) = accept.protocol {
        if !request.protocols.iter().any(|offer| offer == name) {
            return Err(AcceptError::ProtocolNotOffered { name: name.to_owned() });
        }
        add("Sec-WebSocket-Protocol", name);
    }
    for extension in accept.extensions {
        let offered = request.extensions.iter().any(|offer| offer.name == extension.name);
        if !offered || !extension.is_valid() {
            return Err(AcceptError::ExtensionNotOffered { name: extension.name.clone() });
        }
        add("Sec-WebSocket-Extensions", &extension.to_string());
    }
    if let Some(cookie) = accept.cookie {
        add("Set-Cookie", cookie);
    }
    if let Some(headers) = accept.headers {
        headers.iter().for_each(|(name, value)| add(name, value));
    }
    Ok(fields)
}
