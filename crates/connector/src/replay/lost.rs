//! What is gone of the messages that are for all or for groups.

use super::{Person, audience::Audience};
use std::collections::VecDeque;
use tremor_value::Value;

/// Groups of which it is known for themselves what is gone.
const MOST_GROUPS: usize = 64;
/// A group that takes more bytes to say than so many is not told from all.
const MOST_GROUP_BYTES: usize = 1024;

/// Up to which ids messages are gone, and for whom.
#[derive(Debug)]
pub(super) struct Lost {
    all: u64,
    /// In the order of ids, all of which are greater than that.
    groups: VecDeque<(Audience, u64)>,
}

impl Lost {
    pub(super) fn new(first: u64) -> Self {
        Self { all: first, groups: VecDeque::new() }
    }

    /// The message `id` is gone, which was for those.
    pub(super) fn add(&mut self, audience: Audience, mut id: u64) {
        if id <= self.all {
            return;
        }
        if audience.is_everybody() || audience.weight() > MOST_GROUP_BYTES {
            return self.add_for_all(id);
        }
        if let Some(known) = self.groups.iter().position(|(known, _)| *known == audience)
            && let Some((_, before)) = self.groups.remove(known)
        {
            id = id.max(before);
        }
        // Nearly always the last: only what did not fit at all goes before what came earlier.
        let place = self.groups.partition_point(|(_, other)| *other < id);
        self.groups.insert(place, (audience, id));
        if self.groups.len() > MOST_GROUPS
            && let Some((_, id)) = self.groups.pop_front()
        {
            self.add_for_all(id);
        }
    }

    fn add_for_all(&mut self, id: u64) {
        self.all = id;
        self.groups.retain(|(_, lost)| *lost > id);
    }

    /// The id of the last message that is gone and may have been for this client.
    pub(super) fn up_to(&self, person: Option<&Person>, admits: &dyn Fn(&Value) -> bool) -> u64 {
        let of_it = |(audience, _): &&(Audience, u64)| audience.admits(person, admits);
        self.groups.iter().rev().find(of_it).map_or(self.all, |(_, id)| *id)
    }
}
