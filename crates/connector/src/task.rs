//! The life of one connector: connect, work, reconnect, pause, drain, stop (`spec/runtime.md` 4, 5, 13).

use crate::{
    ConnectError, Connected, Connector, DrainBoard, Sink, SinkShared,
    beacon::Beacon,
    connection::{Connection, Ended, Unwritten},
    duplex::Duplex,
    half::{self, SourceEnd},
    inlet::{Inlet, SourceShared},
    listening,
    queued::Command,
    reconnect::{Backoff, Decision},
    streams::Streams,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time,
};
use tracing::{error, info, warn};
use tremor_event::Signal;

/// Log target of the engine.
pub(crate) const TARGET: &str = "tremor_runtime";

/// Where a connector stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It exists.
    Initializing,
    /// It works.
    Running,
    /// The user paused it.
    Paused,
    /// It finishes what it has.
    Draining,
    /// It has nothing left to do.
    Drained,
    /// It has ended.
    Stopped,
    /// It gave up.
    Failed,
}

/// What a connector shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where it stands.
    pub state: State,
    /// It has its connection.
    pub connected: bool,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// What a connector can be told.
#[derive(Debug)]
pub(crate) enum Control {
    /// Begin; hears of the first success, or why there will be none.
    Start(oneshot::Sender<Result<(), String>>),
    Pause,
    Resume,
    /// Finish; hears when everything is done.
    Drain(oneshot::Sender<()>),
    /// End; hears when everything has ended.
    Stop(oneshot::Sender<()>),
}

/// What the tasks of a connector report.
#[derive(Debug)]
pub(crate) enum Report {
    /// The source will never give anything again.
    SourceFinished,
    /// The connection is gone.
    Lost { cause: String, clean: bool },
}

/// The sink half, as its connector sees it.
pub(crate) enum SinkHalf {
    Queued {
        shared: Arc<SinkShared>,
        commands: mpsc::UnboundedSender<Command>,
        lost: mpsc::UnboundedReceiver<String>,
    },
    Connections {
        shared: Arc<SinkShared>,
        streams: Arc<Streams>,
    },
}

impl SinkHalf {
    fn shared(&self) -> &SinkShared {
        match self {
            Self::Queued { shared, .. } | Self::Connections { shared, .. } => shared,
        }
    }
}

type Attempt = BoxFuture<'static, (Box<dyn Connector>, Result<Connected, ConnectError>)>;

/// One connector at work.
pub(crate) struct Task {
    pub(crate) alias: String,
    pub(crate) connector: Option<Box<dyn Connector>>,
    pub(crate) source: Option<Arc<SourceShared>>,
    pub(crate) sink: Option<SinkHalf>,
    pub(crate) board: Arc<DrainBoard>,
    pub(crate) backoff: Backoff,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) parts: Parts,
}

/// What changes while a connector works.
#[derive(Default)]
pub(crate) struct Parts {
    beacon: Beacon,
    tasks: JoinSet<()>,
    attempt: Option<Attempt>,
    retry: Option<time::Instant>,
    /// When the connection was made.
    since: Option<Instant>,
    starting: Option<oneshot::Sender<Result<(), String>>>,
    /// Completes when the source half at work has given its last event.
    source_done: Option<oneshot::Receiver<()>>,
    /// Drain marks went out.
    marked: bool,
    draining: Option<BoxFuture<'static, ()>>,
    drain_waiters: Vec<oneshot::Sender<()>>,
    next_stream: Arc<std::sync::atomic::AtomicU64>,
}

/// What made the task's loop turn.
enum Turn {
    Control(Option<Control>),
    Attempted(Box<dyn Connector>, Result<Connected, ConnectError>),
    Retry,
    Report(Report),
    Drained,
    TaskEnded,
}

