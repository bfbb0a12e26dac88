//! What a connection is told from outside in between messages, and what it tells.

use super::{Connection, Ended};
use crate::{
    Readiness,
    duplex::Ending,
    outbox::{ANSWERED, DUE, ENDING, HEARD_OUT, NEW_META, PRESSURE},
    replay::Gap,
};
use std::mem;
use tremor_value::{Record, Value};

/// A peer that has sent nothing for so many looks is not one that answers: it has had a second at least.
const MUTE_AFTER: u8 = 2;

impl Connection {
    /// Whether there is something to look at.
    pub(super) fn has_news(&self) -> bool {
        let news = self.pump.outbox().news();
        news & (NEW_META | DUE) != 0
            || news & PRESSURE != 0 && self.may_tell()
            || news & HEARD_OUT != 0 && self.is_answered(self.pump.sent().0)
    }

    /// That it is there comes before all that is told of a connection, and not before whoever reads that is ready.
    pub(super) fn may_tell(&self) -> bool {
        !self.owes_opened || self.signals.readiness() == Some(Readiness::Ready)
    }

    /// Whether nothing is to be expected from a peer that was sent so many messages.
    fn is_answered(&self, sent: u64) -> bool {
        self.discards || self.received.0 >= sent || self.never_answers()
    }

    /// How the connection is to end, if it is time for that: all that was to be sent before is written.
    pub(super) fn ending(&self) -> Option<Ending> {
        self.pump.ending(|sent| self.is_answered(sent))
    }

    /// Some time has passed, and something has moved: looks whether the peer has said anything so far. What it does once it is
    /// waited for is another matter.
    pub(super) fn note_silence(&mut self) {
        self.pump.note_sent();
        let is_asked = self.pump.outbox().news() & (ANSWERED | HEARD_OUT) != 0;
        if self.received.0 == 0 && self.pump.sent().0 > 0 && !is_asked {
            self.unheard = self.unheard.saturating_add(1);
        }
    }

    /// Whether the peer only takes messages, as far as that can be known.
    fn never_answers(&self) -> bool {
        self.received.0 == 0 && self.unheard >= MUTE_AFTER
    }

    /// How many messages fewer than went have come on a connection that was to end when that is none; `None` if it was not.
    pub(super) fn unanswered(&self) -> Option<u64> {
        let waits = self.pump.outbox().news() & ANSWERED != 0 && !self.discards && !self.never_answers();
        waits.then(|| self.pump.sent().0.saturating_sub(self.received.0))
    }

    /// Whoever sends has decided how the connection ends.
    pub(super) fn obeys_ending(&self) {
        self.pump.outbox().forget_news(ENDING);
    }

    /// Looks at what there is to look at, the clock among it; gives what broke the connection meanwhile.
    ///
    /// # Errors
    /// The protocol has ended the connection.
    pub(super) async fn look_at_news(&mut self) -> Result<Option<Ended>, Ended> {
        if self.may_tell() {
            self.tell_opened().await;
        }
        self.look_at_meta();
        self.pump.outbox().forget_news(DUE);
        if self.may_tell() {
            self.tell_of_pressure().await;
        }
        if self.pump.outbox().news() & HEARD_OUT != 0 && self.is_answered(self.pump.sent().0) {
            self.pump.outbox().forget_news(HEARD_OUT);
            self.stop_reading().await;
        }
        self.live_by_the_clock().await
    }

    /// Says that the connection is there, unless that was said.
    pub(super) async fn tell_opened(&mut self) {
        if !mem::take(&mut self.owes_opened) {
            return;
        }
        self.tell("opened", []).await;
        if let Some((asked, gap)) = self.pump.outbox().take_gap() {
            let asked = ("last_received", Value::from(asked));
            match gap {
                Gap::Lost { from, to } => {
                    self.tell("gap", [asked, ("from", from.into()), ("to", to.into())]).await;
                }
                Gap::Unknown { .. } => self.tell("gap", [asked, ("unknown", true.into())]).await,
            }
        }
    }

    async fn tell_of_pressure(&mut self) {
        self.pump.outbox().forget_news(PRESSURE);
        if let Some((messages, bytes)) = self.pump.outbox().take_pressure() {
            let more = [("messages", messages), ("bytes", bytes)];
            self.tell("pressure", more.map(|(name, count)| (name, Value::from(count as u64)))).await;
        }
    }

    /// What comes from now on has the metadata that others have given to the connection, if there are any.
    pub(super) fn look_at_meta(&mut self) {
        let outbox = self.pump.outbox();
        if outbox.news() & NEW_META == 0 {
            return;
        }
        outbox.forget_news(NEW_META);
        if let Some(meta) = outbox.take_meta() {
            self.pump.set_meta(&meta);
            self.inlet.set_meta(meta);
        }
    }

    async fn tell<const N: usize>(&mut self, kind: &str, more: [(&str, Value); N]) {
        if !self.inlet.tells() {
            return;
        }
        let record = told_of(self.conn, kind, more);
        let (inlet, mut meanwhile) = self.split();
        // A connection that broke meanwhile is found broken again.
        let _broken_or_not = meanwhile.wait_for(inlet.tell(record)).await;
    }
}

/// What port `control` is told of a connection.
pub(super) fn told_of<const N: usize>(conn: u64, kind: &str, more: [(&str, Value); N]) -> Value {
    let members = [("kind", Value::from(kind)), ("conn", Value::from(conn))];
    members.into_iter().chain(more).collect::<Record>().into()
}
