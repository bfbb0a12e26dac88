//! Looking at what a connection brings.

use super::{
    catalog::{Current, Entry, Key, Missing, Wanted},
    contract, in_words,
    settings::{IdFrom, OnInvalidIn, Plan},
};
use crate::ws::metrics::Link;
use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tremor_codec::model::{Invalid, Violation};
use tremor_connector::Refusal;
use tremor_value::Value;

/// How often it is looked whether a schema has come.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The longer it takes the rarer it is looked: after this part of the time that it has taken so far.
const LOOK_AFTER_PART: u32 = 8;

/// Gives what of a message goes another way, if anything does.
pub(in crate::ws) type Aside = Box<dyn Fn(&[u8]) -> Option<Value> + Send>;

/// Checks the messages of one connection.
pub(in crate::ws) struct Incoming {
    plan: Arc<Plan>,
    /// The schema that the configuration names.
    entry: Option<Arc<Entry>>,
    /// The kind of the connector, under which metadata are.
    kind: &'static str,
    /// The schema that the last message named.
    last: Option<(u64, Arc<Entry>)>,
    waiting: Option<Waiting>,
    /// What was read and waits for a schema.
    held: VecDeque<tremor_ws::Incoming>,
    /// Metadata of messages of a schema: its id, whether they are binary, the metadata.
    known_meta: Option<(u64, bool, Value)>,
    link: Option<Arc<Link>>,
    /// Messages that are not handed on, and their bytes.
    left_out: (u64, u64),
    /// Finds what of a message goes another way, whatever it looks like.
    aside: Option<Aside>,
    /// How the peer broke the protocol behind what waits.
    pub(in crate::ws) broke: Option<tremor_ws::ProtocolError>,
}

/// A schema that is on its way.
struct Waiting {
    id: u64,
    task: JoinHandle<Result<Arc<Entry>, Missing>>,
    since: Instant,
    /// `None` once it has been seen that it is there, or will never be.
    look_at: Option<Instant>,
}

