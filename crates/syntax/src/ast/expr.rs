//! Expressions.

use super::{Ident, Match, Name};
use crate::ast::For;
use tremor_diagnostic::Span;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place, with the parentheses around it.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// An integer literal; there are no negative ones.
    Int(u64),
    /// A finite float literal; there are no negative ones.
    Float(f64),
    /// A string or heredoc.
    Str(StrLit),
    /// `<< … >>`.
    Bytes(Vec<BytesPart>),
    /// A path, also a bare name, `event`, `$`.
    Path(Path),
    /// `f(…)`.
    Call(Call),
    /// `[ … ]`.
    List(Vec<Expr>),
    /// `{ … }`.
    Record(Vec<RecordEntry>),
    /// `patch … of … end`.
    Patch(Box<Patch>),
    /// `merge … of … end`.
    Merge(Box<Merge>),
    /// `recur( … )`.
    Recur(Vec<Expr>),
    /// `-x`, `not x`, ….
    Unary(Box<Unary>),
    /// `a + b`, ….
    Binary(Box<Binary>),
    /// `present P`, `absent P`.
    Presence(Box<Presence>),
    /// The pure `match`: arms hold expressions separated by `,`.
    Match(Box<Match<Expr>>),
    /// The pure `for`: arms hold expressions separated by `,`.
    For(Box<For<Expr>>),
}

/// A string literal. It has neither two texts in a row nor an empty text; `""` has no parts.
#[derive(Clone, Debug, PartialEq)]
pub struct StrLit {
    /// Text and interpolations in order.
    pub parts: Vec<StrPart>,
    /// Written as heredoc.
    pub heredoc: bool,
    /// The literal with its quotes.
    pub span: Span,
}

/// A piece of a string.
#[derive(Clone, Debug, PartialEq)]
pub enum StrPart {
    /// Plain text, escapes resolved.
    Text {
        /// The text.
        text: String,
        /// Its place, escapes as written.
        span: Span,
    },
    /// `#{ … }`.
    Interpolation {
        /// The expression inside.
        expr: Expr,
        /// From `#{` to `}`.
        span: Span,
    },
}

/// `value:size/type` in a bytes literal.
#[derive(Clone, Debug, PartialEq)]
pub struct BytesPart {
    /// The value.
    pub value: Expr,
    /// The size, unchecked: bits, for `binary` bytes.
    pub size: Option<u64>,
    /// The type name, unchecked.
    pub kind: Option<Ident>,
    /// The whole part.
    pub span: Span,
}

/// A path: where it starts and the steps from there.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Where it starts.
    pub root: PathRoot,
    /// The place of the root alone.
    pub root_span: Span,
    /// The steps. After [`PathRoot::Meta`] the first one is a [`SegmentKind::Key`] (`$x`);
    /// after [`PathRoot::Expr`] there is at least one.
    pub segments: Vec<Segment>,
    /// The whole path.
    pub span: Span,
}

/// Where a path starts.
#[derive(Clone, Debug, PartialEq)]
pub enum PathRoot {
    /// `event`.
    Event,
    /// `$`.
    Meta,
    /// `state`.
    State,
    /// `args`.
    Args,
    /// `group`.
    Group,
    /// `window`.
    Window,
    /// A local or constant.
    Name(Name),
    /// A parenthesised expression, call, record or list.
    Expr(Box<Expr>),
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// What it selects.
    pub kind: SegmentKind,
    /// The name of a key without the dot; an index or range with its brackets.
    pub span: Span,
}

/// The kinds of segments.
#[derive(Clone, Debug, PartialEq)]
pub enum SegmentKind {
    /// `.k`, and `x` of `$x`.
    Key(Ident),
    /// `[e]`.
    Index(Expr),
    /// `[a:b]`.
    Range {
        /// First item.
        start: Expr,
        /// Just after the last item.
        end: Expr,
    },
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function.
    pub name: Name,
    /// The arguments.
    pub args: Vec<Expr>,
    /// The whole call.
    pub span: Span,
}

