//! What is made of a pull, batch by batch.

use super::{ERROR_BYTES, MOST_BYTES, MOST_EVENTS, Position, Stream, ports::Batches, shared::SourceShared};
use crate::{
    clock::now_ns,
    issuing::Issuing,
    source::{Brought, Content, Item, Made, Refusal},
    weight::weight,
};
use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tremor_codec::{DecodeError, DecodedEvent, Room};
use tremor_event::{Event, EventId, Issuer, Listener, Outcome};
use tremor_value::{Payload, Record, Value};

/// One pull, of which there may be several batches.
pub(super) struct Pull {
    /// The pull that the item at hand is of.
    pub(super) number: u64,
    pub(super) now_ns: u64,
    /// There if somebody listens.
    pub(super) issuing: Option<Box<Issuing>>,
}

/// A pull of which something is left in the intake, until that is taken. What never is has failed.
pub(super) struct Begun(pub(super) Option<Pull>);

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(issuing) = self.0.as_ref().and_then(|pull| pull.issuing.as_ref()) {
            issuing.fail();
        }
    }
}

/// What a pull becomes, batch by batch.
pub(super) struct Making<'a> {
    pub(super) source: u64,
    alias: &'a str,
    pub(super) pull: Pull,
    pub(super) made: Batches,
    /// What could not be decoded.
    pub(super) undecoded: u64,
}

impl<'a> Making<'a> {
    /// For a new pull, or for what is left of `begun`.
    #[inline]
    pub(super) fn new(shared: &'a SourceShared, begun: Option<Box<Begun>>) -> Self {
        let pull = begun.and_then(|mut begun| begun.0.take()).unwrap_or_else(|| Pull {
            number: shared.pulls.fetch_add(1, Relaxed),
            now_ns: now_ns(),
            issuing: None,
        });
        Self { source: shared.id, alias: &shared.alias, pull, made: Batches::default(), undecoded: 0 }
    }

    /// The events so far.
    pub(super) fn take_made(&mut self) -> Batches {
        mem::take(&mut self.made)
    }

    #[inline]
    pub(super) fn room(&self) -> Room {
        Room {
            pieces: MOST_EVENTS.saturating_sub(self.made.len()),
            bytes: MOST_BYTES.saturating_sub(self.made.bytes()),
        }
    }

    /// An event for port `control` ends a batch: so it keeps its place among the others.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.made.control.is_none() && self.made.len() < MOST_EVENTS && self.made.bytes() < MOST_BYTES
    }

    /// Takes one item of `stream`, as far as there is room; gives what is left of it.
    #[inline]
    pub(super) fn take(&mut self, stream: &mut Stream, item: Item) -> Option<Item> {
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
    pub(super) fn take_content(
        &mut self,
        stream: &mut Stream,
        content: Content,
        brought: &mut Brought,
    ) -> bool {
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
            Content::Rest { .. } | Content::Value(_) | Content::Control(_) | Content::Refused(_) => {}
        }
        let (room, now_ns, brought) = (self.room(), self.pull.now_ns, &*brought);
        let mut sink = |decoded| self.decoded(position, brought, decoded);
        let step = match content {
            Content::Bytes(data) => decoder.begin(data, now_ns, room, &mut sink),
            // What the preprocessors hold; the stream is as new behind it.
            Content::End => decoder.begin_finish(now_ns, room, &mut sink),
            // Values were taken before.
            Content::Rest { .. } | Content::Value(_) | Content::Control(_) | Content::Refused(_) => {
                decoder.go_on(room, &mut sink)
            }
        };
        self.made.out.bytes += step.bytes;
        step.is_last
    }

    /// Takes what no decoder is needed for.
    pub(super) fn made_of(&mut self, position: &mut Position, content: Content, brought: &Brought) {
        match content {
            Content::Value(made) => self.made(position, brought, *made),
            // A kind that gives bytes requires a codec, so its definition was refused before.
            Content::Bytes(data) => self.made(position, brought, Value::from(data).into()),
            Content::Control(record) => self.told(position, *record),
            Content::Refused(refusal) => {
                let Refusal { cause, more: [one, other] } = *refusal;
                let weight = weight(&one.1) + weight(&other.1);
                let pull = Value::from(self.pull.number);
                self.failed(position, brought, &cause, [("pull_id", pull), one, other]);
                self.made.err.bytes += weight;
            }
            Content::End | Content::Rest { .. } => {}
        }
    }

    /// Gives receipts to the events behind number `from` on `out` and on `err`, if there are any.
    pub(super) fn add_receipts(
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

    pub(super) fn decoded(
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
                self.undecoded += 1;
                let pull = Value::from(self.pull.number);
                self.failed(stream, brought, &error.to_string(), [("pull_id", pull)]);
            }
        }
    }

    pub(super) fn made(&mut self, stream: &mut Position, brought: &Brought, made: Made) {
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
    pub(super) fn failed<const N: usize>(
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
    pub(super) fn told(&mut self, stream: &mut Position, record: Value) {
        let mut event = self.event(stream, &Brought::default(), Payload::from(record), self.pull.now_ns);
        if let Some(receipt) = event.receipt.take() {
            receipt.settle(Outcome::Discarded);
        }
        self.made.control = Some(Box::new(event));
    }

    pub(super) fn event(
        &self,
        stream: &mut Position,
        brought: &Brought,
        payload: Payload,
        ingest_ns: u64,
    ) -> Event {
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
