//! What a connection goes on with while something that it has read is handed on.

use super::{Connection, Ended, pump::Pump, signals::Signals, time::Alarm};
use crate::{Handed, Intake, duplex::Stream, inlet::Inlet};
use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

/// All of a connection but its inlet.
pub(super) struct Meanwhile<'c> {
    pub(super) pump: &'c mut Pump,
    pub(super) intake: &'c mut Intake,
    stream: &'c mut Box<dyn Stream>,
    signals: &'c mut Signals,
    alarm: &'c mut Alarm,
    /// The protocol wants to know what time it is, and nothing that is handed on can move its deadline.
    keeps_time: bool,
}

impl Connection {
    /// Its inlet, all that goes on while that is at work, and whether the peer is read as far as the protocol knows.
    pub(super) fn split(&mut self) -> (&mut Inlet, Meanwhile<'_>, &mut bool) {
        let Self { inlet, pump, intake, stream, signals, alarm, reads, .. } = self;
        let keeps_time = pump.keeps_time() && !inlet.is_intercepted();
        (inlet, Meanwhile { pump, intake, stream, signals, alarm, keeps_time }, reads)
    }
}

impl Meanwhile<'_> {
    /// Waits until all was handed on, while writing goes on.
    pub(super) async fn wait_for(&mut self, mut handed: Handed<'_>) -> Option<Ended> {
        let mut broken = None;
        poll_fn(|cx| {
            self.signals.listen(cx);
            if self.signals.is_stopped() {
                return Poll::Ready(Some(Ended::clean("stopped")));
            }
            // What was read before the connection broke is still good.
            if Pin::new(&mut handed).poll(cx).is_ready() {
                return Poll::Ready(broken.take());
            }
            self.live_by_the_clock(cx);
            while broken.is_none()
                && let Poll::Ready(ended) = self.pump.poll(cx, self.stream)
            {
                broken = ended;
            }
            // Nothing will be taken from our outbox as long as we are here: what waits for room in it would wait for ever.
            if broken.is_some() {
                self.pump.outbox().gets_stuck();
            }
            let takes_no_more = broken.is_some() || self.pump.ending(|_| false).is_some();
            let would_hang = takes_no_more && self.pump.outbox().holds_up() && !self.pump.takes_no_more();
            if would_hang { Poll::Ready(broken.take()) } else { Poll::Pending }
        })
        .await
    }

    /// Lets the protocol do what it is time for.
    fn live_by_the_clock(&mut self, cx: &mut Context<'_>) {
        if !self.keeps_time {
            return;
        }
        if self.alarm.poll(cx, self.pump.deadline()).is_ready() {
            self.pump.note_due(self.intake);
            // The next deadline, if there is one.
            let _not_yet = self.alarm.poll(cx, self.pump.deadline());
        }
        self.pump.ends_when_due();
    }
}
