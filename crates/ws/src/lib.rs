//! The WebSocket protocol as plain functions over bytes: no socket, no clock, no runtime.
//!
//! What a connection task does with the parts:
//!
//! 1. A server feeds what it reads to a [`ServerHandshake`] until a [`Request`] (or a [`Reject`]) comes out, then
//!    writes the bytes of [`accept`]. A client writes [`ClientHandshake::request`] and feeds the answer back.
//!    Bytes behind the handshake stay in the input buffer.
//! 2. From then on every read goes through a [`Decoder`], which turns one buffer into many [`Incoming`] items, and
//!    every write is collected by an [`Encoder`] into one output buffer.
//! 3. [`Closing`] says what to answer to a Close, how long to wait for what, and how the end is to be reported.
//! 4. A [`Keepalive`] says when to ping and when something took too long, a [`Bucket`] what comes too fast. Both are told
//!    the time.
//!
//! Messages may be compressed: [`DeflateOptions`] offer that, or answer to an offer, and what comes of it is a
//! [`Deflate`], which decoder and encoder are given.
//!
//! Rules come from RFC 6455, RFC 7692 and `spec/websocket.md`.

mod assembly;
mod closing;
mod decoder;
mod deflate;
mod encoder;
mod error;
mod escape;
mod forwarded;
pub mod guard;
mod handshake;
mod header;
mod keepalive;
mod large;
mod mask;
mod network;
mod options;
mod origin;
mod pattern;
mod proxy_protocol;
mod random;
mod rate;
mod region;
mod route;
pub mod testing;
mod utf8;

pub use closing::{
    CloseAnswer, CloseFrame, CloseTimeouts, Closing, End, EndedBy, Next, Outcome, is_wire_code,
    truncate_reason,
};
pub use decoder::{Decoder, Incoming};
pub use deflate::{Deflate, DeflateError, DeflateOptions};
pub use encoder::Encoder;
pub use error::{EncodeError, ErrorKind, ProtocolError};
pub use escape::query_pairs;
pub use forwarded::{Forwarded, Trust};
pub use handshake::{
    Accept, AcceptError, Answer, Authority, ClientConnect, ClientError, ClientHandshake, ClientRequest,
    Extension, ExtraHeaders, HandshakeOptions, Head, HeaderError, Headers, Http2Start, Page, Refusal, Reject,
    RejectOptions, Request, RequestError, Response, ServerHandshake, Target, TunnelHandshake, accept,
    accept_http2, accept_key, host_header, is_token,
};
pub use keepalive::{Due, Heard, Keepalive, KeepaliveOptions};
pub use large::LargeMessages;
pub use mask::mask;
pub use network::{Network, NetworkError, cover, is_in};
pub use options::{Accepted, Limits, Options, Role};
pub use origin::{OriginError, OriginPattern, OriginRules};
pub use pattern::{AuthorityPattern, NoText, PathPattern, Pattern, PatternError};
pub use proxy_protocol::{
    ProxyDetails, ProxyError, ProxyHeader, ProxyStep, ProxyTls, ProxyVersion, proxy_header,
    write_proxy_header,
};
pub use rate::Bucket;
pub use route::{Asked, Candidate, Condition, NoProtocol, Protocols, Route, Routes};
pub use tungstenite::protocol::frame::coding::CloseCode;
