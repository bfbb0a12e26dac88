//! Pipelines of a flow: run in place where they keep no state, else in a task behind a queue.

use async_trait::async_trait;
use futures_util::FutureExt;
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::task::JoinHandle;
use tracing::error;
use tremor_connector::{Deliver, Links, OpenRoute, Outlet, Receiver, Route, Sender, bounded};
use tremor_event::{EventBatch, Signal};
use tremor_lang::Host;
use tremor_pipeline::{Graph, Outputs, Pipeline, PortId, ProcessContext, Report};

/// One pipeline of a flow. It is linked once, then shared by all ways that lead through it.
pub(crate) struct Node {
    pub(crate) alias: String,
    graph: Arc<Graph>,
    /// What the output ports lead to.
    links: OnceLock<Links>,
    /// The way into the task of a stateful pipeline.
    queue: Option<Sender<Message>>,
    inbox: Mutex<Option<Receiver<Message>>>,
    report: Box<dyn Report>,
    host: Arc<dyn Host>,
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
        host: Arc<dyn Host>,
    ) -> Self {
        let (queue, inbox) = if graph.is_stateless() {
            (None, None)
        } else {
            let (queue, inbox) = bounded();
            (Some(queue), Some(inbox))
        };
        Self { alias, graph, links: OnceLock::new(), queue, inbox: Mutex::new(inbox), report, host }
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Sets what the output ports lead to, once.
    pub(crate) fn link(&self, links: Links) {
        let _first_wins = self.links.set(links);
    }

    /// Puts the task of a stateful pipeline to work; a stateless one needs none.
    pub(crate) fn spawn(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(tokio::spawn(serve(InPlace::open(self), inbox)))
    }
}

/// After an internal error the pipeline goes on with fresh state: what is in front of it must not wait for ever,
/// and marks have to pass.
async fn serve(mut pipeline: InPlace, mut inbox: Receiver<Message>) {
    while let Some(message) = inbox.recv().await {
        let handled = async {
            match message {
                Message::Batch(port, batch) => pipeline.process(port, batch).await,
                Message::Signal(signal) => pipeline.signal(signal).await,
            }
        };
        if AssertUnwindSafe(handled).catch_unwind().await.is_err() {
            let node = pipeline.node.clone();
            error!(target: "tremor_runtime", "[Pipeline::{}] an internal error: its state is lost", node.alias);
            pipeline = InPlace::open(&node);
        }
    }
}

/// An instance of a pipeline with the ways behind it.
struct InPlace {
    node: Arc<Node>,
    pipeline: Pipeline,
    outputs: Outputs,
    /// By the number of the output port.
    outlets: Vec<Outlet>,
}

impl InPlace {
    fn open(node: &Arc<Node>) -> Self {
        let links = node.links.get_or_init(Links::default);
        Self {
            pipeline: node.graph.instance(),
            outputs: Outputs::new(&node.graph),
            outlets: node.graph.outputs().map(|port| links.open(port)).collect(),
            node: node.clone(),
        }
    }

    async fn process(&mut self, port: PortId, batch: EventBatch) {
        let context = ProcessContext { host: &*self.node.host, report: &*self.node.report };
        self.pipeline.process(port, batch, &mut self.outputs, &context);
        self.send().await;
    }

    async fn signal(&mut self, signal: Signal) {
        self.pipeline.signal(signal, &mut self.outputs);
        self.send().await;
        for outlet in &mut self.outlets {
            outlet.signal(signal).await;
        }
    }

    async fn send(&mut self) {
        for (port, batch) in self.outputs.drain() {
            if let Some(outlet) = self.outlets.get_mut(port.index()) {
                outlet.send(batch).await;
            }
        }
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
            None => Box::new(Through { pipeline: InPlace::open(&self.node), port: self.port }),
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
    async fn send(&mut self, batch: EventBatch) {
        self.pipeline.process(self.port, batch).await;
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
    async fn send(&mut self, batch: EventBatch) {
        let bytes = batch.bytes;
        // A pipeline's task ends with its flow only; nothing is left to tell then.
        let _flow_ended = self.queue.send(Message::Batch(self.port, batch), bytes).await.is_err();
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
    async fn send(&mut self, batch: EventBatch) {
        self.deliver.deliver(self.port, batch).await;
    }

    async fn signal(&mut self, signal: Signal) {
        self.deliver.signal(signal).await;
    }
}
