//! How values are spread.

use hdrhistogram::Histogram;
use tremor_value::{Record, Value};

/// Larger values count as this one.
const LARGEST: u64 = u64::MAX / 4;

/// Count, sum and quantiles of whole numbers, exact to two digits.
#[derive(Default)]
pub(super) struct Spread {
    /// There once there was a value.
    values: Option<Histogram<u64>>,
    sum: u64,
}

impl Spread {
    /// One more value.
    pub(super) fn add(&mut self, value: u64) {
        if self.values.is_none() {
            self.values = Histogram::new(2).ok();
        }
        if let Some(values) = &mut self.values {
            let value = value.min(LARGEST);
            if values.record(value).is_err() {
                values.saturating_record(value);
            }
            self.sum = self.sum.saturating_add(value);
        }
    }

    /// What is published; `None` while there was no value.
    pub(super) fn fields(&self) -> Option<Record> {
        let values = self.values.as_ref()?;
        let at = |quantile| Value::from(values.value_at_quantile(quantile).min(values.max()));
        Some(Record::from_iter([
            ("count", Value::from(values.len())),
            ("sum", self.sum.into()),
            ("min", values.min().into()),
            ("max", values.max().into()),
            ("p50", at(0.5)),
            ("p90", at(0.9)),
            ("p99", at(0.99)),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_and_large_values_count() {
        let mut spread = Spread::default();
        assert!(spread.fields().is_none());
        (1..=100).for_each(|value| spread.add(value));
        let of = |spread: &Spread, name: &str| spread.fields().unwrap().get(name).unwrap().as_u64().unwrap();
        let all = ["count", "sum", "min", "max", "p50", "p90", "p99"].map(|name| of(&spread, name));
        assert_eq!(all, [100, 5050, 1, 100, 50, 90, 99]);
        spread.add(u64::MAX);
        assert_eq!(of(&spread, "count"), 101);
        assert!(of(&spread, "max") > LARGEST / 2);
    }
}
