//! What a client asks for, and the checks on it.

use super::authority::{Authority, escapes_are_valid};
use super::headers::{Extension, Headers, Single, extensions, is_value, protocols};
use super::http2::Form;
use super::reject::Reject;
use super::server::HandshakeOptions;
use crate::escape::climbs;
use crate::forwarded::Forwarded;
use std::mem;

/// A complete request head that was parsed but not yet checked for an upgrade.
///
/// Whoever shares the port (a status page, session renewal) looks at it before [`upgrade`](Self::upgrade).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The method, a token of at most 32 bytes.
    pub method: String,
    /// The target as it was sent: visible ASCII.
    pub target: String,
    /// All headers.
    pub headers: Headers,
    pub(super) form: Form,
}

/// A request for a WebSocket that passed every check of `spec/websocket.md` 3.1, rows 3 to 16.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The path as it was sent, with valid percent escapes; begins with `/`.
    pub path: String,
    /// What stood behind `?`, with valid percent escapes.
    pub query: Option<String>,
    /// What was asked for: `Host`, or the authority of an absolute target, or what a proxy that is believed says.
    pub authority: Authority,
    /// Whether the client came over TLS, to us or to a proxy that is believed.
    pub secure: bool,
    /// `Origin` as it was sent.
    pub origin: Option<String>,
    /// Subprotocols offered, in the client's order.
    pub protocols: Vec<String>,
    /// Extensions offered, in the client's order.
    pub extensions: Vec<Extension>,
    /// The text of `Sec-WebSocket-Key`; empty over HTTP/2, which has none.
    pub key: String,
    /// 13, or 8 where that is allowed.
    pub version: u8,
    /// All headers.
    pub headers: Headers,
}

/// What a request asks for, whatever it wants there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As of [`Request`].
    pub authority: Authority,
    /// As of [`Request`].
    pub secure: bool,
    /// As of [`Request`].
    pub path: String,
    /// As of [`Request`].
    pub query: Option<String>,
}

impl Head {
    /// Whether it asks for a WebSocket: by `Upgrade`, over HTTP/2 by `:protocol`.
    pub fn wants_websocket(&self) -> bool {
        match &self.form {
            Form::Upgrade => self.headers.has_token("upgrade", "websocket"),
            Form::Connect { protocol, .. } => {
                protocol.as_ref().is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
            }
        }
    }

    /// Checks rows 7 to 16 of `spec/websocket.md` 3.1 in their order.
    ///
    /// # Errors
    /// The answer for the first row that fails.
    pub fn upgrade(mut self, options: &HandshakeOptions) -> Result<Request, Reject> {
        self.upgrade_behind(options, &Forwarded::default())
    }

    /// The same behind a proxy that is believed: `forwarded` is what it says. The headers are moved into the request, if
    /// there is one.
    ///
    /// # Errors
    /// As for [`upgrade`](Self::upgrade).
    pub fn upgrade_behind(
        &mut self,
        options: &HandshakeOptions,
        forwarded: &Forwarded,
    ) -> Result<Request, Reject> {
        let is_head = self.method == "HEAD";
        self.check(options, forwarded)
            .map_err(|reject| if is_head { reject.for_head_request() } else { reject })
    }

    /// What is asked for: rows 10 and 11 of `spec/websocket.md` 3.1.
    ///
    /// # Errors
    /// The answer for the first row that fails.
    pub fn target(&self, options: &HandshakeOptions, forwarded: &Forwarded) -> Result<Target, Reject> {
        let secure = forwarded.secure.unwrap_or(options.secure);
        let host = host(&self.headers)?;
        let asked = forwarded.host.clone();
        check_is_ours(asked.as_ref().unwrap_or(&host), options, secure)?;
        // Only a proxy is asked for what is elsewhere, and over HTTP/2 not even that way.
        if self.form != Form::Upgrade && !self.target.starts_with('/') {
            return Err(Reject::bad_request("target", "the request target is not valid"));
        }
        let (authority, path, query) = check_target(&self.target, host, secure)?;
        Ok(Target { authority: asked.unwrap_or(authority), secure, path, query })
    }

    /// What it asks for as it was sent, whatever is wrong with that: the path, and the query unless that has more parameters
    /// than anybody needs.
    pub fn sent(&self) -> (&str, Option<&str>) {
        let (target, query) = match self.target.split_once('?') {
            Some((target, query)) => (target, Some(query)),
            None => (self.target.as_str(), None),
        };
        let path = match target.split_once("://") {
            Some((_, rest)) if !target.starts_with('/') => rest.find('/').and_then(|at| rest.get(at..)),
            _ => Some(target),
        };
        (path.unwrap_or("/"), query.filter(|query| !has_too_many_parameters(query)))
    }

