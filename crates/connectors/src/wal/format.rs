//! How entries lie in the files of a log, version 1.
//!
//! ```text
//! segment  = "tremwal\n" version:4 salt:4 first:8 checksum:4  record*
//! record   = length:4 body_checksum:4 index:8 synced:8 flags:1 head_checksum:4  body
//! ```
//!
//! Numbers have the lowest byte first; checksums are CRC-32 over what stands before them, those of a record begin with
//! the segment's salt, so that nothing in an event can look like a record. The entries of a segment have the indices
//! `first`, `first + 1` and so on. `synced` is the size up to which the segment was known to be safe when the record
//! was written: if a record below that mark is broken, something happened to the file. One above it may be a write that
//! was never finished, unless something behind it says otherwise ([`Records::is_torn`]).

use super::files::Stored;
use std::io;
use thiserror::Error;

/// The version that is written, and the only one that is read.
pub(super) const VERSION: u32 = 1;
/// Bytes in front of the records of a segment.
pub(super) const SEGMENT_HEAD: u64 = 28;
/// Bytes in front of the body of a record.
pub(super) const RECORD_HEAD: u64 = 29;

/// No log ever gets that far; what says that it did is damaged. So counting on never overflows.
pub(super) const MAX_INDEX: u64 = 1 << 62;
const SEGMENT_MAGIC: [u8; 8] = *b"tremwal\n";
/// Set in the flags of an entry that is a batch.
const IS_BATCH: u8 = 1;
/// Bytes that are read at once.
const WINDOW: u64 = 64 * 1024;
/// What a disk writes whole or not at all.
const SECTOR: u64 = 512;
/// Fewer zeros than this are no sign of a sector that was not written.
const LEAST_BLANK: usize = 4;
/// Room for bytes that is kept after a large entry.
const KEPT: usize = 256 * 1024;

/// What is wrong with a file.
#[derive(Debug, Error)]
pub(super) enum FileError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It was written by another version of this program, or is something else.
    #[error("{0}")]
    Foreign(String),
    /// Something happened to it.
    #[error("{0}")]
    Damaged(String),
}

/// The checksum of `data`, begun with `salt`.
pub(super) fn checksum(salt: u32, data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(data);
    hasher.finalize()
}

/// Takes fixed parts from the front of bytes.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// Checks magic and version, which come first in every file of a log.
pub(super) fn check_kind(
    bytes: &[u8],
    (magic, readable): ([u8; 8], u32),
    what: &str,
) -> Result<(), FileError> {
    let mut fields = Fields(bytes);
    if fields.take() != Some(magic) {
        return Err(FileError::Foreign(format!("it is not {what}: it does not begin as one")));
    }
    match fields.u32() {
        Some(version) if version == readable => Ok(()),
        Some(version) => Err(FileError::Foreign(format!(
            "it is {what} of format version {version}; this version of tremor reads version {readable}"
        ))),
        None => Err(FileError::Damaged("it ends within its first line".to_owned())),
    }
}

/// The first bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    /// What checksums of records begin with.
    pub(super) salt: u32,
    /// Index of the first entry.
    pub(super) first: u64,
}

impl SegmentHead {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = SEGMENT_MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.salt.to_le_bytes());
        bytes.extend(self.first.to_le_bytes());
        bytes.extend(checksum(0, &bytes).to_le_bytes());
        bytes
    }

    /// Reads the head of a segment; `None` if the file ends before the head was finished, or with it and there is
    /// nothing but zeros.
    pub(super) fn read(file: &dyn Stored) -> Result<Option<Self>, FileError> {
        let mut bytes = [0; 28];
        let read = read_full(file, 0, &mut bytes)?;
        let is_begun = bytes.iter().zip(SEGMENT_MAGIC).take(read).all(|(byte, magic)| *byte == magic);
        let is_blank = bytes.iter().all(|byte| *byte == 0);
        if is_blank && file.size() <= SEGMENT_HEAD || is_begun && read < bytes.len() {
            return Ok(None);
        }
        check_kind(&bytes, (SEGMENT_MAGIC, VERSION), "a segment of a log")?;
        let mut fields = Fields(bytes.get(12..).unwrap_or_default());
        let (salt, first, sum) = (fields.u32(), fields.u64(), fields.u32());
        match (salt, first, sum) {
            (Some(salt), Some(first @ ..=MAX_INDEX), Some(sum))
                if sum == checksum(0, bytes.get(..24).unwrap_or_default()) =>
            {
                Ok(Some(Self { salt, first }))
            }
            _ => Err(FileError::Damaged("the checksum of its first line is wrong".to_owned())),
        }
    }
}

