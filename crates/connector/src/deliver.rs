//! The way into a sink.

use crate::{
    DrainBoard, Handed,
    counters::SinkCounters,
    outbox::Lost,
    quota::{Tally, more_before},
    task::TARGET,
};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tremor_event::{Breaker, EventBatch, Signal};
use tremor_value::sentence;

/// Takes what is meant for one sink, from any number of tasks.
#[async_trait]
pub trait Deliver: Send + Sync {
    /// Takes a batch for input port number `port`; what there is no room for waits. Whatever becomes of its events,
    /// their receipts are settled, at the latest when the sink has stopped.
    fn deliver(&self, port: usize, batch: EventBatch) -> Handed<'_>;

    /// Takes a signal, behind everything that its sender delivered before.
    async fn signal(&self, signal: Signal);

    /// Messages that are really held for being written, looked up one by one and not taken from what was counted;
    /// `None` where messages cannot be told apart.
    fn held(&self) -> Option<usize> {
        None
    }
}

/// What all parts of one sink share.
pub struct SinkShared {
    /// Id that is unique in the process.
    pub id: u64,
    /// `<flow>::<connector>`.
    pub alias: String,
    /// What became of the events.
    pub counters: Arc<SinkCounters>,
    /// Where drain marks are counted.
    pub board: Arc<DrainBoard>,
    upstream: Mutex<Upstream>,
    failures: Tally,
    drops: Tally,
}

/// What stands in front of a sink, and whether it may give.
#[derive(Default)]
struct Upstream {
    breakers: Vec<Arc<dyn Breaker>>,
    /// The last connection that was heard of.
    connection: u64,
    /// There is a connection.
    is_connected: bool,
    /// The sink itself wants nothing right now.
    is_held: bool,
    /// What the breakers know.
    is_open: bool,
    /// Why there is no connection, once that is known.
    absence: Option<String>,
}

impl Upstream {
    /// What is said about an earlier connection counts no more; the sink of a new one holds nothing up.
    fn concerns(&mut self, connection: u64) -> bool {
        if connection > self.connection {
            self.connection = connection;
            self.is_held = false;
        }
        connection == self.connection
    }

