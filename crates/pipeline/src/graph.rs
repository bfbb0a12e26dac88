//! The graph that events run through: flat, immutable, shared by all instances.

use crate::{
    BuildError, Environment, Pipeline,
    build::Builder,
    counts::{NodeCounts, OperatorCounts},
    operators::{Maker, Operator},
};
use std::{fmt, sync::Arc, time::Duration};
use tremor_diagnostic::{Diagnostic, SourceMap};
use tremor_lang::{PipelineDefinition, ScriptDefinition, Select};
use tremor_value::{Str, Value};

/// Index of an input or output port of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub(crate) usize);

impl PortId {
    /// The index, below the number of ports of its side.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// A compiled pipeline as a flat graph.
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<(String, usize)>,
    pub(crate) outputs: Vec<String>,
    /// Initial states of the script instances.
    pub(crate) states: Vec<Value>,
    /// Operators in the order in which events can pass them.
    pub(crate) operators: Vec<OperatorNode>,
    pub(crate) operators_in_row: usize,
    /// Whole batches may take one branch after the other without changing the order on any port.
    pub(crate) batched: bool,
    pub(crate) stateless: bool,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) sources: Arc<SourceMap>,
    pub(crate) metrics_interval: Option<Duration>,
}

/// What an operator's instances are made by.
pub(crate) struct OperatorNode {
    /// The node.
    pub(crate) node: usize,
    pub(crate) maker: Maker,
    /// Where its instances count.
    pub(crate) counts: Option<OperatorCounts>,
}

impl fmt::Debug for Graph {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Graph").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// One node and where its results go.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    /// Only scripts and operators have more than one.
    pub(crate) ports: Vec<OutPort>,
    /// There where the user wants to know what passes.
    pub(crate) counts: Option<Box<NodeCounts>>,
}

#[derive(Debug)]
pub(crate) struct OutPort {
    pub(crate) name: Str,
    pub(crate) targets: Vec<Target>,
}

/// The receiving end of an edge.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) node: usize,
    /// Only scripts look at it.
    pub(crate) port: Str,
}

#[derive(Debug)]
pub(crate) enum NodeKind {
    /// An input port, a stream, or a port of a nested pipeline.
    Stream,
    /// An output port of the graph.
    Output(usize),
    Select {
        select: Arc<Select>,
        args: Arc<Value>,
    },
    Script {
        definition: Arc<ScriptDefinition>,
        args: Arc<Value>,
        /// Which of the states is its own.
        state: usize,
    },
    /// Which of the operators it is.
    Operator(usize),
}

impl Graph {
    /// Builds the graph of a pipeline whose `args` are `args` (`spec/language-query.md` section 11).
    ///
    /// Nodes without way in or out are left out. `sources` are those of the compiled program, for reports.
    ///
    /// # Errors
    /// Everything that is found wrong: unknown nodes and ports, doubled names, missing arguments, cycles.
    pub fn build(
        definition: &PipelineDefinition,
        args: Value,
        sources: Arc<SourceMap>,
    ) -> Result<Arc<Self>, BuildError> {
        Builder::new(sources).build(definition, args).map(Arc::new)
    }

    /// A new instance, with its own state.
    #[must_use]
    pub fn instance(self: &Arc<Self>, around: &Environment) -> Pipeline {
        Pipeline::new(Arc::clone(self), around)
    }

    pub(crate) fn make_operators(&self, around: &Environment) -> Vec<Box<dyn Operator>> {
        let make = |node: &OperatorNode| {
            let mut operator = (node.maker)(around);
            if let Some(counts) = &node.counts {
                operator.count_by(counts.classes.clone());
            }
            operator
        };
        self.operators.iter().map(make).collect()
    }

    /// `true` if something in it has to notice that time passes.
    #[must_use]
    pub fn wants_ticks(&self) -> bool {
        !self.operators.is_empty()
    }

    /// How often what its instances count is to be published: `#!config metrics_interval_s`. `None`: they count nothing.
    #[must_use]
    pub fn metrics_interval(&self) -> Option<Duration> {
        self.metrics_interval
    }

    /// Operators that one event can pass at most.
    #[must_use]
    pub fn operators_in_row(&self) -> usize {
        self.operators_in_row
    }

    /// What is probably not meant.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Names of the input ports, by index.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = &str> {
        self.inputs.iter().map(|(name, _)| name.as_str())
    }

    /// Names of the output ports, by index.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = &str> {
        self.outputs.iter().map(String::as_str)
    }

    /// The input port called `name`, in any case.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<PortId> {
        self.inputs().position(|port| port.eq_ignore_ascii_case(name)).map(PortId)
    }

    /// The output port called `name`, in any case.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<PortId> {
        self.outputs().position(|port| port.eq_ignore_ascii_case(name)).map(PortId)
    }

    /// `true` if no event can influence a later one, so instances may work side by side.
    #[must_use]
    pub fn is_stateless(&self) -> bool {
        self.stateless
    }

    /// The texts behind the spans of this graph's errors.
    #[must_use]
    pub fn sources(&self) -> &Arc<SourceMap> {
        &self.sources
    }
}
