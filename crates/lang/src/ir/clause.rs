//! `match` and `for`: clauses, their patterns, and shortcuts through them.

use super::Expr;
use crate::extract::Extractor;
use std::{collections::HashMap, sync::Arc};
use tremor_diagnostic::Span;
use tremor_syntax::ast::BinaryOp;
use tremor_value::Str;

/// `match`, with arms of expressions or of statements.
#[derive(Clone, Debug)]
pub(crate) struct Match<Arm> {
    pub(crate) target: Expr,
    pub(crate) clauses: Box<[Clause<Arm>]>,
    /// Shortcuts through runs of constant patterns, see [`Jump`].
    pub(crate) jumps: Box<[Jump]>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Clause<Arm> {
    pub(crate) pattern: Pattern,
    /// The pattern's value is bound: to this slot in statement arms, as [`super::Root::Bound`] in guards and pure arms.
    pub(crate) binds: Option<u32>,
    pub(crate) guard: Option<(Expr, Span)>,
    pub(crate) arm: Arm,
}

/// Clauses by the constant that they compare with. The keys stand in the program, so what an event asks for cannot make
/// them collide, and a hasher that is only fast will do.
pub(crate) type Table<K> = HashMap<K, Vec<usize>, foldhash::fast::RandomState>;

/// A run of clauses whose patterns are constant strings or integers.
///
/// A string or integer target looks its candidates up; all other clauses of the run cannot match it. Any other
/// target tries the clauses one by one.
#[derive(Clone, Debug)]
pub(crate) struct Jump {
    /// First clause of the run.
    pub(crate) start: usize,
    /// First clause after it.
    pub(crate) end: usize,
    pub(crate) strings: Table<Str>,
    pub(crate) integers: Table<i128>,
}

#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    Any,
    /// Equal to the value; its result is that value.
    Equals(Expr),
    /// A text that the extractor accepts; its result is what that gives.
    Extract(Test),
    Record(Box<[Field]>),
    Array(Box<[Pattern]>),
    Tuple {
        items: Box<[Pattern]>,
        open: bool,
    },
}

/// An extractor where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) extractor: Arc<dyn Extractor>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) key: Str,
    pub(crate) test: FieldTest,
}

#[derive(Clone, Debug)]
pub(crate) enum FieldTest {
    Present,
    Absent,
    Compare(BinaryOp, Expr),
    Nested(Pattern),
    /// The extractor accepts the field, what it gives is stored under this name.
    Extract(Str, Test),
}

#[derive(Clone, Debug)]
pub(crate) struct For<Arm> {
    pub(crate) target: Expr,
    pub(crate) clauses: Box<[ForClause<Arm>]>,
    pub(crate) initial: Option<Expr>,
    pub(crate) op: BinaryOp,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct ForClause<Arm> {
    /// Slots of key and value in statement arms.
    pub(crate) slots: (u32, u32),
    pub(crate) guard: Option<(Expr, Span)>,
    pub(crate) arm: Arm,
    /// The `(K, V)`.
    pub(crate) vars_span: Span,
    /// The last expression of the arm.
    pub(crate) last_span: Span,
}
