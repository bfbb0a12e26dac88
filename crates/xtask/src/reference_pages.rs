//! The reference pages in `docs/reference/`, made from the tables that the program itself works with.

mod cli;
mod codecs;
mod connectors;
mod errors;
mod extractors;
mod library;
mod markdown;
mod metrics;
mod operators;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    error::{Doing as _, Result},
    output,
};

/// Options of `cargo xtask reference`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if a committed page is not what would be written
    #[arg(long)]
    check: bool,
}

/// Writes or checks all pages.
///
/// # Errors
/// A file of the library that cannot be read or parsed, a page that cannot be written.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let root = root();
    let folder = root.join("docs/reference");
    let mut stale = Vec::new();
    for (name, text) in pages(&root)? {
        let path = folder.join(name);
        if read_if_there(&path)?.as_deref() != Some(&text) {
            stale.push(format!("docs/reference/{name}"));
            if !args.check {
                fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
                fs::write(&path, text).doing(|| format!("write {}", path.display()))?;
            }
        }
    }
    for name in &stale {
        output::result(&if args.check { format!("{name} is out of date") } else { format!("{name} is new") });
    }
    if args.check && !stale.is_empty() {
        output::note("run `cargo xtask reference` and commit the pages");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// All pages: file name and text.
fn pages(root: &Path) -> Result<Vec<(&'static str, String)>> {
    let registry = tremor_codec::Registry::standard();
    Ok(vec![
        ("README.md", index()),
        ("connectors.md", connectors::page(tremor_connectors::ALL)),
        ("operators.md", operators::page(tremor_pipeline::operators::ALL)),
        ("codecs.md", codecs::codecs(&registry)),
        ("preprocessors.md", codecs::preprocessors(&registry)),
        ("postprocessors.md", codecs::postprocessors(&registry)),
        ("cli.md", cli::page()),
        ("library.md", library::page(&root.join("lib"), &root.join("tests/lib"))?),
        ("extractors.md", extractors::page()),
        ("metrics.md", metrics::page()),
        ("errors.md", errors::page()),
    ])
}

fn index() -> String {
    let mut page = markdown::page(
        "Reference",
        "Everything that has a name. These pages are made from the program itself, so they say what this version does.",
    );
    page.push_str(
        "- [Connectors](connectors.md): where events come from and where they go\n\
         - [Operators](operators.md): nodes of pipelines that batch, limit, count and spread events\n\
         - [Codecs](codecs.md): bytes to values and back\n\
         - [Preprocessors](preprocessors.md): what happens to bytes before they are decoded\n\
         - [Postprocessors](postprocessors.md): what happens to bytes after they were encoded\n\
         - [Command line](cli.md): every command with its options\n\
         - [Library](library.md): modules, functions and definitions for flows and scripts\n\
         - [Extractors](extractors.md): what patterns ask of texts and take out of them\n\
         - [HTTP API](../guides/http-api.md): every path, what it answers, and how to pause\n\
         - [Metrics](metrics.md): what flows tell of themselves\n\
         - [Errors and warnings](errors.md): the conditions that reports are about\n",
    );
    page
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text.map(Some).doing(|| format!("read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_pages_are_what_the_program_says() {
        for (name, text) in pages(&root()).unwrap() {
            let committed = read_if_there(&root().join("docs/reference").join(name)).unwrap();
            assert!(
                committed == Some(text),
                "docs/reference/{name} is out of date: run `cargo xtask reference`"
            );
        }
    }

    #[test]
    fn pages_are_whole_markdown() {
        for (name, text) in pages(&root()).unwrap() {
            assert!(text.starts_with("# ") && text.ends_with('\n') && !text.ends_with("\n\n"), "{name}");
            assert_eq!(text.matches("```").count() % 2, 0, "{name}");
            assert!(!text.contains("\n\n\n"), "{name} has holes");
            // All rows of a table have as many cells as its head.
            let mut cells = None;
            for line in text.lines() {
                let bars = line.starts_with('|').then(|| line.replace("\\|", "").matches('|').count());
                assert!(bars.is_none() || cells.is_none() || bars == cells, "{name}: {line}");
                cells = bars;
            }
        }
    }
}
