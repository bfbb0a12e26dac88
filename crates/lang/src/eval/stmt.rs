//! Statements and calls of functions.

use super::{Bound, Env, NULL, Operand, change, eval, expr, fold, pattern, place, record, weight};
use crate::{
    error::{ErrorKind, RuntimeError},
    function::Context,
    ir::{Block, Body, Case, Clause, Emit, Expr, Function, Let, Match, Place, Segment, SegmentKind, Stmt},
};
use smallvec::SmallVec;
use std::sync::LazyLock;
use tremor_diagnostic::Span;
use tremor_value::{Meta, Payload, Str, Value};

/// Values of the locals, by slot. Most scripts and functions have only a few, which then need no memory of their own.
pub(crate) type Locals = SmallVec<[Option<Value>; 4]>;

/// `args` of a call without surplus arguments.
static NO_ARGS: LazyLock<Value> = LazyLock::new(|| Value::from(Vec::new()));

/// What statements run on.
pub(crate) struct Frame<'f> {
    pub(crate) event: &'f mut Payload,
    pub(crate) meta: &'f mut Meta,
    pub(crate) state: &'f mut Value,
    pub(crate) args: &'f Value,
    pub(crate) locals: Locals,
    pub(crate) context: &'f Context<'f>,
}

impl Frame<'_> {
    pub(super) fn env(&self) -> Env<'_> {
        Env {
            event: self.event,
            meta: self.meta,
            state: self.state,
            args: self.args,
            group: &NULL,
            window: &NULL,
            locals: &self.locals,
            bound: None,
            context: self.context,
        }
    }

    pub(super) fn set_local(&mut self, slot: u32, value: Option<Value>) {
        if let Some(local) = usize::try_from(slot).ok().and_then(|slot| self.locals.get_mut(slot)) {
            *local = value;
        }
    }
}

/// How a statement ended.
#[derive(Debug)]
pub(crate) enum Flow {
    /// With a value; null if nobody wanted it.
    Value(Value),
    /// With the event as its value.
    Event,
    /// The script ends here; `None` stands for the event and for port `out`.
    Emit { value: Option<Value>, port: Option<Str> },
    /// The script ends here, without output.
    Drop,
    /// The function starts again with these arguments.
    Recur(Vec<Option<Value>>),
}

/// Runs a script.
pub(crate) fn run_script(block: &Block, frame: &mut Frame<'_>) -> Result<Flow, RuntimeError> {
    let Some((last, before)) = block.split_last() else { return Ok(Flow::Value(Value::Null)) };
    if let Some(end) = run_all(before, frame)? {
        return Ok(end);
    }
    match last {
        // Nobody will ask for the event as it was.
        Stmt::Expr(expr, span) if change_event(expr, *span, frame)? => Ok(Flow::Event),
        last => run(last, frame, true),
    }
}

/// Runs statements; the value is that of the last one, if `wanted`.
pub(crate) fn run_block(block: &Block, frame: &mut Frame<'_>, wanted: bool) -> Result<Flow, RuntimeError> {
    let Some((last, before)) = block.split_last() else { return Ok(Flow::Value(Value::Null)) };
    match run_all(before, frame)? {
        Some(end) => Ok(end),
        None => run(last, frame, wanted),
    }
}

/// Runs statements whose values nobody wants; gives what ended them early.
#[inline]
fn run_all(stmts: &[Stmt], frame: &mut Frame<'_>) -> Result<Option<Flow>, RuntimeError> {
    for stmt in stmts {
        if let Stmt::Let(let_) = stmt
            && let Stmt::Expr(expr, span) = &let_.value
        {
            // What most statements are; nothing has to be handed back.
            if let_.in_place && change::assign(let_, frame, false)?.is_some() {
                continue;
            }
            if let Place::Event(segments) = &let_.place
                && !segments.is_empty()
            {
                let_in_event(let_, segments, (expr, *span), frame)?;
            } else if !let_.place.is_whole_event() || !change_event(expr, *span, frame)? {
                let value = assigned(let_, (expr, *span), frame)?;
                store(let_, value, frame)?;
            }
            continue;
        }
        if let Stmt::Let(let_) = stmt
            && let Stmt::Match(match_) = &let_.value
        {
            if let Some(end) = let_match(let_, match_, frame)? {
                return Ok(Some(end));
            }
            continue;
        }
        match run(stmt, frame, false)? {
            Flow::Value(_) | Flow::Event => {}
            end => return Ok(Some(end)),
        }
    }
    Ok(None)
}

