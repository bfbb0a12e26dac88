//! `assert.yaml`: what a test expects (`spec/cli.md` 3.8).

use super::{
    console::Console,
    content,
    process::{Ended, Logs},
    yaml::Text,
};
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Name of the file.
pub(super) const FILE: &str = "assert.yaml";

/// What the file says; unknown keys are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct AssertFile {
    pub(super) status: i64,
    pub(super) name: Text,
    pub(super) asserts: Vec<Entry>,
}

/// Expectations of one file.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    source: Text,
    contains: Option<Vec<Text>>,
    doesnt_contain: Option<Vec<Text>>,
    equals_file: Option<Text>,
    equals_file_binary: Option<Text>,
}

/// One thing that was looked at.
#[derive(Debug)]
pub(super) struct Check {
    /// What was expected, in words.
    pub(super) description: String,
    /// What was looked for.
    pub(super) info: String,
    /// Name of the failure in command suites.
    pub(super) subject: String,
    pub(super) passed: bool,
    /// Why it failed: a reason or a diff.
    pub(super) detail: Option<String>,
    pub(super) took: Duration,
}

impl Check {
    /// A failure that is no expectation of the user: the test could not be carried out.
    pub(super) fn broken(subject: impl Into<String>, message: impl Into<String>) -> Self {
        let (subject, message) = (subject.into(), message.into());
        Self {
            description: message.clone(),
            info: message,
            subject,
            passed: false,
            detail: None,
            took: Duration::ZERO,
        }
    }
}

/// Compares how a process ended with the status that was expected of it.
pub(super) fn check_status(name: &str, expected: i64, ended: Ended) -> Check {
    let (passed, detail) = match ended {
        Ended::Code(code) if i64::from(code) == expected => (true, None),
        Ended::Code(code) => (false, Some(format!("expected status {expected}, got {code}"))),
        Ended::Signal(signal) => {
            (false, Some(format!("expected status {expected}, ended by signal {signal}")))
        }
    };
    Check {
        description: format!("Process expected to exit with status code {expected}"),
        info: expected.to_string(),
        subject: name.to_owned(),
        passed,
        detail,
        took: Duration::ZERO,
    }
}

/// Files of one test: relative names lie in `folder`, `stdout` and `stderr` mean `logs`.
pub(super) struct Files<'a> {
    pub(super) folder: &'a Path,
    pub(super) logs: &'a Logs,
}

impl Files<'_> {
    /// The file that a `source` names. A name that does not exist as written is tried in lower case.
    fn source(&self, name: &str) -> PathBuf {
        if name.eq_ignore_ascii_case("stdout") {
            return self.logs.stdout.clone();
        }
        if name.eq_ignore_ascii_case("stderr") {
            return self.logs.stderr.clone();
        }
        let path = self.folder.join(name);
        let lower = self.folder.join(name.to_lowercase());
        if !path.exists() && lower.exists() { lower } else { path }
    }

    /// # Errors
    /// If a file that something is to be compared with does not exist; the text names it.
    pub(super) fn check_targets(&self, entries: &[Entry]) -> Result<(), String> {
        for entry in entries {
            for target in [&entry.equals_file, &entry.equals_file_binary].into_iter().flatten() {
                if !self.folder.join(&target.0).is_file() {
                    return Err(format!(
                        "The file `{}`, which `{}` is to be compared with, does not exist",
                        target.0, entry.source.0
                    ));
                }
            }
        }
        Ok(())
    }

    /// Checks everything that `entry` expects. An entry that expects nothing is a skip, and so is one that only has
    /// `equals_file_binary`: folders in the field carry such entries for bytes that depend on the encoder.
    pub(super) fn check(&self, entry: &Entry) -> Option<Vec<Check>> {
        if entry.contains.is_none() && entry.doesnt_contain.is_none() && entry.equals_file.is_none() {
            return None;
        }
        let (shown, path) = (&entry.source.0, self.source(&entry.source.0));
        let mut checks = Vec::new();
        for (needles, expected) in [(&entry.contains, true), (&entry.doesnt_contain, false)] {
            if let Some(needles) = needles {
                checks.extend(check_needles(shown, &path, needles, expected));
            }
        }
        if let Some(target) = &entry.equals_file {
            checks.push(self.check_equal(shown, &path, &target.0, true));
        }
        if let Some(target) = &entry.equals_file_binary {
            checks.push(self.check_equal(shown, &path, &target.0, false));
        }
        Some(checks)
    }

    fn check_equal(&self, shown: &str, path: &Path, target: &str, lines: bool) -> Check {
        let (began, expected) = (Instant::now(), self.folder.join(target));
        let (passed, detail) = match content::same(&expected, path) {
            Ok(true) => (true, None),
            Ok(false) if lines => {
                (false, Some(content::diff(&expected, path).unwrap_or_else(|error| error.to_string())))
            }
            Ok(false) => (false, Some("the bytes differ".to_owned())),
            Err(error) => (false, Some(unreadable(path, &expected, &error))),
        };
        Check {
            description: format!("File `{shown}` equals `{target}`"),
            info: target.to_owned(),
            subject: path.display().to_string(),
            passed,
            detail,
            took: began.elapsed(),
        }
    }
}

