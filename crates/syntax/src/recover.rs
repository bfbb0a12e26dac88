//! A text with mistakes, statement by statement: each gets a report of its own.

use crate::parse::{Failure, Language, report, run};
use crate::parser::Rule;
use crate::scan::{Frame, FrameKind, MOST_REPORTS, Structure, Tokens};
use std::ops::Range;
use tremor_diagnostic::{Diagnostic, codes};

/// All reports about a text that does not parse. `failure` is where the grammar gave up on the whole of it; `None`
/// when lexical mistakes kept it from being tried.
pub(crate) fn diagnose(
    tokens: &Tokens<'_>,
    structure: &Structure,
    language: Language,
    failure: Option<&Failure>,
) -> Vec<Diagnostic> {
    let spans = tokens.diagnostics.iter().filter_map(|diagnostic| diagnostic.inner);
    let mut mistakes: Vec<usize> = spans.map(|span| span.range().start).collect();
    mistakes.sort_unstable();
    let reports = tokens.diagnostics.clone();
    let mut recovery = Recovery { tokens, structure, reports, mistakes, open: usize::MAX };
    recovery.text(language, failure);
    let mut reports = recovery.reports;
    reports.sort_by_key(|report| report.inner.map_or((1, 0, 0), |span| (0, span.start, span.end)));
    reports.dedup();
    reports.truncate(MOST_REPORTS);
    reports
}

struct Recovery<'a> {
    tokens: &'a Tokens<'a>,
    structure: &'a Structure,
    reports: Vec<Diagnostic>,
    /// Where the lexical mistakes are, in order.
    mistakes: Vec<usize>,
    /// The token that opens a block without an end; statements that reach it are left out.
    open: usize,
}

/// A list of statements inside a definition. The numbers are token indices.
struct Body {
    range: Range<usize>,
    /// The rule for the first statement, which may have directives before it.
    first: Rule,
    item: Rule,
    closing: &'static [&'static str],
}

