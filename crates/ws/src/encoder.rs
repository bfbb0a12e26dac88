//! Messages to bytes for the peer.

use crate::closing::{is_wire_code, truncate_reason};
use crate::deflate::{Compressor, Deflate};
use crate::error::EncodeError;
use crate::header::{Header, MAX_CONTROL_BYTES, MAX_HEADER_BYTES};
use crate::mask::mask;
use crate::options::{Options, Role};
use crate::random::MaskKeys;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Frames what one connection sends.
///
/// Every method appends to the caller's buffer, so that many messages leave in one write. On an error the buffer
/// is as it was before the call. After a [`close`](Self::close) nothing more can be sent.
pub struct Encoder {
    masked: bool,
    apply_mask: bool,
    validate_utf8: bool,
    fragment_bytes: usize,
    keys: MaskKeys,
    /// Boxed: most connections do not compress.
    compressor: Option<Box<Compressor>>,
    closed: bool,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys not yet used stay out of logs.
        f.debug_struct("Encoder")
            .field("masked", &self.masked)
            .field("fragment_bytes", &self.fragment_bytes)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder for a fresh connection; `role` is our own.
    pub fn new(role: Role, options: Options) -> Self {
        let masked = match role {
            Role::Client => options.mask_client_frames,
            Role::Server => options.mask_server_frames,
        };
        Self {
            masked,
            apply_mask: options.apply_mask,
            validate_utf8: options.validate_utf8,
            fragment_bytes: options.auto_fragment_size,
            keys: MaskKeys::new(getrandom::fill),
            compressor: None,
            closed: false,
        }
    }

    /// For a connection that has agreed on compression.
    pub fn deflate(mut self, deflate: &Deflate) -> Self {
        self.compressor = Some(Box::new(Compressor::new(deflate)));
        self
    }

    /// Appends a message, compressed if that was agreed and it is long enough, in several frames if what is sent is longer
    /// than [`Options::auto_fragment_size`](crate::Options::auto_fragment_size).
    ///
    /// # Errors
    /// [`EncodeError::NotUtf8`] for text that is not; [`EncodeError::Closed`]; [`EncodeError::Random`];
    /// [`EncodeError::Deflate`].
    pub fn message(&mut self, payload: &[u8], binary: bool, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let kind = self.check_kind(payload, binary)?;
        if self.compresses(payload) {
            return self.compressed(kind, payload, out);
        }
        self.data(kind, false, payload, out)
    }

    /// As [`message`](Self::message), but never compressed.
    ///
    /// # Errors
    /// As for [`message`](Self::message).
    pub fn plain_message(
        &mut self,
        payload: &[u8],
        binary: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let kind = self.check_kind(payload, binary)?;
        self.data(kind, false, payload, out)
    }

    /// As [`message`](Self::message), but leaves out the payload where that is sent as it is: `true` if only the header
    /// was appended and the payload has to follow. `false` if all was, since it is masked, compressed or comes in fragments.
    ///
    /// # Errors
    /// As for [`message`](Self::message).
    pub fn message_head(
        &mut self,
        payload: &[u8],
        binary: bool,
        out: &mut Vec<u8>,
    ) -> Result<bool, EncodeError> {
        if self.compresses(payload) {
            return self.message(payload, binary, out).map(|()| false);
        }
        self.plain_message_head(payload, binary, out)
    }

    /// As [`message_head`](Self::message_head), but never compressed.
    ///
    /// # Errors
    /// As for [`message`](Self::message).
    pub fn plain_message_head(
        &mut self,
        payload: &[u8],
        binary: bool,
        out: &mut Vec<u8>,
    ) -> Result<bool, EncodeError> {
        let kind = self.check_kind(payload, binary)?;
        if self.masked || self.splits(payload) {
            return self.data(kind, false, payload, out).map(|()| false);
        }
        self.check_open()?;
        Header::write(true, OpCode::Data(kind), false, None, payload.len(), out);
        Ok(true)
    }

