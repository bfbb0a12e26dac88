//! Calls.

use super::{DEPTH, Lower, broken};
use crate::{
    function::Native,
    ir::{Body, Expr, Function, FunctionCall, NativeCall},
    scope::{Lookup, Resolved, look_up, nearest},
};
use std::sync::Arc;
use tremor_diagnostic::{Diagnostic, WarningClass, closest, codes};
use tremor_syntax::ast;

impl Lower<'_, '_> {
    pub(super) fn call(&mut self, call: &ast::Call) -> Expr {
        let args: Box<[Expr]> = call.args.iter().map(|arg| self.expr(arg)).collect();
        let module: Vec<&str> = call.name.module.iter().map(|segment| segment.text.as_str()).collect();
        match module.as_slice() {
            ["core", module] => match self.session.functions.get(module, &call.name.ident.text) {
                Some(native) => self.native(native, args, call),
                None => self.unknown_native(module, call),
            },
            // Only a module that binds this name hides the aggregates.
            ["aggr", _] if !self.binds(call) => self.not_yet(call.span, "Aggregate functions"),
            _ => {
                match look_up(self.scope, &call.name.module, &call.name.ident.text, |names| &names.functions)
                {
                    Lookup::Found(function) => self.function(&function, args, call),
                    Lookup::Broken => {
                        self.failed = true;
                        broken(call.span)
                    }
                    Lookup::Missing => self.unknown_function(call),
                }
            }
        }
    }

    fn binds(&self, call: &ast::Call) -> bool {
        !matches!(self.scope.resolve(&call.name.module), Resolved::Missing)
    }

    fn function(&mut self, function: &Arc<Function>, args: Box<[Expr]>, call: &ast::Call) -> Expr {
        if let Body::Native(native) = function.body {
            return self.native(native, args, call);
        }
        let levels = self.level.saturating_add(function.depth);
        if levels > DEPTH {
            self.too_deep(call.span);
            return broken(call.span);
        }
        self.deepest = self.deepest.max(levels);
        self.pure &= function.pure;
        if !function.pure {
            self.note_dynamic(call.span);
        }
        let constant = function.pure && args.iter().all(|arg| arg.as_const().is_some());
        let call_ = FunctionCall { function: Arc::clone(function), args, span: call.span };
        let expr = Expr::Call(Box::new(call_));
        if constant { self.fold_call(expr, call) } else { expr }
    }

    /// A call that takes too long to be made now is left for later.
    fn fold_call(&mut self, expr: Expr, call: &ast::Call) -> Expr {
        match super::evaluate(&expr, &crate::eval::NULL) {
            Ok(value) => Expr::Const(value),
            Err(error) if error.is_out_of_steps() => expr,
            Err(error) => {
                self.report_folding(error, call.span);
                broken(call.span)
            }
        }
    }

    fn native(&mut self, native: Native, args: Box<[Expr]>, call: &ast::Call) -> Expr {
        if let Some(warning) = native.warning {
            let outer = self.session.sources.widen(call.span, 3);
            let class = WarningClass::Performance;
            self.report(Diagnostic::warning(class, codes::SLOW_FUNCTION, call.span, warning).outer(outer));
        }
        self.pure &= native.pure;
        if !native.pure {
            self.note_dynamic(call.span);
        }
        let constant = native.pure && args.iter().all(|arg| arg.as_const().is_some());
        let expr = Expr::Native(Box::new(NativeCall { native, args, span: call.span }));
        if constant { self.fold(expr, call.span) } else { expr }
    }

    fn unknown_native(&mut self, module: &str, call: &ast::Call) -> Expr {
        let functions = self.session.functions;
        let name = &call.name.ident.text;
        let (message, hint) = if functions.has_module(module) {
            let hint = closest(name, functions.names(module))
                .map(|near| format!("Did you mean `core::{module}::{near}`?"));
            (format!("Call to undefined function {module}::{name}"), hint)
        } else {
            let hint = closest(module, functions.modules())
                .map(|near| format!("Did you mean `core::{near}::{name}`?"));
            (format!("Call to undefined module {module}"), hint)
        };
        self.report_unknown(call, message, hint)
    }

    fn unknown_function(&mut self, call: &ast::Call) -> Expr {
        let name = &call.name.ident.text;
        let module: Vec<&str> = call.name.module.iter().map(|segment| segment.text.as_str()).collect();
        let message = format!("Call to undefined function {}::{name}", module.join("::"));
        let hint = self
            .session
            .missing_use(self.scope, &call.name.module)
            .or_else(|| nearest(self.scope, &call.name.module, name, |names| &names.functions));
        self.report_unknown(call, message, hint)
    }

    fn report_unknown(&mut self, call: &ast::Call, message: String, hint: Option<String>) -> Expr {
        let outer = self.session.sources.widen(call.span, 3);
        let diagnostic = Diagnostic::error(codes::UNKNOWN_FUNCTION, call.span, message);
        self.report(diagnostic.outer(outer).maybe_hint(hint));
        broken(call.span)
    }
}
