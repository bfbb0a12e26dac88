//! A sink that takes events as they are.

use super::{MOST_UNFLUSHED, settling};
use crate::{EventSink, SinkControl, SinkError, SinkShared, clock::nanos};
use std::{
    mem,
    time::{Duration, Instant},
};
use tremor_event::{Event, EventBatch, Outcome, Receipt, settle_all};

/// A sink that takes longer than this for an event has its answers sent on at once.
const SLOW: Duration = Duration::from_millis(1);

/// An event sink and what it has not flushed.
pub(super) struct Handling {
    sink: Box<dyn EventSink>,
    settles: bool,
    /// Events since the last flush.
    unflushed: usize,
}

impl Handling {
    pub(super) fn begin(mut sink: Box<dyn EventSink>, control: SinkControl) -> Self {
        sink.begin(control);
        let settles = sink.settles();
        Self { sink, settles, unflushed: 0 }
    }

    pub(super) async fn drained(&mut self) {
        self.sink.drained().await;
    }

    /// Whether the counters follow the receipts that the sink settles itself.
    pub(super) fn settles(&self) -> bool {
        self.settles
    }

    /// Handles a batch; fails with the cause if the connection is lost.
    pub(super) async fn batch(&mut self, mut batch: EventBatch, shared: &SinkShared) -> Result<(), String> {
        shared.counters.received(batch.events.iter().map(count).sum());
        self.unflushed += batch.len();
        if self.settles {
            settling::count(&mut batch.events, &shared.counters);
            self.hand_over(batch, shared).await?;
        } else {
            self.handle(batch, shared).await?;
        }
        if self.unflushed >= MOST_UNFLUSHED { self.flush(shared).await } else { Ok(()) }
    }

    /// Gives the sink events whose receipts it settles, and which are counted when it does.
    async fn hand_over(&mut self, batch: EventBatch, shared: &SinkShared) -> Result<(), String> {
        let mut events = batch.events.into_iter();
        let mut failed = shared.counters.totals().failed;
        while let Some(event) = events.next() {
            let elements = count(&event);
            match self.sink.event(event).await {
                Ok(()) => {}
                Err(SinkError::Failed(cause)) => {
                    // Maybe with others that the sink had collected.
                    let so_far = shared.counters.totals().failed;
                    shared.log_failure(so_far.saturating_sub(failed).max(elements), &cause);
                    failed = so_far;
                }
                Err(SinkError::Gone(cause)) => shared.log_gone(elements, &cause),
                Err(SinkError::Lost(cause)) => {
                    let rest: Vec<Event> = events.collect();
                    shared.log_failure(elements + rest.iter().map(count).sum::<u64>(), &cause);
                    settle_all(rest.into_iter().filter_map(|event| event.receipt), Outcome::Failed);
                    return Err(cause);
                }
            }
        }
        Ok(())
    }

    /// Gives the sink events that are handled when it has returned.
    async fn handle(&mut self, batch: EventBatch, shared: &SinkShared) -> Result<(), String> {
        let mut handled = Handled::default();
        let mut events = batch.events.into_iter();
        while let Some(mut event) = events.next() {
            let elements = count(&event);
            let receipt = event.receipt.take();
            handled.begin(receipt.is_some());
            match self.sink.event(event).await {
                Ok(()) => {
                    shared.counters.written(elements);
                    handled.add(receipt);
                }
                Err(SinkError::Failed(cause)) => {
                    shared.fail(elements, &cause);
                    handled.failed(receipt);
                }
                Err(SinkError::Gone(cause)) => {
                    shared.gone(elements, &cause);
                    handled.failed(receipt);
                }
                Err(SinkError::Lost(cause)) => {
                    let rest: Vec<Event> = events.collect();
                    shared.fail(elements + rest.iter().map(count).sum::<u64>(), &cause);
                    let receipts = rest.into_iter().filter_map(|event| event.receipt);
                    settle_all(receipt.into_iter().chain(receipts), Outcome::Failed);
                    return Err(cause);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn flush(&mut self, shared: &SinkShared) -> Result<(), String> {
        if mem::take(&mut self.unflushed) == 0 {
            return Ok(());
        }
        let before = shared.counters.totals().failed;
        let flushed = self.sink.flush().await;
        // The sink has told whoever waits, and what it settled is counted.
        let failed = shared.counters.totals().failed.saturating_sub(before);
        match flushed {
            Ok(()) => Ok(()),
            Err(SinkError::Lost(cause)) => {
                shared.log_failure(failed, &cause);
                Err(cause)
            }
            Err(SinkError::Failed(cause) | SinkError::Gone(cause)) => {
                shared.log_unflushed(failed, &cause);
                Ok(())
            }
        }
    }

    /// Lets the sink finish and end.
    pub(super) async fn stop(&mut self, shared: &SinkShared) -> Result<(), String> {
        self.flush(shared).await?;
        self.sink.stop().await.map_err(|error| error.to_string())
    }
}

fn count(event: &Event) -> u64 {
    event.elements().count() as u64
}

/// Receipts of events that the sink has handled; settled when this is dropped, so also if a later event of the batch
/// ends in a panic.
#[derive(Default)]
struct Handled {
    receipts: Vec<Receipt>,
    /// When the event at hand began; the end of one is the beginning of the next.
    begun: Option<Instant>,
    slowest: Duration,
}

impl Handled {
    fn begin(&mut self, has_receipt: bool) {
        if has_receipt {
            self.begun.get_or_insert_with(Instant::now);
        } else {
            self.begun = None;
        }
    }

    /// The event at hand failed.
    fn failed(&mut self, receipt: Option<Receipt>) {
        self.begun = None;
        receipt.into_iter().for_each(|receipt| receipt.settle(Outcome::Failed));
    }

    fn add(&mut self, receipt: Option<Receipt>) {
        let Some(receipt) = receipt else { return };
        self.receipts.push(receipt);
        let now = Instant::now();
        let took = self.begun.replace(now).map_or(Duration::ZERO, |begun| now.duration_since(begun));
        self.slowest = self.slowest.max(took);
        if took > SLOW {
            self.settle();
        }
    }

    fn settle(&mut self) {
        let took_ns = nanos(mem::take(&mut self.slowest));
        settle_all(self.receipts.drain(..), Outcome::Delivered { took_ns });
    }
}

impl Drop for Handled {
    fn drop(&mut self) {
        self.settle();
    }
}
