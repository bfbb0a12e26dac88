//! The entry points: scan, check the nesting, parse, lower.

use crate::ast::{Deployment, Module, Query, Script};
use crate::expected::ExpectedSet;
use crate::lower::{self, Broken, Lower, Node};
use crate::parser::{Grammar, Rule};
use crate::recover;
use crate::scan::{Structure, Tokens, lex};
use crate::unexpected::unexpected;
use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};
use pest::iterators::Pairs;
use tremor_diagnostic::{Diagnostic, FileId, codes};

/// A tree, and what there is to say about its text.
#[derive(Clone, Debug)]
pub struct Parsed<T> {
    /// The tree; `None` if and only if there is an error among the diagnostics.
    pub ast: Option<T>,
    /// Errors and warnings in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses a script: the content of a `.tremor` file that is run.
#[must_use]
pub fn parse_script(file: FileId, text: &str) -> Parsed<Script> {
    let language = Language { whole: Rule::script, item: Rule::one_item };
    parse(file, text, language, |lower, node| lower.script(node))
}

/// Parses a module: any file that is reached through `use`.
#[must_use]
pub fn parse_module(file: FileId, text: &str) -> Parsed<Module> {
    let language = Language { whole: Rule::module, item: Rule::one_module_item };
    parse(file, text, language, |lower, node| lower.module(node))
}

/// Parses a query: the content of a `.trickle` file that is run.
#[must_use]
pub fn parse_query(file: FileId, text: &str) -> Parsed<Query> {
    let language = Language { whole: Rule::query, item: Rule::one_query_stmt };
    parse(file, text, language, |lower, node| lower.query(node))
}

/// Parses a deployment: the content of a `.troy` file.
#[must_use]
pub fn parse_deployment(file: FileId, text: &str) -> Parsed<Deployment> {
    let language = Language { whole: Rule::deployment, item: Rule::one_deploy_stmt };
    parse(file, text, language, |lower, node| lower.deployment(node))
}

/// The start rule of a kind of source, and the rule for one of its statements.
#[derive(Clone, Copy)]
pub(crate) struct Language {
    pub(crate) whole: Rule,
    pub(crate) item: Rule,
}

/// Where the grammar gave up, in bytes of the piece that was parsed, and what it tried there.
pub(crate) struct Failure {
    pub(crate) at: usize,
    pub(crate) rules: Vec<Rule>,
    /// It ran out of stack.
    pub(crate) exhausted: bool,
}

pub(crate) fn run(rule: Rule, text: &str) -> Result<Pairs<'_, Rule>, Failure> {
    Grammar::parse(rule, text).map_err(|error| {
        let at = match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
        };
        match error.variant {
            ErrorVariant::ParsingError { positives, .. } => {
                Failure { at, rules: positives, exhausted: false }
            }
            ErrorVariant::CustomError { .. } => Failure { at, rules: Vec::new(), exhausted: true },
        }
    })
}

fn parse<T: Send>(
    file: FileId,
    text: &str,
    language: Language,
    lower: impl for<'t> Fn(&Lower<'t>, Node<'t>) -> lower::Result<T> + Send,
) -> Parsed<T> {
    let tokens = lex(file, text);
    let structure = Structure::of(&tokens);
    if let Some(index) = structure.too_deep {
        let mut diagnostics = tokens.diagnostics.clone();
        diagnostics.push(too_deep(&tokens, index));
        return Parsed { ast: None, diagnostics };
    }
    let work = || parse_tokens(&tokens, &structure, language, lower);
    if structure.is_shallow() {
        return work();
    }
    on_large_stack(work).unwrap_or_else(|| Parsed { ast: None, diagnostics: vec![too_deep(&tokens, 0)] })
}

/// Runs `work` on a thread whose stack holds the deepest nesting that the scanner lets through.
fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    const STACK_BYTES: usize = 64 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("parser".to_owned()).stack_size(STACK_BYTES);
        thread.spawn_scoped(scope, work).ok()?.join().ok()
    })
}

fn too_deep(tokens: &Tokens<'_>, index: usize) -> Diagnostic {
    let span =
        tokens.list.get(index).map_or_else(|| tokens.span(0, 0), |token| tokens.span(token.start, token.end));
    Diagnostic::error(codes::TOO_DEEP, span, "The nesting is too deep here")
        .outer(tokens.around(span))
        .hint("Split this into several statements or functions")
}

fn parse_tokens<T>(
    tokens: &Tokens<'_>,
    structure: &Structure,
    language: Language,
    lower: impl for<'t> Fn(&Lower<'t>, Node<'t>) -> lower::Result<T>,
) -> Parsed<T> {
    if !tokens.diagnostics.is_empty() {
        return Parsed { ast: None, diagnostics: recover::diagnose(tokens, structure, language, None) };
    }
    let mut pairs = match run(language.whole, tokens.text) {
        Ok(pairs) => pairs,
        Err(failure) if failure.exhausted => {
            let index = tokens.index_at(failure.at);
            return Parsed { ast: None, diagnostics: vec![too_deep(tokens, index)] };
        }
        Err(failure) => {
            return Parsed {
                ast: None,
                diagnostics: recover::diagnose(tokens, structure, language, Some(&failure)),
            };
        }
    };
    let context = Lower::new(tokens);
    let tree = pairs.next().ok_or_else(|| Broken(context.whole())).and_then(|node| lower(&context, node));
    let mut diagnostics = context.warnings.into_inner();
    diagnostics.sort_by_key(|diagnostic| diagnostic.inner);
    match tree {
        Ok(ast) => Parsed { ast: Some(ast), diagnostics },
        Err(Broken(span)) => {
            diagnostics.push(Diagnostic::error(
                codes::SYNTAX,
                span,
                "This cannot be understood, by a fault of the parser",
            ));
            Parsed { ast: None, diagnostics }
        }
    }
}

/// The report about a failure in the text between `start` and token `end`. `closing` are the tokens that may follow
/// the piece when it is a statement of a list.
pub(crate) fn report(
    tokens: &Tokens<'_>,
    failure: &Failure,
    start: usize,
    end: usize,
    closing: &[&'static str],
) -> (usize, Diagnostic) {
    let index = tokens.index_at(start + failure.at).min(end);
    let set = ExpectedSet::new(&failure.rules, closing);
    (index, unexpected(tokens, index, &set))
}
