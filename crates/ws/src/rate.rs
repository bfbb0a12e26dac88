//! How often something may happen: a bucket of tokens.

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

/// A token in the unit that is counted in: with it, what a nanosecond brings is the rate itself.
const TOKEN: u128 = 1_000_000_000;
/// What is made up for can be had for so long at least.
const LEAST_EXTRA_TIME: Duration = Duration::from_secs(1);

/// So many tokens per second, and no more than those of one second kept for later.
///
/// Shape: a bucket is full when it is made. It counts exactly; nothing is rounded and nothing is lost between calls.
/// Source: `spec/websocket.md` 12.1 and 13 ("burst = rate").
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Tokens per second, and in a full bucket.
    rate: NonZeroU64,
    /// What it lacks to be full, in parts of a token.
    missing: u128,
    at: Instant,
    /// What may be taken besides, in parts of a token.
    extra: u128,
    /// When that is void.
    extra_until: Instant,
}

impl Bucket {
    /// A full bucket of `rate` tokens per second.
    #[must_use]
    pub fn new(rate: NonZeroU64, now: Instant) -> Self {
        Self { rate, missing: 0, at: now, extra: 0, extra_until: now }
    }

    /// Takes `count` tokens if there are so many; takes none otherwise.
    pub fn take(&mut self, count: u64, now: Instant) -> bool {
        let has_enough = self.available(now) >= count;
        if has_enough {
            self.remove(count);
        }
        has_enough
    }

    /// Takes `count` tokens, if need be some that will only come: until they have, there are none.
    pub fn spend(&mut self, count: u64, now: Instant) {
        self.available(now);
        self.remove(count);
    }

    /// Nobody looked at what came from `since` to now: what that time has brought may be taken, also beyond a full
    /// bucket. It is there for as long again, a second at least.
    pub fn make_up(&mut self, since: Instant, now: Instant) {
        self.available(since);
        let (missing, extra, from) = (self.missing, self.extra, self.at);
        self.available(now);
        let time = now.saturating_duration_since(from);
        let brought = time.as_nanos().saturating_mul(self.per_nanosecond());
        self.extra = extra.saturating_add(brought.saturating_sub(missing));
        self.extra_until = now + time.max(LEAST_EXTRA_TIME);
    }

    fn remove(&mut self, count: u64) {
        let tokens = u128::from(count) * TOKEN;
        let of_extra = tokens.min(self.extra);
        self.extra -= of_extra;
        self.missing += tokens - of_extra;
    }

    /// How many tokens there are.
    pub fn available(&mut self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.at);
        self.at = self.at.max(now);
        self.missing = self.missing.saturating_sub(elapsed.as_nanos().saturating_mul(self.per_nanosecond()));
        if now > self.extra_until {
            self.extra = 0;
        }
        let kept = self.capacity().saturating_sub(self.missing);
        u64::try_from(kept.saturating_add(self.extra) / TOKEN).unwrap_or(u64::MAX)
    }

    /// When there will be `count` tokens, or a full bucket if it never holds so many, if nobody takes any before.
    #[must_use]
    pub fn when(&self, count: u64) -> Instant {
        let wanted = (u128::from(count) * TOKEN).min(self.capacity());
        let lacking = (wanted + self.missing).saturating_sub(self.capacity());
        let nanoseconds = lacking.div_ceil(self.per_nanosecond());
        self.at + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    fn capacity(&self) -> u128 {
        self.per_nanosecond() * TOKEN
    }

    /// What a nanosecond brings, in parts of a token.
    fn per_nanosecond(&self) -> u128 {
        u128::from(self.rate.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket(rate: u64, now: Instant) -> Bucket {
        Bucket::new(NonZeroU64::new(rate).unwrap(), now)
    }

    #[test]
    fn a_second_of_them_at_once_then_one_by_one() {
        let start = Instant::now();
        let mut three = bucket(3, start);
        let taken = [0, 0, 0, 0, 333, 334, 335, 667, 1000, 5000, 5000, 5000, 5000]
            .map(|ms| three.take(1, start + Duration::from_millis(ms)));
        let expected = [true, true, true, false, false, true, false, true, true, true, true, true, false];
        assert_eq!(taken, expected);
        assert!(!bucket(3, start).take(4, start), "more than it ever holds");
    }

    #[test]
    fn it_says_when_there_will_be_some() {
        let start = Instant::now();
        let mut ten = bucket(10, start);
        assert_eq!(ten.when(10), start);
        assert!(ten.take(10, start));
        assert_eq!(ten.when(1), start + Duration::from_millis(100));
        assert_eq!(ten.when(99), start + Duration::from_secs(1), "a full bucket is the most there is");
        let mut seven = bucket(7, start);
        assert!(seven.take(7, start));
        let when = seven.when(1);
        assert!(!seven.clone().take(1, when - Duration::from_nanos(1)) && seven.take(1, when));
    }

    #[test]
    fn what_is_spent_before_it_is_there_has_to_come_first() {
        let start = Instant::now();
        let mut ten = bucket(10, start);
        ten.spend(15, start);
        assert_eq!(ten.available(start + Duration::from_millis(500)), 0);
        assert_eq!(ten.when(1), start + Duration::from_millis(600));
        assert!(ten.take(1, start + Duration::from_millis(600)));
    }

    #[test]
    fn time_in_which_nobody_looked_is_made_up_for() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut ten = bucket(10, start);
        ten.make_up(at(500), at(3000));
        assert_eq!(ten.available(at(3000)), 10 + 25, "what was brought before that is lost as ever");
        assert!(ten.take(35, at(3000)) && !ten.take(1, at(3000)));
        // Half of it was needed to be full again.
        ten.make_up(at(3000), at(5000));
        assert_eq!(ten.available(at(5000)), 20);
        assert!(ten.take(7, at(6999)));
        assert_eq!(ten.available(at(7000)), 13);
        assert_eq!(ten.available(at(7001)), 10, "who has not come by then was not held up");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_and_takes_nothing() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut bucket = bucket(5, start);
        assert!(bucket.take(5, start));
        assert_eq!(bucket.available(start - Duration::from_secs(5)), 0);
        assert_eq!(bucket.available(start + Duration::from_millis(200)), 1, "the time before counts once");
        assert_eq!(bucket.available(start + Duration::from_secs(1)), 5);
    }

    proptest! {
        /// In any span of time, no more than the rate times the span, and a bucketful, gets through; and what waits
        /// until it is told to gets through.
        #[test]
        fn never_more_than_the_rate_allows(
            rate in prop_oneof![1..1000_u64, Just(u64::MAX / 4)],
            steps in prop::collection::vec((0..2_000_000_000_u64, 0..50_u64, any::<bool>()), 1..100),
        ) {
            let start = Instant::now();
            let (mut bucket, mut now, mut taken) = (bucket(rate, start), start, 0_u128);
            for (wait_ns, count, is_made_up) in steps {
                let before = now;
                now += Duration::from_nanos(wait_ns);
                if is_made_up {
                    bucket.make_up(before, now);
                }
                if bucket.take(count, now) {
                    taken += u128::from(count);
                } else {
                    let when = bucket.when(count);
                    prop_assert!(when > now || count > rate);
                    prop_assert!(bucket.clone().take(count.min(rate), when));
                }
                let most = u128::from(rate) * ((now - start).as_nanos() + TOKEN);
                prop_assert!(taken * TOKEN <= most);
            }
        }
    }
}
