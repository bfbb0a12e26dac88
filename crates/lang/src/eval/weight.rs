//! What keeps one event from costing time or memory without bound.
//!
//! Copying a value is cheap, since its parts are shared; so a few `let x = [x, x]` make a value that is small in memory
//! and endless when it is written, compared or measured. The rule: whatever puts a value that exists elsewhere into
//! another one, compares it or writes it as text pays for all its parts from what one event may take
//! ([`Context::pay`]). A value that was just made and is only moved costs nothing.

use super::Operand;
use crate::error::{ErrorKind, RuntimeError};
use crate::function::Context;
use std::sync::Arc;
use tremor_syntax::ast::BinaryOp;
use tremor_value::Value;

/// How deep values that a script builds may be nested.
pub(crate) const VALUE_DEPTH: usize = 1024;

/// Bytes of text that cost as much as one value.
pub(crate) const TEXT_SHARE: usize = 16;

/// Pays for all parts of `value`.
///
/// # Errors
/// An error without position when the event has taken too much, or the value is nested too deeply.
pub(super) fn pay(value: &Value, context: &Context<'_>) -> Result<(), RuntimeError> {
    pay_value(value, context).map_err(RuntimeError::unplaced)
}

/// As [`pay`], with the reason alone as the error.
pub(crate) fn pay_value(value: &Value, context: &Context<'_>) -> Result<(), ErrorKind> {
    walk(value, context, 0)
}

fn walk(value: &Value, context: &Context<'_>, depth: usize) -> Result<(), ErrorKind> {
    if depth > VALUE_DEPTH {
        return Err(ErrorKind::TooDeep);
    }
    let own = match value {
        Value::String(text) => text.len() / TEXT_SHARE,
        Value::Bytes(bytes) => bytes.len() / TEXT_SHARE,
        _ => 0,
    };
    if !context.pay(own + 1) {
        return Err(context.too_much());
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| walk(item, context, depth + 1)),
        Value::Record(record) => record.values().try_for_each(|member| walk(member, context, depth + 1)),
        _ => Ok(()),
    }
}

/// Pays for `bytes` of text that were made.
pub(super) fn pay_text(bytes: usize, context: &Context<'_>) -> Result<(), RuntimeError> {
    if context.pay(bytes / TEXT_SHARE) { Ok(()) } else { Err(RuntimeError::unplaced(context.too_much())) }
}

/// Pays for all parts of a value that will be changed, if they have to be copied for that.
pub(super) fn pay_if_shared(value: &Value, context: &Context<'_>) -> Result<(), RuntimeError> {
    if is_shared(value) { pay(value, context) } else { Ok(()) }
}

/// Pays for what a new array or record took from another one: in full for its nested parts, and for the members
/// themselves, which are only counted again, as for bytes of text.
pub(super) fn pay_parts(value: &Value, context: &Context<'_>) -> Result<(), RuntimeError> {
    let part = |part: &Value| if part.is_container() { pay(part, context) } else { Ok(()) };
    match value {
        Value::Array(items) => {
            pay_text(items.len(), context)?;
            items.iter().try_for_each(part)
        }
        Value::Record(record) => {
            pay_text(record.len(), context)?;
            record.values().try_for_each(part)
        }
        Value::String(text) => pay_text(text.len(), context),
        _ => Ok(()),
    }
}

/// The value, to be put into another one.
pub(super) fn embed(operand: Operand<'_>, context: &Context<'_>) -> Result<Value, RuntimeError> {
    match operand {
        Operand::Ref(value) => {
            if value.is_container() {
                pay(value, context)?;
            }
            Ok(value.clone())
        }
        Operand::Owned(value) => embed_value(value, context),
    }
}

/// As [`embed`], for a value that may be the only one of its kind.
pub(super) fn embed_value(value: Value, context: &Context<'_>) -> Result<Value, RuntimeError> {
    pay_if_shared(&value, context)?;
    Ok(value)
}

/// Somebody else holds the value as well, so changing it means copying it.
pub(super) fn is_shared(value: &Value) -> bool {
    match value {
        Value::Array(items) => Arc::strong_count(items) > 1,
        Value::Record(record) => Arc::strong_count(record) > 1,
        _ => false,
    }
}

/// Pays for what a binary operator looks at or takes over.
pub(super) fn pay_operation(
    op: BinaryOp,
    left: &Operand<'_>,
    right: &Value,
    context: &Context<'_>,
) -> Result<(), RuntimeError> {
    match op {
        BinaryOp::Eq | BinaryOp::NotEq => pay_comparison(left, right, context),
        BinaryOp::Add if left.is_container() || left.as_str().is_some() => {
            // The left side may be the result so far of a chain, which is not copied again.
            if matches!(left, Operand::Ref(_)) || is_shared(left) {
                pay_parts(left, context)?;
            }
            pay_parts(right, context)
        }
        _ => Ok(()),
    }
}

/// Pays for a comparison, as far as it has to look at parts.
pub(super) fn pay_comparison(left: &Value, right: &Value, context: &Context<'_>) -> Result<(), RuntimeError> {
    match (left, right) {
        (Value::Array(l), Value::Array(r)) if l.len() == r.len() => pay(left, context),
        (Value::Record(l), Value::Record(r)) if l.len() == r.len() => pay(left, context),
        _ => Ok(()),
    }
}
