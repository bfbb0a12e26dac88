//! Choosing the clause of a `match` and testing patterns (`spec/language-script.md` sections 7 and 8).

use super::{Bound, Env, Operand, eval, path, weight};
use crate::{
    error::{ErrorKind, RuntimeError},
    eval::is_true,
    ir::{Clause, Field, FieldTest, Jump, Match, Pattern, Test},
    ops,
};
use std::iter;
use tremor_diagnostic::Span;
use tremor_syntax::ast::BinaryOp;
use tremor_value::{Record, Value};

/// A clause together with the value its pattern binds.
type Selected<'p, Arm> = (&'p Clause<Arm>, Option<Value>);

/// What a `match` looks at.
enum Target<'e> {
    Value(Operand<'e>),
    /// The event, a record that is not built: patterns ask for its members one by one.
    Event,
}

/// The first clause that applies.
///
/// # Errors
/// E-R1 if there is none, and whatever target, patterns and guards give.
pub(super) fn select<'p, Arm>(
    match_: &'p Match<Arm>,
    env: &Env<'_>,
) -> Result<Selected<'p, Arm>, RuntimeError> {
    let target = if match_.target.is_event() && !env.event.is_built() && env.event.is_record() {
        Target::Event
    } else {
        Target::Value(eval(&match_.target, env)?)
    };
    let mut jumps = match_.jumps.iter().peekable();
    let mut index = 0;
    while let Some(clause) = match_.clauses.get(index) {
        if let Some(jump) = jumps.next_if(|jump| jump.start == index)
            && let Some(candidates) = candidates(jump, &target)
        {
            for clause in candidates.iter().filter_map(|index| match_.clauses.get(*index)) {
                // The target was found by what they compare with.
                let value = if clause.binds.is_none() {
                    guard(clause.guard.as_ref(), env, match_.span)?.then_some(None)
                } else {
                    applies(clause, &target, env, match_.span)?
                };
                if let Some(value) = value {
                    return Ok((clause, value));
                }
            }
            index = jump.end;
            continue;
        }
        if let Some(value) = applies(clause, &target, env, match_.span)? {
            return Ok((clause, value));
        }
        index += 1;
    }
    Err(RuntimeError::around(ErrorKind::NoClause, match_.span, 2))
}

/// The clauses of the run that can match the target; `None` if they have to be tried one by one.
fn candidates<'j>(jump: &'j Jump, target: &Target<'_>) -> Option<&'j [usize]> {
    let Target::Value(target) = target else { return Some(&[]) };
    let found = match &**target {
        Value::String(text) => jump.strings.get(text),
        Value::I64(number) => jump.integers.get(&i128::from(*number)),
        Value::U64(number) => jump.integers.get(&i128::from(*number)),
        Value::F64(_) | Value::Bytes(_) => return None,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Record(_) => None,
    };
    Some(found.map_or(&[], Vec::as_slice))
}

/// Whether pattern and guard hold, and with which value for the pattern's variable.
fn applies<Arm>(
    clause: &Clause<Arm>,
    target: &Target<'_>,
    env: &Env<'_>,
    whole: Span,
) -> Result<Option<Option<Value>>, RuntimeError> {
    let pattern = &clause.pattern;
    if clause.binds.is_none() {
        let holds = match (target, pattern) {
            (_, Pattern::Any) => true,
            (Target::Value(target), pattern) => test(pattern, target, env, whole)?,
            (Target::Event, Pattern::Record(fields)) => fields_hold(fields, env, env, whole)?,
            // None of these matches a record.
            (Target::Event, Pattern::Extract(_) | Pattern::Array(_) | Pattern::Tuple { .. }) => false,
            (Target::Event, pattern) => test(pattern, env.event.value(), env, whole)?,
        };
        let holds = holds && guard(clause.guard.as_ref(), env, whole)?;
        return Ok(holds.then_some(None));
    }
    let value = match (target, pattern) {
        (Target::Value(target), pattern) => extract(pattern, target, env, whole)?,
        (Target::Event, Pattern::Record(fields)) => extract_fields(fields, env, env, whole)?,
        (Target::Event, Pattern::Extract(_) | Pattern::Array(_) | Pattern::Tuple { .. }) => None,
        (Target::Event, pattern) => extract(pattern, env.event.value(), env, whole)?,
    };
    let Some(value) = value else { return Ok(None) };
    pay_for(&clause.pattern, &value, env)?;
    let bound = Bound { value: Operand::Ref(&value), outer: env.bound };
    let holds = guard(clause.guard.as_ref(), &Env { bound: Some(&bound), ..*env }, whole)?;
    Ok(holds.then_some(Some(value)))
}