/// Assigns what a `match` gives; gives what ended the script early.
#[inline(never)]
fn let_match(let_: &Let, match_: &Match<Block>, frame: &mut Frame<'_>) -> Result<Option<Flow>, RuntimeError> {
    let (clause, value) = pattern::select(match_, &frame.env()).map_err(|error| error.placed(match_.span))?;
    if let (None, [Stmt::Expr(expr, span)]) = (clause.binds, &*clause.arm)
        && let Place::Event(segments) = &let_.place
        && !segments.is_empty()
    {
        return let_in_event(let_, segments, (expr, *span), frame).map(|()| None);
    }
    let flow = run_arm(clause, value, frame, true).map_err(|error| error.placed(let_.span))?;
    match given(let_, flow, frame)? {
        Ok(value) => store(let_, value, frame).map(|()| None),
        Err(end) => Ok(Some(end)),
    }
}

/// Assigns to a member of the event.
#[inline(always)]
fn let_in_event(
    let_: &Let,
    segments: &[Segment],
    (expr, span): (&Expr, Span),
    frame: &mut Frame<'_>,
) -> Result<(), RuntimeError> {
    let value = match expr {
        // Is no part of the event, so it can be looked at while that changes.
        Expr::Const(value) if !value.is_container() => Operand::Ref(value),
        _ => Operand::Owned(assigned(let_, (expr, span), frame)?),
    };
    match segments {
        [Segment { kind: SegmentKind::Key(key), .. }] => {
            if frame.event.insert(key.clone(), value.into_value()) {
                return Ok(());
            }
            Err(place::keys(segments, let_.span, &frame.env())?.needs_record(0, frame.event.value()))
        }
        [Segment { kind: SegmentKind::Key(first), .. }, rest @ ..]
            if rest.iter().all(|segment| segment.key().is_some())
                && frame.event.insert_nested(first, rest.iter().filter_map(Segment::key), &value) =>
        {
            Ok(())
        }
        _ => {
            let keys = place::keys(segments, let_.span, &frame.env())?;
            place::assign_event(frame.event, &keys, value.into_value())
        }
    }
}

/// Puts what an expression makes of an event that is not built in its place; `false`, and nothing is done, if it is
/// not of that kind.
#[inline]
fn change_event(expr: &Expr, span: Span, frame: &mut Frame<'_>) -> Result<bool, RuntimeError> {
    if !matches!(expr, Expr::Patch(_) | Expr::Merge(_)) {
        return Ok(false);
    }
    let changed = record::changed_event(expr, &frame.env()).map_err(|error| error.placed(span))?;
    Ok(changed.map(|changed| *frame.event = changed).is_some())
}

pub(super) fn run(stmt: &Stmt, frame: &mut Frame<'_>, wanted: bool) -> Result<Flow, RuntimeError> {
    match stmt {
        Stmt::Expr(..) if !wanted => Ok(Flow::Value(Value::Null)),
        Stmt::Expr(expr, _) if expr.is_event() => Ok(Flow::Event),
        Stmt::Expr(expr, span) => match eval(expr, &frame.env()) {
            Ok(value) => Ok(Flow::Value(value.into_value())),
            Err(error) => Err(error.placed(*span)),
        },
        Stmt::Let(let_) => assign(let_, frame, wanted),
        Stmt::Emit(emit) => run_emit(emit, frame).map_err(|error| error.placed(emit.span)),
        Stmt::Drop => Ok(Flow::Drop),
        Stmt::Match(match_) => run_match(match_, frame, wanted),
        Stmt::For(for_) => fold::run(for_, frame, wanted).map_err(|error| error.placed(for_.span)),
        Stmt::Recur(args) => {
            let env = frame.env();
            let args = args.iter().map(|arg| eval(arg, &env).map(|value| Some(value.into_value())));
            args.collect::<Result<_, _>>().map(Flow::Recur)
        }
    }
}

