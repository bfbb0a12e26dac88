//! Compiled deployments (`spec/language-deploy.md`): what the runtime starts.

mod lower;

pub(crate) use lower::{define_connector, define_flow, deployment};

use crate::query::{Arguments, Create, GivenArgument, Named, PipelineDefinition};
use std::{collections::HashMap, sync::Arc};
use tremor_diagnostic::{Diagnostic, SourceMap, Span, closest, codes};
use tremor_value::{Record, Value};

pub use tremor_syntax::ast::EndpointKind;

/// A compiled deployment.
#[derive(Debug)]
pub struct Deployment {
    /// The flows to start, in textual order. An alias may be repeated; only the first one can be started.
    pub flows: Vec<Flow>,
    /// Flows that are defined in the file, deployed or not, by name.
    pub definitions: HashMap<String, Arc<FlowDefinition>>,
}

impl Deployment {
    /// Makes a flow that the file defines but need not deploy, as archives start their `main`.
    ///
    /// # Errors
    /// If there is no such flow, or an argument is missing; the reports have positions in the file.
    pub fn instantiate(&self, name: &str, sources: &SourceMap) -> Result<Flow, Vec<Diagnostic>> {
        let Some(definition) = self.definitions.get(name) else {
            let message = format!("There is no flow `{name}` in this file");
            let names = self.definitions.keys().map(String::as_str);
            let hint = closest(name, names).map(|near| format!("Did you mean `{near}`?"));
            return Err(vec![
                Diagnostic::error_without_position(codes::UNKNOWN_FLOW, message).maybe_hint(hint),
            ]);
        };
        let alias = Named { name: name.to_owned(), span: definition.name.span };
        definition.instantiate(alias, definition.span, &[], sources)
    }
}

/// A flow with all its values computed.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The name under which it runs.
    pub alias: Named,
    /// The `deploy` statement.
    pub span: Span,
    /// The documentation of the definition, trimmed.
    pub doc: Option<String>,
    /// Connector instances in textual order; names are unique.
    pub connectors: Vec<ConnectorInstance>,
    /// Pipeline instances in textual order; names are unique.
    pub pipelines: Vec<PipelineInstance>,
    /// Connections in textual order, repeated ones included.
    pub links: Vec<Link>,
}

/// A connector to start.
#[derive(Clone, Debug)]
pub struct ConnectorInstance {
    /// Name within the flow, with its place in the `create`.
    pub name: Named,
    /// The connector kind, with its place in the definition.
    pub kind: Named,
    /// What `with` of the definition says.
    pub settings: Settings,
    /// The `create` statement.
    pub span: Span,
}

/// The `with` values of a connector. None of them is checked beyond being known.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The name of a codec, or a record with `name` and `config`.
    pub codec: Option<Setting>,
    /// A record that the connector kind checks.
    pub config: Option<Setting>,
    /// Seconds between measurements.
    pub metrics_interval_s: Option<Setting>,
    /// An array of names or of records with `name` and `config`.
    pub postprocessors: Option<Setting>,
    /// An array of names or of records with `name` and `config`.
    pub preprocessors: Option<Setting>,
    /// How to reconnect.
    pub reconnect: Option<Setting>,
}

impl Settings {
    /// The keys that there are.
    pub const KEYS: [&'static str; 6] =
        ["codec", "config", "metrics_interval_s", "postprocessors", "preprocessors", "reconnect"];

    fn slot(&mut self, key: &str) -> Option<&mut Option<Setting>> {
        match key {
            "codec" => Some(&mut self.codec),
            "config" => Some(&mut self.config),
            "metrics_interval_s" => Some(&mut self.metrics_interval_s),
            "postprocessors" => Some(&mut self.postprocessors),
            "preprocessors" => Some(&mut self.preprocessors),
            "reconnect" => Some(&mut self.reconnect),
            _ => None,
        }
    }
}

/// One value of a connector's `with`.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The value.
    pub value: Value,
    /// Where the key stands.
    pub key_span: Span,
    /// Where the value's expression stands.
    pub span: Span,
}