impl Task {
    /// Runs until stopped, or until nobody is left who could stop it.
    pub(crate) async fn run(mut self, mut control: mpsc::UnboundedReceiver<Control>) {
        let (report_to, mut reports) = mpsc::unbounded_channel();
        loop {
            match self.turn(&mut control, &mut reports).await {
                Turn::Control(Some(Control::Stop(stopped))) => {
                    self.stop().await;
                    let _nobody_waits = stopped.send(());
                    return;
                }
                Turn::Control(None) => return self.stop().await,
                Turn::Control(Some(told)) => self.control(told).await,
                Turn::Attempted(connector, result) => {
                    self.connector = Some(connector);
                    self.parts.attempt = None;
                    match result {
                        Ok(connected) => self.connected(connected, &report_to),
                        Err(error) => self.attempt_failed(&error),
                    }
                }
                Turn::Retry => self.begin_attempt(),
                Turn::Report(Report::SourceFinished) => self.mark_drained().await,
                Turn::Report(Report::Lost { cause, clean }) => self.lost(&cause, clean),
                Turn::Drained => self.drained(),
                Turn::TaskEnded => {}
            }
        }
    }

    async fn turn(
        &mut self,
        control: &mut mpsc::UnboundedReceiver<Control>,
        reports: &mut mpsc::UnboundedReceiver<Report>,
    ) -> Turn {
        let parts = &mut self.parts;
        let sink_lost = async {
            match &mut self.sink {
                Some(SinkHalf::Queued { lost, .. }) => match lost.recv().await {
                    Some(cause) => Report::Lost { cause, clean: false },
                    None => std::future::pending().await,
                },
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            told = control.recv() => Turn::Control(told),
            Some(report) = reports.recv() => Turn::Report(report),
            report = sink_lost => Turn::Report(report),
            (connector, result) = pending_or(&mut parts.attempt) => Turn::Attempted(connector, result),
            () = sleep_until(parts.retry) => Turn::Retry,
            () = pending_or(&mut parts.draining) => Turn::Drained,
            Some(ended) = parts.tasks.join_next() => {
                match ended {
                    Err(panic) if panic.is_panic() => {
                        let cause = "an internal error ended its task".to_owned();
                        Turn::Report(Report::Lost { cause, clean: false })
                    }
                    _ => Turn::TaskEnded,
                }
            }
        }
    }

    async fn control(&mut self, told: Control) {
        let state = self.status.borrow().state;
        match (told, state) {
            (Control::Start(reply), State::Initializing) => {
                info!(target: TARGET, "[Connector::{}] Starting", self.alias);
                self.parts.starting = Some(reply);
                self.set_state(State::Running);
                self.begin_attempt();
            }
            (Control::Pause, State::Running) => {
                self.source.iter().for_each(|source| source.gate.set_paused(true));
                self.parts.retry = None;
                self.set_state(State::Paused);
            }
            (Control::Resume, State::Paused) => {
                self.source.iter().for_each(|source| source.gate.set_paused(false));
                self.set_state(State::Running);
                if !self.status.borrow().connected && self.parts.attempt.is_none() {
                    self.begin_attempt();
                }
            }
            (Control::Drain(reply), _) => self.drain(reply),
            (told, state) => {
                warn!(target: TARGET, "[Connector::{}] ignores {told:?} while {state:?}", self.alias);
            }
        }
    }

    fn begin_attempt(&mut self) {
        self.parts.retry = None;
        let Some(mut connector) = self.connector.take() else { return };
        self.parts.attempt = Some(Box::pin(async move {
            let attempt = AssertUnwindSafe(connector.connect()).catch_unwind().await;
            let result = attempt
                .unwrap_or_else(|_| Err(ConnectError::Failed("internal error while connecting".into())));
            (connector, result)
        }));
    }

    fn attempt_failed(&mut self, error: &ConnectError) {
        let mut decision = self.backoff.next(&mut random);
        if let ConnectError::Later { wait_ms, .. } = error {
            decision = decision.at_least(Duration::from_millis(*wait_ms));
        }
        match decision {
            Decision::Retry(wait) => {
                warn!(target: TARGET, "[Connector::{}] {error}; trying again in {} ms", self.alias, wait.as_millis());
                if self.status.borrow().state == State::Running {
                    self.parts.retry = Some(time::Instant::now() + wait);
                }
            }
            Decision::GiveUp { attempts } => self.give_up(attempts, error),
        }
    }

    fn give_up(&mut self, attempts: u64, error: &ConnectError) {
        let tries = if attempts == 1 { "1 try".to_owned() } else { format!("{attempts} tries") };
        let cause = format!("{} Connection failed after {tries}: {error}", self.alias);
        if self.backoff.policy() == &crate::reconnect::Policy::None {
            error!(target: TARGET, "[Connector::{}] {cause}", self.alias);
        } else {
            error!(target: TARGET, "[Connector::{}] {cause}. Not reconnecting: Max retries exceeded: {attempts}", self.alias);
        }
        self.fail(cause);
    }

    fn fail(&mut self, cause: String) {
        if let Some(SinkHalf::Connections { streams, .. }) = &self.sink {
            streams.give_up();
        }
        if let Some(starting) = self.parts.starting.take() {
            let _nobody_waits = starting.send(Err(cause.clone()));
        }
        self.status.send_modify(|status| {
            status.failure = Some(cause);
            if status.state != State::Draining {
                status.state = State::Failed;
            }
        });
    }

    fn connected(&mut self, connected: Connected, report_to: &mpsc::UnboundedSender<Report>) {
        self.backoff.connected();
        self.parts.since = Some(Instant::now());
        let (done, source_done) = oneshot::channel();
        self.parts.source_done = Some(source_done);
        match connected {
            Connected::Halves { source, sink } => {
                if let (Some((source, origin)), Some(shared)) = (source, &self.source) {
                    let inlet = Inlet::open(shared, 0, origin, tremor_value::Value::record());
                    self.spawn_source(source, inlet, done, report_to.clone());
                }
                if let Some(sink) = sink {
                    self.use_sink(sink);
                }
            }
            Connected::Duplex(duplex) => self.spawn_connection(duplex, done, report_to.clone()),
            Connected::Listener(listener) => {
                let (Some(source), Some(SinkHalf::Connections { streams, .. })) = (&self.source, &self.sink)
                else {
                    return;
                };
                let listening = listening::Listening {
                    alias: self.alias.clone(),
                    source: source.clone(),
                    streams: streams.clone(),
                    beacon: self.parts.beacon.clone(),
                    next_stream: self.parts.next_stream.clone(),
                };
                self.parts.tasks.spawn(listening.run(listener, done));
            }
        }
        info!(target: TARGET, "[Connector::{}] Connected", self.alias);
        self.status.send_modify(|status| status.connected = true);
        if let Some(sink) = &self.sink {
            sink.shared().open();
        }
        if let Some(starting) = self.parts.starting.take() {
            let _nobody_waits = starting.send(Ok(()));
        }
    }

    fn spawn_source(
        &mut self,
        source: Box<dyn crate::Source>,
        inlet: Inlet,
        done: oneshot::Sender<()>,
        report_to: mpsc::UnboundedSender<Report>,
    ) {
        let (beacon, alias) = (self.parts.beacon.clone(), self.alias.clone());
        self.parts.tasks.spawn(async move {
            let report = match half::run(source, inlet, beacon, &alias).await {
                SourceEnd::Finished => Some(Report::SourceFinished),
                SourceEnd::Told => None,
                SourceEnd::Lost(cause) => Some(Report::Lost { cause, clean: false }),
            };
            let _nobody_waits = done.send(());
            if let Some(report) = report {
                let _connector_has_ended = report_to.send(report);
            }
        });
    }

    fn use_sink(&mut self, sink: Sink) {
        if let Some(SinkHalf::Queued { commands, .. }) = &self.sink {
            let _task_has_ended = commands.send(Command::Use(sink));
        }
    }

    fn spawn_connection(
        &mut self,
        duplex: Duplex,
        done: oneshot::Sender<()>,
        report_to: mpsc::UnboundedSender<Report>,
    ) {
        let (Some(source), Some(SinkHalf::Connections { streams, .. })) = (&self.source, &self.sink) else {
            return;
        };
        let Some(outbox) = streams.single() else { return };
        let inlet = Inlet::open(source, 0, duplex.origin.clone(), duplex.meta.clone());
        let connection = Connection::new(duplex, inlet, outbox, self.parts.beacon.clone(), done);
        self.parts.tasks.spawn(async move {
            let Ended { cause, clean } = connection.run(Unwritten::Keep).await;
            let _connector_has_ended = report_to.send(Report::Lost { cause, clean });
        });
    }

    fn lost(&mut self, cause: &str, clean: bool) {
        let was_connected = self.status.borrow().connected;
        if !was_connected {
            return;
        }
        self.status.send_modify(|status| status.connected = false);
        if let Some(sink) = &self.sink {
            sink.shared().close();
        }
        let state = self.status.borrow().state;
        if !matches!(state, State::Running | State::Paused) {
            return;
        }
        let how = if clean { "Connection ended" } else { "Connection lost" };
        let up = self.parts.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        match self.backoff.first_wait(up, &mut random) {
            Decision::Retry(wait) => {
                warn!(target: TARGET, "[Connector::{}] {how}: {cause}; connecting again in {} ms", self.alias, wait.as_millis());
                if state == State::Running {
                    self.parts.retry = Some(time::Instant::now() + wait);
                }
            }
            Decision::GiveUp { attempts } => self.give_up(attempts, &ConnectError::Failed(cause.to_owned())),
        }
    }

    /// Tells everything behind the source that nothing will follow.
    async fn mark_drained(&mut self) {
        if let Some(source) = self.source.as_ref().filter(|_| !self.parts.marked) {
            self.parts.marked = true;
            source.gate.end();
            source.links().signal_all(Signal::Drain { source: source.id }).await;
        }
    }

    fn drain(&mut self, reply: oneshot::Sender<()>) {
        if self.status.borrow().state == State::Drained {
            let _nobody_waits = reply.send(());
            return;
        }
        self.parts.drain_waiters.push(reply);
        if self.parts.draining.is_some() {
            return;
        }
        info!(target: TARGET, "[Connector::{}] Draining", self.alias);
        self.set_state(State::Draining);
        self.parts.retry = None;
        let source = self.source.clone();
        let source_done = self.parts.source_done.take();
        let needs_mark = !std::mem::replace(&mut self.parts.marked, true);
        if let Some(SinkHalf::Queued { commands, .. }) = &self.sink {
            let _task_has_ended = commands.send(Command::Drain);
        }
        let (board, sink) = (self.board.clone(), self.sink.as_ref().map(|sink| sink.shared().id));
        self.parts.draining = Some(Box::pin(async move {
            if let Some(source) = source {
                source.gate.end();
                if let Some(done) = source_done {
                    // A source that ended without a word is done as well.
                    let _done_or_gone = done.await.is_err();
                }
                if needs_mark {
                    source.links().signal_all(Signal::Drain { source: source.id }).await;
                }
                board.source_drained(source.id).await;
            }
            if let Some(sink) = sink {
                board.sink_drained(sink).await;
            }
        }));
    }

    fn drained(&mut self) {
        self.parts.draining = None;
        info!(target: TARGET, "[Connector::{}] Drained", self.alias);
        self.set_state(State::Drained);
        for waiter in self.parts.drain_waiters.drain(..) {
            let _nobody_waits = waiter.send(());
        }
    }

    async fn stop(&mut self) {
        info!(target: TARGET, "[Connector::{}] Stopping", self.alias);
        self.parts.attempt = None;
        if let Some(source) = &self.source {
            source.gate.end();
        }
        self.parts.beacon.stop();
        while self.parts.tasks.join_next().await.is_some() {}
        if let Some(SinkHalf::Queued { commands, .. }) = &self.sink {
            let (reply, stopped) = oneshot::channel();
            if commands.send(Command::Stop(reply)).is_ok() {
                // A sink task that has ended has nothing left to stop.
                let _stopped_or_gone = stopped.await.is_err();
            }
        }
        self.status.send_modify(|status| {
            status.state = State::Stopped;
            status.connected = false;
        });
        info!(target: TARGET, "[Connector::{}] Stopped", self.alias);
    }

    fn set_state(&self, state: State) {
        self.status.send_modify(|status| status.state = state);
    }
}

async fn pending_or<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(when: Option<time::Instant>) {
    match when {
        Some(when) => time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// A number from 0 to 1. Without a random source waits are simply not spread.
fn random() -> f64 {
    getrandom::u32().map_or(0.5, |drawn| f64::from(drawn) / f64::from(u32::MAX))
}
