//! Sends what an inlet made on by its ports.

use super::{CONTROL, SourceShared};
use crate::{Handed, route::Outlet, weight::weight};
use std::sync::atomic::Ordering::Relaxed;
use tremor_event::{Event, EventBatch, Outcome};

/// What was made at one go: one batch for each port of data, and behind those an event for port `control`.
#[derive(Default)]
pub(super) struct Batches {
    pub(super) out: EventBatch,
    pub(super) err: EventBatch,
    /// For each event on `err`: how many on `out` came before it.
    err_behind: Vec<usize>,
    /// Boxed, since it is rare.
    pub(super) control: Option<Box<Event>>,
}

impl Batches {
    pub(super) fn push_err(&mut self, event: Event) {
        self.err_behind.push(self.out.len());
        self.err.events.push(event);
    }

    /// Takes those events off `out` of which `takes` is true. They count as handled.
    pub(super) fn divert(&mut self, mut takes: impl FnMut(&Event) -> bool) {
        let (mut number, mut kept) = (0, 0);
        let mut behind = self.err_behind.iter_mut().peekable();
        self.out.events.retain_mut(|event| {
            while let Some(before) = behind.next_if(|before| **before == number) {
                *before = kept;
            }
            number += 1;
            if takes(event) {
                if let Some(receipt) = event.receipt.take() {
                    receipt.settle(Outcome::Discarded);
                }
                return false;
            }
            kept += 1;
            true
        });
        behind.for_each(|before| *before = kept);
    }

    /// Events on both ports.
    pub(super) fn len(&self) -> usize {
        self.out.len() + self.err.len()
    }

    /// Bytes on both ports.
    pub(super) fn bytes(&self) -> usize {
        self.out.bytes + self.err.bytes
    }
}

/// The opened ways of the ports.
pub(super) struct Ports {
    out: Outlet,
    err: Outlet,
    /// That of port `control`, once there was something for it.
    control: Option<Box<Outlet>>,
}

impl Ports {
    pub(super) fn new(out: Outlet, err: Outlet) -> Self {
        Self { out, err, control: None }
    }

    pub(super) fn send(&mut self, shared: &SourceShared, mut batches: Batches) -> Handed<'_> {
        if let Some(told) = batches.control.take() {
            return self.send_and_tell(shared, batches, *told);
        }
        self.send_data(shared, batches)
    }

    /// Behind what came before it, `told` goes to port `control`, if that leads anywhere.
    fn send_and_tell(&mut self, shared: &SourceShared, batches: Batches, told: Event) -> Handed<'_> {
        if !shared.tells() {
            return self.send_data(shared, batches);
        }
        self.control.get_or_insert_with(|| Box::new(shared.links().open(CONTROL)));
        let bytes = weight(told.payload.value());
        let told = EventBatch { events: vec![told], bytes };
        if batches.len() == 0 {
            return self.tell(told);
        }
        shared.counters.out.fetch_add(batches.out.len() as u64, Relaxed);
        shared.counters.err.fetch_add(batches.err.len() as u64, Relaxed);
        Handed::later(async move {
            self.send_counted(batches).await;
            self.tell(told).await;
        })
    }

    fn tell(&mut self, told: EventBatch) -> Handed<'_> {
        self.control.as_mut().map_or_else(Handed::done, |control| control.send(told))
    }

    fn send_data(&mut self, shared: &SourceShared, batches: Batches) -> Handed<'_> {
        shared.counters.out.fetch_add(batches.out.len() as u64, Relaxed);
        shared.counters.err.fetch_add(batches.err.len() as u64, Relaxed);
        self.send_counted(batches)
    }

    fn send_counted(&mut self, batches: Batches) -> Handed<'_> {
        if batches.err.is_empty() {
            return self.out.send(batches.out);
        }
        if !batches.out.is_empty() && self.out.is_linked() && self.err.is_linked() {
            return Handed::later(self.send_in_order(batches));
        }
        let Batches { out, err, .. } = batches;
        let outlets = [(&mut self.out, out), (&mut self.err, err)];
        Handed::in_turn(outlets.into_iter().map(|(outlet, batch)| outlet.send(batch)))
    }

    /// Both ports may lead to one place, and the events of a stream keep their order there (`spec/runtime.md` 2.2): a batch
    /// ends where the port changes.
    async fn send_in_order(&mut self, batches: Batches) {
        let Batches { out, err, err_behind, .. } = batches;
        let (mut out, mut err) = (Pieces::of(out), Pieces::of(err));
        let (mut sent, mut behind) = (0, err_behind.into_iter().peekable());
        while let Some(before) = behind.next() {
            self.out.send(out.next(before - sent)).await;
            sent = before;
            let mut errors = 1;
            while behind.next_if_eq(&before).is_some() {
                errors += 1;
            }
            self.err.send(err.next(errors)).await;
        }
        self.out.send(out.next(usize::MAX)).await;
    }
}

/// A batch that is given piece by piece.
struct Pieces {
    events: std::vec::IntoIter<Event>,
    bytes_each: usize,
}

impl Pieces {
    fn of(batch: EventBatch) -> Self {
        let bytes_each = batch.bytes.div_ceil(batch.len().max(1));
        Self { events: batch.events.into_iter(), bytes_each }
    }

    fn next(&mut self, events: usize) -> EventBatch {
        let events: Vec<Event> = self.events.by_ref().take(events).collect();
        EventBatch { bytes: self.bytes_each.saturating_mul(events.len()), events }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tremor_event::EventId;
    use tremor_value::Value;

    #[test]
    fn errors_keep_their_place_among_the_events_that_are_left() {
        let event = |number: u64| Event {
            id: EventId::new(1, 0, number, 0),
            payload: Value::from(number).into(),
            meta: Value::record().into(),
            ingest_ns: 0,
            origin: None,
            is_batch: false,
            receipt: None,
        };
        let mut batches = Batches::default();
        for number in 0..6_u64 {
            batches.push_err(event(number));
            batches.out.events.push(event(number));
        }
        batches.push_err(event(6));
        batches.divert(|event| [0, 2, 3].map(Value::from).contains(event.payload.value()));
        let left: Vec<_> =
            batches.out.events.iter().map(|event| event.payload.value().as_u64().unwrap()).collect();
        assert_eq!((left, batches.err_behind), (vec![1, 4, 5], vec![0, 0, 1, 1, 1, 2, 3]));
    }
}
