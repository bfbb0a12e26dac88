//! Servers that are reached without the proxy.

use std::net::IpAddr;
use tremor_ws::Network;

/// One entry of `no_proxy`.
#[derive(Debug, PartialEq, Eq)]
enum Rule {
    /// `*`
    All,
    /// A name; with a leading dot or `*.` only what is below it.
    Name { name: String, is_below: bool, port: Option<u16> },
    /// An address or a range of them.
    Network(Network),
    /// An address with a port.
    Address(IpAddr, u16),
}

/// `no_proxy`
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Bypass(Vec<Rule>);

impl Bypass {
    /// Reads its entries; empty ones count for nothing.
    ///
    /// # Errors
    /// The entry that is none, in words.
    pub(super) fn parse<'a>(entries: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let entries = entries.map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(rule).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `host` is reached without the proxy. A name has no addresses here: it is not resolved.
    pub(super) fn holds(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let ip = host.parse::<IpAddr>().ok();
        self.0.iter().any(|rule| match rule {
            Rule::All => true,
            Rule::Name { port: Some(own), .. } if *own != port => false,
            Rule::Name { name, is_below, .. } => {
                let is_part = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                is_part || (!is_below && host == *name)
            }
            Rule::Network(network) => {
                ip.is_some_and(|ip| tremor_ws::is_in(std::slice::from_ref(network), ip))
            }
            Rule::Address(own, of_port) => ip == Some(*own) && *of_port == port,
        })
    }
}

fn rule(entry: &str) -> Result<Rule, String> {
    if entry == "*" {
        return Ok(Rule::All);
    }
    if let Ok(network) = Network::parse(entry.trim_matches(['[', ']'])) {
        return Ok(Rule::Network(network));
    }
    if let Ok(address) = entry.parse::<std::net::SocketAddr>() {
        return Ok(Rule::Address(address.ip(), address.port()));
    }
    let bad = || format!("`{entry}` is no host, domain or network");
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) => (name, Some(port.parse().map_err(|_| bad())?)),
        None => (entry, None),
    };
    let below = name.strip_prefix("*.").or_else(|| name.strip_prefix('.'));
    let is_below = below.is_some();
    let name = below.unwrap_or(name).trim_end_matches('.').to_ascii_lowercase();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(bad());
    }
    Ok(Rule::Name { name, is_below, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_domains_and_networks_are_reached_directly() {
        for (entry, host, port, holds) in [
            ("*", "far.example", 80, true),
            ("near.example", "near.example", 80, true),
            ("near.example", "a.near.example", 80, true),
            ("near.example", "linear.near.example.org", 80, false),
            ("near.example", "xnear.example", 80, false),
            (".near.example", "near.example", 80, false),
            (".near.example", "a.near.example", 80, true),
            ("*.Near.example", "A.near.example", 80, true),
            ("near.example:81", "near.example", 80, false),
            ("near.example:80", "near.example.", 80, true),
            ("10.0.0.0/8", "10.1.2.3", 80, true),
            ("10.0.0.0/8", "11.1.2.3", 80, false),
            ("10.0.0.0/8", "ten.example", 80, false),
            ("127.0.0.1", "127.0.0.1", 7, true),
            ("127.0.0.1:7", "127.0.0.1", 8, false),
            ("127.0.0.1:7", "127.0.0.1", 7, true),
            ("[::1]", "::1", 7, true),
            ("fe80::/10", "fe80::1", 7, true),
        ] {
            let bypass = Bypass::parse([entry].into_iter()).unwrap();
            assert_eq!(bypass.holds(host, port), holds, "{entry} {host}:{port}");
        }
        for bad in ["a b", "a:b", ".", "http://a", "*.*"] {
            assert!(Bypass::parse([bad].into_iter()).is_err(), "{bad}");
        }
        assert_eq!(Bypass::parse(["", " "].into_iter()), Ok(Bypass::default()));
    }
}
