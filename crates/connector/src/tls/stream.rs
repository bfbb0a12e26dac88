//! Many records in few reads.
//!
//! Rustls asks its socket for 4 KiB at a time, and gives what it decrypted record by record, where most peers put every
//! frame in a record of its own. Both would make as many turns of a connection as there are records.

use crate::duplex::Stream;
use bytes::{Buf, BytesMut};
use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read of the socket at once while much comes.
const AHEAD_BYTES: usize = 64 * 1024;
/// Reads in a row that give no more than was asked for before nothing is read ahead any more.
const SMALL_READS: u8 = 16;

/// Reads ahead, for some time after a read that filled what was offered: there is probably more.
#[derive(Debug)]
pub struct ReadAhead<S> {
    inner: S,
    /// Read and not yet asked for; without memory while there is nothing.
    ahead: BytesMut,
    /// How many more reads are ahead.
    reads_ahead: u8,
}

impl<S> ReadAhead<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, ahead: BytesMut::new(), reads_ahead: 0 }
    }
}

impl<S: AsyncRead + Unpin> ReadAhead<S> {
    fn poll_ahead(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); AHEAD_BYTES];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut read))?;
        let (now, later) = read.filled().split_at(read.filled().len().min(buf.remaining()));
        buf.put_slice(now);
        self.ahead.extend_from_slice(later);
        self.reads_ahead = if later.is_empty() { self.reads_ahead.saturating_sub(1) } else { SMALL_READS };
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let len = self.ahead.len().min(buf.remaining());
            buf.put_slice(self.ahead.get(..len).unwrap_or_default());
            self.ahead.advance(len);
            if self.ahead.is_empty() {
                self.ahead = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        if self.reads_ahead > 0 {
            return self.poll_ahead(cx, buf);
        }
        let result = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        if buf.remaining() == 0 {
            self.reads_ahead = SMALL_READS;
        }
        Poll::Ready(result)
    }
}

/// An encrypted byte stream of which one read gives all that is there.
#[derive(Debug)]
pub struct Encrypted<T> {
    inner: T,
    /// What went wrong behind bytes that were good.
    broken: Option<io::Error>,
}

impl<T> Encrypted<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, broken: None }
    }

    /// The stream as the library has it.
    #[must_use]
    pub fn get_ref(&self) -> &T {
        &self.inner
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Encrypted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Err(error));
        }
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let mut before = 0;
        while buf.filled().len() > before && buf.remaining() > 0 {
            before = buf.filled().len();
            if let Poll::Ready(Err(error)) = Pin::new(&mut self.inner).poll_read(cx, buf) {
                self.broken = Some(error);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Writing needs no help: what is written at once fills records and leaves in one piece.
macro_rules! forward_writes {
    ($type:ident) => {
        impl<T: AsyncWrite + Unpin> AsyncWrite for $type<T> {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.inner).poll_write(cx, buf)
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                self.inner.is_write_vectored()
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.inner).poll_flush(cx)
            }

            fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.inner).poll_shutdown(cx)
            }
        }
    };
}

forward_writes!(ReadAhead);
forward_writes!(Encrypted);

impl<S: Stream> Stream for ReadAhead<S> {
    fn untaken(&self) -> Option<usize> {
        self.inner.untaken()
    }
}

impl<S: Stream> Stream for Encrypted<S> {
    fn untaken(&self) -> Option<usize> {
        self.inner.untaken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use tokio::io::AsyncReadExt;

    /// Gives one piece for each read; then fails.
    struct Pieces {
        pieces: VecDeque<Vec<u8>>,
        /// What each read offered.
        offered: Vec<usize>,
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.offered.push(buf.remaining());
            let Some(mut piece) = self.pieces.pop_front() else {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            };
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&piece);
            if !rest.is_empty() {
                self.pieces.push_front(rest);
            }
            Poll::Ready(Ok(()))
        }
    }

    fn pieces(pieces: &[usize]) -> Pieces {
        let mut next = 0_u8..;
        let mut piece = |len: &usize| vec![next.next().unwrap(); *len];
        Pieces { pieces: pieces.iter().map(&mut piece).collect(), offered: Vec::new() }
    }

    #[tokio::test]
    async fn reads_grow_while_much_comes_and_only_then() {
        let mut stream = ReadAhead::new(pieces(&[&[100, 10_000, 200_000][..], &[50; 17]].concat()));
        let (mut all, mut buf) = (Vec::new(), [0; 4096]);
        while let Ok(read) = stream.read(&mut buf).await {
            assert!(read > 0);
            all.extend_from_slice(&buf[..read]);
            assert!(!stream.ahead.is_empty() || stream.ahead.capacity() == 0);
        }
        let expected =
            [vec![0; 100], vec![1; 10_000], vec![2; 200_000], (3..20).flat_map(|byte| [byte; 50]).collect()]
                .concat();
        assert!(all == expected);
        let large = stream.inner.offered.iter().filter(|offered| **offered == AHEAD_BYTES).count();
        assert!(stream.inner.offered.len() < 30 && large >= 20, "{:?}", stream.inner.offered);
        assert_eq!(stream.inner.offered.last(), Some(&4096));
    }

    #[tokio::test]
    async fn one_read_gives_all_records_that_are_there_and_an_error_comes_behind_them() {
        let mut stream = Encrypted::new(pieces(&[100; 5]));
        let mut buf = [0; 4096];
        assert_eq!(stream.read(&mut buf).await.unwrap(), 500);
        assert_eq!(stream.read(&mut buf).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        // The end of the stream is the end of one read, too.
        let mut stream = Encrypted::new(pieces(&[100, 0, 100]));
        assert_eq!(stream.read(&mut buf).await.unwrap(), 100);
        let mut stream = Encrypted::new(pieces(&[100; 5]));
        assert_eq!(stream.read(&mut buf[..250]).await.unwrap(), 250);
        assert_eq!(stream.read(&mut buf[..250]).await.unwrap(), 250);
    }
}
