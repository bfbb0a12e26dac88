//! A map that forgets what was used longest ago.

use std::collections::{BTreeMap, HashMap};

/// Holds values by name. Every use makes an entry the youngest.
#[derive(Debug)]
pub(super) struct Lru<V> {
    entries: HashMap<Box<[u8]>, (u64, V)>,
    /// Names by their last use.
    uses: BTreeMap<u64, Box<[u8]>>,
    now: u64,
}

impl<V> Default for Lru<V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), uses: BTreeMap::new(), now: 0 }
    }
}

impl<V> Lru<V> {
    /// The value of `name`.
    pub(super) fn get(&mut self, name: &[u8]) -> Option<&mut V> {
        let (used, value) = self.entries.get_mut(name)?;
        if *used != self.now {
            let name = self.uses.remove(used)?;
            self.now += 1;
            *used = self.now;
            self.uses.insert(self.now, name);
        }
        Some(value)
    }

    /// Adds a value under a `name` that is new. Forgets others before, so that there are no more than `max`, nor none.
    pub(super) fn add(&mut self, name: &[u8], value: V, max: usize) {
        while !self.entries.is_empty() && self.entries.len() >= max {
            let Some((_, oldest)) = self.uses.pop_first() else { break };
            self.entries.remove(&oldest);
        }
        self.now += 1;
        self.entries.insert(name.into(), (self.now, value));
        self.uses.insert(self.now, name.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut lru = Lru::default();
        lru.add(b"a", 1, 2);
        lru.add(b"b", 2, 2);
        assert_eq!(lru.get(b"a"), Some(&mut 1));
        assert_eq!(lru.get(b"a"), Some(&mut 1));
        lru.add(b"c", 3, 2);
        assert_eq!(lru.get(b"a"), Some(&mut 1));
        assert_eq!((lru.entries.len(), lru.uses.len()), (2, 2));
        assert_eq!(lru.get(b"b"), None);
        lru.add(b"d", 4, 0);
        assert_eq!(lru.get(b"d"), Some(&mut 4));
        assert_eq!((lru.entries.len(), lru.uses.len()), (1, 1));
    }
}
