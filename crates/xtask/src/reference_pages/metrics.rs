//! What is measured.

use super::markdown::{self, code, table};
use tremor_connectors::{MetricRow, WS_METRIC_TAGS, WS_METRICS};

const INTRO: &str = "\
What connectors with `metrics_interval_s` and pipelines with `#!config metrics_interval_s` publish. The connector `metrics` gives it as \
events of this shape, which suits InfluxDB:

```json
{\"measurement\": \"...\", \"tags\": {\"k\": \"v\"}, \"fields\": {\"k\": 1}, \"timestamp\": 1700000000000000000}
```

Counts are sums since the start. What was counted behind the last interval before the program ends is published, but the connector \
`metrics` gives it no more. A histogram has the fields `count`, `sum`, `min`, `max`, `p50`, `p90` and `p99`.";

/// Of every flow: measurement, tags and meaning. The field is `count`.
const COMMON: [[&str; 3]; 3] = [
    [
        "connector_events",
        "`flow`, `connector`, `port`",
        "Events on the ports `in`, `out` or `err` of a connector.",
    ],
    [
        "events",
        "`pipeline`, `node`, `port`, `direction`",
        "Events that came into a node of a pipeline (`input`) or left it (`output`).",
    ],
    [
        "bucketing",
        "`pipeline`, `operator`, `class`, `action`",
        "Events of a class that `grouper::bucket` let pass (`pass`) or not (`overflow`). 10 000 classes are counted.",
    ],
];

/// The page about all measurements.
pub(super) fn page() -> String {
    let mut page = markdown::page("Metrics", INTRO);
    let common = COMMON.map(|[name, tags, text]| [code(name), tags.to_owned(), text.to_owned()]);
    page.push_str("## Flows\n\nThe field is `count`. They are published when something has changed.\n\n");
    page.push_str(&table(["Measurement", "Tags", "Meaning"], &common));
    page.push_str("## WebSockets\n\n`ws_server` and `ws_client` publish at every interval. The field of counters and gauges is `value`. All have the tags:\n\n");
    let tags: Vec<_> = WS_METRIC_TAGS.iter().map(|(name, text)| [code(name), (*text).to_owned()]).collect();
    page.push_str(&table(["Tag", "Meaning"], &tags));
    let rows: Vec<_> = WS_METRICS.iter().map(row).collect();
    page.push_str(&table(["Measurement", "Kind", "Further tags", "Meaning"], &rows));
    markdown::finish(&page)
}

fn row(row: &MetricRow) -> [String; 4] {
    let tags: Vec<_> = row.tags.iter().map(|tag| code(tag)).collect();
    [code(row.name), row.kind.to_owned(), tags.join(", "), row.text.to_owned()]
}
