//! What guards say of one opening handshake.

use super::{Guards, to_value};
use crate::ws::server::admission::holder;
use futures_util::future::BoxFuture;
use std::{
    net::IpAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tremor_value::{Record, Value};
use tremor_ws::{
    ExtraHeaders, Reject,
    guard::{
        Carrier, Certificate, Credential, Demand, Denial, Guard, Json, KeySet, Kind, Presented, Refusal,
        RenewalError, Session, Step, Verdict, Vouching, decide, not_renewed,
    },
};

/// What a client has brought besides its request.
#[derive(Clone, Copy, Default)]
pub(in crate::ws) struct Brought<'r> {
    pub(in crate::ws) certificate: Option<&'r Certificate>,
    pub(in crate::ws) from_trusted_proxy: bool,
    /// Its address, if it has one.
    pub(in crate::ws) address: Option<IpAddr>,
}

/// Asks the flow on behalf of guards, about one handshake.
pub(in crate::ws) trait AsksFlow: Send + Sync {
    /// What the flow says to the guard of that place and name; `known` is what others know already.
    fn ask<'a>(&'a self, guard: (usize, &'a Arc<str>), known: &'a [&'a Session]) -> BoxFuture<'a, FromFlow>;
}

/// What the flow says.
pub(in crate::ws) enum FromFlow {
    /// It knows somebody; the headers are for the 101.
    Granted(Session, ExtraHeaders),
    /// It says no.
    Refused(Reject),
    /// It says nothing in time.
    Silent(Reject),
}

/// The guards' look at one request: each of them decides once, and only if a route asks.
pub(in crate::ws) struct Visit<'r> {
    guards: &'r Guards,
    presented: Presented<'r>,
    address: Option<IpAddr>,
    /// Of each guard, as far as asked.
    verdicts: Vec<Option<Verdict>>,
    flow: Option<&'r dyn AsksFlow>,
    /// What the flow wants the client to hear, by the guard that has asked.
    headers: Vec<(usize, ExtraHeaders)>,
    refusals: Vec<(usize, Reject)>,
    /// Guards that know somebody else than another guard of a route.
    disagreeing: Vec<usize>,
}

impl Guards {
    /// The answer where they cannot decide in time.
    pub(in crate::ws) fn undecided(&self) -> Reject {
        Denial::Undecided.answer(&self.guards, self.invalid_status)
    }

    pub(in crate::ws) fn visit<'r>(&'r self, carrier: Carrier<'r>, brought: Brought<'r>) -> Visit<'r> {
        let Brought { certificate, from_trusted_proxy, address } = brought;
        let presented = Presented { carrier, certificate, from_trusted_proxy, bound: &[] };
        Visit {
            guards: self,
            presented,
            address,
            verdicts: Vec::new(),
            flow: None,
            headers: Vec::new(),
            refusals: Vec::new(),
            disagreeing: Vec::new(),
        }
    }
}

impl<'r> Visit<'r> {
    /// The same with sessions that a cookie stands for, which count where there are no credentials for their guards.
    pub(in crate::ws) fn bound_by(mut self, bound: &'r [Session]) -> Self {
        self.presented.bound = bound;
        self
    }

    /// The same with the flow, which guards may ask.
    pub(in crate::ws) fn asking(self, flow: Option<&'r dyn AsksFlow>) -> Self {
        Self { flow, ..self }
    }

    /// The session of that guard among those that a cookie stands for.
    fn bound_to(&self, number: usize) -> Option<Session> {
        let (guard, now_ms) = (self.guards.guards.get(number)?, now_ms());
        let mut bound = self.presented.bound.iter().filter(|session| session.counts(now_ms));
        bound.find(|session| session.guard == guard.name).cloned()
    }

