//! Comparing files without loading them whole (`spec/cli.md` 3.8).

use memchr::memmem::Finder;
use similar::{ChangeTag, TextDiff};
use std::{
    fmt::Write,
    fs::File,
    io::{self, Read},
    path::Path,
    time::Duration,
};

const BLOCK_BYTES: usize = 64 * 1024;
/// Files up to this size are compared line by line when they differ; of larger ones only the place is told.
const MAX_DIFF_BYTES: u64 = 4 * 1024 * 1024;
/// After this time a diff is finished coarsely.
const DIFF_TIME: Duration = Duration::from_secs(2);

/// Opens a regular file. Others are refused: a pipe or a device might never end.
fn open(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(path)
}

/// Tells for each needle whether it occurs within one line of the file. Memory: one block and the longest needle.
///
/// # Errors
/// If the file is missing, unreadable or not a regular file.
pub(super) fn find(path: &Path, needles: &[&str]) -> io::Result<Vec<bool>> {
    find_in(&mut open(path)?, needles)
}

fn find_in(file: &mut impl Read, needles: &[&str]) -> io::Result<Vec<bool>> {
    // A needle without a newline that occurs in the bytes of a file occurs in one of its lines, and a needle with
    // one never does.
    let finders: Vec<Option<Finder<'_>>> =
        needles.iter().map(|needle| (!needle.contains('\n')).then(|| Finder::new(*needle))).collect();
    let mut found = vec![false; needles.len()];
    let overlap = needles.iter().map(|needle| needle.len()).max().unwrap_or(0).saturating_sub(1);
    let mut window = Vec::with_capacity(BLOCK_BYTES + overlap);
    loop {
        let kept = window.len();
        file.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut window)?;
        if window.len() == kept {
            return Ok(found);
        }
        for (finder, found) in finders.iter().zip(&mut found) {
            *found = *found || finder.as_ref().is_some_and(|finder| finder.find(&window).is_some());
        }
        if found.iter().all(|found| *found) {
            return Ok(found);
        }
        window.drain(..window.len().saturating_sub(overlap));
    }
}

/// `true` if both files have the same bytes.
///
/// # Errors
/// If one of them is missing, unreadable or not a regular file.
pub(super) fn same(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (open(a)?, open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut block_a, mut block_b) = (Vec::new(), Vec::new());
    loop {
        block_a.clear();
        block_b.clear();
        a.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block_a)?;
        b.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block_b)?;
        if block_a != block_b {
            return Ok(false);
        }
        if block_a.is_empty() {
            return Ok(true);
        }
    }
}

/// What turns the file `expected` into the file `actual`: expected lines red, actual ones green.
///
/// # Errors
/// If one of them cannot be read.
pub(super) fn diff(expected: &Path, actual: &Path) -> io::Result<String> {
    let (old, new) = (open(expected)?, open(actual)?);
    let (old_bytes, new_bytes) = (old.metadata()?.len(), new.metadata()?.len());
    if old_bytes.max(new_bytes) > MAX_DIFF_BYTES {
        return Ok(format!("{new_bytes} bytes instead of {old_bytes}; too long to show where they differ\n"));
    }
    let read = |file: File| {
        let mut bytes = Vec::new();
        file.take(MAX_DIFF_BYTES).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(diff_texts(&read(old)?, &read(new)?))
}

fn diff_texts(expected: &str, actual: &str) -> String {
    let diff = TextDiff::configure().timeout(DIFF_TIME).diff_lines(expected, actual);
    let mut out = String::new();
    for (index, group) in diff.grouped_ops(3).iter().enumerate() {
        if index > 0 {
            out.push_str("  ...\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (sign, on, off) = match change.tag() {
                ChangeTag::Delete => ('-', "\x1b[31m", "\x1b[0m"),
                ChangeTag::Insert => ('+', "\x1b[32m", "\x1b[0m"),
                ChangeTag::Equal => (' ', "", ""),
            };
            let line = change.value();
            let text = line.strip_suffix('\n').unwrap_or(line);
            // Writing to a `String` cannot fail.
            let _infallible = writeln!(out, "{on}{sign}{}{off}", visible(text));
            if !line.ends_with('\n') {
                out.push_str("  (no newline at the end)\n");
            }
        }
    }
    out
}

/// Makes control characters visible: they could be the whole difference, or disturb the terminal.
fn visible(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if c.is_control() && c != '\t' { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte per read, so that every needle lies across reads.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let (Some((first, rest)), Some(slot)) = (self.0.split_first(), buffer.first_mut()) else {
                return Ok(0);
            };
            *slot = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn needles_are_found_within_a_line() {
        let text = b"one two\r\nthree\xff four\n";
        let needles = ["e t", "two\nthree", "four", "five", "", "one two"];
        let expected = [true, false, true, false, true, true];
        assert_eq!(find_in(&mut &text[..], &needles).unwrap(), expected);
        assert_eq!(find_in(&mut Slow(text), &needles).unwrap(), expected);
        assert_eq!(find_in(&mut &b""[..], &["", "x"]).unwrap(), [false, false]);
    }

    #[test]
    fn a_needle_across_blocks_is_found() {
        for at in [BLOCK_BYTES - 5, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES - 3] {
            let mut text = vec![b'.'; 3 * BLOCK_BYTES];
            text[at..at + 6].copy_from_slice(b"needle");
            assert_eq!(
                find_in(&mut text.as_slice(), &["needle", "n", "needles"]).unwrap(),
                [true, true, false]
            );
        }
    }

    #[test]
    fn a_diff_shows_both_sides() {
        let text = diff_texts("a\nb\nc\n", "a\nB\nc");
        assert!(text.contains("\x1b[31m-b\x1b[0m\n") && text.contains("\x1b[32m+B\x1b[0m\n"), "{text}");
        assert!(text.contains("(no newline at the end)"), "{text}");
        assert!(diff_texts("a\n", "a\r\n").contains("+a\\r"));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        assert!(find(dir.path(), &["x"]).is_err());
        assert!(find(Path::new("/dev/zero"), &["x"]).is_err());
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, vec![1; 100_000]).unwrap();
        std::fs::write(&b, vec![1; 100_000]).unwrap();
        assert!(same(&a, &b).unwrap());
        std::fs::write(&b, [vec![1; 99_999], vec![2]].concat()).unwrap();
        assert!(!same(&a, &b).unwrap());
        assert!(same(&a, &dir.path().join("none")).is_err());
    }
}
