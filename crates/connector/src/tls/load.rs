//! Reads the files that the settings of a server name, and checks that all fits together.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use rustls::{
    InconsistentKeys, RootCertStore, ServerConfig, SupportedCipherSuite,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::CertifiedKey,
    version::TLS12,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{
    TlsKeys,
    clients::ClientTrust,
    explain::flaw,
    identities::{Identities, Names, is_for, names_of},
    pem,
    written::{Admission, Clients, Pair, Written},
};
use crate::{
    config::{ConfigError, Entry, FromConfig, OneOrMany, Problem, Reader},
    files::Look,
};

/// What the settings and the files say.
pub(super) struct Loaded {
    /// Without the memory of sessions.
    pub(super) config: ServerConfig,
    /// The names that clients may ask for; any if there is none.
    pub(super) admitted: Option<Names>,
    pub(super) clients: Option<ClientTrust>,
    pub(super) hazards: Vec<String>,
    pub(super) watches: bool,
}

/// Reads everything. `look` gets every file, before it is read.
pub(super) fn load(tls: Reader<'_>, keys: TlsKeys, look: &mut Look) -> Result<Loaded, ConfigError> {
    let path = tls.path().to_vec();
    let Written { pairs, clients, versions, suites, protocols, admission, watches, mut hazards } =
        Written::read(tls, keys)?;
    let mut provider = ring::default_provider();
    if let Some((_, suites)) = &suites {
        provider.cipher_suites.clone_from(suites);
    }
    let provider = Arc::new(provider);
    let identities = identities(&pairs, &provider, look, &mut hazards)?;
    if let (Some((entry, suites)), [only]) = (&suites, versions.0.as_slice())
        && **only == TLS12
    {
        check_suites(entry, suites, &identities)?;
    }
    let admitted = admitted(&admission, &identities, &mut hazards)?;
    let clients = clients.map(|clients| trusted(&clients, &provider, look)).transpose()?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions.0)
        .map_err(|error| ConfigError { path, problem: Problem::Invalid(error.to_string()), word: None })?;
    let builder = match &clients {
        Some(clients) => builder.with_client_cert_verifier(clients.verifier()),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(identities));
    config.alpn_protocols = protocols;
    Ok(Loaded { config, admitted, clients, hazards, watches })
}

