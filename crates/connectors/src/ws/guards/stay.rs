//! How long guards let a connection stay (`spec/websocket.md` 7.5).

use super::{
    Guards,
    renew::Place,
    visit::{describe_attributes, describe_roles, now_ms, reauthenticated},
};
use crate::ws::{options::Settings, pace::now, server::SPEC};
use std::{
    collections::HashMap,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tremor_connector::config::{ConfigError, Reader};
use tremor_connector::{
    Intake,
    duplex::{ConnectionHandle, Ending},
};
use tremor_value::{Record, Value};
use tremor_ws::{
    CloseCode, Encoder,
    guard::{Claims, Demand, Session, Sessions, Stake},
    is_wire_code,
};

/// What the configuration says of it.
pub(super) struct Terms {
    /// `share_session`.
    shares: bool,
    /// `on_expiry`.
    at_the_end: AtTheEnd,
    /// `renew`.
    pub(super) renew: Option<Place>,
    /// `revalidate`: how often to look whether the keys are still there.
    revalidate: Option<Duration>,
    /// `challenge_message`.
    challenge: Option<String>,
    sessions: Mutex<Sessions>,
    /// Connections, of which others may extend or renew the session.
    open: Mutex<HashMap<u64, Open>>,
}

/// What metadata say of a connection by the word of its guards; of the rest the flow has the last word.
#[derive(Clone, Copy)]
pub(in crate::ws) struct Described {
    pub(in crate::ws) roles: bool,
    pub(in crate::ws) attributes: bool,
}

/// An open connection, and what its metadata say.
struct Open {
    handle: ConnectionHandle,
    described: Described,
    claims: Vec<Arc<Claims>>,
}

impl Open {
    /// What comes from now on has metadata that say this.
    fn show(&mut self, claims: Vec<Arc<Claims>>) {
        // Those of the sessions are shared, even where they say the same.
        let before = mem::replace(&mut self.claims, claims);
        if before == self.claims {
            return;
        }
        let Self { handle, described, claims } = self;
        handle.change_meta(|meta| {
            let of_connection = meta.as_record_mut().map(|meta| meta.get_or_insert_null(SPEC.name));
            let Some(shown) = of_connection.and_then(Value::as_record_mut) else { return };
            if described.roles {
                describe_roles(claims.iter().map(|claims| &*claims.roles), shown);
            }
            if described.attributes {
                describe_attributes(claims.iter().map(|claims| &*claims.attributes), shown);
            }
        });
    }
}

/// What becomes of a connection when its session ends.
#[derive(Clone)]
enum AtTheEnd {
    /// It is closed with this code and reason.
    Close(u16, Box<str>),
    /// The flow hears of it.
    Notify,
    /// It stays.
    Ignore,
}

impl Terms {
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let config = &mut settings.config;
        let words = [("close", None), ("notify", Some(AtTheEnd::Notify)), ("ignore", Some(AtTheEnd::Ignore))];
        let stays = config.word("on_expiry", &words)?.flatten();
        let written = config.record("expiry_close")?;
        if written.is_some() && stays.is_some() {
            return Err(config.conflict("expiry_close", "has no meaning where `on_expiry` is not `close`"));
        }
        let (code, reason) = match written {
            Some(reader) => expiry_close(reader)?,
            None => (CloseCode::Policy.into(), "token expired".into()),
        };
        let terms = Self {
            shares: config.or("share_session", true)?,
            at_the_end: stays.unwrap_or(AtTheEnd::Close(code, reason)),
            renew: config.record("renew")?.map(Place::read).transpose()?,
            revalidate: config.or("revalidate", false)?.then_some(LOOK),
            challenge: config.optional("challenge_message")?,
            sessions: Mutex::default(),
            open: Mutex::default(),
        };
        if terms.revalidate.is_some() && !matches!(terms.at_the_end, AtTheEnd::Close(..)) {
            return Err(config.conflict("revalidate", "has no meaning where `on_expiry` is not `close`"));
        }
        Ok(terms)
    }

    /// Whether sessions end with the keys that vouched for them.
    pub(super) fn revalidates(&self) -> bool {
        self.revalidate.is_some()
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions of these may have been extended, or say something else.
    pub(super) fn renewed(&self, conns: &[u64]) {
        if conns.is_empty() {
            return;
        }
        let mut open = self.open();
        for conn in conns {
            if let Some(own) = open.get_mut(conn) {
                // Behind the lock, so that the last word is that of the last renewal.
                own.show(self.sessions().claims(*conn, now_ms()));
                own.handle.wake();
            }
        }
    }
}

fn expiry_close(mut config: Reader<'_>) -> Result<(u16, Box<str>), ConfigError> {
    let code: u16 = config.or("code", CloseCode::Policy.into())?;
    if !is_wire_code(code) {
        return Err(config.invalid("code", format!("{code} is no code that a Close can have")));
    }
    let reason: &str = config.or("reason", "token expired")?;
    if reason.len() > 123 {
        return Err(config.invalid("reason", "has more than 123 bytes, which do not fit in a Close"));
    }
    config.finish()?;
    Ok((code, reason.into()))
}

/// Until when one connection may stay. Its end gives back what it holds of shared sessions.
pub(in crate::ws) struct Stay {
    terms: Arc<Terms>,
    conn: u64,
    held: Vec<Arc<Stake>>,
    /// The time of the challenge that was sent last.
    asked_at_ms: Option<u64>,
    /// The end of which the flow was told last.
    told_of_ms: Option<u64>,
    /// Looks whether the keys of the sessions are still there.
    look: Option<Box<Look>>,
    next: Option<Instant>,
    since: Instant,
    described: Described,
    /// What metadata say when the connection opens.
    claims: Vec<Arc<Claims>>,
}

/// Sessions end by the date, and timers go by another clock: the date may be set, and goes on while the machine sleeps. So
/// an end that is far away is looked at again so often.
const DATE_MAY_CHANGE: Duration = Duration::from_secs(30);

/// How often it is looked whether keys are still there.
const LOOK: Duration = Duration::from_secs(5);

/// What it takes to see that a key was withdrawn.
struct Look {
    guards: Arc<Guards>,
    every: Duration,
    next: Instant,
}

impl Look {
    /// Whether a guard has lost the key of a session.
    fn misses_one(&self, held: &[Arc<Stake>]) -> bool {
        held.iter().any(|stake| stake.any_key(|vouching| self.guards.has_lost(vouching)))
    }

    /// Takes back what others have prolonged by keys that are lost.
    fn take_back(&self, held: &[Arc<Stake>]) {
        held.iter().for_each(|stake| stake.forget(|vouching| self.guards.has_lost(vouching)));
    }
}

impl Guards {
    /// What a connection that was let in with `sessions`, by a route with `demands`, has to watch; nothing if it may stay
    /// for any time.
    pub(in crate::ws) fn stay(
        self: &Arc<Self>,
        conn: u64,
        demands: &[Demand],
        sessions: &[&Session],
        described: Described,
    ) -> Option<Stay> {
        let Terms { revalidate, renew, .. } = &*self.terms;
        let may_end = |session: &&Session| session.expires_at_ms.is_some();
        if !(sessions.iter().any(may_end)
            || (!sessions.is_empty() && (revalidate.is_some() || renew.is_some())))
        {
            return None;
        }
        let terms = self.terms.clone();
        let open = |(session, demand): (&&Session, &Demand)| {
            let (stake, extended) = terms.sessions().open(conn, session, &demand.roles, terms.shares);
            terms.renewed(&extended);
            stake
        };
        let held = sessions.iter().zip(demands).map(open).collect();
        let look = revalidate.map(|every| Look { guards: self.clone(), every, next: now() + every });
        let mut stay = Stay {
            terms: terms.clone(),
            conn,
            held,
            asked_at_ms: None,
            told_of_ms: None,
            look: look.map(Box::new),
            next: None,
            since: now(),
            described,
            claims: sessions.iter().map(|session| Arc::new(Claims::of(session))).collect(),
        };
        stay.next = stay.next_after(now_ms());
        Some(stay)
    }
}

impl Stay {
    /// The connection is open. What others do about its sessions is looked at from now on, and what they have done already.
    pub(in crate::ws) fn handled_by(&mut self, handle: ConnectionHandle) {
        let Self { terms, conn, described, claims, .. } = self;
        let open = Open { handle, described: *described, claims: mem::take(claims) };
        terms.open().insert(*conn, open);
        terms.renewed(&[*conn]);
    }

    pub(in crate::ws) fn deadline(&self) -> Option<Instant> {
        if self.held.iter().any(|stake| stake.is_extended()) {
            // It has passed, whenever that is looked at.
            return Some(self.since);
        }
        self.next
    }

    /// Whether it may not stay any more, whether it was told or not.
    pub(in crate::ws) fn is_over(&self) -> bool {
        let closes = matches!(self.terms.at_the_end, AtTheEnd::Close(..));
        let has_ended = || self.expires_at_ms().is_some_and(|end| end <= now_ms());
        let misses_key = || self.look.as_ref().is_some_and(|look| look.misses_one(&self.held));
        closes && (has_ended() || misses_key())
    }

    /// Asks for fresh credentials, or gives how the connection ends, if it is time for that.
    pub(in crate::ws) fn on_time(
        &mut self,
        now: Instant,
        encoder: &mut Encoder,
        (intake, out): (&mut Intake, &mut Vec<u8>),
    ) -> Option<Ending> {
        let mut is_extended = false;
        for stake in self.held.iter().filter(|stake| stake.take_extended()) {
            let mut told = reauthenticated((stake.guard(), stake.name(), stake.expires_at_ms()));
            told.insert("conn", self.conn);
            intake.control(told.into());
            is_extended = true;
        }
        if is_extended {
            self.next = self.next_after(now_ms());
        }
        if self.next.is_none_or(|next| now < next) {
            return None;
        }
        if let Some(look) = self.look.as_mut().filter(|look| look.next <= now) {
            look.next = now + look.every;
            if let AtTheEnd::Close(code, _) = &self.terms.at_the_end
                && look.misses_one(&self.held)
            {
                return Some(Ending::Said { code: *code, reason: "key withdrawn".into() });
            }
            look.take_back(&self.held);
        }
        let now_ms = now_ms();
        if self.held.iter().any(|stake| stake.outlives_ms().is_some_and(|end| end <= now_ms)) {
            self.terms.renewed(&[self.conn]);
        }
        if let Some(end) = self.end_ms().filter(|end| *end <= now_ms) {
            if let AtTheEnd::Close(code, reason) = &self.terms.at_the_end {
                return Some(Ending::Said { code: *code, reason: reason.clone() });
            }
            self.told_of_ms = Some(end);
            intake.control(self.told("expired", end));
        }
        if let Some(challenge_ms) = self.challenge_at_ms().filter(|challenge| *challenge <= now_ms) {
            self.asked_at_ms = Some(challenge_ms);
            if let Some(end) = self.expires_at_ms() {
                intake.control(self.told("reauth_due", end));
            }
            if let Some(message) = &self.terms.challenge
                && let Err(error) = encoder.message(message.as_bytes(), false, out)
            {
                tracing::debug!(target: "tremor_runtime", "a challenge was not sent: {error}");
            }
        }
        self.next = self.next_after(now_ms);
        None
    }

    /// What the flow is told of a session that ends then.
    fn told(&self, kind: &str, end_ms: u64) -> Value {
        let members =
            [("kind", Value::from(kind)), ("conn", self.conn.into()), ("expires_at", end_ms.into())];
        Record::from_iter(members).into()
    }

    /// The next end that has not been dealt with.
    fn end_ms(&self) -> Option<u64> {
        match self.terms.at_the_end {
            AtTheEnd::Ignore => None,
            AtTheEnd::Close(..) | AtTheEnd::Notify => {
                self.expires_at_ms().filter(|end| self.told_of_ms.is_none_or(|told| *end > told))
            }
        }
    }

    fn expires_at_ms(&self) -> Option<u64> {
        self.held.iter().filter_map(|stake| stake.expires_at_ms()).min()
    }

    /// The next challenge that was not sent yet.
    fn challenge_at_ms(&self) -> Option<u64> {
        let due = self.held.iter().filter_map(|stake| stake.challenge_at_ms());
        due.filter(|at| self.asked_at_ms.is_none_or(|asked| *at > asked)).min()
    }

    /// When there is something to do next, as far as is known at `now_ms`: renewals only make it later, and what makes it earlier
    /// is looked for.
    fn next_after(&self, now_ms: u64) -> Option<Instant> {
        let outlived = self.held.iter().filter_map(|stake| stake.outlives_ms()).filter(|end| *end > now_ms);
        let next_ms = self.end_ms().into_iter().chain(self.challenge_at_ms()).chain(outlived).min();
        let next = next_ms.and_then(|next_ms| {
            let wait = Duration::from_millis(next_ms.saturating_sub(now_ms));
            now().checked_add(wait.min(DATE_MAY_CHANGE))
        });
        next.into_iter().chain(self.look.as_ref().map(|look| look.next)).min()
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.terms.sessions().leave(self.conn);
        self.terms.open().remove(&self.conn);
    }
}

impl fmt::Debug for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stay").field("conn", &self.conn).field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(in crate::ws) mod tests {
    use super::*;
    use tremor_ws::{Options, Role};

    /// A session that ends at `end_ms` by the date.
    pub(in crate::ws) fn closing_at(end_ms: u64) -> Stay {
        stay_until(end_ms, AtTheEnd::Close(1008, "token expired".into()))
    }

    fn stay_until(end_ms: u64, at_the_end: AtTheEnd) -> Stay {
        let terms = Arc::new(Terms {
            shares: false,
            at_the_end,
            renew: None,
            revalidate: None,
            challenge: None,
            sessions: Mutex::default(),
            open: Mutex::default(),
        });
        let session = Session::unlimited("staff".into(), Some("ann".to_owned()), Vec::new());
        let session = Session { expires_at_ms: Some(end_ms), ..session };
        let held = vec![terms.sessions().open(1, &session, &[], false).0];
        let (asked_at_ms, told_of_ms, look, next) = (None, None, None, None);
        let (described, claims) = (Described { roles: true, attributes: true }, Vec::new());
        let since = now();
        let mut stay =
            Stay { terms, conn: 1, held, asked_at_ms, told_of_ms, look, next, since, described, claims };
        stay.next = stay.next_after(now_ms());
        stay
    }

    /// The own credentials are over, and others let it stay for an hour.
    #[test]
    fn one_that_others_prolong_is_not_always_due() {
        let mut stay = closing_at(now_ms() - 1);
        let session = Session::unlimited("staff".into(), Some("ann".to_owned()), Vec::new());
        let until = |end_ms| Session { expires_at_ms: Some(end_ms), ..session.clone() };
        let held = |end_ms, conn| stay.terms.sessions().open(conn, &until(end_ms), &[], true).0;
        stay.held = vec![held(now_ms() - 1, 2)];
        let _others = held(now_ms() + 3_600_000, 3);
        assert!(stay.held.iter().all(|stake| stake.outlives_ms().is_some()));
        assert_eq!(on_time(&mut stay, now()), None);
        assert!(stay.next.is_some_and(|next| next > now()), "it would never rest");
    }

    #[test]
    fn a_session_is_over_when_its_end_has_come_and_closes() {
        let (past, future) = (now_ms() - 1, now_ms() + 3_600_000);
        assert!(closing_at(past).is_over() && !closing_at(future).is_over());
        assert!(!stay_until(past, AtTheEnd::Notify).is_over());
    }

    fn on_time(stay: &mut Stay, now: Instant) -> Option<Ending> {
        let mut encoder = Encoder::new(Role::Server, Options::default());
        stay.on_time(now, &mut encoder, (&mut Intake::default(), &mut Vec::new()))
    }

    #[test]
    fn nothing_stays_behind_of_a_connection_that_has_ended() {
        let stay = closing_at(now_ms() + 3_600_000);
        let terms = stay.terms.clone();
        assert!(terms.sessions().expires_at_ms(1, "staff").is_some());
        drop(stay);
        assert_eq!(terms.sessions().expires_at_ms(1, "staff"), None);
    }

    #[test]
    fn the_date_is_looked_at_now_and_then_since_it_may_be_set() {
        let mut far = closing_at(now_ms() + 3_600_000);
        for _ in 0..2 {
            let next = far.deadline().unwrap();
            assert!(next > now() && next <= now() + DATE_MAY_CHANGE);
            assert_eq!(on_time(&mut far, next), None);
        }
        // As if the date had been set to an hour later meanwhile.
        let mut over = closing_at(now_ms() - 1);
        over.next = far.next;
        let due = over.deadline().unwrap();
        let ending = Ending::Said { code: 1008, reason: "token expired".into() };
        assert_eq!(
            (on_time(&mut over, due - Duration::from_secs(1)), on_time(&mut over, due)),
            (None, Some(ending))
        );
        // And to an hour earlier: then it waits on, as the date says.
        let mut early = closing_at(now_ms() + 3_600_000);
        early.next = Some(now());
        assert_eq!(on_time(&mut early, now()), None);
        assert!(early.deadline().is_some_and(|next| next > now()));
    }
}
