//! Paths: what their roots and segments mean.

use super::{Lower, Place, broken, locals::Variable};
use crate::{
    ir::{Expr, LocalName, Path, Root, Segment, SegmentKind},
    scope::{Lookup, look_up, nearest},
};
use tremor_diagnostic::{Diagnostic, codes};
use tremor_syntax::ast::{self, ExprKind};
use tremor_value::Value;

impl Lower<'_, '_> {
    pub(super) fn path(&mut self, path: &ast::Path) -> Expr {
        match self.path_parts(path, false) {
            None => broken(path.span),
            Some(Path { root: Root::Expr(expr), segments, .. }) if segments.is_empty() => expr,
            Some(path) => {
                let (constant, span) = (path.is_const(), path.span);
                self.folded_if(constant, Expr::Path(Box::new(path)), span)
            }
        }
    }

    /// `asking` for `present`, which may ask for arguments that are not declared.
    pub(super) fn path_parts(&mut self, path: &ast::Path, asking: bool) -> Option<Path> {
        let root = match &path.root {
            ast::PathRoot::Event => self.context_root(Root::Event, path),
            ast::PathRoot::Meta => self.context_root(Root::Meta, path),
            ast::PathRoot::State => {
                self.mentions_state = true;
                self.context_root(Root::State, path)
            }
            ast::PathRoot::Group => self.context_root(Root::Group, path),
            ast::PathRoot::Window => self.context_root(Root::Window, path),
            ast::PathRoot::Args => self.args_root(path, asking),
            ast::PathRoot::Name(name) => self.name(name, path)?,
            ast::PathRoot::Expr(expr) => Root::Expr(self.expr(expr)),
        };
        let segments = path.segments.iter().map(|segment| self.segment(segment, path)).collect();
        Some(Path::new(root, segments, path.span))
    }

    fn context_root(&mut self, root: Root, path: &ast::Path) -> Root {
        self.note_dynamic(path.span);
        root
    }

    fn args_root(&mut self, path: &ast::Path, asking: bool) -> Root {
        match self.place {
            Place::Config(Some(declared)) | Place::Select(Some(declared)) | Place::Script(Some(declared)) => {
                // Known only when the instance is made, which the callers of configurations reckon with.
                if let Some(ast::Segment { kind: ast::SegmentKind::Key(key), span }) = path.segments.first()
                    && !asking
                    && !declared.contains(&key.text)
                {
                    let message = format!("There is no argument `{}`", key.text);
                    let diagnostic = Diagnostic::error(codes::UNKNOWN_ARGUMENT, *span, message)
                        .outer(path.span)
                        .hint(declared_hint(declared));
                    self.report(diagnostic);
                }
            }
            _ => self.note_dynamic(path.span),
        }
        Root::Args
    }

    /// What a name means; `None` after a report.
    fn name(&mut self, name: &ast::Name, path: &ast::Path) -> Option<Root> {
        let text = &name.ident.text;
        match look_up(self.scope, &name.module, text, |names| &names.constants) {
            Lookup::Found(value) => return Some(Root::Expr(Expr::Const(value))),
            Lookup::Missing if name.module.is_empty() => {}
            // The value of a broken constant and what a broken module lacks were reported where they stand.
            Lookup::Broken if !name.module.is_empty() || self.scope.names.constants.contains_key(text) => {
                self.failed = true;
                return None;
            }
            Lookup::Broken => {}
            Lookup::Missing => {
                let message = format!("Unknown constant `{}`", name.joined());
                let hint = self
                    .session
                    .missing_use(self.scope, &name.module)
                    .or_else(|| nearest(self.scope, &name.module, text, |names| &names.constants));
                self.report(Diagnostic::error(codes::UNKNOWN_CONSTANT, path.span, message).maybe_hint(hint));
                return None;
            }
        }
        if let Some(root) = self.clause_variable(text) {
            return Some(root);
        }
        match self.place {
            Place::Script(_) | Place::Function { .. } => {
                let (slot, name) = self.local(text);
                Some(Root::Local(slot, name))
            }
            Place::Select(_) | Place::Config(_) | Place::Const => {
                self.note_dynamic(path.span);
                let unknown = self.unknown(text);
                self.unknown_local.get_or_insert_with(|| unknown.clone());
                Some(Root::Unknown(unknown))
            }
        }
    }

