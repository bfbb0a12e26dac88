//! From what a source pulled to events on its ports.

mod ports;

use crate::{
    Gate, Handed, Intake, Links,
    clock::now_ns,
    counters::SourceCounters,
    duplex::Interceptor,
    issuing::Issuing,
    quota::{Quota, more_before},
    source::{Brought, Content, Item, Made},
    task::TARGET,
    weight::weight,
};
use ports::{Batches, Ports};
use std::{
    collections::BTreeMap,
    iter, mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::{task::yield_now, time::Instant};
use tremor_codec::{DecodeError, DecodedEvent, Decoder, Resolver, Room};
use tremor_event::{Event, EventBatch, EventId, Issuer, Listener, OriginUri, Outcome};
use tremor_value::{Payload, Record, Value};

/// What all streams of one source share.
pub(crate) struct SourceShared {
    /// Id that is unique in the process.
    pub(crate) id: u64,
    /// `<flow>::<connector>`.
    pub(crate) alias: String,
    /// Whether it may read.
    pub(crate) gate: Arc<Gate>,
    /// What it gave so far.
    pub(crate) counters: SourceCounters,
    /// Makes the decoding state of one more stream; `None` for structured sources.
    pub(crate) coding: Option<Resolver>,
    links: OnceLock<Links>,
    pulls: AtomicU64,
    /// Errors that nothing reads.
    unread: Mutex<Quota>,
}

impl SourceShared {
    /// The parts of a source that is not linked yet.
    #[must_use]
    pub(crate) fn new(id: u64, alias: String, coding: Option<Resolver>) -> Self {
        Self {
            id,
            alias,
            gate: Arc::default(),
            counters: SourceCounters::default(),
            coding,
            links: OnceLock::new(),
            pulls: AtomicU64::new(0),
            unread: Mutex::default(),
        }
    }

    /// Sets what the ports lead to, once.
    pub(crate) fn link(&self, links: Links) {
        let _first_wins = self.links.set(links);
    }

    /// What the ports lead to.
    pub(crate) fn links(&self) -> &Links {
        self.links.get_or_init(Links::default)
    }

    /// Whether anything reads port `control`.
    pub(crate) fn tells(&self) -> bool {
        self.links().is_linked(CONTROL)
    }

    /// Says what is lost where nothing reads `err`, unless there were many such lines just now.
    fn tell_unread(&self, errors: &EventBatch) {
        let Some(first) = errors.events.first().filter(|_| !self.links().is_linked("err")) else { return };
        let (count, alias) = (errors.len(), &self.alias);
        let may_log = self.unread().may_log(count as u64, Instant::now());
        if let Some(left_out) = may_log {
            let cause = first.payload.value().get("error").and_then(Value::as_str).unwrap_or_default();
            let (s, more) = (if count == 1 { "" } else { "s" }, more_before(left_out));
            tracing::warn!(
                target: TARGET,
                "[Source::{alias}] {count} error{s} on port `err`, which nothing reads: {cause}{more}"
            );
        }
    }

    /// Says how many errors were lost of which no line has told so far.
    pub(crate) fn log_left_out(&self) {
        let left_out = self.unread().take_left_out();
        if left_out > 0 {
            let s = if left_out == 1 { "" } else { "s" };
            tracing::warn!(target: TARGET, "[Source::{}] {left_out} more error{s} like that", self.alias);
        }
    }

    fn unread(&self) -> MutexGuard<'_, Quota> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    /// Takes messages before the flow sees them.
    past: Option<Box<Past>>,
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
            past: None,
        }
    }

    /// The same, where somebody takes messages before the flow sees them.
    #[must_use]
    pub(crate) fn past(self, interceptor: Option<Box<dyn Interceptor>>) -> Self {
        let past = interceptor.map(|interceptor| Box::new(Past { interceptor, has_taken: false }));
        Self { past, ..self }
    }

    /// Whether anybody takes messages before the flow sees them.
    pub(crate) fn is_intercepted(&self) -> bool {
        self.past.is_some()
    }

    /// Whether messages were taken that nothing was done about.
    pub(crate) fn has_taken(&self) -> bool {
        self.past.as_ref().is_some_and(|past| past.has_taken)
    }

    /// Does what they ask for, and tells of it.
    pub(crate) async fn conclude(&mut self) {
        let Some(past) = &mut self.past else { return };
        past.has_taken = false;
        if let Some(record) = past.interceptor.conclude().await {
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
        let Making { mut made, pull, .. } = making;
        if let Some(past) = &mut self.past {
            past.take_from(&mut made);
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
        let Self { shared, own, others, listener, ports, begun, past, .. } = self;
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
                    past.iter_mut().for_each(|past| past.take_from(&mut made));
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
        past.iter_mut().for_each(|past| past.take_from(&mut made));
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
        self.shared.counters.ends.fetch_add(1, Relaxed);
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

/// One pull, of which there may be several batches.
struct Pull {
    /// The pull that the item at hand is of.
    number: u64,
    now_ns: u64,
    /// There if somebody listens.
    issuing: Option<Box<Issuing>>,
}

/// A pull of which something is left in the intake, until that is taken. What never is has failed.
struct Begun(Option<Pull>);

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(issuing) = self.0.as_ref().and_then(|pull| pull.issuing.as_ref()) {
            issuing.fail();
        }
    }
}

/// What a pull becomes, batch by batch.
struct Making<'a> {
    source: u64,
    alias: &'a str,
    pull: Pull,
    made: Batches,
}

