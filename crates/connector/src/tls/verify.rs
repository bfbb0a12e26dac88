//! How a client decides whether a certificate is the server's, and what counts where a certificate was named itself.

use std::{net::IpAddr, sync::Arc, time::Duration};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::pins::Pins;
use x509_parser::{
    certificate::X509Certificate, oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME, prelude::FromDer,
};

/// The methods of a verifier that are about the signatures of a handshake, and not about who the peer is: those of the
/// verifier in this field.
macro_rules! verifies_signatures_by {
    ($inner:ident) => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.$inner.verify_tls12_signature(message, cert, dss)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.$inner.verify_tls13_signature(message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.$inner.supported_verify_schemes()
        }
    };
}

pub(super) use verifies_signatures_by;

/// Accepts a certificate that the user named in `cafile`, and any that webpki accepts as issued by those.
///
/// Webpki alone refuses what many users have: `openssl req -x509` marks its self-signed certificates as a CA
/// (`CaUsedAsEndEntity`), and older recipes put the name into the subject alone, which webpki does not read.
///
/// Accepting an end-entity certificate that equals a named one byte for byte is sound:
///
/// * The user has said to trust this very certificate; there is no chain to build and no issuer to ask. Being
///   equal in all bytes it has the same key, so nothing that somebody else made can pass for it.
/// * Presenting it is not enough: the handshake is signed with the key of the presented certificate, and
///   both signature methods below always verify that against it. Whoever passes holds the private key.
/// * The mark as a CA widens what the key may vouch for, it does not narrow it: that key could at any time
///   issue an ordinary certificate for the same name, which webpki would accept below the same root.
/// * Validity, names and purpose (extended key usage, if there is one) still have to fit. The subject's
///   common name counts only where there are no alternative names at all, and only for named certificates,
///   so that a CA that checks nothing but alternative names cannot be tricked by way of it.
#[derive(Debug)]
pub(super) struct NamedOrIssued {
    named: Vec<Named>,
    issued: Arc<WebPkiServerVerifier>,
}

impl NamedOrIssued {
    /// `issued` has to trust the `named` ones as roots already.
    pub(super) fn new(named: Vec<CertificateDer<'static>>, issued: Arc<WebPkiServerVerifier>) -> Self {
        Self { named: named.into_iter().filter_map(Named::new).collect(), issued }
    }
}

impl ServerCertVerifier for NamedOrIssued {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.named.iter().find(|named| named.is(end_entity)) {
            // Its refusals are webpki's too, which would only put them less clearly.
            Some(named) => named.check(server_name, now).map(|()| ServerCertVerified::assertion()),
            None => {
                self.issued.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
        }
    }

    verifies_signatures_by!(issued);
}

/// A certificate of `cafile` or `client_ca`, with what has to fit when a peer presents it.
#[derive(Debug)]
pub(super) struct Named {
    der: CertificateDer<'static>,
    /// Seconds since 1970, both included.
    valid: std::ops::RangeInclusive<i64>,
    /// There are alternative names, so the common name does not count.
    has_alternative_names: bool,
    common_name: Option<String>,
    for_servers: bool,
    for_clients: bool,
}

impl Named {
    /// None if the certificate cannot be taken apart: webpki alone decides about it then.
    pub(super) fn new(der: CertificateDer<'static>) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(&der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let validity = parsed.validity();
        let purposes = parsed.extended_key_usage().ok()?;
        let mut extensions = parsed.extensions().iter();
        let has_alternative_names =
            extensions.any(|extension| extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME);
        // The last one is the most specific.
        let common_name = parsed.subject().iter_common_name().last();
        let valid = validity.not_before.timestamp()..=validity.not_after.timestamp();
        let common_name = common_name.and_then(|name| name.as_str().ok()).map(str::to_owned);
        let for_servers =
            purposes.as_ref().is_none_or(|purposes| purposes.value.server_auth || purposes.value.any);
        let for_clients = purposes.is_none_or(|purposes| purposes.value.client_auth || purposes.value.any);
        Some(Self { valid, has_alternative_names, common_name, for_servers, for_clients, der })
    }

    /// This very certificate.
    pub(super) fn is(&self, presented: &CertificateDer<'_>) -> bool {
        self.der == *presented
    }

    /// A client may present it.
    pub(super) fn is_for_clients(&self) -> bool {
        self.for_clients
    }

    /// # Errors
    /// If it is not valid now.
    pub(super) fn check_time(&self, now: UnixTime) -> Result<(), Error> {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let instant = |seconds: i64| {
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
        };
        if seconds > *self.valid.end() {
            let not_after = instant(*self.valid.end());
            return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
        }
        if seconds < *self.valid.start() {
            let not_before = instant(*self.valid.start());
            return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
        }
        Ok(())
    }

    fn check(&self, server_name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
        self.check_time(now)?;
        if !self.for_servers {
            return Err(CertificateError::InvalidPurpose.into());
        }
        if self.has_alternative_names {
            return verify_server_name(&ParsedCertificate::try_from(&self.der)?, server_name);
        }
        if self.common_name.as_deref().is_some_and(|name| covers(name, server_name)) {
            return Ok(());
        }
        let presented = self.common_name.iter().cloned().collect();
        Err(CertificateError::NotValidForNameContext { expected: server_name.to_owned(), presented }.into())
    }
}

/// `true` if a common name stands for the wanted one. A wildcard stands for exactly one whole first label of
/// at least three.
pub(super) fn covers(common_name: &str, wanted: &ServerName<'_>) -> bool {
    match wanted {
        ServerName::DnsName(wanted) => {
            let wanted = wanted.as_ref().trim_end_matches('.');
            let common_name = common_name.trim_end_matches('.');
            if let Some(parent) = common_name.strip_prefix("*.") {
                let wanted_parent = wanted.split_once('.').map(|(_, parent)| parent);
                return parent.contains('.')
                    && wanted_parent.is_some_and(|wanted| wanted.eq_ignore_ascii_case(parent));
            }
            wanted.eq_ignore_ascii_case(common_name)
        }
        ServerName::IpAddress(wanted) => {
            common_name.parse::<IpAddr>().is_ok_and(|ip| ip == IpAddr::from(*wanted))
        }
        _ => false,
    }
}

/// Accepts what another verifier accepts if the key is pinned, too.
#[derive(Debug)]
pub(super) struct Pinned {
    pins: Pins,
    inner: Arc<dyn ServerCertVerifier>,
}

impl Pinned {
    /// `inner` with `pins`; just `inner` if there are none.
    pub(super) fn around(inner: Arc<dyn ServerCertVerifier>, pins: Pins) -> Arc<dyn ServerCertVerifier> {
        if pins.is_empty() { inner } else { Arc::new(Self { pins, inner }) }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        self.pins.check(end_entity).map(|()| verified)
    }

    verifies_signatures_by!(inner);
}

/// Accepts every certificate (`tls.insecure`). Handshake signatures are verified all the same.
#[derive(Debug)]
pub(super) struct Unverified {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Unverified {
    pub(super) fn new(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { algorithms }
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
