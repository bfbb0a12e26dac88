//! What waits where a full queue drops messages that wait already: element by element, so that any of them can go.

use super::{Answers, Messages, SendQueue, WhenFull};
use std::collections::VecDeque;
use tremor_value::Value;

/// Messages that are taken to be written at once, at most: what is taken can not be dropped any more.
const MOST_TAKEN: usize = 16;
/// Bytes of those, but for the first element.
const MOST_TAKEN_BYTES: usize = 16 * 1024;

/// Elements that wait, in order.
#[derive(Debug, Default)]
pub(super) struct Kept {
    elements: VecDeque<Element>,
    messages: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Element {
    /// Boxed, so that moving elements about is cheap.
    messages: Box<Messages>,
    key: Option<Value>,
}

impl Kept {
    /// How many messages there are.
    pub(super) fn len(&self) -> usize {
        self.messages
    }

    /// Bytes of payload.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Where there is no room for `new` besides `held`, which is elsewhere, others go; but however large that is, what
    /// waits has half of the bytes for itself. Gives how many elements were dropped; their receipts go to `answers`.
    pub(super) fn make_room(
        &mut self,
        new: &Messages,
        key: Option<&Value>,
        (limits, held): (&SendQueue, (usize, usize)),
        answers: &mut Answers,
    ) -> u64 {
        let (messages, bytes) = (new.len(), new.bytes());
        // What is being written does not get smaller by what is dropped.
        let held_bytes = held.1.min(limits.bytes / 2);
        let fits = |kept: &Self| {
            let (all, all_bytes) = (kept.messages + held.0, kept.bytes + held_bytes);
            kept.is_empty()
                || all + messages <= limits.messages && all_bytes.saturating_add(bytes) <= limits.bytes
        };
        let mut dropped = 0;
        if !fits(self) && limits.when_full == WhenFull::Conflate && key.is_some() {
            dropped += self.drop_those(|element| element.key.as_ref() == key, answers);
        }
        while !fits(self) {
            let Some(oldest) = self.elements.pop_front() else { break };
            dropped += self.forget(oldest, answers);
        }
        dropped
    }

    fn drop_those(&mut self, is_wanted: impl Fn(&Element) -> bool, answers: &mut Answers) -> u64 {
        let mut dropped = 0;
        let mut rest = VecDeque::with_capacity(self.elements.len());
        for element in std::mem::take(&mut self.elements) {
            if is_wanted(&element) {
                dropped += self.forget(element, answers);
            } else {
                rest.push_back(element);
            }
        }
        self.elements = rest;
        dropped
    }

    fn forget(&mut self, element: Element, answers: &mut Answers) -> u64 {
        self.messages -= element.messages.len();
        self.bytes -= element.messages.bytes();
        let lost = element.messages.elements_from(0);
        answers.lost(*element.messages);
        lost
    }

    /// Moves the first elements into `into`, which is empty: few, since the others may still be dropped. `true` if some
    /// are left.
    pub(super) fn take(&mut self, into: &mut Messages, limits: &SendQueue) -> bool {
        // Of a short queue, not all of it either.
        let most = MOST_TAKEN.min(limits.messages / 4).max(1);
        let most_bytes = MOST_TAKEN_BYTES.min(limits.bytes / 4);
        while let Some(next) = self.elements.front_mut() {
            let (messages, bytes) = (next.messages.len(), next.messages.bytes());
            if !into.is_empty() && (into.len() + messages > most || into.bytes() + bytes > most_bytes) {
                return true;
            }
            into.append_from(&mut next.messages, 0);
            self.messages -= messages;
            self.bytes -= bytes;
            self.elements.pop_front();
        }
        self.elements.shrink_to(MOST_TAKEN);
        false
    }

    /// Adds the messages of one element, or what is of none, such as a ping, behind the others.
    pub(super) fn push(&mut self, new: Messages, key: Option<&Value>) {
        self.messages += new.len();
        self.bytes += new.bytes();
        self.elements.push_back(Element { messages: Box::new(new), key: key.cloned() });
    }

    /// Moves everything into `into`.
    pub(super) fn take_all(&mut self, into: &mut Messages) {
        for mut element in std::mem::take(self).elements {
            into.append_from(&mut element.messages, 0);
        }
    }
}
