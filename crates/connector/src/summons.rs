//! Events that open the connection they are for.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU8, Ordering},
};
use tokio::sync::Notify;
use tremor_value::Value;

/// Judges what an event says under `open` of the kind, or null for an event that says nothing.
///
/// # Errors
/// Why no connection can be opened like that: the event fails with these words.
pub type JudgeOpen = Arc<dyn Fn(&Value) -> Result<(), String> + Send + Sync>;

/// Nobody waits.
const IDLE: u8 = 0;
/// Any event is what is waited for.
const ANY: u8 = 1;
/// Only an event that says how to open the connection counts.
const SAYING: u8 = 2;

/// Tells a connector that has no connection of the events that come for one, and of what their metadata has under
/// `open` of the kind. The events themselves wait where they would with a connection that is lost. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Summons(Arc<State>);

#[derive(Debug, Default)]
struct State {
    awaited: AtomicU8,
    said: Mutex<Said>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Said {
    /// For who opens the connection.
    for_opening: Option<Value>,
    /// For who looks at what is sent there.
    for_looking: Option<Value>,
}

impl Summons {
    /// Waits for an event; gives what it says, null if it says nothing. Cancel safe.
    pub async fn wait(&self) -> Value {
        {
            let mut said = self.said();
            said.for_looking = None;
            self.0.awaited.store(ANY, Ordering::Release);
        }
        loop {
            let came = self.0.came.notified();
            if let Some(said) = self.take() {
                return said;
            }
            came.await;
        }
    }

    /// From now on events are listened to that say how to open a connection, while one is being opened again.
    pub fn listen(&self) {
        self.0.awaited.store(SAYING, Ordering::Release);
    }

    /// What an event has said meanwhile, if one has.
    #[must_use]
    pub fn take(&self) -> Option<Value> {
        self.said().for_opening.take()
    }

    /// The same for who looks at what is sent: such an event, and what comes behind it, is for the connection that it opens.
    #[must_use]
    pub fn decided(&self) -> Option<Value> {
        self.said().for_looking.take()
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether events are listened to.
    pub(crate) fn listens(&self) -> bool {
        self.0.awaited.load(Ordering::Acquire) != IDLE
    }

    /// Whether any event is waited for, and none has come yet that can open a connection.
    pub(crate) fn waits_for_any(&self) -> bool {
        self.0.awaited.load(Ordering::Acquire) == ANY
    }

    /// There is a connection: what events say has no effect on it.
    pub fn rest(&self) {
        self.0.awaited.store(IDLE, Ordering::Release);
    }

    /// Events came; `said` is what those say that say something.
    pub(crate) fn call<'a>(&self, mut said: impl Iterator<Item = &'a Value>) {
        let awaited = self.0.awaited.load(Ordering::Acquire);
        if awaited == IDLE {
            return;
        }
        let said = match (said.next(), awaited) {
            (Some(said), _) => said.clone(),
            (None, ANY) => Value::Null,
            (None, _) => return,
        };
        // The first event decides, and only one call can have been it. Those behind it find what it has said.
        let mut known = self.said();
        let is_first =
            self.0.awaited.compare_exchange(awaited, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if is_first {
            *known = Said { for_opening: Some(said.clone()), for_looking: Some(said) };
            self.0.came.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn the_first_event_decides_and_later_ones_are_not_listened_to() {
        let summons = Summons::default();
        summons.call([&Value::from(1_u64)].into_iter());
        assert_eq!(summons.take(), None, "nobody waited");
        let waiting = summons.wait();
        let mut waiting = Box::pin(waiting);
        assert_eq!(waiting.as_mut().now_or_never(), None);
        summons.call([&Value::from(2_u64), &Value::from(3_u64)].into_iter());
        summons.call([&Value::from(4_u64)].into_iter());
        assert_eq!(waiting.now_or_never(), Some(Value::from(2_u64)));
        assert_eq!(summons.take(), None);
        assert_eq!((summons.decided(), summons.decided()), (Some(Value::from(2_u64)), None));
    }

    #[test]
    fn where_a_connection_is_made_again_only_events_count_that_say_how() {
        let summons = Summons::default();
        summons.listen();
        summons.call([].into_iter());
        assert_eq!(summons.take(), None);
        summons.call([&Value::from(1_u64)].into_iter());
        assert_eq!(summons.take(), Some(Value::from(1_u64)));
        summons.listen();
        summons.rest();
        summons.call([&Value::from(1_u64)].into_iter());
        assert_eq!(summons.take(), None);
    }
}
