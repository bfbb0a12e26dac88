//! The sink of connectors whose connections are read and written by one task each.

mod addressing;
mod commands;
mod directory;
mod draining;
mod filter;
mod instructions;
mod kept;
mod left;
mod members;
mod opening;
mod pairs;
mod table;

use crate::{
    Deliver, Handed, Joining, Replay, SinkShared,
    duplex::{Address, Ending, Outgoing},
    outbox::{Farewell, FrameType, Item, Outbox, Put, SendQueue, Shared, Taken, WhenFull},
    summons::{JudgeOpen, Summons},
};
use async_trait::async_trait;
pub use commands::{Command, Connections};
pub(crate) use directory::Directory;
pub use draining::DrainTimes;
use draining::Draining;
use foldhash::fast::RandomState;
use kept::Replays;
use left::{Goal, Left};
use pairs::Pairs;
pub use pairs::{Opening, Openings, PerOrigin};
use smallvec::SmallVec;
use std::{
    collections::HashMap,
    mem,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use table::{Table, Targets};
use tokio::sync::Notify;
use tremor_codec::{Encoder, Resolver};
use tremor_event::{EventBatch, Outcome, Signal, settle_all};
use tremor_value::Value;

/// How the connection to write to is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// There is one connection; it may come back.
    Single,
    /// Many, found by metadata under the kind's name or by the event's id.
    Many {
        /// The kind: the metadata key.
        kind: &'static str,
    },
}

/// What the way into the connections is made of.
pub(crate) struct Setting {
    /// The kind: the metadata key.
    pub(crate) kind: &'static str,
    /// Id of the source half.
    pub(crate) source: u64,
    pub(crate) addressing: Addressing,
    /// Names of the input ports, in the order of their numbers.
    pub(crate) ports: &'static [&'static str],
    pub(crate) limits: SendQueue,
    /// Some queues drop what waits under the same key.
    pub(crate) conflates: bool,
    pub(crate) drain_times: DrainTimes,
    /// The member of an element's metadata that says what its message stands for.
    pub(crate) key: String,
    /// How messages go out whose metadata say nothing of it.
    pub(crate) frame_type: FrameType,
    /// What port `control` takes besides what it always does.
    pub(crate) commands: Vec<Command>,
    /// Hears of the events that come while there is no connection.
    pub(crate) summons: Option<Summons>,
    /// Judges what events say of how connections are opened.
    pub(crate) judge_open: Option<JudgeOpen>,
    /// Looks at what is to be sent.
    pub(crate) outgoing: Option<Arc<dyn Outgoing>>,
    /// Asks for one connection for each origin of events.
    pub(crate) per_origin: Option<PerOrigin>,
    /// What is kept for clients that come back.
    pub(crate) replays: Vec<Arc<Replay>>,
    /// Where those origins are found.
    pub(crate) directory: Directory,
    pub(crate) coding: Resolver,
}

/// The code of an end without a word.
const ABNORMAL: u16 = 1006;

/// What an input port does with its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    /// They go to the connections that they are addressed to.
    In,
    /// They go to all.
    Broadcast,
    /// They are commands.
    Control,
}

impl Port {
    fn named(name: &str) -> Self {
        match name {
            "broadcast" => Self::Broadcast,
            "control" => Self::Control,
            _ => Self::In,
        }
    }
}

/// Open connections by stream id, and the way into their outboxes.
///
/// Whoever delivers encodes right into the outbox of the target: there is no task between.
pub(crate) struct Streams {
    shared: Arc<SinkShared>,
    kind: &'static str,
    source: u64,
    addressing: Addressing,
    ports: SmallVec<[Port; 4]>,
    limits: SendQueue,
    /// The member of metadata that is looked at for it, where any queue drops what waits under the same key.
    key: Option<String>,
    frame_type: FrameType,
    commands: Vec<Command>,
    summons: Option<Summons>,
    judge_open: Option<JudgeOpen>,
    outgoing: Option<Arc<dyn Outgoing>>,
    /// There if it has a connection for each origin of events.
    pairs: Option<Pairs>,
    /// There if something is kept for clients that come back.
    replays: Option<Box<Replays>>,
    /// Who hears of the end of a connection, by stream.
    partners: Mutex<HashMap<u64, Vec<Weak<Self>>, RandomState>>,
    draining: Draining,
    drain_times: DrainTimes,
    coding: Resolver,
    /// Encodes what several connections are sent, if their encoders would all give the same.
    common: Option<Mutex<Encoder>>,
    table: RwLock<Table>,
    /// A connection has gone.
    gone: Notify,
    /// Something reads port `control` of the source half.
    tells: AtomicBool,
    own: Weak<Self>,
}

