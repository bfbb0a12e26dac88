//! Reading paths (`spec/language-script.md` section 4) and assigning to them (section 5).

use super::{Env, Operand, eval, weight};
use crate::{
    error::{ErrorKind, Origin, RuntimeError},
    ir::{Path, Root, Segment, SegmentKind},
};
use std::sync::Arc;
use tremor_diagnostic::Span;
use tremor_value::{Record, Str, Value};

/// Why a segment gave nothing.
enum Miss {
    /// What `present` reports as `false`; the place is the segment.
    Absent(ErrorKind),
    /// An error either way.
    Error(RuntimeError),
}

/// A member of a value, or a new array for a range.
enum Found<'v> {
    Member(&'v Value),
    Slice(Value),
}

pub(super) fn resolve<'e>(path: &'e Path, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let mut current = match root(path, env)? {
        Ok(root) => root,
        Err(kind) => return Err(RuntimeError::at(kind, path.span)),
    };
    for segment in &path.segments {
        current = match step(current, segment, path, env) {
            Ok(next) => next,
            Err(Miss::Absent(kind)) => return Err(RuntimeError::new(kind, segment.span, path.span)),
            Err(Miss::Error(error)) => return Err(error),
        };
    }
    Ok(current)
}

pub(super) fn is_present<'e>(path: &'e Path, env: &Env<'e>) -> Result<bool, RuntimeError> {
    let Ok(mut current) = root(path, env)? else { return Ok(false) };
    for segment in &path.segments {
        current = match step(current, segment, path, env) {
            Ok(next) => next,
            Err(Miss::Absent(_)) => return Ok(false),
            Err(Miss::Error(error)) => return Err(error),
        };
    }
    Ok(true)
}

/// The inner error is a missing local, which `present` reports as `false`.
fn root<'e>(path: &'e Path, env: &Env<'e>) -> Result<Result<Operand<'e>, ErrorKind>, RuntimeError> {
    Ok(Ok(match &path.root {
        Root::Event => Operand::Ref(env.event.value()),
        Root::Meta => Operand::Ref(env.meta),
        Root::State => Operand::Ref(env.state),
        Root::Args => Operand::Ref(env.args),
        Root::Group => Operand::Ref(env.group),
        Root::Window => Operand::Ref(env.window),
        Root::Local(slot, name) => match local(env, *slot) {
            Some(value) => Operand::Ref(value),
            None => return Ok(Err(ErrorKind::UnknownLocal(name.clone()))),
        },
        Root::Unknown(name) => return Ok(Err(ErrorKind::UnknownLocal(name.clone()))),
        Root::Bound(level) => bound(env, *level),
        Root::Expr(expr) => eval(expr, env)?,
    }))
}

fn local<'e>(env: &Env<'e>, slot: u32) -> Option<&'e Value> {
    env.locals.get(usize::try_from(slot).ok()?)?.as_ref()
}

fn bound<'e>(env: &Env<'e>, level: u32) -> Operand<'e> {
    let mut variable = env.bound;
    for _ in 0..level {
        variable = variable.and_then(|variable| variable.outer);
    }
    variable.map_or(Operand::Owned(Value::Null), |variable| Operand::Ref(&variable.value))
}

fn step<'e>(
    current: Operand<'e>,
    segment: &'e Segment,
    path: &Path,
    env: &Env<'e>,
) -> Result<Operand<'e>, Miss> {
    match current {
        Operand::Ref(value) => Ok(match look_up(value, segment, path, env)? {
            Found::Member(member) => Operand::Ref(member),
            Found::Slice(slice) => Operand::Owned(slice),
        }),
        Operand::Owned(value) => Ok(Operand::Owned(match look_up(&value, segment, path, env)? {
            Found::Member(member) => member.clone(),
            Found::Slice(slice) => slice,
        })),
    }
}

fn look_up<'v>(value: &'v Value, segment: &Segment, path: &Path, env: &Env<'_>) -> Result<Found<'v>, Miss> {
    match &segment.kind {
        SegmentKind::Key(key) => member(value, key, path).map(Found::Member),
        SegmentKind::Index(index) => match value.as_array() {
            Some(items) => item(items, (*index).into()).map(Found::Member),
            None => Err(Miss::Absent(ErrorKind::NeedsArray { found: value.type_name() })),
        },
        SegmentKind::Dynamic(index, span) => {
            dynamic(value, (index, *span), segment, path, env).map(Found::Member)
        }
        SegmentKind::Range { start, end } => slice(value, start, end, path, env).map(Found::Slice),
    }
}

fn member<'v>(value: &'v Value, key: &Str, path: &Path) -> Result<&'v Value, Miss> {
    let Value::Record(record) = value else {
        return Err(Miss::Absent(ErrorKind::NeedsRecord { found: value.type_name() }));
    };
    record.get(key).ok_or_else(|| {
        let origin = match path.root {
            Root::Event => Origin::Event,
            Root::Meta => Origin::Meta,
            Root::State => Origin::State,
            Root::Args => Origin::Args,
            Root::Local(..) | Root::Bound(_) | Root::Unknown(_) => Origin::Local,
            Root::Group | Root::Window | Root::Expr(_) => Origin::Other,
        };
        Miss::Absent(ErrorKind::MissingKey { origin, key: key.clone(), record: Some(Arc::clone(record)) })
    })
}

fn item(items: &[Value], index: i128) -> Result<&Value, Miss> {
    let found = usize::try_from(index).ok().and_then(|index| items.get(index));
    found.ok_or(Miss::Absent(ErrorKind::Index { from: index, to: None, len: items.len() }))
}

