//! What parts of a connector count.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Events that a source gave, by port.
#[derive(Debug, Default)]
pub(crate) struct SourceCounters {
    /// Events on `out` and on ports that stand in for it.
    pub(crate) out: AtomicU64,
    /// Events on `err`.
    pub(crate) err: AtomicU64,
}

/// What a sink got, and what became of it: elements of events, once per connection they are for.
///
/// At every moment: received = written + failed + those that wait.
#[derive(Debug, Default)]
pub struct SinkCounters {
    received: AtomicU64,
    written: AtomicU64,
    failed: AtomicU64,
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
    /// Elements that still wait.
    pub waiting: u64,
}

impl SinkCounters {
    pub(crate) fn received(&self, elements: u64) {
        self.received.fetch_add(elements, Relaxed);
    }

    pub(crate) fn written(&self, elements: u64) {
        self.written.fetch_add(elements, Relaxed);
    }

    pub(crate) fn failed(&self, elements: u64) {
        self.failed.fetch_add(elements, Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn totals(&self) -> SinkTotals {
        let (written, failed) = (self.written.load(Relaxed), self.failed.load(Relaxed));
        let received = self.received.load(Relaxed);
        let waiting = received.saturating_sub(written).saturating_sub(failed);
        SinkTotals { received, written, failed, waiting }
    }
}
