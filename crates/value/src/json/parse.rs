//! Documents to values.

use simd_json::{Buffers, Node, StaticNode, Tape};

use super::{JsonError, MAX_DEPTH, MAX_DOCUMENT_BYTES, Problem, check::check};
use crate::{Record, Value};

/// Buffers that a document left larger than this are given back.
const KEEP_BYTES: usize = 1024 * 1024;

/// Turns JSON documents into values.
///
/// A parser keeps its scratch buffers from document to document, so one is made per stream and used again.
/// Cloning one gives a fresh parser.
pub struct Parser {
    /// The document with the room behind it that the fast parser may read and write.
    scratch: Vec<u8>,
    buffers: Buffers,
    /// Empty between documents; kept for its memory.
    tape: Tape<'static>,
}

impl Parser {
    /// A parser without any buffers yet.
    #[must_use]
    pub fn new() -> Self {
        Self { scratch: Vec::new(), buffers: Buffers::with_max_depth(0, MAX_DEPTH), tape: Tape(Vec::new()) }
    }

    /// The value of one document; white space may stand around it.
    ///
    /// Members keep the order of the document; of a repeated key the last value counts, in the place of the
    /// first. Numbers with a point or an exponent are floats, exact to the last bit; all others integers.
    ///
    /// # Errors
    /// Everything that is not JSON, with its place; also integers outside -2^63 … 2^64-1, floats too large
    /// for a double, halves of surrogate pairs and nesting deeper than [`MAX_DEPTH`].
    pub fn parse(&mut self, document: &[u8]) -> Result<Value, JsonError> {
        if document.len() > MAX_DOCUMENT_BYTES {
            return Err(JsonError { offset: MAX_DOCUMENT_BYTES, problem: Problem::TooLong });
        }
        self.scratch.clear();
        self.scratch.reserve(document.len() + simd_json::INPUT_PADDING);
        self.scratch.extend_from_slice(document);
        self.scratch.resize(document.len() + simd_json::INPUT_PADDING, b' ');

        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let filled =
            simd_json::fill_tape_padded(&mut self.scratch, document.len(), &mut self.buffers, &mut tape);
        let value = filled.ok().and_then(|()| Builder { nodes: tape.0.iter() }.value());
        self.tape = tape.reset();
        if document.len() > KEEP_BYTES {
            *self = Self::new();
        }
        value.ok_or_else(|| match check(document) {
            Err(error) => error,
            Ok(()) => JsonError { offset: 0, problem: Problem::Refused },
        })
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Parser {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Parser {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Parser").finish_non_exhaustive()
    }
}

/// Builds a value from the flat parsed form, which lists containers before their content.
///
/// The recursion is bounded, since the parser refused anything deeper than `MAX_DEPTH`.
struct Builder<'t, 'd> {
    nodes: std::slice::Iter<'t, Node<'d>>,
}

impl Builder<'_, '_> {
    /// The next value; `None` if the parsed form were broken.
    fn value(&mut self) -> Option<Value> {
        Some(match self.nodes.next()? {
            Node::String(text) => Value::String((*text).into()),
            Node::Static(scalar) => match scalar {
                StaticNode::Null => Value::Null,
                StaticNode::Bool(value) => Value::Bool(*value),
                StaticNode::I64(value) => Value::I64(*value),
                StaticNode::U64(value) => Value::from(*value),
                StaticNode::F64(value) => Value::F64(*value),
            },
            Node::Array { len, .. } => {
                let mut items = Vec::with_capacity(*len);
                for _ in 0..*len {
                    items.push(self.value()?);
                }
                items.into()
            }
            Node::Object { len, .. } => self.record(*len)?.into(),
        })
    }

    fn record(&mut self, len: usize) -> Option<Record> {
        let mut record = Record::with_capacity(len);
        // One bit per kind of key: a key whose bit is clear is new, so no search is needed for it.
        let mut seen = 0_u64;
        for _ in 0..len {
            let Node::String(key) = self.nodes.next()? else { return None };
            let value = self.value()?;
            let bit = key_bit(key.as_bytes());
            if seen & bit == 0 {
                seen |= bit;
                record.push_new((*key).into(), value);
            } else {
                record.insert(*key, value);
            }
        }
        Some(record)
    }
}

/// One of 64 bits, chosen by length, first, middle and last byte.
fn key_bit(key: &[u8]) -> u64 {
    let byte = |at: usize| u64::from(key.get(at).copied().unwrap_or_default());
    let len = key.len();
    let mixed = byte(0) | byte(len / 2) << 8 | byte(len.saturating_sub(1)) << 16 | (len as u64) << 24;
    1 << (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}
