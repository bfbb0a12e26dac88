//! A message that comes in parts.

use crate::{
    error::ProtocolError,
    large::{LARGE_BYTES, Large, LargeMessages},
};
use bytes::Bytes;
use std::sync::Arc;

/// The bytes of a message so far, in one place.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    /// All of it, unless it is large.
    bytes: Vec<u8>,
    /// All of it, if it is; there is no room in `bytes` then. Boxed: few messages are.
    large: Option<Box<Large>>,
    /// What large ones of all connections may take.
    shared: Option<Arc<LargeMessages>>,
}

impl Assembly {
    /// Messages that take their share of that while they are large.
    pub(crate) fn sharing(shared: Option<Arc<LargeMessages>>) -> Self {
        Self { shared, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.large.as_ref().map_or(self.bytes.len(), |large| large.len())
    }

    /// Appends `bytes`. Where room has to be made for them it is made for `ahead` bytes, if that is more, but for no more than
    /// `most`, which is all that may come.
    ///
    /// # Errors
    /// [`ProtocolError::NoRoom`] if large messages of all connections would take more than they may.
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8], ahead: usize, most: usize) -> Result<(), ProtocolError> {
        if bytes.len() > self.bytes.capacity() - self.bytes.len() {
            return self.push_beyond(bytes, ahead, most);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends what `bytes` has no room for.
    fn push_beyond(&mut self, bytes: &[u8], ahead: usize, most: usize) -> Result<(), ProtocolError> {
        let len = self.len();
        if len < LARGE_BYTES {
            let ahead = ahead.min(most).min(LARGE_BYTES - len);
            self.bytes.reserve_exact(ahead.max(bytes.len()));
            self.bytes.extend_from_slice(bytes);
            return Ok(());
        }
        let begun = || Box::new(Large::new(std::mem::take(&mut self.bytes), self.shared.as_ref()));
        self.large.get_or_insert_with(begun).push(bytes, most)
    }

    /// All of it; nothing is left, nor any memory.
    #[inline]
    pub(crate) fn take(&mut self) -> Bytes {
        match self.large.take() {
            None => Bytes::from(std::mem::take(&mut self.bytes)),
            Some(large) => large.whole(),
        }
    }

    /// Bytes that there is room for, filled or not.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.large.as_ref().map_or(self.bytes.capacity(), |large| large.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As much as is there again.
    fn push(assembly: &mut Assembly, bytes: &[u8], most: usize) {
        assembly.push(bytes, assembly.len(), most).unwrap();
    }

    #[test]
    fn what_comes_in_parts_comes_out_whole_however_it_was_cut() {
        let message: Vec<u8> = (0..=250).cycle().take(LARGE_BYTES * 21 / 2).collect();
        for (cut, most) in [(1000, usize::MAX), (8192, message.len()), (LARGE_BYTES, 0), (LARGE_BYTES * 2, 0)]
        {
            let mut assembly = Assembly::default();
            for part in message.chunks(cut) {
                let most = most.saturating_sub(assembly.len());
                push(&mut assembly, part, most);
            }
            assert_eq!(assembly.len(), message.len());
            assert!(assembly.take() == message, "cut at {cut}");
            assert_eq!((assembly.len(), assembly.capacity()), (0, 0));
        }
    }

    #[test]
    fn what_is_large_has_room_for_all_of_it_and_what_is_small_has_little() {
        for mib in [4, 16] {
            let most = mib * LARGE_BYTES;
            let (mut assembly, mut moves) = (Assembly::default(), 0);
            while assembly.len() < most {
                let (len, capacity) = (assembly.len(), assembly.capacity());
                push(&mut assembly, &[7; 8192], most - len);
                if len < LARGE_BYTES {
                    assert!(assembly.capacity() <= (2 * len).max(8192));
                } else {
                    moves += usize::from(assembly.capacity() != capacity);
                }
            }
            assert_eq!((moves, assembly.capacity(), assembly.len()), (1, most, most));
        }
    }

    #[test]
    fn room_is_made_for_what_is_ahead_and_no_more() {
        let mut assembly = Assembly::default();
        assembly.push(b"ten bytes!", 100, 1000).unwrap();
        assert_eq!(assembly.capacity(), 100);
        let mut assembly = Assembly::default();
        assembly.push(b"ten bytes!", 100, 50).unwrap();
        assert_eq!(assembly.capacity(), 50);
    }
}
