//! Strings and numbers.

use super::{Broken, Lower, Node, Result};
use crate::ast::{ExprKind, StrLit, StrPart};
use crate::parser::Rule;
use crate::scan::literal::{Escape, escape, float_value, int_value};

impl<'t> Lower<'t> {
    pub(crate) fn int(&self, node: &Node<'t>) -> Result<u64> {
        int_value(node.as_str()).ok_or_else(|| Broken(self.span(node)))
    }

    pub(super) fn number(&self, node: &Node<'t>) -> Result<ExprKind> {
        match node.as_rule() {
            Rule::int => self.int(node).map(ExprKind::Int),
            _ => float_value(node.as_str()).map(ExprKind::Float).ok_or_else(|| Broken(self.span(node))),
        }
    }

    pub(super) fn need_str(&self, kids: &mut super::Kids<'t>) -> Result<StrLit> {
        let node = kids.any()?;
        self.str_lit(node)
    }

    /// A string literal, if one follows.
    pub(super) fn maybe_str(&self, kids: &mut super::Kids<'t>) -> Result<Option<StrLit>> {
        let node = kids.maybe(Rule::string).or_else(|| kids.maybe(Rule::heredoc));
        node.map(|node| self.str_lit(node)).transpose()
    }

    pub(super) fn str_lit(&self, node: Node<'t>) -> Result<StrLit> {
        let span = self.span(&node);
        let heredoc = match node.as_rule() {
            Rule::string => false,
            Rule::heredoc => true,
            _ => return Err(Broken(span)),
        };
        let mut parts: Vec<StrPart> = Vec::new();
        for part in self.kids(node) {
            let part_span = part.as_span();
            let part_span = self.tokens.span(part_span.start(), part_span.end());
            let piece = match part.as_rule() {
                Rule::interpolation => {
                    let expr = self.need_expr(&mut self.kids(part))?;
                    parts.push(StrPart::Interpolation { expr, span: part_span });
                    continue;
                }
                Rule::str_escape => match escape(part.as_str(), heredoc) {
                    Escape::Char { value, .. } => value.to_string(),
                    _ => return Err(Broken(part_span)),
                },
                _ => part.as_str().to_owned(),
            };
            match parts.last_mut() {
                Some(StrPart::Text { text, span }) => {
                    text.push_str(&piece);
                    *span = span.to(part_span);
                }
                _ => parts.push(StrPart::Text { text: piece, span: part_span }),
            }
        }
        Ok(StrLit { parts, heredoc, span })
    }
}
