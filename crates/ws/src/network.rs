//! Ranges of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All addresses that begin with the same bits, as in `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// Why a range was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not an address with a number of bits.
    #[error("`{text}` is no address such as `10.0.0.1` or `fd00::1`, and no range such as `10.0.0.0/8`")]
    Malformed {
        /// What was written.
        text: String,
    },
    /// Bits are set that the range says do not count.
    #[error(
        "`{text}` is an address within a range; write `{range}` for the range, or leave out `/` and what is behind it"
    )]
    NotTheFirst {
        /// What was written.
        text: String,
        /// The range around it.
        range: String,
    },
}

impl Network {
    /// Reads an address, or a range of them.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        let malformed = || NetworkError::Malformed { text: text.to_owned() };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| malformed())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(malformed)?
            }
            Some(_) => return Err(malformed()),
        };
        let first = masked(address, bits);
        if first != address {
            let range = format!("{first}/{bits}");
            return Err(NetworkError::NotTheFirst { text: text.to_owned(), range });
        }
        // An IPv4 address may be written as one of IPv6, and is the same.
        match (first, first.to_canonical()) {
            (IpAddr::V6(_), canonical @ IpAddr::V4(_)) if bits >= 96 => {
                Ok(Self { first: canonical, bits: bits - 96 })
            }
            _ => Ok(Self { first, bits }),
        }
    }

    /// All addresses of IPv4, and all of IPv6.
    pub const ALL: [Self; 2] = [
        Self { first: IpAddr::V4(Ipv4Addr::UNSPECIFIED), bits: 0 },
        Self { first: IpAddr::V6(Ipv6Addr::UNSPECIFIED), bits: 0 },
    ];

    /// Whether all addresses of `other` are in it.
    fn holds(self, other: Self) -> bool {
        self.bits <= other.bits && self.contains(other.first)
    }

    /// The lower and the upper half of it, if it has more than one address.
    fn halves(self) -> Option<[Self; 2]> {
        let bits = self.bits + 1;
        let upper: IpAddr = match self.first {
            IpAddr::V4(ip) => {
                Ipv4Addr::from_bits(ip.to_bits() | 1_u32.checked_shl(32_u32.checked_sub(bits.into())?)?)
                    .into()
            }
            IpAddr::V6(ip) => {
                Ipv6Addr::from_bits(ip.to_bits() | 1_u128.checked_shl(128_u32.checked_sub(bits.into())?)?)
                    .into()
            }
        };
        Some([self.first, upper].map(|first| Self { first, bits }))
    }

    /// Whether `address` is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.bits) == self.first
    }
}

/// Whether all addresses of `one` are in any of `networks`.
pub fn cover(networks: &[Network], one: Network) -> bool {
    let mut left = vec![one];
    while let Some(part) = left.pop() {
        if networks.iter().any(|network| network.holds(part)) {
            continue;
        }
        // What no smaller network is in is not covered by several of them either.
        match part.halves().filter(|_| networks.iter().any(|network| part.holds(*network))) {
            Some(halves) => left.extend(halves),
            None => return false,
        }
    }
    true
}

/// `address` without all but its first `bits` bits.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    }
}

/// Whether `address` is in any of `networks`.
pub fn is_in(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_begins_like_them() {
        for (range, address, holds) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("::ffff:10.0.0.0/104", "10.1.1.1", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "1.2.3.4", false),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7/32", "192.168.1.6", false),
            ("192.168.1.128/25", "192.168.1.200", true),
            ("192.168.1.128/25", "192.168.1.100", false),
            ("fd00::/7", "fc00::1", false),
            ("fc00::/7", "fd12::1", true),
            ("::1", "::1", true),
        ] {
            let network = Network::parse(range);
            assert_eq!(
                network.is_ok_and(|network| network.contains(address.parse().unwrap())),
                holds,
                "{range}"
            );
        }
    }

    #[test]
    fn what_several_ranges_cover_together_is_known() {
        for (ranges, one, expected) in [
            ("0.0.0.0/0", "10.0.0.0/8", true),
            ("10.0.0.0/8", "0.0.0.0/0", false),
            ("10.0.0.0/9 10.128.0.0/9", "10.0.0.0/8", true),
            ("10.0.0.0/9 10.128.0.0/10", "10.0.0.0/8", false),
            ("::/0", "10.0.0.0/8", false),
            ("::/0", "fd00::/8", true),
            ("::/1 8000::/1", "::/0", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.0/31", false),
            ("10.0.0.0 10.0.0.1", "10.0.0.0/31", true),
            ("", "10.0.0.1", false),
        ] {
            let ranges: Vec<_> =
                ranges.split_whitespace().map(|range| Network::parse(range).unwrap()).collect();
            assert_eq!(cover(&ranges, Network::parse(one).unwrap()), expected, "{ranges:?} {one}");
        }
        assert_eq!(Network::ALL, ["0.0.0.0/0", "::/0"].map(|range| Network::parse(range).unwrap()));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for bad in ["", "10.0.0.0/33", "10.0.0", "10.0.0.0/", "10.0.0.0/+8", "::/129", "host", "10.0.0.0/8/8"]
        {
            assert!(matches!(Network::parse(bad), Err(NetworkError::Malformed { .. })), "{bad}");
        }
        let error = Network::parse("10.1.0.0/8").unwrap_err().to_string();
        assert!(error.contains("10.0.0.0/8"), "{error}");
    }
}
