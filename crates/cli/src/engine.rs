//! Picks the parts: the library, the module path, connector kinds, codecs.

use crate::{CliError, output};
use std::{
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tremor_connector::ExitSwitch;
use tremor_diagnostic::RenderOptions;
use tremor_lang::{Compiled, Compiler, Deployment, Failure, Host, PipelineDefinition, Script};
use tremor_pipeline::Graph;
use tremor_runtime::{Parts, Plan};
use tremor_value::Value;

/// Name of a machine that does not tell its own.
const UNKNOWN_HOST: &str = "tremor_host.local";

/// What scripts may ask of this process.
pub(crate) struct Process {
    instance: String,
    hostname: String,
}

impl Process {
    /// The process under the name `instance`.
    pub(crate) fn new(instance: &str) -> Self {
        let hostname = rustix::system::uname().nodename().to_str().unwrap_or(UNKNOWN_HOST).to_owned();
        Self { instance: instance.to_owned(), hostname }
    }
}

impl Host for Process {
    fn now_ns(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
    }

    fn hostname(&self) -> &str {
        &self.hostname
    }

    fn instance(&self) -> &str {
        &self.instance
    }
}

/// A compiler with the modules of `TREMOR_PATH` and, behind them, the embedded library.
pub(crate) fn compiler() -> Compiler {
    tremor_stdlib::compiler(std::env::var("TREMOR_PATH").ok().as_deref())
}

/// What flows are made of.
pub(crate) fn parts(instance: &str, with_debug: bool, exit: ExitSwitch) -> Parts {
    let process = Process::new(instance);
    Parts {
        connectors: tremor_connectors::registry(with_debug),
        codecs: tremor_codec::Registry::standard(),
        ids: Arc::default(),
        hostname: process.hostname.as_str().into(),
        host: Arc::new(process),
        exit,
    }
}

/// How reports are shown on standard error.
pub(crate) fn report_options() -> RenderOptions {
    RenderOptions { file_name: true, colour: output::stderr_has_color(output::ColorChoice::Auto) }
}

/// Reads and compiles a deployment; shows what there is to say about it on standard error.
///
/// # Errors
/// If it cannot be read or compiled; what is wrong inside it has been shown.
pub(crate) fn deployment(file: &Path) -> Result<Compiled<Deployment>, CliError> {
    compiled(file, "troy", |name, text| compiler().compile_deployment(name, text))
}

/// The same for a query.
///
/// # Errors
/// As [`deployment`].
pub(crate) fn query(file: &Path) -> Result<Compiled<PipelineDefinition>, CliError> {
    compiled(file, "trickle", |name, text| compiler().compile_query(name, text))
}

/// The same for a script.
///
/// # Errors
/// As [`deployment`].
pub(crate) fn script(file: &Path) -> Result<Compiled<Script>, CliError> {
    compiled(file, "tremor", |name, text| compiler().compile_script(name, text))
}

/// The graph of a query without arguments.
///
/// # Errors
/// If there is none; what is wrong has been shown.
pub(crate) fn graph(query: &Compiled<PipelineDefinition>) -> Result<Arc<Graph>, CliError> {
    Graph::build(&query.program, Value::Null, query.sources.clone()).map_err(|error| {
        show(&tremor_diagnostic::render_all(&error.diagnostics, &error.sources, report_options()));
        CliError::new("the query has no graph")
    })
}

fn compiled<T>(
    file: &Path,
    sort: &str,
    compile: impl FnOnce(&str, &str) -> Result<Compiled<T>, Failure>,
) -> Result<Compiled<T>, CliError> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::new(format!("Error processing file {name}: {error}")))?;
    match compile(&name, &text) {
        Ok(compiled) => {
            let warnings = compiled.warnings.iter();
            show(&tremor_diagnostic::render_all(warnings, &compiled.sources, report_options()));
            Ok(compiled)
        }
        Err(failure) => {
            show(&failure.render(report_options()));
            Err(CliError::new(format!("failed to load {sort} file: {name}")))
        }
    }
}

/// Makes a plan of every flow that `deployment` deploys; what is wrong is shown on standard error.
///
/// # Errors
/// The first mistake of the first flow that has one.
pub(crate) fn plans(deployment: &Compiled<Deployment>, parts: &Parts) -> Result<Vec<Plan>, CliError> {
    let mut plans = Vec::new();
    let mut first_error = None;
    for flow in &deployment.program.flows {
        match Plan::new(flow, &deployment.sources, parts) {
            Ok(plan) => plans.push(plan),
            Err(problems) => {
                show(&tremor_diagnostic::render_all(&problems, &deployment.sources, report_options()));
                let message = problems.first().map(|problem| problem.message.clone()).unwrap_or_default();
                let error = CliError::new(format!("Error deploying Flow {}: {message}", flow.alias.name));
                first_error.get_or_insert(error);
            }
        }
    }
    first_error.map_or(Ok(plans), Err)
}

/// Prints reports, which end with a newline each.
fn show(reports: &str) {
    if !reports.is_empty() {
        output::stderr_line(reports.trim_end_matches('\n'));
    }
}
