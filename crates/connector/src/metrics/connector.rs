//! What every connector publishes: `connector_events`.

use super::{Measured, Meter, Metric, meter::CountedRoute};
use crate::{
    Deliver, Handed, OpenRoute, Route, SinkTotals, counters::SinkCounters, inlet::SourceShared,
    streams::Streams,
};
use async_trait::async_trait;
use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use tremor_event::{EventBatch, Signal};
use tremor_value::{Record, Value};

/// What a kind publishes besides the events by port, at each interval. Only there where that is wanted.
pub trait Measures: Send + Sync {
    /// Adds it, as of `now_ns` (nanoseconds since 1970 UTC).
    fn measure(&self, sink: &SinkNow, now_ns: u64, out: &mut Vec<Metric>);
}

/// The sink half of a connector, for one measurement.
pub struct SinkNow {
    /// What became of what it got.
    pub totals: SinkTotals,
    streams: Option<Arc<Streams>>,
}

impl SinkNow {
    /// Has each queue tell its [`QueueTraffic`](crate::duplex::QueueTraffic) how much waits there; gives how many messages wait
    /// in queues that have none.
    #[must_use]
    pub fn tell_depths(&self) -> usize {
        self.streams.as_ref().map_or(0, |streams| streams.tell_depths())
    }
}

/// What a connector counts.
pub(crate) struct Counted {
    /// `<flow>::<connector>`.
    pub(crate) alias: String,
    pub(crate) source: Option<Arc<SourceShared>>,
    /// Events that came in by any port, and what became of their elements.
    pub(crate) sink: Option<(Arc<AtomicU64>, Arc<SinkCounters>)>,
    /// The connections that it writes to.
    pub(crate) streams: Weak<Streams>,
    /// What the kind publishes besides.
    pub(crate) own: Option<Arc<dyn Measures>>,
}

impl Counted {
    /// Ports with the events so far.
    fn ports(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let given = self.source.iter().flat_map(|source| {
            let counters = &source.counters;
            [("out", counters.out.load(Relaxed)), ("err", counters.err.load(Relaxed))]
        });
        given.chain(self.sink.iter().map(|(events, _)| ("in", events.load(Relaxed))))
    }
}

impl Measured for Counted {
    fn turn(&self) -> u64 {
        self.ports().fold(0, |sum, (_, count)| sum.wrapping_add(count))
    }

    fn changed(&self, now_ns: u64, out: &mut Vec<Metric>) {
        let flow = self.alias.split("::").next().unwrap_or_default();
        out.extend(self.ports().map(|(port, count)| {
            let tags = [("flow", flow), ("connector", &*self.alias), ("port", port)];
            let fields = Record::from_iter([("count", Value::from(count))]);
            Metric::new("connector_events", Record::from_iter(tags), fields, now_ns)
        }));
    }

    fn always(&self, now_ns: u64, out: &mut Vec<Metric>) {
        if let Some(own) = &self.own {
            let totals = self.sink.as_ref().map(|(_, counters)| counters.totals()).unwrap_or_default();
            own.measure(&SinkNow { totals, streams: self.streams.upgrade() }, now_ns, out);
        }
    }
}

/// The way into a sink, on which events are counted.
pub(crate) fn count_input(
    deliver: Arc<dyn Deliver>,
    events: Arc<AtomicU64>,
    meter: Arc<Meter>,
) -> Arc<dyn Deliver> {
    Arc::new(CountedDeliver { deliver, events, meter })
}

struct CountedDeliver {
    deliver: Arc<dyn Deliver>,
    events: Arc<AtomicU64>,
    meter: Arc<Meter>,
}

#[async_trait]
impl Deliver for CountedDeliver {
    fn deliver(&self, port: usize, batch: EventBatch) -> Handed<'_> {
        self.events.fetch_add(batch.len() as u64, Relaxed);
        self.meter.passed();
        self.deliver.deliver(port, batch)
    }

    async fn signal(&self, signal: Signal) {
        self.deliver.signal(signal).await;
    }

    fn held(&self) -> Option<usize> {
        self.deliver.held()
    }
}

/// A way out of a source, of which the meter hears when something passes.
pub(crate) fn count_output(route: Arc<dyn OpenRoute>, meter: Arc<Meter>) -> Arc<dyn OpenRoute> {
    Arc::new(CountedWay { route, meter })
}

struct CountedWay {
    route: Arc<dyn OpenRoute>,
    meter: Arc<Meter>,
}

impl OpenRoute for CountedWay {
    fn open(&self) -> Box<dyn Route> {
        Box::new(CountedRoute::new(self.route.open(), self.meter.clone()))
    }
}
