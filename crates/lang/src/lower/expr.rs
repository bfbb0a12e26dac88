//! Expressions.

use super::{Lower, Place, Variable, broken};
use crate::{
    ir::{
        Bytes, BytesKind, BytesPart, Chain, Expr, Key, LocalName, Path, Piece, Root, Segment, SegmentKind,
        Step, Unary,
    },
    ops,
    scope::{Lookup, look_up, nearest},
};
use tremor_diagnostic::{Diagnostic, Span, codes};
use tremor_syntax::ast::{self, BinaryOp, ExprKind};
use tremor_value::Value;

impl Lower<'_, '_> {
    pub(crate) fn expr(&mut self, ast: &ast::Expr) -> Expr {
        self.nested(ast.span, |lower| lower.expr_inner(ast)).unwrap_or_else(|| broken(ast.span))
    }

    fn expr_inner(&mut self, ast: &ast::Expr) -> Expr {
        let span = ast.span;
        match &ast.kind {
            ExprKind::Null => Expr::Const(Value::Null),
            ExprKind::Bool(value) => Expr::Const(Value::from(*value)),
            ExprKind::Int(value) => Expr::Const(Value::from(*value)),
            ExprKind::Float(value) => Expr::Const(Value::from(*value)),
            ExprKind::Str(literal) => self.string(literal),
            ExprKind::Bytes(parts) => self.bytes(parts, span),
            ExprKind::Path(path) => self.path(path),
            ExprKind::Call(call) => self.call(call),
            ExprKind::List(items) => self.list(items, span),
            ExprKind::Record(entries) => self.record(entries, span),
            ExprKind::Patch(patch) => self.patch(patch, span),
            ExprKind::Merge(merge) => self.merge(merge, span),
            ExprKind::Recur(_) => self.misplaced_recur(span),
            ExprKind::Unary(unary) => self.unary(unary, span),
            ExprKind::Binary(_) => self.chain(ast),
            ExprKind::Presence(presence) => self.presence(presence, span),
            ExprKind::Match(match_) => {
                self.note_complex(span);
                self.pure_match(match_, span)
            }
            ExprKind::For(for_) => {
                self.note_complex(span);
                self.pure_for(for_, span)
            }
        }
    }

    fn misplaced_recur(&mut self, span: Span) -> Expr {
        let message = "`recur` is only possible as the last thing a function does";
        self.error_around(codes::MISPLACED_RECUR, span, 2, message);
        broken(span)
    }

    /// `match`, `for`, `patch` and `merge` may not stand in the value of a `const`.
    pub(super) fn note_complex(&mut self, span: Span) {
        if self.place == Place::Const {
            self.note_dynamic(span);
        }
    }

    fn list(&mut self, items: &[ast::Expr], span: Span) -> Expr {
        let items: Box<[Expr]> = items.iter().map(|item| self.expr(item)).collect();
        let constant = items.iter().all(|item| item.as_const().is_some());
        self.folded_if(constant, Expr::List(items), span)
    }

    fn folded_if(&mut self, constant: bool, expr: Expr, span: Span) -> Expr {
        if constant { self.fold(expr, span) } else { expr }
    }

    fn record(&mut self, entries: &[ast::RecordEntry], span: Span) -> Expr {
        let entries: Box<[(Key, Expr)]> =
            entries.iter().map(|entry| (self.key(&entry.key), self.expr(&entry.value))).collect();
        let constant =
            |(key, value): &(Key, Expr)| matches!(key, Key::Const(_)) && value.as_const().is_some();
        let constant = entries.iter().all(constant);
        self.folded_if(constant, Expr::Record(entries), span)
    }

    /// The text of a record key or a port.
    pub(super) fn key(&mut self, literal: &ast::StrLit) -> Key {
        match self.string(literal) {
            Expr::Const(Value::String(text)) => Key::Const(text),
            Expr::Interpolate(pieces) => Key::Pieces(pieces),
            other => Key::Pieces(Box::new([Piece::Expr(other)])),
        }
    }

    fn string(&mut self, literal: &ast::StrLit) -> Expr {
        let piece = |part: &ast::StrPart| match part {
            ast::StrPart::Text { text, .. } => Piece::Text(text.as_str().into()),
            ast::StrPart::Interpolation { expr, .. } => Piece::Expr(self.expr(expr)),
        };
        let pieces: Box<[Piece]> = literal.parts.iter().map(piece).collect();
        let constant = pieces.iter().all(|piece| match piece {
            Piece::Text(_) => true,
            Piece::Expr(expr) => expr.as_const().is_some(),
        });
        self.folded_if(constant, Expr::Interpolate(pieces), literal.span)
    }

