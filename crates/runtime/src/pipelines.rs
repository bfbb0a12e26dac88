//! Pipelines of a flow: run in place where they keep no state, else in a task behind a queue.

use async_trait::async_trait;
use futures_util::FutureExt;
use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Interval, MissedTickBehavior, interval},
};
use tracing::error;
use tremor_connector::{
    Deliver, Handed, Links, OpenRoute, Outlet, Receiver, Route, Sender, bounded,
    metrics::{CountedRoute, Measured, Meter, Metric, Metrics},
};
use tremor_event::{EventBatch, Signal};
use tremor_pipeline::{Environment, Graph, Outputs, Pipeline, PortId, ProcessContext, Report};
use tremor_value::{Record, Value};

/// How often operators are told of the time (`spec/runtime.md` 12).
const TICK_INTERVAL: Duration = Duration::from_millis(100);

/// One pipeline of a flow. It is linked once, then shared by all ways that lead through it.
pub(crate) struct Node {
    pub(crate) alias: String,
    graph: Arc<Graph>,
    /// What the output ports lead to.
    links: OnceLock<Links>,
    /// The way into the task of a stateful pipeline.
    queue: Option<Sender<Message>>,
    /// What that task begins with.
    parked: Mutex<Option<Parked>>,
    /// Drain marks that will come in.
    marks: AtomicUsize,
    report: Box<dyn Report>,
    around: Environment,
    /// There if what it counts is published.
    meter: Option<Arc<Meter>>,
}

/// A stateful pipeline before its task works.
struct Parked {
    pipeline: Pipeline,
    inbox: Receiver<Message>,
}

enum Message {
    Batch(PortId, EventBatch),
    Signal(Signal),
}

impl Node {
    pub(crate) fn new(
        alias: String,
        graph: Arc<Graph>,
        report: Box<dyn Report>,
        around: Environment,
        metrics: &Metrics,
    ) -> Self {
        let meter = graph.metrics_interval().map(|interval| {
            let counted = Counted { alias: alias.clone(), graph: graph.clone() };
            Arc::new(Meter::new(metrics.clone(), interval, counted))
        });
        let (queue, parked) = if graph.is_stateless() {
            (None, None)
        } else {
            let (queue, inbox) = bounded();
            (Some(queue), Some(Parked { pipeline: graph.instance(&around), inbox }))
        };
        Self {
            alias,
            graph,
            links: OnceLock::new(),
            queue,
            parked: Mutex::new(parked),
            marks: AtomicUsize::new(0),
            report,
            around,
            meter,
        }
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Looks at the instance before it works. Without state one is like the other.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Pipeline) -> T) -> T {
        match &*self.lock_parked() {
            Some(parked) => look(&parked.pipeline),
            None => look(&self.graph.instance(&self.around)),
        }
    }

    /// Sets what the output ports lead to, once.
    pub(crate) fn link(&self, links: Links) {
        let _first_wins = self.links.set(links);
    }

    /// So many more drain marks will come in.
    pub(crate) fn expect_marks(&self, count: usize) {
        self.marks.fetch_add(count, Ordering::Relaxed);
    }

    /// Puts the task of a stateful pipeline to work; a stateless one needs none.
    pub(crate) fn spawn(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        self.meter.iter().for_each(|meter| meter.begin());
        let Parked { pipeline, inbox } = self.lock_parked().take()?;
        Some(tokio::spawn(serve(InPlace::around(self, pipeline), inbox)))
    }

    /// Whether what it counts is published.
    pub(crate) fn is_measured(&self) -> bool {
        self.meter.is_some()
    }

    /// Publishes what was counted and not published yet.
    pub(crate) fn flush_metrics(&self) {
        self.meter.iter().for_each(|meter| meter.flush());
    }

    fn lock_parked(&self) -> MutexGuard<'_, Option<Parked>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ticks come between the messages, the first at once.
