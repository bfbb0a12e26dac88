//! Guard `tls`: certificates of clients as identities.

use super::secret::unhex;
use super::session::Session;
use super::wildcard;
use std::sync::Arc;

/// What is known of the certificate that a client has shown and TLS has verified. Source: `spec/websocket.md` 14.3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The subject as RFC 4514 writes it, `CN=press-7,O=Plant`.
    pub subject: String,
    /// Alternative names that are names of hosts.
    pub hosts: Vec<String>,
    /// Alternative names that are mail addresses.
    pub emails: Vec<String>,
    /// Alternative names that are URIs.
    pub uris: Vec<String>,
    /// SHA-256 of the certificate.
    pub sha256: Option<[u8; 32]>,
    /// SHA-1 of the certificate.
    pub sha1: Option<[u8; 20]>,
    /// From when on it is not valid any more, in milliseconds since 1970.
    pub not_after_ms: Option<u64>,
}

/// The certificates that a `tls` guard accepts; the first entry that fits counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates(Vec<Entry>);

/// One of its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which certificates it is about.
    pub subject: Match,
    /// Who they are; without, what the entry has matched: the subject or the name.
    pub identity: Option<String>,
    /// What they may do.
    pub roles: Vec<String>,
}

/// Which certificates an entry is about. Patterns may hold `*`. A name of one kind never stands for one of another:
/// authorities check them in different ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// This very one, by its SHA-256.
    Sha256([u8; 32]),
    /// This very one, by its SHA-1.
    Sha1([u8; 20]),
    /// Those with such a subject, part by part: a `*` alone stands for any number of parts, others for characters of one.
    Subject(String),
    /// Those with the name of such a host, in any case.
    Host(String),
    /// Those with such a mail address.
    Email(String),
    /// Those with such a URI.
    Uri(String),
}

impl Match {
    /// Reads a fingerprint: hexadecimal digits of SHA-256 or SHA-1, also with colons between the bytes.
    pub fn fingerprint(text: &str) -> Option<Self> {
        let digest = unhex(&text.replace(':', ""))?;
        if let Ok(sha256) = digest.as_slice().try_into() {
            return Some(Self::Sha256(sha256));
        }
        digest.as_slice().try_into().ok().map(Self::Sha1)
    }

    /// What of `certificate` fits: what the identity is taken from.
    fn find<'c>(&self, certificate: &'c Certificate) -> Option<&'c str> {
        let subject = certificate.subject.as_str();
        match self {
            Self::Sha256(digest) => (Some(*digest) == certificate.sha256).then_some(subject),
            Self::Sha1(digest) => (Some(*digest) == certificate.sha1).then_some(subject),
            Self::Subject(pattern) => is_like(pattern, subject).then_some(subject),
            Self::Host(pattern) => {
                let pattern = pattern.to_ascii_lowercase();
                let fits = |name: &&String| wildcard::matches(&pattern, &name.to_ascii_lowercase());
                certificate.hosts.iter().find(fits).map(String::as_str)
            }
            Self::Email(pattern) => first(pattern, &certificate.emails),
            Self::Uri(pattern) => first(pattern, &certificate.uris),
        }
    }
}

/// Whether a subject is like `pattern`, part by part: a name that somebody chose must not pass for several.
fn is_like(pattern: &str, subject: &str) -> bool {
    let (pattern, subject) = (parts(pattern), parts(subject));
    let mut runs = pattern.split(|part| part.trim_start_matches([',', '+']) == "*");
    let first = runs.next().unwrap_or_default();
    let Some((beginning, mut rest)) = subject.split_at_checked(first.len()) else { return false };
    if !all_fit(first, beginning) {
        return false;
    }
    let Some(last) = runs.next_back() else { return rest.is_empty() };
    for run in runs.filter(|run| !run.is_empty()) {
        let Some(found) = rest.windows(run.len()).position(|parts| all_fit(run, parts)) else { return false };
        rest = rest.get(found + run.len()..).unwrap_or_default();
    }
    let end = rest.len().checked_sub(last.len()).and_then(|begin| rest.get(begin..));
    end.is_some_and(|end| all_fit(last, end))
}

