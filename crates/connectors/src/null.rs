//! `null`: gives nothing and takes everything (`spec/connectors.md` 3.16).

use async_trait::async_trait;
use std::sync::Arc;
use tremor_connector::config::{ConfigError, Reader};
use tremor_connector::{
    Built, CodecUse, ConnectError, Connected, Connector, Environment, EventSink, Intake, Pulled, Sink,
    SinkError, SinkUse, Source, SourceError, Spec,
};
use tremor_event::{Event, OriginUri};

/// The kind.
pub(crate) const SPEC: Spec = Spec {
    name: "null",
    summary: "Swallows every event; as a source it has none.",
    fields: &[],
    below: &[],
    needs_config: false,
    codec: CodecUse::Default("json"),
    is_source: true,
    sink: SinkUse::Queued,
    inputs: &["in"],
    input_aliases: &[],
    is_debug: false,
    build,
};

fn build(config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    config.finish()?;
    let origin = Arc::new(OriginUri::new("tremor-null", &*environment.hostname));
    Ok(Built::new(Null { origin }))
}

struct Null {
    origin: Arc<OriginUri>,
}

#[async_trait]
impl Connector for Null {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        Ok(Connected::Halves {
            source: Some((Box::new(Nothing), self.origin.clone())),
            sink: Some(Sink::Events(Box::new(Nothing))),
        })
    }
}

struct Nothing;

#[async_trait]
impl Source for Nothing {
    async fn pull(&mut self, _intake: &mut Intake) -> Result<Pulled, SourceError> {
        Ok(Pulled::Finished)
    }
}

#[async_trait]
impl EventSink for Nothing {
    async fn event(&mut self, _event: Event) -> Result<(), SinkError> {
        Ok(())
    }
}
