//! Operators among breakers: they hear what stands behind them, and stand in front of it for what is before them
//! (`spec/runtime.md` 11.6).

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tremor_event::{Breaker, IdGenerator};

/// An operator that stands between sources and sinks: what is behind it closes and opens it, and it closes and opens
/// what is in front of it. Linked once, before any event comes.
///
/// Chains of these are acyclic, as pipelines are; a change travels upstream in the call that made it.
pub trait Mediator: Send + Sync {
    /// Whether it stands in front of what is behind `port`. What is behind its other ports is linked as if it were not
    /// there.
    fn mediates(&self, port: &str) -> bool;

    /// What the parts behind `port` open and close.
    fn behind(self: Arc<Self>, port: &str) -> Arc<dyn Breaker>;

    /// `breaker` stands in front.
    fn add_upstream(&self, breaker: Arc<dyn Breaker>);

    /// Everything is linked. Until then it counts as closed, also while there is nothing behind it.
    fn begin(&self);
}

/// What is in front of an operator.
pub(super) struct Upstream {
    id: u64,
    is_open: bool,
    is_lost: bool,
    breakers: Vec<Arc<dyn Breaker>>,
}

impl Upstream {
    /// Closed, under a number of its own.
    pub(super) fn new(ids: &IdGenerator) -> Self {
        Self { id: ids.next_id(), is_open: false, is_lost: false, breakers: Vec::new() }
    }

    pub(super) fn add(&mut self, breaker: Arc<dyn Breaker>) {
        breaker.add(self.id);
        if self.is_open {
            breaker.open(self.id);
        }
        self.breakers.push(breaker);
    }

    /// Tells of a change.
    pub(super) fn set(&mut self, is_open: bool) {
        if std::mem::replace(&mut self.is_open, is_open) == is_open {
            return;
        }
        for breaker in &self.breakers {
            if is_open {
                breaker.open(self.id);
            } else {
                breaker.close(self.id);
            }
        }
    }

    /// Tells that it will never open again, where `is_lost` says so.
    pub(super) fn lose_if(&mut self, is_lost: bool) {
        if is_lost && !std::mem::replace(&mut self.is_lost, true) {
            self.breakers.iter().for_each(|breaker| breaker.lose(self.id));
        }
    }
}

/// What is behind one port.
#[derive(Debug, Default)]
pub(super) struct Downstream {
    /// Parts that never opened so far.
    fresh: BTreeSet<u64>,
    /// Parts that closed after they were open.
    closed: BTreeSet<u64>,
    has_parts: bool,
    is_lost: bool,
}

/// What a part behind a port says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It is there.
    Added,
    /// It takes events.
    Opened,
    /// It takes none.
    Closed,
    /// It will never take any.
    Lost,
}

impl Downstream {
    /// Notes what `part` says; `true` if one that was open closes.
    pub(super) fn note(&mut self, part: u64, news: News) -> bool {
        match news {
            News::Added => {
                self.has_parts = true;
                self.fresh.insert(part);
                false
            }
            News::Opened => {
                self.fresh.remove(&part);
                self.closed.remove(&part);
                false
            }
            News::Closed => !self.fresh.contains(&part) && self.closed.insert(part),
            News::Lost => {
                self.is_lost = true;
                false
            }
        }
    }

    /// All parts take events.
    pub(super) fn is_open(&self) -> bool {
        self.has_opened() && self.closed.is_empty()
    }

    /// Each part has taken events at some time.
    pub(super) fn has_opened(&self) -> bool {
        self.fresh.is_empty()
    }

    /// One of the parts will never take events.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// There is anything at all.
    pub(super) fn has_parts(&self) -> bool {
        self.has_parts
    }
}

/// The operator's side of [`Behind`].
pub(super) trait Hears: Send + Sync + 'static {
    /// `part` behind output number `output` has news.
    fn hear(&self, output: usize, part: u64, news: News);
}

/// The breaker of one output of an operator.
pub(super) struct Behind<M> {
    pub(super) operator: Arc<M>,
    pub(super) output: usize,
}

impl<M: Hears> Breaker for Behind<M> {
    fn add(&self, part: u64) {
        self.operator.hear(self.output, part, News::Added);
    }

    fn open(&self, part: u64) {
        self.operator.hear(self.output, part, News::Opened);
    }

    fn close(&self, part: u64) {
        self.operator.hear(self.output, part, News::Closed);
    }

    fn lose(&self, part: u64) {
        self.operator.hear(self.output, part, News::Lost);
    }
}

/// A state is always whole when its lock is given back: a panic elsewhere does not spoil it.
pub(super) fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
