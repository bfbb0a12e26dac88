//! One pass over a document that checks everything and builds nothing.
//!
//! What it accepts is JSON as [`check`](super::check) has it, which says what is wrong with the rest. What it finds out
//! about the text decides whether that can be used as it is: see [`Skimmed`].

use super::block::{self, Block, LEN};
use super::number;
use super::raw;
use super::{MAX_DEPTH, MAX_DOCUMENT_BYTES};

/// A record with more members than this is kept without an index.
pub(crate) const MAX_INDEXED: usize = 64;

/// Up to this many keys of a record are compared one by one.
const MAX_COMPARED: usize = 32;

/// What is known of a document after one pass.
pub(crate) struct Skimmed {
    /// Where the value begins and ends, without the white space around it.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The value is written exactly as this crate writes it.
    pub(crate) is_canonical: bool,
    pub(crate) kind: Kind,
}

/// What the keys of a document are like, at any level.
///
/// Without odd and repeated ones, keys that are the same are written the same, and the order of the text is the order of
/// the members. Without escapes they can be compared with a name as it stands.
#[derive(Clone, Copy, Default)]
pub(crate) struct HardKeys {
    /// One needs an escape.
    pub(crate) have_escapes: bool,
    /// One has an escape that this crate would not write.
    pub(crate) are_odd: bool,
    /// A record may have a key twice: two hashes are the same.
    pub(crate) may_repeat: bool,
}

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Scalar,
    Array,
    /// A record with so many members that they are not listed.
    LargeRecord,
    /// A record whose members are listed.
    Record,
}

/// One member of the outermost record, as places in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Member {
    /// First byte of the key, behind the quote.
    pub(crate) key: u32,
    pub(crate) key_len: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// The value is written exactly as this crate writes it.
    pub(crate) is_canonical: bool,
}

/// An array or record that is open.
#[derive(Clone, Copy, Default)]
struct Level {
    is_record: bool,
    /// One bit per kind of hash of the keys so far.
    seen: u64,
    /// Where the hashes of its keys begin.
    hashes: usize,
}

/// Skims documents; keeps its lists from one to the next.
#[derive(Default)]
pub(crate) struct Skimmer {
    /// The containers around the present one.
    around: Vec<Level>,
    /// The present container.
    level: Level,
    /// Hashes of the keys of all open records.
    hashes: Vec<u64>,
    /// Members of the outermost record.
    pub(crate) members: Vec<Member>,
    /// The member that is being read.
    member: Member,
    /// Something in the present member, or between members, is not written as this crate writes it.
    is_odd: bool,
    /// The same for what was before the present member.
    was_odd: bool,
    /// What the keys are like, if they are hard.
    pub(crate) keys: HardKeys,
    /// Keys of the document have escapes, or may be repeated.
    pub(crate) has_hard_keys: bool,
    /// A key without its escapes.
    unescaped: String,
}

impl Skimmer {
    /// Checks `text`. The members of a [`Kind::Record`] are then in `members`.
    pub(crate) fn skim(&mut self, text: &[u8]) -> Option<Skimmed> {
        if text.len() > MAX_DOCUMENT_BYTES {
            return None;
        }
        let (start, first) = self.solid(text, 0)?;
        let kind = match first {
            b'{' => Kind::Record,
            b'[' => Kind::Array,
            _ => Kind::Scalar,
        };
        let is_likely = std::mem::take(&mut self.has_hard_keys);
        let mut end = if is_likely { None } else { self.value::<false>(text, start, first) };
        if end.is_none() {
            end = self.value::<true>(text, start, first);
            self.has_hard_keys = self.keys.have_escapes | self.keys.are_odd | self.keys.may_repeat;
        }
        let end = end?;
        let behind = text.get(end..)?;
        if !behind.iter().all(|byte| is_white(*byte)) {
            return None;
        }
        let is_large = self.members.len() > MAX_INDEXED;
        let kind = if is_large { Kind::LargeRecord } else { kind };
        Some(Skimmed { start, end, is_canonical: !(self.is_odd | self.was_odd), kind })
    }

