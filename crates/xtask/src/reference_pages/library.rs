//! The standard library, from its sources.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use tremor_diagnostic::{RenderOptions, SourceMap, render_all};
use tremor_syntax::{
    ast::{Args, Doc, Ident, Module, ModuleItem, Params},
    parse_module, print,
};

use super::markdown::{self, block, code, codes};
use crate::error::{Doing as _, Error, Result};

const INTRO: &str = "\
Modules that every installation has. A file names what it uses:

```tremor
use std::string;
string::uppercase(\"hello\")
```

`TREMOR_PATH` may name folders that are searched first.";

/// The page about the modules below `library`, and those for tests below `tests`.
///
/// # Errors
/// A file that cannot be read or parsed.
pub(super) fn page(library: &Path, tests: &Path) -> Result<String> {
    let mut page = markdown::page("Library", INTRO);
    let (library, tests) = (modules(library)?, modules(tests)?);
    let names = library.keys().chain(tests.keys());
    for name in names {
        // Writing to a `String` cannot fail.
        let _ = writeln!(page, "- [`{name}`](#{})", anchor(name));
    }
    page.push('\n');
    for (name, module) in &library {
        describe(name, module, "", &mut page);
    }
    for (name, module) in &tests {
        describe(name, module, "For flows of `tremor test`.\n\n", &mut page);
    }
    Ok(markdown::finish(&page))
}

/// The anchor of a heading `module`.
fn anchor(name: &str) -> String {
    name.to_lowercase().replace(':', "")
}

fn modules(folder: &Path) -> Result<BTreeMap<String, Module>> {
    let mut found = BTreeMap::new();
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = open.pop() {
        let entries = fs::read_dir(&folder).doing(|| format!("read {}", folder.display()))?;
        for entry in entries {
            let path = entry.doing(|| format!("read {}", folder.display()))?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let name = format!("{prefix}{stem}");
            if path.is_dir() {
                open.push((path, format!("{name}::")));
            } else if path.extension().is_some_and(|extension| extension == "tremor") {
                found.insert(name, module(&path)?);
            }
        }
    }
    Ok(found)
}

fn module(path: &PathBuf) -> Result<Module> {
    let text = fs::read_to_string(path).doing(|| format!("read {}", path.display()))?;
    let mut sources = SourceMap::new();
    let file = sources.add(path.display().to_string(), text.as_str());
    let parsed = parse_module(file, &text);
    let broken = parsed.diagnostics.iter().any(tremor_diagnostic::Diagnostic::is_error);
    parsed.ast.filter(|_| !broken).ok_or_else(|| Error::Library {
        reports: render_all(&parsed.diagnostics, &sources, RenderOptions { file_name: true, colour: false }),
    })
}

fn describe(name: &str, module: &Module, note: &str, page: &mut String) {
    let _ = write!(page, "## {name}\n\n{note}{}", doc(module.doc.as_ref()));
    let uses: Vec<String> = module
        .items
        .iter()
        .filter_map(|item| if let ModuleItem::Use(item) = item { Some(item.imports()) } else { None })
        .flatten()
        .map(|import| import.path.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join("::"))
        .collect();
    let last = name.rsplit("::").next().unwrap_or(name);
    let entries: Vec<String> = module.items.iter().filter_map(|item| entry(last, item)).collect();
    if entries.is_empty() && !uses.is_empty() {
        let _ = write!(page, "Brings in {}.\n\n", codes(uses.iter().map(String::as_str)));
    }
    page.push_str(&entries.concat());
}

