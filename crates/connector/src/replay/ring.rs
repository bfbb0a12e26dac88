//! The last messages of a route, and who has had which of them (`spec/websocket.md` 13). No clock, no lock, no socket.

use super::{
    Person,
    audience::{Audience, Owner},
    lost::Lost,
    private::{Held, Private},
};
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tremor_value::Value;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Messages.
    pub messages: usize,
    /// Bytes of those.
    pub bytes: usize,
    /// For how long; `None`: as long as there is room.
    pub age: Option<Duration>,
}

impl Default for Keep {
    fn default() -> Self {
        Self { messages: 1024, bytes: 1024 * 1024, age: None }
    }
}

/// What is known of whom a message is for counts as bytes from here on.
const FREE_BYTES: usize = 256;
/// Away clients whose acknowledgements are remembered, at most.
const MOST_PEOPLE: usize = 16_384;
/// Connections that are remembered when they have gone, at most.
const MOST_ABSENT: usize = 1024;
/// Pairs of a message and a client that are looked at to say what is thrown away.
const MOST_LOOKS: usize = 1_000_000;

/// The place of a message.
#[derive(Debug)]
struct Entry<M> {
    id: u64,
    /// `None`: it is gone.
    kept: Option<Kept<M>>,
}

#[derive(Debug)]
struct Kept<M> {
    at: Instant,
    bytes: usize,
    /// Of the connections that it was for.
    conns: SmallVec<[u64; 1]>,
    audience: Audience,
    /// Those by whose messages it takes room; none if it is for all or for a group.
    owners: SmallVec<[Owner; 1]>,
    /// How many of those have it still.
    holders: usize,
    message: M,
}

/// What is remembered of a client.
#[derive(Debug, Default)]
struct Known {
    acked: u64,
    /// Its connections that went on where another one had ended, each with the last id that was there already.
    resumed: BTreeMap<u64, u64>,
    /// Which of its places in the order of those who are away counts.
    stamp: u64,
}

/// A connection that has gone.
#[derive(Debug)]
struct Absent {
    conn: u64,
    stream: u64,
    person: Person,
    meta: Value,
    at: Instant,
    /// The connection that has taken its place.
    successor: Option<u64>,
}

/// A connection that has gone, as those who send see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone<'a> {
    pub(crate) conn: u64,
    pub(crate) stream: u64,
    pub(crate) person: &'a Person,
    pub(crate) meta: &'a Value,
    pub(crate) successor: Option<u64>,
}

/// How a client goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resumed<M> {
    /// What follows are messages after this one.
    pub(crate) after: u64,
    /// The last one that was there already.
    pub(crate) last: u64,
    pub(crate) gap: Option<Gap>,
    /// It went on from somewhere, and not only with what is new.
    pub(crate) is_resumed: bool,
    pub(crate) messages: Vec<M>,
}

/// Something that a client has missed and that is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gap {
    /// The messages with these ids, as far as they were for this client.
    Lost { from: u64, to: u64 },
    /// Nobody knows: no message has had that id up to now.
    Unknown { asked: u64 },
}

/// The last messages of a route. Those for all and for groups share the room that there is to keep them. Those for single
/// clients have as much for themselves: whoever has most there loses its oldest first.
#[derive(Debug)]
pub(crate) struct Ring<M> {
    keep: Keep,
    /// In the order of ids.
    entries: VecDeque<Entry<M>>,
    /// Greater ids are given.
    first: u64,
    last: u64,
    /// Messages for all and for groups.
    common: Held,
    /// What is gone of those.
    lost: Lost,
    /// Messages for single clients, each once.
    private_messages: usize,
    private_bytes: usize,
    private: Private,
    people: HashMap<Person, Known, RandomState>,
    /// Who goes by which name, in the words of metadata; `None`: several do.
    names: HashMap<Arc<str>, Option<Person>, RandomState>,
    /// Those who went away, in that order, each with the stamp it had then.
    away: VecDeque<(Person, u64)>,
    stamps: u64,
    absent: VecDeque<Absent>,
}

impl<M: Clone> Ring<M> {
    /// An empty one, whose ids are greater than `first`.
    pub(crate) fn new(keep: Keep, first: u64) -> Self {
        Self {
            keep,
            entries: VecDeque::new(),
            first,
            last: first,
            common: Held::default(),
            lost: Lost::new(first),
            private_messages: 0,
            private_bytes: 0,
            private: Private::new(first),
            people: HashMap::default(),
            names: HashMap::default(),
            away: VecDeque::new(),
            stamps: 0,
            absent: VecDeque::new(),
        }
    }

    /// The id that the next message is given.
    pub(crate) fn next_id(&self) -> u64 {
        self.last.saturating_add(1)
    }

