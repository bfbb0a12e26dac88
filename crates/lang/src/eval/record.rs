//! `patch` and `merge` (`spec/language-script.md` section 11).

use super::{Env, Operand, eval, expr, weight};
use crate::{
    error::{ErrorKind, RuntimeError},
    function::Context,
    ir::{Expr, Merge, Operation, OperationKind, Patch},
};
use smallvec::SmallVec;
use std::{borrow::Cow, sync::Arc};
use tremor_diagnostic::Span;
use tremor_value::{Payload, Record, Str, Value};

/// An operation whose operands have been computed.
pub(super) enum Ready<'e> {
    Insert(Str, Value),
    Update(Str, Value),
    Upsert(Str, Value),
    Erase(Str),
    Copy(Str, Str),
    Move(Str, Str),
    Merge(Str, Value),
    MergeAll(Value),
    /// Computed only if needed.
    Default(Str, &'e Expr),
    DefaultAll(Value),
    /// A default that is not needed.
    Nothing,
}

pub(super) fn embed(expr: &Expr, env: &Env<'_>) -> Result<Value, RuntimeError> {
    weight::embed(eval(expr, env)?, env.context)
}

pub(super) fn patch<'e>(patch: &'e Patch, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let target = embed(&patch.target, env).map_err(|error| error.placed(patch.span))?;
    let Value::Record(mut record) = target else {
        let kind = ErrorKind::NotRecord { what: "target of `patch`", found: target.type_name() };
        return Err(RuntimeError::new(kind, patch.target_span, patch.span));
    };
    operate(patch, env, || Arc::make_mut(&mut record))?;
    Ok(Operand::Owned(Value::Record(record)))
}

/// What `patch event …` or `merge event …` makes of an event that is not built, without building it; `None` for all
/// other expressions and events.
///
/// # Errors
/// As those of the expression.
pub(super) fn changed_event(expr: &Expr, env: &Env<'_>) -> Result<Option<Payload>, RuntimeError> {
    let is_document = |target: &Expr| target.is_event() && !env.event.is_built() && env.event.is_record();
    let mut changed = match expr {
        Expr::Patch(patch) if is_document(&patch.target) => env.event.clone(),
        Expr::Merge(merge) if is_document(&merge.left) => env.event.clone(),
        _ => return Ok(None),
    };
    match expr {
        Expr::Patch(patch) => operate(patch, env, || &mut changed)?,
        Expr::Merge(merge) => {
            let right = right_of(merge, env)?;
            let Value::Record(right) = &*right else {
                return Err(no_operand(&right, merge.right_span, merge));
            };
            merge_all(&mut changed, right);
        }
        _ => {}
    }
    Ok(Some(changed))
}

/// Computes all operands, then applies one operation after the other to the members that `target` gives.
fn operate<'m, M: Members + 'm>(
    patch: &Patch,
    env: &Env<'_>,
    target: impl FnOnce() -> &'m mut M,
) -> Result<(), RuntimeError> {
    let ready = prepare_all(patch, env)?;
    let members = target();
    for (operation, ready) in patch.operations.iter().zip(ready) {
        let error = |kind| RuntimeError::new(kind, operation.span, patch.span);
        match ready {
            Ready::Default(key, value) => {
                if !members.has(&key) {
                    let value = embed(value, env).map_err(|error| error.placed(operation.span))?;
                    members.set(key, value);
                }
            }
            ready => {
                pay_for_copy(&ready, members, env.context).map_err(|error| error.placed(operation.span))?;
                apply(ready, members).map_err(error)?;
            }
        }
    }
    Ok(())
}

/// Computes all operands.
///
/// # Errors
/// Those of the operands.
pub(super) fn prepare_all<'e>(
    patch: &'e Patch,
    env: &Env<'_>,
) -> Result<SmallVec<[Ready<'e>; 4]>, RuntimeError> {
    let ready: Result<_, RuntimeError> =
        patch.operations.iter().map(|operation| prepare(operation, env)).collect();
    ready.map_err(|error| error.placed(patch.span))
}

