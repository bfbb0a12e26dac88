//! Header fields and the grammar of their values.

use bytes::Bytes;
use std::{collections::HashSet, ops::Range};

/// The header fields of a request or response, in the order they came.
///
/// They point into the bytes they were read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    raw: Bytes,
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
}

impl Headers {
    /// Takes over what `httparse` found in `raw`.
    pub(super) fn new(raw: Bytes, parsed: &[httparse::Header<'_>]) -> Self {
        let base = raw.as_ptr().addr();
        let range = |part: &[u8]| {
            let start = part.as_ptr().addr().saturating_sub(base);
            start..start + part.len()
        };
        let field = |header: &httparse::Header<'_>| Field {
            name: range(header.name.as_bytes()),
            value: range(trim(header.value)),
        };
        let fields = parsed.iter().map(field).collect();
        Self { raw, fields }
    }

    /// Of fields that came one by one.
    pub(crate) fn from_fields<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let (mut raw, mut ranges) = (Vec::new(), Vec::new());
        let mut add = |part: &[u8]| {
            let start = raw.len();
            raw.extend_from_slice(part);
            start..raw.len()
        };
        for (name, value) in fields {
            ranges.push(Field { name: add(name.as_bytes()), value: add(trim(value)) });
        }
        Self { raw: raw.into(), fields: ranges }
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// `true` without any field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Every field: the name as it was written (compare without case) and the value without spaces around it.
    /// A value may hold bytes that are not ASCII.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| {
            let name = self.raw.get(field.name.clone()).unwrap_or_default();
            let value = self.raw.get(field.value.clone()).unwrap_or_default();
            (std::str::from_utf8(name).unwrap_or_default(), value)
        })
    }

    /// The values of all fields of that name, whatever its case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of a field that may appear once.
    pub(super) fn single(&self, name: &str) -> Single<'_> {
        let mut found = Single::Absent;
        for (field, value) in self.iter() {
            if field.eq_ignore_ascii_case(name) {
                found = match found {
                    Single::Absent => Single::One(value),
                    _ => return Single::Many,
                };
            }
        }
        found
    }

    /// Whether the list in all fields of that name holds `token`, in any case.
    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(list).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }
}

/// How often a field is there.
pub(super) enum Single<'a> {
    Absent,
    One(&'a [u8]),
    Many,
}

/// An extension with its parameters, as offered or agreed. Source: RFC 6455, section 9.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its name, a token.
    pub name: String,
    /// Parameters in order; quotes around values are taken off.
    pub params: Vec<(String, Option<String>)>,
}

impl Extension {
    /// Whether this can be written: names and values are tokens.
    pub(super) fn is_valid(&self) -> bool {
        let param = |(name, value): &(String, Option<String>)| {
            is_token(name.as_bytes()) && value.as_ref().is_none_or(|value| is_token(value.as_bytes()))
        };
        is_token(self.name.as_bytes()) && self.params.iter().all(param)
    }
}

impl std::fmt::Display for Extension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        for (name, value) in &self.params {
            match value {
                Some(value) => write!(f, "; {name}={value}")?,
                None => write!(f, "; {name}")?,
            }
        }
        Ok(())
    }
}

/// Reads all `Sec-WebSocket-Extensions` fields; `None` if one does not parse.
pub(super) fn extensions(headers: &Headers) -> Option<Vec<Extension>> {
    let mut found = Vec::new();
    for value in headers.all("sec-websocket-extensions") {
        let before = found.len();
        for element in split_outside_quotes(value, b',') {
            if !element.is_empty() {
                found.push(extension(element)?);
            }
        }
        if found.len() == before {
            return None;
        }
    }
    Some(found)
}

fn extension(element: &[u8]) -> Option<Extension> {
    let mut parts = split_outside_quotes(element, b';');
    let name = token(parts.next()?)?;
    let mut params = Vec::new();
    for part in parts {
        match part.iter().position(|byte| *byte == b'=') {
            None => params.push((token(part)?, None)),
            Some(at) => {
                let (name, value) = part.split_at(at);
                let value = unquote(trim(value.get(1..)?))?;
                params.push((token(trim(name))?, Some(token(&value)?)));
            }
        }
    }
    Some(Extension { name, params })
}

/// Reads all `Sec-WebSocket-Protocol` fields; `None` if one does not parse or a name comes twice.
pub(super) fn protocols(headers: &Headers) -> Option<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    // A header may hold thousands: comparing each with all others would take long.
    let mut seen = HashSet::new();
    for value in headers.all("sec-websocket-protocol") {
        let before = found.len();
        for element in list(value) {
            if !seen.insert(element) {
                return None;
            }
            found.push(token(element)?);
        }
        if found.len() == before {
            return None;
        }
    }
    Some(found)
}

