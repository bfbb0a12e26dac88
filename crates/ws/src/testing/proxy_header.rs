//! Headers of the PROXY protocol.

use crate::{
    ProxyDetails, ProxyError, ProxyHeader, ProxyStep, ProxyTls, ProxyVersion, proxy_header,
    write_proxy_header,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The first byte chooses which versions are taken, the others are what a connection begins with: it is read the same however
/// it comes, never is more asked for than belongs to the header, and a plain reader finds the same in it. What is found can be
/// written again.
///
/// # Panics
/// If not.
pub fn proxy_header_agrees(data: &[u8]) {
    let Some((choice, wire)) = data.split_first() else { return };
    let only = match choice % 3 {
        0 => None,
        1 => Some(ProxyVersion::V1),
        _ => Some(ProxyVersion::V2),
    };
    let read = read(wire, only, usize::MAX);
    // Of several mistakes the first one is told, as far as it has come.
    let in_bytes = self::read(wire, only, 1);
    assert_eq!(in_bytes.as_ref().ok(), read.as_ref().ok(), "byte by byte something else comes out");
    let plain = plain(wire, only);
    match (&read, &plain) {
        (Ok(Some(found)), Some(Some(expected))) => assert_eq!(found, expected),
        (Ok(None), None) | (Err(_), Some(None)) => {}
        _ => panic!("ours: {read:?}\nplain: {plain:?}"),
    }
    if let Ok(Some((_, ProxyHeader { source: Some(source), .. }))) = read {
        let canonical = SocketAddr::new(source.ip().to_canonical(), source.port());
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            let written = write_proxy_header(version, source, source);
            let header = ProxyHeader { source: Some(canonical), details: ProxyDetails::default() };
            assert_eq!(self::read(&written, Some(version), usize::MAX), Ok(Some((written.len(), header))));
        }
    }
}

type Found = (usize, ProxyHeader);

/// Reads as a server does, at most `most` bytes at once; gives the length of the header, too. `None`: it has no end.
fn read(wire: &[u8], only: Option<ProxyVersion>, most: usize) -> Result<Option<Found>, ProxyError> {
    let mut len = 0;
    loop {
        let (input, rest) = wire.split_at(len);
        match proxy_header(input, only)? {
            ProxyStep::Done(header) => return Ok(Some((len, *header))),
            ProxyStep::More(more) => {
                assert!(more > 0 && len + more <= 4096, "{more} more bytes than {len} are asked for");
                if rest.is_empty() {
                    return Ok(None);
                }
                len += more.min(rest.len()).min(most);
            }
        }
    }
}

/// The same, as plain as can be: `None` is no end, `Some(None)` no header.
fn plain(wire: &[u8], only: Option<ProxyVersion>) -> Option<Option<Found>> {
    const TWO: &[u8] = b"\x0d\x0a\x0d\x0a\x00\x0d\x0aQUIT\x0a";
    let begins = |with: &[u8]| wire.iter().zip(with).all(|(one, other)| one == other);
    if wire.is_empty() {
        return None;
    }
    let is_two = begins(TWO);
    if !is_two && !begins(b"PROXY ") {
        return Some(None);
    }
    match (is_two, only) {
        (true, Some(ProxyVersion::V1)) | (false, Some(ProxyVersion::V2)) => Some(None),
        (true, _) => plain_two(wire),
        (false, _) => plain_one(wire),
    }
}

fn plain_one(wire: &[u8]) -> Option<Option<Found>> {
    if wire.len() < 15 {
        return None;
    }
    let Some(end) = wire.iter().take(107).position(|byte| *byte == b'\n') else {
        return (wire.len() >= 107).then_some(None);
    };
    let line = wire.get(..=end).and_then(|line| line.strip_suffix(b"\r\n"));
    let line = line.filter(|_| end >= 14).and_then(|line| std::str::from_utf8(line).ok());
    let Some(line) = line else { return Some(None) };
    let details = ProxyDetails::default();
    if line == "PROXY UNKNOWN" || line.starts_with("PROXY UNKNOWN ") {
        return Some(Some((end + 1, ProxyHeader { source: None, details })));
    }
    let source = || {
        let (family, rest) = line.strip_prefix("PROXY ")?.split_once(' ')?;
        let mut words = rest.split(' ');
        let addresses = [words.next()?, words.next()?].map(|word| match family {
            "TCP4" => four(word).map(IpAddr::V4),
            "TCP6" => word.parse().ok().map(IpAddr::V6),
            _ => None,
        });
        let ports = [words.next()?, words.next()?].map(number);
        let ([Some(from), Some(_)], [Some(port), Some(_)], None) = (addresses, ports, words.next()) else {
            return None;
        };
        Some(SocketAddr::new(from, port))
    };
    Some(source().map(|source| (end + 1, ProxyHeader { source: Some(source), details })))
}

