//! The addresses that users write (`spec/connectors.md` 2.1).
//!
//! Own code and no general URL parser, because those drop a port that is the scheme's well-known one, and
//! because half of what users write (`127.0.0.1:4242`, `[::1]:80`) is no URL until a scheme is put before.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::config::{ConfigError, Entry, Reader, Secret};

#[cfg(test)]
mod tests;

/// Longest URL that is taken, in bytes.
const MAX_URL_BYTES: usize = 8 * 1024;

/// Longest host name, in bytes (RFC 1035, section 2.3.4, without the root label).
const MAX_NAME_BYTES: usize = 253;

/// What a connector kind expects of its URL.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'r> {
    /// Put before a text without a scheme.
    pub default_scheme: &'r str,
    /// Schemes that the kind takes, in small letters; empty: any.
    pub schemes: &'r [&'r str],
    /// The host of a URL without one.
    pub default_host: &'r str,
}

impl Rules<'static> {
    /// The rules of `ws_server` and `ws_client`.
    pub const WEBSOCKET: Self =
        Self { default_scheme: "ws", schemes: &["ws", "wss"], default_host: "localhost" };
    /// The rules of `tcp_server` and `tcp_client`.
    pub const TCP: Self = Self { default_scheme: "tcp", schemes: &[], default_host: "localhost" };
}

/// The host of a [`Url`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, in small letters.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

impl Host {
    /// The host to connect to: an unspecified address (`0.0.0.0`, `[::]`) means this machine.
    #[must_use]
    pub fn target(&self) -> Self {
        match self {
            Self::Ip(IpAddr::V4(ip)) if ip.is_unspecified() => Self::Ip(Ipv4Addr::LOCALHOST.into()),
            Self::Ip(IpAddr::V6(ip)) if ip.is_unspecified() => Self::Ip(Ipv6Addr::LOCALHOST.into()),
            _ => self.clone(),
        }
    }
}

/// Without brackets, as name resolution and TLS want it.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// Name and password of a URL, decoded. Printing it gives `***`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Userinfo {
    /// What stands before the first colon.
    pub user: Secret<String>,
    /// What stands after the first colon, if there is one.
    pub password: Option<Secret<String>>,
}

/// An address that a user wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    scheme_written: bool,
    userinfo: Option<Userinfo>,
    host: Host,
    host_written: bool,
    port: Option<u16>,
    path_and_query: String,
    fragment: Option<String>,
}

impl Url {
    /// Reads `text`.
    ///
    /// # Errors
    /// If it is no such address. No message shows more of it than the host or the port.
    pub fn parse(text: &str, rules: &Rules<'_>) -> Result<Self, UrlError> {
        Self::parse_quoting(text, rules).map_err(|error| match error {
            // With a `/` in a password, the piece that looks like host or port is part of it.
            UrlError::Host(_) if text.contains('@') => UrlError::Host("***".to_owned()),
            UrlError::Port(_) if text.contains('@') => UrlError::Port("***".to_owned()),
            error => error,
        })
    }

