//! Until when the connections of known people may stay open. Source: `spec/websocket.md` 7.5.

mod term;
#[cfg(test)]
mod tests;

use super::session::{Claims, Session, Vouching};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use term::{Grant, NEVER, Term};

/// The session of one connection with one guard, whose [times](Term) others may share. Shared between [`Sessions`] and the
/// connection.
#[derive(Debug)]
pub struct Stake {
    guard: Arc<str>,
    identity: Option<String>,
    gives_identity: bool,
    term: Arc<Term>,
    /// The end that the connection knows of.
    known_end_ms: AtomicU64,
    /// What the connection itself goes by. Others of the same identity prolong its [`Term`], and prove nothing about it: one
    /// that came by a stolen key is not better for what the rightful ones bring.
    proof: Mutex<Grant>,
}

impl Stake {
    fn new(session: &Session, proof: Grant, term: Arc<Term>) -> Arc<Self> {
        Arc::new(Self {
            guard: session.guard.clone(),
            identity: session.identity.clone(),
            gives_identity: session.gives_identity,
            known_end_ms: AtomicU64::new(term.expires_at_ms()),
            term,
            proof: Mutex::new(proof),
        })
    }

    /// The connection goes by `newer` from now on, unless that ends earlier than what it goes by.
    fn go_by(&self, newer: Grant) {
        let mut proof = self.proof();
        if newer.end_ms >= proof.end_ms {
            *proof = newer;
        }
    }

    fn proof(&self) -> MutexGuard<'_, Grant> {
        self.proof.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guard.
    pub fn guard(&self) -> &str {
        &self.guard
    }

    /// Who the client is, if it says that.
    pub fn name(&self) -> Option<&str> {
        self.identity.as_deref().filter(|_| self.gives_identity)
    }

    /// From when on the connection may not stay, in milliseconds since 1970.
    pub fn expires_at_ms(&self) -> Option<u64> {
        let end_ms = self.term.expires_at_ms().max(self.proof().end_ms);
        Some(end_ms).filter(|time| *time != NEVER)
    }

    /// When to ask for fresh credentials. Whoever has asked remembers the time it was for: a later one is another.
    pub fn challenge_at_ms(&self) -> Option<u64> {
        let challenge_ms = self.term.challenge_at_ms().max(self.proof().challenge_ms);
        Some(challenge_ms).filter(|time| *time != NEVER)
    }

    /// Roles and attributes of the credentials that the connection itself goes by. Where those have ended, and others of the
    /// identity prolong it: what both have, since nobody gets more by what others may do.
    pub fn claims(&self, now_ms: u64) -> Arc<Claims> {
        let (own, end_ms) = {
            let proof = self.proof();
            (proof.claims.clone(), proof.end_ms)
        };
        match self.term.claims(now_ms).filter(|_| end_ms <= now_ms) {
            Some(others) if others != own => Arc::new(own.common(&others)),
            _ => own,
        }
    }

    /// When the credentials end that the connection itself goes by, if others prolong it beyond that.
    pub fn outlives_ms(&self) -> Option<u64> {
        let end_ms = self.proof().end_ms;
        Some(end_ms).filter(|end_ms| *end_ms < self.term.expires_at_ms())
    }

    /// Whether `is_it` is true of one of the keys that vouch for this connection as of now: those of the credentials that
    /// have opened it, or that have [renewed](Sessions::renew) it since.
    pub fn any_key(&self, is_it: impl FnMut(&Vouching) -> bool) -> bool {
        self.proof().keys.iter().any(is_it)
    }

    /// What others have prolonged by credentials of keys that are lost counts no more: the session ends when what this
    /// connection has brought itself does, or what has come by other keys.
    pub fn forget(&self, is_lost: impl Fn(&Vouching) -> bool) {
        self.term.forget(is_lost);
        self.known_end_ms.fetch_min(self.term.expires_at_ms(), Ordering::Relaxed);
    }

