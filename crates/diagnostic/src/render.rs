//! Diagnostics as text (`spec/language-lexical.md` 11.2, `spec/cli.md` 5).

use crate::source::to_usize;
use crate::{Diagnostic, Label, Position, Severity, SourceFile, SourceMap, Span};
use std::fmt::Write;

/// How a report looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenderOptions {
    /// Put `in <file>:<line>:<column>` into the header.
    pub file_name: bool,
    /// Use ANSI colours: for terminals.
    pub colour: bool,
}

/// The report for `diagnostic`, each line of it ended by a newline.
///
/// Positions that the map does not know are left out, so this never fails.
#[must_use]
pub fn render(diagnostic: &Diagnostic, sources: &SourceMap, options: RenderOptions) -> String {
    let paint = Paint { on: options.colour };
    let located = diagnostic.inner.and_then(|inner| sources.get(inner.file).map(|file| (inner, file)));
    let mut out = String::new();
    match located {
        Some((inner, file)) => located_report(&mut out, diagnostic, inner, file, sources, options),
        None => {
            paint.severity(&mut out, diagnostic.severity, &format!("{}: ", title(diagnostic.severity)));
            out.push_str(&diagnostic.message);
            out.push('\n');
            if let Some(hint) = &diagnostic.hint {
                let _ = writeln!(out, "NOTE: {hint}");
            }
            elsewhere(&mut out, &diagnostic.labels, sources);
        }
    }
    out
}

/// The reports for all diagnostics, a blank line after each, as commands print them.
pub fn render_all<'a, I>(diagnostics: I, sources: &SourceMap, options: RenderOptions) -> String
where
    I: IntoIterator<Item = &'a Diagnostic>,
{
    diagnostics.into_iter().map(|diagnostic| render(diagnostic, sources, options) + "\n").collect()
}

fn title(severity: Severity) -> String {
    match severity {
        Severity::Error => "Error".to_owned(),
        Severity::Warning(class) => format!("Warning({})", class.as_str()),
        Severity::Hint => "Hint".to_owned(),
    }
}

fn located_report(
    out: &mut String,
    diagnostic: &Diagnostic,
    inner: Span,
    file: &SourceFile,
    sources: &SourceMap,
    options: RenderOptions,
) {
    let paint = Paint { on: options.colour };
    let start = file.position(inner.start);
    let title = title(diagnostic.severity);
    let header = if options.file_name {
        format!("{title} in {}:{}:{} ", file.name, start.line, start.column)
    } else {
        format!("{title}: ")
    };
    paint.severity(out, diagnostic.severity, &header);
    out.push('\n');

    let marked = last_position(file, inner);
    let outer = diagnostic.outer.filter(|outer| outer.file == inner.file).unwrap_or(inner).to(inner);
    let (first, last) = (file.position(outer.start).line, last_position(file, outer).line);
    let (shown, other): (Vec<_>, Vec<_>) = diagnostic.labels.iter().partition(|label| {
        label.span.file == inner.file && (first..=last).contains(&last_position(file, label.span).line)
    });
    for line in first..=last {
        let number = format!("{line:>5} | ");
        paint.bold(out, &number);
        out.push_str(file.line(line));
        out.push('\n');
        if line == marked.line {
            let mut text = diagnostic.message.clone();
            let (column, carets) = marks(start, marked);
            if let Some(hint) = &diagnostic.hint {
                let _ = write!(text, "\n      | {}NOTE: {hint}", " ".repeat(column - 1 + carets + 1));
            }
            marker(out, column, &"^".repeat(carets), &text, |out, marked| {
                paint.severity(out, diagnostic.severity, marked);
            });
        }
        for label in &shown {
            let end = last_position(file, label.span);
            if end.line == line {
                let (column, carets) = marks(file.position(label.span.start), end);
                marker(out, column, &"-".repeat(carets), &label.text, |out, marked| out.push_str(marked));
            }
        }
    }
    elsewhere(out, other, sources);
}

/// Line of the last character of `span`, and the column just after that character.
fn last_position(file: &SourceFile, span: Span) -> Position {
    let end = file.position(span.end);
    if end.column > 1 || span.is_empty() {
        return end;
    }
    // The span ends with a line break: it is shown on the line that it breaks.
    let text = file.text.get(..to_usize(span.end)).unwrap_or("");
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    let before = file.position(u32::try_from(text.len()).unwrap_or(span.start));
    Position { line: before.line, column: before.column.max(1) }
}

/// First column and number of carets on the line where the marked span ends.
fn marks(start: Position, end: Position) -> (usize, usize) {
    let column = if start.line == end.line { start.column } else { 1 };
    (column, end.column.saturating_sub(column).max(1))
}

fn marker(out: &mut String, column: usize, carets: &str, text: &str, paint: impl Fn(&mut String, &str)) {
    out.push_str("      | ");
    out.push_str(&" ".repeat(column - 1));
    paint(out, carets);
    out.push(' ');
    out.push_str(text);
    out.push('\n');
}