    /// Gives an id to a message that nobody could ask for later.
    pub(crate) fn pass(&mut self) {
        self.last = self.next_id();
    }

    /// Gives an id to a message, and keeps it. `conns`: the connections that it goes to because they are addressed.
    pub(crate) fn keep(
        &mut self,
        (message, bytes): (M, usize),
        audience: Audience,
        conns: SmallVec<[u64; 1]>,
        now: Instant,
    ) {
        self.last = self.next_id();
        // One client is worth nothing; a thousand of them may be more than the message.
        let more = audience.weight() + conns.len() * size_of::<u64>();
        let bytes = if more > FREE_BYTES { bytes.saturating_add(more) } else { bytes };
        let id = self.last;
        let owners = audience.owners();
        if bytes > self.keep.bytes {
            // It would push out all the others and find no room even then.
            self.count_as_lost(id, audience, &owners);
            return;
        }
        if owners.is_empty() {
            self.common.push(id, bytes);
        } else {
            owners.iter().for_each(|owner| self.private.push(owner, id, bytes));
            self.private_messages += 1;
            self.private_bytes += bytes;
        }
        let holders = owners.len();
        let kept = Some(Kept { at: now, bytes, conns, audience, owners, holders, message });
        self.entries.push_back(Entry { id, kept });
        self.trim(now);
    }

    /// Lets go what is too old or too much.
    fn trim(&mut self, now: Instant) {
        let Keep { messages, bytes, age } = self.keep;
        let is_old = |at: Instant| age.is_some_and(|age| now.saturating_duration_since(at) >= age);
        while self.common.len() > messages || self.common.bytes() > bytes {
            let Some(oldest) = self.common.oldest() else { break };
            self.drop_common(oldest);
        }
        loop {
            let has_most = match () {
                () if self.private_bytes > bytes => self.private.with_most_bytes(),
                () if self.private_messages > messages => self.private.with_most_messages(),
                () => None,
            };
            let Some(owner) = has_most.cloned() else { break };
            self.drop_oldest_of(&owner);
        }
        while let Some(entry) = self.entries.front() {
            let id = entry.id;
            match &entry.kept {
                None => _ = self.entries.pop_front(),
                Some(kept) if !is_old(kept.at) => break,
                Some(kept) if kept.owners.is_empty() => self.drop_common(id),
                Some(kept) => {
                    let owners = kept.owners.clone();
                    let has_it = |owner: &&Owner| self.private.oldest(owner) == Some(id);
                    let have_it: SmallVec<[&Owner; 1]> = owners.iter().filter(has_it).collect();
                    if have_it.is_empty() {
                        break;
                    }
                    have_it.into_iter().for_each(|owner| self.drop_oldest_of(owner));
                }
            }
        }
        let kept = self.common.len() + self.private_messages;
        if self.entries.len() > kept.saturating_mul(2).saturating_add(64) {
            self.entries.retain(|entry| entry.kept.is_some());
        }
        while self.absent.front().is_some_and(|absent| is_old(absent.at)) {
            self.absent.pop_front();
        }
    }

    fn kept_mut(&mut self, id: u64) -> Option<&mut Option<Kept<M>>> {
        let place = self.entries.partition_point(|entry| entry.id < id);
        self.entries.get_mut(place).filter(|entry| entry.id == id).map(|entry| &mut entry.kept)
    }

    /// The message `id`, the oldest of those for all and for groups, goes.
    fn drop_common(&mut self, id: u64) {
        let kept = self.kept_mut(id).and_then(Option::take);
        self.common.pop(kept.as_ref().map_or(0, |kept| kept.bytes));
        if let Some(kept) = kept {
            self.lost.add(kept.audience, id);
        }
    }

    /// The oldest message of `owner` is its own no more; it goes if it is nobody else's.
    fn drop_oldest_of(&mut self, owner: &Owner) {
        let Some(id) = self.private.oldest(owner) else { return };
        let mut gone = None;
        let mut bytes = 0;
        if let Some(place) = self.kept_mut(id)
            && let Some(kept) = place
        {
            bytes = kept.bytes;
            kept.holders = kept.holders.saturating_sub(1);
            if kept.holders == 0 {
                gone = place.take();
            }
        }
        self.private.pop(owner, bytes);
        if let Some(gone) = gone {
            self.private_messages -= 1;
            self.private_bytes -= bytes;
            self.count_as_lost(id, gone.audience, &gone.owners);
        }
    }

