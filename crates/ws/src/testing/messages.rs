//! Messages that are sent.

use super::frames::{agreed, read};
use super::inflate::{Inflated, Slow};
use crate::{Decoder, DeflateOptions, Encoder, Incoming, Limits, Options, Role};

/// Reads the bytes behind the first two as frames, sends what is in them as messages, and reads those again: the same
/// comes out, in pieces of any size, compressed or not, in fragments or not, also for one who takes frames apart byte by byte
/// and inflates bit by bit. The first two bytes choose how.
///
/// # Panics
/// If not.
pub fn messages_agree(data: &[u8]) {
    let [choice, size, wire @ ..] = data else { return };
    let is_set = |bit: u8| choice & (1 << bit) != 0;
    let lenient = Options { require_masked_client_frames: false, ..Options::default() };
    let (sent, _) = read(Decoder::new(Role::Server, Limits::default(), lenient), wire, wire.len());

    let wants = DeflateOptions {
        request_no_context_takeover: is_set(2),
        no_context_takeover: is_set(3),
        request_max_window_bits: if is_set(4) { 9 } else { 15 },
        min_bytes: if is_set(5) { 20 } else { 0 },
        ..DeflateOptions::default()
    };
    let (client, server) = agreed(wants);
    let auto_fragment_size = if is_set(6) { usize::from(*size) } else { 0 };
    let options = Options { auto_fragment_size, ..Options::default() };
    let (ours, theirs) = if is_set(0) { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
    let (mut slow, mut min_bytes) = (None, None);
    let mut encoder = Encoder::new(ours, options);
    let mut decoder = Decoder::new(theirs, Limits::default(), Options::default());
    if is_set(1) {
        let (us, them) = if is_set(0) { (&client, &server) } else { (&server, &client) };
        min_bytes = Some(us.min_bytes);
        slow = Some(Slow::new(us.ours, 1 << us.ours.window_bits));
        encoder = encoder.deflate(us);
        decoder = decoder.deflate(them);
    }
    let mut out = Vec::new();
    for event in &sent {
        send(&mut encoder, event, &mut out);
        if is_set(7) {
            encoder.idle();
        }
    }
    // The next one begins with what this has left.
    encoder.idle();
    let sent_frames =
        Frames { wire: &out, masked: is_set(0), fragment_bytes: auto_fragment_size }.messages(slow);
    assert_eq!(sent_frames.len(), sent.len());
    for (found, sent) in sent_frames.iter().zip(&sent) {
        is_sent_as(found, sent, min_bytes);
    }
    let (arrived, error) = read(decoder, &out, usize::from(*size) + 1);
    assert_eq!(error, None, "what we send is refused");
    assert_eq!(arrived.len(), sent.len());
    for (arrived, sent) in arrived.iter().zip(&sent) {
        match (arrived, sent) {
            (
                Incoming::Message { payload, binary, .. },
                Incoming::Message { payload: sent, binary: was_binary, .. },
            ) => assert!(payload == sent && binary == was_binary, "{sent:?} arrived as {payload:?}"),
            _ => assert_eq!(arrived, sent),
        }
    }
}

fn send(encoder: &mut Encoder, event: &Incoming, out: &mut Vec<u8>) {
    let result = match event {
        Incoming::Message { payload, binary, .. } => encoder.message(payload, *binary, out),
        Incoming::Ping(payload) => encoder.ping(payload, out),
        Incoming::Pong(payload) => encoder.pong(payload, out),
        Incoming::Close { code, reason } => encoder.close(*code, reason, out),
    };
    assert_eq!(result, Ok(()), "what was read cannot be sent");
}

/// What others find in frames: opcode, content, and whether that was compressed.
type Found = (u8, Vec<u8>, bool);

fn is_sent_as(found: &Found, sent: &Incoming, min_bytes: Option<usize>) {
    let (opcode, content, compressed) = found;
    let expected = match sent {
        Incoming::Message { payload, binary, .. } => {
            assert_eq!(*compressed, min_bytes.is_some_and(|min| payload.len() >= min));
            (if *binary { 2 } else { 1 }, payload.to_vec())
        }
        Incoming::Ping(payload) => (9, payload.to_vec()),
        Incoming::Pong(payload) => (10, payload.to_vec()),
        Incoming::Close { code, reason } => {
            let code = code.map(|code| code.to_be_bytes().to_vec()).unwrap_or_default();
            (8, [&code, reason.as_bytes()].concat())
        }
    };
    assert_eq!((*opcode, content), (expected.0, &expected.1), "something else is sent");
}

/// Frames to be taken apart. Source: RFC 6455, section 5.2.
struct Frames<'a> {
    wire: &'a [u8],
    masked: bool,
    /// The most that a data frame may hold, 0 for anything.
    fragment_bytes: usize,
}

impl Frames<'_> {
    /// All messages and control frames; `slow` if there may be compressed ones.
    fn messages(mut self, mut slow: Option<Slow>) -> Vec<Found> {
        let mut found = Vec::new();
        let mut begun: Option<Found> = None;
        while !self.wire.is_empty() {
            let [first, second] = self.take::<2>();
            let (is_last, bits, opcode) = (first >= 0x80, first >> 4 & 7, first & 0xf);
            let payload = self.payload(second);
            if opcode >= 8 {
                assert!(is_last && bits == 0 && payload.len() <= 125);
                found.push((opcode, payload, false));
                continue;
            }
            if self.fragment_bytes != 0 {
                assert!(payload.len() <= self.fragment_bytes);
                assert!(
                    is_last || payload.len() == self.fragment_bytes,
                    "a fragment is shorter than it may be"
                );
            }
            assert!(is_last || self.fragment_bytes != 0, "fragments that nobody has asked for");
            assert_eq!(
                opcode == 0,
                begun.is_some(),
                "a message stands inside of another one, or begins in its middle"
            );
            assert!(bits == 0 || (bits == 4 && opcode != 0 && slow.is_some()), "reserved bits are set");
            let (kind, mut content, compressed) = begun.take().unwrap_or((opcode, Vec::new(), bits == 4));
            content.extend(payload);
            if !is_last {
                begun = Some((kind, content, compressed));
                continue;
            }
            if let Some(slow) = slow.as_mut().filter(|_| compressed) {
                let Inflated { bytes, is_whole } = slow.message(&content, usize::MAX);
                assert!(is_whole, "others cannot inflate what was sent: {content:x?}");
                content = bytes;
            }
            found.push((kind, content, compressed));
        }
        assert!(begun.is_none(), "a message without an end");
        found
    }

    /// What is behind the first two bytes of a frame.
    fn payload(&mut self, second: u8) -> Vec<u8> {
        assert_eq!(second >= 0x80, self.masked);
        let len = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes(self.take())),
            127 => u64::from_be_bytes(self.take()),
            short => u64::from(short),
        };
        let form = match second & 0x7f {
            126 => 126..=0xffff,
            127 => 0x1_0000..=u64::MAX >> 1,
            _ => 0..=125,
        };
        assert!(form.contains(&len), "a length of {len} is written in too many bytes");
        let key: [u8; 4] = if self.masked { self.take() } else { [0; 4] };
        let Some((payload, rest)) = usize::try_from(len).ok().and_then(|len| self.wire.split_at_checked(len))
        else {
            panic!("a frame is longer than what was sent")
        };
        self.wire = rest;
        payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((taken, rest)) = self.wire.split_first_chunk() else { panic!("a header without an end") };
        self.wire = rest;
        *taken
    }
}
