//! Which entries lie in which segment, and where the next one goes. Only numbers: no file is touched here.

use super::format::{RECORD_HEAD, SEGMENT_HEAD, segment_name};
use std::collections::VecDeque;

/// Bytes between places of a segment that are remembered.
const MARK_EVERY: u64 = 64 * 1024;

/// How large a log may grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of one segment. A larger entry gets a segment of its own, which counts as several.
    pub(super) chunk_size: u64,
    /// Number of segments.
    pub(super) max_chunks: u64,
}

impl Limits {
    fn chunks(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.chunk_size).max(1)
    }
}

/// One file of entries.
#[derive(Debug)]
pub(super) struct Segment {
    /// Its first entry.
    pub(super) first: u64,
    /// The entry behind its last one.
    pub(super) next: u64,
    /// Its bytes, those that are still to be written included.
    pub(super) size: u64,
    /// Its bytes that are in the file.
    written: u64,
    /// Entries and where they lie, in ascending order: so that nobody has to read from the start.
    marks: Vec<(u64, u64)>,
}

impl Segment {
    /// A segment without entries.
    pub(super) fn new(first: u64) -> Self {
        Self { first, next: first, size: SEGMENT_HEAD, written: 0, marks: Vec::new() }
    }

    /// All its bytes are in the file.
    pub(super) fn all_written(&mut self) {
        self.written = self.size;
    }

    /// One more entry, whose record takes `bytes`.
    pub(super) fn add(&mut self, bytes: u64) {
        if self.marks.last().map_or(SEGMENT_HEAD, |(_, at)| *at) + MARK_EVERY <= self.size {
            self.marks.push((self.next, self.size));
        }
        self.next += 1;
        self.size += bytes;
    }
}

/// All segments of a log; never empty once the log is open.
#[derive(Debug)]
pub(super) struct Segments {
    limits: Limits,
    all: VecDeque<Segment>,
}

/// Where an entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its index.
    pub(super) index: u64,
    /// It is the first of a segment that is to be made for it.
    pub(super) begins_segment: bool,
}

/// Where to begin to look for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// First entry of the segment that has it.
    pub(super) segment: u64,
    /// An entry that lies at or in front of it in that segment.
    pub(super) index: u64,
    /// Where that one lies.
    pub(super) at: u64,
    /// How many bytes of the segment are in its file.
    pub(super) size: u64,
}

impl Segments {
    pub(super) fn new(limits: Limits, all: VecDeque<Segment>) -> Self {
        Self { limits, all }
    }

    /// The index that the next entry gets.
    pub(super) fn next(&self) -> u64 {
        self.all.back().map_or(0, |segment| segment.next)
    }

    /// Finds a place for an entry whose body has `body` bytes; everything in front of `position` is confirmed, so that
    /// it takes no room any more. `None`: there is no room.
    pub(super) fn add(&mut self, body: usize, position: u64) -> Option<Place> {
        let bytes = RECORD_HEAD + body as u64;
        let limits = self.limits;
        let active = self.all.back()?;
        let (index, is_begun) = (active.next, active.next > active.first);
        let fits = active.size + bytes <= limits.chunk_size;
        let begins_segment = is_begun && !fits;
        if !(is_begun && fits) {
            let kept = if begins_segment { self.all.len() } else { self.all.len() - 1 };
            let in_use = self.all.iter().take(kept).filter(|segment| segment.next > position);
            let used: u64 = in_use.map(|segment| limits.chunks(segment.size)).sum();
            let size = if begins_segment { SEGMENT_HEAD } else { active.size };
            if used + limits.chunks(size + bytes) > limits.max_chunks {
                return None;
            }
        }
        if begins_segment {
            self.all.push_back(Segment::new(index));
        }
        self.all.back_mut()?.add(bytes);
        Some(Place { index, begins_segment })
    }

    /// Everything that was given a place is in its file now. Gives the entry behind the last.
    pub(super) fn all_written(&mut self) -> u64 {
        self.all.iter_mut().for_each(Segment::all_written);
        self.next()
    }