impl Recovery<'_> {
    fn text(&mut self, language: Language, failure: Option<&Failure>) {
        let all = self.tokens.list.len();
        let report_of = |failure| report(self.tokens, failure, 0, all, &[]);
        let body = Body { range: 0..all, first: language.whole, item: language.item, closing: &[";"] };
        if let Some(frame) = self.structure.first_open_block() {
            self.open = frame.open;
            match failure.map(report_of) {
                // A head that is wrong says nothing about the `end` of what follows.
                Some((_, report))
                    if failure.is_some_and(|failure| {
                        failure.rules.contains(&Rule::kw_of) && failure.rules.contains(&Rule::kw_with)
                    }) =>
                {
                    return self.reports.push(report);
                }
                Some((index, report)) if index > frame.open => {
                    self.reports.push(self.missing_end(frame));
                    // What comes after a `;` may be wrong only because of the missing `end`.
                    let same_statement = !(frame.open..index).any(|between| self.tokens.is(between, ";"));
                    let end_would_do = failure.is_none_or(|failure| failure.rules.contains(&Rule::kw_end));
                    if same_statement && index < all && !end_would_do {
                        self.reports.push(report);
                    }
                }
                Some((_, report)) => return self.reports.push(report),
                None => return,
            }
            self.list(&body);
        } else if self.structure.stray {
            self.reports.extend(failure.map(|failure| report_of(failure).1));
        } else {
            let before = self.reports.len();
            self.list(&body);
            if self.reports.len() == before {
                self.reports.extend(failure.map(|failure| report_of(failure).1));
            }
        }
    }

    fn missing_end(&self, frame: Frame) -> Diagnostic {
        let word = |index: usize| self.tokens.list.get(index).map_or("", |token| self.tokens.text_of(*token));
        let is_definition = word(frame.open) == "define";
        let last = if is_definition { frame.open + 1 } else { frame.open };
        let token = |index| self.tokens.list.get(index).copied();
        let (start, end) = match (token(frame.open), token(last)) {
            (Some(first), Some(last)) => (first.start, last.end),
            _ => (0, 0),
        };
        let span = self.tokens.span(start, end);
        let what = if is_definition { format!("define {}", word(last)) } else { word(frame.open).to_owned() };
        Diagnostic::error(
            codes::MISSING_END,
            span,
            format!("This `{what}` is never closed: its `end` is missing"),
        )
        .outer(self.tokens.around(span))
        .hint(format!("Put `end` behind the last line that belongs to the `{what}`"))
    }

    /// Reports about the statements of a list.
    fn list(&mut self, body: &Body) {
        let depth = |index: usize| self.structure.depth.get(index).copied();
        let level = depth(body.range.start);
        let mut start = body.range.start;
        let mut rule = body.first;
        while start < body.range.end && self.reports.len() < MOST_REPORTS {
            let is_end = |index: &usize| self.tokens.is(*index, ";") && depth(*index) == level;
            let end = (start..body.range.end).find(is_end).unwrap_or(body.range.end);
            match self.statement(start, end, rule, body.closing) {
                Some(next) if next > start && depth(next) == level => start = next,
                _ => start = end + 1,
            }
            rule = body.item;
        }
    }

    /// Reports about one statement, the tokens `start..end`. When a `;` was missing in it: where to go on.
    fn statement(&mut self, start: usize, end: usize, rule: Rule, closing: &[&'static str]) -> Option<usize> {
        if (start..end).contains(&self.open) {
            return None;
        }
        let bodies = self.bodies(start, end);
        let bytes = self.bytes(start, end);
        if self.has_lexical_mistake(&bytes) {
            bodies.iter().for_each(|body| self.list(body));
            return None;
        }
        let failure = run(rule, self.tokens.text.get(bytes.clone()).unwrap_or("")).err()?;
        let (index, report) = report(self.tokens, &failure, bytes.start, end, closing);
        let before = self.reports.len();
        bodies.iter().for_each(|body| self.list(body));
        let inside = bodies.iter().any(|body| (body.range.start..=body.range.end).contains(&index));
        let next = (report.code == codes::MISSING_SEMICOLON).then_some(index);
        if !inside || self.reports.len() == before {
            self.reports.push(report);
        }
        next.filter(|_| !inside)
    }

    fn bytes(&self, start: usize, end: usize) -> Range<usize> {
        let first = self.tokens.list.get(start).map_or(self.tokens.text.len(), |token| token.start);
        let last =
            end.checked_sub(1).and_then(|last| self.tokens.list.get(last)).map_or(first, |token| token.end);
        first..last.max(first)
    }

    fn has_lexical_mistake(&self, bytes: &Range<usize>) -> bool {
        let first = self.mistakes.partition_point(|at| *at < bytes.start);
        self.mistakes.get(first).is_some_and(|at| *at <= bytes.end)
    }

    /// The statement lists of the outermost definitions among the tokens `start..end`.
    fn bodies(&self, start: usize, end: usize) -> Vec<Body> {
        let mut bodies = Vec::new();
        let mut from = start;
        for frame in &self.structure.frames {
            let Some(close) = frame.close.filter(|close| *close < end && frame.open >= from) else {
                continue;
            };
            let found = self.bodies_of(*frame, close);
            if !found.is_empty() {
                from = close;
                bodies.extend(found);
            }
        }
        bodies
    }

    fn bodies_of(&self, frame: Frame, close: usize) -> Vec<Body> {
        let inside = self.structure.depth.get(frame.open).map(|depth| depth + 1);
        let words = |word: &'static str| {
            let depth = move |index: usize| self.structure.depth.get(index).copied();
            (frame.open + 2..close)
                .filter(move |index| self.tokens.is(*index, word) && depth(*index) == inside)
        };
        let one = |word: &'static str, first: Rule, each: Rule| {
            let body = |index| Body { range: index + 1..close, first, item: each, closing: &[";", "end"] };
            words(word).next().map(body).into_iter().collect()
        };
        match frame.kind {
            FrameKind::Flow => one("flow", Rule::one_flow_stmt, Rule::one_flow_stmt),
            FrameKind::Pipeline => one("pipeline", Rule::query, Rule::one_query_stmt),
            FrameKind::Function => one("with", Rule::one_stmt, Rule::one_stmt),
            FrameKind::Script | FrameKind::Window => {
                let sections: Vec<usize> = words("script").collect();
                let ends = sections.iter().skip(1).copied().chain([close]);
                let body = |(section, end): (&usize, usize)| {
                    let start = if self.tokens.is(section + 1, "from") { section + 3 } else { section + 1 };
                    Body {
                        range: start..end,
                        first: Rule::one_item,
                        item: Rule::one_item,
                        closing: &[";", "end"],
                    }
                };
                sections.iter().zip(ends).map(body).collect()
            }
            _ => Vec::new(),
        }
    }
}
