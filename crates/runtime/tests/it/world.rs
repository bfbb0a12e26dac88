//! A runtime with kinds that a test can look into.

use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc::UnboundedReceiver, time::timeout};
use tremor_connector::{
    Built, CodecUse, ConnectError, Connected, Connector, Environment, EventSink, ExitRequest, ExitSwitch,
    Intake, Pulled, Registry, Sink, SinkError, SinkUse, Source, SourceError, Spec,
    config::{ConfigError, Reader},
};
use tremor_event::{Event, OriginUri};
use tremor_lang::Host;
use tremor_runtime::{Failure, Parts, Plan, Runtime};
use tremor_value::Value;

use crate::heard::{LISTENING, SETTLING};

/// Long enough for a busy machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(150);

pub(crate) async fn within<T>(waiting: impl Future<Output = T>) -> T {
    timeout(PATIENCE, waiting).await.expect("it takes too long")
}

/// A host whose time stands still unless a test moves it.
#[derive(Default)]
struct TestHost {
    now_ns: AtomicU64,
}

impl Host for TestHost {
    fn now_ns(&self) -> u64 {
        self.now_ns.load(Ordering::Relaxed)
    }

    fn hostname(&self) -> &str {
        "here"
    }

    fn instance(&self) -> &str {
        "test"
    }
}

/// What every sink of kind `collect` got, by the word in its configuration.
static COLLECTED: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Gives `count` numbers, then is finished; with `{"endless": true}` it just waits. Panics behind number `panic`.
pub(crate) const NUMBERS: Spec = Spec {
    name: "numbers",
    summary: "",
    fields: &[],
    below: &[],
    needs_config: true,
    codec: CodecUse::Structured,
    is_source: true,
    sink: SinkUse::None,
    inputs: &[],
    input_aliases: &[],
    is_debug: false,
    build: |mut config, _| {
        let numbers = Numbers {
            next: 0,
            count: config.required("count")?,
            endless: config.or("endless", false)?,
            panic: config.optional("panic")?,
        };
        config.finish()?;
        Ok(Built {
            is_sink: false,
            ..Built::new(Made(Some(Connected::Halves {
                source: Some((Box::new(numbers), Arc::new(OriginUri::default()))),
                sink: None,
            })))
        })
    },
};

/// Notes what it gets under `name`. With `stuck` it never returns from one; with `fails` it never connects.
pub(crate) const COLLECT: Spec = Spec {
    name: "collect",
    is_source: false,
    sink: SinkUse::Queued,
    inputs: &["in"],
    build: collect,
    ..NUMBERS
};

fn collect(mut config: Reader<'_>, _: &Environment) -> Result<Built, ConfigError> {
    let sink = Collect { name: config.required("name")?, stuck: config.or("stuck", false)? };
    let fails = config.or("fails", false)?;
    config.finish()?;
    let connected = Connected::Halves { source: None, sink: Some(Sink::Events(Box::new(sink))) };
    Ok(Built { is_source: false, ..Built::new(Made((!fails).then_some(connected))) })
}

pub(crate) struct Made(pub(crate) Option<Connected>);

// A connection is handed over once, and only one task ever has this.
#[async_trait]
impl Connector for Made {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        self.0.take().ok_or_else(|| ConnectError::Failed("the test says so".to_owned()))
    }
}

struct Numbers {
    next: u64,
    count: u64,
    endless: bool,
    panic: Option<u64>,
}

#[async_trait]
impl Source for Numbers {
    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        if self.next == self.count {
            if self.endless {
                std::future::pending::<()>().await;
            }
            return Ok(Pulled::Finished);
        }
        for _ in 0..10.min(self.count - self.next) {
            assert_ne!(Some(self.next), self.panic, "the test says so");
            intake.value(Value::from(self.next), None);
            self.next += 1;
        }
        Ok(Pulled::More)
    }
}

struct Collect {
    name: String,
    stuck: bool,
}

