//! Measurements of the process: the channel that they are published on (`spec/runtime.md` 15).

mod connector;
mod interval;
mod meter;

pub(crate) use connector::{Counted, count_input, count_output};
pub use connector::{Measures, SinkNow};
pub use interval::{BadInterval, metrics_interval};
pub use meter::{CountedRoute, Measured, Meter};

use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};
use tremor_event::OriginUri;
use tremor_value::{Record, Value};

/// What was published at one go that a reader may be behind before it misses the oldest.
const CAPACITY: usize = 128;

/// One measurement as it is published.
#[derive(Clone, Debug)]
pub struct Metric {
    /// `{"measurement", "tags", "fields", "timestamp"}`.
    pub value: Value,
    /// Where it came from; `None`: from the process itself.
    pub origin: Option<Arc<OriginUri>>,
}

impl Metric {
    /// A measurement of the process itself, at `now_ns` (nanoseconds since 1970 UTC).
    #[must_use]
    pub fn new(measurement: &str, tags: Record, fields: Record, now_ns: u64) -> Self {
        let members = [
            ("measurement", Value::from(measurement)),
            ("tags", tags.into()),
            ("fields", fields.into()),
            ("timestamp", now_ns.into()),
        ];
        Self { value: Record::from_iter(members).into(), origin: None }
    }
}

/// The channel of a process: all that is published reaches all who subscribed before. Nobody waits for a reader: one
/// that is too slow misses the oldest. Clones are the same channel.
#[derive(Clone, Debug)]
pub struct Metrics(broadcast::Sender<Arc<[Metric]>>);

impl Default for Metrics {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

impl Metrics {
    /// All that is published from now on.
    #[must_use]
    pub fn subscribe(&self) -> MetricsReader {
        MetricsReader(self.0.subscribe())
    }

    /// Whether anybody would get what is published now.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Publishes `metrics`, which count as one towards what a reader may be behind.
    pub fn publish(&self, metrics: Vec<Metric>) {
        if !metrics.is_empty() {
            let _nobody_reads = self.0.send(metrics.into());
        }
    }
}

/// Gets what is published.
#[derive(Debug)]
pub struct MetricsReader(broadcast::Receiver<Arc<[Metric]>>);

impl MetricsReader {
    /// What was published next; `None` when nobody is left who could publish. Cancel safe.
    pub async fn next(&mut self) -> Option<Arc<[Metric]>> {
        loop {
            match self.0.recv().await {
                Ok(metrics) => return Some(metrics),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Vec<Metric> {
        vec![Metric::new(name, Record::default(), Record::default(), 1)]
    }

    #[tokio::test]
    async fn a_slow_reader_misses_the_oldest_and_nobody_waits_for_it() {
        let metrics = Metrics::default();
        assert!(!metrics.is_read());
        metrics.publish(named("before"));
        let mut reader = metrics.subscribe();
        assert!(metrics.is_read());
        for number in 0..CAPACITY + 3 {
            metrics.publish(named(&number.to_string()));
        }
        let next = reader.next().await.unwrap();
        assert_eq!(next[0].value.get("measurement").unwrap().as_str(), Some("3"));
        drop(metrics);
        for _ in 1..CAPACITY {
            reader.next().await.unwrap();
        }
        assert!(reader.next().await.is_none());
    }
}