    /// Gives back room that large messages took.
    pub fn rest(&mut self) {
        if let Some(compressor) = &mut self.compressor {
            compressor.rest();
        }
    }

    /// Gives back memory that is only needed while messages are sent; a compressed one has to make up for that later.
    pub fn idle(&mut self) {
        if let Some(compressor) = &mut self.compressor {
            compressor.idle();
        }
    }

    /// Whether messages may be compressed, which takes long for large ones.
    pub fn may_compress(&self) -> bool {
        self.compressor.is_some()
    }

    fn compresses(&self, payload: &[u8]) -> bool {
        self.compressor.as_ref().is_some_and(|compressor| compressor.wants(payload.len()))
    }

    fn compressed(&mut self, kind: Data, payload: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        // A message that went into the window has to be sent.
        self.check_open()?;
        let Some(mut compressor) = self.compressor.take() else { return Err(EncodeError::Deflate) };
        let sent = compressor.compress(payload).and_then(|payload| self.data(kind, true, payload, out));
        self.compressor = Some(compressor);
        sent
    }

    fn check_kind(&self, payload: &[u8], binary: bool) -> Result<Data, EncodeError> {
        if binary {
            return Ok(Data::Binary);
        }
        if self.validate_utf8 && simdutf8::basic::from_utf8(payload).is_err() {
            return Err(EncodeError::NotUtf8);
        }
        Ok(Data::Text)
    }

    fn splits(&self, payload: &[u8]) -> bool {
        self.fragment_bytes != 0 && payload.len() > self.fragment_bytes
    }

    /// Appends a text message; the same as [`message`](Self::message) without looking at the bytes again.
    ///
    /// # Errors
    /// [`EncodeError::Closed`]; [`EncodeError::Random`].
    pub fn text(&mut self, payload: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.compresses(payload.as_bytes()) {
            return self.compressed(Data::Text, payload.as_bytes(), out);
        }
        self.data(Data::Text, false, payload.as_bytes(), out)
    }

