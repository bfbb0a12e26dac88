//! `args` and `with` (`spec/language-query.md` section 10).

use crate::{
    Expression,
    lower::{Locals, Lower, Place, declared_hint, warn_of_repeated_keys},
    scope::Scope,
    session::Session,
};
use tremor_diagnostic::{Diagnostic, SourceMap, Span, codes};
use tremor_syntax::ast;
use tremor_value::{Record, Value};

/// The arguments that a definition declares.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// In textual order.
    pub entries: Vec<Argument>,
    /// From `args` to the last entry; the name of the definition if there are none.
    pub span: Span,
}

/// One declared argument.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Its default; `None` makes it required.
    pub default: Option<Value>,
}

/// One `key = value` of a `with`.
#[derive(Clone, Debug)]
pub struct GivenArgument {
    /// The key.
    pub name: String,
    /// Where the key stands.
    pub span: Span,
    /// The value.
    pub value: Expression,
}

impl Arguments {
    /// The declared names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.name.clone()).collect()
    }

    /// `true` if there is an argument `name`.
    #[must_use]
    pub fn declares(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }

    /// The `args` record of an instance, in declared order.
    ///
    /// `outer` is the `args` that the values of `with` may mention.
    ///
    /// # Errors
    /// A diagnostic for every value that cannot be computed and every required argument that is missing.
    pub fn bind(
        &self,
        given: &[GivenArgument],
        outer: &Value,
        sources: &SourceMap,
    ) -> Result<Value, Vec<Diagnostic>> {
        let mut record = Record::with_capacity(self.entries.len());
        let mut diagnostics = Vec::new();
        for entry in &self.entries {
            let value = given.iter().rev().find(|given| given.name == entry.name);
            match (value, &entry.default) {
                (Some(given), _) => match given.value.evaluate_with_args(outer) {
                    Ok(value) => {
                        record.insert(entry.name.as_str(), value);
                    }
                    Err(error) => diagnostics.push(error.to_diagnostic(sources)),
                },
                (None, Some(default)) => {
                    record.insert(entry.name.as_str(), default.clone());
                }
                (None, None) => diagnostics.push(self.missing(entry)),
            }
        }
        if diagnostics.is_empty() { Ok(Value::from(record)) } else { Err(diagnostics) }
    }

    fn missing(&self, entry: &Argument) -> Diagnostic {
        let message = format!("The required argument `{}` is not given", entry.name);
        Diagnostic::error(codes::MISSING_ARGUMENT, entry.span, message).outer(self.span)
    }
}

/// Lowers declared arguments; their defaults are evaluated in the scope in which the definition stands.
pub(crate) fn lower_arguments(
    args: Option<&ast::Args>,
    fallback: Span,
    session: &mut Session<'_>,
    scope: &Scope,
) -> Arguments {
    let Some(args) = args else { return Arguments { entries: Vec::new(), span: fallback } };
    let mut entries: Vec<Argument> = Vec::new();
    for entry in &args.entries {
        if entries.iter().any(|known| known.name == entry.name.text) {
            let message = format!("The argument `{}` is declared twice", entry.name.text);
            let diagnostic = Diagnostic::error(codes::DUPLICATE_DEFINITION, entry.name.span, message);
            session.report(diagnostic.outer(args.span));
            continue;
        }
        let default = entry.default.as_ref().map(|default| {
            let mut locals = Locals::default();
            let mut lower = Lower::new(session, scope, Place::Config(None), &mut locals);
            lower.constant(default).unwrap_or_default()
        });
        entries.push(Argument { name: entry.name.text.clone(), span: entry.name.span, default });
    }
    Arguments { entries, span: args.span }
}

/// How a key of a `with` that the definition does not declare is reported.
#[derive(Clone, Copy)]
pub(crate) enum Unknown {
    /// At the key, showing this many lines around it.
    Key(usize),
    /// At the key, showing the whole statement.
    KeyIn(Span),
    /// At the `with …`, showing the whole statement.
    With(Span),
}

/// Lowers the `with` of a `create` or `deploy` against what the definition declares.
pub(crate) fn given_arguments(
    with: Option<&ast::With>,
    declared: Option<&Arguments>,
    outer_args: Option<&[String]>,
    unknown: Unknown,
    session: &mut Session<'_>,
    scope: &Scope,
) -> Vec<GivenArgument> {
    let Some(with) = with else { return Vec::new() };
    warn_of_repeated_keys(
        with.entries.iter().map(|entry| (entry.key.text.as_str(), entry.key.span)),
        session,
    );
    let mut given = Vec::new();
    for entry in &with.entries {
        if let Some(declared) = declared
            && !declared.declares(&entry.key.text)
        {
            let message = format!("The definition has no argument `{}`", entry.key.text);
            let (inner, outer) = match unknown {
                Unknown::Key(lines) => (entry.key.span, session.sources.widen(entry.key.span, lines)),
                Unknown::KeyIn(outer) => (entry.key.span, outer),
                Unknown::With(outer) => (with.span, outer),
            };
            let diagnostic = Diagnostic::error(codes::UNKNOWN_ARGUMENT, inner, message).outer(outer);
            session.report(diagnostic.hint(declared_hint(&declared.names())));
        }
        if let Some(value) = config(&entry.value, outer_args, session, scope) {
            given.push(GivenArgument { name: entry.key.text.clone(), span: entry.key.span, value });
        }
    }
    given
}

/// Lowers a value that is constant apart from the `args` it may mention.
pub(crate) fn config(
    value: &ast::Expr,
    args: Option<&[String]>,
    session: &mut Session<'_>,
    scope: &Scope,
) -> Option<Expression> {
    let mut locals = Locals::default();
    let expr = Lower::new(session, scope, Place::Config(args), &mut locals).config(value)?;
    Some(Expression { expr, span: value.span })
}
