//! Runs one connection: reads into its inlet and writes from its outbox, in one task.

mod buffer;
mod ending;
mod framed;
mod meanwhile;
mod news;
mod patience;
mod pump;
mod signals;
mod time;
mod turns;

use crate::{
    Handed, Intake, Readiness,
    beacon::Beacon,
    duplex::{ConnectionHandle, Cut, Duplex, Ending, Flow, ProtocolError, Stream},
    inlet::Inlet,
    outbox::Outbox,
    streams::Streams,
    tls::{explain, is_of_tls},
};
use buffer::Buffer;
use ending::Owes;
pub(crate) use ending::Untold;
use pump::Pump;
use signals::Signals;
use std::{
    convert::Infallible,
    future::poll_fn,
    io::{self, ErrorKind},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use time::Alarm;
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep},
};
use turns::{Turns, next_turn};

/// A connection on which nothing moved for that long gives its spare memory back.
const REST_AFTER: Duration = Duration::from_secs(1);
/// What a connection may read before it lets the others of its thread have their turn.
const TURN_BYTES: usize = 64 * 1024;

const NO_GOODBYE: &str = "the peer ended the connection without a goodbye";

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) cause: String,
    /// Ended in good order, by a closing handshake or because we were told to stop.
    pub(crate) clean: bool,
    cut: Cut,
}

impl Ended {
    fn clean(cause: &str) -> Self {
        Self { cause: cause.to_owned(), clean: true, cut: Cut::Local }
    }

    fn broken(cut: Cut, cause: impl ToString) -> Self {
        Self { cause: cause.to_string(), clean: false, cut }
    }

    /// It was to end, and that took too long.
    fn too_late() -> Self {
        Self::broken(Cut::Timeout, "the connection did not end in time")
    }

    /// Reading failed.
    #[cold]
    fn unreadable(error: &io::Error) -> Self {
        let cut = if is_of_tls(error) { Cut::Tls } else { Cut::Peer };
        Self::broken(cut, explain(error))
    }
}

/// What happens to messages that a broken connection did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwritten {
    /// They wait for the next connection.
    Keep,
    /// They fail.
    Fail,
}

/// Lives as long as a source may give events; whoever holds the other end hears when all are gone.
pub(crate) type Alive = mpsc::Sender<Infallible>;

/// A connection at work.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Buffer,
    intake: Intake,
    pump: Pump,
    inlet: Inlet,
    signals: Signals,
    /// Nothing takes what this connection gives: it is read all the same, to answer the peer and see it go.
    discards: bool,
    /// Answers still go out while the flow drains.
    drains: bool,
    /// Id of the connection.
    conn: u64,
    since: Instant,
    /// Messages and payload bytes that were read.
    received: (u64, u64),
    /// For so many looks, a second apart, the peer had got messages and never sent any.
    unheard: u8,
    /// Bytes came right behind the handshake.
    has_input: bool,
    /// What may still be read in this turn.
    turn_bytes: usize,
    /// The task that is woken when something happens.
    task: Option<Waker>,
    /// Something moved since the last look.
    busy: bool,
    /// Something was read since memory was last given back.
    has_read: bool,
    /// When to look whether anything moved; `None` while resting.
    rest_at: Option<Pin<Box<Sleep>>>,
    /// That timer wakes this task.
    rest_wakes: bool,
    /// Port `control` leads somewhere and was not told yet that the connection is there.
    owes_opened: bool,
    /// The peer is read, as far as the protocol knows.
    reads: bool,
    alarm: Alarm,
    /// Until this connection will not give events any more.
    alive: Option<Alive>,
    /// The closing handshake is over, and the byte stream may not be: for so long it is waited for.
    lingers: Option<Duration>,
    /// What is told of its end may be told when the connection is no more.
    may_tell_late: bool,
    /// What was not told yet.
    owes: Option<Box<Owes>>,
}

/// What made the connection's loop turn.
enum Turn {
    Read(io::Result<usize>),
    /// There is input that was read before.
    Again,
    Broken(Ended),
    Rest,
    Time,
    News,
    End(Ending),
    StopReading,
    Stop,
}

