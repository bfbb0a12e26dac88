//! The life of one connector: connect, work, reconnect, pause, drain, stop (`spec/runtime.md` 4, 5, 13).

use crate::{
    ConnectError, Connected, Connector, DrainBoard, Sink, SinkShared,
    beacon::Beacon,
    connection::{Alive, Connection, Ended, Unwritten},
    duplex::{Address, Duplex},
    half::{self, SourceEnd},
    inlet::{Inlet, SourceShared},
    listening,
    queued::Command,
    reconnect::{Backoff, Decision, Policy},
    socket::Target,
    status::{Control, Report, State, Status},
    streams::Streams,
};
use futures_util::{FutureExt, future::BoxFuture};
use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{self, Instant},
};
use tracing::{error, info, warn};
use tremor_event::Signal;

/// Log target of the engine.
pub(crate) const TARGET: &str = "tremor_runtime";

/// Tasks that have not ended so long after they were told to are ended.
const STOP_LIMIT: Duration = Duration::from_millis(4500);
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The sink half, as its connector sees it.
pub(crate) enum SinkHalf {
    Queued {
        shared: Arc<SinkShared>,
        commands: mpsc::UnboundedSender<Command>,
        lost: mpsc::UnboundedReceiver<Report>,
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

    fn shared_arc(&self) -> Arc<SinkShared> {
        match self {
            Self::Queued { shared, .. } | Self::Connections { shared, .. } => shared.clone(),
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
    /// Connections are opened when events come for them.
    pub(crate) is_summoned: bool,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) parts: Parts,
}

/// What changes while a connector works.
#[derive(Default)]
pub(crate) struct Parts {
    /// Ends the tasks of the present connection.
    beacon: Beacon,
    /// How many connections there were.
    connection: u64,
    tasks: JoinSet<()>,
    attempt: Option<Attempt>,
    retry: Option<Instant>,
    /// The peer of the one connection there is.
    peer: Option<String>,
    /// When the connection was made.
    since: Option<Instant>,
    starting: Option<oneshot::Sender<Result<(), String>>>,
    /// Ends when the source half at work has given its last event.
    source_done: Option<mpsc::Receiver<Infallible>>,
    /// Drain marks went out.
    marked: bool,
    /// Sends the drain marks of a source that is finished.
    marking: Option<BoxFuture<'static, ()>>,
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
    Marked,
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
                Turn::Control(Some(told)) => self.control(told),
                Turn::Attempted(connector, result) => {
                    self.connector = Some(connector);
                    self.parts.attempt = None;
                    match result {
                        Ok(connected) => self.connected(connected, &report_to),
                        Err(error) => self.attempt_failed(&error),
                    }
                }
                Turn::Retry => self.begin_attempt(),
                Turn::Report(Report::SourceFinished) => self.source_finished(),
                Turn::Report(Report::Lost { connection, cause, clean }) => {
                    self.lost(connection, &cause, clean);
                }
                Turn::Report(Report::Panicked) => {
                    let cause = format!("{} failed: an internal error ended one of its parts", self.alias);
                    self.fail(cause);
                }
                Turn::Marked => self.parts.marking = None,
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
            let reported = match &mut self.sink {
                Some(SinkHalf::Queued { lost, .. }) => lost.recv().await,
                _ => None,
            };
            match reported {
                Some(report) => report,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            told = control.recv() => Turn::Control(told),
            Some(report) = reports.recv() => Turn::Report(report),
            report = sink_lost => Turn::Report(report),
            (connector, result) = pending_or(&mut parts.attempt) => Turn::Attempted(connector, result),
            () = sleep_until(parts.retry) => Turn::Retry,
            () = pending_or(&mut parts.marking) => Turn::Marked,
            () = pending_or(&mut parts.draining) => Turn::Drained,
            Some(ended) = parts.tasks.join_next() => {
                let panicked = ended.is_err_and(|error| error.is_panic());
                if panicked { Turn::Report(Report::Panicked) } else { Turn::TaskEnded }
            }
        }
    }

    fn state(&self) -> State {
        self.status.borrow().state
    }

    fn control(&mut self, told: Control) {
        match (told, self.state()) {
            (Control::Start(reply), State::Initializing) => {
                info!(target: TARGET, "[Connector::{}] Starting", self.alias);
                self.parts.starting = Some(reply);
                self.set_state(State::Running);
                if self.is_summoned {
                    self.await_summons();
                }
                self.begin_attempt();
            }
            (Control::Pause, State::Running) => {
                info!(target: TARGET, "[Connector::{}] Paused", self.alias);
                self.source.iter().for_each(|source| source.gate.set_paused(true));
                self.parts.retry = None;
                self.set_state(State::Paused);
            }
            (Control::Resume, State::Paused) => {
                info!(target: TARGET, "[Connector::{}] Resumed", self.alias);
                self.source.iter().for_each(|source| source.gate.set_paused(false));
                self.set_state(State::Running);
                if !self.status.borrow().connected && self.parts.attempt.is_none() {
                    self.begin_attempt();
                }
            }
            (Control::Drain(reply), _) => self.drain(reply),
            (told, state) => {
                let word = told.word();
                warn!(target: TARGET, "[Connector::{}] ignores {word} while it is {state:?}", self.alias);
                if let Control::Start(reply) = told {
                    let refused = format!("{} cannot start while it is {state:?}", self.alias);
                    let _nobody_waits = reply.send(Err(refused));
                }
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

    /// It has started, and takes the events that open a connection.
    fn await_summons(&mut self) {
        if let Some(starting) = self.parts.starting.take() {
            let _nobody_waits = starting.send(Ok(()));
        }
        if let Some(sink) = &self.sink {
            sink.shared().open(0);
        }
    }

    fn attempt_failed(&mut self, error: &ConnectError) {
        self.note_absence(&error.to_string());
        if self.is_summoned {
            self.disconnected();
        }
        let state = self.state();
        if !matches!(state, State::Running | State::Paused) {
            warn!(target: TARGET, "[Connector::{}] {error}", self.alias);
            return self.no_more_attempts();
        }
        let mut decision = self.backoff.next(&mut random);
        if matches!(error, ConnectError::Final(_)) {
            let cause = format!("{} Connection failed for good: {error}", self.alias);
            return self.fail(cause);
        }
        if let ConnectError::Later { wait_ms, .. } = error {
            decision = decision.at_least(Duration::from_millis(*wait_ms));
        }
        match decision {
            Decision::Retry(wait) => self.try_again(&error.to_string(), "trying", wait),
            Decision::GiveUp { attempts } => self.give_up(attempts, error),
        }
    }

    /// Schedules the next attempt; a pause suspends it until the resume.
    fn try_again(&mut self, cause: &str, verb: &str, wait: Duration) {
        if self.state() == State::Paused {
            warn!(target: TARGET, "[Connector::{}] {cause}; {verb} again when resumed", self.alias);
            return;
        }
        warn!(target: TARGET, "[Connector::{}] {cause}; {verb} again in {} ms", self.alias, wait.as_millis());
        // A wait that is longer than the clock reaches is as good as a year.
        self.parts.retry = Some(Instant::now() + wait.min(A_YEAR));
    }

    fn give_up(&mut self, attempts: u64, error: &ConnectError) {
        let tries = if attempts == 1 { "1 try".to_owned() } else { format!("{attempts} tries") };
        let cause = format!("{} Connection failed after {tries}: {error}", self.alias);
        if self.backoff.policy() != &Policy::None {
            warn!(target: TARGET, "[Connector::{}] Not reconnecting: Max retries exceeded: {attempts}", self.alias);
        }
        self.fail(cause);
    }

    /// The connector does nothing from here on but drain and stop.
    fn fail(&mut self, cause: String) {
        // Whether a flow whose start fails goes on is for others to say.
        let and_now = if self.parts.starting.is_some() { "" } else { "; the flow goes on without it" };
        error!(target: TARGET, "[Connector::{}] {cause}{and_now}", self.alias);
        self.parts.retry = None;
        self.parts.attempt = None;
        self.parts.beacon.stop();
        self.disconnected();
        self.no_more_attempts();
        if let Some(starting) = self.parts.starting.take() {
            let _nobody_waits = starting.send(Err(cause.clone()));
        }
        self.status.send_modify(|status| {
            status.failure = Some(cause);
            if !matches!(status.state, State::Draining | State::Drained) {
                status.state = State::Failed;
            }
        });
    }

    /// Events that the sink half cannot write are told why from now on.
    fn note_absence(&self, cause: &str) {
        self.sink.iter().for_each(|sink| sink.shared().note_absence(cause));
    }

    /// There is no connection and will be none: what waits for one fails.
    fn no_more_attempts(&self) {
        if let Some(SinkHalf::Connections { streams, shared }) = &self.sink {
            let cause = shared.explained("no socket, and there will be none");
            streams.give_up(&cause);
        }
    }

    fn connected(&mut self, connected: Connected, report_to: &mpsc::UnboundedSender<Report>) {
        self.backoff.connected();
        self.parts.since = Some(Instant::now());
        self.parts.beacon = Beacon::default();
        self.parts.connection += 1;
        let (alive, source_done) = mpsc::channel(1);
        self.parts.source_done = Some(source_done);
        match connected {
            Connected::Halves { source, sink } => {
                // Behind the drain marks nothing may follow.
                let source = source.filter(|_| !self.parts.marked);
                if let (Some((source, origin)), Some(shared)) = (source, &self.source) {
                    let inlet = Inlet::open(shared, 0, origin, tremor_value::Value::record())
                        .listening(source.listener());
                    self.spawn_source(source, inlet, alive, report_to.clone());
                }
                if let Some(sink) = sink {
                    self.use_sink(sink);
                }
            }
            Connected::Duplex(duplex) => self.spawn_connection(duplex, alive, report_to.clone()),
            Connected::Listener(listener) => self.spawn_listener(listener, alive),
        }
        info!(target: TARGET, "[Connector::{}] Connected", self.alias);
        self.status.send_modify(|status| status.connected = true);
        if let Some(sink) = &self.sink {
            sink.shared().open(self.parts.connection);
        }
        if let Some(starting) = self.parts.starting.take() {
            let _nobody_waits = starting.send(Ok(()));
        }
    }

    fn spawn_source(
        &mut self,
        source: Box<dyn crate::Source>,
        inlet: Inlet,
        alive: Alive,
        report_to: mpsc::UnboundedSender<Report>,
    ) {
        let (beacon, alias) = (self.parts.beacon.clone(), self.alias.clone());
        let connection = self.parts.connection;
        self.parts.tasks.spawn(async move {
            let report = match half::run(source, inlet, beacon, &alias).await {
                SourceEnd::Finished => Some(Report::SourceFinished),
                SourceEnd::Told => None,
                SourceEnd::Lost { cause, clean } => Some(Report::Lost { connection, cause, clean }),
            };
            drop(alive);
            if let Some(report) = report {
                let _connector_has_ended = report_to.send(report);
            }
        });
    }

    fn use_sink(&mut self, sink: Sink) {
        if let Some(SinkHalf::Queued { commands, .. }) = &self.sink {
            let _task_has_ended = commands.send(Command::Use(sink, self.parts.connection));
        }
    }

    fn spawn_connection(&mut self, duplex: Duplex, alive: Alive, report_to: mpsc::UnboundedSender<Report>) {
        let (Some(source), Some(SinkHalf::Connections { streams, .. })) = (&self.source, &self.sink) else {
            return;
        };
        let Some(outbox) = streams.single(duplex.address.conn, &duplex.meta) else { return };
        let Address { host, port, .. } = duplex.address.clone();
        let peer = Target { host, port }.to_string();
        let exit = duplex.exit.as_deref().unwrap_or("out");
        let inlet = Inlet::with_exit(source, 0, duplex.origin.clone(), duplex.meta.clone(), exit);
        let at_work = Connection::new(duplex, inlet, outbox, Unwritten::Keep, &self.parts.beacon, alive);
        let connection = self.parts.connection;
        self.parts.peer = Some(peer);
        self.parts.tasks.spawn(async move {
            let Ended { cause, clean, .. } = at_work.run().await;
            let _connector_has_ended = report_to.send(Report::Lost { connection, cause, clean });
        });
    }

    fn spawn_listener(&mut self, listener: Box<dyn crate::Listener>, alive: Alive) {
        let (Some(source), Some(SinkHalf::Connections { streams, .. })) = (&self.source, &self.sink) else {
            return;
        };
        let listening = listening::Listening {
            alias: self.alias.as_str().into(),
            source: source.clone(),
            streams: streams.clone(),
            beacon: self.parts.beacon.clone(),
            next_stream: self.parts.next_stream.clone(),
            refusals: Arc::default(),
            telling: Arc::new(tokio::sync::Semaphore::new(listening::MOST_TOLD)),
        };
        self.parts.tasks.spawn(listening.run(listener, alive));
    }

    fn lost(&mut self, connection: u64, cause: &str, clean: bool) {
        if connection != self.parts.connection || !self.status.borrow().connected {
            return;
        }
        // The other half of the connection ends too.
        self.parts.beacon.stop();
        self.disconnected();
        let how = if clean { "ended" } else { "lost" };
        let cause = match self.parts.peer.take() {
            Some(peer) => format!("Connection to {peer} {how}: {cause}"),
            None => format!("Connection {how}: {cause}"),
        };
        self.note_absence(&cause);
        if !matches!(self.state(), State::Running | State::Paused) {
            warn!(target: TARGET, "[Connector::{}] {cause}", self.alias);
            return self.no_more_attempts();
        }
        let up = self.parts.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        match self.backoff.first_wait(up, &mut random) {
            Decision::Retry(wait) => self.try_again(&cause, "connecting", wait),
            Decision::GiveUp { attempts } => self.give_up(attempts, &ConnectError::Failed(cause)),
        }
    }

    fn disconnected(&self) {
        self.status.send_if_modified(|status| std::mem::replace(&mut status.connected, false));
        if let Some(sink) = &self.sink {
            sink.shared().close();
        }
        if let Some(SinkHalf::Connections { streams, .. }) = &self.sink {
            streams.no_single();
        }
    }

    /// Tells everything behind the source that nothing will follow.
    fn source_finished(&mut self) {
        if let Some(source) = self.source.clone().filter(|_| !self.parts.marked) {
            self.parts.marked = true;
            source.gate.end();
            self.parts.marking = Some(Box::pin(async move {
                source.links().signal_all(Signal::Drain { source: source.id }).await;
            }));
        }
    }

    fn drain(&mut self, reply: oneshot::Sender<()>) {
        if self.state() == State::Drained {
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
        if !self.status.borrow().connected && self.parts.attempt.is_none() {
            self.no_more_attempts();
        }
        if let Some(SinkHalf::Queued { commands, .. }) = &self.sink {
            let _task_has_ended = commands.send(Command::Drain);
        }
        let source = self.source.clone();
        let source_done = self.parts.source_done.take();
        let needs_mark = !std::mem::replace(&mut self.parts.marked, true);
        let (board, sink) = (self.board.clone(), self.sink.as_ref().map(SinkHalf::shared_arc));
        self.parts.draining = Some(Box::pin(async move {
            if let Some(source) = source {
                source.gate.end();
                if let Some(mut source_done) = source_done {
                    // Nothing is ever sent: this waits until every task that gives events is done or gone.
                    let _all_done = source_done.recv().await.is_none();
                }
                if needs_mark {
                    source.links().signal_all(Signal::Drain { source: source.id }).await;
                }
                board.source_drained(source.id).await;
            }
            if let Some(sink) = sink {
                board.sink_drained(sink.id).await;
                sink.counters.all_settled().await;
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
        let ended = async { while self.parts.tasks.join_next().await.is_some() {} };
        if time::timeout(STOP_LIMIT, ended).await.is_err() {
            warn!(target: TARGET, "[Connector::{}] ends tasks that do not stop", self.alias);
            self.parts.tasks.shutdown().await;
        }
        match &self.sink {
            Some(SinkHalf::Connections { streams, shared }) => {
                shared.note_absence("the connector has stopped");
                streams.give_up("the connector has stopped");
            }
            Some(SinkHalf::Queued { commands, .. }) => {
                let (reply, stopped) = oneshot::channel();
                if commands.send(Command::Stop(reply)).is_ok() {
                    // A sink task that has ended has nothing left to stop.
                    let _stopped_or_gone = stopped.await.is_err();
                }
            }
            None => {}
        }
        self.sink.iter().for_each(|sink| sink.shared().log_left_out());
        self.source.iter().for_each(|source| source.log_left_out());
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

async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// A number from 0 to 1. Without a random source waits are simply not spread.
fn random() -> f64 {
    getrandom::u32().map_or(0.5, |drawn| f64::from(drawn) / f64::from(u32::MAX))
}
