//! What the log asks of a file system, so that a test can put one in its place that loses power.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// One directory with files in it. Nothing survives a loss of power before it was synced: neither the content of a
/// file ([`Stored::sync`]) nor its name ([`Files::sync_names`]).
pub(super) trait Files: Send + Sync {
    /// The names of all files, in any order.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Makes an empty file; one that is there is emptied.
    fn create(&self, name: &str) -> io::Result<Box<dyn Stored>>;

    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Box<dyn Stored>>;

    /// Gives a file another name; a file that has that name already is gone afterwards.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// What was created, renamed and removed so far lasts when this returns.
    fn sync_names(&self) -> io::Result<()>;

    /// How messages call a file.
    fn shown(&self, name: &str) -> String;
}

/// An open file.
pub(super) trait Stored: Send {
    /// Its size in bytes.
    fn size(&self) -> u64;

    /// Reads what lies at `at` into `into` and tells how many bytes that were; 0 at the end.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes `data` behind the end. After an error it is unknown how much of it was written.
    fn append(&mut self, data: &[u8]) -> io::Result<()>;

    /// Writes `data` over what lies at `at`, all of it within the file. After an error it is unknown how much of it was
    /// written.
    fn overwrite(&mut self, at: u64, data: &[u8]) -> io::Result<()>;

    /// Cuts off what lies behind `size`.
    fn cut(&mut self, size: u64) -> io::Result<()>;

    /// What was written so far lasts when this returns.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory of the system, used by nobody else as long as this lives.
pub(super) struct Folder {
    path: PathBuf,
    /// Locked; the lock ends with the file, or with the process.
    _lock: File,
}

/// The file whose lock says that a directory is in use.
const LOCK: &str = "lock";
/// How long whoever has just ended may still hold the lock, as a process that is going to be replaced, or a read that is
/// under way.
const LOCKED_FOR: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(10);

impl Folder {
    /// Takes `path` into use. Says in full what is wrong with it. Blocks, for a second at most.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let there = path.metadata().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                format!(
                    "the directory `{shown}` does not exist; create it: mkdir -p {}",
                    quoted(&shown.to_string())
                )
            }
            _ => format!("the directory `{shown}`: {error}"),
        })?;
        if !there.is_dir() {
            return Err(format!("`{shown}` is not a directory"));
        }
        let file = path.join(LOCK);
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(&file);
        let lock = lock.map_err(|error| format!("`{}`: {error}", file.display()))?;
        let since = Instant::now();
        let mut locked = lock.try_lock();
        while matches!(locked, Err(TryLockError::WouldBlock)) && since.elapsed() < LOCKED_FOR {
            thread::sleep(LOCK_RETRY);
            locked = lock.try_lock();
        }
        match locked {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(format!(
                "the log in `{shown}` is in use by another process or another connector; every log needs a directory \
                 of its own"
            )),
            Err(TryLockError::Error(error)) => Err(format!("locking `{}`: {error}", file.display())),
        }
    }

    fn opened(file: File) -> io::Result<Box<dyn Stored>> {
        let size = file.metadata()?.len();
        Ok(Box::new(OnDisk { file, size }))
    }
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    if path.chars().all(is_plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

impl Files for Folder {
    fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?;
        // Our names are plain ASCII; what is not even UTF-8 is none of ours.
        entries
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Stored>> {
        let mut options = OpenOptions::new();
        Self::opened(options.read(true).write(true).create(true).truncate(true).open(self.path.join(name))?)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Stored>> {
        Self::opened(OpenOptions::new().read(true).write(true).open(self.path.join(name))?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn shown(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

struct OnDisk {
    file: File,
    size: u64,
}

impl Stored for OnDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read_at(into, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, self.size)?;
        self.size += data.len() as u64;
        Ok(())
    }

    fn overwrite(&mut self, at: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, at)
    }

    fn cut(&mut self, size: u64) -> io::Result<()> {
        self.file.set_len(size)?;
        self.size = size;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
