//! Reading paths (`spec/language-script.md` section 4).

use super::{Env, NULL, Operand, eval, weight};
use crate::{
    error::{ErrorKind, Origin, RuntimeError},
    ir::{Path, Root, Segment, SegmentKind},
};
use std::{borrow::Cow, sync::Arc};
use tremor_diagnostic::Span;
use tremor_value::{Step, Str, Value};

/// Why a segment gave nothing.
enum Miss {
    /// What `present` reports as `false`, at this place.
    Absent(ErrorKind, Span),
    /// An error either way.
    Error(RuntimeError),
}

/// A member of a value, or a new array for a range.
enum Found<'v> {
    Member(&'v Value),
    Slice(Value),
}

/// How far the constant segments at the front of a path lead.
enum Look<'e> {
    /// To this value; the remaining segments begin with a computed one.
    At(Operand<'e>, &'e [Segment]),
    /// Nowhere: a local without value, a key or index that is not there.
    Nowhere,
}

/// Reads a path.
///
/// # Errors
/// E-P0 to E-P6, and what computed parts give.
pub(super) fn resolve<'e>(path: &'e Path, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    // What most paths are, and where most of them lead.
    if let Root::Event = path.root
        && !env.event.is_built()
        && path.keys == path.segments.len()
        && path.keys > 0
        && let Some(value) = event_member(keys_of(&path.segments), path.keys, env)
    {
        return Ok(value);
    }
    let found = match look(path, env)? {
        Look::At(value, []) => return Ok(value),
        Look::At(value, rest) => follow(value, rest, path, env),
        // Goes the same way again, this time keeping an eye on what is wrong.
        Look::Nowhere => root(path, env).and_then(|root| follow(root, &path.segments, path, env)),
    };
    found.map_err(|miss| match miss {
        Miss::Absent(kind, span) => RuntimeError::new(kind, span, path.span),
        Miss::Error(error) => error,
    })
}

/// Whether reading a path would succeed.
///
/// # Errors
/// What computed parts give.
pub(super) fn is_present<'e>(path: &'e Path, env: &Env<'e>) -> Result<bool, RuntimeError> {
    if let Root::Event = path.root
        && !path.segments.is_empty()
        && path.keys == path.segments.len()
    {
        return Ok(event_has(keys_of(&path.segments), path.segments.len(), env));
    }
    let found = match look(path, env)? {
        Look::At(value, rest) => follow(value, rest, path, env),
        Look::Nowhere => return Ok(false),
    };
    match found {
        Ok(_) => Ok(true),
        Err(Miss::Absent(..)) => Ok(false),
        Err(Miss::Error(error)) => Err(error),
    }
}

/// Goes along the segments whose keys are constant, without copying anything that is borrowed.
#[inline]
fn look<'e>(path: &'e Path, env: &Env<'e>) -> Result<Look<'e>, RuntimeError> {
    let mut current = match &path.root {
        Root::Event if env.event.is_built() => env.event.value(),
        Root::Event => return Ok(look_into_event(&path.segments, env)),
        Root::Meta => match env.meta.told_under() {
            None => env.meta.base(),
            Some(under) => match look_into_meta(&path.segments, under, env) {
                Ok(root) => root,
                Err(told) => return Ok(told),
            },
        },
        Root::State => env.state,
        Root::Args => env.args,
        Root::Group => env.group,
        Root::Window => env.window,
        Root::Local(slot, _) => match local(env, *slot) {
            Some(value) => value,
            None => return Ok(Look::Nowhere),
        },
        Root::Unknown(_) => return Ok(Look::Nowhere),
        Root::Bound(level) => bound(env, *level),
        Root::Expr(expr) => return eval(expr, env).map(|value| Look::At(value, &path.segments)),
    };
    let mut rest = &*path.segments;
    while let [segment, after @ ..] = rest {
        let found = match &segment.kind {
            SegmentKind::Key(key) => current.get(key),
            SegmentKind::Index(index) => current.as_array().and_then(|items| at(items, (*index).into())),
            SegmentKind::Dynamic(..) | SegmentKind::Range { .. } => break,
        };
        let Some(found) = found else { return Ok(Look::Nowhere) };
        current = found;
        rest = after;
    }
    Ok(Look::At(Operand::Ref(current), rest))
}

