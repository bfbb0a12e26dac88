//! The half of `wal` that appends.

use super::{
    entry,
    log::{Batch, WriteError},
    segments::{Limits, NoRoom},
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

    /// The message for an event that finds no room.
    fn exceeded(&self, no_room: NoRoom) -> String {
        let NoRoom { bytes, files, used_bytes, chunks, limits: Limits { chunk_size, max_chunks } } = no_room;
        let most = chunk_size.saturating_mul(max_chunks);
        let allowed = format!("`chunk_size` {chunk_size} * `max_chunks` {max_chunks} = {most} bytes");
        let in_use = format!("{used_bytes} bytes in files that are not confirmed completely ({files})");
        let what = if no_room.is_for_good() {
            format!(
                "an entry of {bytes} bytes never fits into it, not even when it is empty: {allowed}. Raise one of them"
            )
        } else if chunks > max_chunks {
            format!(
                "it has more than it may: {in_use}; {allowed} are allowed. These were larger when the files were written; \
                 raise one of them, or wait until enough is confirmed"
            )
        } else {
            format!(
                "no room for another entry of {bytes} bytes: {in_use}; {allowed} are allowed. Look why what stands behind \
                 the log does not confirm, or raise `max_chunks`"
            )
        };
        format!("WAL Size Exceeded in `{}`: {what}", self.shown)
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
        let added = self.batch.add(event.is_batch, write, |length| shared.place(length));
        added.map_err(|no_room| SinkError::Failed(self.exceeded(no_room)))?;
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
