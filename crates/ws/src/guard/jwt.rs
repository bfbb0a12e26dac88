//! JSON Web Tokens (RFC 7519), checked in the order of `spec/websocket.md` 7.4.

use super::algorithm::Algorithm;
use super::json::{Json, at};
use super::jwk::{Key, KeySet};
use super::session::{Session, Vouching};
use super::signature::is_valid;
use super::token::Token;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a `jwt` guard demands of tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct JwtOptions {
    /// What `iss` has to be.
    pub issuer: Option<String>,
    /// One of these has to be in `aud`; empty: anything goes.
    pub audience: Vec<String>,
    /// The claim with the roles: a string with spaces between them, or a list.
    pub roles: String,
    /// The claim with the identity.
    pub identity: String,
    /// Name and claim of what lands in [`Session::attributes`].
    pub attributes: Vec<(String, String)>,
    /// How long before `exp` a fresh token is asked for, in milliseconds.
    pub challenge_ms: Option<u64>,
    /// Algorithms that may be used, of those that the keys allow; `None`: all.
    pub algorithms: Option<Vec<Algorithm>>,
    /// How far the issuer's clock may be from ours, in milliseconds.
    pub leeway_ms: u64,
    /// Whether a token without `exp` is refused.
    pub require_exp: bool,
    /// Bytes of the longest token.
    pub max_token_bytes: usize,
}

impl Default for JwtOptions {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: Vec::new(),
            roles: "scope".into(),
            identity: "sub".into(),
            attributes: Vec::new(),
            challenge_ms: None,
            algorithms: None,
            leeway_ms: 0,
            require_exp: false,
            max_token_bytes: 8192,
        }
    }
}

/// Why a token is refused, in the order of the checks. The texts are for the peer: they hold nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum TokenError {
    /// Longer than `max_token_size`.
    #[error("the token is too long")]
    TooLong,
    /// Not three parts in base64url with two JSON objects.
    #[error("the token is malformed")]
    Malformed,
    /// `alg` is unknown, missing or not allowed.
    #[error("the algorithm of the token is not accepted")]
    Algorithm,
    /// `crit` is there.
    #[error("the token demands extensions that are not understood")]
    Critical,
    /// No key has the token's `kid`; newer keys may.
    #[error("the key of the token is not known")]
    UnknownKey,
    /// There is no `kid`, and not exactly one key that fits.
    #[error("the token does not say which key signed it")]
    NoKid,
    /// The key with the token's `kid` is not for its algorithm.
    #[error("the key of the token is not for its algorithm")]
    KeyMismatch,
    /// The signature is wrong.
    #[error("the signature of the token is wrong")]
    Signature,
    /// `nbf` or `iat` is still to come.
    #[error("the token is not valid yet")]
    NotYet,
    /// `exp` is over.
    #[error("the token has expired")]
    Expired,
    /// `exp` has to be there.
    #[error("the token does not say when it expires")]
    NoExpiry,
    /// `iss` is another one.
    #[error("the token is of another issuer")]
    Issuer,
    /// `aud` names others.
    #[error("the token is for another audience")]
    Audience,
    /// A claim has the wrong type.
    #[error("a claim of the token has the wrong type")]
    Claim,
}

impl TokenError {
    /// Whether one of the guard's keys has signed the token all the same.
    pub fn is_signed(self) -> bool {
        self > Self::Signature
    }

    /// A short word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Critical => "critical",
            Self::UnknownKey => "unknown_key",
            Self::NoKid => "no_kid",
            Self::KeyMismatch => "key_mismatch",
            Self::Signature => "signature",
            Self::NotYet => "not_yet_valid",
            Self::Expired => "expired",
            Self::NoExpiry => "no_expiry",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claim => "claim",
        }
    }
}

impl JwtOptions {
    /// Checks `token` at a time of `now_ms` milliseconds since 1970; gives the session that it stands for.
    ///
    /// # Errors
    /// The first check that fails, in the order of `spec/websocket.md` 7.4. After [`TokenError::UnknownKey`] it may be
    /// worth to load the keys again.
    pub fn check(
        &self,
        guard: &Arc<str>,
        token: &str,
        keys: &KeySet,
        now_ms: u64,
    ) -> Result<Session, TokenError> {
        if token.len() > self.max_token_bytes {
            return Err(TokenError::TooLong);
        }
        let token = Token::parse(token).ok_or(TokenError::Malformed)?;
        let Some(Json::Object(claims)) = Json::parse(&token.payload) else {
            return Err(TokenError::Malformed);
        };
        let key = self.verify(&token, keys)?;
        let expires = self.check_times(&claims, now_ms)?;
        if self.issuer.is_some() && claims.get("iss").and_then(Json::as_str) != self.issuer.as_deref() {
            return Err(TokenError::Issuer);
        }
        if !self.audience.is_empty() && !self.is_for_us(claims.get("aud")) {
            return Err(TokenError::Audience);
        }
        let attributes = self.attributes.iter();
        let attributes =
            attributes.filter_map(|(name, path)| Some((name.clone(), at(&claims, path)?.clone())));
        Ok(Session {
            guard: guard.clone(),
            identity: identity(&claims, &self.identity)?,
            gives_identity: true,
            roles: roles(&claims, &self.roles)?,
            attributes: attributes.collect(),
            expires_at_ms: expires.map(|expires| expires.saturating_add(self.leeway_ms)),
            challenge_at_ms: expires
                .and_then(|expires| self.challenge_ms.map(|before| expires.saturating_sub(before))),
            keys: vec![Vouching { guard: guard.clone(), key: key.clone() }],
        })
    }

