//! The PROXY protocol: what a proxy says of a connection before the connection's own first byte.
//!
//! Source: `spec/websocket.md` 2.2, and the protocol's specification by HAProxy (versions 1 and 2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest header of version 1 with its line end.
const MAX_V1_BYTES: usize = 107;
/// Longest header of version 2 that is taken. It could have 64 KiB, of which nothing in use comes near.
const MAX_V2_BYTES: usize = 4096;
/// What every header of version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, command, family and length.
const V2_HEAD_BYTES: usize = 16;

/// Which versions there are to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary, with more to say.
    V2,
}

/// What was said of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client's address; `None` if the connection is the proxy's own, or it does not know: then the socket's counts.
    pub source: Option<SocketAddr>,
    /// What the client spoke to it.
    pub details: ProxyDetails,
}

/// What version 2 can say besides addresses. Nothing of it is verified by us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyDetails {
    /// Protocol that was agreed on within TLS.
    pub alpn: Option<Vec<u8>>,
    /// Name that the client asked for.
    pub authority: Option<String>,
    /// Id of the connection at the proxy, up to 128 bytes.
    pub unique_id: Option<Vec<u8>>,
    /// Name of the network namespace.
    pub namespace: Option<String>,
    /// There if the client spoke TLS.
    pub tls: Option<ProxyTls>,
}

impl ProxyDetails {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a client spoke TLS to a proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyTls {
    /// Such as `TLSv1.3`.
    pub version: Option<String>,
    /// Its name.
    pub cipher: Option<String>,
    /// Common name of the client's certificate.
    pub common_name: Option<String>,
    /// The client had a certificate and the proxy found it good.
    pub verified: bool,
}

/// Why a header is none; the connection has to be dropped without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The connection begins with something else.
    #[error("it does not begin with a header of the PROXY protocol")]
    Missing,
    /// The other version.
    #[error("its header of the PROXY protocol is of a version that is not taken")]
    Version,
    /// Not as the protocol has it.
    #[error("its header of the PROXY protocol is malformed")]
    Malformed,
    /// More than is taken.
    #[error("its header of the PROXY protocol is too long")]
    TooLong,
    /// The checksum is wrong.
    #[error("its header of the PROXY protocol is damaged")]
    Checksum,
}

/// How far a header is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyStep {
    /// At least so many more bytes belong to it: no more than these may be read, since what is behind belongs to others.
    More(usize),
    /// All of the input is the header.
    Done(Box<ProxyHeader>),
}

/// Looks at the bytes that a connection begins with. `only`: the version that is taken, otherwise any.
///
/// # Errors
/// When they cannot become a header.
pub fn proxy_header(input: &[u8], only: Option<ProxyVersion>) -> Result<ProxyStep, ProxyError> {
    let common = input.len().min(SIGNATURE.len());
    let begins = |with: &[u8]| input.iter().zip(with).all(|(one, other)| one == other);
    let (version, step) = if common > 0 && begins(SIGNATURE) {
        (ProxyVersion::V2, v2(input)?)
    } else if begins(b"PROXY ") {
        (ProxyVersion::V1, v1(input)?)
    } else {
        return Err(ProxyError::Missing);
    };
    if common > 0 && only.is_some_and(|only| only != version) {
        return Err(ProxyError::Version);
    }
    Ok(step)
}

