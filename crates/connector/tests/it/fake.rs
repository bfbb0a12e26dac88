//! Kinds that do what a test says.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};
use tremor_connector::{
    Addressing, Built, CodecUse, ConnectError, Connected, Connector, Definition, Deliver, Dials, DrainBoard,
    Environment, EventSink, ExitSwitch, Gate, Handed, Handle, Instance, Intake, OnDrain, OpenRoute, Pulled,
    Registry, Route, SendQueue, Sink, SinkError, SinkUse, Source, SourceError, Spec, State, WhenFull,
    config::{ConfigError, Reader},
};
use tremor_event::{Breaker, Event, EventBatch, EventId, IdGenerator, OriginUri, Signal};
use tremor_value::{Meta, Value};

/// The sink that stands behind the connector.
pub(crate) const BEHIND: u64 = 1_000_001;
/// The source that stands in front of it.
pub(crate) const BEFORE: u64 = 1_000_002;

/// Long enough for a busy machine; only a failing test waits for it. Much more than any wait of a reconnect, for
/// tests whose time is not the clock's.
const PATIENCE: Duration = Duration::from_secs(100_000);

pub(crate) async fn within<T>(waiting: impl Future<Output = T>) -> T {
    timeout(PATIENCE, waiting).await.expect("it takes too long")
}

/// Makes attempt number n, counted from 1.
pub(crate) type Attempts = Box<dyn FnMut(u64) -> BoxFuture<'static, Result<Connected, ConnectError>> + Send>;

/// What the instances that are about to be built do, by alias: a kind's `build` is a plain function.
static ATTEMPTS: Mutex<BTreeMap<String, Attempts>> = Mutex::new(BTreeMap::new());
static NEXT_ALIAS: AtomicU64 = AtomicU64::new(0);

struct Fake {
    attempts: Attempts,
    made: u64,
}

#[async_trait]
impl Connector for Fake {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        self.made += 1;
        (self.attempts)(self.made).await
    }
}

fn build(config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    config.finish()?;
    let attempts = ATTEMPTS.lock().unwrap().remove(&environment.alias).unwrap();
    Ok(Built::new(Fake { attempts, made: 0 }))
}

fn build_many(config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    let send_queue = SendQueue { messages: 4, when_full: WhenFull::Close, ..SendQueue::default() };
    Ok(Built { send_queue, ..build(config, environment)? })
}

/// Both halves, of values.
const HALVES: Spec = Spec {
    name: "halves",
    summary: "",
    fields: &[],
    below: &[],
    needs_config: false,
    codec: CodecUse::Structured,
    is_source: true,
    sink: SinkUse::Queued,
    inputs: &["in"],
    input_aliases: &[],
    is_debug: false,
    build,
};

/// A sink half of bytes.
const BYTES: Spec = Spec { name: "bytes", codec: CodecUse::Default("picky"), ..HALVES };

/// Many connections.
const MANY: Spec = Spec {
    name: "many",
    codec: CodecUse::Default("picky"),
    sink: SinkUse::Connections(Addressing::Many { kind: "many" }),
    build: build_many,
    ..HALVES
};

/// One connection.
const SINGLE: Spec = Spec {
    name: "single",
    codec: CodecUse::Default("json"),
    sink: SinkUse::Connections(Addressing::Single),
    ..HALVES
};

/// A definition that says nothing but this.
pub(crate) fn definition(kind: &str, reconnect: &str) -> Definition {
    let reconnect = Some(Value::from_json_str(reconnect).unwrap());
    Definition { kind: kind.to_owned(), reconnect, ..Definition::default() }
}

/// An instance of one of the kinds, for a flow with that board and those ids.
pub(crate) fn instance(
    definition: &Definition,
    attempts: Attempts,
    board: &Arc<DrainBoard>,
    ids: &Arc<IdGenerator>,
) -> Instance {
    let alias = format!("flow::{}", NEXT_ALIAS.fetch_add(1, Ordering::Relaxed));
    ATTEMPTS.lock().unwrap().insert(alias.clone(), attempts);
    let (exit, _exits) = ExitSwitch::new();
    let (ids, dials) = (ids.clone(), Dials::default());
    let metrics = tremor_connector::metrics::Metrics::default();
    let environment =
        Environment { alias, hostname: "here".into(), ids, exit, dials, metrics, is_measured: false };
    let registry = Registry::new(&[HALVES, BYTES, MANY, SINGLE], false);
    let mut codecs = tremor_codec::Registry::standard();
    codecs.add_codec(&crate::picky::SPEC);
    Instance::create(definition, &environment, &registry, &codecs, board).unwrap()
}

/// What came out of the connector.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Event(&'static str, String),
    Drained(&'static str),
}

/// A connector of a made-up kind between a source that the test plays and a sink that records.
pub(crate) struct Subject {
    pub(crate) handle: Handle,
    pub(crate) seen: mpsc::UnboundedReceiver<Seen>,
    pub(crate) into: Arc<dyn Deliver>,
    /// The gate of the source in front of it.
    pub(crate) before: Arc<Gate>,
}

impl Subject {
    pub(crate) fn halves(reconnect: &str, attempts: Attempts) -> Self {
        Self::new("halves", reconnect, attempts, true)
    }

    pub(crate) fn single(reconnect: &str, attempts: Attempts) -> Self {
        Self::new("single", reconnect, attempts, true)
    }

