//! Memory of large messages.

use memmap2::{MmapMut, MmapOptions};
use std::{
    sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long a region is kept that nobody has any more.
const KEPT: Duration = Duration::from_millis(50);

/// One that had a whole message is not, if it has more memory than this: what was made of the message needs as much.
const MOST_KEPT_BYTES: usize = 8 << 20;

/// How many are.
const MOST_SPARE: usize = 8;

/// Room for one large message.
///
/// It is the system's: room is a range of addresses, there is memory only where something was written, page by page, and all of
/// it goes back when nobody has the message any more. An allocator would keep it for long, and would give parts of it to
/// what is small, so that the next large message does not fit there.
///
/// Messages that are given up come in numbers: the next one gets the same memory, if it comes soon. To take 64 MiB from the system,
/// page by page, takes a third of the time in which as much is inflated, and to give it back takes milliseconds, during which others would
/// have to wait for their turn; so what is not taken again is given back by a thread that has nothing else to do.
#[derive(Debug)]
pub(crate) struct Region {
    /// `None` only while it is dropped.
    memory: Option<Memory>,
    len: usize,
    is_whole: bool,
}

#[derive(Debug)]
struct Memory {
    map: MmapMut,
    /// So much of it has been written to: that much memory there is.
    written: usize,
}

impl Region {
    /// One that may have been another's. `None` if the system has no such range, as where addresses are limited by `ulimit -v`
    /// or `vm.overcommit_memory=2`.
    pub(crate) fn with_capacity(capacity: usize) -> Option<Self> {
        let spare = SPARES.take(capacity).map(Self::of);
        spare.or_else(|| Self::fresh(capacity))
    }

    /// One of which there is no memory yet. `None` as above.
    pub(crate) fn fresh(capacity: usize) -> Option<Self> {
        let map = MmapOptions::new().len(capacity).no_reserve_swap().map_anon().ok()?;
        Some(Self::of(Memory { map, written: 0 }))
    }

    fn of(memory: Memory) -> Self {
        Self { memory: Some(memory), len: 0, is_whole: false }
    }

    /// The message in it is whole.
    pub(crate) fn ends(&mut self) {
        self.is_whole = true;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory that it has.
    pub(crate) fn written(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.written)
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.map.len())
    }

    /// Appends `bytes`; `false`, and nothing is done, if there is no room for them.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        let end = self.len.saturating_add(bytes.len());
        let Some(Memory { map, written }) = &mut self.memory else { return false };
        let Some(room) = map.get_mut(self.len..end) else { return false };
        room.copy_from_slice(bytes);
        *written = end.max(*written);
        self.len = end;
        true
    }
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_ref().and_then(|memory| memory.map.get(..self.len)).unwrap_or_default()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            let is_kept = !self.is_whole || memory.written <= MOST_KEPT_BYTES;
            SPARES.put(memory, Instant::now() + if is_kept { KEPT } else { Duration::ZERO });
        }
    }
}

/// Of all connections.
static SPARES: LazyLock<Spares> = LazyLock::new(|| {
    let thread = thread::Builder::new().name("large messages".to_owned());
    Spares { is_served: thread.spawn(|| SPARES.serve()).is_ok(), ..Spares::default() }
});

/// What nobody has any more.
#[derive(Default)]
struct Spares {
    /// Those that came last are at the end.
    all: Mutex<Vec<Spare>>,
    come: Condvar,
    /// There is a thread that gives back what is not taken.
    is_served: bool,
}

struct Spare {
    memory: Memory,
    until: Instant,
}

impl Spares {
    fn all(&self) -> MutexGuard<'_, Vec<Spare>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, capacity: usize) -> Option<Memory> {
        let mut all = self.all();
        let found = all.iter().rposition(|spare| spare.memory.map.len() >= capacity)?;
        Some(all.remove(found).memory)
    }

    fn put(&self, memory: Memory, until: Instant) {
        let mut all = self.all();
        if self.is_served && all.len() < MOST_SPARE {
            all.push(Spare { memory, until });
            drop(all);
            self.come.notify_one();
        } else {
            drop(all);
            drop(memory);
        }
    }

    /// Gives back what nobody takes.
    fn serve(&self) {
        let mut all = self.all();
        loop {
            let now = Instant::now();
            let (outdated, next) = outdated(&mut all, now);
            if !outdated.is_empty() {
                drop(all);
                drop(outdated);
                all = self.all();
            } else if let Some(next) = next {
                let waited = self.come.wait_timeout(all, next.saturating_duration_since(now));
                all = waited.unwrap_or_else(PoisonError::into_inner).0;
            } else {
                all = self.come.wait(all).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Those that have been kept long enough; and when there is another one that has.
fn outdated(all: &mut Vec<Spare>, now: Instant) -> (Vec<Spare>, Option<Instant>) {
    let outdated = all.extract_if(.., |spare| spare.until <= now).collect();
    (outdated, all.iter().map(|spare| spare.until).min())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(len: usize, written: usize) -> Memory {
        Memory { written, ..Region::fresh(len).unwrap().memory.take().unwrap() }
    }

    #[test]
    fn what_nobody_has_is_the_next_ones_if_it_is_large_enough_and_he_comes_soon() {
        let spares = Spares { is_served: true, ..Spares::default() };
        let (now, later) = (Instant::now(), Instant::now() + KEPT);
        for number in 0..MOST_SPARE + 1 {
            spares.put(memory(4096 * (1 + number % 2), number), later);
        }
        let taken = |capacity| spares.take(capacity).map(|memory| memory.written);
        assert_eq!([taken(4097), taken(1), taken(8193)], [Some(7), Some(6), None]);
        spares.put(memory(4096, 9), now);
        let (gone, next) = outdated(&mut spares.all(), now);
        assert_eq!((gone.len(), gone[0].memory.written, next), (1, 9, Some(later)));
        assert_eq!(taken(1), Some(5));
        let (gone, next) = outdated(&mut spares.all(), later);
        assert_eq!((gone.len(), next, taken(1)), (MOST_SPARE - 3, None, None));
    }

    #[test]
    fn without_a_thread_nothing_is_kept() {
        let spares = Spares::default();
        spares.put(memory(4096, 1), Instant::now() + KEPT);
        assert!(spares.take(1).is_none());
    }

    #[test]
    fn a_region_has_its_own_bytes_alone() {
        let mut region = Region::fresh(10).unwrap();
        assert!(region.push(b"secret") && !region.push(b"12345"));
        let memory = region.memory.take();
        let mut region = Region::of(memory.unwrap());
        assert_eq!((region.as_ref(), region.written(), region.capacity()), (&b""[..], 6, 10));
        assert!(region.push(b"new"));
        assert_eq!((region.as_ref(), region.written()), (&b"new"[..], 6));
    }
}
