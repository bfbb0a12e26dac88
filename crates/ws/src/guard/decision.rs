//! Whether a route may be used, and the answer if not. Source: `spec/websocket.md` 7.2.

use super::{Guard, Kind, Refusal, RenewalError, Session, Verdict};
use crate::handshake::Reject;

/// What a route asks of one guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The guard, by its place among all.
    pub guard: usize,
    /// Roles that the session has to hold; empty: any session will do.
    pub roles: Vec<String>,
}

/// Why a route may not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Guards do not know who it is.
    Unknown {
        /// All guards of the route, with what was wrong with the credentials, or `None` if nothing was.
        guards: Vec<(usize, Option<Refusal>)>,
    },
    /// Somebody known, who lacks roles.
    Lacking {
        /// The guard.
        guard: usize,
        /// All roles that the route asks of it.
        roles: Vec<String>,
    },
    /// Guards know different people: whoever mixes their credentials is none of them.
    Disagreeing {
        /// The first guard that names somebody, and the first one that names somebody else.
        guards: (usize, usize),
    },
    /// Guards cannot decide now.
    Undecided,
}

/// Asks all guards of a route; `verdict_of` gives what a guard thinks. Gives the sessions, in the order of `demands`.
///
/// What is certain goes before what may change: somebody unknown to one guard is refused even if another one cannot
/// decide now. A session that names nobody goes with any other.
///
/// # Errors
/// If one of the guards refuses.
pub fn decide<'v>(
    demands: &[Demand],
    verdict_of: impl Fn(usize) -> &'v Verdict,
) -> Result<Vec<&'v Session>, Denial> {
    let refusal_of = |demand: &Demand| match verdict_of(demand.guard) {
        Verdict::Refused(refusal) => Some(*refusal),
        Verdict::Accepted(_) | Verdict::Absent | Verdict::Undecided => None,
    };
    let is_unknown =
        |demand: &Demand| matches!(verdict_of(demand.guard), Verdict::Absent | Verdict::Refused(_));
    if demands.iter().any(is_unknown) {
        let guards = demands.iter().map(|demand| (demand.guard, refusal_of(demand))).collect();
        return Err(Denial::Unknown { guards });
    }
    if let Some(guards) = disagreeing(demands, &verdict_of) {
        return Err(Denial::Disagreeing { guards });
    }
    let mut sessions = Vec::with_capacity(demands.len());
    for demand in demands {
        if let Verdict::Accepted(session) = verdict_of(demand.guard) {
            if !session.holds(&demand.roles) {
                return Err(Denial::Lacking { guard: demand.guard, roles: demand.roles.clone() });
            }
            sessions.push(session);
        }
    }
    if sessions.len() == demands.len() { Ok(sessions) } else { Err(Denial::Undecided) }
}

/// Two guards that know different people.
fn disagreeing<'v>(demands: &[Demand], verdict_of: &impl Fn(usize) -> &'v Verdict) -> Option<(usize, usize)> {
    let mut named = demands.iter().filter_map(|demand| match verdict_of(demand.guard) {
        Verdict::Accepted(session) => Some((demand.guard, session.name()?)),
        Verdict::Absent | Verdict::Refused(_) | Verdict::Undecided => None,
    });
    let (first, identity) = named.next()?;
    named.find(|(_, other)| *other != identity).map(|(other, _)| (first, other))
}

/// Seconds after which it may be worth to try again where keys are missing.
const RETRY_AFTER_S: u64 = 5;

/// The answer to credentials that are good, and renew no session for this reason. `known_to`: the guards that know them.
/// How to show others is said, and not which roles those would need: other connections have them, and not who asks.
pub fn not_renewed(why: RenewalError, known_to: &[usize], guards: &[Guard]) -> Reject {
    let reason = match why {
        RenewalError::MissingRole => "a role is missing that the open connections need",
        RenewalError::NoSession | RenewalError::OtherIdentity => {
            "no open connection has a session that these credentials extend"
        }
    };
    let known_to = known_to.iter().filter_map(|guard| guards.get(*guard));
    let challenges = known_to.map(|guard| guard.challenge(None));
    challenges.fold(Reject::new(401, why.label(), reason), |reject, challenge| {
        reject.with_header("WWW-Authenticate", challenge)
    })
}

