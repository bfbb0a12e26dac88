//! `metronome`: one event per interval (`spec/connectors.md` 3.14).

use crate::clock::now_ns;
use async_trait::async_trait;
use std::{num::NonZeroU64, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};
use tremor_connector::config::{ConfigError, Reader};
use tremor_connector::{
    Built, CodecUse, ConnectError, Connected, Connector, Environment, Field, Intake, Pulled, SinkUse, Source,
    SourceError, Spec,
};
use tremor_event::OriginUri;
use tremor_value::{Record, Value};

/// The kind.
pub(crate) const SPEC: Spec = Spec {
    name: "metronome",
    summary: "Gives an event at every multiple of an interval.",
    fields: &[Field {
        name: "interval",
        kind: "integer",
        default: "",
        text: "Nanoseconds from one event to the next.",
    }],
    below: &[],
    needs_config: true,
    codec: CodecUse::Structured,
    is_source: true,
    sink: SinkUse::None,
    inputs: &[],
    input_aliases: &[],
    is_debug: false,
    build,
};

fn build(mut config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    let interval_ns: NonZeroU64 = config.required("interval")?;
    config.finish()?;
    let origin = OriginUri {
        path: vec![interval_ns.to_string()],
        ..OriginUri::new("tremor-metronome", &*environment.hostname)
    };
    let metronome = Metronome { interval: Duration::from_nanos(interval_ns.get()), origin: Arc::new(origin) };
    Ok(Built { is_sink: false, ..Built::new(metronome) })
}

struct Metronome {
    interval: Duration,
    origin: Arc<OriginUri>,
}

#[async_trait]
impl Connector for Metronome {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let beats = Beats {
            interval: self.interval,
            next: Instant::now().checked_add(self.interval),
            waiting_since_ns: None,
            id: 0,
        };
        Ok(Connected::Halves { source: Some((Box::new(beats), self.origin.clone())), sink: None })
    }
}

struct Beats {
    interval: Duration,
    /// When the next event is due; `None`: later than the clock can say.
    next: Option<Instant>,
    /// When the waiting for the event at hand began.
    waiting_since_ns: Option<u64>,
    id: u64,
}

#[async_trait]
impl Source for Beats {
    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        let since_ns = *self.waiting_since_ns.get_or_insert_with(now_ns);
        let Some(due) = self.next else { return std::future::pending().await };
        sleep_until(due).await;
        // From one deadline to the next, not from now: a late event does not shift those behind it.
        self.next = due.checked_add(self.interval);
        self.waiting_since_ns = None;
        let beat: Record = [
            ("connector", Value::from("metronome")),
            ("ingest_ns", Value::from(since_ns)),
            ("id", Value::from(self.id)),
        ]
        .into_iter()
        .collect();
        self.id += 1;
        intake.value(Value::from(beat), None);
        Ok(Pulled::More)
    }
}
