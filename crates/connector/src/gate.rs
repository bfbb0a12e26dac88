//! Whether a source may read.

use std::collections::BTreeSet;
use tokio::sync::watch;
use tremor_event::Breaker;

/// What a source has to know before it reads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Read.
    Ready,
    /// Never read again: the flow drains or stops.
    Ended,
}

/// The conditions under which one source reads.
///
/// They are separate, and each has one owner: the user's pause, the sinks behind it whose breakers are
/// closed, and the drain. Reading needs all of them clear (`spec/runtime.md` 4.2). A fresh gate counts
/// every sink behind its source as not yet open, so nothing is read before the sinks are ready.
#[derive(Debug)]
pub struct Gate {
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    paused: bool,
    ended: bool,
    has_sinks: bool,
    closed_sinks: BTreeSet<u64>,
    is_cut_off: bool,
}

impl State {
    fn readiness(&self) -> Option<Readiness> {
        if self.ended {
            return Some(Readiness::Ended);
        }
        self.is_open().then_some(Readiness::Ready)
    }

    fn is_open(&self) -> bool {
        !self.paused && self.has_sinks && self.closed_sinks.is_empty()
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self { state: watch::Sender::new(State::default()) }
    }
}

impl Breaker for Gate {
    fn add(&self, sink: u64) {
        self.state.send_modify(|state| {
            state.has_sinks = true;
            state.closed_sinks.insert(sink);
        });
    }

    fn open(&self, sink: u64) {
        self.state.send_if_modified(|state| state.closed_sinks.remove(&sink));
    }

    fn close(&self, sink: u64) {
        self.state.send_if_modified(|state| state.closed_sinks.insert(sink));
    }

    fn lose(&self, sink: u64) {
        self.state.send_modify(|state| {
            state.closed_sinks.insert(sink);
            state.is_cut_off = true;
        });
    }
}

impl Gate {
    /// Sets or clears the user's pause.
    pub fn set_paused(&self, paused: bool) {
        self.state.send_if_modified(|state| std::mem::replace(&mut state.paused, paused) != paused);
    }

    /// Ends reading for good.
    pub fn end(&self) {
        self.state.send_if_modified(|state| !std::mem::replace(&mut state.ended, true));
    }

    /// Whether a sink behind the source is closed for good, so that it will never read again.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.state.borrow().is_cut_off
    }

    /// What holds right now, `None` while the source has to wait.
    #[must_use]
    pub fn now(&self) -> Option<Readiness> {
        self.state.borrow().readiness()
    }

    /// Whether any sink stands behind this gate.
    #[must_use]
    pub fn has_sinks(&self) -> bool {
        self.state.borrow().has_sinks
    }

    /// Waits until the source may read or never will again. Cancel safe.
    pub async fn ready(&self) -> Readiness {
        self.watch().ready().await
    }

    /// Waits until the source has to stop reading for a while or for good. Cancel safe.
    pub async fn closed(&self) {
        wait_for(&mut self.state.subscribe(), |state| {
            (state.readiness() != Some(Readiness::Ready)).then_some(())
        })
        .await;
    }

    /// Waits until reading has ended for good. Cancel safe.
    pub async fn ended(&self) {
        self.watch().ended().await;
    }

    /// Eyes on this gate, for those who look at every read.
    pub(crate) fn watch(&self) -> GateWatch {
        GateWatch(self.state.subscribe())
    }
}

/// Watches a [`Gate`].
#[derive(Clone)]
pub(crate) struct GateWatch(watch::Receiver<State>);

impl GateWatch {
    /// As [`Gate::ready`].
    pub(crate) async fn ready(&mut self) -> Readiness {
        wait_for(&mut self.0, State::readiness).await
    }

    /// As [`Gate::ended`].
    pub(crate) async fn ended(&mut self) {
        wait_for(&mut self.0, |state| state.ended.then_some(())).await;
    }

    /// Whether there is neither a pause nor a closed sink, also when reading has ended.
    pub(crate) fn is_open(&self) -> bool {
        self.0.borrow().is_open()
    }

    /// Waits for that. Cancel safe.
    pub(crate) async fn open(&mut self) {
        wait_for(&mut self.0, |state| state.is_open().then_some(())).await;
    }

    /// Whether there is something to look at; no lock is taken.
    pub(crate) fn has_changed(&self) -> bool {
        // Nobody is left who could change the gate, so it stays as it is.
        self.0.has_changed().unwrap_or(false)
    }

    /// What holds right now, as [`Gate::now`].
    pub(crate) fn now(&mut self) -> Option<Readiness> {
        self.0.borrow_and_update().readiness()
    }

    /// Waits for a change since the last look. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn wait_for<T>(changes: &mut watch::Receiver<State>, mut wanted: impl FnMut(&State) -> Option<T>) -> T {
    loop {
        if let Some(found) = wanted(&changes.borrow_and_update()) {
            return found;
        }
        // Nobody is left who could change the gate, so it stays as it is.
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_needs_every_sink_open_and_no_pause() {
        let gate = Gate::default();
        assert_eq!(gate.now(), None, "a source without sinks never reads");
        gate.add(1);
        gate.add(2);
        gate.open(1);
        gate.open(1);
        assert_eq!(gate.now(), None, "one sink cannot stand in for another");
        gate.open(2);
        assert_eq!(gate.now(), Some(Readiness::Ready));
        gate.set_paused(true);
        gate.close(1);
        gate.open(1);
        assert_eq!(gate.now(), None, "an opening sink does not undo the user's pause");
        gate.set_paused(false);
        assert_eq!(gate.now(), Some(Readiness::Ready));
    }

    #[test]
    fn a_sink_that_is_lost_cuts_its_source_off() {
        let gate = Gate::default();
        gate.add(1);
        gate.add(2);
        gate.open(1);
        gate.open(2);
        gate.close(1);
        assert!(!gate.is_cut_off(), "it may come back");
        gate.open(1);
        gate.lose(2);
        assert!(gate.is_cut_off());
        assert_eq!(gate.now(), None);
    }

    #[tokio::test]
    async fn the_end_beats_everything_and_stays() {
        let gate = Gate::default();
        gate.add(1);
        gate.end();
        gate.open(1);
        assert_eq!(gate.ready().await, Readiness::Ended);
        gate.ended().await;
        // A file that is being read when the flow drains goes on to its end.
        assert!(gate.watch().is_open());
        gate.close(1);
        assert!(!gate.watch().is_open());
    }
}
