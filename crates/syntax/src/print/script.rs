//! Scripts, modules and statements.

use super::Printer;
use crate::ast::{
    Const, Expr, Fold, For, Function, FunctionBody, Intrinsic, Item, Items, Match, Module, ModuleItem,
    Params, Script, Stmt, StmtKind,
};

impl Printer {
    pub(super) fn script(&mut self, script: &Script) {
        self.doc(script.doc.as_ref(), "###");
        self.top_level(&script.items, Self::item);
    }

    pub(super) fn module(&mut self, module: &Module) {
        self.doc(module.doc.as_ref(), "###");
        self.top_level(&module.items, Self::module_item);
    }

    pub(super) fn items(&mut self, items: &Items) {
        self.lines(&items.items, Self::item);
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Use(node) => self.use_stmt(node),
            Item::Const(node) => self.const_def(node),
            Item::Function(node) => self.function(node),
            Item::Intrinsic(node) => self.intrinsic(node),
            Item::Stmt(node) => self.stmt(node),
        }
    }

    fn module_item(&mut self, item: &ModuleItem) {
        match item {
            ModuleItem::Use(node) => self.use_stmt(node),
            ModuleItem::Const(node) => self.const_def(node),
            ModuleItem::Function(node) => self.function(node),
            ModuleItem::Intrinsic(node) => self.intrinsic(node),
            ModuleItem::Window(node) => self.define_window(node),
            ModuleItem::Operator(node) => self.define_operator(node),
            ModuleItem::Script(node) => self.define_script(node),
            ModuleItem::Pipeline(node) => self.define_pipeline(node),
            ModuleItem::Connector(node) => self.define_connector(node),
            ModuleItem::Flow(node) => self.define_flow(node),
        }
    }

    fn const_def(&mut self, node: &Const) {
        self.doc(node.doc.as_ref(), "##");
        self.text("const ");
        self.ident(&node.name);
        self.text(" = ");
        self.value(&node.value);
    }

    fn params(&mut self, params: &Params) {
        self.text("(");
        self.idents(&params.names);
        if params.open {
            self.text(if params.names.is_empty() { "..." } else { ", ..." });
        }
        self.text(")");
    }

    fn function(&mut self, node: &Function) {
        self.doc(node.doc.as_ref(), "##");
        self.text("fn ");
        self.ident(&node.name);
        self.params(&node.params);
        match &node.body {
            FunctionBody::With(stmts) => {
                self.text(" with");
                self.deeper(|printer| printer.lines(stmts, Self::stmt));
            }
            FunctionBody::Cases { cases, default } => {
                self.text(" of");
                self.deeper(|printer| {
                    for case in cases {
                        printer.line();
                        printer.text("case (");
                        printer.separated(&case.patterns, ", ", Self::pattern);
                        printer.text(")");
                        printer.guard(case.guard.as_ref());
                        printer.arm(&case.body, ";", Self::stmt);
                    }
                    printer.line();
                    printer.text("case _");
                    printer.arm(default, ";", Self::stmt);
                });
            }
        }
        self.line();
        self.text("end");
    }

    fn intrinsic(&mut self, node: &Intrinsic) {
        self.doc(node.doc.as_ref(), "##");
        self.text("intrinsic fn ");
        self.ident(&node.name);
        self.params(&node.params);
        self.text(" as ");
        self.name(&node.target);
    }

    pub(super) fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Let(node) => {
                self.text("let ");
                self.path(&node.place);
                self.text(" = ");
                self.stmt(&node.value);
            }
            StmtKind::Emit(node) => {
                self.text("emit");
                if let Some(value) = &node.value {
                    self.text(" ");
                    self.value(value);
                }
                if let Some(port) = &node.port {
                    self.text(" => ");
                    self.string(port);
                }
            }
            StmtKind::Drop => self.text("drop"),
            StmtKind::Match(node) => self.match_of(node, ";", Self::stmt),
            StmtKind::For(node) => self.for_of(node, ";", Self::stmt),
            StmtKind::Expr(expr) => self.expr(expr),
        }
    }

    pub(super) fn match_of<A>(&mut self, node: &Match<A>, separator: &str, print: impl Fn(&mut Self, &A)) {
        self.text("match ");
        self.value(&node.target);
        self.text(" of");
        self.deeper(|printer| {
            for clause in &node.clauses {
                printer.line();
                printer.text("case ");
                printer.pattern(&clause.pattern);
                printer.guard(clause.guard.as_ref());
                printer.arm(&clause.arm, separator, &print);
            }
        });
        self.line();
        self.text("end");
    }

    pub(super) fn for_of<A>(&mut self, node: &For<A>, separator: &str, print: impl Fn(&mut Self, &A)) {
        self.text("for ");
        self.value(&node.target);
        self.text(" of");
        self.deeper(|printer| {
            for clause in &node.clauses {
                printer.line();
                printer.text("case (");
                printer.ident(&clause.key);
                printer.text(", ");
                printer.ident(&clause.value);
                printer.text(")");
                printer.guard(clause.guard.as_ref());
                printer.arm(&clause.arm, separator, &print);
            }
        });
        self.line();
        if let Some(fold) = &node.fold {
            self.fold(fold);
        }
        self.text("end");
    }

    fn fold(&mut self, fold: &Fold) {
        self.text("into ");
        self.value(&fold.initial);
        if let Some(op) = fold.op {
            self.text(" use ");
            self.text(op.as_str());
        }
        self.text(" ");
    }

    fn guard(&mut self, guard: Option<&Expr>) {
        if let Some(guard) = guard {
            self.text(" when ");
            self.value(guard);
        }
    }

    fn arm<A>(&mut self, arm: &[A], separator: &str, print: impl Fn(&mut Self, &A)) {
        self.text(" =>");
        if let [single] = arm {
            self.text(" ");
            return self.deeper(|printer| print(printer, single));
        }
        self.deeper(|printer| {
            for (index, item) in arm.iter().enumerate() {
                printer.text(if index > 0 { separator } else { "" });
                printer.line();
                print(printer, item);
            }
        });
    }
}
