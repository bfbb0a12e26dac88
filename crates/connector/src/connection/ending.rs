//! How a connection ends.

use super::{Alive, Connection, Ended, TURN_BYTES, news::told_of, patience::Patience};
use crate::{
    Intake, Readiness,
    duplex::{Cut, Ending, Flow},
    inlet::Inlet,
    outbox::{CUT, Farewell},
};
use std::{
    future::poll_fn,
    mem,
    ops::RangeInclusive,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};
use tremor_value::{Record, Value, shown};

/// The end of a connection takes no longer than this once its flow stops, whatever its time limits say.
const LONGEST_GOODBYE: Duration = Duration::from_secs(4);
/// How long a peer that is too slow has for our goodbye, even if the time for goodbyes is not limited.
const SLOW_GOODBYE: Duration = Duration::from_secs(5);
/// A restart, too much to do, a gateway without its server: whoever hears that is to come back later.
const BUSY: RangeInclusive<u16> = 1012..=1014;

/// What is told of a goodbye without a code.
const NO_CODE: u16 = 1005;

/// What comes behind our goodbye.
enum Late {
    /// So many new bytes.
    Input(usize),
    /// Nobody takes what is read.
    NotNow,
    /// And nobody ever will.
    NotEver,
    /// The connection has to end now.
    Cut,
    /// Nothing that could be waited for.
    End,
}

/// What is to be told of a connection that ends.
pub(super) struct Owes {
    opened: Option<Value>,
    /// What the protocol has told meanwhile.
    told: Intake,
    /// And whether it was a clean end.
    closed: Option<(Value, bool)>,
    cause: String,
    /// Gone once the flow drains.
    alive: Option<Alive>,
}

impl Owes {
    async fn tell(self, inlet: &mut Inlet) {
        let Self { opened, mut told, closed, cause, alive } = self;
        if let Some(opened) = opened {
            inlet.tell(opened).await;
        }
        while !told.is_empty() {
            inlet.push(&mut told).await;
            yield_now().await;
        }
        if alive.is_some() {
            inlet.end().await;
        }
        // Behind a drain the end is told, too: what is linked to these ports is there until the flow stops.
        if let Some((record, clean)) = closed {
            inlet.closed(&cause, record, clean).await;
        }
    }
}

/// What is left of a connection that has ended while those behind it were not ready to hear of it.
pub(crate) struct Untold {
    inlet: Inlet,
    owes: Box<Owes>,
}

impl Untold {
    /// Tells it when they are ready, or when nothing is read any more. To be dropped when everything stops.
    pub(crate) async fn tell(self) {
        let gate = self.inlet.gate().clone();
        gate.ready().await;
        self.tell_now().await;
    }

    /// Tells it now, come what may.
    pub(crate) async fn tell_now(self) {
        let Self { mut inlet, owes } = self;
        owes.tell(&mut inlet).await;
    }
}

