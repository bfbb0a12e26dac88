//! Walking over the spans of a tree: for comparing trees without positions, and for checking positions.

use crate::ast::*;
use tremor_diagnostic::Span;

/// A piece of a syntax tree.
pub trait Tree {
    /// Calls `visitor` for the span of this node and of all nodes in it.
    fn walk(&mut self, visitor: &mut dyn Visitor);
}

/// What [`Tree::walk`] reports to. A parent is entered before and left after its children.
pub trait Visitor {
    /// A node with this span begins.
    fn enter(&mut self, span: &mut Span);
    /// The node that was entered last ends.
    fn leave(&mut self);
}

/// Whether two trees are the same apart from positions.
#[must_use]
pub fn same<T: Tree + Clone + PartialEq>(a: &T, b: &T) -> bool {
    let (mut a, mut b) = (a.clone(), b.clone());
    erase_spans(&mut a);
    erase_spans(&mut b);
    a == b
}

/// Sets all spans to nothing, so that `==` and `Hash` see only what a tree means.
pub fn erase_spans<T: Tree>(tree: &mut T) {
    struct Erase;
    impl Visitor for Erase {
        fn enter(&mut self, span: &mut Span) {
            *span = Span::default();
        }
        fn leave(&mut self) {}
    }
    tree.walk(&mut Erase);
}

/// The first span that does not lie within `around` or within the span of its parent, as (parent, child).
#[must_use]
pub fn misplaced_span<T: Tree + Clone>(tree: &T, around: Span) -> Option<(Span, Span)> {
    struct Check {
        parents: Vec<Span>,
        found: Option<(Span, Span)>,
    }
    impl Visitor for Check {
        fn enter(&mut self, span: &mut Span) {
            if let Some(parent) = self.parents.last().filter(|parent| !parent.contains(*span)) {
                self.found.get_or_insert((*parent, *span));
            }
            self.parents.push(*span);
        }
        fn leave(&mut self) {
            self.parents.pop();
        }
    }
    let mut check = Check { parents: vec![around], found: None };
    tree.clone().walk(&mut check);
    check.found
}

impl Tree for Span {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        visitor.enter(self);
        visitor.leave();
    }
}

impl<T: Tree> Tree for Vec<T> {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        self.iter_mut().for_each(|node| node.walk(visitor));
    }
}

impl<T: Tree> Tree for Option<T> {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        self.iter_mut().for_each(|node| node.walk(visitor));
    }
}

impl<T: Tree> Tree for Box<T> {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        self.as_mut().walk(visitor);
    }
}

/// `Type { parts before its span | parts inside of it }` for nodes that have a span.
macro_rules! spanned {
    ($($node:ident $(<$generic:ident>)? { $($before:ident),* | $($inside:ident),* })*) => {
        $(impl $(<$generic: Tree>)? Tree for $node $(<$generic>)? {
            fn walk(&mut self, visitor: &mut dyn Visitor) {
                $(self.$before.walk(visitor);)*
                visitor.enter(&mut self.span);
                $(self.$inside.walk(visitor);)*
                visitor.leave();
            }
        })*
    };
}

/// `Type { parts }` for nodes without a span of their own.
macro_rules! plain {
    ($($node:ident $(<$generic:ident>)? { $($part:ident),* })*) => {
        $(impl $(<$generic: Tree>)? Tree for $node $(<$generic>)? {
            fn walk(&mut self, visitor: &mut dyn Visitor) {
                $(self.$part.walk(visitor);)*
            }
        })*
    };
}

/// `Enum { variants with one part }`.
macro_rules! either {
    ($($node:ident { $($variant:ident),* })*) => {
        $(impl Tree for $node {
            fn walk(&mut self, visitor: &mut dyn Visitor) {
                match self {
                    $(Self::$variant(part) => part.walk(visitor),)*
                }
            }
        })*
    };
}

spanned! {
    Ident { | }
    Name { | module, ident }
    Doc { | }
    Use { | tree }
    UseTree { | path, tail }
    Args { | entries }
    Arg { | name, default }
    With { | entries }
    WithEntry { | key, value }
    Directive { | name, value }

    Expr { | kind }
    StrLit { | parts }
    BytesPart { | value, kind }
    Path { | root_span, root, segments }
    Segment { | kind }
    Call { | name, args }
    RecordEntry { | key, value }
    PatchOp { | kind }
    Pattern { | kind }
    Test { | extractor }
    FieldPattern { | key, test }

    Script { | doc, items }
    Module { | doc, items }
    Items { | items }
    Const { doc | name, value }
    Function { doc | name, params, body }
    FunctionCase { | patterns, guard, body }
    Intrinsic { doc | name, params, target }
    Stmt { | kind }
    Let { | place, value }
    MatchClause<A> { | pattern, guard, arm }
    ForClause<A> { | key, value, vars_span, guard, arm }
    Fold { | initial }

    Query { | directives, stmts }
    DefineWindow { doc | name, with, state, tick, script }
    DefineOperator { doc | name, kind, args, with }
    DefineScript { doc | name, args, state, sections, script }
    Section { | port, body }
    DefinePipeline { doc | name, from, into, args, directives, stmts }
    CreateStream { | name }
    Create { | name, from, with }
    Select { | target, from, windows, filter, group_by, into, having }
    Channel { | node, port }
    Group { | kind }

    Deployment { | directives, doc, stmts }
    DefineFlow { | doc, name, args, stmts }
    Deploy { | doc, name, from, with }
    DefineConnector { | doc, name, kind, args, with }
    Connect { | from, to }
    Endpoint { | instance, port }
}

