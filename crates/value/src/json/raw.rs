//! Reading text that [`Skimmer`](super::skim::Skimmer) has accepted: nothing is checked twice.
//!
//! All functions take a slice of such a text that is exactly one value. What they would do with any other text is
//! not said, except that they end, with `None` or something without meaning.
//!
//! Those that look for keys find them as they are written: no key is repeated, and escapes in keys are those that this crate
//! would write.

use super::block::{self, LEN};
use super::number;
use super::outline::Outline;
use super::read::{Keys, Reader};
use super::skim;
use super::write::{write_float, write_integer, write_string};
use crate::Value;

/// Text below this length is checked byte by byte at less cost.
const SHORT: usize = 64;

/// Builds the value of `text`.
pub(crate) fn read(text: &[u8]) -> Option<Value> {
    // What is read most often, member by member, in short ways.
    match text {
        [b'"', inner @ .., b'"'] if !has_escapes(inner) => {
            return utf8(inner).map(Value::from);
        }
        [b'-' | b'0'..=b'9', ..] => {
            let mut value = Value::Null;
            return number::read(text, 0, |number| value = number).map(|_| value);
        }
        [b't', ..] => return Some(Value::Bool(true)),
        [b'f', ..] => return Some(Value::Bool(false)),
        [b'n', ..] => return Some(Value::Null),
        _ => {}
    }
    Reader::default().read(simdutf8::basic::from_utf8(text).ok()?, Keys::Unique)
}

fn has_escapes(text: &[u8]) -> bool {
    if text.len() <= LEN {
        return block::load(text, 0).is_backslash() != 0;
    }
    memchr::memchr(b'\\', text).is_some()
}

fn utf8(text: &[u8]) -> Option<&str> {
    if text.len() < SHORT {
        return std::str::from_utf8(text).ok();
    }
    simdutf8::basic::from_utf8(text).ok()
}

/// Appends `text` as this crate writes its value.
pub(crate) fn write_canonical(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len());
    // What lies between `kept` and `at` is good as it is.
    let (mut kept, mut at) = (0, 0);
    while let Some(byte) = text.get(at) {
        let (end, is_canonical) = match byte {
            b'"' => string_form(text, at + 1).unwrap_or((text.len(), true)),
            b'-' | b'0'..=b'9' => number::number(text, at).unwrap_or((text.len(), true)),
            b' ' | b'\n' | b'\t' | b'\r' => {
                out.extend_from_slice(text.get(kept..at).unwrap_or_default());
                at = solid(text, at + 1);
                kept = at;
                continue;
            }
            _ => {
                at += 1;
                continue;
            }
        };
        if !is_canonical {
            out.extend_from_slice(text.get(kept..at).unwrap_or_default());
            write_token(text.get(at..end).unwrap_or_default(), out);
            kept = end;
        }
        at = end;
    }
    out.extend_from_slice(text.get(kept..).unwrap_or_default());
}

/// Appends a string or number that is written in an unusual way.
fn write_token(text: &[u8], out: &mut Vec<u8>) {
    match read(text) {
        Some(Value::String(string)) => write_string(&string, out),
        Some(Value::F64(float)) => write_float(float, out),
        Some(Value::I64(integer)) => write_integer(integer, out),
        // There are no others: a larger integer is written in one way only.
        _ => {}
    }
}

/// The end of the string whose content begins at `at`, and whether this crate would write it so.
fn string_form(text: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut is_canonical = true;
    loop {
        let plain = block::first(block::load(text, at).ends_plain_text());
        at += plain;
        if plain == LEN {
            continue;
        }
        match text.get(at)? {
            b'"' => return Some((at + 1, is_canonical)),
            _ => {
                let (end, is_usual) = skim::escape(text, at)?;
                is_canonical &= is_usual;
                at = end;
            }
        }
    }
}

/// Where the item of an array at this index begins and ends; `None` if there is none, or `text` is no array.
#[inline(never)]
pub(crate) fn item(text: &[u8], index: u64) -> Option<(usize, usize)> {
    if text.first() != Some(&b'[') {
        return None;
    }
    let mut at = solid(text, 1);
    if text.get(at) == Some(&b']') {
        return None;
    }
    let mut left = index;
    loop {
        let end = value_end(text, at)?;
        if left == 0 {
            return Some((at, end));
        }
        left -= 1;
        let comma = solid(text, end);
        if text.get(comma) != Some(&b',') {
            return None;
        }
        at = solid(text, comma + 1);
    }
}

/// Where a member of a record stands.
pub(crate) enum Place {
    /// Its value begins and ends there.
    At(usize, usize),
    /// It does not exist.
    Missing {
        /// The end of the last member, where another one would stand.
        behind: usize,
        /// There is no member at all.
        is_first: bool,
    },
}

/// How the keys of a text are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Written {
    /// As they are: none has an escape.
    Plain,
    /// As this crate writes them.
    Escaped,
}

/// A key as this crate writes it, without the quotes.
pub(crate) fn escaped(key: &str) -> Vec<u8> {
    let mut written = Vec::new();
    write_string(key, &mut written);
    written.pop();
    written.drain(..1);
    written
}

/// Looks for member `key`; `None` if `text` is no record.
#[inline]
pub(crate) fn locate(text: &[u8], key: &str, keys: Written) -> Option<Place> {
    match keys {
        Written::Plain => locate_written(text, key.as_bytes(), |_| !key.contains('"')),
        Written::Escaped => locate_escaped(text, key),
    }
}

