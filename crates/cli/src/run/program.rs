//! What `tremor run` runs on every event.

use super::output::Output;
use crate::{CliError, engine, output as streams};
use std::sync::{Arc, Mutex, PoisonError};
use tremor_diagnostic::SourceMap;
use tremor_event::Event;
use tremor_lang::{Compiled, Host, Outcome, RuntimeError, Script};
use tremor_pipeline::{Environment, Graph, Outputs, Pipeline, PortId, ProcessContext, Report, ScriptRunner};

/// A script or a query.
pub(super) enum Program {
    Script(ScriptRunner),
    Query { pipeline: Pipeline, input: PortId, err: Option<PortId>, outputs: Outputs },
}

impl Program {
    /// A script, with its state.
    pub(super) fn script(script: Compiled<Script>) -> Self {
        Self::Script(ScriptRunner::new(script))
    }

    /// A query, which reads from its port `in`.
    pub(super) fn query(graph: &Arc<Graph>, host: Arc<dyn Host>) -> Result<Self, CliError> {
        let input = graph.input("in").ok_or_else(|| CliError::new("the query has no input port `in`"))?;
        let (err, outputs) = (graph.output("err"), Outputs::new(graph));
        let pipeline = graph.instance(&Environment { ids: Arc::default(), host });
        Ok(Self::Query { pipeline, input, err, outputs })
    }

    /// Runs on one event; an error with a place in the program is shown and costs this event only.
    pub(super) fn event(
        &mut self,
        event: Event,
        host: &dyn Host,
        output: &mut Output,
    ) -> Result<(), CliError> {
        match self {
            Self::Script(runner) => run_script(runner, event, host, output),
            Self::Query { pipeline, input, err, outputs } => {
                let failures = Failures::default();
                let context = ProcessContext { host, report: &failures };
                pipeline.process(*input, event.into(), outputs, &context);
                write(outputs, *err, output)?;
                failures.into_result()
            }
        }
    }

    /// Tells operators that time has passed.
    pub(super) fn tick(&mut self, host: &dyn Host, output: &mut Output) -> Result<(), CliError> {
        self.operators(host, output, |pipeline, outputs, context| {
            pipeline.tick(host.now_ns(), outputs, context);
        })
    }

    /// No event will come any more.
    pub(super) fn drain(&mut self, host: &dyn Host, output: &mut Output) -> Result<(), CliError> {
        self.operators(host, output, |pipeline, outputs, context| pipeline.drain(outputs, context))
    }

    fn operators(
        &mut self,
        host: &dyn Host,
        output: &mut Output,
        act: impl FnOnce(&mut Pipeline, &mut Outputs, &ProcessContext<'_>),
    ) -> Result<(), CliError> {
        let Self::Query { pipeline, err, outputs, .. } = self else { return Ok(()) };
        let failures = Failures::default();
        act(pipeline, outputs, &ProcessContext { host, report: &failures });
        write(outputs, *err, output)?;
        failures.into_result()
    }
}

/// Writes what left a query.
fn write(outputs: &mut Outputs, err: Option<PortId>, output: &mut Output) -> Result<(), CliError> {
    for (port, batch) in outputs.drain() {
        let is_err = Some(port) == err;
        for event in batch.events {
            for element in event.elements() {
                if is_err {
                    output.error(element.value());
                } else {
                    output.value(element.content, element.meta, event.ingest_ns)?;
                }
            }
            // Operators want to hear that it went well.
            event.settle(tremor_event::Outcome::Delivered { took_ns: 0 });
        }
    }
    Ok(())
}

fn run_script(
    runner: &mut ScriptRunner,
    mut event: Event,
    host: &dyn Host,
    output: &mut Output,
) -> Result<(), CliError> {
    let outcome = runner.run(&mut event.payload, &mut event.meta, event.ingest_ns, host);
    let is_err = |port: &Option<tremor_value::Str>| port.as_deref() == Some("err");
    match outcome {
        Ok(Outcome::Drop) => Ok(()),
        Ok(Outcome::Emit { port, value }) if is_err(&port) => {
            output.error(&value);
            Ok(())
        }
        Ok(Outcome::Emit { value, .. }) => output.value(&value, &event.meta, event.ingest_ns),
        Ok(Outcome::EmitEvent { port }) if is_err(&port) => {
            streams::stderr_line(&event.payload.value().to_string());
            Ok(())
        }
        Ok(Outcome::EmitEvent { .. }) => output.value(&event.payload, &event.meta, event.ingest_ns),
        Err(error) => {
            show(&error, runner.sources());
            Ok(())
        }
    }
}

fn show(error: &RuntimeError, sources: &SourceMap) {
    engine::show(&[error.to_diagnostic(sources)], sources);
}

/// Shows errors. Those of selects end the run, those of scripts cost their event.
#[derive(Default)]
struct Failures(Mutex<Option<String>>);

impl Report for Failures {
    fn select_failed(&self, error: &RuntimeError, sources: &SourceMap) {
        show(error, sources);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.message());
    }

    fn script_failed(&self, error: &RuntimeError, sources: &SourceMap) {
        show(error, sources);
    }
}

impl Failures {
    fn into_result(self) -> Result<(), CliError> {
        match self.0.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(message) => Err(CliError::new(format!("Error processing event: {message}"))),
            None => Ok(()),
        }
    }
}
