//! The files of a log: opening them after whatever happened, writing, making things last.
//!
//! What has to be safe before what:
//!
//! * a segment is synced before the next one is begun, so only the last one can have a torn end;
//! * the head of a segment is synced before anything follows it;
//! * the name of a segment is synced before an entry in it counts as safe;
//! * the position is synced before segments in front of it are removed, so that a gap never looks like a loss.

use super::{
    files::{Files, Stored},
    format::{
        self, Broken, FileError, Next, RecordHead, Records, SEGMENT_HEAD, SegmentHead, first_of_segment,
        segment_name,
    },
    segments::{Limits, Place, Segment, Segments},
};
use std::{collections::VecDeque, fmt::Display, io, sync::Arc};

/// What an acknowledged entry survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// A loss of power.
    Always,
    /// The end of the process; a loss of power costs what came since the last sync.
    Interval,
    /// The end of the process; a loss of power costs what the system had not written.
    Never,
}

/// Log target of what is told about files.
pub(super) const TARGET: &str = "tremor_runtime";
const POSITION: &str = "position";
const NEW_POSITION: &str = "position.new";

/// Entries that are written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entries: Vec<NewEntry>,
    bodies: Vec<u8>,
}

#[derive(Debug)]
struct NewEntry {
    place: Place,
    is_batch: bool,
    /// Where its body ends in the bodies of the batch; it begins where the one before it ends.
    end: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that it holds.
    pub(super) fn size(&self) -> usize {
        self.bodies.len()
    }

    /// Takes one more entry, if there is a place for it: `write` appends its body, `place` gets the length of that.
    pub(super) fn add(
        &mut self,
        is_batch: bool,
        write: impl FnOnce(&mut Vec<u8>),
        place: impl FnOnce(usize) -> Option<Place>,
    ) -> bool {
        let start = self.bodies.len();
        write(&mut self.bodies);
        let end = self.bodies.len();
        let place = place(end - start);
        match place {
            Some(place) => self.entries.push(NewEntry { place, is_batch, end }),
            None => self.bodies.truncate(start),
        }
        place.is_some()
    }
}

/// The files of one log.
pub(super) struct Log {
    files: Arc<dyn Files>,
    durability: Durability,
    /// The segment that is written.
    active: Box<dyn Stored>,
    head: SegmentHead,
    /// How much of it is safe.
    synced: u64,
    /// The position that is on disk.
    persisted: u64,
}

/// A log that was opened.
pub(super) struct Opened {
    pub(super) log: Log,
    pub(super) segments: Segments,
    /// The first entry that is not confirmed.
    pub(super) position: u64,
}

impl Log {
    /// Opens the log in `files`, or begins one. An error names the file and says what is wrong with it.
    pub(super) fn open(
        files: Arc<dyn Files>,
        durability: Durability,
        limits: Limits,
    ) -> Result<Opened, String> {
        let mut opening = Opening { files: &*files, firsts: Vec::new() };
        let (persisted, mut found) = opening.scan()?;
        let next = found.last().map_or(0, |found| found.segment.next);
        let first = found.first().map_or(0, |found| found.segment.first);
        let position = persisted.max(first);
        if durability != Durability::Never {
            // Whoever used the log before may have ended between making a file and making its name last.
            files.sync_names().map_err(|error| failed(&*files, "", "syncing", &error))?;
        }
        if position > next {
            // The end of the log was lost after it had been confirmed. What comes next must not get the index of
            // something confirmed.
            found.clear();
        }
        let mut all: VecDeque<Segment> = VecDeque::new();
        let mut active = None;
        for Found { file, head, segment } in found {
            all.push_back(segment);
            active = Some((file, head));
        }
        let (active, head) = match active {
            Some(active) => active,
            None => {
                let begun = begin_segment(&*files, durability, position)?;
                opening.firsts.iter().try_for_each(|first| opening.remove(*first))?;
                all.push_back(Segment::new(position));
                begun
            }
        };
        let log = Self { files: files.clone(), durability, active, head, synced: 0, persisted };
        let mut segments = Segments::new(limits, all);
        segments.all_written();
        Ok(Opened { log, segments, position })
    }

