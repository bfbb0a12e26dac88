//! Frames written by hand, and a decoder fed in every way.

use bytes::BytesMut;
use tremor_ws::{Decoder, Deflate, Incoming, Limits, Options, ProtocolError, Role};

pub(crate) const KEY: [u8; 4] = [0x01, 0x82, 0x03, 0xf4];

/// One frame: `first` is FIN, RSV and opcode; the length takes its shortest form.
pub(crate) fn frame(first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let len = payload.len();
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    let mut out = vec![first];
    if len < 126 {
        out.push(mask_bit | len as u8);
    } else if len < 65536 {
        out.push(mask_bit | 126);
        out.extend((len as u16).to_be_bytes());
    } else {
        out.push(mask_bit | 127);
        out.extend((len as u64).to_be_bytes());
    }
    match key {
        Some(key) => {
            out.extend(key);
            out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
        None => out.extend(payload),
    }
    out
}

/// The key that `role` expects of its peer.
pub(crate) fn peer_key(role: Role) -> Option<[u8; 4]> {
    match role {
        Role::Server => Some(KEY),
        Role::Client => None,
    }
}

/// What a decoder made of some bytes.
pub(crate) type Decoded = (Vec<Incoming>, Option<ProtocolError>);

pub(crate) struct Setup {
    pub(crate) role: Role,
    pub(crate) limits: Limits,
    pub(crate) options: Options,
    pub(crate) deflate: Option<Deflate>,
}

impl Setup {
    pub(crate) fn new(role: Role) -> Self {
        Self { role, limits: Limits::default(), options: Options::default(), deflate: None }
    }

    /// Feeds pieces one after another, as reads into the same buffer.
    pub(crate) fn feed<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
        let mut decoder = Decoder::new(self.role, self.limits, self.options);
        if let Some(deflate) = &self.deflate {
            decoder = decoder.deflate(deflate);
        }
        let mut input = BytesMut::new();
        let mut events = Vec::new();
        let mut first_error = None;
        for piece in pieces {
            input.extend_from_slice(piece);
            if let Err(error) = decoder.decode(&mut input, &mut events) {
                assert_eq!(first_error, None, "a failed decoder fails once");
                first_error = Some(error);
            }
            assert!(input.len() <= 130, "{} bytes left behind", input.len());
        }
        (events, first_error)
    }

    pub(crate) fn whole(&self, bytes: &[u8]) -> Decoded {
        self.feed([bytes])
    }

    /// Feeds whole, in bytes, and cut in two at every position (at some of them if there are many), and demands
    /// the same every time.
    pub(crate) fn every_way(&self, bytes: &[u8]) -> Decoded {
        let whole = self.whole(bytes);
        if bytes.len() < 20_000 {
            assert!(self.feed(bytes.chunks(1)) == whole, "byte by byte gives something else");
        }
        let len = bytes.len();
        let everywhere = 0..if len < 2000 { len } else { 20 };
        for at in everywhere.chain([len / 3, len / 2 + 1, len - 1]) {
            let (head, tail) = bytes.split_at(at);
            assert!(self.feed([head, tail]) == whole, "cut at {at} gives something else");
        }
        assert!(self.feed(bytes.chunks(4093)) == whole, "in reads of 4093 bytes gives something else");
        whole
    }
}

pub(crate) fn text(payload: &str) -> Incoming {
    Incoming::Message { payload: payload.to_owned().into(), binary: false, frames: 1, compressed: false }
}

pub(crate) fn message(payload: &[u8], binary: bool, frames: u32) -> Incoming {
    Incoming::Message { payload: payload.to_vec().into(), binary, frames, compressed: false }
}

pub(crate) fn close(code: impl Into<Option<u16>>, reason: &str) -> Incoming {
    Incoming::Close { code: code.into(), reason: reason.to_owned() }
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
