//! From the tree back to source text.
//!
//! Parsing the result gives the same tree, positions aside. Comments that are no documentation are lost, older
//! forms become today's.

mod deploy;
mod expr;
mod pattern;
mod query;
mod script;

use crate::ast::{
    Args, Deployment, Directive, Doc, Expr, Ident, Module, Name, Pattern, Query, Script, Stmt, Use, UseTail,
    UseTree, With,
};
use crate::scan::is_reserved;
use unicode_ident::{is_xid_continue, is_xid_start};

/// Source text of a script.
#[must_use]
pub fn script(script: &Script) -> String {
    printed(|printer| printer.script(script))
}

/// Source text of a module.
#[must_use]
pub fn module(module: &Module) -> String {
    printed(|printer| printer.module(module))
}

/// Source text of a query.
#[must_use]
pub fn query(query: &Query) -> String {
    printed(|printer| printer.query(query))
}

/// Source text of a deployment.
#[must_use]
pub fn deployment(deployment: &Deployment) -> String {
    printed(|printer| printer.deployment(deployment))
}

/// Source text of an expression, as it may stand between parentheses.
#[must_use]
pub fn expr(expr: &Expr) -> String {
    printed(|printer| printer.value(expr)).trim_end().to_owned()
}

/// Source text of a statement.
#[must_use]
pub fn stmt(stmt: &Stmt) -> String {
    printed(|printer| printer.stmt(stmt)).trim_end().to_owned()
}

/// Source text of a pattern.
#[must_use]
pub fn pattern(pattern: &Pattern) -> String {
    printed(|printer| printer.pattern(pattern)).trim_end().to_owned()
}

fn printed(print: impl FnOnce(&mut Printer)) -> String {
    let mut printer = Printer::default();
    print(&mut printer);
    printer.out.push('\n');
    printer.out
}

#[derive(Default)]
struct Printer {
    out: String,
    indent: usize,
}

impl Printer {
    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", self.indent));
    }

    /// What `print` writes stands two blanks deeper.
    fn deeper(&mut self, print: impl FnOnce(&mut Self)) {
        self.indent += 1;
        print(self);
        self.indent -= 1;
    }

    fn separated<T>(&mut self, items: &[T], separator: &str, mut print: impl FnMut(&mut Self, &T)) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.text(separator);
            }
            print(self, item);
        }
    }

    /// Items on lines of their own with `;` between them.
    fn lines<T>(&mut self, items: &[T], mut print: impl FnMut(&mut Self, &T)) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.text(";");
            }
            self.line();
            print(self, item);
        }
    }

    /// As [`Self::lines`], at the start of a text.
    fn top_level<T>(&mut self, items: &[T], mut print: impl FnMut(&mut Self, &T)) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.text(";");
                self.line();
            }
            print(self, item);
        }
    }

    fn ident(&mut self, ident: &Ident) {
        let text = ident.text.as_str();
        let bare = text.starts_with(is_xid_start) && text.chars().all(is_xid_continue) && !is_reserved(text);
        if bare {
            self.text(text);
        } else {
            self.text("`");
            self.text(text);
            self.text("`");
        }
    }

    fn idents(&mut self, idents: &[Ident]) {
        self.separated(idents, ", ", Self::ident);
    }

    fn path_of(&mut self, segments: &[Ident]) {
        self.separated(segments, "::", Self::ident);
    }

    fn name(&mut self, name: &Name) {
        for segment in &name.module {
            self.ident(segment);
            self.text("::");
        }
        self.ident(&name.ident);
    }

    fn from(&mut self, name: Option<&Name>) {
        if let Some(name) = name {
            self.text(" from ");
            self.name(name);
        }
    }

    fn doc(&mut self, doc: Option<&Doc>, marker: &str) {
        for line in doc.iter().flat_map(|doc| &doc.lines) {
            self.text(marker);
            self.text(line);
            self.line();
        }
    }

    fn use_stmt(&mut self, stmt: &Use) {
        self.text("use ");
        self.use_tree(&stmt.tree);
    }

    fn use_tree(&mut self, tree: &UseTree) {
        self.path_of(&tree.path);
        match &tree.tail {
            UseTail::None => {}
            UseTail::Alias(alias) => {
                self.text(" as ");
                self.ident(alias);
            }
            UseTail::Group(trees) => {
                self.text("::{");
                self.separated(trees, ", ", Self::use_tree);
                self.text("}");
            }
        }
    }

    fn directives(&mut self, directives: &[Directive]) {
        for directive in directives {
            self.text("#!config ");
            self.ident(&directive.name);
            self.text(" = ");
            self.expr(&directive.value);
            self.line();
        }
    }

    fn args(&mut self, args: Option<&Args>) {
        let Some(args) = args else { return };
        self.line();
        self.text("args ");
        self.separated(&args.entries, ", ", |printer, arg| {
            printer.ident(&arg.name);
            if let Some(default) = &arg.default {
                printer.text(" = ");
                printer.expr(default);
            }
        });
    }

    fn with(&mut self, with: &With) {
        self.text("with");
        self.deeper(|printer| {
            for (index, entry) in with.entries.iter().enumerate() {
                printer.text(if index > 0 { "," } else { "" });
                printer.line();
                printer.ident(&entry.key);
                printer.text(" = ");
                printer.expr(&entry.value);
            }
        });
    }

    /// `with … end` on lines of its own, if there is one.
    fn with_end(&mut self, with: Option<&With>) {
        if let Some(with) = with {
            self.line();
            self.with(with);
            self.line();
            self.text("end");
        }
    }
}
