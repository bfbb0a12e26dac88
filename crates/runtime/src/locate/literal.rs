//! What is written between the brackets of records and lists, in a text that was parsed before.

use std::ops::Range;

/// What is open at some place of a text.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    Bracket,
    Text,
    /// A text between three quotes each.
    LongText,
}

/// The places between the commas of the literal that `value` is, without what is blank around them. `None` if it is none that
/// begins with `bracket`.
pub(super) fn members(text: &str, value: Range<usize>, bracket: u8) -> Option<Vec<Range<usize>>> {
    let text = text.get(..value.end)?;
    if text.as_bytes().get(value.start) != Some(&bracket) {
        return None;
    }
    let (mut members, mut at) = (Vec::new(), value.start);
    loop {
        let start = skip_blank(text, at + 1);
        let (end, written) = end(text, start)?;
        if written > start {
            members.push(start..written);
        }
        at = end;
        if text.as_bytes().get(at) != Some(&b',') {
            let is_all = skip_blank(text, at + 1) >= text.len();
            return is_all.then_some(members);
        }
    }
}

/// The comma or bracket that ends what begins at `start`, and where the last of what is written in front of that ends.
pub(super) fn end(text: &str, start: usize) -> Option<(usize, usize)> {
    let (mut at, mut written, mut open) = (start, start, Vec::new());
    loop {
        match text.as_bytes().get(at)? {
            b',' | b']' | b'}' | b')' if open.is_empty() => return Some((at, written)),
            _ => at = step(text, at, &mut open),
        }
        written = at;
        if !is_in_text(&open) {
            at = skip_blank(text, at);
        }
    }
}

/// Behind the string that begins at `start`. `None` if none does.
pub(super) fn string_end(text: &str, start: usize) -> Option<usize> {
    if text.as_bytes().get(start) != Some(&b'"') {
        return None;
    }
    let mut open = Vec::new();
    let mut at = step(text, start, &mut open);
    while !open.is_empty() {
        text.as_bytes().get(at)?;
        at = step(text, at, &mut open);
    }
    Some(at)
}

/// The first place from `at` on that is neither blank nor in a comment.
pub(super) fn skip_blank(text: &str, mut at: usize) -> usize {
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'#' => at = line_end(text, at),
            byte if byte.is_ascii_whitespace() => at += 1,
            _ => break,
        }
    }
    at
}

fn is_in_text(open: &[Open]) -> bool {
    matches!(open.last(), Some(Open::Text | Open::LongText))
}

/// Behind what begins at `at`, as far as that matters for what is open.
fn step(text: &str, at: usize, open: &mut Vec<Open>) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    let quotes = if rest.starts_with(br#"""""#) { (Open::LongText, 3) } else { (Open::Text, 1) };
    match (open.last(), rest) {
        (Some(Open::Text | Open::LongText), [b'\\', ..]) => at + 2,
        (Some(Open::Text | Open::LongText), [b'#', b'{', ..]) => {
            open.push(Open::Bracket);
            at + 2
        }
        (Some(Open::Text), [b'"', ..]) => {
            open.pop();
            at + 1
        }
        (Some(Open::LongText), [b'"', ..]) if quotes.1 == 3 => {
            open.pop();
            at + 3
        }
        (Some(Open::Text | Open::LongText), _) => at + 1,
        (_, [b'"', ..]) => {
            open.push(quotes.0);
            at + quotes.1
        }
        (_, [b'[' | b'{' | b'(', ..]) => {
            open.push(Open::Bracket);
            at + 1
        }
        (_, [b']' | b'}' | b')', ..]) => {
            open.pop();
            at + 1
        }
        (_, [b'#', ..]) => line_end(text, at),
        _ => at + 1,
    }
}

fn line_end(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    rest.iter().position(|byte| *byte == b'\n').map_or(text.len(), |line| at + line)
}
