//! What waits to be written on one connection.

mod asked;
mod checked;
mod commands;
mod ends;
mod frame_type;
mod heard;
mod kept;
mod limits;
mod messages;
#[cfg(test)]
mod policies;
mod putting;
mod resuming;
mod shared;
#[cfg(test)]
pub(crate) mod tests;
mod turns;

use crate::duplex::{Ending, Outgoing, QueueTraffic};
use crate::replay::{Gap, Joining};
use crate::{bell::Bell, counters::SinkCounters};
pub(crate) use asked::{Asked, Extra};
pub use frame_type::FrameType;
use kept::Kept;
pub use limits::{SendQueue, WhenFull};
pub(crate) use messages::{Answers, Ends, Lost, Message, Messages};
use putting::Putting;
pub(crate) use putting::{Put, Taken};
pub(crate) use shared::Shared;
use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
};
use tokio::sync::{Notify, futures::Notified};
use tremor_codec::Encoder;
use tremor_event::{Element, EventId, Receipt};
use tremor_value::Value;

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

/// The connection is given up: its peer is too slow.
pub(crate) const GIVEN_UP: u16 = 1;
/// The connection is to end behind what waits.
pub(crate) const ENDING: u16 = 2;
/// The connection is to end now, without a word.
pub(crate) const CUT: u16 = 4;
/// What comes from the connection has other metadata.
pub(crate) const NEW_META: u16 = 8;
/// Most of the room is taken.
pub(crate) const PRESSURE: u16 = 16;
/// The connection is to end once as many messages have come as went.
pub(crate) const ANSWERED: u16 = 32;
/// The connection is to be read no more once as many messages have come as went.
pub(crate) const HEARD_OUT: u16 = 128;
/// The deadline of the protocol was moved from outside.
pub(crate) const DUE: u16 = 256;
/// There is no connection yet, or not any more: nobody reads too slowly.
const AWAY: u16 = 64;

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
    own_binary: Option<bool>,
    /// How messages go out whose metadata say nothing of it.
    frame_type: FrameType,
    conn: u64,
    filled: Bell,
    room: Notify,
    /// What the connection has to look at.
    news: AtomicU16,
    /// Somebody wants to hear of pressure.
    tells_pressure: AtomicBool,
    /// Another connection may come when this one has ended, and what waits goes there.
    comes_back: bool,
    /// There if something is kept for its client.
    joined: Option<Box<Joining>>,
    /// Looks at messages before they wait, if anybody does.
    outgoing: Option<Arc<dyn Outgoing>>,
    counters: Arc<SinkCounters>,
}

#[derive(Debug)]
struct State {
    encoder: Encoder,
    waiting: Messages,
    /// The last messages for a connection that is to end; what waits is for the next one then.
    /// Boxed, as is what else most connections never have.
    last: Option<Box<Messages>>,
    /// What waits behind that, where it may still be dropped; `None` where nothing that waits is.
    kept: Option<Box<Kept>>,
    /// Messages and payload bytes that were taken to be written and are not written yet.
    under_way: (usize, usize),
    /// Those of what is here that were kept for the client: they take no room of others.
    backlog: (usize, usize),
    /// What the client has missed, until the connection knows.
    gap: Option<Box<(u64, Gap)>>,
    /// Somebody found it full and waits.
    room_is_wanted: bool,
    /// Whoever writes can take no more for now: the socket is full, or the connection comes to its end.
    is_stuck: bool,
    phase: Phase,
    /// Metadata that the connection is to use and does not know of.
    meta: Option<Value>,
    /// Four fifths of the room were taken, and it has not become half of it since.
    is_pressed: bool,
    /// What that was, until the connection knows.
    pressure: Option<Box<(usize, usize)>>,
    /// How the connection has ended, unless everything stops.
    farewell: Option<Box<Farewell>>,
    /// Why nothing is written any more.
    cause: Option<Box<str>>,
    /// Elements that were lost with the connection, which is told when that has ended.
    lost: Lost,
    /// It was told.
    is_told: bool,
    /// What a drain has kept from being sent was told.
    is_told_of_rest: bool,
    /// How many messages fewer than went had come at the end of a connection that waited for them.
    unanswered: u64,
    /// Hears what becomes of what waits, if somebody wants to know.
    heard_by: Option<Arc<dyn QueueTraffic>>,
}

