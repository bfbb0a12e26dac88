//! What was kept for a client that comes back.

use super::{Messages, Outbox, Shared};
use crate::replay::{Gap, Joining};
use std::sync::Arc;

impl Outbox {
    /// The same for a client for which something is kept.
    pub(crate) fn joined_by(self, joining: Option<&Joining>) -> Self {
        Self { joined: joining.cloned().map(Box::new), ..self }
    }

    /// There if something is kept for its client.
    pub(crate) fn joined(&self) -> Option<&Joining> {
        self.joined.as_deref()
    }

    /// The client is told `greeting` first, and sent `kept` then. `gap`: what it asked for, and what it has missed.
    pub(crate) fn begin_with(&self, greeting: &str, kept: &[Arc<Shared>], gap: Option<(u64, Gap)>) {
        let mut state = self.lock();
        state.gap = gap.map(Box::new);
        state.waiting.chunks().push(greeting.as_bytes());
        state.waiting.flag_new(false, false);
        kept.iter().for_each(|message| state.waiting.push_uncounted(message));
        state.backlog = (state.waiting.len(), state.waiting.bytes());
        drop(state);
        self.filled.ring();
    }

    /// The client is sent `late`, too, which was for a connection whose place this one has taken.
    pub(crate) fn goes_on_with(&self, late: &[Arc<Shared>]) {
        let mut state = self.lock();
        if self.is_shut(&state) {
            return;
        }
        let mut messages = Messages::default();
        late.iter().for_each(|message| messages.push_uncounted(message));
        state.backlog = (state.backlog.0 + messages.len(), state.backlog.1 + messages.bytes());
        state.waiting.append_from(&mut messages, 0);
        drop(state);
        self.filled.ring();
    }

    /// What the client asked for and what it has missed, if that was not asked before.
    pub(crate) fn take_gap(&self) -> Option<(u64, Gap)> {
        self.lock().gap.take().map(|gap| *gap)
    }
}