    fn parse_quoting(text: &str, rules: &Rules<'_>) -> Result<Self, UrlError> {
        if text.len() > MAX_URL_BYTES {
            return Err(UrlError::TooLong);
        }
        let text = text.trim_matches(' ');
        if text.is_empty() {
            return Err(UrlError::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(UrlError::ControlCharacter);
        }
        let (scheme, rest) = match split_scheme(text) {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        let scheme_written = scheme.is_some();
        let scheme = scheme.unwrap_or_else(|| rules.default_scheme.to_owned());
        if !rules.schemes.is_empty() && !rules.schemes.contains(&scheme.as_str()) {
            let known = rules.schemes.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>();
            return Err(UrlError::Scheme { scheme, known: known.join(" or ") });
        }
        let (rest, fragment) = match rest.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment.to_owned())),
            None => (rest, None),
        };
        let path_start = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_start);
        if !scheme_written && authority.ends_with(':') && path.starts_with("//") {
            return Err(UrlError::NoScheme);
        }
        // There may well be a host of the name, `ws/path`.
        let name = authority.strip_suffix(':').unwrap_or(authority).to_ascii_lowercase();
        let half = if authority.len() > name.len() { "/" } else { "//" };
        if !scheme_written && path.starts_with(half) && rules.schemes.contains(&name.as_str()) {
            return Err(UrlError::HalfAScheme(name));
        }
        let (userinfo, host_and_port) = match authority.rsplit_once('@') {
            Some((userinfo, rest)) => (Some(parse_userinfo(userinfo)?), rest),
            None => (None, authority),
        };
        let (host, port) = split_port(host_and_port)?;
        let host_written = !host.is_empty();
        let host = if host_written { host } else { rules.default_host };
        if host.is_empty() {
            return Err(UrlError::NoHost);
        }
        Ok(Self {
            scheme,
            scheme_written,
            userinfo,
            host: parse_host(host)?,
            host_written,
            port: port.map(parse_port).transpose()?.flatten(),
            path_and_query: encode_path(path),
            fragment,
        })
    }

    /// Reads the URL of an entry of a configuration.
    ///
    /// # Errors
    /// If it is no string or no such address, or has a fragment: nobody is ever sent one, and an address of a WebSocket
    /// must not have any (RFC 6455, section 3).
    pub fn from_entry(entry: &Entry<'_>, rules: &Rules<'_>) -> Result<Self, ConfigError> {
        let url = Self::parse(entry.read()?, rules).map_err(|error| entry.invalid(error.to_string()))?;
        match url.fragment {
            None => Ok(url),
            // It may be the end of a password.
            Some(_) => {
                Err(entry.invalid("has a fragment, which is never sent; for the sign `#` itself write `%23`"))
            }
        }
    }

    /// Reads the URL in `key`, which has to be there.
    ///
    /// # Errors
    /// If it is missing, no string, or no such address.
    pub fn required(
        config: &mut Reader<'_>,
        key: &'static str,
        rules: &Rules<'_>,
    ) -> Result<Self, ConfigError> {
        let url = Self::optional(config, key, rules)?;
        url.ok_or_else(|| config.missing(key, r#"a string such as "127.0.0.1:4242""#))
    }

    /// Reads the URL in `key`, if it is there.
    ///
    /// # Errors
    /// If it is there and no string, or no such address.
    pub fn optional(
        config: &mut Reader<'_>,
        key: &'static str,
        rules: &Rules<'_>,
    ) -> Result<Option<Self>, ConfigError> {
        config.entry(key).map(|entry| Self::from_entry(&entry, rules)).transpose()
    }

    /// The scheme in small letters, be it written or the default.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// `true` if the user wrote the scheme.
    #[must_use]
    pub fn scheme_is_written(&self) -> bool {
        self.scheme_written
    }

    /// Name and password, if the user wrote any.
    #[must_use]
    pub fn userinfo(&self) -> Option<&Userinfo> {
        self.userinfo.as_ref()
    }

    /// The host, be it written or the default.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// `true` if the user wrote the host.
    #[must_use]
    pub fn host_is_written(&self) -> bool {
        self.host_written
    }

    /// The port, if the user wrote one, even the well-known one of the scheme.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The port, or `default`.
    #[must_use]
    pub fn port_or(&self, default: u16) -> u16 {
        self.port.unwrap_or(default)
    }

    /// Path and query as a request line wants them: begins with `/`, has no spaces, is ASCII.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }

    /// `true` if there is more than an empty path.
    #[must_use]
    pub fn has_path(&self) -> bool {
        self.path_and_query != "/"
    }

    /// What stands after `#`, if there is one. It is never sent.
    #[must_use]
    pub fn fragment(&self) -> Option<&str> {
        self.fragment.as_deref()
    }

    /// Host and port as the `Host` header wants them: with brackets around IPv6, and without the port if it
    /// is `default_port`.
    #[must_use]
    pub fn authority(&self, default_port: u16) -> String {
        let port = self.port.filter(|port| *port != default_port);
        let mut text = match self.host {
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            Host::Ip(IpAddr::V4(ip)) => ip.to_string(),
            Host::Name(ref name) => name.clone(),
        };
        if let Some(port) = port {
            text.push_str(&format!(":{port}"));
        }
        text
    }
}

/// For messages: name and password appear as `***`.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let userinfo = if self.userinfo.is_some() { "***@" } else { "" };
        write!(f, "{}://{userinfo}", self.scheme)?;
        match self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
            ref host => write!(f, "{host}")?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if self.has_path() { f.write_str(&self.path_and_query) } else { Ok(()) }
    }
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// There is nothing.
    #[error("the URL is empty")]
    Empty,
    /// It is longer than anybody needs.
    #[error("the URL is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// A line break or the like.
    #[error("the URL has a control character in it")]
    ControlCharacter,
    /// Something stands before `://` that is no scheme.
    #[error("what stands before `://` is no scheme")]
    NoScheme,
    /// Something looks like a scheme, but lacks the colon or a slash.
    #[error("`{0}` looks like a scheme: write `{0}://` in front of a host")]
    HalfAScheme(String),
    /// The kind does not take this scheme.
    #[error("the scheme `{scheme}` does not work here, use {known}")]
    Scheme {
        /// What the user wrote.
        scheme: String,
        /// What would work.
        known: String,
    },
    /// A `%` in name or password without two hexadecimal digits after it, or bytes that are no UTF-8.
    #[error("name or password in the URL has a `%` that begins no valid escape (write `%25` for the sign)")]
    Userinfo,
    /// An IPv6 address without brackets.
    #[error("an IPv6 address needs brackets: `[{0}]`")]
    Brackets(Ipv6Addr),
    /// There is no host, and there is no default.
    #[error("the URL names no host")]
    NoHost,
    /// Neither a name nor an address.
    #[error("`{0}` is no host name and no IP address")]
    Host(String),
    /// Not a number from 0 to 65535.
    #[error("`{0}` is no port: expected a number from 0 to 65535")]
    Port(String),
}

