//! Assignments that change what stands at their place instead of putting a changed copy there.
//!
//! `let state = patch state of … end` then costs what it changes, not all there is, as long as nobody else holds the
//! value; what somebody else holds is copied first. Which assignments are of this kind is known when a program is lowered
//! ([`Let::in_place`]). Whatever can fail is done before anything is written, so one that fails leaves all as it was.

use super::{Env, Frame, eval, place, record, settle, weight};
use crate::{
    error::{ErrorKind, FailedCall, RuntimeError},
    function::{Context, Update},
    ir::{Chain, Expr, Let, NativeCall, Place, Stmt},
    ops,
};
use smallvec::SmallVec;
use std::sync::Arc;
use tremor_value::{Str, Value};

/// What happens to the value at the place; all operands have been computed.
enum Change<'l> {
    Patch(settle::Settled<'l>),
    Merge(Value),
    /// Texts, arrays or records, as the value itself is one.
    Append(SmallVec<[Value; 2]>),
    Native(&'l NativeCall, Update, SmallVec<[Value; 2]>),
}

/// Runs an assignment whose value is a change of what stands at its place. The result is the new value, or null if it is
/// not `wanted`.
///
/// `None`, and nothing has happened, if it has to be run as any other: there is no value of the right type, or the event
/// is not built, which has ways of its own.
///
/// # Errors
/// As those of the expression.
pub(super) fn assign(let_: &Let, frame: &mut Frame<'_>, wanted: bool) -> Result<Option<Value>, RuntimeError> {
    let Stmt::Expr(expr, span) = &let_.value else { return Ok(None) };
    let env = frame.env();
    // Keys that can not be used are reported by whoever reads the path.
    let Ok(keys) = place::keys(let_.place.segments(), let_.span, &env) else { return Ok(None) };
    let Some(root) = root(&let_.place, &keys, frame) else { return Ok(None) };
    let Some(target) = keys.iter().try_fold(root, |value, key| value.get(key)) else { return Ok(None) };
    let change = prepare(expr, target, &env).map_err(|error| error.placed(*span))?;
    let (Some(change), context) = (change, frame.context) else { return Ok(None) };
    let target = keys.iter().try_fold(root_mut(&let_.place, &keys, frame), |value, key| {
        value?.as_record_mut().map(|record| record.get_mut(key))
    });
    let Some(Some(target)) = target else { return Ok(None) };
    apply(change, target, context).map_err(|error| error.placed(*span))?;
    Ok(Some(if wanted { target.clone() } else { Value::Null }))
}

fn root<'f>(place: &Place, keys: &place::Keys<'_>, frame: &'f Frame<'_>) -> Option<&'f Value> {
    match place {
        Place::Local { slot, .. } => frame.locals.get(usize::try_from(*slot).ok()?)?.as_ref(),
        Place::Event(_) if frame.event.is_built() => Some(frame.event.value()),
        Place::Meta(_) => keys.get(0).map(|first| frame.meta.record_with(first)),
        Place::State(_) => Some(frame.state),
        Place::Event(_) | Place::WholeMeta | Place::Invalid(_) => None,
    }
}

fn root_mut<'f>(place: &Place, keys: &place::Keys<'_>, frame: &'f mut Frame<'_>) -> Option<&'f mut Value> {
    match place {
        Place::Local { slot, .. } => frame.locals.get_mut(usize::try_from(*slot).ok()?)?.as_mut(),
        Place::Event(_) => Some(frame.event.value_mut()),
        Place::Meta(_) => keys.get(0).map(|first| frame.meta.record_with_mut(first)),
        Place::State(_) => Some(frame.state),
        Place::WholeMeta | Place::Invalid(_) => None,
    }
}

/// Computes operands and makes sure that the change succeeds; `None` if it is of a kind that is not made in place.
fn prepare<'l>(expr: &'l Expr, target: &Value, env: &Env<'_>) -> Result<Option<Change<'l>>, RuntimeError> {
    match (expr, target) {
        (Expr::Patch(patch), Value::Record(members)) => {
            weight::pay_if_shared(target, env.context).map_err(|error| error.placed(patch.span))?;
            settle::settle(patch, members, env).map(|settled| Some(Change::Patch(settled)))
        }
        (Expr::Merge(merge), Value::Record(_)) => {
            weight::pay_if_shared(target, env.context).map_err(|error| error.placed(merge.span))?;
            let right = record::right_of(merge, env)?;
            if right.as_record().is_none() {
                return Err(record::no_operand(&right, merge.right_span, merge));
            }
            Ok(Some(Change::Merge(right.into_value())))
        }
        (Expr::Chain(chain), Value::String(_) | Value::Array(_) | Value::Record(_)) => {
            Ok(appended(chain, target, env)?.map(Change::Append))
        }
        (Expr::Native(call), _) => native(call, target, env),
        _ => Ok(None),
    }
}

