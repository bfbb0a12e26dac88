//! The half of `wal` that appends.

use super::{
    entry,
    log::{Batch, WriteError},
    segments::Limits,
    worker::Worker,
};
use async_trait::async_trait;
use std::{mem, sync::Arc, time::Instant};
use tremor_connector::{EventSink, SinkError};
use tremor_event::{Event, Outcome, Receipt, settle_all};

/// Bytes that are written without waiting for the end of what is at hand.
const MAX_UNWRITTEN_BYTES: usize = 1024 * 1024;

/// Collects entries and writes many at once: one sync serves all of them.
pub(super) struct WalSink {
    worker: Arc<Worker>,
    /// How messages call the log.
    shown: String,
    batch: Batch,
    /// Of those in the batch for which somebody waits.
    receipts: Vec<Receipt>,
    /// When the first of them came.
    since: Option<Instant>,
}

impl WalSink {
    pub(super) fn new(worker: Arc<Worker>, shown: String) -> Self {
        Self { worker, shown, batch: Batch::default(), receipts: Vec::new(), since: None }
    }

    async fn write(&mut self) -> Result<(), SinkError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        // Taken out first: dropped here, they count as failed.
        let receipts = mem::take(&mut self.receipts);
        let since = self.since.take();
        self.worker.write(mem::take(&mut self.batch)).await.map_err(|error| match error {
            WriteError::Refused(cause) => SinkError::Failed(cause),
            WriteError::Broken(cause) => SinkError::Lost(cause),
        })?;
        let took = since.map_or(0, |since| since.elapsed().as_nanos());
        let took_ns = u64::try_from(took).unwrap_or(u64::MAX);
        settle_all(receipts, Outcome::Delivered { took_ns });
        Ok(())
    }
}

#[async_trait]
impl EventSink for WalSink {
    fn settles(&self) -> bool {
        true
    }

    async fn event(&mut self, mut event: Event) -> Result<(), SinkError> {
        let receipt = event.receipt.take();
        if let Some(failure) = self.worker.shared.failure() {
            return Err(SinkError::Lost(failure));
        }
        let shared = &self.worker.shared;
        let write = |body: &mut Vec<u8>| entry::encode(&event, body);
        if !self.batch.add(event.is_batch, write, |length| shared.place(length)) {
            let (used, limits) = shared.usage();
            let Limits { chunk_size, max_chunks } = limits;
            return Err(SinkError::Failed(format!(
                "WAL Size Exceeded: no room for another entry in `{}`: {used} of {max_chunks} files (`max_chunks`) of \
                 {chunk_size} bytes (`chunk_size`) are in use. Look why what stands behind the log does not confirm, or \
                 raise `max_chunks`",
                self.shown
            )));
        }
        if let Some(receipt) = receipt {
            self.since.get_or_insert_with(Instant::now);
            self.receipts.push(receipt);
        }
        if self.batch.size() < MAX_UNWRITTEN_BYTES { Ok(()) } else { self.write().await }
    }

    async fn flush(&mut self) -> Result<(), SinkError> {
        self.write().await
    }

    async fn stop(&mut self) -> Result<(), SinkError> {
        self.worker.stop().await;
        self.worker.shared.failure().map_or(Ok(()), |failure| Err(SinkError::Failed(failure)))
    }
}
