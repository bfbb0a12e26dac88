//! Whether files have changed, found out by looking at them every now and then.
//!
//! A look costs little for the few files of a server, and unlike a notification of the system it does not depend on what kind of
//! file system they are on, and follows links, which is how certificates are replaced in containers.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::task::JoinHandle;
use tracing::info;

use super::ServerTls;
use crate::task::TARGET;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

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
pub(super) struct Look(Vec<(PathBuf, Stamp)>);

impl Look {
    /// Looks at one more file. To be done before it is read: a change in between is then seen the next time.
    pub(super) fn add(&mut self, path: &Path) {
        self.0.push((path.to_owned(), Stamp::of(path)));
    }

    /// Looks at the same files once more.
    pub(super) fn again(&self) -> Self {
        Self(self.0.iter().map(|(path, _)| (path.clone(), Stamp::of(path))).collect())
    }
}

/// Follows the files of a server until it is dropped.
#[derive(Debug)]
pub struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watching {
    /// Has `tls` read its files again when they have changed and then stayed the same for one more look: several files are
    /// hardly ever replaced at once. `alias` is who tells of it.
    pub(super) fn start(tls: ServerTls, alias: String) -> Self {
        Self(tokio::spawn(async move {
            let mut changed = None;
            loop {
                tokio::time::sleep(EVERY).await;
                let seen = tls.clone();
                let Ok((known, now)) = tokio::task::spawn_blocking(move || seen.look()).await else {
                    continue;
                };
                if now == known {
                    changed = None;
                } else if changed.as_ref() != Some(&now) {
                    changed = Some(now);
                } else {
                    changed = None;
                    info!(target: TARGET, "[Connector::{alias}] files of `tls` have changed");
                    let _told = tls.reload(&alias).await;
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
        fs::File::options().write(true).open(&other).unwrap().set_modified(age).unwrap();
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
