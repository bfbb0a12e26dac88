//! How a connector that accepts connections lets them go (`spec/websocket.md` 11).

use super::{
    Streams,
    table::{Table, Targets},
};
use crate::{duplex::Ending, outbox::Outbox, task::TARGET};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

/// How long a drain waits for connections that were cut.
const CUT_LIMIT: Duration = Duration::from_millis(500);
/// A connection on which nothing is written for so long at the end of a drain is cut off.
const STALLED: Duration = Duration::from_millis(500);
/// Connections that a line of the log names, at most.
const MOST_NAMED: usize = 5;
/// From the beginning of a drain: how long servers behind have for their answers to what they were sent.
const ANSWERS_LIMIT: Duration = Duration::from_secs(2);
/// And so much longer for their goodbyes.
const GOODBYES_LIMIT: Duration = Duration::from_secs(1);

/// Time limits of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainTimes {
    /// The closes are spread over this time.
    pub spread: Duration,
    /// How long the peers have to answer them.
    pub timeout: Duration,
}

impl Default for DrainTimes {
    fn default() -> Self {
        Self { spread: Duration::ZERO, timeout: Duration::from_secs(5) }
    }
}

/// Whether new connections are refused since the connector drains.
#[derive(Debug, Default)]
pub(crate) struct Draining {
    has_begun: AtomicBool,
    begun: Notify,
    /// Connections that ended before as many messages had come as went, and how many those were fewer.
    unanswered: (AtomicU64, AtomicU64),
    /// Connections of which messages came when nobody took them any more, and how many those were.
    late: (AtomicU64, AtomicU64),
}

impl Draining {
    /// Whether they are.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// Waits until they are. Cancel safe.
    pub(crate) async fn begun(&self) {
        let mut begun = pin!(self.begun.notified());
        begun.as_mut().enable();
        if !self.has_begun() {
            begun.await;
        }
    }

    /// On a connection that has ended so many messages fewer had come than went.
    pub(super) fn unanswered(&self, messages: u64) {
        if messages > 0 {
            self.unanswered.0.fetch_add(1, Ordering::Relaxed);
            self.unanswered.1.fetch_add(messages, Ordering::Relaxed);
        }
    }

    /// So many messages of a connection came when nobody took them any more.
    pub(crate) fn came_late(&self, messages: u64) {
        if messages > 0 && self.has_begun() {
            self.late.0.fetch_add(1, Ordering::Relaxed);
            self.late.1.fetch_add(messages, Ordering::Relaxed);
        }
    }

    /// New connections are refused from now on; `false` if they were before.
    fn begin(&self) -> bool {
        let is_new = !self.has_begun.swap(true, Ordering::AcqRel);
        self.begun.notify_waiters();
        is_new
    }
}

impl Streams {
    /// Whether new connections are to be refused.
    pub(crate) fn draining(&self) -> &Draining {
        &self.draining
    }

    /// Begins to let all connections go, once.
    pub(super) fn begin_drain(&self) {
        if self.draining.begin() {
            let (own, times) = (self.own.clone(), self.drain_times);
            tokio::spawn(async move {
                // A connector that has stopped has no connections.
                if let Some(streams) = own.upgrade() {
                    streams.let_go(times, None).await;
                }
            });
        }
    }

    /// Ends all connections, one after the other, behind what they have to send, and waits until they are gone: those that
    /// are not in time are cut off. All of it is over at `latest`.
    pub(crate) async fn drain(&self, latest: Instant) {
        if self.is_single() {
            return self.end_writing(latest).await;
        }
        self.draining.begin();
        self.let_go(self.drain_times, Some(latest)).await;
    }

    async fn let_go(&self, times: DrainTimes, latest: Option<Instant>) {
        let not_too_late = |when: Instant| latest.map_or(when, |latest| when.min(latest));
        let begin = Instant::now();
        let outboxes = self.read().all();
        let count = u32::try_from(outboxes.len()).unwrap_or(u32::MAX).max(1);
        for (number, outbox) in (0..count).zip(outboxes) {
            let when = not_too_late(begin + times.spread / count * number);
            if when > Instant::now() {
                sleep_until(when).await;
            }
            outbox.end(Ending::GoingAway);
        }
        let deadline = not_too_late(Instant::now() + times.timeout);
        if timeout_at(deadline, self.emptied()).await.is_err() {
            self.cut().await;
        }
        self.tell_of_late();
    }

    /// Says what came when nobody took it any more.
    fn tell_of_late(&self) {
        let (connections, messages) = &self.draining.late;
        let (connections, messages) = (connections.load(Ordering::Relaxed), messages.load(Ordering::Relaxed));
        if messages > 0 {
            let alias = &self.shared.alias;
            let (s, were) = if messages == 1 { ("", "was") } else { ("s", "were") };
            let of = if connections == 1 { "" } else { "s" };
            tracing::warn!(
                target: TARGET,
                "[Connector::{alias}] {messages} message{s} of {connections} connection{of} came when the drain took no more and {were} thrown away"
            );
        }
    }

    /// Waits until all is written on the one connection, which is cut off if its peer takes nothing any more: what it does not
    /// get has failed then in time to be told.
    async fn end_writing(&self, latest: Instant) {
        let counters = &self.shared.counters;
        let look = latest.checked_sub(STALLED).unwrap_or(latest);
        if timeout_at(look, counters.all_settled()).await.is_ok() {
            return;
        }
        let before = counters.totals().written;
        if timeout_at(latest, counters.all_settled()).await.is_err() && counters.totals().written == before {
            self.cut().await;
        }
    }

