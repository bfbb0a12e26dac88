//! A source that listens, linked to sinks, with a ledger of what it was told.

use crate::fake::{Attempts, definition, instance, refused, within};
use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};
use tremor_connector::{
    Connected, Definition, Deliver, DrainBoard, EventSink, Handed, Handle, Instance, Intake, OpenRoute,
    Pulled, Route, Sink, SinkControl, SinkError, Source, SourceError,
};
use tremor_event::{
    Event, EventBatch, IdGenerator, Listener, OriginUri, Outcome, Settlement, Signal, settle_all,
};
use tremor_value::Value;

/// A policy under which a lost connection is soon back.
const SOON_AGAIN: &str = r#"{"retry": {"interval_ms": 1, "growth_rate": 1, "randomized": false}}"#;

/// What became of pulls, by stream and number.
#[derive(Default)]
pub(crate) struct Ledger {
    told: Mutex<BTreeMap<(u64, u64), Vec<Outcome>>>,
    /// How often somebody called, and with how many ranges.
    pub(crate) calls: Mutex<Vec<usize>>,
    changed: Notify,
}

impl Listener for Ledger {
    fn settled(&self, settlement: Settlement<'_>) {
        let mut told = self.told.lock().unwrap();
        for pull in settlement.pulls.iter().flat_map(|range| range.first..=range.last) {
            told.entry((settlement.stream, pull)).or_default().push(settlement.outcome);
        }
        drop(told);
        self.calls.lock().unwrap().push(settlement.pulls.len());
        self.changed.notify_waiters();
    }
}

impl Ledger {
    /// What was told so far, in order: stream, pull and outcomes.
    pub(crate) fn now(&self) -> Vec<String> {
        let word = |outcome: &Outcome| match outcome {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Discarded => "discarded",
            Outcome::Failed => "failed",
            Outcome::Withheld => "withheld",
        };
        let told = self.told.lock().unwrap();
        let line = |((stream, pull), outcomes): (&(u64, u64), &Vec<Outcome>)| {
            format!("{stream}:{pull} {}", outcomes.iter().map(word).collect::<Vec<_>>().join(" "))
        };
        told.iter().map(line).collect()
    }

    /// The longest time that a sink took.
    pub(crate) fn slowest_ns(&self) -> u64 {
        let told = self.told.lock().unwrap();
        let took = told.values().flatten().map(|outcome| match outcome {
            Outcome::Delivered { took_ns } => *took_ns,
            _ => 0,
        });
        took.max().unwrap_or_default()
    }

    /// As [`Ledger::now`], once so many pulls are settled.
    pub(crate) async fn heard(&self, pulls: usize) -> Vec<String> {
        within(async {
            loop {
                let changed = self.changed.notified();
                let now = self.now();
                if now.len() >= pulls {
                    return now;
                }
                changed.await;
            }
        })
        .await
    }
}

type Fill = Box<dyn FnOnce(&mut Intake) -> Pulled + Send>;

/// Gives what the test fills in.
struct Filled {
    fills: mpsc::UnboundedReceiver<Fill>,
    ledger: Option<Arc<Ledger>>,
}

#[async_trait]
impl Source for Filled {
    fn listener(&self) -> Option<Arc<dyn Listener>> {
        self.ledger.clone().map(|ledger| ledger as Arc<dyn Listener>)
    }

    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        match self.fills.recv().await {
            Some(fill) => Ok(fill(intake)),
            None => std::future::pending().await,
        }
    }
}

