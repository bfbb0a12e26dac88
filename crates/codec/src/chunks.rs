//! The buffer that encoded events are collected in.

/// Pieces of bytes in one buffer. One piece is one message for the next stage, one frame or one write.
///
/// Bytes that were added through [`Chunks::buffer_mut`] belong to the chunk in the making until
/// [`Chunks::end_chunk`] completes it; no other method sees them.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    bytes: Vec<u8>,
    /// End of every chunk in `bytes`, ascending.
    ends: Vec<usize>,
}

/// A state of a [`Chunks`] to go back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    bytes: usize,
    chunks: usize,
}

impl Chunks {
    /// A buffer without any memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a chunk.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        self.end_chunk();
    }

    /// Makes room for so many more chunks; their bytes take what they need.
    pub fn reserve(&mut self, chunks: usize) {
        self.ends.reserve(chunks);
    }

    /// The buffer, to append the bytes of the chunk in the making. What is in it must stay as it is.
    pub fn buffer_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Completes the chunk in the making, which may be empty.
    pub fn end_chunk(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// Number of chunks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// `true` without chunks. Chunks may be empty, so there can be chunks without bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The chunks in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let chunk = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            chunk
        })
    }

    /// All chunks, one behind the other: what goes into a transport that knows no frames.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.ends.last().copied().unwrap_or_default();
        self.bytes.get(..end).unwrap_or_default()
    }

    /// Gives away all chunks, one behind the other, without copying them: appends them to `bytes`, and if that is empty
    /// takes its memory for them. Nothing is left.
    pub fn move_to(&mut self, bytes: &mut Vec<u8>) {
        self.bytes.truncate(self.as_bytes().len());
        if bytes.is_empty() {
            std::mem::swap(bytes, &mut self.bytes);
        } else {
            bytes.extend_from_slice(&self.bytes);
        }
        self.clear();
    }

    /// Removes all chunks, and the one in the making; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Gives back memory beyond `keep_bytes` that the chunks do not need: it stems from an unusually large event.
    pub fn trim(&mut self, keep_bytes: usize) {
        if self.bytes.capacity() > keep_bytes {
            self.bytes.shrink_to(keep_bytes);
            self.ends.shrink_to(keep_bytes / size_of::<usize>());
        }
    }

    /// The present state.
    pub(crate) fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), chunks: self.ends.len() }
    }

    /// Removes everything that was added since `mark`.
    pub(crate) fn back_to(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.ends.truncate(mark.chunks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_keep_their_boundaries() {
        let mut chunks = Chunks::new();
        assert!(chunks.is_empty());
        chunks.push(b"ab");
        chunks.push(b"");
        let mark = chunks.mark();
        chunks.buffer_mut().extend_from_slice(b"cd");
        assert_eq!(chunks.as_bytes(), b"ab", "the chunk in the making is not there yet");
        chunks.end_chunk();
        assert_eq!(chunks.iter().collect::<Vec<_>>(), [&b"ab"[..], b"", b"cd"]);
        assert_eq!(chunks.as_bytes(), b"abcd");
        assert_eq!(chunks.len(), 3);
        chunks.back_to(mark);
        assert_eq!(chunks.iter().collect::<Vec<_>>(), [&b"ab"[..], b""]);
        chunks.buffer_mut().extend_from_slice(b"in the making");
        let (mut empty, mut more) = (Vec::with_capacity(1000), b"more".to_vec());
        chunks.clone().move_to(&mut more);
        assert_eq!(more, b"moreab");
        chunks.move_to(&mut empty);
        assert_eq!(empty, b"ab");
        assert!(chunks.bytes.capacity() >= 1000, "memory is exchanged");
        assert_eq!((chunks.len(), chunks.as_bytes()), (0, &b""[..]));
        chunks.push(&[0; 100_000]);
        chunks.trim(1000);
        assert_eq!(chunks.as_bytes().len(), 100_000);
        chunks.clear();
        chunks.trim(1000);
        assert!(chunks.bytes.capacity() < 2000);
    }
}
