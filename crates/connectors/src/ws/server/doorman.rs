//! The flow decides who is let in (`spec/websocket.md` 7.7).

use super::{SPEC, routing::port_name};
use crate::ws::{Metadata, header_list, options::Settings};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};
use tremor_connector::{
    Announcer, Command, Exit, Told,
    config::{ConfigError, Reader},
};
use tremor_event::OriginUri;
use tremor_value::{Record, Value};
use tremor_ws::{ExtraHeaders, Reject};

/// What a client is told to wait where the flow does not answer.
const RETRY_AFTER_S: u64 = 5;

/// Asks the flow about handshakes.
pub(super) struct Doorman {
    /// By which port.
    port: String,
    /// How long it may take to answer.
    limit: Duration,
    waiting: Arc<Waiting>,
    announcer: OnceLock<Announcer>,
}

/// Handshakes that wait for an answer, by the id of what may become a connection.
#[derive(Default)]
struct Waiting(Mutex<HashMap<u64, oneshot::Sender<Answer>>>);

/// What the flow says.
type Answer = Result<Granted, Reject>;

/// What the flow knows of one who is let in.
#[derive(Debug, Default)]
pub(super) struct Granted {
    pub(super) identity: Option<String>,
    /// `identity`, `roles` and `attributes`, as far as given.
    known: Record,
    /// More headers of the 101.
    pub(super) headers: ExtraHeaders,
}

impl Doorman {
    /// Reads `authorize`; its port joins `exits`.
    pub(super) fn read(
        settings: &mut Settings<'_>,
        exits: &mut Vec<Exit>,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(mut config) = settings.config.record("authorize")? else { return Ok(None) };
        let Some(entry) = config.entry("port") else {
            return Err(config.missing("port", "the name of the port by which the flow is asked"));
        };
        let port = port_name(&entry)?.to_owned();
        if port.eq_ignore_ascii_case("out") || exits.iter().any(|exit| exit.name.eq_ignore_ascii_case(&port))
        {
            return Err(entry.invalid(format!("by `{port}` events of connections leave; take another name")));
        }
        exits.push(Exit { name: port.clone(), at: entry.path().to_vec() });
        let limit = Duration::from_millis(config.or_in("timeout", 1000, 1..=600_000)?);
        config.finish()?;
        Ok(Some(Self { port, limit, waiting: Arc::default(), announcer: OnceLock::new() }))
    }

    /// From now on there is somebody to ask.
    pub(super) fn begin(&self, announcer: Announcer) {
        let _the_same_as_before = self.announcer.set(announcer);
    }

    /// What takes the answers of the flow.
    pub(super) fn command(&self) -> Command {
        let waiting = self.waiting.clone();
        let handle = move |record: &Record, _: &tremor_connector::Connections<'_>| {
            let conn =
                record.get("conn").and_then(Value::as_u64).ok_or("a command `authorize` needs `conn`")?;
            let answer = answer(record)?;
            let asked = waiting.all().remove(&conn);
            let asked = asked.ok_or_else(|| format!("no handshake {conn} waits to be authorized"))?;
            asked.send(answer).map_err(|_| format!("the handshake {conn} does not wait any more"))
        };
        Command { kind: "authorize", handle: Box::new(handle) }
    }

    /// Asks about a handshake of which `metadata` tells.
    ///
    /// # Errors
    /// The answer if the flow says no, or nothing in time.
    pub(super) async fn ask(
        &self,
        conn: u64,
        method: &'static str,
        (metadata, origin): (&mut Metadata, OriginUri),
    ) -> Answer {
        let meta = metadata.text();
        let mut record = meta.get(SPEC.name).and_then(Value::as_record).cloned().unwrap_or_default();
        record.insert("kind", "authorize");
        record.insert("method", method);
        let (answer, answered) = oneshot::channel();
        self.waiting.all().insert(conn, answer);
        let _place = Place { waiting: &self.waiting, conn };
        let told = Told { record: record.into(), meta, origin: Arc::new(origin) };
        let asked = async {
            if let Some(announcer) = self.announcer.get() {
                announcer.tell(&self.port, told).await;
            }
            answered.await
        };
        let Ok(Ok(answer)) = timeout(self.limit, asked).await else {
            return Err(late());
        };
        let granted = answer?;
        granted.tell_of(metadata);
        Ok(granted)
    }
}

/// The answer where the flow says nothing in time.
pub(super) fn late() -> Reject {
    let reject = Reject::new(503, "authorize_timeout", "nobody decides at the moment who is let in");
    reject.with_header("Retry-After", RETRY_AFTER_S.to_string())
}

impl Granted {
    fn tell_of(&self, metadata: &mut Metadata) {
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
    fn all(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        headers = header_list(&reader).map_err(|error| error.to_string())?;
    }
    let extra = ExtraHeaders::for_response(headers.clone()).map_err(|error| error.to_string())?;
    if !accepts {
        let status = match given("status") {
            None => 403,
            Some(value) => {
                let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
                let status = status.filter(|status| (400..=599).contains(status));
                status.ok_or_else(|| format!("`status` has to be 400 to 599 but is {value}"))?
            }
        };
        let body = match given("body") {
            None => "the connection is refused",
            Some(body) => body.as_str().ok_or_else(|| wrong("body", "a string", body))?,
        };
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
            port: "door".to_owned(),
            limit: Duration::from_secs(1),
            waiting: Arc::default(),
            announcer: OnceLock::new(),
        };
        let mut metadata = Metadata::new(SPEC.name, Record::default());
        let asked = doorman.ask(7, "GET", (&mut metadata, OriginUri::new("tremor-ws-server", "here")));
        let reject = asked.await.unwrap_err();
        assert_eq!((reject.status, reject.label), (503, "authorize_timeout"));
        assert!(doorman.waiting.all().is_empty());
    }
}
