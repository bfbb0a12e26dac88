//! Constants and functions.

use super::{Locals, Lower, Place};
use crate::{
    function::{Arity, Native},
    ir::{Block, Body, Case, Expr, Function, Path, Root, Stmt},
    scope::{Names, Scope},
    session::Session,
};
use std::{collections::HashMap, sync::Arc};
use tremor_diagnostic::{Diagnostic, Span, WarningClass, closest, codes};
use tremor_syntax::ast;

/// Enters `name` into one name space; a second definition of the same name is reported and ignored.
pub(crate) fn define<T>(
    session: &mut Session<'_>,
    scope: &mut Scope,
    (kind, name, span): (&str, &ast::Ident, Span),
    space: fn(&mut Names) -> &mut HashMap<String, Option<T>>,
    value: Option<T>,
) {
    let names = space(&mut scope.names);
    if names.contains_key(&name.text) {
        let message = format!("The {kind} `{}` is defined twice in this scope", name.text);
        session.report(Diagnostic::error(codes::DUPLICATE_DEFINITION, span, message));
        return;
    }
    names.insert(name.text.clone(), value);
}

pub(super) fn constant(ast: &ast::Const, session: &mut Session<'_>, scope: &mut Scope) {
    if ast.name.text.chars().any(char::is_lowercase) {
        let message = format!("The constant `{}` should be written in upper case", ast.name.text);
        let class = WarningClass::Consistency;
        session.report(Diagnostic::warning(class, codes::CONSTANT_CASE, ast.span, message));
    }
    let mut locals = Locals::default();
    let value = Lower::new(session, scope, Place::Const, &mut locals).constant(&ast.value);
    define(session, scope, ("constant", &ast.name, ast.span), |names| &mut names.constants, value);
}

pub(super) fn intrinsic(ast: &ast::Intrinsic, session: &mut Session<'_>, scope: &mut Scope) {
    let module: Vec<&str> = ast.target.module.iter().map(|segment| segment.text.as_str()).collect();
    let name = &ast.target.ident.text;
    let native = match module.as_slice() {
        [module] | ["core", module] => session.functions.get(module, name),
        _ => None,
    };
    if native.is_none() {
        let candidates = module.last().map(|module| session.functions.names(module));
        let nearest = closest(name, candidates.into_iter().flatten());
        let message = format!("Call to undefined function {}", ast.target.joined());
        let outer = session.sources.widen(ast.target.span, 3);
        let hint = nearest.map(|near| format!("Did you mean `{near}`?"));
        let diagnostic = Diagnostic::error(codes::UNKNOWN_FUNCTION, ast.target.span, message);
        session.report(diagnostic.outer(outer).maybe_hint(hint));
    }
    let function = native.map(|native| Arc::new(forward(native)));
    define(session, scope, ("function", &ast.name, ast.span), |names| &mut names.functions, function);
}

/// A function that stands for a native one.
fn forward(native: Native) -> Function {
    let params = native.arity.max.unwrap_or(native.arity.min);
    let open = native.arity.max.is_none();
    Function {
        params,
        open,
        slots: params,
        body: Body::Native(native),
        pure: native.pure,
        depth: 1,
        recurs: 0,
    }
}

pub(super) fn function(ast: &ast::Function, session: &mut Session<'_>, scope: &mut Scope) {
    let lowered = lower(ast, session, scope);
    define(session, scope, ("function", &ast.name, ast.span), |names| &mut names.functions, lowered);
}

fn lower(ast: &ast::Function, session: &mut Session<'_>, scope: &Scope) -> Option<Arc<Function>> {
    let mut locals = Locals::default();
    let params = ast.params.names.len();
    for name in &ast.params.names {
        locals.parameter(&name.text);
    }
    let place = Place::Function { params, open: ast.params.open };
    let mut lower = Lower::new(session, scope, place, &mut locals);
    let body = match &ast.body {
        ast::FunctionBody::With(stmts) => Body::Statements(lower.block(stmts, true)),
        ast::FunctionBody::Cases { cases, default } => Body::Cases {
            cases: cases.iter().map(|case| lower.case(case, params)).collect(),
            default: lower.block(default, true),
        },
    };
    let (pure, depth, failed) = (lower.pure, lower.deepest + 2, lower.failed);
    if failed {
        return None;
    }
    let recurs = session.recursion_limit.get() - 1;
    if let Body::Statements(block) = &body
        && let Some(inner) = forwarded(block, params, ast.params.open)
    {
        return Some(inner);
    }
    let (open, slots) = (ast.params.open, locals.len());
    Some(Arc::new(Function { params, open, slots, body, pure, depth, recurs }))
}

/// The function that a body does nothing but call with all its parameters in order.
fn forwarded(block: &Block, params: usize, open: bool) -> Option<Arc<Function>> {
    let [Stmt::Expr(expr, _)] = &**block else { return None };
    let in_order =
        |args: &[Expr]| args.len() == params && (0..).zip(args).all(|(slot, arg)| is_parameter(arg, slot));
    match expr {
        Expr::Native(call)
            if !open && call.native.arity == Arity::exactly(params) && in_order(&call.args) =>
        {
            Some(Arc::new(forward(call.native)))
        }
        Expr::Call(call) if !open && call.function.params == params && in_order(&call.args) => {
            Some(Arc::clone(&call.function))
        }
        _ => None,
    }
}

fn is_parameter(expr: &Expr, parameter: u32) -> bool {
    matches!(expr, Expr::Path(path)
        if path.segments.is_empty() && matches!(&**path, Path { root: Root::Local(slot, _), .. } if *slot == parameter))
}

impl Lower<'_, '_> {
    fn case(&mut self, case: &ast::FunctionCase, params: usize) -> Case {
        let patterns = case.patterns.iter().map(|pattern| self.pattern(pattern)).collect();
        let guard = self.guarded(&[], case.guard.as_ref());
        let body = self.block(&case.body, true);
        let fits = case.patterns.len() == params;
        Case { patterns: fits.then_some(patterns), guard, body, span: case.span }
    }
}
