//! One connector with recording neighbours.

use crate::documented;
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};
use tremor_connector::{
    Definition, DefinitionError, Deliver, Dials, DrainBoard, Environment, ExitRequest, ExitSwitch, Gate,
    Handed, Handle, Instance, OpenRoute, Route,
};
use tremor_event::{Breaker, Event, EventBatch, EventId, IdGenerator, Signal};
use tremor_value::Value;

/// The sink that stands behind the connector.
const BEHIND: u64 = 1_000_001;
/// The source that stands in front of it.
pub(crate) const BEFORE: u64 = 1_000_002;
/// An event that what is behind the connector panics at.
pub(crate) const PANICS: &str = "panic";

/// Long enough for a busy machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(150);

pub(crate) async fn within<T>(waiting: impl Future<Output = T>) -> T {
    timeout(PATIENCE, waiting).await.expect("it takes too long")
}

/// Does something that takes no time where time is paused, over real sockets: until it is done the clock does not move on by
/// itself, as it otherwise does as soon as the system is slow to carry bytes from one socket to the other.
pub(crate) async fn at_once<T>(work: impl Future<Output = T>) -> T {
    let (done, waits) = std::sync::mpsc::channel::<()>();
    // Time stands still while such a thread is at work.
    let held = tokio::task::spawn_blocking(move || waits.recv_timeout(PATIENCE));
    let result = work.await;
    drop(done);
    held.await.unwrap().ok();
    result
}

/// Time that moves only when the test moves it, however long that waits for sockets.
pub(crate) struct Clock {
    /// As long as somebody works on a thread of its own, paused time does not move by itself.
    _holds: std::sync::mpsc::Sender<()>,
}

impl Clock {
    /// Stops the time of the runtime, which has one thread.
    pub(crate) fn stop() -> Self {
        tokio::time::pause();
        let (holds, held) = std::sync::mpsc::channel();
        // A test that hangs gets its time back, and so its end.
        tokio::task::spawn_blocking(move || held.recv_timeout(PATIENCE).is_err());
        Self { _holds: holds }
    }

    pub(crate) async fn advance(&self, ms: u64) {
        tokio::time::advance(Duration::from_millis(ms)).await;
    }
}

pub(crate) fn json(text: &str) -> Value {
    Value::from_json_str(text).unwrap()
}

/// A definition from JSON texts; an empty one stands for nothing.
pub(crate) fn definition(kind: &str, config: &str, codec: &str, preprocessors: &str) -> Definition {
    let parameter = |text: &str| (!text.is_empty()).then(|| json(text));
    Definition {
        kind: kind.to_owned(),
        config: parameter(config),
        codec: parameter(codec),
        preprocessors: parameter(preprocessors),
        ..Definition::default()
    }
}

/// What came out of the connector.
#[derive(Debug)]
pub(crate) enum Seen {
    Event(&'static str, Event),
    Drained(&'static str),
}

/// A connector at work between a source that the test plays and a sink that records.
pub(crate) struct Subject {
    /// What was published since it was made.
    pub(crate) metrics: tremor_connector::metrics::MetricsReader,
    pub(crate) handle: Handle,
    pub(crate) exits: UnboundedReceiver<ExitRequest>,
    seen: UnboundedReceiver<Seen>,
    gate: Option<Arc<Gate>>,
    /// The source in front may read while this is open.
    pub(crate) front: Arc<Gate>,
    into: Option<Arc<dyn Deliver>>,
    next_event: u64,
}

/// What the connector is linked to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    Fully,
    /// Port `control` too.
    WithControl,
    /// These output ports too.
    With(&'static [&'static str]),
    /// Nothing takes what it gives.
    InputOnly,
}

/// What surrounds a connector that connects by way of `dials`, and its requests to end the process.
pub(crate) fn environment(dials: Dials) -> (Environment, UnboundedReceiver<ExitRequest>) {
    let (exit, exits) = ExitSwitch::new();
    let environment = Environment {
        alias: "flow::subject".to_owned(),
        hostname: "here".into(),
        ids: Arc::new(IdGenerator::default()),
        exit,
        dials,
        metrics: tremor_connector::metrics::Metrics::default(),
        is_measured: false,
    };
    (environment, exits)
}

impl Subject {
    /// Makes and links the connector.
    pub(crate) fn new(definition: &Definition, linked: Linked) -> Result<Self, DefinitionError> {
        Self::sharing(definition, linked, Dials::default())
    }

    /// The same, where others may connect to the same servers.
    pub(crate) fn sharing(
        definition: &Definition,
        linked: Linked,
        dials: Dials,
    ) -> Result<Self, DefinitionError> {
        let (environment, exits) = environment(dials);
        let metrics = environment.metrics.subscribe();
        let board = Arc::new(DrainBoard::default());
        let registry = tremor_connectors::registry(true);
        let codecs = tremor_codec::Registry::standard();
        let mut instance = Instance::create(definition, &environment, &registry, &codecs, &board)?;
        let (record, seen) = unbounded_channel();
        let mut gate = None;
        if let Some((source, own_gate)) = instance.source().filter(|_| linked != Linked::InputOnly) {
            let more: &[&'static str] = match linked {
                Linked::WithControl => &["control"],
                Linked::With(exits) => exits,
                Linked::Fully | Linked::InputOnly => &[],
            };
            for port in ["out", "err"].into_iter().chain(more.iter().copied()) {
                let route = Recorder { port, record: record.clone(), board: board.clone() };
                instance.link_output(port, Arc::new(route));
                board.expect(source, BEHIND);
            }
            own_gate.add(BEHIND);
            gate = Some(own_gate);
        }
        let into = instance.link_input();
        let front = Arc::new(Gate::default());
        if let Some(sink) = instance.sink() {
            sink.add_upstream(front.clone());
            board.expect(BEFORE, sink.id);
        }
        Ok(Self { metrics, handle: instance.spawn(), exits, seen, gate, front, into, next_event: 0 })
    }

