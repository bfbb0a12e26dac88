//! Diagnostics as text (`spec/language-lexical.md` 11.2, `spec/cli.md` 5).

use crate::source::to_usize;
use crate::{Diagnostic, Label, Position, Severity, SourceFile, SourceMap, Span};
use std::fmt::Write;
use std::ops::Range;

/// How a report looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenderOptions {
    /// Put `in <file>:<line>:<column>` into the header.
    pub file_name: bool,
    /// Use ANSI colours: for terminals.
    pub colour: bool,
}

/// How a piece of source text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// A reserved word.
    Keyword,
    /// A number, a string, an extractor literal.
    Literal,
    /// Documentation.
    Comment,
}

/// Says which parts of a whole text are coloured how: ranges in bytes, in order, without overlap.
pub type Highlighter<'a> = &'a dyn Fn(&str) -> Vec<(Range<usize>, Style)>;

/// The report for `diagnostic`, each line of it ended by a newline.
///
/// Positions that the map does not know are left out, so this never fails. Control characters are shown as `\u{fffd}`,
/// so that a text cannot send commands to a terminal, and what the map knows as secret as stars.
#[must_use]
pub fn render(diagnostic: &Diagnostic, sources: &SourceMap, options: RenderOptions) -> String {
    render_highlighted(diagnostic, sources, options, &|_| Vec::new())
}

