//! The byte stream under an HTTP/2 connection, and what those who use the connection know of it.

use super::frames::Frames;
use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    task::{Context, Poll, Waker, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tremor_connector::duplex::Stream;

/// What the task that carries a connection and its streams tell each other.
#[derive(Default)]
pub(in crate::ws) struct Line {
    /// The peer does not take what is written.
    is_blocked: AtomicBool,
    /// It has sent too much that carries nothing.
    is_flooded: AtomicBool,
    has_settings: AtomicBool,
    /// Rounds that streams have asked for.
    asked: AtomicU64,
    /// Up to where they are over.
    done: AtomicU64,
    carrier: AtomicWaker,
    waiting: Mutex<Vec<Waker>>,
}

impl Line {
    /// The peer has sent too much that carries nothing.
    pub(in crate::ws) fn is_flooded(&self) -> bool {
        self.is_flooded.load(Relaxed)
    }

    /// The peer has sent settings.
    pub(in crate::ws) fn has_settings(&self) -> bool {
        self.has_settings.load(Relaxed)
    }

    /// One round of the task that carries the connection: `turn` does what there is to do, as far as it can.
    pub(in crate::ws) fn round<T>(
        &self,
        cx: &mut Context<'_>,
        turn: impl FnOnce(&mut Context<'_>) -> T,
    ) -> T {
        self.carrier.register(cx.waker());
        let asked = self.asked.load(Acquire);
        let done = turn(cx);
        if !self.is_blocked.load(Relaxed) {
            self.is_done(asked);
        }
        done
    }

    /// The connection is over: nobody has anything to wait for.
    pub(in crate::ws) fn is_over(&self) {
        self.is_done(u64::MAX);
    }

    fn is_done(&self, round: u64) {
        if self.done.load(Relaxed) >= round {
            return;
        }
        let waiting = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            self.done.store(round, Release);
            std::mem::take(&mut *waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Asks for a round; gives its number.
    pub(super) fn ask(&self) -> u64 {
        let round = self.asked.fetch_add(1, AcqRel) + 1;
        self.carrier.wake();
        round
    }

    /// Waits until a round is over.
    pub(super) fn poll_done(&self, cx: &mut Context<'_>, round: u64) -> Poll<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.done.load(Acquire) >= round {
            return Poll::Ready(());
        }
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// A byte stream that is watched for a [`Line`].
pub(in crate::ws) struct Watched {
    stream: Box<dyn Stream>,
    /// What was read before.
    ahead: Bytes,
    frames: Frames,
    line: Arc<Line>,
}

impl Watched {
    /// `ahead` was read of `stream`, which begins with `preface` bytes that are no frames.
    pub(in crate::ws) fn new(stream: Box<dyn Stream>, ahead: Bytes, preface: usize) -> (Self, Arc<Line>) {
        let line = Arc::<Line>::default();
        (Self { stream, ahead, frames: Frames::new(preface), line: line.clone() }, line)
    }

    fn wrote<T>(&self, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.line.is_blocked.store(wrote.is_pending(), Relaxed);
        wrote
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.line.is_flooded() {
            // Nothing more is read; the last word may still leave.
            return Poll::Pending;
        }
        let before = into.filled().len();
        if self.ahead.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        } else {
            let len = self.ahead.len().min(into.remaining());
            into.put_slice(self.ahead.get(..len).unwrap_or_default());
            self.ahead.advance(len);
        }
        let is_well = self.frames.look(into.filled().get(before..).unwrap_or_default());
        self.line.has_settings.store(self.frames.has_settings(), Relaxed);
        if !is_well {
            self.line.is_flooded.store(true, Relaxed);
            self.line.carrier.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.wrote(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The connection is over when its byte stream is gone.
impl Drop for Watched {
    fn drop(&mut self) {
        self.line.is_over();
    }
}