fn dynamic<'v>(
    value: &'v Value,
    (index, index_span): (&Expression, Span),
    segment: &Segment,
    path: &Path,
    env: &Env<'_>,
) -> Result<&'v Value, Miss> {
    let index = eval(index, env).map_err(Miss::Error)?;
    let wrong = |expected| {
        let kind = ErrorKind::IndexType { expected, found: index.type_name() };
        Miss::Error(RuntimeError::new(kind, index_span, path.span))
    };
    match (value, &*index) {
        (Value::Array(items), Value::I64(number)) if *number < 0 => {
            let kind = ErrorKind::Index { from: (*number).into(), to: None, len: items.len() };
            Err(Miss::Error(RuntimeError::new(kind, segment.span, path.span)))
        }
        (Value::Array(items), Value::I64(number)) => item(items, (*number).into()),
        (Value::Array(items), Value::U64(number)) => item(items, (*number).into()),
        (Value::Record(_), Value::String(key)) => member(value, key, path),
        (Value::Record(_), _) => Err(wrong("string")),
        (Value::Array(_), index) if index.as_str().is_none() => Err(wrong("integer")),
        (_, Value::String(_)) => Err(Miss::Absent(ErrorKind::NeedsRecord { found: value.type_name() })),
        _ => Err(Miss::Absent(ErrorKind::NeedsArray { found: value.type_name() })),
    }
}

type Expression = crate::ir::Expr;

fn slice(
    value: &Value,
    start: &(Expression, Span),
    end: &(Expression, Span),
    path: &Path,
    env: &Env<'_>,
) -> Result<Value, Miss> {
    let Value::Array(items) = value else {
        return Err(Miss::Absent(ErrorKind::NeedsArray { found: value.type_name() }));
    };
    let range = start.1.to(end.1);
    let bound = |(expr, span): &(Expression, Span)| {
        let value = eval(expr, env).map_err(Miss::Error)?;
        value.as_u64().ok_or_else(|| {
            let found = if matches!(&*value, Value::I64(_)) { "negative integer" } else { value.type_name() };
            let outer = if expr.as_const().is_some() { range } else { path.span };
            Miss::Error(RuntimeError::new(ErrorKind::IndexType { expected: "integer", found }, *span, outer))
        })
    };
    let (from, to) = (bound(start)?, bound(end)?);
    if to < from {
        return Err(Miss::Error(RuntimeError::at(ErrorKind::RangeDecreases { from, to }, range)));
    }
    let bounds = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    match bounds.and_then(|(from, to)| items.get(from..to)) {
        Some(slice) => {
            let slice = Value::from(slice.to_vec());
            let paid = weight::pay_parts(&slice, env.context);
            paid.map_err(|error| Miss::Error(error.placed(path.span))).map(|()| slice)
        }
        None => Err(Miss::Absent(ErrorKind::Index { from: from.into(), to: Some(to), len: items.len() })),
    }
}

/// The keys of an assignment's place.
pub(super) enum Keys<'s> {
    /// All of them are known; nothing is copied.
    Known(&'s [Segment]),
    Computed(Vec<Str>),
}

impl Keys<'_> {
    fn get(&self, index: usize) -> Option<&Str> {
        match self {
            Self::Known(segments) => match &segments.get(index)?.kind {
                SegmentKind::Key(key) => Some(key),
                _ => None,
            },
            Self::Computed(keys) => keys.get(index),
        }
    }
}

/// Computes the keys of an assignment's place, before anything is written.
///
/// # Errors
/// E-A3 for an index or a range, E-P5 for a computed key that is no string; `whole` is the assignment.
pub(super) fn keys<'s>(
    segments: &'s [Segment],
    whole: Span,
    env: &Env<'_>,
) -> Result<Keys<'s>, RuntimeError> {
    if segments.iter().all(|segment| matches!(segment.kind, SegmentKind::Key(_))) {
        return Ok(Keys::Known(segments));
    }
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
    segments.iter().map(key).collect::<Result<_, _>>().map(Keys::Computed)
}

/// Sets the member of `target` that `keys`, those of `segments`, lead to; missing records on the way are made.
///
/// # Errors
/// E-P1 at the segment that meets something other than a record; nothing is written then.
pub(super) fn assign(
    mut target: &mut Value,
    keys: &Keys<'_>,
    segments: &[Segment],
    value: Value,
    whole: Span,
) -> Result<(), RuntimeError> {
    let Some((last, way)) = segments.split_last() else {
        *target = value;
        return Ok(());
    };
    for (index, segment) in way.iter().enumerate() {
        let record = record_mut(target, segment, whole)?;
        let Some(key) = keys.get(index) else { return Ok(()) };
        if !record.contains_key(key) {
            record.insert(key.clone(), Value::record());
        }
        let Some(next) = record.get_mut(key) else { return Ok(()) };
        target = next;
    }
    if let Some(key) = keys.get(way.len()) {
        record_mut(target, last, whole)?.insert(key.clone(), value);
    }
    Ok(())
}

fn record_mut<'v>(
    target: &'v mut Value,
    segment: &Segment,
    whole: Span,
) -> Result<&'v mut Record, RuntimeError> {
    let found = target.type_name();
    let needs = || RuntimeError::new(ErrorKind::NeedsRecord { found }, segment.span, whole);
    target.as_record_mut().ok_or_else(needs)
}
