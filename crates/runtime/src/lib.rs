//! Flows at work: instances of connectors and pipelines, linked, started, drained and stopped
//! (`spec/runtime.md` 2 and 13).
//!
//! [`Plan`] is a flow that is made and linked but does nothing yet; checking a deployment needs no more.
//! [`Runtime`] starts plans and ends them. Language and transport meet here and nowhere else: connectors
//! know nothing of pipelines, pipelines nothing of sockets.

mod breakers;
mod flow;
mod graph;
mod locate;
mod pipelines;
mod plan;
mod runtime;
mod unlinked;

pub use flow::{ConnectorStatus, FlowState, FlowStatus, PipelinePort};
pub use plan::{Parts, Plan};
pub use runtime::{ChangeError, Failure, Runtime, StopTimeout};
pub use unlinked::unlinked;
