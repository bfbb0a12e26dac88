//! Until when the connections of known people may stay open. Source: `spec/websocket.md` 7.5.

use super::session::{Session, Vouching};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Until when one guard lets connections of one identity stay. By which keys is a matter of each [`Stake`].
///
/// Both times move to later ones, so a connection need not be told of a renewal: it looks here when its time has come, and
/// waits on if there is more of it now. They move back only where a key is [forgotten](Self::forget).
#[derive(Debug)]
struct Term {
    /// The last times of `grants`.
    expires_at_ms: AtomicU64,
    challenge_at_ms: AtomicU64,
    /// What has prolonged it: of all that the same keys vouch for that which ends last.
    grants: Mutex<Vec<Grant>>,
}

/// What credentials are good for.
#[derive(Debug)]
struct Grant {
    end_ms: u64,
    challenge_ms: u64,
    /// The keys that vouch for it.
    keys: Vec<Vouching>,
}

impl Grant {
    fn of(session: &Session) -> Self {
        Self {
            end_ms: session.expires_at_ms.unwrap_or(NEVER),
            challenge_ms: session.challenge_at_ms.unwrap_or(NEVER),
            keys: session.keys.clone(),
        }
    }
}

/// Of how many keys a term remembers what they have prolonged. Beyond that it forgets what ends first, as if that had never
/// come; each connection knows of its own all the same.
const MOST_GRANTS: usize = 8;

/// In place of a time that never comes.
const NEVER: u64 = u64::MAX;

impl Term {
    fn new(session: &Session) -> Self {
        Self {
            expires_at_ms: AtomicU64::new(session.expires_at_ms.unwrap_or(NEVER)),
            challenge_at_ms: AtomicU64::new(session.challenge_at_ms.unwrap_or(NEVER)),
            grants: Mutex::new(vec![Grant::of(session)]),
        }
    }

    /// Takes over the times of `session` if it ends later, and remembers it in case that what ends later still is forgotten.
    fn extend(&self, session: &Session) -> bool {
        let newer = Grant::of(session);
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        match grants.iter_mut().find(|grant| grant.keys == newer.keys) {
            Some(grant) if grant.end_ms >= newer.end_ms => {}
            Some(grant) => *grant = newer,
            None => grants.push(newer),
        }
        if grants.len() > MOST_GRANTS
            && let Some((first, _)) = grants.iter().enumerate().min_by_key(|(_, grant)| grant.end_ms)
        {
            grants.swap_remove(first);
        }
        let before = self.expires_at_ms.load(Ordering::Relaxed);
        self.go_by(&grants) > before
    }

    /// What keys have prolonged that are lost counts no more.
    fn forget(&self, is_lost: impl Fn(&Vouching) -> bool) {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let all = grants.len();
        grants.retain(|grant| !grant.keys.iter().any(&is_lost));
        if grants.len() < all {
            self.go_by(&grants);
        }
    }

