//! The protocol as a peer sees it: bytes in, messages and answers out.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail the way tests do"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "frames are written by hand here, with lengths that fit"
)]

mod client;
mod closing;
mod corpus;
mod deflate;
mod framing;
mod peer;
mod properties;
mod server;
mod violations;
mod wire;
