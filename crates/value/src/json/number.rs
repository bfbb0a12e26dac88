//! Numbers of a document: their grammar, their range, and whether they are written as this crate writes them.

use super::block::{self, LEN};
use crate::Value;

/// Positive integers with up to this many digits fit 64 bits.
const SURE_INTEGER_DIGITS: usize = 19;

/// Decimals with up to this many digits are what a double made of them is written as.
const SURE_FLOAT_DIGITS: usize = 15;

/// Reads the number at `at`; gives its end and whether this crate would write it so. `None` if it is not one, or
/// too large.
///
/// Nearly all numbers are settled by counting digits; the others are converted and written again.
#[inline(always)]
pub(super) fn number(text: &[u8], start: usize) -> Option<(usize, bool)> {
    let is_negative = text.get(start) == Some(&b'-');
    let first = start + usize::from(is_negative);
    let digits = block::load(text, first).is_digit();
    let whole = digits.trailing_ones() as usize;
    if whole == LEN {
        return long(text, start);
    }
    let point = first + whole;
    let has_zero = text.get(first) == Some(&b'0');
    if whole == 0 || (has_zero && whole > 1) {
        return None;
    }
    match text.get(point) {
        Some(b'.') => {
            let fraction = (digits >> (whole + 1)).trailing_ones() as usize;
            let end = point + 1 + fraction;
            // In any other case the digits may go on behind the block.
            if whole + fraction > SURE_FLOAT_DIGITS - 1 || fraction == 0 {
                return exact(text, start);
            }
            let is_tiny = has_zero && fraction > 4 && text.get(point + 1..point + 5) == Some(b"0000");
            if is_tiny || matches!(text.get(end), Some(b'e' | b'E')) {
                return exact(text, start);
            }
            Some((end, text.get(end - 1) != Some(&b'0') || fraction == 1))
        }
        Some(b'e' | b'E') => exact(text, start),
        _ => Some((point, !(is_negative && has_zero))),
    }
}

/// The same for a number that begins with many digits.
#[inline(never)]
fn long(text: &[u8], start: usize) -> Option<(usize, bool)> {
    let whole = LEN + block::load(text, start + LEN).is_digit().trailing_ones() as usize;
    let end = start + whole;
    let is_sure = text.get(start).is_some_and(|first| matches!(first, b'1'..=b'9'))
        && whole <= SURE_INTEGER_DIGITS
        && !matches!(text.get(end), Some(b'.' | b'e' | b'E'));
    if is_sure { Some((end, true)) } else { exact(text, start) }
}

/// The same for any number.
#[inline(never)]
fn exact(text: &[u8], start: usize) -> Option<(usize, bool)> {
    let digits_from = |at: usize| {
        let digits = text.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit());
        at + digits.count()
    };
    let first = start + usize::from(text.get(start) == Some(&b'-'));
    let mut end = digits_from(first);
    if end == first || (text.get(first) == Some(&b'0') && end > first + 1) {
        return None;
    }
    if text.get(end) == Some(&b'.') {
        let fraction = end + 1;
        end = digits_from(fraction);
        if end == fraction {
            return None;
        }
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let sign = end + 1;
        let exponent = sign + usize::from(matches!(text.get(sign), Some(b'+' | b'-')));
        end = digits_from(exponent);
        if end == exponent {
            return None;
        }
    }
    let number = text.get(start..end)?;
    let is_canonical = match value(std::str::from_utf8(number).ok()?)? {
        Value::F64(float) => ryu::Buffer::new().format_finite(float).as_bytes() == number,
        // But for its sign, zero is excluded: without zeros in front there is one way to write an integer.
        _ => number != b"-0",
    };
    Some((end, is_canonical))
}

/// The value of a number that has the right form; `None` if it is too large.
pub(super) fn value(number: &str) -> Option<Value> {
    if number.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return number.parse().ok().filter(|float: &f64| float.is_finite()).map(Value::F64);
    }
    match number.parse() {
        Ok(integer) => Some(Value::I64(integer)),
        Err(_) => number.parse().ok().map(Value::U64),
    }
}