/// Pays for the member that a `copy` copies.
pub(super) fn pay_for_copy(
    ready: &Ready<'_>,
    members: &impl Members,
    context: &Context<'_>,
) -> Result<(), RuntimeError> {
    match ready {
        Ready::Copy(from, _) => members.member(from).map_or(Ok(()), |value| weight::pay(&value, context)),
        _ => Ok(()),
    }
}

/// What operations change: the members of a record, or of an event that is not built.
pub(super) trait Members {
    fn has(&self, key: &str) -> bool;
    fn member(&self, key: &str) -> Option<Cow<'_, Value>>;
    fn member_mut(&mut self, key: &str) -> Option<&mut Value>;
    fn set(&mut self, key: Str, value: Value);
    fn erase(&mut self, key: &str);
}

impl Members for Record {
    fn has(&self, key: &str) -> bool {
        self.contains_key(key)
    }

    fn member(&self, key: &str) -> Option<Cow<'_, Value>> {
        self.get(key).map(Cow::Borrowed)
    }

    fn member_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.get_mut(key)
    }

    fn set(&mut self, key: Str, value: Value) {
        self.insert(key, value);
    }

    fn erase(&mut self, key: &str) {
        self.remove(key);
    }
}

impl Members for Payload {
    fn has(&self, key: &str) -> bool {
        self.contains_path([key])
    }

    fn member(&self, key: &str) -> Option<Cow<'_, Value>> {
        self.get(key)
    }

    fn member_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.member_mut(key)
    }

    fn set(&mut self, key: Str, value: Value) {
        self.insert(key, value);
    }

    fn erase(&mut self, key: &str) {
        self.remove(key);
    }
}

fn prepare<'e>(operation: &'e Operation, env: &Env<'_>) -> Result<Ready<'e>, RuntimeError> {
    let key = |key| expr::key(key, env);
    let value = |value| embed(value, env);
    Ok(match &operation.kind {
        OperationKind::Insert(k, v) => Ready::Insert(key(k)?, value(v)?),
        OperationKind::Update(k, v) => Ready::Update(key(k)?, value(v)?),
        OperationKind::Upsert(k, v) => Ready::Upsert(key(k)?, value(v)?),
        OperationKind::Erase(k) => Ready::Erase(key(k)?),
        OperationKind::Copy(from, to) => Ready::Copy(key(from)?, key(to)?),
        OperationKind::Move(from, to) => Ready::Move(key(from)?, key(to)?),
        OperationKind::Merge(k, v) => Ready::Merge(key(k)?, value(v)?),
        OperationKind::MergeAll(v) => Ready::MergeAll(value(v)?),
        OperationKind::Default(k, v) => Ready::Default(key(k)?, v),
        OperationKind::DefaultAll(v) => Ready::DefaultAll(value(v)?),
    })
}

pub(super) fn apply(ready: Ready<'_>, members: &mut impl Members) -> Result<(), ErrorKind> {
    match ready {
        Ready::Insert(key, _) if members.has(&key) => return Err(ErrorKind::KeyExists(key)),
        Ready::Update(key, _) if !members.has(&key) => return Err(ErrorKind::NoSuchKey(key)),
        Ready::Insert(key, value) | Ready::Update(key, value) | Ready::Upsert(key, value) => {
            members.set(key, value);
        }
        Ready::Erase(key) => members.erase(&key),
        Ready::Copy(_, to) | Ready::Move(_, to) if members.has(&to) => {
            return Err(ErrorKind::KeyExists(to));
        }
        Ready::Copy(from, to) => {
            if let Some(value) = members.member(&from).map(Cow::into_owned) {
                members.set(to, value);
            }
        }
        Ready::Move(from, to) => {
            if let Some(value) = members.member(&from).map(Cow::into_owned) {
                members.erase(&from);
                members.set(to, value);
            }
        }
        Ready::Merge(key, value) => merge_member(members, key, value)?,
        Ready::MergeAll(value) => {
            let Value::Record(record) = &value else {
                return Err(ErrorKind::MergeConflict { key: None, found: value.type_name() });
            };
            merge_all(members, record);
        }
        Ready::Default(..) | Ready::Nothing => {}
        Ready::DefaultAll(value) => {
            let Value::Record(defaults) = &value else {
                let what = "operand of `default`";
                return Err(ErrorKind::NotRecord { what, found: value.type_name() });
            };
            fill_in_all(members, defaults);
        }
    }
    Ok(())
}

