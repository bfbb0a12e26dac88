//! Delivering where messages are kept for clients that come back (`spec/websocket.md` 13).
//!
//! The ring of a route is locked while it is decided whom a message is for, and while a connection comes or goes. So a
//! connection is sent a message either because it was there, or because the message was kept before it came, and not
//! twice. Batches take turns, also where they wait for room: ids reach each connection in order.

use super::{
    Port, Streams,
    delivering::{items, settle},
    filter::Filter,
    instructions::{Except, Instructions},
    left::{Goal, Left},
    table::{Table, Targets},
};
use crate::{
    Joining, Replay,
    duplex::Address,
    outbox::{Extra, Item, Outbox, Shared},
    replay::{Alike, Audience, Gap, Gone, Reach, Ring, greeting},
    task::TARGET,
};
use smallvec::SmallVec;
use std::{
    collections::HashSet,
    sync::{Arc, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::sync::Mutex;
use tremor_event::{EventBatch, Outcome, settle_all};
use tremor_value::Value;

/// What is kept, of all routes of which something is.
pub(super) struct Replays {
    all: Vec<Arc<Replay>>,
    /// Held by the batch whose turn it is.
    turn: Mutex<()>,
}

/// What is kept of a route, locked.
struct Locked<'a> {
    replay: &'a Arc<Replay>,
    ring: MutexGuard<'a, Kept>,
}

type Kept = Ring<Arc<Shared>>;
type People = SmallVec<[crate::Person; 1]>;

impl Replays {
    pub(super) fn new(all: Vec<Arc<Replay>>) -> Option<Box<Self>> {
        (!all.is_empty()).then(|| Box::new(Self { all, turn: Mutex::new(()) }))
    }

    fn lock(&self) -> Vec<Locked<'_>> {
        self.all.iter().map(|replay| Locked { replay, ring: replay.lock() }).collect()
    }
}

/// Connections that are sent the same.
struct Group {
    extra: Extra,
    targets: Targets,
}

/// Whom an element is for.
struct Found<'a> {
    /// Open connections.
    targets: Targets,
    /// It is for all, now and later.
    is_for_all: bool,
    /// It is for those who are like that, now and later.
    filter: Option<&'a Value>,
    /// Connections that it would be for, had they not gone: what is to be remembered of whom.
    gone: Vec<(usize, crate::Person, u64)>,
    except: Option<Except>,
}

/// What becomes of an element.
struct Plan {
    groups: SmallVec<[Group; 1]>,
    /// Somebody who is not there may be sent it later.
    is_kept: bool,
}

