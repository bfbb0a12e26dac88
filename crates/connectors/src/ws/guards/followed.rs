//! What guards have in files, and read again when these change.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tremor_connector::{
    files::{self, Following, Look, MAX_FILE_BYTES, Reading},
    socket::cause_of,
};
use tremor_value::sentence;
use tremor_ws::guard::{KeySet, Latest, Origin, Users};

/// What a file can hold.
pub(super) trait Content: Send + Sync + Sized + 'static {
    /// # Errors
    /// In words.
    fn parse(text: &[u8]) -> Result<Self, String>;

    /// What is hardly meant, each in words.
    fn hazards(&self) -> Vec<String>;
}

impl Content for KeySet {
    fn parse(text: &[u8]) -> Result<Self, String> {
        Self::parse(text, Origin::Own).map_err(|error| error.to_string())
    }

    fn hazards(&self) -> Vec<String> {
        self.unused().iter().map(ToString::to_string).collect()
    }
}

impl Content for Users {
    fn parse(text: &[u8]) -> Result<Self, String> {
        let users = Self::from_file(text).map_err(|error| error.to_string())?;
        if users.is_empty() { Err(super::kinds::NO_USERS.to_owned()) } else { Ok(users) }
    }

    fn hazards(&self) -> Vec<String> {
        self.take_different_times().then(|| super::kinds::DIFFERENT_TIMES.to_owned()).into_iter().collect()
    }
}

/// A file, and what it held when it was read last and could be used.
pub(super) struct Followed<T> {
    shared: Arc<Shared<T>>,
    /// Ends with this.
    following: OnceLock<Following>,
}

struct Shared<T> {
    path: PathBuf,
    content: Latest<T>,
    reading: Mutex<Reading>,
}

impl<T: Content> Followed<T> {
    /// Reads the file for the first time. May block for a moment.
    ///
    /// # Errors
    /// In words, with the path.
    pub(super) fn read(path: PathBuf) -> Result<Self, String> {
        let mut known = Look::default();
        known.add(&path);
        let content = content::<T>(&path)?.into();
        let reading = Mutex::new(Reading::of(known));
        Ok(Self { shared: Arc::new(Shared { path, content, reading }), following: OnceLock::new() })
    }

    /// What it holds, also later.
    pub(super) fn latest(&self) -> &Latest<T> {
        &self.shared.content
    }

    /// Begins to follow the file; again has no effect. `what` names in logs what it holds.
    pub(super) fn start(&self, what: String) {
        self.following.get_or_init(|| {
            let (seen, shared) = (self.shared.clone(), self.shared.clone());
            let changed = move || {
                let (shared, what) = (shared.clone(), what.clone());
                async move {
                    let read = tokio::task::spawn_blocking(move || shared.read_again()).await;
                    tell(&what, read.ok().flatten());
                }
            };
            Following::start(move || seen.look(), changed)
        });
    }
}

impl<T: Content> Shared<T> {
    fn look(&self) -> (Look, Look) {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner).look()
    }

    /// Gives what is to be told: what is hardly meant, or why the file cannot be used.
    fn read_again(&self) -> Option<Result<Vec<String>, String>> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let read = reading.again(|| content::<T>(&self.path))?;
        Some(read.map(|content| {
            let path = self.path.display();
            let hazards = content.hazards().into_iter().map(|hazard| format!("`{path}`: {hazard}")).collect();
            self.content.replace(content);
            hazards
        }))
    }
}

/// Tells what came of reading a file that holds `what`.
fn tell(what: &str, read: Option<Result<Vec<String>, String>>) {
    match read {
        Some(Ok(hazards)) => {
            tracing::info!(target: "tremor_runtime", "{what} are loaded");
            for hazard in hazards {
                tracing::warn!(target: "tremor_runtime", "{what}: {}", sentence(hazard));
            }
        }
        Some(Err(problem)) => tracing::warn!(
            target: "tremor_runtime",
            "{what} cannot be loaded, so what was read before stays in use: {}", sentence(problem)
        ),
        None => {}
    }
}

fn content<T: Content>(path: &Path) -> Result<T, String> {
    let text = files::read(path, MAX_FILE_BYTES).map_err(|error| cause_of(&error));
    // Some editors put a byte order mark in front.
    let parsed = text.and_then(|text| T::parse(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text)));
    parsed.map_err(|error| format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, process::Command};

    impl Content for String {
        fn parse(text: &[u8]) -> Result<Self, String> {
            String::from_utf8(text.to_vec()).map_err(|error| error.to_string())
        }

        fn hazards(&self) -> Vec<String> {
            Vec::new()
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_place_of_a_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let followed = Followed::<String>::read(path.clone()).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let shown = path.display();
        assert_eq!(followed.shared.read_again(), Some(Err(format!("`{shown}`: it is no file"))));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "\u{feff}two").unwrap();
        assert_eq!(followed.shared.read_again(), Some(Ok(Vec::new())));
        assert_eq!(*followed.latest().get(), "two");
    }
}
