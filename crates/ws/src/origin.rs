//! Which pages may open connections. Source: `spec/websocket.md` 4.

use crate::handshake::Authority;
use crate::pattern::{Pattern, PatternError, split_port, wire_host};

/// What a listener demands of `Origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginRules {
    /// `allowed_origins`; `None`: no list, which is everybody unless `same_origin` is set.
    pub allowed: Option<Vec<OriginPattern>>,
    /// `same_origin`: pages that came from where the request goes to. With a list, either suffices.
    pub same_origin: bool,
    /// `allow_null_origin`: `Origin: null`, whatever else is demanded.
    pub allow_null: bool,
    /// `require_origin`: refuse requests without `Origin`.
    pub require: bool,
}

impl Default for OriginRules {
    fn default() -> Self {
        Self { allowed: None, same_origin: false, allow_null: true, require: false }
    }
}

impl OriginRules {
    /// Whether any page may open a connection.
    pub fn admit_all(&self) -> bool {
        match &self.allowed {
            None => !self.same_origin,
            Some(allowed) => allowed.contains(&OriginPattern(None)),
        }
    }

    /// Whether a request with this `Origin` to `authority` is granted; `secure`: it reached us over TLS.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(
        &self,
        origin: Option<&str>,
        authority: &Authority,
        secure: bool,
    ) -> Result<(), &'static str> {
        let Some(text) = origin else {
            return if self.require { Err("an Origin header is needed") } else { Ok(()) };
        };
        if text == "null" {
            return if self.allow_null { Ok(()) } else { Err("the origin `null` is not allowed") };
        }
        let Some(origin) = Origin::parse(text) else {
            return Err("the origin is not `scheme://host` or `null`");
        };
        let is_same = || {
            let scheme = if secure { "https" } else { "http" };
            let port = Some(authority.effective_port(secure));
            origin.scheme == scheme && origin.host == authority.host() && origin.port == port
        };
        let is_listed = match &self.allowed {
            None => !self.same_origin,
            Some(allowed) => allowed.iter().any(|entry| entry.matches(&origin)),
        };
        if is_listed || self.same_origin && is_same() {
            return Ok(());
        }
        Err("the origin is not allowed")
    }
}

/// An origin as RFC 6454 writes it. `file://` has no host and is sent all the same.
struct Origin {
    scheme: String,
    host: String,
    /// The one written, or that of the scheme if it has any.
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        if !is_scheme(scheme, "") {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        if rest.is_empty() && scheme == "file" {
            return Some(Self { scheme, host: String::new(), port: None });
        }
        let authority = Authority::parse(rest)?;
        let port = authority.port().or_else(|| default_port(&scheme));
        Some(Self { host: authority.host().to_owned(), port, scheme })
    }
}

fn is_scheme(text: &str, more: &str) -> bool {
    let known = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    text.starts_with(|first: char| first.is_ascii_alphabetic() || more.contains(first))
        && text.chars().all(|letter| known(letter) || more.contains(letter))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// An entry of `allowed_origins`; without parts it is the lone `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern(Option<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    scheme: Pattern,
    host: Pattern,
    port: Port,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    /// That of the scheme.
    Default,
    Any,
    This(u16),
}

