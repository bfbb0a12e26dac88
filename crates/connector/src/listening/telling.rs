//! In which order port `control` hears of refused handshakes, and how many it did not hear of.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};
use tremor_value::Value;

/// Refused handshakes that wait at once for port `control` to take the word of them.
const MOST_TOLD: usize = 64;

/// Those who tell that a handshake was refused: one at a time, and few may wait.
pub(crate) struct Telling {
    places: Semaphore,
    turns: Mutex<()>,
    /// Of how many nothing was told since the last one that was told of.
    left_out: AtomicU64,
}

/// A place among those who wait.
pub(super) struct Place<'a> {
    telling: &'a Telling,
    _permit: SemaphorePermit<'a>,
}

impl Default for Telling {
    fn default() -> Self {
        Self { places: Semaphore::new(MOST_TOLD), turns: Mutex::default(), left_out: AtomicU64::new(0) }
    }
}

impl Telling {
    /// A place to wait in. Without one nothing is told of a handshake, but that there was one more.
    pub(super) fn place(&self) -> Option<Place<'_>> {
        match self.places.try_acquire() {
            Ok(permit) => Some(Place { telling: self, _permit: permit }),
            Err(_) => {
                self.left_out.fetch_add(1, Relaxed);
                None
            }
        }
    }
}

impl<'a> Place<'a> {
    /// Waits for a turn to tell `record`; gives what is to be told, and the turn. It is over when both are dropped.
    ///
    /// Nobody is left out while there is a place, and whoever has one counts when its turn comes: so all who were left out
    /// are told of once those who waited have had their turns.
    pub(super) async fn turn(self, mut record: Value) -> (Value, Turn<'a>) {
        let turn = self.telling.turns.lock().await;
        let left_out = self.telling.left_out.swap(0, Relaxed);
        if let Some(members) = record.as_record_mut().filter(|_| left_out > 0) {
            members.insert("left_out", left_out);
        }
        (record, Turn { _turn: turn, _place: self })
    }
}

/// Nobody else tells anything as long as this lives.
pub(super) struct Turn<'a> {
    _turn: MutexGuard<'a, ()>,
    _place: Place<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use tremor_value::Record;

    fn left_out(told: &Value) -> Option<u64> {
        told.get("left_out").and_then(Value::as_u64)
    }

    #[tokio::test]
    async fn who_finds_no_place_is_counted_and_the_next_one_tells_of_that() {
        let telling = Telling::default();
        let record = || Value::from(Record::default());
        let mut places: Vec<_> = (0..MOST_TOLD).filter_map(|_| telling.place()).collect();
        assert_eq!(places.len(), MOST_TOLD);
        assert!(telling.place().is_none() && telling.place().is_none());
        let (told, turn) = places.pop().unwrap().turn(record()).await;
        assert_eq!(left_out(&told), Some(2));
        // Its place is taken until it has told of it, and nobody else has a turn.
        assert!(telling.place().is_none());
        let (mut next, last) = (Box::pin(places.pop().unwrap().turn(record())), places.pop().unwrap());
        assert!(futures_util::poll!(&mut next).is_pending());
        drop((told, turn));
        let (told, turn) = next.await;
        assert_eq!(left_out(&told), Some(1));
        drop(turn);
        let (told, _turn) = last.turn(record()).await;
        assert_eq!(left_out(&told), None, "each is counted once");
    }
}
