//! From the pairs of the grammar to the tree.
//!
//! The grammar guarantees the shape of the pairs; should tree and grammar ever disagree, the result is a report
//! ([`Broken`]), not a panic.

mod deploy;
mod expr;
mod literal;
mod pattern;
mod query;
mod script;

use crate::ast::{Arg, Args, Directive, Doc, Expr, Ident, Name, Use, UseTail, UseTree, With, WithEntry};
use crate::expected::spelling;
use crate::parser::Rule;
use crate::scan::Tokens;
use pest::iterators::{Pair, Pairs};
use std::cell::RefCell;
use tremor_diagnostic::{Diagnostic, Span, WarningClass, codes};

/// The grammar gave something that the lowering does not know.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) Span);

pub(crate) type Result<T> = std::result::Result<T, Broken>;
pub(crate) type Node<'t> = Pair<'t, Rule>;

/// The state of one lowering.
pub(crate) struct Lower<'t> {
    pub(crate) tokens: &'t Tokens<'t>,
    pub(crate) warnings: RefCell<Vec<Diagnostic>>,
}

/// The children of a pair that carry meaning: no punctuation, no reserved words.
pub(crate) struct Kids<'t> {
    pairs: Pairs<'t, Rule>,
    span: Span,
}

impl<'t> Kids<'t> {
    fn skip_noise(&mut self) {
        while self.pairs.peek().is_some_and(|pair| {
            let rule = pair.as_rule();
            rule == Rule::EOI || spelling(rule).is_some()
        }) {
            self.pairs.next();
        }
    }

    /// The next child.
    pub(crate) fn any(&mut self) -> Result<Node<'t>> {
        self.next().ok_or(Broken(self.span))
    }

    /// The next child, which has to be a `rule`.
    pub(crate) fn need(&mut self, rule: Rule) -> Result<Node<'t>> {
        self.maybe(rule).ok_or(Broken(self.span))
    }

    /// The next child, if it is a `rule`.
    pub(crate) fn maybe(&mut self, rule: Rule) -> Option<Node<'t>> {
        self.skip_noise();
        if self.pairs.peek()?.as_rule() == rule { self.pairs.next() } else { None }
    }
}

impl<'t> Iterator for Kids<'t> {
    type Item = Node<'t>;

    fn next(&mut self) -> Option<Node<'t>> {
        self.skip_noise();
        self.pairs.next()
    }
}

impl<'t> Lower<'t> {
    pub(crate) fn new(tokens: &'t Tokens<'t>) -> Self {
        Self { tokens, warnings: RefCell::default() }
    }

    /// The place of a pair without the blanks that the grammar skipped at its end.
    pub(crate) fn span(&self, node: &Node<'_>) -> Span {
        let span = node.as_span();
        self.tokens.trim(span.start(), span.end())
    }

    pub(crate) fn kids(&self, node: Node<'t>) -> Kids<'t> {
        let span = self.span(&node);
        Kids { pairs: node.into_inner(), span }
    }

    pub(crate) fn whole(&self) -> Span {
        self.tokens.span(0, self.tokens.text.len())
    }

    pub(crate) fn old_form(&self, span: Span, message: &str, hint: &str) {
        let class = WarningClass::General;
        let outer = self.tokens.around(span);
        let warning = Diagnostic::warning(class, codes::OLD_SYNTAX, span, message).outer(outer).hint(hint);
        self.warnings.borrow_mut().push(warning);
    }

    pub(crate) fn ident(&self, node: &Node<'_>) -> Ident {
        let text = node.as_str().trim_end();
        let text = text.strip_prefix('`').and_then(|text| text.strip_suffix('`')).unwrap_or(text);
        Ident { text: text.to_owned(), span: self.span(node) }
    }

    pub(crate) fn need_ident(&self, kids: &mut Kids<'t>) -> Result<Ident> {
        kids.need(Rule::ident).map(|node| self.ident(&node))
    }

    /// As many names as follow.
    pub(crate) fn idents(&self, kids: &mut Kids<'t>) -> Vec<Ident> {
        std::iter::from_fn(|| kids.maybe(Rule::ident)).map(|node| self.ident(&node)).collect()
    }

    pub(crate) fn name(&self, node: Node<'t>) -> Result<Name> {
        let span = self.span(&node);
        let mut module = self.idents(&mut self.kids(node));
        let ident = module.pop().ok_or(Broken(span))?;
        Ok(Name { module, ident, span })
    }

    pub(crate) fn maybe_name(&self, kids: &mut Kids<'t>) -> Result<Option<Name>> {
        kids.maybe(Rule::name).map(|node| self.name(node)).transpose()
    }

    /// The comment before a definition, and the span of the definition without it.
    pub(crate) fn doc(&self, kids: &mut Kids<'t>) -> (Option<Doc>, Span) {
        let Some(node) = kids.maybe(Rule::doc) else { return (None, kids.span) };
        let doc = self.comment(node, "##");
        let after = self.tokens.index_at(doc.span.range().end);
        let start = self.tokens.list.get(after).map_or(kids.span.range().start, |token| token.start);
        let span = self.tokens.span(start, kids.span.range().end);
        (Some(doc), span)
    }

    pub(crate) fn mod_doc(&self, kids: &mut Kids<'t>) -> Option<Doc> {
        kids.maybe(Rule::mod_doc).map(|node| self.comment(node, "###"))
    }

    fn comment(&self, node: Node<'t>, marker: &str) -> Doc {
        let span = self.span(&node);
        let line = |node: Node<'_>| {
            let text = node.as_str();
            let text = text.strip_prefix(marker).unwrap_or(text);
            text.strip_suffix('\r').unwrap_or(text).to_owned()
        };
        Doc { lines: self.kids(node).map(line).collect(), span }
    }

