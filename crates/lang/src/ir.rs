//! The lowered form that the interpreter runs on.
//!
//! Names are gone: locals are slots, variables of pure clauses count outwards ([`Root::Bound`]), constants stand in
//! place, functions are shared pointers. Chains of operators are flat, so their length costs no stack.

mod clause;

pub(crate) use clause::{Clause, Field, FieldTest, For, ForClause, Jump, Match, Pattern, Table, Test};

use crate::function::Native;
use std::sync::Arc;
use tremor_diagnostic::Span;
use tremor_syntax::ast::{BinaryOp, UnaryOp};
use tremor_value::{Str, Value};

/// A pure expression.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Const(Value),
    Path(Box<Path>),
    /// `first op item op item …`, grouped from the left.
    Chain(Box<Chain>),
    Unary(Box<Unary>),
    Present {
        path: Box<Path>,
        /// `true` for `present`, `false` for `absent`.
        wanted: bool,
    },
    List(Box<[Expr]>),
    /// Entries in source order; a repeated key keeps its first place.
    Record(Box<[(Key, Expr)]>),
    Interpolate(Box<[Piece]>),
    Bytes(Box<Bytes>),
    Native(Box<NativeCall>),
    Call(Box<FunctionCall>),
    Match(Box<Match<Expr>>),
    For(Box<For<Expr>>),
    Patch(Box<Patch>),
    Merge(Box<Merge>),
}

impl Expr {
    pub(crate) fn as_const(&self) -> Option<&Value> {
        match self {
            Self::Const(value) => Some(value),
            _ => None,
        }
    }

    /// `true` for the bare path `event`.
    pub(crate) fn is_event(&self) -> bool {
        matches!(self, Self::Path(path) if path.segments.is_empty() && matches!(path.root, Root::Event))
    }
}

/// Text of a key: mostly known when compiled.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    Const(Str),
    Pieces(Box<[Piece]>),
}

#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Text(Str),
    Expr(Expr),
}

#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) root: Root,
    pub(crate) segments: Box<[Segment]>,
    /// Number of segments at the front that are constant keys.
    pub(crate) keys: usize,
    pub(crate) span: Span,
}

impl Path {
    pub(crate) fn new(root: Root, segments: Box<[Segment]>, span: Span) -> Self {
        let keys = segments.iter().take_while(|segment| segment.key().is_some()).count();
        Self { root, segments, keys, span }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Root {
    Event,
    Meta,
    State,
    Args,
    Group,
    Window,
    Local(u32, Arc<LocalName>),
    /// A local that nothing assigns: reading it always fails.
    Unknown(Arc<LocalName>),
    /// Variable of an enclosing pure clause, 0 for the innermost.
    Bound(u32),
    Expr(Expr),
}

/// How a local is written, for the error that it has no value.
#[derive(Debug, Default)]
pub(crate) struct LocalName {
    pub(crate) name: Str,
    /// What may have been meant, if nothing assigns this name.
    pub(crate) near: Option<Str>,
}

impl LocalName {
    /// The name of a local that something assigns.
    pub(crate) fn known(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.into(), near: None })
    }

    pub(crate) fn message(&self) -> String {
        format!("Trying to access a non existing local key `{}`", self.name)
    }

    pub(crate) fn hint(&self) -> Option<String> {
        self.near.as_ref().map(|near| format!("Did you mean `{near}`?"))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) kind: SegmentKind,
    pub(crate) span: Span,
}

