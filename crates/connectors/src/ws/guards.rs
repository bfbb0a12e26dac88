//! Guards of a server: their settings, and their say in an opening handshake (`spec/websocket.md` 7).

mod followed;
mod jwt;
mod keys;
mod kinds;
mod places;
mod renew;
mod stay;
mod turns;
mod visit;

pub(super) use kinds::{all_tls, asks_for_certificates, listed};
#[cfg(test)]
pub(super) use stay::tests::closing_at;
pub(super) use stay::{Described, Stay};
pub(super) use visit::{AsksFlow, Brought, FromFlow, Visit, describe};

use super::{
    foreign::refuse_beside_options,
    options::Settings,
    server::{admission::Counted, routing::port_name},
};
use followed::Followed;
use keys::Keys;
use stay::Terms;
use std::{collections::BTreeMap, net::IpAddr, num::NonZero, sync::Arc, time::Duration};
use tremor_connector::{
    config::{ConfigError, Entry, Key, OneOrMany, Reader, nearest},
    tls::{AlternativeName, PeerCertificate},
};
use tremor_value::{Record, Str, Value};
use tremor_ws::guard::{Certificate, Demand, Guard, Json, Kind, Places, Session, Users, Vouching, Wanted};
use turns::Turns;

/// What is said of sessions, which only guards give.
const OF_SESSIONS: [&str; 3] = ["on_expiry", "expiry_close", "share_session"];

/// What is said of those that came of a token.
const OF_TOKENS: [&str; 3] = ["renew", "revalidate", "challenge_message"];

const WITHOUT_GUARDS: &str = "has no meaning without `guards`";

/// All guards of a server.
pub(super) struct Guards {
    guards: Vec<Guard>,
    /// Of those that have some, by the place of the guard.
    keys: Vec<Option<Keys>>,
    /// Files of users, by the place of the guard that goes by them.
    users: Vec<(usize, Followed<Users>)>,
    /// By which ports the flow is asked, by the place of the guard that does.
    questions: Vec<(usize, Question)>,
    /// Where secrets may be, for all guards together.
    secrets: Places,
    /// The status for credentials that are no good.
    invalid_status: u16,
    /// Who may compare what is slow by intention.
    turns: Arc<Turns>,
    /// Logins that run or wait for that, by the address that they come from.
    logins: Option<Arc<Counted<IpAddr>>>,
    /// Until when connections stay.
    terms: Arc<Terms>,
    /// Guards that vouch for roles and say nothing of who somebody is, by their place.
    nameless: Vec<usize>,
}

