//! By which port the events of a connection leave (`spec/websocket.md` 5 and 6).

use super::{
    queues::Queues,
    replay::{OfRoute, Replays},
    settings::{protocols, wire},
};
use crate::ws::{
    fields,
    foreign::finish_in_route,
    guards::{Guards, Visit},
    options::{Settings, Wire},
    schema::{Plans, Schemas},
};
use std::sync::Arc;
use tremor_connector::{
    Environment, Exit, Replay, SendQueue,
    config::{ConfigError, Entry, OneOrMany, Reader},
};
use tremor_value::{Record, Value};
use tremor_ws::guard::Demand;
use tremor_ws::{
    Asked, Condition, NoProtocol, NoText, PatternError, Protocols, Reject, Request, Route, Routes, is_token,
};

/// Said of a list of routes in which there are none.
pub(in crate::ws) const NO_ROUTES: &str =
    "`routes` is an empty list, which says as much as none; leave it out";

/// Ports that are no exits: they have their own use.
const TAKEN: [&str; 4] = ["in", "err", "control", "broadcast"];

/// Where connections go.
pub(super) struct Routing {
    routes: Routes,
    /// Of each route.
    ways: Vec<Way>,
    /// For those that no route takes.
    fallback: Option<Way>,
    /// What is spoken there.
    protocols: Protocols,
    /// A route whose guards refuse does not end the search.
    falls_through: bool,
    no_match: Reject,
}

/// What a connection gets by its route.
pub(super) struct Way {
    /// The port, unless it is `out`.
    pub(super) exit: Option<Arc<str>>,
    pub(super) wire: Wire,
    /// What its messages are like, if that is said.
    pub(super) schemas: Option<Plans>,
    /// What may wait for it, if the route says that.
    pub(super) queue: Option<Box<SendQueue>>,
    /// What is kept of its messages, if anything is.
    pub(super) replay: Option<Arc<Replay>>,
    /// What its metadata says of the route; nothing in a server that has none.
    pub(super) shown: Option<Value>,
    /// What it asks of guards.
    pub(super) demands: Vec<Demand>,
    /// Nobody is told that guards refused it.
    conceals: bool,
}

/// What was decided about a request.
pub(super) struct Chosen<'s, 'r> {
    pub(super) way: &'s Way,
    /// The subprotocol, one of those offered.
    pub(super) protocol: Option<&'r str>,
    /// Parameters of the path.
    pub(super) params: Vec<(String, String)>,
}

/// Who has a say in which routes may be used.
pub(super) trait Admission {
    /// Whether the route of that number, which asks for `demands`, may be used; the answer if not.
    fn admits(&mut self, route: usize, demands: &[Demand])
    -> impl Future<Output = Result<(), Reject>> + Send;
}

impl Admission for Visit<'_> {
    async fn admits(&mut self, _route: usize, demands: &[Demand]) -> Result<(), Reject> {
        Visit::admits(self, demands).await
    }
}

impl Routing {
    /// Finds the way for `request`: the first route that matches and that `admission` lets pass.
    ///
    /// # Errors
    /// The answer if there is none.
    pub(super) async fn decide<'s, 'r>(
        &'s self,
        request: &'r Request,
        admission: &mut impl Admission,
    ) -> Result<Chosen<'s, 'r>, Reject> {
        let asked = Asked::new(
            (request.secure, &request.authority),
            (&request.path, request.query.as_deref()),
            &request.headers,
            &request.protocols,
        );
        let mut refused = None;
        for candidate in self.routes.candidates(&asked) {
            let Some(way) = self.ways.get(candidate.route) else { continue };
            // Whoever may not know of the route does not learn of it by this either.
            let params = match candidate.params {
                Err(NoText) if !way.conceals => return Err(no_text()),
                params => params,
            };
            match admission.admits(candidate.route, &way.demands).await {
                Ok(()) => {
                    let params = params.map_err(|NoText| no_text())?;
                    return Ok(Chosen { way, protocol: candidate.protocol, params });
                }
                // The answer speaks for the first route that matched.
                Err(_) if way.conceals => refused.get_or_insert_with(|| self.no_match.clone()),
                Err(reject) => refused.get_or_insert(reject),
            };
            if !self.falls_through {
                break;
            }
        }
        if let Some(way) = self.fallback.as_ref().filter(|_| refused.is_none() || self.falls_through) {
            let protocol = self.protocols.choose(&request.protocols).map_err(no_protocol)?;
            return Ok(Chosen { way, protocol, params: Vec::new() });
        }
        Err(refused
            .or_else(|| self.routes.unmatched(&asked).map(no_protocol))
            .unwrap_or_else(|| self.no_match.clone()))
    }