    /// The way to an entry that is there.
    pub(super) fn way_to(&self, index: u64) -> Option<Way> {
        let at = self.all.partition_point(|segment| segment.next <= index);
        let segment = self.all.get(at).filter(|segment| segment.first <= index)?;
        let known = segment.marks.partition_point(|(mark, _)| *mark <= index).checked_sub(1);
        let mark = known.and_then(|mark| segment.marks.get(mark));
        let (index, at) = mark.copied().unwrap_or((segment.first, SEGMENT_HEAD));
        Some(Way { segment: segment.first, index, at, size: segment.written })
    }

    /// The entry behind the last one of the segment whose first entry is `first`.
    pub(super) fn end_of(&self, first: u64) -> u64 {
        let at = self.all.partition_point(|segment| segment.first < first);
        self.all.get(at).map_or(first, |segment| segment.next)
    }

    /// `true` if there is a segment that is confirmed completely and is written no more.
    pub(super) fn has_confirmed(&self, position: u64) -> bool {
        self.all.len() > 1 && self.all.front().is_some_and(|segment| segment.next <= position)
    }

    /// Forgets the segments that are confirmed completely and are written no more; gives the names of their files.
    pub(super) fn take_confirmed(&mut self, position: u64) -> Vec<String> {
        let mut names = Vec::new();
        while self.has_confirmed(position) {
            names.extend(self.all.pop_front().map(|segment| segment_name(segment.first)));
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bodies of 71 bytes make records of 100.
    fn segments(chunk_size: u64, max_chunks: u64) -> Segments {
        Segments::new(Limits { chunk_size, max_chunks }, VecDeque::from([Segment::new(0)]))
    }

    fn begins(place: Option<Place>) -> Option<bool> {
        place.map(|place| place.begins_segment)
    }

    #[test]
    fn a_segment_takes_what_fits_and_the_log_as_many_as_it_may() {
        let mut segments = segments(228, 2);
        let seen: Vec<_> = (0..5).map(|_| begins(segments.add(71, 0))).collect();
        assert_eq!(seen, [Some(false), Some(false), Some(true), Some(false), None]);
        assert_eq!(segments.next(), 4);
        assert_eq!(begins(segments.add(71, 2)), Some(true), "the first two are confirmed");
        assert_eq!(segments.take_confirmed(2), [segment_name(0)]);
        assert_eq!(segments.take_confirmed(3), [""; 0]);
        assert_eq!(begins(segments.add(71, 3)), Some(false));
        assert_eq!(begins(segments.add(71, 3)), None);
    }

    #[test]
    fn one_segment_is_used_again_once_all_of_it_is_confirmed() {
        let mut segments = segments(128, 1);
        assert_eq!(begins(segments.add(71, 0)), Some(false));
        assert_eq!(begins(segments.add(71, 0)), None);
        assert!(!segments.has_confirmed(1), "it is the one that is written");
        assert_eq!(begins(segments.add(71, 1)), Some(true));
        assert_eq!(segments.take_confirmed(1), [segment_name(0)]);
    }

    #[test]
    fn a_large_entry_counts_as_several_segments() {
        let mut segments = segments(100, 3);
        assert_eq!(begins(segments.add(271, 0)), None, "328 bytes with the head of the segment");
        assert_eq!(begins(segments.add(143, 0)), Some(false), "exactly two");
        assert_eq!(begins(segments.add(43, 0)), Some(true));
        assert_eq!(begins(segments.add(1, 0)), None);
    }

    #[test]
    fn entries_are_found_by_marks() {
        let mut segments = segments(1_000_000, 3);
        while segments.all.len() < 3 {
            segments.add(971, 0);
        }
        assert_eq!(
            segments.way_to(0).map(|way| (way.segment, way.index, way.at)),
            Some((0, 0, SEGMENT_HEAD))
        );
        for index in 0..segments.next() {
            let way = segments.way_to(index).unwrap();
            assert!(way.index <= index && index - way.index <= 66, "{index}: {way:?}");
            assert_eq!(way.at, SEGMENT_HEAD + (way.index - way.segment) * 1_000);
        }
        assert_eq!(segments.way_to(segments.next()), None);
        segments.take_confirmed(1_500);
        assert_eq!(segments.way_to(0), None);
    }
}
