//! Scripts, modules and statements.

use super::{Broken, Kids, Lower, Node, Result};
use crate::ast::{
    BinaryOp, Const, Emit, Expr, Fold, For, ForClause, Function, FunctionBody, FunctionCase, Intrinsic, Item,
    Items, Let, Match, MatchClause, Module, ModuleItem, Params, Pattern, PatternKind, Script, Stmt, StmtKind,
};
use crate::parser::Rule;

const OLD_DEFAULT: &str = "`default =>` is the older form of a default clause";
const OLD_DEFAULT_HINT: &str = "Write `case _ =>`";

impl<'t> Lower<'t> {
    pub(crate) fn script(&self, node: Node<'t>) -> Result<Script> {
        let mut kids = self.kids(node);
        let doc = self.mod_doc(&mut kids);
        let items = self.items(kids.need(Rule::items)?)?.items;
        Ok(Script { doc, items, span: self.whole() })
    }

    pub(crate) fn module(&self, node: Node<'t>) -> Result<Module> {
        let mut kids = self.kids(node);
        let doc = self.mod_doc(&mut kids);
        let items = kids.map(|item| self.module_item(item)).collect::<Result<_>>()?;
        Ok(Module { doc, items, span: self.whole() })
    }

    fn module_item(&self, node: Node<'t>) -> Result<ModuleItem> {
        let node = self.kids(node).any()?;
        Ok(match node.as_rule() {
            Rule::use_stmt => ModuleItem::Use(self.use_stmt(node)?),
            Rule::const_def => ModuleItem::Const(self.const_def(node)?),
            Rule::function => ModuleItem::Function(self.function(node)?),
            Rule::intrinsic => ModuleItem::Intrinsic(self.intrinsic(node)?),
            Rule::define_window => ModuleItem::Window(self.define_window(node)?),
            Rule::define_operator => ModuleItem::Operator(self.define_operator(node)?),
            Rule::define_script => ModuleItem::Script(self.define_script(node)?),
            Rule::define_pipeline => ModuleItem::Pipeline(self.define_pipeline(node)?),
            Rule::define_connector => ModuleItem::Connector(self.define_connector(node)?),
            Rule::define_flow => ModuleItem::Flow(self.define_flow(node)?),
            _ => return Err(Broken(self.span(&node))),
        })
    }

    pub(super) fn items(&self, node: Node<'t>) -> Result<Items> {
        let span = self.span(&node);
        let items: Vec<Item> = self.kids(node).map(|item| self.item(item)).collect::<Result<_>>()?;
        let end = items.last().map_or(span, Item::span);
        Ok(Items { items, span: span.at_start().to(end) })
    }

    fn item(&self, node: Node<'t>) -> Result<Item> {
        let node = self.kids(node).any()?;
        Ok(match node.as_rule() {
            Rule::use_stmt => Item::Use(self.use_stmt(node)?),
            Rule::const_def => Item::Const(self.const_def(node)?),
            Rule::function => Item::Function(self.function(node)?),
            Rule::intrinsic => Item::Intrinsic(self.intrinsic(node)?),
            _ => Item::Stmt(self.stmt(node)?),
        })
    }

    fn const_def(&self, node: Node<'t>) -> Result<Const> {
        let mut kids = self.kids(node);
        let (doc, span) = self.doc(&mut kids);
        Ok(Const { doc, name: self.need_ident(&mut kids)?, value: self.need_value(&mut kids)?, span })
    }

    fn function(&self, node: Node<'t>) -> Result<Function> {
        let mut kids = self.kids(node);
        let (doc, span) = self.doc(&mut kids);
        let name = self.need_ident(&mut kids)?;
        let params = self.params(&mut kids);
        let body = kids.any()?;
        let body = match body.as_rule() {
            Rule::fn_with => FunctionBody::With(self.stmts(self.kids(body))?),
            _ => self.fn_of(body)?,
        };
        Ok(Function { doc, name, params, body, span })
    }

    fn params(&self, kids: &mut Kids<'t>) -> Params {
        if let Some(node) = kids.maybe(Rule::open_params) {
            return Params { names: self.idents(&mut self.kids(node)), open: true };
        }
        let names = kids.maybe(Rule::params).map(|node| self.idents(&mut self.kids(node)));
        Params { names: names.unwrap_or_default(), open: false }
    }

    fn fn_of(&self, node: Node<'t>) -> Result<FunctionBody> {
        let mut cases = Vec::new();
        let mut default = None;
        for clause in self.kids(node) {
            match clause.as_rule() {
                Rule::fn_case => cases.push(self.fn_case(clause)?),
                _ => default = Some(clause),
            }
        }
        let mut kids = self.kids(default.ok_or(Broken(self.whole()))?);
        if let Some(old) = kids.maybe(Rule::old_default) {
            self.old_form(self.span(&old), OLD_DEFAULT, OLD_DEFAULT_HINT);
        }
        let default = self.stmts(self.kids(kids.need(Rule::stmt_arm)?))?;
        Ok(FunctionBody::Cases { cases, default })
    }

