//! Which entry the source half reads next: forward, and those that failed again and again beside that.

use super::confirmed::Confirmed;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Runs of confirmed entries beyond the position that are kept; further ones wait until the gaps between them close.
const MOST_RUNS: usize = 64 * 1024;
/// Entries that failed and are not confirmed, beyond which nothing new is read.
const MOST_RETRIES: usize = 1024;
/// Wait before an entry that failed is delivered again; it doubles from one time to the next.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Where the source half stands.
#[derive(Debug)]
pub(super) struct Turn {
    /// The entry behind the last one that was given; it only grows.
    cursor: u64,
    /// Entries in front of it that failed.
    retries: BTreeMap<u64, Retry>,
}

#[derive(Debug, Default)]
struct Retry {
    /// How often it failed.
    failures: u32,
    /// When it is to be given again; `None` while it is on its way.
    due: Option<Instant>,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Give this entry, which failed, and others behind it that did ([`Turn::again`]).
    Again(u64),
    /// Give this entry, for the first time, and those behind it.
    Read(u64),
    /// Wait for news, and no longer than this.
    Wait(Option<Instant>),
}

impl Turn {
    pub(super) fn new(cursor: u64) -> Self {
        Self { cursor, retries: BTreeMap::new() }
    }

    /// An entry failed; gives how often it has by now.
    pub(super) fn failed(&mut self, entry: u64, now: Instant) -> u32 {
        let retry = self.retries.entry(entry).or_default();
        let doubled = FIRST_WAIT.saturating_mul(1 << retry.failures.min(6));
        retry.failures = retry.failures.saturating_add(1);
        retry.due = Some(now + doubled.min(LONGEST_WAIT));
        retry.failures
    }

    /// The entries from `first` to `last` are confirmed.
    pub(super) fn confirmed(&mut self, first: u64, last: u64) {
        while let Some(entry) = self.retries.range(first..=last).next().map(|(entry, _)| *entry) {
            self.retries.remove(&entry);
        }
    }

    /// How many entries failed and are not confirmed.
    pub(super) fn open_retries(&self) -> usize {
        self.retries.len()
    }

    /// These entries were given.
    pub(super) fn gave(&mut self, entries: &[u64]) {
        for entry in entries {
            if let Some(retry) = self.retries.get_mut(entry) {
                retry.due = None;
            }
            self.cursor = self.cursor.max(entry + 1);
        }
    }

    /// What to do now, if entries in front of `visible` may be read. What failed comes first: it is older.
    pub(super) fn step(&mut self, confirmed: &Confirmed, visible: u64, now: Instant) -> Step {
        let mut soonest = None;
        for (entry, retry) in &self.retries {
            match retry.due {
                Some(due) if due <= now => return Step::Again(*entry),
                Some(due) => soonest = Some(soonest.map_or(due, |soonest: Instant| soonest.min(due))),
                None => {}
            }
        }
        self.cursor = confirmed.next_open(self.cursor);
        let is_enough = self.retries.len() >= MOST_RETRIES || confirmed.runs() >= MOST_RUNS;
        if self.cursor >= visible || is_enough { Step::Wait(soonest) } else { Step::Read(self.cursor) }
    }

    /// The entries from `from` on and in front of `end` that are to be given again now.
    pub(super) fn again(&self, from: u64, end: u64, now: Instant) -> impl Iterator<Item = u64> {
        let retries = self.retries.range(from..end.max(from));
        retries.filter(move |(_, retry)| retry.due.is_some_and(|due| due <= now)).map(|(entry, _)| *entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn give(turn: &mut Turn, entries: std::ops::Range<u64>) {
        turn.gave(&entries.collect::<Vec<_>>());
    }

    #[test]
    fn it_goes_forward_and_skips_what_is_confirmed() {
        let (mut turn, mut confirmed, now) = (Turn::new(3), Confirmed::up_to(3), Instant::now());
        assert_eq!(turn.step(&confirmed, 3, now), Step::Wait(None));
        assert_eq!(turn.step(&confirmed, 9, now), Step::Read(3));
        give(&mut turn, 3..5);
        confirmed.add(5, 6);
        assert_eq!(turn.step(&confirmed, 9, now), Step::Read(7));
    }

    #[test]
    fn what_fails_waits_longer_and_longer_and_the_others_go_on() {
        let (mut turn, mut confirmed, mut now) = (Turn::new(0), Confirmed::up_to(0), Instant::now());
        let (mut waits, mut next) = (Vec::new(), 1);
        give(&mut turn, 0..1);
        for _ in 0..9 {
            turn.failed(0, now);
            assert_eq!(turn.step(&confirmed, u64::MAX, now), Step::Read(next), "the others go on");
            give(&mut turn, next..next + 1);
            confirmed.add(next, next);
            next += 1;
            let Step::Wait(Some(until)) = turn.step(&confirmed, next, now) else { panic!("it waits") };
            waits.push((until - now).as_millis());
            now = until;
            assert_eq!(turn.step(&confirmed, u64::MAX, now), Step::Again(0));
            give(&mut turn, 0..1);
            assert_eq!(turn.step(&confirmed, next, now), Step::Wait(None), "it is on its way");
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        turn.confirmed(0, 0);
        assert_eq!(turn.open_retries(), 0);
    }

    #[test]
    fn what_failed_together_comes_again_together_and_in_order() {
        let (mut turn, confirmed, now) = (Turn::new(0), Confirmed::up_to(0), Instant::now());
        give(&mut turn, 0..9);
        for entry in [5, 2, 7] {
            turn.failed(entry, now);
        }
        let due = now + FIRST_WAIT;
        assert_eq!(turn.step(&confirmed, 20, due), Step::Again(2));
        assert_eq!(turn.again(2, 7, due).collect::<Vec<_>>(), [2, 5]);
    }

    #[test]
    fn open_retries_and_runs_beyond_the_position_are_bounded() {
        let (mut turn, mut confirmed, now) = (Turn::new(0), Confirmed::up_to(0), Instant::now());
        let end = MOST_RETRIES as u64;
        give(&mut turn, 0..end);
        (0..end).for_each(|entry| assert_eq!(turn.failed(entry, now), 1));
        assert_eq!(turn.step(&confirmed, u64::MAX, now), Step::Wait(Some(now + FIRST_WAIT)), "no further");
        assert_eq!(turn.step(&confirmed, u64::MAX, now + FIRST_WAIT), Step::Again(0));
        turn.confirmed(4, 4);
        assert_eq!(turn.step(&confirmed, u64::MAX, now), Step::Read(end));

        turn.confirmed(0, end);
        (1..MOST_RUNS as u64 * 2).step_by(2).for_each(|entry| confirmed.add(entry, entry));
        assert_eq!(turn.step(&confirmed, u64::MAX, now), Step::Wait(None));
    }
}
