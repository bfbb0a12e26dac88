//! Properties that hold for any bytes, for the tests of this crate and for the fuzzer.
#![expect(clippy::panic, reason = "tests fail by panicking")]

mod deflate;
mod extensions;
mod frames;
mod handshakes;
mod heads;
mod inflate;
mod messages;

pub use deflate::inflating_agrees;
pub use extensions::extensions_agree;
pub use frames::{frames_agree, utf8_agrees};
pub use handshakes::{answer_agrees, request_agrees};
pub use messages::messages_agree;
