//! The preprocessors (`spec/codecs.md` part C). One file and one line in the table per preprocessor.

mod base64;
mod ingest_ns;
mod length_prefixed;
mod remove_empty;
mod separate;

use bytes::{Bytes, BytesMut};

use crate::{Preprocessor, Spec};

/// All of them, in the order of the reference.
pub const ALL: &[&Spec<dyn Preprocessor>] =
    &[&separate::SPEC, &remove_empty::SPEC, &base64::SPEC, &ingest_ns::SPEC, &length_prefixed::SPEC];

/// Memory that what is held of a stream may keep between one piece and the next.
const KEEP_BYTES: usize = 64 * 1024;

/// Takes the piece that is complete now out of `pending`, with all of its memory if that is much: the rest of it would
/// otherwise be kept for as long as the stream lives.
fn take_all(pending: &mut BytesMut) -> Bytes {
    if pending.capacity() > KEEP_BYTES { std::mem::take(pending).freeze() } else { pending.split().freeze() }
}

/// Gives memory back that `pending` does not need for what it holds. What is about as large as that stays where it is: a
/// stream that trickles should not have it copied all the time.
fn shrink(pending: &mut BytesMut) {
    if pending.capacity() > pending.len().saturating_mul(2) {
        *pending = BytesMut::from(pending.as_ref());
    }
}
