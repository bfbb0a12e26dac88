//! A process that is killed again and again, and two logs that have to lose nothing by it.
//!
//! ```text
//! first (wal) -> second (wal) -> out.txt
//! ```
//!
//! The position of the first log says what the second has acknowledged; it is read from its file after every kill.
//! Whatever the second acknowledged will never be given by the first again, so if it is not in the second log it is
//! missing in the end.

use crate::{
    live::{Folder, Live},
    tree::PATIENCE,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Events that are put into the first log whenever it is empty.
const FILL: u64 = 10_000;

const LOGS: &str = r#"
  use tremor::{connectors, pipelines};
  use integration;
  define connector first from wal
  with config = {"path": "first", "chunk_size": 50000, "max_chunks": 100, "sync": "SYNC", "sync_interval_ms": 20} end;
  define connector second from wal
  with config = {"path": "second", "chunk_size": 50000, "max_chunks": 1000, "sync": "SYNC", "sync_interval_ms": 20} end;
"#;

const FILLING: &str = r#"
  define connector input from file
  with codec = "string", preprocessors = ["separate"], config = {"path": "in.txt", "mode": "read"} end;
  create connector input;
  create connector first;
  create connector exit from connectors::exit;
  create pipeline fill from integration::out_or_exit;
  connect /connector/input to /pipeline/fill;
  connect /pipeline/fill to /connector/first;
  connect /pipeline/fill/exit to /connector/exit;
"#;

const MOVING: &str = r#"
  define connector output from file
  with codec = "string", postprocessors = ["separate"], config = {"path": "out.txt", "mode": "append"} end;
  create connector first;
  create connector second;
  create connector output;
  create pipeline pass from pipelines::passthrough;
  create pipeline write from pipelines::passthrough;
  connect /connector/first to /pipeline/pass;
  connect /pipeline/pass to /connector/second;
  connect /connector/second to /pipeline/write;
  connect /pipeline/write to /connector/output;
"#;

fn flow(body: &str, sync: &str) -> String {
    let logs = LOGS.replace("SYNC", sync);
    format!("define flow main\nflow\n{logs}{body}end;\ndeploy flow main;\n")
}

/// Numbers that look random and are the same for the same seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// How many entries of the log in `name` are confirmed, as its file says: it has two slots of 4096 bytes, and the one
/// with the higher sequence number counts. That number and the position stand behind 8 bytes of name and 4 of version.
fn position(folder: &Folder, name: &str) -> u64 {
    let Ok(content) = fs::read(folder.path(name).join("position")) else { return 0 };
    assert_eq!(content.len(), 8192, "a position file has two slots");
    let number =
        |slot: &[u8], at: usize| slot.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let slots = content.chunks(4096).filter_map(|slot| Some((number(slot, 12)?, number(slot, 20)?)));
    slots.max().map_or(0, |(_, position)| position)
}

/// Puts `FILL` more events behind `sent` into the first log.
fn fill(folder: &Folder, sent: u64) -> u64 {
    let next = sent + FILL;
    let lines: String = (sent..next).map(|number| format!("<{number}>\n")).collect();
    folder.write("in.txt", &format!("{lines}exit\n"));
    folder.run(&["server", "run", "-n", "fill.troy"]).expect(0);
    next
}

/// How often every number is in a file. One that was torn by a kill has no end mark.
fn numbers(content: &[u8], counts: &mut BTreeMap<u64, usize>) {
    for part in content.split(|byte| *byte == b'<') {
        let digits = part.split(|byte| *byte == b'>').next().filter(|digits| digits.len() < part.len());
        if let Some(number) = digits.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok()) {
            *counts.entry(number).or_default() += 1;
        }
    }
}

/// How often every number was written.
fn written(folder: &Folder) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    numbers(&fs::read(folder.path("out.txt")).unwrap_or_default(), &mut counts);
    counts
}

/// How often every number is in the files of the second log that are still there.
fn stored(folder: &Folder) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for file in fs::read_dir(folder.path("second")).unwrap() {
        numbers(&fs::read(file.unwrap().path()).unwrap(), &mut counts);
    }
    counts
}

/// How many numbers may be written once more because of a kill: those that the first log gives again although the
/// second has stored them, and those that the second gives again although they are written.
fn may_repeat(folder: &Folder, acknowledged: u64) -> usize {
    let (written, stored) = (written(folder), stored(folder));
    let handled: BTreeSet<u64> = written.keys().chain(stored.keys()).copied().collect();
    let by_the_first = handled.range(acknowledged..).count();
    let by_the_second: usize =
        stored.iter().filter(|(number, _)| written.contains_key(number)).map(|(_, count)| count).sum();
    by_the_first + by_the_second
}

