//! How a server decides whether a certificate is a client's (`spec/websocket.md` 14.1, `client_ca` and `mutual`).

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::verify::{Named, verifies_signatures_by};

/// Most bytes of authorities' names that clients are told, to choose a certificate by; with more they choose freely.
const MAX_HINT_BYTES: usize = 16 * 1024;

/// Whose clients are let in.
#[derive(Clone, Debug)]
pub(super) struct ClientTrust {
    /// Everybody who may issue, and single certificates that were named.
    anchors: Vec<CertificateDer<'static>>,
    verifier: Arc<NamedOrIssuedClient>,
    required: bool,
}

impl ClientTrust {
    /// Clients have to show a certificate that is one of `anchors` or issued by one of them; unless that is not `required`,
    /// and they show none.
    ///
    /// # Errors
    /// In words, if no verifier can be made of these.
    pub(super) fn new(
        anchors: Vec<CertificateDer<'static>>,
        required: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(anchors.iter().cloned());
        let hint_bytes: usize = roots.subjects().iter().map(|subject| subject.as_ref().len()).sum();
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        if !required {
            builder = builder.allow_unauthenticated();
        }
        if hint_bytes > MAX_HINT_BYTES {
            builder = builder.clear_root_hint_subjects();
        }
        let issued = builder.build().map_err(|error| error.to_string())?;
        let named = anchors.iter().cloned().filter_map(Named::new).collect();
        Ok(Self { anchors, verifier: Arc::new(NamedOrIssuedClient { named, issued }), required })
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier) as _
    }

    /// `true` if both let the same clients in, whenever they ask.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.anchors == other.anchors && self.required == other.required
    }

    /// Looks once more at what the client of a resumed session has shown when that began: it may have ended since.
    ///
    /// # Errors
    /// If it would not be let in now.
    pub(super) fn look_again(&self, shown: Option<&[CertificateDer<'_>]>) -> Result<(), Error> {
        match shown.and_then(<[_]>::split_first) {
            Some((own, issuers)) => {
                self.verifier.verify_client_cert(own, issuers, UnixTime::now()).map(|_verified| ())
            }
            None if self.required => Err(Error::NoCertificatesPresented),
            None => Ok(()),
        }
    }
}

/// The counterpart of [`NamedOrIssued`](super::verify::NamedOrIssued), for the same reasons: whoever makes a
/// certificate with `openssl req -x509` and names it in `client_ca` means this very certificate.
#[derive(Debug)]
struct NamedOrIssuedClient {
    named: Vec<Named>,
    issued: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for NamedOrIssuedClient {
    fn client_auth_mandatory(&self) -> bool {
        self.issued.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.issued.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.named.iter().find(|named| named.is(end_entity)) {
            Some(named) if !named.is_for_clients() => Err(CertificateError::InvalidPurpose.into()),
            Some(named) => named.check_time(now).map(|()| ClientCertVerified::assertion()),
            None => self.issued.verify_client_cert(end_entity, intermediates, now),
        }
    }

    verifies_signatures_by!(issued);
}
