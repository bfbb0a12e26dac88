//! Where elements go.

use super::{
    Port, Streams, Table, Targets,
    instructions::Instructions,
    left::{Goal, Left},
};
use crate::outbox::{Item, Outbox, is_shared};
use std::sync::Arc;
use tremor_value::Value;

/// Connections that are looked up at one go, at most: a batch may be for all connections, element by element.
const MOST_RUNS: usize = 4096;

impl Streams {
    /// Finds out where the next elements go, as many as are looked up at one go.
    pub(super) fn address(&self, items: &[Item<'_>], left: &mut Left<'_>) {
        let table = self.read();
        left.begin_stretch();
        let first = left.next;
        // What led to the targets of the last element: further elements like it need no search.
        let (mut last, mut was_for_all) = (None::<&Item<'_>>, false);
        while let Some(item) = items.get(left.next).filter(|_| left.runs.len() < MOST_RUNS) {
            let number = left.next;
            left.next += 1;
            if last.is_some_and(|last| leads_on(last, item)) {
                let targets = left.like_the_last(number);
                let asked = left.extras.get(number.wrapping_sub(1)).and_then(|extra| extra.asked.clone());
                left.note(number, items.len(), asked, targets > 1);
                continue;
            }
            last = Some(item);
            was_for_all = self.address_one(&table, (number, items.len()), item, was_for_all, left);
        }
        drop(table);
        left.end_stretch();
        self.encode(items, first, left);
    }

    /// Finds out where element `number` of `count` goes. `was_for_all`, and the answer: whether the one before it, or this
    /// one, goes to all connections.
    fn address_one(
        &self,
        table: &Table,
        (number, count): (usize, usize),
        item: &Item<'_>,
        was_for_all: bool,
        left: &mut Left<'_>,
    ) -> bool {
        if let Some(outbox) = self.led_back(table, left.port, item) {
            left.add_for_one(number, outbox);
            return false;
        }
        let of_kind = item.element.meta.base().get(self.kind);
        let read = of_kind.map(|of_kind| Instructions::read(self.kind, self.key.as_deref(), of_kind));
        let mut read = match read.transpose() {
            Ok(read) => read.unwrap_or_default(),
            Err(cause) => {
                left.add(number, [Goal::Refused(cause.into())]);
                return false;
            }
        };
        if let Some(judge) = &self.judge_open
            && let Err(cause) = self.judged(judge, read.open)
            && !(left.port == Port::In && read.names_nobody() && self.asks_for_its_pair(item))
        {
            left.add(number, [Goal::Refused(cause.into())]);
            return false;
        }
        let asked = read.asked.take();
        let is_for_all = left.port == Port::Broadcast && read.names_nobody();
        let found = if is_for_all && was_for_all {
            left.like_the_last(number)
        } else {
            let mut targets = match self.targets(table, left.port, item, of_kind, read) {
                Ok(targets) => targets,
                Err(cause) => {
                    left.add(number, [Goal::Refused(cause.into())]);
                    return false;
                }
            };
            let found = targets.len();
            match (targets.pop(), left.port) {
                (None, Port::Broadcast) => left.add(number, []),
                (None, _) => left.add(number, [Goal::Nobody]),
                (Some(only), _) if found == 1 => left.add_for_one(number, only),
                (Some(last), _) => left.add(number, targets.into_iter().chain([last]).map(Goal::Outbox)),
            }
            found
        };
        left.note(number, count, asked, found > 1);
        is_for_all
    }

    /// Most often an answer has the metadata of what it answers, which was looked into when the connection opened.
    fn led_back(&self, table: &Table, port: Port, item: &Item<'_>) -> Option<Arc<Outbox>> {
        if port != Port::In || item.id.source != self.source {
            return None;
        }
        let outbox = table.by_stream.get(&item.id.stream)?;
        outbox.own_meta().is_some_and(|own| is_shared(own, item.element.meta.base())).then(|| outbox.clone())
    }

    /// The connection that all of `items` lead back to, if it is one and the same.
    pub(super) fn all_led_back(&self, port: Port, items: &[Item<'_>]) -> Option<Arc<Outbox>> {
        let (first, others) = items.split_first()?;
        let target = self.led_back(&self.read(), port, first)?;
        others.iter().all(|item| leads_on(first, item)).then_some(target)
    }

    /// The connections that an element is for (`spec/websocket.md` 6.4, 15). `of_kind` is what its metadata has for them.
    ///
    /// # Errors
    /// Why there is none, if that is worth more words than usual.
    fn targets(
        &self,
        table: &Table,
        port: Port,
        item: &Item<'_>,
        of_kind: Option<&Value>,
        read: Instructions<'_>,
    ) -> Result<Targets, &'static str> {
        if self.is_single() || port == Port::Broadcast && read.names_nobody() {
            return Ok(table.all());
        }
        let Instructions { to, filter, mut except, .. } = read;
        if let Some(except) = except.as_mut().filter(|except| except.origin) {
            table.origins(item.id, self.source).iter().for_each(|origin| except.add(origin.conn()));
        }
        let is_left_out = |conn| except.as_ref().is_some_and(|except| except.contains(conn));
        if let Some(to) = to {
            return Ok(table.of_conns(to.into_iter(), filter.as_ref(), is_left_out));
        }
        if filter.is_some() || port == Port::Broadcast {
            return Ok(table.of_conns(table.conns(), filter.as_ref(), is_left_out));
        }
        let mut found = match of_kind.and_then(|of_kind| table.addressed(of_kind)) {
            Some(addressed) => Targets::from_buf([addressed]),
            None => table.origins(item.id, self.source),
        };
        if let Some(pairs) = self.pairs.as_ref().filter(|_| found.is_empty()) {
            found = self.paired(pairs, item)?;
        }
        found.retain(|outbox| !is_left_out(outbox.conn()));
        Ok(found)
    }
}

/// Whether what leads one element to its targets leads another one there, too.
fn leads_on(known: &Item<'_>, item: &Item<'_>) -> bool {
    is_shared(known.element.meta.base(), item.element.meta.base()) && known.id.is_of_same_streams(item.id)
}