    /// Whether somebody else has extended it, and the connection does not know yet.
    pub fn is_extended(&self) -> bool {
        self.known_end_ms.load(Ordering::Relaxed) < self.term.expires_at_ms()
    }

    /// The same, and it knows from now on.
    pub fn take_extended(&self) -> bool {
        let end = self.term.expires_at_ms();
        self.known_end_ms.fetch_max(end, Ordering::Relaxed) < end
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

impl RenewalError {
    /// A short word for metrics and events.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoSession => "no_session",
            Self::OtherIdentity => "other_identity",
            Self::MissingRole => "missing_role",
        }
    }
}

/// The sessions of all open connections of a server: who holds which, by guard and identity.
///
/// Its size follows the open connections; whoever opens one has to call [`leave`](Self::leave) at its end. What extends
/// sessions gives the connections of which that is true, so that they can be told; the times themselves those that ask for
/// the same roles share.
#[derive(Debug, Default)]
pub struct Sessions {
    of_connection: HashMap<u64, Vec<Holding>>,
    sharing: HashMap<(Arc<str>, String), Vec<Group>>,
}

/// One session of one connection.
#[derive(Debug)]
struct Holding {
    /// Roles that the route asks for.
    roles: Vec<String>,
    stake: Arc<Stake>,
    shares: bool,
}

/// What fresh credentials have brought about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Connections with sessions that they are for, extended or not.
    pub connections: Vec<u64>,
    /// Those whose session ends later now.
    pub extended: Vec<u64>,
    /// Connections of the same identity whose routes ask for roles that are missing.
    pub lacking: usize,
}

/// Connections of one identity whose routes ask for the same roles.
#[derive(Debug)]
struct Group {
    roles: Vec<String>,
    term: Arc<Term>,
    connections: HashSet<u64>,
}

impl Sessions {
    /// A connection has opened with `session`, on a route that asks for `roles`. If it shares its session
    /// (`share_session`), those of the same identity are extended by it, as far as it holds the roles that their routes
    /// ask for; and it stays as long as those with the same roles.
    ///
    /// Gives its part in that, and the others that were extended.
    pub fn open(
        &mut self,
        conn: u64,
        session: &Session,
        roles: &[String],
        shares: bool,
    ) -> (Arc<Stake>, Vec<u64>) {
        let shares = shares && session.identity.is_some();
        let grant = Grant::of(session);
        let (term, extended) = match shares {
            true => self.join(conn, session, &grant, roles),
            false => (Arc::new(Term::new(grant.clone())), Vec::new()),
        };
        let stake = Stake::new(session, grant, term);
        let holding = Holding { roles: roles.to_vec(), stake: stake.clone(), shares };
        self.of_connection.entry(conn).or_default().push(holding);
        (stake, extended)
    }

    /// Fresh credentials have come on connection `conn` itself, which knows of that, and stand for `session`. Extends its
    /// session, and those that it shares it with; gives the other connections that were extended. Their keys vouch for this
    /// connection alone.
    ///
    /// # Errors
    /// If they are not for the session that it has.
    pub fn renew(&mut self, conn: u64, session: &Session) -> Result<Vec<u64>, RenewalError> {
        let held = self.of_connection.get(&conn).map(Vec::as_slice).unwrap_or_default();
        let holding = held.iter().find(|holding| holding.stake.guard == session.guard);
        let Holding { roles, stake, shares } = holding.ok_or(RenewalError::NoSession)?;
        if stake.identity != session.identity {
            return Err(RenewalError::OtherIdentity);
        }
        if !session.holds(roles) {
            return Err(RenewalError::MissingRole);
        }
        let (stake, grant) = (stake.clone(), Grant::of(session));
        let mut extended = match shares {
            true => self.extend(session, &grant).extended,
            false => {
                stake.term.extend(grant.clone());
                Vec::new()
            }
        };
        stake.go_by(grant);
        stake.take_extended();
        extended.retain(|other| *other != conn);
        Ok(extended)
    }

