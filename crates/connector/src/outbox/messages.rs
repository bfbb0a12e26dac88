//! Encoded messages, and who waits to hear of them.

use super::Shared;
use crate::clock::nanos;
use bytes::Bytes;
use std::{collections::VecDeque, iter::Sum, ops::Add, sync::Arc, time::Instant};
use tremor_codec::Chunks;
use tremor_event::{Outcome, Receipt, settle_all};

/// Memory that buffers of messages keep while their connection is busy.
const KEEP_BYTES: usize = 64 * 1024;

/// Encoded messages in order.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    /// Empty for those that are elsewhere.
    chunks: Chunks,
    flags: Vec<Flags>,
    /// Those that are elsewhere, in order.
    elsewhere: Vec<Elsewhere>,
    /// Bytes of payload in those.
    elsewhere_bytes: usize,
    /// Of elements that somebody waits for, in order; empty, and without memory, if nobody does.
    receipts: VecDeque<Attached>,
}

/// Where a message is that is not among the others.
#[derive(Clone, Debug)]
pub(crate) enum Elsewhere {
    /// Other connections are sent the same.
    Shared(Arc<Shared>),
    /// In the payload of its event. Boxed: most that are elsewhere are shared.
    InPayload(Box<Bytes>),
}

impl Elsewhere {
    fn payload(&self) -> &[u8] {
        match self {
            Self::Shared(shared) => shared.payload(),
            Self::InPayload(bytes) => bytes,
        }
    }
}

/// Whether an element ends with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// It goes on, or there is none.
    Nothing,
    /// Somebody may wait for it, and it fails if it is not sent.
    Element,
    /// It was for everybody: that it does not come here harms nobody else.
    Broadcast,
}

impl Ends {
    /// `counts`: it is an element that ends there.
    fn if_counts(counts: bool) -> Self {
        if counts { Self::Element } else { Self::Nothing }
    }
}

/// Elements that will never be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Those that have failed.
    pub(crate) failed: u64,
    /// Those that were for everybody.
    pub(crate) passed_over: u64,
}

impl Lost {
    pub(crate) fn elements(self) -> u64 {
        self.failed + self.passed_over
    }
}

impl Add for Lost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { failed: self.failed + other.failed, passed_over: self.passed_over + other.passed_over }
    }
}

impl Sum for Lost {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

#[derive(Clone, Copy, Debug)]
struct Flags {
    binary: bool,
    ends: Ends,
    is_elsewhere: bool,
    is_plain: bool,
    is_ping: bool,
}

impl Flags {
    /// Of a message that is only here.
    fn new(binary: bool, ends: Ends) -> Self {
        Self { binary, ends, is_elsewhere: false, is_plain: false, is_ping: false }
    }
}

/// A receipt that is settled when a message has been written.
#[derive(Debug)]
struct Attached {
    /// Number of the message.
    message: usize,
    receipt: Receipt,
    since: Instant,
}

/// One of [`Messages`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) binary: bool,
    /// Elements are what counters count.
    pub(crate) ends: Ends,
    /// It is not to be compressed.
    pub(crate) is_plain: bool,
    /// It is no message but a ping with this payload.
    pub(crate) is_ping: bool,
    elsewhere: Option<&'a Elsewhere>,
}

impl<'a> Message<'a> {
    /// What other connections are sent, too, if it is that.
    #[inline]
    pub(crate) fn shared(&self) -> Option<&'a Arc<Shared>> {
        match self.elsewhere? {
            Elsewhere::Shared(shared) => Some(shared),
            Elsewhere::InPayload(_) => None,
        }
    }
}