    /// How messages call it.
    pub(super) fn shown(&self) -> String {
        self.files.shown("").trim_end_matches('/').to_owned()
    }

    /// Writes `batch`; what that means for what is safe is said by [`Durability`].
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), String> {
        let mut records = Vec::with_capacity(batch.bodies.len() + batch.entries.len() * 32);
        let mut start = 0;
        for entry in &batch.entries {
            if entry.place.begins_segment {
                self.append(&mut records)?;
                self.sync()?;
                (self.active, self.head) = begin_segment(&*self.files, self.durability, entry.place.index)?;
                self.synced = 0;
            }
            let body = batch.bodies.get(start..entry.end).unwrap_or_default();
            start = entry.end;
            let numbers = (entry.place.index, self.synced);
            if !RecordHead::write(&mut records, self.head.salt, numbers, entry.is_batch, body) {
                return Err("an event takes 4 GiB or more".to_owned());
            }
        }
        self.append(&mut records)?;
        if self.durability == Durability::Always { self.sync() } else { Ok(()) }
    }

    fn append(&mut self, records: &mut Vec<u8>) -> Result<(), String> {
        let done = self.active.append(records);
        records.clear();
        done.map_err(|error| self.failed_active("writing", &error))
    }

    /// Everything written is safe when this returns, unless nothing ever shall be.
    pub(super) fn sync(&mut self) -> Result<(), String> {
        let size = self.active.size();
        if self.durability == Durability::Never || self.synced == size {
            return Ok(());
        }
        self.active.sync().map_err(|error| self.failed_active("syncing", &error))?;
        self.synced = size;
        Ok(())
    }

    /// Keeps `position`.
    pub(super) fn persist(&mut self, position: u64) -> Result<(), String> {
        if position == self.persisted {
            return Ok(());
        }
        let lasting = self.durability != Durability::Never;
        let write = || {
            let mut file = self.files.create(NEW_POSITION)?;
            file.append(&format::position_to_bytes(position))?;
            if lasting {
                file.sync()?;
            }
            self.files.rename(NEW_POSITION, POSITION)?;
            if lasting { self.files.sync_names() } else { Ok(()) }
        };
        write().map_err(|error| failed(&*self.files, POSITION, "writing", &error))?;
        self.persisted = position;
        Ok(())
    }

    /// Removes segments, of which nothing is needed any more.
    pub(super) fn remove(&mut self, names: &[String]) -> Result<(), String> {
        for name in names {
            self.files.remove(name).map_err(|error| failed(&*self.files, name, "removing", &error))?;
        }
        if names.is_empty() || self.durability == Durability::Never {
            return Ok(());
        }
        self.files.sync_names().map_err(|error| failed(&*self.files, "", "syncing", &error))
    }

    fn failed_active(&self, doing: &str, error: &io::Error) -> String {
        failed(&*self.files, &segment_name(self.head.first), doing, error)
    }
}

fn failed(files: &dyn Files, name: &str, doing: &str, error: &dyn Display) -> String {
    format!("{doing} `{}` failed: {error}", files.shown(name))
}

fn begin_segment(
    files: &dyn Files,
    durability: Durability,
    first: u64,
) -> Result<(Box<dyn Stored>, SegmentHead), String> {
    let name = segment_name(first);
    let make = || {
        let salt = getrandom::u32().map_err(io::Error::other)?;
        let head = SegmentHead { salt, first };
        let mut file = files.create(&name)?;
        file.append(&head.to_bytes())?;
        if durability != Durability::Never {
            // Before anything follows: a head that is there only in part can then be told from a damaged one.
            file.sync()?;
            files.sync_names()?;
        }
        Ok((file, head))
    };
    make().map_err(|error: io::Error| failed(files, &name, "making", &error))
}

