//! Queries put together at random: each one gets an answer, and a graph that can be built can be run.

use super::{Log, TestHost, around, compiler, event, json, receipts::Heard};
use proptest::prelude::*;
use std::sync::Arc;
use tremor_event::{Event, EventBatch, Issuer, Outcome};
use tremor_pipeline::{Graph, Outputs, ProcessContext};
use tremor_value::Value;

fn statement() -> impl Strategy<Value = String> {
    let node = || {
        prop::sample::select(vec![
            "in",
            "out",
            "err",
            "a",
            "b",
            "s",
            "p",
            "s/err",
            "s/x",
            "p/err",
            "p/nope",
            "o",
            "o/overflow",
            "r/x",
            "r/out",
        ])
    };
    let value = prop::sample::select(vec!["event", "event + 1", "[event]", "event.x", "$", "args.k", "1"]);
    let filter = prop::sample::select(vec!["", "where event == 1", "where event", "where present event.x"]);
    prop_oneof![
        Just("create stream a".to_owned()),
        Just("create stream b".to_owned()),
        Just("create script s".to_owned()),
        Just("create script s with k = 2 end".to_owned()),
        Just("create pipeline p".to_owned()),
        prop::sample::select(vec![
            "batch",
            "late",
            "counter",
            "backpressure",
            "percentile",
            "bucket",
            "history"
        ])
        .prop_map(|kind| format!("create operator o from {kind}")),
        Just("create operator r".to_owned()),
        (value, node(), filter, node()).prop_map(|(value, from, filter, into)| format!(
            "select {value} from {from} {filter} into {into}"
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn queries_answer(statements in prop::collection::vec(statement(), 1..12)) {
        let query = format!(
            "define script s args k = 1 state 0 script let state = state + args.k; match event of case 1 => emit => \"x\" case _ => [state, event.x] end end;
             define operator batch from generic::batch with count = 3 end; define operator late from generic::batch with count = 3, timeout = 1 end;
             define operator counter from generic::counter; define operator bucket from grouper::bucket;
             define operator backpressure from qos::backpressure with timeout = 0 end; define operator percentile from qos::percentile with timeout = 0 end;
             define operator history from debug::history with op = \"o\", name = \"n\" end;
             define operator r from qos::roundrobin with outputs = [\"x\", \"out\"] end;
             define pipeline p pipeline create stream a; select event from in into a; select event from a into out; select -event from a into err end;
             {}", statements.join("; "));
        let Ok(compiled) = compiler().compile_query("t", &query) else { return Ok(()) };
        let graph = match Graph::build(&compiled.program, Value::Null, compiled.sources) {
            Ok(graph) => graph,
            Err(error) => {
                prop_assert!(!error.diagnostics.is_empty());
                return Ok(());
            }
        };
        let log = Log::default();
        let context = ProcessContext { host: &TestHost, report: &log };
        let heard = Arc::new(Heard::default());
        let issuer = Issuer::new(heard.clone(), 0, 0, 4);
        let events = ["1", "2", "{\"x\":1}", "\"s\""].iter().enumerate();
        let events = events.map(|(index, text)| Event { receipt: issuer.receipt(index), ..event(json(text)) });
        let batch = EventBatch { events: events.collect(), bytes: 4 };
        drop(issuer);
        let mut outputs = Outputs::new(&graph);
        let mut pipeline = graph.instance(&around());
        pipeline.process(graph.input("in").unwrap(), batch, &mut outputs, &context);
        pipeline.tick(1 << 40, &mut outputs, &context);
        pipeline.drain(&mut outputs, &context);
        let left: Vec<_> = outputs.drain().collect();
        for (port, batch) in left {
            prop_assert!(port.index() < 3 && !batch.is_empty());
            batch.settle(Outcome::Delivered { took_ns: 1 });
        }
        // Nothing is held back, nothing is lost, nothing is told of twice.
        let told = heard.take();
        let mut pulls: Vec<&str> = told.iter().flat_map(|line| line.split(' ').skip(1)).collect();
        pulls.sort_unstable();
        prop_assert_eq!(pulls, ["0", "1", "2", "3"], "{:?}", told);
    }
}