impl Connection {
    /// Tells a peer that was given up why, as well as that can be done in the time for a goodbye.
    pub(super) async fn turn_away(&mut self, ended: &Ended) {
        if ended.clean || ended.cut != Cut::Local {
            return;
        }
        let Self { pump, buffer, stream, signals, .. } = self;
        let (limits, cut) = (pump.limits(), pump.cut());
        pump.give_up();
        // A peer that is busy sending reads nothing before that is through, and late bytes that nobody takes are
        // answered with a reset that overtakes our goodbye.
        let (mut said, mut drained) = (false, false);
        let goodbye = poll_fn(|cx| {
            drained = drained || buffer.poll_discard(cx, stream).is_ready();
            said = said || pump.poll_end(cx, stream).is_ready();
            if said && drained { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            _in_time_or_not = timeout(limits.close.min(SLOW_GOODBYE), goodbye) => {}
            () = cut => {}
            () = signals.stopped() => {}
        }
    }

    /// Ends the byte stream behind the last frames of a closing handshake. With `answers`, what waits to be sent goes in
    /// front of them: what was read before the peer's goodbye has been handed on, and pipelines that work in place have
    /// answered it. Answers of others come too late.
    pub(super) async fn part(&mut self, we_drop: bool, answers: bool) -> Ended {
        let Self { pump, stream, signals, .. } = self;
        let (limits, cut) = (pump.limits(), pump.cut());
        let part = async {
            let _sent_or_not = timeout(limits.close, pump.take_leave(stream, answers)).await;
            if we_drop {
                pump.shutdown(stream).await;
            }
        };
        tokio::select! {
            () = part => self.lingers = Some(if we_drop { limits.close } else { limits.drop }),
            () = cut => {}
            () = signals.stopped() => {}
        }
        Ended::clean("the peer closed the connection")
    }

    /// In logs the end of a connection that the peer has closed is told with its words.
    pub(super) fn tell_words(&self, ended: &mut Ended) {
        if !ended.clean || self.lingers.is_none() {
            return;
        }
        if let Some(Farewell { code, reason }) = self.pump.outbox().farewell() {
            let words = match (code, reason.is_empty()) {
                (NO_CODE, _) => String::new(),
                (code, true) => format!(" with {code}"),
                (code, false) => format!(" with {code} {reason:?}"),
            };
            ended.cause.push_str(&words);
        }
    }

    /// It has ended: what is not written fails, unless another connection may write it.
    pub(crate) fn abandon(&mut self) {
        self.pump.abandon();
    }

    /// Whether a connection that has ended did so since the peer has no room for now.
    pub(crate) fn is_peer_busy(&self) -> bool {
        self.pump.outbox().farewell().is_some_and(|farewell| BUSY.contains(&farewell.code))
    }

    /// How many messages the peer has sent that came when the flow read no more. None where nothing ever reads them.
    pub(crate) fn came_too_late(&self) -> u64 {
        if self.discards { 0 } else { self.pump.late() }
    }

    /// What to say of what its peer may not have read when it was ended all the same, unless the drain has named it.
    pub(crate) fn cut_short(&self) -> Option<String> {
        if self.pump.outbox().is_told_of_rest() { None } else { self.pump.unread() }
    }

    /// Whether the byte stream of a connection that has ended is still to be waited for.
    pub(crate) fn lingers(&self) -> bool {
        self.lingers.is_some()
    }

    /// What a connection that has ended has still to tell. Nothing else is left of it then.
    pub(crate) fn late(self: Box<Self>) -> Option<Untold> {
        let Self { inlet, owes, .. } = *self;
        Some(Untold { inlet, owes: owes? })
    }

    /// Waits for the end of the byte stream. Reading on keeps the system from answering late bytes with a reset that
    /// overtakes our goodbye.
    pub(crate) async fn linger(&mut self) {
        let Some(limit) = self.lingers else { return };
        let Self { buffer, stream, signals, .. } = self;
        tokio::select! {
            _ended_or_not = timeout(limit, poll_fn(|cx| buffer.poll_discard(cx, stream))) => {}
            () = signals.stopped() => {}
        }
    }

    /// Whether the flow drains, and this connection does not know yet.
    fn is_to_stop_reading(&self) -> bool {
        !self.drains && self.signals.readiness() == Some(Readiness::Ended)
    }

    /// Nobody takes what is read from now on.
    pub(super) async fn stop_reading(&mut self) {
        self.end_source(None).await;
        self.drains = true;
    }

    /// The source half is done: flushes it and says so.
    pub(super) async fn end_source(&mut self, ended: Option<&Ended>) {
        // Nothing is written meanwhile, if ever again.
        self.pump.outbox().gets_stuck();
        let alive = self.alive.take();
        let closed = ended.map(|ended| self.closed(ended.cut));
        let cause = ended.map_or("", |ended| ended.cause.as_str());
        // It may end before there was time to say that it is there.
        let opened = mem::take(&mut self.owes_opened).then(|| told_of(self.conn, "opened", []));
        let told = opened.as_ref().map_or_else(Intake::default, |_| mem::take(&mut self.intake));
        let owes = Owes { opened, told, closed, cause: cause.to_owned(), alive };
        let waits = ended.is_some() && owes.alive.is_some() && !self.discards;
        if waits && self.may_tell_late && self.signals.readiness().is_none() {
            self.owes = Some(Box::new(owes));
            return;
        }
        tokio::select! {
            () = owes.tell(&mut self.inlet) => {}
            () = self.signals.stopped() => {}
        }
    }

    /// What is told of the end (`spec/websocket.md` 11), and whether it was a clean one.
    fn closed(&mut self, cut: Cut) -> (Value, bool) {
        let closed = self.pump.closed(cut);
        if let Some(messages) = self.unanswered() {
            self.pump.outbox().note_unanswered(messages);
        }
        self.pump.outbox().said(Farewell { code: closed.code, reason: closed.reason.as_str().into() });
        let direction = |(messages, bytes): (u64, u64)| -> Value {
            Record::from_iter([("messages", Value::from(messages)), ("bytes", Value::from(bytes))]).into()
        };
        let duration = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let record = Record::from_iter([
            ("kind", Value::from("closed")),
            ("conn", Value::from(self.conn)),
            ("code", Value::from(u64::from(closed.code))),
            ("reason", Value::from(closed.reason)),
            ("clean", Value::from(closed.clean)),
            ("by", Value::from(closed.by)),
            ("duration_ns", Value::from(duration)),
            ("in", direction((self.received.0 + closed.left_out.0, self.received.1 + closed.left_out.1))),
            ("out", direction(self.pump.sent())),
        ]);
        (record.into(), closed.clean)
    }

    /// Our side ends the connection while the flow goes on.
    pub(super) async fn depart(&mut self, ending: Ending) -> Ended {
        let ended = self.leave(ending).await;
        self.end_source(Some(&ended)).await;
        ended
    }

    /// Writes what waits, says goodbye and waits for the peer's, reading what it had sent before it heard of ours.
    async fn leave(&mut self, ending: Ending) -> Ended {
        let mut cause = match &ending {
            Ending::Silent { cause } => return Ended::broken(Cut::Timeout, cause),
            Ending::GoingAway => "closed".to_owned(),
            Ending::SlowConsumer => "the peer does not read what it is sent".to_owned(),
            Ending::Said { code, reason } => {
                format!("closed with {code} {}", shown(reason)).trim_end().to_owned()
            }
        };
        let Self { pump, stream, signals, .. } = self;
        pump.ends_behind_what_waits(&ending);
        let cut = pump.cut();
        let said = tokio::select! {
            said = pump.finish_in_time(ending.clone(), stream) => said,
            () = cut => {
                self.pump.note_unread(&self.stream);
                return Ended::too_late();
            }
            () = signals.stopped() => return self.stop().await,
        };
        let is_heard_out = match said {
            Some(true) => {
                let is_heard_out = self.hear_out().await;
                if self.signals.is_stopped() {
                    self.pump.note_unread(&self.stream);
                    return self.stop().await;
                }
                if !is_heard_out {
                    cause.push_str(", which the peer has not answered");
                }
                is_heard_out
            }
            Some(false) => true,
            None => {
                self.pump.leave_unheard(ending);
                cause.push_str(", which the peer has not read");
                false
            }
        };
        if !is_heard_out {
            self.pump.note_unread(&self.stream);
        }
        self.pump.shutdown(&mut self.stream).await;
        Ended::clean(&cause)
    }

    /// Hands on what the peer had sent before it heard of our goodbye, up to its own; `false` if that is not waited for any
    /// more. Only the peer is hurried, and only if it takes nothing of what it was sent before, nor says anything: the time
    /// that passes while nobody takes what it sends is not its time.
    async fn hear_out(&mut self) -> bool {
        let mut patience = Patience::new(self.pump.limits().close);
        loop {
            let asked = Instant::now();
            let late = timeout(patience.wait(), poll_fn(|cx| self.poll_late(cx))).await;
            patience.spend(asked.elapsed());
            let goes_on = patience.goes_on(|| self.pump.untaken(&self.stream));
            let Ok(late) = late else {
                if goes_on {
                    continue;
                }
                return false;
            };
            match late {
                Late::Input(read) => {
                    if !patience.hears(read) {
                        return false;
                    }
                    if self.take_input(read).await.is_some() {
                        return true;
                    }
                    // A peer that sends all the time may not keep others waiting.
                    if self.turn_bytes == 0 {
                        self.turn_bytes = TURN_BYTES;
                        yield_now().await;
                    }
                }
                Late::NotNow => poll_fn(|cx| self.poll_goes_on(cx)).await,
                Late::NotEver => self.stop_reading().await,
                Late::Cut => return false,
                Late::End => return true,
            }
        }
    }

    /// Ready when somebody takes what is read, and the protocol can give it; or when that is not waited for any more.
    fn poll_goes_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.listen(cx);
        while self.pump.outbox().bell().poll_rang(cx).is_ready() {}
        let is_cut = self.pump.outbox().news() & CUT != 0;
        if is_cut || self.is_to_stop_reading() || self.signals.is_stopped() {
            return Poll::Ready(());
        }
        if self.is_ready() && self.poll_may_read(cx).is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when the protocol can do with more input, or give what it has held back. Only behind our goodbye: nothing else is due
    /// any more then.
    fn poll_may_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.pump.may_read() {
            ready!(self.alarm.poll(cx, self.pump.deadline()));
            let _no_end = self.pump.on_time(&mut self.intake);
        }
        Poll::Ready(())
    }

    /// Reads what comes behind our goodbye.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Late> {
        self.listen(cx);
        // Whatever else rings, nothing is sent any more.
        while self.pump.outbox().bell().poll_rang(cx).is_ready() {}
        if self.signals.is_stopped() || self.pump.outbox().news() & CUT != 0 {
            return Poll::Ready(Late::Cut);
        }
        if self.is_to_stop_reading() {
            return Poll::Ready(Late::NotEver);
        }
        if !self.is_ready() || !self.pump.may_read() {
            return Poll::Ready(Late::NotNow);
        }
        if mem::take(&mut self.has_input) {
            return Poll::Ready(Late::Input(0));
        }
        self.buffer.poll_fill(cx, &mut self.stream).map(|read| match read {
            Ok(read) if read > 0 => Late::Input(read),
            _ => Late::End,
        })
    }

