//! Expressions.

use super::{Broken, Kids, Lower, Node, Result};
use crate::ast::{
    Binary, BinaryOp, BytesPart, Call, Expr, ExprKind, For, Match, Merge, Patch, PatchOp, PatchOpKind, Path,
    PathRoot, Presence, RecordEntry, Segment, SegmentKind, Unary, UnaryOp,
};
use crate::parser::{PRECEDENCE, Rule};
use tremor_diagnostic::Span;

impl<'t> Lower<'t> {
    /// A `value`: pure `match`, pure `for` or an operator expression.
    pub(crate) fn value(&self, node: Node<'t>) -> Result<Expr> {
        let node = self.kids(node).any()?;
        let span = self.span(&node);
        let kind = match node.as_rule() {
            Rule::match_expr => ExprKind::Match(Box::new(self.match_expr(node)?)),
            Rule::for_expr => ExprKind::For(Box::new(self.for_expr(node)?)),
            _ => return self.expr(node),
        };
        Ok(Expr { kind, span })
    }

    pub(super) fn values(&self, kids: Kids<'t>) -> Result<Vec<Expr>> {
        kids.map(|node| self.value(node)).collect()
    }

    pub(crate) fn expr(&self, node: Node<'t>) -> Result<Expr> {
        PRECEDENCE
            .map_primary(|node| self.primary(node))
            .map_prefix(|op, operand| {
                let operand = operand?;
                let span = self.span(&op).to(operand.span);
                let op = match op.as_str() {
                    "+" => UnaryOp::Plus,
                    "-" => UnaryOp::Minus,
                    "not" => UnaryOp::Not,
                    _ => UnaryOp::BitNot,
                };
                Ok(Expr { kind: ExprKind::Unary(Box::new(Unary { op, operand })), span })
            })
            .map_infix(|left, op, right| {
                let (left, right, op_span) = (left?, right?, self.span(&op));
                let span = left.span.to(right.span);
                let op = BinaryOp::from_spelling(op.as_str()).ok_or(Broken(op_span))?;
                Ok(Expr { kind: ExprKind::Binary(Box::new(Binary { op, op_span, left, right })), span })
            })
            .parse(node.into_inner())
    }

    pub(super) fn primary(&self, node: Node<'t>) -> Result<Expr> {
        let span = self.span(&node);
        let kind = match node.as_rule() {
            Rule::null => ExprKind::Null,
            Rule::boolean => ExprKind::Bool(node.as_str() == "true"),
            Rule::int | Rule::float => self.number(&node)?,
            Rule::string | Rule::heredoc => ExprKind::Str(self.str_lit(node)?),
            Rule::bytes => {
                ExprKind::Bytes(self.kids(node).map(|part| self.bytes_part(part)).collect::<Result<_>>()?)
            }
            Rule::patch_expr => ExprKind::Patch(Box::new(self.patch(node)?)),
            Rule::merge_expr => {
                let mut kids = self.kids(node);
                let (target, with) = (self.need_value(&mut kids)?, self.need_value(&mut kids)?);
                ExprKind::Merge(Box::new(Merge { target, with }))
            }
            Rule::recur_expr => {
                ExprKind::Recur(self.values(self.kids(self.kids(node).need(Rule::call_args)?))?)
            }
            Rule::presence => {
                let absent = node.as_str().starts_with("absent");
                let path = self.path(self.kids(node).need(Rule::path)?)?;
                ExprKind::Presence(Box::new(Presence { absent, path }))
            }
            Rule::path_expr => return self.path_expr(node),
            _ => return Err(Broken(span)),
        };
        Ok(Expr { kind, span })
    }

    /// A path, or what stands at its root when nothing follows.
    fn path_expr(&self, node: Node<'t>) -> Result<Expr> {
        let span = self.span(&node);
        let path = self.path(node)?;
        match path.root {
            PathRoot::Expr(root) if path.segments.is_empty() => Ok(*root),
            _ => Ok(Expr { kind: ExprKind::Path(path), span }),
        }
    }

