//! One report about a source text, as data.

use crate::{Code, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The program cannot be used, or an event could not be processed.
    Error,
    /// The program runs, but probably not as meant.
    Warning(WarningClass),
    /// Advice only.
    Hint,
}

/// The class of a warning, in the order of output (`spec/language-script.md` 17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WarningClass {
    /// Neither of the others; older syntax among it.
    General,
    /// Slower than it needs to be.
    Performance,
    /// Against the naming conventions.
    Consistency,
    /// Does something else than it seems to.
    Behaviour,
}

impl WarningClass {
    /// The word in the header of a report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Performance => "performance",
            Self::Consistency => "consistency",
            Self::Behaviour => "behaviour",
        }
    }
}

/// A second place that helps to understand a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is to be seen there.
    pub text: String,
}

/// An error, a warning or a hint.
///
/// `inner` is what gets underlined, `outer` chooses the lines that are shown (`spec/language-lexical.md` 11.1).
/// Without `inner` the report is one line without a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Which condition this is about.
    pub code: Code,
    /// What is underlined.
    pub inner: Option<Span>,
    /// Which lines are shown; `None` means those of `inner`.
    pub outer: Option<Span>,
    /// One line that names the offending thing (a list may follow on further lines).
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// Other places that matter.
    pub labels: Vec<Label>,
}

impl Diagnostic {
    /// An error at `inner`; only its own lines are shown until [`Self::outer`] says otherwise.
    pub fn error(code: Code, inner: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, Some(inner), message)
    }

    /// An error that has no position.
    pub fn error_without_position(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, None, message)
    }

    /// A warning at `inner`.
    pub fn warning(class: WarningClass, code: Code, inner: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning(class), code, Some(inner), message)
    }

    /// Advice at `inner`.
    pub fn advice(code: Code, inner: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Hint, code, Some(inner), message)
    }

    fn new(severity: Severity, code: Code, inner: Option<Span>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { severity, code, inner, outer: inner, message, hint: None, labels: Vec::new() }
    }

    /// Shows the lines of `outer`.
    #[must_use]
    pub fn outer(mut self, outer: Span) -> Self {
        self.outer = Some(outer);
        self
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint if there is one, as [`crate::did_you_mean`] gives it.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Points at another place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Whether this stops a program from being used.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
