//! Queries and pipelines.

use super::{Args, Directive, Doc, Expr, Ident, Items, Name, Use, With};
use tremor_diagnostic::Span;

/// A query: the content of a `.trickle` file.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The `#!config` lines.
    pub directives: Vec<Directive>,
    /// At least one.
    pub stmts: Vec<QueryStmt>,
    /// The whole text.
    pub span: Span,
}

/// What may stand in a query or the body of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryStmt {
    /// `use …`.
    Use(Use),
    /// `define window …`.
    Window(DefineWindow),
    /// `define operator …`.
    Operator(DefineOperator),
    /// `define script …`.
    Script(DefineScript),
    /// `define pipeline …`.
    Pipeline(DefinePipeline),
    /// `create stream …`.
    Stream(CreateStream),
    /// `create operator|script|pipeline …`.
    Create(Create),
    /// `select …`.
    Select(Box<Select>),
}

impl QueryStmt {
    /// Its place.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Use(node) => node.span,
            Self::Window(node) => node.span,
            Self::Operator(node) => node.span,
            Self::Script(node) => node.span,
            Self::Pipeline(node) => node.span,
            Self::Stream(node) => node.span,
            Self::Create(node) => node.span,
            Self::Select(node) => node.span,
        }
    }
}

/// `define window NAME from tumbling …`.
#[derive(Clone, Debug, PartialEq)]
pub struct DefineWindow {
    /// The comment before it; outside of `span`.
    pub doc: Option<Doc>,
    /// Its name.
    pub name: Ident,
    /// `tumbling` or `sliding`.
    pub kind: WindowKind,
    /// The settings.
    pub with: Option<With>,
    /// The initial state.
    pub state: Option<Expr>,
    /// `script from …`: the only legal name is `tick`, which is not checked here.
    pub tick: Option<Section>,
    /// The main script.
    pub script: Option<Items>,
    /// From `define` to `end`.
    pub span: Span,
}

/// How windows follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowKind {
    /// Without overlap.
    Tumbling,
    /// With overlap.
    Sliding,
}

/// `define operator NAME from module::kind …`.
#[derive(Clone, Debug, PartialEq)]
pub struct DefineOperator {
    /// The comment before it; outside of `span`.
    pub doc: Option<Doc>,
    /// Its name.
    pub name: Ident,
    /// The kind, with exactly one module segment.
    pub kind: Name,
    /// Its arguments.
    pub args: Option<Args>,
    /// Its configuration.
    pub with: Option<With>,
    /// From `define` on.
    pub span: Span,
}

/// `define script NAME …`.
#[derive(Clone, Debug, PartialEq)]
pub struct DefineScript {
    /// The comment before it; outside of `span`.
    pub doc: Option<Doc>,
    /// Its name.
    pub name: Ident,
    /// Its arguments.
    pub args: Option<Args>,
    /// The initial state.
    pub state: Option<Expr>,
    /// `script from …` in order.
    pub sections: Vec<Section>,
    /// The main section.
    pub script: Items,
    /// From `define` to `end`.
    pub span: Span,
}

/// `script from PORT items`.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// The port that it reads.
    pub port: Ident,
    /// What it does.
    pub body: Items,
    /// From `script` to the last item.
    pub span: Span,
}

/// `define pipeline NAME …`.
#[derive(Clone, Debug, PartialEq)]
pub struct DefinePipeline {
    /// The comment before it; outside of `span`.
    pub doc: Option<Doc>,
    /// Its name.
    pub name: Ident,
    /// Input ports; `None` means the default.
    pub from: Option<Vec<Ident>>,
    /// Output ports; `None` means the default.
    pub into: Option<Vec<Ident>>,
    /// Its arguments.
    pub args: Option<Args>,
    /// The `#!config` lines of the body.
    pub directives: Vec<Directive>,
    /// At least one.
    pub stmts: Vec<QueryStmt>,
    /// From `define` to `end`.
    pub span: Span,
}

/// `create stream NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateStream {
    /// Its name.
    pub name: Ident,
    /// From `create` on.
    pub span: Span,
}

/// `create KIND NAME from DEF with … end`.
#[derive(Clone, Debug, PartialEq)]
pub struct Create {
    /// What is made.
    pub kind: CreateKind,
    /// The name of the instance.
    pub name: Ident,
    /// The definition, if it is not called like the instance.
    pub from: Option<Name>,
    /// Its arguments.
    pub with: Option<With>,
    /// From `create` on, with `end`.
    pub span: Span,
}

/// What `create` makes. Queries make all but connectors, flows connectors and pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CreateKind {
    /// `operator`.
    Operator,
    /// `script`.
    Script,
    /// `pipeline`.
    Pipeline,
    /// `connector`.
    Connector,
}

impl CreateKind {
    /// Its spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Script => "script",
            Self::Pipeline => "pipeline",
            Self::Connector => "connector",
        }
    }
}

/// `select target from a[windows] where … group by … into b having …`.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// What becomes of the event.
    pub target: Expr,
    /// Where events come from.
    pub from: Channel,
    /// The windows, smallest first.
    pub windows: Vec<Name>,
    /// The condition on the event.
    pub filter: Option<Expr>,
    /// The grouping.
    pub group_by: Option<Group>,
    /// Where results go.
    pub into: Channel,
    /// The condition on the result.
    pub having: Option<Expr>,
    /// The whole statement.
    pub span: Span,
}

/// `node` or `node/port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Channel {
    /// A node, stream or port.
    pub node: Ident,
    /// The port of the node.
    pub port: Option<Ident>,
    /// Both.
    pub span: Span,
}

/// What follows `group by`.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What it is.
    pub kind: GroupKind,
    /// Its place.
    pub span: Span,
}

/// The kinds of groupings.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupKind {
    /// One value.
    Expr(Expr),
    /// `set(…)`, at least one.
    Set(Vec<Group>),
    /// `each(…)`.
    Each(Expr),
}
