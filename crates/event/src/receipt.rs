//! Who waits to hear what became of an event, and how the answer finds its way back (`spec/runtime.md` 11).
//!
//! A source that listens gives every event a [`Receipt`]. The receipt travels with the event. A copy of the event
//! has a copy of the receipt: one more branch. Whoever is done with an event *settles* its receipt: a sink when
//! it wrote the event, a pipeline when it drops it. The source hears of a pull once: when all branches of its
//! events are settled, or at the first that fails. A receipt that is dropped without having been settled counts as
//! failed: what is lost by accident is delivered again.
//!
//! Events of a source that does not listen have no receipt and cost nothing of this.

use smallvec::SmallVec;
use std::{
    fmt, iter,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What became of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A sink handled it.
    Delivered {
        /// How long the slowest sink took for it, in nanoseconds.
        took_ns: u64,
    },
    /// The flow says that it goes nowhere: a filter or a script dropped it, or no link leads on.
    Discarded,
    /// It was not handled and should be delivered again.
    Failed,
    /// A sink keeps the answer to itself, on purpose. There will be none.
    Withheld,
}

/// Pulls in a row, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullRange {
    /// The first pull.
    pub first: u64,
    /// The last pull.
    pub last: u64,
}

/// What became of some pulls of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Settlement<'a> {
    /// The stream.
    pub stream: u64,
    /// Which pulls, in ascending order; never empty.
    pub pulls: &'a [PullRange],
    /// What became of all of them.
    pub outcome: Outcome,
}

/// A source that wants to hear what became of its events, or an operator that they passed.
///
/// Every pull is settled at most once. Calls come from the tasks of sinks and pipelines, in any order, and have to
/// return soon.
pub trait Listener: Send + Sync {
    /// Hears of some pulls.
    fn settled(&self, settlement: Settlement<'_>);

    /// Whether it wants to hear of every event by itself: then several pulls are told at once only if one event was
    /// made from them. For those who count answers; everybody else is told of many events in one call.
    fn hears_each_event(&self) -> bool {
        false
    }
}

/// Pulls in a row of one stream that are not settled yet.
struct Pulls {
    listener: Arc<dyn Listener>,
    stream: u64,
    first: u64,
    slots: Box<[Slot]>,
}

/// One pull: how many branches are open in the lower half, what is known of them in the upper half.
struct Slot {
    state: AtomicU64,
    /// The slowest delivery so far.
    took_ns: AtomicU64,
}

const OPEN: u64 = u32::MAX as u64;
const FAILED: u64 = 1 << 32;
const DELIVERED: u64 = 1 << 33;
const WITHHELD: u64 = 1 << 34;

impl Slot {
    /// With one branch.
    fn open() -> Self {
        Self { state: AtomicU64::new(1), took_ns: AtomicU64::new(0) }
    }

    fn add(&self) {
        self.state.fetch_add(1, Ordering::Relaxed);
    }

    /// One branch less, of which nothing is known, unless it is the only one.
    fn leave(&self) -> bool {
        let less = |state: u64| (state & OPEN > 1).then(|| state - 1);
        self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less).is_ok()
    }

    /// One branch less; gives what is to be told of the pull, if that is known now and was not before.
    fn settle(&self, outcome: Outcome) -> Option<Outcome> {
        let (news, took_ns) = match outcome {
            Outcome::Delivered { took_ns } => (DELIVERED, took_ns),
            Outcome::Discarded => (0, 0),
            Outcome::Failed => (FAILED, 0),
            Outcome::Withheld => (WITHHELD, 0),
        };
        // Who has the only branch is alone: the others have ended, and there will be no more, since they are made from branches.
        let known = self.state.load(Ordering::Acquire);
        let (known, is_last) =
            if known & OPEN == 1 { (known, true) } else { self.settle_beside_others(news, took_ns) };
        if news == FAILED && known & FAILED == 0 {
            return Some(Outcome::Failed);
        }
        if !is_last || known & FAILED != 0 {
            return None;
        }
        Some(match known | news {
            state if state & WITHHELD != 0 => Outcome::Withheld,
            state if state & DELIVERED != 0 => {
                Outcome::Delivered { took_ns: self.took_ns.load(Ordering::Relaxed).max(took_ns) }
            }
            _ => Outcome::Discarded,
        })
    }

