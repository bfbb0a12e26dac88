//! What an event carries.

use std::borrow::Cow;
use std::sync::Arc;

use crate::document::Document;
use crate::{Bytes, Step, Str, Value, json, teardown};

/// The payload of an event.
///
/// It is either a tree, or a JSON document that was checked and not built. Which of the two can only be seen by what
/// things cost: [`Payload::value`] and its like need the whole tree and build it; the methods that name a member
/// need that member alone; a document that nobody changed is written by copying it.
///
/// A document keeps the buffer alive that it was read from. What is meant to be kept, rather than passed on, is
/// taken as a value.
///
/// Cloning shares. Dropping never overflows the stack, however deep the value is nested.
#[derive(Clone)]
pub struct Payload {
    form: Form,
}

#[derive(Clone)]
enum Form {
    Tree(Value),
    Document(Arc<Document>),
}

impl Payload {
    /// The payload as a value. That of a document is built once, and kept.
    #[must_use]
    pub fn value(&self) -> &Value {
        match &self.form {
            Form::Tree(value) => value,
            Form::Document(document) => document.tree(),
        }
    }

    /// The payload as a value that may be changed.
    pub fn value_mut(&mut self) -> &mut Value {
        self.tree()
    }

    /// Gives up the payload for its value.
    #[must_use]
    pub fn into_value(mut self) -> Value {
        match std::mem::replace(&mut self.form, Form::Tree(Value::Null)) {
            Form::Tree(value) => value,
            Form::Document(document) => match Arc::try_unwrap(document) {
                Ok(document) => document.into_tree(),
                Err(shared) => shared.tree().clone(),
            },
        }
    }

    /// `true` if the tree is there already, so that [`Payload::value`] costs nothing.
    #[must_use]
    pub fn is_built(&self) -> bool {
        match &self.form {
            Form::Tree(_) => true,
            Form::Document(document) => document.is_built(),
        }
    }

    /// The payload as a value if it is no document: that is always the case if it is neither array nor record. Never builds
    /// anything.
    #[must_use]
    pub fn as_value(&self) -> Option<&Value> {
        match &self.form {
            Form::Tree(value) => Some(value),
            Form::Document(_) => None,
        }
    }

    /// `true` for a record. Never builds anything.
    #[must_use]
    pub fn is_record(&self) -> bool {
        match &self.form {
            Form::Tree(value) => matches!(value, Value::Record(_)),
            Form::Document(document) => document.is_record(),
        }
    }

