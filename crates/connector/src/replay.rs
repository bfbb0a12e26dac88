//! Messages that are kept for clients that come back (`spec/websocket.md` 13): a [`Ring`] for each route that has one.

mod ring;
mod wire;

use crate::{config::Key, outbox::Shared};
pub(crate) use ring::{Audience, Gap, Gone, Reach, Ring};
pub use ring::{Keep, Person};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};
use tremor_value::Value;
pub use wire::{NoId, acknowledged, last_received};
pub(crate) use wire::{greeting, number};

/// What is kept of one route.
#[derive(Debug)]
pub struct Replay {
    ring: Mutex<Ring<Arc<Shared>>>,
    /// What the metadata of its connections say of the route.
    pub(crate) route: Option<Value>,
    /// The keys that lead to where that is said.
    pub(crate) at: Vec<Key>,
}

/// A connection of a route of which something is kept.
#[derive(Clone, Debug)]
pub struct Joining {
    /// What is kept.
    pub replay: Arc<Replay>,
    /// Who it is, if that is known.
    pub person: Option<Person>,
    /// The id of the last message that the client says it has had.
    pub last_received: Option<u64>,
}

impl Replay {
    /// Nothing is kept yet, but will be. `route` is what metadata say of it, `at` leads to where it is configured.
    ///
    /// Ids begin with the microseconds since 1970: what one program gives is greater than what those before it gave, unless
    /// the clock was set back or a million messages came in every second.
    #[must_use]
    pub fn new(keep: Keep, route: Option<Value>, at: Vec<Key>) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let first = u64::try_from(since_1970.as_micros()).unwrap_or_default();
        Self { ring: Mutex::new(Ring::new(keep, first)), route, at }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Ring<Arc<Shared>>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Joining {
    /// The client has had all up to that message.
    pub fn acknowledge(&self, id: u64) {
        if let Some(person) = &self.person {
            self.replay.lock().acknowledge(person, id);
        }
    }
}
