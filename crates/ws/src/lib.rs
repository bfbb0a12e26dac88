//! The WebSocket protocol as plain functions over bytes: no socket, no clock, no runtime.
//!
//! What a connection task does with the parts:
//!
//! 1. Every read goes through a [`Decoder`], which turns one buffer into many [`Incoming`] items, and
//!    every write is collected by an [`Encoder`] into one output buffer.
//! 2. [`Closing`] says what to answer to a Close, how long to wait for what, and how the end is to be reported.
//!
//! Rules come from RFC 6455 and `spec/websocket.md`. No extension is implemented here yet: RSV1 is refused in one
//! place ([`ProtocolError::ReservedBits`]).

mod closing;
mod decoder;
mod encoder;
mod error;
mod header;
mod mask;
mod options;
mod random;
mod utf8;

pub use closing::{
    CloseAnswer, CloseFrame, CloseTimeouts, Closing, End, EndedBy, Next, Outcome, is_wire_code,
    truncate_reason,
};
pub use decoder::{Decoder, Incoming};
pub use encoder::Encoder;
pub use error::{EncodeError, ErrorKind, ProtocolError};
pub use mask::mask;
pub use options::{Accepted, Limits, Options, Role};
pub use tungstenite::protocol::frame::coding::CloseCode;
