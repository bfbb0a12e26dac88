//! Percent escapes of request targets.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with the escapes of unreserved characters decoded and all others in capital letters, neither of which changes
/// anything of what it means (RFC 3986, 6.2.2.1 and 6.2.2.2).
pub(crate) fn unreserved(text: &str) -> Cow<'_, str> {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let changes = |three: &[u8]| {
        escaped(three).is_some_and(|byte| is_unreserved(byte) || three.iter().any(u8::is_ascii_lowercase))
    };
    if !text.as_bytes().windows(3).any(changes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let step = match escaped(from.as_bytes()) {
            Some(byte) if is_unreserved(byte) => {
                out.push(char::from(byte));
                3
            }
            Some(byte) => {
                let _always_written = write!(out, "%{byte:02X}");
                3
            }
            None => {
                out.push('%');
                1
            }
        };
        rest = from.get(step..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// `text` with all that is not ASCII escaped.
pub(crate) fn non_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() * 2);
    for letter in text.chars() {
        if letter.is_ascii() {
            out.push(letter);
            continue;
        }
        for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
            let _always_written = write!(out, "%{byte:02X}");
        }
    }
    Cow::Owned(out)
}

/// `text` with all escapes decoded, and `+` as a space if `is_form`. What is not UTF-8 then is replaced.
fn decoded(text: &str, is_form: bool) -> String {
    match String::from_utf8(bytes(text, is_form)) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// `text` with all escapes decoded; `None` if that is no text: no UTF-8, or with control characters in it.
pub(crate) fn text(text: &str) -> Option<String> {
    String::from_utf8(bytes(text, false)).ok().filter(|text| !text.chars().any(char::is_control))
}

fn bytes(text: &str, is_form: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let step = match escaped(rest) {
            Some(byte) => {
                bytes.push(byte);
                behind.get(2..)
            }
            None => {
                bytes.push(if is_form && *first == b'+' { b' ' } else { *first });
                Some(behind)
            }
        };
        rest = step.unwrap_or_default();
    }
    bytes
}

/// The byte that the escape at the front of `text` stands for.
fn escaped(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// The names and values of a query, decoded, in order. A name without `=` has an empty value.
pub fn query_pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name, true), decoded(value, true))
    };
    pairs.map(pair).collect()
}

/// Whether a path has a segment `..`, also if its dots are escaped.
pub(crate) fn climbs(path: &str) -> bool {
    unreserved(path).split('/').any(|segment| segment == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_escapes_that_mean_nothing_are_decoded() {
        assert_eq!(unreserved("/%61%2F%7e%2e%C3%AD%"), "/a%2F~.%C3%AD%");
        assert!(matches!(unreserved("/a%2Fb"), Cow::Borrowed(_)));
        assert_eq!(unreserved("%25%41"), "%25A");
        assert_eq!(unreserved("/d%c3%ad%2fa%zz%"), "/d%C3%AD%2Fa%zz%");
        assert_eq!(non_ascii("/d\u{ed}a"), "/d%C3%ADa");
    }

    #[test]
    fn values_are_decoded() {
        assert_eq!(decoded("a%20b+c%2", false), "a b+c%2");
        assert_eq!(decoded("a+b%2B%C3%AD%ff", true), "a b+\u{ed}\u{fffd}");
        let pairs = query_pairs("a=1&b&&c=x=y&%61=+2&=");
        let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
        assert_eq!(pairs, ["a:1", "b:", "c:x=y", "a: 2", ":"]);
    }

    #[test]
    fn what_is_no_text_is_not_taken_for_one() {
        for (escaped, expected) in [
            ("n%C3%ADm", Some("n\u{ed}m")),
            ("a+b%20%2F", Some("a+b /")),
            ("%EF%BF%BD", Some("\u{fffd}")),
            ("%ff", None),
            ("a%C3", None),
            ("%00", None),
            ("a%0d%0aX", None),
            ("%7F", None),
            ("%C2%85", None),
        ] {
            assert_eq!(text(escaped).as_deref(), expected, "{escaped}");
        }
    }

    #[test]
    fn a_path_that_climbs_is_seen() {
        for (path, climbs_it) in
            [("/a/../b", true), ("/%2e%2E", true), ("/.%2e/", true), ("/a..b/...", false), ("/./a", false)]
        {
            assert_eq!(climbs(path), climbs_it, "{path}");
        }
    }
}