    /// Whether it asks for the page at `path`, of whichever host: those who look after a server know only its address.
    pub fn asks_for(&self, path: &str) -> bool {
        let own = self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path);
        own == path && host(&self.headers).is_ok()
    }

    /// Whether it brings fresh credentials for open connections: a `POST` of type `application/x-challenge-response`.
    /// Source: `spec/websocket.md` 7.5.
    pub fn brings_credentials(&self) -> bool {
        let Single::One(media_type) = self.headers.single("content-type") else { return false };
        let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        self.method == "POST"
            && !self.wants_websocket()
            && essence.eq_ignore_ascii_case(b"application/x-challenge-response")
    }

    /// What such a request asks for, or one that [asks whether it may be sent](Self::asks_to_bring_credentials).
    ///
    /// # Errors
    /// The answer if it has a body, [`target`](Self::target) fails, or it is of a page that may not open connections.
    pub fn renewal(&self, options: &HandshakeOptions, forwarded: &Forwarded) -> Result<Target, Reject> {
        if !self.has_no_body() {
            return Err(Reject::bad_request("body", "fresh credentials come without a request body"));
        }
        let target = self.target(options, forwarded)?;
        check_origin(&self.headers, &[ORIGIN], |origin| {
            options.origins.check(origin, &target.authority, target.secure)
        })?;
        Ok(target)
    }

    /// Rows 7 to 9: it opens a WebSocket, and nothing else.
    fn check_opening(&self, options: &HandshakeOptions) -> Result<(), Reject> {
        match &self.form {
            Form::Upgrade if !self.wants_websocket() => {
                let reason = "this endpoint speaks WebSocket only";
                return Err(Reject::upgrade_required("no_upgrade", reason, options.versions()));
            }
            Form::Upgrade if self.method != "GET" => {
                let reject = Reject::new(405, "method", "a WebSocket is opened with GET");
                return Err(reject.with_header("Allow", "GET"));
            }
            Form::Upgrade => {}
            // There is no `Upgrade` that a 426 could name.
            Form::Connect { .. } if self.method != "CONNECT" => {
                let reject = Reject::new(405, "no_upgrade", "this endpoint speaks WebSocket only");
                return Err(reject.with_header("Allow", "CONNECT"));
            }
            Form::Connect { .. } if !self.wants_websocket() => {
                let reason = "a CONNECT with `:protocol` of `websocket` is needed";
                return Err(Reject::new(501, "connect_protocol", reason));
            }
            Form::Connect { is_complete: true, .. } => {
                let reason = "the request ends the stream that the WebSocket needs";
                return Err(Reject::bad_request("end_of_stream", reason));
            }
            Form::Connect { .. } => {}
        }
        if has_no_length(&self.headers) {
            return Ok(());
        }
        Err(Reject::bad_request("body", "a WebSocket is opened without a request body"))
    }

    fn has_no_body(&self) -> bool {
        let says_so = self.headers.get("content-length").is_some();
        let ends = !matches!(self.form, Form::Connect { is_complete: false, .. });
        has_no_length(&self.headers) && (ends || says_so)
    }

    fn check(&mut self, options: &HandshakeOptions, forwarded: &Forwarded) -> Result<Request, Reject> {
        let secure = forwarded.secure.unwrap_or(options.secure);
        let headers = &self.headers;
        self.check_opening(options)?;
        let Target { authority, path, query, .. } = self.target(options, forwarded)?;
        let is_upgrade = self.form == Form::Upgrade;
        if is_upgrade && !headers.has_token("connection", "upgrade") {
            return Err(Reject::bad_request("connection", "the Connection header does not name upgrade"));
        }
        let version = check_version(headers, options, is_upgrade)?;
        let key = if is_upgrade { check_key(headers)? } else { String::new() };
        // Version 8 has a name of its own for it, and whoever speaks it may send the other one as well.
        let names: &[_] = if version == 8 { &["sec-websocket-origin", ORIGIN] } else { &[ORIGIN] };
        let origin =
            check_origin(headers, names, |origin| options.origins.check(origin, &authority, secure))?;
        let protocols = protocols(headers).ok_or_else(|| {
            Reject::bad_request(
                "protocol",
                "the Sec-WebSocket-Protocol header is not a list of different tokens",
            )
        })?;
        let extensions = extensions(headers).ok_or_else(|| {
            Reject::bad_request("extensions", "the Sec-WebSocket-Extensions header does not parse")
        })?;
        let headers = mem::take(&mut self.headers);
        Ok(Request { path, query, authority, secure, origin, protocols, extensions, key, version, headers })
    }
}

fn has_no_length(headers: &Headers) -> bool {
    headers.all("content-length").all(|value| value == b"0") && headers.get("transfer-encoding").is_none()
}

fn host(headers: &Headers) -> Result<Authority, Reject> {
    let host = match headers.single("host") {
        Single::One(value) => std::str::from_utf8(value).ok().and_then(Authority::parse),
        Single::Absent | Single::Many => None,
    };
    host.ok_or_else(|| Reject::bad_request("host", "exactly one valid Host header is needed"))
}

