//! Messages that are one text, number or truth value.

use super::{Invalid, Violation, bytes_or_text};
use regex::Regex;
use std::borrow::Cow;
use tremor_value::{Value, json};

/// Bytes that the compiled form of a pattern may have.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// What such a message is like.
#[derive(Debug)]
pub enum Simple {
    /// A text.
    Text(Text),
    /// A number, as JSON writes it.
    Number(Number),
    /// `true` or `false`.
    Boolean,
}

/// What is wrong with a pattern and where, in one line.
fn fault(pattern: &str, error: &regex_syntax::Error) -> String {
    let (what, span) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span()),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.span()),
        error => return error.to_string(),
    };
    let before = pattern.get(..span.start.offset).unwrap_or_default();
    format!("`{pattern}` is no pattern: {what} at character {}", before.chars().count() + 1)
}

/// A text.
#[derive(Debug)]
pub struct Text {
    /// It is UTF-16, with a byte order mark or big-endian, and not UTF-8.
    is_utf16: bool,
    min: Option<usize>,
    max: Option<usize>,
    pattern: Option<Regex>,
}

impl Text {
    /// UTF-16, with a byte order mark or big-endian, or UTF-8; so many characters at least and at most.
    #[must_use]
    pub fn new(is_utf16: bool, min: Option<usize>, max: Option<usize>) -> Self {
        Self { is_utf16, min, max, pattern: None }
    }

    /// The same with a pattern, which is found anywhere in it.
    ///
    /// # Errors
    /// It is no pattern, or too large.
    pub fn matching(self, pattern: &str) -> Result<Self, String> {
        let built = regex::RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build();
        let built = built.map_err(|error| match regex_syntax::parse(pattern) {
            Err(fault) => self::fault(pattern, &fault),
            Ok(_) => error.to_string(),
        })?;
        Ok(Self { pattern: Some(built), ..self })
    }

    fn check(&self, payload: &[u8]) -> Result<(), Invalid> {
        let text = self.decode(payload).ok_or_else(|| {
            let name = if self.is_utf16 { "UTF-16" } else { "UTF-8" };
            Invalid::unreadable(payload, Violation::new("", "encoding", format!("it is not {name}")))
        })?;
        let violation = |rule: &str, message: String| Invalid {
            violations: vec![Violation::new("", rule, message)],
            value: Value::from(&*text),
        };
        if self.min.is_some() || self.max.is_some() {
            let count = text.chars().count();
            if let Some(min) = self.min.filter(|min| count < *min) {
                return Err(violation("minLength", format!("{count} characters are fewer than {min}")));
            }
            if let Some(max) = self.max.filter(|max| count > *max) {
                return Err(violation("maxLength", format!("{count} characters are more than {max}")));
            }
        }
        match self.pattern.as_ref().filter(|pattern| !pattern.is_match(&text)) {
            Some(pattern) => Err(violation("pattern", format!("it does not match `{}`", pattern.as_str()))),
            None => Ok(()),
        }
    }

    fn decode<'p>(&self, payload: &'p [u8]) -> Option<Cow<'p, str>> {
        if !self.is_utf16 {
            return simdutf8::basic::from_utf8(payload).ok().map(Cow::Borrowed);
        }
        let (units, rest) = payload.as_chunks::<2>();
        if !rest.is_empty() {
            return None;
        }
        let (little, units) = match units {
            [[0xff, 0xfe], units @ ..] => (true, units),
            [[0xfe, 0xff], units @ ..] => (false, units),
            units => (false, units),
        };
        let unit =
            |bytes: &[u8; 2]| if little { u16::from_le_bytes(*bytes) } else { u16::from_be_bytes(*bytes) };
        char::decode_utf16(units.iter().map(unit)).collect::<Result<String, _>>().ok().map(Cow::Owned)
    }
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer of 32 bits.
    Int32(Bounds<i64>),
    /// An integer of 64 bits.
    Int64(Bounds<i64>),
    /// A number that is finite in 32 bits.
    Float(Bounds<f64>),
    /// A number.
    Double(Bounds<f64>),
}