    /// Whether a route with these demands lets the client pass.
    ///
    /// # Errors
    /// The answer if not.
    pub(in crate::ws) async fn admits(&mut self, demands: &[Demand]) -> Result<(), Reject> {
        let asks_flow = |demand: &&Demand| self.guards.asks_flow(demand.guard);
        let of_flow: Vec<usize> = demands.iter().filter(asks_flow).map(|demand| demand.guard).collect();
        for demand in demands.iter().filter(|demand| !of_flow.contains(&demand.guard)) {
            self.ask(demand.guard).await;
        }
        if !of_flow.is_empty() {
            // The flow is asked only about those whom the others let pass.
            let others = demands.iter().filter(|demand| !of_flow.contains(&demand.guard)).cloned();
            let others: Vec<Demand> = others.collect();
            self.decide(&others)?;
            for guard in of_flow {
                self.ask_flow(guard, &others).await;
                if let Some((_, reject)) = self.refusals.iter().find(|(refusing, _)| *refusing == guard) {
                    return Err(reject.clone());
                }
            }
        }
        self.decide(demands)
    }

    /// Whether it still does behind what took its time: sessions may have ended meanwhile.
    ///
    /// # Errors
    /// The answer if not.
    pub(in crate::ws) fn still_admits(&self, demands: &[Demand]) -> Result<(), Reject> {
        let now_ms = now_ms();
        let ended = |demand: &Demand| match self.verdict(demand.guard) {
            Verdict::Accepted(session) if !session.counts(now_ms) => Some(Refusal::Expired),
            _ => None,
        };
        let guards: Vec<_> = demands.iter().map(|demand| (demand.guard, ended(demand))).collect();
        if guards.iter().all(|(_, ended)| ended.is_none()) {
            return Ok(());
        }
        Err(Denial::Unknown { guards }.answer(&self.guards.guards, self.guards.invalid_status))
    }

    /// What comes of the verdicts that there are.
    fn decide(&mut self, demands: &[Demand]) -> Result<(), Reject> {
        let Err(denial) = decide(demands, |guard| self.verdict(guard)) else { return Ok(()) };
        if let Denial::Disagreeing { guards: (_, other) } = denial
            && !self.disagreeing.contains(&other)
        {
            self.disagreeing.push(other);
        }
        Err(denial.answer(&self.guards.guards, self.guards.invalid_status))
    }

    /// What the flow wants to be said in the 101, if it was asked for a route with these demands.
    pub(in crate::ws) fn headers(&self, demands: &[Demand]) -> impl Iterator<Item = &ExtraHeaders> {
        let asked = |guard: usize| demands.iter().any(|demand| demand.guard == guard);
        self.headers.iter().filter(move |(guard, _)| asked(*guard)).map(|(_, headers)| headers)
    }

    /// The sessions that a route with these demands goes by, once it [lets pass](Self::admits).
    pub(in crate::ws) fn sessions(&self, demands: &[Demand]) -> Vec<&Session> {
        decide(demands, |guard| self.verdict(guard)).unwrap_or_default()
    }

    /// Takes what the client has brought for fresh credentials of open connections, and extends their sessions. Those that
    /// end later now tell of it themselves.
    ///
    /// # Errors
    /// The answer if there are none of which this is true.
    pub(in crate::ws) async fn renew_shared(&mut self) -> Result<(), Reject> {
        let (mut asked, mut is_undecided) = (Vec::new(), false);
        let (mut connections, mut lacking) = (0, 0);
        let mut known_to = Vec::new();
        let all = self.guards.guards.iter().enumerate();
        for (number, _) in all.filter(|(_, guard)| guard.kind.has_ends()) {
            self.ask(number).await;
            let refusal = match self.verdict(number) {
                Verdict::Accepted(session) => {
                    known_to.push(number);
                    let terms = &self.guards.terms;
                    let is_lost = |key: &Vouching| terms.revalidates() && self.guards.has_lost(key);
                    let renewed = terms.sessions().renew_shared(session, is_lost);
                    terms.renewed(&renewed.connections);
                    connections += renewed.connections.len();
                    lacking += renewed.lacking;
                    continue;
                }
                Verdict::Absent => None,
                Verdict::Refused(refusal) => Some(*refusal),
                Verdict::Undecided => {
                    is_undecided = true;
                    continue;
                }
            };
            asked.push((number, refusal));
        }
        if connections > 0 {
            return Ok(());
        }
        if !known_to.is_empty() {
            // That connections of others are open is nothing that this one may know.
            let why = if lacking > 0 { RenewalError::MissingRole } else { RenewalError::NoSession };
            return Err(not_renewed(why, &known_to, &self.guards.guards));
        }
        let denial = if is_undecided { Denial::Undecided } else { Denial::Unknown { guards: asked } };
        Err(denial.answer(&self.guards.guards, 401))
    }

