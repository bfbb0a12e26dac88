//! Compiled scripts.

use crate::{
    error::RuntimeError,
    eval::{Flow, Frame, Locals, run_script},
    function::Context,
    ir::Block,
};
use tremor_value::{Meta, Payload, Str, Value};

/// A compiled list of statements: a script, or one section of a `define script`.
#[derive(Debug)]
pub struct Script {
    pub(crate) body: Block,
    pub(crate) locals: usize,
    /// Its text mentions `state`.
    pub(crate) mentions_state: bool,
}

/// How a script ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// With a value for a port.
    Emit {
        /// The port; `None` is `out`.
        port: Option<Str>,
        /// The new payload.
        value: Value,
    },
    /// With the event as the script left it.
    EmitEvent {
        /// The port; `None` is `out`.
        port: Option<Str>,
    },
    /// Without output.
    Drop,
}

impl Script {
    /// Runs the script on one event.
    ///
    /// `event`, `meta` and `state` are changed in place, also when the script fails: what it did before the error
    /// stays (`spec/language-script.md` 1.2).
    ///
    /// # Errors
    /// See `spec/language-script.md` 16.2.
    pub fn run(
        &self,
        event: &mut Payload,
        meta: &mut Meta,
        state: &mut Value,
        args: &Value,
        context: &Context<'_>,
    ) -> Result<Outcome, RuntimeError> {
        let mut locals = Locals::new();
        if self.locals > 0 {
            locals.resize(self.locals, None);
        }
        let mut frame = Frame { event, meta, state, args, locals, context };
        Ok(match run_script(&self.body, &mut frame)? {
            Flow::Value(value) => Outcome::Emit { port: None, value },
            Flow::Event => Outcome::EmitEvent { port: None },
            Flow::Emit { value: Some(value), port } => Outcome::Emit { port, value },
            Flow::Emit { value: None, port } => Outcome::EmitEvent { port },
            // `recur` cannot stand in a script.
            Flow::Drop | Flow::Recur(_) => Outcome::Drop,
        })
    }

    /// `true` if no event can influence a later one through `state`.
    #[must_use]
    pub fn is_stateless(&self) -> bool {
        !self.mentions_state
    }
}
