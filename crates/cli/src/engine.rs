//! Picks the parts: the library, the module path, connector kinds, codecs.

use crate::{CliError, output};
use std::{
    collections::BTreeSet,
    num::NonZeroU32,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tremor_connector::ExitSwitch;
use tremor_diagnostic::{Diagnostic, RenderOptions, SourceMap, Span, codes};
use tremor_event::IdGenerator;
use tremor_lang::{Compiled, Compiler, Deployment, Failure, Flow, Host, PipelineDefinition, Script};
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
fn compiler() -> Compiler {
    tremor_stdlib::compiler(std::env::var("TREMOR_PATH").ok().as_deref())
}

/// What flows are made of.
pub(crate) fn parts(instance: &str, with_debug: bool, exit: ExitSwitch) -> Parts {
    let process = Process::new(instance);
    Parts {
        connectors: tremor_connectors::registry(with_debug),
        codecs: tremor_codec::Registry::standard(),
        ids: Arc::new(IdGenerator::of_process(process.now_ns())),
        hostname: process.hostname.as_str().into(),
        host: Arc::new(process),
        exit,
    }
}

/// How reports are shown on standard error.
pub(crate) fn report_options() -> RenderOptions {
    RenderOptions { file_name: true, colour: output::stderr_has_color(output::ColorChoice::Auto) }
}

/// Why something cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What the user has not been told yet, or a summary of it.
    pub(crate) message: String,
    /// Everything that is wrong has been shown on standard error.
    pub(crate) is_shown: bool,
}

impl Refusal {
    /// A summary of what has been shown.
    pub(crate) fn shown(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_shown: true }
    }

    /// Something that nothing has been said about.
    pub(crate) fn untold(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_shown: false }
    }
}

impl From<Refusal> for CliError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.message)
    }
}

/// Reads and compiles a deployment; shows what there is to say about it on standard error. Without
/// `recursion_limit`, functions have the usual one.
pub(crate) fn deployment(
    file: &Path,
    recursion_limit: Option<NonZeroU32>,
) -> Result<Compiled<Deployment>, Refusal> {
    let compiler = compiler();
    let compiler = match recursion_limit {
        Some(limit) => compiler.with_recursion_limit(limit),
        None => compiler,
    };
    compiled(file, "troy", |name, text| compiler.compile_deployment(name, text))
}

/// The same for a query.
pub(crate) fn query(file: &Path) -> Result<Compiled<PipelineDefinition>, Refusal> {
    compiled(file, "trickle", |name, text| compiler().compile_query(name, text))
}

/// The same for a script.
pub(crate) fn script(file: &Path) -> Result<Compiled<Script>, Refusal> {
    compiled(file, "tremor", |name, text| compiler().compile_script(name, text))
}

/// The graph of a query without arguments.
pub(crate) fn graph(query: &Compiled<PipelineDefinition>) -> Result<Arc<Graph>, Refusal> {
    let graph = Graph::build(&query.program, Value::Null, query.sources.clone()).map_err(|error| {
        show(&error.diagnostics, &error.sources);
        Refusal::shown("the query can not be run")
    })?;
    show(graph.warnings(), graph.sources());
    Ok(graph)
}

/// Reads a program.
pub(crate) fn read(file: &Path) -> Result<String, Refusal> {
    std::fs::read_to_string(file)
        .map_err(|error| Refusal::untold(format!("Error processing file {}: {error}", file.display())))
}

fn compiled<T>(
    file: &Path,
    sort: &str,
    compile: impl FnOnce(&str, &str) -> Result<Compiled<T>, Failure>,
) -> Result<Compiled<T>, Refusal> {
    let name = file.display().to_string();
    let text = read(file)?;
    match compile(&name, &text) {
        Ok(compiled) => {
            show_of(&name, compiled.warnings.clone(), &compiled.sources);
            Ok(compiled)
        }
        Err(failure) => {
            show_of(&name, failure.diagnostics, &failure.sources);
            Err(Refusal::shown(format!("failed to load {sort} file: {name}")))
        }
    }
}

/// Names under which flows are deployed; no two may be the same.
#[derive(Debug, Default)]
pub(crate) struct Aliases(BTreeSet<String>);

/// Makes a plan of every flow that `deployment` deploys; shows what is wrong, and what is probably not meant, on
/// standard error.
pub(crate) fn plans(
    deployment: &Compiled<Deployment>,
    parts: &Parts,
    aliases: &mut Aliases,
) -> Result<Vec<Plan>, Refusal> {
    let mut plans = Vec::new();
    let mut problems: Problems = Problems::default();
    let mut refusal = None;
    for flow in &deployment.program.flows {
        if !aliases.0.insert(flow.alias.name.clone()) {
            let message = format!("Flow with id \"{}\" is already deployed.", flow.alias.name);
            refusal.get_or_insert_with(|| message.clone());
            let at = flow.alias.span;
            let problem = Diagnostic::error(codes::DUPLICATE_FLOW, at, message)
                .outer(deployment.sources.widen(at, 2))
                .hint("Deploy it under another name: `deploy flow <name> from <definition>`");
            problems.add(vec![problem]);
            continue;
        }
        match Plan::new(flow, &deployment.sources, parts) {
            Ok(plan) => {
                problems.add(plan.warnings().to_vec());
                problems.add(tremor_runtime::unlinked(flow, &deployment.sources));
                plans.push(plan);
            }
            Err(found) => {
                refusal.get_or_insert_with(|| refused(flow, &found));
                problems.add(found);
            }
        }
    }
    show(&problems.0, &deployment.sources);
    refusal.map_or(Ok(plans), |message| Err(Refusal::shown(message)))
}