    /// Checks the value at `start`, which begins with `first`; gives its end.
    ///
    /// Keys with escapes, and those that may be repeated, are accepted only with `HARD_KEYS`. Next to no document has them,
    /// and what would have to be done for them costs those that have not.
    fn value<const HARD_KEYS: bool>(&mut self, text: &[u8], start: usize, first: u8) -> Option<usize> {
        self.around.clear();
        self.hashes.clear();
        self.members.clear();
        if HARD_KEYS {
            self.keys = HardKeys::default();
        }
        self.was_odd = false;
        self.is_odd = false;
        match first {
            b'{' | b'[' => self.container::<HARD_KEYS>(text, start),
            _ => self.scalar(text, start, first),
        }
    }

    /// Gives memory back that an unusual document needed.
    pub(crate) fn trim(&mut self, keep: usize) {
        self.around.shrink_to(keep);
        self.hashes.shrink_to(keep);
        self.members.shrink_to(keep);
        self.unescaped.shrink_to(keep);
    }

    /// Reads the array or record at `at`; gives its end.
    #[inline(never)]
    fn container<const HARD_KEYS: bool>(&mut self, text: &[u8], mut at: usize) -> Option<usize> {
        let mut first = *text.get(at)?;
        // The depth at which members are listed.
        let listed = if first == b'{' { 1 } else { usize::MAX };
        let mut depth = 0;
        self.level = Level { is_record: false, seen: 0, hashes: 0 };
        'values: loop {
            // A value begins at `at`, with the byte `first`.
            if first == b'{' || first == b'[' {
                if depth == MAX_DEPTH {
                    return None;
                }
                depth += 1;
                self.around.push(self.level);
                self.level = Level { is_record: first == b'{', seen: 0, hashes: self.hashes.len() };
                (at, first) = self.solid(text, at + 1)?;
                if first != closing(self.level) {
                    if self.level.is_record {
                        (at, first) = self.key::<HARD_KEYS>(text, at, first, depth == listed)?;
                    }
                    continue;
                }
                at += 1;
                depth -= 1;
                self.level = self.around.pop()?;
                if depth == 0 {
                    return Some(at);
                }
            } else {
                at = self.scalar(text, at, first)?;
            }
            // A value ends at `at`.
            loop {
                if depth == listed {
                    self.member_ends(at)?;
                }
                let next;
                (at, next) = self.solid(text, at)?;
                if next == b',' {
                    (at, first) = self.solid(text, at + 1)?;
                    if self.level.is_record {
                        (at, first) = self.key::<HARD_KEYS>(text, at, first, depth == listed)?;
                    }
                    continue 'values;
                }
                if next != closing(self.level) {
                    return None;
                }
                at += 1;
                self.record_ends::<HARD_KEYS>()?;
                depth -= 1;
                self.level = self.around.pop()?;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
    }

    /// Reads the key at `at` and the colon; gives the place and the first byte of the value.
    #[inline(always)]
    fn key<const HARD_KEYS: bool>(
        &mut self,
        text: &[u8],
        at: usize,
        first: u8,
        is_listed: bool,
    ) -> Option<(usize, u8)> {
        if first != b'"' {
            return None;
        }
        let start = at + 1;
        let (end, hash) = match key(text, start) {
            None if HARD_KEYS => self.escaped_key(text, start)?,
            plain => plain?,
        };
        let bit = 1 << (hash >> 58);
        if self.level.seen & bit != 0 {
            let earlier = self.hashes.get(self.level.hashes..)?;
            // The keys of larger records are compared when the record ends.
            if earlier.len() <= MAX_COMPARED && earlier.contains(&hash) {
                if !HARD_KEYS {
                    return None;
                }
                self.repeated_key();
            }
        }
        self.level.seen |= bit;
        self.hashes.push(hash);
        let (colon, next) = self.solid(text, end + 1)?;
        if next != b':' {
            return None;
        }
        let (value, first) = self.solid(text, colon + 1)?;
        if is_listed {
            self.member.key = u32::try_from(start).ok()?;
            self.member.key_len = u32::try_from(end - start).ok()?;
            self.member.start = u32::try_from(value).ok()?;
            self.was_odd |= std::mem::take(&mut self.is_odd);
        }
        Some((value, first))
    }

    /// Reads a key that may have escapes; otherwise as [`key`].
    #[inline(never)]
    fn escaped_key(&mut self, text: &[u8], start: usize) -> Option<(usize, u64)> {
        let was_odd = std::mem::take(&mut self.is_odd);
        let end = self.string(text, start)? - 1;
        self.keys.are_odd |= self.is_odd;
        self.is_odd |= was_odd;
        self.unescaped.clear();
        raw::unescape(std::str::from_utf8(text.get(start..end)?).ok()?, &mut self.unescaped)?;
        self.keys.have_escapes |= self.unescaped.bytes().any(|byte| matches!(byte, b'"' | b'\\' | ..b' '));
        Some((end, hash(self.unescaped.as_bytes())))
    }

    /// The present record may have a key twice.
    fn repeated_key(&mut self) {
        self.keys.may_repeat = true;
        self.is_odd = true;
    }

    /// The value of a member of the outermost record ends at `at`.
    #[inline(always)]
    fn member_ends(&mut self, at: usize) -> Option<()> {
        if self.members.len() <= MAX_INDEXED {
            self.member.end = u32::try_from(at).ok()?;
            self.member.is_canonical = !self.is_odd;
            self.members.push(self.member);
        }
        Some(())
    }

    /// Looks whether the keys of a record differ.
    #[inline(always)]
    fn record_ends<const HARD_KEYS: bool>(&mut self) -> Option<()> {
        let level = self.level;
        if level.is_record {
            if self.hashes.len() - level.hashes > MAX_COMPARED {
                let hashes = self.hashes.get_mut(level.hashes..)?;
                hashes.sort_unstable();
                if hashes.windows(2).any(|pair| pair.first() == pair.last()) {
                    if !HARD_KEYS {
                        return None;
                    }
                    self.repeated_key();
                }
            }
            self.hashes.truncate(level.hashes);
        }
        Some(())
    }

    /// Reads the string, number or word that begins with `first`; gives its end.
    #[inline(always)]
    fn scalar(&mut self, text: &[u8], at: usize, first: u8) -> Option<usize> {
        match first {
            b'"' => self.string(text, at + 1),
            b't' => word(text, at, b"true"),
            b'n' => word(text, at, b"null"),
            b'f' => word(text, at + 1, b"alse"),
            _ => {
                let (end, is_canonical) = number::number(text, at)?;
                self.is_odd |= !is_canonical;
                Some(end)
            }
        }
    }

    /// Reads a string of which the quote was read; gives the place behind the closing quote.
    #[inline(always)]
    fn string(&mut self, text: &[u8], start: usize) -> Option<usize> {
        let mut at = start;
        let mut beyond_ascii = 0;
        let end = loop {
            let block = block::load(text, at);
            beyond_ascii |= block.is_not_ascii();
            let plain = block::first(block.ends_plain_text());
            at += plain;
            if plain == LEN {
                continue;
            }
            match text.get(at)? {
                b'"' => break at,
                b'\\' => {
                    let (end, is_canonical) = escape(text, at)?;
                    self.is_odd |= !is_canonical;
                    at = end;
                }
                _ => return None,
            }
        };
        if beyond_ascii != 0 {
            utf8(text, start, end)?;
        }
        Some(end + 1)
    }

    /// The next byte from `at` on that is no white space, and its place.
    #[inline(always)]
    fn solid(&mut self, text: &[u8], at: usize) -> Option<(usize, u8)> {
        let byte = *text.get(at)?;
        if byte > b' ' {
            return Some((at, byte));
        }
        // One space is by far the most frequent.
        match text.get(at + 1) {
            Some(next) if byte == b' ' && *next > b' ' => {
                self.is_odd = true;
                Some((at + 1, *next))
            }
            _ => self.behind_white_space(text, at),
        }
    }

    #[inline(never)]
    fn behind_white_space(&mut self, text: &[u8], mut at: usize) -> Option<(usize, u8)> {
        self.is_odd = true;
        loop {
            let byte = *text.get(at)?;
            if !is_white(byte) {
                return Some((at, byte));
            }
            at += 1;
        }
    }
}

fn closing(level: Level) -> u8 {
    if level.is_record { b'}' } else { b']' }
}

pub(super) fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\t' | b'\r')
}