    /// The message `id` is gone, and those who may have wanted it can be told.
    fn count_as_lost(&mut self, id: u64, audience: Audience, owners: &[Owner]) {
        if owners.is_empty() {
            return self.lost.add(audience, id);
        }
        for owner in owners {
            let person = match owner {
                Owner::Person(person) => Some(person),
                Owner::Named(name) => self.names.get(name).and_then(Option::as_ref),
            };
            let known = person.and_then(|person| self.people.get(person));
            if known.is_none_or(|known| known.acked < id) {
                self.private.lose(owner, id);
            }
        }
    }

    /// The id of the last message that is gone and may have been for this client.
    fn lost_of(
        &self,
        (person, name): (Option<&Person>, Option<&str>),
        admits: &dyn Fn(&Value) -> bool,
    ) -> u64 {
        let acked = person.and_then(|person| self.people.get(person)).map_or(0, |known| known.acked);
        let person_lost = person.map(|person| self.private.lost(&Owner::Person(person.clone())));
        let name_lost = name.map(|name| self.private.lost(&Owner::Named(name.into())));
        let private = person_lost.max(name_lost).filter(|lost| *lost > acked);
        self.lost.up_to(person, admits).max(private.unwrap_or_default())
    }

    /// How a client goes on that has had all up to `asked`, or up to what it has acknowledged, or wants only what is new.
    /// `name`: its identity, in the words of metadata.
    pub(crate) fn resume(
        &mut self,
        asked: Option<u64>,
        (person, name): (Option<&Person>, Option<&str>),
        admits: &dyn Fn(&Value) -> bool,
        now: Instant,
    ) -> Resumed<M> {
        self.trim(now);
        let acked = person.and_then(|person| self.people.get(person)).map(|known| known.acked);
        let last = self.last;
        let Some(had) = asked.or_else(|| acked.filter(|acked| *acked > 0)) else {
            return Resumed { after: last, last, gap: None, is_resumed: false, messages: Vec::new() };
        };
        let is_unknown = had > last;
        // From the beginning: what was before that was nobody's.
        let had_all_up_to = if had == 0 || is_unknown { self.first } else { had };
        let lost = self.lost_of((person, name), admits);
        let gap = match had_all_up_to {
            _ if is_unknown => Some(Gap::Unknown { asked: had }),
            up_to if up_to < lost => Some(Gap::Lost { from: up_to + 1, to: lost }),
            _ => None,
        };
        let first = self.entries.partition_point(|entry| entry.id <= had_all_up_to);
        let there =
            self.entries.iter().skip(first).filter_map(|entry| Some((entry.id, entry.kept.as_ref()?)));
        let mut wanted = there.filter(|(_, kept)| kept.audience.admits(person, admits)).peekable();
        let mut after = had_all_up_to;
        if gap.is_some() {
            // As much as can be said: nothing comes that is not behind that.
            after = after.max(lost);
            after = wanted.peek().map_or(after, |(first, _)| after.min(first - 1));
        }
        let messages = wanted.map(|(_, kept)| kept.message.clone()).collect();
        Resumed { after, last, gap, is_resumed: true, messages }
    }

    /// A connection of `person`, whose identity is `name`, is open. One that `is_resumed` takes the place of those that have
    /// gone.
    pub(crate) fn join(&mut self, conn: u64, (person, name): (&Person, Option<&Arc<str>>), is_resumed: bool) {
        name.into_iter().for_each(|name| self.learn_name(name, person));
        if !is_resumed {
            return;
        }
        let last = self.last;
        self.people.entry(person.clone()).or_default().resumed.insert(conn, last);
        for absent in self.absent.iter_mut().filter(|absent| absent.person == *person) {
            absent.successor = Some(conn);
        }
    }

    fn learn_name(&mut self, name: &Arc<str>, person: &Person) {
        if let Some(known) = self.names.get_mut(name) {
            if known.as_ref() != Some(person) {
                *known = None;
            }
            return;
        }
        if self.names.len() >= 2 * MOST_PEOPLE {
            let people = &self.people;
            let is_known =
                |person: &Option<Person>| person.as_ref().is_none_or(|person| people.contains_key(person));
            self.names.retain(|_, person| is_known(person));
        }
        if self.names.len() < 2 * MOST_PEOPLE {
            self.names.insert(name.clone(), Some(person.clone()));
        }
    }

