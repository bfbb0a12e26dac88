//! What those hear who want to know what becomes of what waits.

use super::Outbox;
use crate::duplex::{QueueTraffic, Traffic};
use std::sync::Arc;

impl Outbox {
    /// There is a connection, and this hears what it sends.
    pub(crate) fn heard_by(&self, traffic: &Arc<dyn Traffic>) {
        self.outgoing.iter().for_each(|outgoing| outgoing.heard_by(traffic));
        self.lock().heard_by = traffic.queue();
    }

    /// So many elements were left out, since it was full.
    pub(super) fn left_out(&self, elements: u64) {
        let policy = self.limits.when_full;
        // All are counted after that: whoever adds up finds none that were left out elsewhere.
        self.hearer().iter().for_each(|hearer| hearer.left_out(elements, policy));
        self.counters.left_out(elements, policy);
    }

    /// So many elements, which are counted as failed or dropped besides, are lost because the peer was given up.
    pub(crate) fn discarded(&self, elements: u64) {
        self.hearer().iter().for_each(|hearer| hearer.discarded(elements));
        self.counters.discarded(elements);
    }

    /// Tells whoever hears of it how many messages are here; gives that number if there is nobody.
    pub(crate) fn tell_depth(&self) -> usize {
        let state = self.lock();
        let (messages, _) = state.held();
        match &state.heard_by {
            Some(hearer) => {
                hearer.waits(messages as u64);
                0
            }
            None => messages,
        }
    }

    fn hearer(&self) -> Option<Arc<dyn QueueTraffic>> {
        self.lock().heard_by.clone()
    }
}
