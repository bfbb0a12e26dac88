//! Statements.

use super::{Lower, Place, broken, in_place};
use crate::ir::{Block, Emit, Expr, Let, LocalName, Place as IrPlace, Segment, Stmt};
use crate::lower::pattern::Arms;
use tremor_diagnostic::{Diagnostic, Span, codes};
use tremor_syntax::ast::{self, ExprKind, StmtKind};
use tremor_value::Value;

impl Lower<'_, '_> {
    /// Lowers statements; `tail` tells that the last one may `recur`.
    pub(crate) fn block(&mut self, stmts: &[ast::Stmt], tail: bool) -> Block {
        let last = stmts.len().saturating_sub(1);
        stmts.iter().enumerate().map(|(index, stmt)| self.stmt(stmt, tail && index == last)).collect()
    }

    pub(crate) fn stmt(&mut self, stmt: &ast::Stmt, tail: bool) -> Stmt {
        let lowered = self.nested(stmt.span, |lower| lower.stmt_inner(stmt, tail));
        lowered.unwrap_or_else(|| Stmt::Expr(broken(stmt.span), stmt.span))
    }

    fn stmt_inner(&mut self, stmt: &ast::Stmt, tail: bool) -> Stmt {
        let span = stmt.span;
        match &stmt.kind {
            StmtKind::Let(let_) => self.let_(let_),
            StmtKind::Emit(emit) => self.emit(emit, span),
            StmtKind::Drop => {
                self.not_in_function("drop", span);
                Stmt::Drop
            }
            StmtKind::Match(match_) => {
                Stmt::Match(Box::new(self.match_(match_, span, tail, &statement_arms())))
            }
            StmtKind::For(for_) => Stmt::For(Box::new(self.for_(for_, span, &statement_arms()))),
            StmtKind::Expr(ast::Expr { kind: ExprKind::Recur(args), span }) if tail => {
                self.recur(args, *span)
            }
            StmtKind::Expr(expr) => Stmt::Expr(self.expr(expr), span),
        }
    }

    fn not_in_function(&mut self, word: &str, span: Span) {
        if matches!(self.place, Place::Function { .. }) {
            let message = format!("`{word}` is not possible in a function");
            self.error_around(codes::EMIT_IN_FUNCTION, span, 2, message);
        }
    }

    fn emit(&mut self, emit: &ast::Emit, span: Span) -> Stmt {
        self.not_in_function("emit", span);
        let value = emit.value.as_ref().map(|value| self.expr(value));
        let port = emit.port.as_ref().map(|port| self.key(port));
        Stmt::Emit(Box::new(Emit { value, port, span }))
    }

    fn recur(&mut self, args: &[ast::Expr], span: Span) -> Stmt {
        let lowered: Box<[Expr]> = args.iter().map(|arg| self.expr(arg)).collect();
        let Place::Function { params, open } = self.place else {
            self.error_around(
                codes::MISPLACED_RECUR,
                span,
                2,
                "`recur` is only possible as the last thing a function does",
            );
            return Stmt::Expr(broken(span), span);
        };
        let fits = args.len() == params || open && args.len() > params;
        if !fits {
            let least = if open { "at least " } else { "" };
            let message =
                format!("This function takes {least}{params} arguments, but `recur` gives {}", args.len());
            self.report(Diagnostic::error(codes::RECUR_ARITY, span, message));
        }
        Stmt::Recur(lowered)
    }

    fn let_(&mut self, let_: &ast::Let) -> Stmt {
        // The right side comes first: what it mentions is what was there before.
        let value = self.stmt(&let_.value, false);
        let place = self.place_of(&let_.place);
        let in_place = in_place::is_change(&place, &value);
        Stmt::Let(Box::new(Let { place, value, in_place, span: let_.span }))
    }

    fn place_of(&mut self, path: &ast::Path) -> IrPlace {
        let segments: Box<[Segment]> =
            path.segments.iter().map(|segment| self.segment(segment, path)).collect();
        match &path.root {
            ast::PathRoot::Event => IrPlace::Event(segments),
            ast::PathRoot::Meta if segments.is_empty() => IrPlace::WholeMeta,
            ast::PathRoot::Meta => IrPlace::Meta(segments),
            ast::PathRoot::State => {
                self.mentions_state = true;
                IrPlace::State(segments)
            }
            ast::PathRoot::Args => IrPlace::Invalid("`args`"),
            ast::PathRoot::Group => IrPlace::Invalid("`group`"),
            ast::PathRoot::Window => IrPlace::Invalid("`window`"),
            ast::PathRoot::Expr(_) => IrPlace::Invalid("the result of an expression"),
            ast::PathRoot::Name(name) => {
                let Some(plain) = name.as_plain() else { return IrPlace::Invalid("a constant of a module") };
                if self.scope.names.constants.contains_key(&plain.text) {
                    return IrPlace::Invalid("a constant");
                }
                let (slot, name) = match self.clause_slot(&plain.text) {
                    Some(slot) => (slot, LocalName::known(&plain.text)),
                    None if segments.is_empty() => {
                        (self.locals.assign(&plain.text), LocalName::known(&plain.text))
                    }
                    None => self.local(&plain.text),
                };
                IrPlace::Local { slot, name, span: path.span, segments }
            }
        }
    }
}

pub(super) fn statement_arms() -> Arms<ast::Stmt, Block> {
    Arms { lower: |lower, arm, tail| lower.block(arm, tail), span: |stmt| stmt.span, slots: true }
}

/// The value that a constant item leaves as the result of a script that ends with it.
pub(super) fn constant_item(value: Value, span: Span) -> Stmt {
    Stmt::Expr(Expr::Const(value), span)
}
