//! `cargo xtask instructions`: what single parts execute, counted by `valgrind --tool=callgrind`.
//!
//! Counts are the same on a busy machine as on a quiet one and differ little between machines, so they show
//! what a change costs where seconds would not. They say nothing about waiting and memory.
//!
//! A part is a bench of some crate that takes `CASE... ROUNDS`, does its work in a function that is not
//! inlined, and prints how many items that were; or the whole program, whose start is taken off by running it
//! on a short and on a longer input.

mod parts;

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use crate::{
    bench::{Bench, cases::file_flow, program, records::Records, report::number},
    error::{Doing as _, Error, Result},
    output,
};
use parts::{PARTS, Part};

/// How long one count may take: programs run at about a fiftieth of their speed.
const LIMIT: Duration = Duration::from_secs(600);
/// The whole program.
const FLOW: &str = "flow file";
/// Input of the whole program, short and long.
const FLOW_BYTES: [u64; 2] = [1_000_000, 3_000_000];

/// Options of `cargo xtask instructions`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only parts whose names begin like this; may be given several times
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
    /// Count this tremor binary instead of building one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// What one item of a part takes.
struct Count {
    name: &'static str,
    what: &'static str,
    items: u64,
    each: f64,
}

/// Counts what was asked for and prints the table.
///
/// # Errors
/// No part of that name, a failed build, no `valgrind`, a bench that does not do as it should.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let wanted =
        |name: &str| args.cases.is_empty() || args.cases.iter().any(|case| name.starts_with(case.as_str()));
    let parts: Vec<&Part> = PARTS.iter().filter(|part| wanted(part.name)).collect();
    if parts.is_empty() && !wanted(FLOW) {
        let known: Vec<_> = PARTS.iter().map(|part| part.name).chain([FLOW]).collect();
        return Err(Error::UnknownCase { asked: args.cases.join(", "), known: known.join(", ") });
    }
    let mut counts = Vec::new();
    if !parts.is_empty() {
        let folder = tempfile::tempdir().doing(|| "make a temporary folder".to_owned())?;
        let benches = build(&parts)?;
        for part in parts {
            output::note(part.name);
            counts.push(count(part, &benches, folder.path())?);
        }
    }
    if wanted(FLOW) {
        output::note(FLOW);
        counts.push(count_flow(args.binary.as_deref())?);
    }
    output::result(&if args.json { json(&counts) } else { table(&counts) });
    Ok(ExitCode::SUCCESS)
}

/// Builds the benches of the parts and returns name and place of each.
fn build(parts: &[&Part]) -> Result<Vec<(String, PathBuf)>> {
    output::note("building benches");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(["bench", "--no-run", "--message-format", "json-render-diagnostics"]);
    let mut targets: Vec<[&str; 4]> =
        parts.iter().map(|part| ["--package", part.package, "--bench", part.bench]).collect();
    targets.sort_unstable();
    targets.dedup();
    let built = command
        .args(targets.concat())
        .current_dir(program::WORKSPACE)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .doing(|| "start cargo".to_owned())?;
    if !built.status.success() {
        return Err(Error::BuildBenches);
    }
    Ok(String::from_utf8_lossy(&built.stdout).lines().filter_map(executable).collect())
}

/// Name and path in a message of cargo that announces an executable.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let name = message.pointer("/target/name")?.as_str()?;
    Some((name.to_owned(), PathBuf::from(message.get("executable")?.as_str()?)))
}

