//! Deep merging of records.

use std::sync::Arc;

use crate::{Record, Str, Value};

/// A record that is being merged into, together with what is still to be merged.
struct Level<'a> {
    target: Arc<Record>,
    rest: std::slice::Iter<'a, (Str, Value)>,
    /// Where the finished target goes in the level above.
    key: &'a str,
}

impl Value {
    /// Merges `other` into this value (`spec/language-script.md` 11.2): members that are records on both
    /// sides merge in turn, every other member of `other` replaces. Null is a value like any other. If one
    /// of the two is no record, `other` replaces the whole value.
    ///
    /// Parts that are shared with other values are copied only where they change. Any depth is fine.
    pub fn merge(&mut self, other: &Value) {
        match (&mut *self, other) {
            (Self::Record(target), Self::Record(source)) => {
                let merged = merge_records(std::mem::take(target), source);
                *target = merged;
            }
            _ => *self = other.clone(),
        }
    }
}

fn merge_records(target: Arc<Record>, source: &Record) -> Arc<Record> {
    let mut above: Vec<Level<'_>> = Vec::new();
    let mut level = Level { target, rest: source.members().iter(), key: "" };
    loop {
        if let Some((key, value)) = level.rest.next() {
            let target = Arc::make_mut(&mut level.target);
            match (target.get_mut(key), value) {
                (Some(Value::Record(inner)), Value::Record(source)) => {
                    // The slot keeps its place with an empty record until the merged one comes back.
                    let inner = std::mem::take(inner);
                    above.push(level);
                    level = Level { target: inner, rest: source.members().iter(), key };
                }
                (Some(slot), value) => *slot = value.clone(),
                (None, value) => target.push_new(key.clone(), value.clone()),
            }
        } else if let Some(mut parent) = above.pop() {
            if let Some(slot) = Arc::make_mut(&mut parent.target).get_mut(level.key) {
                *slot = Value::Record(level.target);
            }
            level = parent;
        } else {
            return level.target;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Value;

    #[track_caller]
    fn check(left: &str, right: &str, merged: &str) {
        let original = Value::from_json_str(left).unwrap();
        let mut value = original.clone();
        value.merge(&Value::from_json_str(right).unwrap());
        assert_eq!(value.to_string(), merged);
        assert_eq!(original.to_string(), left, "values that share parts stay as they were");
    }

    #[test]
    fn merges_deep_and_replaces_the_rest() {
        check(r#"{"a":{"x":1},"b":[1]}"#, r#"{"a":{"y":null},"b":[2]}"#, r#"{"a":{"x":1,"y":null},"b":[2]}"#);
        check(
            r#"{"a":{"x":{"p":1,"q":2}},"c":1}"#,
            r#"{"a":{"x":{"q":3,"r":4},"z":5},"d":{"e":{}}}"#,
            r#"{"a":{"x":{"p":1,"q":3,"r":4},"z":5},"c":1,"d":{"e":{}}}"#,
        );
        check(r#"{"a":1}"#, r#"{"a":{"x":1}}"#, r#"{"a":{"x":1}}"#);
        check(r#"{"a":{"x":1}}"#, r#"{"a":null}"#, r#"{"a":null}"#);
        check(r#"{"a":1}"#, "[1]", "[1]");
        check("1", r#"{"a":1}"#, r#"{"a":1}"#);
    }
}
