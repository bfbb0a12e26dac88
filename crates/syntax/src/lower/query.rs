//! Queries and pipelines.

use super::{Broken, Kids, Lower, Node, Result};
use crate::ast::{
    Channel, Create, CreateKind, CreateStream, DefineOperator, DefinePipeline, DefineScript, DefineWindow,
    Expr, Group, GroupKind, Ident, Items, Name, Query, QueryStmt, Section, Select, WindowKind,
};
use crate::parser::Rule;

impl<'t> Lower<'t> {
    pub(crate) fn query(&self, node: Node<'t>) -> Result<Query> {
        let mut kids = self.kids(node);
        let directives = self.directives(&mut kids)?;
        let stmts = self.query_stmts(kids)?;
        Ok(Query { directives, stmts, span: self.whole() })
    }

    fn query_stmts(&self, kids: Kids<'t>) -> Result<Vec<QueryStmt>> {
        kids.map(|stmt| self.query_stmt(self.kids(stmt).any()?)).collect()
    }

    fn query_stmt(&self, node: Node<'t>) -> Result<QueryStmt> {
        Ok(match node.as_rule() {
            Rule::use_stmt => QueryStmt::Use(self.use_stmt(node)?),
            Rule::define_window => QueryStmt::Window(self.define_window(node)?),
            Rule::define_operator => QueryStmt::Operator(self.define_operator(node)?),
            Rule::define_script => QueryStmt::Script(self.define_script(node)?),
            Rule::define_pipeline => QueryStmt::Pipeline(self.define_pipeline(node)?),
            Rule::create_stream => {
                let span = self.span(&node);
                QueryStmt::Stream(CreateStream { name: self.need_ident(&mut self.kids(node))?, span })
            }
            Rule::query_create => QueryStmt::Create(self.create(node)?),
            Rule::select => QueryStmt::Select(Box::new(self.select(node)?)),
            _ => return Err(Broken(self.span(&node))),
        })
    }

    pub(super) fn define_window(&self, node: Node<'t>) -> Result<DefineWindow> {
        let mut kids = self.kids(node);
        let (doc, span) = self.doc(&mut kids);
        let name = self.need_ident(&mut kids)?;
        let kind = match kids.need(Rule::window_kind)?.as_str().trim_end() {
            "tumbling" => WindowKind::Tumbling,
            _ => WindowKind::Sliding,
        };
        let with = self.maybe_with(&mut kids)?;
        let state = self.state(&mut kids)?;
        let tick = kids.maybe(Rule::section).map(|node| self.section(node)).transpose()?;
        let script = match kids.maybe(Rule::main_section) {
            None => None,
            Some(section) => Some(self.main_section(section)?),
        };
        Ok(DefineWindow { doc, name, kind, with, state, tick, script, span })
    }

    fn state(&self, kids: &mut Kids<'t>) -> Result<Option<Expr>> {
        kids.maybe(Rule::state).map(|state| self.need_expr(&mut self.kids(state))).transpose()
    }

    fn section(&self, node: Node<'t>) -> Result<Section> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let port = self.need_ident(&mut kids)?;
        let body = self.items(kids.need(Rule::items)?)?;
        let span = span.at_start().to(body.span);
        Ok(Section { port, body, span })
    }

    fn main_section(&self, node: Node<'t>) -> Result<Items> {
        self.items(self.kids(node).need(Rule::items)?)
    }

    pub(super) fn define_operator(&self, node: Node<'t>) -> Result<DefineOperator> {
        let mut kids = self.kids(node);
        let (doc, span) = self.doc(&mut kids);
        let name = self.need_ident(&mut kids)?;
        let kind = self.name(kids.need(Rule::operator_kind)?)?;
        let args = self.maybe_args(&mut kids)?;
        let with = self.maybe_with(&mut kids)?;
        Ok(DefineOperator { doc, name, kind, args, with, span })
    }

