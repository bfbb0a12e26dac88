//! Who stands in front of whom, as breakers see it: found once, when a flow is linked.
//!
//! A source has to know whether the sinks behind it take events. Some operators stand between: they hear of what is
//! behind them, and the source hears of them (`spec/runtime.md` 4.2, 11.6).

use crate::{graph::Node as Part, pipelines::Node, unlinked::ERR};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tremor_connector::Instance;
use tremor_event::Breaker;
use tremor_pipeline::{MediatorId, PortId, Reach};

/// Where a link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// The sink half of a connector.
    Sink(usize),
    /// An input port of a pipeline.
    Pipeline(usize, PortId),
}

impl End {
    pub(crate) fn part(self) -> Part {
        match self {
            Self::Sink(index) => Part::Sink(index),
            Self::Pipeline(index, _) => Part::Pipeline(index),
        }
    }
}

/// The links of a flow, port by port.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    sources: BTreeMap<usize, BTreeSet<End>>,
    /// Sources of which more is linked than the port for errors.
    read: BTreeSet<usize>,
    outputs: BTreeMap<(usize, PortId), BTreeSet<End>>,
}

/// A mediating operator: the pipeline and which one of its.
type Place = (usize, MediatorId);

/// What is next on all ways.
#[derive(Debug, Default)]
struct Next {
    sinks: BTreeSet<usize>,
    mediators: BTreeSet<Place>,
}

impl Wires {
    /// `port` of `source` leads to `to`.
    pub(crate) fn add_source(&mut self, source: usize, port: &str, to: End) {
        self.sources.entry(source).or_default().insert(to);
        if port != ERR {
            self.read.insert(source);
        }
    }

    pub(crate) fn add_pipeline(&mut self, pipeline: usize, port: PortId, to: End) {
        self.outputs.entry((pipeline, port)).or_default().insert(to);
    }

    /// Links the operators that mediate with what is behind them.
    pub(crate) fn link_mediators(&self, parts: &Parts<'_>) {
        for (index, node) in parts.pipelines.iter().enumerate() {
            for (id, mediator) in node.look(|pipeline| pipeline.mediators().collect::<Vec<_>>()) {
                for (port, reach) in node.look(|pipeline| pipeline.behind(id)) {
                    let behind = mediator.clone().behind(&port);
                    parts.put_behind(&self.reached(index, reach, parts), &behind);
                }
            }
        }
    }

    /// Links `gate` of `source` with what is behind it; without a port for data linked it stays alone. Of `sinks`, which can be reached along links, those count as well
    /// that no way within the pipelines leads to.
    pub(crate) fn link_source(
        &self,
        source: usize,
        gate: &Arc<dyn Breaker>,
        sinks: impl Iterator<Item = usize>,
        parts: &Parts<'_>,
    ) {
        if !self.read.contains(&source) {
            return;
        }
        let ends = self.sources.get(&source).into_iter().flatten().copied().collect();
        let mut next = self.next(ends, parts);
        let mut all = next.sinks.clone();
        let mut open: Vec<Place> = next.mediators.iter().copied().collect();
        let mut seen = BTreeSet::new();
        while let Some((pipeline, id)) = open.pop() {
            let Some(node) = parts.pipelines.get(pipeline).filter(|_| seen.insert((pipeline, id))) else {
                continue;
            };
            for (_, reach) in node.look(|pipeline| pipeline.behind(id)) {
                let Next { sinks, mediators } = self.reached(pipeline, reach, parts);
                all.extend(sinks);
                open.extend(mediators);
            }
        }
        next.sinks.extend(sinks.filter(|sink| !all.contains(sink)));
        parts.put_behind(&next, gate);
    }

    /// What is next on the ways that lead on from inside of `pipeline`.
    fn reached(&self, pipeline: usize, reach: Reach, parts: &Parts<'_>) -> Next {
        let mut next = self.next(self.ends(pipeline, &reach.outputs), parts);
        next.mediators.extend(reach.mediators.into_iter().map(|id| (pipeline, id)));
        next
    }

    fn ends(&self, pipeline: usize, outputs: &[PortId]) -> Vec<End> {
        let links = outputs.iter().filter_map(|port| self.outputs.get(&(pipeline, *port)));
        links.flatten().copied().collect()
    }

    fn next(&self, mut open: Vec<End>, parts: &Parts<'_>) -> Next {
        let mut next = Next::default();
        let mut seen = BTreeSet::new();
        while let Some(end) = open.pop() {
            let (pipeline, port) = match end {
                End::Sink(sink) => {
                    next.sinks.insert(sink);
                    continue;
                }
                End::Pipeline(pipeline, port) => (pipeline, port),
            };
            let Some(node) = parts.pipelines.get(pipeline).filter(|_| seen.insert(end)) else { continue };
            let reach = node.look(|pipeline| pipeline.reach(port));
            open.extend(self.ends(pipeline, &reach.outputs));
            next.mediators.extend(reach.mediators.into_iter().map(|id| (pipeline, id)));
        }
        next
    }
}

/// Everything is linked: operators tell what is behind them from now on.
pub(crate) fn begin(pipelines: &[Arc<Node>]) {
    for node in pipelines {
        let mediators = node.look(|pipeline| pipeline.mediators().collect::<Vec<_>>());
        mediators.into_iter().for_each(|(_, mediator)| mediator.begin());
    }
}

/// The parts that are linked, by their positions.
pub(crate) struct Parts<'p> {
    pub(crate) connectors: &'p [(String, Instance)],
    pub(crate) pipelines: &'p [Arc<Node>],
}

impl Parts<'_> {
    /// `breaker` stands in front of all of `next`.
    fn put_behind(&self, next: &Next, breaker: &Arc<dyn Breaker>) {
        for sink in &next.sinks {
            if let Some(sink) = self.connectors.get(*sink).and_then(|(_, instance)| instance.sink()) {
                sink.add_upstream(breaker.clone());
            }
        }
        for (pipeline, id) in &next.mediators {
            let node = self.pipelines.get(*pipeline);
            if let Some(mediator) = node.and_then(|node| node.look(|pipeline| pipeline.mediator(*id))) {
                mediator.add_upstream(breaker.clone());
            }
        }
    }
}
