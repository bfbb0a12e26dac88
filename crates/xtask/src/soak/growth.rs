//! Resident memory over time, and whether it grew.

use std::time::{Duration, Instant};

use super::{Soaked, Span, mib, wrong};
use crate::{bench::children::Running, error::Result, output};

/// How much more than after the first part may be there at the end.
const MAX_GROWTH: f64 = 1.05;
/// How long a process may take to set up what it keeps, if the whole takes long enough.
const FIRST_PART: Duration = Duration::from_secs(60);
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// Time between two lines about how far it is.
const NEWS: Duration = Duration::from_secs(30);
/// Without an event for so long something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Resident bytes, and when.
#[derive(Debug, Default)]
pub(super) struct Series {
    samples: Vec<(Duration, f64)>,
}

/// Resident bytes, each the mean of a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Growth {
    pub(super) before: f64,
    pub(super) after: f64,
}

impl Growth {
    /// Whether the end is within the bound.
    pub(super) fn is_good(self) -> bool {
        self.after <= self.before * MAX_GROWTH
    }
}

impl Series {
    /// Compares the end with the time after the first minute, or after the first tenth if that is shorter.
    /// Both are means over a sixth of the time: what an allocator has at hand goes up and down.
    ///
    /// # Errors
    /// If there are too few samples to compare.
    pub(super) fn growth(&self) -> Result<Growth> {
        let time = self.time();
        let window = time / 6;
        let start = FIRST_PART.min(time / 10);
        let mean = |from: Duration, to: Duration| {
            let within: Vec<f64> = self
                .samples
                .iter()
                .filter(|(at, _)| (from..=to).contains(at))
                .map(|(_, bytes)| *bytes)
                .collect();
            let is_some = !within.is_empty();
            is_some.then(|| within.iter().sum::<f64>() / within.len() as f64)
        };
        // The first sample behind the start stands in where none is within the window.
        let first = || self.samples.iter().find(|(at, _)| *at >= start).map(|(_, bytes)| *bytes);
        let before = mean(start, start + window).or_else(first);
        let after = mean(time.saturating_sub(window), time);
        match (before, after) {
            (Some(before), Some(after)) if self.samples.len() > 2 => Ok(Growth { before, after }),
            _ => Err(wrong("it was over before memory could be compared")),
        }
    }

    /// When the last sample was taken.
    pub(super) fn time(&self) -> Duration {
        self.samples.last().map(|(at, _)| *at).unwrap_or_default()
    }

    /// The greatest sample.
    pub(super) fn most(&self) -> f64 {
        self.samples.iter().map(|(_, bytes)| *bytes).fold(0.0, f64::max)
    }

    /// Looks once.
    ///
    /// # Errors
    /// If the system does not tell.
    pub(super) fn look(&mut self, start: Instant, process: &Running) -> Result<()> {
        let bytes =
            process.resident_bytes().ok_or_else(|| wrong("the process has no memory: it must have ended"))?;
        self.samples.push((start.elapsed(), bytes as f64));
        Ok(())
    }
}

/// Watches `process` while events flow, until `span` is over.
///
/// # Errors
/// If the process ends, if no event comes for a while, and what `fault` says.
pub(super) fn watch(
    name: &str,
    process: &mut Running,
    span: Span,
    events: impl Fn() -> u64,
    mut fault: impl FnMut() -> Option<String>,
) -> Result<Soaked> {
    let start = Instant::now();
    let mut series = Series::default();
    let (mut news, mut moved, mut seen) = (start, start, 0);
    loop {
        process.stays(PAUSE)?;
        series.look(start, process)?;
        if let Some(fault) = fault() {
            return Err(wrong(fault));
        }
        let (now, passed) = (Instant::now(), events());
        if passed > seen {
            (seen, moved) = (passed, now);
        } else if now - moved > PATIENCE {
            return Err(wrong(format!("no event came for {PATIENCE:?}; {passed} had come before")));
        }
        if now - news > NEWS {
            news = now;
            let resident = mib(series.samples.last().map_or(0.0, |(_, bytes)| *bytes));
            output::note(&format!("{name}: {passed} events, {resident:.1} MiB"));
        }
        if now - start >= span.time && passed >= span.events {
            return Ok(Soaked { events: passed, series });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One sample per second.
    fn series(bytes: impl Iterator<Item = f64>) -> Series {
        Series { samples: (0..).map(Duration::from_secs).zip(bytes).collect() }
    }

    #[test]
    fn the_first_minute_does_not_count() {
        let grown = series((0..=600).map(|second| if second < 59 { f64::from(second) } else { 100.0 }));
        let growth = grown.growth().unwrap();
        assert_eq!(growth, Growth { before: 100.0, after: 100.0 });
        assert!(growth.is_good());
    }

    #[test]
    fn growth_afterwards_is_bad() {
        let growth = series((0..=600).map(|second| 1_000.0 + f64::from(second))).growth().unwrap();
        assert_eq!(growth, Growth { before: 1_110.0, after: 1_550.0 });
        assert!(!growth.is_good());
        assert!(Growth { before: 100.0, after: 105.0 }.is_good());
    }

    #[test]
    fn a_short_time_is_compared_as_well() {
        let growth = series([1.0, 2.0, 3.0, 4.0].into_iter()).growth().unwrap();
        assert_eq!(growth, Growth { before: 2.0, after: 4.0 });
        assert!(series([1.0].into_iter()).growth().is_err());
    }
}
