//! Framed bytes on their way into the stream.

use super::{super::Ended, Pump};
use crate::{
    duplex::{Cut, Stream},
    outbox::Answers,
    quota::more_before,
    task::TARGET,
    tls::explain,
};
use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::AsyncWrite,
    time::{Instant, sleep},
};
use tremor_value::sentence;

impl Pump {
    pub(super) async fn write_framed(&mut self, stream: &mut Box<dyn Stream>) -> Result<(), Ended> {
        poll_fn(|cx| self.poll_write_framed(cx, stream)).await
    }

    #[inline]
    pub(super) fn poll_write_framed(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Box<dyn Stream>,
    ) -> Poll<Result<(), Ended>> {
        loop {
            if self.urgent.is_some() && self.is_between_messages() {
                ready!(self.poll_write_urgent(cx, stream))?;
                continue;
            }
            if self.framed.written() >= self.framed.len() {
                break;
            }
            let most = if self.urgent.is_some() { self.left_of_message() } else { usize::MAX };
            let stream = Pin::new(&mut *stream);
            let wrote = match self.framed.next(&self.messages) {
                [framed, payload] if payload.is_empty() || framed.len() >= most => {
                    stream.poll_write(cx, framed.get(..most).unwrap_or(&framed))
                }
                slices => stream.poll_write_vectored(cx, &clipped(&slices, most)),
            };
            match wrote {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(broken(&io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(count)) => self.framed.advance(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(&error))),
                Poll::Pending => return self.poll_stalled(cx),
            }
            self.goes_on();
            if self.framed.written() < self.framed.len() {
                self.settle();
            }
        }
        if self.framed.written() > 0 {
            // What encrypts keeps bytes back until it is told to flush.
            match Pin::new(&mut *stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(&error))),
                Poll::Pending => return self.poll_stalled(cx),
            }
            self.goes_on();
            self.framed.clear();
            self.reply_bytes = 0;
        }
        self.settle();
        if self.settled == self.ends.len() {
            self.forget_messages();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what goes between two messages.
    pub(super) fn poll_write_urgent(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Box<dyn Stream>,
    ) -> Poll<Result<(), Ended>> {
        while let Some(urgent) = &mut self.urgent {
            let rest = urgent.bytes.get(urgent.written..).unwrap_or_default();
            if rest.is_empty() {
                self.urgent = None;
                break;
            }
            match Pin::new(&mut *stream).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(broken(&io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(count)) => urgent.written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(&error))),
                Poll::Pending => return self.poll_stalled(cx),
            }
            self.goes_on();
        }
        Poll::Ready(Ok(()))
    }

    /// No message is begun and not written to its end.
    pub(super) fn is_between_messages(&self) -> bool {
        let written = self.framed.written();
        written == 0
            || written >= self.framed.len()
            || self.ends.binary_search_by_key(&written, |end| end.at).is_ok()
    }

    /// Bytes of the message that is being written.
    pub(super) fn left_of_message(&self) -> usize {
        let written = self.framed.written();
        let next = self.ends.partition_point(|end| end.at <= written);
        self.ends.get(next).map_or(self.framed.len(), |end| end.at) - written
    }

    /// Puts what would have gone between two messages behind them: something follows that has to be the last.
    pub(super) fn queue_urgent(&mut self) {
        // What is begun goes out first anyway.
        if let Some(urgent) = self.urgent.take_if(|urgent| urgent.written == 0) {
            self.framed.bytes().extend_from_slice(&urgent.bytes);
        }
    }

    /// A write makes progress.
    #[inline]
    fn goes_on(&mut self) {
        if self.stall.take().is_some() {
            self.outbox.goes_on();
        }
    }

    /// A write waits; it may not do so for ever.
    pub(super) fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let limit = self.rare.limits.write;
        let stall = self.stall.get_or_insert_with(|| {
            self.outbox.gets_stuck();
            Box::pin(sleep(limit))
        });
        ready!(stall.as_mut().poll(cx));
        let cause = "the peer does not read what it is sent";
        Poll::Ready(Err(Ended::broken(Cut::Timeout, cause)))
    }

    /// Counts the messages that are written by now.
    pub(super) fn settle(&mut self) {
        let written_bytes = self.framed.written();
        let all = written_bytes >= self.framed.len();
        let (mut written, mut failed, mut unsendable) = (0, 0, None);
        let (mut messages, mut bytes) = (0, 0);
        let mut answers = Answers::default();
        while let Some(end) = self.ends.get(self.settled).filter(|end| all || end.at <= written_bytes) {
            match &end.error {
                None if end.is_ping => {}
                None => {
                    self.sent.0 += 1;
                    self.sent.1 += end.payload_bytes as u64;
                }
                Some(cause) => {
                    self.element_error.get_or_insert_with(|| cause.clone());
                }
            }
            if end.is_last {
                answers.element(&mut self.messages, self.settled, self.element_error.is_none());
                match self.element_error.take() {
                    None => written += 1,
                    Some(cause) => {
                        failed += 1;
                        unsendable.get_or_insert(cause);
                    }
                }
            }
            self.settled += 1;
            messages += 1;
            bytes += end.payload_bytes;
        }
        if messages > 0 {
            self.outbox.wrote(messages, bytes);
        }
        answers.tell();
        self.outbox.counters().written(written);
        self.outbox.counters().failed(failed);
        if let Some(cause) = unsendable {
            self.log_failed(failed, &cause);
        }
    }

    pub(super) fn log_failed(&mut self, events: u64, cause: &str) {
        if let Some(left_out) = self.rare.failures.may_log(events, Instant::now()) {
            let (s, more) = (if events == 1 { "" } else { "s" }, more_before(left_out));
            let cause = sentence(cause);
            tracing::error!(target: TARGET, "[Sink::{}] {events} event{s} failed: {cause}{more}", self.rare.alias);
        }
    }
}

/// The first `most` bytes of what is written at once.
fn clipped<'a>(slices: &'a [IoSlice<'a>; 2], most: usize) -> [IoSlice<'a>; 2] {
    let [framed, payload] = slices;
    let left = most.saturating_sub(framed.len());
    [IoSlice::new(framed.get(..most).unwrap_or(framed)), IoSlice::new(payload.get(..left).unwrap_or(payload))]
}

/// Writing failed.
fn broken(error: &io::Error) -> Ended {
    Ended::broken(Cut::Peer, explain(error))
}