/// A sink half that a test made.
pub(crate) enum Half {
    /// For one connection.
    Queued(Sink),
    /// Attempts of a kind.
    Made(&'static str, Attempts),
}

impl From<Sink> for Half {
    fn from(sink: Sink) -> Self {
        Self::Queued(sink)
    }
}

/// What happens to events on a link.
#[derive(Clone)]
pub(crate) struct Pipeline {
    pub(crate) change: Arc<dyn Fn(EventBatch) -> EventBatch + Send + Sync>,
    pub(crate) takes: Duration,
}

impl Default for Pipeline {
    fn default() -> Self {
        Self { change: Arc::new(|batch| batch), takes: Duration::ZERO }
    }
}

impl Pipeline {
    pub(crate) fn new(change: impl Fn(EventBatch) -> EventBatch + Send + Sync + 'static) -> Self {
        Self { change: Arc::new(change), ..Self::default() }
    }
}

/// How a flow is made.
pub(crate) struct Plan {
    pub(crate) source: Definition,
    pub(crate) listens: bool,
    /// The port that the sinks are linked to.
    pub(crate) port: &'static str,
    pub(crate) pipeline: Pipeline,
}

impl Default for Plan {
    fn default() -> Self {
        let source = definition("halves", r#""none""#);
        Self { source, listens: true, port: "out", pipeline: Pipeline::default() }
    }
}

/// A source and the sinks behind it.
pub(crate) struct Flow {
    pub(crate) source: Handle,
    pub(crate) sinks: Vec<Handle>,
    pub(crate) ledger: Arc<Ledger>,
    fills: mpsc::UnboundedSender<Fill>,
}

impl Flow {
    pub(crate) async fn to(sinks: impl IntoIterator<Item = Half>) -> Self {
        Self::planned(Plan::default(), sinks).await
    }

    pub(crate) async fn planned(plan: Plan, sinks: impl IntoIterator<Item = Half>) -> Self {
        let (ledger, (fills, filled)) = (Arc::<Ledger>::default(), mpsc::unbounded_channel());
        let listener = plan.listens.then(|| ledger.clone());
        let mut filled = Some(Filled { fills: filled, ledger: listener });
        let attempts: Attempts = Box::new(move |_| {
            let filled = filled.take().unwrap();
            Box::pin(async { Ok(source(filled)) })
        });
        let links = sinks.into_iter().map(|half| (half, vec![plan.pipeline.clone()])).collect();
        let (source, sinks) = run((plan.source, attempts), plan.port, links).await;
        Self { source, sinks, ledger, fills }
    }

    /// The source's next pull.
    pub(crate) fn pull(&self, fill: impl FnOnce(&mut Intake) + Send + 'static) {
        self.fill(|intake| {
            fill(intake);
            Pulled::More
        });
    }

    pub(crate) fn fill(&self, fill: impl FnOnce(&mut Intake) -> Pulled + Send + 'static) {
        assert!(self.fills.send(Box::new(fill)).is_ok());
    }

    /// One pull for each of these numbers.
    pub(crate) fn give(&self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.pull(move |intake| intake.value(Value::from(number), None));
        }
    }

    pub(crate) async fn drain(&self) {
        drain(self.sinks.iter().chain([&self.source])).await;
    }

