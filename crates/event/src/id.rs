//! Event ids and the pulls they track.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Gives out the numbers that may stand first in an event id: of sources, sinks and operators alike.
///
/// One generator serves a whole process, so an answer can never reach the wrong part.
#[derive(Debug)]
pub struct IdGenerator(AtomicU64);

impl Default for IdGenerator {
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

impl IdGenerator {
    /// The generator of a process that began `start_ns` nanoseconds after 1970 UTC.
    ///
    /// Numbers outlive the process in what is stored of events: there the number of a connection says who an answer is for.
    /// So a later process must not give it again. Its numbers begin at its start in microseconds, which is more than
    /// earlier ones can have reached as long as the clock goes on and a process gives less than one number per
    /// microsecond. Until the year 2255 that is below 2^53, so readers of JSON that know only doubles keep it exact.
    #[must_use]
    pub fn of_process(start_ns: u64) -> Self {
        Self(AtomicU64::new((start_ns / 1000).max(1)))
    }

    /// A number that this generator never gave before.
    pub fn next_id(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A range of pulls of one stream that an event was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// Source of the pulls.
    pub source: u64,
    /// Stream within the source.
    pub stream: u64,
    /// Smallest pull covered.
    pub min_pull: u64,
    /// Largest pull covered.
    pub max_pull: u64,
}

/// Identifies an event and what it was made from (`spec/runtime.md` 6.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventId {
    /// The source, or the operator that made the event.
    pub source: u64,
    /// The stream within the source; 0 is the default stream.
    pub stream: u64,
    /// Counts up from 0 within a stream.
    pub event: u64,
    /// The pull of the source that gave the event.
    pub pull: u64,
    /// Empty while the id tracks only itself.
    tracked: Vec<Tracked>,
}

impl EventId {
    /// An id that tracks nothing but itself.
    #[must_use]
    pub fn new(source: u64, stream: u64, event: u64, pull: u64) -> Self {
        Self { source, stream, event, pull, tracked: Vec::new() }
    }

    /// Notes that this event was made from `other` too, and from all that `other` was made from.
    pub fn track(&mut self, other: &Self) {
        if self.tracked.is_empty() {
            self.tracked.push(self.own());
        }
        for entry in other.tracked() {
            merge(&mut self.tracked, entry);
        }
    }

    /// The pulls this event was made from, sorted by source and stream; its own when it tracks no others.
    pub fn tracked(&self) -> impl Iterator<Item = Tracked> + '_ {
        let own = self.tracked.is_empty().then(|| self.own());
        self.tracked.iter().copied().chain(own)
    }

    /// Whether this event and `other` were made from pulls of the same streams.
    #[must_use]
    pub fn is_of_same_streams(&self, other: &Self) -> bool {
        if self.tracked.is_empty() && other.tracked.is_empty() {
            return (self.source, self.stream) == (other.source, other.stream);
        }
        let ends = |tracked: Tracked| (tracked.source, tracked.stream);
        self.tracked().map(ends).eq(other.tracked().map(ends))
    }

    fn own(&self) -> Tracked {
        Tracked { source: self.source, stream: self.stream, min_pull: self.pull, max_pull: self.pull }
    }
}

fn merge(tracked: &mut Vec<Tracked>, entry: Tracked) {
    match tracked.binary_search_by_key(&(entry.source, entry.stream), |known| (known.source, known.stream)) {
        Ok(index) => {
            if let Some(known) = tracked.get_mut(index) {
                known.min_pull = known.min_pull.min(entry.min_pull);
                known.max_pull = known.max_pull.max(entry.max_pull);
            }
        }
        Err(index) => tracked.insert(index, entry),
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}:{}", self.source, self.stream, self.event, self.pull)?;
        if self.tracked.is_empty() {
            return Ok(());
        }
        let list = |pull: fn(&Tracked) -> u64| {
            let entries = self.tracked.iter().map(|t| format!("{}:{}:{}", t.source, t.stream, pull(t)));
            entries.collect::<Vec<_>>().join(" ")
        };
        write!(out, " [min={}, max={}]", list(|t| t.min_pull), list(|t| t.max_pull))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracking_widens_the_range_of_a_stream_and_sorts_the_others() {
        let mut id = EventId::new(2, 0, 7, 3);
        id.track(&EventId::new(2, 0, 8, 5));
        id.track(&EventId::new(1, 4, 0, 9));
        assert_eq!(id.to_string(), "2:0:7:3 [min=1:4:9 2:0:3, max=1:4:9 2:0:5]");

        let mut outer = EventId::new(9, 0, 0, 0);
        outer.track(&id);
        assert_eq!(outer.tracked().map(|t| t.source).collect::<Vec<_>>(), [1, 2, 9]);
    }

    #[test]
    fn ids_are_compared_by_the_streams_they_track() {
        let (one, other) = (EventId::new(1, 2, 3, 4), EventId::new(1, 3, 3, 4));
        assert!(one.is_of_same_streams(&EventId::new(1, 2, 9, 9)));
        assert!(!one.is_of_same_streams(&other));
        let mut both = one.clone();
        both.track(&EventId::new(1, 2, 8, 8));
        assert!(both.is_of_same_streams(&one), "tracking itself alone changes nothing");
        both.track(&other);
        assert!(!both.is_of_same_streams(&one) && !one.is_of_same_streams(&both));
    }

    #[test]
    fn an_id_without_others_tracks_itself() {
        let id = EventId::new(1, 2, 3, 4);
        let own: Vec<_> = id.tracked().collect();
        assert_eq!(own, [Tracked { source: 1, stream: 2, min_pull: 4, max_pull: 4 }]);
        assert_eq!(id.to_string(), "1:2:3:4");
    }

    #[test]
    fn ids_are_never_given_twice() {
        let ids = IdGenerator::default();
        assert_ne!(ids.next_id(), ids.next_id());
    }

    #[test]
    fn numbers_of_a_process_are_above_those_of_the_process_before_it() {
        let (before, after) = (IdGenerator::of_process(5_000_000), IdGenerator::of_process(5_002_999));
        assert_eq!([before.next_id(), before.next_id()], [5000, 5001]);
        assert_eq!(after.next_id(), 5002);
        assert_eq!(IdGenerator::of_process(0).next_id(), 1);
    }
}
