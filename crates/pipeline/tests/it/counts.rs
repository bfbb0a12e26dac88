//! What pipelines count where the user wants to know.

use crate::{Running, complaints};

const QUERY: &str = "#!config metrics_interval_s = 3
    define operator limit from grouper::bucket; create operator limit;
    define script classify script let $class = \"c\"; let $rate = 1; let $time_range = 1000; event end;
    create script classify;
    select event from in where event > 1 into out;
    select event from in into classify;
    select event from classify into limit;
    select event from limit into out;";

fn shown(query: &Running) -> Vec<String> {
    let readings = query.pipeline.graph().readings();
    let show = |reading: &tremor_pipeline::Reading| {
        let tags: Vec<_> = reading.tags.iter().map(|(_, value)| value.as_str()).collect();
        format!("{} {} {}", reading.measurement, tags.join("|"), reading.count)
    };
    readings.iter().map(show).collect()
}

#[test]
fn nodes_count_what_comes_and_what_leaves_and_buckets_what_they_let_pass() {
    let mut query = Running::new(QUERY);
    assert_eq!(query.pipeline.graph().metrics_interval().map(|interval| interval.as_secs()), Some(3));
    assert!(shown(&query).is_empty() && query.pipeline.graph().counting_turn() == 0);
    query.send(&["1", "2", "3"]);
    let turn = query.pipeline.graph().counting_turn();
    let mut seen = shown(&query);
    seen.sort();
    assert_eq!(
        seen,
        [
            "bucketing limit|c|overflow 2",
            "bucketing limit|c|pass 1",
            "events classify|in|input 3",
            "events classify|out|output 3",
            "events in|out|output 3",
            "events limit|in|input 3",
            "events limit|out|output 1",
            "events out|in|input 3",
            "events select classify into limit|in|input 3",
            "events select classify into limit|out|output 3",
            "events select in into classify|in|input 3",
            "events select in into classify|out|output 3",
            "events select in into out|in|input 3",
            "events select in into out|out|output 2",
            "events select limit into out|in|input 1",
            "events select limit into out|out|output 1",
        ]
    );
    query.send(&["0"]);
    assert_ne!(query.pipeline.graph().counting_turn(), turn);
}

#[test]
fn counts_of_all_instances_go_together_also_behind_an_internal_error() {
    let mut query = Running::new(QUERY);
    query.send(&["1"]);
    query.pipeline = query.pipeline.renewed();
    query.send(&["2"]);
    assert!(shown(&query).contains(&"bucketing limit|c|pass 2".to_owned()), "{:?}", shown(&query));
}

#[test]
fn nothing_is_counted_where_nobody_asks_and_intervals_are_seconds_above_0() {
    let mut query = Running::new(&QUERY.replace("#!config", "# config"));
    query.send(&["1"]);
    assert!(shown(&query).is_empty() && query.pipeline.graph().metrics_interval().is_none());
    for wrong in ["0", "\"1\"", "1.5", "-1"] {
        let found = complaints(&QUERY.replace("= 3", &format!("= {wrong}")));
        assert!(found.len() == 1 && found[0].starts_with("E-Q18"), "{found:?}");
    }
}
