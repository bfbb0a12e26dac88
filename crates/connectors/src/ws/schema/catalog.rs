//! Where schemas come from, and those that are known.

#[cfg(test)]
mod tests;

use super::registry::{Found, Registry};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};
use tremor_codec::model::{Document, Format, Model};
use tremor_connector::config::{nearest, ticked};
use tremor_value::{Value, sentence, shown};

/// Schemas that are kept, and those of which it is kept that they cannot be had: others choose which are asked for.
const MAX_KNOWN: usize = 1024;
/// Schemas that are fetched at once.
const MAX_FETCHES: usize = 4;
/// How long it is believed that a schema is not there, at most, and that it cannot be had.
const GONE: Duration = Duration::from_secs(60);
const FAILED: Duration = Duration::from_secs(1);
/// How long until a schema that could not be fetched again is tried once more, at most.
const AGAIN: Duration = Duration::from_secs(5);
/// Ids that a subject is known to have had.
const MAX_IDS: usize = 16;

/// What names a schema in its catalog.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A number that no other has.
    Id(u64),
    /// A name, and a version or `latest`.
    Subject { subject: String, version: String },
}

/// A schema, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) key: Key,
    pub(super) format: Format,
    /// The message type.
    pub(super) record: Option<String>,
}

/// Why there is no schema.
#[derive(Clone, Debug)]
pub(in crate::ws) struct Missing {
    /// The catalog has none: asking again does not help.
    pub(in crate::ws) is_gone: bool,
    /// In words.
    pub(in crate::ws) cause: String,
}

impl Missing {
    pub(super) fn failed(cause: impl Into<String>) -> Self {
        Self { is_gone: false, cause: cause.into() }
    }
}

/// Schemas of one origin.
pub(super) struct Catalog {
    /// What logs call it.
    shown: String,
    from: From,
    max_age: Duration,
    /// It need not be reached at the start.
    pub(super) is_lazy: bool,
    /// Bytes of an id in front of a message; `None` where there are no ids.
    pub(super) id_bytes: Option<usize>,
    /// Message types have their path in front of messages.
    pub(super) has_indexes: bool,
    known: Mutex<Known>,
    fetches: Semaphore,
}

/// Where they come from.
pub(super) enum From {
    /// The configuration, or files that it names: text and version.
    Here(BTreeMap<String, (String, Option<String>)>),
    Registry(Box<Registry>),
}

#[derive(Default)]
struct Known {
    entries: HashMap<Wanted, Arc<Entry>>,
    failures: HashMap<Wanted, (Missing, Instant)>,
}

/// One schema, as new as it is known.
pub(super) struct Entry {
    wanted: Wanted,
    state: Mutex<State>,
}

struct State {
    current: Arc<Current>,
    /// Until when it need not be asked for again; `None` is for ever.
    fresh_until: Option<Instant>,
    is_fetching: bool,
    is_failing: bool,
    /// The ids that it has had, the latest first.
    ids: Vec<u64>,
}

/// A schema, ready for use.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) model: Model,
    pub(super) id: Option<u64>,
    /// What is told of it: the id, or subject and version.
    pub(super) shown: Value,
    text: Document,
}

impl Current {
    /// One that needs no schema.
    pub(super) fn simple(model: Model) -> Arc<Self> {
        Arc::new(Self { model, id: None, shown: Value::Null, text: Document::default() })
    }
}

impl Entry {
    /// The schema; looks for a newer one in the background, if it is time for that.
    pub(super) fn current(self: &Arc<Self>, catalog: &Arc<Catalog>) -> Arc<Current> {
        let mut state = lock(&self.state);
        let is_old = !state.is_fetching && state.fresh_until.is_some_and(|until| until <= Instant::now());
        if is_old {
            state.is_fetching = true;
            let (entry, catalog) = (self.clone(), catalog.clone());
            tokio::spawn(async move { entry.renew(&catalog).await });
        }
        state.current.clone()
    }

    /// Whether the id is, or was, that of this schema.
    pub(super) fn had_id(&self, id: u64) -> bool {
        lock(&self.state).ids.contains(&id)
    }

