//! Errors of evaluation: cheap to make, put into words on demand.

mod kind;

pub(crate) use kind::{ErrorKind, FailedCall, Origin};

use tremor_diagnostic::{Diagnostic, RenderOptions, SourceMap, Span, render};

/// A run-time error of a script or a query (`spec/language-script.md` 16.2).
///
/// Making one costs an allocation; message and hint are written by [`RuntimeError::to_diagnostic`].
#[derive(Clone, Debug)]
pub struct RuntimeError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    inner: Span,
    outer: Outer,
}

/// Which lines a report shows.
#[derive(Clone, Copy, Debug)]
enum Outer {
    Span(Span),
    /// The inner span and this many lines around it.
    Lines(usize),
    /// Nobody has said yet where the error is.
    Unplaced,
}

impl RuntimeError {
    /// An error that shows the lines of `outer`.
    pub(crate) fn new(kind: ErrorKind, inner: Span, outer: Span) -> Self {
        Self(Box::new(Inner { kind, inner, outer: Outer::Span(outer) }))
    }

    /// An error that shows the lines of what it marks.
    pub(crate) fn at(kind: ErrorKind, span: Span) -> Self {
        Self::new(kind, span, span)
    }

    /// An error that shows `lines` lines around what it marks.
    pub(crate) fn around(kind: ErrorKind, inner: Span, lines: usize) -> Self {
        Self(Box::new(Inner { kind, inner, outer: Outer::Lines(lines) }))
    }

    /// An error whose place the caller knows; see [`RuntimeError::placed`].
    pub(crate) fn unplaced(kind: ErrorKind) -> Self {
        Self(Box::new(Inner { kind, inner: Span::default(), outer: Outer::Unplaced }))
    }

    /// The error at `span`, if it has no place of its own.
    pub(crate) fn placed(mut self, span: Span) -> Self {
        if matches!(self.0.outer, Outer::Unplaced) {
            self.0.inner = span;
            self.0.outer = Outer::Lines(2);
        }
        self
    }

    /// The evaluation was given up because it took too long.
    pub(crate) fn is_out_of_steps(&self) -> bool {
        matches!(self.0.kind, ErrorKind::TooManySteps | ErrorKind::TooMuch { .. } | ErrorKind::GaveUp(_))
    }

    /// What is marked.
    #[must_use]
    pub fn span(&self) -> Span {
        self.0.inner
    }

    /// What went wrong, in one line.
    #[must_use]
    pub fn message(&self) -> String {
        self.0.kind.message()
    }

    /// The error with message and hint written out. `sources` are those of the program that failed.
    #[must_use]
    pub fn to_diagnostic(&self, sources: &SourceMap) -> Diagnostic {
        let Inner { kind, inner, outer } = &*self.0;
        let outer = match outer {
            Outer::Span(span) => *span,
            Outer::Unplaced => *inner,
            Outer::Lines(lines) => sources.widen(*inner, *lines),
        };
        Diagnostic::error(kind.code(), *inner, kind.message()).outer(outer).maybe_hint(kind.hint())
    }

    /// The report as the `error` field of an error event shows it: no file name, no colour.
    #[must_use]
    pub fn report(&self, sources: &SourceMap) -> String {
        render(&self.to_diagnostic(sources), sources, RenderOptions::default())
    }
}
