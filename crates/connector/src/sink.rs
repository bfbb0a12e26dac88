//! The contract of sinks that one task serves.

use crate::SinkShared;
use async_trait::async_trait;
use std::sync::Arc;
use thiserror::Error;
use tremor_codec::{Chunks, Encoder, Resolver};
use tremor_event::Event;

/// A write that failed.
#[derive(Debug, Error)]
pub enum SinkError {
    /// The events at hand failed, later ones may do.
    #[error("{0}")]
    Failed(String),
    /// Nobody will ever read what this sink writes; no error, and nothing to connect again.
    #[error("{0}")]
    Gone(String),
    /// The connection is broken and has to be made again.
    #[error("{0}")]
    Lost(String),
}

/// The half of a connector that takes what a codec encoded.
///
/// The caller encodes a batch and hands its chunks over in one call, then calls [`ByteSink::flush`] when
/// nothing more is waiting, or when many wait to hear that they are written. An event counts as handled, and is
/// acknowledged, when the flush behind it succeeded.
#[async_trait]
pub trait ByteSink: Send {
    /// Takes the chunks of one batch that came in on input port number `port`, and leaves in `chunks` whatever is
    /// convenient: the caller needs its memory alone.
    ///
    /// # Errors
    /// See [`SinkError`].
    async fn write(&mut self, port: usize, chunks: &mut Chunks) -> Result<(), SinkError>;

    /// Hands everything to the system.
    ///
    /// # Errors
    /// See [`SinkError`].
    async fn flush(&mut self) -> Result<(), SinkError>;

    /// Called once, after the last flush.
    ///
    /// # Errors
    /// See [`SinkError`].
    async fn stop(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// What an [`EventSink`] may do besides taking events. Clones do the same; one of a connection that has been
/// replaced does nothing.
#[derive(Clone)]
pub struct SinkControl {
    shared: Arc<SinkShared>,
    coding: Option<Resolver>,
    connection: u64,
}

impl SinkControl {
    pub(crate) fn new(shared: Arc<SinkShared>, coding: Option<Resolver>, connection: u64) -> Self {
        Self { shared, coding, connection }
    }

    /// Stops the sources in front of this sink until [`SinkControl::open`], whatever else may stop them. May be
    /// called at any time, from any task.
    pub fn close(&self) {
        self.shared.hold(self.connection, true);
    }

    /// Takes back [`SinkControl::close`].
    pub fn open(&self) {
        self.shared.hold(self.connection, false);
    }

    /// An encoder with no state yet, of the codec and postprocessors that the user named; `None` for kinds that take
    /// no codec.
    #[must_use]
    pub fn encoder(&self) -> Option<Encoder> {
        self.coding.as_ref().map(Resolver::encoder)
    }
}

/// The half of a connector that takes events as they are.
///
/// Who settles an event's receipt (`spec/runtime.md` 11.2) is the kind's choice: see [`EventSink::settles`].
#[async_trait]
pub trait EventSink: Send {
    /// Called once, before anything else.
    fn begin(&mut self, control: SinkControl) {
        let _most_kinds_need_none = control;
    }

    /// `false`: an event counts as handled when [`EventSink::event`] has returned; the caller keeps its receipt and
    /// settles it as delivered, or as failed after an error.
    ///
    /// `true`: events come with their receipts, and the sink settles each of them itself, now or later, from any task
    /// (see [`tremor_event::settle_all`] for many at once); also those of events for which it returns an error. A
    /// receipt that is dropped counts as failed. Every event has one then, whether its source listens or not: what
    /// the sink has written and what failed is counted by them. Asked once, after [`EventSink::begin`].
    fn settles(&self) -> bool {
        false
    }

    /// Handles the next event.
    ///
    /// # Errors
    /// See [`SinkError`].
    async fn event(&mut self, event: Event) -> Result<(), SinkError>;

    /// Called behind events when nothing more is waiting, and now and then while much is. A sink that collects what
    /// it takes, to do expensive things once for many, does them here; it settles the events itself.
    ///
    /// # Errors
    /// See [`SinkError`].
    async fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Everything that any source will ever send has been handled: all of them are finished, or the flow drains.
    async fn drained(&mut self) {
        // Most kinds have nothing to end.
    }

    /// Called once, after the last flush.
    ///
    /// # Errors
    /// See [`SinkError`].
    async fn stop(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A sink that one task serves from a queue.
pub enum Sink {
    /// Takes encoded bytes.
    Bytes(Box<dyn ByteSink>),
    /// Takes events.
    Events(Box<dyn EventSink>),
}
