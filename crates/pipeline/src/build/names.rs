//! What the names in a pipeline body stand for, and where the ends of a `select` lead.

use super::Builder;
use std::{collections::HashMap, sync::Arc};
use tremor_diagnostic::{SourceMap, Span, closest, codes};
use tremor_lang::{Channel, Named, PipelineDefinition, Statement};
use tremor_value::Value;

/// What a name in a pipeline body stands for.
pub(super) enum Entry {
    Stream(usize),
    /// A script: any port may be named.
    Node(usize),
    Operator(usize, OutPorts),
    Pipeline(Ports),
    /// It could not be made, which was reported.
    Broken,
}

/// The ports of a pipeline as nodes.
#[derive(Default)]
pub(super) struct Ports {
    pub(super) inputs: HashMap<String, usize>,
    pub(super) outputs: HashMap<String, usize>,
}

/// The ports that an operator sends to.
pub(super) struct OutPorts {
    /// Those of its kind.
    pub(super) fixed: Vec<&'static str>,
    /// Those that its settings name.
    pub(super) named: Vec<String>,
    /// Where they are named.
    pub(super) at: Span,
}

impl OutPorts {
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fixed.iter().copied().chain(self.named.iter().map(String::as_str))
    }
}

/// The names of one pipeline body while it is read from top to bottom.
pub(super) struct Body<'b> {
    pub(super) definition: &'b PipelineDefinition,
    pub(super) args: &'b Arc<Value>,
    pub(super) ports: &'b Ports,
    pub(super) prefix: &'b str,
    pub(super) depth: usize,
    pub(super) names: HashMap<String, Entry>,
}

impl Body<'_> {
    pub(super) fn label(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// What has this name already, and where it got it, as far as that is to be seen in the text.
    pub(super) fn taken(&self, name: &str, sources: &SourceMap) -> Option<String> {
        let place = |span: Span| {
            let at = sources.position(span);
            at.map_or(String::new(), |at| format!("{}:{}", at.line, at.column))
        };
        if self.names.contains_key(name) {
            let mut created = self.definition.statements.iter().filter_map(created);
            let (sort, first) = created.find(|(_, first)| first.name == name)?;
            return Some(format!("{sort} `{name}`, created at {}", place(first.span)));
        }
        let inputs = (&self.ports.inputs, &self.definition.inputs, "an input port", "from");
        let outputs = (&self.ports.outputs, &self.definition.outputs, "an output port", "into");
        let (_, declared, sort, keyword) =
            [inputs, outputs].into_iter().find(|(ports, ..)| ports.contains_key(name))?;
        let declared = declared.iter().find(|port| port.name == name);
        let how = match declared {
            // Ports that nobody declared stand for the whole definition.
            Some(port) if sources.text(port.span).trim_matches('`') == name => {
                format!(", declared at {}", place(port.span))
            }
            Some(_) if self.definition.arguments.is_some() => {
                format!(", as in every pipeline without `{keyword}`")
            }
            Some(_) | None => String::new(),
        };
        Some(format!("{sort} `{name}`{how}"))
    }
}

/// What a statement creates, in words, and its name.
fn created(statement: &Statement) -> Option<(&'static str, &Named)> {
    match statement {
        Statement::Stream { name, .. } => Some(("a stream", name)),
        Statement::Operator(create) => Some(("an operator", &create.name)),
        Statement::Script(create) => Some(("a script", &create.name)),
        Statement::Pipeline(create) => Some(("a pipeline", &create.name)),
        Statement::Select(_) => None,
    }
}

impl Builder {
    /// The node and port that `from` reads; `None` after a report.
    pub(super) fn source(
        &mut self,
        channel: &Channel,
        body: &Body<'_>,
        at_root: bool,
    ) -> Option<(usize, String)> {
        let name = &channel.node.name;
        let port = channel.port.as_ref().map_or("out", |port| port.name.as_str());
        if let Some(entry) = body.names.get(name) {
            return match entry {
                Entry::Stream(node) => Some((*node, "out".to_owned())),
                Entry::Node(node) => Some((*node, port.to_owned())),
                Entry::Operator(node, ports) => {
                    self.check_port(channel, port, ports);
                    Some((*node, port.to_owned()))
                }
                Entry::Pipeline(ports) => match ports.outputs.get(port) {
                    Some(node) => Some((*node, "out".to_owned())),
                    None => self.unknown_port(channel, port, "output", &ports.outputs),
                },
                Entry::Broken => None,
            };
        }
        let port_name = if at_root && port != "out" { format!("{name}/{port}") } else { name.clone() };
        match body.ports.inputs.get(&port_name) {
            Some(_) if !at_root && port != "out" => {
                self.unknown_port(channel, port, "output", &HashMap::new())
            }
            Some(node) => Some((*node, "out".to_owned())),
            None => self.unknown_node(channel, body, &body.ports.inputs),
        }
    }

    /// The node and port that `into` writes; `None` after a report.
    pub(super) fn sink(
        &mut self,
        channel: &Channel,
        body: &Body<'_>,
        at_root: bool,
    ) -> Option<(usize, String)> {
        let name = &channel.node.name;
        let port = channel.port.as_ref().map_or("in", |port| port.name.as_str());
        if let Some(entry) = body.names.get(name) {
            return match entry {
                Entry::Stream(node) => Some((*node, "in".to_owned())),
                // A port that a script has no section for is no mistake yet: its events leave by `err`.
                Entry::Node(node) | Entry::Operator(node, _) => Some((*node, port.to_owned())),
                Entry::Pipeline(ports) => match ports.inputs.get(port) {
                    Some(node) => Some((*node, "in".to_owned())),
                    None => self.unknown_port(channel, port, "input", &ports.inputs),
                },
                Entry::Broken => None,
            };
        }
        let port_name = if at_root && port != "in" { port } else { name.as_str() };
        match body.ports.outputs.get(port_name) {
            Some(_) if !at_root && port != "in" => self.unknown_port(channel, port, "input", &HashMap::new()),
            Some(node) => Some((*node, "in".to_owned())),
            None => self.unknown_node(channel, body, &body.ports.outputs),
        }
    }

    fn unknown_port(
        &mut self,
        channel: &Channel,
        port: &str,
        side: &str,
        known: &HashMap<String, usize>,
    ) -> Option<(usize, String)> {
        let message = format!("`{}` has no {side} port `{port}`", channel.node.name);
        let mut names: Vec<String> = known.keys().map(|name| format!("`{name}`")).collect();
        names.sort_unstable();
        let hint = (!names.is_empty()).then(|| format!("Its {side} ports are {}", names.join(", ")));
        let span = channel.port.as_ref().map_or(channel.span, |port| port.span);
        self.error_around(codes::UNKNOWN_PORT, span, message, hint);
        None
    }

    fn unknown_node(
        &mut self,
        channel: &Channel,
        body: &Body<'_>,
        ports: &HashMap<String, usize>,
    ) -> Option<(usize, String)> {
        let name = &channel.node.name;
        let message = format!("There is no stream, port, operator, script or pipeline `{name}` here");
        let known = body.names.keys().chain(ports.keys()).map(String::as_str);
        let hint = closest(name, known).map_or_else(
            || format!("What a `select` names has to be made above it: `create stream {name}`, `create script {name}`, …"),
            |near| format!("Did you mean `{near}`?"),
        );
        self.error_around(codes::UNKNOWN_NODE, channel.node.span, message, Some(hint));
        None
    }
}
