//! Deployments, flows and connectors, from the tree to their compiled form.

use super::{ConnectorDefinition, Deployment, Endpoint, Flow, FlowDefinition, Link, Settings};
use crate::{
    lower::{define, warn_of_repeated_keys},
    query::{
        self, Create, Named, PipelineDefinition, Unknown, config, given_arguments, lower_arguments, target,
    },
    scope::{Lookup, Names, Scope, look_up, nearest},
    session::Session,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tremor_diagnostic::{Diagnostic, WarningClass, closest, codes};
use tremor_syntax::ast::{self, CreateKind, DeployStmt, FlowStmt};

fn name_of(ident: &ast::Ident) -> Named {
    Named { name: ident.text.clone(), span: ident.span }
}

/// Compiles a deployment; reports go to the session.
pub(crate) fn deployment(deployment: &ast::Deployment, session: &mut Session<'_>) -> Deployment {
    let mut scope = Scope::default();
    let mut flows = Vec::new();
    let mut deployed = HashSet::new();
    for stmt in &deployment.stmts {
        match stmt {
            DeployStmt::Use(item) => session.import(item, &mut scope),
            DeployStmt::Flow(item) => define_flow(item, session, &mut scope),
            DeployStmt::Deploy(item) => {
                if item.from.is_none() || item.from.as_ref().is_some_and(|from| from.module.is_empty()) {
                    deployed.insert(target(item.from.as_ref(), &item.name).1.to_owned());
                }
                flows.extend(deploy(item, session, &scope));
            }
        }
    }
    // A file without any `deploy` is a library or an archive.
    if deployment.stmts.iter().any(|stmt| matches!(stmt, DeployStmt::Deploy(_))) {
        for stmt in &deployment.stmts {
            if let DeployStmt::Flow(flow) = stmt
                && !deployed.contains(&flow.name.text)
            {
                warn_unused(session, "flow", &flow.name, "deployed");
            }
        }
    }
    let definitions =
        scope.names.flows.into_iter().filter_map(|(name, flow)| flow.map(|flow| (name, flow))).collect();
    Deployment { flows, definitions }
}

fn warn_unused(session: &mut Session<'_>, kind: &str, name: &ast::Ident, done: &str) {
    let message = format!("The {kind} `{}` is defined and never {done}", name.text);
    let class = WarningClass::General;
    session.report(Diagnostic::warning(class, codes::UNUSED_DEFINITION, name.span, message));
}

fn deploy(item: &ast::Deploy, session: &mut Session<'_>, scope: &Scope) -> Option<Flow> {
    let (module, name) = target(item.from.as_ref(), &item.name);
    let definition = match look_up(scope, module, name, |names| &names.flows) {
        Lookup::Found(definition) => definition,
        Lookup::Broken => return None,
        Lookup::Missing => {
            report_unknown_flow(item, (module, name), session, scope);
            return None;
        }
    };
    let declared = Some(&definition.arguments);
    let unknown = Unknown::KeyIn(item.span);
    let given = given_arguments(item.with.as_ref(), declared, None, unknown, session, scope);
    match definition.instantiate(name_of(&item.name), item.span, &given, &session.sources) {
        Ok(flow) => Some(flow),
        Err(found) => {
            session.diagnostics.extend(found);
            None
        }
    }
}

fn report_unknown_flow(
    item: &ast::Deploy,
    (module, name): (&[ast::Ident], &str),
    session: &mut Session<'_>,
    scope: &Scope,
) {
    let mut known: Vec<&str> = scope.names.flows.keys().map(String::as_str).collect();
    known.sort_unstable();
    let written = item.from.as_ref().map_or_else(|| name.to_owned(), ast::Name::joined);
    let list = match known.as_slice() {
        [] => "no flows are defined here".to_owned(),
        known => format!("defined are `{}`", known.join("`, `")),
    };
    let hint =
        session.missing_use(scope, module).or_else(|| nearest(scope, module, name, |names| &names.flows));
    let message = format!("There is no definition of a flow `{written}`; {list}");
    let diagnostic = Diagnostic::error(codes::UNKNOWN_DEFINITION, item.name.span, message).outer(item.span);
    session.report(diagnostic.maybe_hint(hint));
}

/// Compiles a `define connector` that stands in `scope`.
pub(crate) fn define_connector(item: &ast::DefineConnector, session: &mut Session<'_>, scope: &mut Scope) {
    let before = session.diagnostics.len();
    let arguments = lower_arguments(item.args.as_ref(), item.name.span, session, scope);
    let names = arguments.names();
    let entries = || item.with.iter().flat_map(|with| &with.entries);
    warn_of_repeated_keys(entries().map(|entry| (entry.key.text.as_str(), entry.key.span)), session);
    let mut settings = Vec::new();
    for entry in entries() {
        let key = &entry.key;
        if !Settings::KEYS.contains(&key.text.as_str()) {
            let message = format!("A connector has no setting `{}`", key.text);
            let keys = Settings::KEYS.map(|key| format!("`{key}`"));
            let nearest = closest(&key.text, Settings::KEYS);
            let hint = match nearest {
                Some(near) => format!("Did you mean `{near}`? The settings are {}", keys.join(", ")),
                None => format!(
                    "The settings are {}; what the kind of connector takes stands in the record `config`",
                    keys.join(", ")
                ),
            };
            let outer = session.sources.widen(key.span, 2);
            let diagnostic = Diagnostic::error(codes::UNKNOWN_CONNECTOR_KEY, key.span, message);
            session.report(diagnostic.outer(outer).hint(hint));
        }
        if let Some(value) = config(&entry.value, Some(&names), session, scope) {
            settings.push(query::GivenArgument { name: key.text.clone(), span: key.span, value });
        }
    }
    let sound = !session.diagnostics.iter().skip(before).any(Diagnostic::is_error);
    let definition = ConnectorDefinition {
        name: name_of(&item.name),
        kind: name_of(&item.kind),
        arguments,
        settings,
        span: item.span,
    };
    let value = sound.then(|| Arc::new(definition));
    define(session, scope, ("connector", &item.name, item.span), |names| &mut names.connectors, value);
}

/// Compiles a `define flow` that stands in `scope`.
pub(crate) fn define_flow(item: &ast::DefineFlow, session: &mut Session<'_>, scope: &mut Scope) {
    let before = session.diagnostics.len();
    let arguments = lower_arguments(item.args.as_ref(), item.name.span, session, scope);
    let names = arguments.names();
    let mut body = FlowBody {
        session,
        scope: Scope::default(),
        arguments: &names,
        connectors: Vec::new(),
        pipelines: Vec::new(),
        links: Vec::new(),
        used: HashSet::new(),
    };
    item.stmts.iter().for_each(|stmt| body.statement(stmt));
    body.warn_about_unused(&item.stmts);
    let FlowBody { connectors, pipelines, links, .. } = body;
    let sound = !session.diagnostics.iter().skip(before).any(Diagnostic::is_error);
    let definition = FlowDefinition {
        name: name_of(&item.name),
        doc: item.doc.as_ref().map(ast::Doc::text),
        arguments,
        connectors,
        pipelines,
        links,
        span: item.span,
    };
    let value = sound.then(|| Arc::new(definition));
    define(session, scope, ("flow", &item.name, item.span), |names| &mut names.flows, value);
}

/// The body of a flow: a scope of its own, read from top to bottom.
struct FlowBody<'b, 'a> {
    session: &'b mut Session<'a>,
    scope: Scope,
    arguments: &'b [String],
    connectors: Vec<Create<ConnectorDefinition>>,
    pipelines: Vec<Create<PipelineDefinition>>,
    links: Vec<Link>,
    /// Definitions of this scope that something is created from.
    used: HashSet<(CreateKind, String)>,
}

impl FlowBody<'_, '_> {
    fn statement(&mut self, stmt: &FlowStmt) {
        match stmt {
            FlowStmt::Use(item) => self.session.import(item, &mut self.scope),
            FlowStmt::Pipeline(item) => query::define_pipeline(item, self.session, &mut self.scope),
            FlowStmt::Connector(item) => define_connector(item, self.session, &mut self.scope),
            FlowStmt::Create(item) => self.create(item),
            FlowStmt::Connect(item) => self.links.push(link(item)),
        }
    }

    fn create(&mut self, item: &ast::Create) {
        let (module, name) = target(item.from.as_ref(), &item.name);
        if module.is_empty() {
            self.used.insert((item.kind, name.to_owned()));
        }
        match item.kind {
            CreateKind::Connector => {
                let found = self.definition(item, |names| &names.connectors);
                let Some(definition) = found else { return };
                let create = self.instance(item, &definition.arguments.clone(), definition);
                let replaced = self.connectors.iter().position(|known| known.name.name == create.name.name);
                self.warn_if_repeated(replaced.is_some(), item);
                put(&mut self.connectors, replaced, create);
            }
            CreateKind::Pipeline => {
                let found = self.definition(item, |names| &names.pipelines);
                let Some(definition) = found else { return };
                let Some(arguments) = definition.arguments.clone() else { return };
                let create = self.instance(item, &arguments, definition);
                let replaced = self.pipelines.iter().position(|known| known.name.name == create.name.name);
                self.warn_if_repeated(replaced.is_some(), item);
                put(&mut self.pipelines, replaced, create);
            }
            // The grammar of flows has neither.
            CreateKind::Operator | CreateKind::Script => {}
        }
    }

    fn instance<D>(
        &mut self,
        item: &ast::Create,
        declared: &query::Arguments,
        definition: Arc<D>,
    ) -> Create<D> {
        let given = given_arguments(
            item.with.as_ref(),
            Some(declared),
            Some(self.arguments),
            Unknown::Key(2),
            self.session,
            &self.scope,
        );
        let with_span = item.with.as_ref().map(|with| with.span);
        Create { name: name_of(&item.name), definition, given, with_span, span: item.span }
    }

    fn warn_if_repeated(&mut self, repeated: bool, item: &ast::Create) {
        if repeated {
            let kind = item.kind.as_str();
            let message =
                format!("The {kind} `{}` is created twice in this flow; this one counts", item.name.text);
            let class = WarningClass::Behaviour;
            let warning = Diagnostic::warning(class, codes::DUPLICATE_INSTANCE, item.name.span, message);
            self.session.report(warning);
        }
    }

    fn definition<D: Clone>(
        &mut self,
        item: &ast::Create,
        space: fn(&Names) -> &HashMap<String, Option<D>>,
    ) -> Option<D> {
        let (module, name) = target(item.from.as_ref(), &item.name);
        match look_up(&self.scope, module, name, space) {
            Lookup::Found(definition) => Some(definition),
            Lookup::Broken => None,
            Lookup::Missing => {
                let written = item.from.as_ref().map_or_else(|| name.to_owned(), ast::Name::joined);
                let kind = item.kind.as_str();
                let message = format!("There is no definition of a {kind} `{written}`");
                let missing_use = self.session.missing_use(&self.scope, module);
                let hint = missing_use.or_else(|| nearest(&self.scope, module, name, space));
                let diagnostic = Diagnostic::error(codes::UNKNOWN_DEFINITION, item.name.span, message);
                self.session.report(diagnostic.outer(item.span).maybe_hint(hint));
                None
            }
        }
    }

    fn warn_about_unused(&mut self, stmts: &[FlowStmt]) {
        for stmt in stmts {
            let (kind, name) = match stmt {
                FlowStmt::Connector(item) => (CreateKind::Connector, &item.name),
                FlowStmt::Pipeline(item) => (CreateKind::Pipeline, &item.name),
                _ => continue,
            };
            if !self.used.contains(&(kind, name.text.clone())) {
                warn_unused(self.session, kind.as_str(), name, "created");
            }
        }
    }
}

fn put<T>(list: &mut Vec<T>, replaced: Option<usize>, item: T) {
    if let Some(index) = replaced {
        list.remove(index);
    }
    list.push(item);
}

fn link(connect: &ast::Connect) -> Link {
    Link { from: endpoint(&connect.from, "out"), to: endpoint(&connect.to, "in"), span: connect.span }
}

fn endpoint(end: &ast::Endpoint, default: &str) -> Endpoint {
    let port = match &end.port {
        Some(port) => name_of(port),
        None => Named { name: default.to_owned(), span: end.span },
    };
    Endpoint { kind: end.kind, instance: name_of(&end.instance), port, span: end.span }
}