    /// What was known before, and whether the branch was the last one after all.
    fn settle_beside_others(&self, news: u64, took_ns: u64) -> (u64, bool) {
        self.took_ns.fetch_max(took_ns, Ordering::Relaxed);
        let less = |state: u64| Some((state | news) - 1);
        let (Ok(known) | Err(known)) = self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less);
        (known, known & OPEN == 1)
    }
}

/// Gives receipts to the events that some pulls of one stream led to.
///
/// While it lives no pull is settled; when it is dropped, pulls that led to no event count as discarded.
pub struct Issuer {
    pulls: Arc<Pulls>,
}

impl Issuer {
    /// For `count` pulls of `stream`, beginning with `first`.
    #[must_use]
    pub fn new(listener: Arc<dyn Listener>, stream: u64, first: u64, count: usize) -> Self {
        let slots = (0..count).map(|_| Slot::open()).collect();
        Self { pulls: Arc::new(Pulls { listener, stream, first, slots }) }
    }

    /// A receipt for one event of pull number `index`, counted from the first.
    #[must_use]
    pub fn receipt(&self, index: usize) -> Option<Receipt> {
        self.pulls.slots.get(index)?.add();
        Some(Receipt { pulls: self.pulls.clone(), slot: u32::try_from(index).ok()?, settled: false })
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let own = self.pulls.slots.iter().enumerate().filter_map(|(index, slot)| {
            // Most pulls led to events, which have it in their hands from now on.
            if slot.leave() {
                return None;
            }
            let slot = u32::try_from(index).ok()?;
            Some(Receipt { pulls: self.pulls.clone(), slot, settled: false })
        });
        settle_all(own, Outcome::Discarded);
    }
}

/// One open branch of the way of an event. A clone is another branch.
pub struct Receipt {
    pulls: Arc<Pulls>,
    slot: u32,
    settled: bool,
}

impl Receipt {
    /// A receipt of which `listener` alone hears, as pull 0 of stream 0.
    #[must_use]
    pub fn to(listener: Arc<dyn Listener>) -> Self {
        let pulls = Pulls { listener, stream: 0, first: 0, slots: Box::new([Slot::open()]) };
        Self { pulls: Arc::new(pulls), slot: 0, settled: false }
    }

    /// One receipt for an event that was made from several: all of them are settled when it is.
    #[must_use]
    pub fn join(parts: Vec<Self>) -> Option<Self> {
        match parts.len() {
            0 | 1 => parts.into_iter().next(),
            _ => Some(Self::to(Arc::new(Joint(Mutex::new(parts))))),
        }
    }

    /// This branch has ended. Many at once are settled by [`settle_all`].
    pub fn settle(self, outcome: Outcome) {
        settle_all([self], outcome);
    }

    fn slot(&self) -> Option<&Slot> {
        self.pulls.slots.get(usize::try_from(self.slot).ok()?)
    }

    fn pull(&self) -> u64 {
        self.pulls.first.saturating_add(self.slot.into())
    }
}

impl Clone for Receipt {
    fn clone(&self) -> Self {
        if let Some(slot) = self.slot() {
            slot.add();
        }
        Self { pulls: self.pulls.clone(), slot: self.slot, settled: false }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.settled
            && let Some(outcome) = self.slot().and_then(|slot| slot.settle(Outcome::Failed))
        {
            let pull = self.pull();
            let pulls = &[PullRange { first: pull, last: pull }];
            self.pulls.listener.settled(Settlement { stream: self.pulls.stream, pulls, outcome });
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Receipt({}:{})", self.pulls.stream, self.pull())
    }
}

/// Pulls that came to the same end, for the same listener.
struct Group {
    of: Arc<Pulls>,
    pulls: SmallVec<[PullRange; 4]>,
    outcome: Outcome,
}

impl Group {
    fn takes(&self, pulls: &Arc<Pulls>, outcome: Outcome) -> bool {
        let same = Arc::ptr_eq(&self.of, pulls)
            || self.of.stream == pulls.stream && Arc::ptr_eq(&self.of.listener, &pulls.listener);
        same && std::mem::discriminant(&self.outcome) == std::mem::discriminant(&outcome)
    }

