//! Runs one connection: reads into its inlet and writes from its outbox, in one task.

mod buffer;
mod pump;

use crate::{
    Intake, Readiness,
    beacon::{Beacon, Stopped},
    duplex::{Address, Cut, Duplex, Ending, Flow, Limits, Stream},
    gate::GateWatch,
    inlet::Inlet,
    outbox::Outbox,
    tls::explain,
};
use buffer::Buffer;
use pump::Pump;
use std::{convert::Infallible, future::pending, io::ErrorKind, mem, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    io::ReadHalf,
    sync::mpsc,
    time::{Instant, Sleep, sleep, timeout},
};
use tremor_value::{Record, Value};

/// A connection on which nothing moved for that long gives its spare memory back.
const REST_AFTER: Duration = Duration::from_secs(1);
/// The end of a connection takes no longer than this once its flow stops, whatever its time limits say.
const LONGEST_GOODBYE: Duration = Duration::from_secs(4);
/// How long a peer that is too slow has for our goodbye, even if the time for goodbyes is not limited.
const SLOW_GOODBYE: Duration = Duration::from_secs(5);

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
    reader: ReadHalf<Box<dyn Stream>>,
    buffer: Buffer,
    intake: Intake,
    pump: Pump,
    inlet: Inlet,
    /// Watches the gate for its end, and for its opening.
    gate: (GateWatch, GateWatch),
    stopped: Stopped,
    /// Nothing takes what this connection gives: it is read all the same, to answer the peer and see it go.
    discards: bool,
    limits: Limits,
    address: Address,
    since: Instant,
    /// Messages and payload bytes that were read.
    received: (u64, u64),
    /// Bytes came right behind the handshake.
    has_input: bool,
    /// Something moved since the last look.
    busy: bool,
    /// When to look whether anything moved; `None` while resting.
    rest_at: Option<Pin<Box<Sleep>>>,
    /// Until this connection will not give events any more.
    alive: Option<Alive>,
}

/// What made the connection's loop turn.
enum Turn {
    Read(std::io::Result<usize>),
    /// Something was written, or nothing happened.
    Again,
    Broken(Ended),
    Rest,
    StopReading,
    Stop,
}

impl Connection {
    pub(crate) fn new(
        duplex: Duplex,
        inlet: Inlet,
        outbox: Arc<Outbox>,
        unwritten: Unwritten,
        beacon: &Beacon,
        alive: Alive,
    ) -> Box<Self> {
        let (reader, writer) = tokio::io::split(duplex.stream);
        let gate = inlet.gate();
        Box::new(Self {
            reader,
            has_input: !duplex.input.is_empty(),
            buffer: Buffer::new(duplex.input),
            intake: Intake::default(),
            pump: Pump::new(writer, duplex.protocol, outbox, (unwritten, inlet.alias()), duplex.limits),
            gate: (gate.watch(), gate.watch()),
            discards: !gate.has_sinks(),
            inlet,
            stopped: beacon.watch(),
            limits: duplex.limits,
            address: duplex.address,
            since: Instant::now(),
            received: (0, 0),
            busy: true,
            rest_at: None,
            alive: Some(alive),
        })
    }

    /// Runs until the connection ends, one way or another.
    ///
    /// What is rarely done is boxed: an idle connection pays for the largest future in here.
    pub(crate) async fn run(mut self: Box<Self>) -> Ended {
        loop {
            let ended = match self.turn().await {
                Turn::Read(Ok(0)) => Some(Ended::broken(Cut::Peer, NO_GOODBYE)),
                Turn::Read(Ok(_)) => self.take_input().await,
                // The end of a byte stream without the goodbye of TLS is one without ours too.
                Turn::Read(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                    Some(Ended::broken(Cut::Peer, NO_GOODBYE))
                }
                Turn::Read(Err(error)) => Some(Ended::broken(Cut::Peer, explain(&error))),
                Turn::Broken(ended) => Some(ended),
                Turn::Again => None,
                Turn::Rest => {
                    self.rest();
                    None
                }
                Turn::StopReading => {
                    Box::pin(self.end_source(None)).await;
                    return Box::pin(self.write_only()).await;
                }
                Turn::Stop => return Box::pin(self.stop()).await,
            };
            if let Some(ended) = ended {
                Box::pin(self.turn_away(&ended)).await;
                Box::pin(self.end_source(Some(&ended))).await;
                return ended;
            }
        }
    }

