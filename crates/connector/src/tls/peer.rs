//! What a certificate says about the peer that has shown it (`spec/websocket.md` 14.3).

use std::{
    fmt::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ring::digest;
use rustls::pki_types::CertificateDer;
use tremor_value::{Record, Value};
use x509_parser::{
    certificate::X509Certificate,
    der_parser::asn1_rs::ToDer as _,
    extensions::GeneralName,
    objects::{oid_registry, oid2abbrev},
    prelude::FromDer,
    x509::{AttributeTypeAndValue, X509Name},
};

/// The certificate that a peer has shown, and whose key it has.
///
/// What is in it was vouched for by an authority that the configuration names; that it can be trusted for anything more is
/// for a guard to decide.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Whom it is for, as RFC 4514 writes names: the most specific part first, `CN=alice,O=Example`. Letters that mean
    /// something there are escaped, so a part cannot pretend to be two.
    pub subject: String,
    /// Who has issued it, written in the same way.
    pub issuer: String,
    /// Serial number in hex digits, lower case, without leading zeros.
    pub serial: String,
    /// Names besides the subject.
    pub alternative_names: Vec<AlternativeName>,
    /// When it ends, in seconds since 1970; 0 if that cannot be read.
    pub not_after_s: i64,
    der: CertificateDer<'static>,
}

/// A further name of a certificate's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlternativeName {
    /// Name of a host.
    Dns(String),
    /// Address of a host.
    Ip(IpAddr),
    /// For example `spiffe://example.org/billing`.
    Uri(String),
    /// Mail address.
    Email(String),
}

/// `DNS:...`, `IP:...`, `URI:...`, `email:...`: the kind counts, anybody may be given an URI that looks like a host's name.
impl fmt::Display for AlternativeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{name}"),
            Self::Ip(address) => write!(f, "IP:{address}"),
            Self::Uri(uri) => write!(f, "URI:{uri}"),
            Self::Email(address) => write!(f, "email:{address}"),
        }
    }
}

impl AlternativeName {
    fn new(name: &GeneralName<'_>) -> Option<Self> {
        match name {
            GeneralName::DNSName(name) => Some(Self::Dns((*name).to_owned())),
            GeneralName::URI(uri) => Some(Self::Uri((*uri).to_owned())),
            GeneralName::RFC822Name(address) => Some(Self::Email((*address).to_owned())),
            GeneralName::IPAddress(bytes) => {
                let four = <[u8; 4]>::try_from(*bytes).map(|bytes| IpAddr::from(Ipv4Addr::from(bytes)));
                let sixteen =
                    || <[u8; 16]>::try_from(*bytes).map(|bytes| IpAddr::from(Ipv6Addr::from(bytes)));
                four.or_else(|_| sixteen()).ok().map(Self::Ip)
            }
            _ => None,
        }
    }
}

impl PeerCertificate {
    /// Takes a certificate apart. Of one that cannot be read only the fingerprints are known.
    #[must_use]
    pub fn new(der: CertificateDer<'static>) -> Self {
        let mut this = Self {
            subject: String::new(),
            issuer: String::new(),
            serial: String::new(),
            alternative_names: Vec::new(),
            not_after_s: 0,
            der,
        };
        if let Ok((_, parsed)) = X509Certificate::from_der(&this.der) {
            let names = parsed.subject_alternative_name().ok().flatten();
            let names = names.iter().flat_map(|names| &names.value.general_names);
            this.alternative_names = names.filter_map(AlternativeName::new).collect();
            this.subject = distinguished(parsed.subject());
            this.issuer = distinguished(parsed.issuer());
            this.serial = hex(parsed.raw_serial()).trim_start_matches('0').to_owned();
            if this.serial.is_empty() {
                this.serial.push('0');
            }
            this.not_after_s = parsed.validity().not_after.timestamp();
        }
        this
    }

    /// SHA-256 of the certificate.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        let digest = digest::digest(&digest::SHA256, &self.der);
        // It has that length.
        digest.as_ref().try_into().unwrap_or_default()
    }

    /// SHA-1 of the certificate. For lists of an older time; nothing new should use it.
    #[must_use]
    pub fn sha1(&self) -> [u8; 20] {
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der);
        digest.as_ref().try_into().unwrap_or_default()
    }

    /// What metadata shows as `tls_peer`: `subject`, `issuer`, `serial`, `sans`, `fingerprint` (SHA-256 in hex
    /// digits) and `not_after` (seconds since 1970).
    #[must_use]
    pub fn to_value(&self) -> Value {
        let names = self.alternative_names.iter().map(|name| Value::from(name.to_string()));
        Record::from_iter([
            ("subject", Value::from(self.subject.as_str())),
            ("issuer", Value::from(self.issuer.as_str())),
            ("serial", Value::from(self.serial.as_str())),
            ("sans", names.collect::<Vec<_>>().into()),
            ("fingerprint", Value::from(hex(&self.sha256()))),
            ("not_after", Value::from(self.not_after_s)),
        ])
        .into()
    }
}

/// Without the bytes.
impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificate")
            .field("subject", &self.subject)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// `bytes` in hex digits, lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A name as RFC 4514 writes it. Attributes without a short name are written by number, values that are no text as `#` and
/// their encoding in hex.
fn distinguished(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter().collect();
    for (position, part) in parts.iter().rev().enumerate() {
        if position > 0 {
            text.push(',');
        }
        for (position, attribute) in part.iter().enumerate() {
            if position > 0 {
                text.push('+');
            }
            push_attribute(&mut text, attribute);
        }
    }
    text
}

fn push_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let kind = attribute.attr_type();
    match oid2abbrev(kind, oid_registry()) {
        Ok(name) => text.push_str(name),
        Err(_) => text.push_str(&kind.to_id_string()),
    }
    text.push('=');
    match attribute.as_str() {
        Ok(value) => push_escaped(text, value),
        Err(_) => {
            text.push('#');
            text.push_str(&hex(&attribute.attr_value().to_der_vec().unwrap_or_default()));
        }
    }
}

fn push_escaped(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (position, letter) in value.chars().enumerate() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', letter]),
            '#' if position == 0 => text.push_str("\\#"),
            ' ' if position == 0 || position == last => text.push_str("\\ "),
            _ if letter.is_control() => {
                for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(text, "\\{byte:02X}");
                }
            }
            _ => text.push(letter),
        }
    }
}
