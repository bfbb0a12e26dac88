//! Expressions.

use super::{Bound, Env, Locals, Operand, bytes, fold, path, pattern, record, stmt, weight};
use crate::{
    error::{ErrorKind, FailedCall, RuntimeError},
    function::FunctionError,
    ir::{Chain, Expr, FunctionCall, Key, Match, NativeCall, Piece, Step, Unary},
    ops,
};
use smallvec::SmallVec;
use std::fmt::Write;
use tremor_diagnostic::Span;
use tremor_syntax::ast::BinaryOp;
use tremor_value::{Record, Str, Value, json};

/// Computes the value of `expr`.
///
/// Every kind of expression that needs more than a line has a function of its own, which is not inlined: that keeps
/// the stack frame of this one small, which nests, and constants and paths quick.
pub(crate) fn eval<'e>(expr: &'e Expr, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    match expr {
        Expr::Const(value) => Ok(Operand::Ref(value)),
        Expr::Path(path) => path::resolve(path, env),
        Expr::Chain(chain) => eval_chain(chain, env),
        Expr::Unary(unary) => eval_unary(unary, env),
        Expr::Present { path, wanted } => present(path, *wanted, env),
        Expr::List(items) => list(items, env),
        Expr::Record(entries) => record_literal(entries, env),
        Expr::Interpolate(pieces) => interpolate(pieces, env).map(|text| Operand::Owned(Value::String(text))),
        Expr::Bytes(literal) => bytes::eval(literal, env),
        Expr::Native(call) => native(call, env),
        Expr::Call(call) => function(call, env),
        Expr::Match(match_) => eval_match(match_, env),
        Expr::For(for_) => fold::eval_pure(for_, env),
        Expr::Patch(patch) => record::patch(patch, env),
        Expr::Merge(merge) => record::merge(merge, env),
    }
}

#[inline(never)]
fn present<'e>(path: &'e crate::ir::Path, wanted: bool, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    path::is_present(path, env).map(|present| Operand::Owned(Value::Bool(present == wanted)))
}

#[inline(never)]
fn eval_chain<'e>(chain: &'e Chain, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let mut left = eval(&chain.first, env)?;
    let mut left_span = chain.first_span;
    for step in &chain.steps {
        let place = |error: RuntimeError| error.placed(step.span);
        left = match step.op {
            BinaryOp::And | BinaryOp::Or | BinaryOp::Xor => {
                Operand::Owned(Value::Bool(logic(step, &left, left_span, env)?))
            }
            op => {
                let right = eval(&step.operand, env)?;
                weight::pay_operation(op, &left, &right, env.context).map_err(place)?;
                binary(op, left, &right, step.span)?
            }
        };
        left_span = step.span;
    }
    Ok(left)
}

#[inline(never)]
fn binary<'e>(
    op: BinaryOp,
    left: Operand<'e>,
    right: &Value,
    span: Span,
) -> Result<Operand<'e>, RuntimeError> {
    // A text under construction grows in place instead of being copied for every piece.
    if let (BinaryOp::Add, Operand::Owned(Value::String(_)), Value::String(piece)) = (op, &left, right)
        && ops::check_length(left.as_str().map_or(0, str::len), piece.len(), ops::LONGEST_TEXT).is_ok()
    {
        let mut text = left.into_value();
        if let Value::String(text) = &mut text {
            text.push_str(piece);
        }
        return Ok(Operand::Owned(text));
    }
    ops::binary(op, &left, right).map(Operand::Owned).map_err(|error| {
        let (left, right) = (left.type_name(), right.type_name());
        RuntimeError::at(ErrorKind::Binary { op, error, left, right }, span)
    })
}

fn logic(step: &Step, left: &Value, left_span: Span, env: &Env<'_>) -> Result<bool, RuntimeError> {
    let needs_bool = |value: &Value, span| {
        let kind = ErrorKind::NeedsBool { op: step.op.as_str(), found: value.type_name() };
        value.as_bool().ok_or_else(|| RuntimeError::new(kind, span, step.span))
    };
    let left = needs_bool(left, left_span)?;
    match step.op {
        BinaryOp::And if !left => return Ok(false),
        BinaryOp::Or if left => return Ok(true),
        _ => {}
    }
    let right = needs_bool(&*eval(&step.operand, env)?, step.operand_span)?;
    Ok(if step.op == BinaryOp::Xor { left ^ right } else { right })
}

#[inline(never)]
fn eval_unary<'e>(unary: &'e Unary, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let operand = eval(&unary.operand, env)?;
    ops::unary(unary.op, &operand).map(Operand::Owned).map_err(|error| {
        let kind = ErrorKind::Unary { op: unary.op, error, operand: operand.type_name() };
        RuntimeError::at(kind, unary.operand_span)
    })
}

#[inline(never)]
fn list<'e>(items: &'e [Expr], env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let items: Result<Vec<Value>, _> =
        items.iter().map(|item| weight::embed(eval(item, env)?, env.context)).collect();
    items.map(|items| Operand::Owned(Value::from(items)))
}

