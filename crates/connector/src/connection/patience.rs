//! How long a peer has for its part of a goodbye.

use std::{mem, time::Duration};
use tokio::time::Instant;

/// However slowly a peer takes what it was sent: nobody is waited for longer than that, unless its time is longer.
const LONGEST: Duration = Duration::from_secs(30);

/// What may have been under way when a peer hears of our goodbye. Who sends more than that may have read it, and does not
/// care.
const MOST_LATE: usize = 16 << 20;

/// The time that a peer has. It begins anew as long as the peer takes what it was sent before, or says something, as one does
/// that has not come to our goodbye yet.
pub(super) struct Patience {
    limit: Duration,
    /// What is left of it.
    left: Duration,
    /// What is left however often it begins anew.
    left_in_all: Duration,
    /// After so much of it there is a look at what the peer has taken.
    next_look: Duration,
    /// What it had not taken at the last look.
    untaken: Option<usize>,
    /// Bytes that it has sent.
    heard: usize,
    /// When it is over for a peer that is never waited for, since it sends all the time.
    over_at: Instant,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            left: limit,
            left_in_all: limit.max(LONGEST),
            next_look: limit / 2,
            untaken: None,
            heard: 0,
            over_at: Instant::now() + limit,
        }
    }

    /// How long to wait before [`Patience::goes_on`] is asked.
    pub(super) fn wait(&self) -> Duration {
        self.left.min(self.next_look)
    }

    /// So long the peer was waited for.
    pub(super) fn spend(&mut self, time: Duration) {
        for left in [&mut self.left, &mut self.left_in_all, &mut self.next_look] {
            *left = left.saturating_sub(time);
        }
    }

    /// Whether any time is left. `untaken` tells how many bytes the peer has not taken, if that can be known.
    pub(super) fn goes_on(&mut self, untaken: impl FnOnce() -> Option<usize>) -> bool {
        if self.next_look.is_zero() || self.left.is_zero() {
            self.next_look = self.limit / 2;
            let now_untaken = untaken();
            let before = mem::replace(&mut self.untaken, now_untaken);
            if before.zip(now_untaken).is_some_and(|(before, now)| now < before) {
                self.begin_anew();
            }
        }
        !self.left.is_zero()
    }

    /// The peer has sent so many `bytes`. Whether it may go on with that.
    pub(super) fn hears(&mut self, bytes: usize) -> bool {
        self.heard += bytes;
        if bytes > 0 && self.heard <= MOST_LATE {
            self.begin_anew();
        }
        self.heard <= MOST_LATE || Instant::now() < self.over_at
    }

    fn begin_anew(&mut self) {
        self.left = self.limit.min(self.left_in_all);
        self.over_at = Instant::now() + self.left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long a peer is waited for of which `untaken` says what it has not taken so long after the beginning.
    async fn waited(untaken: impl Fn(Duration) -> Option<usize>) -> Duration {
        let (begin, mut patience) = (Instant::now(), Patience::new(SECOND));
        loop {
            let wait = patience.wait();
            advance(wait).await;
            patience.spend(wait);
            if !patience.goes_on(|| untaken(begin.elapsed())) {
                return begin.elapsed();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_has_its_time_and_no_more() {
        assert_eq!(waited(|_| None).await, SECOND);
        assert_eq!(waited(|_| Some(0)).await, SECOND);
        assert_eq!(waited(|_| Some(1 << 20)).await, SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_begins_anew_while_the_peer_takes_something() {
        let slow = |after: Duration| Some(5000_usize.saturating_sub(after.as_millis() as usize));
        assert_eq!(waited(slow).await, 6 * SECOND);
        let stops = |after: Duration| Some(5000 - after.min(2 * SECOND).as_millis() as usize);
        assert_eq!(waited(stops).await, 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_longer_than_half_a_minute() {
        let trickles = |after: Duration| Some(1_000_000 - after.as_millis() as usize);
        assert_eq!(waited(trickles).await, LONGEST);
        let mut long = Patience::new(2 * LONGEST);
        long.spend(LONGEST);
        assert!(long.goes_on(|| None));
    }

    /// A peer that says `bytes` every 100 ms and takes nothing is waited for so long.
    async fn heard(bytes: usize) -> Duration {
        const STEP: Duration = Duration::from_millis(100);
        let (begin, mut patience) = (Instant::now(), Patience::new(SECOND));
        loop {
            advance(STEP).await;
            patience.spend(STEP);
            if !patience.goes_on(|| Some(7)) || !patience.hears(bytes) {
                return begin.elapsed();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_begins_anew_while_the_peer_says_something_but_not_for_ever() {
        assert_eq!(heard(1).await, LONGEST);
        assert_eq!(heard(0).await, SECOND, "what was read before is nothing new");
        let mut patience = Patience::new(SECOND);
        patience.spend(SECOND * 9 / 10);
        assert!(patience.hears(1));
        patience.spend(SECOND * 9 / 10);
        assert!(patience.goes_on(|| None));
        patience.spend(SECOND / 10);
        assert!(!patience.goes_on(|| None), "from then on it was silent");
    }

    /// What came first may have been under way when our goodbye went out: only who is silent, or sends more than can have been,
    /// has no other reason to be waited for. The time of that one goes on from there.
    #[tokio::test(start_paused = true)]
    async fn a_peer_that_always_sends_has_no_more_time_than_others_behind_what_may_be_under_way() {
        let mut patience = Patience::new(SECOND);
        for _ in 0..16 {
            advance(SECOND).await;
            assert!(patience.hears(MOST_LATE / 16));
        }
        advance(SECOND * 9 / 10).await;
        assert!(patience.hears(1), "its time is not over");
        advance(SECOND / 10).await;
        assert!(!patience.hears(1));
        assert_eq!(heard(MOST_LATE / 2 + 1).await, SECOND * 11 / 10);
        let mut patience = Patience::new(SECOND);
        assert!(patience.hears(MOST_LATE + 1));
        for untaken in [2, 1] {
            patience.spend(SECOND / 2);
            assert!(patience.goes_on(|| Some(untaken)));
        }
        advance(SECOND * 3 / 2).await;
        assert!(!patience.hears(1), "what it takes is looked at while it is waited for");
    }
}
