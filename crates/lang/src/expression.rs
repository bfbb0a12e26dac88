//! Expressions of queries and deployments, ready to be evaluated.

use crate::{
    error::{ErrorKind, RuntimeError},
    eval::{self, Env, NULL, Operand},
    function::Context,
    ir::Expr,
};
use std::sync::LazyLock;
use tremor_diagnostic::Span;
use tremor_value::{Meta, Payload, Value};

/// `group` of a `select` without `group by` (`spec/language-query.md` 4.3).
static NO_GROUP: LazyLock<Value> = LazyLock::new(|| Value::from(vec![Value::Null, Value::from("[null]")]));

/// What an expression of a `select` may read.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'e> {
    /// `event`
    pub event: &'e Payload,
    /// `$`
    pub meta: &'e Meta,
    /// `args`
    pub args: &'e Value,
    /// `group`
    pub group: &'e Value,
    /// `window`
    pub window: &'e Value,
    /// Time, origin and the process.
    pub context: &'e Context<'e>,
}

impl<'e> Inputs<'e> {
    /// Inputs of a `select` without `group by` and windows.
    #[must_use]
    pub fn new(event: &'e Payload, meta: &'e Meta, args: &'e Value, context: &'e Context<'e>) -> Self {
        Self { event, meta, args, group: &NO_GROUP, window: &NULL, context }
    }

    fn env(&self) -> Env<'e> {
        Env {
            event: self.event,
            meta: self.meta,
            state: &NULL,
            args: self.args,
            group: self.group,
            window: self.window,
            locals: &[],
            bound: None,
            context: self.context,
        }
    }
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expression {
    pub(crate) expr: Expr,
    pub(crate) span: Span,
}

impl Expression {
    /// Its place.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// The value, if it is known without any event.
    #[must_use]
    pub fn as_const(&self) -> Option<&Value> {
        self.expr.as_const()
    }

    /// `true` for the bare path `event`: the event can be handed on as it is.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.expr.is_event()
    }

    /// Computes the value; what lives in the inputs is borrowed from there.
    ///
    /// # Errors
    /// See `spec/language-script.md` 16.2.
    pub fn evaluate<'e>(&'e self, inputs: &Inputs<'e>) -> Result<Operand<'e>, RuntimeError> {
        eval::eval(&self.expr, &inputs.env()).map_err(|error| error.placed(self.span))
    }

    /// Computes a `where` or `having`, which is named by `clause`; `whole` is the `select`.
    ///
    /// # Errors
    /// As [`Expression::evaluate`], and for a result that is no bool.
    pub fn holds(
        &self,
        inputs: &Inputs<'_>,
        clause: &'static str,
        whole: Span,
    ) -> Result<bool, RuntimeError> {
        eval::is_true(&self.expr, &inputs.env())
            .map_err(|error| error.placed(self.span))?
            .map_err(|found| RuntimeError::new(ErrorKind::Filter { clause, found }, self.span, whole))
    }

    /// Computes a value that depends on `args` alone.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn evaluate_with_args(&self, args: &Value) -> Result<Value, RuntimeError> {
        crate::lower::evaluate(&self.expr, args).map_err(|error| error.placed(self.span))
    }
}