    /// A connection of `person` has gone, of which metadata said this. Gives what was for it alone and came when another
    /// one had taken its place already, with the id of that.
    pub(crate) fn leave(
        &mut self,
        (conn, stream): (u64, u64),
        person: &Person,
        meta: Value,
        now: Instant,
    ) -> Option<(u64, Vec<M>)> {
        let mut successor = None;
        if let Some(known) = self.people.get_mut(person) {
            known.resumed.remove(&conn);
            successor = known.resumed.last_key_value().map(|(conn, since)| (*conn, *since));
            self.stamps += 1;
            known.stamp = self.stamps;
            self.away.push_back((person.clone(), self.stamps));
        }
        self.forget_people();
        for absent in self.absent.iter_mut().filter(|absent| absent.successor == Some(conn)) {
            absent.successor = successor.map(|(successor, _)| successor);
        }
        while self.absent.len() >= MOST_ABSENT {
            self.absent.pop_front();
        }
        // One that was there before it is another one of the same client, and not in its place.
        let successor = successor.filter(|(successor, _)| *successor > conn);
        let person = person.clone();
        let place = successor.map(|(successor, _)| successor);
        self.absent.push_back(Absent { conn, stream, person, meta, at: now, successor: place });
        let (successor, since) = successor?;
        let first = self.entries.partition_point(|entry| entry.id <= since);
        let there = self.entries.iter().skip(first).filter_map(|entry| entry.kept.as_ref());
        let left = there.filter(|kept| kept.conns.contains(&conn));
        let left: Vec<M> = left.map(|kept| kept.message.clone()).collect();
        Some((successor, left)).filter(|(_, left)| !left.is_empty())
    }

    /// Forgets those who went away first, where there are too many.
    fn forget_people(&mut self) {
        while self.people.len() > MOST_PEOPLE {
            let Some((person, stamp)) = self.away.pop_front() else { return };
            if self.people.get(&person).is_some_and(|known| known.stamp == stamp && known.resumed.is_empty())
            {
                self.people.remove(&person);
            }
        }
        if self.away.len() > 2 * MOST_PEOPLE {
            let people = &self.people;
            self.away.retain(|(person, stamp)| people.get(person).is_some_and(|known| known.stamp == *stamp));
        }
    }

    /// `person`, whose identity is `name`, has had all up to `id`: what is for nobody else who has not goes.
    pub(crate) fn acknowledge(&mut self, (person, name): (&Person, Option<&Arc<str>>), id: u64) {
        if id > self.last || id <= self.first {
            return;
        }
        let known = self.people.entry(person.clone()).or_default();
        if id <= known.acked {
            return;
        }
        if std::mem::replace(&mut known.acked, id) == 0 {
            self.stamps += 1;
            known.stamp = self.stamps;
            self.away.push_back((person.clone(), self.stamps));
            self.forget_people();
        }
        // Of the same name may be somebody else, whom another guard has let in.
        let is_alone = |name: &&Arc<str>| self.names.get(*name).and_then(Option::as_ref) == Some(person);
        let named = name.filter(is_alone).cloned().map(Owner::Named);
        for owner in [Some(Owner::Person(person.clone())), named].iter().flatten() {
            while self.private.oldest(owner).is_some_and(|oldest| oldest <= id) {
                self.drop_oldest_of(owner);
            }
        }
    }

    /// Connections that have gone and whose clients may come back.
    pub(crate) fn gone(&self) -> impl Iterator<Item = Gone<'_>> {
        self.absent.iter().map(|absent| {
            let Absent { conn, stream, person, meta, successor, .. } = absent;
            Gone { conn: *conn, stream: *stream, person, meta, successor: *successor }
        })
    }

    /// How many messages are kept that came for clients when they had gone, and for how many of those. `is_like`: whether
    /// one with that metadata is like that `where`. Looks at a million pairs of them, the newest messages first.
    pub(crate) fn missed(
        &mut self,
        is_like: &dyn Fn(&Value, &Value) -> bool,
        now: Instant,
    ) -> (usize, usize) {
        self.trim(now);
        let mut away: HashMap<&Person, &Absent, RandomState> = HashMap::default();
        for absent in self.absent.iter().filter(|absent| absent.successor.is_none()) {
            away.insert(&absent.person, absent);
        }
        let (mut messages, mut looks) = (0, 0);
        let mut clients = HashSet::<&Person, RandomState>::default();
        let kept = self.entries.iter().rev().filter_map(|entry| Some((entry.id, entry.kept.as_ref()?)));
        for (id, kept) in kept {
            let mut is_missed = false;
            for (person, absent) in &away {
                let acked = self.people.get(*person).map_or(0, |known| known.acked);
                let admits = |wanted: &Value| is_like(&absent.meta, wanted);
                if kept.at >= absent.at && id > acked && kept.audience.admits(Some(person), &admits) {
                    is_missed = true;
                    clients.insert(person);
                }
            }
            messages += usize::from(is_missed);
            looks += away.len();
            if looks > MOST_LOOKS || away.is_empty() {
                break;
            }
        }
        (messages, clients.len())
    }

    #[cfg(test)]
    fn size(&self) -> (usize, usize, usize) {
        let messages = self.common.len() + self.private_messages;
        (messages, self.common.bytes() + self.private_bytes, self.entries.len())
    }
}

#[cfg(test)]
mod tests;