    /// Tells what is kept of routes what their connections can be like. `may_be_known`: somebody says who clients are.
    pub(super) fn tell_likenesses(&self, may_be_known: bool) {
        if self.ways.iter().chain(&self.fallback).all(|way| way.replay.is_none()) {
            return;
        }
        let routes: Arc<[Route]> = self.routes.0.as_slice().into();
        let is_final = |way: &Way| way.demands.is_empty() || !self.falls_through;
        let finals: Arc<[bool]> = self.ways.iter().map(is_final).collect();
        for (number, way) in self.ways.iter().enumerate() {
            let own = routes.get(number).map(Route::params).unwrap_or_default();
            let like = OfRoute::new((&routes, &finals), number, own, &self.protocols, may_be_known);
            way.replay.iter().for_each(|replay| replay.tell_likeness(Box::new(like.clone())));
        }
        let number = routes.len();
        for replay in self.fallback.iter().filter_map(|way| way.replay.as_ref()) {
            let own = vec![Vec::new()];
            let like = OfRoute::new((&routes, &finals), number, own, &self.protocols, may_be_known);
            replay.tell_likeness(Box::new(like));
        }
    }

    /// The most bytes that a message of any connection may have; `None` if there is one where it may have any number.
    pub(super) fn max_message(&self) -> Option<usize> {
        let all = self.ways.iter().chain(&self.fallback);
        all.map(|way| way.wire.limits.max_message_bytes)
            .try_fold(0, |most, max| (max > 0).then(|| most.max(max)))
    }

    /// Whether the events of any connection leave by `out`.
    pub(super) fn gives_out(&self) -> bool {
        self.ways.iter().chain(&self.fallback).any(|way| way.exit.as_deref().is_none_or(|exit| exit == "out"))
    }

    /// Whether connections to a path like that of `asked` are taken, as far as guards and subprotocols allow; by a route
    /// that may be told of.
    pub(super) fn leads_on(&self, asked: &Asked<'_>) -> bool {
        self.fallback.is_some() || self.routes.unmatched(asked).is_some()
    }
}

/// Reads `routes`, `exit` and what belongs to them.
pub(super) struct Reading<'s, 'a> {
    pub(super) settings: &'s mut Settings<'a>,
    pub(super) environment: &'a Environment,
    pub(super) guards: &'s Guards,
    /// Of connections whose route says nothing else.
    pub(super) wire: &'s Wire,
    pub(super) queues: Queues,
    pub(super) replays: Replays<'a>,
    pub(super) schemas: &'s mut Schemas,
    pub(super) exits: Vec<Exit>,
}

