//! The sink of connectors whose connections are read and written by one task each.

use crate::{
    Deliver, SinkShared,
    duplex::Address,
    outbox::{Capacity, Outbox, Put},
};
use async_trait::async_trait;
use smallvec::SmallVec;
use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tremor_codec::Resolver;
use tremor_event::{Element, EventBatch, EventId, Signal};
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
        /// How long a full outbox may delay its senders before the connection is given up.
        patience: Duration,
    },
}

/// Open connections by stream id, and the way into their outboxes.
///
/// Whoever delivers encodes right into the outbox of the target: there is no task between.
pub(crate) struct Streams {
    shared: Arc<SinkShared>,
    source: u64,
    addressing: Addressing,
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
        coding: Resolver,
    ) -> Self {
        let streams = Self { shared, source, addressing, coding, table: RwLock::default() };
        if addressing == Addressing::Single {
            let outbox = Arc::new(streams.new_outbox());
            streams.write().by_stream.insert(0, outbox);
        }
        streams
    }

    fn new_outbox(&self) -> Outbox {
        Outbox::new(self.coding.encoder(), Capacity::default(), self.shared.counters.clone())
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
            outbox.close();
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

    /// Fails all that waits and all that comes: there will be no connection any more.
    pub(crate) fn give_up(&self) {
        self.read().by_stream.values().for_each(|outbox| outbox.close());
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
        let Addressing::Many { kind, .. } = self.addressing else {
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

    async fn put(&self, target: &Outbox, element: Element<'_>, ingest_ns: u64) -> Result<(), String> {
        self.shared.counters.received(1);
        loop {
            let put = match target.put(element, ingest_ns) {
                Put::Full => {
                    // Look again once we are sure to hear of room, or it might be made in between.
                    let mut room = pin!(target.room());
                    room.as_mut().enable();
                    match target.put(element, ingest_ns) {
                        Put::Full => {
                            self.wait(target, room).await?;
                            continue;
                        }
                        put => put,
                    }
                }
                put => put,
            };
            return match put {
                Put::Queued | Put::Full => Ok(()),
                Put::Closed => Err("no socket".into()),
                Put::Unencodable(cause) => Err(cause),
            };
        }
    }

    async fn wait(&self, target: &Outbox, room: impl Future<Output = ()>) -> Result<(), String> {
        match self.addressing {
            Addressing::Single => room.await,
            Addressing::Many { patience, .. } => {
                if tokio::time::timeout(patience, room).await.is_err() {
                    target.give_up();
                    return Err("slow consumer: the peer does not read what it is sent".into());
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Deliver for Streams {
    async fn deliver(&self, _port: usize, batch: EventBatch) {
        for event in &batch.events {
            for element in event.elements() {
                let targets = self.targets(element, &event.id);
                if targets.is_empty() {
                    self.shared.counters.received(1);
                    self.shared.fail(1, "there is no open connection it could go to");
                }
                for target in targets {
                    if let Err(cause) = self.put(&target, element, event.ingest_ns).await {
                        self.shared.fail(1, &cause);
                    }
                }
            }
        }
    }

    async fn signal(&self, signal: Signal) {
        if let Signal::Drain { source } = signal {
            self.shared.board.arrived(source, self.shared.id);
        }
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

    fn of_conns(&self, to: &Value) -> Targets {
        let conns = to.as_array().unwrap_or(std::slice::from_ref(to)).iter().filter_map(Value::as_u64);
        let streams = conns.filter_map(|conn| self.by_conn.get(&conn));
        streams.filter_map(|stream| self.by_stream.get(stream).cloned()).collect()
    }
}
