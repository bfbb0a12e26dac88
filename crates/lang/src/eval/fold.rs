//! `for` (`spec/language-script.md` section 10).

use super::{Env, Operand, eval, pattern, stmt, weight};
use crate::{
    error::{ErrorKind, RuntimeError},
    eval::{Flow, Frame, run_block},
    function::Context,
    ir::{Block, Expr, For, ForClause},
    ops,
};
use std::sync::Arc;
use tremor_syntax::ast::BinaryOp;
use tremor_value::{Record, Value};

/// The items to go over, each after its index or key; none for a value that is neither array nor record.
fn items(target: &Value) -> impl Iterator<Item = (Value, &Value)> {
    let array = target.as_array().unwrap_or_default().iter();
    let record = target.as_record().map(Record::iter).into_iter().flatten();
    let indexed = array.zip(0_u64..).map(|(item, index)| (Value::from(index), item));
    indexed.chain(record.map(|(key, value)| (Value::String(key.clone()), value)))
}

pub(super) fn eval_pure<'e>(for_: &'e For<Expr>, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let target = eval(&for_.target, env)?;
    let mut folded = initial(for_, env)?;
    for (key, item) in items(&target) {
        check_steps(for_, env.context)?;
        let step = stmt::with_bound(env, Operand::Ref(&key), |env| {
            stmt::with_bound(env, Operand::Ref(item), |env| {
                for clause in &for_.clauses {
                    if pattern::guard(clause.guard.as_ref(), env, for_.span)? {
                        let value = eval(&clause.arm, env)?.into_value();
                        return Ok(Some((clause, value)));
                    }
                }
                Ok(None)
            })
        })?;
        if let Some((clause, value)) = step
            && !fold(&mut folded, value, for_, clause, env.context)?
        {
            break;
        }
    }
    Ok(Operand::Owned(folded))
}

/// Runs a statement; nothing is collected unless its value is `wanted`.
pub(super) fn run(for_: &For<Block>, frame: &mut Frame<'_>, wanted: bool) -> Result<Flow, RuntimeError> {
    let target = eval(&for_.target, &frame.env())?.into_value();
    let mut folded = initial(for_, &frame.env())?;
    // Appending to an array neither fails nor ends the loop, so nobody can tell whether it was done.
    let collects = wanted || for_.op != BinaryOp::Add || folded.as_array().is_none();
    for (key, item) in items(&target) {
        check_steps(for_, frame.context)?;
        let Some(clause) = applicable(for_, frame, &key, item)? else { continue };
        frame.set_local(clause.slots.0, Some(key));
        frame.set_local(clause.slots.1, Some(item.clone()));
        let flow = run_block(&clause.arm, frame, collects);
        frame.set_local(clause.slots.0, None);
        frame.set_local(clause.slots.1, None);
        let value = match flow? {
            Flow::Value(_) | Flow::Event if !collects => continue,
            Flow::Value(value) => value,
            Flow::Event => frame.event.value().clone(),
            end => return Ok(end),
        };
        if !fold(&mut folded, value, for_, clause, frame.context)? {
            break;
        }
    }
    Ok(Flow::Value(folded))
}

fn applicable<'a>(
    for_: &'a For<Block>,
    frame: &Frame<'_>,
    key: &Value,
    item: &Value,
) -> Result<Option<&'a ForClause<Block>>, RuntimeError> {
    stmt::with_bound(&frame.env(), Operand::Ref(key), |env| {
        stmt::with_bound(env, Operand::Ref(item), |env| {
            for clause in &for_.clauses {
                if pattern::guard(clause.guard.as_ref(), env, for_.span)? {
                    return Ok(Some(clause));
                }
            }
            Ok(None)
        })
    })
}

fn check_steps<Arm>(for_: &For<Arm>, context: &Context<'_>) -> Result<(), RuntimeError> {
    if context.step() { Ok(()) } else { Err(RuntimeError::around(ErrorKind::TooManySteps, for_.span, 2)) }
}

fn initial<Arm>(for_: &For<Arm>, env: &Env<'_>) -> Result<Value, RuntimeError> {
    match &for_.initial {
        Some(initial) => weight::embed(eval(initial, env)?, env.context),
        None => Ok(Value::from(Vec::new())),
    }
}

/// Folds one value in; `false` if nothing later can change the result.
fn fold<Arm>(
    folded: &mut Value,
    value: Value,
    for_: &For<Arm>,
    clause: &ForClause<Arm>,
    context: &Context<'_>,
) -> Result<bool, RuntimeError> {
    let at_arm = |kind| RuntimeError::new(kind, clause.last_span, for_.span);
    let value = weight::embed_value(value, context).map_err(|error| error.placed(clause.last_span))?;
    match (for_.op, &mut *folded) {
        (BinaryOp::Add, Value::Array(items)) => Arc::make_mut(items).push(value),
        (BinaryOp::Add, Value::Record(record)) => {
            let Value::Record(members) = value else {
                let kind = ErrorKind::NotRecord { what: "value of this arm", found: value.type_name() };
                return Err(at_arm(kind));
            };
            let record = Arc::make_mut(record);
            match Arc::try_unwrap(members) {
                Ok(members) => record.extend(members),
                Err(shared) => record.extend(shared.iter().map(|(key, value)| (key.clone(), value.clone()))),
            }
        }
        (op @ (BinaryOp::And | BinaryOp::Or | BinaryOp::Xor), _) => {
            let bool = |value: &Value| {
                let kind = ErrorKind::NeedsBool { op: op.as_str(), found: value.type_name() };
                value.as_bool().ok_or_else(|| at_arm(kind))
            };
            let (left, right) = (bool(folded)?, bool(&value)?);
            let result = match op {
                BinaryOp::And => left && right,
                BinaryOp::Or => left || right,
                _ => left ^ right,
            };
            *folded = Value::Bool(result);
            // `false` settles an `and`, `true` an `or`.
            return Ok(op == BinaryOp::Xor || result == (op == BinaryOp::And));
        }
        (op, Value::Array(_) | Value::Record(_)) => {
            let kind = ErrorKind::Fold { op: op.as_str(), found: folded.type_name() };
            return Err(at_arm(kind));
        }
        (op, _) => {
            let strings = op == BinaryOp::Add && (folded.as_str().is_some() || value.as_str().is_some());
            let result = if strings { Err(ops::OpError::Invalid) } else { ops::binary(op, folded, &value) };
            *folded = result.map_err(|error| {
                let (left, right) = (folded.type_name(), value.type_name());
                let kind = ErrorKind::Binary { op, error, left, right };
                RuntimeError::new(kind, clause.vars_span, for_.span)
            })?;
        }
    }
    Ok(true)
}
