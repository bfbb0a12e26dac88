//! A flow at work.

use crate::{pipelines::Node, plan::Plan};
use futures_util::future::{join_all, try_join_all};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};
use tokio::{task::JoinHandle, time::Instant};
use tracing::{error, info};
use tremor_connector::{DrainBoard, Handle, Quota, SinkTotals, State};
use tremor_diagnostic::{RenderOptions, SourceMap, render};
use tremor_lang::RuntimeError;
use tremor_pipeline::Report;

/// Log target of the engine.
const TARGET: &str = "tremor_runtime";

/// Where a flow stands (`spec/runtime.md` 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowState {
    /// Instances exist, not all have started.
    Initializing,
    /// All connectors started.
    Running,
    /// Paused by an operator.
    Paused,
    /// A graceful stop is under way.
    Draining,
    /// All parts ended.
    Stopped,
    /// A part failed.
    Failed,
}

/// What a flow shows of itself.
#[derive(Clone, Debug)]
pub struct FlowStatus {
    /// Name under which it runs.
    pub alias: String,
    /// Where it stands.
    pub state: FlowState,
    /// Names of its connectors.
    pub connectors: Vec<String>,
}

/// What a connector shows of itself.
#[derive(Clone, Debug)]
pub struct ConnectorStatus {
    /// Name within the flow.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// It has its connection.
    pub connected: bool,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// What its ports are linked to.
    pub links: Vec<PipelinePort>,
    /// Events given on `out` and on `err`.
    pub given: (u64, u64),
    /// What became of the events it took.
    pub taken: SinkTotals,
}

/// One end of a link, as a connector sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelinePort {
    /// The connector's port.
    pub own_port: String,
    /// The pipeline.
    pub pipeline: String,
    /// The pipeline's port.
    pub port: String,
}

/// A flow at work.
pub(crate) struct Flow {
    alias: String,
    connectors: Vec<Connector>,
    pipelines: Mutex<Vec<JoinHandle<()>>>,
    /// Those whose metrics are published.
    measured: Vec<Arc<Node>>,
    /// One for each pipeline.
    reports: Vec<ReportToLog>,
    board: Arc<DrainBoard>,
    state: Mutex<FlowState>,
    ending: AtomicBool,
}

struct Connector {
    name: String,
    handle: Handle,
    role: Role,
    links: Vec<PipelinePort>,
}

/// What a connector is linked to do, in the order in which flows start their parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    SinkOnly,
    Both,
    SourceOnly,
    /// Nothing: it is never started.
    Unlinked,
}

/// Logs what goes wrong inside a pipeline, with its place in the file: ten reports a second, and a count of what they
/// leave out. Clones count together.
#[derive(Clone)]
pub(crate) struct ReportToLog {
    /// `<flow>::<pipeline>`.
    alias: Arc<str>,
    quota: Arc<Mutex<Quota>>,
}

impl Report for ReportToLog {
    fn select_failed(&self, error: &RuntimeError, sources: &SourceMap) {
        self.log(error, sources);
    }

    fn script_failed(&self, error: &RuntimeError, sources: &SourceMap) {
        self.log(error, sources);
    }
}

impl ReportToLog {
    /// `alias`: `<flow>::<pipeline>`.
    pub(crate) fn new(alias: &str) -> Self {
        Self { alias: alias.into(), quota: Arc::default() }
    }

    /// Unlike the `error` field of an event, a log names the file: it tells of many (`spec/cli.md` 5).
    fn log(&self, error: &RuntimeError, sources: &SourceMap) {
        let may_log = self.quota().may_log(1, Instant::now());
        let Some(left_out) = may_log else { return };
        self.log_more(left_out);
        let options = RenderOptions { file_name: true, colour: false };
        let report = render(&error.to_diagnostic(sources), sources, options);
        // A record of the log is one line.
        report
            .trim_end()
            .lines()
            .for_each(|line| error!(target: TARGET, "[Pipeline::{}] {line}", self.alias));
    }

    /// Says how many errors there were that no report has told of so far.
    fn log_left_out(&self) {
        let left_out = self.quota().take_left_out();
        self.log_more(left_out);
    }

    fn log_more(&self, count: u64) {
        if count > 0 {
            let s = if count == 1 { "" } else { "s" };
            error!(target: TARGET, "[Pipeline::{}] {count} more error{s} like that", self.alias);
        }
    }

