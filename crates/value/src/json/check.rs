//! A plain, exact check of JSON documents: slower than the parser, but it knows where and why.

use super::{JsonError, MAX_DEPTH, MAX_DOCUMENT_BYTES, Problem};

/// Says where and why `document` is not acceptable.
///
/// # Errors
/// The first fault in the order of the bytes.
pub(super) fn check(document: &[u8]) -> Result<(), JsonError> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return Err(JsonError { offset: MAX_DOCUMENT_BYTES, problem: Problem::TooLong });
    }
    let text = match simdutf8::compat::from_utf8(document) {
        Ok(text) => text,
        Err(broken) => {
            let offset = broken.valid_up_to();
            let before = document.get(..offset).unwrap_or_default();
            let before = simdutf8::compat::from_utf8(before).unwrap_or_default();
            // A fault in front of the broken character goes first; an early end is only its consequence.
            return match Check::new(before).document() {
                Err(error) if error.offset < offset => Err(error),
                _ => Err(JsonError { offset, problem: Problem::NotUtf8 }),
            };
        }
    };
    Check::new(text).document()
}

#[derive(Clone, Copy, PartialEq)]
enum Open {
    Array,
    Record,
}

struct Check<'a> {
    text: &'a str,
    at: usize,
    open: Vec<Open>,
}

impl<'a> Check<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, open: Vec::new() }
    }

    fn document(&mut self) -> Result<(), JsonError> {
        self.white_space();
        if self.at == self.text.len() {
            return Err(JsonError { offset: self.at, problem: Problem::Empty });
        }
        loop {
            if self.value_begins()? {
                continue;
            }
            if self.value_ended()? {
                return Ok(());
            }
        }
    }

    /// Reads a scalar or an opening bracket; `true` if the next value follows at once.
    fn value_begins(&mut self) -> Result<bool, JsonError> {
        const VALUE: &str = "a value";
        self.white_space();
        match self.peek() {
            Some(b'{') => {
                self.enter(Open::Record)?;
                self.white_space();
                if self.peek() == Some(b'}') {
                    return Ok(false);
                }
                self.key("a key in double quotes or `}`")?;
                return Ok(true);
            }
            Some(b'[') => {
                self.enter(Open::Array)?;
                self.white_space();
                return Ok(self.peek() != Some(b']'));
            }
            Some(b'"') => self.string()?,
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return Err(self.unexpected(VALUE)),
        }
        Ok(false)
    }

    /// Reads what may follow a value; `true` if that was the end of the document.
    fn value_ended(&mut self) -> Result<bool, JsonError> {
        loop {
            self.white_space();
            let byte = self.peek();
            match (self.open.last(), byte) {
                (None, None) => return Ok(true),
                (None, Some(_)) => {
                    let found = self.found().unwrap_or_default();
                    return Err(self.error(Problem::Trailing { found }));
                }
                (Some(Open::Array), Some(b']')) | (Some(Open::Record), Some(b'}')) => {
                    self.at += 1;
                    self.open.pop();
                }
                (Some(Open::Array), Some(b',')) => {
                    self.at += 1;
                    return Ok(false);
                }
                (Some(Open::Record), Some(b',')) => {
                    self.at += 1;
                    self.white_space();
                    self.key("a key in double quotes")?;
                    return Ok(false);
                }
                (Some(Open::Array), _) => return Err(self.unexpected("`,` or `]`")),
                (Some(Open::Record), _) => return Err(self.unexpected("`,` or `}`")),
            }
        }
    }

    fn enter(&mut self, open: Open) -> Result<(), JsonError> {
        if self.open.len() == MAX_DEPTH {
            return Err(self.error(Problem::TooDeep));
        }
        self.open.push(open);
        self.at += 1;
        Ok(())
    }

    fn key(&mut self, expected: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected(expected));
        }
        self.string()?;
        self.white_space();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("`:`"));
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(byte @ ..0x20) => return Err(self.error(Problem::ControlCharacter(char::from(byte)))),
                Some(_) => self.at += 1,
                None => return Err(self.unexpected("the end of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let lone = JsonError { offset: start, problem: Problem::LoneSurrogate };
                match self.hex_digits()? {
                    0xd800..0xdc00 => {
                        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with("\\u")) {
                            return Err(lone);
                        }
                        self.at += 1;
                        if !(0xdc00..0xe000).contains(&self.hex_digits()?) {
                            return Err(lone);
                        }
                    }
                    0xdc00..0xe000 => return Err(lone),
                    _ => {}
                }
            }
            Some(_) => return Err(JsonError { offset: start, problem: Problem::BadEscape }),
            None => return Err(self.unexpected("the rest of an escape sequence")),
        }
        Ok(())
    }

    /// Reads `u` and four digits.
    fn hex_digits(&mut self) -> Result<u32, JsonError> {
        self.at += 1;
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.unexpected("four hexadecimal digits"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                return Err(self.unexpected(match word {
                    "true" => "`true`",
                    "false" => "`false`",
                    _ => "`null`",
                }));
            }
            self.at += 1;
        }
        self.boundary("the end of a word")
    }

    fn number(&mut self) -> Result<(), JsonError> {
        const DIGIT: &str = "a digit";
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits(DIGIT)?,
        }
        let mut is_float = false;
        if self.peek() == Some(b'.') {
            is_float = true;
            self.at += 1;
            self.digits("a digit after the decimal point")?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            is_float = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits("a digit of the exponent")?;
        }
        self.boundary("the end of a number")?;
        let number = self.text.get(start..self.at).unwrap_or_default();
        let fits = if is_float {
            number.parse::<f64>().is_ok_and(f64::is_finite)
        } else {
            number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok()
        };
        match (fits, is_float) {
            (true, _) => Ok(()),
            (false, true) => Err(JsonError { offset: start, problem: Problem::FloatRange }),
            (false, false) => Err(JsonError { offset: start, problem: Problem::IntegerRange }),
        }
    }

    fn digits(&mut self, expected: &'static str) -> Result<(), JsonError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.unexpected(expected));
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        Ok(())
    }

    /// A word or number must be followed by white space, punctuation or the end.
    fn boundary(&mut self, expected: &'static str) -> Result<(), JsonError> {
        match self.peek() {
            None | Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b'[' | b']' | b'{' | b'}') => Ok(()),
            Some(_) => Err(self.unexpected(expected)),
        }
    }

    fn white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn found(&self) -> Option<char> {
        self.text.get(self.at..).and_then(|rest| rest.chars().next())
    }

    fn unexpected(&self, expected: &'static str) -> JsonError {
        self.error(match self.found() {
            Some(found) => Problem::Unexpected { expected, found },
            None => Problem::UnexpectedEnd { expected },
        })
    }

    fn error(&self, problem: Problem) -> JsonError {
        JsonError { offset: self.at, problem }
    }
}
