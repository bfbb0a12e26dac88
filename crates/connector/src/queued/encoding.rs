//! A sink that takes encoded bytes.

use super::MOST_UNFLUSHED;
use crate::{ByteSink, SinkError, SinkShared, clock::nanos};
use std::{mem, time::Instant};
use tremor_codec::{Chunks, Encoder};
use tremor_event::{EventBatch, Outcome, Receipt, settle_all};

/// A byte sink with the encoding state of each of its ports.
pub(super) struct Encoding {
    sink: Box<dyn ByteSink>,
    encoders: Vec<Encoder>,
    chunks: Chunks,
    /// Elements that were written but not flushed.
    unflushed: u64,
    /// Of the events among them that somebody waits for.
    receipts: Vec<Receipt>,
    /// When the first of those arrived here.
    since: Option<Instant>,
}

impl Encoding {
    pub(super) fn new(sink: Box<dyn ByteSink>, encoders: Vec<Encoder>) -> Self {
        let chunks = Chunks::default();
        Self { sink, encoders, chunks, unflushed: 0, receipts: Vec::new(), since: None }
    }

    /// Writes a batch; fails with the cause if the connection is lost.
    pub(super) async fn batch(
        &mut self,
        port: usize,
        mut batch: EventBatch,
        shared: &SinkShared,
    ) -> Result<(), String> {
        let Some(encoder) = self.encoders.get_mut(port) else { return Ok(()) };
        self.chunks.clear();
        let elements = batch.events.iter().map(|event| event.elements().count() as u64).sum();
        shared.counters.received(elements);
        for event in &mut batch.events {
            let mut refused = false;
            for element in event.elements() {
                match encoder.encode(element.content, event.ingest_ns, element.meta, &mut self.chunks) {
                    Ok(()) => self.unflushed += 1,
                    Err(error) => {
                        shared.fail(1, &error.to_string());
                        refused = true;
                    }
                }
            }
            if let Some(receipt) = event.receipt.take() {
                self.since.get_or_insert_with(Instant::now);
                if refused {
                    receipt.settle(Outcome::Failed);
                } else {
                    self.receipts.push(receipt);
                }
            }
        }
        let wrote = self.sink.write(port, &mut self.chunks).await;
        self.settle(wrote, shared)?;
        // Whoever waits for an answer must not wait until there is nothing more to write.
        if self.receipts.len() >= MOST_UNFLUSHED { self.flush(shared).await } else { Ok(()) }
    }

    pub(super) async fn flush(&mut self, shared: &SinkShared) -> Result<(), String> {
        if self.unflushed == 0 && self.receipts.is_empty() {
            return Ok(());
        }
        let flushed = self.sink.flush().await;
        if flushed.is_ok() {
            self.written(shared);
        }
        self.settle(flushed, shared)
    }

    fn written(&mut self, shared: &SinkShared) {
        shared.counters.written(mem::take(&mut self.unflushed));
        if let Some(since) = self.since.take() {
            let took_ns = nanos(since.elapsed());
            settle_all(self.receipts.drain(..), Outcome::Delivered { took_ns });
        }
    }

    /// Counts what failed.
    fn settle(&mut self, done: Result<(), SinkError>, shared: &SinkShared) -> Result<(), String> {
        let Err(error) = done else { return Ok(()) };
        let failed = mem::take(&mut self.unflushed);
        self.since = None;
        settle_all(self.receipts.drain(..), Outcome::Failed);
        match error {
            SinkError::Failed(cause) => shared.fail(failed, &cause),
            SinkError::Gone(cause) => shared.gone(failed, &cause),
            SinkError::Lost(cause) => {
                shared.fail(failed, &cause);
                return Err(cause);
            }
        }
        Ok(())
    }

    /// Writes what the postprocessors hold, and ends. What cannot be written fails.
    pub(super) async fn stop(&mut self, shared: &SinkShared) -> Result<(), String> {
        for (port, encoder) in self.encoders.iter_mut().enumerate() {
            self.chunks.clear();
            encoder.finish(&mut self.chunks).map_err(|error| error.to_string())?;
            if !self.chunks.is_empty() {
                self.sink.write(port, &mut self.chunks).await.map_err(|error| error.to_string())?;
            }
        }
        let flushed = self.sink.flush().await;
        if flushed.is_ok() {
            self.written(shared);
        }
        self.settle(flushed, shared)?;
        self.sink.stop().await.map_err(|error| error.to_string())
    }
}
