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
    bench::{
        Bench,
        cases::{echo_flow, file_flow},
        children::Running,
        program,
        records::Records,
        report::number,
        ws_load,
    },
    error::{Doing as _, Error, Result},
    output,
};
use parts::{PARTS, Part};

/// How long one count may take: programs run at about a fiftieth of their speed.
const LIMIT: Duration = Duration::from_secs(600);
/// The whole program, from file to file and as an echo.
const FLOW_FILE: &str = "flow file";
const FLOW_ECHO: &str = "flow echo";

type CountFlow = fn(&Bench) -> Result<Count>;

/// Behind the parts in the table.
const FLOWS: [(&str, CountFlow); 2] = [(FLOW_FILE, count_file), (FLOW_ECHO, count_echo)];

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
    let flows: Vec<_> = FLOWS.iter().filter(|(name, _)| wanted(name)).collect();
    if parts.is_empty() && flows.is_empty() {
        let known: Vec<_> = names().collect();
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
    if !flows.is_empty() {
        let bench = Bench::new(args.binary.as_deref())?;
        for (name, count) in flows {
            output::note(name);
            counts.push(count(&bench)?);
        }
    }
    output::result(&if args.json { json(&counts) } else { table(&counts) });
    Ok(ExitCode::SUCCESS)
}

/// What can be asked for.
fn names() -> impl Iterator<Item = &'static str> {
    PARTS.iter().map(|part| part.name).chain(FLOWS.iter().map(|(name, _)| *name))
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

/// Runs the flow of the case `file` on a short and on a longer input.
fn count_file(bench: &Bench) -> Result<Count> {
    let [path, output, flow] =
        ["in.json", "out.json", "flow.troy"].map(|name| bench.folder.path().join(name));
    fs::write(&flow, file_flow::filter_flow(&path, &output)).doing(|| "write a flow".to_owned())?;
    let run = |bytes: u64| {
        let records = Records::write(&path, bytes)?;
        let mut running = whole_program(bench, &flow)?;
        running.finish(LIMIT)?;
        Ok((records.lines, running.said()))
    };
    let what = "a record of 630 bytes, file -> select event ... where -> file, in the whole program";
    difference(FLOW_FILE, what, [run(1_000_000)?, run(3_000_000)?])
}

/// Sends few and more messages through the echo flow, one after the other.
fn count_echo(bench: &Bench) -> Result<Count> {
    let folder = echo_flow::folder(bench)?;
    let run = |messages: u64| {
        let address = program::free_address()?;
        let mut running = whole_program(bench, &echo_flow::write(&folder, address, None)?)?;
        program::wait_for_accept(&mut running, address)?;
        ws_load::ping_pong(&ws_load::Target::plain(address), messages, || None)?;
        running.ask_to_end();
        running.finish(LIMIT)?;
        Ok((messages + messages / ws_load::WARM_UP_PART, running.said()))
    };
    let what = "a message of 100 bytes of JSON through the echo flow, one at a time, in the whole program";
    difference(FLOW_ECHO, what, [run(1_000)?, run(3_000)?])
}

/// `server run` of a flow, counted from its start to its end.
fn whole_program(bench: &Bench, flow: &Path) -> Result<Running> {
    let out = bench.folder.path().join("callgrind.out");
    let mut command = callgrind(&bench.program.server(flow), None, &out);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    bench.children.spawn("the flow under valgrind", &mut command)
}

/// What the second run has more than the first one: items, and what valgrind said.
fn difference(name: &'static str, what: &'static str, runs: [(u64, String); 2]) -> Result<Count> {
    let [(few, less), (many, more)] = &runs;
    match (collected(less), collected(more)) {
        (Some(less), Some(more)) if more > less && many > few => {
            let items = many - few;
            Ok(Count { name, what, items, each: (more - less) as f64 / items as f64 })
        }
        _ => Err(Error::NoCount { name: name.to_owned(), problem: format!("{less}{more}") }),
    }
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
    fn what_starting_takes_is_taken_off() {
        let said = |count: u64| format!("==7== Collected : {count}\n");
        let count = difference("a", "b", [(10, said(1_000)), (30, said(1_500))]).unwrap();
        assert_eq!((count.items, count.each), (20, 25.0));
        assert!(difference("a", "b", [(10, said(1_000)), (30, said(900))]).is_err());
        assert!(difference("a", "b", [(10, said(1_000)), (30, String::new())]).is_err());
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
        let mut names: Vec<_> = names().collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PARTS.len() + FLOWS.len());
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
