//! A script on its own, as `tremor run x.tremor` uses it.

use std::sync::Arc;
use tremor_diagnostic::SourceMap;
use tremor_lang::{Compiled, Context, Host, Outcome, RuntimeError, Script};
use tremor_value::{Meta, Payload, Value};

/// A script with the state that it keeps from event to event.
#[derive(Debug)]
pub struct ScriptRunner {
    script: Script,
    sources: Arc<SourceMap>,
    state: Value,
}

impl ScriptRunner {
    /// A runner whose state is null.
    #[must_use]
    pub fn new(script: Compiled<Script>) -> Self {
        Self { script: script.program, sources: script.sources, state: Value::Null }
    }

    /// The texts behind the spans of its errors.
    #[must_use]
    pub fn sources(&self) -> &Arc<SourceMap> {
        &self.sources
    }

    /// Runs the script on one event without origin; both parts of the event are changed in place.
    ///
    /// # Errors
    /// See `spec/language-script.md` 16.2; changes made before the error stay.
    pub fn run(
        &mut self,
        payload: &mut Payload,
        meta: &mut Meta,
        ingest_ns: u64,
        host: &dyn Host,
    ) -> Result<Outcome, RuntimeError> {
        let context = Context::new(ingest_ns, None, Some(host));
        self.script.run(payload, meta, &mut self.state, &Value::Null, &context)
    }
}
