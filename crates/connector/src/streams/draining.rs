//! How a connector that accepts connections lets them go (`spec/websocket.md` 11).

use super::Streams;
use crate::duplex::Ending;
use std::{
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

/// How long a drain waits for connections that were cut.
const CUT_LIMIT: Duration = Duration::from_millis(500);

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
}

impl Draining {
    /// Whether they are.
    pub(super) fn has_begun(&self) -> bool {
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
        if timeout_at(deadline, self.emptied()).await.is_ok() {
            return;
        }
        self.read().all().iter().for_each(|outbox| outbox.cut());
        let _gone_or_not = timeout_at(Instant::now() + CUT_LIMIT, self.emptied()).await;
    }

    /// Waits until there is no connection.
    async fn emptied(&self) {
        loop {
            let mut gone = pin!(self.gone.notified());
            gone.as_mut().enable();
            if self.read().by_stream.is_empty() {
                return;
            }
            gone.await;
        }
    }
}
