//! Which entries lie in which segment, and where the next one goes. Only numbers: no file is touched here.

use super::{
    confirmed::Confirmed,
    format::{RECORD_HEAD, SEGMENT_HEAD, segment_name},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

/// Bytes between places of a segment that are remembered.
const MARK_EVERY: u64 = 64 * 1024;

/// How large a log may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// One more entry, whose record takes `bytes`.
    pub(super) fn add(&mut self, bytes: u64) {
        if self.marks.last().map_or(SEGMENT_HEAD, |(_, at)| *at) + MARK_EVERY <= self.size {
            self.marks.push((self.next, self.size));
        }
        self.next += 1;
        self.size += bytes;
    }
}

/// All segments of a log; never empty once the log is open. The last one is the active one: it is written.
#[derive(Debug)]
pub(super) struct Segments {
    limits: Limits,
    /// By their first entries.
    all: BTreeMap<u64, Segment>,
    /// What the others than the active one count for, those that are done with excluded, and their bytes.
    used: u64,
    used_bytes: u64,
    /// Those behind which another one was begun and of which everything is confirmed.
    done: BTreeSet<u64>,
    /// One was done with since this was last asked.
    is_news: bool,
    /// The segment that was active when everything had last been written, the entry behind its last one then, and its
    /// size.
    written: (u64, u64, u64),
}

/// Where an entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its index.
    pub(super) index: u64,
    /// It is the first of a segment that is to be made for it.
    pub(super) begins_segment: bool,
}

/// Why there is no place for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom {
    /// Bytes that it takes in a file.
    pub(super) bytes: u64,
    /// Files with something that is not confirmed, and their bytes.
    pub(super) files: u64,
    pub(super) used_bytes: u64,
    /// What they count for: a file that is larger than it should be counts as several.
    pub(super) chunks: u64,
    pub(super) limits: Limits,
}

impl NoRoom {
    /// It would not even fit into an empty log.
    pub(super) fn is_for_good(&self) -> bool {
        self.limits.chunks(SEGMENT_HEAD + self.bytes) > self.limits.max_chunks
    }
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
    /// Segments that lie on disk.
    pub(super) fn new(limits: Limits, found: Vec<Segment>, confirmed: &Confirmed) -> Self {
        let all = found.into_iter().map(|segment| (segment.first, segment)).collect();
        let (done, written) = (BTreeSet::new(), (0, 0, 0));
        let mut segments = Self { limits, all, used: 0, used_bytes: 0, done, is_news: false, written };
        let active = segments.active();
        for segment in segments.all.range(..active).map(|(_, segment)| segment) {
            if confirmed.covers(segment.first, segment.next) {
                segments.done.insert(segment.first);
                segments.is_news = true;
            } else {
                segments.used += limits.chunks(segment.size);
                segments.used_bytes += segment.size;
            }
        }
        segments.all_written();
        segments
    }

    /// First entry of the active segment.
    fn active(&self) -> u64 {
        self.all.last_key_value().map_or(0, |(first, _)| *first)
    }

    /// The index that the next entry gets.
    pub(super) fn next(&self) -> u64 {
        self.all.last_key_value().map_or(0, |(_, segment)| segment.next)
    }

    /// Finds a place for an entry whose body has `body` bytes, unless there is no room. What is confirmed takes none.
    pub(super) fn add(&mut self, body: usize, confirmed: &Confirmed) -> Result<Place, NoRoom> {
        self.find(body, confirmed).ok_or_else(|| {
            let (bytes, limits) = (RECORD_HEAD + body as u64, self.limits);
            let files = (self.all.len() - self.done.len()) as u64;
            let active = self.all.last_key_value().map_or(0, |(_, active)| active.size);
            let (used_bytes, chunks) = (self.used_bytes + active, self.used + limits.chunks(active));
            NoRoom { bytes, files, used_bytes, chunks, limits }
        })
    }

    fn find(&mut self, body: usize, confirmed: &Confirmed) -> Option<Place> {
        let bytes = RECORD_HEAD + body as u64;
        let limits = self.limits;
        let mut last = self.all.last_entry()?;
        let active = last.get_mut();
        let (index, is_begun) = (active.next, active.next > active.first);
        let fits = active.size + bytes <= limits.chunk_size;
        let begins_segment = is_begun && !fits;
        let is_done = begins_segment && confirmed.covers(active.first, active.next);
        let left_bytes = if begins_segment && !is_done { active.size } else { 0 };
        let left = if left_bytes > 0 { limits.chunks(left_bytes) } else { 0 };
        if !(is_begun && fits) {
            let size = if begins_segment { SEGMENT_HEAD } else { active.size };
            if self.used + left + limits.chunks(size + bytes) > limits.max_chunks {
                return None;
            }
        }
        if begins_segment {
            if is_done {
                self.done.insert(active.first);
                self.is_news = true;
            }
            self.used += left;
            self.used_bytes += left_bytes;
            let mut segment = Segment::new(index);
            segment.add(bytes);
            self.all.insert(index, segment);
        } else {
            active.add(bytes);
        }
        Some(Place { index, begins_segment })
    }

