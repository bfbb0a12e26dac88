//! The same handshake over HTTP/2: a `CONNECT` with `:protocol` in place of the upgrade (RFC 8441, `spec/websocket.md` 18.3).

use super::client::{ClientError, ClientRequest, Expected, RequestError, Response, check, refusal_of};
use super::headers::{Headers, is_token, is_token_byte};
use super::reject::Reject;
use super::request::Head;
use super::server::HandshakeOptions;

/// Fields that belong to one HTTP/1.1 connection; HTTP/2 has none of them (RFC 9113, section 8.2.2).
const OF_CONNECTIONS: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// How a request came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// By HTTP/1.1, where a WebSocket is an upgrade.
    Upgrade,
    /// By HTTP/2, where it is a `CONNECT`.
    Connect {
        /// What `:protocol` says.
        protocol: Option<String>,
        /// Nothing comes behind the head.
        is_complete: bool,
    },
}

/// What stands in front of the header fields of an HTTP/2 request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Http2Start<'a> {
    /// `:method`
    pub method: &'a str,
    /// `:protocol`
    pub protocol: Option<&'a str>,
    /// `:scheme`
    pub scheme: Option<&'a str>,
    /// `:authority`
    pub authority: Option<&'a str>,
    /// `:path`
    pub path: Option<&'a str>,
    /// The head ends the stream: nothing comes behind it.
    pub is_complete: bool,
}

impl Head {
    /// The head of an HTTP/2 request, after rows 3 to 6 of `spec/websocket.md` 3.1. What `:authority` says becomes `Host`, and
    /// all of `cookie` one field, so that nobody has to know how a request came.
    ///
    /// # Errors
    /// The answer for the first row that fails.
    pub fn from_http2<'a>(
        start: &Http2Start<'_>,
        fields: impl Iterator<Item = (&'a str, &'a [u8])>,
        options: &HandshakeOptions,
    ) -> Result<Self, Reject> {
        let malformed = || Reject::bad_request("malformed", "the request is not valid HTTP");
        let &Http2Start { method, protocol, scheme, authority, path, is_complete } = start;
        if !is_token(method.as_bytes()) || scheme.is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
            return Err(malformed());
        }
        let target = path.unwrap_or_default();
        if target.len() > options.max_target_bytes {
            return Err(Reject::new(414, "target_too_long", "the request target is too long"));
        }
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed());
        }
        let (mut host, mut has_host_field) = (authority.map(str::as_bytes), false);
        let (mut cookies, mut others) = (Vec::new(), Vec::new());
        let (mut bytes, mut count) = (0_usize, 0_usize);
        for (name, value) in fields {
            count += 1;
            // As many as the line would have.
            bytes = bytes.saturating_add(name.len()).saturating_add(value.len()).saturating_add(4);
            if bytes > options.max_header_bytes {
                return Err(Reject::new(431, "headers_too_large", "the request headers are too large"));
            }
            if count > options.max_headers {
                return Err(Reject::new(431, "too_many_headers", "the request has too many headers"));
            }
            let is_lower = name.bytes().all(|byte| is_token_byte(byte) && !byte.is_ascii_uppercase());
            let is_value = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=0x7e | 0x80..));
            let is_of_connection =
                OF_CONNECTIONS.contains(&name) || name == "te" && !value.eq_ignore_ascii_case(b"trailers");
            if name.is_empty() || !is_lower || !is_value || is_of_connection {
                return Err(malformed());
            }
            match name {
                // One that says the same as `:authority` adds nothing; of several, or another one, nobody knows which is meant.
                "host" if !has_host_field && host.is_none_or(|host| host.eq_ignore_ascii_case(value)) => {
                    (host, has_host_field) = (Some(value), true);
                }
                "host" => {
                    let reason = "the Host header and the authority of the request differ";
                    return Err(Reject::bad_request("host", reason));
                }
                "cookie" => {
                    if !cookies.is_empty() {
                        cookies.extend_from_slice(b"; ");
                    }
                    cookies.extend_from_slice(value);
                }
                _ => others.push((name, value)),
            }
        }
        let host = host.map(|host| ("host", host));
        let cookies = (!cookies.is_empty()).then_some(("cookie", cookies.as_slice()));
        let headers = Headers::from_fields(host.into_iter().chain(others).chain(cookies));
        let form = Form::Connect { protocol: protocol.map(str::to_owned), is_complete };
        Ok(Self { method: method.to_owned(), target: target.to_owned(), headers, form })
    }
}

/// Whether a field may stand in an answer by HTTP/2.
pub(super) fn is_for_http2(name: &str) -> bool {
    !OF_CONNECTIONS.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// The opening handshake of a client over HTTP/2.
#[derive(Debug)]
pub struct ClientConnect {
    /// `:authority`
    pub authority: String,
    /// `:path`
    pub path: String,
    /// Header fields, in whatever case.
    pub fields: Vec<(String, String)>,
    expected: Expected,
}

impl ClientConnect {
    /// Checks `request`.
    ///
    /// # Errors
    /// When it would not be a valid request.
    pub fn new(request: ClientRequest) -> Result<Self, RequestError> {
        check(&request)?;
        let mut fields = vec![("sec-websocket-version".to_owned(), "13".to_owned())];
        request.wishes(|name, value| fields.push((name.to_owned(), value.to_owned())));
        fields.retain(|(name, _)| is_for_http2(name));
        let (authority, path) = (request.host().to_owned(), request.target.clone());
        Ok(Self { authority, path, fields, expected: Expected::of(request) })
    }

    /// Looks at the answer; `body` is what came of it, as far as a message has room for it.
    ///
    /// # Errors
    /// When the answer is not the one a WebSocket begins with.
    pub fn answered<'a>(
        &self,
        status: u16,
        fields: impl Iterator<Item = (&'a str, &'a [u8])>,
        body: &[u8],
    ) -> Result<Response, ClientError> {
        let headers = Headers::from_fields(fields);
        if status == 200 {
            return self.expected.check(headers);
        }
        Err(ClientError::Status(Box::new(refusal_of(status, &headers, body).0)))
    }
}

#[cfg(test)]
mod tests;