/// Whether a guard, if there is one, holds.
///
/// # Errors
/// E-T1 at the guard if it is no bool; `whole` is the `match`, `for` or function it belongs to.
pub(super) fn guard(
    guard: Option<&(crate::ir::Expr, Span)>,
    env: &Env<'_>,
    whole: Span,
) -> Result<bool, RuntimeError> {
    let Some((guard, span)) = guard else { return Ok(true) };
    is_true(guard, env)?.map_err(|found| RuntimeError::new(ErrorKind::Guard { found }, *span, whole))
}

/// Whether `pattern` matches; `whole` is the `match`, where comparisons that cannot be made are reported.
pub(super) fn test(
    pattern: &Pattern,
    target: &Value,
    env: &Env<'_>,
    whole: Span,
) -> Result<bool, RuntimeError> {
    match pattern {
        Pattern::Any => Ok(true),
        Pattern::Equals(expr) => {
            let value = eval(expr, env)?;
            weight::pay_comparison(&value, target, env.context)?;
            Ok(value.loose_eq(target))
        }
        Pattern::Extract(test) => accepts(test, target, env),
        Pattern::Record(fields) => {
            let Value::Record(record) = target else { return Ok(false) };
            fields_hold(fields, &**record, env, whole)
        }
        Pattern::Array(elements) => {
            let Value::Array(items) = target else { return Ok(false) };
            all(elements, |element| any(items, |item| test(element, item, env, whole)))
        }
        Pattern::Tuple { items: patterns, open } => {
            let Value::Array(items) = target else { return Ok(false) };
            if !fits(patterns, *open, items) {
                return Ok(false);
            }
            let mut pairs = patterns.iter().zip(items.iter());
            pairs.try_fold(true, |holds, (pattern, item)| Ok(holds && test(pattern, item, env, whole)?))
        }
    }
}

/// The value that `pattern` gives to its variable, if it matches.
pub(super) fn extract(
    pattern: &Pattern,
    target: &Value,
    env: &Env<'_>,
    whole: Span,
) -> Result<Option<Value>, RuntimeError> {
    match pattern {
        Pattern::Any => Ok(Some(target.clone())),
        Pattern::Equals(expr) => {
            let value = eval(expr, env)?;
            weight::pay_comparison(&value, target, env.context)?;
            Ok(value.loose_eq(target).then(|| value.into_value()))
        }
        Pattern::Extract(test) => take_out(test, target, env),
        Pattern::Record(fields) => {
            let Value::Record(record) = target else { return Ok(None) };
            extract_fields(fields, &**record, env, whole)
        }
        Pattern::Array(elements) => extract_array(elements, target, env, whole),
        Pattern::Tuple { items: patterns, open } => {
            let Value::Array(items) = target else { return Ok(None) };
            if !fits(patterns, *open, items) {
                return Ok(None);
            }
            let mut values = Vec::with_capacity(patterns.len());
            for (pattern, item) in patterns.iter().zip(items.iter()) {
                match extract_element(pattern, item, env, whole)? {
                    Some(value) => values.push(value),
                    None => return Ok(None),
                }
            }
            Ok(Some(Value::from(values)))
        }
    }
}

/// As [`extract`], for elements of arrays, tuples and parameters: an expression gives the item, not its own value.
pub(super) fn extract_element(
    pattern: &Pattern,
    item: &Value,
    env: &Env<'_>,
    whole: Span,
) -> Result<Option<Value>, RuntimeError> {
    match pattern {
        Pattern::Equals(_) => Ok(test(pattern, item, env, whole)?.then(|| item.clone())),
        _ => extract(pattern, item, env, whole),
    }
}

/// Whether the extractor accepts the value; only texts are accepted.
fn accepts(test: &Test, target: &Value, env: &Env<'_>) -> Result<bool, RuntimeError> {
    let Value::String(text) = target else { return Ok(false) };
    pay_look(test, text, env)?;
    test.extractor.test(text).map_err(|kind| RuntimeError::around(kind, test.span, 2))
}

/// What the extractor makes of the value, if it accepts it.
fn take_out(test: &Test, target: &Value, env: &Env<'_>) -> Result<Option<Value>, RuntimeError> {
    let Value::String(text) = target else { return Ok(None) };
    pay_look(test, text, env)?;
    test.extractor.extract(text, env.context).map_err(|kind| RuntimeError::around(kind, test.span, 2))
}

/// Pays for a look at the text.
fn pay_look(test: &Test, text: &str, env: &Env<'_>) -> Result<(), RuntimeError> {
    if env.context.pay(test.extractor.look(text)) {
        return Ok(());
    }
    Err(RuntimeError::around(env.context.too_much(), test.span, 2))
}

/// Pays for what a pattern captured; the target itself, or what it equals, is only looked at.
pub(super) fn pay_for(pattern: &Pattern, captured: &Value, env: &Env<'_>) -> Result<(), RuntimeError> {
    match pattern {
        // What an extractor made is paid for already.
        Pattern::Any | Pattern::Equals(_) | Pattern::Extract(_) => Ok(()),
        Pattern::Record(_) | Pattern::Array(_) | Pattern::Tuple { .. } => {
            weight::pay_parts(captured, env.context)
        }
    }
}

