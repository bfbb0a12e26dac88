//! One connector of a flow: from its definition to a running task.

mod mistakes;

use crate::{
    Deliver, DrainBoard, Gate, Links, OpenRoute, SinkShared, WhenFull,
    config::{ConfigError, Key, nearest, ticked},
    counters::{Given, SinkTotals},
    inlet::{CONTROL, SourceShared},
    metrics::{Counted, Meter, count_input, count_output, metrics_interval},
    queued::{QueuedSink, SinkTask},
    reconnect::{Backoff, Policy},
    spec::{BackoffUse, Built, Environment, Exit, Registry, SinkUse, Spec},
    status::{Control, State, Status},
    streams::{self, Addressing, Directory, Streams},
    task::{Parts, SinkHalf, TARGET, Task},
};
use futures_util::FutureExt;
use std::{
    mem,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tremor_codec::Resolver;
use tremor_value::Value;

/// The parameters of a connector definition, as evaluated.
#[derive(Clone, Debug, Default)]
pub struct Definition {
    /// Kind that it is from.
    pub kind: String,
    /// `config`.
    pub config: Option<Value>,
    /// `codec`.
    pub codec: Option<Value>,
    /// `preprocessors`.
    pub preprocessors: Option<Value>,
    /// `postprocessors`.
    pub postprocessors: Option<Value>,
    /// `reconnect`.
    pub reconnect: Option<Value>,
    /// `metrics_interval_s`.
    pub metrics_interval_s: Option<Value>,
}

/// A definition that cannot become a connector.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct DefinitionError {
    /// What is wrong, with the connector's alias.
    pub message: String,
    /// The keys that lead to the place, the parameter's name first; empty if it is the definition itself.
    pub path: Vec<Key>,
    /// What the user can do about it, if that is more than the message says.
    pub hint: Option<String>,
}

impl DefinitionError {
    fn new(message: String) -> Self {
        Self { message, path: Vec::new(), hint: None }
    }

    /// An error about a whole parameter.
    fn of(parameter: &str, message: String) -> Self {
        Self { message, path: vec![Key::Field(parameter.into())], hint: None }
    }

    fn at(alias: &str, error: &ConfigError) -> Self {
        let (message, hint) = error.message_and_hint();
        Self { message: format!("[{alias}] Invalid definition: {message}"), path: error.path.clone(), hint }
    }
}

/// A connector that is made but does not work yet: linked while it is this.
pub struct Instance {
    alias: String,
    spec: Spec,
    built: Built,
    policy: Policy,
    source: Option<Arc<SourceShared>>,
    links: Links,
    sink: Option<SinkSide>,
    board: Arc<DrainBoard>,
    /// There if what it counts is published.
    meter: Option<Arc<Meter>>,
}

struct SinkSide {
    shared: Arc<SinkShared>,
    deliver: Arc<dyn Deliver>,
    half: SinkHalf,
    task: Option<SinkTask>,
    is_linked: bool,
}

impl Instance {
    /// Checks `definition` and makes an instance of its kind.
    ///
    /// # Errors
    /// The first mistake that [`Instance::checked`] finds.
    pub fn create(
        definition: &Definition,
        environment: &Environment,
        registry: &Registry,
        codecs: &tremor_codec::Registry,
        board: &Arc<DrainBoard>,
    ) -> Result<Self, DefinitionError> {
        let made = Self::checked(definition, environment, registry, codecs, board);
        let internal = || DefinitionError::new(format!("{} can not be made", environment.alias));
        made.map_err(|errors| errors.into_iter().next().unwrap_or_else(internal))
    }

