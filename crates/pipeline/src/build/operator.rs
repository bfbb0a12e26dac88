//! Operators: their kinds and configurations are checked where the graph is built.

use super::{
    Builder,
    names::{Body, Entry},
};
use crate::{
    graph::{Node, NodeKind, OperatorNode},
    operators::{self, Maker, Problem, Settings},
};
use std::collections::HashSet;
use tremor_diagnostic::{Diagnostic, WarningClass, codes};
use tremor_lang::{Create, OperatorDefinition};
use tremor_value::Record;

impl Builder {
    pub(super) fn operator(&mut self, create: &Create<OperatorDefinition>, body: &mut Body<'_>) {
        if self.is_duplicate(&create.name, create.span, body) {
            return;
        }
        let entry = match self.operator_maker(create, body) {
            Ok(maker) => {
                let kind = NodeKind::Operator(self.operators.len());
                self.operators.push(maker);
                Entry::Node(self.node(kind, body.label(&create.name.name), false))
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
    ) -> Result<Maker, Vec<Diagnostic>> {
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
            let warning = Diagnostic::warning(WarningClass::General, codes::OLD_SYNTAX, kind.span, message);
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        let mut given = Record::default();
        for setting in definition.settings.iter().flatten() {
            let value = setting.value.evaluate_with_args(&args);
            let value = value.map_err(|error| vec![error.to_diagnostic(&self.sources)])?;
            given.insert(setting.name.as_str(), value);
        }
        let none = Record::default();
        let given = definition.settings.is_some().then_some(&given);
        let settings = Settings::check(spec, given, &none);
        let maker = settings.and_then(|settings| (spec.prepare)(&settings));
        maker.map_err(|problem| vec![self.refused(definition, problem)])
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
            found.push((position, OperatorNode { node, maker }));
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
