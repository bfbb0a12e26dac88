//! What is left to do for a batch.

use super::Port;
use crate::{
    SinkShared,
    outbox::{Asked, Extra, Item, Lost, Outbox},
};
use smallvec::SmallVec;
use std::{mem, ops::Range, sync::Arc};
use tremor_event::{Outcome, settle_all};

/// Elements in a row that are for the same connection: they are encoded under one lock.
pub(super) struct Run {
    pub(super) goal: Goal,
    /// Their numbers in the batch.
    pub(super) items: Range<usize>,
}

/// Where elements go.
#[derive(Default)]
pub(super) enum Goal {
    /// There is no such connection, or this run is behind us.
    #[default]
    Nobody,
    Outbox(Arc<Outbox>),
    /// They ask for what cannot be done.
    Refused(Box<str>),
}

impl Run {
    /// Whether element `number`, which is for `target`, can be added.
    fn is_continued(&self, target: &Arc<Outbox>, number: usize) -> bool {
        self.items.end == number && matches!(&self.goal, Goal::Outbox(own) if Arc::ptr_eq(own, target))
    }
}

/// What is left to do for a batch. Elements that were received are in nobody's hands yet: they fail if this is dropped.
pub(super) struct Left<'a> {
    shared: &'a SinkShared,
    pub(super) port: Port,
    /// The stretch of elements at hand: which connections they are for.
    pub(super) runs: SmallVec<[Run; 1]>,
    /// At the places of elements: what is known of them beyond what they say themselves. Empty if that is nothing.
    pub(super) extras: Vec<Extra>,
    /// Some elements of the stretch at hand are for several connections.
    pub(super) has_common: bool,
    /// The run at hand.
    pub(super) at: usize,
    /// The first element of which it is not known yet where it goes.
    pub(super) next: usize,
    /// Elements, once for each of their targets, that were received.
    elements: usize,
    /// Where the runs begin that the last element was added to.
    group: usize,
}

impl<'a> Left<'a> {
    pub(super) fn new(shared: &'a SinkShared, port: Port) -> Self {
        Self {
            shared,
            port,
            runs: SmallVec::new(),
            extras: Vec::new(),
            has_common: false,
            at: 0,
            next: 0,
            elements: 0,
            group: 0,
        }
    }

    /// A new stretch begins: all runs are behind us.
    pub(super) fn begin_stretch(&mut self) {
        self.runs.clear();
        (self.at, self.group) = (0, 0);
    }

    /// The runs of the stretch at hand are known: their elements are received.
    pub(super) fn end_stretch(&mut self) {
        let elements: usize = self.runs.iter().map(|run| run.items.len()).sum();
        self.shared.counters.received(elements as u64);
        self.elements += elements;
    }

    /// Element `number`, the next one, goes where the last one goes; gives how many connections that are.
    pub(super) fn like_the_last(&mut self, number: usize) -> usize {
        let group = self.runs.get_mut(self.group..).unwrap_or_default();
        group.iter_mut().for_each(|run| run.items.end = number + 1);
        group.len()
    }

    /// Element `number`, the next one, goes to `target` alone.
    pub(super) fn add_for_one(&mut self, number: usize, target: Arc<Outbox>) {
        match self.runs.last_mut() {
            Some(run) if run.is_continued(&target, number) => {
                run.items.end = number + 1;
                self.group = self.runs.len() - 1;
            }
            _ => {
                self.group = self.runs.len();
                self.runs.push(Run { goal: Goal::Outbox(target), items: number..number + 1 });
            }
        }
    }

    /// Element `number`, the next one, goes to these.
    pub(super) fn add(&mut self, number: usize, goals: impl IntoIterator<Item = Goal>) {
        self.group = self.runs.len();
        self.runs.extend(goals.into_iter().map(|goal| Run { goal, items: number..number + 1 }));
    }

    /// Notes of element `number` of `count` what it asks for, and whether it is for several connections.
    pub(super) fn note(&mut self, number: usize, count: usize, asked: Option<Arc<Asked>>, is_common: bool) {
        if asked.is_none() && !is_common {
            return;
        }
        if self.extras.is_empty() {
            self.extras.resize(count, Extra::default());
        }
        self.has_common |= is_common;
        if let Some(extra) = self.extras.get_mut(number) {
            *extra = Extra { shared: None, asked, is_common };
        }
    }

    /// All elements were received and are for `target`, and `left` of them need attention.
    pub(super) fn only_for(&mut self, target: Arc<Outbox>, left: Range<usize>) {
        self.next = left.end;
        self.elements = left.len();
        self.runs.push(Run { goal: Goal::Outbox(target), items: left });
    }

    /// There is one element, for these, of which `extra` is known.
    pub(super) fn one_for(&mut self, goals: impl IntoIterator<Item = Goal>, extra: Extra) {
        self.add(0, goals);
        self.next = 1;
        self.extras = vec![extra];
        self.end_stretch();
    }

    /// So many elements of the run at hand need no attention any more.
    pub(super) fn took(&mut self, elements: usize) {
        self.elements = self.elements.saturating_sub(elements);
        if let Some(run) = self.runs.get_mut(self.at) {
            run.items.start += elements;
        }
    }

    /// What is left of the run at hand is for `target`.
    pub(super) fn goes_on_with(&mut self, target: Arc<Outbox>) {
        if let Some(run) = self.runs.get_mut(self.at) {
            run.goal = Goal::Outbox(target);
        }
    }

    /// The connection of the run at hand takes nothing any more: what is left of it fails, unless it was for everybody. That is
    /// still to be told.
    pub(super) fn lose_run(&mut self, items: &[Item<'_>]) -> Lost {
        let lost = self.pass_run(items);
        let elements = lost.len() as u64;
        if self.port == Port::Broadcast {
            self.shared.counters.passed_over(elements);
            return Lost { failed: 0, passed_over: elements };
        }
        self.shared.counters.failed(elements);
        settle_all(lost.iter().filter_map(|item| item.receipt.cloned()), Outcome::Failed);
        Lost { failed: elements, passed_over: 0 }
    }

    /// What is left of the run at hand goes nowhere.
    pub(super) fn fail_run(&mut self, items: &[Item<'_>], cause: &str) {
        let lost = self.pass_run(items);
        self.shared.fail(lost.len() as u64, cause);
        settle_all(lost.iter().filter_map(|item| item.receipt.cloned()), Outcome::Failed);
    }

    /// The run at hand is behind us; gives what was left of it.
    fn pass_run<'i, 'e>(&mut self, items: &'i [Item<'e>]) -> &'i [Item<'e>] {
        let run = self.runs.get_mut(self.at).map(|run| mem::replace(&mut run.items, 0..0));
        self.at += 1;
        let left = run.and_then(|run| items.get(run)).unwrap_or_default();
        self.elements = self.elements.saturating_sub(left.len());
        left
    }
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.shared.fail(self.elements as u64, "whoever gave them has ended while they waited for room");
    }
}
