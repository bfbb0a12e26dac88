//! Parts of a flow that no `connect` names: the flow runs, but probably not as meant.

use std::collections::BTreeSet;
use tremor_diagnostic::{Diagnostic, SourceMap, Span, WarningClass, codes};
use tremor_lang::{EndpointKind, Flow, Named, PipelineInstance, Statement};

/// Port that may stay unlinked: what arrives there is logged by the part that failed.
const ERR: &str = "err";

/// A warning for each connector and pipeline that takes part in nothing, for each pipeline that gets no events,
/// and for each port that a pipeline sends events to although they end there.
#[must_use]
pub fn unlinked(flow: &Flow, sources: &SourceMap) -> Vec<Diagnostic> {
    let mut named = BTreeSet::new();
    let (mut fed, mut read) = (BTreeSet::new(), BTreeSet::new());
    for link in &flow.links {
        for end in [&link.from, &link.to] {
            named.insert((end.kind == EndpointKind::Connector, end.instance.name.as_str()));
        }
        if link.to.kind == EndpointKind::Pipeline {
            fed.insert(link.to.instance.name.as_str());
        }
        if link.from.kind == EndpointKind::Pipeline {
            read.insert((link.from.instance.name.as_str(), link.from.port.name.as_str()));
        }
    }
    let mut found = Vec::new();
    let mut warn = |at: Span, message: String, hint: String| {
        let class = WarningClass::Behaviour;
        let warning = Diagnostic::warning(class, codes::UNLINKED, at, message);
        found.push(warning.outer(sources.widen(at, 1)).hint(hint));
    };
    for Named { name, span } in flow.connectors.iter().map(|connector| &connector.name) {
        if !named.contains(&(true, name)) {
            let message = format!("Connector `{name}` is linked to nothing, so it is never started");
            warn(
                *span,
                message,
                format!("Link it with `connect /connector/{name} to /pipeline/...`, or back"),
            );
        }
    }
    for pipeline in &flow.pipelines {
        let Named { name, span } = &pipeline.name;
        if !named.contains(&(false, name)) {
            let message = format!("Pipeline `{name}` is linked to nothing, so no event passes it");
            warn(*span, message, format!("Link it with `connect /connector/... to /pipeline/{name}`"));
            continue;
        }
        if !fed.contains(name.as_str()) {
            let message = format!("Nothing is connected to pipeline `{name}`, so it never gets an event");
            warn(*span, message, format!("Link it with `connect /connector/... to /pipeline/{name}`"));
        }
        for port in used_outputs(pipeline) {
            if port != ERR && !read.contains(&(name.as_str(), port)) {
                let message =
                    format!("Port `{port}` of pipeline `{name}` leads nowhere: its events are lost");
                let path = if port == "out" { name.clone() } else { format!("{name}/{port}") };
                warn(*span, message, format!("Link it with `connect /pipeline/{path} to /connector/...`"));
            }
        }
    }
    found
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
