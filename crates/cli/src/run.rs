//! `tremor run`: one script, query or deployment, run to its end (`spec/cli.md` 2.2).

mod events;
mod output;
mod program;

use crate::{CliError, args::RunOptions, engine, output as streams, server};
use events::Input;
use output::Output;
use program::Program;
use std::process::ExitCode;

/// Runs `options.script` under the instance name `instance`.
///
/// # Errors
/// If the script cannot be read or parsed, or if the run ends early.
pub fn run(instance: &str, options: &RunOptions) -> Result<ExitCode, CliError> {
    if options.port.is_some() {
        streams::warning("`--port` has no effect; it is accepted for older command lines only");
    }
    let program = match options.script.extension().and_then(|extension| extension.to_str()) {
        Some("troy") => return server::run_once(instance, &options.script),
        Some("tremor") => Program::script(engine::script(&options.script)?),
        Some("trickle") => Program::query(&engine::graph(&engine::query(&options.script)?)?)?,
        _ => {
            return Err(CliError::new(format!(
                "Error: Unable to execute source: {}",
                options.script.display()
            )));
        }
    };
    work(instance, options, program)
}

/// Moves everything that can be read through `program`.
fn work(instance: &str, options: &RunOptions, mut program: Program) -> Result<ExitCode, CliError> {
    let process = engine::Process::new(instance);
    let mut input = Input::open(options)?;
    let mut output = Output::open(options)?;
    while let Some(events) = input.next()? {
        for event in events {
            output.show_input(&event);
            program.event(event, &process, &mut output)?;
        }
        if !input.has_more() {
            output.flush()?;
        }
        if output.is_closed() {
            break;
        }
    }
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}
