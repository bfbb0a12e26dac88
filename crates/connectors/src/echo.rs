//! `echo`: gives back what it takes (`spec/connectors.md` 3.24).

use async_trait::async_trait;
use futures_util::FutureExt;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};
use tremor_connector::config::{ConfigError, Reader};
use tremor_connector::{
    Built, CodecUse, ConnectError, Connected, Connector, Environment, EventSink, Intake, Made, OnDrain,
    Pulled, Receiver, Sender, Sink, SinkError, SinkUse, Source, SourceError, Spec, bounded,
};
use tremor_event::{Event, OriginUri};
use tremor_value::Value;

/// The kind.
pub(crate) const SPEC: Spec = Spec {
    name: "echo",
    summary: "Gives every event that it takes on `in` back on `out`.",
    fields: &[],
    needs_config: false,
    codec: CodecUse::Structured,
    is_source: true,
    sink: SinkUse::Queued,
    inputs: &["in"],
    input_aliases: &[],
    is_debug: false,
    build,
};

/// Events that one pull takes at most.
const MAX_EVENTS_PER_PULL: usize = 128;

/// Levels of a value that [`weight`] looks at; what lies deeper counts as nothing.
const WEIGHED_LEVELS: usize = 16;

fn build(config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    config.finish()?;
    let origin = Arc::new(OriginUri::new("tremor-echo", &*environment.hostname));
    Ok(Built::new(Echo { origin, alias: environment.alias.clone() }))
}

struct Echo {
    origin: Arc<OriginUri>,
    alias: String,
}

#[async_trait]
impl Connector for Echo {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let (sender, queue) = bounded();
        let is_pulled = Arc::new(AtomicBool::new(false));
        let back = Back { queue, is_pulled: is_pulled.clone() };
        let forth = Forth { queue: Some(sender), is_pulled, has_warned: false, alias: self.alias.clone() };
        Ok(Connected::Halves {
            source: Some((Box::new(back), self.origin.clone())),
            sink: Some(Sink::Events(Box::new(forth))),
        })
    }
}

/// The half that takes.
struct Forth {
    /// `None` once everything that could ever come has come.
    queue: Option<Sender<Event>>,
    is_pulled: Arc<AtomicBool>,
    has_warned: bool,
    alias: String,
}

#[async_trait]
impl EventSink for Forth {
    async fn event(&mut self, event: Event) -> Result<(), SinkError> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let weight = weight_of(&event);
        let sending = queue.send(event, weight);
        if self.is_pulled.load(Relaxed) {
            return sending.await.map_err(|_| SinkError::Failed("its source has ended".into()));
        }
        // A source that leads nowhere is never pulled; waiting for it would stall everything in front.
        if sending.now_or_never().is_none() && !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(target: "tremor_runtime", "[Sink::{}] swallows events: nothing reads them", self.alias);
        }
        Ok(())
    }

    async fn drained(&mut self) {
        // Lets the source finish once it has emptied the queue.
        self.queue = None;
    }
}

/// The half that gives.
struct Back {
    queue: Receiver<Event>,
    is_pulled: Arc<AtomicBool>,
}

#[async_trait]
impl Source for Back {
    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        self.is_pulled.store(true, Relaxed);
        let Some(event) = self.queue.recv().await else { return Ok(Pulled::Finished) };
        give_back(event, intake);
        for _ in 1..MAX_EVENTS_PER_PULL {
            match self.queue.recv().now_or_never() {
                Some(Some(event)) => give_back(event, intake),
                Some(None) => return Ok(Pulled::Finished),
                None => break,
            }
        }
        Ok(Pulled::More)
    }

    fn on_drain(&self) -> OnDrain {
        OnDrain::Finish
    }
}

/// Puts every element of `event` into `intake` as an event of its own.
fn give_back(event: Event, intake: &mut Intake) {
    if event.is_batch {
        for element in event.elements() {
            let made = Made {
                value: element.value.clone(),
                from: Some(event.id.clone()),
                ingest_ns: Some(event.ingest_ns),
            };
            intake.value(made, Some(element.meta.clone()));
        }
        return;
    }
    let Event { id, payload, meta, ingest_ns, .. } = event;
    let made = Made { value: payload.into_value(), from: Some(id), ingest_ns: Some(ingest_ns) };
    intake.value(made, Some(meta));
}

/// Roughly the bytes that an event holds on to.
fn weight_of(event: &Event) -> usize {
    size_of::<Event>() + weight(event.payload.value(), WEIGHED_LEVELS)
}

fn weight(value: &Value, levels: usize) -> usize {
    let below = |values: &mut dyn Iterator<Item = &Value>| match levels.checked_sub(1) {
        Some(levels) => values.map(|value| size_of::<Value>() + weight(value, levels)).sum(),
        None => 0,
    };
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(items) => below(&mut items.iter()),
        Value::Record(record) => below(&mut record.values()),
        _ => 0,
    }
}
