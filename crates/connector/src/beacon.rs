//! Tells the tasks of a connector to end.

use std::sync::Arc;
use tokio::sync::watch;

/// Full stop: nothing is read or written any more. Reading alone is governed by [`crate::Gate`].
#[derive(Clone, Debug)]
pub(crate) struct Beacon(Arc<watch::Sender<bool>>);

impl Default for Beacon {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Beacon {
    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }

    /// An ear for the stop.
    pub(crate) fn watch(&self) -> Stopped {
        Stopped(self.0.subscribe())
    }

    /// Waits for the stop. Cancel safe.
    pub(crate) async fn stopped(&self) {
        self.watch().wait().await;
    }
}

/// Hears of the stop; kept by those who wait often.
#[derive(Clone, Debug)]
pub(crate) struct Stopped(watch::Receiver<bool>);

impl Stopped {
    /// Waits for the stop, which includes that nobody is left who could call it. Cancel safe.
    pub(crate) async fn wait(&mut self) {
        let _told_or_alone = self.0.wait_for(|stopped| *stopped).await.is_err();
    }

    /// Whether there is something to look at: true ones are rare, and no lock is taken.
    pub(crate) fn has_changed(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }

    /// Whether it has stopped, as [`Stopped::wait`] sees it.
    pub(crate) fn now(&mut self) -> bool {
        *self.0.borrow_and_update() || self.0.has_changed().is_err()
    }

    /// Waits for a change since the last look. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        let _told_or_alone = self.0.changed().await.is_err();
    }
}
