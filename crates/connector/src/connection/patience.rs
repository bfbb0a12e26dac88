//! How long a peer has for its part of a goodbye.

use std::{mem, time::Duration};
use tokio::time::Instant;

/// However slowly a peer takes what it was sent: nobody is waited for longer than that, unless its time is longer.
const LONGEST: Duration = Duration::from_secs(30);

/// The time that a peer has. It begins anew as long as the peer takes what it was sent before.
pub(super) struct Patience {
    limit: Duration,
    /// What is left of it.
    left: Duration,
    /// After so much of it there is a look at what the peer has taken.
    next_look: Duration,
    /// What it had not taken at the last look.
    untaken: Option<usize>,
    /// When it is over for a peer that is never waited for, since it sends all the time.
    over_at: Instant,
    /// When it is over whatever the peer takes.
    latest: Instant,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        let now = Instant::now();
        Self {
            limit,
            left: limit,
            next_look: limit / 2,
            untaken: None,
            over_at: now + limit,
            latest: now + limit.max(LONGEST),
        }
    }

    /// How long to wait before [`Patience::goes_on`] is asked.
    pub(super) fn wait(&self) -> Duration {
        self.left.min(self.next_look)
    }

    /// So long the peer was waited for.
    pub(super) fn spend(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
        self.next_look = self.next_look.saturating_sub(time);
    }

    /// Whether any time is left. `untaken` tells how many bytes the peer has not taken, if that can be known.
    pub(super) fn goes_on(&mut self, untaken: impl FnOnce() -> Option<usize>) -> bool {
        if self.next_look.is_zero() || self.left.is_zero() {
            self.next_look = self.limit / 2;
            let now_untaken = untaken();
            let before = mem::replace(&mut self.untaken, now_untaken);
            if before.zip(now_untaken).is_some_and(|(before, now)| now < before) {
                let now = Instant::now();
                self.left = self.limit.min(self.latest.saturating_duration_since(now));
                self.over_at = now + self.left;
            }
        }
        !self.left.is_zero()
    }

    /// Whether its time is over, even if it was not waited for.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.over_at
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

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_always_sends_has_no_more_time_than_others() {
        let mut patience = Patience::new(SECOND);
        advance(SECOND).await;
        assert!(patience.is_over());
        patience.spend(SECOND / 2);
        assert!(patience.goes_on(|| Some(2)));
        patience.spend(SECOND / 2);
        assert!(patience.goes_on(|| Some(1)) && !patience.is_over());
    }
}
