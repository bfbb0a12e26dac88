//! Instances of a graph: the state of one pipeline, and the way of batches through it.

use crate::{
    Environment, Graph, PortId,
    graph::{Node, NodeKind, Target},
    operators::{Emitter, Operator, watch},
    script::ScriptRun,
    select,
};
use std::{fmt, sync::Arc};
use tremor_diagnostic::SourceMap;
use tremor_event::{Event, EventBatch, Outcome};
use tremor_lang::{Context, Host, Origin, RuntimeError};
use tremor_value::{Str, Value};

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

impl fmt::Debug for ProcessContext<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
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

    /// Takes the batches of all ports, in their order; also those that are empty.
    pub fn take_all(&mut self) -> impl Iterator<Item = EventBatch> + '_ {
        self.ports.iter_mut().map(std::mem::take)
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
pub struct Pipeline {
    graph: Arc<Graph>,
    /// States of the script instances.
    states: Vec<Value>,
    /// In the order in which events can pass them.
    pub(crate) operators: Vec<Box<dyn Operator>>,
    /// Batches on their way, the next one last; kept for its memory.
    waiting: Vec<Waiting>,
}

/// A batch in front of a node.
struct Waiting {
    node: usize,
    /// Only scripts and operators look at it.
    port: Str,
    batch: EventBatch,
    /// The node is a `select`, and these are the events that its `where` lets pass.
    is_filtered: bool,
}

impl Waiting {
    fn new(target: &Target, batch: EventBatch, is_filtered: bool) -> Self {
        Self { node: target.node, port: target.port.clone(), batch, is_filtered }
    }

    /// In front of an input port of the pipeline.
    fn at_input(node: usize, batch: EventBatch) -> Self {
        Self { node, port: Str::new(), batch, is_filtered: false }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Pipeline").field("graph", &self.graph).finish_non_exhaustive()
    }
}

impl Pipeline {
    pub(crate) fn new(graph: Arc<Graph>, around: &Environment) -> Self {
        let (states, operators) = (graph.states.clone(), graph.make_operators(around));
        Self { graph, states, operators, waiting: Vec::new() }
    }

    /// The same instance with fresh state. What it held is lost when the old one goes; its [mediators](Self::mediators)
    /// stay the same, so they need not be linked again.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let operators = self.operators.iter().map(|operator| operator.renewed()).collect();
        let states = self.graph.states.clone();
        Self { graph: self.graph.clone(), states, operators, waiting: Vec::new() }
    }

    /// The graph it is an instance of.
    #[must_use]
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// Runs a batch from an input port through the graph; results are added to `out`.
    ///
    /// Events leave each port in the order in which they came in, and all results of one event before those of the
    /// next. Script errors leave by the script's `err` port, errors of `select` go to the report and end the event, whose
    /// receipt is then settled as failed. What is dropped or has nowhere to go is settled as discarded.
    pub fn process(&mut self, port: PortId, batch: EventBatch, out: &mut Outputs, ctx: &ProcessContext<'_>) {
        let graph = Arc::clone(&self.graph);
        let Some((_, node)) = graph.inputs.get(port.index()) else { return };
        if graph.batched || batch.len() <= 1 {
            self.waiting.push(Waiting::at_input(*node, batch));
            self.run(&graph, out, ctx);
            return;
        }
        // Branches meet again: only one event at a time keeps the order.
        let share = batch.bytes / batch.len().max(1);
        for event in batch.events {
            let batch = EventBatch { events: vec![event], bytes: share };
            self.waiting.push(Waiting::at_input(*node, batch));
            self.run(&graph, out, ctx);
        }
    }

    /// Tells operators that it is `now_ns` (nanoseconds since 1970 UTC); what they emit is added to `out`.
    pub fn tick(&mut self, now_ns: u64, out: &mut Outputs, ctx: &ProcessContext<'_>) {
        self.each_operator(out, ctx, |operator, emitter| operator.tick(now_ns, emitter));
    }

    /// No event will come any more: what operators hold is added to `out`.
    pub fn drain(&mut self, out: &mut Outputs, ctx: &ProcessContext<'_>) {
        self.each_operator(out, ctx, |operator, emitter| operator.drain(emitter));
    }

    /// What one operator emits has passed all nodes behind it before the next operator has its turn.
    fn each_operator(
        &mut self,
        out: &mut Outputs,
        ctx: &ProcessContext<'_>,
        mut act: impl FnMut(&mut dyn Operator, &mut Emitter<'_>),
    ) {
        let graph = Arc::clone(&self.graph);
        for (index, place) in graph.operators.iter().enumerate() {
            let node = graph.nodes.get(place.node);
            let (Some(node), Some(operator)) = (node, self.operators.get_mut(index)) else { continue };
            let mut emitter = Emitter::new(&node.ports, 0);
            act(&mut **operator, &mut emitter);
            HandOn { graph: &graph, ctx, waiting: &mut self.waiting }.emitted(
                &**operator,
                node,
                emitter.into_batches(),
            );
            self.run(&graph, out, ctx);
        }
    }

    /// Moves what waits through the graph.
    fn run(&mut self, graph: &Graph, out: &mut Outputs, ctx: &ProcessContext<'_>) {
        let mut waiting = std::mem::take(&mut self.waiting);
        while let Some(Waiting { node, port, batch, is_filtered }) = waiting.pop() {
            let Some(node) = graph.nodes.get(node) else { continue };
            if let Some(counts) = &node.counts {
                counts.came(&port, batch.len());
            }
            let mut hand_on = HandOn { graph, ctx, waiting: &mut waiting };
            match &node.kind {
                NodeKind::Output(port) => out.append(*port, batch),
                NodeKind::Stream => hand_on.batch(node, 0, batch),
                NodeKind::Select { select, args } => {
                    let batch = select::run(select, args, batch, is_filtered, graph, ctx);
                    hand_on.batch(node, 0, batch);
                }
                NodeKind::Script { definition, args, state } => {
                    let Some(state) = self.states.get_mut(*state) else { continue };
                    let batches = ScriptRun { definition, args, node, graph, ctx }.run(&port, state, batch);
                    // Later ports first: the stack turns the order round.
                    for (port, batch) in batches.into_iter().enumerate().rev() {
                        hand_on.batch(node, port, batch);
                    }
                }
                NodeKind::Operator(operator) => {
                    let Some(operator) = self.operators.get_mut(*operator) else { continue };
                    let mut emitter = Emitter::new(&node.ports, batch.bytes / batch.len().max(1));
                    for event in batch.events {
                        operator.event(event, &mut emitter);
                    }
                    hand_on.emitted(&**operator, node, emitter.into_batches());
                }
            }
        }
        self.waiting = waiting;
    }
}

