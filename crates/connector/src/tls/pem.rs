//! Certificates and keys out of PEM files.

use std::path::{Path, PathBuf};

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
    pem::{self, PemObject},
};

use crate::{
    config::{ConfigError, Entry},
    files,
    socket::cause_of,
};

/// All certificates of the file that `entry` names, in their order; at least one.
pub(super) fn certificates(entry: &Entry<'_>) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let (path, bytes) = read(entry)?;
    let certificates = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| broken(entry, &path, &error))?;
    if certificates.is_empty() {
        let other = if has(&bytes, "PRIVATE KEY-----") { ", but it has a private key" } else { "" };
        return Err(entry.invalid(format!("there is no PEM certificate in `{}`{other}", path.display())));
    }
    Ok(certificates)
}

/// The private key of the file that `entry` names. Of several, PKCS#8 comes before PKCS#1 and SEC1.
pub(super) fn private_key(entry: &Entry<'_>) -> Result<PrivateKeyDer<'static>, ConfigError> {
    let (path, bytes) = read(entry)?;
    let key = first::<PrivatePkcs8KeyDer<'static>>(&bytes).transpose().or_else(|| {
        let pkcs1 = first::<PrivatePkcs1KeyDer<'static>>(&bytes).transpose();
        pkcs1.or_else(|| first::<PrivateSec1KeyDer<'static>>(&bytes).transpose())
    });
    match key {
        // The older forms say it in a header line inside, which the PEM reader may take for data.
        _ if has(&bytes, "BEGIN ENCRYPTED PRIVATE KEY-----") || has(&bytes, "Proc-Type: 4,ENCRYPTED") => {
            Err(entry.invalid(format!(
                "the private key in `{}` is encrypted; only keys without a passphrase can be used",
                path.display()
            )))
        }
        Some(Ok(key)) => Ok(key),
        Some(Err(error)) => Err(broken(entry, &path, &error)),
        None => {
            let other = if has(&bytes, "BEGIN CERTIFICATE-----") { ", but it has a certificate" } else { "" };
            Err(entry.invalid(format!("there is no PEM private key in `{}`{other}", path.display())))
        }
    }
}

/// The first section of one kind as a key.
fn first<T>(bytes: &[u8]) -> Result<Option<PrivateKeyDer<'static>>, pem::Error>
where
    T: PemObject + Into<PrivateKeyDer<'static>>,
{
    match T::from_pem_slice(bytes) {
        Ok(key) => Ok(Some(key.into())),
        Err(pem::Error::NoItemsFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Never quotes the file: a line of it may be a piece of a key.
fn broken(entry: &Entry<'_>, path: &Path, error: &pem::Error) -> ConfigError {
    let problem = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it cannot be read",
    };
    entry.invalid(format!("`{}` is no proper PEM file: {problem}", path.display()))
}

fn read(entry: &Entry<'_>) -> Result<(PathBuf, Vec<u8>), ConfigError> {
    let path: PathBuf = entry.read()?;
    match files::read(&path, files::MAX_FILE_BYTES) {
        Ok(bytes) => Ok((path, bytes)),
        Err(error) => Err(entry.invalid(format!("cannot read `{}`: {}", path.display(), cause_of(&error)))),
    }
}
