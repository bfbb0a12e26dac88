//! Until when the connections of known people may stay open. Source: `spec/websocket.md` 7.5.

use super::session::Session;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Until when one guard lets one connection stay, and by which key. Shared between [`Sessions`] and the connection.
///
/// Both times only ever move to later ones. So a connection need not be told of a renewal: it looks here when its time
/// has come, and waits on if there is more of it now.
#[derive(Debug)]
pub struct Term {
    expires_at_ms: AtomicU64,
    challenge_at_ms: AtomicU64,
    /// The key that vouched for the later of the two ends.
    kid: Mutex<Option<String>>,
}

/// In place of a time that never comes.
const NEVER: u64 = u64::MAX;

impl Term {
    fn new(session: &Session) -> Self {
        Self {
            expires_at_ms: AtomicU64::new(session.expires_at_ms.unwrap_or(NEVER)),
            challenge_at_ms: AtomicU64::new(session.challenge_at_ms.unwrap_or(NEVER)),
            kid: Mutex::new(session.kid.clone()),
        }
    }

    /// From when on the connection may not stay, in milliseconds since 1970.
    pub fn expires_at_ms(&self) -> Option<u64> {
        Some(self.expires_at_ms.load(Ordering::Relaxed)).filter(|time| *time != NEVER)
    }

    /// When to ask for fresh credentials. Whoever has asked remembers the time it was for: a later one is another.
    pub fn challenge_at_ms(&self) -> Option<u64> {
        Some(self.challenge_at_ms.load(Ordering::Relaxed)).filter(|time| *time != NEVER)
    }

    /// The name of the key that vouched for the session, as of now.
    pub fn kid(&self) -> Option<String> {
        self.kid.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over the times of `session` if it ends later.
    fn extend(&self, session: &Session) -> bool {
        let expires = session.expires_at_ms.unwrap_or(NEVER);
        if self.expires_at_ms.fetch_max(expires, Ordering::Relaxed) >= expires {
            return false;
        }
        *self.kid.lock().unwrap_or_else(PoisonError::into_inner) = session.kid.clone();
        self.challenge_at_ms.fetch_max(session.challenge_at_ms.unwrap_or(NEVER), Ordering::Relaxed);
        true
    }
}

/// Why credentials do not renew a session. What was granted before stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenewalError {
    /// The connection has no session of this guard.
    #[error("the connection has no such session")]
    NoSession,
    /// They are somebody else's.
    #[error("the credentials are of somebody else")]
    OtherIdentity,
    /// A role that the route of the connection asks for is missing.
    #[error("a role that the route asks for is missing")]
    MissingRole,
}

/// The sessions of all open connections of a server: who holds which, by guard and identity.
///
/// Its size follows the open connections; whoever opens one has to call [`leave`](Self::leave) at its end. No call takes
/// longer because an identity has many connections: those that ask for the same roles share one [`Term`].
#[derive(Debug, Default)]
pub struct Sessions {
    of_connection: HashMap<u64, Vec<Holding>>,
    sharing: HashMap<(Arc<str>, String), Vec<Group>>,
}

/// One session of one connection.
#[derive(Debug)]
struct Holding {
    guard: Arc<str>,
    identity: Option<String>,
    /// Roles that the route asks for.
    roles: Vec<String>,
    term: Arc<Term>,
    shares: bool,
}

/// Connections of one identity whose routes ask for the same roles.
#[derive(Debug)]
struct Group {
    roles: Vec<String>,
    term: Arc<Term>,
    connections: usize,
}

impl Sessions {
    /// A connection has opened with `session`, on a route that asks for `roles`. If it shares its session
    /// (`share_session`), those of the same identity are extended by it, as far as it holds the roles that their routes
    /// ask for; and it stays as long as those with the same roles.
    pub fn open(&mut self, conn: u64, session: &Session, roles: &[String], shares: bool) -> Arc<Term> {
        let shares = shares && session.identity.is_some();
        let term = if shares { self.join(session, roles) } else { Arc::new(Term::new(session)) };
        self.of_connection.entry(conn).or_default().push(Holding {
            guard: session.guard.clone(),
            identity: session.identity.clone(),
            roles: roles.to_vec(),
            term: term.clone(),
            shares,
        });
        term
    }

