//! `fastwebsockets`.

use crate::ours::class_of;
use crate::stream::Stream;
use crate::{Class, End, Item, MAX_FRAME_BYTES, Read};
use fastwebsockets::{FragmentCollector, Frame, OpCode, WebSocket, WebSocketError};
use tremor_ws::{ProtocolError, Role};

pub(crate) fn read(role: Role, wire: &[u8]) -> Read<WebSocketError> {
    let role = match role {
        Role::Server => fastwebsockets::Role::Server,
        Role::Client => fastwebsockets::Role::Client,
    };
    let mut socket = WebSocket::after_handshake(Stream(wire), role);
    socket.set_auto_pong(false);
    // It refuses frames of this size, not only longer ones.
    socket.set_max_message_size(MAX_FRAME_BYTES + 1);
    let mut socket = FragmentCollector::new(socket);
    let mut items = Vec::new();
    let end = loop {
        match futures_executor::block_on(socket.read_frame()) {
            Ok(frame) => {
                items.extend(item(&frame));
                if frame.opcode == OpCode::Close {
                    break End::Closed;
                }
            }
            Err(WebSocketError::UnexpectedEOF) => break End::Waits,
            Err(error) => break End::Refused(error),
        }
    };
    Read { items, end }
}

fn item(frame: &Frame<'_>) -> Option<Item> {
    let payload = frame.payload.to_vec();
    Some(match frame.opcode {
        OpCode::Text => Item::Text(payload),
        OpCode::Binary => Item::Binary(payload),
        OpCode::Ping => Item::Ping(payload),
        OpCode::Pong => Item::Pong(payload),
        OpCode::Close => match payload.split_first_chunk::<2>() {
            Some((code, reason)) => {
                Item::Close(Some(u16::from_be_bytes(*code)), String::from_utf8_lossy(reason).into_owned())
            }
            None => Item::Close(None, String::new()),
        },
        OpCode::Continuation => return None,
    })
}

/// What they differ in, if that was argued.
pub(crate) fn class(ours: &Read<ProtocolError>, theirs: &Read<WebSocketError>) -> Option<Class> {
    match (&ours.end, &theirs.end) {
        // They go on where we refuse.
        (End::Refused(error), _) if theirs.items.starts_with(&ours.items) => {
            class_of(error).filter(|class| !matches!(class, Class::ShortClose))
        }
        (End::Closed, End::Refused(WebSocketError::InvalidCloseCode)) => match ours.items.split_last() {
            Some((Item::Close(Some(1014), _), rest)) if rest == theirs.items => Some(Class::BadGateway),
            _ => None,
        },
        _ => None,
    }
}
