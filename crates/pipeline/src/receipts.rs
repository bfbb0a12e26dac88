//! Receipts of events whose way ends in a pipeline (`spec/runtime.md` 11.4).

use tremor_event::{Event, Outcome, Receipt, settle_all};

/// Collects them, so that who listens hears of a batch at once. Empty, and free of cost, while nobody listens.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    discarded: Vec<Receipt>,
    failed: Vec<Receipt>,
}

impl Ended {
    /// The event goes nowhere, as the query says.
    pub(crate) fn discard(&mut self, event: &mut Event) {
        self.discarded.extend(event.receipt.take());
    }

    /// The event could not be processed.
    pub(crate) fn fail(&mut self, event: &mut Event) {
        self.failed.extend(event.receipt.take());
    }

    /// One branch of the event's way could not be processed; the event itself goes on.
    pub(crate) fn fail_branch(&mut self, event: &Event) {
        self.failed.extend(event.receipt.clone());
    }

    /// Tells those who listen. Without this call, all that was collected counts as failed.
    pub(crate) fn settle(self) {
        if !self.discarded.is_empty() {
            settle_all(self.discarded, Outcome::Discarded);
        }
        if !self.failed.is_empty() {
            settle_all(self.failed, Outcome::Failed);
        }
    }
}
