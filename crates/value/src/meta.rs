//! What scripts call `$`.

use crate::{Record, Value};
use std::sync::OnceLock;

/// The metadata of an event: a record, or null as long as there is none.
///
/// What is the same for all events of a stream is one record that they share (the *base*). What is told of a single
/// message ([`AboutMessage`]) stands beside it and becomes part of the record only when somebody asks for the whole. So it
/// costs nothing where nobody does. Which of the two it is can only be seen by what things cost.
///
/// Cloning shares.
#[derive(Clone, Default)]
pub struct Meta {
    base: Value,
    aside: Option<Aside>,
}

/// What is told of one message of a connection (`spec/websocket.md` 15). Every event of such a connection has one, so it is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AboutMessage {
    /// Where in the metadata it belongs.
    pub under: Under,
    /// `seq`: the number of the message on its connection, from 1.
    pub seq: u64,
    /// `size`: its bytes, unpacked.
    pub size: u64,
    /// `frames`: how many fragments it came in, at least 1.
    pub frames: u32,
    /// `compressed`: it came packed.
    pub compressed: bool,
}

/// The member of the metadata in which a message is told of: the kind of its connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// `ws_server`
    WsServer,
    /// `ws_client`
    WsClient,
}

impl Under {
    /// Its key.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::WsServer => "ws_server",
            Self::WsClient => "ws_client",
        }
    }
}

#[derive(Clone)]
struct Aside {
    about: AboutMessage,
    /// The whole record, once somebody has asked for it. In a box, since events are moved more often than that happens.
    whole: OnceLock<Box<Value>>,
}

impl AboutMessage {
    /// What it says under this name.
    fn member(&self, name: &str) -> Option<Value> {
        match name {
            "seq" => Some(self.seq.into()),
            "size" => Some(self.size.into()),
            "frames" => Some(u64::from(self.frames).into()),
            "compressed" => Some(self.compressed.into()),
            _ => None,
        }
    }

    /// `whole` with what is told here.
    #[cold]
    fn added_to(&self, mut whole: Value) -> Value {
        let of_kind = whole.as_record_mut().and_then(|record| record.get_mut(self.under.key()));
        if let Some(of_kind) = of_kind.and_then(Value::as_record_mut) {
            of_kind.insert("seq", self.seq);
            of_kind.insert("size", self.size);
            of_kind.insert("frames", u64::from(self.frames));
            of_kind.insert("compressed", self.compressed);
        }
        whole
    }
}

impl Meta {
    /// No metadata yet: what scripts would find there is null.
    pub const NULL: Self = Self { base: Value::Null, aside: None };

    /// An empty record.
    #[must_use]
    pub fn record() -> Self {
        Value::record().into()
    }

    /// `base` with what is told of one message; of no use if `base` has no record where that belongs.
    #[must_use]
    #[inline]
    pub fn with_message(base: Value, about: AboutMessage) -> Self {
        Self { base, aside: Some(Aside { about, whole: OnceLock::new() }) }
    }

    /// The whole as a value. It is built once, and kept.
    #[must_use]
    #[inline]
    pub fn value(&self) -> &Value {
        match &self.aside {
            None => &self.base,
            Some(aside) => aside.whole(&self.base),
        }
    }

    /// The whole as a value that may be changed.
    pub fn value_mut(&mut self) -> &mut Value {
        if let Some(aside) = self.aside.take() {
            self.base = aside.into_whole(std::mem::take(&mut self.base));
        }
        &mut self.base
    }

    /// Gives up the metadata for their value.
    #[must_use]
    pub fn into_value(mut self) -> Value {
        std::mem::take(self.value_mut())
    }

    /// Gives them up for the record and what stands beside it.
    #[must_use]
    pub fn into_parts(self) -> (Value, Option<AboutMessage>) {
        (self.base, self.aside.map(|aside| aside.about))
    }