#[inline(always)]
fn word(text: &[u8], at: usize, word: &[u8; 4]) -> Option<usize> {
    let found: &[u8; 4] = text.get(at..)?.first_chunk()?;
    (found == word).then_some(at + 4)
}

/// Reads a key of which the quote was read; gives the place of the closing quote and a hash.
#[inline(always)]
pub(super) fn key(text: &[u8], start: usize) -> Option<(usize, u64)> {
    let (mut at, mut hash, mut beyond_ascii) = (start, 0, 0);
    let end = loop {
        let block = block::load(text, at);
        beyond_ascii |= block.is_not_ascii();
        let plain = block::first(block.ends_plain_text());
        at += plain;
        hash = mix(hash, block, plain);
        if plain < LEN {
            break at;
        }
    };
    if text.get(end) != Some(&b'"') {
        return None;
    }
    if beyond_ascii != 0 {
        utf8(text, start, end)?;
    }
    Some((end, hash))
}

/// The hash that [`key`] gives for a key without escapes.
pub(super) fn hash(key: &[u8]) -> u64 {
    let (mut at, mut hash) = (0, 0);
    loop {
        let len = key.len().saturating_sub(at).min(LEN);
        hash = mix(hash, block::load(key, at), len);
        at += len;
        if len < LEN {
            return hash;
        }
    }
}

