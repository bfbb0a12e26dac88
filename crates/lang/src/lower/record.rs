//! `patch` and `merge`.

use super::Lower;
use crate::ir::{Expr, Key, Merge, Operation, OperationKind, Patch};
use tremor_diagnostic::Span;
use tremor_syntax::ast::{self, PatchOpKind};

impl Lower<'_, '_> {
    pub(super) fn patch(&mut self, patch: &ast::Patch, span: Span) -> Expr {
        self.note_complex(span);
        let target = self.expr(&patch.target);
        let operation = |op: &ast::PatchOp| Operation { kind: self.operation(&op.kind), span: op.span };
        let operations = patch.ops.iter().map(operation).collect();
        Expr::Patch(Box::new(Patch { target, target_span: patch.target.span, operations, span }))
    }

    fn operation(&mut self, kind: &PatchOpKind) -> OperationKind {
        match kind {
            PatchOpKind::Insert(key, value) => OperationKind::Insert(self.key(key), self.expr(value)),
            PatchOpKind::Upsert(key, value) => OperationKind::Upsert(self.key(key), self.expr(value)),
            PatchOpKind::Update(key, value) => OperationKind::Update(self.key(key), self.expr(value)),
            PatchOpKind::Erase(key) => OperationKind::Erase(self.key(key)),
            PatchOpKind::Move(from, to) => self.two_keys(from, to, OperationKind::Move),
            PatchOpKind::Copy(from, to) => self.two_keys(from, to, OperationKind::Copy),
            PatchOpKind::Merge(Some(key), value) => OperationKind::Merge(self.key(key), self.expr(value)),
            PatchOpKind::Merge(None, value) => OperationKind::MergeAll(self.expr(value)),
            PatchOpKind::Default(Some(key), value) => OperationKind::Default(self.key(key), self.expr(value)),
            PatchOpKind::Default(None, value) => OperationKind::DefaultAll(self.expr(value)),
        }
    }

    fn two_keys(
        &mut self,
        from: &ast::StrLit,
        to: &ast::StrLit,
        make: fn(Key, Key) -> OperationKind,
    ) -> OperationKind {
        make(self.key(from), self.key(to))
    }

    pub(super) fn merge(&mut self, merge: &ast::Merge, span: Span) -> Expr {
        self.note_complex(span);
        Expr::Merge(Box::new(Merge {
            left: self.expr(&merge.target),
            left_span: merge.target.span,
            right: self.expr(&merge.with),
            right_span: merge.with.span,
            span,
        }))
    }
}
