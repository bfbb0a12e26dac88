//! What events tell of the handshake of their connection, on both sides (`spec/websocket.md` 15).

use super::options::Settings;
use tremor_connector::config::{ConfigError, Entry};
use tremor_value::{Record, Str, Value};
use tremor_ws::{Headers, guard::Places, is_token};

/// `expose_headers`: which headers of a handshake are told.
pub(super) enum Exposed {
    /// All but those of the handshake itself and those that hold secrets.
    Usual,
    All,
    /// These, in small letters.
    These(Vec<String>),
}

/// Parts of the names of headers that hold secrets.
const SECRETS: [&str; 8] =
    ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "credential"];

impl Exposed {
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let Some(entry) = settings.config.entry("expose_headers") else { return Ok(Self::Usual) };
        match entry.value().as_str() {
            Some("all") => return Ok(Self::All),
            Some("none") => return Ok(Self::These(Vec::new())),
            Some(_) => return Err(entry.mismatch("`all`, `none`, or a list of names")),
            None => {}
        }
        let name = |entry: &Entry<'_>| {
            let name: &str = entry.read()?;
            match is_token(name.as_bytes()) {
                true => Ok(name.to_ascii_lowercase()),
                false => Err(entry.invalid(format!("`{name}` is no name of a header"))),
            }
        };
        let names = entry.read::<Vec<Entry<'_>>>()?;
        names.iter().map(name).collect::<Result<_, _>>().map(Self::These)
    }

    fn includes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.iter().any(|own| own == name),
            Self::Usual => {
                let is_own = matches!(name, "host" | "upgrade" | "connection" | "origin")
                    || name.starts_with("sec-websocket-");
                !is_own && !SECRETS.iter().any(|part| name.contains(part))
            }
        }
    }

    /// The headers that are told, without what is in `secrets`.
    pub(super) fn record(&self, headers: &Headers, secrets: &Places) -> Record {
        if matches!(self, Self::These(names) if names.is_empty()) {
            return Record::default();
        }
        let named = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let shown = named.filter(|(name, _)| self.includes(name));
        listed(shown.filter_map(|(name, value)| {
            let value = secrets.strike_header(&name, value)?;
            Some((name, String::from_utf8_lossy(&value).into_owned()))
        }))
    }
}

/// A string for each name, or a list for one that comes again.
pub(super) fn listed(pairs: impl Iterator<Item = (String, String)>) -> Record {
    let mut record = Record::default();
    for (name, value) in pairs {
        let value = Value::from(value);
        match record.get_mut(&name) {
            None => {
                record.insert(Str::from(name), value);
            }
            Some(Value::Array(all)) => std::sync::Arc::make_mut(all).push(value),
            Some(first) => *first = Value::from(vec![std::mem::take(first), value]),
        }
    }
    record
}

/// `scheme` of the metadata.
pub(super) fn scheme(is_encrypted: bool) -> Value {
    Value::from(if is_encrypted { "https" } else { "http" })
}
