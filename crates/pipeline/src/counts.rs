//! What nodes count, where the user wants to know (`spec/runtime.md` 15).

use crate::{
    build::Edge,
    graph::{Node, NodeKind, OperatorNode},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tremor_value::Str;

/// Classes of which one operator counts the events; those of further classes are not counted.
const MAX_CLASSES: usize = 10_000;

/// One number that a pipeline has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What was measured: `events`, or what the kind of an operator calls it.
    pub measurement: &'static str,
    /// What tells it apart from the other readings of the pipeline.
    pub tags: Vec<(&'static str, Str)>,
    /// How many so far.
    pub count: u64,
}

/// Events that passed one node, in all instances of the graph.
pub(crate) struct NodeCounts {
    label: Str,
    inputs: Vec<(Str, AtomicU64)>,
    outputs: Vec<(Str, AtomicU64)>,
}

impl fmt::Debug for NodeCounts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "NodeCounts({})", self.label)
    }
}

/// Where a node stands in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is an input port: it has an output alone.
    Entry,
    Between,
    /// It is an output port: it has an input alone.
    Exit,
}

impl NodeCounts {
    /// For a node called `label` to which the edges `to` lead, and which gives on `outputs`, in their order.
    pub(crate) fn new<'e>(
        label: &str,
        place: Place,
        to: impl Iterator<Item = &'e Edge>,
        outputs: impl Iterator<Item = Str>,
    ) -> Self {
        let mut inputs: Vec<(Str, AtomicU64)> = Vec::new();
        let names = to.map(|edge| if place == Place::Exit { "in".into() } else { edge.to_port.clone() });
        for name in names {
            if !inputs.iter().any(|(known, _)| *known == name) {
                inputs.push((name, AtomicU64::new(0)));
            }
        }
        let outputs =
            outputs.map(|name| (if place == Place::Entry { "out".into() } else { name }, AtomicU64::new(0)));
        Self { label: label.into(), inputs, outputs: outputs.collect() }
    }

    /// So many events came in by `port`.
    pub(crate) fn came(&self, port: &str, events: usize) {
        let found = self.inputs.iter().find(|(name, _)| name == port);
        if let Some((_, count)) = found.or_else(|| self.inputs.first()) {
            count.fetch_add(events as u64, Relaxed);
        }
    }

    /// So many events left by output port number `port`.
    pub(crate) fn left(&self, port: usize, events: usize) {
        if let Some((_, count)) = self.outputs.get(port) {
            count.fetch_add(events as u64, Relaxed);
        }
    }

    fn turn(&self) -> u64 {
        let counts = self.inputs.iter().chain(&self.outputs);
        counts.fold(0, |sum, (_, count)| sum.wrapping_add(count.load(Relaxed)))
    }

    fn read(&self, out: &mut Vec<Reading>) {
        for (direction, counts) in [("input", &self.inputs), ("output", &self.outputs)] {
            let used = counts
                .iter()
                .map(|(port, count)| (port, count.load(Relaxed)))
                .filter(|(_, count)| *count > 0);
            out.extend(used.map(|(port, count)| Reading {
                measurement: "events",
                tags: vec![
                    ("node", self.label.clone()),
                    ("port", port.clone()),
                    ("direction", direction.into()),
                ],
                count,
            }));
        }
    }
}

/// Events that one operator let pass and did not, by class.
#[derive(Default)]
pub(crate) struct Classes(Mutex<BTreeMap<Str, [u64; 2]>>);

impl Classes {
    /// One more of `class`.
    pub(crate) fn count(&self, class: &str, passes: bool) {
        let mut classes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !classes.contains_key(class) {
            if classes.len() >= MAX_CLASSES {
                return;
            }
            classes.insert(class.into(), [0; 2]);
        }
        if let Some([passed, overflowed]) = classes.get_mut(class) {
            *if passes { passed } else { overflowed } += 1;
        }
    }

    pub(crate) fn read(&self, label: &Str, out: &mut Vec<Reading>) {
        let classes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (class, counts) in &*classes {
            let actions = ["pass", "overflow"].into_iter().zip(*counts).filter(|(_, count)| *count > 0);
            out.extend(actions.map(|(action, count)| Reading {
                measurement: "bucketing",
                tags: vec![("operator", label.clone()), ("class", class.clone()), ("action", action.into())],
                count,
            }));
        }
    }
}

/// What an operator counts, and under which name.
#[derive(Clone)]
pub(crate) struct OperatorCounts {
    pub(crate) label: Str,
    pub(crate) classes: Arc<Classes>,
}

/// Gives the nodes, and operators that count by class, their counts. `inputs` are the input ports of the graph, `labels`
/// what messages call the nodes.
pub(crate) fn add(
    nodes: &mut [Node],
    operators: &mut [OperatorNode],
    (inputs, labels): (&[(String, usize)], &[String]),
    edges: &[Edge],
) {
    for (index, (node, label)) in nodes.iter_mut().zip(labels).enumerate() {
        let place = match node.kind {
            NodeKind::Output(_) => Place::Exit,
            _ if inputs.iter().any(|(_, input)| *input == index) => Place::Entry,
            _ => Place::Between,
        };
        let to = edges.iter().filter(|edge| edge.to == index);
        let outputs = node.ports.iter().map(|port| port.name.clone());
        node.counts = Some(Box::new(NodeCounts::new(label, place, to, outputs)));
    }
    for operator in operators {
        let label = labels.get(operator.node).map(|label| label.as_str().into()).unwrap_or_default();
        operator.counts = Some(OperatorCounts { label, classes: Arc::default() });
    }
}

impl crate::Graph {
    /// What its instances have counted together: a reading for each port that was used. Nothing where it has no
    /// [`metrics_interval`](Self::metrics_interval).
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let mut readings = Vec::new();
        self.counted().for_each(|counts| counts.read(&mut readings));
        for operator in self.operators.iter().filter_map(|operator| operator.counts.as_ref()) {
            operator.classes.read(&operator.label, &mut readings);
        }
        readings
    }

    /// A number that is another one whenever something was counted.
    #[must_use]
    pub fn counting_turn(&self) -> u64 {
        self.counted().fold(0, |sum, counts| sum.wrapping_add(counts.turn()))
    }

    fn counted(&self) -> impl Iterator<Item = &NodeCounts> {
        self.nodes.iter().filter_map(|node: &Node| node.counts.as_deref())
    }
}
