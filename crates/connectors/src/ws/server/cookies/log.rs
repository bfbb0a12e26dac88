//! The file of cookies: lines of JSON, of which the last one of an id counts.

use super::jar::Entry;
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write},
    path::{Path, PathBuf},
};
use tremor_value::Value;

/// Dead lines that are always borne: a short file is not worth the work.
const FEW_LINES: usize = 16;

/// Longest line that is looked at, in bytes.
const MAX_LINE_BYTES: u64 = 1024;

/// The file, locked against others.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    lines: usize,
    end: End,
}

/// Where whole lines end.
struct End {
    /// In bytes; nobody knows where something torn stands in between.
    bytes: Option<u64>,
    /// There is a part of a line behind them.
    is_torn: bool,
}

/// What lines are written to.
trait Paper: Write {
    /// Takes away what is behind so many bytes.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
}

impl Paper for File {
    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}

impl End {
    fn of(file: &File) -> io::Result<Self> {
        Ok(Self { bytes: Some(file.metadata()?.len()), is_torn: false })
    }

    /// Adds a whole line or nothing. Where a part of one cannot be taken away again, the next one begins on a line of its
    /// own.
    fn add(&mut self, line: &str, paper: &mut impl Paper) -> io::Result<()> {
        if self.is_torn {
            self.mend(paper);
        }
        let written = match self.is_torn {
            true => paper.write_all(format!("\n{line}").as_bytes()),
            false => paper.write_all(line.as_bytes()),
        };
        match &written {
            Ok(()) => {
                self.bytes = self.bytes.filter(|_| !self.is_torn).map(|bytes| bytes + line.len() as u64);
                self.is_torn = false;
            }
            Err(_) => {
                self.is_torn = true;
                self.mend(paper);
            }
        }
        written
    }

    fn mend(&mut self, paper: &mut impl Paper) {
        self.is_torn = self.bytes.is_none_or(|bytes| paper.cut(bytes).is_err());
    }
}

impl Log {
    /// Opens or makes the file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = options().truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { end: End::of(&file)?, path: path.to_owned(), file, lines: 0 }),
            Err(TryLockError::WouldBlock) => Err(io::Error::other("somebody else uses it")),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds, and how many lines cannot be understood, such as the half of one that was written last.
    pub(super) fn read(&mut self) -> io::Result<(Vec<Entry>, usize)> {
        self.file.rewind()?;
        let mut reader = BufReader::new(&self.file);
        let mut known: HashMap<Box<str>, Option<Entry>> = HashMap::new();
        let (mut line, mut torn) = (Vec::new(), 0);
        loop {
            line.clear();
            if (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
                return Ok((known.into_values().flatten().collect(), torn));
            }
            match std::str::from_utf8(&line).ok().and_then(parse) {
                Some((id, entry)) => {
                    known.insert(id, entry);
                }
                None if line.trim_ascii().is_empty() => {}
                None => torn += 1,
            }
        }
    }

    /// Adds what became of an id; nothing if it is forgotten.
    pub(super) fn append(&mut self, id: &str, entry: Option<&Entry>) -> io::Result<()> {
        let line = entry.map_or_else(|| format!("{{\"id\":\"{id}\",\"forgotten\":true}}\n"), line);
        self.end.add(&line, &mut self.file)?;
        self.lines += 1;
        Ok(())
    }

    /// Whether it is worth to write the file anew, which has `live` lines that count.
    pub(super) fn is_mostly_dead(&self, live: usize) -> bool {
        let dead = self.lines.saturating_sub(live);
        dead > live && dead > FEW_LINES
    }

    /// Writes the file anew: there is the old one or the new one, whatever happens.
    pub(super) fn rewrite(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let fresh_path = PathBuf::from(name);
        let fresh = options().truncate(false).open(&fresh_path)?;
        fresh.try_lock().map_err(|_| io::Error::other("somebody else writes it anew"))?;
        fresh.set_len(0)?;
        let mut writer = BufWriter::new(&fresh);
        for entry in entries {
            writer.write_all(line(entry).as_bytes())?;
        }
        writer.flush()?;
        drop(writer);
        fresh.sync_all()?;
        fs::rename(&fresh_path, &self.path)?;
        (self.end, self.file, self.lines) = (End::of(&fresh)?, fresh, entries.len());
        Ok(())
    }
}

