//! The operators, on values (`spec/language-script.md` section 13).
//!
//! Nothing here knows positions: an [`OpError`] says what went wrong, the caller where.

use std::{cmp::Ordering, sync::Arc};
use tremor_syntax::ast::{BinaryOp, UnaryOp};
use tremor_value::{Record, Str, Value};

/// Why an operator gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpError {
    /// The operator is not defined for these types (E-O1).
    Invalid,
    /// The result does not fit an integer (E-O2).
    Overflow,
    /// Division by the integer zero (E-O3).
    DivisionByZero,
    /// A shift by less than 0 or more than 63 bits (E-O4).
    ShiftCount,
}

/// Applies `op` to two values that have both been computed; so `and` and `or` look at both here.
///
/// # Errors
/// [`OpError`], never for `==` and `!=`.
pub fn binary(op: BinaryOp, left: &Value, right: &Value) -> Result<Value, OpError> {
    match op {
        BinaryOp::Or => logic(left, right, |l, r| l | r),
        BinaryOp::Xor => logic(left, right, |l, r| l ^ r),
        BinaryOp::And => logic(left, right, |l, r| l & r),
        BinaryOp::Eq => Ok(Value::Bool(left.loose_eq(right))),
        BinaryOp::NotEq => Ok(Value::Bool(!left.loose_eq(right))),
        BinaryOp::Lt => ordered(left, right, |order| order == Ordering::Less),
        BinaryOp::Lte => ordered(left, right, |order| order != Ordering::Greater),
        BinaryOp::Gt => ordered(left, right, |order| order == Ordering::Greater),
        BinaryOp::Gte => ordered(left, right, |order| order != Ordering::Less),
        BinaryOp::BitXor | BinaryOp::BitAnd => bits(op, left, right),
        BinaryOp::Shl | BinaryOp::Shr | BinaryOp::ShrUnsigned => shift(op, left, right),
        BinaryOp::Add => add(left, right),
        BinaryOp::Sub => arithmetic(left, right, i128::checked_sub, |l, r| l - r),
        BinaryOp::Mul => arithmetic(left, right, i128::checked_mul, |l, r| l * r),
        BinaryOp::Div => divide(left, right),
        BinaryOp::Mod => remainder(left, right),
    }
}

/// Applies `op`.
///
/// # Errors
/// [`OpError`]
pub fn unary(op: UnaryOp, operand: &Value) -> Result<Value, OpError> {
    match (op, operand) {
        (UnaryOp::Plus, Value::I64(_) | Value::U64(_) | Value::F64(_)) => Ok(operand.clone()),
        (UnaryOp::Minus, Value::F64(float)) => Ok(Value::F64(-float)),
        (UnaryOp::Minus, Value::I64(_) | Value::U64(_)) => {
            let negated = integer(operand).map(|n| -n).ok_or(OpError::Invalid)?;
            from_i128(negated).ok_or(OpError::Overflow)
        }
        (UnaryOp::Not | UnaryOp::BitNot, Value::Bool(bool)) => Ok(Value::Bool(!bool)),
        (UnaryOp::BitNot, Value::I64(_) | Value::U64(_)) => {
            pattern(operand).map(|bits| Value::from(!bits)).ok_or(OpError::Invalid)
        }
        _ => Err(OpError::Invalid),
    }
}

/// Comparing with NaN is legal and always false.
fn ordered(left: &Value, right: &Value, holds: fn(Ordering) -> bool) -> Result<Value, OpError> {
    match left.partial_order(right) {
        Some(order) => Ok(Value::Bool(holds(order))),
        None if left.is_orderable_with(right) => Ok(Value::Bool(false)),
        None => Err(OpError::Invalid),
    }
}

fn logic(left: &Value, right: &Value, apply: fn(bool, bool) -> bool) -> Result<Value, OpError> {
    match (left, right) {
        (Value::Bool(l), Value::Bool(r)) => Ok(Value::Bool(apply(*l, *r))),
        _ => Err(OpError::Invalid),
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::I64(n) => Some((*n).into()),
        Value::U64(n) => Some((*n).into()),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "the language widens integers to doubles")]
fn float(value: &Value) -> Option<f64> {
    match value {
        Value::I64(n) => Some(*n as f64),
        Value::U64(n) => Some(*n as f64),
        Value::F64(n) => Some(*n),
        _ => None,
    }
}

fn from_i128(number: i128) -> Option<Value> {
    i64::try_from(number).map(Value::I64).ok().or_else(|| u64::try_from(number).map(Value::from).ok())
}

fn pattern(value: &Value) -> Option<u64> {
    match value {
        Value::I64(n) => Some(n.cast_unsigned()),
        Value::U64(n) => Some(*n),
        _ => None,
    }
}

fn is_negative(value: &Value) -> bool {
    matches!(value, Value::I64(n) if *n < 0)
}

/// A bit pattern as the number it stands for: signed if one of the operands was.
fn from_pattern(bits: u64, signed: bool) -> Value {
    if signed { Value::I64(bits.cast_signed()) } else { Value::from(bits) }
}

