//! `tremor run`: one script, query or deployment, run to its end (`spec/cli.md` 2.2).

use crate::{CliError, args::RunOptions, output};
use std::process::ExitCode;

/// Runs `options.script` under the instance name `instance`.
///
/// # Errors
/// If the script cannot be read or parsed, or if the run ends early.
pub fn run(_instance: &str, options: &RunOptions) -> Result<ExitCode, CliError> {
    if options.port.is_some() {
        output::warning("`--port` has no effect; it is accepted for older command lines only");
    }
    Err(CliError::new("`tremor run` is not part of this build"))
}
