//! Frames and texts.

use crate::header::Header;
use crate::utf8::Utf8;
use crate::{Accepted, Decoder, Deflate, DeflateOptions, Incoming, Limits, Options, ProtocolError, Role};
use bytes::BytesMut;

/// The longest unfinished control frame: header, key and payload but for one byte.
const MAX_LEFT_BYTES: usize = 130;

/// What a decoder made of some bytes: items, the error if there was one, what it left in the buffer.
pub(super) type Decoded = (Vec<Incoming>, Option<ProtocolError>);

/// Reads the bytes behind the first one as frames, whole, byte by byte, in other pieces, and item by item: every time the
/// same comes out, nothing is larger than allowed, and at most an unfinished header or control frame is left behind. The
/// first byte chooses role and options.
///
/// # Panics
/// If not.
pub fn frames_agree(data: &[u8]) {
    let Some((choice, wire)) = data.split_first() else { return };
    let is_set = |bit: u8| choice & (1 << bit) != 0;
    let role = if is_set(0) { Role::Client } else { Role::Server };
    let options = Options {
        require_masked_client_frames: is_set(1),
        accept_masked_server_frames: !is_set(1),
        validate_utf8: !is_set(5),
        accept: match (is_set(3), is_set(4)) {
            (true, false) => Accepted::Text,
            (false, true) => Accepted::Binary,
            _ => Accepted::Any,
        },
        ..Options::default()
    };
    let limits = if is_set(6) {
        Limits { max_frame_bytes: 130, max_message_bytes: 300, max_fragments: 5 }
    } else {
        Limits { max_frame_bytes: 70_000, max_message_bytes: 100_000, max_fragments: 0 }
    };
    let (ours, theirs) = agreed(DeflateOptions::default());
    let new = || {
        let decoder = Decoder::new(role, limits, options);
        let deflate = if role == Role::Client { &ours } else { &theirs };
        if is_set(2) { decoder.deflate(deflate) } else { decoder }
    };
    let whole = read(new(), wire, wire.len());
    for step in [1, usize::from(*choice) + 2] {
        assert!(read(new(), wire, step) == whole, "in pieces of {step} bytes something else comes out");
    }
    assert!(read_singly(new(), wire) == whole, "item by item something else comes out");
    for event in &whole.0 {
        check(event, &limits, &options);
    }
    headers_agree(wire, role, &options, is_set(2));
}

pub(super) fn read(mut decoder: Decoder, wire: &[u8], step: usize) -> Decoded {
    let (mut input, mut events, mut error) = (BytesMut::new(), Vec::new(), None);
    for piece in wire.chunks(step.max(1)) {
        input.extend_from_slice(piece);
        if let Err(found) = decoder.decode(&mut input, &mut events) {
            assert!(error.is_none(), "a decoder fails once");
            error = Some(found);
        }
        assert!(input.len() <= MAX_LEFT_BYTES, "{} bytes left behind", input.len());
    }
    (events, error)
}

/// Asks for one item at a time, each into an empty list.
fn read_singly(mut decoder: Decoder, wire: &[u8]) -> Decoded {
    let (mut input, mut events) = (BytesMut::from(wire), Vec::new());
    loop {
        let mut one = Vec::new();
        let result = decoder.decode_some(&mut input, &mut one, 1);
        assert!(one.len() <= 1, "{} items at once", one.len());
        let is_end = one.is_empty();
        events.append(&mut one);
        match result {
            Err(error) => return (events, Some(error)),
            Ok(()) if is_end => return (events, None),
            Ok(()) => {}
        }
    }
}

fn check(event: &Incoming, limits: &Limits, options: &Options) {
    match event {
        Incoming::Message { payload, binary, frames, .. } => {
            assert!(payload.len() <= limits.max_message_bytes, "{} bytes", payload.len());
            assert!(*frames >= 1);
            if limits.max_fragments != 0 {
                // An empty frame at the end is not counted.
                assert!(*frames <= limits.max_fragments + 1, "{frames} frames");
            }
            let is_text = std::str::from_utf8(payload).is_ok();
            assert!(*binary || is_text || !options.validate_utf8, "text that is none: {payload:?}");
            assert!(!matches!((options.accept, *binary), (Accepted::Text, true) | (Accepted::Binary, false)));
        }
        Incoming::Ping(payload) | Incoming::Pong(payload) => assert!(payload.len() <= 125),
        Incoming::Close { code, reason } => {
            assert!(reason.len() <= 123 && (code.is_some() || reason.is_empty()));
            assert!(code.is_none_or(crate::is_wire_code), "close code {code:?}");
        }
    }
}

/// The header in front is written as it was read, and a shorter piece of it is not read as one.
fn headers_agree(wire: &[u8], role: Role, options: &Options, deflates: bool) {
    let Ok(Some(header)) = Header::parse(wire, role, options, deflates) else { return };
    let Ok(len) = usize::try_from(header.payload_len) else { return };
    let mut written = Vec::new();
    Header::write(header.fin, header.opcode, header.compressed, header.key, len, &mut written);
    let (read, _) = wire.split_at(header.header_len);
    assert_eq!(written, read, "a header is written in another way than it was read");
    for end in 0..header.header_len {
        let (part, _) = wire.split_at(end);
        assert_eq!(Header::parse(part, role, options, deflates), Ok(None), "a header of {end} bytes");
    }
}

/// What client and server make of these wishes of the client.
pub(super) fn agreed(wants: DeflateOptions) -> (Deflate, Deflate) {
    let Some((answer, server)) = DeflateOptions::default().answer(&[wants.offer()]) else {
        panic!("a server declines our own offer")
    };
    match wants.agree(&[answer]) {
        Ok(Some(client)) => (client, server),
        other => panic!("a client makes {other:?} of our own answer"),
    }
}

/// Takes the bytes behind the first one for a text that arrives in pieces: it is refused at the first byte that the
/// standard library finds beyond repair, and a text is complete where that says so. The first byte chooses the pieces.
///
/// # Panics
/// If not.
pub fn utf8_agrees(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    for step in [1, usize::from(*choice) + 1, text.len().max(1)] {
        let mut utf8 = Utf8::default();
        let mut end = 0;
        for piece in text.chunks(step) {
            end += piece.len();
            let (so_far, _) = text.split_at(end);
            let expected = std::str::from_utf8(so_far);
            let hopeless = expected.is_err_and(|error| error.error_len().is_some());
            assert_eq!(utf8.push(piece), !hopeless, "{so_far:x?} in pieces of {step} bytes");
            if hopeless {
                return;
            }
            assert_eq!(utf8.clone().finish(), expected.is_ok(), "the end of {so_far:x?}");
        }
    }
}