impl Streams {
    pub(crate) fn new(shared: Arc<SinkShared>, setting: Setting) -> Arc<Self> {
        let Setting {
            kind,
            source,
            addressing,
            ports,
            limits,
            conflates,
            drain_times,
            key,
            frame_type,
            commands,
            summons,
            judge_open,
            outgoing,
            per_origin,
            replays,
            directory,
            coding,
        } = setting;
        let common = (addressing != Addressing::Single).then(|| coding.encoder());
        let common = common.filter(Encoder::is_stateless).map(Mutex::new);
        let streams = Arc::new_cyclic(|own| Self {
            shared,
            kind,
            source,
            addressing,
            ports: ports.iter().map(|name| Port::named(name)).collect(),
            limits,
            key: conflates.then_some(key),
            frame_type,
            commands,
            summons,
            judge_open,
            outgoing,
            pairs: per_origin.map(|per_origin| Pairs::new(per_origin, directory.clone())),
            replays: Replays::new(replays),
            partners: Mutex::default(),
            draining: Draining::default(),
            drain_times,
            coding,
            common,
            table: RwLock::default(),
            gone: Notify::new(),
            tells: AtomicBool::new(false),
            own: own.clone(),
        });
        if streams.is_single() {
            let outbox = Arc::new(streams.new_outbox(limits).of_one_at_a_time());
            streams.write().by_stream.insert(0, outbox);
        } else {
            directory.add(source, &streams);
        }
        streams
    }

    /// Something reads port `control` of the source half.
    pub(crate) fn tell(&self) {
        self.tells.store(true, Relaxed);
        self.read().all().iter().for_each(|outbox| outbox.tell_pressure());
    }

    /// Itself, unless a drain of its connector lets its connections go.
    pub(crate) fn if_let_go_later(self: Arc<Self>) -> Option<Arc<Self>> {
        (!self.is_per_origin()).then_some(self)
    }

    /// Whether its connections are opened for the origins of events.
    pub(crate) fn is_per_origin(&self) -> bool {
        self.pairs.is_some()
    }

    fn is_single(&self) -> bool {
        self.addressing == Addressing::Single
    }

    fn new_outbox(&self, limits: SendQueue) -> Outbox {
        let outbox = Outbox::new(self.coding.encoder(), limits, self.shared.counters.clone())
            .of_type(self.frame_type)
            .looked_at_by(self.outgoing.clone());
        if self.tells.load(Relaxed) {
            outbox.tell_pressure();
        }
        outbox
    }

    /// Adds a connection that just opened; `meta` is that of the events that come from there, `queue` what may wait
    /// for it, if that is not what the connector says, and `outgoing` looks at that.
    pub(crate) fn open(
        &self,
        stream: u64,
        address: &Address,
        meta: &Value,
        (queue, outgoing): (Option<&SendQueue>, Option<&Arc<dyn Outgoing>>),
        joining: Option<&Joining>,
    ) -> Arc<Outbox> {
        if let Some(outbox) = self.opened(address.conn) {
            // All of them have the same peer, so nobody is found by that.
            self.write().insert(stream, address.conn, outbox.clone(), meta.clone());
            if self.draining.has_begun() {
                outbox.end(Ending::of_pair());
            }
            return outbox;
        }
        let leads_back = self.leads_to(meta, address.conn).then(|| meta.clone());
        let mut outbox = self.new_outbox(queue.copied().unwrap_or(self.limits));
        if outgoing.is_some() || joining.is_some() {
            outbox = outbox.looked_at_by(outgoing.cloned());
        }
        let outbox = Arc::new(outbox.of_connection(address.conn, leads_back).joined_by(joining));
        let kept = joining.map(|joining| self.resume(joining, &outbox, meta));
        {
            let mut table = self.write();
            table.insert(stream, address.conn, outbox.clone(), meta.clone());
            table.name(stream, address);
        }
        // Until here nothing could be kept that was not sent to it.
        drop(kept);
        // Behind that, so that a drain that begins now sees it in one of two ways.
        if self.draining.has_begun() {
            outbox.end(Ending::GoingAway);
        }
        outbox
    }

