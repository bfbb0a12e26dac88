//! Where configured log lines go: the console, a file, or a file that is rolled over when it has grown.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Takes finished lines from any thread.
///
/// A line that cannot be written is lost: there is no better place left to say so.
pub(super) trait Appender: Send + Sync {
    /// Writes one line, newline included, at once.
    fn append(&self, line: &str);

    /// `true` if escape sequences are welcome.
    fn has_color(&self) -> bool {
        false
    }
}

/// Standard output or standard error.
pub(super) struct Console {
    pub(super) to_stderr: bool,
    pub(super) color: bool,
}

impl Appender for Console {
    fn append(&self, line: &str) {
        let _lost = if self.to_stderr {
            io::stderr().lock().write_all(line.as_bytes())
        } else {
            let mut out = io::stdout().lock();
            out.write_all(line.as_bytes()).and_then(|()| out.flush())
        };
    }

    fn has_color(&self) -> bool {
        self.color
    }
}

/// What happens to a file that has reached its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roller {
    /// It is removed.
    Delete,
    /// It becomes number `base` of `pattern` (`{}` is the number); older ones move up, and `count` of them are kept.
    FixedWindow { pattern: String, base: u32, count: u32 },
}

/// When a file is rolled over, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) limit_bytes: u64,
    pub(super) roller: Roller,
}

/// A file, with or without a policy for its growth.
pub(super) struct Log {
    path: PathBuf,
    policy: Option<Policy>,
    open: Mutex<Open>,
}

struct Open {
    file: File,
    bytes: u64,
}

impl Log {
    /// Opens the file; its folder is created if it is missing.
    ///
    /// # Errors
    /// If that is not possible.
    pub(super) fn open(path: &Path, append: bool, policy: Option<Policy>) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(Self { path: path.to_owned(), policy, open: Mutex::new(open(path, append)?) })
    }

    fn write(&self, line: &str) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.file.write_all(line.as_bytes())?;
        open.bytes = open.bytes.saturating_add(line.len() as u64);
        match &self.policy {
            Some(policy) if open.bytes > policy.limit_bytes => {
                roll(&self.path, &policy.roller)?;
                *open = self::open(&self.path, true)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Appender for Log {
    fn append(&self, line: &str) {
        let _lost = self.write(line);
    }
}

fn open(path: &Path, append: bool) -> io::Result<Open> {
    // A truncated file is appended to, as well: several appenders and processes may share it.
    if !append {
        File::create(path)?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let bytes = file.metadata()?.len();
    Ok(Open { file, bytes })
}

fn roll(path: &Path, roller: &Roller) -> io::Result<()> {
    let Roller::FixedWindow { pattern, base, count } = roller else { return fs::remove_file(path) };
    let numbered = |number: u32| PathBuf::from(pattern.replace("{}", &number.to_string()));
    if *count == 0 {
        return fs::remove_file(path);
    }
    for number in (*base..base.saturating_add(count - 1)).rev() {
        match fs::rename(numbered(number), numbered(number.saturating_add(1))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    if let Some(folder) = numbered(*base).parent() {
        fs::create_dir_all(folder)?;
    }
    fs::rename(path, numbered(*base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_keeps_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/x.log");
        let pattern = dir.path().join("old/x.{}.log").to_str().unwrap().to_owned();
        let roller = Roller::FixedWindow { pattern, base: 1, count: 2 };
        let log = Log::open(&path, true, Some(Policy { limit_bytes: 5, roller })).unwrap();
        for line in ["one one\n", "two two\n", "three three\n", "4\n"] {
            log.append(line);
        }
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
        assert_eq!(read("sub/x.log").as_deref(), Some("4\n"));
        assert_eq!(read("old/x.1.log").as_deref(), Some("three three\n"));
        assert_eq!(read("old/x.2.log").as_deref(), Some("two two\n"));
        assert_eq!(read("old/x.3.log"), None);
    }

    #[test]
    fn a_file_is_appended_to_or_truncated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        fs::write(&path, "old\n").unwrap();
        Log::open(&path, true, None).unwrap().append("new\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old\nnew\n");
        let policy = Policy { limit_bytes: 100, roller: Roller::Delete };
        Log::open(&path, false, Some(policy.clone())).unwrap().append("newer\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "newer\n");
        let log = Log::open(&path, true, Some(policy)).unwrap();
        log.append(&"x".repeat(100));
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }
}
