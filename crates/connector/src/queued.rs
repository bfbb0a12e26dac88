//! Sinks that one task serves from a queue.

mod encoding;
mod handling;
mod settling;

use crate::{Deliver, Handed, Sink, SinkControl, SinkShared, queue, status::Report, task::TARGET};
use async_trait::async_trait;
use encoding::Encoding;
use futures_util::FutureExt;
use handling::Handling;
use std::{panic::AssertUnwindSafe, sync::Arc};
use tokio::sync::{mpsc, oneshot};
use tremor_codec::Resolver;
use tremor_event::{EventBatch, Outcome, Signal};

/// Elements, or events that somebody waits for, that may stay unflushed however much is waiting behind them.
const MOST_UNFLUSHED: usize = 1024;

/// What a sink task is told besides events.
pub(crate) enum Command {
    /// A connection was made, the one with that number: serve this sink from now on.
    Use(Sink, u64),
    /// The flow drains.
    Drain,
    /// Finish and end.
    Stop(oneshot::Sender<()>),
}

enum Message {
    Batch { port: usize, batch: EventBatch },
    Signal(Signal),
}

/// The way into a sink task.
pub(crate) struct QueuedSink {
    queue: queue::Sender<Message>,
    shared: Arc<SinkShared>,
}

#[async_trait]
impl Deliver for QueuedSink {
    fn deliver(&self, port: usize, batch: EventBatch) -> Handed<'_> {
        let bytes = batch.weight();
        self.queue.hand(Message::Batch { port, batch }, bytes, |refused| {
            if let Message::Batch { batch, .. } = refused {
                let events = batch.len() as u64;
                self.shared.counters.received(events);
                self.shared.fail(events, "the connector has stopped");
                batch.settle(Outcome::Failed);
            }
        })
    }

    async fn signal(&self, signal: Signal) {
        if let (Err(_), Signal::Drain { source }) =
            (self.queue.send(Message::Signal(signal), 0).await, signal)
        {
            // Nothing waits here any more, so nothing has to be waited for.
            self.shared.board.arrived(source, self.shared.id);
        }
    }
}

/// Serves one sink.
pub(crate) struct SinkTask {
    queue: queue::Receiver<Message>,
    commands: mpsc::UnboundedReceiver<Command>,
    lost: mpsc::UnboundedSender<Report>,
    shared: Arc<SinkShared>,
    coding: Option<Resolver>,
    ports: usize,
    active: Active,
    connection: u64,
    /// The sink has heard that it has everything.
    has_all: bool,
}

enum Active {
    None,
    Events(Handling),
    Bytes(Encoding),
}

impl SinkTask {
    /// A task and the way into it. `lost` hears when the connection breaks.
    pub(crate) fn new(
        shared: Arc<SinkShared>,
        coding: Option<Resolver>,
        ports: usize,
        commands: mpsc::UnboundedReceiver<Command>,
        lost: mpsc::UnboundedSender<Report>,
    ) -> (Self, QueuedSink) {
        let (sender, receiver) = queue::bounded();
        let way = QueuedSink { queue: sender, shared: shared.clone() };
        (
            Self {
                queue: receiver,
                commands,
                lost,
                shared,
                coding,
                ports,
                active: Active::None,
                connection: 0,
                has_all: false,
            },
            way,
        )
    }

    /// Runs until told to stop. After an internal error in the sink it goes on without one, so that whoever
    /// sends to it, drains or stops is not kept waiting.
    pub(crate) async fn run(mut self) {
        while AssertUnwindSafe(self.serve()).catch_unwind().await.is_err() {
            let settles = matches!(&self.active, Active::Events(handling) if handling.settles());
            self.active = Active::None;
            self.shared.close();
            let waiting = self.shared.counters.totals().waiting;
            // Receipts that a sink held are counted when they end with it, which may be later.
            self.shared.fail(if settles { 0 } else { waiting }, "an internal error");
            let _connector_has_ended = self.lost.send(Report::Panicked);
        }
    }

    async fn serve(&mut self) {
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(Command::Use(sink, connection)) => {
                        self.connection = connection;
                        self.activate(sink);
                    }
                    Some(Command::Drain) => self.tell_if_drained().await,
                    Some(Command::Stop(stopped)) => {
                        self.stop().await;
                        let _nobody_waits = stopped.send(());
                        return;
                    }
                    None => return self.stop().await,
                },
                Some(message) = self.queue.recv() => self.message(message).await,
            }
        }
    }

    fn activate(&mut self, sink: Sink) {
        self.active = match (sink, &self.coding) {
            (Sink::Events(sink), coding) => {
                let control = SinkControl::new(self.shared.clone(), coding.clone(), self.connection);
                Active::Events(Handling::begin(sink, control))
            }
            (Sink::Bytes(sink), Some(coding)) => {
                let encoders = (0..self.ports).map(|_| coding.encoder()).collect();
                Active::Bytes(Encoding::new(sink, encoders))
            }
            // A kind that takes bytes requires a codec, so its definition was refused before.
            (Sink::Bytes(_), None) => Active::None,
        };
    }

    async fn message(&mut self, message: Message) {
        let done = match message {
            Message::Batch { port, batch } => self.batch(port, batch).await,
            Message::Signal(Signal::Tick { .. }) => Ok(()),
            Message::Signal(Signal::Drain { source }) => {
                let flushed = self.flush().await;
                self.shared.board.arrived(source, self.shared.id);
                self.tell_if_drained().await;
                flushed
            }
        };
        let done = match done {
            Ok(()) if self.queue.is_empty() => self.flush().await,
            done => done,
        };
        if let Err(lost) = done {
            self.shared.note_absence(&lost);
            self.shared.close();
            self.active = Active::None;
            let connection = self.connection;
            let _connector_has_ended =
                self.lost.send(Report::Lost { connection, cause: lost, clean: false, is_busy: false });
        }
    }

    /// Tells a sink that takes events, once, that it has all of them.
    async fn tell_if_drained(&mut self) {
        if !self.has_all
            && self.shared.board.is_sink_drained(self.shared.id)
            && let Active::Events(handling) = &mut self.active
        {
            self.has_all = true;
            handling.drained().await;
        }
    }

    /// Handles a batch; fails with the cause if the connection is lost.
    async fn batch(&mut self, port: usize, batch: EventBatch) -> Result<(), String> {
        let shared = &self.shared;
        match &mut self.active {
            Active::None => {
                let elements = batch.events.iter().map(|event| event.elements().count() as u64).sum();
                shared.counters.received(elements);
                shared.fail(elements, &shared.explained("it is not connected"));
                batch.settle(Outcome::Failed);
                Ok(())
            }
            Active::Events(handling) => handling.batch(batch, shared).await,
            Active::Bytes(encoding) => encoding.batch(port, batch, shared).await,
        }
    }

    async fn flush(&mut self) -> Result<(), String> {
        match &mut self.active {
            Active::Bytes(encoding) => encoding.flush(&self.shared).await,
            Active::Events(handling) => handling.flush(&self.shared).await,
            Active::None => Ok(()),
        }
    }

    async fn stop(&mut self) {
        self.queue.close();
        // What was delivered before the stop is still written; what comes later is refused.
        while let Some(message) = self.queue.recv().await {
            self.message(message).await;
        }
        let stopped = match &mut self.active {
            Active::Bytes(encoding) => encoding.stop(&self.shared).await,
            Active::Events(handling) => handling.stop(&self.shared).await,
            Active::None => Ok(()),
        };
        if let Err(cause) = stopped {
            tracing::error!(target: TARGET, "[Sink::{}] the end of its output was lost: {cause}", self.shared.alias);
        }
    }
}
