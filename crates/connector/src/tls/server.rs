//! TLS of a server.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    InconsistentKeys, ServerConfig, crypto::ring::Ticketer, pki_types::CertificateDer,
    pki_types::PrivateKeyDer,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{Encrypted, ReadAhead, TlsError, TlsKeys, alpn, pem, provider, versions};
use crate::config::{ConfigError, Entry, FromConfig, OneOrMany, Reader};

/// TLS of a server, ready for handshakes. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    ignores_dhparam: bool,
}

impl ServerTls {
    /// Reads the `tls` record of a server: `cert` and `key`, for websockets also `chain`, `min_version`,
    /// `max_version`, `alpn` (default `["http/1.1"]`) and `dhparam` (no effect).
    ///
    /// Reads files and so may block for a moment.
    ///
    /// # Errors
    /// If a key is missing, unknown or of the wrong type, if a file cannot be read or lacks what it should
    /// hold, or if `key` does not belong to `cert`.
    pub fn from_config(mut tls: Reader<'_>, keys: TlsKeys) -> Result<Self, ConfigError> {
        let cert: Entry<'_> = tls.required_like("cert", "path of a PEM certificate")?;
        let key: Entry<'_> = tls.required_like("key", "path of the PEM private key of `cert`")?;
        let (mut chain, mut ignores_dhparam) = (Vec::new(), false);
        let (mut versions_used, mut protocols) = (rustls::DEFAULT_VERSIONS, Vec::new());
        if keys == TlsKeys::WebSocket {
            chain = tls.or("chain", OneOrMany(Vec::new()))?.0;
            versions_used = versions(&mut tls)?;
            protocols = alpn(&mut tls, &["http/1.1"])?;
            ignores_dhparam = tls.optional::<PathBuf>("dhparam")?.is_some();
        }
        tls.finish()?;
        let (certificates, private_key) = identity(&cert, &key, &chain)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions_used)
            .map_err(|error| cert.invalid(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(certificates, private_key)
            .map_err(|error| mismatch(&cert, &key, &error))?;
        config.alpn_protocols = protocols;
        // A session lives in its ticket, with the client, so that all can be resumed, however many there are. One ticket
        // is enough for a peer that has one connection.
        config.ticketer = Ticketer::new().map_err(|error| cert.invalid(error.to_string()))?;
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config), ignores_dhparam })
    }

    /// `dhparam` was given, which has no effect: finite-field key exchange is never used.
    #[must_use]
    pub fn ignores_dhparam(&self) -> bool {
        self.ignores_dhparam
    }

    /// The settings as rustls has them.
    #[must_use]
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Does the handshake with a client. The time limit is the caller's business.
    ///
    /// # Errors
    /// If the handshake fails; the connection is closed then.
    pub async fn accept<S>(&self, stream: S) -> Result<Encrypted<TlsStream<ReadAhead<S>>>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        acceptor.accept(ReadAhead::new(stream)).await.map(Encrypted::new).map_err(TlsError::Accept)
    }
}

/// Certificates (the own one first) and key.
pub(super) fn identity(
    cert: &Entry<'_>,
    key: &Entry<'_>,
    chain: &[Entry<'_>],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ConfigError> {
    let mut certificates = pem::certificates(cert)?;
    for file in chain {
        certificates.extend(pem::certificates(file)?);
    }
    Ok((certificates, pem::private_key(key)?))
}

/// What is wrong with a pair of certificate and key.
pub(super) fn mismatch(cert: &Entry<'_>, key: &Entry<'_>, error: &rustls::Error) -> ConfigError {
    let file = |entry: &Entry<'_>| PathBuf::from_config(entry).unwrap_or_default().display().to_string();
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => key.invalid(format!(
            "the key in `{}` does not belong to the certificate in `{}`",
            file(key),
            file(cert)
        )),
        rustls::Error::InvalidCertificate(problem) => {
            cert.invalid(format!("the first certificate in `{}` cannot be used: {problem}", file(cert)))
        }
        other => key.invalid(format!("the key in `{}` cannot be used: {other}", file(key))),
    }
}
