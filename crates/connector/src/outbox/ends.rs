//! How connections end: what becomes of the messages that wait, and what is known of the end afterwards.

use super::{ENDING, Farewell, GIVEN_UP, Lost, Messages, Outbox, Phase, State};
use std::{mem, sync::atomic::Ordering};
use tremor_codec::Encoder;

impl Outbox {
    /// Puts the messages from number `from` on back in front, for the next connection. In a closed outbox, and where
    /// their peer was given up, they fail; gives what was lost by that.
    pub(crate) fn put_back(&self, unwritten: &mut Messages, from: usize) -> Lost {
        let mut state = self.lock();
        state.under_way = (0, 0);
        if matches!(state.phase, Phase::Closed | Phase::GivenUp { .. }) {
            drop(state);
            return self.fail(unwritten, from);
        }
        let front = state.front();
        let mut newer = mem::take(front);
        front.append_from(unwritten, from);
        front.append_from(&mut newer, 0);
        drop(state);
        self.filled.ring();
        Lost::default()
    }

    /// The messages from number `from` on will never be written: takes them out of `unwritten`. Gives the
    /// elements that are lost with them.
    pub(crate) fn fail(&self, unwritten: &mut Messages, from: usize) -> Lost {
        let lost = unwritten.fail_from(from);
        self.counters.failed(lost.failed);
        self.counters.passed_over(lost.passed_over);
        lost
    }

    /// Drops codec and postprocessor state: the next bytes go to a new connection.
    pub(crate) fn reset(&self, encoder: Encoder) {
        let mut state = self.lock();
        state.encoder = encoder;
        state.meta = None;
        state.is_stuck = false;
        let stays = matches!(state.phase, Phase::Ending { stays: true, .. });
        if !stays {
            state.phase = Phase::Open;
            if let Some(mut last) = state.last.take() {
                // Of a connection that broke before it had ended as it was told.
                last.append_from(&mut state.waiting, 0);
                state.waiting = *last;
            }
        }
        drop(state);
        self.news.store(if stays { ENDING } else { 0 }, Ordering::Release);
        // Those who wait for room begin anew: it is another peer that has to make some.
        self.room.notify_waiters();
    }

    /// Appends what the postprocessors still hold: the stream ends in good order.
    pub(crate) fn finish(&self) {
        let mut guard = self.lock();
        let State { encoder, waiting, phase, .. } = &mut *guard;
        if matches!(phase, Phase::Closed | Phase::GivenUp { .. }) {
            return;
        }
        // What a failing stage held is lost with it; the events were counted when they were taken.
        let _what_came_is_sent = encoder.finish(waiting.chunks()).is_err();
        let before = waiting.len();
        waiting.flag_new(self.frame_type.is_binary(None), false);
        if self.frame_type.takes_a_look(None) {
            waiting.mark_binary(before);
        }
        drop(guard);
        self.filled.ring();
    }

    /// Ends the outbox: what waits fails, and so does everything later. Gives what elements that were, with those that
    /// were [lost](Self::lost) with the connection before: it is the caller who tells of all of them.
    pub(crate) fn close(&self) -> Lost {
        let waited = self.shut();
        let mut state = self.lock();
        state.is_told = true;
        waited + mem::take(&mut state.lost)
    }

    /// What waits fails, and so does everything later. Gives what elements that were.
    fn shut(&self) -> Lost {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        let (mut last, mut waiting) = (state.last.take().unwrap_or_default(), mem::take(&mut state.waiting));
        if let Some(kept) = &mut state.kept {
            kept.take_all(&mut waiting);
        }
        drop(state);
        let waited = self.fail(&mut last, 0) + self.fail(&mut waiting, 0);
        self.room.notify_waiters();
        waited
    }

    /// Nobody writes any more: nobody is to wait for room. What waits has failed with the connection.
    pub(crate) fn takes_no_more(&self) {
        let waited = self.shut();
        self.lost(waited);
    }

    /// Ends the connection behind this outbox: its peer reads too slowly. Gives what is lost.
    pub(crate) fn give_up(&self) -> Lost {
        let lost = self.shut();
        self.tell(GIVEN_UP);
        lost
    }

    /// The same where another connection may come: what waited for this one fails, for this reason, and what comes from now
    /// on waits for the next.
    pub(crate) fn give_up_for_now(&self, cause: &str) -> Lost {
        let mut guard = self.lock();
        let state = &mut *guard;
        if matches!(state.phase, Phase::Closed | Phase::GivenUp { .. }) {
            return Lost::default();
        }
        // What came behind the end of the connection is for the next one already.
        let mut unsent = if state.is_ending() {
            state.last.take().map_or_else(Messages::default, |last| *last)
        } else {
            mem::take(&mut state.waiting)
        };
        state.phase = Phase::GivenUp { cause: cause.into() };
        // Nobody is there who could make room, and none of those who wait for it gives up the next one.
        self.goes_away();
        drop(guard);
        let lost = self.fail(&mut unsent, 0);
        self.tell(GIVEN_UP);
        self.room.notify_waiters();
        lost
    }

    /// Why the peer of a connection was given up, if another one may come.
    pub(crate) fn cause_of_giving_up(&self) -> Option<Box<str>> {
        match &self.lock().phase {
            Phase::GivenUp { cause } => Some(cause.clone()),
            _ => None,
        }
    }

    /// So many messages fewer than went had come when a connection ended that waited for them.
    pub(crate) fn note_unanswered(&self, messages: u64) {
        self.lock().unanswered = messages;
    }

    /// How many those are.
    pub(crate) fn unanswered(&self) -> u64 {
        self.lock().unanswered
    }

    /// These elements are lost with the connection, which is told with its end.
    pub(crate) fn lost(&self, elements: Lost) {
        if elements != Lost::default() {
            let mut state = self.lock();
            state.lost = state.lost + elements;
        }
    }

    /// The same for those who may come late: `false` if the end was told before.
    pub(crate) fn lost_in_time(&self, elements: Lost) -> bool {
        let mut state = self.lock();
        if !state.is_told {
            state.lost = state.lost + elements;
        }
        !state.is_told
    }

    /// The log tells what is not sent since a drain has cut the connection off.
    pub(crate) fn tells_of_rest(&self) {
        self.lock().is_told_of_rest = true;
    }

    /// Whether it does.
    pub(crate) fn is_told_of_rest(&self) -> bool {
        self.lock().is_told_of_rest
    }

    /// The connection has ended like this.
    pub(crate) fn said(&self, farewell: Farewell) {
        self.lock().farewell = Some(Box::new(farewell));
    }

    /// How the connection has ended, if it knew.
    pub(crate) fn farewell(&self) -> Option<Farewell> {
        self.lock().farewell.as_deref().cloned()
    }

    /// Nothing is written any more, for this reason, if there is no other one.
    pub(crate) fn note_cause(&self, cause: String) {
        self.lock().cause.get_or_insert_with(|| cause.into());
    }

    /// Why nothing is written any more, if that is so.
    pub(crate) fn cause(&self) -> Option<Box<str>> {
        self.lock().cause.clone()
    }
}
