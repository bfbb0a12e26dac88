//! Hearing what becomes of events that have passed.

use std::sync::{Arc, Mutex};
use tremor_event::{Event, Issuer, Listener, Receipt, Settlement, settle_all};

/// Gives each event a receipt of which `listener` hears. A receipt that the event has already is settled with it.
///
/// One call stands for one stream of its own: `listener` may not tell two of them apart, only count pulls.
pub(crate) fn watch(events: &mut [Event], listener: Arc<dyn Listener>) {
    let listener: Arc<dyn Listener> = if events.iter().any(|event| event.receipt.is_some()) {
        let own = events.iter_mut().map(|event| event.receipt.take()).collect();
        Arc::new(Watched { first: listener, own: Mutex::new(own) })
    } else {
        listener
    };
    let issuer = Issuer::new(listener, 0, 0, events.len());
    for (index, event) in events.iter_mut().enumerate() {
        event.receipt = issuer.receipt(index);
    }
}

/// Tells an operator first, then those who waited before it did.
struct Watched {
    first: Arc<dyn Listener>,
    /// Receipts that the events came with, by pull.
    own: Mutex<Vec<Option<Receipt>>>,
}

impl Listener for Watched {
    fn settled(&self, settlement: Settlement<'_>) {
        self.first.settled(settlement);
        let mut settled: Vec<Receipt> = Vec::new();
        {
            let mut own = super::breakers::lock(&self.own);
            for pull in settlement.pulls.iter().flat_map(|range| range.first..=range.last) {
                let index = usize::try_from(pull).ok();
                settled.extend(index.and_then(|index| own.get_mut(index)?.take()));
            }
        }
        settle_all(settled, settlement.outcome);
    }
}

/// Number of pulls that a settlement is about.
pub(super) fn count(settlement: &Settlement<'_>) -> u64 {
    let ranges = settlement.pulls.iter();
    ranges.map(|range| range.last.saturating_sub(range.first).saturating_add(1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::testing::Heard;
    use tremor_event::Outcome;

    #[test]
    fn both_hear_of_each_event_once_and_the_operator_first() {
        let (source, operator) = (Heard::default(), Heard::default());
        let mut events = source.events(3);
        watch(&mut events, operator.listener());
        let copy = events[0].clone();
        let third = events.pop().unwrap();
        settle_all(events.into_iter().filter_map(|event| event.receipt), Outcome::Discarded);
        assert_eq!(operator.take(), ["1-1 Discarded"]);
        assert_eq!(source.take(), ["1-1 Discarded"]);
        copy.settle(Outcome::Failed);
        drop(third);
        assert_eq!(operator.take(), ["0-0 Failed", "2-2 Failed"]);
        assert_eq!(source.take(), ["0-0 Failed", "2-2 Failed"]);
    }

    #[test]
    fn events_without_receipts_are_heard_of_too() {
        let operator = Heard::default();
        let mut events = vec![crate::operators::testing::event("1"); 2];
        watch(&mut events, operator.listener());
        settle_all(events.into_iter().filter_map(|event| event.receipt), Outcome::Withheld);
        assert_eq!(operator.take(), ["0-1 Withheld"]);
    }
}
