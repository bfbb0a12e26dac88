//! What can go wrong, and the words for it.

use crate::{
    extract::GaveUp,
    function::{FunctionError, Native},
    ir::LocalName,
    ops::OpError,
};
use std::sync::Arc;
use tremor_diagnostic::{Code, closest_within, codes};
use tremor_syntax::ast::{BinaryOp, UnaryOp};
use tremor_value::{Record, Str, sentence, shown};

/// What a path starts at, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Event,
    Meta,
    State,
    Args,
    Local,
    Other,
}

impl Origin {
    fn word(self) -> &'static str {
        match self {
            Self::Event => "event ",
            Self::Meta => "metadata ",
            Self::State => "state ",
            Self::Args => "argument ",
            Self::Local => "local ",
            Self::Other => "",
        }
    }
}

/// A call of a native function that gave no value.
#[derive(Clone, Debug)]
pub(crate) struct FailedCall {
    pub(crate) native: Native,
    /// Number of arguments passed.
    pub(crate) count: usize,
    pub(crate) error: FunctionError,
}

#[derive(Clone, Debug)]
pub(crate) enum ErrorKind {
    UnknownLocal(Arc<LocalName>),
    NeedsRecord {
        found: &'static str,
    },
    MissingKey {
        origin: Origin,
        key: Str,
        record: Option<Arc<Record>>,
    },
    NeedsArray {
        found: &'static str,
    },
    Index {
        from: i128,
        to: Option<u64>,
        len: usize,
    },
    IndexType {
        expected: &'static str,
        found: &'static str,
    },
    RangeDecreases {
        from: u64,
        to: u64,
    },
    AssignMeta,
    AssignInvalid(&'static str),
    AssignIndex,
    Binary {
        op: BinaryOp,
        error: OpError,
        left: &'static str,
        right: &'static str,
    },
    Unary {
        op: UnaryOp,
        error: OpError,
        operand: &'static str,
    },
    Guard {
        found: &'static str,
    },
    NeedsBool {
        op: &'static str,
        found: &'static str,
    },
    NoClause,
    Fold {
        op: &'static str,
        found: &'static str,
    },
    KeyExists(Str),
    NoSuchKey(Str),
    MergeConflict {
        key: Option<Str>,
        found: &'static str,
    },
    Recursion {
        limit: u32,
    },
    NotRecord {
        what: &'static str,
        found: &'static str,
    },
    Function(Box<FailedCall>),
    Arity(Box<FailedCall>),
    BytesType {
        expected: &'static str,
        found: &'static str,
    },
    BytesShort {
        wanted: usize,
        have: usize,
    },
    TooDeep,
    TooManySteps,
    TooMuch {
        limit: usize,
    },
    GaveUp(GaveUp),
    /// `where` or `having` gave something else than a bool.
    Filter {
        clause: &'static str,
        found: &'static str,
    },
}

impl ErrorKind {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::UnknownLocal(_) => codes::UNKNOWN_LOCAL,
            Self::NeedsRecord { .. } => codes::NOT_A_RECORD,
            Self::MissingKey { .. } => codes::MISSING_KEY,
            Self::NeedsArray { .. } => codes::NOT_AN_ARRAY,
            Self::Index { .. } => codes::INDEX_OUT_OF_RANGE,
            Self::IndexType { .. } => codes::BAD_INDEX_TYPE,
            Self::RangeDecreases { .. } => codes::DECREASING_RANGE,
            Self::AssignMeta => codes::ASSIGN_META,
            Self::AssignInvalid(_) => codes::ASSIGN_INVALID,
            Self::AssignIndex => codes::ASSIGN_ARRAY,
            Self::Binary { error, .. } | Self::Unary { error, .. } => match error {
                OpError::Invalid => codes::INVALID_OPERATION,
                OpError::Overflow => codes::INTEGER_OVERFLOW,
                OpError::DivisionByZero => codes::DIVISION_BY_ZERO,
                OpError::ShiftCount => codes::BAD_SHIFT,
            },
            Self::Guard { .. } => codes::GUARD_NOT_BOOL,
            Self::Filter { .. } => codes::CONDITION_NOT_BOOL,
            Self::NeedsBool { .. } => codes::OPERAND_NOT_BOOL,
            Self::NoClause => codes::NO_CLAUSE,
            Self::Fold { .. } => codes::BAD_FOLD,
            Self::KeyExists(_) => codes::KEY_EXISTS,
            Self::NoSuchKey(_) => codes::KEY_MISSING,
            Self::MergeConflict { .. } => codes::MERGE_CONFLICT,
            Self::Recursion { .. }
            | Self::TooDeep
            | Self::TooManySteps
            | Self::TooMuch { .. }
            | Self::GaveUp(_) => codes::RECURSION_LIMIT,
            Self::NotRecord { .. } => codes::NEEDS_RECORD,
            Self::Function(_) => codes::FUNCTION_FAILED,
            Self::Arity(_) => codes::ARITY,
            Self::BytesType { .. } | Self::BytesShort { .. } => codes::BAD_BYTES_VALUE,
        }
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::UnknownLocal(local) => local.message(),
            Self::NeedsRecord { found } => {
                format!("Expected a `record` here to access a key, but found `{found}`")
            }
            Self::MissingKey { origin, key, .. } => {
                format!("Trying to access a non existing {}key `{}`", origin.word(), shown(key))
            }
            Self::NeedsArray { found } => {
                format!("Expected an `array` here to access an index, but found `{found}`")
            }
            Self::Index { from, to, len } => index_message(*from, *to, *len),
            Self::IndexType { expected, found } => {
                format!("Expected `{expected}` as index or key here, but found `{found}`")
            }
            Self::RangeDecreases { from, to } => {
                format!("This range ends before it starts: {to} is less than {from}")
            }
            Self::AssignMeta | Self::AssignInvalid(_) => self.assign_message(),
            Self::AssignIndex => "Members of arrays can not be assigned to".to_owned(),
            Self::Binary { op, error, left, right } => binary_message(*op, *error, left, right),
            Self::Unary { op, error, operand } => unary_message(*op, *error, operand),
            Self::Guard { found } => format!("A guard has to be a `bool`, but this one is `{found}`"),
            Self::Filter { clause, found } => {
                format!("The `{clause}` clause has to be a `bool`, but this one is `{found}`")
            }
            Self::NeedsBool { op, found } => {
                format!("The operator `{op}` needs a `bool` here, but found `{found}`")
            }
            Self::NoClause => "No clause of this `match` matches the value".to_owned(),
            Self::Fold { op, found } => {
                format!("The operator `{op}` can not fold a value into `{found}`")
            }
            Self::KeyExists(key) => format!("The key `{}` exists already", shown(key)),
            Self::NoSuchKey(key) => {
                format!("The key `{}` that should be updated does not exist", shown(key))
            }
            Self::MergeConflict { key: Some(key), found } => {
                let key = shown(key);
                format!("Merging into the key `{key}` needs two records, but found `{found}`")
            }
            Self::MergeConflict { key: None, found } => {
                format!("Merging needs two records, but found `{found}`")
            }
            Self::Recursion { limit: 1 } => "The function called itself more than once".to_owned(),
            Self::Recursion { limit } => format!("The function called itself more than {limit} times"),
            Self::NotRecord { what, found } => {
                format!("The {what} has to be a `record`, but this one is `{found}`")
            }
            Self::Function(call) => function_message(call),
            Self::Arity(call) => arity_message(call),
            Self::BytesType { expected, found } => {
                format!("This part of the bytes needs {expected}, but found `{found}`")
            }
            Self::BytesShort { wanted, have } => {
                let s = if *wanted == 1 { "" } else { "s" };
                format!("This part should take {wanted} byte{s}, but the value has only {have}")
            }
            Self::TooDeep => "This value is nested too deeply".to_owned(),
            Self::TooMuch { limit } => format!(
                "This copies, compares, writes or extracts too much for one event: more than {limit} values with what was done before, \
                 where nested values count one by one and text counts one for every 16 bytes, or for every 64 where it is only looked at"
            ),
            Self::GaveUp(reason) => reason.to_string(),
            Self::TooManySteps => "This takes too many calls or rounds of loops for one event".to_owned(),
        }
    }

    fn assign_message(&self) -> String {
        match self {
            Self::AssignInvalid(what) => {
                format!("You are trying to assign to a value that isn't valid: {what}")
            }
            _ => "You are trying to assign to a value that isn't valid: `$` as a whole".to_owned(),
        }
    }

    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownLocal(local) => local.hint(),
            Self::MissingKey { key, record: Some(record), .. } => {
                nearest(key, record.keys().map(Str::as_str))
            }
            Self::IndexType { found: "float", expected: "integer" } => {
                Some("Convert the float with `math::trunc` or one of its kin".to_owned())
            }
            Self::AssignMeta => Some("Assign to one of its keys, as in `let $key = …`".to_owned()),
            Self::GaveUp(reason) => Some(reason.hint().to_owned()),
            Self::NoClause => Some("A default clause would help: `case _ => null`".to_owned()),
            _ => None,
        }
    }
}

