//! What a connection is told from outside: to stop, and whether to read.

use crate::{Readiness, beacon::Stopped, gate::GateWatch};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// Looks at every read, at the price of two loads: locks are taken only when something has changed.
pub(super) struct Signals {
    stopped: Stopped,
    gate: GateWatch,
    is_stopped: bool,
    readiness: Option<Readiness>,
    /// Wakes the task when something changes; `None` while nobody listens.
    change: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Signals {
    pub(super) fn new(stopped: Stopped, gate: GateWatch) -> Self {
        Self { stopped, gate, is_stopped: false, readiness: None, change: None }
    }

    /// Another task listens from now on.
    pub(super) fn forget_listener(&mut self) {
        self.change = None;
    }

    /// Looks, and sees to it that the task is woken by the next change.
    pub(super) fn listen(&mut self, cx: &mut Context<'_>) {
        while self.change.is_none() || self.stopped.has_changed() || self.gate.has_changed() {
            self.is_stopped = self.stopped.now();
            self.readiness = self.gate.now();
            if self.is_stopped {
                return;
            }
            let (mut stopped, mut gate) = (self.stopped.clone(), self.gate.clone());
            let change = self.change.insert(Box::pin(async move {
                tokio::select! {
                    () = stopped.changed() => {}
                    () = gate.changed() => {}
                }
            }));
            if let Poll::Ready(()) = change.as_mut().poll(cx) {
                self.change = None;
            }
        }
    }

    /// Nothing is read or written any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Whether to read; `None` is not now.
    pub(super) fn readiness(&self) -> Option<Readiness> {
        self.readiness
    }

    /// Waits for the stop. Cancel safe.
    pub(super) async fn stopped(&mut self) {
        self.stopped.wait().await;
    }
}
