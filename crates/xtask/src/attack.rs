//! `cargo xtask attack`: what nobody should do to a WebSocket server, many times over, while quiet clients talk to it.
//!
//! Everything happens on loopback, each round in fixed numbers, and ends by itself. The attackers are a process of their own. They
//! first attack a listener that accepts and discards everything, in this process, while the quiet clients talk to a
//! `tremor` that is left alone; then that `tremor`. So the two latencies differ by what the attack does to the
//! program, not by what it does to the machine. Either attack is repeated until some seconds have passed, and what counts is
//! what the quiet clients see meanwhile.

mod attacker;
mod discard;
mod kinds;
mod quiet;
mod script;

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use clap::{
    ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    bench::{
        Bench,
        children::Running,
        flow_text,
        program::{free_address, wait_for_accept},
    },
    error::{Doing as _, Error, Result},
    output, reference,
};
use attacker::Outcome;
use discard::Discard;
use kinds::Attack;
use quiet::{Latencies, Seen};

pub(crate) use attacker::{Args as AttackerArgs, run as be_attackers};
pub(crate) use kinds::Name;

/// How long an attack goes on at least, where all attackers take part.
const ATTACK_TIME: Duration = Duration::from_secs(3);
/// How long the attackers may take for all of it.
const ATTACK_LIMIT: Duration = Duration::from_secs(300);
/// Time between two looks at a process.
const PAUSE: Duration = Duration::from_millis(5);
const MIB: u64 = 1_024 * 1_024;

/// Options of `cargo xtask attack`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which attack, or `all`
    #[arg(value_parser = asked())]
    name: Asked,
    /// Only one of so many of the attackers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    part: u32,
    /// Attack this tremor binary instead of building one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    All,
    One(Name),
}

/// Reads the name of an attack; help lists them all.
fn asked() -> impl TypedValueParser<Value = Asked> {
    let all = PossibleValue::new("all").help("One after the other");
    let names = Name::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    PossibleValuesParser::new(std::iter::once(all).chain(names)).try_map(|name| match name.as_str() {
        "all" => Ok(Asked::All),
        name => Name::from_str(name, false).map(Asked::One),
    })
}

/// Runs what was asked for, one attack after the other, and prints what it saw. The exit code is 1 if a quiet client lost
/// something, if the memory went over its bound, or if an attacker was left alone for longer than its deadline. How slow it
/// was for the quiet ones is printed only.
///
/// # Errors
/// When nothing can be started.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    raise_open_files();
    let bench = Bench::new(args.binary.as_deref())?;
    output::result(&format!(
        "{:<18} {:>9} {:>9} {:>9} {:>6} {:>11} {:>9} {:>8} {:>9} {:>8}",
        "attack", "attackers", "ended in", "of", "quiet", "lost", "p99 ms", "ratio", "peak MiB", "bound"
    ));
    let mut all_good = true;
    for attack in kinds::ALL {
        if matches!(args.name, Asked::One(name) if name != attack.name) {
            continue;
        }
        output::note(&format!("{}: {}", attack.name, attack.about));
        match carried_out(&bench, attack, args.part) {
            Ok(result) => all_good &= result.tell(attack),
            Err(error) => {
                output::result(&format!("{}: FAILED: {error}", attack.name));
                all_good = false;
            }
        }
    }
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As many open files as the system lets us have: one of two processes has a file for each of 10 000 attackers.
pub(crate) fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        output::note(&format!("warning: the limit of open files stays as it is: {error}"));
    }
}

/// What came of one attack.
struct Report {
    attackers: Outcome,
    left_alone: Seen,
    attacked: Seen,
    /// Of those two, while the attacks went on.
    latencies: [Latencies; 2],
    bytes_before: u64,
    peak_bytes: u64,
}

impl Report {
    /// Prints it; whether all is as it should be.
    fn tell(&self, attack: &Attack) -> bool {
        let Self { attackers, left_alone, attacked, latencies, bytes_before, peak_bytes } = self;
        let [quiet_p99, p99] = latencies.each_ref().map(|latencies| latencies.percentile_ms(99.0));
        let more = peak_bytes.saturating_sub(*bytes_before).div_ceil(MIB);
        output::result(&format!(
            "{:<18} {:>9} {:>7.1} s {:>7.1} s {:>6} {:>11} {:>4.1}/{:<4.1} {:>8.2} {:>9} {:>8}",
            attack.name.to_string(),
            format!("{}/{}", attackers.closed, attackers.count),
            attackers.longest.as_secs_f64(),
            attack.deadline.as_secs_f64(),
            left_alone.sent + attacked.sent,
            left_alone.lost() + attacked.lost(),
            p99,
            quiet_p99,
            p99 / quiet_p99,
            format!("+{more}"),
            format!("+{}", attack.memory_mib),
        ));
        let mut faults = Vec::new();
        if left_alone.lost() + attacked.lost() > 0 {
            faults.push("quiet clients lost messages".to_owned());
        }
        let left_alone = attackers.count - attackers.closed - attackers.forgotten;
        if left_alone > 0 {
            faults.push(format!("{left_alone} attackers were left alone"));
        }
        // Some of them may have been cut off in front of the last word.
        if attackers.told * 10 < attackers.closed * 9 {
            let (told, closed) = (attackers.told, attackers.closed);
            faults.push(format!("{told} of {closed} attackers were told what they should be told"));
        }
        if attackers.forgotten * 2 > attackers.count {
            faults.push("most attackers were never heard of".to_owned());
        }
        if attackers.longest > attack.deadline {
            faults.push("an attacker ended too late".to_owned());
        }
        if more > attack.memory_mib {
            faults.push("more memory than its bound".to_owned());
        }
        if attackers.forgotten > 0 {
            let (name, count) = (attack.name, attackers.forgotten);
            output::result(&format!(
                "{name}: {count} attackers were never heard of: the queue of the listener was full"
            ));
        }
        for fault in &faults {
            output::result(&format!("{}: FAILED: {fault}", attack.name));
        }
        faults.is_empty()
    }
}

