//! Deflate streams read bit by bit, as RFC 1951 describes them.

use crate::deflate::Direction;
use std::sync::LazyLock;

/// What messages are sent without. Source: RFC 7692, section 7.2.1.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The order of the lengths that codes for lengths have. Source: RFC 1951, section 3.2.7.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The codes of blocks that bring none. Source: RFC 1951, section 3.2.6.
static FIXED: LazyLock<Option<(Code, Code)>> = LazyLock::new(|| {
    let lens = [[8; 144].as_slice(), &[9; 112], &[7; 24], &[8; 8]].concat();
    Code::new(&lens, false).zip(Code::new(&[5; 32], false))
});

/// Inflates the messages of one direction.
pub(super) struct Slow {
    /// Everything that ever came out.
    all: Vec<u8>,
    /// Bytes of it that a new message may refer to.
    shared: usize,
    /// Bytes that anything may refer to.
    reach: usize,
    /// As much of everything as came out without the tail of the last message.
    without_tail: usize,
}

/// How far to read.
#[derive(Clone, Copy)]
struct End {
    /// Bits of the payload.
    bits: usize,
    /// Bytes of everything; whatever the payload inflates to beyond them does not matter.
    most: usize,
}

/// What a message inflates to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inflated {
    /// What came out, up to the first mistake; nothing of the tail if there is one.
    pub(super) bytes: Vec<u8>,
    /// There was no mistake.
    pub(super) is_whole: bool,
}

impl Slow {
    /// For messages that may refer to earlier ones as far as `direction` says, and inside of them as far as `reach`.
    pub(super) fn new(direction: Direction, reach: usize) -> Self {
        let shared = if direction.takeover { 1 << direction.window_bits } else { 0 };
        Self { all: Vec::new(), shared, reach, without_tail: 0 }
    }

    /// What `payload` inflates to; there is no need to go on beyond `most` bytes.
    pub(super) fn message(&mut self, payload: &[u8], most: usize) -> Inflated {
        let before = self.all.len();
        let input = [payload, &TAIL].concat();
        let mut bits = Bits { bytes: &input, at: 0 };
        self.without_tail = before;
        let end = End { bits: payload.len() * 8, most: before.saturating_add(most) };
        let is_whole = payload.is_empty() || self.streams(&mut bits, end).is_some();
        let until = if is_whole { self.all.len() } else { self.without_tail };
        Inflated { bytes: self.all.get(before..until).unwrap_or_default().to_vec(), is_whole }
    }

    /// Streams that say where they end, and one that does not; `None` if there is a mistake.
    fn streams(&mut self, bits: &mut Bits<'_>, end: End) -> Option<()> {
        loop {
            let start = self.all.len() - self.shared.min(self.all.len());
            while !self.block(bits, start, end)? {
                if bits.at == bits.bytes.len() * 8 {
                    return Some(());
                }
            }
            bits.align();
            if bits.at >= end.bits {
                // With nothing behind it, the tail was not left out.
                return (bits.at == end.bits).then_some(());
            }
        }
    }

    /// One block; whether it is the last of its stream. Nothing before `start` can be referred to.
    fn block(&mut self, bits: &mut Bits<'_>, start: usize, end: End) -> Option<bool> {
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => {
                bits.align();
                let (len, check) = (bits.take(16)?, bits.take(16)?);
                if len ^ check != 0xffff {
                    return None;
                }
                for _ in 0..len {
                    self.all.push(u8::try_from(bits.take(8)?).ok()?);
                    self.mark(bits, end);
                }
            }
            1 => {
                let (literals, distances) = FIXED.as_ref()?;
                self.codes(bits, literals, distances, start, end)?;
            }
            2 => {
                let (literals, distances) = codes(bits)?;
                self.codes(bits, &literals, &distances, start, end)?;
            }
            _ => return None,
        }
        Some(is_last)
    }

    fn codes(
        &mut self,
        bits: &mut Bits<'_>,
        literals: &Code,
        distances: &Code,
        start: usize,
        end: End,
    ) -> Option<()> {
        while self.all.len() <= end.most || bits.at > end.bits {
            self.mark(bits, end);
            let symbol = literals.symbol(bits)?;
            if let Ok(literal) = u8::try_from(symbol) {
                self.all.push(literal);
                continue;
            }
            let len = match symbol {
                256 => return Some(()),
                257..=264 => symbol - 254,
                265..=284 => {
                    let extra = (symbol - 261) / 4;
                    3 + ((4 + (symbol - 261) % 4) << extra) + bits.take(extra)?
                }
                285 => 258,
                _ => return None,
            };
            let distance = match distances.symbol(bits)? {
                symbol @ 0..=3 => symbol + 1,
                symbol @ 4..=29 => {
                    let extra = symbol / 2 - 1;
                    1 + ((2 + symbol % 2) << extra) + bits.take(extra)?
                }
                _ => return None,
            };
            if distance > self.reach || distance > self.all.len() - start {
                return None;
            }
            // What is copied may begin with what the copy itself has brought.
            let (from, mut left) = (self.all.len() - distance, len);
            while left > 0 {
                let part = left.min(self.all.len() - from);
                self.all.extend_from_within(from..from + part);
                left -= part;
            }
        }
        self.mark(bits, end);
        None
    }

    /// All that has come out so far is of the payload, unless bits of the tail have been read.
    fn mark(&mut self, bits: &Bits<'_>, end: End) {
        if bits.at <= end.bits {
            self.without_tail = self.all.len();
        }
    }
}

