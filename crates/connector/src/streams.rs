//! The sink of connectors whose connections are read and written by one task each.

mod addressing;
mod commands;
mod delivering;
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
    Joining, Replay, SinkShared,
    duplex::{Address, Ending, Outgoing},
    outbox::{Farewell, FrameType, Outbox, SendQueue},
    summons::{JudgeOpen, Summons},
};
pub use commands::{Command, Connections};
pub(crate) use directory::Directory;
pub use draining::DrainTimes;
use draining::Draining;
use foldhash::fast::RandomState;
use kept::Replays;
use pairs::Pairs;
pub use pairs::{Opening, Openings, PerOrigin};
use smallvec::SmallVec;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use table::{Table, Targets};
use tokio::sync::Notify;
use tremor_codec::{Encoder, Resolver};
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

    /// Whether there is one connection, which may come back.
    pub(crate) fn is_single(&self) -> bool {
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
            // If there is a better one it is noted, also for what is on its way here.
            outbox.note_cause(format!("{address} has ended"));
            let lost = outbox.close();
            self.shared.log_lost(lost, outbox.cause().as_deref().unwrap_or_default());
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
        self.shared.log_all_lost(lost, cause);
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
}