/// A segment that was found and is whole.
struct Found {
    file: Box<dyn Stored>,
    head: SegmentHead,
    segment: Segment,
}

/// Looks at what is there.
struct Opening<'a> {
    files: &'a dyn Files,
    /// The segments that are kept, by their first entries.
    firsts: Vec<u64>,
}

impl Opening<'_> {
    /// The position on disk, and the segments that may have something behind it.
    fn scan(&mut self) -> Result<(u64, Vec<Found>), String> {
        let names = self.files.names().map_err(|error| failed(self.files, "", "reading", &error))?;
        let position = if names.iter().any(|name| name == POSITION) { self.position()? } else { 0 };
        self.firsts = names.iter().filter_map(|name| first_of_segment(name)).collect();
        self.firsts.sort_unstable();
        let confirmed = self.firsts.iter().skip(1).take_while(|next| **next <= position).count();
        for first in self.firsts.drain(..confirmed).collect::<Vec<_>>() {
            self.remove(first)?;
        }
        self.drop_unfinished()?;
        let mut found: Vec<Found> = Vec::new();
        let firsts = self.firsts.clone();
        for (at, first) in firsts.iter().enumerate() {
            if let Some(previous) = found.last().filter(|previous| previous.segment.next != *first) {
                let (name, next) = (segment_name(previous.segment.first), previous.segment.next);
                return Err(format!(
                    "`{}` ends with entry {}, but the segment behind it, `{}`, begins with entry {first} instead of \
                     {next}: a segment is missing, or one is cut short. {ADVICE}",
                    self.files.shown(&name),
                    next.saturating_sub(1),
                    segment_name(*first),
                ));
            }
            let is_last = at + 1 == firsts.len();
            found.push(self.segment(*first, is_last)?);
        }
        Ok((position, found))
    }

    /// Removes the last segment if not even its head was finished.
    fn drop_unfinished(&mut self) -> Result<(), String> {
        while let Some(first) = self.firsts.last().copied()
            && self.head(first)?.1.is_none()
        {
            let name = self.files.shown(&segment_name(first));
            tracing::warn!(target: TARGET, "`{name}` was never finished: it has no entries and is removed");
            self.firsts.pop();
            self.remove(first)?;
        }
        Ok(())
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

    /// Reads a segment from its start to its end.
    fn segment(&self, first: u64, is_last: bool) -> Result<Found, String> {
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
            if !is_last || records.proof_of_damage(at).map_err(reading)?.is_some() {
                return Err(self.damaged(&name, broken));
            }
            let mut file = records.into_file();
            let cut = file.size() - at;
            let (shown, Broken { index, what, .. }) = (self.files.shown(&name), broken);
            tracing::warn!(
                target: TARGET,
                "`{shown}` ends with an entry that was never finished: entry {index} at byte {at}, {what}. The last \
                 {cut} bytes are cut off; nobody was told that they were safe"
            );
            file.cut(at).map_err(|error| failed(self.files, &name, "cutting", &error))?;
            return Ok(Found { file, head, segment });
        }
        Ok(Found { file: records.into_file(), head, segment })
    }

    fn position(&self) -> Result<u64, String> {
        let file = self.files.open(POSITION);
        let file = file.map_err(|error| failed(self.files, POSITION, "opening", &error))?;
        match format::read_position(&*file) {
            Ok(position) => Ok(position),
            Err(FileError::Damaged(what)) => {
                let name = self.files.shown(POSITION);
                tracing::warn!(
                    target: TARGET,
                    "`{name}` is damaged: {what}. All entries that are still there are delivered again"
                );
                Ok(0)
            }
            Err(error) => Err(self.refused(POSITION, &error)),
        }
    }

    fn remove(&self, first: u64) -> Result<(), String> {
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
