//! What a connection is told by way of its outbox, besides messages.

use super::{
    ANSWERED, AWAY, CUT, DUE, ENDING, HEARD_OUT, Messages, NEW_META, Outbox, PRESSURE, Phase, State,
};
use crate::duplex::Ending;
use std::{mem, sync::atomic::Ordering};
use tremor_value::Value;

impl Outbox {
    /// Says that the connection is to end behind what waits. If it `stays`, a connection that breaks before is ended when
    /// it has come back.
    pub(super) fn begin_end(&self, state: &mut State, ending: Ending, stays: bool) {
        if matches!(state.phase, Phase::Open) {
            state.phase = Phase::Ending { ending, stays };
            let mut last = Box::new(mem::take(&mut state.waiting));
            if let Some(kept) = &mut state.kept {
                kept.take_all(&mut last);
            }
            state.last = Some(last);
            self.tell(ENDING);
        }
    }

    /// Ends the connection behind what waits. `false` if it is about to end already.
    pub(crate) fn end(&self, ending: Ending) -> bool {
        let mut state = self.lock();
        let is_open = matches!(state.phase, Phase::Open);
        self.begin_end(&mut state, ending, false);
        is_open
    }

    /// The same where those who wait for room do not wait any more.
    pub(crate) fn end_at_once(&self, ending: Ending) {
        self.end(ending);
        self.room.notify_waiters();
    }

    /// Ends the connection behind what waits, and once as many messages have come as went.
    pub(crate) fn end_when_answered(&self) {
        self.tell(ANSWERED);
    }

    /// Has the connection read no more once as many messages have come as went.
    pub(crate) fn hear_out(&self) {
        self.tell(HEARD_OUT);
    }

    /// How the connection is to end, if it is and everything in front of that was taken to be written.
    pub(crate) fn ending(&self) -> Option<Ending> {
        let mut state = self.lock();
        if !state.is_empty() {
            return None;
        }
        let Phase::Ending { ending, stays } = &mut state.phase else { return None };
        *stays = false;
        Some(ending.clone())
    }

    /// Ends the connection without a word: it took too long to end with one.
    pub(crate) fn cut(&self) {
        self.tell(CUT);
    }

    /// A ping with this payload goes behind what waits. `false` if there is no room for it.
    pub(crate) fn ping(&self, payload: &[u8]) -> bool {
        let mut state = self.lock();
        let (messages, bytes) = state.held();
        let has_room =
            messages < self.limits.messages && bytes.saturating_add(payload.len()) <= self.limits.bytes;
        if !matches!(state.phase, Phase::Open) || !has_room {
            return false;
        }
        match &mut state.kept {
            None => state.waiting.push_ping(payload, false),
            Some(kept) => {
                let mut ping = Messages::default();
                ping.push_ping(payload, false);
                kept.push(ping, None);
            }
        }
        drop(state);
        self.filled.ring();
        true
    }

    /// What comes from the connection has this metadata from now on.
    pub(crate) fn set_meta(&self, meta: Value) {
        self.lock().meta = Some(meta);
        self.tell(NEW_META);
    }

    /// The metadata that was set and that the connection does not use yet.
    pub(crate) fn new_meta(&self) -> Option<Value> {
        self.lock().meta.clone()
    }

    /// The metadata that was set since this was last asked.
    pub(crate) fn take_meta(&self) -> Option<Value> {
        self.lock().meta.take()
    }

    /// Messages and bytes that waited when four fifths of the room were taken, if that happened since this was last asked.
    pub(crate) fn take_pressure(&self) -> Option<(usize, usize)> {
        self.lock().pressure.take().map(|pressure| *pressure)
    }

    pub(super) fn look_at_pressure(&self, state: &mut State) {
        let (messages, bytes) = state.held();
        if !state.is_pressed && self.limits.is_pressed_by(messages, bytes) {
            state.is_pressed = true;
            state.pressure = Some(Box::new((messages, bytes)));
            self.tell(PRESSURE);
        }
    }

    /// Tells the connection that something is to be looked at.
    pub(super) fn tell(&self, what: u16) {
        self.news.fetch_or(what, Ordering::Release);
        self.filled.ring();
    }

    /// Has the connection's task look at the deadline of its protocol, before it reads anything more.
    pub(crate) fn wake(&self) {
        self.tell(DUE);
    }

    /// There is no connection that could make room.
    pub(crate) fn goes_away(&self) {
        self.news.fetch_or(AWAY, Ordering::Release);
    }

    /// The connection is there.
    pub(crate) fn has_come(&self) {
        self.forget_news(AWAY);
        self.room.notify_waiters();
    }

    /// Whether there is a connection that could make room.
    pub(crate) fn is_there(&self) -> bool {
        self.news() & AWAY == 0
    }

    /// Whether another connection is to come before anything is written.
    pub(crate) fn waits_for_another(&self) -> bool {
        self.comes_back && !self.is_there()
    }

    /// What the connection has to look at: any of the constants of this module.
    pub(crate) fn news(&self) -> u16 {
        self.news.load(Ordering::Acquire)
    }

    /// These were looked at, or are about to be.
    pub(crate) fn forget_news(&self, what: u16) {
        self.news.fetch_and(!what, Ordering::AcqRel);
    }
}
