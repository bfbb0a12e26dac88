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

/// Reads the number at `start` of a text in which it was accepted; gives its value and its end.
///
/// Nearly all numbers are made of the digits in one block. A decimal is exact if its digits and the power of ten that
/// they are divided by are exact as doubles, since the division then rounds once.
#[inline(always)]
pub(super) fn read(bytes: &[u8], start: usize, put: impl FnOnce(Value)) -> Option<usize> {
    let is_negative = bytes.get(start) == Some(&b'-');
    let first = start + usize::from(is_negative);
    let block = block::load(bytes, first);
    let digits = block.is_digit();
    let whole = digits.trailing_ones() as usize;
    match bytes.get(first + whole) {
        Some(b'.') => {
            let fraction = (digits >> (whole + 1)).trailing_ones() as usize;
            let end = first + whole + 1 + fraction;
            // With no fraction, or a digit at the end, the number goes on behind the block.
            if fraction > 0 && !matches!(bytes.get(end), Some(b'0'..=b'9' | b'e' | b'E')) {
                let before_point = (1 << (8 * whole)) - 1;
                let bytes = (block.bits() & before_point) | ((block.bits() >> 8) & !before_point);
                let float = float(decimal(bytes, whole + fraction)?) / POWERS_OF_TEN.get(fraction)?;
                put(Value::F64(if is_negative { -float } else { float }));
                return Some(end);
            }
        }
        Some(b'0'..=b'9' | b'e' | b'E') => {}
        _ => {
            let number = decimal(block.bits(), whole)?.cast_signed();
            put(Value::I64(if is_negative { -number } else { number }));
            return Some(first + whole);
        }
    }
    let (value, end) = read_long(bytes, start)?;
    put(value);
    Some(end)
}

/// The same for any number.
#[inline(never)]
fn read_long(bytes: &[u8], start: usize) -> Option<(Value, usize)> {
    let is_negative = bytes.get(start) == Some(&b'-');
    let first = start + usize::from(is_negative);
    let (head, tail) = (block::load(bytes, first), block::load(bytes, first + LEN));
    let more = tail.is_digit().trailing_ones() as usize;
    let end = first + LEN + more;
    let is_integer =
        head.is_digit().count_ones() as usize == LEN && !matches!(bytes.get(end), Some(b'.' | b'e' | b'E'));
    if is_integer && (1..=SURE_INTEGER_DIGITS - LEN).contains(&more) {
        let scale = 10_u64.pow(u32::try_from(more).ok()?);
        let number = decimal(head.bits(), LEN)? * scale + decimal(tail.bits(), more)?;
        if !is_negative {
            return Some((Value::from(number), end));
        }
        if let Ok(number) = i64::try_from(number) {
            return Some((Value::I64(-number), end));
        }
    }
    let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let end = start + bytes.get(start..)?.iter().take_while(is_part).count();
    Some((value(std::str::from_utf8(bytes.get(start..end)?).ok()?)?, end))
}

/// The powers of ten that the digits of a block may be divided by.
static POWERS_OF_TEN: [f64; LEN] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The number that the first `count` bytes are the digits of; 1 to 16.
#[inline(always)]
fn decimal(bytes: u128, count: usize) -> Option<u64> {
    // With zeros in front: the first digit is in the lowest byte.
    let bytes = bytes.checked_shl(u32::try_from(8 * (LEN - count)).ok()?)?;
    #[expect(clippy::cast_possible_truncation, reason = "the halves of it")]
    let (low, high) = (bytes as u64, (bytes >> 64) as u64);
    Some(eight_digits(low) * 100_000_000 + eight_digits(high))
}

/// The number that eight bytes are the digits of, of which zero counts as a digit too: pairs of neighbours are joined
/// three times.
#[inline(always)]
fn eight_digits(bytes: u64) -> u64 {
    let ones = bytes & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (ones.wrapping_mul((10 << 8) + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul((100 << 16) + 1) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul((10_000 << 32) + 1) >> 32
}

/// A number of fewer than 16 digits as a double, which holds it exactly.
#[expect(clippy::cast_precision_loss, reason = "10^15 is below 2^53")]
#[inline(always)]
fn float(number: u64) -> f64 {
    number as f64
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a number as the library does, whatever stands behind it.
    #[track_caller]
    fn agrees(written: &str) {
        let expected = value(written).unwrap();
        for behind in ["", ",", "]", " ", ",12345678901234567890", "}.5e7"] {
            for before in ["", "[", "[\"a\","] {
                let text = format!("{before}{written}{behind}");
                let mut found = Value::Null;
                let end = read(text.as_bytes(), before.len(), |value| found = value);
                assert_eq!(end, Some(before.len() + written.len()), "{text}");
                match (&found, &expected) {
                    (Value::F64(found), Value::F64(expected)) => {
                        assert_eq!(found.to_bits(), expected.to_bits(), "{text}");
                    }
                    _ => assert_eq!(found, expected, "{text}"),
                }
                assert_eq!(found.type_name(), expected.type_name(), "{text}");
            }
        }
    }

    #[test]
    fn numbers_of_any_length_are_read_exactly() {
        let digits = "9876543210987654321098765";
        for whole in 1..=digits.len() {
            for sign in ["", "-"] {
                let whole = &digits[..whole];
                if value(&format!("{sign}{whole}")).is_some() {
                    agrees(&format!("{sign}{whole}"));
                }
                for fraction in 1..=digits.len() {
                    agrees(&format!("{sign}{whole}.{}", &digits[..fraction]));
                    agrees(&format!("{sign}{whole}.{}e-3", &digits[..fraction]));
                    agrees(&format!("{sign}0.{}{}", "0".repeat(fraction), whole));
                }
                agrees(&format!("{sign}{whole}E+5"));
            }
        }
        for written in
            ["0", "-0", "-0.0", "0.0", "9223372036854775807", "-9223372036854775808", "18446744073709551615"]
        {
            agrees(written);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn decimals_are_read_exactly(written in "-?(0|[1-9][0-9]{0,14})\\.[0-9]{1,15}") {
            agrees(&written);
        }

        #[test]
        fn floats_are_read_exactly(float in any::<f64>()) {
            if float.is_finite() {
                agrees(ryu::Buffer::new().format_finite(float));
            }
        }
    }
}
