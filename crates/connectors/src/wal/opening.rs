//! Finding out what is there when a log is opened, after whatever happened to it.

use super::{
    confirmed::Confirmed,
    files::{Files, Stored},
    format::{Broken, FileError, Next, Records, SEGMENT_HEAD, SegmentHead, first_of_segment, segment_name},
    log::{Durability, TARGET, failed},
    position::{Kept, MOST_KEPT_RUNS, POSITION, PositionFile},
    segments::Segment,
};
use std::io;

/// A segment that was found and is whole. Its file is closed again: there may be more of them than a process can have
/// open.
pub(super) struct Found {
    pub(super) head: SegmentHead,
    pub(super) segment: Segment,
}

/// What is there.
pub(super) struct There {
    pub(super) position: PositionFile,
    pub(super) confirmed: Confirmed,
    /// Segments that may have something that is not confirmed, in order.
    pub(super) found: Vec<Found>,
}

/// Looks at what is there.
pub(super) struct Opening<'a> {
    files: &'a dyn Files,
    durability: Durability,
    /// The segments that are kept, by their first entries.
    firsts: Vec<u64>,
    /// It is known what has to be there, because the position is whole.
    pub(super) knows_all: bool,
    /// What may be missing or not, if that is not known.
    gaps: Vec<(u64, u64)>,
}

impl<'a> Opening<'a> {
    pub(super) fn of(files: &'a dyn Files, durability: Durability) -> Self {
        Self { files, durability, firsts: Vec::new(), knows_all: false, gaps: Vec::new() }
    }

    /// Checks that everything is there that should be.
    pub(super) fn scan(&mut self) -> Result<There, String> {
        let names = self.files.names().map_err(|error| failed(self.files, "", "reading", &error))?;
        self.firsts = names.iter().filter_map(|name| first_of_segment(name)).collect();
        self.firsts.sort_unstable();
        let position = self.position(names.iter().any(|name| name == POSITION))?;
        let kept = &position.kept;
        let mut confirmed = Confirmed::up_to(kept.position);
        kept.runs.iter().for_each(|(first, last)| confirmed.add(*first, *last));
        self.drop_confirmed(&confirmed)?;
        self.drop_unfinished(kept.end)?;
        let found = self.segments(&confirmed, kept.end)?;
        if !self.gaps.is_empty() {
            if confirmed.runs() + self.gaps.len() > MOST_KEPT_RUNS {
                // The gaps have to be kept, or they will count as missing the next time.
                confirmed = Confirmed::up_to(kept.position);
            }
            self.gaps.iter().for_each(|(first, last)| confirmed.add(*first, *last));
        }
        Ok(There { position, confirmed, found })
    }

    /// The position on disk; what is there begins anew if there is none.
    fn position(&mut self, exists: bool) -> Result<PositionFile, String> {
        let opened = if exists { PositionFile::open(self.files) } else { Ok(None) };
        let opened = opened.map_err(|error| self.refused(POSITION, &error))?;
        let first = self.firsts.first().copied();
        self.knows_all = !exists && first.is_none() || opened.as_ref().is_some_and(|file| !file.is_doubtful);
        if !self.knows_all {
            tracing::warn!(
                target: TARGET,
                "`{}` {}. Entries that are there are delivered again unless they are known to be confirmed, and \
                 whether any are missing in front of them, between them or at the end cannot be told",
                self.files.shown(POSITION),
                match (exists, opened.is_some()) {
                    (_, true) => "is damaged in part: only something older is known of what was confirmed",
                    (true, false) => "is damaged: nothing is known of what was confirmed",
                    (false, false) => "is missing: nothing is known of what was confirmed",
                },
            );
        }
        if let Some(position) = opened {
            return Ok(position);
        }
        let kept = Kept { position: first.unwrap_or_default(), ..Kept::default() };
        PositionFile::create(self.files, kept).map_err(|error| failed(self.files, POSITION, "making", &error))
    }

