//! What was sent, and what was heard of it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::Notify, time::Instant};
use tremor_event::{Listener, Outcome, Settlement};

/// Pulls by stream, in order of arrival.
type Heard = BTreeMap<u64, Vec<u64>>;

/// Keeps the books of one source.
#[derive(Debug)]
pub(super) struct Ledger {
    expect_batched: bool,
    entries: Mutex<Entries>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    sent: usize,
    /// Lines that are still to be sent, by stream; streams without any are left out.
    unsent: BTreeMap<u64, usize>,
    /// The last pull of every stream.
    last_sent: BTreeMap<u64, u64>,
    acks: Heard,
    fails: Heard,
    /// When something was last sent or heard.
    last_moved: Option<Instant>,
    is_reported: bool,
}

impl Ledger {
    /// `unsent`: the number of lines by stream.
    pub(super) fn new(expect_batched: bool, unsent: BTreeMap<u64, usize>) -> Self {
        let unsent = unsent.into_iter().filter(|(_, lines)| *lines > 0).collect();
        let entries = Mutex::new(Entries { unsent, ..Entries::default() });
        Self { expect_batched, entries, news: Notify::new() }
    }

    /// `pull` of `stream` is about to be sent.
    pub(super) fn sending(&self, stream: u64, pull: u64) {
        let mut entries = self.entries();
        entries.sent += 1;
        entries.last_sent.insert(stream, pull);
        if let Some(lines) = entries.unsent.get_mut(&stream) {
            *lines = lines.saturating_sub(1);
            if *lines == 0 {
                entries.unsent.remove(&stream);
            }
        }
        entries.last_moved = Some(Instant::now());
    }

    /// Whether everything has been heard that is to be expected.
    pub(super) fn is_complete(&self) -> bool {
        self.entries().is_complete(self.expect_batched)
    }

    /// When something was last sent or heard.
    pub(super) fn last_moved(&self) -> Option<Instant> {
        self.entries().last_moved
    }

    /// Waits for news that nobody has waited for yet.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// The verdict and what was heard, as lines; `None` from the second call on.
    pub(super) fn report(&self) -> Option<String> {
        let mut entries = self.entries();
        let is_first = !std::mem::replace(&mut entries.is_reported, true);
        is_first.then(|| self.told(&entries))
    }

    fn told(&self, entries: &Entries) -> String {
        let Entries { last_sent, unsent, acks, fails, .. } = entries;
        let verdict = if entries.is_complete(self.expect_batched) {
            "All required CB events received.".to_owned()
        } else {
            format!("Expected CB events up to id {}.", Map(last_sent))
        };
        let unsent =
            if unsent.is_empty() { String::new() } else { format!("Lines not sent: {}\n", Map(unsent)) };
        format!("{verdict}\nGot acks: {}\nGot fails: {}\n{unsent}", Map(acks), Map(fails))
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn is_complete(&self, expect_batched: bool) -> bool {
        if !self.unsent.is_empty() {
            return false;
        }
        if !expect_batched {
            return self.acks.values().chain(self.fails.values()).map(Vec::len).sum::<usize>() == self.sent;
        }
        self.last_sent.iter().all(|(stream, last)| {
            let of = |heard: &Heard| heard.get(stream).and_then(|pulls| pulls.iter().max().copied());
            of(&self.acks).max(of(&self.fails)) == Some(*last)
        })
    }
}

impl Listener for Ledger {
    fn settled(&self, Settlement { stream, pulls, outcome }: Settlement<'_>) {
        // An ack is about everything up to its pull, a fail about everything from its pull on.
        let mut entries = self.entries();
        let (heard, pull) = match outcome {
            Outcome::Delivered { .. } => (&mut entries.acks, pulls.last().map(|range| range.last)),
            Outcome::Failed => (&mut entries.fails, pulls.first().map(|range| range.first)),
            // Tests look at what reached a sink that says so (`spec/runtime.md` 11.4).
            Outcome::Discarded | Outcome::Withheld => return,
        };
        heard.entry(stream).or_default().extend(pull);
        entries.last_moved = Some(Instant::now());
        drop(entries);
        self.news.notify_one();
    }