/// The name of the segment whose first entry is `first`.
pub(super) fn segment_name(first: u64) -> String {
    format!("{first:020}.wal")
}

/// The first entry that a segment of that name has; `None` for other files.
pub(super) fn first_of_segment(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { digits.parse().ok() } else { None }
}

/// Reads until `into` is full or the file ends; gives how many bytes that were.
pub(super) fn read_full(file: &dyn Stored, at: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(at + done as u64, rest)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

/// What stands in front of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHead {
    length: u32,
    body_checksum: u32,
    /// Index of the entry.
    pub(super) index: u64,
    /// How much of the segment was safe when this was written.
    synced: u64,
    flags: u8,
}

impl RecordHead {
    /// Appends a record to `out`. Gives `false`, and does nothing, for a body of 4 GiB or more.
    pub(super) fn write(
        out: &mut Vec<u8>,
        salt: u32,
        (index, synced): (u64, u64),
        is_batch: bool,
        body: &[u8],
    ) -> bool {
        let Ok(length) = u32::try_from(body.len()) else { return false };
        let start = out.len();
        out.extend(length.to_le_bytes());
        out.extend(checksum(salt, body).to_le_bytes());
        out.extend(index.to_le_bytes());
        out.extend(synced.to_le_bytes());
        out.push(if is_batch { IS_BATCH } else { 0 });
        let head = checksum(salt, out.get(start..).unwrap_or_default());
        out.extend(head.to_le_bytes());
        out.extend_from_slice(body);
        true
    }

    /// The head in `bytes`, if it is whole.
    fn read(bytes: &[u8], salt: u32) -> Option<Self> {
        let mut fields = Fields(bytes);
        let head = Self {
            length: fields.u32()?,
            body_checksum: fields.u32()?,
            index: fields.u64()?,
            synced: fields.u64()?,
            flags: fields.take::<1>()?.first().copied()?,
        };
        let sum = fields.u32()?;
        (sum == checksum(salt, bytes.get(..25)?)).then_some(head)
    }

    /// The entry is a batch.
    pub(super) fn is_batch(&self) -> bool {
        self.flags & IS_BATCH != 0
    }
}

/// Walks the records of a segment.
pub(super) struct Records {
    file: Box<dyn Stored>,
    /// Up to where the file is looked at.
    size: u64,
    head: SegmentHead,
    /// Where the next record begins, and its index.
    at: u64,
    index: u64,
    window: Vec<u8>,
    window_at: u64,
}

/// A record that is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Where it begins.
    pub(super) at: u64,
    /// Which entry should be there.
    pub(super) index: u64,
    /// What is wrong with it.
    pub(super) what: &'static str,
}

/// What comes next in a segment.
pub(super) enum Next<'a> {
    /// An entry.
    Entry(RecordHead, &'a [u8]),
    /// Something that is none.
    Broken(Broken),
    /// The end of the file.
    End,
}

impl Records {
    /// The records of `file` from the one with that `index` on, which lies at `at`.
    pub(super) fn new(file: Box<dyn Stored>, head: SegmentHead, at: u64, index: u64) -> Self {
        let size = file.size();
        Self { file, size, head, at, index, window: Vec::new(), window_at: 0 }
    }

    /// The file has grown to `size`.
    pub(super) fn grown(&mut self, size: u64) {
        self.size = size;
    }