fn elsewhere<'a>(out: &mut String, labels: impl IntoIterator<Item = &'a Label>, sources: &SourceMap) {
    for label in labels {
        if let (Some(file), Some(at)) = (sources.get(label.span.file), sources.position(label.span)) {
            let _ = writeln!(out, "      = {}:{}:{}: {}", file.name, at.line, at.column, label.text);
        }
    }
}

struct Paint {
    on: bool,
}

impl Paint {
    fn severity(&self, out: &mut String, severity: Severity, text: &str) {
        let colour = match severity {
            Severity::Error => "31",
            Severity::Warning(_) => "33",
            Severity::Hint => "32",
        };
        self.with(out, colour, text);
    }

    fn bold(&self, out: &mut String, text: &str) {
        self.with(out, "1", text);
    }

    fn with(&self, out: &mut String, sequence: &str, text: &str) {
        if self.on {
            let _ = write!(out, "\u{1b}[{sequence}m{text}\u{1b}[0m");
        } else {
            out.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{WarningClass, codes, widen};

    const TEXT: &str = "#\nlet t = event.temp;\nt + event.q\n# done";

    fn report(text: &str, options: RenderOptions, build: impl Fn(Span) -> Diagnostic) -> String {
        let mut sources = SourceMap::new();
        let file = sources.add("a.tremor", text);
        render(&build(Span::new(file, 0, 0)), &sources, options)
    }

    fn span(zero: Span, start: u32, end: u32) -> Span {
        Span { start, end, ..zero }
    }

    #[test]
    fn the_layout_of_the_specification() {
        let out = report(TEXT, RenderOptions::default(), |zero| {
            Diagnostic::error(codes::MISSING_KEY, span(zero, 32, 33), "no `q`")
                .outer(span(zero, 2, 40))
                .hint("is it `t`?")
        });
        let expected = "Error: \n    2 | let t = event.temp;\n    3 | t + event.q\n      |           ^ no `q`\n      \
                        |             NOTE: is it `t`?\n    4 | # done\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn headers() {
        let named = RenderOptions { file_name: true, colour: false };
        let out = report(TEXT, named, |zero| {
            Diagnostic::warning(WarningClass::Behaviour, codes::NO_DEFAULT, span(zero, 2, 5), "m")
        });
        assert_eq!(out, "Warning(behaviour) in a.tremor:2:1 \n    2 | let t = event.temp;\n      | ^^^ m\n");
        let out = report(TEXT, named, |_| Diagnostic::error_without_position(codes::UNEXPECTED_END, "m"));
        assert_eq!(out, "Error: m\n");
        let out = report(TEXT, RenderOptions { file_name: false, colour: true }, |zero| {
            Diagnostic::advice(codes::NOT_YET, span(zero, 2, 5), "m")
        });
        assert!(out.starts_with("\u{1b}[32mHint: \u{1b}[0m\n\u{1b}[1m    2 | \u{1b}[0mlet"), "{out}");
    }

    #[test]
    fn several_lines_and_empty_spans() {
        let out = report(TEXT, RenderOptions::default(), |zero| {
            Diagnostic::error(codes::NO_CLAUSE, span(zero, 6, 25), "m")
        });
        assert_eq!(out, "Error: \n    2 | let t = event.temp;\n    3 | t + event.q\n      | ^^^ m\n");
        let out = report(TEXT, RenderOptions::default(), |zero| {
            Diagnostic::error(codes::NO_CLAUSE, span(zero, 40, 40), "m").outer(widen(
                TEXT,
                span(zero, 40, 40),
                0,
            ))
        });
        assert_eq!(out, "Error: \n    4 | # done\n      |       ^ m\n");
        let out = report("a\nb\n", RenderOptions::default(), |zero| {
            Diagnostic::error(codes::NO_CLAUSE, span(zero, 0, 2), "m")
        });
        assert_eq!(out, "Error: \n    1 | a\n      | ^ m\n");
    }

    #[test]
    fn labels_inside_and_outside_of_the_shown_lines() {
        let out = report(TEXT, RenderOptions::default(), |zero| {
            Diagnostic::error(codes::NO_CLAUSE, span(zero, 22, 23), "m")
                .label(span(zero, 26, 31), "here")
                .label(span(zero, 2, 5), "there")
        });
        assert_eq!(
            out,
            "Error: \n    3 | t + event.q\n      | ^ m\n      |     ----- here\n      = a.tremor:2:1: there\n"
        );
    }

    #[test]
    fn foreign_spans_do_no_harm() {
        let foreign = Span { file: crate::FileId(9), start: 3, end: 900 };
        let diagnostic = Diagnostic::error(codes::SYNTAX, foreign, "m").label(foreign, "x");
        assert_eq!(render(&diagnostic, &SourceMap::new(), RenderOptions::default()), "Error: m\n");
        let out = report(TEXT, RenderOptions::default(), |zero| {
            Diagnostic::error(codes::SYNTAX, span(zero, 900, 901), "m").outer(foreign)
        });
        assert!(out.ends_with("m\n"));
    }
}