/// The elements of a comma list of tokens, without empty ones.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// The pieces of `value` between separators that are not inside a quoted string, without spaces around them.
///
/// Quotes after a backslash need no care: a value with one in it is no token and refused in any case.
pub(crate) fn split_outside_quotes(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(move |byte| {
            let is_plain = !std::mem::replace(&mut escaped, false);
            quoted ^= *byte == b'"' && is_plain;
            escaped = quoted && *byte == b'\\' && is_plain;
            *byte == separator && !quoted
        })
        .map(trim)
}

/// The content of a quoted string; other values as they are.
pub(crate) fn unquote(value: &[u8]) -> Option<Vec<u8>> {
    let Some((b'"', rest)) = value.split_first() else { return Some(value.to_vec()) };
    let (last, inner) = rest.split_last()?;
    if *last != b'"' {
        return None;
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => plain.push(*bytes.next()?),
            b'"' => return None,
            byte => plain.push(*byte),
        }
    }
    Some(plain)
}

fn token(bytes: &[u8]) -> Option<String> {
    if !is_token(bytes) {
        return None;
    }
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// Whether `bytes` is a token. Source: RFC 9110, section 5.6.2.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Takes spaces and tabs off both ends.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Why a configured header was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The name is not a token.
    #[error("`{name}` is not a header name")]
    Name {
        /// The name.
        name: String,
    },
    /// The value has control characters.
    #[error("the value of header `{name}` has characters that headers cannot hold")]
    Value {
        /// The name.
        name: String,
    },
    /// The handshake writes this header itself.
    #[error("header `{name}` belongs to the handshake and cannot be set")]
    Reserved {
        /// The name.
        name: String,
    },
    /// `Host`, `Origin` or `Server` more than once.
    #[error("header `{name}` can be given only once")]
    Repeated {
        /// The name.
        name: String,
    },
}

/// Configured headers that were checked: nothing in them can break or fake a part of the handshake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraHeaders(Vec<(String, String)>);

impl ExtraHeaders {
    /// Headers for the 101 of a server. Refused are `Host`, `Content-Length`, `Transfer-Encoding`, `Connection`,
    /// `Upgrade` and all of `Sec-WebSocket-`. Source: `spec/websocket.md` 3.2.
    ///
    /// # Errors
    /// The first header that is refused or cannot be written, and a repeated `Server`.
    pub fn for_response(headers: Vec<(String, String)>) -> Result<Self, HeaderError> {
        Self::check(headers, |name| name.eq_ignore_ascii_case("host"))?.once(&["Server"])
    }

    /// Headers for the request of a client; the same without the ban on `Host`. Source: `spec/websocket.md` 8.
    ///
    /// # Errors
    /// The first header that is refused or cannot be written, and a repeated `Host` or `Origin`.
    pub fn for_request(headers: Vec<(String, String)>) -> Result<Self, HeaderError> {
        Self::check(headers, |_| false)?.once(&["Host", "Origin"])
    }

    /// These, and `more` behind them. A `Server` among those takes the place of one here.
    #[must_use]
    pub fn and(&self, more: &Self) -> Self {
        let is_replaced =
            |name: &str| name.eq_ignore_ascii_case("server") && more.all("server").next().is_some();
        let kept = self.0.iter().filter(|(name, _)| !is_replaced(name));
        Self(kept.chain(&more.0).cloned().collect())
    }

    /// The same, if none of `names` is there more than once.
    fn once(self, names: &[&str]) -> Result<Self, HeaderError> {
        match names.iter().find(|name| self.all(name).count() > 1) {
            Some(name) => Err(HeaderError::Repeated { name: (*name).to_owned() }),
            None => Ok(self),
        }
    }

    fn check(headers: Vec<(String, String)>, refused: impl Fn(&str) -> bool) -> Result<Self, HeaderError> {
        for (name, value) in &headers {
            let own = ["content-length", "transfer-encoding", "connection", "upgrade"];
            let reserved = own.iter().any(|own| name.eq_ignore_ascii_case(own))
                || name.get(..14).is_some_and(|start| start.eq_ignore_ascii_case("sec-websocket-"));
            if !is_token(name.as_bytes()) {
                return Err(HeaderError::Name { name: name.clone() });
            }
            if reserved || refused(name) {
                return Err(HeaderError::Reserved { name: name.clone() });
            }
            if !is_value(value) {
                return Err(HeaderError::Value { name: name.clone() });
            }
        }
        Ok(Self(headers))
    }

    /// The values of that name, whatever its case.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0
            .iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Names and values, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Whether `value` can stand in a header: no control bytes but tabs.
pub(super) fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// Appends one header line.
pub(super) fn write_header(name: &str, value: &str, out: &mut Vec<u8>) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The headers in `text`, lines that end with CRLF.
#[cfg(test)]
pub(crate) fn headers_of(text: &str) -> Headers {
    let raw = Bytes::from(format!("{text}\r\n"));
    let mut slots = [httparse::EMPTY_HEADER; 16];
    let parsed = match httparse::parse_headers(&raw, &mut slots).unwrap() {
        httparse::Status::Complete((_, parsed)) => parsed.to_vec(),
        httparse::Status::Partial => panic!("the test's headers are not complete"),
    };
    Headers::new(raw.clone(), &parsed)
}

#[cfg(test)]
mod tests {
    use super::headers_of as headers;
    use super::*;