/// What a chain of `+` adds; `None` if a step fails, of which the usual way has more to say.
fn appended(
    chain: &Chain,
    target: &Value,
    env: &Env<'_>,
) -> Result<Option<SmallVec<[Value; 2]>>, RuntimeError> {
    let mut pieces = SmallVec::new();
    let mut length = match target {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    for step in &chain.steps {
        let piece = eval(&step.operand, env)?;
        let (added, longest) = match (target, &*piece) {
            (Value::String(_), Value::String(text)) => (text.len(), ops::LONGEST_TEXT),
            (Value::Array(_), Value::Array(items)) => (items.len(), ops::LONGEST_ARRAY),
            (Value::Record(_), Value::Record(_)) => (0, usize::MAX),
            _ => return Ok(None),
        };
        if ops::check_length(length, added, longest).is_err() {
            return Ok(None);
        }
        length += added;
        weight::pay_parts(&piece, env.context).map_err(|error| error.placed(step.span))?;
        pieces.push(piece.into_value());
    }
    if weight::is_shared(target) {
        let span = chain.steps.first().map_or(chain.first_span, |step| step.span);
        weight::pay_parts(target, env.context).map_err(|error| error.placed(span))?;
    }
    Ok(Some(pieces))
}

fn native<'l>(
    call: &'l NativeCall,
    target: &Value,
    env: &Env<'_>,
) -> Result<Option<Change<'l>>, RuntimeError> {
    let (Some(update), Some((_, others))) = (call.native.update, call.args.split_first()) else {
        return Ok(None);
    };
    if !call.native.arity.accepts(call.args.len()) {
        return Ok(None);
    }
    let mut args = SmallVec::new();
    for arg in others {
        args.push(weight::embed(eval(arg, env)?, env.context).map_err(|error| error.placed(call.span))?);
    }
    if weight::is_shared(target) {
        weight::pay_parts(target, env.context).map_err(|error| error.placed(call.span))?;
    }
    Ok(Some(Change::Native(call, update, args)))
}

/// Makes the change. Only a native function may fail here, and it changes nothing then.
fn apply(change: Change<'_>, target: &mut Value, context: &Context<'_>) -> Result<(), RuntimeError> {
    match change {
        Change::Patch(settled) => match target {
            Value::Record(record) => settled.apply(Arc::make_mut(record), context),
            _ => Ok(()),
        },
        Change::Merge(right) => {
            target.merge(&right);
            Ok(())
        }
        Change::Append(pieces) => {
            pieces.into_iter().for_each(|piece| append(target, piece, context));
            Ok(())
        }
        Change::Native(call, update, args) => {
            let args: SmallVec<[&Value; 2]> = args.iter().collect();
            update(context, target, &args).map_err(|error| {
                let failed = FailedCall { native: call.native, count: call.args.len(), error };
                RuntimeError::around(ErrorKind::Function(Box::new(failed)), call.span, 2)
            })
        }
    }
}

fn append(target: &mut Value, piece: Value, context: &Context<'_>) {
    match (target, piece) {
        (Value::String(text), Value::String(piece)) => append_text(text, &piece, context),
        (Value::Array(items), Value::Array(more)) if items.is_empty() => *items = more,
        (Value::Array(items), Value::Array(more)) => {
            let items = Arc::make_mut(items);
            match Arc::try_unwrap(more) {
                Ok(more) => items.extend(more),
                Err(shared) => items.extend_from_slice(&shared),
            }
        }
        (Value::Record(members), Value::Record(more)) if !more.is_empty() => {
            let members = Arc::make_mut(members);
            match Arc::try_unwrap(more) {
                Ok(more) => members.extend(more),
                Err(shared) => {
                    members.extend(shared.iter().map(|(key, value)| (key.clone(), value.clone())));
                }
            }
        }
        _ => {}
    }
}

/// Appends, and pays for the whole text if it had to move: somebody else holds it, or its room was used up. Who can not
/// pay for that gets no further than the next payment.
fn append_text(text: &mut Str, piece: &str, context: &Context<'_>) {
    let before = text.as_ptr();
    text.push_str(piece);
    if text.as_ptr() != before {
        let _ = weight::pay_text(text.len(), context);
    }
}
