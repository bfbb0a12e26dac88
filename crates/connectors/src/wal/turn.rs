//! Which entry the source half gives next: forward, and back to the first that is not confirmed when one failed.
//!
//! What fails makes reading go back, after a wait, to the first entry that is not confirmed, and everything from there
//! on is given again, in order. So every entry follows the one in front of it whenever it is given, those excepted
//! that were on their way to the sinks already when reading went back.
//!
//! *Confirmations stay.* What is given again may have been confirmed before: it comes again so that the order
//! holds, and nobody waits for it. Hence at least once: the position moves only over entries of which some delivery
//! was confirmed, which no later failure makes untrue. And hence few repeats: an entry that failed brings everything
//! behind it once more, but what was confirmed does not bring anything once more, whatever becomes of its repetition.
//! If confirmations were void after a failure, a sink that fails one of three events at random would get on by three
//! events each time; like this, what is left shrinks to a third each time. The price: where a sink confirms an entry
//! and fails its repetition, what it has handled last is an older entry.
//!
//! *Generations.* Each time reading goes back, a new generation of deliveries begins. A failure counts only in its own
//! generation: when a hundred entries on their way fail together, reading goes back once. Nothing is forgotten by that,
//! because everything that is not confirmed is given again in the new generation. A confirmation counts in any.
//!
//! *An entry that fails again* before the position has moved is given alone, until it is confirmed; then everything
//! from the first entry that is not confirmed on. So an entry that can never be handled costs one delivery in five
//! seconds, and holds up all those behind it.

use super::confirmed::Confirmed;
use std::time::{Duration, Instant};

/// Runs of confirmed entries beyond the position that are kept; further ones wait until the gaps between them close.
const MOST_RUNS: usize = 64 * 1024;
/// Wait before reading goes back; it doubles from one time to the next while the position does not move.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Where the source half stands.
#[derive(Debug)]
pub(super) struct Turn {
    /// The entry to give next.
    cursor: u64,
    /// The entry behind the last one that was ever given: what lies in front of it is given again whether it is
    /// confirmed or not.
    reached: u64,
    /// How often something failed that made reading go back.
    generation: u64,
    /// What failed in this generation's beginning, and when. Nothing is given until it is time to go back.
    failed: Option<(u64, Instant)>,
    /// Where the position was when reading last went back, and how often it has since the position moved.
    back_at: u64,
    times: u32,
    alone: Option<Alone>,
}

/// An entry that is given alone.
#[derive(Clone, Copy, Debug)]
struct Alone {
    entry: u64,
    is_given: bool,
    /// It neither failed nor will be confirmed.
    is_withheld: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Give this entry and those behind it ([`Turn::behind`]).
    Read(u64),
    /// Give this entry, and no other.
    ReadAlone(u64),
    /// Wait for news, and no longer than this.
    Wait(Option<Instant>),
}

/// Reading went back several times, and the position has not moved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stuck {
    /// What failed last.
    pub(super) entry: u64,
    /// How often reading went back.
    pub(super) times: u32,
}

impl Turn {
    pub(super) fn new(cursor: u64) -> Self {
        Self { cursor, reached: cursor, generation: 0, failed: None, back_at: 0, times: 0, alone: None }
    }

    /// The generation of what is given now.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// An entry failed that is not confirmed, in a delivery of that generation.
    pub(super) fn failed(&mut self, entry: u64, generation: u64, now: Instant) {
        if generation == self.generation {
            self.generation += 1;
            self.failed = Some((entry, now));
        }
    }

    /// What becomes of an entry will not be told, in a delivery of that generation.
    pub(super) fn withheld(&mut self, first: u64, last: u64, generation: u64) {
        if let Some(alone) = &mut self.alone
            && (first..=last).contains(&alone.entry)
            && generation == self.generation
        {
            alone.is_withheld = true;
        }
    }

    /// The entries up to and with `last` were given, as a step of that generation said. `false`, and nothing is done, if
    /// that one is over.
    pub(super) fn gave(&mut self, last: u64, generation: u64) -> bool {
        if generation != self.generation {
            return false;
        }
        match &mut self.alone {
            Some(alone) => alone.is_given = true,
            None => self.cursor = last + 1,
        }
        self.reached = self.reached.max(last + 1);
        true
    }

