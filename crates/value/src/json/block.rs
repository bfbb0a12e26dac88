//! Sixteen bytes looked at in one go.
//!
//! Every question gives a mask with one bit per byte, the first byte in the lowest bit. Bytes behind the end of the
//! text read as zero, which is no part of any token: it stops every scan.

/// Bytes in a block.
pub(super) const LEN: usize = 16;

#[cfg(target_arch = "x86_64")]
mod vector {
    //! SSE2, which every processor of this family has.
    use safe_arch::{
        cmp_eq_mask_i8_m128i, m128i, min_u8_m128i, move_mask_i8_m128i, set_splat_i8_m128i, sub_i8_m128i,
    };

    #[derive(Clone, Copy)]
    pub(in crate::json) struct Block(m128i);

    impl Block {
        #[inline(always)]
        pub(in crate::json) fn new(bytes: [u8; 16]) -> Self {
            Self(m128i::from(bytes))
        }

        /// The bytes as two numbers.
        #[inline(always)]
        pub(in crate::json) fn halves(self) -> [u64; 2] {
            self.0.into()
        }

        #[inline(always)]
        pub(in crate::json) fn ends_plain_text(self) -> u32 {
            mask(equal(self.0, b'"') | equal(self.0, b'\\') | at_most(self.0, 0x1f))
        }

        #[inline(always)]
        pub(in crate::json) fn is_not_ascii(self) -> u32 {
            mask(self.0)
        }

        #[inline(always)]
        pub(in crate::json) fn is_digit(self) -> u32 {
            mask(at_most(sub_i8_m128i(self.0, all(b'0')), 9))
        }

        #[inline(always)]
        pub(in crate::json) fn is_quote(self) -> u32 {
            mask(equal(self.0, b'"'))
        }

        #[inline(always)]
        pub(in crate::json) fn is_backslash(self) -> u32 {
            mask(equal(self.0, b'\\'))
        }

        /// A bracket or a colon; also `Y`, `_`, `y` and delete, which stand only in strings.
        #[inline(always)]
        pub(in crate::json) fn nests_or_divides(self) -> u32 {
            mask(equal(self.0 | all(0x26), 0x7f) | equal(self.0, b':'))
        }

        #[inline(always)]
        pub(in crate::json) fn have_backslash(blocks: &[Self; 4]) -> bool {
            let [a, b, c, d] = blocks.map(|block| equal(block.0, b'\\'));
            mask(a | b | (c | d)) != 0
        }

        /// A comma, a closing bracket or white space.
        #[inline(always)]
        pub(in crate::json) fn ends_scalar(self) -> u32 {
            let folded = self.0 | all(0x20);
            mask(equal(self.0, b',') | equal(folded, b'}') | at_most(self.0, b' '))
        }
    }

    #[inline(always)]
    fn all(byte: u8) -> m128i {
        set_splat_i8_m128i(byte.cast_signed())
    }

    #[inline(always)]
    fn equal(bytes: m128i, byte: u8) -> m128i {
        cmp_eq_mask_i8_m128i(bytes, all(byte))
    }

    #[inline(always)]
    fn at_most(bytes: m128i, limit: u8) -> m128i {
        cmp_eq_mask_i8_m128i(min_u8_m128i(bytes, all(limit)), bytes)
    }

