//! Which certificate a server shows to whom, by the name that the client asks for (SNI, RFC 6066).

use std::{collections::HashMap, sync::Arc};

use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, DnsName, ServerName},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use crate::config::{ConfigError, Entry};

/// Names of hosts, `*.example.com` standing for all with one more label; each with what belongs to it.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// In lower case, without a dot at the end.
    whole: HashMap<String, Vec<usize>>,
    /// What stands behind `*.`.
    below: HashMap<String, Vec<usize>>,
}

impl Names {
    /// Adds a name that may come from anywhere; `false` if it is none.
    pub(super) fn add(&mut self, name: &str, index: usize) -> bool {
        let name = normal(name);
        let (names, host) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.below, parent),
            None => (&mut self.whole, name.as_str()),
        };
        // `ServerName` tells addresses from names, `DnsName` does not.
        let is_host = DnsName::try_from(host).is_ok()
            && matches!(ServerName::try_from(host), Ok(ServerName::DnsName(_)));
        if is_host {
            let known = names.entry(host.to_owned()).or_default();
            if !known.contains(&index) {
                known.push(index);
            }
        }
        is_host
    }

    /// Adds a name of the configuration.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn add_entry(&mut self, entry: &Entry<'_>, index: usize) -> Result<(), ConfigError> {
        if self.add(entry.read()?, index) {
            return Ok(());
        }
        Err(entry.mismatch(
            "name of a host such as `example.com`, `*.example.com` or `xn--bcher-kva.example` \
             (clients never ask for addresses)",
        ))
    }

    /// What belongs to a name. A whole name comes before one with `*`.
    pub(super) fn find(&self, name: &str) -> &[usize] {
        let name = normal(name);
        let whole = self.whole.get(&name);
        let found = whole.or_else(|| name.split_once('.').and_then(|(_, parent)| self.below.get(parent)));
        found.map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.below.is_empty()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = String> {
        let below = self.below.keys().map(|parent| format!("*.{parent}"));
        self.whole.keys().cloned().chain(below)
    }
}

fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The names of hosts that a certificate is for: the alternative ones; where there are none, the common name.
pub(super) fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    if let Ok(Some(names)) = parsed.subject_alternative_name() {
        let names = names.value.general_names.iter();
        return names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect();
    }
    let common_name = parsed.subject().iter_common_name().last();
    common_name.and_then(|name| name.as_str().ok()).map(str::to_owned).into_iter().collect()
}

/// `true` if a certificate is for this host.
pub(super) fn is_for(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let Ok(name) = ServerName::try_from(host) else { return false };
    let by_name = ParsedCertificate::try_from(certificate).map(|parsed| verify_server_name(&parsed, &name));
    matches!(by_name, Ok(Ok(())))
        || names_of(certificate).iter().any(|known| super::verify::covers(known, &name))
}

/// Certificates with their keys.
#[derive(Debug)]
pub(super) struct Identities {
    /// At least one; the first is for everybody who asks for something else.
    pub(super) all: Vec<Arc<CertifiedKey>>,
    /// Which of them are for which name.
    pub(super) names: Names,
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fitting = hello.server_name().map_or(&[][..], |name| self.names.find(name));
        let fitting = || fitting.iter().filter_map(|index| self.all.get(*index));
        // A name may have a certificate for each kind of key, and the client not know all kinds.
        let usable = fitting().find(|own| own.key.choose_scheme(hello.signature_schemes()).is_some());
        usable.or_else(|| fitting().next()).or_else(|| self.all.first()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_come_before_those_with_a_star() {
        let mut names = Names::default();
        for (index, name) in
            ["*.Example.com", "a.example.com.", "*.a.example.com", "b.example.com"].iter().enumerate()
        {
            assert!(names.add(name, index), "{name}");
        }
        for (asked, found) in [
            ("x.example.com", &[0][..]),
            ("A.EXAMPLE.COM", &[1]),
            ("a.example.com.", &[1]),
            ("x.a.example.com", &[2]),
            ("b.example.com", &[3]),
            ("x.b.example.com", &[]),
            ("example.com", &[]),
            ("com", &[]),
            ("", &[]),
            ("*.example.com", &[0]),
        ] {
            assert_eq!(names.find(asked), found, "{asked}");
        }
        for name in ["", "*", "*.", "127.0.0.1", "::1", "a b", "a.*.b", "bücher.example", "a..b"] {
            assert!(!names.add(name, 9), "{name}");
        }
        assert!(names.add("a.example.com", 7) && names.add("a.example.com", 7));
        assert_eq!(names.find("a.example.com"), [1, 7]);
    }
}
