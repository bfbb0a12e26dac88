//! `patch` and `merge` (`spec/language-script.md` section 11).

use super::{Env, Operand, eval, expr, weight};
use crate::{
    error::{ErrorKind, RuntimeError},
    ir::{Expr, Merge, Operation, OperationKind, Patch},
};
use std::sync::Arc;
use tremor_value::{Record, Str, Value};

/// An operation whose operands have been computed.
enum Ready<'e> {
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
}

fn embed(expr: &Expr, env: &Env<'_>) -> Result<Value, RuntimeError> {
    weight::embed(eval(expr, env)?, env.context)
}

pub(super) fn patch<'e>(patch: &'e Patch, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let target = embed(&patch.target, env).map_err(|error| error.placed(patch.span))?;
    let Value::Record(mut record) = target else {
        let kind = ErrorKind::NotRecord { what: "target of `patch`", found: target.type_name() };
        return Err(RuntimeError::new(kind, patch.target_span, patch.span));
    };
    let ready: Vec<Ready<'_>> = patch
        .operations
        .iter()
        .map(|operation| prepare(operation, env))
        .collect::<Result<_, _>>()
        .map_err(|error: RuntimeError| error.placed(patch.span))?;
    let members = Arc::make_mut(&mut record);
    for (operation, ready) in patch.operations.iter().zip(ready) {
        let error = |kind| RuntimeError::new(kind, operation.span, patch.span);
        match ready {
            Ready::Default(key, value) => {
                if !members.contains_key(&key) {
                    let value = embed(value, env).map_err(|error| error.placed(operation.span))?;
                    members.insert(key, value);
                }
            }
            ready => {
                if let Ready::Copy(from, _) = &ready
                    && let Some(value) = members.get(from)
                {
                    weight::pay(value, env.context).map_err(|error| error.placed(operation.span))?;
                }
                apply(ready, members).map_err(error)?;
            }
        }
    }
    Ok(Operand::Owned(Value::Record(record)))
}

fn prepare<'e>(operation: &'e Operation, env: &Env<'e>) -> Result<Ready<'e>, RuntimeError> {
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

fn apply(ready: Ready<'_>, members: &mut Record) -> Result<(), ErrorKind> {
    match ready {
        Ready::Insert(key, _) if members.contains_key(&key) => return Err(ErrorKind::KeyExists(key)),
        Ready::Update(key, _) if !members.contains_key(&key) => return Err(ErrorKind::NoSuchKey(key)),
        Ready::Insert(key, value) | Ready::Update(key, value) | Ready::Upsert(key, value) => {
            members.insert(key, value);
        }
        Ready::Erase(key) => {
            members.remove(&key);
        }
        Ready::Copy(_, to) | Ready::Move(_, to) if members.contains_key(&to) => {
            return Err(ErrorKind::KeyExists(to));
        }
        Ready::Copy(from, to) => {
            if let Some(value) = members.get(&from).cloned() {
                members.insert(to, value);
            }
        }
        Ready::Move(from, to) => {
            if let Some(value) = members.remove(&from) {
                members.insert(to, value);
            }
        }
        Ready::Merge(key, value) => merge_member(members, key, value)?,
        Ready::MergeAll(value) => {
            if value.as_record().is_none() {
                return Err(ErrorKind::MergeConflict { key: None, found: value.type_name() });
            }
            let mut target = Value::from(std::mem::take(members));
            target.merge(&value);
            if let Value::Record(merged) = target {
                *members = Arc::unwrap_or_clone(merged);
            }
        }
        Ready::Default(..) => {}
        Ready::DefaultAll(value) => {
            let Value::Record(defaults) = &value else {
                let what = "operand of `default`";
                return Err(ErrorKind::NotRecord { what, found: value.type_name() });
            };
            fill_in(members, defaults);
        }
    }
    Ok(())
}

fn merge_member(members: &mut Record, key: Str, value: Value) -> Result<(), ErrorKind> {
    let Some(member) = members.get_mut(&key) else {
        members.insert(key, value);
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

/// Adds what is missing, also inside members that are records on both sides: the defaults, overwritten by what is
/// there, but in the order of what is there.
fn fill_in(members: &mut Record, defaults: &Record) {
    let there = Value::from(std::mem::take(members));
    let mut filled = there.clone();
    filled.merge(&Value::from(defaults.clone()));
    filled.merge(&there);
    if let Value::Record(filled) = filled {
        *members = Arc::unwrap_or_clone(filled);
    }
}

pub(super) fn merge<'e>(merge: &'e Merge, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let place = |error: RuntimeError| error.placed(merge.span);
    let mut left = embed(&merge.left, env).map_err(place)?;
    let right = eval(&merge.right, env)?;
    weight::pay_parts(&right, env.context).map_err(place)?;
    for (side, span) in [(&left, merge.left_span), (&*right, merge.right_span)] {
        if side.as_record().is_none() {
            let kind = ErrorKind::NotRecord { what: "operand of `merge`", found: side.type_name() };
            return Err(RuntimeError::new(kind, span, merge.span));
        }
    }
    left.merge(&right);
    Ok(Operand::Owned(left))
}
