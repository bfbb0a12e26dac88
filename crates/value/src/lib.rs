//! The dynamic value of events and scripts, and its JSON form.
//!
//! A [`Value`] is what scripts compute with; a [`Payload`] is what an event carries. Cloning either is
//! cheap: arrays, records, strings and bytes are shared and copied only when written to.

mod compare;
mod content;
mod document;
pub mod json;
pub mod line_protocol;
mod merge;
mod meta;
mod payload;
mod record;
mod shown;
mod step;
mod teardown;
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use bytes::Bytes;
pub use content::Content;
pub use ecow::EcoString as Str;
pub use meta::{AboutMessage, Meta, MetaRef, Under};
pub use payload::Payload;
pub use record::Record;
pub use shown::{Shown, is_steering, sentence, shown};
pub use step::Step;

use std::sync::Arc;

/// Any value of the language (`spec/language-script.md` section 3).
///
/// Integers cover −2^63 … 2^64−1: [`Value::I64`] holds everything that fits it, [`Value::U64`] only what
/// lies above `i64::MAX`. Build integers with `Value::from`, which keeps that rule.
///
/// `==` between values is meant for Rust code and tests; the equalities of the language are
/// [`Value::loose_eq`] and [`Value::strict_eq`]. `Display` gives compact JSON.
///
/// Depth: what [`json::Parser`] gives is nested at most [`json::MAX_DEPTH`] deep. Scripts can nest deeper;
/// comparing, merging, writing, showing and the dropping of records and payloads work at any depth. Only dropping a
/// bare chain of arrays recurses: see [`Value::release`].
#[derive(Clone, Default)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer that fits 64 signed bits.
    I64(i64),
    /// An integer above `i64::MAX`.
    U64(u64),
    /// An IEEE double.
    F64(f64),
    /// UTF-8 text.
    String(Str),
    /// Raw bytes: behind one more pointer, as they are rare and would make all values larger.
    Bytes(Arc<Bytes>),
    /// A list of values.
    Array(Arc<Vec<Value>>),
    /// Named members in insertion order.
    Record(Arc<Record>),
}

impl Value {
    /// An empty record.
    #[must_use]
    pub fn record() -> Self {
        Self::Record(Arc::default())
    }

    /// The value that a JSON document stands for; short form for configuration, literals and tests.
    ///
    /// # Errors
    /// See [`json::JsonError`].
    pub fn from_json_str(document: &str) -> Result<Self, json::JsonError> {
        json::Parser::new().parse(document.as_bytes())
    }

    /// Drops the value without recursing, whatever its depth.
    ///
    /// Needed only for values that may have grown without bound and hold no record on the way down, such as
    /// a state that a script wraps in one more list per event.
    pub fn release(self) {
        teardown::release(self);
    }

    /// `true` for arrays and records.
    #[must_use]
    pub fn is_container(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Record(_))
    }

    /// `true` if arrays and records are nested more than `limit` deep. A scalar has depth 0, `[]` depth 1.
    #[must_use]
    pub fn is_nested_deeper_than(&self, limit: usize) -> bool {
        let mut waiting = vec![(self, 0_usize)];
        while let Some((value, above)) = waiting.pop() {
            if value.is_container() && above == limit {
                return true;
            }
            match value {
                Self::Array(items) => waiting.extend(items.iter().map(|item| (item, above + 1))),
                Self::Record(record) => waiting.extend(record.values().map(|member| (member, above + 1))),
                _ => {}
            }
        }
        false
    }

    /// The word that messages use for this value's type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::I64(_) | Self::U64(_) => "integer",
            Self::F64(_) => "float",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "array",
            Self::Record(_) => "record",
        }
    }

    /// `true` for null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The bool, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, if it is one that fits `i64`.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::I64(value) => Some(*value),
            Self::U64(value) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The integer, if it is one that is not negative.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::I64(value) => u64::try_from(*value).ok(),
            Self::U64(value) => Some(*value),
            _ => None,
        }
    }

    /// The float, if it is one (integers are not).
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::F64(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// The bytes of a string or of a bytes value.
    #[must_use]
    pub fn as_text_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::String(value) => Some(value.as_bytes()),
            Self::Bytes(value) => Some(value),
            _ => None,
        }
    }

    /// The items, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The items for writing, if it is an array; a shared one is copied first.
    pub fn as_array_mut(&mut self) -> Option<&mut Vec<Value>> {
        match self {
            Self::Array(items) => Some(Arc::make_mut(items)),
            _ => None,
        }
    }

    /// The members, if it is a record.
    #[must_use]
    pub fn as_record(&self) -> Option<&Record> {
        match self {
            Self::Record(record) => Some(record),
            _ => None,
        }
    }

    /// The members for writing, if it is a record; a shared one is copied first.
    pub fn as_record_mut(&mut self) -> Option<&mut Record> {
        match self {
            Self::Record(record) => Some(Arc::make_mut(record)),
            _ => None,
        }
    }

    /// Member `key`, if this is a record that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_record()?.get(key)
    }
}

impl std::fmt::Debug for Value {
    /// Compact JSON, except that bytes and floats without a JSON form are marked as what they are.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(formatter),
            Self::F64(float) if !float.is_finite() => float.fmt(formatter),
            _ => formatter.write_str(&json::to_string(self)),
        }
    }
}

impl std::fmt::Display for Value {
    /// Compact JSON, members in insertion order (`spec/stdlib.md` 1.9).
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&json::to_string(self))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::I64(value.into())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::I64(value.into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::U64(value), Self::I64)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::F64(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value.into())
    }
}

impl From<Str> for Value {
    fn from(value: Str) -> Self {
        Self::String(value)
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::Bytes(Arc::new(value))
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::Array(Arc::new(items))
    }
}

impl FromIterator<Value> for Value {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Self {
        Self::Array(Arc::new(items.into_iter().collect()))
    }
}

impl From<Record> for Value {
    fn from(record: Record) -> Self {
        Self::Record(Arc::new(record))
    }
}
