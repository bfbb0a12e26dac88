//! Operators in graphs.

use super::{Log, Running, TestHost, around, build, compiler, event, graph, json};
use std::sync::{Arc, Mutex};
use tremor_event::{Breaker, EventBatch};
use tremor_pipeline::{Graph, Outputs, ProcessContext, operators};

#[test]
fn examples_of_all_kinds_can_be_built() {
    for spec in operators::ALL {
        let graph = graph(spec.example);
        assert!(graph.wants_ticks() && !graph.is_stateless(), "{}", spec.name);
        assert_eq!(graph.warnings().len(), usize::from(spec.renamed.is_some()), "{}", spec.name);
        assert!(spec.example.contains(spec.name), "{}", spec.name);
    }
}

#[test]
fn settings_come_from_arguments() {
    let mut query = Running::new(
        "define operator b from generic::batch args n, m = 1 with count = args.n + args.m end;
         define pipeline p args n pipeline
           define operator b from generic::batch args n with count = args.n end;
           create operator b with n = args.n + 1 end;
           select event from in into b; select event from b into out;
         end;
         create operator b with n = 1 end;
         create pipeline p with n = 0 end;
         select event from in into b; select event from b into p; select event from p into out;",
    );
    assert!(query.send(&["1"]).is_empty());
    let left = query.send(&["2"]);
    assert_eq!(left.len(), 1, "two events are one batch, and that is a batch of its own");
    assert!(left[0].starts_with(r#"out: [{"data":{"value":[{"data":{"value":1,"#), "{left:?}");
}

#[test]
fn definitions_may_stand_in_a_module() {
    for (with, left) in [("", 2), (" with n = 3 end", 1), (" with n = 1 end", 4)] {
        let query = format!(
            "use parts; create operator b from parts::some{with}; select event from in into b; select event from b into out;"
        );
        assert_eq!(Running::new(&query).send(&["1", "2", "3", "4"]).len(), left, "{with}");
    }
}

#[test]
fn every_port_can_be_read_and_what_nobody_reads_vanishes() {
    let query = |ports: &str| {
        format!(
            "define operator r from qos::roundrobin with outputs = [\"a\", \"b\"] end; create operator r;
             select event from in into r/anything; {ports}"
        )
    };
    let both = query("select [\"a\", event] from r/a into out; select [\"b\", event] from r/b into out;");
    assert_eq!(
        Running::new(&both).send(&["1", "2", "3"]),
        [r#"out: ["a",1]"#, r#"out: ["b",2]"#, r#"out: ["a",3]"#]
    );
    assert_eq!(Running::new(&query("select event from r/b into out;")).send(&["1", "2", "3"]), ["out: 2"]);
    let overflow = query("select event from r/overflow into out;");
    assert!(Running::new(&overflow).send(&["1"]).is_empty());
}

#[test]
fn operators_that_lead_nowhere_are_checked_and_not_made() {
    let dead = "define operator c from generic::counter; create operator c; select event from in into c; select event from in into out;";
    assert!(graph(dead).is_stateless());
    assert!(!graph(dead).wants_ticks());
    assert!(
        build("define operator c from generic::batch; create operator c; select event from in into out;")
            .is_err()
    );
}

/// What leaves when `act` is done, as text.
fn left(
    query: &str,
    events: &[&str],
    act: impl Fn(&mut tremor_pipeline::Pipeline, &mut Outputs, &ProcessContext<'_>),
) -> Vec<String> {
    let graph = graph(query);
    let mut pipeline = graph.instance(&around());
    let (mut outputs, log) = (Outputs::new(&graph), Log::default());
    let context = ProcessContext { host: &TestHost, report: &log };
    let events = events.iter().map(|text| event(json(text))).collect();
    pipeline.process(graph.input("in").unwrap(), EventBatch { events, bytes: 100 }, &mut outputs, &context);
    assert!(outputs.is_empty());
    act(&mut pipeline, &mut outputs, &context);
    let batch = outputs.take(graph.output("out").unwrap());
    assert_eq!(batch.bytes, if batch.is_empty() { 0 } else { 100 }, "it stands for what was held");
    batch.events.iter().map(|event| event.payload.value().to_string()).collect()
}

/// The second batch stands above the first one in the text, and behind it in the graph.
const TWO_BATCHES: &str = "define operator b from generic::batch with count = 9, timeout = 10 end;
    define operator second from generic::batch with count = 9 end;
    create operator second; create operator b;
    select event.data.value from second into out;
    create stream s; select [event] from s into second;
    select event from b into s; select event from in into b;";

#[test]
fn ticks_and_drains_visit_operators_in_the_order_of_the_graph() {
    let query = TWO_BATCHES.replace("event.data.value", "event[0].data.value[0][0].data.value");
    let drained = left(&query, &["1", "2"], |pipeline, out, ctx| pipeline.drain(out, ctx));
    assert_eq!(drained, ["1"], "what the first one held passed the second one");
    let ticked = left(&query, &["1"], |pipeline, out, ctx| {
        pipeline.tick(17, out, ctx);
        assert!(out.is_empty());
        pipeline.tick(18, out, ctx);
        assert!(out.is_empty(), "it is in the second one now");
        pipeline.drain(out, ctx);
    });
    assert_eq!(ticked, ["1"]);
}

#[test]
fn a_renewed_pipeline_has_fresh_state() {
    let graph = graph(TWO_BATCHES);
    let pipeline = graph.instance(&around());
    let mut renewed = pipeline.renewed();
    let (mut outputs, log) = (Outputs::new(&graph), Log::default());
    let context = ProcessContext { host: &TestHost, report: &log };
    renewed.process(graph.input("in").unwrap(), event(json("1")).into(), &mut outputs, &context);
    renewed.renewed().drain(&mut outputs, &context);
    assert!(outputs.is_empty());
}

#[derive(Default)]
struct Gate(Mutex<Vec<String>>);

impl Breaker for Gate {
    fn add(&self, part: u64) {
        self.0.lock().unwrap().push(format!("add {part}"));
    }
    fn open(&self, part: u64) {
        self.0.lock().unwrap().push(format!("open {part}"));
    }
    fn close(&self, part: u64) {
        self.0.lock().unwrap().push(format!("close {part}"));
    }
    fn lose(&self, part: u64) {
        self.0.lock().unwrap().push(format!("lose {part}"));
    }
}

fn ports(graph: &Graph, reach: &tremor_pipeline::Reach) -> Vec<String> {
    let names: Vec<&str> = graph.outputs().collect();
    reach.outputs.iter().map(|port| names[port.index()].to_owned()).collect()
}

#[test]
fn mediators_stand_between_ports() {
    let graph = graph(
        "define operator b from qos::backpressure with timeout = 1 end;
         define operator r from qos::roundrobin with outputs = [\"x\", \"y\"] end;
         define operator c from generic::counter;
         create operator b; create operator r; create operator c;
         select event from in into b;
         select event from b into c; select event from c into r;
         select event from r/x into out; select event from r/y into out/second;
         select event from b/overflow into err;
         select event from in/direct into out;",
    );
    let pipeline = graph.instance(&around());
    let mediators: Vec<_> = pipeline.mediators().collect();
    assert_eq!(mediators.len(), 2, "the counter is none");
    let [(first, backpressure), (second, roundrobin)] = &mediators[..] else { panic!("two") };
    let reach = pipeline.reach(graph.input("in").unwrap());
    assert_eq!(ports(&graph, &reach), ["err"], "not what is behind the mediated port");
    assert_eq!(reach.mediators, [*first]);
    let reach = pipeline.reach(graph.input("in/direct").unwrap());
    assert_eq!((ports(&graph, &reach), reach.mediators.len()), (vec!["out".to_owned()], 0));
    let behind = pipeline.behind(*first);
    assert_eq!((behind.len(), behind[0].0.as_str(), &behind[0].1.mediators), (1, "out", &vec![*second]));
    let behind = pipeline.behind(*second);
    let behind: Vec<_> = behind.iter().map(|(port, reach)| (port.as_str(), ports(&graph, reach))).collect();
    assert_eq!(behind, [("x", vec!["out".to_owned()]), ("y", vec!["second".to_owned()])]);

    // A change at one end is heard at the other, also by those that were linked before a renewal.
    let gate = Arc::new(Gate::default());
    roundrobin.add_upstream(backpressure.clone().behind("out"));
    backpressure.add_upstream(gate.clone());
    let x = roundrobin.clone().behind("x");
    x.add(1);
    mediators.iter().for_each(|(_, mediator)| mediator.begin());
    let renewed = pipeline.renewed();
    x.open(1);
    let told = gate.0.lock().unwrap().clone();
    assert!(
        matches!(&told[..], [add, open] if add.starts_with("add ") && open.starts_with("open ")),
        "{told:?}"
    );
    assert!(renewed.mediators().count() == 2);
}

#[test]
fn the_longest_way_counts_operators() {
    let chain = |count: usize| {
        let mut query =
            "define operator c from generic::counter; create stream s0; select event from in into s0;"
                .to_owned();
        for number in 0..count {
            query += &format!(
                "create operator c{number} from c; create stream s{}; select event from s{number} into c{number};
                 select event from c{number} into s{};",
                number + 1,
                number + 1
            );
        }
        format!("{query} select event from s{count} into out; select event from s0 into out;")
    };
    for count in [0, 1, 7] {
        assert_eq!(graph(&chain(count)).operators_in_row(), count);
    }
}

#[test]
fn an_older_name_is_warned_of() {
    let query = "define operator b from generic::backpressure with timeout = 1 end; create operator b;
         create operator second from b; select event from in into b; select event from b into out;";
    let compiled = compiler().compile_query("t", query).unwrap();
    assert!(compiled.warnings.is_empty());
    let graph = graph(query);
    let [warning] = graph.warnings() else { panic!("one, once") };
    assert!(!warning.is_error());
    assert_eq!(warning.message, "`generic::backpressure` is an older name of `qos::backpressure`");
}

#[test]
fn ports_that_an_operator_lacks_and_outputs_that_nobody_reads_are_warned_of() {
    let query = "define operator r from qos::roundrobin with outputs = [\"left\", \"right\"] end; create operator r;
         create operator c from generic::counter; select event from in into r; select event from in into c;
         select event from r/lefft into out; select event from r/overflow into out; select event from c into out;
         select event from c/err into out; select event from r/right into c;";
    let query = query.replace(
        "create operator c from generic::counter;",
        "define operator c from generic::counter; create operator c;",
    );
    let graph = graph(&query);
    let told: Vec<_> = graph.warnings().iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "Operator `r` sends nothing to a port `lefft`",
            "Operator `c` sends nothing to a port `err`",
            "Nothing reads port `left` of operator `r`: its events are dropped",
        ]
    );
    let text = |index: usize| {
        let inner = graph.warnings()[index].inner.unwrap();
        &query[usize::try_from(inner.start).unwrap()..usize::try_from(inner.end).unwrap()]
    };
    assert_eq!((text(0), text(1)), ("lefft", "err"));
    assert!(text(2).starts_with("outputs"), "{}", text(2));
    assert_eq!(graph.warnings()[0].hint.as_deref(), Some("Did you mean `left`?"));
    assert!(graph.warnings().iter().all(|warning| !warning.is_error()));
}

#[test]
fn every_mistake_in_the_settings_of_an_operator_is_told() {
    let query = "define operator b from qos::backpressure with timeout = -1, steps = [3, 2], mehtod = 1 end;
         create operator b; select event from in into b; select event from b into out;";
    let error = build(query).unwrap_err();
    let told: Vec<_> = error.diagnostics.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "The operator has no setting `mehtod`",
            "`timeout`: expected a time in nanoseconds, an integer of 0 or more, but got integer -1",
            "`steps`: element 2 cannot be integer 2: steps ascend, so above 3 is needed",
        ]
    );
}
