//! Numbers and escapes: the rules that the scanner checks and the lowering applies.

use tremor_diagnostic::{Code, codes};
use unicode_ident::is_xid_start;

/// A mistake in a literal: bytes `start..end` from its beginning.
pub(crate) struct Problem {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) code: Code,
    pub(crate) message: String,
}

/// Length of the number at the start of `text`, and what is wrong with it.
pub(crate) fn number(text: &str) -> (usize, Option<Problem>) {
    let digits = prefix(text, |c| c.is_ascii_digit() || c == '_');
    let after = text.get(digits..).unwrap_or("");
    if after.starts_with('x') {
        return hexadecimal(text, digits);
    }
    let (len, float) = if after.starts_with('.') { float(text, digits) } else { (digits, Ok(false)) };
    let literal = text.get(..len).unwrap_or("");
    let whole = |code, message| (len, Some(Problem { start: 0, end: len, code, message }));
    let is_float = match float {
        Ok(is_float) => is_float,
        Err(()) => return whole(codes::BAD_FLOAT, format!("`{literal}` lacks the digits of its exponent")),
    };
    if let Some(letter) = text.get(len..).and_then(|rest| rest.chars().next()).filter(|c| is_xid_start(*c)) {
        let start = if is_float { 0 } else { len };
        let end = if is_float { len } else { len + letter.len_utf8() };
        return (
            len,
            Some(Problem { start, end, code: codes::UNEXPECTED_CHARACTER, message: unexpected(letter) }),
        );
    }
    if is_float {
        return match float_value(literal) {
            Some(_) => (len, None),
            None => whole(codes::BAD_FLOAT, format!("`{literal}` is too large for a float")),
        };
    }
    match int_value(literal) {
        Some(_) => (len, None),
        None => whole(codes::INT_TOO_LARGE, format!("`{literal}` is too large for an integer")),
    }
}

fn unexpected(c: char) -> String {
    format!("An unexpected character '{c}' was found")
}

fn prefix(text: &str, accept: impl Fn(char) -> bool) -> usize {
    text.find(|c| !accept(c)).unwrap_or(text.len())
}

fn hexadecimal(text: &str, digits: usize) -> (usize, Option<Problem>) {
    let rest = text.get(digits + 1..).unwrap_or("");
    let len = digits + 1 + prefix(rest, |c| c.is_ascii_hexdigit() || c == '_');
    let literal = text.get(..len).unwrap_or("");
    let reason = if text.get(..digits) != Some("0") {
        Some("does not begin with `0x`")
    } else if !rest.get(..len - digits - 1).unwrap_or("").contains(|c: char| c.is_ascii_hexdigit()) {
        Some("has no digits")
    } else if int_value(literal).is_none() {
        Some("is too large for an integer")
    } else {
        None
    };
    if let Some(reason) = reason {
        let message = format!("The hexadecimal number `{literal}` {reason}");
        return (len, Some(Problem { start: 0, end: len, code: codes::BAD_HEX, message }));
    }
    let letter = text.get(len..).and_then(|rest| rest.chars().next()).filter(|c| is_xid_start(*c));
    let problem = letter.map(|letter| Problem {
        start: len,
        end: len + letter.len_utf8(),
        code: codes::UNEXPECTED_CHARACTER,
        message: unexpected(letter),
    });
    (len, problem)
}

/// Length of the float whose integer digits end at `digits`; an error if its exponent has no digits.
fn float(text: &str, digits: usize) -> (usize, Result<bool, ()>) {
    let run = |from: usize| {
        let rest = text.get(from..).unwrap_or("");
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            from + prefix(rest, |c| c.is_ascii_digit() || c == '_')
        } else {
            from
        }
    };
    let len = run(digits + 1);
    let rest = text.get(len..).unwrap_or("");
    let Some(exponent) = rest.strip_prefix('e') else { return (len, Ok(true)) };
    let sign = usize::from(exponent.starts_with(['+', '-']));
    let end = run(len + 1 + sign);
    if end == len + 1 + sign { (end, Err(())) } else { (end, Ok(true)) }
}

/// The value of an integer literal; `None` if it is none or too large.
pub(crate) fn int_value(literal: &str) -> Option<u64> {
    let plain: String = literal.chars().filter(|c| *c != '_').collect();
    match plain.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => plain.parse().ok(),
    }
}

/// The value of a float literal; `None` if it is none or infinite.
pub(crate) fn float_value(literal: &str) -> Option<f64> {
    let plain: String = literal.chars().filter(|c| *c != '_').collect();
    plain.parse().ok().filter(|value: &f64| value.is_finite())
}

/// What a backslash in a string stands for.
pub(crate) enum Escape {
    /// A character, written with `len` bytes.
    Char { len: usize, value: char },
    /// No escape: the mistake covers `len` bytes.
    Bad { len: usize, code: Code, message: String },
    /// The line ends behind the backslash, which leaves the string open.
    LineEnd,
    /// The text ends inside.
    End,
}

