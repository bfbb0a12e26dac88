//! All flows of a process.

use crate::{
    flow::{ConnectorStatus, Flow, FlowState, FlowStatus},
    plan::Plan,
};
use futures_util::future::join_all;
use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use thiserror::Error;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tracing::warn;
use tremor_connector::State;

/// How long draining may take, and how long stopping may (`spec/runtime.md` 13.1).
const PHASE_LIMIT: Duration = Duration::from_secs(5);
/// From the beginning of a drain: then connections are let go even if something still waits to be written to one of them, so that
/// the ends of those that are cut off can still be told.
const WRITING_LIMIT: Duration = Duration::from_millis(3500);
/// From the beginning of a drain: until then peers may say goodbye.
const GOODBYE_LIMIT: Duration = Duration::from_millis(4300);

/// A flow that could not be started.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The flow.
    pub flow: String,
    /// Why.
    pub cause: String,
}

/// Parts did not stop in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the flows did not stop within 5 seconds")]
pub struct StopTimeout;

/// A state that cannot be changed as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// There is no such flow or connector.
    NotFound,
    /// It cannot be paused or resumed from where it stands.
    Forbidden,
}

/// All flows of a process.
pub struct Runtime {
    flows: Mutex<Vec<Arc<Flow>>>,
    failures: mpsc::UnboundedSender<Failure>,
}

impl Runtime {
    /// A runtime without flows, and the end where flows that fail to start are reported.
    #[must_use]
    pub fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Failure>) {
        let (failures, reported) = mpsc::unbounded_channel();
        (Arc::new(Self { flows: Mutex::default(), failures }), reported)
    }

    /// Starts a flow; whether it starts well is reported later.
    ///
    /// # Errors
    /// If a flow of that name is there already.
    pub fn deploy(&self, plan: Plan) -> Result<(), String> {
        let mut flows = self.lock();
        if flows.iter().any(|flow| flow.alias() == plan.alias()) {
            return Err(format!("Flow with id \"{}\" is already deployed.", plan.alias()));
        }
        let flow = Arc::new(Flow::new(plan));
        flows.push(flow.clone());
        drop(flows);
        let failures = self.failures.clone();
        tokio::spawn(async move {
            if let Err(cause) = flow.start().await {
                let _process_is_ending = failures.send(Failure { flow: flow.alias().to_owned(), cause });
            }
        });
        Ok(())
    }

    /// Ends all flows: drains them first if `graceful`, then stops them.
    ///
    /// # Errors
    /// If they do not stop in time.
    pub async fn shut_down(&self, graceful: bool) -> Result<(), StopTimeout> {
        let flows = self.lock().clone();
        let begun = Instant::now();
        let drained = async {
            let mut drains = pin!(join_all(flows.iter().map(|flow| flow.drain())));
            let in_time = timeout_at(begun + WRITING_LIMIT, &mut drains).await.is_ok();
            join_all(flows.iter().map(|flow| flow.let_go(begun + GOODBYE_LIMIT))).await;
            if !in_time {
                drains.await;
            }
            join_all(flows.iter().map(|flow| flow.part(begun + GOODBYE_LIMIT))).await;
        };
        if graceful && timeout(PHASE_LIMIT, drained).await.is_err() {
            let late: Vec<_> = flows.iter().flat_map(|flow| flow.undrained()).collect();
            let late = late.join(", ");
            warn!(target: "tremor_runtime", "Not all flows drained within 5 seconds. Not through: {late}");
        }
        let stopped = timeout(PHASE_LIMIT, join_all(flows.iter().map(|flow| flow.stop()))).await;
        stopped.map(|_| ()).map_err(|_| StopTimeout)
    }

    /// What each flow shows of itself.
    #[must_use]
    pub fn flows(&self) -> Vec<FlowStatus> {
        self.lock().iter().map(|flow| flow.status()).collect()
    }

    /// What the connectors of one flow show of themselves.
    #[must_use]
    pub fn connectors(&self, flow: &str) -> Option<Vec<ConnectorStatus>> {
        self.find(flow).map(|flow| flow.connectors())
    }

    /// Pauses or resumes a flow.
    ///
    /// # Errors
    /// If there is no such flow, or it can neither be paused nor resumed now.
    pub fn set_flow_paused(&self, flow: &str, paused: bool) -> Result<(), ChangeError> {
        let flow = self.find(flow).ok_or(ChangeError::NotFound)?;
        let wanted = if paused { FlowState::Paused } else { FlowState::Running };
        let changed = flow.status().state == wanted || if paused { flow.pause() } else { flow.resume() };
        if changed { Ok(()) } else { Err(ChangeError::Forbidden) }
    }

    /// Pauses or resumes a connector; ends when it has done so.
    ///
    /// # Errors
    /// If there is no such connector, or it can neither be paused nor resumed now.
    pub async fn set_connector_paused(
        &self,
        flow: &str,
        name: &str,
        paused: bool,
    ) -> Result<(), ChangeError> {
        let flow = self.find(flow).ok_or(ChangeError::NotFound)?;
        let connector = flow.connector(name).ok_or(ChangeError::NotFound)?;
        let (from, to) =
            if paused { (State::Running, State::Paused) } else { (State::Paused, State::Running) };
        let state = connector.status().state;
        if state == to {
            return Ok(());
        }
        if state != from {
            return Err(ChangeError::Forbidden);
        }
        let mut status = connector.watch();
        if paused {
            connector.pause();
        } else {
            connector.resume();
        }
        let done = status.wait_for(|status| status.state != from).await;
        done.map(|_| ()).map_err(|_| ChangeError::Forbidden)
    }

    fn find(&self, alias: &str) -> Option<Arc<Flow>> {
        self.lock().iter().find(|flow| flow.alias() == alias).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Flow>>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