impl<'a> Reading<'_, 'a> {
    pub(super) fn routing(&mut self) -> Result<Routing, ConfigError> {
        let protocols = protocols(self.settings, &Protocols::default())?;
        let written = self.settings.config.optional::<Vec<Reader<'a>>>("routes")?;
        let has_routes = written.as_ref().is_some_and(|routes| !routes.is_empty());
        if written.is_some() && !has_routes {
            self.settings.warn(NO_ROUTES);
        }
        let (mut routes, mut ways) = (Vec::new(), Vec::new());
        for (number, route) in written.unwrap_or_default().into_iter().enumerate() {
            let (route, way) = self.route(number, route, &protocols)?;
            routes.push(route);
            ways.push(way);
        }
        let fallback = match self.settings.config.entry("exit") {
            Some(entry) => Some(self.last_resort(&entry)?),
            None if has_routes => None,
            None => {
                let (demands, conceals) = (Vec::new(), false);
                let schemas = self.schemas.of_others(&[])?;
                let replay = self.replays.of_others(None, schemas.as_ref(), &self.queues)?;
                Some(Way {
                    exit: None,
                    wire: *self.wire,
                    schemas,
                    queue: None,
                    replay,
                    shown: None,
                    demands,
                    conceals,
                })
            }
        };
        let names_one = routes.iter().any(|route| route.names_protocols());
        if protocols.required && protocols.list.is_empty() && !names_one {
            let problem = "needs `subprotocols`, or nobody could connect";
            return Err(self.settings.conflict("require_websocket_subprotocol", problem));
        }
        let no_match = self.no_match()?;
        let falls_through = self.settings.config.or("guard_fallthrough", true)?;
        let meets_nobody = fallback.is_some() && (falls_through || ways.iter().all(|way| !way.conceals));
        if meets_nobody && self.settings.config.members().get("no_match").is_some_and(|said| !said.is_null())
        {
            let problem = match has_routes {
                true => "has no effect: `exit` takes what no route does",
                false => "has no meaning without `routes`: every request is taken",
            };
            return Err(self.settings.config.conflict("no_match", problem));
        }
        self.tell_of_guards(&ways, fallback.is_some() && falls_through);
        self.tell_of_order(&routes, &ways, (falls_through, fallback.is_some()));
        if protocols.prefers_own && protocols.list.is_empty() && routes.iter().all(speaks_nothing) {
            self.settings.warn("`subprotocol_preference` has no effect without `subprotocols`");
        }
        Ok(Routing { routes: Routes(routes), ways, fallback, protocols, falls_through, no_match })
    }

    /// Guards that nobody asks protect nothing, and neither do those behind whom an open way begins.
    fn tell_of_guards(&self, ways: &[Way], ends_open: bool) {
        for name in self.guards.unused(ways.iter().flat_map(|way| &way.demands)) {
            self.settings.warn(&format!("no route is guarded by `{name}`: it protects nothing"));
        }
        for (number, way) in ways.iter().enumerate() {
            for problem in way.demands.iter().filter_map(|demand| self.guards.unmet(demand)) {
                self.settings.warn(&format!("`routes[{number}].guarded` lets nobody in: {problem}"));
            }
        }
        let is_by_cookie =
            |way: &Way| way.demands.iter().any(|demand| self.guards.goes_by_cookies(demand.guard));
        if ways.iter().any(is_by_cookie) && ways.iter().all(|way| way.demands.is_empty() || is_by_cookie(way))
        {
            self.settings.warn(
                "a guard `cookie` knows whom other guards have let in, and no route is guarded by those alone: nobody can ever \
                 pass it",
            );
        }
        if ends_open && ways.iter().any(|way| !way.demands.is_empty()) {
            self.settings.warn(
                "whoever is refused by the guards of a route goes by `exit` unguarded; set `guard_fallthrough` to false if that \
                 is not meant",
            );
        }
    }

    /// Behind a route that takes all nothing is reached, and behind another one nothing that it takes, too.
    fn tell_of_order(&self, routes: &[Route], ways: &[Way], (falls_through, has_exit): (bool, bool)) {
        let is_final = |way: &Way| way.demands.is_empty() || !falls_through;
        let takes_all = |(route, way): (&Route, &Way)| route.matches_all() && is_final(way);
        let first = routes.iter().zip(ways).position(takes_all);
        for (number, route) in routes.iter().enumerate().take(first.map_or(routes.len(), |first| first + 1)) {
            let mut earlier = routes.iter().zip(ways).take(number);
            if let Some(wider) = earlier.position(|(wider, way)| is_final(way) && wider.covers(route)) {
                self.settings.warn(&format!(
                    "`routes[{number}]` is never reached: `routes[{wider}]` takes all that it would take"
                ));
            }
        }
        let Some(first) = first else { return };
        let unreached = match routes.len() > first + 1 {
            true => "the routes behind it are",
            false if has_exit => "`exit` is",
            false => return,
        };
        self.settings.warn(&format!("`routes[{first}]` takes all who come: {unreached} never reached"));
    }

    fn last_resort(&mut self, entry: &Entry<'_>) -> Result<Way, ConfigError> {
        let exit = self.exit(entry)?;
        let shown = Value::from(Record::from_iter([("exit", Value::from(exit.as_ref()))]));
        let (demands, conceals) = (Vec::new(), false);
        let schemas = self.schemas.of_others(&[])?;
        Ok(Way {
            exit: Some(exit),
            wire: *self.wire,
            replay: self.replays.of_others(Some(&shown), schemas.as_ref(), &self.queues)?,
            schemas,
            queue: None,
            shown: Some(shown),
            demands,
            conceals,
        })
    }

    fn route(
        &mut self,
        number: usize,
        mut config: Reader<'a>,
        protocols: &Protocols,
    ) -> Result<(Route, Way), ConfigError> {
        let Some(entry) = config.entry("exit") else {
            let missing = config.missing("exit", "the name of the port by which the events leave");
            return Err(ConfigError { word: Some("out".into()), ..missing });
        };
        let exit = self.exit(&entry)?;
        let paths = paths(config.members());
        let when = config.optional::<OneOrMany<Reader<'_>>>("when")?.map_or_else(Vec::new, |when| when.0);
        let when = conditions(when, self.settings)?;
        let mut route = Route { when, protocols: protocols.clone(), conceals: false };
        let index = u64::try_from(number).unwrap_or(u64::MAX);
        let shown = Record::from_iter([("index", Value::from(index)), ("exit", Value::from(exit.as_ref()))]);
        let shown = Value::from(shown);
        let (mut own_wire, mut queue, mut replay) = (*self.wire, None, None);
        let mut schemas = None;
        let options = config.record("options")?;
        if options.is_none() {
            schemas = self.schemas.of_route(None, &paths)?;
            replay = self.replays.of_others(Some(&shown), schemas.as_ref(), &self.queues)?;
        }
        if let Some(options) = options {
            let mut options = Settings::alone(options, self.environment);
            schemas = self.schemas.of_route(Some(&mut options), &paths)?;
            own_wire = wire(&mut options, self.wire)?;
            queue = self.queues.of_route(&mut options)?;
            let bounds = queue.as_deref().unwrap_or(&self.queues.of_all);
            replay = self.replays.of_route(&mut options, &shown, (schemas.as_ref(), bounds))?;
            route.protocols = super::settings::protocols(&mut options, protocols)?;
            finish_in_route(options, fields::SERVER)?;
        }
        let demands = match config.record("guarded")? {
            Some(guarded) => self.guards.demands(&guarded)?,
            None => Vec::new(),
        };
        let conceals = config.or("conceal", false)?;
        if demands.is_empty() && config.members().get("guarded").is_some_and(|said| !said.is_null()) {
            self.settings
                .warn(&format!("{}.guarded: names no guard, so everybody is let in", config.path_text()));
        }
        if conceals && demands.is_empty() {
            return Err(config.conflict("conceal", "has no meaning for a route that is not `guarded`"));
        }
        route.conceals = conceals;
        config.finish()?;
        let way = Way {
            exit: Some(exit),
            wire: own_wire,
            schemas,
            queue,
            replay,
            shown: Some(shown),
            demands,
            conceals,
        };
        Ok((route, way))
    }

    fn exit(&mut self, entry: &Entry<'_>) -> Result<Arc<str>, ConfigError> {
        exit(entry, &mut self.exits)
    }

    /// `no_match`: what is said where no route matches.
    fn no_match(&mut self) -> Result<Reject, ConfigError> {
        let usual = "there is nothing here";
        let Some(mut config) = self.settings.config.record("no_match")? else {
            return Ok(Reject::new(404, "no_route", usual));
        };
        let status = config.or_in("status", 404, 400..=499)?;
        let body: Option<String> = config.optional("body")?;
        if body.as_ref().is_some_and(|body| body.chars().any(char::is_control)) {
            return Err(config.invalid("body", "is one line, without control characters"));
        }
        config.finish()?;
        Ok(Reject::new(status, "no_route", body.unwrap_or_else(|| usual.to_owned())))
    }
}

