//! What the payload of a message is like (`spec/websocket.md` 17).
//!
//! A [`Model`] looks at the bytes of one message. Most models only say whether they are right; with a view, those of
//! binary formats make JSON of what comes in, and their format of the JSON that goes out.
//!
//! Schemas come from outside and messages from strangers, so both are bounded: what a schema takes to be compiled, how
//! deep a message nests, how many values it holds, and how many checks it leads to.

mod avro;
mod budget;
mod json;
mod protobuf;
mod simple;
#[cfg(test)]
mod tests;

pub use simple::{Bounds, Number, Simple, Text};

use avro::Avro;
use json::Json;
use protobuf::Protobuf;
use tremor_value::Value;

/// The text of a schema may have so many bytes, and so may all that it refers to together.
pub const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// Violations that are told of one message.
pub const MAX_VIOLATIONS: usize = 20;

/// How deep a message may nest.
const MAX_DEPTH: usize = 128;

/// How long what is said of one violation may be, in bytes.
const MAX_MESSAGE_BYTES: usize = 256;

/// How long the pointer of one violation may be, in bytes: keys are whatever strangers like.
const MAX_POINTER_BYTES: usize = 1024;

/// The text of a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The text itself.
    pub text: String,
    /// What it refers to, by the name that it uses for it; those that others refer to stand before them.
    pub references: Vec<(String, String)>,
}

/// What a schema is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON Schema.
    Json,
    /// Avro.
    Avro {
        /// What comes in becomes JSON, and goes out from JSON.
        view: bool,
    },
    /// Protocol Buffers.
    Protobuf {
        /// What comes in becomes JSON, and goes out from JSON.
        view: bool,
        /// The path to the message type stands in front of every message, as schema registries have it.
        indexes: bool,
    },
}

/// Why a message is not what its schema says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer to the place; to one that it lies in, if it would be longer than 1024 bytes.
    pub pointer: String,
    /// The rule that is broken: a word of the schema's language, or one that says what could not be read.
    pub rule: String,
    /// The same in words.
    pub message: String,
}

impl Violation {
    /// One at `pointer`.
    pub fn new(pointer: impl Into<String>, rule: impl Into<String>, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > MAX_MESSAGE_BYTES {
            let end = message.floor_char_boundary(MAX_MESSAGE_BYTES);
            message.truncate(end);
            message.push('…');
        }
        let mut pointer = pointer.into();
        if pointer.len() > MAX_POINTER_BYTES {
            // A pointer ends where the next step begins.
            let end = pointer.as_bytes().iter().take(MAX_POINTER_BYTES + 1).rposition(|byte| *byte == b'/');
            pointer.truncate(end.unwrap_or_default());
        }
        Self { pointer, rule: rule.into(), message }
    }
}

/// A message that is not what its schema says.
#[derive(Clone, Debug, PartialEq)]
pub struct Invalid {
    /// In what way, at most [`MAX_VIOLATIONS`] of them and at least one.
    pub violations: Vec<Violation>,
    /// What it says, as far as that could be read.
    pub value: Value,
}

impl Invalid {
    /// A message of which no value could be made.
    fn unreadable(payload: &[u8], violation: Violation) -> Self {
        Self { violations: vec![violation], value: bytes_or_text(payload) }
    }
}

/// What is left of a message that cannot be read.
fn bytes_or_text(payload: &[u8]) -> Value {
    match std::str::from_utf8(payload) {
        Ok(text) => Value::from(text),
        Err(_) => Value::from(bytes::Bytes::copy_from_slice(payload)),
    }
}

/// What messages of one sort are like.
#[derive(Debug)]
pub enum Model {
    /// JSON that a schema describes.
    #[doc(hidden)]
    Json(Box<Json>),
    /// Avro without a container.
    #[doc(hidden)]
    Avro(Box<Avro>),
    /// A message of Protocol Buffers.
    #[doc(hidden)]
    Protobuf(Box<Protobuf>),
    /// Text, a number or a truth value.
    Simple(Simple),
}

impl Model {
    /// Makes one of a schema. `record`: the message type, for [`Format::Protobuf`]; the first one of the schema unless it
    /// says which.
    ///
    /// # Errors
    /// In words: it is no schema, it refers to what is not there, or it takes too much.
    pub fn compile(format: Format, record: Option<&str>, document: &Document) -> Result<Self, String> {
        let texts = std::iter::once(&document.text).chain(document.references.iter().map(|(_, text)| text));
        if texts.map(String::len).sum::<usize>() > MAX_SCHEMA_BYTES {
            return Err(format!("it is longer than {MAX_SCHEMA_BYTES} bytes"));
        }
        Ok(match format {
            Format::Json => Self::Json(Box::new(Json::compile(document)?)),
            Format::Avro { view } => Self::Avro(Box::new(Avro::compile(document, view)?)),
            Format::Protobuf { view, indexes } => {
                Self::Protobuf(Box::new(Protobuf::compile(document, record, view, indexes)?))
            }
        })
    }

    /// Looks at a message that came in; gives what it becomes, if it does not stay what it is.
    ///
    /// # Errors
    /// It is not what the model says.
    pub fn incoming(&self, payload: &[u8]) -> Result<Option<Vec<u8>>, Invalid> {
        match self {
            Self::Json(json) => json.check(payload).map(|()| None),
            Self::Avro(avro) => avro.incoming(payload),
            Self::Protobuf(protobuf) => protobuf.incoming(payload),
            Self::Simple(simple) => simple.check(payload).map(|()| None),
        }
    }

    /// Looks at a message that is to go out; gives what is sent instead, if it does not stay what it is.
    ///
    /// # Errors
    /// It is not what the model says.
    pub fn outgoing(&self, payload: &[u8]) -> Result<Option<Vec<u8>>, Invalid> {
        match self {
            Self::Json(json) => json.check(payload).map(|()| None),
            Self::Avro(avro) => avro.outgoing(payload),
            Self::Protobuf(protobuf) => protobuf.outgoing(payload),
            Self::Simple(simple) => simple.check(payload).map(|()| None),
        }
    }
}

/// Adds a member's name, or the number of an item, to a JSON pointer.
fn push_pointer(pointer: &mut String, name: &str) {
    pointer.push('/');
    for letter in name.chars() {
        match letter {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            letter => pointer.push(letter),
        }
    }
}
