//! What waits to be written on one connection.

mod messages;
mod shared;
#[cfg(test)]
pub(crate) mod tests;

use crate::{bell::Bell, counters::SinkCounters};
pub(crate) use messages::{Answers, Message, Messages};
pub(crate) use shared::Shared;
use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Notify, futures::Notified};
use tremor_codec::Encoder;
use tremor_event::{Element, EventId, Receipt};
use tremor_value::Value;

/// How much waits for one connection at most, and what happens beyond (`spec/websocket.md` 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendQueue {
    /// Messages.
    pub messages: usize,
    /// Bytes of payload; one larger message passes alone.
    pub bytes: usize,
    /// What happens while it is full.
    pub when_full: WhenFull,
}

/// What happens while a [`SendQueue`] is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Whoever sends waits for room, however long that takes.
    Wait,
    /// Whoever sends waits for so long; then the peer counts as too slow and its connection is closed.
    WaitAtMost(Duration),
    /// The connection is closed at once.
    Close,
}

impl Default for SendQueue {
    fn default() -> Self {
        Self { messages: 1024, bytes: 1024 * 1024, when_full: WhenFull::Wait }
    }
}

/// An element on its way into an outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    pub(crate) element: Element<'a>,
    /// The id of its event.
    pub(crate) id: &'a EventId,
    /// Of its event, in nanoseconds since 1970 UTC.
    pub(crate) ingest_ns: u64,
    /// It is the last element of its event.
    pub(crate) ends_event: bool,
    /// That of its event. The outbox settles a copy, for this element and this connection.
    pub(crate) receipt: Option<&'a Receipt>,
}

/// What an attempt to put elements into an outbox came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// All of them were taken.
    All,
    /// There is no room for more.
    Full,
    /// Nobody will write any more.
    Closed,
}

/// Encoded messages on their way to one connection, in order.
///
/// Whoever delivers encodes in place, under the lock; the connection's task takes what is there in one
/// go. What a broken connection did not write can be put back in front for the next one.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    limits: SendQueue,
    /// Every event stands for itself: nothing of it may stay in a postprocessor (`spec/runtime.md` 8.3).
    finish_events: bool,
    /// The metadata of what comes from the connection, if that leads back here.
    own_meta: Option<Value>,
    /// What that says of frame types.
    own_binary: bool,
    filled: Bell,
    room: Notify,
    given_up: AtomicBool,
    counters: Arc<SinkCounters>,
}

#[derive(Debug)]
struct State {
    encoder: Encoder,
    waiting: Messages,
    /// Messages and payload bytes that were taken to be written and are not written yet.
    under_way: (usize, usize),
    /// Somebody found it full and waits.
    room_is_wanted: bool,
    closed: bool,
}

impl Outbox {
    /// An empty outbox. With `finish_events` the postprocessors are finished behind every event.
    pub(crate) fn new(
        encoder: Encoder,
        limits: SendQueue,
        finish_events: bool,
        own_meta: Option<Value>,
        counters: Arc<SinkCounters>,
    ) -> Self {
        let finish_events = finish_events && encoder.is_streaming();
        let state = State {
            encoder,
            waiting: Messages::default(),
            under_way: (0, 0),
            room_is_wanted: false,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            limits,
            finish_events,
            own_binary: own_meta.as_ref().is_some_and(wants_binary),
            own_meta,
            filled: Bell::default(),
            room: Notify::new(),
            given_up: AtomicBool::new(false),
            counters,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The metadata that leads here, as far as that is known.
    pub(crate) fn own_meta(&self) -> Option<&Value> {
        self.own_meta.as_ref()
    }

    /// What happens while it is full.
    pub(crate) fn when_full(&self) -> WhenFull {
        self.limits.when_full
    }

    /// Encodes `items` behind what is waiting, as many as there is room for; gives how many were taken. Those
    /// that cannot be encoded are taken too, and `refused` hears of each. `shared` holds, at their places among `items`,
    /// those that were encoded already.
    pub(crate) fn put(
        &self,
        items: &[Item<'_>],
        shared: &[Option<Arc<Shared>>],
        refused: &mut dyn FnMut(String),
    ) -> (usize, Put) {
        let mut guard = self.lock();
        let (mut taken, mut queued, mut silent) = (0, false, 0);
        let mut outcome = Put::All;
        let (mut answers, mut now) = (Answers::default(), None);
        // Most events of a connection share their metadata, so what it says is looked up once.
        let (mut known_meta, mut binary) = (self.own_meta.as_ref(), self.own_binary);
        guard.waiting.reserve(items.len().min(self.limits.messages));
        for (number, item) in items.iter().enumerate() {
            let State { encoder, waiting, under_way, room_is_wanted, closed } = &mut *guard;
            if *closed {
                outcome = Put::Closed;
                break;
            }
            let (messages, bytes) = (waiting.len() + under_way.0, waiting.bytes() + under_way.1);
            if messages >= self.limits.messages || bytes >= self.limits.bytes {
                *room_is_wanted = true;
                outcome = Put::Full;
                break;
            }
            taken += 1;
            let (encoded, new) = if let Some(Some(shared)) = shared.get(number) {
                (shared.encoded(), waiting.push_shared(shared))
            } else {
                let meta = item.element.meta;
                let mut encoded =
                    encoder.encode(item.element.content, item.ingest_ns, meta, waiting.chunks());
                if self.finish_events && item.ends_event {
                    encoded = encoded.and(encoder.finish(waiting.chunks()));
                }
                if !known_meta.is_some_and(|known| is_shared(known, meta)) {
                    (known_meta, binary) = (Some(meta), wants_binary(meta));
                }
                let new = waiting.flag_new(binary, encoded.is_ok());
                (encoded.map_err(|error| error.to_string()), new)
            };
            queued |= new > 0;
            if let Some(receipt) = item.receipt {
                match (&encoded, new) {
                    (Ok(()), 0) => answers.delivered(receipt.clone()),
                    (Ok(()), _) => {
                        waiting.attach(receipt.clone(), *now.get_or_insert_with(Instant::now));
                    }
                    (Err(_), _) => answers.failed(receipt.clone()),
                }
            }
            match encoded {
                Ok(()) => silent += u64::from(new == 0),
                Err(error) => refused(error),
            }
        }
        drop(guard);
        answers.tell();
        self.counters.written(silent);
        if queued {
            self.filled.ring();
        }
        (taken, outcome)
    }

    /// Completes when messages were written, or the outbox closed, after it was enabled. Only who finds the outbox full
    /// behind that hears of it.
    pub(crate) fn room(&self) -> Notified<'_> {
        self.room.notified()
    }

    /// Rings when something may be waiting, and when the connection is given up.
    pub(crate) fn bell(&self) -> &Bell {
        &self.filled
    }

    /// Moves everything that waits into `into`, which is empty. Until [`Outbox::wrote`] hears of them, or they are
    /// put back, they take room in here.
    pub(crate) fn take(&self, into: &mut Messages) {
        let mut state = self.lock();
        mem::swap(into, &mut state.waiting);
        state.under_way = (into.len(), into.bytes());
    }

    /// So many of the messages that were taken, and payload bytes, take no room any more.
    pub(crate) fn wrote(&self, messages: usize, bytes: usize) {
        let mut state = self.lock();
        let under_way = &mut state.under_way;
        *under_way = (under_way.0.saturating_sub(messages), under_way.1.saturating_sub(bytes));
        let room_is_wanted = mem::take(&mut state.room_is_wanted);
        drop(state);
        if room_is_wanted {
            self.room.notify_waiters();
        }
    }

    /// Puts the messages from number `from` on back in front, for the next connection. In a closed outbox they
    /// fail.
    pub(crate) fn put_back(&self, unwritten: &mut Messages, from: usize) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            self.fail(unwritten, from);
            return;
        }
        state.under_way = (0, 0);
        let mut newer = mem::take(&mut state.waiting);
        state.waiting.append_from(unwritten, from);
        state.waiting.append_from(&mut newer, 0);
        drop(state);
        self.filled.ring();
    }

