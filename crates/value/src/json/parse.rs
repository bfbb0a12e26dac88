//! Documents to values.

use simd_json::{Buffers, Node, StaticNode, Tape};

use super::skim::{Kind, Skimmer};
use super::{JsonError, MAX_DEPTH, MAX_DOCUMENT_BYTES, Problem, check::check};
use crate::document::Document;
use crate::{Bytes, Payload, Record, Str, Value};

/// Buffers that a document left larger than this are given back.
const KEEP_BYTES: usize = 1024 * 1024;

/// The same for the lists that are made of a document without building it, which are small for most.
const KEEP_LISTS_BYTES: usize = 64 * 1024;

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
    keys: Keys,
    skimmer: Skimmer,
}

impl Parser {
    /// A parser without any buffers yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            scratch: Vec::new(),
            buffers: Buffers::with_max_depth(0, MAX_DEPTH),
            tape: Tape(Vec::new()),
            keys: Keys::default(),
            skimmer: Skimmer::default(),
        }
    }

    /// The payload that one document stands for: the same value as [`Parser::parse`] gives.
    ///
    /// # Errors
    /// As [`Parser::parse`].
    pub fn document(&mut self, document: Bytes) -> Result<Payload, JsonError> {
        let is_large = document.len() > KEEP_LISTS_BYTES;
        let payload = match self.skimmer.skim(&document) {
            Some(skimmed) if skimmed.kind != Kind::Scalar => {
                Ok(Document::shared(document, &skimmed, &self.skimmer.members).into())
            }
            _ => self.parse(&document).map(Payload::from),
        };
        if is_large {
            self.skimmer.trim(MAX_DEPTH);
        }
        payload
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
        let value =
            filled.ok().and_then(|()| Builder { nodes: tape.0.iter(), keys: &mut self.keys }.document());
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
    keys: &'t mut Keys,
}

impl Builder<'_, '_> {
    /// The whole document; `None` if the parsed form were broken.
    fn document(&mut self) -> Option<Value> {
        let mut value = Value::Null;
        self.value(&mut value)?;
        Some(value)
    }

    /// Reads the next value into `slot`.
    ///
    /// Values are made in the place where they stay: handing them back through a return value and moving
    /// them there costs as much as parsing them.
    #[inline]
    fn value(&mut self, slot: &mut Value) -> Option<()> {
        match self.nodes.next()? {
            Node::String(text) => *slot = Value::String((*text).into()),
            Node::Static(StaticNode::Null) => *slot = Value::Null,
            Node::Static(StaticNode::Bool(value)) => *slot = Value::Bool(*value),
            Node::Static(StaticNode::I64(value)) => *slot = Value::I64(*value),
            Node::Static(StaticNode::U64(value)) => match i64::try_from(*value) {
                Ok(value) => *slot = Value::I64(value),
                Err(_) => *slot = Value::U64(*value),
            },
            Node::Static(StaticNode::F64(value)) => *slot = Value::F64(*value),
            Node::Array { len, .. } => *slot = self.array(*len)?,
            Node::Object { len, .. } if *len > Record::LINEAR_MAX => *slot = self.large_record(*len)?,
            Node::Object { len, .. } => *slot = self.record(*len)?,
        }
        Some(())
    }

    fn array(&mut self, len: usize) -> Option<Value> {
        let mut items = Vec::new();
        items.resize_with(len, Value::default);
        for slot in &mut items {
            self.value(slot)?;
        }
        Some(items.into())
    }

    fn record(&mut self, len: usize) -> Option<Value> {
        let mut members: Vec<(Str, Value)> = Vec::new();
        members.resize_with(len, Default::default);
        let mut filled = 0;
        // One bit per kind of key: a key whose bit is clear is new, so no search is needed for it.
        let mut seen = 0_u64;
        for _ in 0..len {
            let Node::String(key) = self.nodes.next()? else { return None };
            let hash = key_hash(key.as_bytes());
            let bit = 1 << (hash >> 58);
            if seen & bit != 0 {
                let mut known = members.iter_mut().take(filled);
                if let Some((_, slot)) = known.find(|(name, _)| name == key) {
                    self.value(slot)?;
                    continue;
                }
            }
            seen |= bit;
            let (name, slot) = members.get_mut(filled)?;
            self.keys.copy(key, hash, name);
            self.value(slot)?;
            filled += 1;
        }
        members.truncate(filled);
        Some(Record::from_unique(members).into())
    }

    /// A record that needs an index, lest a hostile one takes quadratic time.
    fn large_record(&mut self, len: usize) -> Option<Value> {
        let mut record = Record::with_capacity(len);
        for _ in 0..len {
            let Node::String(key) = self.nodes.next()? else { return None };
            let mut value = Value::Null;
            self.value(&mut value)?;
            record.insert(*key, value);
        }
        Some(record.into())
    }
}

/// Short keys of earlier records, ready to be copied: the records of one stream mostly have the same ones.
///
/// Only keys that need no memory of their own are kept. Sharing longer ones would make every core that
/// drops an event write to one reference count.
#[derive(Default)]
struct Keys {
    slots: Vec<Str>,
}

impl Keys {
    const SLOTS: usize = 64;

    fn copy(&mut self, key: &str, hash: u64, to: &mut Str) {
        if key.len() > Str::INLINE_LIMIT {
            *to = key.into();
            return;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(Self::SLOTS, Str::new);
        }
        let slot = usize::try_from(hash >> 50).unwrap_or_default() % Self::SLOTS;
        if let Some(known) = self.slots.get_mut(slot) {
            if known != key {
                *known = key.into();
            }
            *to = known.clone();
        }
    }
}

/// A number from the length and the first, middle and last byte; the upper bits are the good ones.
fn key_hash(key: &[u8]) -> u64 {
    let byte = |at: usize| u64::from(key.get(at).copied().unwrap_or_default());
    let len = key.len();
    let mixed = byte(0) | byte(len / 2) << 8 | byte(len.saturating_sub(1)) << 16 | (len as u64) << 24;
    mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