/// Reads the escape at the start of `text`, which begins with a backslash.
pub(crate) fn escape(text: &str, heredoc: bool) -> Escape {
    let char = |value| Escape::Char { len: 2, value };
    match text.chars().nth(1) {
        None => Escape::End,
        Some('"') => char('"'),
        Some('\\') => char('\\'),
        Some('#') => char('#'),
        Some('b') => char('\u{8}'),
        Some('f') => char('\u{c}'),
        Some('n') => char('\n'),
        Some('r') => char('\r'),
        Some('t') => char('\t'),
        Some('u') => unicode_escape(text),
        Some('\n') if !heredoc => Escape::LineEnd,
        Some('\r') if !heredoc && text.get(2..).is_some_and(|rest| rest.starts_with('\n')) => Escape::LineEnd,
        Some(other) => {
            let shown =
                if other.is_control() { other.escape_default().to_string() } else { other.to_string() };
            let message = format!(
                "`\\{shown}` is no escape of a string; use one of \\\" \\\\ \\# \\b \\f \\n \\r \\t \\uXXXX"
            );
            Escape::Bad { len: 1 + other.len_utf8(), code: codes::BAD_ESCAPE, message }
        }
    }
}

fn unicode_escape(text: &str) -> Escape {
    let bad = |len: usize, message: String| Escape::Bad { len, code: codes::BAD_UNICODE_ESCAPE, message };
    let mut value = 0;
    let mut len = 2;
    for _ in 0..4 {
        let Some(c) = text.get(len..).and_then(|rest| rest.chars().next()) else { return Escape::End };
        let Some(digit) = c.to_digit(16) else {
            let offending = if matches!(c, '"' | '\n' | '\r') { 0 } else { c.len_utf8() };
            let message = format!("`\\u` needs four hexadecimal digits, but {} follows", describe(c));
            return bad(len + offending, message);
        };
        value = value * 16 + digit;
        len += 1;
    }
    match char::from_u32(value) {
        Some(value) => Escape::Char { len, value },
        None => {
            let message = format!("`\\u{value:04x}` is one half of a character; write the character itself");
            bad(len, message)
        }
    }
}

fn describe(c: char) -> String {
    if c == '\n' || c == '\r' { "the end of the line".to_owned() } else { format!("`{c}`") }
}

/// The body of an extractor literal between its bars: escapes resolved, joined lines joined
/// (`spec/language-lexical.md` 4.7).
pub(crate) fn extractor_body(raw: &str) -> String {
    let mut pieces = vec![String::new()];
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { None };
        match escaped {
            Some('\n') => pieces.push(String::new()),
            Some('\r') if chars.next_if_eq(&'\n').is_some() => pieces.push(String::new()),
            other => pieces.iter_mut().last().into_iter().for_each(|piece| piece.push(other.unwrap_or(c))),
        }
    }
    if pieces.len() == 1 {
        return pieces.concat();
    }
    let indent = |piece: &String| piece.len() - piece.trim_start_matches([' ', '\t']).len();
    let smallest = pieces.iter().filter(|piece| !piece.is_empty()).map(indent).min().unwrap_or(0);
    pieces.iter().map(|piece| piece.get(smallest..).unwrap_or("")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let ok = |text: &str| matches!(number(text), (len, None) if len == text.len());
        assert!(
            ["0", "007", "1_000", "9_", "1__2", "0xFF_ff", "0x_f", "1.", "1.5", "1.e5", "1_0.0_1e+3"]
                .iter()
                .all(|t| ok(t))
        );
        let at = |text: &str| number(text).1.map(|p| (p.code.id, p.start, p.end));
        assert_eq!(at("12ab"), Some(("E-L10", 2, 3)));
        assert_eq!(at("1e5"), Some(("E-L10", 1, 2)));
        assert_eq!(at("0X1"), Some(("E-L10", 1, 2)));
        assert_eq!(at("0x"), Some(("E-L11", 0, 2)));
        assert_eq!(at("1x2"), Some(("E-L11", 0, 3)));
        assert_eq!(at("0x_"), Some(("E-L11", 0, 3)));
        assert_eq!(at("0x1g"), Some(("E-L10", 3, 4)));
        assert_eq!(at("0x10000000000000000"), Some(("E-L11", 0, 19)));
        assert_eq!(at("18446744073709551616"), Some(("E-L12", 0, 20)));
        assert_eq!(at("18446744073709551615"), None);
        assert_eq!(at("1.0ex"), Some(("E-L13", 0, 4)));
        assert_eq!(at("1.x"), Some(("E-L10", 0, 2)));
        assert_eq!(at("1.0e999"), Some(("E-L13", 0, 7)));
        assert_eq!(number("1...").0, 2);
    }

    #[test]
    fn extractor_bodies() {
        assert_eq!(extractor_body(r"a\|b\\d"), r"a|b\d");
        assert_eq!(extractor_body("\\\n   ab \\\n     c"), "ab   c");
        assert_eq!(extractor_body("x\\\n   ab"), "x   ab");
        assert_eq!(extractor_body("\\\n\\\n  ab"), "ab");
        assert_eq!(extractor_body("\\\r\n  ab\\\r\n  c"), "abc");
    }
}
