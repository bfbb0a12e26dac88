//! Native functions: what `intrinsic fn … as module::name` binds and `core::module::name(…)` calls.

use crate::error::ErrorKind;
use std::{cell::Cell, collections::HashMap, fmt};
use tremor_value::Value;

/// What the process can tell a native function; handed in, so that tests can give another answer.
pub trait Host: Send + Sync {
    /// Wall clock in nanoseconds since 1970 UTC.
    fn now_ns(&self) -> u64;
    /// Name of the machine.
    fn hostname(&self) -> &str;
    /// Name of this instance of the program.
    fn instance(&self) -> &str;
}

/// Where an event came from, borrowed from it.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Names the kind of connector.
    pub scheme: &'a str,
    /// Host name or address.
    pub host: &'a str,
    /// Port, where there is one.
    pub port: Option<u16>,
    /// Path segments.
    pub path: &'a [String],
}

/// What an evaluation may know about the event and the process beyond payload and metadata.
pub struct Context<'a> {
    /// Ingest time of the event in nanoseconds since 1970 UTC; 0 while constants are folded.
    pub ingest_ns: u64,
    /// Where the event came from.
    pub origin: Option<Origin<'a>>,
    /// The process; `None` while constants are folded.
    pub host: Option<&'a dyn Host>,
    /// Calls and rounds of loops that may still happen.
    steps: Cell<u32>,
    /// Values that may still be copied into others, compared or written.
    values: Cell<usize>,
    /// How many there were at the start.
    all_values: usize,
    /// Searches that the event's text is still worth.
    searches: Cell<usize>,
}

/// Calls and rounds of loops that one event may take: seconds of work, far beyond any sensible script.
pub(crate) const STEPS_PER_EVENT: u32 = 100_000_000;

/// The same for one expression that is folded when it is compiled.
const STEPS_PER_FOLDING: u32 = 100_000;

/// Values, nested ones and 16 bytes of text each counting as one, that one event may copy into others, compare or write.
pub(crate) const VALUES_PER_EVENT: usize = 32 * 1024 * 1024;

/// The same for one expression that is folded when it is compiled.
const VALUES_PER_FOLDING: usize = 1024 * 1024;

/// Keys that are looked for in the text of an event that is not built; from then on building it is the better deal.
/// This also bounds what a loop can make of a long text.
const SEARCHES_PER_EVENT: usize = 64;

/// What a search for a nested member counts for each of its keys: text has to be read to find it.
const NESTED_SEARCH: usize = 2;

impl<'a> Context<'a> {
    /// What is known about one event.
    #[must_use]
    pub fn new(ingest_ns: u64, origin: Option<Origin<'a>>, host: Option<&'a dyn Host>) -> Self {
        let (steps, values) = (Cell::new(STEPS_PER_EVENT), Cell::new(VALUES_PER_EVENT));
        let searches = Cell::new(SEARCHES_PER_EVENT);
        Self { ingest_ns, origin, host, steps, values, all_values: VALUES_PER_EVENT, searches }
    }

    /// The context in which constants are folded: no time, no origin, no process.
    #[must_use]
    pub fn folding() -> Self {
        let (steps, values) = (Cell::new(STEPS_PER_FOLDING), Cell::new(VALUES_PER_FOLDING));
        let (all_values, searches) = (VALUES_PER_FOLDING, Cell::new(0));
        Self { ingest_ns: 0, origin: None, host: None, steps, values, all_values, searches }
    }

    /// The same with another bound on the values that may be copied into others, compared or written: nested ones and
    /// 16 bytes of text each count as one. 33 554 432 unless this is called.
    #[must_use]
    pub fn with_values(mut self, values: usize) -> Self {
        self.values = Cell::new(values);
        self.all_values = values;
        self
    }

    /// The same with another bound on calls and rounds of loops. 100 000 000 unless this is called.
    #[must_use]
    pub fn with_steps(mut self, steps: u32) -> Self {
        self.steps = Cell::new(steps);
        self
    }

    /// Takes `values` from what is left; `false` when there is less, which is taken all the same.
    pub(crate) fn pay(&self, values: usize) -> bool {
        match self.values.get().checked_sub(values) {
            Some(left) => {
                self.values.set(left);
                true
            }
            None => {
                self.values.set(0);
                false
            }
        }
    }

    /// What is wrong when [`Context::pay`] gives `false`.
    pub(crate) fn too_much(&self) -> ErrorKind {
        ErrorKind::TooMuch { limit: self.all_values }
    }

    /// Counts a search for a member that is `keys` deep; `false` if the event should be built first.
    pub(crate) fn may_search_event(&self, keys: usize) -> bool {
        let cost = if keys > 1 { keys.saturating_mul(NESTED_SEARCH) } else { keys };
        match self.searches.get().checked_sub(cost) {
            Some(left) => {
                self.searches.set(left);
                true
            }
            None => false,
        }
    }

