//! `tremor check`: parses and resolves files and opens no socket (`spec/cli.md` 2.9).

use crate::{CliError, args::CheckOptions, engine, output};
use std::{path::Path, process::ExitCode};
use tremor_connector::ExitSwitch;

/// Checks every file and prints what is wrong with it to standard error; status 0 or 1.
///
/// # Errors
/// If a file cannot be read.
pub fn run(instance: &str, options: &CheckOptions) -> Result<ExitCode, CliError> {
    let mut all_good = true;
    for file in &options.files {
        if let Err(error) = check(instance, file) {
            output::error(&format!("{}: {error}", file.display()));
            all_good = false;
        }
    }
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(instance: &str, file: &Path) -> Result<(), CliError> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("troy") => {
            let deployment = engine::deployment(file)?;
            // Debug kinds exist wherever the server is asked for them, so naming one is no mistake.
            let parts = engine::parts(instance, true, ExitSwitch::new().0);
            engine::plans(&deployment, &parts).map(|_plans| ())
        }
        Some("trickle") => engine::graph(&engine::query(file)?).map(|_graph| ()),
        Some("tremor") => engine::script(file).map(|_script| ()),
        _ => Err(CliError::new("only `.troy`, `.trickle` and `.tremor` files can be checked")),
    }
}
