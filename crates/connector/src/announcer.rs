//! Events of a connector that are of no connection.

use crate::{
    Intake, Told,
    inlet::{Inlet, SourceShared},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Puts events on output ports of a connector, each as a stream of its own.
#[derive(Clone)]
pub struct Announcer {
    pub(crate) source: Arc<SourceShared>,
    pub(crate) next_stream: Arc<AtomicU64>,
}

impl Announcer {
    /// Puts `told` on `port`, or drops it if that leads nowhere. Waits until it was taken; whoever does not wait that long
    /// may have told nothing, or only some of those behind the port.
    pub async fn tell(&self, port: &str, told: Told) {
        let stream = self.next_stream.fetch_add(1, Relaxed);
        let mut inlet = Inlet::with_exit(&self.source, stream, told.origin, told.meta, port);
        let mut intake = Intake::default();
        intake.value(told.record, None);
        inlet.push(&mut intake).await;
    }

    /// Whether a sink behind the connector is closed for good, so that nothing will be read from its peers any more.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.source.gate.is_cut_off()
    }

    /// Whether `port` leads anywhere.
    #[must_use]
    pub fn leads_on(&self, port: &str) -> bool {
        self.source.links().is_linked(port)
    }
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcer").field("source", &self.source.alias).finish_non_exhaustive()
    }
}