/// Certificates with their keys, and whom each is for.
fn identities(
    pairs: &[Pair<'_>],
    provider: &CryptoProvider,
    look: &mut Look,
    hazards: &mut Vec<String>,
) -> Result<Identities, ConfigError> {
    let mut identities = Identities { all: Vec::new(), names: Names::default() };
    for (index, Pair { cert, key, chain, names }) in pairs.iter().enumerate() {
        for file in [cert, key].into_iter().chain(chain) {
            look.add(&file.read::<PathBuf>()?);
        }
        let (certificates, private_key) = identity(cert, key, chain)?;
        let identity = CertifiedKey::from_der(certificates, private_key, provider)
            .map_err(|error| mismatch(cert, key, &error))?;
        if let Some(own) = identity.cert.first() {
            hazards.extend(
                out_of_date(own).map(|problem| format!("the certificate in `{}` {problem}", file(cert))),
            );
            match names {
                None => {
                    // One that nobody can ask for does no harm.
                    names_of(own).iter().for_each(|name| _ = identities.names.add(name, index));
                }
                Some(names) => {
                    for name in names {
                        identities.names.add_entry(name, index)?;
                        let text: &str = name.read()?;
                        if !is_for(own, &text.replacen('*', "any", 1)) {
                            hazards.push(format!("the certificate in `{}` is not for `{text}`", file(cert)));
                        }
                    }
                }
            }
        }
        identities.all.push(Arc::new(identity));
    }
    Ok(identities)
}

/// What is wrong with the time of a certificate, in words that may follow it.
fn out_of_date(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let validity = parsed.validity();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let now = i64::try_from(now).ok()?;
    let days = |from: i64, to: i64| to.saturating_sub(from) / 86_400;
    if now > validity.not_after.timestamp() {
        return Some(format!("has expired, {} days ago", days(validity.not_after.timestamp(), now)));
    }
    let starts = validity.not_before.timestamp();
    (now < starts).then(|| format!("is not valid yet, but in {} days", days(now, starts)))
}

/// Without TLS 1.3 a suite belongs to a kind of key; with it every suite fits every key.
fn check_suites(
    entry: &Entry<'_>,
    suites: &[SupportedCipherSuite],
    identities: &Identities,
) -> Result<(), ConfigError> {
    let is_usable = |own: &Arc<CertifiedKey>| {
        let kind = own.key.algorithm();
        suites.iter().any(|suite| suite.usable_for_signature_algorithm(kind))
    };
    match identities.all.iter().find(|own| !is_usable(own)) {
        None => Ok(()),
        Some(own) => {
            let kind = match own.key.algorithm() {
                rustls::SignatureAlgorithm::RSA => "RSA",
                _ => "ECDSA",
            };
            Err(entry.conflict(format!(
                "none of these can be used with a certificate that is here, whose key asks for one with `{kind}` in its name"
            )))
        }
    }
}

/// The names that clients may ask for.
fn admitted(
    admission: &Admission<'_>,
    identities: &Identities,
    hazards: &mut Vec<String>,
) -> Result<Option<Names>, ConfigError> {
    let mut names = Names::default();
    match admission {
        Admission::Any => return Ok(None),
        Admission::Listed(entry) => {
            for name in entry.read::<OneOrMany<Entry<'_>>>()?.0 {
                names.add_entry(&name, 0)?;
                let text: &str = name.read()?;
                let host = text.replacen('*', "any", 1);
                let shown = identities.names.find(&host).first().copied().unwrap_or_default();
                let own = identities.all.get(shown).and_then(|own| own.cert.first());
                if !own.is_some_and(|own| is_for(own, &host)) {
                    hazards.push(format!("`tls.sni` admits `{text}`, but no certificate is for it"));
                }
            }
        }
        Admission::Known(strict_sni) => {
            identities.names.all().for_each(|name| _ = names.add(&name, 0));
            if names.is_empty() {
                return Err(strict_sni.conflict(
                    "no certificate has a name in it, so nobody could connect; list the names in `sni`",
                ));
            }
        }
    }
    Ok(Some(names))
}

fn trusted(
    clients: &Clients<'_>,
    provider: &Arc<CryptoProvider>,
    look: &mut Look,
) -> Result<ClientTrust, ConfigError> {
    for file in &clients.files {
        look.add(&file.read::<PathBuf>()?);
    }
    let anchors = anchors(&clients.files)?;
    ClientTrust::new(anchors, clients.required, provider).map_err(|problem| clients.setting.invalid(problem))
}

/// All certificates of all `files`, each of which can be trusted technically.
pub(super) fn anchors(files: &[Entry<'_>]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let mut all = Vec::new();
    for entry in files {
        for (position, certificate) in pem::certificates(entry)?.into_iter().enumerate() {
            if let Err(error) = RootCertStore::empty().add(certificate.clone()) {
                let number = position + 1;
                return Err(entry
                    .invalid(format!("certificate {number} in `{}` cannot be used: {error}", file(entry))));
            }
            all.push(certificate);
        }
    }
    Ok(all)
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
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => key.invalid(format!(
            "the key in `{}` does not belong to the certificate in `{}`",
            file(key),
            file(cert)
        )),
        rustls::Error::InvalidCertificate(problem) => cert.invalid(format!(
            "the first certificate in `{}` cannot be used: {}",
            file(cert),
            flaw(problem)
        )),
        other => key.invalid(format!("the key in `{}` cannot be used: {other}", file(key))),
    }
}

/// The file that an entry names, for messages.
fn file(entry: &Entry<'_>) -> String {
    PathBuf::from_config(entry).unwrap_or_default().display().to_string()
}
