//! The half that measures.

use super::{
    meter::{Meter, Plan},
    report,
};
use crate::{clock::now_ns, stdio};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;
use tremor_codec::{Chunks, Encoder};
use tremor_connector::{EventSink, ExitRequest, ExitSwitch, SinkControl, SinkError};
use tremor_event::Event;

/// A run under way; whoever notices its end first concludes it.
pub(super) struct Run {
    /// `None` once it is over.
    meter: Mutex<Option<Meter>>,
    structured: bool,
    alias: String,
    switch: ExitSwitch,
}

impl Run {
    /// Begins; `None` if `plan` wants more digits than there can be.
    pub(super) fn start(
        plan: Plan,
        now: Instant,
        structured: bool,
        alias: String,
        switch: ExitSwitch,
    ) -> Option<Self> {
        Some(Self { meter: Mutex::new(Some(Meter::start(plan, now)?)), structured, alias, switch })
    }

    /// `true` if the run is over with this event.
    fn arrived(&self, now: Instant, latency_ns: u64, bytes: Option<usize>) -> bool {
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(meter) = meter.as_mut() else { return false };
        meter.arrived(now, latency_ns, bytes);
        meter.is_over(now)
    }

    /// Prints the report and ends the process, once.
    pub(super) async fn conclude(&self) {
        let meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(meter) = meter else { return };
        let measured = meter.finish(Instant::now());
        let text = if self.structured { report::json(&measured) } else { report::text(&measured) };
        if let Err(error) = stdio::say(&text).await {
            let alias = &self.alias;
            tracing::error!(target: "tremor_runtime", "[Sink::{alias}] cannot print its report: {error}");
        }
        self.switch.request(ExitRequest { graceful: false, code: 0 });
    }
}

/// Encodes and measures every event.
pub(super) struct Gauge {
    /// `None` if nothing can arrive.
    run: Option<Arc<Run>>,
    encoder: Option<Encoder>,
    chunks: Chunks,
}

impl Gauge {
    pub(super) fn new(run: Option<Arc<Run>>) -> Self {
        Self { run, encoder: None, chunks: Chunks::new() }
    }
}

#[async_trait]
impl EventSink for Gauge {
    fn begin(&mut self, control: SinkControl) {
        self.encoder = control.encoder();
    }

    async fn event(&mut self, event: Event) -> Result<(), SinkError> {
        let (Some(run), Some(encoder)) = (&self.run, &mut self.encoder) else { return Ok(()) };
        let latency_ns = now_ns().saturating_sub(event.ingest_ns);
        let now = Instant::now();
        let (mut result, mut is_over) = (Ok(()), false);
        for element in event.elements() {
            self.chunks.clear();
            let encoded = encoder.encode(element.content, event.ingest_ns, element.meta, &mut self.chunks);
            let bytes = encoded.is_ok().then(|| self.chunks.as_bytes().len());
            is_over |= run.arrived(now, latency_ns, bytes);
            if let Err(error) = encoded {
                result = Err(SinkError::Failed(error.to_string()));
            }
        }
        if is_over {
            run.conclude().await;
        }
        result
    }

    async fn drained(&mut self) {
        // Whatever is missing was dropped on the way.
        if let Some(run) = &self.run {
            run.conclude().await;
        }
    }
}