impl Streams {
    /// The client of a new connection is told where it goes on, and sent what was kept for it. Nothing is kept until what
    /// this gives is dropped.
    pub(super) fn resume<'a>(
        &self,
        joining: &'a Joining,
        outbox: &Outbox,
        meta: &Value,
    ) -> MutexGuard<'a, Kept> {
        let mut ring = joining.replay.lock();
        let person = joining.person.as_ref();
        let admits = |wanted: &Value| Filter::new(self.kind, wanted).is_ok_and(|filter| filter.admits(meta));
        let name = meta.get(self.kind).and_then(|of_connection| of_connection.get("identity")?.as_str());
        let resumed = ring.resume(joining.last_received, (person, name), &admits, Instant::now());
        if let Some(person) = person {
            ring.join(outbox.conn(), (person, joining.name.as_ref()), resumed.is_resumed);
        }
        let gap = resumed.gap.map(|gap| match gap {
            Gap::Lost { from, .. } => (joining.last_received.unwrap_or(from.saturating_sub(1)), gap),
            Gap::Unknown { asked } => (asked, gap),
        });
        outbox.begin_with(&greeting(&resumed), &resumed.messages, gap);
        ring
    }

    /// Takes a connection off the table. If somebody knows who it was, what was for it is for who comes in its place.
    pub(super) fn remove(&self, stream: u64, address: &Address) -> Option<Arc<Outbox>> {
        let known = self.replays.as_ref().and_then(|_| {
            let outbox = self.read().by_stream.get(&stream).cloned()?;
            let joining = outbox.joined()?;
            Some((joining.replay.clone(), joining.person.clone()?))
        });
        let Some((replay, person)) = known else { return self.write().remove(stream, address) };
        let mut ring = replay.lock();
        let mut table = self.write();
        let meta = table.meta_of(address.conn).map(|meta| self.what_filters_see(meta)).unwrap_or_default();
        let outbox = table.remove(stream, address);
        let left = ring.leave((address.conn, stream), &person, meta, Instant::now());
        if let Some((successor, left)) = left
            && let Some(successor) = table.of_conn(successor)
        {
            successor.goes_on_with(&left);
        }
        outbox
    }

    /// As much of the metadata of a connection as matters when it has gone.
    fn what_filters_see(&self, meta: &Value) -> Value {
        let seen = meta.get(self.kind).and_then(Value::as_record).map(Filter::seen).unwrap_or_default();
        tremor_value::Record::from_iter([(self.kind, Value::from(seen))]).into()
    }

    /// Sends and keeps what a batch has.
    pub(super) async fn deliver_and_keep(&self, replays: &Replays, batch: EventBatch, port: Port) {
        let ready = self.outgoing.as_ref().and_then(|outgoing| {
            outgoing.prepare(&mut items(&batch).iter().map(|item| item.element.meta.base()))
        });
        if let Some(ready) = ready {
            ready.await;
        }
        let turn = replays.turn.lock().await;
        let items = items(&batch);
        for item in &items {
            let one = std::slice::from_ref(item);
            match self.plan(replays, port, item) {
                Ok(Plan { groups, is_kept }) => {
                    if groups.is_empty() && port != Port::Broadcast {
                        if is_kept {
                            settle_all(item.receipt.cloned(), Outcome::Delivered { took_ns: 0 });
                        } else {
                            self.put_all(one, &mut self.left_for(port, [Goal::Nobody], Extra::default()))
                                .await;
                        }
                    }
                    for Group { extra, targets } in groups {
                        let goals = targets.into_iter().map(Goal::Outbox);
                        self.put_all(one, &mut self.left_for(port, goals, extra)).await;
                    }
                }
                Err(cause) => {
                    let refused = [Goal::Refused(cause.into())];
                    self.put_all(one, &mut self.left_for(port, refused, Extra::default())).await;
                }
            }
        }
        drop((items, turn));
        settle(batch, port);
    }

    /// Says what is kept for clients that have gone, and goes with the connector.
    pub(crate) fn tell_missed(&self) {
        let Some(replays) = &self.replays else { return };
        let is_like = |meta: &Value, wanted: &Value| {
            Filter::new(self.kind, wanted).is_ok_and(|filter| filter.admits(meta))
        };
        for replay in &replays.all {
            let (messages, clients) = replay.lock().missed(&is_like, Instant::now());
            if messages == 0 {
                continue;
            }
            let route = replay.route.as_ref().map(|route| format!(" of route {route}")).unwrap_or_default();
            let (s, were) = if messages == 1 { ("", "was") } else { ("s", "were") };
            let (of_clients, are) = if clients == 1 { ("", "is") } else { ("s", "are") };
            tracing::warn!(
                target: TARGET,
                "[Connector::{}] {messages} message{s} that {were} kept for {clients} client{of_clients}{route}, who {are} away, \
                 went with the connector",
                self.shared.alias
            );
        }
    }

    fn left_for(&self, port: Port, goals: impl IntoIterator<Item = Goal>, extra: Extra) -> Left<'_> {
        let mut left = Left::new(&self.shared, port);
        left.one_for(goals, extra);
        left
    }

    /// Decides whom an element is for, and keeps it.
    ///
    /// # Errors
    /// Why nothing can be done with it.
    fn plan(&self, replays: &Replays, port: Port, item: &Item<'_>) -> Result<Plan, String> {
        let of_kind = item.element.meta.base().get(self.kind);
        let read = of_kind.map(|of_kind| Instructions::read(self.kind, self.key.as_deref(), of_kind));
        let mut read = read.transpose()?.unwrap_or_default();
        let asked = read.asked.take();
        let mut locked = replays.lock();
        let table = self.read();
        let found = self.find(&table, &locked, port, item, (of_kind, read));
        if asked.as_ref().is_some_and(|asked| asked.leaves_out_payload(item)) {
            let groups = group(Extra { asked, ..Extra::default() }, found.targets);
            return Ok(Plan { groups, is_kept: false });
        }
        let Some(common) = &self.common else { return Err("nothing can be kept of it".to_owned()) };
        let plain = {
            let mut encoder = common.lock().unwrap_or_else(PoisonError::into_inner);
            let plain = Arc::new(Shared::new(&mut encoder, item, self.frame_type));
            encoder.rest();
            plain
        };
        if let Some(error) = plain.error().filter(|_| found.targets.is_empty()) {
            return Err(error.to_owned());
        }
        if plain.error().is_some() || plain.len() == 0 {
            let extra = Extra { shared: Some(plain), asked, is_common: true };
            return Ok(Plan { groups: group(extra, found.targets), is_kept: false });
        }
        let now = Instant::now();
        let mut plan = Plan { groups: SmallVec::new(), is_kept: false };
        let mut others = found.targets.clone();
        for (number, Locked { replay, ring }) in locked.iter_mut().enumerate() {
            others.retain(|outbox| !is_of(outbox, replay));
            let targets: Targets =
                found.targets.iter().filter(|outbox| is_of(outbox, replay)).cloned().collect();
            let audience = self.audience(&table, number, replay, &targets, &found, port);
            if targets.is_empty() && audience.is_none() {
                continue;
            }
            plan.is_kept |= audience.is_some();
            let is_plain = asked.as_ref().is_some_and(|asked| asked.is_plain);
            let numbered = Arc::new(plain.numbered(ring.next_id(), is_plain));
            remember(ring, &numbered, audience, &found, &targets, now);
            plan.groups.extend(group(
                Extra { shared: Some(numbered), asked: asked.clone(), is_common: true },
                targets,
            ));
        }
        plan.groups.extend(group(Extra { shared: Some(plain), asked, is_common: true }, others));
        Ok(plan)
    }

    /// Finds whom an element is for, whether they are there or not.
    fn find<'a>(
        &self,
        table: &Table,
        locked: &[Locked<'_>],
        port: Port,
        item: &Item<'_>,
        (of_kind, read): (Option<&'a Value>, Instructions<'a>),
    ) -> Found<'a> {
        let mut found = Found {
            targets: Targets::new(),
            is_for_all: port == Port::Broadcast && read.names_nobody(),
            filter: None,
            gone: Vec::new(),
            except: None,
        };
        if found.is_for_all {
            found.targets = table.all();
            return found;
        }
        let Instructions { to, filter, mut except, .. } = read;
        if let Some(except) = except.as_mut().filter(|except| except.origin) {
            let tracked = item.id.tracked().filter(|tracked| tracked.source == self.source);
            for stream in tracked.map(|tracked| tracked.stream) {
                let gone = || gone(locked).find(|(_, gone)| gone.stream == stream);
                let conn = table.conn_of(stream).or_else(|| gone().map(|(_, gone)| gone.conn));
                conn.into_iter().for_each(|conn| except.add(conn));
            }
        }
        let is_left_out = |conn| except.as_ref().is_some_and(|except| except.contains(conn));
        let may_be = |gone: &Gone<'_>| {
            !is_left_out(gone.conn) && filter.as_ref().is_none_or(|filter| filter.admits(gone.meta))
        };
        let addresses_gone: Vec<(usize, Gone<'_>)>;
        if let Some(conns) = to {
            found.targets = table.of_conns(conns.iter().copied(), filter.as_ref(), is_left_out);
            addresses_gone = gone(locked).filter(|(_, gone)| conns.contains(&gone.conn)).collect();
        } else if filter.is_some() || port == Port::Broadcast {
            found.targets = table.of_conns(table.conns(), filter.as_ref(), is_left_out);
            found.filter = of_kind.and_then(|of_kind| of_kind.get("where")).filter(|_| filter.is_some());
            found.is_for_all = filter.is_none();
            // Who has come back is found by what it is like now.
            addresses_gone = gone(locked).filter(|(_, gone)| gone.successor.is_none()).collect();
        } else {
            let conn = of_kind.and_then(|of_kind| of_kind.get("conn")).and_then(Value::as_u64);
            let streams = || item.id.tracked().filter(|tracked| tracked.source == self.source);
            let is_meant = |gone: &Gone<'_>| match conn {
                Some(conn) => gone.conn == conn,
                None => streams().any(|tracked| tracked.stream == gone.stream),
            };
            let is_there = match conn {
                Some(conn) => table.of_conn(conn).is_some(),
                None => streams().all(|tracked| table.by_stream.contains_key(&tracked.stream)),
            };
            addresses_gone = match is_there {
                true => Vec::new(),
                false => gone(locked).filter(|(_, gone)| is_meant(gone)).collect(),
            };
            found.targets = match of_kind.and_then(|of_kind| table.addressed(of_kind)) {
                Some(addressed) => Targets::from_buf([addressed]),
                None if conn.is_some() && !addresses_gone.is_empty() => Targets::new(),
                None => table.origins(item.id, self.source),
            };
            found.targets.retain(|outbox| !is_left_out(outbox.conn()));
        }
        for (number, gone) in addresses_gone.into_iter().filter(|(_, gone)| may_be(gone)) {
            found.gone.push((number, gone.person.clone(), gone.conn));
            let successor = gone.successor.filter(|successor| !is_left_out(*successor));
            if let Some(successor) = successor.and_then(|successor| table.of_conn(successor))
                && !found.targets.iter().any(|target| Arc::ptr_eq(target, successor))
            {
                found.targets.push(successor.clone());
            }
        }
        found.except = except;
        found
    }

    /// Whom of the clients of a route an element is for; `None` if nobody of them may ask for it later.
    fn audience(
        &self,
        table: &Table,
        number: usize,
        replay: &Arc<Replay>,
        targets: &Targets,
        found: &Found<'_>,
        port: Port,
    ) -> Option<Audience> {
        // Who is like that now is like that when it comes back, but for its tags.
        let are_found_again = found.filter.is_some_and(|filter| filter.get("tags").is_none());
        let mut people = People::new();
        if !are_found_again && !found.is_for_all {
            people.extend(targets.iter().filter_map(person_of).cloned());
            let gone = found.gone.iter().filter(|(of, ..)| *of == number);
            people.extend(gone.map(|(_, person, _)| person.clone()));
        }
        let left_out = found.except.as_ref().map(Except::conns).unwrap_or_default();
        let left_out = left_out.iter().filter_map(|conn| table.of_conn(*conn));
        let left_out = left_out.filter(|outbox| is_of(outbox, replay)).filter_map(person_of);
        let mut except: People = left_out.cloned().collect();
        if !except.is_empty() {
            // Another connection of the same client may have it.
            let have: HashSet<&crate::Person> = targets.iter().filter_map(person_of).collect();
            except.retain(|person| !have.contains(person));
        }
        if found.is_for_all {
            return Some(Audience::new(Reach::All, except));
        }
        // Where nobody was ever like that, nobody is waited for, unless it is said to all.
        let may_come = port == Port::Broadcast || !found.targets.is_empty() || !found.gone.is_empty();
        let alike = found.filter.filter(|_| may_come).and_then(|wanted| {
            let filter = Filter::new(self.kind, wanted).ok()?;
            let alike = Alike { filter: wanted.clone(), names: filter.identities() };
            filter.may_be_of(replay.route.as_ref(), replay.likeness()).then_some(alike)
        });
        let alike = alike.filter(|alike| alike.names.as_ref().is_none_or(|names| !names.is_empty()));
        if people.is_empty() && alike.is_none() {
            return None;
        }
        Some(Audience::new(Reach::Some { people, alike }, except))
    }
}

