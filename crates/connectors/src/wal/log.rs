//! The files of a log: writing and making things last.
//!
//! What has to be safe before what:
//!
//! * a segment is synced before the next one is begun, so only the last one can have a torn end;
//! * the head of a segment is synced before anything follows it;
//! * the end of a segment that was cut off is synced before anything follows it;
//! * the name of a segment is synced before an entry in it counts as safe;
//! * the position is synced before segments are removed of which it says that they are confirmed, so that a gap never
//!   looks like a loss.

use super::{
    confirmed::Confirmed,
    files::{Files, Stored},
    format::{RecordHead, SegmentHead, segment_name},
    opening::{Found, Opening, There},
    position::{Kept, MOST_KEPT_RUNS, POSITION, PositionFile},
    segments::{Limits, NoRoom, Place, Segment, Segments},
};
use std::{fmt::Display, io, mem, sync::Arc};

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
        place: impl FnOnce(usize) -> Result<Place, NoRoom>,
    ) -> Result<(), NoRoom> {
        let start = self.bodies.len();
        write(&mut self.bodies);
        let end = self.bodies.len();
        let place = place(end - start).inspect_err(|_| self.bodies.truncate(start))?;
        self.entries.push(NewEntry { place, is_batch, end });
        Ok(())
    }
}

/// Why something was not written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WriteError {
    /// There was no room or the like; everything is as it was before.
    Refused(String),
    /// The log is unusable now.
    Broken(String),
}

/// The files of one log.
pub(super) struct Log {
    files: Arc<dyn Files>,
    durability: Durability,
    /// The segment that is written.
    active: Active,
    /// The entry behind the last one that was written, and behind the last one that is safe.
    next: u64,
    safe: u64,
    position: PositionFile,
    /// Files that could not be removed so far.
    leftover: Vec<String>,
}

struct Active {
    file: Box<dyn Stored>,
    head: SegmentHead,
    /// How much of it is safe.
    synced: u64,
}

/// Segments that were left for others while one batch was written.
#[derive(Default)]
struct Left {
    /// The first of them, in which the batch begins.
    before: Option<Active>,
    /// The first entries of those that were begun for the batch. They are not kept open: a large batch may fill many.
    begun: Vec<u64>,
}

impl Left {
    fn add(&mut self, left: Active) {
        match self.before {
            Some(_) => self.begun.push(left.head.first),
            None => self.before = Some(left),
        }
    }
}

/// A log that was opened.
pub(super) struct Opened {
    pub(super) log: Log,
    pub(super) segments: Segments,
    /// What is confirmed.
    pub(super) confirmed: Confirmed,
}

impl Log {
    /// Opens the log in `files`, or begins one. An error names the file and says what is wrong with it.
    pub(super) fn open(
        files: Arc<dyn Files>,
        durability: Durability,
        limits: Limits,
    ) -> Result<Opened, String> {
        if durability != Durability::Never {
            // Whoever used the log before may have ended between making a file and making its name last.
            files.sync_names().map_err(|error| failed(&*files, "", "syncing", &error))?;
        }
        let mut opening = Opening::of(&*files, durability);
        let There { position, confirmed, mut found } = opening.scan()?;
        let next = found.last().map_or(0, |found| found.segment.next);
        let top = confirmed.end().max(position.kept.end).max(next);
        let mut active = None;
        if found.is_empty() || top > next {
            // The end of the log was lost after it had been confirmed. What comes next must not get the index of
            // something confirmed.
            let begun = begin_segment(&*files, durability, top);
            active = Some(begun.map_err(|(WriteError::Refused(cause) | WriteError::Broken(cause))| cause)?);
            for done in
                found.extract_if(.., |found| confirmed.covers(found.segment.first, found.segment.next))
            {
                opening.remove(done.segment.first)?;
            }
        }
        let mut all = Vec::new();
        let mut last = None;
        for Found { head, segment } in found {
            all.push(segment);
            last = Some(head);
        }
        all.extend(active.is_some().then(|| Segment::new(top)));
        let active = match (active, last) {
            (Some(active), _) => active,
            (None, Some(head)) => {
                let name = segment_name(head.first);
                let mut file =
                    files.open(&name).map_err(|error| failed(&*files, &name, "opening", &error))?;
                if durability != Durability::Never {
                    // Whoever made it may have ended before its head was safe.
                    file.sync().map_err(|error| failed(&*files, &name, "syncing", &error))?;
                }
                Active { head, synced: if durability == Durability::Never { 0 } else { file.size() }, file }
            }
            (None, None) => return Err("the log has no segments".to_owned()),
        };
        let (safe, leftover) = (position.kept.end, Vec::new());
        let knows_all = opening.knows_all;
        let mut log = Self { files: files.clone(), durability, active, next: top, safe, position, leftover };
        if !knows_all {
            // What may be missing is not to be missed the next time.
            log.persist(&confirmed, true)?;
        }
        Ok(Opened { log, segments: Segments::new(limits, all, &confirmed), confirmed })
    }

    /// How messages call it.
    pub(super) fn shown(&self) -> String {
        self.files.shown("").trim_end_matches('/').to_owned()
    }

