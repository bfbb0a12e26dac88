//! The flow decides who is let in (`spec/websocket.md` 7.7).

use super::SPEC;
use crate::ws::{
    Metadata,
    guards::{Described, Guards, Question, to_json},
    header_list,
    options::Settings,
};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};
use tremor_connector::{
    Announcer, Command, Exit, Told,
    config::{ConfigError, Problem, Reader},
};
use tremor_event::OriginUri;
use tremor_value::{Record, Value, sentence, shown};
use tremor_ws::{
    ExtraHeaders, Reject,
    guard::{FLOW_SCHEME, Session},
};

/// What a client is told to wait where the flow does not answer.
const RETRY_AFTER_S: u64 = 5;

/// Asks the flow about handshakes.
pub(super) struct Doorman {
    /// `authorize`: about each of them.
    all: Option<Question>,
    waiting: Arc<Waiting>,
    /// Whoever asks something: guards, and [`OF_ALL`].
    askers: Arc<[Arc<str>]>,
    announcer: OnceLock<Announcer>,
}

/// Who asks by `authorize`: the name of no guard.
const OF_ALL: &str = "";

/// Handshakes that wait for an answer, by the id of what may become a connection. Each asks one thing at a time.
#[derive(Default)]
struct Waiting(Mutex<HashMap<u64, Waits>>);

/// One of them.
struct Waits {
    /// Who asks: a guard, or [`OF_ALL`].
    asker: Arc<str>,
    answer: oneshot::Sender<Answer>,
}

/// What the flow says.
pub(super) type Answer = Result<Granted, Reject>;

/// What the flow knows of one who is let in.
#[derive(Debug, Default)]
pub(super) struct Granted {
    pub(super) identity: Option<String>,
    /// `identity`, `roles` and `attributes`, as far as given.
    known: Record,
    /// More headers of the 101.
    pub(super) headers: ExtraHeaders,
}

/// A handshake that the flow is asked about.
pub(super) struct Handshake<'a> {
    pub(super) question: &'a Question,
    /// The one that asks, if it is not asked about everybody.
    pub(super) guard: Option<&'a Arc<str>>,
    pub(super) conn: u64,
    pub(super) method: &'static str,
    /// What is told of it.
    pub(super) metadata: &'a Metadata,
    pub(super) origin: OriginUri,
}

impl Doorman {
    /// Reads `authorize`; its port joins `exits`, and so do those of `guards`.
    pub(super) fn read(
        settings: &mut Settings<'_>,
        guards: &Guards,
        exits: &mut Vec<Exit>,
        open_handshake: Option<Duration>,
    ) -> Result<Option<Self>, ConfigError> {
        let mut all = None;
        if let Some(mut config) = settings.config.record("authorize")? {
            all = Some(Question::read(&mut config)?);
            config.finish()?;
        }
        let of_guards = guards.questions().iter().map(|(guard, question)| (guards.name(*guard), question));
        let questions: Vec<(Option<&str>, &Question)> =
            all.iter().map(|question| (None, question)).chain(of_guards).collect();
        let is_taken = |exits: &[Exit], port: &str| {
            port.eq_ignore_ascii_case("out") || exits.iter().any(|exit| exit.name.eq_ignore_ascii_case(port))
        };
        let of_connections = exits.clone();
        for (guard, question) in &questions {
            question.tell_of_limit(open_handshake, settings);
            let Question { port, at, limit, .. } = question;
            if is_taken(&of_connections, port) {
                let problem = format!("by `{port}` events of connections leave; take another name");
                return Err(ConfigError { path: at.clone(), problem: Problem::Invalid(problem), word: None });
            }
            let same = exits.iter().find(|exit| exit.name.eq_ignore_ascii_case(port));
            if let Some(other) = same.filter(|other| other.name != *port) {
                let problem = format!("differs from `{}` in case only; write both alike", other.name);
                return Err(ConfigError { path: at.clone(), problem: Problem::Invalid(problem), word: None });
            }
            if !exits.iter().any(|exit| exit.name == *port) {
                let nobody = match guard {
                    None => "nobody is ever let in".to_owned(),
                    Some(guard) => format!("nobody ever passes the guard `{guard}`"),
                };
                let unlinked = Some(format!(
                    "the flow is never asked, so {nobody} (each is answered 503 after {} ms)",
                    limit.as_millis()
                ));
                exits.push(Exit { name: port.clone(), at: at.clone(), unlinked });
            }
        }
        let askers: Arc<[Arc<str>]> =
            questions.iter().map(|(guard, _)| guard.unwrap_or(OF_ALL).into()).collect();
        let is_asked = !askers.is_empty();
        Ok(is_asked.then(|| Self { all, waiting: Arc::default(), askers, announcer: OnceLock::new() }))
    }

