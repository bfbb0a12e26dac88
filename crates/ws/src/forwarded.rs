//! What proxies in front of us say about the client. Source: `spec/websocket.md` 2.3, RFC 7239.

use crate::handshake::{Authority, Headers, Reject, split_outside_quotes, trim, unquote};
use crate::network::{Network, is_in};
use std::net::{IpAddr, SocketAddr};

/// Whose word is taken for who the client is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Nobody's.
    #[default]
    Nobody,
    /// `trusted_proxies`: that of proxies with these addresses. The last address in the list that is none of theirs is
    /// the client's.
    Networks(Vec<Network>),
    /// `trust_xff`: that of so many proxies, whoever they are; the client's is the address so many from the end.
    Hops(usize),
}

impl Forwarded {
    /// What both say. A client that only one of them knows is a contradiction, too: the other one would make it somebody
    /// who comes from the address of the proxy.
    fn and(self, other: Self) -> Result<Self, Reject> {
        let has_same_client = match (self.client, other.client) {
            (Some((one, _)), Some((other, _))) => one == other,
            (one, other) => one.is_none() && other.is_none(),
        };
        let (secure, host) = (self.secure.zip(other.secure), self.host.zip(other.host));
        let differs = |what: &'static str| {
            let reason = format!("`Forwarded` and the `X-Forwarded` headers differ in the {what}");
            Reject::new(400, "forwarded", reason)
        };
        if !has_same_client {
            return Err(differs("client"));
        }
        if secure.is_some_and(|(one, other)| one != other) {
            return Err(differs("scheme"));
        }
        if host.as_ref().is_some_and(|(one, other)| one != other) {
            return Err(differs("host"));
        }
        let client = self.client.or(other.client);
        Ok(Self { client, secure: secure.map(|(secure, _)| secure), host: host.map(|(host, _)| host) })
    }
}

/// What is believed about how a request reached the first proxy that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forwarded {
    /// Address of the client, and its port if that was said.
    pub client: Option<(IpAddr, Option<u16>)>,
    /// Whether it came over TLS.
    pub secure: Option<bool>,
    /// The `Host` that the client asked for.
    pub host: Option<Authority>,
}

impl Trust {
    /// Whether what a peer with this address says of its clients would be believed.
    pub fn is_proxy(&self, peer: IpAddr) -> bool {
        match self {
            Self::Nobody => false,
            Self::Networks(networks) => is_in(networks, peer),
            Self::Hops(_) => true,
        }
    }

    /// What `headers`, which came from `peer`, say that is to be believed. `None` stands for a peer on this machine, which
    /// has no address; its word is taken as that of a proxy if anybody's is.
    ///
    /// `Forwarded` and the headers with `X-` say the same in two ways. A proxy that knows only one of them hands on what its
    /// client wrote into the other, and nobody can tell which one that is.
    ///
    /// # Errors
    /// Both are there and say different things, of which one may be a lie. What only one of them says of scheme and host
    /// does not count. Or what a proxy that is believed says is not well formed, says something twice, or names a client by what
    /// is no address.
    pub fn forwarded(&self, peer: Option<IpAddr>, headers: &Headers) -> Result<Forwarded, Reject> {
        match self {
            Self::Nobody => return Ok(Forwarded::default()),
            trust if peer.is_some_and(|peer| !trust.is_proxy(peer)) => return Ok(Forwarded::default()),
            Self::Networks(_) | Self::Hops(_) => {}
        }
        let standard = headers.get("forwarded").map(|_| self.walk(&elements(headers)));
        let standard = standard.transpose()?;
        let has_x = X_HEADERS.iter().any(|name| headers.get(name).is_some());
        let x = has_x.then(|| self.walk_x(headers)).transpose()?;
        match (standard, x) {
            (Some(one), Some(other)) => one.and(other),
            (one, other) => Ok(one.or(other).unwrap_or_default()),
        }
    }

    /// Whether `peer` itself is one of the proxies that were named. That there are some in front is not enough: whoever
    /// finds a way around them would be believed.
    pub fn is_named(&self, peer: Option<IpAddr>) -> bool {
        match self {
            Self::Networks(networks) => peer.is_none_or(|peer| is_in(networks, peer)),
            Self::Nobody | Self::Hops(_) => false,
        }
    }