/// Checks the flows that `deployment` defines and does not deploy; shows what is wrong on standard error.
///
/// A flow with required arguments is left out: what it becomes depends on them.
pub(crate) fn check_definitions(deployment: &Compiled<Deployment>, parts: &Parts) -> Result<(), Refusal> {
    let Deployment { flows, definitions } = &deployment.program;
    // What a deployed flow is made of has been checked with it.
    let is_checked = |flow: &Flow| {
        flows.iter().any(|deployed| parts_of(deployed).any(|part| parts_of(flow).any(|other| other == part)))
    };
    let mut names: Vec<&String> = definitions.keys().collect();
    names.sort();
    let mut problems = Problems::default();
    for name in names {
        match deployment.program.instantiate(name, &deployment.sources) {
            Ok(flow) if is_checked(&flow) => {}
            Ok(flow) => problems.add(match Plan::new(&flow, &deployment.sources, parts) {
                Ok(plan) => {
                    let unlinked = tremor_runtime::unlinked(&flow, &deployment.sources);
                    plan.warnings().iter().cloned().chain(unlinked).collect()
                }
                Err(found) => found,
            }),
            Err(found) if found.iter().any(|problem| problem.code == codes::MISSING_ARGUMENT) => {}
            Err(found) => problems.add(found),
        }
    }
    show(&problems.0, &deployment.sources);
    if problems.0.iter().any(Diagnostic::is_error) {
        Err(Refusal::shown("a flow that is defined can not be deployed"))
    } else {
        Ok(())
    }
}

/// Where the parts of a flow are created: the same for all flows that are made from one definition.
fn parts_of(flow: &Flow) -> impl Iterator<Item = Span> {
    let connectors = flow.connectors.iter().map(|connector| connector.span);
    connectors.chain(flow.pipelines.iter().map(|pipeline| pipeline.span))
}

/// Reports. Two flows may be made from one definition: what is wrong with the first is not told again.
#[derive(Default)]
struct Problems(Vec<Diagnostic>);

impl Problems {
    /// Adds what is wrong with one more flow.
    fn add(&mut self, mut found: Vec<Diagnostic>) {
        found.retain(|problem| {
            let is_same = |other: &Diagnostic| {
                other.inner.is_some() && (other.code, other.inner) == (problem.code, problem.inner)
            };
            !self.0.iter().any(is_same)
        });
        self.0.append(&mut found);
    }
}

/// One line about a flow whose problems are shown in full elsewhere.
fn refused(flow: &Flow, problems: &[Diagnostic]) -> String {
    let first = problems.first().map_or("", |problem| gist(&problem.message));
    let more = match problems.len().saturating_sub(1) {
        0 => String::new(),
        1 => " (and one more mistake)".to_owned(),
        more => format!(" (and {more} more mistakes)"),
    };
    format!("Error deploying Flow {}: {first}{more}", flow.alias.name)
}

/// The beginning of a message, up to its advice.
fn gist(message: &str) -> &str {
    let line = message.lines().next().unwrap_or_default();
    let mut quote = None;
    let end = line.char_indices().find(|(at, c)| {
        match quote {
            Some(open) if open == *c => quote = None,
            // What the user wrote may look like the end of a sentence.
            Some(_) => return false,
            None if matches!(c, '`' | '"') => quote = Some(*c),
            None => {}
        }
        let rest = line.get(*at..).unwrap_or_default();
        ["; ", ". ", "? ", " ("].into_iter().any(|end| rest.starts_with(end))
    });
    end.and_then(|(end, _)| line.get(..end)).unwrap_or(line)
}

/// Prints the reports about a file; those without a place in it name it in their text.
pub(crate) fn show_of(file: &str, mut diagnostics: Vec<Diagnostic>, sources: &SourceMap) {
    for diagnostic in diagnostics.iter_mut().filter(|diagnostic| diagnostic.inner.is_none()) {
        diagnostic.message = format!("{file}: {}", diagnostic.message);
    }
    show(&diagnostics, sources);
}

/// Prints reports on standard error, a blank line behind each.
pub(crate) fn show(diagnostics: &[Diagnostic], sources: &SourceMap) {
    let reports = tremor_diagnostic::render_all(diagnostics, sources, report_options());
    output::stderr(&reports);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_connections_begin_at_the_time_of_the_start() {
        let before = Process::new("test").now_ns() / 1000;
        let conn = parts("test", false, ExitSwitch::new().0).ids.next_id();
        assert!((before..1 << 53).contains(&conn), "{conn} could be that of a connection before a restart");
    }

    #[test]
    fn a_gist_leaves_the_advice_out() {
        for (message, expected) in [
            ("Unknown connector type kafk; did you mean `kafka`?", "Unknown connector type kafk"),
            ("Codec \"jsn\" not found. Did you mean `json`?", "Codec \"jsn\" not found"),
            ("config.url: missing (a string)", "config.url: missing"),
            ("two\nlines", "two"),
            ("Unknown codec \"a; b\"; did you mean `c`?", "Unknown codec \"a; b\""),
            ("`a. b` is no port (see above)", "`a. b` is no port"),
            ("one \" alone; it is not closed", "one \" alone; it is not closed"),
            ("", ""),
            ("plain.", "plain."),
        ] {
            assert_eq!(gist(message), expected);
        }
    }
}
