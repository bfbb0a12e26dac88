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
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::time::Instant;
use tremor_codec::{DecodeError, DecodedEvent, Decoder, Resolver};
use tremor_event::{Event, EventBatch, EventId, Issuer, Listener, OriginUri};
use tremor_value::{Bytes, Payload, Record, Value};

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
    out: Outlet,
    err: Outlet,
    /// Bytes and events of the last push.
    last: (usize, usize),
}

/// Events that room is made for ahead, at most; a read of usual size has fewer.
const MOST_EXPECTED: usize = 512;

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
            out: shared.links().open("out"),
            err: shared.links().open("err"),
            last: (1, 1),
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

    /// Decodes everything in `intake` as one pull and sends the events on; leaves it empty.
    pub(crate) fn push<'a>(&'a mut self, intake: &mut Intake) -> Handed<'a> {
        let mut batches = Batches::new(&self.shared);
        batches.out.events.reserve(self.expected(intake));
        if let Some(listener) = &self.listener {
            let issuing = Issuing::of(listener, &intake.items, self.own.position.id, batches.pull);
            batches.issuing = Some(issuing);
        }
        for item in intake.items.drain(..) {
            let named = item.at.stream.filter(|named| *named != self.own.position.id);
            let Some(stream) = named else {
                batches.take(&mut self.own, item);
                continue;
            };
            let is_end = matches!(item.content, Content::End);
            let fresh = || self.own.anew(&self.shared, stream);
            batches.take(self.others.entry(stream).or_insert_with(fresh), item);
            if is_end {
                self.others.remove(&stream);
            }
        }
        let (out, err) = batches.done();
        self.shared.tell_unread(&err);
        self.last = (out.bytes.max(1), out.len());
        self.send(out, err)
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

    /// Ends all streams in good order: what the preprocessors hold is sent on.
    pub(crate) async fn end(&mut self) {
        let mut batches = Batches::new(&self.shared);
        let counted = batches.pull;
        for stream in std::mem::take(&mut self.others).values_mut().chain([&mut self.own]) {
            // A source that counts for itself did not pull this.
            let numbered = stream.position.last_pull;
            batches.pull = numbered.unwrap_or(counted);
            let before = (batches.out.len(), batches.err.len());
            batches.end(stream);
            if let Some(listener) = self.listener.as_ref().filter(|_| numbered.is_none()) {
                batches.add_receipts(before, listener, stream.position.id);
            }
        }
        let (out, err) = batches.done();
        self.shared.tell_unread(&err);
        self.send(out, err).await;
    }

    /// Tells on `err` that the connection of this stream ended badly (`spec/websocket.md` 11): nobody pulled that.
    pub(crate) async fn closed(&mut self, cause: &str, closed: Value) {
        let mut batches = Batches::new(&self.shared);
        let more = [("pull_id", Value::Null), ("closed", closed)];
        batches.failed(&mut self.own.position, None, cause, more);
        let (out, err) = batches.done();
        self.send(out, err).await;
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

    fn send(&mut self, out: EventBatch, err: EventBatch) -> Handed<'_> {
        self.shared.counters.out.fetch_add(out.len() as u64, Relaxed);
        if !err.is_empty() {
            self.shared.counters.err.fetch_add(err.len() as u64, Relaxed);
        }
        let outlets = [(&mut self.out, out), (&mut self.err, err)];
        Handed::in_turn(outlets.into_iter().map(|(outlet, batch)| outlet.send(batch)))
    }
}

/// What one intake became.
struct Batches<'a> {
    source: u64,
    alias: &'a str,
    /// The pull that the item at hand is of.
    pull: u64,
    now_ns: u64,
    /// There if somebody listens.
    issuing: Option<Issuing>,
    out: EventBatch,
    err: EventBatch,
}

impl<'a> Batches<'a> {
    fn new(shared: &'a SourceShared) -> Self {
        Self {
            source: shared.id,
            alias: &shared.alias,
            pull: shared.pulls.fetch_add(1, Relaxed),
            now_ns: now_ns(),
            issuing: None,
            out: EventBatch::default(),
            err: EventBatch::default(),
        }
    }

    /// The events on `out` and on `err`. Their pulls can be settled from now on.
    fn done(self) -> (EventBatch, EventBatch) {
        (self.out, self.err)
    }

    /// Takes one item of `stream`.
    fn take(&mut self, stream: &mut Stream, item: Item) {
        let At { pull: numbered, .. } = item.at;
        let counted = numbered.map(|numbered| std::mem::replace(&mut self.pull, numbered));
        stream.position.last_pull = numbered;
        if let Some(issuing) = &mut self.issuing {
            issuing.turn_to(stream.position.id, self.pull);
        }
        let meta = item.meta.as_ref();
        match item.content {
            Content::Bytes(data) => self.decode(stream, meta, data),
            Content::Value(made) => self.made(&mut stream.position, meta, *made),
            Content::End => self.end(stream),
        }
        if let Some(counted) = counted {
            self.pull = counted;
        }
    }

    fn decode(&mut self, stream: &mut Stream, meta: Option<&Value>, data: Bytes) {
        let Stream { position, decoder } = stream;
        self.out.bytes += data.len();
        if let Some(meta) = meta {
            position.last_meta = Some(meta.clone());
        }
        match decoder {
            Some(decoder) => {
                decoder.decode(data, self.now_ns, &mut |decoded| self.decoded(position, meta, decoded));
            }
            // A kind that gives bytes requires a codec, so its definition was refused before.
            None => self.made(position, meta, Value::Bytes(data).into()),
        }
    }

    /// Takes what the preprocessors of `stream` hold, which is as new afterwards.
    fn end(&mut self, stream: &mut Stream) {
        let Stream { position, decoder } = stream;
        let last_meta = position.last_meta.take();
        if let Some(decoder) = decoder {
            let meta = last_meta.as_ref();
            decoder.finish(self.now_ns, &mut |decoded| self.decoded(position, meta, decoded));
        }
    }

    /// Gives receipts to the events behind number `from` on `out` and on `err`, if there are any.
    fn add_receipts(&mut self, from: (usize, usize), listener: &Arc<dyn Listener>, stream: u64) {
        let events = self.out.events.iter_mut().skip(from.0).chain(self.err.events.iter_mut().skip(from.1));
        let mut issuer = None;
        for event in events {
            let issuer = issuer.get_or_insert_with(|| Issuer::new(listener.clone(), stream, self.pull, 1));
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
                let pull = Value::from(self.pull);
                self.failed(stream, meta, &error.to_string(), [("pull_id", pull)]);
            }
        }
    }

    fn made(&mut self, stream: &mut Position, meta: Option<&Value>, made: Made) {
        let ingest_ns = made.ingest_ns.unwrap_or(self.now_ns);
        self.out.bytes += size_of::<Event>() + weight(&made.value);
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
        let mut event = self.event(stream, meta, Value::from(payload).into(), self.now_ns);
        if let Some(meta) = event.meta.as_record_mut() {
            meta.insert("error", message);
        }
        self.err.events.push(event);
    }

    fn event(&self, stream: &mut Position, meta: Option<&Value>, payload: Payload, ingest_ns: u64) -> Event {
        let id = EventId::new(self.source, stream.id, stream.next_event, self.pull);
        stream.next_event += 1;
        Event {
            id,
            payload,
            meta: meta.unwrap_or(&stream.meta).clone(),
            ingest_ns,
            origin: Some(stream.origin.clone()),
            is_batch: false,
            receipt: self.issuing.as_ref().and_then(Issuing::receipt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
