//! Who has heard that a source is done.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::sync::watch;

/// Counts, for one flow, the drain marks that sinks still expect from sources.
///
/// A source sends one mark along every way behind it; a pipeline hands on each mark it gets. So a sink
/// has everything a source ever sent once it has seen as many marks as there are ways between the two.
#[derive(Debug, Default)]
pub struct DrainBoard {
    marks: watch::Sender<Marks>,
    is_cut_short: AtomicBool,
}

#[derive(Debug, Default)]
struct Marks {
    /// How many are missing.
    expected: BTreeMap<Pair, usize>,
    /// By source: the sink half of the same connector, for which everything has to be there before it sends its own.
    behind_own_sink: BTreeMap<u64, u64>,
}

impl Marks {
    /// Whether the marks of `other` do not come before those of `source`.
    fn waits_for(&self, other: u64, source: u64) -> bool {
        let sink = self.behind_own_sink.get(&other);
        sink.is_some_and(|sink| self.expected.contains_key(&Pair { source, sink: *sink }))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    source: u64,
    sink: u64,
}

impl DrainBoard {
    /// One more way leads from `source` to `sink`.
    pub fn expect(&self, source: u64, sink: u64) {
        self.marks.send_modify(|marks| *marks.expected.entry(Pair { source, sink }).or_default() += 1);
    }

    /// The flow's parts are about to be stopped. Marks from now on may have overtaken events that a stopped part
    /// threw away, so they count no more: a drain that is not over by now never is.
    pub fn cut_short(&self) {
        self.is_cut_short.store(true, Ordering::SeqCst);
    }

    /// A mark of `source` arrived at `sink`.
    pub fn arrived(&self, source: u64, sink: u64) {
        if self.is_cut_short.load(Ordering::SeqCst) {
            return;
        }
        self.marks.send_if_modified(|Marks { expected, .. }| {
            let pair = Pair { source, sink };
            let Some(left) = expected.get_mut(&pair) else { return false };
            *left = left.saturating_sub(1);
            if *left == 0 {
                expected.remove(&pair);
            }
            true
        });
    }

    /// Waits until every sink behind `source` has everything it sent.
    pub async fn source_drained(&self, source: u64) {
        self.wait_until_none(|_, pair| pair.source == source).await;
    }

    /// Waits until `sink` has everything that any source ever sent to it.
    pub async fn sink_drained(&self, sink: u64) {
        self.wait_until_none(|_, pair| pair.sink == sink).await;
    }

    /// The same, but for what its own other half, `source`, gives, and for what those give that wait for that half
    /// ([`DrainBoard::hears_out`]): two who feed each other would both wait in vain.
    pub async fn fed(&self, sink: u64, source: u64) {
        self.wait_until_none(|marks, pair| {
            pair.sink == sink && pair.source != source && !marks.waits_for(pair.source, source)
        })
        .await;
    }

    /// The marks of `source` come when `sink`, the other half of its connector, has been [fed](DrainBoard::fed).
    pub fn hears_out(&self, source: u64, sink: u64) {
        self.marks.send_modify(|marks| {
            marks.behind_own_sink.insert(source, sink);
        });
    }

    /// Whether `sink` has everything that any source ever sent to it.
    #[must_use]
    pub fn is_sink_drained(&self, sink: u64) -> bool {
        !self.marks.borrow().expected.keys().any(|pair| pair.sink == sink)
    }

    async fn wait_until_none(&self, concerns: impl Fn(&Marks, &Pair) -> bool) {
        let mut changes = self.marks.subscribe();
        let done = changes.wait_for(|marks| !marks.expected.keys().any(|pair| concerns(marks, pair)));
        // The sender lives in `self`: waiting cannot fail before it succeeds.
        let _closed = done.await.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_sink_is_drained_when_a_mark_came_along_every_way() {
        let board = DrainBoard::default();
        board.expect(1, 9);
        board.expect(1, 9);
        board.expect(2, 9);
        board.arrived(1, 9);
        assert!(board.source_drained(1).now_or_never().is_none());
        board.arrived(1, 9);
        assert!(board.source_drained(1).now_or_never().is_some());
        assert!(board.sink_drained(9).now_or_never().is_none(), "source 2 is still out");
        board.arrived(2, 9);
        assert!(board.sink_drained(9).now_or_never().is_some());
        board.arrived(2, 9);
    }

    #[test]
    fn two_who_feed_each_other_do_not_wait_for_each_other() {
        let board = DrainBoard::default();
        // Sources 1 and 3 are halves of the same connectors as sinks 2 and 4; 5 feeds one of them.
        for (source, sink) in [(1, 4), (3, 2), (5, 2)] {
            board.expect(source, sink);
        }
        assert!(board.fed(4, 3).now_or_never().is_none());
        board.hears_out(1, 2);
        assert!(board.fed(4, 3).now_or_never().is_some(), "1 waits for 3");
        board.hears_out(3, 4);
        assert!(board.fed(2, 1).now_or_never().is_none(), "5 is still out");
        board.arrived(5, 2);
        assert!(board.fed(2, 1).now_or_never().is_some());
    }

    #[test]
    fn a_drain_that_was_cut_short_is_never_over() {
        let board = DrainBoard::default();
        board.expect(1, 9);
        board.expect(2, 8);
        board.arrived(2, 8);
        board.cut_short();
        board.arrived(1, 9);
        assert!(board.source_drained(1).now_or_never().is_none() && !board.is_sink_drained(9));
        assert!(board.sink_drained(8).now_or_never().is_some(), "that one was over before");
    }
}