/// `PROXY TCP4 1.2.3.4 5.6.7.8 9 10` and a line end.
fn v1(input: &[u8]) -> Result<ProxyStep, ProxyError> {
    // The shortest one.
    const LEAST: usize = b"PROXY UNKNOWN\r\n".len();
    if input.len() < LEAST {
        return Ok(ProxyStep::More(LEAST - input.len()));
    }
    let Some(line) = input.strip_suffix(b"\r\n") else {
        return match input.len() {
            _ if input.contains(&b'\n') => Err(ProxyError::Malformed),
            MAX_V1_BYTES.. => Err(ProxyError::TooLong),
            _ => Ok(ProxyStep::More(1)),
        };
    };
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::Malformed)?;
    let words: Vec<&str> = line.split(' ').collect();
    let source = match words.as_slice() {
        // What comes behind it means nothing.
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", family @ ("TCP4" | "TCP6"), source, target, source_port, target_port] => {
            let address = |text: &str| {
                let address: IpAddr = text.parse().map_err(|_| ProxyError::Malformed)?;
                if address.is_ipv4() == (*family == "TCP4") {
                    Ok(address)
                } else {
                    Err(ProxyError::Malformed)
                }
            };
            address(target)?;
            v1_port(target_port)?;
            Some(SocketAddr::new(address(source)?, v1_port(source_port)?))
        }
        _ => return Err(ProxyError::Malformed),
    };
    Ok(ProxyStep::Done(Box::new(ProxyHeader { source, details: ProxyDetails::default() })))
}

fn v1_port(text: &str) -> Result<u16, ProxyError> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_number).ok_or(ProxyError::Malformed)
}

fn v2(input: &[u8]) -> Result<ProxyStep, ProxyError> {
    let Some((head, rest)) = input.split_first_chunk::<V2_HEAD_BYTES>() else {
        return Ok(ProxyStep::More(V2_HEAD_BYTES - input.len()));
    };
    let [.., command, family, high, low] = *head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !matches!(command, 0x20 | 0x21) {
        return Err(ProxyError::Malformed);
    }
    if V2_HEAD_BYTES + length > MAX_V2_BYTES {
        return Err(ProxyError::TooLong);
    }
    if rest.len() < length {
        return Ok(ProxyStep::More(length - rest.len()));
    }
    let is_local = command == 0x20;
    let (source, tlvs) = match family {
        0x11 => {
            let (addresses, tlvs) = rest.split_first_chunk::<12>().ok_or(ProxyError::Malformed)?;
            let [a, b, c, d, _, _, _, _, high, low, ..] = *addresses;
            let port = u16::from_be_bytes([high, low]);
            (Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port)), tlvs)
        }
        0x21 => {
            let (addresses, tlvs) = rest.split_first_chunk::<36>().ok_or(ProxyError::Malformed)?;
            let (ip, others) = addresses.split_first_chunk::<16>().ok_or(ProxyError::Malformed)?;
            let [high, low] =
                *others.get(16..).and_then(|ports| ports.first_chunk()).ok_or(ProxyError::Malformed)?;
            let port = u16::from_be_bytes([high, low]);
            (Some(SocketAddr::new(Ipv6Addr::from(*ip).into(), port)), tlvs)
        }
        // Unix sockets have no addresses that would tell us anything.
        0x31 => (None, rest.get(216..).ok_or(ProxyError::Malformed)?),
        0x00 => (None, rest),
        // The proxy's own connections may have any family.
        _ if is_local => (None, [].as_slice()),
        _ => return Err(ProxyError::Malformed),
    };
    let details = details(tlvs, input)?;
    let header = if is_local { ProxyHeader::default() } else { ProxyHeader { source, details } };
    Ok(ProxyStep::Done(Box::new(header)))
}

/// Reads the fields of a header; `whole` is what a checksum is of.
fn details(mut tlvs: &[u8], whole: &[u8]) -> Result<ProxyDetails, ProxyError> {
    let mut details = ProxyDetails::default();
    while let Some((kind, value, rest)) = tlv(tlvs)? {
        match kind {
            0x01 => details.alpn = Some(value.to_vec()),
            0x02 => details.authority = Some(text(value)?),
            0x03 => check(value, whole, whole.len() - rest.len())?,
            0x05 if value.len() > 128 => return Err(ProxyError::Malformed),
            0x05 => details.unique_id = Some(value.to_vec()),
            0x20 => details.tls = tls(value)?,
            0x30 => details.namespace = Some(text(value)?),
            _ => {}
        }
        tlvs = rest;
    }
    Ok(details)
}

