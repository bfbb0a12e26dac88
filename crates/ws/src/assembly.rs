//! A message that comes in parts.

/// Up to that much of a message, room is made for double of it at most.
const LARGE_BYTES: usize = 1024 * 1024;
/// How many times that much there is room for beyond. Memory that nothing was written to is an address and nothing else.
const ROOMY: usize = 64;

/// The bytes of a message so far, in one place.
///
/// What is large is moved once at most, when it has [`LARGE_BYTES`]: then it gets room for all that it may become, as far as
/// that is not beyond [`ROOMY`] times of what it is. The system gives memory page by page, for what is there; and a message
/// that is whole need not be put together, which would take as much again.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    bytes: Vec<u8>,
}

impl Assembly {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends `bytes`. Where room has to be made for them it is made for `ahead` bytes, if that is more, but for no more than
    /// `most`, which is all that may come.
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8], ahead: usize, most: usize) {
        if bytes.len() > self.bytes.capacity() - self.bytes.len() {
            self.make_room(bytes.len(), ahead, most);
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn make_room(&mut self, len: usize, ahead: usize, most: usize) {
        if self.bytes.len() >= LARGE_BYTES {
            let roomy = self.bytes.len().saturating_mul(ROOMY).min(most);
            if self.bytes.try_reserve_exact(roomy.max(len)).is_ok() {
                return;
            }
            // There are systems and limits where addresses are not for nothing.
        }
        self.bytes.reserve_exact(len.max(ahead.min(most)));
    }

    /// All of it; nothing is left, nor any memory.
    #[inline]
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut whole = std::mem::take(&mut self.bytes);
        if whole.capacity() - whole.len() > LARGE_BYTES {
            fit(&mut whole);
        }
        whole
    }

    /// Bytes that there is room for, filled or not.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Moves what takes less than half of its room to where it takes all of it: the rest may be memory that others have used just
/// now, and would be kept as long as the message is.
#[cold]
fn fit(whole: &mut Vec<u8>) {
    if whole.capacity() - whole.len() > whole.len() {
        whole.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As much as is there again.
    fn push(assembly: &mut Assembly, bytes: &[u8], most: usize) {
        assembly.push(bytes, assembly.len(), most);
    }

    #[test]
    fn what_comes_in_parts_comes_out_whole_however_it_was_cut() {
        let message: Vec<u8> = (0..=250).cycle().take(LARGE_BYTES * 5 / 2).collect();
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
    fn what_is_large_is_moved_once_and_what_is_small_has_little_room() {
        const MOST: usize = 16 * LARGE_BYTES;
        let (mut assembly, mut moves) = (Assembly::default(), 0);
        for _ in 0..MOST / 8192 {
            let (len, capacity) = (assembly.len(), assembly.capacity());
            push(&mut assembly, &[7; 8192], MOST - len);
            if len < LARGE_BYTES {
                assert!(assembly.capacity() <= (2 * len).max(8192));
            } else {
                moves += usize::from(assembly.capacity() != capacity);
            }
        }
        assert_eq!((moves, assembly.capacity(), assembly.len()), (1, MOST, MOST));
        let place = assembly.bytes.as_ptr();
        let whole = assembly.take();
        assert_eq!((whole.as_ptr(), whole.len()), (place, MOST), "it is not copied");
    }

    #[test]
    fn what_may_become_very_much_has_no_more_room_than_many_times_what_it_is() {
        let mut assembly = Assembly::default();
        push(&mut assembly, &[7; LARGE_BYTES], usize::MAX);
        assert_eq!(assembly.capacity(), LARGE_BYTES);
        push(&mut assembly, &[7; 10], usize::MAX);
        assert_eq!(assembly.capacity(), (ROOMY + 1) * LARGE_BYTES);
        let whole = assembly.take();
        assert!(
            whole.len() == LARGE_BYTES + 10 && whole.capacity() < 2 * LARGE_BYTES,
            "{}",
            whole.capacity()
        );
    }

    #[test]
    fn room_is_made_for_what_is_ahead_and_no_more() {
        let mut assembly = Assembly::default();
        assembly.push(b"ten bytes!", 100, 1000);
        assert_eq!(assembly.capacity(), 100);
        let mut assembly = Assembly::default();
        assembly.push(b"ten bytes!", 100, 50);
        assert_eq!(assembly.capacity(), 50);
    }
}