/// The codes that a block brings itself.
fn codes(bits: &mut Bits<'_>) -> Option<(Code, Code)> {
    let (literals, distances, count) = (257 + bits.take(5)?, 1 + bits.take(5)?, 4 + bits.take(4)?);
    if literals > 286 || distances > 30 {
        return None;
    }
    let mut lens = [0; 19];
    for at in ORDER.iter().take(count) {
        *lens.get_mut(*at)? = bits.take(3)?;
    }
    let of_lens = Code::new(&lens, false)?;
    let mut lens: Vec<usize> = Vec::new();
    while lens.len() < literals + distances {
        let (len, times) = match of_lens.symbol(bits)? {
            16 => (*lens.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            len => (len, 1),
        };
        lens.resize(lens.len() + times, len);
    }
    if lens.len() > literals + distances || lens.get(256) == Some(&0) {
        return None;
    }
    let (literals, distances) = lens.split_at(literals);
    Some((Code::new(literals, true)?, Code::new(distances, true)?))
}

/// A Huffman code: how many symbols have a length, and the symbols in the order of their codes.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    /// Of the lengths of all symbols. A code may only be without some codes if it has but one symbol, or none.
    fn new(lens: &[usize], may_be_single: bool) -> Option<Self> {
        let mut counts = [0; 16];
        let mut symbols: Vec<(usize, usize)> = Vec::new();
        for (symbol, len) in lens.iter().enumerate().filter(|(_, len)| **len != 0) {
            *counts.get_mut(*len)? += 1;
            symbols.push((*len, symbol));
        }
        symbols.sort_unstable();
        // What part of all codes is taken.
        let taken: usize = counts.iter().zip(0..16).map(|(count, len)| count << (15 - len)).sum();
        let is_single = may_be_single && (symbols.is_empty() || counts.get(1) == Some(&symbols.len()));
        let symbols = symbols.into_iter().map(|(_, symbol)| symbol).collect();
        (taken == 1 << 15 || (taken < 1 << 15 && is_single)).then_some(Self { counts, symbols })
    }

    /// The next symbol; `None` if the bits are none, or end in it.
    fn symbol(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in self.counts.iter().skip(1) {
            code = code * 2 + bits.take(1)?;
            first *= 2;
            if code < first + count {
                return self.symbols.get(index + code - first).copied();
            }
            first += count;
            index += count;
        }
        None
    }
}

/// Bits of bytes, the lowest first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// A number of `count` bits.
    fn take(&mut self, count: usize) -> Option<usize> {
        let mut number = 0;
        for bit in 0..count {
            let byte = usize::from(*self.bytes.get(self.at / 8)?);
            number |= (byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(number)
    }

    /// Leaves out the rest of a byte.
    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_library_writes_is_read() {
        let text = b"one text, one text and more, and more of the same: one text.".repeat(3);
        let direction = Direction { window_bits: 15, takeover: false };
        for level in [0, 1, 6, 9] {
            let mut slow = Slow::new(direction, 1 << 15);
            let stream = miniz_oxide::deflate::compress_to_vec(&text, level);
            assert_eq!(slow.message(&stream, usize::MAX), Inflated { bytes: text.clone(), is_whole: true });
            // A block without codes may be read to its end.
            let most = if level == 0 { text.len() } else { 100 + 258 };
            let stopped = slow.message(&stream, 100).bytes;
            assert!(stopped.len() <= most, "{} bytes at level {level}", stopped.len());
            for end in 1..stream.len() {
                let cut = slow.message(&stream[..end], usize::MAX);
                assert!(!cut.is_whole, "{end} bytes at level {level}");
            }
        }
    }

    #[test]
    fn mistakes_are_found() {
        let direction = |window_bits, takeover| Direction { window_bits, takeover };
        // The text of RFC 7692, 7.2.3.2: the second message refers to the first one.
        let (first, second) = (b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"\xf2\x00\x11\x00\x00");
        for (direction, refers) in
            [(direction(15, true), true), (direction(9, true), true), (direction(15, false), false)]
        {
            let mut slow = Slow::new(direction, 1 << 15);
            assert_eq!(slow.message(first, 9), Inflated { bytes: b"Hello".to_vec(), is_whole: true });
            assert_eq!(slow.message(second, 9).is_whole, refers);
        }
        let mut near = Slow::new(direction(15, true), 4);
        assert!(near.message(first, 9).is_whole && !near.message(second, 9).is_whole);
        // A last block, and one that is not; a type that is none; bits behind the tail.
        for (bytes, is_whole) in [
            (&b"\xf3\x48\xcd\xc9\xc9\x07\x00"[..], true),
            (b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", true),
            (b"\x07", false),
        ] {
            assert_eq!(Slow::new(direction(15, true), 1 << 15).message(bytes, 99).is_whole, is_whole);
        }
        assert!(Slow::new(direction(15, true), 1 << 15).message(b"", 0).is_whole);
    }
}
