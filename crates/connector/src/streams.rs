//! The sink of connectors whose connections are read and written by one task each.

use crate::{
    Deliver, Handed, SinkShared,
    duplex::Address,
    outbox::{Item, Outbox, Put, SendQueue, Shared, WhenFull, is_shared},
};
use async_trait::async_trait;
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    pin::pin,
    sync::{Arc, Mutex, PoisonError, RwLock},
};
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

/// Open connections by stream id, and the way into their outboxes.
///
/// Whoever delivers encodes right into the outbox of the target: there is no task between.
pub(crate) struct Streams {
    shared: Arc<SinkShared>,
    source: u64,
    addressing: Addressing,
    limits: SendQueue,
    coding: Resolver,
    /// Encodes what several connections are sent, if their encoders would all give the same.
    common: Option<Mutex<Encoder>>,
    table: RwLock<Table>,
}

#[derive(Default)]
struct Table {
    by_stream: HashMap<u64, Arc<Outbox>, RandomState>,
    by_conn: HashMap<u64, Arc<Outbox>, RandomState>,
    by_peer: HashMap<String, HashMap<u16, u64>>,
}

impl Streams {
    pub(crate) fn new(
        shared: Arc<SinkShared>,
        source: u64,
        addressing: Addressing,
        limits: SendQueue,
        coding: Resolver,
    ) -> Self {
        let common = (addressing != Addressing::Single).then(|| coding.encoder());
        let common = common.filter(Encoder::is_stateless).map(Mutex::new);
        let streams = Self { shared, source, addressing, limits, coding, common, table: RwLock::default() };
        if addressing == Addressing::Single {
            let outbox = Arc::new(streams.new_outbox(None));
            streams.write().by_stream.insert(0, outbox);
        }
        streams
    }

    fn new_outbox(&self, own_meta: Option<Value>) -> Outbox {
        let finish_events = self.addressing == Addressing::Single;
        let encoder = self.coding.encoder();
        Outbox::new(encoder, self.limits, finish_events, own_meta, self.shared.counters.clone())
    }

    /// Adds a connection that just opened; `meta` is that of the events that come from there.
    pub(crate) fn open(&self, stream: u64, address: &Address, meta: &Value) -> Arc<Outbox> {
        let leads_back = self.leads_to(meta, address.conn);
        let outbox = Arc::new(self.new_outbox(leads_back.then(|| meta.clone())));
        let mut table = self.write();
        table.by_stream.insert(stream, outbox.clone());
        table.by_conn.insert(address.conn, outbox.clone());
        table.by_peer.entry(address.host.clone()).or_default().insert(address.port, stream);
        outbox
    }

    /// Whether events with this metadata are for connection `conn` and nobody else.
    fn leads_to(&self, meta: &Value, conn: u64) -> bool {
        let Addressing::Many { kind } = self.addressing else { return false };
        meta.get(kind).is_some_and(|instructions| {
            instructions.get("to").is_none() && instructions.get("conn").and_then(Value::as_u64) == Some(conn)
        })
    }

    /// Removes a connection; what it had not written fails.
    pub(crate) fn close(&self, stream: u64, address: &Address) {
        let mut table = self.write();
        let outbox = table.by_stream.remove(&stream);
        table.by_conn.remove(&address.conn);
        if let Some(ports) = table.by_peer.get_mut(&address.host) {
            // A new connection may have the same port already.
            if ports.get(&address.port) == Some(&stream) {
                ports.remove(&address.port);
            }
            if ports.is_empty() {
                table.by_peer.remove(&address.host);
            }
        }
        drop(table);
        if let Some(outbox) = outbox {
            self.shared.failed_already(outbox.close(), "the connection has ended");
        }
    }

    /// The only outbox, with fresh codec state: a new connection begins.
    pub(crate) fn single(&self) -> Option<Arc<Outbox>> {
        let outbox = self.read().by_stream.get(&0).cloned();
        if let Some(outbox) = &outbox {
            outbox.reset(self.coding.encoder());
        }
        outbox
    }

