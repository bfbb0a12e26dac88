//! The contract of sources.

use async_trait::async_trait;
use thiserror::Error;
use tremor_event::EventId;
use tremor_value::{Bytes, Value};

/// What one pull of a source gave, in order.
#[derive(Debug, Default)]
pub struct Intake {
    pub(crate) items: Vec<Item>,
}

#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) content: Content,
    /// `None`: the metadata of the stream.
    pub(crate) meta: Option<Value>,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// One chunk for the preprocessors.
    Bytes(Bytes),
    /// A finished value.
    Value(Made),
}

/// A value that a structured source made.
#[derive(Debug)]
pub struct Made {
    /// The value.
    pub value: Value,
    /// The event it was made from, so that an answer finds its way back.
    pub from: Option<EventId>,
    /// When it came in; `None`: now. In nanoseconds since 1970 UTC.
    pub ingest_ns: Option<u64>,
}

impl From<Value> for Made {
    fn from(value: Value) -> Self {
        Self { value, from: None, ingest_ns: None }
    }
}

impl Intake {
    /// Adds a chunk of bytes, with the stream's metadata unless it has its own.
    pub fn bytes(&mut self, data: Bytes, meta: Option<Value>) {
        self.items.push(Item { content: Content::Bytes(data), meta });
    }

    /// Adds a finished value, with the stream's metadata unless it has its own.
    pub fn value(&mut self, made: impl Into<Made>, meta: Option<Value>) {
        self.items.push(Item { content: Content::Value(made.into()), meta });
    }

    /// How many items there are, and how many bytes those of bytes hold.
    pub(crate) fn size(&self) -> (u64, u64) {
        let bytes = self.items.iter().map(|item| match &item.content {
            Content::Bytes(data) => data.len() as u64,
            Content::Value(_) => 0,
        });
        (self.items.len() as u64, bytes.sum())
    }

    /// `true` if there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// How a pull ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// There may be more.
    More,
    /// There will never be more; what the intake holds is the last of it.
    Finished,
}

/// What a source does when its flow drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDrain {
    /// Stops reading at once; a pull that is under way is dropped.
    Stop,
    /// Reads on until it is finished.
    Finish,
}

/// A pull that failed.
#[derive(Debug, Error)]
pub enum SourceError {
    /// Trying again may help.
    #[error("{0}")]
    Again(String),
    /// There will never be more, and what was begun is lost. Making the connection again would not help.
    #[error("{0}")]
    Broken(String),
    /// The connection is broken; the stream ends in good order if `clean`.
    #[error("{cause}")]
    Lost {
        /// What broke it.
        cause: String,
        /// The other side ended it properly.
        clean: bool,
    },
}

/// The half of a connector that produces events on one stream.
#[async_trait]
pub trait Source: Send {
    /// Waits until there is something and puts all that is there into the (empty) `intake`.
    ///
    /// The caller keeps a pending pull across pauses; it drops one only when the source will never be
    /// pulled again.
    ///
    /// # Errors
    /// See [`SourceError`]; what the intake holds is used all the same.
    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError>;

    /// What to do when the flow drains.
    fn on_drain(&self) -> OnDrain {
        OnDrain::Stop
    }
}
