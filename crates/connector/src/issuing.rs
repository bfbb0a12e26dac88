//! Receipts for what a source that listens pulled.

use crate::source::{At, Item};
use smallvec::SmallVec;
use std::sync::Arc;
use tremor_event::{Issuer, Listener, Receipt};

/// Gives receipts to the events of one intake. While it lives none of its pulls is settled; dropped, it counts pulls
/// that gave no event as discarded.
pub(crate) struct Issuing {
    runs: SmallVec<[Run; 1]>,
    /// The run, and the pull within it, of the item at hand.
    current: Option<(usize, usize)>,
}

/// Pulls in a row of one stream.
struct Run {
    stream: u64,
    first: u64,
    count: usize,
    issuer: Option<Issuer>,
}

impl Run {
    fn index_of(&self, stream: u64, pull: u64) -> Option<usize> {
        let index = pull.checked_sub(self.first).and_then(|index| usize::try_from(index).ok())?;
        (self.stream == stream && index < self.count).then_some(index)
    }
}

impl Issuing {
    /// For `items`, where those that do not say it are of `stream` and `pull`.
    pub(crate) fn of<'a>(
        listener: &Arc<dyn Listener>,
        items: impl IntoIterator<Item = &'a Item>,
        stream: u64,
        pull: u64,
    ) -> Self {
        let mut issuing = Self { runs: SmallVec::new(), current: None };
        for At { stream: named, pull: numbered } in items.into_iter().map(|item| item.at) {
            issuing.cover(named.unwrap_or(stream), numbered.unwrap_or(pull));
        }
        for run in &mut issuing.runs {
            run.issuer = Some(Issuer::new(listener.clone(), run.stream, run.first, run.count));
        }
        issuing
    }

    fn cover(&mut self, stream: u64, pull: u64) {
        match self.runs.iter_mut().rev().find(|run| run.stream == stream) {
            Some(run) if run.index_of(stream, pull).is_some() => {}
            Some(run) if run.index_of(stream, pull.wrapping_sub(1)) == run.count.checked_sub(1) => {
                run.count += 1;
            }
            _ => self.runs.push(Run { stream, first: pull, count: 1, issuer: None }),
        }
    }

    /// What comes next is of this pull.
    pub(crate) fn turn_to(&mut self, stream: u64, pull: u64) {
        // The items of one stream follow each other, most often.
        let known = self.current.map_or(0, |(run, _)| run);
        let numbers = (known..self.runs.len()).chain(0..known);
        self.current = numbers
            .filter_map(|number| Some((number, self.runs.get(number)?.index_of(stream, pull)?)))
            .next();
    }

    /// The rest of the items will never become events: the pulls that they are of have failed.
    pub(crate) fn fail(&self) {
        for (number, run) in self.runs.iter().enumerate() {
            // Within a stream pulls ascend, so those before the one at hand were given whole.
            let given = self.current.filter(|(current, _)| *current == number).map_or(0, |(_, index)| index);
            let left = given..run.count;
            drop(left.filter_map(|index| run.issuer.as_ref()?.receipt(index)).collect::<Vec<_>>());
        }
    }

    /// A receipt for one more event of the item at hand.
    pub(crate) fn receipt(&self) -> Option<Receipt> {
        let (run, index) = self.current?;
        self.runs.get(run)?.issuer.as_ref()?.receipt(index)
    }
}
