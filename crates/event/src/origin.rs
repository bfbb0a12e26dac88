//! Where an event came from.

use std::fmt;

/// The place an event came from (`spec/runtime.md` 6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginUri {
    /// Names the kind of connector.
    pub scheme: String,
    /// Host name or address.
    pub host: String,
    /// Port, where there is one.
    pub port: Option<u16>,
    /// Path segments.
    pub path: Vec<String>,
}

impl Default for OriginUri {
    fn default() -> Self {
        Self::new("tremor-script", "localhost")
    }
}

impl OriginUri {
    /// An origin without port and path.
    #[must_use]
    pub fn new(scheme: impl Into<String>, host: impl Into<String>) -> Self {
        Self { scheme: scheme.into(), host: host.into(), port: None, path: Vec::new() }
    }
}

impl fmt::Display for OriginUri {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", self.scheme, self.host)?;
        if let Some(port) = self.port {
            write!(out, ":{port}")?;
        }
        self.path.iter().try_for_each(|segment| write!(out, "/{segment}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_only_the_parts_it_has() {
        assert_eq!(OriginUri::default().to_string(), "tremor-script://localhost");
        let full = OriginUri {
            port: Some(4711),
            path: vec!["a".into(), "b".into()],
            ..OriginUri::new("udp", "10.0.0.7")
        };
        assert_eq!(full.to_string(), "udp://10.0.0.7:4711/a/b");
    }
}
