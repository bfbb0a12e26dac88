//! Scripts and modules.

use super::{
    BinaryOp, DefineConnector, DefineFlow, DefineOperator, DefinePipeline, DefineScript, DefineWindow, Doc,
    Expr, Ident, Name, Path, Pattern, StrLit, Use,
};
use tremor_diagnostic::Span;

/// A script: the content of a `.tremor` file.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// The `###` block at the start.
    pub doc: Option<Doc>,
    /// At least one.
    pub items: Vec<Item>,
    /// The whole text.
    pub span: Span,
}

/// The items of a script section inside a definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Items {
    /// At least one.
    pub items: Vec<Item>,
    /// From the first to the last item.
    pub span: Span,
}

/// What may stand in the item list of a script.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `use …`.
    Use(Use),
    /// `const …`.
    Const(Const),
    /// `fn …`.
    Function(Function),
    /// `intrinsic fn …`.
    Intrinsic(Intrinsic),
    /// A statement.
    Stmt(Stmt),
}

impl Item {
    /// Its place.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Use(node) => node.span,
            Self::Const(node) => node.span,
            Self::Function(node) => node.span,
            Self::Intrinsic(node) => node.span,
            Self::Stmt(node) => node.span,
        }
    }
}

/// A module: a file reached through `use`.
#[derive(Clone, Debug, PartialEq)]
pub struct Module {
    /// The `###` block at the start.
    pub doc: Option<Doc>,
    /// At least one.
    pub items: Vec<ModuleItem>,
    /// The whole text.
    pub span: Span,
}

/// What may stand in a module.
#[derive(Clone, Debug, PartialEq)]
pub enum ModuleItem {
    /// `use …`.
    Use(Use),
    /// `const …`.
    Const(Const),
    /// `fn …`.
    Function(Function),
    /// `intrinsic fn …`.
    Intrinsic(Intrinsic),
    /// `define window …`.
    Window(DefineWindow),
    /// `define operator …`.
    Operator(DefineOperator),
    /// `define script …`.
    Script(DefineScript),
    /// `define pipeline …`.
    Pipeline(DefinePipeline),
    /// `define connector …`.
    Connector(DefineConnector),
    /// `define flow …`.
    Flow(DefineFlow),
}

impl ModuleItem {
    /// Its place.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Use(node) => node.span,
            Self::Const(node) => node.span,
            Self::Function(node) => node.span,
            Self::Intrinsic(node) => node.span,
            Self::Window(node) => node.span,
            Self::Operator(node) => node.span,
            Self::Script(node) => node.span,
            Self::Pipeline(node) => node.span,
            Self::Connector(node) => node.span,
            Self::Flow(node) => node.span,
        }
    }
}

/// `const NAME = value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Const {
    /// The comment before it; outside of `span`.
    pub doc: Option<Doc>,
    /// Its name.
    pub name: Ident,
    /// Its value.
    pub value: Expr,
    /// From `const` to the end of the value.
    pub span: Span,
}

/// `fn name(…) with … end` or `fn name(…) of … end`.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// The comment before it; outside of `span`.
    pub doc: Option<Doc>,
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub params: Params,
    /// What it does.
    pub body: FunctionBody,
    /// From `fn` to `end`.
    pub span: Span,
}

/// The parameters of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// The named ones.
    pub names: Vec<Ident>,
    /// It ends in `...`: surplus arguments arrive in `args`.
    pub open: bool,
}

/// The body of a function.
#[derive(Clone, Debug, PartialEq)]
pub enum FunctionBody {
    /// `with … end`, at least one statement.
    With(Vec<Stmt>),
    /// `of case … case _ => … end`. Such functions are never open.
    Cases {
        /// The clauses before the last; there may be none.
        cases: Vec<FunctionCase>,
        /// The arm of `case _`, at least one statement.
        default: Vec<Stmt>,
    },
}

/// `case (p1, p2) when guard => …`.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionCase {
    /// One or more elements as in a tuple pattern.
    pub patterns: Vec<Pattern>,
    /// The condition after `when`.
    pub guard: Option<Expr>,
    /// At least one statement.
    pub body: Vec<Stmt>,
    /// From `case` to the end of the arm.
    pub span: Span,
}

/// `intrinsic fn name(…) as mod::f`.
#[derive(Clone, Debug, PartialEq)]
pub struct Intrinsic {
    /// The comment before it; outside of `span`.
    pub doc: Option<Doc>,
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub params: Params,
    /// The native function, with at least one module segment, without `core`.
    pub target: Name,
    /// From `intrinsic` to the target.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it is.
    pub kind: StmtKind,
    /// Its place.
    pub span: Span,
}

/// The kinds of statements (`spec/language-script.md` 1.3).
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `let place = statement`.
    Let(Box<Let>),
    /// `emit …`.
    Emit(Emit),
    /// `drop`.
    Drop,
    /// The statement version of `match`: arms hold statements.
    Match(Box<Match<Stmt>>),
    /// The statement version of `for`: arms hold statements.
    For(Box<For<Stmt>>),
    /// An expression; never a bare `match` or `for`.
    Expr(Expr),
}

/// `place = statement`.
#[derive(Clone, Debug, PartialEq)]
pub struct Let {
    /// What is assigned; whether it can be is not checked yet.
    pub place: Path,
    /// The right side.
    pub value: Stmt,
    /// From the place to the value, without the word `let`.
    pub span: Span,
}

/// `emit value => "port"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Emit {
    /// `None` means the event.
    pub value: Option<Expr>,
    /// `None` means `out`.
    pub port: Option<StrLit>,
}

/// `match target of … end`. `A` is [`Stmt`] in the statement version, [`Expr`] in the pure one.
#[derive(Clone, Debug, PartialEq)]
pub struct Match<A> {
    /// What is matched.
    pub target: Expr,
    /// At least one.
    pub clauses: Vec<MatchClause<A>>,
}

/// `case pattern when guard => arm`.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchClause<A> {
    /// The pattern.
    pub pattern: Pattern,
    /// The condition after `when`.
    pub guard: Option<Expr>,
    /// At least one; the last one is the value.
    pub arm: Vec<A>,
    /// From `case` to the end of the arm.
    pub span: Span,
}

/// `for target of … into initial use op end`.
#[derive(Clone, Debug, PartialEq)]
pub struct For<A> {
    /// What is walked through.
    pub target: Expr,
    /// At least one.
    pub clauses: Vec<ForClause<A>>,
    /// The start value and the operation.
    pub fold: Option<Fold>,
}

/// `case (k, v) when guard => arm`.
#[derive(Clone, Debug, PartialEq)]
pub struct ForClause<A> {
    /// The variable for the index or key.
    pub key: Ident,
    /// The variable for the item or member.
    pub value: Ident,
    /// The parenthesised pair of variables.
    pub vars_span: Span,
    /// The condition after `when`.
    pub guard: Option<Expr>,
    /// At least one; the last one is the value.
    pub arm: Vec<A>,
    /// From `case` to the end of the arm.
    pub span: Span,
}

/// `into initial use op`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// The start value.
    pub initial: Expr,
    /// The operation; never a comparison.
    pub op: Option<BinaryOp>,
    /// From `into` on.
    pub span: Span,
}
