//! Whose messages take how much room, of those that are for single clients.

use super::audience::Owner;
use foldhash::fast::RandomState;
use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, VecDeque},
};

/// Owners of whom nothing is kept but what is gone, at most.
pub(super) const MOST_IDLE: usize = 16_384;
/// Nothing is remembered of those with longer names who have nothing here.
const MOST_NAME_BYTES: usize = 256;

/// Messages that belong together, oldest first.
#[derive(Debug, Default)]
pub(super) struct Held {
    ids: VecDeque<u64>,
    bytes: usize,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.ids.front().copied()
    }

    pub(super) fn push(&mut self, id: u64, bytes: usize) {
        self.ids.push_back(id);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The oldest one, of so many bytes, goes.
    pub(super) fn pop(&mut self, bytes: usize) {
        self.ids.pop_front();
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.ids.capacity() > self.ids.len().saturating_mul(4).saturating_add(64) {
            self.ids.shrink_to(self.ids.len().saturating_mul(2));
        }
    }
}

/// What one owner has.
#[derive(Debug)]
struct Own {
    held: Held,
    /// The id of the last message that it did not acknowledge and that is gone.
    lost: u64,
}

impl Own {
    /// Where it stands among those who have much: by messages and by bytes. Of equals the one with the older message is
    /// before the other.
    fn ranks(&self, owner: &Owner) -> Option<[Rank; 2]> {
        let oldest = Reverse(self.held.oldest()?);
        Some([self.held.len(), self.held.bytes].map(|much| (much, oldest, owner.clone())))
    }
}

type Rank = (usize, Reverse<u64>, Owner);

/// The owners of messages.
#[derive(Debug)]
pub(super) struct Private {
    owners: HashMap<Owner, Own, RandomState>,
    /// Those who have messages, by how many.
    by_messages: BTreeSet<Rank>,
    /// The same by bytes.
    by_bytes: BTreeSet<Rank>,
    /// Those who have none, by what is gone.
    idle: BTreeSet<(u64, Owner)>,
    /// Up to here messages may be gone of owners who are not here.
    forgotten: u64,
}

impl Private {
    pub(super) fn new(first: u64) -> Self {
        Self {
            owners: HashMap::default(),
            by_messages: BTreeSet::new(),
            by_bytes: BTreeSet::new(),
            idle: BTreeSet::new(),
            forgotten: first,
        }
    }

    pub(super) fn push(&mut self, owner: &Owner, id: u64, bytes: usize) {
        self.change(owner, |own| own.held.push(id, bytes));
    }

    /// The oldest message of `owner`, of so many bytes, is its own no more.
    pub(super) fn pop(&mut self, owner: &Owner, bytes: usize) {
        self.change(owner, |own| own.held.pop(bytes));
    }

    /// A message that was for `owner` is gone.
    pub(super) fn lose(&mut self, owner: &Owner, id: u64) {
        self.change(owner, |own| own.lost = own.lost.max(id));
    }

    /// The owner that has most messages.
    pub(super) fn with_most_messages(&self) -> Option<&Owner> {
        self.by_messages.last().map(|(.., owner)| owner)
    }

    /// The owner that has most bytes.
    pub(super) fn with_most_bytes(&self) -> Option<&Owner> {
        self.by_bytes.last().map(|(.., owner)| owner)
    }

    /// The oldest message of `owner`.
    pub(super) fn oldest(&self, owner: &Owner) -> Option<u64> {
        self.owners.get(owner)?.held.oldest()
    }

    /// The id of the last message that is gone and may have been for `owner`.
    pub(super) fn lost(&self, owner: &Owner) -> u64 {
        self.owners.get(owner).map_or(self.forgotten, |own| own.lost)
    }

    fn change(&mut self, owner: &Owner, change: impl FnOnce(&mut Own)) {
        let mut own = match self.owners.remove(owner) {
            Some(own) => own,
            None => Own { held: Held::default(), lost: self.forgotten },
        };
        match own.ranks(owner) {
            Some([by_messages, by_bytes]) => {
                self.by_messages.remove(&by_messages);
                self.by_bytes.remove(&by_bytes);
            }
            None => _ = self.idle.remove(&(own.lost, owner.clone())),
        }
        change(&mut own);
        match own.ranks(owner) {
            Some([by_messages, by_bytes]) => {
                self.by_messages.insert(by_messages);
                self.by_bytes.insert(by_bytes);
            }
            None if own.lost <= self.forgotten => return,
            None if owner.name().len() > MOST_NAME_BYTES => {
                self.forgotten = own.lost;
                return;
            }
            None => {
                // It gives its memory back.
                own.held = Held::default();
                self.idle.insert((own.lost, owner.clone()));
            }
        }
        self.owners.insert(owner.clone(), own);
        if self.idle.len() > MOST_IDLE
            && let Some((lost, owner)) = self.idle.pop_first()
        {
            self.owners.remove(&owner);
            self.forgotten = self.forgotten.max(lost);
        }
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 4] {
        [self.owners.len(), self.by_messages.len(), self.by_bytes.len(), self.idle.len()]
    }
}