    /// Tells the breakers what has changed.
    fn tell(&mut self, sink: u64) {
        let is_open = self.is_connected && !self.is_held;
        if std::mem::replace(&mut self.is_open, is_open) != is_open {
            let tell = |breaker: &Arc<dyn Breaker>| {
                if is_open { breaker.open(sink) } else { breaker.close(sink) }
            };
            self.breakers.iter().for_each(tell);
        }
    }
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
            failures: Tally::default(),
            drops: Tally::default(),
        }
    }

    /// `breaker` stands in front of this sink: the gate of a source, or what stands between that and the sink.
    pub fn add_upstream(&self, breaker: Arc<dyn Breaker>) {
        breaker.add(self.id);
        let mut upstream = self.upstream();
        if upstream.is_open {
            breaker.open(self.id);
        }
        upstream.breakers.push(breaker);
    }

    /// Connection number `connection` was made: lets the sources in front of this sink read, unless the sink itself
    /// does not want that.
    pub(crate) fn open(&self, connection: u64) {
        let mut upstream = self.upstream();
        if upstream.concerns(connection) {
            upstream.is_connected = true;
            upstream.absence = None;
            upstream.tell(self.id);
        }
    }

    /// There is no connection: stops the sources in front of this sink.
    pub(crate) fn close(&self) {
        let mut upstream = self.upstream();
        upstream.is_connected = false;
        upstream.tell(self.id);
    }

    /// There will be no connection any more: the sources in front of this sink are stopped for good.
    pub(crate) fn lose(&self) {
        self.close();
        self.upstream().breakers.iter().for_each(|breaker| breaker.lose(self.id));
    }

    /// Notes why there is no connection, until there is one: events that fail meanwhile are told.
    pub(crate) fn note_absence(&self, cause: &str) {
        self.upstream().absence = Some(cause.to_owned());
    }

    /// `what` and, behind a colon, why there is no connection, as far as that is known.
    pub(crate) fn explained(&self, what: &str) -> String {
        match &self.upstream().absence {
            Some(cause) => format!("{what}: {cause}"),
            None => what.to_owned(),
        }
    }

    /// The sink of connection number `connection` itself wants nothing, or wants to go on.
    pub(crate) fn hold(&self, connection: u64, is_held: bool) {
        let mut upstream = self.upstream();
        if upstream.concerns(connection) {
            upstream.is_held = is_held;
            upstream.tell(self.id);
        }
    }

    fn upstream(&self) -> MutexGuard<'_, Upstream> {
        self.upstream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts events that nobody will ever read.
    pub(crate) fn gone(&self, events: u64, cause: &str) {
        self.counters.failed(events);
        self.log_gone(events, cause);
    }

    /// Logs events that nobody will ever read.
    pub(crate) fn log_gone(&self, events: u64, cause: &str) {
        let (s, cause) = (if events == 1 { "" } else { "s" }, sentence(cause));
        tracing::debug!(target: TARGET, "[Sink::{}] {events} event{s} went nowhere: {cause}", self.alias);
    }

    /// Counts events that will never be written and logs them, unless there were many such lines just now.
    pub(crate) fn fail(&self, events: u64, cause: &str) {
        self.counters.failed(events);
        self.log_failure(events, cause);
    }

    /// Logs events that will never be written, unless there were many such lines just now.
    pub(crate) fn log_failure(&self, events: u64, cause: &str) {
        if events == 0 {
            return;
        }
        if let Some(left_out) = self.failures.may_log(events) {
            self.log_failed(events, cause, &more_before(left_out));
        }
    }

    /// Logs messages that full queues left out, unless there were many such lines just now.
    /// `whose` gives the name of the connection, if that is known.
    pub(crate) fn log_dropped(&self, messages: u64, whose: impl FnOnce() -> Option<String>) {
        if messages == 0 {
            return;
        }
        if let Some(left_out) = self.drops.may_log(messages) {
            let (s, more) = (if messages == 1 { "" } else { "s" }, more_before(left_out));
            let whose = whose().unwrap_or_else(|| "a connection".to_owned());
            tracing::warn!(
                target: TARGET,
                "[Sink::{}] {messages} message{s} dropped: the queue of {whose} is full{more}", self.alias
            );
        }
    }

    /// Logs what is lost with a connection, unless there were many such lines just now.
    pub(crate) fn log_lost(&self, lost: Lost, cause: &str) {
        self.log_failure(lost.failed, cause);
        if lost.passed_over == 0 {
            return;
        }
        if let Some(left_out) = self.drops.may_log(lost.passed_over) {
            self.log_unsent(lost.passed_over, cause, &more_before(left_out));
        }
    }

    /// Logs what is lost when everything is.
    pub(crate) fn log_all_lost(&self, lost: Lost, cause: &str) {
        if lost.failed > 0 {
            self.log_failed(lost.failed, cause, "");
        }
        if lost.passed_over > 0 {
            self.log_unsent(lost.passed_over, cause, "");
        }
    }

    /// Logs that what the sink had collected could not be brought to its end, and how many events failed by that, if
    /// that is known.
    pub(crate) fn log_unflushed(&self, events: u64, cause: &str) {
        match events {
            0 => tracing::error!(target: TARGET, "[Sink::{}] {}", self.alias, sentence(cause)),
            _ => self.log_failure(events, cause),
        }
    }

    /// Says of how many events and messages no line has told so far.
    pub(crate) fn log_left_out(&self) {
        self.failures.tell_rest(|left_out| self.more_failed(left_out));
        self.drops.tell_rest(|left_out| self.more_dropped(left_out));
    }

    /// The same, each time that no line has told so in a second. Never ends.
    pub(crate) async fn log_what_is_left_out(&self) {
        tokio::join!(
            self.failures.tell_rests(|left_out| self.more_failed(left_out)),
            self.drops.tell_rests(|left_out| self.more_dropped(left_out)),
        );
    }

    fn more_failed(&self, left_out: u64) {
        let s = if left_out == 1 { "" } else { "s" };
        tracing::error!(target: TARGET, "[Sink::{}] {left_out} more event{s} failed like that", self.alias);
    }

    fn more_dropped(&self, left_out: u64) {
        let s = if left_out == 1 { "" } else { "s" };
        tracing::warn!(target: TARGET, "[Sink::{}] {left_out} more message{s} dropped like that", self.alias);
    }

    /// Logs messages for everybody that did not get to a connection. Their events have not failed by that.
    fn log_unsent(&self, messages: u64, cause: &str, more: &str) {
        let (s, were) = if messages == 1 { ("", "was") } else { ("s", "were") };
        let cause = sentence(cause);
        tracing::warn!(
            target: TARGET,
            "[Sink::{}] {messages} message{s} for everybody {were} not sent: {cause}{more}", self.alias
        );
    }

    fn log_failed(&self, events: u64, cause: &str, more: &str) {
        let (s, cause) = (if events == 1 { "" } else { "s" }, sentence(cause));
        tracing::error!(target: TARGET, "[Sink::{}] {events} event{s} failed: {cause}{more}", self.alias);
    }
}