impl Connection {
    pub(crate) fn new(
        mut duplex: Duplex,
        inlet: Inlet,
        (outbox, streams): (Arc<Outbox>, &Arc<Streams>),
        unwritten: Unwritten,
        beacon: &Beacon,
        alive: Alive,
    ) -> Box<Self> {
        let inlet = inlet.heard_by(duplex.traffic.as_ref());
        let owes_opened = inlet.tells();
        let handle = ConnectionHandle {
            conn: duplex.address.conn,
            outbox: Arc::downgrade(&outbox),
            streams: Arc::downgrade(streams),
        };
        duplex.protocol.handled_by(handle);
        let gate = inlet.gate();
        Box::new(Self {
            stream: duplex.stream,
            has_input: !duplex.input.is_empty(),
            buffer: Buffer::new(&duplex.input),
            intake: Intake::default(),
            pump: Pump::new(duplex.protocol, outbox, (unwritten, inlet.alias()), duplex.limits)
                .heard_by(duplex.traffic),
            signals: Signals::new(beacon.watch(), gate.watch()),
            discards: !gate.has_sinks(),
            drains: false,
            inlet,
            conn: duplex.address.conn,
            since: Instant::now(),
            received: (0, 0),
            unheard: 0,
            turn_bytes: TURN_BYTES,
            task: None,
            busy: true,
            has_read: true,
            rest_at: None,
            rest_wakes: false,
            owes_opened,
            reads: true,
            alarm: Alarm::default(),
            alive: Some(alive),
            lingers: None,
            may_tell_late: unwritten == Unwritten::Fail,
            owes: None,
        })
    }

    /// Runs until the connection ends, one way or another. Its byte stream may still be there: see [`Connection::lingers`].
    pub(crate) fn run(&mut self) -> impl Future<Output = Ended> {
        Turns::of(self.live())
    }

    /// What is rarely done is boxed: an idle connection pays for the largest future in here.
    async fn live(&mut self) -> Ended {
        loop {
            let ended = match poll_fn(|cx| self.poll_turn(cx)).await {
                Turn::Read(Ok(0)) => Some(Ended::broken(Cut::Peer, NO_GOODBYE)),
                Turn::Read(Ok(read)) => self.take_input(read).await,
                Turn::Again => Box::pin(self.take_input(0)).await,
                // The end of a byte stream without the goodbye of TLS is one without ours too.
                Turn::Read(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                    Some(Ended::broken(Cut::Peer, NO_GOODBYE))
                }
                Turn::Read(Err(error)) => Some(Ended::unreadable(&error)),
                Turn::Broken(ended) => {
                    if self.has_input && ended.cut == Cut::Peer {
                        Box::pin(self.take_rest()).await;
                    }
                    Some(ended)
                }
                Turn::Rest => {
                    self.rest();
                    None
                }
                Turn::Time => match Box::pin(self.live_by_the_clock()).await {
                    Ok(broken) => broken,
                    Err(ended) => return ended,
                },
                Turn::News => match Box::pin(self.look_at_news()).await {
                    Ok(broken) => broken,
                    Err(ended) => return ended,
                },
                Turn::End(ending) => {
                    self.obeys_ending();
                    return Box::pin(self.depart(ending)).await;
                }
                Turn::StopReading => {
                    Box::pin(self.stop_reading()).await;
                    None
                }
                Turn::Stop => return Box::pin(self.stop()).await,
            };
            if let Some(mut ended) = ended {
                Box::pin(self.turn_away(&ended)).await;
                Box::pin(self.end_source(Some(&ended))).await;
                self.tell_words(&mut ended);
                return ended;
            }
            if let Some(ending) = self.pump.take_due() {
                return Box::pin(self.depart(ending)).await;
            }
            if self.turn_bytes == 0 {
                self.turn_bytes = TURN_BYTES;
                // What broke the connection meanwhile is found by the next turn, too.
                if let Err(ended) = Box::pin(self.live_by_the_clock()).await {
                    return ended;
                }
                Box::pin(next_turn()).await;
            }
        }
    }

