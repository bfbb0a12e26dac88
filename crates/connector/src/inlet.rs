//! From what a source pulled to events on its ports.

mod making;
mod ports;
mod shared;

use crate::{
    Gate, Handed, Intake,
    duplex::{Interceptor, Traffic},
    issuing::Issuing,
    outbox::Outbox,
    source::{Brought, Content},
};
use making::{Begun, Making};
use ports::{Batches, Ports};
pub(crate) use shared::SourceShared;
use std::{collections::BTreeMap, iter, mem, sync::Arc};
use tokio::task::yield_now;
use tremor_codec::{Decoder, Resolver};
use tremor_event::{Listener, OriginUri};
use tremor_value::Value;

/// The port by which a connector tells of its connections (`spec/websocket.md` 15).
pub(crate) const CONTROL: &str = "control";

/// One stream of a source, or several that are read in turns: decodes what was pulled and sends it along the
/// source's links.
pub(crate) struct Inlet {
    shared: Arc<SourceShared>,
    own: Stream,
    /// Further streams, by number.
    others: BTreeMap<u64, Stream>,
    /// Hears what becomes of the events.
    listener: Option<Arc<dyn Listener>>,
    ports: Ports,
    /// Bytes and events of the last push.
    last: (usize, usize),
    /// The pull of which the last push left something in the intake.
    begun: Option<Box<Begun>>,
    /// There if this stream has any of it: most have not.
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    /// Takes messages before the flow sees them.
    past: Option<Past>,
    /// Hears of what could not be decoded.
    traffic: Option<Arc<dyn Traffic>>,
}

/// Who takes messages, and whether there are some that nothing was done about.
struct Past {
    interceptor: Box<dyn Interceptor>,
    has_taken: bool,
}

/// Events that room is made for ahead, at most; a read of usual size has fewer.
const MOST_EXPECTED: usize = 512;
/// Events of one batch, those on `out` and those on `err` together. What an intake gives beyond is decoded when the batch
/// before it was handed on.
const MOST_EVENTS: usize = 1024;
/// Bytes that a batch is made of, but for the last item or piece. No source gives so many at once unless they hang together.
const MOST_BYTES: usize = 1024 * 1024;
/// Roughly what an event on `err` holds besides its text: two records.
const ERROR_BYTES: usize = 512;

struct Stream {
    position: Position,
    decoder: Option<Decoder>,
}

struct Position {
    id: u64,
    next_event: u64,
    origin: Arc<OriginUri>,
    meta: Value,
    /// What the last data brought, and the last one that had metadata of its own: what the end of the stream gives has it
    /// too.
    last: Brought,
    /// The last pull that the source numbered itself.
    last_pull: Option<u64>,
}

impl Stream {
    fn open(shared: &SourceShared, id: u64, origin: Arc<OriginUri>, meta: Value) -> Self {
        Self {
            position: Position { id, next_event: 0, origin, meta, last: Brought::default(), last_pull: None },
            decoder: shared.coding.as_ref().map(Resolver::decoder),
        }
    }

    /// The stream that comes after this one under the same number.
    fn anew(&self, shared: &SourceShared, id: u64) -> Self {
        Self::open(shared, id, self.position.origin.clone(), self.position.meta.clone())
    }
}

impl Inlet {
    /// Opens stream number `stream`. `meta` is the metadata of events that bring none of their own.
    #[must_use]
    pub(crate) fn open(shared: &Arc<SourceShared>, stream: u64, origin: Arc<OriginUri>, meta: Value) -> Self {
        Self::with_exit(shared, stream, origin, meta, "out")
    }

    /// The same for a stream whose events leave by port `exit`.
    #[must_use]
    pub(crate) fn with_exit(
        shared: &Arc<SourceShared>,
        stream: u64,
        origin: Arc<OriginUri>,
        meta: Value,
        exit: &str,
    ) -> Self {
        Self {
            shared: shared.clone(),
            own: Stream::open(shared, stream, origin, meta),
            others: BTreeMap::new(),
            listener: None,
            ports: Ports::new(shared.links().open(exit), shared.links().open("err")),
            last: (1, 1),
            begun: None,
            rare: None,
        }
    }

    /// The same, where somebody takes messages before the flow sees them.
    #[must_use]
    pub(crate) fn past(mut self, interceptor: Option<Box<dyn Interceptor>>) -> Self {
        if let Some(interceptor) = interceptor {
            self.rare.get_or_insert_default().past = Some(Past { interceptor, has_taken: false });
        }
        self
    }

