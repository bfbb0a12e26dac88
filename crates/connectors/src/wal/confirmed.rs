//! Which entries are confirmed.

use std::collections::BTreeMap;

/// The position in a log, and what is confirmed beyond it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Confirmed {
    /// The first entry that is not confirmed.
    position: u64,
    /// Confirmed entries behind it: first and last of runs that do not touch each other or the position.
    beyond: BTreeMap<u64, u64>,
}

impl Confirmed {
    /// Everything in front of `position` is confirmed, nothing else.
    pub(super) fn up_to(position: u64) -> Self {
        Self { position, beyond: BTreeMap::new() }
    }

    /// Whether all entries from `first` up to and without `end` are confirmed.
    pub(super) fn covers(&self, first: u64, end: u64) -> bool {
        first >= end || self.next_open(first) >= end
    }

    /// The entry behind the last one that is confirmed.
    pub(super) fn end(&self) -> u64 {
        self.beyond.last_key_value().map_or(self.position, |(_, last)| last.saturating_add(1))
    }

    /// Runs beyond the position, in ascending order: the longest ones, if there are more than `most`.
    pub(super) fn longest_runs(&self, most: usize) -> Vec<(u64, u64)> {
        let mut runs: Vec<_> = self.beyond.iter().map(|(first, last)| (*first, *last)).collect();
        if runs.len() > most {
            runs.sort_unstable_by_key(|(first, last)| std::cmp::Reverse(last - first));
            runs.truncate(most);
            runs.sort_unstable();
        }
        runs
    }

    /// The first entry that is not confirmed.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// How many runs lie beyond the position: what this takes memory for.
    pub(super) fn runs(&self) -> usize {
        self.beyond.len()
    }

    /// The first entry from `index` on that is not confirmed.
    pub(super) fn next_open(&self, index: u64) -> u64 {
        let index = index.max(self.position);
        match self.beyond.range(..=index).next_back() {
            Some((_, last)) if *last >= index => last.saturating_add(1),
            _ => index,
        }
    }

    /// Confirms the entries from `first` to `last`, both included. Any may be confirmed already.
    pub(super) fn add(&mut self, first: u64, last: u64) {
        let (mut first, mut last) = (first.max(self.position), last);
        if first > last {
            return;
        }
        // Runs that the new one overlaps or touches become part of it, from the last one down.
        while let Some((&start, &end)) = self.beyond.range(..=last.saturating_add(1)).next_back()
            && end >= first.saturating_sub(1)
        {
            self.beyond.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        if first == self.position {
            self.position = last.saturating_add(1);
        } else {
            self.beyond.insert(first, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn runs_say_what_a_set_says(spans in prop::collection::vec((0_u64..60, 0_u64..8), 0..40)) {
            let (mut confirmed, mut set) = (Confirmed::up_to(5), (0..5).collect::<BTreeSet<u64>>());
            for (first, more) in spans {
                confirmed.add(first, first + more);
                set.extend(first..=first + more);
                let position = (0..).find(|index| !set.contains(index)).unwrap();
                prop_assert_eq!(confirmed.position(), position);
                for index in 0..80 {
                    let open = (index..).find(|index| !set.contains(index)).unwrap();
                    prop_assert_eq!(confirmed.next_open(index), open);
                }
                let runs = (position..80).filter(|index| set.contains(index) && !set.contains(&(index - 1)));
                prop_assert_eq!(confirmed.runs(), runs.count(), "runs that touch are one");
            }
        }
    }

    #[test]
    fn the_last_index_does_no_harm() {
        let mut confirmed = Confirmed::up_to(0);
        confirmed.add(7, u64::MAX);
        confirmed.add(0, 6);
        assert_eq!(confirmed.position(), u64::MAX);
    }
}