    async fn turn(&mut self) -> Turn {
        self.busy |= self.pump.was_busy();
        if self.rest_at.is_none() && self.busy {
            self.rest_at = Some(Box::pin(sleep(REST_AFTER)));
        }
        let may_read = !self.pump.owes_too_much() && !self.pump.outbox().is_given_up();
        let has_input = mem::take(&mut self.has_input);
        let discards = self.discards;
        let (ended, ready) = (&mut self.gate.0, &mut self.gate.1);
        let (reader, buffer) = (&mut self.reader, &mut self.buffer);
        let read = async {
            if !may_read {
                // The pump turns the loop once it has caught up.
                pending::<()>().await;
            }
            let readiness = if discards { Readiness::Ready } else { ready.ready().await };
            match readiness {
                Readiness::Ready if has_input => Turn::Read(Ok(1)),
                Readiness::Ready => Turn::Read(buffer.fill(reader).await),
                Readiness::Ended => Turn::StopReading,
            }
        };
        let rest = async {
            match &mut self.rest_at {
                Some(rest_at) => rest_at.await,
                None => pending().await,
            }
        };
        // In no fixed order: neither reading nor writing may starve the other.
        let turn = tokio::select! {
            () = self.stopped.wait() => Turn::Stop,
            () = ended.ended() => Turn::StopReading,
            broken = self.pump.run() => broken.map_or(Turn::Again, Turn::Broken),
            turn = read => turn,
            () = rest => Turn::Rest,
        };
        let reads = matches!(turn, Turn::Read(_));
        self.busy |= reads;
        self.has_input = has_input && !reads;
        turn
    }

    /// Nothing was read for a while; if nothing was written either, spare memory is given back.
    fn rest(&mut self) {
        self.rest_at = None;
        if !mem::take(&mut self.busy) {
            self.buffer.rest();
            self.intake = Intake::default();
            self.inlet.rest();
            self.pump.rest();
        } else {
            self.rest_at = Some(Box::pin(sleep(REST_AFTER)));
        }
    }

    /// Takes what the input holds and sends it on, while writing goes on.
    async fn take_input(&mut self) -> Option<Ended> {
        let flow = self.pump.read(self.buffer.bytes(), &mut self.intake);
        let (messages, bytes) = self.intake.size();
        self.received.0 += messages;
        self.received.1 += bytes;
        if self.discards {
            self.intake = Intake::default();
        }
        if !self.intake.is_empty() {
            let push = self.inlet.push(&mut self.intake);
            tokio::pin!(push);
            let mut broken = None;
            loop {
                tokio::select! {
                    biased;
                    () = self.stopped.wait() => return Some(Ended::clean("stopped")),
                    // What was read before the connection broke is still good.
                    () = &mut push => break,
                    ended = self.pump.run(), if broken.is_none() => broken = ended,
                }
            }
            if broken.is_some() {
                return broken;
            }
        }
        match flow {
            Ok(Flow::Open) => None,
            Ok(Flow::Closed { we_drop }) => Some(Box::pin(self.part(we_drop)).await),
            Err(error) => {
                Box::pin(self.part(true)).await;
                Some(Ended::broken(Cut::Peer, error))
            }
        }
    }

    /// Tells a peer that was given up why, as well as that can be done in the time for a goodbye.
    async fn turn_away(&mut self, ended: &Ended) {
        if ended.clean || ended.cut != Cut::Local {
            return;
        }
        let say = async {
            self.pump.finish_with(Ending::SlowConsumer).await;
            self.pump.shutdown().await;
        };
        // A peer that is busy sending reads nothing before that is through, and late bytes that nobody takes are
        // answered with a reset that overtakes our goodbye.
        let discard = self.buffer.discard(&mut self.reader);
        let goodbye = timeout(self.limits.close.min(SLOW_GOODBYE), async { tokio::join!(say, discard) });
        tokio::select! {
            _in_time_or_not = goodbye => {}
            () = self.stopped.wait() => {}
        }
    }