fn output_size(folder: &Folder) -> u64 {
    fs::metadata(folder.path("out.txt")).map_or(0, |file| file.len())
}

/// Lets the server work for a while that chance decides: some time from its start, or until it wrote something and
/// a little longer.
fn work(folder: &Folder, server: &mut Live, chance: &mut Chance) {
    if chance.below(3) == 0 {
        return thread::sleep(Duration::from_micros(chance.below(80_000)));
    }
    let (begin, wanted) = (Instant::now(), output_size(folder) + 1 + chance.below(20_000));
    while output_size(folder) < wanted && begin.elapsed() < Duration::from_millis(400) {
        assert!(server.is_running(), "{}", server.said());
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_micros(chance.below(10_000)));
}

#[test]
fn two_logs_lose_nothing_when_the_process_is_killed_a_hundred_times() {
    println!("{}", kill_and_count("always", 100));
}

#[test]
fn no_sync_is_needed_to_outlive_the_end_of_a_process() {
    println!("{}", kill_and_count("interval", 25));
    println!("{}", kill_and_count("never", 25));
}

fn seed() -> u64 {
    std::env::var("TREMOR_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// Kills the process so often and gives what came of it, in words.
fn kill_and_count(sync: &str, kills: usize) -> String {
    let seed = seed();
    let mut chance = Chance(seed);
    let folder = Folder::new(&[("fill.troy", &flow(FILLING, sync)), ("move.troy", &flow(MOVING, sync))]);
    for log in ["first", "second"] {
        fs::create_dir(folder.path(log)).unwrap();
    }
    let (mut sent, mut acknowledged, mut allowed) = (0, 0, 0);
    for kill in 0..kills {
        if acknowledged == sent {
            sent = fill(&folder, sent);
        }
        let mut server = folder.serve(&["-n", "move.troy"]);
        work(&folder, &mut server, &mut chance);
        let said = server.said();
        assert!(!said.contains(" ERROR "), "after kill {kill}: {said}");
        // Killed, not ended.
        drop(server);
        let now = position(&folder, "first");
        assert!(acknowledged <= now && now <= sent, "after kill {kill}: {acknowledged}, {now}, {sent}");
        acknowledged = now;
        allowed += may_repeat(&folder, acknowledged);
    }

    let server = folder.serve(&["-n", "move.troy"]);
    let begin = Instant::now();
    // What is missing then is counted below.
    let is_over = || written(&folder).len() as u64 == sent && position(&folder, "first") == sent;
    while !is_over() && begin.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(20));
    }
    server.signal("TERM");
    server.end().expect(0);
    acknowledged = position(&folder, "first");
    let counts = written(&folder);
    let lost = (0..sent).filter(|number| !counts.contains_key(number)).count();
    let delivered = counts.len();
    let repeated: usize = counts.values().map(|count| count - 1).sum();
    let report = format!(
        "seed {seed} (another one: TREMOR_TEST_SEED), sync {sync}, kills {kills}: sent {sent}, acknowledged \
         {acknowledged}, delivered {delivered}, repeated {repeated} (at most {allowed}), lost {lost}"
    );
    assert_eq!((acknowledged, lost), (sent, 0), "{report}");
    assert_eq!(delivered as u64, sent, "nothing was invented: {report}");
    // At least once: again comes what was handled when the process was killed, and not yet kept as confirmed.
    assert!(repeated <= allowed, "{report}");
    report
}

/// The limit makes the write fail; it does not end the process.
#[test]
fn a_limit_of_file_sizes_fails_events_and_no_more() {
    let folder = Folder::new(&[("fill.troy", &flow(FILLING, "always"))]);
    fs::create_dir(folder.path("first")).unwrap();
    let lines: String = (0..2_000).map(|number| format!("<{number}>\n")).collect();
    folder.write("in.txt", &format!("{lines}exit\n"));
    let limited = format!("ulimit -f 32; exec '{}' server run -n fill.troy", env!("CARGO_BIN_EXE_tremor"));
    let output = Command::new("sh").args(["-c", &limited]).current_dir(folder.path("")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let lost: u64 = said
        .lines()
        .filter_map(|line| {
            line.split_once(" failed: writing `first/00000000000000000000.wal` failed: File too large")
        })
        .filter_map(|(before, _)| before.strip_suffix(" events")?.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert!(lost > 100, "the log says how many events failed: {said}");
}
