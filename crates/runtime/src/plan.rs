//! A flow that is made and linked, but does nothing yet.

use crate::{
    breakers::{self, End, Wires},
    flow::{PipelinePort, ReportToLog},
    graph::{self, Graph},
    locate,
    pipelines::{Node, ToPipeline, ToSink},
};
use std::sync::Arc;
use tremor_connector::{
    Definition, DefinitionError, DrainBoard, Environment, ExitSwitch, Instance, Links, OpenRoute, Registry,
};
use tremor_diagnostic::{Diagnostic, SourceMap, Span, WarningClass, codes};
use tremor_event::{Breaker, IdGenerator};
use tremor_lang::{ConnectorInstance, Endpoint, EndpointKind, Flow, Host, Link, Setting};
use tremor_pipeline::Environment as Around;
use tremor_value::Value;

/// What flows are made of.
pub struct Parts {
    /// Connector kinds.
    pub connectors: Registry,
    /// Codecs and processors.
    pub codecs: tremor_codec::Registry,
    /// Numbers for everything that can stand first in an event id.
    pub ids: Arc<IdGenerator>,
    /// Name of this machine.
    pub hostname: Arc<str>,
    /// What scripts may ask of the world.
    pub host: Arc<dyn Host>,
    /// Asks for the end of the process.
    pub exit: ExitSwitch,
}

/// A flow whose connectors and pipelines are made and linked.
pub struct Plan {
    pub(crate) alias: String,
    pub(crate) connectors: Vec<(String, Instance)>,
    pub(crate) pipelines: Vec<Arc<Node>>,
    pub(crate) board: Arc<DrainBoard>,
    /// What the pipelines tell of errors.
    pub(crate) reports: Vec<ReportToLog>,
    /// For each connector: what its ports are linked to.
    pub(crate) links: Vec<Vec<PipelinePort>>,
    warnings: Vec<Diagnostic>,
}

/// Operators that one event may pass: each can add a step to the way of an answer back to its source, and steps need stack.
const MAX_OPERATORS_IN_ROW: usize = 200;

impl Plan {
    /// Makes and links everything that `flow` wants.
    ///
    /// # Errors
    /// A report for each mistake that was found, with its place in the file.
    pub fn new(flow: &Flow, sources: &Arc<SourceMap>, parts: &Parts) -> Result<Self, Vec<Diagnostic>> {
        let mut maker =
            Maker { flow, sources, parts, board: Arc::default(), reports: Vec::new(), problems: Vec::new() };
        let (connectors, pipelines) = (maker.connectors(), maker.pipelines());
        // What could not be made hides no mistake in how the rest is linked.
        let mut linker =
            Linker { connectors, pipelines, graph: Graph::default(), wires: Wires::default(), sources };
        let mut outputs: Vec<Links> = linker.pipelines.iter().map(|_| Links::default()).collect();
        let mut shown: Vec<Vec<_>> = linker.connectors.iter().map(|_| Vec::new()).collect();
        for link in &flow.links {
            if let Err(NotLinked(problem)) = linker.link(link, &mut outputs, &mut shown) {
                maker.problems.extend(problem);
            }
        }
        maker.problems.extend(linker.finish(flow, sources, &maker.board).err());
        if !maker.problems.is_empty() {
            // In the order of the text, as it is read.
            maker.problems.sort_by_key(|problem| problem.inner.map(|inner| inner.start));
            return Err(maker.problems);
        }
        let Linker { connectors, pipelines, .. } = linker;
        pipelines.iter().zip(outputs).for_each(|(node, links)| node.link(links));
        let mut warnings: Vec<_> =
            pipelines.iter().flat_map(|node| node.graph().warnings()).cloned().collect();
        warnings.extend(unread_exits(flow, sources, &connectors));
        let alias = flow.alias.name.clone();
        Ok(Self {
            alias,
            connectors,
            pipelines,
            board: maker.board,
            reports: maker.reports,
            links: shown,
            warnings,
        })
    }

    /// What is probably not meant in its pipelines.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Name under which the flow runs.
    #[must_use]
    pub fn alias(&self) -> &str {
        &self.alias
    }
}