    /// Ends the byte stream behind the last frames of a closing handshake.
    async fn part(&mut self, we_drop: bool) -> Ended {
        let part = async {
            let _sent_or_not = timeout(self.limits.close, self.pump.flush()).await;
            if we_drop {
                self.pump.shutdown().await;
            }
            // Reading on keeps the system from answering late bytes with a reset that overtakes our goodbye.
            let limit = if we_drop { self.limits.close } else { self.limits.drop };
            let _ended_or_not = timeout(limit, self.buffer.discard(&mut self.reader)).await;
        };
        tokio::select! {
            () = part => {}
            () = self.stopped.wait() => {}
        }
        Ended::clean("the peer closed the connection")
    }

    /// The source half is done: flushes it and says so.
    async fn end_source(&mut self, ended: Option<&Ended>) {
        let Some(_alive) = self.alive.take() else { return };
        let closed = ended.map(|ended| self.closed(ended.cut));
        let cause = ended.map_or("", |ended| ended.cause.as_str());
        let end = async {
            self.inlet.end().await;
            if let Some(closed) = closed.filter(|closed| !closed.1) {
                self.inlet.closed(cause, closed.0).await;
            }
        };
        tokio::select! {
            () = end => {}
            () = self.stopped.wait() => {}
        }
    }

    /// What is told of the end (`spec/websocket.md` 11), and whether it was a clean one.
    fn closed(&mut self, cut: Cut) -> (Value, bool) {
        let closed = self.pump.closed(cut);
        let direction = |(messages, bytes): (u64, u64)| -> Value {
            Record::from_iter([("messages", Value::from(messages)), ("bytes", Value::from(bytes))]).into()
        };
        let duration = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let record = Record::from_iter([
            ("kind", Value::from("closed")),
            ("conn", Value::from(self.address.conn)),
            ("code", Value::from(u64::from(closed.code))),
            ("reason", Value::from(closed.reason)),
            ("clean", Value::from(closed.clean)),
            ("by", Value::from(closed.by)),
            ("duration_ns", Value::from(duration)),
            ("in", direction(self.received)),
            ("out", direction(self.pump.sent())),
        ]);
        (record.into(), closed.clean)
    }

    /// Answers still go out while the flow drains.
    async fn write_only(&mut self) -> Ended {
        loop {
            tokio::select! {
                biased;
                () = self.stopped.wait() => return self.stop().await,
                broken = self.pump.run() => if let Some(ended) = broken {
                    self.turn_away(&ended).await;
                    return ended;
                },
            }
        }
    }

    /// We are told to stop: writes what waits and closes.
    async fn stop(&mut self) -> Ended {
        self.pump.outbox().finish();
        let _in_time_or_not = timeout(LONGEST_GOODBYE, self.say_goodbye()).await;
        Ended::clean("stopped")
    }

    async fn say_goodbye(&mut self) {
        let limit = self.limits.close;
        if matches!(timeout(limit, self.pump.finish_with(Ending::GoingAway)).await, Ok(true)) {
            let answered = timeout(limit, self.await_goodbye()).await;
            if matches!(answered, Ok(Some(Flow::Closed { we_drop: false }))) {
                let _ended_or_not = timeout(self.limits.drop, self.buffer.discard(&mut self.reader)).await;
            }
        }
        self.pump.shutdown().await;
    }

    /// Reads until the peer has said goodbye too; what else comes is too late.
    async fn await_goodbye(&mut self) -> Option<Flow> {
        loop {
            let mut late = Intake::default();
            match self.pump.read(self.buffer.bytes(), &mut late) {
                Ok(Flow::Open) => {}
                Ok(closed) => return Some(closed),
                Err(_) => return None,
            }
            if !matches!(self.buffer.fill(&mut self.reader).await, Ok(read) if read > 0) {
                return None;
            }
        }
    }
}
