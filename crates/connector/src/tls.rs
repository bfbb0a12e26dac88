//! TLS settings of servers and clients (`spec/connectors.md` 2.2 and 2.3, `spec/websocket.md` section 14).
//!
//! Everything is loaded and checked when a connector is created: unreadable files, files without what they
//! should hold, a key that does not belong to its certificate. The cryptography is `ring`, handed to rustls
//! for each configuration; nothing is installed process-wide.

mod client;
mod pem;
mod server;
mod stream;
#[cfg(test)]
mod tests;
mod verify;

pub use client::{ClientTls, ClientTlsSetting};
pub use server::ServerTls;
pub use stream::{Encrypted, ReadAhead};

use std::{fmt::Write as _, io, sync::Arc};

use rustls::{
    CertificateError, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    version::{TLS12, TLS13},
};

use crate::{
    config::{ConfigError, Reader},
    socket::cause_of,
};

/// Which keys the `tls` record of a kind has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsKeys {
    /// Those that all kinds have.
    Common,
    /// Those and the ones that only `ws_server` and `ws_client` have.
    WebSocket,
}

/// Why a TLS handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The name to verify is neither a DNS name nor an address.
    #[error("`{0}` is no name that a certificate can have; set `tls.domain`")]
    Name(String),
    /// A client's handshake with a server.
    #[error("TLS handshake with `{name}` failed: {}", explain(.cause))]
    Connect {
        /// The name that was to be verified.
        name: String,
        /// What went wrong; a `rustls::Error` is inside if the protocol failed.
        #[source]
        cause: io::Error,
    },
    /// A server's handshake with a client.
    #[error("TLS handshake failed: {}", explain(.0))]
    Accept(#[source] io::Error),
}

/// The cryptography that all connections use.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Reads `min_version` and `max_version`.
fn versions(tls: &mut Reader<'_>) -> Result<&'static [&'static SupportedProtocolVersion], ConfigError> {
    const ONLY_12: &[&SupportedProtocolVersion] = &[&TLS12];
    const ONLY_13: &[&SupportedProtocolVersion] = &[&TLS13];
    const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    let words = [("1.2", 12), ("1.3", 13)];
    let min = tls.word("min_version", &words)?.unwrap_or(12);
    let max = tls.word("max_version", &words)?.unwrap_or(13);
    match (min, max) {
        (12, 12) => Ok(ONLY_12),
        (12, _) => Ok(BOTH),
        (_, 13) => Ok(ONLY_13),
        _ => Err(tls.invalid("max_version", "is below `min_version`")),
    }
}

/// Reads `alpn`, a list of protocol names of 1 to 255 bytes.
fn alpn(tls: &mut Reader<'_>, default: &[&str]) -> Result<Vec<Vec<u8>>, ConfigError> {
    let names: Option<Vec<String>> = tls.optional("alpn")?;
    let names = names.unwrap_or_else(|| default.iter().map(|name| (*name).to_owned()).collect());
    if names.iter().any(|name| !(1..=255).contains(&name.len())) {
        return Err(tls.invalid("alpn", "a protocol name has 1 to 255 bytes"));
    }
    Ok(names.into_iter().map(String::into_bytes).collect())
}

/// What a failure of an encrypted (or plain) connection means for the one who has to mend it.
pub(crate) fn explain(error: &io::Error) -> String {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "the peer closed the connection".to_owned(),
            _ => cause_of(error),
        };
    };
    match error {
        rustls::Error::InvalidCertificate(problem) => explain_certificate(problem),
        rustls::Error::InvalidMessage(_) => format!("the peer does not speak TLS ({error})"),
        rustls::Error::AlertReceived(alert) => format!("the peer refused it ({alert:?})"),
        rustls::Error::PeerIncompatible(problem) => {
            let problem = variant(problem);
            format!("the peer and we have no TLS version or way to encrypt in common ({problem})")
        }
        rustls::Error::PeerMisbehaved(problem) => {
            format!("the peer breaks the rules of TLS ({})", variant(problem))
        }
        _ => error.to_string(),
    }
}

/// The bare name of a problem that has no text of its own.
fn variant(problem: &impl std::fmt::Debug) -> String {
    let text = format!("{problem:?}");
    text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

fn explain_certificate(problem: &CertificateError) -> String {
    match problem {
        // Webpki says the latter where an issuer that we trust only happens to have the right name.
        CertificateError::UnknownIssuer
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "nobody we trust has issued the certificate (if you do, name it or its CA in `tls.cafile`)".into()
        }
        CertificateError::NotValidForName => "the certificate is for another name (see `tls.domain`)".into(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let mut text = format!("the certificate is not for `{}`", expected.to_str());
            if presented.is_empty() {
                text.push_str(", it names nobody");
            } else {
                text.push_str(", only for ");
                text.push_str(&names(presented));
            }
            text.push_str(" (see `tls.domain`)");
            text
        }
        CertificateError::Expired => "the certificate has expired".into(),
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / 86_400;
            format!("the certificate has expired, {days} days ago")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet (is the clock right?)".into()
        }
        // Webpki has no code of its own here, only this text.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the certificate is marked as a CA; name this very certificate in `tls.cafile` to trust it".into()
        }
        CertificateError::BadSignature => {
            "bad signature: the certificate, or the handshake, is not signed with the key that it names".into()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. } => {
            "the certificate is signed in a way that is not supported (RSA, ECDSA and Ed25519 are)".into()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate cannot be used: it is not meant for this side of a connection (see its extended key usage)".into()
        }
        CertificateError::BadEncoding => "the certificate cannot be used: it is damaged".into(),
        CertificateError::Revoked => "the certificate has been revoked by its issuer".into(),
        other => format!("the certificate cannot be used ({})", variant(other)),
    }
}

/// The first few of a certificate's names, which the peer chose: escaped and cut.
fn names(presented: &[String]) -> String {
    const MOST: usize = 5;
    let mut text = String::new();
    for (position, name) in presented.iter().take(MOST).enumerate() {
        let name: String = bare(name).chars().take(80).flat_map(char::escape_debug).collect();
        let _ = write!(text, "{}`{name}`", if position == 0 { "" } else { ", " });
    }
    if presented.len() > MOST {
        let _ = write!(text, " and {} more", presented.len() - MOST);
    }
    text
}

/// A name without the kind that webpki writes around it, as in `DnsName("localhost")`.
fn bare(presented: &str) -> &str {
    let within = |start, end| presented.strip_prefix(start).and_then(|rest: &str| rest.strip_suffix(end));
    within("DnsName(\"", "\")").or_else(|| within("IpAddress(", ")")).unwrap_or(presented)
}
