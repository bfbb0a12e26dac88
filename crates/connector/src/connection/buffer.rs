//! The read buffer of a connection: small while little comes, large while much does.

use bytes::BytesMut;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Room for a read on a connection that has just begun or is idle.
const RESTING_BYTES: usize = 1024;
/// Room for a read on a connection that does little.
const LEAST_BYTES: usize = 4 * 1024;
/// Room for a read while the peer fills every one.
const MOST_BYTES: usize = 64 * 1024;
/// Reads in a row that leave most of the room empty before there is less of it.
const SMALL_READS: u8 = 16;

/// Bytes that were read and not yet taken, and room for more.
pub(super) struct Buffer {
    bytes: BytesMut,
    room: usize,
    small_reads: u8,
}

impl Buffer {
    /// A buffer that begins with what arrived behind the handshake.
    pub(super) fn new(bytes: BytesMut) -> Self {
        Self { bytes, room: RESTING_BYTES, small_reads: 0 }
    }

    /// What was read and not yet taken.
    pub(super) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Reads once; 0 at the end of the stream. Cancel safe.
    pub(super) async fn fill(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        self.bytes.reserve(self.room);
        let offered = self.bytes.capacity() - self.bytes.len();
        let read = reader.read_buf(&mut self.bytes).await?;
        if read >= offered.min(self.room) {
            self.room = (self.room * 2).clamp(LEAST_BYTES, MOST_BYTES);
            self.small_reads = 0;
        } else if read < self.room / 4 && self.room > LEAST_BYTES {
            self.small_reads += 1;
            if self.small_reads >= SMALL_READS {
                self.room /= 2;
                self.small_reads = 0;
            }
        } else {
            self.small_reads = 0;
        }
        Ok(read)
    }

    /// Throws away what comes until the stream ends.
    pub(super) async fn discard(&mut self, reader: &mut (impl AsyncRead + Unpin)) {
        loop {
            self.bytes.clear();
            if !matches!(self.fill(reader).await, Ok(read) if read > 0) {
                return;
            }
        }
    }

    /// Gives back memory that an idle connection does not need.
    pub(super) fn rest(&mut self) {
        self.room = RESTING_BYTES;
        // What is left of an unfinished frame header stays, in memory of its own.
        self.bytes = BytesMut::from(self.bytes.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_room_follows_what_comes() {
        let mut buffer = Buffer::new(BytesMut::new());
        let flood = vec![7; 1 << 20];
        let mut flood = flood.as_slice();
        while buffer.fill(&mut flood).await.unwrap() > 0 {
            buffer.bytes().clear();
        }
        assert_eq!(buffer.room, MOST_BYTES);
        for _ in 0..200 {
            assert_eq!(buffer.fill(&mut &[1; 10][..]).await.unwrap(), 10);
            buffer.bytes().clear();
        }
        assert_eq!(buffer.room, LEAST_BYTES);
        buffer.bytes().extend_from_slice(b"unfinished");
        buffer.rest();
        assert_eq!(buffer.bytes().as_ref(), b"unfinished");
        assert!(buffer.bytes().capacity() < 100);
        assert_eq!(buffer.fill(&mut &[1; 4096][..]).await.unwrap(), RESTING_BYTES);
        assert_eq!(buffer.room, LEAST_BYTES);
    }
}
