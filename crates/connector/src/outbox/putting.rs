//! Putting elements into an outbox, while its lock is held.

use super::{Answers, Asked, Item, Messages, Outbox, Shared, frame_type, is_shared};
use std::{sync::Arc, time::Instant};
use tremor_codec::Encoder;
use tremor_event::Receipt;
use tremor_value::Value;

/// What an attempt to put elements into an outbox came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// All of them were taken.
    All,
    /// There is no room for more.
    Full,
    /// Nobody will write any more.
    Closed,
}

/// The same, with numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Elements that need no attention any more, whatever became of them.
    pub(crate) taken: usize,
    /// Elements that were dropped, whether they waited already or came just now; they are counted.
    pub(crate) dropped: u64,
    /// Whether there are more.
    pub(crate) outcome: Put,
}

/// What was done so far.
pub(super) struct Putting<'a> {
    pub(super) taken: usize,
    pub(super) queued: bool,
    pub(super) dropped: u64,
    pub(super) outcome: Put,
    pub(super) answers: Answers,
    /// Elements of which nothing is to be sent.
    silent: u64,
    now: Option<Instant>,
    /// What comes is for everybody.
    is_broadcast: bool,
    /// Most events of a connection share their metadata, so what it says is looked up once.
    known_meta: Option<&'a Value>,
    binary: Option<bool>,
}

impl<'a> Putting<'a> {
    pub(super) fn new(outbox: &'a Outbox, is_broadcast: bool) -> Self {
        Self {
            taken: 0,
            queued: false,
            dropped: 0,
            outcome: Put::All,
            answers: Answers::default(),
            silent: 0,
            now: None,
            is_broadcast,
            known_meta: outbox.own_meta.as_ref(),
            binary: outbox.own_binary,
        }
    }

    /// There is no room for `item`, and there need not be.
    pub(super) fn drop_newest(&mut self, item: &Item<'_>) {
        self.taken += 1;
        self.dropped += 1;
        if let Some(receipt) = item.receipt.filter(|_| !self.is_broadcast) {
            self.answers.failed(receipt.clone());
        }
    }

    /// Appends what `item` comes to; gives how many messages those are.
    pub(super) fn encode(
        &mut self,
        outbox: &Outbox,
        encoder: &mut Encoder,
        into: &mut Messages,
        item: &Item<'a>,
        (shared, asked): (Option<&Arc<Shared>>, Option<&Asked>),
    ) -> (Result<(), String>, usize) {
        let before = into.len();
        let (encoded, new) = match shared {
            _ if asked.is_some_and(|asked| asked.leaves_out_payload(item)) => (Ok(()), 0),
            _ if outbox.outgoing.is_some() => outbox.encode_checked(encoder, into, item, shared),
            Some(shared) => (shared.encoded(), into.push_shared(shared)),
            None => {
                let meta = item.element.meta;
                let base = meta.base();
                if !self.known_meta.is_some_and(|known| is_shared(known, base)) {
                    match frame_type::asked_of(base) {
                        Ok(asked) => (self.known_meta, self.binary) = (Some(base), asked),
                        Err(error) => return (Err(error.to_string()), 0),
                    }
                }
                if let Some(payload) = encoder.held(item.element.content, outbox.limits.shared_bytes()) {
                    let is_binary = match outbox.frame_type.takes_a_look(self.binary) {
                        true => std::str::from_utf8(payload).is_err(),
                        false => outbox.frame_type.is_binary(self.binary),
                    };
                    into.push_payload(payload, is_binary);
                    (Ok(()), 1)
                } else {
                    let mut encoded =
                        encoder.encode(item.element.content, item.ingest_ns, meta, into.chunks());
                    if outbox.finish_events && item.ends_event {
                        encoded = encoded.and(encoder.finish(into.chunks()));
                    }
                    let new = into.flag_new(outbox.frame_type.is_binary(self.binary), encoded.is_ok());
                    if outbox.frame_type.takes_a_look(self.binary) {
                        into.mark_binary(before);
                    }
                    (encoded.map_err(|error| error.to_string()), new)
                }
            }
        };
        let new = match asked.filter(|_| encoded.is_ok()) {
            None => new,
            Some(asked) => {
                asked.apply(into, before);
                into.len() - before
            }
        };
        self.silent += u64::from(encoded.is_ok() && new == 0);
        if self.is_broadcast && encoded.is_ok() && new > 0 {
            into.is_for_all();
        }
        (encoded, new)
    }

    /// Sees to it that `receipt`, if there is one, is settled with the last of the `new` messages of an element.
    pub(super) fn attach(
        &mut self,
        messages: &mut Messages,
        receipt: Option<&Receipt>,
        is_encoded: bool,
        new: usize,
    ) {
        let Some(receipt) = receipt else { return };
        match (is_encoded, new) {
            (true, 0) => self.answers.delivered(receipt.clone()),
            (true, _) => {
                messages.attach(receipt.clone(), *self.now.get_or_insert_with(Instant::now));
            }
            (false, _) => self.answers.failed(receipt.clone()),
        }
    }

    /// Settles and counts what is over already, now that the lock is not held.
    pub(super) fn end(self, outbox: &Outbox) -> Taken {
        let Self { taken, queued, dropped, outcome, answers, silent, .. } = self;
        answers.tell();
        outbox.counters.written(silent);
        if dropped > 0 {
            outbox.left_out(dropped);
        }
        if queued {
            outbox.filled.ring();
        }
        Taken { taken, dropped, outcome }
    }
}
