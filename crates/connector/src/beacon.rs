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

    /// Waits for the stop. Cancel safe.
    pub(crate) async fn stopped(&self) {
        let mut stopped = self.0.subscribe();
        // The sender lives in `self`: waiting cannot fail before it succeeds.
        let _closed = stopped.wait_for(|stopped| *stopped).await.is_err();
    }
}
