//! Patterns (`spec/language-script.md` 8).

use super::{BinaryOp, Expr, Ident};
use tremor_diagnostic::Span;

/// A pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// What it is.
    pub kind: PatternKind,
    /// Its place.
    pub span: Span,
}

/// The kinds of patterns. Elements of array and tuple patterns are `Expr`, `Ignore`, `Test` or `Record` only.
#[derive(Clone, Debug, PartialEq)]
pub enum PatternKind {
    /// Equal to the value of an expression.
    Expr(Expr),
    /// `_`.
    Ignore,
    /// `~ ext|…|`.
    Test(Test),
    /// `%{ … }`.
    Record(Vec<FieldPattern>),
    /// `%[ … ]`.
    Array(Vec<Pattern>),
    /// `%( … )`.
    Tuple(TuplePattern),
    /// `x = pattern`.
    Bind(Ident, Box<Pattern>),
}

/// `name|body|`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Test {
    /// The extractor as written; its case does not matter.
    pub extractor: Ident,
    /// The body, escapes and joined lines resolved.
    pub body: String,
    /// From the name to the closing bar, without the `~`.
    pub span: Span,
}

/// `%(a, b, ...)`.
#[derive(Clone, Debug, PartialEq)]
pub struct TuplePattern {
    /// The positions.
    pub elements: Vec<Pattern>,
    /// Further items are allowed: it ends in `...`.
    pub open: bool,
}

/// One field of a record pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldPattern {
    /// The key it looks at.
    pub key: Ident,
    /// What must hold.
    pub test: FieldTest,
    /// The whole field.
    pub span: Span,
}

/// What a field of a record pattern asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldTest {
    /// `present k`.
    Present,
    /// `absent k`.
    Absent,
    /// `k ~= ext|…|`, `alias = k ~= ext|…|`.
    Extract {
        /// The name it is stored under instead of the key.
        alias: Option<Ident>,
        /// The extractor.
        test: Test,
    },
    /// `k ~= %{ … }` and the like.
    Nested(Pattern),
    /// `k == e`, `k < e`, …: `Eq`, `NotEq`, `Lt`, `Lte`, `Gt` or `Gte`.
    Compare(BinaryOp, Expr),
}
