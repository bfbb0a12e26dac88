//! Properties that hold for any bytes, for the tests of this crate and for the fuzzer.
#![expect(clippy::panic, reason = "tests fail by panicking")]

mod connect;
mod deflate;
mod extensions;
mod forwarded;
mod frames;
mod handshakes;
mod heads;
mod inflate;
mod messages;
mod proxy_header;

pub use connect::{connect_agrees, connect_answer_agrees};
pub use deflate::inflating_agrees;
pub use extensions::extensions_agree;
pub use forwarded::forwarded_agrees;
pub use frames::{frames_agree, utf8_agrees};
pub use handshakes::{answer_agrees, request_agrees};
pub use messages::messages_agree;
pub use proxy_header::proxy_header_agrees;
