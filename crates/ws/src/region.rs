//! Memory of large messages.

use memmap2::{MmapMut, MmapOptions};
use std::{
    sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// How long a region that nobody has any more is kept at least, and half of how long it is kept at most.
const KEPT: Duration = Duration::from_millis(50);

/// How many are.
const MOST_SPARE: usize = 8;

/// Room for one large message.
///
/// It is the system's: room is a range of addresses, there is memory only where something was written, page by page, and all of
/// it goes back when nobody has the message any more. An allocator would keep it for long, and would give parts of it to
/// what is small, so that the next large message does not fit there.
///
/// Who has large messages has many: the next one gets the same memory, if it comes soon. To take 64 MiB from the system, page by
/// page, takes a third of the time in which as much is inflated, and to give it back takes milliseconds, during which others have to wait
/// for their turn; so what was not taken again is given back by a thread that has nothing else to do.
#[derive(Debug)]
pub(crate) struct Region {
    /// `None` only while it is dropped.
    memory: Option<Memory>,
    len: usize,
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
        let spare = SPARES.take(capacity).map(|memory| Self { memory: Some(memory), len: 0 });
        spare.or_else(|| Self::fresh(capacity))
    }

    /// One of which there is no memory yet. `None` as above.
    pub(crate) fn fresh(capacity: usize) -> Option<Self> {
        let map = MmapOptions::new().len(capacity).no_reserve_swap().map_anon().ok()?;
        Some(Self { memory: Some(Memory { map, written: 0 }), len: 0 })
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
            SPARES.put(memory);
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
    is_old: bool,
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

    fn put(&self, memory: Memory) {
        let mut all = self.all();
        if self.is_served && all.len() < MOST_SPARE {
            all.push(Spare { memory, is_old: false });
            drop(all);
            self.come.notify_one();
        } else {
            drop(all);
            drop(memory);
        }
    }

    /// Those that were there the last time, too.
    fn outdated(&self) -> Vec<Spare> {
        let mut all = self.all();
        let outdated = all.extract_if(.., |spare| spare.is_old).collect();
        all.iter_mut().for_each(|spare| spare.is_old = true);
        outdated
    }

    /// Gives back what nobody takes.
    fn serve(&self) {
        loop {
            drop(self.come.wait_while(self.all(), |all| all.is_empty()));
            thread::sleep(KEPT);
            drop(self.outdated());
        }
    }
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
        for number in 0..MOST_SPARE + 1 {
            spares.put(memory(4096 * (1 + number % 2), number));
        }
        let taken = |capacity| spares.take(capacity).map(|memory| memory.written);
        assert_eq!([taken(4097), taken(1), taken(8193)], [Some(7), Some(6), None]);
        assert_eq!(spares.outdated().len(), 0);
        spares.put(memory(4096, 9));
        assert_eq!(spares.outdated().len(), MOST_SPARE - 2);
        assert_eq!(taken(1), Some(9));
        assert_eq!((taken(1), spares.outdated().len()), (None, 0));
    }

    #[test]
    fn without_a_thread_nothing_is_kept() {
        let spares = Spares::default();
        spares.put(memory(4096, 1));
        assert!(spares.take(1).is_none());
    }

    #[test]
    fn a_region_has_its_own_bytes_alone() {
        let mut region = Region::fresh(10).unwrap();
        assert!(region.push(b"secret") && !region.push(b"12345"));
        let memory = region.memory.take();
        let mut region = Region { memory, len: 0 };
        assert_eq!((region.as_ref(), region.written(), region.capacity()), (&b""[..], 6, 10));
        assert!(region.push(b"new"));
        assert_eq!((region.as_ref(), region.written()), (&b"new"[..], 6));
    }
}
