//! Tags of tests, and the filter of `--includes` and `--excludes` (`spec/cli.md` 3.4).

use super::yaml::{self, Text};
use std::path::Path;

/// Name of the file with a folder's tags.
pub(super) const TAGS_FILE: &str = "tags.yaml";

/// Tags in the order they were found, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tags(Vec<String>);

impl Tags {
    pub(super) fn extend(&mut self, tags: impl IntoIterator<Item = String>) {
        for tag in tags {
            if !self.0.contains(&tag) {
                self.0.push(tag);
            }
        }
    }

    /// Tags of `folder`: those of `base` and of every directory down to `folder`, and the folder's own name.
    /// If `folder` is not below `base`, only its own count.
    pub(super) fn of_folder(base: &Path, folder: &Path) -> Self {
        let mut tags = Self::default();
        let mut chain: Vec<&Path> =
            folder.ancestors().take_while(|dir| folder.starts_with(base) && *dir != base).collect();
        if folder.starts_with(base) {
            chain.push(base);
        } else {
            chain.push(folder);
        }
        for dir in chain.iter().rev() {
            tags.extend(read(dir));
        }
        tags.extend(folder.file_name().map(|name| name.to_string_lossy().into_owned()));
        tags
    }
}

impl std::fmt::Display for Tags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Tags that `dir` has by its own file. A file that cannot be read or parsed counts as absent.
fn read(dir: &Path) -> Vec<String> {
    let path = dir.join(TAGS_FILE);
    if !path.is_file() {
        return Vec::new();
    }
    match yaml::read::<Vec<Text>>(&path) {
        Ok(tags) => tags.into_iter().map(|tag| tag.0).collect(),
        Err(message) => {
            tracing::warn!(target: "tremor", "{message}; it counts as absent");
            Vec::new()
        }
    }
}

/// Which tags are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) includes: Vec<String>,
    pub(super) excludes: Vec<String>,
}

impl Filter {
    /// `true` if a test with these tags is to be run. An included tag wins over an excluded one.
    pub(super) fn passes(&self, tags: &Tags) -> bool {
        let meets = |wanted: &[String]| tags.0.iter().any(|tag| wanted.contains(tag));
        if meets(&self.includes) {
            return true;
        }
        !meets(&self.excludes) && self.includes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn passes(includes: &[&str], excludes: &[&str], tags: &[&str]) -> bool {
        let owned = |list: &[&str]| list.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        let mut of_test = Tags::default();
        of_test.extend(owned(tags));
        Filter { includes: owned(includes), excludes: owned(excludes) }.passes(&of_test)
    }

    #[test]
    fn the_filter_follows_its_rules_in_order() {
        assert!(passes(&[], &[], &[]));
        assert!(passes(&["a"], &["b"], &["a", "b"]), "include beats exclude");
        assert!(!passes(&["x"], &["b"], &["a", "b"]));
        assert!(!passes(&[], &["b"], &["a", "b"]));
        assert!(!passes(&["x"], &[], &["a"]));
        assert!(passes(&[], &["x"], &["a"]));
    }

    #[test]
    fn tags_come_from_every_level_and_from_the_name() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("ws/tls");
        fs::create_dir_all(&folder).unwrap();
        fs::write(root.path().join("tags.yaml"), "[base, 7,]").unwrap();
        fs::write(root.path().join("ws/tags.yaml"), "{not: [a list").unwrap();
        fs::write(folder.join("tags.yaml"), "- own\n- base\n").unwrap();
        assert_eq!(Tags::of_folder(root.path(), &folder).to_string(), "base 7 own tls");
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert_eq!(Tags::of_folder(&folder, &folder).to_string(), format!("own base {name}"));
    }
}
