//! What all streams of a source have in common.

use super::CONTROL;
use crate::{
    Gate, Links,
    counters::SourceCounters,
    quota::{Tally, more_before},
    task::TARGET,
};
use std::sync::{Arc, OnceLock, atomic::AtomicU64};
use tremor_codec::Resolver;
use tremor_event::EventBatch;
use tremor_value::{Value, sentence};

/// What all streams of one source share.
pub(crate) struct SourceShared {
    /// Id that is unique in the process.
    pub(crate) id: u64,
    /// `<flow>::<connector>`.
    pub(crate) alias: String,
    /// Whether it may read.
    pub(crate) gate: Arc<Gate>,
    /// What it gave so far.
    pub(crate) counters: SourceCounters,
    /// Makes the decoding state of one more stream; `None` for structured sources.
    pub(crate) coding: Option<Resolver>,
    links: OnceLock<Links>,
    pub(super) pulls: AtomicU64,
    /// Errors that nothing reads.
    unread: Tally,
}

impl SourceShared {
    /// The parts of a source that is not linked yet.
    #[must_use]
    pub(crate) fn new(id: u64, alias: String, coding: Option<Resolver>) -> Self {
        Self {
            id,
            alias,
            gate: Arc::default(),
            counters: SourceCounters::default(),
            coding,
            links: OnceLock::new(),
            pulls: AtomicU64::new(0),
            unread: Tally::default(),
        }
    }

    /// Sets what the ports lead to, once.
    pub(crate) fn link(&self, links: Links) {
        let _first_wins = self.links.set(links);
    }

    /// What the ports lead to.
    pub(crate) fn links(&self) -> &Links {
        self.links.get_or_init(Links::default)
    }

    /// Whether anything reads port `control`.
    pub(crate) fn tells(&self) -> bool {
        self.links().is_linked(CONTROL)
    }

    /// Says what is lost where nothing reads `err`, unless there were many such lines just now.
    pub(super) fn tell_unread(&self, errors: &EventBatch) {
        let Some(first) = errors.events.first().filter(|_| !self.links().is_linked("err")) else { return };
        let (count, alias) = (errors.len(), &self.alias);
        if let Some(left_out) = self.unread.may_log(count as u64) {
            let value = first.payload.value();
            let cause = sentence(value.get("error").and_then(Value::as_str).unwrap_or_default());
            let (s, more) = (if count == 1 { "" } else { "s" }, more_before(left_out));
            tracing::warn!(
                target: TARGET,
                "[Source::{alias}] {count} error{s} on port `err`, which nothing reads: {cause}{more}"
            );
        }
    }

    /// Says how many errors were lost of which no line has told so far.
    pub(crate) fn log_left_out(&self) {
        self.unread.tell_rest(|left_out| self.more_unread(left_out));
    }

    /// The same, each time that no line has told so in a second. Never ends.
    pub(crate) async fn log_what_is_left_out(&self) {
        self.unread.tell_rests(|left_out| self.more_unread(left_out)).await;
    }

    fn more_unread(&self, left_out: u64) {
        let s = if left_out == 1 { "" } else { "s" };
        tracing::warn!(target: TARGET, "[Source::{}] {left_out} more error{s} like that", self.alias);
    }
}