/// What is written goes to the end, and nobody else may read it: ids are as good as passwords.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Ids need no escapes.
fn line(entry: &Entry) -> String {
    let Entry { id, created_s, used_s } = entry;
    format!("{{\"id\":\"{id}\",\"created\":{created_s},\"used\":{used_s}}}\n")
}

/// The id of a line, and what is known of it, if it was not forgotten.
fn parse(line: &str) -> Option<(Box<str>, Option<Entry>)> {
    let line = Value::from_json_str(line.trim_end()).ok()?;
    let id: Box<str> = line.get("id")?.as_str()?.into();
    let is_own = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if id.len() > 64 || !id.bytes().all(is_own) {
        return None;
    }
    if line.get("forgotten").is_some() {
        return Some((id, None));
    }
    let time = |key| line.get(key).and_then(Value::as_u64);
    let entry = Entry { id: id.clone(), created_s: time("created")?, used_s: time("used")? };
    Some((id, Some(entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, used_s: u64) -> Entry {
        Entry { id: id.into(), created_s: 1, used_s }
    }

    #[test]
    fn the_last_line_of_an_id_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cookies");
        let mut log = Log::open(&path).unwrap();
        for (id, used) in [("a", Some(1)), ("b", Some(2)), ("a", Some(3)), ("b", None)] {
            log.append(id, used.map(|used| entry(id, used)).as_ref()).unwrap();
        }
        assert!(Log::open(&path).is_err(), "it is in use");
        drop(log);
        let mut broken = OpenOptions::new().append(true).open(&path).unwrap();
        broken.write_all(b"\xff\n{\"id\":\"a b\",\"created\":1,\"used\":1}\n{\"id\":\"c\",\"crea").unwrap();
        let mut log = Log::open(&path).unwrap();
        assert_eq!(log.read().unwrap(), (vec![entry("a", 3)], 3));
        log.rewrite(&[entry("a", 3)]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"id\":\"a\",\"created\":1,\"used\":3}\n");
        log.append("d", Some(&entry("d", 9))).unwrap();
        assert_eq!(log.read().unwrap().0.len(), 2, "what is written goes to the new file");
        assert!(Log::open(&path).is_err(), "which is in use, too");
    }

    /// Takes so many bytes more, and lets take away what is too much only if it `can_cut`.
    struct Scrap {
        text: Vec<u8>,
        room: usize,
        can_cut: bool,
    }

    impl Write for Scrap {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.text.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Paper for Scrap {
        fn cut(&mut self, bytes: u64) -> io::Result<()> {
            if !self.can_cut {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            self.text.truncate(usize::try_from(bytes).unwrap());
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_spoils_no_line_but_the_one_that_does_not_fit() {
        for (cuts, expected) in [
            ([true, true], "one\nthree\nfour\n"),
            ([false, true], "one\nthree\nfour\n"),
            ([false, false], "one\ntw\nthree\nfour\n"),
        ] {
            let mut paper = Scrap { text: Vec::new(), room: 6, can_cut: cuts[0] };
            let mut end = End { bytes: Some(0), is_torn: false };
            end.add("one\n", &mut paper).unwrap();
            end.add("two\n", &mut paper).unwrap_err();
            (paper.room, paper.can_cut) = (100, cuts[1]);
            end.add("three\n", &mut paper).unwrap();
            end.add("four\n", &mut paper).unwrap();
            assert_eq!(String::from_utf8_lossy(&paper.text), expected, "{cuts:?}");
            // And once more, behind what may be torn.
            (paper.room, paper.can_cut) = (2, true);
            end.add("five\n", &mut paper).unwrap_err();
            paper.room = 100;
            end.add("six\n", &mut paper).unwrap();
            let text = String::from_utf8(paper.text).unwrap();
            assert!(text.starts_with(expected) && text.ends_with("\nsix\n"), "{text}");
        }
    }
}
