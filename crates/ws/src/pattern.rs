//! Patterns of routes and origins: `*` stands for any run of characters, everything else for itself.
//!
//! Source: `spec/websocket.md` 4 and 6.2. Matching takes at most as many steps as value and pattern are long, multiplied;
//! nothing in it recurses.

use crate::escape;
use crate::handshake::Authority;
use std::{borrow::Cow, net::Ipv6Addr};

/// Why a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A path that begins with something else never matches.
    #[error("a path begins with `/`, or with `*`")]
    NoSlash,
    /// Behind it begins what stays in the client.
    #[error("no request has a `#` in its path; write `%23` for the sign itself")]
    Fragment,
    /// Requests with such an escape are refused.
    #[error("`%` begins an escape of two hexadecimal digits; write `%25` for the sign itself")]
    Escape,
    /// No line of a request has them.
    #[error("no request has spaces and control characters in its path; write `%20` for a space")]
    Blank,
    /// Requests with such segments are refused.
    #[error("no request has a segment `..` in its path")]
    ParentSegment,
    /// A brace without its partner, or a name that is none.
    #[error("`{{name}}` stands for a segment: braces around a name of letters, digits, `_`, `-` and `.`")]
    Braces,
    /// A parameter that is only a part of a segment.
    #[error("`{{{name}}}` has to be a whole segment, between two `/`")]
    PartOfSegment {
        /// Its name.
        name: String,
    },
    /// A name that is there twice.
    #[error("`{{{name}}}` is there twice")]
    Repeated {
        /// Its name.
        name: String,
    },
    /// A port that no address has.
    #[error("`{port}` is no port")]
    Port {
        /// What was written.
        port: String,
    },
    /// A host that has no form for the wire.
    #[error("`{host}` is no host name")]
    Host {
        /// What was written.
        host: String,
    },
    /// A whole URL where a host is meant.
    #[error(
        "is a host, maybe with a port: write `{rest}` (the scheme stands in `scheme`, the path in `path`)"
    )]
    NoAuthority {
        /// The part that is one.
        rest: String,
    },
    /// A scheme that no request has.
    #[error("no request has the scheme `{scheme}`: there are `http` (or `ws`) and `https` (or `wss`)")]
    Scheme {
        /// What was written.
        scheme: String,
    },
    /// A subprotocol that no request can offer.
    #[error("`{name}` is no subprotocol: they are tokens, without spaces and separators")]
    Protocol {
        /// What was written.
        name: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// Any run of characters, also none.
    Any,
    /// One segment of a path, at least a character long; the number counts parameters.
    Segment,
}

/// A pattern for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

impl Pattern {
    /// Every text is one.
    pub fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        push_text(text, &mut parts);
        Self(parts)
    }

    /// Whether all of `value` matches.
    pub fn matches(&self, value: &str) -> bool {
        captures(&self.0, value).is_some()
    }

    /// Whether everything that matches `other` matches this one, too; `false` if that is not sure.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        covers(&self.0, &other.0)
    }
}

/// Adds what `text` stands for; several `*` in a row are one.
fn push_text(text: &str, parts: &mut Vec<Part>) {
    for (number, piece) in text.split('*').enumerate() {
        if number > 0 && parts.last() != Some(&Part::Any) {
            parts.push(Part::Any);
        }
        match parts.last_mut() {
            _ if piece.is_empty() => {}
            Some(Part::Text(before)) => before.push_str(piece),
            _ => parts.push(Part::Text(piece.to_owned())),
        }
    }
}

/// The segments that stand for parameters, in order, if all of `value` matches.
///
/// Behind a `*` the first place where the rest fits is taken, so only the last `*` ever has to be tried again: what is
/// behind an earlier one would only end later.
fn captures<'v>(parts: &[Part], value: &'v str) -> Option<Vec<&'v str>> {
    let mut found = Vec::new();
    let (mut part, mut at) = (0, 0);
    // The part behind the last `*`, where it was tried last, and what had been found by then.
    let mut again: Option<(usize, usize, usize)> = None;
    loop {
        let rest = value.get(at..)?;
        match parts.get(part) {
            Some(Part::Text(text)) if rest.starts_with(text.as_str()) => {
                at += text.len();
                part += 1;
                continue;
            }
            Some(Part::Any) if part + 1 == parts.len() => return Some(found),
            Some(Part::Any) => {
                part += 1;
                again = Some((part, at, found.len()));
                continue;
            }
            Some(Part::Segment) => {
                let end = rest.find(['/', '?', ANY]).unwrap_or(rest.len());
                if end > 0 {
                    found.extend(rest.get(..end));
                    at += end;
                    part += 1;
                    continue;
                }
            }
            None if rest.is_empty() => return Some(found),
            Some(Part::Text(_)) | None => {}
        }
        let (behind, tried, kept) = again?;
        let step = value.get(tried..)?.chars().next()?.len_utf8();
        again = Some((behind, tried + step, kept));
        found.truncate(kept);
        (part, at) = (behind, tried + step);
    }
}