/// The same for an event that is not built: only what the path leads to is made.
fn look_into_event<'e>(segments: &'e [Segment], env: &Env<'e>) -> Look<'e> {
    let count = segments.iter().take_while(|segment| segment.step().is_some()).count();
    let (way, rest) = segments.split_at_checked(count).unwrap_or_default();
    if way.is_empty() {
        return Look::At(Operand::Ref(env.event.value()), segments);
    }
    match event_member(way.iter().filter_map(Segment::step), count, env) {
        Some(value) => Look::At(value, rest),
        None => Look::Nowhere,
    }
}

/// A record in which the path leads where it leads in the metadata; or what it leads to, if that is told of a message and
/// stands in no record yet. The whole is built only if the path gives it, or the part of it that the message is told in.
fn look_into_meta<'e>(segments: &'e [Segment], under: &str, env: &Env<'e>) -> Result<&'e Value, Look<'e>> {
    let Some((first, rest)) = segments.split_first() else { return Ok(env.meta.value()) };
    match first.key() {
        Some(first) if first != under => return Ok(env.meta.base()),
        Some(_) => {}
        None => return Ok(env.meta.value()),
    }
    let Some((second, rest)) = rest.split_first() else { return Ok(env.meta.value()) };
    let Some(name) = second.key() else { return Ok(env.meta.value()) };
    match env.meta.told(name) {
        Some(value) => Err(Look::At(Operand::Owned(value), rest)),
        None => Ok(env.meta.base()),
    }
}

/// What `count` steps lead to in the event, which is built only when so much of it was read that this is cheaper.
pub(super) fn event_member<'e, 'k, S: Into<Step<'k>>>(
    steps: impl Iterator<Item = S>,
    count: usize,
    env: &Env<'e>,
) -> Option<Operand<'e>> {
    if !env.context.may_search_event(count) {
        let _built_from_here_on = env.event.value();
    }
    let value = env.event.get_path(steps)?;
    if let Cow::Owned(value) = &value
        && value.is_container()
    {
        env.context.may_search_event(BUILT_CONTAINER);
    }
    Some(value.into())
}

/// As [`event_member`], for whoever only asks whether there is something.
pub(super) fn event_has<'k>(keys: impl Iterator<Item = &'k str>, count: usize, env: &Env<'_>) -> bool {
    if !env.context.may_search_event(count) {
        let _built_from_here_on = env.event.value();
    }
    env.event.contains_path(keys)
}

/// What building an array or record of an event counts, in searches.
const BUILT_CONTAINER: usize = 4;

fn keys_of(segments: &[Segment]) -> impl Iterator<Item = &str> {
    segments.iter().filter_map(Segment::key)
}

fn root<'e>(path: &'e Path, env: &Env<'e>) -> Result<Operand<'e>, Miss> {
    let value = match &path.root {
        Root::Event => env.event.value(),
        Root::Meta => env.meta.value(),
        Root::State => env.state,
        Root::Args => env.args,
        Root::Group => env.group,
        Root::Window => env.window,
        Root::Local(slot, name) => match local(env, *slot) {
            Some(value) => value,
            None => return Err(Miss::Absent(ErrorKind::UnknownLocal(name.clone()), path.span)),
        },
        Root::Unknown(name) => return Err(Miss::Absent(ErrorKind::UnknownLocal(name.clone()), path.span)),
        Root::Bound(level) => bound(env, *level),
        Root::Expr(expr) => return eval(expr, env).map_err(Miss::Error),
    };
    Ok(Operand::Ref(value))
}

fn local<'e>(env: &Env<'e>, slot: u32) -> Option<&'e Value> {
    env.locals.get(usize::try_from(slot).ok()?)?.as_ref()
}

fn bound<'e>(env: &Env<'e>, level: u32) -> &'e Value {
    let mut variable = env.bound;
    for _ in 0..level {
        variable = variable.and_then(|variable| variable.outer);
    }
    variable.map_or(&NULL, |variable| &*variable.value)
}