/// A pipeline to start.
#[derive(Clone, Debug)]
pub struct PipelineInstance {
    /// Name within the flow, with its place in the `create`.
    pub name: Named,
    /// The compiled body.
    pub definition: Arc<PipelineDefinition>,
    /// What the body sees as `args`.
    pub args: Value,
    /// The `create` statement.
    pub span: Span,
}

/// A `connect`.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where events come from.
    pub from: Endpoint,
    /// Where they go.
    pub to: Endpoint,
    /// The whole statement.
    pub span: Span,
}

/// One end of a `connect`.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// What the instance is.
    pub kind: EndpointKind,
    /// The instance.
    pub instance: Named,
    /// The port, with the default of its side; its place is that of the endpoint if it is not written.
    pub port: Named,
    /// The whole path.
    pub span: Span,
}

/// A `define connector`.
#[derive(Debug)]
pub struct ConnectorDefinition {
    /// Its name.
    pub name: Named,
    /// The connector kind.
    pub kind: Named,
    /// Declared arguments.
    pub arguments: Arguments,
    /// The `with` values, over the definition's own arguments; a later one wins.
    pub settings: Vec<GivenArgument>,
    /// The whole definition.
    pub span: Span,
}

/// A `define flow`.
#[derive(Debug)]
pub struct FlowDefinition {
    /// Its name.
    pub name: Named,
    /// Its documentation, trimmed.
    pub doc: Option<String>,
    /// Declared arguments.
    pub arguments: Arguments,
    /// `create connector` statements; of a repeated name only the last.
    pub connectors: Vec<Create<ConnectorDefinition>>,
    /// `create pipeline` statements; of a repeated name only the last.
    pub pipelines: Vec<Create<PipelineDefinition>>,
    /// `connect` statements.
    pub links: Vec<Link>,
    /// The whole definition.
    pub span: Span,
}

impl FlowDefinition {
    /// Computes all values of one instance of the flow. `given` are the arguments of the `deploy` at `span`.
    ///
    /// # Errors
    /// A report for each missing argument, each value that cannot be computed, and each connection to an unknown
    /// instance or an undeclared port of a pipeline.
    pub fn instantiate(
        &self,
        alias: Named,
        span: Span,
        given: &[GivenArgument],
        sources: &SourceMap,
    ) -> Result<Flow, Vec<Diagnostic>> {
        let mut diagnostics = self.check_links(sources);
        let args = match self.arguments.bind(given, &Value::Null, sources) {
            Ok(args) => args,
            Err(missing) => {
                diagnostics.extend(labelled(missing, span));
                return Err(diagnostics);
            }
        };
        let mut connectors = Vec::new();
        for create in &self.connectors {
            match connector(create, &args, sources) {
                Ok(connector) => connectors.push(connector),
                Err(found) => diagnostics.extend(found),
            }
        }
        let mut pipelines = Vec::new();
        for create in &self.pipelines {
            let bound = match &create.definition.arguments {
                Some(arguments) => arguments.bind(&create.given, &args, sources),
                None => Ok(Value::record()),
            };
            match bound {
                Ok(args) => pipelines.push(PipelineInstance {
                    name: create.name.clone(),
                    definition: Arc::clone(&create.definition),
                    args,
                    span: create.span,
                }),
                Err(found) => diagnostics.extend(labelled(found, create.span)),
            }
        }
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        let (doc, links) = (self.doc.clone(), self.links.clone());
        Ok(Flow { alias, span, doc, connectors, pipelines, links })
    }

