//! The ways that lead from a source's ports to pipelines and sinks.

use crate::Handed;
use async_trait::async_trait;
use std::{collections::BTreeMap, mem, sync::Arc};
use tremor_event::{EventBatch, Outcome, Signal};

/// One opened way from a port to a destination; it carries batches and signals in order. Whoever ends the way of an
/// event settles its receipt.
///
/// A way that passes stateless pipelines owns instances of them and runs them where it is called, so
/// every stream opens its own.
#[async_trait]
pub trait Route: Send {
    /// Hands `batch` on; what the destination has no room for waits.
    fn send(&mut self, batch: EventBatch) -> Handed<'_>;

    /// Hands `signal` on, behind everything sent before.
    async fn signal(&mut self, signal: Signal);
}

/// Opens a [`Route`] for one more stream.
pub trait OpenRoute: Send + Sync {
    /// A way of its own to the same destination.
    fn open(&self) -> Box<dyn Route>;
}

/// What the output ports of one source are linked to, in the order of the `connect` statements.
#[derive(Clone, Default)]
pub struct Links {
    ports: BTreeMap<String, Vec<Arc<dyn OpenRoute>>>,
}

impl Links {
    /// Adds a way behind the ones that `port` has already.
    pub fn add(&mut self, port: &str, route: Arc<dyn OpenRoute>) {
        self.ports.entry(port.to_owned()).or_default().push(route);
    }

    /// The same links, each made something else.
    #[must_use]
    pub(crate) fn map(self, mut change: impl FnMut(Arc<dyn OpenRoute>) -> Arc<dyn OpenRoute>) -> Self {
        let mut change_all = |routes: Vec<_>| routes.into_iter().map(&mut change).collect();
        Self { ports: self.ports.into_iter().map(|(port, routes)| (port, change_all(routes))).collect() }
    }

    /// `true` if `port` leads anywhere.
    #[must_use]
    pub fn is_linked(&self, port: &str) -> bool {
        self.ports.contains_key(port)
    }

    /// `true` if any port leads anywhere.
    #[must_use]
    pub fn is_any_linked(&self) -> bool {
        !self.ports.is_empty()
    }

    /// Opens the ways of one port.
    #[must_use]
    pub fn open(&self, port: &str) -> Outlet {
        let routes = self.ports.get(port).into_iter().flatten();
        Outlet { routes: routes.map(|route| route.open()).collect() }
    }

    /// Sends `signal` along every way of every port.
    pub async fn signal_all(&self, signal: Signal) {
        for port in self.ports.keys() {
            self.open(port).signal(signal).await;
        }
    }
}

/// The opened ways of one port.
pub struct Outlet {
    routes: Vec<Box<dyn Route>>,
}

impl Outlet {
    /// Whether anything is linked to it.
    pub(crate) fn is_linked(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Sends a copy of `batch` along every way; the last one gets the original. Without any, its events have been
    /// handled as the flow says.
    pub fn send(&mut self, mut batch: EventBatch) -> Handed<'_> {
        if batch.is_empty() {
            return Handed::done();
        }
        let Some(last) = self.routes.len().checked_sub(1) else {
            batch.settle(Outcome::Discarded);
            return Handed::done();
        };
        Handed::in_turn(self.routes.iter_mut().enumerate().map(move |(number, route)| {
            route.send(if number == last { mem::take(&mut batch) } else { batch.clone() })
        }))
    }

    /// Sends `signal` along every way.
    pub async fn signal(&mut self, signal: Signal) {
        for route in &mut self.routes {
            route.signal(signal).await;
        }
    }
}