/// How a connection has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) code: u16,
    pub(crate) reason: Box<str>,
}

#[derive(Debug)]
enum Phase {
    Open,
    /// The connection ends behind the last messages for it. If it `stays`, this outlives one that breaks before that.
    Ending {
        ending: Ending,
        stays: bool,
    },
    /// The peer of the connection took too long and is told so. What comes waits for the next one.
    GivenUp {
        /// What lines of the log say of what it did not get.
        cause: Box<str>,
    },
    /// Nobody will write any more.
    Closed,
}

impl State {
    /// Messages and payload bytes that wait or are being written.
    fn held(&self) -> (usize, usize) {
        let kept = self.kept.as_ref().map_or((0, 0), |kept| (kept.len(), kept.bytes()));
        let last = self.last.as_ref().map_or((0, 0), |last| (last.len(), last.bytes()));
        let messages = self.waiting.len() + last.0 + self.under_way.0 + kept.0;
        let bytes = self.waiting.bytes() + last.1 + self.under_way.1 + kept.1;
        (messages.saturating_sub(self.backlog.0), bytes.saturating_sub(self.backlog.1))
    }

    /// Where messages are taken from first.
    fn front(&mut self) -> &mut Messages {
        if self.is_ending() { self.last.get_or_insert_default() } else { &mut self.waiting }
    }

    /// Whether what comes is not for the connection there is.
    fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. } | Phase::GivenUp { .. })
    }

    /// Whether nothing waits to be taken for the connection there is.
    fn is_empty(&self) -> bool {
        if self.is_ending() {
            return self.last.as_ref().is_none_or(|last| last.is_empty());
        }
        self.waiting.is_empty() && self.kept.as_ref().is_none_or(|kept| kept.is_empty())
    }
}

impl Outbox {
    /// An empty outbox.
    pub(crate) fn new(encoder: Encoder, limits: SendQueue, counters: Arc<SinkCounters>) -> Self {
        let state = State {
            encoder,
            waiting: Messages::default(),
            last: None,
            under_way: (0, 0),
            backlog: (0, 0),
            gap: None,
            room_is_wanted: false,
            is_stuck: false,
            kept: limits.when_full.drops_waiting().then(Box::default),
            phase: Phase::Open,
            meta: None,
            is_pressed: false,
            pressure: None,
            farewell: None,
            cause: None,
            lost: Lost::default(),
            is_told: false,
            is_told_of_rest: false,
            unanswered: 0,
            heard_by: None,
        };
        Self {
            state: Mutex::new(state),
            limits,
            finish_events: false,
            own_binary: None,
            frame_type: FrameType::default(),
            own_meta: None,
            filled: Bell::default(),
            room: Notify::new(),
            news: AtomicU16::new(0),
            tells_pressure: AtomicBool::new(false),
            conn: 0,
            comes_back: false,
            joined: None,
            outgoing: None,
            counters,
        }
    }

    /// The same for connections that come one after the other: what one has not written waits for the next, and the
    /// postprocessors are finished behind every event.
    pub(crate) fn of_one_at_a_time(self) -> Self {
        let finish_events = self.lock().encoder.is_streaming();
        Self { finish_events, comes_back: true, ..self }.for_later()
    }

    /// The same for a connection that is still to be made.
    pub(crate) fn for_later(self) -> Self {
        self.goes_away();
        self
    }