    /// The guards that have found credentials to be no good, with the reason.
    pub(in crate::ws) fn failures(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let verdicts = self.guards.guards.iter().zip(&self.verdicts);
        let refused = verdicts.filter_map(|(guard, verdict)| match verdict {
            Some(Verdict::Refused(refusal)) => Some((&*guard.name, refusal.label())),
            _ => None,
        });
        let disagreeing = self.disagreeing.iter().filter_map(|number| self.guards.guards.get(*number));
        refused.chain(disagreeing.map(|guard| (&*guard.name, RenewalError::OtherIdentity.label())))
    }

    fn verdict(&self, guard: usize) -> &Verdict {
        self.verdicts.get(guard).and_then(Option::as_ref).unwrap_or(&Verdict::Undecided)
    }

    fn make_room(&mut self) {
        if self.verdicts.is_empty() {
            self.verdicts.resize_with(self.guards.guards.len(), || None);
        }
    }

    /// Lets the flow decide in place of a guard; `others` are the demands that were met before.
    async fn ask_flow(&mut self, number: usize, others: &[Demand]) {
        self.make_room();
        let (Some(flow), Some(guard), Some(None)) =
            (self.flow, self.guards.guards.get(number), self.verdicts.get(number))
        else {
            return;
        };
        let said = flow.ask((number, &guard.name), &self.sessions(others)).await;
        let verdict = match said {
            FromFlow::Granted(session, headers) => {
                self.headers.push((number, headers));
                Verdict::Accepted(session)
            }
            FromFlow::Refused(reject) => {
                self.refusals.push((number, reject));
                Verdict::Refused(Refusal::Flow)
            }
            FromFlow::Silent(reject) => {
                self.refusals.push((number, reject));
                Verdict::Undecided
            }
        };
        if let Some(slot) = self.verdicts.get_mut(number) {
            *slot = Some(verdict);
        }
    }

    async fn ask(&mut self, number: usize) {
        self.make_room();
        if matches!(self.verdicts.get(number), Some(None)) {
            let mut verdict = self.guards.authenticate(number, &self.presented, self.address).await;
            if verdict == Verdict::Absent {
                verdict = self.bound_to(number).map_or(Verdict::Absent, Verdict::Accepted);
            }
            if let Some(slot) = self.verdicts.get_mut(number) {
                *slot = Some(verdict);
            }
        }
    }
}

impl Guards {
    fn asks_flow(&self, number: usize) -> bool {
        self.guards.get(number).is_some_and(|guard| matches!(guard.kind, Kind::Flow))
    }

    async fn authenticate(
        &self,
        number: usize,
        presented: &Presented<'_>,
        address: Option<IpAddr>,
    ) -> Verdict {
        self.verdict(number, address, |guard, keys| guard.authenticate(presented, keys, now_ms())).await
    }

    /// What a guard thinks of credentials that came later.
    pub(super) async fn check(&self, number: usize, credential: &Credential) -> Verdict {
        self.verdict(number, None, |guard, keys| guard.check(credential.clone(), keys, now_ms())).await
    }

    async fn verdict(
        &self,
        number: usize,
        address: Option<IpAddr>,
        step: impl Fn(&Guard, Option<&KeySet>) -> Step,
    ) -> Verdict {
        match self.own_verdict(number, address, step).await {
            Verdict::Accepted(session) if self.nameless.contains(&number) => {
                Verdict::Accepted(Session { gives_identity: false, ..session })
            }
            verdict => verdict,
        }
    }

