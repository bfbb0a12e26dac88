//! A message that comes in parts.

/// What a large message is kept in pieces of until it is whole.
pub(crate) const PIECE_BYTES: usize = 1024 * 1024;

/// The bytes of a message so far.
///
/// The first piece grows as vectors do. What comes behind it goes to pieces of its own, which are never moved: so there is
/// never more than one copy of a message under assembly, and nothing of it is given back before its end, which allocators
/// would keep for a while. Only a message that is whole is put together.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    /// Each of [`PIECE_BYTES`].
    #[expect(
        clippy::box_collection,
        reason = "few messages are so large, and a box keeps connections small"
    )]
    full: Option<Box<Vec<Vec<u8>>>>,
    last: Vec<u8>,
}

impl Assembly {
    pub(crate) fn len(&self) -> usize {
        self.full.as_ref().map_or(0, |full| full.len() * PIECE_BYTES) + self.last.len()
    }

    /// Appends `bytes`. Where room has to be made for them it is made for `ahead` bytes, if that is more, but not beyond a
    /// piece.
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8], ahead: usize) {
        if bytes.len() <= self.last.capacity() - self.last.len() {
            self.last.extend_from_slice(bytes);
        } else {
            self.push_growing(bytes, ahead);
        }
    }

    fn push_growing(&mut self, mut bytes: &[u8], mut ahead: usize) {
        while !bytes.is_empty() {
            if self.last.len() == PIECE_BYTES {
                self.full.get_or_insert_default().push(std::mem::take(&mut self.last));
            }
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.last.len()));
            if now.len() > self.last.capacity() - self.last.len() {
                self.last.reserve_exact(now.len().max(ahead.min(PIECE_BYTES - self.last.len())));
            }
            self.last.extend_from_slice(now);
            ahead = ahead.saturating_sub(now.len());
            bytes = later;
        }
    }

    /// All of it; nothing is left, nor any memory.
    #[inline]
    pub(crate) fn take(&mut self) -> Vec<u8> {
        if self.full.is_none() { std::mem::take(&mut self.last) } else { self.join() }
    }

    #[cold]
    fn join(&mut self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.len());
        let Self { full, last } = std::mem::take(self);
        // Each piece is given back as soon as it is copied.
        for piece in full.into_iter().flat_map(|full| *full).chain([last]) {
            whole.extend_from_slice(&piece);
        }
        whole
    }

    /// Bytes that there is room for, filled or not.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.full.iter().flat_map(|full| full.iter()).chain([&self.last]).map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_parts_comes_out_whole_however_it_was_cut() {
        let message: Vec<u8> = (0..=250).cycle().take(PIECE_BYTES * 5 / 2).collect();
        for (cut, ahead) in [(1000, 1000), (8192, usize::MAX), (PIECE_BYTES, 0), (PIECE_BYTES * 2 + 1, 0)] {
            let mut assembly = Assembly::default();
            for part in message.chunks(cut) {
                assembly.push(part, ahead);
            }
            assert_eq!(assembly.len(), message.len());
            assert!(assembly.take() == message, "cut at {cut}");
            assert_eq!((assembly.len(), assembly.capacity()), (0, 0));
        }
    }

    #[test]
    fn beyond_the_first_piece_nothing_is_moved_and_hardly_anything_is_ahead() {
        let mut assembly = Assembly::default();
        let mut places = Vec::new();
        for _ in 0..16 * 128 {
            assembly.push(&[7; 8192], assembly.len());
            assert!(assembly.capacity() <= (2 * assembly.len()).min(assembly.len() + PIECE_BYTES));
            let now: Vec<_> =
                assembly.full.iter().flat_map(|full| full.iter()).map(|piece| piece.as_ptr()).collect();
            assert!(now.starts_with(&places));
            places = now;
        }
        assert_eq!((assembly.capacity(), assembly.len()), (16 * PIECE_BYTES, 16 * PIECE_BYTES));
        let whole = assembly.take();
        assert_eq!(whole.capacity(), whole.len());
    }

    #[test]
    fn room_is_made_for_what_is_ahead_and_no_more() {
        let mut assembly = Assembly::default();
        assembly.push(b"ten bytes!", 100);
        assert_eq!(assembly.capacity(), 100);
        assembly.push(&[0; PIECE_BYTES], PIECE_BYTES + 5);
        assert_eq!(assembly.len(), PIECE_BYTES + 10);
        assert_eq!(assembly.capacity(), PIECE_BYTES + 15, "a last piece is as long as it has to be");
    }
}