    /// Fails all that waits and all that comes: nothing will be written any more.
    pub(crate) fn give_up(&self, cause: &str) {
        let outboxes: Vec<_> = self.read().by_stream.values().cloned().collect();
        let lost = outboxes.iter().map(|outbox| outbox.close()).sum();
        self.shared.failed_already(lost, cause);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which elements go to which connections, in order.
    fn address<'a>(&'a self, items: &[Item<'_>]) -> Left<'a> {
        let table = self.read();
        let mut runs: Runs = SmallVec::new();
        // What led to the target of the last run: further elements like this one need no search.
        let mut way: Option<&Item<'_>> = None;
        let mut is_for_several: Vec<bool> = Vec::new();
        for (number, item) in items.iter().enumerate() {
            let own = number..number + 1;
            if way.is_some_and(|way| leads_on(way, item))
                && let Some(run) = runs.last_mut()
            {
                run.items.end = own.end;
                continue;
            }
            let targets = self.targets(&table, item);
            way = (targets.len() == 1).then_some(item);
            if targets.len() > 1 && self.common.is_some() {
                is_for_several.resize(items.len(), false);
                is_for_several.get_mut(number).into_iter().for_each(|is_so| *is_so = true);
            }
            if targets.is_empty() {
                runs.push(Run { target: None, items: own.clone() });
            }
            for target in targets {
                match runs.last_mut() {
                    Some(run) if run.is_continued(&target, number) => run.items.end = own.end,
                    _ => runs.push(Run { target: Some(target), items: own.clone() }),
                }
            }
        }
        drop(table);
        Left::new(&self.shared, runs, self.encode(items, &is_for_several))
    }

    /// Encodes those of `items` that `is_wanted`.
    fn encode(&self, items: &[Item<'_>], is_wanted: &[bool]) -> Vec<Option<Arc<Shared>>> {
        let Some(common) = self.common.as_ref().filter(|_| !is_wanted.is_empty()) else { return Vec::new() };
        let mut encoder = common.lock().unwrap_or_else(PoisonError::into_inner);
        let encode = |(item, is_wanted): (&Item<'_>, &bool)| {
            is_wanted.then(|| Arc::new(Shared::new(&mut encoder, item)))
        };
        let encoded = items.iter().zip(is_wanted).map(encode).collect();
        encoder.rest();
        encoded
    }

    /// The outboxes that an element is for (`spec/websocket.md` 6.4).
    fn targets(&self, table: &Table, item: &Item<'_>) -> Targets {
        let Addressing::Many { kind } = self.addressing else {
            return table.by_stream.values().cloned().collect();
        };
        // Most often an answer has the metadata of what it answers, which was looked into when the connection opened.
        if item.id.source == self.source
            && let Some(outbox) = table.by_stream.get(&item.id.stream)
            && outbox.own_meta().is_some_and(|own| is_shared(own, item.element.meta))
        {
            return Targets::from_buf([outbox.clone()]);
        }
        if let Some(instructions) = item.element.meta.get(kind) {
            if let Some(to) = instructions.get("to") {
                return table.of_conns(to);
            }
            if let Some(outbox) = table.addressed(instructions) {
                return Targets::from_buf([outbox]);
            }
        }
        let own = item.id.tracked().filter(|tracked| tracked.source == self.source);
        own.filter_map(|tracked| table.by_stream.get(&tracked.stream).cloned()).collect()
    }

    /// Puts what is left into the outboxes, in order; gives the first one that has no room.
    fn put(&self, items: &[Item<'_>], left: &mut Left<'_>) -> Option<Arc<Outbox>> {
        while let Some(run) = left.runs.get_mut(left.at) {
            // Taken out, so that it is let go where it is at hand and not behind all the others.
            let Some(target) = run.target.take() else {
                // An answer to this one event; the sources in front go on (`spec/runtime.md` 10.1).
                left.fail_run(items, "there is no open connection it could go to");
                continue;
            };
            let of_run = items.get(run.items.clone()).unwrap_or_default();
            let common = left.common.get(run.items.clone()).unwrap_or_default();
            let (taken, outcome) = target.put(of_run, common, &mut |cause| self.shared.fail(1, &cause));
            left.took(taken);
            match outcome {
                Put::All => left.at += 1,
                Put::Full => {
                    left.goes_on_with(target.clone());
                    return Some(target);
                }
                Put::Closed => left.fail_run(items, &self.shared.explained("no socket")),
            }
        }
        None
    }

    /// Waits for room and puts what is left into the outboxes, to the end.
    async fn put_slowly(&self, batch: EventBatch, mut left: Left<'_>) {
        let items = items(&batch);
        while let Some(full) = self.put(&items, &mut left) {
            // Look again once we are sure to hear of room, or it might be made in between.
            let mut room = pin!(full.room());
            room.as_mut().enable();
            let is_full = self.put(&items, &mut left).is_some_and(|still| Arc::ptr_eq(&still, &full));
            if is_full && !wait(full.when_full(), room).await {
                self.shared.failed_already(full.give_up(), SLOW_CONSUMER);
                left.fail_run(&items, SLOW_CONSUMER);
            }
        }
        drop(items);
        settle(batch);
    }
}

const SLOW_CONSUMER: &str = "slow consumer: the peer does not read what it is sent";

/// Waits for room; `false` if the connection is to be given up instead.
async fn wait(when_full: WhenFull, room: impl Future<Output = ()>) -> bool {
    match when_full {
        WhenFull::Wait => {
            room.await;
            true
        }
        WhenFull::WaitAtMost(patience) => tokio::time::timeout(patience, room).await.is_ok(),
        WhenFull::Close => false,
    }
}

/// Elements in a row that are for the same connection: they are encoded under one lock.
struct Run {
    /// `None`: there is no such connection, or this run is behind us.
    target: Option<Arc<Outbox>>,
    /// Their numbers in the batch.
    items: Range<usize>,
}

impl Run {
    /// Whether element `number`, which is for `target`, can be added.
    fn is_continued(&self, target: &Arc<Outbox>, number: usize) -> bool {
        self.items.end == number && self.target.as_ref().is_some_and(|own| Arc::ptr_eq(own, target))
    }
}

type Runs = SmallVec<[Run; 1]>;

/// What is left to do for a batch. Its elements were received and are in nobody's hands yet: they fail if this is
/// dropped.
struct Left<'a> {
    shared: &'a SinkShared,
    runs: Runs,
    /// At the places of elements that are for several connections: what those are sent. Empty if there are none.
    common: Vec<Option<Arc<Shared>>>,
    /// The run at hand.
    at: usize,
    /// Elements, once for each of their targets.
    elements: usize,
}

impl<'a> Left<'a> {
    fn new(shared: &'a SinkShared, runs: Runs, common: Vec<Option<Arc<Shared>>>) -> Self {
        let elements = runs.iter().map(|run| run.items.len()).sum();
        shared.counters.received(elements as u64);
        Self { shared, runs, common, at: 0, elements }
    }

    /// So many elements of the run at hand are in an outbox.
    fn took(&mut self, elements: usize) {
        self.elements = self.elements.saturating_sub(elements);
        if let Some(run) = self.runs.get_mut(self.at) {
            run.items.start += elements;
        }
    }

    /// What is left of the run at hand is for `target`.
    fn goes_on_with(&mut self, target: Arc<Outbox>) {
        if let Some(run) = self.runs.get_mut(self.at) {
            run.target = Some(target);
        }
    }

    /// What is left of the run at hand goes nowhere.
    fn fail_run(&mut self, items: &[Item<'_>], cause: &str) {
        let Some(run) = self.runs.get(self.at) else { return };
        let lost = items.get(run.items.clone()).unwrap_or_default();
        self.at += 1;
        self.elements = self.elements.saturating_sub(lost.len());
        self.shared.fail(lost.len() as u64, cause);
        settle_all(lost.iter().filter_map(|item| item.receipt.cloned()), Outcome::Failed);
    }
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.shared.counters.failed(self.elements as u64);
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

/// Whether what leads one element to its targets leads another one there, too.
fn leads_on(known: &Item<'_>, item: &Item<'_>) -> bool {
    is_shared(known.element.meta, item.element.meta) && known.id.is_of_same_streams(item.id)
}

/// Every element had a branch of its own for each of its targets: those of the events have nothing to add to theirs.
fn settle(batch: EventBatch) {
    batch.settle(Outcome::Discarded);
}

#[async_trait]
impl Deliver for Streams {
    fn deliver(&self, _port: usize, batch: EventBatch) -> Handed<'_> {
        let (left, is_full) = {
            let items = items(&batch);
            let mut left = self.address(&items);
            let is_full = self.put(&items, &mut left).is_some();
            (left, is_full)
        };
        if is_full {
            return Handed::later(self.put_slowly(batch, left));
        }
        settle(batch);
        Handed::done()
    }

    async fn signal(&self, signal: Signal) {
        if let Signal::Drain { source } = signal {
            self.shared.board.arrived(source, self.shared.id);
        }
    }

    fn held(&self) -> Option<usize> {
        Some(self.read().by_stream.values().map(|outbox| outbox.held()).sum())
    }
}

type Targets = SmallVec<[Arc<Outbox>; 1]>;

impl Table {
    fn addressed(&self, instructions: &Value) -> Option<Arc<Outbox>> {
        let conn = instructions.get("conn").and_then(Value::as_u64);
        if let Some(outbox) = conn.and_then(|conn| self.by_conn.get(&conn)) {
            return Some(outbox.clone());
        }
        let peer = instructions.get("peer")?;
        let port = u16::try_from(peer.get("port")?.as_u64()?).ok()?;
        let stream = self.by_peer.get(peer.get("host")?.as_str()?)?.get(&port)?;
        self.by_stream.get(stream).cloned()
    }

    /// Each connection once, in the order in which they are named.
    fn of_conns(&self, to: &Value) -> Targets {
        let named = to.as_array().unwrap_or(std::slice::from_ref(to));
        let mut targets = Targets::with_capacity(named.len());
        // Most lists are in the order in which their connections came: then none can be in there twice.
        let (mut last, mut is_ascending) = (None, true);
        for conn in named.iter().filter_map(Value::as_u64) {
            is_ascending &= last < Some(conn);
            last = Some(conn);
            if let Some(target) = self.by_conn.get(&conn) {
                targets.push(target.clone());
            }
        }
        if !is_ascending {
            let mut seen = HashSet::with_capacity_and_hasher(targets.len(), RandomState::default());
            targets.retain(|target| seen.insert(Arc::as_ptr(target)));
        }
        targets
    }
}
