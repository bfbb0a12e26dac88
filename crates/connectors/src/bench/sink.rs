//! The half that measures.

use super::{
    meter::{Measured, Meter, Plan},
    report,
};
use crate::{clock::now_ns, stdio};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;
use tremor_codec::{Chunks, Encoder};
use tremor_connector::{EventSink, ExitRequest, ExitSwitch, Given, SinkControl, SinkError};
use tremor_event::Event;

/// A run under way; whoever notices its end first concludes it.
pub(super) struct Run {
    /// `None` once it is over.
    meter: Mutex<Option<Meter>>,
    structured: bool,
    alias: String,
    /// What its own source gave.
    given: Option<Given>,
    switch: ExitSwitch,
}

impl Run {
    /// Begins; `None` if `plan` wants more digits than there can be.
    pub(super) fn start(
        plan: Plan,
        now: Instant,
        structured: bool,
        alias: String,
        given: Option<Given>,
        switch: ExitSwitch,
    ) -> Option<Self> {
        Some(Self { meter: Mutex::new(Some(Meter::start(plan, now)?)), structured, alias, given, switch })
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
        let is_good = self.judge(&measured);
        let text = if self.structured { report::json(&measured) } else { report::text(&measured) };
        let said = stdio::say(&text).await;
        if let Err(error) = &said {
            let alias = &self.alias;
            tracing::error!(target: "tremor_runtime", "[Sink::{alias}] cannot print its report: {error}");
        }
        let code = u8::from(!is_good || said.is_err());
        self.switch.request(ExitRequest { graceful: false, code });
    }

    /// Says what makes the report doubtful; `false` if it reports nothing.
    fn judge(&self, measured: &Measured) -> bool {
        let alias = &self.alias;
        let undecoded = self.given.as_ref().map_or(0, Given::undecoded);
        if undecoded > 0 {
            let errors = errors(undecoded);
            tracing::warn!(
                target: "tremor_runtime",
                "[Sink::{alias}] what it replayed could not all be decoded: {errors}",
            );
        }
        if !measured.latencies.is_empty() {
            return true;
        }
        let why = if measured.is_cold { ": the run was over before its `warmup_secs` were" } else { "" };
        tracing::error!(target: "tremor_runtime", "[Sink::{alias}] not a single event was measured{why}");
        false
    }
}

/// A number of errors in words.
fn errors(count: u64) -> String {
    match count {
        1 => "1 error came in place of an event".to_owned(),
        count => format!("{count} errors came in place of events"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_is_no_errors() {
        assert_eq!(errors(1), "1 error came in place of an event");
        assert_eq!(errors(2), "2 errors came in place of events");
    }
}
