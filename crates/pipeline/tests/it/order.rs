//! The order in which results leave does not depend on how events are cut into batches.

use super::Running;
use proptest::prelude::*;

#[test]
fn results_of_one_event_come_before_those_of_the_next() {
    let mut query =
        Running::new("select [\"a\", event] from in into out; select [\"b\", event] from in into out;");
    let left = query.send(&["1", "2"]);
    assert_eq!(left, [r#"out: ["a",1]"#, r#"out: ["b",1]"#, r#"out: ["a",2]"#, r#"out: ["b",2]"#]);
}

#[test]
fn branches_that_never_meet_take_whole_batches() {
    let mut query =
        Running::new("select event from in into out; select event from in where event > 1 into err;");
    assert_eq!(query.send(&["1", "2", "3"]), ["out: 1", "out: 2", "out: 3", "err: 2", "err: 3"]);
}

const QUERIES: &[&str] = &[
    "select event from in into out;",
    "select event from in where event % 2 == 0 into out; select event from in where event % 2 == 1 into err;",
    "create stream s; select event from in into s; select event + 1 from s into out; select event from s into out;",
    "define script n state 0 script let state = state + 1; match event % 3 of case 0 => emit state => \"side\" case 1 => event.x case _ => [state, event] end end;
     create script n; select event from in into n; select event from n into out; select event from n/side into out; select event[\"event\"] from n/err into err;",
    "define pipeline p pipeline select event from in into out; select -event from in into err end; create pipeline p;
     select event from in into p; select event from p into out; select event from p/err into out;",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batches_change_nothing(query in 0..QUERIES.len(), events in prop::collection::vec(0_u8..20, 0..12)) {
        let texts: Vec<String> = events.iter().map(ToString::to_string).collect();
        let events: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (mut whole, mut single) = (Running::new(QUERIES[query]), Running::new(QUERIES[query]));
        let whole = whole.send(&events);
        let single: Vec<String> = events.iter().flat_map(|event| single.send(&[event])).collect();
        for port in ["out", "err"] {
            let of_port = |left: &[String]| -> Vec<String> {
                left.iter().filter(|text| text.starts_with(port)).cloned().collect()
            };
            prop_assert_eq!(of_port(&whole), of_port(&single));
        }
    }
}
