//! What stands around a secret: `Bearer {credentials}` and the like.

use super::{Credential, Login, MalformedCredentials};
use crate::guard::secret::Secret;
use crate::handshake::{is_token, is_token_byte};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Text around `{credentials}`, or the way of RFC 7617.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Template {
    /// `Scheme {credentials}`: the word in any case, one space or more, the secret.
    Scheme(String),
    /// Exactly this text before and behind the secret.
    Around {
        /// Before it.
        prefix: String,
        /// Behind it.
        suffix: String,
    },
    /// `Basic {username}:{password}`: base64 of name, colon and password.
    Login,
}

/// Why a text is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Without the mark.
    #[error("has to hold `{{credentials}}` once, or be `Basic {{username}}:{{password}}`")]
    Mark,
    /// With marks that are not known.
    #[error("knows only `{{credentials}}`, and `Basic {{username}}:{{password}}` as a whole")]
    Unknown,
    /// As a subprotocol that could be mistaken for one without credentials.
    #[error(
        "needs text before `{{credentials}}`, of characters that a subprotocol may have: `bearer.{{credentials}}`"
    )]
    Protocol,
}

/// With or without padding: clients differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Template {
    /// Reads a template as it stands in a configuration.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if let Some((scheme, "{username}:{password}")) = text.split_once(' ')
            && scheme.eq_ignore_ascii_case("basic")
        {
            return Ok(Self::Login);
        }
        let (prefix, suffix) = text.split_once("{credentials}").ok_or(TemplateError::Mark)?;
        if [prefix, suffix].iter().any(|part| part.contains(['{', '}'])) {
            return Err(TemplateError::Unknown);
        }
        match prefix.strip_suffix(' ') {
            Some(scheme)
                if suffix.is_empty()
                    && scheme.bytes().all(|byte| byte.is_ascii_graphic())
                    && !scheme.is_empty() =>
            {
                Ok(Self::Scheme(scheme.to_owned()))
            }
            _ => Ok(Self::Around { prefix: prefix.to_owned(), suffix: suffix.to_owned() }),
        }
    }

    /// The same for an offered subprotocol.
    ///
    /// # Errors
    /// Also if no subprotocol can look so, or every one does.
    pub fn parse_protocol(text: &str) -> Result<Self, TemplateError> {
        match Self::parse(text)? {
            Self::Around { prefix, suffix }
                if is_token(prefix.as_bytes()) && suffix.bytes().all(is_token_byte) =>
            {
                Ok(Self::Around { prefix, suffix })
            }
            _ => Err(TemplateError::Protocol),
        }
    }

    /// `scheme {credentials}`.
    pub fn scheme(scheme: &str) -> Self {
        Self::Scheme(scheme.to_owned())
    }

    /// Whether `value` is one of these, and not something else in the same place.
    pub(super) fn is_meant(&self, value: &[u8]) -> bool {
        self.secret(value).is_some()
    }

    /// The credentials of a value that [is meant](Self::is_meant).
    pub(super) fn take(&self, value: &[u8]) -> Result<Credential, MalformedCredentials> {
        let secret = self.secret(value).ok_or(MalformedCredentials)?;
        if *self != Self::Login {
            let token = std::str::from_utf8(secret).map_err(|_| MalformedCredentials)?;
            return Ok(Credential::Token(Secret::new(token)));
        }
        let login = BASE64.decode(secret).ok().and_then(|login| String::from_utf8(login).ok());
        let login = login.filter(|login| !login.contains(char::is_control)).ok_or(MalformedCredentials)?;
        let (name, password) = login.split_once(':').ok_or(MalformedCredentials)?;
        Ok(Credential::Login(Login { name: name.to_owned(), password: Secret::new(password) }))
    }

    /// The bytes where the secret stands; `None` if the text around it is another or there is nothing.
    fn secret<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        let secret = match self {
            Self::Scheme(scheme) => behind_scheme(scheme, value)?,
            Self::Login => behind_scheme("Basic", value)?,
            Self::Around { prefix, suffix } => {
                value.strip_prefix(prefix.as_bytes())?.strip_suffix(suffix.as_bytes())?
            }
        };
        (!secret.is_empty()).then_some(secret)
    }
}

fn behind_scheme<'v>(scheme: &str, value: &'v [u8]) -> Option<&'v [u8]> {
    let (word, rest) = value.split_at_checked(scheme.len())?;
    let is_it = word.eq_ignore_ascii_case(scheme.as_bytes()) && rest.first() == Some(&b' ');
    is_it.then(|| rest.trim_ascii())
}
