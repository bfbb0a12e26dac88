//! Queries put together at random: each one gets an answer, and a graph that can be built can be run.

use super::{Log, TestHost, around, compiler, event, json};
use proptest::prelude::*;
use tremor_event::EventBatch;
use tremor_pipeline::{Graph, Outputs, ProcessContext};
use tremor_value::Value;

fn statement() -> impl Strategy<Value = String> {
    let node = || {
        prop::sample::select(vec!["in", "out", "err", "a", "b", "s", "p", "s/err", "s/x", "p/err", "p/nope"])
    };
    let value = prop::sample::select(vec!["event", "event + 1", "[event]", "event.x", "$", "args.k", "1"]);
    let filter = prop::sample::select(vec!["", "where event == 1", "where event", "where present event.x"]);
    prop_oneof![
        Just("create stream a".to_owned()),
        Just("create stream b".to_owned()),
        Just("create script s".to_owned()),
        Just("create script s with k = 2 end".to_owned()),
        Just("create pipeline p".to_owned()),
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
        let events = ["1", "2", "{\"x\":1}", "\"s\""].map(|text| event(json(text))).to_vec();
        let mut outputs = Outputs::new(&graph);
        graph.instance(&around()).process(graph.input("in").unwrap(), EventBatch { events, bytes: 4 }, &mut outputs, &context);
        outputs.drain().for_each(|(port, batch)| assert!(port.index() < 3 && !batch.is_empty()));
    }
}