    fn fn_case(&self, node: Node<'t>) -> Result<FunctionCase> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let mut patterns = Vec::new();
        while let Some(element) = kids.maybe(Rule::element) {
            patterns.push(self.pattern(element)?);
        }
        let guard = self.guard(&mut kids)?;
        let body = self.stmts(self.kids(kids.need(Rule::stmt_arm)?))?;
        Ok(FunctionCase { patterns, guard, body, span })
    }

    fn intrinsic(&self, node: Node<'t>) -> Result<Intrinsic> {
        let mut kids = self.kids(node);
        let (doc, span) = self.doc(&mut kids);
        let name = self.need_ident(&mut kids)?;
        let params = self.params(&mut kids);
        let target = self.name(kids.need(Rule::qualified_name)?)?;
        Ok(Intrinsic { doc, name, params, target, span })
    }

    fn stmts(&self, kids: Kids<'t>) -> Result<Vec<Stmt>> {
        kids.map(|node| self.stmt(node)).collect()
    }

    fn stmt(&self, node: Node<'t>) -> Result<Stmt> {
        let span = self.span(&node);
        let node = self.kids(node).any()?;
        let kind = match node.as_rule() {
            Rule::let_stmt => StmtKind::Let(Box::new(self.let_stmt(node)?)),
            Rule::drop_stmt => StmtKind::Drop,
            Rule::emit_stmt => {
                let mut kids = self.kids(node);
                let value = kids.maybe(Rule::value).map(|value| self.value(value)).transpose()?;
                let port = match kids.maybe(Rule::emit_port) {
                    None => None,
                    Some(port) => Some(self.need_str(&mut self.kids(port))?),
                };
                StmtKind::Emit(Emit { value, port })
            }
            Rule::match_stmt => {
                StmtKind::Match(Box::new(self.match_of(node, |arm| self.stmts(self.kids(arm)))?))
            }
            Rule::for_stmt => StmtKind::For(Box::new(self.for_of(node, |arm| self.stmts(self.kids(arm)))?)),
            _ => StmtKind::Expr(self.expr(node)?),
        };
        Ok(Stmt { kind, span })
    }

    fn let_stmt(&self, node: Node<'t>) -> Result<Let> {
        let mut kids = self.kids(node);
        let place = self.path(kids.need(Rule::path)?)?;
        let value = self.stmt(kids.need(Rule::stmt)?)?;
        let span = place.span.to(value.span);
        Ok(Let { place, value, span })
    }

    pub(super) fn match_of<A>(
        &self,
        node: Node<'t>,
        arm: impl Fn(Node<'t>) -> Result<Vec<A>>,
    ) -> Result<Match<A>> {
        let mut kids = self.kids(node);
        let target = self.need_value(&mut kids)?;
        let clauses = kids.map(|clause| self.match_clause(clause, &arm)).collect::<Result<_>>()?;
        Ok(Match { target, clauses })
    }

    fn match_clause<A>(
        &self,
        node: Node<'t>,
        arm: impl Fn(Node<'t>) -> Result<Vec<A>>,
    ) -> Result<MatchClause<A>> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let (pattern, guard) = match kids.maybe(Rule::old_default) {
            Some(old) => {
                let span = self.span(&old);
                self.old_form(span, OLD_DEFAULT, OLD_DEFAULT_HINT);
                (Pattern { kind: PatternKind::Ignore, span }, None)
            }
            None => {
                let mut head = self.kids(kids.need(Rule::case_head)?);
                let pattern = self.pattern(head.need(Rule::pattern)?)?;
                (pattern, self.guard(&mut head)?)
            }
        };
        Ok(MatchClause { pattern, guard, arm: arm(kids.any()?)?, span })
    }

    fn guard(&self, kids: &mut Kids<'t>) -> Result<Option<Expr>> {
        kids.maybe(Rule::guard).map(|guard| self.need_value(&mut self.kids(guard))).transpose()
    }

    pub(super) fn for_of<A>(
        &self,
        node: Node<'t>,
        arm: impl Fn(Node<'t>) -> Result<Vec<A>>,
    ) -> Result<For<A>> {
        let mut kids = self.kids(node);
        let target = self.need_value(&mut kids)?;
        let (mut clauses, mut fold) = (Vec::new(), None);
        for kid in kids {
            if kid.as_rule() == Rule::fold {
                fold = Some(self.fold(kid)?);
            } else {
                clauses.push(self.for_clause(kid, &arm)?);
            }
        }
        Ok(For { target, clauses, fold })
    }

    fn for_clause<A>(
        &self,
        node: Node<'t>,
        arm: impl Fn(Node<'t>) -> Result<Vec<A>>,
    ) -> Result<ForClause<A>> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let vars = kids.need(Rule::for_vars)?;
        let vars_span = self.span(&vars);
        let mut vars = self.kids(vars);
        let (key, value) = (self.need_ident(&mut vars)?, self.need_ident(&mut vars)?);
        let guard = self.guard(&mut kids)?;
        Ok(ForClause { key, value, vars_span, guard, arm: arm(kids.any()?)?, span })
    }

    fn fold(&self, node: Node<'t>) -> Result<Fold> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let initial = self.need_value(&mut kids)?;
        let op = match kids.maybe(Rule::fold_op) {
            None => None,
            Some(op) => Some(BinaryOp::from_spelling(op.as_str().trim_end()).ok_or(Broken(span))?),
        };
        Ok(Fold { initial, op, span })
    }
}