    /// Everything that was given a place is in its file now. Gives the entry behind the last.
    pub(super) fn all_written(&mut self) -> u64 {
        for segment in self.all.range_mut(self.written.0..).map(|(_, segment)| segment) {
            segment.written = segment.size;
            self.written = (segment.first, segment.next, segment.size);
        }
        self.next()
    }

    /// What was given a place since everything had last been written is in no file, and has no place any more.
    pub(super) fn not_written(&mut self) {
        let (segment, next, size) = self.written;
        let active = self.active();
        for left in self.all.range(segment..active).map(|(_, left)| left) {
            if !self.done.remove(&left.first) {
                self.used -= self.limits.chunks(left.size);
                self.used_bytes -= left.size;
            }
        }
        self.all.split_off(&(segment + 1));
        if let Some(segment) = self.all.get_mut(&segment) {
            (segment.next, segment.size) = (next, size);
            segment.marks.retain(|(entry, _)| *entry < next);
        }
    }

    /// The segment that has this entry, if it is there.
    fn with(&self, index: u64) -> Option<&Segment> {
        let (_, segment) = self.all.range(..=index).next_back()?;
        (index < segment.next).then_some(segment)
    }

    /// The way to an entry that is there.
    pub(super) fn way_to(&self, index: u64) -> Option<Way> {
        let segment = self.with(index)?;
        let known = segment.marks.partition_point(|(mark, _)| *mark <= index).checked_sub(1);
        let mark = known.and_then(|mark| segment.marks.get(mark));
        let (index, at) = mark.copied().unwrap_or((segment.first, SEGMENT_HEAD));
        Some(Way { segment: segment.first, index, at, size: segment.written })
    }

    /// The first entry that is there behind `index`, if any.
    pub(super) fn behind(&self, index: u64) -> Option<u64> {
        let (first, segment) = self.all.range(index + 1..).next()?;
        (segment.next > *first).then_some(*first)
    }

    /// The entry behind the last one of the segment whose first entry is `first`.
    pub(super) fn end_of(&self, first: u64) -> u64 {
        self.all.get(&first).map_or(first, |segment| segment.next)
    }

    /// The entries from `first` to `last` were confirmed: maybe a segment is done with.
    pub(super) fn settled(&mut self, first: u64, last: u64, confirmed: &Confirmed) {
        let from = self.with(first).map_or(first, |segment| segment.first);
        let active = self.active();
        let touched = self.all.range(from.min(active)..active).take_while(|(first, _)| **first <= last);
        for segment in touched.map(|(_, segment)| segment) {
            if confirmed.covers(segment.first, segment.next) && self.done.insert(segment.first) {
                self.used -= self.limits.chunks(segment.size);
                self.used_bytes -= segment.size;
                self.is_news = true;
            }
        }
    }

    /// `true` if a segment was done with since this was last taken.
    pub(super) fn has_news(&self) -> bool {
        self.is_news
    }

    /// `true` if a segment was done with since this was last asked.
    pub(super) fn take_news(&mut self) -> bool {
        mem::take(&mut self.is_news)
    }