    /// The same for connection `conn`, whose events have this metadata, if that leads back here.
    pub(crate) fn of_connection(self, conn: u64, own_meta: Option<Value>) -> Self {
        Self {
            conn,
            own_binary: own_meta.as_ref().and_then(|meta| frame_type::asked_of(meta).ok()?),
            own_meta,
            ..self
        }
    }

    /// The same for messages that go out like this unless their metadata say otherwise.
    pub(crate) fn of_type(self, frame_type: FrameType) -> Self {
        Self { frame_type, ..self }
    }

    /// The same with somebody who looks at messages before they wait.
    pub(crate) fn looked_at_by(self, outgoing: Option<Arc<dyn Outgoing>>) -> Self {
        Self { outgoing, ..self }
    }

    /// Somebody wants to hear of pressure from now on.
    pub(crate) fn tell_pressure(&self) {
        self.tells_pressure.store(true, Ordering::Relaxed);
    }

    /// Id of the connection; 0 where there is only one.
    pub(crate) fn conn(&self) -> u64 {
        self.conn
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

    /// Encodes `items` behind what is waiting, as many as there is room for. Those that cannot be encoded are taken too,
    /// and `refused` hears of each. `extras` holds what is known of some of them, at their places among `items`. What
    /// becomes of a message to everybody (`is_broadcast`) nobody waits for, unless it cannot be encoded.
    pub(crate) fn put(
        &self,
        items: &[Item<'_>],
        extras: &[Extra],
        is_broadcast: bool,
        refused: &mut dyn FnMut(String),
    ) -> Taken {
        let mut guard = self.lock();
        let mut putting = Putting::new(self, is_broadcast);
        guard.waiting.reserve(items.len().min(self.limits.messages));
        for (number, item) in items.iter().enumerate() {
            let state = &mut *guard;
            if self.is_shut(state) {
                putting.outcome = Put::Closed;
                break;
            }
            let asked = extras.get(number).and_then(|extra| extra.asked.as_deref());
            if self.has_no_room(state)
                || asked.is_some_and(|asked| self.has_no_room_for_both(state, asked, item))
            {
                let needs_room = asked.is_none_or(|asked| asked.needs_room(item));
                if needs_room && self.is_waited_for(state) {
                    state.room_is_wanted = true;
                    putting.outcome = Put::Full;
                    break;
                }
                if needs_room && self.limits.when_full == WhenFull::DropNewest {
                    putting.drop_newest(item);
                    if let Some(ending) = asked.and_then(|asked| asked.close.clone()) {
                        self.begin_end(state, ending, true);
                    }
                    continue;
                }
            }
            putting.taken += 1;
            let shared = extras.get(number).and_then(|extra| extra.shared.as_ref());
            let receipt = item.receipt.filter(|_| !is_broadcast);
            let encoded = if state.kept.is_some() {
                self.keep(state, &mut putting, item, (shared, asked), receipt)
            } else {
                let State { encoder, waiting, .. } = state;
                let (encoded, new) = putting.encode(self, encoder, waiting, item, (shared, asked));
                putting.queued |= new > 0;
                putting.attach(waiting, receipt, encoded.is_ok(), new);
                encoded
            };
            if let Err(error) = encoded {
                // Whoever waits for a message to everybody hears at least that nobody will get it.
                if let Some(receipt) = item.receipt.filter(|_| is_broadcast) {
                    putting.answers.failed(receipt.clone());
                }
                refused(error);
            } else if let Some(ending) = asked.and_then(|asked| asked.close.clone()) {
                self.begin_end(state, ending, true);
            }
        }
        if self.tells_pressure.load(Ordering::Relaxed) {
            self.look_at_pressure(&mut guard);
        }
        drop(guard);
        putting.end(self)
    }

    /// Whether what comes will never be written.
    fn is_shut(&self, state: &State) -> bool {
        match state.phase {
            Phase::Open => false,
            // The next connection may write it.
            Phase::Ending { .. } | Phase::GivenUp { .. } => !self.comes_back,
            Phase::Closed => true,
        }
    }

    /// Whether what is here takes all the room.
    fn has_no_room(&self, state: &State) -> bool {
        let (messages, bytes) = state.held();
        messages >= self.limits.messages || bytes >= self.limits.bytes
    }

    /// Whether there is room for a message or for the ping behind it, but not for both.
    fn has_no_room_for_both(&self, state: &State, asked: &Asked, item: &Item<'_>) -> bool {
        let (messages, _) = state.held();
        asked.ping.is_some()
            && !asked.leaves_out_payload(item)
            && messages > 0
            && messages + 2 > self.limits.messages
    }

    /// Encodes `item` where elements that wait may be dropped.
    fn keep<'a>(
        &self,
        state: &mut State,
        putting: &mut Putting<'a>,
        item: &Item<'a>,
        (shared, asked): (Option<&Arc<Shared>>, Option<&Asked>),
        receipt: Option<&Receipt>,
    ) -> Result<(), String> {
        let mut messages = Messages::default();
        let (encoded, new) = putting.encode(self, &mut state.encoder, &mut messages, item, (shared, asked));
        putting.attach(&mut messages, receipt, encoded.is_ok(), new);
        let may_get_room = self.may_get_room(state);
        if new > 0
            && let Some(kept) = &mut state.kept
        {
            let key = asked.and_then(|asked| asked.key.as_ref());
            if !may_get_room {
                let (waiting, under_way) = (&state.waiting, state.under_way);
                let held = (waiting.len() + under_way.0, waiting.bytes() + under_way.1);
                putting.dropped += kept.make_room(&messages, key, (&self.limits, held), &mut putting.answers);
            }
            kept.push(messages, key);
            putting.queued = true;
        }
        encoded
    }

    /// Completes when messages were written, it turned out that no more can be for now, or the outbox closed, after it
    /// was enabled. Only who finds the outbox full behind that hears of it.
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
        let mut guard = self.lock();
        let state = &mut *guard;
        mem::swap(into, state.front());
        let mut is_more = false;
        let is_ending = state.is_ending();
        if let Some(kept) = state.kept.as_mut().filter(|_| !is_ending) {
            is_more = if into.is_empty() { kept.take(into, &self.limits) } else { !kept.is_empty() };
        }
        state.under_way = (into.len(), into.bytes());
        drop(guard);
        if is_more {
            self.filled.ring();
        }
    }

