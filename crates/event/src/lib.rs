//! What moves through a flow: events in batches, their ids, origins and the signals between them.

mod batch;
mod breaker;
mod id;
mod origin;
mod receipt;

pub use batch::{Element, Elements, EventBatch};
pub use breaker::Breaker;
pub use id::{EventId, IdGenerator, Tracked};
pub use origin::OriginUri;
pub use receipt::{Issuer, Listener, Outcome, PullRange, Receipt, Settlement, settle_all};

use std::sync::Arc;
use tremor_value::{Meta, Payload};

/// One event (`spec/runtime.md` 6.1).
#[derive(Clone, Debug)]
pub struct Event {
    /// Where it stands in which stream of which source, and what it was made from.
    pub id: EventId,
    /// What scripts call `event`.
    pub payload: Payload,
    /// What scripts call `$`: always a record. What is the same for a whole stream is shared.
    pub meta: Meta,
    /// When the runtime received the bytes or made the value, in nanoseconds since 1970 UTC.
    pub ingest_ns: u64,
    /// Where it came from.
    pub origin: Option<Arc<OriginUri>>,
    /// The payload is an array made by a batching operator (`spec/runtime.md` 6.3).
    pub is_batch: bool,
    /// There if somebody wants to hear what becomes of this event. Whoever ends the way of an event settles it; see
    /// [`Event::settle`].
    pub receipt: Option<Receipt>,
}

impl Event {
    /// Ends the way of this event.
    pub fn settle(self, outcome: Outcome) {
        if let Some(receipt) = self.receipt {
            receipt.settle(outcome);
        }
    }

    /// The event's elements: those of a batch event, else the event itself as the only one.
    #[must_use]
    pub fn elements(&self) -> Elements<'_> {
        Elements::of(self)
    }
}

/// What travels forward between batches, in order with them (`spec/runtime.md` 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Time has passed: lets operators and sinks do housekeeping.
    Tick {
        /// Now, in nanoseconds since 1970 UTC.
        ingest_ns: u64,
    },
    /// Everything that this source will ever send lies before this mark.
    Drain {
        /// The source that is done.
        source: u64,
    },
}