#[inline(never)]
fn locate_escaped(text: &[u8], key: &str) -> Option<Place> {
    // In front of the quote that a key begins with there is never a backslash.
    let is_whole = |start: usize| start.checked_sub(2).is_none_or(|before| text.get(before) != Some(&b'\\'));
    locate_written(text, &escaped(key), is_whole)
}

/// Looks for a key as it is written. Where it seems to begin may be a quote that is something else: `is_whole` is asked then.
#[inline(always)]
fn locate_written(text: &[u8], key: &[u8], is_whole: impl Fn(usize) -> bool) -> Option<Place> {
    if text.first() != Some(&b'{') {
        return None;
    }
    let mut outline = Outline::new(text, 1);
    let mut depth = 0_usize;
    let mut is_first = true;
    loop {
        for mark in outline.next()? {
            match text.get(mark)? {
                b':' if depth == 0 => {
                    is_first = false;
                    if let Some(start) = find_key(text, mark, key)
                        && is_whole(start)
                    {
                        let start = solid(text, mark + 1);
                        return Some(Place::At(start, value_end(text, start)?));
                    }
                }
                b':' => {}
                b'{' | b'[' => depth += 1,
                _ if depth == 0 => {
                    return Some(Place::Missing { behind: trimmed(text.get(..mark)?).len(), is_first });
                }
                _ => depth -= 1,
            }
        }
    }
}

/// Where this key begins, if it is the one in front of the colon at `colon`.
#[inline(always)]
fn find_key(text: &[u8], colon: usize, key: &[u8]) -> Option<usize> {
    let mut end = colon.wrapping_sub(1);
    if text.get(end) != Some(&b'"') {
        end = trimmed(text.get(..colon).unwrap_or_default()).len().wrapping_sub(1);
    }
    let start = end.wrapping_sub(key.len());
    let is_this = text.get(start.wrapping_sub(1)) == Some(&b'"')
        && text.get(start..end).is_some_and(|found| is_same(found, key));
    is_this.then_some(start)
}

/// Whether two keys of the same length are the same. Most are short, and are compared without a call.
#[inline(always)]
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    match one.len() {
        4..8 => (one.first_chunk::<4>(), one.last_chunk::<4>()) == (other.first_chunk(), other.last_chunk()),
        8..=16 => {
            (one.first_chunk::<8>(), one.last_chunk::<8>()) == (other.first_chunk(), other.last_chunk())
        }
        _ => one == other,
    }
}

/// Without the white space at the end.
#[inline(always)]
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let Some((byte, before)) = text.split_last()
        && *byte <= b' '
    {
        text = before;
    }
    text
}

/// The end of the value that begins at `at`.
#[inline(always)]
fn value_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => Some(string_end(text, at + 1)?.0 + 1),
        b'{' | b'[' => nested_end(text, at),
        _ => scalar_end(text, at),
    }
}

/// The end of the array or record that begins at `at`.
#[inline(never)]
fn nested_end(text: &[u8], at: usize) -> Option<usize> {
    let mut outline = Outline::new(text, at + 1);
    let mut depth = 0_usize;
    loop {
        for mark in outline.next()? {
            match text.get(mark)? {
                b':' => {}
                b'{' | b'[' => depth += 1,
                _ if depth == 0 => return Some(mark + 1),
                _ => depth -= 1,
            }
        }
    }
}

/// The place of the quote that ends the string whose content begins at `at`, and whether it has no escapes.
pub(super) fn string_end(text: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut is_plain = true;
    loop {
        let plain = block::first(block::load(text, at).ends_plain_text());
        at += plain;
        if plain == LEN {
            continue;
        }
        match text.get(at)? {
            b'"' => return Some((at, is_plain)),
            b'\\' => {
                is_plain = false;
                at += 2;
            }
            _ => return None,
        }
    }
}

/// The end of the number or word that begins at `at`.
#[inline(always)]
pub(super) fn scalar_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let inner = block::first(block::load(text, at).ends_scalar());
        at += inner;
        if inner < LEN {
            return Some(at);
        }
        if at > text.len() {
            return None;
        }
    }
}

/// The place of the next byte that is no white space.
#[inline(always)]
pub(super) fn solid(text: &[u8], mut at: usize) -> usize {
    // Nothing else below the space stands between tokens.
    while text.get(at).is_some_and(|byte| *byte <= b' ') {
        at += 1;
    }
    at
}

/// Appends a string without its escapes.
pub(crate) fn unescape(text: &str, plain: &mut String) -> Option<()> {
    plain.reserve(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        plain.push_str(rest.get(..at)?);
        let mut len = 2;
        plain.push(match rest.as_bytes().get(at + 1)? {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut code = skim::hex(rest.as_bytes(), at + 2)?;
                len = 6;
                if (0xd800..0xdc00).contains(&code) {
                    code = 0x1_0000 + ((code - 0xd800) << 10) + (skim::hex(rest.as_bytes(), at + 8)? & 0x3ff);
                    len = 12;
                }
                char::from_u32(code)?
            }
            other => char::from(*other),
        });
        rest = rest.get(at + len..)?;
    }
    plain.push_str(rest);
    Some(())
}