impl Denial {
    /// The answer. `guards` are all guards; `invalid_status` is for credentials that are no good, 401 as a rule.
    pub fn answer(&self, guards: &[Guard], invalid_status: u16) -> Reject {
        match self {
            Self::Unknown { guards: asked } => {
                let refusal = asked.iter().find_map(|(_, refusal)| *refusal);
                let mut reject = match refusal {
                    None => Reject::new(401, "no_credentials", "credentials are needed"),
                    Some(refusal) => Reject::new(invalid_status, refusal.label(), refusal.to_string()),
                };
                for (guard, refusal) in asked {
                    if let Some(guard) = guards.get(*guard) {
                        reject = reject.with_header("WWW-Authenticate", guard.challenge(*refusal));
                    }
                }
                reject
            }
            Self::Lacking { guard, roles } => {
                let reject = Reject::new(403, RenewalError::MissingRole.label(), "a role is missing");
                match guards.get(*guard).and_then(|guard| guard.scope_challenge(roles)) {
                    Some(challenge) => reject.with_header("WWW-Authenticate", challenge),
                    None => reject,
                }
            }
            // All of them are good, so there is nothing to ask for.
            Self::Disagreeing { .. } => Reject::new(
                403,
                RenewalError::OtherIdentity.label(),
                "the credentials are of different identities",
            ),
            Self::Undecided => {
                Reject::new(503, "guard_unavailable", "credentials cannot be checked at the moment")
                    .with_header("Retry-After", RETRY_AFTER_S.to_string())
            }
        }
    }
}

/// What a 401 names where the flow decides and does not say how credentials are to be shown.
pub const FLOW_SCHEME: &str = "Flow";

impl Guard {
    /// What tells a client how to show credentials: each 401 has to say so (RFC 9110, section 15.5.2). Where no scheme is
    /// registered, it is named after what is looked at; clients pass over schemes that they do not know.
    fn challenge(&self, refusal: Option<Refusal>) -> String {
        let realm = quoted(&self.realm);
        match (&self.kind, refusal) {
            (Kind::Basic(_), _) => format!("Basic realm={realm}, charset=\"UTF-8\""),
            (Kind::Jwt(_) | Kind::Tokens(_), None) => format!("Bearer realm={realm}"),
            (Kind::Jwt(_) | Kind::Tokens(_), Some(refusal)) => {
                let why = quoted(&refusal.to_string());
                format!("Bearer realm={realm}, error=\"invalid_token\", error_description={why}")
            }
            (Kind::Cookie, _) => format!("Cookie realm={realm}"),
            (Kind::Certificates(_), _) => format!("ClientCertificate realm={realm}"),
            (Kind::Identity(_), _) => format!("Identity realm={realm}"),
            (Kind::Flow, _) => format!("{FLOW_SCHEME} realm={realm}"),
        }
    }

    fn scope_challenge(&self, roles: &[String]) -> Option<String> {
        if !matches!(self.kind, Kind::Jwt(_) | Kind::Tokens(_)) {
            return None;
        }
        // RFC 6750, section 3: such characters cannot stand in a scope.
        let can_be_said = |role: &&String| {
            role.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        };
        let scope: Vec<&str> = roles.iter().filter(can_be_said).map(String::as_str).collect();
        let realm = quoted(&self.realm);
        Some(format!("Bearer realm={realm}, error=\"insufficient_scope\", scope=\"{}\"", scope.join(" ")))
    }
}

/// A quoted string of HTTP (RFC 9110, section 5.6.4), without control characters.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}
