//! The interpreter.
//!
//! Two halves: *expressions* ([`expr`]) only read, borrow from the event and bind variables on the stack;
//! *statements* ([`stmt`]) run on a [`Frame`] that they may change. The depth of both is bounded when a program is
//! lowered (`crate::lower::DEPTH`), so nothing here counts levels.

mod bytes;
mod change;
mod expr;
mod fold;
mod path;
mod pattern;
mod place;
mod record;
mod settle;
mod stmt;
mod weight;

pub(crate) use expr::{eval, is_true};
pub(crate) use stmt::{Flow, Frame, Locals, run_block, run_script};
pub(crate) use weight::{TEXT_SHARE, VALUE_DEPTH, pay_value};

use crate::function::Context;
use std::{borrow::Cow, ops::Deref};
use tremor_value::{Meta, Payload, Value};

pub(crate) static NULL: Value = Value::Null;

/// A value that is borrowed where possible.
#[derive(Clone, Debug)]
pub enum Operand<'e> {
    /// Lives in the event, a local, an argument or the program.
    Ref(&'e Value),
    /// Was computed.
    Owned(Value),
}

impl Operand<'_> {
    /// The value itself; a borrowed one is cloned, which is cheap.
    #[must_use]
    pub fn into_value(self) -> Value {
        match self {
            Self::Ref(value) => value.clone(),
            Self::Owned(value) => value,
        }
    }
}

impl Deref for Operand<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        match self {
            Self::Ref(value) => value,
            Self::Owned(value) => value,
        }
    }
}

impl From<Value> for Operand<'_> {
    fn from(value: Value) -> Self {
        Self::Owned(value)
    }
}

impl<'e> From<Cow<'e, Value>> for Operand<'e> {
    fn from(value: Cow<'e, Value>) -> Self {
        match value {
            Cow::Borrowed(value) => Self::Ref(value),
            Cow::Owned(value) => Self::Owned(value),
        }
    }
}

/// All that an expression may read.
#[derive(Clone, Copy)]
pub(crate) struct Env<'e> {
    pub(crate) event: &'e Payload,
    pub(crate) meta: &'e Meta,
    pub(crate) state: &'e Value,
    pub(crate) args: &'e Value,
    pub(crate) group: &'e Value,
    pub(crate) window: &'e Value,
    pub(crate) locals: &'e [Option<Value>],
    pub(crate) bound: Option<&'e Bound<'e>>,
    pub(crate) context: &'e Context<'e>,
}

/// A variable of a pure clause; the innermost comes first.
pub(crate) struct Bound<'e> {
    pub(crate) value: Operand<'e>,
    pub(crate) outer: Option<&'e Bound<'e>>,
}