#[async_trait]
impl EventSink for Collect {
    async fn event(&mut self, event: Event) -> Result<(), SinkError> {
        note(&self.name, event.payload.value().to_string());
        if self.stuck {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// The sink called `name` has got this.
pub(crate) fn note(name: &str, text: String) {
    COLLECTED.lock().unwrap().entry(name.to_owned()).or_default().push(text);
}

/// What the sink called `name` has got.
pub(crate) fn collected(name: &str) -> Vec<String> {
    COLLECTED.lock().unwrap().get(name).cloned().unwrap_or_default()
}

/// A name that no other test uses.
pub(crate) fn fresh() -> String {
    format!("sink{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) struct World {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) failures: UnboundedReceiver<Failure>,
    _exits: UnboundedReceiver<ExitRequest>,
    host: Arc<TestHost>,
    parts: Parts,
}

impl World {
    pub(crate) fn new() -> Self {
        let (exit, exits) = ExitSwitch::new();
        let (runtime, failures) = Runtime::new();
        let host = Arc::<TestHost>::default();
        let specs: Vec<Spec> =
            tremor_connectors::ALL.iter().copied().chain([NUMBERS, COLLECT, LISTENING, SETTLING]).collect();
        let parts = Parts {
            connectors: Registry::new(&specs, false),
            codecs: tremor_codec::Registry::standard(),
            ids: Arc::default(),
            hostname: "here".into(),
            host: host.clone(),
            exit,
        };
        Self { runtime, failures, _exits: exits, host, parts }
    }

    /// The flows of `text`, or what is wrong with them.
    pub(crate) fn plan(&self, text: &str) -> Result<Vec<Plan>, String> {
        let compiled = tremor_stdlib::compiler(None)
            .compile_deployment("test.troy", text)
            .map_err(|failure| failure.render(tremor_diagnostic::RenderOptions::default()))?;
        let flows = compiled.program.flows.iter();
        flows
            .map(|flow| {
                Plan::new(flow, &compiled.sources, &self.parts).map_err(|problems| {
                    let messages = problems.iter().map(|problem| problem.message.clone());
                    messages.collect::<Vec<_>>().join("\n")
                })
            })
            .collect()
    }

    /// Deploys the flows of `text`.
    pub(crate) fn deploy(&self, text: &str) {
        for plan in self.plan(text).unwrap_or_else(|problem| panic!("{problem}")) {
            self.runtime.deploy(plan).unwrap();
        }
    }

    /// A world with one flow called `main`, of these statements.
    pub(crate) fn with(statements: &str) -> Self {
        let world = Self::new();
        world.deploy(&flow("main", statements));
        world
    }

    /// Moves the time that flows see.
    pub(crate) fn advance(&self, ns: u64) {
        self.host.now_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Waits until `condition` holds.
    pub(crate) async fn until(&self, mut condition: impl FnMut(&Runtime) -> bool) {
        within(async {
            while !condition(&self.runtime) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    /// Waits until the sink called `name` has got so many events.
    pub(crate) async fn collects(&self, name: &str, count: usize) -> Vec<String> {
        self.until(|_| collected(name).len() >= count).await;
        collected(name)
    }

    /// Ends the flows gracefully; they must not need their whole time.
    pub(crate) async fn end(&self) {
        let end = timeout(Duration::from_secs(4), self.runtime.shut_down(true)).await;
        end.expect("the drain hangs").unwrap();
    }
}

/// A flow of these statements, deployed.
pub(crate) fn flow(alias: &str, statements: &str) -> String {
    format!("define flow {alias} flow\n  use tremor::pipelines;\n{statements}\nend;\ndeploy flow {alias};\n")
}

/// Defines and creates connector `name` of `kind`.
pub(crate) fn connector(name: &str, kind: &str, config: &str) -> String {
    let codec = if matches!(kind, "numbers" | "collect" | "listening" | "settling") {
        ""
    } else {
        "codec = \"json\", "
    };
    format!(
        "define connector {name} from {kind} with {codec}config = {config} end;\ncreate connector {name};\n"
    )
}

/// 0, 1, 2 ... as text.
pub(crate) fn numbers(count: u64) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}