    pub(super) fn define_script(&self, node: Node<'t>) -> Result<DefineScript> {
        let mut kids = self.kids(node);
        let (doc, span) = self.doc(&mut kids);
        let name = self.need_ident(&mut kids)?;
        let args = self.maybe_args(&mut kids)?;
        let state = self.state(&mut kids)?;
        let mut sections = Vec::new();
        while let Some(section) = kids.maybe(Rule::section) {
            sections.push(self.section(section)?);
        }
        let script = self.main_section(kids.need(Rule::main_section)?)?;
        Ok(DefineScript { doc, name, args, state, sections, script, span })
    }

    pub(super) fn define_pipeline(&self, node: Node<'t>) -> Result<DefinePipeline> {
        let mut kids = self.kids(node);
        let (doc, span) = self.doc(&mut kids);
        let name = self.need_ident(&mut kids)?;
        let mut args = None;
        if let Some(old) = kids.maybe(Rule::old_args) {
            let node = self.kids(old).need(Rule::args)?;
            let found = self.args(node)?;
            let word = self.tokens.span(found.span.range().start, found.span.range().start + "args".len());
            self.old_form(
                word,
                "`args` before `from` and `into` is the older order",
                "Write the ports first",
            );
            args = Some(found);
        }
        let from = self.ports(&mut kids, Rule::from_ports);
        let into = self.ports(&mut kids, Rule::into_ports);
        let args = self.maybe_args(&mut kids)?.or(args);
        let directives = self.directives(&mut kids)?;
        let stmts = self.query_stmts(kids)?;
        Ok(DefinePipeline { doc, name, from, into, args, directives, stmts, span })
    }

    fn ports(&self, kids: &mut Kids<'t>, rule: Rule) -> Option<Vec<Ident>> {
        kids.maybe(rule).map(|ports| self.idents(&mut self.kids(ports)))
    }

    pub(super) fn create(&self, node: Node<'t>) -> Result<Create> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let kind = match kids.any()?.as_str().trim_end() {
            "operator" => CreateKind::Operator,
            "script" => CreateKind::Script,
            "pipeline" => CreateKind::Pipeline,
            _ => CreateKind::Connector,
        };
        let name = self.need_ident(&mut kids)?;
        let from = self.maybe_name(&mut kids)?;
        let with = self.maybe_with(&mut kids)?;
        Ok(Create { kind, name, from, with, span })
    }

    fn select(&self, node: Node<'t>) -> Result<Select> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let target = self.need_value(&mut kids)?;
        let from = self.channel(kids.need(Rule::channel)?)?;
        let windows: Vec<Name> = match kids.maybe(Rule::window_list) {
            None => Vec::new(),
            Some(list) => self.kids(list).map(|name| self.name(name)).collect::<Result<_>>()?,
        };
        let filter = self.clause(&mut kids, Rule::where_clause)?;
        let group_by = match kids.maybe(Rule::group_by) {
            None => None,
            Some(node) => Some(self.group(self.kids(node).need(Rule::group)?)?),
        };
        let into = self.channel(kids.need(Rule::channel)?)?;
        let having = self.clause(&mut kids, Rule::having_clause)?;
        Ok(Select { target, from, windows, filter, group_by, into, having, span })
    }

    fn clause(&self, kids: &mut Kids<'t>, rule: Rule) -> Result<Option<Expr>> {
        kids.maybe(rule).map(|clause| self.need_value(&mut self.kids(clause))).transpose()
    }

    fn channel(&self, node: Node<'t>) -> Result<Channel> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let node = self.need_ident(&mut kids)?;
        let port = kids.maybe(Rule::ident).map(|port| self.ident(&port));
        Ok(Channel { node, port, span })
    }

    fn group(&self, node: Node<'t>) -> Result<Group> {
        let span = self.span(&node);
        let node = self.kids(node).any()?;
        let kind = match node.as_rule() {
            Rule::group_set => {
                GroupKind::Set(self.kids(node).map(|group| self.group(group)).collect::<Result<_>>()?)
            }
            Rule::group_each => GroupKind::Each(self.need_expr(&mut self.kids(node))?),
            _ => GroupKind::Expr(self.expr(node)?),
        };
        Ok(Group { kind, span })
    }
}