    async fn renew(&self, catalog: &Catalog) {
        let loaded = catalog.load(&self.wanted, Some(&self.text())).await;
        let mut state = lock(&self.state);
        state.is_fetching = false;
        match loaded {
            Ok(newer) => {
                if state.is_failing {
                    tracing::info!(target: "tremor_runtime", "{}: {} is fetched again", catalog.shown, self.wanted);
                }
                state.is_failing = false;
                state.fresh_until = Instant::now().checked_add(catalog.max_age);
                if let Some(newer) = newer {
                    if let Some(id) = newer.id.filter(|id| !state.ids.contains(id)) {
                        state.ids.insert(0, id);
                        state.ids.truncate(MAX_IDS);
                    }
                    state.current = newer;
                }
            }
            Err(missing) => {
                if !state.is_failing {
                    let (shown, wanted, cause) = (&catalog.shown, &self.wanted, &missing.cause);
                    tracing::warn!(
                        target: "tremor_runtime",
                        "{shown}: {wanted} cannot be fetched again and is used as it was: {}", sentence(cause)
                    );
                }
                state.is_failing = true;
                state.fresh_until = Instant::now().checked_add(catalog.max_age.min(AGAIN));
            }
        }
    }

    fn text(&self) -> Arc<Current> {
        lock(&self.state).current.clone()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Entry").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Key::Id(id) => write!(out, "schema {id}"),
            Key::Subject { subject, version } => {
                write!(out, "version `{}` of `{}`", shown(version), shown(subject))
            }
        }
    }
}

impl Catalog {
    /// `shown` is what logs call it.
    pub(super) fn new(shown: String, from: From, max_age: Duration) -> Self {
        Self {
            shown,
            from,
            max_age,
            is_lazy: false,
            id_bytes: None,
            has_indexes: false,
            known: Mutex::default(),
            fetches: Semaphore::new(MAX_FETCHES),
        }
    }

    /// Whether its schemas are at hand.
    pub(super) fn is_here(&self) -> bool {
        matches!(self.from, From::Here(_))
    }

    /// What is known of a schema, if anything is.
    pub(super) fn known(&self, wanted: &Wanted) -> Option<Result<Arc<Entry>, Missing>> {
        let known = lock(&self.known);
        if let Some(entry) = known.entries.get(wanted) {
            return Some(Ok(entry.clone()));
        }
        let (missing, until) = known.failures.get(wanted)?;
        (*until > Instant::now()).then(|| Err(missing.clone()))
    }

    /// A schema that is at hand.
    ///
    /// # Errors
    /// There is none, or it is no schema.
    pub(super) fn at_hand(&self, wanted: &Wanted) -> Result<Arc<Entry>, Missing> {
        if let Some(known) = self.known(wanted) {
            return known;
        }
        let loaded = self.found_here(wanted).and_then(|found| compiled(wanted, found));
        self.learn(wanted, loaded.map(Arc::new))
    }

    /// A schema, which is fetched if it is not known.
    ///
    /// # Errors
    /// It cannot be had.
    pub(super) async fn get(&self, wanted: &Wanted) -> Result<Arc<Entry>, Missing> {
        if let Some(known) = self.known(wanted) {
            return known;
        }
        let Ok(_turn) = self.fetches.acquire().await else { return Err(Missing::failed("it is too late")) };
        // Others may have wanted the same.
        if let Some(known) = self.known(wanted) {
            return known;
        }
        let loaded = self.load(wanted, None).await;
        let loaded = loaded.and_then(|loaded| loaded.ok_or_else(|| Missing::failed("there is nothing")));
        self.learn(wanted, loaded)
    }

