//! What an event carries.

use std::borrow::Cow;

use crate::{Str, Value, json, teardown};

/// The payload of an event.
///
/// Today a parsed tree. It is a type of its own so that a payload can stay in its parsed-but-unbuilt form
/// until somebody reads it, without any reader knowing. Dropping one never overflows the stack, however deep
/// its value is nested.
///
/// [`Payload::value`] and its like need the whole tree. The methods that name a member need that member alone.
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

    /// `true` if the tree is there already, so that [`Payload::value`] costs nothing.
    #[must_use]
    pub fn is_built(&self) -> bool {
        true
    }

    /// `true` for a record. Never builds anything.
    #[must_use]
    pub fn is_record(&self) -> bool {
        matches!(self.value, Value::Record(_))
    }

    /// Member `key`, if this is a record that has it. Builds at most that member, and each time anew.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Cow<'_, Value>> {
        self.value.get(key).map(Cow::Borrowed)
    }

    /// What stands at the end of a path of keys; `None` if a key is missing or a value on the way is no record.
    /// Builds at most what it gives. The empty path gives the whole value.
    #[must_use]
    pub fn get_path<'k>(&self, path: impl IntoIterator<Item = &'k str>) -> Option<Cow<'_, Value>> {
        path.into_iter().try_fold(&self.value, |value, key| value.get(key)).map(Cow::Borrowed)
    }

    /// `true` if [`Payload::get_path`] would give something. Never builds anything.
    #[must_use]
    pub fn contains_path<'k>(&self, path: impl IntoIterator<Item = &'k str>) -> bool {
        self.get_path(path).is_some()
    }

    /// Member `key` for writing, if this is a record that has it. Builds that member alone.
    pub fn member_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.value.as_record_mut()?.get_mut(key)
    }

    /// Member `key` for writing; made as null, in the last place, if it is not there. `None` if this is no record.
    pub fn member_or_null(&mut self, key: &str) -> Option<&mut Value> {
        Some(self.value.as_record_mut()?.get_or_insert_null(key))
    }

    /// Sets member `key`: a new one goes last, a known one keeps its place and is not built. `false`, and nothing
    /// is changed, if this is no record.
    pub fn insert(&mut self, key: impl Into<Str>, value: impl Into<Value>) -> bool {
        let Some(record) = self.value.as_record_mut() else { return false };
        record.insert(key, value);
        true
    }

    /// Removes member `key`, which is not built; the others keep their order. `false` if there was none.
    pub fn remove(&mut self, key: &str) -> bool {
        self.value.as_record_mut().is_some_and(|record| record.remove(key).is_some())
    }

    /// Appends the payload as [`json::write()`] writes its value. Builds nothing.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        json::write(&self.value, out);
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
