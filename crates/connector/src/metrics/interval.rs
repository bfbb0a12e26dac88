//! `metrics_interval_s`.

use std::time::Duration;
use thiserror::Error;
use tremor_value::Value;

/// A `metrics_interval_s` that is no number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "metrics_interval_s: this has to be an integer above 0, the seconds from one publication of metrics to the next"
)]
pub struct BadInterval;

/// The interval that `value` means; null means that nothing is published.
///
/// # Errors
/// If it is no integer above 0.
pub fn metrics_interval(value: Option<&Value>) -> Result<Option<Duration>, BadInterval> {
    match value.filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(seconds @ 1..) => Ok(Some(Duration::from_secs(seconds))),
            _ => Err(BadInterval),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_whole_seconds_above_0() {
        let read = |text: &str| metrics_interval(Some(&Value::from_json_str(text).unwrap()));
        assert_eq!(metrics_interval(None), Ok(None));
        assert_eq!(read("null"), Ok(None));
        assert_eq!(read("7"), Ok(Some(Duration::from_secs(7))));
        for wrong in ["0", "-1", "1.5", "\"1\"", "true", "{}"] {
            assert_eq!(read(wrong), Err(BadInterval), "{wrong}");
        }
    }
}
