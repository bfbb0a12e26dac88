//! Instances of a graph: the state of one pipeline, and the way of batches through it.

use crate::{
    Graph, PortId,
    graph::{Node, NodeKind, Target},
};
use std::sync::Arc;
use tremor_diagnostic::SourceMap;
use tremor_event::{Event, EventBatch, Signal};
use tremor_lang::{Context, Host, Inputs, Origin, Outcome, RuntimeError, ScriptDefinition, Select};
use tremor_value::{Payload, Record, Str, Value};

/// Told about run-time errors that no event carries on: those of `select` (`spec/language-query.md` 4.4), and those of
/// scripts whose errors nobody reads.
pub trait Report: Send + Sync {
    /// `sources` are the texts that the error's position refers to. The error is put into words only on demand.
    fn select_failed(&self, error: &RuntimeError, sources: &SourceMap);

    /// The same for errors of a script whose port `err` nobody reads, so that the event is lost
    /// (`spec/language-query.md` 5.3).
    fn script_failed(&self, error: &RuntimeError, sources: &SourceMap) {
        let _ = (error, sources);
    }
}

/// What processing needs from around the pipeline.
#[derive(Clone, Copy)]
pub struct ProcessContext<'a> {
    /// The process, for functions that ask for its name or the time.
    pub host: &'a dyn Host,
    /// Told about errors.
    pub report: &'a dyn Report,
}

impl std::fmt::Debug for ProcessContext<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ProcessContext").finish_non_exhaustive()
    }
}

/// What left a pipeline, by output port.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    ports: Vec<EventBatch>,
}

impl Outputs {
    /// An empty batch for each output port of `graph`.
    #[must_use]
    pub fn new(graph: &Graph) -> Self {
        Self { ports: graph.outputs().map(|_| EventBatch::default()).collect() }
    }

    /// `true` if nothing left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ports.iter().all(EventBatch::is_empty)
    }

    /// What left by `port`.
    #[must_use]
    pub fn get(&self, port: PortId) -> Option<&EventBatch> {
        self.ports.get(port.index())
    }

    /// Takes what left by `port`; the port is empty then.
    pub fn take(&mut self, port: PortId) -> EventBatch {
        self.ports.get_mut(port.index()).map(std::mem::take).unwrap_or_default()
    }

    /// Takes all batches that are not empty, with their ports.
    pub fn drain(&mut self) -> impl Iterator<Item = (PortId, EventBatch)> + '_ {
        let filled = self.ports.iter_mut().enumerate().filter(|(_, batch)| !batch.is_empty());
        filled.map(|(index, batch)| (PortId(index), std::mem::take(batch)))
    }

    fn append(&mut self, port: usize, batch: EventBatch) {
        if self.ports.len() <= port {
            self.ports.resize_with(port + 1, EventBatch::default);
        }
        let Some(there) = self.ports.get_mut(port) else { return };
        if there.is_empty() {
            *there = batch;
        } else {
            there.bytes = there.bytes.saturating_add(batch.bytes);
            there.events.extend(batch.events);
        }
    }
}

/// One instance of a [`Graph`].
#[derive(Debug)]
pub struct Pipeline {
    graph: Arc<Graph>,
    /// States of the script instances.
    states: Vec<Value>,
    /// Batches on their way; kept for its memory.
    waiting: Vec<(usize, Str, EventBatch)>,
}

impl Pipeline {
    pub(crate) fn new(graph: Arc<Graph>) -> Self {
        let states = graph.states.clone();
        Self { graph, states, waiting: Vec::new() }
    }

    /// The graph it is an instance of.
    #[must_use]
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// Runs a batch from an input port through the graph; results are added to `out`.
    ///
    /// Events leave each port in the order in which they came in, and all results of one event before those of the
    /// next. Script errors leave by the script's `err` port, errors of `select` go to the report and end the event.
    pub fn process(&mut self, port: PortId, batch: EventBatch, out: &mut Outputs, ctx: &ProcessContext<'_>) {
        let graph = Arc::clone(&self.graph);
        let Some((_, node)) = graph.inputs.get(port.index()) else { return };
        if graph.batched || batch.len() <= 1 {
            self.run(&graph, *node, batch, out, ctx);
            return;
        }
        // Branches meet again: only one event at a time keeps the order.
        let share = batch.bytes / batch.len().max(1);
        for event in batch.events {
            self.run(&graph, *node, EventBatch { events: vec![event], bytes: share }, out, ctx);
        }
    }

    /// Tells the nodes about a signal; what they emit is added to `out`.
    ///
    /// Only windows and operators notice signals, and a graph of streams, selects and scripts has none of them; so
    /// nothing is emitted.
    pub fn signal(&mut self, _signal: Signal, _out: &mut Outputs) {}

