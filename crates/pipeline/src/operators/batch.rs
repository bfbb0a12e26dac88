//! `generic::batch`

use super::{ConfigUse, Emitter, Environment, Field, Operator, Spec, settings::all};
use std::sync::Arc;
use tremor_event::{Event, EventId, IdGenerator, Receipt};
use tremor_value::{Meta, Payload, Record, Value};

pub(super) const SPEC: Spec = Spec {
    name: "generic::batch",
    summary: "Collects events into one batch event, which connectors write element by element.",
    config: ConfigUse::Needed,
    fields: &[
        Field { name: "count", kind: "integer", default: "", text: "Events in a batch." },
        Field {
            name: "timeout",
            kind: "integer",
            default: "none",
            text: "Nanoseconds after its first event when a batch is complete although it is not full. It leaves with the \
                   first event or tick behind that; ticks come every 100 ms.",
        },
    ],
    meta: &[],
    ports: &[(
        "out",
        "the batch: a list of `{\"data\": {\"value\": ..., \"meta\": ..., \"ingest_ns\": ..., \"kind\": null, \"is_batch\": false}}`, \
         with the ingest time of its first event and no metadata. When the flow drains, what is held leaves as a shorter batch.",
    )],
    named_ports: None,
    example: "define operator hundred from generic::batch with count = 100, timeout = 1000000000 end;
create operator hundred;
select event from in into hundred;
select event from hundred into out;",
    renamed: None,
    prepare: |settings| {
        let (count, timeout_ns, ()) =
            all(settings.positive("count"), settings.optional_ns("timeout"), Ok(()))?;
        Ok(Box::new(move |around| Box::new(Batch::new(count, timeout_ns, around))))
    },
};

struct Batch {
    count: usize,
    timeout_ns: Option<u64>,
    ids: Arc<IdGenerator>,
    /// First part of the ids of batches.
    id: u64,
    next_event: u64,
    held: Vec<Event>,
    /// What the held events stand for.
    bytes: usize,
}

impl Batch {
    fn new(count: usize, timeout_ns: Option<u64>, around: &Environment) -> Self {
        Self {
            count,
            timeout_ns,
            ids: around.ids.clone(),
            id: around.ids.next_id(),
            next_event: 0,
            held: Vec::new(),
            bytes: 0,
        }
    }

    fn is_late(&self, now_ns: u64) -> bool {
        let (Some(first), Some(timeout_ns)) = (self.held.first(), self.timeout_ns) else { return false };
        now_ns.saturating_sub(first.ingest_ns) > timeout_ns
    }

    /// Everything that is held leaves as one event.
    fn emit(&mut self, out: &mut Emitter<'_>) {
        let held = std::mem::take(&mut self.held);
        let Some(ingest_ns) = held.first().map(|first| first.ingest_ns) else { return };
        let mut id = EventId::new(self.id, 0, self.next_event, 0);
        self.next_event = self.next_event.saturating_add(1);
        let mut receipts: Vec<Receipt> = Vec::new();
        let mut members: Vec<Value> = Vec::with_capacity(held.len());
        for mut event in held {
            id.track(&event.id);
            receipts.extend(event.receipt.take());
            members.push(member(event));
        }
        let batch = Event {
            id,
            payload: Payload::from(Value::from(members)),
            meta: Meta::record(),
            ingest_ns,
            origin: None,
            is_batch: true,
            receipt: Receipt::join(receipts),
        };
        out.emit_sized("out", batch, std::mem::take(&mut self.bytes));
    }
}

/// An event as an element of a batch (`spec/runtime.md` 6.3).
fn member(event: Event) -> Value {
    let data: Record = [
        ("value", event.payload.into_value()),
        ("meta", event.meta.into_value()),
        ("ingest_ns", Value::from(event.ingest_ns)),
        ("kind", Value::Null),
        ("is_batch", Value::from(event.is_batch)),
    ]
    .into_iter()
    .collect();
    Value::from(Record::from_iter([("data", Value::from(data))]))
}

impl Operator for Batch {
    fn event(&mut self, mut event: Event, out: &mut Emitter<'_>) {
        let is_last = self.is_late(event.ingest_ns);
        // A document would keep the whole buffer alive that it was read from, and here events of many buffers wait.
        event.payload = std::mem::take(&mut event.payload).into_value().into();
        self.bytes = self.bytes.saturating_add(out.share());
        self.held.push(event);
        if is_last || self.held.len() >= self.count {
            self.emit(out);
        }
    }

    fn tick(&mut self, now_ns: u64, out: &mut Emitter<'_>) {
        if self.is_late(now_ns) {
            self.emit(out);
        }
    }

    fn drain(&mut self, out: &mut Emitter<'_>) {
        self.emit(out);
    }