    /// What is asked about each handshake, if anything is.
    pub(super) fn about_all(&self) -> Option<&Question> {
        self.all.as_ref()
    }

    /// From now on there is somebody to ask.
    pub(super) fn begin(&self, announcer: Announcer) {
        let _the_same_as_before = self.announcer.set(announcer);
    }

    /// What takes the answers of the flow.
    pub(super) fn command(&self) -> Command {
        let (waiting, askers) = (self.waiting.clone(), self.askers.clone());
        let handle = move |record: &Record, _: &tremor_connector::Connections<'_>| {
            let conn =
                record.get("conn").and_then(Value::as_u64).ok_or("a command `authorize` needs `conn`")?;
            let asker = asker(record, &askers)?;
            let answer = answer(record)?;
            let asked = waiting.take(conn, asker)?;
            asked.answer.send(answer).map_err(|_| format!("the handshake {conn} does not wait any more"))
        };
        Command { kind: "authorize", members: &ANSWER, handle: Box::new(handle) }
    }

    /// Asks about a handshake.
    ///
    /// # Errors
    /// The answer if the flow says no; `None` if it says nothing in time.
    pub(super) async fn ask(
        &self,
        Handshake { question, guard, conn, method, metadata, origin }: Handshake<'_>,
    ) -> Option<Answer> {
        let meta = metadata.text();
        let mut record = meta.get(SPEC.name).and_then(Value::as_record).cloned().unwrap_or_default();
        record.insert("kind", "authorize");
        record.insert("method", method);
        let asker = guard.cloned().unwrap_or_else(|| OF_ALL.into());
        record.insert("guard", &*asker);
        let (answer, answered) = oneshot::channel();
        self.waiting.all().insert(conn, Waits { asker, answer });
        let _place = Place { waiting: &self.waiting, conn };
        let told = Told { record: record.into(), meta, origin: Arc::new(origin) };
        let asked = async {
            if let Some(announcer) = self.announcer.get() {
                announcer.tell(&question.port, told).await;
            }
            answered.await
        };
        timeout(question.limit, asked).await.ok()?.ok()
    }
}

/// The answer where the flow says nothing in time.
pub(super) fn late() -> Reject {
    let reject = Reject::new(503, "authorize_timeout", "nobody decides at the moment who is let in");
    reject.with_header("Retry-After", RETRY_AFTER_S.to_string())
}

impl Granted {
    /// As a guard of that name knows it.
    pub(super) fn session(&self, guard: &Arc<str>) -> Session {
        let roles = self.known.get("roles").and_then(Value::as_array).into_iter().flatten();
        let roles = roles.filter_map(Value::as_str).map(str::to_owned).collect();
        let attributes = self.known.get("attributes").and_then(Value::as_record).into_iter();
        let attributes = attributes.flat_map(Record::iter);
        let attributes = attributes.filter_map(|(name, value)| Some((name.to_string(), to_json(value)?)));
        Session {
            attributes: attributes.collect(),
            ..Session::unlimited(guard.clone(), self.identity.clone(), roles)
        }
    }

    /// Of what it says nothing.
    pub(super) fn leaves_to_guards(&self) -> Described {
        let is_left = |name| self.known.get(name).is_none();
        Described { roles: is_left("roles"), attributes: is_left("attributes") }
    }

