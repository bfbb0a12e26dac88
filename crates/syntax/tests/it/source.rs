//! The four kinds of sources behind one face.

use tremor_diagnostic::{Diagnostic, FileId, RenderOptions, SourceMap, Span, render_all};
use tremor_syntax::{
    Parsed, Tree, misplaced_span, parse_deployment, parse_module, parse_query, parse_script, print, same,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Script,
    Module,
    Query,
    Deployment,
}

impl Kind {
    /// The kind of a case file, by its name.
    pub(crate) fn of_file(name: &str) -> Option<Self> {
        match name {
            "script.tremor" => Some(Self::Script),
            "module.tremor" => Some(Self::Module),
            "query.trickle" => Some(Self::Query),
            "deploy.troy" => Some(Self::Deployment),
            _ => None,
        }
    }

    pub(crate) fn diagnostics(self, text: &str) -> Vec<Diagnostic> {
        let file = FileId(0);
        match self {
            Self::Script => checked(text, parse_script(file, text)).diagnostics,
            Self::Module => checked(text, parse_module(file, text)).diagnostics,
            Self::Query => checked(text, parse_query(file, text)).diagnostics,
            Self::Deployment => checked(text, parse_deployment(file, text)).diagnostics,
        }
    }

    /// Prints the tree of a text and parses the result: what is wrong with it, if anything is.
    pub(crate) fn round_trip(self, text: &str) -> Result<(), String> {
        match self {
            Self::Script => round_trip(text, parse_script, print::script),
            Self::Module => round_trip(text, parse_module, print::module),
            Self::Query => round_trip(text, parse_query, print::query),
            Self::Deployment => round_trip(text, parse_deployment, print::deployment),
        }
    }
}

/// Holds for every text: a tree or an error, and every span inside of the text.
fn checked<T: Tree + Clone>(text: &str, parsed: Parsed<T>) -> Parsed<T> {
    let whole = Span::new(FileId(0), 0, text.len());
    let errors = parsed.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    assert_eq!(parsed.ast.is_none(), errors > 0, "a tree or an error: {:?}\n{text}", parsed.diagnostics);
    for diagnostic in &parsed.diagnostics {
        let labels = diagnostic.labels.iter().map(|label| label.span);
        for span in [diagnostic.inner, diagnostic.outer].into_iter().flatten().chain(labels) {
            assert!(whole.contains(span), "{diagnostic:?}");
            assert!(text.is_char_boundary(span.range().start), "{diagnostic:?}");
            assert!(text.is_char_boundary(span.range().end), "{diagnostic:?}");
        }
    }
    if let Some(ast) = &parsed.ast {
        let misplaced = misplaced_span(ast, whole);
        let texts = misplaced.map(|(parent, child)| (parent.slice(text), child.slice(text)));
        assert_eq!(misplaced, None, "a child is not inside of its parent: {texts:?}\n{text}");
    }
    parsed
}

fn round_trip<T: Tree + Clone + PartialEq + std::fmt::Debug>(
    text: &str,
    parse: impl Fn(FileId, &str) -> Parsed<T>,
    print: impl Fn(&T) -> String,
) -> Result<(), String> {
    let Some(first) = parse(FileId(0), text).ast else { return Ok(()) };
    let printed = print(&first);
    let again = parse(FileId(0), &printed);
    let Some(second) = again.ast else {
        return Err(format!(
            "does not parse when printed:\n{}\n{printed}",
            report(&printed, &again.diagnostics)
        ));
    };
    if !same(&first, &second) {
        return Err(format!("prints as something else:\n{printed}\n{first:?}\n{second:?}"));
    }
    if print(&second) != printed {
        return Err(format!("prints differently the second time:\n{printed}"));
    }
    Ok(())
}

pub(crate) fn report(text: &str, diagnostics: &[Diagnostic]) -> String {
    report_as("printed", text, diagnostics)
}

pub(crate) fn report_as(name: &str, text: &str, diagnostics: &[Diagnostic]) -> String {
    let mut sources = SourceMap::new();
    sources.add(name, text);
    render_all(diagnostics, &sources, RenderOptions { file_name: true, colour: false })
}
