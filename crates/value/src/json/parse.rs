//! Documents to values.

use super::read::{Keys, Reader};
use super::skim::{Kind, Skimmed, Skimmer};
use super::{JsonError, MAX_DEPTH, Problem, check::check, raw::Written, rewrite::rewrite};
use crate::document::Document;
use crate::{Bytes, Payload, Value};

/// Lists are given back to this many entries after documents that are longer than [`LONG_BYTES`].
const KEEP: usize = MAX_DEPTH;

const LONG_BYTES: usize = 64 * 1024;

/// Turns JSON documents into values.
///
/// A parser keeps its lists from document to document, so one is made per stream and used again.
/// Cloning one gives a fresh parser.
#[derive(Default)]
pub struct Parser {
    skimmer: Skimmer,
    reader: Reader,
}

impl Parser {
    /// A parser without any lists yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The payload that one document stands for: the same value as [`Parser::parse`] gives.
    ///
    /// # Errors
    /// As [`Parser::parse`].
    pub fn document(&mut self, document: Bytes) -> Result<Payload, JsonError> {
        let len = document.len();
        let payload = match self.skimmer.skim(&document) {
            Some(skimmed) if skimmed.kind != Kind::Scalar => {
                if self.skimmer.has_hard_keys {
                    self.with_hard_keys(document, &skimmed)
                } else {
                    let members = &self.skimmer.members;
                    Ok(Document::shared(document, &skimmed, members, Written::Plain).into())
                }
            }
            Some(_) => self.build(&document, Keys::Unique).map(Payload::from),
            None => self.build_unusual(&document).map(Payload::from),
        };
        self.trim(len);
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
        let value = match self.skimmer.skim(document) {
            Some(_) if self.skimmer.has_hard_keys => self.build(document, Keys::Any),
            Some(_) => self.build(document, Keys::Unique),
            None => self.build_unusual(document),
        };
        self.trim(document.len());
        value
    }

    /// Whether [`Parser::parse`] gives a value; none is built.
    pub fn accepts(&mut self, document: &[u8]) -> bool {
        let accepted = self.skimmer.skim(document).is_some() || check(document).is_ok();
        self.trim(document.len());
        accepted
    }

    /// The payload of a document that was accepted. If keys are odd or repeated, it is made of a text in which they are not.
    #[inline(never)]
    fn with_hard_keys(&mut self, document: Bytes, skimmed: &Skimmed) -> Result<Payload, JsonError> {
        let keys = self.skimmer.keys;
        let written = if keys.have_escapes { Written::Escaped } else { Written::Plain };
        let members = &mut self.skimmer.members;
        if !keys.are_odd && !keys.may_repeat {
            return Ok(Document::shared(document, skimmed, members, written).into());
        }
        if document.len() > LONG_BYTES {
            self.skimmer.trim(KEEP);
        }
        let members = &mut self.skimmer.members;
        match rewrite(&document, skimmed, keys, members) {
            Some((text, skimmed)) => Ok(Document::shared(text.into(), &skimmed, members, written).into()),
            None => self.build(&document, Keys::Any).map(Payload::from),
        }
    }

    /// What the quick check did not accept is wrong; whatever it is, this is the careful way.
    #[cold]
    pub(crate) fn build_unusual(&mut self, document: &[u8]) -> Result<Value, JsonError> {
        check(document)?;
        self.build(document, Keys::Any)
    }

    /// Builds the value of a document that was accepted.
    fn build(&mut self, document: &[u8], keys: Keys) -> Result<Value, JsonError> {
        let text = simdutf8::basic::from_utf8(document).ok();
        let value = text.and_then(|text| self.reader.read(text, keys));
        value.ok_or(JsonError { offset: 0, problem: Problem::Refused })
    }

    /// Gives memory back that a long document needed.
    fn trim(&mut self, len: usize) {
        if len > LONG_BYTES {
            self.skimmer.trim(KEEP);
            self.reader.trim(KEEP);
        }
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
