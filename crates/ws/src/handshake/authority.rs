//! Hosts and ports.

use crate::escape::unreserved;
use std::net::Ipv6Addr;

/// A `host[:port]` as in a `Host` header, compared without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    host: String,
    port: Option<u16>,
}

impl Authority {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; `None` if it is none of these.
    ///
    /// Of the ways to write the same host one is left: a rule for it must not be evaded by another.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (literal, port) = rest.split_once(']')?;
                (format!("[{}]", literal.parse::<Ipv6Addr>().ok()?), port)
            }
            None => {
                let at = text.find(':').unwrap_or(text.len());
                let (host, port) = text.split_at(at);
                let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
                if host.is_empty() || !host.bytes().all(known) || !escapes_are_valid(host) {
                    return None;
                }
                let host = unreserved(host).to_ascii_lowercase();
                // The root of all names may be written or not.
                let host = host.strip_suffix('.').unwrap_or(&host).to_owned();
                (Some(host).filter(|host| !host.is_empty())?, port)
            }
        };
        let port = match port.strip_prefix(':') {
            // RFC 3986 3.2.3: an empty port is none.
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            None if port.is_empty() => None,
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// The host in lower case; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port if one is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The port, or the one that the scheme implies: 443 if `secure`, else 80.
    pub fn effective_port(&self, secure: bool) -> u16 {
        self.port.unwrap_or(default_port(secure))
    }

    /// Whether a request for `self` is meant by the configured `entry`: the same host, and the same port if the
    /// entry names one.
    pub(super) fn is_admitted_by(&self, entry: &Self, secure: bool) -> bool {
        self.host == entry.host && entry.port.is_none_or(|port| port == self.effective_port(secure))
    }
}

/// The value of a `Host` header: the port is left out where it is the default of the scheme, an IPv6 address gets
/// brackets. Source: `spec/websocket.md` 8.
pub fn host_header(host: &str, port: u16, secure: bool) -> String {
    let host = if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() };
    if port == default_port(secure) { host } else { format!("{host}:{port}") }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Whether every `%` is followed by two hexadecimal digits.
pub(super) fn escapes_are_valid(text: &str) -> bool {
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    text.split('%').skip(1).map(str::as_bytes).all(|rest| hex(rest.first()) && hex(rest.get(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read() {
        for (text, host, port) in [
            ("Gate.Example", "gate.example", None),
            ("gate.example:7001", "gate.example", Some(7001)),
            ("127.0.0.1:0", "127.0.0.1", Some(0)),
            ("[::1]", "[::1]", None),
            ("[2001:DB8::1]:443", "[2001:db8::1]", Some(443)),
            ("a:", "a", None),
            ("[::1]:", "[::1]", None),
            ("a_b%20c", "a_b%20c", None),
            ("gate.example.", "gate.example", None),
            ("%67ate.Ex%41mple.:80", "gate.example", Some(80)),
            ("[2001:0db8:0::0001]", "[2001:db8::1]", None),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!((authority.host(), authority.port()), (host, port), "{text}");
        }
        let bad = [
            "", ".", ":80", ":", "a:+1", "a:65536", "a:1:2", "a b", "a/b", "u@a", "[::1", "[x]", "[::1]x",
            "a%2", "d\u{ed}a",
        ];
        for text in bad {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_default_port_is_left_out_of_the_host_header() {
        assert_eq!(host_header("a", 80, false), "a");
        assert_eq!(host_header("a", 443, true), "a");
        assert_eq!(host_header("a", 443, false), "a:443");
        assert_eq!(host_header("::1", 7000, false), "[::1]:7000");
    }
}