impl Messages {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        let (flags, mut elsewhere) = (self.flags.iter(), self.elsewhere.iter());
        self.chunks.iter().zip(flags).map(move |(chunk, flags)| {
            let elsewhere = if flags.is_elsewhere { elsewhere.next() } else { None };
            let payload = elsewhere.map_or(chunk, Elsewhere::payload);
            let Flags { binary, ends, is_plain, is_ping, .. } = *flags;
            Message { payload, binary, ends, is_plain, is_ping, elsewhere }
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// Removes all of them and keeps some of the memory. Receipts that are still there fail.
    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
        self.chunks.trim(KEEP_BYTES);
        self.flags.clear();
        self.elsewhere.clear();
        self.elsewhere_bytes = 0;
        self.fail_from(0);
    }

    /// Elements whose last message is number `from` or later.
    pub(crate) fn elements_from(&self, from: usize) -> u64 {
        self.lost_from(from).elements()
    }

    /// The same, if they are not written.
    fn lost_from(&self, from: usize) -> Lost {
        let ends = self.flags.iter().skip(from).map(|flags| flags.ends);
        ends.map(|ends| Lost {
            failed: u64::from(ends == Ends::Element),
            passed_over: u64::from(ends == Ends::Broadcast),
        })
        .sum()
    }

    /// Makes room for so many more messages.
    pub(super) fn reserve(&mut self, messages: usize) {
        self.chunks.reserve(messages);
        self.flags.reserve(messages);
    }

    /// How many messages there are.
    pub(super) fn len(&self) -> usize {
        self.flags.len()
    }

    /// Bytes of payload.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.as_bytes().len() + self.elsewhere_bytes
    }

    /// Where chunks are encoded to; [`Messages::flag_new`] makes messages of them.
    pub(super) fn chunks(&mut self) -> &mut Chunks {
        &mut self.chunks
    }

    /// Gives flags to the chunks that have none yet, the last of which ends an element if `counts`; says how
    /// many those were.
    pub(super) fn flag_new(&mut self, binary: bool, counts: bool) -> usize {
        let new = self.chunks.len() - self.flags.len();
        self.flags.resize(self.chunks.len(), Flags::new(binary, Ends::Nothing));
        if let Some(last) = self.flags.last_mut().filter(|_| new > 0) {
            last.ends = Ends::if_counts(counts);
        }
        new
    }

    /// Appends what `shared` is; gives the number of messages that makes.
    pub(super) fn push_shared(&mut self, shared: &Arc<Shared>) -> usize {
        let chunks = shared.chunks();
        if chunks.len() != 1 {
            chunks.iter().for_each(|chunk| self.chunks.push(chunk));
            let before = self.len();
            let new = self.flag_new(shared.is_binary(), true);
            if shared.takes_a_look() {
                self.mark_binary(before);
            }
            return new;
        }
        self.push_elsewhere(Elsewhere::Shared(shared.clone()), Flags::new(shared.is_binary(), Ends::Element));
        1
    }

    /// Appends a message that is a payload as it is, and ends an element.
    #[cold]
    pub(super) fn push_payload(&mut self, payload: &Bytes, binary: bool) {
        let flags = Flags::new(binary, Ends::Element);
        self.push_elsewhere(Elsewhere::InPayload(Box::new(payload.clone())), flags);
    }

    /// Appends a message that was kept and is of no element.
    pub(super) fn push_uncounted(&mut self, shared: &Arc<Shared>) {
        let (binary, is_plain) = (shared.is_binary(), shared.is_plain());
        let flags = Flags { is_plain, ..Flags::new(binary, Ends::Nothing) };
        self.push_elsewhere(Elsewhere::Shared(shared.clone()), flags);
    }

    /// Appends a ping, which ends an element if `counts`.
    pub(super) fn push_ping(&mut self, payload: &[u8], counts: bool) {
        self.chunks.push(payload);
        self.flags.push(Flags { is_ping: true, ..Flags::new(true, Ends::if_counts(counts)) });
    }

    /// The messages from number `from` on are not to be compressed.
    pub(super) fn mark_plain(&mut self, from: usize) {
        self.flags.iter_mut().skip(from).for_each(|flags| flags.is_plain = true);
    }

    /// Those of the messages from number `from` on are binary that are not UTF-8. None of them are elsewhere.
    pub(super) fn mark_binary(&mut self, from: usize) {
        for (chunk, flags) in self.chunks.iter().zip(&mut self.flags).skip(from) {
            flags.binary = std::str::from_utf8(chunk).is_err();
        }
    }

    /// The last message does not end its element: something follows that does.
    pub(super) fn goes_on(&mut self) {
        if let Some(last) = self.flags.last_mut() {
            last.ends = Ends::Nothing;
        }
    }

    /// The element that the last message ends is for everybody.
    pub(super) fn is_for_all(&mut self) {
        if let Some(last) = self.flags.last_mut() {
            last.ends = Ends::Broadcast;
        }
    }