#[inline(never)]
fn record_literal<'e>(entries: &'e [(Key, Expr)], env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let mut record = Record::with_capacity(entries.len());
    for (name, value) in entries {
        let name = key(name, env)?;
        let value = weight::embed(eval(value, env)?, env.context)?;
        record.insert(name, value);
    }
    Ok(Operand::Owned(Value::from(record)))
}

/// The text of a key.
pub(crate) fn key(key: &Key, env: &Env<'_>) -> Result<Str, RuntimeError> {
    match key {
        Key::Const(text) => Ok(text.clone()),
        Key::Pieces(pieces) => interpolate(pieces, env),
    }
}

#[inline(never)]
fn interpolate(pieces: &[Piece], env: &Env<'_>) -> Result<Str, RuntimeError> {
    // All values first: then the length is known, and the text is written into its place at once.
    let mut values: SmallVec<[Operand<'_>; 4]> = SmallVec::new();
    let mut length = 0;
    for piece in pieces {
        length += match piece {
            Piece::Text(text) => text.len(),
            Piece::Expr(expr) => {
                let value = operand_of_text(expr, env)?;
                weight::pay(&value, env.context)?;
                let length = value.as_str().map_or(LENGTH_OF_OTHERS, str::len);
                values.push(value);
                length
            }
        };
    }
    let mut text = Str::with_capacity(length);
    let mut values = values.iter();
    for piece in pieces {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Expr(_) => values.next().into_iter().for_each(|value| append_text(&mut text, value)),
        }
    }
    Ok(text)
}

/// The value of a piece; an event that is not built is written as it is.
fn operand_of_text<'e>(expr: &'e Expr, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    if expr.is_event() && !env.event.is_built() && env.event.is_record() {
        let mut text = Vec::new();
        env.event.write_json(&mut text);
        if let Ok(text) = String::from_utf8(text) {
            return Ok(Operand::Owned(Value::from(text)));
        }
    }
    eval(expr, env)
}

/// What a value that is no text is expected to need in one.
const LENGTH_OF_OTHERS: usize = 8;

/// Appends a value as interpolation shows it: text as it is, all else as compact JSON.
fn append_text(text: &mut Str, value: &Value) {
    match value {
        Value::String(piece) => text.push_str(piece),
        Value::I64(number) => {
            let _ = write!(text, "{number}");
        }
        other => text.push_str(&json::to_string(other)),
    }
}

#[inline(never)]
fn native<'e>(call: &'e NativeCall, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let apply = |args: &[&Value]| {
        let failed = |error| Box::new(FailedCall { native: call.native, count: args.len(), error });
        if !call.native.arity.accepts(args.len()) {
            let kind = ErrorKind::Arity(failed(FunctionError::BadType));
            return Err(RuntimeError::around(kind, call.span, 2));
        }
        let result = (call.native.call)(env.context, args);
        let value =
            result.map_err(|error| RuntimeError::around(ErrorKind::Function(failed(error)), call.span, 2))?;
        weight::pay_parts(&value, env.context).map_err(|error| error.placed(call.span))?;
        Ok(Operand::Owned(value))
    };
    match &*call.args {
        [] => apply(&[]),
        [a] => apply(&[&*eval(a, env)?]),
        [a, b] => {
            let (a, b) = (eval(a, env)?, eval(b, env)?);
            apply(&[&*a, &*b])
        }
        [a, b, c] => {
            let (a, b, c) = (eval(a, env)?, eval(b, env)?, eval(c, env)?);
            apply(&[&*a, &*b, &*c])
        }
        args => {
            let args: Vec<Operand<'_>> = args.iter().map(|arg| eval(arg, env)).collect::<Result<_, _>>()?;
            let args: Vec<&Value> = args.iter().map(|arg| &**arg).collect();
            apply(&args)
        }
    }
}

#[inline(never)]
fn function<'e>(call: &'e FunctionCall, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let mut args = Locals::with_capacity(call.args.len().max(call.function.slots));
    for arg in &call.args {
        args.push(Some(eval(arg, env)?.into_value()));
    }
    let value = stmt::call(&call.function, args, call.span, env.context);
    value.map(Operand::Owned).map_err(|error| error.placed(call.span))
}

#[inline(never)]
fn eval_match<'e>(match_: &'e Match<Expr>, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let (clause, value) = pattern::select(match_, env)?;
    let Some(value) = value else { return eval(&clause.arm, env) };
    let bound = Bound { value: Operand::Owned(value), outer: env.bound };
    let env = Env { bound: Some(&bound), ..*env };
    eval(&clause.arm, &env).map(|value| Operand::Owned(value.into_value()))
}

/// Computes a condition; the error says what it was instead of a bool.
pub(crate) fn is_true(expr: &Expr, env: &Env<'_>) -> Result<Result<bool, &'static str>, RuntimeError> {
    let value = eval(expr, env)?;
    Ok(value.as_bool().ok_or_else(|| value.type_name()))
}
