//! Equality and order (`spec/language-script.md` 13.4, `spec/stdlib.md` 1.7 and 1.8).
//!
//! Nothing here recurses: values of any depth can be compared.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::{Record, Value};

/// Two doubles closer than this are equal to the language.
const EPSILON: f64 = f64::EPSILON; // 2^-52

/// Representable doubles that two floats may be apart and still be strictly equal.
const STRICT_ULPS: u64 = 4;

/// Which values count as equal.
#[derive(Clone, Copy)]
enum Equality {
    /// The operator `==`.
    Loose,
    /// What `array::contains` uses.
    Strict,
    /// The same value, for Rust code and its tests.
    Exact,
}

impl Value {
    /// Equality as `==` has it: numbers compare by value across integers and floats, and are equal when they
    /// differ by less than 2^-52 if one of them is a float; a string equals the bytes it is made of; arrays
    /// and records compare deeply, the order of members being irrelevant. NaN equals nothing.
    #[must_use]
    pub fn loose_eq(&self, other: &Self) -> bool {
        equal(self, other, Equality::Loose)
    }

    /// Like [`Value::loose_eq`], but an integer never equals a float, a string never equals bytes, and two
    /// floats may also differ by a few representable values.
    #[must_use]
    pub fn strict_eq(&self, other: &Self) -> bool {
        equal(self, other, Equality::Strict)
    }

    /// Order as `<`, `<=`, `>` and `>=` have it: two numbers, or two of string and bytes (bytewise). `None`
    /// for everything else, and for NaN; [`Value::is_orderable_with`] tells the two apart.
    #[must_use]
    pub fn partial_order(&self, other: &Self) -> Option<Ordering> {
        match (as_integer(self), as_integer(other)) {
            (Some(left), Some(right)) => return Some(left.cmp(&right)),
            (None, None) => {
                if let (Some(left), Some(right)) = (self.as_text_bytes(), other.as_text_bytes()) {
                    return Some(left.cmp(right));
                }
            }
            _ => {}
        }
        as_double(self)?.partial_cmp(&as_double(other)?)
    }

    /// `true` if `<` and its like accept these two operands.
    #[must_use]
    pub fn is_orderable_with(&self, other: &Self) -> bool {
        self.is_number() && other.is_number()
            || self.as_text_bytes().is_some() && other.as_text_bytes().is_some()
    }

    /// The order that `array::sort` uses, over all values. From the smallest: records, arrays, strings and
    /// bytes, numbers, bools, null.
    ///
    /// An integer and a float compare with the float cut to an integer, and NaN ties with every number. The
    /// relation is therefore not transitive for mixed numbers, so sorts must tolerate that.
    #[must_use]
    pub fn total_cmp(&self, other: &Self) -> Ordering {
        let mut waiting = Vec::new();
        let mut result = step_cmp(self, other, &mut waiting);
        while result == Ordering::Equal {
            result = match waiting.pop() {
                None => return Ordering::Equal,
                Some(Pending::Values(left, right)) => step_cmp(left, right, &mut waiting),
                Some(Pending::Known(known)) => known,
            };
        }
        result
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::I64(_) | Self::U64(_) | Self::F64(_))
    }
}

/// The same value: kinds must match, integers compare across signedness, records regardless of order, and NaN
/// equals NaN. For Rust code and tests; the language uses [`Value::loose_eq`].
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        equal(self, other, Equality::Exact)
    }
}

impl Eq for Value {}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        let mut waiting = Vec::new();
        members_equal(self, other, &mut waiting) && all_equal(waiting, Equality::Exact)
    }
}

impl Eq for Record {}

fn equal(left: &Value, right: &Value, equality: Equality) -> bool {
    let mut waiting = Vec::new();
    step_equal(left, right, equality, &mut waiting) && all_equal(waiting, equality)
}

fn all_equal<'a>(mut waiting: Vec<(&'a Value, &'a Value)>, equality: Equality) -> bool {
    while let Some((left, right)) = waiting.pop() {
        if !step_equal(left, right, equality, &mut waiting) {
            return false;
        }
    }
    true
}

