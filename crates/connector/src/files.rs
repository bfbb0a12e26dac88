//! Files that a configuration names: what is in them, and whether they have changed, found out by looking at them every now and
//! then.
//!
//! A look costs little for the few files of a connector, and unlike a notification of the system it does not depend on what kind of
//! file system they are on, and follows links, which is how certificates are replaced in containers.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::task::JoinHandle;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

/// Longest file of certificates, keys or users that is read, in bytes; the root certificates of the whole web are a quarter of a MiB.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// What is in a file of `most` bytes at most. May block for a moment, and never for somebody who writes.
///
/// # Errors
/// It cannot be read, is longer, or is no file but a pipe or something else that may never end.
pub fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let found = fs::metadata(path)?.file_type();
    // To read a folder fails with words of its own.
    if !found.is_file() && !found.is_dir() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(io::Error::other(format!("it is longer than {most} bytes")));
    }
    Ok(bytes)
}

/// What tells one content of a file from another without reading it; `None` if there is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp(Option<(u64, Option<SystemTime>, [i64; 4])>);

impl Stamp {
    fn of(path: &Path) -> Self {
        Self(fs::metadata(path).ok().map(|found| (found.len(), found.modified().ok(), place(&found))))
    }
}

/// Which file it is, and when anything about it was changed.
#[cfg(unix)]
fn place(found: &fs::Metadata) -> [i64; 4] {
    use std::os::unix::fs::MetadataExt as _;
    [found.dev().cast_signed(), found.ino().cast_signed(), found.ctime(), found.ctime_nsec()]
}

#[cfg(not(unix))]
fn place(_found: &fs::Metadata) -> [i64; 4] {
    [0; 4]
}

/// How some files looked at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look(Vec<(PathBuf, Stamp)>);

impl Look {
    /// Looks at one more file. To be done before it is read: a change in between is then seen the next time.
    pub fn add(&mut self, path: &Path) {
        self.0.push((path.to_owned(), Stamp::of(path)));
    }

    /// Looks at the same files once more.
    #[must_use]
    pub fn again(&self) -> Self {
        Self(self.0.iter().map(|(path, _)| (path.clone(), Stamp::of(path))).collect())
    }
}

/// How files looked when they were read, and what came of it.
#[derive(Debug)]
pub struct Reading {
    /// When they could be used.
    known: Look,
    /// When they could not, with the reason.
    failed: Option<(Look, String)>,
}

impl Reading {
    /// Of files that could be used; `known` is how they looked before they were read.
    #[must_use]
    pub fn of(known: Look) -> Self {
        Self { known, failed: None }
    }

    /// How the files looked when they could be used, and how they look now.
    #[must_use]
    pub fn look(&self) -> (Look, Look) {
        (self.known.clone(), self.known.again())
    }

    /// Has the files read once more. Gives what came of it, unless that is the failure of the last time: files that cannot be
    /// used may be read again and again, as it may be the system that has no room for them.
    pub fn again<T>(&mut self, read: impl FnOnce() -> Result<T, String>) -> Option<Result<T, String>> {
        let now = self.known.again();
        match read() {
            Ok(content) => {
                *self = Self::of(now);
                Some(Ok(content))
            }
            Err(problem) => {
                let failed = Some((now, problem.clone()));
                let is_new = self.failed != failed;
                self.failed = failed;
                is_new.then_some(Err(problem))
            }
        }
    }
}

/// Follows files until it is dropped.
#[derive(Debug)]
pub struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Following {
    /// Calls `changed`, which is to read the files, when they have changed and then stayed the same for one more look: several
    /// files are hardly ever replaced at once, nor one of them by all who write. `look`, which may block for a moment, gives how
    /// they looked when they were last read, and how they look now; as long as these differ, they are to be read. Needs a
    /// Tokio runtime.
    #[must_use]
    pub fn start<L, C, F>(look: L, changed: C) -> Self
    where
        L: Fn() -> (Look, Look) + Clone + Send + 'static,
        C: Fn() -> F + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        Self(tokio::spawn(async move {
            let mut seen = None;
            loop {
                tokio::time::sleep(EVERY).await;
                let Ok((known, now)) = tokio::task::spawn_blocking(look.clone()).await else {
                    continue;
                };
                if now == known {
                    seen = None;
                } else if seen.as_ref() != Some(&now) {
                    seen = Some(now);
                } else {
                    seen = None;
                    changed().await;
                }
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_file_is_read_up_to_its_bound_and_what_may_never_end_is_not() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().to_string(), "it is longer than 4 bytes");
        assert_eq!(read(folder.path(), 5).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(read(&folder.path().join("b"), 5).unwrap_err().kind(), io::ErrorKind::NotFound);
        #[cfg(unix)]
        assert_eq!(read(Path::new("/dev/zero"), 5).unwrap_err().to_string(), "it is no file");
    }

    #[test]
    fn every_way_to_replace_a_file_is_seen() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a");
        let mut look = Look::default();
        look.add(&path);
        let mut seen = |what: &str| {
            let again = look.again();
            assert_ne!(again, look, "{what}");
            assert_eq!(again.again(), again, "{what}");
            look = again;
        };
        fs::write(&path, "one").unwrap();
        seen("it is there");
        fs::write(&path, "longer").unwrap();
        seen("written again");
        // As long, and as old.
        let other = folder.path().join("b");
        fs::write(&other, "equals").unwrap();
        let age = fs::metadata(&path).unwrap().modified().unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(age).unwrap();
        fs::rename(&other, &path).unwrap();
        #[cfg(unix)]
        {
            seen("another in its place");
            fs::rename(&path, &other).unwrap();
            std::os::unix::fs::symlink(&other, &path).unwrap();
            seen("a link to it");
        }
        fs::remove_file(&path).unwrap();
        seen("gone");
    }
}
