//! What those hear who wait for the end of events.

use super::{Log, TestHost, around, event, graph, json};
use std::sync::{Arc, Mutex};
use tremor_diagnostic::SourceMap;
use tremor_event::{Event, EventBatch, Issuer, Listener, Outcome, Settlement};
use tremor_lang::RuntimeError;
use tremor_pipeline::{Outputs, Pipeline, ProcessContext, Report};

#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<String>>);

impl Listener for Heard {
    fn settled(&self, settlement: Settlement<'_>) {
        let word = match settlement.outcome {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Discarded => "discarded",
            Outcome::Failed => "failed",
            Outcome::Withheld => "withheld",
        };
        let pulls = settlement.pulls.iter().flat_map(|range| range.first..=range.last);
        let pulls: Vec<String> = pulls.map(|pull| pull.to_string()).collect();
        self.0.lock().unwrap().push(format!("{word} {}", pulls.join(" ")));
    }
}

impl Heard {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A query whose events somebody waits for.
struct Waiting {
    pipeline: Pipeline,
    outputs: Outputs,
    heard: Arc<Heard>,
    log: Log,
}

impl Waiting {
    #[track_caller]
    fn new(query: &str) -> Self {
        let graph = graph(query);
        let (pipeline, outputs) = (graph.instance(&around()), Outputs::new(&graph));
        Self { pipeline, outputs, heard: Arc::default(), log: Log::default() }
    }

    /// Sends events as one batch, each of a pull of its own; gives what was heard before anything that left is settled.
    fn send(&mut self, events: &[&str]) -> Vec<String> {
        let issuer = Issuer::new(self.heard.clone(), 0, 0, events.len());
        let with_receipt =
            |(index, text): (usize, &&str)| Event { receipt: issuer.receipt(index), ..event(json(text)) };
        let events = events.iter().enumerate().map(with_receipt).collect();
        drop(issuer);
        let port = self.pipeline.graph().input("in").unwrap();
        let context = ProcessContext { host: &TestHost, report: &self.log };
        self.pipeline.process(port, EventBatch { events, bytes: 1 }, &mut self.outputs, &context);
        self.heard.take()
    }

