//! Cookies by which browsers are known again (`spec/websocket.md` 16).

mod jar;
mod log;

use super::{SPEC, refusing::RETRY_AFTER_S};
use crate::ws::{guards::all_tls, options::Settings, protocol::Revocation};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jar::Jar;
use log::Log;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tremor_connector::{
    Command,
    config::{ConfigError, Reader},
    socket::cause_of,
};
use tremor_value::{Record, Value};
use tremor_ws::{
    Headers, Reject,
    guard::{Session, cookies},
};

/// `cookie` is there.
pub(super) struct Cookies {
    /// Of the connector.
    alias: String,
    name: String,
    /// Characters of an id.
    length: usize,
    max_age: Duration,
    /// `Secure`; by the connection if that is not said.
    secure: Option<bool>,
    /// `bind_identity`: it stands for whom guards have let in with it.
    binds: bool,
    /// What stands behind the id and `Max-Age`.
    attributes: String,
    /// Where ids outlive this process.
    file: Option<File>,
    jar: Mutex<Jar>,
    /// The file at work. Locked longer than anything else, and only where one may wait.
    log: Mutex<Option<Log>>,
}

struct File {
    path: PathBuf,
    purge_on_startup: bool,
}

/// Ids that one request may bring; those beyond are not looked at.
const MOST_SHOWN: usize = 8;
/// What the command `forget_cookie` can have.
pub(super) const COMMAND: [&str; 1] = ["cookie"];

/// Who is in the middle of a handshake.
#[derive(Default)]
pub(super) struct Asking {
    /// Whom its cookie stands for.
    pub(super) bound: Vec<Session>,
    /// The cookie was forgotten meanwhile.
    pub(super) forgotten: Arc<Revocation>,
}

/// By what a connection is known, if it becomes one.
pub(super) struct Known {
    pub(super) id: Box<str>,
    /// `Set-Cookie`, if the id is new.
    pub(super) set: Option<String>,
}

/// Whether browsers may come over TLS: to us, or to a proxy.
fn may_be_encrypted(config: &Record) -> bool {
    let is_said = |key| config.get(key).is_some_and(|value| !value.is_null());
    all_tls(config).next().is_some()
        || ["public_url", "trusted_proxies", "trust_xff"].into_iter().any(is_said)
}

impl Cookies {
    /// Reads `cookie`.
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Option<Arc<Self>>, ConfigError> {
        let Some(mut config) = settings.config.record("cookie")? else { return Ok(None) };
        let name: String = config.or("name", "wsid".to_owned())?;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.len() < 2
            || !name.starts_with(|first: char| first.is_ascii_lowercase())
            || !name.bytes().all(fits)
        {
            let problem = "is at least two small letters, digits and `_`, the first one a letter";
            return Err(config.invalid("name", problem));
        }
        let length = config.or_in("length", 24, 6..=64)?;
        let max_age = Duration::from_secs(config.or_in("max_age", 86_400, 1..=MOST_SECONDS)?);
        let mut secure: Option<bool> = config.optional("secure")?;
        let mut attributes = String::new();
        if let Some(domain) = attribute(&mut config, "domain")? {
            // A dot in front was needed once, and means nothing any more (RFC 6265, section 5.2.3).
            let name = domain.strip_prefix('.').unwrap_or(domain);
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if name.split('.').any(|label| label.is_empty() || !label.bytes().all(fits)) {
                return Err(config.invalid(
                    "domain",
                    "is no domain, such as `plant.example`: browsers would drop the cookie",
                ));
            }
            attributes.push_str(&format!("; Domain={domain}"));
        }
        let path = attribute(&mut config, "path")?.unwrap_or("/");
        if !path.starts_with('/') {
            return Err(config.invalid("path", "begins with `/`"));
        }
        attributes.push_str(&format!("; Path={path}"));
        if config.or("http_strict", true)? {
            attributes.push_str("; HttpOnly");
        }
        let words = [("Strict", "Strict"), ("Lax", "Lax"), ("None", "None")];
        let same_site = config.word("same_site", &words)?.unwrap_or("Lax");
        if same_site == "None" && !*secure.get_or_insert(true) {
            return Err(
                config.conflict("same_site", "`None` demands `secure`: browsers drop the cookie without")
            );
        }
        attributes.push_str(&format!("; SameSite={same_site}"));
        if secure == Some(true) && !may_be_encrypted(settings.config.members()) {
            settings.warn(
                "the cookie is `Secure`, so browsers drop it: they come without TLS, as far as is known here (see `tls`, and \
                 `public_url` for what is in front)",
            );
        }
        let binds = config.or("bind_identity", false)?;
        let file = match config.record("store")? {
            Some(store) => store_file(store)?,
            None => None,
        };
        config.finish()?;
        let (jar, log, alias) = (Mutex::default(), Mutex::default(), settings.alias.to_owned());
        Ok(Some(Arc::new(Self { alias, name, length, max_age, secure, binds, attributes, file, jar, log })))
    }

    fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the file holds, if there is one; gives what is to be told of that. Blocks for a moment; again has no
    /// effect.
    ///
    /// # Errors
    /// The file cannot be used.
    pub(super) fn open(&self) -> Result<Option<String>, String> {
        let Some(File { path, purge_on_startup }) = &self.file else { return Ok(None) };
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.is_some() {
            return Ok(None);
        }
        let fail = |error: io::Error| format!("cannot use {} for cookies: {error}", path.display());
        let mut opened = Log::open(path).map_err(fail)?;
        let (mut found, mut told) = (Vec::new(), None);
        if !*purge_on_startup {
            let torn;
            (found, torn) = opened.read().map_err(fail)?;
            if torn > 0 {
                let (s, path) = (if torn == 1 { "" } else { "s" }, path.display());
                told = Some(format!(
                    "{torn} line{s} of {path} cannot be understood: the cookies of them are forgotten"
                ));
            }
        }
        let entries = {
            let mut jar = self.jar();
            jar.fill(found, self.max_age, now_s());
            jar.entries()
        };
        opened.rewrite(&entries).map_err(fail)?;
        *log = Some(opened);
        Ok(told)
    }

    /// Somebody asks with these headers: whom the cookie among them stands for.
    pub(super) fn begin(&self, headers: &Headers) -> Asking {
        let forgotten = Arc::default();
        let mut jar = self.jar();
        jar.expire(now_s());
        for id in self.shown(headers) {
            if jar.get(id).is_some() {
                jar.carried(id, false, &forgotten);
            }
        }
        let bound = if self.binds { self.shown(headers).find_map(|id| jar.bound(id)) } else { None };
        Asking { bound: bound.map_or_else(Vec::new, |sessions| sessions.to_vec()), forgotten }
    }

    /// The ids in these headers.
    fn shown<'h>(&'h self, headers: &'h Headers) -> impl Iterator<Item = &'h str> {
        let shown = headers.all("cookie").flat_map(cookies);
        let own = shown.filter(|(name, _)| *name == self.name.as_bytes());
        own.filter_map(|(_, id)| std::str::from_utf8(id).ok()).take(MOST_SHOWN)
    }

    /// By what a client is known that sends these headers, `secure` if that is over TLS as it sees it; guards have let it in
    /// with `sessions`, of which those in `proven` came of something else than its cookie. Nothing is noted before it is
    /// [kept](Self::keep).
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn meet(
        &self,
        headers: &Headers,
        secure: bool,
        (sessions, proven, forgotten): (&[&Session], &[&Session], &Arc<Revocation>),
    ) -> io::Result<Known> {
        let binds = self.binds && !sessions.is_empty();
        let mut jar = self.jar();
        jar.expire(now_s());
        // Who proves to be somebody gets an id that nobody can know: one that stood for nobody may have been planted by
        // somebody who knows it, and one that stands for somebody else is not taken along.
        let is_fit =
            |jar: &Jar, id: &str| !binds || jar.bound(id).is_some_and(|bound| are_same(&bound, proven));
        if let Some(id) = self.shown(headers).find(|id| is_fit(&jar, id) && jar.knows(id)) {
            jar.carried(id, true, forgotten);
            return Ok(Known { id: id.into(), set: None });
        }
        drop(jar);
        let id = self.new_id()?;
        let max_age = self.max_age.as_secs();
        self.jar().carried(&id, true, forgotten);
        let secure = if self.secure.unwrap_or(secure) { "; Secure" } else { "" };
        let Self { name, attributes, .. } = self;
        let set = format!("{name}={id}; Max-Age={max_age}{attributes}{secure}");
        Ok(Known { id, set: Some(set) })
    }

    /// The client becomes a connection: it is known from now on, as whom guards have found it to be by something else than
    /// its cookie.
    ///
    /// # Errors
    /// The id was forgotten meanwhile.
    pub(super) async fn keep(
        self: &Arc<Self>,
        known: &Known,
        (proven, forgotten): (&[&Session], &Revocation),
    ) -> Result<(), Reject> {
        if !self.note(known, (proven, forgotten)) {
            return Err(late());
        }
        self.write(known.id.clone()).await;
        Ok(())
    }

    /// The client does not become a connection after all: an id that was made for it is gone.
    pub(super) fn give_up(&self, known: &Known) {
        if known.set.is_some() {
            self.jar().remove(&known.id);
        }
    }

    /// Notes that an id is used; `false` if it should be known and is not, or was forgotten.
    fn note(&self, known: &Known, (proven, forgotten): (&[&Session], &Revocation)) -> bool {
        let now = now_s();
        let mut jar = self.jar();
        if forgotten.is_refused() {
            return false;
        }
        let is_proven = self.binds && !proven.is_empty();
        let sessions = is_proven.then(|| proven.iter().map(|session| (*session).clone()).collect());
        // What was good a moment ago is not looked at again: nobody could say of an id that it has expired just now.
        if known.set.is_some() {
            jar.expire(now);
            jar.add(known.id.clone(), now, now.saturating_add(self.max_age.as_secs()), sessions);
        } else if !jar.use_again(&known.id, now) {
            return false;
        } else if let Some(sessions) = sessions {
            jar.bind(&known.id, sessions);
        }
        true
    }

