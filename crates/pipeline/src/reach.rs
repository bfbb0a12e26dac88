//! What stands behind what, as breakers see it (`spec/runtime.md` 4.2, 11.6).

use crate::{
    Graph, Mediator, Pipeline, PortId,
    graph::{NodeKind, OutPort},
};
use std::{collections::BTreeSet, sync::Arc};

/// One of the operators of a pipeline that mediate between breakers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediatorId(usize);

/// The next parts on all ways: mediators, and outputs that are reached without passing one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Output ports.
    pub outputs: Vec<PortId>,
    /// Operators that mediate.
    pub mediators: Vec<MediatorId>,
}

impl Pipeline {
    /// Operators that mediate between breakers.
    pub fn mediators(&self) -> impl Iterator<Item = (MediatorId, Arc<dyn Mediator>)> + '_ {
        let operators = self.operators.iter().enumerate();
        operators.filter_map(|(index, operator)| Some((MediatorId(index), operator.mediator()?)))
    }

    /// The operator that `id` stands for.
    #[must_use]
    pub fn mediator(&self, id: MediatorId) -> Option<Arc<dyn Mediator>> {
        self.operators.get(id.0)?.mediator()
    }

    /// What is next behind an input port.
    #[must_use]
    pub fn reach(&self, input: PortId) -> Reach {
        let graph = self.graph();
        let start = graph.inputs.get(input.index()).map(|(_, node)| *node);
        self.walk(graph, start.into_iter().collect())
    }

    /// Output ports of a mediator that somebody reads and that it mediates, each with what is next behind it.
    #[must_use]
    pub fn behind(&self, mediator: MediatorId) -> Vec<(String, Reach)> {
        let graph = self.graph();
        let operator = self.mediator(mediator);
        let node = graph.operators.get(mediator.0).and_then(|operator| graph.nodes.get(operator.node));
        let (Some(operator), Some(node)) = (operator, node) else { return Vec::new() };
        let ports = node.ports.iter().filter(|port| operator.mediates(&port.name));
        ports.map(|port| (port.name.to_string(), self.walk(graph, targets(port)))).collect()
    }

    fn walk(&self, graph: &Graph, mut open: Vec<usize>) -> Reach {
        let mut reach = Reach::default();
        let mut seen = BTreeSet::new();
        while let Some(index) = open.pop() {
            let Some(node) = graph.nodes.get(index).filter(|_| seen.insert(index)) else { continue };
            let mut mediator = None;
            match &node.kind {
                NodeKind::Output(port) => reach.outputs.push(PortId(*port)),
                NodeKind::Operator(operator) => {
                    mediator = self.operators.get(*operator).and_then(|operator| operator.mediator());
                    if mediator.is_some() {
                        reach.mediators.push(MediatorId(*operator));
                    }
                }
                NodeKind::Stream | NodeKind::Select { .. } | NodeKind::Script { .. } => {}
            }
            let is_passed =
                |port: &&OutPort| mediator.as_ref().is_none_or(|mediator| !mediator.mediates(&port.name));
            open.extend(node.ports.iter().filter(is_passed).flat_map(targets));
        }
        reach.outputs.sort_unstable_by_key(|port| port.index());
        reach.mediators.sort_unstable();
        reach
    }
}

fn targets(port: &OutPort) -> Vec<usize> {
    port.targets.iter().map(|target| target.node).collect()
}
