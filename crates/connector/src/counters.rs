//! What parts of a connector count.

use crate::{inlet::SourceShared, outbox::WhenFull};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
};
use tokio::sync::Notify;

/// Events that a source gave, by port.
#[derive(Debug, Default)]
pub(crate) struct SourceCounters {
    /// Events on `out` and on ports that stand in for it.
    pub(crate) out: AtomicU64,
    /// Events on `err`.
    pub(crate) err: AtomicU64,
}

/// What the source half of a connector has given so far, for a connector that wants to know that of itself.
#[derive(Clone)]
pub struct Given(Arc<SourceShared>);

impl Given {
    pub(crate) fn by(source: Arc<SourceShared>) -> Self {
        Self(source)
    }

    /// Events on `err`: what the source read and nobody could decode.
    #[must_use]
    pub fn undecoded(&self) -> u64 {
        self.0.counters.err.load(Relaxed)
    }
}

/// What a sink got, and what became of it: elements of events, once per connection they are for.
///
/// At every moment: received = written + failed + dropped + those that wait.
#[derive(Debug, Default)]
pub struct SinkCounters {
    received: AtomicU64,
    written: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    passed_over: AtomicU64,
    left_out: LeftOut,
    discarded: AtomicU64,
    /// Somebody waits until nothing waits to be written.
    is_watched: AtomicBool,
    settled: Notify,
}

/// Elements that full queues have left out, by the policy that did so.
#[derive(Debug, Default)]
pub struct LeftOut([AtomicU64; 3]);

impl LeftOut {
    /// So many more; `false`: this policy leaves nothing out.
    pub fn add(&self, elements: u64, policy: WhenFull) -> bool {
        let [newest, oldest, conflated] = &self.0;
        let counter = match policy {
            WhenFull::DropNewest => newest,
            WhenFull::DropOldest => oldest,
            WhenFull::Conflate => conflated,
            WhenFull::Wait | WhenFull::WaitAtMost(_) | WhenFull::Close => return false,
        };
        counter.fetch_add(elements, SeqCst);
        true
    }

    /// In the order `DropNewest`, `DropOldest`, `Conflate`.
    pub fn read(&self) -> [u64; 3] {
        self.0.each_ref().map(|elements| elements.load(SeqCst))
    }
}

/// A reading of [`SinkCounters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkTotals {
    /// Elements that arrived.
    pub received: u64,
    /// Elements that were handed to the system whole.
    pub written: u64,
    /// Elements that will never be written.
    pub failed: u64,
    /// Elements that a full queue left out, as its policy says, and those for everybody that the end of a connection kept
    /// from it.
    pub dropped: u64,
    /// The latter: these of the dropped ones no queue left out.
    pub passed_over: u64,
    /// The others, by the policy of the queue that left them out: `DropNewest`, `DropOldest`, `Conflate`.
    pub left_out: [u64; 3],
    /// Elements, failed or dropped, that were for a connection that was given up because its peer is too slow.
    pub discarded: u64,
    /// Elements that still wait.
    pub waiting: u64,
}

impl SinkCounters {
    pub(crate) fn received(&self, elements: u64) {
        self.received.fetch_add(elements, SeqCst);
    }

    pub(crate) fn written(&self, elements: u64) {
        self.settle(&self.written, elements);
    }

    pub(crate) fn failed(&self, elements: u64) {
        self.settle(&self.failed, elements);
    }

    fn dropped(&self, elements: u64) {
        self.settle(&self.dropped, elements);
    }

    /// A full queue has left out so many elements, as its policy says.
    pub(crate) fn left_out(&self, elements: u64, policy: WhenFull) {
        if self.left_out.add(elements, policy) {
            self.dropped(elements);
        }
    }

    /// The same where no queue has left them out: their connection takes nothing any more.
    pub(crate) fn passed_over(&self, elements: u64) {
        self.passed_over.fetch_add(elements, SeqCst);
        self.dropped(elements);
    }

    /// So many elements, which are counted as failed or dropped besides, are lost because a peer was given up.
    pub(crate) fn discarded(&self, elements: u64) {
        self.discarded.fetch_add(elements, SeqCst);
    }

    fn settle(&self, counter: &AtomicU64, elements: u64) {
        if elements > 0 {
            counter.fetch_add(elements, SeqCst);
            if self.is_watched.load(SeqCst) && self.totals().waiting == 0 {
                self.settled.notify_waiters();
            }
        }
    }

    /// Waits until everything that was received is written or has failed. Cancel safe.
    pub(crate) async fn all_settled(&self) {
        self.is_watched.store(true, SeqCst);
        loop {
            let mut settled = pin!(self.settled.notified());
            // Look only once we are sure to hear, or it might happen in between.
            settled.as_mut().enable();
            if self.totals().waiting == 0 {
                return;
            }
            settled.await;
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn totals(&self) -> SinkTotals {
        // In this order no element is ever seen as settled and not as received.
        let (written, failed) = (self.written.load(SeqCst), self.failed.load(SeqCst));
        let dropped = self.dropped.load(SeqCst);
        let received = self.received.load(SeqCst);
        let waiting = received.saturating_sub(written).saturating_sub(failed).saturating_sub(dropped);
        // Counted before they are dropped, so they are looked at behind that.
        let passed_over = self.passed_over.load(SeqCst).min(dropped);
        let discarded = self.discarded.load(SeqCst);
        let left_out = self.left_out.read();
        SinkTotals { received, written, failed, dropped, passed_over, left_out, discarded, waiting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn all_is_settled_once_nothing_waits() {
        let counters = SinkCounters::default();
        counters.received(4);
        let mut settled = Box::pin(counters.all_settled());
        assert!(settled.as_mut().now_or_never().is_none());
        counters.written(2);
        assert!(settled.as_mut().now_or_never().is_none());
        counters.failed(1);
        assert!(settled.as_mut().now_or_never().is_none());
        counters.left_out(1, WhenFull::DropOldest);
        settled.await;
        assert_eq!(
            counters.totals(),
            SinkTotals {
                received: 4,
                written: 2,
                failed: 1,
                dropped: 1,
                left_out: [0, 1, 0],
                ..SinkTotals::default()
            }
        );
    }
}
