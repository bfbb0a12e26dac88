//! Fresh credentials in messages of an open connection (`spec/websocket.md` 7.5).

use super::{Guards, visit::reauthenticated};
use crate::ws::metrics::Watch;
use futures_util::future::BoxFuture;
use std::{collections::VecDeque, sync::Arc};
use tremor_connector::{
    config::{ConfigError, Reader},
    duplex::Interceptor,
};
use tremor_value::{Record, Value};
use tremor_ws::guard::{Credential, Kind, Refusal, RenewalError, Secret, Session, TokenError, Verdict};

/// `renew`: where in a message a token may be, from the outside in.
pub(super) struct Place(Vec<String>);

impl Place {
    pub(super) fn read(mut config: Reader<'_>) -> Result<Self, ConfigError> {
        let Some(entry) = config.entry("message") else {
            return Err(config.missing("message", "the path of a token in messages, such as `auth.token`"));
        };
        let path: &str = entry.read()?;
        if path.split('.').any(str::is_empty) {
            return Err(
                entry.invalid(format!("`{path}` is no path: names of members with dots between them"))
            );
        }
        config.finish()?;
        Ok(Self(path.split('.').map(str::to_owned).collect()))
    }

    fn find<'v>(&self, message: &'v Value) -> Option<&'v str> {
        self.0.iter().try_fold(message, |value, name| value.get(name.as_str()))?.as_str()
    }

    /// A message that holds the token of this one and nothing else, if it is JSON with a token.
    fn alone(&self, message: &[u8]) -> Option<Value> {
        let message = Value::from_json_str(str::from_utf8(message).ok()?).ok()?;
        let token = Value::from(self.find(&message)?);
        let hold = |inner, name: &String| Record::from_iter([(name.as_str(), inner)]).into();
        Some(self.0.iter().rev().fold(token, hold))
    }
}

/// Takes the messages of one connection that hold a token, and renews its session with it.
struct Renewals {
    guards: Arc<Guards>,
    conn: u64,
    /// Those of the route that know tokens.
    asked: Vec<usize>,
    /// Those that came and were not checked yet, in their order.
    tokens: VecDeque<Secret>,
    /// More came at once than are checked.
    are_too_many: bool,
    failures: Option<Failures>,
}

/// Where credentials that are no good are counted, and whether the connection has TLS.
pub(in crate::ws) type Failures = (Arc<Watch>, bool);

/// Tokens of one connection that are checked at once, the last ones: each takes time, and one renews a session as well as many.
const MOST_TOKENS: usize = 16;

impl Guards {
    /// Who takes the messages with tokens of a connection that was let in with `sessions`, if any may come.
    pub(in crate::ws) fn renewals(
        self: &Arc<Self>,
        conn: u64,
        sessions: &[&Session],
        failures: Option<Failures>,
    ) -> Option<Box<dyn Interceptor>> {
        self.terms.renew.as_ref()?;
        let is_asked = |guard: &tremor_ws::guard::Guard| {
            matches!(guard.kind, Kind::Jwt(_)) && sessions.iter().any(|session| session.guard == guard.name)
        };
        let asked = self.guards.iter().enumerate().filter(|(_, guard)| is_asked(guard));
        let asked: Vec<usize> = asked.map(|(number, _)| number).collect();
        (!asked.is_empty()).then(|| -> Box<dyn Interceptor> {
            Box::new(Renewals {
                guards: self.clone(),
                conn,
                asked,
                tokens: VecDeque::new(),
                are_too_many: false,
                failures,
            })
        })
    }
}

impl Guards {
    /// The token of a message that renews a session, alone in the place where it is looked for: what schemas ask of messages
    /// is not asked of that, and nothing else of the message counts.
    pub(in crate::ws) fn renewal(&self, message: &[u8]) -> Option<Value> {
        self.terms.renew.as_ref()?.alone(message)
    }
}

impl Interceptor for Renewals {
    fn takes(&mut self, message: &Value) -> bool {
        let Some(token) = self.guards.terms.renew.as_ref().and_then(|place| place.find(message)) else {
            return false;
        };
        if self.tokens.len() == MOST_TOKENS {
            self.tokens.pop_front();
            self.are_too_many = true;
        }
        self.tokens.push_back(Secret::new(token));
        true
    }

    fn conclude(&mut self) -> BoxFuture<'_, Option<Value>> {
        Box::pin(async move {
            let refused = |why: &'static str| {
                Record::from_iter([("kind", "reauth_refused".into()), ("reason", Value::from(why))])
            };
            let mut told = if std::mem::take(&mut self.are_too_many) {
                refused("too_many")
            } else {
                let token = self.tokens.pop_front()?;
                match self.renew(token).await {
                    Ok(session) => {
                        // That of the credentials, unless they end before those that were there.
                        let end = self.guards.terms.sessions().expires_at_ms(self.conn, &session.guard);
                        reauthenticated((&session.guard, session.name(), end))
                    }
                    Err(why) => refused(why),
                }
            };
            told.insert("conn", self.conn);
            Some(told.into())
        })
    }
}

impl Renewals {
    /// # Errors
    /// A word for why the session stays as it is: of several guards that of the one where the token came nearest to renewing it.
    async fn renew(&self, token: Secret) -> Result<Session, &'static str> {
        let mut nearest = Reason::Unknown(None);
        for number in &self.asked {
            let credential = Credential::Token(token.clone());
            let verdict = self.guards.check(*number, &credential).await;
            if let (Verdict::Refused(refusal), Some((watch, tls))) = (&verdict, &self.failures) {
                watch.guard_failed(*tls, self.guards.name(*number).unwrap_or_default(), refusal.label());
            }
            let reason = match verdict {
                Verdict::Accepted(session) => {
                    let renewed = self.guards.terms.sessions().renew(self.conn, &session);
                    match renewed {
                        Ok(mut others) => {
                            others.push(self.conn);
                            self.guards.terms.renewed(&others);
                            return Ok(session);
                        }
                        Err(RenewalError::NoSession) => continue,
                        Err(RenewalError::OtherIdentity) => Reason::OtherIdentity,
                        Err(RenewalError::MissingRole) => Reason::MissingRole,
                    }
                }
                Verdict::Refused(Refusal::Token(error)) if error.is_signed() => Reason::Signed(error),
                Verdict::Refused(Refusal::Token(error)) => Reason::Unknown(Some(error)),
                Verdict::Undecided => Reason::Undecided,
                // What no guard that goes by tokens says of one.
                Verdict::Refused(_) | Verdict::Absent => continue,
            };
            nearest = nearest.max(reason);
        }
        Err(nearest.label())
    }
}

/// Why one guard does not take a token for its session; the later ones say more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// None of its keys has signed it; or there is no session.
    Unknown(Option<TokenError>),
    /// There are no keys to say.
    Undecided,
    /// It is the issuer's, and no good.
    Signed(TokenError),
    /// It is good, for somebody else.
    OtherIdentity,
    /// It is good, and not for this route.
    MissingRole,
}

impl Reason {
    fn label(self) -> &'static str {
        match self {
            Self::Unknown(None) => RenewalError::NoSession.label(),
            Self::Unknown(Some(error)) | Self::Signed(error) => error.label(),
            Self::Undecided => "guard_unavailable",
            Self::OtherIdentity => RenewalError::OtherIdentity.label(),
            Self::MissingRole => RenewalError::MissingRole.label(),
        }
    }
}