fn carried_out(bench: &Bench, attack: &Attack, part: u32) -> Result<Report> {
    let folder = tempfile::tempdir_in(bench.folder.path()).doing(|| "make a temporary folder".to_owned())?;
    let flow = folder.path().join("flow.troy");
    let address = free_address()?;
    fs::write(&flow, flow_of(attack, address)).doing(|| "write a flow".to_owned())?;
    let mut server = bench.children.spawn("the attacked flow", &mut bench.program.server(&flow))?;
    wait_for_accept(&mut server, address)?;

    let discard = Discard::start()?;
    let (left_alone, discarded) = watched(bench, attack, &mut server, address, discard.address, part)?;
    drop(discard);
    let unknown = || Error::Answer("the system does not tell how much memory the flow has".to_owned());
    let bytes_before = server.resident_bytes().ok_or_else(unknown)?;
    let (attacked, attackers) = watched(bench, attack, &mut server, address, address, part)?;
    let peak_bytes = server.peak_bytes().ok_or_else(unknown)?;
    let latencies = [left_alone.during(discarded.during)?, attacked.during(attackers.during)?];
    Ok(Report { attackers, left_alone, attacked, latencies, bytes_before, peak_bytes })
}

/// Quiet clients talk to `server` while attackers, in their own process, turn against `target`.
fn watched(
    bench: &Bench,
    attack: &Attack,
    server: &mut Running,
    address: SocketAddr,
    target: SocketAddr,
    part: u32,
) -> Result<(Seen, Outcome)> {
    let over = AtomicBool::new(false);
    let mut command = reference::command()?;
    let is_listening = target == address;
    command.args(["attack", &attack.name.to_string(), &target.to_string(), &part.to_string()]);
    command.arg((ATTACK_TIME / part).as_millis().to_string());
    if !is_listening {
        command.arg("--no-answers");
    }
    let told = bench.folder.path().join("attackers.json");
    let file = fs::File::create(&told).doing(|| format!("create {}", told.display()))?;
    command.stdout(Stdio::from(file));
    let (acted, seen) = thread::scope(|scope| {
        let (begins, begun) = mpsc::channel();
        let over = &over;
        let quiet = scope.spawn(move || quiet::talk(address, attack.authorization, begins, over));
        // Until they talk, or cannot.
        let _nothing_is_said = begun.recv();
        let acted = act(bench, &mut command, server);
        over.store(true, Ordering::Relaxed);
        (acted, quiet.join())
    });
    acted?;
    let seen = seen.map_err(|_| Error::Answer("the quiet clients panicked".to_owned()))??;
    let text = fs::read_to_string(&told).doing(|| format!("read {}", told.display()))?;
    Ok((seen, Outcome::read(&text)?))
}

fn act(bench: &Bench, command: &mut Command, server: &mut Running) -> Result<()> {
    server.stays(Duration::from_millis(300))?;
    let start = Instant::now();
    let mut attackers = bench.children.spawn("the attackers", command)?;
    while !attackers.has_ended()? {
        if start.elapsed() > ATTACK_LIMIT {
            return Err(Error::Answer(format!("the attackers were not done after {ATTACK_LIMIT:?}")));
        }
        server.stays(PAUSE)?;
    }
    attackers.finish(PAUSE)
}

fn flow_of(attack: &Attack, address: SocketAddr) -> String {
    let more = attack.config;
    flow_text::flow(&format!(
        "{server}  use tremor::pipelines;
  create pipeline talk from pipelines::passthrough;
  connect /connector/echo to /pipeline/talk;
  connect /pipeline/talk to /connector/echo;
",
        server = flow_text::ws_server("echo", address, None)
            .replace(&format!("\"url\": \"{address}\""), &format!("\"url\": \"{address}\"{more}")),
    ))
}
