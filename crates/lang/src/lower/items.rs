//! Items of scripts and modules.

use super::{
    Locals, Lower, Place, broken,
    function::{constant, define, function, intrinsic},
    stmt::constant_item,
};
use crate::{
    deploy,
    ir::{Block, Stmt},
    query,
    scope::Scope,
    session::Session,
};
use tremor_diagnostic::Span;
use tremor_syntax::ast::{self, Item, ModuleItem};

/// Compiles what a module defines, from top to bottom.
pub(crate) fn module(module: &ast::Module, session: &mut Session<'_>, scope: &mut Scope) {
    for item in &module.items {
        match item {
            ModuleItem::Use(item) => session.import(item, scope),
            ModuleItem::Const(item) => constant(item, session, scope),
            ModuleItem::Function(item) => function(item, session, scope),
            ModuleItem::Intrinsic(item) => intrinsic(item, session, scope),
            ModuleItem::Window(item) => window(item, session, scope),
            ModuleItem::Operator(item) => query::define_operator(item, session, scope),
            ModuleItem::Script(item) => query::define_script(item, session, scope),
            ModuleItem::Pipeline(item) => query::define_pipeline(item, session, scope),
            ModuleItem::Connector(item) => deploy::define_connector(item, session, scope),
            ModuleItem::Flow(item) => deploy::define_flow(item, session, scope),
        }
    }
}

/// Windows are known by name; what they say is looked at when a `select` uses one.
pub(crate) fn window(item: &ast::DefineWindow, session: &mut Session<'_>, scope: &mut Scope) {
    define(session, scope, ("window", &item.name, item.span), |names| &mut names.windows, Some(()));
}

/// Compiles the items of a script in a scope of their own.
///
/// Gives the statements to run, of which the last is the result, the number of locals, and whether `state` is mentioned.
pub(crate) fn script_items(
    items: &[Item],
    arguments: Option<&[String]>,
    session: &mut Session<'_>,
) -> (Block, usize, bool) {
    let mut scope = Scope::default();
    let mut locals = Locals::default();
    let mut stmts: Vec<Stmt> = Vec::new();
    let mut mentions_state = false;
    // `fn` and `use` have no value, so the result is that of the last item that has one.
    let last = items.iter().rposition(|item| matches!(item, Item::Stmt(_) | Item::Const(_)));
    for (index, item) in items.iter().enumerate() {
        match item {
            Item::Use(item) => session.import(item, &mut scope),
            Item::Function(item) => function(item, session, &mut scope),
            Item::Intrinsic(item) => intrinsic(item, session, &mut scope),
            Item::Const(item) => {
                constant(item, session, &mut scope);
                let value = scope.names.constants.get(&item.name.text).cloned().flatten();
                if Some(index) == last {
                    let missing = || Stmt::Expr(broken(item.span), item.span);
                    stmts.push(value.map_or_else(missing, |value| constant_item(value, item.span)));
                }
            }
            Item::Stmt(stmt) => {
                let mut lower = Lower::new(session, &scope, Place::Script(arguments), &mut locals);
                stmts.push(lower.stmt(stmt, false));
                mentions_state |= lower.mentions_state();
            }
        }
    }
    if last.is_none() {
        stmts.push(Stmt::Emit(Box::new(crate::ir::Emit { value: None, port: None, span: Span::default() })));
    }
    (stmts.into_boxed_slice(), locals.len(), mentions_state)
}