    /// Whether events with this metadata are for connection `conn` and nobody else.
    fn leads_to(&self, meta: &Value, conn: u64) -> bool {
        !self.is_single()
            && meta.get(self.kind).is_some_and(|instructions| {
                instructions.get("to").is_none()
                    && instructions.get("conn").and_then(Value::as_u64) == Some(conn)
            })
    }

    /// Removes a connection; what it had not written fails. Its partner ends, too, unless all of them do; `is_broken`: it
    /// did not come to its end.
    pub(crate) fn close(&self, stream: u64, address: &Address, is_broken: bool) {
        let outbox = self.remove(stream, address);
        let broken = is_broken.then(|| Farewell { code: ABNORMAL, reason: "".into() });
        let farewell = outbox.as_ref().and_then(|outbox| outbox.farewell()).or(broken);
        if let Some(outbox) = outbox {
            let cause = format!("{address} has ended");
            self.shared.log_failure(outbox.close(), &cause);
            // For what is on its way here.
            outbox.note_cause(cause);
            self.draining.unanswered(outbox.unanswered());
        }
        // Behind a drain those in front end by themselves, when they have got what came.
        let is_passed_on = !(self.is_per_origin() && self.draining.has_begun());
        self.part(address.conn, farewell.as_ref().filter(|_| is_passed_on));
        self.tell_partners(stream, farewell.as_ref());
        self.gone.notify_waiters();
    }

    /// The only outbox, with fresh codec state: a new connection begins, whose events have this metadata.
    pub(crate) fn single(&self, conn: u64, meta: &Value) -> Option<Arc<Outbox>> {
        let mut table = self.write();
        let outbox = table.by_stream.get(&0).cloned()?;
        table.set_single(conn, outbox.clone(), meta.clone());
        drop(table);
        outbox.reset(self.coding.encoder());
        Some(outbox)
    }

    /// The one connection there was has gone.
    pub(crate) fn no_single(&self) {
        if self.is_single() {
            let mut table = self.write();
            table.no_single();
            table.by_stream.values().for_each(|outbox| outbox.goes_away());
            drop(table);
            self.gone.notify_waiters();
        }
    }

    /// Fails all that waits and all that comes: nothing will be written any more.
    pub(crate) fn give_up(&self, cause: &str) {
        let outboxes: Vec<_> = self.read().by_stream.values().cloned().collect();
        let lost = outboxes.iter().map(|outbox| outbox.close()).sum();
        self.shared.failed_already(lost, cause);
    }