    /// Writes `batch`; what that means for what is safe is said by [`Durability`].
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), WriteError> {
        let Some(first) = batch.entries.first().map(|entry| entry.place.index) else { return Ok(()) };
        if first != self.next {
            let next = self.next;
            return Err(WriteError::Broken(format!(
                "entry {first} was to be written where entry {next} belongs"
            )));
        }
        let size = self.active.file.size();
        let mut left = Left::default();
        match self.append(batch, &mut left) {
            Ok(()) => {
                self.next = first + batch.entries.len() as u64;
                if self.durability == Durability::Always {
                    self.sync().map_err(WriteError::Broken)
                } else {
                    Ok(())
                }
            }
            Err(WriteError::Refused(cause)) => match self.take_back(left, size) {
                Ok(()) => Err(WriteError::Refused(cause)),
                Err(error) => Err(WriteError::Broken(format!("{cause}; then {error}"))),
            },
            broken => broken,
        }
    }

    /// Appends the records of `batch`. The segments that it leaves for new ones go to `left`.
    fn append(&mut self, batch: &Batch, left: &mut Left) -> Result<(), WriteError> {
        let mut records = Vec::with_capacity(batch.bodies.len() + batch.entries.len() * 32);
        let mut start = 0;
        for entry in &batch.entries {
            if entry.place.begins_segment {
                self.append_records(&mut records)?;
                self.sync_active().map_err(WriteError::Broken)?;
                let begun = begin_segment(&*self.files, self.durability, entry.place.index);
                left.add(mem::replace(&mut self.active, begun?));
            }
            let body = batch.bodies.get(start..entry.end).unwrap_or_default();
            start = entry.end;
            let numbers = (entry.place.index, self.active.synced);
            if !RecordHead::write(&mut records, self.active.head.salt, numbers, entry.is_batch, body) {
                return Err(WriteError::Refused("an event takes 4 GiB or more".to_owned()));
            }
        }
        self.append_records(&mut records)
    }

    fn append_records(&mut self, records: &mut Vec<u8>) -> Result<(), WriteError> {
        let done = self.active.file.append(records);
        records.clear();
        done.map_err(|error| WriteError::Refused(self.failed_active("writing", &error)))
    }

    /// Goes back to the first of the segments that were left, which had `size` bytes.
    fn take_back(&mut self, left: Left, size: u64) -> Result<(), String> {
        let has_left = left.before.is_some();
        if let Some(before) = left.before {
            let begun = mem::replace(&mut self.active, before);
            for first in left.begun.into_iter().chain([begun.head.first]) {
                let name = segment_name(first);
                self.files.remove(&name).map_err(|error| failed(&*self.files, &name, "removing", &error))?;
            }
        }
        self.active.file.cut(size).map_err(|error| self.failed_active("cutting", &error))?;
        self.active.synced = self.active.synced.min(size);
        if self.durability != Durability::Never {
            // As at opening: before anything is written there.
            self.active.file.sync().map_err(|error| self.failed_active("syncing", &error))?;
            self.active.synced = size;
        }
        if has_left && self.durability != Durability::Never {
            self.files.sync_names().map_err(|error| failed(&*self.files, "", "syncing", &error))?;
        }
        Ok(())
    }

    /// Everything written is safe when this returns, unless nothing ever shall be.
    pub(super) fn sync(&mut self) -> Result<(), String> {
        self.sync_active()?;
        if self.durability != Durability::Never {
            self.safe = self.next;
        }
        Ok(())
    }

    /// Everything written is safe when this returns, whatever the durability: it is the end.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        if self.durability == Durability::Never {
            self.active.file.sync().map_err(|error| self.failed_active("syncing", &error))?;
            self.files.sync_names().map_err(|error| failed(&*self.files, "", "syncing", &error))?;
            self.safe = self.next;
        }
        Ok(())
    }

    fn sync_active(&mut self) -> Result<(), String> {
        let size = self.active.file.size();
        if self.durability == Durability::Never || self.active.synced == size {
            return Ok(());
        }
        self.active.file.sync().map_err(|error| self.failed_active("syncing", &error))?;
        self.active.synced = size;
        Ok(())
    }

    /// Keeps what is confirmed, as far as there is room for that, and how much is safe. With `lasting` it survives a
    /// loss of power. After an error, what was kept before is kept still. Gives what is kept.
    pub(super) fn persist(&mut self, confirmed: &Confirmed, lasting: bool) -> Result<Confirmed, String> {
        let (position, runs) = (confirmed.position(), confirmed.longest_runs(MOST_KEPT_RUNS));
        let kept = Kept { position, end: self.safe, runs };
        let mut says = Confirmed::up_to(position);
        kept.runs.iter().for_each(|(first, last)| says.add(*first, *last));
        let written = self.position.keep(kept, lasting || self.durability != Durability::Never);
        written.map_err(|error| failed(&*self.files, POSITION, "writing", &error))?;
        Ok(says)
    }

    /// Removes segments, of which nothing is needed any more. What cannot be removed is tried again the next time.
    pub(super) fn remove(&mut self, names: Vec<String>) -> Result<(), String> {
        self.leftover.extend(names);
        if self.leftover.is_empty() {
            return Ok(());
        }
        while let Some(name) = self.leftover.last() {
            match self.files.remove(name) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&*self.files, name, "removing", &error)),
            }
            self.leftover.pop();
        }
        if self.durability == Durability::Never {
            return Ok(());
        }
        self.files.sync_names().map_err(|error| failed(&*self.files, "", "syncing", &error))
    }

    fn failed_active(&self, doing: &str, error: &io::Error) -> String {
        failed(&*self.files, &segment_name(self.active.head.first), doing, error)
    }
}

/// The message for something that failed with a file.
pub(super) fn failed(files: &dyn Files, name: &str, doing: &str, error: &dyn Display) -> String {
    format!("{doing} `{}` failed: {error}", files.shown(name))
}

fn begin_segment(files: &dyn Files, durability: Durability, first: u64) -> Result<Active, WriteError> {
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
        Ok(Active { file, head, synced: 0 })
    };
    make().map_err(|error: io::Error| {
        let cause = failed(files, &name, "making", &error);
        match files.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => WriteError::Broken(cause),
            _ if durability != Durability::Never && files.sync_names().is_err() => WriteError::Broken(cause),
            _ => WriteError::Refused(cause),
        }
    })
}
