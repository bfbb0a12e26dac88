//! `tremor run`: one script, query or deployment, run to its end (`spec/cli.md` 2.2).

mod events;
mod output;
mod program;
mod shown;

use crate::{CliError, args::RunOptions, engine, output as streams, server};
use events::Input;
use output::Output;
use program::Program;
use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tremor_codec::{Decoder, Definition, Encoder, NameAndConfig, Registry};
use tremor_value::Value;

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
        Some("trickle") => {
            let graph = engine::graph(&engine::query(&options.script)?)?;
            Program::query(&graph, Arc::new(engine::Process::new(instance)))?
        }
        _ => {
            return Err(CliError::new(format!(
                "Error: Unable to execute source: {}",
                options.script.display()
            )));
        }
    };
    work(instance, options, program)
}

/// How often operators are told of the time.
const TICK_INTERVAL: Duration = Duration::from_millis(100);

/// Moves everything that can be read through `program`.
fn work(instance: &str, options: &RunOptions, mut program: Program) -> Result<ExitCode, CliError> {
    let process = engine::Process::new(instance);
    let coding = Coding::find(options)?;
    let mut input = Input::open(options, coding.decoder)?;
    let mut output = Output::open(options, coding.encoder, &input)?;
    let moved = move_events(&mut input, &mut program, &process, &mut output);
    // What was done before a mistake is not lost by it.
    let finished = output.finish();
    moved.and(finished).map(|()| ExitCode::SUCCESS)
}

fn move_events(
    input: &mut Input,
    program: &mut Program,
    process: &engine::Process,
    output: &mut Output,
) -> Result<(), CliError> {
    let mut next_tick = Instant::now();
    while let Some(block) = input.next()? {
        // There is no clock beside the input: operators notice time when something has come.
        if Instant::now() >= next_tick {
            next_tick = Instant::now() + TICK_INTERVAL;
            program.tick(process, output)?;
        }
        for event in block.events {
            output.show_input(&event)?;
            program.event(event, process, output)?;
        }
        if let Some(error) = block.error {
            return Err(CliError::new(error));
        }
        if !input.has_more() {
            output.flush()?;
        }
        if output.is_closed() {
            break;
        }
    }
    program.drain(process, output)
}

/// Both ways between bytes and values.
struct Coding {
    decoder: Decoder,
    encoder: Encoder,
}

impl Coding {
    /// Looks all names up, before any file is touched.
    fn find(options: &RunOptions) -> Result<Self, CliError> {
        let registry = Registry::standard();
        let error = |error: tremor_codec::ConfigError| CliError::new(error.to_string());
        // An empty configuration is not the same as none: the limit for a line that is named alone, 8 KiB, is meant
        // for connections of strangers (`spec/codecs.md` B.3).
        let stage = |name: &str| NameAndConfig { name: name.into(), config: Some(Value::record()) };
        let input = Definition {
            preprocessors: vec![stage(&options.preprocessor)],
            ..Definition::of_codec(options.decoder.as_str())
        };
        let output = Definition {
            postprocessors: vec![stage(&options.postprocessor)],
            ..Definition::of_codec(options.encoder.as_str())
        };
        let decoder = registry.resolver(&input).map_err(error)?.decoder();
        let encoder = registry.resolver(&output).map_err(error)?.encoder();
        Ok(Self { decoder, encoder })
    }
}
