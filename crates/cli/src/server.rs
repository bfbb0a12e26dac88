//! `tremor server run`: the long-running server (`spec/cli.md` 2.1).

use crate::{CliError, args::ServerRunOptions};
use std::process::ExitCode;

/// Runs the server under the name `instance` until it is told to stop.
///
/// # Errors
/// If the start-up fails.
pub fn run(_instance: &str, _options: &ServerRunOptions) -> Result<ExitCode, CliError> {
    Err(CliError::new("`tremor server run` is not part of this build"))
}
