//! Puts messages into frames.

use crate::{
    connection::framed::{Framed, LOOSE_BYTES},
    duplex::Protocol,
    outbox::{Message, Shared},
};
use std::sync::Arc;

/// Frames `message`, which is number `number` of those at hand; gives why it cannot be sent.
pub(super) fn frame(
    number: usize,
    message: Message<'_>,
    protocol: &mut dyn Protocol,
    framed: &mut Framed,
) -> Option<String> {
    let payload = message.payload;
    let sent = if message.is_plain {
        protocol.write_plain(payload, message.binary, framed.bytes()).map(|is_head| match is_head {
            true if payload.len() < LOOSE_BYTES => framed.bytes().extend_from_slice(payload),
            true => framed.push_loose(number, payload.len()),
            false => {}
        })
    } else if payload.len() < LOOSE_BYTES {
        protocol.write(payload, message.binary, framed.bytes())
    } else {
        protocol.write_head(payload, message.binary, framed.bytes()).map(|is_head| {
            if is_head {
                framed.push_loose(number, payload.len());
            }
        })
    };
    sent.err().map(|error| error.to_string())
}

/// The same for a message that other connections are sent, too: the first of them has framed it for all.
pub(super) fn share(
    (shared, kind): (&Arc<Shared>, u8),
    number: usize,
    message: Message<'_>,
    protocol: &mut dyn Protocol,
    framed: &mut Framed,
) -> Option<String> {
    match shared.frame(kind, |out| protocol.write(message.payload, message.binary, out)) {
        Ok(frame) if frame.len() < LOOSE_BYTES => framed.bytes().extend_from_slice(frame),
        Ok(frame) => framed.push_loose_frame((number, kind), frame.len()),
        Err(cause) => return Some(cause.to_owned()),
    }
    None
}
