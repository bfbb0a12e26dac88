//! The writing half of a connection.

mod frames;
mod goodbye;
mod lately;
#[cfg(test)]
mod tests;
mod unread;
mod writing;

use super::{Ended, Unwritten, framed::Framed};
use crate::{
    Intake,
    duplex::{Closed, Cut, Ending, Flow, Limits, MAX_FRAMES_KIND, Protocol, ProtocolError, Stream, Traffic},
    outbox::{ANSWERED, CUT, ENDING, Ends, GIVEN_UP, Messages, Outbox},
    quota::Quota,
    task::TARGET,
};
use bytes::BytesMut;
use frames::{frame, share};
use lately::Lately;
use std::{
    future::poll_fn,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
    time::{Instant, Sleep},
};
use tremor_value::Value;
use unread::Unread;

/// Answers of the protocol itself that may wait before reading stops.
const MAX_REPLY_BYTES: usize = 64 * 1024;
/// Framed bytes that room is kept for while nothing is under way.
const KEPT_BYTES: usize = 512;
/// Bytes of messages that a protocol which takes long for much may frame while others of the thread wait.
const MOST_AT_ONCE: usize = 1024 * 1024;
/// Messages that room is kept for while nothing is under way.
const KEPT_MESSAGES: usize = 4;

/// Moves messages from the outbox through the protocol into the stream.
///
/// Whatever happens, every message that it took from the outbox is settled: counted as written or failed, or
/// put back when the pump is dropped.
pub(super) struct Pump {
    protocol: Box<dyn Protocol>,
    outbox: Arc<Outbox>,
    /// The outbox may hold something.
    may_take: bool,
    /// What was last taken from the outbox. Payloads of them may still be needed for `framed`.
    messages: Messages,
    /// Where each of `messages` ends in `framed`.
    ends: Vec<End>,
    /// Messages whose fate is known.
    settled: usize,
    /// Why a message of the element at hand could not be sent.
    element_error: Option<String>,
    framed: Framed,
    /// Answers of the protocol that go out between two messages of `framed`, as soon as the one under way is written.
    /// `None` while there are none.
    urgent: Option<Box<Urgent>>,
    reply_bytes: usize,
    /// Runs while a write waits: how long it may.
    stall: Option<Pin<Box<Sleep>>>,
    /// The protocol wants to know what time it is.
    keeps_time: bool,
    /// Nothing is sent behind our goodbye.
    has_left: bool,
    /// Messages and payload bytes that were written.
    sent: (u64, u64),
    /// Boxed: what is used for every message should lie close together.
    rare: Box<Rare>,
}

/// What is seldom looked at.
struct Rare {
    unwritten: Unwritten,
    /// `<flow>::<connector>`.
    alias: Arc<str>,
    limits: Limits,
    failures: Quota,
    /// Hears what is sent.
    traffic: Option<Arc<dyn Traffic>>,
    /// Messages that came when nobody took them any more.
    late: u64,
    /// Our goodbye was written, or begun, and the peer is to answer it.
    expects_answer: bool,
    lately: Lately,
    /// What the peer may not have read when its connection was ended all the same.
    unread: Unread,
    /// It was time to end the connection while something was handed on.
    due: Option<Due>,
}

/// How a connection has to end that waits with that.
struct Due {
    ending: Ending,
    /// Nothing counts any more that the peer says, so no other end will.
    is_last: bool,
}

/// What does not wait until all messages at hand are written.
#[derive(Default)]
struct Urgent {
    bytes: Vec<u8>,
    written: usize,
}

struct End {
    at: usize,
    payload_bytes: usize,
    /// It is a ping, which is no message.
    is_ping: bool,
    /// The last message of an element.
    is_last: bool,
    /// Why it cannot be sent.
    error: Option<String>,
}