/// A warning for each output port that a connector's configuration names and nothing reads.
fn unread_exits(flow: &Flow, sources: &SourceMap, connectors: &[(String, Instance)]) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for (name, instance) in connectors.iter().filter(|(_, instance)| instance.linked() != (false, false)) {
        let Some(created) = flow.connectors.iter().find(|created| created.name.name == *name) else {
            continue;
        };
        let mut warn = |at, message: String, hint: String| {
            let warning = Diagnostic::warning(WarningClass::Behaviour, codes::UNLINKED, at, message);
            warnings.push(warning.outer(sources.widen(at, 1)).hint(hint));
        };
        if instance.is_idly_linked() {
            let message =
                format!("Nothing leaves connector `{name}` by port `out`: its routes lead elsewhere");
            let hint = format!("Name the exit, as in `connect /connector/{name}/<exit> to /pipeline/...`");
            warn(created.name.span, message, hint);
        }
        for exit in instance.unlinked_exits() {
            let port = &exit.name;
            let at = locate::key(&exit.at, &created.settings, sources).unwrap_or(created.name.span);
            let so = exit.unlinked.as_deref().unwrap_or("its events are lost");
            let message = format!("Exit `{port}` of connector `{name}` leads nowhere: {so}");
            let hint = format!("Link it with `connect /connector/{name}/{port} to /pipeline/...`");
            warn(at, message, hint);
        }
    }
    warnings
}

struct Maker<'a> {
    flow: &'a Flow,
    sources: &'a Arc<SourceMap>,
    parts: &'a Parts,
    board: Arc<DrainBoard>,
    reports: Vec<ReportToLog>,
    problems: Vec<Diagnostic>,
}

impl Maker<'_> {
    /// Those that could be made.
    fn connectors(&mut self) -> Vec<(String, Instance)> {
        let flow = self.flow;
        let mut made = Vec::new();
        for connector in &flow.connectors {
            let environment = Environment {
                alias: format!("{}::{}", flow.alias.name, connector.name.name),
                hostname: self.parts.hostname.clone(),
                ids: self.parts.ids.clone(),
                exit: self.parts.exit.clone(),
                dials: self.parts.connectors.dials().clone(),
                metrics: self.parts.connectors.metrics().clone(),
                is_measured: false,
            };
            let definition = definition(connector);
            let Parts { connectors, codecs, .. } = self.parts;
            match Instance::checked(&definition, &environment, connectors, codecs, &self.board) {
                Ok(instance) => made.push((connector.name.name.clone(), instance)),
                Err(errors) => {
                    let refused = errors.iter().map(|error| self.refused(connector, error));
                    let refused: Vec<_> = refused.collect();
                    self.problems.extend(refused);
                }
            }
        }
        made
    }

    fn refused(&self, connector: &ConnectorInstance, error: &DefinitionError) -> Diagnostic {
        let at = locate::key(&error.path, &connector.settings, self.sources);
        let at = at.unwrap_or(if error.path.is_empty() { connector.kind.span } else { connector.span });
        let code =
            if error.path.is_empty() { codes::UNKNOWN_CONNECTOR_KIND } else { codes::BAD_CONNECTOR_VALUE };
        let problem = Diagnostic::error(code, at, error.message.clone());
        problem.outer(self.sources.widen(at, 2)).maybe_hint(error.hint.clone())
    }

    /// Those that could be made.
    fn pipelines(&mut self) -> Vec<Arc<Node>> {
        let mut made = Vec::new();
        for pipeline in &self.flow.pipelines {
            let alias = format!("{}::{}", self.flow.alias.name, pipeline.name.name);
            let built = tremor_pipeline::Graph::build(
                &pipeline.definition,
                pipeline.args.clone(),
                self.sources.clone(),
            );
            match built {
                Ok(graph) => {
                    let report = ReportToLog::new(&alias);
                    self.reports.push(report.clone());
                    let metrics = self.parts.connectors.metrics();
                    let around = Around { ids: self.parts.ids.clone(), host: self.parts.host.clone() };
                    made.push(Arc::new(Node::new(alias, graph, Box::new(report), around, metrics)));
                }
                Err(error) => self.problems.extend(error.diagnostics),
            }
        }
        made
    }
}