    pub(crate) fn use_stmt(&self, node: Node<'t>) -> Result<Use> {
        let span = self.span(&node);
        let tree = self.use_tree(self.kids(node).need(Rule::use_tree)?)?;
        Ok(Use { tree, span })
    }

    fn use_tree(&self, node: Node<'t>) -> Result<UseTree> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let path = self.idents(&mut kids);
        let tail = if let Some(alias) = kids.maybe(Rule::use_alias) {
            UseTail::Alias(self.need_ident(&mut self.kids(alias))?)
        } else {
            let group: Vec<UseTree> = kids.map(|tree| self.use_tree(tree)).collect::<Result<_>>()?;
            if group.is_empty() { UseTail::None } else { UseTail::Group(group) }
        };
        Ok(UseTree { path, tail, span })
    }

    pub(crate) fn directives(&self, kids: &mut Kids<'t>) -> Result<Vec<Directive>> {
        std::iter::from_fn(|| kids.maybe(Rule::directive)).map(|node| self.directive(node)).collect()
    }

    fn directive(&self, node: Node<'t>) -> Result<Directive> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let name = kids.any()?;
        Ok(Directive { name: self.ident(&name), value: self.need_expr(&mut kids)?, span })
    }

    /// The next child, which has to be an operator expression.
    pub(crate) fn need_expr(&self, kids: &mut Kids<'t>) -> Result<Expr> {
        self.expr(kids.need(Rule::expr)?)
    }

    /// The next child, which has to be a `value`.
    pub(crate) fn need_value(&self, kids: &mut Kids<'t>) -> Result<Expr> {
        self.value(kids.need(Rule::value)?)
    }

    pub(crate) fn maybe_args(&self, kids: &mut Kids<'t>) -> Result<Option<Args>> {
        kids.maybe(Rule::args).map(|node| self.args(node)).transpose()
    }

    pub(crate) fn args(&self, node: Node<'t>) -> Result<Args> {
        let span = self.span(&node);
        let entries: Vec<Arg> = self.kids(node).map(|arg| self.arg(arg)).collect::<Result<_>>()?;
        let end = entries.last().map_or(span, |entry| entry.span);
        Ok(Args { entries, span: span.at_start().to(end) })
    }

    fn arg(&self, node: Node<'t>) -> Result<Arg> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let name = self.need_ident(&mut kids)?;
        let default = kids.maybe(Rule::expr).map(|node| self.expr(node)).transpose()?;
        Ok(Arg { name, default, span })
    }

    pub(crate) fn maybe_with(&self, kids: &mut Kids<'t>) -> Result<Option<With>> {
        kids.maybe(Rule::with).map(|node| self.with(node)).transpose()
    }

    fn with(&self, node: Node<'t>) -> Result<With> {
        let span = self.span(&node);
        let entry = |node: Node<'t>| {
            let span = self.span(&node);
            let mut kids = self.kids(node);
            Ok(WithEntry { key: self.need_ident(&mut kids)?, value: self.need_expr(&mut kids)?, span })
        };
        let entries: Vec<WithEntry> = self.kids(node).map(entry).collect::<Result<_>>()?;
        let end = entries.last().map_or(span, |entry| entry.span);
        Ok(With { entries, span: span.at_start().to(end) })
    }
}
