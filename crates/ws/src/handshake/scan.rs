//! Finds the end of a request or response head that arrives in pieces.

use super::headers::is_token_byte;

/// Longest method in bytes; the longest registered one has 17.
const MAX_METHOD_BYTES: usize = 32;
/// `HTTP/1.1` and some room for versions that get their own answer.
const MAX_VERSION_BYTES: usize = 16;
/// Longest status line of a response in bytes.
const MAX_STATUS_LINE_BYTES: usize = 1024;

/// Limits on a head.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadLimits {
    /// What the first line is.
    pub(super) first_line: FirstLine,
    /// Bytes behind the first line, the empty line included.
    pub(super) max_header_bytes: usize,
    /// Header lines.
    pub(super) max_headers: usize,
}

/// The kinds of first lines.
#[derive(Debug, Clone, Copy)]
pub(super) enum FirstLine {
    /// `GET /path HTTP/1.1`, with a limit on the bytes of the target.
    Request { max_target_bytes: usize },
    /// `HTTP/1.1 101 Switching Protocols`.
    Status,
}

/// Why a head was refused before it was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadError {
    /// A byte or line that cannot be part of a head.
    Malformed,
    /// The request target is over its limit.
    TargetTooLong,
    /// The header lines are over their limit.
    HeadersTooLong,
    /// More header lines than allowed.
    TooManyHeaders,
}

/// Where a complete head ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeadEnd {
    /// Bytes of the first line with its line end.
    pub(super) first_line: usize,
    /// Bytes of the whole head with the empty line.
    pub(super) head: usize,
    /// Header lines.
    pub(super) headers: usize,
}

/// Looks at every byte of a head once, however it is cut, and refuses at the first hopeless one.
///
/// It demands CRLF line ends, a method that is a token, no control bytes, no folded lines; the grammar inside a
/// header line is left to the parser that runs over the complete head.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    at: usize,
    line_start: usize,
    first_line: usize,
    headers: usize,
    after_cr: bool,
    spaces: usize,
    /// Bytes since the last space of a request line.
    word: usize,
}

impl Scanner {
    /// Goes on where the last call stopped; `input` begins with the same bytes as then.
    pub(super) fn scan(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Option<HeadEnd>, HeadError> {
        for byte in input.get(self.at..).unwrap_or_default() {
            self.at += 1;
            if self.byte(*byte, limits)? {
                let end = HeadEnd { first_line: self.first_line, head: self.at, headers: self.headers };
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// Whether any byte was seen.
    pub(super) fn has_begun(&self) -> bool {
        self.at > 0
    }

    /// Takes the byte before `self.at`; `true` if it ends the head.
    fn byte(&mut self, byte: u8, limits: &HeadLimits) -> Result<bool, HeadError> {
        let in_first_line = self.first_line == 0;
        if !in_first_line && self.at - self.first_line > limits.max_header_bytes {
            return Err(HeadError::HeadersTooLong);
        }
        if self.after_cr != (byte == b'\n') {
            return Err(HeadError::Malformed);
        }
        self.after_cr = byte == b'\r';
        match byte {
            b'\r' => return Ok(false),
            b'\n' => return self.line_end(),
            b'\t' | b' '..=0x7e | 0x80.. => {}
            _ => return Err(HeadError::Malformed),
        }
        if in_first_line {
            self.first_line_byte(byte, limits.first_line)?;
        } else if self.at == self.line_start + 1 {
            if matches!(byte, b' ' | b'\t') {
                return Err(HeadError::Malformed);
            }
            self.headers += 1;
            if self.headers > limits.max_headers {
                return Err(HeadError::TooManyHeaders);
            }
        }
        Ok(false)
    }

    fn first_line_byte(&mut self, byte: u8, kind: FirstLine) -> Result<(), HeadError> {
        match kind {
            FirstLine::Request { max_target_bytes } => self.request_line_byte(byte, max_target_bytes),
            FirstLine::Status if self.at > MAX_STATUS_LINE_BYTES => Err(HeadError::Malformed),
            FirstLine::Status => Ok(()),
        }
    }

    fn request_line_byte(&mut self, byte: u8, max_target_bytes: usize) -> Result<(), HeadError> {
        if byte == b' ' {
            let empty = self.word == 0;
            self.spaces += 1;
            self.word = 0;
            return if empty || self.spaces > 2 { Err(HeadError::Malformed) } else { Ok(()) };
        }
        self.word += 1;
        match self.spaces {
            0 if self.word > MAX_METHOD_BYTES || !is_token_byte(byte) => Err(HeadError::Malformed),
            1 if !byte.is_ascii_graphic() => Err(HeadError::Malformed),
            1 if self.word > max_target_bytes => Err(HeadError::TargetTooLong),
            2 if self.word > MAX_VERSION_BYTES || !byte.is_ascii_graphic() => Err(HeadError::Malformed),
            _ => Ok(()),
        }
    }

    fn line_end(&mut self) -> Result<bool, HeadError> {
        let empty = self.at == self.line_start + 2;
        self.line_start = self.at;
        if self.first_line == 0 {
            self.first_line = self.at;
            return if empty { Err(HeadError::Malformed) } else { Ok(false) };
        }
        Ok(empty)
    }
}
