//! Records: named members in insertion order.

use std::collections::HashMap;

use crate::{Str, Value, teardown};

/// Named members in insertion order; keys are unique.
///
/// Small records are a plain list. Beyond 32 members a hash index (with random keys, so that nobody outside
/// can choose colliding names) keeps every access at constant cost. Equality ignores the order.
///
/// Dropping a record never overflows the stack, however deep its members are nested.
#[derive(Clone, Debug, Default)]
pub struct Record {
    members: Vec<(Str, Value)>,
    /// Position of every key; there only above [`Record::LINEAR_MAX`] members.
    #[expect(clippy::box_collection, reason = "nearly all records have none, and a box keeps those small")]
    index: Option<Box<HashMap<Str, usize>>>,
}

impl Record {
    /// Up to this many members a record is searched from the front; larger ones get an index.
    pub(crate) const LINEAR_MAX: usize = 32;

    /// A record of members that the caller knows to have different keys.
    #[inline]
    pub(crate) fn from_unique(members: Vec<(Str, Value)>) -> Self {
        let mut record = Self { members, index: None };
        if record.members.len() > Self::LINEAR_MAX {
            record.index_all();
        }
        record
    }

    /// A record of members of which some may have the same key: the last value counts, in the place of the first.
    pub(crate) fn from_any(mut members: Vec<(Str, Value)>) -> Self {
        // Those that stay move to the front, so that there is never a second list.
        let mut index: HashMap<Str, usize> = HashMap::new();
        let mut kept = 0;
        for at in 0..members.len() {
            let Some(key) = members.get(at).map(|(key, _)| key.clone()) else { break };
            let first = match members.get(..kept) {
                Some(few) if kept <= Self::LINEAR_MAX => position_in(few, &key),
                _ => index.get(&key).copied(),
            };
            match first {
                Some(first) => {
                    let value = members.get_mut(at).map(|(_, value)| std::mem::take(value));
                    if let (Some((_, slot)), Some(value)) = (members.get_mut(first), value) {
                        *slot = value;
                    }
                }
                None => {
                    members.swap(kept, at);
                    kept += 1;
                    if kept == Self::LINEAR_MAX + 1 {
                        let few = members.iter().take(kept).zip(0..);
                        index.extend(few.map(|((key, _), at)| (key.clone(), at)));
                    } else if kept > Self::LINEAR_MAX {
                        index.insert(key, kept - 1);
                    }
                }
            }
        }
        members.truncate(kept);
        Self { members, index: (kept > Self::LINEAR_MAX).then(|| Box::new(index)) }
    }

    /// An empty record with room for `capacity` members.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { members: Vec::with_capacity(capacity), index: None }
    }

    /// Gives back room for members that it does not have: for records that are kept for long, in large numbers.
    pub fn shrink_to_fit(&mut self) {
        self.members.shrink_to_fit();
    }

    /// Number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// `true` without members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Member `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        let position = self.position(key)?;
        self.members.get(position).map(|(_, value)| value)
    }

    /// Member `key`, for writing.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        let position = self.position(key)?;
        self.members.get_mut(position).map(|(_, value)| value)
    }

    /// Member `key`, for writing; made as null, in the last place, if it is not there.
    pub fn get_or_insert_null(&mut self, key: &str) -> &mut Value {
        let position = self.position(key).unwrap_or_else(|| {
            self.push_new(key.into(), Value::Null);
            self.members.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position was found or made in this function")]
        &mut self.members[position].1
    }

    /// `true` if there is a member `key`.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    /// Sets member `key` and returns what it held before; a new key goes last, a known one keeps its place.
    pub fn insert(&mut self, key: impl Into<Str>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        if let Some(slot) = self.get_mut(&key) {
            return Some(std::mem::replace(slot, value));
        }
        self.push_new(key, value);
        None
    }

    /// Removes member `key`; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let position = self.position(key)?;
        let (_, value) = self.members.remove(position);
        if let Some(index) = &mut self.index {
            index.remove(key);
            for later in index.values_mut().filter(|later| **later > position) {
                *later -= 1;
            }
        }
        Some(value)
    }

    /// Members in insertion order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Str, &Value)> + DoubleEndedIterator + Clone {
        self.members.iter().map(pair)
    }

    /// Members in insertion order, the values for writing.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&Str, &mut Value)> {
        self.members.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Keys in insertion order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Str> {
        self.members.iter().map(|(key, _)| key)
    }

    /// Values in insertion order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.members.iter().map(|(_, value)| value)
    }

    /// Members ordered by the bytes of their keys.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&Str, &Value)> {
        let mut members: Vec<_> = self.members.iter().map(pair).collect();
        members.sort_unstable_by(|(left, _), (right, _)| left.as_bytes().cmp(right.as_bytes()));
        members
    }

    /// The members as a slice, for walking without an iterator type to name.
    pub(crate) fn members(&self) -> &[(Str, Value)] {
        &self.members
    }

    /// Takes the members out and leaves the record empty.
    pub(crate) fn take_members(&mut self) -> Vec<(Str, Value)> {
        self.index = None;
        std::mem::take(&mut self.members)
    }

    /// Adds a member that the caller knows not to be there.
    #[inline]
    pub(crate) fn push_new(&mut self, key: Str, value: Value) {
        self.members.push((key, value));
        if self.index.is_some() || self.members.len() > Self::LINEAR_MAX {
            self.index_last();
        }
    }

    /// Brings the index up to date after a member was added.
    #[cold]
    fn index_last(&mut self) {
        match (&mut self.index, self.members.last()) {
            (Some(index), Some((key, _))) => {
                index.insert(key.clone(), self.members.len() - 1);
            }
            _ => self.index_all(),
        }
    }

    #[cold]
    fn index_all(&mut self) {
        let positions = self.members.iter().enumerate().map(|(at, (key, _))| (key.clone(), at));
        self.index = Some(Box::new(positions.collect()));
    }

    fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => position_in(&self.members, key),
        }
    }
}