    /// Removes segments in front of others of which everything is confirmed.
    fn drop_confirmed(&mut self, confirmed: &Confirmed) -> Result<(), String> {
        let nexts = self.firsts.iter().skip(1).map(Some).chain([None]);
        let is_done =
            |(first, next): (&u64, Option<&u64>)| next.is_some_and(|next| confirmed.covers(*first, *next));
        let (done, kept): (Vec<_>, Vec<_>) = self.firsts.iter().zip(nexts).partition(|pair| is_done(*pair));
        let kept = kept.into_iter().map(|(first, _)| *first).collect();
        done.into_iter().try_for_each(|(first, _)| self.remove(*first))?;
        self.firsts = kept;
        Ok(())
    }

    /// Removes the last segment if not even its head was finished, and nothing in it was ever safe.
    fn drop_unfinished(&mut self, end: u64) -> Result<(), String> {
        while let Some(first) = self.firsts.last().copied().filter(|first| *first >= end)
            && self.head(first)?.1.is_none()
        {
            let name = self.files.shown(&segment_name(first));
            tracing::warn!(target: TARGET, "`{name}` was never finished: it has no entries and is removed");
            self.firsts.pop();
            self.remove(first)?;
            // Before its entries go to another segment: it must not come back then.
            self.files.sync_names().map_err(|error| failed(self.files, "", "syncing", &error))?;
        }
        Ok(())
    }

    /// Reads all segments. What is neither in one of them nor confirmed must not lie between them, and not in front of
    /// `end` either; unless nobody knows: then it is a gap.
    fn segments(&mut self, confirmed: &Confirmed, end: u64) -> Result<Vec<Found>, String> {
        let (mut found, mut gaps): (Vec<Found>, _) = (Vec::new(), Vec::new());
        let mut next = confirmed.position();
        for (at, first) in self.firsts.iter().enumerate() {
            let previous = found.last().map(|previous| &previous.segment);
            if let Some(previous) = previous.filter(|previous| previous.next > *first) {
                return Err(format!(
                    "`{}` ends with entry {}, but the segment behind it, `{}`, begins with entry {first} instead of {}. \
                     {ADVICE}",
                    self.files.shown(&segment_name(previous.first)),
                    previous.next.saturating_sub(1),
                    segment_name(*first),
                    previous.next,
                ));
            }
            let last = first.saturating_sub(1);
            if !confirmed.covers(next, *first) && !self.knows_all {
                gaps.push((next, last));
            } else if !confirmed.covers(next, *first) {
                return Err(self.missing((confirmed.next_open(next), last), previous, Some(*first)));
            }
            let segment = self.segment(*first, at + 1 == self.firsts.len(), end)?;
            next = next.max(segment.segment.next);
            found.push(segment);
        }
        if !confirmed.covers(next, end) && !self.knows_all {
            gaps.push((next, end - 1));
        } else if !confirmed.covers(next, end) {
            let previous = found.last().map(|previous| &previous.segment);
            return Err(self.missing((confirmed.next_open(next), end - 1), previous, None));
        }
        self.gaps = gaps;
        Ok(found)
    }

    fn missing(
        &self,
        (first, last): (u64, u64),
        previous: Option<&Segment>,
        following: Option<u64>,
    ) -> String {
        let shown = |first| format!("`{}`", self.files.shown(&segment_name(first)));
        let place = match (previous, following) {
            (None, None) => format!("`{}` has no segment with them", self.files.shown("")),
            (None, Some(next)) => format!("the first segment, {}, begins with entry {next}", shown(next)),
            (Some(previous), None) => {
                format!(
                    "the last segment, {}, ends with entry {}",
                    shown(previous.first),
                    previous.next.saturating_sub(1)
                )
            }
            (Some(previous), Some(next)) => format!(
                "{} ends with entry {}, but the segment behind it, `{}`, begins with entry {next} instead of {}",
                shown(previous.first),
                previous.next.saturating_sub(1),
                segment_name(next),
                previous.next,
            ),
        };
        format!(
            "entries {first} to {last} were stored and not confirmed, but they are missing: {place}. A segment is \
             missing, or one is cut short. {ADVICE}"
        )
    }

    fn head(&self, first: u64) -> Result<(Box<dyn Stored>, Option<SegmentHead>), String> {
        let name = segment_name(first);
        let file = self.files.open(&name).map_err(|error| failed(self.files, &name, "opening", &error))?;
        let head = SegmentHead::read(&*file).map_err(|error| self.refused(&name, &error))?;
        match head {
            Some(head) if head.first != first => Err(format!(
                "`{}` is damaged: inside it says that its first entry is {}. {ADVICE}",
                self.files.shown(&name),
                head.first
            )),
            head => Ok((file, head)),
        }
    }