    /// The same, started, with the sink behind it ready.
    pub(crate) async fn started(definition: &Definition) -> Self {
        Self::started_with(definition, Linked::Fully).await
    }

    pub(crate) async fn started_with(definition: &Definition, linked: Linked) -> Self {
        let subject = Self::new(definition, linked).unwrap();
        within(subject.handle.start()).await.unwrap();
        subject.open();
        subject
    }

    /// The sink behind the connector is ready from now on.
    pub(crate) fn open(&self) {
        self.gate.iter().for_each(|gate| gate.open(BEHIND));
    }

    /// The sink behind the connector is not ready any more.
    pub(crate) fn shut(&self) {
        self.gate.iter().for_each(|gate| gate.close(BEHIND));
    }

    /// The sink behind the connector has failed for good.
    pub(crate) fn lose(&self) {
        self.gate.iter().for_each(|gate| gate.lose(BEHIND));
    }

    /// Waits until so many events have failed since it was made, and no more.
    pub(crate) async fn until_failed(&self, count: u64) {
        within(async {
            while self.handle.taken().failed < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(self.handle.taken().failed, count);
    }

    /// Hands the connector `value` on input port number `port`.
    pub(crate) async fn give_to(&mut self, port: usize, value: Value) {
        let event = self.event(value);
        self.deliver(port, event).await;
    }

    /// The next event for the connector.
    pub(crate) fn event(&mut self, value: Value) -> Event {
        let id = EventId::new(BEFORE, 0, self.next_event, self.next_event);
        self.next_event += 1;
        Event {
            id,
            payload: value.into(),
            meta: json(r#"{"kept": true}"#).into(),
            ingest_ns: 42,
            origin: None,
            is_batch: false,
            receipt: None,
        }
    }

    pub(crate) async fn give(&mut self, text: &str) {
        self.give_to(0, json(text)).await;
    }

    pub(crate) async fn deliver(&self, port: usize, event: Event) {
        self.into.as_ref().unwrap().deliver(port, event.into()).await;
    }

    /// The way into the connector, to use from another task.
    pub(crate) fn way_in(&self) -> Arc<dyn Deliver> {
        self.into.clone().unwrap()
    }

    /// The source in front of it is done.
    pub(crate) async fn front_is_done(&self) {
        self.into.as_ref().unwrap().signal(Signal::Drain { source: BEFORE }).await;
    }

    /// What comes out next.
    pub(crate) async fn next(&mut self) -> Seen {
        within(self.take()).await.expect("the connector has ended")
    }

    /// What comes out next, however long that takes; `None` once the connector has ended.
    pub(crate) async fn take(&mut self) -> Option<Seen> {
        let seen = self.seen.recv().await;
        if let Some(Seen::Event("control", event)) = &seen {
            documented::assert_told(event.payload.value());
        }
        seen
    }

    /// The next event, which has to come on `out`.
    pub(crate) async fn next_event(&mut self) -> Event {
        match self.next().await {
            Seen::Event("out", event) => event,
            other => panic!("not an event on `out`: {other:?}"),
        }
    }

    /// The next event, which has to come on `control`.
    pub(crate) async fn next_told(&mut self) -> Event {
        match self.next().await {
            Seen::Event("control", event) => event,
            other => panic!("not an event on `control`: {other:?}"),
        }
    }

    /// What the next event on `out` carries, as JSON.
    pub(crate) async fn next_value(&mut self) -> String {
        self.next_event().await.payload.value().to_string()
    }

    /// The source half has said on both ports that it is done, and nothing else.
    pub(crate) async fn expect_done(&mut self) {
        for port in ["err", "out"] {
            match self.next().await {
                Seen::Drained(drained) => assert_eq!(drained, port),
                other => panic!("more came: {other:?}"),
            }
        }
    }

    /// What has come out, if anything has.
    pub(crate) fn poll(&mut self) -> Option<Seen> {
        self.seen.try_recv().ok()
    }

    /// Whether nothing has come out that was not looked at.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.seen.try_recv().is_err()
    }

    /// Waits until `count` elements are with the system.
    pub(crate) async fn written(&self, count: u64) {
        within(async {
            while self.handle.taken().written < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

struct Recorder {
    port: &'static str,
    record: UnboundedSender<Seen>,
    board: Arc<DrainBoard>,
}

impl OpenRoute for Recorder {
    fn open(&self) -> Box<dyn Route> {
        Box::new(Self { port: self.port, record: self.record.clone(), board: self.board.clone() })
    }
}

#[async_trait]
impl Route for Recorder {
    fn send(&mut self, batch: EventBatch) -> Handed<'_> {
        for event in batch.events {
            assert_ne!(event.payload.value().as_str(), Some(PANICS));
            // The test may have seen enough.
            self.record.send(Seen::Event(self.port, event)).ok();
        }
        Handed::done()
    }

    async fn signal(&mut self, signal: Signal) {
        if let Signal::Drain { source } = signal {
            self.record.send(Seen::Drained(self.port)).ok();
            self.board.arrived(source, BEHIND);
        }
    }
}
