//! Messages that are kept for clients that come back (`spec/websocket.md` 13): a [`Ring`] for each route that has one.

mod audience;
mod lost;
mod private;
mod ring;
mod wire;

use crate::{config::Key, outbox::Shared};
pub(crate) use audience::{Alike, Audience, Reach};
pub use ring::Keep;
pub(crate) use ring::{Gap, Gone, Ring};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};
use tremor_value::Value;
pub use wire::{NoId, acknowledged, last_received};
pub(crate) use wire::{greeting, number};

/// Who is behind connections: equal for those that may read each other's messages, and for nobody else.
pub type Person = Arc<str>;

/// What is kept of one route.
#[derive(Debug)]
pub struct Replay {
    ring: Mutex<Ring<Arc<Shared>>>,
    /// What the metadata of its connections say of the route.
    pub(crate) route: Option<Value>,
    /// The keys that lead to where that is said.
    pub(crate) at: Vec<Key>,
    like: OnceLock<Box<dyn Likeness>>,
}

/// What connections of a route can be like, as far as that can be said before they come.
pub trait Likeness: fmt::Debug + Send + Sync {
    /// Whether one may have come for that path.
    fn may_have_path(&self, path: &str) -> bool;

    /// The names of the parameters that their paths have: a list for each way to be let in, which may be empty.
    fn params(&self) -> &[Vec<String>];

    /// Whether one may speak that subprotocol, or none.
    fn may_speak(&self, protocol: Option<&str>) -> bool;

    /// Whether anybody may be known who comes there.
    fn may_be_known(&self) -> bool;
}

/// A connection of a route of which something is kept.
#[derive(Clone, Debug)]
pub struct Joining {
    /// What is kept.
    pub replay: Arc<Replay>,
    /// Who it is, if that is known.
    pub person: Option<Person>,
    /// Its identity, in the words of metadata.
    pub name: Option<Arc<str>>,
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
        Self { ring: Mutex::new(Ring::new(keep, first)), route, at, like: OnceLock::new() }
    }

    /// Its connections are like that: what no connection of the route can ever be sent is not kept. What is said first counts.
    pub fn tell_likeness(&self, like: Box<dyn Likeness>) {
        let _told_before = self.like.set(like);
    }

    pub(crate) fn likeness(&self) -> Option<&dyn Likeness> {
        self.like.get().map(Box::as_ref)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Ring<Arc<Shared>>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Joining {
    /// The client has had all up to that message.
    pub fn acknowledge(&self, id: u64) {
        if let Some(person) = &self.person {
            self.replay.lock().acknowledge((person, self.name.as_ref()), id);
        }
    }
}
