//! Looks at the frames that a peer sends, to see those that only make work.

use crate::ws::pace::now;
use bytes::Buf;
use std::num::NonZeroU64;
use tremor_ws::Bucket;

/// What a frame begins with (RFC 9113, section 4.1).
const HEAD_BYTES: usize = 9;
/// Points per second, and at once; a stream that opens costs one.
const POINTS: NonZeroU64 = NonZeroU64::new(1000).expect("it is not zero");
/// What a frame costs that carries nothing: so many less of them are taken.
const IDLE_POINTS: u64 = 5;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
/// END_STREAM of DATA, ACK of SETTINGS and PING.
const FIRST_FLAG: u8 = 1;

/// Follows the bytes that come.
pub(super) struct Frames {
    /// Bytes of the preface and of payloads that are still to come.
    skip: usize,
    head: [u8; HEAD_BYTES],
    /// How much of `head` is there.
    filled: usize,
    points: Bucket,
    /// A frame of settings came, perhaps not all of it.
    knows_settings: bool,
}

impl Frames {
    /// For a connection that begins with `skip` bytes that are no frames.
    pub(super) fn new(skip: usize) -> Self {
        Self {
            skip,
            head: [0; HEAD_BYTES],
            filled: 0,
            points: Bucket::new(POINTS, now()),
            knows_settings: false,
        }
    }

    /// Looks at the next bytes. `false`: there was too much that carries nothing.
    pub(super) fn look(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes.advance(skipped);
            let missing = self.head.get_mut(self.filled..).unwrap_or_default();
            let taken = missing.len().min(bytes.len());
            bytes.copy_to_slice(missing.get_mut(..taken).unwrap_or_default());
            self.filled += taken;
            if self.filled == HEAD_BYTES {
                self.filled = 0;
                if !self.frame() {
                    return false;
                }
            }
        }
        true
    }

    /// A whole frame of settings came.
    pub(super) fn has_settings(&self) -> bool {
        self.knows_settings && self.skip == 0
    }

    /// A whole head is there.
    fn frame(&mut self) -> bool {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.knows_settings |= kind == SETTINGS && flags & FIRST_FLAG == 0;
        let has_first_flag = flags & FIRST_FLAG != 0;
        let points = match kind {
            DATA if self.skip > 0 || has_first_flag => 0,
            WINDOW_UPDATE => 0,
            HEADERS => 1,
            SETTINGS | PING if has_first_flag => 1,
            _ => IDLE_POINTS,
        };
        points == 0 || self.points.take(points, now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: u8, kind: u8, flags: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, len, kind, flags, 0, 0, 0, 1];
        frame.extend(vec![PING; usize::from(len)]);
        frame
    }

    /// How many of such frames are taken at once.
    fn taken(frame: &[u8]) -> usize {
        let mut frames = Frames::new(0);
        (0..2000).take_while(|_| frames.look(frame)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_carry_nothing_are_few() {
        for (len, kind, flags, most) in [
            (1, DATA, 0, 2000),
            (0, DATA, 0, 200),
            (0, DATA, FIRST_FLAG, 2000),
            (4, HEADERS, 0, 1000),
            (5, 2, 0, 200),
            (4, 3, 0, 200),
            (0, SETTINGS, 0, 200),
            (0, SETTINGS, FIRST_FLAG, 1000),
            (8, PING, 0, 200),
            (8, PING, FIRST_FLAG, 1000),
            (4, WINDOW_UPDATE, 0, 2000),
            (4, 9, 0, 200),
            (4, 77, 0, 200),
        ] {
            assert_eq!(taken(&frame(len, kind, flags)), most, "{kind} {flags}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn frames_are_found_however_they_are_cut() {
        let bytes = [&b"PRI"[..], &frame(200, DATA, 0), &frame(0, SETTINGS, 0), &frame(8, PING, 0)].concat();
        for cut in 1..bytes.len() {
            let mut frames = Frames::new(3);
            let pieces = bytes.chunks(cut).all(|piece| frames.look(piece));
            assert!(pieces && frames.has_settings() && frames.filled == 0 && frames.skip == 0, "{cut}");
            assert_eq!(frames.points.available(now()), 1000 - 2 * IDLE_POINTS, "{cut}");
        }
        let mut frames = Frames::new(0);
        assert!(frames.look(&frame(8, PING, 0)) && !frames.has_settings());
    }

    #[tokio::test(start_paused = true)]
    async fn time_brings_points() {
        let (mut frames, ping) = (Frames::new(0), frame(8, PING, 0));
        for _ in 0..200 {
            assert!(frames.look(&ping));
        }
        tokio::time::advance(std::time::Duration::from_millis(5)).await;
        assert!(frames.look(&ping) && !frames.look(&ping));
    }
}