    #[inline(always)]
    fn mask(bytes: m128i) -> u32 {
        move_mask_i8_m128i(bytes).cast_unsigned()
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    //! The same on any processor.

    #[derive(Clone, Copy)]
    pub(in crate::json) struct Block([u8; 16]);

    impl Block {
        pub(in crate::json) fn new(bytes: [u8; 16]) -> Self {
            Self(bytes)
        }

        pub(in crate::json) fn halves(self) -> [u64; 2] {
            let number = u128::from_le_bytes(self.0);
            #[expect(clippy::cast_possible_truncation, reason = "the halves of it")]
            [number as u64, (number >> 64) as u64]
        }

        pub(in crate::json) fn ends_plain_text(self) -> u32 {
            self.mask(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
        }

        pub(in crate::json) fn is_not_ascii(self) -> u32 {
            self.mask(|byte| !byte.is_ascii())
        }

        pub(in crate::json) fn is_digit(self) -> u32 {
            self.mask(|byte| byte.is_ascii_digit())
        }

        pub(in crate::json) fn is_quote(self) -> u32 {
            self.mask(|byte| byte == b'"')
        }

        pub(in crate::json) fn is_backslash(self) -> u32 {
            self.mask(|byte| byte == b'\\')
        }

        pub(in crate::json) fn nests_or_divides(self) -> u32 {
            self.mask(|byte| byte | 0x26 == 0x7f || byte == b':')
        }

        pub(in crate::json) fn have_backslash(blocks: &[Self; 4]) -> bool {
            blocks.iter().any(|block| block.is_backslash() != 0)
        }

        pub(in crate::json) fn ends_scalar(self) -> u32 {
            self.mask(|byte| matches!(byte, b',' | b']' | b'}') || byte <= b' ')
        }

        fn mask(self, is_meant: impl Fn(u8) -> bool) -> u32 {
            self.0.iter().rev().fold(0, |mask, byte| mask << 1 | u32::from(is_meant(*byte)))
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use portable::Block;
#[cfg(target_arch = "x86_64")]
pub(super) use vector::Block;

/// The sixteen bytes from `at` on.
#[inline(always)]
pub(super) fn load(text: &[u8], at: usize) -> Block {
    #[cfg(test)]
    super::work::count();
    match text.get(at..).and_then(<[u8]>::first_chunk) {
        Some(whole) => Block::new(*whole),
        None => last(text, at),
    }
}

/// The blocks of 64 bytes.
#[inline(always)]
pub(super) fn blocks(bytes: &[u8; 4 * LEN]) -> [Block; 4] {
    #[cfg(test)]
    super::work::count();
    let mut blocks = [Block::new([0; LEN]); 4];
    for (block, bytes) in blocks.iter_mut().zip(bytes.as_chunks::<LEN>().0) {
        *block = Block::new(*bytes);
    }
    blocks
}

#[inline(never)]
fn last(text: &[u8], at: usize) -> Block {
    let Some(rest) = text.get(at..) else { return Block::new([0; LEN]) };
    let missing = LEN.saturating_sub(rest.len());
    // Zeros take the place of what lies in front of `at`.
    let bytes = match text.last_chunk() {
        Some(end) => u128::from_le_bytes(*end).unbounded_shr(8 * u32::try_from(missing).unwrap_or_default()),
        None => short(rest),
    };
    Block::new(bytes.to_le_bytes())
}

/// Up to 15 bytes as one number, the first one lowest: the first and the last few of them, which may overlap.
#[inline(always)]
fn short(bytes: &[u8]) -> u128 {
    let behind = |last: usize| 8 * u32::try_from(bytes.len() - last).unwrap_or_default();
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return u128::from(u64::from_le_bytes(*first)) | u128::from(u64::from_le_bytes(*last)) << behind(8);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return u128::from(u32::from_le_bytes(*first)) | u128::from(u32::from_le_bytes(*last)) << behind(4);
    }
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

impl Block {
    /// The bytes as one number, the first one lowest.
    #[inline(always)]
    pub(super) fn bits(self) -> u128 {
        let [low, high] = self.halves();
        u128::from(low) | u128::from(high) << 64
    }
}

/// Number of bytes up to the first one in `mask`; at most 16 if there is none.
#[inline(always)]
pub(super) fn first(mask: u32) -> usize {
    (mask | 1 << LEN).trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_blocks_give_the_same_masks() {
        for byte in 0..=u8::MAX {
            for at in 0..LEN {
                let mut bytes = [b'a'; LEN];
                bytes[at] = byte;
                bytes[(at * 7 + 3) % LEN] = byte.rotate_left(3);
                let (vector, portable) = (Block::new(bytes), portable::Block::new(bytes));
                assert_eq!(vector.halves(), portable.halves());
                assert_eq!(vector.ends_plain_text(), portable.ends_plain_text());
                assert_eq!(vector.is_not_ascii(), portable.is_not_ascii());
                assert_eq!(vector.is_digit(), portable.is_digit());
                assert_eq!(vector.nests_or_divides(), portable.nests_or_divides(), "{byte}");
                assert_eq!(vector.is_backslash(), portable.is_backslash());
                for place in 0..4 {
                    let (mut vectors, mut portables) =
                        ([Block::new([b'a'; LEN]); 4], [portable::Block::new([b'a'; LEN]); 4]);
                    (vectors[place], portables[place]) = (vector, portable);
                    assert_eq!(Block::have_backslash(&vectors), portable::Block::have_backslash(&portables));
                }
                assert_eq!(vector.is_quote(), portable.is_quote());
                assert_eq!(vector.ends_scalar(), portable.ends_scalar(), "{byte}");
            }
        }
    }

    #[test]
    fn what_lies_behind_the_end_is_zero() {
        for text in (0..=40).map(|len| &[b'1'; 40][..len]) {
            for at in 0..=41 {
                let left = text.len().saturating_sub(at).min(LEN);
                assert_eq!(load(text, at).is_digit().count_ones() as usize, left);
                assert_eq!(first(load(text, at).ends_plain_text()), left);
                assert_eq!(first(load(text, at).ends_scalar()), left);
            }
        }
        let text = b"{\"a\":[1,2,3,45]}";
        let of = |text: &[u8], at| load(text, at).halves().map(u64::to_le_bytes).concat();
        for len in 0..text.len() {
            for at in 0..len {
                let padded = [&text[at..len], &[0; LEN][len - at..]].concat();
                assert_eq!(of(&text[..len], at), padded, "{at} {len}");
                assert_eq!(of(&text[at..len], 0), padded, "{at} {len}");
            }
        }
        let bytes = |at| of(text, at);
        assert_eq!(bytes(0), text);
        assert_eq!(bytes(10), b"3,45]}\0\0\0\0\0\0\0\0\0\0");
    }
}
