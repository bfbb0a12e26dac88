//! The contract of sinks that one task serves.

use async_trait::async_trait;
use thiserror::Error;
use tremor_codec::Chunks;
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
/// nothing more is waiting. An event counts as handled when the flush behind it succeeded.
#[async_trait]
pub trait ByteSink: Send {
    /// Takes the chunks of one batch that came in on input port number `port`.
    ///
    /// # Errors
    /// See [`SinkError`].
    async fn write(&mut self, port: usize, chunks: &Chunks) -> Result<(), SinkError>;

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

/// The half of a connector that takes events as they are.
#[async_trait]
pub trait EventSink: Send {
    /// Handles the next event.
    ///
    /// # Errors
    /// See [`SinkError`].
    async fn event(&mut self, event: Event) -> Result<(), SinkError>;

    /// Everything that any source ever sent has been handled: the flow drains.
    async fn drained(&mut self) {
        // Most kinds have nothing to end.
    }
}

/// A sink that one task serves from a queue.
pub enum Sink {
    /// Takes encoded bytes.
    Bytes(Box<dyn ByteSink>),
    /// Takes events.
    Events(Box<dyn EventSink>),
}