    pub(crate) fn path(&self, node: Node<'t>) -> Result<Path> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let root = kids.any()?;
        let mut root_span = self.span(&root);
        let mut segments = Vec::new();
        let root = match root.as_rule() {
            Rule::meta_root => PathRoot::Meta,
            Rule::meta_key => {
                let key = self.need_ident(&mut self.kids(root))?;
                segments.push(Segment { span: key.span, kind: SegmentKind::Key(key) });
                root_span = Span { end: root_span.start + 1, ..root_span };
                PathRoot::Meta
            }
            Rule::keyword_root => match root.as_str().trim_end() {
                "event" => PathRoot::Event,
                "state" => PathRoot::State,
                "args" => PathRoot::Args,
                "group" => PathRoot::Group,
                _ => PathRoot::Window,
            },
            Rule::name => PathRoot::Name(self.name(root)?),
            Rule::name_or_call => {
                let mut kids = self.kids(root);
                let name = self.name(kids.need(Rule::name)?)?;
                match kids.maybe(Rule::call_args) {
                    None => PathRoot::Name(name),
                    Some(args) => {
                        let args = self.values(self.kids(args))?;
                        let kind = ExprKind::Call(Call { name, args, span: root_span });
                        PathRoot::Expr(Box::new(Expr { kind, span: root_span }))
                    }
                }
            }
            Rule::paren => {
                let inner = self.need_value(&mut self.kids(root))?;
                PathRoot::Expr(Box::new(Expr { span: root_span, ..inner }))
            }
            Rule::list => {
                let kind = ExprKind::List(self.values(self.kids(root))?);
                PathRoot::Expr(Box::new(Expr { kind, span: root_span }))
            }
            Rule::record => {
                let entries = self.kids(root).map(|entry| self.entry(entry)).collect::<Result<_>>()?;
                PathRoot::Expr(Box::new(Expr { kind: ExprKind::Record(entries), span: root_span }))
            }
            _ => return Err(Broken(root_span)),
        };
        for segment in kids {
            segments.push(self.segment(segment)?);
        }
        Ok(Path { root, root_span, segments, span })
    }

    fn segment(&self, node: Node<'t>) -> Result<Segment> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        if let Some(key) = kids.maybe(Rule::ident) {
            let key = self.ident(&key);
            return Ok(Segment { span: key.span, kind: SegmentKind::Key(key) });
        }
        let start = self.need_value(&mut kids)?;
        let kind = match kids.maybe(Rule::value) {
            None => SegmentKind::Index(start),
            Some(end) => SegmentKind::Range { start, end: self.value(end)? },
        };
        Ok(Segment { kind, span })
    }

    fn entry(&self, node: Node<'t>) -> Result<RecordEntry> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        Ok(RecordEntry { key: self.need_str(&mut kids)?, value: self.need_value(&mut kids)?, span })
    }

    fn bytes_part(&self, node: Node<'t>) -> Result<BytesPart> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let value = self.primary(kids.any()?)?;
        let size = match kids.maybe(Rule::bytes_size) {
            None => None,
            Some(node) => Some(self.int(&self.kids(node).need(Rule::int)?)?),
        };
        let kind = match kids.maybe(Rule::bytes_kind) {
            None => None,
            Some(node) => Some(self.need_ident(&mut self.kids(node))?),
        };
        Ok(BytesPart { value, size, kind, span })
    }

    fn patch(&self, node: Node<'t>) -> Result<Patch> {
        let mut kids = self.kids(node);
        let target = self.need_value(&mut kids)?;
        let ops = kids.map(|op| self.patch_op(op)).collect::<Result<_>>()?;
        Ok(Patch { target, ops })
    }

    fn patch_op(&self, node: Node<'t>) -> Result<PatchOp> {
        let span = self.span(&node);
        let op = self.kids(node).any()?;
        let rule = op.as_rule();
        let kids = &mut self.kids(op);
        let kind = match rule {
            Rule::op_insert => PatchOpKind::Insert(self.need_str(kids)?, self.need_value(kids)?),
            Rule::op_upsert => PatchOpKind::Upsert(self.need_str(kids)?, self.need_value(kids)?),
            Rule::op_update => PatchOpKind::Update(self.need_str(kids)?, self.need_value(kids)?),
            Rule::op_erase => PatchOpKind::Erase(self.need_str(kids)?),
            Rule::op_move => PatchOpKind::Move(self.need_str(kids)?, self.need_str(kids)?),
            Rule::op_copy => PatchOpKind::Copy(self.need_str(kids)?, self.need_str(kids)?),
            Rule::op_merge => PatchOpKind::Merge(self.maybe_str(kids)?, self.need_value(kids)?),
            Rule::op_default => PatchOpKind::Default(self.maybe_str(kids)?, self.need_value(kids)?),
            _ => return Err(Broken(span)),
        };
        Ok(PatchOp { kind, span })
    }

    fn match_expr(&self, node: Node<'t>) -> Result<Match<Expr>> {
        self.match_of(node, |arm| self.values(self.kids(arm)))
    }

    fn for_expr(&self, node: Node<'t>) -> Result<For<Expr>> {
        self.for_of(node, |arm| self.values(self.kids(arm)))
    }
}
