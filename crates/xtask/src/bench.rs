//! `cargo xtask bench`: ours and a reference in turn, in one session, from outside.
//!
//! One file per case in `cases/` and one line in [`cases::CASES`]; everything else here serves them:
//! [`children`] starts processes and ends them, [`records`] makes the input, [`ws_load`] is the load
//! generator for WebSocket servers, [`report`] turns samples into the table.

pub(crate) mod cases;
pub(crate) mod children;
mod contest;
pub(crate) mod flow_text;
mod machine;
pub(crate) mod program;
pub(crate) mod records;
pub(crate) mod report;
#[cfg(test)]
mod tests;
pub(crate) mod ws_load;

use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
    process::ExitCode,
};

use tempfile::TempDir;

use crate::{
    error::{Doing as _, Error, Result},
    output,
};
use children::Children;
use contest::Case;
use program::Program;
use records::Records;
use report::{Outcome, Row};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this case, or the cases whose names begin with this word; may be given several times
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
    /// Samples of each side; without it every case has its own number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: Option<u32>,
    /// Measure this tremor binary instead of building one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// What the cases share: the program under test, the processes, the input, a folder to write to.
pub(crate) struct Bench {
    pub(crate) program: Program,
    pub(crate) children: Children,
    records: OnceCell<Records>,
    pub(crate) folder: TempDir,
}

/// Measures what was asked for and prints the table. A missed aim is not a failure; a case without a
/// figure is.
///
/// # Errors
/// When nothing can be measured at all: an unknown case, a failed build, no temporary folder.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let chosen = choose(&args.cases)?;
    let bench = Bench::new(args.binary.as_deref())?;

    if cfg!(debug_assertions) {
        output::note("warning: the references were built without optimisation, so no ratio means anything");
    }
    let machine = machine::facts(&bench.program);
    if !args.json {
        output::result(&machine.text());
    }
    let rows: Vec<Row> = chosen.into_iter().map(|case| measure(&bench, case, args.runs)).collect();
    output::result(&if args.json { report::json(&machine, &rows) } else { report::table(&rows) });
    let all_measured = rows.iter().all(|row| matches!(row.outcome, Outcome::Measured { .. }));
    Ok(if all_measured { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The cases that the words name; all of them when there are no words.
fn choose(asked: &[String]) -> Result<Vec<&'static Case>> {
    for word in asked {
        if !cases::CASES.iter().any(|case| case.answers_to(word)) {
            let known: Vec<_> = cases::CASES.iter().map(|case| format!("`{}`", case.name)).collect();
            return Err(Error::UnknownCase { asked: word.clone(), known: known.join(", ") });
        }
    }
    let wanted = |case: &&Case| asked.is_empty() || asked.iter().any(|word| case.answers_to(word));
    Ok(cases::CASES.iter().copied().filter(wanted).collect())
}

/// Samples one case; what goes wrong in it stays in its row.
fn measure(bench: &Bench, case: &'static Case, runs: Option<u32>) -> Row {
    let outcome = sample(bench, case, runs.unwrap_or(case.runs));
    Row { case, outcome: outcome.unwrap_or_else(|error| Outcome::Failed(error.to_string())) }
}

fn sample(bench: &Bench, case: &'static Case, runs: u32) -> Result<Outcome> {
    output::note(&format!("{}: preparing", case.name));
    let mut contest = (case.prepare)(bench)?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        let (mine, other) = (contest.ours(bench)?, contest.reference(bench)?);
        output::note(&format!(
            "{}: {run} of {runs}: ours {}, reference {} {}",
            case.name,
            report::number(mine.value),
            report::number(other.value),
            case.unit,
        ));
        ours.push(mine);
        reference.push(other);
    }
    Ok(Outcome::Measured { ours, reference })
}

impl Bench {
    /// Everything that is measured goes through one of these. Builds the program if none is named.
    ///
    /// # Errors
    /// A failed build, no temporary folder.
    pub(crate) fn new(binary: Option<&Path>) -> Result<Self> {
        let program = Program::find(binary)?;
        let folder = tempfile::Builder::new()
            .prefix("tremor-bench-")
            .tempdir()
            .doing(|| "make a temporary folder".to_owned())?;
        let children = Children::new(folder.path());
        children.end_on_signals()?;
        Ok(Self { program, children, records: OnceCell::new(), folder })
    }

    /// The generated JSON lines; made when a case first asks for them.
    fn records(&self) -> Result<&Records> {
        if let Some(records) = self.records.get() {
            return Ok(records);
        }
        let records = Records::write(&self.folder.path().join("in.json"), records::TOTAL_BYTES)?;
        Ok(self.records.get_or_init(|| records))
    }
}
