//! What becomes of events.

use super::{Log, Running, TestHost, around, event, graph, json};
use std::sync::Arc;
use tremor_event::EventBatch;
use tremor_pipeline::{Outputs, ProcessContext};
use tremor_value::Value;

#[test]
fn select_filters_and_shapes() {
    let mut query = Running::new(
        "select {\"v\": event.a, \"n\": 1} from in where event.a > 1 into out having event.v < 4;",
    );
    let left = query.send(&["{\"a\":1}", "{\"a\":2}", "{\"a\":5}"]);
    assert_eq!(left, [r#"out: {"v":2,"n":1}"#]);
    assert_eq!(query.reported(), [""; 0]);
}

#[test]
fn an_untouched_event_is_handed_on_without_a_copy() {
    let graph = graph("select event from in where event.a == 1 into out;");
    let value = json("{\"a\":1}");
    let Value::Record(before) = &value else { panic!("a record") };
    let before = Arc::as_ptr(before);
    let mut outputs = Outputs::new(&graph);
    let log = Log::default();
    let context = ProcessContext { host: &TestHost, report: &log };
    let batch = EventBatch { events: vec![event(value)], bytes: 7 };
    graph.instance(&around()).process(graph.input("IN").unwrap(), batch, &mut outputs, &context);
    let left = outputs.take(graph.output("out").unwrap());
    assert_eq!((left.len(), left.bytes), (1, 7));
    let Value::Record(after) = left.events[0].payload.value() else { panic!("a record") };
    assert_eq!(Arc::as_ptr(after), before);
    assert!(outputs.is_empty());
}

#[test]
fn errors_of_select_end_the_event_and_are_reported() {
    let mut query = Running::new("select event.a from in where event.b into out having event;");
    let events = ["{\"a\":1,\"b\":1}", "{\"b\":true}", "{\"a\":2,\"b\":true}", "{\"a\":true,\"b\":true}"];
    assert_eq!(query.send(&events), ["out: true"]);
    assert_eq!(query.reported(), ["E-Q13 at event.b", "E-P2 at a", "E-Q13 at event"]);
}

/// `spec/language-query.md` 5.1, with states that are written out.
const TALLY: &str = r##"
    create stream ctl;
    define script tally
    args step = 1
    state {"n": 0}
    script from reset
      let state.n = 0;
      drop
    script
      let state.n = state.n + args.step;
      match event of
        case "ping" => emit => "side"
        case _ => {"n": state.n, "v": event}
      end
    end;
    create script tally with step = 2 end;
    select event from in where event == "!" into ctl;
    select event from in where event != "!" into tally;
    select event from ctl into tally/reset;
    select event from tally into out;
    select event from tally/side into out;
    select event from tally/err into err;
"##;

#[test]
fn scripts_keep_state_and_have_ports() {
    let expected =
        [r#"out: {"n":2,"v":"a"}"#, r#"out: "ping""#, r#"out: {"n":6,"v":"b"}"#, r#"out: {"n":2,"v":"c"}"#];
    let events = ["\"a\"", "\"ping\"", "\"b\"", "\"!\"", "\"c\""];
    assert_eq!(Running::new(TALLY).send(&events), expected, "as one batch");
    let mut one_by_one = Running::new(TALLY);
    let left: Vec<String> = events.iter().flat_map(|event| one_by_one.send(&[event])).collect();
    assert_eq!(left, expected, "one by one");
    assert!(!graph(TALLY).is_stateless());
}

#[test]
fn instances_share_no_state() {
    let graph = graph(TALLY);
    let (mut one, mut two) = (graph.instance(&around()), graph.instance(&around()));
    let log = Log::default();
    let context = ProcessContext { host: &TestHost, report: &log };
    for pipeline in [&mut one, &mut two] {
        let mut outputs = Outputs::new(&graph);
        pipeline.process(graph.input("in").unwrap(), event(json("1")).into(), &mut outputs, &context);
        let batch = outputs.take(graph.output("out").unwrap());
        assert_eq!(batch.events[0].payload.value().to_string(), r#"{"n":2,"v":1}"#);
    }
}

#[test]
fn script_errors_leave_by_err_with_the_event() {
    let mut query = Running::new(
        "define script plus args a = 1 script let event.seen = true; event.x + args.a end;
         create script plus with a = 5 end;
         select event from in into plus; select event from plus into out; select event from plus/err into err;",
    );
    let left = query.send(&["{\"x\":1}", "{\"x\":\"y\"}", "{\"x\":2}"]);
    assert_eq!((left.len(), left[0].as_str(), left[1].as_str()), (3, "out: 6", "out: 7"));
    assert!(left[2].starts_with(r#"err: {"error":"Error: \n"#), "{}", left[2]);
    assert!(left[2].ends_with(r#""event":{"x":"y","seen":true}}"#), "{}", left[2]);
}

#[test]
fn what_nobody_reads_vanishes() {
    let mut query = Running::new(
        "define script s script match event of case 1 => emit 1 => \"nobody\" case _ => event.x end end; create script s;
         select event from in into s; select event from s into out;",
    );
    assert_eq!(query.send(&["1", "2", "{\"x\":3}"]), ["out: 3"]);
    // The error has no port to leave by; whoever runs the pipeline hears of it.
    assert_eq!(query.reported(), ["E-P1 at x"]);
}

#[test]
fn events_for_a_port_without_section_leave_by_err() {
    let mut query = Running::new(
        "define script s script event end; create script s;
         select event from in into s/nope; select event from s into out; select event from s/err into err;",
    );
    assert_eq!(
        query.send(&["1"]),
        [r#"err: {"error":"The script has no section for port `nope`","event":1}"#]
    );
}

#[test]
fn nested_pipelines_have_their_own_arguments_and_ports() {
    let mut query = Running::new(
        "define pipeline scale from in, aux into out, err args factor, offset = 0
         pipeline
           #!config metrics_interval_s = 10
           select event * args.factor + args.offset from in into out;
           select event from aux into out;
         end;
         create pipeline by2 from scale with factor = 2 end;
         select event from in into by2;
         select event from in into by2/aux;
         select event from by2 into out;
         select event from by2/err into err;",
    );
    assert_eq!(query.send(&["1", "2"]), ["out: 2", "out: 1", "out: 4", "out: 2"]);
}

#[test]
fn modules_bring_functions_scripts_and_pipelines() {
    let mut query = Running::new(
        "use num; use parts; create script d from parts::double; create pipeline p from parts::id;
         select num::twice(event) + num::FIVE from in into d; select event from d into p; select event from p into out",
    );
    assert_eq!(query.send(&["1"]), ["out: 14"]);
}

#[test]
fn ports_of_a_query_can_be_named() {
    let mut query = Running::new(
        "#!config from = \"a, b\"\n#!config into = \"x\"\nselect event from a into x; select [event] from b into x;",
    );
    assert_eq!(query.send_to("a", &["1"]), ["x: 1"]);
    assert_eq!(query.send_to("b", &["1"]), ["x: [1]"]);
    let mut query = Running::new("select event from in into out/side; select event from in/other into out;");
    assert_eq!(query.send(&["1"]), ["side: 1"]);
    assert_eq!(query.send_to("in/other", &["1"]), ["out: 1"]);
}

#[test]
fn metadata_and_args_can_be_read() {
    let mut query = Running::new(
        "define script mark script let $mark = event; event end; create script mark;
         select event from in into mark; select {\"m\": $mark, \"a\": args, \"w\": window, \"g\": group} from mark where present $mark into out;",
    );
    assert_eq!(query.send(&["1"]), [r#"out: {"m":1,"a":null,"w":null,"g":[null,"[null]"]}"#]);
}

#[test]
fn a_select_without_groups_has_the_group_of_nothing() {
    let mut pipeline = Running::new("select [group, window] from in into out;");
    assert_eq!(pipeline.send(&["1"]), [r#"out: [[null,"[null]"],null]"#]);
}