fn definition(connector: &ConnectorInstance) -> Definition {
    let value = |setting: &Option<Setting>| -> Option<Value> {
        setting.as_ref().map(|setting| setting.value.clone())
    };
    let settings = &connector.settings;
    Definition {
        kind: connector.kind.name.clone(),
        config: value(&settings.config),
        codec: value(&settings.codec),
        preprocessors: value(&settings.preprocessors),
        postprocessors: value(&settings.postprocessors),
        reconnect: value(&settings.reconnect),
        metrics_interval_s: value(&settings.metrics_interval_s),
    }
}

/// A link that was not made, and why: without a reason because one of its ends was refused before.
struct NotLinked(Option<Diagnostic>);

struct Linker<'a> {
    sources: &'a SourceMap,
    connectors: Vec<(String, Instance)>,
    pipelines: Vec<Arc<Node>>,
    graph: Graph,
    wires: Wires,
}

impl Linker<'_> {
    fn link(
        &mut self,
        link: &Link,
        outputs: &mut [Links],
        shown: &mut [Vec<PipelinePort>],
    ) -> Result<(), NotLinked> {
        let target = self.target(&link.to);
        if target.is_err() && link.from.kind == EndpointKind::Connector {
            // Both ends may be wrong; the first mistake of the text comes first.
            let index = self.connector(&link.from)?;
            if let Some((_, instance)) = self.connectors.get(index) {
                instance.output(&link.from.port.name).map_err(|error| self.bad_port(&link.from, &error))?;
            }
        }
        let (route, to) = target?;
        match link.from.kind {
            EndpointKind::Connector => {
                let index = self.connector(&link.from)?;
                let Some((_, instance)) = self.connectors.get(index) else { return Ok(()) };
                let port = instance.output(&link.from.port.name);
                let port = port.map_err(|error| self.bad_port(&link.from, &error))?;
                if let Some((_, instance)) = self.connectors.get_mut(index) {
                    instance.link_output(&port, route);
                }
                self.graph.link(graph::Node::Source(index), to.part());
                self.wires.add_source(index, &link.from.port.name, to);
            }
            EndpointKind::Pipeline => {
                let index = self.pipeline(&link.from)?;
                if let Some(links) = outputs.get_mut(index) {
                    links.add(&link.from.port.name, route);
                }
                self.graph.link(graph::Node::Pipeline(index), to.part());
                let port =
                    self.pipelines.get(index).and_then(|node| node.graph().output(&link.from.port.name));
                if let Some(port) = port {
                    self.wires.add_pipeline(index, port, to);
                }
            }
        }
        for (one, other) in [(&link.from, &link.to), (&link.to, &link.from)] {
            if one.kind == EndpointKind::Connector
                && let Some(shown) = self.connector(one).ok().and_then(|index| shown.get_mut(index))
            {
                shown.push(PipelinePort {
                    own_port: one.port.name.to_lowercase(),
                    pipeline: other.instance.name.clone(),
                    port: other.port.name.clone(),
                });
            }
        }
        Ok(())
    }

    fn target(&mut self, to: &Endpoint) -> Result<(Arc<dyn OpenRoute>, End), NotLinked> {
        match to.kind {
            EndpointKind::Connector => {
                let index = self.connector(to)?;
                let Some((_, instance)) = self.connectors.get(index) else { return Err(NotLinked(None)) };
                let port = instance.input(&to.port.name).map_err(|error| self.bad_port(to, &error))?;
                let instance = self.connectors.get_mut(index);
                let deliver = instance.and_then(|(_, instance)| instance.link_input());
                let deliver = deliver.ok_or_else(|| self.unknown(to))?;
                Ok((Arc::new(ToSink { deliver, port }), End::Sink(index)))
            }
            EndpointKind::Pipeline => {
                let index = self.pipeline(to)?;
                let node = self.pipelines.get(index).ok_or(NotLinked(None))?;
                let port = node.graph().input(&to.port.name).ok_or_else(|| self.unknown(to))?;
                Ok((Arc::new(ToPipeline { node: node.clone(), port }), End::Pipeline(index, port)))
            }
        }
    }

    /// The language knows every name that a `connect` has, so one that is not here could not be made.
    fn connector(&self, endpoint: &Endpoint) -> Result<usize, NotLinked> {
        let found = self.connectors.iter().position(|(name, _)| *name == endpoint.instance.name);
        found.ok_or(NotLinked(None))
    }

    /// As [`Self::connector`].
    fn pipeline(&self, endpoint: &Endpoint) -> Result<usize, NotLinked> {
        let name = &endpoint.instance.name;
        let found = self.pipelines.iter().position(|node| node.alias.rsplit("::").next() == Some(name));
        found.ok_or(NotLinked(None))
    }

    /// Works out who hears of whom: gates of sources behind sinks, and the drain marks to expect.
    fn finish(&self, flow: &Flow, sources: &SourceMap, board: &DrainBoard) -> Result<(), Diagnostic> {
        if let Some(members) = self.graph.pipeline_loop() {
            // The place where it closes; a flow has it in its text only once, however often it is deployed.
            let is_member = |end: &Endpoint| {
                let at = self.pipeline(end).ok().filter(|_| end.kind == EndpointKind::Pipeline);
                at.is_some_and(|at| members.contains(&at))
            };
            let closing = flow.links.iter().rev().find(|link| is_member(&link.from) && is_member(&link.to));
            let at = closing.map_or(flow.span, |link| link.span);
            let names =
                members.iter().filter_map(|index| self.pipelines.get(*index)).map(|node| node.alias.as_str());
            let names = names.collect::<Vec<_>>().join("` → `");
            let message = format!("These pipelines feed each other in a loop: `{names}`");
            return Err(Diagnostic::error(codes::GRAPH_CYCLE, at, message).outer(sources.widen(at, 2)));
        }
        let in_row =
            |pipeline: usize| self.pipelines.get(pipeline).map_or(0, |node| node.graph().operators_in_row());
        if self.graph.heaviest_way(in_row) > MAX_OPERATORS_IN_ROW {
            let message = format!("An event would pass more than {MAX_OPERATORS_IN_ROW} operators");
            return Err(Diagnostic::error(codes::TOO_DEEP, flow.span, message));
        }
        let parts = breakers::Parts { connectors: &self.connectors, pipelines: &self.pipelines };
        self.wires.link_mediators(&parts);
        for (index, (_, instance)) in self.connectors.iter().enumerate() {
            let Some((source, gate)) = instance.source() else { continue };
            let gate: Arc<dyn Breaker> = gate;
            let ways = self.graph.ways(index).map_err(|graph::TooManyWays| {
                let message = format!("More than 10000 ways lead away from connector `{}`", instance.alias());
                Diagnostic::error(codes::GRAPH_CYCLE, flow.span, message)
            })?;
            let mut sinks = Vec::new();
            for (part, count) in ways {
                match part {
                    graph::Node::Source(_) => {}
                    graph::Node::Pipeline(index) => {
                        if let Some(node) = self.pipelines.get(index) {
                            node.expect_marks(count);
                        }
                    }
                    graph::Node::Sink(index) => {
                        sinks.push(index);
                        let sink = self.connectors.get(index).and_then(|(_, instance)| instance.sink());
                        if let Some(sink) = sink {
                            (0..count).for_each(|_| board.expect(source, sink.id));
                        }
                    }
                }
            }
            if !sinks.is_empty() {
                self.wires.link_source(index, &gate, sinks.into_iter(), &parts);
            }
        }
        breakers::begin(&self.pipelines);
        Ok(())
    }

    fn unknown(&self, endpoint: &Endpoint) -> NotLinked {
        let sort = match endpoint.kind {
            EndpointKind::Connector => "connector",
            EndpointKind::Pipeline => "pipeline",
        };
        let (instance, port) = (&endpoint.instance.name, &endpoint.port.name);
        let message = format!("There is no {sort} `{instance}` with a port `{port}`");
        self.not_linked(endpoint.span, message)
    }

    fn bad_port(&self, endpoint: &Endpoint, error: &DefinitionError) -> NotLinked {
        self.not_linked(endpoint.port.span, error.message.clone())
    }

    fn not_linked(&self, at: Span, message: String) -> NotLinked {
        NotLinked(Some(Diagnostic::error(codes::UNKNOWN_PORT, at, message).outer(self.sources.widen(at, 2))))
    }
}