    /// There is nothing in front of `index` any more that could be given.
    pub(super) fn skip_to(&mut self, index: u64) {
        self.cursor = self.cursor.max(index);
    }

    /// What to do now, if entries in front of `visible` may be read. With it comes news of being stuck.
    pub(super) fn step(
        &mut self,
        confirmed: &Confirmed,
        visible: u64,
        now: Instant,
    ) -> (Step, Option<Stuck>) {
        let mut stuck = None;
        if let Some((entry, since)) = self.failed {
            // Only now: what the same sink handled in front of it may have been confirmed a moment later.
            let times = if confirmed.position() > self.back_at { 0 } else { self.times };
            let doubled = FIRST_WAIT.saturating_mul(1 << times.min(6));
            let due = since + doubled.min(LONGEST_WAIT);
            if now < due {
                return (Step::Wait(Some(due)), None);
            }
            self.go_back(entry, times + 1, confirmed);
            stuck = Some(Stuck { entry, times: self.times });
        }
        if let Some(Alone { entry, is_given, is_withheld }) = self.alone {
            if confirmed.next_open(entry) == entry && !is_withheld {
                let step = if is_given { Step::Wait(None) } else { Step::ReadAlone(entry) };
                return (step, stuck);
            }
            self.alone = None;
            // What lies behind it has to come behind it, and what is not confirmed has to come.
            self.cursor = confirmed.position().min(entry + 1);
        }
        let is_new = self.cursor >= self.reached;
        if is_new {
            self.cursor = confirmed.next_open(self.cursor);
        }
        let is_enough = is_new && confirmed.runs() >= MOST_RUNS;
        let step =
            if self.cursor >= visible || is_enough { Step::Wait(None) } else { Step::Read(self.cursor) };
        (step, stuck)
    }

    fn go_back(&mut self, failed: u64, times: u32, confirmed: &Confirmed) {
        self.failed = None;
        self.times = times;
        self.back_at = confirmed.position();
        self.cursor = self.back_at;
        let is_alone = times > 1 && confirmed.next_open(failed) == failed;
        self.alone = is_alone.then_some(Alone { entry: failed, is_given: false, is_withheld: false });
    }

