//! The runtime, as the API sees it.

use crate::api::{ApiState, Connectivity, Connector, Events, Flow, PatchError, PipelinePort, Status};
use async_trait::async_trait;
use std::{collections::BTreeMap, sync::Arc};
use tremor_connector::State;
use tremor_runtime::{ChangeError, ConnectorStatus, FlowState, FlowStatus, Runtime};

/// Answers the API from a runtime.
pub(crate) struct RuntimeState {
    runtime: Arc<Runtime>,
}

impl RuntimeState {
    pub(crate) fn new(runtime: Arc<Runtime>) -> Self {
        Self { runtime }
    }

    fn find_flow(&self, alias: &str) -> Option<Flow> {
        self.runtime.flows().into_iter().find(|flow| flow.alias == alias).map(flow)
    }

    fn find_connector(&self, flow: &str, name: &str) -> Option<Connector> {
        self.runtime.connectors(flow)?.into_iter().find(|status| status.name == name).map(connector)
    }
}

#[async_trait]
impl ApiState for RuntimeState {
    async fn flows(&self) -> Vec<Flow> {
        self.runtime.flows().into_iter().map(flow).collect()
    }

    async fn flow(&self, alias: &str) -> Option<Flow> {
        self.find_flow(alias)
    }

    async fn connectors(&self, flow: &str) -> Option<Vec<Connector>> {
        Some(self.runtime.connectors(flow)?.into_iter().map(connector).collect())
    }

    async fn set_flow_status(&self, alias: &str, status: Status) -> Result<Flow, PatchError> {
        let before = self.find_flow(alias).ok_or(PatchError::NotFound)?;
        let forbidden = PatchError::Forbidden { from: before.status };
        let paused = wants_pause(status).ok_or_else(|| forbidden.clone())?;
        self.runtime.set_flow_paused(alias, paused).map_err(|error| refused(&error, forbidden))?;
        self.find_flow(alias).ok_or(PatchError::NotFound)
    }

    async fn set_connector_status(
        &self,
        flow: &str,
        name: &str,
        status: Status,
    ) -> Result<Connector, PatchError> {
        let before = self.find_connector(flow, name).ok_or(PatchError::NotFound)?;
        let forbidden = PatchError::Forbidden { from: before.status };
        let paused = wants_pause(status).ok_or_else(|| forbidden.clone())?;
        let changed = self.runtime.set_connector_paused(flow, name, paused).await;
        changed.map_err(|error| refused(&error, forbidden))?;
        self.find_connector(flow, name).ok_or(PatchError::NotFound)
    }
}

fn wants_pause(status: Status) -> Option<bool> {
    match status {
        Status::Paused => Some(true),
        Status::Running => Some(false),
        Status::Initializing | Status::Draining | Status::Stopped | Status::Failed => None,
    }
}

fn refused(error: &ChangeError, forbidden: PatchError) -> PatchError {
    match error {
        ChangeError::NotFound => PatchError::NotFound,
        ChangeError::Forbidden => forbidden,
    }
}

fn flow(status: FlowStatus) -> Flow {
    let FlowStatus { alias, state, connectors } = status;
    let status = match state {
        FlowState::Initializing => Status::Initializing,
        FlowState::Running => Status::Running,
        FlowState::Paused => Status::Paused,
        FlowState::Draining => Status::Draining,
        FlowState::Stopped => Status::Stopped,
        FlowState::Failed => Status::Failed,
    };
    Flow { alias, status, connectors }
}

fn connector(status: ConnectorStatus) -> Connector {
    let mut pipelines: BTreeMap<String, Vec<PipelinePort>> = BTreeMap::new();
    for link in status.links {
        pipelines
            .entry(link.own_port)
            .or_default()
            .push(PipelinePort { alias: link.pipeline, port: link.port });
    }
    Connector {
        alias: status.name,
        status: match status.state {
            State::Initializing => Status::Initializing,
            State::Running => Status::Running,
            State::Paused => Status::Paused,
            State::Draining | State::Drained => Status::Draining,
            State::Stopped => Status::Stopped,
            State::Failed => Status::Failed,
        },
        connectivity: if status.connected { Connectivity::Connected } else { Connectivity::Disconnected },
        pipelines,
        events: Events {
            out: status.given.0,
            err: status.given.1,
            received: status.taken.received,
            written: status.taken.written,
            failed: status.taken.failed,
            dropped: status.taken.dropped,
            waiting: status.taken.waiting,
        },
    }
}