/// Why an entry was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Origins have a scheme.
    #[error("`{entry}` has no scheme: write `https://{entry}`, or `*://{entry}` for any")]
    NoScheme {
        /// The entry.
        entry: String,
    },
    /// What browsers send instead of an origin has a setting of its own.
    #[error("`null` is allowed or refused by `allow_null_origin`")]
    Null,
    /// Not what an origin looks like.
    #[error("`{entry}` is no origin: it has a scheme, a host and maybe a port, and no path")]
    Malformed {
        /// The entry.
        entry: String,
    },
    /// Its host or port cannot be.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl OriginPattern {
    /// Reads an entry such as `https://*.plant.example:8443`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(entry: &str) -> Result<Self, OriginError> {
        let malformed = || OriginError::Malformed { entry: entry.to_owned() };
        match entry {
            "*" => return Ok(Self(None)),
            "null" => return Err(OriginError::Null),
            _ => {}
        }
        let Some((scheme, rest)) = entry.split_once("://") else {
            return Err(OriginError::NoScheme { entry: entry.to_owned() });
        };
        if !is_scheme(scheme, "*") || rest.contains(['/', '?', '#', '@']) {
            return Err(malformed());
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = split_port(rest);
        let port = match port {
            None => Port::Default,
            Some("*") => Port::Any,
            Some(port) => {
                let bad = || PatternError::Port { port: port.to_owned() };
                let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                Port::This(port.parse().ok().filter(|_| is_number).ok_or_else(bad)?)
            }
        };
        let host = if host.is_empty() && scheme == "file" { String::new() } else { wire_host(host)? };
        Ok(Self(Some(Parts { scheme: Pattern::new(&scheme), host: Pattern::new(&host), port })))
    }

    fn matches(&self, origin: &Origin) -> bool {
        let Some(parts) = &self.0 else { return true };
        let port = match parts.port {
            Port::Any => true,
            Port::Default => origin.port == default_port(&origin.scheme),
            Port::This(port) => origin.port == Some(port),
        };
        port && parts.scheme.matches(&origin.scheme) && parts.host.matches(&origin.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allowed: &[&str]) -> OriginRules {
        let allowed = allowed.iter().map(|entry| OriginPattern::parse(entry).unwrap()).collect();
        OriginRules { allowed: Some(allowed), ..OriginRules::default() }
    }

    fn admits(rules: &OriginRules, origin: &str) -> bool {
        rules.check(Some(origin), &Authority::parse("gate.example:8443").unwrap(), true).is_ok()
    }

    #[test]
    fn entries_admit_what_they_name() {
        for (entry, origin, fits) in [
            ("*", "https://a.example", true),
            ("*", "android-app://x.y", true),
            ("*", "nonsense", false),
            ("*", "https://a.example/path", false),
            ("*", "https://a b", false),
            ("*", "https://a.example, https://b.example", false),
            ("https://a.example", "https://a.example", true),
            ("https://a.example", "HTTPS://A.Example:443", true),
            ("https://a.example:443", "https://a.example", true),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "http://a.example:443", false),
            ("https://a.example:*", "https://a.example:8443", true),
            ("https://a.example:*", "https://a.example", true),
            ("https://*.plant.example", "https://x.y.plant.example", true),
            ("https://*.plant.example", "https://plant.example", false),
            ("https://*.plant.example", "https://evilplant.example", false),
            ("https://*", "https://x:8443", false),
            ("https://*", "https://x", true),
            ("https://*.example", "https://evil:1.example", false),
            ("https://x*", "https://x:8443", false),
            ("*://a.example", "http://a.example", true),
            ("*://a.example", "http://a.example:443", false),
            ("http*://a.example", "https://a.example", true),
            ("h*://a.example", "https://evil://a.example", false),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example", true),
            ("https://[::1]:8080", "https://[::1]:8080", true),
            ("file://", "file://", true),
            ("https://a.example", "file://", false),
            ("x://a", "x://a", true),
            ("x://a", "x://a:1", false),
        ] {
            assert_eq!(admits(&rules(&[entry]), origin), fits, "{entry} {origin}");
        }
    }

    #[test]
    fn the_same_origin_and_a_list_suffice_each() {
        let same = OriginRules { same_origin: true, ..OriginRules::default() };
        assert!(admits(&same, "https://gate.example:8443"));
        for other in ["https://gate.example", "http://gate.example:8443", "https://x:8443"] {
            assert!(!admits(&same, other), "{other}");
        }
        let both = OriginRules { same_origin: true, ..rules(&["https://other.example"]) };
        assert!(admits(&both, "https://gate.example:8443") && admits(&both, "https://other.example"));
        assert!(!admits(&both, "https://third.example"));
        assert!(!same.admit_all() && !both.admit_all() && OriginRules::default().admit_all());
        assert!(rules(&["https://a", "*"]).admit_all());
    }

    #[test]
    fn no_origin_and_null_have_settings_of_their_own() {
        let authority = Authority::parse("gate.example").unwrap();
        let check = |rules: &OriginRules, origin| rules.check(origin, &authority, false).is_ok();
        let listed = rules(&["https://a.example"]);
        assert!(check(&listed, None) && check(&listed, Some("null")));
        let strict = OriginRules { allow_null: false, require: true, ..rules(&["*"]) };
        assert!(!check(&strict, None) && !check(&strict, Some("null")));
        assert!(check(&strict, Some("http://x")));
        assert!(!check(&rules(&[]), Some("http://x")));
    }

    #[test]
    fn entries_that_are_none_are_refused() {
        for bad in [
            "a.example",
            "",
            "null",
            "https://",
            "https://a/",
            "https://a?x",
            "https://u@a",
            "://a",
            "1s://a",
            "https://a:",
            "https://a:x",
            "https://a:+1",
            "https://a:1*",
            "https://a b",
        ] {
            assert!(OriginPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
