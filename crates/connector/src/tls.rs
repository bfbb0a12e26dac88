//! TLS settings of servers and clients (`spec/connectors.md` 2.2 and 2.3, `spec/websocket.md` section 14).
//!
//! Everything is loaded and checked when a connector is created: unreadable files, files without what they
//! should hold, a key that does not belong to its certificate. The cryptography is `ring`, handed to rustls
//! for each configuration; nothing is installed process-wide. A server can read its files again while it is at work
//! ([`ServerTls::reload`], [`ServerTls::watch`]), and a client before it connects ([`ClientTls::renewed`]).

mod ciphers;
mod client;
mod clients;
mod explain;
mod identities;
mod load;
mod peer;
mod pem;
mod pins;
mod server;
mod stream;
#[cfg(test)]
mod tests;
mod verify;
mod written;

pub use client::{ClientTls, ClientTlsSetting};
pub use explain::explain;
pub(crate) use explain::is_of_tls;
pub use peer::{AlternativeName, PeerCertificate};
pub use server::ServerTls;
pub use stream::{Encrypted, ReadAhead};

use std::{io, sync::Arc};

use explain::{Side, explain_to};
use rustls::{
    SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    version::{TLS12, TLS13},
};

use crate::{
    config::{ConfigError, Entry, OneOrMany, Reader},
    task::TARGET,
};

/// Says that files were read again, and what is wrong with them.
fn tell_of_files(alias: &str, problem: &str) {
    tracing::error!(
        target: TARGET,
        "[Connector::{alias}] the files of `tls` cannot be used as they are now, so what was read before stays in use: {problem}"
    );
}

/// Which keys the `tls` record of a kind has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsKeys {
    /// Those that all kinds have.
    Common,
    /// Those and the ones that only `ws_server` and `ws_client` have.
    WebSocket,
    /// The same, where HTTP/2 is spoken, too: it is offered unless `alpn` says what is.
    WebSocketOrHttp2,
}

impl TlsKeys {
    /// The protocols that are offered if nothing is said.
    fn protocols(self, usual: &'static [&'static str]) -> &'static [&'static str] {
        if self == Self::WebSocketOrHttp2 { &[HTTP2, "http/1.1"] } else { usual }
    }

    /// What to say of `protocols` of a server in which what is spoken is missing.
    fn lack(self, protocols: &[Vec<u8>]) -> Option<&'static str> {
        let speaks = || protocols.iter().any(|name| name == b"http/1.1");
        (self == Self::WebSocket && !protocols.is_empty() && !speaks()).then_some(
            "`tls.alpn` does not offer `http/1.1`, so clients that ask for what is spoken, as browsers do, are refused",
        )
    }

    /// What to say of `protocols` that do not fit.
    fn hazard(self, protocols: &[Vec<u8>]) -> Option<&'static str> {
        let offers = protocols.iter().any(|name| name == HTTP2.as_bytes());
        match self {
            Self::WebSocket if offers => Some(
                "`tls.alpn` offers `h2`, but HTTP/2 is not spoken unless `http2` is on: peers that choose it will fail",
            ),
            Self::WebSocketOrHttp2 if !offers => {
                Some("`http2` has no effect with TLS, since `tls.alpn` does not offer `h2`")
            }
            _ => None,
        }
    }
}

/// The name of HTTP/2.
const HTTP2: &str = "h2";

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
    #[error("TLS handshake failed: {}", explain_to(.0, Side::Server))]
    Accept(#[source] io::Error),
    /// A client asks a server for a name that it does not admit.
    #[error("TLS handshake failed: the peer asks for `{}`, which is not admitted (see `tls.sni`)", .0.escape_debug())]
    UnknownName(String),
    /// A client names nobody, and the server admits certain names only.
    #[error(
        "TLS handshake failed: the peer says no name, and only certain ones are admitted (see `tls.sni`)"
    )]
    NoName,
}

impl TlsError {
    /// Whether it failed because the peer shows no certificate, or one that does not prove who it is.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        let (Self::Connect { cause, .. } | Self::Accept(cause)) = self else { return false };
        cause.get_ref().and_then(|cause| cause.downcast_ref()).is_some_and(|cause| {
            matches!(cause, rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
        })
    }
}

/// The cryptography that all connections use.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Versions of the protocol, the newest first.
struct Versions(Vec<&'static SupportedProtocolVersion>);

impl Default for Versions {
    fn default() -> Self {
        Self(vec![&TLS13, &TLS12])
    }
}

impl Versions {
    /// Reads `min_version` and `max_version`.
    fn from_config(tls: &mut Reader<'_>) -> Result<Self, ConfigError> {
        let words = [("1.2", 12), ("1.3", 13)];
        let min = tls.word("min_version", &words)?.unwrap_or(12);
        let max = tls.word("max_version", &words)?.unwrap_or(13);
        match (min, max) {
            (12, 12) => Ok(Self(vec![&TLS12])),
            (12, _) => Ok(Self::default()),
            (_, 13) => Ok(Self(vec![&TLS13])),
            _ => Err(tls.conflict("max_version", "is below `min_version`")),
        }
    }
}

/// As users write it.
fn version_name(version: &SupportedProtocolVersion) -> &'static str {
    if version.version == rustls::ProtocolVersion::TLSv1_2 { "1.2" } else { "1.3" }
}

/// The entry of `key`, or of the name that it has in Crossbar.
fn either<'a>(
    tls: &mut Reader<'a>,
    key: &'static str,
    other: &'static str,
) -> Result<Option<Entry<'a>>, ConfigError> {
    match (tls.entry(key), tls.entry(other)) {
        (Some(_), Some(_)) => {
            Err(tls.invalid(other, format!("means the same as `{key}`; write one of them")))
        }
        (here, there) => Ok(here.or(there)),
    }
}

/// Reads `alpn`, a list of protocol names of 1 to 255 bytes.
fn alpn(tls: &mut Reader<'_>, default: &[&str]) -> Result<Vec<Vec<u8>>, ConfigError> {
    let Some(OneOrMany(names)) = tls.optional::<OneOrMany<Entry<'_>>>("alpn")? else {
        return Ok(default.iter().map(|name| name.as_bytes().to_vec()).collect());
    };
    let read = |entry: &Entry<'_>| match entry.read::<&str>()? {
        name if (1..=255).contains(&name.len()) => Ok(name.as_bytes().to_vec()),
        _ => Err(entry.invalid("a protocol name has 1 to 255 bytes")),
    };
    names.iter().map(read).collect()
}
