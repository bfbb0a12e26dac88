//! Counters that connections share.

use super::{Spread, lock, queue::Queue};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tremor_connector::duplex::{QueueTraffic, Traffic as Sent};
use tremor_value::Str;
use tremor_ws::{Incoming, ProtocolError};

/// In the order in which they are kept.
pub(super) const DIRECTIONS: [&str; 2] = ["in", "out"];

/// Close codes that are told apart: a peer may choose any.
const MAX_CODES: usize = 64;

/// What connections have in common that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) port: Str,
    pub(super) route: Option<u64>,
    pub(super) tls: bool,
}

/// What is counted of them.
#[derive(Default)]
pub(in crate::ws) struct Series {
    pub(super) active: AtomicU64,
    pub(super) opened: AtomicU64,
    /// By code, `None` for one too many, and by who ended them.
    pub(super) closed: Mutex<BTreeMap<(Option<u16>, &'static str), u64>>,
    pub(super) traffic: [Traffic; 2],
    pub(super) errors: Mutex<BTreeMap<&'static str, u64>>,
    /// Messages of ours that were not what their schemas say.
    pub(super) violations: AtomicU64,
    pub(super) round_trips: Mutex<Spread>,
    pub(super) ping_timeouts: AtomicU64,
    pub(super) queue: Arc<Queue>,
    /// Of their queues.
    pub(super) policy: &'static str,
}

impl Series {
    /// Nothing was counted; the queues of the connections have this policy.
    pub(super) fn new(policy: &'static str) -> Self {
        Self { policy, ..Self::default() }
    }
}

/// What passes in one direction.
#[derive(Default)]
pub(super) struct Traffic {
    /// Text, then binary.
    pub(super) messages: [AtomicU64; 2],
    pub(super) payload: AtomicU64,
    pub(super) wire: AtomicU64,
    pub(super) sizes: Mutex<Spread>,
    /// Payload and wire of the connections that compress.
    deflated: [AtomicU64; 2],
}

impl Traffic {
    /// Payload bytes per byte on the wire; `None` if nothing was compressed.
    pub(super) fn ratio(&self) -> Option<f64> {
        let [payload, wire] = self.deflated.each_ref().map(|bytes| bytes.load(Relaxed));
        #[expect(clippy::cast_precision_loss, reason = "a ratio need not be exact")]
        (wire > 0).then(|| payload as f64 / wire as f64)
    }

    fn wire(&self, bytes: u64, deflates: bool) {
        self.wire.fetch_add(bytes, Relaxed);
        if deflates {
            let [_, wire] = &self.deflated;
            wire.fetch_add(bytes, Relaxed);
        }
    }

    /// Sizes and kinds of messages.
    fn messages(&self, messages: &mut dyn Iterator<Item = (usize, bool)>, deflates: bool) {
        let (mut counts, mut payload) = ([0_u64; 2], 0_u64);
        let mut sizes = lock(&self.sizes);
        for (size, is_binary) in messages {
            let [text, binary] = &mut counts;
            *if is_binary { binary } else { text } += 1;
            payload += size as u64;
            sizes.add(size as u64);
        }
        drop(sizes);
        for (total, count) in self.messages.iter().zip(counts) {
            total.fetch_add(count, Relaxed);
        }
        self.payload.fetch_add(payload, Relaxed);
        if deflates {
            let [deflated, _] = &self.deflated;
            deflated.fetch_add(payload, Relaxed);
        }
    }
}

/// One open connection, as far as it is counted.
pub(in crate::ws) struct Link {
    series: Arc<Series>,
    deflates: bool,
    has_ended: AtomicBool,
}

impl Link {
    pub(super) fn new(series: Arc<Series>, deflates: bool) -> Arc<Self> {
        series.active.fetch_add(1, Relaxed);
        series.opened.fetch_add(1, Relaxed);
        Arc::new(Self { series, deflates, has_ended: AtomicBool::new(false) })
    }

    /// This came in one read.
    pub(in crate::ws) fn came(&self, incoming: &[Incoming]) {
        let mut messages = incoming.iter().filter_map(|item| match item {
            Incoming::Message { payload, binary, .. } => Some((payload.len(), *binary)),
            _ => None,
        });
        let [into, _] = &self.series.traffic;
        into.messages(&mut messages, self.deflates);
    }

    /// The peer broke a rule.
    pub(in crate::ws) fn broke(&self, error: &ProtocolError) {
        *lock(&self.series.errors).entry(error.kind().as_str()).or_default() += 1;
    }

    /// A message of the peer is not what its schema says.
    pub(in crate::ws) fn violated(&self) {
        *lock(&self.series.errors).entry("contract").or_default() += 1;
    }

    /// The connection has ended; only the first call counts.
    pub(in crate::ws) fn ended(&self, code: u16, by: &'static str) {
        if self.has_ended.swap(true, Relaxed) {
            return;
        }
        self.series.active.fetch_sub(1, Relaxed);
        let mut closed = lock(&self.series.closed);
        let is_known = closed.keys().any(|(known, _)| *known == Some(code));
        let code = (is_known || closed.len() < MAX_CODES).then_some(code);
        *closed.entry((code, by)).or_default() += 1;
    }

    /// A ping was answered after so long.
    pub(in crate::ws) fn round_trip(&self, took: Duration) {
        lock(&self.series.round_trips).add(super::micros(took));
    }

    /// A ping was not answered.
    pub(in crate::ws) fn ping_timed_out(&self) {
        self.series.ping_timeouts.fetch_add(1, Relaxed);
    }

    pub(super) fn read_bytes(&self, bytes: usize) {
        let [into, _] = &self.series.traffic;
        into.wire(bytes as u64, self.deflates);
    }

    pub(in crate::ws) fn wrote_bytes(&self, bytes: usize) {
        let [_, out] = &self.series.traffic;
        out.wire(bytes as u64, self.deflates);
    }
}

impl Sent for Link {
    fn taken(&self, messages: &mut dyn Iterator<Item = (usize, bool)>) {
        let [_, out] = &self.series.traffic;
        out.messages(messages, self.deflates);
    }

    fn violated(&self) {
        self.series.violations.fetch_add(1, Relaxed);
    }

    fn undecoded(&self, count: u64) {
        *lock(&self.series.errors).entry("codec").or_default() += count;
    }

    fn queue(&self) -> Option<Arc<dyn QueueTraffic>> {
        let queue: Arc<dyn QueueTraffic> = self.series.queue.clone();
        Some(queue)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Told to stop at once, so nobody has asked how it ended.
        self.ended(1006, "local");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_counts_once_and_codes_are_bounded() {
        let series = Arc::new(Series::default());
        for code in 3000..4000 {
            let link = Link::new(series.clone(), false);
            link.ended(code, "peer");
            link.ended(1000, "local");
        }
        drop(Link::new(series.clone(), false));
        assert_eq!((series.opened.load(Relaxed), series.active.load(Relaxed)), (1001, 0));
        let closed = lock(&series.closed);
        assert!(closed.len() <= MAX_CODES + 2, "{}", closed.len());
        assert_eq!(closed.values().sum::<u64>(), 1001);
        assert_eq!(closed.get(&(Some(3000), "peer")), Some(&1));
    }
}
