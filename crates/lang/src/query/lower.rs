//! Queries, pipelines and scripts in them, from the tree to their compiled form.

use super::{
    Arguments, Channel, Create, Named, OperatorDefinition, PipelineDefinition, ScriptDefinition, Select,
    Statement,
    arguments::{Unknown, config, given_arguments, lower_arguments},
};
use crate::{
    Expression, Script,
    lower::{self, Locals, Lower, Place, define},
    scope::{Lookup, Names, Scope, look_up, nearest},
    session::Session,
};
use std::{collections::HashMap, sync::Arc};
use tremor_diagnostic::{Diagnostic, Span, codes};
use tremor_syntax::ast::{self, CreateKind, QueryStmt};
use tremor_value::Value;

/// How deep pipelines may define pipelines.
const PIPELINE_DEPTH: usize = 64;

/// Compiles a stand-alone query.
pub(crate) fn query(query: &ast::Query, session: &mut Session<'_>) -> PipelineDefinition {
    let mut body = Body::new(None, session);
    let directives = body.directives(&query.directives);
    let statements = body.statements(&query.stmts);
    let text = |name: &str| directives.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value);
    let ports = |name: &str, default: &[&str]| match text(name).and_then(Value::as_str) {
        None => default.iter().map(|port| named(port, query.span)).collect(),
        Some(list) => list
            .split(',')
            .map(str::trim)
            .filter(|port| !port.is_empty())
            .map(|port| named(port, query.span))
            .collect(),
    };
    PipelineDefinition {
        name: text("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
        inputs: ports("from", &["in"]),
        outputs: ports("into", &["out", "err"]),
        arguments: None,
        directives,
        statements,
        span: query.span,
    }
}

fn named(name: &str, span: Span) -> Named {
    Named { name: name.to_owned(), span }
}

fn name_of(ident: &ast::Ident) -> Named {
    named(&ident.text, ident.span)
}

/// Compiles a `define pipeline` that stands in `scope`.
pub(crate) fn define_pipeline(item: &ast::DefinePipeline, session: &mut Session<'_>, scope: &mut Scope) {
    let before = session.diagnostics.len();
    let pipeline = pipeline(item, session, scope);
    let sound = !session.diagnostics.iter().skip(before).any(Diagnostic::is_error);
    let value = sound.then(|| Arc::new(pipeline));
    define(session, scope, ("pipeline", &item.name, item.span), |names| &mut names.pipelines, value);
}

fn pipeline(item: &ast::DefinePipeline, session: &mut Session<'_>, scope: &Scope) -> PipelineDefinition {
    let arguments = lower_arguments(item.args.as_ref(), item.name.span, session, scope);
    let ports = |list: Option<&Vec<ast::Ident>>, default: &[&str]| match list {
        Some(ports) => ports.iter().map(name_of).collect(),
        None => default.iter().map(|port| named(port, item.name.span)).collect::<Vec<_>>(),
    };
    let inputs = ports(item.from.as_ref(), &["in"]);
    let outputs = ports(item.into.as_ref(), &["out", "err"]);
    let (directives, statements) = if session.pipeline_depth >= PIPELINE_DEPTH {
        let message = format!("Pipelines define pipelines more than {PIPELINE_DEPTH} levels deep");
        session.error_around(codes::TOO_DEEP, item.name.span, 2, message);
        (Vec::new(), Vec::new())
    } else {
        session.pipeline_depth += 1;
        let declared = arguments.names();
        let mut body = Body::new(Some(&declared), session);
        body.ports = inputs.iter().chain(&outputs).map(|port| port.name.clone()).collect();
        let compiled = (body.directives(&item.directives), body.statements(&item.stmts));
        session.pipeline_depth -= 1;
        compiled
    };
    PipelineDefinition {
        name: item.name.text.clone(),
        inputs,
        outputs,
        arguments: Some(arguments),
        directives,
        statements,
        span: item.span,
    }
}

/// Compiles a `define operator` that stands in `scope`. Whether there is such a kind, and whether it can work with these
/// settings, is known where graphs are built.
pub(crate) fn define_operator(item: &ast::DefineOperator, session: &mut Session<'_>, scope: &mut Scope) {
    let before = session.diagnostics.len();
    let arguments = lower_arguments(item.args.as_ref(), item.name.span, session, scope);
    let names = arguments.names();
    let settings = item.with.as_ref().map(|with| {
        let entry = |entry: &ast::WithEntry| {
            let value = config(&entry.value, Some(&names), session, scope)?;
            Some(super::GivenArgument { name: entry.key.text.clone(), span: entry.key.span, value })
        };
        with.entries.iter().filter_map(entry).collect()
    });
    let kind = named(&item.kind.joined(), item.kind.span);
    let definition =
        OperatorDefinition { name: name_of(&item.name), kind, arguments, settings, span: item.span };
    let sound = !session.diagnostics.iter().skip(before).any(Diagnostic::is_error);
    let value = sound.then(|| Arc::new(definition));
    define(session, scope, ("operator", &item.name, item.span), |names| &mut names.operators, value);
}

