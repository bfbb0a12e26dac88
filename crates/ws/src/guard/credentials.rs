//! Where in a request credentials are, and how they are struck from what others see.
//!
//! Source: `spec/websocket.md` 7.1. A place that holds credentials twice is ambiguous, and so malformed: whoever looks
//! at the first and whoever looks at the last would see different people.

mod form;
mod template;

use super::secret::Secret;
use crate::handshake::{Headers, Reject};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::borrow::Cow;
pub use template::{Template, TemplateError};

/// Places where credentials may be, in the order in which they are tried: headers, query, cookies, subprotocols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Header names, in any case.
    pub headers: Vec<(String, Template)>,
    /// Names of query parameters.
    pub query: Vec<(String, Template)>,
    /// Names of cookies.
    pub cookies: Vec<(String, Template)>,
    /// What offered subprotocols with credentials look like.
    pub protocols: Vec<Template>,
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Secret,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A token of any kind.
    Token(Secret),
    /// A name and a password.
    Login(Login),
}

/// Which kind of credentials a guard can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// [`Credential::Token`].
    Token,
    /// [`Credential::Login`].
    Login,
}

/// The parts of a request that may hold credentials.
#[derive(Clone, Copy, Debug)]
pub struct Carrier<'r> {
    /// All headers.
    pub headers: &'r Headers,
    /// What stood behind `?`.
    pub query: Option<&'r str>,
    /// Subprotocols offered.
    pub protocols: &'r [String],
}

/// Credentials are there, but cannot be read, or are there twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credentials are malformed, or there twice")]
pub struct MalformedCredentials;

/// What stands in place of a secret.
const STRUCK: &str = "***";

impl Places {
    /// The place that all HTTP clients know: `Authorization`, with `Bearer` or `Basic`.
    pub fn authorization(wanted: Wanted) -> Self {
        let template = match wanted {
            Wanted::Token => Template::scheme("Bearer"),
            Wanted::Login => Template::Login,
        };
        Self { headers: vec![("authorization".to_owned(), template)], ..Self::default() }
    }

    /// Whether credentials of that kind can be found here at all.
    pub fn can_hold(&self, wanted: Wanted) -> bool {
        let lists = [&self.headers, &self.query, &self.cookies];
        lists.into_iter().flatten().map(|(_, template)| template).chain(&self.protocols).any(|template| {
            match wanted {
                Wanted::Token => *template != Template::Login,
                Wanted::Login => *template == Template::Login,
            }
        })
    }

    /// Adds the places of `other` behind these, for striking: what is a secret for one guard is one for all.
    pub fn extend(&mut self, other: &Self) {
        self.headers.extend(other.headers.iter().cloned());
        self.query.extend(other.query.iter().cloned());
        self.cookies.extend(other.cookies.iter().cloned());
        self.protocols.extend(other.protocols.iter().cloned());
    }

    /// The credentials of the first place that has some of that kind; `None` without any.
    ///
    /// # Errors
    /// If the first place that has some has them malformed, or more than once.
    pub fn find(
        &self,
        carrier: Carrier<'_>,
        wanted: Wanted,
    ) -> Result<Option<Credential>, MalformedCredentials> {
        let fits = |template: &Template| (*template == Template::Login) == (wanted == Wanted::Login);
        for (name, template) in self.headers.iter().filter(|(_, template)| fits(template)) {
            let values = carrier.headers.all(name).map(Some);
            if let Some(value) = one(values.filter(|value| template.is_meant(value.unwrap_or_default())))? {
                return template.take(value).map(Some);
            }
        }
        for (name, template) in self.query.iter().filter(|(_, template)| fits(template)) {
            let values = form::pairs(carrier.query.unwrap_or_default());
            let values = values.filter(|pair| pair.name().as_deref() == Some(name)).map(|pair| pair.value());
            if let Some(value) = one(values)?.filter(|value| template.is_meant(value.as_bytes())) {
                return template.take(value.as_bytes()).map(Some);
            }
        }
        for (name, template) in self.cookies.iter().filter(|(_, template)| fits(template)) {
            let values = carrier.headers.all("cookie").flat_map(cookies);
            let values = values.filter(|(found, _)| *found == name.as_bytes()).map(|(_, value)| Some(value));
            if let Some(value) = one(values)?.filter(|value| template.is_meant(value)) {
                return template.take(value).map(Some);
            }
        }
        for template in self.protocols.iter().filter(|template| fits(template)) {
            let offers = carrier.protocols.iter().filter(|offer| template.is_meant(offer.as_bytes()));
            if let Some(offer) = one(offers.map(Some))? {
                return template.take(offer.as_bytes()).and_then(unpacked).map(Some);
            }
        }
        Ok(None)
    }