    fn add(&mut self, pull: u64, outcome: Outcome) {
        if let (Outcome::Delivered { took_ns }, Outcome::Delivered { took_ns: more }) =
            (&mut self.outcome, outcome)
        {
            *took_ns = more.max(*took_ns);
        }
        match self.pulls.last_mut() {
            Some(range) if range.last.checked_add(1) == Some(pull) => range.last = pull,
            _ => self.pulls.push(PullRange { first: pull, last: pull }),
        }
    }

    fn tell(mut self) {
        self.pulls.sort_unstable_by_key(|range| range.first);
        let settlement = Settlement { stream: self.of.stream, pulls: &self.pulls, outcome: self.outcome };
        self.of.listener.settled(settlement);
    }
}

/// These branches have all ended in the same way. Every listener hears of each of its streams once.
pub fn settle_all(receipts: impl IntoIterator<Item = Receipt>, outcome: Outcome) {
    settle(receipts, outcome, |pulls| !pulls.listener.hears_each_event());
}

/// The same, where only those pulls are told together of which `may_join` says so.
fn settle(receipts: impl IntoIterator<Item = Receipt>, outcome: Outcome, may_join: impl Fn(&Pulls) -> bool) {
    let mut receipts = receipts.into_iter();
    // Most events have none, and are done with here.
    let Some(first) = receipts.next() else { return };
    let mut groups: SmallVec<[Group; 2]> = SmallVec::new();
    for mut receipt in iter::once(first).chain(receipts) {
        receipt.settled = true;
        let Some(outcome) = receipt.slot().and_then(|slot| slot.settle(outcome)) else { continue };
        let pull = receipt.pull();
        let joins = may_join(&receipt.pulls);
        match groups.iter_mut().rev().find(|group| joins && group.takes(&receipt.pulls, outcome)) {
            Some(group) => group.add(pull, outcome),
            None => groups.push(Group {
                of: receipt.pulls.clone(),
                pulls: SmallVec::from_iter([PullRange { first: pull, last: pull }]),
                outcome,
            }),
        }
    }
    groups.into_iter().for_each(Group::tell);
}

/// Settles the receipts of all that an event was made from.
struct Joint(Mutex<Vec<Receipt>>);

impl Listener for Joint {
    fn settled(&self, settlement: Settlement<'_>) {
        let parts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        settle(parts, settlement.outcome, |_one_event| true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Listener for Heard {
        fn settled(&self, settlement: Settlement<'_>) {
            let Settlement { stream, pulls, outcome } = settlement;
            let pulls: Vec<_> = pulls.iter().map(|range| format!("{}-{}", range.first, range.last)).collect();
            let line = format!("{stream}: {} {outcome:?}", pulls.join(" "));
            self.0.lock().unwrap().push(line);
        }
    }

    impl Heard {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    const DELIVERED: Outcome = Outcome::Delivered { took_ns: 5 };

    fn issue(count: usize) -> (Arc<Heard>, Vec<Receipt>) {
        let heard = Arc::new(Heard::default());
        let issuer = Issuer::new(heard.clone(), 7, 10, count);
        let receipts = (0..count).map(|index| issuer.receipt(index).unwrap()).collect();
        drop(issuer);
        (heard, receipts)
    }

    #[test]
    fn a_batch_is_told_as_ranges_in_one_call() {
        let (heard, mut receipts) = issue(5);
        let held = receipts.remove(2);
        settle_all(receipts, DELIVERED);
        assert_eq!(heard.take(), ["7: 10-11 13-14 Delivered { took_ns: 5 }"]);
        held.settle(Outcome::Discarded);
        assert_eq!(heard.take(), ["7: 12-12 Discarded"]);
    }

    #[test]
    fn a_pull_is_told_when_its_last_branch_has_ended() {
        let (heard, receipts) = issue(1);
        let copies = [receipts[0].clone(), receipts[0].clone()];
        settle_all(receipts, Outcome::Discarded);
        let [one, other] = copies;
        one.settle(Outcome::Delivered { took_ns: 9 });
        assert!(heard.take().is_empty());
        other.settle(DELIVERED);
        assert_eq!(
            heard.take(),
            ["7: 10-10 Delivered { took_ns: 9 }"],
            "one sink was enough, the slowest counts"
        );
    }

    #[test]
    fn the_first_failure_is_told_at_once_and_nothing_after_it() {
        let (heard, receipts) = issue(1);
        let copies = [receipts[0].clone(), receipts[0].clone()];
        settle_all(receipts, DELIVERED);
        let [one, other] = copies;
        one.settle(Outcome::Failed);
        assert_eq!(heard.take(), ["7: 10-10 Failed"]);
        other.settle(DELIVERED);
        assert!(heard.take().is_empty());
    }

    #[test]
    fn what_is_lost_counts_as_failed() {
        let (heard, receipts) = issue(2);
        drop(receipts);
        assert_eq!(heard.take(), ["7: 10-10 Failed", "7: 11-11 Failed"]);
    }

    #[test]
    fn a_pull_without_events_is_discarded() {
        let heard = Arc::new(Heard::default());
        let issuer = Issuer::new(heard.clone(), 0, 3, 2);
        let only = issuer.receipt(1).unwrap();
        only.settle(DELIVERED);
        assert!(heard.take().is_empty(), "more events of the pull may come");
        drop(issuer);
        assert_eq!(heard.take(), ["0: 3-3 Discarded", "0: 4-4 Delivered { took_ns: 5 }"]);
    }

    #[test]
    fn a_withheld_answer_stays_away_whatever_the_others_say() {
        let (heard, receipts) = issue(1);
        let copy = receipts[0].clone();
        settle_all(receipts, Outcome::Withheld);
        copy.settle(DELIVERED);
        assert_eq!(heard.take(), ["7: 10-10 Withheld"]);
    }

    #[test]
    fn a_joint_receipt_settles_all_its_parts_in_one_call_for_each_stream() {
        let (heard, receipts) = issue(4);
        let (other, others) = issue(1);
        let joint = Receipt::join(receipts.into_iter().chain(others).collect()).unwrap();
        let branch = joint.clone();
        joint.settle(DELIVERED);
        assert!(heard.take().is_empty());
        branch.settle(Outcome::Discarded);
        assert_eq!(heard.take(), ["7: 10-13 Delivered { took_ns: 5 }"]);
        assert_eq!(other.take(), ["7: 10-10 Delivered { took_ns: 5 }"]);

        let (heard, receipts) = issue(2);
        drop(Receipt::join(receipts));
        assert_eq!(heard.take(), ["7: 10-11 Failed"]);
    }

    #[test]
    fn who_hears_of_each_event_is_told_of_several_pulls_only_for_a_joint_event() {
        struct Each(Heard);
        impl Listener for Each {
            fn settled(&self, settlement: Settlement<'_>) {
                self.0.settled(settlement);
            }
            fn hears_each_event(&self) -> bool {
                true
            }
        }
        let heard = Arc::new(Each(Heard::default()));
        let issuer = Issuer::new(heard.clone(), 0, 0, 5);
        let mut receipts: Vec<_> = (0..5).map(|index| issuer.receipt(index).unwrap()).collect();
        drop(issuer);
        let joint = Receipt::join(receipts.split_off(2)).unwrap();
        settle_all(receipts.into_iter().chain([joint]), Outcome::Failed);
        assert_eq!(heard.0.take(), ["0: 0-0 Failed", "0: 1-1 Failed", "0: 2-4 Failed"]);
    }

    #[test]
    fn receipts_may_be_settled_on_many_threads() {
        let (heard, receipts) = issue(1000);
        let copies = receipts.clone();
        std::thread::scope(|scope| {
            scope.spawn(move || receipts.into_iter().for_each(|receipt| receipt.settle(DELIVERED)));
            scope.spawn(move || settle_all(copies, DELIVERED));
        });
        let told = heard.take();
        let pulls: u64 = told
            .iter()
            .flat_map(|line| line.split(' ').filter_map(|word| word.split_once('-')))
            .map(|(first, last)| last.parse::<u64>().unwrap() - first.parse::<u64>().unwrap() + 1)
            .sum();
        assert_eq!(pulls, 1000, "each exactly once");
    }
}
