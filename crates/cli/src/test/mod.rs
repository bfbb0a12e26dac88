//! `tremor test`: finds test suites, runs them one after another and reports (`spec/cli.md` 3).

mod after;
mod assert;
mod before;
mod command;
mod console;
mod content;
mod discovery;
mod http;
mod integration;
mod limits;
mod process;
mod report;
mod runner;
mod tags;
mod yaml;

use crate::{CliError, args::TestOptions, signals};
use limits::Stop;
use std::process::ExitCode;

/// Runs what `options` select. Status: 0 without failures, 1 otherwise; death by signal if one arrived.
pub(crate) fn run(options: &TestOptions) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(runner::run(options));
    // A file that is being copied must not hold up the end of the process.
    runtime.shutdown_background();
    match ended {
        Ok(code) => Ok(code),
        Err(Stop::Signal(signal)) => {
            signals::die_by(signal);
            Ok(ExitCode::FAILURE)
        }
        Err(stop) => Err(CliError::new(stop.to_string())),
    }
}
