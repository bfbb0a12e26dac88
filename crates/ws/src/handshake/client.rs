//! The client's side.

use super::accept_key;
use super::authority::Authority;
use super::authority::escapes_are_valid;
use super::headers::{
    Extension, ExtraHeaders, HeaderError, Headers, Single, extensions, is_token, is_value, write_header,
};
use super::scan::{FirstLine, HeadEnd, HeadError, HeadLimits, Scanner};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use std::fmt;

/// Bounds on the head of an answer.
pub(super) const LIMITS: HeadLimits =
    HeadLimits { first_line: FirstLine::Status, max_header_bytes: 16 << 10, max_headers: 100 };
/// How much of the body of a refusal is kept.
const MAX_BODY_BYTES: usize = 256;
/// How many bytes of a chunked body are looked at to get there.
const MAX_CHUNKED_BYTES: usize = 4096;
/// How many 1xx answers may come before the real one.
pub(super) const MAX_INTERIM: u32 = 8;

/// What a client asks for. Source: `spec/websocket.md` 8.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientRequest {
    /// The value of `Host`, see [`host_header`](crate::host_header); one in `headers` replaces it.
    pub host: String,
    /// Path and query, beginning with `/`.
    pub target: String,
    /// Extra headers.
    pub headers: ExtraHeaders,
    /// `Origin` to send.
    pub origin: Option<String>,
    /// Subprotocols to offer, in order.
    pub protocols: Vec<String>,
    /// `require_websocket_subprotocol`: fail if the server picks none of them.
    pub require_protocol: bool,
    /// Extensions to offer, in order. Which parameters an answer may have is checked by who offers them.
    pub extensions: Vec<Extension>,
}

impl ClientRequest {
    /// The value of `Host` that is sent.
    pub fn host(&self) -> &str {
        self.headers.all("host").next().unwrap_or(&self.host)
    }
}

/// Why a request cannot be written; mistakes in the configuration but for the last one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not a `host[:port]`.
    #[error("`{host}` is not a host")]
    Host {
        /// What was given.
        host: String,
    },
    /// Not a path with query.
    #[error(
        "`{target}` is not a path: it begins with `/`, is ASCII without spaces, has no fragment and whole percent escapes"
    )]
    Target {
        /// What was given.
        target: String,
    },
    /// An origin that a header cannot hold.
    #[error("the origin is not a valid header value")]
    Origin,
    /// Subprotocols are tokens, each offered once.
    #[error("subprotocol `{name}` is not a token or is given twice")]
    Protocol {
        /// Its name.
        name: String,
    },
    /// Names and parameters of extensions are tokens.
    #[error("extension `{name}` is not well formed")]
    Extension {
        /// Its name.
        name: String,
    },
    /// A header is refused.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The secure generator of the system gave no key.
    #[error("no key: {0}")]
    Random(getrandom::Error),
}

/// What the server agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The subprotocol, one of those offered.
    pub protocol: Option<String>,
    /// Extensions, all of them offered.
    pub extensions: Vec<Extension>,
    /// All headers.
    pub headers: Headers,
}

/// An answer other than 101.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The first 256 bytes of the body, fewer if they did not come.
    pub body: Vec<u8>,
    /// `Retry-After`, if it is a number of seconds.
    pub retry_after: Option<u64>,
    /// All headers.
    pub headers: Headers,
}

impl Refusal {
    /// Status and body on one line, for a message that says who answered.
    pub fn words(&self) -> String {
        let mut words = format!("it answered {}", self.status);
        self.add_body(&mut words);
        words
    }

    fn add_body(&self, words: &mut String) {
        let text = String::from_utf8_lossy(&self.body);
        let text = text.trim();
        if !text.is_empty() {
            words.push_str(": ");
            words.extend(text.chars().map(|letter| if is_shown(letter) { letter } else { ' ' }));
        }
    }
}

/// Whether a terminal shows a character as nothing but itself.
fn is_shown(letter: char) -> bool {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !letter.is_control() && !turns
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = format!("the server answered {} and opens no WebSocket", self.status);
        self.add_body(&mut words);
        f.write_str(&words)
    }
}

