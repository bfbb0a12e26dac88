//! The keys of a `jwt` guard: from the configuration, a file, or a URL.

use super::followed::{Content, Followed};
use crate::ws::{http::Place, options::Settings};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{Instant, sleep_until},
};
use tremor_connector::tls::ClientTls;
use tremor_value::sentence;
use tremor_ws::guard::{KeySet, KeySource, Origin};

/// How large an answer may be.
const MAX_BYTES: usize = 1 << 20;

/// Keys, and how newer ones come.
pub(super) enum Keys {
    /// Those of the configuration.
    Fixed(Arc<KeySet>),
    File(Followed<KeySet>),
    Url(Loaded),
}

/// Keys of a URL.
pub(super) struct Loaded {
    shared: Arc<Shared>,
    /// The task that loads them; ends with this.
    loading: OnceLock<AbortHandle>,
}

struct Shared {
    place: Place,
    source: Mutex<KeySource>,
    /// The clock of `source` counts from here.
    begin: Instant,
    /// The next load may have been moved to an earlier time.
    moved: Notify,
    /// How many loads have ended.
    ended: watch::Sender<u64>,
}

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
    /// Keys of a file, which is read here and, when it has changed, again.
    pub(super) fn file(path: PathBuf, settings: &Settings<'_>) -> Result<Self, String> {
        let shown = path.display().to_string();
        let keys: Followed<KeySet> = Followed::read(path)?;
        for hazard in keys.latest().get().hazards() {
            settings.warn(&format!("`{shown}`: {hazard}"));
        }
        Ok(Self::File(keys))
    }

    /// Keys of a URL, which is asked once connections may come, every `refresh_ms`, and for keys that are unknown.
    /// `tls` says whom to trust, if not those whom the system trusts.
    pub(super) fn url(
        text: &str,
        refresh_ms: u64,
        tls: Option<ClientTls>,
        settings: &Settings<'_>,
    ) -> Result<Self, String> {
        let place = Place::new(text, tls, settings.alias)?;
        if place.is_open() {
            let url = &place.url;
            settings
                .warn(&format!("keys come from `{url}` without TLS: whoever is in between can change them"));
        }
        let shared = Shared {
            place,
            source: Mutex::new(KeySource::new(refresh_ms, 0)),
            begin: Instant::now(),
            moved: Notify::new(),
            ended: watch::Sender::new(0),
        };
        Ok(Self::Url(Loaded { shared: Arc::new(shared), loading: OnceLock::new() }))
    }

    /// Begins to load, in a task of its own; `what` names the keys in logs.
    pub(super) fn start(&self, what: String) {
        match self {
            Self::Fixed(_) => {}
            Self::File(file) => file.start(what),
            Self::Url(Loaded { shared, loading }) => {
                loading.get_or_init(|| tokio::spawn(shared.clone().load_for_ever(what)).abort_handle());
            }
        }
    }

    /// The last keys that were loaded.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        match self {
            Self::Fixed(keys) => Some(keys.clone()),
            Self::File(file) => Some(file.latest().get()),
            Self::Url(loaded) => loaded.shared.with(|source, _| source.keys().cloned()),
        }
    }

    /// Waits for newer keys, if a load that is under way or due may bring some. `false`: there are none to be had now.
    pub(super) async fn newer(&self) -> bool {
        let Self::Url(Loaded { shared, .. }) = self else { return false };
        // Looked at before the source is asked: no end of a load is missed.
        let mut ended = shared.ended.subscribe();
        if !shared.with(KeySource::is_worth_waiting) {
            return false;
        }
        shared.moved.notify_one();
        ended.changed().await.is_ok()
    }
}

impl Drop for Loaded {
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
        let mut last_problem = None;
        loop {
            let next_ms = self.with(|source, _| source.next_ms()).unwrap_or(0);
            let next = self.begin.checked_add(Duration::from_millis(next_ms));
            let moved = self.moved.notified();
            tokio::select! {
                () = sleep(next) => {}
                () = moved => continue,
            }
            self.with(KeySource::begin);
            match self.load(&what).await {
                Ok(keys) => {
                    if last_problem.take().is_some() {
                        tracing::info!(target: "tremor_runtime", "{what} are loaded");
                    }
                    let had_some =
                        self.with(|source, _| source.keys().is_none_or(|old| !old.keys().is_empty()));
                    if keys.keys().is_empty() && had_some {
                        tracing::warn!(target: "tremor_runtime", "{what} are withdrawn: the answer is an empty set");
                    }
                    self.with(|source, now| source.loaded(keys, now));
                }
                Err(problem) => {
                    let problem = Some(problem);
                    if last_problem != problem
                        && let Some(problem) = &problem
                    {
                        tracing::warn!(target: "tremor_runtime", "{what} cannot be loaded: {}", sentence(problem));
                    }
                    last_problem = problem;
                    self.with(KeySource::failed);
                }
            }
            self.ended.send_modify(|ended| *ended += 1);
        }
    }

    async fn load(&self, what: &str) -> Result<Arc<KeySet>, String> {
        let url = &self.place.url;
        let accept = "application/jwk-set+json, application/json";
        let text = match self.place.get(url.path_and_query(), accept, MAX_BYTES).await {
            Ok((200, text)) => text,
            Ok((status, _)) => return Err(format!("`{url}`: the answer is {status}")),
            Err(error) => return Err(format!("`{url}`: {error}")),
        };
        let keys = KeySet::parse(&text, Origin::Url);
        let keys = keys.map_err(|error| format!("what `{url}` answers {error}"))?;
        for unused in keys.unused() {
            tracing::debug!(target: "tremor_runtime", "{what}: {unused}");
        }
        Ok(Arc::new(keys))
    }
}

/// Sleeps until then; `None` is never.
async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
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
