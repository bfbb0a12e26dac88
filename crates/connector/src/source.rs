//! The contract of sources.

use async_trait::async_trait;
use std::sync::Arc;
use thiserror::Error;
use tremor_event::{EventId, Listener, OriginUri};
use tremor_value::{AboutMessage, Bytes, Meta, Value};

/// Items that room is kept for between the reads of a connection at work.
const KEPT_ITEMS: usize = 4;

/// What one call of [`Source::pull`] gave, in order.
#[derive(Debug, Default)]
pub struct Intake {
    pub(crate) items: Vec<Item>,
    /// How many of them are for port `control`.
    pub(crate) controls: usize,
}

#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) content: Content,
    pub(crate) at: At,
    pub(crate) brought: Brought,
}

/// What something that was read brings for the metadata of its events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Brought {
    /// `None`: the metadata of the stream.
    pub(crate) meta: Option<Value>,
    /// What is told of the message that it was.
    pub(crate) about: Option<AboutMessage>,
}

impl Brought {
    /// The metadata of an event of a stream that has `of_stream`.
    pub(crate) fn meta(&self, of_stream: &Value) -> Meta {
        let base = self.meta.as_ref().unwrap_or(of_stream).clone();
        match self.about {
            Some(about) => Meta::with_message(base, about),
            None => base.into(),
        }
    }
}

impl From<Option<Value>> for Brought {
    fn from(meta: Option<Value>) -> Self {
        Self { meta, about: None }
    }
}

impl From<Option<Meta>> for Brought {
    fn from(meta: Option<Meta>) -> Self {
        match meta.map(Meta::into_parts) {
            Some((base, about)) => Self { meta: Some(base), about },
            None => Self::default(),
        }
    }
}

#[derive(Debug)]
pub(crate) enum Content {
    /// One chunk for the preprocessors.
    Bytes(Bytes),
    /// A finished value; boxed, since most items are bytes and should be small.
    Value(Box<Made>),
    /// An event for port `control`.
    Control(Box<Value>),
    /// A message that becomes an event for port `err`.
    Refused(Box<Refusal>),
    /// The stream has ended in good order.
    End,
    /// What is left in the decoder of a chunk, or of the end of the stream (`is_end`).
    Rest { is_end: bool },
}

/// Why a message does not become the event that it would have been (`spec/runtime.md` 7.4).
#[derive(Debug)]
pub struct Refusal {
    /// In words.
    pub cause: String,
    /// Further members of the event's record: their names and what they hold.
    pub more: [(&'static str, Value); 2],
}

/// Where in its source something was read, for sources that do not leave that to the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// The stream; `None`: the one that the caller opened for this source, number 0 unless it is a connection.
    ///
    /// Every stream has decoding state and event counter of its own. They are made when the stream first gives
    /// something and dropped by [`Intake::end_of`], behind which the stream may not give anything.
    pub stream: Option<u64>,
    /// The number of the pull, as a source that listens hears of it. Within a stream and an intake numbers ascend;
    /// what has the same number is one pull.
    ///
    /// `None`: the caller counts, from 0 for the life of the connector and once per call that gave anything; all
    /// that a call gave is one pull.
    pub pull: Option<u64>,
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
    /// The number of the pull, see [`At::pull`].
    pub pull: Option<u64>,
    /// Where it came from; `None`: the origin of the source.
    pub origin: Option<Arc<OriginUri>>,
    /// It is the list of a batch event (`spec/runtime.md` 6.3).
    pub is_batch: bool,
}

impl From<Value> for Made {
    fn from(value: Value) -> Self {
        Self { value, from: None, ingest_ns: None, pull: None, origin: None, is_batch: false }
    }
}

impl Content {
    /// It is, or is left of, the end of a stream.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self, Self::End | Self::Rest { is_end: true })
    }
}

impl Intake {
    /// Adds a chunk of bytes, with the stream's metadata unless it has its own.
    pub fn bytes(&mut self, data: Bytes, meta: Option<Value>) {
        self.bytes_at(At::default(), data, meta);
    }

    /// Adds a chunk of bytes of a certain stream or pull, with the stream's metadata unless it has its own.
    pub fn bytes_at(&mut self, at: At, data: Bytes, meta: Option<Value>) {
        self.items.push(Item { content: Content::Bytes(data), at, brought: meta.into() });
    }