    /// The same, with all mistakes that are independent of each other.
    ///
    /// # Errors
    /// An unknown kind, a configuration that the kind refuses, unknown codecs and processors.
    pub fn checked(
        definition: &Definition,
        environment: &Environment,
        registry: &Registry,
        codecs: &tremor_codec::Registry,
        board: &Arc<DrainBoard>,
    ) -> Result<Self, Vec<DefinitionError>> {
        let alias = environment.alias.clone();
        let Some(spec) = registry.get(&definition.kind).copied() else {
            return Err(vec![unknown_kind(&definition.kind, registry)]);
        };
        let mut errors = Vec::new();
        let policy = mistakes::reconnect(definition, &alias).map_err(|found| errors.extend(found));
        if let Ok(Policy::Retry(retry)) = &policy {
            for hazard in retry.hazards() {
                tracing::warn!(target: TARGET, "[Connector::{alias}] {hazard}");
            }
        }
        let interval = metrics_interval(definition.metrics_interval_s.as_ref()).unwrap_or_else(|error| {
            let message = format!("[{alias}] Invalid definition: {error}");
            errors.push(DefinitionError::of("metrics_interval_s", message));
            None
        });
        let coding = mistakes::coding(definition, &spec, &alias, codecs);
        let coding = coding.map_err(|found| errors.extend(found));
        let environment = &Environment { is_measured: interval.is_some(), ..environment.clone() };
        let built = mistakes::build(definition, &spec, environment);
        let built = built.map_err(|found| errors.extend(found));
        if let Ok(built) = &built
            && built.per_origin.is_some()
            && definition.reconnect.as_ref().is_some_and(|reconnect| !reconnect.is_null())
        {
            let problem = "says nothing here: with `per_origin` no connection is made again";
            let message = format!("[{alias}] Invalid definition: reconnect: {problem}");
            errors.push(DefinitionError::of("reconnect", message));
        }
        if let (Ok(coding), Ok(built)) = (&coding, &built)
            && let Some(error) = mistakes::queue(built, coding.as_ref(), &alias)
                .or_else(|| mistakes::replay(built, coding.as_ref(), &alias))
        {
            errors.push(error);
        }
        let (Ok(policy), Ok(coding), Ok(mut built), true) = (policy, coding, built, errors.is_empty()) else {
            return Err(errors);
        };
        let source_id = environment.ids.next_id();
        let source =
            built.is_source.then(|| Arc::new(SourceShared::new(source_id, alias.clone(), coding.clone())));
        let sink = built.is_sink.then(|| {
            let shared = SinkShared::new(environment.ids.next_id(), alias.clone(), board.clone());
            SinkSide::new(
                Arc::new(shared),
                &spec,
                &mut built,
                (source_id, registry.directory()),
                coding.clone(),
            )
        });
        let mut sink = sink.flatten();
        let meter = interval.map(|interval| {
            let events = Arc::new(AtomicU64::new(0));
            let sink_counters = sink.as_ref().map(|sink| (events.clone(), sink.shared.counters.clone()));
            let own = built.measures.take();
            let streams = match sink.as_ref().map(|sink| &sink.half) {
                Some(SinkHalf::Connections { streams, .. }) => Arc::downgrade(streams),
                _ => Weak::new(),
            };
            let (alias, source) = (alias.clone(), source.clone());
            let counted = Counted { alias, source, sink: sink_counters, streams, own };
            let meter = Arc::new(Meter::new(environment.metrics.clone(), interval, counted));
            if let Some(sink) = &mut sink {
                sink.deliver = count_input(sink.deliver.clone(), events, meter.clone());
            }
            meter
        });
        let (links, board) = (Links::default(), board.clone());
        Ok(Self { alias, spec, built, policy, source, links, sink, board, meter })
    }

    /// `<flow>::<connector>`.
    #[must_use]
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// The gate and the id of the source half.
    #[must_use]
    pub fn source(&self) -> Option<(u64, Arc<Gate>)> {
        self.source.as_ref().map(|source| (source.id, source.gate.clone()))
    }

    /// What all parts of the sink half share.
    #[must_use]
    pub fn sink(&self) -> Option<&Arc<SinkShared>> {
        self.sink.as_ref().map(|sink| &sink.shared)
    }