    /// Settles all that left as delivered.
    fn deliver(&mut self) -> Vec<String> {
        let all: Vec<EventBatch> = self.outputs.drain().map(|(_, batch)| batch).collect();
        for batch in all {
            batch.settle(Outcome::Delivered { took_ns: 1 });
        }
        self.heard.take()
    }
}

#[test]
fn what_is_filtered_is_discarded_and_what_cannot_be_processed_has_failed() {
    let mut query = Waiting::new("select event.a from in where event.w into out having event;");
    let events = [
        r#"{"w": false}"#,
        r#"{"w": true, "a": true}"#,
        r#"{"w": true, "a": false}"#,
        r#"{"w": true}"#,
        r#"{"w": 1}"#,
        r#"{"w": true, "a": 1}"#,
    ];
    assert_eq!(query.send(&events), ["discarded 0 2", "failed 3 4 5"], "once for each outcome");
    assert_eq!(query.deliver(), ["delivered 1"]);
}

#[test]
fn what_a_script_drops_or_sends_nowhere_is_discarded() {
    let script = "define script s script match event of case 0 => drop case 1 => emit => \"nobody\" case 2 => event.x case _ => event end end;
        create script s; select event from in into s; select event from s into out;";
    let mut query = Waiting::new(script);
    assert_eq!(query.send(&["0", "1", "2", "3"]), ["discarded 0 1 2"]);
    assert_eq!(query.deliver(), ["delivered 3"]);
    let mut query = Waiting::new(&format!("{script} select event from s/err into err;"));
    assert_eq!(query.send(&["2"]), [""; 0], "an error that somebody reads goes on");
    assert_eq!(query.deliver(), ["delivered 0"]);
    let mut query = Waiting::new(&script.replace("into s;", "into s/nope;"));
    assert_eq!(query.send(&["3"]), ["discarded 0"], "no section for this port");
}

#[test]
fn what_leads_nowhere_is_discarded() {
    assert_eq!(
        Waiting::new("create stream s; select event from in into s;").send(&["1", "2"]),
        ["discarded 0 1"]
    );
    let nested = "define pipeline p pipeline select event from in into out end; create pipeline p; select event from in into p;";
    assert_eq!(Waiting::new(nested).send(&["1"]), ["discarded 0"]);
    let operator =
        "define operator r from qos::roundrobin with outputs = [\"a\", \"b\"] end; create operator r;
        select event from in into r; select event from r/b into out;";
    let mut query = Waiting::new(operator);
    assert_eq!(query.send(&["1", "2"]), ["discarded 0"]);
    assert_eq!(query.deliver(), ["delivered 1"]);
}

#[test]
fn an_event_of_many_branches_ends_with_the_last() {
    for query in [
        // Branches that stay apart are passed batch by batch, those that meet event by event.
        "select event from in into out; select event from in where event > 1 into err;",
        "select event from in into out; select event from in where event > 1 into out;",
    ] {
        let mut query = Waiting::new(query);
        assert_eq!(query.send(&["1", "2"]), [""; 0], "the other branch is open");
        let outs: Vec<EventBatch> = query.outputs.drain().map(|(_, batch)| batch).collect();
        let mut heard = Vec::new();
        for event in outs.into_iter().flat_map(|batch| batch.events) {
            event.settle(Outcome::Delivered { took_ns: 1 });
            heard.extend(query.heard.take());
        }
        heard.sort();
        assert_eq!(heard, ["delivered 0", "delivered 1"]);
    }
}

#[test]
fn one_branch_that_fails_is_enough() {
    for query in [
        "select event from in into out; select event.nope from in into err;",
        // This branch is filtered before there is a copy of the event.
        "select event from in into out; select event from in where event.nope into err;",
    ] {
        let mut query = Waiting::new(query);
        assert_eq!(query.send(&["1"]), ["failed 0"]);
        assert_eq!(query.deliver(), [""; 0]);
    }
}

#[test]
fn a_branch_that_filters_has_what_passes_and_does_all_else_of_a_select() {
    let mut query = Waiting::new(
        "select event from in into out; select event + 1 from in where event > 1 into err having event < 4;",
    );
    assert_eq!(query.send(&["1", "2", "3"]), [""; 0]);
    let left: Vec<Vec<String>> = query
        .outputs
        .drain()
        .map(|(_, batch)| batch.events.iter().map(|event| event.payload.value().to_string()).collect())
        .collect();
    assert_eq!(left, [vec!["1", "2", "3"], vec!["3"]]);
}

#[test]
fn what_is_lost_has_failed() {
    let mut query = Waiting::new(
        "define operator b from generic::batch with count = 5 end; create operator b;
         select event from in into b; select event from b into out;",
    );
    assert_eq!(query.send(&["1", "2"]), [""; 0]);
    let Waiting { pipeline, heard, .. } = query;
    drop(pipeline);
    assert_eq!(heard.take(), ["failed 0", "failed 1"]);
}

#[test]
fn operators_in_a_row_hand_answers_on() {
    let mut query = Waiting::new(
        "define operator q from qos::backpressure with timeout = 10 end; create operator q;
         define operator p from qos::percentile with timeout = 10 end; create operator p;
         define operator b from generic::batch with count = 2 end; create operator b;
         select event from in into q; select event from q into p; select event from p into b; select event from b into out;",
    );
    assert_eq!(query.send(&["1", "2", "3"]), [""; 0]);
    assert_eq!(query.deliver(), ["delivered 0 1"]);
    assert_eq!(query.send(&["4"]), [""; 0]);
    let all: Vec<EventBatch> = query.outputs.drain().map(|(_, batch)| batch).collect();
    drop(all);
    let heard = query.heard.take();
    assert_eq!(heard.len(), 2, "two pulls, of two sendings: {heard:?}");
    assert!(heard.iter().all(|line| line.starts_with("failed")), "{heard:?}");
}

struct Panics;

impl Report for Panics {
    fn select_failed(&self, _error: &RuntimeError, _sources: &SourceMap) {
        panic!("the test says so");
    }
}

#[test]
fn what_a_panic_takes_along_has_failed() {
    std::panic::set_hook(Box::new(|_| {}));
    let query = "create stream s; select event from in into s; select event from s into err;
        select event from s where event into out;";
    let graph = graph(query);
    let heard = Arc::new(Heard::default());
    let issuer = Issuer::new(heard.clone(), 0, 0, 3);
    let events = ["false", "1", "true"].iter().enumerate();
    let events = events.map(|(index, text)| Event { receipt: issuer.receipt(index), ..event(json(text)) });
    let batch = EventBatch { events: events.collect(), bytes: 1 };
    drop(issuer);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let context = ProcessContext { host: &TestHost, report: &Panics };
        let mut outputs = Outputs::new(&graph);
        graph.instance(&around()).process(graph.input("in").unwrap(), batch, &mut outputs, &context);
    }));
    assert!(panicked.is_err());
    let mut told = heard.take();
    told.sort();
    assert_eq!(told, ["failed 0", "failed 1", "failed 2"], "none of them twice");
}

#[test]
fn events_nobody_waits_for_need_no_receipt() {
    let query = "select event from in where event == 1 into out;";
    let graph = graph(query);
    let (mut outputs, log) = (Outputs::new(&graph), Log::default());
    let context = ProcessContext { host: &TestHost, report: &log };
    let events = vec![event(json("1")), event(json("2"))];
    graph.instance(&around()).process(
        graph.input("in").unwrap(),
        EventBatch { events, bytes: 1 },
        &mut outputs,
        &context,
    );
    assert!(outputs.take(graph.output("out").unwrap()).events.iter().all(|event| event.receipt.is_none()));
}