    pub(super) fn tell_of(&self, metadata: &mut Metadata) {
        let mut text = metadata.text();
        let of_connection = text.as_record_mut().map(|meta| meta.get_or_insert_null(SPEC.name));
        if let Some(shown) = of_connection.and_then(Value::as_record_mut) {
            for (name, value) in self.known.iter() {
                shown.insert(name.clone(), value.clone());
            }
        }
        metadata.replace(&text);
    }
}

impl Waiting {
    fn all(&self) -> MutexGuard<'_, HashMap<u64, Waits>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handshake `conn`, which waits no more; `None` as `asker`: whoever asks.
    ///
    /// # Errors
    /// It does not wait for an answer to `asker`.
    fn take(&self, conn: u64, asker: Option<&str>) -> Result<Waits, String> {
        let mut all = self.all();
        let Entry::Occupied(waits) = all.entry(conn) else {
            return Err(format!(
                "no handshake {conn} waits to be authorized: the answer is late, or not the first one"
            ));
        };
        let waits_for = &waits.get().asker;
        if asker.is_some_and(|asker| *asker != **waits_for) {
            return Err(format!(
                "the handshake {conn} waits for an answer with `guard` of \"{waits_for}\" now: one to another question \
                 is late, or not the first one"
            ));
        }
        Ok(waits.remove())
    }
}

/// A handshake waits as long as this lives.
struct Place<'a> {
    waiting: &'a Waiting,
    conn: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.all().remove(&self.conn);
    }
}

/// What an answer can have, and what the question has: it may be handed back with more in it.
pub(super) const ANSWER: [&str; 24] = [
    "conn",
    "accept",
    "guard",
    "identity",
    "roles",
    "attributes",
    "headers",
    "status",
    "body",
    "method",
    "tls",
    "peer",
    "path",
    "authority",
    "scheme",
    "query",
    "params",
    "origin",
    "protocol",
    "extensions",
    "tls_peer",
    "proxy",
    "cookie",
    "route",
];

/// Whose question is answered; `None`: that of whoever asks, who is the only one.
///
/// # Errors
/// The answer does not say so, and there are several. What is meant for one of them must not open what another one guards.
fn asker<'r>(record: &'r Record, askers: &[Arc<str>]) -> Result<Option<&'r str>, String> {
    let named = record.get("guard").filter(|guard| !guard.is_null());
    let known = || askers.iter().map(|asker| format!("\"{asker}\"")).collect::<Vec<_>>().join(", ");
    match named.map(Value::as_str) {
        None if askers.len() == 1 => Ok(None),
        None => Err(format!(
            "a command `authorize` needs `guard` here, as the question has it, since a handshake can be asked about by \
             several: it may be {}",
            known()
        )),
        Some(Some(name)) if askers.iter().any(|asker| **asker == *name) => Ok(Some(name)),
        Some(_) => Err(format!("`guard` has to be that of a question, which may be {}", known())),
    }
}

