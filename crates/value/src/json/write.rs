//! Values to documents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::block::{self, LEN};
use crate::{Record, Str, Value};

/// Levels written by plain recursion; deeper ones are written with an explicit stack.
const DIRECT_DEPTH: u32 = 64;

/// Appends `value` as JSON without white space, members in insertion order.
///
/// Floats take the shortest form that reads back the same, always with a fraction or an exponent; NaN and
/// infinities become `null`, bytes a base64 string (`spec/codecs.md` A.2, `spec/stdlib.md` 1.9).
pub fn write(value: &Value, out: &mut Vec<u8>) {
    write_level(value, 0, out);
}

/// Like [`write()`], but members are ordered by the bytes of their keys, at every level.
pub fn write_sorted(value: &Value, out: &mut Vec<u8>) {
    write_deep(value, true, out);
}

/// `value` as JSON without white space, members in insertion order.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let mut out = Vec::new();
    write(value, &mut out);
    // Strings are UTF-8, everything else is ASCII.
    String::from_utf8(out).unwrap_or_default()
}

/// Appends a float in the form of `spec/stdlib.md` 1.9; `null` if it is not finite.
pub fn write_float(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Appends an integer in decimal digits.
pub fn write_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a string in quotes; `"`, `\` and control characters are escaped, nothing else.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let start = out.len();
    out.extend_from_slice(text.as_bytes());
    // Where it stands now there is mostly enough of it for a whole block.
    if let Some(first) = find_escape(out, start) {
        out.truncate(first);
        write_escaped(text.as_bytes().get(first - start..).unwrap_or_default(), out);
    }
    out.push(b'"');
}

/// Appends the content of a string that begins with what needs an escape.
#[cold]
fn write_escaped(mut rest: &[u8], out: &mut Vec<u8>) {
    while let Some((byte, behind)) = rest.split_first() {
        write_escape(*byte, out);
        let clean = find_escape(behind, 0).unwrap_or(behind.len());
        out.extend_from_slice(behind.get(..clean).unwrap_or_default());
        rest = behind.get(clean..).unwrap_or_default();
    }
}

/// Appends bytes as a base64 string in quotes.
fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    let len = base64::encoded_len(bytes.len(), true).unwrap_or_default();
    out.resize(start + len, 0);
    if let Some(room) = out.get_mut(start..) {
        // The room is exactly as long as the text, so this cannot fail.
        let written = STANDARD.encode_slice(bytes, room).unwrap_or_default();
        out.truncate(start + written);
    }
    out.push(b'"');
}

fn write_level(value: &Value, depth: u32, out: &mut Vec<u8>) {
    match value {
        Value::Array(_) | Value::Record(_) if depth == DIRECT_DEPTH => write_deep(value, false, out),
        Value::Array(items) => {
            let mut before = b'[';
            for item in items.iter() {
                out.push(before);
                before = b',';
                write_level(item, depth + 1, out);
            }
            out.extend_from_slice(if before == b'[' { b"[]" } else { b"]" });
        }
        Value::Record(record) => {
            let mut before = b'{';
            for (key, member) in record.members() {
                out.push(before);
                before = b',';
                write_string(key, out);
                out.push(b':');
                write_level(member, depth + 1, out);
            }
            out.extend_from_slice(if before == b'{' { b"{}" } else { b"}" });
        }
        scalar => write_scalar(scalar, out),
    }
}

pub(crate) fn write_scalar(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::I64(value) => write_integer(*value, out),
        Value::U64(value) => write_integer(*value, out),
        Value::F64(value) => write_float(*value, out),
        Value::String(text) => write_string(text, out),
        Value::Bytes(bytes) => write_bytes(bytes, out),
        Value::Null | Value::Array(_) | Value::Record(_) => out.extend_from_slice(b"null"),
    }
}

/// A container of which some content is still to be written.
enum Level<'a> {
    Array(std::slice::Iter<'a, Value>),
    Record(std::slice::Iter<'a, (Str, Value)>),
    Sorted(std::vec::IntoIter<(&'a Str, &'a Value)>),
}

impl<'a> Level<'a> {
    fn record(record: &'a Record, sorted: bool) -> Self {
        if sorted { Self::Sorted(record.sorted().into_iter()) } else { Self::Record(record.members().iter()) }
    }

    /// The next value, with its key in a record.
    fn next(&mut self) -> Option<(Option<&'a Str>, &'a Value)> {
        match self {
            Self::Array(items) => items.next().map(|item| (None, item)),
            Self::Record(members) => members.next().map(|(key, member)| (Some(key), member)),
            Self::Sorted(members) => members.next().map(|(key, member)| (Some(key), member)),
        }
    }

    fn closing(&self) -> u8 {
        match self {
            Self::Array(_) => b']',
            Self::Record(_) | Self::Sorted(_) => b'}',
        }
    }
}

/// Writes a value of any depth.
fn write_deep(value: &Value, sorted: bool, out: &mut Vec<u8>) {
    let mut levels: Vec<Level<'_>> = Vec::new();
    let mut current = value;
    loop {
        let mut is_first = true;
        match current {
            Value::Array(items) => {
                out.push(b'[');
                levels.push(Level::Array(items.iter()));
            }
            Value::Record(record) => {
                out.push(b'{');
                levels.push(Level::record(record, sorted));
            }
            scalar => {
                write_scalar(scalar, out);
                is_first = false;
            }
        }
        // Closes everything that is complete and steps to the next value.
        current = loop {
            let Some(level) = levels.last_mut() else { return };
            if let Some((key, next)) = level.next() {
                if !is_first {
                    out.push(b',');
                }
                if let Some(key) = key {
                    write_string(key, out);
                    out.push(b':');
                }
                break next;
            }
            out.push(level.closing());
            levels.pop();
            is_first = false;
        };
    }
}

/// Appends a key and its colon; `false` if it had to be escaped.
#[inline]
pub(crate) fn write_plain_key(key: &str, out: &mut Vec<u8>) -> bool {
    out.reserve(key.len() + 3);
    out.push(b'"');
    let start = out.len();
    out.extend_from_slice(key.as_bytes());
    let is_plain = find_escape(out, start).is_none();
    out.extend_from_slice(b"\":");
    is_plain
}

/// Place of the first byte from `at` on that needs an escape.
#[inline(always)]
fn find_escape(text: &[u8], mut at: usize) -> Option<usize> {
    while at < text.len() {
        let clean = block::first(block::load(text, at).ends_plain_text());
        at += clean;
        if clean < LEN {
            return (at < text.len()).then_some(at);
        }
    }
    None
}

#[cold]
fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0xf)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
