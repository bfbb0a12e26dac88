//! Finding suites and tests (`spec/cli.md` 3.1 and 3.2).

use super::yaml::{self, Text};
use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

const META_FILE: &str = "meta.yaml";

/// Kinds of suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all(serialize = "lowercase"))]
pub(super) enum Kind {
    All,
    Bench,
    Command,
    Integration,
    Unit,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "All",
            Self::Bench => "Benchmark",
            Self::Command => "Command",
            Self::Integration => "Integration",
            Self::Unit => "Unit",
        })
    }
}

/// What a `meta.yaml` says; other keys are ignored.
#[derive(Debug, Deserialize)]
struct Meta {
    kind: Kind,
    includes: Text,
}

/// A folder with a `meta.yaml`.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) folder: PathBuf,
    pub(super) kind: Kind,
    includes: Pattern,
}

impl Suite {
    /// Reads a suite from its `meta.yaml`: JSON in spite of its name, of which YAML is a superset.
    pub(super) fn read(meta_file: &Path) -> Result<Self, String> {
        let Meta { kind, includes } = yaml::read(meta_file)?;
        let includes =
            Pattern::new(&includes.0).map_err(|error| format!("Invalid {}: {error}", meta_file.display()))?;
        Ok(Self { folder: meta_file.parent().unwrap_or(meta_file).to_owned(), kind, includes })
    }

    /// Directories below the suite folder that its pattern matches, sorted.
    pub(super) fn matching_folders(&self) -> Vec<PathBuf> {
        let mut folders = walk(&self.folder).folders;
        folders.retain(|folder| {
            folder.strip_prefix(&self.folder).is_ok_and(|relative| self.includes.matches(relative))
        });
        folders
    }
}

/// Which directories below a suite folder are test folders.
#[derive(Debug)]
enum Pattern {
    /// `*`: direct children.
    Children,
    /// Without a slash: the name of a directory at any depth.
    Name(GlobMatcher),
    /// With a slash: the path relative to the suite folder.
    Path(GlobMatcher),
}

impl Pattern {
    fn new(text: &str) -> Result<Self, globset::Error> {
        let text = text.trim();
        if text == "*" {
            return Ok(Self::Children);
        }
        // As in a gitignore file, a slash at the end says "directory" and does not anchor.
        let text = text.strip_suffix('/').unwrap_or(text);
        let glob = |text| {
            let glob = GlobBuilder::new(text).literal_separator(true).case_insensitive(true).build();
            glob.map(|glob| glob.compile_matcher())
        };
        if text.contains('/') {
            glob(text.strip_prefix('/').unwrap_or(text)).map(Self::Path)
        } else {
            glob(text).map(Self::Name)
        }
    }

    /// `relative` is the path of a directory, relative to the suite folder.
    fn matches(&self, relative: &Path) -> bool {
        match self {
            Self::Children => relative.components().count() == 1,
            Self::Name(glob) => relative.file_name().is_some_and(|name| glob.is_match(name)),
            Self::Path(glob) => relative.components().count() > 0 && glob.is_match(relative),
        }
    }
}

/// Every `meta.yaml` at any depth (the name in any letter case), sorted by path.
pub(super) fn meta_files(base: &Path) -> Vec<PathBuf> {
    files(base, |name| name.eq_ignore_ascii_case(META_FILE))
}

/// Every `command.yml` at any depth, sorted by path.
pub(super) fn command_files(base: &Path) -> Vec<PathBuf> {
    files(base, |name| name == "command.yml")
}

fn files(base: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut files = walk(base).files;
    files.retain(|file| file.file_name().and_then(|name| name.to_str()).is_some_and(&wanted));
    files
}

/// The `*.troy` files directly in `folder` (extension in any letter case), sorted by name.
pub(super) fn troy_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_troy = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("troy")) && path.is_file()
    };
    let mut files: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_troy).collect();
    files.sort();
    files
}

#[derive(Default)]
struct Tree {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

/// Everything below `base`, sorted. Symlinked directories are not entered.
fn walk(base: &Path) -> Tree {
    let mut tree = Tree::default();
    let mut open = vec![base.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(target: "tremor", "Cannot look into {}: {error}", folder.display());
                continue;
            }
        };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => {
                    tree.folders.push(path.clone());
                    open.push(path);
                }
                Ok(kind) if kind.is_file() || path.is_file() => tree.files.push(path),
                _ => {}
            }
        }
    }
    tree.folders.sort();
    tree.files.sort();
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(Path::new(path))
    }

    #[test]
    fn patterns_follow_their_rules() {
        assert!(matches("*", "a") && !matches("*", "a/b"));
        assert!(matches("ws-*", "x/WS-tls") && !matches("ws-*", "ws-x/tls"));
        assert!(matches("ws/*", "ws/tls") && !matches("ws/*", "x/ws/tls") && !matches("ws/*", "ws/tls/deep"));
        assert!(matches("/tls", "tls") && !matches("/tls", "a/tls"));
        assert!(matches("**/tls", "a/b/tls") && matches("**/tls", "tls"));
        assert!(matches("ws-{a,b}", "ws-b") && matches("t[0-9]?", "t1x") && !matches("t[0-9]?", "tx1"));
        assert!(matches("tls/", "a/tls"));
        assert!(Pattern::new("a[").is_err());
    }

    #[test]
    fn suites_are_found_at_any_depth() {
        let root = tempfile::tempdir().unwrap();
        let base = root.path();
        fs::create_dir_all(base.join("b/c")).unwrap();
        fs::create_dir_all(base.join("a")).unwrap();
        std::os::unix::fs::symlink(base.join("b"), base.join("link")).unwrap();
        for file in ["Meta.YAML", "b/c/meta.yaml", "a/meta.json"] {
            fs::write(base.join(file), r#"{"kind": "Integration", "includes": "*", "about": 1}"#).unwrap();
        }
        assert_eq!(meta_files(base), [base.join("Meta.YAML"), base.join("b/c/meta.yaml")]);
        let suite = Suite::read(&base.join("Meta.YAML")).unwrap();
        assert_eq!(suite.matching_folders(), [base.join("a"), base.join("b")]);
        fs::write(base.join("a/meta.yaml"), "kind: Command\nincludes: x\n").unwrap();
        assert_eq!(Suite::read(&base.join("a/meta.yaml")).unwrap().kind, Kind::Command);
        fs::write(base.join("a/meta.yaml"), "kind: command\nincludes: x\n").unwrap();
        assert!(Suite::read(&base.join("a/meta.yaml")).unwrap_err().contains("meta.yaml"));
    }
}