    /// Goes through `hops`, the nearest one last. Each was written by a proxy that is trusted, as long as the one before
    /// it is.
    ///
    /// # Errors
    /// One of those hops is not well formed.
    fn walk(&self, hops: &[Hop]) -> Result<Forwarded, Reject> {
        let mut found = Forwarded::default();
        for hop in self.believed(hops) {
            if let Some(fault) = hop.fault {
                return Err(Reject::new(400, "forwarded", fault));
            }
            found.secure = hop.secure.or(found.secure);
            found.host = hop.host.clone().or(found.host);
            match hop.address {
                Some(address) => found.client = Some(address),
                None => break,
            }
        }
        Ok(found)
    }

    /// The hops that trusted proxies told of, from the nearest one on.
    fn believed<'h>(&self, hops: &'h [Hop]) -> impl Iterator<Item = &'h Hop> {
        let mut left = match self {
            Self::Nobody => 0,
            Self::Networks(_) => usize::MAX,
            Self::Hops(hops) => *hops,
        };
        hops.iter().rev().take_while(move |hop| {
            let goes_on = left > 0;
            let is_trusted = match (self, hop.address) {
                (Self::Networks(networks), Some((address, _))) => is_in(networks, address),
                (Self::Hops(_), _) => true,
                _ => false,
            };
            left = if is_trusted { left.saturating_sub(1) } else { 0 };
            goes_on
        })
    }

    fn walk_x(&self, headers: &Headers) -> Result<Forwarded, Reject> {
        let list = |name| {
            let all = headers.all(name).flat_map(|value| value.split(|byte| *byte == b',')).map(trim);
            all.map(|item| std::str::from_utf8(item).unwrap_or_default()).collect::<Vec<_>>()
        };
        let [addresses, schemes, hosts] = X_HEADERS.map(list);
        let hop = |text: &&str| Hop { address: address(text), fault: fault(text), ..Hop::default() };
        let hops: Vec<Hop> = addresses.iter().map(hop).collect();
        let mut found = self.walk(&hops)?;
        // Proxies write one for each address, or one for all.
        let back = self.believed(&hops).count().max(1);
        let of_hop = |all: &[&str]| all.get(all.len().saturating_sub(back)).map(|text| (*text).to_owned());
        found.secure = of_hop(&schemes).and_then(|scheme| is_secure(&scheme));
        found.host = of_hop(&hosts).and_then(|host| Authority::parse(&host));
        Ok(found)
    }
}

const X_HEADERS: [&str; 3] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];

/// What one proxy says of whoever connected to it.
#[derive(Debug, Clone, Default)]
struct Hop {
    address: Option<(IpAddr, Option<u16>)>,
    secure: Option<bool>,
    host: Option<Authority>,
    /// Why nothing of it can be believed.
    fault: Option<&'static str>,
}

/// The elements of all `Forwarded` headers. A quoted string without an end takes those behind it along, also what the proxies
/// have written that are believed.
fn elements(headers: &Headers) -> Vec<Hop> {
    let all = headers.all("forwarded").flat_map(|value| split_outside_quotes(value, b','));
    let torn = || Hop { fault: Some("an element of `Forwarded` is not well formed"), ..Hop::default() };
    all.filter(|found| !found.is_empty()).map(|found| element(found).unwrap_or_else(torn)).collect()
}

fn element(element: &[u8]) -> Option<Hop> {
    let (mut hop, mut names) = (Hop::default(), Vec::new());
    for pair in split_outside_quotes(element, b';').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at(at);
        let value = String::from_utf8(unquote(trim(value.get(1..)?))?).ok()?;
        let name = trim(name).to_ascii_lowercase();
        match name.as_slice() {
            b"for" => (hop.address, hop.fault) = (address(&value), hop.fault.or(fault(&value))),
            b"proto" => hop.secure = is_secure(&value),
            b"host" => hop.host = Authority::parse(&value),
            _ => {}
        }
        if names.contains(&name) {
            hop.fault = Some("an element of `Forwarded` says something twice");
        }
        names.push(name);
    }
    Some(hop)
}

/// What is wrong with `text` in the place of an address. A proxy that does not know the client, or keeps it to itself, says
/// `unknown`, a name that begins with `_`, or nothing.
fn fault(text: &str) -> Option<&'static str> {
    let is_withheld = text.is_empty() || text.starts_with('_') || text.eq_ignore_ascii_case("unknown");
    (!is_withheld && address(text).is_none()).then_some("a proxy names a client by what is no address")
}

