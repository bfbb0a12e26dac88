//! Cipher suites by name (`spec/websocket.md` 14.1).

use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion, crypto::ring::ALL_CIPHER_SUITES};

use super::Versions;
use crate::config::{ConfigError, Entry, FromConfig as _, Reader, nearest};

/// Name by IANA, name by OpenSSL, number.
const NAMES: &[(&str, &str, CipherSuite)] = &[
    ("TLS_AES_256_GCM_SHA384", "", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", "", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", "", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Reads `ciphers`: a list of names, or all in one string with colons between them, as OpenSSL has it. Takes out of
/// `versions` those of which none is named, which `hazards` tells.
pub(super) fn from_config(
    tls: &mut Reader<'_>,
    versions: &mut Versions,
    hazards: &mut Vec<String>,
) -> Result<Option<Vec<SupportedCipherSuite>>, ConfigError> {
    let Some(entry) = tls.entry("ciphers") else { return Ok(None) };
    let mut suites = Vec::new();
    let mut add = |entry: &Entry<'_>, name: &str| {
        let suite = find(name).ok_or_else(|| unknown(entry, name))?;
        if !suites.contains(&suite) {
            suites.push(suite);
        }
        Ok(())
    };
    if let Some(names) = entry.value().as_str() {
        names
            .split([':', ',', ' '])
            .filter(|name| !name.is_empty())
            .try_for_each(|name| add(&entry, name))?;
    } else {
        let names = Vec::<Entry<'_>>::from_config(&entry)
            .map_err(|_| entry.mismatch("list of names, or names with colons between them"))?;
        names.iter().try_for_each(|name| add(name, name.read()?))?;
    }
    if suites.is_empty() {
        return Err(entry.invalid(format!("names none; those that there are: {}", all())));
    }
    let speaks = |version: &&SupportedProtocolVersion| suites.iter().any(|suite| suite.version() == *version);
    let (spoken, silent): (Vec<_>, Vec<_>) = versions.0.iter().copied().partition(speaks);
    if spoken.is_empty() {
        let allowed = listed(
            NAMES
                .iter()
                .filter(|(.., id)| suite(*id).is_some_and(|suite| versions.0.contains(&suite.version()))),
        );
        return Err(entry
            .conflict(format!("none of these belongs to a version that is allowed; these do: {allowed}")));
    }
    for version in silent {
        let version = super::version_name(version);
        hazards
            .push(format!("`tls.ciphers` names none of TLS {version}, so only the other version is spoken"));
    }
    versions.0 = spoken;
    Ok(Some(suites))
}

fn suite(id: CipherSuite) -> Option<SupportedCipherSuite> {
    ALL_CIPHER_SUITES.iter().copied().find(|suite| suite.suite() == id)
}

fn find(name: &str) -> Option<SupportedCipherSuite> {
    let is_meant = |known: &str| !known.is_empty() && known.eq_ignore_ascii_case(name);
    let found = NAMES.iter().find(|(iana, openssl, _)| is_meant(iana) || is_meant(openssl));
    found.and_then(|(.., id)| suite(*id))
}

fn unknown(entry: &Entry<'_>, name: &str) -> ConfigError {
    let names = NAMES.iter().flat_map(|(iana, openssl, _)| [*iana, *openssl]);
    let near = nearest(name, names.filter(|name| !name.is_empty()));
    let meant = near.map_or_else(|| ".".to_owned(), |near| format!("; did you mean `{near}`?"));
    let name: String = name.chars().take(60).flat_map(char::escape_debug).collect();
    entry.invalid(format!("there is no cipher `{name}` here{meant} Those that there are: {}", all()))
}

fn all() -> String {
    listed(NAMES.iter())
}

fn listed<'n>(names: impl Iterator<Item = &'n (&'static str, &'static str, CipherSuite)>) -> String {
    names.map(|(iana, ..)| format!("`{iana}`")).collect::<Vec<_>>().join(", ")
}