/// Looks for a key from the front.
#[inline(always)]
fn position_in(members: &[(Str, Value)], key: &str) -> Option<usize> {
    members.iter().position(|(name, _)| {
        #[cfg(test)]
        crate::json::work::count();
        name == key
    })
}

fn pair((key, value): &(Str, Value)) -> (&Str, &Value) {
    (key, value)
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.members.iter().any(|(_, value)| value.is_container()) {
            teardown::release_members(self.take_members());
        }
    }
}

impl<K: Into<Str>, V: Into<Value>> FromIterator<(K, V)> for Record {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        let members = members.into_iter();
        let mut record = Self::with_capacity(members.size_hint().0);
        record.extend(members);
        record
    }
}

impl<K: Into<Str>, V: Into<Value>> Extend<(K, V)> for Record {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, members: I) {
        for (key, value) in members {
            self.insert(key, value);
        }
    }
}

impl IntoIterator for Record {
    type Item = (Str, Value);
    type IntoIter = std::vec::IntoIter<(Str, Value)>;

    fn into_iter(mut self) -> Self::IntoIter {
        self.take_members().into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(count: i64) -> Record {
        (0..count).map(|number| (format!("key{number}"), number)).collect()
    }

    #[test]
    fn small_and_large_records_behave_alike() {
        for count in [0, 1, 31, 32, 33, 100] {
            let mut record = numbered(count);
            assert_eq!(record.len(), usize::try_from(count).unwrap());
            for number in 0..count {
                assert_eq!(record.get(&format!("key{number}")).and_then(Value::as_i64), Some(number));
            }
            assert!(!record.contains_key("other"));
            if count > 2 {
                assert_eq!(record.insert("key1", "new").and_then(|old| old.as_i64()), Some(1));
                assert_eq!(record.remove("key0").and_then(|old| old.as_i64()), Some(0));
                assert_eq!(record.remove("key0").map(|_| ()), None);
                assert_eq!(record.keys().next().map(Str::as_str), Some("key1"), "order is kept");
                assert_eq!(record.get("key2").and_then(Value::as_i64), Some(2), "the index follows");
                assert_eq!(record.insert("key0", 7_i64).map(|_| ()), None);
                assert_eq!(record.keys().last().map(Str::as_str), Some("key0"), "a new key goes last");
                *record.get_or_insert_null("key2") = Value::from(true);
                assert_eq!(record.get("key2").and_then(Value::as_bool), Some(true));
            }
        }
    }

    #[test]
    fn members_of_the_same_key_are_joined_in_their_own_list() {
        for (count, different) in
            [(0, 1), (1, 1), (5, 1), (40, 7), (32, 32), (33, 33), (100, 33), (100, 32), (300, 150)]
        {
            let members =
                (0..count).map(|number| (format!("key{}", number * 7 % different).into(), number.into()));
            let members: Vec<(Str, Value)> = members.collect();
            let one_by_one: Record = members.clone().into_iter().collect();
            let joined = Record::from_any(members);
            assert_eq!(joined.members().len(), one_by_one.len());
            assert!(joined.iter().eq(one_by_one.iter()), "{count} {different}");
            for (key, value) in one_by_one.iter() {
                assert_eq!(joined.get(key), Some(value));
            }
        }
    }

    #[test]
    fn a_large_record_survives_cloning_and_emptying() {
        let original = numbered(100);
        let mut copy = original.clone();
        for number in 0..100 {
            assert!(copy.remove(&format!("key{number}")).is_some());
        }
        assert!(copy.is_empty());
        assert_eq!(original.len(), 100);
        copy.insert("a", 1_i64);
        assert_eq!(copy.get("a").and_then(Value::as_i64), Some(1));
    }

    #[test]
    fn a_record_of_given_members_has_no_spare_room() {
        let mut record = Record::from_iter([("a", 1_i64)]);
        assert_eq!(record.members.capacity(), 1);
        record.insert("b", 2_i64);
        record.shrink_to_fit();
        assert_eq!((record.members.capacity(), record.len()), (2, 2));
    }
}