/// Keeps the messages of an element, or only gives their ids away.
fn remember(
    ring: &mut Kept,
    numbered: &Arc<Shared>,
    audience: Option<Audience>,
    found: &Found<'_>,
    targets: &Targets,
    now: Instant,
) {
    let Some(audience) = audience else {
        (0..numbered.len()).for_each(|_| ring.pass());
        return;
    };
    let mut conns = SmallVec::new();
    if !found.is_for_all && found.filter.is_none() {
        conns.extend(targets.iter().filter(|outbox| person_of(outbox).is_some()).map(|outbox| outbox.conn()));
    }
    let mut keep = |message: Arc<Shared>| {
        let bytes = message.payload().len();
        ring.keep((message, bytes), audience.clone(), conns.clone(), now);
    };
    if numbered.len() == 1 {
        keep(numbered.clone());
    } else {
        numbered.each().for_each(|message| keep(Arc::new(message)));
    }
}

/// The connections that have gone, each with the number of what is kept of its route.
fn gone<'a>(locked: &'a [Locked<'_>]) -> impl Iterator<Item = (usize, Gone<'a>)> {
    locked.iter().enumerate().flat_map(|(number, locked)| locked.ring.gone().map(move |gone| (number, gone)))
}

fn is_of(outbox: &Outbox, replay: &Arc<Replay>) -> bool {
    outbox.joined().is_some_and(|joining| Arc::ptr_eq(&joining.replay, replay))
}

fn person_of(outbox: &Arc<Outbox>) -> Option<&crate::Person> {
    outbox.joined()?.person.as_ref()
}

fn group(extra: Extra, targets: Targets) -> SmallVec<[Group; 1]> {
    if targets.is_empty() { SmallVec::new() } else { SmallVec::from_iter([Group { extra, targets }]) }
}
