//! The outline of accepted text: brackets and colons, without what stands in strings, found 64 bytes at a time.

use super::block::{self, Block};

/// Bytes that are looked at together.
pub(super) const WIDTH: usize = 64;

/// Walks over a text from a place outside of strings.
pub(super) struct Outline<'t> {
    text: &'t [u8],
    /// Where the next bytes are.
    at: usize,
    /// All bits are set if that is inside a string.
    in_string: u64,
    /// The lowest bit is set if the byte there is escaped.
    escaped: u64,
}

/// Places of brackets and colons within [`WIDTH`] bytes.
pub(super) struct Marks {
    /// Where the bytes begin.
    start: usize,
    bits: u64,
}

impl<'t> Outline<'t> {
    #[inline(always)]
    pub(super) fn new(text: &'t [u8], at: usize) -> Self {
        Self { text, at, in_string: 0, escaped: 0 }
    }

    /// The marks of the next bytes; `None` behind the end.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<Marks> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        // At the end what lies in front of `at` is looked at again, and left out.
        let (blocks, known) = match (rest.first_chunk(), self.text.last_chunk()) {
            (Some(bytes), _) => (block::blocks(bytes), 0),
            (None, Some(bytes)) => (block::blocks(bytes), WIDTH - rest.len()),
            (None, None) => (block::blocks(&padded(rest)), 0),
        };
        let mut quotes = mask(&blocks, Block::is_quote) >> known;
        let bits = mask(&blocks, Block::nests_or_divides) >> known;
        if self.escaped != 0 || Block::have_backslash(&blocks) {
            quotes &= !self.find_escaped(mask(&blocks, Block::is_backslash) >> known);
        }
        let in_string = until_even(quotes) ^ self.in_string;
        // The sign is that of the last byte.
        self.in_string = (in_string.cast_signed() >> (WIDTH - 1)).cast_unsigned();
        let start = self.at;
        self.at += WIDTH;
        Some(Marks { start, bits: bits & !in_string })
    }

    /// Bytes that have a backslash in front of them that is not escaped itself.
    #[inline(never)]
    fn find_escaped(&mut self, mut backslashes: u64) -> u64 {
        let mut escaped = self.escaped;
        self.escaped = 0;
        backslashes &= !escaped;
        while backslashes != 0 {
            let first = backslashes & backslashes.wrapping_neg();
            if first == 1 << (WIDTH - 1) {
                self.escaped = 1;
            }
            escaped |= first << 1;
            backslashes &= !(first | first << 1);
        }
        escaped
    }
}

impl Iterator for Marks {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.bits == 0 {
            return None;
        }
        let place = self.start + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(place)
    }
}

/// The masks of four blocks as one.
#[inline(always)]
fn mask(blocks: &[Block; 4], is_meant: impl Fn(Block) -> u32) -> u64 {
    let [a, b, c, d] = blocks.map(|block| u64::from(is_meant(block)));
    (a | b << 16) | (c | d << 16) << 32
}

#[inline(never)]
fn padded(rest: &[u8]) -> [u8; WIDTH] {
    let mut padded = [0; WIDTH];
    if let Some(room) = padded.get_mut(..rest.len()) {
        room.copy_from_slice(rest);
    }
    padded
}

/// Sets the bits from each set bit to the one before the next, in pairs.
#[inline(always)]
fn until_even(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, byte by byte.
    fn plain(text: &[u8]) -> Vec<usize> {
        let (mut places, mut in_string, mut escaped) = (Vec::new(), false, false);
        for (at, byte) in text.iter().enumerate() {
            match byte {
                b'{' | b'}' | b'[' | b']' | b':' if !in_string => places.push(at),
                b'"' if !escaped => in_string = !in_string,
                _ => {}
            }
            escaped = *byte == b'\\' && !escaped;
        }
        places
    }

    fn outline(text: &[u8]) -> Vec<usize> {
        let mut outline = Outline::new(text, 0);
        std::iter::from_fn(|| outline.next()).flatten().collect()
    }

    #[test]
    fn strings_and_escapes_go_on_behind_the_bytes_that_are_looked_at() {
        for shift in 0..140 {
            for inner in ["", r#"{\":{"#, r"\\", r#"\\\":"#, "é:[", &r#"\""#.repeat(70), &"\\".repeat(128)] {
                let text = format!(r#"{}["{inner}":{{"#, " ".repeat(shift));
                assert_eq!(outline(text.as_bytes()), plain(text.as_bytes()), "{text}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn marks_are_those_that_are_found_one_by_one(text in r#"[\\":{}\[\], a]{0,300}"#) {
            let text = text.as_bytes();
            prop_assert_eq!(outline(text), plain(text));
        }
    }
}