/// Sends on what comes from nodes.
struct HandOn<'r> {
    graph: &'r Graph,
    ctx: &'r ProcessContext<'r>,
    waiting: &'r mut Vec<Waiting>,
}

impl HandOn<'_> {
    /// Sends on what an operator emitted.
    fn emitted(&mut self, operator: &dyn Operator, node: &Node, batches: Vec<EventBatch>) {
        for (index, (port, mut batch)) in node.ports.iter().zip(batches).enumerate().rev() {
            if !batch.is_empty()
                && let Some(listener) = operator.listener(&port.name)
            {
                watch(&mut batch.events, listener);
            }
            self.batch(node, index, batch);
        }
    }

    /// Sends a batch to all targets of one port; the first target gets the original.
    fn batch(&mut self, node: &Node, port: usize, batch: EventBatch) {
        if batch.is_empty() {
            return;
        }
        if let Some(counts) = &node.counts {
            counts.left(port, batch.len());
        }
        let Some((first, rest)) = node.ports.get(port).and_then(|port| port.targets.split_first()) else {
            // Nothing leads on.
            batch.settle(Outcome::Discarded);
            return;
        };
        // The stack gives back what was pushed last, so the first target is pushed last.
        for target in rest.iter().rev() {
            self.copy(target, &batch);
        }
        self.waiting.push(Waiting::new(first, batch, false));
    }

    /// Sends on a copy of a batch. Where a filter comes next, only what that lets pass is copied: often little.
    fn copy(&mut self, target: &Target, batch: &EventBatch) {
        let Self { graph, ctx, .. } = self;
        let target_node = graph.nodes.get(target.node);
        // A node that counts what comes in gets all of it.
        let counts = target_node.is_some_and(|node| node.counts.is_some());
        let (batch, is_filtered) = match target_node.map(|node| &node.kind) {
            Some(NodeKind::Select { select, args }) if select.filter.is_some() && !counts => {
                (select::filtered_copy(select, args, batch, graph, ctx), true)
            }
            _ => (batch.clone(), false),
        };
        if !batch.is_empty() {
            self.waiting.push(Waiting::new(target, batch, is_filtered));
        }
    }
}

/// Time and origin of an event, as functions see them.
pub(crate) fn context<'a>(event: &'a Event, host: &'a dyn Host) -> Context<'a> {
    let origin = event.origin.as_deref().map(|origin| Origin {
        scheme: &origin.scheme,
        host: &origin.host,
        port: origin.port,
        path: &origin.path,
    });
    Context::new(event.ingest_ns, origin, Some(host))
}
