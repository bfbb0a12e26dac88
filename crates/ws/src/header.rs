//! The header of a frame.

use crate::error::ProtocolError;
use crate::options::{Options, Role};
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Longest payload of a control frame in bytes.
pub(crate) const MAX_CONTROL_BYTES: usize = 125;

/// Longest header in bytes.
pub(crate) const MAX_HEADER_BYTES: usize = 14;

const FIN: u8 = 0x80;
const RSV: u8 = 0x70;
const RSV1: u8 = 0x40;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// A frame header as it was on the wire.
///
/// Shape: one byte FIN, RSV1-3 and opcode; one byte mask bit and length; 0, 2 or 8 bytes of longer length
/// (big-endian); 0 or 4 bytes of masking key. Source: RFC 6455, section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) opcode: OpCode,
    /// RSV1, which begins a compressed message.
    pub(crate) compressed: bool,
    pub(crate) key: Option<[u8; 4]>,
    pub(crate) payload_len: u64,
    /// Bytes of the header itself, 2 to 14.
    pub(crate) header_len: usize,
}

impl Header {
    /// Reads the header at the front of `input`; `None` until it is there completely.
    ///
    /// Everything that the first two bytes give away is refused as soon as they are there. RSV1 is, unless `deflates`
    /// and it is the first frame of a message.
    ///
    /// # Errors
    /// Every rule that a single frame can break by its header; order of frames and limits are the decoder's.
    pub(crate) fn parse(
        input: &[u8],
        role: Role,
        options: &Options,
        deflates: bool,
    ) -> Result<Option<Self>, ProtocolError> {
        let Some((&[first, second], rest)) = input.split_first_chunk::<2>() else { return Ok(None) };
        let masked = second & MASKED != 0;
        let fin = first & FIN != 0;
        let short = second & LENGTH;
        let opcode = OpCode::from(first & OPCODE);
        check(first, masked, role, options, deflates)?;
        if let OpCode::Control(_) = opcode {
            if usize::from(short) > MAX_CONTROL_BYTES {
                return Err(ProtocolError::ControlTooLong);
            }
            if !fin {
                return Err(ProtocolError::ControlFragmented);
            }
        }
        let (payload_len, rest, length_bytes) = match short {
            126 => {
                let Some((long, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
                let len = u64::from(u16::from_be_bytes(*long));
                if len < 126 {
                    return Err(ProtocolError::LengthNotMinimal { len });
                }
                (len, rest, 2)
            }
            127 => {
                let Some((long, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
                let len = u64::from_be_bytes(*long);
                if len >> 63 == 1 {
                    return Err(ProtocolError::LengthTopBit);
                }
                if u16::try_from(len).is_ok() {
                    return Err(ProtocolError::LengthNotMinimal { len });
                }
                (len, rest, 8)
            }
            short => (u64::from(short), rest, 0),
        };
        let key = match (masked, rest.first_chunk::<4>()) {
            (false, _) => None,
            (true, Some(key)) => Some(*key),
            (true, None) => return Ok(None),
        };
        let header_len = 2 + length_bytes + if masked { 4 } else { 0 };
        let compressed = first & RSV1 != 0;
        Ok(Some(Self { fin, opcode, compressed, key, payload_len, header_len }))
    }

    /// Appends a header; `key` sets the mask bit, `compressed` RSV1.
    pub(crate) fn write(
        fin: bool,
        opcode: OpCode,
        compressed: bool,
        key: Option<[u8; 4]>,
        payload_len: usize,
        out: &mut Vec<u8>,
    ) {
        let mask_bit = if key.is_some() { MASKED } else { 0 };
        out.push(u8::from(opcode) | if fin { FIN } else { 0 } | if compressed { RSV1 } else { 0 });
        match (u8::try_from(payload_len), u16::try_from(payload_len)) {
            (Ok(short @ 0..=125), _) => out.push(mask_bit | short),
            (_, Ok(long)) => {
                out.push(mask_bit | 126);
                out.extend_from_slice(&long.to_be_bytes());
            }
            _ => {
                out.push(mask_bit | 127);
                // A `usize` never has more than 64 bits.
                let long = u64::try_from(payload_len).unwrap_or(u64::MAX);
                out.extend_from_slice(&long.to_be_bytes());
            }
        }
        if let Some(key) = key {
            out.extend_from_slice(&key);
        }
    }
}

/// Whether what stands here begins with a data frame.
pub(crate) fn is_data(input: &[u8]) -> bool {
    input.first().is_some_and(|first| matches!(OpCode::from(first & OPCODE), OpCode::Data(_)))
}

fn check(
    first: u8,
    masked: bool,
    role: Role,
    options: &Options,
    deflates: bool,
) -> Result<(), ProtocolError> {
    if first & RSV != 0 {
        let begins = matches!(OpCode::from(first & OPCODE), OpCode::Data(Data::Text | Data::Binary));
        if first & RSV != RSV1 || !deflates || !begins {
            return Err(ProtocolError::ReservedBits { bits: (first & RSV) >> 4 });
        }
    }
    match OpCode::from(first & OPCODE) {
        OpCode::Data(Data::Reserved(opcode)) | OpCode::Control(Control::Reserved(opcode)) => {
            return Err(ProtocolError::ReservedOpcode { opcode });
        }
        OpCode::Data(_) | OpCode::Control(_) => {}
    }
    match (role, masked) {
        (Role::Server, false) if options.require_masked_client_frames => Err(ProtocolError::Unmasked),
        (Role::Client, true) if !options.accept_masked_server_frames => Err(ProtocolError::Masked),
        _ => Ok(()),
    }
}