    fn check_links(&self, sources: &SourceMap) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        for link in &self.links {
            diagnostics.extend(self.check_end(&link.from, true, sources));
            diagnostics.extend(self.check_end(&link.to, false, sources));
        }
        diagnostics
    }

    fn check_end(&self, end: &Endpoint, is_source: bool, sources: &SourceMap) -> Option<Diagnostic> {
        let name = end.instance.name.as_str();
        match end.kind {
            EndpointKind::Connector => {
                let names = || self.connectors.iter().map(|create| create.name.name.as_str());
                if names().any(|known| known == name) {
                    return None;
                }
                let message = format!("There is no connector `{name}` in this flow");
                Some(unknown(
                    codes::UNKNOWN_INSTANCE,
                    end.instance.span,
                    message,
                    closest(name, names()),
                    sources,
                ))
            }
            EndpointKind::Pipeline => {
                let known = self.pipelines.iter().find(|create| create.name.name == name);
                let Some(create) = known else {
                    let names = self.pipelines.iter().map(|create| create.name.name.as_str());
                    let message = format!("There is no pipeline `{name}` in this flow");
                    let nearest = closest(name, names);
                    return Some(unknown(
                        codes::UNKNOWN_INSTANCE,
                        end.instance.span,
                        message,
                        nearest,
                        sources,
                    ));
                };
                let definition = &create.definition;
                let ports = if is_source { &definition.outputs } else { &definition.inputs };
                let port = end.port.name.as_str();
                if ports.iter().any(|known| known.name.eq_ignore_ascii_case(port)) {
                    return None;
                }
                let side = if is_source { "output" } else { "input" };
                let message = format!("The pipeline `{name}` has no {side} port `{port}`");
                let names: Vec<String> = ports.iter().map(|port| format!("`{}`", port.name)).collect();
                let hint = format!("Its {side} ports are {}", names.join(", "));
                let outer = sources.widen(end.port.span, 2);
                let diagnostic = Diagnostic::error(codes::UNKNOWN_PORT, end.port.span, message);
                Some(diagnostic.outer(outer).hint(hint))
            }
        }
    }
}

fn unknown(
    code: tremor_diagnostic::Code,
    span: Span,
    message: String,
    nearest: Option<&str>,
    sources: &SourceMap,
) -> Diagnostic {
    let hint = nearest.map(|near| format!("Did you mean `{near}`?"));
    Diagnostic::error(code, span, message).outer(sources.widen(span, 2)).maybe_hint(hint)
}

/// A missing argument is marked in the definition; this adds which `create` or `deploy` lacks it.
fn labelled(diagnostics: Vec<Diagnostic>, instance: Span) -> impl Iterator<Item = Diagnostic> {
    diagnostics.into_iter().map(move |diagnostic| {
        if diagnostic.code == codes::MISSING_ARGUMENT {
            diagnostic.label(instance, "this instance does not give it")
        } else {
            diagnostic
        }
    })
}

fn connector(
    create: &Create<ConnectorDefinition>,
    flow_args: &Value,
    sources: &SourceMap,
) -> Result<ConnectorInstance, Vec<Diagnostic>> {
    let definition = &create.definition;
    let args = definition
        .arguments
        .bind(&create.given, flow_args, sources)
        .map_err(|found| labelled(found, create.span).collect::<Vec<_>>())?;
    let mut settings = Settings::default();
    let mut diagnostics = Vec::new();
    for given in &definition.settings {
        let span = given.value.span();
        match given.value.evaluate_with_args(&args) {
            Ok(value) => {
                if let Some(slot) = settings.slot(&given.name) {
                    *slot = Some(Setting { value, key_span: given.span, span });
                }
            }
            Err(error) => {
                let diagnostic = error.to_diagnostic(sources);
                diagnostics.push(diagnostic.label(create.span, "computed for this instance"));
            }
        }
    }
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    Ok(ConnectorInstance {
        name: create.name.clone(),
        kind: definition.kind.clone(),
        settings,
        span: create.span,
    })
}

/// The record that a definition without arguments sees as `args`.
#[must_use]
pub fn no_args() -> Value {
    Value::from(Record::default())
}
