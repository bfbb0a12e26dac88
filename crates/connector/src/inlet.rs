//! From what a source pulled to events on its ports.

use crate::{
    Gate, Handed, Intake, Links,
    clock::now_ns,
    counters::SourceCounters,
    issuing::Issuing,
    quota::{Quota, more_before},
    route::Outlet,
    source::{At, Content, Item, Made},
    task::TARGET,
    weight::weight,
};
use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::{task::yield_now, time::Instant};
use tremor_codec::{DecodeError, DecodedEvent, Decoder, Resolver, Room};
use tremor_event::{Event, EventBatch, EventId, Issuer, Listener, OriginUri};
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
    begun: Option<Box<Pull>>,
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
    /// Metadata of the last data that brought its own: what the end of the stream gives has it too.
    last_meta: Option<Value>,
    /// The last pull that the source numbered itself.
    last_pull: Option<u64>,
}

impl Stream {
    fn open(shared: &SourceShared, id: u64, origin: Arc<OriginUri>, meta: Value) -> Self {
        Self {
            position: Position { id, next_event: 0, origin, meta, last_meta: None, last_pull: None },
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
        Self {
            shared: shared.clone(),
            own: Stream::open(shared, stream, origin, meta),
            others: BTreeMap::new(),
            listener: None,
            ports: Ports { out: shared.links().open("out"), err: shared.links().open("err") },
            last: (1, 1),
            begun: None,
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
        let mut batches = Batches::new(&self.shared, begun.map(|begun| *begun));
        batches.out.events.reserve(self.expected(intake));
        if let Some(listener) = self.listener.as_ref().filter(|_| is_new) {
            let issuing = Issuing::of(listener, &intake.items, self.own.position.id, batches.pull.number);
            batches.pull.issuing = Some(issuing);
        }
        while batches.has_room()
            && let Some(mut item) = intake.items.pop_front()
        {
            let named = item.at.stream.filter(|named| *named != self.own.position.id);
            let stream = match named {
                None => &mut self.own,
                Some(stream) => {
                    let fresh = || self.own.anew(&self.shared, stream);
                    self.others.entry(stream).or_insert_with(fresh)
                }
            };
            let taken = batches.take(stream, &mut item);
            if !taken.is_whole {
                // The others of the thread have their turn also if nothing has come of it so far.
                intake.items.push_front(item);
                break;
            }
            if taken.is_end
                && let Some(stream) = named
            {
                self.others.remove(&stream);
            }
        }
        let Batches { out, err, mut pull, .. } = batches;
        if !intake.is_empty() {
            pull.is_unfinished = true;
            self.begun = Some(Box::new(pull));
        }
        self.shared.tell_unread(&err);
        self.last = (out.bytes.max(1), out.len());
        self.ports.send(&self.shared, out, err)
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
        let Self { shared, own, others, listener, ports, begun, .. } = self;
        if begun.take().is_some() {
            return;
        }
        let mut batches = Batches::new(shared, None);
        let counted = batches.pull.number;
        for stream in mem::take(others).values_mut().chain([own]) {
            // A source that counts for itself did not pull this.
            let numbered = stream.position.last_pull;
            batches.pull.number = numbered.unwrap_or(counted);
            let listener = listener.as_ref().filter(|_| numbered.is_none());
            let mut issuer = None;
            let mut item = Item { content: Content::End, at: At::default(), meta: None };
            loop {
                let before = (batches.out.len(), batches.err.len());
                let Taken { is_whole, .. } = batches.take_content(stream, &mut item);
                if let Some(listener) = listener {
                    batches.add_receipts(before, &mut issuer, listener, stream.position.id);
                }
                if !is_whole || !batches.has_room() {
                    let (out, err) = batches.take_batches();
                    shared.tell_unread(&err);
                    ports.send(shared, out, err).await;
                    yield_now().await;
                }
                if is_whole {
                    break;
                }
            }
        }
        let (out, err) = batches.take_batches();
        shared.tell_unread(&err);
        ports.send(shared, out, err).await;
    }

    /// Tells on `err` that the connection of this stream ended badly (`spec/websocket.md` 11): nobody pulled that.
    pub(crate) async fn closed(&mut self, cause: &str, closed: Value) {
        let mut batches = Batches::new(&self.shared, None);
        let more = [("pull_id", Value::Null), ("closed", closed)];
        batches.failed(&mut self.own.position, None, cause, more);
        let (out, err) = batches.take_batches();
        self.ports.send(&self.shared, out, err).await;
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

/// The opened ways of both ports.
struct Ports {
    out: Outlet,
    err: Outlet,
}

impl Ports {
    fn send(&mut self, shared: &SourceShared, out: EventBatch, err: EventBatch) -> Handed<'_> {
        shared.counters.out.fetch_add(out.len() as u64, Relaxed);
        if !err.is_empty() {
            shared.counters.err.fetch_add(err.len() as u64, Relaxed);
        }
        let outlets = [(&mut self.out, out), (&mut self.err, err)];
        Handed::in_turn(outlets.into_iter().map(|(outlet, batch)| outlet.send(batch)))
    }
}

/// One pull, of which there may be several batches.
struct Pull {
    /// The pull that the item at hand is of.
    number: u64,
    now_ns: u64,
    /// There if somebody listens.
    issuing: Option<Issuing>,
    /// Something is left of it.
    is_unfinished: bool,
}

impl Drop for Pull {
    fn drop(&mut self) {
        if let Some(issuing) = self.issuing.as_ref().filter(|_| self.is_unfinished) {
            issuing.fail();
        }
    }
}

/// One batch for each port.
struct Batches<'a> {
    source: u64,
    alias: &'a str,
    pull: Pull,
    out: EventBatch,
    err: EventBatch,
}

/// How far an item was taken.
struct Taken {
    /// Nothing is left of it.
    is_whole: bool,
    /// It is the end of a stream.
    is_end: bool,
}

impl<'a> Batches<'a> {
    /// For a new pull, or for what is left of `begun`.
    fn new(shared: &'a SourceShared, begun: Option<Pull>) -> Self {
        let pull = match begun {
            Some(mut begun) => {
                begun.is_unfinished = false;
                begun
            }
            None => Pull {
                number: shared.pulls.fetch_add(1, Relaxed),
                now_ns: now_ns(),
                issuing: None,
                is_unfinished: false,
            },
        };
        Self {
            source: shared.id,
            alias: &shared.alias,
            pull,
            out: EventBatch::default(),
            err: EventBatch::default(),
        }
    }

    /// The events on `out` and on `err` so far.
    fn take_batches(&mut self) -> (EventBatch, EventBatch) {
        (mem::take(&mut self.out), mem::take(&mut self.err))
    }

    fn room(&self) -> Room {
        Room {
            pieces: MOST_EVENTS.saturating_sub(self.out.len() + self.err.len()),
            bytes: MOST_BYTES.saturating_sub(self.out.bytes + self.err.bytes),
        }
    }

    fn has_room(&self) -> bool {
        let Room { pieces, bytes } = self.room();
        pieces > 0 && bytes > 0
    }

    /// Takes one item of `stream`, as far as there is room; what is left of it is the item then.
    fn take(&mut self, stream: &mut Stream, item: &mut Item) -> Taken {
        let numbered = item.at.pull;
        let counted = numbered.map(|numbered| mem::replace(&mut self.pull.number, numbered));
        stream.position.last_pull = numbered;
        if let Some(issuing) = &mut self.pull.issuing {
            issuing.turn_to(stream.position.id, self.pull.number);
        }
        let taken = self.take_content(stream, item);
        if let Some(counted) = counted {
            self.pull.number = counted;
        }
        taken
    }

    fn take_content(&mut self, stream: &mut Stream, item: &mut Item) -> Taken {
        let Stream { position, decoder } = stream;
        let is_end = matches!(item.content, Content::End | Content::Rest { is_end: true });
        let content = mem::replace(&mut item.content, Content::Rest { is_end });
        let (room, now_ns) = (self.room(), self.pull.now_ns);
        let step = match (content, decoder) {
            (Content::Value(made), _) => {
                self.made(position, item.meta.as_ref(), *made);
                None
            }
            (Content::Bytes(data), Some(decoder)) => {
                let meta = item.meta.as_ref();
                if let Some(meta) = meta {
                    position.last_meta = Some(meta.clone());
                }
                Some(decoder.begin(data, now_ns, room, &mut |decoded| self.decoded(position, meta, decoded)))
            }
            // A kind that gives bytes requires a codec, so its definition was refused before.
            (Content::Bytes(data), None) => {
                self.made(position, item.meta.as_ref(), Value::from(data).into());
                None
            }
            // What the preprocessors hold; the stream is as new behind it.
            (Content::End, Some(decoder)) => {
                item.meta = position.last_meta.take();
                let meta = item.meta.as_ref();
                Some(decoder.begin_finish(now_ns, room, &mut |decoded| self.decoded(position, meta, decoded)))
            }
            (Content::Rest { .. }, Some(decoder)) => {
                let meta = item.meta.as_ref();
                Some(decoder.go_on(room, &mut |decoded| self.decoded(position, meta, decoded)))
            }
            (Content::End | Content::Rest { .. }, None) => None,
        };
        self.out.bytes += step.map_or(0, |step| step.bytes);
        Taken { is_whole: step.is_none_or(|step| step.is_last), is_end }
    }

    /// Gives receipts to the events behind number `from` on `out` and on `err`, if there are any.
    fn add_receipts(
        &mut self,
        from: (usize, usize),
        issuer: &mut Option<Issuer>,
        listener: &Arc<dyn Listener>,
        stream: u64,
    ) {
        let events = self.out.events.iter_mut().skip(from.0).chain(self.err.events.iter_mut().skip(from.1));
        for event in events {
            let pull = self.pull.number;
            let issuer = issuer.get_or_insert_with(|| Issuer::new(listener.clone(), stream, pull, 1));
            event.receipt = issuer.receipt(0);
        }
    }

    fn decoded(
        &mut self,
        stream: &mut Position,
        meta: Option<&Value>,
        decoded: Result<DecodedEvent, DecodeError>,
    ) {
        match decoded {
            Ok(DecodedEvent { payload, ingest_ns, meta: added }) => {
                let mut event = self.event(stream, meta, payload, ingest_ns);
                // Asking for the record copies it, which most events need not pay for.
                if let Some(added) = added
                    && let Some(meta) = event.meta.as_record_mut()
                {
                    for (key, value) in added.iter() {
                        meta.insert(key.clone(), value.clone());
                    }
                }
                self.out.events.push(event);
            }
            Err(error) => {
                let pull = Value::from(self.pull.number);
                self.failed(stream, meta, &error.to_string(), [("pull_id", pull)]);
            }
        }
    }

    fn made(&mut self, stream: &mut Position, meta: Option<&Value>, made: Made) {
        let ingest_ns = made.ingest_ns.unwrap_or(self.pull.now_ns);
        self.out.bytes += weight(&made.value);
        let mut event = self.event(stream, meta, made.value.into(), ingest_ns);
        if let Some(from) = &made.from {
            event.id.track(from);
        }
        if let Some(origin) = made.origin {
            event.origin = Some(origin);
        }
        event.is_batch = made.is_batch;
        self.out.events.push(event);
    }

    /// What could not be decoded leaves by `err` (`spec/runtime.md` 7.4).
    fn failed<const N: usize>(
        &mut self,
        stream: &mut Position,
        meta: Option<&Value>,
        message: &str,
        more: [(&'static str, Value); N],
    ) {
        let members = [
            ("error", Value::from(message)),
            ("source", Value::from(self.alias)),
            ("stream_id", Value::from(stream.id)),
        ];
        let payload: Record = members.into_iter().chain(more).collect();
        let mut event = self.event(stream, meta, Value::from(payload).into(), self.pull.now_ns);
        if let Some(meta) = event.meta.as_record_mut() {
            meta.insert("error", message);
        }
        self.err.bytes += ERROR_BYTES + 2 * message.len();
        self.err.events.push(event);
    }

    fn event(&self, stream: &mut Position, meta: Option<&Value>, payload: Payload, ingest_ns: u64) -> Event {
        let id = EventId::new(self.source, stream.id, stream.next_event, self.pull.number);
        stream.next_event += 1;
        Event {
            id,
            payload,
            meta: meta.unwrap_or(&stream.meta).clone(),
            ingest_ns,
            origin: Some(stream.origin.clone()),
            is_batch: false,
            receipt: self.pull.issuing.as_ref().and_then(Issuing::receipt),
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