    /// The number of input port `port`.
    ///
    /// # Errors
    /// If there is no such port.
    pub fn input(&self, port: &str) -> Result<usize, DefinitionError> {
        let inputs = if self.sink.is_some() { self.spec.inputs } else { &[] };
        let aliases = self.spec.input_aliases.iter();
        let alias = aliases.copied().find(|(alias, _)| alias.eq_ignore_ascii_case(port));
        let wanted = alias.map_or(port, |(_, input)| input);
        let found = inputs.iter().position(|input| input.eq_ignore_ascii_case(wanted));
        found.ok_or_else(|| self.no_port(port, "input", inputs))
    }

    /// The name of output port `port`.
    ///
    /// # Errors
    /// If there is no such port.
    pub fn output(&self, port: &str) -> Result<String, DefinitionError> {
        let outputs: &[&str] = match &self.source {
            Some(_) if self.spec.has_control() => &["out", "err", "control"],
            Some(_) => &["out", "err"],
            None => &[],
        };
        let exits = self.built.exits.iter().map(|exit| exit.name.as_str());
        let outputs: Vec<&str> = outputs.iter().copied().chain(exits).collect();
        let found = outputs.iter().find(|output| output.eq_ignore_ascii_case(port));
        found.map(|found| (*found).to_owned()).ok_or_else(|| self.no_port(port, "output", &outputs))
    }

    /// The exits that its configuration names and that lead nowhere.
    pub fn unlinked_exits(&self) -> impl Iterator<Item = &Exit> {
        self.built.exits.iter().filter(|exit| !self.links.is_linked(&exit.name))
    }

    fn no_port(&self, port: &str, direction: &str, known: &[&str]) -> DefinitionError {
        let has = match known {
            [] => format!("it has no {direction} ports"),
            known => format!("its {direction} ports are `{}`", known.join("`, `")),
        };
        let near = nearest(port, known.iter().copied());
        let has = near.map_or(has.clone(), |near| format!("{has}; did you mean `{near}`?"));
        DefinitionError::new(format!("{} Invalid port '{port}': {has}", self.alias))
    }

    /// Whether port `out` is linked although nothing ever leaves by it.
    #[must_use]
    pub fn is_idly_linked(&self) -> bool {
        !self.built.gives_out && self.links.is_linked("out")
    }

    /// Links output port `port` to `route`, behind what it is linked to already.
    pub fn link_output(&mut self, port: &str, route: Arc<dyn OpenRoute>) {
        self.links.add(port, route);
    }

    /// The way into the sink half, which from now on counts as linked.
    pub fn link_input(&mut self) -> Option<Arc<dyn Deliver>> {
        let sink = self.sink.as_mut()?;
        sink.is_linked = true;
        Some(sink.deliver.clone())
    }

    /// What it is linked to do: give events, take events.
    #[must_use]
    pub fn linked(&self) -> (bool, bool) {
        let gives = self.links.is_any_linked();
        (gives, self.sink.as_ref().is_some_and(|sink| sink.is_linked))
    }

