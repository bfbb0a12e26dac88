//! Which entry the source half reads next: forward, and back to the first unconfirmed one after a failure.

use super::confirmed::Confirmed;
use std::time::{Duration, Instant};

/// Runs of confirmed entries beyond the position that are kept; further ones wait until the gaps between them close.
const MOST_RUNS: usize = 64 * 1024;
/// Wait before entries are delivered again for the second time in a row; it doubles from one time to the next.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long those that are still on their way when one fails are waited for, so that they need not be repeated.
const PATIENCE: Duration = Duration::from_millis(100);

/// Where the source half stands.
#[derive(Debug)]
pub(super) struct Turn {
    /// The entry behind the last one that was given.
    cursor: u64,
    /// Entries that were given and are not settled. One that was given twice counts twice.
    under_way: u64,
    /// When the first of those failed that are to be delivered again.
    failed: Option<Instant>,
    /// The position when entries were last delivered again.
    returned_to: Option<u64>,
    /// The wait before they are delivered again, if it is the same position still.
    wait: Duration,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Give this entry and those behind it.
    Read(u64),
    /// Wait for news, and no longer than this.
    Wait(Option<Instant>),
}

impl Turn {
    pub(super) fn new(cursor: u64) -> Self {
        Self { cursor, under_way: 0, failed: None, returned_to: None, wait: FIRST_WAIT }
    }

    /// An entry failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failed.get_or_insert(now);
    }

    /// So many entries are settled.
    pub(super) fn settled(&mut self, count: u64) {
        self.under_way = self.under_way.saturating_sub(count);
    }

    /// These entries were given.
    pub(super) fn gave(&mut self, entries: &[u64]) {
        self.under_way += entries.len() as u64;
        self.cursor = entries.last().map_or(self.cursor, |last| last + 1);
    }

    /// What to do now, if entries in front of `visible` may be read.
    pub(super) fn step(&mut self, confirmed: &Confirmed, visible: u64, now: Instant) -> Step {
        let position = confirmed.position();
        if let Some(failed) = self.failed {
            let is_stuck = self.returned_to == Some(position);
            let wait = if is_stuck { self.wait } else { Duration::ZERO };
            let until = failed + if self.under_way == 0 { wait } else { wait.max(PATIENCE) };
            if now < until {
                return Step::Wait(Some(until));
            }
            self.wait = if is_stuck { (self.wait * 2).min(LONGEST_WAIT) } else { FIRST_WAIT };
            (self.cursor, self.failed, self.returned_to) = (position, None, Some(position));
        }
        self.cursor = confirmed.next_open(self.cursor);
        let is_beyond_all = confirmed.last_run().is_none_or(|last| self.cursor > last);
        if self.cursor >= visible || is_beyond_all && confirmed.runs() >= MOST_RUNS {
            return Step::Wait(None);
        }
        Step::Read(self.cursor)
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
    fn a_failure_leads_back_once_nothing_is_under_way() {
        let (mut turn, mut confirmed, now) = (Turn::new(0), Confirmed::up_to(0), Instant::now());
        give(&mut turn, 0..4);
        turn.settled(1);
        turn.failed(now);
        assert_eq!(turn.step(&confirmed, 9, now), Step::Wait(Some(now + PATIENCE)), "three are under way");
        confirmed.add(0, 1);
        confirmed.add(3, 3);
        turn.settled(3);
        assert_eq!(turn.step(&confirmed, 9, now), Step::Read(2));
        give(&mut turn, 2..3);
        assert_eq!(turn.step(&confirmed, 9, now), Step::Read(4));
    }

    #[test]
    fn failures_without_progress_wait_longer_and_longer() {
        let (mut turn, mut confirmed, mut now) = (Turn::new(0), Confirmed::up_to(0), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..9 {
            give(&mut turn, 0..1);
            turn.settled(1);
            turn.failed(now);
            if let Step::Wait(Some(until)) = turn.step(&confirmed, 1, now) {
                waits.push((until - now).as_millis());
                now = until;
            }
            assert_eq!(turn.step(&confirmed, 1, now), Step::Read(0));
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        confirmed.add(0, 0);
        give(&mut turn, 1..2);
        turn.settled(1);
        turn.failed(now);
        assert_eq!(turn.step(&confirmed, 2, now), Step::Read(1), "there was progress");
    }

    #[test]
    fn runs_beyond_the_position_are_bounded() {
        let (mut turn, mut confirmed, now) = (Turn::new(0), Confirmed::up_to(0), Instant::now());
        let end = MOST_RUNS as u64 * 2;
        give(&mut turn, 0..end);
        (1..end).step_by(2).for_each(|entry| confirmed.add(entry, entry));
        assert_eq!(confirmed.runs(), MOST_RUNS);
        assert_eq!(turn.step(&confirmed, u64::MAX, now), Step::Wait(None), "no further");
        turn.failed(now);
        let patience = now + PATIENCE;
        assert_eq!(turn.step(&confirmed, u64::MAX, patience), Step::Read(0), "but back");
        confirmed.add(0, 0);
        assert_eq!(turn.step(&confirmed, u64::MAX, now), Step::Read(2));
    }
}