    pub(crate) async fn stop(&self) {
        for handle in self.sinks.iter().chain([&self.source]) {
            within(handle.stop()).await;
        }
    }
}

pub(crate) async fn drain(handles: impl Iterator<Item = &Handle>) {
    within(futures_util::future::join_all(handles.map(Handle::drain))).await;
}

/// A connection that only gives.
pub(crate) fn source(source: impl Source + 'static) -> Connected {
    let origin = Arc::new(OriginUri::default());
    Connected::Halves { source: Some((Box::new(source), origin)), sink: None }
}

/// Puts a source and the sinks behind it to work, each linked as often as it has pipelines.
pub(crate) async fn run(
    (definition, attempts): (Definition, Attempts),
    port: &str,
    links: Vec<(Half, Vec<Pipeline>)>,
) -> (Handle, Vec<Handle>) {
    let (board, ids) = (Arc::<DrainBoard>::default(), Arc::<IdGenerator>::default());
    let mut source = instance(&definition, attempts, &board, &ids);
    let mut sinks = Vec::new();
    for (half, pipelines) in links {
        let mut sink = sink_instance(half, &board, &ids);
        for pipeline in pipelines {
            link(&mut source, port, pipeline, &mut sink, &board);
        }
        sinks.push(sink.spawn());
    }
    let source = source.spawn();
    for handle in sinks.iter().chain([&source]) {
        within(handle.start()).await.unwrap();
    }
    (source, sinks)
}

fn sink_instance(half: Half, board: &Arc<DrainBoard>, ids: &Arc<IdGenerator>) -> Instance {
    let (kind, attempts) = match half {
        Half::Made(kind, attempts) => (kind, attempts),
        Half::Queued(sink) => {
            let kind = if matches!(sink, Sink::Bytes(_)) { "bytes" } else { "halves" };
            let mut sink = Some(sink);
            let attempts: Attempts = Box::new(move |_| {
                let sink = sink.take();
                Box::pin(async move {
                    match sink {
                        Some(sink) => Ok(Connected::Halves { source: None, sink: Some(sink) }),
                        None => refused(),
                    }
                })
            });
            (kind, attempts)
        }
    };
    instance(&definition(kind, SOON_AGAIN), attempts, board, ids)
}

fn link(source: &mut Instance, port: &str, pipeline: Pipeline, sink: &mut Instance, board: &Arc<DrainBoard>) {
    let (id, gate) = source.source().unwrap();
    let deliver = sink.link_input().unwrap();
    let shared = sink.sink().unwrap();
    shared.add_upstream(gate);
    board.expect(id, shared.id);
    source.link_output(port, Arc::new(Way { deliver, pipeline }));
}

/// A link.
#[derive(Clone)]
struct Way {
    deliver: Arc<dyn Deliver>,
    pipeline: Pipeline,
}

impl OpenRoute for Way {
    fn open(&self) -> Box<dyn Route> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Route for Way {
    fn send(&mut self, batch: EventBatch) -> Handed<'_> {
        Handed::later(async move {
            if !self.pipeline.takes.is_zero() {
                sleep(self.pipeline.takes).await;
            }
            self.deliver.deliver(0, (self.pipeline.change)(batch)).await;
        })
    }

    async fn signal(&mut self, signal: Signal) {
        self.deliver.signal(signal).await;
    }
}

/// Lets those events pass that `keep` says; the others are handled by that.
pub(crate) fn filter(batch: EventBatch, keep: impl Fn(u64) -> bool) -> EventBatch {
    let (events, dropped): (Vec<_>, Vec<_>) = batch.events.into_iter().partition(|event| keep(number(event)));
    settle_all(dropped.into_iter().filter_map(|event| event.receipt), Outcome::Discarded);
    EventBatch { events, bytes: batch.bytes }
}

pub(crate) fn number(event: &Event) -> u64 {
    event.payload.value().as_u64().unwrap()
}

/// A sink that does what a closure says.
pub(crate) struct Act<F>(pub(crate) F);

#[async_trait]
impl<F: FnMut(Event) -> Result<(), SinkError> + Send> EventSink for Act<F> {
    async fn event(&mut self, event: Event) -> Result<(), SinkError> {
        (self.0)(event)
    }
}

/// A sink of events that does what a closure says.
pub(crate) fn act(act: impl FnMut(Event) -> Result<(), SinkError> + Send + 'static) -> Half {
    Sink::Events(Box::new(Act(act))).into()
}

/// A sink that takes everything.
pub(crate) fn takes_all() -> Half {
    act(|_| Ok(()))
}

/// Hands its events and its control to the test, which settles them.
pub(crate) struct Handing {
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) control: mpsc::UnboundedSender<SinkControl>,
    /// Events since the last flush, noted at every flush.
    pub(crate) flushes: mpsc::UnboundedSender<usize>,
    pub(crate) unflushed: usize,
}

#[async_trait]
impl EventSink for Handing {
    fn begin(&mut self, control: SinkControl) {
        self.control.send(control).ok();
    }

    fn settles(&self) -> bool {
        true
    }

    async fn event(&mut self, event: Event) -> Result<(), SinkError> {
        self.unflushed += 1;
        self.events.send(event).ok();
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SinkError> {
        self.flushes.send(std::mem::take(&mut self.unflushed)).ok();
        Ok(())
    }
}
