//! The command line of `tremor`: it parses the arguments and picks the parts that do the work.
//!
//! Standard output carries data and reports; banners, warnings, diagnostics and log lines go to standard error
//! (`spec/cli.md` 1.3).

pub mod api;
mod api_state;
pub mod args;
pub mod check;
mod completions;
mod dev_cert;
mod engine;
mod error;
pub mod logging;
pub mod output;
pub mod run;
pub mod server;
mod signals;
mod test;

use clap::Parser;
use std::process::ExitCode;

pub use error::CliError;
pub use signals::Interrupts;

use args::{Cli, Command, ServerCommand};

/// Name of the memory allocator that the binary is linked with.
pub const ALLOCATOR: &str = "mimalloc";

/// Runs the command that the process arguments name and returns the exit status of the process.
///
/// Status (`spec/cli.md` 1.2): 0 for success and for help that was asked for, 1 for a command that failed, 2 for
/// a usage error.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(mut error) => {
            args::add_usage(&mut error, std::env::args_os());
            // A reader that has gone away is no reason to complain: the status says all there is to say.
            let _closed = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    if let Err(error) = signals::outlive_file_size_limits() {
        output::warning(&format!("limits of file sizes will end the process: {error}"));
    }
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode, CliError> {
    let Cli { instance, logger_config, command } = cli;
    logging::init(logger_config.as_deref())?;
    match command {
        Command::Server { command: ServerCommand::Run(options) } => {
            server::run(&instance, logger_config.is_some(), &options)
        }
        Command::Run(options) => run::run(&instance, &options),
        Command::Test(options) => test::run(&options),
        Command::Check(options) => check::run(&instance, &options),
        Command::DevCert(options) => dev_cert::run(&options),
        Command::Completions(options) => completions::run(&options),
    }
}
