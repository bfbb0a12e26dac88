//! Whether who writes may still make room in a full outbox, or its policy has to act.
//!
//! A batch comes faster than the connection's task has its turn, however fast the peer reads. So a policy acts only
//! where the last attempt to write ended at a full socket, or nobody is about to write at all.

use super::{Outbox, Phase, State, WhenFull};
use std::mem;

impl Outbox {
    /// Whoever writes takes no more for now.
    pub(crate) fn gets_stuck(&self) {
        let mut state = self.lock();
        let may_act = !self.only_waits() && self.may_get_room(&state);
        state.is_stuck = true;
        let is_heard = may_act && mem::take(&mut state.room_is_wanted);
        drop(state);
        if is_heard {
            self.room.notify_waiters();
        }
    }

    /// Whether all that happens while it is full is that whoever brings messages waits.
    fn only_waits(&self) -> bool {
        matches!(self.limits.when_full, WhenFull::Wait | WhenFull::WaitAtMost(_))
    }

    /// Whoever writes goes on.
    pub(crate) fn goes_on(&self) {
        self.lock().is_stuck = false;
    }

    /// Whether whoever writes may make room as soon as it has its turn.
    pub(crate) fn may_make_room(&self) -> bool {
        self.may_get_room(&self.lock())
    }

    pub(super) fn may_get_room(&self, state: &State) -> bool {
        !state.is_stuck && matches!(state.phase, Phase::Open) && self.is_there()
    }

    /// Whether whoever brings messages waits for room, or has to see what becomes of the connection.
    pub(super) fn is_waited_for(&self, state: &State) -> bool {
        self.only_waits() || self.limits.when_full == WhenFull::Close || self.may_get_room(state)
    }

    /// Whether those who bring messages wait for room, even where nobody writes.
    pub(crate) fn holds_up(&self) -> bool {
        let waits = self.limits.when_full == WhenFull::Close && self.waits_for_another();
        (waits || self.only_waits()) && self.has_no_room(&self.lock())
    }
}
