//! From the tree to the lowered form: names are resolved, constants folded, mistakes reported.

mod call;
mod expr;
mod function;
mod in_place;
mod items;
mod locals;
mod path;
mod pattern;
mod record;
mod stmt;

pub(crate) use function::define;
pub(crate) use items::{module, script_items, window};
pub(crate) use locals::Locals;
pub(crate) use path::declared_hint;

use locals::Variable;

use crate::{
    error::RuntimeError,
    eval::{self, Env, NULL},
    function::Context,
    ir::{Expr, LocalName, Path, Root},
    scope::Scope,
    session::Session,
};
use std::{collections::HashSet, sync::Arc};
use tremor_diagnostic::{Code, Diagnostic, Span, WarningClass, codes};
use tremor_syntax::ast;
use tremor_value::{Meta, Payload, Value};

/// Levels of evaluation that a program may nest, calls included: what bounds the interpreter's stack.
pub(crate) const DEPTH: u32 = 400;

/// Where an expression or statement stands, and so what it may mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// A script, or a section of a `define script` with these arguments.
    Script(Option<&'a [String]>),
    /// The body of a function.
    Function {
        /// Number of parameters.
        params: usize,
        /// It takes more arguments than that.
        open: bool,
    },
    /// An expression of a `select` in a pipeline with these arguments; at the root of a query `args` is null.
    Select(Option<&'a [String]>),
    /// A value that must be known before the first event; `args` may be mentioned if there are some.
    Config(Option<&'a [String]>),
    /// The value of a `const`.
    Const,
}

/// Lowers what stands in one scope.
pub(crate) struct Lower<'l, 'a> {
    pub(crate) session: &'l mut Session<'a>,
    pub(crate) scope: &'l Scope,
    place: Place<'l>,
    locals: &'l mut Locals,
    /// Names that are valid only in a clause, the innermost last.
    clauses: Vec<(String, Variable)>,
    /// Levels of evaluation around what is lowered now.
    level: u32,
    /// The most levels that anything lowered so far needs.
    deepest: u32,
    /// The first thing that keeps the value from being a constant.
    dynamic: Option<Span>,
    /// The first local that nothing binds.
    unknown_local: Option<Arc<LocalName>>,
    /// Something was reported, so the value is not what was meant.
    failed: bool,
    /// All calls so far are pure.
    pure: bool,
    /// `state` was mentioned.
    mentions_state: bool,
}

impl<'l, 'a> Lower<'l, 'a> {
    pub(crate) fn new(
        session: &'l mut Session<'a>,
        scope: &'l Scope,
        place: Place<'l>,
        locals: &'l mut Locals,
    ) -> Self {
        Self {
            session,
            scope,
            place,
            locals,
            clauses: Vec::new(),
            level: 0,
            deepest: 0,
            dynamic: None,
            unknown_local: None,
            failed: false,
            pure: true,
            mentions_state: false,
        }
    }

    pub(crate) fn mentions_state(&self) -> bool {
        self.mentions_state
    }

    pub(crate) fn unknown_local(&self) -> Option<&Arc<LocalName>> {
        self.unknown_local.as_ref()
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.failed |= diagnostic.is_error();
        self.session.report(diagnostic);
    }

    fn error_around(&mut self, code: Code, span: Span, lines: usize, message: impl Into<String>) {
        self.failed = true;
        self.session.error_around(code, span, lines, message);
    }

    fn not_yet(&mut self, span: Span, what: &str) -> Expr {
        self.failed = true;
        self.session.not_yet(span, what);
        broken(span)
    }

    fn note_dynamic(&mut self, span: Span) {
        self.dynamic.get_or_insert(span);
    }

    /// Runs `inner` one level deeper; `None` after a report if that is too deep.
    fn nested<T>(&mut self, span: Span, inner: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.level >= DEPTH {
            self.too_deep(span);
            return None;
        }
        self.level += 1;
        self.deepest = self.deepest.max(self.level);
        let result = inner(self);
        self.level -= 1;
        Some(result)
    }

    fn too_deep(&mut self, span: Span) {
        let message =
            format!("This is nested too deeply: more than {DEPTH} levels with all functions it calls");
        self.error_around(codes::TOO_DEEP, span, 0, message);
    }

    /// Evaluates an expression that is made of constants alone.
    fn fold(&mut self, expr: Expr, span: Span) -> Expr {
        match evaluate(&expr, &NULL) {
            Ok(value) => Expr::Const(value),
            Err(error) => {
                self.report_folding(error, span);
                broken(span)
            }
        }
    }

    fn report_folding(&mut self, error: RuntimeError, span: Span) {
        let error = error.placed(span);
        let mut diagnostic = error.to_diagnostic(&self.session.sources);
        if matches!(diagnostic.code, codes::FUNCTION_FAILED | codes::ARITY) {
            diagnostic.outer = Some(diagnostic.inner.unwrap_or(span));
        }
        self.report(diagnostic);
    }

    /// Lowers a value that must be constant: `args` defaults, directives, values of `const`.
    pub(crate) fn constant(&mut self, value: &ast::Expr) -> Option<Value> {
        let expr = self.config(value)?;
        if let Expr::Const(value) = expr {
            return Some(value);
        }
        // Without arguments nothing is left that could not be computed now.
        match evaluate(&expr, &NULL) {
            Ok(value) => Some(value),
            Err(error) => {
                self.report_folding(error, value.span);
                None
            }
        }
    }

    /// Lowers a value that must be constant apart from `args`.
    pub(crate) fn config(&mut self, value: &ast::Expr) -> Option<Expr> {
        self.dynamic = None;
        self.unknown_local = None;
        self.failed = false;
        let expr = self.expr(value);
        if self.failed {
            return None;
        }
        if let Some(dynamic) = self.dynamic {
            let message =
                "This has to be constant, so it can not depend on events, state or impure functions";
            let outer = self.session.sources.widen(dynamic, 0);
            let hint = self.unknown_local.take().and_then(|local| local.hint());
            let diagnostic = Diagnostic::error(codes::NOT_CONSTANT, dynamic, message);
            self.report(diagnostic.outer(outer).maybe_hint(hint));
            return None;
        }
        Some(expr)
    }
}

/// What stands in for an expression that was reported: it is never run.
fn broken(span: Span) -> Expr {
    let root = Root::Unknown(Arc::default());
    Expr::Path(Box::new(Path::new(root, Box::default(), span)))
}

/// Evaluates an expression that depends on nothing but constants and `args`.
pub(crate) fn evaluate(expr: &Expr, args: &Value) -> Result<Value, RuntimeError> {
    let (event, context) = (Payload::default(), Context::folding());
    let env = Env {
        event: &event,
        meta: &Meta::NULL,
        state: &NULL,
        args,
        group: &NULL,
        window: &NULL,
        locals: &[],
        bound: None,
        context: &context,
    };
    eval::eval(expr, &env).map(eval::Operand::into_value)
}

/// Warns of keys that stand there before; the later one counts. Keys may be secrets: none is named.
pub(crate) fn warn_of_repeated_keys<'k>(
    keys: impl IntoIterator<Item = (&'k str, Span)>,
    session: &mut Session<'_>,
) {
    let mut seen = HashSet::new();
    for (key, span) in keys {
        if !seen.insert(key) {
            let message = "This key stands here before; the later one counts";
            session.report(Diagnostic::warning(WarningClass::Behaviour, codes::REPEATED_KEY, span, message));
        }
    }
}
