//! Whom a message is for, and by whose messages it takes room.

use super::Person;
use crate::weight;
use smallvec::SmallVec;
use std::sync::Arc;
use tremor_value::Value;

/// A message for more than so many is one for a group: it is kept with those for all.
const MOST_OWNERS: usize = 8;

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Audience {
    pub(crate) reach: Reach,
    /// Not for those; in order.
    pub(crate) except: SmallVec<[Person; 1]>,
}

/// Whom a message is for, before some are left out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reach {
    All,
    Some {
        /// In order.
        people: SmallVec<[Person; 1]>,
        /// A `where`, which others may be like.
        alike: Option<Alike>,
    },
}

/// A `where`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alike {
    pub(crate) filter: Value,
    /// The identities that it asks for, if only those who have one of them can be like it.
    pub(crate) names: Option<SmallVec<[Arc<str>; 1]>>,
}

/// By whose messages one takes room that is not for a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Owner {
    Person(Person),
    /// Whoever has that identity, in the words of metadata.
    Named(Arc<str>),
}

impl Owner {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Person(name) | Self::Named(name) => name,
        }
    }
}

impl Audience {
    /// For those whom it reaches, but not for `except`.
    pub(crate) fn new(mut reach: Reach, mut except: SmallVec<[Person; 1]>) -> Self {
        if let Reach::Some { people, .. } = &mut reach {
            people.sort_unstable();
            people.dedup();
        }
        except.sort_unstable();
        except.dedup();
        Self { reach, except }
    }

    /// Roughly the bytes that it holds on to.
    pub(super) fn weight(&self) -> usize {
        let of = |people: &[Person]| -> usize {
            people.iter().map(|person| size_of::<Person>() + person.len()).sum()
        };
        let reach = match &self.reach {
            Reach::All => 0,
            Reach::Some { people, alike } => {
                let names = |alike: &Alike| alike.names.as_deref().map_or(0, of);
                of(people) + alike.as_ref().map_or(0, |alike| weight(&alike.filter) + names(alike))
            }
        };
        reach + of(&self.except)
    }

    /// Whether a client may have it. `admits`: whether it is like that `where`.
    pub(super) fn admits(&self, person: Option<&Person>, admits: &dyn Fn(&Value) -> bool) -> bool {
        if person.is_some_and(|person| self.except.binary_search(person).is_ok()) {
            return false;
        }
        match &self.reach {
            Reach::All => true,
            Reach::Some { people, alike } => {
                person.is_some_and(|person| people.binary_search(person).is_ok())
                    || alike.as_ref().is_some_and(|alike| admits(&alike.filter))
            }
        }
    }

    /// Whether whoever comes may have it.
    pub(super) fn is_everybody(&self) -> bool {
        self.reach == Reach::All && self.except.is_empty()
    }

    /// Those by whose messages it takes room; none of it is for all or for a group.
    pub(super) fn owners(&self) -> SmallVec<[Owner; 1]> {
        let mut owners = SmallVec::new();
        let Reach::Some { people, alike } = &self.reach else { return owners };
        let names = match alike {
            None => &[][..],
            Some(Alike { names: Some(names), .. }) => names.as_slice(),
            Some(Alike { names: None, .. }) => return owners,
        };
        if people.len() + names.len() <= MOST_OWNERS {
            owners.extend(people.iter().cloned().map(Owner::Person));
            owners.extend(names.iter().cloned().map(Owner::Named));
        }
        owners
    }
}