    /// Counts a call or a round of a loop; `false` when there were too many.
    pub(crate) fn step(&self) -> bool {
        let left = self.steps.get();
        self.steps.set(left.saturating_sub(1));
        left > 0
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Context")
            .field("ingest_ns", &self.ingest_ns)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Why a native function gave no value (`spec/stdlib.md` 1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionError {
    /// An argument has a type the function does not take.
    BadType,
    /// Anything else; the text goes into the message.
    Failed(String),
}

impl FunctionError {
    /// [`FunctionError::Failed`] with `text`.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
}

/// How many arguments a native function takes, and how that number appears in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity {
    /// At least this many.
    pub min: usize,
    /// At most this many; `None` for no limit.
    pub max: Option<usize>,
}

impl Arity {
    /// Exactly `count` arguments.
    #[must_use]
    pub const fn exactly(count: usize) -> Self {
        Self { min: count, max: Some(count) }
    }

    /// `count` arguments or more.
    #[must_use]
    pub const fn at_least(count: usize) -> Self {
        Self { min: count, max: None }
    }

    /// `true` if `count` arguments may be given.
    #[must_use]
    pub fn accepts(self, count: usize) -> bool {
        count >= self.min && self.max.is_none_or(|max| count <= max)
    }
}

/// The Rust side of a native function.
///
/// Called with a number of arguments that [`Arity::accepts`].
pub type Call = fn(&Context<'_>, &[&Value]) -> Result<Value, FunctionError>;

/// The same for a function that gives its first argument with a change: changes it where it stands.
///
/// The other arguments follow. On an error the first one is as it was before.
pub type Update = fn(&Context<'_>, &mut Value, &[&Value]) -> Result<(), FunctionError>;

/// One native function.
#[derive(Clone, Copy)]
pub struct Native {
    /// Registry module, the `m` of `core::m::f`.
    pub module: &'static str,
    /// Name within the module.
    pub name: &'static str,
    /// Number of arguments.
    pub arity: Arity,
    /// The result depends on the arguments alone, so calls with constants are folded.
    pub pure: bool,
    /// A performance warning for every call site.
    pub warning: Option<&'static str>,
    /// The implementation.
    pub call: Call,
    /// What `let x = f(x, …)` calls instead, so that `x` is not copied.
    pub update: Option<Update>,
}

impl Native {
    /// A pure function of exactly `count` arguments.
    #[must_use]
    pub const fn pure(module: &'static str, name: &'static str, count: usize, call: Call) -> Self {
        Self { module, name, arity: Arity::exactly(count), pure: true, warning: None, call, update: None }
    }

    /// A function of `count` arguments that looks at the context, the clock or a random source.
    #[must_use]
    pub const fn contextual(module: &'static str, name: &'static str, count: usize, call: Call) -> Self {
        Self { module, name, arity: Arity::exactly(count), pure: false, warning: None, call, update: None }
    }

    /// The same function with a performance warning at every call site.
    #[must_use]
    pub const fn warns(mut self, warning: &'static str) -> Self {
        self.warning = Some(warning);
        self
    }

    /// The same function with a way to change its first argument where it stands.
    #[must_use]
    pub const fn updates(mut self, update: Update) -> Self {
        self.update = Some(update);
        self
    }

    /// The same function with other numbers of arguments.
    #[must_use]
    pub const fn with_arity(mut self, arity: Arity) -> Self {
        self.arity = arity;
        self
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "core::{}::{}", self.module, self.name)
    }
}

/// The native functions that a compilation may use.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    modules: HashMap<&'static str, HashMap<&'static str, Native>>,
}

impl Functions {
    /// A table of `natives`; a later one replaces an earlier one of the same name.
    #[must_use]
    pub fn new(natives: impl IntoIterator<Item = Native>) -> Self {
        let mut functions = Self::default();
        for native in natives {
            functions.modules.entry(native.module).or_default().insert(native.name, native);
        }
        functions
    }

    /// Function `name` of registry module `module`.
    #[must_use]
    pub fn get(&self, module: &str, name: &str) -> Option<Native> {
        self.modules.get(module)?.get(name).copied()
    }

    /// `true` if there is a registry module `module`.
    #[must_use]
    pub fn has_module(&self, module: &str) -> bool {
        self.modules.contains_key(module)
    }

    /// Names of the registry modules, in no particular order.
    pub fn modules(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.modules.keys().copied()
    }

    /// Names of the functions of `module`, in no particular order.
    pub fn names(&self, module: &str) -> impl Iterator<Item = &'static str> + '_ {
        self.modules.get(module).into_iter().flat_map(|names| names.keys().copied())
    }
}
