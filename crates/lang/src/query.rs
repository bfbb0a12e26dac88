//! Compiled queries and pipelines (`spec/language-query.md`): what the graph is built from.

mod arguments;
mod lower;

pub use arguments::{Argument, Arguments, GivenArgument};
pub(crate) use arguments::{Unknown, config, given_arguments, lower_arguments};
pub(crate) use lower::{define_operator, define_pipeline, define_script, query, script, target};

use crate::{Expression, Script};
use std::sync::Arc;
use tremor_diagnostic::Span;
use tremor_value::Value;

/// A name with its place.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

/// A `define pipeline`, or a whole stand-alone query.
#[derive(Debug)]
pub struct PipelineDefinition {
    /// Its name; empty for a stand-alone query without `id`.
    pub name: String,
    /// Input ports.
    pub inputs: Vec<Named>,
    /// Output ports.
    pub outputs: Vec<Named>,
    /// Declared arguments; `None` for a stand-alone query, in which `args` is null.
    pub arguments: Option<Arguments>,
    /// The `#!config` values.
    pub directives: Vec<(String, Value)>,
    /// Nodes and selects in textual order.
    pub statements: Vec<Statement>,
    /// The whole definition.
    pub span: Span,
}

impl PipelineDefinition {
    /// The last value of a directive.
    #[must_use]
    pub fn directive(&self, name: &str) -> Option<&Value> {
        self.directives.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// `true` if there is an input port of this name.
    #[must_use]
    pub fn has_input(&self, port: &str) -> bool {
        self.inputs.iter().any(|input| input.name == port)
    }

    /// `true` if there is an output port of this name.
    #[must_use]
    pub fn has_output(&self, port: &str) -> bool {
        self.outputs.iter().any(|output| output.name == port)
    }
}

/// What makes nodes and edges of the graph.
#[derive(Debug)]
pub enum Statement {
    /// `create stream`
    Stream {
        /// Its name.
        name: Named,
        /// The whole statement.
        span: Span,
    },
    /// `create operator`
    Operator(Create<OperatorDefinition>),
    /// `create script`
    Script(Create<ScriptDefinition>),
    /// `create pipeline`
    Pipeline(Create<PipelineDefinition>),
    /// `select`
    Select(Arc<Select>),
}

/// A `create` of an instance of `D`.
#[derive(Debug)]
pub struct Create<D> {
    /// Name of the instance.
    pub name: Named,
    /// What it is an instance of.
    pub definition: Arc<D>,
    /// What `with` gives.
    pub given: Vec<GivenArgument>,
    /// The `with …` without its `end`.
    pub with_span: Option<Span>,
    /// The whole statement.
    pub span: Span,
}

/// A `define operator`.
#[derive(Debug)]
pub struct OperatorDefinition {
    /// Its name.
    pub name: Named,
    /// What it is an instance of, as written: `module::kind`.
    pub kind: Named,
    /// Declared arguments.
    pub arguments: Arguments,
    /// The configuration, computed from the arguments; `None` without `with`.
    pub settings: Option<Vec<GivenArgument>>,
    /// The whole definition.
    pub span: Span,
}

/// A `define script`.
#[derive(Debug)]
pub struct ScriptDefinition {
    /// Its name.
    pub name: Named,
    /// Declared arguments.
    pub arguments: Arguments,
    /// The initial state, computed from the arguments; null without one.
    pub state: Option<Expression>,
    /// The main section, for port `in`.
    pub main: Script,
    /// Further sections by port.
    pub sections: Vec<(Named, Script)>,
    /// The whole definition.
    pub span: Span,
}

impl ScriptDefinition {
    /// The section for events that arrive at `port`.
    #[must_use]
    pub fn section(&self, port: &str) -> Option<&Script> {
        if port == "in" {
            return Some(&self.main);
        }
        self.sections.iter().find(|(name, _)| name.name == port).map(|(_, script)| script)
    }

    /// `true` if no event can influence a later one.
    #[must_use]
    pub fn is_stateless(&self) -> bool {
        self.main.is_stateless() && self.sections.iter().all(|(_, script)| script.is_stateless())
    }
}

/// One end of a `select`: a node and a port.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The node, stream or port.
    pub node: Named,
    /// The port of the node, if one is named.
    pub port: Option<Named>,
    /// Both.
    pub span: Span,
}

/// A `select` without windows and groups.
#[derive(Debug)]
pub struct Select {
    /// What becomes of the event.
    pub target: Expression,
    /// Where events come from.
    pub from: Channel,
    /// Condition on the event.
    pub filter: Option<Expression>,
    /// Where results go.
    pub into: Channel,
    /// Condition on the result.
    pub having: Option<Expression>,
    /// The whole statement.
    pub span: Span,
}