/// Compares everything but nested values, which it adds to `waiting`.
fn step_equal<'a>(
    left: &'a Value,
    right: &'a Value,
    equality: Equality,
    waiting: &mut Vec<(&'a Value, &'a Value)>,
) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::String(left), Value::String(right)) => left == right,
        (Value::Bytes(left), Value::Bytes(right)) => left == right,
        (Value::F64(left), Value::F64(right)) => floats_equal(*left, *right, equality),
        (Value::I64(_) | Value::U64(_), Value::I64(_) | Value::U64(_)) => {
            as_integer(left) == as_integer(right)
        }
        (Value::Array(left), Value::Array(right)) => {
            if same_object(left, right, equality) {
                return true;
            }
            waiting.extend(left.iter().zip(right.iter()));
            left.len() == right.len()
        }
        (Value::Record(left), Value::Record(right)) => {
            same_object(left, right, equality) || members_equal(left, right, waiting)
        }
        (Value::String(text), Value::Bytes(bytes)) | (Value::Bytes(bytes), Value::String(text)) => {
            matches!(equality, Equality::Loose) && text.as_bytes() == bytes.as_ref()
        }
        (Value::F64(_), Value::I64(_) | Value::U64(_)) | (Value::I64(_) | Value::U64(_), Value::F64(_)) => {
            let doubles = as_double(left).zip(as_double(right));
            matches!(equality, Equality::Loose)
                && doubles.is_some_and(|(left, right)| floats_equal(left, right, equality))
        }
        _ => false,
    }
}

/// `true` if both are one shared object that needs no look inside: only where NaN equals NaN.
fn same_object<T>(left: &Arc<T>, right: &Arc<T>, equality: Equality) -> bool {
    matches!(equality, Equality::Exact) && Arc::ptr_eq(left, right)
}

fn members_equal<'a>(left: &'a Record, right: &'a Record, waiting: &mut Vec<(&'a Value, &'a Value)>) -> bool {
    left.len() == right.len()
        && left.members().iter().all(|(key, value)| match right.get(key) {
            Some(other) => {
                waiting.push((value, other));
                true
            }
            None => false,
        })
}

#[expect(clippy::float_cmp, reason = "equal infinities have no difference to measure")]
fn floats_equal(left: f64, right: f64, equality: Equality) -> bool {
    match equality {
        Equality::Loose => left == right || (left - right).abs() < EPSILON,
        Equality::Strict => {
            left == right
                || (left - right).abs() < EPSILON
                || (left.is_finite()
                    && right.is_finite()
                    && left.is_sign_negative() == right.is_sign_negative()
                    && left.to_bits().abs_diff(right.to_bits()) <= STRICT_ULPS)
        }
        Equality::Exact => left == right || (left.is_nan() && right.is_nan()),
    }
}

/// What is still to be compared, the next on top.
enum Pending<'a> {
    Values(&'a Value, &'a Value),
    Known(Ordering),
}

/// Compares everything but nested values, which it adds to `waiting`.
fn step_cmp<'a>(left: &'a Value, right: &'a Value, waiting: &mut Vec<Pending<'a>>) -> Ordering {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => {
            waiting.push(Pending::Known(left.len().cmp(&right.len())));
            waiting.extend(left.iter().zip(right.iter()).rev().map(|(l, r)| Pending::Values(l, r)));
            Ordering::Equal
        }
        (Value::Record(left), Value::Record(right)) => {
            let by_count = left.len().cmp(&right.len());
            if by_count != Ordering::Equal {
                return by_count;
            }
            let (left, right) = (left.sorted(), right.sorted());
            let by_keys = left.iter().map(|(key, _)| key).cmp(right.iter().map(|(key, _)| key));
            let values = left.iter().zip(right.iter()).rev();
            waiting.extend(values.map(|((_, l), (_, r))| Pending::Values(l, r)));
            by_keys
        }
        _ => match rank(left).cmp(&rank(right)) {
            Ordering::Equal => match (left.as_text_bytes(), right.as_text_bytes()) {
                (Some(left), Some(right)) => left.cmp(right),
                _ => numbers_cmp(left, right),
            },
            by_rank => by_rank,
        },
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Record(_) => 0,
        Value::Array(_) => 1,
        Value::String(_) | Value::Bytes(_) => 2,
        Value::I64(_) | Value::U64(_) | Value::F64(_) => 3,
        Value::Bool(_) => 4,
        Value::Null => 5,
    }
}

fn numbers_cmp(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::F64(left), Value::F64(right)) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
        (Value::F64(float), _) | (_, Value::F64(float)) if float.is_nan() => Ordering::Equal,
        _ => truncated(left).cmp(&truncated(right)),
    }
}

fn truncated(value: &Value) -> i128 {
    match value {
        #[expect(clippy::cast_possible_truncation, reason = "cutting off the fraction is what is wanted")]
        Value::F64(float) => *float as i128,
        _ => as_integer(value).unwrap_or_default(),
    }
}

fn as_integer(value: &Value) -> Option<i128> {
    match value {
        Value::I64(value) => Some(i128::from(*value)),
        Value::U64(value) => Some(i128::from(*value)),
        _ => None,
    }
}

fn as_double(value: &Value) -> Option<f64> {
    match value {
        Value::I64(value) => Some(*value as f64),
        Value::U64(value) => Some(*value as f64),
        Value::F64(value) => Some(*value),
        _ => None,
    }
}