fn entry(module: &str, item: &ModuleItem) -> Option<String> {
    let name = |name: &Ident| format!("{module}::{}", print_name(name));
    let (title, documentation) = match item {
        ModuleItem::Use(_) => return None,
        ModuleItem::Const(item) => {
            (format!("{} = {}", name(&item.name), print::expr(&item.value)), &item.doc)
        }
        ModuleItem::Function(item) => (format!("{}({})", name(&item.name), params(&item.params)), &item.doc),
        ModuleItem::Intrinsic(item) => (format!("{}({})", name(&item.name), params(&item.params)), &item.doc),
        ModuleItem::Window(item) => (format!("window {}", name(&item.name)), &item.doc),
        ModuleItem::Operator(item) => {
            (format!("operator {}{}", name(&item.name), args(item.args.as_ref())), &item.doc)
        }
        ModuleItem::Script(item) => {
            (format!("script {}{}", name(&item.name), args(item.args.as_ref())), &item.doc)
        }
        ModuleItem::Pipeline(item) => {
            let ports = |word: &str, ports: &Option<Vec<Ident>>| match ports {
                Some(ports) => {
                    let ports: Vec<&str> = ports.iter().map(|port| port.text.as_str()).collect();
                    format!(" {word} {}", ports.join(", "))
                }
                None => String::new(),
            };
            let (from, into) = (ports("from", &item.from), ports("into", &item.into));
            (format!("pipeline {}{from}{into}{}", name(&item.name), args(item.args.as_ref())), &item.doc)
        }
        ModuleItem::Connector(item) => {
            let kind = print_name(&item.kind);
            (format!("connector {} from {kind}{}", name(&item.name), args(item.args.as_ref())), &item.doc)
        }
        ModuleItem::Flow(item) => {
            (format!("flow {}{}", name(&item.name), args(item.args.as_ref())), &item.doc)
        }
    };
    Some(format!(
        "### {}\n\n{}",
        code(&title.split_whitespace().collect::<Vec<_>>().join(" ")),
        doc(documentation.as_ref())
    ))
}

fn print_name(name: &Ident) -> String {
    name.text.clone()
}

fn params(params: &Params) -> String {
    let names = params.names.iter().map(|name| name.text.as_str());
    names.chain(params.open.then_some("...")).collect::<Vec<_>>().join(", ")
}

fn args(args: Option<&Args>) -> String {
    let Some(args) = args else { return String::new() };
    let each = args.entries.iter().map(|arg| match &arg.default {
        Some(default) => format!("{} = {}", arg.name.text, print::expr(default)),
        None => arg.name.text.clone(),
    });
    format!(" args {}", each.collect::<Vec<_>>().join(", "))
}

/// Documentation as paragraphs; its `>` lines are examples.
fn doc(doc: Option<&Doc>) -> String {
    let Some(doc) = doc else { return String::new() };
    let text = doc.text();
    let (examples, words): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('>'));
    let mut out = format!("{}\n\n", words.join("\n").trim());
    if !examples.is_empty() {
        let examples: Vec<&str> = examples.iter().map(|line| line.trim_start_matches('>').trim()).collect();
        out.push_str(&block("tremor", &examples.join("\n")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(text: &str) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let (library, tests) = (folder.path().join("lib"), folder.path().join("tests"));
        fs::create_dir_all(library.join("a")).unwrap();
        fs::create_dir_all(&tests).unwrap();
        fs::write(library.join("a/b.tremor"), text).unwrap();
        page(&library, &tests)
    }

    #[test]
    fn every_sort_of_definition_has_an_entry() {
        let page = page_of(
            "### About b.\nuse x;\n## Pi.\nconst PI = 3.14;\n## Adds.\n## > b::add(1, 2) == 3\nfn add(x, y) with x + y end;\n\
             intrinsic fn any(first, ...) as m::any;\n## C.\ndefine connector c from file args path, mode = \"read\" with config = {\"path\": args.path, \"mode\": args.mode}, codec = \"json\" end;\n\
             ## P.\ndefine pipeline p into out, other pipeline select event from in into out; end;\n",
        )
        .unwrap();
        for part in [
            "- [`a::b`](#ab)\n",
            "## a::b\n\nAbout b.\n",
            "### `b::PI = 3.14`\n\nPi.\n",
            "### `b::add(x, y)`\n\nAdds.\n\n```tremor\nb::add(1, 2) == 3\n```\n",
            "### `b::any(first, ...)`\n",
            "### `connector b::c from file args path, mode = \"read\"`\n\nC.\n",
            "### `pipeline b::p into out, other`\n\nP.\n",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
    }

    #[test]
    fn a_broken_module_is_an_error_with_its_report() {
        let error = page_of("const = 1;").unwrap_err().to_string();
        assert!(error.contains("b.tremor:1:"), "{error}");
    }
}