/// The first field: its kind, its value, and what is behind it.
#[expect(clippy::type_complexity, reason = "a name would hide what it is")]
fn tlv(tlvs: &[u8]) -> Result<Option<(u8, &[u8], &[u8])>, ProxyError> {
    if tlvs.is_empty() {
        return Ok(None);
    }
    let ([kind, high, low], rest) = tlvs.split_first_chunk::<3>().ok_or(ProxyError::Malformed)?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let (value, rest) = rest.split_at_checked(length).ok_or(ProxyError::Malformed)?;
    Ok(Some((*kind, value, rest)))
}

/// `client: u8`, `verify: u32`, then fields; `None` if the client did not speak TLS.
fn tls(value: &[u8]) -> Result<Option<ProxyTls>, ProxyError> {
    let ([client, verify @ ..], mut fields) = value.split_first_chunk::<5>().ok_or(ProxyError::Malformed)?;
    // A certificate on this connection or on the session that it resumes, and no mistake found.
    let verified = client & 0b110 != 0 && verify.iter().all(|byte| *byte == 0);
    let mut tls = ProxyTls { verified, ..ProxyTls::default() };
    while let Some((kind, value, rest)) = tlv(fields)? {
        match kind {
            0x21 => tls.version = Some(text(value)?),
            0x22 => tls.common_name = Some(text(value)?),
            0x23 => tls.cipher = Some(text(value)?),
            _ => {}
        }
        fields = rest;
    }
    Ok((client & 1 != 0).then_some(tls))
}

fn text(value: &[u8]) -> Result<String, ProxyError> {
    std::str::from_utf8(value).map(str::to_owned).map_err(|_| ProxyError::Malformed)
}

/// Checks the checksum in `value`, whose field ends at `end`: it is of `whole` with zeros in its own place.
fn check(value: &[u8], whole: &[u8], end: usize) -> Result<(), ProxyError> {
    let said: [u8; 4] = value.try_into().map_err(|_| ProxyError::Malformed)?;
    let (before, rest) = whole.split_at_checked(end.saturating_sub(4)).ok_or(ProxyError::Malformed)?;
    let behind = rest.get(4..).unwrap_or_default();
    let bytes = before.iter().chain(&[0; 4]).chain(behind);
    if crc32c(bytes) == u32::from_be_bytes(said) { Ok(()) } else { Err(ProxyError::Checksum) }
}

/// CRC-32C (RFC 3720, B.4), bit by bit: headers are short.
fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// A header that says that the connection is from `source` to `target`. Addresses of different families are unknown.
pub fn write_proxy_header(version: ProxyVersion, source: SocketAddr, target: SocketAddr) -> Vec<u8> {
    let (from, to) = (source.ip().to_canonical(), target.ip().to_canonical());
    match version {
        ProxyVersion::V1 => {
            let family = match (from, to) {
                (IpAddr::V4(_), IpAddr::V4(_)) => "TCP4",
                (IpAddr::V6(_), IpAddr::V6(_)) => "TCP6",
                _ => return b"PROXY UNKNOWN\r\n".to_vec(),
            };
            format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), target.port()).into_bytes()
        }
        ProxyVersion::V2 => {
            let (family, addresses) = match (from, to) {
                (IpAddr::V4(from), IpAddr::V4(to)) => (0x11, [from.octets(), to.octets()].concat()),
                (IpAddr::V6(from), IpAddr::V6(to)) => (0x21, [from.octets(), to.octets()].concat()),
                _ => (0x00, Vec::new()),
            };
            let mut out = SIGNATURE.to_vec();
            let length: u8 = match family {
                0x11 => 12,
                0x21 => 36,
                _ => 0,
            };
            out.extend_from_slice(&[0x21, family, 0, length]);
            if length > 0 {
                out.extend_from_slice(&addresses);
                out.extend_from_slice(&source.port().to_be_bytes());
                out.extend_from_slice(&target.port().to_be_bytes());
            }
            out
        }
    }
}

#[cfg(test)]
mod tests;