    fn run(
        &mut self,
        graph: &Graph,
        start: usize,
        batch: EventBatch,
        out: &mut Outputs,
        ctx: &ProcessContext<'_>,
    ) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.push((start, Str::new(), batch));
        while let Some((index, port, batch)) = waiting.pop() {
            let Some(node) = graph.nodes.get(index) else { continue };
            match &node.kind {
                NodeKind::Output(port) => out.append(*port, batch),
                NodeKind::Stream => hand_on(node, 0, batch, &mut waiting),
                NodeKind::Select { select, args } => {
                    let batch = run_select(select, args, batch, graph, ctx);
                    hand_on(node, 0, batch, &mut waiting);
                }
                NodeKind::Script { definition, args, state } => {
                    let Some(state) = self.states.get_mut(*state) else { continue };
                    let batches = ScriptRun { definition, args, node, graph, ctx }.run(&port, state, batch);
                    // Later ports first: the stack turns the order round.
                    for (port, batch) in batches.into_iter().enumerate().rev() {
                        hand_on(node, port, batch, &mut waiting);
                    }
                }
            }
        }
        self.waiting = waiting;
    }
}

/// Sends a batch to all targets of one port; the last target gets the original.
fn hand_on(node: &Node, port: usize, batch: EventBatch, waiting: &mut Vec<(usize, Str, EventBatch)>) {
    if batch.is_empty() {
        return;
    }
    let Some((first, rest)) = node.ports.get(port).and_then(|port| port.targets.split_first()) else {
        return;
    };
    let send = |target: &Target, batch| (target.node, target.port.clone(), batch);
    // The stack gives back what was pushed last, so the first target is pushed last and gets the original.
    for target in rest.iter().rev() {
        waiting.push(send(target, batch.clone()));
    }
    waiting.push(send(first, batch));
}

/// Time and origin of an event, as functions see them.
fn context<'a>(event: &'a Event, host: &'a dyn Host) -> Context<'a> {
    let origin = event.origin.as_deref().map(|origin| Origin {
        scheme: &origin.scheme,
        host: &origin.host,
        port: origin.port,
        path: &origin.path,
    });
    Context::new(event.ingest_ns, origin, Some(host))
}

fn run_select(
    select: &Select,
    args: &Value,
    mut batch: EventBatch,
    graph: &Graph,
    ctx: &ProcessContext<'_>,
) -> EventBatch {
    let passes = select.target.is_event();
    if passes && select.filter.is_none() && select.having.is_none() {
        return batch;
    }
    batch.events.retain_mut(|event| match select_event(select, args, event, passes, ctx) {
        Ok(kept) => kept,
        Err(error) => {
            ctx.report.select_failed(&error, &graph.sources);
            false
        }
    });
    batch
}

/// Whether the event goes on, with the target as its payload.
fn select_event(
    select: &Select,
    args: &Value,
    event: &mut Event,
    passes: bool,
    ctx: &ProcessContext<'_>,
) -> Result<bool, RuntimeError> {
    if let Some(filter) = &select.filter {
        let context = context(event, ctx.host);
        let inputs = Inputs::new(&event.payload, &event.meta, args, &context);
        if !filter.holds(&inputs, "where", select.span)? {
            return Ok(false);
        }
    }
    if !passes {
        let context = context(event, ctx.host);
        let inputs = Inputs::new(&event.payload, &event.meta, args, &context);
        let value = select.target.evaluate(&inputs)?.into_value();
        event.payload = Payload::from(value);
    }
    let Some(having) = &select.having else { return Ok(true) };
    let context = context(event, ctx.host);
    let inputs = Inputs::new(&event.payload, &event.meta, args, &context);
    having.holds(&inputs, "having", select.span)
}

/// One script with what it runs in.
struct ScriptRun<'r> {
    definition: &'r ScriptDefinition,
    args: &'r Value,
    node: &'r Node,
    graph: &'r Graph,
    ctx: &'r ProcessContext<'r>,
}

impl ScriptRun<'_> {
    /// Runs the section for `port` on each event and sorts the results by output port.
    fn run(&self, port: &str, state: &mut Value, batch: EventBatch) -> Vec<EventBatch> {
        let bytes = batch.bytes;
        let mut batches: Vec<EventBatch> =
            self.node.ports.iter().map(|_| EventBatch { events: Vec::new(), bytes }).collect();
        // Nearly all results go to one port: that one gets the room.
        if let Some(out) = self.port("out").and_then(|index| batches.get_mut(index)) {
            out.events.reserve(batch.len());
        }
        for mut event in batch.events {
            let Some(port) = self.event(port, state, &mut event) else { continue };
            if let Some(batch) = batches.get_mut(port) {
                batch.events.push(event);
            }
        }
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