///
/// After an internal error the pipeline goes on with fresh state: what is in front of it must not wait for ever,
/// and marks have to pass.
async fn serve(mut pipeline: InPlace, mut inbox: Receiver<Message>) {
    let mut ticks = pipeline.node.graph.wants_ticks().then(|| {
        let mut ticks = interval(TICK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    });
    loop {
        let message = tokio::select! {
            biased;
            () = next(&mut ticks) => {
                let ingest_ns = pipeline.node.around.host.now_ns();
                Message::Signal(Signal::Tick { ingest_ns })
            }
            message = inbox.recv() => match message {
                Some(message) => message,
                None => return,
            },
        };
        let mark = match &message {
            Message::Signal(mark @ Signal::Drain { .. }) => Some(*mark),
            _ => None,
        };
        let handled = async {
            match message {
                Message::Batch(port, batch) => pipeline.process(port, batch).await,
                Message::Signal(signal) => pipeline.signal(signal).await,
            }
        };
        let handled = AssertUnwindSafe(handled).catch_unwind().await;
        if let Some(meter) = &pipeline.node.meter {
            meter.passed();
        }
        if handled.is_err() {
            let alias = &pipeline.node.alias;
            error!(target: "tremor_runtime", "[Pipeline::{alias}] an internal error: its state is lost");
            pipeline = pipeline.renewed();
            if let Some(mark) = mark {
                pipeline.pass(mark).await;
            }
        }
    }
}

/// The next tick, where there are any. Cancel safe.
async fn next(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// An instance of a pipeline with the ways behind it.
struct InPlace {
    node: Arc<Node>,
    pipeline: Pipeline,
    outputs: Outputs,
    /// By the number of the output port.
    outlets: Vec<Outlet>,
    /// Drain marks that have not come yet; of importance only where there is one instance for all ways.
    marks: usize,
}

impl InPlace {
    /// A new instance, for one of the ways through a stateless pipeline.
    fn open(node: &Arc<Node>) -> Self {
        Self::around(node, node.graph.instance(&node.around))
    }

    fn around(node: &Arc<Node>, pipeline: Pipeline) -> Self {
        let links = node.links.get_or_init(Links::default);
        Self {
            pipeline,
            outputs: Outputs::new(&node.graph),
            outlets: node.graph.outputs().map(|port| links.open(port)).collect(),
            marks: node.marks.load(Ordering::Relaxed),
            node: node.clone(),
        }
    }

    /// The same with fresh state.
    fn renewed(self) -> Self {
        let fresh = Self::around(&self.node, self.pipeline.renewed());
        Self { marks: self.marks, ..fresh }
    }

    fn process(&mut self, port: PortId, batch: EventBatch) -> Handed<'_> {
        let context = ProcessContext { host: &*self.node.around.host, report: &*self.node.report };
        self.pipeline.process(port, batch, &mut self.outputs, &context);
        self.send()
    }

    async fn signal(&mut self, signal: Signal) {
        let context = ProcessContext { host: &*self.node.around.host, report: &*self.node.report };
        match signal {
            // Neither sinks nor other pipelines need it: those that do have ticks of their own.
            Signal::Tick { ingest_ns } => {
                self.pipeline.tick(ingest_ns, &mut self.outputs, &context);
                self.send().await;
            }
            Signal::Drain { .. } => {
                self.marks = self.marks.saturating_sub(1);
                if self.marks == 0 {
                    // Nothing comes behind the last mark, so what is held has to go before it.
                    self.pipeline.drain(&mut self.outputs, &context);
                    self.send().await;
                }
                self.pass(signal).await;
            }
        }
    }

    async fn pass(&mut self, signal: Signal) {
        for outlet in &mut self.outlets {
            outlet.signal(signal).await;
        }
    }

    fn send(&mut self) -> Handed<'_> {
        let left = self.outputs.take_all().zip(&mut self.outlets);
        Handed::in_turn(left.map(|(batch, outlet)| outlet.send(batch)))
    }
}

/// What a pipeline counts, as it is published.
struct Counted {
    alias: String,
    graph: Arc<Graph>,
}

impl Measured for Counted {
    fn turn(&self) -> u64 {
        self.graph.counting_turn()
    }

    fn changed(&self, now_ns: u64, out: &mut Vec<Metric>) {
        out.extend(self.graph.readings().into_iter().map(|reading| {
            let mut tags = Record::from_iter([("pipeline", Value::from(self.alias.as_str()))]);
            tags.extend(reading.tags);
            let fields = Record::from_iter([("count", Value::from(reading.count))]);
            Metric::new(reading.measurement, tags, fields, now_ns)
        }));
    }
}

/// Leads to an input port of a pipeline.
pub(crate) struct ToPipeline {
    pub(crate) node: Arc<Node>,
    pub(crate) port: PortId,
}

impl OpenRoute for ToPipeline {
    fn open(&self) -> Box<dyn Route> {
        match &self.node.queue {
            None => {
                let through = Through { pipeline: InPlace::open(&self.node), port: self.port };
                match &self.node.meter {
                    Some(meter) => Box::new(CountedRoute::new(through, meter.clone())),
                    None => Box::new(through),
                }
            }
            Some(queue) => Box::new(Queued { queue: queue.clone(), port: self.port }),
        }
    }
}

/// Runs a pipeline right here.
struct Through {
    pipeline: InPlace,
    port: PortId,
}

#[async_trait]
impl Route for Through {
    fn send(&mut self, batch: EventBatch) -> Handed<'_> {
        self.pipeline.process(self.port, batch)
    }

    async fn signal(&mut self, signal: Signal) {
        self.pipeline.signal(signal).await;
    }
}

struct Queued {
    queue: Sender<Message>,
    port: PortId,
}

#[async_trait]
impl Route for Queued {
    fn send(&mut self, batch: EventBatch) -> Handed<'_> {
        let bytes = batch.weight();
        // A pipeline's task ends with its flow only; nothing is left to tell then.
        self.queue.hand(Message::Batch(self.port, batch), bytes, drop)
    }

    async fn signal(&mut self, signal: Signal) {
        let _flow_ended = self.queue.send(Message::Signal(signal), 0).await.is_err();
    }
}

/// Leads to an input port of a connector.
pub(crate) struct ToSink {
    pub(crate) deliver: Arc<dyn Deliver>,
    pub(crate) port: usize,
}

impl OpenRoute for ToSink {
    fn open(&self) -> Box<dyn Route> {
        Box::new(Delivery { deliver: self.deliver.clone(), port: self.port })
    }
}

struct Delivery {
    deliver: Arc<dyn Deliver>,
    port: usize,
}

#[async_trait]
impl Route for Delivery {
    fn send(&mut self, batch: EventBatch) -> Handed<'_> {
        self.deliver.deliver(self.port, batch)
    }

    async fn signal(&mut self, signal: Signal) {
        self.deliver.signal(signal).await;
    }
}