/// Mixes the first `len` bytes of a block into a hash.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a product")]
fn mix(hash: u64, block: Block, len: usize) -> u64 {
    let [low, high] = block.halves();
    let [low_mask, high_mask] = MASKS.get(len).copied().unwrap_or_default();
    let low = (low & low_mask) ^ hash ^ 0x9e37_79b9_7f4a_7c15;
    let high = (high & high_mask) ^ len as u64 ^ 0xd1b5_4a32_d192_ed03;
    let product = u128::from(low) * u128::from(high);
    product as u64 ^ (product >> 64) as u64
}

/// Masks for the first so many of 16 bytes, in two halves.
static MASKS: [[u64; 2]; LEN + 1] = [
    [0, 0],
    [0xff, 0],
    [0xffff, 0],
    [0x00ff_ffff, 0],
    [0xffff_ffff, 0],
    [0xff_ffff_ffff, 0],
    [0xffff_ffff_ffff, 0],
    [0x00ff_ffff_ffff_ffff, 0],
    [u64::MAX, 0],
    [u64::MAX, 0xff],
    [u64::MAX, 0xffff],
    [u64::MAX, 0x00ff_ffff],
    [u64::MAX, 0xffff_ffff],
    [u64::MAX, 0xff_ffff_ffff],
    [u64::MAX, 0xffff_ffff_ffff],
    [u64::MAX, 0x00ff_ffff_ffff_ffff],
    [u64::MAX, u64::MAX],
];

#[inline(never)]
fn utf8(text: &[u8], start: usize, end: usize) -> Option<()> {
    simdutf8::basic::from_utf8(text.get(start..end)?).ok().map(|_| ())
}

/// Reads the escape sequence at `at`; gives its end and whether this crate would write it so.
#[inline(never)]
pub(super) fn escape(text: &[u8], at: usize) -> Option<(usize, bool)> {
    match text.get(at + 1)? {
        b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => Some((at + 2, true)),
        b'/' => Some((at + 2, false)),
        b'u' => {
            let code = hex(text, at + 2)?;
            match code {
                0xd800..0xdc00 => {
                    let is_low =
                        text.get(at + 6..at + 8)? == b"\\u" && (0xdc00..0xe000).contains(&hex(text, at + 8)?);
                    is_low.then_some((at + 12, false))
                }
                0xdc00..0xe000 => None,
                0x08 | 0x09 | 0x0a | 0x0c | 0x0d | 0x20.. => Some((at + 6, false)),
                _ => Some((at + 6, !text.get(at + 5)?.is_ascii_uppercase())),
            }
        }
        _ => None,
    }
}

/// Four hexadecimal digits.
pub(super) fn hex(text: &[u8], at: usize) -> Option<u32> {
    let digits: &[u8; 4] = text.get(at..)?.first_chunk()?;
    digits.iter().try_fold(0, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?))
}
