//! When to connect again (`spec/runtime.md` section 5, for `ws_client` also `spec/websocket.md` section 8).
//!
//! A [`Policy`] is what the user wrote, a [`Backoff`] is where one connector stands. Neither has a clock or
//! a random source: the caller sleeps and draws. The calls follow the life of a connector:
//!
//! * an attempt failed: [`Backoff::next`],
//! * an attempt succeeded: [`Backoff::connected`],
//! * that connection was lost: [`Backoff::first_wait`].

use std::time::Duration;

use tremor_value::Value;

use crate::config::{ConfigError, Entry, Reader};

#[cfg(test)]
mod tests;

/// No wait grows beyond this. A longer `interval_ms` is what the user wants and stays as it is.
pub const MAX_WAIT: Duration = Duration::from_secs(300);

/// Wait before the one attempt that [`Policy::None`] makes after a lost connection.
pub const WAIT_WITHOUT_POLICY: Duration = Duration::from_secs(1);

/// No wait is shorter: what comes to less, or to nothing, would be a storm of attempts (RFC 6455, section 7.2.3).
pub const MIN_WAIT: Duration = Duration::from_millis(10);

const MAX_WAIT_MS: u64 = 300_000;

/// What to do when a connection cannot be made or breaks.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Policy {
    /// Do not retry. A connection that had been made and was lost gets one attempt.
    #[default]
    None,
    /// Retry with growing intervals.
    Retry(Retry),
}

/// The settings of [`Policy::Retry`].
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Wait before the first retry, in milliseconds.
    pub interval_ms: u64,
    /// Factor between one wait and the next: finite and above zero.
    pub growth_rate: f64,
    /// Number of failed attempts in a row after which the connector gives up; none: never.
    pub max_retries: Option<u64>,
    /// Draw waits at random.
    pub randomized: bool,
}

impl Policy {
    /// Reads the `reconnect` parameter of a connector; absent and null are [`Policy::None`].
    ///
    /// # Errors
    /// If it is none of `"none"`, `{"none": null}` and `{"retry": {...}}`, or if `retry` has an unknown key,
    /// no `interval_ms`, or a value that is impossible. Paths begin with `reconnect`.
    pub fn from_value(value: Option<&Value>) -> Result<Self, ConfigError> {
        let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Self::None) };
        let entry = Entry::root(value, "reconnect");
        match value {
            Value::String(word) if word == "none" => return Ok(Self::None),
            Value::Record(_) => {}
            _ => return Err(entry.mismatch(r#""none" or a record {"retry": {"interval_ms": ...}}"#)),
        }
        let mut reader: Reader<'_> = entry.read()?;
        reader.know("none");
        let retry = reader.record("retry")?;
        let members = reader.members();
        reader.finish()?;
        match (retry, members.get("none")) {
            (Some(_), Some(_)) => Err(entry.invalid("`none` and `retry` exclude each other")),
            (Some(retry), None) => Retry::from_reader(retry).map(Self::Retry),
            (None, Some(Value::Null)) => Ok(Self::None),
            (None, Some(_)) => Err(entry.invalid("`none` takes no settings: write {\"none\": null}")),
            (None, None) => Err(entry.invalid("names no policy: write `none` or `retry`")),
        }
    }
}

impl Retry {
    /// What works but is hardly meant, key by key.
    pub fn hazards(&self) -> impl Iterator<Item = &'static str> + use<> {
        let hazards = [
            (self.interval_ms == 0, "`reconnect.retry.interval_ms` is 0; no wait is shorter than 10 ms"),
            (
                self.growth_rate < 1.0,
                "`reconnect.retry.growth_rate` is below 1, so waits become shorter, down to 10 ms",
            ),
            (
                self.max_retries == Some(0),
                "`reconnect.retry.max_retries` is 0, which is the same as 1: the very first attempt counts",
            ),
        ];
        hazards.into_iter().filter_map(|(is_so, told)| is_so.then_some(told))
    }

    fn from_reader(mut reader: Reader<'_>) -> Result<Self, ConfigError> {
        let retry = Self {
            interval_ms: reader.required_like("interval_ms", "milliseconds, an integer")?,
            growth_rate: reader.or("growth_rate", 1.5)?,
            max_retries: reader.optional("max_retries")?,
            randomized: reader.or("randomized", true)?,
        };
        if !(retry.growth_rate.is_finite() && retry.growth_rate > 0.0) {
            return Err(reader.invalid("growth_rate", "must be above 0"));
        }
        reader.finish()?;
        Ok(retry)
    }
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Wait that long, then make the next attempt.
    Retry(Duration),
    /// Make no further attempt.
    GiveUp {
        /// Attempts that failed in a row, the last one included.
        attempts: u64,
    },
}