fn run_emit(emit: &Emit, frame: &mut Frame<'_>) -> Result<Flow, RuntimeError> {
    let env = frame.env();
    let (value, changed) = match &emit.value {
        None => (None, None),
        Some(value) if value.is_event() => (None, None),
        Some(value) => match record::changed_event(value, &env)? {
            Some(changed) => (None, Some(changed)),
            None => (Some(eval(value, &env)?.into_value()), None),
        },
    };
    let port = emit.port.as_ref().map(|port| expr::key(port, &env)).transpose()?;
    if let Some(changed) = changed {
        *frame.event = changed;
    }
    Ok(Flow::Emit { value, port })
}

fn run_match(match_: &Match<Block>, frame: &mut Frame<'_>, wanted: bool) -> Result<Flow, RuntimeError> {
    let (clause, value) = pattern::select(match_, &frame.env()).map_err(|error| error.placed(match_.span))?;
    run_arm(clause, value, frame, wanted)
}

/// Runs the arm of a clause, for which its pattern gave `value`.
fn run_arm(
    clause: &Clause<Block>,
    value: Option<Value>,
    frame: &mut Frame<'_>,
    wanted: bool,
) -> Result<Flow, RuntimeError> {
    let Some(slot) = clause.binds else { return run_block(&clause.arm, frame, wanted) };
    frame.set_local(slot, value);
    let flow = run_block(&clause.arm, frame, wanted);
    // The variable is gone after its clause, which also keeps values from staying shared longer than needed.
    frame.set_local(slot, None);
    flow
}

fn assign(let_: &Let, frame: &mut Frame<'_>, wanted: bool) -> Result<Flow, RuntimeError> {
    let whole_event = let_.place.is_whole_event();
    if let_.in_place
        && let Some(value) = change::assign(let_, frame, wanted && !whole_event)?
    {
        return Ok(if whole_event { Flow::Event } else { Flow::Value(value) });
    }
    let value = match &let_.value {
        Stmt::Expr(expr, span) if whole_event && change_event(expr, *span, frame)? => {
            return Ok(Flow::Event);
        }
        Stmt::Expr(expr, span) => assigned(let_, (expr, *span), frame)?,
        stmt => {
            let flow = run(stmt, frame, true).map_err(|error| error.placed(let_.span))?;
            match given(let_, flow, frame)? {
                Ok(value) => value,
                Err(end) => return Ok(end),
            }
        }
    };
    let result = if wanted { value.clone() } else { Value::Null };
    store(let_, value, frame)?;
    Ok(Flow::Value(result))
}

/// The value that is assigned, if a statement gives it; otherwise what ended the script.
fn given(let_: &Let, flow: Flow, frame: &Frame<'_>) -> Result<Result<Value, Flow>, RuntimeError> {
    match flow {
        Flow::Value(value) => taken_over(let_, Operand::Owned(value), frame).map(Ok),
        Flow::Event => taken_over(let_, Operand::Ref(frame.event.value()), frame).map(Ok),
        end => Ok(Err(end)),
    }
}

/// The value that is assigned, if an expression gives it.
fn assigned(let_: &Let, (expr, span): (&Expr, Span), frame: &Frame<'_>) -> Result<Value, RuntimeError> {
    let value = eval(expr, &frame.env()).map_err(|error| error.placed(span))?;
    taken_over(let_, value, frame)
}

fn taken_over(let_: &Let, value: Operand<'_>, frame: &Frame<'_>) -> Result<Value, RuntimeError> {
    if let_.place.is_member() {
        weight::embed(value, frame.context).map_err(|error| error.placed(let_.span))
    } else {
        Ok(value.into_value())
    }
}

fn store(let_: &Let, value: Value, frame: &mut Frame<'_>) -> Result<(), RuntimeError> {
    let whole = let_.span;
    match &let_.place {
        Place::Local { slot, segments, .. } if segments.is_empty() => {
            frame.set_local(*slot, Some(value));
            Ok(())
        }
        Place::Local { slot, name, span, segments } => {
            let keys = place::keys(segments, whole, &frame.env())?;
            let local = usize::try_from(*slot).ok().and_then(|slot| frame.locals.get_mut(slot));
            let Some(Some(local)) = local else {
                return Err(RuntimeError::at(ErrorKind::UnknownLocal(name.clone()), *span));
            };
            place::assign(local, &keys, value)
        }
        Place::Event(segments) => {
            let keys = place::keys(segments, whole, &frame.env())?;
            place::assign_event(frame.event, &keys, value)
        }
        Place::Meta(segments) => {
            let keys = place::keys(segments, whole, &frame.env())?;
            place::assign_meta(frame.meta, &keys, value)
        }
        Place::State(segments) => {
            let keys = place::keys(segments, whole, &frame.env())?;
            place::assign(frame.state, &keys, value)
        }
        Place::WholeMeta => Err(RuntimeError::around(ErrorKind::AssignMeta, whole, 2)),
        Place::Invalid(what) => Err(RuntimeError::around(ErrorKind::AssignInvalid(what), whole, 2)),
    }
}

