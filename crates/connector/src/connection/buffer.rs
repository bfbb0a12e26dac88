//! The read buffer of a connection: small while little comes, large while much does.

use bytes::BytesMut;
use std::{
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, ReadBuf},
    task::yield_now,
};

/// Room for a read on a connection that does little.
const LEAST_BYTES: usize = 4 * 1024;
/// Room for a read while the peer fills every one.
const MOST_BYTES: usize = 64 * 1024;
/// Reads in a row that leave most of the room empty before there is less of it.
const SMALL_READS: u8 = 16;
/// Memory that is kept between reads.
const KEPT_BYTES: usize = 512;

/// Bytes that were read and not yet taken. Reads go by way of the stack, so it owns no more than what came: one copy
/// costs less than memory that every connection would hold while it waits.
pub(super) struct Buffer {
    bytes: BytesMut,
    /// What `bytes` held at most since it has its memory.
    held: usize,
    has_much_room: bool,
    small_reads: u8,
}

impl Buffer {
    /// A buffer that begins with what arrived behind the handshake.
    pub(super) fn new(bytes: &BytesMut) -> Self {
        // Most often nothing: the memory of the handshake is given back.
        Self {
            bytes: BytesMut::from(bytes.as_ref()),
            held: bytes.len(),
            has_much_room: false,
            small_reads: 0,
        }
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
        if !self.has_much_room {
            let read = ready!(self.poll_fill_by::<LEAST_BYTES>(cx, reader))?;
            self.has_much_room = read == LEAST_BYTES;
            return Poll::Ready(Ok(read));
        }
        let read = ready!(self.poll_fill_by::<MOST_BYTES>(cx, reader))?;
        self.small_reads = if read > LEAST_BYTES { 0 } else { self.small_reads + 1 };
        if self.small_reads >= SMALL_READS {
            self.has_much_room = false;
            self.small_reads = 0;
        }
        Poll::Ready(Ok(read))
    }

    /// Not inlined: what reads little should not have the larger room on its stack.
    #[inline(never)]
    fn poll_fill_by<const ROOM: usize>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
    ) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::uninit(); ROOM];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(reader).poll_read(cx, &mut read))?;
        self.bytes.extend_from_slice(read.filled());
        self.held = self.held.max(self.bytes.len());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Throws away what comes, until the stream ends. As much as is one large read at a time: the system may hold megabytes,
    /// and others of the thread wait.
    pub(super) fn poll_discard(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
    ) -> Poll<()> {
        let mut discarded = 0;
        loop {
            self.bytes.clear();
            match ready!(self.poll_fill(cx, reader)) {
                Ok(read) if read > 0 => discarded += read,
                _ => return Poll::Ready(()),
            }
            // It sees to it that this is polled again when the others have had their turn.
            if discarded >= MOST_BYTES && pin!(yield_now()).poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Gives back what large reads took.
    pub(super) fn trim(&mut self) {
        if self.held > KEPT_BYTES && self.bytes.len() <= KEPT_BYTES {
            self.renew();
        }
    }

    /// Gives back memory that an idle connection does not need.
    pub(super) fn rest(&mut self) {
        self.has_much_room = false;
        self.small_reads = 0;
        self.renew();
    }

    /// What is left of an unfinished frame header stays, in memory of its own.
    fn renew(&mut self) {
        self.bytes = BytesMut::from(self.bytes.as_ref());
        self.held = self.bytes.len();
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
        assert!(buffer.has_much_room);
        assert_eq!(fill(&mut buffer, &[1; 2 * MOST_BYTES]).await, MOST_BYTES);
        buffer.bytes().clear();
        for _ in 0..SMALL_READS {
            assert_eq!(fill(&mut buffer, &[1; 10]).await, 10);
            buffer.bytes().clear();
        }
        assert!(!buffer.has_much_room);
        buffer.bytes().extend_from_slice(b"unfinished");
        buffer.rest();
        assert_eq!(buffer.bytes().as_ref(), b"unfinished");
        assert!(buffer.bytes().capacity() < 100);
        assert_eq!(fill(&mut buffer, &[1; 5000]).await, LEAST_BYTES);
        assert!(buffer.has_much_room);
    }

    #[tokio::test]
    async fn what_is_thrown_away_is_so_in_turns() {
        let mut buffer = Buffer::new(&BytesMut::new());
        let flood = vec![7; 1 << 20];
        let (mut flood, mut turns) = (flood.as_slice(), 0);
        poll_fn(|cx| {
            turns += 1;
            let before = flood.len();
            let polled = buffer.poll_discard(cx, &mut flood);
            assert!(before - flood.len() < 2 * MOST_BYTES);
            polled
        })
        .await;
        assert!(flood.is_empty() && turns > 8, "{turns} turns");
    }

    #[tokio::test]
    async fn between_reads_only_little_is_kept() {
        let mut buffer = Buffer::new(&BytesMut::new());
        assert_eq!(fill(&mut buffer, &[1; 4000]).await, 4000);
        buffer.trim();
        assert_eq!(buffer.bytes().len(), 4000, "what was not taken stays");
        let payload = buffer.bytes().split_to(3990).freeze();
        buffer.trim();
        assert_eq!(buffer.bytes().as_ref(), [1; 10]);
        assert!(buffer.bytes().capacity() < 100);
        assert!(payload.is_unique(), "the rest has memory of its own");
        buffer.bytes().clear();
        let room = buffer.bytes().capacity();
        buffer.trim();
        assert_eq!(buffer.bytes().capacity(), room, "a little is not worth asking for it again");
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
