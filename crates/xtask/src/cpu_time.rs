//! Processor time, which what else happens on a machine disturbs less than it disturbs the clock.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// What all threads of this process have used so far, in user and kernel mode together.
pub(crate) fn of_this_process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The same of another process; `None` where the system does not tell. Granularity is one clock tick,
/// usually 10 ms.
pub(crate) fn of_process(id: u32) -> Option<Duration> {
    let ticks = ticks(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?;
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// Fields 14 and 15 of a `/proc/<pid>/stat` line; the name in field 2 may hold spaces and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?, fields.next()?);
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_survive_a_strange_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 31 11 0 0 20 0 1 0 100 1 1";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn this_process_uses_time() {
        let before = of_this_process();
        while of_this_process() == before {
            std::hint::spin_loop();
        }
    }
}
