//! Deployments and flows.

use super::{Args, Create, DefinePipeline, Directive, Doc, Ident, Name, Use, With};
use tremor_diagnostic::Span;

/// A deployment: the content of a `.troy` file.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// The `#!config` lines; they have no effect.
    pub directives: Vec<Directive>,
    /// The `###` block after them.
    pub doc: Option<Doc>,
    /// At least one.
    pub stmts: Vec<DeployStmt>,
    /// The whole text.
    pub span: Span,
}

/// What may stand in a deployment.
#[derive(Clone, Debug, PartialEq)]
pub enum DeployStmt {
    /// `use …`.
    Use(Use),
    /// `define flow …`.
    Flow(DefineFlow),
    /// `deploy flow …`.
    Deploy(Deploy),
}

impl DeployStmt {
    /// Its place.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Use(node) => node.span,
            Self::Flow(node) => node.span,
            Self::Deploy(node) => node.span,
        }
    }
}

/// `define flow NAME …`.
#[derive(Clone, Debug, PartialEq)]
pub struct DefineFlow {
    /// The comment before it; part of `span`.
    pub doc: Option<Doc>,
    /// Its name.
    pub name: Ident,
    /// Its arguments.
    pub args: Option<Args>,
    /// At least one.
    pub stmts: Vec<FlowStmt>,
    /// From the doc comment to `end`.
    pub span: Span,
}

/// `deploy flow ALIAS from DEF with … end`.
#[derive(Clone, Debug, PartialEq)]
pub struct Deploy {
    /// The comment before it; part of `span`.
    pub doc: Option<Doc>,
    /// The name under which the flow runs.
    pub name: Ident,
    /// The definition, if it is not called like the alias.
    pub from: Option<Name>,
    /// Its arguments.
    pub with: Option<With>,
    /// From the doc comment on, with `end`.
    pub span: Span,
}

/// What may stand in a flow.
#[derive(Clone, Debug, PartialEq)]
pub enum FlowStmt {
    /// `use …`.
    Use(Use),
    /// `define pipeline …`.
    Pipeline(DefinePipeline),
    /// `define connector …`.
    Connector(DefineConnector),
    /// `create connector|pipeline …`.
    Create(Create),
    /// `connect … to …`.
    Connect(Connect),
}

impl FlowStmt {
    /// Its place.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Use(node) => node.span,
            Self::Pipeline(node) => node.span,
            Self::Connector(node) => node.span,
            Self::Create(node) => node.span,
            Self::Connect(node) => node.span,
        }
    }
}

/// `define connector NAME from KIND …`.
#[derive(Clone, Debug, PartialEq)]
pub struct DefineConnector {
    /// The comment before it; part of `span`.
    pub doc: Option<Doc>,
    /// Its name.
    pub name: Ident,
    /// The connector kind.
    pub kind: Ident,
    /// Its arguments.
    pub args: Option<Args>,
    /// Its settings.
    pub with: Option<With>,
    /// From the doc comment on, with `end`.
    pub span: Span,
}

/// `connect A to B`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Where events come from.
    pub from: Endpoint,
    /// Where they go.
    pub to: Endpoint,
    /// The whole statement.
    pub span: Span,
}

/// `/connector/x/port` or `/pipeline/x/port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// What `instance` is. At most one end of a `connect` is a connector.
    pub kind: EndpointKind,
    /// The name of the instance.
    pub instance: Ident,
    /// The port; `None` means `out` on the left and `in` on the right.
    pub port: Option<Ident>,
    /// The whole path.
    pub span: Span,
}

/// What an [`Endpoint`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndpointKind {
    /// `connector`.
    Connector,
    /// `pipeline`.
    Pipeline,
}