/// `"key": value`.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordEntry {
    /// The key.
    pub key: StrLit,
    /// The value.
    pub value: Expr,
    /// Key and value.
    pub span: Span,
}

/// `patch target of … end`.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// What is patched.
    pub target: Expr,
    /// At least one.
    pub ops: Vec<PatchOp>,
}

/// One operation of a `patch`.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchOp {
    /// What it does.
    pub kind: PatchOpKind,
    /// The whole operation.
    pub span: Span,
}

/// The operations of a `patch`.
#[derive(Clone, Debug, PartialEq)]
pub enum PatchOpKind {
    /// `insert k => e`.
    Insert(StrLit, Expr),
    /// `upsert k => e`.
    Upsert(StrLit, Expr),
    /// `update k => e`.
    Update(StrLit, Expr),
    /// `erase k`.
    Erase(StrLit),
    /// `move a => b`.
    Move(StrLit, StrLit),
    /// `copy a => b`.
    Copy(StrLit, StrLit),
    /// `merge k => e`, `merge => e`.
    Merge(Option<StrLit>, Expr),
    /// `default k => e`, `default => e`.
    Default(Option<StrLit>, Expr),
}

/// `merge target of with end`.
#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    /// The record that is changed.
    pub target: Expr,
    /// What is merged into it.
    pub with: Expr,
}

/// A prefix operator and its operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    /// The operator.
    pub op: UnaryOp,
    /// The operand.
    pub operand: Expr,
}

/// Prefix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `+`.
    Plus,
    /// `-`.
    Minus,
    /// `not`.
    Not,
    /// `!`.
    BitNot,
}

impl UnaryOp {
    /// Its spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Not => "not",
            Self::BitNot => "!",
        }
    }
}

/// Two operands and the operator between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// The place of the operator.
    pub op_span: Span,
    /// Left operand.
    pub left: Expr,
    /// Right operand.
    pub right: Expr,
}

/// Binary operators (`spec/language-lexical.md` 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `or`
    Or,
    /// `xor`
    Xor,
    /// `and`
    And,
    /// `^`
    BitXor,
    /// `&`
    BitAnd,
    /// `==`
    Eq,
    /// `!=`
    NotEq,
    /// `<`
    Lt,
    /// `<=`
    Lte,
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `>>>`
    ShrUnsigned,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
}

impl BinaryOp {
    /// Every operator.
    pub const ALL: &[Self] = &[
        Self::Or,
        Self::Xor,
        Self::And,
        Self::BitXor,
        Self::BitAnd,
        Self::Eq,
        Self::NotEq,
        Self::Lt,
        Self::Lte,
        Self::Gt,
        Self::Gte,
        Self::Shl,
        Self::Shr,
        Self::ShrUnsigned,
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Mod,
    ];

    /// Its spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::Xor => "xor",
            Self::And => "and",
            Self::BitXor => "^",
            Self::BitAnd => "&",
            Self::Eq => "==",
            Self::NotEq => "!=",
            Self::Lt => "<",
            Self::Lte => "<=",
            Self::Gt => ">",
            Self::Gte => ">=",
            Self::Shl => "<<",
            Self::Shr => ">>",
            Self::ShrUnsigned => ">>>",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
        }
    }

    /// The level of the precedence table, from 1 (loosest) to 10.
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::Xor => 2,
            Self::And => 3,
            Self::BitXor => 4,
            Self::BitAnd => 5,
            Self::Eq | Self::NotEq => 6,
            Self::Lt | Self::Lte | Self::Gt | Self::Gte => 7,
            Self::Shl | Self::Shr | Self::ShrUnsigned => 8,
            Self::Add | Self::Sub => 9,
            Self::Mul | Self::Div | Self::Mod => 10,
        }
    }

    /// The operator with this spelling.
    #[must_use]
    pub fn from_spelling(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.as_str() == text)
    }
}

/// `present P` or `absent P`.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    /// `absent` instead of `present`.
    pub absent: bool,
    /// The path that is asked for.
    pub path: Path,
}
