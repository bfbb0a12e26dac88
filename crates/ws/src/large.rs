//! Large messages.

use crate::{error::ProtocolError, region::Region};
use bytes::Bytes;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// From there on a message is large.
pub(crate) const LARGE_BYTES: usize = 1024 * 1024;

/// How many times of what is there has room beyond. Room of a region is an address and nothing else.
const ROOMY: usize = 64;

/// What becomes no larger than that is in memory of the allocator, which has it at hand again for the next one.
pub(crate) const REGION_BYTES: usize = 8 * LARGE_BYTES;

/// What large messages of several connections may take together: each counts from 1 MiB on until nobody has it any more.
#[derive(Debug)]
pub struct LargeMessages {
    max: usize,
    held: AtomicUsize,
}

impl LargeMessages {
    /// At most `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, held: AtomicUsize::new(0) }
    }

    /// Bytes that are counted now, each message in steps of 1 MiB.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    fn take(&self, bytes: usize) -> Result<(), ProtocolError> {
        let take = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.max);
        let taken = self.held.fetch_update(Relaxed, Relaxed, take);
        taken.map(drop).map_err(|_| ProtocolError::NoRoom { max: self.max })
    }
}

/// What one message takes of it.
#[derive(Debug)]
struct Share {
    of: Arc<LargeMessages>,
    bytes: usize,
}

impl Share {
    /// Makes it enough for `len` bytes.
    fn reach(&mut self, len: usize) -> Result<(), ProtocolError> {
        if len > self.bytes {
            let more = (len - self.bytes).next_multiple_of(LARGE_BYTES);
            self.of.take(more)?;
            self.bytes += more;
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.held.fetch_sub(self.bytes, Relaxed);
    }
}

/// The bytes of a large message so far, in one place.
///
/// It is moved once at most: then it gets room for all that it may become, as far as that is not beyond [`ROOMY`] times of what it is.
/// A message that is whole need not be put together, which would take as much again.
#[derive(Debug)]
pub(crate) struct Large {
    place: Place,
    /// There if somebody counts. Dropped behind the place: what is counted is there.
    share: Option<Share>,
}

#[derive(Debug)]
enum Place {
    Heap(Vec<u8>),
    Region(Region),
}

impl Large {
    /// A message that has become large.
    pub(crate) fn new(bytes: Vec<u8>, of: Option<&Arc<LargeMessages>>) -> Self {
        let share = of.map(|of| Share { of: of.clone(), bytes: 0 });
        Self { place: Place::Heap(bytes), share }
    }

    /// The message is whole.
    pub(crate) fn whole(mut self) -> Bytes {
        if let Place::Region(region) = &mut self.place {
            region.ends();
        }
        Bytes::from_owner(self)
    }

    pub(crate) fn len(&self) -> usize {
        match &self.place {
            Place::Heap(bytes) => bytes.len(),
            Place::Region(region) => region.len(),
        }
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        match &self.place {
            Place::Heap(bytes) => bytes.capacity(),
            Place::Region(region) => region.capacity(),
        }
    }

    /// Appends `bytes`. Where room has to be made for them it is made for no more than `most`, which is all that may come.
    ///
    /// # Errors
    /// [`ProtocolError::NoRoom`] if that is more than all may take together.
    pub(crate) fn push(&mut self, bytes: &[u8], most: usize) -> Result<(), ProtocolError> {
        let len = self.len();
        if let Some(share) = &mut self.share {
            share.reach(len.saturating_add(bytes.len()))?;
        }
        if !self.fits(bytes) {
            self.make_room(bytes.len(), most);
            // There is room for it now.
            self.fits(bytes);
        }
        Ok(())
    }

    /// Appends `bytes` if there is room for them.
    fn fits(&mut self, more: &[u8]) -> bool {
        match &mut self.place {
            Place::Region(region) => region.push(more),
            Place::Heap(bytes) => {
                let fits = more.len() <= bytes.capacity() - bytes.len();
                if fits {
                    bytes.extend_from_slice(more);
                }
                fits
            }
        }
    }

