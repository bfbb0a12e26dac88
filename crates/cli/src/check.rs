//! `tremor check`: parses and resolves files and opens no socket (`spec/cli.md` 2.9).

use crate::{
    CliError,
    args::CheckOptions,
    engine::{self, Aliases, Refusal},
    output,
};
use std::{path::Path, process::ExitCode, sync::Arc};
use tremor_connector::{DEBUG_HINT, ExitSwitch};
use tremor_diagnostic::{Diagnostic, SourceMap, WarningClass, codes};
use tremor_lang::{Compiled, Compiler, Deployment, Layered, Lookup, Source, SourceLoader};
use tremor_syntax::{parse_module, parse_script};

/// Checks every file and prints what is wrong with it to standard error, and nothing else; status 0 or 1.
///
/// # Errors
/// None: files that cannot be read are part of the findings.
pub fn run(instance: &str, options: &CheckOptions) -> Result<ExitCode, CliError> {
    let mut all_good = true;
    for file in &options.files {
        if let Err(refusal) = check(instance, file) {
            if !refusal.is_shown {
                output::error(&refusal.message);
            }
            all_good = false;
        }
    }
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(instance: &str, file: &Path) -> Result<(), Refusal> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("troy") => {
            let deployment = engine::deployment(file, None)?;
            tell_of_debug_kinds(&deployment);
            // Debug kinds exist wherever the server is asked for them, so naming one is no mistake.
            let parts = engine::parts(instance, true, ExitSwitch::new().0);
            let deployed = engine::plans(&deployment, &parts, &mut Aliases::default()).map(|_plans| ());
            deployed.and(engine::check_definitions(&deployment, &parts))
        }
        Some("trickle") => engine::graph(&engine::query(file)?).map(|_graph| ()),
        Some("tremor") => {
            let text = engine::read(file)?;
            if is_module(&text) { module(file, &text) } else { engine::script(file).map(|_script| ()) }
        }
        _ => {
            let what = "only `.troy`, `.trickle` and `.tremor` files can be checked";
            Err(Refusal::untold(format!("{}: {what}", file.display())))
        }
    }
}

/// Says of every connector of a debug kind what a server has to be told.
fn tell_of_debug_kinds(deployment: &Compiled<Deployment>) {
    let usual = tremor_connectors::registry(false);
    let Deployment { flows, definitions } = &deployment.program;
    let defined = definitions.keys().filter_map(|name| {
        // What is wrong with a flow is told when it is checked.
        deployment.program.instantiate(name, &deployment.sources).ok()
    });
    let defined: Vec<_> = defined.collect();
    let mut kinds: Vec<_> = flows
        .iter()
        .chain(&defined)
        .flat_map(|flow| &flow.connectors)
        .map(|connector| &connector.kind)
        .filter(|kind| usual.is_left_out(&kind.name))
        .collect();
    kinds.sort_by_key(|kind| (kind.span.file, kind.span.start));
    kinds.dedup_by_key(|kind| kind.span);
    let notes: Vec<_> = kinds
        .into_iter()
        .map(|kind| {
            let message = format!("Not every server knows the connector type {}", kind.name);
            let class = WarningClass::Behaviour;
            let note = Diagnostic::warning(class, codes::UNKNOWN_CONNECTOR_KIND, kind.span, message);
            note.outer(deployment.sources.widen(kind.span, 2)).hint(DEBUG_HINT)
        })
        .collect();
    engine::show(&notes, &deployment.sources);
}

/// A `.tremor` file is a module if it only defines things. One that is broken either way is what it looks like
/// for longer.
fn is_module(text: &str) -> bool {
    let file = SourceMap::new().add("", text);
    let first = |diagnostics: &[Diagnostic]| {
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
        errors.map(|error| error.inner.map_or(0, |inner| inner.start)).min()
    };
    match (first(&parse_module(file, text).diagnostics), first(&parse_script(file, text).diagnostics)) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(module), Some(script)) => module > script,
    }
}

/// Compiles a module as a script that uses it would.
fn module(file: &Path, text: &str) -> Result<(), Refusal> {
    let name = file.display().to_string();
    let only = OnlyModule { name: name.clone(), text: text.into() };
    let tremor_path = std::env::var("TREMOR_PATH").ok();
    let library = tremor_stdlib::loader(tremor_path.as_deref());
    let loader = Layered::new(vec![Arc::new(only), Arc::new(library)]);
    let compiler = Compiler::new(Arc::new(loader), Arc::new(tremor_stdlib::functions()));
    let user = format!("use {MODULE};\nnull");
    let (outcome, diagnostics, sources) = match compiler.compile_script("", &user) {
        Ok(compiled) => (Ok(()), compiled.warnings, compiled.sources),
        Err(failure) => {
            let refusal = Refusal::shown(format!("failed to load tremor file: {name}"));
            (Err(refusal), failure.diagnostics, failure.sources)
        }
    };
    engine::show_of(&name, diagnostics, &sources);
    outcome
}

/// Name under which [`module`] uses the checked file.
const MODULE: &str = "the_checked_module";

/// A place with one module in it.
struct OnlyModule {
    name: String,
    text: Arc<str>,
}

impl SourceLoader for OnlyModule {
    fn places(&self) -> usize {
        1
    }

    fn load(&self, _place: usize, file: &str) -> Lookup {
        if file.strip_suffix(".tremor") != Some(MODULE) {
            return Lookup::Missing;
        }
        Lookup::Found(Source { name: self.name.clone(), text: self.text.clone() })
    }

    fn describe(&self) -> Vec<String> {
        // Nothing that a user could look into.
        Vec::new()
    }

    fn list(&self, _place: usize, _directory: &str) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_alone_make_a_module() {
        for text in [
            "### Doc\nconst A = 1;",
            "const A = 1;",
            "fn f(x) with x end;",
            "define script s script event end;",
        ] {
            assert!(is_module(text), "{text}");
        }
        for text in ["event", "const A = 1;\nA", "let x = 1;\nemit x", "use std::string;\nstring::len(event)"]
        {
            assert!(!is_module(text), "{text}");
        }
        // Broken either way: the mistake stands where the file has shown what it is.
        assert!(is_module("define script s script event end;\nconst A = = 1;"));
        assert!(!is_module("let x = 1;\nlet = 2;\nx"));
    }
}