    fn hears_each_event(&self) -> bool {
        true
    }
}

/// Writes a map as `{0: 6}`.
struct Map<'a, T>(&'a BTreeMap<u64, T>);

impl<T: fmt::Debug> fmt::Display for Map<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tremor_event::PullRange;

    const ACK: Outcome = Outcome::Delivered { took_ns: 1 };

    fn sent(expect_batched: bool, pulls: &[(u64, u64)]) -> Ledger {
        let ledger = Ledger::new(expect_batched, BTreeMap::new());
        pulls.iter().for_each(|(stream, pull)| ledger.sending(*stream, *pull));
        ledger
    }

    fn tell(ledger: &Ledger, stream: u64, ranges: &[(u64, u64)], outcome: Outcome) {
        let pulls: Vec<_> =
            ranges.iter().map(|(first, last)| PullRange { first: *first, last: *last }).collect();
        ledger.settled(Settlement { stream, pulls: &pulls, outcome });
    }

    #[test]
    fn every_line_needs_an_answer_of_its_own() {
        let ledger = sent(false, &[(0, 0), (1, 1), (0, 2)]);
        tell(&ledger, 0, &[(2, 2)], ACK);
        tell(&ledger, 1, &[(1, 1)], Outcome::Failed);
        assert!(!ledger.is_complete());
        assert_eq!(
            ledger.told(&ledger.entries()),
            "Expected CB events up to id {0: 2, 1: 1}.\nGot acks: {0: [2]}\nGot fails: {1: [1]}\n"
        );
        tell(&ledger, 0, &[(0, 0)], ACK);
        assert!(ledger.is_complete());
        assert_eq!(
            ledger.told(&ledger.entries()),
            "All required CB events received.\nGot acks: {0: [2, 0]}\nGot fails: {1: [1]}\n"
        );
    }

    #[test]
    fn of_a_batch_the_last_pull_is_acked_and_the_first_one_fails() {
        let ledger = sent(true, &[(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]);
        tell(&ledger, 0, &[(0, 0), (2, 3)], ACK);
        tell(&ledger, 0, &[(1, 1), (4, 4)], Outcome::Failed);
        assert!(!ledger.is_complete(), "the failure is about pull 1");
        tell(&ledger, 0, &[(4, 4)], ACK);
        assert_eq!(
            ledger.told(&ledger.entries()),
            "All required CB events received.\nGot acks: {0: [3, 4]}\nGot fails: {0: [1]}\n"
        );
    }

    #[test]
    fn every_stream_has_to_come_to_its_end() {
        let ledger = sent(true, &[(0, 0), (1, 1)]);
        tell(&ledger, 1, &[(1, 1)], ACK);
        assert!(!ledger.is_complete());
        tell(&ledger, 0, &[(0, 0)], Outcome::Failed);
        assert!(ledger.is_complete());
    }

    #[test]
    fn what_no_sink_answered_is_not_heard() {
        let ledger = sent(false, &[(0, 0), (0, 1)]);
        tell(&ledger, 0, &[(0, 0)], Outcome::Discarded);
        tell(&ledger, 0, &[(1, 1)], Outcome::Withheld);
        assert!(!ledger.is_complete());
        assert_eq!(
            ledger.report().unwrap(),
            "Expected CB events up to id {0: 1}.\nGot acks: {}\nGot fails: {}\n"
        );
    }

    #[test]
    fn what_was_not_sent_is_missing_and_the_report_is_given_once() {
        let ledger = Ledger::new(false, BTreeMap::from([(0, 2), (1, 0), (2, 1)]));
        ledger.sending(0, 0);
        ledger.sending(2, 1);
        tell(&ledger, 0, &[(0, 0)], ACK);
        tell(&ledger, 2, &[(1, 1)], ACK);
        assert!(!ledger.is_complete(), "a line is missing");
        let expected =
            "Expected CB events up to id {0: 0, 2: 1}.\nGot acks: {0: [0], 2: [1]}\nGot fails: {}\n";
        assert_eq!(ledger.report().unwrap(), format!("{expected}Lines not sent: {{0: 1}}\n"));
        assert_eq!(ledger.report(), None);
        ledger.sending(0, 2);
        tell(&ledger, 0, &[(2, 2)], ACK);
        assert!(ledger.is_complete());
    }
}
