//! An element that several connections are sent: encoded once, and framed once where the protocol allows it.

use super::{Item, wants_binary};
use crate::duplex::{MAX_FRAMES_KIND, Unsendable};
use std::sync::OnceLock;
use tremor_codec::{Chunks, Encoder};

/// What an element came to. Every connection that it is for holds it until it has written it, so memory is taken once,
/// however many those are.
#[derive(Debug)]
pub(crate) struct Shared {
    chunks: Chunks,
    binary: bool,
    /// Why it cannot be encoded.
    error: Option<String>,
    /// Its only chunk as it is sent, to connections of kind 0.
    frame: Frame,
    /// The same for the other kinds, once there is one.
    others: OnceLock<Box<[Frame; MAX_FRAMES_KIND as usize]>>,
}

/// A chunk as it is sent, or why it cannot be; known when the first connection has got that far.
type Frame = OnceLock<Result<Vec<u8>, String>>;

impl Shared {
    /// `encoder` has to be one that keeps no state ([`Encoder::is_stateless`]).
    pub(crate) fn new(encoder: &mut Encoder, item: &Item<'_>) -> Self {
        let meta = item.element.meta;
        let mut chunks = Chunks::default();
        let encoded = encoder.encode(item.element.content, item.ingest_ns, meta, &mut chunks);
        let error = encoded.err().map(|error| error.to_string());
        Self {
            chunks,
            binary: wants_binary(meta.base()),
            error,
            frame: Frame::new(),
            others: OnceLock::new(),
        }
    }

    pub(super) fn encoded(&self) -> Result<(), String> {
        self.error.clone().map_or(Ok(()), Err)
    }

    pub(super) fn chunks(&self) -> &Chunks {
        &self.chunks
    }

    pub(super) fn binary(&self) -> bool {
        self.binary
    }

    /// The message, if it is one.
    pub(super) fn payload(&self) -> &[u8] {
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
