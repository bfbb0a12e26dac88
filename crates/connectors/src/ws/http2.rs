//! WebSockets as streams of an HTTP/2 connection (RFC 8441, `spec/websocket.md` 18.3): what server and client have in common.
//!
//! A task of its own carries the connection. A stream is handed to the task of its WebSocket as if it were a socket.

mod frames;
mod line;
mod stream;

pub(super) use line::{Line, Watched};
pub(super) use stream::Http2Stream;

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first bytes of every HTTP/2 connection (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What may come on a stream before we have read it.
pub(super) const WINDOW_BYTES: u32 = 64 * 1024;
/// What we may write to a stream before it has left.
pub(super) const SEND_BYTES: usize = 64 * 1024;

/// How `http2` may be written for TLS: the protocol's name there.
pub(super) const ALPN: &[u8] = b"h2";

/// Reads until it is clear whether HTTP/2 begins; what was read stays in `input`. `None` at the end of the stream.
pub(super) async fn is_http2(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut bytes::BytesMut,
) -> io::Result<Option<bool>> {
    loop {
        let seen = input.len().min(PREFACE.len());
        if input.get(..seen) != PREFACE.get(..seen) {
            return Ok(Some(false));
        }
        if seen == PREFACE.len() {
            return Ok(Some(true));
        }
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
}

/// What went wrong, in words.
pub(super) fn explain(error: &h2::Error) -> String {
    match (error.get_io(), error.reason()) {
        // In its own words streams close because of a broken pipe.
        (Some(error), _) if error.kind() == io::ErrorKind::BrokenPipe => {
            "the peer ended the HTTP/2 connection".to_owned()
        }
        (Some(error), _) => tremor_connector::tls::explain(error),
        (None, Some(h2::Reason::CANCEL)) if error.is_reset() => "the peer gave the stream up".to_owned(),
        (None, Some(reason)) if error.is_reset() => format!("the stream was reset: {}", reason.description()),
        (None, Some(reason)) => format!("the HTTP/2 connection ended: {}", reason.description()),
        (None, None) => {
            let text = error.to_string();
            match text.strip_prefix("user error: ") {
                // What we had to say came too late.
                Some("unexpected frame type" | "inactive stream") => {
                    "the peer gave the stream up before it was answered".to_owned()
                }
                Some(text) => format!("HTTP/2 does not allow it: {text}"),
                None => text,
            }
        }
    }
}

/// The same as an error of a byte stream.
fn broken(error: &h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, explain(error))
}

#[cfg(test)]
mod tests;