/// Says which of the two files it is that cannot be compared.
fn unreadable(path: &Path, expected: &Path, error: &std::io::Error) -> String {
    let file = if path.is_file() { expected } else { path };
    format!("cannot read {}: {error}", file.display())
}

/// One check per needle, all of them in one pass over the file.
fn check_needles(shown: &str, path: &Path, needles: &[Text], expected: bool) -> Vec<Check> {
    let began = Instant::now();
    let trimmed: Vec<&str> = needles.iter().map(|needle| needle.0.trim()).collect();
    let found = content::find(path, &trimmed);
    let took = began.elapsed();
    let check = |(index, needle): (usize, &&str)| {
        let (passed, detail) = match &found {
            Ok(found) => (found.get(index) == Some(&expected), None),
            Err(error) => (false, Some(format!("cannot read {}: {error}", path.display()))),
        };
        let verb = if expected { "contains" } else { "does not contain" };
        Check {
            description: format!("File `{shown}` {verb} `{needle}`"),
            info: (*needle).to_owned(),
            subject: path.display().to_string(),
            passed,
            detail,
            took,
        }
    };
    trimmed.iter().enumerate().map(check).collect()
}

/// Prints one check; the detail of a failed one below it.
pub(super) fn print(console: &Console, number: usize, text: &str, check: &Check) {
    console.mark(check.passed, &format!("Assert {number}: {text}"));
    if let Some(detail) = &check.detail {
        console.detail(detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::yaml;
    use std::fs;

    fn passed(dir: &Path, entry: &str) -> Option<Vec<bool>> {
        let entry: Entry = yaml::parse(entry).unwrap();
        let logs = Logs { stdout: dir.join("fg.out.log"), stderr: dir.join("fg.err.log") };
        let files = Files { folder: dir, logs: &logs };
        files.check(&entry).map(|checks| checks.iter().map(|check| check.passed).collect())
    }

    #[test]
    fn entries_are_checked_in_order() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        for (file, text) in [
            ("fg.err.log", "warn: 7\n"),
            ("out.log", "{\"a\":1}\r\nb\n"),
            ("same.log", "{\"a\":1}\r\nb\n"),
            ("lf.log", "{\"a\":1}\nb\n"),
        ] {
            fs::write(dir.join(file), text).unwrap();
        }
        let all = "source: out.log
contains: ['{\"a\":1}', \"b\\n\", 7]
doesnt_contain: [zzz, b]
equals_file: same.log
equals_file_binary: lf.log
unknown: {}";
        assert_eq!(passed(dir, all), Some(vec![true, true, false, true, false, true, false]));
        assert_eq!(passed(dir, "{source: STDERR, contains: [7, 'warn: 7']}"), Some(vec![true, true]));
        assert_eq!(passed(dir, "{source: OUT.log, contains: [b]}"), Some(vec![true]));
        assert_eq!(passed(dir, "{source: none.log, doesnt_contain: [b]}"), Some(vec![false]));
        assert_eq!(passed(dir, "{source: out.log, equals_file: lf.log}"), Some(vec![false]));
        assert_eq!(passed(dir, "{source: out.log, contains: []}"), Some(vec![]));
        assert_eq!(passed(dir, "{source: out.log, equals_file_binary: lf.log}"), None);
        assert_eq!(passed(dir, "{source: out.log, contain: [x]}"), None);
    }

    #[test]
    fn a_status_is_a_code() {
        assert!(check_status("n", 1, Ended::Code(1)).passed);
        assert!(!check_status("n", 1, Ended::Code(0)).passed);
        assert!(!check_status("n", 9, Ended::Signal(9)).passed);
    }
}
