//! Compressed messages.

use super::inflate::{Inflated, Slow};
use crate::{Decoder, DeflateOptions, Incoming, Limits, Options, ProtocolError, Role};
use bytes::BytesMut;

/// Bytes that a message may inflate to here: more than the largest window.
const MAX_BYTES: usize = 40_000;

/// What a decoder made of some bytes.
type Decoded = (Vec<Incoming>, Option<ProtocolError>);

/// Takes `data` for two compressed messages and reads them whole, byte by byte with memory given back between, and in other
/// pieces: every time comes out what comes of reading them bit by bit, and no message is larger than it may be. The first
/// byte chooses how, and a window is small where the number of those behind it is odd.
///
/// # Panics
/// If not.
pub fn inflating_agrees(data: &[u8]) {
    let Some((choice, payload)) = data.split_first() else { return };
    let binary = choice & 1 != 0;
    let asks = DeflateOptions {
        request_no_context_takeover: choice & 2 != 0,
        request_max_window_bits: if payload.len() % 2 == 1 { 9 } else { 15 },
        ..DeflateOptions::default()
    };
    let (answer, _) = asks.answer(&[asks.offer()]).unzip();
    let Ok(Some(deflate)) = asks.agree(answer.as_slice()) else { panic!("no agreement with oneself") };
    let (first, second) = payload.split_at(payload.len() * usize::from(choice >> 2) / 64);
    let mut wire = Vec::new();
    for message in [first, second] {
        wire.push(if binary { 0xc2 } else { 0xc1 });
        write_len(message.len(), &mut wire);
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
        // The next one begins with what this has left.
        decoder.idle();
        (events, error)
    };
    let mut slow = Slow::new(deflate.theirs, 1 << 15);
    let expected = expected([first, second], binary, &mut slow);
    for (step, idles) in [(wire.len(), false), (1, true), (2 + payload.len() % 61, false)] {
        let read = read(step, idles);
        assert!(read == expected, "in pieces of {step} bytes something else comes out");
    }
}

fn write_len(len: usize, out: &mut Vec<u8>) {
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ 0..=125), _) => out.push(short),
        (_, Ok(long)) => {
            out.push(126);
            out.extend(long.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend(u64::try_from(len).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
}

/// What comes of the `messages`: the worst mistake is the one that stands first.
fn expected(messages: [&[u8]; 2], binary: bool, slow: &mut Slow) -> Decoded {
    let mut events = Vec::new();
    for message in messages {
        let Inflated { bytes, is_whole } = slow.message(message, MAX_BYTES);
        let fitting = bytes.get(..MAX_BYTES).unwrap_or(&bytes);
        let text = if binary { Ok("") } else { std::str::from_utf8(fitting) };
        let error = match text {
            Err(error) if error.error_len().is_some() => ProtocolError::TextNotUtf8,
            _ if bytes.len() > MAX_BYTES => ProtocolError::InflatedTooLarge { max: MAX_BYTES },
            _ if !is_whole => ProtocolError::InflateFailed,
            Err(_) => ProtocolError::TextNotUtf8,
            Ok(_) => {
                events.push(Incoming::Message { payload: bytes.into(), binary, frames: 1, compressed: true });
                continue;
            }
        };
        return (events, Some(error));
    }
    (events, None)
}
