//! What can be wrong with a configuration, and how it is said.

use std::fmt;

use tremor_value::{Str, Value};

/// Longest piece of a configured text that a message quotes, in characters.
const MAX_QUOTED_CHARS: usize = 60;

/// One step of a path into a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A member of a record.
    Field(Str),
    /// An item of an array, counted from zero.
    Index(usize),
}

/// A configuration that cannot be used.
///
/// Shown as `config.backlog: expected integer but got string "x"`. Values of secret keys never occur in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", PathText(path))]
pub struct ConfigError {
    /// The keys that lead to the place, the name of the whole configuration first. For an unknown or a
    /// missing key the last step is that key.
    pub path: Vec<Key>,
    /// What is wrong there.
    pub problem: Problem,
    /// One of the words that may stand there, if only certain words may.
    pub word: Option<Str>,
}

impl ConfigError {
    /// The path as it is shown: `config.listen[0].url`.
    #[must_use]
    pub fn path_text(&self) -> String {
        PathText(&self.path).to_string()
    }

    /// The message, and the part of its advice that is too long for one line with it.
    #[must_use]
    pub fn message_and_hint(&self) -> (String, Option<String>) {
        let path = PathText(&self.path);
        let Problem::UnknownKey { nearest, known } = &self.problem else { return (self.to_string(), None) };
        match nearest {
            // Who has written a key that is almost right needs no list of all the others.
            Some(nearest) => (format!("{path}: unknown key; did you mean `{nearest}`?"), None),
            None if known.is_empty() => (self.to_string(), None),
            None => {
                let known = ticked(known.iter().map(Str::as_str));
                (format!("{path}: unknown key"), Some(format!("Known keys: {known}")))
            }
        }
    }
}

/// What is wrong at one place of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Nobody knows this key.
    UnknownKey {
        /// The known key that looks most like it, if one does.
        nearest: Option<Str>,
        /// All known keys, sorted.
        known: Vec<Str>,
    },
    /// The key has to be there.
    Missing {
        /// What belongs there, e.g. `string`.
        expected: String,
    },
    /// The value has another type than it should.
    WrongType {
        /// What belongs there, e.g. `string`.
        expected: String,
        /// What is there: a type, and the value if it is short and no secret.
        got: String,
    },
    /// Anything else that is wrong whatever stands elsewhere, in words.
    Invalid(String),
    /// What does not go with something that stands, or is missing, elsewhere, in words.
    Conflict(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { nearest, known } => {
                f.write_str("unknown key")?;
                if let Some(nearest) = nearest {
                    write!(f, "; did you mean `{nearest}`?")?;
                }
                if known.is_empty() {
                    return f.write_str("; no keys are known here");
                }
                f.write_str(if nearest.is_some() { " Known keys: " } else { "; known keys: " })?;
                f.write_str(&ticked(known.iter().map(Str::as_str)))
            }
            Self::Missing { expected } => write!(f, "missing ({expected})"),
            Self::WrongType { expected, got } => write!(f, "expected {expected} but got {got}"),
            Self::Invalid(problem) | Self::Conflict(problem) => f.write_str(problem),
        }
    }
}

pub(super) struct PathText<'a>(pub(super) &'a [Key]);

impl fmt::Display for PathText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, key) in self.0.iter().enumerate() {
            let dot = if position == 0 { "" } else { "." };
            match key {
                Key::Index(index) => write!(f, "[{index}]")?,
                Key::Field(name) if is_plain(name) => write!(f, "{dot}{name}")?,
                Key::Field(name) => write!(f, "{dot}{}", quoted(name))?,
            }
        }
        Ok(())
    }
}

/// `true` for names that need no quotes in a path.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= MAX_QUOTED_CHARS
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$'))
}

/// The type of `value`, followed by the value itself if that is short to write.
pub(super) fn shown(value: &Value) -> String {
    let kind = value.type_name();
    match value {
        Value::Null | Value::Bytes(_) | Value::Array(_) | Value::Record(_) => kind.to_owned(),
        Value::Bool(value) => format!("{kind} {value}"),
        Value::I64(value) => format!("{kind} {value}"),
        Value::U64(value) => format!("{kind} {value}"),
        Value::F64(value) => format!("{kind} {value:?}"),
        Value::String(text) => format!("{kind} {}", quoted(text)),
    }
}

/// `text` in double quotes, with control characters escaped and cut when it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// The names in backticks, separated by commas.
pub fn ticked<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
