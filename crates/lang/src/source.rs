//! Where the texts of modules come from.
//!
//! The language does no IO of its own: everything it reads comes through a [`SourceLoader`].

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The extensions tried for a module, in order.
const EXTENSIONS: [&str; 3] = ["tremor", "trickle", "troy"];

/// Entries of a directory that are looked at for a mistyped name.
const LISTED: usize = 1_000;

/// A text that a loader found.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name that messages show.
    pub name: String,
    /// The text.
    pub text: Arc<str>,
}

/// What a place could say about a file.
#[derive(Debug)]
pub enum Lookup {
    /// There is no such file here.
    Missing,
    /// The file is there.
    Found(Source),
    /// The file is there and cannot be read; the text says why.
    Unreadable(String),
}

/// A list of places in which modules are looked for.
///
/// A module `a::b` is the relative path `a/b` with one of three extensions; the extension counts more than the
/// order of the places (`spec/language-lexical.md` 9.2).
pub trait SourceLoader: Send + Sync {
    /// Number of places.
    fn places(&self) -> usize;

    /// Looks for the relative path `file` (`a/b.tremor`) in place number `place`.
    fn load(&self, place: usize, file: &str) -> Lookup;

    /// The places as shown to a user whose module was not found.
    fn describe(&self) -> Vec<String>;

    /// Names of the files and directories in the relative directory `directory` of place number `place`, for a user
    /// who mistyped one of them.
    fn list(&self, place: usize, directory: &str) -> Vec<String>;
}

/// Names of modules beside the one that `path` was to name, in all places; some may be directories.
pub(crate) fn siblings(loader: &dyn SourceLoader, path: &[&str]) -> Vec<String> {
    let Some((_, parents)) = path.split_last() else { return Vec::new() };
    if !parents.iter().all(|segment| is_plain(segment)) {
        return Vec::new();
    }
    let directory = parents.join("/");
    let mut names = Vec::new();
    for place in 0..loader.places() {
        for file in loader.list(place, &directory) {
            let stem = file.rsplit_once('.').filter(|(_, extension)| EXTENSIONS.contains(extension));
            names.push(stem.map_or_else(|| file.clone(), |(stem, _)| stem.to_owned()));
        }
    }
    names
}

/// Finds module `path`, or `Missing` if no place has it.
///
/// A segment that would leave the module path (`..`, one with a slash, an empty one) is never found.
pub fn find(loader: &dyn SourceLoader, path: &[&str]) -> Lookup {
    if path.is_empty() || path.iter().any(|segment| !is_plain(segment)) {
        return Lookup::Missing;
    }
    let relative = path.join("/");
    for extension in EXTENSIONS {
        let file = format!("{relative}.{extension}");
        for place in 0..loader.places() {
            match loader.load(place, &file) {
                Lookup::Missing => {}
                found => return found,
            }
        }
    }
    Lookup::Missing
}

fn is_plain(segment: &str) -> bool {
    !segment.is_empty()
        && segment != "."
        && segment != ".."
        && !segment.contains(['/', '\\', '\0'])
        && Path::new(segment).components().count() == 1
}

/// Directories of the file system, in order.
#[derive(Clone, Debug, Default)]
pub struct Directories {
    directories: Vec<PathBuf>,
}

impl Directories {
    /// The directories of a `TREMOR_PATH`: entries separated by `:`, trimmed; entries that are no directories and
    /// repeated ones are dropped, relative ones are made absolute with the working directory.
    #[must_use]
    pub fn from_path_list(list: &str) -> Self {
        let mut directories = Self::default();
        for entry in list.split(':').map(str::trim).filter(|entry| !entry.is_empty()) {
            directories.add(Path::new(entry));
        }
        directories
    }

    /// Appends a directory; one that does not exist or is already there changes nothing.
    pub fn add(&mut self, directory: &Path) {
        let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_path_buf());
        // Collapses `//` and `/./`, which `TREMOR_PATH` entries often carry.
        let absolute: PathBuf = absolute.components().collect();
        if absolute.is_dir() && !self.directories.contains(&absolute) {
            self.directories.push(absolute);
        }
    }
}

impl SourceLoader for Directories {
    fn places(&self) -> usize {
        self.directories.len()
    }