    async fn own_verdict(
        &self,
        number: usize,
        address: Option<IpAddr>,
        step: impl Fn(&Guard, Option<&KeySet>) -> Step,
    ) -> Verdict {
        let Some(guard) = self.guards.get(number) else { return Verdict::Undecided };
        let keys = self.keys.get(number).and_then(Option::as_ref);
        let mut has_waited = false;
        loop {
            let current = keys.and_then(super::keys::Keys::current);
            match step(guard, current.as_deref()) {
                Step::Done(verdict) => return verdict,
                Step::Compare(comparison) => return self.compare(comparison, address).await,
                Step::NeedsKeys { otherwise } => {
                    // Once: after a load that did not bring the key, the token has none.
                    let is_worth_it = match keys {
                        Some(keys) if !has_waited => keys.newer().await,
                        _ => false,
                    };
                    if !is_worth_it {
                        return otherwise;
                    }
                    has_waited = true;
                }
            }
        }
    }

    /// Compares a password, a few at once at most, where it may take its time.
    async fn compare(&self, comparison: tremor_ws::guard::Comparison, address: Option<IpAddr>) -> Verdict {
        let place = self.logins.as_ref().zip(address).map(|(logins, address)| logins.place(holder(address)));
        let Ok(place) = place.transpose() else { return Verdict::Undecided };
        let turn = self.turns.turn(address.map(holder)).await;
        let compared = tokio::task::spawn_blocking(move || {
            // Held until the work is done, even if nobody waits for it any more.
            let _held = (turn, place);
            comparison.run()
        });
        let verdict = compared.await.map_or(Verdict::Undecided, Verdict::of_login);
        if let (Verdict::Accepted(_), Some(address)) = (&verdict, address) {
            self.turns.befriend(holder(address));
        }
        verdict
    }
}

/// What is told of a session that was extended: its guard, its identity, and when it ends.
pub(super) fn reauthenticated((guard, identity, expires_at_ms): (&str, Option<&str>, Option<u64>)) -> Record {
    Record::from_iter([
        ("kind", Value::from("reauthenticated")),
        ("guard", guard.into()),
        ("identity", identity.map_or(Value::Null, Value::from)),
        ("expires_at", expires_at_ms.map_or(Value::Null, Value::from)),
    ])
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What metadata says of those who were let in: `guard` and `identity` are of the first guard that the route names,
/// roles and attributes of all.
pub(in crate::ws) fn describe(sessions: &[&Session], of_connection: &mut Record) {
    let Some(first) = sessions.first() else { return };
    of_connection.insert("guard", &*first.guard);
    if let Some(identity) = sessions.iter().find_map(|session| session.name()) {
        of_connection.insert("identity", identity);
    }
    describe_roles(sessions.iter().map(|session| &*session.roles), of_connection);
    describe_attributes(sessions.iter().map(|session| &*session.attributes), of_connection);
}

/// The roles of all sessions, each once.
pub(super) fn describe_roles<'s>(all: impl Iterator<Item = &'s [String]>, of_connection: &mut Record) {
    let mut roles: Vec<&str> = Vec::new();
    for role in all.flatten() {
        if !roles.contains(&role.as_str()) {
            roles.push(role);
        }
    }
    of_connection.insert("roles", roles.into_iter().map(Value::from).collect::<Vec<_>>());
}

/// The attributes of all sessions, if there are any.
pub(super) fn describe_attributes<'s>(
    all: impl Iterator<Item = &'s [(String, Json)]>,
    of_connection: &mut Record,
) {
    let attributes: Record = all.flatten().map(|(name, value)| (name.as_str(), to_value(value))).collect();
    if attributes.is_empty() {
        of_connection.remove("attributes");
    } else {
        of_connection.insert("attributes", attributes);
    }
}

#[cfg(test)]
mod tests;