    /// The offered subprotocols without those that only carry credentials.
    ///
    /// # Errors
    /// The answer to a client that offers only such ones: none of them can be agreed on, and browsers give up where a
    /// server agrees on nothing.
    pub fn real_protocols(&self, offers: &[String]) -> Result<Vec<String>, Reject> {
        let real: Vec<String> = offers.iter().filter(|offer| !self.is_carrier(offer)).cloned().collect();
        if real.is_empty() && !offers.is_empty() {
            let reason = "a subprotocol is needed beside the one with credentials";
            return Err(Reject::new(400, "subprotocol", reason));
        }
        Ok(real)
    }

    fn is_carrier(&self, offer: &str) -> bool {
        self.protocols.iter().any(|template| template.is_meant(offer.as_bytes()))
    }

    /// The query string with `***` for the value of every parameter that is a place of credentials.
    pub fn strike_query<'q>(&self, query: &'q str) -> Cow<'q, str> {
        let is_secret = |pair: &form::Pair<'_>| {
            pair.name().is_none_or(|name| self.query.iter().any(|(secret, _)| *secret == name))
        };
        if self.query.is_empty() || !form::pairs(query).any(|pair| is_secret(&pair)) {
            return Cow::Borrowed(query);
        }
        let mut struck = String::with_capacity(query.len());
        for pair in form::pairs(query) {
            if !struck.is_empty() {
                struck.push('&');
            }
            struck.push_str(pair.raw_name());
            if is_secret(&pair) {
                struck.push('=');
                struck.push_str(STRUCK);
            } else {
                struck.push_str(pair.behind_name());
            }
        }
        Cow::Owned(struck)
    }

    /// What of a header may be shown: nothing if it is a place of credentials; cookies and subprotocols without those
    /// that are.
    pub fn strike_header<'h>(&self, name: &str, value: &'h [u8]) -> Option<Cow<'h, [u8]>> {
        if self.headers.iter().any(|(secret, _)| secret.eq_ignore_ascii_case(name)) {
            return None;
        }
        if name.eq_ignore_ascii_case("cookie") && !self.cookies.is_empty() {
            let kept = |pair: &[u8]| {
                let name = cookies(pair).next().map(|(name, _)| name).unwrap_or_default();
                !self.cookies.iter().any(|(secret, _)| secret.as_bytes() == name)
            };
            let kept: Vec<&[u8]> =
                value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| kept(pair)).collect();
            return (!kept.is_empty()).then(|| Cow::Owned(kept.join(&b"; "[..])));
        }
        if name.eq_ignore_ascii_case("sec-websocket-protocol") && !self.protocols.is_empty() {
            let offers = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            let kept = |offer: &&[u8]| std::str::from_utf8(offer).is_ok_and(|offer| !self.is_carrier(offer));
            let kept: Vec<&[u8]> = offers.filter(kept).collect();
            return (!kept.is_empty()).then(|| Cow::Owned(kept.join(&b", "[..])));
        }
        Some(Cow::Borrowed(value))
    }
}

/// The only value, if there is one. A value that could not be decoded is `None` inside.
fn one<T>(mut values: impl Iterator<Item = Option<T>>) -> Result<Option<T>, MalformedCredentials> {
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(Some(value)), None) => Ok(Some(value)),
        _ => Err(MalformedCredentials),
    }
}

/// Names and values of a `Cookie` header; quotes around a value are taken off. Source: RFC 6265, section 5.4.
pub fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|byte| *byte == b';').filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(at)?;
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some((name.trim_ascii(), quoted.unwrap_or(value)))
    })
}

/// A token out of a subprotocol: base64url of it, or a JWT as it is, which consists of base64url and dots already.
fn unpacked(found: Credential) -> Result<Credential, MalformedCredentials> {
    let Credential::Token(token) = found else { return Err(MalformedCredentials) };
    if token.expose().contains('.') {
        return Ok(Credential::Token(token));
    }
    let decoded = URL_SAFE_NO_PAD.decode(token.expose()).ok().and_then(|token| String::from_utf8(token).ok());
    decoded
        .filter(|token| !token.is_empty())
        .map(|token| Credential::Token(Secret::new(token)))
        .ok_or(MalformedCredentials)
}

#[cfg(test)]
mod tests;
