//! What a connection goes on with while something that it has read is handed on.

use super::{Connection, Ended, pump::Pump, signals::Signals, time::Alarm};
use crate::{Handed, Intake, duplex::Stream, inlet::Inlet};
use std::{
    future::poll_fn,
    mem,
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
    /// The peer is read, as far as the protocol knows.
    reads: &'c mut bool,
    /// The protocol wants to know what time it is, and nothing that is handed on can move its deadline, unless it is over anyhow.
    keeps_time: bool,
}

impl Connection {
    /// Its inlet, and all that goes on while that is at work.
    pub(super) fn split(&mut self) -> (&mut Inlet, Meanwhile<'_>) {
        let Self { inlet, pump, intake, stream, signals, alarm, reads, .. } = self;
        let keeps_time = pump.keeps_time() && !inlet.is_intercepted();
        (inlet, Meanwhile { pump, intake, stream, signals, alarm, reads, keeps_time })
    }
}

impl Meanwhile<'_> {
    /// The same with a peer that has said all it will: nothing is due on its connection any more.
    pub(super) fn at_the_end(self) -> Self {
        Self { keeps_time: false, ..self }
    }

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
            self.go_on(cx, &mut broken);
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

    /// Writes, and goes on with that until somebody takes what was read, or nobody ever will; who `discards` it does not wait.
    /// `false` when everything stops.
    pub(super) async fn wait_for_takers(&mut self, discards: bool, broken: &mut Option<Ended>) -> bool {
        poll_fn(|cx| {
            self.signals.listen(cx);
            if self.signals.is_stopped() {
                return Poll::Ready(false);
            }
            self.write(cx, broken);
            if discards || self.signals.readiness().is_some() {
                return Poll::Ready(true);
            }
            self.go_on(cx, broken);
            Poll::Pending
        })
        .await
    }

    /// Lives by the clock and writes, for as long as the connection is not `broken`.
    fn go_on(&mut self, cx: &mut Context<'_>, broken: &mut Option<Ended>) {
        if mem::take(self.reads) {
            self.pump.reading(false);
        }
        loop {
            self.write(cx, broken);
            // Behind the last write: that hears the bell, which may have rung for the clock.
            let is_time = self.live_by_the_clock(cx);
            let says_goodbye = broken.is_none() && self.pump.says_goodbye_when_due();
            if !is_time && !says_goodbye {
                return;
            }
        }
    }

    /// Writes what there is.
    fn write(&mut self, cx: &mut Context<'_>, broken: &mut Option<Ended>) {
        while broken.is_none()
            && let Poll::Ready(ended) = self.pump.poll(cx, self.stream)
        {
            *broken = ended;
        }
    }

    /// Lets the protocol do what it is time for; `false` if that is nothing, and the alarm is set for what comes next.
    fn live_by_the_clock(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.keeps_time && !self.pump.is_over() {
            return false;
        }
        let is_time = match self.pump.next_look() {
            Ok(()) => true,
            Err(deadline) => self.alarm.poll(cx, deadline).is_ready(),
        };
        if is_time {
            self.pump.note_due(self.intake);
        }
        self.pump.ends_when_due();
        is_time
    }
}