/// As [`render`]; with `options.colour` the source lines are coloured too.
#[must_use]
pub fn render_highlighted(
    diagnostic: &Diagnostic,
    sources: &SourceMap,
    options: RenderOptions,
    highlight: Highlighter<'_>,
) -> String {
    let paint = Paint { on: options.colour };
    let located = diagnostic.inner.and_then(|inner| sources.get(inner.file).map(|file| (inner, file)));
    let mut out = String::new();
    match located {
        Some((inner, file)) => {
            let styles = if options.colour { highlight(&file.text) } else { Vec::new() };
            let report = Report { diagnostic, inner, file, sources, options, styles };
            report.write(&mut out);
        }
        None => {
            paint.severity(&mut out, diagnostic.severity, &format!("{}: ", title(diagnostic.severity)));
            out.push_str(&visible(&diagnostic.message));
            out.push('\n');
            if let Some(hint) = &diagnostic.hint {
                let _ = writeln!(out, "NOTE: {}", visible(hint));
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

/// `text` with every control character but tabs and line breaks replaced.
fn visible(text: &str) -> String {
    let keep = |c: char| !c.is_control() || c == '\t' || c == '\n';
    text.chars().map(|c| if keep(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// A report with a position.
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    inner: Span,
    file: &'a SourceFile,
    sources: &'a SourceMap,
    options: RenderOptions,
    styles: Vec<(Range<usize>, Style)>,
}

impl Report<'_> {
    fn write(&self, out: &mut String) {
        let paint = Paint { on: self.options.colour };
        let (file, severity) = (self.file, self.diagnostic.severity);
        let start = file.position(self.inner.start);
        let title = title(severity);
        let header = if self.options.file_name {
            format!("{title} in {}:{}:{} ", file.name, start.line, start.column)
        } else {
            format!("{title}: ")
        };
        paint.severity(out, severity, &header);
        out.push('\n');

        let marked = last_position(file, self.inner);
        let outer = self.diagnostic.outer.filter(|outer| outer.file == self.inner.file);
        let outer = outer.unwrap_or(self.inner).to(self.inner);
        let lines = file.position(outer.start).line..=last_position(file, outer).line;
        let (shown, other): (Vec<_>, Vec<_>) = self.diagnostic.labels.iter().partition(|label| {
            label.span.file == self.inner.file && lines.contains(&last_position(file, label.span).line)
        });
        for line in lines {
            paint.bold(out, &format!("{line:>5} | "));
            self.source_line(out, line);
            if line == marked.line {
                self.message(out, start, marked);
            }
            for label in &shown {
                let end = last_position(file, label.span);
                if end.line == line {
                    let (column, carets) = marks(file.position(label.span.start), end);
                    marker(out, column, &"-".repeat(carets), &label.text, |out, marked| out.push_str(marked));
                }
            }
        }
        elsewhere(out, other, self.sources);
    }

    fn message(&self, out: &mut String, start: Position, end: Position) {
        let (column, carets) = marks(start, end);
        let paint = Paint { on: self.options.colour };
        marker(out, column, &"^".repeat(carets), &self.diagnostic.message, |out, marked| {
            paint.severity(out, self.diagnostic.severity, marked);
        });
        if let Some(hint) = &self.diagnostic.hint {
            let _ = writeln!(out, "      | {}NOTE: {}", " ".repeat(column + carets), visible(hint));
        }
    }

    fn source_line(&self, out: &mut String, line: usize) {
        let paint = Paint { on: self.options.colour };
        let text = self.file.line(line);
        let start = self.file.line_start(line);
        let end = start + text.len();
        let mut at = start;
        let first = self.styles.partition_point(|(range, _)| range.end <= start);
        for (range, style) in self.styles.iter().skip(first).take_while(|(range, _)| range.start < end) {
            let (from, to) = (range.start.max(at), range.end.min(end));
            out.push_str(&self.source(at..from));
            paint.style(out, *style, &self.source(from..to));
            at = to.max(at);
        }
        out.push_str(&self.source(at..end));
        out.push('\n');
    }

    /// A piece of the source, with a star for each character of a secret: so columns stay what they are.
    fn source(&self, piece: Range<usize>) -> String {
        let text = self.file.text.get(piece.clone()).unwrap_or("");
        let star = |(at, c)| if self.file.is_secret(piece.start + at) { '*' } else { c };
        visible(&text.char_indices().map(star).collect::<String>())
    }
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
    out.push_str(&visible(text));
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

    fn style(&self, out: &mut String, style: Style, text: &str) {
        let colour = match style {
            Style::Keyword => "34",
            Style::Literal => "36",
            Style::Comment => "2",
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
    fn source_lines_are_coloured_where_the_highlighter_says() {
        let mut sources = SourceMap::new();
        let file = sources.add("a", "ab\ncd ef\n");
        let diagnostic = Diagnostic::error(codes::SYNTAX, Span::new(file, 3, 5), "m");
        let styles = |_: &str| vec![(1..4, Style::Literal), (6..8, Style::Keyword)];
        let options = RenderOptions { file_name: false, colour: true };
        let out = render_highlighted(&diagnostic, &sources, options, &styles);
        assert!(out.contains("\u{1b}[36mc\u{1b}[0md \u{1b}[34mef\u{1b}[0m\n"), "{out:?}");
        let plain = render_highlighted(&diagnostic, &sources, RenderOptions::default(), &styles);
        assert_eq!(plain, render(&diagnostic, &sources, RenderOptions::default()));
    }

    #[test]
    fn control_characters_stay_out_of_terminals() {
        let out = report("a\u{1b}[2Jb\tc", RenderOptions::default(), |zero| {
            Diagnostic::error(codes::SYNTAX, span(zero, 1, 2), "m\u{7}").hint("h\u{1b}")
        });
        assert_eq!(
            out,
            "Error: \n    1 | a\u{fffd}[2Jb\tc\n      |  ^ m\u{fffd}\n      |    NOTE: h\u{fffd}\n"
        );
    }

    #[test]
    fn secrets_are_not_shown_and_columns_stay() {
        let mut sources = SourceMap::concealing(|text| {
            let found = |(at, word): (usize, &str)| [at + 1..at + 2, at..at + word.len()];
            text.match_indices("día").flat_map(found).collect()
        });
        let file = sources.add("a", "día x = y\nlet día");
        let at = Span::new(file, 5, 6);
        let diagnostic = Diagnostic::error(codes::SYNTAX, at, "m").outer(sources.widen(at, 1));
        let expected = "Error: \n    1 | *** x = y\n      |     ^ m\n    2 | let ***\n";
        assert_eq!(render(&diagnostic, &sources, RenderOptions::default()), expected);
        let options = RenderOptions { file_name: false, colour: true };
        let out = render_highlighted(&diagnostic, &sources, options, &|_| vec![(2..6, Style::Literal)]);
        assert!(!out.contains('d') && !out.contains('í'), "{out:?}");
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
