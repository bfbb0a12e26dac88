//! Answers other than 101.

use super::headers::{is_token, is_value, write_header};
use super::http2::is_for_http2;
use super::scan::HeadError;
use std::borrow::Cow;

/// Why a handshake is refused, as the HTTP answer to it. Source: `spec/websocket.md` 3.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The HTTP status, 400 to 599.
    pub status: u16,
    /// A short word for metrics and the `rejected` event.
    pub label: &'static str,
    /// One line for the peer; never holds parts of the request.
    pub reason: Cow<'static, str>,
    /// Headers beyond those that every such answer has.
    pub headers: Vec<(Cow<'static, str>, String)>,
    head_request: bool,
}

/// What the configuration says about refusals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectOptions {
    /// `error_bodies`: whether the reason is sent. Default true.
    pub error_bodies: bool,
    /// The `Server` header, if one is to be sent (`show_server_version`).
    pub server: Option<String>,
}

impl Default for RejectOptions {
    fn default() -> Self {
        Self { error_bodies: true, server: None }
    }
}

impl Reject {
    /// A refusal with a status of 400 to 599.
    pub fn new(status: u16, label: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status, label, reason: reason.into(), headers: Vec::new(), head_request: false }
    }

    /// The same with one more header. A name or value that headers cannot hold is left out when written.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// 503: not accepting now (draining, or a cap is reached); `retry_after` in seconds.
    pub fn unavailable(retry_after: u64) -> Self {
        Self::new(503, "unavailable", "no more connections are accepted at the moment")
            .with_header("Retry-After", retry_after.to_string())
    }

    /// 408: the request was not complete in time. Only for peers that sent at least one byte
    /// ([`ServerHandshake::has_begun`](crate::ServerHandshake::has_begun)).
    pub fn timeout() -> Self {
        Self::new(408, "timeout", "the request was not complete in time")
    }

    pub(super) fn bad_request(label: &'static str, reason: &'static str) -> Self {
        Self::new(400, label, reason)
    }

    /// 426 with the versions we speak.
    pub(super) fn upgrade_required(label: &'static str, reason: &'static str, versions: &str) -> Self {
        Self::new(426, label, reason)
            .with_header("Upgrade", "websocket")
            .with_header("Connection", "Upgrade")
            .with_header("Sec-WebSocket-Version", versions)
    }

    /// The answer to a `HEAD` request has no body.
    pub(super) fn for_head_request(mut self) -> Self {
        self.head_request = true;
        self
    }

    /// The whole answer over HTTP/1.1. After it is written, the connection has to be closed.
    pub fn to_bytes(&self, options: &RejectOptions) -> Vec<u8> {
        self.answer(options).to_bytes()
    }

    /// What is answered.
    pub fn answer(&self, options: &RejectOptions) -> Answer {
        let mut body = String::new();
        if options.error_bodies {
            body.extend(self.reason.chars().filter(|c| !c.is_control()));
            body.push('\n');
        }
        let content = Content { media_type: TEXT, body, is_left_out: self.head_request };
        answer(self.status, &self.headers, content, options)
    }
}

/// A page for those who do not want a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub media_type: &'static str,
    /// Headers beyond those that every such answer has.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// What is in it.
    pub body: String,
    /// The answer to a `HEAD` request has no body.
    pub for_head_request: bool,
}

impl Page {
    /// A line of text.
    pub fn text(status: u16, line: &str) -> Self {
        let (body, headers) = (format!("{line}\n"), Vec::new());
        Self { status, media_type: TEXT, headers, body, for_head_request: false }
    }

    /// 204: all is well, and there is nothing to say about it.
    pub fn nothing() -> Self {
        let (body, headers) = (String::new(), Vec::new());
        Self { status: 204, media_type: TEXT, headers, body, for_head_request: true }
    }

    /// What is answered.
    pub fn answer(&self, options: &RejectOptions) -> Answer {
        let (media_type, body) = (self.media_type, self.body.clone());
        let content = Content { media_type, body, is_left_out: self.for_head_request };
        answer(self.status, &self.headers, content, options)
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

struct Content {
    media_type: &'static str,
    body: String,
    is_left_out: bool,
}

/// An answer that opens no WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    headers: Vec<(Cow<'static, str>, String)>,
    /// Empty where there is none, or none is to be sent.
    pub body: String,
}

fn answer(
    status: u16,
    headers: &[(Cow<'static, str>, String)],
    content: Content,
    options: &RejectOptions,
) -> Answer {
    let mut all = Vec::new();
    all.extend(headers.iter().filter(|(name, value)| is_token(name.as_bytes()) && is_value(value)).cloned());
    // What an answer says of itself takes the place of what all say.
    let says = |name: &str| headers.iter().any(|(said, _)| said.eq_ignore_ascii_case(name));
    if let Some(server) = options.server.as_deref().filter(|server| is_value(server) && !says("Server")) {
        all.insert(0, (Cow::Borrowed("Server"), server.to_owned()));
    }
    let Content { media_type, body, is_left_out } = content;
    // RFC 9110, section 8.6: a 204 has no length.
    if status != 204 {
        if !says("Content-Type") {
            all.push(("Content-Type".into(), media_type.to_owned()));
        }
        all.push(("Content-Length".into(), body.len().to_string()));
    }
    Answer { status, headers: all, body: if is_left_out { String::new() } else { body } }
}

impl Answer {
    /// All of it over HTTP/1.1. After it is written, the connection has to be closed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} {}\r\n", self.status, phrase(self.status)).into_bytes();
        for (name, value) in &self.headers {
            write_header(name, value, &mut out);
        }
        write_header("Connection", "close", &mut out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.body.as_bytes());
        out
    }

    /// Its header fields over HTTP/2, in whatever case.
    pub fn http2_fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.headers.iter().map(|(name, value)| (name.as_ref(), value.as_str()));
        all.filter(|(name, _)| is_for_http2(name))
    }
}

impl From<HeadError> for Reject {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Malformed => Self::bad_request("malformed", "the request is not valid HTTP"),
            HeadError::TargetTooLong => Self::new(414, "target_too_long", "the request target is too long"),
            HeadError::HeadersTooLong => {
                Self::new(431, "headers_too_large", "the request headers are too large")
            }
            HeadError::TooManyHeaders => {
                Self::new(431, "too_many_headers", "the request has too many headers")
            }
        }
    }
}

/// The usual words for a status; none for those that a configuration made up.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