fn add(left: &Value, right: &Value) -> Result<Value, OpError> {
    match (left, right) {
        (Value::String(l), Value::String(r)) => {
            check_length(l.len(), r.len(), LONGEST_TEXT)?;
            let mut text = Str::with_capacity(l.len() + r.len());
            text.push_str(l);
            text.push_str(r);
            Ok(Value::String(text))
        }
        (Value::Array(l), Value::Array(r)) => {
            check_length(l.len(), r.len(), LONGEST_ARRAY)?;
            Ok(Value::Array(concatenate(l, r)))
        }
        (Value::Record(l), Value::Record(r)) => Ok(Value::Record(union(l, r))),
        _ => arithmetic(left, right, i128::checked_add, |l, r| l + r),
    }
}

/// Bytes of a text beyond which it does not grow: a loop could double it without end.
pub(crate) const LONGEST_TEXT: usize = 64 * 1024 * 1024;

/// The same for items of an array.
pub(crate) const LONGEST_ARRAY: usize = 2 * 1024 * 1024;

/// Refuses what would become too long.
pub(crate) fn check_length(left: usize, right: usize, longest: usize) -> Result<(), OpError> {
    if left.saturating_add(right) > longest { Err(OpError::Overflow) } else { Ok(()) }
}

fn concatenate(left: &Arc<Vec<Value>>, right: &Arc<Vec<Value>>) -> Arc<Vec<Value>> {
    if left.is_empty() {
        return Arc::clone(right);
    }
    let mut items = Vec::with_capacity(left.len() + right.len());
    items.extend_from_slice(left);
    items.extend_from_slice(right);
    Arc::new(items)
}

fn union(left: &Arc<Record>, right: &Arc<Record>) -> Arc<Record> {
    let mut union = Arc::clone(left);
    if !right.is_empty() {
        let members = Arc::make_mut(&mut union);
        for (key, value) in right.iter() {
            members.insert(key.clone(), value.clone());
        }
    }
    union
}

fn arithmetic(
    left: &Value,
    right: &Value,
    integers: fn(i128, i128) -> Option<i128>,
    floats: fn(f64, f64) -> f64,
) -> Result<Value, OpError> {
    if let (Value::F64(l), Value::F64(r)) = (left, right) {
        return Ok(Value::F64(floats(*l, *r)));
    }
    if let (Some(l), Some(r)) = (integer(left), integer(right)) {
        let negative = l < 0 || r < 0;
        let fit_signed = i64::try_from(l).is_ok() && i64::try_from(r).is_ok();
        if !negative || fit_signed {
            let result = integers(l, r).ok_or(OpError::Overflow)?;
            let value = from_i128(result).ok_or(OpError::Overflow)?;
            // With a negative operand the computation is signed, so the large unsigned results do not count.
            return if negative && matches!(value, Value::U64(_)) {
                Err(OpError::Overflow)
            } else {
                Ok(value)
            };
        }
    }
    match (float(left), float(right)) {
        (Some(l), Some(r)) => Ok(Value::F64(floats(l, r))),
        _ => Err(OpError::Invalid),
    }
}

fn divide(left: &Value, right: &Value) -> Result<Value, OpError> {
    let (Some(dividend), Some(divisor)) = (float(left), float(right)) else { return Err(OpError::Invalid) };
    if integer(left).is_some() && integer(right) == Some(0) {
        return Err(OpError::DivisionByZero);
    }
    Ok(Value::F64(dividend / divisor))
}

fn remainder(left: &Value, right: &Value) -> Result<Value, OpError> {
    let (Some(dividend), Some(divisor)) = (integer(left), integer(right)) else {
        return Err(OpError::Invalid);
    };
    let rest = dividend.checked_rem(divisor).ok_or(OpError::DivisionByZero)?;
    from_i128(rest).ok_or(OpError::Overflow)
}

fn bits(op: BinaryOp, left: &Value, right: &Value) -> Result<Value, OpError> {
    let and = op == BinaryOp::BitAnd;
    if let (Value::Bool(l), Value::Bool(r)) = (left, right) {
        return Ok(Value::Bool(if and { *l & *r } else { l ^ r }));
    }
    let (Some(l), Some(r)) = (pattern(left), pattern(right)) else { return Err(OpError::Invalid) };
    let result = if and { l & r } else { l ^ r };
    Ok(from_pattern(result, is_negative(left) || is_negative(right)))
}

fn shift(op: BinaryOp, left: &Value, right: &Value) -> Result<Value, OpError> {
    let (Some(bits), Some(count)) = (pattern(left), integer(right)) else { return Err(OpError::Invalid) };
    let count = u32::try_from(count).ok().filter(|count| *count < 64).ok_or(OpError::ShiftCount)?;
    Ok(match (op, left) {
        (BinaryOp::Shl, _) => from_pattern(bits << count, is_negative(left)),
        (BinaryOp::Shr, Value::I64(n)) => Value::I64(n >> count),
        _ => Value::from(bits >> count),
    })
}