fn four(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u16> = text.split('.').map(number).collect::<Option<_>>()?;
    let [a, b, c, d] = parts[..] else { return None };
    let [Ok(a), Ok(b), Ok(c), Ok(d)] = [a, b, c, d].map(u8::try_from) else { return None };
    Some(Ipv4Addr::new(a, b, c, d))
}

/// A number as there is one way to write it.
fn number(text: &str) -> Option<u16> {
    let number: u16 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn plain_two(wire: &[u8]) -> Option<Option<Found>> {
    let [command, family, high, low] = *wire.get(12..16)?.first_chunk()?;
    let len = 16 + usize::from(high) * 256 + usize::from(low);
    if !(0x20..=0x21).contains(&command) || len > 4096 {
        return Some(None);
    }
    let header = wire.get(..len)?;
    let at = |from: usize, len: usize| header.get(16 + from..16 + from + len);
    let port = |at: &[u8]| at.iter().fold(0_u16, |port, byte| port << 8 | u16::from(*byte));
    let source = match family {
        0x00 => Some((None, 16)),
        0x11 => at(0, 12).map(|from| {
            let ip = from.first_chunk::<4>().map(|ip| IpAddr::from(*ip));
            (ip.map(|ip| SocketAddr::new(ip, port(from.get(8..10).unwrap_or_default()))), 28)
        }),
        0x21 => at(0, 36).map(|from| {
            let ip = from.first_chunk::<16>().map(|ip| IpAddr::V6(Ipv6Addr::from(*ip)));
            (ip.map(|ip| SocketAddr::new(ip, port(from.get(32..34).unwrap_or_default()))), 52)
        }),
        0x31 => at(0, 216).map(|_| (None, 232)),
        _ if command == 0x20 => Some((None, len)),
        _ => None,
    };
    let found = source.and_then(|(source, fields)| Some((source, plain_details(header, fields)?)));
    Some(found.map(|(source, details)| {
        let header = if command == 0x20 { ProxyHeader::default() } else { ProxyHeader { source, details } };
        (len, header)
    }))
}

/// Kinds and places of the fields from `at` on.
fn fields(bytes: &[u8], mut at: usize) -> Option<Vec<(u8, usize, usize)>> {
    let mut found = Vec::new();
    while at < bytes.len() {
        let [kind, high, low] = *bytes.get(at..at + 3)?.first_chunk()?;
        let end = at + 3 + usize::from(high) * 256 + usize::from(low);
        bytes.get(..end)?;
        found.push((kind, at + 3, end));
        at = end;
    }
    Some(found)
}

fn plain_details(header: &[u8], from: usize) -> Option<ProxyDetails> {
    let mut details = ProxyDetails::default();
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).ok();
    for (kind, from, to) in fields(header, from)? {
        let value = header.get(from..to)?;
        match kind {
            1 => details.alpn = Some(value.to_vec()),
            2 => details.authority = Some(text(value)?),
            3 => {
                let mut zeroed = header.to_vec();
                zeroed.get_mut(from..to)?.fill(0);
                if value != checksum(&zeroed).to_be_bytes() {
                    return None;
                }
            }
            5 if value.len() > 128 => return None,
            5 => details.unique_id = Some(value.to_vec()),
            0x20 => {
                let mut tls = ProxyTls::default();
                for (kind, from, to) in fields(value, 5)? {
                    let value = value.get(from..to)?;
                    match kind {
                        0x21 => tls.version = Some(text(value)?),
                        0x22 => tls.common_name = Some(text(value)?),
                        0x23 => tls.cipher = Some(text(value)?),
                        _ => {}
                    }
                }
                let [client, verify @ ..] = *value.first_chunk::<5>()?;
                tls.verified = client & 6 > 0 && verify == [0; 4];
                details.tls = (client & 1 == 1).then_some(tls);
            }
            0x30 => details.namespace = Some(text(value)?),
            _ => {}
        }
    }
    Some(details)
}

/// CRC-32C by long division, the bits of each byte from the lowest on.
fn checksum(bytes: &[u8]) -> u32 {
    let bits = bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
    let rest = bits.fold(u32::MAX, |rest, bit| {
        let carry = (rest >> 31 == 1) != bit;
        if carry { rest << 1 ^ 0x1edc_6f41 } else { rest << 1 }
    });
    !rest.reverse_bits()
}