    /// The record without what is told of the message: right for whoever looks for other members than those of
    /// [`AboutMessage`]. Never builds anything.
    #[must_use]
    #[inline]
    pub fn base(&self) -> &Value {
        &self.base
    }

    /// The member in which something stands beside the [`Meta::base`], if anything does.
    #[must_use]
    #[inline]
    pub fn told_under(&self) -> Option<&'static str> {
        self.aside.as_ref().map(|aside| aside.about.under.key())
    }

    /// What stands beside the [`Meta::base`] as `name` in member [`Meta::told_under`]. Never builds anything.
    #[must_use]
    pub fn told(&self, name: &str) -> Option<Value> {
        let aside = self.aside.as_ref()?;
        let told = aside.about.member(name)?;
        self.base.get(aside.about.under.key())?.as_record().map(|_has_place| told)
    }

    /// `true` if [`Meta::value`] costs nothing.
    #[must_use]
    pub fn is_built(&self) -> bool {
        self.aside.as_ref().is_none_or(|aside| aside.whole.get().is_some())
    }

    /// A record in which member `key` is what it is in the whole. Builds that only if the member takes part in it.
    #[must_use]
    pub fn record_with(&self, key: &str) -> &Value {
        match &self.aside {
            Some(aside) if aside.about.under.key() == key => aside.whole(&self.base),
            _ => &self.base,
        }
    }

    /// As [`Meta::record_with`], for changing that member and no other.
    pub fn record_with_mut(&mut self, key: &str) -> &mut Value {
        match &self.aside {
            // A whole that was built would not hear of the change.
            Some(aside) if aside.about.under.key() == key || aside.whole.get().is_some() => self.value_mut(),
            _ => &mut self.base,
        }
    }

    /// Member `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.record_with(key).get(key)
    }

    /// Member `key` for writing; made as null, in the last place, if it is not there. `None` if this is no record.
    pub fn member_or_null(&mut self, key: &str) -> Option<&mut Value> {
        Some(self.record_with_mut(key).as_record_mut()?.get_or_insert_null(key))
    }

    /// Sets all `members`; nothing is done if this is no record.
    pub fn extend(&mut self, members: &Record) {
        for (key, value) in members.iter() {
            if let Some(member) = self.member_or_null(key) {
                *member = value.clone();
            }
        }
    }
}

impl Aside {
    fn whole(&self, base: &Value) -> &Value {
        self.whole.get_or_init(|| Box::new(self.about.added_to(base.clone())))
    }

    fn into_whole(self, base: Value) -> Value {
        self.whole.into_inner().map_or_else(|| self.about.added_to(base), |whole| *whole)
    }
}

/// The metadata of something that is encoded: of an event, or of a member of a batch event.
#[derive(Clone, Copy, Debug)]
pub enum MetaRef<'a> {
    /// Of an event.
    Event(&'a Meta),
    /// Of a member of a batch event.
    Member(&'a Value),
}

impl<'a> MetaRef<'a> {
    /// As [`Meta::value`].
    #[must_use]
    pub fn value(self) -> &'a Value {
        match self {
            Self::Event(meta) => meta.value(),
            Self::Member(value) => value,
        }
    }

    /// The same as metadata of their own.
    #[must_use]
    pub fn to_meta(self) -> Meta {
        match self {
            Self::Event(meta) => meta.clone(),
            Self::Member(value) => value.clone().into(),
        }
    }

    /// As [`Meta::get`].
    #[must_use]
    pub fn get(self, key: &str) -> Option<&'a Value> {
        match self {
            Self::Event(meta) => meta.get(key),
            Self::Member(value) => value.get(key),
        }
    }

    /// As [`Meta::base`].
    #[must_use]
    #[inline]
    pub fn base(self) -> &'a Value {
        match self {
            Self::Event(meta) => meta.base(),
            Self::Member(value) => value,
        }
    }
}

impl<'a> From<&'a Meta> for MetaRef<'a> {
    fn from(meta: &'a Meta) -> Self {
        Self::Event(meta)
    }
}

