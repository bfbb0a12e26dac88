//! `replay`: what is kept of routes for clients that come back (`spec/websocket.md` 13).

use super::queues::Queues;
use crate::ws::{options::Settings, schema::Plans};
use std::sync::Arc;
use tremor_connector::{
    Joining, Keep, Likeness, Person, Replay, SendQueue, WhenFull,
    config::{ConfigError, Entry, Reader},
    last_received,
};
use tremor_value::Value;
use tremor_ws::{Protocols, Reject, Route, query_pairs};

/// Of which routes something is kept.
pub(super) struct Replays<'a> {
    /// What is kept of routes that say nothing of it, and where that is said.
    of_all: Option<(Keep, Entry<'a>)>,
    pub(super) all: Vec<Arc<Replay>>,
}

impl<'a> Replays<'a> {
    pub(super) fn read(settings: &mut Settings<'a>) -> Result<Self, ConfigError> {
        let entry = settings.entry("replay")?;
        let of_all = match entry {
            Some(entry) => keep(settings, &entry, Keep::default())?.map(|keep| (keep, entry)),
            None => None,
        };
        Ok(Self { of_all, all: Vec::new() })
    }

    /// Of a route with these `options`, and of which metadata say `shown`.
    pub(super) fn of_route(
        &mut self,
        options: &mut Settings<'a>,
        shown: &Value,
        (schemas, queue): (Option<&Plans>, &SendQueue),
    ) -> Result<Option<Arc<Replay>>, ConfigError> {
        let Some(entry) = options.entry("replay")? else {
            return self.add(self.of_all.clone(), Some(shown), (schemas, queue));
        };
        let defaults = self.of_all.as_ref().map(|(keep, _)| *keep).unwrap_or_default();
        let own = keep(options, &entry, defaults)?.map(|keep| (keep, entry));
        self.add(own, Some(shown), (schemas, queue))
    }

    /// Of connections about which there is nothing else to say.
    pub(super) fn of_others(
        &mut self,
        shown: Option<&Value>,
        schemas: Option<&Plans>,
        queues: &Queues,
    ) -> Result<Option<Arc<Replay>>, ConfigError> {
        self.add(self.of_all.clone(), shown, (schemas, &queues.of_all))
    }

    fn add(
        &mut self,
        said: Option<(Keep, Entry<'a>)>,
        shown: Option<&Value>,
        (schemas, queue): (Option<&Plans>, &SendQueue),
    ) -> Result<Option<Arc<Replay>>, ConfigError> {
        let Some((keep, entry)) = said else { return Ok(None) };
        if matches!(queue.when_full, WhenFull::DropNewest | WhenFull::DropOldest | WhenFull::Conflate) {
            let problem = "is there to lose nothing, but the policy of `send_queue` leaves messages out; take `block` or `close`";
            return Err(entry.conflict(problem));
        }
        if schemas.is_some_and(Plans::look_at_outgoing) {
            let problem = "cannot be had together with `schema.out`, which may make another message for each connection";
            return Err(entry.conflict(problem));
        }
        let replay = Arc::new(Replay::new(keep, shown.cloned(), entry.path().to_vec()));
        self.all.push(replay.clone());
        Ok(Some(replay))
    }
}

/// Reads a `replay`: a record, or whether there is one at all.
fn keep(settings: &Settings<'_>, entry: &Entry<'_>, defaults: Keep) -> Result<Option<Keep>, ConfigError> {
    if let Some(is_wanted) = entry.value().as_bool() {
        return Ok(is_wanted.then_some(defaults));
    }
    if entry.value().as_record().is_none() {
        return Err(entry.mismatch("record or bool"));
    }
    let mut reader: Reader<'_> = entry.read()?;
    let keep = Keep {
        messages: reader.or_in("messages", defaults.messages, 1..=MOST_MESSAGES)?,
        bytes: reader.or("bytes", defaults.bytes)?,
        age: match reader.optional("age")? {
            Some(ms) => settings.time("replay.age", ms),
            None => defaults.age,
        },
    };
    if keep.bytes == 0 {
        let problem = "has to be 1 at least, or nothing could be kept; `\"replay\": false` is for that";
        return Err(reader.invalid("bytes", problem));
    }
    reader.finish()?;
    Ok(Some(keep))
}

/// More would only be looked through slowly.
const MOST_MESSAGES: usize = 1_000_000;

/// The name in the query by which clients say what they have had.
const LAST_RECEIVED: &str = "last_received";

/// What a request on a route with `replay` asks for.
///
/// # Errors
/// The answer if that is nothing that could be.
pub(super) fn asked(query: Option<&str>) -> Result<Option<u64>, Reject> {
    let pairs = query.map(query_pairs).unwrap_or_default();
    let mut said = pairs.iter().filter(|(name, _)| name == LAST_RECEIVED).map(|(_, value)| value.as_str());
    let wrong = |reason: String| Reject::new(400, "last_received", format!("`{LAST_RECEIVED}`: {reason}"));
    match (said.next(), said.next()) {
        (_, Some(_)) => Err(wrong("say it once".to_owned())),
        (None, None) => Ok(None),
        (Some(written), None) => last_received(written).map(Some).map_err(|error| wrong(error.to_string())),
    }
}

/// What connections of a route can be like.
#[derive(Clone, Debug)]
pub(super) struct OfRoute {
    routes: Arc<[Route]>,
    /// Which of them are the end of the search, if they match.
    finals: Arc<[bool]>,
    /// Its number; behind the last one: it takes whom no route takes.
    number: usize,
    params: Vec<Vec<String>>,
    /// What is spoken where no route says it.
    protocols: Protocols,
    may_be_known: bool,
}

impl OfRoute {
    pub(super) fn new(
        (routes, finals): (&Arc<[Route]>, &Arc<[bool]>),
        number: usize,
        params: Vec<Vec<String>>,
        protocols: &Protocols,
        may_be_known: bool,
    ) -> Self {
        let (routes, finals, protocols) = (routes.clone(), finals.clone(), protocols.clone());
        Self { routes, finals, number, params, protocols, may_be_known }
    }
}

impl Likeness for OfRoute {
    /// Not if a route before it takes all who come for that path.
    fn may_have_path(&self, path: &str) -> bool {
        let mut before = self.routes.iter().zip(self.finals.iter()).take(self.number);
        self.routes.get(self.number).is_none_or(|own| own.may_take(path))
            && !before.any(|(route, is_final)| *is_final && route.always_takes(path))
    }

    fn params(&self) -> &[Vec<String>] {
        &self.params
    }

    fn may_speak(&self, protocol: Option<&str>) -> bool {
        match (self.routes.get(self.number), protocol) {
            (Some(own), _) => own.may_speak(protocol),
            (None, Some(name)) => self.protocols.speaks(name),
            (None, None) => !self.protocols.required,
        }
    }

    fn may_be_known(&self) -> bool {
        self.may_be_known
    }
}

/// A connection on a route with `replay`.
pub(super) fn joining(
    replay: &Arc<Replay>,
    who: Option<(&str, &str)>,
    last_received: Option<u64>,
) -> Box<Joining> {
    // With the length nobody can be taken for somebody else.
    let person = who.map(|(by, identity)| Person::from(format!("{}:{by}{identity}", by.len())));
    let name = who.map(|(_, identity)| identity.into());
    Box::new(Joining { replay: replay.clone(), person, name, last_received })
}
