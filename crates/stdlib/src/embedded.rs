//! The sources of the library inside the binary.

use include_dir::{Dir, include_dir};
use std::sync::Arc;
use tremor_lang::{Directories, Layered, Lookup, Source, SourceLoader};

static LIBRARY: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../lib");
static TEST_LIBRARY: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../tests/lib");

/// Where modules are looked for when `TREMOR_PATH` is not set.
const DEFAULT_PATH: &str = "/usr/local/share/tremor:/usr/share/tremor/lib";

/// The embedded copy of `lib/` and of the modules that test folders use. Nothing is read before it is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmbeddedLibrary;

impl SourceLoader for EmbeddedLibrary {
    fn places(&self) -> usize {
        2
    }

    fn load(&self, place: usize, file: &str) -> Lookup {
        let (directory, label) = if place == 0 { (&LIBRARY, "lib") } else { (&TEST_LIBRARY, "tests/lib") };
        match directory.get_file(file).and_then(include_dir::File::contents_utf8) {
            Some(text) => {
                Lookup::Found(Source { name: format!("<embedded>/{label}/{file}"), text: text.into() })
            }
            None => Lookup::Missing,
        }
    }

    fn describe(&self) -> Vec<String> {
        vec!["<embedded>/lib".to_owned(), "<embedded>/tests/lib".to_owned()]
    }

    fn list(&self, place: usize, directory: &str) -> Vec<String> {
        let root = if place == 0 { &LIBRARY } else { &TEST_LIBRARY };
        let directory = if directory.is_empty() { Some(root) } else { root.get_dir(directory) };
        let entries = directory.into_iter().flat_map(Dir::entries);
        entries.filter_map(|entry| Some(entry.path().file_name()?.to_str()?.to_owned())).collect()
    }
}

/// The directories of a `TREMOR_PATH` (the default ones without it), then the embedded library.
#[must_use]
pub fn loader(tremor_path: Option<&str>) -> Layered {
    let directories = Directories::from_path_list(tremor_path.unwrap_or(DEFAULT_PATH));
    Layered::new(vec![Arc::new(directories), Arc::new(EmbeddedLibrary)])
}