/// Why a handshake failed; the TCP connection has to be dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Another status than 101.
    #[error("{0}")]
    Status(Box<Refusal>),
    /// Not an HTTP/1.1 answer.
    #[error("the server's answer is not valid HTTP/1.1")]
    Malformed,
    /// The answer's head is longer than 16 KiB or has more than 100 headers.
    #[error("the server's answer has too many or too long headers")]
    TooLarge,
    /// `Upgrade` is missing or is not `websocket`.
    #[error("the server's answer does not upgrade to websocket")]
    Upgrade,
    /// `Connection` does not hold `upgrade`.
    #[error("the Connection header of the server's answer does not name upgrade")]
    Connection,
    /// `Sec-WebSocket-Accept` is missing or does not belong to our key.
    #[error("the server's answer does not belong to our request: wrong Sec-WebSocket-Accept")]
    Accept,
    /// A subprotocol that was not offered, or more than one.
    #[error("the server chose a subprotocol that was not offered")]
    Protocol,
    /// No subprotocol although one is required.
    #[error("the server chose none of the subprotocols offered")]
    ProtocolMissing,
    /// An extension that was not offered, or a header that does not parse.
    #[error("the server chose an extension that was not offered")]
    Extension,
    /// The connection ended before the answer was complete.
    #[error("the connection ended before the server's answer was complete")]
    Incomplete,
}

#[derive(Debug)]
enum State {
    Head { interim: u32 },
    Body { status: u16, headers: Headers },
    Done,
}

/// The opening handshake of a client: write [`request`](Self::request), then feed the answer.
#[derive(Debug)]
pub struct ClientHandshake {
    request: Vec<u8>,
    accept: String,
    expected: Expected,
    scanner: Scanner,
    state: State,
}

/// What an answer may agree to.
#[derive(Debug)]
pub(super) struct Expected {
    protocols: Vec<String>,
    require_protocol: bool,
    extensions: Vec<String>,
}

impl ClientHandshake {
    /// Checks `request` and writes it with a fresh key.
    ///
    /// # Errors
    /// When it would not be a valid request, or there is no randomness.
    pub fn new(request: ClientRequest) -> Result<Self, RequestError> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(RequestError::Random)?;
        Self::with_nonce(request, nonce)
    }

    /// The same with a key of the caller's choice, for tests that need the same bytes every time.
    ///
    /// # Errors
    /// When it would not be a valid request.
    pub fn with_nonce(request: ClientRequest, nonce: [u8; 16]) -> Result<Self, RequestError> {
        check(&request)?;
        let key = STANDARD.encode(nonce);
        let bytes = write_request(&request, &key);
        Ok(Self {
            request: bytes,
            accept: accept_key(&key),
            expected: Expected::of(request),
            scanner: Scanner::default(),
            state: State::Head { interim: 0 },
        })
    }

    /// The bytes to send.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Looks at what `input` holds; `None` until the answer is complete.
    ///
    /// Until then `input` keeps its bytes and only grows. The 101 is taken out of it; what is behind stays and
    /// belongs to the [`Decoder`](crate::Decoder).
    ///
    /// # Errors
    /// When the answer is not the one a WebSocket begins with.
    pub fn advance(&mut self, input: &mut BytesMut) -> Result<Option<Response>, ClientError> {
        loop {
            match &self.state {
                State::Done => return Ok(None),
                State::Body { status, headers } => {
                    let (_, complete) = body(*status, headers, input);
                    return if complete { Err(self.refusal(input)) } else { Ok(None) };
                }
                State::Head { interim } => {
                    let interim = *interim;
                    let Some(end) = self.scanner.scan(input, &LIMITS)? else { return Ok(None) };
                    self.scanner = Scanner::default();
                    let (status, headers) = parse_head(input.split_to(end.head).freeze(), end)?;
                    self.state = match status {
                        101 => {
                            self.state = State::Done;
                            return self.check_answer(headers).map(Some);
                        }
                        100..=199 if interim < MAX_INTERIM => State::Head { interim: interim + 1 },
                        100..=199 => return Err(ClientError::Malformed),
                        status => State::Body { status, headers },
                    };
                }
            }
        }
    }

    /// The error to report when the connection ends, or the time is over, before
    /// [`advance`](Self::advance) came to a result: the refusal with as much of its body as came, or
    /// [`ClientError::Incomplete`].
    pub fn cut_short(&mut self, input: &[u8]) -> ClientError {
        self.refusal(input)
    }

    fn refusal(&mut self, input: &[u8]) -> ClientError {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Body { status, headers } => {
                ClientError::Status(Box::new(refusal_of(status, &headers, input).0))
            }
            State::Head { .. } | State::Done => ClientError::Incomplete,
        }
    }

    fn check_answer(&self, headers: Headers) -> Result<Response, ClientError> {
        match headers.single("upgrade") {
            Single::One(value) if value.eq_ignore_ascii_case(b"websocket") => {}
            _ => return Err(ClientError::Upgrade),
        }
        if !headers.has_token("connection", "upgrade") {
            return Err(ClientError::Connection);
        }
        match headers.single("sec-websocket-accept") {
            Single::One(value) if value == self.accept.as_bytes() => {}
            _ => return Err(ClientError::Accept),
        }
        self.expected.check(headers)
    }
}

