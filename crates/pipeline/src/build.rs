//! From a compiled query to a graph: nested pipelines are inlined, names become indices, what leads nowhere goes.

mod names;
mod operator;

use crate::{
    counts,
    graph::{Graph, Node, NodeKind, OutPort, Target},
    operators::Maker,
    order,
};
use names::{Body, Entry, Ports};
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};
use tremor_diagnostic::{Diagnostic, RenderOptions, SourceMap, Span, codes, render_all};
use tremor_lang::{Create, Named, PipelineDefinition, ScriptDefinition, Select, Statement, no_args};
use tremor_value::{Str, Value};

/// How deep pipelines may be nested.
const DEPTH: usize = 64;

/// Number of nodes beyond which a graph is refused: nesting can multiply them without end.
const NODES: usize = 100_000;

/// Why there is no graph.
#[derive(Clone, Debug)]
pub struct BuildError {
    /// Everything that was found.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts the positions refer to.
    pub sources: Arc<SourceMap>,
}

impl fmt::Display for BuildError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = RenderOptions { file_name: true, colour: false };
        out.write_str(&render_all(&self.diagnostics, &self.sources, options))
    }
}

impl std::error::Error for BuildError {}

/// A node before its edges are put in place.
pub(crate) struct Draft {
    pub(crate) kind: NodeKind,
    /// What messages call it.
    pub(crate) label: String,
    /// Ports of the whole graph stay, even when nothing is connected to them.
    pub(crate) is_port: bool,
}

/// An edge: results of `from` on `from_port` go to `to`.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) from_port: Str,
    pub(crate) to: usize,
    pub(crate) to_port: Str,
}

pub(crate) struct Builder {
    sources: Arc<SourceMap>,
    nodes: Vec<Draft>,
    edges: Vec<Edge>,
    states: Vec<Value>,
    /// By the number in [`NodeKind::Operator`].
    operators: Vec<Maker>,
    warnings: Vec<Diagnostic>,
    diagnostics: Vec<Diagnostic>,
}

