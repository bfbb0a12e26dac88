//! Scripts as nodes.

use crate::{
    ProcessContext,
    graph::{Graph, Node},
    instance::context,
    receipts::Ended,
};
use tremor_event::{Event, EventBatch};
use tremor_lang::{Outcome, ScriptDefinition};
use tremor_value::{Payload, Record, Value};

/// One script with what it runs in.
pub(crate) struct ScriptRun<'r> {
    pub(crate) definition: &'r ScriptDefinition,
    pub(crate) args: &'r Value,
    pub(crate) node: &'r Node,
    pub(crate) graph: &'r Graph,
    pub(crate) ctx: &'r ProcessContext<'r>,
}

impl ScriptRun<'_> {
    /// Runs the section for `port` on each event and sorts the results by output port. The way of an event that is
    /// dropped or leaves by a port that nobody reads ends here, also if it is an error: that has been reported.
    pub(crate) fn run(&self, port: &str, state: &mut Value, batch: EventBatch) -> Vec<EventBatch> {
        let bytes = batch.bytes;
        let mut batches: Vec<EventBatch> =
            self.node.ports.iter().map(|_| EventBatch { events: Vec::new(), bytes }).collect();
        // Nearly all results go to one port: that one gets the room.
        if let Some(out) = self.port("out").and_then(|index| batches.get_mut(index)) {
            out.events.reserve(batch.len());
        }
        let mut ended = Ended::default();
        for mut event in batch.events {
            let port = self.event(port, state, &mut event);
            match port.and_then(|port| batches.get_mut(port)) {
                Some(batch) => batch.events.push(event),
                None => ended.discard(&mut event),
            }
        }
        ended.settle();
        batches
    }

    fn port(&self, name: &str) -> Option<usize> {
        self.node.ports.iter().position(|port| port.name == name)
    }

    /// Runs the script on one event; gives the index of the port it leaves by, if somebody reads that.
    fn event(&self, port: &str, state: &mut Value, event: &mut Event) -> Option<usize> {
        let Some(script) = self.definition.section(port) else {
            let text = format!("The script has no section for port `{port}`");
            return self.fail(event, || text);
        };
        let mut payload = std::mem::take(&mut event.payload);
        let mut meta = std::mem::take(&mut event.meta);
        let result = {
            let context = context(event, self.ctx.host);
            script.run(&mut payload, &mut meta, state, self.args, &context)
        };
        event.payload = payload;
        event.meta = meta;
        match result {
            Ok(Outcome::Emit { port, value }) => {
                let port = self.port(port.as_deref().unwrap_or("out"))?;
                event.payload = Payload::from(value);
                Some(port)
            }
            Ok(Outcome::EmitEvent { port }) => self.port(port.as_deref().unwrap_or("out")),
            Ok(Outcome::Drop) => None,
            Err(error) => {
                let port = self.fail(event, || error.report(&self.graph.sources));
                if port.is_none() {
                    self.ctx.report.script_failed(&error, &self.graph.sources);
                }
                port
            }
        }
    }

    /// Turns the event into an error event, if somebody reads those.
    fn fail(&self, event: &mut Event, text: impl FnOnce() -> String) -> Option<usize> {
        let port = self.port("err")?;
        let payload = std::mem::take(&mut event.payload).into_value();
        let record: Record = [("error", Value::from(text())), ("event", payload)].into_iter().collect();
        event.payload = Payload::from(Value::from(record));
        Some(port)
    }
}
