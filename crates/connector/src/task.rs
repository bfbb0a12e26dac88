//! The life of one connector: connect, work, reconnect, pause, drain, stop (`spec/runtime.md` 4, 5, 13).

mod attempts;
mod working;

use crate::{
    ConnectError, Connected, Connector, DrainBoard, Readiness, SinkShared,
    beacon::Beacon,
    inlet::SourceShared,
    queued::Command,
    quota::Quota,
    reconnect::{Backoff, Decision},
    status::{Control, Report, State, Status},
    streams::Streams,
};
use futures_util::future::BoxFuture;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{self, Instant},
};
use tracing::{info, warn};
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
    /// Lines that tell of attempts that failed.
    quota: Quota,
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
    Attempted(Box<dyn Connector>, Box<Result<Connected, ConnectError>>),
    Retry,
    Report(Report),
    Marked,
    Drained,
    TaskEnded,
}

impl Task {
    /// Runs until stopped, or until nobody is left who could stop it.
    pub(crate) async fn run(self, control: mpsc::UnboundedReceiver<Control>) {
        let (sink, source) = (self.sink.as_ref().map(SinkHalf::shared_arc), self.source.clone());
        let of_sink = async {
            match sink {
                Some(sink) => sink.log_what_is_left_out().await,
                None => std::future::pending().await,
            }
        };
        let of_source = async {
            match source {
                Some(source) => source.log_what_is_left_out().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.work(control) => {}
            () = of_sink => {}
            () = of_source => {}
        }
    }

    async fn work(mut self, mut control: mpsc::UnboundedReceiver<Control>) {
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
                    match *result {
                        Ok(connected) => self.connected(connected, &report_to),
                        Err(error) => self.attempt_failed(&error),
                    }
                }
                Turn::Retry => self.begin_attempt(),
                Turn::Report(Report::SourceFinished) => self.source_finished(),
                Turn::Report(Report::Lost { connection, cause, clean, is_busy }) => {
                    self.lost(connection, &cause, (clean, is_busy));
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
            (connector, result) = pending_or(&mut parts.attempt) => Turn::Attempted(connector, Box::new(result)),
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

    fn lost(&mut self, connection: u64, cause: &str, (clean, is_busy): (bool, bool)) {
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
            if !(clean && self.is_let_go()) {
                warn!(target: TARGET, "[Connector::{}] {cause}", self.alias);
            }
            return self.no_more_attempts();
        }
        let up = self.parts.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        // Who has no room now is not asked sooner for having had some.
        let decision = if is_busy {
            self.backoff.next_wait(&mut random)
        } else {
            self.backoff.first_wait(up, &mut random)
        };
        match decision {
            Decision::Retry(wait) => self.try_again(&cause, "connecting", wait),
            Decision::GiveUp { attempts } => self.give_up(attempts, &ConnectError::Failed(cause)),
        }
    }

    /// A drain ends its connection, and it is no news that it does.
    fn is_let_go(&self) -> bool {
        matches!(&self.sink, Some(SinkHalf::Connections { streams, .. }) if streams.draining().has_begun())
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
        let heard_out = self.heard_out();
        self.set_state(State::Draining);
        self.parts.retry = None;
        if !self.status.borrow().connected && self.parts.attempt.is_none() {
            self.no_more_attempts();
        }
        if let Some(SinkHalf::Queued { commands, .. }) = &self.sink {
            let _task_has_ended = commands.send(Command::Drain);
        }
        let source = self.source.clone();
        let mut source_done = self.parts.source_done.take();
        let needs_mark = !std::mem::replace(&mut self.parts.marked, true);
        let (board, sink) = (self.board.clone(), self.sink.as_ref().map(SinkHalf::shared_arc));
        let pairs = match &self.sink {
            Some(SinkHalf::Connections { streams, .. }) if streams.is_per_origin() => Some(streams.clone()),
            _ => None,
        };
        self.parts.draining = Some(Box::pin(async move {
            // Servers behind answer what they are sent, so its source half is done later than those in front.
            if let (Some(streams), Some(source), Some(sink)) = (&pairs, &source, &sink) {
                streams.hear_answers(board.fed(sink.id, source.id)).await;
            }
            if let (Some(streams), Some(source), Some(sink)) = (&heard_out, &source, &sink) {
                board.hears_out(source.id, sink.id);
                streams.hear_out(board.fed(sink.id, source.id), all_done(&mut source_done)).await;
            }
            if let Some(source) = source {
                source.gate.end();
                all_done(&mut source_done).await;
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

    /// The way to its one connection, if that is being read: what its server still answers is waited for, too.
    fn heard_out(&self) -> Option<Arc<Streams>> {
        let is_read = self.status.borrow().connected
            && self.source.as_ref().is_some_and(|source| source.gate.now() == Some(Readiness::Ready));
        match &self.sink {
            Some(SinkHalf::Connections { streams, .. }) if is_read && streams.is_single() => {
                Some(streams.clone())
            }
            _ => None,
        }
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
        self.tell_left_out();
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
                streams.tell_missed();
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

/// Waits until every task that gives events is done or gone. Cancel safe.
async fn all_done(source_done: &mut Option<mpsc::Receiver<Infallible>>) {
    if let Some(source_done) = source_done {
        // Nothing is ever sent.
        let _all_done = source_done.recv().await.is_none();
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