impl Expected {
    /// What was asked for.
    pub(super) fn of(request: ClientRequest) -> Self {
        let ClientRequest { protocols, require_protocol, extensions, .. } = request;
        let extensions = extensions.into_iter().map(|extension| extension.name).collect();
        Self { protocols, require_protocol, extensions }
    }

    /// Finds in the headers of an answer what it agrees to.
    pub(super) fn check(&self, headers: Headers) -> Result<Response, ClientError> {
        let extensions = extensions(&headers).ok_or(ClientError::Extension)?;
        if !extensions.iter().all(|extension| self.extensions.contains(&extension.name)) {
            return Err(ClientError::Extension);
        }
        let protocol = match headers.single("sec-websocket-protocol") {
            Single::Absent if self.require_protocol => return Err(ClientError::ProtocolMissing),
            Single::Absent => None,
            Single::Many => return Err(ClientError::Protocol),
            Single::One(value) => {
                let offered = self.protocols.iter().find(|offer| offer.as_bytes() == value);
                Some(offered.ok_or(ClientError::Protocol)?.clone())
            }
        };
        Ok(Response { protocol, extensions, headers })
    }
}

impl From<HeadError> for ClientError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Malformed => Self::Malformed,
            HeadError::TargetTooLong | HeadError::HeadersTooLong | HeadError::TooManyHeaders => {
                Self::TooLarge
            }
        }
    }
}

/// Whether a request can be written.
pub(super) fn check(request: &ClientRequest) -> Result<(), RequestError> {
    let ClientRequest { target, headers, origin, protocols, extensions, .. } = request;
    let host = request.host();
    if Authority::parse(host).is_none() {
        return Err(RequestError::Host { host: host.to_owned() });
    }
    let plain = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !target.starts_with('/') || !plain || !escapes_are_valid(target) {
        return Err(RequestError::Target { target: target.clone() });
    }
    if let Some(origin) = origin {
        if headers.all("origin").next().is_some() {
            return Err(HeaderError::Repeated { name: "Origin".to_owned() }.into());
        }
        if !is_value(origin) || !origin.is_ascii() {
            return Err(RequestError::Origin);
        }
    }
    for (index, name) in protocols.iter().enumerate() {
        if !is_token(name.as_bytes()) || protocols.iter().take(index).any(|other| other == name) {
            return Err(RequestError::Protocol { name: name.clone() });
        }
    }
    match extensions.iter().find(|extension| !extension.is_valid()) {
        Some(extension) => Err(RequestError::Extension { name: extension.name.clone() }),
        None => Ok(()),
    }
}

fn write_request(request: &ClientRequest, key: &str) -> Vec<u8> {
    let mut out = format!("GET {} HTTP/1.1\r\n", request.target).into_bytes();
    write_header("Host", request.host(), &mut out);
    write_header("Upgrade", "websocket", &mut out);
    write_header("Connection", "Upgrade", &mut out);
    write_header("Sec-WebSocket-Key", key, &mut out);
    write_header("Sec-WebSocket-Version", "13", &mut out);
    request.wishes(|name, value| write_header(name, value, &mut out));
    out.extend_from_slice(b"\r\n");
    out
}

