//! Parts of a flow that no `connect` names: the flow runs, but probably not as meant.

use std::collections::{BTreeMap, BTreeSet};
use tremor_diagnostic::{Diagnostic, SourceMap, Span, WarningClass, codes};
use tremor_lang::{Endpoint, EndpointKind, Flow, Named, PipelineInstance, Statement};

/// Port that may stay unlinked: what arrives there is logged by the part that failed. A connector of which nothing else
/// is linked is not read (`spec/runtime.md` 4.2).
pub(crate) const ERR: &str = "err";

/// A warning for each connector and pipeline that takes part in nothing, for each source that is never read, for each
/// pipeline that gets no events, and for each port that a pipeline sends events to although they end there.
#[must_use]
pub fn unlinked(flow: &Flow, sources: &SourceMap) -> Vec<Diagnostic> {
    let mut named = BTreeSet::new();
    let mut read = BTreeSet::new();
    for link in &flow.links {
        named.extend([end(&link.from), end(&link.to)]);
        if link.from.kind == EndpointKind::Pipeline {
            read.insert((link.from.instance.name.as_str(), link.from.port.name.as_str()));
        }
    }
    let fed = fed(flow);
    let mut found = Vec::new();
    let mut warn = |at: Span, message: String, hint: String| {
        let class = WarningClass::Behaviour;
        let warning = Diagnostic::warning(class, codes::UNLINKED, at, message);
        found.push(warning.outer(sources.widen(at, 1)).hint(hint));
    };
    for Named { name, span } in flow.connectors.iter().map(|connector| &connector.name) {
        let own = (true, name.as_str());
        if !named.contains(&own) {
            let message = format!("Connector `{name}` is linked to nothing, so it is never started");
            let hint = format!("Link it with `connect /connector/{name} to /pipeline/...`, or back");
            warn(*span, message, hint);
        } else if is_linked(flow, own) && !gives_data(flow, own) {
            let message = format!("Only port `{ERR}` of connector `{name}` is linked, so it is never read");
            let hint = format!("Link what it gives with `connect /connector/{name} to /pipeline/...`");
            warn(*span, message, hint);
        } else if is_linked(flow, own) && !leads_to_sink(flow, own) {
            let message = format!("No sink stands behind connector `{name}`, so it is never read");
            warn(*span, message, sink_hint(flow, own));
        }
    }
    for pipeline in &flow.pipelines {
        let Named { name, span } = &pipeline.name;
        if !named.contains(&(false, name)) {
            let message = format!("Pipeline `{name}` is linked to nothing, so no event passes it");
            warn(*span, message, format!("Link it with `connect /connector/... to /pipeline/{name}`"));
            continue;
        }
        let lost = match fed.get(name.as_str()) {
            Some(Fed::Events) => ": its events are lost",
            // Its sources are what is to blame.
            Some(Fed::NeverRead) => continue,
            None => "",
        };
        if !flow.links.iter().any(|link| end(&link.to) == (false, name)) {
            let message = format!("Nothing is connected to pipeline `{name}`, so it never gets an event");
            warn(*span, message, format!("Link it with `connect /connector/... to /pipeline/{name}`"));
        }
        for port in used_outputs(pipeline) {
            if port != ERR && !read.contains(&(name.as_str(), port)) {
                let message = format!("Port `{port}` of pipeline `{name}` leads nowhere{lost}");
                warn(
                    *span,
                    message,
                    format!("Link it with `connect {} to /connector/...`", path(name, port)),
                );
            }
        }
    }
    found
}

/// A connector (`true`) or a pipeline, and its name.
type Part<'f> = (bool, &'f str);

fn end(endpoint: &Endpoint) -> Part<'_> {
    (endpoint.kind == EndpointKind::Connector, endpoint.instance.name.as_str())
}

/// What can be expected to arrive at a pipeline.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fed {
    /// Events.
    Events,
    /// Nothing: it stands behind sources, but no sink stands behind these.
    NeverRead,
}

/// The pipelines that stand behind sources.
fn fed(flow: &Flow) -> BTreeMap<&str, Fed> {
    let mut fed = BTreeMap::new();
    for connector in &flow.connectors {
        let source = (true, connector.name.name.as_str());
        let here = if leads_to_sink(flow, source) { Fed::Events } else { Fed::NeverRead };
        for (_, pipeline) in behind(flow, source).into_iter().filter(|(is_connector, _)| !is_connector) {
            let known = fed.entry(pipeline).or_insert(here);
            if here == Fed::Events {
                *known = here;
            }
        }
    }
    fed
}

/// Whether a source is read (`spec/runtime.md` 4.2).
fn leads_to_sink(flow: &Flow, source: Part<'_>) -> bool {
    gives_data(flow, source) && behind(flow, source).iter().any(|(is_connector, _)| *is_connector)
}

fn is_linked(flow: &Flow, source: Part<'_>) -> bool {
    flow.links.iter().any(|link| end(&link.from) == source)
}

/// Whether a port of `source` is linked that events leave by which did not fail.
fn gives_data(flow: &Flow, source: Part<'_>) -> bool {
    flow.links.iter().any(|link| end(&link.from) == source && link.from.port.name != ERR)
}

/// All that can be reached from `part` along links; events do not pass connectors.
fn behind<'f>(flow: &'f Flow, part: Part<'f>) -> BTreeSet<Part<'f>> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![part]);
    while let Some(from) = open.pop() {
        for link in flow.links.iter().filter(|link| end(&link.from) == from) {
            let to = end(&link.to);
            if reached.insert(to) && !to.0 {
                open.push(to);
            }
        }
    }
    reached
}

/// How to link a sink: behind the first pipeline that the source leads to.
fn sink_hint(flow: &Flow, source: Part<'_>) -> String {
    let first = flow.links.iter().find(|link| end(&link.from) == source);
    let pipeline =
        first.and_then(|link| flow.pipelines.iter().find(|one| end(&link.to) == (false, &one.name.name)));
    let from = pipeline.map_or_else(
        || "/pipeline/...".to_owned(),
        |pipeline| path(&pipeline.name.name, used_outputs(pipeline).next().unwrap_or("out")),
    );
    format!("Link one with `connect {from} to /connector/...`")
}

/// A port of a pipeline as `connect` writes it.
fn path(pipeline: &str, port: &str) -> String {
    if port == "out" { format!("/pipeline/{pipeline}") } else { format!("/pipeline/{pipeline}/{port}") }
}

/// Output ports that the body sends to, in the order of their declaration.
fn used_outputs(pipeline: &PipelineInstance) -> impl Iterator<Item = &str> {
    let definition = &pipeline.definition;
    let targets: BTreeSet<&str> = definition
        .statements
        .iter()
        .filter_map(|statement| match statement {
            Statement::Select(select) => Some(select.into.node.name.as_str()),
            Statement::Stream { .. }
            | Statement::Operator(_)
            | Statement::Script(_)
            | Statement::Pipeline(_) => None,
        })
        .collect();
    let outputs = definition.outputs.iter().map(|output| output.name.as_str());
    outputs.filter(move |output| targets.contains(output))
}