/// Stands for a `*` of a pattern that is compared with another one; no value has it.
const ANY: char = '\u{1}';
/// The same for a parameter.
const SEGMENT: char = '\u{2}';

/// Whether everything that matches `narrow` matches `wide`, too. It may be that this is so and not seen.
///
/// What stands for a part of `narrow` only fits a part of `wide` that takes whatever there may be.
fn covers(wide: &[Part], narrow: &[Part]) -> bool {
    let mut sample = String::new();
    for part in narrow {
        match part {
            Part::Text(text) => sample.push_str(text),
            Part::Any => sample.push(ANY),
            Part::Segment => sample.push(SEGMENT),
        }
    }
    captures(wide, &sample).is_some()
}

/// A pattern for a request path, with parameters: `/orders/{site}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    parts: Vec<Part>,
    names: Vec<String>,
    /// It holds a `?`, so it is compared with path and query.
    has_query: bool,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it can never match, or a parameter is not well formed.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with(['/', '*']) {
            return Err(PatternError::NoSlash);
        }
        let text = escape::unreserved(&escape::non_ascii(text)).into_owned();
        let path = text.split_once('?').map_or(&*text, |(path, _query)| path);
        if escape::climbs(path) {
            return Err(PatternError::ParentSegment);
        }
        let (mut parts, mut names) = (Vec::new(), Vec::<String>::new());
        let mut rest = text.as_str();
        while let Some(start) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(start);
            let (name, behind) =
                from.strip_prefix('{').and_then(|from| from.split_once('}')).ok_or(PatternError::Braces)?;
            let known = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
            if name.is_empty() || !name.chars().all(known) {
                return Err(PatternError::Braces);
            }
            let name = name.to_owned();
            if !before.ends_with('/') || !(behind.is_empty() || behind.starts_with(['/', '?'])) {
                return Err(PatternError::PartOfSegment { name });
            }
            if names.contains(&name) {
                return Err(PatternError::Repeated { name });
            }
            push_text(before, &mut parts);
            parts.push(Part::Segment);
            names.push(name);
            rest = behind;
        }
        can_be_sent(&text)?;
        push_text(rest, &mut parts);
        Ok(Self { parts, names, has_query: text.contains('?') })
    }

    /// The names of its parameters.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether every request that matches `other` matches this one, too; `false` if that is not sure. `None` is every path.
    pub(crate) fn covers(&self, other: Option<&Self>) -> bool {
        let Some(other) = other else {
            return !self.has_query && covers(&self.parts, &[Part::Text("/".to_owned()), Part::Any]);
        };
        if self.has_query || other.has_query && !other.is_path_before_query() {
            return self.parts == other.parts && self.has_query == other.has_query;
        }
        covers(&self.parts, &other.path_parts())
    }

    /// Whether the first `?` of what matches is the one that is written: none can be in what a `*` in front of it takes.
    fn is_path_before_query(&self) -> bool {
        let behind_any = self.parts.iter().skip_while(|part| **part != Part::Any);
        !behind_any.skip(1).any(|part| matches!(part, Part::Text(text) if text.contains('?')))
    }

    /// Its parts without those of the query.
    fn path_parts(&self) -> Vec<Part> {
        let mut path = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) if text.contains('?') => {
                    let before = text.split('?').next().unwrap_or_default();
                    path.push(Part::Text(before.to_owned()));
                    break;
                }
                part => path.push(part.clone()),
            }
        }
        path
    }

    /// Whether a request for `path` can match, and whether every one does, whatever its query. Escapes as in
    /// [`PathPattern::matches`].
    pub(crate) fn takes(&self, path: &str) -> Takes {
        match () {
            () if self.has_query => Takes::Maybe,
            () if captures(&self.parts, path).is_some() => Takes::Always,
            () => Takes::Never,
        }
    }

    /// Whether a request with this path and query matches, and what its parameters are then, decoded. Escapes of
    /// unreserved characters in `path` have to be decoded already.
    pub(crate) fn matches(&self, path: &str, query: Option<&str>) -> Option<Result<Params, NoText>> {
        let value = match query.filter(|_| self.has_query) {
            Some(query) => Cow::Owned(format!("{path}?{query}")),
            None => Cow::Borrowed(path),
        };
        let found = captures(&self.parts, &value)?;
        let pairs = self.names.iter().zip(found);
        Some(pairs.map(|(name, segment)| Ok((name.clone(), escape::text(segment).ok_or(NoText)?))).collect())
    }
}