    /// Adds the bytes of a message, with the stream's metadata unless it has its own, and with what is told of it.
    pub fn message(&mut self, data: Bytes, meta: Option<Value>, about: AboutMessage) {
        let brought = Brought { meta, about: Some(about) };
        self.items.push(Item { content: Content::Bytes(data), at: At::default(), brought });
    }

    /// Adds a message that is refused, with the stream's metadata unless it has its own, and with what is told of it.
    pub fn refused(&mut self, refusal: Refusal, meta: Option<Value>, about: AboutMessage) {
        let brought = Brought { meta, about: Some(about) };
        self.items.push(Item { content: Content::Refused(Box::new(refusal)), at: At::default(), brought });
    }

    /// Ends a stream in good order: what its preprocessors hold is sent on, as part of this pull.
    pub fn end_of(&mut self, at: At) {
        self.items.push(Item { content: Content::End, at, brought: Brought::default() });
    }

    /// Adds a finished value, with the stream's metadata unless it has its own.
    pub fn value(&mut self, made: impl Into<Made>, meta: Option<Meta>) {
        let made = made.into();
        let at = At { stream: None, pull: made.pull };
        self.items.push(Item { content: Content::Value(Box::new(made)), at, brought: meta.into() });
    }

    /// Adds an event for port `control`, with the stream's metadata, between what came before it and what comes behind it.
    /// Where nothing reads that port it is dropped.
    pub fn control(&mut self, record: Value) {
        self.controls += 1;
        let content = Content::Control(Box::new(record));
        self.items.push(Item { content, at: At::default(), brought: Brought::default() });
    }

    /// Gives back the memory of much, unless it holds something: room for a few items is kept.
    pub(crate) fn trim(&mut self) {
        if self.is_empty() && self.items.capacity() > KEPT_ITEMS {
            *self = Self::default();
        }
    }

    /// How many items there are for the ports that data leaves by, and how many bytes those of bytes hold; of messages, how
    /// many they had when they came.
    pub(crate) fn size(&self) -> (u64, u64) {
        let bytes = self.items.iter().map(|item| match (&item.brought.about, &item.content) {
            (Some(about), _) => about.size,
            (None, Content::Bytes(data)) => data.len() as u64,
            (
                None,
                Content::Value(_)
                | Content::Control(_)
                | Content::Refused(_)
                | Content::End
                | Content::Rest { .. },
            ) => 0,
        });
        (self.items.len().saturating_sub(self.controls) as u64, bytes.sum())
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
    /// Reads on until it is finished, if nothing held it back when the drain began.
    ReadToEnd,
    /// Gives what it holds, whatever held it back: it was taken in before the drain.
    GiveAll,
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

/// The half of a connector that produces events, most often on one stream.
///
/// # Sources that listen
///
/// A source that gives a listener hears what becomes of every pull (`spec/runtime.md` 11): once, by stream and number,
/// in any order, from the tasks of sinks and pipelines and while a pull of its own is pending. The listener keeps its
/// own state, shared with the source, and wakes the source if there is something to do. It goes on hearing when the
/// source is no longer pulled, and when it has been replaced after a lost connection.
///
/// * *Delivered*: every event of the pull reached a sink, or some did and the others were dropped on purpose.
/// * *Discarded*: no event of it reached a sink, as the flow says; the same if it gave none. Most sources take it as
///   an acknowledgement.
/// * *Failed*: at least one event was not handled. What becomes of the others is not told.
/// * *Withheld*: a sink keeps its answer to itself; nothing else will come.
///
/// There is no word of what the source gave last if it is stopped before that becomes events.
///
/// Events of a source without a listener carry no receipts and cost nothing of this.
#[async_trait]
pub trait Source: Send {
    /// Who hears what becomes of what this source gives. Asked before the first pull: `None` means that nobody ever
    /// listens. Otherwise asked again behind every pull, for what it gave: a source may want to tell its pulls apart.
    fn listener(&self) -> Option<Arc<dyn Listener>> {
        None
    }

    /// Waits until there is something and puts all that is there into the (empty) `intake`.
    ///
    /// The caller keeps a pending pull across pauses; it drops one only when the source will never be
    /// pulled again. It does not begin one while a pause lasts or a sink behind the source is closed.
    ///
    /// # Errors
    /// See [`SourceError`]; what the intake holds is used all the same.
    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError>;

    /// What to do when the flow drains.
    fn on_drain(&self) -> OnDrain {
        OnDrain::Stop
    }
}