    /// Where the next record begins, and its index.
    pub(super) fn place(&self) -> (u64, u64) {
        (self.at, self.index)
    }

    /// Gives the file back.
    pub(super) fn into_file(self) -> Box<dyn Stored> {
        self.file
    }

    /// Goes to the next record.
    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        let (at, index) = (self.at, self.index);
        let broken = |what| Ok(Next::Broken(Broken { at, index, what }));
        let salt = self.head.salt;
        let bytes = self.bytes(at, RECORD_HEAD)?;
        if bytes.is_empty() {
            return Ok(Next::End);
        }
        let Some(head) = RecordHead::read(bytes, salt) else {
            return broken(if (bytes.len() as u64) < RECORD_HEAD {
                "the file ends within its first 29 bytes"
            } else {
                "the checksum of its first 29 bytes is wrong"
            });
        };
        if head.index != index {
            return broken("it is another entry");
        }
        let length = u64::from(head.length);
        let body = self.bytes(at + RECORD_HEAD, length)?;
        if (body.len() as u64) < length {
            return broken("the file ends before it");
        }
        if checksum(salt, body) != head.body_checksum {
            return broken("its checksum is wrong");
        }
        self.at = at + RECORD_HEAD + length;
        self.index = index + 1;
        // Borrowed anew: the borrow above ends with the checks.
        let body = self.bytes(at + RECORD_HEAD, length)?;
        Ok(Next::Entry(head, body))
    }

    /// Whether the record at `broken` can be a write that was never finished: nothing whole lies behind it, or what
    /// does was written together with it and came to the disk first.
    pub(super) fn is_torn(&mut self, broken: Broken) -> io::Result<bool> {
        let Broken { at, index, .. } = broken;
        let salt = self.head.salt;
        let possible = index + 1..=index.saturating_add(self.size.saturating_sub(at) / RECORD_HEAD);
        for later in at + 1..self.size.saturating_sub(RECORD_HEAD - 1) {
            let bytes = self.bytes(later, RECORD_HEAD)?;
            // The index first: it is cheaper to look at than the checksum.
            let claimed = Fields(bytes.get(8..).unwrap_or_default()).u64();
            if claimed.is_some_and(|index| possible.contains(&index))
                && let Some(head) = RecordHead::read(bytes, salt)
            {
                return Ok(head.synced <= at && self.lacks_a_sector(at, later)?);
            }
        }
        Ok(true)
    }

    /// Whether there is a sector between `from` and `to` of which nothing has arrived: its part there is blank.
    fn lacks_a_sector(&mut self, from: u64, to: u64) -> io::Result<bool> {
        let mut start = from;
        while start < to {
            let end = to.min((start / SECTOR + 1) * SECTOR);
            let part = self.bytes(start, end - start)?;
            if part.len() >= LEAST_BLANK && part.iter().all(|byte| *byte == 0) {
                return Ok(true);
            }
            start = end;
        }
        Ok(false)
    }

    /// Up to `count` bytes that lie at `at`: fewer only at the end of the file.
    fn bytes(&mut self, at: u64, count: u64) -> io::Result<&[u8]> {
        let there = self.size.saturating_sub(at).min(count);
        let window_end = self.window_at + self.window.len() as u64;
        if at < self.window_at || at + there > window_end {
            // Never more than the file has, whatever a length claims.
            let wanted = self.size.saturating_sub(at).min(there.max(WINDOW));
            let size = usize::try_from(wanted).map_err(io::Error::other)?;
            self.window.resize(size, 0);
            self.window.shrink_to(KEPT);
            self.window_at = at;
            let read = read_full(&*self.file, at, &mut self.window)?;
            self.window.truncate(read);
        }
        let from = usize::try_from(at - self.window_at).map_err(io::Error::other)?;
        let count = usize::try_from(there).map_err(io::Error::other)?;
        let rest = self.window.get(from..).unwrap_or_default();
        Ok(rest.get(..count).unwrap_or(rest))
    }
}