fn speaks_nothing(route: &Route) -> bool {
    route.protocols.list.is_empty()
}

/// The patterns of paths that lead to a route; none if any path may.
pub(in crate::ws) fn paths(route: &Record) -> Vec<&str> {
    let when = route.get("when");
    let conditions = when.map_or(&[][..], |when| when.as_array().unwrap_or(std::slice::from_ref(when)));
    let paths = conditions.iter().map(|condition| condition.get("path").and_then(Value::as_str));
    paths.collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// The port that `entry` names, which is among `exits` then unless it is `out`. Names that differ in case only are of one
/// port, so metadata could not say both: they are refused.
pub(in crate::ws) fn exit(entry: &Entry<'_>, exits: &mut Vec<Exit>) -> Result<Arc<str>, ConfigError> {
    let name = port_name(entry)?;
    let known = exits.iter().map(|exit| exit.name.as_str()).chain(["out"]);
    let known = known.into_iter().find(|known| name.eq_ignore_ascii_case(known));
    match known {
        Some(known) if known == name => return Ok(known.into()),
        Some(known) => {
            let problem =
                format!("differs from `{known}` in case only, which is the same port; write it like that");
            return Err(entry.conflict(problem));
        }
        None => {}
    }
    exits.push(Exit { name: name.to_owned(), at: entry.path().to_vec(), unlinked: None });
    Ok(name.into())
}

/// The name in `entry`, which can be one of a port.
pub(in crate::ws) fn port_name<'a>(entry: &Entry<'a>) -> Result<&'a str, ConfigError> {
    let name: &str = entry.read()?;
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if TAKEN.into_iter().any(is) {
        return Err(entry.invalid(format!("`{name}` can not be an exit: that port has its own use")));
    }
    let fits = |letter: char| letter == '_' || letter.is_alphanumeric();
    if !name.chars().all(fits) || !name.starts_with(|first: char| !first.is_numeric()) {
        let problem = format!(
            "`{name}` is no name of a port: they are letters, digits and `_`, and begin with no digit"
        );
        return Err(entry.invalid(problem));
    }
    Ok(name)
}