    /// Fresh credentials have come on connection `conn` itself, and stand for `session`. Extends its session, and those
    /// that it shares it with.
    ///
    /// # Errors
    /// If they are not for the session that it has.
    pub fn renew(&mut self, conn: u64, session: &Session) -> Result<(), RenewalError> {
        let held = self.of_connection.get(&conn).map(Vec::as_slice).unwrap_or_default();
        let holding = held.iter().find(|holding| holding.guard == session.guard);
        let holding = holding.ok_or(RenewalError::NoSession)?;
        if holding.identity != session.identity {
            return Err(RenewalError::OtherIdentity);
        }
        if !session.holds(&holding.roles) {
            return Err(RenewalError::MissingRole);
        }
        holding.term.extend(session);
        if holding.shares {
            self.renew_shared(session);
        }
        Ok(())
    }

    /// Fresh credentials have come from elsewhere (an HTTP request). Extends the sessions that connections of that
    /// identity share, if they end earlier and the credentials hold the roles that their routes ask for. Gives the
    /// number of these connections, extended or not.
    pub fn renew_shared(&mut self, session: &Session) -> usize {
        let Some(identity) = session.identity.clone() else { return 0 };
        let groups = self.sharing.get(&(session.guard.clone(), identity));
        let theirs = groups.into_iter().flatten().filter(|group| session.holds(&group.roles));
        theirs
            .map(|group| {
                group.term.extend(session);
                group.connections
            })
            .sum()
    }

    /// The connection has ended.
    pub fn leave(&mut self, conn: u64) {
        for holding in self.of_connection.remove(&conn).unwrap_or_default() {
            let Some(identity) = holding.identity.filter(|_| holding.shares) else { continue };
            let key = (holding.guard, identity);
            let Some(groups) = self.sharing.get_mut(&key) else { continue };
            for group in groups.iter_mut().filter(|group| Arc::ptr_eq(&group.term, &holding.term)) {
                group.connections -= 1;
            }
            groups.retain(|group| group.connections > 0);
            if groups.is_empty() {
                self.sharing.remove(&key);
            }
        }
    }