/// Reads what the flow says.
///
/// # Errors
/// Why it is no answer; the handshake waits for another one.
fn answer(record: &Record) -> Result<Answer, String> {
    let given = |name| record.get(name).filter(|value: &&Value| !value.is_null());
    let wrong = |name: &str, wanted: &str, got: &Value| {
        format!("`{name}` has to be {wanted} but is {}", got.type_name())
    };
    let accepts = given("accept").and_then(Value::as_bool);
    let accepts = accepts.ok_or("a command `authorize` needs `accept`, which is a bool")?;
    let mut headers = Vec::new();
    if let Some(value) = given("headers") {
        let reader = Reader::new(value, "headers").map_err(|error| error.to_string())?;
        headers =
            header_list(&reader, ExtraHeaders::for_response).map_err(|error| sentence(error).to_string())?;
    }
    let extra = ExtraHeaders::for_response(headers.clone()).map_err(|error| sentence(error).to_string())?;
    if !accepts {
        let status = match given("status") {
            None => 403,
            Some(value) => {
                let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
                let status = status.filter(|status| (400..=599).contains(status));
                status.ok_or_else(|| format!("`status` has to be 400 to 599 but is {}", shown(value)))?
            }
        };
        let body = match given("body") {
            None => "the connection is refused",
            Some(body) => body.as_str().ok_or_else(|| wrong("body", "a string", body))?,
        };
        // A 401 has to say how it is to be done (RFC 9110, section 15.5.2); the flow knows best, and need not say it.
        if status == 401 && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("www-authenticate")) {
            headers.push(("WWW-Authenticate".to_owned(), FLOW_SCHEME.to_owned()));
        }
        let reject = Reject::new(status, "not_authorized", body.to_owned());
        let reject =
            headers.into_iter().fold(reject, |reject, (name, value)| reject.with_header(name, value));
        return Ok(Err(reject));
    }
    let mut known = Record::default();
    let identity = match given("identity") {
        None => None,
        Some(identity) => Some(identity.as_str().ok_or_else(|| wrong("identity", "a string", identity))?),
    };
    if let Some(roles) = given("roles") {
        let all_text = roles.as_array().is_some_and(|roles| roles.iter().all(|role| role.as_str().is_some()));
        if !all_text {
            return Err(wrong("roles", "a list of strings", roles));
        }
    }
    if let Some(attributes) = given("attributes").filter(|attributes| attributes.as_record().is_none()) {
        return Err(wrong("attributes", "a record", attributes));
    }
    for name in ["identity", "roles", "attributes"] {
        if let Some(value) = given(name) {
            known.insert(name, value.clone());
        }
    }
    Ok(Ok(Granted { identity: identity.map(str::to_owned), known, headers: extra }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_of_a_handshake_that_waits_no_more() {
        let doorman = Doorman {
            all: None,
            waiting: Arc::default(),
            askers: Arc::default(),
            announcer: OnceLock::new(),
        };
        let config = Value::from_json_str(r#"{"port": "door"}"#).unwrap();
        let question = Question::read(&mut Reader::new(&config, "authorize").unwrap()).unwrap();
        let metadata = Metadata::new(SPEC.name, Record::default());
        let origin = OriginUri::new("tremor-ws-server", "here");
        let question = &question;
        let metadata = &metadata;
        let handshake = Handshake { question, guard: None, conn: 7, method: "GET", metadata, origin };
        assert!(doorman.ask(handshake).await.is_none());
        assert!(doorman.waiting.all().is_empty());
    }

    #[test]
    fn an_answer_names_its_question_unless_there_is_only_one() {
        let read = |guard: Value, askers: &[&str]| {
            let askers: Vec<Arc<str>> = askers.iter().map(|name| (*name).into()).collect();
            asker(&Record::from_iter([("guard", guard)]), &askers).map(|named| named.map(str::to_owned))
        };
        assert_eq!(read(Value::Null, &["low"]), Ok(None));
        assert_eq!(read("low".into(), &["low", ""]), Ok(Some("low".to_owned())));
        for (guard, askers, expected) in [
            (Value::Null, &["low", ""][..], r#"needs `guard` here, as the question has it"#),
            ("high".into(), &["low"], r#"`guard` has to be that of a question, which may be "low""#),
            (7.into(), &["low", ""], r#"`guard` has to be that of a question, which may be "low", """#),
        ] {
            let error = read(guard, askers).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_users_have_written_is_quoted_in_one_line_of_bounded_length() {
        for (name, value) in [
            ("status", Value::from("\n".repeat(30_000))),
            (
                "headers",
                Record::from_iter([(format!("a\nforged{}", "x".repeat(30_000)), Value::from("v"))]).into(),
            ),
            (
                "headers",
                Record::from_iter([(format!("a\nforged{}", "x".repeat(30_000)), Value::from(7))]).into(),
            ),
        ] {
            let record = Record::from_iter([("accept", Value::from(false)), (name, value)]);
            let error = answer(&record).err().unwrap();
            assert!(error.len() < 1200 && !error.contains('\n'), "{error}");
        }
    }
}