fn fits(patterns: &[Pattern], open: bool, items: &[Value]) -> bool {
    if open { items.len() >= patterns.len() } else { items.len() == patterns.len() }
}

/// The members of a record, or of the event in an [`Env`].
trait Members {
    fn member(&self, key: &str) -> Option<Operand<'_>>;

    fn has(&self, key: &str) -> bool {
        self.member(key).is_some()
    }
}

impl Members for Record {
    fn member(&self, key: &str) -> Option<Operand<'_>> {
        self.get(key).map(Operand::Ref)
    }
}

impl Members for Env<'_> {
    fn member(&self, key: &str) -> Option<Operand<'_>> {
        path::event_member(iter::once(key), 1, self)
    }

    fn has(&self, key: &str) -> bool {
        path::event_has(iter::once(key), 1, self)
    }
}

fn fields_hold(
    fields: &[Field],
    target: &impl Members,
    env: &Env<'_>,
    whole: Span,
) -> Result<bool, RuntimeError> {
    all(fields, |field| field_holds(field, target, env, whole))
}

fn field_holds(
    field: &Field,
    target: &impl Members,
    env: &Env<'_>,
    whole: Span,
) -> Result<bool, RuntimeError> {
    match &field.test {
        FieldTest::Present => Ok(target.has(&field.key)),
        FieldTest::Absent => Ok(!target.has(&field.key)),
        FieldTest::Compare(op, expr) => {
            let Some(value) = target.member(&field.key) else { return Ok(false) };
            let operand = eval(expr, env)?;
            weight::pay_comparison(&value, &operand, env.context)?;
            compare(*op, &value, &operand, whole)
        }
        FieldTest::Nested(pattern) => match target.member(&field.key) {
            Some(value) => test(pattern, &value, env, whole),
            None => Ok(false),
        },
        FieldTest::Extract(_, test) => match target.member(&field.key) {
            Some(value) => accepts(test, &value, env),
            None => Ok(false),
        },
    }
}

fn compare(op: BinaryOp, left: &Value, right: &Value, whole: Span) -> Result<bool, RuntimeError> {
    match ops::binary(op, left, right) {
        Ok(result) => Ok(result.as_bool() == Some(true)),
        Err(error) => {
            let (left, right) = (left.type_name(), right.type_name());
            Err(RuntimeError::at(ErrorKind::Binary { op, error, left, right }, whole))
        }
    }
}

fn extract_fields(
    fields: &[Field],
    target: &impl Members,
    env: &Env<'_>,
    whole: Span,
) -> Result<Option<Value>, RuntimeError> {
    let mut captured = Record::default();
    for field in fields {
        let mut store = &field.key;
        let value = match &field.test {
            FieldTest::Present => target.member(&field.key).map(Operand::into_value),
            FieldTest::Nested(pattern) => match target.member(&field.key) {
                Some(value) => extract(pattern, &value, env, whole)?,
                None => None,
            },
            FieldTest::Extract(name, test) => {
                store = name;
                match target.member(&field.key) {
                    Some(value) => take_out(test, &value, env)?,
                    None => None,
                }
            }
            FieldTest::Absent | FieldTest::Compare(..) => {
                if !field_holds(field, target, env, whole)? {
                    return Ok(None);
                }
                continue;
            }
        };
        let Some(value) = value else { return Ok(None) };
        captured.insert(store.clone(), value);
    }
    Ok(Some(Value::from(captured)))
}

fn extract_array(
    elements: &[Pattern],
    target: &Value,
    env: &Env<'_>,
    whole: Span,
) -> Result<Option<Value>, RuntimeError> {
    let Value::Array(items) = target else { return Ok(None) };
    let mut pairs = Vec::new();
    for element in elements {
        if matches!(element, Pattern::Any) {
            if items.is_empty() {
                return Ok(None);
            }
            continue;
        }
        let before = pairs.len();
        for (index, item) in (0_u64..).zip(items.iter()) {
            if let Some(value) = extract_element(element, item, env, whole)? {
                pairs.push(Value::from(vec![Value::from(index), value]));
            }
        }
        if pairs.len() == before {
            return Ok(None);
        }
    }
    Ok(Some(Value::from(pairs)))
}

fn all<T>(
    items: &[T],
    mut holds: impl FnMut(&T) -> Result<bool, RuntimeError>,
) -> Result<bool, RuntimeError> {
    for item in items {
        if !holds(item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn any<T>(
    items: &[T],
    mut holds: impl FnMut(&T) -> Result<bool, RuntimeError>,
) -> Result<bool, RuntimeError> {
    for item in items {
        if holds(item)? {
            return Ok(true);
        }
    }
    Ok(false)
}
