//! Cuts a text into tokens and finds the lexical mistakes (`spec/language-lexical.md` 11.6).

use super::literal::{Escape, escape, number};
use super::{MOST_REPORTS, Token, TokenKind, Tokens, is_reserved};
use tremor_diagnostic::{Code, Diagnostic, FileId, LineIndex, codes};
use unicode_ident::{is_xid_continue, is_xid_start};

/// How a `#` can be kept from opening an interpolation.
const INTERPOLATION_HINT: &str = "To write `#{` as text, escape it: `\\#{`";

const PUNCTUATION: &[&str] = &[
    ">>>", "==", "!=", "<<", ">>", "<=", ">=", "=>", "~=", "%(", "%[", "%{", "::", "+", "-", "*", "/", "%",
    "<", ">", "!", "&", "^", "=", "~", "(", ")", "[", "]", "{", "}", ",", ";", ".", ":", "$", "_",
];

/// Cuts `text` into tokens. Never fails: mistakes are in the diagnostics.
pub(crate) fn lex(file: FileId, text: &str) -> Tokens<'_> {
    let lines = LineIndex::new(text);
    let tokens = Tokens { file, text, lines, list: Vec::new(), diagnostics: Vec::new() };
    let mut lexer = Lexer { tokens, at: 0, modes: Vec::new() };
    while lexer.at < text.len() {
        match lexer.modes.last() {
            Some(Mode::Str { .. } | Mode::Heredoc { .. }) => lexer.string_part(),
            Some(Mode::Interp { .. }) | None => lexer.token(),
        }
    }
    lexer.finish();
    lexer.tokens
}

/// What the scanner is inside of. The offsets are those of the opening tokens.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Str { open: usize },
    Heredoc { open: usize },
    Interp { open: usize, braces: usize },
}