    /// Reads a segment from its start to its end. Entries in front of `end` were safe.
    fn segment(&self, first: u64, is_last: bool, end: u64) -> Result<Found, String> {
        let name = segment_name(first);
        let (file, head) = self.head(first)?;
        let Some(head) = head else {
            let shown = self.files.shown(&name);
            return Err(format!("`{shown}` is damaged: its first line is missing. {ADVICE}"));
        };
        let mut segment = Segment::new(first);
        let mut records = Records::new(file, head, SEGMENT_HEAD, first);
        let reading = |error: io::Error| failed(self.files, &name, "reading", &error);
        loop {
            let (at, _) = records.place();
            let broken = match records.next().map_err(reading)? {
                Next::Entry(..) => {
                    segment.add(records.place().0 - at);
                    continue;
                }
                Next::End => break,
                Next::Broken(broken) => broken,
            };
            if !is_last || broken.index < end || !records.is_torn(broken).map_err(reading)? {
                return Err(self.damaged(&name, broken));
            }
            let mut file = records.into_file();
            self.cut(&name, &mut *file, broken)?;
            return Ok(Found { head, segment });
        }
        Ok(Found { head, segment })
    }

    /// Cuts off the end of a segment from `broken` on, and keeps a copy of it beside.
    fn cut(&self, name: &str, file: &mut dyn Stored, broken: Broken) -> Result<(), String> {
        let Broken { at, index, what } = broken;
        let (aside, bytes) = (format!("{name}.{at}.cut"), file.size() - at);
        let copied = self.copy(file, at, &aside);
        let kept = match copied {
            Ok(()) => format!("are moved to `{}`", self.files.shown(&aside)),
            Err(error) => {
                format!("are cut off (they could not be kept in `{}`: {error})", self.files.shown(&aside))
            }
        };
        let meaning = match self.durability {
            Durability::Always => "With `sync` \"always\" nobody was told that it was stored",
            Durability::Interval | Durability::Never => {
                "With this `sync` it may have been acknowledged before the power went; it is not delivered"
            }
        };
        tracing::warn!(
            target: TARGET,
            "`{}` ends with an entry that was never finished: entry {index} at byte {at}, {what}. The last {bytes} bytes \
             {kept}. {meaning}",
            self.files.shown(name),
        );
        file.cut(at).map_err(|error| failed(self.files, name, "cutting", &error))?;
        // Before anything is written there: rests of this in front of that would look like damage.
        file.sync().map_err(|error| failed(self.files, name, "syncing", &error))
    }

    fn copy(&self, file: &dyn Stored, from: u64, aside: &str) -> io::Result<()> {
        let (mut at, mut buffer) = (from, vec![0; 64 * 1024]);
        let mut copy = self.files.create(aside)?;
        loop {
            let read = file.read_at(at, &mut buffer)?;
            if read == 0 {
                return copy.sync();
            }
            copy.append(buffer.get(..read).unwrap_or_default())?;
            at += read as u64;
        }
    }

    /// Removes a segment.
    pub(super) fn remove(&self, first: u64) -> Result<(), String> {
        let name = segment_name(first);
        self.files.remove(&name).map_err(|error| failed(self.files, &name, "removing", &error))
    }

    fn refused(&self, name: &str, error: &FileError) -> String {
        let shown = self.files.shown(name);
        match error {
            FileError::Io(error) => format!("reading `{shown}` failed: {error}"),
            FileError::Foreign(what) => format!("`{shown}` cannot be used: {what}"),
            FileError::Damaged(what) => format!("`{shown}` is damaged: {what}. {ADVICE}"),
        }
    }

    fn damaged(&self, name: &str, Broken { at, index, what }: Broken) -> String {
        let shown = self.files.shown(name);
        format!("`{shown}` is damaged: at byte {at} entry {index} should begin, but {what}. {ADVICE}")
    }
}

/// What a user can do about a damaged log.
const ADVICE: &str =
    "Put a copy of the directory in its place, or move the directory away to begin an empty log";
