//! The way into a sink.

use crate::{
    DrainBoard, Gate,
    counters::SinkCounters,
    quota::{Quota, more_before},
    task::TARGET,
};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;
use tremor_event::{EventBatch, Signal};

/// Takes what is meant for one sink, from any number of tasks.
#[async_trait]
pub trait Deliver: Send + Sync {
    /// Takes a batch for input port number `port`; waits while there is no room.
    async fn deliver(&self, port: usize, batch: EventBatch);

    /// Takes a signal, behind everything that its sender delivered before.
    async fn signal(&self, signal: Signal);

    /// Messages that are really held for being written, looked up one by one and not taken from what was counted;
    /// `None` where messages cannot be told apart.
    fn held(&self) -> Option<usize> {
        None
    }
}

/// What all parts of one sink share.
#[derive(Debug)]
pub struct SinkShared {
    /// Id that is unique in the process.
    pub id: u64,
    /// `<flow>::<connector>`.
    pub alias: String,
    /// What became of the events.
    pub counters: Arc<SinkCounters>,
    /// Where drain marks are counted.
    pub board: Arc<DrainBoard>,
    upstream: Mutex<Vec<Arc<Gate>>>,
    failures: Mutex<Quota>,
}

impl SinkShared {
    /// The parts of a sink that nothing is linked to yet.
    #[must_use]
    pub fn new(id: u64, alias: String, board: Arc<DrainBoard>) -> Self {
        Self {
            id,
            alias,
            counters: Arc::default(),
            board,
            upstream: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// The source of `gate` leads to this sink.
    pub fn add_upstream(&self, gate: Arc<Gate>) {
        gate.add_sink(self.id);
        self.upstream.lock().unwrap_or_else(PoisonError::into_inner).push(gate);
    }

    /// Lets the sources in front of this sink read.
    pub(crate) fn open(&self) {
        self.for_each_gate(|gate| gate.open_sink(self.id));
    }

    /// Stops the sources in front of this sink.
    pub(crate) fn close(&self) {
        self.for_each_gate(|gate| gate.close_sink(self.id));
    }

    fn for_each_gate(&self, act: impl Fn(&Gate)) {
        let upstream = self.upstream.lock().unwrap_or_else(PoisonError::into_inner);
        upstream.iter().for_each(|gate| act(gate));
    }

    /// Counts events that nobody will ever read.
    pub(crate) fn gone(&self, events: u64, cause: &str) {
        self.counters.failed(events);
        tracing::debug!(target: TARGET, "[Sink::{}] {events} events went nowhere: {cause}", self.alias);
    }

    /// Counts events that will never be written and logs them, unless there were many such lines just now.
    pub(crate) fn fail(&self, events: u64, cause: &str) {
        self.counters.failed(events);
        if events == 0 {
            return;
        }
        let may_log = self.failures().may_log(events, Instant::now());
        if let Some(left_out) = may_log {
            self.log_failed(events, cause, &more_before(left_out));
        }
    }

    /// Logs events that will never be written and are counted as failed.
    pub(crate) fn failed_already(&self, events: u64, cause: &str) {
        if events > 0 {
            self.log_failed(events, cause, "");
        }
    }

    /// Says how many events failed of which no line has told so far.
    pub(crate) fn log_left_out(&self) {
        let left_out = self.failures().take_left_out();
        if left_out > 0 {
            tracing::error!(target: TARGET, "[Sink::{}] {left_out} more events failed like that", self.alias);
        }
    }

    fn failures(&self) -> MutexGuard<'_, Quota> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_failed(&self, events: u64, cause: &str, more: &str) {
        let s = if events == 1 { "" } else { "s" };
        tracing::error!(target: TARGET, "[Sink::{}] {events} event{s} failed: {cause}{more}", self.alias);
    }
}