    fn load(&self, place: usize, file: &str) -> Lookup {
        let Some(path) = self.directories.get(place).map(|directory| directory.join(file)) else {
            return Lookup::Missing;
        };
        if !path.is_file() {
            return Lookup::Missing;
        }
        let name = path.display().to_string();
        match fs::read(&path).map(String::from_utf8) {
            Ok(Ok(text)) => Lookup::Found(Source { name, text: text.into() }),
            Ok(Err(_)) => Lookup::Unreadable(format!("{name} is not UTF-8")),
            Err(error) => Lookup::Unreadable(format!("{name}: {error}")),
        }
    }

    fn describe(&self) -> Vec<String> {
        self.directories.iter().map(|directory| directory.display().to_string()).collect()
    }

    fn list(&self, place: usize, directory: &str) -> Vec<String> {
        let Some(path) = self.directories.get(place).map(|base| base.join(directory)) else {
            return Vec::new();
        };
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).take(LISTED).collect()
    }
}

/// Texts held in memory, as one place. Names are relative paths such as `std/array.tremor`.
#[derive(Clone, Debug, Default)]
pub struct Embedded {
    label: String,
    files: BTreeMap<String, Arc<str>>,
}

impl Embedded {
    /// An empty set that messages call `label`.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), files: BTreeMap::new() }
    }

    /// Adds or replaces a file.
    #[must_use]
    pub fn with(mut self, file: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        self.files.insert(file.into(), text.into());
        self
    }
}

impl SourceLoader for Embedded {
    fn places(&self) -> usize {
        1
    }

    fn load(&self, _place: usize, file: &str) -> Lookup {
        self.files.get(file).map_or(Lookup::Missing, |text| {
            Lookup::Found(Source { name: format!("{}/{file}", self.label), text: Arc::clone(text) })
        })
    }

    fn describe(&self) -> Vec<String> {
        vec![self.label.clone()]
    }

    fn list(&self, _place: usize, directory: &str) -> Vec<String> {
        let below = |file: &String| {
            let rest =
                if directory.is_empty() { file } else { file.strip_prefix(directory)?.strip_prefix('/')? };
            rest.split('/').next().map(str::to_owned)
        };
        self.files.keys().filter_map(below).collect()
    }
}

/// Several loaders, one after the other.
#[derive(Default)]
pub struct Layered {
    loaders: Vec<Arc<dyn SourceLoader>>,
}

impl Layered {
    /// The places of `loaders`, in order.
    #[must_use]
    pub fn new(loaders: Vec<Arc<dyn SourceLoader>>) -> Self {
        Self { loaders }
    }
}

impl SourceLoader for Layered {
    fn places(&self) -> usize {
        self.loaders.iter().map(|loader| loader.places()).sum()
    }

    fn load(&self, mut place: usize, file: &str) -> Lookup {
        for loader in &self.loaders {
            match place.checked_sub(loader.places()) {
                None => return loader.load(place, file),
                Some(rest) => place = rest,
            }
        }
        Lookup::Missing
    }

    fn describe(&self) -> Vec<String> {
        self.loaders.iter().flat_map(|loader| loader.describe()).collect()
    }

    fn list(&self, mut place: usize, directory: &str) -> Vec<String> {
        for loader in &self.loaders {
            match place.checked_sub(loader.places()) {
                None => return loader.list(place, directory),
                Some(rest) => place = rest,
            }
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(loader: &dyn SourceLoader, path: &[&str]) -> Option<String> {
        match find(loader, path) {
            Lookup::Found(source) => Some(source.name),
            _ => None,
        }
    }

    #[test]
    fn the_extension_counts_more_than_the_place() {
        let first = Embedded::new("first").with("a/b.troy", "");
        let second = Embedded::new("second").with("a/b.tremor", "");
        let layered = Layered::new(vec![Arc::new(first), Arc::new(second)]);
        assert_eq!(found(&layered, &["a", "b"]).as_deref(), Some("second/a/b.tremor"));
        assert_eq!(layered.describe(), ["first", "second"]);
    }

    #[test]
    fn the_first_place_wins_for_one_extension() {
        let first = Embedded::new("first").with("m.tremor", "");
        let second = Embedded::new("second").with("m.tremor", "");
        let layered = Layered::new(vec![Arc::new(first), Arc::new(second)]);
        assert_eq!(found(&layered, &["m"]).as_deref(), Some("first/m.tremor"));
    }

    #[test]
    fn no_segment_leaves_the_module_path() {
        let loader = Embedded::new("x").with("../m.tremor", "").with("a//m.tremor", "").with("/m.tremor", "");
        for path in [&["..", "m"][..], &["a", "", "m"], &["", "m"], &["../m"], &["."], &[]] {
            assert_eq!(found(&loader, path), None, "{path:?}");
        }
    }
}
