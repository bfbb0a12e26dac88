//! Open connections, and how they are found.

use super::filter::Filter;
use crate::{duplex::Address, outbox::Outbox};
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tremor_event::EventId;
use tremor_value::Value;

/// Connections that an element is for.
pub(super) type Targets = SmallVec<[Arc<Outbox>; 1]>;

/// Open connections by stream, id and peer.
#[derive(Default)]
pub(super) struct Table {
    pub(super) by_stream: HashMap<u64, Arc<Outbox>, RandomState>,
    by_conn: HashMap<u64, Entry, RandomState>,
    by_peer: HashMap<String, HashMap<u16, u64>>,
}

/// One connection.
struct Entry {
    outbox: Arc<Outbox>,
    /// The metadata of what comes from there.
    meta: Value,
    stream: u64,
}

impl Table {
    /// Adds a connection; what comes from there has `meta`.
    pub(super) fn insert(&mut self, stream: u64, conn: u64, outbox: Arc<Outbox>, meta: Value) {
        self.by_stream.insert(stream, outbox.clone());
        self.by_conn.insert(conn, Entry { outbox, meta, stream });
    }

    /// A connection that was added is found by its peer, too, where that has a port: several may come from one host.
    pub(super) fn name(&mut self, stream: u64, address: &Address) {
        let Some(port) = address.port else { return };
        self.by_peer.entry(address.host.clone()).or_default().insert(port, stream);
    }

    /// Removes a connection.
    pub(super) fn remove(&mut self, stream: u64, address: &Address) -> Option<Arc<Outbox>> {
        let outbox = self.by_stream.remove(&stream);
        self.by_conn.remove(&address.conn);
        if let (Some(ports), Some(port)) = (self.by_peer.get_mut(&address.host), address.port) {
            // A new connection may have the same port already.
            if ports.get(&port) == Some(&stream) {
                ports.remove(&port);
            }
            if ports.is_empty() {
                self.by_peer.remove(&address.host);
            }
        }
        outbox
    }

    /// The one connection there is has this id and metadata from now on.
    pub(super) fn set_single(&mut self, conn: u64, outbox: Arc<Outbox>, meta: Value) {
        self.by_conn.clear();
        self.by_conn.insert(conn, Entry { outbox, meta, stream: 0 });
    }

    /// The one connection there was has gone.
    pub(super) fn no_single(&mut self) {
        self.by_conn.clear();
    }

    /// All connections.
    pub(super) fn all(&self) -> Targets {
        self.by_stream.values().cloned().collect()
    }

    /// Ids of all connections.
    pub(super) fn conns(&self) -> impl Iterator<Item = u64> {
        self.by_conn.keys().copied()
    }

    /// Ids of the connections that `filter` admits.
    pub(super) fn admitted(&self, filter: &Filter<'_>) -> Vec<u64> {
        let admitted = self.by_conn.iter().filter(|(_, entry)| filter.admits(&entry.meta));
        admitted.map(|(conn, _)| *conn).collect()
    }

    /// The connections of `conns` that are open and that `filter` admits, in that order.
    pub(super) fn of_conns(
        &self,
        conns: impl Iterator<Item = u64>,
        filter: Option<&Filter<'_>>,
        is_left_out: impl Fn(u64) -> bool,
    ) -> Targets {
        let entries = conns.filter(|conn| !is_left_out(*conn)).filter_map(|conn| self.by_conn.get(&conn));
        let admitted = entries.filter(|entry| filter.is_none_or(|filter| filter.admits(&entry.meta)));
        admitted.map(|entry| entry.outbox.clone()).collect()
    }

    /// All connections, with the metadata of what comes from them.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Arc<Outbox>, &Value)> {
        self.by_conn.values().map(|entry| (&entry.outbox, &entry.meta))
    }

    /// The connection with this id.
    pub(super) fn of_conn(&self, conn: u64) -> Option<&Arc<Outbox>> {
        self.by_conn.get(&conn).map(|entry| &entry.outbox)
    }

    /// Id of the connection that is `stream`.
    pub(super) fn conn_of(&self, stream: u64) -> Option<u64> {
        self.by_stream.get(&stream).map(|outbox| outbox.conn())
    }

    /// The connection behind `outbox`, as lines of the log name it; `None` if there is none. `kind` is the metadata key.
    pub(super) fn called(&self, outbox: &Arc<Outbox>, kind: &str) -> Option<String> {
        let is_it = |(_, entry): &(&u64, &Entry)| Arc::ptr_eq(&entry.outbox, outbox);
        let (conn, entry) = match outbox.conn() {
            // That of one connection at a time.
            0 => self.by_conn.iter().find(is_it)?,
            conn => self.by_conn.get_key_value(&conn)?,
        };
        let peer = entry.meta.get(kind).and_then(|of_kind| of_kind.get("peer"));
        let host = peer.and_then(|peer| peer.get("host")?.as_str());
        let port = peer.and_then(|peer| u16::try_from(peer.get("port")?.as_u64()?).ok());
        Some(match host {
            Some(host) => Address { conn: *conn, host: host.to_owned(), port }.to_string(),
            None => format!("connection {conn}"),
        })
    }

    /// The metadata of what comes from connection `conn`.
    pub(super) fn meta_of(&self, conn: u64) -> Option<&Value> {
        self.by_conn.get(&conn).map(|entry| &entry.meta)
    }

    /// The stream of connection `conn`.
    pub(super) fn stream_of(&self, conn: u64) -> Option<u64> {
        self.by_conn.get(&conn).map(|entry| entry.stream)
    }

    /// The connection that `conn` of an element's metadata names, or `peer` where there is no `conn`: whoever has the address
    /// of a connection that has gone is somebody else.
    pub(super) fn addressed(&self, instructions: &Value) -> Option<Arc<Outbox>> {
        if let Some(conn) = instructions.get("conn").and_then(Value::as_u64) {
            return self.of_conn(conn).cloned();
        }
        let peer = instructions.get("peer")?;
        let port = u16::try_from(peer.get("port")?.as_u64()?).ok()?;
        let stream = self.by_peer.get(peer.get("host")?.as_str()?)?.get(&port)?;
        self.by_stream.get(stream).cloned()
    }

    /// The connections of source `source` that an event came from.
    pub(super) fn origins(&self, id: &EventId, source: u64) -> Targets {
        let own = id.tracked().filter(|tracked| tracked.source == source);
        own.filter_map(|tracked| self.by_stream.get(&tracked.stream).cloned()).collect()
    }

    /// Changes the metadata of a connection, which hears of it. `false` if there is no such connection.
    pub(super) fn change_meta(&mut self, conn: u64, change: impl FnOnce(&mut Value)) -> bool {
        let Some(entry) = self.by_conn.get_mut(&conn) else { return false };
        change(&mut entry.meta);
        entry.outbox.set_meta(entry.meta.clone());
        true
    }
}

/// Ids as they are written: one, or a list of them. Each once, in the order in which they are named.
pub(super) fn named(conns: &Value) -> Vec<u64> {
    let named = conns.as_array().unwrap_or(std::slice::from_ref(conns));
    let mut ids = Vec::with_capacity(named.len());
    // Most lists are in the order in which their connections came: then none can be in there twice.
    let (mut last, mut is_ascending) = (None, true);
    for conn in named.iter().filter_map(Value::as_u64) {
        is_ascending &= last < Some(conn);
        last = Some(conn);
        ids.push(conn);
    }
    if !is_ascending {
        let mut seen = HashSet::with_capacity_and_hasher(ids.len(), RandomState::default());
        ids.retain(|conn| seen.insert(*conn));
    }
    ids
}
