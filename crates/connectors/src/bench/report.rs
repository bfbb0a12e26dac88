//! What a run says at its end (`spec/connectors.md` 3.18).

use super::meter::Measured;
use hdrhistogram::Histogram;
use std::fmt::Write as _;
use tremor_value::{Record, Value};

/// Steps of the report for every half of the distance to 100 %.
const TICKS_PER_HALF: u32 = 2;

/// Distribution of the latencies in nanoseconds, and throughput; a megabyte is a million bytes.
pub(super) fn text(measured: &Measured) -> String {
    let Measured { latencies, .. } = measured;
    let mut out = String::new();
    // A string takes whatever is written to it.
    let _never_fails = write_text(&mut out, latencies, Rates::of(measured));
    out
}

fn write_text(out: &mut String, latencies: &Histogram<u64>, rates: Rates) -> std::fmt::Result {
    // Two of the words are wider than their columns: the second ends where its column does, the last begins there.
    writeln!(out, "{:>9} {:>10} {:>10} 1/(1-Percentile)", "Value", "Percentile", "TotalCount")?;
    let mut count = 0;
    for step in latencies.iter_quantiles(TICKS_PER_HALF) {
        count += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to(), step.quantile_iterated_to());
        write!(out, "{value:12} {quantile:.5} {count:10} ")?;
        if quantile < 1.0 {
            writeln!(out, "{:14.2}", 1.0 / (1.0 - quantile))?;
        } else {
            writeln!(out, "{:>14}", "inf")?;
        }
    }
    let (mean, deviation) = (latencies.mean(), latencies.stdev());
    writeln!(out, "#[Mean       = {mean:12.2}, StdDeviation   = {deviation:12.2}]")?;
    let (max, total) = (latencies.max(), latencies.len());
    writeln!(out, "#[Max        = {max:12}, Total count    = {total:12}]")?;
    let (buckets, parts) = (latencies.buckets(), latencies.distinct_values());
    writeln!(out, "#[Buckets    = {buckets:12}, SubBuckets     = {parts:12}]")?;
    writeln!(out, "\n")?;
    writeln!(out, "Throughput   (data): {:.1} MB/s", rates.bytes_per_second / 1e6)?;
    writeln!(out, "Throughput (events): {:.1}k events/s", rates.events_per_second / 1e3)
}

/// The same as one line of JSON.
pub(super) fn json(measured: &Measured) -> String {
    let Measured { latencies, bytes, .. } = measured;
    let Rates { bytes_per_second, events_per_second } = Rates::of(measured);
    let steps = latencies.iter_quantiles(TICKS_PER_HALF).map(|step| {
        record([
            ("value", step.value_iterated_to().into()),
            ("quantile", step.quantile().into()),
            ("quantile_to", step.quantile_iterated_to().into()),
        ])
    });
    let quantiles: Vec<Value> = steps.collect();
    let throughput = record([
        ("events_per_second", events_per_second.into()),
        ("bytes_per_second", bytes_per_second.into()),
    ]);
    let report = record([
        ("mean", latencies.mean().into()),
        ("stdev", latencies.stdev().into()),
        ("max", latencies.max().into()),
        ("count", latencies.len().into()),
        ("buckets", u64::from(latencies.buckets()).into()),
        ("subbuckets", (latencies.distinct_values() as u64).into()),
        ("bytes", (*bytes).into()),
        ("throughput", throughput),
        ("quantiles", quantiles.into()),
    ]);
    format!("{report}\n")
}

fn record<const N: usize>(members: [(&'static str, Value); N]) -> Value {
    Record::from_iter(members).into()
}

struct Rates {
    events_per_second: f64,
    bytes_per_second: f64,
}

impl Rates {
    /// Zero if no time has passed: nothing can be said then.
    fn of(measured: &Measured) -> Self {
        let Measured { latencies, bytes, took, .. } = measured;
        let seconds = took.as_secs_f64();
        let rate = |count: u64| if seconds > 0.0 { as_f64(count) / seconds } else { 0.0 };
        Self { events_per_second: rate(latencies.len()), bytes_per_second: rate(*bytes) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is shown with a few digits")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn measured(took: Duration) -> Measured {
        let mut latencies = Histogram::new_with_bounds(1, 100_000_000_000, 2).unwrap();
        for latency in [100, 200, 300, 400] {
            latencies.record_n(latency, 500).unwrap();
        }
        Measured { latencies, bytes: 3_000_000, took, is_cold: false }
    }

    #[test]
    fn the_text_has_its_shape() {
        let shown = text(&measured(Duration::from_millis(500)));
        assert_eq!(
            shown,
            "    Value Percentile TotalCount 1/(1-Percentile)
         100 0.00000        500           1.00
         100 0.25000        500           1.33
         200 0.50000       1000           2.00
         301 0.62500       1500           2.67
         301 0.75000       1500           4.00
         401 0.81250       2000           5.33
         401 1.00000       2000            inf
#[Mean       =       250.50, StdDeviation   =       112.25]
#[Max        =          401, Total count    =         2000]
#[Buckets    =           30, SubBuckets     =         3968]


Throughput   (data): 6.0 MB/s
Throughput (events): 4.0k events/s
"
        );
    }

    #[test]
    fn json_holds_the_same() {
        let shown = Value::from_json_str(&json(&measured(Duration::from_millis(500)))).unwrap();
        let shows = |value: &Value, members: &[(&str, &str)]| {
            for (key, expected) in members {
                assert_eq!(value.get(key).unwrap().to_string(), *expected, "{key}");
            }
        };
        shows(
            shown.get("throughput").unwrap(),
            &[("events_per_second", "4000.0"), ("bytes_per_second", "6000000.0")],
        );
        shows(&shown, &[("count", "2000"), ("max", "401"), ("bytes", "3000000"), ("mean", "250.5")]);
        shows(&shown, &[("buckets", "30"), ("subbuckets", "3968")]);
        assert!(shown.get("stdev").and_then(Value::as_f64).unwrap() > 112.0);
        let quantiles = shown.get("quantiles").and_then(Value::as_array).unwrap();
        shows(quantiles.last().unwrap(), &[("value", "401"), ("quantile", "1.0"), ("quantile_to", "1.0")]);
    }

    #[test]
    fn nothing_and_no_time_give_no_infinity() {
        let none = Measured {
            latencies: Histogram::new_with_bounds(1, 100_000_000_000, 2).unwrap(),
            bytes: 0,
            took: Duration::ZERO,
            is_cold: true,
        };
        assert!(text(&none).ends_with("(data): 0.0 MB/s\nThroughput (events): 0.0k events/s\n"));
        assert!(json(&none).contains(r#""events_per_second":0.0"#));
        assert!(text(&measured(Duration::ZERO)).contains("0.0 MB/s"));
    }
}
