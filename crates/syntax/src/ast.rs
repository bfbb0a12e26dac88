//! The tree that the parser gives (`spec/language-script.md` 2, `language-query.md` 2, `language-deploy.md` 2).
//!
//! Every node carries its span, which lies inside the span of the node that holds it. A parenthesised expression
//! is no node of its own: the expression inside gets the span with the parentheses. Names are without their quotes.
//! `PartialEq` compares spans too; [`crate::same`] does not.

mod deploy;
mod expr;
mod pattern;
mod query;
mod script;

pub use deploy::*;
pub use expr::*;
pub use pattern::*;
pub use query::*;
pub use script::*;

use tremor_diagnostic::Span;

/// A name. `text` is what stands between the quotes if it was quoted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ident {
    /// The name itself.
    pub text: String,
    /// Its place, with the quotes.
    pub span: Span,
}

/// A name with the module it is looked up in: `x`, `m::x`, `core::json::decode`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// Segments before the last one; empty for a plain name.
    pub module: Vec<Ident>,
    /// The last segment.
    pub ident: Ident,
    /// All segments.
    pub span: Span,
}

impl Name {
    /// The plain name, if there is no module before it.
    #[must_use]
    pub fn as_plain(&self) -> Option<&Ident> {
        self.module.is_empty().then_some(&self.ident)
    }

    /// The segments joined by `::`, unquoted.
    #[must_use]
    pub fn joined(&self) -> String {
        let segments: Vec<&str> = self.segments().map(|segment| segment.text.as_str()).collect();
        segments.join("::")
    }

    /// All segments from first to last.
    pub fn segments(&self) -> impl Iterator<Item = &Ident> {
        self.module.iter().chain(std::iter::once(&self.ident))
    }
}

/// A documentation or module comment: consecutive lines that form one text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Doc {
    /// For each line what follows the marker, untrimmed.
    pub lines: Vec<String>,
    /// From the first marker to the end of the last line.
    pub span: Span,
}

impl Doc {
    /// The trimmed lines joined with newlines, as documentation shows them.
    #[must_use]
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.trim()).collect();
        lines.join("\n")
    }
}

/// `use TREE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What is imported.
    pub tree: UseTree,
    /// The whole statement from `use` on.
    pub span: Span,
}

impl Use {
    /// Every import of the tree on its own, in textual order: `use a::{b, c as d}` gives `a::b` and `a::c as d`.
    #[must_use]
    pub fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        self.tree.collect(&mut Vec::new(), &mut imports);
        imports
    }
}

/// One target of a `use`, after the braces are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// All segments of the module path.
    pub path: Vec<Ident>,
    /// The name it is bound to, if it is not the last segment.
    pub alias: Option<Ident>,
    /// The target as written: the path with all its segments, inside braces only what stands there.
    pub span: Span,
}

impl Import {
    /// The name that is bound.
    #[must_use]
    pub fn binding(&self) -> Option<&Ident> {
        self.alias.as_ref().or(self.path.last())
    }
}

/// A path, or a path with a brace group behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseTree {
    /// At least one segment.
    pub path: Vec<Ident>,
    /// What follows the path.
    pub tail: UseTail,
    /// Path and tail.
    pub span: Span,
}

/// What follows the path of a [`UseTree`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UseTail {
    /// Nothing: the last segment is the name.
    None,
    /// `as NAME`.
    Alias(Ident),
    /// `::{ … }`, at least one.
    Group(Vec<UseTree>),
}

impl UseTree {
    fn collect(&self, prefix: &mut Vec<Ident>, imports: &mut Vec<Import>) {
        let outer = prefix.len();
        prefix.extend(self.path.iter().cloned());
        match &self.tail {
            UseTail::None | UseTail::Alias(_) => {
                let alias = if let UseTail::Alias(name) = &self.tail { Some(name.clone()) } else { None };
                let first = self.path.first().map_or(self.span, |segment| segment.span);
                let span = self.path.last().map_or(first, |segment| first.to(segment.span));
                imports.push(Import { path: prefix.clone(), alias, span });
            }
            UseTail::Group(trees) => trees.iter().for_each(|tree| tree.collect(prefix, imports)),
        }
        prefix.truncate(outer);
    }
}

/// `args a, b = 1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Args {
    /// At least one.
    pub entries: Vec<Arg>,
    /// From `args` to the last entry.
    pub span: Span,
}

/// One declared argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// Its name.
    pub name: Ident,
    /// Its default; `None` makes it required.
    pub default: Option<Expr>,
    /// Name and default.
    pub span: Span,
}

/// `with a = 1, b = 2`.
#[derive(Clone, Debug, PartialEq)]
pub struct With {
    /// At least one.
    pub entries: Vec<WithEntry>,
    /// From `with` to the last entry, without `end`.
    pub span: Span,
}

/// One `key = value`.
#[derive(Clone, Debug, PartialEq)]
pub struct WithEntry {
    /// The key.
    pub key: Ident,
    /// Its value.
    pub value: Expr,
    /// Key and value.
    pub span: Span,
}

/// `#!config name = value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Directive {
    /// The setting.
    pub name: Ident,
    /// Its value.
    pub value: Expr,
    /// The whole directive.
    pub span: Span,
}
