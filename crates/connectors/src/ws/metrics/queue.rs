//! What waits for connections that are counted together, and what their queues have left out.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tremor_connector::{LeftOut, SinkTotals, WhenFull, duplex::QueueTraffic};

/// What is counted of the queues of connections.
#[derive(Debug, Default)]
pub(super) struct Queue {
    depth: AtomicU64,
    left_out: LeftOut,
    discarded: AtomicU64,
}

/// A reading of what queues have left out.
pub(super) struct Left {
    left_out: [u64; 3],
    discarded: u64,
}

impl Queue {
    /// The next to be told is all that waits.
    pub(super) fn forget_depth(&self) {
        self.depth.store(0, Relaxed);
    }

    pub(super) fn depth(&self) -> u64 {
        self.depth.load(Relaxed)
    }

    pub(super) fn left(&self) -> Left {
        Left { left_out: self.left_out.read(), discarded: self.discarded.load(Relaxed) }
    }
}

impl QueueTraffic for Queue {
    fn left_out(&self, elements: u64, policy: WhenFull) {
        self.left_out.add(elements, policy);
    }

    fn discarded(&self, elements: u64) {
        self.discarded.fetch_add(elements, Relaxed);
    }

    fn waits(&self, messages: u64) {
        self.depth.fetch_add(messages, Relaxed);
    }
}

impl Left {
    /// What all queues of a connector have left out. To be read before what those of some connections have.
    pub(super) fn of(totals: &SinkTotals) -> Self {
        Self { left_out: totals.left_out, discarded: totals.discarded }
    }

    /// These were counted elsewhere.
    pub(super) fn take_away(&mut self, counted: &Self) {
        for (left, counted) in self.left_out.iter_mut().zip(counted.left_out) {
            *left = left.saturating_sub(counted);
        }
        self.discarded = self.discarded.saturating_sub(counted.discarded);
    }

    /// With the names of the policies. Where senders wait for room nothing is left out, but for peers that are given up.
    pub(super) fn by_policy(&self) -> [(&'static str, u64); 5] {
        let [newest, oldest, conflated] = self.left_out;
        [
            ("block", 0),
            ("close", self.discarded),
            ("drop_newest", newest),
            ("drop_oldest", oldest),
            ("conflate", conflated),
        ]
    }
}
