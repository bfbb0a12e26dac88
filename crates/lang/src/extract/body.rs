//! What the bodies of several kinds have in common.

use tremor_value::Value;

/// The next character of a body that spells separators as they are, and the rest: `\\`, `\n`, `\t` and `\r` stand for a
/// backslash and the control characters, all else for itself.
///
/// # Errors
/// Says which escape is unknown, or that the last one is cut short.
pub(super) fn character(body: &str) -> Result<Option<(char, &str)>, String> {
    let mut rest = body.chars();
    let Some(first) = rest.next() else { return Ok(None) };
    if first != '\\' {
        return Ok(Some((first, rest.as_str())));
    }
    let escaped = match rest.next() {
        Some('\\') => '\\',
        Some('n') => '\n',
        Some('t') => '\t',
        Some('r') => '\r',
        Some(other) => {
            return Err(format!("`\\{other}` is no escape; there are `\\\\`, `\\n`, `\\t` and `\\r`"));
        }
        None => {
            return Err("the body ends in the middle of an escape; a backslash is written `\\\\`".to_owned());
        }
    };
    Ok(Some((escaped, rest.as_str())))
}

/// A text with its escapes resolved, as [`character`] knows them.
///
/// # Errors
/// As [`character`].
pub(super) fn unescaped(mut body: &str) -> Result<String, String> {
    let mut text = String::with_capacity(body.len());
    while let Some((character, rest)) = character(body)? {
        text.push(character);
        body = rest;
    }
    Ok(text)
}

/// The decimal integer that the whole text is, if it is one that the language can hold.
pub(super) fn integer(text: &str) -> Option<Value> {
    let small = text.parse::<i64>().map(Value::from);
    small.or_else(|_| text.parse::<u64>().map(Value::from)).ok()
}

/// The float that the whole text is. Infinities and what is no number are none.
pub(super) fn float(text: &str) -> Option<Value> {
    text.parse::<f64>().ok().filter(|float| float.is_finite()).map(Value::from)
}
