//! Compressed messages.

use crate::{Decoder, DeflateOptions, Incoming, Limits, Options, ProtocolError, Role};
use bytes::BytesMut;

/// Bytes that a message may inflate to here.
const MAX_BYTES: usize = 100_000;

/// Takes `data` for two compressed messages and reads them whole, byte by byte and in other pieces, with memory given back
/// between: every time the same comes out, and no message is larger than it may be. The first byte chooses how, and a window is
/// small where the number of those behind it is odd.
///
/// # Panics
/// If not.
pub fn inflating_agrees(data: &[u8]) {
    let Some((choice, payload)) = data.split_first() else { return };
    let opcode = if choice & 1 == 0 { 0xc1 } else { 0xc2 };
    let asks = DeflateOptions {
        request_no_context_takeover: choice & 2 != 0,
        request_max_window_bits: if payload.len() % 2 == 1 { 9 } else { 15 },
        ..DeflateOptions::default()
    };
    let (answer, _) = asks.answer(&[asks.offer()]).unzip();
    let Ok(Some(deflate)) = asks.agree(answer.as_slice()) else { panic!("no agreement with oneself") };
    let mut wire = Vec::new();
    let (first, second) = payload.split_at(payload.len() * usize::from(choice >> 2) / 64);
    for message in [first, second] {
        wire.extend([opcode, 127]);
        let len = u64::try_from(message.len()).unwrap_or(u64::MAX);
        match u16::try_from(len) {
            Ok(short @ 0..=125) => {
                wire.pop();
                wire.extend(short.to_be_bytes().last());
            }
            Ok(long) => {
                wire.pop();
                wire.push(126);
                wire.extend(long.to_be_bytes());
            }
            Err(_) => wire.extend(len.to_be_bytes()),
        }
        wire.extend_from_slice(message);
    }
    let read = |step: usize, idles: bool| {
        let limits = Limits { max_message_bytes: MAX_BYTES, ..Limits::default() };
        let mut decoder = Decoder::new(Role::Client, limits, Options::default()).deflate(&deflate);
        let (mut input, mut events, mut error) = (BytesMut::new(), Vec::new(), None);
        for piece in wire.chunks(step) {
            input.extend_from_slice(piece);
            error = error.or(decoder.decode(&mut input, &mut events).err());
            if idles {
                decoder.idle();
            }
        }
        (events, error)
    };
    let whole: (Vec<Incoming>, Option<ProtocolError>) = read(wire.len().max(1), false);
    for (step, idles) in [(1, false), (1, true), (7, true), (1000, false)] {
        assert!(read(step, idles) == whole, "in pieces of {step} bytes something else comes out");
    }
    for event in whole.0 {
        if let Incoming::Message { payload, .. } = event {
            assert!(payload.len() <= MAX_BYTES, "{} bytes", payload.len());
        }
    }
}
