//! A source that listens, linked to sinks, with a ledger of what it was told.

use crate::fake::{Attempts, definition, instance, within};
use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::sync::{Notify, mpsc};
use tremor_connector::{
    Connected, Definition, Deliver, DrainBoard, EventSink, Handle, Instance, Intake, OpenRoute, Pulled,
    Route, Sink, SinkControl, SinkError, Source, SourceError,
};
use tremor_event::{
    Event, EventBatch, IdGenerator, Listener, OriginUri, Outcome, Settlement, Signal, settle_all,
};

pub(crate) const FOR_EVER: &str = r#"{"retry": {"interval_ms": 500, "randomized": false}}"#;

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
    fills: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Fill>>>,
    ledger: Option<Arc<Ledger>>,
}

#[async_trait]
impl Source for Filled {
    fn listener(&self) -> Option<Arc<dyn Listener>> {
        self.ledger.clone().map(|ledger| ledger as Arc<dyn Listener>)
    }

    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        match self.fills.lock().await.recv().await {
            Some(fill) => Ok(fill(intake)),
            None => std::future::pending().await,
        }
    }
}

/// A sink half that a test made.
pub(crate) enum Half {
    Queued(Sink),
    /// Attempts of a kind whose connections write for themselves.
    Connections(&'static str, Attempts),
}

impl From<Sink> for Half {
    fn from(sink: Sink) -> Self {
        Self::Queued(sink)
    }
}

/// A source and the sinks behind it.
pub(crate) struct Flow {
    pub(crate) source: Handle,
    pub(crate) sinks: Vec<Handle>,
    pub(crate) ledger: Arc<Ledger>,
    fills: mpsc::UnboundedSender<Fill>,
}

/// How a flow is made.
pub(crate) struct Plan {
    pub(crate) source: Definition,
    pub(crate) listens: bool,
    /// The port that the sinks are linked to.
    pub(crate) port: &'static str,
    /// Which events go on to the sinks, and how.
    pub(crate) pipeline: fn(EventBatch) -> EventBatch,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            source: definition("halves", r#""none""#),
            listens: true,
            port: "out",
            pipeline: |batch| batch,
        }
    }
}

impl Flow {
    pub(crate) async fn to(sinks: impl IntoIterator<Item = Half>) -> Self {
        Self::planned(Plan::default(), sinks).await
    }

    pub(crate) async fn planned(plan: Plan, sinks: impl IntoIterator<Item = Half>) -> Self {
        let (board, ids) = (Arc::<DrainBoard>::default(), Arc::<IdGenerator>::default());
        let (ledger, (fills, filled)) = (Arc::<Ledger>::default(), mpsc::unbounded_channel());
        let (filled, listener) =
            (Arc::new(tokio::sync::Mutex::new(filled)), plan.listens.then(|| ledger.clone()));
        let attempts: Attempts = Box::new(move |_| {
            let source = Filled { fills: filled.clone(), ledger: listener.clone() };
            let source: Box<dyn Source> = Box::new(source);
            Box::pin(async {
                Ok(Connected::Halves { source: Some((source, Arc::new(OriginUri::default()))), sink: None })
            })
        });
        let mut source = instance(&plan.source, attempts, &board, &ids);
        let mut handles = Vec::new();
        for half in sinks {
            let mut sink = sink_instance(half, &board, &ids);
            link(&mut source, plan.port, plan.pipeline, &mut sink, &board);
            handles.push(sink.spawn());
        }
        let flow = Self { source: source.spawn(), sinks: handles, ledger, fills };
        for handle in flow.sinks.iter().chain([&flow.source]) {
            within(handle.start()).await.unwrap();
        }
        flow
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
            self.pull(move |intake| intake.value(tremor_value::Value::from(number), None));
        }
    }

    pub(crate) async fn drain(&self) {
        let drains = self.sinks.iter().chain([&self.source]).map(Handle::drain);
        within(futures_util::future::join_all(drains)).await;
    }

    pub(crate) async fn stop(&self) {
        for handle in self.sinks.iter().chain([&self.source]) {
            within(handle.stop()).await;
        }
    }
}

fn sink_instance(half: Half, board: &Arc<DrainBoard>, ids: &Arc<IdGenerator>) -> Instance {
    match half {
        Half::Queued(sink) => {
            let kind = if matches!(sink, Sink::Bytes(_)) { "bytes" } else { "halves" };
            let mut sink = Some(sink);
            let attempts: Attempts = Box::new(move |_| {
                let sink = sink.take();
                Box::pin(async move {
                    match sink {
                        Some(sink) => Ok(Connected::Halves { source: None, sink: Some(sink) }),
                        None => crate::fake::refused(),
                    }
                })
            });
            instance(&definition(kind, FOR_EVER), attempts, board, ids)
        }
        Half::Connections(kind, attempts) => instance(&definition(kind, FOR_EVER), attempts, board, ids),
    }
}

fn link(
    source: &mut Instance,
    port: &str,
    pipeline: fn(EventBatch) -> EventBatch,
    sink: &mut Instance,
    board: &Arc<DrainBoard>,
) {
    let (id, gate) = source.source().unwrap();
    let deliver = sink.link_input().unwrap();
    let shared = sink.sink().unwrap();
    shared.add_upstream(gate);
    board.expect(id, shared.id);
    source.link_output(port, Arc::new(Way { deliver, pipeline }));
}

/// A link that changes what passes.
#[derive(Clone)]
struct Way {
    deliver: Arc<dyn Deliver>,
    pipeline: fn(EventBatch) -> EventBatch,
}

impl OpenRoute for Way {
    fn open(&self) -> Box<dyn Route> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Route for Way {
    async fn send(&mut self, batch: EventBatch) {
        self.deliver.deliver(0, (self.pipeline)(batch)).await;
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