impl<'a> Making<'a> {
    /// For a new pull, or for what is left of `begun`.
    fn new(shared: &'a SourceShared, begun: Option<Box<Begun>>) -> Self {
        let pull = begun.and_then(|mut begun| begun.0.take()).unwrap_or_else(|| Pull {
            number: shared.pulls.fetch_add(1, Relaxed),
            now_ns: now_ns(),
            issuing: None,
        });
        Self { source: shared.id, alias: &shared.alias, pull, made: Batches::default() }
    }

    /// The events so far.
    fn take_made(&mut self) -> Batches {
        mem::take(&mut self.made)
    }

    fn room(&self) -> Room {
        Room {
            pieces: MOST_EVENTS.saturating_sub(self.made.len()),
            bytes: MOST_BYTES.saturating_sub(self.made.bytes()),
        }
    }

    /// An event for port `control` ends a batch: so it keeps its place among the others.
    fn has_room(&self) -> bool {
        self.made.control.is_none() && self.made.len() < MOST_EVENTS && self.made.bytes() < MOST_BYTES
    }

    /// Takes one item of `stream`, as far as there is room; gives what is left of it.
    fn take(&mut self, stream: &mut Stream, item: Item) -> Option<Item> {
        let Item { content, at, mut brought } = item;
        let counted = at.pull.map(|numbered| mem::replace(&mut self.pull.number, numbered));
        stream.position.last_pull = at.pull;
        if let Some(issuing) = &mut self.pull.issuing {
            issuing.turn_to(stream.position.id, self.pull.number);
        }
        let is_end = content.is_end();
        let is_whole = self.take_content(stream, content, &mut brought);
        if let Some(counted) = counted {
            self.pull.number = counted;
        }
        (!is_whole).then_some(Item { content: Content::Rest { is_end }, at, brought })
    }

    /// `false` if something is left: [`Content::Rest`] with the same `brought`.
    fn take_content(&mut self, stream: &mut Stream, content: Content, brought: &mut Brought) -> bool {
        let Stream { position, decoder } = stream;
        let decoder = match (&content, decoder) {
            (Content::Bytes(_) | Content::End | Content::Rest { .. }, Some(decoder)) => decoder,
            _ => {
                self.made_of(position, content, brought);
                return true;
            }
        };
        match &content {
            Content::Bytes(_) => {
                position.last.about = brought.about;
                if let Some(meta) = &brought.meta {
                    position.last.meta = Some(meta.clone());
                }
            }
            Content::End => *brought = mem::take(&mut position.last),
            Content::Rest { .. } | Content::Value(_) | Content::Control(_) => {}
        }
        let (room, now_ns, brought) = (self.room(), self.pull.now_ns, &*brought);
        let mut sink = |decoded| self.decoded(position, brought, decoded);
        let step = match content {
            Content::Bytes(data) => decoder.begin(data, now_ns, room, &mut sink),
            // What the preprocessors hold; the stream is as new behind it.
            Content::End => decoder.begin_finish(now_ns, room, &mut sink),
            // Values were taken before.
            Content::Rest { .. } | Content::Value(_) | Content::Control(_) => decoder.go_on(room, &mut sink),
        };
        self.made.out.bytes += step.bytes;
        step.is_last
    }