    fn push_elsewhere(&mut self, elsewhere: Elsewhere, flags: Flags) {
        self.chunks.end_chunk();
        self.flags.push(Flags { is_elsewhere: true, ..flags });
        self.elsewhere_bytes += elsewhere.payload().len();
        self.elsewhere.push(elsewhere);
    }

    /// `receipt` is settled when the message that is now the last one has been written.
    pub(super) fn attach(&mut self, receipt: Receipt, since: Instant) {
        let message = self.flags.len().saturating_sub(1);
        self.receipts.push_back(Attached { message, receipt, since });
    }

    /// Appends the messages of `other` from number `from` on, with their receipts, which `other` then has no more.
    pub(super) fn append_from(&mut self, other: &mut Self, from: usize) {
        let before = self.flags.len();
        for message in other.iter().skip(from) {
            let Message { binary, ends, is_plain, is_ping, .. } = message;
            let flags = Flags { is_plain, is_ping, ..Flags::new(binary, ends) };
            match message.elsewhere {
                Some(elsewhere) => self.push_elsewhere(elsewhere.clone(), flags),
                None => {
                    self.chunks.push(message.payload);
                    self.flags.push(flags);
                }
            }
        }
        self.receipts.extend(other.receipts.drain(..).map(|attached| Attached {
            message: before + attached.message.saturating_sub(from),
            ..attached
        }));
    }

    #[cfg(test)]
    pub(crate) fn of<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut messages = Self::default();
        payloads.for_each(|payload| messages.chunks.push(payload));
        messages.flag_new(false, false);
        messages
    }

    #[cfg(test)]
    pub(super) fn receipts_capacity(&self) -> usize {
        self.receipts.capacity()
    }

    /// Nobody will write the messages from number `from` on: they are gone, with their receipts. Gives the
    /// elements whose last message was among them.
    pub(super) fn fail_from(&mut self, from: usize) -> Lost {
        let lost = self.lost_from(from);
        self.flags.truncate(from);
        if !self.receipts.is_empty() {
            let kept = self.receipts.partition_point(|attached| attached.message < from);
            settle_all(self.receipts.drain(kept..).map(|attached| attached.receipt), Outcome::Failed);
        }
        lost
    }
}

/// Collects receipts whose elements have come to an end, to settle them together. Without memory if nobody waits.
#[derive(Debug, Default)]
pub(crate) struct Answers(Option<Box<Collected>>);

#[derive(Debug, Default)]
struct Collected {
    delivered: Vec<Receipt>,
    failed: Vec<Receipt>,
    /// When the first of those that were delivered was put into the outbox.
    since: Option<Instant>,
}

impl Answers {
    /// The element whose last message is number `message` has been written, or could not be sent.
    #[inline]
    pub(crate) fn element(&mut self, messages: &mut Messages, message: usize, is_written: bool) {
        if !messages.receipts.is_empty() {
            self.receipts(messages, message, is_written);
        }
    }

    fn receipts(&mut self, messages: &mut Messages, message: usize, is_written: bool) {
        let collected = self.collected();
        while let Some(attached) = messages.receipts.pop_front_if(|attached| attached.message <= message) {
            if is_written {
                collected.since.get_or_insert(attached.since);
                collected.delivered.push(attached.receipt);
            } else {
                collected.failed.push(attached.receipt);
            }
        }
    }

    fn collected(&mut self) -> &mut Collected {
        self.0.get_or_insert_default()
    }

    pub(super) fn delivered(&mut self, receipt: Receipt) {
        self.collected().delivered.push(receipt);
    }

    pub(super) fn failed(&mut self, receipt: Receipt) {
        self.collected().failed.push(receipt);
    }

    /// The elements of `dropped` will not be sent.
    pub(super) fn lost(&mut self, dropped: Messages) {
        if dropped.receipts.is_empty() {
            return;
        }
        self.collected().failed.extend(dropped.receipts.into_iter().map(|attached| attached.receipt));
    }

    /// Settles them.
    #[inline]
    pub(crate) fn tell(self) {
        if let Some(collected) = self.0 {
            collected.tell();
        }
    }
}

impl Collected {
    #[inline(never)]
    fn tell(self) {
        let took_ns = self.since.map_or(0, |since| nanos(since.elapsed()));
        settle_all(self.delivered, Outcome::Delivered { took_ns });
        settle_all(self.failed, Outcome::Failed);
    }
}
