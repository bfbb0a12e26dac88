//! What was sent shortly before.

use std::{mem, time::Duration};
use tokio::time::Instant;

/// What was sent in the last so many seconds was sent lately, and so is what was sent in as many before them.
const SPAN: Duration = Duration::from_secs(15);

/// Tells how many messages were sent lately. It looks at their number now and then, and costs nothing for each of them.
#[derive(Debug)]
pub(super) struct Lately {
    /// Sent before all that was sent lately.
    before: u64,
    /// At the beginning of the span at hand.
    begin: Look,
    last: Look,
    /// How many were sent lately when our goodbye was.
    at_goodbye: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    messages: u64,
}

impl Lately {
    pub(super) fn new(at: Instant) -> Self {
        let look = Look { at, messages: 0 };
        Self { before: 0, begin: look, last: look, at_goodbye: None }
    }

    /// So many `messages` were sent so far. To be called every second, at least while any are sent.
    pub(super) fn look(&mut self, messages: u64, at: Instant) {
        let last = mem::replace(&mut self.last, Look { at, messages });
        if at.duration_since(last.at) >= SPAN {
            // Nobody looked, since nothing was sent until a moment ago.
            self.begin = Look { at, messages: last.messages };
            self.before = last.messages;
        } else if at.duration_since(self.begin.at) >= SPAN {
            self.before = mem::replace(&mut self.begin, self.last).messages;
        }
    }

    /// Our goodbye was sent behind so many `messages`: what was sent lately from then on is what was when that happened.
    pub(super) fn say_goodbye(&mut self, messages: u64, at: Instant) {
        self.at_goodbye = Some(self.count(messages, at));
    }

    /// How many of `messages`, which is all that were sent so far, were sent lately.
    pub(super) fn count(&self, messages: u64, at: Instant) -> u64 {
        if let Some(count) = self.at_goodbye {
            return count;
        }
        let is_quiet = at.duration_since(self.last.at) >= SPAN;
        messages - if is_quiet { self.last.messages } else { self.before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many were sent lately: `sent` says how many so far at each second at which there was a look.
    fn lately(sent: &[(u64, u64)], (end, all): (u64, u64)) -> u64 {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut lately = Lately::new(begin);
        sent.iter().for_each(|(seconds, messages)| lately.look(*messages, at(*seconds)));
        lately.count(all, at(end))
    }

    #[test]
    fn what_was_sent_just_now_was_sent_lately() {
        assert_eq!(lately(&[], (0, 0)), 0);
        assert_eq!(lately(&[], (0, 7)), 7);
        assert_eq!(lately(&[(1, 5), (2, 7)], (2, 9)), 9);
    }

    #[test]
    fn what_was_sent_long_ago_was_not() {
        assert_eq!(lately(&[(1, 5), (2, 5)], (14, 5)), 5);
        assert_eq!(lately(&[(1, 5), (2, 5)], (17, 5)), 0);
        assert_eq!(
            lately(&[(1, 5), (2, 5)], (100, 8)),
            3,
            "those nobody has looked at were sent a moment ago"
        );
        assert_eq!(lately(&[(1, 5), (2, 5), (100, 8), (101, 9)], (101, 9)), 4);
    }

    #[test]
    fn how_long_a_goodbye_takes_is_no_matter() {
        let begin = Instant::now();
        let mut lately = Lately::new(begin);
        lately.look(5, begin + SPAN / 3);
        lately.say_goodbye(7, begin + SPAN / 2);
        assert_eq!(lately.count(7, begin + 3 * SPAN), 7);
    }

    #[test]
    fn of_what_is_sent_all_the_time_fifteen_to_thirty_seconds_are_lately() {
        let looks: Vec<_> = (1..=100).map(|second| (second, second)).collect();
        for end in 30..100 {
            let count = lately(&looks[..end], (end as u64, end as u64));
            assert!((15..=30).contains(&count), "{count} of {end}");
        }
    }
}
