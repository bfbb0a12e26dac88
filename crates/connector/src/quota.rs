//! Keeps a flood of the same problem from flooding the log.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{self, Instant},
};

/// Lines that are logged within one second; what the others would have told of is counted.
const LINES_PER_SECOND: u32 = 10;

/// How long what was left out may wait to be counted in the log.
const LEFT_OUT_WAIT: Duration = Duration::from_secs(1);

/// Ten lines a second, and a count of what they leave out.
#[derive(Debug, Default)]
pub struct Quota {
    second: Option<Instant>,
    logged: u32,
    left_out: u64,
}

impl Quota {
    /// Whether a line that tells of `count` things may be logged now, and how many things were left out since the
    /// last one that was.
    pub fn may_log(&mut self, count: u64, now: Instant) -> Option<u64> {
        if self.second.is_none_or(|second| now.duration_since(second) >= Duration::from_secs(1)) {
            self.second = Some(now);
            self.logged = 0;
        }
        if self.logged >= LINES_PER_SECOND {
            self.left_out += count;
            return None;
        }
        self.logged += 1;
        Some(self.take_left_out())
    }

    /// How many things no line has told of so far, where a line may be logged now.
    pub fn may_log_rest(&mut self, now: Instant) -> Option<u64> {
        if self.left_out == 0 { Some(0) } else { self.may_log(0, now) }
    }

    /// How many things no line has told of so far.
    pub fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

/// A [`Quota`] of many tasks. What it leaves out is told of soon, even if nothing else is logged.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    quota: Mutex<Quota>,
    left_out: Notify,
}

impl Tally {
    /// As [`Quota::may_log`], now.
    pub(crate) fn may_log(&self, count: u64) -> Option<u64> {
        let may_log = self.quota().may_log(count, Instant::now());
        if may_log.is_none() {
            self.left_out.notify_one();
        }
        may_log
    }

    /// Tells how many things were left out, each time that no line has told so in a second. Never ends.
    pub(crate) async fn tell_rests(&self, tell: impl Fn(u64)) {
        loop {
            self.left_out.notified().await;
            loop {
                time::sleep(LEFT_OUT_WAIT).await;
                let left_out = self.quota().may_log_rest(Instant::now());
                if let Some(left_out) = left_out {
                    told_unless_none(left_out, &tell);
                    break;
                }
            }
        }
    }

    /// Tells how many things no line has told of so far.
    pub(crate) fn tell_rest(&self, tell: impl Fn(u64)) {
        told_unless_none(self.quota().take_left_out(), &tell);
    }

    fn quota(&self) -> MutexGuard<'_, Quota> {
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told_unless_none(left_out: u64, tell: &impl Fn(u64)) {
    if left_out > 0 {
        tell(left_out);
    }
}

/// What a line says of `count` things that were left out before it.
#[must_use]
pub fn more_before(count: u64) -> String {
    if count == 0 { String::new() } else { format!(" (and {count} more before)") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_lines_a_second_are_logged_and_what_the_others_tell_of_is_counted() {
        let mut quota = Quota::default();
        let logged = (0..25).filter_map(|_| quota.may_log(2, Instant::now()));
        assert_eq!(logged.collect::<Vec<_>>(), [0; 10]);
        time::advance(Duration::from_secs(1)).await;
        assert_eq!(quota.may_log(2, Instant::now()), Some(30));
        assert_eq!(quota.may_log(2, Instant::now()), Some(0));
        assert_eq!(quota.may_log_rest(Instant::now()), Some(0), "nothing is left out");
        let logged = (0..25).filter_map(|_| quota.may_log(2, Instant::now()));
        assert_eq!(logged.count(), 8, "what has nothing to tell is no line");
        assert_eq!(quota.may_log_rest(Instant::now()), None);
        time::advance(Duration::from_secs(1)).await;
        assert_eq!(quota.may_log_rest(Instant::now()), Some(34));
        assert_eq!(quota.may_log_rest(Instant::now()), Some(0));
        assert_eq!(more_before(30), " (and 30 more before)");
        assert_eq!(more_before(0), "");
    }
    #[tokio::test(start_paused = true)]
    async fn what_is_left_out_is_told_a_second_later_and_once() {
        let (tally, told) = (Tally::default(), Mutex::new(Vec::new()));
        let tell = |left_out: u64| told.lock().unwrap().push(left_out);
        let begun = Instant::now();
        let flood = async {
            for _ in 0..15 {
                tally.may_log(2);
            }
            time::sleep(Duration::from_secs(5)).await;
            assert_eq!(*told.lock().unwrap(), [10]);
            let logged = (0..12).filter_map(|_| tally.may_log(1)).count();
            assert_eq!(logged, 10);
            tally.tell_rest(tell);
            tally.tell_rest(tell);
            time::sleep(Duration::from_secs(5)).await;
        };
        tokio::select! {
            () = tally.tell_rests(tell) => {}
            () = flood => {}
        }
        assert_eq!((begun.elapsed(), told.into_inner().unwrap()), (Duration::from_secs(10), vec![10, 2]));
    }
}