    /// The checks from the algorithm to the signature; gives the key that has signed.
    fn verify<'k>(&self, token: &Token<'_>, keys: &'k KeySet) -> Result<&'k Arc<Key>, TokenError> {
        let algorithm = token.algorithm().ok_or(TokenError::Algorithm)?;
        if self.algorithms.as_ref().is_some_and(|allowed| !allowed.contains(&algorithm)) {
            return Err(TokenError::Algorithm);
        }
        if token.has_critical() {
            return Err(TokenError::Critical);
        }
        let kid = token.kid().map_err(|()| TokenError::Malformed)?;
        let mut named = keys.keys().iter().filter(|key| kid.is_none() || key.kid() == kid).peekable();
        if kid.is_some() && named.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        let mut fitting = named.filter(|key| key.fits(algorithm));
        let key = match (fitting.next(), fitting.next()) {
            (Some(key), None) => key,
            (None, _) if kid.is_some() => return Err(TokenError::KeyMismatch),
            _ => return Err(TokenError::NoKid),
        };
        if !is_valid(algorithm, key, token.signed.as_bytes(), &token.signature) {
            return Err(TokenError::Signature);
        }
        Ok(key)
    }

    /// `nbf` ≤ now < `exp`, and `iat` ≤ now; gives `exp`.
    fn check_times(&self, claims: &Claims, now_ms: u64) -> Result<Option<u64>, TokenError> {
        let latest_start = now_ms.saturating_add(self.leeway_ms);
        let expires = time(claims, "exp")?;
        for start in ["nbf", "iat"] {
            if time(claims, start)?.is_some_and(|start| start > latest_start) {
                return Err(TokenError::NotYet);
            }
        }
        match expires {
            None if self.require_exp => Err(TokenError::NoExpiry),
            Some(expires) if expires.saturating_add(self.leeway_ms) <= now_ms => Err(TokenError::Expired),
            expires => Ok(expires),
        }
    }

    fn is_for_us(&self, aud: Option<&Json>) -> bool {
        let ours = |aud: &Json| aud.as_str().is_some_and(|aud| self.audience.iter().any(|own| own == aud));
        match aud {
            Some(Json::List(list)) => list.iter().any(ours),
            Some(one) => ours(one),
            None => false,
        }
    }
}

type Claims = BTreeMap<String, Json>;

/// A point in time: seconds since 1970, with or without a fraction. Gives milliseconds; times before 1970 are 1970.
fn time(claims: &Claims, name: &str) -> Result<Option<u64>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Json::Int(seconds)) => Ok(Some(u64::try_from(*seconds).unwrap_or(0).saturating_mul(1000))),
        Some(Json::Large(seconds)) => Ok(Some(seconds.saturating_mul(1000))),
        Some(Json::Float(seconds)) => Ok(Some(whole_ms(*seconds))),
        Some(_) => Err(TokenError::Claim),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and a fraction of a millisecond is of no interest"
)]
fn whole_ms(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

fn identity(claims: &Claims, path: &str) -> Result<Option<String>, TokenError> {
    match at(claims, path) {
        None => Ok(None),
        Some(Json::Text(identity)) if !identity.is_empty() => Ok(Some(identity.clone())),
        Some(_) => Err(TokenError::Claim),
    }
}

fn roles(claims: &Claims, path: &str) -> Result<Vec<String>, TokenError> {
    match at(claims, path) {
        None => Ok(Vec::new()),
        Some(Json::Text(roles)) => Ok(roles.split_ascii_whitespace().map(str::to_owned).collect()),
        Some(Json::List(roles)) => {
            roles.iter().map(|role| role.as_str().map(str::to_owned).ok_or(TokenError::Claim)).collect()
        }
        Some(_) => Err(TokenError::Claim),
    }
}
