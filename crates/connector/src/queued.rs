//! Sinks that one task serves from a queue.

use crate::{Deliver, Sink, SinkError, SinkShared, queue, sink::ByteSink, status::Report, task::TARGET};
use async_trait::async_trait;
use futures_util::FutureExt;
use std::{mem, panic::AssertUnwindSafe, sync::Arc};
use tokio::sync::{mpsc, oneshot};
use tremor_codec::{Chunks, Encoder, Resolver};
use tremor_event::{EventBatch, Signal};

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
    async fn deliver(&self, port: usize, batch: EventBatch) {
        let (events, bytes) = (batch.len() as u64, batch.bytes);
        if self.queue.send(Message::Batch { port, batch }, bytes).await.is_err() {
            self.shared.counters.received(events);
            self.shared.fail(events, "the connector has stopped");
        }
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
    draining: bool,
}

enum Active {
    None,
    Events(Box<dyn crate::EventSink>),
    Bytes(Encoding),
}

/// A byte sink with the encoding state of each of its ports.
struct Encoding {
    sink: Box<dyn ByteSink>,
    encoders: Vec<Encoder>,
    chunks: Chunks,
    /// Elements that were written but not flushed.
    unflushed: u64,
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
                draining: false,
            },
            way,
        )
    }

    /// Runs until told to stop. After an internal error in the sink it goes on without one, so that whoever
    /// sends to it, drains or stops is not kept waiting.
    pub(crate) async fn run(mut self) {
        while AssertUnwindSafe(self.serve()).catch_unwind().await.is_err() {
            self.active = Active::None;
            self.shared.close();
            self.shared.fail(self.shared.counters.totals().waiting, "an internal error");
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
                    Some(Command::Drain) => {
                        self.draining = true;
                        self.tell_if_drained().await;
                    }
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
            (Sink::Events(sink), _) => Active::Events(sink),
            (Sink::Bytes(sink), Some(coding)) => Active::Bytes(Encoding {
                sink,
                encoders: (0..self.ports).map(|_| coding.encoder()).collect(),
                chunks: Chunks::default(),
                unflushed: 0,
            }),
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
            self.shared.close();
            self.active = Active::None;
            let connection = self.connection;
            let _connector_has_ended = self.lost.send(Report::Lost { connection, cause: lost, clean: false });
        }
    }

    /// Tells a sink that takes events, once, that it has all of them.
    async fn tell_if_drained(&mut self) {
        if self.draining
            && self.shared.board.is_sink_drained(self.shared.id)
            && let Active::Events(sink) = &mut self.active
        {
            self.draining = false;
            sink.drained().await;
        }
    }

    /// Handles a batch; fails with the cause if the connection is lost.
    async fn batch(&mut self, port: usize, batch: EventBatch) -> Result<(), String> {
        let shared = &self.shared;
        match &mut self.active {
            Active::None => {
                let elements = batch.events.iter().map(|event| event.elements().count() as u64).sum();
                shared.counters.received(elements);
                shared.fail(elements, "it is not connected");
                Ok(())
            }
            Active::Events(sink) => {
                let mut events = batch.events.into_iter();
                while let Some(event) = events.next() {
                    let elements = event.elements().count() as u64;
                    shared.counters.received(elements);
                    match sink.event(event).await {
                        Ok(()) => shared.counters.written(elements),
                        Err(SinkError::Failed(cause)) => shared.fail(elements, &cause),
                        Err(SinkError::Gone(cause)) => shared.gone(elements, &cause),
                        Err(SinkError::Lost(cause)) => {
                            let rest = events.map(|event| event.elements().count() as u64).sum::<u64>();
                            shared.counters.received(rest);
                            shared.fail(elements + rest, &cause);
                            return Err(cause);
                        }
                    }
                }
                Ok(())
            }
            Active::Bytes(encoding) => encoding.batch(port, &batch, shared).await,
        }
    }

    async fn flush(&mut self) -> Result<(), String> {
        match &mut self.active {
            Active::Bytes(encoding) => encoding.flush(&self.shared).await,
            Active::None | Active::Events(_) => Ok(()),
        }
    }

    async fn stop(&mut self) {
        self.queue.close();
        // What was delivered before the stop is still written; what comes later is refused.
        while let Some(message) = self.queue.recv().await {
            self.message(message).await;
        }
        if let Active::Bytes(encoding) = &mut self.active
            && let Err(cause) = encoding.stop(&self.shared).await
        {
            tracing::error!(target: TARGET, "[Sink::{}] the end of its output was lost: {cause}", self.shared.alias);
        }
    }
}

impl Encoding {
    async fn batch(&mut self, port: usize, batch: &EventBatch, shared: &SinkShared) -> Result<(), String> {
        let Some(encoder) = self.encoders.get_mut(port) else { return Ok(()) };
        self.chunks.clear();
        let mut encoded = 0;
        for event in &batch.events {
            for element in event.elements() {
                shared.counters.received(1);
                match encoder.encode(element.value, event.ingest_ns, element.meta, &mut self.chunks) {
                    Ok(()) => encoded += 1,
                    Err(error) => shared.fail(1, &error.to_string()),
                }
            }
        }
        self.unflushed += encoded;
        let wrote = self.sink.write(port, &self.chunks).await;
        self.settle(wrote, shared)
    }

    async fn flush(&mut self, shared: &SinkShared) -> Result<(), String> {
        if self.unflushed == 0 {
            return Ok(());
        }
        let flushed = self.sink.flush().await;
        if flushed.is_ok() {
            shared.counters.written(mem::take(&mut self.unflushed));
        }
        self.settle(flushed, shared)
    }

    /// Counts what failed.
    fn settle(&mut self, done: Result<(), SinkError>, shared: &SinkShared) -> Result<(), String> {
        let (cause, lost) = match done {
            Ok(()) => return Ok(()),
            Err(SinkError::Failed(cause)) => (cause, false),
            Err(SinkError::Gone(cause)) => {
                shared.gone(mem::take(&mut self.unflushed), &cause);
                return Ok(());
            }
            Err(SinkError::Lost(cause)) => (cause, true),
        };
        shared.fail(mem::take(&mut self.unflushed), &cause);
        if lost { Err(cause) } else { Ok(()) }
    }

    async fn stop(&mut self, shared: &SinkShared) -> Result<(), String> {
        for (port, encoder) in self.encoders.iter_mut().enumerate() {
            self.chunks.clear();
            encoder.finish(&mut self.chunks).map_err(|error| error.to_string())?;
            if !self.chunks.is_empty() {
                self.sink.write(port, &self.chunks).await.map_err(|error| error.to_string())?;
            }
        }
        let flushed = self.sink.flush().await;
        if flushed.is_ok() {
            shared.counters.written(mem::take(&mut self.unflushed));
        }
        self.settle(flushed, shared)?;
        self.sink.stop().await.map_err(|error| error.to_string())
    }
}