    /// Forgets the segments that are done with, if it is kept on disk that they are: as `kept` says. Gives the names of
    /// their files.
    pub(super) fn take_done(&mut self, kept: &Confirmed) -> Vec<String> {
        // One that is still to be left for the next one stays.
        let done = self.done.range(..self.written.0).filter_map(|first| self.all.get(first));
        let done: Vec<u64> =
            done.filter(|done| kept.covers(done.first, done.next)).map(|done| done.first).collect();
        for first in &done {
            self.done.remove(first);
            self.all.remove(first);
        }
        done.into_iter().map(segment_name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bodies of 71 bytes make records of 100.
    fn segments(chunk_size: u64, max_chunks: u64) -> Segments {
        Segments::new(Limits { chunk_size, max_chunks }, vec![Segment::new(0)], &Confirmed::up_to(0))
    }

    /// Adds an entry and writes it; says whether a segment was begun for it.
    fn add(segments: &mut Segments, body: usize, position: u64) -> Option<bool> {
        let place = segments.add(body, &Confirmed::up_to(position)).ok()?;
        segments.all_written();
        Some(place.begins_segment)
    }

    fn confirm(segments: &mut Segments, first: u64, end: u64) -> Vec<String> {
        let mut confirmed = Confirmed::up_to(0);
        confirmed.add(first, end - 1);
        segments.settled(first, end - 1, &confirmed);
        segments.take_done(&confirmed)
    }

    #[test]
    fn a_segment_takes_what_fits_and_the_log_as_many_as_it_may() {
        let mut segments = segments(228, 2);
        let seen: Vec<_> = (0..5).map(|_| add(&mut segments, 71, 0)).collect();
        assert_eq!(seen, [Some(false), Some(false), Some(true), Some(false), None]);
        let full = segments.add(71, &Confirmed::up_to(0)).unwrap_err();
        assert_eq!((segments.next(), full.files, full.used_bytes, full.chunks), (4, 2, 456, 2));
        assert!(!full.is_for_good() && !segments.add(399, &Confirmed::up_to(0)).unwrap_err().is_for_good());
        assert!(
            segments.add(400, &Confirmed::up_to(0)).unwrap_err().is_for_good(),
            "457 bytes with both heads"
        );
        assert_eq!(confirm(&mut segments, 0, 2), [segment_name(0)]);
        assert_eq!(add(&mut segments, 71, 2), Some(true), "the first two are confirmed");
        assert_eq!(confirm(&mut segments, 0, 3), [""; 0]);
        assert_eq!(add(&mut segments, 71, 3), Some(false));
        assert_eq!(add(&mut segments, 71, 3), None);
    }

    #[test]
    fn one_segment_is_used_again_once_all_of_it_is_confirmed() {
        let mut segments = segments(128, 1);
        assert_eq!(add(&mut segments, 71, 0), Some(false));
        assert_eq!(add(&mut segments, 71, 0), None);
        assert_eq!(confirm(&mut segments, 0, 1), [""; 0], "it is the one that is written");
        assert!(segments.add(71, &Confirmed::up_to(1)).is_ok_and(|place| place.begins_segment));
        assert_eq!(confirm(&mut segments, 0, 1), [""; 0], "it is to be left first");
        segments.all_written();
        assert_eq!(confirm(&mut segments, 0, 1), [segment_name(0)]);
    }

    #[test]
    fn a_segment_in_the_middle_is_done_with_by_itself() {
        let mut segments = segments(228, 4);
        (0..8).for_each(|_| assert!(add(&mut segments, 71, 0).is_some()));
        assert_eq!(confirm(&mut segments, 1, 6), [segment_name(2), segment_name(4)]);
        assert_eq!(segments.add(1_000, &Confirmed::up_to(0)).unwrap_err().files, 2);
        assert!(segments.way_to(0).is_some() && segments.way_to(3).is_none() && segments.way_to(7).is_some());
        assert!(segments.has_news() && segments.take_news() && !segments.has_news());
        (0..4).for_each(|_| assert!(add(&mut segments, 71, 0).is_some()));
        assert_eq!(add(&mut segments, 71, 0), None);
    }

    #[test]
    fn what_could_not_be_written_has_no_place() {
        let mut segments = segments(328, 10);
        (0..2).for_each(|_| assert!(add(&mut segments, 71, 0).is_some()));
        let before = format!("{segments:?}");
        (0..9).for_each(|_| assert!(segments.add(71, &Confirmed::up_to(0)).is_ok()));
        segments.not_written();
        assert_eq!(format!("{segments:?}"), before);
        (0..28).for_each(|_| assert!(add(&mut segments, 71, 0).is_some()));
        assert_eq!(add(&mut segments, 71, 0), None);
    }

    #[test]
    fn a_large_entry_counts_as_several_segments() {
        let mut segments = segments(100, 3);
        assert_eq!(add(&mut segments, 271, 0), None, "328 bytes with the head of the segment");
        assert_eq!(add(&mut segments, 143, 0), Some(false), "exactly two");
        assert_eq!(add(&mut segments, 43, 0), Some(true));
        assert_eq!(add(&mut segments, 1, 0), None);
    }

    #[test]
    fn entries_are_found_by_marks() {
        let mut segments = segments(1_000_000, 3);
        while segments.all.len() < 3 {
            add(&mut segments, 971, 0);
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
        confirm(&mut segments, 0, 1_500);
        assert_eq!(segments.way_to(0), None);
    }
}