impl Pump {
    pub(super) fn new(
        protocol: Box<dyn Protocol>,
        outbox: Arc<Outbox>,
        (unwritten, alias): (Unwritten, Arc<str>),
        limits: Limits,
    ) -> Self {
        Self {
            keeps_time: protocol.keeps_time(),
            has_left: false,
            protocol,
            outbox,
            may_take: true,
            messages: Messages::default(),
            ends: Vec::new(),
            settled: 0,
            element_error: None,
            framed: Framed::default(),
            urgent: None,
            reply_bytes: 0,
            stall: None,
            sent: (0, 0),
            rare: Box::new(Rare {
                unwritten,
                alias,
                limits,
                failures: Quota::default(),
                traffic: None,
                late: 0,
                expects_answer: false,
                lately: Lately::new(Instant::now()),
                unread: Unread::default(),
                due: None,
            }),
        }
    }

    /// The same with somebody who hears what is sent.
    pub(super) fn heard_by(mut self, traffic: Option<Arc<dyn Traffic>>) -> Self {
        traffic.iter().for_each(|traffic| self.outbox.heard_by(traffic));
        self.rare.traffic = traffic;
        self
    }

    /// So many messages came when nobody took them any more.
    pub(super) fn note_late(&mut self, messages: u64) {
        self.rare.late += messages;
    }

    /// How many those are.
    pub(super) fn late(&self) -> u64 {
        self.rare.late
    }

    /// Time limits of the connection.
    pub(super) fn limits(&self) -> Limits {
        self.rare.limits
    }

    pub(super) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Waits until the connection has to end without a word, while messages are written to their end.
    pub(super) fn cut(&self) -> impl Future<Output = ()> + use<> {
        let outbox = self.outbox.clone();
        poll_fn(move |cx| {
            loop {
                if outbox.news() & CUT != 0 {
                    return Poll::Ready(());
                }
                ready!(outbox.bell().poll_rang(cx));
            }
        })
    }

    /// Messages and payload bytes that were written so far.
    pub(super) fn sent(&self) -> (u64, u64) {
        self.sent
    }

    /// Lets the protocol read; its replies go out behind the message that is being written.
    pub(super) fn read(&mut self, input: &mut BytesMut, intake: &mut Intake) -> Result<Flow, ProtocolError> {
        if self.ends.last().is_some_and(|last| last.at > self.framed.written()) {
            let mut replies = Vec::new();
            let flow = self.protocol.read(input, intake, &mut replies);
            if !replies.is_empty() {
                self.reply_bytes += replies.len();
                self.urgent.get_or_insert_default().bytes.append(&mut replies);
            }
            return flow;
        }
        let before = self.framed.len();
        let flow = self.protocol.read(input, intake, self.framed.bytes());
        self.reply_bytes += self.framed.len() - before;
        flow
    }

    /// Whether the protocol lives by the clock.
    pub(super) fn keeps_time(&self) -> bool {
        self.keeps_time
    }

