//! The time of day, as events carry it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in nanoseconds since 1970 UTC; 0 on a machine whose clock is set before that.
pub(crate) fn now_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