    /// Takes what no decoder is needed for.
    fn made_of(&mut self, position: &mut Position, content: Content, brought: &Brought) {
        match content {
            Content::Value(made) => self.made(position, brought, *made),
            // A kind that gives bytes requires a codec, so its definition was refused before.
            Content::Bytes(data) => self.made(position, brought, Value::from(data).into()),
            Content::Control(record) => self.told(position, *record),
            Content::End | Content::Rest { .. } => {}
        }
    }

    /// Gives receipts to the events behind number `from` on `out` and on `err`, if there are any.
    fn add_receipts(
        &mut self,
        from: (usize, usize),
        issuer: &mut Option<Issuer>,
        listener: &Arc<dyn Listener>,
        stream: u64,
    ) {
        let Batches { out, err, .. } = &mut self.made;
        let events = out.events.iter_mut().skip(from.0).chain(err.events.iter_mut().skip(from.1));
        for event in events {
            let pull = self.pull.number;
            let issuer = issuer.get_or_insert_with(|| Issuer::new(listener.clone(), stream, pull, 1));
            event.receipt = issuer.receipt(0);
        }
    }

    fn decoded(
        &mut self,
        stream: &mut Position,
        brought: &Brought,
        decoded: Result<DecodedEvent, DecodeError>,
    ) {
        match decoded {
            Ok(DecodedEvent { payload, ingest_ns, meta: added }) => {
                let mut event = self.event(stream, brought, payload, ingest_ns);
                // Changing the record copies it, which most events need not pay for.
                if let Some(added) = added {
                    event.meta.extend(&added);
                }
                self.made.out.events.push(event);
            }
            Err(error) => {
                let pull = Value::from(self.pull.number);
                self.failed(stream, brought, &error.to_string(), [("pull_id", pull)]);
            }
        }
    }

    fn made(&mut self, stream: &mut Position, brought: &Brought, made: Made) {
        let ingest_ns = made.ingest_ns.unwrap_or(self.pull.now_ns);
        self.made.out.bytes += weight(&made.value);
        let mut event = self.event(stream, brought, made.value.into(), ingest_ns);
        if let Some(from) = &made.from {
            event.id.track(from);
        }
        if let Some(origin) = made.origin {
            event.origin = Some(origin);
        }
        event.is_batch = made.is_batch;
        self.made.out.events.push(event);
    }

    /// What could not be decoded leaves by `err` (`spec/runtime.md` 7.4).
    fn failed<const N: usize>(
        &mut self,
        stream: &mut Position,
        brought: &Brought,
        message: &str,
        more: [(&'static str, Value); N],
    ) {
        let members = [
            ("error", Value::from(message)),
            ("source", Value::from(self.alias)),
            ("stream_id", Value::from(stream.id)),
        ];
        let payload: Record = members.into_iter().chain(more).collect();
        let mut event = self.event(stream, brought, Value::from(payload).into(), self.pull.now_ns);
        if let Some(error) = event.meta.member_or_null("error") {
            *error = Value::from(message);
        }
        self.made.err.bytes += ERROR_BYTES + 2 * message.len();
        self.made.push_err(event);
    }

    /// What a connector tells of itself leaves by `control`. No listener waits for that.
    fn told(&mut self, stream: &mut Position, record: Value) {
        let mut event = self.event(stream, &Brought::default(), Payload::from(record), self.pull.now_ns);
        if let Some(receipt) = event.receipt.take() {
            receipt.settle(Outcome::Discarded);
        }
        self.made.control = Some(Box::new(event));
    }

    fn event(&self, stream: &mut Position, brought: &Brought, payload: Payload, ingest_ns: u64) -> Event {
        let id = EventId::new(self.source, stream.id, stream.next_event, self.pull.number);
        stream.next_event += 1;
        Event {
            id,
            payload,
            meta: brought.meta(&stream.meta),
            ingest_ns,
            origin: Some(stream.origin.clone()),
            is_batch: false,
            receipt: self.pull.issuing.as_ref().and_then(|issuing| issuing.receipt()),
        }
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
