//! The read buffer of a connection: small while little comes, large while much does.

use bytes::BytesMut;
use std::{
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// Room for a read on a connection that does little. It is on the stack: such a connection owns no more than what
/// came and was not yet taken.
const LEAST_BYTES: usize = 4 * 1024;
/// Room for a read while the peer fills every one.
const MOST_BYTES: usize = 64 * 1024;
/// Reads in a row that leave most of the room empty before there is less of it.
const SMALL_READS: u8 = 16;

/// Bytes that were read and not yet taken, and room for more.
pub(super) struct Buffer {
    bytes: BytesMut,
    room: usize,
    small_reads: u8,
}

impl Buffer {
    /// A buffer that begins with what arrived behind the handshake.
    pub(super) fn new(bytes: &BytesMut) -> Self {
        // Most often nothing: the memory of the handshake is given back.
        Self { bytes: BytesMut::from(bytes.as_ref()), room: LEAST_BYTES, small_reads: 0 }
    }

    /// What was read and not yet taken.
    pub(super) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Reads once; 0 at the end of the stream.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
    ) -> Poll<io::Result<usize>> {
        if self.room <= LEAST_BYTES {
            let mut space = [MaybeUninit::uninit(); LEAST_BYTES];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(reader).poll_read(cx, &mut read))?;
            self.bytes.extend_from_slice(read.filled());
            let read = read.filled().len();
            if read == LEAST_BYTES {
                self.room *= 2;
            }
            return Poll::Ready(Ok(read));
        }
        self.bytes.reserve(self.room);
        let offered = self.bytes.capacity() - self.bytes.len();
        let read = ready!(pin!(reader.read_buf(&mut self.bytes)).poll(cx))?;
        if read >= offered.min(self.room) {
            self.room = (self.room * 2).min(MOST_BYTES);
            self.small_reads = 0;
        } else if read < self.room / 4 {
            self.small_reads += 1;
            if self.small_reads >= SMALL_READS {
                self.room /= 2;
                self.small_reads = 0;
            }
        } else {
            self.small_reads = 0;
        }
        Poll::Ready(Ok(read))
    }

    /// Throws away what comes, until the stream ends.
    pub(super) fn poll_discard(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
    ) -> Poll<()> {
        loop {
            self.bytes.clear();
            if !matches!(ready!(self.poll_fill(cx, reader)), Ok(read) if read > 0) {
                return Poll::Ready(());
            }
        }
    }

    /// Gives back memory that an idle connection does not need.
    pub(super) fn rest(&mut self) {
        self.room = LEAST_BYTES;
        self.small_reads = 0;
        // What is left of an unfinished frame header stays, in memory of its own.
        self.bytes = BytesMut::from(self.bytes.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt;

    async fn fill(buffer: &mut Buffer, mut from: &[u8]) -> usize {
        poll_fn(|cx| buffer.poll_fill(cx, &mut from)).await.unwrap()
    }

    #[tokio::test]
    async fn the_room_follows_what_comes() {
        let mut buffer = Buffer::new(&BytesMut::new());
        let flood = vec![7; 1 << 20];
        let mut flood = flood.as_slice();
        while poll_fn(|cx| buffer.poll_fill(cx, &mut flood)).await.unwrap() > 0 {
            buffer.bytes().clear();
        }
        assert_eq!(buffer.room, MOST_BYTES);
        for _ in 0..200 {
            assert_eq!(fill(&mut buffer, &[1; 10]).await, 10);
            buffer.bytes().clear();
        }
        assert_eq!(buffer.room, LEAST_BYTES);
        buffer.bytes().extend_from_slice(b"unfinished");
        buffer.rest();
        assert_eq!(buffer.bytes().as_ref(), b"unfinished");
        assert!(buffer.bytes().capacity() < 100);
        assert_eq!(fill(&mut buffer, &[1; 5000]).await, LEAST_BYTES);
        assert_eq!(buffer.room, 2 * LEAST_BYTES);
    }

    #[tokio::test]
    async fn little_that_comes_takes_little_memory_and_nothing_while_nothing_does() {
        let mut buffer = Buffer::new(&BytesMut::new());
        let (mut near, mut far) = tokio::io::duplex(LEAST_BYTES);
        assert!(poll_fn(|cx| buffer.poll_fill(cx, &mut near)).now_or_never().is_none());
        assert_eq!(buffer.bytes().capacity(), 0);
        far.write_all(&[7; 100]).await.unwrap();
        assert_eq!(poll_fn(|cx| buffer.poll_fill(cx, &mut near)).await.unwrap(), 100);
        assert_eq!(buffer.bytes().as_ref(), [7; 100]);
        assert!(buffer.bytes().capacity() < 256);
    }
}
