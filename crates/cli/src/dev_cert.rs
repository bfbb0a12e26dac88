//! `tremor dev-cert`: a self-signed certificate and its key, so that TLS can be tried without another tool.
//!
//! The certificate is not marked as a CA. So it can be served (a CA certificate is refused as the certificate of
//! a server by strict peers) and named as the only trusted root at the same time.

use crate::{CliError, args::DevCertOptions, output};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::ExitCode,
};
use time::{Duration, OffsetDateTime};

const CERT_FILE: &str = "cert.pem";
const KEY_FILE: &str = "key.pem";
/// How far a peer's clock may be behind ours before it takes a fresh certificate for one from the future.
const CLOCK_SKEW: Duration = Duration::days(1);

pub(crate) fn run(options: &DevCertOptions) -> Result<ExitCode, CliError> {
    let (cert_path, key_path) = (options.out.join(CERT_FILE), options.out.join(KEY_FILE));
    if !options.force {
        for path in [&cert_path, &key_path] {
            if path.symlink_metadata().is_ok() {
                let path = path.display();
                return Err(CliError::new(format!("{path} is already there; use --force to replace it")));
            }
        }
    }
    let pair = generate(&options.names, options.days)?;
    fs::create_dir_all(&options.out).map_err(|error| cannot_write(&options.out, &error))?;
    // The key first: a certificate whose key could not be written would be of no use to anybody.
    replace(&key_path, &pair.key, 0o600)?;
    replace(&cert_path, &pair.cert, 0o644)?;
    let text = summary(options, &cert_path.display().to_string(), &key_path.display().to_string());
    output::stdout(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// A certificate and its private key (PKCS #8), both as PEM text.
struct Pair {
    cert: String,
    key: String,
}

fn generate(names: &[String], days: u32) -> Result<Pair, CliError> {
    let failed = |error: rcgen::Error| CliError::new(format!("Cannot make a certificate: {error}"));
    for name in names {
        check_name(name)?;
    }
    let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    // Peers look at the alternative names; a common name of more than 64 characters would be refused.
    let common_name = names.first().filter(|name| name.len() <= 64).map_or("tremor dev-cert", String::as_str);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let now = OffsetDateTime::now_utc();
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + Duration::days(i64::from(days));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let cert = params.self_signed(&key).map_err(failed)?;
    Ok(Pair { cert: cert.pem(), key: key.serialize_pem() })
}

/// Host names (with an optional leading `*.`) and IP addresses.
fn check_name(name: &str) -> Result<(), CliError> {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    let host = name.strip_prefix("*.").unwrap_or(name);
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() <= 253 && host.split('.').all(label_ok) {
        return Ok(());
    }
    Err(CliError::new(format!(
        "`{name}` is neither a host name nor an IP address (no scheme, port or path; other scripts as `xn--...`)"
    )))
}

/// Writes a new file with `mode`; a file in its place is removed first, so that its old mode does not stay.
fn replace(path: &Path, text: &str, mode: u32) -> Result<(), CliError> {
    let write = || -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> CliError {
    CliError::new(format!("Cannot write {}: {error}", path.display()))
}

fn summary(options: &DevCertOptions, cert: &str, key: &str) -> String {
    let (names, days) = (options.names.join(", "), options.days);
    let domain =
        options.names.iter().find(|name| !name.starts_with("*.")).map_or("localhost", String::as_str);
    let (cert_text, key_text, domain) = (quoted(cert), quoted(key), quoted(domain));
    format!(
        "Wrote {cert} (self-signed, for {names}, valid {days} days)\n\
         Wrote {key} (its private key, readable by you only)\n\
         \n\
         In the config of a server:\n\
         \x20 \"tls\": {{\"cert\": {cert_text}, \"key\": {key_text}}}\n\
         In the config of its clients:\n\
         \x20 \"tls\": {{\"cafile\": {cert_text}, \"domain\": {domain}}}\n\
         For development only: everybody who trusts this certificate trusts everybody who has its key.\n"
    )
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hosts_or_addresses() {
        for good in
            ["localhost", "127.0.0.1", "::1", "a.example.org", "*.example.org", "my_host", "xn--bcher-kva"]
        {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "a b", "wss://x", "x:80", "a..b", "-a", "bücher.de", "*", "a.*.b", &long] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pair_is_pem() {
        let names = ["localhost".to_owned(), "::1".to_owned()];
        let pair = generate(&names, 36_500).unwrap();
        assert!(pair.cert.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(pair.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