    pub(crate) fn new(kind: &str, reconnect: &str, attempts: Attempts, is_read: bool) -> Self {
        let board = Arc::new(DrainBoard::default());
        let mut instance = instance(&definition(kind, reconnect), attempts, &board, &Arc::default());
        let (record, seen) = mpsc::unbounded_channel();
        let (source, gate) = instance.source().unwrap();
        if is_read {
            for port in ["out", "err"] {
                let route = Recorder { port, record: record.clone(), board: board.clone() };
                instance.link_output(port, Arc::new(route));
                board.expect(source, BEHIND);
            }
            gate.add(BEHIND);
            gate.open(BEHIND);
        }
        let into = instance.link_input().unwrap();
        let before = Arc::new(Gate::default());
        let sink = instance.sink().unwrap();
        sink.add_upstream(before.clone());
        board.expect(BEFORE, sink.id);
        Self { handle: instance.spawn(), seen, into, before }
    }

    pub(crate) async fn give(&self, numbers: std::ops::Range<u64>) {
        let events = numbers.map(event).collect();
        self.into.deliver(0, EventBatch { events, bytes: 1 }).await;
    }

    pub(crate) async fn front_is_done(&self) {
        self.into.signal(Signal::Drain { source: BEFORE }).await;
    }

    pub(crate) async fn next(&mut self) -> Seen {
        within(self.seen.recv()).await.unwrap()
    }

    pub(crate) async fn reaches(&self, state: State) {
        within(self.handle.watch().wait_for(|status| status.state == state)).await.unwrap();
    }

    pub(crate) async fn is_connected(&self, connected: bool) {
        within(self.handle.watch().wait_for(|status| status.connected == connected)).await.unwrap();
    }
}

pub(crate) fn event(number: u64) -> Event {
    Event {
        id: EventId::new(BEFORE, 0, number, number),
        payload: Value::from(number).into(),
        meta: Meta::record(),
        ingest_ns: 1,
        origin: None,
        is_batch: false,
        receipt: None,
    }
}

struct Recorder {
    port: &'static str,
    record: mpsc::UnboundedSender<Seen>,
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
            self.record.send(Seen::Event(self.port, event.payload.value().to_string())).ok();
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

/// What a scripted source gives next.
pub(crate) enum Step {
    Give(u64),
    Finish,
    Lose,
    Panic,
}

/// Gives what the test sends it; waits while that is nothing.
pub(crate) struct Scripted(pub(crate) Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Step>>>);

#[async_trait]
impl Source for Scripted {
    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        let step = self.0.lock().await.recv().await;
        match step {
            Some(Step::Give(number)) => intake.value(Value::from(number), None),
            Some(Step::Finish) => return Ok(Pulled::Finished),
            Some(Step::Lose) => {
                return Err(SourceError::Lost { cause: "the test says so".to_owned(), clean: true });
            }
            Some(Step::Panic) => panic!("the test says so"),
            None => std::future::pending().await,
        }
        Ok(Pulled::More)
    }
}

/// As [`Scripted`], and reads on when the flow drains, as a file does.
struct ReadingOn(Scripted);

#[async_trait]
impl Source for ReadingOn {
    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        self.0.pull(intake).await
    }

    fn on_drain(&self) -> OnDrain {
        OnDrain::ReadToEnd
    }
}

/// Notes what it gets; panics at 13 and loses its connection at 666.
pub(crate) struct Noting(pub(crate) mpsc::UnboundedSender<u64>);

#[async_trait]
impl EventSink for Noting {
    async fn event(&mut self, event: Event) -> Result<(), SinkError> {
        let number = event.payload.value().as_u64().unwrap();
        match number {
            13 => panic!("the test says so"),
            666 => Err(SinkError::Lost("the test says so".to_owned())),
            _ => {
                self.0.send(number).ok();
                Ok(())
            }
        }
    }
}

pub(crate) fn refused() -> Result<Connected, ConnectError> {
    Err(ConnectError::Failed("cannot connect to nowhere: nobody is there".to_owned()))
}

/// The two halves of a connection, and the ends that the test holds.
pub(crate) struct Ends {
    pub(crate) steps: mpsc::UnboundedSender<Step>,
    pub(crate) noted: mpsc::UnboundedReceiver<u64>,
    steps_out: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Step>>>,
    notes: mpsc::UnboundedSender<u64>,
}

impl Ends {
    pub(crate) fn new() -> Self {
        let (steps, steps_out) = mpsc::unbounded_channel();
        let (notes, noted) = mpsc::unbounded_channel();
        Self { steps, noted, steps_out: Arc::new(tokio::sync::Mutex::new(steps_out)), notes }
    }

    /// An attempt that succeeds; all connections share the same ends.
    pub(crate) fn connected(&self) -> impl Fn() -> Connected + Send + use<> {
        let (steps, notes) = (self.steps_out.clone(), self.notes.clone());
        move || Connected::Halves {
            source: Some((Box::new(Scripted(steps.clone())), Arc::new(OriginUri::default()))),
            sink: Some(Sink::Events(Box::new(Noting(notes.clone())))),
        }
    }

    /// Attempts that all give a source that reads on when the flow drains.
    pub(crate) fn reading_on(&self) -> Attempts {
        let steps = self.steps_out.clone();
        Box::new(move |_| {
            let source: Box<dyn Source> = Box::new(ReadingOn(Scripted(steps.clone())));
            let connected = Connected::Halves { source: Some((source, Arc::default())), sink: None };
            Box::pin(async { Ok(connected) })
        })
    }

    /// Attempts that all succeed.
    pub(crate) fn always(&self) -> Attempts {
        let connected = self.connected();
        Box::new(move |_| {
            let connected = connected();
            Box::pin(async { Ok(connected) })
        })
    }
}
