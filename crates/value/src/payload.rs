//! What an event carries.

use crate::{Value, teardown};

/// The payload of an event.
///
/// Today a parsed tree. It is a type of its own so that a payload can stay in its parsed-but-unbuilt form
/// until somebody reads it, without any reader knowing. Dropping one never overflows the stack, however deep
/// its value is nested.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payload {
    value: Value,
}

impl Payload {
    /// The payload as a value.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The payload as a value that may be changed.
    pub fn value_mut(&mut self) -> &mut Value {
        &mut self.value
    }

    /// Gives up the payload for its value.
    #[must_use]
    pub fn into_value(mut self) -> Value {
        std::mem::take(&mut self.value)
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self { value }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        // A record takes care of itself.
        if matches!(self.value, Value::Array(_)) {
            teardown::release(std::mem::take(&mut self.value));
        }
    }
}
