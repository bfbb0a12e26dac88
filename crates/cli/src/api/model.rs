//! What the API shows, and where it gets it from.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// State of a flow or of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being set up.
    Initializing,
    /// It works.
    Running,
    /// It takes no new events until it is resumed.
    Paused,
    /// It finishes what is on the way.
    Draining,
    /// It has ended in good order.
    Stopped,
    /// It could not start, or ended for a reason of its own.
    Failed,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initializing => "initializing",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        })
    }
}

/// Whether a connector has reached its other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connectivity {
    /// It has.
    Connected,
    /// It has not, or has lost it.
    Disconnected,
}

/// A deployed flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Name given by `deploy flow`.
    pub alias: String,
    /// Its state.
    pub status: Status,
    /// Names of its connectors.
    pub connectors: Vec<String>,
}

/// A connector of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connector {
    /// Its name inside the flow.
    pub alias: String,
    /// Its state.
    pub status: Status,
    /// Whether it has reached its other end.
    pub connectivity: Connectivity,
    /// By port of the connector: the pipelines linked to it, in both directions.
    pub pipelines: BTreeMap<String, Vec<PipelinePort>>,
    /// What it has given and taken since it was deployed.
    pub events: Events,
}

/// Events of a connector, counted since it was deployed.
///
/// Of what it took, `received = written + failed + dropped + waiting` at every moment. An event that goes to several
/// connections counts once for each, and each element of a batched event for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Given on `out` and on ports that stand in for it.
    pub out: u64,
    /// Given on `err`.
    pub err: u64,
    /// Taken.
    pub received: u64,
    /// Of those: handed to the system whole.
    pub written: u64,
    /// Of those: will never be written.
    pub failed: u64,
    /// Of those: left out by a full queue, as its policy says, or for everybody and kept from some by the end of their connection.
    pub dropped: u64,
    /// Of those: still wait.
    pub waiting: u64,
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelinePort {
    /// Name of the pipeline inside the flow.
    pub alias: String,
    /// Port of the pipeline.
    pub port: String,
}

/// Why a state was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatchError {
    /// The flow or the connector does not exist (any more).
    NotFound,
    /// There is no way from the state `from`, in which it was found, to the one that was asked for.
    Forbidden {
        /// State at the moment of the attempt.
        from: Status,
    },
    /// Something else; the text goes into the log, not to the client.
    Internal(String),
}

/// The runtime as the API sees it. All methods may be called at the same time.
///
/// Changing to the state that something is already in is a success without effect; `running` and `paused` lead to each
/// other; every other pair is [`PatchError::Forbidden`].
#[async_trait]
pub trait ApiState: Send + Sync + 'static {
    /// All flows, in any order.
    async fn flows(&self) -> Vec<Flow>;

    /// One flow, or `None` if there is none of that name.
    async fn flow(&self, alias: &str) -> Option<Flow>;

    /// The connectors of a flow, in any order, or `None` if there is no such flow.
    async fn connectors(&self, flow: &str) -> Option<Vec<Connector>>;

    /// Pauses or resumes a flow with all of its connectors; returns it as it is then.
    async fn set_flow_status(&self, flow: &str, status: Status) -> Result<Flow, PatchError>;

    /// Pauses or resumes one connector; returns it as it is then.
    async fn set_connector_status(
        &self,
        flow: &str,
        connector: &str,
        status: Status,
    ) -> Result<Connector, PatchError>;
}
