//! Guards: who may open a WebSocket, as plain functions. Source: `spec/websocket.md` 7.
//!
//! Nothing here opens a file, asks a clock or waits: times, keys and the contents of files are handed in, in milliseconds
//! since 1970 where a time is meant. How the parts go together in an opening handshake:
//!
//! 1. [`Guard::authenticate`] looks for the credentials of one guard in the request and says who it is, or that a slow
//!    password [`Comparison`] or newer keys ([`KeySource`]) are needed first.
//! 2. [`decide`] asks the verdicts on all guards of a route whether it may be used; [`Denial::answer`] is the answer if not.
//! 3. [`Places`] strikes secrets from whatever of the request is shown to others.
//! 4. [`Sessions`] keeps until when each open connection may stay.
//!
//! Secrets are in [`Secret`], in digests, or in types whose `Debug` leaves them out.

mod algorithm;
mod basic;
mod bearer;
mod certificate;
mod credentials;
mod decision;
mod identity;
mod json;
mod jwk;
mod jwt;
mod key_source;
mod latest;
mod password;
mod secret;
mod session;
mod sessions;
mod signature;
#[cfg(test)]
mod tests;
mod token;
mod wildcard;

pub use algorithm::Algorithm;
pub use basic::{Comparison, User, UserProblem, Users, UsersError};
pub use bearer::{Holder, Tokens};
pub use certificate::{Certificate, Certificates, Entry, Match};
pub use credentials::{
    Carrier, Credential, Login, MalformedCredentials, Places, Template, TemplateError, Wanted, cookies,
};
pub use decision::{Demand, Denial, FLOW_SCHEME, decide, not_renewed};
pub use identity::ProxyIdentity;
pub use json::Json;
pub use jwk::{Key, KeyError, KeySet, KeySetError, Origin, Unused};
pub use jwt::{JwtOptions, TokenError};
pub use key_source::KeySource;
pub use latest::Latest;
pub use password::{HashError, Stored};
pub use secret::Secret;
pub use session::{Claims, Session, Vouching};
pub use sessions::{RenewalError, Renewed, Sessions, Stake};

use identity::Told;
use std::sync::Arc;

/// A guard with a name, as a configuration describes it.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Its name, which routes use.
    pub name: Arc<str>,
    /// What a client is told that it logs in to.
    pub realm: String,
    /// Where its credentials are.
    pub places: Places,
    /// How it finds out who somebody is.
    pub kind: Kind,
}

/// How a guard finds out who somebody is. Source: `spec/websocket.md` 7.3.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `jwt`: signed tokens.
    Jwt(JwtOptions),
    /// `basic`: names and passwords.
    Basic(Latest<Users>),
    /// `bearer`, `apikey`: listed tokens.
    Tokens(Tokens),
    /// `identity`: headers of a trusted proxy.
    Identity(ProxyIdentity),
    /// `tls`: certificates of clients.
    Certificates(Certificates),
    /// `cookie`: whom the client's cookie stands for, since another guard has let it in with that.
    Cookie,
    /// `flow`: the flow is asked, by whoever can wait for its answer.
    Flow,
}

impl Kind {
    /// Whether its sessions may end while a connection is open, and fresh credentials extend them.
    pub fn has_ends(&self) -> bool {
        matches!(self, Self::Jwt(_) | Self::Certificates(_))
    }

    /// The roles of each of those whom it may let in, where these are known beforehand.
    pub fn known_roles(&self) -> Option<Vec<Vec<String>>> {
        match self {
            Self::Basic(users) => Some(users.get().roles().map(<[_]>::to_vec).collect()),
            Self::Tokens(tokens) => Some(tokens.roles().map(<[_]>::to_vec).collect()),
            Self::Certificates(certificates) => Some(certificates.roles().map(<[_]>::to_vec).collect()),
            Self::Identity(ProxyIdentity { roles_header: None, .. }) => Some(vec![Vec::new()]),
            Self::Identity(_) | Self::Jwt(_) | Self::Cookie | Self::Flow => None,
        }
    }
}

/// What a client has brought.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'r> {
    /// Its request.
    pub carrier: Carrier<'r>,
    /// Its certificate, verified.
    pub certificate: Option<&'r Certificate>,
    /// Whether the request came from a trusted proxy.
    pub from_trusted_proxy: bool,
    /// Whom its cookie stands for.
    pub bound: &'r [Session],
}

/// What one guard thinks of a client, whatever roles a route asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Known.
    Accepted(Session),
    /// There are no credentials for this guard.
    Absent,
    /// There are, and they are no good.
    Refused(Refusal),
    /// It cannot decide now: there are no keys.
    Undecided,
}

