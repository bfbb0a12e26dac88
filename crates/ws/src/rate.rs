//! How often something may happen: a bucket of tokens.

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

/// A token in the unit that is counted in: with it, what a nanosecond brings is the rate itself.
const TOKEN: u128 = 1_000_000_000;

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
}

impl Bucket {
    /// A full bucket of `rate` tokens per second.
    #[must_use]
    pub fn new(rate: NonZeroU64, now: Instant) -> Self {
        Self { rate, missing: 0, at: now }
    }

    /// Takes `count` tokens if there are so many; takes none otherwise.
    pub fn take(&mut self, count: u64, now: Instant) -> bool {
        let has_enough = self.available(now) >= count;
        if has_enough {
            self.missing += u128::from(count) * TOKEN;
        }
        has_enough
    }

    /// Takes `count` tokens, if need be some that will only come: until they have, there are none.
    pub fn spend(&mut self, count: u64, now: Instant) {
        self.available(now);
        self.missing += u128::from(count) * TOKEN;
    }

    /// How many tokens there are.
    pub fn available(&mut self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.at);
        self.at = self.at.max(now);
        self.missing = self.missing.saturating_sub(elapsed.as_nanos().saturating_mul(self.per_nanosecond()));
        // Never more than the rate, which is one of its kind.
        u64::try_from(self.capacity().saturating_sub(self.missing) / TOKEN).unwrap_or(u64::MAX)
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
            steps in prop::collection::vec((0..2_000_000_000_u64, 0..50_u64), 1..100),
        ) {
            let start = Instant::now();
            let (mut bucket, mut now, mut taken) = (bucket(rate, start), start, 0_u128);
            for (wait_ns, count) in steps {
                now += Duration::from_nanos(wait_ns);
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
