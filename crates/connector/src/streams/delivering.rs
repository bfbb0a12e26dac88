//! The way of events into the outboxes.

use super::{
    Port, Streams,
    left::{Goal, Left},
};
use crate::{
    Deliver, Handed,
    outbox::{Item, Outbox, Put, Shared, Taken, WhenFull},
};
use async_trait::async_trait;
use smallvec::SmallVec;
use std::{
    mem,
    pin::pin,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::time::timeout;
use tremor_event::{EventBatch, Outcome, Signal, settle_all};

/// A connection's task has its turn long before this, unless it hangs.
const LONGEST_TURN: Duration = Duration::from_secs(5);

#[async_trait]
impl Deliver for Streams {
    fn deliver(&self, port: usize, batch: EventBatch) -> Handed<'_> {
        let port = self.ports.get(port).copied().unwrap_or(Port::In);
        if port == Port::Control {
            self.command_all(batch);
            return Handed::done();
        }
        if let Some(replays) = &self.replays {
            return Handed::later(self.deliver_and_keep(replays, batch, port));
        }
        let (left, is_full) = {
            let items = items(&batch);
            if let Some(summons) = self.summons.as_ref().filter(|summons| summons.listens()) {
                self.call(summons, &items);
            }
            if let Some(outgoing) = &self.outgoing
                && let Some(ready) = outgoing.prepare(&mut items.iter().map(|item| item.element.meta.base()))
            {
                drop(items);
                return Handed::later(async move {
                    ready.await;
                    self.put_slowly(batch, Left::new(&self.shared, port)).await;
                });
            }
            let mut left = Left::new(&self.shared, port);
            if let Some(target) = self.all_led_back(port, &items) {
                let received = items.len() as u64;
                self.shared.counters.received(received);
                let Taken { taken, dropped, outcome } =
                    target.put(&items, &[], false, &mut |cause| self.shared.fail(1, &cause));
                if outcome == Put::All && dropped == 0 {
                    drop((items, left));
                    settle(batch, port);
                    return Handed::done();
                }
                self.shared.log_dropped(dropped, || self.called(&target));
                left.only_for(target, taken..items.len());
            }
            let is_full = self.put(&items, &mut left).is_some();
            (left, is_full)
        };
        if is_full {
            return Handed::later(self.put_slowly(batch, left));
        }
        settle(batch, port);
        Handed::done()
    }

    async fn signal(&self, signal: Signal) {
        if let Signal::Drain { source } = signal {
            self.shared.board.arrived(source, self.shared.id);
        }
    }

    fn held(&self) -> Option<usize> {
        Some(self.read().by_stream.values().map(|outbox| outbox.held().0).sum())
    }
}