    /// When the session of `guard` that this connection holds ends, if it does, in milliseconds since 1970.
    #[must_use]
    pub fn expires_at_ms(&self, conn: u64, guard: &str) -> Option<u64> {
        let held = self.of_connection.get(&conn)?;
        held.iter().find(|holding| *holding.stake.guard == *guard)?.stake.expires_at_ms()
    }

    /// What the sessions of a connection say, in the order in which it has [opened](Self::open) with them.
    #[must_use]
    pub fn claims(&self, conn: u64, now_ms: u64) -> Vec<Arc<Claims>> {
        let held = self.of_connection.get(&conn).into_iter().flatten();
        held.map(|holding| holding.stake.claims(now_ms)).collect()
    }

    /// Fresh credentials have come for all connections of an identity (by an HTTP request). Extends the sessions that they
    /// share, if they end earlier and the credentials hold the roles that their routes ask for. Their keys vouch for those
    /// connections from now on, but for the ones that go by a key that `is_lost`: it is too late for them.
    pub fn renew_shared(&mut self, session: &Session, is_lost: impl Fn(&Vouching) -> bool) -> Renewed {
        let grant = Grant::of(session);
        let renewed = self.extend(session, &grant);
        let groups = session.identity.clone().and_then(|who| self.sharing.get(&(session.guard.clone(), who)));
        for group in groups.into_iter().flatten().filter(|group| session.holds(&group.roles)) {
            let held = group.connections.iter().filter_map(|conn| self.of_connection.get(conn)).flatten();
            let of_group = held.filter(|holding| Arc::ptr_eq(&holding.stake.term, &group.term));
            for Holding { stake, .. } in of_group.filter(|holding| !holding.stake.any_key(&is_lost)) {
                stake.go_by(grant.clone());
            }
        }
        renewed
    }

    /// Extends the sessions that connections of that identity share, as far as times go.
    fn extend(&self, session: &Session, grant: &Grant) -> Renewed {
        let mut renewed = Renewed::default();
        let Some(identity) = session.identity.clone() else { return renewed };
        let groups = self.sharing.get(&(session.guard.clone(), identity));
        for group in groups.into_iter().flatten() {
            if !session.holds(&group.roles) {
                renewed.lacking += group.connections.len();
                continue;
            }
            renewed.connections.extend(&group.connections);
            if group.term.extend(grant.clone()) {
                renewed.extended.extend(&group.connections);
            }
        }
        renewed
    }

    /// The connection has ended.
    pub fn leave(&mut self, conn: u64) {
        for holding in self.of_connection.remove(&conn).unwrap_or_default() {
            let Holding { stake, shares, .. } = holding;
            let Some(identity) = stake.identity.clone().filter(|_| shares) else { continue };
            let key = (stake.guard.clone(), identity);
            let Some(groups) = self.sharing.get_mut(&key) else { continue };
            for group in groups.iter_mut().filter(|group| Arc::ptr_eq(&group.term, &stake.term)) {
                group.connections.remove(&conn);
            }
            groups.retain(|group| !group.connections.is_empty());
            if groups.is_empty() {
                self.sharing.remove(&key);
            }
        }
    }

    /// The term of the group with these roles, as one of its connections; and those who were extended by that.
    fn join(
        &mut self,
        conn: u64,
        session: &Session,
        grant: &Grant,
        roles: &[String],
    ) -> (Arc<Term>, Vec<u64>) {
        let extended = self.extend(session, grant).extended;
        let identity = session.identity.clone().unwrap_or_default();
        let groups = self.sharing.entry((session.guard.clone(), identity)).or_default();
        if let Some(group) = groups.iter_mut().find(|group| group.roles == roles) {
            group.connections.insert(conn);
            return (group.term.clone(), extended);
        }
        let term = Arc::new(Term::new(grant.clone()));
        let connections = HashSet::from([conn]);
        groups.push(Group { roles: roles.to_vec(), term: term.clone(), connections });
        (term, extended)
    }
}