fn follow<'e>(
    mut current: Operand<'e>,
    segments: &'e [Segment],
    path: &Path,
    env: &Env<'e>,
) -> Result<Operand<'e>, Miss> {
    for segment in segments {
        current = match current {
            Operand::Ref(value) => match look_up(value, segment, path, env)? {
                Found::Member(member) => Operand::Ref(member),
                Found::Slice(slice) => Operand::Owned(slice),
            },
            Operand::Owned(value) => Operand::Owned(match look_up(&value, segment, path, env)? {
                Found::Member(member) => member.clone(),
                Found::Slice(slice) => slice,
            }),
        };
    }
    Ok(current)
}

fn look_up<'v>(value: &'v Value, segment: &Segment, path: &Path, env: &Env<'_>) -> Result<Found<'v>, Miss> {
    let absent = |kind| Miss::Absent(kind, segment.span);
    match &segment.kind {
        SegmentKind::Key(key) => member(value, key, path).map(Found::Member).map_err(absent),
        SegmentKind::Index(index) => match value.as_array() {
            Some(items) => item(items, (*index).into()).map(Found::Member).map_err(absent),
            None => Err(absent(ErrorKind::NeedsArray { found: value.type_name() })),
        },
        SegmentKind::Dynamic(index, span) => {
            dynamic(value, (index, *span), segment, path, env).map(Found::Member)
        }
        SegmentKind::Range { start, end } => slice(value, start, end, segment, path, env).map(Found::Slice),
    }
}

fn member<'v>(value: &'v Value, key: &Str, path: &Path) -> Result<&'v Value, ErrorKind> {
    let Value::Record(record) = value else {
        return Err(ErrorKind::NeedsRecord { found: value.type_name() });
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
        ErrorKind::MissingKey { origin, key: key.clone(), record: Some(Arc::clone(record)) }
    })
}

fn at(items: &[Value], index: i128) -> Option<&Value> {
    items.get(usize::try_from(index).ok()?)
}

fn item(items: &[Value], index: i128) -> Result<&Value, ErrorKind> {
    at(items, index).ok_or(ErrorKind::Index { from: index, to: None, len: items.len() })
}

fn dynamic<'v>(
    value: &'v Value,
    (index, index_span): (&Expression, Span),
    segment: &Segment,
    path: &Path,
    env: &Env<'_>,
) -> Result<&'v Value, Miss> {
    let index = eval(index, env).map_err(Miss::Error)?;
    let absent = |kind| Miss::Absent(kind, segment.span);
    let wrong = |expected| {
        let kind = ErrorKind::IndexType { expected, found: index.type_name() };
        Miss::Error(RuntimeError::new(kind, index_span, path.span))
    };
    match (value, &*index) {
        (Value::Array(items), Value::I64(number)) if *number < 0 => {
            let kind = ErrorKind::Index { from: (*number).into(), to: None, len: items.len() };
            Err(Miss::Error(RuntimeError::new(kind, segment.span, path.span)))
        }
        (Value::Array(items), Value::I64(number)) => item(items, (*number).into()).map_err(absent),
        (Value::Array(items), Value::U64(number)) => item(items, (*number).into()).map_err(absent),
        (Value::Record(_), Value::String(key)) => member(value, key, path).map_err(absent),
        (Value::Record(_), _) => Err(wrong("string")),
        (Value::Array(_), index) if index.as_str().is_none() => Err(wrong("integer")),
        (_, Value::String(_)) => Err(absent(ErrorKind::NeedsRecord { found: value.type_name() })),
        _ => Err(absent(ErrorKind::NeedsArray { found: value.type_name() })),
    }
}

type Expression = crate::ir::Expr;

fn slice(
    value: &Value,
    start: &(Expression, Span),
    end: &(Expression, Span),
    segment: &Segment,
    path: &Path,
    env: &Env<'_>,
) -> Result<Value, Miss> {
    let Value::Array(items) = value else {
        return Err(Miss::Absent(ErrorKind::NeedsArray { found: value.type_name() }, segment.span));
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
        None => {
            let kind = ErrorKind::Index { from: from.into(), to: Some(to), len: items.len() };
            Err(Miss::Absent(kind, segment.span))
        }
    }
}