    fn renewed(&self) -> Box<dyn Operator> {
        // A new id: how far the numbers of the old one went may not be known.
        let (ids, id) = (self.ids.clone(), self.ids.next_id());
        let Self { count, timeout_ns, .. } = *self;
        Box::new(Self { count, timeout_ns, ids, id, next_event: 0, held: Vec::new(), bytes: 0 })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tremor_value::{Bytes, json::Parser};

    use crate::operators::testing::{Bench, Heard, at, event};

    const ELEMENT: &str = r#""ingest_ns":7,"kind":null,"is_batch":false}}"#;

    #[test]
    fn a_full_batch_leaves_at_once_and_tracks_its_members() {
        let mut bench = Bench::new("generic::batch", Some(r#"{"count": 2}"#));
        bench.event(event("1"));
        bench.tick(1 << 60);
        assert!(bench.left().is_empty(), "without timeout it waits for ever");
        bench.event(event("2"));
        let (port, batch) = bench.take().remove(0);
        assert_eq!((port.as_str(), batch.is_batch, batch.ingest_ns), ("out", true, 7));
        let one = format!(r#"{{"data":{{"value":1,"meta":{{}},{ELEMENT}"#);
        let two = format!(r#"{{"data":{{"value":2,"meta":{{}},{ELEMENT}"#);
        assert_eq!(batch.payload.value().to_string(), format!("[{one},{two}]"));
        assert_eq!(batch.meta.to_string(), "{}");
        let tracked: Vec<u64> = batch.id.tracked().map(|tracked| tracked.source).collect();
        assert_eq!(tracked, [1, batch.id.source]);
    }

    #[test]
    fn a_batch_is_complete_when_an_event_or_a_tick_comes_late() {
        let mut bench = Bench::new("generic::batch", Some(r#"{"count": 10, "timeout": 100}"#));
        bench.event(at("1", 1000));
        bench.event(at("2", 1100));
        assert!(bench.left().is_empty(), "not later than the timeout");
        bench.event(at("3", 1101));
        assert_eq!(bench.take().remove(0).1.elements().count(), 3, "the late event belongs to it");
        bench.event(at("4", 2000));
        bench.tick(2100);
        assert!(bench.left().is_empty());
        bench.tick(2101);
        assert_eq!(bench.take().remove(0).1.elements().count(), 1);
        bench.tick(9999);
        assert!(bench.left().is_empty(), "an empty batch is none");
    }

    #[test]
    fn what_is_held_leaves_when_the_flow_drains() {
        let mut bench = Bench::new("generic::batch", Some(r#"{"count": 10}"#));
        bench.event(event("1"));
        bench.drain();
        assert_eq!(bench.take().remove(0).1.elements().count(), 1);
        bench.drain();
        assert!(bench.left().is_empty());
    }

    #[test]
    fn what_is_held_does_not_keep_the_buffer_that_it_came_in() {
        struct Buffer(Arc<Vec<u8>>);
        impl AsRef<[u8]> for Buffer {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        let buffer = Arc::new(br#"{"text": "a string that is longer than what fits in place"}"#.to_vec());
        let document = Bytes::from_owner(Buffer(buffer.clone()));
        let mut held = event("0");
        held.payload = Parser::new().document(document).unwrap();
        assert_eq!(Arc::strong_count(&buffer), 2);
        let mut bench = Bench::new("generic::batch", Some(r#"{"count": 10}"#));
        bench.event(held);
        assert_eq!(Arc::strong_count(&buffer), 1);
    }

    #[test]
    fn members_share_the_fate_of_their_batch() {
        let heard = Heard::default();
        let mut bench = Bench::new("generic::batch", Some(r#"{"count": 3}"#));
        for event in heard.events(3) {
            bench.event(event);
        }
        assert!(heard.take().is_empty());
        bench.take().remove(0).1.settle(tremor_event::Outcome::Discarded);
        assert_eq!(heard.take(), ["0-2 Discarded"]);
        // What is lost is failed.
        bench.event(heard.events(1).remove(0));
        drop(bench);
        assert_eq!(heard.take(), ["0-0 Failed"]);
    }

    #[test]
    fn members_that_are_batches_stay_what_they_are() {
        let mut bench = Bench::new("generic::batch", Some(r#"{"count": 1}"#));
        bench.event(event("1"));
        let inner = bench.take().remove(0).1;
        bench.event(inner);
        let outer = bench.take().remove(0).1;
        let texts: Vec<String> = outer.elements().map(|element| element.value().to_string()).collect();
        assert_eq!(texts, [format!(r#"[{{"data":{{"value":1,"meta":{{}},{ELEMENT}]"#)]);
        assert!(outer.payload.value().to_string().ends_with(r#""is_batch":true}}]"#));
    }
}