fn check_is_ours(authority: &Authority, options: &HandshakeOptions, secure: bool) -> Result<(), Reject> {
    let HandshakeOptions { allowed_hosts, external_port, .. } = options;
    let host =
        allowed_hosts.is_empty() || allowed_hosts.iter().any(|entry| authority.is_admitted_by(entry, secure));
    if host && external_port.is_none_or(|port| port == authority.effective_port(secure)) {
        return Ok(());
    }
    Err(Reject::new(421, "misdirected", "this server does not answer for the requested host"))
}

/// Splits the target; gives authority, path and query.
fn check_target(
    target: &str,
    host: Authority,
    secure: bool,
) -> Result<(Authority, String, Option<String>), Reject> {
    let bad = || Reject::bad_request("target", "the request target is not valid");
    if target.contains('#') || !escapes_are_valid(target) {
        return Err(bad());
    }
    let (authority, rest) = match target.split_once("://") {
        _ if target.starts_with('/') => (host, target),
        Some((scheme, rest)) => {
            let target_secure = match scheme.to_ascii_lowercase().as_str() {
                "http" | "ws" => false,
                "https" | "wss" => true,
                _ => return Err(bad()),
            };
            let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            let authority = Authority::parse(authority).ok_or_else(bad)?;
            let same_port = authority.effective_port(target_secure) == host.effective_port(secure);
            if authority.host() != host.host() || !same_port {
                return Err(Reject::bad_request("target", "the request target and the Host header differ"));
            }
            (authority, rest)
        }
        None => return Err(bad()),
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (rest, None),
    };
    let path = if path.is_empty() { "/" } else { path };
    if query.as_deref().is_some_and(has_too_many_parameters) {
        return Err(Reject::new(414, "query", "the query has more parameters than anybody needs"));
    }
    if climbs(path) {
        return Err(Reject::bad_request("path", "the path has a segment `..`"));
    }
    Ok((authority, path.to_owned(), query))
}

/// Most parameters of a query. Each takes many times the memory of its text in what is told of a connection, and that as
/// long as the connection lives.
const MAX_PARAMETERS: usize = 128;

fn has_too_many_parameters(query: &str) -> bool {
    query.split('&').filter(|pair| !pair.is_empty()).nth(MAX_PARAMETERS).is_some()
}

fn check_version(headers: &Headers, options: &HandshakeOptions, is_upgrade: bool) -> Result<u8, Reject> {
    let bad =
        || Reject::bad_request("version", "exactly one Sec-WebSocket-Version header with a number is needed");
    let Single::One(value) = headers.single("sec-websocket-version") else { return Err(bad()) };
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    match value {
        b"13" if options.enable_rfc6455 => Ok(13),
        b"8" if options.enable_hybi10 => Ok(8),
        _ => {
            let reason = "this version of the WebSocket protocol is not spoken here";
            Err(if is_upgrade {
                Reject::upgrade_required("version", reason, options.versions())
            } else {
                let reject = Reject::bad_request("version", reason);
                reject.with_header("Sec-WebSocket-Version", options.versions())
            })
        }
    }
}

/// The key is only ever hashed as text, so that it has the form of 16 bytes in base64 is all that matters.
fn check_key(headers: &Headers) -> Result<String, Reject> {
    let bad = || {
        Reject::bad_request("key", "exactly one Sec-WebSocket-Key header with 16 bytes in base64 is needed")
    };
    let Single::One(value) = headers.single("sec-websocket-key") else { return Err(bad()) };
    let text = std::str::from_utf8(value).map_err(|_| bad())?;
    let digits = text.strip_suffix("==").ok_or_else(bad)?;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if digits.len() == 22 && digits.bytes().all(known) { Ok(text.to_owned()) } else { Err(bad()) }
}

/// The header that says which page asks.
pub(super) const ORIGIN: &str = "origin";

/// Row 15: all origins that the headers of these `names` tell have to pass `check`, or that there is none. Gives the first one.
fn check_origin(
    headers: &Headers,
    names: &[&str],
    check: impl Fn(Option<&str>) -> Result<(), &'static str>,
) -> Result<Option<String>, Reject> {
    let refused = |reason| Reject::new(403, "origin", reason);
    let mut first = None;
    for name in names {
        if let Some(origin) = origin(headers, name)? {
            check(Some(&origin)).map_err(refused)?;
            first.get_or_insert(origin);
        }
    }
    if first.is_none() {
        check(None).map_err(refused)?;
    }
    Ok(first)
}

pub(super) fn origin(headers: &Headers, name: &str) -> Result<Option<String>, Reject> {
    match headers.single(name) {
        Single::Absent => Ok(None),
        Single::Many => Err(Reject::bad_request("origin", "more than one Origin header")),
        Single::One(value) => match std::str::from_utf8(value) {
            Ok(text) if text.is_ascii() && is_value(text) => Ok(Some(text.to_owned())),
            _ => Err(Reject::new(403, "origin", "the origin is not valid")),
        },
    }
}