    fn clause_variable(&self, name: &str) -> Option<Root> {
        let mut level = 0;
        for (variable, kind) in self.clauses.iter().rev() {
            match kind {
                Variable::Bound if variable == name => return Some(Root::Bound(level)),
                Variable::Slot(slot) if variable == name => {
                    return Some(Root::Local(*slot, LocalName::known(name)));
                }
                Variable::Bound => level += 1,
                Variable::Slot(_) => {}
            }
        }
        None
    }

    /// The slot of a variable of an enclosing statement clause.
    pub(super) fn clause_slot(&self, name: &str) -> Option<u32> {
        match self.clause_variable(name) {
            Some(Root::Local(slot, _)) => Some(slot),
            _ => None,
        }
    }

    pub(super) fn segment(&mut self, segment: &ast::Segment, path: &ast::Path) -> Segment {
        let span = segment.span;
        let kind = match &segment.kind {
            ast::SegmentKind::Key(key) => SegmentKind::Key(key.text.as_str().into()),
            ast::SegmentKind::Index(index) => self.index(index, path),
            ast::SegmentKind::Range { start, end } => self.range(start, end),
        };
        Segment { kind, span }
    }

    fn index(&mut self, index: &ast::Expr, path: &ast::Path) -> SegmentKind {
        let literal = matches!(index.kind, ExprKind::Int(_));
        match self.expr(index) {
            Expr::Const(Value::String(key)) => SegmentKind::Key(key),
            Expr::Const(value @ (Value::I64(_) | Value::U64(_))) => match value.as_u64() {
                Some(number) if literal => SegmentKind::Index(number),
                _ => SegmentKind::Dynamic(Expr::Const(value), index.span),
            },
            Expr::Const(value) => {
                let message = format!(
                    "Expected `string` or `integer` as key or index here, but found `{}`",
                    value.type_name()
                );
                let mut diagnostic =
                    Diagnostic::error(codes::BAD_INDEX_TYPE, index.span, message).outer(path.span);
                if matches!(value, Value::F64(_)) {
                    diagnostic = diagnostic.hint("Convert the float with `math::trunc` or one of its kin");
                }
                self.report(diagnostic);
                SegmentKind::Dynamic(broken(index.span), index.span)
            }
            expr => SegmentKind::Dynamic(expr, index.span),
        }
    }

    fn range(&mut self, start: &ast::Expr, end: &ast::Expr) -> SegmentKind {
        let span = start.span.to(end.span);
        let (mut from, mut to) = (self.expr(start), self.expr(end));
        for (bound, bound_span) in [(&mut from, start.span), (&mut to, end.span)] {
            let Some(value) = bound.as_const() else { continue };
            if value.as_u64().is_none() {
                let found = if value.as_i64().is_some() { "negative integer" } else { value.type_name() };
                let message = format!("Expected `integer` as bound of a range here, but found `{found}`");
                self.report(Diagnostic::error(codes::BAD_INDEX_TYPE, bound_span, message).outer(span));
                *bound = broken(bound_span);
            }
        }
        let bounds = (from.as_const().and_then(Value::as_u64), to.as_const().and_then(Value::as_u64));
        if let (Some(first), Some(past)) = bounds
            && past < first
        {
            let message = format!("This range ends before it starts: {past} is less than {first}");
            self.report(Diagnostic::error(codes::DECREASING_RANGE, span, message));
            from = broken(start.span);
        }
        SegmentKind::Range { start: (from, start.span), end: (to, end.span) }
    }
}

impl Path {
    pub(super) fn is_const(&self) -> bool {
        matches!(self.root, Root::Expr(Expr::Const(_))) && self.segments.iter().all(Segment::is_const)
    }
}

impl Segment {
    fn is_const(&self) -> bool {
        match &self.kind {
            SegmentKind::Key(_) | SegmentKind::Index(_) => true,
            SegmentKind::Dynamic(expr, _) => expr.as_const().is_some(),
            SegmentKind::Range { start, end } => start.0.as_const().is_some() && end.0.as_const().is_some(),
        }
    }
}

/// Lists what may be given.
pub(crate) fn declared_hint(declared: &[String]) -> String {
    if declared.is_empty() {
        return "The definition has no arguments".to_owned();
    }
    let names: Vec<String> = declared.iter().map(|name| format!("`{name}`")).collect();
    format!("The declared arguments are {}", names.join(", "))
}