    /// The messages from number `from` on will never be written: takes them out of `unwritten`. Gives how many
    /// elements failed with them.
    pub(crate) fn fail(&self, unwritten: &mut Messages, from: usize) -> u64 {
        let lost = unwritten.fail_from(from);
        self.counters.failed(lost);
        lost
    }

    /// Drops codec and postprocessor state: the next bytes go to a new connection.
    pub(crate) fn reset(&self, encoder: Encoder) {
        self.lock().encoder = encoder;
    }

    /// Appends what the postprocessors still hold: the stream ends in good order.
    pub(crate) fn finish(&self) {
        let mut guard = self.lock();
        let State { encoder, waiting, closed, .. } = &mut *guard;
        if *closed {
            return;
        }
        // What a failing stage held is lost with it; the events were counted when they were taken.
        let _what_came_is_sent = encoder.finish(waiting.chunks()).is_err();
        waiting.flag_new(false, false);
        drop(guard);
        self.filled.ring();
    }

    /// Ends the outbox: what waits fails, and so does everything later. Gives how many elements that were.
    pub(crate) fn close(&self) -> u64 {
        let mut state = self.lock();
        state.closed = true;
        let mut lost = mem::take(&mut state.waiting);
        drop(state);
        let lost = self.fail(&mut lost, 0);
        self.room.notify_waiters();
        lost
    }

    /// Ends the connection behind this outbox: its peer reads too slowly. Gives how many elements failed.
    pub(crate) fn give_up(&self) -> u64 {
        let lost = self.close();
        self.given_up.store(true, Ordering::Release);
        self.filled.ring();
        lost
    }

    /// Whether [`Outbox::give_up`] was called.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// Gives back memory that an idle connection does not need.
    pub(crate) fn rest(&self) {
        let mut state = self.lock();
        state.encoder.rest();
        if state.waiting.is_empty() {
            state.waiting = Messages::default();
        }
    }

    /// Whether nothing waits to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// Whether there is no room for more.
    pub(crate) fn is_full(&self) -> bool {
        let State { waiting, under_way, .. } = &*self.lock();
        waiting.len() + under_way.0 >= self.limits.messages
            || waiting.bytes() + under_way.1 >= self.limits.bytes
    }

    /// Messages that are really here: waiting, or taken and not written yet.
    pub(crate) fn held(&self) -> usize {
        let state = self.lock();
        state.waiting.len() + state.under_way.0
    }

    pub(crate) fn counters(&self) -> &SinkCounters {
        &self.counters
    }
}

/// Whether two records are the same one in memory: comparing more would cost more than looking something up.
pub(crate) fn is_shared(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Record(one), Value::Record(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

/// Binary is asked for with `true` in `$binary`, `$ws_server.binary` or `$ws_client.binary` and `false` in
/// none of them (`spec/websocket.md` 1.2).
fn wants_binary(meta: &Value) -> bool {
    if meta.as_record().is_none_or(tremor_value::Record::is_empty) {
        return false;
    }
    let kinds =
        ["ws_server", "ws_client"].map(|kind| meta.get(kind).and_then(|of_kind| of_kind.get("binary")));
    let mut asked = false;
    for flag in kinds.into_iter().chain([meta.get("binary")]).flatten().filter_map(Value::as_bool) {
        if !flag {
            return false;
        }
        asked = true;
    }
    asked
}