impl Streams {
    /// Encodes what is for several connections, from element `first` on.
    pub(super) fn encode(&self, items: &[Item<'_>], first: usize, left: &mut Left<'_>) {
        let Some(common) = self.common.as_ref().filter(|_| left.has_common) else { return };
        left.has_common = false;
        let mut encoder = common.lock().unwrap_or_else(PoisonError::into_inner);
        let places = left.extras.iter_mut().zip(items).skip(first);
        for (extra, item) in places.filter(|(extra, _)| extra.is_common) {
            extra.shared = Some(Arc::new(Shared::new(&mut encoder, item, self.frame_type)));
        }
        encoder.rest();
    }

    /// Puts what is left into the outboxes, in order; gives the first one that has no room.
    fn put(&self, items: &[Item<'_>], left: &mut Left<'_>) -> Option<Arc<Outbox>> {
        loop {
            while let Some(run) = left.runs.get_mut(left.at) {
                // Taken out, so that it is let go where it is at hand and not behind all the others.
                let target = match mem::take(&mut run.goal) {
                    Goal::Outbox(target) => target,
                    // An answer to this one event; the sources in front go on (`spec/runtime.md` 10.1).
                    Goal::Nobody => {
                        left.fail_run(items, "there is no open connection it could go to");
                        continue;
                    }
                    Goal::Refused(cause) => {
                        left.fail_run(items, &cause);
                        continue;
                    }
                };
                let of_run = items.get(run.items.clone()).unwrap_or_default();
                let extras = left.extras.get(run.items.clone()).unwrap_or_default();
                let is_broadcast = left.port == Port::Broadcast;
                let Taken { taken, dropped, outcome } =
                    target.put(of_run, extras, is_broadcast, &mut |cause| self.shared.fail(1, &cause));
                left.took(taken);
                self.shared.log_dropped(dropped, || self.called(&target));
                match outcome {
                    Put::All => left.at += 1,
                    Put::Full => {
                        left.goes_on_with(target.clone());
                        return Some(target);
                    }
                    Put::Closed => {
                        let lost = left.lose_run(items);
                        if lost.failed > 0 {
                            self.shared.log_failure(lost.failed, &self.why_shut(&target));
                        }
                    }
                }
            }
            if left.next >= items.len() {
                return None;
            }
            self.address(items, left);
        }
    }

    /// Waits for room and puts what is left into the outboxes, to the end.
    async fn put_slowly(&self, batch: EventBatch, mut left: Left<'_>) {
        let items = items(&batch);
        let port = left.port;
        self.put_all(&items, &mut left).await;
        drop((items, left));
        settle(batch, port);
    }

    /// Waits for room and puts what is left into the outboxes.
    pub(super) async fn put_all(&self, items: &[Item<'_>], left: &mut Left<'_>) {
        while let Some(full) = self.put(items, left) {
            // Look again once we are sure to hear of room, or it might be made in between.
            let mut room = pin!(full.room());
            room.as_mut().enable();
            let is_full = self.put(items, left).is_some_and(|still| Arc::ptr_eq(&still, &full));
            if is_full && !wait(&full, room).await {
                let who = self.called(&full).unwrap_or_else(|| "the peer".to_owned());
                let cause = format!("slow consumer: {who} does not read what it is sent");
                if self.is_single() {
                    // In this order: a connection that is made meanwhile lets them go on.
                    self.shared.close();
                    let lost = full.give_up_for_now(&cause);
                    self.shared.log_lost(lost, &cause);
                    full.discarded(lost.elements());
                    // What is at hand waits for the next connection.
                    continue;
                }
                full.note_cause(cause.clone());
                let of_run = left.lose_run(items);
                let waited = full.give_up();
                let lost = waited + of_run;
                full.discarded(lost.elements());
                if !full.lost_in_time(lost) {
                    self.shared.log_lost(lost, &cause);
                }
            }
        }
    }

    /// A connection, as lines of the log name it, if there is one.
    pub(super) fn called(&self, outbox: &Arc<Outbox>) -> Option<String> {
        self.read().called(outbox, self.kind)
    }

    /// Why nothing is written by way of that outbox any more.
    fn why_shut(&self, outbox: &Arc<Outbox>) -> String {
        if let Some(cause) = outbox.cause() {
            return cause.into();
        }
        let cause = self.shared.explained("no socket");
        match self.called(outbox).filter(|_| !self.is_single()) {
            Some(called) => format!("{cause}: {called} is about to end"),
            None => cause,
        }
    }

    /// Does what the events of a batch say.
    fn command_all(&self, batch: EventBatch) {
        for item in items(&batch) {
            self.shared.counters.received(1);
            let outcome = match self.command(&item) {
                Ok(()) => {
                    self.shared.counters.written(1);
                    Outcome::Delivered { took_ns: 0 }
                }
                Err(cause) => {
                    self.shared.fail(1, &cause);
                    Outcome::Failed
                }
            };
            settle_all(item.receipt.cloned(), outcome);
        }
        batch.settle(Outcome::Discarded);
    }
}

/// Waits for room; `false` if the connection is to be given up instead.
async fn wait(full: &Outbox, room: impl Future<Output = ()>) -> bool {
    match full.when_full() {
        WhenFull::Wait => {
            room.await;
            true
        }
        // Where there is no connection it is no peer that takes too long.
        WhenFull::WaitAtMost(patience) => timeout(patience, room).await.is_ok() || !full.is_there(),
        WhenFull::Close if full.waits_for_another() => {
            room.await;
            true
        }
        WhenFull::Close if !full.may_make_room() => false,
        WhenFull::Close | WhenFull::DropNewest | WhenFull::DropOldest | WhenFull::Conflate => {
            if timeout(LONGEST_TURN, room).await.is_err() {
                full.gets_stuck();
            }
            true
        }
    }
}

/// The elements of a batch.
pub(super) fn items(batch: &EventBatch) -> SmallVec<[Item<'_>; 1]> {
    let mut items: SmallVec<[Item<'_>; 1]> = SmallVec::with_capacity(batch.len());
    for event in &batch.events {
        let item = |element| Item {
            element,
            id: &event.id,
            ingest_ns: event.ingest_ns,
            ends_event: false,
            receipt: event.receipt.as_ref(),
        };
        let before = items.len();
        event.elements().for_each(|element| items.push(item(element)));
        // A list may be empty: then the event before has ended already.
        if let Some(last) = items.get_mut(before..).and_then(|own| own.last_mut()) {
            last.ends_event = true;
        }
    }
    items
}

/// Every element that is addressed had a branch of its own for each of its targets: those of the events have nothing to
/// add to theirs. What is for everybody is handled when all have it or have left it out (`spec/websocket.md` 13).
pub(super) fn settle(batch: EventBatch, port: Port) {
    batch.settle(match port {
        Port::Broadcast => Outcome::Delivered { took_ns: 0 },
        Port::In | Port::Control => Outcome::Discarded,
    });
}