impl Guards {
    /// Reads `guards`, `credentials` and `invalid_credentials_status`.
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let common = settings.config.record("credentials")?.map(places::read).transpose()?;
        let invalid_status = settings.config.or_in("invalid_credentials_status", 401, 400..=499)?;
        let mut all = Self {
            guards: Vec::new(),
            keys: Vec::new(),
            users: Vec::new(),
            questions: Vec::new(),
            secrets: common.clone().unwrap_or_default(),
            invalid_status,
            turns: Turns::new(comparisons_at_once()),
            logins: Counted::at_most(LOGINS_AT_ONCE),
            terms: Arc::new(Terms::read(settings)?),
            nameless: Vec::new(),
        };
        let guards = settings.config.record("guards")?;
        if common.is_some() && guards.as_ref().is_none_or(|guards| guards.members().is_empty()) {
            return Err(settings.config.conflict("credentials", WITHOUT_GUARDS));
        }
        let Some(guards) = guards else {
            all.are_of_use(&settings.config)?;
            return Ok(all);
        };
        for (name, entry) in guards.entries() {
            let (guard, own) = read_guard(name, &entry, common.as_ref(), settings)?;
            all.secrets.extend(&guard.places);
            all.questions.extend(own.question.map(|question| (all.guards.len(), question)));
            all.users.extend(own.users.map(|users| (all.guards.len(), users)));
            all.nameless.extend((!own.gives_identity).then_some(all.guards.len()));
            all.guards.push(guard);
            all.keys.push(own.keys);
        }
        if all.is_empty() {
            settings.warn(
                "`guards` has none in it, so nobody is asked who they are; leave it out if that is meant",
            );
        }
        all.are_of_use(&settings.config)?;
        Ok(all)
    }

    /// Refuses settings that no guard here makes use of.
    fn are_of_use(&self, config: &Reader<'_>) -> Result<(), ConfigError> {
        let is_said = |key: &&&str| config.members().get(key).is_some_and(|value| !value.is_null());
        let refuse = |keys: &[&str], problem: &str| match keys.iter().find(is_said) {
            Some(key) => Err(config.conflict(key, problem)),
            None => Ok(()),
        };
        if self.is_empty() {
            refuse(&OF_SESSIONS, WITHOUT_GUARDS)?;
            refuse(&OF_TOKENS, WITHOUT_GUARDS)?;
            return refuse(&["invalid_credentials_status", "guard_fallthrough"], WITHOUT_GUARDS);
        }
        let tokens = self.guards.iter().filter_map(|guard| match &guard.kind {
            Kind::Jwt(options) => Some(options),
            _ => None,
        });
        if tokens.clone().next().is_none() {
            refuse(&OF_TOKENS, "has no meaning without a guard of type `jwt`")?;
        }
        if !tokens.clone().any(|options| options.challenge_ms.is_some()) {
            let problem = "is never sent: no guard of type `jwt` has `challenge`";
            refuse(&["challenge_message"], problem)?;
        }
        if !self.have_ends() {
            refuse(&OF_SESSIONS, "has no meaning without a guard of type `jwt` or `tls`: no session ends")?;
        }
        Ok(())
    }

    /// Reads `guarded` of a route: guards with the roles that they have to vouch for.
    pub(super) fn demands(&self, guarded: &Reader<'_>) -> Result<Vec<Demand>, ConfigError> {
        let mut demands = Vec::new();
        for (name, entry) in guarded.entries() {
            let Some(guard) = self.guards.iter().position(|guard| *guard.name == **name) else {
                let known: Vec<_> = self.guards.iter().map(|guard| format!("`{}`", guard.name)).collect();
                return Err(entry.conflict(match known.is_empty() {
                    true => "names a guard, but there are no `guards`".to_owned(),
                    false => format!("is none of the guards, which are {}", known.join(", ")),
                }));
            };
            let OneOrMany(roles) = entry.read()?;
            demands.push(Demand { guard, roles });
        }
        Ok(demands)
    }

    /// Why nobody can ever meet `demand`, if that is known.
    pub(super) fn unmet(&self, demand: &Demand) -> Option<String> {
        let guard = self.guards.get(demand.guard)?;
        let known = guard.kind.known_roles()?;
        let has = |roles: &Vec<String>, role: &String| roles.contains(role);
        if known.iter().any(|roles| demand.roles.iter().all(|role| has(roles, role))) {
            return None;
        }
        let name = &guard.name;
        let Some(role) = demand.roles.iter().find(|role| !known.iter().any(|roles| has(roles, role))) else {
            return Some(format!("nobody whom the guard `{name}` knows has all of these roles"));
        };
        let all = known.iter().flat_map(|roles| roles.iter().map(String::as_str));
        let meant = nearest(role, all).map(|near| format!("; did you mean `{near}`?"));
        let meant = meant.unwrap_or_default();
        Some(format!("nobody whom the guard `{name}` knows has the role `{role}`{meant}"))
    }

    /// The names of the guards that no demand is about.
    pub(super) fn unused<'g>(&'g self, demands: impl Iterator<Item = &'g Demand>) -> Vec<&'g str> {
        let asked: Vec<usize> = demands.map(|demand| demand.guard).collect();
        let unused = self.guards.iter().enumerate().filter(|(place, _)| !asked.contains(place));
        unused.map(|(_, guard)| &*guard.name).collect()
    }

    /// The ports by which guards ask the flow, by the place of the guard.
    pub(super) fn questions(&self) -> &[(usize, Question)] {
        &self.questions
    }

    /// The name of a guard.
    pub(super) fn name(&self, guard: usize) -> Option<&str> {
        self.guards.get(guard).map(|guard| &*guard.name)
    }

    /// Whether a guard goes by what another one has said before.
    pub(super) fn goes_by_cookies(&self, guard: usize) -> bool {
        self.guards.get(guard).is_some_and(|guard| matches!(guard.kind, Kind::Cookie))
    }

    /// Those of the sessions of a route with these demands that came of something else than a bound cookie.
    pub(super) fn proven<'s>(&self, demands: &[Demand], sessions: &[&'s Session]) -> Vec<&'s Session> {
        let pairs = demands.iter().zip(sessions);
        pairs.filter(|(demand, _)| !self.goes_by_cookies(demand.guard)).map(|(_, session)| *session).collect()
    }

    /// Headers that hold what extends sessions, and whether a browser adds some of that on its own.
    pub(super) fn renewing_headers(&self) -> (Vec<&str>, bool) {
        let (mut names, mut is_added): (Vec<&str>, _) = (Vec::new(), false);
        for guard in self.guards.iter().filter(|guard| guard.kind.has_ends()) {
            is_added |= matches!(guard.kind, Kind::Certificates(_)) || !guard.places.cookies.is_empty();
            for (name, _) in &guard.places.headers {
                if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                    names.push(name);
                }
            }
        }
        (names, is_added)
    }

    /// Where secrets may be: nobody else is shown what is there.
    pub(super) fn secrets(&self) -> &Places {
        &self.secrets
    }

    /// Whether any guard looks at certificates of clients.
    pub(super) fn look_at_certificates(&self) -> bool {
        self.guards.iter().any(|guard| matches!(guard.kind, Kind::Certificates(_)))
    }

    /// Whether any guard gives sessions that end.
    pub(super) fn have_ends(&self) -> bool {
        self.guards.iter().any(|guard| guard.kind.has_ends())
    }

    /// Whether the keys of a guard are known, and this one is none of them, be there another of its name. Keys that cannot be
    /// had at the moment are not lost.
    fn has_lost(&self, vouching: &Vouching) -> bool {
        let mut guards = self.guards.iter().zip(&self.keys);
        let keys = guards.find(|(guard, _)| guard.name == vouching.guard).and_then(|(_, keys)| keys.as_ref());
        let keys = keys.and_then(Keys::current);
        keys.is_some_and(|keys| !keys.keys().iter().any(|key| key.is(&vouching.key)))
    }

    /// Whether a session is of somebody whom the file of a guard no longer has.
    fn is_of_nobody(&self, session: &Session) -> bool {
        let is_its_guard = |(guard, _): &&(usize, _)| self.name(*guard) == Some(&*session.guard);
        let users = self.users.iter().find(is_its_guard).map(|(_, users)| users.latest().get());
        users.zip(session.identity.as_ref()).is_some_and(|(users, name)| !users.has(name))
    }

    /// Those of the sessions that a cookie stands for which still count: not those of users who were removed, and with
    /// `revalidate` not those whose key was withdrawn.
    pub(super) fn counting(&self, mut bound: Vec<Session>) -> Vec<Session> {
        bound.retain(|session| !self.is_of_nobody(session));
        if self.terms.revalidates() {
            bound.retain(|session| !session.keys.iter().any(|vouching| self.has_lost(vouching)));
        }
        bound
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// Begins to load what comes from elsewhere. To be called when connections may come; again has no effect.
    pub(super) fn start(&self, alias: &str) {
        for (guard, keys) in self.guards.iter().zip(&self.keys) {
            if let Some(keys) = keys {
                keys.start(format!("[Connector::{alias}] the keys of guard `{}`", guard.name));
            }
        }
        for (guard, users) in &self.users {
            let name = self.name(*guard).unwrap_or_default();
            users.start(format!("[Connector::{alias}] the users of guard `{name}`"));
        }
    }
}

