//! `echo`: gives back what it takes (`spec/connectors.md` 3.24).

use async_trait::async_trait;
use futures_util::FutureExt;
use std::sync::Arc;
use tremor_connector::config::{ConfigError, Reader};
use tremor_connector::{
    Built, CodecUse, ConnectError, Connected, Connector, Environment, EventSink, Intake, Made, OnDrain,
    Pulled, Receiver, Sender, Sink, SinkError, SinkUse, Source, SourceError, Spec, bounded, weight,
};
use tremor_event::{Event, OriginUri};

/// The kind.
pub(crate) const SPEC: Spec = Spec {
    name: "echo",
    summary: "Gives every event that it takes on `in` back on `out`.",
    fields: &[],
    below: &[],
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

fn build(config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    config.finish()?;
    let origin = Arc::new(OriginUri::new("tremor-echo", &*environment.hostname));
    Ok(Built::new(Echo { origin, is_read: false }))
}

struct Echo {
    origin: Arc<OriginUri>,
    /// Something takes what the source half gives.
    is_read: bool,
}

#[async_trait]
impl Connector for Echo {
    fn linked(&mut self, is_read: bool, _is_fed: bool) {
        self.is_read = is_read;
    }

    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let (sender, queue) = bounded();
        // Nobody pulls a source that leads nowhere; waiting for that would stall everything in front.
        let forth = Forth { queue: self.is_read.then_some(sender) };
        Ok(Connected::Halves {
            source: Some((Box::new(Back { queue }), self.origin.clone())),
            sink: Some(Sink::Events(Box::new(forth))),
        })
    }
}

/// The half that takes.
struct Forth {
    /// `None` if nobody reads, or once everything that could ever come has come.
    queue: Option<Sender<Event>>,
}

#[async_trait]
impl EventSink for Forth {
    async fn event(&mut self, event: Event) -> Result<(), SinkError> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let weight = weight_of(&event);
        queue.send(event, weight).await.map_err(|_| SinkError::Failed("its source half has ended".into()))
    }

    async fn drained(&mut self) {
        // Lets the source finish once it has emptied the queue.
        self.queue = None;
    }
}

/// The half that gives.
struct Back {
    queue: Receiver<Event>,
}

#[async_trait]
impl Source for Back {
    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
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
        OnDrain::GiveAll
    }
}

/// Puts every element of `event` into `intake` as an event of its own.
fn give_back(event: Event, intake: &mut Intake) {
    if event.is_batch {
        for element in event.elements() {
            let made = Made {
                from: Some(event.id.clone()),
                ingest_ns: Some(event.ingest_ns),
                ..element.value().clone().into()
            };
            intake.value(made, Some(element.meta.to_meta()));
        }
        return;
    }
    let Event { id, payload, meta, ingest_ns, .. } = event;
    let made = Made { from: Some(id), ingest_ns: Some(ingest_ns), ..payload.into_value().into() };
    intake.value(made, Some(meta));
}

/// Roughly the bytes that an event holds on to.
fn weight_of(event: &Event) -> usize {
    size_of::<Event>() + weight(event.payload.value())
}