    /// Puts the connector to work; it waits for [`Handle::start`].
    #[must_use]
    pub fn spawn(mut self) -> Handle {
        let is_fed = self.sink.as_ref().is_some_and(|sink| sink.is_linked);
        self.built.connector.linked(self.links.is_linked("out"), is_fed);
        if self.links.is_linked(CONTROL)
            && let Some(SinkHalf::Connections { streams, .. }) = self.sink.as_ref().map(|sink| &sink.half)
        {
            streams.tell();
        }
        if let Some(source) = &self.source {
            self.built.connector.watch(Given::by(source.clone()));
            source.link(match &self.meter {
                Some(meter) => self.links.map(|route| count_output(route, meter.clone())),
                None => self.links,
            });
        }
        self.meter.iter().for_each(|meter| meter.begin());
        let totals = self.sink.as_ref().map(|sink| sink.shared.clone());
        let streams = self.sink.as_ref().and_then(|sink| match &sink.half {
            SinkHalf::Connections { streams, .. } => streams.clone().if_let_go_later(),
            SinkHalf::Queued { .. } => None,
        });
        let half = self.sink.map(|sink| {
            if let Some(task) = sink.task {
                tokio::spawn(task.run());
            }
            sink.half
        });
        let backoff = match self.built.backoff {
            BackoffUse::Plain => Backoff::new(self.policy),
            BackoffUse::WebSocketClient { stable_after } => {
                Backoff::websocket_client(self.policy, stable_after)
            }
        };
        let (control, told) = mpsc::unbounded_channel();
        let fresh = Status { state: State::Initializing, connected: false, failure: None };
        let (status, shown) = watch::channel(fresh);
        let task = Task {
            alias: self.alias.clone(),
            connector: Some(self.built.connector),
            source: self.source.clone(),
            sink: half,
            board: self.board,
            backoff,
            is_summoned: self.built.summons.is_some(),
            status,
            parts: Parts::default(),
        };
        tokio::spawn(supervise(task, told));
        let (alias, source, meter) = (self.alias, self.source, self.meter);
        Handle { alias, control, status: shown, source, sink: totals, meter, streams }
    }
}

/// Runs a connector; an internal error in it is its own end and nobody else's.
async fn supervise(task: Task, told: mpsc::UnboundedReceiver<Control>) {
    let (alias, status) = (task.alias.clone(), task.status.clone());
    if AssertUnwindSafe(task.run(told)).catch_unwind().await.is_err() {
        let cause = format!("{alias} failed: an internal error ended it");
        tracing::error!(target: TARGET, "[Connector::{alias}] {cause}");
        status.send_modify(|status| {
            *status = Status { state: State::Failed, connected: false, failure: Some(cause) };
        });
    }
}

impl SinkSide {
    fn new(
        shared: Arc<SinkShared>,
        spec: &Spec,
        built: &mut Built,
        (source, directory): (u64, &Directory),
        coding: Option<Resolver>,
    ) -> Option<Self> {
        match spec.sink {
            SinkUse::None => None,
            SinkUse::Connections(addressing) => {
                let per_origin = built.per_origin.take();
                let addressing = match per_origin {
                    Some(_) => Addressing::Many { kind: spec.name },
                    None => addressing,
                };
                let conflates = built.all_queues().any(|queue| queue.when_full == WhenFull::Conflate);
                let setting = streams::Setting {
                    kind: spec.name,
                    source,
                    addressing,
                    ports: spec.inputs,
                    limits: built.send_queue,
                    conflates,
                    drain_times: built.drain_times,
                    key: mem::take(&mut built.queue_key),
                    frame_type: built.frame_type,
                    commands: mem::take(&mut built.commands),
                    summons: built.summons.clone(),
                    judge_open: built.judge_open.clone(),
                    outgoing: built.outgoing.clone(),
                    per_origin,
                    replays: mem::take(&mut built.replays),
                    directory: directory.clone(),
                    coding: coding?,
                };
                let streams = Streams::new(shared.clone(), setting);
                let deliver: Arc<dyn Deliver> = streams.clone();
                let half = SinkHalf::Connections { shared: shared.clone(), streams };
                Some(Self { shared, deliver, half, task: None, is_linked: false })
            }
            SinkUse::Queued => {
                let (commands, told) = mpsc::unbounded_channel();
                let (lost_to, lost) = mpsc::unbounded_channel();
                let (task, way): (SinkTask, QueuedSink) =
                    SinkTask::new(shared.clone(), coding, spec.inputs.len(), told, lost_to);
                let half = SinkHalf::Queued { shared: shared.clone(), commands, lost };
                Some(Self { shared, deliver: Arc::new(way), half, task: Some(task), is_linked: false })
            }
        }
    }
}

