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
        pub(in crate::json) fn nests_or_quotes(self) -> u32 {
            // `[` and `{`, `]` and `}` differ in one bit.
            let folded = self.0 | all(0x20);
            mask(equal(folded, b'{') | equal(folded, b'}') | equal(self.0, b'"'))
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

        pub(in crate::json) fn nests_or_quotes(self) -> u32 {
            self.mask(|byte| matches!(byte, b'[' | b']' | b'{' | b'}' | b'"'))
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

#[inline(never)]
fn last(text: &[u8], at: usize) -> Block {
    let mut padded = [0; LEN];
    for (to, from) in padded.iter_mut().zip(text.get(at..).unwrap_or_default()) {
        *to = *from;
    }
    Block::new(padded)
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
                assert_eq!(vector.nests_or_quotes(), portable.nests_or_quotes(), "{byte}");
            }
        }
    }

    #[test]
    fn what_lies_behind_the_end_is_zero() {
        let text = [b'1'; 40];
        for at in 0..=41 {
            let left = text.len().saturating_sub(at).min(LEN);
            assert_eq!(load(&text, at).is_digit().count_ones() as usize, left);
            assert_eq!(first(load(&text, at).ends_plain_text()), left);
        }
    }
}
