//! Connections that are served at a time: where there is no room, those that ask for nothing give way.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
};
use tremor_connector::{Quota, more_before};

/// So many connections are served at a time. If all of them are being answered, further ones wait.
const MAX_CONNECTIONS: usize = 64;

/// All connections that are served.
#[derive(Default)]
pub(super) struct Visits {
    tasks: JoinSet<()>,
    open: Vec<(AbortHandle, Visit)>,
    closed: Quota,
    answered: Arc<Notify>,
}

/// One connection.
#[derive(Clone)]
pub(super) struct Visit {
    /// Since when it has asked for nothing; `None` while it is being answered.
    silent_since: Arc<Mutex<Option<Instant>>>,
    /// Hears when that is over.
    answered: Arc<Notify>,
}

/// A connection is being answered while this is there.
pub(super) struct Answering(Visit);

impl Visits {
    /// Serves one more connection, as soon as there is room for it.
    pub(super) async fn add<Served>(&mut self, serve: impl FnOnce(Visit) -> Served)
    where
        Served: Future<Output = ()> + Send + 'static,
    {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|(task, _)| !task.is_finished());
        while self.tasks.len() >= MAX_CONNECTIONS {
            let closes = self.close_one();
            tokio::select! {
                _ended = self.tasks.join_next() => {}
                () = self.answered.notified(), if !closes => {}
            }
        }
        let visit = Visit {
            silent_since: Arc::new(Mutex::new(Some(Instant::now()))),
            answered: Arc::clone(&self.answered),
        };
        let task = self.tasks.spawn(serve(visit.clone()));
        self.open.push((task, visit));
    }

    /// Closes the connection that has asked for nothing for the longest time; `false` if there is none.
    fn close_one(&mut self) -> bool {
        let silent = self.open.iter().enumerate();
        let silent =
            silent.filter_map(|(number, (_, visit))| visit.silent_since().map(|since| (since, number)));
        let Some((_, longest)) = silent.min() else { return false };
        self.open.swap_remove(longest).0.abort();
        if let Some(left_out) = self.closed.may_log(1, tokio::time::Instant::now()) {
            tracing::warn!(
                target: "tremor",
                "[API] {MAX_CONNECTIONS} connections are open: the one that has asked for nothing for the longest time was \
                 closed for a new one{}",
                more_before(left_out)
            );
        }
        true
    }

    /// Ends all of them.
    pub(super) async fn end(&mut self) {
        self.tasks.shutdown().await;
    }
}

impl Visit {
    /// It has asked for something.
    pub(super) fn answering(&self) -> Answering {
        *self.silent_since() = None;
        Answering(self.clone())
    }

    fn silent_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.silent_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        *self.0.silent_since() = Some(Instant::now());
        self.0.answered.notify_one();
    }
}
