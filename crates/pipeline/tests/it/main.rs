//! Queries from their text to the events that leave them.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that can not go on fails"
)]

mod build;
mod counts;
mod events;
mod operators;
mod order;
mod property;
mod receipts;

use std::sync::{Arc, Mutex};
use tremor_diagnostic::SourceMap;
use tremor_event::{Event, EventBatch, EventId, IdGenerator};
use tremor_lang::{Compiler, Embedded, Functions, Host, RuntimeError};
use tremor_pipeline::{BuildError, Environment, Graph, Outputs, Pipeline, ProcessContext, Report};
use tremor_value::{Meta, Value};

struct TestHost;

impl Host for TestHost {
    fn now_ns(&self) -> u64 {
        42
    }
    fn hostname(&self) -> &str {
        "host"
    }
    fn instance(&self) -> &str {
        "test"
    }
}

/// Numbers from 100, so that operators are not mistaken for sources.
fn around() -> Environment {
    let ids = Arc::new(IdGenerator::default());
    (0..100).for_each(|_| {
        ids.next_id();
    });
    Environment { ids, host: Arc::new(TestHost) }
}

/// Keeps the codes of reported errors.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Report for Log {
    fn script_failed(&self, error: &RuntimeError, sources: &SourceMap) {
        self.select_failed(error, sources);
    }

    fn select_failed(&self, error: &RuntimeError, sources: &SourceMap) {
        let diagnostic = error.to_diagnostic(sources);
        let marked = diagnostic.inner.map(|span| sources.text(span).to_owned()).unwrap_or_default();
        self.0.lock().unwrap().push(format!("{} at {marked}", diagnostic.code.id));
    }
}

fn compiler() -> Compiler {
    let library = Embedded::new("lib")
        .with("num.tremor", "const FIVE = 5; fn twice(x) with x * 2 end;")
        .with("parts.trickle", "define script double script event * 2 end; define pipeline id pipeline select event from in into out end; define operator some from generic::batch args n = 2 with count = args.n end;");
    Compiler::new(Arc::new(library), Arc::new(Functions::default()))
}

#[track_caller]
fn build(query: &str) -> Result<Arc<Graph>, BuildError> {
    let compiled =
        compiler().compile_query("test.trickle", query).unwrap_or_else(|failure| panic!("{failure}"));
    Graph::build(&compiled.program, Value::Null, compiled.sources)
}

#[track_caller]
fn graph(query: &str) -> Arc<Graph> {
    build(query).unwrap_or_else(|error| panic!("{query}\n{error}"))
}

/// Codes and marked texts of what is wrong when the graph is built.
#[track_caller]
fn complaints(query: &str) -> Vec<String> {
    let Err(error) = build(query) else { return Vec::new() };
    let show = |diagnostic: &tremor_diagnostic::Diagnostic| {
        let marked = diagnostic.inner.map(|span| error.sources.text(span)).unwrap_or_default();
        format!("{} at {marked}", diagnostic.code.id)
    };
    error.diagnostics.iter().map(show).collect()
}

#[track_caller]
fn json(text: &str) -> Value {
    Value::from_json_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn event(value: Value) -> Event {
    Event {
        id: EventId::new(1, 0, 0, 0),
        payload: value.into(),
        meta: Meta::record(),
        ingest_ns: 7,
        origin: None,
        is_batch: false,
        receipt: None,
    }
}

/// A pipeline under test, with what was reported.
struct Running {
    pipeline: Pipeline,
    log: Log,
}

impl Running {
    #[track_caller]
    fn new(query: &str) -> Self {
        Self { pipeline: graph(query).instance(&around()), log: Log::default() }
    }

    /// Sends events as one batch; gives `port: payload` for all that leaves.
    #[track_caller]
    fn send_to(&mut self, port: &str, events: &[&str]) -> Vec<String> {
        let graph = Arc::clone(self.pipeline.graph());
        let port = graph.input(port).unwrap();
        let events = events.iter().map(|text| event(json(text))).collect();
        let mut outputs = Outputs::new(&graph);
        let context = ProcessContext { host: &TestHost, report: &self.log };
        self.pipeline.process(port, EventBatch { events, bytes: 100 }, &mut outputs, &context);
        let names: Vec<String> = graph.outputs().map(str::to_owned).collect();
        let mut left = Vec::new();
        for (port, batch) in outputs.drain() {
            for event in batch.events {
                left.push(format!("{}: {}", names[port.index()], event.payload.value()));
            }
        }
        left
    }

    #[track_caller]
    fn send(&mut self, events: &[&str]) -> Vec<String> {
        self.send_to("in", events)
    }

    fn reported(&self) -> Vec<String> {
        self.log.0.lock().unwrap().clone()
    }
}
