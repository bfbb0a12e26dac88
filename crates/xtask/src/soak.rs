//! `cargo xtask soak`: whether a flow that runs for long stays as small as it was, and whether what nobody
//! should do to a server stays without consequence for the others.

mod batches;
mod bounds;
mod file_path;
mod growth;
mod pipe;
mod raw_client;
mod ws_path;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use crate::{
    bench::Bench,
    error::{Error, Result},
    output,
};
use growth::{Growth, Series};

/// Options of `cargo xtask soak`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this part; may be given several times
    #[arg(long = "part", value_name = "NAME")]
    parts: Vec<Part>,
    /// How long each of `file` and `ws` runs at least
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = minutes)]
    minutes: f64,
    /// How many events pass each of `file` and `ws` at least
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    events: u64,
    /// Watch this tremor binary instead of building one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

fn minutes(text: &str) -> std::result::Result<f64, String> {
    let minutes = text.parse::<f64>().map_err(|error| error.to_string())?;
    if (0.05..=10_000.0).contains(&minutes) { Ok(minutes) } else { Err("from 0.05 to 10000".to_owned()) }
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// JSON lines from pipe to pipe, through the connectors of the kind `file`
    File,
    /// WebSocket echo, with connections that come and go
    Ws,
    /// A few records of a large file, in batches, for a slow reader
    Batches,
    /// A message of 64 MiB, a line without an end, a client that never reads
    Bounds,
}

/// How long events have to flow, and how many of them.
#[derive(Debug, Clone, Copy)]
struct Span {
    time: Duration,
    events: u64,
}

/// Runs what was asked for, one part after the other, and prints what it saw.
///
/// # Errors
/// When nothing can be started. What a part finds wrong is printed, and the exit code is 1.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let bench = Bench::new(args.binary.as_deref())?;
    let span = Span { time: Duration::from_secs_f64(args.minutes * 60.0), events: args.events };
    let mut all_good = true;
    for part in [Part::File, Part::Ws, Part::Batches, Part::Bounds] {
        if !args.parts.is_empty() && !args.parts.contains(&part) {
            continue;
        }
        all_good &= match part {
            Part::File => told("file", file_path::run(&bench, span)),
            Part::Ws => told("ws", ws_path::run(&bench, span)),
            Part::Batches => batches::run(&bench),
            Part::Bounds => bounds::run(&bench),
        };
    }
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what came of a part and returns whether it is good.
fn told(name: &str, soaked: Result<Soaked>) -> bool {
    let verdict = soaked.and_then(|soaked| Ok((soaked.series.growth()?, soaked)));
    match verdict {
        Ok((growth, Soaked { events, series })) => {
            let word = if growth.is_good() { "passed" } else { "FAILED" };
            let Growth { before, after } = growth;
            let [before_mib, after_mib, most] = [before, after, series.most()].map(mib);
            let change = (after / before - 1.0) * 100.0;
            let minutes = series.time().as_secs_f64() / 60.0;
            output::result(&format!(
                "{name}: {word}: {events} events in {minutes:.1} minutes; resident memory {before_mib:.1} MiB after \
                 the first part, {after_mib:.1} MiB at the end ({change:+.1} %), {most:.1} MiB at most"
            ));
            growth.is_good()
        }
        Err(error) => {
            output::result(&format!("{name}: FAILED: {error}"));
            false
        }
    }
}

fn mib(bytes: f64) -> f64 {
    bytes / 1_048_576.0
}

/// What a part that runs for long saw.
struct Soaked {
    events: u64,
    series: Series,
}

/// A sentence as an error.
fn wrong(problem: impl Into<String>) -> Error {
    Error::Soak(problem.into())
}