    /// Ends the one connection, behind everything else that a drain does: what its end tells still goes its way. Waits until it
    /// is gone, but not longer than until `latest`: then it is cut off.
    pub(crate) async fn part_with_single(&self, latest: Instant) {
        if !self.is_single() || Instant::now() >= latest {
            return;
        }
        let has_gone = |table: &Table| table.conns().next().is_none();
        if has_gone(&self.read()) {
            return;
        }
        self.draining.begin();
        let outboxes = self.read().all();
        outboxes.iter().for_each(|outbox| {
            outbox.end(Ending::GoingAway);
        });
        let gone = || self.until_gone(has_gone);
        if timeout_at(latest, gone()).await.is_err() {
            self.cut().await;
            let _gone_or_not = timeout_at(Instant::now() + CUT_LIMIT, gone()).await;
        }
    }

    /// Connections that are there for the origins of events end when these give nothing more, but not before the servers
    /// behind have answered, as far as that can be known: `all_came` is when everything that goes to them is here. Then each
    /// is waited for until as many messages have come as went, unless it never sent any for a while, and told 1001; what comes
    /// in front of its own goodbye is still handed on. Those that are not in time are cut off.
    pub(crate) async fn hear_answers(&self, all_came: impl Future<Output = ()>) {
        let latest = Instant::now() + ANSWERS_LIMIT;
        let all_written = async {
            all_came.await;
            self.shared.counters.all_settled().await;
        };
        let _in_time_or_not = timeout_at(latest, all_written).await;
        self.draining.begin();
        self.read().all().iter().for_each(|outbox| outbox.end_when_answered());
        if timeout_at(latest, self.emptied()).await.is_err() {
            for outbox in self.read().all() {
                outbox.end(Ending::of_pair());
            }
            if timeout_at(latest + GOODBYES_LIMIT, self.emptied()).await.is_err() {
                self.cut().await;
            }
        }
        let (connections, messages) = &self.draining.unanswered;
        let (connections, messages) = (connections.load(Ordering::Relaxed), messages.load(Ordering::Relaxed));
        if connections > 0 {
            let (s, alias) = (if connections == 1 { "" } else { "s" }, &self.shared.alias);
            tracing::warn!(
                target: TARGET,
                "[Connector::{alias}] the drain ended {connections} connection{s} on which fewer messages had come than went, \
                 {messages} in all: answers to them are lost, if there were to be any"
            );
        }
    }

    /// The one connection is read until as many messages have come as went, as far as that can be waited for: `all_came` is when
    /// everything that goes to it is here, and `all_heard` when it is read no more. It stays open: the ends of others may
    /// have something to tell its server.
    pub(crate) async fn hear_out(
        &self,
        all_came: impl Future<Output = ()>,
        all_heard: impl Future<Output = ()>,
    ) {
        let answered = async {
            all_came.await;
            self.shared.counters.all_settled().await;
            self.read().all().iter().for_each(|outbox| outbox.hear_out());
            all_heard.await;
        };
        let _in_time_or_not = timeout_at(Instant::now() + ANSWERS_LIMIT, answered).await;
    }

    /// Ends connections that did not end in time; tells what they were still to be sent.
    async fn cut(&self) {
        let outboxes = self.with_connections();
        self.tell_of_rest(&outboxes);
        outboxes.iter().for_each(|outbox| outbox.cut());
        let limit = Instant::now() + CUT_LIMIT;
        let _gone_or_not = match self.is_single() {
            true => timeout_at(limit, self.shared.counters.all_settled()).await,
            false => timeout_at(limit, self.emptied()).await,
        };
    }

    /// Outboxes of connections that are there, those included that were given up and have not ended yet. Where there is no
    /// connection it is no peer that takes too long.
    fn with_connections(&self) -> Targets {
        let table = self.read();
        let mut outboxes = table.all();
        match self.is_single() {
            true if table.conns().next().is_none() => outboxes.clear(),
            true => {}
            false => outboxes.retain(|outbox| outbox.is_there()),
        }
        outboxes
    }

    /// Says what these connections were still to be sent.
    fn tell_of_rest(&self, outboxes: &[Arc<Outbox>]) {
        let (mut connections, mut messages, mut bytes) = (0, 0, 0);
        let mut named = Vec::new();
        for outbox in outboxes {
            let unsent = outbox.unsent();
            if unsent.0 > 0 {
                outbox.tells_of_rest();
                (connections, messages, bytes) = (connections + 1, messages + unsent.0, bytes + unsent.1);
                if named.len() < MOST_NAMED {
                    named.extend(self.called(outbox));
                }
            }
        }
        if connections == 0 {
            return;
        }
        let others = connections - named.len();
        let others = (others > 0).then(|| format!("and {others} more"));
        let named: Vec<String> = named.into_iter().chain(others).collect();
        let s = |count| if count == 1 { "" } else { "s" };
        tracing::warn!(
            target: TARGET,
            "[Connector::{}] the drain cut off {connections} connection{} whose peers do not read fast enough: {messages} \
             message{} of {bytes} bytes in all were not sent, or not to the end, and what was sent last may not have been read: {}",
            self.shared.alias, s(connections), s(messages), named.join(", ")
        );
    }

    /// Waits until there is no connection.
    async fn emptied(&self) {
        self.until_gone(|table| table.by_stream.is_empty()).await;
    }

    /// Waits for something that only changes when a connection goes.
    async fn until_gone(&self, are_gone: impl Fn(&Table) -> bool) {
        loop {
            let mut gone = pin!(self.gone.notified());
            gone.as_mut().enable();
            if are_gone(&self.read()) {
                return;
            }
            gone.await;
        }
    }
}