/// Cuts a scheme off, if the text begins with one.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let mut bytes = scheme.bytes();
    let valid = bytes.next()?.is_ascii_alphabetic()
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    valid.then_some((scheme, rest))
}

fn parse_userinfo(text: &str) -> Result<Userinfo, UrlError> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (text, None),
    };
    Ok(Userinfo {
        user: Secret::new(percent_decode(user)?),
        password: password.map(percent_decode).transpose()?.map(Secret::new),
    })
}

fn percent_decode(text: &str) -> Result<String, UrlError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(UrlError::Userinfo) };
        decoded.push(u8::try_from(high * 16 + low).map_err(|_| UrlError::Userinfo)?);
    }
    String::from_utf8(decoded).map_err(|_| UrlError::Userinfo)
}

/// Host (with its brackets, if any) and what stands after the colon.
fn split_port(text: &str) -> Result<(&str, Option<&str>), UrlError> {
    if text.starts_with('[') {
        let Some((host, rest)) = text.split_once(']') else { return Err(UrlError::Host(text.to_owned())) };
        let host_len = host.len() + 1;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((text.get(..host_len).unwrap_or(text), Some(port))),
            None if rest.is_empty() => Ok((text, None)),
            None => Err(UrlError::Host(text.to_owned())),
        };
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, Some(port))),
        Some(_) => Err(text.parse().map_or_else(|_| UrlError::Host(text.to_owned()), UrlError::Brackets)),
        None => Ok((text, None)),
    }
}

/// A port; none if nothing stands after the colon.
fn parse_port(text: &str) -> Result<Option<u16>, UrlError> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if digits { text.parse().ok() } else { None };
    port.map(Some).ok_or_else(|| UrlError::Port(text.to_owned()))
}

fn parse_host(text: &str) -> Result<Host, UrlError> {
    let refused = || UrlError::Host(text.to_owned());
    if let Some(inner) = text.strip_prefix('[') {
        let ip = inner.strip_suffix(']').and_then(|ip| ip.parse::<Ipv6Addr>().ok());
        return ip.map(|ip| Host::Ip(ip.into())).ok_or_else(refused);
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(ip.into()));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(byte)
    };
    // `1.2.3` or `256.1.1.1` are mistyped addresses, which some resolvers would read in their own way.
    let last_is_number =
        name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if name.len() > MAX_NAME_BYTES || last_is_number || !name.split('.').all(label) {
        return Err(refused());
    }
    Ok(Host::Name(text.to_ascii_lowercase()))
}

/// `path` with everything escaped that must not stand in a request line.
fn encode_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        encoded.push('/');
    }
    for byte in path.bytes() {
        let escape = !byte.is_ascii_graphic()
            || matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
        if escape {
            encoded.push_str(&format!("%{byte:02X}"));
        } else {
            encoded.push(char::from(byte));
        }
    }
    encoded
}
