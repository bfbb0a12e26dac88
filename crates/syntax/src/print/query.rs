//! Queries and pipelines.

use super::Printer;
use crate::ast::{
    Channel, Create, DefineOperator, DefinePipeline, DefineScript, DefineWindow, Expr, Group, GroupKind,
    Ident, Items, Query, QueryStmt, Section, Select, WindowKind,
};

impl Printer {
    pub(super) fn query(&mut self, query: &Query) {
        self.directives(&query.directives);
        self.top_level(&query.stmts, Self::query_stmt);
    }

    fn query_stmt(&mut self, stmt: &QueryStmt) {
        match stmt {
            QueryStmt::Use(node) => self.use_stmt(node),
            QueryStmt::Window(node) => self.define_window(node),
            QueryStmt::Operator(node) => self.define_operator(node),
            QueryStmt::Script(node) => self.define_script(node),
            QueryStmt::Pipeline(node) => self.define_pipeline(node),
            QueryStmt::Stream(node) => {
                self.text("create stream ");
                self.ident(&node.name);
            }
            QueryStmt::Create(node) => self.create(node),
            QueryStmt::Select(node) => self.select(node),
        }
    }

    pub(super) fn define_window(&mut self, node: &DefineWindow) {
        self.doc(node.doc.as_ref(), "##");
        self.text("define window ");
        self.ident(&node.name);
        self.text(match node.kind {
            WindowKind::Tumbling => " from tumbling",
            WindowKind::Sliding => " from sliding",
        });
        if let Some(with) = &node.with {
            self.line();
            self.with(with);
        }
        self.state(node.state.as_ref());
        node.tick.iter().for_each(|section| self.section(section));
        node.script.iter().for_each(|script| self.main_section(script));
        self.line();
        self.text("end");
    }

    fn state(&mut self, state: Option<&Expr>) {
        if let Some(state) = state {
            self.line();
            self.text("state ");
            self.expr(state);
        }
    }

    fn section(&mut self, section: &Section) {
        self.line();
        self.text("script from ");
        self.ident(&section.port);
        self.deeper(|printer| printer.items(&section.body));
    }

    fn main_section(&mut self, items: &Items) {
        self.line();
        self.text("script");
        self.deeper(|printer| printer.items(items));
    }

    pub(super) fn define_operator(&mut self, node: &DefineOperator) {
        self.doc(node.doc.as_ref(), "##");
        self.text("define operator ");
        self.ident(&node.name);
        self.from(Some(&node.kind));
        self.args(node.args.as_ref());
        self.with_end(node.with.as_ref());
    }

    pub(super) fn define_script(&mut self, node: &DefineScript) {
        self.doc(node.doc.as_ref(), "##");
        self.text("define script ");
        self.ident(&node.name);
        self.args(node.args.as_ref());
        self.state(node.state.as_ref());
        node.sections.iter().for_each(|section| self.section(section));
        self.main_section(&node.script);
        self.line();
        self.text("end");
    }

    pub(super) fn define_pipeline(&mut self, node: &DefinePipeline) {
        self.doc(node.doc.as_ref(), "##");
        self.text("define pipeline ");
        self.ident(&node.name);
        self.ports("from ", node.from.as_deref());
        self.ports("into ", node.into.as_deref());
        self.args(node.args.as_ref());
        self.line();
        self.text("pipeline");
        self.deeper(|printer| {
            if !node.directives.is_empty() {
                printer.line();
                printer.directives(&node.directives);
            }
            printer.lines(&node.stmts, Self::query_stmt);
        });
        self.line();
        self.text("end");
    }

    fn ports(&mut self, word: &str, ports: Option<&[Ident]>) {
        if let Some(ports) = ports {
            self.line();
            self.text(word);
            self.idents(ports);
        }
    }

    pub(super) fn create(&mut self, node: &Create) {
        self.text("create ");
        self.text(node.kind.as_str());
        self.text(" ");
        self.ident(&node.name);
        self.from(node.from.as_ref());
        self.with_end(node.with.as_ref());
    }

    fn select(&mut self, node: &Select) {
        self.text("select ");
        self.value(&node.target);
        self.text(" from ");
        self.channel(&node.from);
        if !node.windows.is_empty() {
            self.text("[");
            self.separated(&node.windows, ", ", Self::name);
            self.text("]");
        }
        self.clause("where ", node.filter.as_ref());
        if let Some(group) = &node.group_by {
            self.line();
            self.text("group by ");
            self.group(group);
        }
        self.text(" into ");
        self.channel(&node.into);
        self.clause("having ", node.having.as_ref());
    }

    fn clause(&mut self, word: &str, value: Option<&Expr>) {
        if let Some(value) = value {
            self.line();
            self.text(word);
            self.value(value);
        }
    }

    fn channel(&mut self, channel: &Channel) {
        self.ident(&channel.node);
        if let Some(port) = &channel.port {
            self.text("/");
            self.ident(port);
        }
    }

    fn group(&mut self, group: &Group) {
        match &group.kind {
            GroupKind::Expr(expr) => self.expr(expr),
            GroupKind::Set(groups) => {
                self.text("set(");
                self.separated(groups, ", ", Self::group);
                self.text(")");
            }
            GroupKind::Each(expr) => {
                self.text("each(");
                self.expr(expr);
                self.text(")");
            }
        }
    }
}