    /// The same, where `traffic` hears of what could not be decoded.
    #[must_use]
    pub(crate) fn heard_by(mut self, traffic: Option<&Arc<dyn Traffic>>) -> Self {
        if let Some(traffic) = traffic {
            self.rare.get_or_insert_default().traffic = Some(traffic.clone());
        }
        self
    }

    fn interceptor(&mut self) -> Option<&mut Past> {
        self.rare.as_mut()?.past.as_mut()
    }

    /// Whether anybody takes messages before the flow sees them.
    pub(crate) fn is_intercepted(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.past.is_some())
    }

    /// Whether messages were taken that nothing was done about.
    pub(crate) fn has_taken(&self) -> bool {
        let past = self.rare.as_ref().and_then(|rare| rare.past.as_ref());
        past.is_some_and(|past| past.has_taken)
    }

    /// Does what they ask for, and tells of it with the metadata that the connection of `outbox` has by then.
    pub(crate) async fn conclude(&mut self, outbox: &Outbox) {
        let Some(past) = self.interceptor() else { return };
        past.has_taken = false;
        while let Some(past) = self.interceptor()
            && let Some(record) = past.interceptor.conclude().await
        {
            if let Some(meta) = outbox.new_meta() {
                self.set_meta(meta);
            }
            self.tell(record).await;
        }
    }

    /// The same, with somebody who hears what becomes of the events.
    #[must_use]
    pub(crate) fn listening(self, listener: Option<Arc<dyn Listener>>) -> Self {
        Self { listener, ..self }
    }

    /// Who hears of what comes next, if anybody listens at all.
    pub(crate) fn listen_anew(&mut self, who: impl FnOnce() -> Option<Arc<dyn Listener>>) {
        if self.listener.is_some() {
            self.listener = who();
        }
    }

    /// The conditions under which this stream is read.
    #[must_use]
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.shared.gate
    }

    /// Decodes what is in `intake`, which is one pull, and sends the events on: so many that they are one batch. What does
    /// not fit stays in `intake`, which may get nothing more then: push again, and see to it that others have their turn
    /// in between.
    pub(crate) fn push<'a>(&'a mut self, intake: &mut Intake) -> Handed<'a> {
        let begun = self.begun.take();
        let is_new = begun.is_none();
        let mut making = Making::new(&self.shared, begun);
        making.made.out.events.reserve(self.expected(intake));
        if let Some(listener) = self.listener.as_ref().filter(|_| is_new) {
            let issuing = Issuing::of(listener, &intake.items, self.own.position.id, making.pull.number);
            making.pull.issuing = Some(Box::new(issuing));
        }
        intake.controls = 0;
        let mut items = intake.items.drain(..);
        let mut left = None;
        for item in items.by_ref() {
            if !making.has_room() {
                left = Some(item);
                break;
            }
            let named = item.at.stream.filter(|named| *named != self.own.position.id);
            let is_end = item.content.is_end();
            let stream = match named {
                None => &mut self.own,
                Some(stream) => {
                    let fresh = || self.own.anew(&self.shared, stream);
                    self.others.entry(stream).or_insert_with(fresh)
                }
            };
            left = making.take(stream, item);
            if left.is_some() {
                // The others of the thread have their turn also if nothing has come of it so far.
                break;
            }
            if let Some(stream) = named.filter(|_| is_end) {
                self.others.remove(&stream);
            }
        }
        let is_unfinished = left.is_some();
        if let Some(left) = left {
            let rest = iter::once(left).chain(items).collect();
            intake.items = rest;
        }
        let Making { mut made, pull, undecoded, .. } = making;
        if let Some(rare) = &mut self.rare {
            rare.look_at(&mut made, undecoded);
        }
        if is_unfinished {
            self.begun = Some(Box::new(Begun(Some(pull))));
        }
        self.shared.tell_unread(&made.err);
        self.last = (made.out.bytes.max(1), made.out.len());
        self.ports.send(&self.shared, made)
    }

    /// How many events `intake` may hold, if they are as long as the last ones were: several to a chunk where the
    /// preprocessors find them.
    fn expected(&self, intake: &Intake) -> usize {
        let (bytes, events) = self.last;
        let (items, new_bytes) = intake.size();
        let likely = usize::try_from(new_bytes).unwrap_or(usize::MAX).saturating_mul(events) / bytes;
        // One more, for what was left of the last read.
        let items = usize::try_from(items).unwrap_or(usize::MAX);
        (if likely > items { likely + 1 } else { items }).min(MOST_EXPECTED)
    }

    /// Ends all streams in good order: what the preprocessors hold is sent on. Streams that end in the midst of a pull
    /// are cut off, and what is left of it fails.
    pub(crate) async fn end(&mut self) {
        let Self { shared, own, others, listener, ports, begun, rare, .. } = self;
        if begun.take().is_some() {
            return;
        }
        let mut making = Making::new(shared, None);
        let counted = making.pull.number;
        for stream in mem::take(others).values_mut().chain([own]) {
            // A source that counts for itself did not pull this.
            let numbered = stream.position.last_pull;
            making.pull.number = numbered.unwrap_or(counted);
            let listener = listener.as_ref().filter(|_| numbered.is_none());
            let mut issuer = None;
            let (mut content, mut brought) = (Content::End, Brought::default());
            loop {
                let before = (making.made.out.len(), making.made.err.len());
                let is_whole = making.take_content(stream, content, &mut brought);
                content = Content::Rest { is_end: true };
                if let Some(listener) = listener {
                    making.add_receipts(before, &mut issuer, listener, stream.position.id);
                }
                if !is_whole || !making.has_room() {
                    let mut made = making.take_made();
                    let undecoded = mem::take(&mut making.undecoded);
                    rare.iter_mut().for_each(|rare| rare.look_at(&mut made, undecoded));
                    shared.tell_unread(&made.err);
                    ports.send(shared, made).await;
                    yield_now().await;
                }
                if is_whole {
                    break;
                }
            }
        }
        let mut made = making.take_made();
        rare.iter_mut().for_each(|rare| rare.look_at(&mut made, making.undecoded));
        shared.tell_unread(&made.err);
        ports.send(shared, made).await;
    }

    /// What comes from now on has this metadata, unless it brings its own.
    pub(crate) fn set_meta(&mut self, meta: Value) {
        self.own.position.meta = meta;
    }

    /// Whether anything reads port `control`.
    pub(crate) fn tells(&self) -> bool {
        self.shared.tells()
    }

    /// Gives `record` on port `control`, with the metadata of this stream.
    pub(crate) fn tell(&mut self, record: Value) -> Handed<'_> {
        let mut making = Making::new(&self.shared, None);
        making.told(&mut self.own.position, record);
        let made = making.take_made();
        self.ports.send(&self.shared, made)
    }

    /// Tells that the connection of this stream has ended (`spec/websocket.md` 11): nobody pulled that. `err` hears of it
    /// only if it did not end well.
    pub(crate) async fn closed(&mut self, cause: &str, closed: Value, clean: bool) {
        if self.tells() {
            self.tell(closed.clone()).await;
        }
        if clean {
            return;
        }
        let mut making = Making::new(&self.shared, None);
        let more = [("pull_id", Value::Null), ("closed", closed)];
        making.failed(&mut self.own.position, &Brought::default(), cause, more);
        let made = making.take_made();
        self.ports.send(&self.shared, made).await;
    }

    /// `<flow>::<connector>`.
    pub(crate) fn alias(&self) -> Arc<str> {
        self.shared.alias.as_str().into()
    }

    /// Gives back memory that an idle stream does not need.
    pub(crate) fn rest(&mut self) {
        for stream in self.others.values_mut().chain([&mut self.own]) {
            stream.decoder.iter_mut().for_each(Decoder::rest);
        }
    }
}

