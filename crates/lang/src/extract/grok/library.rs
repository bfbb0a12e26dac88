//! The patterns that have names.

use std::{
    borrow::Cow,
    collections::HashMap,
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
    sync::LazyLock,
};

/// The built-in patterns, in the form of the user's file.
const BUILT_IN: &str = include_str!("patterns.txt");

/// Bytes that a file of patterns may have.
const LARGEST_FILE: u64 = 1024 * 1024;

static DEFINITIONS: LazyLock<HashMap<&'static str, &'static str>> =
    LazyLock::new(|| lines(BUILT_IN).filter_map(|(_, line)| definition(line)).collect());

/// The built-in patterns, and those of the user in front of them.
#[derive(Debug, Default)]
pub(super) struct Library {
    own: HashMap<String, String>,
}

impl Library {
    /// The patterns of a file before the built-in ones; only those if there is no such file.
    ///
    /// # Errors
    /// Says why the file cannot be read, or which of its lines is no definition.
    pub(super) fn with_file(path: &Path) -> Result<Self, String> {
        let text = match File::open(path) {
            Ok(file) => read(file)
                .map_err(|reason| format!("the patterns in `{}` cannot be read: {reason}", path.display()))?,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(format!("the patterns in `{}` cannot be read: {error}", path.display()));
            }
        };
        Self::parse(&text).map_err(|reason| format!("{reason} in `{}`", path.display()))
    }

    /// The patterns that a text defines, one `NAME regex` per line. Empty lines and those that begin with `#` are comments; of two
    /// definitions of a name the last counts.
    ///
    /// # Errors
    /// Says which line is no definition.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut own = HashMap::new();
        for (number, line) in lines(text) {
            let wrong = || {
                format!(
                    "line {number} is no pattern; write `NAME regex`, with letters, digits and `_` in the name,"
                )
            };
            let (name, regex) = definition(line).ok_or_else(wrong)?;
            own.insert(name.to_owned(), regex.to_owned());
        }
        Ok(Self { own })
    }

    /// What a name stands for, with the name.
    pub(super) fn get(&self, name: &str) -> Option<(&str, &str)> {
        let own = self.own.get_key_value(name).map(|(name, regex)| (name.as_str(), regex.as_str()));
        own.or_else(|| DEFINITIONS.get_key_value(name).map(|(name, regex)| (*name, *regex)))
    }

    /// All names, those of the user twice if they replace others.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.own.keys().map(String::as_str).chain(DEFINITIONS.keys().copied())
    }

    /// Whether a definition of the user holds `text`.
    pub(super) fn mentions(&self, text: &str) -> bool {
        self.own.values().any(|regex| regex.contains(text))
    }
}

fn read(file: File) -> Result<String, Cow<'static, str>> {
    let mut text = String::new();
    let mut bounded = file.take(LARGEST_FILE + 1);
    bounded.read_to_string(&mut text).map_err(|error| error.to_string())?;
    if bounded.limit() == 0 {
        return Err(format!("it has more than {LARGEST_FILE} bytes").into());
    }
    Ok(text)
}

/// The lines that are no comments, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn definition(line: &str) -> Option<(&str, &str)> {
    let (name, regex) = line.split_once(char::is_whitespace)?;
    is_name(name).then(|| (name, regex.trim_start()))
}

/// Whether a pattern can have this name.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_ours_defines_a_pattern_once() {
        assert!(lines(BUILT_IN).all(|(_, line)| definition(line).is_some()));
        assert_eq!(lines(BUILT_IN).count(), DEFINITIONS.len());
    }

    #[test]
    fn definitions_of_users_come_first() {
        let library = Library::parse("# ours\n\nWORD  [a-z]+ \n  TWO %{WORD} %{WORD}\r\nTWO x\n").unwrap();
        assert_eq!(library.get("WORD"), Some(("WORD", "[a-z]+")));
        assert_eq!(library.get("TWO"), Some(("TWO", "x")));
        assert_eq!(library.get("INT"), Library::default().get("INT"));
        assert_eq!(library.get("NONE"), None);
    }

    #[test]
    fn lines_that_define_nothing() {
        let refused = |text| Library::parse(text).unwrap_err();
        assert!(refused("A a\nB\n").starts_with("line 2 is no pattern; write `NAME regex`"));
        assert!(refused("a-b c").starts_with("line 1 is no pattern"));
    }

    #[test]
    fn files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grok.patterns");
        assert_eq!(Library::with_file(&path).unwrap().own.len(), 0);
        std::fs::write(&path, "MINE x").unwrap();
        assert_eq!(Library::with_file(&path).unwrap().get("MINE"), Some(("MINE", "x")));
        assert_eq!(Library::with_file(&path.join("below")).unwrap().own.len(), 0);

        let refused = || Library::with_file(&path).unwrap_err();
        std::fs::write(&path, "MINE").unwrap();
        assert_eq!(
            refused(),
            format!(
                "line 1 is no pattern; write `NAME regex`, with letters, digits and `_` in the name, in `{}`",
                path.display()
            )
        );
        std::fs::write(&path, b"MINE \xff").unwrap();
        assert!(refused().starts_with("the patterns in `"));
        std::fs::write(&path, "# much\n".repeat(200_000)).unwrap();
        assert!(refused().ends_with("it has more than 1048576 bytes"));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(refused().contains("cannot be read"));
    }
}
