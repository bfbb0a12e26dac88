//! `cidr`: addresses and networks (`spec/language-script.md` 9.8).

use super::{Example, Extractor, Kind, LOOK_SHARE, Matcher};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};
use tremor_value::{Record, Value};

pub(super) const CIDR: Kind = Kind {
    name: "cidr",
    body: "IPv4 networks, separated by commas; empty for any address or network",
    summary: "With an empty body it matches an IPv4 or IPv6 address or network (`address/length`, all other bits zero; missing octets of \
              IPv4 networks are zero: `10/8`). Otherwise it matches an IPv4 address that lies in one of the networks; here an item such as \
              `10.1` without a length means the address `10.0.0.1`, and an empty one `0.0.0.0`. The result has `prefix` and \
              `mask`, arrays of 4 octets, or of 8 segments of 16 bits for IPv6.",
    examples: &[
        Example {
            body: "10.0.0.0/8, 192.168.0.0/16",
            text: "192.168.3.4",
            result: Some(r#"{"prefix":[192,168,3,4],"mask":[255,255,255,255]}"#),
        },
        Example { body: "10.0.0.0/8, 192.168.0.0/16", text: "172.16.0.1", result: None },
        Example {
            body: "",
            text: "192.168.1.0/24",
            result: Some(r#"{"prefix":[192,168,1,0],"mask":[255,255,255,0]}"#),
        },
        Example { body: "", text: "192.168.1.7/24", result: None },
        Example {
            body: "",
            text: "fe80::/10",
            result: Some(r#"{"prefix":[65152,0,0,0,0,0,0,0],"mask":[65472,0,0,0,0,0,0,0]}"#),
        },
    ],
    contextual: false,
    compile,
};

fn compile(body: &str) -> Result<Arc<dyn Extractor>, String> {
    if body.is_empty() {
        return Ok(Arc::new(AnyNetwork));
    }
    let networks: Result<Box<[_]>, _> = body.split(',').map(|item| item_of_list(item.trim())).collect();
    Ok(Arc::new(OneOf(networks?)))
}

/// An IPv4 network: address and mask.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Network {
    address: u32,
    mask: u32,
}

impl Network {
    /// The network, if only its own bits are set.
    fn new(address: u32, length: u32) -> Option<Self> {
        let mask = match length {
            0 => 0,
            1..=32 => u32::MAX << (32 - length),
            _ => return None,
        };
        (address & !mask == 0).then_some(Self { address, mask })
    }

    fn holds(self, address: u32) -> bool {
        address & self.mask == self.address
    }
}

/// Matches all addresses and networks.
#[derive(Debug)]
struct AnyNetwork;

impl Matcher for AnyNetwork {
    fn test(&self, text: &str) -> bool {
        network(text).is_some() || network_v6(text).is_some()
    }

    fn look(&self, _text: &str) -> usize {
        1
    }

    fn extract(&self, text: &str, _ingest_ns: u64) -> Option<Value> {
        if let Some(network) = network(text) {
            return Some(octets(network));
        }
        let (address, mask) = network_v6(text)?;
        let segments = |bits: u128| list(Ipv6Addr::from_bits(bits).segments().map(u32::from));
        Some(result(segments(address), segments(mask)))
    }
}

/// Matches addresses that lie in one of the networks.
#[derive(Debug)]
struct OneOf(Box<[Network]>);

impl OneOf {
    fn address(&self, text: &str) -> Option<u32> {
        let address = text.parse::<Ipv4Addr>().ok()?.to_bits();
        self.0.iter().any(|network| network.holds(address)).then_some(address)
    }
}

impl Matcher for OneOf {
    fn test(&self, text: &str) -> bool {
        self.address(text).is_some()
    }

    fn look(&self, _text: &str) -> usize {
        self.0.len() / LOOK_SHARE + 1
    }

    fn extract(&self, text: &str, _ingest_ns: u64) -> Option<Value> {
        self.address(text).map(|address| octets(Network { address, mask: u32::MAX }))
    }
}

fn octets(network: Network) -> Value {
    let octets = |bits: u32| list(Ipv4Addr::from_bits(bits).octets().map(u32::from));
    result(octets(network.address), octets(network.mask))
}

fn list<const N: usize>(numbers: [u32; N]) -> Value {
    numbers.into_iter().map(Value::from).collect()
}

fn result(prefix: Value, mask: Value) -> Value {
    Record::from_iter([("prefix", prefix), ("mask", mask)]).into()
}

/// `addr` or `addr/len`; octets that are left out at the end are zero.
fn network(text: &str) -> Option<Network> {
    let (address, length) = split(text)?;
    let octets = Octets::parse(address)?;
    Network::new(u32::from_be_bytes(octets.with_zeros_behind()), length.unwrap_or(32))
}

/// `addr` or `addr/len`, as address and mask.
fn network_v6(text: &str) -> Option<(u128, u128)> {
    let (address, length) = split(text)?;
    let address = address.parse::<Ipv6Addr>().ok()?.to_bits();
    let mask = match length.unwrap_or(128) {
        0 => 0,
        length @ 1..=128 => u128::MAX << (128 - length),
        _ => return None,
    };
    (address & !mask == 0).then_some((address, mask))
}

/// Bytes that no address and no network has.
const LONGEST: usize = 64;

/// What stands before the slash, and the number behind it, if there is one.
fn split(text: &str) -> Option<(&str, Option<u32>)> {
    if text.len() > LONGEST {
        return None;
    }
    match text.split_once('/') {
        Some((address, length)) => Some((address, Some(number(length)?))),
        None => Some((text, None)),
    }
}

/// A number of one to three digits without needless zeros, which some would take for octal.
fn number(text: &str) -> Option<u32> {
    let digits = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let needless = text.len() > 1 && text.starts_with('0');
    if digits && !needless { text.parse().ok() } else { None }
}

/// The octets that are written of an IPv4 address, one to four.
struct Octets {
    written: [u8; 4],
    count: usize,
}

impl Octets {
    fn parse(text: &str) -> Option<Self> {
        let mut octets = Self { written: [0; 4], count: 0 };
        for part in text.split('.') {
            *octets.written.get_mut(octets.count)? = u8::try_from(number(part)?).ok()?;
            octets.count += 1;
        }
        Some(octets)
    }

    /// `10.1` is `10.1.0.0`.
    fn with_zeros_behind(&self) -> [u8; 4] {
        self.written
    }

    /// `10.1` is `10.0.0.1`: the last octet that is written is the last of the address.
    fn with_zeros_before_the_last(&self) -> [u8; 4] {
        let mut octets = self.written;
        octets.swap(self.count.saturating_sub(1), 3);
        octets
    }
}

/// One network of a body.
///
/// An address without length that is cut short is completed before its last octet, not behind it as in a text that is
/// looked at, and no text at all is `0.0.0.0`: the specification keeps both.
fn item_of_list(item: &str) -> Result<Network, String> {
    if item.is_empty() {
        return Ok(Network { address: 0, mask: u32::MAX });
    }
    if network_v6(item).is_some() {
        return Err(format!("`{item}` is an IPv6 network, and lists hold IPv4 networks only"));
    }
    let wrong = || {
        format!("`{item}` is no IPv4 network; write addresses like `10.0.0.1` and networks like `10.0.0.0/8`")
    };
    let (address, length) = split(item).ok_or_else(wrong)?;
    let octets = Octets::parse(address).ok_or_else(wrong)?;
    let Some(length) = length else {
        let address = u32::from_be_bytes(octets.with_zeros_before_the_last());
        return Ok(Network { address, mask: u32::MAX });
    };
    if length > 32 {
        return Err(wrong());
    }
    let address = u32::from_be_bytes(octets.with_zeros_behind());
    let masked = || {
        format!("`{item}` sets bits of its address that lie behind the first {length}; they have to be zero")
    };
    Network::new(address, length).ok_or_else(masked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::testing::{check, hostile_body, refused, result, text};
    use proptest::prelude::*;

    fn v4(prefix: [u8; 4], mask: [u8; 4]) -> String {
        format!("{{\"prefix\":{prefix:?},\"mask\":{mask:?}}}").replace(' ', "")
    }

    #[test]
    fn any_address_or_network() {
        let any = |text: &str| result(&CIDR, "", text);
        assert_eq!(any("192.168.1.0/24"), v4([192, 168, 1, 0], [255, 255, 255, 0]));
        assert_eq!(any("192.168.1.7"), v4([192, 168, 1, 7], [255; 4]));
        assert_eq!(any("0.0.0.0/0"), v4([0; 4], [0; 4]));
        assert_eq!(any("10.0.0.1/32"), v4([10, 0, 0, 1], [255; 4]));
        assert_eq!(any("10/8"), v4([10, 0, 0, 0], [255, 0, 0, 0]));
        assert_eq!(any("10.1"), v4([10, 1, 0, 0], [255; 4]));
        assert_eq!(any("10"), v4([10, 0, 0, 0], [255; 4]));
        assert_eq!(
            any("::1"),
            r#"{"prefix":[0,0,0,0,0,0,0,1],"mask":[65535,65535,65535,65535,65535,65535,65535,65535]}"#
        );
        assert_eq!(
            any("2001:db8::/33"),
            r#"{"prefix":[8193,3512,0,0,0,0,0,0],"mask":[65535,65535,32768,0,0,0,0,0]}"#
        );
        assert_eq!(any("::/0"), r#"{"prefix":[0,0,0,0,0,0,0,0],"mask":[0,0,0,0,0,0,0,0]}"#);
    }

    #[test]
    fn what_is_no_network() {
        let wrong = [
            "",
            "x",
            "/",
            "10/",
            "/8",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/8/8",
            "256.0.0.0",
            "1.2.3.4.5",
            "1..2",
            "1.",
            ".1",
            "01.2.3.4",
            " 10.0.0.0/8",
            "10.0.0.0/8 ",
            "::1/127",
            "::/129",
            ":::",
            "1:2",
            "::1%eth0",
        ];
        for text in wrong {
            assert_eq!(result(&CIDR, "", text), "no match", "{text}");
        }
    }

    #[test]
    fn addresses_in_a_list() {
        let body = "10.0.0.0/8, 192.168.0.0/16 ,172.16/12,1.2.3.4";
        for inside in ["10.255.0.1", "192.168.3.4", "172.31.255.255", "1.2.3.4"] {
            let octets: Ipv4Addr = inside.parse().unwrap();
            assert_eq!(result(&CIDR, body, inside), v4(octets.octets(), [255; 4]));
        }
        for outside in [
            "11.0.0.0",
            "192.169.0.0",
            "172.32.0.0",
            "1.2.3.5",
            "10.0.0.0/8",
            "10.1",
            "::ffff:10.0.0.1",
            "",
            "x",
        ] {
            assert_eq!(result(&CIDR, body, outside), "no match", "{outside}");
        }
        assert_eq!(result(&CIDR, "0.0.0.0/0", "9.9.9.9"), v4([9; 4], [255; 4]));
    }

    #[test]
    fn items_that_are_cut_short() {
        let holds = |body: &str, text: &str| result(&CIDR, body, text) != "no match";
        assert!(holds("10.1", "10.0.0.1") && !holds("10.1", "10.1.0.0"));
        assert!(holds("10.1.2", "10.1.0.2"));
        assert!(holds("10", "0.0.0.10"));
        assert!(holds("10.1/16", "10.1.2.3"));
        for empty in [" ", ",", "10.0.0.0/8,", ", 10.0.0.0/8"] {
            assert!(holds(empty, "0.0.0.0") && !holds(empty, "0.0.0.1"), "{empty}");
        }
    }

    #[test]
    fn bodies_that_are_refused() {
        for wrong in [
            "x",
            "10.0.0.0/33",
            "10.0.0.0/",
            "1.2.3.4.5",
            "256.0.0.0/8",
            "10.0.0.0/8;11.0.0.0/8",
            "10.0.0.0/8/8",
        ] {
            assert!(refused(&CIDR, wrong).contains("is no IPv4 network; write addresses like"), "{wrong}");
        }
        assert_eq!(
            refused(&CIDR, "10.0.0.0/8, ::/0"),
            "`::/0` is an IPv6 network, and lists hold IPv4 networks only"
        );
        assert_eq!(
            refused(&CIDR, "10.0.0.1/8"),
            "`10.0.0.1/8` sets bits of its address that lie behind the first 8; they have to be zero"
        );
    }

    proptest! {
        #[test]
        fn any_body_and_any_text(body in hostile_body(), text in text()) {
            check(&CIDR, &body, &text);
            check(&CIDR, "", &text);
        }

        #[test]
        fn an_address_lies_in_its_own_networks(address: u32, length in 0_u32..=32) {
            let network = address & u32::MAX.checked_shl(32 - length).unwrap_or(0);
            let (address, network) = (Ipv4Addr::from_bits(address), Ipv4Addr::from_bits(network));
            let body = format!("{network}/{length}");
            prop_assert_eq!(result(&CIDR, &body, &address.to_string()), v4(address.octets(), [255; 4]));
            prop_assert!(result(&CIDR, "", &body) != "no match");
        }
    }
}