/// How many logins of one address may wait at once for a slow comparison. They take turns with those of others, and whoever
/// begins many and goes away does not give up their turns: without a bound nobody else would get one in time.
const LOGINS_AT_ONCE: usize = 8;

/// Half of the processors: what is slow by intention shall not slow down everybody else.
fn comparisons_at_once() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).div_ceil(2)
}

/// What some guards have besides.
struct Own {
    keys: Option<Keys>,
    users: Option<Followed<Users>>,
    question: Option<Question>,
    gives_identity: bool,
}

/// How the flow is asked.
pub(super) struct Question {
    /// By which port.
    pub(super) port: String,
    /// Where that is written.
    pub(super) at: Vec<Key>,
    /// How long the flow may take to answer.
    pub(super) limit: Duration,
    /// The key of that.
    timeout: String,
}

impl Question {
    /// Reads `port` and `timeout`.
    pub(super) fn read(config: &mut Reader<'_>) -> Result<Self, ConfigError> {
        let Some(entry) = config.entry("port") else {
            return Err(config.missing("port", "the name of the port by which the flow is asked"));
        };
        let (port, at) = (port_name(&entry)?.to_owned(), entry.path().to_vec());
        let limit = Duration::from_millis(config.or_in("timeout", 1000, 1..=600_000)?);
        let timeout = format!("{}.timeout", config.path_text());
        Ok(Self { port, at, limit, timeout })
    }

    /// Tells if a handshake, which has as long as `open_handshake` says, ends before the flow may be late.
    pub(super) fn tell_of_limit(&self, open_handshake: Option<Duration>, settings: &Settings<'_>) {
        let Some(whole) = open_handshake.filter(|whole| *whole < self.limit) else { return };
        let (timeout, limit, whole) = (&self.timeout, self.limit.as_millis(), whole.as_millis());
        settings.warn(&format!(
            "{timeout}: is {limit} ms, but a handshake as a whole has {whole} ms (`open_handshake_timeout`)"
        ));
    }
}

