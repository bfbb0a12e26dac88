//! Expressions.

use super::{Lower, Place, broken, warn_of_repeated_keys};
use crate::{
    ir::{Bytes, BytesKind, BytesPart, Chain, Expr, Key, Piece, Step, Unary},
    ops,
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

    pub(super) fn folded_if(&mut self, constant: bool, expr: Expr, span: Span) -> Expr {
        if constant { self.fold(expr, span) } else { expr }
    }

    fn record(&mut self, asts: &[ast::RecordEntry], span: Span) -> Expr {
        let entries: Box<[(Key, Expr)]> =
            asts.iter().map(|entry| (self.key(&entry.key), self.expr(&entry.value))).collect();
        let keys = entries.iter().zip(asts).filter_map(|((key, _), entry)| match key {
            Key::Const(text) => Some((&**text, entry.key.span)),
            Key::Pieces(_) => None,
        });
        warn_of_repeated_keys(keys, self.session);
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