/// Compiles a `define script` that stands in `scope`.
pub(crate) fn define_script(item: &ast::DefineScript, session: &mut Session<'_>, scope: &mut Scope) {
    let before = session.diagnostics.len();
    let arguments = lower_arguments(item.args.as_ref(), item.name.span, session, scope);
    let names = arguments.names();
    let state = item.state.as_ref().and_then(|state| config(state, Some(&names), session, scope));
    let mut sections: Vec<(Named, Script)> = Vec::new();
    for section in &item.sections {
        let port = name_of(&section.port);
        let message = if port.name == "in" {
            Some("The section for port `in` is the main one, it has no name".to_owned())
        } else if sections.iter().any(|(known, _)| known.name == port.name) {
            Some(format!("There are two sections for port `{}`", port.name))
        } else {
            None
        };
        if let Some(message) = message {
            session.report(Diagnostic::error(codes::BAD_SECTION, port.span, message).outer(item.span));
        }
        sections.push((port, script(&section.body.items, Some(&names), session)));
    }
    let main = script(&item.script.items, Some(&names), session);
    let definition =
        ScriptDefinition { name: name_of(&item.name), arguments, state, main, sections, span: item.span };
    let sound = !session.diagnostics.iter().skip(before).any(Diagnostic::is_error);
    let value = sound.then(|| Arc::new(definition));
    define(session, scope, ("script", &item.name, item.span), |names| &mut names.scripts, value);
}

/// Compiles the items of a script; `arguments` are the declared ones, if it belongs to a `define script`.
pub(crate) fn script(items: &[ast::Item], arguments: Option<&[String]>, session: &mut Session<'_>) -> Script {
    let (body, locals, mentions_state) = lower::script_items(items, arguments, session);
    Script { body, locals, mentions_state }
}

/// The body of a pipeline: a scope of its own.
struct Body<'b, 'a> {
    session: &'b mut Session<'a>,
    scope: Scope,
    /// The declared arguments; `None` at the root of a query, where `args` is null.
    arguments: Option<&'b [String]>,
    /// Declared ports of the enclosing `define pipeline`.
    ports: Vec<String>,
}

impl<'b, 'a> Body<'b, 'a> {
    fn new(arguments: Option<&'b [String]>, session: &'b mut Session<'a>) -> Self {
        Self { session, scope: Scope::default(), arguments, ports: Vec::new() }
    }

    fn directives(&mut self, directives: &[ast::Directive]) -> Vec<(String, Value)> {
        let mut values = Vec::new();
        for directive in directives {
            let mut locals = Locals::default();
            let mut lower = Lower::new(self.session, &self.scope, Place::Config(None), &mut locals);
            if let Some(value) = lower.constant(&directive.value) {
                values.push((directive.name.text.clone(), value));
            }
        }
        values
    }

    /// Definitions come first, since they may stand below their use (`spec/language-query.md` 3.2).
    fn statements(&mut self, stmts: &[QueryStmt]) -> Vec<Statement> {
        for stmt in stmts {
            match stmt {
                QueryStmt::Use(item) => self.session.import(item, &mut self.scope),
                QueryStmt::Window(item) => lower::window(item, self.session, &mut self.scope),
                QueryStmt::Operator(item) => define_operator(item, self.session, &mut self.scope),
                QueryStmt::Script(item) => define_script(item, self.session, &mut self.scope),
                QueryStmt::Pipeline(item) => define_pipeline(item, self.session, &mut self.scope),
                QueryStmt::Stream(_) | QueryStmt::Create(_) | QueryStmt::Select(_) => {}
            }
        }
        stmts.iter().filter_map(|stmt| self.statement(stmt)).collect()
    }

    fn statement(&mut self, stmt: &QueryStmt) -> Option<Statement> {
        match stmt {
            QueryStmt::Stream(stream) => {
                if self.ports.contains(&stream.name.text) {
                    let message =
                        format!("The stream `{}` has the name of a port of this pipeline", stream.name.text);
                    self.session.report(Diagnostic::error(codes::DUPLICATE_NODE, stream.span, message));
                }
                Some(Statement::Stream { name: name_of(&stream.name), span: stream.span })
            }
            QueryStmt::Create(create) => self.create(create),
            QueryStmt::Select(select) => {
                self.select(select).map(|select| Statement::Select(Arc::new(select)))
            }
            _ => None,
        }
    }

