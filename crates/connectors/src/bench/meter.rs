//! Measures what arrives: from when on, how long, and when it is enough.

use hdrhistogram::Histogram;
use std::time::Duration;
use tokio::time::Instant;

/// Latencies are told apart from 1 ns to 100 s; longer ones count as that.
const LONGEST_NS: u64 = 100_000_000_000;

/// When to measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// What arrives in this time after the start is not measured.
    pub(super) warmup: Duration,
    /// How long to measure after the warm-up; `None`: no limit.
    pub(super) limit: Option<Duration>,
    /// So many events end the run, those of the warm-up included; `None`: no limit.
    pub(super) enough: Option<u64>,
    /// Significant decimal digits of latencies, at most 5.
    pub(super) digits: u8,
}

impl Plan {
    /// When a run that starts at `start` is over.
    pub(super) fn end(&self, start: Instant) -> Option<Instant> {
        // A limit that the clock cannot say is none.
        start.checked_add(self.warmup)?.checked_add(self.limit?)
    }
}

/// The result of a run.
#[derive(Debug)]
pub(super) struct Measured {
    /// One entry, in nanoseconds, for every event.
    pub(super) latencies: Histogram<u64>,
    /// What the events were encoded to.
    pub(super) bytes: u64,
    /// How long was measured.
    pub(super) took: Duration,
    /// It was over before the warm-up was.
    pub(super) is_cold: bool,
}

/// A run.
#[derive(Debug)]
pub(super) struct Meter {
    plan: Plan,
    /// When measuring begins; `None`: never, as the clock cannot say when.
    warm: Option<Instant>,
    end: Option<Instant>,
    arrived: u64,
    /// When the first measured event set out, and when the last one arrived.
    between: Option<(Instant, Instant)>,
    latencies: Histogram<u64>,
    bytes: u64,
}

impl Meter {
    /// Begins a run; `None` if more digits are asked for than there can be.
    pub(super) fn start(plan: Plan, now: Instant) -> Option<Self> {
        Some(Self {
            plan,
            warm: now.checked_add(plan.warmup),
            end: plan.end(now),
            arrived: 0,
            between: None,
            latencies: Histogram::new_with_bounds(1, LONGEST_NS, plan.digits).ok()?,
            bytes: 0,
        })
    }

    /// An event arrived `latency_ns` after it set out and was encoded to so many bytes; `None`: that failed.
    pub(super) fn arrived(&mut self, now: Instant, latency_ns: u64, bytes: Option<usize>) {
        self.arrived = self.arrived.saturating_add(1);
        let Some(warm) = self.warm.filter(|warm| *warm <= now) else { return };
        if self.end.is_some_and(|end| end <= now) {
            return;
        }
        let (_, last) = self.between.get_or_insert_with(|| {
            let set_out = now.checked_sub(Duration::from_nanos(latency_ns)).unwrap_or(now);
            (set_out.max(warm), now)
        });
        *last = now;
        if let Some(bytes) = bytes {
            self.latencies.saturating_record(latency_ns.max(1));
            self.bytes = self.bytes.saturating_add(bytes as u64);
        }
    }

    /// Whether nothing more is to be measured.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.end.is_some_and(|end| end <= now)
            || self.plan.enough.is_some_and(|enough| enough <= self.arrived)
    }

    /// Ends the run.
    pub(super) fn finish(self, now: Instant) -> Measured {
        let timed = match (self.plan.limit, self.end) {
            (Some(limit), Some(end)) if end <= now => Some(limit),
            _ => None,
        };
        let counted = self.between.map(|(first, last)| last.saturating_duration_since(first));
        let took = timed.or(counted).unwrap_or_default();
        let is_cold = self.warm.is_none_or(|warm| now < warm);
        Measured { latencies: self.latencies, bytes: self.bytes, took, is_cold }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { warmup: Duration::ZERO, limit: None, enough: None, digits: 2 };

    fn ms(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn a_run_without_limit_takes_from_the_start_of_the_first_event_to_the_arrival_of_the_last() {
        let start = Instant::now();
        let mut meter = Meter::start(Plan { enough: Some(2), ..PLAN }, start).unwrap();
        meter.arrived(ms(start, 30), 10_000_000, Some(5));
        assert!(!meter.is_over(ms(start, 1_000_000)));
        meter.arrived(ms(start, 70), 1_000_000, Some(7));
        assert!(meter.is_over(ms(start, 70)));
        let measured = meter.finish(ms(start, 900));
        assert_eq!(measured.took, Duration::from_millis(50));
        assert_eq!((measured.latencies.len(), measured.bytes), (2, 12));
    }

    #[test]
    fn the_warmup_is_not_measured_and_the_limit_counts_from_its_end() {
        let start = Instant::now();
        let plan =
            Plan { warmup: Duration::from_millis(100), limit: Some(Duration::from_millis(200)), ..PLAN };
        let mut meter = Meter::start(plan, start).unwrap();
        assert!(Meter::start(plan, start).unwrap().finish(ms(start, 99)).is_cold);
        meter.arrived(ms(start, 99), 1, Some(1));
        meter.arrived(ms(start, 100), 90_000_000, Some(10));
        assert!(!meter.is_over(ms(start, 299)));
        meter.arrived(ms(start, 299), 1, Some(10));
        assert!(meter.is_over(ms(start, 300)));
        meter.arrived(ms(start, 300), 1, Some(100));
        let measured = meter.finish(ms(start, 300));
        assert_eq!((measured.latencies.len(), measured.bytes, measured.is_cold), (2, 20, false));
        assert_eq!(measured.took, Duration::from_millis(200));
    }

    #[test]
    fn what_set_out_before_the_end_of_the_warmup_counts_from_there() {
        let start = Instant::now();
        let mut meter = Meter::start(Plan { warmup: Duration::from_millis(100), ..PLAN }, start).unwrap();
        meter.arrived(ms(start, 150), 150_000_000, Some(1));
        assert_eq!(meter.finish(ms(start, 150)).took, Duration::from_millis(50));
    }

    #[test]
    fn events_that_cannot_be_encoded_arrive_but_are_not_measured() {
        let start = Instant::now();
        let mut meter = Meter::start(Plan { enough: Some(1), ..PLAN }, start).unwrap();
        meter.arrived(start, 1, None);
        assert!(meter.is_over(start));
        assert_eq!(meter.finish(start).latencies.len(), 0);
    }

    #[test]
    fn extreme_values_are_taken_as_they_come() {
        let start = Instant::now();
        let long = Plan { warmup: Duration::MAX, limit: Some(Duration::MAX), ..PLAN };
        let mut meter = Meter::start(long, start).unwrap();
        meter.arrived(start, u64::MAX, Some(1));
        let measured = meter.finish(start);
        assert_eq!((measured.latencies.len(), measured.is_cold), (0, true), "the warm-up never ends");
        let mut meter = Meter::start(PLAN, start).unwrap();
        meter.arrived(start, u64::MAX, Some(1));
        meter.arrived(start, 0, Some(1));
        let measured = meter.finish(start);
        assert_eq!((measured.latencies.min(), measured.latencies.len()), (1, 2));
        assert!(Meter::start(Plan { digits: 6, ..PLAN }, start).is_none());
    }
}