    /// Appends a ping.
    ///
    /// # Errors
    /// [`EncodeError::ControlTooLong`] for more than 125 bytes; [`EncodeError::Closed`]; [`EncodeError::Random`].
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.control(Control::Ping, payload, out)
    }

    /// Appends a pong.
    ///
    /// # Errors
    /// As for [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.control(Control::Pong, payload, out)
    }

    /// Appends a Close, the last frame of the connection. The reason is cut to 123 bytes on a character border.
    ///
    /// # Errors
    /// [`EncodeError::CloseCodeNotSendable`], [`EncodeError::ReasonWithoutCode`], [`EncodeError::Closed`],
    /// [`EncodeError::Random`].
    pub fn close(&mut self, code: Option<u16>, reason: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut body = Vec::with_capacity(MAX_CONTROL_BYTES);
        match code {
            Some(code) if !is_wire_code(code) => return Err(EncodeError::CloseCodeNotSendable { code }),
            Some(code) => {
                body.extend_from_slice(&code.to_be_bytes());
                body.extend_from_slice(truncate_reason(reason).as_bytes());
            }
            None if !reason.is_empty() => return Err(EncodeError::ReasonWithoutCode),
            None => {}
        }
        self.control(Control::Close, &body, out)?;
        self.closed = true;
        Ok(())
    }

    /// `true` once a Close was appended.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn control(&mut self, control: Control, payload: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if payload.len() > MAX_CONTROL_BYTES {
            return Err(EncodeError::ControlTooLong { len: payload.len() });
        }
        self.check_open()?;
        self.frame(true, OpCode::Control(control), false, payload, out)
    }

    fn data(
        &mut self,
        kind: Data,
        compressed: bool,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.check_open()?;
        if !self.splits(payload) {
            return self.frame(true, OpCode::Data(kind), compressed, payload, out);
        }
        let start = out.len();
        let last = payload.len().div_ceil(self.fragment_bytes) - 1;
        for (index, fragment) in payload.chunks(self.fragment_bytes).enumerate() {
            let opcode = OpCode::Data(if index == 0 { kind } else { Data::Continue });
            let compressed = compressed && index == 0;
            if let Err(error) = self.frame(index == last, opcode, compressed, fragment, out) {
                out.truncate(start);
                return Err(error);
            }
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), EncodeError> {
        if self.closed { Err(EncodeError::Closed) } else { Ok(()) }
    }

    fn frame(
        &mut self,
        fin: bool,
        opcode: OpCode,
        compressed: bool,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let key = if self.masked { Some(self.keys.next().map_err(EncodeError::Random)?) } else { None };
        out.reserve(MAX_HEADER_BYTES + payload.len());
        Header::write(fin, opcode, compressed, key, payload.len(), out);
        let start = out.len();
        out.extend_from_slice(payload);
        if let (Some(key), Some(written)) = (key.filter(|_| self.apply_mask), out.get_mut(start..)) {
            mask(written, key, 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_generator_leaves_the_buffer_alone() {
        let options = Options { auto_fragment_size: 10, ..Options::default() };
        let mut encoder = Encoder::new(Role::Client, options);
        encoder.keys = MaskKeys::new(|_| Err(getrandom::Error::UNSUPPORTED));
        let mut out = b"before".to_vec();
        let error = encoder.message(&[0; 100], true, &mut out).unwrap_err();
        assert_eq!(error, EncodeError::Random(getrandom::Error::UNSUPPORTED));
        assert!(!error.can_continue());
        assert_eq!(out, b"before");
    }

    #[test]
    fn a_generator_that_fails_in_the_middle_takes_the_begun_message_back() {
        use std::sync::atomic::{AtomicBool, Ordering};
        static USED: AtomicBool = AtomicBool::new(false);
        let options = Options { auto_fragment_size: 1, ..Options::default() };
        let mut encoder = Encoder::new(Role::Client, options);
        encoder.keys = MaskKeys::new(|_| match USED.swap(true, Ordering::Relaxed) {
            false => Ok(()),
            true => Err(getrandom::Error::UNSUPPORTED),
        });
        let mut out = b"before".to_vec();
        assert!(encoder.message(&[0; 100], true, &mut out).is_err());
        assert_eq!(out, b"before");
    }

    #[test]
    fn a_head_and_the_payload_are_the_message() {
        for (role, fragment_bytes, only_head) in
            [(Role::Server, 0, true), (Role::Server, 10, false), (Role::Client, 0, false)]
        {
            let options =
                Options { auto_fragment_size: fragment_bytes, apply_mask: false, ..Options::default() };
            let mut encoder = Encoder::new(role, options);
            encoder.keys = MaskKeys::new(|keys| {
                keys.fill(1);
                Ok(())
            });
            for (payload, binary) in [([b'x'; 300].as_slice(), false), (&[0xff; 70_000], true), (b"", true)] {
                let (mut whole, mut parts) = (b"before".to_vec(), b"before".to_vec());
                encoder.message(payload, binary, &mut whole).unwrap();
                let is_head = encoder.message_head(payload, binary, &mut parts).unwrap();
                assert_eq!(is_head, only_head || (role == Role::Server && payload.is_empty()));
                parts.extend_from_slice(if is_head { payload } else { b"" });
                assert_eq!(parts, whole);
            }
            assert_eq!(encoder.message_head(b"\xff", false, &mut Vec::new()), Err(EncodeError::NotUtf8));
            encoder.close(None, "", &mut Vec::new()).unwrap();
            assert_eq!(encoder.message_head(b"late", false, &mut Vec::new()), Err(EncodeError::Closed));
        }
    }

    #[test]
    fn a_server_asks_for_no_keys() {
        let mut encoder = Encoder::new(Role::Server, Options::default());
        encoder.keys = MaskKeys::new(|_| Err(getrandom::Error::UNSUPPORTED));
        let mut out = Vec::new();
        encoder.text("flow", &mut out).unwrap();
        assert_eq!(out, b"\x81\x04flow");
    }
}