impl Waiting {
    /// It was looked whether it has come.
    fn looked(&mut self, now: Instant) {
        let next = || now + LOOK_EVERY.max(now.saturating_duration_since(self.since) / LOOK_AFTER_PART);
        self.look_at = (!self.task.is_finished()).then(next);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What becomes of a message.
pub(in crate::ws) enum Look {
    /// It is taken, perhaps as something else, and with metadata of its own.
    Taken(Option<Bytes>, Option<Value>),
    /// It leaves by port `err`.
    Refused(Refusal),
    /// Nobody hears of it.
    Dropped,
    /// The connection ends.
    Close { code: u16, reason: String },
    /// It waits for its schema.
    Waits,
}

impl Incoming {
    pub(super) fn new(plan: Arc<Plan>, entry: Option<Arc<Entry>>, kind: &'static str) -> Self {
        Self {
            plan,
            entry,
            kind,
            last: None,
            waiting: None,
            held: VecDeque::new(),
            known_meta: None,
            link: None,
            left_out: (0, 0),
            aside: None,
            broke: None,
        }
    }

    /// The same, where schemas are not about what `aside` finds.
    pub(in crate::ws) fn except(mut self: Box<Self>, aside: Option<Aside>) -> Box<Self> {
        self.aside = aside;
        self
    }

    /// What goes another way.
    pub(in crate::ws) fn aside(&self, payload: &[u8]) -> Option<Value> {
        self.aside.as_ref()?(payload)
    }

    /// The same, counted.
    pub(in crate::ws) fn counted(&mut self, link: Option<&Arc<Link>>) {
        self.link = link.cloned();
    }

    /// Whether it may happen that a message waits.
    pub(in crate::ws) fn may_wait(&self) -> bool {
        self.plan.id_from != IdFrom::None
    }

    /// Looks at a message; `meta` is that of the connection's messages, and so is `binary` of this one.
    pub(in crate::ws) fn look(&mut self, payload: &Bytes, meta: &Value, binary: bool) -> Look {
        let (named, body) = match self.named(payload, meta) {
            Ok(named) => named,
            Err(violation) => return self.refuse(&Value::Null, vec![violation], payload),
        };
        let current = match self.current(named) {
            Ok(Some(current)) => current,
            Ok(None) => return Look::Waits,
            Err(violation) => {
                let id = named.map_or(Value::Null, Value::from);
                return self.refuse(&id, vec![violation], payload);
            }
        };
        match current.model.incoming(&body) {
            Ok(instead) => {
                let instead =
                    instead.map(Bytes::from).or_else(|| (body.len() != payload.len()).then_some(body));
                let id = current.id.filter(|_| self.may_wait());
                Look::Taken(instead, id.map(|id| self.meta(id, binary, meta)))
            }
            Err(Invalid { violations, value }) => self.refused(&current.shown, &violations, value),
        }
    }

    /// The id that a message names, and what is behind it.
    fn named(&self, payload: &Bytes, meta: &Value) -> Result<(Option<u64>, Bytes), Violation> {
        match self.plan.id_from {
            IdFrom::None => Ok((None, payload.clone())),
            IdFrom::Prefix(width) => {
                let wrong = || {
                    let message = format!("it does not begin with a zero byte and an id of {width} bytes");
                    Violation::new("", "id", message)
                };
                let prefix = payload.get(..=width).ok_or_else(wrong)?;
                let (zero, id) = prefix.split_first().ok_or_else(wrong)?;
                if *zero != 0 {
                    return Err(wrong());
                }
                let id = id.iter().fold(0_u64, |id, byte| id << 8 | u64::from(*byte));
                if let Some(entry) = self.entry.as_ref().filter(|entry| !entry.had_id(id)) {
                    // It may have become that of the subject just now.
                    let is_now = entry.current(self.plan.catalog_or_none()?).id == Some(id);
                    if !is_now {
                        let message = format!("schema {id} is not the one that is expected here");
                        return Err(Violation::new("", "id", message));
                    }
                }
                Ok((Some(id), payload.slice(width + 1..)))
            }
            IdFrom::Metadata => {
                let of_kind = meta.get(self.kind);
                let places = ["tags", "params", "query"].into_iter();
                let mut found = places.filter_map(|place| of_kind?.get(place)?.get("schema"));
                let Some(found) = found.next() else {
                    return match self.entry {
                        Some(_) => Ok((None, payload.clone())),
                        None => Err(Violation::new("", "id", "nothing says which schema it has")),
                    };
                };
                let id = found.as_u64().or_else(|| found.as_str()?.parse().ok());
                let id =
                    id.ok_or_else(|| Violation::new("", "id", "what should be the id of a schema is none"))?;
                Ok((Some(id), payload.clone()))
            }
        }
    }

    /// The schema of a message; `None` if it has to be waited for.
    fn current(&mut self, named: Option<u64>) -> Result<Option<Arc<Current>>, Violation> {
        if let Some(fixed) = &self.plan.fixed {
            return Ok(Some(fixed.clone()));
        }
        let catalog = self.plan.catalog_or_none()?.clone();
        let Some(id) = named else {
            let entry =
                self.entry.as_ref().ok_or_else(|| Violation::new("", "schema", "there is no schema"))?;
            return Ok(Some(entry.current(&catalog)));
        };
        if let Some((_, entry)) = self.last.as_ref().filter(|(known, _)| *known == id) {
            return Ok(Some(entry.current(&catalog)));
        }
        // What was waited for may not be wanted any more.
        let ended = self.waiting.take_if(|waiting| waiting.task.is_finished());
        let ended = ended.filter(|waiting| waiting.id == id);
        let known = match ended {
            // The task has ended, so this does not wait.
            Some(mut ended) => match futures_util::FutureExt::now_or_never(&mut ended.task) {
                Some(Ok(known)) => Some(known),
                _ => Some(Err(Missing::failed("it could not be fetched"))),
            },
            None => catalog.known(&self.plan.of_id(id)),
        };
        match known {
            Some(Ok(entry)) => {
                let current = entry.current(&catalog);
                self.last = Some((id, entry));
                Ok(Some(current))
            }
            Some(Err(missing)) => Err(Violation::new("", "schema", missing.cause)),
            None => {
                if self.waiting.is_none() {
                    let wanted: Wanted = self.plan.of_id(id);
                    debug_assert!(matches!(wanted.key, Key::Id(_)), "only ids are waited for");
                    let task = tokio::spawn(async move { catalog.get(&wanted).await });
                    let since = Instant::now();
                    self.waiting = Some(Waiting { id, task, since, look_at: Some(since + LOOK_EVERY) });
                }
                Ok(None)
            }
        }
    }

    /// The metadata of messages of a schema.
    fn meta(&mut self, id: u64, binary: bool, meta: &Value) -> Value {
        if let Some((_, _, known)) =
            self.known_meta.as_ref().filter(|(of, is_binary, _)| *of == id && *is_binary == binary)
        {
            return known.clone();
        }
        let mut of_connection = meta.get(self.kind).cloned().unwrap_or_else(Value::record);
        if let Some(of_connection) = of_connection.as_record_mut() {
            of_connection.insert("schema", id);
            if binary {
                of_connection.insert("binary", true);
            }
        }
        let mut members = tremor_value::Record::from_iter([(self.kind, of_connection)]);
        if binary {
            members.insert("binary", true);
        }
        let made = Value::from(members);
        self.known_meta = Some((id, binary, made.clone()));
        made
    }

    /// The metadata of the connection have changed.
    pub(in crate::ws) fn forget_meta(&mut self) {
        self.known_meta = None;
    }

    fn refuse(&self, schema: &Value, violations: Vec<Violation>, payload: &Bytes) -> Look {
        let value = match std::str::from_utf8(payload) {
            Ok(text) => Value::from(text),
            Err(_) => Value::from(payload.clone()),
        };
        self.refused(schema, &violations, value)
    }

    fn refused(&self, schema: &Value, violations: &[Violation], event: Value) -> Look {
        if let Some(link) = &self.link {
            link.violated();
        }
        match self.plan.on_invalid_in {
            OnInvalidIn::Drop => Look::Dropped,
            OnInvalidIn::Close(code) => Look::Close { code, reason: in_words(schema, violations) },
            OnInvalidIn::Err => Look::Refused(Refusal {
                cause: in_words(schema, violations),
                more: [("contract", contract("in", schema, violations)), ("event", event)],
            }),
        }
    }

    /// A message is not handed on.
    pub(in crate::ws) fn leave_out(&mut self, payload: &Bytes) {
        self.left_out.0 += 1;
        self.left_out.1 += payload.len() as u64;
    }

    /// Messages that were not handed on, and their bytes.
    pub(in crate::ws) fn left_out(&self) -> (u64, u64) {
        self.left_out
    }

    /// Keeps what has to wait.
    pub(in crate::ws) fn hold(&mut self, items: impl Iterator<Item = tremor_ws::Incoming>) {
        self.held.extend(items);
    }

    /// What had to wait, in order.
    pub(in crate::ws) fn take_held(&mut self) -> VecDeque<tremor_ws::Incoming> {
        std::mem::take(&mut self.held)
    }

    /// Whether something waits.
    pub(in crate::ws) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether what waits has to wait on.
    pub(in crate::ws) fn is_waiting(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| !waiting.task.is_finished())
    }

    /// When to look whether it still has to.
    pub(in crate::ws) fn deadline(&self) -> Option<Instant> {
        self.waiting.as_ref().filter(|_| self.holds()).and_then(|waiting| waiting.look_at)
    }

    /// It was looked.
    pub(in crate::ws) fn on_time(&mut self, now: Instant) {
        self.waiting.iter_mut().for_each(|waiting| waiting.looked(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future;

    #[tokio::test]
    async fn it_is_looked_for_a_schema_ever_more_rarely_and_no_more_when_it_has_come() {
        let since = Instant::now();
        let waiting = |task| Waiting { id: 1, task, since, look_at: Some(since) };
        let mut late = waiting(tokio::spawn(future::pending()));
        for (ms, next_ms) in [(0, 2), (4, 6), (8000, 9000)] {
            late.looked(since + Duration::from_millis(ms));
            assert_eq!(late.look_at, Some(since + Duration::from_millis(next_ms)));
        }
        let mut there = waiting(tokio::spawn(async { Err(Missing::failed("gone")) }));
        while !there.task.is_finished() {
            tokio::task::yield_now().await;
        }
        there.looked(since);
        assert_eq!(there.look_at, None);
    }
}