    /// When the protocol wants to be told that it is time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.protocol.deadline().map(Instant::from_std)
    }

    /// Tells the protocol that its deadline has passed; gives why the connection has to end.
    pub(super) fn on_time(&mut self, intake: &mut Intake) -> Option<Ending> {
        let before = self.framed.len();
        let ending = self.protocol.on_time(Instant::now().into_std(), intake, self.framed.bytes());
        self.reply_bytes += self.framed.len() - before;
        ending
    }

    /// Whether the protocol can do with more input.
    pub(super) fn may_read(&self) -> bool {
        !self.keeps_time || self.protocol.may_read()
    }

    /// Whether the protocol holds back something of what was read.
    pub(super) fn holds_back(&self) -> bool {
        self.protocol.holds_back()
    }

    /// Tells the protocol whether the peer is read.
    pub(super) fn reading(&mut self, reads: bool) {
        self.protocol.reading(reads, Instant::now().into_std());
    }

    /// What to tell of the end of the connection.
    pub(super) fn closed(&mut self, cut: Cut) -> Closed {
        self.protocol.closed(cut)
    }

    /// `true` while the peer does not read the answers it provokes.
    pub(super) fn owes_too_much(&self) -> bool {
        self.reply_bytes > MAX_REPLY_BYTES
    }

    /// Writes what there is. Ready with `None` once all of that is written: there may be more by now. Ready with why
    /// the connection is broken. Otherwise the task is woken when it can go on.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, stream: &mut Box<dyn Stream>) -> Poll<Option<Ended>> {
        loop {
            // A connection that is given up need not wait until the write under way makes progress.
            if self.outbox.news() & (GIVEN_UP | CUT) != 0
                && let Some(ended) = self.is_to_end()
            {
                // Saying so takes time, and whoever calls this may stop waiting: the goodbye is the caller's.
                return Poll::Ready(Some(ended));
            }
            if self.framed.is_empty() && !self.has_left && mem::take(&mut self.may_take) {
                self.take_messages();
            }
            if (!self.framed.is_empty() || self.settled < self.ends.len())
                && let Poll::Ready(wrote) = self.poll_write_framed(cx, stream)
            {
                return Poll::Ready(wrote.err());
            }
            ready!(self.outbox.bell().poll_rang(cx));
            self.may_take = true;
        }
    }

    /// Why the connection has to end at once.
    fn is_to_end(&self) -> Option<Ended> {
        let news = self.outbox.news();
        if news & GIVEN_UP != 0 {
            return Some(Ended::broken(Cut::Local, "the peer does not read what it is sent"));
        }
        (news & CUT != 0).then(Ended::too_late)
    }

    /// How the connection is to end, if it is time for that: all that was to be sent before is written, and, where answers
    /// are waited for, they have come (`is_answered` is told how many messages were sent).
    pub(super) fn ending(&self, is_answered: impl FnOnce(u64) -> bool) -> Option<Ending> {
        let news = self.outbox.news() & (ENDING | ANSWERED);
        if news == 0 || !self.framed.is_empty() || self.settled != self.ends.len() {
            return None;
        }
        if news & ENDING == 0 {
            if !self.outbox.is_empty() || !is_answered(self.sent.0) {
                return None;
            }
            self.outbox.end(Ending::of_pair());
        }
        self.outbox.ending()
    }

    /// Nothing is written on this connection any more. `true` if no other one will do that, so that nobody waits for room.
    pub(super) fn takes_no_more(&self) -> bool {
        let is_last = self.rare.unwritten == Unwritten::Fail;
        if is_last {
            self.outbox.takes_no_more();
        }
        is_last
    }

    /// The connection has ended: what is not written never will be, unless by another one.
    pub(super) fn abandon(&mut self) {
        if self.rare.unwritten == Unwritten::Fail {
            let lost = self.outbox.fail(&mut self.messages, self.settled);
            self.outbox.lost(lost);
            self.framed.clear();
            self.forget_messages();
        }
    }

    /// What comes from now on has this metadata.
    pub(super) fn set_meta(&mut self, meta: &Value) {
        self.protocol.set_meta(meta);
    }

    /// The task is awake and polls again before it sleeps: what comes into the outbox need not wake it.
    pub(super) fn is_awake(&self) {
        self.outbox.bell().is_awake();
    }

    /// Whether what waits in the outbox once `intake` was handed on may be sent in front of the last goodbye: not what
    /// would go over the next connection instead, unless that are answers to what was just read. A peer that has said
    /// goodbye is not interested in anything else.
    pub(super) fn may_answer(&self, intake: &Intake) -> bool {
        !self.has_left
            && (self.rare.unwritten == Unwritten::Fail || !intake.is_empty() && self.outbox.is_empty())
    }

    /// Gives back what large reads took.
    pub(super) fn trim_read(&mut self) {
        self.protocol.rest();
    }

    /// Gives back what large batches took, if nothing is under way.
    pub(super) fn trim(&mut self) {
        self.framed.trim(KEPT_BYTES);
        if self.ends.is_empty() && self.ends.capacity() > KEPT_MESSAGES {
            self.ends = Vec::new();
        }
    }

    /// Gives back memory that an idle connection does not need.
    pub(super) fn rest(&mut self) {
        self.protocol.rest();
        self.protocol.idle();
        if self.framed.is_empty() && self.settled == self.ends.len() {
            self.framed = Framed::default();
            self.ends = Vec::new();
            self.messages = Messages::default();
            self.settled = 0;
        }
        self.outbox.rest();
    }

    /// Drops messages that are settled, and the memory of many or large ones: it would be what the outbox is filled
    /// into next, and wait there.
    fn forget_messages(&mut self) {
        if self.ends.is_empty() && self.messages.is_empty() {
            return;
        }
        self.messages.clear();
        let len = self.ends.last().map_or(0, |last| last.at);
        if self.ends.len() > KEPT_MESSAGES || len > KEPT_BYTES {
            self.messages = Messages::default();
        }
        self.ends.clear();
        self.settled = 0;
    }

    /// Frames everything that waits in the outbox; `false` if nothing did.
    fn take_messages(&mut self) -> bool {
        self.forget_messages();
        // What rings from here on has not been taken.
        self.outbox.bell().hear();
        self.outbox.take(&mut self.messages);
        if self.messages.is_empty() {
            return false;
        }
        if self.keeps_time {
            self.protocol.wrote(Instant::now().into_std());
        }
        if let Some(traffic) = &self.rare.traffic {
            let messages = self.messages.iter().filter(|message| !message.is_ping);
            traffic.taken(&mut messages.map(|message| (message.payload.len(), message.binary)));
        }
        if self.messages.bytes() > MOST_AT_ONCE && self.protocol.is_slow() {
            aside(|| self.frame_messages());
        } else {
            self.frame_messages();
        }
        true
    }

    /// Frames what was taken.
    #[inline]
    fn frame_messages(&mut self) {
        let shares_frames = self.protocol.shares_frames().filter(|kind| *kind <= MAX_FRAMES_KIND);
        for (number, message) in self.messages.iter().enumerate() {
            let error = match message.shared().zip(shares_frames).filter(|_| !message.is_plain) {
                _ if message.is_ping => self
                    .protocol
                    .ping(message.payload, self.framed.bytes())
                    .err()
                    .map(|error| error.to_string()),
                Some(shared) => share(shared, number, message, self.protocol.as_mut(), &mut self.framed),
                None => frame(number, message, self.protocol.as_mut(), &mut self.framed),
            };
            self.ends.push(End {
                at: self.framed.len(),
                payload_bytes: message.payload.len(),
                is_ping: message.is_ping,
                is_last: message.ends != Ends::Nothing,
                error,
            });
        }
    }

    /// Gives up the messages of which no byte was written: they fail.
    fn drop_unbegun(&mut self) {
        let Some(under_way) = self.ends.iter().position(|end| end.at > self.framed.written()) else { return };
        let start = under_way.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| end.at);
        let kept = if start < self.framed.written() { under_way + 1 } else { under_way };
        let end = kept.checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |end| end.at);
        self.framed.truncate(end.max(self.framed.written()));
        self.ends.truncate(kept);
        let lost = self.outbox.fail(&mut self.messages, kept);
        self.outbox.discarded(lost.elements());
        match self.outbox.cause_of_giving_up() {
            Some(cause) if lost.failed > 0 => self.log_failed(lost.failed, &cause),
            Some(_) => {}
            None => self.outbox.lost(lost),
        }
    }
}

/// Does `work` while another thread does what else this one would have to, as far as the runtime can do that.
#[cold]
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        match self.rare.unwritten {
            Unwritten::Keep => {
                // Nothing is for everybody where there is one connection.
                let lost = self.outbox.put_back(&mut self.messages, self.settled).failed;
                if lost > 0 {
                    let cause = self.outbox.cause_of_giving_up();
                    let cause =
                        cause.as_deref().unwrap_or("the connection ended before all of it was written");
                    self.log_failed(lost, cause);
                }
            }
            // Whoever closes the outbox says so.
            Unwritten::Fail => {
                let lost = self.outbox.fail(&mut self.messages, self.settled);
                self.outbox.lost(lost);
            }
        }
        let left_out = self.rare.failures.take_left_out();
        if left_out > 0 {
            tracing::error!(target: TARGET, "[Sink::{}] {left_out} more events failed like that", self.rare.alias);
        }
    }
}