    /// Writes what there is and reads once. Neither may starve the other, so both happen in every round.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        self.listen(cx);
        // The stream wakes this task as soon as there is input: to ask it again in this turn would tell nothing new.
        let mut waits_for_input = false;
        loop {
            if self.signals.is_stopped() {
                return Poll::Ready(Turn::Stop);
            }
            let readiness = self.signals.readiness();
            if readiness == Some(Readiness::Ended) && !self.drains {
                return Poll::Ready(Turn::StopReading);
            }
            let wrote = match self.pump.poll(cx, &mut self.stream) {
                Poll::Ready(Some(ended)) => return Poll::Ready(Turn::Broken(ended)),
                Poll::Ready(None) => true,
                Poll::Pending => false,
            };
            self.busy |= wrote;
            if self.has_news() || self.owes_opened && readiness == Some(Readiness::Ready) {
                return Poll::Ready(Turn::News);
            }
            if let Some(ending) = self.ending() {
                return Poll::Ready(Turn::End(ending));
            }
            let may_read = self.is_ready() && !self.pump.owes_too_much() && self.pump.may_read();
            if self.reads != may_read {
                self.reads = may_read;
                self.tell_whether_it_reads();
            }
            if may_read {
                if mem::take(&mut self.has_input) {
                    return Poll::Ready(Turn::Again);
                }
                if !waits_for_input {
                    if let Poll::Ready(read) = self.buffer.poll_fill(cx, &mut self.stream) {
                        self.busy = true;
                        return Poll::Ready(Turn::Read(read));
                    }
                    waits_for_input = true;
                }
            }
            if !wrote {
                break;
            }
        }
        self.turn_bytes = TURN_BYTES;
        self.trim();
        if self.pump.keeps_time() && self.alarm.poll(cx, self.pump.deadline()).is_ready() {
            return Poll::Ready(Turn::Time);
        }
        self.poll_rest(cx)
    }

    /// Ready when it is time to see whether anything moved. A timer that this task has asked before wakes it, and until then
    /// a look at it is enough.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        if self.rest_at.is_none() {
            if !self.busy {
                return Poll::Pending;
            }
            self.rest_at = Some(Box::pin(sleep(REST_AFTER)));
            self.rest_wakes = false;
        }
        match &mut self.rest_at {
            Some(rest_at) if !self.rest_wakes || rest_at.is_elapsed() => {
                self.rest_wakes = true;
                rest_at.as_mut().poll(cx).map(|()| Turn::Rest)
            }
            _ => Poll::Pending,
        }
    }

    /// Whether what is behind this connection takes what is read, or nothing does and that does not matter.
    fn is_ready(&self) -> bool {
        self.discards || self.drains || self.signals.readiness() == Some(Readiness::Ready)
    }

    /// Sees to it that this task is woken by what is decided outside.
    fn listen(&mut self, cx: &mut Context<'_>) {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            self.rest_wakes = false;
            self.alarm.forget_listener();
            self.signals.forget_listener();
        }
        self.signals.listen(cx);
    }

    /// Gives back what large reads and batches took. It is asked for anew in the next turn, by whichever connection
    /// that is of: so only connections at work have it, however many are open. All of it was taken by the thread that
    /// gives it back, which is what allocators like best.
    fn trim(&mut self) {
        if mem::take(&mut self.has_read) {
            self.buffer.trim();
            self.intake.trim();
            self.pump.trim_read();
        }
        self.pump.trim();
    }

    /// Nothing was read for a while; if nothing was written either, spare memory is given back.
    fn rest(&mut self) {
        self.rest_at = None;
        self.note_silence();
        if !mem::take(&mut self.busy) {
            self.buffer.rest();
            if self.intake.is_empty() {
                self.intake = Intake::default();
            }
            self.inlet.rest();
            self.pump.rest();
        } else {
            self.rest_at = Some(Box::pin(sleep(REST_AFTER)));
            self.rest_wakes = false;
        }
    }

    /// Takes what the input holds and sends it on, while writing goes on. `read` bytes of it are new.
    #[inline]
    async fn take_input(&mut self, read: usize) -> Option<Ended> {
        let flow = self.decode(read);
        let answers = !matches!(flow, Ok(Flow::Open)) && self.pump.may_answer(&self.intake);
        let ended = if self.intake.is_empty() { None } else { self.push().await };
        if ended.is_some() {
            return Box::pin(self.push_rest(ended)).await;
        }
        if self.is_through(&flow) { None } else { Box::pin(self.follow_up(flow, answers)).await }
    }

    /// Lets the protocol take what the input holds, of which `read` bytes are new.
    fn decode(&mut self, read: usize) -> Result<Flow, ProtocolError> {
        self.has_read = true;
        self.turn_bytes = self.turn_bytes.saturating_sub(read);
        let mut flow = self.pump.read(self.buffer.bytes(), &mut self.intake);
        self.has_input = !self.pump.may_read() && (!self.buffer.bytes().is_empty() || self.pump.holds_back());
        if matches!(flow, Ok(Flow::More)) {
            (self.has_input, self.turn_bytes) = (true, 0);
            flow = Ok(Flow::Open);
        }
        if self.drains {
            // Too late to be events, but pings are answered, and the peer is seen to go.
            self.pump.note_late(self.intake.size().0);
            self.intake = Intake::default();
        }
        let (messages, bytes) = self.intake.size();
        self.received.0 += messages;
        self.received.1 += bytes;
        if self.discards && !self.inlet.is_intercepted() {
            self.intake = Intake::default();
        }
        flow
    }

    /// Takes what was read before the connection broke and had to wait for its turn: it is still good.
    async fn take_rest(&mut self) {
        while mem::take(&mut self.has_input) && self.pump.may_read() && !self.signals.is_stopped() {
            // Whatever it says, the connection has ended.
            let _flow = self.decode(0);
            self.push_rest(None).await;
        }
    }

    /// Whether nothing is left to do about what was read: most often one batch has had room for all of it.
    fn is_through(&self, flow: &Result<Flow, ProtocolError>) -> bool {
        self.intake.is_empty() && matches!(flow, Ok(Flow::Open))
    }

    /// Does what is left behind the first batch of what was read. `answers`: what waits may still be sent.
    async fn follow_up(&mut self, flow: Result<Flow, ProtocolError>, answers: bool) -> Option<Ended> {
        if !self.intake.is_empty()
            && let Some(ended) = self.push_rest(None).await
        {
            return Some(ended);
        }
        match flow {
            Ok(Flow::Open | Flow::More) => None,
            Ok(Flow::Closed { we_drop }) => {
                if answers
                    && !self.drains
                    && let Some(ended) = self.flush_input().await
                {
                    return Some(ended);
                }
                Some(self.part(we_drop, answers).await)
            }
            Err(error) => {
                self.part(true, answers).await;
                Some(Ended::broken(Cut::Peer, error))
            }
        }
    }

    /// Sends on what was taken, as much as is one batch.
    #[inline]
    async fn push(&mut self) -> Option<Ended> {
        if self.owes_opened {
            Box::pin(self.tell_opened()).await;
        }
        if let Some(waits) = self.push_at_once() {
            let ended = waits.await;
            if ended.is_some() {
                return ended;
            }
        }
        if self.inlet.has_taken() { Box::pin(self.conclude()).await } else { None }
    }

    /// Sends on one batch; gives what of that has to wait. It is boxed, for the sake of all the connections that have
    /// nothing that waits right now.
    fn push_at_once(&mut self) -> Option<Pin<Box<impl Future<Output = Option<Ended>>>>> {
        self.pump.is_awake();
        let (inlet, mut meanwhile) = self.split();
        let handed = inlet.push(meanwhile.intake);
        if handed.is_done() {
            return None;
        }
        Some(Box::pin(async move { meanwhile.wait_for(handed).await }))
    }

    /// Lets those who take messages do what these ask for, before anything else is read.
    async fn conclude(&mut self) -> Option<Ended> {
        let (inlet, mut meanwhile) = self.split();
        let outbox = meanwhile.pump.outbox().clone();
        meanwhile.wait_for(Handed::later(inlet.conclude(&outbox))).await
    }

    /// Sends on what the preprocessors hold: a stream that ends in good order ends with it.
    async fn flush_input(&mut self) -> Option<Ended> {
        let (inlet, meanwhile) = self.split();
        meanwhile.at_the_end().wait_for(Handed::later(inlet.end())).await
    }

    /// Sends on what one batch had no room for, batch by batch. In between the others of the thread have their turn, what
    /// there is gets written, and a pause or a stop is obeyed: what was taken from the peer is bounded, but not what can
    /// be made of it. Gives what broke the connection, at the latest now.
    async fn push_rest(&mut self, mut broken: Option<Ended>) -> Option<Ended> {
        while !self.intake.is_empty() {
            Box::pin(next_turn()).await;
            // What was read before the connection broke is still good.
            let discards = self.discards;
            if !self.split().1.wait_for_takers(discards, &mut broken).await {
                self.intake = Intake::default();
                return broken;
            }
            self.look_at_meta();
            let ended = self.push().await;
            broken = broken.or(ended);
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_result<T, R>(_: impl Fn(T) -> R) -> usize {
        size_of::<R>()
    }

    /// Most of what an idle connection takes are these two; queue, protocol and codec state come on top.
    #[test]
    fn an_idle_connection_is_small() {
        // What the allocator has rooms for, less two counters where it is shared.
        assert!(size_of::<Outbox>() <= 640 - 16, "{}", size_of::<Outbox>());
        assert!(size_of::<Connection>() <= 896, "{}", size_of::<Connection>());
        assert!(size_of_result(Connection::run) <= 256, "{}", size_of_result(Connection::run));
    }
}