fn all_fit(patterns: &[&str], parts: &[&str]) -> bool {
    patterns.iter().zip(parts).all(|(pattern, part)| wildcard::matches(pattern, part))
}

/// The parts of a subject, each with the `,` or `+` in front of it. Of those that are a part's own there is a `\` in front (RFC 4514, 2.4).
fn parts(subject: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut begin, mut is_escaped) = (0, false);
    for (at, letter) in subject.char_indices() {
        if matches!(letter, ',' | '+') && !is_escaped {
            parts.extend(subject.get(begin..at));
            begin = at;
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    parts.extend(subject.get(begin..));
    parts
}

fn first<'c>(pattern: &str, names: &'c [String]) -> Option<&'c str> {
    names.iter().find(|name| wildcard::matches(pattern, name)).map(String::as_str)
}

impl Certificates {
    /// Adds an entry behind the others.
    pub fn add(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    /// `true` without any entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What those of each entry may do.
    pub(super) fn roles(&self) -> impl Iterator<Item = &[String]> {
        self.0.iter().map(|entry| entry.roles.as_slice())
    }

    /// Whose certificate it is. The session ends when the certificate does.
    pub(super) fn find(&self, guard: &Arc<str>, certificate: &Certificate) -> Option<Session> {
        self.0.iter().find_map(|entry| {
            let matched = entry.subject.find(certificate)?;
            let identity = entry.identity.clone().or_else(|| Some(matched.to_owned()));
            let identity = identity.filter(|identity| !identity.is_empty());
            let session = Session::unlimited(guard.clone(), identity, entry.roles.clone());
            Some(Session { expires_at_ms: certificate.not_after_ms, ..session })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn subjects_are_compared_part_by_part() {
        for (pattern, subject) in [
            ("", ""),
            ("*", ""),
            ("*", "CN=a,O=Plant"),
            ("CN=*", "CN=a"),
            ("CN=press-*,O=Plant", "CN=press-7,O=Plant"),
            ("CN=*,O=Plant", r"CN=a\, b\+c,O=Plant"),
            (r"CN=a\,*,O=Plant", r"CN=a\, b,O=Plant"),
            ("CN=*,*", "CN=a,OU=x+L=y,O=Plant"),
            ("*,O=Plant", "CN=a,OU=x,O=Plant"),
            ("CN=a,*,OU=x,*,C=DE", "CN=a,OU=y,OU=x,O=Plant,C=DE"),
            ("CN=a,*,O=Plant", "CN=a,O=Plant"),
            ("CN=*+UID=1,O=Plant", "CN=a+UID=1,O=Plant"),
            (r"CN=a\\,O=*", r"CN=a\\,O=Plant"),
        ] {
            assert!(is_like(pattern, subject), "{pattern} {subject}");
        }
        for (pattern, subject) in [
            ("", "CN=a"),
            ("CN=a", ""),
            ("CN=*", "CN=a,O=Plant"),
            ("CN=*,O=Plant", r"CN=evil\,O=Plant"),
            ("CN=*,O=Plant", "CN=a,OU=x,O=Plant"),
            ("*,O=Plant", r"CN=evil\,O=Plant"),
            ("CN=*+UID=1", r"CN=evil\+UID=1"),
            ("CN=*,O=Plant", "CN=a+O=Plant"),
            ("CN=a,*,OU=x,C=DE", "CN=a,OU=x,O=Plant,C=DE"),
            ("CN=a,*,CN=a", "CN=a"),
            ("CN=*", "O=CN=a"),
        ] {
            assert!(!is_like(pattern, subject), "{pattern} {subject}");
        }
    }
}