struct Lexer<'a> {
    tokens: Tokens<'a>,
    at: usize,
    modes: Vec<Mode>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.tokens.text.get(self.at..).unwrap_or("")
    }

    fn push(&mut self, kind: TokenKind, len: usize) {
        self.tokens.list.push(Token { kind, start: self.at, end: self.at + len });
        self.at += len;
    }

    /// Where the line of `offset` ends, without its line break.
    fn line_end(&self, offset: usize) -> usize {
        let rest = self.tokens.text.get(offset..).unwrap_or("");
        let line = rest.split('\n').next().unwrap_or("");
        offset + line.strip_suffix('\r').unwrap_or(line).len()
    }

    /// Reports `start..end`. The lines shown are two more above and below; inside an interpolation they begin where
    /// the outermost string begins.
    fn report(&mut self, code: Code, start: usize, end: usize, message: impl Into<String>) {
        self.report_with(code, start, end, message, None);
    }

    fn report_with(
        &mut self,
        code: Code,
        start: usize,
        end: usize,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        if self.tokens.diagnostics.len() >= MOST_REPORTS {
            return;
        }
        let inner = self.tokens.span(start, end);
        let outer = match self.modes.first() {
            Some(Mode::Str { open } | Mode::Heredoc { open }) if self.modes.len() > 1 => {
                let widened = self.tokens.around(inner);
                self.tokens.span(*open, widened.range().end)
            }
            _ => self.tokens.around(inner),
        };
        let diagnostic = Diagnostic::error(code, inner, message).outer(outer);
        self.tokens.diagnostics.push(diagnostic.maybe_hint(hint.map(str::to_owned)));
    }

    /// One token outside of strings, or the blanks and comments before it.
    fn token(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return };
        match first {
            c if c.is_whitespace() || c == '\u{feff}' => self.at += c.len_utf8(),
            '#' => self.hash(rest),
            '"' => self.open_string(rest),
            '`' => self.quoted(rest),
            '|' => self.extractor(rest),
            '0'..='9' => self.number(rest),
            '}' if self.close_interpolation() => {}
            c if is_xid_start(c) => {
                let len = rest.find(|c| !is_xid_continue(c)).unwrap_or(rest.len());
                let word = rest.get(..len).unwrap_or("");
                self.push(if is_reserved(word) { TokenKind::Keyword } else { TokenKind::Ident }, len);
            }
            c => self.punctuation(rest, c),
        }
    }

    fn hash(&mut self, rest: &str) {
        let line = rest.split('\n').next().unwrap_or("");
        let len = line.strip_suffix('\r').unwrap_or(line).len();
        if rest.starts_with("###") {
            self.push(TokenKind::ModDoc, len);
        } else if rest.starts_with("##") {
            self.push(TokenKind::Doc, len);
        } else if rest.starts_with("#!config ") {
            self.push(TokenKind::Config, "#!config".len());
        } else if rest.starts_with("#!") {
            self.push(TokenKind::Invalid, 2);
        } else {
            self.at += len;
        }
    }

    fn open_string(&mut self, rest: &str) {
        let open = self.at;
        if !rest.starts_with("\"\"\"") {
            self.push(TokenKind::StrOpen, 1);
            self.modes.push(Mode::Str { open });
            return;
        }
        let after = rest.get(3..).unwrap_or("");
        let opens = after.starts_with('\n') || after.starts_with("\r\n");
        if let (false, Some(at)) = (opens, self.swallowing_interpolation()) {
            // These quotes end the heredoc around the interpolation, which lacks its `}`.
            self.unterminated_interpolation(at);
            self.modes.truncate(self.modes.len().saturating_sub(2));
            return self.push(TokenKind::StrClose, 3);
        }
        self.push(TokenKind::StrOpen, 3);
        self.modes.push(Mode::Heredoc { open });
        if let Some(text) = after.strip_prefix("\r\n").or_else(|| after.strip_prefix('\n')) {
            self.at += after.len() - text.len();
        } else if !after.is_empty() {
            let message = "A heredoc begins on the line after its opening `\"\"\"`, nothing may follow them";
            self.report(codes::HEREDOC_OPENING, open, open + 3, message);
        }
    }

    /// Where the interpolation begins that the scanner is directly inside of, if a heredoc holds it.
    fn swallowing_interpolation(&self) -> Option<usize> {
        match self.modes.as_slice() {
            [.., Mode::Heredoc { .. }, Mode::Interp { open, .. }] => Some(*open),
            _ => None,
        }
    }

    fn quoted(&mut self, rest: &str) {
        let name = rest.get(1..).unwrap_or("");
        match name.find(['`', '\n']) {
            Some(len) if name.get(len..).is_some_and(|rest| rest.starts_with('`')) => {
                self.push(TokenKind::QuotedIdent, len + 2);
            }
            _ => {
                let end = self.line_end(self.at);
                let message = "This quoted identifier has no closing backquote on its line";
                self.report(codes::UNTERMINATED_IDENT, self.at, end, message);
                self.push(TokenKind::Invalid, end - self.at);
            }
        }
    }

    fn extractor(&mut self, rest: &str) {
        let mut chars = rest.char_indices().skip(1).peekable();
        while let Some((index, c)) = chars.next() {
            match c {
                '|' => return self.push(TokenKind::Extractor, index + 1),
                '\n' => break,
                '\\' => match chars.next() {
                    Some((_, '|' | '\\' | '\n')) => {}
                    Some((_, '\r')) if chars.next_if(|(_, c)| *c == '\n').is_some() => {}
                    Some((at, bad)) => {
                        let start = self.at + at;
                        let message =
                            format!("`\\{bad}` is no escape of an extractor, only `\\|` and `\\\\` are");
                        let hint = "Write a backslash of the pattern as `\\\\`";
                        let end = start + bad.len_utf8();
                        self.report_with(codes::BAD_ESCAPE, start, end, message, Some(hint));
                    }
                    None => return self.end_inside_escape(),
                },
                _ => {}
            }
        }
        let end = self.line_end(self.at);
        self.report(
            codes::UNTERMINATED_EXTRACTOR,
            self.at,
            end,
            "This extractor has no closing `|` on its line",
        );
        self.push(TokenKind::Invalid, end - self.at);
    }

    fn number(&mut self, rest: &str) {
        let (len, problem) = number(rest);
        if let Some(problem) = problem {
            let (start, end) = (self.at + problem.start, self.at + problem.end);
            self.report(problem.code, start, end, problem.message);
        }
        self.push(TokenKind::Number, len);
    }

    /// Takes a `}` as the end of an interpolation, if it is one.
    fn close_interpolation(&mut self) -> bool {
        match self.modes.last_mut() {
            Some(Mode::Interp { braces: 0, .. }) => {
                self.modes.pop();
                self.push(TokenKind::InterpClose, 1);
                true
            }
            Some(Mode::Interp { braces, .. }) => {
                *braces -= 1;
                false
            }
            _ => false,
        }
    }

    fn punctuation(&mut self, rest: &str, first: char) {
        let colons = rest.len() - rest.trim_start_matches(':').len();
        if colons > 2 {
            return self.push(TokenKind::Invalid, colons);
        }
        let Some(found) = PUNCTUATION.iter().find(|token| rest.starts_with(**token)) else {
            return self.push(TokenKind::Invalid, first.len_utf8());
        };
        if let (true, Some(Mode::Interp { braces, .. })) =
            (matches!(*found, "{" | "%{"), self.modes.last_mut())
        {
            *braces += 1;
        }
        if matches!(*found, "!" | "%" | "~") && rest.len() == 1 {
            let message = format!("The text ends after `{found}`, where an operand is needed");
            self.report(codes::UNEXPECTED_END, self.at + 1, self.at + 1, message);
        }
        self.push(TokenKind::Punct, found.len());
    }

    /// Text, an escape, an interpolation or the closing quotes of the current string.
    fn string_part(&mut self) {
        let heredoc = matches!(self.modes.last(), Some(Mode::Heredoc { .. }));
        let rest = self.rest();
        let quotes = if heredoc { "\"\"\"" } else { "\"" };
        if rest.starts_with(quotes) {
            self.modes.pop();
            self.push(TokenKind::StrClose, quotes.len());
        } else if rest.starts_with("#{}") {
            let hint = Some(INTERPOLATION_HINT);
            let message = "This interpolation is empty";
            self.report_with(codes::EMPTY_INTERPOLATION, self.at, self.at + 3, message, hint);
            self.push(TokenKind::InterpOpen, 2);
            self.push(TokenKind::InterpClose, 1);
        } else if rest.starts_with("#{") {
            self.modes.push(Mode::Interp { open: self.at, braces: 0 });
            self.push(TokenKind::InterpOpen, 2);
        } else if rest.starts_with('\\') {
            self.escape(rest, heredoc);
        } else if rest.starts_with('\n') && !heredoc {
            self.unterminated_string();
        } else {
            let mut from = 0;
            let stop = |text: &str, from: usize| {
                text.get(from..).and_then(|text| text.find(['"', '\\', '#', '\n'])).map(|found| from + found)
            };
            while let Some(found) = stop(rest, from) {
                let next = rest.get(found..).unwrap_or("");
                let ends = next.starts_with(quotes) || next.starts_with("#{") || next.starts_with('\\');
                if ends || (next.starts_with('\n') && !heredoc) {
                    return self.push(TokenKind::StrText, found);
                }
                from = found + 1;
            }
            self.push(TokenKind::StrText, rest.len());
        }
    }

    fn escape(&mut self, rest: &str, heredoc: bool) {
        match escape(rest, heredoc) {
            Escape::Char { len, .. } => self.push(TokenKind::StrText, len),
            Escape::Bad { len, code, message } => {
                self.report(code, self.at, self.at + len, message);
                self.push(TokenKind::StrText, len);
            }
            Escape::LineEnd => {
                self.push(TokenKind::StrText, 1);
                if self.rest().starts_with('\r') {
                    self.push(TokenKind::StrText, 1);
                }
            }
            Escape::End => self.end_inside_escape(),
        }
    }

    fn end_inside_escape(&mut self) {
        let end = self.tokens.text.len();
        self.report(codes::UNEXPECTED_END, end, end, "The text ends inside an escape");
        self.push(TokenKind::Invalid, end - self.at);
        self.modes.clear();
    }

    /// The current string meets the end of its line or of the text.
    fn unterminated_string(&mut self) {
        let Some(Mode::Str { open }) = self.modes.pop() else { return };
        let interpolation = self.modes.iter().rev().find_map(|mode| match mode {
            Mode::Interp { open, .. } => Some(*open),
            _ => None,
        });
        match interpolation {
            Some(interpolation) => self.unterminated_interpolation(interpolation),
            None => {
                let end = self.line_end(open);
                let message = "This string has no closing `\"` on its line";
                self.report(codes::UNTERMINATED_STRING, open, end, message);
            }
        }
        // What was open around the string cannot be told apart from text any more.
        self.modes.clear();
    }

    fn unterminated_interpolation(&mut self, open: usize) {
        let enclosing =
            self.modes.iter().rposition(|mode| matches!(mode, Mode::Interp { open: at, .. } if *at == open));
        let heredoc = enclosing
            .and_then(|index| index.checked_sub(1))
            .is_some_and(|index| matches!(self.modes.get(index), Some(Mode::Heredoc { .. })));
        let end = if heredoc { self.line_end(open) } else { open + 2 };
        let message = "This interpolation has no closing `}`";
        self.report_with(codes::UNTERMINATED_INTERPOLATION, open, end, message, Some(INTERPOLATION_HINT));
    }

    /// Reports what is still open at the end of the text; the innermost thing says it best.
    fn finish(&mut self) {
        match self.modes.last().copied() {
            Some(Mode::Str { .. }) => self.unterminated_string(),
            Some(Mode::Heredoc { open }) => {
                let inner = self.modes.iter().rev().find_map(|mode| match mode {
                    Mode::Interp { open, .. } => Some(*open),
                    _ => None,
                });
                match inner {
                    Some(inner) => self.unterminated_interpolation(inner),
                    None => {
                        let end = self.tokens.text.len();
                        let message = "This heredoc has no closing `\"\"\"`";
                        self.report(codes::UNTERMINATED_HEREDOC, open, end, message);
                    }
                }
            }
            Some(Mode::Interp { open, .. }) => self.unterminated_interpolation(open),
            None => {}
        }
    }
}