impl ClientRequest {
    /// Gives the headers that say what is wanted, but `Host`.
    pub(super) fn wishes(&self, mut give: impl FnMut(&str, &str)) {
        let Self { headers, origin, protocols, extensions, .. } = self;
        if let Some(origin) = origin {
            give("Origin", origin);
        }
        if !protocols.is_empty() {
            give("Sec-WebSocket-Protocol", &protocols.join(", "));
        }
        if !extensions.is_empty() {
            let offers: Vec<String> = extensions.iter().map(ToString::to_string).collect();
            give("Sec-WebSocket-Extensions", &offers.join(", "));
        }
        for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            give(name, value);
        }
    }
}

/// Status and headers of a complete head.
pub(super) fn parse_head(raw: Bytes, end: HeadEnd) -> Result<(u16, Headers), ClientError> {
    let mut slots = vec![httparse::EMPTY_HEADER; end.headers];
    let mut response = httparse::Response::new(&mut slots);
    match response.parse(&raw) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) | Err(_) => return Err(ClientError::Malformed),
    }
    let status = response.code.ok_or(ClientError::Malformed)?;
    // HTTP/1.0 knows no upgrade, but may well refuse.
    if status == 101 && response.version != Some(1) {
        return Err(ClientError::Malformed);
    }
    Ok((status, Headers::new(raw.clone(), response.headers)))
}

/// A refusal with as much of its body as came, and whether more of that would be kept.
pub(super) fn refusal_of(status: u16, headers: &Headers, input: &[u8]) -> (Refusal, bool) {
    let (body, complete) = body(status, headers, input);
    let retry_after = number(headers.get("retry-after"));
    (Refusal { status, body, retry_after, headers: headers.clone() }, complete)
}

/// What is kept of the body of a refusal so far, and whether more of it would be kept.
fn body(status: u16, headers: &Headers, input: &[u8]) -> (Vec<u8>, bool) {
    if matches!(status, 204 | 304) {
        return (Vec::new(), true);
    }
    if headers.has_token("transfer-encoding", "chunked") {
        let (mut body, complete) = unchunk(input.get(..MAX_CHUNKED_BYTES).unwrap_or(input));
        let complete = complete || body.len() >= MAX_BODY_BYTES || input.len() >= MAX_CHUNKED_BYTES;
        body.truncate(MAX_BODY_BYTES);
        return (body, complete);
    }
    let announced = number(headers.get("content-length")).and_then(|len| usize::try_from(len).ok());
    let wanted = announced.unwrap_or(MAX_BODY_BYTES).min(MAX_BODY_BYTES);
    match input.get(..wanted) {
        Some(body) => (body.to_vec(), true),
        None => (input.to_vec(), false),
    }
}

fn number(value: Option<&[u8]>) -> Option<u64> {
    let text = std::str::from_utf8(value?).ok()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The data of the chunks that are there, and whether the last chunk was among them (or none can follow).
fn unchunk(mut input: &[u8]) -> (Vec<u8>, bool) {
    let mut data = Vec::new();
    loop {
        let (start, len) = match httparse::parse_chunk_size(input) {
            Ok(httparse::Status::Complete((start, len))) => (start, len),
            Ok(httparse::Status::Partial) => return (data, false),
            Err(_) => return (data, true),
        };
        let len = match usize::try_from(len) {
            Ok(0) => return (data, true),
            len => len.unwrap_or(usize::MAX),
        };
        let rest = input.get(start..).unwrap_or_default();
        let Some((chunk, rest)) = rest.split_at_checked(len) else {
            data.extend_from_slice(rest);
            return (data, false);
        };
        data.extend_from_slice(chunk);
        input = match rest {
            [b'\r', b'\n', rest @ ..] => rest,
            [] | [b'\r'] => return (data, false),
            _ => return (data, true),
        };
    }
}
