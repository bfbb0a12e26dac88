//! Keeps a flood of the same problem from flooding the log.

use std::time::Duration;
use tokio::time::Instant;

/// Lines that are logged within one second; what the others would have told of is counted.
const LINES_PER_SECOND: u32 = 10;

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
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(quota.may_log(2, Instant::now()), Some(30));
        assert_eq!(quota.may_log(2, Instant::now()), Some(0));
        assert_eq!(quota.may_log_rest(Instant::now()), Some(0), "nothing is left out");
        let logged = (0..25).filter_map(|_| quota.may_log(2, Instant::now()));
        assert_eq!(logged.count(), 8, "what has nothing to tell is no line");
        assert_eq!(quota.may_log_rest(Instant::now()), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(quota.may_log_rest(Instant::now()), Some(34));
        assert_eq!(quota.may_log_rest(Instant::now()), Some(0));
        assert_eq!(more_before(30), " (and 30 more before)");
        assert_eq!(more_before(0), "");
    }
}