impl Segment {
    /// The key or index, if it is constant.
    pub(crate) fn step(&self) -> Option<tremor_value::Step<'_>> {
        match &self.kind {
            SegmentKind::Key(key) => Some(tremor_value::Step::Key(key)),
            SegmentKind::Index(index) => Some(tremor_value::Step::Item(*index)),
            SegmentKind::Dynamic(..) | SegmentKind::Range { .. } => None,
        }
    }

    /// The key, if it is constant.
    pub(crate) fn key(&self) -> Option<&str> {
        match &self.kind {
            SegmentKind::Key(key) => Some(key),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum SegmentKind {
    Key(Str),
    Index(u64),
    /// A computed key or index, with the place of its expression.
    Dynamic(Expr, Span),
    Range {
        start: (Expr, Span),
        end: (Expr, Span),
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) first: Expr,
    pub(crate) first_span: Span,
    pub(crate) steps: Box<[Step]>,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) op: BinaryOp,
    pub(crate) operand: Expr,
    pub(crate) operand_span: Span,
    /// The binary expression that ends with this step.
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Unary {
    pub(crate) op: UnaryOp,
    pub(crate) operand: Expr,
    pub(crate) operand_span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Bytes {
    pub(crate) parts: Box<[BytesPart]>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct BytesPart {
    pub(crate) value: Expr,
    pub(crate) kind: BytesKind,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BytesKind {
    /// An integer of 1 to 64 bits.
    Integer { bits: u32, signed: bool, little: bool },
    /// Bytes or text; the number of bytes taken from the front, all if `None`.
    Binary(Option<usize>),
}

#[derive(Clone, Debug)]
pub(crate) struct NativeCall {
    pub(crate) native: Native,
    pub(crate) args: Box<[Expr]>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct FunctionCall {
    pub(crate) function: Arc<Function>,
    pub(crate) args: Box<[Expr]>,
    pub(crate) span: Span,
}

/// A function written in the language.
#[derive(Debug)]
pub(crate) struct Function {
    /// Declared parameters; they are the first slots.
    pub(crate) params: usize,
    /// It takes more arguments than that, in `args`.
    pub(crate) open: bool,
    /// Number of locals, parameters included.
    pub(crate) slots: usize,
    pub(crate) body: Body,
    /// All it calls is pure.
    pub(crate) pure: bool,
    /// Levels of evaluation its deepest call chain may take.
    pub(crate) depth: u32,
    /// How often `recur` may restart it within one call.
    pub(crate) recurs: u32,
}

#[derive(Debug)]
pub(crate) enum Body {
    Native(Native),
    Statements(Block),
    Cases { cases: Box<[Case]>, default: Block },
}

#[derive(Debug)]
pub(crate) struct Case {
    /// One pattern per parameter, the rest never matches.
    pub(crate) patterns: Option<Box<[Pattern]>>,
    pub(crate) guard: Option<(Expr, Span)>,
    pub(crate) body: Block,
    pub(crate) span: Span,
}

pub(crate) type Block = Box<[Stmt]>;

#[derive(Clone, Debug)]
pub(crate) enum Stmt {
    /// Not evaluated unless its value is wanted.
    Expr(Expr, Span),
    Let(Box<Let>),
    Emit(Box<Emit>),
    Drop,
    Match(Box<Match<Block>>),
    For(Box<For<Block>>),
    Recur(Box<[Expr]>),
}

#[derive(Clone, Debug)]
pub(crate) struct Let {
    pub(crate) place: Place,
    pub(crate) value: Stmt,
    /// The value is a change of what stands at the place, which is then changed itself.
    pub(crate) in_place: bool,
    /// From the start of the place to the end of the value.
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    Local {
        slot: u32,
        name: Arc<LocalName>,
        span: Span,
        segments: Box<[Segment]>,
    },
    Event(Box<[Segment]>),
    Meta(Box<[Segment]>),
    State(Box<[Segment]>),
    /// `$` alone.
    WholeMeta,
    /// A constant, `args`, an expression path, …
    Invalid(&'static str),
}

impl Place {
    /// `event` alone.
    pub(crate) fn is_whole_event(&self) -> bool {
        matches!(self, Self::Event(segments) if segments.is_empty())
    }

    /// The way into the value; empty for a whole one.
    pub(crate) fn segments(&self) -> &[Segment] {
        match self {
            Self::Local { segments, .. }
            | Self::Event(segments)
            | Self::Meta(segments)
            | Self::State(segments) => segments,
            Self::WholeMeta | Self::Invalid(_) => &[],
        }
    }

    /// A value assigned here becomes part of another one.
    pub(crate) fn is_member(&self) -> bool {
        match self {
            Self::Local { segments, .. } | Self::Event(segments) | Self::State(segments) => {
                !segments.is_empty()
            }
            Self::Meta(_) => true,
            Self::WholeMeta | Self::Invalid(_) => false,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Emit {
    /// `None` emits the event itself.
    pub(crate) value: Option<Expr>,
    /// `None` is port `out`.
    pub(crate) port: Option<Key>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Patch {
    pub(crate) target: Expr,
    pub(crate) target_span: Span,
    pub(crate) operations: Box<[Operation]>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) kind: OperationKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum OperationKind {
    Insert(Key, Expr),
    Update(Key, Expr),
    Upsert(Key, Expr),
    Erase(Key),
    Copy(Key, Key),
    Move(Key, Key),
    Merge(Key, Expr),
    MergeAll(Expr),
    Default(Key, Expr),
    DefaultAll(Expr),
}

#[derive(Clone, Debug)]
pub(crate) struct Merge {
    pub(crate) left: Expr,
    pub(crate) left_span: Span,
    pub(crate) right: Expr,
    pub(crate) right_span: Span,
    pub(crate) span: Span,
}
