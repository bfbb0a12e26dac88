//! The opening handshake, both sides. Source: `spec/websocket.md` 3 and 8, RFC 6455 section 4.

mod authority;
mod client;
mod cors;
mod headers;
mod http2;
mod reject;
mod request;
mod scan;
mod server;
mod tunnel;

pub use authority::{Authority, host_header};
pub use client::{ClientError, ClientHandshake, ClientRequest, Refusal, RequestError, Response};
#[cfg(test)]
pub(crate) use headers::headers_of;
pub use headers::{Extension, ExtraHeaders, HeaderError, Headers, is_token};
pub(crate) use headers::{is_token_byte, split_outside_quotes, trim, unquote};
pub use http2::{ClientConnect, Http2Start};
pub use reject::{Answer, Page, Reject, RejectOptions};
pub use request::{Head, Request, Target};
pub use server::{Accept, AcceptError, HandshakeOptions, ServerHandshake, accept, accept_http2};
pub use tunnel::TunnelHandshake;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// What the server puts into `Sec-WebSocket-Accept` for the text of a `Sec-WebSocket-Key`.
///
/// ```
/// assert_eq!(tremor_ws::accept_key("AAECAwQFBgcICQoLDA0ODw=="), "Bz3qJYTGdOe8gUSpLosEdiLKDrk=");
/// ```
pub fn accept_key(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::accept_key;

    #[test]
    fn accept_values_of_the_spec() {
        assert_eq!(accept_key("AAECAwQFBgcICQoLDA0ODw=="), "Bz3qJYTGdOe8gUSpLosEdiLKDrk=");
        assert_eq!(accept_key("cGlwZWxpbmUtbm9uY2UtMQ=="), "8S4VvdwAW9WGYXNL/bWHamDXsjU=");
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