/// The nearest candidate as a question, if it is at most two edits away.
fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest_within(name, candidates, 2).map(|candidate| format!("Did you mean `{}`?", shown(candidate)))
}

fn index_message(from: i128, to: Option<u64>, len: usize) -> String {
    if len == 0 {
        return match to {
            Some(to) => format!("The range {from}:{to} is out of bounds, the array is empty"),
            None => format!("The index {from} is out of bounds, the array is empty"),
        };
    }
    match to {
        Some(to) => format!("The range {from}:{to} is out of bounds, the array ends at {len}"),
        None => format!("The index {from} is out of bounds, valid are 0 to {}", len - 1),
    }
}

fn binary_message(op: BinaryOp, error: OpError, left: &str, right: &str) -> String {
    let op = op.as_str();
    match error {
        OpError::Invalid => format!("The binary operator `{op}` is not defined for `{left}` and `{right}`"),
        OpError::Overflow => format!("The binary operation `{op}` caused an over- or underflow"),
        OpError::DivisionByZero => format!("The binary operation `{op}` divides by zero"),
        OpError::ShiftCount => format!("The binary operation `{op}` can only shift by 0 to 63 bits"),
    }
}

fn unary_message(op: UnaryOp, error: OpError, operand: &str) -> String {
    let op = op.as_str();
    match error {
        OpError::Overflow => format!("The unary operation `{op}` caused an over- or underflow"),
        _ => format!("The unary operator `{op}` is not defined for `{operand}`"),
    }
}

fn function_message(call: &FailedCall) -> String {
    let Native { module, name, arity, .. } = call.native;
    let count = arity.max.unwrap_or(call.count);
    match &call.error {
        FunctionError::BadType => format!("Bad type passed to function {module}::{name}/{count}"),
        FunctionError::Failed(text) => {
            format!("Runtime error in function {module}::{name}/{count}: {}", sentence(text))
        }
    }
}

fn arity_message(call: &FailedCall) -> String {
    let Native { module, name, arity, .. } = call.native;
    let count = call.count;
    let (low, high) = (arity.min, arity.max.unwrap_or(count));
    format!("Bad arity for function {module}::{name}/{low}..={high} but was called with {count} arguments")
}
