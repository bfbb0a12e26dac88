//! Runs one connection: reads into its inlet and writes from its outbox, in one task.

mod pump;

use crate::{
    Intake, Readiness,
    beacon::Beacon,
    duplex::{Duplex, Ending, Flow, Limits, Stream},
    inlet::Inlet,
    outbox::Outbox,
};
use bytes::BytesMut;
use pump::Pump;
use std::{future::pending, sync::Arc};
use tokio::{
    io::{AsyncReadExt, ReadHalf},
    sync::oneshot,
    time::timeout,
};

/// Bytes that one read may give.
const READ_BYTES: usize = 32 * 1024;

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) cause: String,
    /// Ended in good order, by a closing handshake or because we were told to stop.
    pub(crate) clean: bool,
}

impl Ended {
    fn clean(cause: &str) -> Self {
        Self { cause: cause.to_owned(), clean: true }
    }

    fn broken(cause: impl ToString) -> Self {
        Self { cause: cause.to_string(), clean: false }
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

/// A connection at work.
pub(crate) struct Connection {
    reader: ReadHalf<Box<dyn Stream>>,
    input: BytesMut,
    intake: Intake,
    pump: Pump,
    inlet: Inlet,
    beacon: Beacon,
    limits: Limits,
    /// Told once this connection will not give events any more.
    source_done: Option<oneshot::Sender<()>>,
}

/// What made the connection's loop turn.
enum Turn {
    Read(std::io::Result<usize>),
    /// Nothing happened that needs more than another turn.
    Again,
    Broken(Ended),
    StopReading,
    Stop,
}

impl Connection {
    pub(crate) fn new(
        duplex: Duplex,
        inlet: Inlet,
        outbox: Arc<Outbox>,
        beacon: Beacon,
        source_done: oneshot::Sender<()>,
    ) -> Self {
        let (reader, writer) = tokio::io::split(duplex.stream);
        Self {
            reader,
            input: duplex.input,
            intake: Intake::default(),
            pump: Pump::new(writer, duplex.protocol, outbox, duplex.limits.write),
            inlet,
            beacon,
            limits: duplex.limits,
            source_done: Some(source_done),
        }
    }

    /// Runs until the connection ends, one way or another.
    pub(crate) async fn run(mut self, unwritten: Unwritten) -> Ended {
        let ended = self.talk().await;
        self.pump.give_back(unwritten);
        ended
    }

    async fn talk(&mut self) -> Ended {
        // A peer may have sent its first messages right behind the handshake.
        let mut fresh_input = !self.input.is_empty();
        loop {
            let turn = if std::mem::take(&mut fresh_input) { Turn::Read(Ok(1)) } else { self.turn().await };
            let ended = match turn {
                Turn::Read(Ok(0)) => Some(Ended::broken("the peer ended the connection without a goodbye")),
                Turn::Read(Ok(_)) => self.take_input().await,
                Turn::Read(Err(error)) => Some(Ended::broken(error)),
                Turn::Broken(ended) => Some(ended),
                Turn::Again => None,
                Turn::StopReading => {
                    self.end_source().await;
                    return self.write_only().await;
                }
                Turn::Stop => return self.say_goodbye(Ending::GoingAway).await,
            };
            if let Some(ended) = ended {
                self.end_source().await;
                return ended;
            }
        }
    }

    async fn turn(&mut self) -> Turn {
        let may_read = !self.pump.owes_too_much();
        let gate = self.inlet.gate().clone();
        self.input.reserve(READ_BYTES);
        let read = async {
            if !may_read {
                // The pump turns the loop once it has caught up.
                pending::<()>().await;
            }
            match gate.ready().await {
                Readiness::Ready => Turn::Read(self.reader.read_buf(&mut self.input).await),
                Readiness::Ended => Turn::StopReading,
            }
        };
        tokio::select! {
            biased;
            () = self.beacon.stopped() => Turn::Stop,
            () = gate.ended() => Turn::StopReading,
            broken = self.pump.run() => broken.map_or(Turn::Again, Turn::Broken),
            turn = read => turn,
        }
    }

    /// Takes what the input holds and sends it on, while writing goes on.
    async fn take_input(&mut self) -> Option<Ended> {
        let flow = self.pump.read(&mut self.input, &mut self.intake);
        if !self.intake.is_empty() {
            let push = self.inlet.push(&mut self.intake);
            tokio::pin!(push);
            loop {
                tokio::select! {
                    biased;
                    () = &mut push => break,
                    broken = self.pump.run() => match broken {
                        None => {}
                        Some(ended) => {
                            // What was read before is still good.
                            push.await;
                            return Some(ended);
                        }
                    },
                    () = self.beacon.stopped() => return Some(Ended::clean("stopped")),
                }
            }
        }
        match flow {
            Ok(Flow::Open) => None,
            Ok(Flow::Closed { we_drop }) => Some(self.part(we_drop).await),
            Err(error) => {
                self.part(true).await;
                Some(Ended::broken(error))
            }
        }
    }

    /// Ends the byte stream after the last frames of a closing handshake.
    async fn part(&mut self, we_drop: bool) -> Ended {
        let _sent_or_not = timeout(self.limits.close, self.pump.finish()).await;
        if we_drop {
            self.pump.shutdown().await;
        }
        // Reading on keeps the system from answering late bytes with a reset that overtakes our goodbye.
        let limit = if we_drop { self.limits.close } else { self.limits.drop };
        let _ended_or_not = timeout(limit, self.discard_input()).await;
        Ended::clean("the peer closed the connection")
    }

    async fn discard_input(&mut self) {
        loop {
            self.input.clear();
            self.input.reserve(READ_BYTES);
            if !matches!(self.reader.read_buf(&mut self.input).await, Ok(read) if read > 0) {
                return;
            }
        }
    }

    /// The source half is done: flushes it and says so.
    async fn end_source(&mut self) {
        self.inlet.end().await;
        if let Some(done) = self.source_done.take() {
            let _nobody_waits = done.send(());
        }
    }

    /// Answers still go out while the flow drains.
    async fn write_only(&mut self) -> Ended {
        loop {
            tokio::select! {
                biased;
                broken = self.pump.run() => if let Some(ended) = broken {
                    return ended;
                },
                () = self.beacon.stopped() => return self.say_goodbye(Ending::GoingAway).await,
            }
        }
    }

    async fn say_goodbye(&mut self, ending: Ending) -> Ended {
        self.pump.outbox().finish();
        let expects_answer = timeout(self.limits.close, self.pump.finish_with(ending)).await;
        if matches!(expects_answer, Ok(true)) {
            let _answered_or_not = timeout(self.limits.close, self.await_goodbye()).await;
        }
        self.pump.shutdown().await;
        Ended::clean("stopped")
    }

    /// Reads until the peer has said goodbye too; what else comes is too late.
    async fn await_goodbye(&mut self) {
        let mut late = Intake::default();
        loop {
            if !matches!(self.pump.read(&mut self.input, &mut late), Ok(Flow::Open)) {
                return;
            }
            late = Intake::default();
            self.input.reserve(READ_BYTES);
            if !matches!(self.reader.read_buf(&mut self.input).await, Ok(read) if read > 0) {
                return;
            }
        }
    }
}