    /// Member `key`, if this is a record that has it. As [`Payload::get_path`].
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Cow<'_, Value>> {
        match &self.form {
            Form::Tree(value) => value.get(key).map(Cow::Borrowed),
            Form::Document(document) => document.get_path(Step::Key(key), std::iter::empty()),
        }
    }

    /// What stands at the end of a path of keys and indexes; `None` if something on the way is missing.
    /// Builds what it gives, and each time anew; the whole only after several questions to an array, or to a record of
    /// very many members. The empty path gives the whole value.
    #[must_use]
    pub fn get_path<'k, S: Into<Step<'k>>>(
        &self,
        path: impl IntoIterator<Item = S>,
    ) -> Option<Cow<'_, Value>> {
        let mut path = path.into_iter().map(Into::into);
        match &self.form {
            Form::Tree(value) => path.try_fold(value, |value, step| step.find_in(value)).map(Cow::Borrowed),
            Form::Document(document) => match path.next() {
                Some(first) => document.get_path(first, path),
                None => Some(Cow::Borrowed(document.tree())),
            },
        }
    }

    /// `true` if [`Payload::get_path`] would give something. Builds nothing; the whole only when that does.
    #[must_use]
    pub fn contains_path<'k, S: Into<Step<'k>>>(&self, path: impl IntoIterator<Item = S>) -> bool {
        let mut path = path.into_iter().map(Into::into);
        match &self.form {
            Form::Tree(value) => path.try_fold(value, |value, step| step.find_in(value)).is_some(),
            Form::Document(document) => path.next().is_none_or(|first| document.contains_path(first, path)),
        }
    }

    /// Member `key` for writing, if this is a record that has it. Builds that member alone.
    pub fn member_mut(&mut self, key: &str) -> Option<&mut Value> {
        match self.changeable() {
            Changeable::Tree(value) => value.as_record_mut()?.get_mut(key),
            Changeable::Document(document) => document.member_mut(key),
        }
    }

    /// Member `key` for writing; made as null, in the last place, if it is not there. `None` if this is no record.
    pub fn member_or_null(&mut self, key: &str) -> Option<&mut Value> {
        match self.changeable() {
            Changeable::Tree(value) => Some(value.as_record_mut()?.get_or_insert_null(key)),
            Changeable::Document(document) => document.member_or_null(key),
        }
    }

    /// Sets member `key`: a new one goes last, a known one keeps its place and is not built. `false`, and nothing
    /// is changed, if this is no record.
    pub fn insert(&mut self, key: impl Into<Str>, value: impl Into<Value>) -> bool {
        match self.changeable() {
            Changeable::Tree(Value::Record(record)) => {
                Arc::make_mut(record).insert(key, value);
                true
            }
            Changeable::Tree(_) => false,
            Changeable::Document(document) => document.insert(key.into(), value.into()).is_some(),
        }
    }

    /// Sets the nested member that the keys `first` and then `rest` lead to; missing records on the way are made. Builds
    /// nothing. `false`, and nothing is changed, if that is not possible or not worth it: take
    /// [`Payload::member_mut`] then, which always works. Only for scalars, and only while the payload is not built.
    pub fn insert_nested<'k>(
        &mut self,
        first: &str,
        rest: impl Iterator<Item = &'k str> + Clone,
        value: &Value,
    ) -> bool {
        match self.changeable() {
            Changeable::Tree(_) => false,
            Changeable::Document(document) => document.insert_nested(first, rest, value),
        }
    }

    /// Removes member `key`, which is not built; the others keep their order. `false` if there was none.
    pub fn remove(&mut self, key: &str) -> bool {
        match self.changeable() {
            Changeable::Tree(value) => {
                value.as_record_mut().is_some_and(|record| record.remove(key).is_some())
            }
            Changeable::Document(document) => document.remove(key),
        }
    }

    /// Appends the payload as [`json::write()`] writes its value. Builds nothing.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match &self.form {
            Form::Tree(value) => json::write(value, out),
            Form::Document(document) => document.write_json(out),
        }
    }

    /// What [`Payload::write_json`] appends, if that is in memory as it is: the text of a document that nobody changed and that
    /// was written as this crate writes it.
    #[must_use]
    #[inline]
    pub fn json_text(&self) -> Option<&Bytes> {
        match &self.form {
            Form::Tree(_) => None,
            Form::Document(document) => document.unchanged(),
        }
    }

    /// Appends the payload as [`json::write_sorted`] writes its value. Builds nothing.
    pub fn write_sorted_json(&self, out: &mut Vec<u8>) {
        match &self.form {
            Form::Tree(value) => json::write_sorted(value, out),
            Form::Document(document) => document.write_sorted_json(out),
        }
    }

    /// The tree, which takes the place of a document.
    fn tree(&mut self) -> &mut Value {
        if let Form::Document(_) = &self.form {
            *self = Self::from(std::mem::take(self).into_value());
        }
        match &mut self.form {
            Form::Tree(value) => value,
            Form::Document(_) => unreachable!("a document was replaced right above"),
        }
    }

    /// What a change is made to: the document, as long as that is cheaper than a tree.
    #[inline(always)]
    fn changeable(&mut self) -> Changeable<'_> {
        let is_kept = matches!(&self.form, Form::Document(document) if document.is_changeable());
        if !is_kept {
            return Changeable::Tree(self.value_mut());
        }
        match &mut self.form {
            Form::Tree(value) => Changeable::Tree(value),
            Form::Document(document) => Changeable::Document(Arc::make_mut(document)),
        }
    }
}

/// What [`Payload::changeable`] gives.
enum Changeable<'a> {
    Tree(&'a mut Value),
    Document(&'a mut Document),
}

impl Default for Payload {
    fn default() -> Self {
        Value::Null.into()
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self { form: Form::Tree(value) }
    }
}

impl From<Arc<Document>> for Payload {
    fn from(document: Arc<Document>) -> Self {
        Self { form: Form::Document(document) }
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value().fmt(formatter)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        // A record takes care of itself, and so does a document.
        if let Form::Tree(value @ Value::Array(_)) = &mut self.form {
            teardown::release(std::mem::take(value));
        }
    }
}
