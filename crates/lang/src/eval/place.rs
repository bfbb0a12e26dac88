//! Assigning to paths (`spec/language-script.md` section 5).

use super::{Env, eval};
use crate::{
    error::{ErrorKind, RuntimeError},
    ir::{Segment, SegmentKind},
};
use tremor_diagnostic::Span;
use tremor_value::{Meta, Payload, Record, Str, Value};

/// The keys of an assignment's place.
pub(super) struct Keys<'s> {
    segments: &'s [Segment],
    /// One for each segment, unless all of them are known: then nothing is copied.
    computed: Option<Vec<Str>>,
    /// The assignment.
    whole: Span,
}

impl Keys<'_> {
    pub(super) fn get(&self, index: usize) -> Option<&Str> {
        match &self.segments.get(index)?.kind {
            SegmentKind::Key(key) => Some(key),
            _ => self.computed.as_ref()?.get(index),
        }
    }

    /// The keys, from the outermost on.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.segments.len()).filter_map(|index| self.get(index).map(Str::as_str))
    }

    fn after_first(&self) -> impl Iterator<Item = &str> + Clone {
        (1..self.segments.len()).filter_map(|index| self.get(index).map(Str::as_str))
    }

    /// What the error that segment `index` needs a record looks like.
    pub(super) fn needs_record(&self, index: usize, found: &Value) -> RuntimeError {
        let kind = ErrorKind::NeedsRecord { found: found.type_name() };
        RuntimeError::new(
            kind,
            self.segments.get(index).map_or(self.whole, |segment| segment.span),
            self.whole,
        )
    }

    /// `value` inside new records for the keys from `index` on.
    fn wrap(&self, index: usize, value: Value) -> Value {
        let keys = (index..self.segments.len()).rev().filter_map(|index| self.get(index));
        keys.fold(value, |value, key| Record::from_iter([(key.clone(), value)]).into())
    }
}

/// Computes the keys of an assignment's place, before anything is written.
///
/// # Errors
/// E-A3 for an index or a range, E-P5 for a computed key that is no string; `whole` is the assignment.
#[inline]
pub(super) fn keys<'s>(
    segments: &'s [Segment],
    whole: Span,
    env: &Env<'_>,
) -> Result<Keys<'s>, RuntimeError> {
    if segments.iter().all(|segment| segment.key().is_some()) {
        return Ok(Keys { segments, computed: None, whole });
    }
    computed_keys(segments, whole, env)
}

fn computed_keys<'s>(segments: &'s [Segment], whole: Span, env: &Env<'_>) -> Result<Keys<'s>, RuntimeError> {
    let key = |segment: &Segment| match &segment.kind {
        SegmentKind::Key(key) => Ok(key.clone()),
        SegmentKind::Index(_) | SegmentKind::Range { .. } => {
            Err(RuntimeError::new(ErrorKind::AssignIndex, segment.span, whole))
        }
        SegmentKind::Dynamic(expr, span) => match &*eval(expr, env)? {
            Value::String(key) => Ok(key.clone()),
            Value::I64(_) | Value::U64(_) => {
                Err(RuntimeError::new(ErrorKind::AssignIndex, segment.span, whole))
            }
            other => {
                let kind = ErrorKind::IndexType { expected: "string", found: other.type_name() };
                Err(RuntimeError::new(kind, *span, whole))
            }
        },
    };
    let computed = segments.iter().map(key).collect::<Result<_, _>>()?;
    Ok(Keys { segments, computed: Some(computed), whole })
}

/// Sets the member of `target` that `keys` lead to; missing records on the way are made.
///
/// # Errors
/// E-P1 at the segment that meets something other than a record; nothing is written then.
pub(super) fn assign(target: &mut Value, keys: &Keys<'_>, value: Value) -> Result<(), RuntimeError> {
    assign_from(0, target, keys, value)
}

/// As [`assign`], for metadata; what is told of a message becomes part of them only if it is written there.
pub(super) fn assign_meta(meta: &mut Meta, keys: &Keys<'_>, value: Value) -> Result<(), RuntimeError> {
    match keys.get(0) {
        Some(first) => assign(meta.record_with_mut(first), keys, value),
        None => assign(meta.value_mut(), keys, value),
    }
}

/// As [`assign`], for the segments from `first` on.
fn assign_from(
    first: usize,
    mut target: &mut Value,
    keys: &Keys<'_>,
    value: Value,
) -> Result<(), RuntimeError> {
    for index in first..keys.segments.len() {
        if target.as_record().is_none() {
            return Err(keys.needs_record(index, target));
        }
        let (Some(record), Some(key)) = (target.as_record_mut(), keys.get(index)) else { return Ok(()) };
        if index + 1 == keys.segments.len() || !record.contains_key(key) {
            record.insert(key.clone(), keys.wrap(index + 1, value));
            return Ok(());
        }
        let Some(next) = record.get_mut(key) else { return Ok(()) };
        target = next;
    }
    *target = value;
    Ok(())
}

/// As [`assign`], for the event; of one that is not built, only the member that is written to is built.
pub(super) fn assign_event(event: &mut Payload, keys: &Keys<'_>, value: Value) -> Result<(), RuntimeError> {
    let Some(key) = keys.get(0) else {
        *event = Payload::from(value);
        return Ok(());
    };
    if event.is_built() {
        return assign(event.value_mut(), keys, value);
    }
    let inserted = if keys.segments.len() == 1 {
        event.insert(key.clone(), value)
    } else if event.insert_nested(key, keys.after_first(), &value) {
        true
    } else {
        match event.member_mut(key) {
            Some(member) => return assign_from(1, member, keys, value),
            None => event.insert(key.clone(), keys.wrap(1, value)),
        }
    };
    if inserted { Ok(()) } else { Err(keys.needs_record(0, event.value())) }
}