/// What to do about a debug kind that is not wanted.
pub const DEBUG_HINT: &str = "It is made for tests: `--debug-connectors` makes it known";

fn unknown_kind(kind: &str, registry: &Registry) -> DefinitionError {
    let unknown = format!("Unknown connector type {kind}");
    if registry.is_left_out(kind) {
        return DefinitionError { hint: Some(DEBUG_HINT.to_owned()), ..DefinitionError::new(unknown) };
    }
    match nearest(kind, registry.names()) {
        Some(near) => DefinitionError::new(format!("{unknown}; did you mean `{near}`?")),
        None => {
            let hint = Some(format!("Known types: {}", ticked(registry.names())));
            DefinitionError { hint, ..DefinitionError::new(unknown) }
        }
    }
}

/// A connector at work.
#[derive(Clone)]
pub struct Handle {
    alias: String,
    control: mpsc::UnboundedSender<Control>,
    status: watch::Receiver<Status>,
    source: Option<Arc<SourceShared>>,
    sink: Option<Arc<SinkShared>>,
    meter: Option<Arc<Meter>>,
    /// The connections, unless there is one for each origin of events.
    streams: Option<Arc<Streams>>,
}

impl Handle {
    /// `<flow>::<connector>`.
    #[must_use]
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Hears of every change of [`Handle::status`].
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Events given on `out` and `err` so far.
    #[must_use]
    pub fn given(&self) -> (u64, u64) {
        let counters = self.source.as_ref().map(|source| &source.counters);
        counters.map_or((0, 0), |counters| (counters.out.load(Relaxed), counters.err.load(Relaxed)))
    }

    /// What became of the events it took.
    #[must_use]
    pub fn taken(&self) -> SinkTotals {
        self.sink.as_ref().map(|sink| sink.counters.totals()).unwrap_or_default()
    }

    /// Begins; ends with the first successful connection.
    ///
    /// # Errors
    /// The cause, if the connector gave up.
    pub async fn start(&self) -> Result<(), String> {
        let (reply, started) = oneshot::channel();
        let gone = || format!("{} has ended", self.alias);
        self.control.send(Control::Start(reply)).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }

    /// Stops reading until [`Handle::resume`].
    pub fn pause(&self) {
        self.tell(Control::Pause);
    }

    /// Takes back a pause.
    pub fn resume(&self) {
        self.tell(Control::Resume);
    }

    /// Finishes what is under way; ends when nothing is left.
    pub async fn drain(&self) {
        let (reply, drained) = oneshot::channel();
        self.tell(Control::Drain(reply));
        // A connector that has ended has nothing left either.
        let _drained_or_gone = drained.await.is_err();
        self.meter.iter().for_each(|meter| meter.flush());
    }

    /// Behind the drains of all whose events may still come: lets the connections go that others have opened, as the
    /// configuration says, and until `latest`. What their ends tell still goes its way. Ends when there are none. The one
    /// connection of others is cut off then if its peer takes nothing of what waits for it.
    pub async fn let_go(&self, latest: tokio::time::Instant) {
        if let Some(streams) = &self.streams {
            streams.drain(latest).await;
        }
    }

    /// Behind [`Handle::let_go`] of all: ends the one connection of a connector that has no more than that, and waits until it
    /// is gone, at most until `latest`. What its end tells still goes its way.
    pub async fn part(&self, latest: tokio::time::Instant) {
        if let Some(streams) = &self.streams {
            streams.part_with_single(latest).await;
        }
    }

    /// Ends it; what is written but not yet with the system still goes there.
    pub async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        self.tell(Control::Stop(reply));
        let _stopped_or_gone = stopped.await.is_err();
        self.meter.iter().for_each(|meter| meter.flush());
    }

    fn tell(&self, told: Control) {
        let _ended_already = self.control.send(told);
    }
}