    fn new_id(&self) -> io::Result<Box<str>> {
        let mut random = [0; 48];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let mut id = URL_SAFE_NO_PAD.encode(random);
        id.truncate(self.length);
        Ok(id.into())
    }

    /// Puts down what is known of `id` now, where that outlives this process.
    async fn write(self: &Arc<Self>, id: Box<str>) {
        if self.file.is_some() {
            let own = self.clone();
            // What goes wrong has been logged.
            let _written = tokio::task::spawn_blocking(move || own.write_now(&id)).await;
        }
    }

    fn write_now(&self, id: &str) {
        let mut guard = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(log) = guard.as_mut() else { return };
        // Looked up behind the lock, so that the last line of an id is what became of it last.
        let entry = self.jar().get(id);
        let mut written = log.append(id, entry.as_ref());
        if written.is_ok() && log.is_mostly_dead(self.jar().len()) {
            let entries = {
                let mut jar = self.jar();
                jar.expire(now_s());
                jar.entries()
            };
            written = log.rewrite(&entries);
        }
        if let Err(error) = written {
            let (alias, path) = (&self.alias, log.path().display());
            tracing::error!(target: "tremor_runtime", "[Connector::{alias}] cookies may be forgotten: {path}: {error}");
        }
    }

    /// The command `forget_cookie`: closes the connections that carry it.
    pub(super) fn command(self: Arc<Self>) -> Command {
        let forget = move |record: &Record, connections: &tremor_connector::Connections<'_>| {
            let id = record.get("cookie").and_then(Value::as_str);
            let id = id.ok_or("the command `forget_cookie` needs `cookie`, which is a string")?;
            let was_known = self.jar().forget(id);
            let carries = |meta: &Value| {
                let own = meta.get(SPEC.name).and_then(|own| own.get("cookie"));
                own.and_then(Value::as_str) == Some(id)
            };
            let closed = connections.wake(carries);
            if was_known && self.file.is_some() {
                let (own, id) = (self.clone(), id.to_owned());
                tokio::task::spawn_blocking(move || own.write_now(&id));
            }
            if was_known || closed > 0 { Ok(()) } else { Err("there is no such cookie".to_owned()) }
        };
        Command { kind: "forget_cookie", members: &COMMAND, handle: Box::new(forget) }
    }
}

/// The answer where a cookie cannot be noted in time, or was forgotten while its client was let in.
pub(super) fn late() -> Reject {
    let reject = Reject::new(503, "cookie", "the cookie cannot be noted at the moment");
    reject.with_header("Retry-After", RETRY_AFTER_S.to_string())
}

/// Whether both are sessions of the same guards and identities.
fn are_same(bound: &[Session], sessions: &[&Session]) -> bool {
    let is_in = |session: &&Session| {
        bound.iter().any(|other| other.guard == session.guard && other.identity == session.identity)
    };
    sessions.iter().all(is_in)
}

/// Ten years.
const MOST_SECONDS: u64 = 10 * 365 * 86_400;

/// The value of an attribute of `Set-Cookie`.
fn attribute<'a>(config: &mut Reader<'a>, key: &'static str) -> Result<Option<&'a str>, ConfigError> {
    let value: Option<&str> = config.optional(key)?;
    let is_unfit = |byte: u8| byte == b';' || !byte.is_ascii_graphic();
    if value.is_some_and(|value| value.is_empty() || value.bytes().any(is_unfit)) {
        return Err(
            config.invalid(key, "cannot stand in a cookie: letters, digits and signs other than `;` can")
        );
    }
    Ok(value)
}

/// What `store` says of a file.
fn store_file(mut store: Reader<'_>) -> Result<Option<File>, ConfigError> {
    let is_file = store.word("type", &[("memory", false), ("file", true)])?.unwrap_or(false);
    if !is_file {
        for key in ["filename", "purge_on_startup"] {
            if store.members().get(key).is_some_and(|value| !value.is_null()) {
                return Err(store.conflict(key, "belongs to the type `file`"));
            }
        }
        store.finish()?;
        return Ok(None);
    }
    let path: PathBuf = store.required("filename")?;
    let purge_on_startup = store.or("purge_on_startup", false)?;
    if let Some(problem) = file_problem(&path) {
        return Err(store.invalid("filename", problem));
    }
    store.finish()?;
    Ok(Some(File { path, purge_on_startup }))
}

/// Why there can be no file of cookies at `path`, as far as that can be known without making it.
fn file_problem(path: &Path) -> Option<String> {
    if path.is_dir() {
        return Some(format!("`{}` is a directory, where a file is needed", path.display()));
    }
    if path.is_file() {
        let opened = fs::File::options().read(true).write(true).open(path);
        return opened.err().map(|error| format!("cannot open `{}`: {}", path.display(), cause_of(&error)));
    }
    // That of a plain name is the current one.
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty())?;
    match directory.metadata() {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("`{}`, where the file is to be, is no directory", directory.display())),
        Err(error) => Some(format!(
            "the directory `{}`, where the file is to be, cannot be used: {}",
            directory.display(),
            cause_of(&error)
        )),
    }
}

/// Seconds since 1970.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