    /// Tells those who hear of queues how much waits in each; gives how many messages wait of which nobody hears.
    pub(crate) fn tell_depths(&self) -> usize {
        let of_table: usize = self.read().by_stream.values().map(|outbox| outbox.tell_depth()).sum();
        of_table + self.pairs.as_ref().map_or(0, Pairs::waiting)
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encodes what is for several connections, from element `first` on.
    fn encode(&self, items: &[Item<'_>], first: usize, left: &mut Left<'_>) {
        let Some(common) = self.common.as_ref().filter(|_| left.has_common) else { return };
        left.has_common = false;
        let mut encoder = common.lock().unwrap_or_else(PoisonError::into_inner);
        let places = left.extras.iter_mut().zip(items).skip(first);
        for (extra, item) in places.filter(|(extra, _)| extra.is_common) {
            extra.shared = Some(Arc::new(Shared::new(&mut encoder, item, self.frame_type)));
        }
        encoder.rest();
    }

    /// Puts what is left into the outboxes, in order; gives the first one that has no room.
    fn put(&self, items: &[Item<'_>], left: &mut Left<'_>) -> Option<Arc<Outbox>> {
        loop {
            while let Some(run) = left.runs.get_mut(left.at) {
                // Taken out, so that it is let go where it is at hand and not behind all the others.
                let target = match mem::take(&mut run.goal) {
                    Goal::Outbox(target) => target,
                    // An answer to this one event; the sources in front go on (`spec/runtime.md` 10.1).
                    Goal::Nobody => {
                        left.fail_run(items, "there is no open connection it could go to");
                        continue;
                    }
                    Goal::Refused(cause) => {
                        left.fail_run(items, &cause);
                        continue;
                    }
                };
                let of_run = items.get(run.items.clone()).unwrap_or_default();
                let extras = left.extras.get(run.items.clone()).unwrap_or_default();
                let is_broadcast = left.port == Port::Broadcast;
                let Taken { taken, dropped, outcome } =
                    target.put(of_run, extras, is_broadcast, &mut |cause| self.shared.fail(1, &cause));
                left.took(taken);
                self.shared.log_dropped(dropped, || self.called(&target));
                match outcome {
                    Put::All => left.at += 1,
                    Put::Full => {
                        left.goes_on_with(target.clone());
                        return Some(target);
                    }
                    Put::Closed => {
                        left.lose_run(items, || self.why_shut(&target));
                    }
                }
            }
            if left.next >= items.len() {
                return None;
            }
            self.address(items, left);
        }
    }

    /// Waits for room and puts what is left into the outboxes, to the end.
    async fn put_slowly(&self, batch: EventBatch, mut left: Left<'_>) {
        let items = items(&batch);
        let port = left.port;
        self.put_all(&items, &mut left).await;
        drop((items, left));
        settle(batch, port);
    }

    /// Waits for room and puts what is left into the outboxes.
    async fn put_all(&self, items: &[Item<'_>], left: &mut Left<'_>) {
        while let Some(full) = self.put(items, left) {
            // Look again once we are sure to hear of room, or it might be made in between.
            let mut room = pin!(full.room());
            room.as_mut().enable();
            let is_full = self.put(items, left).is_some_and(|still| Arc::ptr_eq(&still, &full));
            if is_full && !wait(&full, room).await {
                let who = self.called(&full).unwrap_or_else(|| "the peer".to_owned());
                let cause = format!("slow consumer: {who} does not read what it is sent");
                if self.is_single() {
                    // In this order: a connection that is made meanwhile lets them go on.
                    self.shared.close();
                    let lost = full.give_up_for_now(&cause);
                    self.shared.log_failure(lost, &cause);
                    full.discarded(lost);
                    // What is at hand waits for the next connection.
                    continue;
                }
                full.note_cause(cause.clone());
                let waited = full.give_up();
                self.shared.log_failure(waited, &cause);
                let lost = waited + left.lose_run(items, || cause);
                full.discarded(lost);
            }
        }
    }

    /// A connection, as lines of the log name it, if there is one.
    fn called(&self, outbox: &Arc<Outbox>) -> Option<String> {
        self.read().called(outbox, self.kind)
    }

    /// Why nothing is written by way of that outbox any more.
    fn why_shut(&self, outbox: &Arc<Outbox>) -> String {
        if let Some(cause) = outbox.cause() {
            return cause.into();
        }
        let cause = self.shared.explained("no socket");
        match self.called(outbox).filter(|_| !self.is_single()) {
            Some(called) => format!("{cause}: {called} is about to end"),
            None => cause,
        }
    }

    /// Does what the events of a batch say.
    fn command_all(&self, batch: EventBatch) {
        for item in items(&batch) {
            self.shared.counters.received(1);
            let outcome = match self.command(&item) {
                Ok(()) => {
                    self.shared.counters.written(1);
                    Outcome::Delivered { took_ns: 0 }
                }
                Err(cause) => {
                    self.shared.fail(1, &cause);
                    Outcome::Failed
                }
            };
            settle_all(item.receipt.cloned(), outcome);
        }
        batch.settle(Outcome::Discarded);
    }
}

/// Waits for room; `false` if the connection is to be given up instead.
async fn wait(full: &Outbox, room: impl Future<Output = ()>) -> bool {
    match full.when_full() {
        WhenFull::Wait => {
            room.await;
            true
        }
        // Where there is no connection it is no peer that takes too long.
        WhenFull::WaitAtMost(patience) => {
            tokio::time::timeout(patience, room).await.is_ok() || !full.is_there()
        }
        WhenFull::Close if full.waits_for_another() => {
            room.await;
            true
        }
        WhenFull::Close => false,
        // These never wait.
        WhenFull::DropNewest | WhenFull::DropOldest | WhenFull::Conflate => {
            room.await;
            true
        }
    }
}

/// The elements of a batch.
fn items(batch: &EventBatch) -> SmallVec<[Item<'_>; 1]> {
    let mut items: SmallVec<[Item<'_>; 1]> = SmallVec::with_capacity(batch.len());
    for event in &batch.events {
        let item = |element| Item {
            element,
            id: &event.id,
            ingest_ns: event.ingest_ns,
            ends_event: false,
            receipt: event.receipt.as_ref(),
        };
        let before = items.len();
        event.elements().for_each(|element| items.push(item(element)));
        // A list may be empty: then the event before has ended already.
        if let Some(last) = items.get_mut(before..).and_then(|own| own.last_mut()) {
            last.ends_event = true;
        }
    }
    items
}

/// Every element that is addressed had a branch of its own for each of its targets: those of the events have nothing to
/// add to theirs. What is for everybody is handled when all have it or have left it out (`spec/websocket.md` 13).
fn settle(batch: EventBatch, port: Port) {
    batch.settle(match port {
        Port::Broadcast => Outcome::Delivered { took_ns: 0 },
        Port::In | Port::Control => Outcome::Discarded,
    });
}

#[async_trait]
impl Deliver for Streams {
    fn deliver(&self, port: usize, batch: EventBatch) -> Handed<'_> {
        let port = self.ports.get(port).copied().unwrap_or(Port::In);
        if port == Port::Control {
            self.command_all(batch);
            return Handed::done();
        }
        if let Some(replays) = &self.replays {
            return Handed::later(self.deliver_and_keep(replays, batch, port));
        }
        let (left, is_full) = {
            let items = items(&batch);
            if let Some(summons) = self.summons.as_ref().filter(|summons| summons.listens()) {
                self.call(summons, &items);
            }
            if let Some(outgoing) = &self.outgoing
                && let Some(ready) = outgoing.prepare(&mut items.iter().map(|item| item.element.meta.base()))
            {
                drop(items);
                return Handed::later(async move {
                    ready.await;
                    self.put_slowly(batch, Left::new(&self.shared, port)).await;
                });
            }
            let mut left = Left::new(&self.shared, port);
            if let Some(target) = self.all_led_back(port, &items) {
                let received = items.len() as u64;
                self.shared.counters.received(received);
                let Taken { taken, dropped, outcome } =
                    target.put(&items, &[], false, &mut |cause| self.shared.fail(1, &cause));
                if outcome == Put::All && dropped == 0 {
                    drop((items, left));
                    settle(batch, port);
                    return Handed::done();
                }
                self.shared.log_dropped(dropped, || self.called(&target));
                left.only_for(target, taken..items.len());
            }
            let is_full = self.put(&items, &mut left).is_some();
            (left, is_full)
        };
        if is_full {
            return Handed::later(self.put_slowly(batch, left));
        }
        settle(batch, port);
        Handed::done()
    }

    async fn signal(&self, signal: Signal) {
        if let Signal::Drain { source } = signal {
            self.shared.board.arrived(source, self.shared.id);
        }
    }

    fn held(&self) -> Option<usize> {
        Some(self.read().by_stream.values().map(|outbox| outbox.held().0).sum())
    }
}
