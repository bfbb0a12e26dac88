//! What a run shows on standard output (`spec/cli.md` 3.12), and rows of counts.

use crate::output;
use serde::Serialize;
use std::{cell::Cell, io::Write, time::Duration};

/// Counts of a test, a suite, a kind or the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Stats {
    pub(super) pass: u64,
    pub(super) fail: u64,
    pub(super) skip: u64,
    #[serde(rename = "assert")]
    pub(super) asserts: u64,
    pub(super) failed_test_names: Vec<String>,
}

impl Stats {
    pub(super) fn add(&mut self, other: &Self) {
        self.pass += other.pass;
        self.fail += other.fail;
        self.skip += other.skip;
        self.asserts += other.asserts;
        self.failed_test_names.extend(other.failed_test_names.iter().cloned());
    }

    pub(super) fn failed(&mut self, name: impl Into<String>) {
        self.fail += 1;
        self.failed_test_names.push(name.into());
    }

    /// Number of results, skipped ones included.
    pub(super) fn total(&self) -> u64 {
        self.pass + self.fail + self.skip
    }

    fn is_zero(&self) -> bool {
        self.total() == 0 && self.asserts == 0
    }
}

/// Writes progress lines. Once the reader has gone away nothing is written any more.
pub(super) struct Console {
    color: bool,
    closed: Cell<bool>,
}

impl Console {
    pub(super) fn new() -> Self {
        Self { color: output::stdout_has_color(), closed: Cell::new(false) }
    }

    /// `true` once nobody reads what is written.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Writes `text` and a newline.
    pub(super) fn line(&self, text: &str) {
        if self.closed.get() {
            return;
        }
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
            self.closed.set(true);
        }
    }

    /// A heading: `kind` in bold.
    pub(super) fn heading(&self, indent: usize, kind: &str, text: &str) {
        let (on, off) = self.style("\x1b[1m");
        self.line(&format!("{:indent$}{on}{kind}:{off} {text}", ""));
    }

    /// One result, with `(+)` or `(-)` so that it can be read without colour.
    pub(super) fn mark(&self, passed: bool, text: &str) {
        let (sign, color) = if passed { ("(+)", "\x1b[32m") } else { ("(-)", "\x1b[31m") };
        let (on, off) = self.style(color);
        self.line(&format!("       {on}{sign} {text}{off}"));
    }

    /// Lines below a failed result, indented.
    pub(super) fn detail(&self, text: &str) {
        for line in text.lines() {
            self.line(&format!("           {line}"));
        }
    }

    /// A row of counts; nothing if all of them are zero.
    pub(super) fn stats(&self, title: &str, stats: &Stats) {
        if stats.is_zero() {
            return;
        }
        let (on, off) = self.style(if stats.fail > 0 { "\x1b[31m" } else { "\x1b[32m" });
        let Stats { pass, fail, skip, asserts, .. } = stats;
        self.line(&format!("{on}{title}: Pass {pass} Fail {fail} Skip {skip}  Asserts {asserts} {off}"));
    }

    fn style(&self, code: &'static str) -> (&'static str, &'static str) {
        if self.color { (code, "\x1b[0m") } else { ("", "") }
    }
}

/// A duration in its two largest units: `950ns`, `12us 40ns`, `3ms 7us`, `4s 250ms`, `2m 5s`, `1h 0m 07s`.
pub(super) fn elapsed(time: Duration) -> String {
    let ns = time.as_nanos();
    let split = |unit: u128, below: u128| (ns / unit, (ns % unit) / below);
    match ns {
        0..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => {
            let (us, ns) = split(1_000, 1);
            format!("{us}us {ns}ns")
        }
        1_000_000..1_000_000_000 => {
            let (ms, us) = split(1_000_000, 1_000);
            format!("{ms}ms {us}us")
        }
        1_000_000_000..60_000_000_000 => {
            let (s, ms) = split(1_000_000_000, 1_000_000);
            format!("{s}s {ms}ms")
        }
        60_000_000_000..3_600_000_000_000 => {
            let (m, s) = split(60_000_000_000, 1_000_000_000);
            format!("{m}m {s}s")
        }
        _ => {
            let (h, s) = split(3_600_000_000_000, 1_000_000_000);
            format!("{h}h {}m {:02}s", s / 60, s % 60)
        }
    }
}

/// Nanoseconds of a duration, as reports carry them.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (ns, text) in [
            (950, "950ns"),
            (12_040, "12us 40ns"),
            (3_007_000, "3ms 7us"),
            (4_250_000_000, "4s 250ms"),
            (125_000_000_000, "2m 5s"),
            (3_607_000_000_000, "1h 0m 07s"),
        ] {
            assert_eq!(elapsed(Duration::from_nanos(ns)), text);
        }
    }
}