    /// The term of the group with these roles, as one of its connections.
    fn join(&mut self, session: &Session, roles: &[String]) -> Arc<Term> {
        self.renew_shared(session);
        let identity = session.identity.clone().unwrap_or_default();
        let groups = self.sharing.entry((session.guard.clone(), identity)).or_default();
        if let Some(group) = groups.iter_mut().find(|group| group.roles == roles) {
            group.connections += 1;
            return group.term.clone();
        }
        let term = Arc::new(Term::new(session));
        groups.push(Group { roles: roles.to_vec(), term: term.clone(), connections: 1 });
        term
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(identity: &str, roles: &[&str], expires_s: u64) -> Session {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let session = Session::unlimited("staff".into(), Some(identity.to_owned()), roles);
        let expires = expires_s * 1000;
        Session { expires_at_ms: Some(expires), challenge_at_ms: Some(expires - 10), ..session }
    }

    fn role(name: &str) -> Vec<String> {
        vec![name.to_owned()]
    }

    #[test]
    fn a_fresh_handshake_extends_the_others() {
        let mut sessions = Sessions::default();
        let first = sessions.open(1, &session("ann", &["a"], 10), &role("a"), true);
        let apart = sessions.open(2, &session("ann", &["a"], 10), &role("a"), false);
        let other = sessions.open(3, &session("bob", &["a"], 10), &role("a"), true);
        let more = sessions.open(4, &session("ann", &["a", "b"], 11), &role("b"), true);
        assert_eq!(first.expires_at_ms(), Some(11_000));
        let plain = sessions.open(5, &session("ann", &["a"], 20), &[], true);
        assert_eq!((first.expires_at_ms(), first.challenge_at_ms()), (Some(20_000), Some(19_990)));
        assert_eq!(plain.expires_at_ms(), Some(20_000));
        assert_eq!(more.expires_at_ms(), Some(11_000), "the newer one lacks its role");
        assert_eq!((apart.expires_at_ms(), other.expires_at_ms()), (Some(10_000), Some(10_000)));
        let earlier = sessions.open(6, &session("ann", &["a"], 15), &role("a"), true);
        assert_eq!((first.expires_at_ms(), earlier.expires_at_ms()), (Some(20_000), Some(20_000)));
    }

    #[test]
    fn a_connection_renews_only_its_own_session() {
        let mut sessions = Sessions::default();
        let term = sessions.open(1, &session("ann", &["a"], 10), &role("a"), true);
        let other_guard = Session { guard: "guests".into(), ..session("ann", &["a"], 20) };
        assert_eq!(sessions.renew(1, &other_guard), Err(RenewalError::NoSession));
        assert_eq!(sessions.renew(2, &session("ann", &["a"], 20)), Err(RenewalError::NoSession));
        assert_eq!(sessions.renew(1, &session("bob", &["a"], 20)), Err(RenewalError::OtherIdentity));
        assert_eq!(sessions.renew(1, &session("ann", &["b"], 20)), Err(RenewalError::MissingRole));
        assert_eq!(term.expires_at_ms(), Some(10_000));
        assert_eq!(sessions.renew(1, &session("ann", &["a"], 20)), Ok(()));
        assert_eq!(term.expires_at_ms(), Some(20_000));
        let of_key = |kid: &str, end| Session { kid: Some(kid.to_owned()), ..session("ann", &["a"], end) };
        assert_eq!((sessions.renew(1, &of_key("new", 21)), term.kid().as_deref()), (Ok(()), Some("new")));
        assert_eq!((sessions.renew(1, &of_key("old", 15)), term.kid().as_deref()), (Ok(()), Some("new")));
        let forever = Session { expires_at_ms: None, challenge_at_ms: None, ..session("ann", &["a"], 1) };
        assert_eq!(sessions.renew(1, &forever), Ok(()));
        assert_eq!((term.expires_at_ms(), term.challenge_at_ms()), (None, None));
    }

    #[test]
    fn a_request_renews_what_is_open() {
        let mut sessions = Sessions::default();
        let nobody = Session { identity: None, ..session("", &[], 10) };
        let nameless = sessions.open(1, &nobody, &[], true);
        sessions.open(2, &session("ann", &["a"], 10), &role("a"), true);
        sessions.open(3, &session("ann", &["a"], 10), &role("a"), true);
        let kept_apart = sessions.open(4, &session("ann", &["a"], 10), &role("a"), false);
        assert_eq!(sessions.renew_shared(&session("ann", &["a"], 20)), 2);
        assert_eq!(sessions.renew_shared(&session("ann", &["b"], 30)), 0);
        assert_eq!(sessions.renew_shared(&session("bob", &["a"], 20)), 0);
        assert_eq!(sessions.renew_shared(&Session { identity: None, ..session("", &[], 20) }), 0);
        assert_eq!(nameless.expires_at_ms(), Some(10_000));
        assert_eq!(kept_apart.expires_at_ms(), Some(10_000));
    }

    #[test]
    fn nothing_stays_behind() {
        let mut sessions = Sessions::default();
        for conn in 0..10 {
            sessions.open(conn, &session("ann", &["a"], 10), &role("a"), conn % 2 == 0);
            sessions.open(conn, &Session { guard: "b".into(), ..session("ann", &[], 10) }, &[], true);
        }
        for conn in 0..10 {
            assert!(!sessions.sharing.is_empty());
            sessions.leave(conn);
            sessions.leave(conn);
        }
        assert!(sessions.sharing.is_empty() && sessions.of_connection.is_empty());
        assert_eq!(sessions.renew_shared(&session("ann", &["a"], 20)), 0);
    }
}