fn read_guard(
    name: &str,
    entry: &Entry<'_>,
    common: Option<&Places>,
    settings: &Settings<'_>,
) -> Result<(Guard, Own), ConfigError> {
    if name.is_empty() {
        return Err(entry.invalid("a guard needs a name"));
    }
    let mut config: Reader<'_> = entry.read()?;
    let read: kinds::Read = config.required_word("type", kinds::ALL)?;
    let kind: &str = config.required("type")?;
    refuse_beside_options(&config, kind)?;
    let own = config.record("credentials")?.map(places::read).transpose()?;
    let mut made = match config.record("options")? {
        Some(options) => read(options, settings)?,
        None => {
            let none = Record::default().into();
            let options = Reader::new(&none, "options")?;
            // What is missing is missing in `options`, which is missing itself.
            let is_here = |error: &ConfigError| matches!(error.path.first(), Some(Key::Field(name)) if name == "options");
            match read(options, settings) {
                Ok(made) => made,
                Err(error) if is_here(&error) => {
                    config.know("gives_identity");
                    let path = config.path().iter().cloned().chain(error.path).collect();
                    return Err(kinds::instead_of(ConfigError { path, ..error }, config));
                }
                Err(error) => return Err(error),
            }
        }
    };
    let places = match (&own, common, made.wanted) {
        (_, _, None) => Places::default(),
        (Some(places), _, Some(_)) | (None, Some(places), Some(_)) => places.clone(),
        (None, None, Some(wanted)) => Places::authorization(wanted),
    };
    if let Some(wanted) = made.wanted.filter(|wanted| !places.can_hold(*wanted)) {
        let needed = match wanted {
            Wanted::Token => "a place with `{credentials}`",
            Wanted::Login => "a header with `Basic {username}:{password}`",
        };
        let problem = format!("the guard `{name}` needs {needed}, and `credentials` has none");
        return Err(match own {
            Some(_) => config.conflict("credentials", problem),
            None => settings.config.conflict("credentials", problem),
        });
    }
    if own.is_some() && made.wanted.is_none() {
        return Err(config.conflict("credentials", "have no meaning for a guard of this type"));
    }
    let gives_identity = config.or("gives_identity", true)?;
    if !gives_identity && matches!(made.kind, Kind::Cookie | Kind::Flow) {
        let problem = match made.kind {
            Kind::Cookie => {
                "has no meaning for a guard `cookie`, which goes by who it is that a cookie stands for"
            }
            _ => "has no meaning for a guard `flow`: the answer names nobody without `identity`",
        };
        return Err(config.conflict("gives_identity", problem));
    }
    config.finish()?;
    let realm = made.realm.take().unwrap_or_else(|| name.to_owned());
    let own = Own { keys: made.keys, users: made.users, question: made.question, gives_identity };
    Ok((Guard { name: name.into(), realm, places, kind: made.kind }, own))
}

/// A certificate as guards look at it.
pub(super) fn guard_certificate(shown: &PeerCertificate) -> Certificate {
    let mut certificate = Certificate {
        subject: shown.subject.clone(),
        sha256: Some(shown.sha256()),
        sha1: Some(shown.sha1()),
        not_after_ms: u64::try_from(shown.not_after_s).ok().map(|end| end.saturating_mul(1000)),
        ..Certificate::default()
    };
    for name in &shown.alternative_names {
        match name {
            AlternativeName::Dns(name) => certificate.hosts.push(name.clone()),
            AlternativeName::Ip(_) => {}
            AlternativeName::Uri(uri) => certificate.uris.push(uri.clone()),
            AlternativeName::Email(address) => certificate.emails.push(address.clone()),
        }
    }
    certificate
}

/// A value as tokens and keys hold them.
pub(super) fn to_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::I64(number) => Json::Int(*number),
        Value::U64(number) => i64::try_from(*number).map_or(Json::Large(*number), Json::Int),
        Value::F64(number) => Json::Float(*number),
        Value::String(text) => Json::Text(text.to_string()),
        Value::Bytes(_) => return None,
        Value::Array(items) => Json::List(items.iter().map(to_json).collect::<Option<_>>()?),
        Value::Record(record) => {
            let member = |(key, value): (&Str, &Value)| Some((key.to_string(), to_json(value)?));
            let members: Option<BTreeMap<_, _>> = record.iter().map(member).collect();
            Json::Object(members?)
        }
    })
}

/// What a claim holds, as events have it.
fn to_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::from(*value),
        Json::Int(number) => Value::from(*number),
        Json::Large(number) => Value::from(*number),
        Json::Float(number) => Value::from(*number),
        Json::Text(text) => Value::from(text.as_str()),
        Json::List(items) => Value::from(items.iter().map(to_value).collect::<Vec<_>>()),
        Json::Object(members) => {
            let members = members.iter().map(|(key, value)| (key.as_str(), to_value(value)));
            Record::from_iter(members).into()
        }
    }
}