/// Names and values of parameters, decoded.
pub(crate) type Params = Vec<(String, String)>;

/// A parameter of a path is no text: no UTF-8, or with control characters in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoText;

/// Whether a request can have what is written as the pattern of a path, and of a query.
fn can_be_sent(text: &str) -> Result<(), PatternError> {
    if text.contains('#') {
        return Err(PatternError::Fragment);
    }
    if text.chars().any(|letter| letter == ' ' || letter.is_control()) {
        return Err(PatternError::Blank);
    }
    // A `*` may stand for digits of an escape.
    let is_escape = |rest: &str| match rest.as_bytes() {
        [b'*', ..] => true,
        [first, b'*', ..] => first.is_ascii_hexdigit(),
        [first, second, ..] => first.is_ascii_hexdigit() && second.is_ascii_hexdigit(),
        _ => false,
    };
    if text.split('%').skip(1).all(is_escape) { Ok(()) } else { Err(PatternError::Escape) }
}

/// Which requests for a path match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Takes {
    Never,
    /// That depends on something else.
    Maybe,
    Always,
}

/// A pattern for `Host`: the port counts only if the pattern has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityPattern {
    host: Pattern,
    port: Option<Pattern>,
}

impl AuthorityPattern {
    /// Reads a pattern: a host, maybe with a port; both may hold `*`. Letters have no case; names that are not ASCII are
    /// taken in the form that the wire has.
    ///
    /// # Errors
    /// When the port can be none, or the name has no such form.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if let Some((_, rest)) = text.split_once("://") {
            let rest = rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
            return Err(PatternError::NoAuthority { rest });
        }
        let (host, port) = split_port(text);
        let port = port.map(|port| port_pattern(port).map(|()| Pattern::new(port))).transpose()?;
        Ok(Self { host: Pattern::new(&wire_host(host)?), port })
    }

    /// Whether every authority that is meant by `other` is meant by this one, too; `false` if that is not sure.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let covers_port = |own: &Pattern| other.port.as_ref().is_some_and(|port| own.covers(port));
        self.host.covers(&other.host) && self.port.as_ref().is_none_or(covers_port)
    }

    /// Whether a request for `authority` is meant; `secure` decides the default port.
    pub(crate) fn matches(&self, authority: &Authority, secure: bool) -> bool {
        self.host.matches(authority.host())
            && self
                .port
                .as_ref()
                .is_none_or(|port| port.matches(&authority.effective_port(secure).to_string()))
    }
}

/// Splits `host:port`; the colons of an IPv6 address in brackets do not count.
pub(crate) fn split_port(text: &str) -> (&str, Option<&str>) {
    let behind = text.rfind(']').map_or(0, |bracket| bracket + 1);
    match text.get(behind..).and_then(|rest| rest.rfind(':')) {
        Some(colon) => {
            let (host, port) = text.split_at(behind + colon);
            (host, port.strip_prefix(':'))
        }
        None => (text, None),
    }
}

fn port_pattern(port: &str) -> Result<(), PatternError> {
    let fits = port.parse::<u16>().is_ok_and(|_| !port.starts_with('+'));
    let is_pattern = port.contains('*') && port.bytes().all(|byte| byte == b'*' || byte.is_ascii_digit());
    if fits || is_pattern { Ok(()) } else { Err(PatternError::Port { port: port.to_owned() }) }
}

/// A host, maybe with `*` in it, in small letters and with A-labels.
pub(crate) fn wire_host(host: &str) -> Result<String, PatternError> {
    let bad = || PatternError::Host { host: host.to_owned() };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte);
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(Ok(literal)) = literal.map(str::parse::<Ipv6Addr>) {
        return Ok(format!("[{literal}]"));
    }
    if !host.starts_with('[') && host.contains(':') {
        return Err(bad());
    }
    let mut labels = Vec::new();
    // As in requests: without the dot of the root.
    for label in host.strip_suffix('.').unwrap_or(host).split('.') {
        labels.push(if label.is_ascii() {
            label.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(label).map_err(|_| bad())?
        });
    }
    let host = labels.join(".");
    if host.is_empty() || !host.bytes().all(known) { Err(bad()) } else { Ok(host) }
}

#[cfg(test)]
mod tests;