    /// Takes over the last times; gives when it ends now.
    fn go_by(&self, grants: &[Grant]) -> u64 {
        let last = |time: fn(&Grant) -> u64| grants.iter().map(time).max().unwrap_or(0);
        let expires = last(|grant| grant.end_ms);
        self.expires_at_ms.store(expires, Ordering::Relaxed);
        self.challenge_at_ms.store(last(|grant| grant.challenge_ms), Ordering::Relaxed);
        expires
    }
}

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
    fn new(session: &Session, term: Arc<Term>) -> Arc<Self> {
        Arc::new(Self {
            guard: session.guard.clone(),
            identity: session.identity.clone(),
            gives_identity: session.gives_identity,
            known_end_ms: AtomicU64::new(term.expires_at_ms.load(Ordering::Relaxed)),
            term,
            proof: Mutex::new(Grant::of(session)),
        })
    }

    /// The connection goes by `session` from now on, unless that ends earlier than what it goes by.
    fn go_by(&self, session: &Session) {
        let mut proof = self.proof();
        let newer = Grant::of(session);
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
        let end_ms = self.term.expires_at_ms.load(Ordering::Relaxed).max(self.proof().end_ms);
        Some(end_ms).filter(|time| *time != NEVER)
    }

    /// When to ask for fresh credentials. Whoever has asked remembers the time it was for: a later one is another.
    pub fn challenge_at_ms(&self) -> Option<u64> {
        let challenge_ms = self.term.challenge_at_ms.load(Ordering::Relaxed).max(self.proof().challenge_ms);
        Some(challenge_ms).filter(|time| *time != NEVER)
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
        self.known_end_ms.fetch_min(self.term.expires_at_ms.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether somebody else has extended it, and the connection does not know yet.
    pub fn is_extended(&self) -> bool {
        self.known_end_ms.load(Ordering::Relaxed) < self.term.expires_at_ms.load(Ordering::Relaxed)
    }

    /// The same, and it knows from now on.
    pub fn take_extended(&self) -> bool {
        let end = self.term.expires_at_ms.load(Ordering::Relaxed);
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
    pub connections: usize,
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
        let (term, extended) = match shares {
            true => self.join(conn, session, roles),
            false => (Arc::new(Term::new(session)), Vec::new()),
        };
        let stake = Stake::new(session, term);
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
        let stake = stake.clone();
        let mut extended = match shares {
            true => self.extend(session).extended,
            false => {
                stake.term.extend(session);
                Vec::new()
            }
        };
        stake.go_by(session);
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

    /// Fresh credentials have come for all connections of an identity (by an HTTP request). Extends the sessions that they
    /// share, if they end earlier and the credentials hold the roles that their routes ask for. Their keys vouch for those
    /// connections from now on, but for the ones that go by a key that `is_lost`: it is too late for them.
    pub fn renew_shared(&mut self, session: &Session, is_lost: impl Fn(&Vouching) -> bool) -> Renewed {
        let renewed = self.extend(session);
        let groups = session.identity.clone().and_then(|who| self.sharing.get(&(session.guard.clone(), who)));
        for group in groups.into_iter().flatten().filter(|group| session.holds(&group.roles)) {
            let held = group.connections.iter().filter_map(|conn| self.of_connection.get(conn)).flatten();
            let of_group = held.filter(|holding| Arc::ptr_eq(&holding.stake.term, &group.term));
            for Holding { stake, .. } in of_group.filter(|holding| !holding.stake.any_key(&is_lost)) {
                stake.go_by(session);
            }
        }
        renewed
    }

    /// Extends the sessions that connections of that identity share, as far as times go.
    fn extend(&self, session: &Session) -> Renewed {
        let mut renewed = Renewed::default();
        let Some(identity) = session.identity.clone() else { return renewed };
        let groups = self.sharing.get(&(session.guard.clone(), identity));
        for group in groups.into_iter().flatten() {
            if !session.holds(&group.roles) {
                renewed.lacking += group.connections.len();
                continue;
            }
            renewed.connections += group.connections.len();
            if group.term.extend(session) {
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
    fn join(&mut self, conn: u64, session: &Session, roles: &[String]) -> (Arc<Term>, Vec<u64>) {
        let extended = self.extend(session).extended;
        let identity = session.identity.clone().unwrap_or_default();
        let groups = self.sharing.entry((session.guard.clone(), identity)).or_default();
        if let Some(group) = groups.iter_mut().find(|group| group.roles == roles) {
            group.connections.insert(conn);
            return (group.term.clone(), extended);
        }
        let term = Arc::new(Term::new(session));
        let connections = HashSet::from([conn]);
        groups.push(Group { roles: roles.to_vec(), term: term.clone(), connections });
        (term, extended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Key;

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
        let (first, _) = sessions.open(1, &session("ann", &["a"], 10), &role("a"), true);
        let (apart, _) = sessions.open(2, &session("ann", &["a"], 10), &role("a"), false);
        let (other, _) = sessions.open(3, &session("bob", &["a"], 10), &role("a"), true);
        let (more, _) = sessions.open(4, &session("ann", &["a", "b"], 11), &role("b"), true);
        assert_eq!(first.expires_at_ms(), Some(11_000));
        let (plain, _) = sessions.open(5, &session("ann", &["a"], 20), &[], true);
        assert_eq!((first.expires_at_ms(), first.challenge_at_ms()), (Some(20_000), Some(19_990)));
        assert_eq!(plain.expires_at_ms(), Some(20_000));
        assert_eq!(more.expires_at_ms(), Some(11_000), "the newer one lacks its role");
        assert_eq!((apart.expires_at_ms(), other.expires_at_ms()), (Some(10_000), Some(10_000)));
        let (earlier, _) = sessions.open(6, &session("ann", &["a"], 15), &role("a"), true);
        assert_eq!((first.expires_at_ms(), earlier.expires_at_ms()), (Some(20_000), Some(20_000)));
    }

    #[test]
    fn a_connection_renews_only_its_own_session() {
        let mut sessions = Sessions::default();
        let (term, _) = sessions.open(1, &session("ann", &["a"], 10), &role("a"), true);
        let other_guard = Session { guard: "guests".into(), ..session("ann", &["a"], 20) };
        assert_eq!(sessions.renew(1, &other_guard), Err(RenewalError::NoSession));
        assert_eq!(sessions.renew(2, &session("ann", &["a"], 20)), Err(RenewalError::NoSession));
        assert_eq!(sessions.renew(1, &session("bob", &["a"], 20)), Err(RenewalError::OtherIdentity));
        assert_eq!(sessions.renew(1, &session("ann", &["b"], 20)), Err(RenewalError::MissingRole));
        let nobody = Session { identity: None, ..session("", &["a"], 20) };
        assert_eq!(sessions.renew(1, &nobody), Err(RenewalError::OtherIdentity));
        assert_eq!(term.expires_at_ms(), Some(10_000));
        assert_eq!(sessions.renew(1, &session("ann", &["a"], 20)), Ok(Vec::new()));
        assert_eq!(term.expires_at_ms(), Some(20_000));
        let forever = Session { expires_at_ms: None, challenge_at_ms: None, ..session("ann", &["a"], 1) };
        assert_eq!(sessions.renew(1, &forever), Ok(Vec::new()));
        assert_eq!((term.expires_at_ms(), term.challenge_at_ms()), (None, None));
    }

    /// A session that the key `kid` vouches for.
    fn of_key(kid: &str, expires_s: u64) -> Session {
        let keys = vec![Vouching { guard: "staff".into(), key: Key::of_tests(kid, b'1') }];
        Session { keys, ..session("ann", &["a"], expires_s) }
    }

    /// The keys that vouch for a connection.
    fn keys(stake: &Stake) -> Vec<String> {
        let mut found = Vec::new();
        stake.any_key(|key| {
            found.extend(key.key.kid().map(str::to_owned));
            false
        });
        found
    }

    #[test]
    fn a_connection_goes_by_the_keys_of_what_it_has_brought_itself() {
        let mut sessions = Sessions::default();
        let mut open = |conn, kid: &str, end| sessions.open(conn, &of_key(kid, end), &role("a"), true).0;
        let (first, second, third) = (open(1, "old", 10), open(2, "new", 20), open(3, "old", 20));
        assert_eq!((keys(&first), keys(&second), keys(&third)), (role("old"), role("new"), role("old")));
        assert_eq!(first.expires_at_ms(), Some(20_000), "which others prolong all the same");
        // A message renews its own connection, and prolongs the others.
        assert_eq!(sessions.renew(3, &of_key("fresh", 30)).map(|others| others.len()), Ok(2));
        assert_eq!((keys(&first), keys(&second), keys(&third)), (role("old"), role("new"), role("fresh")));
        // What ends earlier than that by which it stays changes nothing, but others have no say in what that is.
        for (kid, end, goes_by) in [("short", 9, "old"), ("as long", 10, "as long"), ("longer", 15, "longer")]
        {
            assert_eq!(sessions.renew(1, &of_key(kid, end)), Ok(Vec::new()));
            assert_eq!((keys(&first), first.expires_at_ms()), (role(goes_by), Some(30_000)));
        }
        let (apart, _) = sessions.open(4, &of_key("old", 10), &role("a"), false);
        assert_eq!(sessions.renew(4, &of_key("new", 20)), Ok(Vec::new()));
        assert_eq!((keys(&apart), keys(&first)), (role("new"), role("longer")));
    }

    #[test]
    fn what_a_lost_key_has_prolonged_counts_no_more() {
        let mut sessions = Sessions::default();
        let mut open =
            |conn, kid: &str, end, shares| sessions.open(conn, &of_key(kid, end), &role("a"), shares).0;
        let (own, apart) = (open(1, "own", 10, true), open(2, "own", 10, false));
        let (other, stolen) = (open(3, "other", 15, true), open(4, "stolen", 600, true));
        open(5, "stolen", 20, true);
        let all = [&own, &apart, &other, &stolen];
        let times = || all.map(|stake| (stake.expires_at_ms().unwrap(), stake.challenge_at_ms().unwrap()));
        let is = |end: u64| (end, end - 10);
        assert_eq!(times(), [is(600_000), is(10_000), is(600_000), is(600_000)]);
        assert!(own.take_extended());
        let lost = |lost: &'static [&str]| {
            let is_lost = |key: &Vouching| key.key.kid().is_some_and(|kid| lost.contains(&kid));
            all.iter().for_each(|stake| stake.forget(is_lost));
        };
        lost(&["another"]);
        assert_eq!(times()[0], is(600_000));
        lost(&["stolen"]);
        assert_eq!(
            times(),
            [is(15_000), is(10_000), is(15_000), is(600_000)],
            "the last one ends by its key"
        );
        lost(&["stolen", "other"]);
        assert_eq!(times()[0], is(10_000), "its own");
        // It is told of what prolongs it again, though it has known of a later end.
        assert!(!own.is_extended());
        sessions.renew(3, &of_key("own", 30)).unwrap();
        assert!(own.take_extended() && own.expires_at_ms() == Some(30_000));
    }

    #[test]
    fn a_term_remembers_few_keys_and_a_connection_its_own_in_any_case() {
        let mut sessions = Sessions::default();
        let (first, _) = sessions.open(0, &of_key("0", 10), &role("a"), true);
        for (conn, end) in (1..100).zip(11..) {
            sessions.open(conn, &of_key(&conn.to_string(), end), &role("a"), true);
            sessions.open(conn, &of_key(&conn.to_string(), end - 1), &role("a"), true);
        }
        assert_eq!(first.term.grants.lock().unwrap().len(), MOST_GRANTS);
        first.forget(|key| key.key.kid() == Some("99"));
        assert_eq!(first.expires_at_ms(), Some(108_000));
        first.forget(|key| key.key.kid() != Some("0"));
        assert_eq!((first.expires_at_ms(), first.challenge_at_ms()), (Some(10_000), Some(9_990)));
    }

    #[test]
    fn a_request_vouches_for_all_connections_that_it_renews() {
        let mut sessions = Sessions::default();
        let open = |sessions: &mut Sessions, conn, kid: &str, roles: &[String], shares| {
            sessions.open(conn, &of_key(kid, 10), roles, shares).0
        };
        let renewed = open(&mut sessions, 1, "old", &role("a"), true);
        let lost = open(&mut sessions, 2, "lost", &role("a"), true);
        let apart = open(&mut sessions, 3, "old", &role("a"), false);
        let lacking = open(&mut sessions, 4, "old", &role("b"), true);
        let other = Session { guard: "guests".into(), ..of_key("other", 10) };
        let (of_other_guard, _) = sessions.open(1, &other, &[], true);
        let is_lost = |key: &Vouching| key.key.kid() == Some("lost");
        assert_eq!(sessions.renew_shared(&of_key("new", 20), is_lost).connections, 2);
        assert_eq!((keys(&renewed), keys(&lost)), (role("new"), role("lost")));
        assert_eq!((keys(&apart), keys(&lacking)), (role("old"), role("old")));
        assert_eq!(keys(&of_other_guard), role("other"), "on the same connection");
        // One that ends later is there already; it renews what stays by less.
        let late = sessions.open(5, &of_key("old", 30), &role("a"), true).0;
        assert!(sessions.renew_shared(&of_key("newer", 25), is_lost).extended.is_empty());
        assert_eq!((keys(&renewed), keys(&late)), (role("newer"), role("old")));
    }

    #[test]
    fn a_request_renews_what_is_open() {
        let mut sessions = Sessions::default();
        let nobody = Session { identity: None, ..session("", &[], 10) };
        let (nameless, _) = sessions.open(1, &nobody, &[], true);
        let nobody_either = Session { identity: None, ..session("", &[], 20) };
        let (another, _) = sessions.open(5, &nobody_either, &[], true);
        assert_eq!(another.expires_at_ms(), Some(20_000), "they are not the same");
        sessions.open(2, &session("ann", &["a"], 10), &role("a"), true);
        sessions.open(3, &session("ann", &["a"], 10), &role("a"), true);
        let (kept_apart, _) = sessions.open(4, &session("ann", &["a"], 10), &role("a"), false);
        let mut renewed = sessions.renew_shared(&session("ann", &["a"], 20), |_| false);
        renewed.extended.sort_unstable();
        assert_eq!(renewed, Renewed { connections: 2, extended: vec![2, 3], lacking: 0 });
        let again = sessions.renew_shared(&session("ann", &["a"], 20), |_| false);
        assert_eq!(again, Renewed { connections: 2, ..Renewed::default() }, "nothing ends later than before");
        let lacking = Renewed { lacking: 2, ..Renewed::default() };
        assert_eq!(sessions.renew_shared(&session("ann", &["b"], 30), |_| false), lacking);
        assert_eq!(sessions.renew_shared(&session("bob", &["a"], 20), |_| false), Renewed::default());
        assert_eq!(
            sessions.renew_shared(&Session { identity: None, ..session("", &[], 20) }, |_| false),
            Renewed::default()
        );
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
        assert_eq!(sessions.renew_shared(&session("ann", &["a"], 20), |_| false), Renewed::default());
    }

    #[test]
    fn connections_are_told_once_of_what_others_have_extended() {
        let mut sessions = Sessions::default();
        let (first, others) = sessions.open(1, &session("ann", &["a"], 10), &role("a"), true);
        assert!(others.is_empty() && !first.is_extended());
        let (second, others) = sessions.open(2, &session("ann", &["a"], 20), &role("a"), true);
        assert_eq!(others, [1]);
        assert!(first.is_extended() && !second.is_extended(), "who brings it knows it");
        assert!(first.take_extended() && !first.take_extended() && !first.is_extended());
        let (third, others) = sessions.open(3, &session("ann", &["a"], 15), &role("a"), true);
        assert!(others.is_empty() && !third.is_extended() && third.expires_at_ms() == Some(20_000));
        let mut others = sessions.renew(1, &session("ann", &["a"], 30)).unwrap();
        others.sort_unstable();
        assert_eq!(others, [2, 3]);
        assert!(!first.is_extended() && second.take_extended() && third.take_extended());
        assert_eq!((first.guard(), first.name()), ("staff", Some("ann")));
        sessions.leave(2);
        assert_eq!(sessions.renew(1, &session("ann", &["a"], 40)), Ok(vec![3]));
        let (apart, _) = sessions.open(4, &session("bob", &[], 10), &[], false);
        assert_eq!(sessions.renew(4, &session("bob", &[], 20)), Ok(Vec::new()));
        assert!(!apart.is_extended() && apart.expires_at_ms() == Some(20_000));
    }
}