    fn unary(&mut self, unary: &ast::Unary, span: Span) -> Expr {
        let operand = self.expr(&unary.operand);
        let Some(value) = operand.as_const() else {
            let operand_span = unary.operand.span;
            return Expr::Unary(Box::new(Unary { op: unary.op, operand, operand_span }));
        };
        match ops::unary(unary.op, value) {
            Ok(value) => Expr::Const(value),
            Err(_) => {
                // Folded, the error covers the whole expression.
                let folded = Unary { op: unary.op, operand, operand_span: span };
                self.fold(Expr::Unary(Box::new(folded)), span)
            }
        }
    }

    /// A binary expression together with all that stands to the left of it: the tree leans to the left, and a long
    /// chain must not need a deep stack.
    fn chain(&mut self, ast: &ast::Expr) -> Expr {
        let mut spine = Vec::new();
        let mut first = ast;
        while let ExprKind::Binary(binary) = &first.kind {
            spine.push((&**binary, first.span));
            first = &binary.left;
        }
        let mut chain = self.expr(first);
        let mut left_span = first.span;
        for (binary, span) in spine.into_iter().rev() {
            let operand = self.expr(&binary.right);
            chain = self.step(chain, left_span, binary, operand, span);
            left_span = span;
        }
        chain
    }

    fn step(&mut self, left: Expr, left_span: Span, binary: &ast::Binary, operand: Expr, span: Span) -> Expr {
        let short = matches!(
            (binary.op, &left),
            (BinaryOp::And, Expr::Const(Value::Bool(false))) | (BinaryOp::Or, Expr::Const(Value::Bool(true)))
        );
        if short {
            return left;
        }
        let constant = left.as_const().is_some() && operand.as_const().is_some();
        let step = Step { op: binary.op, operand, operand_span: binary.right.span, span };
        let expr = match left {
            Expr::Chain(mut chain) => {
                let mut steps = std::mem::take(&mut chain.steps).into_vec();
                steps.push(step);
                chain.steps = steps.into_boxed_slice();
                Expr::Chain(chain)
            }
            first => Expr::Chain(Box::new(Chain { first, first_span: left_span, steps: Box::new([step]) })),
        };
        self.folded_if(constant, expr, span)
    }

    fn presence(&mut self, presence: &ast::Presence, span: Span) -> Expr {
        let Some(path) = self.path_parts(&presence.path, true) else { return broken(span) };
        let constant = path.is_const();
        let expr = Expr::Present { path: Box::new(path), wanted: !presence.absent };
        self.folded_if(constant, expr, span)
    }

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
    fn path_parts(&mut self, path: &ast::Path, asking: bool) -> Option<Path> {
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
        Some(Path { root, segments, span: path.span })
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

    fn bytes(&mut self, parts: &[ast::BytesPart], span: Span) -> Expr {
        let parts: Box<[BytesPart]> = parts.iter().map(|part| self.bytes_part(part)).collect();
        let constant = parts.iter().all(|part| part.value.as_const().is_some());
        self.folded_if(constant, Expr::Bytes(Box::new(Bytes { parts, span })), span)
    }

    fn bytes_part(&mut self, part: &ast::BytesPart) -> BytesPart {
        let value = self.expr(&part.value);
        let kind = match bytes_kind(part) {
            Ok(kind) => kind,
            Err(message) => {
                self.report(Diagnostic::error(codes::BAD_BYTES_PART, part.span, message));
                return BytesPart {
                    value: broken(part.span),
                    kind: BytesKind::Binary(None),
                    span: part.span,
                };
            }
        };
        BytesPart { value, kind, span: part.span }
    }
}

impl Path {
    fn is_const(&self) -> bool {
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

fn bytes_kind(part: &ast::BytesPart) -> Result<BytesKind, String> {
    if let Some(size) = part.size.filter(|size| !(1..=64).contains(size)) {
        return Err(format!("The size of this part is {size}, but it has to be 1 to 64"));
    }
    let bits = part.size.and_then(|size| u32::try_from(size).ok());
    let name = part.kind.as_ref().map_or("integer", |kind| kind.text.as_str());
    let (signed, little) = match name {
        "binary" => return Ok(BytesKind::Binary(bits.and_then(|bits| usize::try_from(bits).ok()))),
        "integer" | "unsigned" | "big" | "unsigned_integer" | "big_integer" | "big_unsigned_integer" => {
            (false, false)
        }
        "signed_integer" | "big_signed_integer" => (true, false),
        "little" | "little_integer" | "little_unsigned_integer" => (false, true),
        "little_signed_integer" => (true, true),
        other => return Err(format!("`{other}` is not a type of a part of bytes")),
    };
    Ok(BytesKind::Integer { bits: bits.unwrap_or(8), signed, little })
}

/// Lists what may be given.
pub(crate) fn declared_hint(declared: &[String]) -> String {
    if declared.is_empty() {
        return "The definition has no arguments".to_owned();
    }
    let names: Vec<String> = declared.iter().map(|name| format!("`{name}`")).collect();
    format!("The declared arguments are {}", names.join(", "))
}
