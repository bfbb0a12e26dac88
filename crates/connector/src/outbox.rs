//! What waits to be written on one connection.

use crate::counters::SinkCounters;
use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{Notify, futures::Notified};
use tremor_codec::{Chunks, Encoder};
use tremor_event::Element;
use tremor_value::Value;

/// How much an outbox holds before its senders wait (`spec/websocket.md` 13).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    /// Messages.
    pub(crate) messages: usize,
    /// Bytes of payload; one larger message passes alone.
    pub(crate) bytes: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { messages: 1024, bytes: 1024 * 1024 }
    }
}

/// Encoded messages in order.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    chunks: Chunks,
    flags: Vec<Flags>,
}

#[derive(Clone, Copy, Debug)]
struct Flags {
    binary: bool,
    is_last: bool,
}

/// One of [`Messages`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) binary: bool,
    /// The last message of what was put in at once; this is what counters count.
    pub(crate) is_last: bool,
}

impl Messages {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        let flags = self.flags.iter();
        self.chunks.iter().zip(flags).map(|(payload, flags)| Message {
            payload,
            binary: flags.binary,
            is_last: flags.is_last,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
        self.flags.clear();
    }

    /// Elements whose last message is number `from` or later.
    pub(crate) fn elements_from(&self, from: usize) -> u64 {
        self.flags.iter().skip(from).map(|flags| u64::from(flags.is_last)).sum()
    }

    fn bytes(&self) -> usize {
        self.chunks.as_bytes().len()
    }

    fn push(&mut self, message: Message<'_>) {
        self.chunks.push(message.payload);
        self.flags.push(Flags { binary: message.binary, is_last: message.is_last });
    }

    /// Gives flags to the chunks that have none yet, and says how many those were.
    fn flag_new(&mut self, binary: bool, counts: bool) -> usize {
        let new = self.chunks.len() - self.flags.len();
        self.flags.resize(self.chunks.len(), Flags { binary, is_last: false });
        if let Some(last) = self.flags.last_mut().filter(|_| new > 0) {
            last.is_last = counts;
        }
        new
    }
}

/// What an attempt to put an element into an outbox came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Queued,
    /// There is no room; nothing was done.
    Full,
    /// Nobody will write any more.
    Closed,
    /// The element cannot be encoded.
    Unencodable(String),
}

/// Encoded messages on their way to one connection, in order.
///
/// Whoever delivers encodes in place, under the lock; the connection's task takes what is there in one
/// go. What a broken connection did not write can be put back in front for the next one.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    capacity: Capacity,
    filled: Notify,
    room: Notify,
    given_up: AtomicBool,
    counters: Arc<SinkCounters>,
}

#[derive(Debug)]
struct State {
    encoder: Encoder,
    waiting: Messages,
    closed: bool,
}

impl Outbox {
    pub(crate) fn new(encoder: Encoder, capacity: Capacity, counters: Arc<SinkCounters>) -> Self {
        let state = State { encoder, waiting: Messages::default(), closed: false };
        Self {
            state: Mutex::new(state),
            capacity,
            filled: Notify::new(),
            room: Notify::new(),
            given_up: AtomicBool::new(false),
            counters,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encodes `element` behind what is waiting.
    pub(crate) fn put(&self, element: Element<'_>, ingest_ns: u64) -> Put {
        let mut guard = self.lock();
        let State { encoder, waiting, closed } = &mut *guard;
        if *closed {
            return Put::Closed;
        }
        if waiting.flags.len() >= self.capacity.messages || waiting.bytes() >= self.capacity.bytes {
            return Put::Full;
        }
        if let Err(error) = encoder.encode(element.value, ingest_ns, element.meta, &mut waiting.chunks) {
            return Put::Unencodable(error.to_string());
        }
        let new = waiting.flag_new(wants_binary(element.meta), true);
        drop(guard);
        if new == 0 {
            self.counters.written(1);
        }
        self.filled.notify_one();
        Put::Queued
    }

    /// Completes when messages were taken, or the outbox closed, after it was enabled.
    pub(crate) fn room(&self) -> Notified<'_> {
        self.room.notified()
    }

    /// Waits until something may be waiting. Cancel safe.
    pub(crate) async fn has_messages(&self) {
        self.filled.notified().await;
    }

    /// Moves everything that waits into `into`, which is empty.
    pub(crate) fn take(&self, into: &mut Messages) {
        mem::swap(into, &mut self.lock().waiting);
        if !into.is_empty() {
            self.wake_senders();
        }
    }

    /// Puts the messages from number `from` on back in front, for the next connection.
    pub(crate) fn put_back(&self, unwritten: &Messages, from: usize) {
        let mut state = self.lock();
        let newer = mem::take(&mut state.waiting);
        for message in unwritten.iter().skip(from).chain(newer.iter()) {
            state.waiting.push(message);
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Drops codec and postprocessor state: the next bytes go to a new connection.
    pub(crate) fn reset(&self, encoder: Encoder) {
        self.lock().encoder = encoder;
    }

    /// Appends what the postprocessors still hold.
    pub(crate) fn finish(&self) {
        let mut guard = self.lock();
        let State { encoder, waiting, .. } = &mut *guard;
        if let Err(error) = encoder.finish(&mut waiting.chunks) {
            tracing::warn!("the end of a stream was lost: {error}");
        }
        waiting.flag_new(false, false);
        drop(guard);
        self.filled.notify_one();
    }

    /// Ends the outbox: what waits fails, and so does everything later.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let lost = mem::take(&mut state.waiting);
        drop(state);
        self.counters.failed(lost.elements_from(0));
        self.wake_senders();
    }

    /// Ends the connection behind this outbox: its peer reads too slowly.
    pub(crate) fn give_up(&self) {
        self.close();
        self.given_up.store(true, Ordering::Relaxed);
        self.filled.notify_one();
    }

    /// Whether [`Outbox::give_up`] was called.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    fn wake_senders(&self) {
        self.room.notify_waiters();
    }

    pub(crate) fn counters(&self) -> &SinkCounters {
        &self.counters
    }
}

/// Binary is asked for with `true` in `$binary`, `$ws_server.binary` or `$ws_client.binary` and `false` in
/// none of them (`spec/websocket.md` 1.2).
fn wants_binary(meta: &Value) -> bool {
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
