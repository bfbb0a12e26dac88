//! What is encoded: a payload or a value.

use crate::{Bytes, Payload, Value, json};

/// What an encoder is given: the payload of an event, which need not be built, or a value that is part of one.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// The payload of an event.
    Payload(&'a Payload),
    /// A value, such as a member of a batch event.
    Value(&'a Value),
}

impl<'a> Content<'a> {
    /// The value; a payload builds its tree for it.
    #[must_use]
    pub fn value(self) -> &'a Value {
        match self {
            Self::Payload(payload) => payload.value(),
            Self::Value(value) => value,
        }
    }

    /// Appends what [`json::write()`] gives for the value. Builds nothing.
    pub fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Self::Payload(payload) => payload.write_json(out),
            Self::Value(value) => json::write(value, out),
        }
    }

    /// Bytes that are in memory as they are: those of a bytes value, or what [`Content::write_json`] appends for a document
    /// that nobody changed. They can be shared instead of copied.
    #[must_use]
    #[inline]
    pub fn held(self) -> Option<&'a Bytes> {
        let value = match self {
            Self::Payload(payload) => match payload.json_text() {
                Some(text) => return Some(text),
                None => payload.as_value()?,
            },
            Self::Value(value) => value,
        };
        match value {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Appends what [`json::write_sorted`] gives for the value. Builds nothing.
    pub fn write_sorted_json(self, out: &mut Vec<u8>) {
        match self {
            Self::Payload(payload) => payload.write_sorted_json(out),
            Self::Value(value) => json::write_sorted(value, out),
        }
    }

    /// The value if it is no document: that is always the case if it is neither array nor record. Builds nothing.
    #[must_use]
    pub fn as_value(self) -> Option<&'a Value> {
        match self {
            Self::Payload(payload) => payload.as_value(),
            Self::Value(value) => Some(value),
        }
    }
}

impl<'a> From<&'a Payload> for Content<'a> {
    fn from(payload: &'a Payload) -> Self {
        Self::Payload(payload)
    }
}

impl<'a> From<&'a Value> for Content<'a> {
    fn from(value: &'a Value) -> Self {
        Self::Value(value)
    }
}
