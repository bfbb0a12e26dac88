//! Which connectors have connections that events come from.

use super::Streams;
use foldhash::fast::RandomState;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

/// The connections of a process by the source halves of their connectors, for those who make one more for each of them.
#[derive(Clone, Default)]
pub(crate) struct Directory(Arc<Mutex<Sources>>);

type Sources = HashMap<u64, Weak<Streams>, RandomState>;

impl Directory {
    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds those of source half `source`, and forgets the ones that are gone.
    pub(crate) fn add(&self, source: u64, streams: &Arc<Streams>) {
        let mut sources = self.sources();
        sources.retain(|_, streams| streams.strong_count() > 0);
        sources.insert(source, Arc::downgrade(streams));
    }

    /// Those of source half `source`, if it has any.
    pub(super) fn of_source(&self, source: u64) -> Option<Arc<Streams>> {
        self.sources().get(&source).and_then(Weak::upgrade)
    }

    /// Those of all source halves.
    pub(super) fn all(&self) -> Vec<Arc<Streams>> {
        self.sources().values().filter_map(Weak::upgrade).collect()
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("sources", &self.sources().len()).finish()
    }
}