impl Builder {
    pub(crate) fn new(sources: Arc<SourceMap>) -> Self {
        Self {
            sources,
            nodes: Vec::new(),
            edges: Vec::new(),
            states: Vec::new(),
            operators: Vec::new(),
            warnings: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    pub(crate) fn build(mut self, definition: &PipelineDefinition, args: Value) -> Result<Graph, BuildError> {
        let mut ports = self.ports(definition, "", true);
        let mut outputs: Vec<String> = definition.outputs.iter().map(|port| port.name.clone()).collect();
        let mut inputs: Vec<String> = definition.inputs.iter().map(|port| port.name.clone()).collect();
        if definition.arguments.is_none() {
            self.ports_named_by_use(definition, &mut ports, &mut inputs, &mut outputs);
        }
        for (index, name) in outputs.iter().enumerate() {
            let draft = ports.outputs.get(name).and_then(|node| self.nodes.get_mut(*node));
            if let Some(draft) = draft {
                draft.kind = NodeKind::Output(index);
            }
        }
        let metrics_interval = self.metrics_interval(definition);
        self.body(definition, &Arc::new(args), &ports, "", 0);
        if self.diagnostics.is_empty() {
            order::remove_dead(&self.nodes, &mut self.edges);
            self.diagnostics.extend(order::find_cycle(&self.nodes, &self.edges));
        }
        if !self.diagnostics.is_empty() {
            return Err(BuildError { diagnostics: self.diagnostics, sources: self.sources });
        }
        let inputs = inputs.into_iter().filter_map(|name| {
            let node = *ports.inputs.get(&name)?;
            Some((name, node))
        });
        let inputs = inputs.collect();
        Ok(self.finish(inputs, outputs, metrics_interval))
    }

    /// `#!config metrics_interval_s` of the outermost pipeline: nested ones are parts of it.
    fn metrics_interval(&mut self, definition: &PipelineDefinition) -> Option<Duration> {
        let value = definition.directive("metrics_interval_s").filter(|value| !value.is_null())?;
        match value.as_u64() {
            Some(seconds @ 1..) => Some(Duration::from_secs(seconds)),
            _ => {
                let message =
                    "`metrics_interval_s` has to be an integer above 0, a number of seconds".to_owned();
                self.error_around(codes::BAD_DIRECTIVE, definition.span, message, None);
                None
            }
        }
    }

    fn finish(
        self,
        inputs: Vec<(String, usize)>,
        outputs: Vec<String>,
        metrics_interval: Option<Duration>,
    ) -> Graph {
        let batched = order::branches_stay_apart(self.nodes.len(), &self.edges);
        let order = order::positions(self.nodes.len(), &self.edges);
        let mut nodes: Vec<Node> = Vec::with_capacity(self.nodes.len());
        let mut stateless = true;
        let live: std::collections::HashSet<usize> = self.edges.iter().map(|edge| edge.to).collect();
        let mut labels: Vec<String> = Vec::with_capacity(self.nodes.len());
        for (index, draft) in self.nodes.into_iter().enumerate() {
            if let NodeKind::Script { definition, .. } = &draft.kind {
                stateless &= definition.is_stateless() || !live.contains(&index);
            }
            nodes.push(Node { kind: draft.kind, ports: Vec::new(), counts: None });
            labels.push(draft.label);
        }
        let mut operators = operator::in_order(&mut nodes, self.operators, &order, &live);
        stateless &= operators.is_empty();
        let operator_nodes = operators.iter().map(|operator| operator.node).collect();
        let operators_in_row = order::in_row(&order, &self.edges, &operator_nodes);
        for edge in self.edges.iter().cloned() {
            let Some(node) = nodes.get_mut(edge.from) else { continue };
            let target = Target { node: edge.to, port: edge.to_port };
            match node.ports.iter_mut().find(|port| port.name == edge.from_port) {
                Some(port) => port.targets.push(target),
                None => node.ports.push(OutPort { name: edge.from_port, targets: vec![target] }),
            }
        }
        if metrics_interval.is_some() {
            counts::add(&mut nodes, &mut operators, (&inputs, &labels), &self.edges);
        }
        Graph {
            nodes,
            inputs,
            outputs,
            states: self.states,
            operators,
            operators_in_row,
            batched,
            stateless,
            warnings: self.warnings,
            sources: self.sources,
            metrics_interval,
        }
    }

    fn node(&mut self, kind: NodeKind, label: String, is_port: bool) -> usize {
        self.nodes.push(Draft { kind, label, is_port });
        self.nodes.len() - 1
    }

    fn edge(&mut self, from: (usize, &str), to: (usize, &str)) {
        let (from, from_port) = (from.0, from.1.into());
        self.edges.push(Edge { from, from_port, to: to.0, to_port: to.1.into() });
    }

    fn error_around(
        &mut self,
        code: tremor_diagnostic::Code,
        span: Span,
        message: String,
        hint: Option<String>,
    ) {
        let outer = self.sources.widen(span, 2);
        self.diagnostics.push(Diagnostic::error(code, span, message).outer(outer).maybe_hint(hint));
    }

    fn ports(&mut self, definition: &PipelineDefinition, prefix: &str, is_port: bool) -> Ports {
        let mut ports = Ports::default();
        for port in &definition.inputs {
            let node = self.node(NodeKind::Stream, format!("{prefix}{}", port.name), is_port);
            ports.inputs.entry(port.name.clone()).or_insert(node);
        }
        for port in &definition.outputs {
            let node = self.node(NodeKind::Stream, format!("{prefix}{}", port.name), is_port);
            ports.outputs.entry(port.name.clone()).or_insert(node);
        }
        ports
    }

    /// At the top of a stand-alone query `in/x` is an input port of that name, and `out/x` is the output port `x`
    /// (`spec/language-query.md` 3.3).
    fn ports_named_by_use(
        &mut self,
        definition: &PipelineDefinition,
        ports: &mut Ports,
        inputs: &mut Vec<String>,
        outputs: &mut Vec<String>,
    ) {
        for statement in &definition.statements {
            let Statement::Select(select) = statement else { continue };
            if let Some(port) = &select.from.port
                && definition.has_input(&select.from.node.name)
                && port.name != "out"
            {
                let name = format!("{}/{}", select.from.node.name, port.name);
                if !ports.inputs.contains_key(&name) {
                    let node = self.node(NodeKind::Stream, name.clone(), true);
                    ports.inputs.insert(name.clone(), node);
                    inputs.push(name);
                }
            }
            if let Some(port) = &select.into.port
                && definition.has_output(&select.into.node.name)
                && port.name != "in"
                && !ports.outputs.contains_key(&port.name)
            {
                let node = self.node(NodeKind::Stream, port.name.clone(), true);
                ports.outputs.insert(port.name.clone(), node);
                outputs.push(port.name.clone());
            }
        }
    }

    fn body(
        &mut self,
        definition: &PipelineDefinition,
        args: &Arc<Value>,
        ports: &Ports,
        prefix: &str,
        depth: usize,
    ) {
        let mut body = Body { definition, args, ports, prefix, depth, names: HashMap::new() };
        for statement in &definition.statements {
            if self.nodes.len() > NODES {
                let message = format!("This pipeline has more than {NODES} nodes");
                self.diagnostics.push(Diagnostic::error(codes::TOO_DEEP, definition.span, message));
                return;
            }
            match statement {
                Statement::Stream { name, span } => {
                    if !self.is_duplicate(name, *span, &body) {
                        let node = self.node(NodeKind::Stream, body.label(&name.name), false);
                        body.names.insert(name.name.clone(), Entry::Stream(node));
                    }
                }
                Statement::Operator(create) => self.operator(create, &mut body),
                Statement::Script(create) => self.script(create, &mut body),
                Statement::Pipeline(create) => self.nested(create, &mut body),
                Statement::Select(select) => {
                    self.select(select, &body, definition.arguments.is_none() && depth == 0);
                }
            }
        }
        self.check_unread(&body);
    }

    /// Reports a name that is taken.
    fn is_duplicate(&mut self, name: &Named, span: Span, body: &Body<'_>) -> bool {
        let taken = body.taken(&name.name, &self.sources);
        if let Some(by) = &taken {
            let hint =
                "Choose another name: what a pipeline creates and its ports may not share one".to_owned();
            self.error_around(codes::DUPLICATE_NODE, span, format!("There is already {by}"), Some(hint));
        }
        taken.is_some()
    }

    fn script(&mut self, create: &Create<ScriptDefinition>, body: &mut Body<'_>) {
        if self.is_duplicate(&create.name, create.span, body) {
            return;
        }
        let entry = match self.script_node(create, body) {
            Ok(node) => Entry::Node(node),
            Err(diagnostics) => {
                self.diagnostics.extend(diagnostics);
                Entry::Broken
            }
        };
        body.names.insert(create.name.name.clone(), entry);
    }

    fn script_node(
        &mut self,
        create: &Create<ScriptDefinition>,
        body: &Body<'_>,
    ) -> Result<usize, Vec<Diagnostic>> {
        let definition = &create.definition;
        let args = definition.arguments.bind(&create.given, body.args, &self.sources)?;
        let initial = match &definition.state {
            Some(state) => {
                state.evaluate_with_args(&args).map_err(|error| vec![error.to_diagnostic(&self.sources)])?
            }
            None => Value::Null,
        };
        let state = self.states.len();
        self.states.push(initial);
        let (definition, args) = (Arc::clone(definition), Arc::new(args));
        let kind = NodeKind::Script { definition, args, state };
        Ok(self.node(kind, body.label(&create.name.name), false))
    }

    fn nested(&mut self, create: &Create<PipelineDefinition>, body: &mut Body<'_>) {
        if self.is_duplicate(&create.name, create.span, body) {
            return;
        }
        let name = create.name.name.clone();
        let bound = match &create.definition.arguments {
            Some(arguments) => arguments.bind(&create.given, body.args, &self.sources),
            None => Ok(no_args()),
        };
        let args = match bound {
            Ok(args) => args,
            Err(diagnostics) => {
                self.diagnostics.extend(diagnostics);
                body.names.insert(name, Entry::Broken);
                return;
            }
        };
        if body.depth >= DEPTH {
            let message = format!("Pipelines are nested more than {DEPTH} levels deep");
            self.error_around(codes::TOO_DEEP, create.span, message, None);
            return;
        }
        let prefix = format!("{}/", body.label(&name));
        let ports = self.ports(&create.definition, &prefix, false);
        self.body(&create.definition, &Arc::new(args), &ports, &prefix, body.depth + 1);
        body.names.insert(name, Entry::Pipeline(ports));
    }

    fn select(&mut self, select: &Arc<Select>, body: &Body<'_>, at_root: bool) {
        let from = self.source(&select.from, body, at_root);
        let into = self.sink(&select.into, body, at_root);
        let (Some(from), Some(into)) = (from, into) else { return };
        let kind = NodeKind::Select { select: Arc::clone(select), args: Arc::clone(body.args) };
        let label = format!("{}select {} into {}", body.prefix, select.from.node.name, select.into.node.name);
        let node = self.node(kind, label, false);
        self.edge((from.0, &from.1), (node, "in"));
        self.edge((node, "out"), (into.0, &into.1));
    }
}
