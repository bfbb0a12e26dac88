//! A stream of an HTTP/2 connection, as a byte stream.

use super::{Line, broken};
use bytes::{Buf, Bytes};
use h2::{RecvStream, SendStream};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
};
use tremor_connector::duplex::Stream;

/// What is written at once.
const WRITE_BYTES: usize = 16 * 1024;

/// The end of its bytes is the end of the stream; one that is dropped before is given up (`CANCEL`).
pub(in crate::ws) struct Http2Stream {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// What came and was not read; the peer may only send more when it was.
    came: Bytes,
    line: Arc<Line>,
    /// The end was sent, with this round.
    ended: Option<u64>,
    /// Its place among the streams of its connection.
    _place: Option<OwnedSemaphorePermit>,
}

impl Http2Stream {
    pub(in crate::ws) fn new(
        (send, receive): (SendStream<Bytes>, RecvStream),
        line: Arc<Line>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self { send, receive, came: Bytes::new(), line, ended: None, _place: place }
    }
}

impl AsyncRead for Http2Stream {
    /// One read gives all that is there.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let own = &mut *self;
        let before = into.filled().len();
        while into.remaining() > 0 {
            if own.came.is_empty() {
                match own.receive.poll_data(cx) {
                    Poll::Ready(Some(Ok(bytes))) => own.came = bytes,
                    Poll::Ready(Some(Err(error))) if into.filled().len() == before => {
                        return Poll::Ready(Err(broken(&error)));
                    }
                    Poll::Pending if into.filled().len() == before => return Poll::Pending,
                    // What comes after this read is asked for in the next one.
                    Poll::Ready(_) | Poll::Pending => break,
                }
                continue;
            }
            let len = own.came.len().min(into.remaining());
            into.put_slice(own.came.get(..len).unwrap_or_default());
            own.came.advance(len);
            // There is nobody to tell when the connection is gone.
            let _told_or_gone = own.receive.flow_control().release_capacity(len);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http2Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let send = &mut self.send;
        loop {
            let len = send.capacity().min(bytes.len()).min(WRITE_BYTES);
            if let Some(bytes) = bytes.get(..len).filter(|bytes| !bytes.is_empty()) {
                send.send_data(Bytes::copy_from_slice(bytes), false).map_err(|error| broken(&error))?;
                return Poll::Ready(Ok(len));
            }
            send.reserve_capacity(bytes.len().min(WRITE_BYTES));
            match ready!(send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(&error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }

    /// What was written leaves by itself, as far as the peer lets it.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Waits until what was written has left, as far as the peer lets it: the process may end behind this.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let own = &mut *self;
        let round = match own.ended {
            Some(round) => round,
            None => {
                if own.send.send_data(Bytes::new(), true).is_err() {
                    return Poll::Ready(Ok(()));
                }
                *own.ended.insert(own.line.ask())
            }
        };
        own.line.poll_done(cx, round).map(Ok)
    }
}

/// What the peer has taken of one stream is not known: others share its connection.
impl Stream for Http2Stream {}
