//! Memory for blocks that is used again once nothing of a block is left.
//!
//! A block that is asked of the system comes as fresh pages, which the kernel clears first: for a file that is read
//! fast that is a good part of all the work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tremor_value::Bytes;

/// Blocks that wait to be used again. More are under way only while somebody holds events back.
const MAX_FREE: usize = 4;

/// Gives out memory for blocks and gets it back.
#[derive(Default)]
pub(super) struct Memory {
    free: Arc<Free>,
}

#[derive(Default)]
struct Free(Mutex<Vec<Vec<u8>>>);

impl Free {
    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// An empty buffer with room for `bytes`.
    pub(super) fn take(&self, bytes: usize) -> Vec<u8> {
        let mut buffer = self.free.lock().pop().unwrap_or_default();
        buffer.reserve(bytes);
        buffer
    }

    /// The content of `buffer`, whose memory comes back when the last piece of it is dropped.
    pub(super) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, home: Arc::downgrade(&self.free) })
    }
}

struct Lent {
    buffer: Vec<u8>,
    home: Weak<Free>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // After the last block of a file nobody needs the memory any more.
        let Some(home) = self.home.upgrade() else { return };
        let mut free = home.lock();
        if free.len() < MAX_FREE {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lent(memory: &Memory, content: &[u8]) -> Bytes {
        let mut buffer = memory.take(100);
        assert!(buffer.is_empty() && buffer.capacity() >= 100);
        buffer.extend_from_slice(content);
        memory.lend(buffer)
    }

    #[test]
    fn memory_comes_back_when_the_last_piece_is_gone() {
        let memory = Memory::default();
        let block = lent(&memory, b"one two");
        let place = block.as_ptr();
        let piece = block.slice(4..);
        drop(block);
        let other = memory.take(100);
        assert_ne!(other.as_ptr(), place, "a piece is still there");
        assert_eq!(piece, "two");
        drop(piece);
        assert_eq!(lent(&memory, b"three").as_ptr(), place);
    }

    #[test]
    fn only_a_few_buffers_are_kept_and_none_without_a_reader() {
        let memory = Memory::default();
        drop((0..3 * MAX_FREE).map(|_| lent(&memory, b"x")).collect::<Vec<_>>());
        assert_eq!(memory.free.lock().len(), MAX_FREE);
        let last = lent(&memory, b"last");
        drop(memory);
        assert_eq!(last, "last");
    }
}