/// Why credentials are no good. The texts hold nothing of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// They cannot be read, or are there twice.
    #[error("the credentials are malformed, or there twice")]
    Malformed,
    /// A JWT.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A name and a password, one of which is wrong.
    #[error("name or password is wrong")]
    Login,
    /// A token that is not listed.
    #[error("the token is not known")]
    UnknownToken,
    /// A certificate that no entry is about.
    #[error("the certificate is not known")]
    UnknownCertificate,
    /// They were good, and are not any more.
    #[error("the credentials have expired")]
    Expired,
    /// The flow has said no.
    #[error("the connection is refused")]
    Flow,
}

impl Refusal {
    /// A short word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Token(error) => error.label(),
            Self::Login => "wrong_login",
            Self::UnknownToken => "unknown_token",
            Self::UnknownCertificate => "unknown_certificate",
            Self::Expired => "expired",
            Self::Flow => "not_authorized",
        }
    }
}

/// How far a guard got.
#[derive(Debug)]
pub enum Step {
    /// It has decided.
    Done(Verdict),
    /// A slow comparison comes first; [`Verdict::of_login`] of its result is the verdict.
    Compare(Comparison),
    /// Newer keys may know the token: ask again with them, and without them take this verdict.
    NeedsKeys {
        /// The verdict without.
        otherwise: Verdict,
    },
}

impl Verdict {
    /// The verdict on a login after [`Comparison::run`].
    pub fn of_login(found: Option<Session>) -> Self {
        found.map_or(Self::Refused(Refusal::Login), Self::Accepted)
    }
}

impl Guard {
    /// Finds the credentials for this guard and checks them; `keys` are those of a `jwt` guard, as far as loaded.
    pub fn authenticate(&self, presented: &Presented<'_>, keys: Option<&KeySet>, now_ms: u64) -> Step {
        let wanted = match &self.kind {
            Kind::Jwt(_) | Kind::Tokens(_) => Wanted::Token,
            Kind::Basic(_) => Wanted::Login,
            Kind::Identity(_) if !presented.from_trusted_proxy => return Step::Done(Verdict::Absent),
            Kind::Identity(proxy) => {
                return Step::Done(match proxy.read(&self.name, presented.carrier.headers) {
                    Told::Somebody(session) => Verdict::Accepted(session),
                    Told::Nobody => Verdict::Absent,
                    Told::Unclear => Verdict::Refused(Refusal::Malformed),
                });
            }
            Kind::Certificates(certificates) => {
                let Some(certificate) = presented.certificate else { return Step::Done(Verdict::Absent) };
                // TLS has looked at its end once: a connection by HTTP/2 may ask for more long after that.
                return Step::Done(match certificates.find(&self.name, certificate) {
                    None => Verdict::Refused(Refusal::UnknownCertificate),
                    Some(session) if !session.counts(now_ms) => Verdict::Refused(Refusal::Expired),
                    Some(session) => Verdict::Accepted(session),
                });
            }
            Kind::Cookie => {
                let session = Session::of_bound(&self.name, presented.bound, now_ms);
                return Step::Done(session.map_or(Verdict::Absent, Verdict::Accepted));
            }
            Kind::Flow => return Step::Done(Verdict::Undecided),
        };
        match self.places.find(presented.carrier, wanted) {
            Ok(None) => Step::Done(Verdict::Absent),
            Ok(Some(credential)) => self.check(credential, keys, now_ms),
            Err(MalformedCredentials) => Step::Done(Verdict::Refused(Refusal::Malformed)),
        }
    }

    /// Checks credentials that were found, or that came later to renew a session.
    pub fn check(&self, credential: Credential, keys: Option<&KeySet>, now_ms: u64) -> Step {
        match (&self.kind, credential) {
            (Kind::Jwt(options), Credential::Token(token)) => self.check_jwt(options, &token, keys, now_ms),
            (Kind::Basic(users), Credential::Login(login)) => {
                let comparison = users.get().comparison(&self.name, login);
                if comparison.is_slow() {
                    return Step::Compare(comparison);
                }
                Step::Done(Verdict::of_login(comparison.run()))
            }
            (Kind::Tokens(tokens), Credential::Token(token)) => {
                let unknown = Verdict::Refused(Refusal::UnknownToken);
                Step::Done(tokens.find(&self.name, token.expose()).map_or(unknown, Verdict::Accepted))
            }
            _ => Step::Done(Verdict::Refused(Refusal::Malformed)),
        }
    }

    fn check_jwt(&self, options: &JwtOptions, token: &Secret, keys: Option<&KeySet>, now_ms: u64) -> Step {
        let Some(keys) = keys else { return Step::NeedsKeys { otherwise: Verdict::Undecided } };
        match options.check(&self.name, token.expose(), keys, now_ms) {
            Ok(session) => Step::Done(Verdict::Accepted(session)),
            Err(error @ TokenError::UnknownKey) => {
                Step::NeedsKeys { otherwise: Verdict::Refused(error.into()) }
            }
            Err(error) => Step::Done(Verdict::Refused(error.into())),
        }
    }
}
