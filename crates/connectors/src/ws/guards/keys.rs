//! The keys of a `jwt` guard: from the configuration, a file, or a URL.

use crate::ws::{http::Place, options::Settings};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{Instant, sleep_until},
};
use tremor_connector::{socket::cause_of, tls::ClientTls};
use tremor_value::sentence;
use tremor_ws::guard::{KeySet, KeySource, Origin};

/// How often a file is looked at.
const LOOK_MS: u64 = 5_000;

/// How large an answer may be.
const MAX_BYTES: usize = 1 << 20;

/// Keys, and how newer ones come.
pub(super) struct Keys {
    shared: Arc<Shared>,
    /// The task that loads them; ends with this.
    loading: OnceLock<AbortHandle>,
}

struct Shared {
    from: From,
    source: Mutex<KeySource>,
    /// The clock of `source` counts from here.
    begin: Instant,
    /// The next load may have been moved to an earlier time.
    moved: Notify,
    /// How many loads have ended.
    ended: watch::Sender<u64>,
}

enum From {
    Configuration,
    File {
        path: PathBuf,
        /// What it was like when it was read for the first time.
        at_first: Option<FileState>,
    },
    Url(Place),
}

/// What tells whether a file has changed: its time and length.
type FileState = (SystemTime, u64);

/// Whether `text` is a URL that can be asked.
pub(super) fn is_url(text: &str) -> bool {
    matches!(Location::of(text), Ok(Location::Url))
}

/// What a text that says where keys are is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// A URL that can be asked.
    Url,
    /// The path of a file.
    Path,
    /// The URL of a file, which has this path.
    FileUrl(PathBuf),
}

impl Location {
    /// # Errors
    /// In words, if it is a URL that leads to nothing that could be read.
    pub(super) fn of(text: &str) -> Result<Self, String> {
        // Something else in front of `://`, such as `./a`, begins a path.
        let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return Ok(Self::Path);
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => Ok(Self::Url),
            "file" => path_of(rest).map(Self::FileUrl),
            _ => Err(format!(
                "`{scheme}` is no way to keys: write a URL with `https`, `http` or `file`, or a path"
            )),
        }
    }
}

/// A scheme as RFC 3986 (section 3.1) has it.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The path in what stands behind `file://` (RFC 8089).
fn path_of(rest: &str) -> Result<PathBuf, String> {
    let problem = "a `file` URL is `file:///` and the path behind its first `/`";
    let (host, path) = rest.split_once('/').ok_or(problem)?;
    if !(host.is_empty() || host.eq_ignore_ascii_case("localhost")) {
        return Err(format!("{problem}: files of other hosts cannot be read"));
    }
    if path.is_empty() || path.contains(['%', '?', '#']) {
        return Err(format!("{problem}, without `%`, `?` and `#`; write a path if it has any"));
    }
    Ok(Path::new("/").join(path))
}

impl Keys {
    /// Keys that never change.
    pub(super) fn fixed(keys: Arc<KeySet>) -> Self {
        Self::new(From::Configuration, u64::MAX, Some(keys))
    }

    /// Keys of a file, which is read here and, when it has changed, again.
    pub(super) fn file(path: PathBuf, settings: &Settings<'_>) -> Result<Self, String> {
        let shown = path.display().to_string();
        let at_first = file_state(&path);
        let keys = std::fs::read(&path).map_err(|error| cause_of(&error));
        let keys = keys.and_then(|text| {
            parse(&text, Origin::Own, |unused| settings.warn(&format!("`{shown}`: {unused}")))
        });
        let keys = keys.map_err(|error| format!("`{shown}`: {error}"))?;
        Ok(Self::new(From::File { path, at_first }, LOOK_MS, Some(keys)))
    }

    /// Keys of a URL, which is asked once connections may come, every `refresh_ms`, and for keys that are unknown.
    /// `tls` says whom to trust, if not those whom the system trusts.
    pub(super) fn url(
        text: &str,
        refresh_ms: u64,
        tls: Option<ClientTls>,
        settings: &Settings<'_>,
    ) -> Result<Self, String> {
        let place = Place::new(text, tls)?;
        if place.is_open() {
            let url = &place.url;
            settings
                .warn(&format!("keys come from `{url}` without TLS: whoever is in between can change them"));
        }
        Ok(Self::new(From::Url(place), refresh_ms, None))
    }