plain! {
    Patch { target, ops }
    Merge { target, with }
    Unary { operand }
    Binary { op_span, left, right }
    Presence { path }
    TuplePattern { elements }
    Params { names }
    Emit { value, port }
    Match<A> { target, clauses }
    For<A> { target, clauses, fold }
}

either! {
    Item { Use, Const, Function, Intrinsic, Stmt }
    ModuleItem { Use, Const, Function, Intrinsic, Window, Operator, Script, Pipeline, Connector, Flow }
    QueryStmt { Use, Window, Operator, Script, Pipeline, Stream, Create, Select }
    DeployStmt { Use, Flow, Deploy }
    FlowStmt { Use, Pipeline, Connector, Create, Connect }
    GroupKind { Expr, Set, Each }
}

impl Tree for UseTail {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        match self {
            Self::None => {}
            Self::Alias(name) => name.walk(visitor),
            Self::Group(trees) => trees.walk(visitor),
        }
    }
}

impl Tree for ExprKind {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) => {}
            Self::Str(part) => part.walk(visitor),
            Self::Bytes(parts) => parts.walk(visitor),
            Self::Path(part) => part.walk(visitor),
            Self::Call(part) => part.walk(visitor),
            Self::List(parts) | Self::Recur(parts) => parts.walk(visitor),
            Self::Record(parts) => parts.walk(visitor),
            Self::Patch(part) => part.walk(visitor),
            Self::Merge(part) => part.walk(visitor),
            Self::Unary(part) => part.walk(visitor),
            Self::Binary(part) => part.walk(visitor),
            Self::Presence(part) => part.walk(visitor),
            Self::Match(part) => part.walk(visitor),
            Self::For(part) => part.walk(visitor),
        }
    }
}

impl Tree for StrPart {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        match self {
            Self::Text { span, .. } => span.walk(visitor),
            Self::Interpolation { expr, span } => {
                visitor.enter(span);
                expr.walk(visitor);
                visitor.leave();
            }
        }
    }
}

impl Tree for PathRoot {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        match self {
            Self::Name(name) => name.walk(visitor),
            Self::Expr(expr) => expr.walk(visitor),
            Self::Event | Self::Meta | Self::State | Self::Args | Self::Group | Self::Window => {}
        }
    }
}

impl Tree for SegmentKind {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        match self {
            Self::Key(name) => name.walk(visitor),
            Self::Index(expr) => expr.walk(visitor),
            Self::Range { start, end } => {
                start.walk(visitor);
                end.walk(visitor);
            }
        }
    }
}

impl Tree for PatchOpKind {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        match self {
            Self::Insert(key, value) | Self::Upsert(key, value) | Self::Update(key, value) => {
                key.walk(visitor);
                value.walk(visitor);
            }
            Self::Erase(key) => key.walk(visitor),
            Self::Move(from, to) | Self::Copy(from, to) => {
                from.walk(visitor);
                to.walk(visitor);
            }
            Self::Merge(key, value) | Self::Default(key, value) => {
                key.walk(visitor);
                value.walk(visitor);
            }
        }
    }
}

impl Tree for PatternKind {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        match self {
            Self::Expr(expr) => expr.walk(visitor),
            Self::Ignore => {}
            Self::Test(test) => test.walk(visitor),
            Self::Record(fields) => fields.walk(visitor),
            Self::Array(elements) => elements.walk(visitor),
            Self::Tuple(tuple) => tuple.walk(visitor),
            Self::Bind(name, pattern) => {
                name.walk(visitor);
                pattern.walk(visitor);
            }
        }
    }
}

impl Tree for FieldTest {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        match self {
            Self::Present | Self::Absent => {}
            Self::Extract { alias, test } => {
                alias.walk(visitor);
                test.walk(visitor);
            }
            Self::Nested(pattern) => pattern.walk(visitor),
            Self::Compare(_, expr) => expr.walk(visitor),
        }
    }
}

impl Tree for FunctionBody {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        match self {
            Self::With(stmts) => stmts.walk(visitor),
            Self::Cases { cases, default } => {
                cases.walk(visitor);
                default.walk(visitor);
            }
        }
    }
}

impl Tree for StmtKind {
    fn walk(&mut self, visitor: &mut dyn Visitor) {
        match self {
            Self::Let(part) => part.walk(visitor),
            Self::Emit(part) => part.walk(visitor),
            Self::Drop => {}
            Self::Match(part) => part.walk(visitor),
            Self::For(part) => part.walk(visitor),
            Self::Expr(part) => part.walk(visitor),
        }
    }
}
