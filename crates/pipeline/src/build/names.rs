//! What the names in a pipeline body stand for, and where the ends of a `select` lead.

use super::Builder;
use std::{collections::HashMap, sync::Arc};
use tremor_diagnostic::{Span, closest, codes};
use tremor_lang::Channel;
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

    pub(super) fn is_taken(&self, name: &str) -> bool {
        self.names.contains_key(name)
            || self.ports.inputs.contains_key(name)
            || self.ports.outputs.contains_key(name)
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
