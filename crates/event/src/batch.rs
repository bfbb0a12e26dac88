//! The unit that moves: the events that one read of one stream gave.

use crate::{Event, Outcome, settle_all};
use tremor_value::{Content, MetaRef, Value};

/// Events that move together, in order: usually what one read of one stream gave.
///
/// Not a *batch event* ([`Event::is_batch`]), which is one event with a list in it.
#[derive(Clone, Debug, Default)]
pub struct EventBatch {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Roughly the bytes that their payloads hold; most often the size of the input they came from.
    pub bytes: usize,
}

/// Roughly what an event takes whatever is in it: itself and what its payload needs on the heap.
const EVENT_BYTES: usize = size_of::<Event>() + 80;

impl EventBatch {
    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// `true` without events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Roughly the memory that it takes, in bytes; what queues are bounded by. However small events are, many of them are
    /// much.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.len().saturating_mul(EVENT_BYTES).saturating_add(self.bytes)
    }

    /// Ends the way of all events in it.
    pub fn settle(mut self, outcome: Outcome) {
        settle_all(self.events.iter_mut().filter_map(|event| event.receipt.take()), outcome);
    }
}

impl From<Event> for EventBatch {
    fn from(event: Event) -> Self {
        Self { events: vec![event], bytes: 0 }
    }
}

/// One payload or value with its metadata: what a sink encodes.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// What is encoded; the payload of an event that is no batch need not be built for it.
    pub content: Content<'a>,
    /// Its metadata, a record.
    pub meta: MetaRef<'a>,
}

impl<'a> Element<'a> {
    /// The value; a payload builds its tree for it.
    #[must_use]
    pub fn value(&self) -> &'a Value {
        self.content.value()
    }
}

/// Walks the elements of an event, see [`Event::elements`].
#[derive(Debug)]
pub struct Elements<'a> {
    single: Option<Element<'a>>,
    rest: std::slice::Iter<'a, Value>,
    outer_meta: MetaRef<'a>,
}

impl<'a> Elements<'a> {
    pub(crate) fn of(event: &'a Event) -> Self {
        let list = if event.is_batch { event.payload.value().as_array() } else { None };
        // A batch whose list was replaced by something else is an ordinary event from then on.
        let items = list.filter(|items| items.iter().all(is_element));
        let outer_meta = MetaRef::Event(&event.meta);
        match items {
            Some(items) => Self { single: None, rest: items.iter(), outer_meta },
            None => Self {
                single: Some(Element { content: Content::Payload(&event.payload), meta: outer_meta }),
                rest: [].iter(),
                outer_meta,
            },
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(single) = self.single.take() {
            return Some(single);
        }
        let data = self.rest.next()?.get("data")?;
        let content = Content::Value(data.get("value")?);
        Some(Element { content, meta: data.get("meta").map_or(self.outer_meta, MetaRef::Member) })
    }
}

fn is_element(item: &Value) -> bool {
    item.get("data").and_then(|data| data.get("value")).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventId;
    use tremor_value::{Meta, Record};

    fn event(value: Value, is_batch: bool) -> Event {
        let id = EventId::new(1, 0, 0, 0);
        Event {
            id,
            payload: value.into(),
            meta: Meta::record(),
            ingest_ns: 0,
            origin: None,
            is_batch,
            receipt: None,
        }
    }

    fn member(value: i64) -> Value {
        let data: Record = [("value", Value::from(value)), ("meta", Value::record())].into_iter().collect();
        Record::from_iter([("data", Value::from(data))]).into()
    }

    fn values(event: &Event) -> Vec<Option<i64>> {
        event.elements().map(|element| element.value().as_i64()).collect()
    }

    #[test]
    fn a_batch_event_gives_its_members_and_any_other_gives_itself() {
        let members = Value::from(vec![member(1), member(2)]);
        assert_eq!(values(&event(members.clone(), true)), [Some(1), Some(2)]);
        assert_eq!(values(&event(members, false)), [None]);
        assert_eq!(values(&event(Value::from(7_i64), true)), [Some(7)]);
    }

    #[test]
    fn a_batch_whose_list_was_replaced_is_an_ordinary_event() {
        let replaced = Value::from(vec![Value::from(1_i64)]);
        assert_eq!(event(replaced, true).elements().count(), 1);
    }
}
