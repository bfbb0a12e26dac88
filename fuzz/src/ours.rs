//! What we make of frames, in words that others understand too.

use crate::{MAX_FRAME_BYTES, Read};
use bytes::BytesMut;
use tremor_ws::{Decoder, Incoming, Limits, Options, ProtocolError, Role};

/// What a peer sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A text message.
    Text(Vec<u8>),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A Close, with code and reason.
    Close(Option<u16>, String),
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End<E> {
    /// The bytes ended, and more could follow.
    Waits,
    /// With a Close.
    Closed,
    /// The bytes were refused.
    Refused(E),
}

/// Why implementations may differ: the rows of the table in `docs/CONFORMANCE.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A frame of a client without a mask. RFC 6455, 5.1.
    Unmasked,
    /// A frame of a server with a mask. RFC 6455, 5.1.
    Masked,
    /// A length in a longer form than it needs. RFC 6455, 5.2.
    LongLength,
    /// A control frame of more than 125 bytes. RFC 6455, 5.5.
    LongControl,
    /// A message that begins inside another one. RFC 6455, 5.4.
    NestedMessage,
    /// Text that is not UTF-8. RFC 6455, 8.1.
    BadText,
    /// A Close with one byte. RFC 6455, 5.5.1.
    ShortClose,
    /// A code that must not be in a Close. RFC 6455, 7.4.
    CloseCode,
    /// A frame that is too long and has no key yet: they refuse it at once, we with the key. RFC 6455, 5.2.
    LengthBeforeKey,
    /// Code 1014, which was registered after the RFC. RFC 6455, 7.4.2 and 11.7.
    BadGateway,
}

/// The class that stands behind a refusal of ours that others do not share.
pub(crate) fn class_of(error: &ProtocolError) -> Option<Class> {
    Some(match error {
        ProtocolError::Unmasked => Class::Unmasked,
        ProtocolError::Masked => Class::Masked,
        ProtocolError::LengthNotMinimal { .. } => Class::LongLength,
        ProtocolError::ControlTooLong => Class::LongControl,
        ProtocolError::MessageUnfinished => Class::NestedMessage,
        ProtocolError::TextNotUtf8 => Class::BadText,
        ProtocolError::CloseBodyTooShort => Class::ShortClose,
        ProtocolError::CloseCodeInvalid { .. } => Class::CloseCode,
        _ => return None,
    })
}

fn decoder(role: Role) -> Decoder {
    let limits = Limits { max_frame_bytes: MAX_FRAME_BYTES, max_message_bytes: 0, max_fragments: 0 };
    Decoder::new(role, limits, Options::default())
}

/// What comes up to the first pong between the fragments of a message, if there is such a pong.
pub(crate) fn until_pong_inside(role: Role, wire: &[u8]) -> Option<Vec<Item>> {
    let mut decoder = decoder(role);
    let mut input = BytesMut::from(wire);
    let mut items = Vec::new();
    loop {
        let mut one = Vec::new();
        decoder.decode_some(&mut input, &mut one, 1).ok()?;
        items.push(item(one.pop()?));
        if matches!(items.last(), Some(Item::Pong(_))) && decoder.is_mid_message(&[]) {
            return Some(items);
        }
    }
}

/// Reads frames as we do, strictly.
pub(crate) fn read(role: Role, wire: &[u8]) -> Read<ProtocolError> {
    let mut decoder = decoder(role);
    let mut events = Vec::new();
    let result = decoder.decode(&mut BytesMut::from(wire), &mut events);
    let items: Vec<Item> = events.into_iter().map(item).collect();
    let end = match result {
        Err(error) => End::Refused(error),
        Ok(()) if matches!(items.last(), Some(Item::Close(..))) => End::Closed,
        Ok(()) => End::Waits,
    };
    Read { items, end }
}

fn item(event: Incoming) -> Item {
    match event {
        Incoming::Message { payload, binary: true, .. } => Item::Binary(payload.to_vec()),
        Incoming::Message { payload, .. } => Item::Text(payload.to_vec()),
        Incoming::Ping(payload) => Item::Ping(payload.to_vec()),
        Incoming::Pong(payload) => Item::Pong(payload.to_vec()),
        Incoming::Close { code, reason } => Item::Close(code, reason),
    }
}
