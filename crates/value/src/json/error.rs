//! Why a document is not JSON.

/// Where a document stops being JSON, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid JSON at byte {offset}: {problem}")]
pub struct JsonError {
    /// Bytes before the problem.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong at a place in a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing but white space.
    #[error("the document is empty")]
    Empty,
    /// More bytes than [`MAX_DOCUMENT_BYTES`](super::MAX_DOCUMENT_BYTES).
    #[error("the document is longer than {} bytes", super::MAX_DOCUMENT_BYTES)]
    TooLong,
    /// Nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("nested deeper than {} levels", super::MAX_DEPTH)]
    TooDeep,
    /// The bytes are not UTF-8.
    #[error("the bytes are not UTF-8")]
    NotUtf8,
    /// The document ends too early.
    #[error("the document ends where {expected} should follow")]
    UnexpectedEnd {
        /// What should have followed.
        expected: &'static str,
    },
    /// Something else should stand here.
    #[error("expected {expected}, found {}", Shown(*found))]
    Unexpected {
        /// What should stand here.
        expected: &'static str,
        /// What does.
        found: char,
    },
    /// Something follows the document.
    #[error("{} follows the end of the document", Shown(*found))]
    Trailing {
        /// The first character of it.
        found: char,
    },
    /// A line break, tab or other control character inside a string.
    #[error("the control character U+{:04X} must be escaped in a string", u32::from(*.0))]
    ControlCharacter(char),
    /// A backslash with something unknown behind it.
    #[error("unknown escape sequence in a string")]
    BadEscape,
    /// Half of a surrogate pair.
    #[error("a `\\u` escape gives one half of a surrogate pair only")]
    LoneSurrogate,
    /// Below -2^63 or above 2^64-1.
    #[error("the integer does not fit 64 bits")]
    IntegerRange,
    /// Too large for a double.
    #[error("the number is too large for a float")]
    FloatRange,
    /// What was checked could not be read: a fault of this crate.
    #[error("the document could not be parsed")]
    Refused,
}

/// A character as messages show it.
struct Shown(char);

impl std::fmt::Display for Shown {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_control() || self.0 == '\u{feff}' {
            write!(formatter, "U+{:04X}", u32::from(self.0))
        } else {
            write!(formatter, "`{}`", self.0)
        }
    }
}
