//! The contract of codecs.

use bytes::Bytes;
use tremor_value::{Content, MetaRef, Payload, Record};

use crate::CodecError;

/// Turns chunks into payloads and values into chunks (`spec/codecs.md` part A).
///
/// One codec serves one direction of one stream, so it may keep state and scratch buffers.
pub trait Codec: Send {
    /// Decodes one chunk. `decoding` holds what goes along with the payload; most codecs leave it alone.
    ///
    /// # Errors
    /// If the chunk is not in the codec's format. The codec can go on with the next chunk.
    fn decode(&mut self, chunk: Bytes, decoding: &mut Decoding) -> Result<Decoded, CodecError>;

    /// Appends the encoded form of `content` to `out`, of which nothing else may be touched. `meta` is the
    /// event's metadata. A codec that can encode a payload without building it does.
    ///
    /// # Errors
    /// If the format cannot hold the value. What was appended by then is removed by the caller.
    fn encode(
        &mut self,
        content: Content<'_>,
        meta: MetaRef<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError>;

    /// `true` if what [`Codec::encode`] appends for `content` is what that [holds](Content::held), if it holds anything.
    fn passes(&self, _content: Content<'_>) -> bool {
        false
    }

    /// `true` if what [`Codec::encode`] appends depends on its arguments and on nothing else: then the encoded form of
    /// an event may be sent on many connections, though each of them has a codec of its own.
    fn is_stateless(&self) -> bool {
        false
    }

    /// Gives scratch memory back, while the stream is idle. Changes nothing else.
    fn rest(&mut self) {}
}

/// What a chunk turned out to be.
#[derive(Debug, PartialEq)]
pub enum Decoded {
    /// The payload of an event.
    Value(Payload),
    /// Nothing that makes an event, such as a comment line.
    Nothing,
}

/// What goes along with a payload.
#[derive(Debug)]
pub struct Decoding {
    /// Time at which the bytes came in, in nanoseconds since 1970; a codec may replace it.
    pub ingest_ns: u64,
    /// Members to be set in the event's metadata.
    pub meta: Option<Record>,
}

impl Decoding {
    /// For a chunk that came in at `ingest_ns`, without metadata of its own.
    #[must_use]
    pub fn at(ingest_ns: u64) -> Self {
        Self { ingest_ns, meta: None }
    }
}