    fn make_room(&mut self, more: usize, most: usize) {
        let len = self.len();
        let room = len.saturating_mul(ROOMY).min(most).max(more);
        let all = len.saturating_add(room);
        if all > REGION_BYTES
            && let Some(mut region) = self.region(all)
        {
            region.push(self.as_ref());
            self.place = Place::Region(region);
            return;
        }
        // Without regions, room takes memory: it is made for double.
        let room = if all > REGION_BYTES { len.min(most).max(more) } else { room };
        let mut bytes = match &mut self.place {
            Place::Heap(bytes) => std::mem::take(bytes),
            Place::Region(region) => region.as_ref().to_vec(),
        };
        bytes.reserve_exact(room);
        self.place = Place::Heap(bytes);
    }

    /// One that has no more memory than there is a share for.
    fn region(&mut self, capacity: usize) -> Option<Region> {
        let region = Region::with_capacity(capacity)?;
        let shared = self.share.as_mut().is_none_or(|share| share.reach(region.written()).is_ok());
        if shared { Some(region) } else { Region::fresh(capacity) }
    }
}

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        match &self.place {
            Place::Heap(bytes) => bytes,
            Place::Region(region) => region.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn large() -> Large {
        Large::new(vec![7; LARGE_BYTES], None)
    }

    #[test]
    fn what_is_large_is_moved_once_and_not_copied_when_it_is_whole() {
        const MOST: usize = 16 * LARGE_BYTES;
        let mut large = large();
        large.push(&[7; 8192], MOST - LARGE_BYTES).unwrap();
        assert!(matches!(large.place, Place::Region(_)));
        let place = large.as_ref().as_ptr();
        while large.len() < MOST {
            large.push(&[7; 8192], MOST - large.len()).unwrap();
        }
        assert_eq!((large.capacity(), large.len()), (MOST, MOST));
        let whole = large.whole();
        assert_eq!((whole.as_ptr(), whole.len()), (place, MOST));
        assert!(whole.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn what_does_not_become_very_large_is_the_allocators() {
        let mut large = large();
        large.push(b"x", 5 * LARGE_BYTES).unwrap();
        assert!(matches!(large.place, Place::Heap(_)));
        assert_eq!((large.capacity(), large.len()), (6 * LARGE_BYTES, LARGE_BYTES + 1));
    }

    #[test]
    fn what_may_become_very_much_has_no_more_room_than_many_times_what_it_is() {
        let mut large = large();
        large.push(&[8; 10], usize::MAX).unwrap();
        assert_eq!(large.capacity(), (ROOMY + 1) * LARGE_BYTES);
        let rest = vec![9; ROOMY * LARGE_BYTES];
        large.push(&rest, usize::MAX).unwrap();
        assert_eq!(large.capacity(), (LARGE_BYTES + 10) * (ROOMY + 1));
        let all = large.as_ref();
        assert_eq!(all.len(), LARGE_BYTES + 10 + rest.len());
        assert!(all.starts_with(&[7; LARGE_BYTES]) && all.ends_with(&rest));
    }

    #[test]
    fn messages_take_their_share_while_somebody_has_them_and_no_more_than_all_may() {
        let all = Arc::new(LargeMessages::new(4 * LARGE_BYTES));
        let mut one = Large::new(vec![7; LARGE_BYTES], Some(&all));
        let mut other = Large::new(vec![7; LARGE_BYTES], Some(&all));
        assert_eq!(all.held(), 0);
        one.push(b"x", usize::MAX).unwrap();
        other.push(b"x", usize::MAX).unwrap();
        assert_eq!(all.held(), 4 * LARGE_BYTES, "in steps");
        one.push(&[7; LARGE_BYTES - 1], usize::MAX).unwrap();
        let refused = one.push(b"x", usize::MAX);
        assert_eq!(refused, Err(ProtocolError::NoRoom { max: 4 * LARGE_BYTES }));
        let whole = other.whole();
        let part = whole.slice(..1);
        drop(whole);
        assert_eq!(all.held(), 4 * LARGE_BYTES, "somebody has it");
        drop(part);
        assert_eq!(all.held(), 2 * LARGE_BYTES);
        one.push(b"x", usize::MAX).unwrap();
        drop(one);
        assert_eq!(all.held(), 0);
    }
}
