//! What failures of TLS mean for the one who has to mend them.

use std::{fmt::Write as _, io};

use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use super::pins::WrongPin;
use crate::socket::cause_of;

/// What a failure of an encrypted (or plain) connection means for the one who has to mend it.
pub fn explain(error: &io::Error) -> String {
    explain_to(error, Side::Client)
}

/// Whether it is TLS that failed, and not the byte stream below it.
pub(crate) fn is_of_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>())
}

/// Who is told, for the names of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// A client, about a server.
    Client,
    /// A server, about a client.
    Server,
}

/// As [`explain`], for one of the sides.
pub(super) fn explain_to(error: &io::Error, side: Side) -> String {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "the peer closed the connection".to_owned(),
            _ => cause_of(error),
        };
    };
    match error {
        rustls::Error::InvalidCertificate(problem) => explain_certificate(problem, side),
        rustls::Error::InvalidMessage(_) => format!("the peer does not speak TLS ({error})"),
        rustls::Error::AlertReceived(alert) => {
            format!("the peer refused it ({alert:?}){}", advice(*alert, side))
        }
        rustls::Error::PeerIncompatible(problem) => format!(
            "the peer and we have no TLS version or way to encrypt in common ({}){}",
            variant(problem),
            what_differs(problem)
        ),
        rustls::Error::PeerMisbehaved(problem) => {
            format!("the peer breaks the rules of TLS ({})", variant(problem))
        }
        rustls::Error::NoCertificatesPresented => {
            "the peer shows no certificate, and `tls.mutual` requires one".to_owned()
        }
        rustls::Error::NoApplicationProtocol => {
            "the peer offers none of the protocols in `tls.alpn`".to_owned()
        }
        _ => error.to_string(),
    }
}

/// What to do about a refusal of the peer's, if that is known.
fn advice(alert: AlertDescription, side: Side) -> &'static str {
    match (alert, side) {
        (AlertDescription::CertificateRequired, _) => {
            ": it wants a certificate of ours (see `tls.cert` and `tls.key`)"
        }
        (
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate,
            _,
        ) => ": it does not trust our certificate",
        (AlertDescription::UnrecognisedName, Side::Client) => {
            ": it serves nothing under this name (see `tls.domain`)"
        }
        (AlertDescription::MissingExtension, Side::Client) => {
            ": it may want a name, and none is sent to an address (see `tls.domain`)"
        }
        (AlertDescription::NoApplicationProtocol, Side::Client) => {
            ": it speaks none of the protocols in `tls.alpn`"
        }
        (AlertDescription::ProtocolVersion, Side::Client) => {
            ": it speaks other versions (see `tls.min_version` and `tls.max_version`)"
        }
        _ => "",
    }
}

/// Which setting a difference is about, if it is about one.
fn what_differs(problem: &PeerIncompatible) -> &'static str {
    match problem {
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::ServerDoesNotSupportTls12Or13 => "; see `tls.min_version` and `tls.max_version`",
        PeerIncompatible::NoCipherSuitesInCommon => "; see `tls.ciphers`",
        _ => "",
    }
}

/// The bare name of a problem that has no text of its own.
fn variant(problem: &impl std::fmt::Debug) -> String {
    let text = format!("{problem:?}");
    text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

fn explain_certificate(problem: &CertificateError, side: Side) -> String {
    let trusted = match side {
        Side::Client => "tls.cafile",
        Side::Server => "tls.client_ca",
    };
    match problem {
        // Webpki says the latter where an issuer that we trust only happens to have the right name.
        CertificateError::UnknownIssuer
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            format!(
                "nobody we trust has issued the certificate (if you do, name it or its CA in `{trusted}`)"
            )
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
            format!(
                "the certificate is marked as a CA; name this very certificate in `{trusted}` to trust it"
            )
        }
        CertificateError::BadSignature => {
            "bad signature: the certificate, or the handshake, is not signed with the key that it names"
                .into()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. } => {
            "the certificate is signed in a way that is not supported (RSA, ECDSA and Ed25519 are)".into()
        }
        CertificateError::Revoked => "the certificate has been revoked by its issuer".into(),
        CertificateError::Other(other) if other.0.is::<WrongPin>() => other.to_string(),
        other => format!("the certificate cannot be used: {}", flaw(other)),
    }
}

/// Why nobody could use such a certificate, behind "cannot be used: ".
pub(super) fn flaw(problem: &CertificateError) -> String {
    match problem {
        CertificateError::BadEncoding => "it is damaged".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not meant for this side of a connection (see its extended key usage)".into()
        }
        // Webpki has no code of its own here either.
        CertificateError::Other(other) if other.to_string().contains("UnsupportedCertVersion") => {
            "it is of version 1 of X.509, and only version 3 will do (`openssl x509` makes that when given `-extfile`)".into()
        }
        other => variant(other),
    }
}

/// The first few of a certificate's names, which the peer chose: escaped and cut.
pub(super) fn names(presented: &[String]) -> String {
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