    /// The entry to give behind `index`.
    pub(super) fn behind(&self, index: u64, confirmed: &Confirmed) -> u64 {
        if index + 1 < self.reached { index + 1 } else { confirmed.next_open(index + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes next.
    fn step(turn: &mut Turn, confirmed: &Confirmed, visible: u64, now: Instant) -> Step {
        turn.step(confirmed, visible, now).0
    }

    /// Gives the entries in front of `end` that are to be given, and says which those were.
    fn give(turn: &mut Turn, confirmed: &Confirmed, end: u64, now: Instant) -> Vec<u64> {
        let mut given = Vec::new();
        while let Step::Read(entry) | Step::ReadAlone(entry) = step(turn, confirmed, end, now) {
            given.push(entry);
            assert!(turn.gave(entry, turn.generation()));
        }
        given
    }

    /// A failure in the generation that is given now.
    fn fail(turn: &mut Turn, entry: u64, now: Instant) {
        turn.failed(entry, turn.generation(), now);
    }

    #[test]
    fn it_goes_forward_and_skips_what_was_confirmed_in_an_earlier_run() {
        let (mut turn, mut confirmed, now) = (Turn::new(3), Confirmed::up_to(3), Instant::now());
        confirmed.add(5, 6);
        assert_eq!(step(&mut turn, &confirmed, 3, now), Step::Wait(None));
        assert_eq!(give(&mut turn, &confirmed, 9, now), [3, 4, 7, 8]);
    }

    #[test]
    fn after_a_failure_everything_from_the_first_that_is_not_confirmed_comes_again_in_order() {
        let (mut turn, mut confirmed, now) = (Turn::new(0), Confirmed::up_to(0), Instant::now());
        assert_eq!(give(&mut turn, &confirmed, 6, now), [0, 1, 2, 3, 4, 5]);
        confirmed.add(4, 4);
        let before = turn.generation();
        fail(&mut turn, 3, now);
        assert!(!turn.gave(7, before), "what was being read meanwhile is not given");
        // Told a moment later, by the same sink.
        confirmed.add(0, 1);
        turn.failed(5, before, now);
        let due = now + FIRST_WAIT;
        assert_eq!(step(&mut turn, &confirmed, 8, now), Step::Wait(Some(due)));
        assert_eq!(give(&mut turn, &confirmed, 8, due), [2, 3, 4, 5, 6, 7], "4 as well, for the order");
        turn.failed(5, before, due);
        confirmed.add(2, 7);
        assert_eq!(give(&mut turn, &confirmed, 9, due), [8], "a failure of an earlier generation is none");
    }

    #[test]
    fn what_fails_again_is_given_alone_and_waits_longer_and_longer() {
        let (mut turn, mut confirmed, mut now) = (Turn::new(0), Confirmed::up_to(0), Instant::now());
        give(&mut turn, &confirmed, 9, now);
        let mut waits = Vec::new();
        for time in 1..=9 {
            fail(&mut turn, 0, now);
            let Step::Wait(Some(until)) = step(&mut turn, &confirmed, 9, now) else { panic!("it waits") };
            waits.push((until - now).as_millis());
            now = until;
            let (next, stuck) = turn.step(&confirmed, 9, now);
            assert_eq!(stuck, Some(Stuck { entry: 0, times: time }));
            if time == 1 {
                assert_eq!(next, Step::Read(0));
                assert_eq!(give(&mut turn, &confirmed, 9, now).len(), 9);
            } else {
                assert_eq!(next, Step::ReadAlone(0));
                assert_eq!(give(&mut turn, &confirmed, 9, now), [0]);
            }
            assert_eq!(step(&mut turn, &confirmed, 9, now), Step::Wait(None), "it is on its way");
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        confirmed.add(0, 3);
        assert_eq!(give(&mut turn, &confirmed, 12, now), (1..12).collect::<Vec<_>>());
        fail(&mut turn, 7, now);
        let again = now + FIRST_WAIT;
        assert_eq!(
            step(&mut turn, &confirmed, 12, now),
            Step::Wait(Some(again)),
            "anew: the position has moved"
        );
        assert_eq!(step(&mut turn, &confirmed, 12, again), Step::Read(4));
    }

    #[test]
    fn what_failed_behind_one_that_says_nothing_is_not_forgotten() {
        let (mut turn, mut confirmed, mut now) = (Turn::new(0), Confirmed::up_to(0), Instant::now());
        give(&mut turn, &confirmed, 6, now);
        // 0 never hears anything. 2 and 4 fail, once this one and once that one first.
        for entry in [2, 4] {
            fail(&mut turn, entry, now);
            now += LONGEST_WAIT;
            confirmed.add(1, 1);
            confirmed.add(3, 3);
            confirmed.add(5, 5);
            assert_eq!(give(&mut turn, &confirmed, 6, now).first(), Some(if entry == 2 { &0 } else { &4 }));
        }
        confirmed.add(4, 4);
        assert_eq!(give(&mut turn, &confirmed, 6, now), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn who_answers_nothing_on_purpose_holds_up_nobody() {
        let (mut turn, confirmed, mut now) = (Turn::new(0), Confirmed::up_to(0), Instant::now());
        for _ in 0..2 {
            give(&mut turn, &confirmed, 3, now);
            fail(&mut turn, 0, now);
            now += LONGEST_WAIT;
        }
        assert_eq!(give(&mut turn, &confirmed, 3, now), [0]);
        turn.withheld(0, 0, turn.generation());
        assert_eq!(give(&mut turn, &confirmed, 3, now), [0, 1, 2]);
    }

    #[test]
    fn runs_beyond_the_position_are_bounded() {
        let (mut turn, mut confirmed, now) = (Turn::new(0), Confirmed::up_to(0), Instant::now());
        let end = MOST_RUNS as u64 * 2 + 1;
        assert!(turn.gave(end, 0));
        (1..end).step_by(2).for_each(|entry| confirmed.add(entry, entry));
        assert_eq!(step(&mut turn, &confirmed, u64::MAX, now), Step::Wait(None));
        fail(&mut turn, 0, now);
        assert_eq!(step(&mut turn, &confirmed, u64::MAX, now + FIRST_WAIT), Step::Read(0));
    }
}