fn merge_member(members: &mut impl Members, key: Str, value: Value) -> Result<(), ErrorKind> {
    let Some(member) = members.member_mut(&key) else {
        members.set(key, value);
        return Ok(());
    };
    for side in [&*member, &value] {
        if side.as_record().is_none() {
            return Err(ErrorKind::MergeConflict { key: Some(key), found: side.type_name() });
        }
    }
    member.merge(&value);
    Ok(())
}

/// Members that are records on both sides are merged, all others replaced.
fn merge_all(members: &mut impl Members, right: &Record) {
    for (key, value) in right.iter() {
        match value {
            Value::Record(_) => match members.member_mut(key) {
                // Whatever else is there, it is replaced.
                Some(member) => member.merge(value),
                None => members.set(key.clone(), value.clone()),
            },
            value => members.set(key.clone(), value.clone()),
        }
    }
}

/// Adds what is missing, also inside members that are records on both sides.
fn fill_in_all(members: &mut impl Members, defaults: &Record) {
    for (key, value) in defaults.iter() {
        match (members.has(key), value) {
            (false, value) => members.set(key.clone(), value.clone()),
            (true, Value::Record(defaults)) => {
                if let Some(Value::Record(member)) = members.member_mut(key) {
                    fill_in(member, defaults);
                }
            }
            (true, _) => {}
        }
    }
}

/// The same at any depth, without a stack that grows with it.
fn fill_in(members: &mut Arc<Record>, defaults: &Record) {
    // Records on the way down: what is filled in, what is still to come for it, and its key in the one above.
    let mut above = Vec::new();
    let (mut target, mut rest, mut name) = (std::mem::take(members), defaults.iter(), None);
    loop {
        if let Some((key, value)) = rest.next() {
            let record = Arc::make_mut(&mut target);
            match (record.get_mut(key), value) {
                (None, value) => {
                    record.insert(key.clone(), value.clone());
                }
                (Some(Value::Record(inner)), Value::Record(defaults)) => {
                    // The place is kept until the record comes back.
                    let inner = std::mem::take(inner);
                    let outer = (std::mem::replace(&mut target, inner), rest, name.replace(key));
                    above.push(outer);
                    rest = defaults.iter();
                }
                (Some(_), _) => {}
            }
            continue;
        }
        let (Some((mut outer, after, outer_name)), Some(key)) = (above.pop(), name) else { break };
        if let Some(place) = Arc::make_mut(&mut outer).get_mut(key) {
            *place = Value::Record(target);
        }
        (target, rest, name) = (outer, after, outer_name);
    }
    *members = target;
}

pub(super) fn merge<'e>(merge: &'e Merge, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let mut left = embed(&merge.left, env).map_err(|error| error.placed(merge.span))?;
    let right = right_of(merge, env)?;
    for (side, span) in [(&left, merge.left_span), (&*right, merge.right_span)] {
        if side.as_record().is_none() {
            return Err(no_operand(side, span, merge));
        }
    }
    left.merge(&right);
    Ok(Operand::Owned(left))
}

pub(super) fn right_of<'e>(merge: &'e Merge, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let right = eval(&merge.right, env)?;
    weight::pay_parts(&right, env.context).map_err(|error| error.placed(merge.span))?;
    Ok(right)
}

pub(super) fn no_operand(side: &Value, span: Span, merge: &Merge) -> RuntimeError {
    let kind = ErrorKind::NotRecord { what: "operand of `merge`", found: side.type_name() };
    RuntimeError::new(kind, span, merge.span)
}