impl Decision {
    /// The same, waiting at least `least`: a peer asks for patience (`Retry-After`). How much of that it gets is up to
    /// the kind.
    #[must_use]
    pub fn at_least(self, least: Duration) -> Self {
        match self {
            Self::Retry(wait) => Self::Retry(wait.max(least)),
            Self::GiveUp { .. } => self,
        }
    }
}

/// Where one connector stands between its attempts.
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: Policy,
    /// Only a connection that stayed up that long puts the wait back; none: every one does.
    stable_after: Option<Duration>,
    /// Attempts that failed since the last success.
    failures: u64,
    /// The next wait, in milliseconds; none: the policy's first one.
    wait_ms: Option<u64>,
}

impl Backoff {
    /// The rules of `spec/runtime.md` 5.3: every connection that is made puts the wait back, and the first
    /// wait is exactly `interval_ms`.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, stable_after: None, failures: 0, wait_ms: None }
    }

    /// The rules of `spec/websocket.md` section 8: only a connection that stayed up for `stable_after` puts
    /// the wait back, and the first wait is drawn between half and one and a half of `interval_ms` unless
    /// the policy is not randomized.
    #[must_use]
    pub fn websocket_client(policy: Policy, stable_after: Duration) -> Self {
        Self { stable_after: Some(stable_after), ..Self::new(policy) }
    }

    /// The policy it follows.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Attempts that failed since the last success.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// An attempt succeeded.
    pub fn connected(&mut self) {
        self.failures = 0;
        if self.stable_after.is_none() {
            self.wait_ms = None;
        }
    }

    /// A connection that had been up for `up` was lost: what to wait before the first attempt.
    ///
    /// `random` gives numbers from 0 to 1, evenly spread.
    pub fn first_wait(&mut self, up: Duration, random: &mut dyn FnMut() -> f64) -> Decision {
        if self.stable_after.is_none_or(|stable_after| up >= stable_after) {
            self.wait_ms = None;
        }
        self.next_wait(random)
    }

    /// A connection was lost to a peer that has no room for now: what to wait before the first attempt. However long the
    /// connection had been up, waits go on growing.
    ///
    /// `random` gives numbers from 0 to 1, evenly spread.
    pub fn next_wait(&mut self, random: &mut dyn FnMut() -> f64) -> Decision {
        self.failures = 0;
        match self.policy.clone() {
            Policy::None => Decision::Retry(WAIT_WITHOUT_POLICY),
            Policy::Retry(retry) => Decision::Retry(self.take_wait(&retry, random)),
        }
    }

    /// An attempt failed: what now.
    ///
    /// `random` gives numbers from 0 to 1, evenly spread.
    pub fn next(&mut self, random: &mut dyn FnMut() -> f64) -> Decision {
        self.failures = self.failures.saturating_add(1);
        let give_up = Decision::GiveUp { attempts: self.failures };
        match self.policy.clone() {
            Policy::None => give_up,
            Policy::Retry(retry) if retry.max_retries.is_some_and(|max| self.failures >= max) => give_up,
            Policy::Retry(retry) => Decision::Retry(self.take_wait(&retry, random)),
        }
    }

    /// The wait that is due; works out the one after it.
    fn take_wait(&mut self, retry: &Retry, random: &mut dyn FnMut() -> f64) -> Duration {
        let interval = retry.interval_ms;
        let spread_first = self.stable_after.is_some() && retry.randomized;
        let wait = match self.wait_ms {
            Some(wait) => wait,
            None if spread_first => draw(interval / 2, interval.saturating_add(interval / 2), random),
            None => interval,
        };
        let grown = scale(wait, retry.growth_rate);
        let next = if retry.randomized { draw(wait, grown, random) } else { grown };
        self.wait_ms = Some(next.min(MAX_WAIT_MS.max(interval)));
        Duration::from_millis(wait).max(MIN_WAIT)
    }
}

/// `ms * factor` without its fraction; what does not fit becomes the largest number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the fraction is to go, and `as` keeps within the bounds of u64"
)]
fn scale(ms: u64, factor: f64) -> u64 {
    (ms as f64 * factor) as u64
}

/// An integer between `a` and `b`, both included, evenly spread.
fn draw(a: u64, b: u64, random: &mut dyn FnMut() -> f64) -> u64 {
    let (low, high) = (a.min(b), a.max(b));
    let width = (high - low).saturating_add(1);
    low.saturating_add(scale(width, random().clamp(0.0, 1.0))).min(high)
}