    fn new(from: From, refresh_ms: u64, keys: Option<Arc<KeySet>>) -> Self {
        let mut source = KeySource::new(refresh_ms, 0);
        if let Some(keys) = keys {
            source.loaded(keys, 0);
        }
        let shared = Shared {
            from,
            source: Mutex::new(source),
            begin: Instant::now(),
            moved: Notify::new(),
            ended: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared), loading: OnceLock::new() }
    }

    /// Begins to load, in a task of its own; `what` names the keys in logs.
    pub(super) fn start(&self, what: String) {
        if matches!(self.shared.from, From::Configuration) {
            return;
        }
        self.loading.get_or_init(|| tokio::spawn(self.shared.clone().load_for_ever(what)).abort_handle());
    }

    /// The last keys that were loaded.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        self.shared.with(|source, _| source.keys().cloned())
    }

    /// Waits for newer keys, if a load that is under way or due may bring some. `false`: there are none to be had now.
    pub(super) async fn newer(&self) -> bool {
        if !matches!(self.shared.from, From::Url(_)) {
            return false;
        }
        // Looked at before the source is asked: no end of a load is missed.
        let mut ended = self.shared.ended.subscribe();
        if !self.shared.with(KeySource::is_worth_waiting) {
            return false;
        }
        self.shared.moved.notify_one();
        ended.changed().await.is_ok()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(loading) = self.loading.get() {
            loading.abort();
        }
    }
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut KeySource, u64) -> T) -> T {
        let now_ms = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        act(&mut self.source.lock().unwrap_or_else(PoisonError::into_inner), now_ms)
    }

    async fn load_for_ever(self: Arc<Self>, what: String) {
        let mut is_failing = false;
        let mut file_state = match &self.from {
            From::File { at_first, .. } => *at_first,
            From::Configuration | From::Url(_) => None,
        };
        loop {
            let next_ms = self.with(|source, _| source.next_ms()).unwrap_or(0);
            let next = self.begin.checked_add(Duration::from_millis(next_ms));
            let moved = self.moved.notified();
            tokio::select! {
                () = sleep(next) => {}
                () = moved => continue,
            }
            self.with(KeySource::begin);
            let state = self.file_state();
            if state.is_some() && state == file_state {
                let keys = self.with(|source, _| source.keys().cloned());
                self.with(|source, now| source.loaded(keys.unwrap_or_default(), now));
                continue;
            }
            match self.load(&what).await {
                Ok(keys) => {
                    if is_failing || file_state.is_some() {
                        tracing::info!(target: "tremor_runtime", "{what} are loaded");
                    }
                    is_failing = false;
                    file_state = state;
                    let had_some =
                        self.with(|source, _| source.keys().is_none_or(|old| !old.keys().is_empty()));
                    if keys.keys().is_empty() && had_some {
                        tracing::warn!(target: "tremor_runtime", "{what} are withdrawn: the answer is an empty set");
                    }
                    self.with(|source, now| source.loaded(keys, now));
                }
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(target: "tremor_runtime", "{what} cannot be loaded: {}", sentence(&error));
                    }
                    is_failing = true;
                    self.with(KeySource::failed);
                }
            }
            self.ended.send_modify(|ended| *ended += 1);
        }
    }

    fn file_state(&self) -> Option<FileState> {
        match &self.from {
            From::File { path, .. } => file_state(path),
            From::Configuration | From::Url(_) => None,
        }
    }

    async fn load(&self, what: &str) -> Result<Arc<KeySet>, String> {
        let warn = |unused: String| tracing::warn!(target: "tremor_runtime", "{what}: {}", sentence(unused));
        match &self.from {
            From::Configuration => Err("they are in the configuration".into()),
            From::File { path, .. } => {
                let text = tokio::fs::read(path).await.map_err(|error| error.to_string())?;
                parse(&text, Origin::Own, warn)
            }
            From::Url(place) => {
                let url = &place.url;
                let accept = "application/jwk-set+json, application/json";
                let text = match place.get(url.path_and_query(), accept, MAX_BYTES).await {
                    Ok((200, text)) => text,
                    Ok((status, _)) => return Err(format!("`{url}`: the answer is {status}")),
                    Err(error) => return Err(format!("`{url}`: {error}")),
                };
                let ignored = |unused: String| tracing::debug!(target: "tremor_runtime", "{what}: {unused}");
                parse(&text, Origin::Url, ignored).map_err(|error| format!("what `{url}` answers {error}"))
            }
        }
    }
}

fn file_state(path: &Path) -> Option<FileState> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Sleeps until then; `None` is never.
async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn parse(text: &[u8], origin: Origin, mut tell: impl FnMut(String)) -> Result<Arc<KeySet>, String> {
    let keys = KeySet::parse(text, origin).map_err(|error| error.to_string())?;
    for unused in keys.unused() {
        tell(unused.to_string());
    }
    Ok(Arc::new(keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_known_url_is_refused_or_a_path() {
        for path in
            ["keys.json", "/a/keys.json", "./foo://a", "a b://c", "1a://b", "://a", "https:/a", "C:\\keys"]
        {
            assert_eq!(Location::of(path), Ok(Location::Path), "{path}");
        }
        for url in ["https://a/keys", "HTTP://a"] {
            assert_eq!(Location::of(url), Ok(Location::Url), "{url}");
        }
        for file in ["file:///a/b.json", "FILE://localhost/a/b.json"] {
            assert_eq!(Location::of(file), Ok(Location::FileUrl("/a/b.json".into())), "{file}");
        }
        for (bad, problem) in [
            ("foo://bar", "`foo` is no way to keys"),
            ("s3+x://bucket/keys", "`s3+x` is no way to keys"),
            ("file://keys.json", "`file:///` and the path"),
            ("file://elsewhere/keys.json", "files of other hosts"),
            ("file:///", "write a path"),
            ("file:///a%20b", "write a path"),
            ("file:///a?b", "write a path"),
        ] {
            let error = Location::of(bad).unwrap_err();
            assert!(error.contains(problem), "{bad}: {error}");
        }
    }
}