impl<'a> From<&'a Value> for MetaRef<'a> {
    fn from(value: &'a Value) -> Self {
        Self::Member(value)
    }
}

impl From<Value> for Meta {
    fn from(base: Value) -> Self {
        Self { base, aside: None }
    }
}

impl From<Record> for Meta {
    fn from(base: Record) -> Self {
        Value::from(base).into()
    }
}

impl PartialEq for Meta {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl PartialEq<Value> for Meta {
    fn eq(&self, other: &Value) -> bool {
        self.value() == other
    }
}

impl std::fmt::Debug for Meta {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value().fmt(formatter)
    }
}

impl std::fmt::Display for Meta {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: AboutMessage =
        AboutMessage { under: Under::WsServer, seq: 1, size: 20, frames: 3, compressed: false };
    const WHOLE: &str =
        r#"{"ws_server":{"path":"/","seq":1,"size":20,"frames":3,"compressed":false},"other":{"a":1}}"#;

    fn base() -> Value {
        Value::from_json_str(r#"{"ws_server":{"path":"/"},"other":{"a":1}}"#).unwrap()
    }

    fn meta() -> Meta {
        Meta::with_message(base(), ABOUT)
    }

    #[test]
    fn the_whole_has_what_is_told_of_the_message_and_the_base_has_not() {
        assert_eq!(meta().to_string(), WHOLE);
        assert_eq!(meta().into_value().to_string(), WHOLE);
        let meta = meta();
        assert_eq!(meta.get("other").map(Value::to_string), Some(r#"{"a":1}"#.to_owned()));
        assert!(!meta.is_built(), "another member needs no whole");
        assert_eq!(
            meta.get("ws_server").and_then(|of_kind| of_kind.get("frames")),
            Some(&Value::from(3_u64))
        );
        assert!(meta.is_built());
        assert_eq!(*meta.base(), base());
    }

    #[test]
    fn changes_are_part_of_the_whole_whichever_comes_first() {
        let changed = WHOLE.replace("{\"a\":1}", "2");
        let set = |meta: &mut Meta| *meta.member_or_null("other").unwrap() = Value::from(2_u64);
        let mut before = meta();
        set(&mut before);
        assert!(before.told_under().is_some(), "what is told of the message is left where it is");
        assert_eq!(before.to_string(), changed);
        let mut behind = meta();
        assert_eq!(behind.to_string(), WHOLE);
        set(&mut behind);
        assert_eq!(behind.to_string(), changed);
        let mut of_kind = meta();
        let kind = of_kind.member_or_null("ws_server").and_then(Value::as_record_mut).unwrap();
        assert_eq!(kind.remove("seq"), Some(Value::from(1_u64)));
        assert_eq!(of_kind.to_string(), WHOLE.replace("\"seq\":1,", ""));
        assert!(of_kind.told_under().is_none());
    }

    #[test]
    fn of_a_message_that_has_no_place_nothing_is_told() {
        for base in ["{}", r#"{"ws_server":1}"#, "null"] {
            let meta = Meta::with_message(Value::from_json_str(base).unwrap(), ABOUT);
            assert_eq!((meta.to_string(), meta.told("seq")), (base.to_owned(), None));
        }
    }

    #[test]
    fn members_are_set_and_nothing_is_made_of_what_is_no_record() {
        let mut meta = meta();
        meta.extend(&Record::from_iter([("other", 3_u64), ("third", 4)]));
        assert_eq!(meta.to_string(), WHOLE.replace("{\"a\":1}", "3,\"third\":4"));
        let mut null = Meta::NULL;
        assert!(null.member_or_null("a").is_none());
        null.extend(&Record::from_iter([("a", 1_u64)]));
        assert_eq!(null, Value::Null);
    }

    #[test]
    fn events_are_moved_often_so_metadata_are_small() {
        assert!(size_of::<Meta>() <= 64, "{}", size_of::<Meta>());
    }
}
