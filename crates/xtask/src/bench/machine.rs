//! What the figures were taken on.

use std::{fs, num::NonZero, thread};

use super::program::Program;

/// Facts that somebody needs who compares figures.
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) processor: String,
    pub(super) memory_mib: u64,
    pub(super) kernel: String,
    /// Mean number of processes that wanted to run during the last minute; near 0 on a quiet machine.
    pub(super) load_average: f64,
    pub(super) program: String,
}

/// Asks the system; what it does not tell is "unknown" or 0.
pub(super) fn facts(program: &Program) -> Machine {
    let unknown = || "unknown".to_owned();
    let uname = rustix::system::uname();
    Machine {
        cores: thread::available_parallelism().map_or(0, NonZero::get),
        processor: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
        memory_mib: field("/proc/meminfo", "MemTotal").map_or(0, |text| kib_to_mib(&text)),
        kernel: format!(
            "{} {} {}",
            uname.sysname().to_string_lossy(),
            uname.release().to_string_lossy(),
            uname.machine().to_string_lossy()
        ),
        load_average: fs::read_to_string("/proc/loadavg").map_or(f64::NAN, |text| first_number(&text)),
        program: program.describe(),
    }
}

impl Machine {
    /// The lines above the table.
    pub(super) fn text(&self) -> String {
        let Self { cores, processor, memory_mib, kernel, load_average, program } = self;
        format!(
            "machine: {cores} cores, {processor}, {memory_mib} MiB, {kernel}, load average {load_average:.2} before\n\
             program: {program}\n"
        )
    }
}

/// The first `name : value` line of a file of such lines.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

fn kib_to_mib(text: &str) -> u64 {
    text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).map_or(0, |kib| kib / 1_024)
}

fn first_number(text: &str) -> f64 {
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}