fn is_secure(scheme: &str) -> Option<bool> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => Some(false),
        "https" | "wss" => Some(true),
        _ => None,
    }
}

/// An address as proxies write it: with or without port, IPv6 with or without brackets. Words such as `unknown` are none.
fn address(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some((ip.to_canonical(), None));
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some((socket.ip().to_canonical(), Some(socket.port())));
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6).map(|ip| (ip.to_canonical(), None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::headers_of;

    fn networks(list: &[&str]) -> Trust {
        Trust::Networks(list.iter().map(|text| Network::parse(text).unwrap()).collect())
    }

    /// `client secure host` of what a request from 10.0.0.1 says.
    fn said(trust: &Trust, lines: &str) -> String {
        let found = match trust.forwarded(Some("10.0.0.1".parse().unwrap()), &headers_of(lines)) {
            Ok(found) => found,
            Err(reject) => return format!("{} {}", reject.status, reject.reason),
        };
        let client = found.client.map_or("-".to_owned(), |(ip, port)| match port {
            Some(port) => format!("{ip} {port}"),
            None => ip.to_string(),
        });
        let secure = found.secure.map_or("-".to_owned(), |secure| secure.to_string());
        format!("{client} {secure} {}", found.host.as_ref().map_or("-", Authority::host))
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let lines = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: edge\r\n";
        assert_eq!(said(&Trust::Nobody, lines), "- - -");
        assert_eq!(said(&networks(&["10.0.0.2"]), lines), "- - -");
        assert_eq!(said(&networks(&["10.0.0.0/8"]), lines), "1.2.3.4 true edge");
        assert_eq!(said(&Trust::Hops(1), lines), "1.2.3.4 true edge");
        assert_eq!(said(&networks(&["10.0.0.0/8"]), "X: y\r\n"), "- - -");
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_clients() {
        let trust = networks(&["10.0.0.0/8", "fd00::/8"]);
        for (list, client) in [
            ("6.6.6.6, 1.2.3.4, 10.0.0.7", "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4:99, [fd00::1]:5", "1.2.3.4 99"),
            ("10.0.0.9, 10.0.0.8", "10.0.0.9"),
            ("6.6.6.6, unknown, 10.0.0.7", "10.0.0.7"),
            ("6.6.6.6, _hidden", "-"),
            ("nonsense, 1.2.3.4, 10.0.0.7", "1.2.3.4"),
            ("2001:db8::7, fd00::2", "2001:db8::7"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("1.2.3.4\r\nX-Forwarded-For: 10.0.0.3", "1.2.3.4"),
        ] {
            let got = said(&trust, &format!("X-Forwarded-For: {list}\r\n"));
            assert_eq!(got, format!("{client} - -"), "{list}");
        }
        let hops = "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 9.9.9.9\r\n";
        assert_eq!(said(&Trust::Hops(1), hops), "9.9.9.9 - -");
        assert_eq!(said(&Trust::Hops(2), hops), "1.2.3.4 - -");
        assert_eq!(said(&Trust::Hops(9), hops), "6.6.6.6 - -");
    }

    #[test]
    fn scheme_and_host_are_those_of_the_same_hop() {
        let trust = networks(&["10.0.0.0/8"]);
        let lines = "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.7\r\n\
                     X-Forwarded-Proto: http, https, http\r\nX-Forwarded-Host: evil, edge, inner\r\n";
        assert_eq!(said(&trust, lines), "1.2.3.4 true edge");
        let lines = "Forwarded: for=6.6.6.6;proto=http;host=evil, for=\"1.2.3.4:5\";Proto=HTTPS;host=edge\r\n\
                     forwarded: for=10.0.0.7;by=10.0.0.1\r\n";
        assert_eq!(said(&trust, lines), "1.2.3.4 5 true edge");
        assert_eq!(said(&trust, "Forwarded: for=\"[2001:db8::1]\"\r\n"), "2001:db8::1 - -");
        assert_eq!(said(&trust, "Forwarded: for=_hidden;proto=https\r\n"), "- true -");
    }

    #[test]
    fn behind_a_hop_without_an_address_nobody_is_believed() {
        let trust = networks(&["10.0.0.0/8"]);
        let lines = "X-Forwarded-For: 6.6.6.6, unknown\r\nX-Forwarded-Proto: https, http\r\n";
        assert_eq!(said(&trust, lines), "- false -");
        let peer = |text: &str| Some(text.parse().unwrap());
        assert!(
            trust.is_named(peer("10.0.0.1")) && trust.is_named(None) && !trust.is_named(peer("11.0.0.1"))
        );
        for trust in [Trust::Hops(1), Trust::Nobody] {
            assert!(!trust.is_named(peer("10.0.0.1")) && !trust.is_named(None));
        }
    }

    #[test]
    fn what_believed_proxies_write_has_to_be_well_formed() {
        let trust = networks(&["10.0.0.0/8"]);
        let twice = "400 an element of `Forwarded` says something twice";
        let torn = "400 an element of `Forwarded` is not well formed";
        let no_address = "400 a proxy names a client by what is no address";
        for (lines, expected) in [
            ("Forwarded: for=1.1.1.1;for=2.2.2.2", twice),
            ("Forwarded: for=1.1.1.1;proto=http;Proto=https", twice),
            ("Forwarded: for=6.6.6.6;for=7.7.7.7, for=1.2.3.4", "1.2.3.4 - -"),
            ("Forwarded: for=1.2.3.4;by=a, for=10.0.0.7;by=b", "1.2.3.4 - -"),
            ("Forwarded: for=\"1.2.3.4;proto=https", torn),
            ("Forwarded: for=\"torn, for=1.2.3.4", torn),
            ("Forwarded: for", torn),
            ("Forwarded: for=\"torn\r\nForwarded: for=1.2.3.4", "1.2.3.4 - -"),
            ("Forwarded: for=\"_\\\"\", for=1.2.3.4", "1.2.3.4 - -"),
            ("Forwarded: for=junk", no_address),
            ("X-Forwarded-For: junk, 10.0.0.1", no_address),
            ("X-Forwarded-For: junk, 1.2.3.4", "1.2.3.4 - -"),
            ("X-Forwarded-For: unknown", "- - -"),
            ("X-Forwarded-For: ", "- - -"),
        ] {
            assert_eq!(said(&trust, &format!("{lines}\r\n")), expected, "{lines}");
        }
        assert_eq!(said(&Trust::Nobody, "X-Forwarded-For: junk\r\n"), "- - -");
    }

    #[test]
    fn where_there_are_both_they_have_to_agree() {
        let trust = networks(&["10.0.0.0/8"]);
        let both = |x: &str, standard: &str| said(&trust, &format!("{x}Forwarded: {standard}\r\n"));
        let x = "X-Forwarded-For: 1.2.3.4\r\n";
        assert_eq!(
            both(x, "for=1.2.3.4;proto=https;host=edge"),
            "1.2.3.4 - -",
            "what one says does not count"
        );
        assert_eq!(both(x, "for=\"1.2.3.4:99\""), "1.2.3.4 99 - -");
        let all = format!("{x}X-Forwarded-Proto: https\r\nX-Forwarded-Host: edge\r\n");
        assert_eq!(both(&all, "for=1.2.3.4;proto=https;host=edge"), "1.2.3.4 true edge");
        assert_eq!(both("X-Forwarded-Proto: https\r\n", "proto=https"), "- true -");
        let differ = |what| format!("400 `Forwarded` and the `X-Forwarded` headers differ in the {what}");
        // Each could be what the client wrote, also the one that names a proxy or nobody.
        for other in ["for=6.6.6.6", "for=10.0.0.9", "for=unknown", "proto=https"] {
            assert_eq!(both(x, other), differ("client"), "{other}");
        }
        assert_eq!(both("X-Forwarded-Proto: http\r\n", "for=6.6.6.6"), differ("client"));
        assert_eq!(both(&all, "for=1.2.3.4;proto=http"), differ("scheme"));
        assert_eq!(both(&all, "for=1.2.3.4;host=evil"), differ("host"));
        // Of those whom nobody believes, nothing is compared.
        let lines = format!("{x}Forwarded: for=6.6.6.6\r\n");
        assert_eq!(said(&networks(&["10.0.0.2"]), &lines), "- - -");
        assert_eq!(said(&Trust::Nobody, &lines), "- - -");
    }
}
