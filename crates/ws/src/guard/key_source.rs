//! When to load the keys of a `jwt` guard, without loading them.

use super::jwk::KeySet;
use std::sync::Arc;

/// Says when keys are to be loaded, and keeps the last good ones. Source: `spec/websocket.md` 7.4 (`refresh`).
///
/// Times are milliseconds of any clock that does not go back. Whoever loads asks [`next_ms`](Self::next_ms), calls
/// [`begin`](Self::begin), loads, and reports [`loaded`](Self::loaded) or [`failed`](Self::failed).
#[derive(Debug)]
pub struct KeySource {
    refresh_ms: u64,
    keys: Option<Arc<KeySet>>,
    is_loading: bool,
    next_ms: u64,
    last_begin_ms: Option<u64>,
    failures: u32,
}

/// Unknown names of keys cause a load at most this often.
const UNKNOWN_KID_MS: u64 = 30_000;

/// Waits after failures double from the first to the second.
const RETRY_MS: (u64, u64) = (1_000, 30_000);

impl KeySource {
    /// A source that has to be loaded at once, and again every `refresh_ms`.
    pub fn new(refresh_ms: u64, now_ms: u64) -> Self {
        Self { refresh_ms, keys: None, is_loading: false, next_ms: now_ms, last_begin_ms: None, failures: 0 }
    }

    /// The last keys that were loaded. They stay when a later load fails.
    pub fn keys(&self) -> Option<&Arc<KeySet>> {
        self.keys.as_ref()
    }

    /// When to load next; `None` while a load is under way.
    pub fn next_ms(&self) -> Option<u64> {
        (!self.is_loading).then_some(self.next_ms)
    }

    /// A load begins.
    pub fn begin(&mut self, now_ms: u64) {
        self.is_loading = true;
        self.last_begin_ms = Some(now_ms);
    }

    /// The load gave `keys`.
    pub fn loaded(&mut self, keys: Arc<KeySet>, now_ms: u64) {
        if self.keys.replace(keys).is_none() {
            // The first load was not for the sake of a name: the first name that is unknown may cause the next one.
            self.last_begin_ms = None;
        }
        self.is_loading = false;
        self.failures = 0;
        self.next_ms = now_ms.saturating_add(self.refresh_ms);
    }

    /// The load gave nothing: the next one is after 1 s, 2 s, 4 s and so on, at most 30 s.
    pub fn failed(&mut self, now_ms: u64) {
        let (first, most) = RETRY_MS;
        let wait = first.saturating_mul(1 << self.failures.min(10)).min(most);
        self.is_loading = false;
        self.failures = self.failures.saturating_add(1);
        self.next_ms = now_ms.saturating_add(wait);
    }

    /// A token names a key that is not here. Gives whether a load that is under way, or now due, may bring it; there is
    /// one at most every 30 s behind the first, whatever tokens come.
    pub fn is_worth_waiting(&mut self, now_ms: u64) -> bool {
        if self.is_loading {
            return true;
        }
        let is_too_soon = self.last_begin_ms.is_some_and(|last| now_ms < last.saturating_add(UNKNOWN_KID_MS));
        if is_too_soon {
            // What is due anyway is waited for.
            return self.next_ms <= now_ms;
        }
        self.next_ms = self.next_ms.min(now_ms);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> KeySource {
        let mut source = KeySource::new(3_600_000, 1000);
        assert_eq!(source.next_ms(), Some(1000));
        source.begin(1000);
        assert_eq!(source.next_ms(), None);
        source
    }

    #[test]
    fn keys_are_loaded_again_after_a_while() {
        let mut source = source();
        assert!(source.keys().is_none());
        source.loaded(Arc::default(), 1500);
        assert!(source.keys().is_some());
        assert_eq!(source.next_ms(), Some(3_601_500));
    }

    #[test]
    fn failures_wait_longer_and_longer_and_keep_the_keys() {
        let mut source = source();
        let mut waits = Vec::new();
        source.loaded(Arc::default(), 0);
        for _ in 0..8 {
            source.begin(0);
            source.failed(0);
            waits.push(source.next_ms().unwrap());
        }
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert!(source.keys().is_some());
        source.loaded(Arc::default(), 0);
        source.failed(0);
        assert_eq!(source.next_ms(), Some(1000));
        source.failures = u32::MAX;
        source.failed(u64::MAX);
    }

    #[test]
    fn unknown_names_load_at_most_every_30_s() {
        let mut source = source();
        assert!(source.is_worth_waiting(1000), "a load is under way");
        source.loaded(Arc::default(), 1500);
        assert!(source.is_worth_waiting(1600), "the first load was for nobody's sake");
        assert_eq!(source.next_ms(), Some(1600));
        source.begin(1600);
        source.loaded(Arc::default(), 1700);
        assert!(!source.is_worth_waiting(31_599));
        assert_eq!(source.next_ms(), Some(3_601_700));
        assert!(source.is_worth_waiting(31_600));
        source.next_ms = 31_000;
        assert_eq!(source.next_ms(), Some(31_000));
        source.begin(31_000);
        source.failed(31_000);
        assert!(!source.is_worth_waiting(31_500));
        assert!(source.is_worth_waiting(32_000), "a load is due");
    }
}