    /// So many of the messages that were taken, and payload bytes, take no room any more.
    pub(crate) fn wrote(&self, messages: usize, bytes: usize) {
        let mut state = self.lock();
        let under_way = &mut state.under_way;
        *under_way = (under_way.0.saturating_sub(messages), under_way.1.saturating_sub(bytes));
        let backlog = &mut state.backlog;
        *backlog = (backlog.0.saturating_sub(messages), backlog.1.saturating_sub(bytes));
        let room_is_wanted = mem::take(&mut state.room_is_wanted);
        state.is_stuck = false;
        if state.is_pressed {
            let (messages, bytes) = state.held();
            state.is_pressed = !self.limits.is_relieved_at(messages, bytes);
        }
        drop(state);
        if room_is_wanted {
            self.room.notify_waiters();
        }
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
        self.lock().is_empty()
    }

    /// Whether there is no room for more.
    #[cfg(test)]
    pub(crate) fn is_full(&self) -> bool {
        self.has_no_room(&self.lock())
    }

    /// Messages that are really here: waiting, or taken and not written yet. And the bytes of their payloads.
    pub(crate) fn held(&self) -> (usize, usize) {
        self.lock().held()
    }

    /// The same with what was kept for the client and takes no room of others.
    pub(crate) fn unsent(&self) -> (usize, usize) {
        let state = self.lock();
        let (held, backlog) = (state.held(), state.backlog);
        (held.0 + backlog.0, held.1 + backlog.1)
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
