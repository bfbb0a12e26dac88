//! Locals: their slots, and what an unknown one may be a slip of the pen for.

use super::Lower;
use crate::ir::LocalName;
use std::{collections::HashMap, sync::Arc};
use tremor_diagnostic::closest_within;
use tremor_value::Str;

/// Unknown names of one script or function for which a near one is looked for, and names that are compared with each:
/// bounds for texts that no hand wrote.
const SEARCHES: u32 = 64;
const COMPARED: usize = 1024;

/// The flat table of locals of a script or function.
#[derive(Debug, Default)]
pub(crate) struct Locals {
    slots: HashMap<String, Slot>,
    count: u32,
    searches: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    number: u32,
    /// Something assigns it, not only reads it.
    assigned: bool,
}

impl Locals {
    /// The slot of a local that is read.
    fn read(&mut self, name: &str) -> Slot {
        if let Some(slot) = self.slots.get(name) {
            return *slot;
        }
        let slot = Slot { number: self.fresh(), assigned: false };
        self.slots.insert(name.to_owned(), slot);
        slot
    }

    /// The slot of a local that is assigned here.
    pub(super) fn assign(&mut self, name: &str) -> u32 {
        let number = self.read(name).number;
        self.slots.insert(name.to_owned(), Slot { number, assigned: true });
        number
    }

    /// The slot of a parameter. Two parameters of one name do not share one: the later counts, as with assignments.
    pub(super) fn parameter(&mut self, name: &str) {
        let number = self.fresh();
        self.slots.insert(name.to_owned(), Slot { number, assigned: true });
    }

    pub(super) fn fresh(&mut self) -> u32 {
        self.count += 1;
        self.count - 1
    }

    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }
}

/// A name that is valid in a clause.
#[derive(Clone, Copy, Debug)]
pub(super) enum Variable {
    /// In guards and pure arms: it lives on the interpreter's stack.
    Bound,
    /// In statement arms.
    Slot(u32),
}

impl Lower<'_, '_> {
    /// The slot of a local that is read, and what to say when it has no value.
    pub(super) fn local(&mut self, name: &str) -> (u32, Arc<LocalName>) {
        let slot = self.locals.read(name);
        let near = if slot.assigned { None } else { self.near_local(name) };
        (slot.number, Arc::new(LocalName { name: name.into(), near }))
    }

    /// A local that nothing assigns.
    pub(super) fn unknown(&mut self, name: &str) -> Arc<LocalName> {
        Arc::new(LocalName { name: name.into(), near: self.near_local(name) })
    }

    /// The nearest of the words and names that have a value here.
    fn near_local(&mut self, name: &str) -> Option<Str> {
        const WORDS: [&str; 6] = ["event", "true", "false", "null", "args", "state"];
        if ["nil", "none", "undefined"].contains(&name.to_lowercase().as_str()) {
            return Some("null".into());
        }
        self.locals.searches += 1;
        if self.locals.searches > SEARCHES {
            return None;
        }
        let locals = self.locals.slots.iter().filter(|(_, slot)| slot.assigned).map(|(name, _)| name);
        let clauses = self.clauses.iter().map(|(name, _)| name);
        let constants = self.scope.names.constants.keys();
        let names = locals.chain(clauses).chain(constants).map(String::as_str).take(COMPARED);
        closest_within(name, WORDS.into_iter().chain(names), 2).map(Into::into)
    }
}