/// Calls a function with `args`; `span` is the call.
///
/// # Errors
/// What its body gives, and E-R9 at the call.
pub(super) fn call(
    function: &Function,
    mut args: Locals,
    span: Span,
    context: &Context<'_>,
) -> Result<Value, RuntimeError> {
    let mut surplus = take_surplus(&mut args, function);
    for _ in 0..=function.recurs {
        if !context.step() {
            return Err(RuntimeError::around(ErrorKind::TooManySteps, span, 2));
        }
        match call_once(function, args, surplus.as_ref().unwrap_or(&NO_ARGS), context)? {
            Flow::Value(value) => return Ok(value),
            Flow::Recur(again) => {
                args = Locals::from_vec(again);
                if function.open {
                    surplus = take_surplus(&mut args, function);
                }
            }
            // A function can neither emit nor drop.
            Flow::Event | Flow::Emit { .. } | Flow::Drop => return Ok(Value::Null),
        }
    }
    Err(RuntimeError::around(ErrorKind::Recursion { limit: function.recurs }, span, 2))
}

/// Takes the arguments beyond the parameters out, if there are some.
fn take_surplus(args: &mut Locals, function: &Function) -> Option<Value> {
    (args.len() > function.params).then(|| args.drain(function.params..).flatten().collect())
}

fn call_once(
    function: &Function,
    mut locals: Locals,
    surplus: &Value,
    context: &Context<'_>,
) -> Result<Flow, RuntimeError> {
    locals.resize(function.slots, None);
    let (mut event, mut meta, mut state) = (Payload::default(), Meta::NULL, Value::Null);
    let mut frame =
        Frame { event: &mut event, meta: &mut meta, state: &mut state, args: surplus, locals, context };
    let flow = match &function.body {
        Body::Native(_) => Flow::Value(Value::Null),
        Body::Statements(block) => run_block(block, &mut frame, true)?,
        Body::Cases { cases, default } => {
            run_block(choose_case(cases, default, function, &mut frame)?, &mut frame, true)?
        }
    };
    Ok(match flow {
        Flow::Event => Flow::Value(event.into_value()),
        flow => flow,
    })
}

/// The arm of the first case that applies; the parameters then hold what its patterns gave.
fn choose_case<'f>(
    cases: &'f [Case],
    default: &'f Block,
    function: &Function,
    frame: &mut Frame<'_>,
) -> Result<&'f Block, RuntimeError> {
    for case in cases {
        if let Some(values) = case_applies(case, function.params, frame)? {
            for (slot, value) in (0..).zip(values) {
                frame.set_local(slot, Some(value));
            }
            return Ok(&case.body);
        }
    }
    Ok(default)
}

/// The values that the parameters take in this case, if its patterns match and its guard holds.
fn case_applies(
    case: &Case,
    params: usize,
    frame: &Frame<'_>,
) -> Result<Option<SmallVec<[Value; 4]>>, RuntimeError> {
    let Some(patterns) = &case.patterns else { return Ok(None) };
    let env = frame.env();
    let mut values = SmallVec::with_capacity(params);
    for (pattern, local) in patterns.iter().zip(&frame.locals) {
        let Some(local) = local else { return Ok(None) };
        match pattern::extract_element(pattern, local, &env, case.span)? {
            Some(value) => {
                pattern::pay_for(pattern, &value, &env)?;
                values.push(value);
            }
            None => return Ok(None),
        }
    }
    let holds = pattern::guard(case.guard.as_ref(), &env, case.span)?;
    Ok(holds.then_some(values))
}

/// Runs `inner` with one more variable in scope.
pub(super) fn with_bound<T>(
    env: &Env<'_>,
    value: Operand<'_>,
    inner: impl FnOnce(&Env<'_>) -> Result<T, RuntimeError>,
) -> Result<T, RuntimeError> {
    let bound = Bound { value, outer: env.bound };
    inner(&Env { bound: Some(&bound), ..*env })
}
