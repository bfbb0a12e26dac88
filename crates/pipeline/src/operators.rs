//! Operators: nodes that are written natively (`spec/language-query.md` 8).
//!
//! One file per kind, and one line in [`ALL`]. What a kind says of itself in its [`Spec`] checks configurations and makes
//! the reference page.

mod backpressure;
mod batch;
mod breakers;
mod bucket;
mod counter;
mod history;
mod lru;
mod percentile;
mod roundrobin;
mod settings;
mod watched;

pub use breakers::Mediator;
pub(crate) use settings::{Problem, Settings};
pub(crate) use watched::watch;

use crate::{counts::Classes, graph::OutPort};
use std::{fmt, sync::Arc};
use tremor_diagnostic::closest;
use tremor_event::{Event, EventBatch, IdGenerator, Listener};
use tremor_lang::Host;

/// All kinds.
pub const ALL: &[Spec] = &[
    bucket::SPEC,
    batch::SPEC,
    counter::SPEC,
    history::SPEC,
    backpressure::SPEC,
    backpressure::OLD_SPEC,
    percentile::SPEC,
    roundrobin::SPEC,
];

/// One setting of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Key in `with`, or name of a metadata field without `$`.
    pub name: &'static str,
    /// Type in the words of the specification.
    pub kind: &'static str,
    /// Default as written in a configuration; empty if the field is required.
    pub default: &'static str,
    /// What it means.
    pub text: &'static str,
}

/// Whether a kind takes a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigUse {
    /// It has to be there.
    Needed,
    /// There must be none.
    Refused,
    /// What it says is of no importance.
    Ignored,
}

/// A kind of operator.
#[derive(Clone, Copy)]
pub struct Spec {
    /// `module::kind`, as after `define operator NAME from`.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Whether `with` has to be there.
    pub config: ConfigUse,
    /// What `with` may set.
    pub fields: &'static [Field],
    /// What it reads from the metadata of events.
    pub meta: &'static [Field],
    /// Ports that it emits on, with what leaves there.
    pub ports: &'static [(&'static str, &'static str)],
    /// The setting that lists the names of further ports, if there is one.
    pub named_ports: Option<&'static str>,
    /// A part of a query that uses it.
    pub example: &'static str,
    /// The name that is used today, if this one is older.
    pub renamed: Option<&'static str>,
    /// Checks the configuration.
    pub(crate) prepare: fn(&Settings<'_>) -> Result<Maker, Vec<Problem>>,
}

impl fmt::Debug for Spec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Spec({})", self.name)
    }
}

/// The kind called `name`, or a hint at what may be meant.
pub(crate) fn find(name: &str) -> Result<&'static Spec, String> {
    let names = || ALL.iter().filter(|spec| spec.renamed.is_none()).map(|spec| spec.name);
    ALL.iter().find(|spec| spec.name == name).ok_or_else(|| match closest(name, names()) {
        Some(near) => format!("Did you mean `{near}`?"),
        None => format!("Kinds are `{}`", names().collect::<Vec<_>>().join("`, `")),
    })
}

/// What instances have around them.
#[derive(Clone)]
pub struct Environment {
    /// Numbers for everything that can stand first in an event id.
    pub ids: Arc<IdGenerator>,
    /// The process, for the time.
    pub host: Arc<dyn Host>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Environment").finish_non_exhaustive()
    }
}

/// Makes instances of one configured operator.
pub(crate) type Maker = Box<dyn Fn(&Environment) -> Box<dyn Operator> + Send + Sync>;

/// One instance. Whoever runs the pipeline calls it, from one task at a time.
///
/// An event that comes in is emitted or kept, with its receipt; what is dropped counts as failed.
pub(crate) trait Operator: Send {
    /// Takes an event; which port it arrived at is of no importance.
    fn event(&mut self, event: Event, out: &mut Emitter<'_>);

    /// Time has passed: it is `now_ns` nanoseconds since 1970 UTC.
    fn tick(&mut self, now_ns: u64, out: &mut Emitter<'_>) {
        let _ = (now_ns, out);
    }

    /// No event will come any more: what is kept has to leave.
    fn drain(&mut self, out: &mut Emitter<'_>) {
        let _ = out;
    }

    /// Who hears what becomes of the events that leave by `port`.
    fn listener(&self, port: &str) -> Option<Arc<dyn Listener>> {
        let _ = port;
        None
    }

    /// Its part among breakers, if it has one.
    fn mediator(&self) -> Option<Arc<dyn Mediator>> {
        None
    }

    /// From now on it counts in `classes` what it lets pass and what not, if it does such a thing.
    fn count_by(&mut self, classes: Arc<Classes>) {
        let _ = classes;
    }

    /// The same operator without what it kept. Its part among breakers stays the same.
    fn renewed(&self) -> Box<dyn Operator>;
}

/// Takes what an operator emits.
pub(crate) struct Emitter<'e> {
    ports: &'e [OutPort],
    batches: Vec<EventBatch>,
    /// Bytes that one event of the batch stands for, which is being processed.
    share: usize,
}

impl<'e> Emitter<'e> {
    pub(crate) fn new(ports: &'e [OutPort], share: usize) -> Self {
        Self { ports, batches: ports.iter().map(|_| EventBatch::default()).collect(), share }
    }

    /// Bytes that the event stands for, which is being processed.
    pub(crate) fn share(&self) -> usize {
        self.share
    }

    /// The event leaves by `port`; where nobody reads that, its way ends.
    pub(crate) fn emit(&mut self, port: &str, event: Event) {
        self.emit_sized(port, event, self.share);
    }

    /// The same with an event that stands for `bytes` bytes.
    pub(crate) fn emit_sized(&mut self, port: &str, event: Event, bytes: usize) {
        let index = self.ports.iter().position(|known| known.name == port);
        match index.and_then(|index| self.batches.get_mut(index)) {
            Some(batch) => {
                batch.bytes = batch.bytes.saturating_add(bytes);
                batch.events.push(event);
            }
            None => event.settle(tremor_event::Outcome::Discarded),
        }
    }

    /// What left, by the node's port.
    pub(crate) fn into_batches(self) -> Vec<EventBatch> {
        self.batches
    }
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_different_names_and_old_names_lead_to_new_ones() {
        for (index, spec) in ALL.iter().enumerate() {
            assert!(ALL.iter().skip(index + 1).all(|other| other.name != spec.name), "{}", spec.name);
            assert!(spec.renamed.is_none_or(|name| find(name).is_ok_and(|new| new.renamed.is_none())));
        }
        assert_eq!(find("generic::bacth").unwrap_err(), "Did you mean `generic::batch`?");
        assert!(find("x::y").unwrap_err().starts_with("Kinds are `grouper::bucket`, "));
    }
}
