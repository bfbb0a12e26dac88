//! The window of a direction.

use std::collections::VecDeque;

/// The last bytes of all messages, so many as the next one may refer to.
#[derive(Debug)]
pub(super) struct History {
    max_bytes: usize,
    bytes: VecDeque<u8>,
}

impl History {
    /// An empty one that keeps at most `max_bytes`.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, bytes: VecDeque::new() }
    }

    /// Appends `bytes`.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let new = bytes.get(bytes.len().saturating_sub(self.max_bytes)..).unwrap_or_default();
        let kept = self.max_bytes - new.len();
        self.bytes.drain(..self.bytes.len().saturating_sub(kept));
        let needed = self.bytes.len() + new.len();
        if needed > self.bytes.capacity() {
            let room = needed.max(2 * self.bytes.capacity()).min(self.max_bytes);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend(new);
    }

    /// All of it, in order.
    pub(super) fn bytes(&mut self) -> &[u8] {
        self.bytes.make_contiguous()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_end_of_everything_and_takes_no_more_room_than_that() {
        let mut history = History::new(16);
        let mut all = Vec::new();
        for len in [0, 1, 3, 16, 0, 7, 9, 2, 40, 15, 1, 17] {
            let bytes: Vec<u8> = (0..len).map(|number| number + len).collect();
            history.push(&bytes);
            all.extend(bytes);
            assert_eq!(history.bytes(), &all[all.len().saturating_sub(16)..]);
            assert!(history.bytes.capacity() <= 16);
        }
        let mut none = History::new(0);
        none.push(b"forgotten");
        assert!(none.bytes().is_empty());
        assert_eq!(none.bytes.capacity(), 0);
    }
}
