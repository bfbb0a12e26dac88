//! The last messages of a route, and who has had which of them (`spec/websocket.md` 13). No clock, no lock, no socket.

use crate::weight;
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tremor_value::Value;

/// Who is behind connections: equal for those that may read each other's messages, and for nobody else.
pub type Person = Arc<str>;

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

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Audience {
    pub(crate) reach: Reach,
    /// Not for those; in order.
    pub(crate) except: SmallVec<[Person; 1]>,
}

/// Whom a message is for, before some are left out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reach {
    All,
    Some {
        /// In order.
        people: SmallVec<[Person; 1]>,
        /// A `where`, which others may be like.
        filter: Option<Value>,
    },
}

impl Audience {
    /// For those whom it reaches, but not for `except`.
    pub(crate) fn new(mut reach: Reach, mut except: SmallVec<[Person; 1]>) -> Self {
        if let Reach::Some { people, .. } = &mut reach {
            people.sort_unstable();
            people.dedup();
        }
        except.sort_unstable();
        except.dedup();
        Self { reach, except }
    }

    /// Roughly the bytes that it holds on to.
    fn weight(&self) -> usize {
        let of = |people: &[Person]| -> usize {
            people.iter().map(|person| size_of::<Person>() + person.len()).sum()
        };
        let reach = match &self.reach {
            Reach::All => 0,
            Reach::Some { people, filter } => of(people) + filter.as_ref().map_or(0, weight),
        };
        reach + of(&self.except)
    }

    /// Whether a client may have it. `admits`: whether it is like that `where`.
    pub(crate) fn admits(&self, person: Option<&Person>, admits: &dyn Fn(&Value) -> bool) -> bool {
        if person.is_some_and(|person| self.except.binary_search(person).is_ok()) {
            return false;
        }
        match &self.reach {
            Reach::All => true,
            Reach::Some { people, filter } => {
                person.is_some_and(|person| people.binary_search(person).is_ok())
                    || filter.as_ref().is_some_and(admits)
            }
        }
    }

    /// Whether nobody but `person` may have it.
    fn is_only_for(&self, person: &Person) -> bool {
        match &self.reach {
            Reach::Some { people, filter: None } => people.iter().all(|one| one == person),
            _ => false,
        }
    }
}

#[derive(Debug)]
struct Entry<M> {
    id: u64,
    at: Instant,
    bytes: usize,
    /// Of the connections that it was for.
    conns: SmallVec<[u64; 1]>,
    audience: Audience,
    /// `None`: all who it was for have acknowledged it.
    message: Option<M>,
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

/// The last messages of a route.
#[derive(Debug)]
pub(crate) struct Ring<M> {
    keep: Keep,
    entries: VecDeque<Entry<M>>,
    /// Of the entries that have a message.
    messages: usize,
    bytes: usize,
    /// Greater ids are given.
    first: u64,
    last: u64,
    /// Up to here messages are gone that somebody may want.
    lost: u64,
    people: HashMap<Person, Known, RandomState>,
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
            messages: 0,
            bytes: 0,
            first,
            last: first,
            lost: first,
            people: HashMap::default(),
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
        self.entries.push_back(Entry {
            id: self.last,
            at: now,
            bytes,
            conns,
            audience,
            message: Some(message),
        });
        self.messages += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.trim(now);
    }

    /// Lets go what is too old or too much.
    fn trim(&mut self, now: Instant) {
        let is_old = |at: Instant| self.keep.age.is_some_and(|age| now.saturating_duration_since(at) >= age);
        while let Some(entry) = self.entries.front() {
            let is_too_much = self.messages > self.keep.messages || self.bytes > self.keep.bytes;
            if entry.message.is_some() {
                if !is_too_much && !is_old(entry.at) {
                    break;
                }
                self.messages -= 1;
                self.bytes -= entry.bytes;
                self.lost = entry.id;
            }
            self.entries.pop_front();
        }
        if self.entries.len() > self.messages.saturating_mul(2).saturating_add(64) {
            self.entries.retain(|entry| entry.message.is_some());
        }
        while self.absent.front().is_some_and(|absent| is_old(absent.at)) {
            self.absent.pop_front();
        }
    }

    /// How a client goes on that has had all up to `asked`, or up to what it has acknowledged, or wants only what is new.
    pub(crate) fn resume(
        &mut self,
        asked: Option<u64>,
        person: Option<&Person>,
        admits: &dyn Fn(&Value) -> bool,
        now: Instant,
    ) -> Resumed<M> {
        self.trim(now);
        let acked = person.and_then(|person| self.people.get(person)).map(|known| known.acked);
        let Some(had) = asked.or_else(|| acked.filter(|acked| *acked > 0)) else {
            let (after, last) = (self.last, self.last);
            return Resumed { after, last, gap: None, is_resumed: false, messages: Vec::new() };
        };
        let (after, gap) = match had {
            // From the beginning: what was before that was nobody's.
            0 if self.lost == self.first => (self.first, None),
            0 => (self.lost, Some(Gap::Lost { from: self.first.saturating_add(1), to: self.lost })),
            had if had > self.last => (self.lost, Some(Gap::Unknown { asked: had })),
            had if had < self.lost => (self.lost, Some(Gap::Lost { from: had + 1, to: self.lost })),
            had => (had, None),
        };
        let first = self.entries.partition_point(|entry| entry.id <= after);
        let wanted = self.entries.iter().skip(first).filter(|entry| entry.audience.admits(person, admits));
        let messages = wanted.filter_map(|entry| entry.message.clone()).collect();
        Resumed { after, last: self.last, gap, is_resumed: true, messages }
    }

    /// A connection of `person` is open. One that `is_resumed` takes the place of those that have gone.
    pub(crate) fn join(&mut self, conn: u64, person: &Person, is_resumed: bool) {
        if !is_resumed {
            return;
        }
        let last = self.last;
        self.people.entry(person.clone()).or_default().resumed.insert(conn, last);
        for absent in self.absent.iter_mut().filter(|absent| absent.person == *person) {
            absent.successor = Some(conn);
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
        let left = self.entries.iter().skip(first).filter(|entry| entry.conns.contains(&conn));
        let left: Vec<M> = left.filter_map(|entry| entry.message.clone()).collect();
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

    /// `person` has had all up to `id`: what was for nobody else goes.
    pub(crate) fn acknowledge(&mut self, person: &Person, id: u64) {
        if id > self.last || id <= self.first {
            return;
        }
        let known = self.people.entry(person.clone()).or_default();
        if id <= known.acked {
            return;
        }
        let before = std::mem::replace(&mut known.acked, id);
        if before == 0 {
            self.stamps += 1;
            known.stamp = self.stamps;
            self.away.push_back((person.clone(), self.stamps));
            self.forget_people();
        }
        let first = self.entries.partition_point(|entry| entry.id <= before);
        let had = self.entries.iter_mut().skip(first).take_while(|entry| entry.id <= id);
        for entry in had.filter(|entry| entry.audience.is_only_for(person)) {
            if entry.message.take().is_some() {
                self.messages -= 1;
                self.bytes -= entry.bytes;
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

    #[cfg(test)]
    fn size(&self) -> (usize, usize, usize) {
        (self.messages, self.bytes, self.entries.len())
    }
}

#[cfg(test)]
mod tests;
