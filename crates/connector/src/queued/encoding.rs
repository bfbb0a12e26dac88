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
    ///
    /// They are settled when what the encoder gave is flushed. A postprocessor that holds bytes of an event back (there is
    /// none today, see [`Encoder::is_streaming`]) would have to keep its receipt until it gives them out.
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

    /// Writes what the postprocessors hold, and ends. What cannot be written fails; what went wrong on one port keeps
    /// nothing else from being written, flushed and closed.
    ///
    /// # Errors
    /// The first cause.
    pub(super) async fn stop(&mut self, shared: &SinkShared) -> Result<(), String> {
        let mut first = None;
        for (port, encoder) in self.encoders.iter_mut().enumerate() {
            self.chunks.clear();
            if let Err(error) = encoder.finish(&mut self.chunks) {
                first.get_or_insert(error.to_string());
            }
            if !self.chunks.is_empty()
                && let Err(error) = self.sink.write(port, &mut self.chunks).await
            {
                first.get_or_insert(error.to_string());
            }
        }
        let flushed = self.sink.flush().await;
        if flushed.is_ok() {
            self.written(shared);
        }
        if let Err(cause) = self.settle(flushed, shared) {
            first.get_or_insert(cause);
        }
        if let Err(error) = self.sink.stop().await {
            first.get_or_insert(error.to_string());
        }
        first.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use std::sync::{Arc, Mutex};
    use tremor_codec::{Definition, NameAndConfig, Postprocessor, ProcessError, Registry};

    /// Notes what it is asked to do; cannot write `lost`.
    struct Noting(Arc<Mutex<Vec<String>>>);

    #[async_trait]
    impl ByteSink for Noting {
        async fn write(&mut self, port: usize, chunks: &mut Chunks) -> Result<(), SinkError> {
            let text = String::from_utf8_lossy(chunks.as_bytes()).into_owned();
            self.0.lock().unwrap().push(format!("{port} {text}"));
            if text == "lost" { Err(SinkError::Failed("not written".to_owned())) } else { Ok(()) }
        }

        async fn flush(&mut self) -> Result<(), SinkError> {
            self.0.lock().unwrap().push("flush".to_owned());
            Ok(())
        }

        async fn stop(&mut self) -> Result<(), SinkError> {
            self.0.lock().unwrap().push("stop".to_owned());
            Ok(())
        }
    }

    /// Gives something at its end, or fails.
    struct Last(&'static str);

    impl Postprocessor for Last {
        fn process(&mut self, _ingest_ns: u64, data: &[u8], out: &mut Chunks) -> Result<(), ProcessError> {
            out.push(data);
            Ok(())
        }

        fn finish(&mut self, _ingest_ns: u64, out: &mut Chunks) -> Result<(), ProcessError> {
            if self.0.is_empty() {
                return Err(ProcessError::NoIngestTime);
            }
            out.push(self.0.as_bytes());
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_stop_goes_on_behind_what_fails_and_tells_the_first_cause() {
        for (last, expected, cause) in [
            ("", vec!["1 end", "flush", "stop"], "Ingest"),
            ("lost", vec!["0 lost", "1 end", "flush", "stop"], "not written"),
        ] {
            let seen = Arc::<Mutex<Vec<String>>>::default();
            let encoder = |last| {
                let codec = NameAndConfig { name: "string".into(), config: None };
                let definition = Definition { codec, preprocessors: Vec::new(), postprocessors: Vec::new() };
                let resolver = Registry::standard().resolver(&definition).unwrap();
                Encoder::new(resolver.codec(), vec![Box::new(Last(last))])
            };
            let mut encoding =
                Encoding::new(Box::new(Noting(seen.clone())), vec![encoder(last), encoder("end")]);
            let shared = SinkShared::new(1, "flow::sink".to_owned(), Arc::default());
            let told = encoding.stop(&shared).await.unwrap_err();
            assert!(told.contains(cause), "{told}");
            assert_eq!(*seen.lock().unwrap(), expected);
        }
    }
}