    /// We are told to stop: writes what waits and closes.
    pub(super) async fn stop(&mut self) -> Ended {
        self.pump.outbox().finish();
        if timeout(LONGEST_GOODBYE, self.say_goodbye()).await.is_err() {
            self.pump.note_unread(&self.stream);
        }
        Ended::clean("stopped")
    }

    async fn say_goodbye(&mut self) {
        // A client with one connection ends it as a flow that stops does, with 1000 (`spec/websocket.md` 11). One of many is half
        // of a pair, and whoever is behind has to know that it will be back: 1001.
        let ending = if self.may_tell_late { Ending::of_pair() } else { Ending::GoingAway };
        match self.pump.finish_in_time(ending, &mut self.stream).await {
            Some(true) => {
                if matches!(self.hear_goodbye().await, Some(Flow::Closed { we_drop: false })) {
                    let discard = poll_fn(|cx| self.buffer.poll_discard(cx, &mut self.stream));
                    let _ended_or_not = timeout(self.pump.limits().drop, discard).await;
                }
            }
            Some(false) => {}
            None => self.pump.note_unread(&self.stream),
        }
        self.pump.shutdown(&mut self.stream).await;
    }

    /// Reads until the peer has said goodbye too, as long as it takes what it was sent before or says something; what that is
    /// comes too late.
    async fn hear_goodbye(&mut self) -> Option<Flow> {
        let mut patience = Patience::new(self.pump.limits().close);
        loop {
            let mut late = Intake::default();
            let read = self.pump.read(self.buffer.bytes(), &mut late);
            self.pump.note_late(late.size().0);
            match read {
                Ok(Flow::Open) => {}
                Ok(Flow::More) => {
                    yield_now().await;
                    continue;
                }
                Ok(closed) => return Some(closed),
                Err(_) => return None,
            }
            let asked = Instant::now();
            let fill = poll_fn(|cx| self.buffer.poll_fill(cx, &mut self.stream));
            let read = timeout(patience.wait(), fill).await;
            patience.spend(asked.elapsed());
            let goes_on = match read {
                Ok(Ok(read)) if read > 0 => patience.hears(read),
                Ok(_) => return None,
                Err(_) => patience.goes_on(|| self.pump.untaken(&self.stream)),
            };
            if !goes_on {
                self.pump.note_unread(&self.stream);
                return None;
            }
        }
    }
}