    fn learn(&self, wanted: &Wanted, loaded: Result<Arc<Current>, Missing>) -> Result<Arc<Entry>, Missing> {
        let now = Instant::now();
        let mut known = lock(&self.known);
        match loaded {
            Ok(current) => {
                // What a number means never changes, and neither does what is here.
                let never_changes = self.is_here() || matches!(wanted.key, Key::Id(_));
                let fresh_until = if never_changes { None } else { now.checked_add(self.max_age) };
                let ids = current.id.into_iter().collect();
                let state = State { current, fresh_until, is_fetching: false, is_failing: false, ids };
                let entry = Arc::new(Entry { wanted: wanted.clone(), state: Mutex::new(state) });
                if known.entries.len() >= MAX_KNOWN {
                    let unused = known.entries.iter().find(|(_, entry)| Arc::strong_count(entry) == 1);
                    let unused = unused.map(|(wanted, _)| wanted.clone());
                    match unused {
                        Some(unused) => known.entries.remove(&unused),
                        None => return Ok(entry),
                    };
                }
                known.failures.remove(wanted);
                known.entries.insert(wanted.clone(), entry.clone());
                Ok(entry)
            }
            Err(missing) => {
                if known.failures.len() >= MAX_KNOWN {
                    known.failures.retain(|_, (_, until)| *until > now);
                }
                if known.failures.len() >= MAX_KNOWN {
                    known.failures.clear();
                }
                let until = now + if missing.is_gone { GONE.min(self.max_age.max(FAILED)) } else { FAILED };
                known.failures.insert(wanted.clone(), (missing.clone(), until));
                Err(missing)
            }
        }
    }

    /// What to write in place of a subject that is not here, for whoever wrote the configuration: it names others.
    pub(super) fn advice(&self, wanted: &Wanted) -> String {
        let (From::Here(subjects), Key::Subject { subject, .. }) = (&self.from, &wanted.key) else {
            return String::new();
        };
        let names = || subjects.keys().map(String::as_str);
        match nearest(subject, names()) {
            _ if subjects.is_empty() || subjects.contains_key(subject) => String::new(),
            Some(near) => format!("; did you mean `{near}`?"),
            None => format!("; there are {}", ticked(names())),
        }
    }

    fn found_here(&self, wanted: &Wanted) -> Result<Found, Missing> {
        let gone = |cause| Missing { is_gone: true, cause };
        let From::Here(subjects) = &self.from else { return Err(gone("it is elsewhere".to_owned())) };
        let Key::Subject { subject, version } = &wanted.key else {
            return Err(gone("this catalog has no ids".to_owned()));
        };
        let known = subjects.get(subject);
        let (text, own) = known.ok_or_else(|| gone(format!("there is no subject `{}`", shown(subject))))?;
        if version != "latest" && own.as_ref() != Some(version) {
            return Err(gone(format!("the subject `{subject}` has no version `{version}`")));
        }
        let document = Document { text: text.clone(), references: Vec::new() };
        Ok(Found { document, id: None, format: None })
    }

    /// `None` if it still is what it was `before`.
    async fn load(&self, wanted: &Wanted, before: Option<&Current>) -> Result<Option<Arc<Current>>, Missing> {
        let found = match &self.from {
            From::Here(_) => self.found_here(wanted)?,
            From::Registry(registry) => registry.find(&wanted.key).await?,
        };
        if before.is_some_and(|before| before.text == found.document && before.id == found.id) {
            return Ok(None);
        }
        let wanted = wanted.clone();
        // Large ones take a while.
        let compiled = tokio::task::spawn_blocking(move || compiled(&wanted, found)).await;
        let compiled = compiled.map_err(|_| Missing::failed("it could not be read"))?;
        compiled.map(|compiled| Some(Arc::new(compiled)))
    }
}

fn compiled(wanted: &Wanted, found: Found) -> Result<Current, Missing> {
    let Found { document, id, format } = found;
    let name = match wanted.format {
        Format::Json => "JSON",
        Format::Avro { .. } => "AVRO",
        Format::Protobuf { .. } => "PROTOBUF",
    };
    if let Some(other) = format.filter(|format| format != name) {
        return Err(Missing::failed(format!("{wanted} is written in {other}, not {name}")));
    }
    let model = Model::compile(wanted.format, wanted.record.as_deref(), &document);
    let model = model.map_err(|error| Missing::failed(format!("{wanted} is no {name} schema: {error}")))?;
    let shown = match (id, &wanted.key) {
        (Some(id), _) => Value::from(id),
        (None, Key::Id(id)) => Value::from(*id),
        (None, Key::Subject { subject, version }) => Value::from(format!("{subject}/{version}")),
    };
    Ok(Current { model, id, shown, text: document })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
