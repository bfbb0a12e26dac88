//! An element that several connections are sent: encoded once, and framed once where the protocol allows it.

use super::{FrameType, Item, frame_type};
use crate::duplex::{MAX_FRAMES_KIND, Unsendable};
use crate::replay::number;
use std::sync::OnceLock;
use tremor_codec::{Chunks, Encoder};

/// What an element came to. Every connection that it is for holds it until it has written it, so memory is taken once,
/// however many those are.
#[derive(Debug)]
pub(crate) struct Shared {
    chunks: Chunks,
    /// Whether it is binary, if that is known without a look at its chunks.
    binary: Option<bool>,
    /// Why it cannot be encoded.
    error: Option<String>,
    /// It is kept, and not to be compressed whenever it is sent.
    is_plain: bool,
    /// Its only chunk as it is sent, to connections of kind 0.
    frame: Frame,
    /// The same for the other kinds, once there is one.
    others: OnceLock<Box<[Frame; MAX_FRAMES_KIND as usize]>>,
}

/// A chunk as it is sent, or why it cannot be; known when the first connection has got that far.
type Frame = OnceLock<Result<Vec<u8>, String>>;

impl Shared {
    /// `encoder` has to be one that keeps no state ([`Encoder::is_stateless`]).
    pub(crate) fn new(encoder: &mut Encoder, item: &Item<'_>, frame_type: FrameType) -> Self {
        let meta = item.element.meta;
        let mut chunks = Chunks::default();
        let asked = frame_type::asked_of(meta.base());
        let error = match &asked {
            Ok(_) => encoder
                .encode(item.element.content, item.ingest_ns, meta, &mut chunks)
                .err()
                .map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        let asked = asked.unwrap_or_default();
        Self {
            chunks,
            binary: (!frame_type.takes_a_look(asked)).then(|| frame_type.is_binary(asked)),
            error,
            is_plain: false,
            frame: Frame::new(),
            others: OnceLock::new(),
        }
    }

    /// The same messages with ids in front, of which `first` is that of the first; `is_plain`: not to be compressed.
    pub(crate) fn numbered(&self, first: u64, is_plain: bool) -> Self {
        let is_binary = match self.binary {
            Some(is_binary) => is_binary,
            None => self.chunks.iter().any(|chunk| std::str::from_utf8(chunk).is_err()),
        };
        let mut chunks = Chunks::default();
        for (id, chunk) in (first..).zip(self.chunks.iter()) {
            number(id, (chunk, is_binary), chunks.buffer_mut());
            chunks.end_chunk();
        }
        Self {
            chunks,
            binary: Some(is_binary),
            error: None,
            is_plain,
            frame: Frame::new(),
            others: OnceLock::new(),
        }
    }

    /// Each of its messages for itself.
    pub(crate) fn each(&self) -> impl Iterator<Item = Self> {
        self.chunks.iter().map(|chunk| {
            let mut chunks = Chunks::default();
            chunks.push(chunk);
            Self {
                chunks,
                binary: self.binary,
                error: None,
                is_plain: self.is_plain,
                frame: Frame::new(),
                others: OnceLock::new(),
            }
        })
    }

    /// How many messages it is.
    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Why it cannot be encoded, if so.
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    pub(super) fn encoded(&self) -> Result<(), String> {
        self.error.clone().map_or(Ok(()), Err)
    }

    pub(super) fn chunks(&self) -> &Chunks {
        &self.chunks
    }

    /// Whether it is binary, if it is one message.
    pub(super) fn is_binary(&self) -> bool {
        self.binary.unwrap_or_else(|| std::str::from_utf8(self.payload()).is_err())
    }

    /// Whether it is not to be compressed, if it was kept.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether each of its messages has to be looked at to know that.
    pub(super) fn takes_a_look(&self) -> bool {
        self.binary.is_none()
    }

    /// The message, if it is one.
    pub(crate) fn payload(&self) -> &[u8] {
        self.chunks.as_bytes()
    }

    /// The message as it is sent to connections of that kind ([`shares_frames`](crate::duplex::Protocol::shares_frames)); `make` appends that, if nobody has asked before.
    ///
    /// # Errors
    /// Why it cannot be sent.
    pub(crate) fn frame(
        &self,
        kind: u8,
        make: impl FnOnce(&mut Vec<u8>) -> Result<(), Unsendable>,
    ) -> Result<&[u8], &str> {
        let frame = self.frame_of(kind).get_or_init(|| {
            let mut frame = Vec::new();
            make(&mut frame).map(|()| frame).map_err(|error| error.to_string())
        });
        frame.as_deref().map_err(String::as_str)
    }

    /// The message as it is sent to connections of that kind, if that is known.
    pub(crate) fn framed(&self, kind: u8) -> Option<&[u8]> {
        self.frame_of(kind).get()?.as_deref().ok()
    }

    fn frame_of(&self, kind: u8) -> &Frame {
        let Some(other) = usize::from(kind).checked_sub(1) else { return &self.frame };
        let others = self.others.get_or_init(Box::default);
        others.get(other).unwrap_or(&self.frame)
    }
}
