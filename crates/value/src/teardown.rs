//! Freeing nested values without recursing as deep as they are nested.
//!
//! The parsers bound the depth of what comes from outside, but a script can wrap a value in a list or record
//! once per event. [`Record`](crate::Record) and [`Payload`](crate::Payload) free what they hold through
//! this module. A bare chain of arrays without any record in it has no such hook: whoever keeps values that
//! grow from event to event frees them with [`Value::release`](crate::Value::release).

use std::sync::Arc;

use crate::{Str, Value};

/// Levels freed by plain recursion before the rest waits in a list.
const DIRECT_DEPTH: u32 = 32;

/// Frees the members of a record.
pub(crate) fn release_members(mut members: Vec<(Str, Value)>) {
    let mut waiting = Vec::new();
    release_in(&mut members, 0, &mut waiting);
    drain(waiting);
}

/// Frees `value`.
pub(crate) fn release(value: Value) {
    drain(vec![value]);
}

fn drain(mut waiting: Vec<Value>) {
    while let Some(value) = waiting.pop() {
        release_level(value, 0, &mut waiting);
    }
}

/// Frees what is nested in members. What is left of them is dropped in the plain way.
fn release_in(members: &mut [(Str, Value)], depth: u32, waiting: &mut Vec<Value>) {
    for (_, value) in members {
        if value.is_container() {
            release_level(std::mem::take(value), depth, waiting);
        }
    }
}

fn release_level(value: Value, depth: u32, waiting: &mut Vec<Value>) {
    if depth == DIRECT_DEPTH && value.is_container() {
        waiting.push(value);
        return;
    }
    match value {
        Value::Array(items) => {
            let mut items = Arc::into_inner(items).unwrap_or_default();
            for item in &mut items {
                if item.is_container() {
                    release_level(std::mem::take(item), depth + 1, waiting);
                }
            }
        }
        Value::Record(record) => {
            let members = Arc::into_inner(record).map(|mut record| record.take_members());
            release_in(&mut members.unwrap_or_default(), depth + 1, waiting);
        }
        _ => {}
    }
}
