//! Who we are (`spec/websocket.md` 7.6).

use crate::ws::options::Settings;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::path::PathBuf;
use tokio::io::AsyncReadExt;
use tremor_connector::{
    config::{ConfigError, Entry, OneOrMany, Reader, Secret},
    url::Userinfo,
};
use tremor_value::Value;

/// Largest file with a token.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

/// Reads a secret: a string, or `{"env": "NAME"}` for what that environment variable holds.
pub(super) fn secret(entry: &Entry<'_>) -> Result<Secret<String>, ConfigError> {
    if entry.value().as_record().is_none() {
        return entry.read();
    }
    let mut reader: Reader<'_> = entry.clone().hidden().read()?;
    let name: String = reader.required("env")?;
    reader.finish()?;
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(entry.invalid("`env` names an environment variable, which this is not"));
    }
    std::env::var(&name)
        .map(Secret::new)
        .map_err(|_| entry.invalid(format!("the environment variable `{name}` is not there, or is no UTF-8")))
}

fn required(reader: &mut Reader<'_>, key: &'static str) -> Result<Secret<String>, ConfigError> {
    reader.hide(key);
    match reader.entry(key) {
        Some(entry) => secret(&entry),
        None => Err(reader.missing(key, r#"a string, or {"env": "NAME"}"#)),
    }
}

/// The value of `Authorization`, or `Proxy-Authorization`, for a name with a password.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The same for the userinfo of a URL.
pub(super) fn basic_of(userinfo: &Userinfo) -> String {
    basic(userinfo.user.reveal(), userinfo.password.as_ref().map_or("", |password| password.reveal()))
}

/// What proves who we are, and where it goes.
#[derive(Debug)]
pub(super) enum Credentials {
    /// The value of `Authorization`. `is_held_back`: only a server that asks for it gets it.
    Basic {
        value: Secret<String>,
        is_held_back: bool,
    },
    Bearer(Secret<String>),
    /// The file that holds the token.
    BearerFile(PathBuf),
    Header {
        name: String,
        value: Secret<String>,
    },
    Query {
        name: String,
        value: Secret<String>,
    },
    /// A subprotocol that is no subprotocol.
    Protocol(Secret<String>),
}

/// Reads one sort of credentials.
type Way = fn(Reader<'_>) -> Result<Credentials, ConfigError>;

/// What a request is made of, besides its place.
#[derive(Clone, Default)]
pub(super) struct Sheet {
    pub(super) headers: Vec<(String, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) protocols: Vec<String>,
}

impl Credentials {
    /// Reads `auth`, and takes the userinfo of the URL for it.
    pub(super) fn read(
        settings: &mut Settings<'_>,
        userinfo: Option<&Userinfo>,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(entry) = settings.entry("auth")? else {
            return Ok(userinfo.map(|userinfo| Self::Basic {
                value: Secret::new(basic_of(userinfo)),
                is_held_back: false,
            }));
        };
        if userinfo.is_some() {
            return Err(entry.invalid("the URL has name and password, too; say in one place who we are"));
        }
        let mut auth: Reader<'_> = entry.clone().hidden().read()?;
        let ways: [(&'static str, Way); 5] = [
            ("basic", Self::read_basic),
            ("bearer", Self::read_bearer),
            ("header", Self::read_header),
            ("query", Self::read_query),
            ("protocol", Self::read_protocol),
        ];
        let mut found = None;
        for (way, read) in ways {
            let Some(reader) = auth.record(way)? else { continue };
            if found.is_some() {
                return Err(auth.invalid(way, "there is another one already; say in one way who we are"));
            }
            found = Some(read(reader)?);
        }
        auth.finish()?;
        let none =
            || entry.invalid("says nothing: it has `basic`, `bearer`, `header`, `query` or `protocol`");
        found.map(Some).ok_or_else(none)
    }

    fn read_basic(mut reader: Reader<'_>) -> Result<Self, ConfigError> {
        let user = required(&mut reader, "username")?;
        let password = required(&mut reader, "password")?;
        let is_held_back = reader.or("on_challenge", false)?;
        if user.reveal().contains(':') {
            return Err(reader.invalid("username", "has a colon, which names of this scheme cannot have"));
        }
        reader.finish()?;
        Ok(Self::Basic { value: Secret::new(basic(user.reveal(), password.reveal())), is_held_back })
    }

    fn read_bearer(mut reader: Reader<'_>) -> Result<Self, ConfigError> {
        let file: Option<PathBuf> = reader.optional("file")?;
        reader.hide("token");
        let token = reader.entry("token");
        match (token, file) {
            (Some(_), Some(_)) => Err(reader.invalid("file", "there is `token` already; write one of them")),
            (None, None) => Err(reader.missing("token", "a string, or `file` with a path instead")),
            (None, Some(file)) => {
                reader.finish()?;
                Ok(Self::BearerFile(file))
            }
            (Some(token), None) => {
                let value = secret(&token)?;
                if value.reveal().is_empty() {
                    return Err(token.invalid("is empty"));
                }
                if !is_token68(value.reveal()) {
                    return Err(token.invalid("is no bearer token: it has characters that those never have"));
                }
                reader.finish()?;
                Ok(Self::Bearer(value))
            }
        }
    }

    fn read_header(mut reader: Reader<'_>) -> Result<Self, ConfigError> {
        let name: String = reader.required("name")?;
        let value = required(&mut reader, "value")?;
        if name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case("origin") {
            return Err(reader.invalid("name", "is a header of its own; write it in `headers` or `origin`"));
        }
        let header = vec![(name.clone(), value.reveal().clone())];
        tremor_ws::ExtraHeaders::for_request(header)
            .map_err(|error| reader.invalid("name", error.to_string()))?;
        reader.finish()?;
        Ok(Self::Header { name, value })
    }

    fn read_query(mut reader: Reader<'_>) -> Result<Self, ConfigError> {
        let name: String = reader.required("name")?;
        if name.is_empty() {
            return Err(reader.invalid("name", "is empty; it is the name of a parameter"));
        }
        let value = required(&mut reader, "value")?;
        reader.finish()?;
        Ok(Self::Query { name, value })
    }

    fn read_protocol(mut reader: Reader<'_>) -> Result<Self, ConfigError> {
        let prefix: String = reader.required("prefix")?;
        let token = required(&mut reader, "token")?;
        // As servers that take this expect it: JWTs as they are, since they are base64url already.
        let token = token.reveal();
        let token = if is_jwt(token) { token.clone() } else { URL_SAFE_NO_PAD.encode(token) };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if !prefix.bytes().all(fits) {
            return Err(reader.invalid("prefix", "has characters that no subprotocol has"));
        }
        reader.finish()?;
        Ok(Self::Protocol(Secret::new(format!("{prefix}{token}"))))
    }

    /// Adds them to a request. `was_asked`: the server has asked for name and password.
    ///
    /// # Errors
    /// They are not there; in words.
    pub(super) async fn add_to(&self, sheet: &mut Sheet, was_asked: bool) -> Result<(), String> {
        let mut header = |name: &str, value: String| sheet.headers.push((name.to_owned(), value));
        match self {
            Self::Basic { is_held_back: true, .. } if !was_asked => {}
            Self::Basic { value, .. } => header("Authorization", value.reveal().clone()),
            Self::Bearer(token) => header("Authorization", format!("Bearer {}", token.reveal())),
            Self::BearerFile(file) => {
                let told = |cause: String| format!("`auth.bearer.file` `{}`: {cause}", file.display());
                let token = token_in(file).await.map_err(told)?;
                header("Authorization", format!("Bearer {token}"));
            }
            Self::Header { name, value } => header(name, value.reveal().clone()),
            Self::Query { name, value } => sheet.query.push((name.clone(), value.reveal().clone())),
            Self::Protocol(offer) => sheet.protocols.push(offer.reveal().clone()),
        }
        Ok(())
    }

    /// A server that asks for name and password can be told more than it was.
    pub(super) fn is_held_back(&self) -> bool {
        matches!(self, Self::Basic { is_held_back: true, .. })
    }

    /// The parameter of the query that they are in, if they are in one.
    pub(super) fn parameter(&self) -> Option<&str> {
        match self {
            Self::Query { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether `protocol` is no subprotocol but one of our secrets.
    pub(super) fn is_secret(&self, protocol: &str) -> bool {
        matches!(self, Self::Protocol(offer) if offer.reveal() == protocol)
    }

    /// The name of the header they stand in, if they stand in one.
    pub(super) fn header(&self) -> Option<&str> {
        match self {
            Self::Basic { .. } | Self::Bearer(_) | Self::BearerFile(_) => Some("Authorization"),
            Self::Header { name, .. } => Some(name),
            Self::Query { .. } | Self::Protocol(_) => None,
        }
    }
}

/// The token in `file`, without what is around it.
async fn token_in(file: &PathBuf) -> Result<String, String> {
    let mut text = String::new();
    let opened = tokio::fs::File::open(file).await.map_err(|error| error.to_string())?;
    opened.take(MAX_TOKEN_BYTES + 1).read_to_string(&mut text).await.map_err(|error| error.to_string())?;
    let token = text.trim();
    let fits = text.len() as u64 <= MAX_TOKEN_BYTES && is_token68(token);
    if fits { Ok(token.to_owned()) } else { Err("holds no bearer token".to_owned()) }
}

/// Whether `text` can be a bearer token (RFC 6750, section 2.1).
fn is_token68(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

/// Three parts in base64url with dots between.
fn is_jwt(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.bytes().all(fits) && text.split('.').count() == 3
}

/// Whether a header of that name holds what is for one server only.
pub(super) fn is_for_one_server(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "host" || SECRETS.iter().any(|part| name.contains(part))
}

/// Parts of the names of headers that hold secrets.
const SECRETS: [&str; 12] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "pass",
    "key",
    "credential",
    "session",
    "jwt",
    "bearer",
    "signature",
    "csrf",
];

/// Names and values of `query`: texts, numbers and booleans, or lists of these.
pub(super) fn query(reader: &Reader<'_>) -> Result<Vec<(String, String)>, ConfigError> {
    let mut pairs = Vec::new();
    for (name, entry) in reader.entries() {
        let values = entry.read::<OneOrMany<Entry<'_>>>()?.0;
        if values.is_empty() {
            return Err(entry.invalid("an empty list says nothing; leave it out"));
        }
        for value in values {
            let text = match value.value() {
                Value::String(text) => text.to_string(),
                value @ (Value::Bool(_) | Value::I64(_) | Value::U64(_) | Value::F64(_)) => value.to_string(),
                _ => return Err(value.mismatch("string, number, bool or a list of these")),
            };
            pairs.push((name.to_string(), text));
        }
    }
    Ok(pairs)
}

/// `target` with `pairs` behind its query, escaped as forms are.
pub(super) fn with_query(target: &str, pairs: &[(String, String)]) -> String {
    let mut target = target.to_owned();
    for (name, value) in pairs {
        target.push_str(match target.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        });
        escape(name, &mut target);
        target.push('=');
        escape(value, &mut target);
    }
    target
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            _ if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_query_is_added_as_forms_are_sent() {
        let two = pairs(&[("a b", "1&2"), ("d\u{ed}a", "x=y+z~")]);
        assert_eq!(with_query("/p", &two), "/p?a+b=1%262&d%C3%ADa=x%3Dy%2Bz%7E");
        assert_eq!(with_query("/p?q", &two[..1]), "/p?q&a+b=1%262");
        assert_eq!(with_query("/p?", &two[..1]), "/p?a+b=1%262");
        assert_eq!(with_query("/p", &[]), "/p");
    }

    #[test]
    fn names_of_headers_with_secrets_are_known() {
        for name in [
            "Authorization",
            "X-Auth-Token",
            "cookie",
            "X-API-Key",
            "Host",
            "Proxy-Authorization",
            "X-Key",
            "Ocp-Apim-Subscription-Key",
            "X-Session-Id",
            "X-JWT-Assertion",
            "X-Passphrase",
            "X-Signature",
            "X-CSRF",
        ] {
            assert!(is_for_one_server(name), "{name}");
        }
        for name in ["User-Agent", "Accept-Language", "X-Trace"] {
            assert!(!is_for_one_server(name), "{name}");
        }
    }

    #[tokio::test]
    async fn a_token_in_a_file_is_trimmed_and_checked() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("token");
        assert!(token_in(&file).await.is_err());
        for (text, expected) in [
            ("abc.d-e_f\n", Ok("abc.d-e_f")),
            ("  x=\r\n", Ok("x=")),
            ("", Err(())),
            ("two words", Err(())),
            ("a\r\nInjected: b", Err(())),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(token_in(&file).await.as_deref().map_err(|_| ()), expected, "{text:?}");
        }
        std::fs::write(&file, "x".repeat(70_000)).unwrap();
        assert!(token_in(&file).await.is_err());
    }
}