/// Reads the conditions under `when`, and tells of those that are hardly meant.
pub(in crate::ws) fn conditions(
    when: Vec<Reader<'_>>,
    settings: &Settings<'_>,
) -> Result<Vec<Condition>, ConfigError> {
    for config in &when {
        let path = config.members().get("path").and_then(Value::as_str);
        if let Some(name) = path.and_then(named_by_colon) {
            settings.warn(&format!(
                "{}.path: `:{name}` stands for itself; a segment that may be anything is written `{{{name}}}`",
                config.path_text()
            ));
        }
    }
    when.into_iter().map(condition).collect()
}

/// The name of the first segment of `path` that is written as others write parameters.
fn named_by_colon(path: &str) -> Option<&str> {
    let is_name = |name: &&str| {
        name.starts_with(|first: char| first.is_alphabetic())
            && name.chars().all(|letter| letter == '_' || letter.is_alphanumeric())
    };
    let path = path.split('?').next()?;
    path.split('/').filter_map(|segment| segment.strip_prefix(':')).find(is_name)
}

fn condition(mut config: Reader<'_>) -> Result<Condition, ConfigError> {
    let mut condition = Condition::default();
    let fields: [(&'static str, Setter); 4] = [
        ("protocol", Condition::set_protocol),
        ("scheme", Condition::set_scheme),
        ("authority", Condition::set_authority),
        ("path", Condition::set_path),
    ];
    for (key, set) in fields {
        if let Some(entry) = config.entry(key) {
            set(&mut condition, entry.read()?).map_err(|error| entry.invalid(error.to_string()))?;
        }
    }
    for (name, pattern) in named(&mut config, "query")? {
        condition.add_query(&name, &pattern);
    }
    for (name, pattern) in named(&mut config, "headers")? {
        if !is_token(name.as_bytes()) {
            return Err(config.invalid("headers", format!("`{name}` is no name of a header")));
        }
        condition.add_header(&name, &pattern);
    }
    config.finish()?;
    Ok(condition)
}

type Setter = fn(&mut Condition, &str) -> Result<(), PatternError>;

/// The patterns in the record of `key`, by name.
fn named(config: &mut Reader<'_>, key: &'static str) -> Result<Vec<(String, String)>, ConfigError> {
    let Some(reader) = config.record(key)? else { return Ok(Vec::new()) };
    let pair = |(name, value): (&tremor_value::Str, &Value)| match value.as_str() {
        Some(pattern) => Ok((name.to_string(), pattern.to_owned())),
        None => Err(reader.invalid(name, format!("expected string but got {}", value.type_name()))),
    };
    reader.members().iter().map(pair).collect()
}

/// The answer where a parameter of the path is no text. It is a matter of the target, as other escapes that mean nothing.
fn no_text() -> Reject {
    Reject::new(400, "target", "the request target has a part that is no text")
}

fn no_protocol(none: NoProtocol) -> Reject {
    let accepted = none.accepted.join(", ");
    Reject::new(400, "subprotocol", format!("a subprotocol is needed: {accepted}"))
}

#[cfg(test)]
mod tests;
