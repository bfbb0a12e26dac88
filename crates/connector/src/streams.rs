//! The sink of connectors whose connections are read and written by one task each.

use crate::{
    Deliver, SinkShared,
    duplex::Address,
    outbox::{Item, Outbox, Put, SendQueue, WhenFull, is_shared},
};
use async_trait::async_trait;
use smallvec::SmallVec;
use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{Arc, PoisonError, RwLock},
};
use tremor_codec::Resolver;
use tremor_event::{Element, EventBatch, EventId, Outcome, Signal, settle_all};
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
    table: RwLock<Table>,
}

#[derive(Default)]
struct Table {
    by_stream: HashMap<u64, Arc<Outbox>>,
    by_conn: HashMap<u64, u64>,
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
        let streams = Self { shared, source, addressing, limits, coding, table: RwLock::default() };
        if addressing == Addressing::Single {
            let outbox = Arc::new(streams.new_outbox());
            streams.write().by_stream.insert(0, outbox);
        }
        streams
    }

    fn new_outbox(&self) -> Outbox {
        let finish_events = self.addressing == Addressing::Single;
        Outbox::new(self.coding.encoder(), self.limits, finish_events, self.shared.counters.clone())
    }

    /// Adds a connection that just opened.
    pub(crate) fn open(&self, stream: u64, address: &Address) -> Arc<Outbox> {
        let outbox = Arc::new(self.new_outbox());
        let mut table = self.write();
        table.by_stream.insert(stream, outbox.clone());
        table.by_conn.insert(address.conn, stream);
        table.by_peer.entry(address.host.clone()).or_default().insert(address.port, stream);
        outbox
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

    /// The outboxes that `element` is for (`spec/websocket.md` 6.4).
    fn targets(&self, element: Element<'_>, id: &EventId) -> Targets {
        let table = self.read();
        let Addressing::Many { kind } = self.addressing else {
            return table.by_stream.values().cloned().collect();
        };
        if let Some(instructions) = element.meta.get(kind) {
            if let Some(to) = instructions.get("to") {
                return table.of_conns(to);
            }
            if let Some(outbox) = table.addressed(instructions) {
                return Targets::from_buf([outbox]);
            }
        }
        let own = id.tracked().filter(|tracked| tracked.source == self.source);
        own.filter_map(|tracked| table.by_stream.get(&tracked.stream).cloned()).collect()
    }

    /// Hands `items` to one connection, in order; waits while its outbox is full.
    async fn send(&self, target: &Outbox, items: &[Item<'_>]) {
        let mut unsettled = Unsettled::new(&self.shared, items.len());
        let mut rest = items;
        while !rest.is_empty() {
            let mut outcome = self.put(target, &mut rest, &mut unsettled);
            if outcome == Put::Full {
                // Look again once we are sure to hear of room, or it might be made in between.
                let mut room = pin!(target.room());
                room.as_mut().enable();
                outcome = self.put(target, &mut rest, &mut unsettled);
                if outcome == Put::Full && !wait(target.when_full(), room).await {
                    self.shared.failed_already(target.give_up(), SLOW_CONSUMER);
                    return unsettled.fail(rest, SLOW_CONSUMER);
                }
            }
            if outcome == Put::Closed {
                return unsettled.fail(rest, "no socket");
            }
        }
    }

    fn put(&self, target: &Outbox, rest: &mut &[Item<'_>], unsettled: &mut Unsettled<'_>) -> Put {
        let (taken, outcome) = target.put(rest, &mut |cause| self.shared.fail(1, &cause));
        *rest = rest.get(taken..).unwrap_or_default();
        unsettled.left = unsettled.left.saturating_sub(taken);
        outcome
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

/// Elements that were received and are in nobody's hands yet. They fail if whoever delivers them is dropped.
struct Unsettled<'a> {
    shared: &'a SinkShared,
    left: usize,
}

impl<'a> Unsettled<'a> {
    fn new(shared: &'a SinkShared, elements: usize) -> Self {
        shared.counters.received(elements as u64);
        Self { shared, left: elements }
    }

    /// `items` are those that are left.
    fn fail(mut self, items: &[Item<'_>], cause: &str) {
        self.shared.fail(std::mem::take(&mut self.left) as u64, cause);
        settle_all(items.iter().filter_map(|item| item.receipt.cloned()), Outcome::Failed);
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        self.shared.counters.failed(self.left as u64);
    }
}

/// Elements in a row that are for the same connection: they are encoded under one lock.
#[derive(Default)]
struct Run<'a> {
    target: Option<Arc<Outbox>>,
    /// What led to the target: further elements with the same metadata and origin need no search.
    way: Option<(&'a Value, &'a EventId)>,
    items: Vec<Item<'a>>,
}

impl<'a> Run<'a> {
    /// Whether an element like this goes to the same target.
    fn continues(&self, meta: &Value, id: &EventId) -> bool {
        self.way.is_some_and(|(known_meta, known_id)| {
            is_shared(known_meta, meta) && streams_of(known_id).eq(streams_of(id))
        })
    }
}

fn streams_of(id: &EventId) -> impl Iterator<Item = (u64, u64)> + '_ {
    id.tracked().map(|tracked| (tracked.source, tracked.stream))
}

#[async_trait]
impl Deliver for Streams {
    async fn deliver(&self, _port: usize, batch: EventBatch) {
        let mut run = Run { items: Vec::with_capacity(batch.len()), ..Run::default() };
        for event in &batch.events {
            let mut elements = event.elements().peekable();
            while let Some(element) = elements.next() {
                let item = Item {
                    element,
                    ingest_ns: event.ingest_ns,
                    ends_event: elements.peek().is_none(),
                    receipt: event.receipt.as_ref(),
                };
                if run.continues(element.meta, &event.id) {
                    run.items.push(item);
                    continue;
                }
                let targets = self.targets(element, &event.id);
                if let ([target], Some(current)) = (targets.as_slice(), &run.target)
                    && Arc::ptr_eq(target, current)
                {
                    run.way = Some((element.meta, &event.id));
                    run.items.push(item);
                    continue;
                }
                if let Some(target) = run.target.take() {
                    self.send(&target, &run.items).await;
                    run.items.clear();
                }
                run.way = None;
                match targets.as_slice() {
                    // An answer to this one event; the sources in front go on (`spec/runtime.md` 10.1).
                    [] => Unsettled::new(&self.shared, 1)
                        .fail(&[item], "there is no open connection it could go to"),
                    [target] => {
                        run.target = Some(target.clone());
                        run.way = Some((element.meta, &event.id));
                        run.items.push(item);
                    }
                    targets => {
                        for target in targets {
                            self.send(target, &[item]).await;
                        }
                    }
                }
            }
        }
        if let Some(target) = run.target {
            self.send(&target, &run.items).await;
        }
        // Every element has a branch of its own for each of its targets: this one has nothing to add to theirs.
        batch.settle(Outcome::Discarded);
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
        let stream = conn.and_then(|conn| self.by_conn.get(&conn)).or_else(|| {
            let peer = instructions.get("peer")?;
            let port = u16::try_from(peer.get("port")?.as_u64()?).ok()?;
            self.by_peer.get(peer.get("host")?.as_str()?)?.get(&port)
        });
        self.by_stream.get(stream?).cloned()
    }

    /// Each connection once, in the order in which they are named.
    fn of_conns(&self, to: &Value) -> Targets {
        let conns = to.as_array().unwrap_or(std::slice::from_ref(to)).iter().filter_map(Value::as_u64);
        let mut seen = HashSet::new();
        let streams = conns.filter_map(|conn| self.by_conn.get(&conn)).filter(|stream| seen.insert(**stream));
        streams.filter_map(|stream| self.by_stream.get(stream).cloned()).collect()
    }
}
