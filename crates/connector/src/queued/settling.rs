//! Counts what becomes of events whose receipts a sink settles itself.

use crate::counters::SinkCounters;
use std::sync::{Arc, Mutex, PoisonError};
use tremor_event::{Event, Issuer, Listener, Outcome, Receipt, Settlement, settle_all};

/// Gives every one of `events`, of which nobody else knows yet, a receipt that counts its elements when it is settled. Who
/// waits for the event hears of it behind that.
pub(super) fn count(events: &mut [Event], counters: &Arc<SinkCounters>) {
    let parts = events
        .iter_mut()
        .map(|event| Some(Part { elements: event.elements().count() as u64, receipt: event.receipt.take() }));
    let counting = Counting { counters: counters.clone(), parts: Mutex::new(parts.collect()) };
    let issuer = Issuer::new(Arc::new(counting), 0, 0, events.len());
    for (index, event) in events.iter_mut().enumerate() {
        event.receipt = issuer.receipt(index);
    }
}

/// Hears of the events of one batch; their pulls are their places in it.
struct Counting {
    counters: Arc<SinkCounters>,
    parts: Mutex<Vec<Option<Part>>>,
}

/// What is kept of an event that is not settled.
struct Part {
    elements: u64,
    receipt: Option<Receipt>,
}

impl Listener for Counting {
    fn settled(&self, settlement: Settlement<'_>) {
        let mut elements = 0;
        let mut receipts = Vec::new();
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        for index in settlement.pulls.iter().flat_map(|pulls| pulls.first..=pulls.last) {
            let part = usize::try_from(index).ok().and_then(|index| parts.get_mut(index)?.take());
            if let Some(Part { elements: own, receipt }) = part {
                elements += own;
                receipts.extend(receipt);
            }
        }
        drop(parts);
        match settlement.outcome {
            Outcome::Failed => self.counters.failed(elements),
            // A sink that keeps its answer to itself has taken the event all the same.
            Outcome::Delivered { .. } | Outcome::Discarded | Outcome::Withheld => {
                self.counters.written(elements);
            }
        }
        settle_all(receipts, settlement.outcome);
    }
}