/// Runs the bench of a part.
fn count(part: &Part, benches: &[(String, PathBuf)], folder: &Path) -> Result<Count> {
    let no_count = |problem: String| Error::NoCount { name: part.name.to_owned(), problem };
    let bench = benches.iter().find(|(name, _)| name == part.bench);
    let (_, path) = bench.ok_or_else(|| no_count("cargo did not build it".to_owned()))?;
    let mut command = Command::new(path);
    command.args(part.arguments);
    let output = callgrind(&command, Some(part.function), &folder.join("callgrind.out"))
        .stdin(Stdio::null())
        .output()
        .doing(|| "start valgrind".to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    match (collected(&said).filter(|all| *all > 0), first_number(&printed).filter(|items| *items > 0)) {
        (Some(all), Some(items)) if output.status.success() => {
            Ok(Count { name: part.name, what: part.what, items, each: all as f64 / items as f64 })
        }
        _ => Err(no_count(format!("{printed}{said}"))),
    }
}

/// Runs the flow of the case `file` on a short and on a longer input; the difference is that of the events.
fn count_flow(binary: Option<&Path>) -> Result<Count> {
    let bench = Bench::new(binary)?;
    let [path, output, flow] =
        ["in.json", "out.json", "flow.troy"].map(|name| bench.folder.path().join(name));
    fs::write(&flow, file_flow::filter_flow(&path, &output)).doing(|| "write a flow".to_owned())?;
    let mut runs = Vec::new();
    for bytes in FLOW_BYTES {
        let records = Records::write(&path, bytes)?;
        let mut command =
            callgrind(&bench.program.server(&flow), None, &bench.folder.path().join("callgrind.out"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut running = bench.children.spawn("the flow under valgrind", &mut command)?;
        running.finish(LIMIT)?;
        let said = running.said();
        let problem = || Error::NoCount { name: FLOW.to_owned(), problem: said.clone() };
        runs.push((records.lines, collected(&said).ok_or_else(problem)?));
    }
    let ([(few, less), (many, more)], what) = (
        <[_; 2]>::try_from(runs).unwrap_or_default(),
        "a record of 630 bytes, file -> select event ... where -> file, in the whole program",
    );
    let items = many - few;
    Ok(Count { name: FLOW, what, items, each: (more as f64 - less as f64) / items as f64 })
}

/// `command` under callgrind, which counts all, or only what is called by functions of that name.
fn callgrind(command: &Command, function: Option<&str>, out: &Path) -> Command {
    let mut wrapped = Command::new("valgrind");
    let mut out_file = OsString::from("--callgrind-out-file=");
    out_file.push(out);
    wrapped.arg("--tool=callgrind").arg(out_file);
    if let Some(function) = function {
        wrapped.arg(format!("--toggle-collect=*::{function}"));
    }
    wrapped.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

/// The number behind `Collected :` in what callgrind says.
fn collected(said: &str) -> Option<u64> {
    let (_, number) = said.lines().rev().find_map(|line| line.split_once("Collected :"))?;
    number.trim().parse().ok()
}

/// The first number among the words.
fn first_number(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().find_map(|word| word.parse().ok())
}

/// Name, figure, explanation.
fn table(counts: &[Count]) -> String {
    let width = counts.iter().map(|count| count.name.len()).max().unwrap_or_default();
    let line = |count: &Count| format!("{:<width$}  {:>9}  {}", count.name, number(count.each), count.what);
    let head = format!("{:<width$}  {:>9}  instructions per item:", "part", "each");
    std::iter::once(head).chain(counts.iter().map(line)).collect::<Vec<_>>().join("\n")
}

fn json(counts: &[Count]) -> String {
    let parts = counts.iter().map(|count| {
        let Count { name, what, items, each } = count;
        serde_json::json!({"part": name, "what": what, "items": items, "instructions_per_item": each})
    });
    serde_json::json!({"parts": parts.collect::<Vec<_>>()}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found_in_what_is_said() {
        let said = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n==7== I   refs:      123,456\n";
        assert_eq!(collected(said), Some(123_456));
        assert_eq!(collected("valgrind: failed to start"), None);
        assert_eq!(first_number("filter: 2000 events\n"), Some(2_000));
        assert_eq!(first_number("none"), None);
    }

    #[test]
    fn commands_are_wrapped_whole() {
        let mut command = Command::new("prog");
        command.args(["a b", "c"]).current_dir("/d");
        let wrapped = callgrind(&command, Some("counted"), Path::new("/o"));
        let arguments: Vec<_> = wrapped.get_args().map(|argument| argument.to_string_lossy()).collect();
        let expected = [
            "--tool=callgrind",
            "--callgrind-out-file=/o",
            "--toggle-collect=*::counted",
            "prog",
            "a b",
            "c",
        ];
        assert_eq!(arguments, expected);
        assert_eq!(wrapped.get_current_dir(), Some(Path::new("/d")));
    }

    #[test]
    fn every_part_has_a_name_of_its_own() {
        let mut names: Vec<_> = PARTS.iter().map(|part| part.name).chain([FLOW]).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PARTS.len() + 1);
    }

    #[test]
    fn the_table_is_aligned() {
        let count = |name, each| Count { name, what: "this", items: 1, each };
        let text = table(&[count("a", 12.34), count("long name", 12_345.6)]);
        let expected = "\
part            each  instructions per item:
a               12.3  this
long name     12 346  this";
        assert_eq!(text, expected);
    }
}