    fn quota(&self) -> MutexGuard<'_, Quota> {
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flow {
    /// Puts everything in place; nothing is connected before [`Flow::start`].
    pub(crate) fn new(plan: Plan) -> Self {
        let Plan { alias, connectors, pipelines, board, reports, links, .. } = plan;
        let tasks = pipelines.iter().filter_map(Node::spawn).collect();
        let measured = pipelines.into_iter().filter(|node| node.is_measured()).collect();
        let mut connectors: Vec<Connector> = connectors
            .into_iter()
            .zip(links)
            .map(|((name, instance), links)| {
                let role = match instance.linked() {
                    (false, true) => Role::SinkOnly,
                    (true, true) => Role::Both,
                    (true, false) => Role::SourceOnly,
                    (false, false) => Role::Unlinked,
                };
                Connector { name, handle: instance.spawn(), role, links }
            })
            .collect();
        connectors.sort_by_key(|connector| connector.role);
        Self {
            alias,
            connectors,
            pipelines: Mutex::new(tasks),
            measured,
            reports,
            board,
            state: Mutex::new(FlowState::Initializing),
            ending: AtomicBool::new(false),
        }
    }

    pub(crate) fn alias(&self) -> &str {
        &self.alias
    }

    fn started(&self) -> impl DoubleEndedIterator<Item = &Connector> {
        self.connectors.iter().filter(|connector| connector.role != Role::Unlinked)
    }

    /// Starts all connectors, sinks first, and waits until each is connected. A flow that is told to end before
    /// that has not failed, and one that was told before it starts does not.
    ///
    /// # Errors
    /// The first cause; parts that did start are left as they are.
    pub(crate) async fn start(&self) -> Result<(), String> {
        if self.is_ending() {
            return Ok(());
        }
        info!(target: TARGET, "[Flow::{}] Starting", self.alias);
        // The first that fails is told at once: another one may try for ever.
        let outcome = try_join_all(self.started().map(|connector| connector.handle.start())).await;
        let outcome = outcome.map(|_all| ());
        match &outcome {
            Ok(()) => {
                info!(target: TARGET, "[Flow::{}] Started", self.alias);
                self.advance(FlowState::Initializing, FlowState::Running);
            }
            Err(_) if self.is_ending() => return Ok(()),
            Err(cause) => {
                // The connector has said why.
                let what = cause.split_once(": ").map_or(cause.as_str(), |(what, _why)| what);
                info!(target: TARGET, "[Flow::{}] Failed: {what}", self.alias);
                self.advance(FlowState::Initializing, FlowState::Failed);
            }
        }
        outcome
    }

    /// Told to drain or to stop.
    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Pauses the connectors, sources first. `false` if the flow is not running.
    pub(crate) fn pause(&self) -> bool {
        let paused = self.advance(FlowState::Running, FlowState::Paused);
        if paused {
            self.started().rev().for_each(|connector| connector.handle.pause());
        }
        paused
    }

    /// Takes back a pause, sinks first. `false` if the flow is not paused.
    pub(crate) fn resume(&self) -> bool {
        let resumed = self.advance(FlowState::Paused, FlowState::Running);
        if resumed {
            self.started().for_each(|connector| connector.handle.resume());
        }
        resumed
    }

    /// Ends when everything that was read has arrived.
    pub(crate) async fn drain(&self) {
        self.ending.store(true, Ordering::SeqCst);
        info!(target: TARGET, "[Flow::{}] Draining", self.alias);
        self.set_state(FlowState::Draining);
        join_all(self.started().rev().map(|connector| connector.handle.drain())).await;
        self.measured.iter().for_each(|node| node.flush_metrics());
        info!(target: TARGET, "[Flow::{}] Drained", self.alias);
    }

    /// The connectors that have not drained, and what they still have to write.
    pub(crate) fn undrained(&self) -> impl Iterator<Item = String> {
        let late = self
            .started()
            .filter(|connector| !matches!(connector.handle.status().state, State::Drained | State::Stopped));
        late.map(|connector| {
            let alias = connector.handle.alias();
            match connector.handle.taken().waiting {
                0 => alias.to_owned(),
                1 => format!("{alias} (1 event to write)"),
                waiting => format!("{alias} ({waiting} events to write)"),
            }
        })
    }

    /// Behind the drains of all flows, one of which may be the peer: lets the connections go that others have opened.
    pub(crate) async fn let_go(&self, latest: Instant) {
        join_all(self.started().map(|connector| connector.handle.let_go(latest))).await;
    }

    /// Behind that, since it may be sent what ends tell: ends the connections of those that have only one.
    pub(crate) async fn part(&self, latest: Instant) {
        join_all(self.started().map(|connector| connector.handle.part(latest))).await;
    }

    /// Ends all parts: sinks first, then sources, then those that are both.
    pub(crate) async fn stop(&self) {
        self.ending.store(true, Ordering::SeqCst);
        // Before any of them stops: nobody may call the end of its neighbour a drain.
        self.board.cut_short();
        let mut connectors: Vec<&Connector> = self.connectors.iter().collect();
        connectors.sort_by_key(|connector| connector.role == Role::Both);
        // Side by side, so that none has to wait for one that does not stop.
        join_all(connectors.into_iter().map(|connector| connector.handle.stop())).await;
        for pipeline in self.lock_pipelines().drain(..) {
            pipeline.abort();
        }
        self.reports.iter().for_each(ReportToLog::log_left_out);
        self.set_state(FlowState::Stopped);
        info!(target: TARGET, "[Flow::{}] Stopped", self.alias);
    }

    pub(crate) fn status(&self) -> FlowStatus {
        let mut state = *self.lock_state();
        let one_failed = self.started().any(|connector| connector.handle.status().state == State::Failed);
        if one_failed && matches!(state, FlowState::Running | FlowState::Initializing) {
            state = FlowState::Failed;
        }
        let connectors = self.connectors.iter().map(|connector| connector.name.clone()).collect();
        FlowStatus { alias: self.alias.clone(), state, connectors }
    }

    pub(crate) fn connectors(&self) -> Vec<ConnectorStatus> {
        self.connectors.iter().map(Connector::status).collect()
    }

    /// The handle of one connector.
    pub(crate) fn connector(&self, name: &str) -> Option<Handle> {
        self.connectors
            .iter()
            .find(|connector| connector.name == name)
            .map(|connector| connector.handle.clone())
    }

    fn set_state(&self, state: FlowState) {
        *self.lock_state() = state;
    }

    fn advance(&self, from: FlowState, to: FlowState) -> bool {
        let mut state = self.lock_state();
        let fits = *state == from;
        if fits {
            *state = to;
        }
        fits
    }

    fn lock_state(&self) -> MutexGuard<'_, FlowState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_pipelines(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connector {
    fn status(&self) -> ConnectorStatus {
        let status = self.handle.status();
        ConnectorStatus {
            name: self.name.clone(),
            state: status.state,
            connected: status.connected,
            failure: status.failure,
            links: self.links.clone(),
            given: self.handle.given(),
            taken: self.handle.taken(),
        }
    }
}