/// From where to where a number may go; each end with whether it belongs to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds<N> {
    /// The lower end.
    pub least: Option<(N, bool)>,
    /// The upper end.
    pub most: Option<(N, bool)>,
}

impl<N> Default for Bounds<N> {
    fn default() -> Self {
        Self { least: None, most: None }
    }
}

impl<N: PartialOrd + Copy + std::str::FromStr + std::fmt::Display> Bounds<N> {
    /// Reads an interval: `[0,100)` is from 0 to below 100, and an end that is left out is none.
    ///
    /// # Errors
    /// In words: it is none, or nothing lies in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no interval such as `[0,100)` or `(0,]`");
        let (first, rest) = text.split_at_checked(1).ok_or_else(wrong)?;
        let (inner, last) =
            rest.len().checked_sub(1).and_then(|at| rest.split_at_checked(at)).ok_or_else(wrong)?;
        let has_least = match first {
            "[" => true,
            "(" => false,
            _ => return Err(wrong()),
        };
        let has_most = match last {
            "]" => true,
            ")" => false,
            _ => return Err(wrong()),
        };
        let (least, most) = inner.split_once(',').ok_or_else(wrong)?;
        let end = |text: &str, belongs: bool| match text.trim() {
            "" => Ok(None),
            text => text.parse().map(|number: N| Some((number, belongs))).map_err(|_| wrong()),
        };
        let bounds = Self { least: end(least, has_least)?, most: end(most, has_most)? };
        if let (Some((least, l)), Some((most, m))) = (bounds.least, bounds.most)
            && !(least < most || least == most && l && m)
        {
            return Err(format!("nothing lies in `{text}`"));
        }
        Ok(bounds)
    }

    fn check(&self, number: N) -> Option<Violation> {
        if let Some((least, belongs)) = self.least
            && !(number > least || belongs && number == least)
        {
            let than = if belongs { "less than" } else { "not more than" };
            return Some(Violation::new("", "range", format!("{number} is {than} {least}")));
        }
        if let Some((most, belongs)) = self.most
            && !(number < most || belongs && number == most)
        {
            let than = if belongs { "more than" } else { "not less than" };
            return Some(Violation::new("", "range", format!("{number} is {than} {most}")));
        }
        None
    }
}

impl Number {
    fn check(self, value: &Value) -> Option<Violation> {
        let wrong = |name| Some(Violation::new("", "type", format!("it is no {name}")));
        match self {
            Self::Int32(bounds) => match value.as_i64().filter(|number| i32::try_from(*number).is_ok()) {
                Some(number) => bounds.check(number),
                None => wrong("integer of 32 bits"),
            },
            Self::Int64(bounds) => match value.as_i64() {
                Some(number) => bounds.check(number),
                None => wrong("integer of 64 bits"),
            },
            Self::Float(bounds) => match float(value).filter(|number| number.abs() <= f64::from(f32::MAX)) {
                Some(number) => bounds.check(number),
                None => wrong("number of 32 bits"),
            },
            Self::Double(bounds) => match float(value) {
                Some(number) => bounds.check(number),
                None => wrong("number"),
            },
        }
    }
}

/// The number, however it is written.
fn float(value: &Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a float is what is asked for")]
    match value {
        Value::I64(number) => Some(*number as f64),
        Value::U64(number) => Some(*number as f64),
        Value::F64(number) => Some(*number),
        _ => None,
    }
}

impl Simple {
    pub(super) fn check(&self, payload: &[u8]) -> Result<(), Invalid> {
        if let Self::Text(text) = self {
            return text.check(payload);
        }
        let value = json::Parser::new().parse(payload).unwrap_or_else(|_| bytes_or_text(payload));
        let violation = match self {
            Self::Number(number) => number.check(&value),
            Self::Boolean if value.as_bool().is_none() => {
                Some(Violation::new("", "type", "it is neither `true` nor `false`"))
            }
            Self::Boolean | Self::Text(_) => None,
        };
        match violation {
            Some(violation) => Err(Invalid { violations: vec![violation], value }),
            None => Ok(()),
        }
    }
}