    #[test]
    fn fields_are_found_in_any_case_and_order() {
        let headers = headers("Host:  a.example \r\nX-One: 1\r\nhost: b\r\nx-ONE:\r\n");
        assert_eq!(headers.get("HOST"), Some(&b"a.example"[..]));
        assert_eq!(headers.all("x-one").collect::<Vec<_>>(), [&b"1"[..], b""]);
        let names: Vec<&str> = headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Host", "X-One", "host", "x-ONE"]);
        assert!(matches!(headers.single("host"), Single::Many));
        assert!(matches!(headers.single("none"), Single::Absent));
    }

    #[test]
    fn what_can_be_there_once_is_not_there_twice() {
        let listed = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        for name in ["Host", "Origin"] {
            assert!(ExtraHeaders::for_request(listed(&[name, name])).is_err(), "{name}");
        }
        assert!(ExtraHeaders::for_response(listed(&["Server", "server"])).is_err());
        let own = ExtraHeaders::for_response(listed(&["Server", "X-One"])).unwrap();
        let more = |names: &[&str]| own.and(&ExtraHeaders::for_response(listed(names)).unwrap());
        let count = |headers: &ExtraHeaders, name: &str| headers.all(name).count();
        assert_eq!(["server", "x-one"].map(|name| count(&more(&["server", "X-One"]), name)), [1, 2]);
        assert_eq!(count(&more(&["X-Two"]), "server"), 1);
    }

    #[test]
    fn tokens_are_found_in_split_lists() {
        let headers = headers("Connection: keep-alive\r\nConnection: , UpGrade ,x\r\n");
        assert!(headers.has_token("connection", "upgrade"));
        assert!(!headers.has_token("connection", "keep"));
    }

    #[test]
    fn extensions_parse_with_quotes() {
        let all = extensions(&headers(
            "Sec-WebSocket-Extensions: a; b=1; c = \"2\", d\r\nSec-WebSocket-Extensions: e; f; g=\"\\3\"\r\n",
        ))
        .unwrap();
        let written: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["a; b=1; c=2", "d", "e; f; g=3"]);
        for bad in [
            "",
            ",",
            "a;",
            "a; =1",
            "a; b=",
            "a b",
            "a; b=\"",
            "a; b=\"x",
            "a; b=\"x y\"",
            "a; b=\"x,y\"",
            "a; b=\"x\\\",y\"",
            "a; b=\"x\\\"",
            "a; b=\"\\\",c; d=\"",
            ";a",
        ] {
            assert_eq!(extensions(&headers(&format!("Sec-WebSocket-Extensions: {bad}\r\n"))), None, "{bad}");
        }
    }

    #[test]
    fn protocols_parse() {
        let offers = protocols(&headers("Sec-WebSocket-Protocol: a.v2, B,\r\nsec-websocket-protocol: b\r\n"));
        assert_eq!(offers.unwrap(), ["a.v2", "B", "b"]);
        assert_eq!(protocols(&headers("X: y\r\n")), Some(vec![]));
        for bad in ["", ",", "a,b,a", "a b", "a/b", "\"a\"", "a;b"] {
            assert_eq!(protocols(&headers(&format!("Sec-WebSocket-Protocol: {bad}\r\n"))), None, "{bad}");
        }
    }

    #[test]
    fn reserved_and_unwritable_headers_are_refused() {
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        for name in ["Connection", "UPGRADE", "sec-websocket-key", "Content-Length", "transfer-encoding"] {
            let reserved = Err(HeaderError::Reserved { name: name.to_owned() });
            assert_eq!(ExtraHeaders::for_request(one(name, "x")), reserved);
            assert_eq!(ExtraHeaders::for_response(one(name, "x")), reserved);
        }
        assert!(ExtraHeaders::for_response(one("Host", "x")).is_err());
        assert!(ExtraHeaders::for_request(one("Host", "x")).is_ok());
        assert!(ExtraHeaders::for_request([one("Host", "x"), one("host", "y")].concat()).is_err());
        assert!(matches!(ExtraHeaders::for_response(one("a b", "x")), Err(HeaderError::Name { .. })));
        assert!(matches!(ExtraHeaders::for_response(one("", "x")), Err(HeaderError::Name { .. })));
        for value in ["a\r\nB: c", "a\nb", "\0", "\x7f"] {
            assert!(matches!(ExtraHeaders::for_response(one("A", value)), Err(HeaderError::Value { .. })));
        }
        assert!(ExtraHeaders::for_response(one("A", "\tdía ")).is_ok());
    }
}