impl Rare {
    /// Looks at what was made before it is sent; so much more could not be decoded.
    fn look_at(&mut self, made: &mut Batches, undecoded: u64) {
        if let Some(past) = &mut self.past {
            past.take_from(made);
        }
        if let Some(traffic) = self.traffic.as_ref().filter(|_| undecoded > 0) {
            traffic.undecoded(undecoded);
        }
    }
}

impl Past {
    fn take_from(&mut self, made: &mut Batches) {
        let Self { interceptor, has_taken } = self;
        made.divert(|event| {
            let takes = interceptor.takes(event.payload.value());
            *has_taken |= takes;
            takes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tremor_value::Bytes;

    #[test]
    fn room_is_made_for_as_many_events_as_the_last_read_had_per_byte_and_not_for_more_than_a_read_has() {
        let shared = Arc::new(SourceShared::new(1, "flow::source".to_owned(), None));
        let mut inlet = Inlet::open(&shared, 0, Arc::default(), Value::record());
        let mut intake = Intake::default();
        assert_eq!(inlet.expected(&intake), 0);
        intake.bytes(Bytes::from_static(&[0; 3000]), None);
        inlet.last = (1000, 1);
        assert_eq!(inlet.expected(&intake), 4);
        inlet.last = (3000, 1);
        assert_eq!(inlet.expected(&intake), 1, "a message of its own needs no more");
        inlet.last = (1, 1);
        assert_eq!(inlet.expected(&intake), MOST_EXPECTED);
    }
}
