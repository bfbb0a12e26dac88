//! What is known of a log besides its segments: what is confirmed, and how far it reached.
//!
//! ```text
//! position file = slot  slot                                  4096 bytes each
//! slot          = "trempos\n" version:4 sequence:8 position:8 end:8 count:4  (first:8 last:8){count}  checksum:4  zeros
//! ```
//!
//! Numbers have the lowest byte first. The slots are written in turn, in place: the one with the higher sequence counts,
//! a write that breaks off leaves the other, and nothing of this needs room on a full disk.
//!
//! If one slot is damaged it cannot be told which one of them that is, nor whether it said more than the other: what
//! is whole then says what is confirmed, but not what has to be there, because segments may have been removed since.

use super::{
    files::{Files, Stored},
    format::{Fields, FileError, MAX_INDEX, check_kind, checksum, read_full},
};
use std::io;

/// The file, and what it is called while it is made.
pub(super) const POSITION: &str = "position";
const NEW_POSITION: &str = "position.new";
const MAGIC: [u8; 8] = *b"trempos\n";
/// The version that is written, and the only one that is read.
const VERSION: u32 = 2;
const SLOT: usize = 4096;
const SLOT_HEAD: usize = 40;
/// Runs of confirmed entries that fit into a slot.
pub(super) const MOST_KEPT_RUNS: usize = 250;

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Everything in front of this entry is confirmed.
    pub(super) position: u64,
    /// Entries in front of this one were safe: what of them is not confirmed has to be there.
    pub(super) end: u64,
    /// Confirmed entries behind the position, first and last of each run.
    pub(super) runs: Vec<(u64, u64)>,
}

impl Kept {
    fn to_slot(&self, sequence: u64) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        for number in [sequence, self.position, self.end] {
            bytes.extend(number.to_le_bytes());
        }
        let runs = self.runs.get(..MOST_KEPT_RUNS).unwrap_or(&self.runs);
        bytes.extend(u32::try_from(runs.len()).unwrap_or_default().to_le_bytes());
        for (first, last) in runs {
            bytes.extend(first.to_le_bytes());
            bytes.extend(last.to_le_bytes());
        }
        bytes.extend(checksum(0, &bytes).to_le_bytes());
        bytes.resize(SLOT, 0);
        bytes
    }

    /// What a slot says, and its sequence; `None` if it is damaged, was never written or not to its end.
    fn from_slot(slot: &[u8]) -> Option<(u64, Self)> {
        let mut fields = Fields(slot.get(12..)?);
        let (sequence, position, end) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let count = usize::try_from(fields.u32()?).ok().filter(|count| *count <= MOST_KEPT_RUNS)?;
        let mut runs = Vec::with_capacity(count);
        for _ in 0..count {
            runs.push((fields.u64()?, fields.u64()?));
        }
        let is_whole = fields.u32()? == checksum(0, slot.get(..SLOT_HEAD + count * 16)?);
        let are_ordered = runs.iter().all(|(first, last)| first <= last && *last <= MAX_INDEX);
        let fits = position <= MAX_INDEX && end <= MAX_INDEX && are_ordered;
        (is_whole && fits).then_some((sequence, Self { position, end, runs }))
    }
}

/// What a slot says.
enum Slot {
    Blank,
    Damaged,
    Whole(u64, Kept),
}

impl Slot {
    /// Reads a slot. An error is one that another version wrote.
    fn read(slot: &[u8]) -> Result<Self, FileError> {
        if slot.iter().all(|byte| *byte == 0) {
            return Ok(Self::Blank);
        }
        if !slot.starts_with(&MAGIC) {
            return Ok(Self::Damaged);
        }
        if let Err(error) = check_kind(slot, (MAGIC, VERSION), "the position in a log") {
            // With nothing but its version changed it would be whole: then it is the version that is damaged.
            let mut own = slot.to_vec();
            own.splice(MAGIC.len()..MAGIC.len() + 4, VERSION.to_le_bytes());
            return if Kept::from_slot(&own).is_some() { Ok(Self::Damaged) } else { Err(error) };
        }
        Ok(Kept::from_slot(slot).map_or(Self::Damaged, |(sequence, kept)| Self::Whole(sequence, kept)))
    }

    fn whole(self) -> Option<(u64, Kept)> {
        if let Self::Whole(sequence, kept) = self { Some((sequence, kept)) } else { None }
    }
}

/// The open file.
pub(super) struct PositionFile {
    file: Box<dyn Stored>,
    sequence: u64,
    /// What it says.
    pub(super) kept: Kept,
    /// It may have said more than that: a part of it is damaged.
    pub(super) is_doubtful: bool,
    /// What it says survives a loss of power.
    lasts: bool,
}

impl PositionFile {
    /// Opens the file; `None` if nothing in it can be read as what it should be. What it says lasts when this returns.
    pub(super) fn open(files: &dyn Files) -> Result<Option<Self>, FileError> {
        let mut file = files.open(POSITION)?;
        // Segments are removed because of what it says.
        file.sync()?;
        let mut bytes = vec![0; SLOT * 2];
        let read = read_full(&*file, 0, &mut bytes)?;
        let mut slots = Vec::with_capacity(2);
        for slot in bytes.chunks(SLOT) {
            slots.push(Slot::read(slot)?);
        }
        let is_damaged = slots.iter().any(|slot| matches!(slot, Slot::Damaged));
        let has_blank = slots.iter().any(|slot| matches!(slot, Slot::Blank));
        let whole = slots.into_iter().filter_map(Slot::whole);
        let newest = whole.max_by_key(|(sequence, _)| *sequence);
        let newest = newest.filter(|_| read == bytes.len() && file.size() == read as u64);
        Ok(newest.map(|(sequence, kept)| {
            // From the second time on that something is kept, both slots have been written.
            let is_doubtful = is_damaged || has_blank && sequence > 0;
            Self { file, sequence, kept, is_doubtful, lasts: true }
        }))
    }

    /// Makes the file, in the place of one that may be there. It lasts when this returns.
    pub(super) fn create(files: &dyn Files, kept: Kept) -> io::Result<Self> {
        let mut file = files.create(NEW_POSITION)?;
        let mut slots = kept.to_slot(0);
        slots.resize(SLOT * 2, 0);
        file.append(&slots)?;
        file.sync()?;
        files.rename(NEW_POSITION, POSITION)?;
        files.sync_names()?;
        Ok(Self { file, sequence: 0, kept, is_doubtful: false, lasts: true })
    }

    /// Keeps this from now on; with `lasting`, it survives a loss of power when this returns. After an error what was
    /// kept before is still there.
    pub(super) fn keep(&mut self, kept: Kept, lasting: bool) -> io::Result<()> {
        if kept == self.kept && (self.lasts || !lasting) {
            return Ok(());
        }
        let sequence = self.sequence + 1;
        let at = if sequence.is_multiple_of(2) { 0 } else { SLOT as u64 };
        self.file.overwrite(at, &kept.to_slot(sequence))?;
        if lasting {
            self.file.sync()?;
        }
        (self.sequence, self.kept, self.lasts) = (sequence, kept, lasting);
        Ok(())
    }
}
