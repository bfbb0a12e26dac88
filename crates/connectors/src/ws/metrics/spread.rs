//! How values are spread.

use hdrhistogram::Histogram;
use tremor_value::{Record, Value};

/// Larger values count as this one.
const LARGEST: u64 = u64::MAX / 4;

/// Count, sum, bounds and quantiles of whole numbers; quantiles are exact to two digits.
#[derive(Default)]
pub(super) struct Spread {
    /// There once there was a value.
    values: Option<Histogram<u64>>,
    sum: u64,
    /// The smallest and the largest: what the histogram has of them is not exact.
    bounds: (u64, u64),
}

impl Spread {
    /// One more value.
    pub(super) fn add(&mut self, value: u64) {
        if self.values.is_none() {
            self.values = Histogram::new(2).ok();
            self.bounds = (u64::MAX, 0);
        }
        if let Some(values) = &mut self.values {
            let value = value.min(LARGEST);
            if values.record(value).is_err() {
                values.saturating_record(value);
            }
            self.sum = self.sum.saturating_add(value);
            let (least, most) = self.bounds;
            self.bounds = (least.min(value), most.max(value));
        }
    }

    /// What is published; `None` while there was no value.
    pub(super) fn fields(&self) -> Option<Record> {
        let values = self.values.as_ref()?;
        let (least, most) = self.bounds;
        let at = |quantile| Value::from(values.value_at_quantile(quantile).clamp(least, most));
        Some(Record::from_iter([
            ("count", Value::from(values.len())),
            ("sum", self.sum.into()),
            ("min", least.into()),
            ("max", most.into()),
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
        let mut one = Spread::default();
        one.add(412);
        let all = ["count", "sum", "min", "max", "p50", "p90", "p99"].map(|name| of(&one, name));
        assert_eq!(all, [1, 412, 412, 412, 412, 412, 412], "what is known exactly is told exactly");
        spread.add(u64::MAX);
        assert_eq!(of(&spread, "count"), 101);
        assert!(of(&spread, "max") > LARGEST / 2);
    }
}
