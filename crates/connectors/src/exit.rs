//! `exit`: its first event ends the process (`spec/connectors.md` 3.13).

use async_trait::async_trait;
use std::time::Duration;
use tremor_connector::config::{ConfigError, Entry, FromConfig, Reader};
use tremor_connector::{
    Built, CodecUse, ConnectError, Connected, Connector, Environment, EventSink, ExitRequest, ExitSwitch,
    Field, Sink, SinkError, SinkUse, Spec,
};
use tremor_event::Event;
use tremor_value::Value;

/// The kind.
pub(crate) const SPEC: Spec = Spec {
    name: "exit",
    summary: "Ends the process when an event arrives.",
    fields: &[
        Field {
            name: "delay",
            kind: "integer",
            default: "null",
            text: "Nanoseconds to wait between the event and the end. A member `delay` of the event wins.",
        },
        Field {
            name: "graceful",
            kind: "bool",
            default: "true",
            text: "Lets everything under way reach its sinks first. A member `graceful` of the event wins; \
                   its member `exit`, an integer from 0 to 255, is the exit code.",
        },
    ],
    below: &[],
    needs_config: false,
    codec: CodecUse::Structured,
    is_source: false,
    sink: SinkUse::Queued,
    inputs: &["in"],
    input_aliases: &[],
    is_debug: false,
    build,
};

fn build(mut config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    let plan = Plan {
        delay: config.duration_ns("delay")?.unwrap_or_default(),
        request: ExitRequest { graceful: config.or("graceful", true)?, code: 0 },
    };
    config.finish()?;
    let exit = Exit { plan, switch: environment.exit.clone(), alias: environment.alias.clone() };
    Ok(Built { is_source: false, ..Built::new(exit) })
}

/// What to do when the event comes.
#[derive(Clone, Copy)]
struct Plan {
    delay: Duration,
    request: ExitRequest,
}

struct Exit {
    plan: Plan,
    switch: ExitSwitch,
    alias: String,
}

#[async_trait]
impl Connector for Exit {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let trigger = Trigger {
            plan: self.plan,
            switch: self.switch.clone(),
            alias: self.alias.clone(),
            is_pulled: false,
        };
        Ok(Connected::Halves { source: None, sink: Some(Sink::Events(Box::new(trigger))) })
    }
}

struct Trigger {
    plan: Plan,
    switch: ExitSwitch,
    alias: String,
    /// An event has come; those behind it mean nothing any more.
    is_pulled: bool,
}

#[async_trait]
impl EventSink for Trigger {
    async fn event(&mut self, event: Event) -> Result<(), SinkError> {
        let Some(element) = event.elements().next().filter(|_| !self.is_pulled) else { return Ok(()) };
        self.is_pulled = true;
        let Plan { delay, request } = self.plan_for(element.value());
        if delay.is_zero() {
            self.switch.request(request);
            return Ok(());
        }
        // Not waited for here: the sink goes on handling signals. Not ended with the connector either:
        // once the event has come, the process ends.
        let switch = self.switch.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            switch.request(request);
        });
        Ok(())
    }
}

impl Trigger {
    /// The configured plan with what the event overrides. A member that makes no sense is as good as absent:
    /// whoever sends an event here wants the process to end.
    fn plan_for(&self, value: &Value) -> Plan {
        let mut plan = self.plan;
        if let Some(delay_ns) = self.member(value, "delay") {
            plan.delay = Duration::from_nanos(delay_ns);
        }
        if let Some(graceful) = self.member(value, "graceful") {
            plan.request.graceful = graceful;
        }
        if let Some(code) = self.member(value, "exit") {
            plan.request.code = code;
        }
        plan
    }

    fn member<T: for<'a> FromConfig<'a>>(&self, value: &Value, key: &str) -> Option<T> {
        let member = value.get(key).filter(|member| !member.is_null())?;
        let read = Entry::root(member, key).read();
        read.inspect_err(|error| {
            tracing::warn!(target: "tremor_runtime", "[Sink::{}] ignores part of its event: {error}", self.alias);
        })
        .ok()
    }
}
