//! `metrics`: what the process measures of itself, and what flows add (`spec/connectors.md` 3.22).

use async_trait::async_trait;
use std::{future::pending, sync::Arc};
use tremor_connector::config::{ConfigError, Reader};
use tremor_connector::{
    Built, CodecUse, ConnectError, Connected, Connector, Environment, EventSink, Intake, Made, Pulled, Sink,
    SinkError, SinkUse, Source, SourceError, Spec,
    metrics::{Metric, Metrics, MetricsReader},
};
use tremor_event::{Event, OriginUri};
use tremor_value::Value;

/// The kind.
pub(crate) const SPEC: Spec = Spec {
    name: "metrics",
    summary: "Gives what connectors and pipelines with `metrics_interval_s` publish, and publishes what it is sent. A reader that \
              is too slow misses the oldest. Its output must not lead to its own input: that would never end.",
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

fn build(config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    config.finish()?;
    let origin = Arc::new(OriginUri::new("tremor-metrics", &*environment.hostname));
    let metrics = environment.metrics.clone();
    // From now on, not from the start: what others publish when they start is not missed.
    let reader = Some(metrics.subscribe());
    Ok(Built::new(Channel { metrics, reader, gives: true, origin }))
}

struct Channel {
    metrics: Metrics,
    /// Until the first connection takes it.
    reader: Option<MetricsReader>,
    /// Something reads what it gives.
    gives: bool,
    origin: Arc<OriginUri>,
}

#[async_trait]
impl Connector for Channel {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let source = self.gives.then(|| {
            let reader = self.reader.take().unwrap_or_else(|| self.metrics.subscribe());
            let source: Box<dyn Source> = Box::new(Measurements { reader });
            (source, self.origin.clone())
        });
        let sink = Sink::Events(Box::new(Publisher { metrics: self.metrics.clone() }));
        Ok(Connected::Halves { source, sink: Some(sink) })
    }

    fn linked(&mut self, gives: bool, _takes: bool) {
        self.gives = gives;
        if !gives {
            // As long as somebody subscribes, others measure.
            self.reader = None;
        }
    }
}

struct Measurements {
    reader: MetricsReader,
}

#[async_trait]
impl Source for Measurements {
    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        let Some(metrics) = self.reader.next().await else { return pending().await };
        for metric in &*metrics {
            intake.value(Made { origin: metric.origin.clone(), ..Made::from(metric.value.clone()) }, None);
        }
        Ok(Pulled::More)
    }
}

struct Publisher {
    metrics: Metrics,
}

#[async_trait]
impl EventSink for Publisher {
    async fn event(&mut self, event: Event) -> Result<(), SinkError> {
        let values: Vec<&Value> = event.elements().map(|element| element.content.value()).collect();
        if !values.iter().all(|value| is_metric(value)) {
            return Err(SinkError::Failed("Invalid metrics data".to_owned()));
        }
        let metrics =
            values.into_iter().map(|value| Metric { value: value.clone(), origin: event.origin.clone() });
        self.metrics.publish(metrics.collect());
        Ok(())
    }
}

/// Whether `value` has the members of a measurement.
fn is_metric(value: &Value) -> bool {
    let member = |name: &str| value.get(name);
    let is_record = |name: &str| member(name).is_some_and(|value| value.as_record().is_some());
    member("measurement").is_some_and(|name| name.as_str().is_some())
        && is_record("tags")
        && is_record("fields")
        && member("timestamp").is_some_and(|time| time.as_u64().is_some() || time.as_i64().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_has_four_members_of_their_types() {
        let valid = r#"{"measurement": "m", "tags": {}, "fields": {"a": 1}, "timestamp": 1, "more": 0}"#;
        let of = |text: &str| is_metric(&Value::from_json_str(text).unwrap());
        assert!(of(valid) && of(&valid.replace("\"timestamp\": 1", "\"timestamp\": -1")));
        for (member, wrong) in [
            ("\"m\"", "1"),
            ("\"tags\": {}", "\"tags\": []"),
            ("{\"a\": 1}", "null"),
            ("\"timestamp\": 1", "\"timestamp\": \"1\""),
        ] {
            assert!(!of(&valid.replace(member, wrong)), "{wrong}");
        }
        assert!(!of("1") && !of(r#"{"measurement": "m", "tags": {}, "fields": {}}"#));
    }
}
