//! Operators: their kinds and configurations are checked where the graph is built.

use super::{
    Builder,
    names::{Body, Entry, OutPorts},
};
use crate::{
    graph::{Node, NodeKind, OperatorNode},
    operators::{self, Maker, Problem, Settings},
};
use std::collections::HashSet;
use tremor_diagnostic::{Diagnostic, WarningClass, codes, did_you_mean};
use tremor_lang::{Channel, Create, OperatorDefinition};
use tremor_value::Record;

impl Builder {
    pub(super) fn operator(&mut self, create: &Create<OperatorDefinition>, body: &mut Body<'_>) {
        if self.is_duplicate(&create.name, create.span, body) {
            return;
        }
        let entry = match self.operator_maker(create, body) {
            Ok((maker, ports)) => {
                let kind = NodeKind::Operator(self.operators.len());
                self.operators.push(maker);
                Entry::Operator(self.node(kind, body.label(&create.name.name), false), ports)
            }
            Err(diagnostics) => {
                self.diagnostics.extend(diagnostics);
                Entry::Broken
            }
        };
        body.names.insert(create.name.name.clone(), entry);
    }

    fn operator_maker(
        &mut self,
        create: &Create<OperatorDefinition>,
        body: &Body<'_>,
    ) -> Result<(Maker, OutPorts), Vec<Diagnostic>> {
        let definition = &create.definition;
        let args = definition.arguments.bind(&create.given, body.args, &self.sources)?;
        let kind = &definition.kind;
        let spec = operators::find(&kind.name).map_err(|hint| {
            let message = format!("There is no kind of operator `{}`", kind.name);
            let diagnostic = Diagnostic::error(codes::BAD_OPERATOR, kind.span, message);
            vec![diagnostic.outer(self.sources.widen(kind.span, 2)).hint(hint)]
        })?;
        if let Some(name) = spec.renamed {
            let message = format!("`{}` is an older name of `{name}`", kind.name);
            self.warn(Diagnostic::warning(WarningClass::General, codes::OLD_SYNTAX, kind.span, message));
        }
        let mut given = Record::default();
        let mut failed = Vec::new();
        for setting in definition.settings.iter().flatten() {
            match setting.value.evaluate_with_args(&args) {
                Ok(value) => {
                    given.insert(setting.name.as_str(), value);
                }
                Err(error) => failed.push(error.to_diagnostic(&self.sources)),
            }
        }
        if !failed.is_empty() {
            return Err(failed);
        }
        let none = Record::default();
        let given = definition.settings.is_some().then_some(&given);
        let settings = Settings::check(spec, given, &none).map_err(Vec::from);
        let maker = settings.and_then(|settings| settings.prepare(spec)).map_err(|problems| {
            problems.into_iter().map(|problem| self.refused(definition, problem)).collect::<Vec<_>>()
        })?;
        let named = spec.named_ports.and_then(|key| given?.get(key)?.as_array());
        let named = named.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let at =
            definition.settings.iter().flatten().find(|setting| Some(&*setting.name) == spec.named_ports);
        let at = at.map_or(kind.span, |setting| setting.span);
        // What stands in for the named ones is no name.
        let fixed = spec.ports.iter().map(|(name, _)| *name).filter(|name| !name.contains(' '));
        Ok((maker, OutPorts { fixed: fixed.collect(), named, at }))
    }

    /// Tells it once, however often its definition is created.
    pub(super) fn warn(&mut self, warning: Diagnostic) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Warns of a port that the operator does not have: nothing ever comes from there.
    pub(super) fn check_port(&mut self, channel: &Channel, port: &str, ports: &OutPorts) {
        if ports.names().any(|name| name == port) {
            return;
        }
        let span = channel.port.as_ref().map_or(channel.span, |port| port.span);
        let message = format!("Operator `{}` sends nothing to a port `{port}`", channel.node.name);
        let hint = did_you_mean(port, ports.names())
            .unwrap_or_else(|| format!("Its ports are `{}`", ports.names().collect::<Vec<_>>().join("`, `")));
        let warning = Diagnostic::warning(WarningClass::Behaviour, codes::UNKNOWN_PORT, span, message);
        self.warn(warning.outer(self.sources.widen(span, 2)).hint(hint));
    }

    /// Warns of ports that the user named and that no `select` of this body reads.
    pub(super) fn check_unread(&mut self, body: &Body<'_>) {
        let mut warnings = Vec::new();
        for (name, entry) in &body.names {
            let Entry::Operator(node, ports) = entry else { continue };
            for port in &ports.named {
                if !self.edges.iter().any(|edge| edge.from == *node && edge.from_port == port.as_str()) {
                    let message =
                        format!("Nothing reads port `{port}` of operator `{name}`: its events are dropped");
                    warnings.push((ports.at, message));
                }
            }
        }
        warnings.sort_by(|one, other| (one.0.start, &one.1).cmp(&(other.0.start, &other.1)));
        for (at, message) in warnings {
            let warning = Diagnostic::warning(WarningClass::Behaviour, codes::UNKNOWN_PORT, at, message);
            self.warn(warning.outer(self.sources.widen(at, 2)));
        }
    }

    /// A problem at the setting that it is about, or at the kind.
    fn refused(&self, definition: &OperatorDefinition, problem: Problem) -> Diagnostic {
        let at = problem.key.as_ref().and_then(|key| {
            let settings = definition.settings.iter().flatten().rev();
            settings.into_iter().find(|setting| setting.name == *key)
        });
        let at = at.map_or(definition.kind.span, |setting| setting.span);
        let diagnostic = Diagnostic::error(codes::BAD_OPERATOR, at, problem.message);
        diagnostic.outer(self.sources.widen(at, 2)).maybe_hint(problem.hint)
    }
}

/// The operators that events can reach, in the order in which they reach them; nodes get to know their numbers in it.
pub(super) fn in_order(
    nodes: &mut [Node],
    makers: Vec<Maker>,
    positions: &[usize],
    live: &HashSet<usize>,
) -> Vec<OperatorNode> {
    let mut makers: Vec<Option<Maker>> = makers.into_iter().map(Some).collect();
    let mut found: Vec<(usize, OperatorNode)> = Vec::new();
    for (node, Node { kind, .. }) in nodes.iter().enumerate() {
        if let NodeKind::Operator(index) = kind
            && live.contains(&node)
            && let Some(maker) = makers.get_mut(*index).and_then(Option::take)
        {
            let position = positions.get(node).copied().unwrap_or_default();
            found.push((position, OperatorNode { node, maker, counts: None }));
        }
    }
    found.sort_by_key(|(position, _)| *position);
    let ordered: Vec<OperatorNode> = found.into_iter().map(|(_, operator)| operator).collect();
    for (number, operator) in ordered.iter().enumerate() {
        if let Some(node) = nodes.get_mut(operator.node) {
            node.kind = NodeKind::Operator(number);
        }
    }
    ordered
}