    fn create(&mut self, create: &ast::Create) -> Option<Statement> {
        match create.kind {
            CreateKind::Script => {
                let definition = self.definition(create, "script", |names| &names.scripts)?;
                let unknown = Unknown::KeyIn(create.span);
                let given = self.given(create, Some(&definition.arguments), unknown);
                Some(Statement::Script(finish(create, definition, given)))
            }
            CreateKind::Pipeline => {
                let definition = self.definition(create, "pipeline", |names| &names.pipelines)?;
                let unknown = Unknown::With(create.span);
                let given = self.given(create, definition.arguments.as_ref(), unknown);
                Some(Statement::Pipeline(finish(create, definition, given)))
            }
            CreateKind::Operator => {
                let definition = self.definition(create, "operator", |names| &names.operators)?;
                let unknown = Unknown::KeyIn(create.span);
                let given = self.given(create, Some(&definition.arguments), unknown);
                Some(Statement::Operator(finish(create, definition, given)))
            }
            CreateKind::Connector => None,
        }
    }

    fn given(
        &mut self,
        create: &ast::Create,
        declared: Option<&Arguments>,
        unknown: Unknown,
    ) -> Vec<super::GivenArgument> {
        let outer = self.arguments.unwrap_or_default();
        given_arguments(create.with.as_ref(), declared, Some(outer), unknown, self.session, &self.scope)
    }

    fn definition<D: Clone>(
        &mut self,
        create: &ast::Create,
        kind: &str,
        space: fn(&Names) -> &HashMap<String, Option<D>>,
    ) -> Option<D> {
        let (module, name) = target(create.from.as_ref(), &create.name);
        match look_up(&self.scope, module, name, space) {
            Lookup::Found(definition) => Some(definition),
            Lookup::Broken => None,
            Lookup::Missing => {
                let written = create.from.as_ref().map_or_else(|| name.to_owned(), ast::Name::joined);
                let article = if kind == "operator" { "an" } else { "a" };
                let message = format!("There is no definition of {article} {kind} `{written}`");
                let hint = if kind == "operator" && !module.is_empty() && is_unbound(&self.scope, module) {
                    // The kind of an operator looks like a definition in a module.
                    Some(format!("Define it first: `define operator {} from {written}`", create.name.text))
                } else {
                    let missing_use = self.session.missing_use(&self.scope, module);
                    missing_use.or_else(|| nearest(&self.scope, module, name, space))
                };
                let diagnostic = Diagnostic::error(codes::UNKNOWN_DEFINITION, create.span, message);
                self.session.report(diagnostic.maybe_hint(hint));
                None
            }
        }
    }

    fn select(&mut self, select: &ast::Select) -> Option<Select> {
        let mut sound = true;
        if let Some(window) = select.windows.first() {
            self.session.not_yet(window.span, "Windows");
            sound = false;
        }
        if let Some(group) = &select.group_by {
            self.session.not_yet(group.span, "`group by`");
            sound = false;
        }
        if !sound {
            return None;
        }
        let target = self.expression(&select.target, select.span);
        let filter = select.filter.as_ref().map(|filter| self.expression(filter, select.span));
        let having = select.having.as_ref().map(|having| self.expression(having, select.span));
        Some(Select {
            target,
            from: channel(&select.from),
            filter,
            into: channel(&select.into),
            having,
            span: select.span,
        })
    }

    fn expression(&mut self, ast: &ast::Expr, whole: Span) -> Expression {
        let mut locals = Locals::default();
        let place = Place::Select(self.arguments);
        let mut lower = Lower::new(self.session, &self.scope, place, &mut locals);
        let expr = lower.expr(ast);
        if let Some(local) = lower.unknown_local().cloned() {
            let diagnostic = Diagnostic::error(codes::UNKNOWN_LOCAL, ast.span, local.message());
            self.session.report(diagnostic.outer(whole).maybe_hint(local.hint()));
        }
        Expression { expr, span: ast.span }
    }
}

fn is_unbound(scope: &Scope, module: &[ast::Ident]) -> bool {
    module.first().is_some_and(|first| !scope.modules.contains_key(&first.text))
}

fn finish<D>(create: &ast::Create, definition: Arc<D>, given: Vec<super::GivenArgument>) -> Create<D> {
    let with_span = create.with.as_ref().map(|with| with.span);
    Create { name: name_of(&create.name), definition, given, with_span, span: create.span }
}

fn channel(channel: &ast::Channel) -> Channel {
    Channel { node: name_of(&channel.node), port: channel.port.as_ref().map(name_of), span: channel.span }
}

/// The module path and name of the definition that a `create` or `deploy` means.
pub(crate) fn target<'t>(from: Option<&'t ast::Name>, name: &'t ast::Ident) -> (&'t [ast::Ident], &'t str) {
    match from {
        Some(from) => (&from.module, &from.ident.text),
        None => (&[], &name.text),
    }
}
